//! The engine, the others, and a clock that jumps from one timer to the next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::orders::{self, Note};
use vrrp_proto::receive::Envelope;
use vrrp_proto::router::{State, Step};
use vrrp_proto::{
    Datagram, Engine, Fault, Gather, Generation, Handover, Happening, Input, Instant, KernelReport,
    Level, LinkId, Order, Output, Plan, Priority, Role, RouterId, RouterStatus, Sample,
};

use crate::forecast::{Holder, Kind, Prediction, Standing, Who};
use crate::hypothesis::Hypothesis;
use crate::mend;
use crate::other::{self, Other, Packet};

/// Timers and packets after which a forecast ends, wherever it is: a second of work at most.
const STEPS: u64 = 1_500_000;

/// See the module's text.
pub(crate) struct World {
    begin: Instant,
    now: Instant,
    engine: Engine,
    others: BTreeMap<RouterId, Vec<Other>>,
    /// When each of them wants to be called.
    alarms: BTreeSet<(Instant, RouterId, usize)>,
    packets: VecDeque<Sent>,
    /// The latest state that each router wants of the kernel.
    wanted: BTreeMap<RouterId, Generation>,
    /// Those that are to be told that they have it.
    answers: VecDeque<(RouterId, Generation)>,
    names: BTreeMap<RouterId, String>,
    /// Where each of them speaks.
    links: BTreeMap<RouterId, LinkId>,
    pub(crate) predictions: Vec<Prediction>,
    /// Interfaces that were assumed to be fit.
    pub(crate) assumed: BTreeSet<String>,
    steps: u64,
}

/// What is known around one router.
pub(crate) struct Acquaintance {
    pub(crate) role: Role,
    pub(crate) priority: Priority,
    pub(crate) ordered: bool,
    pub(crate) preempt_delay: Duration,
    pub(crate) primary: Option<IpAddr>,
    pub(crate) interface: String,
    /// The others with their priorities, and the interval of those that are Active.
    pub(crate) others: Vec<(IpAddr, Priority, Option<Duration>)>,
}

impl Acquaintance {
    /// The other one that is Active, and its interval.
    pub(crate) fn lead(&self) -> Option<(IpAddr, Duration)> {
        let active = self
            .others
            .iter()
            .filter(|(.., interval)| interval.is_some());
        let lead = active.max_by_key(|(address, priority, _)| (*priority, *address));
        lead.and_then(|(address, _, interval)| Some((*address, (*interval)?)))
    }
}

/// A packet on its way to everybody but its sender.
struct Sent {
    router: RouterId,
    from: Option<usize>,
    packet: Packet,
}

impl World {
    pub(crate) fn new(handover: Handover, now: Instant) -> Self {
        let mut engine = Engine::resume(handover);
        engine.expect_no_samples();
        let others: BTreeMap<RouterId, Vec<Other>> = engine
            .status()
            .map(|router| (router.id, other::known(&router, now)))
            .gather();
        let names = engine
            .status()
            .map(|router| (router.id, router.plan.name.clone()))
            .gather();
        let mut world = Self {
            begin: now,
            now,
            engine,
            others,
            alarms: BTreeSet::new(),
            packets: VecDeque::new(),
            wanted: BTreeMap::new(),
            answers: VecDeque::new(),
            names,
            links: BTreeMap::new(),
            predictions: Vec::new(),
            assumed: BTreeSet::new(),
            steps: 0,
        };
        world.collect();
        world.find_links();
        // What the kernel refuses, it goes on refusing.
        let refused: Vec<RouterId> = world
            .engine
            .status()
            .filter(|router| {
                let kernel = |fault: &Fault| matches!(fault, Fault::Kernel(_));
                router.faults.iter().any(kernel) || router.retry.is_some()
            })
            .map(|router| router.id)
            .collect();
        world.answers.retain(|(id, _)| !refused.contains(id));
        for id in world.others.keys().copied().collect::<Vec<_>>() {
            world.set_alarms(id);
        }
        world.exchange();
        world
    }

