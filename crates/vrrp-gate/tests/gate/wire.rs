//! Single frames on the client's end of the wire.

use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::bind;
use socket2::{Domain, Protocol, Socket, Type};

use crate::world::Namespace;

/// The host whose frames these are: it exists on the wire only.
pub const HOST: [u8; 6] = [2, 0, 0, 0, 0, 0x64];
pub const BROADCAST: [u8; 6] = [0xff; 6];
pub const NOBODY: [u8; 6] = [0; 6];

/// Sends and hears all frames of an interface.
pub struct Wire(Socket);

impl Wire {
    pub fn new(namespace: &Namespace, interface: &str) -> Self {
        Self::of(namespace, interface, libc::ETH_P_ALL)
    }

    /// Hears the frames of one protocol.
    pub fn of(namespace: &Namespace, interface: &str, protocol: i32) -> Self {
        let protocol = i32::from(u16::try_from(protocol).unwrap().to_be());
        let socket = namespace.enter(|| {
            let protocol = Some(Protocol::from(protocol));
            let socket = Socket::new(Domain::PACKET, Type::RAW, protocol).unwrap();
            let address = getifaddrs()
                .unwrap()
                .filter(|found| found.interface_name == interface)
                .find_map(|found| found.address?.as_link_addr().copied())
                .unwrap();
            bind(socket.as_raw_fd(), &address).unwrap();
            socket
        });
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        socket.set_recv_buffer_size(4 << 20).unwrap();
        Self(socket)
    }

    /// Frames that come within a while and of which `wanted` is true.
    pub fn hear(&self, wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let until = Instant::now() + Duration::from_millis(120);
        let (mut heard, mut buffer) = (Vec::new(), vec![0; 4096]);
        while Instant::now() < until {
            if let Ok(length) = (&self.0).read(&mut buffer)
                && wanted(&buffer[..length])
            {
                heard.push(buffer[..length].to_vec());
            }
        }
        heard
    }

    /// Sends a frame; the answers to the host.
    pub fn ask(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.tell(frame, |heard| heard[..6] == HOST)
    }

    /// Sends a frame; what comes of which `wanted` is true.
    pub fn tell(&self, frame: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.empty();
        self.0.send(frame).unwrap();
        self.hear(wanted)
    }

    /// Forgets what came until now.
    pub fn empty(&self) {
        self.0.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        while (&self.0).read(&mut buffer).is_ok() {}
        self.0.set_nonblocking(false).unwrap();
    }
}

/// An ARP request of the host's.
pub fn arp(to: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = [&to[..], &HOST, &[8, 6], &[0, 1, 8, 0, 6, 4, 0, 1], &HOST].concat();
    frame.extend(sender);
    frame.extend(NOBODY);
    frame.extend(target);
    // As it comes from a cable.
    frame.resize(60, 0);
    frame
}

/// The reply that the virtual router of this MAC address gives to it.
pub fn arp_reply(mac: [u8; 6], sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut frame = [&HOST[..], &mac, &[8, 6], &[0, 1, 8, 0, 6, 4, 0, 2], &mac].concat();
    frame.extend(sender);
    frame.extend(HOST);
    frame.extend(target);
    frame
}

/// A Neighbor Solicitation of the host's, with its MAC address as an option if it has an address, and whatever follows.
pub fn solicitation(to: [u8; 6], from: &str, target: &str, more: &[u8]) -> Vec<u8> {
    let [from, target]: [Ipv6Addr; 2] = [from, target].map(|text| text.parse().unwrap());
    let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
    message.extend(target.octets());
    if !from.is_unspecified() {
        message.extend([1, 1]);
        message.extend(HOST);
    }
    message.extend(more);
    let [.., a, b, c] = target.octets();
    let mut group: Ipv6Addr = "ff02::1:ff00:0".parse().unwrap();
    group = Ipv6Addr::from(group.to_bits() | u128::from(u32::from_be_bytes([0, a, b, c])));
    let destination = if to[0] & 1 == 1 { group } else { target };
    icmpv6(to, from, destination, message)
}

/// An ICMPv6 packet of the host's.
pub fn icmpv6(to: [u8; 6], from: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    let mut frame = [&to[..], &HOST, &[0x86, 0xdd, 0x60, 0, 0, 0], &length].concat();
    frame.extend([58, 255]);
    frame.extend(from.octets());
    frame.extend(destination.octets());
    let checksum = !checksum(&frame[22..54], &message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(message);
    frame
}

/// The MAC addresses of a solicited-node group.
pub fn group_mac(target: &str) -> [u8; 6] {
    let [.., a, b, c] = target.parse::<Ipv6Addr>().unwrap().octets();
    [0x33, 0x33, 0xff, a, b, c]
}

/// The sum over a message of ICMPv6 with its pseudo-header; 0xffff if it carries the right checksum.
pub fn checksum(addresses: &[u8], message: &[u8]) -> u16 {
    let length = u32::try_from(message.len()).unwrap();
    let pseudo = [addresses, &length.to_be_bytes(), &[0, 0, 0, 58]].concat();
    let mut sum: u32 = pseudo
        .chunks(2)
        .chain(message.chunks(2))
        .map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)))
        .sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Whether ARP or ND in `frame` tells that an address of `ips` is at a MAC address other than `mac`.
pub fn betrays(frame: &[u8], ips: (Ipv4Addr, Ipv6Addr), mac: impl Fn(&[u8]) -> bool) -> bool {
    match (&frame[12..14], frame.len()) {
        ([8, 6], 42..) => frame[28..32] == ips.0.octets() && !mac(&frame[22..28]),
        ([0x86, 0xdd], 86..) if frame[20] == 58 => match frame[54] {
            135 => frame[22..38] == ips.1.octets() && !mac(&frame[80..86]),
            136 => frame[62..78] == ips.1.octets() && !mac(&frame[80..86]),
            _ => false,
        },
        _ => false,
    }
}
