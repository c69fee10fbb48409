//! One pass: plan, do, look again, until nothing is left to do; then say how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tracing::warn;
use vrrp_proto::Gather;
use vrrp_proto::desired::{Desired, KernelReport, Upkeep};
use vrrp_proto::types::{Family, MacAddress, RouterId, Vrid};

use super::{COALESCE, Worker};
use crate::kernel::Notice;
use crate::kernel::fence::Duties;
use crate::kernel::netlink::Refusal;
use crate::kernel::observed::{Address, Event, Ipv4Key, Link, Observed, ParentConf};
use crate::kernel::op::{Op, Step};
use crate::kernel::reconcile::{self, Guarded, Scope, is_served, macvlan_name};
use crate::kernel::system::System;

/// Rounds of planning and doing in one pass. A new router needs two; more mean that somebody interferes, and that can
/// wait for the next pass.
pub(super) const ROUNDS: usize = 6;

/// What one pass left undone.
#[derive(Default)]
struct Outcome {
    /// Routers that wait for what the kernel does in its own time.
    waiting: BTreeSet<RouterId>,
    /// Routers that do not have all they want.
    incomplete: BTreeSet<RouterId>,
    /// Why, as far as known.
    failures: BTreeMap<Option<RouterId>, String>,
}

impl Outcome {
    /// Routers that do not have all they want.
    fn lacking(&self) -> BTreeSet<RouterId> {
        let failed = self.failures.keys().flatten();
        self.incomplete.iter().chain(failed).copied().gather()
    }
}

impl<S: System> Worker<S> {
    /// Brings the kernel to what is wanted by the routers of `scope`, or by all, and says how that went.
    pub(super) fn pass(&mut self, now: Instant, scope: Option<BTreeSet<RouterId>>) {
        if self.grace_until.is_none() {
            return;
        }
        let all = self.desired();
        let leftovers = self.grace_until.is_some_and(|until| until <= now);
        self.unfollow(&all, leftovers);
        let Some(scope) = scope else {
            self.prepare(&all);
            let mut outcome = self.settle(now, &all, Scope::Everything);
            self.fence(None);
            if self.guarded(&all) != self.guarded {
                self.look_at.get_or_insert(now + COALESCE);
            }
            self.note_unserved(&all, &mut outcome);
            self.note_mended(now);
            self.waiting.clone_from(&outcome.waiting);
            self.tell_facts();
            self.learn();
            self.filter
                .settle(now, &mut self.system, &all, &self.observed);
            self.follow(now, &all, leftovers, &outcome.lacking());
            self.report(now, &outcome, all.into_keys());
            return;
        };
        let some: BTreeMap<RouterId, Arc<Desired>> = all
            .iter()
            .filter(|(id, _)| scope.contains(id))
            .map(|(id, desired)| (*id, Arc::clone(desired)))
            .gather();
        self.prepare(&some);
        let mut outcome = self.settle(now, &some, Scope::Some);
        self.note_unserved(&some, &mut outcome);
        self.learn();
        self.waiting.retain(|id| !scope.contains(id));
        self.waiting.extend(outcome.waiting.iter().copied());
        self.tell_facts();
        self.follow(now, &all, leftovers, &outcome.lacking());
        // Otherwise the pass over everything, which follows, changes the filter first.
        if self.filter.is_settled(&all, &self.observed) {
            self.report(now, &outcome, scope);
        }
        self.fence(Some(&some));
    }

    /// Before a router that has no macvlan gets its addresses, the gate must know that it answers for them.
    fn prepare(&mut self, routers: &BTreeMap<RouterId, Arc<Desired>>) {
        if routers.values().any(|desired| is_served(desired)) {
            self.fence(Some(routers));
        }
    }

    /// Guards the virtual MAC addresses of routers that have a macvlan of ours, or none because they are served, and if
    /// not only of `some` routers, no others. That of another daemon on this machine is its own to guard.
    fn fence(&mut self, some: Option<&BTreeMap<RouterId, Arc<Desired>>>) {
        let mut wanted = Duties::new();
        let mut want = |desired: &Desired| {
            let parent = self.observed.named(&desired.interface)?;
            if is_served(desired) || self.has_macvlan(parent, desired) {
                wanted.entry(parent.index).or_default().add(desired);
            }
            Some(())
        };
        match some {
            Some(some) => some.values().for_each(|desired| _ = want(desired)),
            None => self
                .routers
                .values()
                .for_each(|standing| _ = want(&standing.desired)),
        }
        // What an earlier life left behind answers until it is removed, and nothing else may be in its way.
        if self.grace_until != Some(self.started) {
            for link in self.observed.links().filter(|link| link.is_of(self.owner)) {
                if let (Some(lower), Some(router)) = (&link.lower, link.mac.and_then(router_of)) {
                    let duty = wanted.entry(lower.index).or_default();
                    duty.silence(self.observed.name(lower.index), router);
                }
            }
        }
        for (index, outcome) in self.system.fence(&wanted, some.is_none()) {
            (self.notify)(Notice::Fence {
                index,
                interface: self.observed.name(index).to_owned(),
                outcome,
            });
        }
    }

