//! All virtual routers of one daemon, behind one input function and one output queue.
//!
//! ```text
//!   Input ---> handle() ------+                 +--> Transmit   an advertisement, now
//!   time  ---> handle_timeout +--> the routers -+--> Announce   gratuitous ARP or NA, now
//!                                               +--> Desired    what the kernel should hold from now on
//!                                               +--> Event      for the log, the history and subscribers
//! ```
//!
//! **The law**: after each call of `handle` or `handle_timeout`, drain [`Engine::poll_output`] to `None` before the
//! next one. Outputs come in the order in which they must happen: an advertisement before the addresses it announces
//! (RFC 9568 §6.4.2).
//!
//! Objects: a *slot* is one virtual router with everything around its election ([`VirtualRouter`]): its plan, the
//! faults that keep it out, its announcements, its counters. A *link* is an interface by name; datagrams find their
//! slot by (link, family, VRID). Timers live in the states; a heap holds one entry for each router, never later than its
//! deadline. A deadline that moved later leaves its entry where it is, to be moved when it surfaces: a Backup's moves
//! with every advertisement.

use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;

use crate::announce::Announcer;
use crate::desired::{Desired, Generation, KernelReport, Upkeep};
use crate::event::{Event, Happening, Reason};
use crate::fault::{self, Fault};
use crate::link::{LinkFacts, LinkId};
use crate::packet::Advertisement;
use crate::plan::{ChecksumForm, Plan, RouterPlan};
use crate::receive::{self, Envelope, Expectation, Heard, Oddity, Reject};
use crate::refusal::Refusal;
use crate::router::{Role, Send, State, Step, Terms, VirtualRouter};
use crate::statistics::{GlobalStatistics, RouterStatistics};
use crate::status::RouterStatus;
use crate::time::Instant;
use crate::types::{Family, MacAddress, Priority, RouterId, Vrid};

/// A refusal that goes on is said again after this time, then after twice that, up to an hour.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);
const COMPLAINT_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// A received packet of protocol 112.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Where it arrived.
    pub link: LinkId,
    /// IP header.
    pub envelope: Envelope,
    /// What follows the IP header, cut to the IP length.
    pub message: &'a [u8],
}

/// What can happen to an engine.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A packet arrived.
    Datagram(Datagram<'a>),
    /// An interface is in this state; `None` when no interface has the name.
    Link {
        /// Its name.
        interface: &'a str,
        /// Its state.
        facts: Option<&'a LinkFacts>,
    },
    /// Whether advertisements of a family can be heard on an interface. They can unless this says otherwise.
    Hearing {
        /// Where.
        link: LinkId,
        /// Which.
        family: Family,
        /// Why not; `None` when they can.
        failure: Option<&'a str>,
    },
    /// Somebody told the link where an address is.
    Claim {
        /// Where.
        link: LinkId,
        /// Which address.
        address: IpAddr,
        /// At which hardware address.
        mac: MacAddress,
    },
    /// The kernel backend speaks about a desired state.
    Kernel {
        /// Whose.
        router: RouterId,
        /// Which version of it; others than the latest are ignored.
        generation: Generation,
        /// What it says.
        report: &'a KernelReport,
    },
    /// The kernel backend mended something.
    Upkeep {
        /// Whose.
        router: RouterId,
        /// What.
        upkeep: &'a Upkeep,
    },
    /// Another configuration. Routers with the same interface, family, VRID and version go on without a transition.
    Reload(&'a Plan),
    /// Everything is given up, for good.
    Shutdown,
}

/// What an engine wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send this advertisement now.
    Transmit(Transmit),
    /// Send one round of announcements now.
    Announce(Announce),
    /// From now on the kernel should hold this; `None` when the router is gone and nothing of it may stay.
    Desired(RouterId, Option<Desired>),
    /// This happened.
    Event(Event),
}

/// An advertisement.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Whose.
    pub router: RouterId,
    /// Where.
    pub link: LinkId,
    /// Ethernet source; `None` for the interface's own, through the routing table if `destination` is unicast.
    pub mac: Option<MacAddress>,
    /// IP source.
    pub source: IpAddr,
    /// The group, or a unicast peer.
    pub destination: IpAddr,
    /// What follows the IP header.
    pub message: Arc<[u8]>,
}

/// A round of gratuitous ARP or unsolicited Neighbor Advertisements, one frame for each address.
#[derive(Clone, Debug)]
pub struct Announce {
    /// Whose.
    pub router: RouterId,
    /// Where.
    pub link: LinkId,
    /// The hardware address to announce; `None` for the interface's own.
    pub mac: Option<MacAddress>,
    /// The addresses, all of one family.
    pub addresses: Arc<[IpAddr]>,
}

/// The next thing that happens by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wakeup {
    /// When.
    pub at: Instant,
    /// To whom.
    pub router: RouterId,
    /// What.
    pub timer: Timer,
}

/// The timers of a router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timer {
    /// Active_Down_Timer: it takes over.
    ActiveDown,
    /// Adver_Timer: it advertises.
    Advertisement,
    /// It announces its addresses.
    Announcement,
    /// It stands for election again after the kernel refused it.
    KernelRetry,
}

