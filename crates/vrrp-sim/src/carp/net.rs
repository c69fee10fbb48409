//! The LAN: what is on its way, what is done to the hosts, and who is woken when.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::{Generation, Note, Order, RouterId};

use super::judge::{Broken, Cause, Judge};
use super::node::{Frame, Node, Outcome, standing};
use super::{MILLI, Tally};
use crate::random::{Chance, Random};
use crate::reference::carp::{Manner, Role, wire};
use crate::reference::terms::{Nanos, SECOND};

/// A host, by number.
pub type Number = usize;

/// Where the clock begins.
pub const START: Nanos = 1_000 * SECOND;

/// What comes.
#[derive(Clone, Debug)]
enum Due {
    Frame(Number, Frame),
    Applied(Number, u64, RouterId, Generation),
    Deed(Deed),
}

/// What is done to the world.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It gets power.
    Start(Number),
    /// It loses power.
    Crash(Number),
    /// It is asked to stop.
    Stop(Number),
    /// Its process dies, and another goes on from what was written down.
    Restart(Number),
    /// Its process is replaced on purpose.
    HandOver(Number),
    /// It stops for so long, and then goes on.
    Pause(Number, Nanos),
    /// It loses carrier.
    Unplug(Number),
    /// It has it again.
    Plug(Number),
    /// Frames of the first do not reach the second.
    Cut(Number, Number),
    /// They do again.
    Mend(Number, Number),
    /// Frames are lost from now on.
    Loss(Chance),
    /// All frames of IPv4, or of IPv6, are.
    Deafen(bool),
    /// No longer.
    Hearken(bool),
    /// So much is wrong with it.
    Demote(Number, i16),
    /// An operator wants it to stay away.
    Drain(Number),
    /// No longer.
    Undrain(Number),
    /// An operator wants somebody else to be Active.
    Failover(Number),
    /// A frame with the right digest comes back to its sender from its own address.
    Echo(Number),
    /// Somebody who does not know the passphrase says something.
    Forge(Number),
}

/// How punctually a UCarp notices that time has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sloth {
    /// At once.
    None,
    /// So much later.
    Constant(Nanos),
    /// Up to a second later: it looks around once a second.
    Polls,
}

/// The world.
#[derive(Debug)]
pub struct Net {
    /// What time it is.
    pub now: Nanos,
    /// The hosts.
    pub nodes: Vec<Node>,
    /// From, to.
    pub cuts: BTreeSet<(Number, Number)>,
    /// How many frames are lost.
    pub loss: Chance,
    /// How many come twice.
    pub twice: Chance,
    /// Families of which nothing arrives.
    pub deaf: [bool; 2],
    /// The longest time that a frame takes.
    pub delay: Nanos,
    /// Of UCarp.
    pub sloth: Sloth,
    /// How long UCarp's script takes, during which it hears and says nothing.
    pub script: Nanos,
    /// Until when each host does nothing.
    pub paused: Vec<Nanos>,
    agenda: BTreeMap<(Nanos, u64), Due>,
    entries: u64,
    random: Random,
    /// When a role last changed.
    pub last_change: Nanos,
    /// What was seen.
    pub tally: Tally,
    judge: Judge,
    last_frame: Vec<Option<Frame>>,
    /// Everything that happened, if anybody wants to know.
    pub trace: Option<String>,
}

impl Net {
    /// Hosts that are off.
    #[must_use]
    pub fn new(nodes: Vec<Node>, seed: u64, record: bool) -> Self {
        let count = nodes.len();
        Self {
            now: START,
            judge: Judge::new(count),
            nodes,
            cuts: BTreeSet::new(),
            loss: Chance::NEVER,
            twice: Chance::NEVER,
            deaf: [false; 2],
            delay: MILLI / 2,
            sloth: Sloth::None,
            script: 0,
            paused: vec![0; count],
            agenda: BTreeMap::new(),
            entries: 0,
            random: Random::stream(seed, 2),
            last_change: START,
            tally: Tally::default(),
            last_frame: vec![None; count],
            trace: record.then(String::new),
        }
    }

