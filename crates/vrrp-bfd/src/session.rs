//! One session (RFC 5880 §6.8).

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use vrrp_proto::Instant;

use crate::diagnostic::Diagnostic;
use crate::packet::{ControlPacket, Discard};
use crate::state::State;

/// What is sent at the most while a session is not up: one packet in this time (§6.8.3).
pub const SLOW: Duration = Duration::from_secs(1);

/// What a peer takes before it has said anything (§6.8.1: 1 µs).
const ANYTHING: Duration = Duration::from_micros(1);

/// What is configured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Config {
    /// Desired Min TX Interval while the session is up.
    pub desired_min_tx: Duration,
    /// Required Min RX Interval.
    pub required_min_rx: Duration,
    /// Detect Mult, which the peer applies to our packets.
    pub multiplier: NonZeroU8,
}

/// What the peer said last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Remote {
    /// Its number of the session; `None` if it has not been heard for the detection time.
    pub discriminator: Option<NonZeroU32>,
    /// Its state.
    pub state: State,
    /// Its diagnostic.
    pub diagnostic: Diagnostic,
    /// Its Desired Min TX Interval.
    pub desired_min_tx: Duration,
    /// Its Required Min RX Interval.
    pub required_min_rx: Duration,
    /// Its Detect Mult; 0 before it was heard.
    pub multiplier: u8,
    /// It wants no periodic packets.
    pub demand: bool,
}

impl Remote {
    /// §6.8.1.
    const UNHEARD: Self = Self {
        discriminator: None,
        state: State::Down,
        diagnostic: Diagnostic::NONE,
        desired_min_tx: Duration::ZERO,
        required_min_rx: ANYTHING,
        multiplier: 0,
        demand: false,
    };
}

/// Another state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Before.
    pub from: State,
    /// After.
    pub to: State,
    /// Why.
    pub diagnostic: Diagnostic,
    /// What the peer said last.
    pub remote: Remote,
    /// How long it may be silent: before the change if that was for the worse, and from now on otherwise.
    pub detection_time: Duration,
}

impl Change {
    /// The peer was there, and is silent.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        self.from == State::Up && self.diagnostic == Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
    }
}

/// A Poll Sequence (§6.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Poll {
    Idle,
    /// Packets have P until one with F comes.
    Asking,
    /// Something else has changed meanwhile: the F that comes is not about it.
    AskingTwice,
}

/// One session, with its variables (§6.8.1) and timers.
///
/// Between inputs, [`Self::poll_transmit`] is to be asked until it answers `None`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Session {
    config: Config,
    discriminator: NonZeroU32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// Desired Min TX and Required Min RX Interval as they are said,
    said: (Duration, Duration),
    /// and as they count, while the peer has not confirmed what is said (§6.8.3).
    counts: (Duration, Duration),
    poll: Poll,
    /// P came, and F is owed.
    owes_final: bool,
    /// What is said has changed, and does not wait for its turn (§6.8.7).
    urgent: bool,
    /// When the last packet left,
    sent: Instant,
    /// and by how many thousandths of the interval the next one follows it (§6.8.7).
    share: u32,
    /// When the last packet came; `None` if that is forgotten.
    heard: Option<Instant>,
}

impl Session {
    /// A session that is down, and begins to speak at once. The discriminator is unique among ours.
    #[must_use]
    pub fn new(now: Instant, config: Config, discriminator: NonZeroU32) -> Self {
        let intervals = (config.desired_min_tx.max(SLOW), config.required_min_rx);
        Self {
            config,
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::UNHEARD,
            said: intervals,
            counts: intervals,
            poll: Poll::Idle,
            owes_final: false,
            urgent: true,
            sent: now,
            share: 1000,
            heard: None,
        }
    }

    /// Our number of it.
    #[must_use]
    pub const fn discriminator(&self) -> NonZeroU32 {
        self.discriminator
    }

