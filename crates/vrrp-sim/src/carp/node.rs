//! A host: the engine that ships, a model of another implementation, or an impostor.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Engine, Event, Generation, Happening, Input, Instant, KernelReport, LinkFacts,
    LinkId, MacAddress, Note, Order, Output, Priority, Reason, RouterId, Standing, Trace,
};

use crate::random::Random;
use crate::reference::carp::script::plan;
use crate::reference::carp::wire::{self, Heard};
use crate::reference::carp::{Bid, Machine, Manner, Role, Said, Terms};
use crate::reference::machine::group;
use crate::reference::terms::Nanos;
use crate::reference::wire::Packet;

/// The name of the one router in the engine.
const NAME: &str = "gateway";

/// A frame that leaves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// What follows the IP header.
    pub message: Vec<u8>,
}

/// What came of one input.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In their order.
    pub frames: Vec<Frame>,
    /// The kernel is asked for something.
    pub desired: Option<(RouterId, Generation)>,
    /// Why it became Active, in the engine's words.
    pub because: Option<Reason>,
    /// What arrived was taken for a recording.
    pub refused: bool,
}

/// Something that an implementation could do wrong and a judge has to notice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lie {
    /// It says one more word when it gives way to an equal one, as UCarp does.
    SpeaksWhileYielding,
    /// It does not read byte 4.
    IgnoresDemotion,
    /// It does not say that it is demoted.
    HidesDemotion,
    /// An advertisement of either family moves the timers of both.
    OneTimer,
    /// A bow-out makes it wait anew.
    RearmsAtFarewell,
    /// It leaves without a bow-out.
    LeavesSilently,
    /// It says a counter that it heard.
    RepeatsCounters,
    /// Its digest does not cover all addresses.
    ForgetsAnAddress,
    /// It takes over before the time.
    Hasty,
    /// It gives way to nobody.
    Stubborn,
    /// It preempts whether it may or not.
    Rude,
    /// It never takes over from one that fell silent.
    Asleep,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SpeaksWhileYielding,
        Self::IgnoresDemotion,
        Self::HidesDemotion,
        Self::OneTimer,
        Self::RearmsAtFarewell,
        Self::LeavesSilently,
        Self::RepeatsCounters,
        Self::ForgetsAnAddress,
        Self::Hasty,
        Self::Stubborn,
        Self::Rude,
        Self::Asleep,
    ];
}

#[derive(Debug)]
enum Body {
    Engine(Box<Engine>),
    Model {
        machine: Box<Machine>,
        lie: Option<Lie>,
    },
}

/// A host.
#[derive(Debug)]
pub struct Node {
    /// Last octet of its addresses.
    pub last: u8,
    /// As configured; the demotion is that of the moment.
    pub terms: Terms,
    /// It is judged by the laws of ours; if a model, then as an impostor.
    pub impostor: Option<Option<Lie>>,
    body: Option<Body>,
    /// Counts processes: what was meant for one is not for its successor.
    pub life: u64,
    /// It has carrier.
    pub carrier: bool,
    /// An operator has drained it.
    pub drained: bool,
    /// OpenBSD's constant, or the last counter that was said or heard.
    counter: u64,
    /// Somebody else was heard: FreeBSD's counters go on from there.
    joined: bool,
}

const fn at(nanos: Nanos) -> Instant {
    Instant::from_nanos(nanos)
}

impl Node {
    /// Without power yet.
    #[must_use]
    pub const fn new(last: u8, terms: Terms, impostor: Option<Option<Lie>>) -> Self {
        Self {
            last,
            terms,
            impostor,
            body: None,
            life: 0,
            carrier: true,
            drained: false,
            counter: 0,
            joined: false,
        }
    }

