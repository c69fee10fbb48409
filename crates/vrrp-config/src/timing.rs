//! The keys that hold durations, each with its own range.

use std::time::Duration;

use vrrp_proto::{Dialect, Interval};

use crate::code;
use crate::duration::{parse, show};
use crate::finding::{Finding, excerpt};
use crate::section::{Field, Given, Section, mismatch};

const LONGEST_PREEMPT_DELAY: Duration = Duration::from_secs(1000);
/// More often would be traffic, more rarely would be no refresh: neighbours forget within hours at most.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
/// How often an Active repeats its announcements unless told otherwise.
const DEFAULT_REFRESH: Duration = Duration::from_secs(60);

/// A duration of any length, with the text it was written as.
pub(crate) fn duration<'t>(
    section: &Section<'t>,
    key: &str,
    example: &str,
    findings: &mut Vec<Finding>,
) -> Field<(Duration, &'t str)> {
    if let Some(value) = section.value(key)
        && let Some(number) = value.get_ref().as_integer()
    {
        let number = excerpt(number.as_str());
        findings.push(mismatch(key, value, "a duration in quotes").help(format!(
            "a duration has a unit: write `{key} = \"{number}s\"` or `{key} = \"{number}ms\"`"
        )));
        return Field::Refused;
    }
    section
        .string(key, example, findings)
        .and_then(|given| match parse(given.value) {
            Ok(duration) => Some((duration, given.value)),
            Err(help) => {
                let message = format!(
                    "`{key}` is \"{}\", which is not a duration",
                    excerpt(given.value)
                );
                findings.push(
                    Finding::error(code::DURATION, given.span.clone(), message)
                        .label("not a duration")
                        .help(help),
                );
                None
            }
        })
}

fn out_of_range<T>(
    key: &str,
    given: &Given<(Duration, T)>,
    label: &str,
    help: impl Into<String>,
) -> Finding {
    let message = format!("`{key}` cannot be {}", show(given.value.0));
    Finding::error(code::DURATION_RANGE, given.span.clone(), message)
        .label(label)
        .help(help)
}

/// `advertise-interval`, in the unit of the protocol; `dialect` is `None` when that is not known.
pub(crate) fn interval(
    section: &Section<'_>,
    dialect: Option<Dialect>,
    findings: &mut Vec<Finding>,
) -> Field<Interval> {
    const KEY: &str = "advertise-interval";
    duration(section, KEY, "1s", findings).and_then(|given| {
        let micros = given.value.0.as_micros();
        let finding = match dialect? {
            // CARP has no such key.
            Dialect::Carp => return None,
            Dialect::Vrrp2 => {
                let whole = micros
                    .is_multiple_of(1_000_000)
                    .then_some(micros / 1_000_000);
                if let Some(interval) = whole
                    .and_then(|secs| u8::try_from(secs).ok())
                    .and_then(Interval::from_secs)
                {
                    return Some(interval);
                }
                let nearest = (micros / 1_000_000).clamp(1, 255);
                let help = if micros < 1_000_000 {
                    "use \"1s\"; a shorter interval needs `protocol = \"vrrpv3\"`".to_owned()
                } else {
                    format!("use \"{nearest}s\"")
                };
                out_of_range(KEY, given, "VRRPv2 has whole seconds from 1s to 255s", help)
            }
            Dialect::Vrrp3 => {
                let whole = micros.is_multiple_of(10_000).then_some(micros / 10_000);
                if let Some(interval) = whole
                    .and_then(|centis| u16::try_from(centis).ok())
                    .and_then(Interval::from_centis)
                {
                    return Some(interval);
                }
                let limit = u128::from(Interval::MAX_CENTIS);
                let below = (micros / 10_000).clamp(1, limit);
                let text = |centis: u128| {
                    show(Duration::from_millis(
                        u64::try_from(centis * 10).unwrap_or(u64::MAX),
                    ))
                };
                let help = if micros < 10_000 || micros > limit * 10_000 {
                    format!("use \"{}\"", text(below))
                } else {
                    format!("use \"{}\" or \"{}\"", text(below), text(below + 1))
                };
                out_of_range(
                    KEY,
                    given,
                    "VRRPv3 has steps of 10ms from 10ms to 40950ms",
                    help,
                )
            }
        };
        findings.push(finding);
        None
    })
}

/// `preempt-delay`
pub(crate) fn preempt_delay(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<Duration> {
    duration(section, "preempt-delay", "30s", findings).and_then(|given| {
        if given.value.0 <= LONGEST_PREEMPT_DELAY {
            return Some(given.value.0);
        }
        findings.push(out_of_range(
            "preempt-delay",
            given,
            "0s to 1000s",
            "use at most \"1000s\", or `preempt = false` for ever",
        ));
        None
    })
}

/// `preempt-when-timeout`
pub(crate) fn preempt_when_timeout(
    section: &Section<'_>,
    findings: &mut Vec<Finding>,
) -> Field<Duration> {
    const KEY: &str = "preempt-when-timeout";
    duration(section, KEY, "300s", findings).and_then(|given| {
        if (REFRESH.0..=REFRESH.1).contains(&given.value.0) {
            return Some(given.value.0);
        }
        let help = "use a time after which it may preempt all the same, such as \"300s\"";
        findings.push(out_of_range(KEY, given, "1s to 86400s", help));
        None
    })
}

/// `announce-refresh`; inside is `None` if it is switched off.
pub(crate) fn announce_refresh(
    section: &Section<'_>,
    findings: &mut Vec<Finding>,
) -> Option<Option<Duration>> {
    duration(section, "announce-refresh", "60s", findings)
        .and_then(|given| {
            let refresh = given.value.0;
            if refresh.is_zero() {
                return Some(None);
            }
            if (REFRESH.0..=REFRESH.1).contains(&refresh) {
                return Some(Some(refresh));
            }
            let help = if refresh < REFRESH.0 {
                "use at least \"1s\", or \"0s\" to switch it off"
            } else {
                "use at most \"86400s\", or \"0s\" to switch it off"
            };
            findings.push(out_of_range(
                "announce-refresh",
                given,
                "0s, or 1s to 86400s",
                help,
            ));
            None
        })
        .or(Some(DEFAULT_REFRESH))
}
