//! Everything that can happen to a small world, one thing after the other.
//!
//! Two or three routers, each the [`VirtualRouter`] that ships, on a LAN where every advertisement takes [`HOP`]. Whenever
//! something is due, it may happen in any order, and a misfortune may come first: an advertisement is lost or late, a
//! router crashes, stops, starts, is suspended or resumed. Each misfortune is drawn on a budget. Worlds whose clocks
//! differ and whose timers agree are the same world, so the search ends by itself; what it has not seen cannot happen
//! within the budget.
//!
//! Limits, deliberately: misfortunes come at moments when something else is due, timers of a router that is not
//! suspended are punctual, an advertisement is late by one fixed time, a suspended router keeps the
//! first [`INBOX`] advertisements it did not hear.

use core::fmt;
use core::hash::Hash;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;

use vrrp_proto::receive::Heard;
use vrrp_proto::router::{Send, State, Step, Terms, VirtualRouter};
use vrrp_proto::{ChecksumForm, Dialect, Instant, Interval, Priority, Reason, Role};

use crate::plan::centis;
use crate::search::{Counterexample, Findings, breadth_first};

/// How long an advertisement takes.
pub const HOP: Duration = Duration::from_millis(1);
/// How many unheard advertisements a suspended router keeps.
pub const INBOX: usize = 3;
/// Older than this is all the same.
const PAST: Duration = Duration::from_secs(30);

/// How many misfortunes may still come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Advertisements lost on the way to one router.
    pub losses: u8,
    /// Advertisements late on the way to one router.
    pub delays: u8,
    /// Crashes.
    pub crashes: u8,
    /// Orderly stops.
    pub stops: u8,
    /// Suspensions.
    pub pauses: u8,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What to call it.
    pub name: &'static str,
    /// The routers; the address of each is its number.
    pub routers: Vec<Terms>,
    /// What may go wrong.
    pub budget: Budget,
}

/// A router of a [`Setting`].
#[must_use]
pub const fn router(dialect: Dialect, priority: u8, interval: Interval) -> Terms {
    Terms {
        dialect,
        priority: Priority::new(priority),
        interval,
        preempt: true,
        preempt_delay: Duration::ZERO,
        primary: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        rules: None,
    }
}

impl Setting {
    /// Routers with these priorities, 1 s.
    #[must_use]
    pub fn of(name: &'static str, dialect: Dialect, priorities: &[u8], budget: Budget) -> Self {
        let routers = priorities
            .iter()
            .map(|priority| router(dialect, *priority, centis(100)));
        Self {
            name,
            routers: (1..)
                .zip(routers)
                .map(|(number, terms)| Terms {
                    primary: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
                    ..terms
                })
                .collect(),
            budget,
        }
    }

    /// The same with other manners.
    #[must_use]
    pub fn each(mut self, change: impl Fn(usize, &mut Terms)) -> Self {
        for (number, terms) in self.routers.iter_mut().enumerate() {
            change(number, terms);
        }
        self
    }

    fn longest_interval(&self) -> Duration {
        let intervals = self.routers.iter().map(|terms| terms.interval.duration());
        intervals.max().unwrap_or_default()
    }

    /// How late a late advertisement is: the next one overtakes it.
    fn delay(&self) -> Duration {
        self.longest_interval() * 6 / 5
    }

    /// After so long without misfortune everything must have settled: once to notice a silence, once to preempt.
    fn quiet(&self) -> Duration {
        let hold = self.routers.iter().map(|terms| terms.preempt_delay).max();
        self.longest_interval() * 9 + hold.unwrap_or_default()
    }

    /// So long may there be two: each interval that it lasts costs an advertisement.
    fn longest_dual(&self) -> Duration {
        let spoilt = u32::from(self.budget.losses) + u32::from(self.budget.delays);
        self.longest_interval() * (1 + spoilt) + HOP
    }

