//! The transition tables, written out: every state, every event, every guard, over the bare election.
//!
//! RFC 9568 §6.4.1 to §6.4.3 and RFC 3768 §6.4.1 to §6.4.3; the identifiers ST-* are those of our notes on the standards.
//! We have priority 100, the address 192.0.2.11 and an interval of 1 s, so Skew_Time is 609.375 ms and
//! Active_Down_Interval 3609.375 ms. A row begins 300 ms after its state was entered.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use Before::*;
use Event::*;
use Timer::*;
use vrrp_proto::dialect::Dialect::{self, Vrrp2, Vrrp3};
use vrrp_proto::plan::ChecksumForm;
use vrrp_proto::receive::Heard;
use vrrp_proto::router::{Role, Send, State, Step, Terms, VirtualRouter};
use vrrp_proto::{Instant, Interval, Priority, Reason};

/// The state a row begins in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Init,
    Backup,
    Active,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Startup,
    Shutdown,
    /// The state's own timer runs out.
    TimerRunsOut,
    /// The timer is run although it is not due.
    TimerEarly,
    /// Priority, last byte of the sender's address, interval in centiseconds.
    Adv(u8, u8, u16),
}

/// What the router is configured with.
#[derive(Clone, Copy, Debug)]
enum Us {
    Plain,
    Polite,
    Owner,
    PoliteOwner,
}
use Us::*;

/// The state's timer after the event, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Timer {
    None_,
    Runs(u64),
    /// As if nothing had happened.
    Unmoved,
}

