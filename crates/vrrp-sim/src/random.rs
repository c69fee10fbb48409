//! Chance, from a seed: the same seed is the same world.

use core::time::Duration;

/// SplitMix64: small, fast, and every seed is as good as another.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An independent stream: what is drawn from one never disturbs another.
    #[must_use]
    pub fn stream(seed: u64, label: u64) -> Self {
        Self(Self(seed ^ label.wrapping_mul(0xd6e8_feb8_6659_fd93)).word())
    }

    /// 64 random bits.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The bias of the remainder is 2^-40 for the bounds of a laboratory.
        if bound == 0 { 0 } else { self.word() % bound }
    }

    /// An index of something that has `len` elements.
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).unwrap_or(u64::MAX);
        usize::try_from(self.below(bound)).unwrap_or(0)
    }

    /// One of `choices`, which must not be empty.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A duration between zero and `longest`.
    pub fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    /// Whether something of this probability happens.
    pub const fn happens(&mut self, chance: Chance) -> bool {
        chance.0 != 0 && self.below(1_000_000) < chance.0 as u64
    }
}

/// A probability in millionths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Chance(u32);

impl Chance {
    /// It does not happen.
    pub const NEVER: Self = Self(0);

    /// In thousandths: `permille(1)` is 0.1 %.
    #[must_use]
    pub const fn permille(value: u32) -> Self {
        Self(value * 1_000)
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// In hundredths.
    #[must_use]
    pub const fn percent(value: u32) -> Self {
        Self(value * 10_000)
    }
}

impl core::fmt::Display for Chance {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.0.is_multiple_of(10_000) {
            write!(f, "{} %", self.0 / 10_000)
        } else {
            write!(f, "{}.{} %", self.0 / 10_000, self.0 % 10_000 / 1_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_world() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [random.word(), random.word(), random.word()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_ne!(Random::stream(7, 1).word(), Random::stream(7, 2).word());
    }

    #[test]
    fn a_chance_is_met() {
        let mut random = Random::new(1);
        let hits = (0..100_000)
            .filter(|_| random.happens(Chance::percent(10)))
            .count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
        assert!((0..1_000).all(|_| !random.happens(Chance::NEVER)));
        assert_eq!(
            (
                Chance::permille(1).to_string(),
                Chance::percent(40).to_string()
            ),
            ("0.1 %".into(), "40 %".into())
        );
    }
}
