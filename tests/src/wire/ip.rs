//! IPv4 and IPv6 headers.

use super::checksum::{fold, message_sum, pseudo_sum};
use super::ethernet::{ETHERTYPE_IPV4, ETHERTYPE_IPV6};
use std::net::IpAddr;

/// What matters of an IP header, of either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// Protocol or next header.
    pub protocol: u8,
    /// IPv4 options, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv4: do not fragment.
    pub dont_fragment: bool,
}

impl Ip {
    /// A header without options.
    #[must_use]
    pub fn new(source: IpAddr, destination: IpAddr, ttl: u8, protocol: u8) -> Self {
        Self {
            source,
            destination,
            ttl,
            protocol,
            options: Vec::new(),
            dont_fragment: false,
        }
    }

    /// The ethertype of its family.
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        if self.source.is_ipv4() {
            ETHERTYPE_IPV4
        } else {
            ETHERTYPE_IPV6
        }
    }

    /// The packet that carries `payload`.
    ///
    /// # Panics
    /// If the families of the two addresses differ or the payload is longer than a packet.
    #[must_use]
    pub fn packet(&self, payload: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = 20 + self.options.len();
                let total = u16::try_from(header + payload.len()).expect("fits a packet");
                let words = u8::try_from(header / 4).expect("at most 60 bytes");
                let mut bytes = vec![0x40 | words, 0xc0];
                bytes.extend(total.to_be_bytes());
                bytes.extend([
                    0,
                    0,
                    if self.dont_fragment { 0x40 } else { 0 },
                    0,
                    self.ttl,
                    self.protocol,
                    0,
                    0,
                ]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(&self.options);
                let sum = fold(message_sum(&bytes));
                bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                bytes.extend(payload);
                bytes
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut bytes = vec![0x6c, 0, 0, 0];
                bytes.extend(
                    u16::try_from(payload.len())
                        .expect("fits a packet")
                        .to_be_bytes(),
                );
                bytes.extend([self.protocol, self.ttl]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(payload);
                bytes
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                panic!("one family per packet")
            }
        }
    }

    /// Reads a packet; the payload ends where the IP header says, not where the frame does.
    #[must_use]
    pub fn read(ethertype: u16, packet: &[u8]) -> Option<(Self, &[u8])> {
        match ethertype {
            ETHERTYPE_IPV4 => {
                let header = usize::from(packet.first()? & 0x0f) * 4;
                let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
                let address = |at: usize| {
                    packet
                        .get(at..at + 4)
                        .and_then(|octets| <[u8; 4]>::try_from(octets).ok())
                        .map(IpAddr::from)
                };
                let ip = Self {
                    source: address(12)?,
                    destination: address(16)?,
                    ttl: *packet.get(8)?,
                    protocol: *packet.get(9)?,
                    options: packet.get(20..header)?.to_vec(),
                    dont_fragment: packet[6] & 0x40 != 0,
                };
                Some((ip, packet.get(header..total)?))
            }
            ETHERTYPE_IPV6 => {
                let length = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
                let address = |at: usize| {
                    packet
                        .get(at..at + 16)
                        .and_then(|octets| <[u8; 16]>::try_from(octets).ok())
                        .map(IpAddr::from)
                };
                let (mut protocol, ttl) = (*packet.get(6)?, *packet.get(7)?);
                let (source, destination) = (address(8)?, address(24)?);
                let mut payload = packet.get(40..40 + length)?;
                // MLD reports travel behind a hop-by-hop header with a router alert.
                if protocol == 0 {
                    protocol = *payload.first()?;
                    payload = payload.get(8 + usize::from(*payload.get(1)?) * 8..)?;
                }
                Some((Self::new(source, destination, ttl, protocol), payload))
            }
            _ => None,
        }
    }
}

/// A UDP packet with its header, as `payload` of [`Ip::packet`].
#[must_use]
pub fn udp(ip: &Ip, source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + data.len()).expect("a short datagram");
    let mut bytes = [
        source.to_be_bytes(),
        destination.to_be_bytes(),
        length.to_be_bytes(),
        [0, 0],
    ]
    .concat();
    bytes.extend(data);
    let sum = fold(pseudo_sum(ip.source, ip.destination, 17, &bytes));
    bytes[6..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A TCP connection request, as `payload` of [`Ip::packet`].
#[must_use]
pub fn tcp_syn(ip: &Ip, source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0x00, 0, 0, 0, 0]);
    let sum = fold(pseudo_sum(ip.source, ip.destination, 6, &bytes));
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}
