//! What a daemon keeps in memory.

use super::Row;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::usage;
use std::time::Duration;
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "memory",
    about: "The proportional set size of all processes of a daemon whose routers have been Active at 100 ms for some seconds.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let sizes = [(1, 1, 6.0), (1, 250, 7.0), (4, 250, 11.0)];
    let measured = sizes.map(|(parents, each, limit)| {
        let turns = Maker::order(&Maker::ours_and(&[Maker::Keepalived]), effort.trials(1, 3));
        measure(parents, each, &turns, ms(2500)).goal(Goal::most(Figure::P50, limit))
    });
    measured.into()
}

/// For so many routers on so many interfaces, after a while.
pub(crate) fn measure(parents: u8, each: u8, turns: &[Maker], settled: Duration) -> Measure {
    let count = usize::from(parents) * usize::from(each);
    let mut memory = Measure::new(format!("{count} routers"), "MiB");
    for maker in turns {
        let ground = Ground::direct(parents);
        let orders = Orders {
            maker: *maker,
            parents,
            each,
            priority: 200,
            interval: ms(100),
            changed: false,
        };
        let _active = Fleet::active(&ground, 0, orders);
        std::thread::sleep(settled);
        let pids = usage::pids(&ground.routers[0]);
        memory.add(*maker, usage::pss_mib(&pids), false);
    }
    memory
}
