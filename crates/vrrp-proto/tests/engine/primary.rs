//! The source of advertisements: a real address of the interface (RFC 9568 §5.1.1.1, §5.1.2.1, §7.2).

use crate::bench::*;
use core::net::Ipv4Addr;
use vrrp_proto::*;

fn v4(last: &[u8]) -> LinkFacts {
    LinkFacts {
        ipv4: last
            .iter()
            .map(|last| (Ipv4Addr::new(192, 0, 2, *last), 24))
            .collect(),
        ..facts()
    }
}

#[test]
fn the_first_real_address_is_the_source() {
    for (list, source) in [
        (&[11][..], "192.0.2.11"),
        (&[11, 12], "192.0.2.11"),
        (&[254, 12, 11], "192.0.2.12"),
    ] {
        let mut bench = Bench::cold([plan()]);
        bench.link(Some(&v4(list)));
        let did = bench.wake();
        assert_eq!(did.transmits()[0].source, ip(source), "{list:?}");
    }
}

#[test]
fn an_owner_with_no_other_address_speaks_from_its_own() {
    // RFC 9568 §6.1; standards.md §11.2-8: any other address is better.
    for (list, source) in [(&[254][..], "192.0.2.254"), (&[254, 11], "192.0.2.11")] {
        let mut bench = Bench::cold([with_priority(255, plan())]);
        let did = bench.link(Some(&v4(list)));
        assert_eq!(did.transmits()[0].source, ip(source), "{list:?}");
    }
}

#[test]
fn another_routers_virtual_address_is_no_source() {
    let other = RouterPlan {
        name: "other".into(),
        vrid: Vrid::new(52).unwrap(),
        addresses: addresses(&["192.0.2.253"]),
        ..plan()
    };
    let mut bench = Bench::cold([plan(), other]);
    bench.link(Some(&v4(&[253])));
    assert_eq!(bench.faults(), ["waiting for an IPv4 address on eth0"]);
}

#[test]
fn a_new_source_is_used_from_the_next_advertisement_without_a_transition() {
    let mut bench = Bench::active(plan());
    let did = bench.link(Some(&v4(&[77])));
    assert!(did.transitions().is_empty() && did.sent().is_empty());
    let did = bench.wake();
    let transmit = &did.transmits()[0];
    assert_eq!(transmit.source, ip("192.0.2.77"));
    assert_eq!(bench.status().primary, Some(ip("192.0.2.77")));
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn a_new_source_is_also_in_the_checksum() {
    // RFC 9568 §5.2.8: IPv6's pseudo-header has the source in it; a cached message would be wrong.
    let mut bench = Bench::active(plan_v6());
    bench.link(Some(&LinkFacts {
        link_local: vec!["fe80::77".parse().unwrap()],
        ..facts()
    }));
    let did = bench.wake();
    let sent = did.transmits()[0];
    let heard = packet::Header::new(&sent.message).unwrap();
    assert_eq!(sent.source, ip("fe80::77"));
    assert!(
        heard
            .checksum_form(Dialect::Vrrp3, sent.source, sent.destination)
            .is_some()
    );
}

#[test]
fn the_tie_is_broken_by_the_address_in_use() {
    let mut bench = Bench::active(plan());
    bench.link(Some(&v4(&[201])));
    bench.hear(&Packet::of(&plan(), 100).from("192.0.2.200"));
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn the_release_of_a_router_that_lost_its_address_comes_from_that_address() {
    // standards.md §6.4: the link still works, so the Backups need not wait for the down interval.
    let mut bench = Bench::active(plan());
    let did = bench.link(Some(&v4(&[])));
    let sent = did.transmits();
    assert_eq!((sent.len(), sent[0].source), (1, ip("192.0.2.11")));
    assert_eq!(did.sent(), [0]);
    assert_eq!(bench.statistics().priority_zero_pkts_sent, 1);
}
