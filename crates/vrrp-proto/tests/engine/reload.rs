//! Reload: what did not change is not touched, what changed goes on, what is gone gives up.

use crate::bench::*;
use vrrp_proto::*;

fn named(name: &str, vrid: u8) -> RouterPlan {
    RouterPlan {
        name: name.into(),
        vrid: Vrid::new(vrid).unwrap(),
        ..plan()
    }
}

#[test]
fn the_same_configuration_is_no_input_at_all() {
    for mut bench in [
        Bench::cold([plan()]),
        Bench::backup(plan()),
        Bench::active(plan()),
    ] {
        let before = bench.engine.poll_timeout();
        assert!(bench.reload([plan()]).nothing());
        assert_eq!(bench.engine.poll_timeout(), before);
    }
}

#[test]
fn the_order_of_routers_means_nothing() {
    let mut bench = Bench::of([named("a", 1), named("b", 2)]);
    assert!(bench.reload([named("b", 2), named("a", 1)]).nothing());
}

#[test]
fn a_new_router_starts_and_its_neighbours_do_not_notice() {
    let mut bench = Bench::active(plan());
    let did = bench.reload([plan(), named("new", 60)]);
    assert_eq!(did.said(), ["added", "role"]);
    assert_eq!(
        did.transitions(),
        [(Role::Initialize, Role::Backup, Reason::Startup)]
    );
    assert_eq!(bench.status_of("wan4").role, Role::Active);
}

#[test]
fn a_router_that_is_gone_releases_and_leaves_nothing() {
    let mut bench = Bench::active(plan());
    let did = bench.reload([]);
    assert_eq!(did.sent(), [0]);
    assert_eq!(
        did.transitions(),
        [(Role::Active, Role::Initialize, Reason::Removed)]
    );
    assert!(did.desired().is_empty(), "its addresses stay: {did:?}");
    assert_eq!(bench.engine.status().count(), 0);
    assert_eq!(bench.engine.retiring().count(), 1);
    assert!(bench.hear(&Packet::of(&plan(), 0)).nothing(), "nobody yet");
    let did = bench.hear(&Packet::of(&plan(), 50));
    assert_eq!(did.said(), ["left"]);
    assert_eq!(did.desired(), [None]);
    assert_eq!(bench.engine.retiring().count(), 0);
    assert_eq!(bench.engine.poll_timeout(), None);
    assert!(bench.hear(&Packet::of(&plan(), 200)).nothing());
    assert_eq!(bench.engine.statistics().vrid_errors, 1);

    let mut bench = Bench::backup(plan());
    assert!(
        bench.reload([]).sent().is_empty(),
        "RFC 9568 §6.4.2: a Backup says nothing"
    );
}

