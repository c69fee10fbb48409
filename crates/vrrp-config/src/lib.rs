//! `vrrpd.toml`: a text becomes a checked [`Plan`], or everything that is wrong with it.
//!
//! The text is parsed into a tree that knows where each key and value stands, and the tree is read by hand: a
//! derived deserialiser stops at its first complaint, and an operator wants all of them at once. A key that
//! cannot be used refuses the whole file. Nothing is ignored, cut or replaced by a default with a line in a log.
//!
//! ```text
//! text ── syntax ──> tree ── file ──> router ──> address, timing, peers, authentication
//!            │                  │        │                         │
//!            └──────────────────┴────────┴─────── Finding ─────────┘ ──> render
//! ```
//!
//! Findings never contain an authentication key, and [`render()`] hides it in the lines it shows.
#![forbid(unsafe_code)]

mod address;
mod addresses;
mod authentication;
mod bfd;
mod carp;
mod checksum;
pub mod code;
mod control;
mod diff;
mod duration;
mod file;
mod finding;
mod following;
mod gate;
mod group;
mod hook;
mod keys;
mod listing;
mod load;
mod name;
mod pair;
mod peers;
mod place;
mod plane;
mod pre_active;
mod render;
mod router;
mod secret;
mod section;
mod syntax;
mod timing;
mod track;
mod track_listing;
mod tracked;
mod tracker;
mod trust;

pub use control::Control;
pub use diff::{Change, Difference, KeyDifference, diff, diff_control, diff_hooks, summary};
pub use finding::{Finding, Severity};
pub use hook::{HOOK_EVENTS, Hook, HookDeed, HookPlan, hook_listing, hook_settings};
pub use listing::{HIDDEN, Setting, listing, settings};
pub use load::{LoadError, Loaded, Wrong, load};
pub use name::SHOWN;
pub use pair::compare;
pub use place::Place;
pub use render::render;
pub use secret::hide as hide_secrets;
pub use track_listing::tracker_settings;
pub use trust::{Distrust, distrusted, trusted};

use vrrp_proto::Plan;
use vrrp_proto::gather::sort_by_rank;

/// A configuration that can be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The routers, in the order of the file.
    pub plan: Plan,
    /// Where each of them stands, in the same order.
    pub places: Vec<Place>,
    /// Where each tracker stands, in the order of the plan.
    pub tracker_places: Vec<Place>,
    /// Who may use the daemon's control sockets.
    pub control: Control,
    /// What is to hear of events, in the order of the file.
    pub hooks: Vec<Hook>,
    /// Warnings only, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads the text of a configuration file.
///
/// # Errors
///
/// All errors and warnings at once, in the order of the text. There is no partial result.
pub fn parse(text: &str) -> Result<Config, Vec<Finding>> {
    let repaired = syntax::repair(text);
    let mut document = syntax::read(text, &repaired);
    let mut findings = Vec::new();
    let mut routers = file::read(document.root.get_ref(), &mut findings);
    group::read(document.root.get_ref(), &mut routers, &mut findings);
    let trackers = tracker::read(document.root.get_ref(), &mut findings);
    track::check(&routers, &trackers, &mut findings);
    bfd::check(&routers, &trackers, &mut findings);
    let control = control::read(document.root.get_ref(), &mut findings);
    let groups = document.root.get_ref().get(keys::GROUP_TABLE);
    let groups = groups.and_then(|groups| groups.get_ref().as_table());
    let groups = groups.into_iter().flat_map(|groups| groups.keys());
    let names: Vec<&str> = routers
        .iter()
        .map(|it| it.name.value.as_str())
        .chain(groups.map(|name| name.get_ref().as_ref()))
        .collect();
    let hooks = hook::read(document.root.get_ref(), &names, &mut findings);
    findings.retain(|finding| document.stands(text, finding));
    findings.append(&mut document.findings);
    sort_by_rank(&mut findings, |finding| finding.span.start as u64);
    let plans: Option<Vec<_>> = routers
        .into_iter()
        .map(|router| Some((router.plan?, router.place)))
        .collect();
    let trackers: Option<Vec<_>> = trackers
        .into_iter()
        .map(|tracker| Some((tracker.plan?, tracker.place)))
        .collect();
    match plans.zip(trackers) {
        Some((plans, trackers))
            if findings
                .iter()
                .all(|finding| finding.severity == Severity::Warning) =>
        {
            let (mut routers, places): (Vec<_>, _) = plans.into_iter().unzip();
            let plans: Vec<&HookPlan> = hooks.iter().map(|hook| &hook.plan).collect();
            pre_active::assign(&mut routers, &plans);
            let (trackers, tracker_places) = trackers.into_iter().unzip();
            Ok(Config {
                plan: Plan { routers, trackers },
                places,
                tracker_places,
                control,
                hooks,
                findings,
            })
        }
        Some(_) | None => Err(findings),
    }
}
