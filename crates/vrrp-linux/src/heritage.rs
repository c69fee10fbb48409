//! What a worker leaves to the one that replaces it when it dies: its state, what moves with every packet, its sockets, and
//! the gates of its interfaces.
//!
//! Everything is in the [`Store`] from the moment it exists. The state is a [`Journal`], the rest of what decides is in the
//! [`Pulse`]; [`Handover::revive`] makes one of both.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use thiserror::Error;
use vrrp_gate::{Gate, Parts};
use vrrp_proto::{Engine, Family, Gather, Handover, Input, Instant, Output, RouterId};

use crate::bfd::{Estate, is_ours};
use crate::clock;
use crate::ears::{Ear, bury};
use crate::frame;
use crate::journal::{self, Journal};
use crate::kernel::{Fencing, OwnerId};
use crate::lateness::{Lateness, LatenessReport};
use crate::outbox::Outbox;
use crate::pulse::Pulse;
use crate::socket::FrameSocket;
use crate::store::{Descriptors, Store, read_text};

const STATE: &str = "state";
const PULSE: &str = "pulse";
const FRAMES: &str = "frames";
const FILTER: &str = "filter";
const EARS: [&str; 2] = ["advertisements", "claims"];

/// How the parts of an interface's gate are called in the store.
fn gate_name(index: u32, part: &str) -> String {
    format!("gate {index} {part}")
}

/// How the sockets of an interface are called in the store.
fn ear_names(index: u32, family: Family) -> [String; 2] {
    EARS.map(|what| format!("{what} {index} {family}"))
}

