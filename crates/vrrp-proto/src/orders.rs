//! What operators ask of one router for a while, beside its configuration.
//!
//! | order | while it stands |
//! |---|---|
//! | drain | priority 1, and it does not preempt: a last resort |
//! | priority | that priority, to which trackers add as to the configured one |
//! | pin | who is Active stays so: priority 254 as Active, no preemption as Backup |
//! | yield | it does not preempt, until it is Active again; left behind by a failover |
//!
//! Where they contradict each other, the first in this table counts. Each ends by itself, or when the daemon does: a
//! router is never left in a state that nobody remembers having asked for.
//!
//! Who gives up on request *hands over*: it keeps its addresses, and if nobody has taken over when a successor must
//! have been heard, it is Active again and nothing was lost.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::Bid;
use crate::event::Offer;
use crate::fault::Fault;
use crate::router::Role;
use crate::time::Instant;
use crate::tracker::adjusted;
use crate::types::Priority;

/// The priority of a drained router.
pub const DRAINED: Priority = Priority::new(1);

/// The priority of a pinned Active: the highest that does not own the addresses.
pub const PINNED: Priority = Priority::new(254);

/// Something to ask of a router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Another priority, 1 to 254.
    SetPriority {
        /// Which.
        priority: Priority,
        /// Until when.
        terms: Standing,
    },
    /// Ends another priority, a pin and a yield.
    ResetPriority,
    /// An Active hands over, and does not preempt its successor.
    Failover {
        /// Whether it stays Backup for a full silence although nobody took over.
        force: bool,
        /// Who asked.
        note: Note,
    },
    /// Hands over, and stays out as well as it may.
    Drain {
        /// Whether it stays drained although nobody took over.
        force: bool,
        /// Until when.
        terms: Standing,
    },
    /// Ends a drain.
    Undrain,
    /// Nobody preempts.
    Pin(Standing),
    /// An Active announces its addresses again.
    Announce,
    /// A Backup that waited for that may preempt.
    Ready,
}

/// How long an order stands, and who gave it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    /// When it ends by itself, by the engine's clock.
    pub until: Option<Instant>,
    /// Who gave it.
    pub note: Note,
}

/// What people want to know of an order. The engine only passes it on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Note {
    /// Who gave it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
    /// When it was given, in milliseconds of Unix time.
    pub since_unix_ms: u64,
    /// When it ends, in milliseconds of Unix time.
    pub until_unix_ms: Option<u64>,
}

/// Which order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum OrderKind {
    /// [`Order::Drain`].
    Drain,
    /// [`Order::SetPriority`].
    Priority,
    /// [`Order::Pin`].
    Pin,
    /// What [`Order::Failover`] leaves behind.
    Yield,
}

/// The orders that stand for one router.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Orders {
    // In boxes: of a thousand routers hardly one has any.
    drain: Option<Box<Standing>>,
    priority: Option<Box<(Priority, Standing)>>,
    pin: Option<Box<Standing>>,
    yields: Option<Box<Note>>,
    pub(crate) handing: Option<Handing>,
    outcome: Option<Box<Outcome>>,
}

/// A router is handing over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Handing {
    /// Since when.
    pub(crate) begun: Instant,
    /// Until when a successor must have been heard.
    pub(crate) until: Instant,
    /// Whether it does so in order to be drained.
    pub(crate) drain: bool,
    /// Whether what was asked for stands although nobody takes over.
    pub(crate) force: bool,
}

impl Handing {
    /// Whether it is Active again if nobody takes over.
    pub(crate) const fn reclaims(self) -> bool {
        self.drain || !self.force
    }
}

/// What became of the last handing over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// When it began.
    pub begun: Instant,
    /// Who took over; `None` when nobody did.
    pub successor: Option<(IpAddr, Priority)>,
    /// With CARP, what that one bids.
    #[serde(default)]
    pub bid: Option<Bid>,
    /// After how long that was known.
    pub after: Duration,
}

