//! What a router does whose daemon is stopped or dead.

use super::{Row, attempt};
use crate::duel::Duel;
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use nix::sys::signal::Signal;
use vrrp_lab::clock::ms;

pub(crate) const ROW: Row = Row {
    name: "fenced",
    about: "SIGSTOP or SIGKILL to all processes of the Active at a random phase, at 100 ms and 10 ms. The last datagram that its \
            kernel forwarded or ARP question for the virtual address that it answered, after the signal; a host asks every \
            millisecond, and the look ends after three times 3 × Adv + Skew.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut measures = Vec::new();
    let whole = effort.trials(6, 250);
    let few = effort.trials(2, 20);
    for interval in [ms(100), ms(10)] {
        let limit = f64::from(u32::try_from(interval.as_millis()).unwrap_or(u32::MAX)) * 3.0;
        for (signal, name) in [(Signal::SIGSTOP, "SIGSTOP"), (Signal::SIGKILL, "SIGKILL")] {
            let what = format!("{name}, {} ms", interval.as_millis());
            let mut last = Measure::new(format!("{what}: the last packet after it"), "ms")
                .goal(Goal::most(Figure::Max, limit))
                .bound("for as long as the kernel runs");
            let mut still = Measure::new(
                format!("{what}: trials that still answered at the end"),
                "of 1",
            )
            .goal(Goal::most(Figure::Max, 0.0));
            for maker in Maker::ours_and(&[Maker::Keepalived]) {
                let broken = attempt(maker, || {
                    let mut duel = Duel::start(maker, interval);
                    for _ in 0..if maker.is_ours() { whole } else { few } {
                        let zombie = duel.fell(signal);
                        last.add(maker, zombie.last, zombie.stalled);
                        still.add(maker, f64::from(u8::from(zombie.still)), zombie.stalled);
                    }
                });
                broken.into_iter().for_each(|why| last.note(why));
            }
            last.note("where a router answers to the end, the figure is the length of the look");
            measures.extend([last, still]);
        }
    }
    measures
}
