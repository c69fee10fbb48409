//! Trackers: what a router needs beside its own interface, as one of three levels.
//!
//! ```text
//!   kernel, probes --> Sample --> Tracker (rise and fall, delays) --> Level --> Contribution --> priority, or a fault
//! ```
//!
//! Samples come as often as they like; what they say becomes a level when enough of them in a row have said so, and have
//! not been contradicted for a while. A tracker belongs to the daemon, and routers refer to it ([`Track`]).

mod kind;

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

pub use kind::{Pace, ProcessPattern, RecordType, TrackerKind};

use crate::fault::Fault;
use crate::plan::RouterPlan;
use crate::time::Instant;
use crate::types::Priority;

/// A tracker as configured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrackerPlan {
    /// The name operators use, e.g. `uplink`. Unique among trackers.
    pub name: String,
    /// How samples become a level.
    pub hysteresis: Hysteresis,
    /// What is watched.
    pub kind: TrackerKind,
}

/// How samples become a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hysteresis {
    /// So many samples in a row must be up for a tracker that is down: 1 and more.
    pub rise: u32,
    /// So many must be down for one that is up: 1 and more.
    pub fall: u32,
    /// Up counts only after it has not been contradicted for so long.
    pub up_delay: Duration,
    /// Down counts only after it has not been contradicted for so long.
    pub down_delay: Duration,
    /// What it is before the first result.
    pub start: Level,
    /// A tracker that starts unknown is down if there is no result until then.
    pub start_timeout: Duration,
    /// A result is good for so long; `None`: until there is another one.
    pub stale_after: Option<Duration>,
    /// What a tracker is without a good result.
    pub stale: Level,
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self {
            rise: 1,
            fall: 1,
            up_delay: Duration::ZERO,
            down_delay: Duration::ZERO,
            start: Level::Unknown,
            start_timeout: Duration::from_secs(10),
            stale_after: None,
            stale: Level::Down,
        }
    }
}

/// What a tracker, or a single sample, says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// What is watched is as it should be.
    Up,
    /// It is not.
    Down,
    /// Nobody knows: as a level it counts neither as up nor as down, as a sample it changes nothing.
    Unknown,
}

impl Level {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }

    const fn reversed(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What it is.
    pub level: Level,
    /// How much of the weight counts, where that is measured: see [`Track`].
    pub offset: Option<i16>,
    /// Why, in a few words: `eth1 has no carrier`.
    pub detail: String,
}

/// A reference of a router to a tracker.
///
/// A negative number is added to the priority while the tracker is down, a positive one while it is up. Where samples have
/// an offset, the product of both is added instead. An owner's priority stays as it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Track {
    /// The name of the tracker.
    pub tracker: String,
    /// What it does.
    pub effect: Effect,
    /// Whether up counts as down, and down as up.
    pub reverse: bool,
    /// Whether its group says so, for all members.
    #[serde(default)]
    pub by_group: bool,
}

/// What a tracker does to a router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Adds this, -253 to 253, to the priority.
    Weight(i16),
    /// Is a fault while it is down.
    Fault,
    /// Says that the Active is gone: a Backup that follows the peer of this BFD session waits for its Skew_Time only when
    /// that peer is not heard for the detection time.
    Takeover,
}

/// What a tracker does to a router now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contribution {
    /// The name of the tracker.
    pub tracker: String,
    /// Its level.
    pub level: Level,
    /// Why it is that.
    pub detail: String,
    /// What it can do.
    pub effect: Effect,
    /// What is added to the priority.
    pub adds: i16,
    /// Whether it is a fault.
    pub fault: bool,
}

impl Contribution {
    pub(crate) fn of(track: &Track, tracker: &Tracker) -> Self {
        let level = if track.reverse {
            tracker.level.reversed()
        } else {
            tracker.level
        };
        let adds = match (track.effect, tracker.offset) {
            (Effect::Fault | Effect::Takeover, _) => 0,
            (Effect::Weight(weight), Some(offset)) => {
                let weight = if track.reverse { -weight } else { weight };
                weight.saturating_mul(offset)
            }
            (Effect::Weight(weight), None) => match level {
                Level::Down => weight.min(0),
                Level::Up => weight.max(0),
                Level::Unknown => 0,
            },
        };
        Self {
            tracker: track.tracker.clone(),
            level: tracker.level,
            detail: tracker.detail.clone(),
            effect: track.effect,
            adds,
            fault: track.effect == Effect::Fault && level == Level::Down,
        }
    }

    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault.then(|| Fault::Tracker {
            tracker: self.tracker.clone(),
            level: self.level,
            detail: self.detail.clone(),
        })
    }
}

/// The sum of all that is added to the priority of a router.
pub(crate) fn sum(contributions: &[Contribution]) -> i16 {
    let adds = contributions.iter().map(|each| each.adds);
    adds.fold(0, i16::saturating_add)
}

/// A priority with that added: 1 to 254, and an owner stays one (RFC 9568 §6.1).
#[must_use]
pub fn adjusted(priority: Priority, sum: i16) -> Priority {
    if priority.is_owner() || sum == 0 {
        return priority;
    }
    let adjusted = i16::from(priority.get()).saturating_add(sum).clamp(1, 254);
    Priority::new(u8::try_from(adjusted).unwrap_or(1))
}

/// What `trackers` do to a router of this plan: one for each that it refers to and that exists. Nothing to an owner.
pub(crate) fn contributions(
    plan: &RouterPlan,
    trackers: &[Tracker],
) -> alloc::vec::Vec<Contribution> {
    if plan.priority.is_owner() {
        return alloc::vec::Vec::new();
    }
    let find = |name: &str| trackers.iter().find(|tracker| tracker.plan.name == name);
    let all = plan.track.iter();
    all.filter_map(|track| Some(Contribution::of(track, find(&track.tracker)?)))
        .collect()
}

