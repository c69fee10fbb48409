//! Building an advertisement, sound or broken on purpose.

use super::VRRP;
use super::checksum::{fold, message_sum, pseudo_sum};
use super::ethernet::{Ethernet, Mac};
use super::ip::Ip;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// 224.0.0.18 (RFC 9568 §5.1.1.2).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// ff02::12 (RFC 9568 §5.1.2.2).
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// What stands in the checksum field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The form the version and family call for; RFC 9568's for version 3 over IPv4.
    Right,
    /// With a pseudo-header, whatever the family: RFC 5798 as it was read for IPv4.
    Pseudo,
    /// The right value plus this much.
    OffBy(u16),
    /// This value.
    Exactly(u16),
}

/// The authentication fields of version 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The type byte.
    pub kind: u8,
    /// The eight bytes at the end.
    pub data: [u8; 8],
}

impl Authentication {
    /// Type 0 and zeros.
    pub const NONE: Self = Self {
        kind: 0,
        data: [0; 8],
    };

    /// RFC 2338's simple text: the key, padded with zeros.
    #[must_use]
    pub fn simple_text(key: &str) -> Self {
        let mut data = [0; 8];
        data[..key.len()].copy_from_slice(key.as_bytes());
        Self { kind: 1, data }
    }
}

/// An advertisement under construction: a sound one, until a method breaks it.
#[derive(Clone, Debug)]
pub struct Advert {
    version: u8,
    kind: u8,
    vrid: u8,
    priority: u8,
    count: Option<u8>,
    reserve: u8,
    interval: u16,
    checksum: Checksum,
    authentication: Authentication,
    addresses: Vec<IpAddr>,
    length: Option<usize>,
    extra: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    source_mac: Mac,
    destination_mac: Option<Mac>,
    ttl: u8,
    options: Vec<u8>,
    dont_fragment: bool,
    minimum_frame: usize,
}

impl Advert {
    /// A sound advertisement of the virtual router `vrid` from `source`.
    ///
    /// `interval` is in the version's own unit, seconds or centiseconds.
    #[must_use]
    pub fn new(
        version: u8,
        vrid: u8,
        priority: u8,
        interval: u16,
        addresses: &[IpAddr],
        source: IpAddr,
    ) -> Self {
        let (group, mac) = if source.is_ipv4() {
            (IpAddr::V4(GROUP_V4), Mac::virtual_v4(vrid))
        } else {
            (IpAddr::V6(GROUP_V6), Mac::virtual_v6(vrid))
        };
        Self {
            version,
            kind: 1,
            vrid,
            priority,
            count: None,
            reserve: 0,
            interval,
            checksum: Checksum::Right,
            authentication: Authentication::NONE,
            addresses: addresses.to_vec(),
            length: None,
            extra: Vec::new(),
            source,
            destination: group,
            source_mac: mac,
            destination_mac: None,
            ttl: 255,
            options: Vec::new(),
            dont_fragment: false,
            minimum_frame: 0,
        }
    }

    /// Version nibble.
    #[must_use]
    pub fn version(self, version: u8) -> Self {
        Self { version, ..self }
    }

    /// Type nibble.
    #[must_use]
    pub fn kind(self, kind: u8) -> Self {
        Self { kind, ..self }
    }

    /// Virtual router identifier; the frame keeps its source MAC.
    #[must_use]
    pub fn vrid(self, vrid: u8) -> Self {
        Self { vrid, ..self }
    }

    /// Priority.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    /// The claimed address count, whatever the list holds.
    #[must_use]
    pub fn count(self, count: u8) -> Self {
        Self {
            count: Some(count),
            ..self
        }
    }

    /// The reserved nibble of version 3.
    #[must_use]
    pub fn reserve(self, reserve: u8) -> Self {
        Self { reserve, ..self }
    }

    /// Interval in the version's own unit.
    #[must_use]
    pub fn interval(self, interval: u16) -> Self {
        Self { interval, ..self }
    }

    /// Checksum.
    #[must_use]
    pub fn checksum(self, checksum: Checksum) -> Self {
        Self { checksum, ..self }
    }

    /// Authentication of version 2.
    #[must_use]
    pub fn authentication(self, authentication: Authentication) -> Self {
        Self {
            authentication,
            ..self
        }
    }

