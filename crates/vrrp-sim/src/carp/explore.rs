//! Everything that can happen to a small world of CARP, one thing after the other: as [`crate::explore`], with the election of
//! ours ([`VirtualRouter`]) beside models of the others.
//!
//! Whenever something is due it may happen in any order, and a misfortune may come first, on a budget: an advertisement is lost on
//! the way to one router, one crashes, stops, is demoted or comes back, or is suspended. What differs in the time on the clock only is one
//! world, so the search ends by itself. Its limits are those of [`crate::explore`].

use core::fmt;
use core::hash::Hash;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;

use vrrp_proto::carp::{Bid as EngineBid, CarpPlan, Passphrase, Profile, Rules, priority};
use vrrp_proto::receive::Heard as EngineHeard;
use vrrp_proto::router::{Send, State, Step, Terms as EngineTerms, VirtualRouter};
use vrrp_proto::{ChecksumForm, Dialect, Instant, Interval, Priority, Reason};

use crate::reference::carp::wire::Heard;
use crate::reference::carp::{Bid, Machine, Manner, Role, Said, Terms};
use crate::reference::terms::{Nanos, SECOND};
use crate::search::{Counterexample, Findings, breadth_first};

/// How long an advertisement takes.
const HOP: Nanos = SECOND / 1000;

/// Older than this is all the same.
const PAST: Nanos = 30 * SECOND;

/// How much a demoted router is demoted.
const DEMOTED: i16 = 60;

/// How many misfortunes may still come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    /// Advertisements lost on the way to one router.
    pub losses: u8,
    /// Crashes.
    pub crashes: u8,
    /// Orderly stops.
    pub stops: u8,
    /// Demotions.
    pub demotions: u8,
    /// Suspensions: what comes meanwhile is not heard.
    pub pauses: u8,
}

/// A world to explore.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What to call it.
    pub name: &'static str,
    /// The routers; the last octet of each is its number and one.
    pub routers: Vec<Terms>,
    /// What may go wrong.
    pub budget: Budget,
}

impl Setting {
    fn own(&self, number: usize, ipv6: bool) -> IpAddr {
        let last = u8::try_from(number + 1).unwrap_or(1);
        if ipv6 {
            IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last)])
        } else {
            IpAddr::from([192, 0, 2, last])
        }
    }

    fn longest_interval(&self) -> Nanos {
        // Also of one that is demoted.
        let intervals = self.routers.iter().map(|terms| {
            let mut demoted = terms.clone();
            demoted.demotion = DEMOTED;
            terms.interval().max(demoted.interval())
        });
        intervals.max().unwrap_or_default()
    }

    /// After so long without misfortune everything must have settled: once to notice a silence, once more after both of two
    /// equals have given way, and once to preempt.
    fn quiet(&self) -> Nanos {
        let down = self.routers.iter().map(Terms::down_interval).max();
        3 * (down.unwrap_or_default() + self.longest_interval())
    }

    /// So long may there be two: one interval of each, and one more for each advertisement that was lost.
    fn longest_dual(&self) -> Nanos {
        self.longest_interval() * (2 + Nanos::from(self.budget.losses)) + 2 * HOP
    }
}

#[derive(Clone, Debug)]
enum Body {
    Ours(VirtualRouter),
    Model(Box<Machine>),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Mode {
    Up,
    Suspended,
    Down,
}

#[derive(Clone, Debug)]
struct Node {
    mode: Mode,
    body: Body,
    demoted: bool,
    /// The witness: not before this may it take over.
    patience: [Nanos; 2],
    spoke: Nanos,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Flight {
    at: Nanos,
    from: usize,
    to: usize,
    ipv6: bool,
    bid: Bid,
}

#[derive(Clone, Debug)]
struct World {
    now: Nanos,
    nodes: Vec<Node>,
    flights: Vec<Flight>,
    left: Budget,
    /// When the last misfortune was over.
    quiet: Nanos,
    dual: Option<Nanos>,
}

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The advertisement with this number arrives.
    Deliver(usize),
    /// It never does.
    Lose(usize),
    /// The timer of this router.
    Timer(usize),
    /// This router loses power.
    Crash(usize),
    /// It is stopped.
    Stop(usize),
    /// It is started.
    Start(usize),
    /// Something is wrong with it.
    Demote(usize),
    /// No longer.
    Restore(usize),
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
        |world| {
            let choices = world.choices(setting).into_iter();
            choices.map(|(then, event)| (at(then), event)).collect()
        },
        |before, when, event| search.take(before, when.as_nanos(), event),
    )?;
    Ok(Findings {
        sometimes: search.met,
        ..findings
    })
}

