//! Probes: what trackers watch that the kernel does not tell of. Each is asked at its own pace, never twice at the same time,
//! and not in step with the others; what it says are samples, of which the engine makes levels.

mod dns;
mod file;
mod http;
mod icmp;
mod ping;
mod process;
mod script;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use vrrp_control::agent::FromAgent;
use vrrp_proto::{Level, Sample, TrackerKind, TrackerPlan};

use crate::link::Link;

/// Probes begin within this, however rare they are.
const SPREAD: Duration = Duration::from_secs(1);

/// What is as it was is said this often, for those who ask when there was a result last.
const REPEAT: Duration = Duration::from_secs(10);

/// What is known of a tracker when it is looked at.
pub(crate) type Found = Result<String, String>;

/// The probes that run.
#[derive(Debug)]
pub(crate) struct Probes {
    link: Link,
    running: BTreeMap<String, Running>,
}

#[derive(Debug)]
struct Running {
    plan: TrackerPlan,
    voice: Voice,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says what was found, as often as it matters: an engine that has counted to its limit need not hear the same again.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    tracker: Arc<str>,
    link: Link,
    memory: Arc<Mutex<Memory>>,
    /// Samples in a row that matter.
    matter: u32,
    /// Whether each is wanted, because a result is good for a while only.
    all: bool,
}

#[derive(Debug, Default)]
struct Memory {
    last: Option<Sample>,
    /// How often that was said,
    said: u32,
    /// and when for the last time.
    at: Option<Instant>,
}

impl Voice {
    fn new(plan: &TrackerPlan, link: Link) -> Self {
        let hysteresis = &plan.hysteresis;
        Self {
            tracker: plan.name.as_str().into(),
            link,
            memory: Arc::default(),
            matter: hysteresis.rise.max(hysteresis.fall).max(1),
            all: hysteresis.stale_after.is_some(),
        }
    }

    /// This was found.
    pub(crate) fn say(&self, sample: Sample) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        // Another reason is news, too.
        let same = memory.last.as_ref() == Some(&sample);
        memory.said = if same {
            memory.said.saturating_add(1)
        } else {
            1
        };
        let old = memory.at.is_none_or(|at| at.elapsed() > REPEAT);
        if self.all || old || memory.said <= self.matter {
            memory.at = Some(Instant::now());
            self.link.say(FromAgent::Sample {
                tracker: self.tracker.to_string(),
                sample: sample.clone(),
            });
        }
        memory.last = Some(sample);
    }

    /// Up or down, and why.
    pub(crate) fn found(&self, found: Found) {
        let (level, detail) = match found {
            Ok(detail) => (Level::Up, detail),
            Err(detail) => (Level::Down, detail),
        };
        self.say(Sample {
            level,
            offset: None,
            detail,
        });
    }

    /// Another process may not have heard what was said.
    fn begin_again(&self) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.said = 0;
        if let Some(sample) = memory.last.clone() {
            memory.said = 1;
            self.link.say(FromAgent::Sample {
                tracker: self.tracker.to_string(),
                sample,
            });
        }
    }
}

impl Probes {
    pub(crate) const fn new(link: Link) -> Self {
        Self {
            link,
            running: BTreeMap::new(),
        }
    }

    /// These from now on. What is the same goes on.
    pub(crate) fn configure(&mut self, trackers: Vec<TrackerPlan>) {
        let mut before = std::mem::take(&mut self.running);
        for plan in trackers {
            let kept = before.remove(&plan.name).filter(|kept| kept.plan == plan);
            let running = kept.unwrap_or_else(|| {
                let voice = Voice::new(&plan, self.link.clone());
                let task = spawn_local(probe(plan.clone(), voice.clone()));
                Running { plan, voice, task }
            });
            self.running.insert(running.plan.name.clone(), running);
        }
    }

    /// There is another process that wants to know of everything.
    pub(crate) fn begin_again(&self) {
        self.running.values().for_each(|it| it.voice.begin_again());
    }
}

async fn probe(plan: TrackerPlan, voice: Voice) {
    let name = plan.name;
    match plan.kind {
        // The daemon hears of these from the kernel.
        TrackerKind::Interface { .. }
        | TrackerKind::Route { .. }
        | TrackerKind::Address { .. }
        | TrackerKind::Neighbour { .. } => {}
        TrackerKind::Process {
            pattern,
            count,
            interval,
        } => {
            let look = async || process::look(&pattern, count).await;
            each(&name, interval, interval, &voice, look).await;
        }
        TrackerKind::File {
            path,
            weighted,
            interval,
        } => file::watch(&name, &path, weighted, interval, &voice).await,
        TrackerKind::Script {
            command,
            user,
            pace,
        } => {
            let look = async || script::run(&name, &command, user.as_deref(), pace.timeout).await;
            // It ends what it has started by itself, which takes a moment more.
            each(
                &name,
                pace.interval,
                pace.timeout + script::MORE,
                &voice,
                look,
            )
            .await;
        }
        TrackerKind::Ping {
            address,
            interface,
            source,
            pace,
            loss,
        } => {
            let target = icmp::Target {
                address,
                interface,
                source,
            };
            ping::watch(&name, &target, pace, loss, &voice).await;
        }
        TrackerKind::Tcp {
            address,
            port,
            interface,
            source,
            pace,
        } => {
            let look =
                async || tcp::look((address, port).into(), interface.as_deref(), source).await;
            each(&name, pace.interval, pace.timeout, &voice, look).await;
        }
        TrackerKind::Http {
            url,
            host,
            status,
            body,
            verify,
            pace,
        } => {
            let wanted = http::Wanted {
                url,
                host,
                status,
                body,
                verify,
            };
            let look = async || http::look(&wanted).await;
            each(&name, pace.interval, pace.timeout, &voice, look).await;
        }
        TrackerKind::Dns {
            server,
            port,
            name: question,
            record,
            expect,
            pace,
        } => {
            let server = (server, port).into();
            let look = async || dns::look(server, &question, record, expect.as_deref()).await;
            each(&name, pace.interval, pace.timeout, &voice, look).await;
        }
        TrackerKind::Bfd { .. } => {
            voice.found(Err("this version has no BFD".into()));
        }
    }
}

/// Looks at each interval, and says what was found; nothing within `limit` is down. Whoever takes longer than the interval
/// leaves one out.
async fn each(
    name: &str,
    interval: Duration,
    limit: Duration,
    voice: &Voice,
    mut look: impl AsyncFnMut() -> Found,
) {
    let mut ticks = ticks(name, interval);
    loop {
        ticks.tick().await;
        let late = || Err(format!("no answer within {}", span(limit)));
        voice.found(timeout(limit, look()).await.unwrap_or_else(|_| late()));
    }
}

/// When to look: each tracker has a place of its own within the interval.
pub(crate) fn ticks(name: &str, interval: Duration) -> tokio::time::Interval {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let window = interval.min(SPREAD).as_micros().max(1);
    let micros = u128::from(hasher.finish()) % window;
    let offset = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    let mut ticks = interval_at(Instant::now() + offset, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

/// As an operator would say it.
pub(crate) fn span(span: Duration) -> String {
    match span.as_millis() {
        ms if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}