/// The engine. See the module's text for the law of its use.
#[derive(Debug, Default)]
pub struct Engine {
    slots: BTreeMap<RouterId, Slot>,
    links: Vec<Link>,
    index: BTreeMap<(LinkId, Family, Vrid), RouterId>,
    wakeups: BinaryHeap<Reverse<(Instant, RouterId)>>,
    outputs: VecDeque<Output>,
    statistics: GlobalStatistics,
    complaints: Complaints,
    next_id: u32,
    stopped: bool,
}

#[derive(Debug)]
struct Link {
    name: String,
    /// Whether the backend has spoken about it yet.
    known: bool,
    facts: Option<LinkFacts>,
    /// Families of which nothing can be heard, and why.
    deaf: BTreeMap<Family, String>,
}

/// One virtual router with everything around its election.
#[derive(Debug)]
struct Slot {
    plan: RouterPlan,
    link: LinkId,
    machine: VirtualRouter,
    since: Instant,
    primary: Option<IpAddr>,
    faults: Vec<Fault>,
    refusal: Option<Refusal>,
    /// The Active last heard.
    followed: Option<(IpAddr, Priority)>,
    form: ChecksumForm,
    /// Advertisements ready to be sent, one for each destination; empty when something they say has changed.
    ready: Vec<(IpAddr, Arc<[u8]>)>,
    addresses: Arc<[IpAddr]>,
    announcer: Announcer,
    /// Its entry in the heap of wake-ups.
    scheduled: Option<Instant>,
    generation: Generation,
    applied: bool,
    statistics: RouterStatistics,
    complaints: Complaints,
    changes: Allowance,
}

type Outputs = VecDeque<Output>;

