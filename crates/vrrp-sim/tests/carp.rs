//! CARP before its judges: the model beside the engine, worlds of mixed implementations by seed, and everything that can
//! happen to small ones.

mod scripts;

use std::collections::BTreeSet;

use vrrp_sim::carp::{self, Lie, World, explore};
use vrrp_sim::reference::carp::Script;

/// As many as this variable says, or as every run has.
fn count(variable: &str, usual: u32) -> u32 {
    let given = std::env::var(variable).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(usual)
}

#[test]
fn engine_and_model_are_the_same() {
    let events = scripts::play(count("VRRP_CARP_SCRIPTS", 3_000), |bytes| {
        let script = Script::from_bytes(bytes);
        (script.len(), script.play())
    });
    println!("{events} events");
}

/// How often at least each situation is to be met in a thousand worlds.
const SOMETIMES: [(&str, u64); 16] = [
    ("a Backup heard a bow-out", 300),
    ("a Backup heard one that is demoted or too slow", 100),
    ("crashes of an Active", 500),
    ("drains of an Active", 100),
    ("failovers of an Active", 50),
    ("forged advertisements", 500),
    ("gave way to a better one", 500),
    ("gave way to an equal one", 100),
    ("nobody wanted it", 10),
    ("own advertisements that came back", 500),
    ("takeovers", 3_000),
    ("undrained Actives", 1),
    ("worlds", 1_000),
    ("worlds with FreeBSD", 200),
    ("worlds with OpenBSD", 200),
    ("worlds with UCarp", 200),
];

#[test]
fn mixed_worlds_break_no_law() {
    let worlds = u64::from(count("VRRP_CARP_SEEDS", 500));
    let tally = carp::run(0..worlds).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{tally}");
    for (what, least) in SOMETIMES {
        let met = tally.met.get(what).copied().unwrap_or_default();
        assert!(met * 1_000 >= least * worlds, "{what}: {met}");
    }
}

/// A model that does what ours should do is acquitted, and each lie is found out.
#[test]
fn impostors_are_found_out() {
    const WORLDS: u64 = 200;
    let convict = |lie: Option<Lie>| {
        (0..WORLDS).find_map(|seed| {
            let broken = World::with(seed, lie).run().err()?;
            Some(format!("seed {seed}: {broken}"))
        })
    };
    assert_eq!(convict(None), None);
    for lie in Lie::ALL {
        let verdict = convict(Some(lie));
        println!("{lie:?}: {verdict:?}");
        assert!(verdict.is_some(), "{lie:?} is not found out");
    }
}

/// Situations that must be among what can happen to a small world, or the search proves nothing.
const EXPLORED: [&str; 11] = [
    "a Backup heard a bow-out",
    "a Backup heard one that is unfit",
    "a Backup preempted",
    "a UCarp gave way with one more word",
    "a late Active stood back",
    "a quiet world had one Active",
    "an Active crashed",
    "an Active heard a bow-out",
    "one of ours gave way to a better one",
    "one of ours gave way to an equal one",
    "two were Active",
];

#[test]
fn nothing_that_can_happen_to_a_small_group_breaks_a_law() {
    let mut sometimes = BTreeSet::new();
    let mut worlds = 0;
    for setting in explore::settings(false) {
        let findings = explore::explore(&setting).unwrap_or_else(|way| panic!("{setting}: {way}"));
        println!("{:>9} worlds: {setting}", findings.worlds);
        worlds += findings.worlds;
        sometimes.extend(findings.sometimes.into_keys());
    }
    println!("{worlds} worlds");
    for what in EXPLORED {
        assert!(sometimes.contains(what), "never met: {what}");
    }
}

/// What was measured between UCarp and a NetBSD kernel is found: a judge that does not find it would not find it with ours either.
#[test]
fn the_livelock_of_others_is_found() {
    let broken = explore::explore(&explore::known_livelock());
    let law = broken.err().map(|way| way.law).unwrap_or_default();
    assert!(law.starts_with("after a quiet"), "{law}");
}
