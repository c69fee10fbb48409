//! What the kernel refused a router, and what follows from that.
//!
//! A router that is not Active stays out until the kernel agrees. An Active is given a moment first: the backend goes on
//! trying, and giving up for something that passes would be an outage of our own making. After that it gives up, since
//! an Active whose addresses the kernel refuses attracts traffic and loses it, and stands for election again later.

use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// How long an Active goes on although the kernel refuses something.
const PATIENCE: Duration = Duration::from_secs(1);

/// After it gave up, it does not stand for election for this long.
const HOLD: Duration = Duration::from_secs(30);

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Stage {
    /// An Active hopes until then.
    Hoping(Instant),
    /// It gave up, and stays out until then.
    Held(Instant),
    /// It is not Active, and stays out until the kernel agrees.
    Standing,
}

impl Refusal {
    /// The kernel refused something, after `before`.
    pub(crate) fn new(now: Instant, reason: &str, active: bool, before: Option<&Self>) -> Self {
        let stage = match before.map(|before| before.stage) {
            Some(stage @ (Stage::Hoping(_) | Stage::Held(_))) => stage,
            Some(Stage::Standing) | None if active => Stage::Hoping(now + PATIENCE),
            Some(Stage::Standing) | None => Stage::Standing,
        };
        Self {
            reason: String::from(reason),
            stage,
        }
    }

    /// Whether it keeps the router out.
    pub(crate) const fn is_fault(&self) -> bool {
        match self.stage {
            Stage::Hoping(_) => false,
            Stage::Held(_) | Stage::Standing => true,
        }
    }

    /// Whether the kernel's agreement ends it.
    pub(crate) const fn ends_by_agreement(&self) -> bool {
        match self.stage {
            Stage::Hoping(_) | Stage::Standing => true,
            Stage::Held(_) => false,
        }
    }

    /// Whether it concerns an Active that still hopes: it ends when that is Active no more.
    pub(crate) const fn is_hoping(&self) -> bool {
        matches!(self.stage, Stage::Hoping(_))
    }

    /// When its stage ends by itself.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Hoping(until) | Stage::Held(until) => Some(until),
            Stage::Standing => None,
        }
    }

    /// What is left of it when its deadline has passed.
    pub(crate) fn expired(self, now: Instant) -> Option<Self> {
        match self.stage {
            Stage::Hoping(_) => Some(Self {
                stage: Stage::Held(now + HOLD),
                ..self
            }),
            Stage::Held(_) | Stage::Standing => None,
        }
    }
}
