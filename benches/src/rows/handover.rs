//! A planned change of the Active under ten thousand datagrams a second.

use super::{Row, attempt};
use crate::duel::{Duel, millis};
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use std::time::Duration;
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "handover",
    about: "A pair with priorities 200 and 100 forwards 10,000 datagrams a second, and its address answers 5,000 echoes. The \
            Active is stopped by SIGTERM until its process is gone, then started again until it alone advertises. Lost are \
            datagrams that came out of neither and echoes that did not come back; a gap is the time around the longest loss of \
            either kind, zero without one. The datagrams alone stand beside it: a Backup that forwards, as those of the peers \
            do, loses none of them.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    let whole = effort.trials(10, 100);
    let few = effort.trials(2, 20);
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
        Measure::new(format!("{kind}, {name}: lost"), "packets")
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
    let mut through = kinds.map(|kind| {
        Measure::new(
            format!("{kind}, {name}: lost on the way through"),
            "datagrams",
        )
    });
    let mut gaps = kinds.map(|kind| Measure::new(format!("{kind}, {name}: gap"), "ms"));
    // Blocks in turn: a pair takes longer to set up than to try.
    let block = trials.min(10);
    let turns = Maker::order(&Maker::ours_and(peers), trials.div_ceil(block));
    for maker in turns {
        // Of the peers fewer show what they do.
        let size = match maker {
            Maker::Frr | Maker::Pnet => block.min(3),
            Maker::Keepalived | Maker::KeepalivedRt | Maker::KeepalivedPlain => block.div_ceil(2),
            Maker::Ours | Maker::OursEbpf => block,
        };
        let [stop, back] = &mut lost;
        attempt(maker, stop, |stop| {
            let lost = [stop, back];
            let mut duel = Duel::start(maker, interval);
            for _ in 0..size {
                for (kind, hand_over) in duel.hand_over().into_iter().enumerate() {
                    let Some(done) = hand_over else {
                        lost[kind].note(format!(
                            "{}: a trial in which the other did not take over, or the process did not end within 9 s",
                            maker.word()
                        ));
                        continue;
                    };
                    let fate = done.fate;
                    lost[kind].add(maker, (fate.lost + fate.unanswered) as f64, done.stalled);
                    through[kind].add(maker, fate.lost as f64, done.stalled);
                    let gap = fate.gap.max(fate.address_gap);
                    gaps[kind].add(maker, millis(gap), done.stalled);
                }
            }
        });
    }
    let kinds = lost.into_iter().zip(gaps).zip(through);
    kinds
        .flat_map(|((lost, gap), through)| [lost, gap, through])
        .collect()
}
