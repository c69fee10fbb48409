//! From a world that breaks a law to the least of it that still does.
//!
//! Rounds, weather and hosts are left out one by one, and misfortunes in ever smaller portions, as long as a law of the
//! same kind is broken. Every direction of the wire draws for itself, so what is left goes on much as before.

use core::fmt;
use core::mem::discriminant;
use std::collections::BTreeSet;

use crate::chaos::World;
use crate::judge::Verdict;

/// What was left, and how it fails.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The world with what it can do without cut.
    pub world: World,
    /// The law that it breaks.
    pub verdict: Verdict,
    /// The command for the whole world.
    original: String,
    /// Worlds that were tried on the way.
    tried: u32,
}

impl Shrunk {
    /// Shrinks a world that broke a law.
    #[must_use]
    pub fn from(world: &World, verdict: &Verdict) -> Self {
        let mut shrunk = Self {
            world: world.clone(),
            verdict: verdict.clone(),
            original: world.replay_command(),
            tried: 0,
        };
        while shrunk.is_less() {}
        shrunk
    }

    /// Misfortunes that are left.
    #[must_use]
    pub fn misfortunes(&self) -> usize {
        self.world.misfortunes().count()
    }

    /// Hosts that are left.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.world.hosts() - self.world.cuts.without.len()
    }

    /// Tries everything once; whether anything could be left out.
    fn is_less(&mut self) -> bool {
        let mut less = false;
        while self.world.cuts.rounds > 1 && self.takes(|world| world.cuts.rounds -= 1) {
            less = true;
        }
        less |= !self.world.cuts.calm && self.takes(|world| world.cuts.calm = true);
        for host in 0..self.world.hosts() {
            if !self.world.cuts.without.contains(&host) && self.hosts() > 1 {
                less |= self.takes(|world| {
                    world.cuts.without.insert(host);
                });
            }
        }
        less | self.drops_misfortunes()
    }

    fn drops_misfortunes(&mut self) -> bool {
        let mut less = false;
        let mut portion = self.misfortunes().div_ceil(2);
        while portion > 0 {
            let numbers: Vec<usize> = self.world.misfortunes().map(|(number, _)| number).collect();
            for doomed in numbers.chunks(portion) {
                let keep: BTreeSet<usize> = self
                    .world
                    .misfortunes()
                    .map(|(number, _)| number)
                    .filter(|number| !doomed.contains(number))
                    .collect();
                less |= self.takes(|world| world.cuts.keep = Some(keep));
            }
            portion /= 2;
        }
        less
    }

    /// Whether it still breaks the law with this change; then it keeps it.
    fn takes(&mut self, change: impl FnOnce(&mut World)) -> bool {
        let mut world = self.world.clone();
        change(&mut world);
        self.tried += 1;
        match world.run() {
            Err(verdict)
                if discriminant(&verdict.violation) == discriminant(&self.verdict.violation) =>
            {
                self.world = world;
                self.verdict = verdict;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        write!(f, "{}", self.world)?;
        writeln!(
            f,
            "shrunk in {} tries; all of it: {}",
            self.tried, self.original
        )?;
        writeln!(f, "replay: {}", self.world.replay_command())
    }
}
