//! Worlds by seed: every law after every step, exactly one Active after every quiet, and kernels as they should be.
#![expect(clippy::print_stdout, reason = "what was seen, and how often")]

use vrrp_sim::chaos;
use vrrp_sim::sometimes;

const SEEDS: u64 = 10_000;

#[test]
fn no_law_is_broken_and_every_situation_is_met() {
    let seen = chaos::run(0..SEEDS).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{}", sometimes::table(&seen));
    let rare = sometimes::too_rare(&seen, SEEDS);
    assert!(rare.is_empty(), "{rare:#?}");
}
