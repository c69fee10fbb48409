//! A sequence of events from bytes, played to an engine that speaks CARP and to the model at once.
//!
//! As [`crate::reference::script`]: sixteen bytes make the router, every eight more bytes one event, and all bytes mean
//! something. Counters are not compared: of those it is only asked that none was ever said or heard before.

use core::fmt::Write as _;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::carp::{CarpPlan, Passphrase, Profile, priority};
use vrrp_proto::{
    Dialect, Family, Input, Interval, LinkFacts, MacAddress, Note, Order, Plan, Priority,
    RouterPlan, Standing, VirtualAddress, Vrid,
};

use super::machine::{Machine, Said};
use super::terms::{Bid, Manner, Terms};
use super::wire::{self, Discarded, LENGTH};
use crate::reference::machine::{Sent, group};
use crate::reference::script::{EVENT_BYTES, ROUTER_BYTES};
use crate::reference::subject::{Beside, INTERFACE, Subject, at, same};
use crate::reference::terms::{Nanos, SECOND};
use crate::reference::wire::{Packet, Refusal};

/// What comes after so many events is not played.
const LONGEST: usize = 2_000;
const SKEWS: [u8; 8] = [100, 0, 1, 50, 200, 253, 254, 240];
const KEY: &[u8] = b"secret";

/// An advertisement to be, right or wrong.
#[derive(Clone, Copy, Debug)]
struct Forgery {
    bid: Bid,
    ipv6: bool,
    source: Source,
    counter: Counter,
    link_local: bool,
    defect: Defect,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    Peer,
    OtherPeer,
    Stranger,
    Own,
}

#[derive(Clone, Copy, Debug)]
enum Counter {
    /// Just behind the last one that was heard or said, as FreeBSD does.
    Next,
    /// Always the same, as OpenBSD does.
    Cookie,
    /// Anything, as FreeBSD does as long as it is alone.
    Random(u16),
    /// Far ahead of all others.
    High,
}

/// What is wrong with a packet; the checksum is right again after all but one.
#[derive(Clone, Copy, Debug)]
enum Defect {
    None,
    Checksum(u8),
    Ttl(u8),
    Cut(u8),
    Longer(u8),
    Byte(u8, u8),
    Vhid(u8),
    Version(u8),
    Key,
    OtherAddress,
    Authlen(u8),
    Destination,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Packet(Forgery),
    /// What it said last comes back from its own address.
    Echo,
    /// So many 800ths of the base pass, and every timer is served when it is due.
    Wait(u64),
    /// Time passes until this long after the router's own timer is due (before it, if `early`), unserved until then.
    Deadline {
        by: u64,
        nano: bool,
        early: bool,
        served: bool,
    },
    /// Time passes while the machine is suspended.
    Sleep {
        parts: u64,
        served: bool,
    },
    Link {
        works: bool,
        last: Option<u8>,
        link_local: bool,
    },
    Reload {
        advskew: u8,
        advbase: u8,
        preempt: bool,
    },
    /// An operator or a tracker: CARP calls what comes of it demotion.
    Priority(Option<u8>),
    Applied,
    Shutdown,
}

/// A router and what happens to it.
#[derive(Clone, Debug)]
pub struct Script {
    terms: Terms,
    events: Vec<Event>,
}

fn pick<T: Copy>(choices: &[T], byte: u8) -> T {
    choices[usize::from(byte) % choices.len()]
}

const fn real(ipv6: bool, last: u8) -> IpAddr {
    if ipv6 {
        IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last as u16))
    } else {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
    }
}

fn addresses(kind: u8, count: u8) -> Vec<IpAddr> {
    let v4 = (0..=count % 2).map(|number| IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254 - number)));
    let v6 = (0..=count / 2 % 3).map(|number| match number {
        1 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0x5eff, 0xfe00, 0, 0x133)),
        _ => IpAddr::V6(Ipv6Addr::new(
            0x2001,
            0xdb8,
            0,
            0,
            0,
            0,
            0,
            u16::from(9 - number),
        )),
    });
    match kind % 3 {
        0 => v4.collect(),
        1 => v6.collect(),
        _ => v4.chain(v6).collect(),
    }
}