/// What was found, and where to leave one's own.
#[derive(Debug)]
pub struct Heritage {
    store: Store,
    state: Option<Handover>,
    pulse: Pulse,
    rest: Descriptors,
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
        let mut rest = store.take().map_err(HeritageError::Keeper)?;
        let state = rest.remove(STATE).map(journal::read);
        let pulse = rest.remove(PULSE).map(Pulse::of);
        let (state, pulse) = match (state, pulse) {
            (Some(Ok(state)), Some(Ok(pulse))) => (Some(state), pulse),
            (state, pulse) => {
                let errors = [state.and_then(Result::err), pulse.and_then(Result::err)];
                for error in errors.iter().flatten() {
                    tracing::warn!(%error, "what the last process left is of no use; starting cold");
                }
                let pulse = Pulse::new().map_err(HeritageError::Memory)?;
                store
                    .put(PULSE, pulse.as_fd())
                    .map_err(HeritageError::Keeper)?;
                (None, pulse)
            }
        };
        Ok(Self {
            store,
            state,
            pulse,
            rest,
        })
    }

    /// Whether this process could go on from what is in `store` now. Changes nothing, so that another one may be at work
    /// meanwhile; and does once what the real thing will do, so that this is quick.
    ///
    /// # Errors
    /// Why it could not.
    pub fn rehearse(store: &Store) -> io::Result<()> {
        let mut rest = store.take()?;
        let mut find = |name| {
            let missing = || io::Error::other("the running worker has left no state");
            rest.remove(name).ok_or_else(missing)
        };
        let (state, pulse) = (journal::read(find(STATE)?)?, Pulse::of(find(PULSE)?)?);
        drop(revived(state, &pulse, clock::now()));
        Ok(())
    }

    /// Nothing is taken over: what was found is of another place or time, and nobody is to find it again.
    ///
    /// # Errors
    /// As for [`Self::find`].
    pub fn renounce(self) -> Result<Self, HeritageError> {
        let Self { store, rest, .. } = self;
        for name in rest.keys().map(String::as_str).chain([STATE]) {
            store.remove(name).map_err(HeritageError::Keeper)?;
        }
        bury(rest);
        let pulse = Pulse::new().map_err(HeritageError::Memory)?;
        store
            .put(PULSE, pulse.as_fd())
            .map_err(HeritageError::Keeper)?;
        Ok(Self {
            store,
            state: None,
            pulse,
            rest: Descriptors::new(),
        })
    }

    /// Whether another process ran before this one, and left what is needed to go on.
    #[must_use]
    pub const fn is_resumption(&self) -> bool {
        self.state.is_some()
    }

    /// Where one's own is left.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What the last process left under this name, of which this crate knows nothing.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.rest.remove(name)
    }

    /// The engine that goes on where the last one died; `None` for the first of its line.
    pub(crate) fn engine(&mut self, now: Instant) -> Option<Engine> {
        let state = self.state.take()?;
        Some(revived(state, &self.pulse, now))
    }

    /// How late the engine ran until now.
    pub(crate) fn lateness(&self) -> LatenessReport {
        self.pulse.totals().1
    }

    /// The socket that sends.
    pub(crate) fn frames(&mut self) -> io::Result<FrameSocket> {
        if let Some(socket) = self.rest.remove(FRAMES) {
            return Ok(FrameSocket::inherited(socket));
        }
        let frames = FrameSocket::open()?;
        // Without it, a successor opens its own a little later.
        let _ = self.store.put(FRAMES, frames.as_fd());
        Ok(frames)
    }

    /// The gates of the interfaces, as they stand; `None` if there are none, or none that can be used.
    pub(crate) fn gate(&mut self, owner: OwnerId) -> Option<Gate> {
        let indices: BTreeSet<u32> = self
            .rest
            .keys()
            .filter_map(|name| {
                name.strip_prefix("gate ")?
                    .split(' ')
                    .next()?
                    .parse::<u32>()
                    .ok()
            })
            .gather();
        let found = indices.into_iter().filter_map(|index| {
            let parts = Parts::collect(|part| self.rest.remove(&gate_name(index, part)))?;
            Some((index, parts))
        });
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return None;
        }
        match Gate::adopt(&owner.to_string(), found) {
            Ok(gate) => Some(gate),
            Err(error) => {
                tracing::warn!(%error, "loading a new gate instead");
                None
            }
        }
    }

    /// The script of the filter, and the chains and sets it made.
    pub(crate) fn filter(&mut self) -> Option<(String, u32)> {
        let text = read_text(self.rest.remove(FILTER)?).ok()?;
        let (uses, script) = text.split_once('\n')?;
        Some((script.to_owned(), uses.parse().ok()?))
    }

    /// What the last process left of its BFD sessions.
    pub(crate) fn bfd(&mut self) -> Estate {
        let ours: Vec<String> = self
            .rest
            .keys()
            .filter(|name| is_ours(name))
            .cloned()
            .collect();
        let found = ours
            .into_iter()
            .filter_map(|name| self.rest.remove_entry(&name));
        Estate::new(self.store.clone(), found.collect())
    }

    /// Parts with what is not needed once the engine runs.
    pub(crate) fn settle(self) -> (Legacy, Sockets) {
        let legacy = Legacy {
            store: self.store.clone(),
            pulse: self.pulse,
            journal: None,
            changed: BTreeSet::new(),
            surroundings: false,
            all: true,
            retry_at: None,
        };
        let mut found = self.rest;
        found.retain(|name, _| EARS.iter().any(|ear| name.starts_with(ear)));
        let sockets = Sockets {
            store: self.store,
            found,
        };
        (legacy, sockets)
    }
}

fn revived(mut state: Handover, pulse: &Pulse, now: Instant) -> Engine {
    state.revive(now, |router| pulse.trace(router));
    state.recount(pulse.totals().0);
    Engine::resume(state)
}

/// Gives up in the name of a worker that cannot be replaced: releases what it was Active for, so that Backups need to wait
/// for their skew time only (RFC 9568 §6.4.3), and removes everything it had in the kernel. Returns for how many routers
/// that could be said, or why for none, and what could not be removed.
pub fn release(left: &Descriptors, owner: OwnerId) -> (io::Result<usize>, Vec<String>) {
    let released = say_release(left);
    let mut complaints = match crate::kernel::spawn(owner, Fencing::Nothing, Box::new(drop)) {
        Ok(kernel) => kernel.stop(),
        Err(error) => vec![format!("cannot talk to the kernel: {error}")],
    };
    // Last: without the addresses there is nothing to guard.
    let gates = vrrp_gate::remove(&owner.to_string())
        .err()
        .unwrap_or_default();
    complaints.extend(gates.iter().map(ToString::to_string));
    complaints.extend(crate::kernel::remove_leases(owner).err());
    (released, complaints)
}

