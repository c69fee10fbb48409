//! What one process leaves to its successor: everything that decides a later output.
//!
//! ```text
//!   old: Engine::save() -> Handover -> text -> new: Engine::resume(handover), then Input::Reload(its own plan)
//! ```
//!
//! The law: an engine that is resumed gives the same outputs to the same inputs as the one that was saved would have
//! given. It only repeats first what it wants of the kernel, because the successor's backend knows nothing yet.
//!
//! A process that dies leaves no last word. It can have written down its state [`Change`] by change, and what moves with every
//! packet as [`Traces`](Trace) beside it; put together again, that has to be [`Handover::revive`]d first.
//!
//! Times are those of the clock the engine was given, so a hand-over is worth something until the next boot. It carries
//! VRRPv2 passwords in the clear and belongs in memory, not in a file.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::complaint::Complaints;
use crate::engine::{Engine, Output};
use crate::interval::Interval;
use crate::slot::{Link, Slot};
use crate::statistics::{GlobalStatistics, RouterStatistics};
use crate::time::Instant;
use crate::tracker::Tracker;
use crate::types::RouterId;

/// More advertisements than a process has sent since its state was written down.
const UNWRITTEN: u64 = 1 << 20;

/// The state of an engine between two inputs. Made by [`Engine::save`], read by [`Engine::resume`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Handover {
    /// In the order of their identifiers.
    routers: Vec<(RouterId, Box<Slot>)>,
    links: Vec<Link>,
    statistics: GlobalStatistics,
    complaints: Complaints,
    next_id: u32,
    stopped: bool,
    #[serde(default)]
    trackers: Vec<Tracker>,
}

/// A part of a state that replaces what was saved of it before. Made by [`Engine::save_router`] and
/// [`Engine::save_surroundings`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change(Part);

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Part {
    Router(RouterId, Box<Slot>),
    Gone(RouterId),
    /// Everything but the routers.
    Surroundings(Box<Handover>),
}

/// What is known of a router's last moments beside its saved state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Trace {
    /// When it sent its last advertisement.
    pub sent: Option<Instant>,
    /// The interval that it learned from its Active, if it was a Backup (RFC 9568 §6.4.2).
    pub learned: Option<Interval>,
    /// Its counters, which are never less than those saved before.
    pub statistics: RouterStatistics,
}

impl Handover {
    /// Changes whenever an older program could not make sense of what a newer one saved, or the reverse.
    pub const VERSION: u32 = 1;

    /// Replaces a part of it.
    pub fn change(&mut self, change: Change) {
        let place = |routers: &[(RouterId, Box<Slot>)], id: RouterId| {
            routers.binary_search_by_key(&id, |(other, _)| *other)
        };
        match change.0 {
            Part::Router(id, slot) => match place(&self.routers, id) {
                Ok(known) => self.routers[known].1 = slot,
                Err(new) => self.routers.insert(new, (id, slot)),
            },
            Part::Gone(id) => {
                if let Ok(known) = place(&self.routers, id) {
                    self.routers.remove(known);
                }
            }
            Part::Surroundings(surroundings) => {
                let routers = core::mem::take(&mut self.routers);
                *self = Self {
                    routers,
                    ..*surroundings
                };
            }
        }
    }

    /// Makes a state that was saved some time ago fit to go on from, for a process that died without a last word: what was
    /// heard since is not known. Every role is kept, except that an Active which may have been replaced finds that out
    /// at the first [`Engine::handle_timeout`]. `trace` is what is known of a router beside.
    pub fn revive(&mut self, now: Instant, trace: impl Fn(RouterId) -> Trace) {
        for (id, slot) in &mut self.routers {
            let trace = trace(*id);
            slot.statistics = slot.statistics.latest(trace.statistics);
            if let Some(voice) = &mut slot.voice {
                let window = slot.plan.carp.as_ref().map(|carp| carp.window);
                voice.skip(UNWRITTEN, window.unwrap_or_default());
            }
            if let Some(terms) = slot.terms() {
                slot.machine.revive(now, &terms, trace.sent, trace.learned);
                if let Some(bond) = &mut slot.bond {
                    bond.forget();
                }
                let wait = terms.dialect.leaving_time(terms.interval);
                if let Some(until) = slot.orders.revive(now, wait) {
                    slot.leaving = slot.leaving.map(|_| until);
                }
            }
        }
    }

    /// Counters that belong to no router, which may be newer than those of the state.
    pub fn recount(&mut self, statistics: GlobalStatistics) {
        self.statistics = self.statistics.latest(statistics);
    }
}

impl Engine {
    /// The state to hand over. Outputs must have been drained; this engine should get no input afterwards.
    #[must_use]
    pub fn save(&self) -> Handover {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs must be drained before the state is handed over"
        );
        Handover {
            routers: self
                .slots
                .iter()
                .map(|(id, slot)| (*id, slot.clone()))
                .collect(),
            links: self.links.clone(),
            statistics: self.statistics,
            complaints: self.complaints.clone(),
            next_id: self.next_id,
            stopped: self.stopped,
            trackers: self.trackers.clone(),
        }
    }

    /// What has to be known of one router, also that it is gone. Outputs must have been drained.
    #[must_use]
    pub fn save_router(&self, router: RouterId) -> Change {
        Change(match self.slots.get(&router) {
            Some(slot) => Part::Router(router, slot.clone()),
            None => Part::Gone(router),
        })
    }

    /// What has to be known of everything but the routers. Outputs must have been drained.
    #[must_use]
    pub fn save_surroundings(&self) -> Change {
        Change(Part::Surroundings(Box::new(Handover {
            routers: Vec::new(),
            links: self.links.clone(),
            statistics: self.statistics,
            complaints: self.complaints.clone(),
            next_id: self.next_id,
            stopped: self.stopped,
            trackers: self.trackers.clone(),
        })))
    }

    /// Goes on where another engine was saved, with the plan it had. Its first outputs are the desired states it stands
    /// for; what became due meanwhile happens at the next [`Self::handle_timeout`], by the rules for a stall.
    #[must_use]
    pub fn resume(handover: Handover) -> Self {
        let mut engine = Self::default();
        engine.links = handover.links;
        engine.statistics = handover.statistics;
        engine.complaints = handover.complaints;
        engine.next_id = handover.next_id;
        engine.stopped = handover.stopped;
        engine.trackers = handover.trackers;
        engine.count_down();
        for (id, mut slot) in handover.routers {
            slot.restore();
            let desired = (!engine.stopped || slot.leaving.is_some()).then(|| slot.desired());
            engine.outputs.push_back(Output::Desired(id, desired));
            engine.insert(id, slot);
        }
        // Nobody's membership changes by it.
        engine.regroup(Instant::ZERO);
        engine.unsettled = true;
        engine
    }
}