/// The priority that stands for a skew: 254 and less, but never 0.
const fn base(advskew: u8) -> u8 {
    if advskew >= 253 { 1 } else { 254 - advskew }
}

impl Script {
    /// Whatever these bytes mean; missing ones are zeros.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut router = [0; ROUTER_BYTES];
        let head = bytes.len().min(ROUTER_BYTES);
        router[..head].copy_from_slice(&bytes[..head]);
        let terms = Self::terms_of(router);
        let events = bytes[head..]
            .chunks_exact(EVENT_BYTES)
            .take(LONGEST)
            .map(|chunk| Self::event_of(&terms, chunk))
            .collect();
        Self { terms, events }
    }

    /// How many events it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing happens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn terms_of(bytes: [u8; ROUTER_BYTES]) -> Terms {
        let [manner, kind, advskew, advbase, manners, count, peers, ..] = bytes;
        let addresses = addresses(kind, count);
        let families = [false, true].into_iter();
        let spoken = families.filter(|ipv6| addresses.iter().any(|it| it.is_ipv6() == *ipv6));
        let unicast = peers % 8 == 7;
        let peers = spoken.filter(|_| unicast);
        Terms {
            manner: pick(
                &[Manner::Any, Manner::Any, Manner::OpenBsd, Manner::FreeBsd],
                manner,
            ),
            ours: true,
            vhid: 51,
            advbase: pick(&[1, 1, 1, 2, 255], advbase),
            advskew: pick(&SKEWS, advskew),
            demotion: 0,
            preempt: manners % 2 == 0,
            hold_time: match manners % 8 {
                2 => 5 * SECOND,
                4 => SECOND / 2,
                _ => 0,
            },
            peers: peers
                .flat_map(|ipv6| [real(ipv6, 5), real(ipv6, 200)])
                .collect(),
            addresses,
            key: KEY.to_vec(),
        }
    }

    fn event_of(terms: &Terms, bytes: &[u8]) -> Event {
        let byte = |at: usize| bytes[at];
        let parts = |at: usize| u64::from(byte(at));
        match byte(0) % 20 {
            0..=7 => Event::Packet(Self::forgery_of(terms, bytes)),
            8..=10 => Event::Wait(20 * parts(1)),
            11 | 12 => Event::Deadline {
                by: pick(&[0, 0, 16, 200, 1600], byte(1)),
                nano: byte(1) / 5 % 2 == 1,
                early: byte(2) % 4 == 3,
                served: byte(3) % 4 != 3,
            },
            13 => Event::Sleep {
                parts: 20 * parts(1) + parts(2),
                served: byte(3) % 2 == 0,
            },
            14 => Event::Link {
                works: byte(1) % 3 != 2,
                last: pick(&[Some(11), Some(11), Some(12), Some(210), None], byte(2)),
                link_local: byte(3) % 5 != 4,
            },
            15 => Event::Reload {
                advskew: pick(&SKEWS, byte(1)),
                advbase: pick(&[1, 1, 2, 255], byte(2)),
                preempt: byte(3) % 4 != 3,
            },
            16 | 17 => Event::Priority((byte(1) % 4 != 3).then(|| byte(2).clamp(1, 254))),
            18 if byte(1) % 2 == 0 => Event::Applied,
            18 => Event::Echo,
            _ if byte(1) == 255 => Event::Shutdown,
            _ => Event::Wait(parts(2)),
        }
    }

    fn forgery_of(terms: &Terms, bytes: &[u8]) -> Forgery {
        let byte = |at: usize| bytes[at];
        let own = terms.bid();
        let defect = match byte(4) {
            0..=159 => Defect::None,
            160..=167 => Defect::Checksum(byte(5)),
            168..=175 => Defect::Ttl(byte(5)),
            176..=183 => Defect::Cut(byte(5)),
            184..=191 => Defect::Longer(byte(5)),
            192..=207 => Defect::Byte(byte(5), byte(6)),
            208..=215 => Defect::Vhid(byte(5)),
            216..=223 => Defect::Version(byte(5)),
            224..=231 => Defect::Key,
            232..=239 => Defect::OtherAddress,
            240..=247 => Defect::Authlen(byte(5)),
            248..=255 => Defect::Destination,
        };
        Forgery {
            bid: Bid {
                advbase: pick(
                    &[own.advbase, own.advbase, own.advbase, 1, 2, 3, 4, 0, 255],
                    byte(1),
                ),
                advskew: match byte(2) % 8 {
                    0 | 1 => own.advskew,
                    2 => own.advskew.saturating_add(1),
                    3 => own.advskew.saturating_sub(1),
                    4 => 255,
                    5 => 0,
                    _ => byte(7),
                },
                demotion: pick(&[0, 0, 0, 0, 1, 3, 40, 255, byte(6)], byte(3)),
            },
            ipv6: byte(1) / 9 % 2 == 1,
            source: pick(
                &[
                    Source::Peer,
                    Source::Peer,
                    Source::OtherPeer,
                    Source::OtherPeer,
                    Source::Own,
                    Source::Stranger,
                ],
                byte(3) / 9,
            ),
            counter: pick(
                &[
                    Counter::Next,
                    Counter::Cookie,
                    Counter::Random(u16::from_be_bytes([byte(5), byte(6)])),
                    Counter::High,
                    Counter::Next,
                ],
                byte(2) / 8,
            ),
            link_local: byte(7) % 2 == 1,
            defect,
        }
    }

    /// Plays it; both must do the same, and the laws of the [`Judge`](crate::judge::Judge) must hold.
    ///
    /// # Errors
    /// The first difference, with everything that led to it.
    pub fn play(&self) -> Result<(), String> {
        let mut pair = Pair::new(&self.terms).map_err(|difference| self.report(0, &difference))?;
        for (number, event) in (1..).zip(&self.events) {
            pair.play(*event)
                .and_then(|()| pair.compare())
                .map_err(|difference| self.report(number, &difference))?;
            // In some scripts there is a new process after each event.
            if self.events.len().is_multiple_of(8) {
                pair.subject
                    .hand_over()
                    .and_then(|()| pair.compare())
                    .map_err(|difference| self.report(number, &difference))?;
            }
        }
        Ok(())
    }

    fn report(&self, number: usize, difference: &str) -> String {
        let mut text = format!("{:#?}\n", self.terms);
        for event in &self.events[..number] {
            let _ = writeln!(text, "{event:?}");
        }
        text + difference
    }
}

