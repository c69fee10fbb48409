//! How often a Backup takes over from an Active that lives, when frames are lost at random; and after how many losses.
//!
//! RFC 9568 §6.1 lets a Backup wait three intervals and its skew time, so three advertisements in a row must be lost. Two
//! routers, nothing else goes wrong, and every takeover is held against what the wire really lost.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::thread;

use vrrp_proto::Instant;

use crate::host::Host;
use crate::judge::{Verdict, Violation};
use crate::lan::Lan;
use crate::plan::{centis, priority, secs};
use crate::random::{Chance, Random};
use crate::wire::Weather;

/// The experiment: everything but the seeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Loss on each direction, frame by frame.
    pub loss: Chance,
    /// Centiseconds between two advertisements.
    pub interval: u16,
    /// Virtual time of each seed.
    pub time: Duration,
    /// The clocks of both hosts are wrong by up to so many millionths.
    pub drift: u32,
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Seeds.
    pub seeds: u64,
    /// Advertisements of the Active that were sent.
    pub sent: u64,
    /// Takeovers by the number of advertisements lost in a row before each.
    pub takeovers: BTreeMap<u32, u64>,
}

impl Count {
    fn add(&mut self, other: &Self) {
        self.seeds += other.seeds;
        self.sent += other.sent;
        for (missed, times) in &other.takeovers {
            *self.takeovers.entry(*missed).or_default() += times;
        }
    }

    /// All takeovers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.takeovers.values().sum()
    }

    /// Takeovers without three losses in a row.
    #[must_use]
    pub fn unfounded(&self) -> u64 {
        self.takeovers.range(..3).map(|(_, times)| times).sum()
    }
}

impl Setting {
    /// One hour at 1 % and 100 ms, with clocks that are wrong by up to 1 %.
    pub const USUAL: Self = Self {
        loss: Chance::percent(1),
        interval: 10,
        time: Duration::from_secs(3600),
        drift: 10_000,
    };

    /// Runs one seed.
    ///
    /// # Errors
    /// A law was broken, or the Backup took over after less than three losses in a row.
    pub fn run(self, seed: u64) -> Result<Count, Verdict> {
        let mut random = Random::stream(seed, 0xfa15e);
        let mut host = |value| {
            let wrong = random.below(2 * u64::from(self.drift) + 1);
            let rate = 1_000_000 - self.drift + u32::try_from(wrong).unwrap_or(0);
            priority(value)
                .interval(centis(self.interval))
                .lateness(Duration::from_micros(200))
                .rate(rate)
        };
        let weather = Weather {
            loss: self.loss,
            delay: Duration::from_micros(50),
            jitter: Duration::from_micros(100),
            ..Weather::CALM
        };
        let mut lan = Lan::new([host(200), host(100)], weather, seed);
        // Until then, nobody is Active.
        let begin = Instant::ZERO + secs(5);
        lan.try_run_until(begin)?;
        let before = (lan.sent_by(Host(0)), lan.takeovers().len());
        lan.try_run_until(begin + self.time)?;
        let mut count = Count {
            seeds: 1,
            sent: lan.sent_by(Host(0)) - before.0,
            takeovers: BTreeMap::new(),
        };
        for takeover in &lan.takeovers()[before.1..] {
            let missed = takeover.missed[0];
            if takeover.host == Host(0) {
                continue;
            }
            if missed < 3 {
                return Err(Verdict {
                    at: takeover.at,
                    host: Some(takeover.host),
                    violation: Violation::FalseTakeover(missed),
                });
            }
            *count.takeovers.entry(missed).or_default() += 1;
        }
        Ok(count)
    }

    /// Runs seeds 0 to `seeds` - 1 on all processors.
    ///
    /// # Errors
    /// The first law that was broken, with its seed.
    pub fn run_all(self, seeds: u64) -> Result<Count, String> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let next = AtomicU64::new(0);
        let work = || {
            let mut sum = Count::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return Ok(sum);
                }
                let count = self.run(seed).map_err(|verdict| {
                    next.store(seeds, Ordering::Relaxed);
                    format!("seed {seed}: {verdict}")
                })?;
                sum.add(&count);
            }
        };
        let counts: Vec<Result<Count, String>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, Result<Count, String>>| {
                let panicked = |_| Err(String::from("a world panicked"));
                thread.join().unwrap_or_else(panicked)
            };
            threads.into_iter().map(join).collect()
        });
        let mut sum = Count::default();
        for count in counts {
            sum.add(&count?);
        }
        Ok(sum)
    }

    /// How many takeovers `sent` advertisements make: a run of three losses begins with one that arrived.
    #[must_use]
    pub fn expected(self, sent: u64) -> f64 {
        let loss = f64::from(self.loss.millionths()) / 1e6;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let sent = sent as f64;
        sent * (1.0 - loss) * loss.powi(3)
    }
}

/// A count with the experiment it belongs to, for people.
#[derive(Clone, Debug)]
pub struct Report(pub Setting, pub Count);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(setting, count) = self;
        writeln!(
            f,
            "{} seeds of {:?} each, interval {} ms, loss {}, clocks wrong by up to {} millionths",
            count.seeds,
            setting.time,
            u32::from(setting.interval) * 10,
            setting.loss,
            setting.drift
        )?;
        writeln!(f, "{:>12}  advertisements of the Active", count.sent)?;
        writeln!(
            f,
            "{:>12.1}  takeovers expected: (1 - p) p^3 for each of them",
            setting.expected(count.sent)
        )?;
        writeln!(f, "{:>12}  takeovers from the living Active", count.total())?;
        for (missed, times) in &count.takeovers {
            writeln!(f, "{times:>12}      after {missed} lost in a row")?;
        }
        writeln!(
            f,
            "{:>12}  of them after less than three",
            count.unfounded()
        )
    }
}