impl Engine {
    /// Runs `plan`. Until the state of their interfaces is known, all routers stay in Initialize.
    #[must_use]
    pub fn new(plan: &Plan, now: Instant) -> Self {
        let mut engine = Self::default();
        for router in &plan.routers {
            engine.add(now, router);
        }
        engine
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs must be drained before the next input"
        );
        match input {
            Input::Datagram(datagram) => self.datagram(now, &datagram),
            Input::Link { interface, facts } => self.link_changed(now, interface, facts),
            Input::Hearing {
                link,
                family,
                failure,
            } => self.hearing(now, link, family, failure),
            Input::Claim { link, address, mac } => self.claim(now, link, address, mac),
            Input::Kernel {
                router,
                generation,
                report,
            } => self.kernel_report(now, router, generation, report),
            Input::Upkeep { router, upkeep } => self.upkeep(now, router, upkeep),
            Input::Reload(_) if self.stopped => {}
            Input::Reload(plan) => self.reload(now, plan),
            Input::Shutdown => self.shutdown(now),
        }
        self.compact();
    }

    /// Does what is due. Calling it too early or twice is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs must be drained before the next input"
        );
        while let Some(&Reverse((at, id))) = self.wakeups.peek()
            && at <= now
        {
            self.wakeups.pop();
            if let Some(slot) = self
                .slots
                .get_mut(&id)
                .filter(|slot| slot.scheduled == Some(at))
            {
                slot.scheduled = None;
                slot.timeout(now, id, &self.links, &mut self.outputs);
                // A router acts at most once a call: one whose timer is due again already waits for the next call.
                schedule(&mut self.wakeups, id, slot);
                if slot.deadline().is_some_and(|(next, _)| next <= now) {
                    break;
                }
            }
        }
    }

    /// The next thing to do, in order.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Wakeup> {
        while let Some(&Reverse((at, id))) = self.wakeups.peek() {
            let slot = self
                .slots
                .get_mut(&id)
                .filter(|slot| slot.scheduled == Some(at));
            if let Some(slot) = slot {
                if let Some((_, timer)) = slot.deadline().filter(|(due, _)| *due == at) {
                    return Some(Wakeup {
                        at,
                        router: id,
                        timer,
                    });
                }
                slot.scheduled = None;
                self.wakeups.pop();
                schedule(&mut self.wakeups, id, slot);
            } else {
                self.wakeups.pop();
            }
        }
        None
    }

    /// All routers, in the order in which they were first configured.
    pub fn status(&self) -> impl Iterator<Item = RouterStatus<'_>> {
        self.slots.iter().map(|(id, slot)| slot.status(*id))
    }

    /// Counters that belong to no router.
    #[must_use]
    pub const fn statistics(&self) -> &GlobalStatistics {
        &self.statistics
    }

    /// The interfaces by name, with the identifier that datagrams must carry.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, &str)> {
        (0..)
            .map(LinkId)
            .zip(&self.links)
            .map(|(id, link)| (id, link.name.as_str()))
    }

    /// What is known of an interface.
    #[must_use]
    pub fn link(&self, id: LinkId) -> Option<&LinkFacts> {
        self.links.get(link_index(id))?.facts.as_ref()
    }

    /// Whether any router speaks this family on this interface, and so wants its datagrams.
    #[must_use]
    pub fn wants(&self, link: LinkId, family: Family) -> bool {
        self.slots
            .values()
            .any(|slot| slot.link == link && slot.plan.family == family)
    }

    /// The virtual addresses of a family on an interface, in order.
    #[must_use]
    pub fn virtual_addresses(&self, link: LinkId, family: Family) -> Vec<IpAddr> {
        self.slots
            .values()
            .filter(|slot| slot.link == link && slot.plan.family == family)
            .flat_map(|slot| slot.addresses.iter().copied())
            .collect()
    }

    /// Sweeps the heap when most of it is stale: an Active that shortens its interval with each advertisement moves its
    /// Backup's deadline earlier each time, which leaves an entry behind.
    fn compact(&mut self) {
        if self.wakeups.len() > 64 + 4 * self.slots.len() {
            let scheduled =
                |(id, slot): (&RouterId, &Slot)| slot.scheduled.map(|at| Reverse((at, *id)));
            self.wakeups = self.slots.iter().filter_map(scheduled).collect();
        }
    }

    fn datagram(&mut self, now: Instant, datagram: &Datagram<'_>) {
        let Datagram {
            link,
            envelope,
            message,
        } = datagram;
        let family = Family::of(envelope.source);
        let id = message
            .get(1)
            .and_then(|vrid| Vrid::new(*vrid))
            .and_then(|vrid| self.index.get(&(*link, family, vrid)).copied());
        let slot = id.and_then(|id| self.slots.get_mut(&id));
        let expectation = slot.as_deref().map(|slot| Expectation {
            plan: &slot.plan,
            primary: slot.primary,
        });
        match (
            receive::examine(envelope, message, |_| expectation),
            id,
            slot,
        ) {
            (Ok(heard), Some(id), Some(slot)) => {
                slot.heard(now, id, &heard, &self.links, &mut self.outputs);
                schedule(&mut self.wakeups, id, slot);
            }
            // `examine` cannot accept a packet for which it was given no router.
            (Ok(_), _, _) => {}
            (Err(reject), id, mut slot) => {
                reject.count(
                    &mut self.statistics,
                    slot.as_deref_mut().map(|slot| &mut slot.statistics),
                );
                if let (Some(id), Some(slot)) = (id, slot)
                    && reject.is_worth_saying()
                {
                    let said = slot.complaints.add(now, Complaint::Reject(reject));
                    if let Some(count) = said {
                        slot.say(
                            now,
                            id,
                            Happening::Refused {
                                address: envelope.source,
                                reject,
                                count,
                            },
                            &mut self.outputs,
                        );
                    }
                } else if reject.is_worth_saying()
                    && let Some(count) = self.complaints.add(now, Complaint::Reject(reject))
                {
                    let happening = Happening::Refused {
                        address: envelope.source,
                        reject,
                        count,
                    };
                    self.outputs.push_back(Output::Event(Event {
                        at: now,
                        router: None,
                        name: String::new(),
                        happening,
                    }));
                }
            }
        }
    }

    fn link_changed(&mut self, now: Instant, interface: &str, facts: Option<&LinkFacts>) {
        let Some((id, link)) = (0..)
            .map(LinkId)
            .zip(&mut self.links)
            .find(|(_, link)| link.name == interface)
        else {
            return;
        };
        let moved = match (&link.facts, facts) {
            (Some(old), Some(new)) => old.mac != new.mac || old.index != new.index,
            _ => false,
        };
        link.known = true;
        link.facts = facts.cloned();
        self.refresh_link(now, id, moved);
    }

    /// A neighbour believes somebody else now, unless we speak again.
    fn claim(&mut self, now: Instant, link: LinkId, address: IpAddr, mac: MacAddress) {
        let own = self.link(link).map(|facts| facts.mac);
        for (id, slot) in &mut self.slots {
            let ours = slot.link == link
                && slot.machine.role() == Role::Active
                && slot.addresses.contains(&address);
            if !ours || slot.plan.mac().or(own) == Some(mac) {
                continue;
            }
            slot.statistics.address_claims += 1;
            slot.announcer.begin_again(now);
            if slot.complaints.add(now, Complaint::Claim).is_some() {
                let happening = Happening::Claimed { address, mac };
                slot.say(now, *id, happening, &mut self.outputs);
            }
            schedule(&mut self.wakeups, *id, slot);
        }
    }

    fn hearing(&mut self, now: Instant, link: LinkId, family: Family, failure: Option<&str>) {
        let Some(deaf) = self
            .links
            .get_mut(link_index(link))
            .map(|link| &mut link.deaf)
        else {
            return;
        };
        match failure {
            Some(reason) => deaf.insert(family, String::from(reason)),
            None => deaf.remove(&family),
        };
        self.refresh_link(now, link, false);
    }

    /// Recomputes everything that depends on the state of a link, for its routers.
    fn refresh_link(&mut self, now: Instant, link: LinkId, moved: bool) {
        if !self
            .links
            .get(link_index(link))
            .is_some_and(|link| link.known)
        {
            return;
        }
        let primaries = self.primaries(link);
        for (id, primary) in primaries {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.refresh(
                    now,
                    id,
                    primary,
                    &self.links,
                    self.stopped,
                    &mut self.outputs,
                );
                if moved {
                    slot.announcer.begin_again(now);
                }
                schedule(&mut self.wakeups, id, slot);
            }
        }
    }

    /// The source address of each router of a link. None of the link's virtual addresses qualifies, unless it is the
    /// owner's only one.
    fn primaries(&self, link: LinkId) -> Vec<(RouterId, Option<IpAddr>)> {
        let on_link = || self.slots.iter().filter(move |(_, slot)| slot.link == link);
        let is_virtual =
            |address: IpAddr| on_link().any(|(_, slot)| slot.addresses.contains(&address));
        let owns = |slot: &Slot, address: IpAddr| {
            slot.plan.priority.is_owner() && slot.addresses.contains(&address)
        };
        let facts = self
            .links
            .get(link_index(link))
            .and_then(|link| link.facts.as_ref());
        on_link()
            .map(|(id, slot)| {
                let first = slot
                    .plan
                    .addresses
                    .first()
                    .map(|first| (first.ip, first.prefix_len));
                let primary = facts
                    .zip(first)
                    .and_then(|(facts, first)| facts.primary(slot.plan.family, first, is_virtual))
                    .filter(|address| !is_virtual(*address) || owns(slot, *address));
                (*id, primary)
            })
            .collect()
    }

    fn kernel_report(
        &mut self,
        now: Instant,
        router: RouterId,
        generation: Generation,
        report: &KernelReport,
    ) {
        let Some(slot) = self
            .slots
            .get_mut(&router)
            .filter(|slot| slot.generation == generation)
        else {
            return;
        };
        let link = self.links.get(link_index(slot.link));
        let missing = link.is_some_and(|link| link.known && link.facts.is_none());
        if missing && matches!(report, KernelReport::Failed(_)) {
            // The interface is the fault, and that it is missing has been said.
            return;
        }
        slot.kernel_report(now, router, report, &mut self.outputs);
        slot.refresh(
            now,
            router,
            slot.primary,
            &self.links,
            self.stopped,
            &mut self.outputs,
        );
        schedule(&mut self.wakeups, router, slot);
    }

    fn upkeep(&mut self, now: Instant, router: RouterId, upkeep: &Upkeep) {
        let Some(slot) = self.slots.get_mut(&router) else {
            return;
        };
        let Upkeep::Repaired(what) = upkeep;
        slot.statistics.repairs += 1;
        slot.announcer.begin_again(now);
        slot.say(
            now,
            router,
            Happening::Repaired(what.clone()),
            &mut self.outputs,
        );
        schedule(&mut self.wakeups, router, slot);
    }

    fn reload(&mut self, now: Instant, plan: &Plan) {
        // What makes a router the same one. Owned, because the slots are changed while it is in use.
        let key =
            |plan: &RouterPlan| (plan.interface.clone(), plan.family, plan.vrid, plan.dialect);
        let wanted: BTreeSet<_> = plan.routers.iter().map(key).collect();
        let gone: Vec<RouterId> = self
            .slots
            .iter()
            .filter(|(_, slot)| !wanted.contains(&key(&slot.plan)))
            .map(|(id, _)| *id)
            .collect();
        // Links whose routers change: what is virtual on them and what is not may change for their other routers too.
        let mut touched = BTreeSet::new();
        for id in gone {
            touched.extend(self.slots.get(&id).map(|slot| slot.link));
            self.remove(now, id);
        }
        let kept: BTreeMap<_, RouterId> = self
            .slots
            .iter()
            .map(|(id, slot)| (key(&slot.plan), *id))
            .collect();
        for new in &plan.routers {
            let id = kept.get(&key(new)).copied();
            if let Some((id, slot)) = id.and_then(|id| Some((id, self.slots.get_mut(&id)?))) {
                if slot.plan != *new {
                    slot.revise(now, id, new, &self.links, &mut self.outputs);
                    touched.insert(slot.link);
                    schedule(&mut self.wakeups, id, slot);
                }
            } else {
                let id = self.add(now, new);
                if let Some(slot) = self.slots.get(&id) {
                    touched.insert(slot.link);
                    slot.say(now, id, Happening::Added, &mut self.outputs);
                }
            }
        }
        for link in touched {
            self.refresh_link(now, link, false);
        }
    }

    fn shutdown(&mut self, now: Instant) {
        self.stopped = true;
        // All of them fall silent before the kernel is asked to do the first bit of work.
        let mut after = Outputs::new();
        for (id, slot) in &mut self.slots {
            // Whom the kernel refused must not stand for election again when its time is over.
            slot.refusal = None;
            let terms = slot.terms();
            let mut outputs = Outputs::new();
            if let Some(terms) = &terms {
                slot.stand_back_if_late(now, *id, terms, &self.links, &mut outputs);
            }
            let step = slot.machine.shutdown(Reason::Shutdown);
            slot.apply(now, *id, terms.as_ref(), step, &self.links, &mut outputs);
            for output in outputs {
                match output {
                    Output::Transmit(_) => self.outputs.push_back(output),
                    Output::Announce(_) | Output::Desired(..) | Output::Event(_) => {
                        after.push_back(output)
                    }
                }
            }
        }
        self.outputs.append(&mut after);
        self.outputs
            .extend(self.slots.keys().map(|id| Output::Desired(*id, None)));
    }

    fn add(&mut self, now: Instant, plan: &RouterPlan) -> RouterId {
        let id = RouterId(self.next_id);
        self.next_id += 1;
        let link = self.link_named(&plan.interface);
        let mut slot = Slot::new(now, plan.clone(), link);
        slot.publish(id, &mut self.outputs);
        self.index.insert((link, plan.family, plan.vrid), id);
        self.slots.insert(id, slot);
        id
    }

    fn remove(&mut self, now: Instant, id: RouterId) {
        let Some(mut slot) = self.slots.remove(&id) else {
            return;
        };
        self.index
            .remove(&(slot.link, slot.plan.family, slot.plan.vrid));
        let terms = slot.terms();
        let step = slot.machine.shutdown(Reason::Removed);
        slot.apply(
            now,
            id,
            terms.as_ref(),
            step,
            &self.links,
            &mut self.outputs,
        );
        slot.say(now, id, Happening::Removed, &mut self.outputs);
        self.outputs.push_back(Output::Desired(id, None));
    }

    fn link_named(&mut self, name: &str) -> LinkId {
        let found = self.links.iter().position(|link| link.name == name);
        let index = found.unwrap_or_else(|| {
            self.links.push(Link {
                name: String::from(name),
                known: false,
                facts: None,
                deaf: BTreeMap::new(),
            });
            self.links.len() - 1
        });
        LinkId(u32::try_from(index).unwrap_or(u32::MAX))
    }
}

