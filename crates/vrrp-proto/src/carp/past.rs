//! What was heard before: a recording that is played back, with whatever bid, as far as that can be told of peers that count.
//!
//! What is known of the others' counters: OpenBSD says the same number for ever. FreeBSD, NetBSD and UCarp say another one each
//! time: while they never heard anybody, any number; and after that, one more than the last that they heard or said. So the
//! same number twice, from who counts, was said before; with two exceptions. Who hears somebody that is behind goes back and
//! counts again what was counted before. And two that heard the same go on from there with the same numbers. Both go on by
//! one each time. So a number that was heard before is refused, unless its sender goes on from the last that it said, whether
//! that was refused or not, or from one that somebody else said since and lately, ourselves included. Going back to where
//! somebody was whom only the sender heard costs one advertisement, where three may be lost.
//!
//! Nothing else is a false alarm. What is missed: several advertisements played back in the order in which they were recorded,
//! what was said before we listened, and everything from who says the same number for ever.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// Senders that are remembered.
const SOURCES: usize = 8;

/// Runs that are remembered. Who counts has one, however long it counts; who says any number, or a time, has one for each.
const RUNS: usize = 64;

/// Of our own.
const OURS: usize = 16;

/// A counter that is so much greater goes on from another: some in between were lost, or were for the other family.
const STEP: u64 = 16;

/// A sender with so many other counters in a row does not say the same one for ever.
const CHANGES: u8 = 3;

/// What was heard in one family.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Past {
    sources: Vec<Source>,
    runs: VecDeque<Run>,
    ours: VecDeque<Run>,
    /// What we said last, and when.
    said: Option<(u64, Instant)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Source {
    address: IpAddr,
    /// Its last counter, also if it was refused.
    last: u64,
    /// When it was believed for the last time; `None`: never.
    at: Option<Instant>,
    /// Counters in a row that were new.
    changes: u8,
}

/// Counters that one sender counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Run {
    first: u64,
    last: u64,
    /// `None`: ourselves.
    source: Option<IpAddr>,
}

impl Run {
    const fn holds(&self, counter: u64) -> bool {
        counter.wrapping_sub(self.first) <= self.last.wrapping_sub(self.first)
    }
}

/// What a counter is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing speaks against it.
    New,
    /// Its sender counts, and goes on.
    GoesOn,
    /// It was heard before.
    Heard,
    /// It was said here.
    Ours,
}

fn follows(last: u64, counter: u64) -> bool {
    (1..=STEP).contains(&counter.wrapping_sub(last))
}

impl Past {
    /// A counter with a good digest was heard. After a silence of more than `patience` a sender may be another machine.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        address: IpAddr,
        counter: u64,
        patience: Duration,
    ) -> Verdict {
        let mut runs = self.ours.iter().chain(&self.runs);
        let run = runs.find(|run| run.holds(counter)).copied();
        let place = self.place(address, counter);
        let learned = self.learned(now, place, counter, patience * 2);
        let Some(source) = self.sources.get_mut(place) else {
            return Verdict::New;
        };
        let went_on = follows(source.last, counter) || learned;
        source.last = counter;
        let Some(run) = run else {
            let silent = source
                .at
                .is_some_and(|at| now.saturating_since(at) > patience);
            source.changes = if silent {
                0
            } else {
                source.changes.saturating_add(1)
            };
            source.at = Some(now);
            enter(&mut self.runs, RUNS, Some(address), counter);
            return if went_on {
                Verdict::GoesOn
            } else {
                Verdict::New
            };
        };
        if run.source == Some(address) && source.changes < CHANGES && run.first == run.last {
            source.changes = 0;
            source.at = Some(now);
            return Verdict::New;
        }
        match (went_on, run.source) {
            (true, _) => {
                source.at = Some(now);
                Verdict::GoesOn
            }
            (false, Some(_)) => Verdict::Heard,
            (false, None) => Verdict::Ours,
        }
    }

    /// Whether somebody, or we, said the one before that lately, and since that sender said anything.
    fn learned(&self, now: Instant, place: usize, counter: u64, lately: Duration) -> bool {
        let since = self.sources.get(place).and_then(|source| source.at);
        let others = self.sources.iter();
        let mut all = others
            .filter_map(|source| Some((source.last, source.at?)))
            .chain(self.said);
        all.any(|(last, at)| {
            follows(last, counter)
                && now.saturating_since(at) <= lately
                && since.is_none_or(|since| at > since)
        })
    }

    /// It was said here.
    pub(crate) fn say(&mut self, now: Instant, counter: u64) {
        enter(&mut self.ours, OURS, None, counter);
        self.said = Some((counter, now));
    }

    /// Where that sender is remembered. The one that has been silent longest makes room.
    fn place(&mut self, address: IpAddr, counter: u64) -> usize {
        let known = self.sources.iter().position(|it| it.address == address);
        if let Some(known) = known {
            return known;
        }
        let source = Source {
            address,
            // It follows nothing.
            last: counter,
            at: None,
            changes: 0,
        };
        if self.sources.len() < SOURCES {
            self.sources.push(source);
            return self.sources.len() - 1;
        }
        let oldest = (0..self.sources.len())
            .min_by_key(|index| self.sources[*index].at)
            .unwrap_or_default();
        self.sources[oldest] = source;
        oldest
    }
}

