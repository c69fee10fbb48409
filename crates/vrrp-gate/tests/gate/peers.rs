//! Advertisements of peers, which come to a group.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::stream::virtual_mac;
use crate::wire::Wire;
use crate::world::World;

const VRRP: u8 = 112;
const GROUP_V4: [u8; 6] = [1, 0, 0x5e, 0, 0, 0x12];
const GROUP_V6: [u8; 6] = [0x33, 0x33, 0, 0, 0, 0x12];

/// A packet of 8 bytes to the group of its family, 224.0.0.18 or ff02::12.
fn advertisement(from: [u8; 6], ipv6: bool) -> Vec<u8> {
    let message = [0x31, 51, 100, 1, 0, 100, 0, 0];
    if ipv6 {
        let source: Ipv6Addr = "fe80::2".parse().unwrap();
        let group: Ipv6Addr = "ff02::12".parse().unwrap();
        let ip = [
            &[0x60, 0, 0, 0, 0, 8, VRRP, 255][..],
            &source.octets(),
            &group.octets(),
        ];
        return [&GROUP_V6[..], &from, &[0x86, 0xdd], &ip.concat(), &message].concat();
    }
    // 10.9.0.2 to 224.0.0.18
    let ip = [
        0x45, 0, 0, 28, 0, 0, 0, 0, 255, VRRP, 0xd1, 0x54, 10, 9, 0, 2, 224, 0, 0, 18,
    ];
    [&GROUP_V4[..], &from, &[8, 0], &ip, &message, &[0; 18]].concat()
}

/// Who listens to a group on r0, as a daemon does.
fn listener(world: &World, ipv6: bool) -> Socket {
    world.router.enter(|| {
        let protocol = Some(Protocol::from(i32::from(VRRP)));
        let socket = if ipv6 {
            let socket = Socket::new(Domain::IPV6, Type::RAW, protocol).unwrap();
            let group: Ipv6Addr = "ff02::12".parse().unwrap();
            socket.join_multicast_v6(&group, world.r0).unwrap();
            socket
        } else {
            let socket = Socket::new(Domain::IPV4, Type::RAW, protocol).unwrap();
            let group = Ipv4Addr::new(224, 0, 0, 18);
            let interface = socket2::InterfaceIndexOrAddress::Index(world.r0);
            socket.join_multicast_v4_n(&group, &interface).unwrap();
            socket
        };
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        socket
    })
}

/// The one macvlan that the kernel would give a peer's advertisement, one in VEPA mode that takes in every group, gets
/// those of routers that are none of this gate's; the daemon's socket gets both.
#[test]
fn a_peer_is_heard_on_the_interface_and_on_no_macvlan() {
    let world = World::new();
    let (_gate, _leases) = world.guarded();
    world
        .router
        .sh("ip link add other link r0 type macvlan mode vepa
         ip link set other up allmulticast on");
    let wire = Wire::new(&world.client, "c0");
    let beside = Wire::new(&world.router, "other");
    for (ipv6, block, group) in [(false, 1, GROUP_V4), (true, 2, GROUP_V6)] {
        let listener = listener(&world, ipv6);
        for (vrid, on_macvlan) in [(51, 0), (52, 1)] {
            let advertisement = advertisement(virtual_mac(block, vrid), ipv6);
            beside.empty();
            wire.tell(&advertisement, |_| false);
            let copies = beside.hear(|frame| frame[..6] == group);
            assert_eq!(copies.len(), on_macvlan, "VRID {vrid}, IPv6 {ipv6}");
            let mut packet = [0; 64];
            let length = (&listener).read(&mut packet).unwrap();
            let expected = if ipv6 { 8 } else { 28 };
            assert_eq!(length, expected, "VRID {vrid}, IPv6 {ipv6}");
        }
    }
}

/// Firewalls tell packets by how they came.
#[test]
fn to_the_firewall_it_is_multicast() {
    let world = World::new();
    let (_gate, _leases) = world.guarded();
    world.router.sh("nft add table inet t
         nft add chain inet t in '{ type filter hook input priority 0; }'
         nft add rule inet t in meta l4proto 112 meta pkttype multicast counter");
    let _listeners = [false, true].map(|ipv6| listener(&world, ipv6));
    let wire = Wire::new(&world.client, "c0");
    for ipv6 in [false, true] {
        let block = if ipv6 { 2 } else { 1 };
        wire.tell(&advertisement(virtual_mac(block, 51), ipv6), |_| false);
    }
    let rules = world.router.sh("nft list table inet t");
    assert!(rules.contains("counter packets 2 "), "{rules}");
}