/// The engine and the model, side by side.
struct Pair {
    subject: Subject,
    model: Machine,
    /// What the model's counters would be.
    tally: BTreeMap<&'static str, u64>,
    last: u8,
    /// The addresses that it had before the interface changed.
    was: [Option<IpAddr>; 2],
    /// The priority that an operator has set.
    set: Option<u8>,
    sent: Vec<Sent>,
    /// Every counter that was said, or heard from somebody.
    counters: BTreeSet<u64>,
    latest: u64,
}

impl Beside for Pair {
    fn subject(&mut self) -> &mut Subject {
        &mut self.subject
    }

    fn deadline(&self) -> Option<Nanos> {
        self.model.deadline()
    }

    fn wake_model(&mut self) {
        self.model.timer(self.subject.now);
    }

    fn compare(&mut self) -> Result<(), String> {
        let look = self.subject.look()?;
        let expected = self.expected(&look.sent)?;
        same("advertisements", &look.sent, &expected)?;
        if !expected.is_empty() {
            self.sent = expected;
        }
        same("role", &look.role, &self.model.role())?;
        let mut expected = self.tally.clone();
        expected.insert("master-transitions", self.model.counts.takeovers);
        expected.insert("conflicts", self.model.counts.conflicts);
        expected.retain(|_, count| *count > 0);
        same("counters", &look.tally, &expected)?;
        same("timer", &look.deadline, &self.model.deadline())
            .map_err(|difference| format!("{difference}\n   now: {}", self.subject.now))
    }
}

impl Pair {
    fn new(terms: &Terms) -> Result<Self, String> {
        let start = 10_000 * SECOND;
        let mut subject = Subject::new(&plan(terms), start);
        subject.engine.count_from(1_790_000_000 << 32);
        let mut pair = Self {
            subject,
            model: Machine::new(terms.clone()),
            tally: BTreeMap::new(),
            last: 11,
            was: [None; 2],
            set: None,
            sent: Vec::new(),
            counters: BTreeSet::new(),
            latest: 0,
        };
        pair.compare()?;
        pair.link(true, Some(11), true);
        pair.compare()?;
        Ok(pair)
    }

