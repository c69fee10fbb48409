//! Hosts, a wire and a clock: the world of one seed.
//!
//! Everything that will happen lies in one agenda, ordered by time and then by when it was put there, beside the
//! alarms of the hosts. The clock jumps from one to the next, so a quiet hour costs nothing. When a packet and an alarm
//! are due at the same moment, the packet comes first, as the daemon reads its sockets before it runs its timers.
//!
//! After every step the [judge](crate::judge) looks at every engine.

use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::packet::Header;
use vrrp_proto::{
    Engine, Generation, Happening, Input, Instant, Output, Plan, Priority, Reason, Role, RouterId,
};

use crate::action::Action;
use crate::host::{Host, Machine, Mail};
use crate::judge::{Judge, Verdict, Violation};
use crate::kernel::{Kernel, Key, RETRY};
use crate::ledger::Ledger;
use crate::plan::HostPlan;
use crate::random::Random;
use crate::trace::Trace;
use crate::wire::{Frame, Weather, Wire};

/// Netlink tells the process about a cable after this time.
const LINK_NEWS: Duration = Duration::from_millis(1);

/// How often each kind of event was seen: proof that a world was not empty.
pub type Sightings = BTreeMap<String, u64>;

/// A LAN with its hosts. See the module's text.
#[derive(Debug)]
pub struct Lan {
    now: Instant,
    machines: Vec<Machine>,
    judges: Vec<Judge>,
    wire: Wire,
    agenda: BTreeMap<(Instant, u64), Due>,
    entries: u64,
    ledgers: BTreeMap<Key, Ledger>,
    trace: Trace,
    sightings: Sightings,
    takeovers: Vec<Takeover>,
}

/// A Backup that became Active because it heard nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Takeover {
    /// When.
    pub at: Instant,
    /// Who.
    pub host: Host,
    /// How many frames in a row of each host had not got through to it.
    pub missed: Vec<u32>,
}

#[derive(Debug)]
enum Due {
    Frame(Host, Frame),
    Kernel(Host, RouterId, Generation),
    Link(Host),
    Action(Action),
}

impl Lan {
    /// A calm LAN on which all of these start at time zero.
    #[must_use]
    pub fn of(hosts: impl IntoIterator<Item = HostPlan>) -> Self {
        Self::new(hosts, Weather::CALM, 0)
    }

    /// A LAN of this seed.
    #[must_use]
    pub fn new(hosts: impl IntoIterator<Item = HostPlan>, weather: Weather, seed: u64) -> Self {
        let hosts: Vec<HostPlan> = hosts.into_iter().collect();
        let machines: Vec<Machine> = (0..)
            .map(Host)
            .zip(&hosts)
            .map(|(host, plan)| Machine::new(host, plan, seed))
            .collect();
        let keys: BTreeSet<Key> = hosts
            .iter()
            .flat_map(|plan| &plan.routers)
            .map(|router| (router.family, router.vrid))
            .collect();
        let mut lan = Self {
            now: Instant::ZERO,
            judges: (0..hosts.len())
                .map(|host| Judge::new(Host(host)))
                .collect(),
            wire: Wire::new(hosts.len(), weather, Random::stream(seed, 0)),
            machines,
            agenda: BTreeMap::new(),
            entries: 0,
            ledgers: keys
                .into_iter()
                .map(|key| (key, Ledger::new(Instant::ZERO)))
                .collect(),
            trace: Trace::default(),
            sightings: Sightings::new(),
            takeovers: Vec::new(),
        };
        for host in 0..hosts.len() {
            lan.schedule(Instant::ZERO, Action::Start(Host(host)));
        }
        lan
    }

    /// Writes down what happens from now on.
    pub fn record(&mut self) {
        self.trace = Trace::recording();
    }