/// A tracker with what is known.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tracker {
    plan: TrackerPlan,
    level: Level,
    /// Since when.
    since: Instant,
    /// Why it has this level.
    detail: String,
    offset: Option<i16>,
    /// Samples in a row that contradict the level.
    against: u32,
    /// What the last sample of these said.
    objection: String,
    /// What the level will be, and when.
    pending: Option<(Level, Instant)>,
    /// When there was a result last.
    heard: Option<Instant>,
    /// Until when there must be a first one.
    awaited: Option<Instant>,
}

impl Tracker {
    pub(crate) fn new(now: Instant, plan: TrackerPlan) -> Self {
        let start = plan.hysteresis.start;
        let awaited = (start == Level::Unknown).then(|| now + plan.hysteresis.start_timeout);
        Self {
            plan,
            level: start,
            since: now,
            detail: String::from("no result yet"),
            offset: None,
            against: 0,
            objection: String::new(),
            pending: None,
            heard: None,
            awaited,
        }
    }

    /// Configuration.
    #[must_use]
    pub const fn plan(&self) -> &TrackerPlan {
        &self.plan
    }

    /// What it is now.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Since when it is that.
    #[must_use]
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// Why it is that.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What was measured last, where something is.
    #[must_use]
    pub const fn offset(&self) -> Option<i16> {
        self.offset
    }

    /// How many samples in a row contradict the level, and what the last of them said.
    #[must_use]
    pub fn objection(&self) -> Option<(u32, &str)> {
        (self.against > 0).then_some((self.against, self.objection.as_str()))
    }

    /// What the level will be, and when, if nothing contradicts.
    #[must_use]
    pub const fn pending(&self) -> Option<(Level, Instant)> {
        self.pending
    }

    /// When there was a result last.
    #[must_use]
    pub const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Another configuration of a tracker of this name. What is known is kept if the same thing is watched.
    pub(crate) fn revise(&mut self, now: Instant, plan: &TrackerPlan) {
        if self.plan.kind != plan.kind {
            *self = Self::new(now, plan.clone());
        } else if self.plan != *plan {
            self.plan = plan.clone();
            // The next sample begins to count by the new rule.
            self.pending = None;
            self.against = 0;
            self.awaited = self.awaited.map(|_| now + plan.hysteresis.start_timeout);
        }
    }

    /// Takes a sample; whether what it does to routers may have changed.
    pub(crate) fn take(&mut self, now: Instant, sample: &Sample) -> bool {
        if sample.level == Level::Unknown {
            return false;
        }
        self.heard = Some(now);
        self.awaited = None;
        let (before, measured) = (self.level, self.offset);
        if sample.offset.is_some() {
            self.offset = sample.offset;
        }
        if sample.level == self.level || self.level == Level::Unknown {
            // The first result has nothing to flap against.
            self.settle(now, sample.level, &sample.detail);
            self.offset = sample.offset;
            return self.level != before || self.offset != measured;
        }
        self.against = self.against.saturating_add(1);
        self.objection.clone_from(&sample.detail);
        let Hysteresis {
            rise,
            fall,
            up_delay,
            down_delay,
            ..
        } = self.plan.hysteresis;
        let (enough, delay) = match sample.level {
            Level::Up => (rise, up_delay),
            Level::Down | Level::Unknown => (fall, down_delay),
        };
        if self.against >= enough {
            let (_, at) = *self.pending.get_or_insert((sample.level, now + delay));
            if at <= now {
                self.settle(now, sample.level, &sample.detail);
                self.offset = sample.offset;
            }
        }
        self.level != before || self.offset != measured
    }

    /// When it wants [`Self::timeout`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let pending = self.pending.map(|(_, at)| at);
        [pending, self.awaited, self.stale_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn stale_at(&self) -> Option<Instant> {
        let Hysteresis {
            stale_after, stale, ..
        } = self.plan.hysteresis;
        let after = stale_after.filter(|_| self.level != stale)?;
        Some(self.heard? + after)
    }

    /// What is due; whether the level has changed.
    pub(crate) fn timeout(&mut self, now: Instant) -> bool {
        let before = self.level;
        let shown = |time: Duration| format!("no result for {} s", time.as_secs());
        if let Some((level, _)) = self.pending.filter(|(_, at)| *at <= now) {
            let objection = core::mem::take(&mut self.objection);
            self.settle(now, level, &objection);
        } else if self.awaited.is_some_and(|at| at <= now) {
            let Hysteresis { start_timeout, .. } = self.plan.hysteresis;
            self.awaited = None;
            self.settle(now, Level::Down, &shown(start_timeout));
        } else if let Some(after) = self.plan.hysteresis.stale_after
            && self.stale_at().is_some_and(|at| at <= now)
        {
            self.heard = None;
            self.settle(now, self.plan.hysteresis.stale, &shown(after));
            self.offset = None;
        }
        self.level != before
    }

    /// Whoever imagines what will happen has no samples, which says nothing.
    pub(crate) fn expect_nothing(&mut self) {
        self.heard = None;
        self.awaited = None;
    }

    fn settle(&mut self, now: Instant, level: Level, detail: &str) {
        if self.level != level {
            self.level = level;
            self.since = now;
            if level != Level::Up {
                self.offset = None;
            }
        }
        self.detail.clear();
        self.detail.push_str(detail);
        self.against = 0;
        self.objection.clear();
        self.pending = None;
    }
}
