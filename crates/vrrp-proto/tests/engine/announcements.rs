//! Announcements: after the kernel has the addresses, and never before (RFC 9568 §8.1.2, §8.2.2).

use crate::bench::*;
use vrrp_proto::*;

/// An Active whose kernel has said nothing yet, and the generation it waits for.
fn fresh() -> (Bench, u64) {
    let mut bench = Bench::backup(plan());
    let did = bench.wake();
    let generation = did.desired()[0].unwrap().generation.0;
    (bench, generation)
}

#[test]
fn the_advertisement_leaves_before_the_kernel_is_asked() {
    // RFC 9568 §6.4.2: send an advertisement, then announce.
    let mut bench = Bench::backup(plan());
    assert_eq!(bench.wake().kinds(), "TDe");
}

#[test]
fn nothing_is_announced_before_the_kernel_reports() {
    let (mut bench, _) = fresh();
    let seen = bench.run(millis(10_000));
    assert!(
        !seen
            .iter()
            .any(|(_, output)| matches!(output, Output::Announce(_)))
    );
}

#[test]
fn a_report_about_an_older_generation_is_not_believed() {
    let (mut bench, generation) = fresh();
    bench.kernel(generation - 1, &KernelReport::Applied);
    assert_eq!(bench.tick().announced(), 0);
    assert!(!bench.status().applied);
    bench.kernel(generation + 1, &KernelReport::Applied);
    assert_eq!(bench.tick().announced(), 0);
    bench.kernel(generation, &KernelReport::Applied);
    assert_eq!(bench.tick().announced(), 1);
    assert!(bench.status().applied);
}

#[test]
fn a_burst_of_five() {
    let (mut bench, generation) = fresh();
    bench.kernel(generation, &KernelReport::Applied);
    let begin = bench.now;
    let rounds: Vec<u128> = bench
        .run(millis(3_600_000))
        .iter()
        .filter(|(_, output)| matches!(output, Output::Announce(_)))
        .map(|(at, _)| at.saturating_since(begin).as_millis())
        .collect();
    assert_eq!(rounds, [0, 1000, 2000, 5000, 6000]);
    assert_eq!(bench.statistics().announcements_sent, 5);
}

#[test]
fn a_repeated_report_begins_no_second_burst() {
    let (mut bench, generation) = fresh();
    bench.kernel(generation, &KernelReport::Applied);
    bench.tick();
    bench.kernel(generation, &KernelReport::Applied);
    assert_eq!(bench.tick().announced(), 0);
}

#[test]
fn a_backup_announces_nothing() {
    // RFC 9568 §6.4.2
    let mut bench = Bench::active(plan());
    bench.hear_priority(200);
    assert_eq!(bench.role(), Role::Backup);
    bench.applied();
    for _ in 0..10 {
        bench.sleep(millis(500));
        bench.hear_priority(200);
        assert_eq!(bench.tick().announced(), 0);
    }
}

#[test]
fn an_announcement_names_addresses_and_virtual_mac() {
    // RFC 9568 §7.3, §8.1.2
    for (plan, mac) in [
        (plan(), "00:00:5e:00:01:33"),
        (plan_v6(), "00:00:5e:00:02:33"),
    ] {
        let list: Vec<_> = plan.addresses.iter().map(|address| address.ip).collect();
        let mut bench = Bench::backup(plan);
        bench.wake();
        bench.applied();
        let did = bench.tick();
        let [Output::Announce(announce)] = &did.0[..] else {
            panic!("{did:?}");
        };
        assert_eq!(announce.mac.unwrap().to_string(), mac);
        assert_eq!(&announce.addresses[..], &list[..]);
    }
}

#[test]
fn without_virtual_mac_the_interface_announces_its_own() {
    let plan = RouterPlan {
        virtual_mac: false,
        ..plan()
    };
    let mut bench = Bench::backup(plan);
    let did = bench.wake();
    assert_eq!(did.transmits()[0].mac, None);
    assert_eq!(did.desired()[0].unwrap().mac, None);
}

#[test]
fn a_repair_is_announced_at_once() {
    let mut bench = Bench::active(plan());
    bench.run(millis(3_000));
    let did = bench.input(Input::Upkeep {
        router: ID,
        upkeep: &Upkeep::Repaired("192.0.2.254/24".into()),
    });
    assert_eq!(did.said(), ["repaired"]);
    assert_eq!(bench.tick().announced(), 1);
    assert_eq!(bench.statistics().repairs, 1);
}

#[test]
fn after_a_gap_of_its_own_an_active_announces_again() {
    // Later than one interval, earlier than the Active_Down_Interval: nobody has replaced it, but somebody may have begun to.
    let mut bench = Bench::active(plan());
    bench.run(millis(10_000));
    bench.sleep(millis(2_500));
    assert_eq!(bench.tick().announced(), 1);
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn a_new_mac_or_index_of_the_interface_is_announced_at_once() {
    for change in [
        |facts: &mut LinkFacts| facts.mac = MacAddress([2, 0, 0, 0, 0, 0x99]),
        |facts: &mut LinkFacts| facts.index = 7,
    ] {
        let mut bench = Bench::active(plan());
        bench.run(millis(6_500));
        bench.reload([RouterPlan {
            announce_refresh: Some(millis(60_000)),
            ..plan()
        }]);
        bench.run(millis(6_500));
        let mut facts = facts();
        change(&mut facts);
        bench.link(Some(&facts));
        assert_eq!(bench.tick().announced(), 1);
    }
}

#[test]
fn new_addresses_are_not_announced_before_the_kernel_has_them() {
    // Found by seed 1115: the old burst went on with the new addresses.
    let mut bench = Bench::active(plan());
    let did = bench.reload([RouterPlan {
        addresses: addresses(&["192.0.2.254", "192.0.2.253"]),
        ..plan()
    }]);
    assert_eq!(did.kinds(), "TDe", "the advertisement first");
    let early = bench.run(millis(900));
    assert!(
        !early
            .iter()
            .any(|(_, output)| matches!(output, Output::Announce(_))),
        "{early:?}"
    );
    bench.applied();
    let did = bench.tick();
    let [Output::Announce(announce)] = &did.0[..] else {
        panic!("{did:?}");
    };
    assert_eq!(announce.addresses.len(), 2);
}

#[test]
fn a_little_lateness_is_not_announced() {
    let mut bench = Bench::active(plan());
    bench.run(millis(10_000));
    bench.sleep(millis(1_900));
    let did = bench.tick();
    assert_eq!((did.sent().len(), did.announced()), (1, 0));
}
