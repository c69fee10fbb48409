//! How a router follows an order (`orders`): what it means for its election, and what it is refused for.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::engine::{Engine, schedule};
use crate::event::{Ended, Happening, Offer, Readiness};
use crate::orders::{Denial, Handing, Note, Order, OrderKind, Orders};
use crate::router::Role;
use crate::slot::{Link, Outputs, Slot};
use crate::time::Instant;
use crate::types::{Priority, RouterId};

impl Engine {
    /// Gives `order` to the router of this name, or to all members of its group, or of the group of this name. An
    /// announcement is of the one router. Outputs must be drained before, and after it, like those of an input.
    ///
    /// # Errors
    /// Why it is refused. Nothing has changed then, except that an Active that was silent for too long has stood back.
    pub fn operate(
        &mut self,
        now: Instant,
        router: &str,
        order: Order,
    ) -> Result<RouterId, Denial> {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs must be drained before the next input"
        );
        if self.stopped {
            return Err(Denial::Stopping);
        }
        let (id, group) = self.addressee(router).ok_or(Denial::NoSuchRouter)?;
        let ids = self.concerned(id, group, &order);
        let mut wait = Duration::ZERO;
        for id in &ids {
            if let Some(slot) = self.slots.get_mut(id)
                && let Some(terms) = slot.terms()
            {
                // An Active that has been replaced already has nothing left to hand over.
                slot.stand_back_if_late(now, *id, &terms, &self.links, &mut self.outputs);
                wait = wait.max(terms.dialect.leaving_time(terms.interval));
                schedule(&mut self.wakeups, *id, slot);
            }
        }
        if let Some(group) = group {
            self.settle(now, group);
        }
        self.permit(id, &ids, &order)?;
        for id in &ids {
            if let Some(slot) = self.slots.get_mut(id) {
                slot.operate(
                    now,
                    *id,
                    order.clone(),
                    wait,
                    &self.links,
                    &mut self.outputs,
                );
                schedule(&mut self.wakeups, *id, slot);
            }
        }
        if let Some(group) = group {
            self.settle(now, group);
        }
        Ok(id)
    }

    /// Whether `order` would be followed now.
    ///
    /// # Errors
    /// Why not.
    pub fn permits(&self, router: &str, order: &Order) -> Result<(), Denial> {
        if self.stopped {
            return Err(Denial::Stopping);
        }
        let (id, group) = self.addressee(router).ok_or(Denial::NoSuchRouter)?;
        self.permit(id, &self.concerned(id, group, order), order)
    }

    /// The router of this name, or the first member of the group of this name, and its group.
    fn addressee(&self, name: &str) -> Option<(RouterId, Option<usize>)> {
        let mut here = self.slots.iter().filter(|(_, slot)| !slot.retiring);
        let router = here.find(|(_, slot)| slot.plan.name == name);
        if let Some((id, slot)) = router {
            return Some((*id, slot.group()));
        }
        let group = self.groups.iter().position(|group| group.name == name)?;
        self.members(group).next().map(|id| (id, Some(group)))
    }

    /// Whom the order is for.
    fn concerned(&self, id: RouterId, group: Option<usize>, order: &Order) -> Vec<RouterId> {
        let drained = |id: &RouterId| {
            self.slots
                .get(id)
                .is_some_and(|slot| slot.orders.is_drained())
        };
        match (group, order) {
            (None, _) | (Some(_), Order::Announce) => alloc::vec![id],
            // A member that was added meanwhile is not.
            (Some(group), Order::Undrain) if self.members(group).any(|id| drained(&id)) => {
                self.members(group).filter(drained).collect()
            }
            (Some(group), _) => self.members(group).collect(),
        }
    }

    /// Whether all follow the order, of which `id` was named.
    fn permit(&self, id: RouterId, ids: &[RouterId], order: &Order) -> Result<(), Denial> {
        for (other, slot) in ids.iter().filter_map(|id| Some((*id, self.slots.get(id)?))) {
            slot.permits(order).map_err(|denial| {
                if other == id {
                    denial
                } else {
                    Denial::Member(slot.plan.name.clone(), Box::new(denial))
                }
            })?;
        }
        Ok(())
    }

    /// Whether everything has been given up, so that orders say nothing about the next start.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.stopped
    }
}

