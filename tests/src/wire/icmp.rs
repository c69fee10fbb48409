//! ICMP echo and IPv6 neighbour discovery (RFC 792, 4443, 4861).

use super::checksum::{fold, message_sum, pseudo_sum};
use super::ethernet::{ETHERTYPE_IPV6, Ethernet, Mac};
use super::ip::Ip;
use std::net::{IpAddr, Ipv6Addr};

/// ICMPv6's next-header number.
const ICMPV6: u8 = 58;

/// An echo request or reply of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whether it is the answer.
    pub reply: bool,
    /// Identifier.
    pub id: u16,
    /// Sequence number.
    pub sequence: u16,
}

/// A neighbour solicitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourSolicit {
    /// The address asked for.
    pub target: Ipv6Addr,
    /// The asker's link-layer address, if given.
    pub source_mac: Option<Mac>,
}

/// A neighbour advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourAdvert {
    /// R: the sender is a router.
    pub router: bool,
    /// S: it answers a solicitation.
    pub solicited: bool,
    /// O: caches should be overwritten.
    pub override_flag: bool,
    /// Whose address it is about.
    pub target: Ipv6Addr,
    /// The link-layer address of the target, if given.
    pub target_mac: Option<Mac>,
}

/// An echo request, as payload of an IP packet from `source` to `destination`.
#[must_use]
pub fn icmp_echo(source: IpAddr, destination: IpAddr, id: u16, sequence: u16) -> Vec<u8> {
    let kind = if source.is_ipv4() { 8 } else { 128 };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(*b"vrrp-lab");
    let sum = if source.is_ipv4() {
        message_sum(&bytes)
    } else {
        pseudo_sum(source, destination, ICMPV6, &bytes)
    };
    bytes[2..4].copy_from_slice(&fold(sum).to_be_bytes());
    bytes
}

/// The solicited-node group of an address and its Ethernet address (RFC 4291 §2.7.1, RFC 2464 §7).
#[must_use]
pub fn solicited_node(address: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., a, b, c] = address.octets();
    (
        Ipv6Addr::from([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]),
        Mac([0x33, 0x33, 0xff, a, b, c]),
    )
}

/// A frame that asks for `target`'s link-layer address, sent to `to` or to the solicited-node group.
#[must_use]
pub fn neighbour_solicit(mac: Mac, source: Ipv6Addr, target: Ipv6Addr, to: Option<Mac>) -> Vec<u8> {
    let (group, group_mac) = solicited_node(target);
    let mut bytes = vec![135, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend(target.octets());
    bytes.extend([1, 1]);
    bytes.extend(mac.0);
    icmpv6_frame(mac, to.unwrap_or(group_mac), source, group, bytes)
}

/// A solicited answer to `asker`.
#[must_use]
pub fn neighbour_advert(mac: Mac, target: Ipv6Addr, asker_mac: Mac, asker: Ipv6Addr) -> Vec<u8> {
    let mut bytes = vec![136, 0, 0, 0, 0x60, 0, 0, 0];
    bytes.extend(target.octets());
    bytes.extend([2, 1]);
    bytes.extend(mac.0);
    icmpv6_frame(mac, asker_mac, target, asker, bytes)
}

fn icmpv6_frame(
    from: Mac,
    to: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    mut bytes: Vec<u8>,
) -> Vec<u8> {
    let sum = fold(pseudo_sum(
        source.into(),
        destination.into(),
        ICMPV6,
        &bytes,
    ));
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    let packet = Ip::new(source.into(), destination.into(), 255, ICMPV6).packet(&bytes);
    Ethernet {
        destination: to,
        source: from,
        ethertype: ETHERTYPE_IPV6,
    }
    .frame(&packet)
}

impl Echo {
    /// Reads an ICMP or ICMPv6 message.
    #[must_use]
    pub fn read(ip: &Ip, bytes: &[u8]) -> Option<Self> {
        let reply = match (ip.protocol, bytes.first()?) {
            (1, 8) | (ICMPV6, 128) => false,
            (1, 0) | (ICMPV6, 129) => true,
            _ => return None,
        };
        let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        Some(Self {
            reply,
            id: word(4)?,
            sequence: word(6)?,
        })
    }
}

impl NeighbourSolicit {
    /// Reads an ICMPv6 message.
    #[must_use]
    pub fn read(ip: &Ip, bytes: &[u8]) -> Option<Self> {
        (ip.protocol == ICMPV6 && *bytes.first()? == 135).then(|| {
            Some(Self {
                target: target(bytes)?,
                source_mac: link_layer_option(bytes, 1),
            })
        })?
    }
}

impl NeighbourAdvert {
    /// Reads an ICMPv6 message.
    #[must_use]
    pub fn read(ip: &Ip, bytes: &[u8]) -> Option<Self> {
        let flags = *bytes.get(4)?;
        (ip.protocol == ICMPV6 && bytes[0] == 136).then(|| {
            Some(Self {
                router: flags & 0x80 != 0,
                solicited: flags & 0x40 != 0,
                override_flag: flags & 0x20 != 0,
                target: target(bytes)?,
                target_mac: link_layer_option(bytes, 2),
            })
        })?
    }
}

fn target(bytes: &[u8]) -> Option<Ipv6Addr> {
    bytes
        .get(8..24)
        .and_then(|octets| <[u8; 16]>::try_from(octets).ok())
        .map(Ipv6Addr::from)
}

/// The link-layer address in the option of type `kind` behind a target address.
fn link_layer_option(bytes: &[u8], kind: u8) -> Option<Mac> {
    let mut options = bytes.get(24..)?;
    while let [found, units, ..] = *options {
        // An option of length zero would never end.
        let option = options.get(..usize::from(units.max(1)) * 8)?;
        if found == kind {
            return option
                .get(2..8)
                .and_then(|octets| octets.try_into().ok())
                .map(Mac);
        }
        options = &options[option.len()..];
    }
    None
}
