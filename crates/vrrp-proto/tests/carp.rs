//! CARP's election, written out: every state, every kind of bid, over the bare election, for each profile; and a pair of
//! engines with both families.
//!
//! The rows are what the sources of OpenBSD, FreeBSD and NetBSD say. We have base 1 and skew 100, so S is 1.390625 s. A row begins
//! 300 ms after its state was entered.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::net::IpAddr;
use std::time::Duration;

use Bids::*;
use Outcome::*;
use vrrp_proto::carp::{Bid, CarpPlan, Passphrase, Profile, Rules, priority};
use vrrp_proto::receive::{Envelope, Heard};
use vrrp_proto::router::{Role, Send, State, Terms, VirtualRouter};
use vrrp_proto::{
    ChecksumForm, Datagram, Dialect, Engine, Event, Family, Happening, Input, Instant, Interval,
    LinkFacts, LinkId, MacAddress, Order, Output, Plan, Priority, Reason, Reject, RouterPlan,
    Standing, Transmit, VirtualAddress, Vrid,
};

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const OWN_SKEW: u8 = 100;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).unwrap()
}

fn carp(advskew: u8, profile: Profile) -> CarpPlan {
    CarpPlan {
        profile,
        ..CarpPlan::new(advskew, passphrase("secret"))
    }
}

fn terms(profile: Profile, preempt: bool, demotion: u8, dual: bool) -> Terms {
    let base = priority(OWN_SKEW).get();
    let effective = Priority::new(base - demotion);
    Terms {
        dialect: Dialect::Carp,
        priority: effective,
        interval: Interval::DEFAULT,
        preempt,
        preempt_delay: Duration::ZERO,
        primary: [192, 0, 2, 11].into(),
        rules: Some(Rules::new(&carp(OWN_SKEW, profile), 1, effective, dual)),
    }
}

const fn bid(advbase: u8, advskew: u8, demotion: u8) -> Bid {
    Bid {
        advbase,
        advskew,
        demotion,
    }
}

fn heard(bid: Bid, source: &str) -> Heard {
    Heard {
        source: source.parse().unwrap(),
        priority: if bid.is_bow_out() {
            Priority::RELEASE
        } else {
            priority(bid.advskew)
        },
        interval: Interval::DEFAULT,
        form: ChecksumForm::Rfc9568,
        other_interval: false,
        other_addresses: false,
        bid: Some(bid),
    }
}

