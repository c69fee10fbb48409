//! Why the digest of another may be wrong: a handful of guesses, each tried once.
//!
//! A digest says right or wrong and nothing else. But what goes wrong is nearly always one of few things, and each of them can
//! be tried: a digest that fits is no guess any more. It is looked for when somebody's digest is wrong for the first time after
//! our own changed, at most ten times a minute, with no more than [`TRIES`] digests: a flood of them costs what one costs.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::CarpPlan;
use super::digest::{Covered, DIGEST_LEN, LinkLocal};
use super::key::{Former, addresses};
use super::packet::Advertisement;
use crate::plan::RouterPlan;
use crate::types::{Family, Vrid};

/// Digests that are tried for one advertisement at most.
pub const TRIES: usize = 100;

/// As many addresses are tried in each way, so that every way has its turn.
const MANY: usize = 12;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Suspicion {
    /// Right ones come from there, too.
    Beside,
    /// It has what we had before a reload.
    Former,
    /// It has all of our addresses but this one.
    Without(IpAddr),
    /// It has this address beside all of ours.
    With(IpAddr),
    /// It has this address and no other of ours. UCarp has never more than one.
    Single(IpAddr),
    /// It has those of this family only.
    Only(Family),
    /// The interface of its group has an automatic link-local address, which NetBSD and FreeBSD cover.
    LinkLocal(Ipv6Addr),
    /// Its passphrase ends with the end of a line.
    LineEnd,
    /// Its passphrase is ours without the spaces at its ends, or ours in quotation marks.
    Trimmed,
    /// It has no passphrase.
    NoPassphrase,
    /// Nothing of all this.
    Unknown,
}

impl Suspicion {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beside => "beside",
            Self::Former => "former",
            Self::Without(_) => "without",
            Self::With(_) => "with",
            Self::Single(_) => "single",
            Self::Only(_) => "only",
            Self::LinkLocal(_) => "link-local",
            Self::LineEnd => "line-end",
            Self::Trimmed => "trimmed",
            Self::NoPassphrase => "no-passphrase",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beside => f.write_str(
                "it sends right ones as well: its list of addresses or its passphrase is being changed, or two routers have its address",
            ),
            Self::Former => {
                f.write_str("it has the addresses and the passphrase that were configured here before")
            }
            Self::Without(address) => write!(f, "{address} is missing there, and all else agrees"),
            Self::With(address) => {
                write!(f, "it has {address} as well, and all else agrees")
            }
            Self::Single(address) => {
                write!(f, "it has {address} only; UCarp can have one address")
            }
            Self::Only(family) => {
                let name = match family {
                    Family::Ipv4 => "IPv4",
                    Family::Ipv6 => "IPv6",
                };
                write!(f, "it has the {name} addresses only")
            }
            Self::LinkLocal(address) => write!(
                f,
                "it covers {address}, the automatic address of its interface: remove it there, or list it here"
            ),
            Self::LineEnd => f.write_str(
                "its passphrase ends with a line break: a file was read there with the end of its line",
            ),
            Self::Trimmed => {
                f.write_str("the passphrases differ in spaces or quotation marks at their ends")
            }
            Self::NoPassphrase => f.write_str("it has no passphrase"),
            Self::Unknown => f.write_str(
                "another passphrase, more than one address that differs, or another group with this vhid",
            ),
        }
    }
}

/// Looks for the reason why the digest of this advertisement is wrong for a router of this plan.
#[must_use]
pub fn suspect(advertisement: &Advertisement, plan: &RouterPlan, carp: &CarpPlan) -> Suspicion {
    of(
        plan,
        carp,
        &[],
        advertisement.counter,
        &advertisement.digest,
    )
}

/// The same, where something was configured before.
pub(crate) fn of(
    plan: &RouterPlan,
    carp: &CarpPlan,
    former: &[Former],
    counter: u64,
    digest: &[u8; DIGEST_LEN],
) -> Suspicion {
    let known = |it: &Former| {
        it.key
            .as_ref()
            .is_some_and(|key| key.verifies(counter, digest))
    };
    if former.iter().any(known) {
        return Suspicion::Former;
    }
    let ours = addresses(plan);
    let passphrase = carp.passphrase.bytes();
    let tries = lists(plan, &ours)
        .map(|(list, why)| (list, passphrase.to_vec(), why))
        .chain(passphrases(passphrase).map(|(key, why)| (ours.clone(), key, why)));
    tries
        .take(TRIES / 2)
        .find(|(list, key, _)| {
            [LinkLocal::LeftOut, LinkLocal::Included]
                .iter()
                .any(|link_local| {
                    let covered = Covered::new(plan.vrid, list, *link_local);
                    covered.verify_key(key, counter, digest)
                })
        })
        .map_or(Suspicion::Unknown, |(_, _, why)| why)
}

/// Lists that are nearly ours.
fn lists<'a>(
    plan: &'a RouterPlan,
    ours: &'a [IpAddr],
) -> impl Iterator<Item = (Vec<IpAddr>, Suspicion)> + 'a {
    let with = move |address: IpAddr| {
        let mut list = ours.to_vec();
        list.push(address);
        list
    };
    let without = move |address: &IpAddr| ours.iter().copied().filter(|it| it != address).collect();
    let of = move |family: Family| {
        let list = ours.iter().copied();
        list.filter(|it| Family::of(*it) == family).collect()
    };
    let automatic = automatic(plan.vrid);
    let beside = plan.following.addresses.iter().map(|it| it.address.ip);
    let [v4, v6] = [Family::Ipv4, Family::Ipv6].map(|it| (of(it), Suspicion::Only(it)));
    let first = [
        (with(automatic.into()), Suspicion::LinkLocal(automatic)),
        v4,
        v6,
    ];
    first
        .into_iter()
        .chain(
            ours.iter()
                .take(MANY)
                .map(move |it| (without(it), Suspicion::Without(*it))),
        )
        .chain(
            ours.iter()
                .take(MANY)
                .map(|it| (alloc::vec![*it], Suspicion::Single(*it))),
        )
        .chain(
            beside
                .take(MANY)
                .map(move |it| (with(it), Suspicion::With(it))),
        )
}

/// Keys that are nearly ours.
fn passphrases(ours: &[u8]) -> impl Iterator<Item = (Vec<u8>, Suspicion)> {
    let quoted = |mark: u8| [&[mark][..], ours, &[mark][..]].concat();
    let trimmed = ours.trim_ascii();
    [
        ([ours, &b"\n"[..]].concat(), Suspicion::LineEnd),
        ([ours, &b"\r\n"[..]].concat(), Suspicion::LineEnd),
        ([ours, &b"\r"[..]].concat(), Suspicion::LineEnd),
        (trimmed.to_vec(), Suspicion::Trimmed),
        ([trimmed, &b" "[..]].concat(), Suspicion::Trimmed),
        (quoted(b'"'), Suspicion::Trimmed),
        (quoted(b'\''), Suspicion::Trimmed),
        (Vec::new(), Suspicion::NoPassphrase),
    ]
    .into_iter()
    // Where the BSDs would cut it.
    .map(|(mut key, why)| {
        key.truncate(super::digest::LONGEST_PASSPHRASE);
        (key, why)
    })
}

/// The link-local address that the kernels of the BSDs make of the virtual MAC address.
fn automatic(vhid: Vrid) -> Ipv6Addr {
    Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        0x0200,
        0x5eff,
        0xfe00,
        0x0100 | u16::from(vhid.get()),
    )
}
