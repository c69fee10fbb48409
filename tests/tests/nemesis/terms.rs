//! Routers that were not told the same.

use crate::row::{DIRECT, DOWN, Limit, PLAIN, Row, Setup};
use Limit::{Least, Most, Within};
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::misfortune::Impairment;

use crate::scene::{NAME, Scene, count, events};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "equal-priorities",
        injected: "both of priority 100; relay: router 2, the Active, blocked both ways for 1.5 s, three times",
        expected: "each time router 1 takes over, and healed, exactly the higher address wins within one Adv",
        known: None,
        setup: Setup {
            adjust: |_, router| router.set("priority", 100),
            active: 1,
            ..PLAIN
        },
        inject: |scene| {
            for _ in 0..3 {
                scene.relay(1).set_both(Impairment::blocked());
                std::thread::sleep(ms(1500));
                scene.relay(1).heal();
                std::thread::sleep(ms(1500));
            }
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 1", 6.0),
            Most("transitions 2", 0.0),
            Least("owner", 2.0),
        ],
    },
    Row {
        name: "other-interval",
        injected: "router 2 is configured for 1 s; router 1 unplugged for 3 s",
        expected: "router 2 takes the Active's interval for the down timer (RFC 9568 §6.1): 3 × 100 ms + Skew, and no flapping",
        known: None,
        setup: Setup {
            adjust: |index, router| {
                if index == 1 {
                    router.text("advertise-interval", "1s")
                } else {
                    router
                }
            },
            ..DIRECT
        },
        inject: |scene| {
            scene.unplug(0);
            std::thread::sleep(ms(3000));
            scene.plug(0);
            // As a Backup router 1 has learned nothing, or a second.
            std::thread::sleep(ms(4500));
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "other-addresses",
        injected: "router 2 has one address more than router 1; 3 s",
        expected: "no effect on the election; reported a bounded number of times",
        known: None,
        setup: Setup {
            adjust: |index, router| {
                if index == 1 {
                    router.list("addresses", &["192.0.2.254/24", "192.0.2.253/24"])
                } else {
                    router
                }
            },
            ..DIRECT
        },
        inject: |scene| {
            std::thread::sleep(ms(3000));
            note_odd(scene);
        },
        limits: &[
            Most("gap", 10.0),
            Least("reports", 1.0),
            Most("reports", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "other-checksum",
        injected: "router 2 speaks RFC 5798's checksum, router 1 RFC 9568's; router 1 unplugged for 2 s",
        expected: "each takes the other's: one takeover, one return",
        known: None,
        setup: Setup {
            adjust: |index, router| router.text("checksum", ["rfc9568", "rfc5798"][index]),
            ..DIRECT
        },
        inject: |scene| {
            scene.unplug(0);
            std::thread::sleep(ms(2000));
            scene.plug(0);
            std::thread::sleep(ms(1500));
        },
        limits: &[Within("gap", DOWN), Most("transitions 2", 2.0)],
    },
    Row {
        name: "no-preemption",
        injected: "preempt off on both; router 1 unplugged for 2 s",
        expected: "router 2 takes over and keeps the address",
        known: None,
        setup: Setup {
            adjust: |_, router| router.set("preempt", false),
            ..DIRECT
        },
        inject: |scene| {
            scene.unplug(0);
            std::thread::sleep(ms(2000));
            let back = Stamp::now();
            scene.plug(0);
            std::thread::sleep(ms(1500));
            let spoke = scene.observer.adverts(0, back).len();
            scene.note("advertisements of router 1", count(spoke));
        },
        limits: &[
            Within("gap", DOWN),
            Most("advertisements of router 1", 0.0),
            Most("transitions 2", 1.0),
            Least("owner", 2.0),
        ],
    },
];

/// Notes what router 2 says of an Active that was told otherwise.
fn note_odd(scene: &mut Scene) {
    let odd = events(&scene.daemons[1])
        .iter()
        .filter(|(_, event)| event["kind"] == "odd" && event["router"] == NAME)
        .count();
    scene.note("reports", count(odd));
}
