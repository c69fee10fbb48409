//! Worlds by seed: every law after every step, exactly one Active after every quiet.

use vrrp_sim::chaos;

/// What must really have happened somewhere for the seeds to be worth their time.
const SOMETIMES: [&str; 18] = [
    "active: no-response",
    "active: released",
    "active: preempting",
    "active: owner",
    "backup: startup",
    "backup: higher-priority",
    "backup: higher-address",
    "backup: late",
    "initialize: fault",
    "initialize: shutdown",
    "conflict",
    "followed-active",
    "kernel-refused",
    "revised",
    "a release was lost",
    "a reload during a takeover",
    "two held the addresses",
    "two held the addresses, then one",
];

#[test]
fn no_law_is_broken_and_every_quiet_ends_with_the_right_active() {
    let seeds = if cfg!(debug_assertions) { 400 } else { 10_000 };
    let seen = chaos::run(0..seeds).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{seen:#?}");
    for what in SOMETIMES {
        assert!(
            seen.contains_key(what),
            "never seen in {seeds} seeds: {what}"
        );
    }
}
