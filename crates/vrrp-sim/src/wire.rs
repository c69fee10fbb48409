//! The LAN between the hosts: what it loses, delays, repeats and separates.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::host::Host;
use crate::random::{Chance, Random};

/// How a direction of the LAN behaves; every receiver of a frame draws for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// A receiver does not get the frame.
    pub loss: Chance,
    /// A receiver gets it twice.
    pub duplication: Chance,
    /// Shortest time on the wire.
    pub delay: Duration,
    /// Added to it at random; more than the pause between two frames reorders them.
    pub jitter: Duration,
}

impl Weather {
    /// Loses nothing, 100 µs long.
    pub const CALM: Self = Self {
        loss: Chance::NEVER,
        duplication: Chance::NEVER,
        delay: Duration::from_micros(100),
        jitter: Duration::ZERO,
    };
}

/// A packet of protocol 112 with what matters of its IP header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// What follows the IP header.
    pub message: Arc<[u8]>,
}

/// The wire and its cuts.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Between all pairs.
    pub weather: Weather,
    cuts: BTreeSet<(Host, Host)>,
    /// Island of each host; hosts on different islands do not hear each other.
    islands: Vec<usize>,
    /// How many frames in a row each host has missed of each.
    missed: BTreeMap<(Host, Host), u32>,
    random: Random,
}

impl Wire {
    pub(crate) fn new(hosts: usize, weather: Weather, random: Random) -> Self {
        Self {
            weather,
            cuts: BTreeSet::new(),
            islands: vec![0; hosts],
            missed: BTreeMap::new(),
            random,
        }
    }

    /// From now on `to` does not hear `from`.
    pub fn cut(&mut self, from: Host, to: Host) {
        self.cuts.insert((from, to));
    }

    /// Puts `hosts` on an island of their own.
    pub fn separate(&mut self, hosts: &[Host]) {
        let fresh = self.islands.iter().max().map_or(0, |last| last + 1);
        for host in hosts {
            self.islands[host.0] = fresh;
        }
    }

    /// Everybody hears everybody again; the weather stays.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.islands.fill(0);
    }

    /// Whether frames of `from` may reach `to`.
    #[must_use]
    pub fn connects(&self, from: Host, to: Host) -> bool {
        self.islands[from.0] == self.islands[to.0] && !self.cuts.contains(&(from, to))
    }

    /// Whether some pair hears each other in one direction only: then nobody can say who ought to be Active.
    #[must_use]
    pub fn is_lopsided(&self) -> bool {
        self.cuts.iter().any(|(from, to)| {
            self.connects(*to, *from) && self.islands[from.0] == self.islands[to.0]
        })
    }

    /// How many frames of `from` in a row did not get through to `to`.
    #[must_use]
    pub fn missed(&self, from: Host, to: Host) -> u32 {
        self.missed.get(&(from, to)).copied().unwrap_or_default()
    }

    /// How long a frame takes to `to`, once for each copy that arrives.
    pub(crate) fn carry(&mut self, from: Host, to: Host) -> impl Iterator<Item = Duration> + use<> {
        let mut copies = [None; 2];
        if self.connects(from, to) && !self.random.happens(self.weather.loss) {
            copies[0] = Some(self.delay());
            if self.random.happens(self.weather.duplication) {
                copies[1] = Some(self.delay());
            }
        }
        let missed = self.missed.entry((from, to)).or_default();
        *missed = if copies[0].is_some() { 0 } else { *missed + 1 };
        copies.into_iter().flatten()
    }

    fn delay(&mut self) -> Duration {
        self.weather.delay + self.random.up_to(self.weather.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Host = Host(0);
    const B: Host = Host(1);
    const C: Host = Host(2);

    fn wire() -> Wire {
        Wire::new(3, Weather::CALM, Random::new(1))
    }

    #[test]
    fn a_cut_has_a_direction() {
        let mut wire = wire();
        wire.cut(A, B);
        assert!(!wire.connects(A, B) && wire.connects(B, A) && wire.is_lopsided());
        wire.cut(B, A);
        assert!(!wire.is_lopsided());
    }

    #[test]
    fn islands_hear_only_themselves() {
        let mut wire = wire();
        wire.separate(&[A, C]);
        assert!(wire.connects(A, C) && !wire.connects(A, B) && !wire.connects(B, C));
        wire.heal();
        assert!(wire.connects(A, B));
    }

    #[test]
    fn loss_and_duplication_count_per_receiver() {
        let mut wire = wire();
        wire.weather.loss = Chance::percent(20);
        wire.weather.duplication = Chance::percent(50);
        let copies: usize = (0..10_000).map(|_| wire.carry(A, B).count()).sum();
        // 80 % arrive, half of them twice.
        assert!((11_700..12_300).contains(&copies), "{copies}");
    }
}
