//! A bad cable: carries frames between two interfaces and does to them what a [`Misfortune`] says.
//!
//! ```text
//!   router eth0 ── cab1 (first) ══ relay ══ tap1 (second) ── lan1, port of the switch
//! ```
//!
//! Each direction has a thread, an [`Impairment`] that may change at any time, a seeded [`Misfortune`] and counters.
//! Frames go on one by one as they come: `recvmmsg` would save system calls that nobody misses at laboratory rates.

use crate::clock::Stamp;
use crate::misfortune::{Impairment, Misfortune, PATIENCE};
use crate::netns::Namespace;
use crate::priority;
use crate::socket::PacketSocket;
use crate::wire::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, VRRP};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A direction of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first interface to the second: what a router says.
    Out,
    /// From the second to the first: what it hears.
    In,
}

/// What became of the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames that came.
    pub seen: u64,
    /// Frames that were not carried on.
    pub lost: u64,
    /// Frames that were carried on twice.
    pub doubled: u64,
    /// Frames that were held back behind others.
    pub held: u64,
    /// Frames that the other interface would not take, being down.
    pub refused: u64,
}

#[derive(Default)]
struct Counters {
    seen: AtomicU64,
    lost: AtomicU64,
    doubled: AtomicU64,
    held: AtomicU64,
    refused: AtomicU64,
}

/// One direction as both sides see it.
struct Direction {
    impairment: Mutex<Impairment>,
    counters: Counters,
}