    fn play(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Packet(forgery) => {
                let (source, destination, ttl, message) = self.forge(&forgery);
                self.deliver(source, destination, ttl, &message);
            }
            Event::Echo => {
                if let Some(Sent {
                    source,
                    destination,
                    message,
                }) = self.sent.first().cloned()
                    && self.model.own().contains(&Some(source))
                {
                    self.deliver(source, destination, 255, &message);
                }
            }
            Event::Wait(parts) => return self.wait(self.part() * parts),
            Event::Deadline {
                by,
                nano,
                early,
                served,
            } => {
                let by = self.part() * by + u64::from(nano);
                self.sleep_about(by, early, served);
            }
            Event::Sleep { parts, served } => {
                let until = self.subject.now + self.part() * parts;
                self.sleep(until, served);
            }
            Event::Link {
                works,
                last,
                link_local,
            } => self.link(works, last, link_local),
            Event::Reload {
                advskew,
                advbase,
                preempt,
            } => {
                let mut terms = self.model.terms().clone();
                let revised = (terms.advskew, terms.advbase) != (advskew, advbase);
                let before = terms.clone();
                terms.advskew = advskew;
                terms.advbase = advbase;
                terms.preempt = preempt;
                terms.demotion = self.demotion(advskew);
                let plan = plan(&terms);
                if revised {
                    self.model.revise(self.subject.now, terms);
                } else if before != terms {
                    self.model.prefer(self.subject.now, preempt);
                }
                self.subject.handle(Input::Reload(&plan));
            }
            Event::Priority(set) => self.order(set)?,
            Event::Applied => {
                self.subject.applied();
            }
            Event::Shutdown => {
                self.model.stop(self.subject.now);
                self.subject.handle(Input::Shutdown);
            }
        }
        Ok(())
    }

    /// Demotion is what the priority in force is below that of the configured skew.
    fn demotion(&self, advskew: u8) -> i16 {
        let base = base(advskew);
        i16::from(base) - i16::from(self.set.unwrap_or(base))
    }

    fn order(&mut self, set: Option<u8>) -> Result<(), String> {
        let order = match set {
            Some(priority) => Order::SetPriority {
                priority: Priority::new(priority),
                terms: Standing {
                    until: None,
                    note: Note::default(),
                },
            },
            None => Order::ResetPriority,
        };
        match self
            .subject
            .engine
            .operate(at(self.subject.now), "gateway", order)
        {
            Ok(_) => {
                self.set = set;
                let mut terms = self.model.terms().clone();
                terms.demotion = self.demotion(terms.advskew);
                let (before, after) = (self.model.terms().demotion, terms.demotion);
                self.model.stand_back_if_late(self.subject.now);
                if before != after && self.model.primary().is_some() {
                    self.model.revise(self.subject.now, terms);
                    // Decision: what is ordered comes before what was heard; that is heard again.
                    if after > before || !self.model.terms().preempt {
                        self.model.restrain(self.subject.now);
                    }
                } else if before != after {
                    self.model.revise(self.subject.now, terms);
                }
                Ok(())
            }
            // After a shutdown there is nobody left to ask.
            Err(vrrp_proto::Denial::Stopping) => Ok(()),
            Err(denial) => Err(format!("refused: {denial}")),
        }
    }

    fn link(&mut self, works: bool, last: Option<u8>, link_local: bool) {
        let facts = LinkFacts {
            index: 2,
            up: works,
            carrier: works,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 11]),
            ipv4: last
                .map(|last| (Ipv4Addr::new(192, 0, 2, last), 24))
                .into_iter()
                .collect(),
            link_local: last
                .filter(|_| link_local)
                .map(|last| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)))
                .into_iter()
                .collect(),
        };
        let own = [
            last.map(|last| real(false, last)),
            last.filter(|_| link_local).map(|last| real(true, last)),
        ];
        let own = [false, true]
            .map(|ipv6| own[usize::from(ipv6)].filter(|_| self.model.terms().speaks(ipv6)));
        self.last = last.unwrap_or(self.last);
        self.was = self.model.own();
        self.model.link(self.subject.now, own, works);
        self.subject.link(&facts);
    }

    fn deliver(&mut self, source: IpAddr, destination: IpAddr, ttl: u8, message: &[u8]) {
        let packet = Packet {
            source,
            destination,
            ttl,
            message,
        };
        match wire::check(&packet, self.model.terms(), self.model.own()) {
            Err(discarded) => self.count(name_of(discarded)),
            Ok(heard) => {
                self.counters.insert(heard.counter);
                self.latest = self.latest.max(heard.counter);
                // Decision: without an address of its own a router has no voice in the matter, and does not even count.
                if self.model.primary().is_some() {
                    self.count("advertisement-rcvd");
                    if heard.bid.gives_up() {
                        self.count("priority-zero-pkts-rcvd");
                    }
                    self.model.hear(self.subject.now, &heard);
                }
            }
        }
        self.subject.hear(&packet);
    }

    fn count(&mut self, name: &'static str) {
        *self.tally.entry(name).or_default() += 1;
    }

    fn part(&self) -> Nanos {
        Nanos::from(self.model.terms().advbase) * SECOND / 800
    }

    /// What the model says, with the counters that the engine has chosen. None of them was there before.
    fn expected(&mut self, sent: &[Sent]) -> Result<Vec<Sent>, String> {
        let mut expected = Vec::new();
        for said in self.model.take_said() {
            let terms = self.model.terms();
            let spoken = [false, true].into_iter().filter(|it| terms.speaks(*it));
            let groups: Vec<IpAddr> = spoken.map(group).collect();
            let destinations = if terms.peers.is_empty() {
                groups
            } else {
                terms.peers.clone()
            };
            let first = sent.get(expected.len());
            let counter = first.and_then(|sent| wire::counter(&sent.message));
            let counter = counter.unwrap_or_default();
            let bid = match said {
                Said::Regular(bid) | Said::Farewell(bid) => bid,
            };
            let message = wire::write(terms, bid, counter).to_vec();
            for destination in destinations {
                // What is said because an address is gone is said from there.
                let family = usize::from(destination.is_ipv6());
                let source = match said {
                    Said::Farewell(_) if self.was != self.model.own() => self.was[family],
                    Said::Farewell(_) | Said::Regular(_) => self.model.own()[family],
                };
                expected.push(Sent {
                    source: source.unwrap_or(destination),
                    destination,
                    message: message.clone(),
                });
            }
            self.count("advertisement-sent");
            if matches!(said, Said::Farewell(_)) {
                self.count("priority-zero-pkts-sent");
            }
            if !self.counters.insert(counter) {
                return Err(format!("counter {counter:#x} was there before"));
            }
            self.latest = counter;
        }
        self.was = self.model.own();
        Ok(expected)
    }

    fn forge(&self, forgery: &Forgery) -> (IpAddr, IpAddr, u8, Vec<u8>) {
        let own = self.model.terms();
        let mut terms = own.clone();
        // Mostly of a family that it speaks.
        let ipv6 = forgery.ipv6 != (own.speaks(forgery.ipv6) || forgery.counter.is_odd());
        let ipv6 = if own.speaks(forgery.ipv6) {
            forgery.ipv6
        } else {
            ipv6
        };
        let own_address = self.model.own()[usize::from(ipv6)];
        let last = match forgery.source {
            Source::Peer => 5,
            Source::OtherPeer => 200,
            // Without an address it would be somebody's.
            Source::Own if own_address.is_none() => 5,
            Source::Own => self.last,
            Source::Stranger => 9,
        };
        let source = real(ipv6, last);
        let unicast = !own.peers.is_empty();
        let other_way = matches!(forgery.defect, Defect::Destination);
        let destination = if unicast == other_way {
            group(ipv6)
        } else {
            real(ipv6, self.last)
        };
        let counter = match forgery.counter {
            Counter::Next => self.latest.wrapping_add(1),
            Counter::Cookie => 0x9e37_79b9_7f4a_7c15,
            Counter::Random(word) => u64::from(word).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            Counter::High => u64::MAX << 32,
        };
        // Of what was said before, the engine refuses what the model does not know: that has tables of its own.
        let counter = if self.counters.contains(&counter) {
            self.latest.wrapping_add(1)
        } else {
            counter
        };
        let mut ttl = 255;
        match forgery.defect {
            Defect::Key => terms.key = b"Secret".to_vec(),
            Defect::OtherAddress => terms.addresses.push(real(false, 77)),
            Defect::Ttl(other) => ttl = other,
            Defect::None
            | Defect::Checksum(_)
            | Defect::Cut(_)
            | Defect::Longer(_)
            | Defect::Byte(..)
            | Defect::Vhid(_)
            | Defect::Version(_)
            | Defect::Authlen(_)
            | Defect::Destination => {}
        }
        let mut message =
            wire::write_covering(&terms, forgery.bid, counter, forgery.link_local).to_vec();
        match forgery.defect {
            Defect::Checksum(by) => message[7] = message[7].wrapping_add(by),
            Defect::Cut(by) => message.truncate(LENGTH - 1 - usize::from(by) % LENGTH),
            Defect::Longer(by) => message.resize(LENGTH + 1 + usize::from(by) % 40, by),
            Defect::Byte(place, value) => {
                message[usize::from(place) % LENGTH] = value;
                wire::mend(&mut message);
            }
            Defect::Vhid(vhid) => {
                message[1] = vhid;
                wire::mend(&mut message);
            }
            Defect::Version(first) => {
                message[0] = first;
                wire::mend(&mut message);
            }
            Defect::Authlen(authlen) => {
                message[3] = authlen % 16;
                wire::mend(&mut message);
            }
            Defect::None
            | Defect::Ttl(_)
            | Defect::Key
            | Defect::OtherAddress
            | Defect::Destination => {}
        }
        (source, destination, ttl, message)
    }
}

