//! Routers that give up because somebody else was heard: what is on its way to them is served still, without a word.
//!
//! A switch learns where the virtual MAC address is from whoever speaks last with it. An answer that was on its way when the
//! successor spoke for the first time, to a question about the address for example, makes the switch send here what comes next,
//! until the successor speaks again (`held`). So the gate lets frames in for [`OVERLAP`] more, and lets none of them leave with
//! the virtual MAC address.

use std::collections::VecDeque;
use std::time::Duration;

use vrrp_proto::{Desired, Instant, RouterId};

/// Longer than the successor is silent between its first two advertisements, and less than anybody notices.
pub(crate) const OVERLAP: Duration = Duration::from_millis(2);

/// Who serves still, and what it wants of the kernel afterwards; the first to go first.
#[derive(Debug, Default)]
pub(crate) struct Partings(VecDeque<(Instant, RouterId, Option<Desired>)>);

impl Partings {
    /// `router` was replaced now.
    pub(crate) fn put(&mut self, now: Instant, router: RouterId, desired: Option<Desired>) {
        self.0.push_back((now + OVERLAP, router, desired));
    }

    /// `router` wants something else.
    pub(crate) fn forget(&mut self, router: RouterId) {
        self.0.retain(|(_, waiting, _)| *waiting != router);
    }

    /// When the first of them goes.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.front().map(|(at, ..)| *at)
    }

    /// The next that has gone by now.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<(RouterId, Option<Desired>)> {
        self.due().filter(|at| *at <= now)?;
        self.next()
    }

    /// Nobody serves any longer: the next of all.
    pub(crate) fn next(&mut self) -> Option<(RouterId, Option<Desired>)> {
        let (_, router, desired) = self.0.pop_front()?;
        Some((router, desired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_goes_when_its_time_is_over_unless_it_wants_something_else() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut partings = Partings::default();
        assert_eq!(partings.due(), None);
        for router in 1..=3 {
            partings.put(start + OVERLAP * (router - 1), RouterId(router), None);
        }
        partings.forget(RouterId(2));
        let first = start + OVERLAP;
        assert_eq!(partings.due(), Some(first));
        assert!(partings.overdue(start).is_none(), "nobody goes early");
        assert_eq!(partings.due(), Some(first), "and nobody is lost");
        assert_eq!(partings.overdue(first).unwrap().0, RouterId(1));
        assert!(partings.overdue(first).is_none());
        assert_eq!(partings.next().unwrap().0, RouterId(3));
        assert!(partings.next().is_none());
    }
}
