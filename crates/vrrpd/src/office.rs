//! Where events become log lines, history, and news for subscribers.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, broadcast};
use vrrp_control::EventRecord;
use vrrp_linux::News;
use vrrp_linux::store::Store;
use vrrp_proto::{DigestNews, Ended, Happening, Level, Preparedness, Readiness, Role};

use crate::chronicle::Chronicle;

/// Events that `vrrpctl events` can look back on. The oldest is forgotten when another comes.
const HISTORY: usize = 1000;

/// Events that wait to be written to the disk. When it cannot be written, the oldest is not kept there.
const PENDING: usize = 4096;

/// Events that a subscriber may lag behind. A slower one loses the oldest and is told how many.
const SUBSCRIBER: usize = 1024;

/// Takes note of everything that happens.
#[derive(Clone, Debug)]
pub(crate) struct Office {
    desk: Arc<Mutex<Desk>>,
    subscribers: broadcast::Sender<Arc<EventRecord>>,
    /// Told when something begins to wait for the disk.
    pending: Arc<Notify>,
}

#[derive(Debug)]
struct Desk {
    history: VecDeque<Arc<EventRecord>>,
    sequence: u64,
    chronicle: Chronicle,
    /// What is not on the disk yet.
    pending: VecDeque<Arc<EventRecord>>,
}

impl Office {
    /// Goes on from what an office before this one noted, and leaves its own notes in `store`. Events up to the number `kept` are
    /// on the disk.
    pub(crate) fn new(mut history: VecDeque<Arc<EventRecord>>, store: Store, kept: u64) -> Self {
        let extra = history.len().saturating_sub(HISTORY);
        history.drain(..extra);
        let desk = Desk {
            sequence: history.back().map_or(0, |last| last.sequence).max(kept),
            pending: history
                .iter()
                .filter(|record| record.sequence > kept)
                .cloned()
                .collect(),
            chronicle: Chronicle::begin(store, &history),
            history,
        };
        Self {
            desk: Arc::new(Mutex::new(desk)),
            subscribers: broadcast::Sender::new(SUBSCRIBER),
            pending: Arc::default(),
        }
    }

    /// Notes what happened to a router or in the engine.
    pub(crate) fn note(&self, news: News) -> Arc<EventRecord> {
        let News { at, event } = news;
        let router = event.router.map(|_| event.name);
        let happening = event.happening;
        let text = happening.to_string();
        let kind = happening.name();
        let name = router.as_deref().unwrap_or("-");
        if is_good_news(&happening) {
            tracing::info!(router = name, kind, "{text}");
        } else {
            tracing::warn!(router = name, kind, "{text}");
        }
        let mut record = EventRecord {
            time: timestamp(at),
            sequence: 0,
            router,
            kind: kind.into(),
            text,
            from: None,
            to: None,
            reason: None,
        };
        match happening {
            Happening::Role { from, to, reason } => {
                record.from = Some(from.name().into());
                record.to = Some(to.name().into());
                record.reason = Some(reason.name().into());
            }
            // What that means for its addresses.
            Happening::Prepared { how, live, .. } => {
                let called_off = how == Preparedness::CalledOff;
                let to = match (live, called_off) {
                    (true, _) => Some(Role::Active),
                    (false, true) => Some(Role::Backup),
                    (false, false) => None,
                };
                record.to = to.map(|role| role.name().into());
                record.reason = Some(how.name().into());
            }
            Happening::Faults(_)
            | Happening::FollowedActive { .. }
            | Happening::Conflict { .. }
            | Happening::Claimed { .. }
            | Happening::Refused { .. }
            | Happening::Odd { .. }
            | Happening::Late(_)
            | Happening::Repaired(_)
            | Happening::Lacks(_)
            | Happening::KernelRefused(_)
            | Happening::Left(_)
            | Happening::Revised
            | Happening::Digest(_)
            | Happening::Added
            | Happening::Removed
            | Happening::Ready(_)
            | Happening::Preparing { .. }
            | Happening::OrderEnded { .. }
            | Happening::Tracker { .. }
            | Happening::PeerLost { .. }
            | Happening::Adjusted { .. } => {}
        }
        self.file(record)
    }

