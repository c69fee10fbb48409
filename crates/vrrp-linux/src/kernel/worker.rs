//! The thread that listens, plans, does and reports.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use tracing::{debug, warn};
use vrrp_proto::desired::{Desired, KernelReport, Upkeep};
use vrrp_proto::link::LinkFacts;
use vrrp_proto::types::RouterId;

use super::guard::FilterGuard;
use super::netlink::{Drained, Monitor, Refusal, Requests};
use super::observed::{Effect, Event, Observed, ParentConf};
use super::op::{Op, Step};
use super::reconcile::{self, Plan};
use super::standing::{Patience, Standing};
use super::{End, Mailbox, Notice, OwnerId, sysctl};

/// Settings change without a notification: this often everything is looked at.
const AUDIT: Duration = Duration::from_secs(1);

/// Changes come in groups: after the first, this long is waited for the others.
const COALESCE: Duration = Duration::from_millis(1);

/// After the first order, leftovers of an earlier life wait this long: they may be wanted by an order still to come.
const GRACE: Duration = Duration::from_millis(250);

/// A daemon without routers gives no orders; after this long its leftovers are its.
const FIRST_ORDER: Duration = Duration::from_secs(5);

/// A link that nobody wants any more stays this long, empty: a reload may want it again under another router.
const LINGER: Duration = Duration::from_millis(100);

/// Rounds of planning and doing in one pass. A new router needs two; more mean that somebody interferes, and that can
/// wait for the next pass.
const ROUNDS: usize = 6;

pub(super) struct Worker {
    owner: OwnerId,
    notify: Box<dyn Fn(Notice) + Send>,
    mailbox: Arc<Mailbox>,
    requests: Requests,
    monitor: Monitor,
    filter: FilterGuard,
    observed: Observed,
    /// Whether the picture may be wrong.
    stale: bool,
    routers: BTreeMap<RouterId, Standing>,
    /// Original settings of the parents that were changed.
    touched: BTreeMap<u32, ParentConf>,
    /// What was last said about each interface.
    facts: BTreeMap<String, Option<LinkFacts>>,
    /// Links of ours that nobody wants, and since when.
    orphans: BTreeMap<u32, Instant>,
    /// For steps that belong to no router.
    patience: Patience,
    started: Instant,
    /// Since when leftovers may be removed; `None` before the first order.
    grace_until: Option<Instant>,
    audit_at: Instant,
    /// When to look at what changed.
    look_at: Option<Instant>,
}

/// What one pass left undone.
#[derive(Default)]
struct Outcome {
    /// Routers that do not have all they want.
    incomplete: BTreeSet<RouterId>,
    /// Why, as far as known.
    failures: BTreeMap<Option<RouterId>, String>,
}

impl Worker {
    pub(super) fn new(
        owner: OwnerId,
        notify: Box<dyn Fn(Notice) + Send>,
        mailbox: Arc<Mailbox>,
    ) -> io::Result<Self> {
        // Listening begins before the first look, so that nothing is missed between them.
        let monitor = Monitor::open()?;
        let requests = Requests::open()?;
        let now = Instant::now();
        let mut worker = Self {
            owner,
            notify,
            mailbox,
            requests,
            monitor,
            filter: FilterGuard::new(owner),
            observed: Observed::default(),
            stale: true,
            routers: BTreeMap::new(),
            touched: BTreeMap::new(),
            facts: BTreeMap::new(),
            orphans: BTreeMap::new(),
            patience: Patience::default(),
            started: now,
            grace_until: None,
            audit_at: now + AUDIT,
            look_at: None,
        };
        worker.look()?;
        Ok(worker)
    }