impl Slot {
    fn permits(&self, order: &Order) -> Result<(), Denial> {
        let active = || match self.machine.role() {
            Role::Active => Ok(()),
            Role::Backup if self.orders.handing.is_some() => Err(Denial::HandingOver),
            Role::Backup => Err(Denial::NotActive(self.followed)),
            Role::Initialize => Err(Denial::NoPart(self.faults.clone())),
        };
        let owner = self.plan.priority.is_owner();
        let early = self.machine.role() == Role::Active && !self.in_place();
        // There is nothing to keep for a successor. An Active whose kernel refuses has nothing to wait for either.
        let empty = early && self.refusal.is_none();
        match order {
            Order::Announce if early => Err(Denial::NotInPlace),
            Order::Announce => active(),
            Order::Ready if self.machine.role() == Role::Initialize => {
                Err(Denial::NoPart(self.faults.clone()))
            }
            Order::Ready => Ok(()),
            _ if owner => Err(Denial::Owner),
            Order::Failover { force: false, .. } | Order::Drain { force: false, .. } if empty => {
                Err(Denial::NotInPlace)
            }
            Order::SetPriority { priority, .. }
                if priority.is_owner() || *priority == Priority::RELEASE =>
            {
                Err(Denial::Priority)
            }
            Order::Undrain if !self.orders.is_drained() => Err(Denial::NotDrained),
            Order::Failover { .. } => active(),
            Order::SetPriority { .. }
            | Order::ResetPriority
            | Order::Drain { .. }
            | Order::Undrain
            | Order::Pin(_) => Ok(()),
        }
    }

    /// Follows an order that is permitted. A successor must be heard within `wait`.
    fn operate(
        &mut self,
        now: Instant,
        id: RouterId,
        order: Order,
        wait: Duration,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let active = self.machine.role() == Role::Active;
        let handing = |drain, force| Handing {
            begun: now,
            until: now + wait,
            drain,
            force,
        };
        match order {
            Order::Announce => self.announcer.begin(now),
            Order::Ready => {
                self.gate.say(self.plan.preempt_when.as_ref());
                self.try_gate(now, id, Readiness::Said, links, outputs);
            }
            Order::SetPriority { priority, terms } => {
                self.reorder(now, id, links, outputs, |orders| {
                    orders.set_priority(priority, terms);
                });
            }
            Order::ResetPriority => self.reorder(now, id, links, outputs, Orders::reset),
            Order::Pin(terms) => {
                self.reorder(now, id, links, outputs, |orders| orders.pin(terms));
            }
            Order::Undrain => self.reorder(now, id, links, outputs, |orders| {
                orders.undrain();
            }),
            Order::Failover { force, note } => {
                self.hand_over(now, id, handing(false, force), links, outputs);
                self.orders.yield_to_others(note);
            }
            Order::Drain { force, terms } if active && !self.orders.is_drained() => {
                self.hand_over(now, id, handing(true, force), links, outputs);
                self.orders.drain(terms);
            }
            Order::Drain { terms, .. } => {
                self.reorder(now, id, links, outputs, |orders| orders.drain(terms));
            }
        }
    }

    /// Changes the orders. What that means for the election takes effect at once, without a transition.
    fn reorder(
        &mut self,
        now: Instant,
        id: RouterId,
        links: &[Link],
        outputs: &mut Outputs,
        change: impl FnOnce(&mut Orders),
    ) {
        self.retune(now, id, links, outputs, |slot| change(&mut slot.orders));
    }

    /// Changes something that the election may depend on, as [`Self::reorder`] does.
    pub(crate) fn retune(
        &mut self,
        now: Instant,
        id: RouterId,
        links: &[Link],
        outputs: &mut Outputs,
        change: impl FnOnce(&mut Self),
    ) {
        let old = self.terms();
        change(self);
        let (Some(old), Some(new)) = (old, self.terms()) else {
            return;
        };
        // To an Active it is all one whether it may preempt.
        let preempt = old.preempt != new.preempt && matches!(self.machine.role(), Role::Backup);
        if old.priority != new.priority || old.rules != new.rules || preempt {
            self.ready.clear();
            let step = self.machine.revise(now, &old, &new);
            if new.priority < old.priority || !new.preempt {
                self.machine.restrain(now, &new);
            }
            self.apply(now, id, Some(&new), step, links, outputs);
        }
    }

