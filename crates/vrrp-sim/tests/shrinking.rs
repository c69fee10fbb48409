//! A fault planted on purpose is found, shrunk to little, and what is left still shows it.

use vrrp_sim::chaos::World;
use vrrp_sim::shrink::Shrunk;
use vrrp_sim::{Verdict, Violation};

/// The first world from `seed` in which this is seen, shrunk as if it were forbidden.
fn planted(seed: u64, what: &str) -> Shrunk {
    let mut failed = (seed..).map(|seed| {
        let mut world = World::of(seed);
        world.cuts.forbid = Some(what.to_owned());
        world
            .run()
            .err()
            .map(|verdict| Shrunk::from(&world, &verdict))
    });
    let shrunk = failed.find_map(|shrunk| shrunk);
    shrunk.expect("it is seen sooner or later")
}

fn violation(result: Result<impl Sized, Verdict>) -> Option<Violation> {
    result.err().map(|verdict| verdict.violation)
}

#[test]
fn what_is_left_is_little_and_still_fails() {
    for (what, misfortunes, hosts) in [
        ("initialize: shutdown", 1, 1),
        ("backup: late", 1, 1),
        ("repaired", 1, 1),
        ("a takeover by a successor", 3, 2),
        ("a release of a stranger was answered", 1, 1),
    ] {
        for seed in [0, 1_000, 2_000] {
            let shrunk = planted(seed, what);
            assert!(
                shrunk.misfortunes() <= misfortunes && shrunk.hosts() <= hosts,
                "{shrunk}"
            );
            let forbidden = Some(Violation::Forbidden(what.to_owned()));
            assert_eq!(violation(shrunk.world.run()), forbidden, "{shrunk}");
            let command = shrunk.world.replay_command();
            assert!(
                command.contains(&format!("--forbid \"{what}\"")) && command.contains(" --keep "),
                "{command}"
            );
            assert!(
                shrunk
                    .to_string()
                    .ends_with(&format!("replay: {command}\n"))
            );
        }
    }
}

#[test]
fn nothing_more_can_be_left_out() {
    let mut shrunk = planted(0, "backup: late");
    let kept = shrunk.world.cuts.keep.take().expect("some misfortunes");
    for number in &kept {
        let mut world = shrunk.world.clone();
        world.cuts.keep = Some(kept.iter().copied().filter(|it| it != number).collect());
        assert_eq!(violation(world.run()), None, "{number} was not needed");
    }
}