type Row = (&'static str, Before, Us, Event, Option<Send>, Role, Timer);

const INIT: Role = Role::Initialize;
const BACKUP: Role = Role::Backup;
const ACTIVE: Role = Role::Active;
const REGULAR: Option<Send> = Some(Send::Regular);
const RELEASE: Option<Send> = Some(Send::Release);
const SILENT: Option<Send> = None;

const INTERVAL: u64 = 1_000_000;
const DOWN: u64 = 3_609_375;
const SKEW: u64 = 609_375;
/// Active_Down_Interval of priority 255 at 1 s.
const OWNER_DOWN: u64 = 3_003_906;

/// RFC 9568 §6.4.1 to §6.4.3.
#[rustfmt::skip]
const RFC_9568: &[Row] = &[
    // rule           before  we are       event               sends    after   timer
    // §6.4.1 Initialize
    ("owner starts",  Init,   Owner,       Startup,            REGULAR, ACTIVE, Runs(INTERVAL)),
    ("owner starts",  Init,   PoliteOwner, Startup,            REGULAR, ACTIVE, Runs(INTERVAL)),
    ("other starts",  Init,   Plain,       Startup,            SILENT,  BACKUP, Runs(DOWN)),
    ("other starts",  Init,   Polite,      Startup,            SILENT,  BACKUP, Runs(DOWN)),
    ("ignored",       Init,   Plain,       Shutdown,           SILENT,  INIT,   None_),
    ("ignored",       Init,   Plain,       TimerEarly,         SILENT,  INIT,   None_),
    ("ignored",       Init,   Plain,       Adv(0, 200, 100),   SILENT,  INIT,   None_),
    ("ignored",       Init,   Plain,       Adv(50, 200, 100),  SILENT,  INIT,   None_),
    ("ignored",       Init,   Owner,       Adv(255, 200, 100), SILENT,  INIT,   None_),
    // §6.4.2 Backup
    ("ignored",       Backup, Plain,       Startup,            SILENT,  BACKUP, Unmoved),
    ("ST-B1",         Backup, Plain,       Shutdown,           SILENT,  INIT,   None_),
    ("ST-B2",         Backup, Plain,       TimerRunsOut,       REGULAR, ACTIVE, Runs(INTERVAL)),
    ("ST-B2",         Backup, Polite,      TimerRunsOut,       REGULAR, ACTIVE, Runs(INTERVAL)),
    ("not yet",       Backup, Plain,       TimerEarly,         SILENT,  BACKUP, Unmoved),
    ("ST-B3",         Backup, Plain,       Adv(0, 200, 100),   SILENT,  BACKUP, Runs(SKEW)),
    ("ST-B3",         Backup, Polite,      Adv(0, 1, 100),     SILENT,  BACKUP, Runs(SKEW)),
    ("ST-B3 no learning", Backup, Plain,   Adv(0, 200, 300),   SILENT,  BACKUP, Runs(SKEW)),
    ("ST-B4 higher",  Backup, Plain,       Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 owner",   Backup, Plain,       Adv(255, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 equal, higher address", Backup, Plain, Adv(100, 200, 100), SILENT, BACKUP, Runs(DOWN)),
    ("ST-B4 equal, lower address",  Backup, Plain, Adv(100, 1, 100),   SILENT, BACKUP, Runs(DOWN)),
    ("ST-B4 polite",  Backup, Polite,      Adv(50, 200, 100),  SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 polite",  Backup, Polite,      Adv(1, 1, 100),     SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 learns slow", Backup, Plain,   Adv(200, 1, 300),   SILENT,  BACKUP, Runs(10_828_125)),
    ("ST-B4 learns fast", Backup, Plain,   Adv(200, 1, 10),    SILENT,  BACKUP, Runs(360_937)),
    ("ST-B4 polite learns", Backup, Polite, Adv(50, 1, 10),    SILENT,  BACKUP, Runs(360_937)),
    ("ST-B5",         Backup, Plain,       Adv(99, 200, 100),  SILENT,  BACKUP, Unmoved),
    ("ST-B5",         Backup, Plain,       Adv(1, 1, 300),     SILENT,  BACKUP, Unmoved),
    // §6.4.3 Active
    ("ignored",       Active, Plain,       Startup,            SILENT,  ACTIVE, Unmoved),
    ("ST-A1",         Active, Plain,       Shutdown,           RELEASE, INIT,   None_),
    ("ST-A1",         Active, Owner,       Shutdown,           RELEASE, INIT,   None_),
    ("ST-A2",         Active, Plain,       TimerRunsOut,       REGULAR, ACTIVE, Runs(INTERVAL)),
    ("not yet",       Active, Plain,       TimerEarly,         SILENT,  ACTIVE, Unmoved),
    ("ST-A3",         Active, Plain,       Adv(0, 200, 100),   REGULAR, ACTIVE, Runs(INTERVAL)),
    ("ST-A3",         Active, Polite,      Adv(0, 1, 300),     REGULAR, ACTIVE, Runs(INTERVAL)),
    ("ST-A3",         Active, Owner,       Adv(0, 200, 100),   REGULAR, ACTIVE, Runs(INTERVAL)),
    ("ST-A4",         Active, Plain,       Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A4 owner",   Active, Plain,       Adv(255, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A4 polite",  Active, Polite,      Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A4 learns",  Active, Plain,       Adv(200, 1, 300),   SILENT,  BACKUP, Runs(10_828_125)),
    ("ST-A5",         Active, Plain,       Adv(100, 12, 100),  SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A5 unsigned", Active, Plain,      Adv(100, 200, 100), SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A5 two owners, erratum 8298", Active, Owner, Adv(255, 12, 100), SILENT, BACKUP, Runs(OWNER_DOWN)),
    ("ST-A6 lower",   Active, Plain,       Adv(99, 200, 100),  REGULAR, ACTIVE, Unmoved),
    ("ST-A6 polite",  Active, Polite,      Adv(1, 200, 100),   REGULAR, ACTIVE, Unmoved),
    ("ST-A6 equal",   Active, Plain,       Adv(100, 10, 100),  REGULAR, ACTIVE, Unmoved),
    ("ST-A6 same address", Active, Plain,  Adv(100, 11, 100),  REGULAR, ACTIVE, Unmoved),
    ("ST-A6 two owners", Active, Owner,    Adv(255, 10, 100),  REGULAR, ACTIVE, Unmoved),
    ("ST-A6 owner",   Active, Owner,       Adv(254, 200, 100), REGULAR, ACTIVE, Unmoved),
];

/// RFC 3768 §6.4.1 to §6.4.3. An owner refuses every advertisement before it gets here, and so does everybody one with
/// another interval (§7.1).
#[rustfmt::skip]
const RFC_3768: &[Row] = &[
    // rule           before  we are       event               sends    after   timer
    // §6.4.1 Initialize
    ("owner starts",  Init,   Owner,       Startup,            REGULAR, ACTIVE, Runs(INTERVAL)),
    ("other starts",  Init,   Plain,       Startup,            SILENT,  BACKUP, Runs(DOWN)),
    ("ignored",       Init,   Plain,       Shutdown,           SILENT,  INIT,   None_),
    ("ignored",       Init,   Plain,       TimerEarly,         SILENT,  INIT,   None_),
    ("ignored",       Init,   Plain,       Adv(200, 200, 100), SILENT,  INIT,   None_),
    // §6.4.2 Backup
    ("ignored",       Backup, Plain,       Startup,            SILENT,  BACKUP, Unmoved),
    ("ST-B1",         Backup, Plain,       Shutdown,           SILENT,  INIT,   None_),
    ("ST-B2",         Backup, Plain,       TimerRunsOut,       REGULAR, ACTIVE, Runs(INTERVAL)),
    ("not yet",       Backup, Plain,       TimerEarly,         SILENT,  BACKUP, Unmoved),
    ("ST-B3",         Backup, Plain,       Adv(0, 200, 100),   SILENT,  BACKUP, Runs(SKEW)),
    ("ST-B4 higher",  Backup, Plain,       Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 equal",   Backup, Plain,       Adv(100, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B4 polite",  Backup, Polite,      Adv(50, 1, 100),    SILENT,  BACKUP, Runs(DOWN)),
    ("ST-B5",         Backup, Plain,       Adv(99, 200, 100),  SILENT,  BACKUP, Unmoved),
    // §6.4.3 Master
    ("ignored",       Active, Plain,       Startup,            SILENT,  ACTIVE, Unmoved),
    ("ST-A1",         Active, Plain,       Shutdown,           RELEASE, INIT,   None_),
    ("ST-A2",         Active, Plain,       TimerRunsOut,       REGULAR, ACTIVE, Runs(INTERVAL)),
    ("not yet",       Active, Plain,       TimerEarly,         SILENT,  ACTIVE, Unmoved),
    ("ST-A3",         Active, Plain,       Adv(0, 200, 100),   REGULAR, ACTIVE, Runs(INTERVAL)),
    ("ST-A4",         Active, Plain,       Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A4 polite",  Active, Polite,      Adv(101, 1, 100),   SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A5",         Active, Plain,       Adv(100, 200, 100), SILENT,  BACKUP, Runs(DOWN)),
    ("ST-A6 silent",  Active, Plain,       Adv(99, 200, 100),  SILENT,  ACTIVE, Unmoved),
    ("ST-A6 silent",  Active, Plain,       Adv(100, 10, 100),  SILENT,  ACTIVE, Unmoved),
];

#[test]
fn rfc_9568() {
    RFC_9568.iter().for_each(|row| check(Vrrp3, row));
}

#[test]
fn rfc_3768() {
    RFC_3768.iter().for_each(|row| check(Vrrp2, row));
}

/// Nothing that is said twice is forgotten: each version's table has each state with each event.
#[test]
fn the_tables_are_complete() {
    for (name, table) in [("9568", RFC_9568), ("3768", RFC_3768)] {
        for before in [Init, Backup, Active] {
            for (what, is) in EVENTS {
                let found = table.iter().any(|row| row.1 == before && is(row.3));
                // Initialize has no timer that could run out.
                assert!(
                    found || (before == Init && *what == "timer"),
                    "RFC {name}: {before:?} × {what}"
                );
            }
        }
    }
}

type Kind = (&'static str, fn(Event) -> bool);

const EVENTS: &[Kind] = &[
    ("startup", |event| matches!(event, Startup)),
    ("shutdown", |event| matches!(event, Shutdown)),
    ("timer", |event| matches!(event, TimerRunsOut)),
    ("early timer", |event| matches!(event, TimerEarly)),
    ("advertisement", |event| matches!(event, Adv(..))),
];

/// Skew_Time is not scaled in version 2 (RFC 3768 §6.1), and is by the learned interval in version 3 (RFC 9568 §6.1).
#[test]
fn skew_at_three_seconds() {
    for (dialect, down, skew) in [(Vrrp2, 9_609_375, 609_375), (Vrrp3, 10_828_125, 1_828_125)] {
        let terms = Terms {
            interval: Interval::from_centis(300).unwrap(),
            ..terms(dialect, Plain)
        };
        let mut router = VirtualRouter::default();
        router.startup(START, &terms);
        assert_eq!(remaining(&router, START), Some(down), "{dialect:?}");
        router.advertisement(START, &terms, &heard(0, 200, 300));
        assert_eq!(remaining(&router, START), Some(skew), "{dialect:?}");
    }
}

/// Who has learned an interval measures the release of the Active by it (RFC 9568 §6.4.2).
#[test]
fn skew_of_a_learned_interval() {
    let terms = terms(Vrrp3, Plain);
    let mut router = enter(Backup, &terms);
    router.advertisement(START, &terms, &heard(200, 200, 300));
    router.advertisement(START, &terms, &heard(0, 200, 100));
    assert_eq!(remaining(&router, START), Some(1_828_125));
}

const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn terms(dialect: Dialect, us: Us) -> Terms {
    Terms {
        dialect,
        priority: Priority::new(match us {
            Plain | Polite => 100,
            Owner | PoliteOwner => 255,
        }),
        interval: Interval::DEFAULT,
        preempt: matches!(us, Plain | Owner),
        preempt_delay: Duration::ZERO,
        primary: address(11),
        rules: None,
    }
}

const fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn heard(priority: u8, last: u8, centis: u16) -> Heard {
    Heard {
        source: address(last),
        priority: Priority::new(priority),
        interval: Interval::from_centis(centis).unwrap(),
        form: ChecksumForm::Rfc9568,
        other_interval: false,
        other_addresses: false,
        bid: None,
    }
}

/// A router that has just entered this state at [`START`].
fn enter(before: Before, terms: &Terms) -> VirtualRouter {
    let mut router = VirtualRouter::default();
    let down = terms
        .dialect
        .active_down_interval(terms.priority, terms.interval);
    match before {
        Init => {}
        Backup => {
            router.startup(START, terms);
        }
        Active if terms.priority.is_owner() => {
            router.startup(START, terms);
        }
        Active => {
            router.startup(START - down, terms);
            router.timeout(START, terms);
        }
    }
    router
}

fn remaining(router: &VirtualRouter, now: Instant) -> Option<u64> {
    let due = router.deadline()?;
    Some(u64::try_from(due.saturating_since(now).as_micros()).unwrap())
}

fn check(dialect: Dialect, row: &Row) {
    let (rule, before, us, event, sends, after, timer) = row;
    let name = format!("{dialect:?}, {rule}: {before:?} × {event:?}, {us:?}");
    let terms = terms(dialect, *us);
    let mut router = enter(*before, &terms);
    let was = router.role();
    let entered = router.deadline();
    let now = match event {
        TimerRunsOut => entered.expect("a timer"),
        Startup | Shutdown | TimerEarly | Adv(..) => START + Duration::from_millis(300),
    };
    let step = match *event {
        Startup => router.startup(now, &terms),
        Shutdown => router.shutdown(Reason::Shutdown),
        TimerRunsOut | TimerEarly => router.timeout(now, &terms),
        Adv(priority, last, centis) => {
            router.advertisement(now, &terms, &heard(priority, last, centis))
        }
    };
    assert_eq!(step.send, *sends, "{name}");
    assert_eq!(router.role(), *after, "{name}");
    let transition = step.transition.map(|(from, to, _)| (from, to));
    assert_eq!(
        transition,
        (was != *after).then_some((was, *after)),
        "{name}"
    );
    assert_eq!(step.late, None, "{name}");
    match timer {
        None_ => assert_eq!(router.deadline(), None, "{name}"),
        Runs(micros) => assert_eq!(remaining(&router, now), Some(*micros), "{name}"),
        Unmoved => assert_eq!(router.deadline(), entered, "{name}"),
    }
    if matches!((was, event), (Role::Active, Adv(1.., ..))) && *after == Role::Active {
        assert!(step.conflict, "{name}");
    } else {
        assert!(!step.conflict, "{name}");
    }
    if *after == Role::Initialize {
        assert_eq!(router.state(), State::Initialize);
    }
    if was == *after && *sends == SILENT && *timer == Unmoved && !step.conflict {
        assert_eq!(step, Step::default(), "{name}");
    }
}
