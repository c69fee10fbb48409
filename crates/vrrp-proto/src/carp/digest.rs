//! Who may speak: HMAC-SHA1 over the identifier, the addresses and the counter.
//!
//! ```text
//!   HMAC-SHA1(passphrase, 2, 1, vhid, each IPv4 address, each IPv6 address, counter)
//! ```
//!
//! Addresses stand in ascending order, each once, those of both families in every advertisement of either. So a member with
//! another list of addresses has another digest, and cannot be told from one with another passphrase.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use thiserror::Error;

use crate::types::{Vrid, is_link_local};

/// Bytes of a digest.
pub const DIGEST_LEN: usize = 20;

/// Bytes that the BSDs take of a passphrase.
pub const LONGEST_PASSPHRASE: usize = 19;

/// What the members of a group share. Not hashed, not salted: as it is, padded with zeros.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passphrase {
    bytes: [u8; LONGEST_PASSPHRASE],
    len: u8,
}

/// Why something is no passphrase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PassphraseError {
    /// Then whoever hears one advertisement may send any.
    #[error("the passphrase is empty")]
    Empty,
    /// The tools of the BSDs cut it without a word, UCarp refuses it.
    #[error("the passphrase has {0} bytes, of which other implementations use the first 19")]
    TooLong(usize),
    /// Padding is made of zeros, so it would equal a shorter one.
    #[error("the passphrase contains a zero byte")]
    Zero,
}

impl Passphrase {
    /// From 1 to 19 bytes.
    ///
    /// # Errors
    /// It is empty or longer, or has a zero byte.
    pub fn new(passphrase: &[u8]) -> Result<Self, PassphraseError> {
        if passphrase.is_empty() {
            return Err(PassphraseError::Empty);
        }
        if passphrase.contains(&0) {
            return Err(PassphraseError::Zero);
        }
        let too_long = PassphraseError::TooLong(passphrase.len());
        let len = u8::try_from(passphrase.len()).map_err(|_| too_long)?;
        let mut bytes = [0; LONGEST_PASSPHRASE];
        bytes
            .get_mut(..passphrase.len())
            .ok_or(too_long)?
            .copy_from_slice(passphrase);
        Ok(Self { bytes, len })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Never shows the passphrase.
impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// Whether link-local addresses are covered by what is sent. What is heard may be either.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum LinkLocal {
    /// OpenBSD sends so, and accepts both.
    #[default]
    LeftOut,
    /// FreeBSD and NetBSD, for those that were given to the group.
    Included,
}

impl LinkLocal {
    /// Its word in configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left-out",
            Self::Included => "included",
        }
    }
}

/// What a digest covers, without the counter at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Covered(Vec<u8>);

impl Covered {
    /// By all advertisements of `vhid` with these addresses, in whatever order they are listed.
    pub fn new(vhid: Vrid, addresses: &[IpAddr], link_local: LinkLocal) -> Self {
        let mut v4: Vec<Ipv4Addr> = Vec::new();
        let mut v6: Vec<Ipv6Addr> = Vec::new();
        for address in addresses {
            match *address {
                IpAddr::V4(address) => v4.push(address),
                IpAddr::V6(address) if has_scope(address) => {
                    if link_local == LinkLocal::Included {
                        v6.push(without_scope(address));
                    }
                }
                IpAddr::V6(address) => v6.push(address),
            }
        }
        // The BSDs look for the next greater address, and begin and end with these.
        v4.retain(|address| !address.is_unspecified() && !address.is_broadcast());
        v6.retain(|address| !matches!(u128::from(*address), 0 | u128::MAX));
        v4.sort_unstable();
        v4.dedup();
        v6.sort_unstable();
        v6.dedup();
        // Version and type, as constants: those of the packet are not covered.
        let mut covered = alloc::vec![2, 1, vhid.get()];
        covered.extend(v4.iter().flat_map(Ipv4Addr::octets));
        covered.extend(v6.iter().flat_map(Ipv6Addr::octets));
        Self(covered)
    }

    /// The digest of an advertisement with this counter.
    #[must_use]
    pub fn digest(&self, passphrase: &Passphrase, counter: u64) -> [u8; DIGEST_LEN] {
        self.sum(passphrase.bytes(), counter)
            .map_or([0; DIGEST_LEN], |sum| sum.finalize().into_bytes().into())
    }

