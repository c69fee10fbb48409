//! F. Towards hosts.

use std::net::IpAddr;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::tester::Tester;
use vrrp_lab::topology::Lan;
use vrrp_lab::wire::{Ip, Mac, tcp_syn, udp};

/// Makes the Active a Backup and keeps it one.
fn demote(bench: &Bench) -> vrrp_lab::tester::Repeater {
    let sent = Stamp::now();
    let winner = bench.lan.repeat(&bench.advert(200), ms(1000));
    bench.daemon().wait_state(NAME, "backup", ms(1000));
    bench.wait_in_step();
    (sent + ms(200)).sleep_until();
    winner
}

statement!(r61_the_active_answers_arp: v2 v3_ipv4);
/// RFC 9568 §6.4.3, §8.1.2.
fn r61_the_active_answers_arp(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let host = bench.host();
    let virtual_mac = profile.virtual_mac();
    for to in [None, Some(virtual_mac)] {
        assert_eq!(
            bench.lan.resolve_to(host, profile.gateway(), to),
            [(virtual_mac, virtual_mac)],
            "asked at {to:?}"
        );
    }
    let _winner = demote(&bench);
    for to in [None, Some(virtual_mac), Some(physical_mac(&bench))] {
        assert_eq!(
            bench.lan.resolve_to(host, profile.gateway(), to),
            [],
            "a Backup, asked at {to:?}"
        );
    }
}

fn physical_mac(bench: &Bench) -> Mac {
    bench
        .dut
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap()
}

statement!(r62_the_active_answers_nd: v3_ipv6);
/// RFC 9568 §6.1, §6.4.3, §8.2.2: with accept-mode off too.
fn r62_the_active_answers_nd(profile: Profile) {
    for accept in [false, true] {
        let bench = Bench::active(profile, |router| router.set("accept-mode", accept));
        let host = bench.host();
        let virtual_mac = profile.virtual_mac();
        for address in profile.virtual_addresses() {
            let asked = Stamp::now();
            assert_eq!(
                bench.lan.resolve(host, address),
                [(virtual_mac, virtual_mac)],
                "{address}"
            );
            let adverts = bench.lan.log.pick(asked, |frame| {
                frame
                    .packet
                    .neighbour_advert()
                    .filter(|_| !frame.outgoing)
                    .copied()
            });
            let answer = adverts
                .iter()
                .find(|advert| advert.target == address && advert.solicited)
                .unwrap();
            assert_eq!(
                (answer.router, answer.target_mac),
                (true, Some(virtual_mac))
            );
        }
        let _winner = demote(&bench);
        for address in profile.virtual_addresses() {
            for to in [None, Some(virtual_mac), Some(physical_mac(&bench))] {
                assert_eq!(
                    bench.lan.resolve_to(host, address, to),
                    [],
                    "a Backup, {address} asked at {to:?}"
                );
            }
        }
    }
}

statement!(r63_ping_obeys_accept_mode: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.1, §6.4.3; RFC 3768 §6.4.3, which knows no Accept_Mode.
fn r63_ping_obeys_accept_mode(profile: Profile) {
    let modes: &[bool] = if profile == Profile::V2 {
        &[false]
    } else {
        &[false, true]
    };
    for &accept in modes {
        let bench = Bench::active(profile, |router| router.set("accept-mode", accept));
        let host = bench.host();
        for address in profile.virtual_addresses() {
            let host = if address.to_string().starts_with("fe80") {
                bench
                    .lan
                    .play("fe80::64".parse().unwrap(), Mac::played(101))
            } else {
                host
            };
            assert_eq!(
                bench.lan.ping(host, address, profile.virtual_mac()),
                accept,
                "ping {address}, accept-mode = {accept}"
            );
        }
        let _winner = demote(&bench);
        assert!(
            !bench
                .lan
                .ping(host, profile.gateway(), profile.virtual_mac()),
            "a Backup answers at the virtual MAC"
        );
        assert!(
            !bench
                .lan
                .ping(host, profile.gateway(), physical_mac(&bench)),
            "a Backup answers at its own MAC"
        );
    }
    // An owner accepts whatever the mode: the address is its own.
    let owned = if profile.is_ipv6() {
        vec!["fe80::11/64", "2001:db8::11/64"]
    } else {
        vec!["192.0.2.11/24"]
    };
    let owner = Bench::backup(profile, |router| {
        router.set("priority", 255).list("addresses", &owned)
    });
    owner.daemon().wait_state(NAME, "active", ms(2000));
    let host = owner.host();
    let address: IpAddr = owned
        .last()
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        owner.lan.ping(host, address, profile.virtual_mac()),
        "an owner answers"
    );
}

