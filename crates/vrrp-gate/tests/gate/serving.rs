//! Routers without a macvlan.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;
use std::time::Duration;

use vrrp_gate::{Gate, Leases, Served, Serving};
use vrrp_proto::types::{Family, MacAddress, Vrid};

use crate::passing::{Statistics, price};
use crate::stream::{Way, virtual_mac};
use crate::wire::{
    BROADCAST, HOST, Wire, arp, arp_reply, betrays, checksum, group_mac, icmpv6, solicitation,
};
use crate::world::{FOREVER, V4, V6, World, vrid};

const OTHER: (Family, Vrid) = (Family::Ipv4, vrid(52));
const MAC4: [u8; 6] = virtual_mac(1, 51);
const MAC6: [u8; 6] = virtual_mac(2, 51);
const VIP4: &str = "10.9.0.254";
const VIP6: &str = "fd09::fe";
const LINK_LOCAL: &str = "fe80::fe";
const CLIENT: [u8; 4] = [10, 9, 0, 100];
const VIP: [u8; 4] = [10, 9, 0, 254];

fn served(addresses: &[&str], accept: bool) -> Served {
    Served {
        addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
        accept,
        owner: false,
    }
}

/// VRID 51 of both families, and 52 with 10.9.0.253.
fn serving(accept: bool) -> Serving {
    Serving::from([
        (V4, served(&[VIP4], accept)),
        (V6, served(&[LINK_LOCAL, VIP6], accept)),
        (OTHER, served(&["10.9.0.253"], accept)),
    ])
}

/// A gate that serves these routers, of which VRID 51 has open leases.
fn open(world: &World, serving: &Serving) -> (Gate, Leases) {
    let mut gate = world.gate("test");
    gate.serve(world.r0, serving).unwrap();
    let leases = gate.attach(world.r0, serving.keys().copied()).unwrap();
    for (family, vrid) in [V4, V6] {
        leases.extend(family, vrid, FOREVER);
    }
    (gate, leases)
}