    /// Which virtual MAC addresses of these routers are guarded.
    fn guarded(&self, routers: &BTreeMap<RouterId, Arc<Desired>>) -> Guarded {
        let guarded = routers.values().filter_map(|desired| {
            let parent = self.observed.named(&desired.interface)?.index;
            let guards = self.system.guards(parent, (desired.family, desired.vrid));
            guards.then_some((parent, desired.mac?))
        });
        guarded.gather()
    }

    /// Whether the macvlan that `desired` asks for is there, and ours.
    fn has_macvlan(&self, parent: &Link, desired: &Desired) -> bool {
        let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
        self.observed.named(&name).is_some_and(|link| {
            let lower = link.lower.as_ref().map(|lower| lower.index);
            link.is_of(self.owner)
                && link.mac.is_some()
                && link.mac == desired.mac
                && lower == Some(parent.index)
        })
    }

    /// A router that the gate does not serve has nothing that does.
    fn note_unserved(&self, routers: &BTreeMap<RouterId, Arc<Desired>>, outcome: &mut Outcome) {
        for (id, desired) in routers.iter().filter(|(_, desired)| is_served(desired)) {
            // Without an interface, that is what is missing.
            let Some(parent) = self.observed.named(&desired.interface) else {
                continue;
            };
            let router = (desired.family, desired.vrid);
            if let Err(why) = self.system.serves(parent.index, router) {
                let sentence = format!("cannot do without a macvlan on {}: {why}", parent.name);
                outcome.incomplete.insert(*id);
                outcome.failures.entry(Some(*id)).or_insert(sentence);
            }
        }
    }

    /// Where the gate was away, the kernel may have answered in the name of routers that have no macvlan, from the address of
    /// the interface: that is put right.
    fn note_mended(&mut self, now: Instant) {
        let mended = self.system.take_mended();
        if mended.is_empty() {
            return;
        }
        for standing in self.routers.values_mut() {
            let desired = &standing.desired;
            let parent = self.observed.named(&desired.interface);
            if is_served(desired) && parent.is_some_and(|parent| mended.contains(&parent.index)) {
                let what = format!("the gate on {}", desired.interface);
                standing.repairs.note(now, what);
            }
        }
    }

    fn desired(&self) -> BTreeMap<RouterId, Arc<Desired>> {
        self.routers
            .iter()
            .map(|(id, standing)| (*id, Arc::clone(&standing.desired)))
            .gather()
    }

    fn settle(
        &mut self,
        now: Instant,
        desired: &BTreeMap<RouterId, Arc<Desired>>,
        scope: Scope,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let held = self.held(now);
        // A refusal may come from a picture that was old; one in another round counts.
        let mut refused: BTreeMap<Option<RouterId>, usize> = BTreeMap::new();
        for round in 0..=ROUNDS {
            self.listen();
            if self.stale
                && let Err(error) = self.look()
            {
                warn!(%error, "cannot look at the kernel's links and addresses");
            }
            self.learn();
            self.guarded = self.guarded(desired);
            let plan = reconcile::plan(
                self.owner,
                desired,
                scope,
                &self.observed,
                &self.touched,
                &self.guarded,
            );
            outcome.incomplete = plan.steps.iter().filter_map(|step| step.router).gather();
            outcome.incomplete.extend(plan.waiting.iter().copied());
            outcome.waiting = plan.waiting.into_iter().gather();
            let steps: Vec<Step> = plan
                .steps
                .into_iter()
                .filter(|step| !held.contains(&step.router))
                .filter(|step| !outcome.failures.contains_key(&step.router))
                .collect();
            if steps.is_empty() || round == ROUNDS {
                for step in steps {
                    let attempt = step.op.attempt(&self.observed);
                    let sentence = format!("cannot {attempt}: it does not last");
                    self.give_up(now, &mut outcome, step.router, sentence);
                }
                for (router, sentence) in plan.obstacles {
                    outcome.incomplete.insert(router);
                    outcome.failures.insert(Some(router), sentence);
                }
                break;
            }
            if round == 0 {
                self.note_repairs(now, &steps);
            } else {
                self.correct_repairs(&steps);
            }
            self.note_lent(&steps);
            for (step, refusal) in self.execute(&steps) {
                self.stale = true;
                let step = &steps[step];
                if *refused.entry(step.router).or_insert(round) != round {
                    let attempt = step.op.attempt(&self.observed);
                    let sentence = format!("cannot {attempt}: {refusal}");
                    self.give_up(now, &mut outcome, step.router, sentence);
                }
            }
        }
        outcome
    }

