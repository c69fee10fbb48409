//! A row of the table: what is done, what should come of it, and whether it did.

use crate::scene::Scene;
use std::time::Duration;
use vrrp_lab::clock::tolerance;
use vrrp_lab::settings::{Router, without_macvlan};

/// One nemesis. Everything but the measurement is written before it is measured.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// How it is done.
    pub(crate) injected: &'static str,
    /// The safe result, for a reader; `limits` say the same to the program.
    pub(crate) expected: &'static str,
    /// Why this row is known to fall short.
    pub(crate) known: Option<&'static str>,
    pub(crate) setup: Setup,
    pub(crate) inject: fn(&mut Scene),
    pub(crate) limits: &'static [Limit],
}

/// What stands before the misfortune. Two routers, 1 and 2; router 1 is Active unless it says otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    /// Whether the routers' cables go through relays.
    pub(crate) relays: bool,
    /// Priorities, advertisement intervals of 100 ms, `accept-mode` on; this changes it for the router of an index.
    pub(crate) adjust: fn(usize, Router) -> Router,
    /// A line of shell that starts a daemon, see [`vrrp_lab::daemon::Daemon::launch_by`].
    pub(crate) launch: [&'static str; 2],
    /// The index of the router that is Active before the misfortune.
    pub(crate) active: usize,
    /// Why this row is known to fall short without macvlans.
    pub(crate) bare: Option<&'static str>,
    /// What this row is about, if there is none of it without macvlans.
    pub(crate) subject: Option<&'static str>,
}

/// Relays, priorities 200 and 100, and nothing special.
pub(crate) const PLAIN: Setup = Setup {
    relays: true,
    adjust: |_, router| router,
    launch: ["", ""],
    active: 0,
    bare: None,
    subject: None,
};

/// Without relays, for what they would only slow down.
pub(crate) const DIRECT: Setup = Setup {
    relays: false,
    ..PLAIN
};

/// What a measure must be. The names are those of [`Measured::get`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// At most so many milliseconds, and what a shared machine may add.
    Within(&'static str, f64),
    /// At most.
    Most(&'static str, f64),
    /// At least.
    Least(&'static str, f64),
}

use Limit::{Least, Most, Within};

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Within(name, _) | Most(name, _) | Least(name, _) => name,
        }
    }
}

/// What every row is held to, unless it has a limit of the same name of its own.
const STANDING: [Limit; 8] = [
    Most("wrong MAC", 0.0),
    Most("panics", 0.0),
    Most("left behind", 0.0),
    // The processes of a debug build with one router have some 18 MiB of their own.
    Most("peak KiB", 24_576.0),
    Most("log lines", 200.0),
    // After the misfortune: the loser has given up, and who preempts has done so.
    Within("settled", 1000.0),
    Within("two Active", 100.0),
    Within("two owners", 100.0),
];

/// 3 × Advertisement_Interval + Skew_Time of router 2, at 100 ms and priority 100: the outage that RFC 9568 §6.1 allows.
pub(crate) const DOWN: f64 = 360.9;

/// The measures of one run, in milliseconds, counts, or what the name says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// Those that every row has.
    pub(crate) standing: Vec<(&'static str, f64)>,
    /// Those of this row.
    pub(crate) own: Vec<(&'static str, f64)>,
    /// Which of those are times.
    pub(crate) times: Vec<&'static str>,
    /// What else is to be said.
    pub(crate) remarks: Vec<String>,
    /// The longest stall of the machine in that time.
    pub(crate) stalled: Duration,
}

impl Measured {
    /// A measure by its name.
    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        let all = self.own.iter().chain(&self.standing);
        all.clone()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    /// The limits that were not kept, as sentences.
    pub(crate) fn complaints(&self, limits: &[Limit]) -> Vec<String> {
        let standing = STANDING
            .iter()
            .filter(|general| limits.iter().all(|own| own.name() != general.name()));
        limits
            .iter()
            .chain(standing)
            .filter_map(|limit| self.complaint(*limit))
            .collect()
    }

    fn complaint(&self, limit: Limit) -> Option<String> {
        let name = limit.name();
        let Some(value) = self.get(name) else {
            return Some(format!("{name} was not measured"));
        };
        let slack = (tolerance().late + self.stalled).as_secs_f64() * 1e3;
        match limit {
            Within(_, most) if value > most + slack => Some(format!(
                "{name} {value:.0} ms, more than {most:.0} (+{slack:.0})"
            )),
            Most(_, most) if value > most => {
                Some(format!("{name} {value:.0}, more than {most:.0}"))
            }
            Least(_, least) if value < least => {
                Some(format!("{name} {value:.0}, less than {least:.0}"))
            }
            Within(..) | Most(..) | Least(..) => None,
        }
    }
}

/// What came of a row.
pub(crate) struct Outcome {
    pub(crate) measured: Measured,
    pub(crate) complaints: Vec<String>,
    pub(crate) tries: u32,
}

/// What that means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As expected.
    Holds,
    /// Not as expected, as is known.
    FallsShort,
    /// As expected, though known not to be: the row needs another look.
    BetterThanKnown,
    /// Not as expected.
    Fails,
    /// What it is about is not there on this data plane.
    LeftOut,
}

