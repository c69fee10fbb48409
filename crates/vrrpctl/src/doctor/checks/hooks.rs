//! Hooks that are not run.

use super::super::facts::Facts;
use super::super::finding::{Finding, Kind};

/// Whether somebody runs them, and each of them can be run.
pub(crate) fn programs(facts: &Facts) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(problem) = &facts.hooks.problem {
        found.push(Finding::new(
            Kind::NoHooks,
            "no hook hears of anything; addresses that wait for one wait for pre-active-timeout",
            problem.as_str(),
            "journalctl -u vrrpd; is vrrp-agent beside vrrpd, or where --agent says?",
        ));
    }
    for hook in &facts.hooks.unfit {
        found.push(Finding::new(
            Kind::HookUnable,
            format!(
                "hook {} is not run, and does not hear of {}",
                hook.name,
                hook.on.join(", ")
            ),
            hook.why.as_str(),
            format!(
                "{}; then vrrpctl hook run {} --event {} --dry-run",
                hook.advice,
                hook.name,
                hook.on.first().map_or("active", String::as_str)
            ),
        ));
    }
    found
}
