//! Times as people read them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

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
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => format!("{seconds}s"),
            (0, 0, _) => format!("{minutes}m {:02}s", seconds % 60),
            (0, ..) => format!("{hours}h {minutes:02}m"),
            _ => format!("{days}d {hours:02}h"),
        }
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