impl Row {
    /// Runs it, a second time if the first failed.
    pub(crate) fn run(&self) -> Outcome {
        if self.left_out().is_some() {
            return Outcome {
                measured: Measured::default(),
                complaints: Vec::new(),
                tries: 0,
            };
        }
        let first = self.attempt(1);
        if first.complaints.is_empty() || self.known().is_some() {
            return first;
        }
        self.attempt(2)
    }

    fn attempt(&self, tries: u32) -> Outcome {
        // A row that cannot be run is a row that failed; the others go on.
        match std::panic::catch_unwind(|| Scene::play(self)) {
            Ok(measured) => Outcome {
                complaints: measured.complaints(self.limits),
                measured,
                tries,
            },
            Err(panic) => {
                let said = panic
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                    .unwrap_or_default();
                let first: String = said
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(200)
                    .collect();
                Outcome {
                    measured: Measured::default(),
                    complaints: vec![format!("could not be run: {first}")],
                    tries,
                }
            }
        }
    }

    /// Why it is known to fall short on this data plane.
    pub(crate) fn known(&self) -> Option<&'static str> {
        self.known
            .or_else(|| self.setup.bare.filter(|_| without_macvlan()))
    }

    /// What is not there on this data plane.
    pub(crate) fn left_out(&self) -> Option<&'static str> {
        self.setup.subject.filter(|_| without_macvlan())
    }

    pub(crate) fn verdict(&self, outcome: &Outcome) -> Verdict {
        if self.left_out().is_some() {
            return Verdict::LeftOut;
        }
        match (outcome.complaints.is_empty(), self.known().is_some()) {
            (true, false) => Verdict::Holds,
            (true, true) => Verdict::BetterThanKnown,
            (false, true) => Verdict::FallsShort,
            (false, false) => Verdict::Fails,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(own: &[(&'static str, f64)]) -> Measured {
        let standing = STANDING
            .iter()
            .map(|limit| (limit.name(), 0.0))
            .chain([("gap", 400.0)]);
        Measured {
            standing: standing.collect(),
            own: own.to_vec(),
            ..Measured::default()
        }
    }

    #[test]
    fn limits_are_kept_or_named() {
        let run = measured(&[("lost", 3.0)]);
        let broken = |limit: Limit| run.complaints(&[limit]).len();
        assert_eq!(run.complaints(&[]), [""; 0], "the standing limits hold");
        assert_eq!(broken(Most("lost", 3.0)) + broken(Least("lost", 3.0)), 0);
        assert_eq!(broken(Most("lost", 2.0)) + broken(Least("lost", 4.0)), 2);
        let slack = tolerance().late.as_secs_f64() * 1e3;
        assert_eq!(broken(Within("gap", 401.0 - slack)), 0);
        assert_eq!(broken(Within("gap", 399.0 - slack)), 1);
        assert_eq!(
            broken(Most("found", 9.0)),
            1,
            "what was not measured does not hold"
        );
    }

    #[test]
    fn a_row_may_replace_a_standing_limit() {
        let run = measured(&[("log lines", 300.0)]);
        assert_eq!(run.complaints(&[]).len(), 1);
        assert_eq!(run.complaints(&[Most("log lines", 400.0)]), [""; 0]);
    }

    #[test]
    fn a_stalled_machine_excuses_time_and_nothing_else() {
        let mut run = measured(&[("settled", 1200.0), ("wrong MAC", 1.0)]);
        assert_eq!(run.complaints(&[]).len(), 2);
        run.stalled = Duration::from_millis(250);
        let left = run.complaints(&[]);
        assert!(left.len() == 1 && left[0].contains("wrong MAC"), "{left:?}");
    }
}
