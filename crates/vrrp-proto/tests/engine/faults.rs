//! Faults: recomputed from the whole state, named, and gone when their cause is gone.

use crate::bench::*;
use core::net::Ipv4Addr;
use vrrp_proto::*;

struct Row {
    plan: fn() -> RouterPlan,
    spoil: fn(&mut LinkFacts),
    faults: &'static [&'static str],
    /// The link still carries packets, so an Active says that it gives up.
    releases: bool,
}

const ROWS: &[Row] = &[
    Row {
        plan,
        spoil: |facts| facts.up = false,
        faults: &["interface eth0 is down"],
        releases: false,
    },
    Row {
        plan,
        spoil: |facts| facts.carrier = false,
        faults: &["interface eth0 has no carrier"],
        releases: false,
    },
    Row {
        plan,
        spoil: |facts| facts.ipv4.clear(),
        faults: &["waiting for an IPv4 address on eth0"],
        releases: true,
    },
    Row {
        plan,
        spoil: |facts| facts.ipv4 = vec![(Ipv4Addr::new(192, 0, 2, 254), 24)],
        faults: &["waiting for an IPv4 address on eth0"],
        releases: true,
    },
    Row {
        plan: plan_v6,
        spoil: |facts| facts.link_local.clear(),
        faults: &["waiting for an IPv6 link-local address on eth0"],
        releases: true,
    },
    Row {
        plan,
        spoil: |facts| facts.mtu = 31,
        faults: &["an advertisement of 32 bytes does not fit the MTU of eth0, 31 bytes"],
        releases: true,
    },
    Row {
        plan: plan_v2,
        spoil: |facts| facts.mtu = 39,
        faults: &["an advertisement of 40 bytes does not fit the MTU of eth0, 39 bytes"],
        releases: true,
    },
    Row {
        plan: plan_v6,
        spoil: |facts| facts.mtu = 79,
        faults: &["an advertisement of 80 bytes does not fit the MTU of eth0, 79 bytes"],
        releases: true,
    },
    Row {
        plan,
        spoil: |facts| {
            facts.up = false;
            facts.carrier = false;
            facts.ipv4.clear();
        },
        faults: &[
            "interface eth0 is down",
            "waiting for an IPv4 address on eth0",
        ],
        releases: false,
    },
];

#[test]
fn each_fault_appears_and_disappears() {
    // RFC 9568 §6.4.2, §6.4.3 Shutdown; §6.4.1 Startup.
    for row in ROWS {
        let mut spoiled = facts();
        (row.spoil)(&mut spoiled);
        for mut bench in [Bench::backup((row.plan)()), Bench::active((row.plan)())] {
            let was = bench.role();
            let did = bench.link(Some(&spoiled));
            assert_eq!(bench.role(), Role::Initialize, "{:?}", row.faults);
            assert_eq!(bench.faults(), row.faults);
            assert_eq!(did.transitions(), [(was, Role::Initialize, Reason::Fault)]);
            let release: &[u8] = if was == Role::Active && row.releases {
                &[0]
            } else {
                &[]
            };
            assert_eq!(did.sent(), release, "{:?} {was}", row.faults);
            assert_eq!(bench.timer(), None);
            assert!(bench.link(Some(&spoiled)).nothing(), "nothing new");

            let did = bench.link(Some(&facts()));
            assert_eq!(bench.faults(), [""; 0]);
            assert_eq!(
                did.transitions(),
                [(Role::Initialize, Role::Backup, Reason::Startup)]
            );
            assert!(did.sent().is_empty());
        }
    }
}

