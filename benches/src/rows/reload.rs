//! One of a thousand routers gets another address.

use super::Row;
use crate::census::Census;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::{Interest, Sniff};
use crate::{usage, witness};
use std::collections::BTreeMap;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};

pub(crate) const ROW: Row = Row {
    name: "reload-1000",
    about: "1,000 routers at 100 ms on four cables; the file gives one of them a second address, or takes it away again, and the \
            Active gets SIGHUP. Until the kernel has the address or has it no more, and what the reload did to the \
            advertisements of all thousand.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut took = Measure::new("SIGHUP to the address", "ms").goal(Goal::most(Figure::P50, 20.0));
    let mut late = Measure::new("longest time between two advertisements of a router", "ms")
        .bound("100 ms")
        // As late as any advertisement may be under load.
        .goal(Goal::most(Figure::P50, 101.0));
    let mut without = Measure::new("the same in as long a time without a reload", "ms");
    let mut takeovers = Measure::new("packets of the Backup", "packets")
        .goal(Goal::most(Figure::Max, 0.0))
        .bound("0");
    let trials = effort.trials(4, 20);
    for maker in Maker::ours_and(&[Maker::Keepalived]) {
        let mut orders = Orders {
            maker,
            parents: 4,
            each: 250,
            priority: 200,
            interval: ms(100),
            changed: false,
        };
        let ground = Ground::direct(orders.parents);
        let mut active = Fleet::active(&ground, 0, orders);
        let _backup = Fleet::backup(
            &ground,
            1,
            Orders {
                priority: 100,
                ..orders
            },
        );
        std::thread::sleep(ms(3500));
        let census = Census::start(&ground.routers[0]);
        let ears: Vec<Sniff> = (0..orders.parents)
            .map(|parent| {
                let (namespace, interface) = ground.ear(0, parent);
                Sniff::start(namespace, &interface, Interest::Adverts)
            })
            .collect();
        let spoken = || {
            let (_, packets) = usage::packets(&ground.routers[1]);
            let eth = packets.iter().filter(|(name, _)| name.starts_with("eth"));
            eth.map(|(_, [_, sent])| *sent).sum::<u64>()
        };
        let look = ms(1000);
        for _ in 0..trials {
            ears.iter().for_each(Sniff::clear);
            let calm = Stamp::now();
            std::thread::sleep(look);
            without.add(
                maker,
                millis(longest(&ears, calm)),
                witness::stalled(calm, Stamp::now()),
            );

            ears.iter().for_each(Sniff::clear);
            let before = spoken();
            orders.changed = !orders.changed;
            let asked = active.reload(orders);
            let there = wait_for(ms(10_000), || {
                census
                    .changes(asked, orders.changed)
                    .get(&orders.second())
                    .copied()
            });
            (asked + look).sleep_until();
            let over = Stamp::now();
            let stalled = witness::stalled(asked, over);
            let at = there.unwrap_or(over);
            took.add(maker, millis(at.since(asked)), stalled);
            if there.is_none() {
                took.note(format!("{}: no such address within 10 s", maker.word()));
            }
            late.add(
                maker,
                millis(longest(&ears, asked - orders.interval)),
                stalled,
            );
            takeovers.add(maker, (spoken() - before) as f64, stalled);
        }
    }
    vec![took, late, without, takeovers]
}

/// The longest time between two advertisements of the same router.
fn longest(ears: &[Sniff], from: Stamp) -> Duration {
    let mut worst = Duration::ZERO;
    let until = Stamp::now();
    for ear in ears {
        let mut last = BTreeMap::new();
        for (vrid, at) in ear.since(from, |heard| heard.claim().map(|vrid| (vrid, heard.at))) {
            if let Some(before) = last.insert(vrid, at) {
                worst = worst.max(at.since(before));
            }
        }
        // Who has fallen silent counts, too.
        let silences = last.values().map(|at| until.since(*at));
        worst = worst.max(silences.max().unwrap_or(until.since(from)));
    }
    worst
}