    /// Makes these true.
    pub(crate) fn suppose(&mut self, hypotheses: &[Hypothesis]) {
        for hypothesis in hypotheses {
            match hypothesis {
                Hypothesis::LinkDown(interface) => self.link_down(interface),
                Hypothesis::PeerDown(address) => self.remove_others(*address),
                Hypothesis::PeerReleases(address) => {
                    self.release(*address);
                    self.remove_others(Some(*address));
                }
                Hypothesis::Priority(name, priority) => {
                    let terms = orders::Standing {
                        until: None,
                        note: Note::default(),
                    };
                    let priority = *priority;
                    self.order(name, Order::SetPriority { priority, terms });
                }
                Hypothesis::Tracker(name, level) => self.track(name, *level),
                Hypothesis::NoOrders(name) => {
                    self.order(name, Order::Undrain);
                    self.order(name, Order::ResetPriority);
                }
                Hypothesis::Plan(plan) => self.load(plan),
                Hypothesis::Mended(name) => self.mend(name),
            }
        }
    }

    /// Until nothing more is to be expected; `false` if that is too much to find out.
    pub(crate) fn settle(&mut self) -> bool {
        let mut end = self.now + self.longest_down_interval() * 10;
        loop {
            let timers = self.pending();
            if !self.run_until(end) {
                return false;
            }
            let time_to_tell = self.longest_down_interval() * 3;
            // What ended near the end has not had its effect yet.
            let ended = timers.into_iter().filter(|at| *at <= self.now).max();
            let told = ended.map(|at| at + time_to_tell);
            if let Some(told) = told.filter(|told| *told > self.now) {
                end = told;
                continue;
            }
            let Some(pending) = self.pending().into_iter().min() else {
                return true;
            };
            end = pending + time_to_tell;
            // What is too far away to be reached is left out: nothing changes until then.
            let passed = self.passed().as_nanos().max(1);
            let ahead = end.saturating_since(self.now).as_nanos();
            let left = STEPS.saturating_sub(self.steps);
            if u128::from(self.steps) * ahead / passed > u128::from(left) {
                return true;
            }
        }
    }