    /// What is configured.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Why it has that.
    #[must_use]
    pub const fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// What the peer said last.
    #[must_use]
    pub const fn remote(&self) -> &Remote {
        &self.remote
    }

    /// When the peer was heard last; `None` if that is more than a detection time ago.
    #[must_use]
    pub const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// The time between two of our packets, without jitter; `None` if the peer wants none (§6.8.7).
    #[must_use]
    pub fn transmit_interval(&self) -> Option<Duration> {
        let demand = self.remote.demand
            && self.state == State::Up
            && self.remote.state == State::Up
            && self.poll == Poll::Idle;
        if demand || self.remote.required_min_rx.is_zero() {
            return None;
        }
        Some(self.counts.0.max(self.remote.required_min_rx))
    }

    /// How long the peer may be silent (§6.8.4); zero before it was heard.
    #[must_use]
    pub fn detection_time(&self) -> Duration {
        let interval = self.counts.1.max(self.remote.desired_min_tx);
        interval * u32::from(self.remote.multiplier)
    }

    /// Whether rates are being changed: packets ask for a confirmation (§6.5).
    #[must_use]
    pub fn is_polling(&self) -> bool {
        self.poll != Poll::Idle && self.remote.discriminator.is_some()
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.owes_final || self.urgent {
            return Some(Instant::ZERO);
        }
        [self.expires(), self.due()].into_iter().flatten().min()
    }

    fn expires(&self) -> Option<Instant> {
        Some(self.heard? + self.detection_time())
    }

    fn due(&self) -> Option<Instant> {
        let interval = self.transmit_interval()?;
        Some(self.sent + interval * self.share / 1000)
    }

