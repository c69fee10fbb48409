//! What a bad cable does to a frame, decided by a seed.
//!
//! Nothing here knows sockets or clocks: a [`Misfortune`] is asked frame by frame and answers with a [`Fate`]. It draws
//! the same number of random numbers for each frame whatever the [`Impairment`] is, so two settings of one seed can be
//! compared frame by frame.

use std::time::Duration;

/// How bad one direction of a cable is. The default is a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Nothing passes.
    pub block: bool,
    /// Share of frames lost, 0 to 1, each for itself.
    pub loss: f64,
    /// Losses in bursts, on top of `loss`.
    pub bursts: Option<Bursts>,
    /// Every n-th frame is lost; 0 is none.
    pub every: u32,
    /// Share of frames that come twice, 0 to 1.
    pub duplicate: f64,
    /// Share of frames held back behind later ones, 0 to 1.
    pub reorder: f64,
    /// Behind how many later frames, if `reorder` has it held back; a frame that none follows waits [`PATIENCE`].
    pub behind: u32,
    /// Every frame is late by this.
    pub delay: Duration,
    /// And by up to this more, each for itself: frames may overtake each other.
    pub jitter: Duration,
    /// All of this concerns advertisements only; other frames pass untouched and draw no lots.
    pub adverts_only: bool,
}

/// A frame that is to be overtaken and is not goes after this time.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// The model of Gilbert and Elliott: a cable that is either good, and loses nothing, or bad, and loses all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Probability that a good cable turns bad at a frame.
    pub begin: f64,
    /// Probability that a bad cable turns good at a frame: the mean burst is its inverse.
    pub end: f64,
}

impl Impairment {
    /// Nothing passes.
    #[must_use]
    pub fn blocked() -> Self {
        Self {
            block: true,
            ..Self::default()
        }
    }

    /// Each frame is lost with this probability.
    #[must_use]
    pub fn losing(loss: f64) -> Self {
        Self {
            loss,
            ..Self::default()
        }
    }
}

/// What becomes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// How many times it arrives: 0, 1 or 2.
    pub copies: u8,
    /// How late.
    pub delay: Duration,
    /// Behind how many later frames.
    pub behind: u32,
}

/// A seeded source of fates, for one direction of one cable.
#[derive(Clone, Debug)]
pub struct Misfortune {
    state: u64,
    bad: bool,
    count: u32,
}

impl Misfortune {
    /// The same seed gives the same fates.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            bad: false,
            count: 0,
        }
    }

    /// The fate of the next frame.
    pub fn next(&mut self, impairment: &Impairment, advert: bool) -> Fate {
        let sound = Fate {
            copies: 1,
            delay: Duration::ZERO,
            behind: 0,
        };
        if impairment.adverts_only && !advert {
            return sound;
        }
        self.count += 1;
        let [loss, burst, twice, order, late] = std::array::from_fn(|_| self.draw());
        self.bad = match impairment.bursts {
            Some(bursts) if self.bad => burst >= bursts.end,
            Some(bursts) => burst < bursts.begin,
            None => false,
        };
        let nth = impairment.every > 0 && self.count.is_multiple_of(impairment.every);
        if impairment.block || self.bad || nth || loss < impairment.loss {
            return Fate { copies: 0, ..sound };
        }
        Fate {
            copies: if twice < impairment.duplicate { 2 } else { 1 },
            delay: impairment.delay + impairment.jitter.mul_f64(late),
            behind: if order < impairment.reorder {
                impairment.behind
            } else {
                0
            },
        }
    }

    /// A number from 0 to just below 1 (`SplitMix64`).
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from(u32::try_from(mixed >> 32).unwrap_or(u32::MAX)) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANY: usize = 100_000;

    fn fates(seed: u64, impairment: &Impairment) -> Vec<Fate> {
        let mut misfortune = Misfortune::new(seed);
        (0..MANY)
            .map(|_| misfortune.next(impairment, false))
            .collect()
    }

    fn share(fates: &[Fate], of: impl Fn(&Fate) -> bool) -> f64 {
        let count = fates.iter().filter(|fate| of(fate)).count();
        f64::from(u32::try_from(count).unwrap()) / f64::from(u32::try_from(MANY).unwrap())
    }

    #[test]
    fn a_seed_is_a_fate() {
        let bad = Impairment {
            loss: 0.3,
            duplicate: 0.2,
            reorder: 0.1,
            behind: 3,
            jitter: PATIENCE,
            ..Impairment::default()
        };
        assert_eq!(fates(7, &bad), fates(7, &bad));
        assert_ne!(fates(7, &bad), fates(8, &bad));
        let lost =
            |fates: Vec<Fate>| -> Vec<bool> { fates.iter().map(|fate| fate.copies == 0).collect() };
        // What else goes wrong has no influence on what is lost.
        assert_eq!(
            lost(fates(7, &bad)),
            lost(fates(7, &Impairment::losing(0.3)))
        );
    }

    #[test]
    fn shares_are_as_ordered() {
        for loss in [0.0, 0.01, 0.3, 0.4, 1.0] {
            let lost = share(&fates(1, &Impairment::losing(loss)), |fate| {
                fate.copies == 0
            });
            assert!((lost - loss).abs() < 0.01, "{lost} instead of {loss}");
        }
        let bad = Impairment {
            duplicate: 0.5,
            reorder: 0.25,
            behind: 3,
            ..Impairment::default()
        };
        let twice = share(&fates(2, &bad), |fate| fate.copies == 2);
        let back = share(&fates(2, &bad), |fate| fate.behind == 3);
        assert!((twice - 0.5).abs() < 0.01 && (back - 0.25).abs() < 0.01);
    }

    #[test]
    fn bursts_have_their_length() {
        let bad = Impairment {
            bursts: Some(Bursts {
                begin: 0.02,
                end: 0.2,
            }),
            ..Impairment::default()
        };
        let fates = fates(3, &bad);
        let lost = share(&fates, |fate| fate.copies == 0);
        assert!(
            (lost - 0.02 / 0.22).abs() < 0.01,
            "{lost} of the frames lost"
        );
        let bursts = fates
            .windows(2)
            .filter(|pair| pair[0].copies == 1 && pair[1].copies == 0)
            .count();
        let mean = lost * f64::from(u32::try_from(MANY).unwrap())
            / f64::from(u32::try_from(bursts).unwrap());
        assert!((mean - 5.0).abs() < 0.4, "{mean} frames in a burst");
    }

    #[test]
    fn every_third_advertisement() {
        let bad = Impairment {
            every: 3,
            adverts_only: true,
            ..Impairment::default()
        };
        let mut misfortune = Misfortune::new(4);
        let fates: Vec<u8> = (0..9)
            .map(|_| {
                assert_eq!(misfortune.next(&bad, false).copies, 1);
                misfortune.next(&bad, true).copies
            })
            .collect();
        assert_eq!(fates, [1, 1, 0, 1, 1, 0, 1, 1, 0]);
    }
}
