//! The receive checks in their order (RFC 9568 §7.1, RFC 3768 §7.1), one row each: the defect, and the counter.
//!
//! Each packet has priority 254 and would demote the Active that hears it, were it not for the defect; the first test
//! proves that.

use crate::bench::*;
use vrrp_proto::*;

fn password() -> RouterPlan {
    RouterPlan {
        authentication: AuthenticationKey::new(b"secret"),
        ..plan_v2()
    }
}

fn strict() -> RouterPlan {
    RouterPlan {
        checksum: ChecksumPolicy {
            send: None,
            strict: true,
        },
        ..plan()
    }
}

fn unicast() -> RouterPlan {
    RouterPlan {
        unicast_peers: vec![ip("192.0.2.200"), ip("192.0.2.201")],
        ..plan()
    }
}

fn owner_v2() -> RouterPlan {
    with_priority(255, plan_v2())
}

fn winner(plan: &RouterPlan) -> Packet {
    let packet = Packet::of(plan, 254);
    if plan.is_unicast() {
        packet.to("192.0.2.11")
    } else {
        packet
    }
}

fn active(plan: RouterPlan) -> Bench {
    if plan.priority.is_owner() {
        let mut facts = facts();
        facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
        let mut bench = Bench::cold([plan]);
        bench.link(Some(&facts));
        assert_eq!(bench.role(), Role::Active);
        return bench;
    }
    Bench::active(plan)
}

#[test]
fn the_perfect_packet_wins() {
    for plan in [
        plan(),
        plan_v2(),
        plan_v6(),
        password(),
        strict(),
        unicast(),
    ] {
        let mut bench = active(plan.clone());
        bench.hear(&winner(&plan));
        assert_eq!(bench.role(), Role::Backup, "{plan:?}");
        assert_eq!(bench.statistics().advertisement_rcvd, 1);
        assert_eq!(*bench.engine.statistics(), GlobalStatistics::default());
    }
}

enum Counter {
    Global(fn(&GlobalStatistics) -> u64),
    Router(fn(&RouterStatistics) -> u64),
}
use Counter::{Global, Router};

struct Row {
    check: &'static str,
    plan: fn() -> RouterPlan,
    defect: fn(Packet) -> Packet,
    reject: Reject,
    counter: Counter,
}

macro_rules! rows {
    ($($check:literal, $plan:path, $defect:expr, $reject:ident, $scope:ident $counter:ident;)*) => {
        &[$(Row {
            check: $check,
            plan: $plan,
            defect: $defect,
            reject: Reject::$reject,
            counter: $scope(|statistics| statistics.$counter),
        }),*]
    };
}

