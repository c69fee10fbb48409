//! How late advertisements are while sixteen others want the processor.

use super::Row;
use crate::duel::{Duel, millis};
use crate::effort::Effort;
use crate::hogs::Hogs;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::Heard;
use crate::witness;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};

pub(crate) const ROW: Row = Row {
    name: "lateness",
    about: "The Active of a pair at 10 ms beside 16 busy processes; every advertisement by the kernel's stamp at the switch. \
            Against the grid that its earliest ones make, for ours, whose deadlines are on one; and for all, how much longer \
            than the interval two of them were apart.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(10, 30);
    let interval = ms(10);
    let mut grid = Measure::new("behind the grid", "ms").goal(Goal::most(Figure::P99, 0.1));
    let mut apart = Measure::new("longer than the interval apart", "ms");
    for maker in Maker::order(
        &Maker::ours_and(&[Maker::Keepalived, Maker::KeepalivedRt]),
        effort.trials(1, 2),
    ) {
        let duel = Duel::start(maker, interval);
        let hogs = Hogs::busy(16);
        let from = Stamp::now();
        std::thread::sleep(span);
        let until = from + span;
        drop(hogs);
        std::thread::sleep(ms(200));
        let claim = |heard: &Heard| heard.claim().map(|_| heard.at);
        let mut adverts = duel.ports[0].since(from, claim);
        adverts.retain(|at| *at <= until);
        for pair in adverts.windows(2) {
            let more = pair[1].since(pair[0]).saturating_sub(interval);
            apart.add(maker, millis(more), witness::stalled(pair[0], pair[1]));
        }
        if maker.is_ours() {
            for (late, at) in lateness(&adverts, interval) {
                grid.add(maker, late, witness::stalled(at - interval, at));
            }
        }
    }
    // A thousand values a trial say nothing that their quantiles do not.
    vec![grid, apart]
}

/// For each advertisement by how many milliseconds it is behind a grid of `interval` that none is ahead of.
fn lateness(adverts: &[Stamp], interval: Duration) -> Vec<(f64, Stamp)> {
    let Some(first) = adverts.first() else {
        return Vec::new();
    };
    let period = millis(interval);
    let offsets: Vec<f64> = adverts
        .iter()
        .map(|at| {
            let since = at.millis_since(*first);
            since - (since / period).round() * period
        })
        .collect();
    let earliest = offsets.iter().copied().fold(f64::INFINITY, f64::min);
    let late = offsets.into_iter().map(|offset| offset - earliest);
    late.zip(adverts.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_make_the_grid() {
        let zero = Stamp::now();
        let micros = [50, 10_000, 20_900, 30_010];
        let adverts: Vec<Stamp> = micros
            .iter()
            .map(|us| zero + Duration::from_micros(*us))
            .collect();
        let late: Vec<f64> = lateness(&adverts, ms(10))
            .into_iter()
            .map(|(late, _)| (late * 1000.0).round())
            .collect();
        assert_eq!(late, [50.0, 0.0, 900.0, 10.0]);
    }
}
