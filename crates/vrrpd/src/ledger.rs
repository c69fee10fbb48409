//! Which configurations were applied, which of them is on trial, and which were given up. Pure: it reads no clock and no file.
//!
//! The last entry is the one that runs. A trial is about the last entry, and ends by [`Ledger::confirm`], or by
//! [`Ledger::give_up`], which makes the configuration to go back to the last entry again. Texts that were given up are
//! remembered by their hash, so that a daemon that is started again does not begin with one of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use vrrp_control::{ConfigurationEntry, ConfigurationStatus, RolledBack, Trial};

use crate::office::timestamp;

/// Configurations that are remembered. The oldest is forgotten when another comes.
const KEPT: usize = 20;

/// The configurations so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Ledger {
    entries: Vec<ConfigurationEntry>,
    probation: Option<Probation>,
    given_up: Vec<GivenUp>,
}

/// The last entry is on trial.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Probation {
    /// By the wall clock, in milliseconds since 1970.
    since: u64,
    until: u64,
    back_to: u64,
}

/// A text that must not be begun with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct GivenUp {
    hash: String,
    number: u64,
    time: String,
}

/// What a daemon that is started is to begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beginning {
    /// Its file.
    File,
    /// The last entry, because what the file says was given up.
    LastEntry,
}

/// What was applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied<'a> {
    pub(crate) at: SystemTime,
    pub(crate) by: &'a str,
    pub(crate) hash: &'a str,
    pub(crate) summary: &'a str,
}

fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn moment(millis: u64) -> String {
    timestamp(UNIX_EPOCH + Duration::from_millis(millis))
}

impl Ledger {
    /// All of them, the one that runs last.
    pub(crate) fn entries(&self) -> &[ConfigurationEntry] {
        &self.entries
    }

    /// The one that runs.
    pub(crate) fn last(&self) -> Option<&ConfigurationEntry> {
        self.entries.last()
    }

    /// The one of this number.
    pub(crate) fn entry(&self, number: u64) -> Option<&ConfigurationEntry> {
        self.entries.iter().find(|entry| entry.number == number)
    }

    /// The one before that which runs.
    pub(crate) fn previous(&self) -> Option<&ConfigurationEntry> {
        self.entries.iter().rev().nth(1)
    }

    /// The number that the next one gets.
    pub(crate) fn next_number(&self) -> u64 {
        self.last().map_or(1, |last| last.number + 1)
    }

    /// Enters what runs from now on. The numbers it forgets for that.
    pub(crate) fn enter(&mut self, applied: Applied<'_>) -> Vec<u64> {
        self.entries.push(ConfigurationEntry {
            number: self.next_number(),
            time: timestamp(applied.at),
            by: applied.by.to_owned(),
            hash: applied.hash.to_owned(),
            summary: applied.summary.to_owned(),
        });
        let needed = self.probation.map(|probation| probation.back_to);
        let mut forgotten = Vec::new();
        while self.entries.len() > KEPT {
            let oldest = self
                .entries
                .iter()
                .position(|entry| Some(entry.number) != needed)
                .unwrap_or_default();
            forgotten.push(self.entries.remove(oldest).number);
        }
        forgotten
    }

    /// The last entry is on trial for `time`. Where the one before was on trial, it still goes back to what was before that.
    pub(crate) fn try_out(&mut self, now: SystemTime, time: Duration, back_to: u64) {
        let since = millis(now);
        let length = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.probation = Some(Probation {
            since,
            until: since.saturating_add(length),
            back_to: self
                .probation
                .map_or(back_to, |probation| probation.back_to),
        });
    }

