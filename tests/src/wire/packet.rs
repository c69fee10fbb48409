//! Reading a frame: what is there, without a verdict.

use super::VRRP;
use super::arp::Arp;
use super::checksum::{fold, message_sum, pseudo_sum};
use super::ethernet::{ETHERTYPE_ARP, Ethernet};
use super::icmp::{Echo, NeighbourAdvert, NeighbourSolicit};
use super::ip::Ip;
use std::net::IpAddr;

/// A frame, read as far as the laboratory understands it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Its Ethernet header.
    pub ethernet: Ethernet,
    /// Its IP header, if it has one.
    pub ip: Option<Ip>,
    /// What it carries.
    pub payload: Payload,
}

/// What a frame carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// IP protocol 112.
    Vrrp(Heard),
    /// ARP.
    Arp(Arp),
    /// ICMP or ICMPv6 echo.
    Echo(Echo),
    /// IPv6 neighbour solicitation.
    Solicit(NeighbourSolicit),
    /// IPv6 neighbour advertisement.
    NeighbourAdvert(NeighbourAdvert),
    /// IPv6 router advertisement.
    RouterAdvert,
    /// IPv6 router solicitation.
    RouterSolicit,
    /// IGMP, or an MLD query or report; the bytes behind the IP header.
    Membership(Vec<u8>),
    /// UDP: destination port and data.
    Udp(u16, Vec<u8>),
    /// Anything else.
    Other,
}

/// An advertisement as it was heard: the raw message and the addresses it travelled under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// The VRRP message, from the version byte to the end of the IP payload.
    pub message: Vec<u8>,
}

impl Packet {
    /// Reads a frame.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (ethernet, body) = Ethernet::read(frame)?;
        if ethernet.ethertype == ETHERTYPE_ARP {
            return Some(Self {
                ethernet,
                ip: None,
                payload: Payload::Arp(Arp::read(body)?),
            });
        }
        let Some((ip, bytes)) = Ip::read(ethernet.ethertype, body) else {
            return Some(Self {
                ethernet,
                ip: None,
                payload: Payload::Other,
            });
        };
        let payload = Self::payload(&ip, bytes);
        Some(Self {
            ethernet,
            ip: Some(ip),
            payload,
        })
    }

    fn payload(ip: &Ip, bytes: &[u8]) -> Payload {
        match (ip.protocol, bytes.first()) {
            (VRRP, _) => Payload::Vrrp(Heard {
                source: ip.source,
                destination: ip.destination,
                message: bytes.to_vec(),
            }),
            (2, _) | (58, Some(130..=132 | 143)) => Payload::Membership(bytes.to_vec()),
            (58, Some(133)) => Payload::RouterSolicit,
            (58, Some(134)) => Payload::RouterAdvert,
            (58, Some(135)) => {
                NeighbourSolicit::read(ip, bytes).map_or(Payload::Other, Payload::Solicit)
            }
            (58, Some(136)) => {
                NeighbourAdvert::read(ip, bytes).map_or(Payload::Other, Payload::NeighbourAdvert)
            }
            (1 | 58, _) => Echo::read(ip, bytes).map_or(Payload::Other, Payload::Echo),
            (17, _) if bytes.len() >= 8 => Payload::Udp(
                u16::from_be_bytes([bytes[2], bytes[3]]),
                bytes[8..].to_vec(),
            ),
            _ => Payload::Other,
        }
    }

    /// The advertisement inside, if that is what it is.
    #[must_use]
    pub fn advert(&self) -> Option<&Heard> {
        if let Payload::Vrrp(heard) = &self.payload {
            Some(heard)
        } else {
            None
        }
    }

    /// The ARP packet inside, if that is what it is.
    #[must_use]
    pub fn arp(&self) -> Option<&Arp> {
        if let Payload::Arp(arp) = &self.payload {
            Some(arp)
        } else {
            None
        }
    }

    /// The neighbour advertisement inside, if that is what it is.
    #[must_use]
    pub fn neighbour_advert(&self) -> Option<&NeighbourAdvert> {
        if let Payload::NeighbourAdvert(advert) = &self.payload {
            Some(advert)
        } else {
            None
        }
    }

    /// The IGMP or MLD message inside, if that is what it is.
    #[must_use]
    pub fn membership(&self) -> Option<&[u8]> {
        if let Payload::Membership(bytes) = &self.payload {
            Some(bytes)
        } else {
            None
        }
    }

    /// The echo inside, if that is what it is.
    #[must_use]
    pub fn echo(&self) -> Option<&Echo> {
        if let Payload::Echo(echo) = &self.payload {
            Some(echo)
        } else {
            None
        }
    }
}

impl Heard {
    fn byte(&self, at: usize) -> u8 {
        self.message.get(at).copied().unwrap_or(0)
    }

    /// Version nibble.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.byte(0) >> 4
    }

    /// Type nibble.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.byte(0) & 0x0f
    }

    /// Virtual router identifier.
    #[must_use]
    pub fn vrid(&self) -> u8 {
        self.byte(1)
    }

    /// Priority.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.byte(2)
    }

    /// The address count the message claims.
    #[must_use]
    pub fn count(&self) -> u8 {
        self.byte(3)
    }

    /// The four bits in front of a version 3 interval.
    #[must_use]
    pub fn reserve(&self) -> u8 {
        self.byte(4) >> 4
    }

    /// Version 2: the authentication type.
    #[must_use]
    pub fn auth_type(&self) -> u8 {
        self.byte(4)
    }

    /// The advertisement interval in its own unit: centiseconds (v3) or seconds (v2).
    #[must_use]
    pub fn interval(&self) -> u16 {
        if self.version() == 2 {
            u16::from(self.byte(5))
        } else {
            u16::from_be_bytes([self.byte(4) & 0x0f, self.byte(5)])
        }
    }

    /// Size of one address in the list.
    fn width(&self) -> usize {
        if self.source.is_ipv4() { 4 } else { 16 }
    }

    /// The addresses it really contains, up to the count it claims.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        let list = self.message.get(8..).unwrap_or(&[]);
        list.chunks_exact(self.width())
            .take(usize::from(self.count()))
            .map(|octets| {
                <[u8; 4]>::try_from(octets)
                    .map(IpAddr::from)
                    .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
                    .expect("4 or 16")
            })
            .collect()
    }

    /// What follows the address list: in version 2 the authentication data.
    #[must_use]
    pub fn trailer(&self) -> &[u8] {
        self.message
            .get(8 + self.width() * usize::from(self.count())..)
            .unwrap_or(&[])
    }

    /// Whether the checksum verifies over the message alone.
    #[must_use]
    pub fn verifies_alone(&self) -> bool {
        fold(message_sum(&self.message)) == 0
    }

    /// Whether the checksum verifies over the pseudo-header and the message.
    #[must_use]
    pub fn verifies_with_pseudo_header(&self) -> bool {
        fold(pseudo_sum(
            self.source,
            self.destination,
            VRRP,
            &self.message,
        )) == 0
    }
}
