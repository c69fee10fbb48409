//! A host: the real engine between a LAN and a kernel in memory.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use vrrp_linux::kernel::Notice;
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Engine, Family, Handover, Input, Instant, LinkFacts, LinkId, Output, Plan, RouterId,
};

use crate::clock::Clock;
use crate::kernel::Kernel;
use crate::plan::HostPlan;
use crate::random::Random;
use crate::wire::Frame;
use crate::wish::Wish;

/// Names a host of a LAN, counted from 0 in the order of [`crate::Lan::of`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(pub usize);

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}", self.0)
    }
}

/// What waits for a process that is stopped by a signal.
#[derive(Clone, Debug)]
pub(crate) enum Mail {
    Frame(Frame),
    Hearing,
}

/// Frames that a socket keeps for a process that does not read; later ones are lost, as in a real receive buffer.
const SOCKET_BUFFER: usize = 256;

/// Outputs of a successor that are compared with those of its predecessor.
const COMPARISONS: u32 = 50;

/// The machine of one host. Times are the world's; the engine is told what its clock shows.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) config: Plan,
    pub(crate) kernel: Kernel,
    pub(crate) clock: Clock,
    pub(crate) facts: Option<LinkFacts>,
    /// The interface as it was at first.
    pub(crate) born: LinkFacts,
    /// None: no process.
    pub(crate) engine: Option<Engine>,
    /// What a process left to a successor that is still to come.
    pub(crate) legacy: Option<(Handover, Option<Engine>)>,
    /// An engine that did not hand over, and must say what its successor says.
    pub(crate) shadow: Option<Engine>,
    /// So often it is still compared.
    comparisons: u32,
    /// What the two said differently.
    pub(crate) estranged: Option<String>,
    pub(crate) paused: bool,
    /// It never starts.
    pub(crate) absent: bool,
    /// Its sockets fail.
    pub(crate) deaf: bool,
    mail: VecDeque<Mail>,
    lateness: Duration,
    alarm: Option<Alarm>,
    random: Random,
}

/// The timer of the process, and when the machine gets round to it.
#[derive(Clone, Copy, Debug)]
struct Alarm {
    /// As the host's clock shows it.
    due: Instant,
    fires: Instant,
}

impl Machine {
    pub(crate) fn new(host: Host, plan: &HostPlan, seed: u64) -> Self {
        let number = u8::try_from(host.0).unwrap_or(u8::MAX);
        let stream = |kind: u64| Random::stream(seed, kind + 16 * u64::from(number));
        let facts = plan.facts(number);
        Self {
            config: plan.plan(),
            kernel: Kernel::new(plan.kernel, &facts, stream(1)),
            clock: Clock::new(plan.rate),
            facts: Some(facts.clone()),
            born: facts,
            engine: None,
            legacy: None,
            shadow: None,
            comparisons: 0,
            estranged: None,
            paused: false,
            absent: false,
            deaf: false,
            mail: VecDeque::new(),
            lateness: plan.lateness,
            alarm: None,
            random: stream(2),
        }
    }

    /// A running process that is not stopped.
    pub(crate) const fn is_awake(&self) -> bool {
        self.engine.is_some() && !self.paused
    }

    /// Whether frames get in and out.
    pub(crate) fn is_plugged(&self) -> bool {
        self.facts
            .as_ref()
            .is_some_and(|facts| facts.up && facts.carrier)
    }

