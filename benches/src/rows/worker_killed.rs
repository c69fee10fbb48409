//! The process that does the work is killed, and the one that keeps it is not.

use super::{Row, attempt};
use crate::duel::{Duel, millis};
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "worker-killed",
    about: "SIGKILL to the worker of the Active, the child of the process that was started, at a random phase. Lost are datagrams \
            of 10,000 a second and echoes of 5,000 in the 2.6 seconds after it, or in two Active_Down_Intervals if they are \
            longer; takeovers are those of the Backup, which has none to make. A pair of ours goes on to the next trial; of \
            keepalived each trial has a new one, because some do not settle any more.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    let whole = effort.trials(4, 100);
    let few = effort.trials(2, 10);
    for interval in [ms(50), ms(100), ms(1000)] {
        let what = format!("{} ms", interval.as_millis());
        let mut lost = Measure::new(format!("{what}: lost"), "packets")
            .goal(Goal::least(Figure::Zeros, 100.0))
            .bound("0");
        let mut takeovers = Measure::new(format!("{what}: takeovers of the Backup"), "of 0")
            .goal(Goal::most(Figure::Max, 0.0));
        let mut gap = Measure::new(format!("{what}: gap"), "ms");
        for maker in Maker::ours_and(&[Maker::Keepalived]) {
            let broken = attempt(maker, || {
                let mut duel = Duel::start(maker, interval);
                for trial in 0..if maker.is_ours() { whole } else { few } {
                    if trial > 0 && maker.is_ours() {
                        duel.expect_elected(0);
                    } else if trial > 0 {
                        drop(duel);
                        duel = Duel::start(maker, interval);
                    }
                    let maimed = duel.maim();
                    let fate = maimed.fate;
                    lost.add(maker, (fate.lost + fate.unanswered) as f64, maimed.stalled);
                    takeovers.add(maker, maimed.takeovers as f64, maimed.stalled);
                    let worst = fate.gap.max(fate.address_gap);
                    gap.add(maker, millis(worst), maimed.stalled);
                }
            });
            broken.into_iter().for_each(|why| lost.note(why));
        }
        measures.extend([lost, takeovers, gap]);
    }
    measures
}
