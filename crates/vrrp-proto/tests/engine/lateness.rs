//! The lateness guard: an Active that was silent for longer than the down interval has been replaced, and stands back
//! before it says anything.

use crate::bench::*;
use vrrp_proto::*;

/// Active_Down_Interval of priority 100 at 1 s (RFC 9568 §6.1): what the quickest Backup below us waits at least.
const DOWN: core::time::Duration = core::time::Duration::from_micros(3_609_375);

#[test]
fn late_but_not_too_late_goes_on() {
    let mut bench = Bench::active(plan());
    bench.sleep(DOWN);
    let did = bench.tick();
    assert_eq!(did.sent(), [100], "one, not the three that were missed");
    assert_eq!(bench.role(), Role::Active);
    assert_eq!(bench.timer(), Some(millis(1_000)));
}

#[test]
fn too_late_stands_back_without_a_word() {
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::active(plan);
        bench.sleep(DOWN + micros(1));
        let did = bench.tick();
        assert!(did.sent().is_empty());
        assert_eq!(did.announced(), 0);
        assert_eq!(did.said(), ["late", "role"]);
        assert_eq!(
            did.transitions(),
            [(Role::Active, Role::Backup, Reason::Late)]
        );
        assert!(!did.desired()[0].unwrap().active);
        assert_eq!(
            bench.timer(),
            Some(DOWN),
            "it listens before it takes over again"
        );
    }
}

#[test]
fn the_mailbox_is_read_by_a_backup() {
    // The packets that queued up in the stall come first; the first of them already finds a Backup.
    let mut bench = Bench::active(plan());
    bench.sleep(millis(10_000));
    let did = bench.hear_priority(50);
    assert!(did.sent().is_empty(), "a zombie does not answer");
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(bench.statistics().conflicts, 0);
}

#[test]
fn a_late_owner_stands_back_too_and_returns() {
    let mut facts = facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    let mut bench = Bench::cold([with_priority(255, plan())]);
    bench.link(Some(&facts));
    bench.sleep(millis(60_000));
    assert_eq!(bench.tick().sent(), [0; 0]);
    assert_eq!(bench.role(), Role::Backup);
    // RFC 9568 §6.1: Skew_Time of priority 255 is 1/256 of the interval.
    assert_eq!(
        bench.timer(),
        Some(micros(3_003_906) + core::time::Duration::from_nanos(250))
    );
    bench.wake();
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn a_late_backup_that_heard_nothing_takes_over() {
    let mut bench = Bench::backup(plan());
    bench.sleep(millis(60_000));
    assert_eq!(bench.tick().sent(), [100]);
}

#[test]
fn no_input_makes_a_late_active_speak() {
    // Also a reload or a stop that is read before the timers is read by somebody who has been replaced.
    let late = || {
        let mut bench = Bench::active(plan());
        bench.sleep(millis(10_000));
        bench
    };
    let mut bench = late();
    assert_eq!(bench.reload([with_priority(150, plan())]).sent(), [0; 0]);
    assert_eq!(bench.role(), Role::Backup);
    let mut bench = late();
    assert_eq!(bench.shutdown().sent(), [0; 0]);
    assert_eq!(bench.role(), Role::Initialize);
}

#[test]
fn who_stands_back_knows_no_active_until_it_hears_one() {
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    let peer = Some((ip("192.0.2.200"), Priority::new(200)));
    assert_eq!(bench.status().active, peer);
    bench.wake();
    let ourselves = Some((ip("192.0.2.11"), Priority::new(100)));
    assert_eq!(bench.status().active, ourselves);
    bench.sleep(millis(10_000));
    bench.tick();
    assert_eq!(
        bench.status().active,
        None,
        "what it once followed is history"
    );
    assert_eq!(bench.hear_priority(200).said(), ["followed-active"]);
    assert_eq!(bench.status().active, peer);
}

#[test]
fn what_a_reload_sent_counts() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(3_000));
    let faster = RouterPlan {
        interval: centis(200),
        ..plan()
    };
    assert_eq!(bench.reload([faster]).sent(), [100]);
    // Silent since then for less than its down interval, since before it for more.
    bench.sleep(millis(5_500));
    bench.tick();
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn what_an_answer_said_counts() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(3_000));
    assert_eq!(bench.hear_priority(50).sent(), [100]);
    bench.sleep(millis(2_500));
    bench.tick();
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn a_whole_interval_late_is_worth_announcing_again_and_less_is_not() {
    for (late, announced) in [(millis(1_000), 0), (millis(1_000) + micros(1), 1)] {
        let mut bench = Bench::active(plan());
        bench.run(millis(20_000));
        let due = bench.engine.poll_timeout().unwrap().at;
        bench.sleep(due.saturating_since(bench.now) + late);
        assert_eq!(bench.tick().announced(), announced, "{late:?}");
    }
}
