//! A gate before preemption: a router that comes back waits until it is ready.
//!
//! Who begins to take part has an empty connection table and no routes of its neighbours. As a Backup it may serve at once if
//! nobody else does; but there is no need to preempt somebody who serves well before that has changed. So the gate
//! closes when the router begins to take part, and opens when somebody says that it is ready, or after a time.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// What must be so before a router that began to take part preempts, and for how long it is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreemptWhen {
    /// Whether somebody must say that it is ready.
    pub ready: bool,
    /// After this time it preempts all the same.
    pub timeout: Duration,
}

/// The gate of one router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// Until when it is closed; open if there is none.
    closed: Option<Instant>,
}

impl Gate {
    /// The router begins to take part.
    pub(crate) fn close(&mut self, now: Instant, when: Option<PreemptWhen>) {
        let when = when.filter(|when| when.ready);
        self.closed = when.map(|when| now + when.timeout);
    }

    /// Whether it was closed.
    pub(crate) fn open(&mut self) -> bool {
        self.closed.take().is_some()
    }

    /// When it opens by itself, if it is closed.
    pub(crate) const fn closed_until(self) -> Option<Instant> {
        self.closed
    }
}
