//! The laws. Most are about ours, and about impostors; the last ones about all of them together.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, HashMap, HashSet};

use vrrp_proto::Reason;

use super::net::{Net, Number, START, Sloth};
use super::node::{Node, Outcome};
use super::{MILLI, Tally};
use crate::random::Chance;
use crate::reference::carp::terms::TICK;
use crate::reference::carp::wire::{self, Heard};
use crate::reference::carp::{Bid, Role, Terms};
use crate::reference::terms::{Nanos, SECOND};

/// How late things may be: timers, frames, the kernel.
pub const SLACK: Nanos = 5 * MILLI;

/// A 64th of a second: the turn of the worst of several Backups after a bow-out.
const TURN: Nanos = SECOND / 64;

/// A law that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    at: Nanos,
    /// Which.
    pub what: String,
}

impl Broken {
    /// Then.
    #[must_use]
    pub fn at(at: Nanos, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.at - START;
        write!(
            f,
            "{}.{:06}: {}",
            now / SECOND,
            now % SECOND / 1000,
            self.what
        )
    }
}

/// Why a host did what it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// A frame arrived; this is what it says, if it is accepted.
    Heard(Option<Heard>),
    /// A timer.
    Timer,
    /// It was asked to stop.
    Stop,
    /// Its carrier.
    Link,
    /// An operator, or a tracker.
    Order,
    /// Something else.
    Other,
}

/// One input of one host and what came of it.
#[derive(Debug)]
pub struct Step<'a> {
    /// The role before.
    pub before: Role,
    /// And after.
    pub after: Role,
    /// Whether it might preempt, before.
    pub preempts: bool,
    /// What it was configured with, before.
    pub terms: &'a Terms,
    /// Why.
    pub cause: &'a Cause,
    /// What.
    pub outcome: &'a Outcome,
}

/// What is remembered of a host.
#[derive(Clone, Debug, Default)]
struct Record {
    /// Since when each family has been waited for.
    waits: [Nanos; 2],
    /// It heard something that lets it take over in spite of that.
    grounds: [bool; 2],
    /// By when it must have taken over.
    owes: Option<(Nanos, &'static str)>,
    /// It gave way to an equal one, and lets that one go first.
    courteous: bool,
    /// Whom it heard last that bid the same, in each family.
    equals: [Option<IpAddr>; 2],
    /// It handed over on request, and may come back.
    handed: Option<Nanos>,
    said: Option<Nanos>,
    counters: HashSet<u64>,
    /// Who said which last.
    last: HashMap<IpAddr, u64>,
    /// Whose last advertisement was taken for a recording, and when.
    refused: HashMap<IpAddr, Nanos>,
}

/// The judge of one world.
#[derive(Debug, Default)]
pub struct Judge {
    records: Vec<Record>,
    /// Since when two that hear each other are both Active.
    both: BTreeMap<(Number, Number), Nanos>,
}

impl Judge {
    /// Of so many hosts.
    #[must_use]
    pub fn new(hosts: usize) -> Self {
        Self {
            records: vec![Record::default(); hosts],
            both: BTreeMap::new(),
        }
    }

    /// A new process that knows nothing.
    pub fn forget(&mut self, number: Number, now: Nanos) {
        self.records[number] = Record {
            waits: [now; 2],
            ..Record::default()
        };
    }

    /// A process that has to find out what happened meanwhile.
    pub fn forget_waiting(&mut self, number: Number, now: Nanos) {
        let record = &mut self.records[number];
        record.waits = [now; 2];
        record.owes = None;
    }

