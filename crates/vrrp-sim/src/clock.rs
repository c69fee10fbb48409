//! The clock of one host, which may run too fast or too slow, and jump.

use core::time::Duration;

use vrrp_proto::Instant;

/// Millionths of a second for each second of the world.
pub type Rate = u32;

/// A clock as good as any.
pub const TRUE: Rate = 1_000_000;

/// From the world's time to a host's and back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    rate: Rate,
    /// The world's time, and the host's at that moment.
    known: (Instant, Instant),
}

impl Clock {
    /// A clock that begins with the world.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            known: (Instant::ZERO, Instant::ZERO),
        }
    }

    /// Whether a second is a second.
    #[must_use]
    pub const fn is_true(&self) -> bool {
        self.rate == TRUE
    }

    /// What it shows.
    #[must_use]
    pub fn shows(&self, now: Instant) -> Instant {
        let (world, host) = self.known;
        let passed = now.saturating_since(world);
        if self.is_true() {
            return host + passed;
        }
        host + scaled(passed, self.rate, TRUE)
    }

    /// When it shows this; never before.
    #[must_use]
    pub fn when(&self, shown: Instant) -> Instant {
        let (world, host) = self.known;
        let passed = shown.saturating_since(host);
        if self.is_true() {
            return world + passed;
        }
        let mut at = world + scaled(passed, TRUE, self.rate);
        while self.shows(at) < shown {
            at = at + Duration::from_nanos(1);
        }
        at
    }

    /// It leaps forward.
    pub fn jump(&mut self, now: Instant, leap: Duration) {
        self.known = (now, self.shows(now) + leap);
    }
}

fn scaled(time: Duration, times: u32, by: u32) -> Duration {
    let nanos = time.as_nanos() * u128::from(times) / u128::from(by.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{millis, secs};

    #[test]
    fn a_slow_clock_wakes_late_and_never_early() {
        for rate in [900_000, 990_001, TRUE, 1_000_003, 1_100_000] {
            let mut clock = Clock::new(rate);
            clock.jump(Instant::ZERO + secs(3), millis(700));
            for nanos in [5_000_000_000, 5_000_000_001, 77_123_456_789] {
                let shown = Instant::from_nanos(nanos);
                let at = clock.when(shown);
                let before = Instant::from_nanos(at.as_nanos() - 1);
                assert!(clock.shows(at) >= shown && clock.shows(before) < shown);
            }
        }
        let slow = Clock::new(900_000);
        assert_eq!(
            slow.shows(Instant::ZERO + secs(10)),
            Instant::ZERO + secs(9)
        );
    }

    #[test]
    fn a_jump_takes_no_time() {
        let mut clock = Clock::new(TRUE);
        clock.jump(Instant::ZERO + secs(1), secs(5));
        assert_eq!(
            clock.shows(Instant::ZERO + secs(2)),
            Instant::ZERO + secs(7)
        );
    }
}