/// Why an order was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denial {
    /// No router has that name.
    NoSuchRouter,
    /// Everything has been given up.
    Stopping,
    /// It owns its addresses, and an owner is always Active (RFC 9568 §6.1).
    Owner,
    /// The priority is not one that can be set.
    Priority,
    /// It is not Active, and the order is for one that is: who is, if that is known.
    NotActive(Option<(IpAddr, Priority)>),
    /// It takes no part in the election, because of these.
    NoPart(Vec<Fault>),
    /// It hands over already.
    HandingOver,
    /// It is not drained.
    NotDrained,
    /// Its addresses are not in place yet.
    NotInPlace,
    /// It moves together with another member of its group, which refuses.
    Member(String, Box<Self>),
}

/// Reads behind the name of the router.
impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchRouter => f.write_str("does not exist"),
            Self::Stopping => f.write_str("is given up, because the daemon stops"),
            Self::Owner => f.write_str(
                "owns its addresses (priority 255) and is always Active while it runs; change that in the configuration",
            ),
            Self::Priority => f.write_str("can have a priority of 1 to 254"),
            Self::NotActive(Some((address, priority))) => write!(
                f,
                "is not Active; {address} is, with priority {priority}: give this order there"
            ),
            Self::NotActive(None) => {
                f.write_str("is not Active, and nobody is known to be; give this order where it is")
            }
            Self::NoPart(faults) => {
                f.write_str("takes no part in the election")?;
                for (index, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if index == 0 { ": " } else { "; " })?;
                }
                Ok(())
            }
            Self::HandingOver => f.write_str("is handing over already"),
            Self::NotDrained => f.write_str("is not drained"),
            Self::NotInPlace => f.write_str(
                "has just become Active, and its addresses are not in place yet; try again in a moment",
            ),
            Self::Member(member, why) => write!(f, "moves together with {member}, which {why}"),
        }
    }
}

/// An order that stands, for those who want to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderView<'a> {
    /// Which.
    pub kind: OrderKind,
    /// The priority that was set.
    pub priority: Option<Priority>,
    /// When it ends by itself.
    pub until: Option<Instant>,
    /// Who gave it.
    pub note: &'a Note,
}

impl OrderKind {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Priority => "priority",
            Self::Pin => "pin",
            Self::Yield => "yield",
        }
    }
}

