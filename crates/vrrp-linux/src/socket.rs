//! Sockets of protocol 112.
//!
//! For each interface and family one raw socket receives for all virtual routers there: firewall rules apply to it,
//! and its existence keeps the kernel from answering with ICMP protocol unreachable. One packet socket sends frames
//! from virtual MAC addresses on every interface. Unicast advertisements leave through the raw socket, so that the
//! kernel resolves the peer.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use vrrp_proto::Family;
use vrrp_proto::checksum::PROTOCOL;
use vrrp_proto::receive::Envelope;

use crate::frame::TRAFFIC_CLASS;
use crate::syscall::{self, Batch};

/// Queue of each receiving socket: half a minute of a thousand routers at one second.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Receives and sends protocol 112 on one interface, for one family.
#[derive(Debug)]
pub struct ProtocolSocket {
    socket: Socket,
    index: u32,
}

impl ProtocolSocket {
    /// Opens a socket that hears the group's and our own packets on interface `name`, number `index`.
    ///
    /// # Errors
    /// When the kernel refuses any step; also when the interface has just vanished.
    pub fn open(name: &str, index: u32, family: Family) -> io::Result<Self> {
        let domain = match family {
            Family::Ipv4 => Domain::IPV4,
            Family::Ipv6 => Domain::IPV6,
        };
        let socket = Socket::new(
            domain,
            Type::RAW.nonblocking().cloexec(),
            Some(Protocol::from(i32::from(PROTOCOL))),
        )?;
        socket.bind_device(Some(name.as_bytes()))?;
        syscall::set_receive_buffer(&socket, RECEIVE_BUFFER);
        syscall::set_priority(&socket)?;
        match family {
            Family::Ipv4 => {
                let group = Ipv4Addr::new(224, 0, 0, 18);
                socket
                    .join_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(index))?;
                socket.set_multicast_all_v4(false)?;
                socket.set_ttl_v4(255)?;
                socket.set_tos_v4(u32::from(TRAFFIC_CLASS))?;
            }
            Family::Ipv6 => {
                let IpAddr::V6(group) = Family::Ipv6.group() else {
                    unreachable!("the IPv6 group is an IPv6 address");
                };
                socket.join_multicast_v6(&group, index)?;
                socket.set_multicast_all_v6(false)?;
                socket.set_unicast_hops_v6(255)?;
                socket.set_tclass_v6(u32::from(TRAFFIC_CLASS))?;
                syscall::receive_packet_info_v6(&socket)?;
            }
        }
        Ok(Self { socket, index })
    }

    /// A socket that another process opened on interface number `index`.
    pub(crate) fn inherited(socket: OwnedFd, index: u32) -> Self {
        Self {
            socket: socket.into(),
            index,
        }
    }

    /// Number of the interface it was opened on.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Reads what is queued, at most one batch, and returns how many datagrams it has.
    ///
    /// # Errors
    /// When the socket is broken, as after its interface was deleted. An empty queue is no error.
    pub fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        batch.receive(self.socket.as_raw_fd())
    }

    /// Sends an advertisement to one peer.
    ///
    /// # Errors
    /// As the kernel says, e.g. when there is no route.
    pub fn send_to(&self, source: IpAddr, destination: IpAddr, message: &[u8]) -> io::Result<()> {
        let to = match destination {
            IpAddr::V4(_) => SocketAddr::new(destination, 0),
            IpAddr::V6(address) => {
                SocketAddr::V6(std::net::SocketAddrV6::new(address, 0, 0, self.index))
            }
        };
        syscall::send_from(
            &self.socket,
            source,
            self.index,
            &SockAddr::from(to),
            message,
        )
    }
}

impl AsFd for ProtocolSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Envelope and message of the datagram in this slot of a batch that a socket of `family` filled.
#[must_use]
pub fn datagram(batch: &Batch, slot: usize, family: Family) -> Option<(Envelope, &[u8])> {
    let received = batch.get(slot);
    match family {
        Family::Ipv4 => split_ipv4(received.bytes),
        Family::Ipv6 => received.ipv6.map(|(source, destination, hop_limit)| {
            let envelope = Envelope {
                source: IpAddr::V6(source),
                destination: IpAddr::V6(destination),
                hop_limit,
            };
            (envelope, received.bytes)
        }),
    }
}

/// Envelope and payload of a packet that a raw IPv4 socket delivered with its header. The kernel has checked the
/// header and cut the packet to its total length; options are skipped by the header length.
pub(crate) fn split_ipv4(packet: &[u8]) -> Option<(Envelope, &[u8])> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let fixed: &[u8; 20] = packet.first_chunk()?;
    let address = |at: usize| Ipv4Addr::new(fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]);
    let envelope = Envelope {
        source: IpAddr::V4(address(12)),
        destination: IpAddr::V4(address(16)),
        hop_limit: fixed[8],
    };
    Some((envelope, packet.get(header_len..)?))
}

/// Sends whole Ethernet frames on any interface; receives nothing.
#[derive(Debug)]
pub struct FrameSocket {
    socket: Socket,
}

impl FrameSocket {
    /// Opens the socket.
    ///
    /// # Errors
    /// Without `CAP_NET_RAW`.
    pub fn open() -> io::Result<Self> {
        // Protocol 0: nothing is ever queued for it.
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW.nonblocking().cloexec(),
            Some(Protocol::from(0)),
        )?;
        syscall::set_priority(&socket)?;
        Ok(Self { socket })
    }

    /// A socket that another process opened.
    pub(crate) fn inherited(socket: OwnedFd) -> Self {
        Self {
            socket: socket.into(),
        }
    }

    /// Sends frames, each on the interface with its number, until one cannot be sent, and returns how many were. More than
    /// [`Self::BATCH`] are not looked at.
    ///
    /// # Errors
    /// About the first frame, as the kernel says: its interface is down or gone, or its queue is full.
    pub fn send<'a>(&self, frames: impl Iterator<Item = (u32, &'a [u8])>) -> io::Result<usize> {
        syscall::send_frames(&self.socket, frames)
    }

    /// Frames that one call takes.
    pub const BATCH: usize = syscall::BATCH;
}

impl AsFd for FrameSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A source of IPv6 control data, for [`Batch`].
pub(crate) type Ipv6Info = (Ipv6Addr, Ipv6Addr, u8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_skipped_and_stumps_are_refused() {
        let mut packet = vec![
            0x46, 0xc0, 0, 26, 0, 0, 0, 0, 254, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18,
        ];
        packet.extend([148, 4, 0, 0, 0xaa, 0xbb]);
        let (envelope, message) = split_ipv4(&packet).unwrap();
        assert_eq!(envelope.hop_limit, 254);
        assert_eq!(envelope.source, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(envelope.destination, IpAddr::from([224, 0, 0, 18]));
        assert_eq!(message, [0xaa, 0xbb]);
        for end in 0..24 {
            assert!(
                split_ipv4(&packet[..end]).is_none_or(|(_, message)| message.is_empty()),
                "{end}"
            );
        }
    }
}