    /// It may preempt from now on, if there is nothing left to wait for.
    pub(crate) fn try_gate(
        &mut self,
        now: Instant,
        id: RouterId,
        why: Readiness,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        if self.gate.is_done(self.plan.preempt_when.as_ref()) {
            self.open_gate(now, id, why, links, outputs);
        }
    }

    /// It may preempt from now on.
    fn open_gate(
        &mut self,
        now: Instant,
        id: RouterId,
        why: Readiness,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let mut was_closed = false;
        self.retune(now, id, links, outputs, |slot| {
            was_closed = slot.gate.open();
        });
        if was_closed {
            self.say(now, id, Happening::Ready(why), outputs);
        }
    }

    /// An Active gives up, in order to be drained or only for once, and keeps its addresses.
    fn hand_over(
        &mut self,
        now: Instant,
        id: RouterId,
        handing: Handing,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let Some(terms) = self.terms() else {
            return;
        };
        let wait = handing.until.saturating_since(now);
        let returns_after = handing.reclaims().then_some(wait);
        let step = self.machine.step_down(now, &terms, returns_after);
        self.orders.handing = Some(handing);
        self.linger(now, &step);
        self.leaving = self.leaving.map(|_| handing.until);
        if let Some(bond) = &mut self.bond {
            bond.claimed = false;
        }
        self.apply(now, id, Some(&terms), step, links, outputs);
        // Whatever is advertised next is said under other terms.
        self.ready.clear();
    }

    /// Ends what is over now.
    pub(crate) fn end_orders(
        &mut self,
        now: Instant,
        id: RouterId,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        // For a group it is over when it is for all.
        if self.bond.is_none() && self.orders.is_over(now) {
            self.unclaimed(now, id, true, links, outputs);
        }
        if self.gate.closed_until().is_some_and(|at| at <= now) {
            self.open_gate(now, id, Readiness::TimedOut, links, outputs);
        }
        if self.orders.deadline().is_some_and(|at| at <= now) {
            if let Some(terms) = self.terms() {
                // What changes is advertised at once, and nobody who has been replaced may advertise.
                self.stand_back_if_late(now, id, &terms, links, outputs);
            }
            let mut over = Vec::new();
            self.reorder(now, id, links, outputs, |orders| over = orders.expire(now));
            for (kind, Note { by, .. }) in over {
                let why = Ended::Time;
                self.say(now, id, Happening::OrderEnded { kind, by, why }, outputs);
            }
        }
    }

    /// Nobody has taken over, and a successor would have been heard by now. If there is none for any member of the group
    /// either, what was asked for is taken `back`.
    pub(crate) fn unclaimed(
        &mut self,
        now: Instant,
        id: RouterId,
        back: bool,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let Some(handing) = self.orders.handed_over(now, None) else {
            return;
        };
        if back
            && handing.drain
            && !handing.force
            && let Some(Note { by, .. }) = self.orders.undrain()
        {
            let (kind, why) = (OrderKind::Drain, Ended::Unclaimed);
            self.say(now, id, Happening::OrderEnded { kind, by, why }, outputs);
        }
        self.ready.clear();
        if back
            && handing.reclaims()
            && self.machine.role() == Role::Backup
            && let Some(terms) = self.terms()
        {
            let step = self.machine.reclaim(now, &terms);
            self.apply(now, id, Some(&terms), step, links, outputs);
        } else if self.leaving.is_some() {
            self.leave(now, id, None, true, outputs);
        }
    }

    /// Somebody advertises. If this router gave up on request, that is its successor.
    pub(crate) fn succeeded(
        &mut self,
        now: Instant,
        id: RouterId,
        (address, offer): (IpAddr, Offer),
        outputs: &mut Outputs,
    ) {
        let successor = Some((address, offer));
        let on_request = self.orders.handed_over(now, successor).is_some();
        if self.leaving.is_some() {
            self.leave(now, id, successor, on_request || self.stays, outputs);
        } else if on_request {
            self.say(now, id, Happening::Left(successor), outputs);
        }
    }

    /// The configuration says that it owns its addresses: there is nothing left to ask of it.
    pub(crate) fn dismiss_orders(&mut self, now: Instant, id: RouterId, outputs: &mut Outputs) {
        for (kind, Note { by, .. }) in self.orders.dismiss() {
            let why = Ended::Owner;
            self.say(now, id, Happening::OrderEnded { kind, by, why }, outputs);
        }
    }
}