    /// Leaves a router, or what belongs to none, alone for a while.
    fn give_up(
        &mut self,
        now: Instant,
        outcome: &mut Outcome,
        router: Option<RouterId>,
        sentence: String,
    ) {
        if outcome.failures.contains_key(&router) {
            return;
        }
        match router {
            Some(router) => {
                if let Some(standing) = self.routers.get_mut(&router) {
                    standing.patience.fail(now);
                }
            }
            None => {
                warn!("{sentence}");
                self.patience.fail(now);
            }
        }
        outcome.failures.insert(router, sentence);
    }

    /// For whom nothing may be done now.
    fn held(&self, now: Instant) -> BTreeSet<Option<RouterId>> {
        let later = |at: Option<Instant>| at.is_some_and(|at| at > now);
        self.routers
            .iter()
            .filter(|(_, standing)| later(standing.free_at()))
            .map(|(id, _)| Some(*id))
            .chain(later(self.grace_until.max(self.patience.until)).then_some(None))
            .gather()
    }

    /// Steps for a router that had everything in place mean that somebody else undid it, unless its surroundings changed.
    fn note_repairs(&mut self, now: Instant, steps: &[Step]) {
        let mut undone: BTreeMap<RouterId, Vec<&Op>> = BTreeMap::new();
        for step in steps {
            if let Some(router) = step.router {
                undone.entry(router).or_default().push(&step.op);
            }
        }
        for (router, ops) in undone {
            let Some(standing) = self.routers.get_mut(&router) else {
                continue;
            };
            let surroundings =
                reconcile::surroundings(&standing.desired, &self.observed, &self.guarded);
            let same = surroundings.is_some() && surroundings == standing.surroundings;
            if let Some(worst) = ops.iter().min_by_key(|op| op.gravity())
                && standing.applied
                && same
            {
                let what = worst.restores(&self.observed);
                let what = match ops.len() - 1 {
                    0 => what,
                    more => format!("{what} and {more} more"),
                };
                standing.repairs.note(now, what);
            }
        }
    }

    /// A link that vanishes is down first: the repair that was noted for that is a greater one.
    fn correct_repairs(&mut self, steps: &[Step]) {
        for step in steps {
            if let (Some(router), Op::Create { .. }) = (step.router, &step.op)
                && let Some(standing) = self.routers.get_mut(&router)
            {
                standing.repairs.correct(step.op.restores(&self.observed));
            }
        }
    }

    /// Does `steps` in order; the positions of those that were refused, and why.
    pub(super) fn execute(&mut self, steps: &[Step]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut start = 0;
        while start < steps.len() {
            if let Op::Ipv6 { link, key, value } = steps[start].op {
                match self.system.set_ipv6(self.observed.name(link), key, value) {
                    Ok(()) => {
                        self.observed.apply(Event::Ipv6(Some(link), key, value));
                    }
                    Err(error) => refused.push((start, Refusal::of(&error))),
                }
                start += 1;
                continue;
            }
            let length = steps[start..]
                .iter()
                .take_while(|step| !matches!(step.op, Op::Ipv6 { .. }))
                .count();
            let ops: Vec<&Op> = steps[start..start + length]
                .iter()
                .map(|step| &step.op)
                .collect();
            match self.system.run(&ops) {
                Ok(errors) => {
                    let done = |(position, _): &(usize, &&Op)| {
                        errors.iter().all(|(refused, _)| refused != position)
                    };
                    for (_, op) in ops.iter().enumerate().filter(done) {
                        note_done(&mut self.observed, &mut self.stale, op);
                    }
                    for (position, refusal) in errors {
                        if ops[position].is_done_by(refusal.errno) {
                            self.stale = true;
                        } else {
                            refused.push((start + position, refusal));
                        }
                    }
                }
                Err(error) => {
                    let refusal = Refusal::of(&error);
                    refused.extend((start..start + length).map(|it| (it, refusal.clone())));
                }
            }
            start += length;
        }
        refused
    }

    /// Remembers parents that are about to get `accept_local`.
    fn note_lent(&mut self, steps: &[Step]) {
        for step in steps {
            if let Op::Ipv4 { link, settings } = &step.op
                && settings.contains(&(Ipv4Key::AcceptLocal, 1))
                && self
                    .observed
                    .link(*link)
                    .is_some_and(|it| !it.is_of(self.owner))
            {
                self.touched.lent.insert(*link);
            }
        }
    }

