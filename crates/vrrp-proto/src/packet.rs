//! Advertisements on the wire: VRRPv2 (RFC 3768 §5.1) and VRRPv3 (RFC 9568 §5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |version| type  |     VRID      |   priority    | address count |
//! +-------+-------+-------+-------+---------------+---------------+
//! | v2: auth type | v2: seconds   |           checksum            |
//! | v3: 4 reserved bits, 12 bits  |                               |
//! |     of centiseconds           |                               |
//! +-------------------------------+-------------------------------+
//! | addresses, 4 or 16 bytes each; v2: then 8 bytes authentication|
//! ```
//!
//! Reading never panics whatever the bytes are: every accessor works on a length that [`Header::new`] checked.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::Sum;
use crate::dialect::Dialect;
use crate::interval::Interval;
use crate::plan::{AuthenticationKey, ChecksumForm};
use crate::types::{Family, Priority, Vrid};

/// The only type of message (RFC 9568 §5.2.2).
pub const ADVERTISEMENT: u8 = 1;

/// Bytes before the addresses.
pub const HEADER_LEN: usize = 8;

/// Authentication types of RFC 2338 §5.3.6 that we speak.
pub mod auth_type {
    /// No authentication.
    pub const NONE: u8 = 0;
    /// Simple text password.
    pub const SIMPLE_TEXT: u8 = 1;
    /// IP Authentication Header; known, not spoken.
    pub const IP_AH: u8 = 2;
}

mod field {
    use core::ops::Range;

    pub(super) const VERSION_TYPE: usize = 0;
    pub(super) const VRID: usize = 1;
    pub(super) const PRIORITY: usize = 2;
    pub(super) const COUNT: usize = 3;
    pub(super) const AUTH_TYPE: usize = 4;
    pub(super) const SECONDS: usize = 5;
    pub(super) const CENTIS: Range<usize> = 4..6;
    pub(super) const CHECKSUM: Range<usize> = 6..8;
}

/// The fixed eight bytes every message begins with, and the bytes after them.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    fixed: &'a [u8; HEADER_LEN],
    message: &'a [u8],
}

