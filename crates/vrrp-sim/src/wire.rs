//! The LAN between the hosts: what it loses, delays, repeats and separates.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::host::Host;
use crate::random::{Chance, Random};

/// How a direction of the LAN behaves; every receiver of a frame draws for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weather {
    /// A receiver does not get the frame.
    pub loss: Chance,
    /// Loss that comes in bursts, beside the other.
    pub bursts: Option<Bursts>,
    /// A receiver gets it twice.
    pub duplication: Chance,
    /// Shortest time on the wire.
    pub delay: Duration,
    /// Added to it at random.
    pub jitter: Duration,
    /// A frame is held back, for up to [`Self::hold`], and others overtake it.
    pub reordering: Chance,
    /// Longest time for which a frame is held back.
    pub hold: Duration,
}

/// Loss with a memory, after Gilbert and Elliott: each direction between two hosts is good or bad, and may change with
/// each frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bursts {
    /// A good direction turns bad.
    pub begin: Chance,
    /// A bad direction turns good.
    pub end: Chance,
    /// Loss while it is bad.
    pub loss: Chance,
}

impl Weather {
    /// Loses nothing, 100 µs long.
    pub const CALM: Self = Self {
        loss: Chance::NEVER,
        bursts: None,
        duplication: Chance::NEVER,
        delay: Duration::from_micros(100),
        jitter: Duration::ZERO,
        reordering: Chance::NEVER,
        hold: Duration::ZERO,
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
    /// From each host to each, row by row.
    directions: Vec<Direction>,
}

/// One direction between two hosts. Each draws for itself, so that what happens to one does not depend on the others.
#[derive(Clone, Debug)]
struct Direction {
    random: Random,
    bad: bool,
    missed: Missed,
}

/// How many frames in a row did not get through, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Missed {
    /// All of them.
    pub all: u32,
    /// Because the direction was bad.
    pub in_bursts: u32,
    /// By loss of either kind, and not by a cut.
    pub by_loss: u32,
}

impl Wire {
    /// The wire of this seed.
    pub(crate) fn new(hosts: usize, weather: Weather, seed: u64) -> Self {
        let direction = |number: u64| Direction {
            random: Random::stream(seed, 0x1_0000 + number),
            bad: false,
            missed: Missed::default(),
        };
        Self {
            weather,
            cuts: BTreeSet::new(),
            islands: vec![0; hosts],
            directions: (0..).take(hosts * hosts).map(direction).collect(),
        }
    }

    fn at(&self, from: Host, to: Host) -> usize {
        from.0 * self.islands.len() + to.0
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
    pub fn missed(&self, from: Host, to: Host) -> Missed {
        self.directions[self.at(from, to)].missed
    }

    /// How long a frame takes to `to`, once for each copy that arrives.
    pub(crate) fn carry(&mut self, from: Host, to: Host) -> impl Iterator<Item = Duration> + use<> {
        let weather = self.weather;
        let connected = self.connects(from, to);
        let at = self.at(from, to);
        let direction = &mut self.directions[at];
        let in_burst = direction.blows(weather.bursts);
        let lost = in_burst || direction.random.happens(weather.loss);
        let mut copies = [None; 2];
        if connected && !lost {
            copies[0] = Some(direction.delay(&weather));
            if direction.random.happens(weather.duplication) {
                copies[1] = Some(direction.delay(&weather));
            }
            direction.missed = Missed::default();
        } else {
            let missed = &mut direction.missed;
            missed.all += 1;
            missed.in_bursts += u32::from(in_burst && connected);
            missed.by_loss += u32::from(connected);
        }
        copies.into_iter().flatten()
    }
}

impl Direction {
    /// Whether a burst takes the frame.
    fn blows(&mut self, bursts: Option<Bursts>) -> bool {
        let Some(bursts) = bursts else {
            self.bad = false;
            return false;
        };
        let turns = if self.bad { bursts.end } else { bursts.begin };
        self.bad ^= self.random.happens(turns);
        self.bad && self.random.happens(bursts.loss)
    }

    fn delay(&mut self, weather: &Weather) -> Duration {
        let mut delay = weather.delay + self.random.up_to(weather.jitter);
        if self.random.happens(weather.reordering) {
            delay += self.random.up_to(weather.hold);
        }
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Host = Host(0);
    const B: Host = Host(1);
    const C: Host = Host(2);

    fn wire() -> Wire {
        Wire::new(3, Weather::CALM, 1)
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

    #[test]
    fn bursts_take_their_share_in_runs() {
        let mut wire = wire();
        wire.weather.bursts = Some(Bursts {
            begin: Chance::percent(2),
            end: Chance::percent(20),
            loss: Chance::percent(90),
        });
        let (mut lost, mut runs, mut longest) = (0, 0, 0);
        for _ in 0..100_000 {
            let before = wire.missed(A, B).all;
            if wire.carry(A, B).next().is_none() {
                lost += 1;
                runs += u32::from(before == 0);
                longest = longest.max(before + 1);
            }
        }
        // Bad for 2 / 22 of the time: 8.2 %; a run of losses is 3.6 frames long, where independent losses make it 1.1.
        assert!((7_500..8_900).contains(&lost), "{lost}");
        assert!(lost / runs >= 3 && longest > 12, "{lost} {runs} {longest}");
        assert_eq!(wire.missed(B, A), Missed::default());
    }

    #[test]
    fn a_frame_that_is_held_back_is_overtaken() {
        let mut wire = wire();
        wire.weather.reordering = Chance::percent(10);
        wire.weather.hold = Duration::from_secs(3);
        let sent = |number: u32| Duration::from_secs(1) * number;
        let arrivals: Vec<Duration> = (0..1_000)
            .flat_map(|number| wire.carry(A, B).map(move |delay| sent(number) + delay))
            .collect();
        let overtaken = arrivals.windows(2).filter(|two| two[0] > two[1]).count();
        assert!((40..90).contains(&overtaken), "{overtaken}");
    }
}
