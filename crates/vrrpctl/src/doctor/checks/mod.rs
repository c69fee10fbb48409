//! From facts to findings: small functions that read nothing and change nothing.

mod addresses;
mod daemon;
mod firewall;
mod hooks;
mod host;
mod interface;
mod others;
mod refused;
mod trackers;

use vrrp_proto::gather::sort_by_rank;

use super::facts::{Facts, Router};
use super::finding::Finding;

/// Those that look at the whole.
const WHOLE: [fn(&Facts) -> Vec<Finding>; 7] = [
    hooks::programs,
    daemon::reachable,
    daemon::file,
    daemon::well,
    host::programs,
    firewall::rules,
    trackers::probes,
];

/// Those that look at one virtual router.
const EACH: [fn(&Facts, Router<'_>) -> Vec<Finding>; 15] = [
    daemon::kernel,
    host::forwarding,
    host::arp,
    host::managers,
    interface::faults,
    interface::sort,
    interface::prefixes,
    others::actives,
    others::way,
    others::alike,
    others::remembered,
    refused::adverts,
    refused::same_number,
    addresses::claims,
    addresses::answers,
];

/// All findings, the worst first, in the order of their names.
pub(crate) fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = WHOLE.iter().flat_map(|check| check(facts)).collect();
    for router in facts.routers() {
        for check in EACH {
            let found = check(facts, router);
            findings.extend(found.into_iter().map(|finding| finding.of(router.name())));
        }
    }
    sort_by_rank(&mut findings, |finding| {
        (finding.kind.severity() as u64) << 32 | finding.kind as u64
    });
    findings.dedup();
    findings
}

/// `1 advertisement`, `2 advertisements`.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests;
