//! Where and when.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// What must stand beside every figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Circumstances {
    /// When the row was over.
    pub date: String,
    /// Processor, their number, kernel.
    pub machine: String,
    /// Of all that was compared.
    pub versions: String,
    /// The commit that was built; a plus says that files had changed since.
    pub commit: String,
    /// Whether it was a short run.
    pub quick: bool,
    /// One-minute load before and after.
    pub load: [String; 2],
    /// The share of time that the hypervisor gave to others, in percent.
    pub steal: f64,
}

/// A row that is under way.
pub(crate) struct Watch {
    load: String,
    ticks: [u64; 2],
}

impl Watch {
    pub(crate) fn start() -> Self {
        Self {
            load: load(),
            ticks: ticks(),
        }
    }

    pub(crate) fn stop(self, quick: bool) -> Circumstances {
        let now = ticks();
        let all = now[0].saturating_sub(self.ticks[0]).max(1);
        Circumstances {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
            machine: machine(),
            versions: crate::maker::versions(),
            commit: commit(),
            quick,
            load: [self.load, load()],
            steal: now[1].saturating_sub(self.ticks[1]) as f64 * 100.0 / all as f64,
        }
    }
}

fn load() -> String {
    let text = read("/proc/loadavg");
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Ticks of all processors, and of these the stolen ones.
fn ticks() -> [u64; 2] {
    let stat = read("/proc/stat");
    let fields: Vec<u64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; the guests' share is in user already.
    [
        fields.iter().take(8).sum(),
        fields.get(7).copied().unwrap_or(0),
    ]
}

fn machine() -> String {
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let virtual_machine = if info.contains(" hypervisor") {
        "virtual machine, "
    } else {
        ""
    };
    format!(
        "{virtual_machine}{} × {model}, Linux {}",
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

fn commit() -> String {
    let head = said(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "rev-parse",
            "--short",
            "HEAD",
        ],
    );
    let changed = said(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "status",
            "--porcelain",
            "--untracked-files=no",
            "../crates",
            "../Cargo.lock",
        ],
    );
    if changed.is_empty() {
        head
    } else {
        format!("{head}+")
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
