//! Everything that can happen to a world, one thing after the other, and each world once: the shortest way to a broken law is
//! found first.

use core::fmt;
use core::hash::Hasher;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};

use vrrp_proto::Instant;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// Different worlds.
    pub worlds: usize,
    /// Ways from one to another.
    pub steps: usize,
    /// How often each of the interesting situations was met.
    pub sometimes: BTreeMap<&'static str, usize>,
}

/// A law that was broken, and a shortest way there.
#[derive(Clone, Debug)]
pub struct Counterexample<E> {
    /// What is wrong.
    pub law: String,
    /// What led to it: when, and what.
    pub way: Vec<(Instant, E)>,
}

impl<E: fmt::Debug> fmt::Display for Counterexample<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.law)?;
        for (at, event) in &self.way {
            writeln!(f, "  {at:?} {event:?}")?;
        }
        Ok(())
    }
}

/// Searches from `first` on: what can happen to a world and when, and the world after that, or the law that it broke. Two worlds
/// of which `digest` says the same have the same future.
pub(crate) fn breadth_first<W, E: Copy>(
    first: W,
    digest: impl Fn(&W, &mut DefaultHasher),
    choices: impl Fn(&W) -> Vec<(Instant, E)>,
    mut take: impl FnMut(&W, Instant, E) -> Result<W, String>,
) -> Result<Findings, Box<Counterexample<E>>> {
    let mut findings = Findings::default();
    let mut seen = HashSet::from([fingerprint(&first, &digest)]);
    // For each world but the first: the one before it, and what happened there.
    let mut ways: Vec<Option<(u32, Instant, E)>> = vec![None];
    let mut frontier = VecDeque::from([(0_u32, first)]);
    while let Some((number, world)) = frontier.pop_front() {
        for (at, event) in choices(&world) {
            findings.steps += 1;
            let next = take(&world, at, event).map_err(|law| {
                let mut way = vec![(at, event)];
                let mut number = number;
                while let Some(Some((before, at, event))) = ways.get(number as usize) {
                    way.push((*at, *event));
                    number = *before;
                }
                way.reverse();
                Box::new(Counterexample { law, way })
            })?;
            if seen.insert(fingerprint(&next, &digest)) {
                let name = u32::try_from(ways.len()).unwrap_or(u32::MAX);
                ways.push(Some((number, at, event)));
                frontier.push_back((name, next));
            }
        }
    }
    findings.worlds = ways.len();
    Ok(findings)
}

fn fingerprint<W>(world: &W, digest: impl Fn(&W, &mut DefaultHasher)) -> u128 {
    let [high, low] = [0, 1].map(|salt| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(salt);
        digest(world, &mut hasher);
        u128::from(hasher.finish())
    });
    high << 64 | low
}
