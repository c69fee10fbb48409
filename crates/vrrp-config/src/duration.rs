//! Durations: a number and its unit, so that nobody has to guess which one is meant.

use std::time::Duration;

const MILLISECOND: u64 = 1_000;
const SECOND: u64 = 1_000_000;

/// Reads `"10ms"`, `"1s"` or `"1.5s"`; otherwise says what would be right.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if let Some(duration) = exact(text) {
        return Ok(duration);
    }
    let compact: String = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    let unit_at = compact
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(compact.len());
    let (number, unit) = compact.split_at(unit_at);
    let (Some(_), true) = (scale(number, SECOND), number.len() <= 20) else {
        return Err(
            "write a number and its unit, such as \"1s\", \"1.5s\" or \"100ms\"".to_owned(),
        );
    };
    Err(match unit {
        "" => format!("add the unit: \"{number}s\" or \"{number}ms\""),
        "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => {
            format!("write \"{number}ms\"")
        }
        "s" | "sec" | "secs" | "second" | "seconds" => format!("write \"{number}s\""),
        "cs" | "csec" | "centisecond" | "centiseconds" => converted(number, 10 * MILLISECOND),
        "m" | "min" | "mins" | "minute" | "minutes" => converted(number, 60 * SECOND),
        "h" | "hour" | "hours" => converted(number, 3600 * SECOND),
        _ => "the units are \"s\" and \"ms\"".to_owned(),
    })
}

fn converted(number: &str, unit: u64) -> String {
    match scale(number, unit) {
        Some(micros) => format!(
            "the units are \"s\" and \"ms\": write \"{}\"",
            show(Duration::from_micros(micros))
        ),
        None => "the units are \"s\" and \"ms\"".to_owned(),
    }
}

fn exact(text: &str) -> Option<Duration> {
    let micros = match text.strip_suffix("ms") {
        Some(number) => scale(number, MILLISECOND)?,
        None => scale(text.strip_suffix('s')?, SECOND)?,
    };
    Some(Duration::from_micros(micros))
}

/// Microseconds of a decimal number of `unit`s, computed without rounding; `None` if that is impossible.
fn scale(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let tenths = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let rest = fraction.parse::<u64>().ok()?.checked_mul(unit)?;
    if !rest.is_multiple_of(tenths) {
        return None;
    }
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(unit)?
        .checked_add(rest / tenths)
}

/// As the file would say it.
pub(crate) fn show(duration: Duration) -> String {
    let micros = duration.as_micros();
    let in_seconds = micros == 0 || micros >= 1_000_000 && micros.is_multiple_of(100_000);
    let (unit, scale) = if in_seconds {
        ("s", u128::from(SECOND))
    } else {
        ("ms", u128::from(MILLISECOND))
    };
    let mut text = (micros / scale).to_string();
    if !micros.is_multiple_of(scale) {
        let width = scale.ilog10() as usize;
        text.push('.');
        text.push_str(format!("{:0width$}", micros % scale).trim_end_matches('0'));
    }
    text + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_a_unit() {
        for (text, micros) in [
            ("10ms", 10_000),
            ("1s", 1_000_000),
            ("1.5s", 1_500_000),
            ("0s", 0),
            ("0.01s", 10_000),
            ("2.50ms", 2_500),
            ("40950ms", 40_950_000),
            ("007s", 7_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn everything_else_gets_a_hint() {
        for (text, hint) in [
            ("1", "\"1s\" or \"1ms\""),
            ("1 s", "write \"1s\""),
            ("1S", "write \"1s\""),
            ("3 seconds", "write \"3s\""),
            ("100 msec", "write \"100ms\""),
            ("100cs", "write \"1s\""),
            ("5m", "write \"300s\""),
            ("0.5h", "write \"1800s\""),
            ("1d", "the units are"),
            ("", "a number and its unit"),
            ("-1s", "a number and its unit"),
            (".5s", "a number and its unit"),
            ("1.s", "a number and its unit"),
            ("1e3s", "the units are"),
            ("0.0000001s", "a number and its unit"),
            ("99999999999999999999s", "a number and its unit"),
            ("18446744073709551615s", "a number and its unit"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(hint), "{text}: {found}");
        }
    }

    #[test]
    fn shown_as_written() {
        for text in [
            "10ms", "100ms", "1s", "1.5s", "0s", "40.9s", "40950ms", "1.5ms", "1000s",
        ] {
            assert_eq!(show(parse(text).unwrap()), text);
        }
    }
}