    /// The address list.
    #[must_use]
    pub fn addresses(self, addresses: &[IpAddr]) -> Self {
        Self {
            addresses: addresses.to_vec(),
            ..self
        }
    }

    /// Cuts the message to this many bytes; the checksum stays right for what is left.
    #[must_use]
    pub fn cut_to(self, length: usize) -> Self {
        Self {
            length: Some(length),
            ..self
        }
    }

    /// Bytes behind the message, inside the IP length.
    #[must_use]
    pub fn extra(self, extra: &[u8]) -> Self {
        Self {
            extra: extra.to_vec(),
            ..self
        }
    }

    /// IP source.
    ///
    /// # Panics
    /// If `source` is no address.
    #[must_use]
    pub fn from(self, source: &str) -> Self {
        Self {
            source: source.parse().expect("an IP address"),
            ..self
        }
    }

    /// IP destination; the group unless told.
    #[must_use]
    pub fn to(self, destination: IpAddr, mac: Mac) -> Self {
        Self {
            destination,
            destination_mac: Some(mac),
            ..self
        }
    }

    /// Ethernet source; the virtual MAC unless told.
    #[must_use]
    pub fn source_mac(self, source_mac: Mac) -> Self {
        Self { source_mac, ..self }
    }

    /// TTL or hop limit.
    #[must_use]
    pub fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    /// IPv4 options, a multiple of four bytes.
    #[must_use]
    pub fn options(self, options: &[u8]) -> Self {
        Self {
            options: options.to_vec(),
            ..self
        }
    }

    /// Sets IPv4's "do not fragment".
    #[must_use]
    pub fn dont_fragment(self) -> Self {
        Self {
            dont_fragment: true,
            ..self
        }
    }

    /// Pads the frame with non-zero bytes behind the IP packet, as short frames on real Ethernet are padded.
    #[must_use]
    pub fn padded_to(self, minimum_frame: usize) -> Self {
        Self {
            minimum_frame,
            ..self
        }
    }