    /// When those timers end that run for longer.
    fn pending(&self) -> Vec<Instant> {
        let of = |router: RouterStatus<'_>| {
            let hold = match router.state {
                State::Backup(backup) => backup.hold.map(|hold| hold.max(backup.active_down)),
                State::Initialize | State::Active(_) => None,
            };
            let orders = router.orders.standing().filter_map(|order| order.until);
            let timers = hold.into_iter().chain(router.retry).chain(orders);
            timers.collect::<Vec<_>>()
        };
        let trackers = self.engine.trackers().iter();
        let trackers = trackers.filter_map(|it| it.pending().map(|(_, at)| at));
        let all = self.engine.status().flat_map(of).chain(trackers);
        all.filter(|at| *at > self.now).collect()
    }

    /// For this long; `false` if that is too much to find out.
    pub(crate) fn run(&mut self, horizon: Duration) -> bool {
        self.run_until(self.begin + horizon)
    }

    fn run_until(&mut self, end: Instant) -> bool {
        while self.steps < STEPS {
            let alarm = self.alarms.first().copied();
            let ours = self.engine.poll_timeout().map(|wakeup| wakeup.at);
            let next = alarm.map(|(at, ..)| at).into_iter().chain(ours).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return true;
            };
            self.now = self.now.max(next);
            self.steps += 1;
            // Sockets are read before timers are run.
            match alarm.filter(|(at, ..)| *at <= next) {
                Some((_, id, index)) => self.ring(id, index),
                None => {
                    self.engine.handle_timeout(self.now);
                    self.collect();
                }
            }
            self.exchange();
        }
        false
    }

    /// How all of ours stand.
    pub(crate) fn standing(&self) -> Vec<(RouterId, Standing)> {
        self.engine
            .status()
            .map(|router| {
                let known = self.others.get(&router.id).map_or(&[][..], Vec::as_slice);
                let active = known
                    .iter()
                    .filter(|other| other.machine.role() == Role::Active)
                    .map(|other| Holder::Peer(other.address, other.offer()));
                let us = (router.role == Role::Active).then_some(Holder::We);
                let mut holders: Vec<Holder> = us.into_iter().chain(active).collect();
                if holders.is_empty() {
                    holders.push(Holder::Unknown);
                }
                let standing = Standing {
                    router: router.plan.name.clone(),
                    role: router.role,
                    priority: router.effective_priority,
                    bid: router.rules.map(|rules| rules.own),
                    holders,
                };
                (router.id, standing)
            })
            .collect()
    }

    /// What is known around the router of this name.
    pub(crate) fn acquaintance(&self, name: &str) -> Option<Acquaintance> {
        let router = self.engine.status().find(|it| it.plan.name == name)?;
        let others = self.others.get(&router.id).into_iter().flatten();
        let known = others.map(|other| {
            let active = other.machine.role() == Role::Active;
            let interval = active.then(|| other.interval());
            (other.address, other.priority(), interval)
        });
        Some(Acquaintance {
            role: router.role,
            priority: router.effective_priority,
            ordered: router.orders.standing().next().is_some(),
            preempt_delay: router.plan.preempt_delay,
            primary: router.primary,
            interface: router.plan.interface.clone(),
            others: known.collect(),
        })
    }

    pub(crate) fn passed(&self) -> Duration {
        self.now.saturating_since(self.begin)
    }

    fn longest_down_interval(&self) -> Duration {
        let ours = self
            .engine
            .status()
            .map(|router| router.active_down_interval);
        let theirs = self.others.values().flatten().map(Other::down_interval);
        ours.chain(theirs).max().unwrap_or_default()
    }

    fn order(&mut self, name: &str, order: Order) {
        // What is refused changes nothing.
        let _ = self.engine.operate(self.now, name, order);
        self.collect();
        self.exchange();
    }

    fn load(&mut self, plan: &Plan) {
        self.engine.handle(self.now, Input::Reload(plan));
        self.collect();
        self.find_links();
        self.exchange();
        let unknown: Vec<(LinkId, String)> = self
            .engine
            .links()
            .filter(|(id, _)| self.engine.link(*id).is_none())
            .map(|(id, name)| (id, name.to_owned()))
            .collect();
        for (_, name) in unknown {
            let fresh = |router: &&vrrp_proto::RouterPlan| router.interface == name;
            let waits = self
                .engine
                .status()
                .any(|router| router.plan.interface == name && router.faults.is_empty());
            if let Some(router) = plan.routers.iter().find(fresh).filter(|_| waits) {
                let facts = mend::link(None, router);
                self.tell_link(&name, &facts);
                self.assumed.insert(name);
            }
        }
    }

    fn link_down(&mut self, interface: &str) {
        let found = self.engine.links().find(|(_, name)| *name == interface);
        let facts = found.and_then(|(id, _)| self.engine.link(id)).cloned();
        if let Some(mut facts) = facts {
            facts.up = false;
            facts.carrier = false;
            self.tell_link(interface, &facts);
        }
    }

    fn tell_link(&mut self, interface: &str, facts: &vrrp_proto::LinkFacts) {
        let input = Input::Link {
            interface,
            facts: Some(facts),
        };
        self.engine.handle(self.now, input);
        self.collect();
        self.exchange();
    }

    fn mend(&mut self, name: &str) {
        let found = self
            .engine
            .status()
            .find(|router| router.plan.name == name)
            .map(|router| (router.id, router.plan.clone(), router.faults.to_vec()));
        let Some((id, plan, faults)) = found else {
            return;
        };
        let link = self.link_of(&plan.interface);
        let deaf = faults
            .iter()
            .any(|fault| matches!(fault, Fault::Deaf { .. }));
        if let Some(link) = link.filter(|_| deaf) {
            for family in plan.families() {
                let input = Input::Hearing {
                    link,
                    family,
                    failure: None,
                };
                self.engine.handle(self.now, input);
                self.collect();
            }
        }
        let kernel = |fault: &Fault| matches!(fault, Fault::Kernel(_));
        if let Some(generation) = self.wanted.get(&id).filter(|_| faults.iter().any(kernel)) {
            self.answers.push_back((id, *generation));
        }
        if faults.iter().any(|fault| {
            !kernel(fault) && !matches!(fault, Fault::Deaf { .. } | Fault::Tracker { .. })
        }) {
            let facts = mend::link(link.and_then(|link| self.engine.link(link)), &plan);
            self.tell_link(&plan.interface, &facts);
        }
        for fault in &faults {
            if let Fault::Tracker { tracker, level, .. } = fault {
                let good = match level {
                    Level::Up => Level::Down,
                    Level::Down | Level::Unknown => Level::Up,
                };
                self.track(tracker, good);
            }
        }
        self.exchange();
    }

    /// As often as it takes; a delay runs.
    fn track(&mut self, name: &str, level: Level) {
        let known = self.engine.trackers().iter();
        let mut known = known.filter(|it| it.plan().name == name);
        let Some(hysteresis) = known.next().map(|it| it.plan().hysteresis) else {
            return;
        };
        let (sample, tracker) = (
            Sample {
                level,
                offset: None,
                detail: "supposed".into(),
            },
            name,
        );
        for _ in 0..hysteresis.rise.max(hysteresis.fall) {
            let sample = &sample;
            self.engine
                .handle(self.now, Input::Sample { tracker, sample });
            self.collect();
        }
        self.engine.expect_no_samples();
        self.exchange();
    }

    fn release(&mut self, address: IpAddr) {
        for (id, others) in &mut self.others {
            for (index, other) in others.iter_mut().enumerate() {
                if !other.is_at(address) {
                    continue;
                }
                if let Some(send) = other.release().send {
                    let sent = other.packets(send).into_iter().map(|packet| Sent {
                        router: *id,
                        from: Some(index),
                        packet,
                    });
                    self.packets.extend(sent);
                }
            }
        }
        self.exchange();
    }

    fn remove_others(&mut self, address: Option<IpAddr>) {
        for others in self.others.values_mut() {
            others.retain(|other| address.is_some_and(|address| !other.is_at(address)));
        }
        self.alarms.clear();
        for id in self.others.keys().copied().collect::<Vec<_>>() {
            self.set_alarms(id);
        }
    }

    fn set_alarms(&mut self, id: RouterId) {
        let deadlines = self.others.get(&id).into_iter().flatten().enumerate();
        for (index, other) in deadlines {
            if let Some(at) = other.machine.deadline() {
                self.alarms.insert((at, id, index));
            }
        }
    }

    fn find_links(&mut self) {
        let known: BTreeMap<&str, LinkId> =
            self.engine.links().map(|(id, name)| (name, id)).gather();
        self.links = self
            .engine
            .status()
            .filter_map(|router| Some((router.id, *known.get(router.plan.interface.as_str())?)))
            .gather();
    }

    fn link_of(&self, interface: &str) -> Option<LinkId> {
        let found = self.engine.links().find(|(_, name)| *name == interface);
        found.map(|(id, _)| id)
    }

    fn ring(&mut self, id: RouterId, index: usize) {
        self.act(id, index, |other, now| other.timeout(now));
    }

    /// Lets something happen to one of the others.
    fn act(&mut self, id: RouterId, index: usize, deed: impl FnOnce(&mut Other, Instant) -> Step) {
        let now = self.now;
        let Some(other) = self
            .others
            .get_mut(&id)
            .and_then(|others| others.get_mut(index))
        else {
            return;
        };
        let before = other.machine.deadline();
        let step = deed(other, now);
        let after = other.machine.deadline();
        if before != after {
            if let Some(at) = before {
                self.alarms.remove(&(at, id, index));
            }
            self.alarms.extend(after.map(|at| (at, id, index)));
        }
        if let Some(send) = step.send {
            let sent = other.packets(send).into_iter().map(|packet| Sent {
                router: id,
                from: Some(index),
                packet,
            });
            self.packets.extend(sent);
        }
        let who = Who::Peer(other.address);
        if let Some((from, to, reason)) = step.transition {
            self.predict(id, who, Kind::Role { from, to, reason });
        }
    }

    fn predict(&mut self, id: RouterId, who: Who, kind: Kind) {
        self.predictions.push(Prediction {
            after: self.passed(),
            router: self.names.get(&id).cloned().unwrap_or_default(),
            who,
            kind,
        });
    }

    /// Takes what the engine wants.
    fn collect(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => self.packets.push_back(Sent {
                    router: transmit.router,
                    from: None,
                    packet: Packet {
                        envelope: Envelope {
                            source: transmit.source,
                            destination: transmit.destination,
                            hop_limit: 255,
                        },
                        message: transmit.message.to_vec(),
                    },
                }),
                Output::Desired(id, Some(desired)) => {
                    self.wanted.insert(id, desired.generation);
                    self.answers.push_back((id, desired.generation));
                }
                Output::Desired(_, None) | Output::Announce(_) => {}
                Output::Event(event) => {
                    let Some(id) = event.router else {
                        continue;
                    };
                    self.names.insert(id, event.name);
                    let kind = match event.happening {
                        Happening::Role { from, to, reason } => Kind::Role { from, to, reason },
                        Happening::Faults(faults) => Kind::Faults(faults),
                        Happening::Added => Kind::Added,
                        Happening::Removed => Kind::Removed,
                        Happening::FollowedActive { .. }
                        | Happening::Conflict { .. }
                        | Happening::Claimed { .. }
                        | Happening::Refused { .. }
                        | Happening::Odd { .. }
                        | Happening::Late(_)
                        | Happening::Repaired(_)
                        | Happening::Lacks(_)
                        | Happening::KernelRefused(_)
                        | Happening::Left(_)
                        | Happening::Revised
                        | Happening::Digest(_)
                        | Happening::Ready(_)
                        | Happening::Preparing { .. }
                        | Happening::Prepared { .. }
                        | Happening::OrderEnded { .. }
                        | Happening::Tracker { .. }
                        | Happening::PeerLost { .. }
                        | Happening::Adjusted { .. } => continue,
                    };
                    self.predict(id, Who::We, kind);
                }
            }
        }
    }

    /// Lets the kernel answer and the packets arrive, and what follows from them.
    fn exchange(&mut self) {
        while self.steps < STEPS {
            self.steps += 1;
            if let Some((router, generation)) = self.answers.pop_front() {
                let input = Input::Kernel {
                    router,
                    generation,
                    report: &KernelReport::Applied,
                };
                self.engine.handle(self.now, input);
                self.collect();
            } else if let Some(sent) = self.packets.pop_front() {
                self.deliver(&sent);
            } else {
                return;
            }
        }
    }

    fn deliver(&mut self, sent: &Sent) {
        let group = sent.packet.envelope.destination.is_multicast();
        let count = self.others.get(&sent.router).map_or(0, Vec::len);
        for index in (0..count).filter(|index| Some(*index) != sent.from) {
            let is_meant = self.others[&sent.router][index].is_at(sent.packet.envelope.destination);
            // Ours to a unicast peer is for that one; one of theirs goes to each of its own.
            if group || sent.from.is_some() || is_meant {
                self.act(sent.router, index, |other, now| {
                    other.hear(now, &sent.packet)
                });
            }
        }
        if sent.from.is_some() {
            self.receive(sent);
        }
    }

    /// One of theirs reaches us.
    fn receive(&mut self, sent: &Sent) {
        let Some(link) = self.links.get(&sent.router).copied() else {
            return;
        };
        let datagram = Datagram {
            link,
            envelope: sent.packet.envelope,
            message: &sent.packet.message,
        };
        self.engine.handle(self.now, Input::Datagram(datagram));
        self.collect();
    }
}