const fn at(nanos: Nanos) -> Instant {
    Instant::from_nanos(nanos)
}

/// The terms of the engine for a router with these.
fn engine_terms(terms: &Terms, own: IpAddr) -> EngineTerms {
    let base = priority(terms.advskew).get();
    let lost = u8::try_from(terms.demotion).unwrap_or_default();
    let effective = Priority::new(base.saturating_sub(lost).max(1));
    let plan = Passphrase::new(&terms.key).map(|passphrase| CarpPlan {
        profile: match terms.manner {
            Manner::Any | Manner::Ucarp => Profile::Any,
            Manner::OpenBsd => Profile::OpenBsd,
            Manner::FreeBsd => Profile::FreeBsd,
        },
        ..CarpPlan::new(terms.advskew, passphrase)
    });
    let dual = terms.speaks(false) && terms.speaks(true);
    EngineTerms {
        dialect: Dialect::Carp,
        priority: effective,
        interval: Interval::from_secs(terms.advbase).unwrap_or(Interval::DEFAULT),
        preempt: terms.preempt,
        preempt_delay: Duration::ZERO,
        primary: own,
        rules: plan
            .ok()
            .map(|plan| Rules::new(&plan, terms.advbase, effective, dual)),
    }
}

impl World {
    fn new(setting: &Setting) -> Self {
        // Far from the origin, so that nothing saturates there.
        let now = 10 * PAST;
        Self {
            now,
            nodes: setting
                .routers
                .iter()
                .map(|terms| Node {
                    mode: Mode::Down,
                    body: if terms.ours {
                        Body::Ours(VirtualRouter::default())
                    } else {
                        Body::Model(Box::new(Machine::new(terms.clone())))
                    },
                    demoted: false,
                    patience: [now; 2],
                    spoke: now,
                })
                .collect(),
            flights: Vec::new(),
            left: setting.budget,
            quiet: now,
            dual: None,
        }
    }

    /// The terms of a router at present.
    fn terms(&self, setting: &Setting, number: usize) -> Terms {
        let mut terms = setting.routers[number].clone();
        if self.nodes[number].demoted {
            terms.demotion = DEMOTED;
        }
        terms
    }

    fn due(&self, node: &Node) -> Option<Nanos> {
        if node.mode != Mode::Up {
            return None;
        }
        let due = match &node.body {
            Body::Ours(router) => router.deadline().map(Instant::as_nanos),
            Body::Model(machine) => machine.deadline(),
        };
        due.map(|due| due.max(self.now))
    }

    fn role(node: &Node) -> Role {
        match (&node.body, node.mode) {
            (_, Mode::Down) => Role::Initialize,
            (Body::Ours(router), _) => match router.role() {
                vrrp_proto::Role::Initialize => Role::Initialize,
                vrrp_proto::Role::Backup => Role::Backup,
                vrrp_proto::Role::Active => Role::Active,
            },
            (Body::Model(machine), _) => machine.role(),
        }
    }

