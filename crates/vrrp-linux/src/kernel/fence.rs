//! The gate of each interface, as the kernel thread keeps it: there before a router's first address, gone after its last.
//!
//! The leases themselves are the engine's; see `fences`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};

use tracing::warn;
use vrrp_gate::{Gate, GateError, Leases, Standing, Watch};
use vrrp_proto::types::{Family, Vrid};

use super::OwnerId;

/// Virtual MAC addresses to guard, by the number of their interface.
pub(super) type Guarded = BTreeMap<u32, BTreeSet<(Family, Vrid)>>;

/// What stands between an interface and the virtual MAC addresses on it: leases, or why there are none.
pub(super) type Outcome = Result<Leases, String>;

/// The gates of one daemon.
pub(super) struct Fence {
    gate: Result<Gate, String>,
    /// Tells of changes to traffic control; without it they are found by the audit.
    watch: Option<Watch>,
    posts: BTreeMap<u32, Post>,
    /// Whether somebody may have removed a gate.
    disturbed: bool,
    /// Whether what an earlier life left on other interfaces is gone.
    swept: bool,
}

struct Post {
    guarded: BTreeSet<(Family, Vrid)>,
    outcome: Outcome,
}

impl Fence {
    pub(super) fn open(owner: OwnerId) -> Self {
        let gate = Gate::load(&owner.to_string()).map_err(|error| sentence(&error));
        if let Err(why) = &gate {
            // What an earlier life put there would never open again.
            let _ = vrrp_gate::remove(&owner.to_string());
            warn!(
                "{why}: if this daemon dies, its kernel goes on answering until it is started again"
            );
        }
        Self {
            gate,
            watch: Watch::open().ok(),
            posts: BTreeMap::new(),
            disturbed: false,
            swept: false,
        }
    }

    /// What becomes readable when traffic control changed.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Whether traffic control changed since the last call.
    pub(super) fn listen(&mut self) -> bool {
        let changed = self
            .watch
            .as_ref()
            .is_some_and(|watch| watch.drain().unwrap_or(false));
        self.disturbed |= changed;
        changed && !self.posts.is_empty()
    }

    /// Everything is to be looked at again, also what was refused.
    pub(super) const fn doubt(&mut self) {
        self.disturbed = true;
    }

    /// Guards what is `wanted` and, if it is `all` that is wanted, nothing else. What is new about which interface.
    pub(super) fn settle(&mut self, wanted: &Guarded, all: bool) -> Vec<(u32, Option<Outcome>)> {
        let mut news = Vec::new();
        for (index, guarded) in wanted {
            let known = self.posts.get(index);
            let same = known.is_some_and(|post| {
                guarded.is_subset(&post.guarded) && (!all || post.guarded == *guarded)
            });
            if same && !self.disturbed {
                continue;
            }
            let (outcome, repaired) = match &mut self.gate {
                Err(why) => (Err(why.clone()), false),
                Ok(gate) => attach(gate, *index, guarded, same),
            };
            if let (Ok(leases), Some(post)) = (&outcome, known)
                && all
            {
                let gone = post.guarded.difference(guarded);
                gone.for_each(|(family, vrid)| leases.release(*family, *vrid));
            }
            if repaired {
                warn!(
                    interface = *index,
                    "put back the gate that somebody removed"
                );
            }
            let news_worthy = match (known.map(|post| &post.outcome), &outcome) {
                (Some(Ok(_)), Ok(_)) => false,
                (Some(Err(before)), Err(now)) => before != now,
                _ => true,
            };
            let mut guarded = guarded.clone();
            if !all && let Some(post) = known {
                guarded.extend(&post.guarded);
            }
            if news_worthy {
                news.push((*index, Some(outcome.clone())));
            }
            self.posts.insert(*index, Post { guarded, outcome });
        }
        if all {
            self.disturbed = false;
            let unwanted: Vec<u32> = self
                .posts
                .keys()
                .filter(|index| !wanted.contains_key(index))
                .copied()
                .collect();
            for index in unwanted {
                self.posts.remove(&index);
                news.push((index, None));
                if let Ok(gate) = &mut self.gate
                    && let Err(errors) = gate.detach(index)
                {
                    errors.iter().for_each(|error| warn!("{}", sentence(error)));
                }
            }
            if !wanted.is_empty() && !std::mem::replace(&mut self.swept, true) {
                self.sweep();
            }
        }
        news
    }

    fn sweep(&self) {
        if let Ok(gate) = &self.gate
            && let Err(errors) = gate.remove_leftovers()
        {
            errors.iter().for_each(|error| warn!("{}", sentence(error)));
        }
    }

    /// Takes all gates away; what could not be, as sentences.
    pub(super) fn remove(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        if let Ok(gate) = &mut self.gate {
            for index in std::mem::take(&mut self.posts).into_keys() {
                let errors = gate.detach(index).err().unwrap_or_default();
                left.extend(errors.iter().map(sentence));
            }
            let errors = gate.remove_leftovers().err().unwrap_or_default();
            left.extend(errors.iter().map(sentence));
        }
        left
    }
}

/// A gate on this interface with all of these guarded; whether it had to be put back.
fn attach(
    gate: &mut Gate,
    index: u32,
    guarded: &BTreeSet<(Family, Vrid)>,
    same: bool,
) -> (Outcome, bool) {
    if let Some(leases) = gate.leases(index) {
        for (family, vrid) in guarded {
            leases.guard(*family, *vrid);
        }
        // What cannot be seen is there until the opposite is known.
        let missing = matches!(gate.observe(index), Ok(Standing::Missing));
        if !missing {
            return (Ok(leases), false);
        }
    }
    let attached = gate
        .attach(index, guarded.iter().copied())
        .map_err(|error| sentence(&error));
    let repaired = same && attached.is_ok();
    (attached, repaired)
}

/// An error with its causes.
fn sentence(error: &GateError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