statement!(r64_the_active_alone_forwards: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2, §6.4.3.
fn r64_the_active_alone_forwards(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let (host, far) = (bench.host(), bench.far_host());
    let forwards = |bench: &Bench| {
        let ip = Ip::new(host.ip, far.ip, 64, 17);
        let sent = bench.lan.send_ip(
            host,
            profile.virtual_mac(),
            &ip,
            &udp(&ip, 4000, 4001, b"onwards"),
        );
        let arrived = bench.far.log.wait(sent, ms(400), |frame| {
            let ip = frame.packet.ip.as_ref()?;
            (!frame.outgoing && ip.destination == far.ip && ip.protocol == 17).then_some(ip.ttl)
        });
        assert!(arrived.is_none_or(|ttl| ttl == 63), "a hop is counted");
        arrived.is_some()
    };
    assert!(forwards(&bench), "the Active");
    let winner = demote(&bench);
    assert!(!forwards(&bench), "the Backup");
    drop(winner);
    bench.promote();
    assert!(forwards(&bench), "the Active again");
}

statement!(r65_packets_to_the_address_go_nowhere: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §8.3.1: with accept-mode off neither accepted nor sent round until their TTL is used up.
fn r65_packets_to_the_address_go_nowhere(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let (host, far) = (bench.host(), bench.far_host());
    let own_far_mac: Mac = bench
        .dut
        .sh("cat /sys/class/net/eth1/address")
        .parse()
        .unwrap();
    for (side, tester, from, mac) in [
        ("LAN", &bench.lan, host, profile.virtual_mac()),
        ("uplink", &bench.far, far, own_far_mac),
    ] {
        let ip = Ip::new(from.ip, profile.gateway(), 64, 6);
        let sent = tester.send_ip(from, mac, &ip, &tcp_syn(&ip, 40_000, 22));
        std::thread::sleep(ms(400));
        let seen = |tester: &Tester| {
            tester.log.pick(sent, |frame| {
                let ip = frame.packet.ip.as_ref()?;
                let about = ip.protocol == 6
                    && (ip.source == profile.gateway() || ip.destination == profile.gateway());
                (!frame.outgoing && about).then(|| format!("{ip:?}"))
            })
        };
        assert_eq!(
            (seen(&bench.lan), seen(&bench.far)),
            (vec![], vec![]),
            "sent from the {side}"
        );
    }
}

statement!(r67_two_routers_have_two_sources: v3_ipv6);
/// RFC 9568 §7.4: no interface identifier is made from the virtual MAC.
fn r67_two_routers_have_two_sources(profile: Profile) {
    let lan = Lan::new(2);
    let bystander = Capture::start(&lan.client, "eth0");
    let begun = Stamp::now();
    let mut daemons: Vec<Daemon> = [200, 100]
        .into_iter()
        .zip(&lan.routers)
        .map(|(priority, router)| {
            Daemon::start(
                router,
                &file(&[Router::new(NAME, profile).set("priority", priority)]),
            )
        })
        .collect();
    daemons[0].wait_state(NAME, "active", ms(6000));
    bystander.wait(begun, ms(2000), vrrp_lab::capture::sighting);
    daemons[0].stop();
    daemons[1].wait_state(NAME, "active", ms(6000));
    std::thread::sleep(ms(1200));
    let sources: std::collections::BTreeSet<IpAddr> = bystander
        .adverts(begun)
        .iter()
        .map(|advert| advert.heard.source)
        .collect();
    assert_eq!(sources, [profile.own(11), profile.own(12)].into());
    let made_from_the_mac = bystander.pick(begun, |frame| match frame.packet.ip.as_ref()?.source {
        IpAddr::V6(source) => {
            (source.segments()[4..7] == [0x0200, 0x5eff, 0xfe00]).then_some(source)
        }
        IpAddr::V4(_) => None,
    });
    assert_eq!(made_from_the_mac, Vec::<std::net::Ipv6Addr>::new());
}

statement!(r68_no_redirect_names_the_wrong_router: v2 v3_ipv4);
/// RFC 9568 §8.1.1; RFC 3768 §8.1: a redirect about a packet to the virtual MAC has the virtual address as its source. None at
/// all is as good: the host goes on using a gateway that works.
fn r68_no_redirect_names_the_wrong_router(profile: Profile) {
    let bench = Bench::active(profile, |router| router);
    let host = bench.host();
    // A better gateway on the same LAN is what a redirect would be about.
    let better = bench.lan.play(profile.own(200), Mac::played(200));
    bench
        .dut
        .ip(&format!("route add 203.0.113.0/24 via {}", better.ip));
    let beyond: IpAddr = "203.0.113.1".parse().unwrap();
    let ip = Ip::new(host.ip, beyond, 64, 17);
    let sent = bench.lan.send_ip(
        host,
        profile.virtual_mac(),
        &ip,
        &udp(&ip, 4000, 4001, b"round the corner"),
    );
    let forwarded = bench.lan.log.wait(sent, ms(1000), |frame| {
        let to_better = frame.packet.ethernet.destination == better.mac && !frame.outgoing;
        (to_better && frame.packet.ip.as_ref()?.destination == beyond).then_some(())
    });
    assert!(forwarded.is_some(), "the packet is forwarded all the same");
    std::thread::sleep(ms(200));
    let redirects = bench.lan.log.pick(sent, |frame| {
        let (Some(ip), Some(&kind)) = (&frame.packet.ip, frame.bytes.get(34)) else {
            return None;
        };
        (ip.protocol == 1 && kind == 5 && !frame.outgoing).then_some(ip.source)
    });
    assert!(
        redirects.iter().all(|source| *source == profile.gateway()),
        "redirects from {redirects:?}"
    );
}
