//! What a router that comes back waits for before it preempts.

use std::time::Duration;

use vrrp_proto::{Effect, PreemptWhen, Track};

use crate::code;
use crate::finding::{Finding, Severity, excerpt};
use crate::section::{Field, Given, Section};
use crate::timing;

/// What stands before the name of a tracker.
const TRACKER: &str = "tracker:";

/// The word that stands for somebody who says that it is ready.
pub(crate) const READY: &str = "ready";

/// How long that is waited for unless the file says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(300);

/// What is waited for, in the words of the file.
pub(crate) fn words(when: &PreemptWhen) -> Vec<String> {
    let ready = when.ready.then(|| READY.to_owned());
    let trackers = when.trackers.iter().map(|name| format!("{TRACKER}{name}"));
    ready.into_iter().chain(trackers).collect()
}

/// `preempt-when` and `preempt-when-timeout`; inside is `None` if nothing is waited for. Trackers that are meant are added to
/// `awaited`.
pub(crate) fn read(
    section: &Section<'_>,
    preempt: &Field<bool>,
    awaited: &mut Vec<Given<Track>>,
    findings: &mut Vec<Finding>,
) -> Option<Option<PreemptWhen>> {
    let before = findings.len();
    let list = section
        .strings("preempt-when", READY, findings)
        .into_given();
    let timeout = timing::preempt_when_timeout(section, findings);
    for given in list.iter().flat_map(|list| &list.value) {
        if let Some(name) = given.value.strip_prefix(TRACKER) {
            awaited.push(Given {
                value: Track {
                    tracker: name.to_owned(),
                    effect: Effect::Weight(1),
                    reverse: false,
                    by_group: false,
                },
                span: given.span.clone(),
            });
        } else if given.value != READY {
            let message = format!("a router cannot wait for \"{}\"", excerpt(given.value));
            findings.push(
                Finding::error(code::PREEMPT_WHEN, given.span.clone(), message)
                    .label("not something to wait for")
                    .help("write `preempt-when = [\"ready\"]`, and let a script call `vrrpctl ready NAME`; or \"tracker:NAME\" for one that must be up"),
            );
        }
    }
    let ready = list.as_ref().is_some_and(|list| !list.value.is_empty());
    let said = list.iter().flat_map(|list| &list.value);
    let word = said.clone().any(|given| given.value == READY);
    let mut trackers: Vec<String> = said
        .filter_map(|given| given.value.strip_prefix(TRACKER))
        .map(str::to_owned)
        .collect();
    let mut seen = Vec::new();
    trackers.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    if let Some(timeout) = timeout.given().filter(|_| !ready) {
        findings.push(
            Finding::warning(
                code::PREEMPT_TIMEOUT,
                timeout.span.clone(),
                "`preempt-when-timeout` without `preempt-when`",
            )
            .label("nothing is waited for")
            .help("remove it, or write `preempt-when = [\"ready\"]`"),
        );
    }
    let off = preempt.given().filter(|preempt| !preempt.value);
    if let (Some(list), Some(off)) = (list.filter(|_| ready), off) {
        findings.push(
            Finding::error(
                code::PREEMPT_WHEN,
                list.span,
                "`preempt-when` without preemption",
            )
            .label("waits for nothing")
            .related(off.span.clone(), "preemption is off")
            .help("remove `preempt-when`, or write `preempt = true`"),
        );
    }
    let timeout = timeout.or(TIMEOUT);
    let wrong = |finding: &Finding| finding.severity == Severity::Error;
    if findings[before..].iter().any(wrong) {
        return None;
    }
    Some(ready.then_some(PreemptWhen {
        ready: word,
        trackers,
        timeout: timeout?,
    }))
}
