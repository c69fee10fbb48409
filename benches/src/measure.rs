//! What is measured, in which unit, for whom, and what it is held to.

use crate::maker::Maker;
use crate::sample::Series;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Which figure of a series is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Half of the trials are no worse.
    P50,
    /// 99 of 100 are no worse.
    P99,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The share of trials with the value zero, in percent.
    Zeros,
}

impl Figure {
    /// This figure of a series.
    #[must_use]
    pub fn of(self, series: &Series) -> Option<f64> {
        match self {
            Self::P50 => series.quantile(0.5),
            Self::P99 => series.quantile(0.99),
            Self::Max => series.quantile(1.0),
            Self::Min => series.quantile(0.0),
            Self::Zeros => series.zeros(),
        }
    }

    /// Its word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::P50 => "median",
            Self::P99 => "p99",
            Self::Max => "max",
            Self::Min => "min",
            Self::Zeros => "share of 0",
        }
    }
}

/// What a figure of ours must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// Which figure.
    pub figure: Figure,
    /// The limit, in the measure's unit (percent for shares).
    pub limit: f64,
    /// Whether more is better.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub least: bool,
    /// By how many times less than keepalived's in the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<f64>,
    /// The limit of the `ebpf` data plane, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ebpf: Option<f64>,
}

impl Goal {
    /// At most this.
    #[must_use]
    pub const fn most(figure: Figure, limit: f64) -> Self {
        Self {
            figure,
            limit,
            least: false,
            times: None,
            ebpf: None,
        }
    }

    /// At least this.
    #[must_use]
    pub const fn least(figure: Figure, limit: f64) -> Self {
        Self {
            least: true,
            ..Self::most(figure, limit)
        }
    }

    /// And so many times less than keepalived.
    #[must_use]
    pub const fn times(self, times: f64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// And this with the `ebpf` data plane.
    #[must_use]
    pub const fn ebpf(self, limit: f64) -> Self {
        Self {
            ebpf: Some(limit),
            ..self
        }
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What.
    pub what: String,
    /// In which unit.
    pub unit: String,
    /// What it is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// What the protocol itself needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// By maker.
    pub series: BTreeMap<Maker, Series>,
    /// What else is to be said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Measure {
    /// Nothing yet.
    #[must_use]
    pub fn new(what: impl Into<String>, unit: &str) -> Self {
        Self {
            what: what.into(),
            unit: unit.to_owned(),
            goal: None,
            bound: None,
            series: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// With a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// With the protocol's own figure.
    #[must_use]
    pub fn bound(mut self, bound: impl Into<String>) -> Self {
        self.bound = Some(bound.into());
        self
    }

    /// Adds a trial.
    pub fn add(&mut self, maker: Maker, value: f64, stalled: bool) {
        self.series.entry(maker).or_default().add(value, stalled);
    }

    /// Says something, once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The figure that is judged or, where nothing is, shown first.
    #[must_use]
    pub fn figure(&self) -> Figure {
        self.goal.map_or(Figure::P50, |goal| goal.figure)
    }

    /// Whether ours keeps the goal: of each data plane that was measured. `None` without a goal or a measurement.
    #[must_use]
    pub fn holds(&self) -> Option<bool> {
        let goal = self.goal?;
        let of = |maker: Maker| {
            self.series
                .get(&maker)
                .and_then(|series| goal.figure.of(series))
        };
        let peer = of(Maker::Keepalived);
        let mut verdicts = [
            (Maker::Ours, goal.limit),
            (Maker::OursEbpf, goal.ebpf.unwrap_or(goal.limit)),
        ]
        .into_iter()
        .filter_map(|(maker, limit)| {
            let value = of(maker)?;
            let kept = if goal.least {
                value >= limit
            } else {
                value <= limit
            };
            let ahead = match (goal.times, peer) {
                (Some(times), Some(peer)) => peer >= times * value,
                (Some(_) | None, _) => true,
            };
            Some(kept && ahead)
        })
        .peekable();
        verdicts.peek()?;
        Some(verdicts.all(|kept| kept))
    }
}

/// One line for somebody who waits: the judged figure of everybody.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]:", self.what, self.unit)?;
        for (maker, series) in &self.series {
            let of = |share| series.quantile(share).unwrap_or(f64::NAN);
            write!(
                f,
                "  {} {:.3} / {:.3} ({:.3}–{:.3}) n {}, {} stalled;",
                maker.word(),
                of(0.5),
                of(0.99),
                of(0.0),
                of(1.0),
                series.count(),
                series.stalled()
            )?;
        }
        match self.holds() {
            Some(true) => f.write_str("  holds"),
            Some(false) => f.write_str("  DOES NOT HOLD"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_may_be_relative_to_the_peer() {
        let mut measure =
            Measure::new("CPU", "µs").goal(Goal::most(Figure::P50, 3.0).times(4.0).ebpf(2.0));
        assert_eq!(measure.holds(), None, "nothing was measured");
        measure.add(Maker::Ours, 2.5, false);
        assert_eq!(measure.holds(), Some(true));
        measure.add(Maker::Keepalived, 9.0, false);
        assert_eq!(measure.holds(), Some(false), "not four times less");
        measure.series.clear();
        measure.add(Maker::Ours, 2.5, false);
        measure.add(Maker::OursEbpf, 2.5, false);
        assert_eq!(
            measure.holds(),
            Some(false),
            "the other plane has its own limit"
        );
    }

    #[test]
    fn shares_count_zeros() {
        let mut lost = Measure::new("lost", "packets").goal(Goal::least(Figure::Zeros, 99.0));
        for _ in 0..99 {
            lost.add(Maker::Ours, 0.0, false);
        }
        lost.add(Maker::Ours, 5.0, false);
        assert_eq!(lost.holds(), Some(true));
        lost.add(Maker::Ours, 5.0, false);
        assert_eq!(lost.holds(), Some(false));
    }
}