impl<'a> Header<'a> {
    /// `None` when fewer than eight bytes arrived.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Option<Self> {
        match message.first_chunk() {
            Some(fixed) => Some(Self { fixed, message }),
            None => None,
        }
    }

    /// Version nibble.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.fixed[field::VERSION_TYPE] >> 4
    }

    /// Type nibble.
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.fixed[field::VERSION_TYPE] & 0x0f
    }

    /// VRID byte; `None` for 0.
    #[must_use]
    pub const fn vrid(self) -> Option<Vrid> {
        Vrid::new(self.fixed[field::VRID])
    }

    /// Priority byte.
    #[must_use]
    pub const fn priority(self) -> Priority {
        Priority::new(self.fixed[field::PRIORITY])
    }

    /// Address count byte.
    #[must_use]
    pub const fn count(self) -> usize {
        self.fixed[field::COUNT] as usize
    }

    /// VRRPv2's authentication type.
    #[must_use]
    pub const fn auth_type(self) -> u8 {
        self.fixed[field::AUTH_TYPE]
    }

    /// The interval field in the unit of `dialect`; `None` for 0. VRRPv3's reserved bits are ignored (RFC 9568 §5.2.6).
    #[must_use]
    pub fn interval(self, dialect: Dialect) -> Option<Interval> {
        match dialect {
            // CARP has its base there.
            Dialect::Vrrp2 | Dialect::Carp => Interval::from_secs(self.fixed[field::SECONDS]),
            Dialect::Vrrp3 => {
                let [high, low] = [
                    self.fixed[field::CENTIS.start],
                    self.fixed[field::CENTIS.start + 1],
                ];
                Interval::from_centis(u16::from_be_bytes([high & 0x0f, low]))
            }
        }
    }

    /// A CARP advertisement: the same protocol number, group and first byte as VRRPv2, but always 36 bytes with an
    /// authentication length of 7 words. As VRRPv2 it would claim seven addresses and be eight bytes short.
    #[must_use]
    pub const fn is_carp(self) -> bool {
        self.fixed[field::VERSION_TYPE] == 0x21
            && self.fixed[field::COUNT] == 7
            && self.message.len() == 36
    }

    /// Whether the checksum holds, and in which form (RFC 9568 §5.2.8, RFC 5798 §5.2.8, RFC 3768 §5.3.8).
    ///
    /// VRRPv3 over IPv4 has two forms in the field: the message alone, and the message behind a pseudo-header. VRRPv2
    /// has the first only, VRRPv3 over IPv6 the second only; both report [`ChecksumForm::Rfc9568`], being undisputed.
    #[must_use]
    pub fn checksum_form(
        self,
        dialect: Dialect,
        source: IpAddr,
        destination: IpAddr,
    ) -> Option<ChecksumForm> {
        let bare = Sum::default().over(self.message);
        let with_pseudo_header = || {
            Sum::default()
                .add_pseudo_header(source, destination, self.message.len())
                .over(self.message)
        };
        match (dialect, Family::of(source)) {
            (Dialect::Vrrp2 | Dialect::Carp, _) => bare.is_valid().then_some(ChecksumForm::Rfc9568),
            (Dialect::Vrrp3, Family::Ipv6) => with_pseudo_header()
                .is_valid()
                .then_some(ChecksumForm::Rfc9568),
            (Dialect::Vrrp3, Family::Ipv4) if bare.is_valid() => Some(ChecksumForm::Rfc9568),
            (Dialect::Vrrp3, Family::Ipv4) => with_pseudo_header()
                .is_valid()
                .then_some(ChecksumForm::Rfc5798),
        }
    }

    /// The addresses, as many as are really there.
    pub fn addresses(self, family: Family) -> impl Iterator<Item = IpAddr> + Clone + 'a {
        let listed = self.message[HEADER_LEN..]
            .chunks_exact(family.address_len())
            .take(self.count());
        listed.filter_map(|bytes| match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes)
                .ok()
                .map(|octets| IpAddr::V4(Ipv4Addr::from(octets))),
            _ => <[u8; 16]>::try_from(bytes)
                .ok()
                .map(|octets| IpAddr::V6(Ipv6Addr::from(octets))),
        })
    }

    /// VRRPv2's last eight bytes; `None` when the message is too short for them.
    #[must_use]
    pub fn auth_data(self) -> Option<&'a [u8; 8]> {
        self.message
            .get(HEADER_LEN + 4 * self.count()..)?
            .first_chunk()
    }

    /// Bytes of the whole message.
    #[must_use]
    pub const fn message_len(self) -> usize {
        self.message.len()
    }
}

/// Everything that an advertisement says.
#[derive(Clone, Copy, Debug)]
pub struct Advertisement<'a> {
    /// Version of VRRP. CARP has [`crate::carp::Advertisement`].
    pub dialect: Dialect,
    /// Virtual router.
    pub vrid: Vrid,
    /// Sender's priority, [`Priority::RELEASE`] when it gives up.
    pub priority: Priority,
    /// Sender's own advertisement interval; must be expressible in `dialect`'s unit.
    pub interval: Interval,
    /// Virtual addresses, all of one family, at most 255; IPv6 begins with a link-local one (RFC 9568 §5.2.9).
    pub addresses: &'a [IpAddr],
    /// VRRPv2's simple text password.
    pub authentication: Option<AuthenticationKey>,
}