    fn actives(&self) -> impl Iterator<Item = usize> + '_ {
        let all = self.nodes.iter().enumerate();
        all.filter(|(_, node)| node.mode == Mode::Up && Self::role(node) == Role::Active)
            .map(|(number, _)| number)
    }

    /// Everything that can happen next, and when.
    fn choices(&self, setting: &Setting) -> Vec<(Nanos, Event)> {
        let flights = self.flights.iter().map(|flight| flight.at.max(self.now));
        let timers = self.nodes.iter().filter_map(|node| self.due(node));
        let now = flights.chain(timers).min();
        let at = now.unwrap_or(self.now + setting.longest_interval());
        let mut events = Vec::new();
        for (number, flight) in self.flights.iter().enumerate() {
            if flight.at.max(self.now) == at {
                events.push(Event::Deliver(number));
                if self.nodes[flight.to].mode == Mode::Up && self.left.losses > 0 {
                    events.push(Event::Lose(number));
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
                    if node.demoted {
                        events.push(Event::Restore(number));
                    } else if self.left.demotions > 0
                        && setting.routers[number].manner != Manner::Ucarp
                    {
                        events.push(Event::Demote(number));
                    }
                    if self.left.pauses > 0 && setting.routers[number].ours {
                        events.push(Event::Suspend(number));
                    }
                }
                Mode::Suspended => events.push(Event::Resume(number)),
                Mode::Down => events.push(Event::Start(number)),
            }
        }
        events.into_iter().map(|event| (at, event)).collect()
    }

    /// Two worlds with the same digest have the same future.
    fn digest(&self, setting: &Setting, hasher: &mut DefaultHasher) {
        let past = |at: Nanos| self.now.saturating_sub(at).min(PAST);
        let future = |at: Nanos| at.saturating_sub(self.now);
        for node in &self.nodes {
            (node.mode, node.demoted).hash(hasher);
            match &node.body {
                Body::Ours(router) => match router.state() {
                    State::Initialize => 0.hash(hasher),
                    State::Backup(backup) => {
                        let nanos = |at: Instant| future(at.as_nanos());
                        (
                            1,
                            nanos(backup.active_down),
                            backup.because,
                            backup.last_words,
                        )
                            .hash(hasher);
                        backup.downs.map(|downs| downs.map(nanos)).hash(hasher);
                        backup.equals.hash(hasher);
                        node.patience.map(future).hash(hasher);
                    }
                    State::Active(active) => {
                        (
                            2,
                            future(active.adver.as_nanos()),
                            past(active.sent.as_nanos()),
                            active.fresh,
                        )
                            .hash(hasher);
                        past(node.spoke).hash(hasher);
                    }
                },
                Body::Model(machine) => machine.relative(self.now).hash(hasher),
            }
        }
        let mut flights: Vec<Flight> = self.flights.clone();
        for flight in &mut flights {
            flight.at = future(flight.at);
        }
        flights.sort_unstable();
        flights.hash(hasher);
        self.left.hash(hasher);
        (past(self.quiet).min(setting.quiet()), self.dual.map(past)).hash(hasher);
    }
}

