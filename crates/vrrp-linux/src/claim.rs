//! Hears who claims a virtual address: gratuitous ARP and Neighbor Advertisements of others.
//!
//! After a split, or by a mistake in somebody's configuration, another host may have told the link that an address of
//! ours is at its own MAC address. Nobody corrects that unless we speak up again.
//!
//! ARP is heard by a packet socket whose filter, run by the kernel, lets only claims of our addresses through, so a busy
//! link does not wake us. Neighbor Advertisements are heard by an ICMPv6 socket, which receives those to all nodes
//! and costs forwarded packets nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_proto::{Family, MacAddress};

use crate::syscall::{self, Batch};

const ETH_P_ARP: u16 = 0x0806;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// Hears claims on one interface, for one family.
#[derive(Debug)]
pub(crate) struct ClaimSocket {
    socket: Socket,
    family: Family,
    /// What the filter lets through at present.
    watched: Vec<IpAddr>,
}

impl ClaimSocket {
    /// Opens a socket that hears nothing until [`Self::watch`] is called.
    pub(crate) fn open(interface: &str, index: u32, family: Family) -> io::Result<Self> {
        let socket = match family {
            Family::Ipv4 => {
                let kind = Type::DGRAM.nonblocking().cloexec();
                // Protocol 0 until the filter stands: nothing unfiltered is ever queued.
                let socket = Socket::new(Domain::PACKET, kind, Some(Protocol::from(0)))?;
                syscall::attach_filter(&socket, &arp_filter(&[]))?;
                syscall::bind_packet(&socket, index, ETH_P_ARP)?;
                socket
            }
            Family::Ipv6 => {
                let kind = Type::RAW.nonblocking().cloexec();
                let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6))?;
                syscall::pass_only_icmpv6(&socket, NEIGHBOR_ADVERTISEMENT)?;
                socket.bind_device(Some(interface.as_bytes()))?;
                syscall::receive_packet_info_v6(&socket)?;
                socket
            }
        };
        Ok(Self {
            socket,
            family,
            watched: Vec::new(),
        })
    }

    /// A socket that another process opened. What it watches for is not known.
    pub(crate) fn inherited(socket: OwnedFd, family: Family) -> Self {
        Self {
            socket: socket.into(),
            family,
            watched: Vec::new(),
        }
    }

    /// Hears claims of these addresses from now on.
    pub(crate) fn watch(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        if self.watched == addresses {
            return Ok(());
        }
        if self.family == Family::Ipv4 {
            let v4 = |address: &IpAddr| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            };
            let addresses: Vec<Ipv4Addr> = addresses.iter().filter_map(v4).collect();
            syscall::attach_filter(&self.socket, &arp_filter(&addresses))?;
        }
        self.watched = addresses.to_vec();
        Ok(())
    }

    /// Fills `batch`; the number of packets.
    pub(crate) fn receive(&self, batch: &mut Batch) -> io::Result<usize> {
        batch.receive(self.socket.as_raw_fd())
    }

    /// Who claims what, in this slot of a filled batch.
    pub(crate) fn claim(&self, batch: &Batch, slot: usize) -> Option<(IpAddr, MacAddress)> {
        let received = batch.get(slot);
        let claim = match self.family {
            Family::Ipv4 => arp_claim(received.bytes),
            Family::Ipv6 => {
                let (_, _, hop_limit) = received.ipv6?;
                // RFC 4861 §7.1.2: anything else came through a router.
                if hop_limit == 255 {
                    neighbor_claim(received.bytes)
                } else {
                    None
                }
            }
        };
        claim.filter(|(address, _)| self.watched.contains(address))
    }
}

impl AsFd for ClaimSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The sender of an ARP message (RFC 826), request or reply.
pub(crate) fn arp_claim(message: &[u8]) -> Option<(IpAddr, MacAddress)> {
    let fixed: &[u8; 28] = message.first_chunk()?;
    // Ethernet and IPv4.
    if fixed[..6] != [0, 1, 8, 0, 6, 4] {
        return None;
    }
    let mac = MacAddress(*fixed[8..].first_chunk()?);
    let address = Ipv4Addr::from(*fixed[14..].first_chunk::<4>()?);
    Some((IpAddr::V4(address), mac))
}