impl Slot {
    fn new(now: Instant, plan: RouterPlan, link: LinkId) -> Self {
        Self {
            link,
            machine: VirtualRouter::default(),
            since: now,
            primary: None,
            faults: Vec::new(),
            refusal: None,
            followed: None,
            form: plan.checksum.send.unwrap_or(ChecksumForm::Rfc9568),
            ready: Vec::new(),
            addresses: plan.addresses.iter().map(|address| address.ip).collect(),
            announcer: Announcer::default(),
            scheduled: None,
            generation: Generation::default(),
            applied: false,
            statistics: RouterStatistics::default(),
            complaints: Complaints::default(),
            changes: Allowance::default(),
            plan,
        }
    }

    /// The priority that is advertised.
    const fn effective_priority(&self) -> Priority {
        self.plan.priority
    }

    /// `None` without a source address: such a router is in Initialize.
    fn terms(&self) -> Option<Terms> {
        Some(Terms {
            dialect: self.plan.dialect,
            priority: self.effective_priority(),
            interval: self.plan.interval,
            preempt: self.plan.preempt,
            preempt_delay: self.plan.preempt_delay,
            primary: self.primary?,
        })
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        let machine = self
            .machine
            .deadline()
            .map(|at| match self.machine.state() {
                State::Active(_) => (at, Timer::Advertisement),
                State::Backup(_) | State::Initialize => (at, Timer::ActiveDown),
            });
        let announcement = self
            .announcer
            .deadline()
            .map(|at| (at, Timer::Announcement));
        let retry = self
            .refusal
            .as_ref()
            .and_then(Refusal::deadline)
            .map(|at| (at, Timer::KernelRetry));
        [machine, announcement, retry]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
    }