impl Search<'_> {
    fn sometimes(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// The world after `event`.
    fn take(&mut self, before: &World, at: Nanos, event: Event) -> Result<World, String> {
        let mut world = before.clone();
        world.now = at;
        if !matches!(event, Event::Deliver(_) | Event::Timer(_)) {
            world.quiet = at;
        }
        match event {
            Event::Deliver(number) => {
                let flight = world.flights.swap_remove(number);
                if world.nodes[flight.to].mode == Mode::Up {
                    self.deliver(&mut world, flight)?;
                }
            }
            Event::Lose(number) => {
                world.flights.swap_remove(number);
                world.left.losses -= 1;
            }
            Event::Timer(number) => self.timer(&mut world, number)?,
            Event::Crash(number) => {
                if world.actives().any(|active| active == number) {
                    self.sometimes("an Active crashed");
                }
                world.left.crashes -= 1;
                self.down(&mut world, number);
            }
            Event::Stop(number) => {
                world.left.stops -= 1;
                self.stop(&mut world, number)?;
                self.down(&mut world, number);
            }
            Event::Start(number) => self.start(&mut world, number)?,
            Event::Demote(number) | Event::Restore(number) => {
                let demoted = event == Event::Demote(number);
                if demoted {
                    world.left.demotions -= 1;
                }
                self.demote(&mut world, number, demoted)?;
            }
            Event::Suspend(number) => {
                world.left.pauses -= 1;
                world.nodes[number].mode = Mode::Suspended;
            }
            Event::Resume(number) => world.nodes[number].mode = Mode::Up,
        }
        self.judge(&mut world)?;
        Ok(world)
    }

    fn down(&self, world: &mut World, number: usize) {
        let fresh = World::new(self.setting);
        let demoted = world.nodes[number].demoted && !self.setting.routers[number].ours;
        world.nodes[number] = fresh.nodes[number].clone();
        world.nodes[number].demoted = demoted;
    }

    fn start(&mut self, world: &mut World, number: usize) -> Result<(), String> {
        let now = world.now;
        let terms = world.terms(self.setting, number);
        let own =
            [false, true].map(|ipv6| terms.speaks(ipv6).then(|| self.setting.own(number, ipv6)));
        world.nodes[number].mode = Mode::Up;
        let engine = engine_terms(&terms, self.setting.own(number, !terms.speaks(false)));
        match &mut world.nodes[number].body {
            Body::Ours(router) => {
                let step = router.startup(at(now), &engine);
                self.carry_out(world, number, &step, None)
            }
            Body::Model(machine) => {
                **machine = Machine::new(terms);
                machine.link(now, own, true);
                self.model_said(world, number);
                Ok(())
            }
        }
    }

    fn stop(&mut self, world: &mut World, number: usize) -> Result<(), String> {
        let now = world.now;
        self.stand_back(world, number)?;
        match &mut world.nodes[number].body {
            Body::Ours(router) => {
                let step = router.shutdown(Reason::Shutdown);
                self.carry_out(world, number, &step, None)
            }
            Body::Model(machine) => {
                machine.stop(now);
                if machine.terms().manner != Manner::OpenBsd {
                    machine.take_said();
                }
                self.model_said(world, number);
                Ok(())
            }
        }
    }

    fn demote(&mut self, world: &mut World, number: usize, demoted: bool) -> Result<(), String> {
        let now = world.now;
        self.stand_back(world, number)?;
        let primary = self
            .setting
            .own(number, !self.setting.routers[number].speaks(false));
        let before = engine_terms(&world.terms(self.setting, number), primary);
        world.nodes[number].demoted = demoted;
        let terms = world.terms(self.setting, number);
        let after = engine_terms(&terms, primary);
        match &mut world.nodes[number].body {
            Body::Ours(router) => {
                let step = router.revise(at(now), &before, &after);
                if demoted {
                    router.restrain(at(now), &after);
                }
                self.carry_out(world, number, &step, None)
            }
            Body::Model(machine) => {
                machine.revise(now, terms);
                self.model_said(world, number);
                Ok(())
            }
        }
    }

    fn stand_back(&mut self, world: &mut World, number: usize) -> Result<(), String> {
        let now = world.now;
        let terms = world.terms(self.setting, number);
        let engine = engine_terms(&terms, self.setting.own(number, !terms.speaks(false)));
        if let Body::Ours(router) = &mut world.nodes[number].body {
            let step = router.stand_back_if_late(at(now), &engine);
            if step.late.is_some() {
                self.sometimes("a late Active stood back");
            }
            return self.carry_out(world, number, &step, None);
        }
        Ok(())
    }

    fn timer(&mut self, world: &mut World, number: usize) -> Result<(), String> {
        let now = world.now;
        self.stand_back(world, number)?;
        let terms = world.terms(self.setting, number);
        let engine = engine_terms(&terms, self.setting.own(number, !terms.speaks(false)));
        match &mut world.nodes[number].body {
            Body::Ours(router) => {
                let step = router.timeout(at(now), &engine);
                self.carry_out(world, number, &step, None)
            }
            Body::Model(machine) => {
                machine.timer(now);
                self.model_said(world, number);
                Ok(())
            }
        }
    }

    fn deliver(&mut self, world: &mut World, flight: Flight) -> Result<(), String> {
        let (now, to) = (world.now, flight.to);
        let terms = world.terms(self.setting, to);
        let source = self.setting.own(flight.from, flight.ipv6);
        self.stand_back(world, to)?;
        let primary = self.setting.own(to, !terms.speaks(false));
        let engine = engine_terms(&terms, primary);
        let role = World::role(&world.nodes[to]);
        let Bid {
            advbase,
            advskew,
            demotion,
        } = flight.bid;
        match &mut world.nodes[to].body {
            Body::Ours(router) => {
                let heard = EngineHeard {
                    source,
                    priority: if flight.bid.gives_up() {
                        Priority::RELEASE
                    } else {
                        priority(advskew)
                    },
                    interval: Interval::from_secs(advbase).unwrap_or(Interval::DEFAULT),
                    form: ChecksumForm::Rfc9568,
                    other_interval: false,
                    other_addresses: false,
                    bid: Some(EngineBid {
                        advbase,
                        advskew,
                        demotion,
                    }),
                };
                let step = router.advertisement(at(now), &engine, &heard);
                if role == Role::Backup {
                    self.witness(world, flight, &terms);
                } else if role == Role::Active {
                    let equal = flight.bid.ticks() == terms.bid().ticks();
                    if step.transition.is_some() {
                        self.sometimes(if equal {
                            "one of ours gave way to an equal one"
                        } else {
                            "one of ours gave way to a better one"
                        });
                    }
                    if flight.bid.gives_up() {
                        self.sometimes("an Active heard a bow-out");
                    }
                }
                if step.send.is_some() {
                    return Err(format!("{to} spoke because of what it heard"));
                }
                self.carry_out(world, to, &step, Some(flight))
            }
            Body::Model(machine) => {
                machine.hear(
                    now,
                    &Heard {
                        source,
                        bid: flight.bid,
                        counter: 0,
                    },
                );
                let said = self.model_said(world, to);
                if said && World::role(&world.nodes[to]) == Role::Backup {
                    self.sometimes("a UCarp gave way with one more word");
                }
                Ok(())
            }
        }
    }

    /// What a Backup of ours heard, by the reference's reading of it: from when on it may take over.
    fn witness(&mut self, world: &mut World, flight: Flight, terms: &Terms) {
        let now = world.now;
        let patience = &mut world.nodes[flight.to].patience;
        if flight.bid.gives_up() {
            *patience = [now; 2];
            self.sometimes("a Backup heard a bow-out");
        } else if terms.finds_unfit(flight.bid) {
            *patience = [now; 2];
            self.sometimes("a Backup heard one that is unfit");
        } else if terms.preempt && terms.is_faster_than(flight.bid) {
            *patience = [now; 2];
            self.sometimes("a Backup preempted");
        } else {
            patience[usize::from(flight.ipv6)] = now + terms.down_interval();
        }
    }

    /// Sends what a model has said. Whether it said anything.
    fn model_said(&mut self, world: &mut World, number: usize) -> bool {
        let Body::Model(machine) = &mut world.nodes[number].body else {
            return false;
        };
        let said = machine.take_said();
        for said in &said {
            let (Said::Regular(bid) | Said::Farewell(bid)) = *said;
            self.send(world, number, bid);
        }
        !said.is_empty()
    }

    fn send(&self, world: &mut World, from: usize, bid: Bid) {
        for to in (0..self.setting.routers.len()).filter(|to| *to != from) {
            for ipv6 in [false, true] {
                if self.setting.routers[from].speaks(ipv6) {
                    world.flights.push(Flight {
                        at: world.now + HOP,
                        from,
                        to,
                        ipv6,
                        bid,
                    });
                }
            }
        }
    }

    /// What ours does.
    fn carry_out(
        &mut self,
        world: &mut World,
        number: usize,
        step: &Step,
        heard: Option<Flight>,
    ) -> Result<(), String> {
        let now = world.now;
        let terms = world.terms(self.setting, number);
        let node = &mut world.nodes[number];
        if let Some((_, to, _)) = step.transition {
            match to {
                vrrp_proto::Role::Active => {
                    let patience = [false, true]
                        .into_iter()
                        .filter(|ipv6| terms.speaks(*ipv6))
                        .map(|ipv6| node.patience[usize::from(ipv6)])
                        .min();
                    if patience.is_some_and(|patience| now < patience) {
                        return Err(format!("{number} took over without having waited"));
                    }
                }
                vrrp_proto::Role::Backup => {
                    node.patience = [now + terms.down_interval(); 2];
                    if step.send.is_some() {
                        return Err(format!("{number} spoke while it gave way to {heard:?}"));
                    }
                }
                vrrp_proto::Role::Initialize => {}
            }
        }
        let Some(send) = step.send else {
            return Ok(());
        };
        let node = &mut world.nodes[number];
        let took_over = step.transition.is_some();
        let silent = now.saturating_sub(node.spoke);
        if send == Send::Regular && !took_over && silent > terms.down_interval() {
            return Err(format!("{number} spoke after a silence"));
        }
        if send == Send::Regular && World::role(&world.nodes[number]) != Role::Active {
            return Err(format!("{number} spoke without being Active"));
        }
        world.nodes[number].spoke = now;
        let bid = match send {
            Send::Regular => terms.bid(),
            Send::Release => Bid {
                advbase: 255,
                advskew: 255,
                demotion: terms.bid().demotion,
            },
        };
        self.send(world, number, bid);
        Ok(())
    }

    fn judge(&mut self, world: &mut World) -> Result<(), String> {
        let setting = self.setting;
        let actives: Vec<usize> = world.actives().collect();
        match (actives.len() > 1, world.dual) {
            (true, None) => {
                world.dual = Some(world.now);
                self.sometimes("two were Active");
            }
            (true, Some(since)) => {
                let lasted = world.now - since;
                if lasted > setting.longest_dual() {
                    return Err(format!("{actives:?} Active for {} ms", lasted / HOP));
                }
            }
            (false, Some(_)) => world.dual = None,
            (false, None) => {}
        }
        let up: Vec<usize> = (0..world.nodes.len())
            .filter(|number| world.nodes[*number].mode == Mode::Up)
            .collect();
        if world.now - world.quiet < setting.quiet() || up.is_empty() {
            return Ok(());
        }
        let [active] = actives[..] else {
            return Err(format!("after a quiet, {actives:?} are Active"));
        };
        self.sometimes("a quiet world had one Active");
        let bid = world.terms(setting, active).bid();
        for number in up.into_iter().filter(|number| *number != active) {
            let terms = world.terms(setting, number);
            if terms.finds_unfit(bid) || (terms.preempt && terms.is_faster_than(bid)) {
                return Err(format!("after a quiet, {active} is Active, not {number}"));
            }
        }
        Ok(())
    }
}

