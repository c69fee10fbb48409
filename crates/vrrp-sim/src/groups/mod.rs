//! Hosts with sync groups between several links, from a seed: a house of its own, because the rest of the laboratory has one link.
//!
//! ```text
//!   host 0 --- link 0 --- host 1        a link can be cut between two hosts, in one direction or both,
//!     |                     |           lose frames, and have no carrier at one of them; hosts crash, are
//!     +------- link 1 ------+           replaced, reload, and are asked to fail over
//! ```
//!
//! Three laws. After every input the members of a group are Active all or not at all. Two hosts that hear each other are both
//! Active for one advertisement at most. After the last misfortune everything settles within a bound: then the Actives are
//! such that none of them hears another one, everybody else hears one that is at least as good, and nothing moves any more.
//!
//! In some worlds all routers speak CARP, in one of its profiles, and some of them in both families.

mod fate;
mod judge;
mod net;

use core::fmt;
use core::time::Duration;
use std::ops::Range;

pub use fate::World;
pub use judge::Broken;
pub use net::Net;

/// What many worlds have shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Worlds.
    pub worlds: u64,
    /// Those of them that speak CARP.
    pub carp: u64,
    /// Takeovers of groups.
    pub takeovers: u64,
    /// Times that two hosts that heard each other were both Active.
    pub splits: u64,
    /// The longest of them, in thousandths of an advertisement interval.
    pub longest_split: u64,
    /// The longest time from the last misfortune to the last change of a role, in thousandths of what was allowed.
    pub slowest: u64,
    /// The most changes of role of one host after the last misfortune.
    pub most_changes: u64,
    /// Worlds in which some link was still cut in two at the end.
    pub cut: u64,
    /// Worlds in which a host could not take part at the end.
    pub unable: u64,
    /// Worlds in which somebody was Active at the end who did not have the highest priority of all.
    pub modest: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.carp += other.carp;
        self.takeovers += other.takeovers;
        self.splits += other.splits;
        self.longest_split = self.longest_split.max(other.longest_split);
        self.slowest = self.slowest.max(other.slowest);
        self.most_changes = self.most_changes.max(other.most_changes);
        self.cut += other.cut;
        self.unable += other.unable;
        self.modest += other.modest;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = |value: u64| format!("{}.{:03}", value / 1000, value % 1000);
        writeln!(
            f,
            "worlds                                     {}",
            self.worlds
        )?;
        writeln!(
            f,
            "of CARP                                    {}",
            self.carp
        )?;
        writeln!(
            f,
            "takeovers of groups                        {}",
            self.takeovers
        )?;
        writeln!(
            f,
            "splits between hosts that heard each other {}",
            self.splits
        )?;
        writeln!(
            f,
            "the longest split, in advertisements       {}",
            thousandths(self.longest_split)
        )?;
        writeln!(
            f,
            "the slowest to settle, of the bound        {}",
            thousandths(self.slowest)
        )?;
        writeln!(
            f,
            "changes after the last misfortune, at most {}",
            self.most_changes
        )?;
        writeln!(f, "worlds that ended with a link cut in two   {}", self.cut)?;
        writeln!(
            f,
            "worlds that ended with a host unable       {}",
            self.unable
        )?;
        write!(
            f,
            "worlds in which not the best was Active    {}",
            self.modest
        )
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
            format!(
                "{broken}\nreplay it: cargo run -p vrrp-sim --bin replay -- groups --seed {seed}"
            )
        })?;
        tally.add(&one);
    }
    Ok(tally)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
