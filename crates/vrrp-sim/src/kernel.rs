//! A kernel that does what it is told, later.
//!
//! Like the real backend it keeps one slot per router for the latest desired state: a state that is superseded before
//! it was put in place is never put in place.

use core::time::Duration;
use std::collections::BTreeMap;

use vrrp_proto::{Desired, Family, Generation, KernelReport, RouterId, Vrid};

use crate::random::Random;

/// How a fake kernel behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Habits {
    /// Shortest time to put a desired state in place.
    pub delay: Duration,
    /// Added to it at random.
    pub jitter: Duration,
    /// It refuses everything that needs addresses.
    pub failing: bool,
}

impl Habits {
    /// As measured for a handful of addresses: half a millisecond, give or take.
    pub const USUAL: Self = Self {
        delay: Duration::from_micros(300),
        jitter: Duration::from_micros(400),
        failing: false,
    };
}

/// What hosts of one LAN have in common: the virtual router.
pub type Key = (Family, Vrid);

/// After a refusal the backend tries again.
pub(crate) const RETRY: Duration = Duration::from_secs(1);

/// The kernel state of one host.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its behaviour from now on.
    pub habits: Habits,
    slots: BTreeMap<RouterId, Slot>,
    random: Random,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    key: Option<Key>,
    wanted: Option<Desired>,
    generation: Generation,
    applied: Option<Generation>,
    holds: bool,
}

impl Kernel {
    pub(crate) const fn new(habits: Habits, random: Random) -> Self {
        Self {
            habits,
            slots: BTreeMap::new(),
            random,
        }
    }

    /// Takes an order; the answer is when to look at it.
    pub(crate) fn order(&mut self, router: RouterId, wanted: Option<&Desired>) -> Duration {
        let slot = self.slots.entry(router).or_default();
        slot.generation = wanted.map_or(Generation(u64::MAX), |wanted| wanted.generation);
        slot.wanted = wanted.cloned();
        slot.key = wanted
            .map(|wanted| (wanted.family, wanted.vrid))
            .or(slot.key);
        slot.applied = None;
        self.habits.delay + self.random.up_to(self.habits.jitter)
    }

    /// Puts the order of that generation in place, if it is still the latest; the report for the engine.
    pub(crate) fn apply(
        &mut self,
        router: RouterId,
        generation: Generation,
    ) -> Option<KernelReport> {
        let failing = self.habits.failing;
        let slot = self
            .slots
            .get_mut(&router)
            .filter(|slot| slot.generation == generation)?;
        let active = slot.wanted.as_ref().is_some_and(|wanted| wanted.active);
        if active && failing {
            slot.holds = false;
            return Some(KernelReport::Failed(String::from("no buffer space")));
        }
        slot.holds = active;
        slot.applied = Some(generation);
        Some(KernelReport::Applied)
    }

    pub(crate) fn generation(&self, router: RouterId) -> Generation {
        self.slots
            .get(&router)
            .map_or(Generation::default(), |slot| slot.generation)
    }

    /// The machine loses power.
    pub(crate) fn forget(&mut self) {
        self.slots.clear();
    }

    /// Whether the addresses of this virtual router are here, answered and forwarded for.
    #[must_use]
    pub fn holds(&self, key: Key) -> bool {
        self.slots
            .values()
            .any(|slot| slot.key == Some(key) && slot.holds)
    }

    /// Whether this router's addresses are here.
    #[must_use]
    pub fn holds_for(&self, router: RouterId) -> bool {
        self.slots.get(&router).is_some_and(|slot| slot.holds)
    }

    /// Whether the latest order is in place.
    #[must_use]
    pub fn is_settled(&self, router: RouterId) -> bool {
        self.slots
            .get(&router)
            .is_none_or(|slot| slot.applied == Some(slot.generation))
    }
}