    /// Whether `digest` is that of an advertisement with this counter, in a time that does not depend on where it differs.
    #[must_use]
    pub fn verify(&self, passphrase: &Passphrase, counter: u64, digest: &[u8; DIGEST_LEN]) -> bool {
        self.verify_key(passphrase.bytes(), counter, digest)
    }

    /// The same with a key that need not be a passphrase.
    pub(crate) fn verify_key(&self, key: &[u8], counter: u64, digest: &[u8; DIGEST_LEN]) -> bool {
        self.sum(key, counter)
            .is_some_and(|sum| sum.verify_slice(digest).is_ok())
    }

    /// `None` never happens: HMAC takes keys of any length.
    fn sum(&self, key: &[u8], counter: u64) -> Option<Hmac<Sha1>> {
        let mut sum = Hmac::<Sha1>::new_from_slice(key).ok()?;
        sum.update(&self.0);
        sum.update(&counter.to_be_bytes());
        Some(sum)
    }
}

/// Addresses in which the kernels of the BSDs keep the number of an interface.
fn has_scope(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.octets();
    is_link_local(address) || (first == 0xff && matches!(second & 0x0f, 1 | 2))
}

/// Where they keep it, zeros are hashed.
fn without_scope(address: Ipv6Addr) -> Ipv6Addr {
    let mut segments = address.segments();
    segments[1] = 0;
    Ipv6Addr::from(segments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn vhid(value: u8) -> Vrid {
        Vrid::new(value).unwrap()
    }

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn covered(list: &[&str]) -> Covered {
        Covered::new(vhid(7), &ips(list), LinkLocal::LeftOut)
    }

    #[test]
    fn addresses_are_a_set() {
        let sorted = covered(&["192.0.2.9", "192.0.2.10", "2001:db8::1", "2001:db8::2"]);
        let shuffled = covered(&[
            "2001:db8::2",
            "192.0.2.10",
            "2001:db8::1",
            "192.0.2.9",
            "192.0.2.10",
            "2001:db8::2",
        ]);
        assert_eq!(sorted, shuffled);
        assert_ne!(sorted, covered(&["192.0.2.9", "192.0.2.10", "2001:db8::1"]));
    }

    #[test]
    fn addresses_that_no_bsd_hashes_are_not_hashed() {
        let never = ["0.0.0.0", "255.255.255.255", "::"];
        let ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(covered(&never), covered(&[]));
        assert_eq!(covered(&[ones]), covered(&[]));
        assert_ne!(covered(&["0.0.0.1"]), covered(&[]));
    }

    #[test]
    fn link_local_addresses_are_covered_or_not_and_have_no_scope() {
        let list = ips(&["fe80::1", "2001:db8::1"]);
        let with = Covered::new(vhid(7), &list, LinkLocal::Included);
        let without = Covered::new(vhid(7), &list, LinkLocal::LeftOut);
        assert_ne!(with, without);
        assert_eq!(without, covered(&["2001:db8::1"]));
        let scoped = ips(&["fe80:5::1", "2001:db8::1"]);
        assert_eq!(with, Covered::new(vhid(7), &scoped, LinkLocal::Included));
    }

    #[test]
    fn one_wrong_bit_anywhere_is_noticed() {
        let passphrase = Passphrase::new(b"secret").unwrap();
        let covered = covered(&["192.0.2.1"]);
        let digest = covered.digest(&passphrase, 5);
        assert!(covered.verify(&passphrase, 5, &digest));
        assert!(!covered.verify(&passphrase, 6, &digest));
        assert!(!covered.verify(&Passphrase::new(b"Secret").unwrap(), 5, &digest));
        for bit in 0..DIGEST_LEN * 8 {
            let mut other = digest;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!covered.verify(&passphrase, 5, &other), "bit {bit}");
        }
    }

    #[test]
    fn passphrases_are_one_to_nineteen_bytes_and_never_shown() {
        assert_eq!(Passphrase::new(b""), Err(PassphraseError::Empty));
        assert_eq!(
            Passphrase::new(b"abcdefghijklmnopqrst"),
            Err(PassphraseError::TooLong(20))
        );
        assert_eq!(
            Passphrase::new(&[b'x'; 300]),
            Err(PassphraseError::TooLong(300))
        );
        assert_eq!(Passphrase::new(b"a\0b"), Err(PassphraseError::Zero));
        let longest = Passphrase::new(b"abcdefghijklmnopqrs").unwrap();
        assert_eq!(format!("{longest:?}"), "Passphrase(..)");
    }
}
