//! Echo requests: a socket for each target, and what stands in a packet.
//!
//! Where the kernel lets everybody ask (`net.ipv4.ping_group_range`), it sorts the answers. Otherwise the socket is a raw one,
//! which is connected, so that it gets what its target sends and nothing else.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

/// Who is asked, and how to get there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) address: IpAddr,
    pub(crate) interface: Option<String>,
    pub(crate) source: Option<IpAddr>,
}

/// What an echo request has beyond its header: something to recognise it by.
pub(crate) const PAYLOAD: usize = 16;

/// Length of the header.
const HEADER: usize = 8;

/// A link-local address with its interface.
pub(crate) fn scoped(to: SocketAddr, interface: &str) -> SocketAddr {
    match to {
        SocketAddr::V6(mut to) if to.ip().is_unicast_link_local() => {
            to.set_scope_id(if_nametoindex(interface).unwrap_or(0));
            to.into()
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => to,
    }
}

/// A socket that speaks with the target only, and whether it is a raw one.
pub(crate) fn open(target: &Target) -> io::Result<(Socket, bool)> {
    let (domain, protocol) = if target.address.is_ipv4() {
        (Domain::IPV4, Protocol::ICMPV4)
    } else {
        (Domain::IPV6, Protocol::ICMPV6)
    };
    let kind = Type::DGRAM.nonblocking();
    let (socket, raw) = match Socket::new(domain, kind, Some(protocol)) {
        Ok(socket) => (socket, false),
        Err(_) => (
            Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?,
            true,
        ),
    };
    let mut to = SocketAddr::new(target.address, 0);
    let mut from = target.source.map(|source| SocketAddr::new(source, 0));
    if let Some(interface) = &target.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
        to = scoped(to, interface);
        from = from.map(|from| scoped(from, interface));
    }
    if let Some(from) = from {
        socket.bind(&from.into())?;
    }
    socket.connect(&to.into())?;
    Ok((socket, raw))
}

/// An echo request.
pub(crate) fn request(is_ipv6: bool, id: u16, sequence: u16, payload: &[u8; PAYLOAD]) -> Vec<u8> {
    let mut packet = vec![if is_ipv6 { 128 } else { 8 }, 0, 0, 0];
    packet.extend_from_slice(&id.to_be_bytes());
    packet.extend_from_slice(&sequence.to_be_bytes());
    packet.extend_from_slice(payload);
    if !is_ipv6 {
        // The kernel sees to that of ICMPv6, which has addresses in it.
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// Whether this is the answer to such a request. The identifier is the kernel's business where it sorts the answers.
pub(crate) fn is_reply(
    packet: &[u8],
    is_ipv6: bool,
    raw: bool,
    sequence: u16,
    payload: &[u8; PAYLOAD],
) -> bool {
    let packet = match packet.first() {
        // A raw socket of IPv4 gives the IP header, too.
        Some(first) if raw && !is_ipv6 => {
            let length = usize::from(first & 0x0f) * 4;
            packet.get(length..).unwrap_or_default()
        }
        _ => packet,
    };
    packet.len() == HEADER + PAYLOAD
        && packet[0] == if is_ipv6 { 129 } else { 0 }
        && packet[6..8] == sequence.to_be_bytes()
        && packet[8..] == *payload
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(!sum & 0xffff).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_is_one() {
        let payload = [7; PAYLOAD];
        let mut reply = request(false, 1, 2, &payload);
        assert_eq!(checksum(&reply), 0);
        assert!(!is_reply(&reply, false, false, 2, &payload), "a request");
        reply[0] = 0;
        assert!(is_reply(&reply, false, false, 2, &payload));
        assert!(!is_reply(&reply, false, false, 3, &payload));
        assert!(!is_reply(&reply, false, false, 2, &[8; PAYLOAD]));
        assert!(!is_reply(&reply[..23], false, false, 2, &payload));
        let with_header = [vec![0x45; 20], reply].concat();
        assert!(is_reply(&with_header, false, true, 2, &payload));
        for cut in 0..with_header.len() {
            assert!(!is_reply(&with_header[..cut], false, true, 2, &payload));
        }
    }
}
