//! The rows of the table, one file each.

mod advertisement_cpu;
mod codec;
mod crash_gap;
mod failover;
mod false_failovers;
mod fenced;
mod flood;
mod handover;
mod lateness;
mod losses;
mod memory;
mod reload;
mod rtnl;
mod size;
mod start;
mod stop;
mod takeover;
mod trackers;
mod worker_killed;

use crate::duel::Duel;
use crate::effort::Effort;
use crate::machine::Watch;
use crate::maker::Maker;
use crate::measure::Measure;
use crate::report::Report;
use crate::witness;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vrrp_lab::clock::ms;

/// A row: what it is called, what it measures, and how.
pub struct Row {
    /// Its name on the command line.
    pub name: &'static str,
    /// What is done, in a sentence or two.
    pub about: &'static str,
    pub(crate) run: fn(&Effort) -> Vec<Measure>,
}

/// All of them, in the order of the table.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        advertisement_cpu::ROW,
        advertisement_cpu::FAST,
        advertisement_cpu::SLOW,
        takeover::ROW,
        stop::ROW,
        reload::ROW,
        handover::ROW,
        failover::ROW,
        failover::SLOW,
        crash_gap::ROW,
        false_failovers::ROW,
        fenced::ROW,
        worker_killed::ROW,
        lateness::ROW,
        rtnl::ROW,
        flood::ROW,
        trackers::ROW,
        memory::ROW,
        start::ROW,
        codec::ROW,
        size::ROW,
    ]
}

/// Not of the table: one fleet and one pair of ours in some seconds, so that the harness cannot rot.
#[must_use]
pub fn smoke() -> Row {
    Row {
        name: "smoke",
        about: "One router's memory, and one crash.",
        run: |_| {
            let memory = memory::measure(1, 1, &[Maker::Ours], ms(200));
            let mut gap = Measure::new("what the client lost", "ms");
            let mut duel = Duel::start(Maker::Ours, ms(100));
            if let Some(crash) = duel.crash() {
                gap.add(Maker::Ours, crash.gap, crash.stalled);
            }
            vec![memory, gap]
        },
    }
}

/// Tries with a maker, and says why a peer could not go on: that is what it does, and stands beside its figures. Where one of ours
/// cannot, the row is broken off.
fn attempt(maker: Maker, work: impl FnOnce()) -> Option<String> {
    if maker.is_ours() {
        work();
        return None;
    }
    let panic = catch_unwind(AssertUnwindSafe(work)).err()?;
    let why = reason(panic.as_ref());
    let first = why.lines().next().unwrap_or_default();
    Some(format!("broken off: {}", first.trim_end_matches(':')))
}

fn reason(panic: &(dyn Any + Send)) -> String {
    let said = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    said.unwrap_or_default().chars().take(400).collect()
}

impl Row {
    /// Runs it and puts what came of it into the report; `false` if it could not be run to its end.
    pub fn play(&self, effort: &Effort, report: &mut Report) -> bool {
        witness::watch();
        let watch = Watch::start();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.run)(effort)))
            .map_err(|panic| reason(panic.as_ref()));
        let sound = outcome.is_ok();
        report.put(self.name, watch.stop(effort.quick), outcome);
        sound
    }
}
