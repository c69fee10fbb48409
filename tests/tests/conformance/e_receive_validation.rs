//! E. Receive validation.
//!
//! A discard is shown on an Active: an advertisement of priority 254 with one defect changes nothing but a counter,
//! and the same without the defect demotes it.

use std::net::IpAddr;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{Stamp, assert_span, assert_within, ms};
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::settings::{Router, file};
use vrrp_lab::wire::{Advert, Authentication, Checksum, Ethernet, Ip, Mac, Packet, VRRP};

/// Where a counter lives: with the router, or with the daemon because no router can be named.
enum Counter {
    Router(&'static str),
    Global(&'static str),
}

use Counter::{Global, Router as Own};

impl Counter {
    fn read(&self, bench: &Bench) -> u64 {
        match self {
            Own(leaf) => bench.counter(leaf),
            Global(leaf) => bench.daemon().global_counter(leaf),
        }
    }
}

/// Judges each defect on one Active; then the sound packet, without which none of it would mean anything.
fn expect_discards(bench: &Bench, defects: &[(&str, Advert, Counter)], sound: &Advert) {
    for (what, defect, counter) in defects {
        let before = counter.read(bench);
        let sent = bench.lan.send(defect);
        bench.expect_still_active(what, sent);
        assert_eq!(counter.read(bench) - before, 1, "{what}: counted");
    }
    bench.lan.expect_advert(Stamp::now(), ms(1000));
    let sent = bench.lan.send(sound);
    bench.expect_demoted("the same without a defect", sent);
}

fn active(profile: Profile) -> Bench {
    Bench::active(profile, |router| router)
}

statement!(r41_ttl_is_255: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §5.1.1.3, §5.1.2.3, §7.1; RFC 3768 §5.2.3, §7.1.
fn r41_ttl_is_255(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let defects = [254, 1, 0].map(|ttl| {
        (
            "TTL below 255",
            sound.clone().ttl(ttl),
            Global("ip-ttl-errors"),
        )
    });
    expect_discards(&bench, &defects, &sound);
}

statement!(r42_version_is_the_configured_one: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1; RFC 3768 §7.1.
fn r42_version_is_the_configured_one(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let others = if profile == Profile::V2 {
        [1, 3, 4]
    } else {
        [1, 2, 4]
    };
    let defects = others.map(|version| {
        (
            "another version",
            sound.clone().version(version),
            Global("version-errors"),
        )
    });
    expect_discards(&bench, &defects, &sound);
}

statement!(r43_type_is_1: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §5.2.2; RFC 3768 §5.3.2.
fn r43_type_is_1(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let defects = [0, 2, 7, 15].map(|kind| {
        (
            "another type",
            sound.clone().kind(kind),
            Own("invalid-type-pkts-rcvd"),
        )
    });
    expect_discards(&bench, &defects, &sound);
}

statement!(r44_messages_are_complete: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1; RFC 3768 §7.1. That nothing may follow the last address is our decision.
fn r44_messages_are_complete(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let whole = sound.message().len();
    let claims = u8::try_from(profile.virtual_addresses().len()).unwrap();
    let mut defects = vec![
        ("7 bytes", sound.clone().cut_to(7), Global("short-packets")),
        (
            "a header and no address",
            sound.clone().cut_to(8),
            Own("packet-length-errors"),
        ),
        (
            "one address too few",
            sound.clone().count(claims + 1),
            Own("packet-length-errors"),
        ),
        (
            "bytes behind the end",
            sound.clone().extra(&[0; 4]),
            Own("packet-length-errors"),
        ),
    ];
    if profile == Profile::V2 {
        defects.push((
            "no authentication data",
            sound.clone().cut_to(whole - 8),
            Own("packet-length-errors"),
        ));
    }
    expect_discards(&bench, &defects, &sound);
}

statement!(r45_checksums_are_right: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1; RFC 3768 §7.1.
fn r45_checksums_are_right(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let defects = [Checksum::OffBy(1), Checksum::Exactly(0)].map(|checksum| {
        (
            "a wrong checksum",
            sound.clone().checksum(checksum),
            Global("checksum-errors"),
        )
    });
    expect_discards(&bench, &defects, &sound);
}

statement!(r46_both_checksum_forms_by_policy: v3_ipv4);
/// RFC 9568 §5.2.8: one form is right; the other is heard from most of Linux.
fn r46_both_checksum_forms_by_policy(profile: Profile) {
    let pseudo = profile.advert(254).checksum(Checksum::Pseudo);

    let strict = Bench::active(profile, |router| router.set("checksum-strict", true));
    expect_discards(
        &strict,
        &[(
            "RFC 5798's form to a strict router",
            pseudo.clone(),
            Global("checksum-errors"),
        )],
        &profile.advert(254),
    );

    for (advert, form) in [
        (profile.advert(254), "checksum-rfc9568-rcvd"),
        (pseudo.clone(), "checksum-rfc5798-rcvd"),
    ] {
        let lenient = active(profile);
        lenient.lan.expect_advert(Stamp::now(), ms(1000));
        let before = lenient.counter(form);
        let sent = lenient.lan.send(&advert);
        lenient.expect_demoted(form, sent);
        assert_eq!(lenient.counter(form) - before, 1, "{form}");
    }
}

statement!(r46_auto_follows_the_form_last_heard: v3_ipv4);
/// Our remedy for the split field: answer in the form the peers speak.
fn r46_auto_follows_the_form_last_heard(profile: Profile) {
    let bench = active(profile);
    for (checksum, alone) in [(Checksum::Pseudo, false), (Checksum::Right, true)] {
        // A losing one is enough to be heard, and is answered at once.
        let sent = bench.lan.send(&profile.advert(50).checksum(checksum));
        let answer = bench.lan.expect_advert(sent, ms(1000)).heard;
        assert_eq!(
            (
                answer.verifies_alone(),
                answer.verifies_with_pseudo_header()
            ),
            (alone, !alone),
            "after {checksum:?}"
        );
    }
}

statement!(r47_another_vrid_or_interface_is_not_ours: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1: the VRID is looked up per receiving interface.
fn r47_another_vrid_or_interface_is_not_ours(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let sent = bench.far.send(&sound);
    bench.expect_still_active("the right VRID on another interface", sent);
    expect_discards(
        &bench,
        &[(
            "another VRID",
            sound.clone().vrid(VRID + 1),
            Global("vrid-errors"),
        )],
        &sound,
    );
}

statement!(r48_no_address_is_no_advertisement: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §5.2.5, erratum 8299; for version 2 our decision.
fn r48_no_address_is_no_advertisement(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let none = sound.clone().addresses(&[]);
    expect_discards(
        &bench,
        &[("count 0", none, Own("packet-length-errors"))],
        &sound,
    );
}

statement!(r49_interval_0_is_discarded: v3_ipv4 v3_ipv6);
/// RFC 9568 erratum 8301: learned, it would make every Backup take over at once and flood.
fn r49_interval_0_is_discarded(profile: Profile) {
    let bench = Bench::backup(profile, |router| router);
    let since = bench.daemon().since(NAME);
    let before = bench.counter("interval-errors");
    bench.lan.send(&bench.advert(200).interval(0));
    let first = bench.lan.expect_advert(since, ms(5000));
    assert_span(
        "the Backup waits as if nothing had come",
        since,
        first.at,
        ms(3609),
    );
    let sent = bench.lan.send(&bench.advert(200).interval(0));
    (sent + ms(2300)).sleep_until();
    assert_eq!(bench.state(), "active");
    assert_eq!(bench.counter("interval-errors") - before, 2);
    let burst = bench.lan.adverts(first.at).len();
    assert!((2..=4).contains(&burst), "{burst} advertisements in 2.3 s");
}

statement!(r50_the_first_ipv6_address_is_link_local: v3_ipv6);
/// RFC 9568 §5.2.9, erratum 8300.
fn r50_the_first_ipv6_address_is_link_local(profile: Profile) {
    let bench = active(profile);
    let sound = bench.advert(254);
    let mut turned = profile.virtual_addresses();
    turned.reverse();
    expect_discards(
        &bench,
        &[(
            "a global address first",
            sound.clone().addresses(&turned),
            Own("address-list-errors"),
        )],
        &sound,
    );
}

statement!(r51_the_reserve_nibble_is_ignored: v3_ipv4 v3_ipv6);
/// RFC 9568 §5.2.6.
fn r51_the_reserve_nibble_is_ignored(profile: Profile) {
    let bench = active(profile);
    bench.lan.expect_advert(Stamp::now(), ms(1000));
    let sent = bench.lan.send(&bench.advert(254).reserve(0xf));
    bench.expect_demoted("Reserve 0xF", sent);
    let back = bench.lan.expect_advert(sent + ms(5), ms(4000));
    assert_span("the interval is 100 cs", sent, back.at, ms(3609));
}

statement!(r52_another_address_list_is_accepted_and_counted: v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1.
fn r52_another_address_list_is_accepted_and_counted(profile: Profile) {
    let mut list = profile.virtual_addresses();
    list.push(if profile.is_ipv6() {
        "2001:db8::253".parse().unwrap()
    } else {
        IpAddr::from([192, 0, 2, 253])
    });
    let bench = active(profile);
    bench.lan.expect_advert(Stamp::now(), ms(1000));
    let before = bench.counter("address-list-errors");
    let sent = bench.lan.send(&bench.advert(254).addresses(&list));
    bench.expect_demoted("another address list", sent);
    assert_eq!(bench.counter("address-list-errors") - before, 1);
}

statement!(r53_version_2_drops_another_list_unless_an_owner_sends_it: v2);
/// RFC 3768 §7.1.
fn r53_version_2_drops_another_list_unless_an_owner_sends_it(profile: Profile) {
    let bench = active(profile);
    let other = bench
        .advert(254)
        .addresses(&[IpAddr::from([192, 0, 2, 253])]);
    let owner = other.clone().priority(255);
    let before = bench.counter("address-list-errors");
    expect_discards(
        &bench,
        &[(
            "another list, priority 254",
            other,
            Own("address-list-errors"),
        )],
        &owner,
    );
    assert_eq!(
        bench.counter("address-list-errors") - before,
        2,
        "the owner's is counted too"
    );
}

statement!(r54_another_interval_is_accepted_and_counted: v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1.
fn r54_another_interval_is_accepted_and_counted(profile: Profile) {
    let bench = active(profile);
    bench.lan.expect_advert(Stamp::now(), ms(1000));
    let before = bench.counter("interval-errors");
    let sent = bench.lan.send(&bench.advert(254).interval(300));
    bench.expect_demoted("another interval", sent);
    assert_eq!(bench.counter("interval-errors") - before, 1);
}

statement!(r55_authentication_of_version_2: v2);
/// RFC 3768 §5.3.6, §5.3.10, §7.1; RFC 2338 §5.3.6, §5.3.10.
fn r55_authentication_of_version_2(profile: Profile) {
    let with = |kind, data: &[u8; 8]| {
        profile
            .advert(254)
            .authentication(Authentication { kind, data: *data })
    };
    let junk = *b"\x01\x02\x03\x04\x05\x06\x07\x08";

    let open = active(profile);
    // Type 1 and 2 are known types that differ from ours; 3 and 254 are nobody's.
    let defects = [
        ("type 1", with(1, &junk), Own("auth-type-mismatch")),
        ("type 2", with(2, &[0; 8]), Own("auth-type-mismatch")),
        ("type 3", with(3, &[0; 8]), Own("auth-type-invalid")),
        ("type 254", with(254, &[0; 8]), Own("auth-type-invalid")),
    ];
    expect_discards(&open, &defects, &with(0, &junk));

    let mut closed = Bench::new(profile);
    closed.start(|router| {
        router.set(
            "authentication",
            r#"{ type = "simple-text", key = "secret" }"#,
        )
    });
    closed.daemon().wait_state(NAME, "active", ms(6000));
    let defects = [
        (
            "a wrong password",
            with(1, b"secreT\0\0"),
            Own("auth-failures"),
        ),
        (
            "a right prefix and a tail",
            with(1, b"secret\0x"),
            Own("auth-failures"),
        ),
        ("no password", with(0, &[0; 8]), Own("auth-type-mismatch")),
    ];
    expect_discards(&closed, &defects, &with(1, b"secret\0\0"));
}

statement!(r56_two_owners: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.1 with erratum 8298, §8.3.2: elect one. RFC 3768 §7.1: ignore the other.
fn r56_two_owners(profile: Profile) {
    let owned = if profile.is_ipv6() {
        vec!["fe80::11/64", "2001:db8::11/64"]
    } else {
        vec!["192.0.2.11/24"]
    };
    let addresses: Vec<IpAddr> = owned
        .iter()
        .map(|prefix| prefix.split('/').next().unwrap().parse().unwrap())
        .collect();
    let bench = Bench::backup(profile, |router| {
        router.set("priority", 255).list("addresses", &owned)
    });
    let claim = |n: u8| {
        profile
            .advert(255)
            .addresses(&addresses)
            .from(&profile.own(n).to_string())
    };
    bench.daemon().wait_state(NAME, "active", ms(2000));
    let before = bench.counter("owner-conflicts");

    bench.lan.expect_advert(Stamp::now(), ms(1000));
    std::thread::sleep(ms(300));
    let sent = bench.lan.send(&claim(10));
    if profile != Profile::V2 {
        let answer = bench.lan.expect_advert(sent, ms(50));
        assert_within("a smaller owner is answered", sent, answer.at, ms(30));
    }
    bench.expect_still_active("a smaller owner", sent);
    assert_eq!(bench.counter("owner-conflicts") - before, 1);

    bench.lan.expect_advert(Stamp::now(), ms(1000));
    let sent = bench.lan.send(&claim(200));
    if profile == Profile::V2 {
        bench.expect_still_active("a greater owner, version 2", sent);
    } else {
        bench.expect_demoted("a greater owner", sent);
    }
    assert_eq!(bench.counter("owner-conflicts") - before, 2);
}

statement!(r57_padding_and_options_are_no_defect: v2 v3_ipv4);
/// Robustness: short frames are padded by Ethernet, and IPv4 has options.
fn r57_padding_and_options_are_no_defect(profile: Profile) {
    let sound = profile.advert(254);
    let router_alert = [0x94, 0x04, 0x00, 0x00];
    for (what, advert) in [
        ("padded to 60 bytes", sound.clone().padded_to(60)),
        ("Router Alert", sound.clone().options(&router_alert)),
        ("do not fragment", sound.clone().dont_fragment()),
    ] {
        let bench = active(profile);
        bench.lan.expect_advert(Stamp::now(), ms(1000));
        let sent = bench.lan.send(&advert);
        bench.expect_demoted(what, sent);
    }
}

statement!(r59_carp_is_not_broken_vrrp: v2 v3_ipv4);
/// Robustness: CARP shares the protocol number, the group and the first byte.
fn r59_carp_is_not_broken_vrrp(profile: Profile) {
    let bench = active(profile);
    // Version 2 and type 1, the id, advskew, 7 words of authentication, demotion, advbase, checksum, counter, HMAC.
    let mut message = vec![0x21, VRID, 0, 7, 0, 1, 0, 0];
    message.extend([0x5a; 28]);
    let checksum = vrrp_lab::wire::fold(vrrp_lab::wire::message_sum(&message));
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(message.len(), 36);
    let template = Packet::read(&bench.advert(254).frame()).unwrap();
    let ip = Ip::new(
        profile.own(200),
        template.ip.unwrap().destination,
        255,
        VRRP,
    );
    let frame = Ethernet {
        ..template.ethernet
    }
    .frame(&ip.packet(&message));

    let errors = || {
        let leaves = [
            "checksum-errors",
            "version-errors",
            "vrid-errors",
            "ip-ttl-errors",
            "short-packets",
        ];
        leaves.map(|leaf| bench.daemon().global_counter(leaf))
    };
    let (carp, before, length) = (
        bench.daemon().global_counter("carp-pkts-rcvd"),
        errors(),
        bench.counter("packet-length-errors"),
    );
    let sent = bench.lan.send_frame(&frame);
    bench.expect_still_active("CARP", sent);
    assert_eq!(bench.daemon().global_counter("carp-pkts-rcvd") - carp, 1);
    assert_eq!(
        (errors(), bench.counter("packet-length-errors")),
        (before, length),
        "and nothing else is counted"
    );
}

statement!(r60_multicast_and_unicast_do_not_mix: v2 v3_ipv4 v3_ipv6);
/// draft-abinabraham-vrrp-unicast §8.6; a router speaks one way.
fn r60_multicast_and_unicast_do_not_mix(profile: Profile) {
    let bench = active(profile);
    let mac: Mac = bench
        .dut
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap();
    let to_us = bench.advert(254).to(profile.own(11), mac);
    expect_discards(
        &bench,
        &[(
            "unicast to a multicast router",
            to_us.clone(),
            Own("mode-errors"),
        )],
        &bench.advert(254),
    );
    if profile == Profile::V2 {
        return; // The draft is for version 3.
    }

    let mut unicast = Bench::new(profile);
    let mac: Mac = unicast
        .dut
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap();
    let to_us = profile
        .advert(254)
        .to(profile.own(11), mac)
        .source_mac(Mac::played(200));
    unicast.lan.play(profile.own(200), Mac::played(200));
    unicast.start_file(&file(&[
        Router::new(NAME, profile).list("unicast-peers", &[profile.own(200)])
    ]));
    unicast.daemon().wait_state(NAME, "active", ms(6000));
    let heard = unicast.lan.expect_advert(Stamp::now(), ms(1000)).heard;
    assert_eq!(
        (heard.source, heard.destination),
        (profile.own(11), profile.own(200))
    );
    let defects = [
        (
            "a source that is no peer",
            to_us.clone().from(&profile.own(201).to_string()),
            Own("source-errors"),
        ),
        ("TTL 254", to_us.clone().ttl(254), Global("ip-ttl-errors")),
        (
            "multicast to a unicast router",
            profile.advert(254),
            Own("mode-errors"),
        ),
    ];
    expect_discards(&unicast, &defects, &to_us);
}
