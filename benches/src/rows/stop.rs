//! A daemon with a thousand routers is asked to leave.

use super::Row;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders, addresses, macvlans};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::{Interest, Sniff};
use crate::witness;
use std::collections::BTreeMap;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};

pub(crate) const ROW: Row = Row {
    name: "stop-1000",
    about: "1,000 routers at one second on four cables, priorities 254 and 253; SIGTERM to the Active. When all have resigned on \
            the wire, when the process has ended, and what is left then: macvlans, addresses, settings that are not as before.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut resigned = Measure::new("SIGTERM to the last priority 0 on the wire", "ms")
        .goal(Goal::most(Figure::P50, 20.0));
    let mut silent =
        Measure::new("routers that did not resign", "routers").goal(Goal::most(Figure::Max, 0.0));
    let mut ended = Measure::new("SIGTERM to the end, everything removed", "ms")
        .goal(Goal::most(Figure::P50, 500.0))
        .bound("the successor's skew: 11.7 ms");
    let mut left =
        Measure::new("macvlans and addresses left", "objects").goal(Goal::most(Figure::Max, 0.0));
    let mut settings = Measure::new("settings of the interfaces not as before", "settings")
        .goal(Goal::most(Figure::Max, 0.0));
    for maker in Maker::order(&Maker::ours_and(&[Maker::Keepalived]), effort.trials(2, 5)) {
        let orders = Orders {
            maker,
            parents: 4,
            each: 250,
            priority: 254,
            interval: ms(1000),
            changed: false,
        };
        let ground = Ground::direct(orders.parents);
        let before = ground.routers[0].interface_sysctls();
        let mut active = Fleet::active(&ground, 0, orders);
        let _backup = Fleet::backup(
            &ground,
            1,
            Orders {
                priority: 253,
                ..orders
            },
        );
        let ears: Vec<Sniff> = (0..orders.parents)
            .map(|parent| {
                let (namespace, interface) = ground.ear(0, parent);
                Sniff::start(namespace, &interface, Interest::Adverts)
            })
            .collect();
        std::thread::sleep(ms(1500));
        let asked = active.terminate();
        let end = active.ended(Duration::from_secs(30));
        let over = Stamp::now();
        let after = ground.routers[0].interface_sysctls();
        let mut first = BTreeMap::new();
        for (parent, ear) in ears.iter().enumerate() {
            for (vrid, at) in ear.since(asked, |heard| {
                heard.resignation().map(|vrid| (vrid, heard.at))
            }) {
                first.entry((parent, vrid)).or_insert(at);
            }
        }
        let stalled = witness::stalled(asked, end.unwrap_or(over));
        silent.add(maker, (orders.count() - first.len()) as f64, stalled);
        if let Some(last) = first.values().max() {
            resigned.add(maker, millis(last.since(asked)), stalled);
        }
        ended.add(maker, millis(end.unwrap_or(over).since(asked)), stalled);
        let litter = macvlans(&ground.routers[0]) + addresses(&ground.routers[0]);
        left.add(maker, litter as f64, stalled);
        let changed = before
            .iter()
            .filter(|line| after.binary_search(line).is_err());
        settings.add(maker, changed.count() as f64, stalled);
    }
    vec![resigned, silent, ended, left, settings]
}
