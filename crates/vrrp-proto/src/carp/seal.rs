//! What our own nodes say in the counter, so that nobody can change or repeat what they say.
//!
//! ```text
//!  63                              24 23     16 15      8 7       0
//! +----------------------------------+---------+---------+---------+
//! |  time, in 256ths of a second     | advbase | advskew | demotion|
//! |  since 1970: 40 bits, until 2106 |         |         |         |
//! +----------------------------------+---------+---------+---------+
//! ```
//!
//! To everybody else a counter is any number, and covered by the digest. So what stands in it is covered, too: the bid, whole,
//! where a short tag could be found by trying, and a time. Whoever changes the bid of a captured advertisement has to change
//! the counter, and then needs the passphrase for another digest.
//!
//! The time is a logical clock: that of the wall, but always later than everything that was said or heard before. What is not
//! later was said before. How far it may be from the clock of the wall is limited, so that a router which has heard nothing
//! yet believes no old recording, and nobody is drawn into the future.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::bid::Bid;
use crate::time::Instant;

/// Whether advertisements are sealed, and whether those of others have to be.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Sealing {
    /// As the BSDs: a counter counts.
    #[default]
    Off,
    /// Seals what it says, checks the seals that it hears, and believes what has none: for a group in which not everybody can, or
    /// not yet.
    Prefer,
    /// Believes nothing without a seal.
    Require,
}

impl Sealing {
    /// Its word in configuration and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Prefer => "prefer",
            Self::Require => "require",
        }
    }
}

/// How far clocks may be apart, unless it is configured.
pub const WINDOW: Duration = Duration::from_secs(60);

/// A clock that says less was never set: it is before this was written, at the beginning of 2026.
const UNSET: Duration = Duration::from_secs(1_767_225_600);

/// Bids that are remembered.
const BIDS: usize = 16;

/// Bits below the time.
const BID_BITS: u32 = 24;

/// A point in time, in 256ths of a second since 1970.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Mark(u64);

impl Mark {
    /// That long after 1970.
    #[must_use]
    pub const fn of(unix: Duration) -> Self {
        // Seconds of 32 bits; later ones begin anew.
        let seconds = unix.as_secs() & 0xffff_ffff;
        Self((seconds << 8) | (unix.subsec_nanos() as u64 * 256 / 1_000_000_000))
    }

    /// The least that is later, or as many as `count` later.
    #[must_use]
    pub const fn later(self, count: u64) -> Self {
        Self((self.0 + count) & (u64::MAX >> BID_BITS))
    }

    /// How far two are apart.
    #[must_use]
    pub fn apart(self, other: Self) -> Duration {
        let ticks = self.0.abs_diff(other.0);
        Duration::from_millis(ticks.saturating_mul(1000) / 256)
    }
}

/// A counter that says when it was said, and what was bid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seal {
    /// When.
    pub mark: Mark,
    /// What.
    pub bid: Bid,
}

impl Seal {
    /// What a counter says if it is one. Any number reads as something.
    #[must_use]
    pub const fn read(counter: u64) -> Self {
        let [.., advbase, advskew, demotion] = counter.to_be_bytes();
        Self {
            mark: Mark(counter >> BID_BITS),
            bid: Bid {
                advbase,
                advskew,
                demotion,
            },
        }
    }

    /// As a counter.
    #[must_use]
    pub const fn counter(self) -> u64 {
        let Bid {
            advbase,
            advskew,
            demotion,
        } = self.bid;
        self.mark.0 << BID_BITS | (advbase as u64) << 16 | (advskew as u64) << 8 | demotion as u64
    }
}

/// What the clock of the wall said, and when on the engine's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wall {
    at: Instant,
    unix: Duration,
}

impl Wall {
    /// `None` while the clock has not been set since the machine began to run.
    pub(crate) fn new(at: Instant, unix: Duration) -> Option<Self> {
        (unix >= UNSET).then_some(Self { at, unix })
    }

    fn mark(self, now: Instant) -> Mark {
        Mark::of(self.unix + now.saturating_since(self.at))
    }
}

