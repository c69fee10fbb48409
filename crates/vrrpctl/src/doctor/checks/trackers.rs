//! What trackers watch, and whether it can be watched.

use super::super::facts::Facts;
use super::super::finding::{Finding, Kind};

/// Whether somebody probes, and can.
pub(crate) fn probes(facts: &Facts) -> Vec<Finding> {
    let Some(report) = &facts.trackers else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if let Some(problem) = &report.problem {
        found.push(Finding::new(
            Kind::NoProbes,
            "what scripts, pings and other probes would find is not known: trackers stay as they are, or become what stale-state says",
            problem.as_str(),
            "journalctl -u vrrpd; is vrrp-agent beside vrrpd, or where --agent says?",
        ));
    }
    for tracker in &report.trackers {
        let last = tracker.probe.as_ref().and_then(|probe| probe.last.as_ref());
        let Some(last) = last.filter(|last| last.unable) else {
            continue;
        };
        let concerned: Vec<&str> = tracker
            .routers
            .iter()
            .map(|it| it.router.as_str())
            .collect();
        let concerned = match &concerned[..] {
            [] => "no virtual router needs it".to_owned(),
            names => format!("it counts for {}", names.join(", ")),
        };
        found.push(Finding::new(
            Kind::ProbeUnable,
            format!(
                "the probe of tracker {} cannot be made, which counts as down; {concerned}",
                tracker.name
            ),
            last.said.as_str(),
            format!(
                "put that right, or what [tracker.{}] says; then vrrpctl tracker run {}",
                tracker.name, tracker.name
            ),
        ));
    }
    found
}