/// What is heard.
#[derive(Clone, Copy, Debug)]
enum Bids {
    /// Base, skew, demotion.
    B(u8, u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// A Backup whose timer begins anew.
    Waits,
    /// A Backup that is Active at once.
    TakesOver,
    /// A Backup that is Active within a 64th of a second.
    TakesOverInTurn,
    /// An Active to which nothing happened.
    Stays,
    /// An Active that is a Backup without having said anything.
    Yields,
}

type Row = (&'static str, Role, bool, u8, Bids, Outcome);

const BACKUP: Role = Role::Backup;
const ACTIVE: Role = Role::Active;
const POLITE: bool = false;
const PREEMPTS: bool = true;

/// `carp_proto_input_c` of OpenBSD: demotion first, then who is faster.
#[rustfmt::skip]
const OPENBSD: &[Row] = &[
    // rule                        we are  preempt   Do  heard          outcome
    ("better",                     BACKUP, PREEMPTS, 0,  B(1, 50, 0),   Waits),
    ("equal",                      BACKUP, PREEMPTS, 0,  B(1, 100, 0),  Waits),
    ("slower, no preempt",         BACKUP, POLITE,   0,  B(1, 150, 0),  Waits),
    ("slower, preempt",            BACKUP, PREEMPTS, 0,  B(1, 150, 0),  TakesOver),
    ("slower by base",             BACKUP, PREEMPTS, 0,  B(2, 0, 0),    TakesOver),
    ("slower, but Dp < Do",        BACKUP, PREEMPTS, 3,  B(1, 150, 2),  Waits),
    ("slower, Dp = Do",            BACKUP, PREEMPTS, 3,  B(1, 150, 3),  TakesOver),
    ("Dp > Do, no preempt",        BACKUP, POLITE,   0,  B(1, 50, 1),   TakesOver),
    ("Dp > Do, equal",             BACKUP, POLITE,   2,  B(1, 100, 3),  TakesOver),
    ("too slow for our patience",  BACKUP, POLITE,   0,  B(4, 0, 0),    TakesOver),
    ("just fast enough",           BACKUP, POLITE,   0,  B(3, 100, 0),  Waits),
    ("bow-out",                    BACKUP, POLITE,   0,  B(255, 255, 0), TakesOverInTurn),
    ("bow-out of a demoted one",   BACKUP, POLITE,   0,  B(255, 255, 9), TakesOverInTurn),
    ("faster",                     ACTIVE, POLITE,   0,  B(1, 99, 0),   Yields),
    ("faster by base",             ACTIVE, POLITE,   0,  B(0, 254, 0),  Yields),
    ("equal",                      ACTIVE, PREEMPTS, 0,  B(1, 100, 0),  Yields),
    ("slower",                     ACTIVE, PREEMPTS, 0,  B(1, 101, 0),  Stays),
    ("faster, but Dp > Do",        ACTIVE, PREEMPTS, 0,  B(1, 0, 1),    Stays),
    ("slower, Dp < Do",            ACTIVE, PREEMPTS, 2,  B(1, 200, 1),  Yields),
    ("faster, Dp = Do",            ACTIVE, PREEMPTS, 2,  B(1, 99, 2),   Yields),
    ("bow-out",                    ACTIVE, PREEMPTS, 0,  B(255, 255, 0), Stays),
];

/// `carp_input_c` of FreeBSD and NetBSD: byte 4 is not read, and our demotion is in our skew.
#[rustfmt::skip]
const FREEBSD: &[Row] = &[
    ("better",                     BACKUP, PREEMPTS, 0,  B(1, 50, 0),   Waits),
    ("equal",                      BACKUP, PREEMPTS, 0,  B(1, 100, 0),  Waits),
    ("slower, no preempt",         BACKUP, POLITE,   0,  B(1, 150, 0),  Waits),
    ("slower, preempt",            BACKUP, PREEMPTS, 0,  B(1, 150, 0),  TakesOver),
    ("slower, but we are demoted", BACKUP, PREEMPTS, 60, B(1, 150, 0),  Waits),
    ("byte 4 is padding",          BACKUP, POLITE,   0,  B(1, 50, 200), Waits),
    ("too slow for our patience",  BACKUP, POLITE,   0,  B(4, 0, 0),    TakesOver),
    ("too slow, unless we are demoted", BACKUP, POLITE, 0, B(3, 120, 0), TakesOver),
    ("as slow as we, who are demoted", BACKUP, POLITE, 60, B(3, 120, 0), Waits),
    ("bow-out",                    BACKUP, POLITE,   0,  B(255, 255, 0), TakesOverInTurn),
    ("faster",                     ACTIVE, POLITE,   0,  B(1, 99, 0),   Yields),
    ("equal",                      ACTIVE, PREEMPTS, 0,  B(1, 100, 0),  Yields),
    ("slower",                     ACTIVE, PREEMPTS, 0,  B(1, 101, 0),  Stays),
    ("byte 4 is padding",          ACTIVE, PREEMPTS, 0,  B(1, 0, 9),    Yields),
    ("slower, but we are demoted", ACTIVE, PREEMPTS, 60, B(1, 150, 0),  Yields),
    ("bow-out",                    ACTIVE, PREEMPTS, 0,  B(255, 255, 0), Stays),
];

/// What is safe with all: demotion is in byte 4 and in the skew.
#[rustfmt::skip]
const ANY: &[Row] = &[
    ("slower, preempt",            BACKUP, PREEMPTS, 0,  B(1, 150, 0),  TakesOver),
    ("slower, no preempt",         BACKUP, POLITE,   0,  B(1, 150, 0),  Waits),
    ("demoted, as OpenBSD says it", BACKUP, POLITE,  0,  B(1, 50, 1),   TakesOver),
    ("demoted, as FreeBSD says it", BACKUP, PREEMPTS, 0, B(1, 240, 0),  TakesOver),
    ("we are demoted, they not",   BACKUP, PREEMPTS, 10, B(1, 150, 0),  Waits),
    ("bow-out",                    BACKUP, POLITE,   0,  B(255, 255, 0), TakesOverInTurn),
    ("equal",                      ACTIVE, PREEMPTS, 0,  B(1, 100, 0),  Yields),
    ("slower",                     ACTIVE, PREEMPTS, 0,  B(1, 101, 0),  Stays),
    ("we are demoted, they not",   ACTIVE, PREEMPTS, 10, B(1, 200, 0),  Yields),
    ("they are demoted, we not",   ACTIVE, PREEMPTS, 0,  B(1, 50, 10),  Stays),
];

#[test]
fn tables() {
    for (profile, rows) in [
        (Profile::OpenBsd, OPENBSD),
        (Profile::FreeBsd, FREEBSD),
        (Profile::Any, ANY),
    ] {
        for row in rows {
            check(profile, row);
        }
    }
}

fn check(
    profile: Profile,
    (rule, before, preempt, demotion, B(base, skew, theirs), outcome): &Row,
) {
    let name = format!("{profile:?}, {before}: {rule}");
    let terms = terms(profile, *preempt, *demotion, false);
    let mut router = VirtualRouter::default();
    let down = terms.down_interval(terms.interval);
    match before {
        Role::Active => {
            router.startup(START - down, &terms);
            router.timeout(START, &terms);
        }
        Role::Backup | Role::Initialize => {
            router.startup(START, &terms);
        }
    }
    assert_eq!(router.role(), *before, "{name}");
    let entered = router.deadline();
    let now = START + Duration::from_millis(300);
    let step = router.advertisement(now, &terms, &heard(bid(*base, *skew, *theirs), "192.0.2.9"));
    assert_eq!(step.send, None, "{name}: whoever hears says nothing");
    let due = router.deadline().unwrap();
    match outcome {
        Waits => {
            assert_eq!(router.role(), Role::Backup, "{name}");
            assert_eq!(due, now + down, "{name}");
        }
        TakesOver | TakesOverInTurn => {
            let turn = due.saturating_since(now);
            let patience = if *outcome == TakesOver { 0 } else { 16 };
            assert!(turn <= Duration::from_millis(patience), "{name}: {turn:?}");
            let step = router.timeout(due, &terms);
            assert_eq!(step.send, Some(Send::Regular), "{name}");
            assert_eq!(router.role(), Role::Active, "{name}");
        }
        Stays => {
            assert_eq!(router.role(), Role::Active, "{name}");
            assert_eq!(router.deadline(), entered, "{name}");
        }
        Yields => {
            assert_eq!(router.role(), Role::Backup, "{name}");
            assert!(due >= now + down, "{name}");
        }
    }
}

/// Three of its own intervals, or three times the base and its skew; demotion makes nobody more patient.
#[test]
fn patience() {
    for (profile, micros) in [
        (Profile::OpenBsd, 4_171_875),
        (Profile::FreeBsd, 3_390_625),
        (Profile::Any, 3_390_625),
    ] {
        for demotion in [0, 60] {
            let terms = terms(profile, true, demotion, false);
            let down = terms.down_interval(terms.interval);
            assert_eq!(down.as_micros(), micros, "{profile:?} {demotion}");
        }
    }
}

/// Demotion is said in the way of the profile.
#[test]
fn demotion() {
    for (profile, skew, lost, own) in [
        (Profile::Any, 100, 0, (100, 0)),
        (Profile::Any, 100, 40, (140, 40)),
        (Profile::Any, 100, 153, (240, 153)),
        (Profile::Any, 250, 3, (250, 3)),
        (Profile::OpenBsd, 100, 40, (100, 40)),
        (Profile::FreeBsd, 100, 40, (140, 0)),
        (Profile::FreeBsd, 0, 253, (240, 0)),
    ] {
        let effective = Priority::new(priority(skew).get() - lost);
        let rules = Rules::new(&carp(skew, profile), 1, effective, false);
        let sent = (rules.own.advskew, rules.own.demotion);
        assert_eq!(sent, own, "{profile:?} {skew} - {lost}");
        assert_eq!(rules.advskew, skew);
    }
    // More than configured is less skew.
    let better = Rules::new(&carp(100, Profile::Any), 1, Priority::new(254), false);
    assert_eq!((better.own.advskew, better.own.demotion), (0, 0));
}

fn at_host(last: u8) -> Terms {
    Terms {
        primary: [192, 0, 2, last].into(),
        ..terms(Profile::Any, true, 0, false)
    }
}

/// One that has heard nobody, and became Active then.
fn active(terms: &Terms) -> (VirtualRouter, Instant) {
    let mut router = VirtualRouter::default();
    router.startup(START, terms);
    let due = router.deadline().unwrap();
    router.timeout(due, terms);
    (router, due)
}

/// Equals that meet give way to each other, and do not meet again at the same moment.
#[test]
fn equals_do_not_meet_for_ever() {
    let mut dues = Vec::new();
    for last in [11, 12] {
        let terms = at_host(last);
        let (mut router, due) = active(&terms);
        let step = router.advertisement(due, &terms, &heard(bid(1, 100, 0), "192.0.2.9"));
        let reason = step.transition.map(|(_, _, reason)| reason);
        assert_eq!(reason, Some(Reason::EqualBid));
        dues.push(router.deadline().unwrap().saturating_since(due));
    }
    let usual = Duration::from_micros(3_390_625);
    assert!(dues.iter().all(|due| *due > usual), "{dues:?}");
    assert_eq!((dues[1] - dues[0]).as_micros(), 3_906);
}

/// UCarp says one more word before it gives way. That must not take back what was added to the wait, or both are Active at the
/// same moment again, for ever.
#[test]
fn the_last_word_of_an_equal_one_changes_nothing() {
    let terms = terms(Profile::Any, true, 0, false);
    let (mut router, mut now) = active(&terms);
    router.advertisement(now, &terms, &heard(bid(1, 100, 0), "192.0.2.9"));
    let usual = Duration::from_micros(3_390_625);
    // The last octet of our address is 11.
    let longer = usual + Duration::from_nanos(12 * 3_906_250);
    for expected in [longer, longer, longer, usual, usual] {
        now = now + Duration::from_millis(300);
        router.advertisement(now, &terms, &heard(bid(1, 100, 0), "192.0.2.9"));
        assert_eq!(router.deadline(), Some(now + expected));
    }
}

/// The one with the lower address, read from its end, stays where UCarp gives way: with the default profile, and one family.
#[test]
fn between_equals_the_last_octet_decides() {
    for (profile, dual, source, stays) in [
        (Profile::Any, false, "192.0.2.12", true),
        (Profile::Any, false, "192.0.3.11", true),
        (Profile::Any, false, "10.255.255.12", true),
        (Profile::Any, false, "192.0.2.10", false),
        (Profile::Any, false, "200.0.1.11", false),
        (Profile::Any, true, "192.0.2.12", false),
        (Profile::OpenBsd, false, "192.0.2.12", false),
        (Profile::FreeBsd, false, "192.0.2.12", false),
    ] {
        let terms = terms(profile, true, 0, dual);
        let (mut router, now) = active(&terms);
        let step = router.advertisement(now, &terms, &heard(bid(1, 100, 0), source));
        assert_eq!(step.send, None);
        let active = router.role() == Role::Active;
        assert_eq!(active, stays, "{profile:?} {dual} {source}");
    }
}

/// Two equals that have given way to each other both hear the worse one that took over meanwhile, and do not preempt it at the
/// same moment.
#[test]
fn equals_do_not_preempt_together() {
    let mut dues = Vec::new();
    for last in [11, 12] {
        let terms = at_host(last);
        let (mut router, now) = active(&terms);
        router.advertisement(now, &terms, &heard(bid(1, 100, 0), "192.0.2.9"));
        let later = now + Duration::from_secs(3);
        router.advertisement(later, &terms, &heard(bid(1, 101, 0), "192.0.2.8"));
        dues.push(router.deadline().unwrap().saturating_since(later));
    }
    let micros: Vec<u128> = dues.iter().map(Duration::as_micros).collect();
    assert_eq!(micros, [46_875, 50_781]);
}

/// What is changed by a reload or an operator changes the timers of both families by as much.
#[test]
fn families_stay_apart_when_something_changes() {
    let old = terms(Profile::Any, false, 0, true);
    let new = terms(Profile::Any, false, 40, true);
    let mut router = VirtualRouter::default();
    router.startup(START, &old);
    let down = Duration::from_micros(3_390_625);
    let now = START + Duration::from_secs(1);
    router.advertisement(now, &old, &heard(bid(1, 0, 0), "fe80::9"));
    assert_eq!(router.deadline(), Some(START + down));
    router.revise(now, &old, &new);
    assert_eq!(router.deadline(), Some(START + down));
    let later = now + Duration::from_secs(1);
    router.advertisement(later, &new, &heard(bid(1, 0, 0), "192.0.2.9"));
    assert_eq!(router.deadline(), Some(now + down), "that of IPv6");
}

/// After a bow-out there is hurry in both families, until somebody is heard in either.
#[test]
fn whoever_is_heard_after_a_bow_out_is_followed_in_both_families() {
    let terms = terms(Profile::Any, false, 0, true);
    let mut router = VirtualRouter::default();
    router.startup(START, &terms);
    let now = START + Duration::from_secs(1);
    router.advertisement(now, &terms, &heard(bid(255, 255, 0), "192.0.2.9"));
    let soon = router.deadline().unwrap();
    assert!(soon.saturating_since(now) < Duration::from_millis(16));
    router.advertisement(now, &terms, &heard(bid(1, 0, 0), "192.0.2.8"));
    let down = Duration::from_micros(3_390_625);
    assert_eq!(router.deadline(), Some(now + down));
}

/// Each family has a timer, which only its own advertisements move.
#[test]
fn a_family_that_falls_silent_is_noticed() {
    let terms = terms(Profile::Any, false, 0, true);
    let mut router = VirtualRouter::default();
    router.startup(START, &terms);
    let down = Duration::from_micros(3_390_625);
    let mut now = START;
    for _ in 0..3 {
        now = now + Duration::from_secs(1);
        for source in ["192.0.2.9", "fe80::9"] {
            router.advertisement(now, &terms, &heard(bid(1, 0, 0), source));
        }
        assert_eq!(router.deadline(), Some(now + down));
    }
    let last_of_v6 = now;
    for _ in 0..3 {
        now = now + Duration::from_secs(1);
        router.advertisement(now, &terms, &heard(bid(1, 0, 0), "192.0.2.9"));
        assert_eq!(router.deadline(), Some(last_of_v6 + down));
    }
    let step = router.timeout(last_of_v6 + down, &terms);
    assert_eq!(step.send, Some(Send::Regular));
    assert!(matches!(router.state(), State::Active(_)));
}

fn plan(advskew: u8, addresses: &[&str], secret: &str) -> RouterPlan {
    let addresses: Vec<VirtualAddress> = addresses
        .iter()
        .map(|text| {
            let ip: IpAddr = text.parse().unwrap();
            let prefix_len = if ip.is_ipv4() { 24 } else { 64 };
            VirtualAddress { ip, prefix_len }
        })
        .collect();
    let family = Family::of(addresses[0].ip);
    RouterPlan {
        dialect: Dialect::Carp,
        priority: priority(advskew),
        carp: Some(CarpPlan {
            passphrase: passphrase(secret),
            ..carp(advskew, Profile::Any)
        }),
        ..RouterPlan::new("fw", "eth0", Vrid::new(7).unwrap(), family, addresses)
    }
}

/// One machine on a link with others, and what it says.
struct Machine {
    engine: Engine,
    said: Vec<Transmit>,
    happened: Vec<Happening>,
}

impl Machine {
    fn new(host: u8, plan: RouterPlan) -> Self {
        let plan = Plan {
            routers: vec![plan],
            ..Plan::default()
        };
        let mut machine = Self {
            engine: Engine::new(&plan, START),
            said: Vec::new(),
            happened: Vec::new(),
        };
        machine.drain();
        machine
            .engine
            .count_from(1_790_000_000 << 32 | u64::from(host));
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, host]),
            ipv4: vec![([192, 0, 2, host].into(), 24)],
            link_local: vec![format!("fe80::{host}").parse().unwrap()],
        };
        let link = Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        };
        machine.engine.handle(START, link);
        machine.drain();
        machine
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => self.said.push(transmit),
                Output::Event(Event { happening, .. }) => self.happened.push(happening),
                Output::Announce(_) | Output::Desired(..) => {}
            }
        }
    }

    fn role(&self) -> Role {
        self.engine.status().next().unwrap().role
    }

    fn run(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        self.drain();
    }

    fn hear(&mut self, now: Instant, transmit: &Transmit) {
        let envelope = Envelope {
            source: transmit.source,
            destination: transmit.destination,
            hop_limit: 255,
        };
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message: &transmit.message,
        };
        self.engine.handle(now, Input::Datagram(datagram));
        self.drain();
    }

    /// Until it is Active, alone.
    fn alone(mut self) -> (Self, Instant) {
        let due = self.engine.poll_timeout().unwrap().at;
        self.run(due);
        assert_eq!(self.role(), Role::Active);
        (self, due)
    }
}

