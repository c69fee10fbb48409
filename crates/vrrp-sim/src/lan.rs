//! Hosts, a wire and a clock: the world of one seed.
//!
//! Everything that will happen lies in one agenda, ordered by time and then by when it was put there, beside the
//! alarms of the hosts. The clock jumps from one to the next, so a quiet hour costs nothing. When a packet and an alarm
//! are due at the same moment, the packet comes first, as the daemon reads its sockets before it runs its timers.
//!
//! After every step the [judge](crate::judge) looks at every engine.

mod deeds;
mod settled;
mod traffic;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::{Engine, Instant, Plan, Role};

use crate::action::Action;
use crate::host::{Host, Machine};
use crate::judge::{Judge, Verdict, Violation};
use crate::kernel::{Kernel, Key};
use crate::ledger::Ledger;
use crate::plan::HostPlan;
use crate::random::Random;
use crate::trace::Trace;
use crate::wire::{Frame, Weather, Wire};

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
    /// When the latest frame of each host reaches each.
    arrivals: BTreeMap<(Host, Host), Instant>,
    /// Advertisements of each host.
    sent: Vec<u64>,
    /// The longest interval that was ever reloaded.
    slowest: Duration,
    /// How long hooks take.
    hooks: Random,
    /// What is not to be seen in this run.
    forbidden: Option<String>,
    /// The host whose process did not run for a while until now, and what is to be said when it stands back.
    stalled: Option<(Instant, Host, &'static str)>,
    /// Hosts that changed hands since their last change of role.
    heirs: BTreeSet<Host>,
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
    /// From a stranger.
    Forged(Host, Frame),
    /// The process learns whether it can hear.
    Hearing(Host),
    /// The rest of a process that was asked to stop.
    Clean(Host),
    /// The next process of a hand-over.
    Successor(Host),
    Action(Action),
}

/// Whose timer it is that comes next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Bell {
    Engine,
    Kernel,
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
            wire: Wire::new(hosts.len(), weather, seed),
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
            arrivals: BTreeMap::new(),
            sent: vec![0; hosts.len()],
            slowest: Duration::ZERO,
            hooks: Random::stream(seed, 0x400c5),
            forbidden: None,
            stalled: None,
            heirs: BTreeSet::new(),
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

    /// This host never starts.
    pub fn leave_out(&mut self, host: Host) {
        self.machines[host.0].absent = true;
    }

    /// From now on the run ends as if a law was broken when something of this name is seen: a fault to find on purpose.
    pub fn forbid(&mut self, what: &str) {
        self.forbidden = Some(what.to_owned());
    }

    /// Every takeover for want of a word.
    #[must_use]
    pub fn takeovers(&self) -> &[Takeover] {
        &self.takeovers
    }

    /// How many advertisements a host has sent.
    #[must_use]
    pub fn sent_by(&self, host: Host) -> u64 {
        self.sent[host.0]
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
        while self.step(end)? {}
        self.now = self.now.max(end);
        self.look()
    }

    fn put(&mut self, at: Instant, due: Due) {
        self.entries += 1;
        self.agenda.insert((at.max(self.now), self.entries), due);
    }

    fn next_alarm(&self) -> Option<(Instant, Host, Bell)> {
        let bells = self
            .hosts()
            .zip(&self.machines)
            .flat_map(|(host, machine)| {
                let engine = machine.alarm().map(|at| (at, host, Bell::Engine));
                let kernel = machine.kernel_alarm().map(|at| (at, host, Bell::Kernel));
                [engine, kernel].into_iter().flatten()
            });
        bells.min()
    }

    /// Does the next thing, if it is due by then; whether there was one.
    fn step(&mut self, end: Instant) -> Result<bool, Verdict> {
        let alarm = self.next_alarm().filter(|(at, ..)| *at <= end);
        let first = self
            .agenda
            .first_entry()
            .filter(|entry| entry.key().0 <= alarm.map_or(end, |(at, ..)| at));
        if let Some(entry) = first {
            let ((at, _), due) = entry.remove_entry();
            self.pass(at)?;
            self.happen(due)?;
            return Ok(true);
        }
        let Some((at, host, bell)) = alarm else {
            return Ok(false);
        };
        self.pass(at)?;
        match bell {
            Bell::Engine => {
                let outputs = self.machines[host.0].ring(self.now);
                self.carry_out(host, outputs)?;
            }
            Bell::Kernel => self.kernel_turn(host)?,
        }
        Ok(true)
    }

    /// The clock goes on; nobody may have slept through it.
    fn pass(&mut self, at: Instant) -> Result<(), Verdict> {
        if at > self.now {
            self.now = at;
            self.look()?;
        }
        if let Some(seen) = self
            .forbidden
            .as_ref()
            .filter(|seen| self.sightings.contains_key(*seen))
        {
            return Err(Verdict {
                at: self.now,
                host: None,
                violation: Violation::Forbidden(seen.clone()),
            });
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Verdict> {
        for (machine, judge) in self.machines.iter().zip(&self.judges) {
            if machine.is_awake() {
                judge.quiet(machine.clock.shows(self.now), machine.slack())?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, due: Due) -> Result<(), Verdict> {
        match due {
            Due::Frame(to, frame) => self.deliver(to, frame),
            Due::Forged(to, frame) => self.deliver_forged(to, frame),
            Due::Hearing(host) => self.hearing(host),
            Due::Clean(host) => self.clean(host),
            Due::Successor(host) => self.succeed(host),
            Due::Action(action) => {
                self.trace.note(self.now, None, || format!("== {action}"));
                self.perform(action)
            }
        }
    }

    fn sight(&mut self, what: &str) {
        match self.sightings.get_mut(what) {
            Some(times) => *times += 1,
            None => {
                self.sightings.insert(what.to_owned(), 1);
            }
        }
    }
}
