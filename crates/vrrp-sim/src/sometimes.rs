//! What must really happen somewhere for many worlds to be worth their time.

use crate::lan::Sightings;

/// A situation, and how often at least it is to be met in ten thousand seeds.
pub type Situation = (&'static str, u64);

/// Every situation that is interesting enough to be waited for.
pub const SITUATIONS: [Situation; 45] = [
    ("active: no-response", 1_000),
    ("active: released", 1_000),
    ("active: preempting", 1_000),
    ("active: owner", 100),
    ("backup: startup", 1_000),
    ("backup: higher-priority", 1_000),
    ("backup: higher-address", 100),
    ("backup: late", 100),
    ("initialize: fault", 1_000),
    ("initialize: shutdown", 1_000),
    ("followed-active", 1_000),
    ("conflict", 1_000),
    ("refused", 1_000),
    ("odd", 100),
    ("late", 100),
    ("faults", 1_000),
    ("revised", 1_000),
    ("kernel-refused", 100),
    ("repaired", 1_000),
    ("two held the addresses", 1_000),
    ("two held the addresses, then one", 1_000),
    ("a zombie stood back after a pause", 100),
    ("an Active stood back when its clock leapt", 100),
    ("a release was lost", 100),
    ("a release of a stranger was answered", 100),
    ("a reload during a takeover", 100),
    ("a hand-over", 1_000),
    ("a takeover by a successor", 100),
    ("a process was killed", 1_000),
    ("a preemption delay was waited out", 100),
    (
        "a better router without preemption left the Active alone",
        100,
    ),
    ("a router that its kernel refused stood back", 100),
    ("a lost notification was noticed", 100),
    (
        "three losses in a row made a takeover from a living Active",
        100,
    ),
    ("a burst of loss made a takeover", 100),
    ("a frame overtook another", 1_000),
    ("versions that do not understand each other", 100),
    ("a peer with the other checksum form", 100),
    ("backup: ordered", 1_000),
    ("active: unclaimed", 100),
    ("order-ended", 1_000),
    ("pre-active", 1_000),
    ("prepared", 1_000),
    ("adjusted", 500),
    ("left when the successor was heard", 1_000),
];

/// Situations that were met too rarely in so many seeds, as sentences.
#[must_use]
pub fn too_rare(seen: &Sightings, seeds: u64) -> Vec<String> {
    let times = |what: &str| seen.get(what).copied().unwrap_or_default();
    SITUATIONS
        .iter()
        .filter(|(what, least)| times(what) * 10_000 < least * seeds)
        .map(|(what, least)| {
            format!(
                "{what}: {} times in {seeds} seeds, less than {least} in 10,000",
                times(what)
            )
        })
        .collect()
}

/// What was seen, one line each; a star marks what is waited for.
#[must_use]
pub fn table(seen: &Sightings) -> String {
    let line = |(what, times): (&String, &u64)| {
        let waited_for = SITUATIONS.iter().any(|(situation, _)| situation == what);
        let star = if waited_for { '*' } else { ' ' };
        format!("{times:>12} {star} {what}\n")
    };
    seen.iter().map(line).collect()
}
