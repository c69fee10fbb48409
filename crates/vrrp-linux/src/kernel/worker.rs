//! The thread: what it waits for, and what it does then.

mod clean;
mod follow;
mod pass;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::{ClockId, clock_gettime};
use tracing::{debug, warn};
use vrrp_proto::Gather;
use vrrp_proto::desired::Desired;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::types::RouterId;

use super::guard::FilterGuard;
use super::netlink::Drained;
use super::observed::{Effect, Observed};
use super::reconcile::{Guarded, Touched};
use super::standing::{Patience, Standing};
use super::system::{Live, System};
use super::{End, Mailbox, Notice, OwnerId};
use follow::Follower;

/// Settings change without a notification: this often everything is looked at,
const AUDIT: Duration = Duration::from_secs(1);

/// and less often where that takes long: after this many times as long,
const AUDIT_SHARE: u32 = 200;

/// but never less often than this.
const RAREST_AUDIT: Duration = Duration::from_secs(30);

/// Changes come in groups: after the first, this long is waited for the others.
const COALESCE: Duration = Duration::from_millis(1);

/// After the first order, leftovers of an earlier life wait this long: they may be wanted by an order still to come.
const GRACE: Duration = Duration::from_millis(250);

/// Sockets are opened when it is known which interfaces there are, and that waits for the same lock of the kernel's as a
/// thousand new links, which are not needed before somebody is Active: it comes first.
const HEAD_START: Duration = Duration::from_millis(20);

/// A daemon without routers gives no orders; after this long its leftovers are its.
const FIRST_ORDER: Duration = Duration::from_secs(5);

/// A router that is withdrawn stays this long, silent: a reload may bring the same one under another number.
const LINGER: Duration = Duration::from_millis(100);

/// So many routers are looked after at once when an address of theirs may have become usable; more wait for
/// [`COALESCE`].
const FEW: usize = 8;

pub(super) struct Worker<S> {
    owner: OwnerId,
    notify: Box<dyn Fn(Notice) + Send>,
    pub(super) system: S,
    filter: FilterGuard,
    follower: Follower,
    observed: Observed,
    /// Whether the picture may be wrong.
    stale: bool,
    routers: BTreeMap<RouterId, Box<Standing>>,
    /// Original settings of the parents that were changed.
    touched: Touched,
    /// What a gate keeps silent.
    guarded: Guarded,
    /// What was last said about each interface.
    facts: BTreeMap<String, Option<LinkFacts>>,
    /// For steps that belong to no router.
    patience: Patience,
    started: Instant,
    /// Since when leftovers may be removed; `None` before the first order.
    grace_until: Option<Instant>,
    /// Nothing is done before.
    begins_at: Instant,
    audit_at: Instant,
    /// When to look at what changed.
    look_at: Option<Instant>,
    /// Routers that wait for the kernel to say that an address is in use.
    waiting: BTreeSet<RouterId>,
}

impl<S: System> Worker<S> {
    /// A worker that has looked at `system` and done nothing yet.
    pub(super) fn new(
        owner: OwnerId,
        notify: Box<dyn Fn(Notice) + Send>,
        system: S,
        now: Instant,
    ) -> io::Result<Self> {
        let mut worker = Self {
            owner,
            notify,
            system,
            filter: FilterGuard::new(owner),
            follower: Follower::default(),
            observed: Observed::default(),
            stale: true,
            routers: BTreeMap::new(),
            touched: Touched::default(),
            guarded: Guarded::new(),
            facts: BTreeMap::new(),
            patience: Patience::default(),
            started: now,
            grace_until: None,
            begins_at: now,
            audit_at: now + AUDIT,
            look_at: None,
            waiting: BTreeSet::new(),
        };
        worker.look()?;
        // What the marks of an earlier life say, before anybody can delete them.
        worker.learn();
        Ok(worker)
    }

