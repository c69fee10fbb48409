//! First advertisements that can wait a moment.
//!
//! Who takes over from somebody who still serves moves all traffic to himself with his first advertisement: switches learn
//! from its source. It leaves once the kernel holds the addresses, so that none of that traffic is lost; or after
//! [`PATIENCE`], whatever the kernel does.

use std::collections::VecDeque;
use std::time::Duration;

use vrrp_proto::{Instant, RouterId, Transmit};

/// As long as it usually takes the kernel, several times over, and less than a tenth of the shortest Skew_Time of a
/// Backup of priority 100: so much longer than that an Active that gives up goes on.
pub(crate) const PATIENCE: Duration = Duration::from_micros(500);

/// What is held, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Held {
    waiting: VecDeque<(Instant, Transmit)>,
}

impl Held {
    pub(crate) fn put(&mut self, now: Instant, transmit: Transmit) {
        self.waiting.push_back((now + PATIENCE, transmit));
    }

    /// When the first of them has waited long enough.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.front().map(|(until, _)| *until)
    }

    /// What `router` has here.
    pub(crate) fn take(&mut self, router: RouterId) -> Vec<Transmit> {
        let mut taken = Vec::new();
        self.waiting.retain(|(_, transmit)| {
            let mine = transmit.router == router;
            if mine {
                taken.push(transmit.clone());
            }
            !mine
        });
        taken
    }

    /// The next that has waited long enough.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Transmit> {
        let (until, _) = self.waiting.front()?;
        (*until <= now)
            .then(|| self.waiting.pop_front())?
            .map(|(_, transmit)| transmit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_proto::LinkId;

    fn transmit(router: u32, message: u8) -> Transmit {
        Transmit {
            router: RouterId(router),
            link: LinkId(0),
            mac: None,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            message: [message].into(),
            unhurried: true,
        }
    }

    #[test]
    fn each_leaves_with_its_router_or_when_its_time_is_over() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut held = Held::default();
        for (router, message) in [(1, 1), (2, 2), (1, 3), (3, 4)] {
            held.put(start, transmit(router, message));
        }
        let messages = |taken: Vec<Transmit>| -> Vec<u8> {
            taken.iter().map(|transmit| transmit.message[0]).collect()
        };
        assert_eq!(messages(held.take(RouterId(1))), [1, 3]);
        assert_eq!(messages(held.take(RouterId(1))), [0; 0]);
        assert_eq!(held.due(), Some(start + PATIENCE));
        assert!(held.overdue(start).is_none());
        let rest = std::iter::from_fn(|| held.overdue(start + PATIENCE)).collect();
        assert_eq!(messages(rest), [2, 4]);
        assert_eq!(held.due(), None);
    }
}
