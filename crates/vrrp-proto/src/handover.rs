//! What one process leaves to its successor: everything that decides a later output.
//!
//! ```text
//!   old: Engine::save() -> Handover -> text -> new: Engine::resume(handover), then Input::Reload(its own plan)
//! ```
//!
//! The law: an engine that is resumed gives the same outputs to the same inputs as the one that was saved would have
//! given. It only repeats first what it wants of the kernel, because the successor's backend knows nothing yet.
//!
//! A process that dies leaves no last word, but perhaps the state it saved after its last change of role; that has to be
//! [`Handover::revive`]d first.
//!
//! Times are those of the clock the engine was given, so a hand-over is worth something until the next boot. It carries
//! VRRPv2 passwords in the clear and belongs in memory, not in a file.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::complaint::Complaints;
use crate::engine::{Engine, Output};
use crate::slot::{Link, Slot};
use crate::statistics::GlobalStatistics;
use crate::time::Instant;
use crate::types::RouterId;

/// The state of an engine between two inputs. Made by [`Engine::save`], read by [`Engine::resume`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    routers: Vec<(RouterId, Slot)>,
    links: Vec<Link>,
    statistics: GlobalStatistics,
    complaints: Complaints,
    next_id: u32,
    stopped: bool,
}

impl Handover {
    /// Changes whenever an older program could not make sense of what a newer one saved, or the reverse.
    pub const VERSION: u32 = 1;

    /// Makes a state that was saved some time ago fit to go on from, for a process that died without a last word: what was
    /// heard since is not known. Every role is kept, except that an Active which may have been replaced finds that out
    /// at the first [`Engine::handle_timeout`]. `sent` says when a router sent its last advertisement, if that is known.
    pub fn revive(&mut self, now: Instant, sent: impl Fn(RouterId) -> Option<Instant>) {
        for (id, slot) in &mut self.routers {
            if let Some(terms) = slot.terms() {
                slot.machine.revive(now, &terms, sent(*id));
            }
        }
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
        }
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
        for (id, mut slot) in handover.routers {
            slot.restore();
            let desired = (!engine.stopped || slot.leaving.is_some()).then(|| slot.desired());
            engine.outputs.push_back(Output::Desired(id, desired));
            engine.insert(id, slot);
        }
        engine
    }
}
