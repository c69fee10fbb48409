//! The election: one virtual router's state machine (RFC 9568 §6.4 with its errata, RFC 3768 §6.4).
//!
//! A pure function of state, time and input. Its states carry their timers, so an Active router cannot hold a down
//! timer and a Backup cannot advertise. What the versions do differently is asked of [`Dialect`].
//!
//! ```text
//!                  startup, owner             shutdown, fault
//!   Initialize ------------------> Active ------------------> Initialize
//!        |                          ^  |
//!        | startup                  |  | higher priority, or equal from a higher address,
//!        v        timer             |  | or we were silent too long
//!      Backup ----------------------+  |
//!        ^-----------------------------+
//! ```

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::{self, Rules};
use crate::dialect::Dialect;
use crate::event::{Offer, Reason};
use crate::interval::Interval;
use crate::receive::Heard;
use crate::time::Instant;
use crate::types::Priority;

/// Role of a virtual router (RFC 9568 §6.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Does not take part.
    Initialize,
    /// Watches the Active.
    Backup,
    /// Owns the addresses.
    Active,
}

impl Role {
    /// The word used in status and events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the election needs to know from the configuration, at the moment of each input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// Protocol version.
    pub dialect: Dialect,
    /// Effective priority.
    pub priority: Priority,
    /// Our own advertisement interval.
    pub interval: Interval,
    /// Preempt_Mode.
    pub preempt: bool,
    /// How long a lower-priority Active is tolerated before it is preempted.
    pub preempt_delay: Duration,
    /// The address our advertisements come from.
    pub primary: IpAddr,
    /// How bids are compared, where it is not priorities that are.
    pub rules: Option<Rules>,
}

impl Terms {
    /// Active_Down_Interval.
    #[must_use]
    pub fn down_interval(&self, active_interval: Interval) -> Duration {
        match &self.rules {
            Some(rules) => rules.down_interval(),
            None => self
                .dialect
                .active_down_interval(self.priority, active_interval),
        }
    }

    /// How long our first advertisement may wait for the kernel while an Active that gives up goes on.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.dialect.patience(self.priority, self.interval)
    }

    /// What we offer.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            priority: self.priority,
            bid: self.rules.map(|rules| rules.own),
        }
    }

    /// Time between two of our advertisements.
    #[must_use]
    pub fn period(&self) -> Duration {
        match &self.rules {
            Some(rules) => rules.own.interval(),
            None => self.interval.duration(),
        }
    }

    /// Every Backup that bids less than we waits at least this long for us.
    fn replaced_after(&self) -> Duration {
        match &self.rules {
            Some(rules) => rules.replaced_after(),
            None => self.down_interval(self.interval),
        }
    }
}

/// State of the election, with its timer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum State {
    /// No timer.
    Initialize,
    /// Waiting for the Active's silence.
    Backup(Backup),
    /// Advertising.
    Active(Active),
}

/// A Backup's variables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Backup {
    /// Active_Down_Timer: when we take over.
    pub active_down: Instant,
    /// Active_Adver_Interval: learned from the Active, ours until then.
    pub active_interval: Interval,
    /// Why we would take over if nothing else came.
    pub because: Reason,
    /// Until when a lower-priority Active is tolerated; `None` when none was heard since we last accepted one.
    pub hold: Option<Instant>,
    /// The timers of IPv4 and IPv6, where each has one; `active_down` is the earlier of them. `None`: both are that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downs: Option<[Instant; 2]>,
    /// With CARP: how many more advertisements of an equal one it answers with courtesy (`Rules::courtesy`).
    #[serde(default)]
    pub last_words: u8,
    /// With CARP: who bid the same as we, of those heard last in IPv4 and in IPv6.
    #[serde(default, skip_serializing_if = "is_nobody")]
    pub equals: [Option<IpAddr>; 2],
}

fn is_nobody(equals: &[Option<IpAddr>; 2]) -> bool {
    *equals == [None; 2]
}

/// An Active's variables.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Active {
    /// Adver_Timer: when the next advertisement is due.
    pub adver: Instant,
    /// When the last one was sent.
    pub sent: Instant,
    /// When somebody was last answered out of turn.
    pub answered: Option<Instant>,
    /// It has just taken over: its second advertisement is not due yet.
    #[serde(default)]
    pub fresh: bool,
}

