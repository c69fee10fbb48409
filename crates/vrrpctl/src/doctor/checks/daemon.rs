//! The daemon itself.

use jiff::{SignedDuration, Timestamp};
use vrrp_config::listing;
use vrrp_proto::Plan;

use super::super::DAY;
use super::super::facts::{Facts, Router, Unusable};
use super::super::finding::{Finding, Kind};
use crate::moment::span;

/// Whether it answers, and is where this program is.
pub(crate) fn reachable(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(silence) = &facts.silence {
        found.push(Finding::new(
            Kind::Silent,
            silence.as_str(),
            "a request for the status over the control socket",
            "systemctl status vrrpd; journalctl -u vrrpd; or name its socket with --socket",
        ));
    }
    if facts.host.same_namespace == Some(false) {
        found.push(Finding::new(
            Kind::OtherNamespace,
            "the daemon is in another network namespace than this command, which therefore looks at the wrong interfaces",
            "/proc/PID/ns/net of both",
            "run it there: nsenter --net=/proc/PID/ns/net vrrpctl doctor",
        ));
    }
    found
}

/// Its configuration file.
pub(crate) fn file(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    let daemon = facts.report().map(|report| &report.daemon);
    if let Some(error) = daemon.and_then(|daemon| daemon.reload_error.as_ref()) {
        found.push(Finding::new(
            Kind::ReloadRefused,
            "the configuration file was refused at the last reload; the one before it still runs",
            error.as_str(),
            "vrrpctl check, then systemctl reload vrrpd",
        ));
    }
    let Some(file) = &facts.file else {
        return found;
    };
    if let Err(Unusable::Wrong(why)) = &file.plan {
        found.push(Finding::new(
            Kind::FileWrong,
            format!(
                "{} has errors: the daemon would not start with it",
                file.path
            ),
            why.as_str(),
            format!("vrrpctl check {}", file.path),
        ));
    }
    let loaded = daemon.and_then(|daemon| daemon.config_loaded.parse::<Timestamp>().ok());
    // A file that says what runs was written again, and not changed.
    let same = |plan: &Plan| facts.running.as_ref() == Some(&listing(plan, false));
    if let (Some(modified), Some(loaded), Ok(plan)) = (file.modified, loaded, &file.plan)
        && modified.duration_since(loaded) > SignedDuration::from_secs(1)
        && !same(plan)
    {
        found.push(Finding::new(
            Kind::FileNewer,
            format!(
                "{} was changed, and the daemon runs what was there before",
                file.path
            ),
            format!("changed {modified:.0}, loaded {loaded:.0}"),
            "systemctl reload vrrpd",
        ));
    }
    found
}

/// How it does.
pub(crate) fn well(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some((directory, mode)) = &facts.directory
        && mode & 0o002 != 0
    {
        found.push(Finding::new(
            Kind::OpenDirectory,
            format!(
                "everybody may write to {}, and put another socket in the place of the daemon's",
                directory.display()
            ),
            format!("mode {:04o}", mode & 0o7777),
            format!("chmod o-w {}", directory.display()),
        ));
    }
    let Some(report) = facts.report() else {
        return found;
    };
    let daemon = &report.daemon;
    if let Some(last) = &daemon.last_restart {
        found.push(Finding::new(
            Kind::WorkerDied,
            format!(
                "the worker process died and was replaced, {} in all",
                super::count(usize::try_from(daemon.restarts).unwrap_or(0), "time")
            ),
            format!("last at {}: {}", last.time, last.reason),
            "report it with the log: journalctl -u vrrpd",
        ));
    }
    // It counts since its start, which may be long ago.
    let start = daemon.since.parse::<Timestamp>();
    let young = start.is_ok_and(|start| Timestamp::now().duration_since(start) < DAY);
    if daemon.lateness.beyond_interval > 0 && (young || facts.late.is_some()) {
        found.push(Finding::new(
            Kind::Late,
            "the daemon was so late that a Backup may have taken it for dead: the machine is too busy, or stood still",
            format!(
                "{} times by more than an advertisement interval, at worst {}, since {}",
                daemon.lateness.beyond_interval,
                span(daemon.lateness.worst_us),
                daemon.since
            ),
            "a longer advertise-interval, fewer other programs, or a processor of its own; in a virtual machine, no overcommitment",
        ));
    }
    if !matches!(daemon.scheduling.as_str(), "deadline" | "fifo") {
        found.push(Finding::new(
            Kind::NoRealTime,
            "the daemon has no real-time priority: other programs may make it late",
            format!("scheduling is {}", daemon.scheduling),
            "give it CAP_SYS_NICE, as the unit file does",
        ));
    }
    for (interface, why) in &daemon.unprotected {
        found.push(Finding::new(
            Kind::NoLease,
            format!("if the daemon dies or hangs, this host goes on answering for its virtual addresses on {interface}"),
            why.as_str(),
            "give it CAP_BPF and CAP_NET_ADMIN, or install nft",
        ));
    }
    if let Some(problem) = &daemon.state_problem {
        found.push(Finding::new(
            Kind::StateLost,
            "what is to outlive a restart or reboot is not kept",
            format!("{}: {problem}", daemon.state_dir),
            format!(
                "make {} writable for the daemon, or name another with --state-dir",
                daemon.state_dir
            ),
        ));
    }
    found
}

/// What the kernel does for a virtual router.
pub(crate) fn kernel(_: &Facts, router: Router<'_>) -> Vec<Finding> {
    let behind = |it: &vrrp_control::RouterReport| !it.kernel_in_step && it.faults.is_empty();
    let mut found = Vec::new();
    if behind(router.before) && behind(router.after) {
        found.push(Finding::new(
            Kind::KernelBehind,
            format!(
                "is {}, and the kernel does not hold what that needs",
                router.after.state
            ),
            "kernel-in-step is false in the status, twice",
            format!("vrrpctl show {}; vrrpctl events", router.name()),
        ));
    }
    let lasting = router.after.lacks.iter();
    for lack in lasting.filter(|lack| router.before.lacks.contains(lack)) {
        found.push(Finding::new(
            Kind::Lacking,
            "is Active without something that is to follow it",
            lack.as_str(),
            "ip route show table all; ip rule; ip address: put right what is in its place, or change it in the file",
        ));
    }
    found
}