    pub(super) fn run(mut self) -> Vec<String> {
        loop {
            self.wait();
            let orders = self.mailbox.take();
            let published = !orders.desired.is_empty();
            for (router, desired) in orders.desired {
                self.order(router, desired);
            }
            match orders.end {
                Some(End::Clean) => return self.clean(),
                Some(End::Leave) => return Vec::new(),
                None => {}
            }
            let now = Instant::now();
            if published || now >= self.started + FIRST_ORDER {
                self.grace_until.get_or_insert(now + GRACE);
            }
            if now >= self.audit_at {
                self.audit_at = now + AUDIT;
                self.stale = true;
                self.filter.check();
                self.look_at = Some(now);
            }
            if self.listen() || self.filter.listen() {
                self.look_at.get_or_insert(now + COALESCE);
            }
            if published || self.look_at.is_some_and(|at| at <= now) || self.is_due(now) {
                self.look_at = None;
                self.pass();
            }
        }
    }

    /// Sleeps until something happens or is due.
    fn wait(&self) {
        let now = Instant::now();
        let timeout = self
            .dues()
            .chain([self.audit_at])
            .chain(self.look_at)
            .min()
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        // Rounded up: waking too early would spin.
        let millis = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let mut fds = vec![
            PollFd::new(self.mailbox.bell.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.monitor.fd(), PollFlags::POLLIN),
        ];
        fds.extend(
            self.filter
                .fd()
                .map(|fd| PollFd::new(fd, PollFlags::POLLIN)),
        );
        if let Err(error) = poll(&mut fds, PollTimeout::from(millis))
            && error != nix::errno::Errno::EINTR
        {
            warn!(%error, "the kernel thread cannot wait");
            std::thread::sleep(COALESCE);
        }
    }

    /// When something that was put off is due.
    fn dues(&self) -> impl Iterator<Item = Instant> {
        let routers = self
            .routers
            .values()
            .flat_map(|standing| [standing.free_at(), standing.repairs.report_at()])
            .flatten();
        let orphans = self.orphans.values().map(|since| *since + LINGER);
        let first = match self.grace_until {
            None => Some(self.started + FIRST_ORDER),
            Some(until) => Some(until),
        };
        routers
            .chain(orphans)
            .chain(first)
            .chain(self.patience.until)
            .chain(self.filter.retry_at())
            .filter(|at| *at > self.started)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.dues().any(|at| at <= now);
        if due {
            // What is past is done with; what is still wanted sets itself again.
            for standing in self.routers.values_mut() {
                standing.patience.forget(now);
                standing.repairs.forget(now);
            }
            self.patience.forget(now);
            if self.grace_until.is_some_and(|until| until <= now) {
                self.grace_until = Some(self.started);
            }
        }
        due
    }

    fn order(&mut self, router: RouterId, desired: Option<Desired>) {
        let Some(desired) = desired else {
            self.routers.remove(&router);
            return;
        };
        match self.routers.get_mut(&router) {
            Some(standing) => standing.replace(desired),
            None => {
                self.routers.insert(router, Standing::new(desired));
            }
        }
    }

    /// Reads notifications; whether anything changed.
    fn listen(&mut self) -> bool {
        let observed = &mut self.observed;
        let mut effect = Effect::Nothing;
        let drained = self
            .monitor
            .drain(|event| effect = effect.max(observed.apply(event)));
        match drained {
            Ok(Drained::Whole) => {}
            Ok(Drained::Lossy) => {
                debug!("netlink notifications were lost; looking at everything again");
                effect = Effect::Unclear;
            }
            Err(error) => {
                warn!(%error, "cannot read netlink notifications");
                effect = Effect::Unclear;
            }
        }
        self.stale |= effect == Effect::Unclear;
        effect != Effect::Nothing
    }

    /// Takes the picture anew.
    fn look(&mut self) -> io::Result<()> {
        let links = self.requests.links()?;
        let addresses = self.requests.addresses()?;
        self.observed = Observed::new(links, addresses, sysctl::rp_filter_all()?);
        self.stale = false;
        // What was notified before and during the dump brings nothing new, what came after it does.
        self.listen();
        Ok(())
    }

