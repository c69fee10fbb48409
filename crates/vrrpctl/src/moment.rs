//! Times as people read them.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Unit, civil};

/// Now, and where: what a time on the page is relative to.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
}

impl Calendar {
    /// How long ago `time` was, in its two largest units: `41d 03h`, `12m 05s`, `7s`. As it came if it is no time.
    pub(crate) fn ago(&self, time: &str) -> String {
        let Ok(then) = time.parse::<Timestamp>() else {
            return time.to_owned();
        };
        // A daemon's clock a moment ahead of ours is no news.
        let seconds = self.now.duration_since(then).as_secs().max(0);
        age(u64::try_from(seconds).unwrap_or_default())
    }

    /// Date, time and offset, to the second: `2026-11-20T14:02:11+01:00`.
    pub(crate) fn absolute(&self, time: &str) -> String {
        self.written(time, "%Y-%m-%dT%H:%M:%S%:z")
    }

    /// As [`Self::absolute`], with all digits.
    pub(crate) fn exact(&self, time: &str) -> String {
        self.written(time, "%Y-%m-%dT%H:%M:%S%.6f%:z")
    }

    /// To the millisecond, without the date if it is today's: `14:02:11.204`.
    pub(crate) fn clock(&self, time: &str) -> String {
        let today = self.now.to_zoned(self.zone.clone()).date();
        match time.parse::<Timestamp>() {
            Ok(then) if then.to_zoned(self.zone.clone()).date() == today => {
                self.written(time, "%H:%M:%S%.3f")
            }
            _ => self.written(time, "%Y-%m-%d %H:%M:%S%.3f"),
        }
    }

    /// To the minute, without the date if it is today's: `14:02`.
    pub(crate) fn minute(&self, time: &str) -> String {
        let today = self.now.to_zoned(self.zone.clone()).date();
        match time.parse::<Timestamp>() {
            Ok(then) if then.to_zoned(self.zone.clone()).date() == today => {
                self.written(time, "%H:%M")
            }
            _ => self.written(time, "%Y-%m-%d %H:%M"),
        }
    }

    fn written(&self, time: &str, format: &str) -> String {
        match time.parse::<Timestamp>() {
            Ok(then) => {
                let written = then
                    .to_zoned(self.zone.clone())
                    .strftime(format)
                    .to_string();
                if self.zone == TimeZone::UTC {
                    written.replace("+00:00", "Z")
                } else {
                    written
                }
            }
            Err(_) => time.to_owned(),
        }
    }
}

impl Calendar {
    /// The machine's clock and zone.
    pub(crate) fn of_this_machine(utc: bool) -> Self {
        let zone = if utc {
            TimeZone::UTC
        } else {
            TimeZone::system()
        };
        let now = Timestamp::now();
        Self {
            now: now.round(Unit::Microsecond).unwrap_or(now),
            zone,
        }
    }
}

/// A moment of the past, as an operator names it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    /// This long ago.
    Ago(Span),
    /// Then.
    At(Timestamp),
    /// Then, by the clock on the wall.
    Local(civil::DateTime),
    /// At this time of today.
    Today(civil::Time),
}

/// From what stands on the command line.
///
/// # Errors
/// A sentence, if it is no time.
pub(crate) fn parse_since(text: &str) -> Result<Since, String> {
    let span = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let since = span
        .map(Since::Ago)
        .or_else(|| text.parse().map(Since::At).ok())
        .or_else(|| text.parse().map(Since::Local).ok())
        .or_else(|| text.parse().map(Since::Today).ok());
    since.ok_or_else(|| "write for example 90s, 15m, 2h, 7d, 14:00 or 2026-11-20T14:00".to_owned())
}

/// How long something shall take, in jiff's friendly format.
///
/// # Errors
/// A sentence, if it is no time, or none that passes.
pub(crate) fn parse_span(text: &str) -> Result<std::time::Duration, String> {
    let span = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let long = span.and_then(|span| std::time::Duration::try_from(span).ok());
    long.ok_or_else(|| "write for example 500ms, 10s, 5m or 1h".to_owned())
}

