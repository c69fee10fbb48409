//! A gate before preemption: a router that comes back waits until it is ready.
//!
//! Who begins to take part has an empty connection table and no routes of its neighbours. As a Backup it may serve at once if
//! nobody else does; but there is no need to preempt somebody who serves well before that has changed. So the gate
//! closes when the router begins to take part, and opens when somebody says that it is ready and trackers are up, whatever of it
//! is asked for, or after a time.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// What must be so before a router that began to take part preempts, and for how long it is waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreemptWhen {
    /// Whether somebody must say that it is ready.
    pub ready: bool,
    /// The names of trackers that must be up.
    #[serde(default)]
    pub trackers: Vec<String>,
    /// After this time it preempts all the same.
    pub timeout: Duration,
}

/// The gate of one router.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Until when it is closed; open if there is none.
    closed: Option<Instant>,
    /// Whether somebody has said that it is ready, since it closed.
    #[serde(default)]
    said: bool,
    /// Trackers that must be up and are not, whether it is closed or not.
    #[serde(default)]
    missing: Vec<String>,
}

impl Gate {
    /// The router begins to take part.
    pub(crate) fn close(&mut self, now: Instant, when: Option<&PreemptWhen>) {
        self.said = false;
        let when = when.filter(|when| when.ready || !self.missing.is_empty());
        self.closed = when.map(|when| now + when.timeout);
    }

    /// Whether it was closed.
    pub(crate) fn open(&mut self) -> bool {
        self.closed.take().is_some()
    }

    /// Somebody says that it is ready. If nobody was to be asked for that, nothing else is waited for either.
    pub(crate) fn say(&mut self, when: Option<&PreemptWhen>) {
        self.said = true;
        if when.is_some_and(|when| !when.ready) {
            self.missing.clear();
        }
    }

    /// These trackers must be up and are not.
    pub(crate) fn lack(&mut self, missing: Vec<String>) {
        self.missing = missing;
    }

    /// Whether there is nothing left to wait for.
    pub(crate) fn is_done(&self, when: Option<&PreemptWhen>) -> bool {
        when.is_none_or(|when| (self.said || !when.ready) && self.missing.is_empty())
    }

    /// Whether it waits for somebody to say that it is ready.
    pub(crate) fn awaits_word(&self, when: Option<&PreemptWhen>) -> bool {
        self.closed.is_some() && !self.said && when.is_some_and(|when| when.ready)
    }

    /// The trackers that it waits for.
    pub(crate) fn awaits_trackers(&self) -> &[String] {
        self.closed.map_or(&[], |_| &self.missing)
    }

    /// When it opens by itself, if it is closed.
    pub(crate) const fn closed_until(&self) -> Option<Instant> {
        self.closed
    }
}