    /// Notes what the daemon did; the caller logs it.
    pub(crate) fn note_daemon(&self, kind: &'static str, text: impl Into<String>) {
        self.enter(None, kind, text.into());
    }

    /// Enters a sentence, about a router or about the daemon; the caller logs it.
    pub(crate) fn enter(
        &self,
        router: Option<String>,
        kind: impl Into<Cow<'static, str>>,
        text: String,
    ) {
        self.file(EventRecord {
            time: timestamp(SystemTime::now()),
            sequence: 0,
            router,
            kind: kind.into(),
            text,
            from: None,
            to: None,
            reason: None,
        });
    }

    /// The events so far, and those to come, without a gap between them.
    pub(crate) fn subscribe(
        &self,
    ) -> (Vec<Arc<EventRecord>>, broadcast::Receiver<Arc<EventRecord>>) {
        let desk = self.desk();
        (
            desk.history.iter().cloned().collect(),
            self.subscribers.subscribe(),
        )
    }

    /// The number of the last event.
    pub(crate) fn last(&self) -> u64 {
        self.desk().sequence
    }

    /// Waits until there is something to write to the disk.
    pub(crate) async fn something_pending(&self) {
        while self.desk().pending.is_empty() {
            self.pending.notified().await;
        }
    }

    /// What is to be written to the disk.
    pub(crate) fn take_pending(&self) -> Vec<Arc<EventRecord>> {
        self.desk().pending.drain(..).collect()
    }

    /// What could not be.
    pub(crate) fn put_back(&self, events: Vec<Arc<EventRecord>>) {
        let mut desk = self.desk();
        let newer = std::mem::take(&mut desk.pending);
        let all = events.len() + newer.len();
        let together = events.into_iter().chain(newer);
        desk.pending = together.skip(all.saturating_sub(PENDING)).collect();
    }

    fn file(&self, mut record: EventRecord) -> Arc<EventRecord> {
        let mut desk = self.desk();
        desk.sequence += 1;
        record.sequence = desk.sequence;
        if desk.history.len() == HISTORY {
            desk.history.pop_front();
        }
        let record = Arc::new(record);
        desk.history.push_back(Arc::clone(&record));
        if desk.pending.len() == PENDING {
            desk.pending.pop_front();
        }
        desk.pending.push_back(Arc::clone(&record));
        self.pending.notify_one();
        let Desk {
            history, chronicle, ..
        } = &mut *desk;
        chronicle.enter(history, HISTORY);
        // Under the lock, so that `subscribe` sees each event exactly once. Nobody listening is no error.
        let _ = self.subscribers.send(Arc::clone(&record));
        record
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an operator may sleep on.
fn is_good_news(happening: &Happening) -> bool {
    match happening {
        Happening::Role { .. }
        | Happening::FollowedActive { .. }
        | Happening::Revised
        | Happening::Added
        | Happening::Removed => true,
        Happening::Faults(faults) => faults.is_empty(),
        Happening::Digest(news) => match news {
            DigestNews::Changed { .. } => true,
            DigestNews::GraceEnded { lags } => lags.is_none(),
            DigestNews::Suspected { .. } => false,
        },
        Happening::Tracker { to, .. } => *to == Level::Up,
        Happening::Adjusted { base, priority, .. } => priority >= base,
        Happening::Left(successor) => successor.is_some(),
        Happening::Ready(why) => *why != Readiness::TimedOut,
        Happening::Preparing { .. } => true,
        Happening::Prepared { how, .. } => *how != Preparedness::TimedOut,
        Happening::OrderEnded { why, .. } => *why != Ended::Unclaimed,
        Happening::Conflict { .. }
        | Happening::Claimed { .. }
        | Happening::Refused { .. }
        | Happening::Odd { .. }
        | Happening::Late(_)
        | Happening::Repaired(_)
        | Happening::PeerLost { .. }
        | Happening::Lacks(_)
        | Happening::KernelRefused(_) => false,
    }
}

/// RFC 3339 in UTC with microseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .map_or_else(|_| String::new(), |timestamp| format!("{timestamp:.6}"))
}