    fn timeout(&mut self, now: Instant, id: RouterId, links: &[Link], outputs: &mut Outputs) {
        let refused = self.refusal.as_ref().and_then(Refusal::deadline);
        if refused.is_some_and(|until| until <= now) {
            self.refusal = self.refusal.take().and_then(|refusal| refusal.expired(now));
            self.refresh(now, id, self.primary, links, false, outputs);
        }
        if let Some(terms) = self.terms()
            && !self.stand_back_if_late(now, id, &terms, links, outputs)
        {
            // Late enough for others to have wondered: somebody may have spoken for our addresses meanwhile.
            if let State::Active(active) = self.machine.state()
                && active.adver + terms.interval.duration() < now
            {
                self.announcer.begin_again(now);
            }
            let step = self.machine.timeout(now, &terms);
            self.apply(now, id, Some(&terms), step, links, outputs);
        }
        if self.announcer.take_due(now, id, self.plan.announce_refresh) {
            self.statistics.announcements_sent += 1;
            let announce = Announce {
                router: id,
                link: self.link,
                mac: self.plan.mac(),
                addresses: Arc::clone(&self.addresses),
            };
            outputs.push_back(Output::Announce(announce));
        }
    }

    /// An Active that was silent for too long has been replaced already: before it says or believes anything, it
    /// stands back and listens.
    fn stand_back_if_late(
        &mut self,
        now: Instant,
        id: RouterId,
        terms: &Terms,
        links: &[Link],
        outputs: &mut Outputs,
    ) -> bool {
        let step = self.machine.stand_back_if_late(now, terms);
        let stood_back = step.late.is_some();
        self.apply(now, id, Some(terms), step, links, outputs);
        stood_back
    }

    fn heard(
        &mut self,
        now: Instant,
        id: RouterId,
        heard: &Heard,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let Some(terms) = self.terms() else {
            return;
        };
        self.statistics.advertisement_rcvd += 1;
        if heard.priority == Priority::RELEASE {
            self.statistics.priority_zero_pkts_rcvd += 1;
        }
        self.note_form(heard.form);
        self.note_oddities(now, id, heard, outputs);
        self.stand_back_if_late(now, id, &terms, links, outputs);
        let step = self.machine.advertisement(now, &terms, heard);
        self.apply(now, id, Some(&terms), step, links, outputs);
        if step.conflict {
            self.statistics.conflicts += 1;
            self.announcer.begin_again(now);
            if self.complaints.add(now, Complaint::Conflict).is_some() {
                self.say(
                    now,
                    id,
                    Happening::Conflict {
                        address: heard.source,
                        priority: heard.priority,
                    },
                    outputs,
                );
            }
        }
        if self.machine.role() == Role::Backup && heard.priority != Priority::RELEASE {
            let followed = Some((heard.source, heard.priority));
            let another = self.followed.map(|(address, _)| address) != Some(heard.source);
            self.followed = followed;
            if another && self.changes.allow(now) {
                self.say(
                    now,
                    id,
                    Happening::FollowedActive {
                        address: heard.source,
                        priority: heard.priority,
                    },
                    outputs,
                );
            }
        }
    }

