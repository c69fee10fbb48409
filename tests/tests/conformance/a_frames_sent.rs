//! A. Frames sent.

use std::net::IpAddr;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Sighting, speaks_for};
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;
use vrrp_lab::wire::{ETHERTYPE_IPV4, Mac, VRRP};

/// The advertisement a fresh Active sends first.
fn first_advert(profile: Profile, adjust: impl FnOnce(Router) -> Router) -> Sighting {
    Bench::backup(profile, adjust).promote()
}

statement!(r01_multicast_protocol_112_ttl_255: v2 v3_ipv4);
/// RFC 9568 §5.1.1.2–4, §7.2; RFC 3768 §5.2.
fn r01_multicast_protocol_112_ttl_255(profile: Profile) {
    let packet = first_advert(profile, |router| router).frame.packet;
    let ip = packet.ip.unwrap();
    assert_eq!(packet.ethernet.ethertype, ETHERTYPE_IPV4);
    assert_eq!(
        packet.ethernet.destination,
        Mac([0x01, 0x00, 0x5e, 0x00, 0x00, 0x12])
    );
    assert_eq!(
        (ip.destination, ip.protocol, ip.ttl),
        (IpAddr::from([224, 0, 0, 18]), VRRP, 255)
    );
}

statement!(r02_source_is_the_virtual_mac: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §7.2, §7.3: bridges learn the virtual MAC from advertisements.
fn r02_source_is_the_virtual_mac(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let since = Stamp::now();
    bench.lan.expect_advert(since, ms(1000));
    for advert in bench.lan.adverts(since - ms(2000)) {
        let expected: Mac = if profile.is_ipv6() {
            "00:00:5e:00:02:33"
        } else {
            "00:00:5e:00:01:33"
        }
        .parse()
        .unwrap();
        assert_eq!(advert.frame.packet.ethernet.source, expected);
    }
}

statement!(r03_ip_source_is_the_primary_address: v2 v3_ipv4);
/// RFC 9568 §5.1.1.1, §7.2.
fn r03_ip_source_is_the_primary_address(profile: Profile) {
    let heard = first_advert(profile, |router| router).heard;
    assert_eq!(heard.source, IpAddr::from([192, 0, 2, 11]));
}

statement!(r04_version_3_message_over_ipv4: v3_ipv4);
/// RFC 9568 §5.2.
fn r04_version_3_message_over_ipv4(profile: Profile) {
    let listed = ["192.0.2.254", "192.0.2.9", "192.0.2.77"];
    let heard = first_advert(profile, |router| {
        router.list("addresses", &listed.map(|address| format!("{address}/24")))
    })
    .heard;
    assert_eq!(
        heard.message[..6],
        [0x31, 0x33, 0x64, 3, 0x00, 0x64],
        "version and type, VRID, priority, count, interval"
    );
    assert_eq!(heard.message.len(), 8 + 4 * 3);
    assert_eq!(heard.reserve(), 0);
    assert_eq!(
        heard.addresses(),
        listed.map(|address| address.parse::<IpAddr>().unwrap()),
        "in configured order"
    );
}

statement!(r05_checksum_over_ipv4_has_two_forms: v3_ipv4);
/// RFC 9568 §5.2.8; the second form is RFC 5798's as it was read.
fn r05_checksum_over_ipv4_has_two_forms(profile: Profile) {
    for (setting, alone) in [("rfc9568", true), ("rfc5798", false), ("auto", true)] {
        let heard = first_advert(profile, |router| router.text("checksum", setting)).heard;
        assert_eq!(
            (heard.verifies_alone(), heard.verifies_with_pseudo_header()),
            (alone, !alone),
            "checksum = {setting:?}"
        );
    }
}

statement!(r06_ipv6_envelope_and_message: v3_ipv6);
/// RFC 9568 §5.1.2, §5.2.8, §5.2.9.
fn r06_ipv6_envelope_and_message(profile: Profile) {
    let sighting = first_advert(profile, |router| router);
    let (packet, heard) = (sighting.frame.packet, sighting.heard);
    let ip = packet.ip.unwrap();
    assert_eq!(
        packet.ethernet.destination,
        Mac([0x33, 0x33, 0, 0, 0, 0x12])
    );
    assert_eq!((ip.destination, ip.ttl), ("ff02::12".parse().unwrap(), 255));
    assert_eq!(
        ip.source,
        profile.own(11),
        "the interface's link-local address"
    );
    assert_eq!(heard.message.len(), 8 + 16 * 2);
    assert!(heard.verifies_with_pseudo_header());
    assert_eq!(
        heard.addresses(),
        profile.virtual_addresses(),
        "the link-local address first"
    );
}

statement!(r07_version_2_message: v2);
/// RFC 3768 §5.3; RFC 2338 §5.3.10 for simple text.
fn r07_version_2_message(profile: Profile) {
    let secret = r#"{ type = "simple-text", key = "secret" }"#;
    for (authentication, kind, data) in [
        (None, 0, *b"\0\0\0\0\0\0\0\0"),
        (Some(secret), 1, *b"secret\0\0"),
    ] {
        // The tester cannot resign in the name of a password's peers, so the wait takes its full time.
        let mut bench = Bench::new(profile);
        bench.start(|router| {
            let router = router.text("advertise-interval", "2s");
            authentication.map_or(router.clone(), |value| router.set("authentication", value))
        });
        let heard = bench.lan.expect_advert(Stamp::now(), ms(8000)).heard;
        assert_eq!(
            heard.message[..6],
            [0x21, 0x33, 0x64, 1, kind, 2],
            "seconds in byte 5"
        );
        assert_eq!(heard.message.len(), 16 + 4);
        assert_eq!(heard.trailer(), data);
        assert!(
            heard.verifies_alone(),
            "the checksum covers the authentication data too"
        );
    }
}

statement!(r08_spacing_is_the_interval: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: Adver_Timer.
fn r08_spacing_is_the_interval(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let since = Stamp::now();
    (since + ms(20_500)).sleep_until();
    let times: Vec<Stamp> = bench
        .lan
        .adverts(since)
        .iter()
        .map(|advert| advert.at)
        .collect();
    assert!(
        times.len() >= 20,
        "{} advertisements in 20.5 s",
        times.len()
    );
    for pair in times.windows(2) {
        let gap = pair[1].since(pair[0]);
        let stalled = stall::longest(pair[0], pair[1]);
        assert!(
            gap + stalled >= ms(950) && gap <= ms(1050) + stalled,
            "{gap:?} between two advertisements"
        );
    }
}

statement!(r09_a_backup_is_silent: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2.
fn r09_a_backup_is_silent(profile: Profile) {
    let mut bench = Bench::new(profile);
    let since = Stamp::now();
    let _winner = bench.lan.repeat(&bench.advert(200), ms(1000));
    bench.start(|router| router);
    (since + ms(10_000)).sleep_until();
    assert_eq!(bench.state(), "backup");
    let virtual_addresses = profile.virtual_addresses();
    let spoken = bench.lan.log.pick(since, |frame| {
        (!frame.outgoing && speaks_for(frame, &virtual_addresses)).then(|| frame.clone())
    });
    assert!(spoken.is_empty(), "{spoken:#?}");
}

statement!(r10_the_families_are_independent: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4: one machine per family, though the VRID be the same.
fn r10_the_families_are_independent(profile: Profile) {
    let other = if profile.is_ipv6() {
        Profile::V3Ipv4
    } else {
        Profile::V3Ipv6
    };
    let mut bench = Bench::new(profile);
    bench.start_file(&file(&[
        Router::new(NAME, profile),
        Router::new("other", other),
    ]));
    for name in [NAME, "other"] {
        bench.daemon().wait_state(name, "active", ms(6000));
    }
    let demoted = bench.lan.send(&bench.advert(200));
    (demoted + ms(1500)).sleep_until();
    assert_eq!(
        (
            bench.state().as_str(),
            bench.daemon().state("other").as_str()
        ),
        ("backup", "active")
    );
    let families: Vec<bool> = bench
        .lan
        .adverts(demoted + ms(5))
        .iter()
        .map(|advert| advert.heard.source.is_ipv6())
        .collect();
    assert!(
        !families.is_empty() && families.iter().all(|is_ipv6| *is_ipv6 == other.is_ipv6()),
        "{families:?}"
    );
}
