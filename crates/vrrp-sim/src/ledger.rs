//! Who held the addresses, and for how long nobody or too many did.

use core::time::Duration;
use std::collections::BTreeSet;

use vrrp_proto::Instant;

use crate::host::Host;

/// The account of one virtual router.
#[derive(Clone, Debug)]
pub struct Ledger {
    holders: BTreeSet<Host>,
    since: Instant,
    /// Time with more than one holder.
    pub dual: Duration,
    /// Longest stretch with more than one holder.
    pub dual_longest: Duration,
    /// Stretches with more than one holder.
    pub duals: u64,
    /// Time without any.
    pub vacant: Duration,
    dual_since: Option<Instant>,
    /// Every change: when, who, and whether it holds from then on.
    pub history: Vec<(Instant, Host, bool)>,
}

impl Ledger {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            holders: BTreeSet::new(),
            since: now,
            dual: Duration::ZERO,
            dual_longest: Duration::ZERO,
            duals: 0,
            vacant: Duration::ZERO,
            dual_since: None,
            history: Vec::new(),
        }
    }

    /// Who holds the addresses at present.
    #[must_use]
    pub const fn holders(&self) -> &BTreeSet<Host> {
        &self.holders
    }

    /// When somebody other than `except` first held the addresses at or after `from`.
    #[must_use]
    pub fn first_holder_after(&self, from: Instant, except: Host) -> Option<Instant> {
        let mut holders = BTreeSet::new();
        for (at, host, holds) in self.history.iter().filter(|(_, host, _)| *host != except) {
            if *at > from {
                if !holders.is_empty() {
                    return Some(from);
                }
                if *holds {
                    return Some(*at);
                }
            } else if *holds {
                holders.insert(*host);
            } else {
                holders.remove(host);
            }
        }
        (!holders.is_empty()).then_some(from)
    }

    pub(crate) fn note(&mut self, now: Instant, host: Host, holds: bool) {
        if self.holders.contains(&host) == holds {
            return;
        }
        self.account(now);
        let was_dual = self.holders.len() > 1;
        if holds {
            self.holders.insert(host);
        } else {
            self.holders.remove(&host);
        }
        self.history.push((now, host, holds));
        match (was_dual, self.holders.len() > 1) {
            (false, true) => {
                self.duals += 1;
                self.dual_since = Some(now);
            }
            (true, false) => self.dual_since = None,
            (false, false) | (true, true) => {}
        }
    }

    /// Brings the sums up to `now`.
    pub(crate) fn account(&mut self, now: Instant) {
        let past = now.saturating_since(self.since);
        self.since = now;
        match self.holders.len() {
            0 => self.vacant += past,
            1 => {}
            _ => self.dual += past,
        }
        if let Some(since) = self.dual_since {
            self.dual_longest = self.dual_longest.max(now.saturating_since(since));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::secs;

    #[test]
    fn time_is_accounted_for() {
        let at = |seconds| Instant::ZERO + secs(seconds);
        let mut ledger = Ledger::new(at(0));
        ledger.note(at(3), Host(0), true);
        ledger.note(at(10), Host(1), true);
        ledger.note(at(12), Host(0), false);
        ledger.note(at(20), Host(1), false);
        ledger.account(at(21));
        assert_eq!((ledger.vacant, ledger.dual), (secs(4), secs(2)));
        assert_eq!((ledger.duals, ledger.dual_longest), (1, secs(2)));
        assert_eq!(ledger.first_holder_after(at(5), Host(0)), Some(at(10)));
        assert_eq!(ledger.first_holder_after(at(11), Host(0)), Some(at(11)));
        assert_eq!(ledger.first_holder_after(at(20), Host(0)), None);
    }
}
