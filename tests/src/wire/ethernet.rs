//! Ethernet.

use std::fmt;

/// Ethertype of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// Ethertype of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// Ethertype of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// A hardware address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everyone.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The virtual router's address for IPv4 (RFC 9568 §7.3).
    #[must_use]
    pub const fn virtual_v4(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x01, vrid])
    }

    /// The virtual router's address for IPv6 (RFC 9568 §7.3).
    #[must_use]
    pub const fn virtual_v6(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x02, vrid])
    }

    /// An address of a host the laboratory plays.
    #[must_use]
    pub const fn played(n: u8) -> Self {
        Self([0x02, 0x4c, 0x41, 0x42, 0x00, n])
    }

    /// Whether it is a virtual router's.
    #[must_use]
    pub fn is_virtual(self) -> bool {
        matches!(self.0, [0x00, 0x00, 0x5e, 0x00, 1 | 2, _])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut parts = text.trim().split(':');
        for octet in &mut octets {
            let part = parts
                .next()
                .ok_or_else(|| format!("{text:?} is too short for a MAC"))?;
            *octet = u8::from_str_radix(part, 16).map_err(|error| format!("{text:?}: {error}"))?;
        }
        Ok(Self(octets))
    }
}

/// An Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Where the frame goes.
    pub destination: Mac,
    /// Who says it sent it.
    pub source: Mac,
    /// What it carries.
    pub ethertype: u16,
}

impl Ethernet {
    /// Reads the header and returns what follows.
    #[must_use]
    pub fn read(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (destination, rest) = frame.split_first_chunk()?;
        let (source, rest) = rest.split_first_chunk()?;
        let (ethertype, rest) = rest.split_first_chunk()?;
        Some((
            Self {
                destination: Mac(*destination),
                source: Mac(*source),
                ethertype: u16::from_be_bytes(*ethertype),
            },
            rest,
        ))
    }

    /// A frame that carries `payload`.
    #[must_use]
    pub fn frame(self, payload: &[u8]) -> Vec<u8> {
        [
            &self.destination.0[..],
            &self.source.0,
            &self.ethertype.to_be_bytes(),
            payload,
        ]
        .concat()
    }
}