impl Orders {
    /// Those that stand, the one that counts first.
    pub fn standing(&self) -> impl Iterator<Item = OrderView<'_>> {
        let view = |kind, priority, standing: &'_ Standing| (kind, priority, standing.until);
        let drain = self.drain.as_deref();
        let set = self.priority.as_deref();
        let pin = self.pin.as_deref();
        let timed = [
            drain.map(|it| (view(OrderKind::Drain, None, it), &it.note)),
            set.map(|(priority, it)| (view(OrderKind::Priority, Some(*priority), it), &it.note)),
            pin.map(|it| (view(OrderKind::Pin, None, it), &it.note)),
            self.yields
                .as_deref()
                .map(|note| ((OrderKind::Yield, None, None), note)),
        ];
        timed
            .into_iter()
            .flatten()
            .map(|((kind, priority, until), note)| OrderView {
                kind,
                priority,
                until,
                note,
            })
    }

    /// Whether it is drained.
    #[must_use]
    pub const fn is_drained(&self) -> bool {
        self.drain.is_some()
    }

    /// Whether it is handing over, and when that began.
    #[must_use]
    pub fn handing_over_since(&self) -> Option<Instant> {
        self.handing.map(|handing| handing.begun)
    }

    /// When a successor must have been heard, while it hands over.
    #[must_use]
    pub fn handing_over_until(&self) -> Option<Instant> {
        self.handing.map(|handing| handing.until)
    }

    /// What became of the last handing over.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome.as_deref().copied()
    }

    /// The priority of a router of this role, to which trackers add `sum`. A drain and a pin say exactly what it is.
    pub(crate) fn effective(&self, configured: Priority, role: Role, sum: i16) -> Priority {
        if configured.is_owner() {
            configured
        } else if self.drain.is_some() {
            DRAINED
        } else if self.priority.is_none() && self.pin.is_some() && role == Role::Active {
            PINNED
        } else {
            adjusted(self.base(configured), sum)
        }
    }

    /// The priority to which trackers add: the configured one, or the one that was set.
    pub(crate) fn base(&self, configured: Priority) -> Priority {
        let set = self.priority.as_deref();
        set.filter(|_| !configured.is_owner())
            .map_or(configured, |(priority, _)| *priority)
    }

    /// Whether nothing speaks against preemption.
    pub(crate) const fn let_preempt(&self) -> bool {
        self.drain.is_none() && self.pin.is_none() && self.yields.is_none()
    }

    /// When the next thing here happens by itself. Asked after each advertisement.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let set = self.priority.as_deref().map(|(_, standing)| standing);
        [self.drain.as_deref(), set, self.pin.as_deref()]
            .into_iter()
            .filter_map(|standing| standing?.until)
            .chain(self.handing.map(|handing| handing.until))
            .min()
    }

    pub(crate) fn drain(&mut self, terms: Standing) {
        self.drain = Some(Box::new(terms));
    }

    /// Whether there was one.
    pub(crate) fn undrain(&mut self) -> Option<Note> {
        self.drain.take().map(|drain| drain.note)
    }

    pub(crate) fn set_priority(&mut self, priority: Priority, terms: Standing) {
        self.priority = Some(Box::new((priority, terms)));
    }

    pub(crate) fn pin(&mut self, terms: Standing) {
        self.pin = Some(Box::new(terms));
    }

    pub(crate) fn yield_to_others(&mut self, note: Note) {
        self.yields = Some(Box::new(note));
    }

    /// Ends what has to do with the priority.
    pub(crate) fn reset(&mut self) {
        self.priority = None;
        self.pin = None;
        self.yields = None;
    }

    /// Ends all that stand: which, and who gave them.
    pub(crate) fn dismiss(&mut self) -> Vec<(OrderKind, Note)> {
        let all = self.standing();
        let all = all.map(|order| (order.kind, order.note.clone())).collect();
        self.drain = None;
        self.reset();
        all
    }

    /// Ends what is over now: which, and who gave it.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(OrderKind, Note)> {
        let over: Vec<_> = self
            .standing()
            .filter(|order| order.until.is_some_and(|until| until <= now))
            .map(|order| (order.kind, order.note.clone()))
            .collect();
        for (kind, _) in &over {
            match kind {
                OrderKind::Drain => self.drain = None,
                OrderKind::Priority => self.priority = None,
                OrderKind::Pin => self.pin = None,
                OrderKind::Yield => self.yields = None,
            }
        }
        over
    }

    /// The handing over is over; how it was asked for.
    pub(crate) fn handed_over(
        &mut self,
        now: Instant,
        successor: Option<(IpAddr, Offer)>,
    ) -> Option<Handing> {
        let handing = self.handing.take()?;
        self.outcome = Some(Box::new(Outcome {
            begun: handing.begun,
            successor: successor.map(|(address, offer)| (address, offer.priority)),
            bid: successor.and_then(|(_, offer)| offer.bid),
            after: now.saturating_since(handing.begun),
        }));
        Some(handing)
    }

    /// Whether a handing over has to end now.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.handing.is_some_and(|handing| handing.until <= now)
    }

    /// It is Active: it has nobody to yield to any more.
    pub(crate) fn became_active(&mut self) {
        self.yields = None;
    }

    /// A successor must have been heard, and it is not known what was heard: wait as long again.
    pub(crate) fn revive(&mut self, now: Instant, wait: Duration) -> Option<Instant> {
        let handing = self.handing.as_mut()?;
        handing.until = handing.until.max(now + wait);
        Some(handing.until)
    }
}
