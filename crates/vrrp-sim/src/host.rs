//! A host: the real engine between a LAN and a fake kernel.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::VecDeque;

use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Engine, Family, Generation, Input, Instant, LinkFacts, LinkId, Output, Plan, RouterId,
};

use crate::kernel::Kernel;
use crate::plan::{HostPlan, INTERFACE};
use crate::random::Random;
use crate::wire::Frame;

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
    Kernel(RouterId, Generation),
    Link,
}

/// One piece of news about the interface.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Hearing(Family, bool),
    Facts(Option<LinkFacts>),
}

/// Frames that a socket keeps for a process that does not read; later ones are lost, as in a real receive buffer.
const SOCKET_BUFFER: usize = 256;

/// The machine of one host.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) config: Plan,
    pub(crate) kernel: Kernel,
    pub(crate) facts: Option<LinkFacts>,
    /// The interface as it was at first.
    pub(crate) born: LinkFacts,
    /// None: no process.
    pub(crate) engine: Option<Engine>,
    pub(crate) paused: bool,
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
    due: Instant,
    fires: Instant,
}

impl Machine {
    pub(crate) fn new(host: Host, plan: &HostPlan, seed: u64) -> Self {
        let number = u8::try_from(host.0).unwrap_or(u8::MAX);
        let stream = |kind: u64| Random::stream(seed, kind + 16 * u64::from(number));
        Self {
            config: plan.plan(),
            kernel: Kernel::new(plan.kernel, stream(1)),
            facts: Some(plan.facts(number)),
            born: plan.facts(number),
            engine: None,
            paused: false,
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

    /// The longest time by which this machine is late when nothing is wrong.
    pub(crate) const fn lateness(&self) -> Duration {
        self.lateness
    }

    /// A new process; returns what it wants done at once.
    pub(crate) fn boot(&mut self, now: Instant) -> Vec<Output> {
        self.paused = false;
        self.mail.clear();
        self.alarm = None;
        let mut engine = Engine::new(&self.config, now);
        let outputs = drain(&mut engine);
        self.engine = Some(engine);
        outputs
    }

    /// The process is gone.
    pub(crate) fn end(&mut self) {
        self.engine = None;
        self.paused = false;
        self.mail.clear();
        self.alarm = None;
    }

    /// The process takes this input, if it is there and awake.
    pub(crate) fn feed(&mut self, now: Instant, input: Input<'_>) -> Vec<Output> {
        let Some(engine) = self.engine.as_mut() else {
            return Vec::new();
        };
        engine.handle(now, input);
        drain(engine)
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

    /// The kernel finished an order.
    pub(crate) fn kernel_done(
        &mut self,
        now: Instant,
        router: RouterId,
        generation: Generation,
    ) -> Applied {
        let Some(report) = self.kernel.apply(router, generation) else {
            return Applied::default();
        };
        let refused = matches!(report, vrrp_proto::KernelReport::Failed(_));
        let input = Input::Kernel {
            router,
            generation,
            report: &report,
        };
        Applied {
            outputs: self.feed(now, input),
            refused,
        }
    }

    /// What the process learns about its interface: whether it can hear there, and the state of the interface.
    pub(crate) fn news(&self) -> [News; 3] {
        let hearing = |family| News::Hearing(family, self.deaf);
        [
            hearing(Family::Ipv4),
            hearing(Family::Ipv6),
            News::Facts(self.facts.clone()),
        ]
    }

    /// The process learns it.
    pub(crate) fn learn(&mut self, now: Instant, news: &News) -> Vec<Output> {
        let input = match news {
            News::Hearing(family, deaf) => Input::Hearing {
                link: LinkId(0),
                family: *family,
                failure: deaf.then_some("permission denied"),
            },
            News::Facts(facts) => Input::Link {
                interface: INTERFACE,
                facts: facts.as_ref(),
            },
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
                let fires = due.max(now) + self.random.up_to(self.lateness);
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

    /// The alarm went off.
    pub(crate) fn ring(&mut self, now: Instant) -> Vec<Output> {
        self.alarm = None;
        let Some(engine) = self.engine.as_mut() else {
            return Vec::new();
        };
        engine.handle_timeout(now);
        drain(engine)
    }
}

/// What came of an order to the kernel.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) outputs: Vec<Output>,
    pub(crate) refused: bool,
}

fn drain(engine: &mut Engine) -> Vec<Output> {
    core::iter::from_fn(|| engine.poll_output()).collect()
}
