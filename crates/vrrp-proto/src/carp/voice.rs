//! What a router says and hears with the passphrase of its group: the counter, and what the digest covers.

use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::bid::Bid;
use super::digest::{Covered, LinkLocal};
use super::inspect::open;
use super::packet::Advertisement;
use super::{CarpPlan, priority};
use crate::interval::Interval;
use crate::plan::{ChecksumForm, RouterPlan};
use crate::receive::{Envelope, Heard, Reject};
use crate::types::{Family, Priority};

/// The voice of one router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Voice {
    /// Of the last advertisement, ours or that of another member.
    counter: u64,
    /// With the addresses of the plan; empty until [`Self::tune`].
    #[serde(skip)]
    covered: Vec<Covered>,
}

impl Voice {
    /// Of a router that has not spoken yet. Without a counter of its own, it begins with one that anybody can guess.
    pub(crate) fn new(plan: &RouterPlan, counter: u64) -> Self {
        let mut voice = Self {
            counter,
            covered: Vec::new(),
        };
        voice.tune(plan);
        voice
    }

    /// Says and hears what `plan` says from now on. What is sent comes first.
    pub(crate) fn tune(&mut self, plan: &RouterPlan) {
        let addresses: Vec<IpAddr> = plan.addresses.iter().map(|address| address.ip).collect();
        self.covered = [LinkLocal::LeftOut, LinkLocal::Included]
            .map(|link_local| Covered::new(plan.vrid, &addresses, link_local))
            .into();
        self.covered.dedup();
    }

    /// Nothing that was said before is said again: neither by us, nor by a process that died and had not written down how far it
    /// was.
    pub(crate) const fn skip(&mut self, counts: u64) {
        self.counter = self.counter.wrapping_add(counts);
    }

    /// The next advertisement.
    pub(crate) fn speak(&mut self, plan: &RouterPlan, carp: &CarpPlan, bid: Bid) -> Vec<u8> {
        self.counter = self.counter.wrapping_add(1);
        let digest = self
            .covered
            .first()
            .map(|covered| covered.digest(&carp.passphrase, self.counter));
        let advertisement = Advertisement {
            vhid: plan.vrid,
            bid,
            counter: self.counter,
            digest: digest.unwrap_or_default(),
        };
        advertisement.emit().into()
    }

    /// Checks a message for a router that has these sources.
    ///
    /// # Errors
    /// The first check that failed.
    pub(crate) fn hear(
        &mut self,
        envelope: &Envelope,
        message: &[u8],
        plan: &RouterPlan,
        carp: &CarpPlan,
        sources: [Option<IpAddr>; 2],
    ) -> Result<Heard, Reject> {
        let advertisement = open(envelope, message)?;
        if sources.contains(&Some(envelope.source)) {
            return Err(Reject::Looped);
        }
        if envelope.destination.is_multicast() == plan.is_unicast() {
            return Err(Reject::Mode);
        }
        if plan.is_unicast() && !plan.unicast_peers.contains(&envelope.source) {
            return Err(Reject::Source);
        }
        let Advertisement {
            bid,
            counter,
            digest,
            vhid: _,
        } = advertisement;
        let verify = |covered: &Covered| covered.verify(&carp.passphrase, counter, &digest);
        if !self.covered.iter().any(verify) {
            return Err(Reject::Digest);
        }
        // Ours goes on from there, and none that was heard is sent again.
        self.counter = self.counter.max(counter);
        let own_base = plan.interval;
        Ok(Heard {
            source: envelope.source,
            priority: if bid.is_bow_out() {
                Priority::RELEASE
            } else {
                priority(bid.advskew)
            },
            interval: Interval::from_secs(bid.advbase)
                .filter(|_| !bid.is_bow_out())
                .unwrap_or(own_base),
            form: ChecksumForm::Rfc9568,
            other_interval: false,
            other_addresses: false,
            bid: Some(bid),
        })
    }
}

/// Where advertisements of `plan` go, if they go to groups: one for each family of its addresses.
pub(crate) fn groups(plan: &RouterPlan) -> Vec<IpAddr> {
    plan.families().map(Family::group).collect()
}
