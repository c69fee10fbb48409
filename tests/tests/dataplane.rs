//! What hosts see: one MAC, one voice, one forwarder, and how long they wait.
#![expect(
    clippy::print_stdout,
    reason = "the measured gaps are half of the result"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use vrrp_lab::capture::{Capture, Frame, answer_for, speaks_for};
use vrrp_lab::client::{Client, Experience};
use vrrp_lab::clock::{Stamp, ms, slack};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::pair::{LOWER, Pair, quick};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::{Make::Ours, Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::stall;
use vrrp_lab::tester::{Host, Tester, question};
use vrrp_lab::topology::Lan;
use vrrp_lab::wire::{Ip, Mac, icmp_echo};

/// One test per profile, and with a program in the place of the macvlan, where versions make no difference.
macro_rules! for_each_profile {
    ($($name:ident)+) => {
        $(
            mod $name {
                use vrrp_lab::profile::Profile;

                #[test]
                fn v2() {
                    super::$name(Profile::V2, "macvlan");
                }

                #[test]
                fn v3_ipv4() {
                    super::$name(Profile::V3Ipv4, "macvlan");
                }

                #[test]
                fn v3_ipv6() {
                    super::$name(Profile::V3Ipv6, "macvlan");
                }

                mod ebpf {
                    use vrrp_lab::profile::Profile;

                    #[test]
                    fn v3_ipv4() {
                        super::super::$name(Profile::V3Ipv4, "ebpf");
                    }

                    #[test]
                    fn v3_ipv6() {
                        super::super::$name(Profile::V3Ipv6, "ebpf");
                    }
                }
            }
        )+
    };
}

for_each_profile! {
    a_client_sees_one_mac
    a_backup_never_speaks_for_the_virtual_router
    one_router_forwards
    gaps_of_a_client
    accept_mode_off_still_serves_as_gateway
}

/// Who takes the frames of the virtual MAC address in.
type Plane = &'static str;

fn on(plane: Plane, orders: Orders) -> Orders {
    Orders {
        plane: Some(plane),
        ..orders
    }
}

/// Ours and ours.
fn pair_on(lan: Lan, profile: Profile, plane: Plane) -> Pair {
    let makes = (Ours("auto"), Ours("auto"));
    Pair::start_with(lan, makes.0, makes.1, profile, quick(profile), |orders| {
        on(plane, orders)
    })
}

/// A host on the LAN, played beside the client's own kernel.
fn stranger(profile: Profile, tester: &Tester) -> Host {
    let ip = if profile.is_ipv6() {
        "2001:db8::101"
    } else {
        "192.0.2.101"
    };
    tester.play(ip.parse().unwrap(), Mac::played(101))
}

/// RFC 9568 §6.4.2, §6.4.3, §8.1.2, §8.2.2, on a hub, through election, hand-over, preemption and link loss.
fn a_client_sees_one_mac(profile: Profile, plane: Plane) {
    let lan = Lan::new(2);
    lan.flood();
    let begun = Stamp::now();
    let asker = Tester::new(&lan.client, "eth0");
    let host = stranger(profile, &asker);
    let _asking: Vec<_> = profile
        .virtual_addresses()
        .into_iter()
        .map(|address| asker.repeat_frame(question(host, address, None), ms(50)))
        .collect();
    let mut pair = pair_on(lan, profile, plane);

    expect_only(&pair, 0);
    pair.hand_over();
    pair.expect_elected(1);
    expect_only(&pair, 1);
    pair.take_back();
    expect_only(&pair, 0);
    pair.unplug();
    std::thread::sleep(pair.interval * 2);
    pair.lan.plug(0);
    pair.expect_elected(0);
    expect_only(&pair, 0);

    for address in profile.virtual_addresses() {
        assert_eq!(
            asker.log.answers_for(address, begun),
            BTreeSet::from([profile.virtual_mac()]),
            "who answers for {address}"
        );
    }
}

/// For five intervals: router `active` answers, and the other says nothing in the virtual router's name.
fn expect_only(pair: &Pair, active: usize) {
    let from = Stamp::now();
    std::thread::sleep(pair.interval * 5);
    let virtual_addresses = pair.profile.virtual_addresses();
    let answered = pair.ports[active].pick(from, |frame| {
        (!frame.outgoing)
            .then(|| answer_for(frame, pair.profile.gateway()))
            .flatten()
    });
    assert!(!answered.is_empty(), "the Active answers");
    let spoken = spoken_for(&pair.ports[1 - active], from, &virtual_addresses);
    assert!(spoken.is_empty(), "the Backup speaks: {spoken:#?}");
}

fn spoken_for(port: &Capture, from: Stamp, virtual_addresses: &[IpAddr]) -> Vec<Frame> {
    port.pick(from, |frame| {
        (!frame.outgoing && speaks_for(frame, virtual_addresses)).then(|| frame.clone())
    })
}

/// RFC 9568 §6.4.2: nothing from the virtual MAC, no answer to ARP, ND or ping, from start to stop, through a flap of its
/// own link and a reload (FRR #16995, keepalived #2272).
fn a_backup_never_speaks_for_the_virtual_router(profile: Profile, plane: Plane) {
    let lan = Lan::new(2);
    lan.flood();
    let interval = quick(profile);
    let tester = Tester::new(&lan.client, "eth0");
    let host = stranger(profile, &tester);
    let config = |priority| {
        let orders = Orders::new(profile, priority, interval);
        file(&[ours(on(plane, orders), "auto")])
    };
    let active = Daemon::start(&lan.routers[0], &config(200));
    active.wait_state("lab", "active", ms(8000));

    let port = Capture::start(&lan.switch, "lan2");
    let begun = Stamp::now();
    let mut backup = Daemon::start(&lan.routers[1], &config(100));
    backup.wait_state("lab", "backup", ms(3000));
    let own_mac: Mac = lan.routers[1]
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap();
    let provoke = || {
        for address in profile.virtual_addresses() {
            for to in [None, Some(profile.virtual_mac()), Some(own_mac)] {
                tester.send_frame(&question(host, address, to));
            }
            for mac in [profile.virtual_mac(), own_mac] {
                let ip = Ip::new(host.ip, address, 64, if profile.is_ipv6() { 58 } else { 1 });
                tester.send_ip(host, mac, &ip, &icmp_echo(host.ip, address, 7, 7));
            }
        }
        std::thread::sleep(ms(200));
    };
    for _ in 0..10 {
        provoke();
    }
    backup.reload();
    provoke();
    // Short enough for the peer to stay the only one it hears of.
    lan.unplug(1);
    std::thread::sleep(ms(50));
    lan.plug(1);
    for _ in 0..10 {
        provoke();
    }
    backup.stop();
    provoke();

    let spoken = spoken_for(&port, begun, &profile.virtual_addresses());
    assert!(
        spoken.is_empty(),
        "{} frames; the first: {:#?}",
        spoken.len(),
        spoken[0]
    );
}

/// RFC 9568 §6.4.2, §6.4.3: frames to the virtual MAC reach both routers on a hub, and one forwards them.
fn one_router_forwards(profile: Profile, plane: Plane) {
    let lan = Lan::new(2);
    lan.flood();
    let mut pair = pair_on(lan, profile, plane);
    let client = probe(&pair);
    let once = |what: &str, from: Stamp| {
        let seen = client.experience(from);
        assert_eq!((seen.lost, seen.doubled), (0, 0), "{what}: {seen:?}");
    };
    std::thread::sleep(ms(500));
    let from = Stamp::now();
    std::thread::sleep(ms(1000));
    once("the first is Active", from);

    let from = Stamp::now();
    pair.hand_over();
    pair.expect_elected(1);
    // The successor forwards with its first advertisement, and the predecessor until it has heard that.
    let seen = client.experience(from);
    assert!(seen.doubled <= 20, "through a hand-over: {seen:?}");
    let from = Stamp::now();
    std::thread::sleep(ms(1000));
    once("the second is Active", from);

    let from = Stamp::now();
    pair.take_back();
    // For the moment between the winner's advertisement and the loser's obedience two routers own the MAC.
    let seen = client.experience(from);
    assert!(seen.doubled <= 20, "through a preemption: {seen:?}");
    let from = Stamp::now();
    std::thread::sleep(ms(1000));
    once("the first is Active again", from);
}

/// A stream through the virtual address to the upstream host.
fn probe(pair: &Pair) -> Client {
    let upstream = if pair.profile.is_ipv6() {
        "2001:db8:f::1"
    } else {
        "198.51.100.1"
    };
    if pair.profile.is_ipv6() {
        // A global next hop too: the first virtual address is the link-local one.
        pair.lan
            .client
            .ip("route replace 2001:db8:f::/64 via 2001:db8::254 dev eth0");
    }
    Client::start(
        &pair.lan.client,
        &pair.lan.upstream,
        upstream.parse().unwrap(),
    )
}

/// What a stream of a probe per millisecond loses, on a learning switch, at each kind of change.
fn gaps_of_a_client(profile: Profile, plane: Plane) {
    let mut pair = pair_on(Lan::new(2), profile, plane);
    let (skew, down) = (
        profile.skew(LOWER, pair.interval),
        profile.down(LOWER, pair.interval),
    );
    let client = probe(&pair);
    std::thread::sleep(ms(500));
    let bounded = |what: &str, from: Stamp, bound: Duration| {
        let seen = client.experience(from);
        let stalled = stall::kernel(seen.gap_began, seen.gap_began + seen.gap);
        println!(
            "{profile:?}, {plane}, {what}: gap {:.1} ms, lost {}, doubled {} (bound {:.1} ms + {} ms; longest silence {:.1} ms)",
            ms_of(seen.gap),
            seen.lost,
            seen.doubled,
            ms_of(bound),
            slack().as_millis(),
            ms_of(seen.silence)
        );
        assert!(seen.gap <= bound + slack() + stalled, "{what}: {seen:?}");
        seen
    };

    let from = Stamp::now();
    std::thread::sleep(ms(1000));
    let Experience { lost, .. } = bounded("calm", from, ms(0));
    assert_eq!(lost, 0, "a calm wire loses nothing");

    let from = Stamp::now();
    pair.hand_over();
    pair.expect_elected(1);
    bounded("hand-over", from, skew);

    let from = Stamp::now();
    pair.take_back();
    // FRR loses 590 to 880 ms here over IPv6.
    bounded("preempt back", from, ms(0));

    let from = Stamp::now();
    pair.kill();
    pair.expect_elected(1);
    bounded("SIGKILL", from, down);
    let from = Stamp::now();
    pair.take_back();
    bounded("restart after SIGKILL and preempt back", from, down);

    let from = Stamp::now();
    pair.unplug();
    pair.expect_elected(1);
    bounded("link loss", from, down);
    let from = Stamp::now();
    pair.lan.plug(0);
    pair.expect_elected(0);
    bounded("link back and preempt back", from, ms(0));
}

fn ms_of(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

/// RFC 9568 §6.1: Accept_Mode false closes the address, not the gateway; neighbour discovery is never dropped.
fn accept_mode_off_still_serves_as_gateway(profile: Profile, plane: Plane) {
    let lan = Lan::new(1);
    let mut orders = Orders::new(profile, 200, quick(profile));
    orders.accept = false;
    let config = file(&[ours(on(plane, orders), "auto")]);
    let daemon = Daemon::start(&lan.routers[0], &config);
    daemon.wait_state("lab", "active", ms(8000));
    let upstream: IpAddr = if profile.is_ipv6() {
        "2001:db8:f::1"
    } else {
        "198.51.100.1"
    }
    .parse()
    .unwrap();
    let client = Client::start(&lan.client, &lan.upstream, upstream);
    std::thread::sleep(ms(500));
    let from = Stamp::now();
    std::thread::sleep(ms(1000));
    let seen = client.experience(from);
    assert_eq!(seen.lost, 0, "{seen:?}");
    let tester = Tester::new(&lan.client, "eth0");
    let host = stranger(profile, &tester);
    for address in profile.virtual_addresses() {
        assert!(
            !tester.ping(host, address, profile.virtual_mac()),
            "{address} answers pings"
        );
    }
    // The same question to the router's own address is answered, so it was a question.
    let own = if profile.is_ipv6() {
        "2001:db8::11"
    } else {
        "192.0.2.11"
    };
    let own_mac: Mac = lan.routers[0]
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap();
    assert!(
        tester.ping(host, own.parse().unwrap(), own_mac),
        "the router's own address"
    );
}
