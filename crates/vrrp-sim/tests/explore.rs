//! Everything that can happen to a small world, and no law is broken by any of it.

use std::collections::BTreeMap;

use vrrp_sim::explore::{explore, settings};

/// Situations that must be among what can happen, or the search proves nothing.
const SOMETIMES: [&str; 14] = [
    "a Backup heard a release",
    "a Backup preempted",
    "a Backup took over after a release",
    "a Backup took over after a silence",
    "a late Active stood back",
    "a loser was answered",
    "a loser was not answered",
    "a quiet world had one Active",
    "a release was lost",
    "a tie was decided by the address",
    "an Active crashed",
    "an Active heard a release",
    "one of two Actives gave way",
    "two were Active",
];

#[test]
fn nothing_that_can_happen_breaks_a_law() {
    let mut sometimes = BTreeMap::new();
    for setting in settings(false) {
        let findings = explore(&setting).unwrap_or_else(|way| panic!("{setting}: {way}"));
        println!("{:>9} worlds: {setting}", findings.worlds);
        for (what, times) in findings.sometimes {
            *sometimes.entry(what).or_insert(0) += times;
        }
    }
    for what in SOMETIMES {
        assert!(sometimes.contains_key(what), "never met: {what}");
    }
}
