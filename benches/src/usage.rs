//! What processes cost: time on a processor and memory.

use nix::sys::stat::stat;
use std::collections::BTreeMap;
use std::time::Duration;
use vrrp_lab::clock::Stamp;
use vrrp_lab::netns::Namespace;

/// The processes of a namespace; the laboratory's own are not in one.
pub(crate) fn pids(namespace: &Namespace) -> Vec<i32> {
    pids_of(namespace.name())
}

/// The same by the namespace's name.
pub(crate) fn pids_of(namespace: &str) -> Vec<i32> {
    let Ok(wanted) = stat(format!("/run/netns/{namespace}").as_str()) else {
        return Vec::new();
    };
    numbers("/proc")
        .into_iter()
        .filter(|pid| {
            stat(format!("/proc/{pid}/ns/net").as_str())
                .is_ok_and(|found| found.st_ino == wanted.st_ino && found.st_dev == wanted.st_dev)
        })
        .collect()
}

/// The time all threads of these processes had a processor, by the scheduler's own account in nanoseconds. It includes the
/// softirqs that ran in their time: for a sender, the way through the cable into the receiver's socket.
pub(crate) fn run_time(pids: &[i32]) -> Duration {
    let tasks = pids.iter().flat_map(|pid| {
        let folder = format!("/proc/{pid}/task");
        numbers(&folder)
            .into_iter()
            .map(move |task| format!("{folder}/{task}/schedstat"))
    });
    let nanos = tasks.filter_map(|path| {
        let text = std::fs::read_to_string(path).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Proportional set size of all these processes, in MiB: shared pages are divided among those who share them.
pub(crate) fn pss_mib(pids: &[i32]) -> f64 {
    let kib = pids.iter().filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    });
    kib.sum::<f64>() / 1024.0
}

/// The time that all processors spent in softirqs, in hundredths of a second, and the kernel's own threads for them.
pub(crate) fn softirq() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: u64 = text
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(7)?.parse().ok())
        .unwrap_or(0);
    Duration::from_millis(ticks * 10)
}

/// Packets received and sent by each interface of a namespace, and when that was.
pub(crate) fn packets(namespace: &Namespace) -> (Stamp, BTreeMap<String, [u64; 2]>) {
    let (at, text) = namespace.enter(|| {
        let at = Stamp::now();
        (
            at,
            std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default(),
        )
    });
    let rows = text.lines().filter_map(|line| {
        let (name, rest) = line.split_once(':')?;
        let fields: Vec<u64> = rest
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        Some((name.trim().to_owned(), [*fields.get(1)?, *fields.get(9)?]))
    });
    (at, rows.collect())
}

fn numbers(folder: &str) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_is_seen() {
        let me = [i32::try_from(std::process::id()).unwrap()];
        let before = run_time(&me);
        let begun = Stamp::now();
        while Stamp::now().since(begun) < Duration::from_millis(50) {}
        let used = run_time(&me).saturating_sub(before);
        assert!(used > Duration::from_millis(10), "{used:?}");
        assert!(pss_mib(&me) > 0.5);
    }
}