impl Calendar {
    /// When that was; `None` for what no calendar has.
    pub(crate) fn moment(&self, since: Since) -> Option<Timestamp> {
        let now = self.now.to_zoned(self.zone.clone());
        let there = |time: civil::DateTime| time.to_zoned(self.zone.clone()).ok();
        let then = match since {
            Since::Ago(span) => now.checked_sub(span).ok(),
            Since::At(then) => return Some(then),
            Since::Local(then) => there(then),
            Since::Today(time) => there(now.date().to_datetime(time)),
        };
        then.map(|then| then.timestamp())
    }
}

/// Seconds in their two largest units: `41d 03h`, `12m 05s`, `7s`.
pub(crate) fn age(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
        (0, ..) => format!("{hours}h {minutes:02}m"),
        _ => format!("{days}d {hours:02}h"),
    }
}

/// Microseconds in a unit that suits them: `60.938 ms`, `3.609 s`.
pub(crate) fn span(micros: u64) -> String {
    let (unit, name) = if micros >= 1_000_000 {
        (1_000_000, "s")
    } else {
        (1000, "ms")
    };
    let (whole, rest) = (micros / unit, micros % unit * (1_000_000 / unit));
    let digits = format!("{rest:06}");
    let digits = digits[..3].trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    format!("{whole}{point}{digits} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zone: &str) -> Calendar {
        let zone = TimeZone::posix(zone).unwrap();
        Calendar {
            now: "2026-11-20T13:02:31Z".parse().unwrap(),
            zone,
        }
    }

    #[test]
    fn ages_have_their_two_largest_units() {
        for (then, age) in [
            ("2026-11-20T13:02:24.5Z", "6s"),
            ("2026-11-20T13:02:40Z", "0s"),
            ("2026-11-20T12:50:26Z", "12m 05s"),
            ("2026-11-20T09:58:31Z", "3h 04m"),
            ("2026-10-10T10:02:31Z", "41d 03h"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(calendar("UTC0").ago(then), age);
        }
    }

    #[test]
    fn a_time_of_today_needs_no_date() {
        let calendar = calendar("CET-1");
        assert_eq!(
            calendar.clock("2026-11-20T13:02:11.204561Z"),
            "14:02:11.204"
        );
        assert_eq!(
            calendar.clock("2026-11-19T22:59:59Z"),
            "2026-11-19 23:59:59.000"
        );
        assert_eq!(
            calendar.absolute("2026-11-20T13:02:11.204561Z"),
            "2026-11-20T14:02:11+01:00"
        );
        assert_eq!(
            calendar.exact("2026-11-20T13:02:11.204561Z"),
            "2026-11-20T14:02:11.204561+01:00"
        );
    }

    #[test]
    fn a_moment_of_the_past() {
        for (text, then) in [
            ("90s", "2026-11-20T13:01:01Z"),
            ("2h", "2026-11-20T11:02:31Z"),
            ("1h 30m", "2026-11-20T11:32:31Z"),
            ("7d", "2026-11-13T13:02:31Z"),
            ("2026-11-20T12:00:00Z", "2026-11-20T12:00:00Z"),
            ("2026-11-20T12:00:00+01:00", "2026-11-20T11:00:00Z"),
            ("2026-11-20T12:00", "2026-11-20T11:00:00Z"),
            ("2026-11-20", "2026-11-19T23:00:00Z"),
            ("14:00", "2026-11-20T13:00:00Z"),
        ] {
            let since = parse_since(text).unwrap();
            let moment = calendar("CET-1").moment(since);
            assert_eq!(moment, Some(then.parse().unwrap()), "{text}");
        }
        for text in ["", "soon", "-2h", "0s", "25:00", "2026-02-30"] {
            assert!(parse_since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_keep_what_counts() {
        for (micros, text) in [
            (60_937, "60.937 ms"),
            (3_609_375, "3.609 s"),
            (100_000, "100 ms"),
            (1_000_000, "1 s"),
            (1_050_000, "1.05 s"),
            (0, "0 ms"),
            (39, "0.039 ms"),
        ] {
            assert_eq!(span(micros), text);
        }
    }
}