const BOTH: &[&str] = &["192.0.2.254", "2001:db8::1", "fe80::5eff:fe00:107"];

#[test]
fn a_group_of_both_families_says_the_same_twice() {
    let (machine, _) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let said: Vec<(String, String)> = machine
        .said
        .iter()
        .map(|it| (it.source.to_string(), it.destination.to_string()))
        .collect();
    assert_eq!(
        said,
        [
            ("192.0.2.1".into(), "224.0.0.18".into()),
            ("fe80::1".into(), "ff02::12".into())
        ]
    );
    assert_eq!(machine.said[0].message, machine.said[1].message);
    let mac = Some(MacAddress([0, 0, 0x5e, 0, 1, 7]));
    assert!(machine.said.iter().all(|it| it.mac == mac));
}

/// Both addresses of it are one router, so nobody else is followed from one advertisement to the next.
#[test]
fn whom_a_group_of_both_families_follows_is_said_once() {
    let (mut one, mut now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let mut other = Machine::new(2, plan(50, BOTH, "secret"));
    for _ in 0..4 {
        now = now + Duration::from_secs(1);
        one.run(now);
        for transmit in one.said.drain(..) {
            other.hear(now, &transmit);
        }
    }
    let follows = |it: &&Happening| matches!(it, Happening::FollowedActive { .. });
    let said: Vec<String> = other
        .happened
        .iter()
        .filter(follows)
        .map(ToString::to_string)
        .collect();
    assert_eq!(said, ["follows 192.0.2.1, advbase 1, advskew 0"]);
}

#[test]
fn no_advertisement_is_said_twice_and_counters_go_on_from_what_was_heard() {
    let (mut one, mut now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let (mut other, _) = Machine::new(2, plan(50, BOTH, "secret")).alone();
    for _ in 0..4 {
        now = now + Duration::from_secs(1);
        one.run(now);
    }
    let counter = |it: &Transmit| u64::from_be_bytes(it.message[8..16].try_into().unwrap());
    let mine: Vec<u64> = one.said.iter().step_by(2).map(counter).collect();
    assert!(mine.windows(2).all(|two| two[0] < two[1]), "{mine:?}");
    let highest = *mine.last().unwrap();
    other.said.clear();
    for transmit in &one.said {
        other.hear(now, transmit);
    }
    assert_eq!(other.role(), Role::Backup);
    let due = other.engine.poll_timeout().unwrap().at;
    other.run(due);
    assert!(counter(&other.said[0]) > highest);
}

#[test]
fn a_pair_elects_the_faster_one_and_takes_over_after_a_bow_out() {
    let (mut one, now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let mut other = Machine::new(2, plan(50, BOTH, "secret"));
    for transmit in one.said.drain(..) {
        other.hear(now, &transmit);
    }
    let now = now + Duration::from_millis(500);
    one.engine.handle(now, Input::Shutdown);
    one.drain();
    let bids: Vec<[u8; 2]> = one
        .said
        .iter()
        .map(|it| [it.message[2], it.message[5]])
        .collect();
    assert_eq!(bids, [[255, 255]; 2]);
    for transmit in one.said.drain(..) {
        other.hear(now, &transmit);
    }
    let due = other.engine.poll_timeout().unwrap().at;
    assert!(due.saturating_since(now) < Duration::from_millis(20));
    other.run(due);
    assert_eq!(other.role(), Role::Active);
    let last = other.happened.last().unwrap();
    assert!(
        matches!(
            last,
            Happening::Role {
                reason: Reason::Released,
                ..
            }
        ),
        "{last:?}"
    );
}

#[test]
fn who_comes_back_preempts_if_it_may() {
    for preempt in [true, false] {
        let (mut one, mut now) = Machine::new(1, plan(100, BOTH, "secret")).alone();
        let mut better = Machine::new(
            2,
            RouterPlan {
                preempt,
                ..plan(0, BOTH, "secret")
            },
        );
        now = now + Duration::from_millis(1390);
        one.run(now);
        for transmit in &one.said {
            better.hear(now, transmit);
        }
        better.run(now);
        let expected = if preempt { Role::Active } else { Role::Backup };
        assert_eq!(better.role(), expected);
        for transmit in &better.said {
            one.hear(now, transmit);
        }
        let expected = if preempt { Role::Backup } else { Role::Active };
        assert_eq!(one.role(), expected);
    }
}

#[test]
fn a_drain_is_a_bow_out_and_demotion() {
    let (mut one, now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let mut other = Machine::new(2, plan(50, BOTH, "secret"));
    one.said.clear();
    let terms = Standing {
        until: None,
        note: vrrp_proto::Note::default(),
    };
    // There is no kernel here that would say that the addresses are in place.
    let drain = Order::Drain { force: true, terms };
    one.engine.operate(now, "fw", drain).unwrap();
    one.drain();
    for transmit in one.said.drain(..) {
        other.hear(now, &transmit);
    }
    let due = other.engine.poll_timeout().unwrap().at;
    other.run(due);
    assert_eq!(other.role(), Role::Active);
    for transmit in other.said.drain(..) {
        one.hear(due, &transmit);
    }
    assert_eq!(one.role(), Role::Backup);
    let rules = one.engine.status().next().unwrap().rules.unwrap();
    assert_eq!((rules.own.advskew, rules.own.demotion), (240, 253));
}

#[test]
fn what_is_refused_is_counted_and_said() {
    let (one, now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let good = &one.said[0];
    let envelope = |change: fn(&mut Envelope)| {
        let mut envelope = Envelope {
            source: good.source,
            destination: good.destination,
            hop_limit: 255,
        };
        change(&mut envelope);
        envelope
    };
    let flipped = |byte: usize| {
        let mut message = good.message.to_vec();
        message[byte] ^= 1;
        message
    };
    let vrrp2 = vrrp_proto::packet::Advertisement {
        dialect: Dialect::Vrrp2,
        vrid: Vrid::new(7).unwrap(),
        priority: Priority::OWNER,
        interval: Interval::DEFAULT,
        addresses: &[[192, 0, 2, 254].into(); 5],
        authentication: None,
    }
    .emit(ChecksumForm::Rfc9568, good.source, good.destination);
    let rows: Vec<(Envelope, Vec<u8>, Reject, &str)> = vec![
        (
            envelope(|it| it.hop_limit = 254),
            good.message.to_vec(),
            Reject::HopLimit,
            "secret",
        ),
        (
            envelope(|_| ()),
            good.message[..35].to_vec(),
            Reject::Short,
            "secret",
        ),
        (envelope(|_| ()), flipped(30), Reject::Checksum, "secret"),
        (envelope(|_| ()), vrrp2, Reject::VrrpHere, "secret"),
        (
            envelope(|_| ()),
            good.message.to_vec(),
            Reject::Digest,
            "Secret",
        ),
        (
            envelope(|it| it.source = [192, 0, 2, 2].into()),
            good.message.to_vec(),
            Reject::Looped,
            "secret",
        ),
        (
            envelope(|it| it.destination = [192, 0, 2, 2].into()),
            good.message.to_vec(),
            Reject::Mode,
            "secret",
        ),
    ];
    for (envelope, message, reject, secret) in rows {
        let mut other = Machine::new(2, plan(50, BOTH, secret));
        other.happened.clear();
        let before = other.engine.poll_timeout().unwrap().at;
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message: &message,
        };
        other.engine.handle(now, Input::Datagram(datagram));
        other.drain();
        let said = other.happened.pop();
        assert!(
            matches!(said, Some(Happening::Refused { reject: it, .. }) if it == reject),
            "{reject:?}: {said:?}"
        );
        assert_eq!(other.engine.poll_timeout().unwrap().at, before);
        let counted = other
            .engine
            .status()
            .next()
            .unwrap()
            .statistics
            .auth_failures;
        assert_eq!(counted, u64::from(reject == Reject::Digest));
    }
}

/// The list of addresses is covered, in whatever order, with or without those that are link-local.
#[test]
fn another_list_of_addresses_is_another_group() {
    let (one, now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    for (addresses, accepted) in [
        (&["192.0.2.254", "2001:db8::1"][..], true),
        (&["2001:db8::1", "192.0.2.254"][..], true),
        (&["192.0.2.254", "192.0.2.253", "2001:db8::1"][..], false),
        (&["192.0.2.254"][..], false),
    ] {
        let mut other = Machine::new(2, plan(50, addresses, "secret"));
        other.hear(now, &one.said[0]);
        let heard = other
            .engine
            .status()
            .next()
            .unwrap()
            .statistics
            .advertisement_rcvd;
        assert_eq!(heard, u64::from(accepted), "{addresses:?}");
    }
}

/// A successor goes on with the counter, and one after a crash says nothing that was said already.
#[test]
fn a_counter_outlives_its_process() {
    let (machine, now) = Machine::new(1, plan(0, BOTH, "secret")).alone();
    let counter = |it: &Transmit| u64::from_be_bytes(it.message[8..16].try_into().unwrap());
    let last = counter(machine.said.last().unwrap());
    for crashed in [false, true] {
        let mut handover = machine.engine.save();
        if crashed {
            handover.revive(now, |_| vrrp_proto::Trace {
                sent: Some(now),
                ..vrrp_proto::Trace::default()
            });
        }
        let text = serde_json::to_string(&handover).unwrap();
        assert!(!text.contains("secret"));
        let mut heir = Machine {
            engine: Engine::resume(serde_json::from_str(&text).unwrap()),
            said: Vec::new(),
            happened: Vec::new(),
        };
        heir.drain();
        heir.run(now + Duration::from_secs(1));
        let next = counter(&heir.said[0]);
        assert_eq!(next == last + 1, !crashed);
        assert!(next > last);
        let mut other = Machine::new(2, plan(50, BOTH, "secret"));
        other.hear(now, &heir.said[0]);
        let status = other.engine.status().next().unwrap();
        assert_eq!(status.statistics.advertisement_rcvd, 1);
    }
}
