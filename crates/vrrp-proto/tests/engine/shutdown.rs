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
    let gone = did
        .desired()
        .iter()
        .filter(|desired| desired.is_none())
        .count();
    assert_eq!(gone, 250);
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