/// Target and target link-layer address of a Neighbor Advertisement (RFC 4861 §4.4).
pub(crate) fn neighbor_claim(message: &[u8]) -> Option<(IpAddr, MacAddress)> {
    if *message.first()? != NEIGHBOR_ADVERTISEMENT {
        return None;
    }
    let target = Ipv6Addr::from(*message.get(8..)?.first_chunk::<16>()?);
    let mut options = message.get(24..)?;
    while let [kind, units, ..] = *options {
        let length = usize::from(units) * 8;
        // RFC 4861 §4.6: a length of zero invalidates the packet.
        let option = options.get(..length).filter(|_| length > 0)?;
        if kind == TARGET_LINK_LAYER_ADDRESS {
            return Some((IpAddr::V6(target), MacAddress(*option[2..].first_chunk()?)));
        }
        options = &options[length..];
    }
    None
}

/// A classic BPF program that accepts ARP messages whose sender has one of `addresses`.
///
/// Packets begin with the ARP header. With more addresses than a program can hold, all ARP passes.
fn arp_filter(addresses: &[Ipv4Addr]) -> Vec<libc::sock_filter> {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const SENDER_ADDRESS: u32 = 14;
    const WHOLE_PACKET: u32 = u32::MAX;
    const LONGEST: usize = 4096;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    if addresses.len() * 2 + 2 > LONGEST {
        return vec![step(RETURN, 0, 0, WHOLE_PACKET)];
    }
    let mut program = vec![step(LOAD_WORD, 0, 0, SENDER_ADDRESS)];
    for address in addresses {
        program.push(step(JUMP_IF_EQUAL, 0, 1, u32::from(*address)));
        program.push(step(RETURN, 0, 0, WHOLE_PACKET));
    }
    program.push(step(RETURN, 0, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_arp_message_claims_its_senders_address() {
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 0x66, 192, 0, 2, 254];
        arp.extend([0; 6]);
        arp.extend([192, 0, 2, 254]);
        assert_eq!(
            arp_claim(&arp),
            Some((ip("192.0.2.254"), MacAddress([2, 0, 0, 0, 0, 0x66])))
        );
        assert_eq!(arp_claim(&arp[..27]), None);
        arp[5] = 16;
        assert_eq!(arp_claim(&arp), None, "not IPv4");
    }

    #[test]
    fn a_neighbor_advertisement_claims_its_target() {
        let mut na = vec![136, 0, 0, 0, 0x20, 0, 0, 0];
        na.extend("fe80::51".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(
            neighbor_claim(&na),
            None,
            "without a link-layer address it claims nothing"
        );
        na.extend([14, 1, 0, 0, 0, 0, 0, 0]);
        na.extend([2, 1, 2, 0, 0, 0, 0, 0x66]);
        assert_eq!(
            neighbor_claim(&na),
            Some((ip("fe80::51"), MacAddress([2, 0, 0, 0, 0, 0x66])))
        );
        na[25] = 0;
        assert_eq!(neighbor_claim(&na), None, "an option of length zero");
        for end in 0..na.len() {
            let _ = neighbor_claim(&na[..end]);
        }
    }

    #[test]
    fn the_filter_knows_each_address() {
        let program = arp_filter(&[Ipv4Addr::new(192, 0, 2, 254), Ipv4Addr::new(192, 0, 2, 253)]);
        assert_eq!(program.len(), 6);
        assert_eq!(program[3].k, 0xc000_02fd);
        assert_eq!(program[5].k, 0, "everything else is dropped");
        let many: Vec<Ipv4Addr> = (0..3000).map(Ipv4Addr::from).collect();
        assert_eq!(arp_filter(&many).len(), 1);
    }
}