fn say_release(left: &Descriptors) -> io::Result<usize> {
    let find = |name: &str| {
        let fd = left.get(name).ok_or(io::ErrorKind::NotFound)?;
        fd.try_clone()
    };
    let (state, pulse) = (journal::read(find(STATE)?)?, Pulse::of(find(PULSE)?)?);
    let now = clock::now();
    let mut engine = revived(state, &pulse, now);
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
            frame::advertisement(
                frame,
                mac,
                source,
                transmit.destination,
                &transmit.message,
                0,
            )
        });
    }
    let mut released = 0;
    outbox.send(None, |_, result| released += usize::from(result.is_ok()));
    Ok(released)
}

/// What this worker leaves in its turn.
#[derive(Debug)]
pub(crate) struct Legacy {
    store: Store,
    pub(crate) pulse: Pulse,
    /// Without one, everything is to be written down anew.
    journal: Option<Journal>,
    /// Routers that are no longer as they are in the journal.
    changed: BTreeSet<RouterId>,
    /// Whether something else is not,
    surroundings: bool,
    /// or perhaps anything.
    all: bool,
    /// When to try again after a failure.
    retry_at: Option<Instant>,
}

impl Legacy {
    /// Routers that are written down in one go: a takeover of a thousand must not keep the engine from its timers.
    const PORTION: usize = 64;

    /// A failure is said this often.
    const RETRY: Duration = Duration::from_secs(1);

    /// A successor must know what happened to this router; or to something else.
    pub(crate) fn note(&mut self, router: Option<RouterId>) {
        match router {
            Some(router) => {
                self.changed.insert(router);
            }
            None => self.surroundings = true,
        }
    }

    /// A successor must know of everything anew.
    pub(crate) const fn note_all(&mut self) {
        self.all = true;
    }

    /// Whether there is still something to be written down.
    pub(crate) fn is_behind(&self) -> bool {
        self.retry_at.is_none() && (self.all || self.surroundings || !self.changed.is_empty())
    }

    /// Writes down what happened. Not all of it if that is much.
    pub(crate) fn keep(&mut self, now: Instant, engine: &Engine, lateness: &Lateness) {
        self.pulse.copy(now, engine, lateness);
        self.retry_at = self.retry_at.filter(|at| *at > now);
        if self.is_behind()
            && let Err(error) = self.write(engine)
        {
            self.journal = None;
            self.all = true;
            self.retry_at = Some(now + Self::RETRY);
            tracing::warn!(%error, "if this process dies now, the next one starts cold");
        }
    }

    /// Writes down everything, for a successor that comes at once; whether that could be done.
    pub(crate) fn finish(&mut self, now: Instant, engine: &Engine, lateness: &Lateness) -> bool {
        self.pulse.recopy();
        self.retry_at = None;
        while self.is_behind() {
            self.keep(now, engine, lateness);
        }
        self.pulse.copy(now, engine, lateness);
        self.retry_at.is_none()
    }

    fn write(&mut self, engine: &Engine) -> io::Result<()> {
        let fresh = self.journal.is_none();
        let journal = match &mut self.journal {
            Some(journal) => journal,
            none => none.insert(Journal::new()?),
        };
        if fresh || self.all {
            self.changed.extend(engine.status().map(|router| router.id));
        }
        // A router that came with others must not be the only one that is known.
        let whole = fresh || self.all || self.surroundings;
        let portion = if whole {
            self.changed.len()
        } else {
            Self::PORTION
        };
        let later = match self.changed.iter().nth(portion).copied() {
            Some(first) => self.changed.split_off(&first),
            None => BTreeSet::new(),
        };
        let routers = std::mem::replace(&mut self.changed, later);
        let surroundings = whole.then(|| (None, engine.save_surroundings()));
        let routers = routers
            .into_iter()
            .map(|id| (Some(id), engine.save_router(id)));
        let moved = journal.enter(surroundings.into_iter().chain(routers))?;
        (self.all, self.surroundings) = (false, false);
        if fresh || moved {
            self.store.put(STATE, journal.as_fd())?;
        }
        Ok(())
    }
}

