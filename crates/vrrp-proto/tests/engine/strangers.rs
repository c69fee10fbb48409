//! Inputs about what no router has to do with change nothing.

use vrrp_proto::*;

use crate::bench::{Bench, ETH0, Packet, facts, ip, plan, plan_v6};

const NOWHERE: LinkId = LinkId(99);

#[test]
fn an_interface_that_nobody_speaks_on() {
    let mut bench = Bench::active(plan());
    let gone = Input::Link {
        interface: "eth1",
        facts: None,
    };
    assert!(bench.input(gone).0.is_empty());
    let deaf = Input::Hearing {
        link: NOWHERE,
        family: Family::Ipv4,
        failure: Some("permission denied"),
    };
    assert!(bench.input(deaf).0.is_empty());
    assert_eq!(bench.role(), Role::Active);
    assert_eq!(bench.engine.link(NOWHERE), None);
    assert_eq!(bench.engine.link(ETH0), Some(&facts()));
}

#[test]
fn claims_elsewhere_and_of_others() {
    let mut bench = Bench::active(plan());
    let mac = MacAddress([2, 0, 0, 0, 0, 0x66]);
    for (link, address) in [
        (NOWHERE, "192.0.2.254"),
        (ETH0, "192.0.2.1"),
        (ETH0, "fe80::fe"),
    ] {
        let claim = Input::Claim {
            link,
            address: ip(address),
            mac,
        };
        assert!(bench.input(claim).0.is_empty(), "{address}");
    }
    assert_eq!(bench.statistics().address_claims, 0);
    let ours = Input::Claim {
        link: ETH0,
        address: ip("192.0.2.254"),
        mac,
    };
    assert_eq!(bench.input(ours).0.len(), 1, "it is said");
    assert!(bench.input(ours).0.is_empty(), "once");
    assert_eq!(bench.statistics().address_claims, 2);
}

#[test]
fn a_report_and_a_repair_for_a_router_that_is_gone() {
    let mut bench = Bench::active(plan());
    let applied = Input::Kernel {
        router: RouterId(7),
        generation: Generation(1),
        report: &KernelReport::Applied,
    };
    assert!(bench.input(applied).0.is_empty());
    let upkeep = Upkeep::Repaired("192.0.2.254/24".into());
    let repaired = Input::Upkeep {
        router: RouterId(7),
        upkeep: &upkeep,
    };
    assert!(bench.input(repaired).0.is_empty());
}

#[test]
fn what_is_wanted_and_virtual_on_a_link_and_of_a_family() {
    let mut other = plan();
    other.interface = "eth1".into();
    other.name = "lan".into();
    other.addresses = crate::bench::addresses(&["10.0.0.1"]);
    let bench = Bench::cold([plan(), plan_v6(), other]);
    let eth1 = LinkId(1);
    let names: Vec<_> = bench.engine.links().collect();
    assert_eq!(names, [(ETH0, "eth0"), (eth1, "eth1")]);
    let rows = [
        (ETH0, Family::Ipv4, vec!["192.0.2.254"]),
        (ETH0, Family::Ipv6, vec!["fe80::fe", "2001:db8::fe"]),
        (eth1, Family::Ipv4, vec!["10.0.0.1"]),
        (eth1, Family::Ipv6, vec![]),
        (NOWHERE, Family::Ipv4, vec![]),
    ];
    for (link, family, list) in rows {
        assert_eq!(bench.engine.wants(link, family), !list.is_empty());
        let expected: Vec<_> = list.into_iter().map(ip).collect();
        assert_eq!(bench.engine.virtual_addresses(link, family), expected);
    }
}

#[test]
fn a_change_of_one_link_is_no_business_of_another() {
    let mut other = plan();
    other.interface = "eth1".into();
    other.name = "lan".into();
    let mut bench = Bench::of([plan(), other]);
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(bench.status_of("lan").role, Role::Initialize);
    assert!(bench.link(Some(&facts())).0.is_empty());
}

#[test]
fn what_concerns_no_router_is_said_as_rarely() {
    let mut bench = Bench::active(plan());
    let foreign = Packet::of(&plan(), 100).byte(1, 99).damaged(6, 0);
    assert_eq!(bench.hear(&foreign).said(), ["refused"]);
    assert!(bench.hear(&foreign).0.is_empty());
    assert_eq!(bench.engine.statistics().checksum_errors, 2);
}
