//! A planned change of the Active under ten thousand datagrams a second.

use super::Row;
use crate::duel::{Duel, millis};
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use std::time::Duration;
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "handover",
    about: "A pair with priorities 200 and 100 forwards 10,000 datagrams a second. The Active is stopped by SIGTERM until its \
            process is gone, then started again until it alone advertises. Lost are datagrams that came out of neither; a gap \
            is the time around the longest loss, zero without one.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    let whole = effort.trials(10, 100);
    let few = effort.trials(2, 10);
    let cells = [
        (ms(10), whole, vec![Maker::Keepalived, Maker::Frr]),
        (ms(100), whole, vec![Maker::Keepalived, Maker::Frr]),
        (ms(1000), few, vec![Maker::Keepalived]),
    ];
    for (interval, trials, peers) in cells {
        measures.extend(cell(interval, trials, &peers));
    }
    measures
}

fn cell(interval: Duration, trials: usize, peers: &[Maker]) -> Vec<Measure> {
    let name = format!("{} ms", interval.as_millis());
    let skew = vrrp_lab::profile::Profile::V3Ipv4.skew(vrrp_lab::pair::LOWER, interval);
    let kinds = ["stop", "return"];
    let mut lost = kinds.map(|kind| {
        Measure::new(format!("{kind}, {name}: datagrams lost"), "datagrams")
            .goal(Goal::least(Figure::Zeros, 99.0))
            .bound(if kind == "stop" {
                format!(
                    "skew {:.1} ms, unless who leaves goes on forwarding",
                    millis(skew)
                )
            } else {
                "0".to_owned()
            })
    });
    let mut gaps = kinds.map(|kind| Measure::new(format!("{kind}, {name}: gap"), "ms"));
    // Blocks of five in turn: a pair takes longer to set up than to try.
    let block = trials.div_ceil(2).min(10);
    let mut left: Vec<(Maker, usize)> = Vec::new();
    for turn in 0..trials.div_ceil(block) {
        let size = block.min(trials - turn * block);
        left.extend(
            Maker::order(&Maker::ours_and(peers), turn + 1)
                .into_iter()
                .skip(turn * (Maker::planes().len() + peers.len()))
                .map(|maker| (maker, size)),
        );
    }
    for (maker, size) in left {
        // FRR is no part of the comparison that needs many: a few trials show what it does.
        let size = if maker == Maker::Frr {
            size.min(5)
        } else {
            size
        };
        let mut duel = Duel::start(maker, interval);
        for _ in 0..size {
            for (kind, hand_over) in duel.hand_over().into_iter().enumerate() {
                match hand_over {
                    Some(done) => {
                        lost[kind].add(maker, done.fate.lost as f64, done.stalled);
                        gaps[kind].add(maker, millis(done.fate.gap), done.stalled);
                    }
                    None => lost[kind].note(format!(
                        "{}: a trial in which the other did not take over, or the process did not end within 9 s",
                        maker.word()
                    )),
                }
            }
        }
    }
    let [stop_lost, return_lost] = lost;
    let [stop_gap, return_gap] = gaps;
    vec![stop_lost, stop_gap, return_lost, return_gap]
}
