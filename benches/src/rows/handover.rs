//! A planned change of the Active under ten thousand datagrams a second.

use super::losses::Losses;
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
    let mut losses = Losses::new(["stop", "return"], &name, |way, lost| {
        let bound = match way {
            0 => format!(
                "skew {:.1} ms, unless who leaves goes on forwarding",
                millis(skew)
            ),
            _ => "0".to_owned(),
        };
        lost.goal(Goal::least(Figure::Zeros, 99.0)).bound(bound)
    });
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
        let broken = attempt(maker, || {
            let mut duel = Duel::start(maker, interval);
            for _ in 0..size {
                let missing = "a trial in which the other did not take over, or the process did not end within 9 s";
                losses.add(maker, duel.hand_over(), missing);
            }
        });
        broken.into_iter().for_each(|why| losses.note(why));
    }
    losses.measures().collect()
}