/// What is wrong with a seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// There is none.
    Bid,
    /// It is that of a bid that was sealed here or was heard, and another one stands beside it.
    Forged,
    /// Not later than what was said or heard.
    Old,
    /// By a clock that is too far from ours.
    Clock,
}

/// The logical clock of one router.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// That of the wall, if it is known.
    #[serde(skip)]
    pub(crate) wall: Option<Wall>,
    /// Of what we said last.
    said: Mark,
    /// Of what was heard last, in each family: an advertisement says the same in both.
    heard: [Mark; 2],
    /// When that was heard.
    at: Option<Instant>,
    /// Bids that were sealed, by us or by others, the latest last.
    bids: Vec<Bid>,
}

impl Clock {
    /// What to seal the next advertisement with.
    pub(crate) fn next(&mut self, now: Instant, bid: Bid) -> Mark {
        self.remember(bid);
        let heard = self.heard[0].max(self.heard[1]);
        let clock = match (self.wall, self.at) {
            (Some(wall), _) => wall.mark(now),
            // Time passes since somebody said what time it is.
            (None, Some(at)) => Mark(heard.0 + Mark::of(now.saturating_since(at)).0),
            (None, None) => Mark::default(),
        };
        self.said = clock.max(heard.later(1)).max(self.said.later(1));
        self.said
    }

    /// Nothing that was said before is said again, by a process that does not know how far another one was. While our clock is
    /// behind, each advertisement takes the least time that there is; it is behind by `window` at most, and said no more than
    /// four times a second.
    pub(crate) fn skip(&mut self, window: Duration) {
        self.said = self.said.later(4 * (window.as_secs() + 1));
    }

    /// Whoever is only thought of speaks in the second half of the time that there is: no router that was not set wrong is there.
    pub(crate) fn hurry(&mut self) {
        self.said = self.said.max(Mark(3 << 38));
    }