/// Check, configuration, defect, refusal, counter.
#[rustfmt::skip]
const ROWS: &[Row] = rows![
    "RX-2 9568 §7.1",       plan,     |p| p.len(7),                        Short,             Global short_packets;
    "RX-2 9568 §7.1",       plan,     |p| p.len(0),                        Short,             Global short_packets;
    "RX-2 3768 §7.1",       plan_v2,  |p| p.len(7),                        Short,             Global short_packets;
    "CARP",                 plan_v2,  |p| p.byte(3, 7).len(36),            CarpHere,          Global carp_pkts_rcvd;
    "CARP",                 plan,     |p| p.byte(0, 0x21).byte(3, 7).len(36).hop_limit(1), CarpHere, Global carp_pkts_rcvd;
    "CARP",                 plan_v6,  |p| p.byte(0, 0x21).byte(3, 7).len(36), Carp,        Global carp_pkts_rcvd;
    "RX-3 9568 §5.1.1.3",   plan,     |p| p.hop_limit(254),                HopLimit,          Global ip_ttl_errors;
    "RX-3 9568 §5.1.1.3",   plan,     |p| p.hop_limit(0),                  HopLimit,          Global ip_ttl_errors;
    "RX-3 9568 §5.1.2.3",   plan_v6,  |p| p.hop_limit(1),                  HopLimit,          Global ip_ttl_errors;
    "RX-3 3768 §5.2.3",     plan_v2,  |p| p.hop_limit(254),                HopLimit,          Global ip_ttl_errors;
    "RX-3 draft-unicast",   unicast,  |p| p.hop_limit(254),                HopLimit,          Global ip_ttl_errors;
    "RX-4 9568 §7.1",       plan,     |p| p.byte(0, 0x21),                 Version,           Global version_errors;
    "RX-4 9568 §7.1",       plan,     |p| p.byte(0, 0x11),                 Version,           Global version_errors;
    "RX-4 9568 §7.1",       plan,     |p| p.byte(0, 0x41),                 Version,           Global version_errors;
    "RX-4 9568 §7.1",       plan_v6,  |p| p.byte(0, 0x21),                 Version,           Global version_errors;
    "RX-4 3768 §7.1",       plan_v2,  |p| p.byte(0, 0x31),                 Version,           Global version_errors;
    "RX-5 9568 §5.2.8",     plan,     |p| p.damaged(7, 0x77),              Checksum,          Global checksum_errors;
    "RX-5 9568 §5.2.8",     plan_v6,  |p| p.damaged(7, 0x77),              Checksum,          Global checksum_errors;
    "RX-5 3768 §5.3.8",     plan_v2,  |p| p.damaged(7, 0x77),              Checksum,          Global checksum_errors;
    "RX-5 zero",            plan,     |p| p.damaged(6, 0).damaged(7, 0),   Checksum,          Global checksum_errors;
    "RX-5 password in sum", password, |p| p.damaged(19, 1),                Checksum,          Global checksum_errors;
    "RX-5 strict",          strict,   |p| p.form(ChecksumForm::Rfc5798),   Checksum,          Global checksum_errors;
    "RX-6 9568 §7.1",       plan,     |p| p.byte(1, 52),                   Vrid,              Global vrid_errors;
    "RX-6 VRID 0",          plan,     |p| p.byte(1, 0),                    Vrid,              Global vrid_errors;
    "RX-6 3768 §7.1",       plan_v2,  |p| p.byte(1, 52),                   Vrid,              Global vrid_errors;
    "RX-6 other version",   plan_v2,  |p| p.byte(1, 52).byte(0, 0x31),     Vrid,              Global vrid_errors;
    "own packet",           plan,     |p| p.from("192.0.2.11"),            Looped,            Router own_pkts_looped;
    "own packet",           plan_v6,  |p| p.from("fe80::11"),              Looped,            Router own_pkts_looped;
    "RX-7 9568 §5.2.2",     plan,     |p| p.byte(0, 0x30),                 Type,              Router invalid_type_pkts_rcvd;
    "RX-7 9568 §5.2.2",     plan,     |p| p.byte(0, 0x32),                 Type,              Router invalid_type_pkts_rcvd;
    "RX-7 3768 §5.3.2",     plan_v2,  |p| p.byte(0, 0x27),                 Type,              Router invalid_type_pkts_rcvd;
    "RX-7 9568 §5.2.2",     plan_v6,  |p| p.byte(0, 0x3f),                 Type,              Router invalid_type_pkts_rcvd;
    "RX-8 header only",     plan,     |p| p.len(8),                        Length,            Router packet_length_errors;
    "RX-8 one of two",      plan,     |p| p.byte(3, 2),                    Length,            Router packet_length_errors;
    "RX-8 trailer",         plan,     |p| p.len(13),                       Length,            Router packet_length_errors;
    "RX-8 3768 no auth",    plan_v2,  |p| p.len(12),                       Length,            Router packet_length_errors;
    "RX-8 Cisco MD5",       plan_v2,  |p| p.byte(4, 254).len(50),          Length,            Router packet_length_errors;
    "RX-8 9568",            plan_v6,  |p| p.len(39),                       Length,            Router packet_length_errors;
    "RX-9 erratum 8299",    plan,     |p| p.byte(3, 0),                    CountZero,         Router packet_length_errors;
    "RX-9 erratum 8299",    plan,     |p| p.byte(3, 0).len(8),             CountZero,         Router packet_length_errors;
    "RX-9 erratum 8299",    plan_v6,  |p| p.byte(3, 0).len(8),             CountZero,         Router packet_length_errors;
    "RX-9",                 plan_v2,  |p| p.byte(3, 0).len(16),            CountZero,         Router packet_length_errors;
    "RX-10 erratum 8301",   plan,     |p| p.centis(0),                     IntervalZero,      Router interval_errors;
    "RX-10 reserved bits",  plan,     |p| p.centis(0xf000),                IntervalZero,      Router interval_errors;
    "RX-10 erratum 8301",   plan_v6,  |p| p.centis(0),                     IntervalZero,      Router interval_errors;
    "RX-10",                plan_v2,  |p| p.byte(5, 0),                    IntervalZero,      Router interval_errors;
    "RX-11 erratum 8300",   plan_v6,  |p| p.byte(8, 0x20),                 FirstNotLinkLocal, Router address_list_errors;
    "RX-11 fec0::/10",      plan_v6,  |p| p.byte(9, 0xc0),                 FirstNotLinkLocal, Router address_list_errors;
    "RX-12 3768 §5.3.6",    plan_v2,  |p| p.byte(4, 1),                    AuthTypeMismatch,  Router auth_type_mismatch;
    "RX-12 3768 §5.3.6",    plan_v2,  |p| p.byte(4, 2),                    AuthTypeMismatch,  Router auth_type_mismatch;
    "RX-12 3768 §5.3.6",    plan_v2,  |p| p.byte(4, 3),                    AuthTypeInvalid,   Router auth_type_invalid;
    "RX-12 Cisco",          plan_v2,  |p| p.byte(4, 254),                  AuthTypeInvalid,   Router auth_type_invalid;
    "RX-12 2338 §7.1",      password, |p| p.byte(4, 0),                    AuthTypeMismatch,  Router auth_type_mismatch;
    "RX-12 2338 §5.3.10",   password, |p| p.byte(12, b'S'),                AuthFailure,       Router auth_failures;
    "RX-12 2338 §5.3.10",   password, |p| p.byte(19, b'x'),                AuthFailure,       Router auth_failures;
    "unicast §8.6",         plan,     |p| p.to("192.0.2.11"),              Mode,              Router mode_errors;
    "unicast §8.6",         plan_v6,  |p| p.to("fe80::11"),                Mode,              Router mode_errors;
    "unicast §8.6",         unicast,  |p| p.to("224.0.0.18"),              Mode,              Router mode_errors;
    "unicast §8",           unicast,  |p| p.from("192.0.2.202"),           Source,            Router source_errors;
    "RX-13 3768 §7.1",      owner_v2, |p| p,                               Owner,             Router owner_conflicts;
    "RX-14 3768 §7.1",      plan_v2,  |p| p.byte(5, 2),                    IntervalMismatch,  Router interval_errors;
    "RX-16 3768 §7.1",      plan_v2,  |p| p.byte(11, 253),                 AddressMismatch,   Router address_list_errors;
];

