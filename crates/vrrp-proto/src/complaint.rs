//! What is said of things that go on: the first time, and then ever less often. The counters have the rest.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::gather::Gather;
use crate::receive::{Oddity, Reject};
use crate::time::Instant;

/// A refusal that goes on is said again after this time, then after twice that, up to an hour.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
const COMPLAINT_PAUSE_MAX: Duration = Duration::from_secs(3600);

impl Reject {
    /// Foreign virtual routers and CARP groups on the same LAN are ordinary; they are counted and nothing more. Those with a number
    /// of ours are not.
    pub(crate) const fn is_worth_saying(self) -> bool {
        !matches!(self, Self::Vrid | Self::Carp)
    }
}

/// What was complained about, and how often since it was last said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
// A list of pairs: not every format has maps with keys like these.
#[serde(from = "Vec<(Complaint, Said)>", into = "Vec<(Complaint, Said)>")]
pub(crate) struct Complaints(BTreeMap<Complaint, Said>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Complaint {
    Reject(Reject),
    Odd(Oddity),
    Conflict,
    Claim,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Said {
    next: Instant,
    pause: Duration,
    unsaid: u64,
}

impl From<Vec<(Complaint, Said)>> for Complaints {
    fn from(pairs: Vec<(Complaint, Said)>) -> Self {
        Self(pairs.into_iter().gather())
    }
}

impl From<Complaints> for Vec<(Complaint, Said)> {
    fn from(complaints: Complaints) -> Self {
        complaints.0.into_iter().collect()
    }
}

impl Complaints {
    /// Counts one; `Some` with the number since the last time when it should be said now.
    pub(crate) fn add(&mut self, now: Instant, complaint: Complaint) -> Option<u64> {
        let said = self.0.entry(complaint).or_insert(Said {
            next: now,
            pause: COMPLAINT_PAUSE,
            unsaid: 0,
        });
        said.unsaid += 1;
        if now < said.next {
            return None;
        }
        if now.saturating_since(said.next) > COMPLAINT_PAUSE_MAX {
            said.pause = COMPLAINT_PAUSE;
        }
        said.next = now + said.pause;
        said.pause = (said.pause * 2).min(COMPLAINT_PAUSE_MAX);
        Some(core::mem::take(&mut said.unsaid))
    }
}

/// Ten a minute: enough for every real change, and two routers that are heard in turn fill no log.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Allowance {
    since: Instant,
    used: u32,
}

impl Allowance {
    pub(crate) fn allow(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.since) >= COMPLAINT_PAUSE {
            *self = Self {
                since: now,
                used: 0,
            };
        }
        self.used += 1;
        self.used <= 10
    }
}
