//! First advertisements in place of an Active that still serves: they can wait a moment, and are sent three times.
//!
//! Such an advertisement moves all traffic here, since switches learn from its source. It leaves once the kernel holds the
//! addresses, so that none of that traffic is lost; or when its patience ends, whatever the kernel does. An answer of the old
//! Active that was on its way takes the traffic back in the same manner. It serves a little longer because of that
//! (`partings`), and the advertisement is said again after [`REPEATS`], not only an interval later.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use vrrp_proto::{Generation, Instant, RouterId, Transmit};

/// By the first one the old Active has heard of it, and still serves; at the second one it is gone, with whatever it answered last.
pub(crate) const REPEATS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(3)];

/// What is held, each with the time when it is to be sent; the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Held {
    waiting: Queue,
    /// What the kernel is to say of a router that waits.
    expected: BTreeMap<RouterId, Generation>,
    /// After each of [`REPEATS`].
    again: [Queue; REPEATS.len()],
}

type Queue = VecDeque<(Instant, Transmit)>;

impl Held {
    /// Keeps one that has not been sent.
    pub(crate) fn put(&mut self, now: Instant, transmit: Transmit) {
        let at = now + transmit.patience;
        // Behind what is due as early.
        let place = self.waiting.partition_point(|(due, _)| *due <= at);
        self.waiting.insert(place, (at, transmit));
    }

    /// What `router` wants of the kernel, if it waits for that.
    pub(crate) fn expect(&mut self, router: RouterId, generation: Generation) {
        // It is one of the last.
        let mut waiting = self.waiting.iter().rev();
        if waiting.any(|(_, transmit)| transmit.router == router) {
            self.expected.insert(router, generation);
        }
    }

    /// Whether `router` waited for what the kernel says of this. It may speak still of what was wanted before.
    pub(crate) fn is_answered(&mut self, router: RouterId, generation: Generation) -> bool {
        let expected = self.expected.get(&router) == Some(&generation);
        if expected {
            self.expected.remove(&router);
        }
        expected
    }

    /// Keeps one that has just been sent, if it is to be repeated.
    pub(crate) fn sent(&mut self, now: Instant, transmit: Transmit) {
        if !transmit.patience.is_zero() {
            let again = Transmit {
                patience: Duration::ZERO,
                ..transmit
            };
            for (queue, after) in self.again.iter_mut().zip(REPEATS) {
                queue.push_back((now + after, again.clone()));
            }
        }
    }

    /// When the first of them is to be sent.
    pub(crate) fn due(&self) -> Option<Instant> {
        let queues = self.again.iter().chain([&self.waiting]);
        let first = queues.filter_map(|queue| queue.front());
        first.map(|(at, _)| *at).min()
    }

    /// One of `router` that has not been sent.
    pub(crate) fn take(&mut self, router: RouterId) -> Option<Transmit> {
        let mut waiting = self.waiting.iter();
        let place = waiting.position(|(_, transmit)| transmit.router == router)?;
        self.waiting.remove(place).map(|(_, transmit)| transmit)
    }

    /// The next whose time has come.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Transmit> {
        [&mut self.waiting]
            .into_iter()
            .chain(&mut self.again)
            .find_map(|queue| {
                let (at, _) = queue.front()?;
                (*at <= now).then(|| queue.pop_front())?
            })
            .map(|(_, transmit)| transmit)
    }

    /// Forgets what `router` wanted to say.
    pub(crate) fn forget(&mut self, router: RouterId) {
        let others = |(_, transmit): &(Instant, Transmit)| transmit.router != router;
        self.waiting.retain(others);
        self.expected.remove(&router);
        self.again.iter_mut().for_each(|queue| queue.retain(others));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_proto::LinkId;

    const PATIENCE: Duration = Duration::from_micros(500);

    fn transmit(router: u32, message: u8) -> Transmit {
        Transmit {
            router: RouterId(router),
            link: LinkId(0),
            mac: None,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            message: [message].into(),
            patience: PATIENCE,
            dormant: false,
        }
    }

    #[test]
    fn who_has_less_patience_does_not_wait_behind_who_has_more() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut held = Held::default();
        let patient = Transmit {
            patience: 4 * PATIENCE,
            ..transmit(1, 1)
        };
        held.put(start, patient);
        held.put(start, transmit(2, 2));
        assert_eq!(held.due(), Some(start + PATIENCE));
        let first = std::iter::from_fn(|| held.overdue(start + PATIENCE));
        assert_eq!(messages(first), [2]);
        assert_eq!(held.due(), Some(start + 4 * PATIENCE));
    }

    fn messages(taken: impl IntoIterator<Item = Transmit>) -> Vec<u8> {
        let first = |transmit: Transmit| transmit.message[0];
        taken.into_iter().map(first).collect()
    }

    #[test]
    fn each_leaves_with_its_router_or_when_its_time_is_over() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut held = Held::default();
        for (router, message) in [(1, 1), (2, 2), (1, 3), (3, 4), (4, 5)] {
            held.put(start, transmit(router, message));
        }
        assert_eq!(messages(held.take(RouterId(1))), [1]);
        assert_eq!(messages(held.take(RouterId(1))), [3]);
        assert_eq!(messages(held.take(RouterId(1))), [0; 0]);
        held.forget(RouterId(4));
        assert_eq!(held.due(), Some(start + PATIENCE));
        assert!(held.overdue(start).is_none());
        let rest = std::iter::from_fn(|| held.overdue(start + PATIENCE));
        assert_eq!(messages(rest), [2, 4]);
        assert_eq!(held.due(), None);
    }

    /// A router that had just started took over before the kernel had answered for its Backup, and took that for the answer.
    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut held = Held::default();
        let (router, before, now) = (RouterId(1), Generation(1), Generation(2));
        held.expect(router, before);
        assert!(!held.is_answered(router, before), "it does not wait");
        held.put(start, transmit(1, 1));
        held.expect(router, now);
        assert!(!held.is_answered(router, before));
        assert!(held.is_answered(router, now));
        assert!(!held.is_answered(router, now), "once");
        held.expect(router, now);
        held.forget(router);
        assert!(!held.is_answered(router, now));
    }

    #[test]
    fn what_was_sent_is_said_twice_more_unless_its_router_gave_up() {
        let start = Instant::ZERO + Duration::from_secs(1);
        let mut held = Held::default();
        held.sent(start, transmit(1, 1));
        held.sent(start, transmit(2, 2));
        held.forget(RouterId(2));
        for after in REPEATS {
            let at = start + after;
            assert_eq!(held.due(), Some(at));
            let again = held.overdue(at).unwrap();
            assert_eq!(again.message[0], 1);
            held.sent(at, again);
            assert!(held.overdue(at).is_none());
        }
        assert_eq!(held.due(), None, "not for ever");
    }
}