/// What one input made the router do. At most one advertisement leaves per input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// The advertisement to send, before anything else.
    pub send: Option<Send>,
    /// The role that changed, and why.
    pub transition: Option<(Role, Role, Reason)>,
    /// A router that loses to us advertises as if it were Active.
    pub conflict: bool,
    /// We were this late with an advertisement and have been replaced.
    pub late: Option<Duration>,
}

/// What to advertise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Send {
    /// Our priority.
    Regular,
    /// Priority 0: we give up.
    Release,
}

/// The state machine of one virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct VirtualRouter {
    state: State,
}

impl Default for VirtualRouter {
    fn default() -> Self {
        Self {
            state: State::Initialize,
        }
    }
}

/// A state machine that stands there: of a router that is known from what was heard of it.
impl From<State> for VirtualRouter {
    fn from(state: State) -> Self {
        Self { state }
    }
}

impl VirtualRouter {
    /// The state with its timer.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Initialize => Role::Initialize,
            State::Backup(_) => Role::Backup,
            State::Active(_) => Role::Active,
        }
    }

    /// When [`Self::timeout`] wants to be called.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Initialize => None,
            State::Backup(backup) => Some(backup.active_down),
            State::Active(active) => Some(active.adver),
        }
    }

    /// Startup (RFC 9568 §6.4.1): the owner takes its addresses at once, everybody else listens first.
    pub fn startup(&mut self, now: Instant, terms: &Terms) -> Step {
        match self.state {
            State::Initialize if terms.priority.is_owner() => {
                self.become_active(now, terms, Reason::Owner)
            }
            State::Initialize => self.become_backup(now, terms, terms.interval, Reason::Startup),
            State::Backup(_) | State::Active(_) => Step::default(),
        }
    }

    /// Shutdown (RFC 9568 §6.4.2, §6.4.3), or a fault: an Active says that it gives up, a Backup says nothing.
    pub fn shutdown(&mut self, reason: Reason) -> Step {
        let (from, send) = match self.state {
            State::Initialize => return Step::default(),
            State::Backup(_) => (Role::Backup, None),
            State::Active(_) => (Role::Active, Some(Send::Release)),
        };
        self.state = State::Initialize;
        Step {
            send,
            transition: Some((from, Role::Initialize, reason)),
            ..Step::default()
        }
    }

    /// Gives up without a word, as after an advertisement that wins, and listens: for a router that finds it cannot
    /// know whether it has been replaced. An Active only; otherwise nothing happens.
    pub fn stand_back_if_late(&mut self, now: Instant, terms: &Terms) -> Step {
        let State::Active(active) = self.state else {
            return Step::default();
        };
        if now <= active.sent + terms.replaced_after() {
            return Step::default();
        }
        let late = now.saturating_since(active.adver);
        Step {
            late: Some(late),
            ..self.become_backup(now, terms, terms.interval, Reason::Late)
        }
    }

    /// Gives up on request: says so, and listens. An Active only; otherwise nothing happens.
    ///
    /// If nobody takes over it is Active again `returns_after` that time, or after a full silence where that is not given.
    pub fn step_down(
        &mut self,
        now: Instant,
        terms: &Terms,
        returns_after: Option<Duration>,
    ) -> Step {
        let State::Active(_) = self.state else {
            return Step::default();
        };
        let step = self.become_backup(now, terms, terms.interval, Reason::Ordered);
        if let (State::Backup(backup), Some(wait)) = (&mut self.state, returns_after) {
            backup.active_down = now + wait;
            backup.downs = None;
            backup.because = Reason::Unclaimed;
        }
        Step {
            send: Some(Send::Release),
            ..step
        }
    }

    /// Is Active again after [`Self::step_down`], because nobody took over. A Backup only; otherwise nothing happens.
    pub fn reclaim(&mut self, now: Instant, terms: &Terms) -> Step {
        match self.state {
            State::Backup(_) => self.become_active(now, terms, Reason::Unclaimed),
            State::Initialize | State::Active(_) => Step::default(),
        }
    }

    /// Is Active because the group is: whatever its own timer says. Unless it is already.
    pub(crate) fn follow_up(&mut self, now: Instant, terms: &Terms, reason: Reason) -> Step {
        match self.state {
            State::Initialize | State::Backup(_) => self.become_active(now, terms, reason),
            State::Active(_) => Step::default(),
        }
    }

    /// Gives up because the group does: says so, and listens. An Active only; otherwise nothing happens.
    pub(crate) fn follow_down(&mut self, now: Instant, terms: &Terms, reason: Reason) -> Step {
        match self.state {
            State::Active(_) => Step {
                send: Some(Send::Release),
                ..self.become_backup(now, terms, terms.interval, reason)
            },
            State::Initialize | State::Backup(_) => Step::default(),
        }
    }

    /// Stays Active although somebody of the same priority has the higher address: the group decides otherwise. The other
    /// one is answered in every version, because it must learn that somewhere.
    pub(crate) fn prevail(&mut self, now: Instant, terms: &Terms) -> Step {
        match self.state {
            State::Active(active) => self.answer(now, terms, active),
            State::Initialize | State::Backup(_) => Step::default(),
        }
    }

    /// Gives way to somebody of the same priority who has the higher address, some time after that was heard.
    pub(crate) fn concede(&mut self, now: Instant, terms: &Terms) -> Step {
        match self.state {
            State::Active(_) => {
                self.become_backup(now, terms, terms.interval, Reason::HigherAddress)
            }
            State::Initialize | State::Backup(_) => Step::default(),
        }
    }

    /// It advertises out of turn. An Active only; otherwise nothing happens.
    pub(crate) const fn speak(&mut self, now: Instant) {
        if let State::Active(active) = &mut self.state {
            active.sent = now;
        }
    }

    /// An advertisement that passed every receive check.
    pub fn advertisement(&mut self, now: Instant, terms: &Terms, heard: &Heard) -> Step {
        match self.state {
            State::Initialize => Step::default(),
            State::Backup(backup) => {
                self.state = State::Backup(backup.hear(now, terms, heard));
                Step::default()
            }
            State::Active(active) => self.contest(now, terms, active, heard),
        }
    }

    /// The timer of the present state; harmless when it is not due.
    pub fn timeout(&mut self, now: Instant, terms: &Terms) -> Step {
        match self.state {
            State::Backup(backup) if backup.active_down <= now => {
                self.become_active(now, terms, backup.because)
            }
            State::Active(active) if active.adver <= now => {
                // On the grid of the interval: lateness does not accumulate, and a long stall is not made up for.
                let period = terms.period();
                let next = active.adver + period;
                let adver = if next <= now { now + period } else { next };
                self.state = State::Active(Active {
                    adver,
                    sent: now,
                    fresh: false,
                    ..active
                });
                Step {
                    send: Some(Send::Regular),
                    ..Step::default()
                }
            }
            State::Initialize | State::Backup(_) | State::Active(_) => Step::default(),
        }
    }

    /// This state was saved a while ago, and nobody knows what was heard since: a Backup waits for a full silence from
    /// now on, of the interval it had `learned` if that is known. An Active goes on from its last advertisement, if it is
    /// known when that was `sent`, and otherwise finds itself as late as it must assume.
    pub fn revive(
        &mut self,
        now: Instant,
        terms: &Terms,
        sent: Option<Instant>,
        learned: Option<Interval>,
    ) {
        match &mut self.state {
            State::Initialize => {}
            State::Backup(backup) => {
                if let Some(learned) = learned.filter(|_| terms.dialect.learns_interval()) {
                    backup.active_interval = learned;
                }
                backup.active_down = now + terms.down_interval(backup.active_interval);
                backup.downs = None;
                backup.because = Reason::NoResponse;
            }
            State::Active(active) => {
                if let Some(sent) = sent.filter(|sent| (active.sent..=now).contains(sent)) {
                    active.sent = sent;
                    active.adver = sent + terms.period();
                }
            }
        }
    }

    /// The configuration, or what an operator asks, changed under a running router: no transition. An Active advertises the news at once, a Backup
    /// of a changed priority or interval waits by the new rule from the last advertisement it accepted.
    pub fn revise(&mut self, now: Instant, old: &Terms, new: &Terms) -> Step {
        match self.state {
            State::Initialize => Step::default(),
            State::Backup(backup) => {
                // What was learned is the Active's, and no business of our configuration (RFC 9568 §6.4.2).
                let learned = if new.dialect.learns_interval() {
                    backup.active_interval
                } else {
                    new.interval
                };
                let fixed = matches!(
                    backup.because,
                    Reason::Released | Reason::Unclaimed | Reason::BfdDown
                );
                let before = old.down_interval(backup.active_interval);
                let after = new.down_interval(learned);
                let moved = |down: Instant| if fixed { down } else { down - before + after };
                let dual = new.rules.is_some_and(|rules| rules.dual);
                self.state = State::Backup(Backup {
                    active_down: moved(backup.active_down),
                    active_interval: learned,
                    downs: backup.downs.filter(|_| dual).map(|downs| downs.map(moved)),
                    ..backup
                });
                Step::default()
            }
            State::Active(active) => {
                self.state = State::Active(Active {
                    adver: now + new.period(),
                    sent: now,
                    ..active
                });
                Step {
                    send: Some(Send::Regular),
                    ..Step::default()
                }
            }
        }
    }

    /// The Active is gone, as somebody says who notices it sooner than the timer: what is left is the skew time, as after a
    /// release (RFC 9568 §6.4.2 (420)), so that the order of the priorities is kept. Whoever is heard before that is followed
    /// as ever. The time that is left; `None` if that changes nothing: a Backup only, and one that would take over no later.
    pub fn bereave(&mut self, now: Instant, terms: &Terms) -> Option<Duration> {
        let State::Backup(backup) = &mut self.state else {
            return None;
        };
        let skew = terms
            .dialect
            .skew_time(terms.priority, backup.active_interval);
        if backup.active_down <= now + skew {
            return None;
        }
        backup.active_down = now + skew;
        backup.because = Reason::BfdDown;
        Some(skew)
    }

    /// An operator wants less than the configuration: a Backup that was about to preempt waits anew, because the Active is
    /// heard again before that.
    pub fn restrain(&mut self, now: Instant, terms: &Terms) {
        if let State::Backup(backup) = &mut self.state
            && backup.because == Reason::Preempting
        {
            *backup = Backup {
                active_down: now + terms.down_interval(backup.active_interval),
                because: Reason::NoResponse,
                hold: None,
                downs: None,
                ..*backup
            };
        }
    }

    /// RFC 9568 §6.4.3 (700) to (770).
    fn contest(&mut self, now: Instant, terms: &Terms, active: Active, heard: &Heard) -> Step {
        if let (Some(rules), Some(bid)) = (&terms.rules, heard.bid) {
            return self.compare(now, terms, rules, bid, heard.source, active.fresh);
        }
        if heard.priority == Priority::RELEASE {
            let adver = now + terms.period();
            let step = self.answer(now, terms, Active { adver, ..active });
            if step.send.is_none() {
                // It comes as soon as it may: Backups that heard the release wait for their skew time only.
                let adver = active.adver.min(now + Self::answer_pause(terms));
                self.state = State::Active(Active { adver, ..active });
            }
            return step;
        }
        // Addresses compare as unsigned numbers in network order, which is how Rust orders them.
        let wins = heard.priority > terms.priority
            || (heard.priority == terms.priority && heard.source > terms.primary);
        if wins {
            let reason = if heard.priority > terms.priority {
                Reason::HigherPriority
            } else {
                Reason::HigherAddress
            };
            let interval = if terms.dialect.learns_interval() {
                heard.interval
            } else {
                terms.interval
            };
            return self.become_backup(now, terms, interval, reason);
        }
        let step = if terms.dialect.answers_losers() {
            self.answer(now, terms, active)
        } else {
            Step::default()
        };
        Step {
            conflict: true,
            ..step
        }
    }

    /// What an Active does about the bid of `source`: it gives way without another word, or does nothing.
    fn compare(
        &mut self,
        now: Instant,
        terms: &Terms,
        rules: &Rules,
        bid: carp::Bid,
        source: IpAddr,
        fresh: bool,
    ) -> Step {
        let stays =
            |reason: &Reason| *reason == Reason::EqualBid && rules.wins_tie(terms.primary, source);
        let Some(reason) = rules.yields_to(bid).filter(|reason| !stays(reason)) else {
            return Step {
                conflict: !bid.is_bow_out(),
                ..Step::default()
            };
        };
        let step = self.become_backup(now, terms, terms.interval, reason);
        if reason == Reason::EqualBid {
            self.give_way_to_an_equal(now, terms, terms.primary);
        } else if let State::Backup(backup) = &mut self.state
            && fresh
        {
            // Both have just taken over, and the other one may think the same of us, if it reads demotion in another way.
            backup.active_down = backup.active_down + Rules::courtesy(terms.primary);
        }
        step
    }

    /// It is Backup since now because of somebody who bids the same with CARP, and waits by the `address` of its own, or its
    /// group's.
    pub(crate) fn give_way_to_an_equal(&mut self, now: Instant, terms: &Terms, address: IpAddr) {
        if let State::Backup(backup) = &mut self.state {
            let wait = terms.down_interval(terms.interval) + Rules::courtesy(address);
            backup.active_down = now + wait;
            backup.downs = None;
            backup.last_words = carp::election::LAST_WORDS;
        }
    }

    /// Whether it is Backup because of that, or was a moment ago.
    pub(crate) const fn has_met_an_equal(&self) -> bool {
        matches!(self.state, State::Backup(backup) if backup.last_words > 0)
    }

    /// Advertises out of turn, unless that was done a moment ago: a flood of losing or releasing advertisements must not
    /// make us flood the link in turn. Everybody who spoke since has heard the last answer.
    fn answer(&mut self, now: Instant, terms: &Terms, active: Active) -> Step {
        if active
            .answered
            .is_some_and(|answered| now < answered + Self::answer_pause(terms))
        {
            return Step::default();
        }
        self.state = State::Active(Active {
            sent: now,
            answered: Some(now),
            ..active
        });
        Step {
            send: Some(Send::Regular),
            ..Step::default()
        }
    }

    fn answer_pause(terms: &Terms) -> Duration {
        terms.period() / 20
    }

    fn become_active(&mut self, now: Instant, terms: &Terms, reason: Reason) -> Step {
        let from = self.role();
        self.state = State::Active(Active {
            adver: now + terms.period(),
            sent: now,
            answered: None,
            fresh: true,
        });
        Step {
            send: Some(Send::Regular),
            transition: Some((from, Role::Active, reason)),
            ..Step::default()
        }
    }

    fn become_backup(
        &mut self,
        now: Instant,
        terms: &Terms,
        active_interval: Interval,
        reason: Reason,
    ) -> Step {
        let from = self.role();
        let active_down = now + terms.down_interval(active_interval);
        self.state = State::Backup(Backup {
            active_down,
            active_interval,
            because: Reason::NoResponse,
            hold: None,
            downs: None,
            last_words: 0,
            equals: [None; 2],
        });
        Step {
            transition: Some((from, Role::Backup, reason)),
            ..Step::default()
        }
    }
}

