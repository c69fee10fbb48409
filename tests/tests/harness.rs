//! The laboratory's own self-test: it judges a router that is known to work, and must find it working.
//!
//! keepalived 2.2.7 stands where our daemon will. If these fail, no verdict of the other tests means anything.

use std::time::Duration;
use vrrp_lab::capture::{Capture, announces};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, assert_span, ms};
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::netns::Namespace;
use vrrp_lab::pair::Pair;
use vrrp_lab::presence::Presence;
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::rival::{Make, Orders, start};
use vrrp_lab::tester::Tester;
use vrrp_lab::topology::{Lan, cable, router_lan};
use vrrp_lab::wire::{Checksum, Ethernet, Mac};

const SECOND: Duration = Duration::from_secs(1);

struct Subject {
    _keepalived: Keepalived,
    tester: Tester,
    profile: Profile,
    _namespaces: [Namespace; 2],
}

impl Subject {
    fn new(profile: Profile) -> Self {
        let (dut, lab) = (Namespace::new("dut"), Namespace::new("lab"));
        lab.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
        cable((&dut, "eth0"), (&lab, "eth0"));
        lab.ip("link set eth0 arp off\nlink set eth0 up");
        router_lan(&dut, "eth0", 11);
        let tester = Tester::new(&lab, "eth0");
        let keepalived = Keepalived::start(&dut, Orders::new(profile, 100, SECOND));
        Self {
            _keepalived: keepalived,
            tester,
            profile,
            _namespaces: [dut, lab],
        }
    }

    fn advert(&self, priority: u8) -> vrrp_lab::wire::Advert {
        // keepalived knows the pseudo-header form only.
        let advert = self.profile.advert(priority);
        if self.profile == Profile::V3Ipv4 {
            advert.checksum(Checksum::Pseudo)
        } else {
            advert
        }
    }
}

#[test]
fn sees_a_takeover_and_the_frames_of_it() {
    for_each_profile(|profile| {
        let begun = Stamp::now();
        let subject = Subject::new(profile);
        let first = subject.tester.expect_advert(begun, ms(6000));
        assert_eq!(first.frame.packet.ethernet.source, profile.virtual_mac()); // R2
        assert_eq!(first.heard.source, profile.own(11)); // R3
        assert_eq!(
            (
                first.heard.version(),
                first.heard.vrid(),
                first.heard.priority()
            ),
            (profile.version(), VRID, 100)
        );
        assert_eq!(first.heard.addresses(), profile.virtual_addresses()); // R4, R6
        let ip = first.frame.packet.ip.clone().unwrap();
        assert_eq!(ip.ttl, 255); // R1
        match profile {
            Profile::V2 => assert!(first.heard.verifies_alone()),
            Profile::V3Ipv4 | Profile::V3Ipv6 => assert!(first.heard.verifies_with_pseudo_header()),
        }
        let announced = subject.tester.log.wait(first.at, ms(500), |f| {
            announces(f, profile.gateway()).then_some(f.at)
        });
        assert!(announced.is_some(), "{profile:?}: no gratuitous ARP or NA"); // R16, R17

        let host = subject.tester.play(
            if profile.is_ipv6() {
                "fe80::64"
            } else {
                "192.0.2.100"
            }
            .parse()
            .unwrap(),
            Mac::played(100),
        );
        let answers = subject.tester.resolve(host, profile.gateway()); // R61, R62
        assert!(
            answers
                .iter()
                .any(|(inside, _)| *inside == profile.virtual_mac()),
            "{profile:?}: {answers:?}"
        );
        assert!(
            subject
                .tester
                .ping(host, profile.gateway(), profile.virtual_mac()),
            "keepalived accepts by default"
        ); // R63

        // R8: the spacing over a few packets.
        let second = subject.tester.expect_advert(first.at + ms(500), SECOND);
        let third = subject.tester.expect_advert(second.at + ms(500), SECOND);
        assert_span("spacing", second.at, third.at, SECOND);

        // R31: a winner silences it, without a priority 0; R22: the wait after that is the formula's.
        let won = subject.tester.send(&subject.advert(200));
        let back = subject.tester.expect_advert(won + ms(5), ms(5000));
        assert_span("after a winner", won, back.at, profile.down(100, SECOND));
    });
}

#[test]
fn sees_a_resignation_shorten_the_wait() {
    for_each_profile(|profile| {
        let subject = Subject::new(profile);
        // R24. Sent until keepalived is up and the first answer comes: the last one before it counts.
        let mut sent = subject.tester.send(&subject.advert(200));
        let begun = sent;
        while subject.tester.adverts(begun).is_empty() && Stamp::now().since(begun) < ms(1500) {
            std::thread::sleep(ms(250));
            sent = subject.tester.send(&subject.advert(200));
        }
        let resigned = subject.tester.send(&subject.advert(0));
        assert!(
            subject.tester.adverts(begun).is_empty(),
            "held down by priority 200 until {sent}"
        );
        let first = subject.tester.expect_advert(resigned, ms(3000));
        assert_span(
            "after priority 0",
            resigned,
            first.at,
            profile.skew(100, SECOND),
        );
    });
}

#[test]
fn a_client_counts_what_is_lost() {
    let lan = Lan::new(1);
    lan.routers[0].ip("addr add 192.0.2.254/24 dev eth0");
    let client = Client::start(&lan.client, &lan.upstream, "198.51.100.1".parse().unwrap());
    std::thread::sleep(ms(300));
    let calm = Stamp::now();
    std::thread::sleep(ms(700));
    let calm = client.experience(calm);
    assert!(
        calm.lost == 0 && calm.gap.is_zero(),
        "a calm wire loses nothing: {calm:?}"
    );

    let cut = Stamp::now();
    lan.unplug(0);
    std::thread::sleep(ms(300));
    lan.plug(0);
    std::thread::sleep(ms(500));
    let rough = client.experience(cut);
    assert!(
        rough.lost > 200 && rough.gap > ms(250),
        "a cut of 300 ms shows: {rough:?}"
    );
}