/// Sockets that were found, and the place for new ones.
#[derive(Debug)]
pub(crate) struct Sockets {
    store: Store,
    found: Descriptors,
}

impl Sockets {
    /// The sockets that a process before us had on this interface.
    pub(crate) fn find(&mut self, index: u32, family: Family) -> Option<Ear> {
        let [advertisements, claims] = ear_names(index, family);
        let advertisements = self.found.remove(&advertisements)?;
        let claims = self.found.remove(&claims);
        Some(Ear::inherited(advertisements, claims, index, family))
    }

    /// Leaves them to a process after us. If that fails, it opens its own, a little later.
    pub(crate) fn leave(&self, index: u32, family: Family, ear: &Ear) {
        let [advertisements, claims] = ear_names(index, family);
        let _ = self.store.put(&advertisements, ear.protocol.as_fd());
        if let Some(socket) = &ear.claims {
            let _ = self.store.put(&claims, socket.as_fd());
        }
    }

    /// Takes away what nobody has looked for.
    pub(crate) fn clear(&mut self) -> Descriptors {
        let found = std::mem::take(&mut self.found);
        for name in found.keys() {
            let _ = self.store.remove(name);
        }
        found
    }

    /// They are not used any more, and must be closed everywhere to be gone.
    pub(crate) fn withdraw(&self, index: u32, family: Family) {
        for name in ear_names(index, family) {
            let _ = self.store.remove(&name);
        }
    }
}

/// Where the kernel thread leaves what is to outlive it.
#[derive(Clone, Debug)]
pub(crate) struct Vault(Store);

impl Vault {
    pub(crate) const fn new(store: Store) -> Self {
        Self(store)
    }

    /// The gate of an interface. Without all of its parts, a successor loads its own.
    pub(crate) fn leave_gate(&self, index: u32, parts: &Parts) {
        for (name, part) in parts.iter() {
            let _ = self.0.put(&gate_name(index, name), part);
        }
    }

    /// It is gone.
    pub(crate) fn withdraw_gate(&self, index: u32) {
        for name in Parts::NAMES {
            let _ = self.0.remove(&gate_name(index, name));
        }
    }

    /// How the packet filter was made, and what was in it then.
    pub(crate) fn leave_filter(&self, script: &str, uses: u32) {
        let _ = self.0.put_text(FILTER, &format!("{uses}\n{script}"));
    }

    /// A socket because of which an interface lets something in, which is so until nobody holds it. Another one of this name
    /// is closed.
    pub(crate) fn leave_entrance(&self, index: u32, name: &str, socket: BorrowedFd<'_>) {
        let _ = self.0.put(&format!("entrance {index} {name}"), socket);
    }