    /// Whether a seal that was heard is good, and later than everything; if so, it is the last.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        seal: Seal,
        bid: Bid,
        window: Duration,
        family: usize,
    ) -> Result<(), Broken> {
        let newest = self.said.max(self.heard[0]).max(self.heard[1]);
        if seal.bid != bid {
            // Who counts goes on from one of ours, and meets none of the few bids that there are.
            let known = self.bids.contains(&seal.bid) && seal.mark <= newest;
            return Err(if known { Broken::Forged } else { Broken::Bid });
        }
        let Some(heard) = self.heard.get_mut(family) else {
            return Err(Broken::Bid);
        };
        if seal.mark <= (*heard).max(self.said) {
            return Err(Broken::Old);
        }
        if let Some(wall) = self.wall
            && wall.mark(now).apart(seal.mark) > window
        {
            return Err(Broken::Clock);
        }
        *heard = seal.mark;
        self.at = Some(now);
        self.remember(bid);
        Ok(())
    }

    fn remember(&mut self, bid: Bid) {
        if self.bids.last() == Some(&bid) {
            return;
        }
        self.bids.retain(|it| *it != bid);
        if self.bids.len() >= BIDS {
            self.bids.remove(0);
        }
        self.bids.push(bid);
    }

    /// How far the clock of somebody is from ours, and whether it is ahead; `None` while ours is not set.
    pub(crate) fn apart(&self, now: Instant, mark: Mark) -> Option<(Duration, bool)> {
        let ours = self.wall?.mark(now);
        Some((ours.apart(mark), mark > ours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_795_000_000);
    const START: Instant = Instant::from_nanos(5_000_000_000);
    const BID: Bid = Bid {
        advbase: 1,
        advskew: 100,
        demotion: 7,
    };

    fn set(unix: Duration) -> Clock {
        Clock {
            wall: Wall::new(START, unix),
            ..Clock::default()
        }
    }

    fn seal(mark: Mark) -> Seal {
        Seal { mark, bid: BID }
    }

    #[test]
    fn a_seal_is_read_as_it_was_written() {
        let mark = Mark::of(Duration::from_millis(1_795_000_000_500));
        let counter = seal(mark).counter();
        assert_eq!(counter, 0x6afd_86c0_8001_6407);
        assert_eq!(Seal::read(counter), seal(mark));
        assert_eq!(
            Seal::read(u64::MAX).bid,
            Bid {
                demotion: 255,
                ..Bid::BOW_OUT
            }
        );
    }

    /// Every other bid, of all 2^24, is another counter.
    #[test]
    fn no_two_bids_have_the_same_seal() {
        let mark = Mark::of(NOW);
        for bits in 0..1_u32 << BID_BITS {
            let [_, advbase, advskew, demotion] = bits.to_be_bytes();
            let bid = Bid {
                advbase,
                advskew,
                demotion,
            };
            let counter = Seal { mark, bid }.counter();
            assert_eq!(counter & 0xff_ffff, u64::from(bits));
            assert_eq!(counter >> BID_BITS, mark.0);
        }
    }

    #[test]
    fn time_only_goes_on() {
        let mut clock = set(NOW);
        let first = clock.next(START, BID);
        assert_eq!(first, Mark::of(NOW));
        // Twice in the same 256th, and after the clock was set back by an hour.
        let second = clock.next(START, BID);
        assert_eq!(second, first.later(1));
        clock.wall = Wall::new(START, NOW - Duration::from_secs(3600));
        assert_eq!(clock.next(START, BID), second.later(1));
        clock.wall = Wall::new(START, NOW + Duration::from_secs(10));
        assert_eq!(
            clock.next(START, BID),
            Mark::of(NOW + Duration::from_secs(10))
        );
        // Behind a router that is ahead.
        let ahead = Mark::of(NOW + Duration::from_secs(40));
        assert_eq!(clock.judge(START, seal(ahead), BID, WINDOW, 0), Ok(()));
        assert_eq!(clock.next(START, BID), ahead.later(1));
        clock.skip(WINDOW);
        assert!(clock.next(START, BID) > ahead.later(240));
    }

    #[test]
    fn what_is_refused_and_what_is_not() {
        let mut clock = set(NOW);
        let at = |seconds: i64| {
            let unix = NOW.as_secs().saturating_add_signed(seconds);
            Mark::of(Duration::from_secs(unix))
        };
        let other = Bid { demotion: 8, ..BID };
        let rows = [
            ("another bid", at(0), other, Err(Broken::Bid)),
            ("too far behind", at(-61), BID, Err(Broken::Clock)),
            ("too far ahead", at(61), BID, Err(Broken::Clock)),
            ("behind", at(-60), BID, Ok(())),
            ("again", at(-60), BID, Err(Broken::Old)),
            ("later", at(-59), BID, Ok(())),
            ("ahead", at(60), BID, Ok(())),
            ("before what was heard", at(0), BID, Err(Broken::Old)),
            ("changed", at(60), other, Err(Broken::Forged)),
            ("changed long ago", at(-9999), other, Err(Broken::Forged)),
            ("none", at(61), other, Err(Broken::Bid)),
        ];
        for (name, mark, bid, outcome) in rows {
            let found = clock.judge(START, seal(mark), bid, WINDOW, 0);
            assert_eq!(found, outcome, "{name}");
        }
        // Each family for itself; but what we said is known in both.
        assert_eq!(clock.judge(START, seal(at(60)), BID, WINDOW, 1), Ok(()));
        let ours = clock.next(START, BID);
        assert_eq!(
            clock.judge(START, seal(ours), BID, WINDOW, 1),
            Err(Broken::Old)
        );
    }

    /// A machine without a battery begins in 1970: it goes by what it hears.
    #[test]
    fn a_clock_that_was_never_set_is_not_asked() {
        let mut clock = set(Duration::from_secs(77));
        assert_eq!(clock.wall, None);
        let theirs = Mark::of(NOW);
        assert_eq!(clock.judge(START, seal(theirs), BID, WINDOW, 0), Ok(()));
        assert_eq!(
            clock.judge(START, seal(theirs), BID, WINDOW, 0),
            Err(Broken::Old)
        );
        let later = START + Duration::from_secs(100);
        assert_eq!(clock.next(later, BID), theirs.later(100 * 256));
    }
}
