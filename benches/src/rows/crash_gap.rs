//! A router falls silent at a moment that nobody chose.

use super::Row;
use crate::duel::{Duel, millis};
use crate::effort::Effort;
use crate::hogs::Hogs;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use vrrp_lab::clock::ms;
use vrrp_lab::pair::LOWER;
use vrrp_lab::profile::Profile;

pub(crate) const ROW: Row = Row {
    name: "crash-gap",
    about: "The Active's port is taken out of the switch at a random phase of its advertisements. Beyond the protocol: from the \
            last advertisement that the other heard to the first datagram that it forwarded and the first echo that it answered, \
            whichever was later, less 3 × Adv + Skew. Datagrams leave every 0.1 ms, echoes are asked for every 0.2 ms, which is \
            in the figure. Idle, and beside 16 busy \
            processes on the same processors.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    for (hogs, load) in [(0, "idle"), (16, "16 hogs")] {
        for interval in [ms(10), ms(100)] {
            let down = Profile::V3Ipv4.down(LOWER, interval);
            let name = format!("{} ms, {load}", interval.as_millis());
            let limit = if hogs == 0 { 0.5 } else { 1.0 };
            let mut beyond = Measure::new(format!("{name}: gap beyond the protocol"), "ms")
                .goal(Goal::most(Figure::P99, limit))
                .bound(format!("{:.1} ms less the phase", millis(down)));
            let mut early = Measure::new(format!("{name}: earlier than the protocol"), "ms")
                .goal(Goal::most(Figure::Max, 0.1));
            let mut gap = Measure::new(format!("{name}: what the client lost"), "ms");
            let mut peers = vec![Maker::Keepalived];
            match (hogs, interval.as_millis()) {
                (0, 100) => peers.push(Maker::Frr),
                (1.., 10) => peers.push(Maker::KeepalivedRt),
                _ => {}
            }
            let trials = effort.trials(6, 50);
            for maker in Maker::order(&Maker::ours_and(&peers), effort.rounds()) {
                let mut duel = Duel::start(maker, interval);
                let load = (hogs > 0).then(|| Hogs::busy(hogs));
                for _ in 0..trials {
                    match duel.crash() {
                        Some(crash) => {
                            beyond.add(maker, crash.beyond, crash.stalled);
                            early.add(maker, (-crash.through).max(0.0), crash.stalled);
                            gap.add(maker, crash.gap, crash.stalled);
                        }
                        None => beyond.note(format!(
                            "{}: a trial without a takeover that could be timed",
                            maker.word()
                        )),
                    }
                }
                drop(load);
            }
            measures.extend([beyond, early, gap]);
        }
    }
    measures
}