    /// After one input of one host.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn step(
        &mut self,
        now: Nanos,
        number: Number,
        node: &Node,
        step: &Step<'_>,
        tally: &mut Tally,
    ) -> Result<(), Broken> {
        if !node.terms.ours {
            return Ok(());
        }
        let wrong = |what: String| Broken::at(now, format!("host {number} {what}"));
        let broken = |what: String| Err(wrong(what));
        let record = &mut self.records[number];
        if let Cause::Heard(heard) = step.cause {
            if !step.outcome.frames.is_empty() {
                return broken("spoke because of what it heard".to_owned());
            }
            if let Some(heard) = heard
                && record.believes(now, step, heard, tally).map_err(wrong)?
            {
                record.counters.insert(heard.counter);
                let late = record
                    .said
                    .is_some_and(|said| now - said > longest_silence(step.terms));
                if step.before == Role::Active && late {
                    tally.count("stood back after a pause");
                    record.waits = [now; 2];
                    record.grounds = [false; 2];
                }
                if step.before == Role::Backup || (step.before == Role::Active && late) {
                    record.hears(now, step, heard, tally);
                } else if step.before == Role::Active && step.after == Role::Backup {
                    record.courteous = heard.bid.ticks() == step.terms.bid().ticks();
                    tally.count(if record.courteous {
                        "gave way to an equal one"
                    } else {
                        "gave way to a better one"
                    });
                }
            }
        }
        record.speaks(now, node, step).or_else(broken)?;
        if step.before == step.after {
            return Ok(());
        }
        match step.after {
            Role::Active => {
                record.takes_over(now, step, tally).or_else(broken)?;
                record.owes = None;
                record.courteous = false;
            }
            Role::Backup => {
                let stood_back = record.waits == [now; 2];
                if !stood_back {
                    record.waits = [now; 2];
                    record.grounds = [false; 2];
                    record.owes = None;
                }
                if *step.cause == Cause::Order {
                    record.handed = Some(now);
                }
            }
            Role::Initialize => {
                record.owes = None;
                let farewells = step.outcome.frames.len();
                let families = [false, true]
                    .into_iter()
                    .filter(|it| node.terms.speaks(*it));
                if *step.cause == Cause::Stop
                    && step.before == Role::Active
                    && node.carrier
                    && farewells != families.count()
                {
                    return broken(format!("left with {farewells} bow-outs"));
                }
            }
        }
        Ok(())
    }

    /// After every step, whoever made it.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn look(&mut self, net: &mut Net) -> Result<(), Broken> {
        let now = net.now;
        for (number, node) in net.nodes.iter().enumerate() {
            // Who was paused finds out first.
            if !node.terms.ours || !node.is_up() || net.paused[number] + SLACK > now {
                continue;
            }
            let broken = |what: String| Err(Broken::at(now, format!("host {number} {what}")));
            let record = &self.records[number];
            let silent = record.said.map_or(0, |said| now - said);
            match node.role() {
                Role::Active if silent > node.terms.interval() + SLACK => {
                    return broken(format!("is Active and silent for {} ms", silent / MILLI));
                }
                Role::Backup => {
                    if let Some((by, why)) = record.owes.filter(|(by, _)| *by < now) {
                        return broken(format!(
                            "has not taken over {} ms too late: {why}",
                            (now - by) / MILLI
                        ));
                    }
                    let families = [false, true]
                        .into_iter()
                        .filter(|it| node.terms.speaks(*it));
                    let waits = families.map(|ipv6| record.waits[usize::from(ipv6)]).min();
                    let awaited = now - waits.unwrap_or(now);
                    // The second is what it adds after it gave way to an equal one.
                    if awaited > node.terms.down_interval() + SECOND + SLACK {
                        return broken(format!(
                            "waits for a silent Active since {} ms",
                            awaited / MILLI
                        ));
                    }
                }
                Role::Initialize | Role::Active => {}
            }
        }
        self.look_at_pairs(net)
    }

    /// Of two that hear each other, one gives way when it has heard the other, or the other when it has heard the one.
    fn look_at_pairs(&mut self, net: &mut Net) -> Result<(), Broken> {
        let now = net.now;
        for one in 0..net.nodes.len() {
            for other in 0..one {
                let (a, b) = (&net.nodes[one], &net.nodes[other]);
                let both = a.role() == Role::Active && b.role() == Role::Active;
                let undisturbed = net.connected(one, other)
                    && net.is_awake(one)
                    && net.is_awake(other)
                    && net.loss == Chance::NEVER
                    && net.deaf == [false; 2]
                    && (a.terms.ours || b.terms.ours);
                if !both || !undisturbed {
                    self.both.remove(&(one, other));
                    continue;
                }
                let since = *self.both.entry((one, other)).or_insert(now);
                let allowed =
                    a.terms.interval() + b.terms.interval() + net.delay + 2 * net.script + SLACK;
                if now - since > allowed {
                    return Err(Broken::at(
                        now,
                        format!(
                            "hosts {other} and {one} hear each other and are both Active for {} ms",
                            (now - since) / MILLI
                        ),
                    ));
                }
                net.tally
                    .measure("two that hear each other", now - since, allowed);
            }
        }
        Ok(())
    }
}

