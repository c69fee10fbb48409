//! One clock for every namespace.
//!
//! Frames carry the kernel's receive stamp, processes are started and killed by this process: all of it is
//! expressed as [`Stamp`], nanoseconds of `CLOCK_MONOTONIC`, so that spans between a kill and a frame are exact.

use nix::time::{ClockId, clock_gettime};
use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(i64);

impl Stamp {
    /// The present.
    #[must_use]
    pub fn now() -> Self {
        Self(read(ClockId::CLOCK_MONOTONIC))
    }

    /// A wall-clock moment in nanoseconds since 1970, as a kernel stamp or a status report gives it.
    #[must_use]
    pub fn from_unix_nanos(nanos: i64) -> Self {
        let age = read(ClockId::CLOCK_REALTIME) - nanos;
        Self(read(ClockId::CLOCK_MONOTONIC) - age)
    }

    /// A moment written as RFC 3339 in UTC, such as `2026-11-20T22:59:50.123456Z`.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, rest) = text.split_once('T')?;
        let time = rest
            .strip_suffix('Z')
            .or_else(|| rest.strip_suffix("+00:00"))?;
        let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = (date.next()??, date.next()??, date.next()??);
        let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
        let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
        let nanos = format!("{fraction:0<9}").get(..9)?.parse::<i64>().ok()?;
        let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(Self::from_unix_nanos(seconds * 1_000_000_000 + nanos))
    }

    /// Time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// Milliseconds since `earlier`, negative if `earlier` is later.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a test runs for minutes, not for 104 days"
    )]
    pub fn millis_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }

    /// Waits until this moment.
    pub fn sleep_until(self) {
        std::thread::sleep(self.since(Self::now()));
    }
}

impl Add<Duration> for Stamp {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0 + i64::try_from(span.as_nanos()).expect("a span shorter than centuries"))
    }
}

impl Sub<Duration> for Stamp {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0 - i64::try_from(span.as_nanos()).expect("a span shorter than centuries"))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06}",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000 / 1000
        )
    }
}

/// How early and how late a timer may be seen to fire.
///
/// The protocol gives exact figures; a shared virtual machine does not keep them. Early is never the fault of
/// a busy machine, so the early side is tight everywhere.
pub struct Tolerance {
    /// What an observer on the same machine may see too early.
    pub early: Duration,
    /// What a scheduler may add.
    pub late: Duration,
}

/// The tolerance of this run: 5 ms early, 50 ms late, and 150 ms late when `CI` is set.
#[must_use]
pub fn tolerance() -> Tolerance {
    Tolerance {
        early: Duration::from_millis(5),
        late: if in_ci() {
            Duration::from_millis(150)
        } else {
            Duration::from_millis(50)
        },
    }
}

/// Slack for a bound that is stated as "within … + 20 ms": 20 ms, or the late tolerance when `CI` is set.
#[must_use]
pub fn slack() -> Duration {
    if in_ci() {
        tolerance().late
    } else {
        Duration::from_millis(20)
    }
}

/// Whether the machine is shared with strangers, as build servers are.
#[must_use]
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Fails unless the span from `from` to `to` is `formula` within [`tolerance`].
///
/// Where the machine itself was late in that time ([`crate::stall`]), the late side grows by as much.
///
/// # Panics
/// If the span is too short or too long.
pub fn assert_span(what: &str, from: Stamp, to: Stamp, formula: Duration) {
    let Tolerance { early, late } = tolerance();
    let (seen, stalled) = (to.since(from), crate::stall::longest(from, to));
    assert!(
        seen + early >= formula && seen <= formula + late + stalled,
        "{what}: {:.1} ms, the formula says {:.1} ms (−{} +{} ms, and {} ms for a stalled machine)",
        seen.as_secs_f64() * 1e3,
        formula.as_secs_f64() * 1e3,
        early.as_millis(),
        late.as_millis(),
        stalled.as_millis(),
    );
}

/// Fails unless `to` comes within `bound` and [`slack`] after `from`, allowing for a stalled machine.
///
/// # Panics
/// If it is later.
pub fn assert_within(what: &str, from: Stamp, to: Stamp, bound: Duration) {
    let stalled = crate::stall::longest(from, to);
    assert!(
        to.since(from) <= bound + slack() + stalled,
        "{what}: {:.1} ms, the bound is {:.1} ms (+{} ms, and {} ms for a stalled machine)",
        to.millis_since(from),
        bound.as_secs_f64() * 1e3,
        slack().as_millis(),
        stalled.as_millis(),
    );
}

/// Polls `question` until it answers, for at most `limit`.
pub fn wait_for<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Stamp::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Stamp::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Milliseconds, for tables of expectations.
#[must_use]
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn read(clock: ClockId) -> i64 {
    let time = clock_gettime(clock).expect("Linux has this clock");
    time.tv_sec() * 1_000_000_000 + time.tv_nsec()
}

/// Days from 1970-01-01 to a Gregorian date.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Counting years from March puts the leap day last, where it needs no special case.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_days() {
        assert_eq!(days_since_1970(1970, 1, 1), 0);
        assert_eq!(days_since_1970(2000, 2, 29), 11_016);
        assert_eq!(days_since_1970(2026, 11, 20), 20_777);
    }

    #[test]
    fn a_written_moment_is_the_same_moment() {
        let now = read(ClockId::CLOCK_REALTIME);
        let (secs, day) = (now / 1_000_000_000, 86_400);
        let of_day = secs % day;
        // Only the time of day is rebuilt here; the date comes from the tested function by search.
        let date = (2020..2100)
            .flat_map(|y| (1..=12).flat_map(move |m| (1..=31).map(move |d| (y, m, d))))
            .find(|&(y, m, d)| days_since_1970(y, m, d) == secs / day)
            .expect("a date in this century");
        let text = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            date.0,
            date.1,
            date.2,
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            now % 1_000_000_000
        );
        let stamp = Stamp::from_rfc3339(&text).expect("it parses");
        assert!(Stamp::now().since(stamp) < ms(500), "{text}");
        assert_eq!(Stamp::from_rfc3339("yesterday"), None);
    }
}