    fn down_interval(&self, number: usize, interval: Interval) -> Duration {
        let terms = &self.routers[number];
        terms.dialect.active_down_interval(terms.priority, interval)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Mode {
    Up,
    Suspended,
    Down,
}

#[derive(Clone, Debug)]
struct Node {
    router: VirtualRouter,
    mode: Mode,
    /// What it will hear when it goes on: from whom, and the priority.
    inbox: Vec<(usize, Priority)>,
    /// The witness: not before this may it take over.
    patience: Instant,
    spoke: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    at: Instant,
    from: usize,
    to: usize,
    priority: Priority,
    late: bool,
}

#[derive(Clone, Debug)]
struct World {
    now: Instant,
    nodes: Vec<Node>,
    flights: Vec<Flight>,
    left: Budget,
    /// When the last misfortune was over.
    quiet: Instant,
    dual: Option<Instant>,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The advertisement with this number arrives.
    Deliver(usize),
    /// It never does.
    Lose(usize),
    /// It arrives later.
    Delay(usize),
    /// The timer of this router.
    Timer(usize),
    /// This router loses power.
    Crash(usize),
    /// It is stopped.
    Stop(usize),
    /// It is started.
    Start(usize),
    /// It is suspended.
    Suspend(usize),
    /// It goes on.
    Resume(usize),
}

struct Search<'a> {
    setting: &'a Setting,
    /// How often each of the interesting situations was met.
    met: BTreeMap<&'static str, usize>,
}

/// Explores all of it.
///
/// # Errors
/// The first law that was broken, by a shortest way.
pub fn explore(setting: &Setting) -> Result<Findings, Box<Counterexample<Event>>> {
    let mut search = Search {
        setting,
        met: BTreeMap::new(),
    };
    let findings = breadth_first(
        World::new(setting),
        |world, hasher| world.digest(setting, hasher),
        |world| world.choices(setting),
        |before, when, event| search.take(before, when, event),
    )?;
    Ok(Findings {
        sometimes: search.met,
        ..findings
    })
}

impl World {
    fn new(setting: &Setting) -> Self {
        // Far from the origin, so that nothing saturates there.
        let now = Instant::ZERO + PAST * 10;
        Self {
            now,
            nodes: setting
                .routers
                .iter()
                .map(|_| Node {
                    router: VirtualRouter::default(),
                    mode: Mode::Down,
                    inbox: Vec::new(),
                    patience: now,
                    spoke: now,
                })
                .collect(),
            flights: Vec::new(),
            left: setting.budget,
            quiet: now,
            dual: None,
        }
    }

    fn due(&self, node: &Node) -> Option<Instant> {
        (node.mode == Mode::Up)
            .then(|| node.router.deadline())
            .flatten()
            .map(|due| due.max(self.now))
    }

    /// Everything that can happen next, and when.
    fn choices(&self, setting: &Setting) -> Vec<(Instant, Event)> {
        let flights = self.flights.iter().map(|flight| flight.at.max(self.now));
        let timers = self.nodes.iter().filter_map(|node| self.due(node));
        let now = flights.chain(timers).min();
        let at = now.unwrap_or(self.now + setting.longest_interval());
        let mut events = Vec::new();
        for (number, flight) in self.flights.iter().enumerate() {
            if flight.at.max(self.now) == at {
                events.push(Event::Deliver(number));
                let heard = self.nodes[flight.to].mode != Mode::Down;
                if heard && self.left.losses > 0 {
                    events.push(Event::Lose(number));
                }
                if heard && self.left.delays > 0 && !flight.late {
                    events.push(Event::Delay(number));
                }
            }
        }
        for (number, node) in self.nodes.iter().enumerate() {
            if self.due(node) == Some(at) {
                events.push(Event::Timer(number));
            }
            match node.mode {
                Mode::Up => {
                    if self.left.crashes > 0 {
                        events.push(Event::Crash(number));
                    }
                    if self.left.stops > 0 {
                        events.push(Event::Stop(number));
                    }
                    if self.left.pauses > 0 {
                        events.push(Event::Suspend(number));
                    }
                }
                Mode::Suspended => events.push(Event::Resume(number)),
                Mode::Down => events.push(Event::Start(number)),
            }
        }
        events.into_iter().map(|event| (at, event)).collect()
    }

    fn actives(&self) -> impl Iterator<Item = usize> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.mode == Mode::Up && node.router.role() == Role::Active)
            .map(|(number, _)| number)
    }

    /// Two worlds with the same digest have the same future: everything counts from now, and what is long past or
    /// long over is all the same.
    fn digest(&self, setting: &Setting, hasher: &mut DefaultHasher) {
        let past = |at: Instant| self.now.saturating_since(at).min(PAST);
        let future = |at: Instant| at.saturating_since(self.now);
        for node in &self.nodes {
            node.mode.hash(hasher);
            node.inbox.hash(hasher);
            node.router.role().hash(hasher);
            match node.router.state() {
                State::Initialize => {}
                State::Backup(backup) => {
                    (future(backup.active_down), past(backup.active_down)).hash(hasher);
                    backup.active_interval.hash(hasher);
                    backup.because.hash(hasher);
                    backup.hold.map(future).hash(hasher);
                    future(node.patience).hash(hasher);
                }
                State::Active(active) => {
                    (future(active.adver), past(active.adver)).hash(hasher);
                    past(active.sent).hash(hasher);
                    active.answered.map(past).hash(hasher);
                    past(node.spoke).hash(hasher);
                }
            }
        }
        let mut flights: Vec<_> = self
            .flights
            .iter()
            .map(|flight| {
                (
                    future(flight.at),
                    flight.from,
                    flight.to,
                    flight.priority,
                    flight.late,
                )
            })
            .collect();
        flights.sort_unstable();
        flights.hash(hasher);
        self.left.hash(hasher);
        (
            past(self.quiet).min(setting.quiet()),
            future(self.quiet),
            self.dual.map(past),
        )
            .hash(hasher);
    }
}

