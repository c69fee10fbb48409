//! What is known of a probe, and how much of it the daemon is told of its own accord: an engine that has counted to its limit
//! need not hear the same again. Whoever asks is told all of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::Instant;
use vrrp_control::agent::FromAgent;
use vrrp_control::{ProbeReport, ProbeRun};
use vrrp_proto::{Level, Sample, TrackerPlan};

use super::Found;
use crate::link::Link;
use crate::run::timestamp;

/// What is as it was is said this often, for those who ask when there was a result last.
const REPEAT: Duration = Duration::from_secs(10);

/// Longest reason, in characters.
const REASON: usize = 200;

/// Operators who wait for one probe at the same time. There is no need for more.
const ASKERS: usize = 16;

/// Says what was found. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Voice(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracker: String,
    link: Link,
    /// Samples in a row that matter.
    matter: u32,
    /// Whether each is wanted, because a result is good for a while only.
    all: bool,
    memory: Mutex<Memory>,
    /// Somebody wants it to be made.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Memory {
    sample: Option<Sample>,
    /// How often that was said,
    said: u32,
    /// and when for the last time.
    at: Option<Instant>,
    runs: u64,
    failures: u64,
    last: Option<ProbeRun>,
    /// When the one that runs began, on both clocks.
    begun: Option<(Instant, SystemTime)>,
    next: Option<Instant>,
    /// The numbers of the questions that the next result answers.
    askers: Vec<u64>,
    /// Another process wants to know soon.
    soon: bool,
}

impl Voice {
    pub(crate) fn new(plan: &TrackerPlan, link: Link) -> Self {
        let hysteresis = &plan.hysteresis;
        Self(Arc::new(Inner {
            tracker: plan.name.clone(),
            link,
            matter: hysteresis.rise.max(hysteresis.fall).max(1),
            all: hysteresis.stale_after.is_some(),
            memory: Mutex::default(),
            wanted: Notify::new(),
        }))
    }

    /// It is made now.
    pub(crate) fn begin(&self) {
        self.memory().begun = Some((Instant::now(), SystemTime::now()));
    }

    /// When it is made next.
    pub(crate) fn expect(&self, next: Instant) {
        self.memory().next = Some(next);
    }

    /// This was found.
    pub(crate) fn say(&self, sample: Sample) {
        self.note(sample, false);
    }

    fn note(&self, mut sample: Sample, unable: bool) {
        if let Some((end, _)) = sample.detail.char_indices().nth(REASON) {
            sample.detail.truncate(end);
        }
        let mut memory = self.memory();
        let now = Instant::now();
        let (begun, wall) = memory
            .begun
            .take()
            .unwrap_or_else(|| (now, SystemTime::now()));
        let run = ProbeRun {
            time: timestamp(wall),
            took_us: micros(now - begun),
            good: sample.level == Level::Up,
            unable,
            said: sample.detail.clone(),
            offset: sample.offset,
        };
        memory.runs += 1;
        memory.failures += u64::from(!run.good);
        // Another reason is news, too.
        if memory.sample.as_ref() != Some(&sample) {
            memory.said = 0;
        }
        let old = memory.at.is_none_or(|at| at.elapsed() > REPEAT);
        if self.0.all || old || memory.said < self.0.matter {
            let tracker = self.0.tracker.clone();
            let said = self.0.link.say(FromAgent::Sample {
                tracker,
                sample: sample.clone(),
            });
            // What got lost is said again next time.
            if said {
                memory.said = memory.said.saturating_add(1);
                memory.at = Some(now);
            }
        }
        memory.sample = Some(sample);
        for number in memory.askers.drain(..) {
            let run = Some(run.clone());
            self.0.link.say(FromAgent::Probed { number, run });
        }
        memory.last = Some(run);
    }

    /// Up or down, and why.
    pub(crate) fn found(&self, found: Found) {
        let (level, detail, unable) = match found {
            Ok(detail) => (Level::Up, detail, false),
            Err(bad) => (Level::Down, bad.why, bad.unable),
        };
        let sample = Sample {
            level,
            offset: None,
            detail,
        };
        self.note(sample, unable);
    }

    /// Another process may not have heard what was said. Nothing is said twice, which would count twice: it is looked again.
    pub(crate) fn begin_again(&self) {
        let mut memory = self.memory();
        memory.said = 0;
        memory.at = None;
        memory.soon = true;
        drop(memory);
        self.0.wanted.notify_one();
    }

    /// Somebody wants to see it made, or to hear how the one ends that runs.
    pub(crate) fn ask(&self, number: u64) {
        let mut memory = self.memory();
        if memory.askers.len() < ASKERS {
            memory.askers.push(number);
            drop(memory);
            self.0.wanted.notify_one();
        } else {
            self.0.link.say(FromAgent::Probed { number, run: None });
        }
    }

    /// Waits until somebody wants something: whether it is to be made at once, and otherwise soon.
    pub(crate) async fn wanted(&self) -> bool {
        loop {
            {
                let mut memory = self.memory();
                let soon = std::mem::take(&mut memory.soon);
                if soon || !memory.askers.is_empty() {
                    return !memory.askers.is_empty();
                }
            }
            self.0.wanted.notified().await;
        }
    }

    /// How it is doing.
    pub(crate) fn report(&self) -> ProbeReport {
        let memory = self.memory();
        let now = Instant::now();
        ProbeReport {
            tracker: self.0.tracker.clone(),
            runs: memory.runs,
            failures: memory.failures,
            last: memory.last.clone(),
            running_us: memory.begun.map(|(begun, _)| micros(now - begun)),
            next_us: memory
                .next
                .map(|next| micros(next.saturating_duration_since(now))),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
