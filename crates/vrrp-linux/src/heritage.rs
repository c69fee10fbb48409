//! What a worker leaves to the one that replaces it when it dies: its state, the time of each router's last advertisement,
//! and its sockets.
//!
//! The state is a file in memory, written anew and put into the [`Store`] after each change of role: a successor finds the
//! last whole one. What happened since is not in it, and [`Handover::revive`] allows for that.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use thiserror::Error;
use vrrp_proto::{Engine, Family, Handover, Input, Instant, Output};

use crate::clock;
use crate::ears::Ear;
use crate::frame;
use crate::outbox::Outbox;
use crate::pulse::Pulse;
use crate::socket::FrameSocket;
use crate::store::{Descriptors, Store};

const STATE: &str = "state";
const PULSE: &str = "pulse";

/// First line of a state that this program understands.
fn title() -> String {
    format!("vrrpd {} {}\n", env!("CARGO_PKG_VERSION"), Handover::VERSION)
}

/// What was found, and where to leave one's own.
#[derive(Debug)]
pub struct Heritage {
    store: Store,
    state: Option<Handover>,
    pulse: Pulse,
    sockets: Descriptors,
}

/// Why nothing can be inherited.
#[derive(Debug, Error)]
pub enum HeritageError {
    /// The keeper.
    #[error("the keeper does not answer")]
    Keeper(#[source] io::Error),
    /// The memory.
    #[error("there is no memory to leave anything in")]
    Memory(#[source] io::Error),
}

impl Heritage {
    /// What is in `store`. A state that cannot be read is none.
    ///
    /// # Errors
    /// When there is nobody to leave anything to, or no memory.
    pub fn find(store: Store) -> Result<Self, HeritageError> {
        let mut sockets = store.take().map_err(HeritageError::Keeper)?;
        let state = sockets.remove(STATE).map(read_state);
        let pulse = sockets.remove(PULSE).map(Pulse::of);
        let (state, pulse) = match (state, pulse) {
            (Some(Ok(state)), Some(Ok(pulse))) => (Some(state), pulse),
            (state, pulse) => {
                let errors = [state.and_then(Result::err), pulse.and_then(Result::err)];
                for error in errors.iter().flatten() {
                    tracing::warn!(%error, "what the last process left is of no use; starting cold");
                }
                sockets.clear();
                (None, Pulse::new().map_err(HeritageError::Memory)?)
            }
        };
        store
            .put(PULSE, pulse.as_fd())
            .map_err(HeritageError::Keeper)?;
        Ok(Self {
            store,
            state,
            pulse,
            sockets,
        })
    }

    /// Whether another process ran before this one, and left what is needed to go on.
    #[must_use]
    pub const fn is_resumption(&self) -> bool {
        self.state.is_some()
    }

    /// The engine that goes on where the last one died; `None` for the first of its line.
    #[must_use]
    pub fn engine(&self, now: Instant) -> Option<Engine> {
        let mut state = self.state.clone()?;
        state.revive(now, |router| self.pulse.last(router));
        Some(Engine::resume(state))
    }

    /// Parts with what is not needed once the engine runs.
    pub(crate) fn settle(self) -> (Legacy, Sockets) {
        let legacy = Legacy {
            store: self.store.clone(),
            pulse: self.pulse,
            dirty: false,
            saved: Instant::ZERO,
        };
        let sockets = Sockets {
            store: self.store,
            found: self.sockets,
        };
        (legacy, sockets)
    }
}

/// Gives up in the name of a worker that cannot be replaced: releases what it was Active for, so that Backups need to wait
/// for their skew time only (RFC 9568 §6.4.3), and returns for how many routers that could be said. Its leases keep what
/// it leaves in the kernel off the wire.
///
/// # Errors
/// When what it left is of no use.
pub fn release(left: &Descriptors) -> io::Result<usize> {
    let find = |name: &str| {
        let fd = left.get(name).ok_or(io::ErrorKind::NotFound)?;
        fd.try_clone()
    };
    let (mut state, pulse) = (read_state(find(STATE)?)?, Pulse::of(find(PULSE)?)?);
    let now = clock::now();
    state.revive(now, |router| pulse.last(router));
    let mut engine = Engine::resume(state);
    while engine.poll_output().is_some() {}
    engine.handle(now, Input::Shutdown);
    let mut outbox = Outbox::new(FrameSocket::open()?);
    while let Some(output) = engine.poll_output() {
        let Output::Transmit(transmit) = output else {
            continue;
        };
        let Some(facts) = engine.link(transmit.link) else {
            continue;
        };
        let (mac, source) = (transmit.mac.unwrap_or(facts.mac), transmit.source);
        outbox.put(transmit.link, facts.index, None, |frame| {
            frame::advertisement(frame, mac, source, transmit.destination, &transmit.message, 0)
        });
    }
    let mut released = 0;
    outbox.send(None, |_, result| released += usize::from(result.is_ok()));
    Ok(released)
}

fn read_state(file: OwnedFd) -> io::Result<Handover> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let body = text
        .strip_prefix(&title())
        .ok_or_else(|| io::Error::other("it is of another version"))?;
    Ok(serde_json::from_str(body)?)
}

/// What this worker leaves in its turn.
#[derive(Debug)]
pub(crate) struct Legacy {
    store: Store,
    pub(crate) pulse: Pulse,
    /// Whether the state in the store is no longer the one of now.
    dirty: bool,
    saved: Instant,
}

impl Legacy {
    /// A state is written at most this often: many routers change in a moment, and each writing concerns all of them.
    pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