#[test]
fn where_nobody_takes_over_it_keeps_its_addresses_no_longer_than_a_successor_needs() {
    // The longest Skew_Time, 255/256 of a second, and a tenth of it.
    let mut bench = Bench::active(plan());
    bench.reload([]);
    assert!(bench.run(micros(1_095_703)).is_empty());
    let did = bench.wake();
    assert_eq!((did.said(), did.desired()), (vec!["left"], vec![None]));
    assert_eq!(bench.engine.retiring().count(), 0);
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn nothing_brings_it_back_while_it_retires() {
    let mut bench = Bench::active(plan());
    bench.reload([]);
    for did in [
        bench.link(Some(&LinkFacts {
            carrier: false,
            ..facts()
        })),
        bench.link(Some(&facts())),
        bench.refused("no buffer space"),
        bench.reload([]),
        bench.tick(),
    ] {
        assert!(did.nothing(), "{did:?}");
    }
    assert_eq!(bench.engine.retiring().count(), 1);
    let did = bench.shutdown();
    assert_eq!((did.said(), did.desired()), (vec!["left"], vec![None]));
    assert!(bench.engine.is_stopped());
}

#[test]
fn a_router_that_comes_back_while_it_retires_begins_anew() {
    let mut bench = Bench::active(plan());
    bench.reload([]);
    let did = bench.reload([plan()]);
    assert_eq!(did.said(), ["left", "added", "role"]);
    let desired = did.desired();
    assert!(desired[0].is_none() && desired[1].is_some(), "{did:?}");
    assert_eq!(bench.engine.retiring().count(), 0);
    bench.hear_priority(200);
    assert_eq!(bench.statistics().advertisement_rcvd, 1);
}

#[test]
fn what_somebody_else_here_is_to_have_is_not_kept() {
    // Its addresses under another identifier, or another version of it.
    for new in [named("wan4", 52), plan_v2()] {
        let mut bench = Bench::active(plan());
        let did = bench.reload([new]);
        assert_eq!(did.sent(), [0]);
        assert!(did.desired().contains(&None), "{did:?}");
        assert_eq!(bench.engine.retiring().count(), 0);
    }
}

#[test]
fn what_was_virtual_is_no_source_before_it_has_gone() {
    let other = RouterPlan {
        addresses: addresses(&["192.0.2.11"]),
        priority: Priority::OWNER,
        ..named("other", 52)
    };
    let mut bench = Bench::of([plan(), other]);
    for generation in (0..64).map(Generation) {
        bench.input(Input::Kernel {
            router: RouterId(1),
            generation,
            report: &KernelReport::Applied,
        });
    }
    assert_eq!(bench.status_of("wan4").role, Role::Initialize);
    bench.reload([plan()]);
    assert_eq!(bench.engine.retiring().count(), 1);
    assert_eq!(bench.role(), Role::Initialize);
    bench.run(millis(1_200));
    assert_eq!(bench.engine.retiring().count(), 0);
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn a_new_name_keeps_role_and_timer() {
    let mut bench = Bench::active(plan());
    let before = bench.status().deadline;
    let did = bench.reload([named("renamed", 51)]);
    assert!(did.transitions().is_empty() && did.sent().is_empty());
    assert_eq!(did.desired()[0].unwrap().name, "renamed");
    assert!(did.desired()[0].unwrap().active);
    assert_eq!(bench.status().deadline, before);
    assert_eq!(bench.statistics().master_transitions, 1);
}

struct Row {
    what: &'static str,
    change: fn(&mut RouterPlan),
    /// The Active advertises the news at once.
    advertises: bool,
    /// The kernel has something to do.
    publishes: bool,
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { what: "priority",       change: |p| p.priority = Priority::new(150),                      advertises: true,  publishes: false },
    Row { what: "interval",       change: |p| p.interval = Interval::from_secs(2).unwrap(),         advertises: true,  publishes: true },
    Row { what: "addresses",      change: |p| p.addresses = addresses(&["192.0.2.253"]),            advertises: true,  publishes: true },
    Row { what: "checksum",       change: |p| p.checksum.send = Some(ChecksumForm::Rfc5798),        advertises: true,  publishes: false },
    Row { what: "peers",          change: |p| p.unicast_peers = vec![ip("192.0.2.12")],             advertises: true,  publishes: false },
    Row { what: "virtual MAC",    change: |p| p.virtual_mac = false,                                advertises: true,  publishes: true },
    Row { what: "data plane",     change: |p| p.data_plane = DataPlane::Ebpf,                       advertises: false, publishes: true },
    Row { what: "accept",         change: |p| p.accept = false,                                     advertises: false, publishes: true },
    Row { what: "preempt",        change: |p| p.preempt = false,                                    advertises: false, publishes: false },
    Row { what: "preempt delay",  change: |p| p.preempt_delay = millis(5),                          advertises: false, publishes: false },
    Row { what: "refresh",        change: |p| p.announce_refresh = Some(millis(60_000)),            advertises: false, publishes: false },
];

#[test]
fn a_changed_router_keeps_its_role() {
    for row in ROWS {
        let mut changed = plan();
        (row.change)(&mut changed);
        for mut bench in [Bench::backup(plan()), Bench::active(plan())] {
            let was = bench.role();
            let did = bench.reload([changed.clone()]);
            assert_eq!(bench.role(), was, "{}", row.what);
            assert!(did.transitions().is_empty(), "{}", row.what);
            assert_eq!(*did.said().last().unwrap(), "revised", "{}", row.what);
            assert_eq!(
                !did.desired().is_empty(),
                row.publishes,
                "{} {was}",
                row.what
            );
            let advertised = was == Role::Active && row.advertises;
            assert_eq!(!did.sent().is_empty(), advertised, "{} {was}", row.what);
            assert_eq!(bench.status().plan, &changed);
        }
    }
}

#[test]
fn an_active_advertises_by_the_new_interval_from_now_on() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(400));
    let did = bench.reload([RouterPlan {
        interval: centis(10),
        ..plan()
    }]);
    assert_eq!(did.transmits()[0].message[4..6], [0, 10]);
    assert_eq!(bench.timer(), Some(millis(100)));
}

#[test]
fn a_backup_waits_by_its_new_priority_from_the_last_advertisement() {
    // RFC 9568 §6.1: 3 s + 106/256 s for priority 150.
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    bench.sleep(millis(1_000));
    bench.reload([with_priority(150, plan())]);
    assert_eq!(
        bench.timer(),
        Some(micros(2_414_062) + core::time::Duration::from_nanos(500))
    );
}

