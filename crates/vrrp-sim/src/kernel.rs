//! The kernel of a host: the worker that ships, on a kernel in memory, which gets round to things after a while.

use core::time::Duration;
use std::path::Path;

use vrrp_linux::kernel::model::Model;
use vrrp_linux::kernel::{Notice, OwnerId};
use vrrp_proto::{Desired, Family, Instant, LinkFacts, RouterId, Vrid};

pub use vrrp_linux::kernel::model::{Meddling, Temper};

use crate::plan::INTERFACE;
use crate::random::Random;

/// How fast a kernel is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Habits {
    /// Shortest time until an order is looked at, and until a notification is.
    pub delay: Duration,
    /// Added to it at random.
    pub jitter: Duration,
}

impl Habits {
    /// As measured for a handful of addresses: half a millisecond, give or take.
    pub const USUAL: Self = Self {
        delay: Duration::from_micros(300),
        jitter: Duration::from_micros(400),
    };
}

/// What hosts of one LAN have in common: the virtual router.
pub type Key = (Family, Vrid);

/// The kernel of one host.
#[derive(Debug)]
pub struct Kernel {
    habits: Habits,
    model: Model,
    random: Random,
    overruns: u64,
}

impl Kernel {
    pub(crate) fn new(habits: Habits, facts: &LinkFacts, mut random: Random) -> Self {
        let owner = OwnerId::of(Path::new("/nonexistent/vrrp-sim"));
        Self {
            habits,
            model: Model::new(owner, INTERFACE, facts, random.word()),
            random,
            overruns: 0,
        }
    }

    fn pause(&mut self) -> Duration {
        self.habits.delay + self.random.up_to(self.habits.jitter)
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.model.start(now);
    }

    pub(crate) fn kill(&mut self) {
        self.model.kill();
    }

    pub(crate) fn lose_power(&mut self) {
        self.model.lose_power();
    }

    /// The daemon cleans up and ends; what it could not remove.
    pub(crate) fn stop(&mut self, now: Instant) -> Vec<String> {
        self.model.stop(now)
    }

    /// Takes an order.
    pub(crate) fn order(&mut self, now: Instant, router: RouterId, wanted: Option<Desired>) {
        let at = now + self.pause();
        self.model.order(now, at, router, wanted);
    }

    pub(crate) fn turn(&mut self, now: Instant) -> Vec<Notice> {
        self.model.turn(now)
    }

    /// When its worker has something to do.
    #[must_use]
    pub const fn wakes_at(&self) -> Option<Instant> {
        self.model.wakes_at()
    }

    pub(crate) fn set_interface(&mut self, now: Instant, facts: Option<&LinkFacts>) {
        let reaction = self.pause();
        self.model.set_reaction(reaction);
        self.model.set_interface(now, facts);
    }

    pub(crate) fn meddle(&mut self, now: Instant, meddling: Meddling) -> bool {
        let reaction = self.pause();
        self.model.set_reaction(reaction);
        self.model.meddle(now, meddling)
    }

    pub(crate) fn set_temper(&mut self, temper: Temper) {
        self.model.set_temper(temper);
    }

    pub(crate) fn lose_news(&mut self, count: u32) {
        self.model.lose_news(count);
    }

    /// Whether the worker just learned that it had missed something.
    pub(crate) fn noticed_a_loss(&mut self) -> bool {
        let overruns = self.model.overruns();
        core::mem::replace(&mut self.overruns, overruns) != overruns
    }

    /// Whether the addresses of this virtual router are here and answered for.
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.model.holds(key.0, key.1)
    }

    /// Where it is not as its daemon wants it, or a stranger's object is not as it was, as sentences.
    #[must_use]
    pub fn discrepancies(&self) -> Vec<String> {
        self.model.discrepancies()
    }
}