fn total(global: &GlobalStatistics, router: &RouterStatistics) -> u64 {
    let GlobalStatistics {
        checksum_errors,
        version_errors,
        vrid_errors,
        ip_ttl_errors,
        short_packets,
        carp_pkts_rcvd,
    } = *global;
    let r = router;
    checksum_errors
        + version_errors
        + vrid_errors
        + ip_ttl_errors
        + short_packets
        + carp_pkts_rcvd
        + r.interval_errors
        + r.invalid_type_pkts_rcvd
        + r.address_list_errors
        + r.packet_length_errors
        + r.auth_type_invalid
        + r.auth_type_mismatch
        + r.auth_failures
        + r.owner_conflicts
        + r.own_pkts_looped
        + r.source_errors
        + r.mode_errors
        + r.advertisement_rcvd
}

#[test]
fn each_defect_is_refused_and_counted_once() {
    for row in ROWS {
        let plan = (row.plan)();
        let mut bench = active(plan.clone());
        let packet = (row.defect)(winner(&plan));
        let did = bench.hear(&packet);
        let check = row.check;
        assert_eq!(bench.role(), Role::Active, "{check}: it stays Active");
        assert!(did.sent().is_empty(), "{check}: it is not answered");
        let (global, router) = (*bench.engine.statistics(), bench.statistics());
        let counted = match row.counter {
            Global(counter) => counter(&global),
            Router(counter) => counter(&router),
        };
        assert_eq!(
            counted, 1,
            "{check}: {:?}\n{global:?}\n{router:?}",
            row.reject
        );
        assert_eq!(
            total(&global, &router),
            1,
            "{check}: nothing else counts\n{global:?}\n{router:?}"
        );
        let quiet = matches!(row.reject, Reject::Vrid | Reject::Carp);
        let said: Vec<Reject> = did
            .happenings()
            .into_iter()
            .filter_map(|happening| {
                if let Happening::Refused { reject, .. } = happening {
                    Some(*reject)
                } else {
                    None
                }
            })
            .collect();
        let expected: &[Reject] = if quiet { &[] } else { &[row.reject] };
        assert_eq!(said, expected, "{check}");
    }
}