    /// What was written down.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// What was seen so far.
    #[must_use]
    pub const fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// Every takeover for want of a word.
    #[must_use]
    pub fn takeovers(&self) -> &[Takeover] {
        &self.takeovers
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.machines.len()).map(Host)
    }

    /// The engine of a host; `None` while it has no process.
    #[must_use]
    pub fn engine(&self, host: Host) -> Option<&Engine> {
        self.machines[host.0].engine.as_ref()
    }

    /// The kernel of a host.
    #[must_use]
    pub fn kernel(&self, host: Host) -> &Kernel {
        &self.machines[host.0].kernel
    }

    /// What a host is configured with.
    #[must_use]
    pub fn plan(&self, host: Host) -> &Plan {
        &self.machines[host.0].config
    }

    /// The role of a host's virtual router; Initialize without a process.
    #[must_use]
    pub fn role(&self, host: Host, key: Key) -> Role {
        let engine = self.machines[host.0].engine.as_ref();
        engine
            .and_then(|engine| {
                engine
                    .status()
                    .find(|status| (status.plan.family, status.plan.vrid) == key)
            })
            .map_or(Role::Initialize, |status| status.role)
    }

    /// The hosts that are Active for the only (or first) virtual router.
    #[must_use]
    pub fn actives(&self) -> Vec<Host> {
        let Some(key) = self.ledgers.keys().next().copied() else {
            return Vec::new();
        };
        self.hosts()
            .filter(|host| self.role(*host, key) == Role::Active)
            .collect()
    }

    /// The hosts whose kernel has the addresses of the only (or first) virtual router.
    #[must_use]
    pub fn holders(&self) -> Vec<Host> {
        self.ledgers
            .values()
            .next()
            .map(|ledger| ledger.holders().iter().copied().collect())
            .unwrap_or_default()
    }

    /// The accounts of all virtual routers, up to date.
    pub fn ledgers(&mut self) -> &BTreeMap<Key, Ledger> {
        let now = self.now;
        self.ledgers
            .values_mut()
            .for_each(|ledger| ledger.account(now));
        &self.ledgers
    }

    /// The account of the only (or first) virtual router.
    ///
    /// # Panics
    /// When no host has any.
    pub fn ledger(&mut self) -> &Ledger {
        self.ledgers()
            .values()
            .next()
            .expect("a LAN has a virtual router")
    }

    /// Does this when the clock gets there.
    pub fn schedule(&mut self, at: Instant, action: Action) {
        self.put(at, Due::Action(action));
    }

    /// Does this now.
    ///
    /// # Panics
    /// When a law is broken by it.
    pub fn act(&mut self, action: Action) {
        self.schedule(self.now, action);
        self.run_for(Duration::ZERO);
    }

    /// Lets this much time go by.
    ///
    /// # Panics
    /// When a law is broken; [`Self::try_run_until`] returns it instead.
    pub fn run_for(&mut self, time: Duration) {
        if let Err(verdict) = self.try_run_until(self.now + time) {
            panic!("{verdict}\n{}", self.trace);
        }
    }

    /// Lets time go by until then.
    ///
    /// # Errors
    /// The first law that was broken; the world is of no use after it.
    pub fn try_run_until(&mut self, end: Instant) -> Result<(), Verdict> {
        while self.next_at().is_some_and(|at| at <= end) {
            self.step()?;
        }
        self.now = self.now.max(end);
        self.look()
    }

    /// After a quiet of at least [`Self::quiet_time`]: exactly one Active on each island, the right one, and every
    /// kernel holds what the role says.
    ///
    /// # Errors
    /// What is not so.
    pub fn settled(&self) -> Result<(), Verdict> {
        let broken = |host, violation| {
            Err(Verdict {
                at: self.now,
                host,
                violation,
            })
        };
        for (host, machine) in self.hosts().zip(&self.machines) {
            let Some(engine) = machine.engine.as_ref().filter(|_| !machine.paused) else {
                continue;
            };
            for status in engine.status() {
                let holds = machine.kernel.holds_for(status.id);
                if !machine.kernel.is_settled(status.id) || holds != (status.role == Role::Active) {
                    return broken(Some(host), Violation::KernelDisagrees);
                }
            }
        }
        if self.wire.is_lopsided() {
            return Ok(());
        }
        for (key, island) in self.islands() {
            let actives: Vec<Host> = island
                .iter()
                .copied()
                .filter(|host| self.role(*host, key) == Role::Active)
                .collect();
            let [active] = actives[..] else {
                return broken(None, Violation::NotSettled { island, actives });
            };
            let better = island
                .iter()
                .find(|host| self.should_replace(**host, active, key));
            if let Some(better) = better.copied() {
                return broken(None, Violation::WrongActive { active, better });
            }
        }
        Ok(())
    }

    /// How long every election may take at most when nothing is lost: down interval, preemption, and a second for the
    /// rest; also a kernel's penalty if it refuses or refused.
    #[must_use]
    pub fn quiet_time(&self, kernel_refused: bool) -> Duration {
        let routers = || {
            self.machines
                .iter()
                .flat_map(|machine| &machine.config.routers)
        };
        let interval = routers()
            .map(|router| router.interval.duration())
            .max()
            .unwrap_or_default();
        let delay = routers()
            .map(|router| router.preempt_delay)
            .max()
            .unwrap_or_default();
        let penalty = if kernel_refused { 32 } else { 0 };
        interval * 9 + delay * 2 + Duration::from_secs(2 + penalty)
    }

    /// For each virtual router the groups of able hosts that hear each other, directly or not.
    fn islands(&self) -> Vec<(Key, Vec<Host>)> {
        let mut islands = Vec::new();
        for key in self.ledgers.keys() {
            let able = |host: &Host| {
                let machine = &self.machines[host.0];
                machine.is_awake() && self.role(*host, *key) != Role::Initialize
            };
            let mut left: BTreeSet<Host> = self.hosts().filter(able).collect();
            while let Some(first) = left.pop_first() {
                let mut island = vec![first];
                let mut reached = 0;
                while let Some(from) = island.get(reached).copied() {
                    let near: Vec<Host> = left
                        .iter()
                        .copied()
                        .filter(|to| self.wire.connects(from, *to))
                        .collect();
                    near.iter().for_each(|host| {
                        left.remove(host);
                    });
                    island.extend(near);
                    reached += 1;
                }
                // Who is cut off in both directions from one of its own island cannot be judged.
                let whole = island
                    .iter()
                    .all(|a| island.iter().all(|b| a == b || self.wire.connects(*a, *b)));
                if whole {
                    islands.push((*key, island));
                }
            }
        }
        islands
    }

    /// Whether a Backup should have preempted this Active by now (RFC 9568 §6.4.2).
    fn should_replace(&self, backup: Host, active: Host, key: Key) -> bool {
        let of = |host: Host| {
            self.machines[host.0]
                .config
                .routers
                .iter()
                .find(|router| (router.family, router.vrid) == key)
        };
        of(backup).zip(of(active)).is_some_and(|(ours, theirs)| {
            (ours.preempt || ours.priority.is_owner()) && ours.priority > theirs.priority
        })
    }

    fn put(&mut self, at: Instant, due: Due) {
        self.entries += 1;
        self.agenda.insert((at.max(self.now), self.entries), due);
    }

    fn next_alarm(&self) -> Option<(Instant, Host)> {
        self.hosts()
            .zip(&self.machines)
            .filter_map(|(host, machine)| machine.alarm().map(|at| (at, host)))
            .min()
    }

    fn next_at(&self) -> Option<Instant> {
        let agenda = self.agenda.first_key_value().map(|((at, _), _)| *at);
        let alarm = self.next_alarm().map(|(at, _)| at);
        [agenda, alarm].into_iter().flatten().min()
    }

    /// Does the next thing.
    fn step(&mut self) -> Result<(), Verdict> {
        let alarm = self.next_alarm();
        let first = self
            .agenda
            .first_entry()
            .filter(|entry| alarm.is_none_or(|(at, _)| entry.key().0 <= at));
        if let Some(entry) = first {
            let ((at, _), due) = entry.remove_entry();
            self.pass(at)?;
            return self.happen(due);
        }
        if let Some((at, host)) = alarm {
            self.pass(at)?;
            let outputs = self.machines[host.0].ring(self.now);
            self.carry_out(host, outputs)?;
        }
        Ok(())
    }

    /// The clock goes on; nobody may have slept through it.
    fn pass(&mut self, at: Instant) -> Result<(), Verdict> {
        if at > self.now {
            self.now = at;
            self.look()?;
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Verdict> {
        for (machine, judge) in self.machines.iter().zip(&self.judges) {
            if let Some(engine) = machine.engine.as_ref().filter(|_| !machine.paused) {
                // Two alarms may each be late; the microsecond is the daemon's own.
                judge.quiet(
                    self.now,
                    engine,
                    machine.lateness() * 2 + Duration::from_micros(1),
                )?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, due: Due) -> Result<(), Verdict> {
        match due {
            Due::Frame(to, frame) => self.deliver(to, frame),
            Due::Kernel(host, router, generation) => self.kernel_done(host, router, generation),
            Due::Link(host) => self.link_news(host),
            Due::Action(action) => {
                self.trace.note(self.now, None, || action.to_string());
                self.perform(action)
            }
        }
    }

    fn deliver(&mut self, to: Host, frame: Frame) -> Result<(), Verdict> {
        let machine = &mut self.machines[to.0];
        if !machine.is_plugged() || machine.deaf || machine.engine.is_none() {
            return Ok(());
        }
        if machine.paused {
            machine.keep(Mail::Frame(frame));
            return Ok(());
        }
        let outputs = machine.receive(self.now, &frame);
        self.carry_out(to, outputs)
    }

    fn kernel_done(
        &mut self,
        host: Host,
        router: RouterId,
        generation: Generation,
    ) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        if machine.paused {
            machine.keep(Mail::Kernel(router, generation));
            return Ok(());
        }
        let applied = machine.kernel_done(self.now, router, generation);
        if applied.refused {
            self.put(self.now + RETRY, Due::Kernel(host, router, generation));
        }
        self.note_holding(host);
        self.carry_out(host, applied.outputs)
    }

    fn link_news(&mut self, host: Host) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        if machine.paused {
            machine.keep(Mail::Link);
            return Ok(());
        }
        for news in machine.news() {
            let outputs = self.machines[host.0].learn(self.now, &news);
            self.carry_out(host, outputs)?;
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<(), Verdict> {
        match action {
            Action::Start(host) => self.start(host),
            Action::Crash(host) => {
                self.machines[host.0].end();
                self.machines[host.0].kernel.forget();
                self.judges[host.0].forget();
                self.note_holding(host);
                Ok(())
            }
            Action::Stop(host) => {
                if !self.machines[host.0].is_awake() {
                    return Ok(());
                }
                let outputs = self.machines[host.0].feed(self.now, Input::Shutdown);
                self.carry_out(host, outputs)?;
                self.machines[host.0].end();
                self.judges[host.0].forget();
                Ok(())
            }
            Action::Pause(host) => {
                self.machines[host.0].paused = self.machines[host.0].engine.is_some();
                Ok(())
            }
            Action::Resume(host) => self.resume(host),
            Action::Unplug(host) => self.change_link(host, |facts| facts.carrier = false),
            Action::Plug(host) => self.change_link(host, |facts| {
                facts.up = true;
                facts.carrier = true;
            }),
            Action::Vanish(host) => {
                self.machines[host.0].facts = None;
                self.put(self.now + LINK_NEWS, Due::Link(host));
                Ok(())
            }
            Action::Cut(from, to) => {
                self.wire.cut(from, to);
                Ok(())
            }
            Action::Separate(hosts) => {
                self.wire.separate(&hosts);
                Ok(())
            }
            Action::Heal => {
                self.wire.heal();
                Ok(())
            }
            Action::Weather(weather) => {
                self.wire.weather = weather;
                Ok(())
            }
            Action::Deafen(host, deaf) => {
                self.machines[host.0].deaf = deaf;
                self.put(self.now + LINK_NEWS, Due::Link(host));
                Ok(())
            }
            Action::KernelFails(host, failing) => {
                self.machines[host.0].kernel.habits.failing = failing;
                Ok(())
            }
            Action::Inject(frame) => {
                for host in self.hosts() {
                    self.put(self.now, Due::Frame(host, frame.clone()));
                }
                Ok(())
            }
            Action::Readdress(host, last) => self.change_link(host, |facts| {
                facts.ipv4[0].0 = Ipv4Addr::new(192, 0, 2, last);
                facts.link_local[0] = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last));
            }),
            Action::Reload(host, plan) => {
                // A stopped process would merge several of these; they are simply lost on it.
                if self.machines[host.0].paused {
                    return Ok(());
                }
                if self.actives().is_empty() {
                    self.sight("a reload during a takeover");
                }
                let outputs = self.machines[host.0].feed(self.now, Input::Reload(&plan));
                self.machines[host.0].config = plan;
                self.carry_out(host, outputs)
            }
        }
    }

    fn start(&mut self, host: Host) -> Result<(), Verdict> {
        if self.machines[host.0].engine.is_some() {
            return Ok(());
        }
        let outputs = self.machines[host.0].boot(self.now);
        self.carry_out(host, outputs)?;
        self.link_news(host)
    }

    /// The process reads what has piled up, and only then looks at the clock.
    fn resume(&mut self, host: Host) -> Result<(), Verdict> {
        if !self.machines[host.0].paused {
            return Ok(());
        }
        self.machines[host.0].paused = false;
        while let Some(mail) = self.machines[host.0].unkeep() {
            match mail {
                Mail::Frame(frame) => self.deliver(host, frame)?,
                Mail::Kernel(router, generation) => self.kernel_done(host, router, generation)?,
                Mail::Link => self.link_news(host)?,
            }
        }
        let outputs = self.machines[host.0].ring(self.now);
        self.carry_out(host, outputs)
    }

    fn change_link(
        &mut self,
        host: Host,
        change: impl FnOnce(&mut vrrp_proto::LinkFacts),
    ) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        let mut facts = machine.facts.take().unwrap_or_else(|| machine.born.clone());
        change(&mut facts);
        machine.facts = Some(facts);
        self.put(self.now + LINK_NEWS, Due::Link(host));
        Ok(())
    }

    /// Sees to it that what an engine wants is done, after the judge has seen it.
    fn carry_out(&mut self, host: Host, outputs: Vec<Output>) -> Result<(), Verdict> {
        let machine = &mut self.machines[host.0];
        if let Some(engine) = machine.engine.as_mut() {
            self.judges[host.0].outputs(self.now, engine, &outputs)?;
        }
        machine.arm(self.now);
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    self.trace.note(self.now, Some(host), || {
                        let priority =
                            Header::new(&transmit.message).map(|header| header.priority().get());
                        format!("advertises priority {}", priority.unwrap_or_default())
                    });
                    self.send(
                        host,
                        &Frame {
                            source: transmit.source,
                            destination: transmit.destination,
                            hop_limit: 255,
                            message: transmit.message,
                        },
                    );
                }
                Output::Announce(_) => self.trace.note(self.now, Some(host), || {
                    String::from("announces its addresses")
                }),
                Output::Desired(router, wanted) => {
                    let delay = self.machines[host.0].kernel.order(router, wanted.as_ref());
                    let generation = self.machines[host.0].kernel.generation(router);
                    self.put(self.now + delay, Due::Kernel(host, router, generation));
                }
                Output::Event(event) => {
                    if let Happening::Role {
                        to: Role::Active,
                        reason: Reason::NoResponse,
                        ..
                    } = event.happening
                    {
                        let missed = self
                            .hosts()
                            .map(|from| self.wire.missed(from, host))
                            .collect();
                        let at = self.now;
                        self.takeovers.push(Takeover { at, host, missed });
                    }
                    *self
                        .sightings
                        .entry(sighting(&event.happening))
                        .or_default() += 1;
                    self.trace.note(self.now, Some(host), || {
                        format!("{}: {}", event.name, event.happening)
                    });
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, from: Host, frame: &Frame) {
        if !self.machines[from.0].is_plugged() {
            return;
        }
        for to in self.hosts().filter(|to| *to != from) {
            let for_it =
                frame.destination.is_multicast() || self.machines[to.0].has(frame.destination);
            let mut arrived = false;
            for delay in self.wire.carry(from, to).filter(|_| for_it) {
                arrived = true;
                self.put(self.now + delay, Due::Frame(to, frame.clone()));
            }
            if for_it && !arrived {
                let priority = Header::new(&frame.message).map(Header::priority);
                if priority == Some(Priority::RELEASE) {
                    self.sight("a release was lost");
                }
                self.trace.note(self.now, Some(from), || {
                    format!("    lost on the way to {to}")
                });
            }
        }
    }

    fn sight(&mut self, what: &str) {
        *self.sightings.entry(what.to_owned()).or_default() += 1;
    }

    fn note_holding(&mut self, host: Host) {
        let duals = |lan: &Self| -> usize {
            let ledgers = lan.ledgers.values();
            ledgers.filter(|ledger| ledger.holders().len() > 1).count()
        };
        let before = duals(self);
        self.settle_accounts(host);
        let after = duals(self);
        if after > before {
            self.sight("two held the addresses");
        } else if after < before {
            self.sight("two held the addresses, then one");
        }
    }

    fn settle_accounts(&mut self, host: Host) {
        for (key, ledger) in &mut self.ledgers {
            let holds = self.machines[host.0].kernel.holds(*key);
            if ledger.holders().contains(&host) != holds {
                self.trace.note(self.now, Some(host), || {
                    String::from(if holds {
                        "HOLDS the addresses"
                    } else {
                        "lets the addresses go"
                    })
                });
            }
            ledger.note(self.now, host, holds);
        }
    }
}

fn sighting(happening: &Happening) -> String {
    match happening {
        Happening::Role { to, reason, .. } => format!("{to}: {}", reason.name()),
        Happening::Faults(_)
        | Happening::FollowedActive { .. }
        | Happening::Conflict { .. }
        | Happening::Claimed { .. }
        | Happening::Refused { .. }
        | Happening::Odd { .. }
        | Happening::Late(_)
        | Happening::Repaired(_)
        | Happening::KernelRefused(_)
        | Happening::Revised
        | Happening::Added
        | Happening::Removed => happening.name().to_owned(),
    }
}