impl Counter {
    const fn is_odd(self) -> bool {
        matches!(self, Self::Random(word) if word % 2 == 1)
    }
}

fn name_of(discarded: Discarded) -> &'static str {
    match discarded {
        Discarded::Digest => "auth-failures",
        Discarded::As(Refusal::Short) => "short-packets",
        Discarded::As(Refusal::Carp) => "carp-pkts-rcvd",
        Discarded::As(Refusal::Ttl) => "ip-ttl-errors",
        Discarded::As(Refusal::Version) => "version-errors",
        Discarded::As(Refusal::Checksum) => "checksum-errors",
        Discarded::As(Refusal::OwnPacket) => "own-pkts-looped",
        Discarded::As(Refusal::Source) => "source-errors",
        Discarded::As(Refusal::Mode) => "mode-errors",
        Discarded::As(
            Refusal::Vrid
            | Refusal::Type
            | Refusal::Length
            | Refusal::Interval
            | Refusal::Addresses
            | Refusal::AuthenticationUnknown
            | Refusal::AuthenticationOther
            | Refusal::Password
            | Refusal::Owner,
        ) => "vrid-errors",
    }
}

/// The engine's plan for a router with these terms.
///
/// # Panics
/// If the terms are none that a configuration can have.
#[must_use]
pub fn plan(terms: &Terms) -> Plan {
    let known = "terms as a configuration has them";
    let addresses: Vec<VirtualAddress> = terms
        .addresses
        .iter()
        .map(|&ip| VirtualAddress {
            ip,
            prefix_len: if ip.is_ipv6() { 64 } else { 24 },
        })
        .collect();
    let family = Family::of(addresses.first().expect(known).ip);
    let vhid = Vrid::new(terms.vhid).expect(known);
    Plan {
        routers: vec![RouterPlan {
            dialect: Dialect::Carp,
            priority: priority(terms.advskew),
            interval: Interval::from_secs(terms.advbase).expect(known),
            preempt: terms.preempt,
            preempt_delay: Duration::from_nanos(terms.hold_time),
            unicast_peers: terms.peers.clone(),
            carp: Some(CarpPlan {
                profile: match terms.manner {
                    Manner::Any | Manner::Ucarp => Profile::Any,
                    Manner::OpenBsd => Profile::OpenBsd,
                    Manner::FreeBsd => Profile::FreeBsd,
                },
                ..CarpPlan::new(terms.advskew, Passphrase::new(&terms.key).expect(known))
            }),
            ..RouterPlan::new("gateway", INTERFACE, vhid, family, addresses)
        }],
        ..Plan::default()
    }
}
