//! From the bytes of a frame to what a protocol-112 socket would get of it.

use pcap_parser::Linktype;
use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::Ipv6Packet;
use vrrp_proto::receive::Envelope;

/// IP protocol of VRRP and CARP.
const VRRP: u8 = 112;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Tags of VLANs.
const TAGS: [u16; 2] = [0x8100, 0x88a8];

/// A packet of protocol 112.
#[derive(Debug)]
pub(crate) struct Arrived<'a> {
    pub(crate) envelope: Envelope,
    /// Of the frame, where it has one.
    pub(crate) source_mac: Option<[u8; 6]>,
    /// What stands behind the IP header.
    pub(crate) message: &'a [u8],
    /// Whether it was captured as a whole.
    pub(crate) whole: bool,
    /// Its length in bytes, as the IP header says.
    pub(crate) length: usize,
}

/// What is in a frame of this sort, if it is a packet of protocol 112.
pub(crate) fn open(link: Linktype, bytes: &[u8]) -> Option<Arrived<'_>> {
    match link {
        Linktype::ETHERNET => {
            let source_mac = bytes.get(6..12)?.try_into().ok();
            let mut at = 12;
            while TAGS.contains(&ethertype(bytes, at)?) {
                at += 4;
            }
            Some(Arrived {
                source_mac,
                ..packet(ethertype(bytes, at)?, bytes.get(at + 2..)?)?
            })
        }
        // "Cooked" captures of all interfaces at once.
        Linktype::LINUX_SLL => packet(ethertype(bytes, 14)?, bytes.get(16..)?),
        Linktype::LINUX_SLL2 => packet(ethertype(bytes, 0)?, bytes.get(20..)?),
        // The family, in whoever's byte order: the packet says it, too.
        Linktype::NULL | Linktype::LOOP => bare(bytes.get(4..)?),
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 => bare(bytes),
        _ => None,
    }
}

fn ethertype(bytes: &[u8], at: usize) -> Option<u16> {
    let pair = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes(pair.try_into().ok()?))
}

fn bare(bytes: &[u8]) -> Option<Arrived<'_>> {
    match bytes.first()? >> 4 {
        4 => packet(IPV4, bytes),
        6 => packet(IPV6, bytes),
        _ => None,
    }
}

fn packet(ethertype: u16, bytes: &[u8]) -> Option<Arrived<'_>> {
    let (envelope, header, length) = match ethertype {
        IPV4 => {
            let ip = Ipv4Packet::new(bytes)?;
            let fragment = ip.get_fragment_offset() != 0 || ip.get_flags() & 1 != 0;
            if ip.get_next_level_protocol().0 != VRRP || fragment {
                return None;
            }
            let envelope = Envelope {
                source: ip.get_source().into(),
                destination: ip.get_destination().into(),
                hop_limit: ip.get_ttl(),
            };
            let header = usize::from(ip.get_header_length()) * 4;
            let length = usize::from(ip.get_total_length()).checked_sub(header)?;
            (envelope, header, length)
        }
        IPV6 => {
            let ip = Ipv6Packet::new(bytes)?;
            if ip.get_next_header().0 != VRRP {
                return None;
            }
            let envelope = Envelope {
                source: ip.get_source().into(),
                destination: ip.get_destination().into(),
                hop_limit: ip.get_hop_limit(),
            };
            (
                envelope,
                Ipv6Packet::minimum_packet_size(),
                usize::from(ip.get_payload_length()),
            )
        }
        _ => return None,
    };
    let rest = bytes.get(header..)?;
    Some(Arrived {
        envelope,
        source_mac: None,
        message: &rest[..length.min(rest.len())],
        whole: length <= rest.len(),
        length,
    })
}
