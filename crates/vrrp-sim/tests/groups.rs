//! Sync groups between several links, by seed: members agree after every input, splits last for one advertisement at most, and
//! everything settles. `VRRP_GROUP_SEEDS=10000` runs as many worlds as that.

use vrrp_sim::groups;

#[test]
fn groups_agree_do_not_stay_split_and_settle() {
    let seeds = std::env::var("VRRP_GROUP_SEEDS");
    let seeds = seeds.ok().and_then(|seeds| seeds.parse().ok());
    let tally = groups::run(0..seeds.unwrap_or(1000)).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{tally}");
    // The worlds were not empty.
    assert!(tally.takeovers > 3 * tally.worlds, "{tally}");
    for some in [tally.splits, tally.cut, tally.unable, tally.modest] {
        assert!(some * 20 > tally.worlds, "{tally}");
    }
    assert!(
        tally.carp * 5 > tally.worlds && tally.carp * 2 < tally.worlds,
        "{tally}"
    );
}
