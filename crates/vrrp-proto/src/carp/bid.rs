//! What an advertisement bids for the role of the Active: how often it comes, and how much its sender is demoted.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// The three fields that decide an election. None of them is covered by the digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Bid {
    /// Whole seconds between two advertisements. 0 is heard from OpenBSD and UCarp.
    pub advbase: u8,
    /// What is added to that, in 256ths of a second; who has more of it loses.
    pub advskew: u8,
    /// How much is wrong with the sender. OpenBSD fills it in; the others send 0 and do not read it.
    pub demotion: u8,
}

impl Bid {
    /// The last word of one that gives up: so slow that everybody else is faster.
    pub const BOW_OUT: Self = Self {
        advbase: 255,
        advskew: 255,
        demotion: 0,
    };

    /// Who comes first in this order should be Active: who is less demoted, and among those who advertises more often.
    #[must_use]
    pub const fn rank(self) -> (u8, u32) {
        (self.demotion, self.ticks())
    }

    /// Whether the sender gives up.
    #[must_use]
    pub const fn is_bow_out(self) -> bool {
        self.advbase == Self::BOW_OUT.advbase && self.advskew == Self::BOW_OUT.advskew
    }

    /// Time between two advertisements, in 256ths of a second.
    #[must_use]
    pub const fn ticks(self) -> u32 {
        self.advbase as u32 * 256 + self.advskew as u32
    }

    /// Time between two advertisements. Never zero: OpenBSD takes 1/256 s for it.
    #[must_use]
    pub fn interval(self) -> Duration {
        ticks(self.ticks().max(1))
    }
}

/// As one says it; most have no demotion to speak of.
impl fmt::Display for Bid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            advbase,
            advskew,
            demotion,
        } = self;
        write!(f, "advbase {advbase}, advskew {advskew}")?;
        match demotion {
            0 => Ok(()),
            by => write!(f, ", demotion {by}"),
        }
    }
}

/// So many 256ths of a second.
#[must_use]
pub fn ticks(count: u32) -> Duration {
    Duration::from_secs(1) * count / 256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_base_and_skew() {
        for (advbase, advskew, micros) in [
            (1, 0, 1_000_000),
            (1, 100, 1_390_625),
            (1, 254, 1_992_187),
            (0, 100, 390_625),
            (0, 0, 3_906),
            (255, 255, 255_996_093),
        ] {
            let bid = Bid {
                advbase,
                advskew,
                demotion: 0,
            };
            assert_eq!(bid.interval().as_micros(), micros, "{advbase}/{advskew}");
        }
    }

    #[test]
    fn only_255_255_is_a_bow_out() {
        assert!(Bid::BOW_OUT.is_bow_out());
        let slow = Bid {
            advskew: 254,
            ..Bid::BOW_OUT
        };
        assert!(!slow.is_bow_out());
        let demoted = Bid {
            demotion: 3,
            ..Bid::BOW_OUT
        };
        assert!(demoted.is_bow_out());
    }
}
