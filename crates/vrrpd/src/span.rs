//! Durations as operators write them.

use std::time::Duration;

/// In days, hours, minutes, seconds and milliseconds, without those that are zero: `10m`, `1h30m`, `1.5s` is `1s500ms`.
pub(crate) fn span(duration: Duration) -> String {
    let ms = duration.as_millis();
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let mut rest = ms;
    let mut text = String::new();
    for (unit, size) in units {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out() {
        for (ms, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1s500ms"),
            (600_000, "10m"),
            (5_400_000, "1h30m"),
            (86_400_000 + 1_000, "1d1s"),
        ] {
            assert_eq!(span(Duration::from_millis(ms)), text);
        }
    }
}