    /// Brings the kernel to what is wanted, as far as it lets us, and says how that went.
    fn pass(&mut self) {
        let now = Instant::now();
        let Some(grace_until) = self.grace_until else {
            return;
        };
        let _ = grace_until;
        let outcome = self.settle(now);
        self.learn();
        self.tell_facts();
        let desired = self.desired();
        self.filter.settle(&desired, &self.observed);
        self.report(now, &outcome);
    }

    fn desired(&self) -> BTreeMap<RouterId, Desired> {
        self.routers
            .iter()
            .map(|(id, standing)| (*id, standing.desired.clone()))
            .collect()
    }

    fn settle(&mut self, now: Instant) -> Outcome {
        let desired = self.desired();
        let mut outcome = Outcome::default();
        // A refusal may come from a picture that was old; one in another round counts.
        let mut refused: BTreeMap<Option<RouterId>, usize> = BTreeMap::new();
        for round in 0..ROUNDS {
            self.listen();
            if self.stale
                && let Err(error) = self.look()
            {
                warn!(%error, "cannot look at the kernel's links and addresses");
            }
            self.learn();
            let plan = reconcile::plan(self.owner, &desired, &self.observed, &self.touched);
            self.note_orphans(now, &plan);
            let steps: Vec<Step> = plan
                .steps
                .iter()
                .filter(|step| !outcome.failures.contains_key(&step.router))
                .filter(|step| self.may(now, step))
                .cloned()
                .collect();
            if round == 0 {
                self.note_repairs(now, &steps);
            }
            if steps.is_empty() || round + 1 == ROUNDS {
                outcome
                    .incomplete
                    .extend(plan.steps.iter().filter_map(|step| step.router));
                outcome.incomplete.extend(plan.waiting);
                for (router, sentence) in plan.obstacles {
                    outcome.incomplete.insert(router);
                    outcome.failures.insert(Some(router), sentence);
                }
                break;
            }
            for (step, refusal) in self.execute(&steps) {
                self.stale = true;
                let step = &steps[step];
                let sentence = format!("cannot {}: {refusal}", step.op.attempt(&self.observed));
                if *refused.entry(step.router).or_insert(round) != round {
                    match step.router {
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
                    outcome.failures.insert(step.router, sentence);
                }
            }
        }
        outcome
    }

    /// Whether a step may be done now.
    fn may(&self, now: Instant, step: &Step) -> bool {
        let free_at = match step.router {
            Some(router) => self.routers.get(&router).and_then(Standing::free_at),
            None => self.grace_until.max(self.patience.until),
        };
        let lingers = step.router.is_none()
            && step.op.deleted().is_some_and(|link| {
                let since = self.orphans.get(&link);
                since.is_none_or(|since| *since + LINGER > now)
            });
        !lingers && free_at.is_none_or(|at| at <= now)
    }

    fn note_orphans(&mut self, now: Instant, plan: &Plan) {
        let orphans: BTreeSet<u32> = plan
            .steps
            .iter()
            .filter(|step| step.router.is_none())
            .filter_map(|step| step.op.deleted())
            .collect();
        self.orphans.retain(|link, _| orphans.contains(link));
        for link in orphans {
            self.orphans.entry(link).or_insert(now);
        }
    }

    /// Steps for a router that had everything in place mean that somebody else undid it, unless its surroundings changed.
    fn note_repairs(&mut self, now: Instant, steps: &[Step]) {
        let mut noted = BTreeSet::new();
        for step in steps {
            let Some(router) = step.router else {
                continue;
            };
            if !noted.insert(router) {
                continue;
            }
            let more = steps.iter().filter(|it| it.router == Some(router)).count() - 1;
            let Some(standing) = self.routers.get_mut(&router) else {
                continue;
            };
            let surroundings = reconcile::surroundings(&standing.desired, &self.observed);
            if standing.applied && surroundings.is_some() && surroundings == standing.surroundings {
                let what = step.op.restores(&self.observed);
                let what = match more {
                    0 => what,
                    more => format!("{what} and {more} more"),
                };
                standing.repairs.note(now, what);
            }
        }
    }

    /// Does `steps` in order; the positions of those that were refused, and why.
    fn execute(&mut self, steps: &[Step]) -> Vec<(usize, Refusal)> {
        let mut refused = Vec::new();
        let mut start = 0;
        while start < steps.len() {
            if let Op::Ipv6 { link, key, value } = steps[start].op {
                match sysctl::set_ipv6(self.observed.name(link), key, value) {
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
            match self.requests.run(&ops) {
                Ok(errors) => {
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

    /// Remembers how the parents of our macvlans were, and forgets parents that are left.
    fn learn(&mut self) {
        let mut parents = BTreeSet::new();
        for link in self.observed.links().filter(|link| link.is_of(self.owner)) {
            if let (Some(parent), Some(originals)) =
                (link.lower, link.mark().and_then(|mark| mark.parent))
            {
                parents.insert(parent);
                self.touched.entry(parent).or_insert(originals);
            }
        }
        let observed = &self.observed;
        self.touched.retain(|parent, originals| {
            observed.link(*parent).is_some_and(|link| {
                parents.contains(parent) || ParentConf::of(&link.ipv4) != *originals
            })
        });
    }

    fn tell_facts(&mut self) {
        let names: BTreeSet<&str> = self
            .routers
            .values()
            .map(|standing| standing.desired.interface.as_str())
            .collect();
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

    fn report(&mut self, now: Instant, outcome: &Outcome) {
        for (id, standing) in &mut self.routers {
            let failure = match outcome.failures.get(&Some(*id)) {
                Some(failure) => Some(failure.as_str()),
                None => self.filter.failure(&standing.desired),
            };
            let report = match failure {
                None if outcome.incomplete.contains(id) => None,
                None => {
                    standing.failure = None;
                    standing.surroundings =
                        reconcile::surroundings(&standing.desired, &self.observed);
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
                    router: *id,
                    generation: standing.desired.generation,
                    report,
                });
            }
            if standing.applied && self.filter.take_repair(&standing.desired) {
                standing.repairs.note(now, self.filter.name());
            }
            if standing.applied
                && let Some(what) = standing.repairs.report(now)
            {
                (self.notify)(Notice::Upkeep {
                    router: *id,
                    upkeep: Upkeep::Repaired(what),
                });
            }
        }
    }

    /// Removes everything of ours; what could not be, as sentences.
    fn clean(mut self) -> Vec<String> {
        self.routers.clear();
        let nothing = BTreeMap::new();
        let mut complaints = Vec::new();
        for _ in 0..ROUNDS {
            complaints.clear();
            self.listen();
            if self.stale
                && let Err(error) = self.look()
            {
                complaints.push(format!(
                    "cannot look at the kernel's links and addresses: {error}"
                ));
            }
            self.learn();
            let plan = reconcile::plan(self.owner, &nothing, &self.observed, &self.touched);
            let steps = self.by_group(plan.steps);
            if steps.is_empty() {
                break;
            }
            for (step, refusal) in self.execute(&steps) {
                self.stale = true;
                let attempt = steps[step].op.attempt(&self.observed);
                complaints.push(format!("cannot {attempt}: {refusal}"));
            }
        }
        complaints.extend(self.filter.remove().err());
        complaints
    }

    /// Replaces the deletions of links by the deletion of their group, if nothing else is in it.
    fn by_group(&self, mut steps: Vec<Step>) -> Vec<Step> {
        let group = self.owner.group();
        let doomed = |step: &Step| self.observed.link(step.op.deleted()?);
        let members = self
            .observed
            .links()
            .filter(|link| link.group == group)
            .count();
        let leaving = steps
            .iter()
            .filter_map(doomed)
            .filter(|link| link.group == group)
            .count();
        let Some(position) = steps.iter().position(|step| doomed(step).is_some()) else {
            return steps;
        };
        if leaving < 2 || leaving != members {
            return steps;
        }
        steps[position].op = Op::DeleteGroup { group };
        let keep = |step: &Step| doomed(step).is_none_or(|link| link.group != group);
        steps.retain(keep);
        steps
    }
}
