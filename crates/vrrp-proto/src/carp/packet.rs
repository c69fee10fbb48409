//! The 36 bytes of an advertisement.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |   2   | type 1|     vhid      |    advskew    |  authlen 7    |
//! +-------+-------+---------------+---------------+---------------+
//! |   demotion    |    advbase    |           checksum            |
//! +---------------+---------------+-------------------------------+
//! |                      counter, 8 bytes                         |
//! |                   HMAC-SHA1 digest, 20 bytes                  |
//! ```
//!
//! The checksum is over these bytes alone, without a pseudo-header in either family.

use thiserror::Error;

use super::bid::Bid;
use super::digest::DIGEST_LEN;
use crate::checksum::Sum;
use crate::types::Vrid;

/// Bytes of an advertisement. What comes behind them is nobody's business, and not summed.
pub const LEN: usize = 36;

/// Words of counter and digest. Nobody checks it on receipt.
const AUTHLEN: u8 = 7;

mod field {
    use core::ops::Range;

    pub(super) const VERSION_TYPE: usize = 0;
    pub(super) const VHID: usize = 1;
    pub(super) const ADVSKEW: usize = 2;
    pub(super) const AUTHLEN: usize = 3;
    pub(super) const DEMOTION: usize = 4;
    pub(super) const ADVBASE: usize = 5;
    pub(super) const CHECKSUM: Range<usize> = 6..8;
    pub(super) const COUNTER: Range<usize> = 8..16;
    pub(super) const DIGEST: Range<usize> = 16..36;
}

/// An advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advertisement {
    /// The group.
    pub vhid: Vrid,
    /// What its sender bids.
    pub bid: Bid,
    /// Any number. Covered by the digest, and so what makes two advertisements differ.
    pub counter: u64,
    /// See [`super::digest`].
    pub digest: [u8; DIGEST_LEN],
}

/// Why a message is no advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// Fewer than 36 bytes.
    #[error("shorter than a CARP advertisement")]
    Short,
    /// VRRP: another version, or the very length that VRRPv2 has with as many addresses as it says.
    #[error("not CARP but VRRP")]
    Version,
    /// One's complement sum.
    #[error("wrong checksum")]
    Checksum,
    /// No group has the identifier 0.
    #[error("vhid 0")]
    Vhid,
}