/// The MAC address that the client's kernel learns for `address`.
fn resolved(world: &World, address: &str) -> Option<String> {
    world.answers(address);
    let line = world.client.sh(&format!("ip neigh show {address} dev c0"));
    let mut words = line.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

const NAME4: &str = "00:00:5e:00:01:33";
const NAME6: &str = "00:00:5e:00:02:33";

#[test]
fn a_gateway_with_no_address_anywhere() {
    let world = World::bare();
    world.client.sh("ip route add 10.10.0.1 via 10.9.0.254
         ip -6 route add fd10::1 via fd09::fe dev c0");
    let (mut gate, leases) = open(&world, &serving(false));
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
    assert_eq!(resolved(&world, VIP6).as_deref(), Some(NAME6));
    assert!(world.answers("10.10.0.1"), "forwarded");
    assert!(world.answers("fd10::1"), "forwarded");
    for address in [VIP4, VIP6] {
        assert!(!world.pings(address), "nobody has {address}");
    }
    let line = world.client.sh("ip -6 neigh show fd09::fe dev c0");
    assert!(line.contains("router"), "the R flag: {line}");
    let counters = leases.counters(V4.0, V4.1).unwrap();
    assert!(
        counters.passed_in > 0 && counters.passed_out > 0,
        "{counters:?}"
    );

    // VRID 52 is another router, whose lease is not open.
    assert_eq!(resolved(&world, "10.9.0.253"), None);
    leases.extend(OTHER.0, OTHER.1, FOREVER);
    assert_eq!(
        resolved(&world, "10.9.0.253").as_deref(),
        Some("00:00:5e:00:01:34")
    );
    leases.close(V4.0, V4.1);
    assert_eq!(resolved(&world, VIP4), None);
    assert!(!world.answers("10.10.0.1"), "not forwarded");
    assert!(
        resolved(&world, "10.9.0.253").is_some(),
        "the other goes on"
    );
    assert!(
        world.answers("fd10::1"),
        "and so does that of the other family"
    );
    leases.close(V6.0, V6.1);
    assert_eq!(resolved(&world, VIP6), None);
    assert!(!world.answers("fd10::1"), "not forwarded");
    // Of its own addresses the host goes on to answer.
    assert!(world.answers("10.9.0.1") && world.answers("fd09::1"));

    // Without the gate, nothing: it fails closed.
    leases.extend(V4.0, V4.1, FOREVER);
    assert!(world.answers("10.10.0.1"));
    world.router.sh("tc qdisc del dev r0 clsact");
    assert_eq!(resolved(&world, VIP4), None);
    world.client.sh(&format!(
        "ip neigh replace 10.9.0.254 lladdr {NAME4} dev c0 nud permanent"
    ));
    assert!(!world.pings("10.10.0.1"), "not forwarded");
    // And with it again, as before.
    gate.attach(world.r0, [V4]).unwrap();
    assert!(world.pings("10.10.0.1"));
    // No longer served: nobody takes the frames.
    gate.serve(world.r0, &Serving::new()).unwrap();
    assert!(!world.pings("10.10.0.1"), "not forwarded");
}

#[test]
fn who_adopts_a_gate_knows_what_it_serves() {
    let world = World::bare();
    let (mut gate, leases) = open(&world, &serving(false));
    leases.extend(OTHER.0, OTHER.1, FOREVER);
    let parts = gate.take_parts(world.r0).unwrap();
    drop((gate, leases));
    let mut gate = world
        .router
        .enter(|| Gate::adopt("test", [(world.r0, parts)]).unwrap());
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
    // What is not wanted any more goes, although another process told it.
    let mut wanted = serving(false);
    wanted.remove(&OTHER);
    gate.serve(world.r0, &wanted).unwrap();
    assert_eq!(resolved(&world, "10.9.0.253"), None);
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
    assert_eq!(resolved(&world, VIP6).as_deref(), Some(NAME6));
    gate.serve(world.r0, &Serving::new()).unwrap();
    assert_eq!(resolved(&world, VIP4), None);
    gate.serve(world.r0, &serving(false)).unwrap();
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
}

/// With accept-mode the host has the addresses, on the interface itself.
#[test]
fn addresses_of_the_host_answer_with_the_virtual_mac_address() {
    let world = World::bare();
    world.router.sh("ip addr add 10.9.0.254/24 dev r0
         ip -6 addr add fd09::fe/64 dev r0 nodad
         ip -6 addr add fe80::fe/64 dev r0 nodad");
    let (_gate, leases) = open(&world, &serving(true));
    let wire = Wire::new(&world.client, "c0");
    assert!(world.answers(VIP4) && world.answers(VIP6));
    assert!(world.answers("fe80::fe%c0"));
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
    assert_eq!(resolved(&world, VIP6).as_deref(), Some(NAME6));
    // What the host asks for itself, from the addresses, must not teach its own MAC address either.
    world.router.sh("sysctl -qw net.ipv4.conf.all.arp_announce=0
         ip neigh flush dev r0");
    world.router.sh("ping -c 1 -W 1 -I 10.9.0.254 10.9.0.2
         ping -c 1 -W 1 -I fd09::fe fd09::2");
    for (ip, mac) in [(VIP4, MAC4), (VIP6, MAC6)] {
        let neighbour = world.client.sh(&format!("ip neigh show {ip} dev c0"));
        let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(neighbour.contains(&mac.join(":")), "{neighbour}");
    }
    let ips: (Ipv4Addr, Ipv6Addr) = (VIP4.parse().unwrap(), VIP6.parse().unwrap());
    let virtual_ = |mac: &[u8]| mac == MAC4 || mac == MAC6;
    let seen = wire.hear(|frame| frame[..6] != frame[6..12]);
    assert!(
        seen.iter().any(|frame| frame[12..14] == [8, 6]
            && frame[28..32] == VIP
            && frame[20..22] == [0, 1]),
        "it asks as the virtual address"
    );
    assert!(seen.iter().any(|frame| frame[12..14] == [0x86, 0xdd]
        && frame[54] == 135
        && frame[22..38] == ips.1.octets()));
    let betrayals: Vec<_> = seen
        .iter()
        .filter(|frame| betrays(frame, ips, virtual_))
        .collect();
    assert!(betrayals.is_empty(), "{betrayals:02x?}");
    // The checksum was changed along: the client's kernel took the solicitation.
    for frame in seen.iter().filter(|frame| frame[12..14] == [0x86, 0xdd]) {
        if frame[20] == 58 {
            let end = 54 + usize::from(u16::from_be_bytes([frame[18], frame[19]]));
            assert_eq!(checksum(&frame[22..54], &frame[54..end]), 0xffff);
        }
    }

    // The kernel announces all its addresses at once, if it is to, when its MAC address changes.
    wire.empty();
    world.router.sh("sysctl -qw net.ipv6.conf.r0.ndisc_notify=1
         ip link set r0 address 02:00:00:00:00:77");
    let announced =
        |frame: &[u8]| frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 136;
    let seen = wire.hear(announced);
    let own: Ipv6Addr = "fd09::1".parse().unwrap();
    assert!(seen.iter().any(|frame| frame[62..78] == own.octets()));
    assert!(!seen.iter().any(|frame| betrays(frame, ips, virtual_)));

    // The addresses are still there, and nobody is told.
    leases.close(V4.0, V4.1);
    leases.close(V6.0, V6.1);
    let own = world.router.sh("cat /sys/class/net/r0/address");
    for address in [VIP4, VIP6] {
        assert_eq!(resolved(&world, address), None);
        for mac in [own.trim(), NAME4, NAME6] {
            world.client.sh(&format!(
                "ip neigh replace {address} lladdr {mac} dev c0 nud permanent"
            ));
            assert!(!world.pings(address), "{address} at {mac}");
        }
        world.client.sh(&format!("ip neigh del {address} dev c0"));
    }
    wire.empty();
    world
        .router
        .succeeds("arping -c 1 -w 1 -U -I r0 -s 10.9.0.254 10.9.0.254");
    let seen = wire.hear(|frame| betrays(frame, ips, |_| false));
    assert!(seen.is_empty(), "{seen:02x?}");
}

/// RFC 9568 §8.3.1: the host has not the address, and would look for it on the link.
#[test]
fn packets_to_an_address_that_nobody_has_go_nowhere() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let (mut gate, _leases) = open(&world, &serving(false));
    let ipv4 = datagram(MAC4, VIP);
    let target: Ipv6Addr = VIP6.parse().unwrap();
    let echo = vec![128, 0, 0, 0, 0, 1, 0, 1];
    let ipv6 = icmpv6(MAC6, "fd09::100".parse().unwrap(), target, echo);
    let looked_for = |frame: &[u8]| {
        (frame[12..14] == [8, 6] && frame[38..42] == VIP)
            || (frame[12..14] == [0x86, 0xdd]
                && frame[54] == 135
                && frame[62..78] == target.octets())
    };
    for frame in [&ipv4, &ipv6] {
        let heard = wire.tell(frame, looked_for);
        assert!(heard.is_empty(), "{heard:02x?}");
    }
    // It is looked for if it is to be accepted, and is not there yet. The kernel asks from its link-local address.
    while !world
        .router
        .sh("ip -6 addr show dev r0 tentative")
        .is_empty()
    {
        thread::sleep(Duration::from_millis(20));
    }
    gate.serve(world.r0, &serving(true)).unwrap();
    for frame in [&ipv4, &ipv6] {
        let heard = wire.tell(frame, |_| true);
        assert!(heard.iter().any(|frame| looked_for(frame)), "{heard:02x?}");
    }
}

#[test]
fn each_question_has_one_answer() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let (_gate, leases) = open(&world, &serving(false));
    let own = world.physical();
    for to in [BROADCAST, MAC4, own] {
        for sender in [CLIENT, [0; 4]] {
            assert_eq!(
                wire.ask(&arp(to, sender, VIP)),
                [arp_reply(MAC4, VIP, sender)],
                "asked at {to:02x?} by {sender:?}"
            );
        }
    }
    // Somebody announces; others are asked; the router itself; a question to somebody else's MAC address.
    assert!(wire.ask(&arp(BROADCAST, VIP, VIP)).is_empty());
    assert!(wire.ask(&arp(BROADCAST, CLIENT, [10, 9, 0, 77])).is_empty());
    assert_eq!(
        wire.ask(&arp(BROADCAST, CLIENT, [10, 9, 0, 1])),
        [arp_reply(own, [10, 9, 0, 1], CLIENT)]
    );
    assert!(
        wire.ask(&arp([2, 0, 0, 0, 0, 7], CLIENT, VIP)).is_empty(),
        "asked of another host"
    );
    // Who gives up says the same.
    leases.set_own_mac(MacAddress(own));
    leases.mute(V4.0, V4.1);
    assert_eq!(
        wire.ask(&arp(BROADCAST, CLIENT, VIP)),
        [arp_reply(MAC4, VIP, CLIENT)]
    );
    // And nothing, once its successor says it.
    assert!(leases.hush(V4.0, V4.1));
    for to in [BROADCAST, MAC4, own] {
        assert!(wire.ask(&arp(to, CLIENT, VIP)).is_empty());
    }
    leases.close(V4.0, V4.1);
    for to in [BROADCAST, MAC4, own] {
        assert!(wire.ask(&arp(to, CLIENT, VIP)).is_empty());
    }
}

/// A successor announces before the old Active has heard of it. The kernel would take that for a question, since it hears
/// its own addresses here, and its answer would lead the successor's traffic back.
#[test]
fn a_successor_is_not_contradicted() {
    let world = World::bare();
    world.router.sh("ip addr add 10.9.0.254/24 dev r0
         sysctl -qw net.ipv4.conf.r0.accept_local=1");
    let wire = Wire::new(&world.client, "c0");
    assert!(
        !wire.ask(&arp(BROADCAST, VIP, VIP)).is_empty(),
        "without a gate"
    );
    let (_gate, _leases) = open(&world, &serving(true));
    // A daemon listens for claims, with a socket that comes after the gate.
    let listener = Wire::of(&world.router, "r0", libc::ETH_P_ARP);
    let claim = arp(BROADCAST, VIP, VIP);
    assert_eq!(wire.ask(&claim), [[0; 0]; 0]);
    assert_eq!(listener.hear(|frame| frame[28..32] == VIP), [claim]);
    assert!(world.answers(VIP4));
}

/// RFC 4861 §4.4, §7.2.4.
#[test]
fn a_solicitation_has_one_answer() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let (_gate, leases) = open(&world, &serving(false));
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    for target in [VIP6, LINK_LOCAL] {
        for to in [group_mac(target), MAC6] {
            for more in [&[][..], &nonce] {
                let answers = wire.ask(&solicitation(to, "fd09::100", target, more));
                let [answer] = &answers[..] else {
                    panic!("{target} asked at {to:02x?}: {answers:02x?}");
                };
                check_advertisement(answer, target, "fd09::100", 0xe0);
            }
        }
    }
    // Duplicate address detection is answered to all: nobody can be told alone.
    let question = solicitation(group_mac(VIP6), "::", VIP6, &nonce);
    let all_nodes = [0x33, 0x33, 0, 0, 0, 1];
    let heard = wire.tell(&question, |frame| frame[..6] == all_nodes);
    let [answer] = &heard[..] else {
        panic!("{heard:02x?}");
    };
    check_advertisement(answer, VIP6, "ff02::1", 0xa0);

    leases.set_own_mac(MacAddress(world.physical()));
    leases.mute(V6.0, V6.1);
    let answers = wire.ask(&solicitation(group_mac(VIP6), "fd09::100", VIP6, &[]));
    assert_eq!(answers.len(), 1, "{answers:02x?}");
    check_advertisement(&answers[0], VIP6, "fd09::100", 0xe0);
    assert!(leases.hush(V6.0, V6.1));
    for to in [group_mac(VIP6), MAC6] {
        let asked = wire.ask(&solicitation(to, "fd09::100", VIP6, &[]));
        assert!(asked.is_empty(), "{asked:02x?}");
    }
    leases.close(V6.0, V6.1);
    for to in [group_mac(VIP6), MAC6] {
        let asked = wire.ask(&solicitation(to, "fd09::100", VIP6, &[]));
        assert!(asked.is_empty(), "{asked:02x?}");
    }
}

fn check_advertisement(frame: &[u8], target: &str, to: &str, flags: u8) {
    let [target, to]: [Ipv6Addr; 2] = [target, to].map(|text| text.parse().unwrap());
    assert_eq!(frame.len(), 86);
    assert_eq!(frame[6..12], MAC6);
    assert_eq!(frame[18..22], [0, 32, 58, 255]);
    assert_eq!(frame[22..38], target.octets());
    assert_eq!(frame[38..54], to.octets());
    assert_eq!(frame[54..56], [136, 0]);
    assert_eq!(frame[58..62], [flags, 0, 0, 0]);
    assert_eq!(frame[62..78], target.octets());
    assert_eq!(frame[78..80], [2, 1]);
    assert_eq!(frame[80..], MAC6);
    assert_eq!(checksum(&frame[22..54], &frame[54..]), 0xffff);
}

/// RFC 4861 §7.1.1.
#[test]
fn no_answer_to_what_is_no_solicitation() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let (_gate, _leases) = open(&world, &serving(false));
    let good = solicitation(group_mac(VIP6), "fd09::100", VIP6, &[]);
    assert_eq!(wire.ask(&good).len(), 1);
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let from: Ipv6Addr = "fd09::100".parse().unwrap();
    let group: Ipv6Addr = "ff02::1:ff00:fe".parse().unwrap();
    let message = |code: u8, length: usize| {
        let mut message = good[54..].to_vec();
        message[1] = code;
        message[2..4].fill(0);
        message.resize(length, 0);
        icmpv6(group_mac(VIP6), from, group, message)
    };
    for (what, frame) in [
        ("passed on by a router", broken(&|frame| frame[21] = 254)),
        ("a wrong checksum", broken(&|frame| frame[57] ^= 1)),
        ("a wrong option", broken(&|frame| frame[85] ^= 1)),
        ("a code", message(1, 32)),
        ("half an option", message(0, 28)),
        ("too long", message(0, 264)),
        ("cut off", broken(&|frame| frame.truncate(80))),
        ("no target", broken(&|frame| frame.truncate(70))),
        ("from a group", {
            let message = message(0, 32)[54..].to_vec();
            icmpv6(group_mac(VIP6), group, group, {
                let mut message = message;
                message[2..4].fill(0);
                message
            })
        }),
        ("somebody else's", {
            solicitation(group_mac("fd09::fd"), "fd09::100", "fd09::fd", &[])
        }),
    ] {
        let answers = wire.ask(&frame);
        assert!(answers.is_empty(), "{what}: {answers:02x?}");
    }
    assert_eq!(wire.ask(&message(0, 256)).len(), 1, "as long as may be");
    assert_eq!(wire.ask(&good).len(), 1);
}

/// A CARP router has addresses of both families and one MAC address, of IPv4's block. One of VRRP for IPv6 has the same number, and
/// nothing else in common with it.
#[test]
fn one_mac_address_for_both_families() {
    const CARP: (Family, Vrid) = (Family::Ipv4, vrid(54));
    const BESIDE: (Family, Vrid) = (Family::Ipv6, vrid(54));
    const MAC: &str = "00:00:5e:00:01:36";
    let world = World::bare();
    world.client.sh("ip route add 10.10.0.1 via 10.9.0.252
         ip -6 route add fd10::1 via fd09::fc dev c0");
    let both = |first: &[&str], accept| {
        Serving::from([
            (CARP, served(first, accept)),
            (BESIDE, served(&["fd09::fb"], accept)),
        ])
    };
    let mut gate = world.gate("test");
    gate.serve(world.r0, &both(&["10.9.0.252", "fd09::fc"], false))
        .unwrap();
    let leases = gate.attach(world.r0, [CARP, BESIDE]).unwrap();
    for address in ["10.9.0.252", "fd09::fc", "fd09::fb"] {
        assert_eq!(resolved(&world, address), None, "{address}");
    }
    leases.extend(CARP.0, CARP.1, FOREVER);
    for address in ["10.9.0.252", "fd09::fc"] {
        assert_eq!(resolved(&world, address).as_deref(), Some(MAC), "{address}");
    }
    assert_eq!(resolved(&world, "fd09::fb"), None);
    assert!(world.answers("10.10.0.1") && world.answers("fd10::1"));
    leases.extend(BESIDE.0, BESIDE.1, FOREVER);
    assert_eq!(
        resolved(&world, "fd09::fb").as_deref(),
        Some("00:00:5e:00:02:36")
    );
    leases.close(CARP.0, CARP.1);
    for address in ["10.10.0.1", "fd10::1"] {
        assert!(!world.pings(address), "{address} is not forwarded");
    }
    assert!(resolved(&world, "fd09::fb").is_some(), "it goes on");

    // The host has the addresses.
    leases.extend(CARP.0, CARP.1, FOREVER);
    world.router.sh("ip addr add 10.9.0.252/24 dev r0
         ip -6 addr add fd09::fc/64 dev r0 nodad");
    gate.serve(world.r0, &both(&["10.9.0.252", "fd09::fc"], true))
        .unwrap();
    for address in ["10.9.0.252", "fd09::fc"] {
        assert!(world.answers(address), "{address}");
        assert_eq!(resolved(&world, address).as_deref(), Some(MAC), "{address}");
    }

    // Without addresses of IPv4 it takes none of its frames in, as one of VRRP takes none of the other family's.
    let forwards = |address: &str, mac: &str| {
        let neighbour = format!("{address} lladdr {mac} dev c0 nud permanent");
        world.client.sh(&format!("ip neigh replace {neighbour}"));
        let to = if address.contains(':') {
            "fd10::1"
        } else {
            "10.10.0.1"
        };
        world.pings(to)
    };
    gate.serve(world.r0, &both(&["fd09::fc"], true)).unwrap();
    assert!(forwards("fd09::fc", MAC) && !forwards("10.9.0.252", MAC));
    gate.serve(world.r0, &both(&["10.9.0.252"], true)).unwrap();
    assert!(!forwards("fd09::fc", MAC) && forwards("10.9.0.252", MAC));
    assert!(forwards("fd09::fc", "00:00:5e:00:02:36"));
    assert!(!forwards("10.9.0.252", "00:00:5e:00:02:36"));

    // Another process knows what there is.
    let parts = gate.take_parts(world.r0).unwrap();
    drop(gate);
    let mut gate = world
        .router
        .enter(|| Gate::adopt("test", [(world.r0, parts)]).unwrap());
    assert!(forwards("10.9.0.252", MAC));
    gate.serve(world.r0, &Serving::new()).unwrap();
    assert!(!forwards("10.9.0.252", MAC));
}

/// The client's kernel, which detects that the address is taken.
#[test]
fn a_host_that_wants_the_address_is_told() {
    let world = World::bare();
    world
        .client
        .sh("sysctl -qw net.ipv6.conf.all.accept_dad=1 net.ipv6.conf.c0.accept_dad=1");
    let (_gate, _leases) = open(&world, &serving(false));
    world.client.sh("ip -6 addr add fd09::fe/64 dev c0");
    let failed = (0..300).any(|_| {
        thread::sleep(Duration::from_millis(10));
        world
            .client
            .sh("ip -6 addr show dev c0")
            .contains("dadfailed")
    });
    assert!(failed);
    assert!(
        !world
            .client
            .succeeds("arping -D -q -c 1 -w 2 -I c0 10.9.0.254"),
        "an ARP probe finds it taken, too"
    );
}

/// RFC 9568 §8.1.1, §8.2.1: a host must not be redirected by an address that it did not use.
#[test]
fn nobody_is_redirected() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    world.router.sh("ip route add 10.77.0.0/16 via 10.9.0.200
         ip -6 route add fd77::/64 via fd09::200
         ip neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev r0
         ip neigh add fd09::200 lladdr 02:00:00:00:00:c8 dev r0");
    world.client.sh("ip route add 10.77.0.0/16 via 10.9.0.254
         ip -6 route add fd77::/64 via fd09::fe dev c0");
    let redirected = |frame: &[u8]| {
        (frame[12..14] == [8, 0] && frame[23] == 1 && frame[34] == 5)
            || (frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 137)
    };
    let ask = || {
        world.client.succeeds("ping -c 1 -W 0.1 10.77.0.1");
        world.client.succeeds("ping -c 1 -W 0.1 fd77::1");
        let onwards = [2, 0, 0, 0, 0, 0xc8];
        wire.hear(|frame| redirected(frame) || frame[..6] == onwards)
    };
    let (mut gate, _leases) = open(&world, &serving(false));
    let heard = ask();
    assert!(heard.len() >= 2, "passed on: {heard:02x?}");
    assert!(!heard.iter().any(|frame| redirected(frame)), "{heard:02x?}");
    // Without a router that is served, what the kernel says is its own affair.
    gate.serve(world.r0, &Serving::new()).unwrap();
    world.router.sh("ip addr add 10.9.0.254/24 dev r0
         ip -6 addr add fd09::fe/64 dev r0 nodad");
    world.client.sh("ip neigh flush dev c0");
    let heard = ask();
    assert!(heard.iter().any(|frame| redirected(frame)), "{heard:02x?}");
}

/// The owner's addresses are the host's own: packets to them pass, and nobody is told the physical MAC address.
#[test]
fn an_owner_keeps_its_address() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let owner = Served {
        addresses: vec!["10.9.0.1".parse().unwrap()],
        accept: true,
        owner: true,
    };
    let (_gate, leases) = open(&world, &Serving::from([(V4, owner)]));
    assert!(world.answers("10.9.0.1"));
    assert_eq!(resolved(&world, "10.9.0.1").as_deref(), Some(NAME4));
    leases.close(V4.0, V4.1);
    assert_eq!(resolved(&world, "10.9.0.1"), None);
    // It is able to ask, as if it had no address.
    world.router.sh("ip neigh flush dev r0");
    wire.empty();
    let own = world.router.sh("cat /sys/class/net/r0/address");
    world.client.sh(&format!(
        "ip neigh replace 10.9.0.1 lladdr {} dev c0 nud permanent",
        own.trim()
    ));
    assert!(world.pings("10.9.0.1"), "packets pass");
    let asked = wire.hear(|frame| frame[12..14] == [8, 6] && frame[20..22] == [0, 1]);
    assert!(!asked.is_empty());
    for frame in asked {
        assert_eq!(frame[28..32], [0; 4], "{frame:02x?}");
    }
}

/// A frame with a tag that says priority only is answered without one.
#[test]
fn a_tag_that_is_none() {
    let world = World::bare();
    let wire = Wire::new(&world.client, "c0");
    let (_gate, _leases) = open(&world, &serving(false));
    let mut frame = arp(BROADCAST, CLIENT, VIP);
    frame.splice(12..12, [0x81, 0, 0xe0, 0]);
    assert_eq!(wire.ask(&frame), [arp_reply(MAC4, VIP, CLIENT)]);
    frame[15] = 10;
    assert!(wire.ask(&frame).is_empty(), "of a VLAN");
}

#[test]
fn as_many_addresses_as_there_is_room_for() {
    let world = World::bare();
    let mut gate = world.gate("test");
    let many = |count: u32| {
        let addresses =
            (0..count).map(|n| IpAddr::from((0xfd09_u128 << 112 | u128::from(n)).to_be_bytes()));
        let served = Served {
            addresses: addresses.collect(),
            ..Served::default()
        };
        Serving::from([(V6, served)])
    };
    gate.serve(world.r0, &many(16_384)).unwrap();
    let error = gate.serve(world.r0, &many(16_385)).unwrap_err();
    assert!(error.to_string().contains("addresses"), "{error}");
    gate.serve(world.r0, &many(10)).unwrap();
    gate.serve(world.r0, &serving(false)).unwrap();
    let leases = gate.attach(world.r0, [V4]).unwrap();
    leases.extend(V4.0, V4.1, FOREVER);
    assert_eq!(resolved(&world, VIP4).as_deref(), Some(NAME4));
}

/// The price of what the programs do for routers without a macvlan.
#[test]
fn the_price_of_a_frame() {
    let world = World::bare();
    let own = world.physical();
    let (_gate, _leases) = open(&world, &serving(false));
    let _measured = Statistics::on();
    let far = [10, 77, 0, 1];
    price(&world, "to be forwarded", Way::In, datagram(MAC4, far));
    price(&world, "not to be accepted", Way::In, datagram(MAC4, VIP));
    price(&world, "to the host", Way::In, datagram(own, [10, 9, 0, 1]));
    price(&world, "from the host", Way::Out, datagram(HOST, far));
    price(
        &world,
        "ARP, answered",
        Way::In,
        arp(BROADCAST, CLIENT, VIP),
    );
    let other = arp(BROADCAST, CLIENT, [10, 9, 0, 77]);
    price(&world, "ARP, not ours", Way::In, other);
}

/// An empty UDP datagram of the host's.
fn datagram(to: [u8; 6], destination: [u8; 4]) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    ip.extend(CLIENT);
    ip.extend(destination);
    let sum: u32 = ip
        .chunks(2)
        .map(|word| u32::from(word[0]) << 8 | u32::from(word[1]))
        .sum();
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    let udp = [0x0f, 0xa0, 0x0f, 0xa1, 0, 8, 0, 0];
    [&to[..], &HOST, &[8, 0], &ip, &udp, &[0; 18]].concat()
}