#[test]
fn an_interface_that_vanishes_and_returns() {
    let mut bench = Bench::active(plan());
    let did = bench.link(None);
    assert_eq!(bench.faults(), ["waiting for interface eth0 to appear"]);
    assert_eq!(
        did.transitions(),
        [(Role::Active, Role::Initialize, Reason::Fault)]
    );
    assert!(did.sent().is_empty(), "there is nothing to send with");
    assert!(!did.desired()[0].unwrap().active);
    bench.link(Some(&LinkFacts {
        index: 9,
        ..facts()
    }));
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn before_the_interface_is_known_nobody_takes_part_or_complains() {
    let mut bench = Bench::cold([plan()]);
    assert_eq!((bench.role(), bench.faults().len()), (Role::Initialize, 0));
    assert_eq!(bench.engine.poll_timeout(), None);
    assert_eq!(bench.link(None).said(), ["faults"]);
}

#[test]
fn an_advertisement_that_just_fits_is_no_fault() {
    let mut bench = Bench::backup(plan());
    bench.link(Some(&LinkFacts { mtu: 32, ..facts() }));
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn a_fault_that_changes_into_another_is_news_but_no_transition() {
    let mut bench = Bench::backup(plan());
    bench.link(Some(&LinkFacts {
        up: false,
        ..facts()
    }));
    let did = bench.link(None);
    assert_eq!(did.said(), ["faults"]);
    assert_eq!(bench.faults(), ["waiting for interface eth0 to appear"]);
}

#[test]
fn the_families_of_one_interface_fail_apart() {
    // RFC 9568 §5.2.9: two independent virtual routers.
    let mut bench = Bench::of([
        plan(),
        RouterPlan {
            name: "wan6".into(),
            ..plan_v6()
        },
    ]);
    bench.link(Some(&LinkFacts {
        link_local: vec![],
        ..facts()
    }));
    assert_eq!(bench.status_of("wan4").role, Role::Backup);
    assert_eq!(bench.status_of("wan6").role, Role::Initialize);
}

#[test]
fn an_owner_without_its_address_waits_for_it() {
    // RFC 9568 §6.1: the owner has the virtual addresses as real ones.
    let mut bench = Bench::of([with_priority(255, plan())]);
    assert_eq!(
        bench.faults(),
        ["priority 255 says that this router owns 192.0.2.254, but eth0 does not have it"]
    );
    let mut whole = facts();
    whole.ipv4.push((Ipv4Addr::new(192, 0, 2, 254), 24));
    let did = bench.link(Some(&whole));
    assert_eq!(
        did.transitions(),
        [(Role::Initialize, Role::Active, Reason::Owner)]
    );
    assert_eq!(did.sent(), [255]);
    assert!(did.desired()[0].unwrap().owner);
}

#[test]
fn a_kernel_that_refuses_an_active_sends_it_away_for_half_a_minute() {
    let mut bench = Bench::active(plan());
    bench.hear_priority(200);
    bench.wake();
    assert_eq!(bench.refused("no buffer space").said(), ["kernel-refused"]);
    bench.run(millis(999));
    assert_eq!(bench.role(), Role::Active, "it may pass");
    bench.sleep(millis(1));
    let did = bench.tick();
    assert_eq!(did.sent(), [0], "somebody else may do better");
    assert_eq!(did.said(), ["faults", "role"]);
    assert_eq!(bench.faults(), ["the kernel refused: no buffer space"]);
    bench.applied();
    assert_eq!(
        bench.role(),
        Role::Initialize,
        "that it can be a Backup says nothing"
    );
    bench.run(millis(29_999));
    assert_eq!(bench.role(), Role::Initialize);
    bench.run(millis(1));
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(bench.faults(), [""; 0]);
}

#[test]
fn a_refusal_that_passes_costs_an_active_nothing() {
    let mut bench = Bench::active(plan());
    bench.refused("somebody changed it back");
    bench.run(millis(900));
    assert_eq!(
        bench.tick().announced(),
        0,
        "not what the kernel may not hold"
    );
    bench.applied();
    assert_eq!(bench.tick().announced(), 1);
    bench.run(millis(60_000));
    assert_eq!(bench.role(), Role::Active);
    assert_eq!(bench.statistics().master_transitions, 1);
}

#[test]
fn what_an_active_was_refused_does_not_keep_the_backup_out() {
    let mut bench = Bench::active(plan());
    bench.refused("no buffer space");
    bench.hear_priority(200);
    assert_eq!(bench.role(), Role::Backup);
    for _ in 0..10 {
        bench.run(millis(1_000));
        bench.hear_priority(200);
    }
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(bench.faults(), [""; 0]);
}

#[test]
fn a_kernel_that_refuses_a_backup_keeps_it_out_until_it_agrees() {
    let mut bench = Bench::backup(plan());
    assert!(bench.refused("no permission").sent().is_empty());
    assert_eq!(bench.role(), Role::Initialize);
    bench.run(millis(3_600_000));
    assert_eq!(bench.role(), Role::Initialize);
    assert_eq!(bench.refused("no permission").said(), [""; 0], "said once");
    bench.applied();
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn a_missing_interface_is_one_fault() {
    let mut bench = Bench::backup(plan());
    bench.input(Input::Link {
        interface: "eth0",
        facts: None,
    });
    assert_eq!(
        bench.refused("the interface eth0 does not exist").said(),
        [""; 0]
    );
    assert_eq!(bench.faults(), ["waiting for interface eth0 to appear"]);
}

#[test]
fn a_router_that_cannot_hear_does_not_take_part() {
    // It would believe that nobody else is there, and take over from an Active that is well.
    let mut bench = Bench::active(plan());
    let hearing = |failure| Input::Hearing {
        link: LinkId(0),
        family: Family::Ipv4,
        failure,
    };
    let did = bench.input(hearing(Some("too many open files")));
    assert_eq!(
        did.transmits().len(),
        1,
        "it can still say that it gives up"
    );
    assert_eq!(bench.role(), Role::Initialize);
    assert_eq!(
        bench.faults(),
        ["cannot hear advertisements on eth0: too many open files"]
    );
    bench.input(hearing(None));
    assert_eq!(bench.role(), Role::Backup);
    assert!(bench.faults().is_empty());
}

#[test]
fn deafness_concerns_one_family_and_whoever_joins_it() {
    // It would believe that nobody else is there. The other family of the interface hears well.
    let families = || {
        [
            plan(),
            RouterPlan {
                name: "wan6".into(),
                ..plan_v6()
            },
        ]
    };
    let mut bench = Bench::of(families());
    bench.run(millis(5_000));
    let hearing = |failure| Input::Hearing {
        link: ETH0,
        family: Family::Ipv4,
        failure,
    };
    let did = bench.input(hearing(Some("permission denied")));
    assert_eq!(did.sent(), [0], "it can still speak");
    assert_eq!(
        bench.faults(),
        ["cannot hear advertisements on eth0: permission denied"]
    );
    assert_eq!(bench.status_of("wan4").role, Role::Initialize);
    assert_eq!(bench.status_of("wan6").role, Role::Active);
    assert!(bench.input(hearing(Some("permission denied"))).nothing());
    assert_eq!(
        bench.input(hearing(Some("no memory"))).said(),
        ["faults"],
        "another reason is news"
    );
    // A router that is added meanwhile is as deaf.
    let mut more = families().to_vec();
    more.push(RouterPlan {
        name: "late".into(),
        vrid: Vrid::new(99).unwrap(),
        ..plan()
    });
    bench.reload(more);
    assert_eq!(bench.status_of("late").role, Role::Initialize);
    let did = bench.input(hearing(None));
    let started = (Role::Initialize, Role::Backup, Reason::Startup);
    assert_eq!(did.transitions(), [started, started]);
    assert_eq!(bench.faults(), [""; 0]);
}

#[test]
fn deafness_is_known_before_the_interface_is() {
    let mut bench = Bench::cold([plan()]);
    let deaf = Input::Hearing {
        link: ETH0,
        family: Family::Ipv4,
        failure: Some("permission denied"),
    };
    assert!(bench.input(deaf).nothing());
    bench.link(Some(&facts()));
    assert_eq!(
        bench.faults(),
        ["cannot hear advertisements on eth0: permission denied"]
    );
}

#[test]
fn the_kernel_may_refuse_before_the_interface_is_known() {
    let mut bench = Bench::cold([plan()]);
    assert_eq!(bench.refused("no").said(), ["kernel-refused"]);
    bench.link(Some(&facts()));
    assert_eq!(bench.faults(), ["the kernel refused: no"]);
}

#[test]
fn without_an_address_nothing_is_heard_revised_or_released() {
    let mut bench = Bench::cold([plan()]);
    let bare = LinkFacts {
        ipv4: vec![],
        ..facts()
    };
    bench.link(Some(&bare));
    assert_eq!(bench.faults(), ["waiting for an IPv4 address on eth0"]);
    bench.hear_priority(200);
    assert_eq!(bench.statistics().advertisement_rcvd, 0);
    assert_eq!(
        bench.reload([with_priority(50, plan())]).said(),
        ["revised"]
    );
    let did = bench.shutdown();
    assert!(did.sent().is_empty());
    assert!(did.said().is_empty());
}

#[test]
fn a_router_with_a_fault_hears_and_stays_out() {
    let mut bench = Bench::cold([plan()]);
    let narrow = LinkFacts { mtu: 20, ..facts() };
    bench.link(Some(&narrow));
    bench.hear_priority(200);
    assert_eq!(bench.role(), Role::Initialize);
    assert_eq!(bench.statistics().advertisement_rcvd, 1);
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn the_owner_of_ipv6_addresses_has_no_other_faults_than_anybody() {
    // Its link-local one may be what it speaks from; the rest is put there when it is Active.
    let bench = Bench::of([with_priority(255, plan_v6())]);
    assert!(bench.faults().is_empty());
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn an_active_that_is_refused_again_and_again_hopes_no_longer_for_it() {
    let mut bench = Bench::active(plan());
    bench.refused("no buffer space");
    bench.run(millis(900));
    assert_eq!(bench.refused("no buffer space").said(), [""; 0]);
    assert_eq!(bench.refused("another reason").said(), ["kernel-refused"]);
    bench.run(millis(99));
    assert_eq!(bench.role(), Role::Active);
    bench.run(millis(1));
    assert_eq!(bench.role(), Role::Initialize);
}
