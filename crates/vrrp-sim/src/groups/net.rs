//! The hosts, their links, and what is on its way.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use vrrp_proto::event::Happening;
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Engine, Generation, Input, Instant, KernelReport, LinkFacts, LinkId, MacAddress,
    Order, Output, Plan, Role, RouterId, Trace,
};

use super::judge::Broken;
use super::millis;
use crate::random::{Chance, Random};

/// A host or a link, by number.
pub(super) type Number = usize;

/// What comes.
#[derive(Clone, Debug)]
pub(super) enum Due {
    Frame {
        link: Number,
        to: Number,
        envelope: Envelope,
        message: Vec<u8>,
    },
    Applied(Number, u64, RouterId, Generation),
    Carrier(Number, Number),
    Start(Number),
    Deed(Deed),
}

/// What is done to the world.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    Unplug(Number, Number),
    Plug(Number, Number),
    Cut(Number, Number, Number),
    Mend(Number, Number, Number),
    Loss(Number, Chance),
    Crash(Number),
    /// The worker dies, and another one goes on from what was written down.
    Restart(Number, Duration),
    /// The worker is replaced on purpose.
    HandOver(Number),
    Reload(Number, Plan),
    Ask(Number, String, Order),
    Start(Number),
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) engine: Option<Engine>,
    /// Counts processes: what was meant for one is not for its successor.
    life: u64,
    pub(super) plan: Plan,
    /// Of each link.
    pub(super) carrier: Vec<bool>,
    pub(super) changes: u64,
    /// Its own number on each link, which decides ties.
    addresses: Vec<u8>,
}

/// The world.
#[derive(Debug)]
pub struct Net {
    pub(super) now: Instant,
    pub(super) machines: Vec<Machine>,
    pub(super) links: usize,
    /// (link, from, to)
    pub(super) cuts: BTreeSet<(Number, Number, Number)>,
    pub(super) loss: Vec<Chance>,
    agenda: BTreeMap<(Instant, u64), Due>,
    entries: u64,
    random: Random,
    pub(super) takeovers: u64,
    pub(super) last_change: Instant,
    /// Everything that happened, if anybody wants to know.
    pub(super) trace: Option<String>,
}

pub(super) fn interface(link: Number) -> String {
    format!("eth{link}")
}

