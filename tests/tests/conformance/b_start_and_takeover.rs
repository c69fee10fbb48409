//! B. Start and takeover.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Frame, announces, speaks_for};
use vrrp_lab::clock::{Stamp, assert_span, assert_within, ms};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::wire::Mac;

/// Starts the router on a silent wire and judges when its first advertisement comes after it became Backup.
fn expect_first_advert_after(
    profile: Profile,
    formula: Duration,
    adjust: impl FnOnce(Router) -> Router,
) {
    let mut bench = Bench::new(profile);
    let begun = Stamp::now();
    bench.start(adjust);
    let backup_since = bench.daemon().since(NAME);
    // Building the bench took a part of the time since `begun`.
    let patience = backup_since.since(begun) + formula + ms(3000);
    let first = bench.lan.expect_advert(begun, patience);
    assert_span(
        "start of Backup to first advertisement",
        backup_since,
        first.at,
        formula,
    );
    let virtual_addresses = profile.virtual_addresses();
    let before = bench.lan.log.pick(begun, |frame| {
        (!frame.outgoing && frame.at < first.at && speaks_for(frame, &virtual_addresses))
            .then(|| frame.clone())
    });
    assert!(
        before.is_empty(),
        "frames for the virtual router before it is Active: {before:#?}"
    );
}