/// A router: one of ours, or one of the others.
fn router(manner: Manner, ours: bool, advskew: u8, preempt: bool, dual: bool) -> Terms {
    let mut addresses = vec![IpAddr::from([192, 0, 2, 254])];
    if dual {
        addresses.push(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
    }
    Terms {
        manner,
        ours,
        vhid: 7,
        advbase: 1,
        advskew,
        demotion: 0,
        preempt,
        hold_time: 0,
        addresses,
        key: b"secret".to_vec(),
        peers: Vec::new(),
    }
}

/// UCarp and FreeBSD, or NetBSD, with the same skew: measured to go round in circles for ever.
#[must_use]
pub fn known_livelock() -> Setting {
    Setting {
        name: "carp, UCarp and FreeBSD, equal",
        routers: vec![
            router(Manner::FreeBsd, false, 50, false, false),
            router(Manner::Ucarp, false, 50, false, false),
        ],
        budget: Budget {
            crashes: 1,
            ..Budget::default()
        },
    }
}

/// The worlds that are explored: few in every test, many by `check-model`.
#[must_use]
pub fn settings(thorough: bool) -> Vec<Setting> {
    let ours = |skew, preempt| router(Manner::Any, true, skew, preempt, false);
    let as_openbsd = |skew, preempt| router(Manner::OpenBsd, true, skew, preempt, false);
    let as_freebsd = |skew, preempt| router(Manner::FreeBsd, true, skew, preempt, false);
    let dual = |skew| router(Manner::Any, true, skew, true, true);
    let openbsd = |skew, preempt| router(Manner::OpenBsd, false, skew, preempt, false);
    let freebsd = |skew, preempt| router(Manner::FreeBsd, false, skew, preempt, false);
    let ucarp = |skew, preempt| router(Manner::Ucarp, false, skew, preempt, false);
    let pairs: Vec<(&'static str, Vec<Terms>)> = vec![
        ("carp, ours", vec![ours(0, true), ours(100, true)]),
        ("carp, ours, polite", vec![ours(0, false), ours(100, false)]),
        ("carp, ours, equal", vec![ours(50, true), ours(50, true)]),
        ("carp, ours, both families", vec![dual(0), dual(100)]),
        (
            "carp, ours and OpenBSD",
            vec![ours(0, true), openbsd(100, true)],
        ),
        (
            "carp, OpenBSD and ours",
            vec![ours(100, true), openbsd(0, true)],
        ),
        (
            "carp, OpenBSD, equal",
            vec![ours(50, true), openbsd(50, true)],
        ),
        (
            "carp, ours and FreeBSD",
            vec![ours(0, true), freebsd(100, true)],
        ),
        (
            "carp, FreeBSD and ours",
            vec![ours(100, true), freebsd(0, true)],
        ),
        (
            "carp, FreeBSD, equal",
            vec![ours(50, true), freebsd(50, true)],
        ),
        (
            "carp, ours and UCarp",
            vec![ours(0, true), ucarp(100, true)],
        ),
        (
            "carp, UCarp and ours",
            vec![ours(100, false), ucarp(0, false)],
        ),
        ("carp, UCarp, equal", vec![ours(50, true), ucarp(50, false)]),
        (
            "carp, UCarp, equal, ours is higher",
            vec![ucarp(50, false), ours(50, true)],
        ),
        (
            "carp, as OpenBSD and OpenBSD",
            vec![as_openbsd(0, true), openbsd(100, true)],
        ),
        (
            "carp, as FreeBSD and FreeBSD",
            vec![as_freebsd(0, true), freebsd(100, true)],
        ),
    ];
    let triples: Vec<(&'static str, Vec<Terms>)> = vec![
        (
            "carp, three of ours",
            vec![ours(0, true), ours(100, true), ours(100, true)],
        ),
        (
            "carp, three of ours, the better two equal",
            vec![ours(0, true), ours(0, true), ours(1, true)],
        ),
        (
            "carp, UCarp and ours, equal, and a worse one",
            vec![ucarp(0, true), ours(0, true), ours(1, true)],
        ),
        (
            "carp, OpenBSD, FreeBSD and ours",
            vec![openbsd(0, true), freebsd(50, true), ours(100, true)],
        ),
        (
            "carp, ours, UCarp and FreeBSD",
            vec![ours(0, true), ucarp(50, true), freebsd(100, true)],
        ),
        (
            "carp, ours twice and UCarp, equal",
            vec![ours(50, true), ours(50, true), ucarp(50, false)],
        ),
    ];
    let with = |worlds: &[(&'static str, Vec<Terms>)], budget: Budget| -> Vec<Setting> {
        let all = worlds.iter();
        all.map(|(name, routers)| Setting {
            name,
            routers: routers.clone(),
            budget,
        })
        .collect()
    };
    // losses, crashes, stops, demotions, pauses
    let budget = |losses, crashes, stops, demotions, pauses| Budget {
        losses,
        crashes,
        stops,
        demotions,
        pauses,
    };
    let mut settings = with(&pairs, budget(2, 0, 0, 0, 0));
    settings.extend(with(&pairs, budget(0, 1, 0, 0, 0)));
    settings.extend(with(&pairs, budget(0, 0, 1, 0, 0)));
    settings.extend(with(&pairs[..3], budget(0, 0, 0, 0, 1)));
    settings.extend(with(&pairs[4..6], budget(0, 0, 0, 1, 0)));
    settings.extend(with(&triples[1..3], budget(1, 0, 0, 0, 0)));
    if thorough {
        settings.extend(with(&pairs, budget(4, 0, 0, 0, 0)));
        settings.extend(with(&pairs, budget(2, 1, 1, 0, 0)));
        settings.extend(with(&pairs, budget(1, 0, 0, 2, 0)));
        settings.extend(with(&pairs, budget(1, 0, 1, 0, 1)));
        settings.extend(with(&triples, budget(1, 0, 0, 0, 0)));
        settings.extend(with(&triples, budget(0, 1, 0, 0, 0)));
        settings.extend(with(&triples, budget(0, 0, 1, 0, 0)));
    }
    settings
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        let budget = self.budget;
        for (count, what) in [
            (budget.losses, "lost"),
            (budget.crashes, "crashed"),
            (budget.stops, "stopped"),
            (budget.demotions, "demoted"),
            (budget.pauses, "suspended"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
