//! How often the worker was replaced, and why: what the keeper tells the next one, as a text.
//!
//! ```text
//!   2 1763712000123456789 killed by SIGKILL
//!   how often, when for the last time in nanoseconds since 1970, why
//! ```

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the text is in the store.
pub(crate) const NAME: &str = "restarts";

/// Where a worker that panics leaves what it has to say.
pub(crate) const LAST_WORDS: &str = "last-words";

/// The last time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Last {
    pub(crate) at: SystemTime,
    /// The end of a sentence.
    pub(crate) reason: String,
}

/// How often, and the last time.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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

    /// From the text; nothing is known from one that says something else.
    pub(crate) fn parse(text: &str) -> Self {
        let mut words = text.splitn(3, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (Some(count), Some(nanos)) = (number(), number()) else {
            return Self::default();
        };
        let reason = words.next().unwrap_or_default().to_owned();
        let at = UNIX_EPOCH + Duration::from_nanos(nanos);
        Self {
            count,
            last: Some(Last { at, reason }),
        }
    }
}

impl fmt::Display for Restarts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = &self.last else {
            return Ok(());
        };
        let since = last.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(f, "{} {} {}", self.count, since.as_nanos(), last.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_it_all() {
        let mut restarts = Restarts::default();
        assert_eq!(Restarts::parse(&restarts.to_string()), restarts);
        let at = UNIX_EPOCH + Duration::from_nanos(1_763_712_000_123_456_789);
        restarts.note(at, "killed by SIGSEGV".into());
        restarts.note(at, "a panic: left and right".into());
        assert_eq!(
            restarts.to_string(),
            "2 1763712000123456789 a panic: left and right"
        );
        assert_eq!(Restarts::parse(&restarts.to_string()), restarts);
        assert_eq!(Restarts::parse("2 x"), Restarts::default());
    }
}
