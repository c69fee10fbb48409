//! How long a run may take.

use std::time::Duration;

/// How many trials a row makes, and for how long it looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// A quarter of an hour in all instead of some two hours.
    pub quick: bool,
    /// As many trials as the caller says, instead of the row's own number.
    pub trials: Option<usize>,
}

impl Effort {
    /// The number of trials.
    #[must_use]
    pub fn trials(&self, quick: usize, whole: usize) -> usize {
        self.trials
            .unwrap_or(if self.quick { quick } else { whole })
            .max(1)
    }

    /// How often everybody has a turn: A, B and then B, A, but in a short run.
    #[must_use]
    pub fn rounds(&self) -> usize {
        if self.quick { 1 } else { 2 }
    }

    /// The length of a look, in seconds.
    #[must_use]
    pub fn span(&self, quick: u64, whole: u64) -> Duration {
        Duration::from_secs(if self.quick { quick } else { whole })
    }
}
