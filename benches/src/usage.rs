//! What processes cost: time on a processor and memory.

use nix::sys::stat::stat;
use std::collections::BTreeMap;
use std::time::Duration;
use vrrp_lab::clock::Stamp;
use vrrp_lab::netns::Namespace;
use vrrp_lab::priority;

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

/// Of these processes those that another one of them started: the workers of a daemon.
pub(crate) fn workers(pids: &[i32]) -> Vec<i32> {
    let parent = |pid: &i32| -> Option<i32> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok()
    };
    let started = |pid: &&i32| parent(pid).is_some_and(|parent| pids.contains(&parent));
    pids.iter().filter(started).copied().collect()
}

/// The time that the threads of these processes had a processor, by the name of the thread: the scheduler's own account in
/// nanoseconds. It includes the softirqs that ran in their time: for a sender, the way through the cable into the receiver's
/// socket.
pub(crate) fn by_thread(pids: &[i32]) -> BTreeMap<String, Duration> {
    let mut used = BTreeMap::new();
    for pid in pids {
        let folder = format!("/proc/{pid}/task");
        for task in numbers(&folder) {
            let read = |file: &str| std::fs::read_to_string(format!("{folder}/{task}/{file}"));
            let nanos = read("schedstat")
                .ok()
                .and_then(|text| text.split_whitespace().next()?.parse().ok());
            if let (Ok(name), Some(nanos)) = (read("comm"), nanos) {
                *used.entry(name.trim().to_owned()).or_default() += Duration::from_nanos(nanos);
            }
        }
    }
    used
}

/// The same for all threads together.
pub(crate) fn run_time(pids: &[i32]) -> Duration {
    by_thread(pids).values().sum()
}

/// The time that children of these processes had a processor, which have ended and been waited for, with theirs.
pub(crate) fn children(pids: &[i32]) -> Duration {
    let hundredths = pids.iter().filter_map(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may have blanks: state is the third field, cutime the sixteenth.
        let (_, fields) = text.rsplit_once(") ")?;
        let mut fields = fields.split(' ').skip(13);
        let mut next = || fields.next()?.parse::<u64>().ok();
        Some(next()? + next()?)
    });
    Duration::from_millis(hundredths.sum::<u64>() * 10)
}

/// Processes that were started on this machine, ever.
pub(crate) fn births() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    line.and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
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

/// The time that all processors did something, and of that the softirqs; in hundredths of a second.
pub(crate) fn machine() -> [Duration; 2] {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq
    let of = |fields: &[usize]| -> u64 {
        let ticks = fields.iter().filter_map(|field| ticks.get(*field));
        ticks.sum()
    };
    [&[0, 1, 2, 5, 6][..], &[6]].map(|fields| Duration::from_millis(of(fields) * 10))
}

/// Packets received and sent by each interface of a namespace, and when that was.
pub(crate) fn packets(namespace: &Namespace) -> (Stamp, BTreeMap<String, [u64; 2]>) {
    let (at, text) = namespace.enter(|| {
        // A count is of the moment that stands beside it.
        priority::raise();
        let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
        (Stamp::now(), text)
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
