//! How often the worker was replaced, and why: what the keeper tells the next one, as JSON.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// Where the text is in the store.
pub(crate) const NAME: &str = "restarts";

/// Where a worker that panics leaves what it has to say.
pub(crate) const LAST_WORDS: &str = "last-words";

/// The last time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Last {
    pub(crate) at: SystemTime,
    /// The end of a sentence.
    pub(crate) reason: String,
}

/// How often, and the last time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Restarts {
    count: u64,
    last: Option<Last>,
}

impl Restarts {
    /// Once more.
    pub(crate) fn note(&mut self, at: SystemTime, reason: String) {
        self.count += 1;
        self.last = Some(Last { at, reason });
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) const fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }
}