impl Advertisement<'_> {
    /// The message, with its checksum for a packet from `source` to `destination`.
    #[must_use]
    pub fn emit(&self, form: ChecksumForm, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut out = Vec::new();
        self.emit_to(form, source, destination, &mut out);
        out
    }

    /// The same at the end of `out`.
    pub fn emit_to(
        &self,
        form: ChecksumForm,
        source: IpAddr,
        destination: IpAddr,
        out: &mut Vec<u8>,
    ) {
        let family = Family::of(source);
        let count = self.addresses.len().min(255);
        let [fourth, fifth] = match self.dialect {
            Dialect::Vrrp2 | Dialect::Carp => {
                let kind = if self.authentication.is_some() {
                    auth_type::SIMPLE_TEXT
                } else {
                    auth_type::NONE
                };
                [kind, self.interval.as_secs().unwrap_or(u8::MAX)]
            }
            Dialect::Vrrp3 => self
                .interval
                .as_centis()
                .unwrap_or(Interval::MAX_CENTIS)
                .to_be_bytes(),
        };
        let pseudo_header = match (self.dialect, family, form) {
            (Dialect::Vrrp2 | Dialect::Carp, _, _)
            | (Dialect::Vrrp3, Family::Ipv4, ChecksumForm::Rfc9568) => false,
            (Dialect::Vrrp3, Family::Ipv6, _)
            | (Dialect::Vrrp3, Family::Ipv4, ChecksumForm::Rfc5798) => true,
        };
        let trailer = match self.dialect {
            Dialect::Vrrp2 => Some(self.authentication.map_or([0; 8], AuthenticationKey::bytes)),
            Dialect::Vrrp3 | Dialect::Carp => None,
        };
        let mut header: [u8; HEADER_LEN] = [
            self.dialect.version() << 4 | ADVERTISEMENT,
            self.vrid.get(),
            self.priority.get(),
            u8::try_from(count).unwrap_or(u8::MAX),
            fourth,
            fifth,
            0,
            0,
        ];
        let length = self.dialect.message_len(family, count);
        let addresses = &self.addresses[..count];
        let mut sum = Sum::default().over(&header);
        for address in addresses {
            sum = sum.over_address(*address);
        }
        if let Some(trailer) = &trailer {
            sum = sum.over(trailer);
        }
        if pseudo_header {
            sum = sum.add_pseudo_header(source, destination, length);
        }
        header[field::CHECKSUM].copy_from_slice(&sum.finish().to_be_bytes());
        out.reserve(length);
        out.extend_from_slice(&header);
        for address in addresses {
            match address {
                IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
                IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
            }
        }
        if let Some(trailer) = &trailer {
            out.extend_from_slice(trailer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    struct Vector {
        name: &'static str,
        bytes: &'static str,
        dialect: Dialect,
        vrid: u8,
        priority: u8,
        interval: Interval,
        addresses: Vec<IpAddr>,
        key: Option<&'static str>,
        form: ChecksumForm,
        from: &'static str,
        to: &'static str,
    }

    fn secs(secs: u8) -> Interval {
        Interval::from_secs(secs).unwrap()
    }

    /// Computed once by hand and checked against captures of other implementations.
    fn vectors() -> Vec<Vector> {
        let base = || Vector {
            name: "",
            bytes: "",
            dialect: Dialect::Vrrp3,
            vrid: 1,
            priority: 100,
            interval: secs(1),
            addresses: vec![ip("192.0.2.254")],
            key: None,
            form: ChecksumForm::Rfc9568,
            from: "192.0.2.1",
            to: "224.0.0.18",
        };
        let v2 = || Vector {
            dialect: Dialect::Vrrp2,
            ..base()
        };
        vec![
            Vector {
                name: "G1",
                bytes: "21016401 0001b7fd c00002fe 0000000000000000",
                ..v2()
            },
            Vector {
                name: "G2",
                bytes: "21010001 00011bfe c00002fe 0000000000000000",
                priority: 0,
                ..v2()
            },
            Vector {
                name: "G3",
                bytes: "21016401 01017ab1 c00002fe 7365637265740000",
                key: Some("secret"),
                ..v2()
            },
            Vector {
                name: "G4",
                bytes: "2133c802 000390ca c00002fd c00002fe 0000000000000000",
                vrid: 51,
                priority: 200,
                interval: secs(3),
                addresses: vec![ip("192.0.2.253"), ip("192.0.2.254")],
                ..v2()
            },
            Vector {
                name: "G5",
                bytes: "31016401 0064a79a c00002fe",
                ..base()
            },
            Vector {
                name: "G6",
                bytes: "31016401 0064050a c00002fe",
                form: ChecksumForm::Rfc5798,
                ..base()
            },
            Vector {
                name: "G7",
                bytes: "31010001 00640b9b c00002fe",
                priority: 0,
                ..base()
            },
            Vector {
                name: "G8",
                bytes: "31016401 0064231a c00002fe",
                form: ChecksumForm::Rfc5798,
                to: "192.0.2.2",
                ..base()
            },
            Vector {
                name: "G9",
                bytes: "31016402 00644024 fe800000000000000000000000000001 20010db8000000000000000000000001",
                addresses: vec![ip("fe80::1"), ip("2001:db8::1")],
                from: "fe80::a",
                to: "ff02::12",
                ..base()
            },
        ]
    }

    #[test]
    fn golden_vectors_are_sent() {
        for v in vectors() {
            let advertisement = Advertisement {
                dialect: v.dialect,
                vrid: Vrid::new(v.vrid).unwrap(),
                priority: Priority::new(v.priority),
                interval: v.interval,
                addresses: &v.addresses,
                authentication: v
                    .key
                    .map(|key| AuthenticationKey::new(key.as_bytes()).unwrap()),
            };
            assert_eq!(
                advertisement.emit(v.form, ip(v.from), ip(v.to)),
                hex(v.bytes),
                "{}",
                v.name
            );
        }
    }

    #[test]
    fn golden_vectors_are_read() {
        for v in vectors() {
            let bytes = hex(v.bytes);
            let header = Header::new(&bytes).unwrap();
            let (from, to) = (ip(v.from), ip(v.to));
            assert_eq!(header.version(), v.dialect.version(), "{}", v.name);
            assert_eq!(header.kind(), ADVERTISEMENT, "{}", v.name);
            assert_eq!(header.vrid(), Vrid::new(v.vrid), "{}", v.name);
            assert_eq!(header.priority().get(), v.priority, "{}", v.name);
            assert_eq!(header.interval(v.dialect), Some(v.interval), "{}", v.name);
            assert_eq!(
                header.checksum_form(v.dialect, from, to),
                Some(v.form),
                "{}",
                v.name
            );
            assert!(
                header
                    .addresses(Family::of(from))
                    .eq(v.addresses.iter().copied()),
                "{}",
                v.name
            );
            if v.dialect == Dialect::Vrrp2 {
                let expected = v.key.map_or([0; 8], |key| {
                    AuthenticationKey::new(key.as_bytes()).unwrap().bytes()
                });
                assert_eq!(header.auth_data(), Some(&expected), "{}", v.name);
            }
        }
    }

    #[test]
    fn every_flipped_bit_breaks_the_checksum() {
        for v in vectors() {
            let bytes = hex(v.bytes);
            for bit in 0..bytes.len() * 8 {
                let mut broken = bytes.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                let header = Header::new(&broken).unwrap();
                assert_eq!(
                    header.checksum_form(v.dialect, ip(v.from), ip(v.to)),
                    None,
                    "{} bit {bit}",
                    v.name
                );
            }
        }
    }

    #[test]
    fn reserved_bits_do_not_belong_to_the_interval() {
        // RFC 9568 §5.2.6
        let bytes = hex("31016401 f064 0000 c00002fe");
        assert_eq!(
            Header::new(&bytes).unwrap().interval(Dialect::Vrrp3),
            Interval::from_centis(100)
        );
    }

    #[test]
    fn carp_is_told_from_vrrp() {
        // A CARP advertisement of VHID 1, skew 0, and a VRRPv2 one that really has seven addresses.
        let mut carp = vec![0x21, 1, 0, 7, 0, 1, 0, 0];
        carp.resize(36, 0xaa);
        assert!(Header::new(&carp).unwrap().is_carp());
        let mut vrrp = carp.clone();
        vrrp.resize(Dialect::Vrrp2.message_len(Family::Ipv4, 7), 0);
        assert!(!Header::new(&vrrp).unwrap().is_carp());
    }

    #[test]
    fn seven_bytes_are_no_header() {
        assert!(Header::new(&[0x31; 7]).is_none());
        assert!(Header::new(&[]).is_none());
    }
}