    /// It is done then.
    pub fn put(&mut self, at: Nanos, deed: Deed) {
        self.due(at, Due::Deed(deed));
    }

    fn due(&mut self, at: Nanos, due: Due) {
        self.entries += 1;
        self.agenda.insert((at.max(self.now), self.entries), due);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now - START;
        if let Some(trace) = &mut self.trace {
            let (secs, micros) = (now / SECOND, now % SECOND / 1000);
            let _ = writeln!(trace, "{secs:>4}.{micros:06} {}", line());
        }
    }

    /// Whether it does anything at present.
    #[must_use]
    pub fn is_awake(&self, number: Number) -> bool {
        self.nodes[number].is_up() && self.paused[number] < self.now
    }

    /// Those that are Active.
    pub fn actives(&self) -> impl Iterator<Item = Number> + '_ {
        (0..self.nodes.len()).filter(|number| self.nodes[*number].role() == Role::Active)
    }

    /// Frames of each reach the other, all of them.
    #[must_use]
    pub fn connected(&self, one: Number, other: Number) -> bool {
        let reaches = |from, to| !self.cuts.contains(&(from, to));
        self.nodes[one].carrier
            && self.nodes[other].carrier
            && reaches(one, other)
            && reaches(other, one)
    }

    /// Lets time go by until then.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run_until(&mut self, end: Nanos) -> Result<(), Broken> {
        self.run_while(end, |_| true)
    }

    /// Lets time go by until then, or until `go` says otherwise.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run_while(&mut self, end: Nanos, go: impl Fn(&Self) -> bool) -> Result<(), Broken> {
        while go(self) {
            let alarm = self.alarm().filter(|(at, _)| *at <= end);
            let before = alarm.map_or(end, |(at, _)| at);
            let entry = self.agenda.first_entry();
            if let Some(entry) = entry.filter(|entry| entry.key().0 <= before) {
                let ((at, _), due) = entry.remove_entry();
                self.now = self.now.max(at);
                self.happen(due)?;
            } else if let Some((at, number)) = alarm {
                self.now = self.now.max(at);
                self.act(number, Cause::Timer, Node::timer)?;
            } else {
                self.now = end;
                return self.look();
            }
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<(), Broken> {
        let mut judge = core::mem::take(&mut self.judge);
        let result = judge.look(self);
        self.judge = judge;
        result
    }

    /// Who is woken next. Timers are late by an amount that differs from host to host and from time to time.
    fn alarm(&mut self) -> Option<(Nanos, Number)> {
        let (sloth, paused) = (self.sloth, &self.paused);
        let nodes = self.nodes.iter_mut().enumerate();
        nodes
            .filter_map(|(number, node)| {
                let at = node.deadline()?;
                let hash = (at ^ number as u64)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(20);
                let idle = node.terms.manner == Manner::Ucarp && node.role() == Role::Backup;
                let late = match sloth {
                    Sloth::Constant(late) if idle => late,
                    Sloth::Polls if idle => hash % SECOND,
                    Sloth::None | Sloth::Constant(_) | Sloth::Polls => hash % 300_000,
                };
                Some(((at + late).max(paused[number]), number))
            })
            .min()
    }

    fn happen(&mut self, due: Due) -> Result<(), Broken> {
        match due {
            Due::Frame(to, frame) => {
                let node = &self.nodes[to];
                if !node.carrier || !node.is_up() {
                    return Ok(());
                }
                if self.paused[to] > self.now {
                    self.due(self.paused[to], Due::Frame(to, frame));
                    return Ok(());
                }
                let heard = node.accepts(&frame);
                self.act(to, Cause::Heard(heard), |node, now, random| {
                    node.hear(now, &frame, random)
                })
            }
            Due::Applied(number, life, router, generation) => {
                if self.nodes[number].life != life {
                    return Ok(());
                }
                self.act(number, Cause::Other, |node, now, _| {
                    node.applied(now, router, generation)
                })
            }
            Due::Deed(deed) => self.perform(deed),
        }
    }

    /// Something happens to a host, and what comes of it is judged and carried out.
    fn act(
        &mut self,
        number: Number,
        cause: Cause,
        input: impl FnOnce(&mut Node, Nanos, &mut Random) -> Outcome,
    ) -> Result<(), Broken> {
        let now = self.now;
        let before = self.nodes[number].role();
        let preempts = self.nodes[number].preempts();
        let terms = self.nodes[number].terms.clone();
        let outcome = input(&mut self.nodes[number], now, &mut self.random);
        self.nodes[number].refresh();
        let after = self.nodes[number].role();
        let broken = self.judge.step(
            now,
            number,
            &self.nodes[number],
            &super::judge::Step {
                before,
                after,
                preempts,
                terms: &terms,
                cause: &cause,
                outcome: &outcome,
            },
            &mut self.tally,
        );
        if before != after {
            self.last_change = now;
            if after == Role::Active {
                self.tally.count("takeovers");
            }
            self.note(|| format!("{number}: {before:?} -> {after:?} ({:?})", outcome.because));
        }
        if let Some((router, generation)) = outcome.desired {
            let at = now + self.random.below(2 * MILLI);
            let life = self.nodes[number].life;
            self.due(at, Due::Applied(number, life, router, generation));
        }
        let mut leaves = now;
        if terms.manner == Manner::Ucarp && before != Role::Active && after == Role::Active {
            leaves += self.script;
            self.paused[number] = self.paused[number].max(leaves);
        }
        for frame in outcome.frames {
            self.send(number, &frame, leaves);
            self.last_frame[number] = Some(frame);
        }
        broken
    }

    fn send(&mut self, from: Number, frame: &Frame, at: Nanos) {
        self.note(|| {
            let [skew, demotion, base] = [2, 4, 5].map(|place| frame.message[place]);
            let family = if frame.source.is_ipv6() { 6 } else { 4 };
            let counter = wire::counter(&frame.message).unwrap_or_default();
            format!("{from}: says {base}/{skew}/{demotion} in IPv{family}, counter {counter:x}")
        });
        if !self.nodes[from].carrier || self.deaf[usize::from(frame.source.is_ipv6())] {
            return;
        }
        for to in 0..self.nodes.len() {
            if to == from || self.cuts.contains(&(from, to)) {
                continue;
            }
            if self.random.happens(self.loss) {
                self.note(|| format!("{from}: lost on the way to {to}"));
                continue;
            }
            let copies = 1 + u64::from(self.random.happens(self.twice));
            for _ in 0..copies {
                let takes = MILLI / 20 + self.random.below(self.delay);
                self.due(at + takes, Due::Frame(to, frame.clone()));
            }
        }
    }

    fn perform(&mut self, deed: Deed) -> Result<(), Broken> {
        self.note(|| format!("== {deed:?}"));
        let now = self.now;
        match deed {
            Deed::Start(number) => {
                if !self.nodes[number].is_up() {
                    self.paused[number] = 0;
                    self.judge.forget(number, now);
                    // Seconds of the clock above, chance below, as the daemon has it.
                    let seed = (1_790_000_000 + now / SECOND) << 32 | self.random.below(1 << 31);
                    self.act(number, Cause::Other, |node, now, random| {
                        node.start(now, seed, random)
                    })?;
                }
            }
            Deed::Crash(number) => {
                if self.nodes[number].role() == Role::Active {
                    self.tally.count("crashes of an Active");
                    self.last_change = now;
                }
                self.nodes[number].crash();
            }
            Deed::Stop(number) if self.is_awake(number) => {
                self.act(number, Cause::Stop, Node::stop)?;
            }
            Deed::Restart(number) if self.is_awake(number) => {
                if self.nodes[number].is_engine() {
                    self.judge.forget_waiting(number, now);
                    self.act(number, Cause::Other, |node, now, _| node.succeed(now, true))?;
                    self.act(number, Cause::Timer, Node::timer)?;
                }
            }
            Deed::HandOver(number) if self.is_awake(number) => {
                if self.nodes[number].is_engine() {
                    self.act(number, Cause::Other, |node, now, _| {
                        node.succeed(now, false)
                    })?;
                }
            }
            Deed::Pause(number, time) if self.is_awake(number) => {
                if self.nodes[number].terms.ours {
                    self.paused[number] = now + time;
                }
            }
            Deed::Unplug(number) | Deed::Plug(number) => {
                let up = matches!(deed, Deed::Plug(_));
                if self.nodes[number].carrier != up {
                    self.nodes[number].carrier = up;
                    self.act(number, Cause::Link, Node::tell_link)?;
                }
            }
            Deed::Cut(from, to) => _ = self.cuts.insert((from, to)),
            Deed::Mend(from, to) => _ = self.cuts.remove(&(from, to)),
            Deed::Loss(chance) => self.loss = chance,
            Deed::Deafen(ipv6) => self.deaf[usize::from(ipv6)] = true,
            Deed::Hearken(ipv6) => self.deaf[usize::from(ipv6)] = false,
            Deed::Demote(number, demotion) if self.is_awake(number) => {
                self.act(number, Cause::Order, |node, now, random| {
                    node.demote(now, demotion, random)
                })?;
            }
            Deed::Drain(number) if self.is_awake(number) => {
                self.ask(
                    number,
                    Order::Drain {
                        force: false,
                        terms: standing(),
                    },
                    "drains of an Active",
                )?;
            }
            Deed::Undrain(number) if self.is_awake(number) => {
                self.ask(number, Order::Undrain, "undrained Actives")?;
            }
            Deed::Failover(number) if self.is_awake(number) => {
                self.ask(
                    number,
                    Order::Failover {
                        force: false,
                        note: Note::default(),
                    },
                    "failovers of an Active",
                )?;
            }
            Deed::Echo(number) if self.is_awake(number) => {
                let frame = self.last_frame[number].clone();
                // FreeBSD would leave its place: not what is to be found out here.
                if let Some(frame) = frame.filter(|_| self.nodes[number].terms.ours) {
                    self.tally.count("own advertisements that came back");
                    self.due(now + MILLI, Due::Frame(number, frame));
                }
            }
            Deed::Forge(number) => {
                // A sound advertisement, with the best of bids, and one bit of its digest wrong.
                if let Some(mut frame) = self.last_frame[number].clone() {
                    self.tally.count("forged advertisements");
                    frame.message[2] = 0;
                    frame.message[16] ^= 1;
                    wire::mend(&mut frame.message);
                    for to in (0..self.nodes.len()).filter(|to| *to != number) {
                        self.due(now + MILLI, Due::Frame(to, frame.clone()));
                    }
                }
            }
            Deed::Stop(_)
            | Deed::Restart(_)
            | Deed::HandOver(_)
            | Deed::Pause(..)
            | Deed::Demote(..)
            | Deed::Drain(_)
            | Deed::Undrain(_)
            | Deed::Failover(_)
            | Deed::Echo(_) => {}
        }
        Ok(())
    }

    fn ask(&mut self, number: Number, order: Order, what: &'static str) -> Result<(), Broken> {
        let active = self.nodes[number].role() == Role::Active;
        let mut done = false;
        self.act(number, Cause::Order, |node, now, _| {
            let (outcome, followed) = node.operate(now, order);
            done = followed;
            outcome
        })?;
        if done && active {
            self.tally.count(what);
        }
        Ok(())
    }
}
