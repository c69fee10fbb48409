//! When memory goes back to the system that was needed for a while only: once it is quiet after a start, a reload, or
//! many events.

use std::time::Duration;

use tokio::time::Instant;

/// Nothing has happened for so long,
const QUIET: Duration = Duration::from_secs(1);

/// or it never becomes quiet.
const LATEST: Duration = Duration::from_secs(5);

/// So many events, of a takeover by many routers for example, are worth it.
const MANY: u32 = 100;

/// Whether there may be something to give back.
#[derive(Debug)]
pub(crate) struct Thrift {
    since: Option<Instant>,
    /// The last event.
    last: Instant,
    /// How many there were since it was given back.
    events: u32,
}

impl Thrift {
    /// At a start.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            since: Some(now),
            last: now,
            events: 0,
        }
    }

    /// Something happened.
    pub(crate) fn event(&mut self, now: Instant) {
        self.last = now;
        self.events = self.events.saturating_add(1);
        if self.events >= MANY {
            self.since.get_or_insert(now);
        }
    }

    /// Another configuration was read.
    pub(crate) fn reload(&mut self, now: Instant) {
        self.last = now;
        self.since.get_or_insert(now);
    }

    /// When memory is to be given back, if nothing happens before.
    pub(crate) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        Some((self.last + QUIET).min(since + LATEST))
    }

    /// It was given back.
    pub(crate) const fn done(&mut self) {
        self.since = None;
        self.events = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_for_quiet_but_not_forever() {
        let start = Instant::now();
        let mut thrift = Thrift::new(start);
        assert_eq!(thrift.due(), Some(start + QUIET));
        thrift.event(start + QUIET / 2);
        assert_eq!(thrift.due(), Some(start + QUIET / 2 + QUIET));
        thrift.event(start + LATEST);
        assert_eq!(thrift.due(), Some(start + LATEST));
    }

    #[test]
    fn a_few_events_are_not_worth_it() {
        let start = Instant::now();
        let mut thrift = Thrift::new(start);
        thrift.done();
        (1..MANY).for_each(|_| thrift.event(start));
        assert_eq!(thrift.due(), None);
        thrift.event(start);
        assert_eq!(thrift.due(), Some(start + QUIET));
        thrift.done();
        assert_eq!(thrift.due(), None);
        thrift.reload(start + QUIET);
        assert_eq!(thrift.due(), Some(start + 2 * QUIET));
    }
}