impl Record {
    /// Whether what passed all other checks is not taken for a recording, which it never is in these worlds.
    fn believes(
        &mut self,
        now: Nanos,
        step: &Step<'_>,
        heard: &Heard,
        tally: &mut Tally,
    ) -> Result<bool, String> {
        let last = self.last.insert(heard.source, heard.counter);
        if !step.outcome.refused {
            self.refused.remove(&heard.source);
            return Ok(true);
        }
        // The LAN delivers some of them twice.
        if last == Some(heard.counter) {
            return Ok(false);
        }
        tally.count("believed to be a recording");
        // What was lost in between counts as heard.
        let mut before = (0..16).map(|back| heard.counter.wrapping_sub(back));
        if !before.any(|counter| self.counters.contains(&counter)) {
            return Err(format!("heard {:#x} for the first time", heard.counter));
        }
        let before = self.refused.insert(heard.source, now);
        if before.is_some_and(|at| now - at < step.terms.down_interval()) {
            return Err(format!("refuses one after the other of {}", heard.source));
        }
        Ok(false)
    }

    /// As Backup it hears something, and may, must or must not take over because of that.
    fn hears(&mut self, now: Nanos, step: &Step<'_>, heard: &Heard, tally: &mut Tally) {
        let terms = step.terms;
        let family = usize::from(heard.source.is_ipv6());
        // Where two equals are heard, their equals let them go first.
        if heard.bid.gives_up() {
            self.equals = [None; 2];
        } else if terms.is_equal_to(heard.bid) {
            let before = self.equals[family].replace(heard.source);
            self.courteous |= before.is_some_and(|before| before != heard.source);
        }
        let soon = if self.courteous { now + SECOND } else { now };
        let mut owes = |by: Nanos, why| {
            let earlier = self.owes.map_or(by, |(earlier, _)| earlier);
            self.owes = Some((by.min(earlier), why));
            self.grounds = [true; 2];
        };
        if heard.bid.gives_up() {
            tally.count("a Backup heard a bow-out");
            owes(now + TURN + SLACK, "a bow-out");
        } else if terms.finds_unfit(heard.bid) {
            tally.count("a Backup heard one that is demoted or too slow");
            owes(soon + SLACK, "the Active is unfit");
        } else if step.preempts && terms.is_faster_than(heard.bid) {
            owes(soon + SLACK, "it preempts");
        } else {
            // A reason to be quicker is gone in both families.
            if self.grounds != [false; 2] {
                self.waits = [now; 2];
            }
            self.waits[family] = now;
            self.grounds = [false; 2];
            self.owes = None;
        }
    }