impl Backup {
    /// When it last accepted an Active, or began to listen.
    pub(crate) fn accepted(&self, terms: &Terms) -> Instant {
        self.active_down - terms.down_interval(self.active_interval)
    }

    /// Its timer, or those of both families, run out then at the latest.
    pub(crate) fn at_the_latest(self, then: Instant) -> Self {
        Self {
            active_down: self.active_down.min(then),
            downs: self.downs.map(|downs| downs.map(|down| down.min(then))),
            ..self
        }
    }

    /// RFC 9568 §6.4.2 (420) to (470).
    fn hear(self, now: Instant, terms: &Terms, heard: &Heard) -> Self {
        if let (Some(rules), Some(bid)) = (&terms.rules, heard.bid) {
            return carp::election::heard_by_backup(self, now, terms, rules, bid, heard.source);
        }
        if heard.priority == Priority::RELEASE {
            let skew = terms
                .dialect
                .skew_time(terms.priority, self.active_interval);
            return Self {
                active_down: now + skew,
                because: Reason::Released,
                ..self
            };
        }
        let lower = heard.priority < terms.priority;
        // An owner always preempts (RFC 9568 §6.1). While the hold runs, a lower priority is treated like a higher one.
        let may_preempt = terms.preempt || terms.priority.is_owner();
        let hold = if lower && may_preempt {
            Some(self.hold.unwrap_or(now + terms.preempt_delay))
        } else {
            None
        };
        if hold.is_some_and(|hold| hold <= now) {
            // The short timer of a release runs on, and is still known for one.
            let released = self.because == Reason::Released;
            return Self {
                because: if released {
                    Reason::Released
                } else {
                    Reason::Preempting
                },
                hold,
                ..self
            };
        }
        let active_interval = if terms.dialect.learns_interval() {
            heard.interval
        } else {
            terms.interval
        };
        Self {
            active_down: now + terms.down_interval(active_interval),
            active_interval,
            because: Reason::NoResponse,
            hold,
            downs: None,
            last_words: 0,
            equals: [None; 2],
        }
    }
}
