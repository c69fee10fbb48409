//! Shutdown: everybody falls silent before the kernel is asked for anything, and nothing comes back.

use crate::bench::*;
use vrrp_proto::*;

fn many() -> Vec<RouterPlan> {
    (1..=250_u8)
        .map(|vrid| RouterPlan {
            name: format!("r{vrid}"),
            vrid: Vrid::new(vrid).unwrap(),
            ..plan()
        })
        .collect()
}

#[test]
fn all_releases_leave_before_the_first_work_for_the_kernel() {
    let mut bench = Bench::of(many());
    bench.run(millis(5_000));
    assert!(
        bench
            .engine
            .status()
            .all(|status| status.role == Role::Active)
    );
    let did = bench.shutdown();
    assert_eq!(did.sent(), [0; 250]);
    let kinds = did.kinds();
    let last_release = kinds.rfind('T').unwrap();
    let first_work = kinds.find('D').unwrap();
    assert!(last_release < first_work);
    assert_eq!(gone(&did), 250);
}

fn gone(did: &Did) -> usize {
    did.desired()
        .iter()
        .filter(|desired| desired.is_none())
        .count()
}

#[test]
fn an_active_keeps_its_addresses_until_its_successor_is_heard() {
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::active(plan);
        assert!(!bench.engine.is_stopped());
        let did = bench.shutdown();
        assert_eq!(did.sent(), [0]);
        assert_eq!(did.said(), ["role"]);
        assert!(did.desired().is_empty(), "{did:?}");
        assert_eq!(bench.role(), Role::Initialize);
        assert!(bench.status().leaving && !bench.engine.is_stopped());

        bench.sleep(millis(600));
        assert!(bench.hear_priority(0).desired().is_empty(), "nobody yet");
        let did = bench.hear_priority(50);
        assert_eq!(did.said(), ["left"]);
        assert_eq!(gone(&did), 1);
        assert!(bench.engine.is_stopped());
        assert!(bench.hear_priority(50).nothing());
        assert_eq!(bench.engine.poll_timeout(), None);
    }
}

#[test]
fn and_no_longer_than_a_successor_needs() {
    // The longest Skew_Time, 255/256 of the interval or of a second, and a tenth of it.
    let quick = RouterPlan {
        interval: centis(10),
        ..plan()
    };
    for (plan, time) in [
        (plan(), micros(1_095_703)),
        (quick, micros(109_570)),
        (plan_v2(), micros(1_095_703)),
    ] {
        let mut bench = Bench::active(plan);
        bench.shutdown();
        let due = bench.engine.poll_timeout().unwrap();
        assert_eq!(due.timer, engine::Timer::Leaving);
        // The rest of a microsecond.
        assert_eq!(due.at.saturating_since(bench.now + time).as_micros(), 0);
        assert!(bench.run(time).is_empty());
        let did = bench.wake();
        assert_eq!((did.said(), gone(&did)), (vec!["left"], 1));
        assert!(bench.engine.is_stopped());
        assert_eq!(bench.engine.poll_timeout(), None);
    }
}

#[test]
fn a_second_shutdown_waits_for_nobody() {
    let mut bench = Bench::active(plan());
    bench.shutdown();
    let did = bench.shutdown();
    assert_eq!((did.said(), gone(&did)), (vec!["left"], 1));
    assert!(bench.engine.is_stopped());
}

#[test]
fn without_addresses_there_is_nothing_to_keep() {
    let mut bench = Bench::of([plan()]);
    bench.wake();
    assert!(!bench.status().applied);
    let did = bench.shutdown();
    assert_eq!(did.sent(), [0]);
    assert_eq!(did.desired().last(), Some(&None));
    assert!(bench.engine.is_stopped());
}

#[test]
fn who_leaves_announces_nothing_any_more() {
    let mut bench = Bench::active(plan());
    bench.shutdown();
    let seen = bench.run(millis(1_095));
    assert!(seen.is_empty(), "{seen:?}");
}

#[test]
fn a_backup_goes_without_a_word() {
    // RFC 9568 §6.4.2, RFC 3768 §6.4.2
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::backup(plan);
        let did = bench.shutdown();
        assert!(did.sent().is_empty());
        assert_eq!(
            did.transitions(),
            [(Role::Backup, Role::Initialize, Reason::Shutdown)]
        );
    }
}

#[test]
fn an_active_says_farewell_once() {
    // RFC 9568 §6.4.3, RFC 3768 §6.4.3
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::active(plan);
        assert_eq!(bench.shutdown().sent(), [0]);
        assert_eq!(bench.shutdown().sent(), [0; 0]);
        assert_eq!(bench.statistics().priority_zero_pkts_sent, 1);
    }
}

#[test]
fn nothing_comes_back() {
    let mut bench = Bench::active(plan());
    bench.shutdown();
    bench.wake();
    let mut did = vec![
        bench.link(None),
        bench.link(Some(&facts())),
        bench.applied(),
        bench.hear_priority(50),
    ];
    did.push(bench.reload([plan(), with_priority(200, plan_v6())]));
    did.push(bench.tick());
    for did in did {
        assert!(
            did.sent().is_empty() && did.transitions().is_empty(),
            "{did:?}"
        );
        assert!(did.desired().is_empty(), "{did:?}");
    }
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn nor_does_a_router_that_waits_for_its_kernel() {
    let mut bench = Bench::active(plan());
    bench.refused("no buffer space");
    bench.shutdown();
    assert!(bench.run(millis(120_000)).is_empty());
    assert_eq!(bench.role(), Role::Initialize);
}
