//! A kernel in memory under the worker that ships: links, addresses and settings, and what goes wrong with them.
//!
//! It executes the same steps as the real one, notifies as far as that does, and may refuse, lose notifications, or be
//! meddled with by a stranger. Time is an argument, so a simulator can run thousands of them.

mod discrepancy;
mod meddle;
mod steps;
mod truth;

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use vrrp_proto::Instant;
use vrrp_proto::desired::Desired;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::types::{Family, RouterId, Vrid};

use super::worker::Worker;
use super::{Notice, OwnerId};
use truth::Truth;

/// How a kernel answers to what is asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Temper {
    /// It does everything that makes sense.
    #[default]
    Obeys,
    /// No address and no link may be added: `ENOBUFS`.
    RefusesMore,
    /// Nothing may be changed: `EBUSY`.
    RefusesAll,
    /// This percentage of the steps is refused at random: `EAGAIN`.
    Moody(u8),
    /// It does what is asked, and the answer is lost.
    Mute,
}

/// What somebody else does to the kernel's objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Meddling {
    /// Deletes a virtual address.
    DeletesAddress,
    /// Deletes a macvlan of ours.
    DeletesMacvlan,
    /// Sets a macvlan of ours down.
    SetsMacvlanDown,
    /// Gives a macvlan of ours another MAC address.
    ChangesMac,
    /// Puts an address of its own on a macvlan of ours.
    AddsStray,
    /// Switches forwarding of a macvlan of ours.
    FlipsForwarding,
    /// Sets `arp_ignore` of the interface back; the kernel does not notify that.
    ResetsArpIgnore,
    /// Switches IPv6 on or off on a macvlan of ours.
    FlipsIpv6,
    /// Flushes the nftables table.
    FlushesFilter,
}

impl Meddling {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DeletesAddress,
        Self::DeletesMacvlan,
        Self::SetsMacvlanDown,
        Self::ChangesMac,
        Self::AddsStray,
        Self::FlipsForwarding,
        Self::ResetsArpIgnore,
        Self::FlipsIpv6,
        Self::FlushesFilter,
    ];
}

/// A kernel with one interface, objects of strangers, and a daemon's worker on top of it while there is one.
pub struct Model {
    owner: OwnerId,
    life: Life,
    notices: Arc<Mutex<Vec<Notice>>>,
    /// Where virtual time begins on the clock the worker is given.
    epoch: std::time::Instant,
    /// Ordered and not yet taken by the worker.
    orders: BTreeMap<RouterId, (Instant, Option<Desired>)>,
    wanted: BTreeMap<RouterId, Desired>,
    wakes_at: Option<Instant>,
    /// The worker wakes so long after the kernel notified something.
    reaction: Duration,
    news_at: Option<Instant>,
    /// Turns at one moment.
    spins: (Instant, u32),
}

/// No worker has a reason to wake so often without time going by.
const MOST_SPINS: u32 = 1_000;

enum Life {
    Off(Box<Truth>),
    On(Box<Worker<Truth>>),
    /// Between the two.
    Changing,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("wanted", &self.wanted)
            .finish_non_exhaustive()
    }
}

impl Model {
    /// A machine with this interface, whose daemon will have this runtime directory. `seed` decides what a moody kernel
    /// refuses.
    #[must_use]
    pub fn new(owner: OwnerId, interface: &str, facts: &LinkFacts, seed: u64) -> Self {
        Self {
            owner,
            life: Life::Off(Box::new(Truth::new(interface, facts, seed))),
            notices: Arc::default(),
            epoch: std::time::Instant::now(),
            orders: BTreeMap::new(),
            wanted: BTreeMap::new(),
            wakes_at: None,
            reaction: Duration::ZERO,
            news_at: None,
            spins: (Instant::ZERO, 0),
        }
    }

    fn truth(&self) -> &Truth {
        match &self.life {
            Life::Off(truth) => truth,
            Life::On(worker) => &worker.system,
            Life::Changing => unreachable!("nobody looks while it changes"),
        }
    }

    fn truth_mut(&mut self) -> &mut Truth {
        match &mut self.life {
            Life::Off(truth) => truth,
            Life::On(worker) => &mut worker.system,
            Life::Changing => unreachable!("nobody looks while it changes"),
        }
    }

    fn on_clock(&self, at: Instant) -> std::time::Instant {
        self.epoch + Duration::from_nanos(at.as_nanos())
    }

    /// A daemon starts; it finds what an earlier one left.
    ///
    /// # Panics
    /// Never: a kernel in memory can be looked at.
    pub fn start(&mut self, now: Instant) {
        self.kill();
        let notices = Arc::clone(&self.notices);
        let notify = Box::new(move |notice| {
            notices
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(notice);
        });
        let clock = self.on_clock(now);
        let Life::Off(mut truth) = std::mem::replace(&mut self.life, Life::Changing) else {
            unreachable!("it was killed");
        };
        truth.now = now;
        truth.begin();
        let worker = Worker::new(self.owner, notify, *truth, clock);
        self.life = Life::On(Box::new(worker.expect("a model can be looked at")));
        self.arm(now);
    }