    /// Whether a unicast packet to this address is for this host.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.facts.as_ref().is_some_and(|facts| match address {
            IpAddr::V4(v4) => facts.ipv4.iter().any(|(have, _)| *have == v4),
            IpAddr::V6(v6) => facts.link_local.contains(&v6),
        })
    }

    /// The longest time by which an advertisement is late when nothing is wrong: two alarms may each be; the microsecond is
    /// the daemon's own. A fast clock makes more of it.
    pub(crate) fn slack(&self) -> Duration {
        let slack = self.lateness * 2 + Duration::from_micros(1);
        if self.clock.is_true() {
            slack
        } else {
            slack * 5 / 4
        }
    }

    /// A new process; returns what it wants done at once.
    pub(crate) fn boot(&mut self, now: Instant) -> Vec<Output> {
        self.paused = false;
        self.mail.clear();
        self.alarm = None;
        self.kernel.start(now);
        let mut engine = Engine::new(&self.config, self.clock.shows(now));
        let outputs = drain(&mut engine);
        self.engine = Some(engine);
        outputs
    }

    /// The process is gone; its kernel goes on.
    pub(crate) fn end(&mut self) {
        self.engine = None;
        self.legacy = None;
        self.shadow = None;
        self.paused = false;
        self.mail.clear();
        self.alarm = None;
    }

    /// The process writes down what it knows and is gone.
    pub(crate) fn bequeath(&mut self) {
        let Some(engine) = self.engine.take() else {
            return;
        };
        let handover = engine.save();
        self.end();
        self.kernel.kill();
        self.legacy = Some((handover, Some(engine)));
    }

    /// A successor reads it. Returns what it wants done; `None` when nothing was left.
    pub(crate) fn inherit(&mut self, now: Instant) -> Option<Vec<Output>> {
        let (handover, shadow) = self.legacy.take()?;
        self.kernel.start(now);
        let mut engine = Engine::resume(handover);
        let outputs = drain(&mut engine);
        self.engine = Some(engine);
        self.shadow = shadow;
        self.comparisons = COMPARISONS;
        Some(outputs)
    }

    /// The process takes this input, if it is there and awake.
    pub(crate) fn feed(&mut self, now: Instant, input: Input<'_>) -> Vec<Output> {
        let now = self.clock.shows(now);
        self.do_with_engine(|engine| engine.handle(now, input))
    }

    /// An operator asks this of a router, if its process is there and awake.
    pub(crate) fn operate(&mut self, now: Instant, router: &str, wish: Wish) -> Vec<Output> {
        if !self.is_awake() {
            return Vec::new();
        }
        let now = self.clock.shows(now);
        let order = wish.order(now);
        self.do_with_engine(|engine| {
            // What is refused changes nothing, and the judge looks on.
            let _ = engine.operate(now, router, order.clone());
        })
    }

    fn do_with_engine(&mut self, act: impl Fn(&mut Engine)) -> Vec<Output> {
        let Some(engine) = self.engine.as_mut() else {
            return Vec::new();
        };
        act(engine);
        let outputs = drain(engine);
        if let Some(shadow) = self.shadow.as_mut() {
            act(shadow);
            let theirs = drain(shadow);
            // Nearly always there is nothing to compare.
            if !(outputs.is_empty() && theirs.is_empty()) {
                let (ours, theirs) = (by_router(&outputs), by_router(&theirs));
                if ours != theirs {
                    self.estranged =
                        Some(format!("{theirs:?} without a hand-over, {ours:?} with it"));
                }
                self.comparisons -= 1;
            }
            if self.comparisons == 0 {
                self.shadow = None;
            }
        }
        outputs
    }

    /// A frame arrived for the process.
    pub(crate) fn receive(&mut self, now: Instant, frame: &Frame) -> Vec<Output> {
        let envelope = Envelope {
            source: frame.source,
            destination: frame.destination,
            hop_limit: frame.hop_limit,
        };
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message: &frame.message,
        };
        self.feed(now, Input::Datagram(datagram))
    }

    /// The kernel's worker says something.
    pub(crate) fn heed(&mut self, now: Instant, notice: &Notice) -> Vec<Output> {
        let input = match notice {
            Notice::Link { interface, facts } => Input::Link {
                interface,
                facts: facts.as_ref(),
            },
            Notice::Report {
                router,
                generation,
                report,
            } => Input::Kernel {
                router: *router,
                generation: *generation,
                report,
            },
            Notice::Upkeep { router, upkeep } => Input::Upkeep {
                router: *router,
                upkeep,
            },
            // This kernel has no gates, and announces nothing itself.
            Notice::Fence { .. } | Notice::Guests { .. } => return Vec::new(),
        };
        self.feed(now, input)
    }

    /// The process learns whether it can hear.
    pub(crate) fn listen(&mut self, now: Instant, family: Family) -> Vec<Output> {
        let failure = self.deaf.then_some("permission denied");
        let input = Input::Hearing {
            link: LinkId(0),
            family,
            failure,
        };
        self.feed(now, input)
    }

    /// Keeps something for a process that is stopped.
    pub(crate) fn keep(&mut self, mail: Mail) {
        let frames = || {
            self.mail
                .iter()
                .filter(|mail| matches!(mail, Mail::Frame(_)))
                .count()
        };
        if !matches!(mail, Mail::Frame(_)) || frames() < SOCKET_BUFFER {
            self.mail.push_back(mail);
        }
    }

    /// The oldest thing that was kept.
    pub(crate) fn unkeep(&mut self) -> Option<Mail> {
        self.mail.pop_front()
    }

    /// Sets the alarm to the engine's next deadline. A new deadline draws a new lateness.
    pub(crate) fn arm(&mut self, now: Instant) {
        let due = self
            .engine
            .as_mut()
            .and_then(Engine::poll_timeout)
            .map(|wakeup| wakeup.at);
        self.alarm = match (due, self.alarm) {
            (None, _) => None,
            (Some(due), Some(alarm)) if alarm.due == due => Some(alarm),
            (Some(due), _) => {
                let fires = self.clock.when(due).max(now) + self.random.up_to(self.lateness);
                Some(Alarm { due, fires })
            }
        };
    }

    /// When the alarm goes off, `None` while nobody would notice.
    pub(crate) fn alarm(&self) -> Option<Instant> {
        self.alarm
            .filter(|_| self.is_awake())
            .map(|alarm| alarm.fires)
    }

    /// When the worker has something to do, `None` while it is stopped.
    pub(crate) fn kernel_alarm(&self) -> Option<Instant> {
        self.kernel.wakes_at().filter(|_| !self.paused)
    }

    /// The alarm went off.
    pub(crate) fn ring(&mut self, now: Instant) -> Vec<Output> {
        self.alarm = None;
        let now = self.clock.shows(now);
        self.do_with_engine(|engine| engine.handle_timeout(now))
    }
}

fn drain(engine: &mut Engine) -> Vec<Output> {
    core::iter::from_fn(|| engine.poll_output()).collect()
}

/// In which order routers are served that are due at the same moment is nobody's business.
fn by_router(outputs: &[Output]) -> Vec<(Option<RouterId>, String)> {
    let router = |output: &Output| match output {
        Output::Transmit(transmit) => Some(transmit.router),
        Output::Announce(announce) => Some(announce.router),
        Output::Desired(router, _) => Some(*router),
        Output::Event(event) => event.router,
    };
    let mut said: Vec<(Option<RouterId>, String)> = outputs
        .iter()
        .map(|output| (router(output), format!("{output:?}")))
        .collect();
    said.sort_by_key(|(router, _)| *router);
    said
}