fn small(number: Number) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl Net {
    pub(super) fn new(plans: Vec<(Plan, Vec<u8>)>, links: usize, seed: u64, record: bool) -> Self {
        let machine = |(plan, addresses)| Machine {
            engine: None,
            life: 0,
            plan,
            carrier: vec![true; links],
            changes: 0,
            addresses,
        };
        let mut net = Self {
            now: Instant::ZERO + millis(1000),
            machines: plans.into_iter().map(machine).collect(),
            links,
            cuts: BTreeSet::new(),
            loss: vec![Chance::NEVER; links],
            agenda: BTreeMap::new(),
            entries: 0,
            random: Random::stream(seed, 2),
            takeovers: 0,
            last_change: Instant::ZERO,
            trace: record.then(String::new),
        };
        for host in 0..net.machines.len() {
            let at = net.now + net.random.up_to(millis(2000));
            net.put(at, Due::Start(host));
        }
        net
    }

    pub(super) fn put(&mut self, at: Instant, due: Due) {
        self.entries += 1;
        self.agenda.insert((at.max(self.now), self.entries), due);
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.push_str(&format!("{now:?} {}\n", line()));
        }
    }

    /// Lets time go by until then, and calls `look` after every step.
    pub(super) fn run_until(
        &mut self,
        end: Instant,
        look: &mut impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        loop {
            let alarm = self.alarm().filter(|(at, _)| *at <= end);
            let before = alarm.map_or(end, |(at, _)| at);
            let entry = self.agenda.first_entry();
            if let Some(entry) = entry.filter(|entry| entry.key().0 <= before) {
                let ((at, _), due) = entry.remove_entry();
                self.now = self.now.max(at);
                self.happen(due);
            } else if let Some((at, host)) = alarm {
                self.now = self.now.max(at);
                let now = self.now;
                self.with_engine(host, |engine| engine.handle_timeout(now));
            } else {
                self.now = end;
                return look(self);
            }
            look(self)?;
        }
    }

    fn alarm(&mut self) -> Option<(Instant, Number)> {
        let wakeups = self.machines.iter_mut().enumerate();
        wakeups
            .filter_map(|(host, machine)| {
                let at = machine.engine.as_mut()?.poll_timeout()?.at;
                // Timers are late by an amount that differs from host to host and from time to time.
                let late = (at.as_nanos() ^ u64::try_from(host).unwrap_or(0))
                    .wrapping_mul(0x9e37_79b9)
                    % 300_000;
                Some((at + Duration::from_nanos(late), host))
            })
            .min()
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Frame {
                link,
                to,
                envelope,
                message,
            } => {
                let machine = &self.machines[to];
                if !machine.carrier[link] || machine.engine.is_none() {
                    return;
                }
                let now = self.now;
                self.with_engine(to, |engine| {
                    let found = engine
                        .links()
                        .find(|(_, name)| *name == interface(link))
                        .map(|(id, _)| id);
                    if let Some(link) = found {
                        let datagram = Datagram {
                            link,
                            envelope,
                            message: &message,
                        };
                        engine.handle(now, Input::Datagram(datagram));
                    }
                });
            }
            Due::Applied(host, life, router, generation) => {
                let now = self.now;
                if self.machines[host].life == life {
                    self.with_engine(host, |engine| {
                        let report = &KernelReport::Applied;
                        engine.handle(
                            now,
                            Input::Kernel {
                                router,
                                generation,
                                report,
                            },
                        );
                    });
                }
            }
            Due::Carrier(host, link) => self.tell_carrier(host, link),
            Due::Start(host) => {
                if self.machines[host].engine.is_none() {
                    self.note(|| format!("== host {host} starts"));
                    let engine = Engine::new(&self.machines[host].plan, self.now);
                    self.machines[host].engine = Some(engine);
                    self.machines[host].life += 1;
                    self.drain(host);
                    self.tell_all(host, millis(20));
                }
            }
            Due::Deed(deed) => self.perform(deed),
        }
    }

    /// The interfaces come up one after another.
    fn tell_all(&mut self, host: Number, within: Duration) {
        for link in 0..self.links {
            let at = self.now + self.random.up_to(within);
            self.put(at, Due::Carrier(host, link));
        }
    }

    fn tell_carrier(&mut self, host: Number, link: Number) {
        let machine = &self.machines[host];
        let last = machine.addresses[link];
        let facts = LinkFacts {
            index: u32::try_from(link).unwrap_or(0) + 2,
            up: true,
            carrier: machine.carrier[link],
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, small(link), last]),
            ipv4: vec![(Ipv4Addr::new(10, 0, small(link), last), 24)],
            link_local: vec![Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last))],
        };
        let now = self.now;
        self.with_engine(host, |engine| {
            let interface = &interface(link);
            engine.handle(
                now,
                Input::Link {
                    interface,
                    facts: Some(&facts),
                },
            );
        });
    }

    fn perform(&mut self, deed: Deed) {
        self.note(|| format!("== {deed:?}"));
        let now = self.now;
        match deed {
            Deed::Unplug(host, link) | Deed::Plug(host, link) => {
                let up = matches!(deed, Deed::Plug(..));
                if self.machines[host].carrier[link] != up {
                    self.machines[host].carrier[link] = up;
                    let at = self.now + self.random.up_to(millis(2));
                    self.put(at, Due::Carrier(host, link));
                }
            }
            Deed::Cut(link, from, to) => _ = self.cuts.insert((link, from, to)),
            Deed::Mend(link, from, to) => _ = self.cuts.remove(&(link, from, to)),
            Deed::Loss(link, chance) => self.loss[link] = chance,
            Deed::Crash(host) => {
                self.machines[host].engine = None;
                self.machines[host].life += 1;
            }
            Deed::Restart(host, after) => {
                let machine = &mut self.machines[host];
                if let Some(engine) = machine.engine.take() {
                    machine.life += 1;
                    let mut handover = engine.save();
                    let later = now + after;
                    handover.revive(later, |_| Trace::default());
                    machine.engine = Some(Engine::resume(handover));
                    self.drain(host);
                    self.with_engine(host, |engine| engine.handle_timeout(later.min(now + after)));
                    self.tell_all(host, millis(5));
                }
            }
            Deed::HandOver(host) => {
                let machine = &mut self.machines[host];
                if let Some(engine) = machine.engine.take() {
                    machine.life += 1;
                    machine.engine = Some(Engine::resume(engine.save()));
                    self.drain(host);
                }
            }
            Deed::Reload(host, plan) => {
                self.machines[host].plan = plan.clone();
                self.with_engine(host, |engine| engine.handle(now, Input::Reload(&plan)));
                self.tell_all(host, millis(5));
            }
            Deed::Ask(host, name, order) => {
                self.with_engine(host, |engine| _ = engine.operate(now, &name, order));
            }
            Deed::Start(host) => self.happen(Due::Start(host)),
        }
    }

    fn with_engine(&mut self, host: Number, act: impl FnOnce(&mut Engine)) {
        if let Some(engine) = &mut self.machines[host].engine {
            act(engine);
            self.drain(host);
        }
    }

    fn drain(&mut self, host: Number) {
        let Some(engine) = &mut self.machines[host].engine else {
            return;
        };
        let outputs: Vec<Output> = core::iter::from_fn(|| engine.poll_output()).collect();
        let life = self.machines[host].life;
        let mut moved = false;
        for output in outputs {
            match output {
                Output::Transmit(transmit) => self.send(
                    host,
                    transmit.link,
                    transmit.source,
                    transmit.destination,
                    &transmit.message,
                ),
                Output::Desired(router, Some(desired)) => {
                    let at = self.now + self.random.up_to(millis(3));
                    self.put(at, Due::Applied(host, life, router, desired.generation));
                }
                Output::Event(event) => {
                    if let Happening::Role { from, to, .. } = event.happening {
                        moved = true;
                        self.last_change = self.now;
                        if to == Role::Active && from != Role::Active {
                            self.takeovers += 1;
                        }
                    }
                    self.note(|| format!("host {host} {}: {}", event.name, event.happening));
                }
                Output::Announce(_) | Output::Desired(_, None) => {}
            }
        }
        self.machines[host].changes += u64::from(moved);
    }

    fn send(
        &mut self,
        from: Number,
        link: LinkId,
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
    ) {
        let engine = self.machines[from].engine.as_ref();
        let name = engine.and_then(|engine| {
            let mut links = engine.links();
            links
                .find(|(id, _)| *id == link)
                .map(|(_, name)| name.to_owned())
        });
        let Some(link) = name.and_then(|name| name.strip_prefix("eth")?.parse::<usize>().ok())
        else {
            return;
        };
        if !self.machines[from].carrier[link] {
            return;
        }
        self.note(|| {
            format!(
                "host {from} eth{link} sends priority {}",
                message.get(2).copied().unwrap_or(0)
            )
        });
        for to in 0..self.machines.len() {
            let lost = self.random.happens(self.loss[link]);
            if to == from || lost || self.cuts.contains(&(link, from, to)) {
                continue;
            }
            let at = self.now + millis(0) + self.random.up_to(millis(1));
            let envelope = Envelope {
                source,
                destination,
                hop_limit: 255,
            };
            let message = message.to_vec();
            self.put(
                at,
                Due::Frame {
                    link,
                    to,
                    envelope,
                    message,
                },
            );
        }
    }
}