/// Defects that can be combined in one packet, in the order in which they must be found.
type Defect = (Reject, fn(Packet) -> Packet);

fn first_of_each_pair(plan: &RouterPlan, order: &[Defect]) {
    for (at, (first, spoil_first)) in order.iter().enumerate() {
        for (second, spoil_second) in &order[at + 1..] {
            let mut bench = active(plan.clone());
            // A damaged checksum must stay damaged, so it is always made last.
            let packet = if *first == Reject::Checksum {
                spoil_first(spoil_second(winner(plan)))
            } else {
                spoil_second(spoil_first(winner(plan)))
            };
            let did = bench.hear(&packet);
            let found = did.happenings().into_iter().find_map(|happening| {
                if let Happening::Refused { reject, .. } = happening {
                    Some(*reject)
                } else {
                    None
                }
            });
            let vrid = bench.engine.statistics().vrid_errors == 1;
            assert_eq!(
                found.or(vrid.then_some(Reject::Vrid)),
                Some(*first),
                "{first:?} before {second:?}"
            );
        }
    }
}

#[test]
fn the_first_of_two_defects_decides() {
    // standards.md §3: first failure ends processing.
    let bad_sum: fn(Packet) -> Packet = |p| {
        let flipped = p.bytes[6] ^ 0x55;
        p.damaged(6, flipped)
    };
    first_of_each_pair(
        &plan(),
        &[
            (Reject::HopLimit, |p| p.hop_limit(1)),
            (Reject::Version, |p| {
                let kind = p.bytes[0] & 0x0f;
                p.byte(0, 0x20 | kind)
            }),
            (Reject::Checksum, bad_sum),
            (Reject::Looped, |p| p.from("192.0.2.11")),
            (Reject::Type, |p| {
                let version = p.bytes[0] & 0xf0;
                p.byte(0, version | 2)
            }),
            (Reject::Length, |p| p.byte(3, 2)),
            (Reject::IntervalZero, |p| p.centis(0)),
            (Reject::Mode, |p| p.to("192.0.2.11")),
        ],
    );
    first_of_each_pair(
        &plan(),
        &[
            (Reject::HopLimit, |p| p.hop_limit(1)),
            (Reject::Checksum, bad_sum),
            (Reject::Vrid, |p| p.byte(1, 99)),
            (Reject::CountZero, |p| p.byte(3, 0)),
            (Reject::IntervalZero, |p| p.centis(0)),
        ],
    );
    first_of_each_pair(
        &password(),
        &[
            (Reject::Version, |p| p.byte(0, 0x41)),
            (Reject::Checksum, bad_sum),
            (Reject::Length, |p| p.byte(3, 2)),
            (Reject::AuthFailure, |p| {
                let last = p.bytes.len() - 1;
                p.byte(last, b'x')
            }),
            (Reject::IntervalMismatch, |p| p.byte(5, 9)),
            (Reject::AddressMismatch, |p| p.byte(11, 1)),
        ],
    );
    first_of_each_pair(
        &plan_v6(),
        &[
            (Reject::Looped, |p| p.from("fe80::11")),
            (Reject::Length, |p| p.byte(3, 3)),
            (Reject::IntervalZero, |p| p.centis(0)),
            (Reject::FirstNotLinkLocal, |p| p.byte(8, 0x20)),
            (Reject::Mode, |p| p.to("fe80::11")),
        ],
    );
}