    fn note_form(&mut self, form: ChecksumForm) {
        if self.plan.family != Family::Ipv4 || self.plan.dialect.version() != 3 {
            return;
        }
        match form {
            ChecksumForm::Rfc9568 => self.statistics.checksum_rfc9568_rcvd += 1,
            ChecksumForm::Rfc5798 => self.statistics.checksum_rfc5798_rcvd += 1,
        }
        if self.plan.checksum.send.is_none() && self.form != form {
            self.form = form;
            self.ready.clear();
        }
    }

    fn note_oddities(&mut self, now: Instant, id: RouterId, heard: &Heard, outputs: &mut Outputs) {
        if heard.other_interval {
            self.statistics.interval_errors += 1;
            self.note_oddity(now, id, heard.source, Oddity::OtherInterval, outputs);
        }
        if heard.other_addresses {
            self.statistics.address_list_errors += 1;
            self.note_oddity(now, id, heard.source, Oddity::OtherAddresses, outputs);
        }
        if heard.priority.is_owner() && self.plan.priority.is_owner() {
            self.statistics.owner_conflicts += 1;
        }
    }

    fn note_oddity(
        &mut self,
        now: Instant,
        id: RouterId,
        address: IpAddr,
        oddity: Oddity,
        outputs: &mut Outputs,
    ) {
        if let Some(count) = self.complaints.add(now, Complaint::Odd(oddity)) {
            self.say(
                now,
                id,
                Happening::Odd {
                    address,
                    oddity,
                    count,
                },
                outputs,
            );
        }
    }

    /// Carries out what the election decided: first the packet, then the kernel, then the news.
    fn apply(
        &mut self,
        now: Instant,
        id: RouterId,
        terms: Option<&Terms>,
        step: Step,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        if let (Some(send), Some(terms)) = (step.send, terms) {
            self.transmit(id, send, terms, links, outputs);
        }
        if let Some(late) = step.late {
            self.say(now, id, Happening::Late(late), outputs);
        }
        let Some((from, to, reason)) = step.transition else {
            return;
        };
        self.since = now;
        if to != Role::Backup || from != Role::Initialize {
            self.followed = None;
        }
        if to == Role::Active {
            self.statistics.master_transitions += 1;
        }
        if (from == Role::Active) != (to == Role::Active) {
            self.publish(id, outputs);
        }
        self.say(now, id, Happening::Role { from, to, reason }, outputs);
    }

    fn transmit(
        &mut self,
        id: RouterId,
        send: Send,
        terms: &Terms,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        // Nothing to send with: a release on a dead link would be a packet that never left.
        let usable = links
            .get(link_index(self.link))
            .and_then(|link| link.facts.as_ref())
            .is_some_and(|facts| facts.up && facts.carrier);
        if !usable {
            return;
        }
        let mac = if self.plan.is_unicast() {
            None
        } else {
            self.plan.mac()
        };
        let mut push = |destination: IpAddr, message: Arc<[u8]>| {
            let transmit = Transmit {
                router: id,
                link: self.link,
                mac,
                source: terms.primary,
                destination,
                message,
            };
            outputs.push_back(Output::Transmit(transmit));
        };
        match send {
            Send::Regular => {
                if self.ready.is_empty() {
                    self.ready = self.emit(terms, terms.priority);
                }
                for (destination, message) in &self.ready {
                    push(*destination, Arc::clone(message));
                }
            }
            Send::Release => {
                self.statistics.priority_zero_pkts_sent += 1;
                for (destination, message) in self.emit(terms, Priority::RELEASE) {
                    push(destination, message);
                }
            }
        }
        self.statistics.advertisement_sent += 1;
    }

    fn emit(&self, terms: &Terms, priority: Priority) -> Vec<(IpAddr, Arc<[u8]>)> {
        let advertisement = Advertisement {
            dialect: terms.dialect,
            vrid: self.plan.vrid,
            priority,
            interval: terms.interval,
            addresses: &self.addresses,
            authentication: self.plan.authentication,
        };
        let group = [self.plan.family.group()];
        let destinations: &[IpAddr] = if self.plan.is_unicast() {
            &self.plan.unicast_peers
        } else {
            &group
        };
        destinations
            .iter()
            .map(|to| {
                (
                    *to,
                    Arc::from(advertisement.emit(self.form, terms.primary, *to)),
                )
            })
            .collect()
    }

    /// Recomputes source address and faults from the whole state, and takes part in the election or not accordingly.
    fn refresh(
        &mut self,
        now: Instant,
        id: RouterId,
        primary: Option<IpAddr>,
        links: &[Link],
        stopped: bool,
        outputs: &mut Outputs,
    ) {
        let link = links.get(link_index(self.link));
        let facts = link.and_then(|link| link.facts.as_ref());
        let mut faults = fault::of_link(&self.plan, facts, primary);
        let deaf = link.and_then(|link| link.deaf.get(&self.plan.family));
        faults.extend(deaf.map(|reason| Fault::Deaf {
            interface: self.plan.interface.clone(),
            reason: reason.clone(),
        }));
        faults.extend(
            self.refusal
                .as_ref()
                .filter(|refusal| refusal.is_fault())
                .map(|refusal| Fault::Kernel(refusal.reason.clone())),
        );
        if faults != self.faults {
            self.faults = faults;
            self.say(now, id, Happening::Faults(self.faults.clone()), outputs);
        }
        if !self.faults.is_empty() {
            // With the terms it had: the address it spoke from may be what is missing.
            let terms = self.terms();
            let step = self.machine.shutdown(Reason::Fault);
            self.apply(now, id, terms.as_ref(), step, links, outputs);
        }
        if self.primary != primary {
            self.primary = primary;
            self.ready.clear();
        }
        if let Some(terms) = self.terms()
            && self.faults.is_empty()
            && !stopped
        {
            let step = self.machine.startup(now, &terms);
            self.apply(now, id, Some(&terms), step, links, outputs);
        }
    }

