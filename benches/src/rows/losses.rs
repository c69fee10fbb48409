//! What is lost when the Active changes, there and back.

use crate::duel::{HandOver, millis};
use crate::maker::Maker;
use crate::measure::Measure;

/// Three columns for each of the two ways.
pub(crate) struct Losses {
    /// Datagrams that came out of neither and echoes that did not come back.
    lost: [Measure; 2],
    /// The datagrams alone.
    through: [Measure; 2],
    gaps: [Measure; 2],
}

impl Losses {
    /// `ways` are what the two are called, and `lost` says what is expected of the first column.
    pub(crate) fn new(
        ways: [&str; 2],
        name: &str,
        lost: impl Fn(usize, Measure) -> Measure,
    ) -> Self {
        let column = |what: &str, unit: &'static str| {
            ways.map(|way| Measure::new(format!("{way}, {name}: {what}"), unit))
        };
        let [away, back] = column("lost", "packets");
        Self {
            lost: [lost(0, away), lost(1, back)],
            through: column("lost on the way through", "datagrams"),
            gaps: column("gap", "ms"),
        }
    }

    /// What happened on either way; `missing` is said where there was none.
    pub(crate) fn add(&mut self, maker: Maker, ways: [Option<HandOver>; 2], missing: &str) {
        for (way, done) in ways.into_iter().enumerate() {
            let Some(done) = done else {
                self.lost[way].note(format!("{}: {missing}", maker.word()));
                continue;
            };
            let fate = done.fate;
            let gap = fate.gap.max(fate.address_gap);
            self.lost[way].add(maker, (fate.lost + fate.unanswered) as f64, done.stalled);
            self.through[way].add(maker, fate.lost as f64, done.stalled);
            self.gaps[way].add(maker, millis(gap), done.stalled);
        }
    }

    /// Something that is said beside the figures.
    pub(crate) fn note(&mut self, note: String) {
        self.lost[0].note(note);
    }

    pub(crate) fn measures(self) -> impl Iterator<Item = Measure> {
        let columns = self.lost.into_iter().zip(self.gaps).zip(self.through);
        columns.flat_map(|((lost, gap), through)| [lost, gap, through])
    }
}