#[test]
fn frr_elects_itself_on_a_silent_wire() {
    for_each_profile(|profile| {
        let lan = Lan::new(1);
        let interval = if profile == Profile::V2 {
            SECOND
        } else {
            ms(100)
        };
        let capture = Capture::start(&lan.client, "eth0");
        let begun = Stamp::now();
        let frr = start(
            Make::Frr,
            &lan.routers[0],
            Orders::new(profile, 100, interval),
        );
        let heard = capture.wait(begun, ms(8000), vrrp_lab::capture::sighting);
        let heard = heard
            .unwrap_or_else(|| panic!("{profile:?}: FRR is silent\n{}", frr.log()))
            .heard;
        assert_eq!(
            (heard.version(), heard.vrid(), heard.priority()),
            (profile.version(), VRID, 100)
        );
        // Over IPv6 FRR sends from the macvlan's own link-local address.
        assert_eq!(heard.source == profile.own(11), !profile.is_ipv6());
        assert!(
            !profile.virtual_addresses().contains(&heard.source),
            "{}",
            heard.source
        );
    });
}

#[test]
fn a_pair_of_known_routers_passes_the_pair_judgement() {
    for_each_profile(|profile| {
        let measured = Pair::start(Make::Keepalived, Make::Keepalived, profile).judge(ms(10));
        println!("{profile:?}, keepalived over keepalived: {measured}");
    });
}

#[test]
fn frr_hands_over_to_keepalived() {
    for_each_profile(|profile| {
        let measured = Pair::start(Make::Frr, Make::Keepalived, profile).judge(ms(10));
        println!("{profile:?}, frr over keepalived: {measured}");
    });
}

/// The data-plane tests stand on this: on the hub both routers get what is sent to the virtual MAC.
#[test]
fn a_hub_floods_and_a_switch_learns() {
    let lan = Lan::new(2);
    let ports = ["lan1", "lan2"].map(|port| Capture::start(&lan.switch, port));
    let asker = Tester::new(&lan.client, "eth0");
    let mac = Profile::V3Ipv4.virtual_mac();
    let frame = |from: Mac, to: Mac| {
        Ethernet {
            destination: to,
            source: from,
            ethertype: 0x88b5,
        }
        .frame(&[0; 46])
    };
    let reached = |from: Stamp| {
        std::thread::sleep(ms(100));
        ports.each_ref().map(|port| {
            port.pick(from, |seen| {
                (seen.outgoing && seen.packet.ethernet.destination == mac).then_some(())
            })
            .len()
        })
    };
    // The first router teaches the switch where the virtual MAC is.
    let teacher = Tester::new(&lan.routers[0], "eth0");
    teacher.send_frame(&frame(mac, Mac::BROADCAST));
    std::thread::sleep(ms(50));
    let sent = asker.send_frame(&frame(Mac::played(9), mac));
    assert_eq!(
        reached(sent),
        [1, 0],
        "a switch sends it where it learned it"
    );

    lan.flood();
    teacher.send_frame(&frame(mac, Mac::BROADCAST));
    std::thread::sleep(ms(50));
    let sent = asker.send_frame(&frame(Mac::played(9), mac));
    assert_eq!(reached(sent), [1, 1], "a hub sends it everywhere");
}

#[test]
fn an_absence_is_measured() {
    let namespace = Namespace::new("absence");
    namespace.ip("addr add 192.0.2.254/32 dev lo");
    let presence = Presence::watch(&namespace, "192.0.2.254".parse().unwrap());
    std::thread::sleep(ms(50));
    let from = Stamp::now();
    namespace.ip("addr del 192.0.2.254/32 dev lo");
    std::thread::sleep(ms(100));
    namespace.ip("addr add 192.0.2.254/32 dev lo");
    std::thread::sleep(ms(100));
    let absences = presence.absences(from);
    let [(_, Some(lasted))] = absences.as_slice() else {
        panic!("{absences:?}")
    };
    assert!(*lasted >= ms(95), "{lasted:?}");
}

/// Before-and-after comparisons need a snapshot that does not change by itself.
#[test]
fn sysctls_hold_still() {
    let lan = Lan::new(1);
    let before = lan.routers[0].interface_sysctls();
    std::thread::sleep(ms(1500));
    assert_eq!(before, lan.routers[0].interface_sysctls());
    assert!(
        before
            .iter()
            .any(|line| line == "ipv4/conf/eth0/arp_ignore=0"),
        "{:?}",
        &before[..5]
    );
}

#[test]
fn namespaces_are_removed_even_on_panic() {
    let name = std::sync::Mutex::new(String::new());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let namespace = Namespace::new("panic");
        namespace.name().clone_into(&mut name.lock().unwrap());
        panic!("on purpose");
    }));
    assert!(result.is_err());
    let path = format!(
        "/run/netns/{}",
        name.lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    );
    assert!(!std::path::Path::new(&path).exists(), "{path}");
}

fn for_each_profile(judge: impl Fn(Profile) + Sync) {
    std::thread::scope(|scope| {
        for profile in Profile::ALL {
            let judge = &judge;
            scope.spawn(move || judge(profile));
        }
    });
}