fn enter(runs: &mut VecDeque<Run>, most: usize, source: Option<IpAddr>, counter: u64) {
    let own = |run: &&mut Run| run.source == source && follows(run.last, counter);
    if let Some(run) = runs.iter_mut().find(own) {
        run.last = counter;
        return;
    }
    if runs.len() >= most {
        // Rather one that stands for itself than one that stands for thousands.
        let lone = runs.iter().position(|run| run.first == run.last);
        runs.remove(lone.unwrap_or_default());
    }
    runs.push_back(Run {
        first: counter,
        last: counter,
        source,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    struct Ear {
        past: Past,
        now: Instant,
    }

    impl Ear {
        fn new() -> Self {
            Self {
                past: Past::default(),
                now: Instant::ZERO,
            }
        }

        fn wait(&mut self, seconds: u64) {
            self.now = self.now + Duration::from_secs(seconds);
        }

        /// A second later.
        fn hear(&mut self, host: u8, counter: u64) -> Verdict {
            self.wait(1);
            let address = [192, 0, 2, host].into();
            self.past.hear(self.now, address, counter, PATIENCE)
        }

        fn accepts(&mut self, host: u8, counters: impl IntoIterator<Item = u64>) {
            for counter in counters {
                assert!(is_good(self.hear(host, counter)), "{host}: {counter}");
            }
        }
    }

    fn is_good(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::New | Verdict::GoesOn)
    }

    const HEARD: Verdict = Verdict::Heard;

    /// What the sources of the implementations say about their counters.
    #[derive(Clone, Copy)]
    enum Peer {
        /// OpenBSD: a cookie that it keeps until it boots.
        Constant(u64),
        /// FreeBSD, NetBSD, UCarp: the last that was said or heard; `None` before anybody was heard.
        Counts(Option<u64>),
    }

    impl Peer {
        fn say(&mut self, random: &mut u64) -> u64 {
            *random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            match self {
                Self::Constant(cookie) => *cookie,
                Self::Counts(None) => *random,
                Self::Counts(Some(last)) => {
                    *last = last.wrapping_add(1);
                    *last
                }
            }
        }

        fn hear(&mut self, counter: u64) {
            if let Self::Counts(last) = self {
                *last = Some(counter);
            }
        }
    }

    /// Groups of every mixture, in which anybody speaks, is heard or not by each of the others, and boots: never are two
    /// advertisements in a row of one sender refused, unless it heard somebody in between.
    #[test]
    fn no_false_alarm_by_what_implementations_do() {
        for seed in 1..2000_u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut roll = |sides: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                random % sides
            };
            let mut noise = seed;
            let lossy = seed % 2 == 0;
            let mut peers: Vec<Peer> = (0..3)
                .map(|_| match roll(3) {
                    0 => Peer::Constant(roll(u64::MAX)),
                    _ => Peer::Counts(None),
                })
                .collect();
            let mut ear = Ear::new();
            let mut refused = [0_u32; 3];
            let mut master = 0;
            for _ in 0..200 {
                match roll(12) {
                    0 => master = usize::try_from(roll(3)).unwrap(),
                    1 if matches!(peers[master], Peer::Constant(_)) => {
                        peers[master] = Peer::Constant(roll(u64::MAX));
                        ear.wait(5);
                    }
                    1 => {
                        peers[master] = Peer::Counts(None);
                        ear.wait(5);
                    }
                    _ => {}
                }
                let counter = peers[master].say(&mut noise);
                for (index, peer) in peers.iter_mut().enumerate() {
                    if index != master && !(lossy && roll(4) == 0) {
                        peer.hear(counter);
                        // Perhaps it goes back by that.
                        refused[index] = 0;
                    }
                }
                if lossy && roll(6) == 0 {
                    continue;
                }
                let host = u8::try_from(master).unwrap();
                if is_good(ear.hear(host, counter)) {
                    refused[master] = 0;
                } else {
                    refused[master] += 1;
                    assert!(refused[master] < 2, "seed {seed}: {counter:x}");
                }
            }
        }
    }

    #[test]
    fn a_recording_of_one_that_counts_is_refused_from_whomever() {
        let mut ear = Ear::new();
        ear.accepts(2, 1000..1100);
        for counter in [1099, 1050, 1000, 1000, 1099, 1099] {
            assert_eq!(ear.hear(2, counter), HEARD, "{counter}");
            assert_eq!(ear.hear(9, counter), HEARD, "{counter}");
        }
        // Also long after.
        ear.wait(1000);
        assert_eq!(ear.hear(2, 1099), HEARD);
        ear.accepts(2, 1100..1105);
    }

    #[test]
    fn and_of_one_that_says_any_number() {
        let mut ear = Ear::new();
        ear.accepts(2, [7, 1 << 60, 99_999, 12, 1 << 40]);
        for _ in 0..5 {
            assert_eq!(ear.hear(2, 99_999), HEARD);
        }
    }

    /// It boots, and says another number for ever.
    #[test]
    fn openbsd_is_left_alone() {
        let mut ear = Ear::new();
        ear.accepts(2, [77; 50]);
        ear.accepts(2, [9_000; 50]);
        ear.wait(60);
        ear.accepts(2, [5; 50]);
        // But nobody else says its number.
        assert_eq!(ear.hear(3, 5), HEARD);
    }

    #[test]
    fn who_counts_again_loses_one_and_goes_on() {
        let mut ear = Ear::new();
        ear.accepts(2, 1000..1050);
        assert_eq!(ear.hear(2, 1020), HEARD);
        ear.accepts(2, 1021..1060);
        // Two that heard the same go on with the same numbers.
        assert_eq!(ear.hear(3, 1055), HEARD);
        ear.accepts(3, 1056..1070);
    }

    /// The other spoke meanwhile, and was heard: nothing is lost.
    #[test]
    fn who_heard_somebody_that_was_behind_goes_on_from_there() {
        let mut ear = Ear::new();
        ear.accepts(2, 1000..1050);
        ear.accepts(3, [998, 999]);
        ear.accepts(2, 1000..1060);
        ear.wait(1);
        // We spoke after that one, and it is not known whether it heard us; but once only.
        ear.past.say(ear.now, 1031);
        ear.accepts(2, [1032]);
        assert_eq!(ear.hear(2, 1032), HEARD);
        assert_eq!(ear.hear(2, 1032), HEARD);
    }

    #[test]
    fn what_we_said_ourselves_is_known() {
        let mut ear = Ear::new();
        (10..20).for_each(|counter| ear.past.say(ear.now, counter));
        assert_eq!(ear.hear(2, 15), Verdict::Ours);
        assert_eq!(ear.hear(2, 15), Verdict::Ours);
        ear.accepts(3, 20..25);
    }
}