    /// The VRRP message alone.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let listed = u8::try_from(self.addresses.len()).expect("at most 255 addresses");
        let [high, low] = self.interval.to_be_bytes();
        let mut bytes = vec![
            self.version << 4 | self.kind & 0x0f,
            self.vrid,
            self.priority,
            self.count.unwrap_or(listed),
        ];
        bytes.extend(if self.version == 2 {
            [self.authentication.kind, low]
        } else {
            [self.reserve << 4 | high & 0x0f, low]
        });
        bytes.extend([0, 0]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => bytes.extend(address.octets()),
                IpAddr::V6(address) => bytes.extend(address.octets()),
            }
        }
        if self.version == 2 {
            bytes.extend(self.authentication.data);
        }
        bytes.extend(&self.extra);
        bytes.truncate(self.length.unwrap_or(usize::MAX));
        let checksum = self.checksum_of(&bytes);
        if let Some(field) = bytes.get_mut(6..8) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        bytes
    }

    fn checksum_of(&self, bytes: &[u8]) -> u16 {
        let alone = fold(message_sum(bytes));
        let pseudo = fold(pseudo_sum(self.source, self.destination, VRRP, bytes));
        let right = if self.source.is_ipv4() { alone } else { pseudo };
        match self.checksum {
            Checksum::Right => right,
            Checksum::Pseudo => pseudo,
            Checksum::OffBy(n) => right.wrapping_add(n),
            Checksum::Exactly(value) => value,
        }
    }

    /// The whole frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let mut ip = Ip::new(self.source, self.destination, self.ttl, VRRP);
        ip.options.clone_from(&self.options);
        ip.dont_fragment = self.dont_fragment;
        let group = if self.source.is_ipv4() {
            Mac([0x01, 0x00, 0x5e, 0, 0, 0x12])
        } else {
            Mac([0x33, 0x33, 0, 0, 0, 0x12])
        };
        let ethernet = Ethernet {
            destination: self.destination_mac.unwrap_or(group),
            source: self.source_mac,
            ethertype: ip.ethertype(),
        };
        let mut frame = ethernet.frame(&ip.packet(&self.message()));
        // Junk rather than zeros: padding must not be able to complete a message.
        frame.resize(frame.len().max(self.minimum_frame), 0xa5);
        frame
    }

    /// The Ethernet source it will use.
    #[must_use]
    pub fn sender_mac(&self) -> Mac {
        self.source_mac
    }

    /// The IP source it will use.
    #[must_use]
    pub fn sender(&self) -> IpAddr {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Packet;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn v6(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect()
    }

    /// G1–G9: messages whose bytes were computed and checked apart from this code.
    #[test]
    fn golden_vectors() {
        let v2 = |priority| Advert::new(2, 1, priority, 1, &[v4(254)], v4(1));
        let v3 = |priority| Advert::new(3, 1, priority, 100, &[v4(254)], v4(1));
        let unicast = v3(100).checksum(Checksum::Pseudo).to(v4(2), Mac::played(2));
        let ipv6 = Advert::new(
            3,
            1,
            100,
            100,
            &[v6("fe80::1"), v6("2001:db8::1")],
            v6("fe80::a"),
        );
        for (name, advert, bytes) in [
            (
                "G1",
                v2(100),
                "21 01 64 01 00 01 b7 fd c0 00 02 fe 00 00 00 00 00 00 00 00",
            ),
            (
                "G2",
                v2(0),
                "21 01 00 01 00 01 1b fe c0 00 02 fe 00 00 00 00 00 00 00 00",
            ),
            (
                "G3",
                v2(100).authentication(Authentication::simple_text("secret")),
                "21 01 64 01 01 01 7a b1 c0 00 02 fe 73 65 63 72 65 74 00 00",
            ),
            (
                "G4",
                Advert::new(2, 51, 200, 3, &[v4(253), v4(254)], v4(1)),
                "21 33 c8 02 00 03 90 ca c0 00 02 fd c0 00 02 fe 00 00 00 00 00 00 00 00",
            ),
            ("G5", v3(100), "31 01 64 01 00 64 a7 9a c0 00 02 fe"),
            (
                "G6",
                v3(100).checksum(Checksum::Pseudo),
                "31 01 64 01 00 64 05 0a c0 00 02 fe",
            ),
            ("G7", v3(0), "31 01 00 01 00 64 0b 9b c0 00 02 fe"),
            ("G8", unicast, "31 01 64 01 00 64 23 1a c0 00 02 fe"),
            (
                "G9",
                ipv6,
                "31 01 64 02 00 64 40 24 fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 01 \
                 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01",
            ),
        ] {
            assert_eq!(advert.message(), hex(bytes), "{name}");
        }
    }

    #[test]
    fn what_is_built_is_read_back() {
        let frame = Advert::new(3, 51, 200, 300, &[v4(253), v4(254)], v4(200))
            .options(&[0x94, 4, 0, 0])
            .padded_to(80)
            .frame();
        assert_eq!(frame.len(), 80);
        let packet = Packet::read(&frame).unwrap();
        assert_eq!(packet.ethernet.source, Mac::virtual_v4(51));
        assert_eq!(packet.ip.as_ref().unwrap().options, [0x94, 4, 0, 0]);
        let heard = packet.advert().unwrap();
        assert_eq!(
            (
                heard.version(),
                heard.kind(),
                heard.vrid(),
                heard.priority(),
                heard.interval()
            ),
            (3, 1, 51, 200, 300)
        );
        assert_eq!(heard.addresses(), [v4(253), v4(254)]);
        assert_eq!(
            heard.trailer(),
            [0u8; 0],
            "padding lies outside the IP length"
        );
        assert!(heard.verifies_alone() && !heard.verifies_with_pseudo_header());
    }

    #[test]
    fn broken_ones_are_broken_in_one_place() {
        let sound = Advert::new(3, 51, 254, 100, &[v6("fe80::1")], v6("fe80::c8"));
        let heard = |advert: &Advert| {
            Packet::read(&advert.frame())
                .unwrap()
                .advert()
                .unwrap()
                .clone()
        };
        assert!(heard(&sound).verifies_with_pseudo_header());
        assert!(!heard(&sound.clone().checksum(Checksum::OffBy(1))).verifies_with_pseudo_header());
        assert_eq!(heard(&sound.clone().cut_to(7)).message.len(), 7);
        let claims_two = heard(&sound.clone().count(2));
        assert_eq!((claims_two.count(), claims_two.addresses().len()), (2, 1));
        assert!(claims_two.verifies_with_pseudo_header());
        let reserved = heard(&sound.reserve(0xf));
        assert_eq!((reserved.reserve(), reserved.interval()), (0xf, 100));
    }
}