impl Search<'_> {
    fn sometimes(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// The world after `event`.
    fn take(&mut self, before: &World, at: Instant, event: Event) -> Result<World, String> {
        let mut world = before.clone();
        world.now = at;
        match event {
            Event::Deliver(number) => {
                let flight = world.flights.swap_remove(number);
                self.deliver(&mut world, flight)?;
            }
            Event::Lose(number) => {
                let flight = world.flights.swap_remove(number);
                world.left.losses -= 1;
                world.quiet = world.quiet.max(at);
                if flight.priority == Priority::RELEASE {
                    self.sometimes("a release was lost");
                }
            }
            Event::Delay(number) => {
                let flight = &mut world.flights[number];
                flight.at = at + self.setting.delay();
                flight.late = true;
                world.left.delays -= 1;
                world.quiet = world.quiet.max(world.flights[number].at);
            }
            Event::Timer(number) => {
                self.stand_back(&mut world, number)?;
                let terms = self.setting.routers[number];
                let step = world.nodes[number].router.timeout(at, &terms);
                self.carry_out(&mut world, number, &step)?;
            }
            Event::Crash(number) => {
                if world.actives().any(|active| active == number) {
                    self.sometimes("an Active crashed");
                }
                world.left.crashes -= 1;
                world.quiet = world.quiet.max(at);
                let node = &mut world.nodes[number];
                node.mode = Mode::Down;
                node.router = VirtualRouter::default();
            }
            Event::Stop(number) => {
                world.left.stops -= 1;
                world.quiet = world.quiet.max(at);
                self.stand_back(&mut world, number)?;
                let step = world.nodes[number].router.shutdown(Reason::Shutdown);
                self.carry_out(&mut world, number, &step)?;
                world.nodes[number].mode = Mode::Down;
            }
            Event::Start(number) => {
                world.quiet = world.quiet.max(at);
                world.nodes[number].mode = Mode::Up;
                let terms = self.setting.routers[number];
                let step = world.nodes[number].router.startup(at, &terms);
                self.carry_out(&mut world, number, &step)?;
            }
            Event::Suspend(number) => {
                world.left.pauses -= 1;
                world.quiet = world.quiet.max(at);
                world.nodes[number].mode = Mode::Suspended;
            }
            Event::Resume(number) => {
                world.quiet = world.quiet.max(at);
                world.nodes[number].mode = Mode::Up;
                for (from, priority) in core::mem::take(&mut world.nodes[number].inbox) {
                    world.flights.push(Flight {
                        at,
                        from,
                        to: number,
                        priority,
                        late: true,
                    });
                }
            }
        }
        self.judge(before, &mut world)?;
        Ok(world)
    }

    fn deliver(&mut self, world: &mut World, flight: Flight) -> Result<(), String> {
        let now = world.now;
        let terms = self.setting.routers[flight.to];
        let sender = self.setting.routers[flight.from];
        match world.nodes[flight.to].mode {
            Mode::Down => return Ok(()),
            Mode::Suspended => {
                let inbox = &mut world.nodes[flight.to].inbox;
                if inbox.len() < INBOX {
                    inbox.push((flight.from, flight.priority));
                }
                return Ok(());
            }
            Mode::Up => {}
        }
        if terms.dialect.owner_ignores_others() && terms.priority.is_owner() {
            return Ok(());
        }
        self.stand_back(world, flight.to)?;
        let heard = Heard {
            source: sender.primary,
            priority: flight.priority,
            interval: sender.interval,
            form: ChecksumForm::Rfc9568,
            other_interval: sender.interval != terms.interval,
            other_addresses: false,
            bid: None,
        };
        let node = &mut world.nodes[flight.to];
        let role = node.router.role();
        let better = (flight.priority, sender.primary) > (terms.priority, terms.primary);
        let step = node.router.advertisement(now, &terms, &heard);
        match role {
            Role::Backup => {
                let preempts = terms.preempt || terms.priority.is_owner();
                if flight.priority == Priority::RELEASE {
                    self.sometimes("a Backup heard a release");
                    if let State::Backup(backup) = node.router.state() {
                        node.patience = now
                            + terms
                                .dialect
                                .skew_time(terms.priority, backup.active_interval);
                    }
                } else if flight.priority >= terms.priority || !preempts {
                    node.patience = now + self.setting.down_interval(flight.to, sender.interval);
                }
            }
            Role::Active if flight.priority == Priority::RELEASE => {
                self.sometimes("an Active heard a release");
            }
            Role::Active => {
                if better == (node.router.role() == Role::Active) {
                    return Err(format!("{} kept or lost wrongly", flight.to));
                }
                if flight.priority == terms.priority {
                    self.sometimes("a tie was decided by the address");
                }
                if !better {
                    self.sometimes(if step.send.is_some() {
                        "a loser was answered"
                    } else {
                        "a loser was not answered"
                    });
                }
            }
            Role::Initialize => {}
        }
        self.carry_out(world, flight.to, &step)
    }

    fn stand_back(&mut self, world: &mut World, number: usize) -> Result<(), String> {
        let terms = self.setting.routers[number];
        let step = world.nodes[number]
            .router
            .stand_back_if_late(world.now, &terms);
        if step.late.is_some() {
            self.sometimes("a late Active stood back");
        }
        self.carry_out(world, number, &step)
    }

    fn carry_out(&mut self, world: &mut World, number: usize, step: &Step) -> Result<(), String> {
        let now = world.now;
        let terms = self.setting.routers[number];
        let silence = self.setting.down_interval(number, terms.interval);
        let node = &mut world.nodes[number];
        if let Some((from, to, reason)) = step.transition {
            match to {
                Role::Active => {
                    if !(terms.priority.is_owner() && from == Role::Initialize)
                        && now < node.patience
                    {
                        return Err(format!("{number} took over without having waited"));
                    }
                    match reason {
                        Reason::Preempting => self.sometimes("a Backup preempted"),
                        Reason::Released => self.sometimes("a Backup took over after a release"),
                        Reason::NoResponse => self.sometimes("a Backup took over after a silence"),
                        Reason::Startup
                        | Reason::Owner
                        | Reason::HigherPriority
                        | Reason::BetterBid
                        | Reason::HigherAddress
                        | Reason::EqualBid
                        | Reason::Late
                        | Reason::Fault
                        | Reason::Shutdown
                        | Reason::Removed
                        | Reason::Ordered
                        | Reason::Unclaimed
                        | Reason::Group
                        | Reason::BfdDown => {}
                    }
                }
                Role::Backup => {
                    // One that lost follows the winner's interval, which can be shorter.
                    let interval = match node.router.state() {
                        State::Backup(backup) => backup.active_interval,
                        State::Active(_) | State::Initialize => terms.interval,
                    };
                    node.patience = now + self.setting.down_interval(number, interval);
                }
                Role::Initialize => {}
            }
        }
        let Some(send) = step.send else {
            return Ok(());
        };
        let node = &mut world.nodes[number];
        let took_over = step.transition.is_some();
        if send == Send::Regular && !took_over && now.saturating_since(node.spoke) > silence {
            return Err(format!("{number} spoke after a silence"));
        }
        if send == Send::Regular && node.router.role() != Role::Active {
            return Err(format!("{number} spoke without being Active"));
        }
        node.spoke = now;
        let priority = match send {
            Send::Regular => terms.priority,
            Send::Release => Priority::RELEASE,
        };
        for to in (0..self.setting.routers.len()).filter(|to| *to != number) {
            world.flights.push(Flight {
                at: now + HOP,
                from: number,
                to,
                priority,
                late: false,
            });
        }
        Ok(())
    }

    fn judge(&mut self, before: &World, world: &mut World) -> Result<(), String> {
        let setting = self.setting;
        let actives: Vec<usize> = world.actives().collect();
        match (actives.len() > 1, world.dual) {
            (true, None) => {
                world.dual = Some(world.now);
                self.sometimes("two were Active");
            }
            (true, Some(since)) => {
                let lasted = world.now.saturating_since(since);
                if lasted > setting.longest_dual() {
                    return Err(format!("{actives:?} Active for {lasted:?}"));
                }
            }
            (false, Some(_)) => {
                world.dual = None;
                let up = |world: &World| world.nodes.iter().filter(|n| n.mode == Mode::Up).count();
                if up(before) == up(world) {
                    self.sometimes("one of two Actives gave way");
                }
            }
            (false, None) => {}
        }
        if world.now.saturating_since(world.quiet) < setting.quiet() {
            return Ok(());
        }
        let up: Vec<usize> = (0..world.nodes.len())
            .filter(|number| world.nodes[*number].mode == Mode::Up)
            .collect();
        if up.is_empty() {
            return Ok(());
        }
        let [active] = actives[..] else {
            return Err(format!("after a quiet, {actives:?} are Active"));
        };
        self.sometimes("a quiet world had one Active");
        let best = up
            .iter()
            .map(|number| setting.routers[*number])
            .filter(|terms| terms.preempt || terms.priority.is_owner())
            .map(|terms| terms.priority)
            .max();
        if best.is_some_and(|best| best > setting.routers[active].priority) {
            return Err(format!("after a quiet, {active} is Active"));
        }
        Ok(())
    }
}

