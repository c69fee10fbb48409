//! Takeovers that nobody needed, while others want the processor.

use super::Row;
use crate::duel::Duel;
use crate::effort::Effort;
use crate::hogs::Hogs;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::witness;
use vrrp_lab::clock::{Stamp, ms};

pub(crate) const ROW: Row = Row {
    name: "false-failovers",
    about: "A pair at 10 ms whose Active lives all the time, beside 4 and 16 busy processes and beside 4 with a real-time \
            priority of 10 on two processors. A takeover is an advertisement of the Backup after five intervals without one. \
            30 s each, 8 s in a short run.",
    run,
};

/// What it is called, and how it begins.
type Load = (&'static str, fn() -> Hogs);

fn run(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(8, 30);
    let loads: [Load; 3] = [
        ("4 hogs", || Hogs::busy(4)),
        ("16 hogs", || Hogs::busy(16)),
        ("4 real-time hogs", || Hogs::real_time(4)),
    ];
    let mut measures: Vec<Measure> = loads
        .iter()
        .map(|(name, _)| {
            Measure::new(
                format!("{name}: takeovers in {} s", span.as_secs()),
                "takeovers",
            )
            .goal(Goal::most(Figure::Max, 0.0))
            .bound("0")
        })
        .collect();
    let makers = Maker::ours_and(&[Maker::Keepalived, Maker::KeepalivedRt]);
    for maker in Maker::order(&makers, effort.trials(1, 3)) {
        let duel = Duel::start(maker, ms(10));
        for ((_, load), measure) in loads.iter().zip(&mut measures) {
            let hogs = load();
            let from = Stamp::now();
            std::thread::sleep(span);
            let until = from + span;
            drop(hogs);
            // What is still in the sockets of those who could not run.
            std::thread::sleep(ms(300));
            measure.add(
                maker,
                duel.takeovers(from, until) as f64,
                witness::stalled(from, until),
            );
            duel.expect_elected(0);
        }
    }
    measures
}