    /// It is not used any more.
    pub(crate) fn withdraw_entrance(&self, index: u32, name: &str) {
        let _ = self.0.remove(&format!("entrance {index} {name}"));
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vrrp_proto::{
        LinkFacts, MacAddress, Plan, Priority, Role, RouterPlan, VirtualAddress, Vrid,
    };

    use super::*;
    use crate::store::{Keep, text_file};

    fn plan(routers: u8) -> Plan {
        let router = |vrid: u8| RouterPlan {
            priority: Priority::OWNER,
            announce_refresh: None,
            ..RouterPlan::new(
                format!("r{vrid}"),
                "eth0",
                Vrid::new(vrid).unwrap(),
                Family::Ipv4,
                vec![VirtualAddress {
                    ip: Ipv4Addr::new(192, 0, 2, vrid).into(),
                    prefix_len: 24,
                }],
            )
        };
        Plan {
            routers: (1..=routers).map(router).collect(),
            ..Plan::default()
        }
    }

    fn drain(engine: &mut Engine) {
        while engine.poll_output().is_some() {}
    }

    /// The plan at work: owners are Active as soon as there is an interface.
    fn engine(plan: &Plan, now: Instant) -> Engine {
        let mut engine = Engine::new(plan, now);
        drain(&mut engine);
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: (1..=250)
                .map(|n| (Ipv4Addr::new(192, 0, 2, n), 24))
                .collect(),
            link_local: Vec::new(),
        };
        let input = Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        };
        engine.handle(now, input);
        drain(&mut engine);
        engine
    }

    /// What a worker finds whose predecessor is dead.
    fn find(keep: &mut Keep) -> Heritage {
        keep.serve();
        let store = Store::new(keep.renew().unwrap());
        let finder = std::thread::spawn(move || Heritage::find(store).unwrap());
        while !finder.is_finished() {
            keep.serve();
            std::thread::yield_now();
        }
        finder.join().unwrap()
    }

    #[test]
    fn nothing_is_inherited_from_nobody() {
        let (mut keep, _end) = Keep::new().unwrap();
        let mut first = find(&mut keep);
        assert!(!first.is_resumption());
        assert!(first.engine(Instant::ZERO).is_none());
        // One that died before it had written anything down leaves nothing.
        let (legacy, _) = first.settle();
        drop(legacy);
        assert!(!find(&mut keep).is_resumption());
        keep.leave(STATE, text_file("something else\n").unwrap());
        assert!(!find(&mut keep).is_resumption());
    }

    #[test]
    fn what_is_renounced_is_found_by_nobody() {
        let (mut keep, _end) = Keep::new().unwrap();
        let running = engine(&plan(1), Instant::from_nanos(1));
        let (mut legacy, _) = find(&mut keep).settle();
        legacy.keep(Instant::from_nanos(1), &running, &Lateness::default());
        drop(legacy);
        keep.leave("other", text_file("").unwrap());
        let found = find(&mut keep);
        assert!(found.is_resumption());
        let none = found.renounce().unwrap();
        assert!(!none.is_resumption());
        drop(none);
        assert!(!find(&mut keep).is_resumption());
        assert!(keep.kept().keys().eq([PULSE]));
    }

    #[test]
    fn a_successor_goes_on_where_a_worker_died() {
        let (mut keep, _end) = Keep::new().unwrap();
        let now = Instant::from_nanos(1_000_000_000_000);
        let mut running = engine(&plan(200), now);
        let (mut legacy, _) = find(&mut keep).settle();
        let lateness = Lateness::default();
        legacy.keep(now, &running, &lateness);
        assert!(!legacy.is_behind(), "at first, everything at once");

        // A change of many is written down in portions, and one cannot see which came first.
        let later = now + Duration::from_secs(1);
        for id in 0..200 {
            legacy.pulse.beat(RouterId(id), later);
            legacy.note(Some(RouterId(id)));
        }
        while running
            .poll_timeout()
            .is_some_and(|wakeup| wakeup.at <= later)
        {
            running.handle_timeout(later);
            drain(&mut running);
        }
        let mut turns = 0;
        while legacy.is_behind() {
            legacy.keep(later, &running, &lateness);
            turns += 1;
        }
        assert_eq!(turns, 200_usize.div_ceil(Legacy::PORTION));
        drop(legacy);

        let standby = Store::new(keep.admit().unwrap());
        let rehearsal = std::thread::spawn(move || Heritage::rehearse(&standby));
        while !rehearsal.is_finished() {
            keep.serve();
            std::thread::yield_now();
        }
        rehearsal.join().unwrap().unwrap();
        let mut second = find(&mut keep);
        assert!(second.is_resumption());
        let died = later + Duration::from_millis(30);
        let mut successor = second.engine(died).unwrap();
        drain(&mut successor);
        assert_eq!(successor.status().count(), 200);
        for (one, other) in running.status().zip(successor.status()) {
            assert_eq!(
                (one.id, one.role, one.since),
                (other.id, other.role, other.since)
            );
            assert_eq!(other.role, Role::Active);
            assert_eq!(one.statistics, other.statistics);
        }
        let next = successor.poll_timeout().unwrap();
        assert_eq!(next.at, later + Duration::from_secs(1));
        // Also one of whom nothing was heard before it died in its turn.
        drop(second.settle());
        assert!(find(&mut keep).is_resumption());
    }
}