    /// The daemon is gone, and everything stays as it is.
    pub fn kill(&mut self) {
        self.life = match std::mem::replace(&mut self.life, Life::Changing) {
            Life::On(worker) => Life::Off(Box::new(worker.system)),
            off @ (Life::Off(_) | Life::Changing) => off,
        };
        self.orders.clear();
        self.wanted.clear();
        self.wakes_at = None;
        self.news_at = None;
        self.notices
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The daemon removes everything of its own and ends; what it could not remove, as sentences.
    pub fn stop(&mut self, now: Instant) -> Vec<String> {
        self.truth_mut().now = now;
        let complaints = match &mut self.life {
            Life::On(worker) => worker.clean(),
            Life::Off(_) | Life::Changing => Vec::new(),
        };
        self.kill();
        complaints
    }

    /// The machine loses power and comes back with the interface and the strangers' objects only.
    pub fn lose_power(&mut self) {
        self.kill();
        self.truth_mut().reboot();
    }

    /// The engine wants this, and the worker gets to it at `at`. A later order replaces one that still waits.
    pub fn order(&mut self, now: Instant, at: Instant, router: RouterId, desired: Option<Desired>) {
        match &desired {
            Some(desired) => {
                self.wanted.insert(router, desired.clone());
            }
            None => {
                self.wanted.remove(&router);
            }
        }
        self.orders.insert(router, (at, desired));
        self.arm(now);
    }

    /// When the worker has something to do; `None` without a worker.
    #[must_use]
    pub const fn wakes_at(&self) -> Option<Instant> {
        self.wakes_at
    }

    fn arm(&mut self, now: Instant) {
        let Life::On(worker) = &mut self.life else {
            self.wakes_at = None;
            return;
        };
        // A look at a picture that is known to be true finds nothing and is left out.
        if !worker.system.is_unseen() {
            worker.put_audit_off(self.epoch + Duration::from_nanos(now.as_nanos()));
        }
        let due = worker.wakes_at().saturating_duration_since(self.epoch);
        let news = worker.system.has_news();
        self.news_at = news.then(|| self.news_at.unwrap_or(now + self.reaction));
        let ordered = self.orders.values().map(|(at, _)| *at).min();
        let ripe = worker.system.ripens_at();
        self.wakes_at = [Some(Instant::ZERO + due), ordered, ripe, self.news_at]
            .into_iter()
            .flatten()
            .min();
    }

    /// The worker does what is due; what it says.
    ///
    /// # Panics
    /// When it finds something to do again and again without time going by.
    pub fn turn(&mut self, now: Instant) -> Vec<Notice> {
        self.spins = match self.spins {
            (at, spins) if at == now => (at, spins + 1),
            _ => (now, 0),
        };
        assert!(self.spins.1 < MOST_SPINS, "the kernel thread spins");
        let clock = self.on_clock(now);
        let ready = |at: &Instant| *at <= now;
        let orders: BTreeMap<RouterId, Option<Desired>> = self
            .orders
            .iter()
            .filter(|(_, (at, _))| ready(at))
            .map(|(router, (_, desired))| (*router, desired.clone()))
            .collect();
        self.orders.retain(|_, (at, _)| !ready(at));
        if let Life::On(worker) = &mut self.life {
            worker.system.now = now;
            worker.system.ripen();
            worker.turn(clock, orders);
        }
        self.arm(now);
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The interface is like this from now on; `None`: it is gone, and every macvlan on it.
    pub fn set_interface(&mut self, now: Instant, facts: Option<&LinkFacts>) {
        self.truth_mut().now = now;
        self.truth_mut().set_parent(facts);
        self.arm(now);
    }

    /// How the interface is.
    #[must_use]
    pub fn interface(&self) -> Option<LinkFacts> {
        self.truth().parent_facts()
    }

    /// The kernel behaves like this from now on.
    pub fn set_temper(&mut self, temper: Temper) {
        self.truth_mut().temper = temper;
    }

    /// From now on, the worker wakes so long after the kernel notified something.
    pub const fn set_reaction(&mut self, reaction: Duration) {
        self.reaction = reaction;
    }

    /// The next notifications are lost: `ENOBUFS`.
    pub fn lose_news(&mut self, count: u32) {
        self.truth_mut().losing = count;
    }

    /// How often notifications were lost and a look at everything found out.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.truth().overruns
    }

    /// A stranger does this; whether there was something to do it to.
    pub fn meddle(&mut self, now: Instant, meddling: Meddling) -> bool {
        let owner = self.owner;
        self.truth_mut().now = now;
        let done = self.truth_mut().meddle(owner, meddling);
        // A running worker knows what the marks in the kernel say.
        if matches!(self.life, Life::Off(_)) {
            self.truth_mut().look_for_records();
        }
        self.arm(now);
        done
    }

    /// Whether virtual addresses of this virtual router are answered for here.
    #[must_use]
    pub fn holds(&self, family: Family, vrid: Vrid) -> bool {
        self.truth().holds(family, vrid)
    }

    /// Where the kernel is not as the latest orders say, or a stranger's object is not as it was, as sentences.
    #[must_use]
    pub fn discrepancies(&self) -> Vec<String> {
        let mut found = self.truth().discrepancies(self.owner, self.wanted.values());
        if !self.orders.is_empty() {
            found.push("an order waits".to_owned());
        }
        found
    }
}
