//! Takeovers while somebody else holds the kernel's lock for all network configuration.

use super::Row;
use crate::duel::Duel;
use crate::effort::Effort;
use crate::hogs::Hogs;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use vrrp_lab::clock::ms;
use vrrp_lab::netns::Namespace;

pub(crate) const ROW: Row = Row {
    name: "rtnl",
    about: "As `crash-gap` at 100 ms, idle and while two loops in another namespace make and delete links, which holds the lock \
            for milliseconds at a time.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let trials = effort.trials(8, 50);
    let mut measures = ["idle", "links come and go"]
        .map(|load| Measure::new(format!("{load}: gap beyond the protocol"), "ms"));
    for maker in Maker::ours_and(&[Maker::Keepalived]) {
        let mut duel = Duel::start(maker, ms(100));
        for (loaded, measure) in measures.iter_mut().enumerate() {
            let elsewhere = (loaded == 1).then(|| Namespace::new("hog"));
            let hogs = elsewhere.as_ref().map(Hogs::links);
            for _ in 0..trials {
                if let Some(crash) = duel.crash() {
                    measure.add(maker, crash.beyond, crash.stalled);
                }
            }
            drop(hogs);
        }
    }
    let [idle, mut loaded] = measures;
    // Within a tenth of the takeover without the others: of the gap, that is, and not of the part beyond the protocol.
    let own = idle.series.get(&Maker::Ours);
    if let Some(p99) = own.and_then(|series| series.quantile(0.99)) {
        let limit = p99.max(0.1) + 36.0;
        loaded = loaded.goal(Goal::most(Figure::P99, limit));
        loaded.note("the goal: a takeover (361 ms) no more than a tenth longer than idle");
    }
    vec![idle, loaded]
}
