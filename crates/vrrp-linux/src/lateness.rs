//! How late the engine's timers run: what a machine that is too busy does to a protocol of timers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the classes, in microseconds; what is later than the last is in a class of its own.
pub const BOUNDS: [u64; 12] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000,
];

/// Counts how late timers ran. Written by the engine's thread, read by any.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    classes: [AtomicU64; BOUNDS.len() + 1],
    /// Microseconds.
    worst: AtomicU64,
    beyond: AtomicU64,
}

/// How late timers ran since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LatenessReport {
    /// How many ran no later than the bound of the same place in [`BOUNDS`], and later than the one before; the last
    /// class has no bound.
    pub classes: [u64; BOUNDS.len() + 1],
    /// The worst so far, in whole microseconds.
    pub worst: Duration,
    /// How many times the engine woke up later than the advertisement interval of the router that was due first.
    pub beyond_interval: u64,
}

impl Lateness {
    /// A timer ran this late; `beyond` if that is more than the interval of its router.
    pub(crate) fn note(&self, late: Duration, beyond: bool) {
        let micros = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.partition_point(|bound| *bound < micros);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.worst.fetch_max(micros, Ordering::Relaxed);
        self.beyond.fetch_add(beyond.into(), Ordering::Relaxed);
    }

    /// Goes on from what another process counted.
    pub(crate) fn recount(&self, before: &LatenessReport) {
        for (class, count) in self.classes.iter().zip(before.classes) {
            class.fetch_add(count, Ordering::Relaxed);
        }
        let worst = u64::try_from(before.worst.as_micros()).unwrap_or(u64::MAX);
        self.worst.fetch_max(worst, Ordering::Relaxed);
        self.beyond
            .fetch_add(before.beyond_interval, Ordering::Relaxed);
    }

    pub(crate) fn report(&self) -> LatenessReport {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LatenessReport {
            classes: std::array::from_fn(|class| of(&self.classes[class])),
            worst: Duration::from_micros(of(&self.worst)),
            beyond_interval: of(&self.beyond),
        }
    }
}

impl LatenessReport {
    /// How many numbers it is.
    pub(crate) const COUNT: usize = BOUNDS.len() + 3;

    /// All of it, in a fixed order.
    pub(crate) fn numbers(&self) -> [u64; Self::COUNT] {
        let worst = u64::try_from(self.worst.as_micros()).unwrap_or(u64::MAX);
        let mut numbers = [0; Self::COUNT];
        numbers[..=BOUNDS.len()].copy_from_slice(&self.classes);
        numbers[BOUNDS.len() + 1..].copy_from_slice(&[worst, self.beyond_interval]);
        numbers
    }

    /// From [`Self::numbers`].
    pub(crate) fn of_numbers(numbers: [u64; Self::COUNT]) -> Self {
        Self {
            classes: std::array::from_fn(|class| numbers[class]),
            worst: Duration::from_micros(numbers[BOUNDS.len() + 1]),
            beyond_interval: numbers[BOUNDS.len() + 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_class() {
        let lateness = Lateness::default();
        for micros in [0, 50, 51, 100, 1_000_000, 1_000_001] {
            lateness.note(Duration::from_micros(micros), micros > 1_000_000);
        }
        let report = lateness.report();
        assert_eq!(report.classes, [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(report.worst, Duration::from_micros(1_000_001));
        assert_eq!(report.beyond_interval, 1);
        assert_eq!(LatenessReport::of_numbers(report.numbers()), report);
        lateness.recount(&report);
        let doubled = lateness.report();
        assert_eq!(doubled.classes, report.classes.map(|count| count * 2));
        assert_eq!((doubled.worst, doubled.beyond_interval), (report.worst, 2));
    }
}
