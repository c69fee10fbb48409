//! An Active is asked to let the other one take over, and stays where it is.

use super::Row;
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
    let kinds = ["away", "back"];
    let column = |what: &str, unit: &str| {
        kinds.map(|kind| Measure::new(format!("{kind}, {name}: {what}"), unit))
    };
    let mut lost = column("lost", "packets")
        .map(|measure| measure.goal(Goal::most(Figure::P50, 1.0)).bound("0"));
    let mut through = column("lost on the way through", "datagrams");
    let mut gaps = column("gap", "ms");
    let mut took = Measure::new(
        format!("away, {name}: from the request to the other's first advertisement"),
        "ms",
    );
    for maker in Maker::ours_and(&[Maker::Keepalived]) {
        let mut duel = Duel::start(maker, interval);
        for _ in 0..trials {
            let ([away, back], after) = duel.fail_over();
            if let Some(after) = after {
                took.add(maker, millis(after), away.is_none_or(|away| away.stalled));
            }
            for (kind, done) in [away, back].into_iter().enumerate() {
                let Some(done) = done else {
                    lost[kind].note(format!(
                        "{}: a trial in which the other did not take over",
                        maker.word()
                    ));
                    continue;
                };
                let fate = done.fate;
                lost[kind].add(maker, (fate.lost + fate.unanswered) as f64, done.stalled);
                through[kind].add(maker, fate.lost as f64, done.stalled);
                gaps[kind].add(maker, millis(fate.gap.max(fate.address_gap)), done.stalled);
            }
        }
    }
    let columns = lost.into_iter().zip(gaps).zip(through);
    columns
        .flat_map(|((lost, gap), through)| [lost, gap, through])
        .chain([took])
        .collect()
}