    fn kernel_report(
        &mut self,
        now: Instant,
        id: RouterId,
        report: &KernelReport,
        outputs: &mut Outputs,
    ) {
        match report {
            KernelReport::Applied => {
                let first = !self.applied;
                self.applied = true;
                self.refusal = self
                    .refusal
                    .take()
                    .filter(|refusal| !refusal.ends_by_agreement());
                if first && self.machine.role() == Role::Active {
                    self.announcer.begin(now);
                }
            }
            KernelReport::Failed(reason) => {
                self.applied = false;
                // Begins again when the kernel agrees.
                self.announcer.stop();
                let before = self.refusal.as_ref();
                let known = before.is_some_and(|before| before.reason == *reason);
                let active = self.machine.role() == Role::Active;
                self.refusal = Some(Refusal::new(now, reason, active, before));
                if !known {
                    self.say(now, id, Happening::KernelRefused(reason.clone()), outputs);
                }
            }
        }
    }

    fn revise(
        &mut self,
        now: Instant,
        id: RouterId,
        new: &RouterPlan,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let old_terms = self.terms();
        if let Some(terms) = &old_terms {
            self.stand_back_if_late(now, id, terms, links, outputs);
        }
        let old = core::mem::replace(&mut self.plan, new.clone());
        self.ready.clear();
        self.addresses = new.addresses.iter().map(|address| address.ip).collect();
        if old.checksum != new.checksum {
            self.form = new.checksum.send.unwrap_or(self.form);
        }
        let kernel = |plan: &RouterPlan| {
            (
                plan.name.clone(),
                plan.addresses.clone(),
                plan.accept,
                plan.virtual_mac,
                plan.priority.is_owner(),
            )
        };
        let advertised = |plan: &RouterPlan| {
            (
                plan.priority,
                plan.interval,
                plan.addresses.clone(),
                plan.authentication,
                plan.checksum,
                plan.unicast_peers.clone(),
                plan.virtual_mac,
            )
        };
        if let (Some(old_terms), Some(new_terms)) = (old_terms, self.terms())
            && advertised(&old) != advertised(new)
        {
            let step = self.machine.revise(now, &old_terms, &new_terms);
            self.apply(now, id, Some(&new_terms), step, links, outputs);
        }
        if kernel(&old) != kernel(new) {
            self.publish(id, outputs);
        }
        if self.machine.role() == Role::Active
            && self.announcer.deadline().is_none()
            && self.applied
        {
            self.announcer.begin(now);
        }
        self.say(now, id, Happening::Revised, outputs);
    }

    /// Tells the kernel backend what it should hold from now on.
    ///
    /// Nothing is announced until it says that it does (RFC 9568 §8.1.2, §8.2.2).
    fn publish(&mut self, id: RouterId, outputs: &mut Outputs) {
        self.generation.0 += 1;
        self.applied = false;
        // What was refused to an Active is not wanted any more, or asked for anew.
        self.refusal = self.refusal.take().filter(|refusal| !refusal.is_hoping());
        self.announcer.stop();
        let desired = Desired {
            generation: self.generation,
            name: self.plan.name.clone(),
            interface: self.plan.interface.clone(),
            family: self.plan.family,
            vrid: self.plan.vrid,
            mac: self.plan.mac(),
            addresses: self.plan.addresses.clone(),
            active: self.machine.role() == Role::Active,
            accept: self.plan.accept,
            owner: self.plan.priority.is_owner(),
        };
        outputs.push_back(Output::Desired(id, Some(desired)));
    }

    fn say(&self, now: Instant, id: RouterId, happening: Happening, outputs: &mut Outputs) {
        outputs.push_back(Output::Event(Event {
            at: now,
            router: Some(id),
            name: self.plan.name.clone(),
            happening,
        }));
    }

    fn status(&self, id: RouterId) -> RouterStatus<'_> {
        let active_interval = match self.machine.state() {
            State::Backup(backup) => backup.active_interval,
            State::Initialize | State::Active(_) => self.plan.interval,
        };
        let priority = self.effective_priority();
        RouterStatus {
            id,
            plan: &self.plan,
            role: self.machine.role(),
            since: self.since,
            faults: &self.faults,
            effective_priority: priority,
            active: match self.machine.role() {
                Role::Initialize => None,
                Role::Backup => self.followed,
                Role::Active => self.primary.map(|primary| (primary, priority)),
            },
            primary: self.primary,
            active_interval,
            skew_time: self.plan.dialect.skew_time(priority, active_interval),
            active_down_interval: self
                .plan
                .dialect
                .active_down_interval(priority, active_interval),
            deadline: self.machine.deadline(),
            checksum_form: self.form,
            applied: self.applied,
            statistics: &self.statistics,
        }
    }
}