#[test]
fn the_other_interface_and_the_other_family_are_other_routers() {
    // RFC 9568 §7.1: the VRID is looked up where the packet came in.
    let mut bench = Bench::active(plan());
    bench.hear(&Packet::of(&plan_v6(), 254));
    assert_eq!(bench.engine.statistics().vrid_errors, 1);
    assert_eq!(bench.role(), Role::Active);
}

struct Kept {
    check: &'static str,
    plan: fn() -> RouterPlan,
    oddity: fn(Packet) -> Packet,
}

/// What must not be held against a packet.
#[rustfmt::skip]
const KEPT: &[Kept] = &[
    Kept { check: "9568 §5.2.6: reserved bits",        plan,           oddity: |p| p.centis(0xf064) },
    Kept { check: "RX-15, 9568 §7.1: interval",        plan,           oddity: |p| p.centis(300) },
    Kept { check: "RX-16, 9568 §7.1: addresses",       plan,           oddity: |p| p.byte(11, 253) },
    Kept { check: "RX-16, 9568 §7.1: fewer addresses", plan: plan_v6,  oddity: |p| p.byte(3, 1).len(24) },
    Kept { check: "RX-16, 9568 §7.1: more addresses",  plan,           oddity: |p| p.byte(3, 3).len(20) },
    Kept { check: "9568 §5.2.8, 5798 §5.2.8: form",    plan,           oddity: |p| p.form(ChecksumForm::Rfc5798) },
    Kept { check: "3768 §5.3.10: data without type",   plan: plan_v2,  oddity: |p| p.byte(12, 0xff) },
];

#[test]
fn oddities_are_kept() {
    for Kept {
        check,
        plan,
        oddity,
    } in KEPT
    {
        let plan = plan();
        let mut bench = active(plan.clone());
        bench.hear(&oddity(winner(&plan)));
        assert_eq!(bench.role(), Role::Backup, "{check}");
    }
}

#[test]
fn reserved_bits_do_not_change_the_interval() {
    // RFC 9568 §5.2.6
    let mut bench = Bench::backup(plan());
    bench.hear(&Packet::of(&plan(), 200).centis(0xf00a));
    assert_eq!(bench.status().active_interval, centis(10));
}

#[test]
fn an_owner_may_list_other_addresses_in_version_2() {
    // RFC 3768 §7.1: dropped unless the sender's priority is 255.
    for (priority, role) in [(254, Role::Active), (255, Role::Backup)] {
        let mut bench = Bench::active(plan_v2());
        bench.hear(&Packet::of(&plan_v2(), priority).byte(11, 253));
        assert_eq!(bench.role(), role, "{priority}");
        assert_eq!(bench.statistics().address_list_errors, 1);
    }
}

#[test]
fn the_order_of_addresses_is_odd_but_no_threat_in_version_2() {
    let two = RouterPlan {
        addresses: addresses(&["192.0.2.254", "192.0.2.253"]),
        ..plan_v2()
    };
    let mut bench = Bench::active(two.clone());
    bench.hear(&Packet::of(&two, 200).byte(11, 253).byte(15, 254));
    assert_eq!(bench.role(), Role::Backup);
    // The same address twice is not the same set.
    let mut bench = Bench::active(two.clone());
    bench.hear(&Packet::of(&two, 200).byte(15, 254));
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn both_forms_are_counted_and_auto_follows_the_peer() {
    // standards.md §2: start with RFC 9568's, then the form last heard.
    let sent_form = |bench: &mut Bench| {
        let did = bench.wake();
        let sent = did.transmits()[0];
        packet::Header::new(&sent.message)
            .unwrap()
            .checksum_form(Dialect::Vrrp3, sent.source, sent.destination)
            .unwrap()
    };
    let mut bench = Bench::active(plan());
    bench.run(millis(900));
    assert_eq!(sent_form(&mut bench), ChecksumForm::Rfc9568);
    bench.hear(&Packet::of(&plan(), 50).form(ChecksumForm::Rfc5798));
    bench.run(millis(900));
    assert_eq!(sent_form(&mut bench), ChecksumForm::Rfc5798);
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc5798);
    bench.hear(&Packet::of(&plan(), 50));
    bench.run(millis(900));
    assert_eq!(sent_form(&mut bench), ChecksumForm::Rfc9568);
    let statistics = bench.statistics();
    assert_eq!(
        (
            statistics.checksum_rfc5798_rcvd,
            statistics.checksum_rfc9568_rcvd
        ),
        (1, 1)
    );
}