    /// Something happened that a successor must know.
    pub(crate) const fn note(&mut self) {
        self.dirty = true;
    }

    /// When there is something to be written.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.dirty.then(|| self.saved + Self::PAUSE)
    }

    /// Writes the state, if that is due.
    pub(crate) fn save(&mut self, now: Instant, engine: &Engine) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        self.dirty = false;
        self.saved = now;
        if let Err(error) = self.write(&engine.save()) {
            tracing::warn!(%error, "if this process dies now, the next one starts cold");
        }
    }

    fn write(&self, state: &Handover) -> io::Result<()> {
        let mut file = File::from(memfd_create("vrrpd-state", MFdFlags::MFD_CLOEXEC)?);
        let mut text = title().into_bytes();
        serde_json::to_writer(&mut text, state)?;
        file.write_all(&text)?;
        self.store.put(STATE, file.as_fd())
    }
}

/// Sockets that were found, and the place for new ones.
#[derive(Debug)]
pub(crate) struct Sockets {
    store: Store,
    found: Descriptors,
}

/// How the sockets of an interface are called in the store.
fn names(index: u32, family: Family) -> [String; 2] {
    ["advertisements", "claims"].map(|what| format!("{what} {index} {family}"))
}

impl Sockets {
    /// The sockets that a process before us had on this interface.
    pub(crate) fn find(&mut self, index: u32, family: Family) -> Option<Ear> {
        let [advertisements, claims] = names(index, family);
        let advertisements = self.found.remove(&advertisements)?;
        let claims = self.found.remove(&claims);
        Some(Ear::inherited(advertisements, claims, index, family))
    }

    /// Leaves them to a process after us. If that fails, it opens its own, a little later.
    pub(crate) fn leave(&self, index: u32, family: Family, ear: &Ear) {
        let [advertisements, claims] = names(index, family);
        let _ = self.store.put(&advertisements, ear.protocol.as_fd());
        if let Some(socket) = &ear.claims {
            let _ = self.store.put(&claims, socket.as_fd());
        }
    }

    /// They are not used any more, and must be closed everywhere to be gone.
    pub(crate) fn withdraw(&self, index: u32, family: Family) {
        for name in names(index, family) {
            let _ = self.store.remove(&name);
        }
    }
}
