//! The table of `docs/nemesis.md`, or of `docs/nemesis-ebpf.md` for the other data plane, between two marks.

use crate::row::{Outcome, Row, Verdict};
use std::path::PathBuf;
use std::time::Duration;
use vrrp_lab::settings::without_macvlan;

const BEGIN: &str = "<!-- written by scripts/nemesis -->";
const END: &str = "<!-- end -->";
const HEAD: &str = "| nemesis | how | safe result | longest gap, ms | wrong MAC | two owners, ms | transitions 1 / 2 | also measured | tries | verdict |
|---|---|---|---:|---:|---:|---:|---|---:|---|";

/// A machine that was later than this is mentioned.
const NOTABLE: Duration = Duration::from_millis(20);

/// One row of the table.
pub(crate) fn line(row: &Row, outcome: &Outcome) -> String {
    let measured = &outcome.measured;
    let figure = |name: &str| {
        measured
            .get(name)
            .map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"))
    };
    let mut also: Vec<String> = measured
        .own
        .iter()
        .map(|(name, value)| {
            let unit = if measured.times.contains(name) {
                " ms"
            } else {
                ""
            };
            format!("{name} {}{unit}", rounded(*value))
        })
        .collect();
    also.extend(measured.remarks.iter().cloned());
    if let (Some(peak), Some(lines)) = (measured.get("peak KiB"), measured.get("log lines")) {
        let processor = ["CPU 1 %", "CPU 2 %"].map(|name| measured.get(name).unwrap_or(0.0));
        also.push(format!(
            "{:.1} MiB, {lines:.0} log lines, {:.1} / {:.1} % of a processor",
            peak / 1024.0,
            processor[0],
            processor[1]
        ));
    }
    if measured.stalled >= NOTABLE {
        also.push(format!(
            "machine late by {} ms",
            measured.stalled.as_millis()
        ));
    }
    let verdict = match row.verdict(outcome) {
        Verdict::Holds => "holds".to_owned(),
        Verdict::BetterThanKnown => "holds, though listed as falling short".to_owned(),
        Verdict::FallsShort => format!("**falls short**: {}", outcome.complaints.join("; ")),
        Verdict::Fails => format!("**FAILS**: {}", outcome.complaints.join("; ")),
        Verdict::LeftOut => format!("left out: no {} here", row.left_out().unwrap_or_default()),
    };
    format!(
        "| `{}` | {} | {} | {} | {} | {} | {} / {} | {} | {} | {} |",
        row.name,
        cell(row.injected),
        cell(row.expected),
        figure("gap"),
        figure("wrong MAC"),
        figure("two owners"),
        figure("transitions 1"),
        figure("transitions 2"),
        cell(&also.join("; ")),
        outcome.tries,
        cell(&verdict),
    )
}

fn rounded(value: f64) -> String {
    if value.abs() < 10.0 && value.fract() != 0.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "/").replace('\n', " ")
}

/// Puts the lines into the document, in the order of `rows`; rows that did not run keep what was measured before.
///
/// # Panics
/// If the document is not there or has no marks.
pub(crate) fn write(rows: &[&Row], lines: &[(&str, String)]) {
    let page = if without_macvlan() {
        "../docs/nemesis-ebpf.md"
    } else {
        "../docs/nemesis.md"
    };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once(BEGIN).expect("it has a first mark");
    let (old, after) = rest.split_once(END).expect("it has a second mark");
    let kept = |name: &str| {
        let start = format!("| `{name}` |");
        old.lines()
            .find(|line| line.starts_with(&start))
            .map(str::to_owned)
    };
    let table: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            let measured = lines.iter().find(|(name, _)| *name == row.name);
            measured
                .map(|(_, line)| line.clone())
                .or_else(|| kept(row.name))
        })
        .collect();
    let short: Vec<String> = rows
        .iter()
        .filter_map(|row| Some(format!("* `{}`: {}.", row.name, row.known()?)))
        .collect();
    let written = format!(
        "{before}{BEGIN}\n{}\n\n{HEAD}\n{}\n\nRows that fall short, and why:\n\n{}\n{END}{after}",
        machine(),
        table.join("\n"),
        short.join("\n"),
    );
    std::fs::write(&path, written).expect("the page can be written");
}

/// When and where.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let date = std::process::Command::new("date")
        .args(["-u", "+%Y-%m-%d %H:%M UTC"])
        .output()
        .map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        );
    format!(
        "Last run {date}: {} processors shared with others, load {}, Linux {}, {} build.",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        read("/proc/sys/kernel/osrelease").trim(),
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        },
    )
}
