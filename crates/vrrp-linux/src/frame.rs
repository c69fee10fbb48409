//! Frames that leave from a virtual MAC address: advertisements, gratuitous ARP, unsolicited Neighbor Advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pnet_base::MacAddr;
use pnet_packet::arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket};
use pnet_packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet_packet::icmpv6::ndp::{
    MutableNeighborAdvertPacket, NdpOption, NdpOptionTypes, NeighborAdvertFlags,
};
use pnet_packet::icmpv6::{Icmpv6Code, Icmpv6Packet, Icmpv6Types, checksum as icmpv6_checksum};
use pnet_packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet_packet::ipv4::{Ipv4Flags, MutableIpv4Packet, checksum as ipv4_checksum};
use pnet_packet::ipv6::MutableIpv6Packet;
use pnet_packet::{MutablePacket, Packet};
use vrrp_proto::MacAddress;
use vrrp_proto::checksum::PROTOCOL;

/// DSCP CS6, network control, in the place of TOS and traffic class.
pub const TRAFFIC_CLASS: u8 = 0xc0;

const ETHERNET_LEN: usize = 14;
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const ARP_LEN: usize = 28;
/// Neighbor Advertisement with one target link-layer address option.
const NA_LEN: usize = 24 + 8;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A multicast advertisement (RFC 9568 §5.1, §7.2): TTL or hop limit 255, to the group's Ethernet address.
///
/// Appends the frame to `frame`. `None` when the addresses are of two families or the message is longer than an IP packet
/// can be; what was appended is then of no use.
pub fn advertisement(
    frame: &mut Vec<u8>,
    mac: MacAddress,
    source: IpAddr,
    destination: IpAddr,
    message: &[u8],
    id: u16,
) -> Option<()> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let start = ethernet(
                frame,
                mac,
                multicast_mac_v4(destination),
                EtherTypes::Ipv4,
                IPV4_LEN + message.len(),
            );
            let mut ip = MutableIpv4Packet::new(&mut frame[start..])?;
            ip.set_version(4);
            ip.set_header_length(5);
            ip.set_dscp(TRAFFIC_CLASS >> 2);
            ip.set_total_length(u16::try_from(IPV4_LEN + message.len()).ok()?);
            ip.set_identification(id);
            ip.set_flags(Ipv4Flags::DontFragment);
            ip.set_ttl(255);
            ip.set_next_level_protocol(IpNextHeaderProtocol(PROTOCOL));
            ip.set_source(source);
            ip.set_destination(destination);
            ip.set_payload(message);
            let checksum = ipv4_checksum(&ip.to_immutable());
            ip.set_checksum(checksum);
            Some(())
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let start = ethernet(
                frame,
                mac,
                multicast_mac_v6(destination),
                EtherTypes::Ipv6,
                IPV6_LEN + message.len(),
            );
            let mut ip = MutableIpv6Packet::new(&mut frame[start..])?;
            ipv6_header(
                &mut ip,
                IpNextHeaderProtocol(PROTOCOL),
                source,
                destination,
                message.len(),
            )?;
            ip.set_payload(message);
            Some(())
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// Tells everybody on the link that `address` is at `mac`.
///
/// IPv4: a gratuitous ARP request (RFC 9568 §6.4.1 with erratum 7947: the target hardware address is the same MAC).
/// IPv6: an unsolicited Neighbor Advertisement to all nodes, R=1 S=0 O=1.
///
/// Appends the frame to `frame`; `None` never happens.
pub fn announcement(frame: &mut Vec<u8>, mac: MacAddress, address: IpAddr) -> Option<()> {
    match address {
        IpAddr::V4(address) => gratuitous_arp(frame, mac, address),
        IpAddr::V6(address) => neighbor_advertisement(frame, mac, address),
    }
}

fn gratuitous_arp(frame: &mut Vec<u8>, mac: MacAddress, address: Ipv4Addr) -> Option<()> {
    let start = ethernet(frame, mac, MacAddr::broadcast(), EtherTypes::Arp, ARP_LEN);
    let mut arp = MutableArpPacket::new(&mut frame[start..])?;
    arp.set_hardware_type(ArpHardwareTypes::Ethernet);
    arp.set_protocol_type(EtherTypes::Ipv4);
    arp.set_hw_addr_len(6);
    arp.set_proto_addr_len(4);
    arp.set_operation(ArpOperations::Request);
    arp.set_sender_hw_addr(pnet_mac(mac));
    arp.set_sender_proto_addr(address);
    arp.set_target_hw_addr(pnet_mac(mac));
    arp.set_target_proto_addr(address);
    Some(())
}

fn neighbor_advertisement(frame: &mut Vec<u8>, mac: MacAddress, address: Ipv6Addr) -> Option<()> {
    let start = ethernet(
        frame,
        mac,
        multicast_mac_v6(ALL_NODES),
        EtherTypes::Ipv6,
        IPV6_LEN + NA_LEN,
    );
    let mut ip = MutableIpv6Packet::new(&mut frame[start..])?;
    ipv6_header(
        &mut ip,
        IpNextHeaderProtocols::Icmpv6,
        address,
        ALL_NODES,
        NA_LEN,
    )?;
    let mut na = MutableNeighborAdvertPacket::new(ip.payload_mut())?;
    na.set_icmpv6_type(Icmpv6Types::NeighborAdvert);
    na.set_icmpv6_code(Icmpv6Code(0));
    na.set_flags(NeighborAdvertFlags::Router | NeighborAdvertFlags::Override);
    na.set_target_addr(address);
    na.set_options(&[NdpOption {
        option_type: NdpOptionTypes::TargetLLAddr,
        length: 1,
        data: mac.0.to_vec(),
    }]);
    let checksum = icmpv6_checksum(&Icmpv6Packet::new(na.packet())?, &address, &ALL_NODES);
    na.set_checksum(checksum);
    Some(())
}

