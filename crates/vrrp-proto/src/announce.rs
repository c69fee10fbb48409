//! When an Active tells its neighbours where the addresses are (RFC 9568 §6.4.1, §6.4.2).
//!
//! Once as soon as the kernel holds the addresses, never before (RFC 9568 §8.1.2: not until address and virtual MAC
//! are configured); four more times within six seconds, because one frame is easily lost while switches relearn; then
//! now and then for as long as it is Active, because caches are also spoilt by others. Rounds are at least a second
//! apart (RFC 4861 §7.2.6), except that a conflict or a repair is worth a round at once.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;
use crate::types::RouterId;

/// Pauses between the rounds of a burst: three rounds a second apart, and two more after another three seconds.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(1),
];

/// A new burst begins at most this often, whatever a hostile neighbour sends.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The schedule of one router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Announcer {
    schedule: Option<Schedule>,
    begun: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
struct Schedule {
    due: Instant,
    round: usize,
}

impl Announcer {
    /// A burst whose first round is due now.
    pub fn begin(&mut self, now: Instant) {
        self.schedule = Some(Schedule { due: now, round: 0 });
        self.begun = Some(now);
    }

    /// Like [`Self::begin`], if it was begun and not stopped since, and no more often than once a second.
    pub fn begin_again(&mut self, now: Instant) {
        if self.begun.is_some_and(|begun| begun + RESTART_PAUSE <= now) {
            self.begin(now);
        }
    }

    /// Nothing more to announce.
    pub const fn stop(&mut self) {
        self.schedule = None;
        self.begun = None;
    }

    /// When the next round is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.schedule.map(|schedule| schedule.due)
    }

    /// Whether a round is due now; if so, the next one is scheduled.
    pub fn take_due(&mut self, now: Instant, router: RouterId, refresh: Option<Duration>) -> bool {
        let Some(schedule) = self.schedule.filter(|schedule| schedule.due <= now) else {
            return false;
        };
        let pause = PAUSES
            .get(schedule.round)
            .copied()
            .or_else(|| refresh.map(|refresh| jittered(refresh.max(RESTART_PAUSE), now, router)));
        self.schedule = pause.map(|pause| Schedule {
            due: now + pause,
            round: schedule.round + 1,
        });
        true
    }
}

/// Between 80 and 120 % of `mean`, so that many routers do not refresh in step. Not random: the engine is a function.
fn jittered(mean: Duration, now: Instant, router: RouterId) -> Duration {
    let mut mix = now.as_nanos() ^ (u64::from(router.0) << 40);
    mix = (mix ^ (mix >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mix = (mix ^ (mix >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mean * u32::try_from(800 + (mix >> 33) % 401).unwrap_or(1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn rounds(
        mut announcer: Announcer,
        refresh: Option<Duration>,
        until: Duration,
    ) -> Vec<Duration> {
        let mut seen = Vec::new();
        let end = Instant::ZERO + until;
        while let Some(due) = announcer.deadline().filter(|due| *due <= end) {
            assert!(announcer.take_due(due, RouterId(7), refresh));
            seen.push(due.saturating_since(Instant::ZERO));
        }
        seen
    }

    fn begun() -> Announcer {
        let mut announcer = Announcer::default();
        announcer.begin(Instant::ZERO);
        announcer
    }

    #[test]
    fn a_burst_and_a_second_one() {
        let seconds: Vec<u64> = rounds(begun(), None, Duration::from_secs(3600))
            .iter()
            .map(Duration::as_secs)
            .collect();
        assert_eq!(seconds, [0, 1, 2, 5, 6]);
    }

    #[test]
    fn the_refresh_goes_on_and_is_jittered() {
        let mean = Duration::from_secs(60);
        let seen = rounds(begun(), Some(mean), Duration::from_secs(3600));
        let pauses: Vec<Duration> = seen[4..].windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses.len() > 50);
        let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
        assert!(*least >= mean * 8 / 10, "{pauses:?}");
        assert!(*most <= mean * 12 / 10, "{pauses:?}");
        // Spread over the whole range: not all of them together, and not all on one side.
        assert!(*least < mean * 85 / 100, "{pauses:?}");
        assert!(*most > mean * 115 / 100, "{pauses:?}");
    }

    /// Routers that took over together do not refresh together, and each varies.
    #[test]
    fn the_jitter_is_a_function_of_time_and_router() {
        let mean = Duration::from_secs(1000);
        let secs =
            |nanos, router| jittered(mean, Instant::from_nanos(nanos), RouterId(router)).as_secs();
        let seen = [
            secs(0, 1),
            secs(0, 2),
            secs(0, 3),
            secs(1_000_000_000, 1),
            secs(1_000_000_000_000, 1),
            secs(1_234_567_890_123_456, 1000),
        ];
        assert_eq!(seen, [873, 947, 1056, 968, 1074, 849]);
    }

    #[test]
    fn a_flood_of_conflicts_is_one_burst_a_second() {
        let mut announcer = begun();
        let mut announced = 0;
        for millis in 0..10_000 {
            let now = Instant::ZERO + Duration::from_millis(millis);
            announcer.begin_again(now);
            announced += u32::from(announcer.take_due(now, RouterId(1), None));
        }
        assert!(announced <= 11, "{announced}");
    }

    #[test]
    fn a_stopped_announcer_does_not_start_again_by_a_conflict() {
        let mut announcer = begun();
        announcer.stop();
        announcer.begin_again(Instant::ZERO + Duration::from_secs(10));
        assert_eq!(announcer.deadline(), None);
    }
}
