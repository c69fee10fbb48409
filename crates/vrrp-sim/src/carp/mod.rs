//! CARP among its implementations, from a seed: ours beside models of OpenBSD, FreeBSD (and NetBSD) and UCarp on one LAN.
//!
//! ```text
//!   ours (the engine)    ours    OpenBSD    FreeBSD    UCarp        frames are lost, late, doubled; pairs are cut off;
//!        |                |         |          |         |          hosts crash, stop, restart, are drained and demoted
//!        +----------------+----+----+----------+---------+
//!                              |
//!                            Judge          after every step
//! ```
//!
//! The models are [`crate::reference::carp`], which follows the state table of each implementation. Nobody has met OpenBSD and
//! FreeBSD here: what they do was read in their source.
//!
//! | module | noun |
//! |---|---|
//! | [`node`] | a host: the engine, a model, or an [impostor](node::Lie) |
//! | [`net`] | the LAN, and what happens when |
//! | [`fate`] | worlds from seeds |
//! | [`judge`] | the laws |
//! | [`explore`] | everything that can happen to a small world |

pub mod explore;
pub mod fate;
pub mod judge;
pub mod net;
pub mod node;

use core::fmt;
use std::collections::BTreeMap;
use std::ops::Range;

pub use fate::World;
pub use judge::Broken;
pub use node::Lie;

use crate::reference::terms::Nanos;

/// A thousandth of a second.
pub const MILLI: Nanos = 1_000_000;

/// What many worlds have shown: how often, and the worst of what is measured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Times that something was met.
    pub met: BTreeMap<&'static str, u64>,
    /// The longest of something, in thousandths of what was allowed.
    pub worst: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// It was met once more.
    pub fn count(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// It took that long, where `allowed` would have been right.
    pub fn measure(&mut self, what: &'static str, took: Nanos, allowed: Nanos) {
        let share = took.saturating_mul(1000) / allowed.max(1);
        let worst = self.worst.entry(what).or_default();
        *worst = share.max(*worst);
    }

    fn add(&mut self, other: Self) {
        for (what, times) in other.met {
            *self.met.entry(what).or_default() += times;
        }
        for (what, share) in other.worst {
            let worst = self.worst.entry(what).or_default();
            *worst = share.max(*worst);
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, times) in &self.met {
            writeln!(f, "{times:>12}  {what}")?;
        }
        for (what, share) in &self.worst {
            writeln!(
                f,
                "{:>12}  of what is allowed: {what}",
                format!("{}.{:03}", share / 1000, share % 1000)
            )?;
        }
        Ok(())
    }
}

/// Runs these seeds.
///
/// # Errors
/// The first law that was broken, with its seed.
pub fn run(seeds: Range<u64>) -> Result<Tally, String> {
    let mut tally = Tally::default();
    for seed in seeds {
        let one = World::of(seed).run().map_err(|broken| {
            format!("{broken}\nreplay it: cargo run -p vrrp-sim --bin replay -- carp --seed {seed}")
        })?;
        tally.add(one);
    }
    Ok(tally)
}
