//! Bad cables.

use crate::row::{DOWN, Limit, PLAIN, Row};
use crate::scene::{Scene, count, millis};
use Limit::{Least, Most, Within};
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::misfortune::{Bursts, Impairment};
use vrrp_lab::relay::Way;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "partition",
        injected: "relay: both directions of router 1 blocked for 2 s",
        expected: "router 2 serves within 3 × Adv + Skew; both are Active meanwhile, which nobody can know; healed, one gives up within one Adv",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.relay(0).set_both(Impairment::blocked());
            std::thread::sleep(ms(2000));
            heal(scene);
        },
        limits: &[
            Within("gap", DOWN),
            Within("heal to one", 100.0),
            Most("gap after heal", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "mute",
        injected: "relay: router 1 is not heard for 2 s, but hears",
        expected: "router 2 serves within 3 × Adv + Skew; router 1 stays, being of higher priority; healed, one gives up within one Adv",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.relay(0).set(Way::Out, Impairment::blocked());
            std::thread::sleep(ms(2000));
            heal(scene);
        },
        limits: &[
            Within("gap", DOWN),
            Within("heal to one", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "deaf",
        injected: "relay: router 1 hears nothing for 2 s, but is heard",
        expected: "served again within 3 × Adv + Skew",
        known: Some(
            "advertisements go one way: an Active that hears nothing does not differ from one that is alone, and a Backup that hears it has nothing to object to",
        ),
        setup: PLAIN,
        inject: |scene| {
            scene.relay(0).set(Way::In, Impairment::blocked());
            std::thread::sleep(ms(2000));
            heal(scene);
        },
        limits: &[Within("gap", DOWN), Most("transitions 2", 2.0)],
    },
    lossy(
        "loss-1",
        "relay: 1 % of the frames of router 1 lost each way, 8 s",
        |scene| {
            lose(scene, 0.01);
        },
    ),
    lossy("loss-5", "relay: 5 % lost each way, 8 s", |scene| {
        lose(scene, 0.05);
    }),
    lossy("loss-10", "relay: 10 % lost each way, 8 s", |scene| {
        lose(scene, 0.1);
    }),
    lossy("loss-20", "relay: 20 % lost each way, 8 s", |scene| {
        lose(scene, 0.2);
    }),
    lossy("loss-40", "relay: 40 % lost each way, 8 s", |scene| {
        lose(scene, 0.4);
    }),
    Row {
        name: "bursts",
        injected: "relay: losses of 20 frames and more in a row, a tenth of all frames, 8 s (Gilbert–Elliott)",
        expected: "a burst is shorter than three intervals: no takeover, no gap beyond a burst",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            let bursts = Bursts {
                begin: 1.0 / 180.0,
                end: 1.0 / 20.0,
            };
            scene.impair(
                Impairment {
                    bursts: Some(bursts),
                    ..Impairment::default()
                },
                ms(8000),
            );
            note_tally(scene);
        },
        limits: &[
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
            Least("frames lost", 500.0),
        ],
    },
    Row {
        name: "every-third",
        injected: "relay: each third advertisement of router 1 lost, 8 s",
        expected: "no takeover, no gap",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.impair(
                Impairment {
                    every: 3,
                    adverts_only: true,
                    ..Impairment::default()
                },
                ms(8000),
            );
            note_tally(scene);
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
            Least("frames lost", 25.0),
        ],
    },
    Row {
        name: "duplicates",
        injected: "relay: half of all frames of router 1 come twice, 5 s",
        expected: "no effect",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.impair(
                Impairment {
                    duplicate: 0.5,
                    ..Impairment::default()
                },
                ms(5000),
            );
            let doubled = scene.tally().doubled;
            scene.note("frames doubled", count(doubled));
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
            Least("frames doubled", 1000.0),
        ],
    },
    Row {
        name: "disorder",
        injected: "relay: half of all frames of router 1 overtaken by 5 others, and up to 20 ms of jitter, 5 s",
        expected: "no effect",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.impair(
                Impairment {
                    reorder: 0.5,
                    behind: 5,
                    jitter: ms(20),
                    ..Impairment::default()
                },
                ms(5000),
            );
            let held = scene.tally().held;
            scene.note("frames held back", count(held));
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
            Least("frames held back", 1000.0),
        ],
    },
    Row {
        name: "delay",
        injected: "relay: 150 to 190 ms each way at router 1, longer than the interval, 5 s",
        expected: "no takeover once begun; turning it on is one late advertisement",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.impair(
                Impairment {
                    delay: ms(150),
                    jitter: ms(40),
                    ..Impairment::default()
                },
                ms(5000),
            );
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
];

/// Advertisements lost at random: takeovers as often as three in a row are lost, and never more.
const fn lossy(name: &'static str, injected: &'static str, inject: fn(&mut Scene)) -> Row {
    Row {
        name,
        injected,
        expected: "takeovers no more often than three losses in a row explain (p³ of 10 a second, twice that and two more), each taken back with the next advertisement; router 1 stays Active",
        known: None,
        setup: PLAIN,
        inject,
        limits: &[
            Most("transitions 1", 0.0),
            Most("takeovers beyond the model", 0.0),
            // Each false takeover lasts until router 1 is heard again, of which some are lost, too.
            Most("two owners", 4000.0),
            Most("two Active", 4000.0),
            Within("gap", 400.0),
        ],
    }
}

fn lose(scene: &mut Scene, loss: f64) {
    scene.impair(Impairment::losing(loss), ms(8000));
    note_tally(scene);
    let from = scene.from;
    let spoken: Vec<Stamp> = scene
        .observer
        .adverts(1, from)
        .iter()
        .map(|spoken| spoken.at)
        .collect();
    // Advertisements of router 2 further apart than two intervals belong to two takeovers.
    let takeovers = usize::from(!spoken.is_empty())
        + spoken
            .windows(2)
            .filter(|pair| pair[1].since(pair[0]) > ms(200))
            .count();
    scene.note("takeovers", count(takeovers));
    let model = 80.0 * loss.powi(3);
    scene.note(
        "takeovers beyond the model",
        (count(takeovers) - 2.0 * model - 2.0).max(0.0),
    );
}

fn note_tally(scene: &mut Scene) {
    let lost = scene.tally().lost;
    scene.note("frames lost", count(lost));
}

/// Heals the cable of router 1 and measures how long two go on speaking, and what that costs.
fn heal(scene: &mut Scene) {
    let healed = Stamp::now();
    scene.relay(0).heal();
    std::thread::sleep(ms(1500));
    // From the first advertisement that got through to the last of router 2.
    let first = scene
        .observer
        .adverts(0, healed)
        .first()
        .map_or(healed, |spoken| spoken.at);
    let last = scene
        .observer
        .adverts(1, healed)
        .last()
        .map_or(healed, |spoken| spoken.at);
    scene.note_time("heal to one", last.since(first));
    let facts = scene.observer.facts(healed, Stamp::now());
    scene.note_millis(
        "gap after heal",
        millis(facts.through.longest.max(facts.address.longest)),
    );
}
