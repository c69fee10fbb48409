//! ARP for IPv4 over Ethernet (RFC 826).

use super::ethernet::{ETHERTYPE_ARP, Ethernet, Mac};
use std::net::Ipv4Addr;

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// 1 request, 2 reply.
    pub operation: u16,
    /// Sender's hardware address.
    pub sender_mac: Mac,
    /// Sender's protocol address.
    pub sender_ip: Ipv4Addr,
    /// Target's hardware address.
    pub target_mac: Mac,
    /// Target's protocol address.
    pub target_ip: Ipv4Addr,
}

impl Arp {
    /// A broadcast question from a host.
    #[must_use]
    pub fn request(mac: Mac, ip: Ipv4Addr, wanted: Ipv4Addr) -> Self {
        Self {
            operation: 1,
            sender_mac: mac,
            sender_ip: ip,
            target_mac: Mac([0; 6]),
            target_ip: wanted,
        }
    }

    /// The answer to a question.
    #[must_use]
    pub fn reply_to(question: &Self, mac: Mac) -> Self {
        Self {
            operation: 2,
            sender_mac: mac,
            sender_ip: question.target_ip,
            target_mac: question.sender_mac,
            target_ip: question.sender_ip,
        }
    }

    /// Whether it announces its own sender rather than asking or answering.
    #[must_use]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip
    }

    /// The frame; a request goes to everyone, a reply to its target.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let destination = if self.operation == 1 {
            Mac::BROADCAST
        } else {
            self.target_mac
        };
        self.frame_to(destination)
    }

    /// The frame, sent to `destination` whatever the operation.
    #[must_use]
    pub fn frame_to(&self, destination: Mac) -> Vec<u8> {
        let body = [
            &[0, 1, 8, 0, 6, 4][..],
            &self.operation.to_be_bytes(),
            &self.sender_mac.0,
            &self.sender_ip.octets(),
            &self.target_mac.0,
            &self.target_ip.octets(),
        ]
        .concat();
        Ethernet {
            destination,
            source: self.sender_mac,
            ethertype: ETHERTYPE_ARP,
        }
        .frame(&body)
    }

    /// Reads what follows the Ethernet header.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let body: &[u8; 28] = body.first_chunk()?;
        let mac = |at: usize| {
            Mac([
                body[at],
                body[at + 1],
                body[at + 2],
                body[at + 3],
                body[at + 4],
                body[at + 5],
            ])
        };
        let ip = |at: usize| Ipv4Addr::new(body[at], body[at + 1], body[at + 2], body[at + 3]);
        (body[..6] == [0, 1, 8, 0, 6, 4]).then(|| Self {
            operation: u16::from_be_bytes([body[6], body[7]]),
            sender_mac: mac(8),
            sender_ip: ip(14),
            target_mac: mac(18),
            target_ip: ip(24),
        })
    }
}