/// A running relay; a good cable until told otherwise. Dropped, it is a cut one.
pub struct Relay {
    directions: [Arc<Direction>; 2],
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// Starts carrying between `first` and `second` of `namespace`.
    ///
    /// # Panics
    /// If one of the interfaces does not exist.
    #[must_use]
    pub fn between(namespace: &Namespace, first: &str, second: &str, seed: u64) -> Self {
        let open = |interface: &str| {
            let opened = namespace.enter(|| PacketSocket::open_carrier(interface));
            Arc::new(opened.unwrap_or_else(|error| panic!("{interface}: {error}")))
        };
        let ends = [open(first), open(second)];
        let stop = Arc::new(AtomicBool::new(false));
        let directions: [Arc<Direction>; 2] = std::array::from_fn(|_| {
            Arc::new(Direction {
                impairment: Mutex::new(Impairment::default()),
                counters: Counters::default(),
            })
        });
        let threads = (0..2)
            .map(|way| {
                let carrier = Carrier {
                    from: Arc::clone(&ends[way]),
                    to: Arc::clone(&ends[1 - way]),
                    direction: Arc::clone(&directions[way]),
                    misfortune: Misfortune::new(seed.wrapping_add(way as u64)),
                    due: BinaryHeap::new(),
                    held: Vec::new(),
                    number: 0,
                };
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || carrier.run(&stop))
            })
            .collect();
        Self {
            directions,
            stop,
            threads,
        }
    }

    /// Changes one direction from the next frame on; frames under way keep their fate.
    pub fn set(&self, way: Way, impairment: Impairment) {
        *self.directions[way as usize]
            .impairment
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = impairment;
    }

    /// Changes both directions.
    pub fn set_both(&self, impairment: Impairment) {
        self.set(Way::Out, impairment);
        self.set(Way::In, impairment);
    }

    /// A good cable again.
    pub fn heal(&self) {
        self.set_both(Impairment::default());
    }

    /// What became of the frames of one direction so far.
    #[must_use]
    pub fn tally(&self, way: Way) -> Tally {
        let counters = &self.directions[way as usize].counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            seen: read(&counters.seen),
            lost: read(&counters.lost),
            doubled: read(&counters.doubled),
            held: read(&counters.held),
            refused: read(&counters.refused),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// A frame with the kernel's notes about it, and its place in time: when it is due, and the order among equals.
type Scheduled = Reverse<(Stamp, u64, Vec<u8>)>;

/// A frame that waits for others to pass.
struct Held {
    left: u32,
    until: Stamp,
    delay: Duration,
    frame: Vec<u8>,
}

/// The thread of one direction.
struct Carrier {
    from: Arc<PacketSocket>,
    to: Arc<PacketSocket>,
    direction: Arc<Direction>,
    misfortune: Misfortune,
    due: BinaryHeap<Scheduled>,
    held: Vec<Held>,
    number: u64,
}

impl Carrier {
    fn run(mut self, stop: &AtomicBool) {
        priority::raise();
        let mut buffer = vec![0; 65_536 + NOTES];
        while !stop.load(Ordering::Relaxed) {
            self.from.wait(self.patience());
            // The interface may be gone for good: then nothing comes any more.
            while let Ok(Some(length)) = self.from.take(&mut buffer) {
                self.receive(&buffer[..length]);
            }
            self.flush();
        }
    }

    /// How long it may sleep.
    fn patience(&self) -> Duration {
        let next = self.due.peek().map(|Reverse((at, _, _))| *at);
        let held = self.held.iter().map(|held| held.until).min();
        let soonest = next.into_iter().chain(held).min();
        soonest.map_or(IDLE, |at| at.since(Stamp::now()).min(IDLE))
    }

    fn receive(&mut self, frame: &[u8]) {
        let impairment = *self
            .direction
            .impairment
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let fate = self.misfortune.next(&impairment, is_advert(frame));
        let counters = &self.direction.counters;
        counters.seen.fetch_add(1, Ordering::Relaxed);
        match fate.copies {
            0 => {
                counters.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            1 => {}
            _ => {
                counters.doubled.fetch_add(1, Ordering::Relaxed);
            }
        }
        if fate.behind > 0 {
            counters.held.fetch_add(1, Ordering::Relaxed);
        }
        for _ in 0..fate.copies {
            if fate.behind > 0 {
                self.held.push(Held {
                    left: fate.behind,
                    until: Stamp::now() + PATIENCE,
                    delay: fate.delay,
                    frame: frame.to_vec(),
                });
            } else if fate.delay.is_zero() {
                self.send(frame);
            } else {
                self.schedule(fate.delay, frame.to_vec());
            }
        }
        if fate.behind == 0 {
            for held in &mut self.held {
                held.left = held.left.saturating_sub(1);
            }
        }
        self.release();
    }

    /// Lets go what was held back long enough.
    fn release(&mut self) {
        let now = Stamp::now();
        while let Some(index) = self
            .held
            .iter()
            .position(|held| held.left == 0 || held.until <= now)
        {
            let held = self.held.remove(index);
            self.schedule(held.delay, held.frame);
        }
    }

    fn schedule(&mut self, delay: Duration, frame: Vec<u8>) {
        self.number += 1;
        self.due
            .push(Reverse((Stamp::now() + delay, self.number, frame)));
    }

    /// Sends what is due.
    fn flush(&mut self) {
        self.release();
        let now = Stamp::now();
        while self
            .due
            .peek()
            .is_some_and(|Reverse((at, _, _))| *at <= now)
        {
            let Some(Reverse((_, _, frame))) = self.due.pop() else {
                return;
            };
            self.send(&frame);
        }
    }

    fn send(&self, frame: &[u8]) {
        if self.to.send(frame).is_err() {
            self.direction
                .counters
                .refused
                .fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The length of the kernel's notes before each frame (`struct virtio_net_hdr`).
const NOTES: usize = 10;
/// The longest sleep.
const IDLE: Duration = Duration::from_millis(20);

/// Whether a frame with its notes carries an advertisement.
fn is_advert(frame: &[u8]) -> bool {
    let ethertype = frame
        .get(NOTES + 12..NOTES + 14)
        .map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    let protocol = match ethertype {
        Some(ETHERTYPE_IPV4) => frame.get(NOTES + 23),
        Some(ETHERTYPE_IPV6) => frame.get(NOTES + 20),
        _ => None,
    };
    protocol == Some(&VRRP)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Capture;
    use crate::clock::ms;
    use crate::misfortune::Bursts;
    use crate::tester::Tester;
    use crate::topology::cable;
    use crate::wire::{Ethernet, Mac, Payload};

    /// Two ends of a cable with a relay in the middle.
    struct Line {
        relay: Relay,
        near: Tester,
        far: Capture,
        _ends: [Namespace; 3],
    }

    fn line(seed: u64) -> Line {
        let ends = ["near", "middle", "far"].map(Namespace::new);
        cable((&ends[0], "eth0"), (&ends[1], "cab1"));
        cable((&ends[1], "tap1"), (&ends[2], "eth0"));
        for (end, interface) in [(0, "eth0"), (1, "cab1"), (1, "tap1"), (2, "eth0")] {
            ends[end].sysctl("ipv6/conf/default/disable_ipv6=1 ipv6/conf/all/disable_ipv6=1");
            ends[end].ip(&format!(
                "link set {interface} arp off\nlink set {interface} up"
            ));
        }
        ends[0].wait_carrier("eth0");
        ends[2].wait_carrier("eth0");
        Line {
            relay: Relay::between(&ends[1], "cab1", "tap1", seed),
            near: Tester::new(&ends[0], "eth0"),
            far: Capture::start(&ends[2], "eth0"),
            _ends: ends,
        }
    }

    /// An ethertype for experiments.
    const EXPERIMENT: u16 = 0x88b5;

    fn numbered(number: u32) -> Vec<u8> {
        let mut body = number.to_be_bytes().to_vec();
        body.resize(46, 0);
        Ethernet {
            destination: Mac::BROADCAST,
            source: Mac::played(1),
            ethertype: EXPERIMENT,
        }
        .frame(&body)
    }

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes([bytes[14], bytes[15], bytes[16], bytes[17]])
    }

    /// Sends numbered frames a fifth of a millisecond apart and returns the numbers that arrived, in order, with when.
    fn run(line: &Line, count: u32) -> (Vec<Stamp>, Vec<(u32, Stamp)>) {
        let begun = Stamp::now();
        let sent: Vec<Stamp> = (0..count)
            .map(|n| {
                (begun + Duration::from_micros(200) * n).sleep_until();
                line.near.send_frame(&numbered(n))
            })
            .collect();
        std::thread::sleep(ms(200));
        let arrived = line.far.pick(begun, |frame| {
            (!frame.outgoing
                && frame.packet.ethernet.ethertype == EXPERIMENT
                && matches!(frame.packet.payload, Payload::Other))
            .then(|| (number(&frame.bytes), frame.at))
        });
        (sent, arrived)
    }

    fn numbers(line: &Line, count: u32) -> Vec<u32> {
        run(line, count).1.iter().map(|(n, _)| *n).collect()
    }

    #[test]
    fn a_good_cable_costs_little() {
        let line = line(1);
        let (sent, arrived) = run(&line, 3000);
        let order: Vec<u32> = arrived.iter().map(|(n, _)| *n).collect();
        assert_eq!(order, (0..3000).collect::<Vec<u32>>());
        let mut late: Vec<Duration> = arrived
            .iter()
            .map(|(n, at)| at.since(sent[*n as usize]))
            .collect();
        late.sort();
        println!(
            "through the relay, a send call included: half within {:?}, 99 of 100 within {:?}, all within {:?}",
            late[1500], late[2970], late[2999]
        );
        // A tenth of what the probes of a client are apart.
        assert!(late[1500] < Duration::from_micros(500), "{:?}", late[1500]);
        let tally = line.relay.tally(Way::Out);
        assert!(
            tally.seen >= 3000 && tally.lost == 0 && tally.refused == 0,
            "{tally:?}"
        );
    }

    #[test]
    fn the_same_seed_loses_the_same_frames() {
        let lose = |seed| {
            let line = line(seed);
            line.relay.set(Way::Out, Impairment::losing(0.3));
            numbers(&line, 1000)
        };
        let (once, again, other) = (lose(5), lose(5), lose(6));
        assert_eq!(once, again);
        assert_ne!(once, other);
        assert!(
            (650..=750).contains(&once.len()),
            "{} of 1000 arrived",
            once.len()
        );
    }

    #[test]
    fn one_way_and_back_to_good() {
        let line = line(2);
        line.relay.set(Way::In, Impairment::blocked());
        assert_eq!(numbers(&line, 50).len(), 50, "the other way is open");
        line.relay.set(Way::Out, Impairment::blocked());
        assert_eq!(numbers(&line, 50), [0; 0]);
        line.relay.heal();
        assert_eq!(numbers(&line, 50).len(), 50);
        assert_eq!(line.relay.tally(Way::Out).lost, 50);
    }

    #[test]
    fn frames_come_twice_late_and_out_of_order() {
        let line = line(3);
        let bad = |impairment| line.relay.set(Way::Out, impairment);
        bad(Impairment {
            duplicate: 0.5,
            ..Impairment::default()
        });
        let twice = numbers(&line, 400).len();
        assert!((540..=660).contains(&twice), "{twice} of 400");

        bad(Impairment {
            reorder: 0.2,
            behind: 3,
            ..Impairment::default()
        });
        let order = numbers(&line, 400);
        assert_eq!(order.len(), 400, "none is lost");
        let back = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!((40..=120).contains(&back), "{back} steps back");

        bad(Impairment {
            delay: ms(20),
            jitter: ms(5),
            ..Impairment::default()
        });
        let (sent, arrived) = run(&line, 400);
        let late = arrived
            .iter()
            .map(|(n, at)| at.since(sent[*n as usize]))
            .min();
        assert!(late.is_some_and(|late| late >= ms(20)), "{late:?}");
        let order: Vec<u32> = arrived.iter().map(|(n, _)| *n).collect();
        assert!(!order.is_sorted(), "jitter lets frames overtake each other");
    }

    #[test]
    fn bursts_come_in_bursts() {
        let line = line(4);
        line.relay.set(
            Way::Out,
            Impairment {
                bursts: Some(Bursts {
                    begin: 0.02,
                    end: 0.1,
                }),
                ..Impairment::default()
            },
        );
        let order = numbers(&line, 2000);
        let longest = order
            .windows(2)
            .map(|pair| pair[1] - pair[0] - 1)
            .max()
            .unwrap_or(0);
        assert!(longest >= 10, "the longest burst has {longest} frames");
        assert!(
            (1000..1950).contains(&order.len()),
            "{} of 2000",
            order.len()
        );
    }
}
