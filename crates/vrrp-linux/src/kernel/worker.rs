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
use super::observed::{Address, Effect, Event, Observed, ParentConf};
use super::op::{Op, Step};
use super::reconcile::{self, Scope};
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

/// A router that is withdrawn stays this long, silent: a reload may bring the same one under another number.
const LINGER: Duration = Duration::from_millis(100);

/// So many routers are looked after at once when an address of theirs may have become usable; more wait for
/// [`COALESCE`].
const FEW: usize = 8;

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
    /// For steps that belong to no router.
    patience: Patience,
    started: Instant,
    /// Since when leftovers may be removed; `None` before the first order.
    grace_until: Option<Instant>,
    audit_at: Instant,
    /// When to look at what changed.
    look_at: Option<Instant>,
    /// Routers that wait for the kernel to say that an address is in use.
    waiting: BTreeSet<RouterId>,
}

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
            patience: Patience::default(),
            started: now,
            grace_until: None,
            audit_at: now + AUDIT,
            look_at: None,
            waiting: BTreeSet::new(),
        };
        worker.look()?;
        Ok(worker)
    }

    pub(super) fn run(mut self) -> Vec<String> {
        loop {
            self.wait();
            let orders = self.mailbox.take();
            let published: BTreeSet<RouterId> = orders.desired.keys().copied().collect();
            let now = Instant::now();
            for (router, desired) in orders.desired {
                self.order(now, router, desired);
            }
            match orders.end {
                Some(End::Clean) => return self.clean(),
                Some(End::Leave) => return Vec::new(),
                None => {}
            }
            if !published.is_empty() || now >= self.started + FIRST_ORDER {
                self.grace_until.get_or_insert(now + GRACE);
            }
            if now >= self.audit_at {
                self.audit_at = now + AUDIT;
                self.stale = true;
                self.filter.check();
                self.look_at = Some(now);
            }
            let mut published = published;
            if self.listen() || self.filter.listen() {
                self.look_at.get_or_insert(now + COALESCE);
                if self.waiting.len() <= FEW {
                    published.append(&mut self.waiting);
                }
            }
            if self.is_alone(&published) {
                // What was asked for first; the rest in a moment.
                self.pass(now, Some(published));
                self.look_at.get_or_insert(now + COALESCE);
            } else if !published.is_empty()
                || self.look_at.is_some_and(|at| at <= now)
                || self.is_due(now)
            {
                self.look_at = None;
                self.pass(now, None);
            }
        }
    }

    /// Whether `published` can be done without a look at the other routers.
    fn is_alone(&self, published: &BTreeSet<RouterId>) -> bool {
        let has_macvlan = |id| {
            self.routers
                .get(id)
                .is_some_and(|standing| standing.desired.mac.is_some())
        };
        !published.is_empty() && !self.stale && published.iter().all(has_macvlan)
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
            .flat_map(|it| [it.free_at(), it.report_at(), it.until])
            .flatten();
        let first = match self.grace_until {
            None => Some(self.started + FIRST_ORDER),
            Some(until) => Some(until),
        };
        routers
            .chain(first)
            .chain(self.patience.until)
            .chain(self.filter.retry_at())
            .filter(|at| *at > self.started)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.dues().any(|at| at <= now);
        if due {
            self.routers
                .retain(|_, standing| standing.until.is_none_or(|until| until > now));
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

    fn order(&mut self, now: Instant, router: RouterId, desired: Option<Desired>) {
        match (desired, self.routers.get_mut(&router)) {
            (Some(desired), Some(standing)) => standing.replace(desired),
            (Some(desired), None) => {
                self.routers
                    .retain(|_, other| other.until.is_none() || !other.is_like(&desired));
                self.routers.insert(router, Standing::new(desired));
            }
            (None, Some(standing)) => standing.withdraw(now + LINGER),
            (None, None) => {}
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

    /// Brings the kernel to what is wanted by the routers of `scope`, or by all, and says how that went.
    fn pass(&mut self, now: Instant, scope: Option<BTreeSet<RouterId>>) {
        if self.grace_until.is_none() {
            return;
        }
        let mut desired = self.desired();
        let extent = match &scope {
            Some(scope) => {
                desired.retain(|id, _| scope.contains(id));
                Scope::Some
            }
            None => Scope::Everything,
        };
        let outcome = self.settle(now, &desired, extent);
        self.waiting.retain(|id| !desired.contains_key(id));
        self.waiting.extend(outcome.waiting.iter().copied());
        self.tell_facts();
        if extent == Scope::Everything {
            self.learn();
            self.filter.settle(&desired, &self.observed);
            self.report(now, &outcome);
        } else if !desired.values().any(|it| super::filter::concerns(it)) {
            self.report_some(now, &outcome, desired.into_keys());
        }
    }

    fn desired(&self) -> BTreeMap<RouterId, Arc<Desired>> {
        self.routers
            .iter()
            .map(|(id, standing)| (*id, Arc::clone(&standing.desired)))
            .collect()
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
            if scope == Scope::Everything {
                self.learn();
            }
            let plan = reconcile::plan(self.owner, desired, scope, &self.observed, &self.touched);
            outcome.incomplete = plan.steps.iter().filter_map(|step| step.router).collect();
            outcome.incomplete.extend(plan.waiting.iter().copied());
            outcome.waiting = plan.waiting.into_iter().collect();
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
            }
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
            .collect()
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

    /// Remembers how the parents of our macvlans were, and forgets parents that are left.
    fn learn(&mut self) {
        let mut parents = BTreeSet::new();
        for link in self.observed.links().filter(|link| link.is_of(self.owner)) {
            if let Some((parent, originals)) = link.originals() {
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
            .filter(|standing| standing.until.is_none())
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
        let all: Vec<RouterId> = self.routers.keys().copied().collect();
        self.report_some(now, outcome, all);
    }

    fn report_some(
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
            let plan = reconcile::plan(
                self.owner,
                &nothing,
                Scope::Everything,
                &self.observed,
                &self.touched,
            );
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
        } if address.ip.is_ipv6() => {
            let address = Address::expected(*address, *metric);
            observed.apply(Event::Expected(*link, address));
        }
        Op::Add { .. }
        | Op::Remove { .. }
        | Op::Ipv6 { .. }
        | Op::Delete { .. }
        | Op::DeleteGroup { .. } => {}
    }
}