    /// Remembers how the parents of our macvlans and addresses were, and forgets parents that are left.
    pub(super) fn learn(&mut self) {
        let mut parents = BTreeSet::new();
        for link in self.observed.links().filter(|link| link.is_of(self.owner)) {
            if let Some((parent, originals)) = link.originals() {
                parents.insert(parent);
                self.touched.parents.entry(parent).or_insert(originals);
            }
        }
        let observed = &self.observed;
        self.touched.parents.retain(|parent, originals| {
            observed.link(*parent).is_some_and(|link| {
                parents.contains(parent) || ParentConf::of(&link.ipv4) != *originals
            })
        });
        let lends = |link: &Link| {
            let mut addresses = link.addresses.iter();
            addresses.any(|there| there.lent && there.is_of(self.owner))
        };
        let lent = observed.links().filter(|link| lends(link));
        self.touched.lent.extend(lent.map(|link| link.index));
        self.touched.lent.retain(|index| {
            let link = observed.link(*index);
            link.is_some_and(|link| lends(link) || link.ipv4.get(Ipv4Key::AcceptLocal) != 0)
        });
    }

    pub(super) fn tell_facts(&mut self) {
        let names: BTreeSet<&str> = self
            .routers
            .values()
            .filter(|standing| standing.until.is_none())
            .map(|standing| standing.desired.interface.as_str())
            .gather();
        self.facts.retain(|name, _| names.contains(name.as_str()));
        for name in names {
            let facts = self.observed.facts(name);
            if self.facts.get(name) == Some(&facts) {
                continue;
            }
            self.facts.insert(name.to_owned(), facts.clone());
            (self.notify)(Notice::Link {
                interface: name.to_owned(),
                facts,
            });
        }
    }

    fn report(
        &mut self,
        now: Instant,
        outcome: &Outcome,
        routers: impl IntoIterator<Item = RouterId>,
    ) {
        for id in routers {
            let Some(standing) = self.routers.get_mut(&id) else {
                continue;
            };
            if standing.until.is_some() {
                continue;
            }
            let failure = match outcome.failures.get(&Some(id)) {
                Some(failure) => Some(failure.as_str()),
                None => self.filter.failure(&standing.desired),
            };
            let complete = failure.is_none() && !outcome.incomplete.contains(&id);
            standing.complete = complete;
            let report = match failure {
                None if !complete => None,
                None => {
                    standing.failure = None;
                    standing.surroundings =
                        reconcile::surroundings(&standing.desired, &self.observed, &self.guarded);
                    (!std::mem::replace(&mut standing.applied, true))
                        .then_some(KernelReport::Applied)
                }
                Some(failure) => {
                    standing.applied = false;
                    let known = standing.failure.as_deref() == Some(failure);
                    standing.failure = Some(failure.to_owned());
                    (!known).then(|| KernelReport::Failed(failure.to_owned()))
                }
            };
            if let Some(report) = report {
                (self.notify)(Notice::Report {
                    router: id,
                    generation: standing.desired.generation,
                    report,
                });
            }
            if complete && self.filter.take_repair(&standing.desired) {
                standing.repairs.note(now, self.filter.name());
            }
            if complete && let Some(what) = standing.repairs.report(now) {
                (self.notify)(Notice::Upkeep {
                    router: id,
                    upkeep: Upkeep::Repaired(what),
                });
            }
        }
    }
}

/// Whose virtual MAC address this is.
fn router_of(mac: MacAddress) -> Option<(Family, Vrid)> {
    let vrid = Vrid::new(mac.0[5])?;
    let families = [Family::Ipv4, Family::Ipv6];
    let mut routers = families.map(|family| (family, vrid)).into_iter();
    routers.find(|(family, vrid)| mac == MacAddress::of_router(*family, *vrid))
}

/// Enters into the picture what the kernel does not notify, or only later.
fn note_done(observed: &mut Observed, stale: &mut bool, op: &Op) {
    match op {
        // Changes of a link that is down are not notified.
        Op::Create { .. } => *stale = true,
        Op::Set { link, .. } => *stale |= observed.link(*link).is_none_or(|link| !link.up),
        Op::Ipv4 { link, settings } => {
            for (key, value) in settings {
                observed.apply(Event::Ipv4(Some(*link), *key, *value));
            }
        }
        // IPv6 addresses come into use, and are notified, some time after they were accepted.
        Op::Add {
            link,
            address,
            metric,
            label: _,
        } if address.ip.is_ipv6() => {
            let address = Address::expected(*address, *metric);
            observed.apply(Event::Expected(*link, address));
        }
        Op::Add { .. }
        | Op::Remove { .. }
        | Op::AddRoute { .. }
        | Op::RemoveRoute { .. }
        | Op::AddRule { .. }
        | Op::RemoveRule { .. }
        | Op::Ipv6 { .. }
        | Op::Delete { .. }
        | Op::DeleteGroup { .. } => {}
    }
}