impl Advertisement {
    /// Reads what was received. Neither the type nor the authentication length matters to anybody (both measured).
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        if is_vrrp(message) {
            return Err(Malformed::Version);
        }
        let bytes: &[u8; LEN] = message.first_chunk().ok_or(Malformed::Short)?;
        if !Sum::default().over(bytes).is_valid() {
            return Err(Malformed::Checksum);
        }
        Self::fields(bytes).ok_or(Malformed::Vhid)
    }

    /// What these bytes say, intact or not; `None` for the vhid 0.
    #[must_use]
    pub fn fields(bytes: &[u8; LEN]) -> Option<Self> {
        let mut counter = [0; 8];
        counter.copy_from_slice(&bytes[field::COUNTER]);
        let mut digest = [0; DIGEST_LEN];
        digest.copy_from_slice(&bytes[field::DIGEST]);
        Some(Self {
            vhid: Vrid::new(bytes[field::VHID])?,
            bid: Bid {
                advbase: bytes[field::ADVBASE],
                advskew: bytes[field::ADVSKEW],
                demotion: bytes[field::DEMOTION],
            },
            counter: u64::from_be_bytes(counter),
            digest,
        })
    }

    /// The message with its checksum.
    #[must_use]
    pub fn emit(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[field::VERSION_TYPE] = 0x21;
        bytes[field::VHID] = self.vhid.get();
        bytes[field::ADVSKEW] = self.bid.advskew;
        bytes[field::AUTHLEN] = AUTHLEN;
        bytes[field::DEMOTION] = self.bid.demotion;
        bytes[field::ADVBASE] = self.bid.advbase;
        bytes[field::COUNTER].copy_from_slice(&self.counter.to_be_bytes());
        bytes[field::DIGEST].copy_from_slice(&self.digest);
        let sum = Sum::default().over(&bytes).finish();
        bytes[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// Another version; or VRRPv2, whose fourth byte counts addresses: with its authentication it is as long as they are.
fn is_vrrp(message: &[u8]) -> bool {
    let Some([first, _, _, fourth, ..]) = message.first_chunk::<8>() else {
        return false;
    };
    let vrrp2 = *fourth != 0 && message.len() == 8 + 4 * usize::from(*fourth) + 8;
    first >> 4 != 2 || vrrp2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::carp::digest::{Covered, LinkLocal, Passphrase};
    use alloc::format;
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::net::IpAddr;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn bytes(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    struct Vector {
        name: &'static str,
        passphrase: &'static str,
        addresses: &'static [&'static str],
        vhid: u8,
        bid: (u8, u8, u8),
        counter: u64,
        message: &'static str,
    }

    /// Made by an implementation that shares nothing with this one and reproduced 222 digests captured from UCarp and from
    /// a NetBSD kernel. Bids are base, skew, demotion.
    const VECTORS: [Vector; 4] = [
        Vector {
            name: "V1: one IPv4 address",
            passphrase: "secret",
            addresses: &["10.99.0.100"],
            vhid: 1,
            bid: (1, 0, 0),
            counter: 0x0123_4567_89ab_cdef,
            message: "210100070001090e0123456789abcdef5a67b92cd1f79847ddab460b830063a1feebb0aa",
        },
        Vector {
            name: "V3: three IPv4 addresses out of order",
            passphrase: "love",
            addresses: &["10.1.1.253", "10.1.1.9", "9.255.0.1"],
            vhid: 42,
            bid: (1, 0, 0),
            counter: u64::MAX,
            message: "212a00070001eedefffffffffffffffff382b47ddbb7ddb9ecab5ba050e42a1420dcaa5b",
        },
        Vector {
            name: "V4: a passphrase of 19 bytes, demotion, both families",
            passphrase: "abcdefghijklmnopqrs",
            addresses: &["2001:db8::2", "192.0.2.10", "2001:db8::1", "192.0.2.9"],
            vhid: 7,
            bid: (1, 128, 1),
            counter: 0x8000_0000_0000_0001,
            message: "210780070101f24e8000000000000001fbd4d93bea66d33b882dbb800bb496aac399af45",
        },
        Vector {
            name: "V8: a bow-out",
            passphrase: "secret",
            addresses: &["10.99.0.100"],
            vhid: 1,
            bid: (255, 255, 0),
            counter: 0x0123_4567_89ab_cdf0,
            message: "2101ff0700ff9beb0123456789abcdf03dc8ec5e7000548e952d3ad2e5ce0237cbf73232",
        },
    ];

    #[test]
    fn vectors_both_directions() {
        for vector in VECTORS {
            let addresses: Vec<IpAddr> = vector
                .addresses
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
            let vhid = Vrid::new(vector.vhid).unwrap();
            let covered = Covered::new(vhid, &addresses, LinkLocal::LeftOut);
            let passphrase = Passphrase::new(vector.passphrase.as_bytes()).unwrap();
            let (advbase, advskew, demotion) = vector.bid;
            let built = Advertisement {
                vhid,
                bid: Bid {
                    advbase,
                    advskew,
                    demotion,
                },
                counter: vector.counter,
                digest: covered.digest(&passphrase, vector.counter),
            };
            assert_eq!(hex(&built.emit()), vector.message, "{}", vector.name);
            let read = Advertisement::parse(&bytes(vector.message)).unwrap();
            assert_eq!(read, built, "{}", vector.name);
            assert!(covered.verify(&passphrase, read.counter, &read.digest));
        }
    }

    /// V2 has no passphrase, which nobody may have here; as bytes it is an advertisement like others.
    #[test]
    fn a_group_without_a_passphrase_can_be_read() {
        let message =
            bytes("21ff64070001428e0000000000000000837d094a9ea0800accd7279fd8bdd30d4264a950");
        let read = Advertisement::parse(&message).unwrap();
        assert_eq!((read.vhid.get(), read.bid.advskew), (255, 100));
        assert_eq!(hex(&read.emit()), hex(&message));
    }

    fn with(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut message = bytes(VECTORS[0].message);
        change(&mut message);
        message[field::CHECKSUM].fill(0);
        let sum = Sum::default().over(&message[..LEN]).finish();
        message[field::CHECKSUM].copy_from_slice(&sum.to_be_bytes());
        message
    }

    #[test]
    fn what_others_accept_is_accepted() {
        for (name, message) in [
            ("type 2", with(|bytes| bytes[0] = 0x22)),
            ("an authentication length of 0", with(|bytes| bytes[3] = 0)),
            ("a demotion of 5", with(|bytes| bytes[4] = 5)),
            (
                "ten more bytes",
                [bytes(VECTORS[0].message), alloc::vec![0xab; 10]].concat(),
            ),
        ] {
            assert!(Advertisement::parse(&message).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let good = bytes(VECTORS[0].message);
        for length in 0..LEN {
            let read = Advertisement::parse(&good[..length]);
            assert_eq!(read, Err(Malformed::Short), "{length} bytes");
        }
        let mut damaged = good.clone();
        damaged[35] ^= 1;
        for (message, malformed) in [
            (with(|bytes| bytes[0] = 0x31), Malformed::Version),
            (damaged, Malformed::Checksum),
            (with(|bytes| bytes[1] = 0), Malformed::Vhid),
        ] {
            assert_eq!(Advertisement::parse(&message), Err(malformed));
        }
    }

    /// Five addresses make a VRRPv2 message that is as long as an advertisement of CARP.
    #[test]
    fn vrrp_is_not_carp() {
        use crate::dialect::Dialect;
        use crate::interval::Interval;
        use crate::plan::ChecksumForm;
        use crate::types::Priority;
        let (source, group): (IpAddr, IpAddr) =
            ([192, 0, 2, 1].into(), crate::types::Family::Ipv4.group());
        for count in 1..=20 {
            let addresses: Vec<IpAddr> = (1..=count)
                .map(|last| IpAddr::from([192, 0, 2, last]))
                .collect();
            for dialect in [Dialect::Vrrp2, Dialect::Vrrp3] {
                let vrrp = crate::packet::Advertisement {
                    dialect,
                    vrid: Vrid::new(1).unwrap(),
                    priority: Priority::DEFAULT,
                    interval: Interval::DEFAULT,
                    addresses: &addresses,
                    authentication: None,
                };
                let message = vrrp.emit(ChecksumForm::Rfc9568, source, group);
                let read = Advertisement::parse(&message);
                assert_eq!(read, Err(Malformed::Version), "{dialect:?} {count}");
            }
        }
    }

    /// RFC 3768 §7.1: the length must be that of the address count. Read as VRRPv2, a skew of 0 would be a release.
    #[test]
    fn carp_is_not_vrrp() {
        use crate::receive::{Envelope, Expectation, Reject, examine};
        use crate::types::Family;
        let addresses = alloc::vec![crate::plan::VirtualAddress {
            ip: "10.99.0.100".parse().unwrap(),
            prefix_len: 24,
        }];
        let vrid = Vrid::new(1).unwrap();
        let plan = crate::plan::RouterPlan {
            dialect: crate::dialect::Dialect::Vrrp2,
            ..crate::plan::RouterPlan::new("r", "eth0", vrid, Family::Ipv4, addresses)
        };
        let envelope = Envelope {
            source: "10.99.0.2".parse().unwrap(),
            destination: Family::Ipv4.group(),
            hop_limit: 255,
        };
        let router = Expectation {
            plan: &plan,
            primary: Some("10.99.0.1".parse().unwrap()),
        };
        for vector in VECTORS {
            let message = bytes(vector.message);
            let heard = examine(&envelope, &message, |_| Some(router));
            assert_eq!(heard, Err(Reject::Carp), "{}", vector.name);
        }
        // Also where nothing says that it is CARP.
        for (message, reject) in [
            (with(|bytes| bytes[3] = 0), Reject::CountZero),
            (with(|bytes| bytes[3] = 6), Reject::Length),
            ([with(|_| {}), alloc::vec![0; 10]].concat(), Reject::Length),
        ] {
            let heard = examine(&envelope, &message, |_| Some(router));
            assert_eq!(heard, Err(reject), "{}", hex(&message));
        }
    }
}