/// Appends a header and room for its payload, and returns where that begins.
fn ethernet(
    frame: &mut Vec<u8>,
    source: MacAddress,
    destination: MacAddr,
    kind: EtherType,
    payload: usize,
) -> usize {
    let start = frame.len();
    frame.resize(start + ETHERNET_LEN + payload, 0);
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame[start..]) {
        ethernet.set_source(pnet_mac(source));
        ethernet.set_destination(destination);
        ethernet.set_ethertype(kind);
    }
    start + ETHERNET_LEN
}

fn ipv6_header(
    ip: &mut MutableIpv6Packet<'_>,
    next: IpNextHeaderProtocol,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    payload: usize,
) -> Option<()> {
    ip.set_version(6);
    ip.set_traffic_class(TRAFFIC_CLASS);
    ip.set_payload_length(u16::try_from(payload).ok()?);
    ip.set_next_header(next);
    ip.set_hop_limit(255);
    ip.set_source(source);
    ip.set_destination(destination);
    Some(())
}

const fn pnet_mac(mac: MacAddress) -> MacAddr {
    let [a, b, c, d, e, f] = mac.0;
    MacAddr(a, b, c, d, e, f)
}

/// RFC 1112 §6.4.
const fn multicast_mac_v4(group: Ipv4Addr) -> MacAddr {
    let [_, b, c, d] = group.octets();
    MacAddr(0x01, 0x00, 0x5e, b & 0x7f, c, d)
}

/// RFC 2464 §7.
const fn multicast_mac_v6(group: Ipv6Addr) -> MacAddr {
    let octets = group.octets();
    MacAddr(0x33, 0x33, octets[12], octets[13], octets[14], octets[15])
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_proto::{Family, Vrid};

    fn vmac(family: Family) -> MacAddress {
        MacAddress::of_router(family, Vrid::new(51).unwrap())
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn an_ipv4_advertisement() {
        // RFC 9568 §5.1.1
        let mut frame = Vec::new();
        advertisement(
            &mut frame,
            vmac(Family::Ipv4),
            "192.0.2.11".parse().unwrap(),
            Family::Ipv4.group(),
            &[0xab; 12],
            7,
        )
        .unwrap();
        assert_eq!(hex(&frame[..14]), "01005e00001200005e0001330800");
        assert_eq!(hex(&frame[14..24]), "45c0002000074000ff70");
        assert_eq!(hex(&frame[26..34]), "c000020be0000012");
        let sum: u32 = frame[14..34]
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "IPv4 header checksum");
        assert_eq!(frame[34..], [0xab; 12]);
    }

    #[test]
    fn an_ipv6_advertisement() {
        // RFC 9568 §5.1.2
        let mut frame = Vec::new();
        advertisement(
            &mut frame,
            vmac(Family::Ipv6),
            "fe80::11".parse().unwrap(),
            Family::Ipv6.group(),
            &[0xab; 24],
            0,
        )
        .unwrap();
        assert_eq!(hex(&frame[..14]), "33330000001200005e00023386dd");
        assert_eq!(hex(&frame[14..22]), "6c000000001870ff");
        assert_eq!(frame.len(), 14 + 40 + 24);
    }

    #[test]
    fn a_gratuitous_arp() {
        // RFC 9568 §6.4.2, erratum 7949
        let mut frame = Vec::new();
        announcement(
            &mut frame,
            vmac(Family::Ipv4),
            "192.0.2.254".parse().unwrap(),
        )
        .unwrap();
        assert_eq!(
            hex(&frame),
            "ffffffffffff00005e0001330806000108000604000100005e000133c00002fe00005e000133c00002fe"
        );
    }

    #[test]
    fn an_unsolicited_neighbor_advertisement() {
        // RFC 9568 §6.4.2; RFC 4861 §4.4
        let mut frame = Vec::new();
        announcement(&mut frame, vmac(Family::Ipv6), "fe80::1".parse().unwrap()).unwrap();
        assert_eq!(hex(&frame[..14]), "33330000000100005e00023386dd");
        assert_eq!(hex(&frame[14..22]), "6c00000000203aff");
        assert_eq!(frame[54], 136);
        assert_eq!(hex(&frame[58..62]), "a0000000", "R=1 S=0 O=1");
        assert_eq!(hex(&frame[62..78]), "fe800000000000000000000000000001");
        assert_eq!(hex(&frame[78..]), "020100005e000233");
        let mut pseudo = frame[22..54].to_vec();
        pseudo.extend([0, 0, 0, 32, 0, 0, 0, 58]);
        pseudo.extend(&frame[54..]);
        let mut sum: u32 = pseudo
            .chunks(2)
            .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
            .sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        assert_eq!(sum, 0xffff, "ICMPv6 checksum");
    }

    #[test]
    fn two_families_in_one_packet_are_refused() {
        assert_eq!(
            advertisement(
                &mut Vec::new(),
                vmac(Family::Ipv4),
                "192.0.2.11".parse().unwrap(),
                Family::Ipv6.group(),
                &[],
                0
            ),
            None
        );
    }
}