    /// What it says is right, byte by byte, and was never said.
    fn speaks(&mut self, now: Nanos, node: &Node, step: &Step<'_>) -> Result<(), String> {
        let mut fresh = None;
        for frame in &step.outcome.frames {
            let counter = wire::counter(&frame.message).unwrap_or_default();
            if fresh != Some(counter) && !self.counters.insert(counter) {
                return Err(format!("says counter {counter:#x} again"));
            }
            fresh = Some(counter);
            let is = |bid: Bid| wire::write(&node.terms, bid, counter)[..] == frame.message[..];
            let farewell = |terms: &Terms| Bid {
                advbase: 255,
                advskew: 255,
                demotion: terms.bid().demotion,
            };
            if is(node.terms.bid()) {
                if step.after != Role::Active {
                    return Err(format!("speaks as {:?}", step.after));
                }
                self.said = Some(now);
            } else if is(farewell(step.terms)) || is(farewell(&node.terms)) {
                if step.before != Role::Active || step.after == Role::Active {
                    return Err(format!(
                        "bows out from {:?} to {:?}",
                        step.before, step.after
                    ));
                }
            } else {
                return Err(format!(
                    "says what is wrong: {:02x?}, instead of {:02x?}",
                    frame.message,
                    wire::write(&node.terms, node.terms.bid(), counter)
                ));
            }
        }
        Ok(())
    }

    /// It has a reason.
    fn takes_over(&mut self, now: Nanos, step: &Step<'_>, tally: &mut Tally) -> Result<(), String> {
        let down = step.terms.down_interval();
        let mut families = [false, true]
            .into_iter()
            .filter(|it| step.terms.speaks(*it))
            .map(usize::from);
        let grounds = self.grounds;
        let waits = self.waits;
        let returns = self.handed.is_some_and(|at| now - at < 2 * SECOND)
            && step.outcome.because == Some(Reason::Unclaimed);
        if returns {
            tally.count("nobody wanted it");
            return Ok(());
        }
        if step.before == Role::Backup
            && families.any(|family| grounds[family] || now >= waits[family] + down)
        {
            return Ok(());
        }
        Err(format!(
            "takes over {} ms after it last heard an Active, and has no other reason",
            (now - waits.into_iter().min().unwrap_or(now)) / MILLI
        ))
    }
}

/// Who was silent for longer has been replaced by somebody.
fn longest_silence(terms: &Terms) -> Nanos {
    (3 * Nanos::from(terms.advbase) * 256 + Nanos::from(terms.skew())) * TICK
}

/// How long until everything has settled: a down interval, what is added to that, a few more elections.
#[must_use]
pub fn bound(net: &Net) -> Nanos {
    let longest = net
        .nodes
        .iter()
        .map(|node| node.terms.down_interval() + node.terms.interval());
    let sloth = match net.sloth {
        Sloth::None => 0,
        Sloth::Constant(late) => late,
        Sloth::Polls => SECOND,
    };
    (longest.max().unwrap_or_default() + SECOND + sloth + net.script + SLACK) * 4
}

/// How the world stands when nothing moves any more.
///
/// # Errors
/// The law that was broken.
pub fn settled(net: &Net) -> Result<(), Broken> {
    let broken = |what: String| Err(Broken::at(net.now, what));
    let here: Vec<Number> = (0..net.nodes.len())
        .filter(|number| net.nodes[*number].is_up() && net.nodes[*number].carrier)
        .collect();
    for &number in &here {
        let island: Vec<Number> = here
            .iter()
            .copied()
            .filter(|other| *other == number || net.connected(number, *other))
            .collect();
        let actives: Vec<Number> = net
            .actives()
            .filter(|active| island.contains(active))
            .collect();
        let [active] = actives[..] else {
            return broken(format!("of {island:?}, {actives:?} are Active"));
        };
        let (node, bid) = (&net.nodes[number], net.nodes[active].terms.bid());
        let terms = &node.terms;
        if number != active
            && (terms.finds_unfit(bid) || (node.preempts() && terms.is_faster_than(bid)))
        {
            return broken(format!("host {number} should have replaced host {active}"));
        }
    }
    Ok(())
}
