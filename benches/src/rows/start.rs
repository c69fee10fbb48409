//! How soon a thousand routers advertise.

use super::Row;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::{Interest, Sniff};
use crate::witness;
use std::collections::BTreeMap;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::profile::Profile;

pub(crate) const ROW: Row = Row {
    name: "start",
    about: "1,000 routers at 100 ms, priority 200, nobody else there: from the start of the process (which a chain of three \
            programs makes, some milliseconds for everybody) to the first advertisement of each, less the 3 × Adv + Skew that a \
            Backup must wait.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let interval = ms(100);
    let down = Profile::V3Ipv4.down(200, interval);
    let bound = format!("{:.1} ms, which are taken off", millis(down));
    let mut last = Measure::new("the last of 1,000", "ms")
        .goal(Goal::most(Figure::P50, 150.0))
        .bound(&bound);
    let mut first = Measure::new("the first of 1,000", "ms").bound(&bound);
    let mut there = Measure::new("start to all addresses present", "ms").bound(&bound);
    let mut makers = Maker::ours_and(&[Maker::Keepalived]);
    makers.push(Maker::KeepalivedPlain);
    for maker in Maker::order(&makers, effort.trials(2, 5)) {
        let ground = Ground::direct(4);
        let ears: Vec<Sniff> = (0..ground.parents)
            .map(|parent| {
                let (namespace, interface) = ground.ear(0, parent);
                Sniff::start(namespace, &interface, Interest::Adverts)
            })
            .collect();
        let census = crate::census::Census::start(&ground.routers[0]);
        let orders = Orders {
            maker,
            parents: 4,
            each: 250,
            priority: 200,
            interval,
            changed: false,
        };
        let fleet = Fleet::launch(&ground, 0, orders);
        let begun = fleet.started;
        let heard = || {
            let mut heard: BTreeMap<(usize, u8), Stamp> = BTreeMap::new();
            for (parent, ear) in ears.iter().enumerate() {
                for (vrid, at) in
                    ear.since(begun, |heard| heard.claim().map(|vrid| (vrid, heard.at)))
                {
                    heard.entry((parent, vrid)).or_insert(at);
                }
            }
            heard
        };
        let all = wait_for(ms(20_000), || {
            std::thread::sleep(ms(50));
            (heard().len() == orders.count()).then_some(())
        });
        assert!(
            all.is_some(),
            "{}: {} advertise: {}",
            maker.word(),
            heard().len(),
            fleet.tail()
        );
        fleet.wait_addresses(&ground.routers[0], orders.count());
        std::thread::sleep(ms(100));
        let heard = heard();
        let stalled = witness::stalled(begun, Stamp::now());
        let beyond = |at: &Stamp| at.millis_since(begun + down);
        last.add(
            maker,
            heard.values().max().map_or(f64::NAN, beyond),
            stalled,
        );
        first.add(
            maker,
            heard.values().min().map_or(f64::NAN, beyond),
            stalled,
        );
        let came = census.changes(begun, true);
        there.add(maker, came.values().max().map_or(f64::NAN, beyond), stalled);
    }
    vec![last, first, there]
}