statement!(r11_silent_wire_3609_ms: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.1, §6.4.1–2: 3 × 1 s + 156/256 s.
fn r11_silent_wire_3609_ms(profile: Profile) {
    expect_first_advert_after(profile, Duration::from_micros(3_609_375), |router| router);
}

statement!(r12_priority_sets_the_skew: v3_ipv4);
/// RFC 9568 §6.1.
fn r12_priority_sets_the_skew(profile: Profile) {
    for (priority, formula) in [(254, 3008), (1, 3996)] {
        expect_first_advert_after(profile, ms(formula), |router| {
            router.set("priority", priority)
        });
    }
}

statement!(r13_interval_scales_everything: v3_ipv4);
/// RFC 9568 §6.1.
fn r13_interval_scales_everything(profile: Profile) {
    for (interval, formula) in [("100ms", 361), ("3s", 10_828)] {
        expect_first_advert_after(profile, ms(formula), |router| {
            router.text("advertise-interval", interval)
        });
    }
}

statement!(r14_version_2_does_not_scale_the_skew: v2);
/// RFC 3768 §6.1.
fn r14_version_2_does_not_scale_the_skew(profile: Profile) {
    expect_first_advert_after(profile, ms(9609), |router| {
        router.text("advertise-interval", "3s")
    });
}

statement!(r15_an_owner_is_active_at_once: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.1.
fn r15_an_owner_is_active_at_once(profile: Profile) {
    let bench = Bench::new(profile);
    let owned = if profile.is_ipv6() {
        vec!["fe80::11/64", "2001:db8::11/64"]
    } else {
        vec!["192.0.2.11/24"]
    };
    let router = Router::new(NAME, profile)
        .set("priority", 255)
        .list("addresses", &owned);
    let begun = Stamp::now();
    let _daemon = Daemon::launch(&bench.dut, &file(&[router]));
    let first = bench.lan.expect_advert(begun, ms(1000));
    assert_eq!(first.heard.priority(), 255);
    // Starting a process takes its time too; the rule is about the machine, so the tolerance is added to both.
    assert_within(
        "start to first advertisement",
        begun,
        first.at,
        ms(100) + vrrp_lab::clock::tolerance().late,
    );
    for owned in owned {
        let address: IpAddr = owned.split('/').next().unwrap().parse().unwrap();
        let announced = bench.lan.log.wait(begun, ms(1000), |frame| {
            announces(frame, address).then(|| frame.clone())
        });
        let announced = announced.unwrap_or_else(|| panic!("{address} was not announced"));
        assert_within(
            "start to announcement",
            begun,
            announced.at,
            ms(100)
                + vrrp_lab::clock::tolerance().late
                + vrrp_lab::stall::kernel(begun, announced.at),
        );
        assert_eq!(announced.packet.ethernet.source, profile.virtual_mac());
    }
}

statement!(r16_gratuitous_arp_follows_the_advertisement: v2 v3_ipv4);
/// RFC 9568 §6.4.2 with erratum 7949.
fn r16_gratuitous_arp_follows_the_advertisement(profile: Profile) {
    let begun = Stamp::now();
    let bench = Bench::backup(profile, |router| {
        router.list("addresses", &["192.0.2.254/24", "192.0.2.253/24"])
    });
    let first = bench.promote();
    std::thread::sleep(ms(500));
    for address in ["192.0.2.254", "192.0.2.253"].map(|text| text.parse::<IpAddr>().unwrap()) {
        let frames = bench.lan.log.pick(begun, |frame| {
            announces(frame, address).then(|| frame.clone())
        });
        assert!(!frames.is_empty(), "{address} was not announced");
        for frame in frames {
            assert!(frame.at > first.at, "announced before the advertisement");
            let arp = frame.packet.arp().unwrap();
            assert_eq!(
                (arp.sender_mac, arp.sender_ip, arp.target_ip),
                (profile.virtual_mac(), arp.target_ip, arp.sender_ip)
            );
            assert_eq!(arp.target_mac, profile.virtual_mac(), "erratum 7949");
            assert_eq!(
                (
                    frame.packet.ethernet.source,
                    frame.packet.ethernet.destination
                ),
                (profile.virtual_mac(), Mac::BROADCAST)
            );
        }
    }
}

statement!(r17_unsolicited_na_follows_the_advertisement: v3_ipv6);
/// RFC 9568 §6.4.2; RFC 4861 §7.2.6.
fn r17_unsolicited_na_follows_the_advertisement(profile: Profile) {
    let begun = Stamp::now();
    let bench = Bench::backup(profile, |router| router);
    let first = bench.promote();
    std::thread::sleep(ms(500));
    for address in profile.virtual_addresses() {
        let frames = bench.lan.log.pick(begun, |frame| {
            announces(frame, address).then(|| frame.clone())
        });
        assert!(!frames.is_empty(), "{address} was not announced");
        for frame in frames {
            assert!(frame.at > first.at, "announced before the advertisement");
            let advert = frame.packet.neighbour_advert().unwrap();
            assert_eq!(
                (advert.router, advert.solicited, advert.override_flag),
                (true, false, true),
                "R S O"
            );
            assert_eq!(advert.target_mac, Some(profile.virtual_mac()));
            let ip = frame.packet.ip.as_ref().unwrap();
            assert_eq!((ip.destination, ip.ttl), ("ff02::1".parse().unwrap(), 255));
            assert_eq!(frame.packet.ethernet.source, profile.virtual_mac());
            assert_eq!(
                frame.packet.ethernet.destination,
                Mac([0x33, 0x33, 0, 0, 0, 1])
            );
        }
    }
}

statement!(r18_solicited_node_groups_are_joined: v3_ipv6);
/// RFC 9568 §6.4.3; RFC 4861 §7.2.1.
fn r18_solicited_node_groups_are_joined(profile: Profile) {
    let begun = Stamp::now();
    let bench = Bench::active(profile, |router| router);
    let host = bench.host();
    for address in profile.virtual_addresses() {
        assert!(
            !bench.lan.resolve(host, address).is_empty(),
            "{address} asked at its solicited-node group"
        );
    }
    let reports = |frame: &Frame| {
        frame
            .packet
            .membership()
            .filter(|_| !frame.outgoing)
            .map(<[u8]>::to_vec)
    };
    // A snooping switch delivers nothing to a group nobody reported. The kernel repeats and delays its reports.
    let group = [
        0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x00, 0x02, 0x54,
    ];
    let reported = bench.lan.log.wait(begun, ms(3000), |frame| {
        reports(frame).filter(|bytes| bytes.windows(group.len()).any(|window| window == group))
    });
    assert!(
        reported.is_some(),
        "no MLD report for ff02::1:ff00:254; seen: {:02x?}",
        bench.lan.log.pick(begun, reports)
    );
}

statement!(r19_the_physical_mac_never_claims_the_address: v2 v3_ipv4);
/// RFC 9568 §8.1.2, through a whole life: start, takeover, questions, demotion, return, stop.
fn r19_the_physical_mac_never_claims_the_address(profile: Profile) {
    let begun = Stamp::now();
    let mut bench = Bench::active(profile, |router| router.set("accept-mode", true));
    let host = bench.host();
    for _ in 0..5 {
        let _ = bench.lan.resolve(host, profile.gateway());
        let _ = bench
            .lan
            .ping(host, profile.gateway(), profile.virtual_mac());
    }
    bench.lan.send(&bench.advert(200));
    let _ = bench.lan.resolve(host, profile.gateway());
    bench.promote();
    let _ = bench.lan.resolve(host, profile.gateway());
    bench.daemon_mut().stop();
    let _ = bench.lan.resolve(host, profile.gateway());
    let claimants: BTreeSet<Mac> = bench
        .lan
        .log
        .pick(begun, |frame| {
            let arp = frame.packet.arp().filter(|arp| {
                IpAddr::from(arp.sender_ip) == profile.gateway() && !frame.outgoing
            })?;
            Some([arp.sender_mac, frame.packet.ethernet.source])
        })
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(claimants, BTreeSet::from([profile.virtual_mac()]));
}
