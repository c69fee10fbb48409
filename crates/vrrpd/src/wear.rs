//! How much may be written to a disk that wears out.
//!
//! A flash memory is written in blocks, and a file system writes more than it is told. So each write is charged in whole
//! blocks and two more, and what all writes of a day are charged is bounded: 100 MB, and once a burst of 4 MiB.

use std::time::{Duration, Instant};

/// What a write is charged at least, in bytes; a block of most file systems.
const BLOCK: u64 = 4096;

/// Blocks that a write costs beside its own: the inode, and the journal.
const BESIDE: u64 = 2;

/// Bytes a second: 100 MB a day.
const RATE: u64 = 100_000_000 / 86_400;

/// Bytes that may be written at once after a quiet time.
const BURST: u64 = 4 << 20;

/// What is left.
#[derive(Debug)]
pub(crate) struct Wear {
    left: u64,
    at: Instant,
}

impl Wear {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            left: BURST,
            at: now,
        }
    }

    /// Whether `bytes` may be written now; they are charged then. More than a burst never may.
    pub(crate) fn allows(&mut self, bytes: usize, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.at).as_secs();
        self.at += Duration::from_secs(seconds);
        self.left = self
            .left
            .saturating_add(seconds.saturating_mul(RATE))
            .min(BURST);
        let blocks = u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BLOCK);
        let price = blocks.saturating_add(BESIDE).saturating_mul(BLOCK);
        let allowed = price <= self.left;
        if allowed {
            self.left -= price;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_its_bound() {
        const DAY: u64 = 86_400;
        for (bytes, every) in [(300, 1), (60_000, 5), (1 << 20, 10), (5000, 60)] {
            let start = Instant::now();
            let mut wear = Wear::new(start);
            let mut written = 0;
            for second in (0..DAY).step_by(every) {
                let now = start + Duration::from_secs(second);
                if wear.allows(bytes, now) {
                    written += (bytes as u64).div_ceil(BLOCK) * BLOCK + BESIDE * BLOCK;
                }
            }
            assert!(written <= 100_000_000 + BURST, "{bytes} bytes: {written}");
            assert!(written > 15_000_000, "{bytes} bytes: {written}");
        }
    }

    #[test]
    fn what_is_written_now_and_then_is_never_refused() {
        let start = Instant::now();
        let mut wear = Wear::new(start);
        let mut now = start;
        for _ in 0..10_000 {
            assert!(wear.allows(300, now));
            now += Duration::from_secs(11);
        }
    }
}
