//! An Active is asked to let the other one take over, and stays where it is.

use super::losses::Losses;
use super::{Row, attempt};
use crate::duel::{Duel, millis};
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use std::time::Duration;
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "failover",
    about: "The same pair and the same streams. The Active is asked to hand over and goes on running: ours by `vrrpctl failover`, \
            keepalived by the nearest it has, SIGHUP with a priority of 50 in its file. When the other one alone advertises it gets \
            its place back: by `vrrpctl priority reset`, and by SIGHUP with the file from before.",
    run: |effort| measure(ms(100), effort.trials(4, 50)),
};

pub(crate) const SLOW: Row = Row {
    name: "failover-1000",
    about: "The same with an advertisement a second.",
    run: |effort| measure(ms(1000), effort.trials(2, 20)),
};

fn measure(interval: Duration, trials: usize) -> Vec<Measure> {
    let name = format!("{} ms", interval.as_millis());
    let mut losses = Losses::new(["away", "back"], &name, |_, lost| {
        lost.goal(Goal::most(Figure::P50, 1.0)).bound("0")
    });
    let mut took = Measure::new(
        format!("away, {name}: from the request to the other's first advertisement"),
        "ms",
    );
    for maker in Maker::ours_and(&[Maker::Keepalived]) {
        let broken = attempt(maker, || {
            let mut duel = Duel::start(maker, interval);
            for _ in 0..trials {
                let (ways, after) = duel.fail_over();
                if let Some(after) = after {
                    let stalled = ways[0].is_none_or(|away| away.stalled);
                    took.add(maker, millis(after), stalled);
                }
                let missing = "a trial in which the other did not take over";
                losses.add(maker, ways, missing);
            }
        });
        broken.into_iter().for_each(|why| losses.note(why));
    }
    losses.measures().chain([took]).collect()
}
