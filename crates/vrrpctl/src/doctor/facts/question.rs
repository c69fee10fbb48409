//! Asks a LAN who has an address, as any host does that wants to send something there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::EtherTypes;
use pnet_packet::icmpv6::ndp::{MutableNeighborSolicitPacket, NdpOption, NdpOptionTypes};
use pnet_packet::icmpv6::{Icmpv6Packet, Icmpv6Types, checksum};
use pnet_packet::ip::IpNextHeaderProtocols;
use pnet_packet::ipv6::MutableIpv6Packet;

const ARP_LEN: usize = 28;
const IPV6_LEN: usize = 40;
/// Neighbor Solicitation with one source link-layer address option.
const SOLICIT_LEN: usize = 24 + 8;

/// The frame in which the host at `mac` and `from` asks for `wanted`; `None` when they are of two families.
pub(crate) fn frame(mac: [u8; 6], from: IpAddr, wanted: IpAddr) -> Option<Vec<u8>> {
    match (from, wanted) {
        (IpAddr::V4(from), IpAddr::V4(wanted)) => arp(mac, from, wanted),
        (IpAddr::V6(from), IpAddr::V6(wanted)) => solicit(mac, from, wanted),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

fn arp(mac: [u8; 6], from: Ipv4Addr, wanted: Ipv4Addr) -> Option<Vec<u8>> {
    let mut body = [0; ARP_LEN];
    let mut arp = MutableArpPacket::new(&mut body)?;
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(mac.into());
    arp.set_sender_proto_addr(from);
    arp.set_target_proto_addr(wanted);
    Some([&[0xff; 6][..], &mac, &[0x08, 0x06], &body].concat())
}

/// RFC 4861 §7.2.2, to the solicited-node group of `wanted`.
fn solicit(mac: [u8; 6], from: Ipv6Addr, wanted: Ipv6Addr) -> Option<Vec<u8>> {
    let [.., x, y, z] = wanted.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
    let mut body = [0; IPV6_LEN + SOLICIT_LEN];
    let (header, message) = body.split_at_mut(IPV6_LEN);
    let mut ip = MutableIpv6Packet::new(header)?;
    ip.set_version(6);
    ip.set_payload_length(u16::try_from(SOLICIT_LEN).ok()?);
    ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
    ip.set_hop_limit(255);
    ip.set_source(from);
    ip.set_destination(group);
    let mut solicit = MutableNeighborSolicitPacket::new(message)?;
    solicit.set_icmpv6_type(Icmpv6Types::NeighborSolicit);
    solicit.set_target_addr(wanted);
    solicit.set_options(&[NdpOption {
        option_type: NdpOptionTypes::SourceLLAddr,
        length: 1,
        data: mac.to_vec(),
    }]);
    let sum = checksum(&Icmpv6Packet::new(message)?, &from, &group);
    MutableNeighborSolicitPacket::new(message)?.set_checksum(sum);
    Some([&[0x33, 0x33, 0xff, x, y, z][..], &mac, &[0x86, 0xdd], &body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    #[test]
    fn ipv4() {
        let frame = frame(MAC, [192, 0, 2, 1].into(), [192, 0, 2, 254].into()).unwrap();
        assert_eq!(frame.len(), 42);
        assert_eq!(
            frame[..14],
            [255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 6]
        );
        assert_eq!(frame[14..22], [0, 1, 8, 0, 6, 4, 0, 1]);
        assert_eq!(frame[38..], [192, 0, 2, 254]);
    }

    /// RFC 1071: with its checksum in place a message adds up to nothing.
    #[test]
    fn ipv6() {
        let (from, wanted): (Ipv6Addr, Ipv6Addr) =
            ("fe80::1".parse().unwrap(), "2001:db8::1:2".parse().unwrap());
        let frame = frame(MAC, from.into(), wanted.into()).unwrap();
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 1, 0, 2]);
        let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
        let sum: u32 = pseudo
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
            .sum();
        let folded = (sum >> 16) + (sum & 0xffff);
        assert_eq!((folded >> 16) + (folded & 0xffff), 0xffff);
        assert_eq!(frame[78..], [1, 1, 2, 0, 0, 0, 0, 1]);
    }
}