    /// Its address of a family.
    #[must_use]
    pub const fn address(&self, ipv6: bool) -> IpAddr {
        if ipv6 {
            IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, self.last as u16))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, self.last))
        }
    }

    fn own(&self) -> [Option<IpAddr>; 2] {
        [false, true].map(|ipv6| self.terms.speaks(ipv6).then(|| self.address(ipv6)))
    }

    /// It runs.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.body.is_some()
    }

    /// It is the engine.
    #[must_use]
    pub const fn is_engine(&self) -> bool {
        self.impostor.is_none() && self.terms.ours
    }

    /// Its role; one without power has none.
    #[must_use]
    pub fn role(&self) -> Role {
        match &self.body {
            None => Role::Initialize,
            Some(Body::Model { machine, .. }) => machine.role(),
            Some(Body::Engine(engine)) => {
                let status = engine.status().next();
                match status.map(|status| status.role) {
                    Some(vrrp_proto::Role::Active) => Role::Active,
                    Some(vrrp_proto::Role::Backup) => Role::Backup,
                    Some(vrrp_proto::Role::Initialize) | None => Role::Initialize,
                }
            }
        }
    }

    /// Whether it may preempt as things stand.
    #[must_use]
    pub fn preempts(&self) -> bool {
        match &self.body {
            Some(Body::Engine(engine)) => engine.status().next().is_some_and(|status| {
                status.plan.preempt
                    && status
                        .orders
                        .standing()
                        .all(|it| it.kind == vrrp_proto::OrderKind::Priority)
            }),
            Some(Body::Model { .. }) | None => self.terms.preempt,
        }
    }

    /// When it wants to be woken.
    pub fn deadline(&mut self) -> Option<Nanos> {
        match self.body.as_mut()? {
            Body::Engine(engine) => engine.poll_timeout().map(|wakeup| wakeup.at.as_nanos()),
            Body::Model { machine, lie } => {
                let due = machine.deadline()?;
                match (lie, machine.role()) {
                    (Some(Lie::Asleep), Role::Backup) => None,
                    (Some(Lie::Hasty), Role::Backup) => {
                        Some(due.saturating_sub(machine.terms().down_interval() / 3))
                    }
                    _ => Some(due),
                }
            }
        }
    }

    /// It gets power. Its counters begin at `seed`, which grows.
    pub fn start(&mut self, now: Nanos, seed: u64, random: &mut Random) -> Outcome {
        self.life += 1;
        self.drained = false;
        self.joined = false;
        if self.terms.ours {
            self.terms.demotion = 0;
            self.counter = seed;
        } else {
            self.counter = random.word();
        }
        if self.is_engine() {
            let mut engine = Engine::new(&plan(&self.terms), at(now));
            while engine.poll_output().is_some() {}
            engine.count_from(seed);
            self.body = Some(Body::Engine(Box::new(engine)));
        } else {
            let lie = self.impostor.flatten();
            let mut terms = self.terms.clone();
            terms.preempt |= lie == Some(Lie::Rude);
            self.body = Some(Body::Model {
                machine: Box::new(Machine::new(terms)),
                lie,
            });
        }
        self.tell_link(now, random)
    }

    /// It loses power.
    pub fn crash(&mut self) {
        self.life += 1;
        self.body = None;
    }

    /// It is asked to stop, and does.
    pub fn stop(&mut self, now: Nanos, random: &mut Random) -> Outcome {
        self.life += 1;
        let outcome = match self.body.as_mut() {
            None => Outcome::default(),
            Some(Body::Engine(engine)) => {
                engine.handle(at(now), Input::Shutdown);
                drain(engine)
            }
            Some(Body::Model { machine, lie }) => {
                let speaks = match machine.terms().manner {
                    Manner::Any | Manner::OpenBsd => *lie != Some(Lie::LeavesSilently),
                    // FreeBSD counts on demotion there, and UCarp says nothing.
                    Manner::FreeBsd | Manner::Ucarp => machine.terms().ours,
                };
                machine.stop(now);
                if !speaks {
                    machine.take_said();
                }
                self.gather(random)
            }
        };
        self.body = None;
        outcome
    }

    /// Another process goes on: after a `crash` from what was written down `since` ago, or from what was handed over. Only
    /// of ours.
    pub fn succeed(&mut self, now: Nanos, crashed: bool) -> Outcome {
        self.life += 1;
        let Some(Body::Engine(engine)) = self.body.take() else {
            return Outcome::default();
        };
        let mut handover = engine.save();
        if crashed {
            handover.revive(at(now), |_| Trace::default());
        }
        let mut engine = Engine::resume(handover);
        let outcome = drain(&mut engine);
        self.body = Some(Body::Engine(Box::new(engine)));
        outcome
    }

    /// Its interface has carrier, or not.
    pub fn tell_link(&mut self, now: Nanos, random: &mut Random) -> Outcome {
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: self.carrier,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, self.last]),
            ipv4: vec![(Ipv4Addr::new(192, 0, 2, self.last), 24)],
            link_local: vec![Ipv6Addr::new(
                0xfe80,
                0,
                0,
                0,
                0,
                0,
                0,
                u16::from(self.last),
            )],
        };
        let (own, carrier) = (self.own(), self.carrier);
        match self.body.as_mut() {
            None => Outcome::default(),
            Some(Body::Engine(engine)) => {
                let link = Input::Link {
                    interface: "eth0",
                    facts: Some(&facts),
                };
                engine.handle(at(now), link);
                drain(engine)
            }
            Some(Body::Model { machine, .. }) => {
                machine.link(now, own, carrier);
                self.gather(random)
            }
        }
    }

    /// Whatever is due.
    pub fn timer(&mut self, now: Nanos, random: &mut Random) -> Outcome {
        match self.body.as_mut() {
            None => Outcome::default(),
            Some(Body::Engine(engine)) => {
                engine.handle_timeout(at(now));
                drain(engine)
            }
            Some(Body::Model { machine, lie }) => {
                let backup = machine.role() == Role::Backup;
                if *lie == Some(Lie::Hasty) && backup {
                    let due = machine.deadline().unwrap_or(now);
                    machine.timer(due.max(now));
                } else {
                    machine.timer(now);
                }
                self.gather(random)
            }
        }
    }

    /// The kernel holds what it was asked for.
    pub fn applied(&mut self, now: Nanos, router: RouterId, generation: Generation) -> Outcome {
        let Some(Body::Engine(engine)) = self.body.as_mut() else {
            return Outcome::default();
        };
        let report = &KernelReport::Applied;
        engine.handle(
            at(now),
            Input::Kernel {
                router,
                generation,
                report,
            },
        );
        drain(engine)
    }

    /// What it accepts of a frame, by the checks of the reference.
    #[must_use]
    pub fn accepts(&self, frame: &Frame) -> Option<Heard> {
        let packet = Packet {
            source: frame.source,
            destination: frame.destination,
            ttl: 255,
            message: &frame.message,
        };
        let heard = wire::check(&packet, &self.terms, self.own()).ok()?;
        // OpenBSD's loop check.
        let echo = self.terms.manner == Manner::OpenBsd && !self.terms.ours;
        (!echo || heard.counter != self.counter).then_some(heard)
    }

    /// A frame arrives.
    pub fn hear(&mut self, now: Nanos, frame: &Frame, random: &mut Random) -> Outcome {
        let accepted = self.accepts(frame);
        match self.body.as_mut() {
            None => Outcome::default(),
            Some(Body::Engine(engine)) => {
                let datagram = Datagram {
                    link: LinkId(0),
                    envelope: Envelope {
                        source: frame.source,
                        destination: frame.destination,
                        hop_limit: 255,
                    },
                    message: &frame.message,
                };
                let before = repeats(engine);
                engine.handle(at(now), Input::Datagram(datagram));
                Outcome {
                    refused: repeats(engine) != before,
                    ..drain(engine)
                }
            }
            Some(Body::Model { machine, lie }) => {
                let Some(mut heard) = accepted else {
                    return Outcome::default();
                };
                let repeats = *lie == Some(Lie::RepeatsCounters);
                self.joined = true;
                self.counter = match self.terms.manner {
                    _ if repeats => heard.counter.wrapping_sub(1),
                    _ if self.terms.ours => self.counter.max(heard.counter),
                    Manner::OpenBsd => self.counter,
                    Manner::Any | Manner::FreeBsd | Manner::Ucarp => heard.counter,
                };
                let before = machine.role();
                let own = machine.terms().bid();
                match lie {
                    Some(Lie::IgnoresDemotion) => heard.bid.demotion = own.demotion,
                    Some(Lie::RearmsAtFarewell) if heard.bid.gives_up() => heard.bid = own,
                    Some(Lie::Stubborn) if before == Role::Active => return Outcome::default(),
                    _ => {}
                }
                machine.hear(now, &heard);
                if *lie == Some(Lie::OneTimer) && before == Role::Backup {
                    let mut other = heard;
                    let ipv6 = !heard.source.is_ipv6();
                    other.source = if ipv6 {
                        IpAddr::V6(Ipv6Addr::LOCALHOST)
                    } else {
                        IpAddr::V4(Ipv4Addr::LOCALHOST)
                    };
                    if machine.terms().speaks(ipv6) {
                        machine.hear(now, &other);
                    }
                }
                let yielded = before == Role::Active && machine.role() == Role::Backup;
                let words = (*lie == Some(Lie::SpeaksWhileYielding) && yielded)
                    .then_some(Said::Regular(own));
                self.gather_with(words, random)
            }
        }
    }

    /// Something is wrong with it, or right again.
    pub fn demote(&mut self, now: Nanos, demotion: i16, random: &mut Random) -> Outcome {
        let before = self.terms.demotion;
        match self.body.as_mut() {
            None => Outcome::default(),
            Some(Body::Engine(engine)) => {
                let base = i16::from(254 - self.terms.advskew.min(253));
                let order = match u8::try_from((base - demotion).max(1)) {
                    Ok(priority) if demotion > 0 => Order::SetPriority {
                        priority: Priority::new(priority),
                        terms: standing(),
                    },
                    _ => Order::ResetPriority,
                };
                let _ = engine.operate(at(now), NAME, order);
                let outcome = drain(engine);
                self.terms.demotion = self.engine_demotion();
                outcome
            }
            Some(Body::Model { machine, lie }) => {
                let mut terms = self.terms.clone();
                terms.demotion = demotion;
                self.terms.demotion = demotion;
                if *lie == Some(Lie::HidesDemotion) {
                    terms.demotion = 0;
                }
                if before != demotion {
                    machine.revise(now, terms);
                    if demotion > before {
                        machine.restrain(now);
                    }
                }
                self.gather(random)
            }
        }
    }

    /// What is wrong with ours, as its orders say: a drained one is worth 1.
    fn engine_demotion(&self) -> i16 {
        let Some(Body::Engine(engine)) = &self.body else {
            return 0;
        };
        let base = i16::from(254 - self.terms.advskew.min(253));
        engine.status().next().map_or(0, |status| {
            base - i16::from(status.effective_priority.get())
        })
    }

    /// An operator drains it, lets it come back, or moves the addresses away once. Only of ours.
    pub fn operate(&mut self, now: Nanos, order: Order) -> (Outcome, bool) {
        let Some(Body::Engine(engine)) = self.body.as_mut() else {
            return (Outcome::default(), false);
        };
        let done = engine.operate(at(now), NAME, order).is_ok();
        (drain(engine), done)
    }

    /// Reads what its orders make of it.
    pub fn refresh(&mut self) {
        if let Some(Body::Engine(engine)) = &self.body {
            let drained = engine.status().next().is_some_and(|status| {
                let mut all = status.orders.standing();
                all.any(|it| it.kind == vrrp_proto::OrderKind::Drain)
            });
            self.drained = drained;
            self.terms.demotion = self.engine_demotion();
        }
    }

    fn gather(&mut self, random: &mut Random) -> Outcome {
        self.gather_with(None, random)
    }

    /// What the model has said, and perhaps something more, with counters as its implementation counts.
    fn gather_with(&mut self, more: Option<Said>, random: &mut Random) -> Outcome {
        let Some(Body::Model { machine, lie }) = self.body.as_mut() else {
            return Outcome::default();
        };
        let lie = *lie;
        let mut frames = Vec::new();
        for said in machine.take_said().into_iter().chain(more) {
            let bid: Bid = match said {
                Said::Regular(bid) | Said::Farewell(bid) => bid,
            };
            self.counter = match self.terms.manner {
                _ if self.terms.ours => self.counter.wrapping_add(1),
                Manner::OpenBsd => self.counter,
                Manner::Any | Manner::FreeBsd | Manner::Ucarp if self.joined => {
                    self.counter.wrapping_add(1)
                }
                Manner::Any | Manner::FreeBsd | Manner::Ucarp => random.word(),
            };
            let mut terms = self.terms.clone();
            if lie == Some(Lie::ForgetsAnAddress) {
                terms.addresses.pop();
            }
            let message = wire::write(&terms, bid, self.counter).to_vec();
            for ipv6 in [false, true] {
                if self.terms.speaks(ipv6) {
                    frames.push(Frame {
                        source: self.address(ipv6),
                        destination: group(ipv6),
                        message: message.clone(),
                    });
                }
            }
        }
        Outcome {
            frames,
            ..Outcome::default()
        }
    }
}

/// Until somebody ends it.
#[must_use]
pub fn standing() -> Standing {
    Standing {
        until: None,
        note: Note::default(),
    }
}

/// Advertisements that were taken for recordings, also of what it said itself.
fn repeats(engine: &Engine) -> u64 {
    let statistics = engine.status().map(|status| status.statistics);
    statistics
        .map(|it| it.replayed_pkts_rcvd + it.own_pkts_looped)
        .sum()
}

fn drain(engine: &mut Engine) -> Outcome {
    let mut outcome = Outcome::default();
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Transmit(transmit) => outcome.frames.push(Frame {
                source: transmit.source,
                destination: transmit.destination,
                message: transmit.message.to_vec(),
            }),
            Output::Desired(router, Some(desired)) => {
                outcome.desired = Some((router, desired.generation));
            }
            Output::Event(Event {
                happening:
                    Happening::Role {
                        to: vrrp_proto::Role::Active,
                        reason,
                        ..
                    },
                ..
            }) => outcome.because = Some(reason),
            Output::Desired(..) | Output::Announce(_) | Output::Event(_) => {}
        }
    }
    outcome
}