impl Reject {
    /// Foreign virtual routers and CARP groups on the same LAN are ordinary; they are counted and nothing more.
    const fn is_worth_saying(self) -> bool {
        !matches!(self, Self::Vrid | Self::Carp)
    }
}

/// What was complained about, and how often since it was last said.
#[derive(Debug, Default)]
struct Complaints(BTreeMap<Complaint, Said>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Complaint {
    Reject(Reject),
    Odd(Oddity),
    Conflict,
    Claim,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    next: Instant,
    pause: Duration,
    unsaid: u64,
}

impl Complaints {
    /// Counts one; `Some` with the number since the last time when it should be said now.
    fn add(&mut self, now: Instant, complaint: Complaint) -> Option<u64> {
        let said = self.0.entry(complaint).or_insert(Said {
            next: now,
            pause: COMPLAINT_PAUSE,
            unsaid: 0,
        });
        said.unsaid += 1;
        if now < said.next {
            return None;
        }
        if now.saturating_since(said.next) > COMPLAINT_PAUSE_MAX {
            said.pause = COMPLAINT_PAUSE;
        }
        said.next = now + said.pause;
        said.pause = (said.pause * 2).min(COMPLAINT_PAUSE_MAX);
        Some(core::mem::take(&mut said.unsaid))
    }
}

/// Ten a minute: enough for every real change, and two routers that are heard in turn fill no log.
#[derive(Clone, Copy, Debug, Default)]
struct Allowance {
    since: Instant,
    used: u32,
}

impl Allowance {
    fn allow(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.since) >= COMPLAINT_PAUSE {
            *self = Self {
                since: now,
                used: 0,
            };
        }
        self.used += 1;
        self.used <= 10
    }
}

fn schedule(wakeups: &mut BinaryHeap<Reverse<(Instant, RouterId)>>, id: RouterId, slot: &mut Slot) {
    if let Some((at, _)) = slot.deadline()
        && slot.scheduled.is_none_or(|scheduled| at < scheduled)
    {
        slot.scheduled = Some(at);
        wakeups.push(Reverse((at, id)));
    }
}

fn link_index(link: LinkId) -> usize {
    usize::try_from(link.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::interval::Interval;
    use crate::plan::{ChecksumPolicy, VirtualAddress};
    use alloc::vec;

    fn backup() -> Engine {
        let plan = RouterPlan {
            name: "wan4".into(),
            interface: "eth0".into(),
            vrid: Vrid::new(1).unwrap(),
            dialect: Dialect::Vrrp3,
            family: Family::Ipv4,
            priority: Priority::DEFAULT,
            interval: Interval::DEFAULT,
            addresses: vec![VirtualAddress {
                ip: "192.0.2.254".parse().unwrap(),
                prefix_len: 24,
            }],
            preempt: true,
            preempt_delay: Duration::ZERO,
            accept: true,
            virtual_mac: true,
            checksum: ChecksumPolicy::default(),
            authentication: None,
            unicast_peers: vec![],
            announce_refresh: None,
        };
        let mut engine = Engine::new(
            &Plan {
                routers: vec![plan],
            },
            Instant::ZERO,
        );
        while engine.poll_output().is_some() {}
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: vec![("192.0.2.1".parse().unwrap(), 24)],
            link_local: vec![],
        };
        let interface = "eth0";
        engine.handle(
            Instant::ZERO,
            Input::Link {
                interface,
                facts: Some(&facts),
            },
        );
        while engine.poll_output().is_some() {}
        engine
    }

    fn hear(engine: &mut Engine, now: Instant, priority: u8, centis: u16) {
        let (source, destination) = ("192.0.2.2".parse().unwrap(), Family::Ipv4.group());
        let advertisement = Advertisement {
            dialect: Dialect::Vrrp3,
            vrid: Vrid::new(1).unwrap(),
            priority: Priority::new(priority),
            interval: Interval::from_centis(centis).unwrap(),
            addresses: &["192.0.2.254".parse().unwrap()],
            authentication: None,
        };
        let message = advertisement.emit(ChecksumForm::Rfc9568, source, destination);
        let envelope = Envelope {
            source,
            destination,
            hop_limit: 255,
        };
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message: &message,
        };
        engine.handle(now, Input::Datagram(datagram));
        while engine.poll_output().is_some() {}
    }

    #[test]
    fn a_steady_active_leaves_one_entry_in_the_heap() {
        let mut engine = backup();
        for second in 0..10_000 {
            hear(
                &mut engine,
                Instant::ZERO + Duration::from_secs(second),
                200,
                100,
            );
            assert_eq!(engine.wakeups.len(), 1);
            let due = engine.poll_timeout().unwrap().at;
            assert!(due > Instant::ZERO + Duration::from_secs(second + 3));
        }
    }

    #[test]
    fn deadlines_that_move_earlier_and_earlier_do_not_fill_the_heap() {
        let mut engine = backup();
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            for centis in (1..=4095).rev() {
                now = now + Duration::from_micros(10);
                hear(&mut engine, now, 200, centis);
                assert!(engine.wakeups.len() <= 70, "{}", engine.wakeups.len());
            }
            hear(&mut engine, now, 200, 4095);
            let due = engine.poll_timeout().unwrap().at;
            engine.handle_timeout(due);
            while engine.poll_output().is_some() {}
            now = now.max(due - Duration::from_secs(1));
        }
    }
}