#[test]
fn an_answer_is_already_in_the_peers_form() {
    // standards.md §2: this is how a pair with different forms heals itself.
    let mut bench = Bench::active(plan());
    let did = bench.hear(&Packet::of(&plan(), 50).form(ChecksumForm::Rfc5798));
    let sent = did.transmits()[0];
    let header = packet::Header::new(&sent.message).unwrap();
    assert_eq!(
        header.checksum_form(Dialect::Vrrp3, sent.source, sent.destination),
        Some(ChecksumForm::Rfc5798)
    );
}

#[test]
fn a_fixed_form_does_not_follow() {
    let fixed = RouterPlan {
        checksum: ChecksumPolicy {
            send: Some(ChecksumForm::Rfc5798),
            strict: false,
        },
        ..plan()
    };
    let mut bench = Bench::active(fixed);
    bench.hear(&Packet::of(&plan(), 50));
    assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc5798);
}

#[test]
fn a_unicast_router_speaks_to_each_peer() {
    // draft-abinabraham-vrrp-unicast: the pseudo-header, where there is one, has the real destination.
    let mut bench = Bench::backup(RouterPlan {
        checksum: ChecksumPolicy {
            send: Some(ChecksumForm::Rfc5798),
            strict: false,
        },
        ..unicast()
    });
    let did = bench.wake();
    let to: Vec<_> = did
        .transmits()
        .iter()
        .map(|sent| sent.destination)
        .collect();
    assert_eq!(to, [ip("192.0.2.200"), ip("192.0.2.201")]);
    for sent in did.transmits() {
        let header = packet::Header::new(&sent.message).unwrap();
        assert_eq!(sent.mac, None);
        assert_eq!(
            header.checksum_form(Dialect::Vrrp3, sent.source, sent.destination),
            Some(ChecksumForm::Rfc5798)
        );
    }
    assert_eq!(bench.statistics().advertisement_sent, 1);
}

#[test]
fn another_number_of_addresses_is_another_list_in_version_2() {
    let two = RouterPlan {
        addresses: addresses(&["192.0.2.254", "192.0.2.253"]),
        ..plan_v2()
    };
    let mut bench = Bench::backup(plan_v2());
    assert_eq!(bench.hear(&Packet::of(&two, 200)).said(), ["refused"]);
    assert_eq!(bench.statistics().address_list_errors, 1);
    assert_eq!(bench.statistics().advertisement_rcvd, 0);
}

#[test]
fn every_address_of_the_list_counts_in_version_2() {
    let of = |list: &[&str]| RouterPlan {
        addresses: addresses(list),
        ..plan_v2()
    };
    let ours = of(&["192.0.2.254", "192.0.2.253"]);
    let rows = [
        (vec!["192.0.2.254", "192.0.2.253"], 0),
        (vec!["192.0.2.253", "192.0.2.254"], 0),
        (vec!["192.0.2.254", "192.0.2.252"], 1),
        (vec!["192.0.2.252", "192.0.2.253"], 1),
        (vec!["192.0.2.252", "192.0.2.251"], 1),
        (vec!["192.0.2.254", "192.0.2.254"], 1),
        (vec!["192.0.2.254", "192.0.2.253", "192.0.2.252"], 1),
    ];
    for (theirs, refused) in rows {
        let mut bench = Bench::backup(ours.clone());
        bench.hear(&Packet::of(&of(&theirs), 200));
        let rejected = 1 - bench.statistics().advertisement_rcvd;
        assert_eq!(rejected, refused, "{theirs:?}");
    }
}

#[test]
fn forms_are_counted_where_there_are_two() {
    for (plan, counted) in [(plan(), 1), (plan_v2(), 0), (plan_v6(), 0)] {
        let mut bench = Bench::backup(plan);
        bench.hear_priority(200);
        let statistics = bench.statistics();
        assert_eq!(statistics.checksum_rfc9568_rcvd, counted);
        assert_eq!(statistics.checksum_rfc5798_rcvd, 0);
        assert_eq!(bench.status().checksum_form, ChecksumForm::Rfc9568);
    }
}