    /// A packet for this session, from its peer (§6.8.6).
    ///
    /// # Errors
    /// When it is discarded.
    pub fn receive(
        &mut self,
        now: Instant,
        packet: &ControlPacket,
    ) -> Result<Option<Change>, Discard> {
        if let Some(number) = packet.your_discriminator
            && number != self.discriminator
        {
            return Err(Discard::UnknownSession(number));
        }
        let before = self.detection_time();
        self.remote = Remote {
            discriminator: Some(packet.my_discriminator),
            state: packet.state,
            diagnostic: packet.diagnostic,
            desired_min_tx: packet.desired_min_tx,
            required_min_rx: packet.required_min_rx,
            multiplier: packet.multiplier.get(),
            demand: packet.demand,
        };
        if packet.is_final {
            self.confirmed();
        }
        let (to, diagnostic) = match (self.state, packet.state) {
            (State::AdminDown, _) => return Err(Discard::AdminDown),
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                (State::Down, Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN)
            }
            (State::Down, State::Down) => (State::Init, self.diagnostic),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                (State::Up, Diagnostic::NONE)
            }
            (State::Down, State::AdminDown | State::Up)
            | (State::Init, State::Down)
            | (State::Up, State::Init | State::Up) => (self.state, self.diagnostic),
        };
        self.heard = Some(now);
        self.owes_final |= packet.poll;
        Ok(self.enter(to, diagnostic, before))
    }

    /// What is due: whether the peer was silent for the detection time (§6.8.4).
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Change> {
        if self.expires().is_none_or(|at| at > now) {
            return None;
        }
        let before = self.detection_time();
        self.heard = None;
        let remote = self.remote;
        // §6.8.1: who is heard no more may come back as another one. Nor does what it has asked for count any longer.
        self.remote.discriminator = None;
        self.remote.required_min_rx = ANYTHING;
        self.remote.demand = false;
        self.owes_final = false;
        match self.state {
            State::Init | State::Up => {
                let why = Diagnostic::CONTROL_DETECTION_TIME_EXPIRED;
                let change = self.enter(State::Down, why, before)?;
                Some(Change { remote, ..change })
            }
            State::AdminDown | State::Down => None,
        }
    }

    /// A packet that is to leave now, if there is one. `random` is any number, another one for each call.
    pub fn poll_transmit(&mut self, now: Instant, random: u32) -> Option<ControlPacket> {
        if core::mem::take(&mut self.owes_final) {
            // At once, whatever the timer says, and never with P (§6.5, §6.8.7).
            return Some(self.packet(false, true));
        }
        let speaks = self.transmit_interval().is_some() || self.state == State::AdminDown;
        let due = self.due().is_some_and(|at| at <= now);
        let urgent = core::mem::take(&mut self.urgent) && speaks;
        if !due && !urgent {
            return None;
        }
        self.sent = now;
        // §6.8.7: up to a quarter less, and at least a tenth where a single packet makes the difference.
        let most = if self.config.multiplier.get() == 1 {
            900
        } else {
            1000
        };
        self.share = 750 + random % (most - 750 + 1);
        Some(self.packet(self.is_polling(), false))
    }

    fn packet(&self, poll: bool, is_final: bool) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            poll,
            is_final,
            independent: false,
            demand: false,
            multiplier: self.config.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.said.0,
            required_min_rx: self.said.1,
            required_min_echo_rx: Duration::ZERO,
        }
    }

    /// Another configuration. The session goes on.
    pub fn reconfigure(&mut self, config: Config) {
        self.urgent |= self.config.multiplier != config.multiplier;
        self.config = config;
        self.negotiate();
    }

    /// An operator switches it off, or on again (§6.8.16). The peer is told at once; it should be told for as long as its
    /// detection time. `None` if nothing changes.
    pub fn administer(&mut self, off: bool) -> Option<Change> {
        let before = self.detection_time();
        match (self.state, off) {
            (State::AdminDown, true) | (State::Down | State::Init | State::Up, false) => None,
            (State::Down | State::Init | State::Up, true) => {
                self.enter(State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN, before)
            }
            (State::AdminDown, false) => self.enter(State::Down, Diagnostic::NONE, before),
        }
    }

    /// The session was saved, and another process goes on with it: what came since is not known, so the peer may be silent for
    /// a whole detection time from now on. It is spoken to at once.
    pub fn revive(&mut self, now: Instant) {
        self.heard = self.heard.map(|_| now);
        self.sent = self.sent.min(now);
        self.urgent = true;
    }

    fn enter(&mut self, to: State, diagnostic: Diagnostic, before: Duration) -> Option<Change> {
        let from = self.state;
        if from == to {
            return None;
        }
        self.state = to;
        self.diagnostic = diagnostic;
        self.urgent = true;
        self.negotiate();
        Some(Change {
            from,
            to,
            diagnostic,
            remote: self.remote,
            detection_time: if from == State::Up {
                before
            } else {
                self.detection_time()
            },
        })
    }

    /// Says what the state and the configuration want, and asks for a confirmation if that is something else (§6.8.3).
    fn negotiate(&mut self) {
        let transmit = match self.state {
            State::Up => self.config.desired_min_tx,
            State::AdminDown | State::Down | State::Init => self.config.desired_min_tx.max(SLOW),
        };
        let wanted = (transmit, self.config.required_min_rx);
        if self.said != wanted {
            self.said = wanted;
            self.poll = match self.poll {
                Poll::Idle => Poll::Asking,
                Poll::Asking | Poll::AskingTwice => Poll::AskingTwice,
            };
            self.urgent = true;
        }
        if self.state == State::Up {
            // Slower only when the peer knows, faster at once; and it is expected to be faster only when it knows.
            self.counts.0 = self.counts.0.min(self.said.0);
            self.counts.1 = self.counts.1.max(self.said.1);
        } else {
            self.counts = self.said;
        }
    }

    /// F came.
    fn confirmed(&mut self) {
        match self.poll {
            Poll::Idle => {}
            Poll::Asking => {
                self.poll = Poll::Idle;
                self.counts = self.said;
            }
            Poll::AskingTwice => self.poll = Poll::Asking,
        }
    }
}
