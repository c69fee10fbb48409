//! BFD sessions of trackers: a thread with sockets and timers of its own, because what tells of the end of an Active may wait
//! neither for netlink nor for probes. It is there only where a tracker needs it.
//!
//! ```text
//!   UDP 3784 ------> ears ---+                       +--> mouths, one source port each
//!   ppoll timeout -----------+--> Session (pure) ----+--> News: a sample, or a peer that is gone
//!   the engine's wishes -----+                       +--> the board, for whoever asks; the store, for a successor
//! ```

mod kept;
mod socket;
mod speaker;
mod talk;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::{Deserialize, Serialize};
use vrrp_bfd::Config;
use vrrp_proto::{Instant, Sample, TrackerKind, TrackerPlan};

pub(crate) use kept::{Estate, is_ours};
use speaker::Speaker;

use crate::syscall::{ENGINE_PRIORITY, schedule_first};

/// Behind the engine, and before everybody else: a session of 10 ms is lost in 30.
const PRIORITY: i32 = ENGINE_PRIORITY - 1;

/// A session that a tracker wants.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// The tracker.
    name: String,
    peer: IpAddr,
    source: Option<IpAddr>,
    interface: String,
    config: Config,
}

impl Wanted {
    pub(crate) fn of(plan: &TrackerPlan) -> Option<Self> {
        let TrackerKind::Bfd {
            peer,
            source,
            interface,
            desired_min_tx,
            required_min_rx,
            multiplier,
        } = &plan.kind
        else {
            return None;
        };
        Some(Self {
            name: plan.name.clone(),
            peer: *peer,
            source: *source,
            interface: interface.clone(),
            config: Config {
                desired_min_tx: *desired_min_tx,
                required_min_rx: *required_min_rx,
                multiplier: *multiplier,
            },
        })
    }

    /// Whether it is the same session, perhaps with other intervals.
    fn is_same(&self, other: &Self) -> bool {
        let who = |it: &Self| (it.name.clone(), it.peer, it.source, it.interface.clone());
        who(self) == who(other)
    }
}

/// What the engine is to hear, of the tracker with this name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum News {
    Sample(String, Sample),
    /// The peer is gone, and how that is known.
    Lost(String, String),
}

/// Where news go. It may wait.
pub(crate) type Deliver = Arc<dyn Fn(Vec<News>) + Send + Sync>;

/// How a session stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionReport {
    /// With whom.
    pub peer: IpAddr,
    /// Where.
    pub interface: String,
    /// Our state, in RFC 9314's word.
    pub state: &'static str,
    /// Since when.
    pub since: Instant,
    /// Why, in RFC 9314's word, and its number on the wire.
    pub diagnostic: (&'static str, u8),
    /// Our discriminator.
    pub discriminator: u32,
    /// The UDP port that it speaks from; `None` while there is no socket.
    pub source_port: Option<u16>,
    /// The peer's state and diagnostic.
    pub remote_state: &'static str,
    /// The same.
    pub remote_diagnostic: (&'static str, u8),
    /// The peer's discriminator, while it is heard.
    pub remote_discriminator: Option<u32>,
    /// Detect Mult of the peer; 0 before it was heard.
    pub remote_multiplier: u8,
    /// Between two of our packets, without jitter; `None` if the peer wants none.
    pub transmit_interval: Option<Duration>,
    /// How long the peer may be silent; zero before it was heard.
    pub detection_time: Duration,
    /// When the peer was heard last.
    pub heard: Option<Instant>,
    /// Packets that left.
    pub sent: u64,
    /// Packets that were taken.
    pub received: u64,
    /// Packets that were not, and why the last one was not.
    pub discarded: (u64, Option<String>),
    /// How often it went down after it was up.
    pub lost: u64,
    /// Why nothing can be sent or heard.
    pub failure: Option<String>,
}

/// How all sessions stand, by the names of their trackers.
pub(crate) type Board = Arc<Mutex<BTreeMap<String, SessionReport>>>;

/// Starts the thread when it is needed first; when this is dropped, peers are told that we are gone, and it ends.
pub(crate) struct Bfd {
    deliver: Deliver,
    board: Board,
    estate: Option<Estate>,
    thread: Option<Arc<Shared>>,
}

struct Shared {
    wake: EventFd,
    wishes: Mutex<Wishes>,
}

#[derive(Default)]
struct Wishes {
    wanted: Option<Vec<Wanted>>,
    end: bool,
}

impl std::fmt::Debug for Bfd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bfd({})", self.thread.is_some())
    }
}

impl Bfd {
    /// `estate` is what the process before this one left, and where to leave one's own.
    pub(crate) fn new(deliver: Deliver, board: Board, estate: Option<Estate>) -> Self {
        Self {
            deliver,
            board,
            estate,
            thread: None,
        }
    }

    /// Keeps these sessions from now on. Peers of the others are told that theirs is switched off. Does not wait.
    pub(crate) fn want(&mut self, wanted: Vec<Wanted>) {
        if self.thread.is_none() && wanted.is_empty() {
            return;
        }
        let shared = match &self.thread {
            Some(shared) => Arc::clone(shared),
            None => match self.start() {
                Ok(shared) => Arc::clone(self.thread.insert(shared)),
                Err(error) => {
                    tracing::error!(%error, "there are no BFD sessions");
                    return;
                }
            },
        };
        shared.tell(|wishes| wishes.wanted = Some(wanted));
    }

    fn start(&mut self) -> std::io::Result<Arc<Shared>> {
        let shared = Arc::new(Shared {
            wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            wishes: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let (deliver, board) = (Arc::clone(&self.deliver), Arc::clone(&self.board));
        let estate = self.estate.take();
        let work = move || {
            let _ = schedule_first(PRIORITY);
            Speaker::new(own, deliver, board, estate).run();
        };
        std::thread::Builder::new().name("bfd".into()).spawn(work)?;
        Ok(shared)
    }
}

impl Drop for Bfd {
    fn drop(&mut self) {
        if let Some(shared) = &self.thread {
            shared.tell(|wishes| wishes.end = true);
        }
    }
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner));
        // Only fails when the counter is at its maximum, and then the thread is awake anyway.
        let _ = self.wake.write(1);
    }

    fn wishes(&self) -> Wishes {
        let _ = self.wake.read();
        std::mem::take(&mut self.wishes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