#[test]
fn a_backup_keeps_the_interval_it_learned() {
    // RFC 9568 §6.4.2: Active_Adver_Interval is the Active's. Our own new interval does not hurry its Active.
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    bench.sleep(millis(900));
    bench.reload([RouterPlan {
        interval: centis(10),
        ..plan()
    }]);
    assert_eq!(bench.status().active_interval, centis(100));
    assert_eq!(bench.timer(), Some(micros(2_709_375)));
}

#[test]
fn a_released_backup_does_not_wait_longer_for_a_reload() {
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    bench.hear_priority(0);
    bench.sleep(millis(100));
    bench.reload([with_priority(90, plan())]);
    assert_eq!(bench.timer(), Some(micros(509_375)));
}

#[test]
fn nor_if_a_loser_was_heard_after_the_release() {
    // RFC 9568 §6.4.2: the loser is discarded, the timer of the release runs on.
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    bench.hear_priority(0);
    bench.hear_priority(50);
    bench.sleep(millis(100));
    bench.reload([with_priority(90, plan())]);
    assert_eq!(bench.timer(), Some(micros(509_375)));
}

#[test]
fn another_version_is_another_router() {
    let mut bench = Bench::active(plan());
    let did = bench.reload([plan_v2()]);
    assert_eq!(did.sent(), [0]);
    assert_eq!(bench.role(), Role::Backup);
    bench.hear_priority(200);
    assert_eq!(bench.statistics().advertisement_rcvd, 1);
}

#[test]
fn an_address_that_is_no_longer_virtual_may_be_a_source() {
    // The faults of a link follow from all its routers, also from those that are gone.
    let other = RouterPlan {
        addresses: addresses(&["192.0.2.253"]),
        ..named("other", 52)
    };
    let mut bench = Bench::cold([plan(), other]);
    bench.link(Some(&LinkFacts {
        ipv4: vec![("192.0.2.253".parse().unwrap(), 24)],
        ..facts()
    }));
    assert_eq!(bench.role(), Role::Initialize);
    bench.reload([plan()]);
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn many_routers_of_one_link_reload_in_no_time() {
    let routers = |prefix: &str| -> Vec<RouterPlan> {
        (1..=255_u8)
            .map(|vrid| RouterPlan {
                addresses: addresses(&[&format!("198.51.100.{vrid}")]),
                ..named(&format!("{prefix}{vrid}"), vrid)
            })
            .collect()
    };
    let mut bench = Bench::of(routers("a"));
    let begin = std::time::Instant::now();
    assert!(bench.reload(routers("b")).transitions().is_empty());
    let took = begin.elapsed();
    // Refreshing the link once for each of its routers took ten seconds in a debug build.
    assert!(took < core::time::Duration::from_secs(2), "{took:?}");
}

#[test]
fn in_version_2_nothing_was_learned_and_the_new_interval_counts() {
    let mut bench = Bench::backup(plan_v2());
    bench.hear_priority(200);
    let slow = RouterPlan {
        interval: centis(300),
        ..plan_v2()
    };
    bench.reload([slow]);
    assert_eq!(bench.timer(), Some(millis(9_000) + micros(609_375)));
    assert_eq!(bench.status().active_interval, centis(300));
}

#[test]
fn the_checksum_form_that_was_heard_stays_unless_the_policy_changes() {
    let policy = |send| RouterPlan {
        priority: Priority::new(50),
        checksum: ChecksumPolicy {
            send,
            strict: false,
        },
        ..plan()
    };
    let heard = Packet::of(&plan(), 200).form(ChecksumForm::Rfc5798);
    let mut bench = Bench::backup(plan());
    bench.hear(&heard);
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc5798);
    bench.reload([policy(None)]);
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc5798);
    bench.reload([policy(Some(ChecksumForm::Rfc9568))]);
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc9568);
    bench.reload([policy(None)]);
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc9568);
}

#[test]
fn only_an_active_announces_after_a_reload() {
    let other = |base: RouterPlan| RouterPlan {
        announce_refresh: Some(millis(5_000)),
        ..base
    };
    let mut bench = Bench::active(plan());
    bench.run(millis(20_000));
    bench.reload([other(plan())]);
    assert_eq!(bench.tick().announced(), 1, "the schedule had ended");
    let mut bench = Bench::backup(plan());
    bench.applied();
    bench.reload([other(plan())]);
    assert_eq!(bench.tick().announced(), 0);
}