    /// Takes orders and does what they, the kernel's news and the clock ask for.
    pub(super) fn turn(&mut self, now: Instant, orders: BTreeMap<RouterId, Option<Desired>>) {
        let mut published: BTreeSet<RouterId> = orders.keys().copied().gather();
        let urgent = orders.values().flatten().any(|desired| desired.active);
        for (router, desired) in orders {
            self.order(now, router, desired);
        }
        if !published.is_empty() || now >= self.started + FIRST_ORDER {
            if self.grace_until.is_none() {
                self.begins_at = now + HEAD_START;
            }
            self.grace_until.get_or_insert(now + GRACE);
        }
        if now >= self.audit_at {
            self.audit_at = now + AUDIT;
            self.stale = true;
            self.filter.check(&mut self.system);
            self.system.doubt_fence();
            self.follower.audit();
            self.look_at = Some(now);
        }
        // None of them may be left out: each empties something.
        let heard = [
            self.listen(),
            self.filter.listen(&mut self.system),
            self.system.drain_fence(),
            self.listen_for_following(),
        ];
        if heard[0] {
            self.follower.surroundings_changed(now);
        }
        if heard.contains(&true) {
            self.look_at.get_or_insert(now + COALESCE);
            if self.waiting.len() <= FEW {
                published.append(&mut self.waiting);
            }
        }
        if urgent {
            self.begins_at = self.begins_at.min(now);
        }
        if now < self.begins_at {
            // The first orders come as fast as the engine gives them, not all at once.
            self.tell_facts();
            self.look_at = Some(self.begins_at);
            return;
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

    /// The next audit is at the first of its times after `now`: somebody knows that those before would find nothing.
    #[cfg(feature = "model")]
    pub(super) fn put_audit_off(&mut self, now: Instant) {
        while self.audit_at <= now {
            self.audit_at += AUDIT;
        }
    }

    /// When something is due, if nothing is ordered and the kernel says nothing before.
    pub(super) fn wakes_at(&self) -> Instant {
        let audit = self.audit_at;
        self.dues().chain(self.look_at).fold(audit, Instant::min)
    }

    /// Whether `published` can be done without a look at the other routers.
    fn is_alone(&self, published: &BTreeSet<RouterId>) -> bool {
        let has_mac = |id| {
            self.routers
                .get(id)
                .is_some_and(|standing| standing.desired.mac.is_some())
        };
        !published.is_empty() && !self.stale && published.iter().all(has_mac)
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
            .chain(self.follower.dues())
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
            self.follower.forget(now);
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
                self.routers
                    .insert(router, Box::new(Standing::new(desired)));
            }
            (None, Some(standing)) => standing.withdraw(now + LINGER),
            (None, None) => {}
        }
    }

    /// Reads notifications; whether anything changed.
    fn listen(&mut self) -> bool {
        let (observed, owner) = (&mut self.observed, self.owner);
        let mut effect = Effect::Nothing;
        let drained = self
            .system
            .drain(|event| effect = effect.max(observed.hear(owner, event)));
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

    /// Whether somebody else changed routes or rules of ours.
    fn listen_for_following(&mut self) -> bool {
        let changed = self.system.drain_following(self.owner.route_protocol());
        if changed {
            self.follower.doubt();
        }
        changed
    }

    /// Takes the picture anew.
    fn look(&mut self) -> io::Result<()> {
        self.system.look(&mut self.observed)?;
        self.stale = false;
        // What was notified before and during the dump brings nothing new, what came after it does.
        self.listen();
        Ok(())
    }
}

/// What this thread has used. Unlike the time that passed, it does not depend on what else the machine does.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

impl Worker<Live> {
    /// What wakes the thread: orders, and news of the kernel. Unlike poll(2), it asks for no descriptor later on.
    pub(super) fn bells(&self, mailbox: &Mailbox) -> io::Result<Epoll> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&mailbox.bell, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        for fd in self.system.fds() {
            epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        }
        Ok(epoll)
    }

    /// Works until it is told to end; what could not be cleaned, as sentences.
    pub(super) fn run(mut self, mailbox: &Mailbox, bells: &Epoll) -> Vec<String> {
        loop {
            self.wait(bells);
            let orders = mailbox.take();
            match orders.end {
                Some(End::Clean) => return self.clean(),
                Some(End::Leave) => return Vec::new(),
                None => self.turn_with_economy(orders.desired),
            }
        }
    }

    /// A turn, after which the next audit is put off if this was one and had much to look at.
    fn turn_with_economy(&mut self, orders: BTreeMap<RouterId, Option<Desired>>) {
        let (now, audit_at, used) = (Instant::now(), self.audit_at, processor_time());
        self.turn(now, orders);
        if self.audit_at != audit_at {
            let used = processor_time().saturating_sub(used);
            self.audit_at = now + (used * AUDIT_SHARE).clamp(AUDIT, RAREST_AUDIT);
        }
    }

    /// Sleeps until something happens or is due.
    fn wait(&self, bells: &Epoll) {
        let timeout = self.wakes_at().saturating_duration_since(Instant::now());
        // Rounded up: waking too early would spin.
        let millis = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        let mut events = [EpollEvent::empty(); 4];
        if let Err(error) = bells.wait(&mut events, EpollTimeout::from(millis))
            && error != nix::errno::Errno::EINTR
        {
            warn!(%error, "the kernel thread cannot wait");
            std::thread::sleep(COALESCE);
        }
    }
}
