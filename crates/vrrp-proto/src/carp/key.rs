//! What a digest is made with: a passphrase and a list of addresses; the one that is configured, and for some time those that
//! were configured before.
//!
//! A Backup is silent, so nobody can know whether the others were reloaded already. So who was reloaded says everything
//! twice for some time, with the digest that it has and with the one that it had, and accepts both. Whoever was not reloaded
//! yet, or was and has forgotten, hears one of them that is good. In whatever order a group is reloaded, nobody ever hears
//! nothing.

use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::CarpPlan;
use super::digest::{Covered, DIGEST_LEN, LinkLocal, Passphrase};
use crate::plan::RouterPlan;
use crate::time::Instant;
use crate::types::{Family, Vrid};

/// As many former ones are good at the same time.
pub(crate) const FORMER: usize = 3;

/// A key for digests.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    passphrase: Passphrase,
    /// What is sent comes first.
    covered: Vec<Covered>,
}

impl Key {
    pub(crate) fn new(
        vhid: Vrid,
        addresses: &[IpAddr],
        passphrase: Passphrase,
        sends: LinkLocal,
    ) -> Self {
        let other = match sends {
            LinkLocal::LeftOut => LinkLocal::Included,
            LinkLocal::Included => LinkLocal::LeftOut,
        };
        let mut covered: Vec<Covered> = [sends, other]
            .map(|link_local| Covered::new(vhid, addresses, link_local))
            .into();
        covered.dedup();
        Self {
            passphrase,
            covered,
        }
    }

    pub(crate) fn of(plan: &RouterPlan, carp: &CarpPlan) -> Self {
        Self::new(
            plan.vrid,
            &addresses(plan),
            carp.passphrase,
            carp.link_local,
        )
    }

    pub(crate) fn digest(&self, counter: u64) -> [u8; DIGEST_LEN] {
        let covered = self.covered.first();
        covered.map_or([0; DIGEST_LEN], |it| it.digest(&self.passphrase, counter))
    }

    pub(crate) fn verifies(&self, counter: u64, digest: &[u8; DIGEST_LEN]) -> bool {
        let good = |covered: &Covered| covered.verify(&self.passphrase, counter, digest);
        self.covered.iter().any(good)
    }

    /// Whether whoever has one of them understands who has the other.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        let mut ours = self.covered.iter();
        self.passphrase == other.passphrase && ours.all(|it| other.covered.contains(it))
    }
}

/// What the digests of a plan are about.
pub(crate) fn addresses(plan: &RouterPlan) -> Vec<IpAddr> {
    plan.addresses.iter().map(|address| address.ip).collect()
}

/// One that was configured before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Former {
    passphrase: Passphrase,
    addresses: Vec<IpAddr>,
    link_local: LinkLocal,
    /// It is good until then.
    pub(crate) until: Instant,
    /// It is not good any more, and remembered to know it again.
    #[serde(default)]
    pub(crate) over: bool,
    #[serde(skip)]
    pub(crate) key: Option<Key>,
}

impl Former {
    pub(crate) fn new(old: &RouterPlan, carp: &CarpPlan, until: Instant) -> Self {
        Self {
            passphrase: carp.passphrase,
            addresses: addresses(old),
            link_local: carp.link_local,
            until,
            over: false,
            key: None,
        }
    }

    pub(crate) fn tune(&mut self, vhid: Vrid) {
        self.key = Some(Key::new(
            vhid,
            &self.addresses,
            self.passphrase,
            self.link_local,
        ));
    }

    /// Whether its advertisements went out in this family.
    pub(crate) fn speaks(&self, family: Family) -> bool {
        self.addresses.iter().any(|it| Family::of(*it) == family)
    }
}
