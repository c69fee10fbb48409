//! Figures of single trials, and what a series of them comes to.

use serde::{Deserialize, Serialize};

/// The figure of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// In the unit of its measure.
    pub value: f64,
    /// Whether the control timer was late by more than a millisecond in that time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stalled: bool,
}

/// All trials of one maker; none is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series(pub Vec<Sample>);

impl Series {
    /// Adds a trial.
    pub fn add(&mut self, value: f64, stalled: bool) {
        self.0.push(Sample { value, stalled });
    }

    /// How many trials.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many of them while the machine stood still.
    #[must_use]
    pub fn stalled(&self) -> usize {
        self.0.iter().filter(|sample| sample.stalled).count()
    }

    /// The value that a share of the trials, 0 to 1, do not exceed: the nearest rank.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is between zero and the number of trials"
    )]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let mut values: Vec<f64> = self.0.iter().map(|sample| sample.value).collect();
        values.sort_by(f64::total_cmp);
        let rank = (share * values.len() as f64).ceil() as usize;
        values.get(rank.max(1) - 1).copied()
    }

    /// The share of trials whose value is zero, in percent.
    #[must_use]
    pub fn zeros(&self) -> Option<f64> {
        let zeros = self.0.iter().filter(|sample| sample.value == 0.0).count();
        (!self.0.is_empty()).then(|| zeros as f64 * 100.0 / self.0.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let mut series = Series::default();
        assert_eq!(series.quantile(0.5), None);
        for value in (1..=100).rev() {
            series.add(f64::from(value), value == 7);
        }
        let quantiles = [0.0, 0.5, 0.99, 1.0].map(|share| series.quantile(share).unwrap());
        assert_eq!(quantiles, [1.0, 50.0, 99.0, 100.0]);
        assert_eq!((series.count(), series.stalled()), (100, 1));
        assert_eq!(series.zeros(), Some(0.0));
        series.add(0.0, false);
        assert!((series.zeros().unwrap() - 0.99).abs() < 0.01);
    }
}
