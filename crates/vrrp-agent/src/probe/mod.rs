//! Probes: what trackers watch that the kernel does not tell of. Each is asked at its own pace, never twice at the same time,
//! and not in step with the others; what it says are samples, of which the engine makes levels.

mod dns;
mod file;
mod http;
mod icmp;
mod once;
mod ping;
mod process;
mod script;
mod tcp;
mod tls;
mod turns;
mod voice;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_local};
use tokio::time::timeout;
use vrrp_control::ProbeReport;
use vrrp_control::agent::FromAgent;
use vrrp_proto::{TrackerKind, TrackerPlan};

use crate::link::Link;
pub(crate) use once::Once;
use turns::Turns;
use voice::Voice;

/// What is known of a tracker when it is looked at: that it is up, or why not.
pub(crate) type Found = Result<String, Bad>;

/// Why a tracker is not up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bad {
    pub(crate) why: String,
    /// It could not be looked at all, for a reason that lies on this host.
    pub(crate) unable: bool,
}

impl From<String> for Bad {
    fn from(why: String) -> Self {
        Self { why, unable: false }
    }
}

impl Bad {
    pub(crate) const fn unable(why: String) -> Self {
        Self { why, unable: true }
    }
}

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

    /// How they are doing.
    pub(crate) fn report(&self) -> Vec<ProbeReport> {
        let all = self.running.values();
        all.map(|it| it.voice.report()).collect()
    }

    /// Somebody wants to see one made.
    pub(crate) fn ask(&self, number: u64, tracker: &str) {
        match self.running.get(tracker) {
            Some(running) => running.voice.ask(number),
            None => {
                self.link.say(FromAgent::Probed { number, run: None });
            }
        }
    }
}

/// Each kind has room of its own: otherwise a tracker of any kind would have that of the largest.
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
            let mut table = Once::default();
            let look = async || process::look(&pattern, count, &mut table).await;
            Box::pin(each(&name, interval, interval, &voice, look)).await;
        }
        TrackerKind::File {
            path,
            weighted,
            interval,
        } => Box::pin(file::watch(&name, &path, weighted, interval, &voice)).await,
        TrackerKind::Script {
            command,
            user,
            pace,
        } => {
            let order = script::order(&name, &command, user.as_deref(), pace.timeout);
            Box::pin(script::watch(&name, &order, pace.interval, &voice)).await;
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
            Box::pin(ping::watch(&name, &target, pace, loss, &voice)).await;
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
            Box::pin(each(&name, pace.interval, pace.timeout, &voice, look)).await;
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
            let mut names = Once::default();
            let look = async || http::look(&wanted, &mut names).await;
            Box::pin(each(&name, pace.interval, pace.timeout, &voice, look)).await;
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
            Box::pin(each(&name, pace.interval, pace.timeout, &voice, look)).await;
        }
        // A thread of the daemon has the sessions: nobody may wait for them here.
        TrackerKind::Bfd { .. } => {}
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
    let mut turns = Turns::new(name, interval, voice);
    loop {
        turns.next().await;
        let late = || Err(format!("no answer within {}", span(limit)).into());
        voice.found(timeout(limit, look()).await.unwrap_or_else(|_| late()));
    }
}

/// As an operator would say it.
pub(crate) fn span(span: Duration) -> String {
    match span.as_millis() {
        ms if ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}