/// What may go wrong, at most, and the name of it.
const fn budget(losses: u8, delays: u8, crashes: u8, stops: u8, pauses: u8) -> Budget {
    Budget {
        losses,
        delays,
        crashes,
        stops,
        pauses,
    }
}

/// The worlds that are explored: few in every test, many by `check-model`.
#[must_use]
pub fn settings(thorough: bool) -> Vec<Setting> {
    use Dialect::{Vrrp2, Vrrp3};
    let polite = |_: usize, terms: &mut Terms| terms.preempt = false;
    let patient = |_: usize, terms: &mut Terms| terms.preempt_delay = Duration::from_secs(5);
    let mixed = |number: usize, terms: &mut Terms| {
        terms.interval = [centis(100), centis(300), centis(50)][number];
    };
    let pairs = |budget: Budget| {
        [
            Setting::of("two, v3", Vrrp3, &[200, 100], budget),
            Setting::of("two, v2", Vrrp2, &[200, 100], budget),
            Setting::of("two, v3, equal", Vrrp3, &[100, 100], budget),
            Setting::of("two, v2, equal", Vrrp2, &[100, 100], budget),
            Setting::of("two, v3, owner", Vrrp3, &[255, 100], budget),
            Setting::of("two, v2, owner", Vrrp2, &[255, 100], budget),
            Setting::of("two, v3, both owners", Vrrp3, &[255, 255], budget),
            Setting::of("two, v3, polite", Vrrp3, &[200, 100], budget).each(polite),
            Setting::of("two, v3, preemption delay", Vrrp3, &[200, 100], budget).each(patient),
            Setting::of("two, v3, mixed intervals", Vrrp3, &[200, 100], budget).each(mixed),
        ]
    };
    let triples = |budget: Budget| {
        [
            Setting::of("three, v3", Vrrp3, &[200, 150, 100], budget),
            Setting::of("three, v2", Vrrp2, &[200, 150, 100], budget),
            Setting::of("three, v3, equal", Vrrp3, &[100, 100, 100], budget),
        ]
    };
    let mut settings = Vec::new();
    // losses, delays, crashes, stops, pauses
    settings.extend(pairs(budget(4, 0, 0, 0, 0)));
    settings.extend(pairs(budget(1, 0, 0, 1, 0)).into_iter().take(1));
    settings.extend(pairs(budget(0, 0, 0, 0, 1)).into_iter().take(3));
    settings.extend(pairs(budget(0, 1, 1, 0, 0)).into_iter().take(2));
    if thorough {
        settings.extend(pairs(budget(2, 1, 1, 0, 0)));
        settings.extend(pairs(budget(1, 1, 0, 1, 0)));
        settings.extend(pairs(budget(1, 1, 0, 0, 1)));
        settings.extend(pairs(budget(0, 0, 1, 0, 1)));
        settings.extend(triples(budget(2, 0, 0, 0, 0)));
        settings.extend(triples(budget(1, 1, 1, 0, 0)));
        settings.extend(triples(budget(1, 0, 0, 1, 0)));
        settings.extend(triples(budget(0, 0, 0, 0, 1)));
        settings.extend(pairs(budget(1, 1, 1, 1, 1)).into_iter().skip(1).take(1));
    }
    settings
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let budget = self.budget;
        for (count, what) in [
            (budget.losses, "lost"),
            (budget.delays, "late"),
            (budget.crashes, "crashed"),
            (budget.stops, "stopped"),
            (budget.pauses, "suspended"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