    /// How long the trial lasts, no longer than it was to be: a wall clock that was set back does not prolong it.
    pub(crate) fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let Probation { since, until, .. } = self.probation?;
        let left = until.saturating_sub(millis(now).max(since));
        Some(Duration::from_millis(left))
    }

    /// What the trial goes back to.
    pub(crate) fn back_to(&self) -> Option<u64> {
        self.probation.map(|probation| probation.back_to)
    }

    /// Ends the trial: the last entry stays. Whether there was one.
    pub(crate) fn confirm(&mut self) -> bool {
        self.probation.take().is_some()
    }

    /// Notes that the last entry is about to be replaced by an earlier text of this hash: nobody begins with it again, unless it
    /// is asked for.
    pub(crate) fn give_up(&mut self, now: SystemTime, for_hash: &str) {
        let left = self.last().map(|last| GivenUp {
            hash: last.hash.clone(),
            number: last.number,
            time: timestamp(now),
        });
        self.probation = None;
        self.given_up.extend(left);
        self.given_up.retain(|given_up| given_up.hash != for_hash);
        let extra = self.given_up.len().saturating_sub(KEPT);
        self.given_up.drain(..extra);
    }

    /// The file was asked for, or says something else: what was given up does not matter any more.
    pub(crate) fn forgive(&mut self) {
        self.given_up.clear();
    }

    /// What to begin with when the file's text has this hash.
    pub(crate) fn beginning(&self, file: &str) -> Beginning {
        let given_up = self.given_up.iter().any(|given_up| given_up.hash == file);
        if given_up && self.last().is_some() {
            Beginning::LastEntry
        } else {
            Beginning::File
        }
    }

    /// For the status.
    pub(crate) fn status(&self) -> ConfigurationStatus {
        let last = self.last();
        ConfigurationStatus {
            number: last.map_or(0, |last| last.number),
            hash: last.map(|last| last.hash.clone()).unwrap_or_default(),
            trial: self.probation.map(|probation| Trial {
                since: moment(probation.since),
                until: moment(probation.until),
                back_to: probation.back_to,
            }),
            rolled_back: self.given_up.last().map(|given_up| RolledBack {
                time: given_up.time.clone(),
                number: given_up.number,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    fn enter(ledger: &mut Ledger, hash: &str) -> Vec<u64> {
        ledger.enter(Applied {
            at: at(0),
            by: "alice",
            hash,
            summary: "",
        })
    }

    fn of(hashes: &[&str]) -> Ledger {
        let mut ledger = Ledger::default();
        for hash in hashes {
            enter(&mut ledger, hash);
        }
        ledger
    }

    #[test]
    fn the_oldest_is_forgotten_unless_it_is_needed() {
        let mut ledger = of(&["a", "b"]);
        ledger.try_out(at(0), MINUTE, 1);
        let forgotten: Vec<u64> = (0..30).flat_map(|_| enter(&mut ledger, "c")).collect();
        assert_eq!(forgotten, (2..=13).collect::<Vec<u64>>());
        assert_eq!(ledger.entries().len(), KEPT);
        assert_eq!(ledger.entry(1).unwrap().hash, "a");
        assert_eq!(ledger.last().unwrap().number, 32);
        assert_eq!(ledger.previous().unwrap().number, 31);
    }

    #[test]
    fn a_trial_ends_when_it_was_to_end() {
        let mut ledger = of(&["a", "b"]);
        assert_eq!(ledger.remaining(at(0)), None);
        ledger.try_out(at(0), MINUTE, 1);
        assert_eq!(ledger.remaining(at(0)), Some(MINUTE));
        assert_eq!(ledger.remaining(at(20)), Some(Duration::from_secs(40)));
        assert_eq!(ledger.remaining(at(60)), Some(Duration::ZERO));
        assert_eq!(ledger.remaining(at(99)), Some(Duration::ZERO));
        let trial = ledger.status().trial.unwrap();
        assert_eq!(trial.since, "1970-01-12T13:46:40.000000Z");
        assert_eq!(trial.until, "1970-01-12T13:47:40.000000Z");
        assert_eq!(trial.back_to, 1);
        // Somebody set the clock back by a day: not longer than it was to be.
        let before = at(0) - Duration::from_secs(86_400);
        assert_eq!(ledger.remaining(before), Some(MINUTE));
        assert!(ledger.confirm());
        assert!(!ledger.confirm());
        assert_eq!(ledger.remaining(at(0)), None);
    }

    #[test]
    fn a_trial_after_a_trial_goes_back_to_what_was_confirmed() {
        let mut ledger = of(&["a", "b"]);
        ledger.try_out(at(0), MINUTE, 1);
        enter(&mut ledger, "c");
        assert_eq!(ledger.remaining(at(50)), Some(Duration::from_secs(10)));
        ledger.try_out(at(50), MINUTE, 2);
        assert_eq!(ledger.back_to(), Some(1));
        assert_eq!(ledger.remaining(at(50)), Some(MINUTE));
    }

    #[test]
    fn what_was_given_up_is_not_begun_with_until_it_is_asked_for() {
        let mut ledger = of(&["a", "b"]);
        assert_eq!(ledger.beginning("b"), Beginning::File);
        ledger.give_up(at(7), "a");
        enter(&mut ledger, "a");
        assert_eq!(ledger.beginning("b"), Beginning::LastEntry);
        assert_eq!(ledger.beginning("a"), Beginning::File);
        assert_eq!(ledger.beginning("z"), Beginning::File);
        let rolled_back = ledger.status().rolled_back.unwrap();
        assert_eq!(
            (rolled_back.number, rolled_back.time.as_str()),
            (2, "1970-01-12T13:46:47.000000Z")
        );
        ledger.forgive();
        assert_eq!(ledger.beginning("b"), Beginning::File);
        assert_eq!(ledger.status().rolled_back, None);
    }

    #[test]
    fn to_go_back_to_what_was_given_up_is_to_ask_for_it() {
        let mut ledger = of(&["a", "b"]);
        for (now, hash) in [(1, "a"), (2, "b")] {
            ledger.give_up(at(now), hash);
            enter(&mut ledger, hash);
        }
        assert_eq!(ledger.beginning("b"), Beginning::File);
        assert_eq!(ledger.beginning("a"), Beginning::LastEntry);
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let mut ledger = of(&["a", "b"]);
        ledger.try_out(at(0), MINUTE, 1);
        ledger.give_up(at(0), "a");
        ledger.try_out(at(0), MINUTE, 1);
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger);
        // Of a daemon that knew more, or less.
        let other: Ledger = serde_json::from_str(r#"{"new":1,"entries":[]}"#).unwrap();
        assert_eq!(other, Ledger::default());
    }
}
