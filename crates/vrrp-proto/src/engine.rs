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
//! Objects: a *slot* is one virtual router with everything around its election (`slot`): its plan, the
//! faults that keep it out, its announcements, its counters. A *link* is an interface by name; datagrams find their
//! slot by (link, family, VRID). Timers live in the states; a heap holds one entry for each router, never later than its
//! deadline. A deadline that moved later leaves its entry where it is, to be moved when it surfaces: a Backup's moves
//! with every advertisement.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::net::IpAddr;
use core::time::Duration;

use crate::carp::seal::Wall;
use crate::complaint::{Complaint, Complaints};
use crate::desired::{Desired, Generation, KernelReport, Upkeep};
use crate::event::{Event, Happening, Reason};
use crate::gather::Gather;
use crate::group::{Group, TieBreak};
use crate::interval::Interval;
use crate::link::{LinkFacts, LinkId};
use crate::orders::Orders;
use crate::plan::{Plan, RouterPlan, VirtualAddress};
use crate::receive::{self, Envelope, Reject};
use crate::router::Role;
use crate::slot::{Link, Outputs, Slot, link_index};
use crate::statistics::{GlobalStatistics, RouterStatistics};
use crate::status::RouterStatus;
use crate::time::Instant;
use crate::tracker::{Sample, Tracker, contributions};
use crate::tracking::missing;
use crate::types::{Family, MacAddress, RouterId, Vrid};

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
    /// What a tracker watches was looked at. Nobody is wrong who speaks of a tracker that is gone.
    Sample {
        /// Its name.
        tracker: &'a str,
        /// What was found.
        sample: &'a Sample,
    },
    /// The hooks that a router asked for before its addresses go live are done. Nobody is wrong who speaks of a router that
    /// is gone, or waits for nothing.
    Prepared {
        /// Its name.
        router: &'a str,
        /// Which time that was; `None` if it is not known.
        number: Option<u64>,
    },
    /// The peer of this BFD session is gone: it was heard, and then not for the detection time. That the session is switched
    /// off, or that the peer hears nothing itself, is not that.
    PeerLost {
        /// The name of the tracker that has the session.
        tracker: &'a str,
        /// How that is known, in a few words.
        detail: &'a str,
    },
    /// Another configuration. Routers with the same interface, family, VRID and version go on without a transition.
    Reload(&'a Plan),
    /// Everything is given up, for good: no router takes part any more. The addresses of an Active stay until its
    /// successor is heard, for a limited time; [`Engine::is_stopped`] then. A second one does not wait.
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
    /// For the first of a router that takes over from somebody who still serves: as long as it may wait until the kernel is
    /// ready, so that nothing is lost. Zero for all others.
    pub patience: Duration,
    /// Its router is Active, but its addresses are not live: nothing may come in for them yet.
    pub dormant: bool,
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
    /// To whom; `None`: to a tracker.
    pub router: Option<RouterId>,
    /// What.
    pub timer: Timer,
    /// The time between two advertisements of the router, as it is configured; without a router a second, since nothing of a
    /// tracker is urgent.
    pub interval: Duration,
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
    /// It gives its addresses up, whoever has taken over.
    Leaving,
    /// What an operator asked for ends.
    Order,
    /// Its addresses go live, whether its hooks have run or not.
    Preparation,
    /// A tracker has been as it is for long enough, or was not heard of.
    Tracker,
}

/// The engine. See the module's text for the law of its use.
#[derive(Debug, Default)]
pub struct Engine {
    /// In boxes: the nodes of a map that grows in order are half empty.
    pub(crate) slots: BTreeMap<RouterId, Box<Slot>>,
    pub(crate) links: Vec<Link>,
    index: BTreeMap<(LinkId, Family, Vrid), RouterId>,
    pub(crate) wakeups: BinaryHeap<Reverse<(Instant, RouterId)>>,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) statistics: GlobalStatistics,
    pub(crate) complaints: Complaints,
    pub(crate) next_id: u32,
    pub(crate) stopped: bool,
    pub(crate) trackers: Vec<Tracker>,
    /// No tracker wants to be woken before that; and which one did.
    pub(crate) next_tracker: Option<(Instant, usize)>,
    /// Follow from the plans of the routers.
    pub(crate) groups: Vec<Group>,
    /// It was resumed, perhaps from a state that was written down piece by piece: members of a group may not agree.
    pub(crate) unsettled: bool,
    /// Where counters begin.
    seed: u64,
    /// What the clock of the wall said last.
    wall: Option<Wall>,
}

impl Engine {
    /// Runs `plan`. Until the state of their interfaces is known, all routers stay in Initialize.
    #[must_use]
    pub fn new(plan: &Plan, now: Instant) -> Self {
        let mut engine = Self::default();
        engine.reload_trackers(now, plan);
        for router in &plan.routers {
            engine.add(now, router);
        }
        engine.regroup(now);
        engine
    }

    /// From now on the counters of CARP begin near `seed`, which nobody should be able to guess and which should be greater
    /// than the one before: the seconds of Unix time in its upper half, something random in the lower. To be said before the first
    /// input; a counter that was handed over goes on as it was.
    pub fn count_from(&mut self, seed: u64) {
        self.seed = seed;
        for (id, slot) in &mut self.slots {
            if slot.statistics == RouterStatistics::default() {
                slot.seed(seed.wrapping_add(u64::from(id.0) << 20));
            }
        }
    }

    /// From now on the clock of the wall says so much since 1970; only what CARP seals has to do with it. To be said before the
    /// first input, and again from time to time: it may be set, by whomever, at any time.
    pub fn set_wall(&mut self, now: Instant, unix: Duration) {
        self.wall = Wall::new(now, unix);
        for slot in self.slots.values_mut() {
            slot.set_wall(self.wall);
        }
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
            Input::Reload(_) | Input::Sample { .. } | Input::PeerLost { .. } if self.stopped => {}
            Input::Sample { tracker, sample } => self.sample(now, tracker, sample),
            Input::Prepared { router, number } => self.prepared(now, router, number),
            Input::PeerLost { tracker, detail } => self.peer_lost(now, tracker, detail),
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
        self.track_time(now);
        let mut retired = Vec::new();
        if core::mem::take(&mut self.unsettled) {
            self.settle_all(now);
        }
        // As many as there are now: a router that is due again at once waits for the next call.
        for _ in 0..self.wakeups.len() {
            let Some(&Reverse((at, id))) = self.wakeups.peek().filter(|next| next.0.0 <= now)
            else {
                break;
            };
            self.wakeups.pop();
            if let Some(slot) = self
                .slots
                .get_mut(&id)
                .filter(|slot| slot.scheduled == Some(at))
            {
                slot.scheduled = None;
                slot.timeout(now, id, &self.links, &mut self.outputs);
                schedule(&mut self.wakeups, id, slot);
                if slot.has_retired() {
                    retired.push(id);
                }
                if let Some(group) = slot.group().filter(|_| slot.concerns_group(now)) {
                    self.attend(now, group);
                }
            }
        }
        for id in retired {
            self.forget(now, id);
        }
    }

    /// Whether nothing is left to wait for after [`Input::Shutdown`].
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped && self.slots.values().all(|slot| slot.leaving.is_none())
    }

    /// The next thing to do, in order.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] wants to be called next.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Wakeup> {
        let router = self.next_of_routers();
        let tracker = self.next_of_trackers().map(|at| Wakeup {
            at,
            router: None,
            timer: Timer::Tracker,
            interval: Duration::from_secs(1),
        });
        [router, tracker]
            .into_iter()
            .flatten()
            .min_by_key(|wakeup| wakeup.at)
    }

    fn next_of_routers(&mut self) -> Option<Wakeup> {
        while let Some(&Reverse((at, id))) = self.wakeups.peek() {
            let slot = self
                .slots
                .get_mut(&id)
                .filter(|slot| slot.scheduled == Some(at));
            if let Some(slot) = slot {
                if let Some((_, timer)) = slot.deadline().filter(|(due, _)| *due == at) {
                    return Some(Wakeup {
                        at,
                        router: Some(id),
                        timer,
                        interval: slot.plan.interval.duration(),
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
        let all = self.slots.iter();
        all.filter(|(_, slot)| !slot.retiring)
            .map(|(id, slot)| RouterStatus {
                membership: self.membership(slot),
                ..slot.status(*id)
            })
    }

    /// What moves with the advertisements of each router: the interval of its Active, and its counters. The same as in
    /// [`Self::status`], for a look at thousands that costs little.
    pub fn pulses(&self) -> impl Iterator<Item = (RouterId, Interval, &RouterStatistics)> {
        let all = self.slots.iter().filter(|(_, slot)| !slot.retiring);
        all.map(|(id, slot)| (*id, slot.active_interval(), &slot.statistics))
    }

    /// Routers that are in the configuration no longer, and keep their addresses until their successors are heard, for a
    /// limited time.
    pub fn retiring(&self) -> impl Iterator<Item = RouterId> {
        let all = self.slots.iter();
        all.filter(|(_, slot)| slot.retiring).map(|(id, _)| *id)
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
            .any(|slot| slot.link == link && slot.speaks(family))
    }

    /// The virtual addresses of a family on an interface, in order.
    #[must_use]
    pub fn virtual_addresses(&self, link: LinkId, family: Family) -> Vec<IpAddr> {
        self.slots
            .values()
            .filter(|slot| slot.link == link)
            .flat_map(|slot| slot.addresses.iter().copied())
            .filter(|address| Family::of(*address) == family)
            .collect()
    }

    /// Sweeps the heap when most of it is stale: an Active that shortens its interval with each advertisement moves its
    /// Backup's deadline earlier each time, which leaves an entry behind.
    fn compact(&mut self) {
        if self.wakeups.len() > 64 + 4 * self.slots.len() {
            let wakeup = |(id, at): (&RouterId, Option<Instant>)| Some(Reverse((at?, *id)));
            let scheduled = self.slots.iter().map(|(id, slot)| (id, slot.scheduled));
            self.wakeups = scheduled.filter_map(wakeup).collect();
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
        let mut slot = id.and_then(|id| self.slots.get_mut(&id));
        let examined = match slot.as_deref_mut() {
            Some(slot) => slot.examine(now, envelope, message),
            None => receive::examine(envelope, message, |_| None),
        };
        match (examined, id, slot) {
            (Ok(heard), Some(id), Some(slot)) => {
                if let Some(group) = slot.group() {
                    self.heard_in_group(now, id, group, &heard);
                    return;
                }
                let tie = TieBreak::Here;
                slot.heard(now, id, &heard, tie, &self.links, &mut self.outputs);
                schedule(&mut self.wakeups, id, slot);
                if slot.has_retired() {
                    self.forget(now, id);
                }
            }
            // `examine` cannot accept a packet for which it was given no router.
            (Ok(_), _, _) => {}
            (Err(reject), id, mut slot) => {
                reject.count(
                    &mut self.statistics,
                    slot.as_deref_mut().map(|slot| &mut slot.statistics),
                );
                if let (Some(id), Some(slot), Reject::Digest) = (id, slot.as_deref_mut(), reject) {
                    slot.suspect(now, id, envelope, message, &mut self.outputs);
                }
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
                && !slot.is_dormant()
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
        let mut groups = BTreeSet::new();
        for (id, slot) in self.slots.iter_mut().filter(|(_, slot)| !slot.retiring) {
            let Some(primary) = primaries.get(id).copied() else {
                continue;
            };
            groups.extend(slot.group());
            slot.refresh(
                now,
                *id,
                primary,
                &self.links,
                self.stopped,
                &mut self.outputs,
            );
            if moved {
                slot.announcer.begin_again(now);
            }
            schedule(&mut self.wakeups, *id, slot);
        }
        for group in groups {
            self.settle(now, group);
        }
    }

    /// The source address of each router of a link. None of the link's virtual addresses qualifies, unless it is the
    /// owner's only one.
    fn primaries(&self, link: LinkId) -> BTreeMap<RouterId, Option<IpAddr>> {
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
            .gather()
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
            .filter(|slot| slot.generation == generation && !slot.retiring)
        else {
            return;
        };
        let link = self.links.get(link_index(slot.link));
        let known = link.filter(|link| link.known);
        if known.is_some_and(|link| link.facts.is_none())
            && matches!(report, KernelReport::Failed(_))
        {
            // The interface is the fault, and that it is missing has been said.
            return;
        }
        let known = known.is_some();
        slot.kernel_report(now, router, report, &mut self.outputs);
        if known {
            slot.refresh(
                now,
                router,
                slot.primary,
                &self.links,
                self.stopped,
                &mut self.outputs,
            );
        }
        schedule(&mut self.wakeups, router, slot);
        if let Some(group) = slot.group() {
            self.settle(now, group);
        }
    }

    fn upkeep(&mut self, now: Instant, router: RouterId, upkeep: &Upkeep) {
        let Some(slot) = self.slots.get_mut(&router) else {
            return;
        };
        let happening = match upkeep {
            Upkeep::Repaired(what) => {
                slot.statistics.repairs += 1;
                slot.announcer.begin_again(now);
                Happening::Repaired(what.clone())
            }
            Upkeep::Lacks(what) => {
                slot.lacks.clone_from(what);
                // Whoever gives everything up lacks nothing, and that is no news.
                if what.is_empty() && slot.machine.role() != Role::Active {
                    return;
                }
                Happening::Lacks(what.clone())
            }
        };
        slot.say(now, router, happening, &mut self.outputs);
        schedule(&mut self.wakeups, router, slot);
    }

    fn reload(&mut self, now: Instant, plan: &Plan) {
        self.reload_trackers(now, plan);
        // What makes a router the same one. Owned, because the slots are changed while it is in use.
        let key = |plan: &RouterPlan| {
            (
                plan.interface.clone(),
                plan.block(),
                plan.vrid,
                plan.dialect,
            )
        };
        let wanted: BTreeSet<_> = plan.routers.iter().map(key).gather();
        // What a router that is gone must not keep: somebody else here is to have it.
        let spoken_for = Claims::of(plan);
        let (kept, gone): (_, BTreeMap<_, _>) = core::mem::take(&mut self.slots)
            .into_iter()
            .partition(|(_, slot)| wanted.contains(&key(&slot.plan)) && !slot.retiring);
        self.slots = kept;
        // Links whose routers change: what is virtual on them and what is not may change for their other routers too.
        let mut touched = BTreeSet::new();
        for (id, slot) in gone {
            touched.insert(slot.link);
            self.remove(now, id, slot, &spoken_for);
        }
        let here = self.slots.iter().filter(|(_, slot)| !slot.retiring);
        let kept: BTreeMap<_, RouterId> = here.map(|(id, slot)| (key(&slot.plan), *id)).gather();
        for new in &plan.routers {
            let id = kept.get(&key(new)).copied();
            if let Some((id, slot)) = id.and_then(|id| Some((id, self.slots.get_mut(&id)?))) {
                if slot.plan != *new {
                    // Its addresses may be of another family from now on, or of one more.
                    let families = [Family::Ipv4, Family::Ipv6];
                    for family in families {
                        let key = (slot.link, family, new.vrid);
                        if self.index.get(&key) == Some(&id) {
                            self.index.remove(&key);
                        }
                    }
                    let contributions = contributions(new, &self.trackers);
                    slot.revise(now, id, new, contributions, &self.links, &mut self.outputs);
                    for family in families.into_iter().filter(|it| slot.speaks(*it)) {
                        self.index.insert((slot.link, family, new.vrid), id);
                    }
                    touched.insert(slot.link);
                    schedule(&mut self.wakeups, id, slot);
                }
            } else {
                let id = self.add(now, new);
                touched.insert(self.link_named(&new.interface));
                self.outputs.push_back(Output::Event(Event {
                    at: now,
                    router: Some(id),
                    name: new.name.clone(),
                    happening: Happening::Added,
                }));
            }
        }
        self.regroup(now);
        for link in touched {
            self.refresh_link(now, link, false);
        }
        self.retrack_all(now);
        self.settle_all(now);
    }

    fn shutdown(&mut self, now: Instant) {
        self.stopped = true;
        self.count_down();
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
            // What it still kept goes with the rest.
            if slot.leaving.take().is_some() {
                slot.say(now, *id, Happening::Left(None), &mut outputs);
            }
            slot.stays = false;
            // They are for a router that runs; what outlives it is kept elsewhere.
            slot.orders = Orders::default();
            let step = slot.machine.shutdown(Reason::Shutdown);
            slot.linger(now, &step);
            slot.apply(now, *id, terms.as_ref(), step, &self.links, &mut outputs);
            schedule(&mut self.wakeups, *id, slot);
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
        let gone = self.slots.iter().filter(|(_, slot)| slot.leaving.is_none());
        self.outputs
            .extend(gone.map(|(id, _)| Output::Desired(*id, None)));
    }

    fn add(&mut self, now: Instant, plan: &RouterPlan) -> RouterId {
        let id = RouterId(self.next_id);
        self.next_id += 1;
        let link = self.link_named(&plan.interface);
        let mut slot = Box::new(Slot::new(now, plan.clone(), link));
        slot.contributions = contributions(plan, &self.trackers);
        slot.seed(self.seed.wrapping_add(u64::from(id.0) << 20));
        slot.set_wall(self.wall);
        slot.gate.lack(missing(plan, &self.trackers));
        slot.publish(id, &mut self.outputs);
        self.insert(id, slot);
        id
    }

    pub(crate) fn insert(&mut self, id: RouterId, mut slot: Box<Slot>) {
        schedule(&mut self.wakeups, id, &mut slot);
        let families = [Family::Ipv4, Family::Ipv6].into_iter();
        for family in families.filter(|family| slot.speaks(*family)) {
            self.index.insert((slot.link, family, slot.plan.vrid), id);
        }
        self.slots.insert(id, slot);
    }

    /// Takes a router out of the election. Like one that stops it keeps its addresses until its successor is heard, unless
    /// they or its identifier are `spoken_for`.
    fn remove(&mut self, now: Instant, id: RouterId, mut slot: Box<Slot>, spoken_for: &Claims<'_>) {
        let keeps = !spoken_for.concern(&slot.plan);
        if slot.retiring {
            if keeps {
                self.slots.insert(id, slot);
            } else {
                slot.leave(now, id, None, false, &mut self.outputs);
                self.disown(id, &slot);
            }
            return;
        }
        // Whom the kernel refused must not stand for election again when its time is over.
        slot.refusal = None;
        let terms = slot.terms();
        if let Some(terms) = &terms {
            slot.stand_back_if_late(now, id, terms, &self.links, &mut self.outputs);
        }
        let handed_over = slot.leaving.is_some();
        slot.stays = false;
        slot.orders = Orders::default();
        let step = slot.machine.shutdown(Reason::Removed);
        if keeps {
            slot.linger(now, &step);
        } else if handed_over {
            slot.leaving = None;
            slot.say(now, id, Happening::Left(None), &mut self.outputs);
        }
        slot.apply(
            now,
            id,
            terms.as_ref(),
            step,
            &self.links,
            &mut self.outputs,
        );
        slot.say(now, id, Happening::Removed, &mut self.outputs);
        if slot.leaving.is_some() {
            slot.retiring = true;
            schedule(&mut self.wakeups, id, &mut slot);
            self.slots.insert(id, slot);
        } else {
            self.disown(id, &slot);
            self.outputs.push_back(Output::Desired(id, None));
        }
    }

    /// Advertisements are not for it any more.
    fn disown(&mut self, id: RouterId, slot: &Slot) {
        for family in [Family::Ipv4, Family::Ipv6] {
            let key = (slot.link, family, slot.plan.vrid);
            if self.index.get(&key) == Some(&id) {
                self.index.remove(&key);
            }
        }
    }

    /// A router that retired has nothing left.
    fn forget(&mut self, now: Instant, id: RouterId) {
        if self.stopped {
            return;
        }
        if let Some(slot) = self.slots.remove(&id) {
            self.disown(id, &slot);
            // What was virtual there may be the address of somebody else now.
            self.refresh_link(now, slot.link, false);
        }
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

/// Identifiers and addresses of a plan.
struct Claims<'a> {
    identifiers: BTreeSet<(&'a str, Family, Vrid)>,
    addresses: BTreeSet<IpAddr>,
}

impl<'a> Claims<'a> {
    fn of(plan: &'a Plan) -> Self {
        let routers = || plan.routers.iter();
        Self {
            identifiers: routers()
                .map(|plan| (plan.interface.as_str(), plan.block(), plan.vrid))
                .gather(),
            addresses: routers()
                .flat_map(|plan| plan.standing().map(|address| address.ip))
                .gather(),
        }
    }

    /// Whether any of it is this router's.
    fn concern(&self, plan: &RouterPlan) -> bool {
        let identifier = (plan.interface.as_str(), plan.block(), plan.vrid);
        let shared = |address: VirtualAddress| self.addresses.contains(&address.ip);
        self.identifiers.contains(&identifier) || plan.standing().any(shared)
    }
}

pub(crate) fn schedule(
    wakeups: &mut BinaryHeap<Reverse<(Instant, RouterId)>>,
    id: RouterId,
    slot: &mut Slot,
) {
    if let Some((at, _)) = slot.deadline()
        && slot.scheduled.is_none_or(|scheduled| at < scheduled)
    {
        slot.scheduled = Some(at);
        wakeups.push(Reverse((at, id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::packet::Advertisement;
    use crate::plan::ChecksumForm;
    use crate::types::Priority;
    use alloc::vec;
    use core::time::Duration;

    fn backup() -> Engine {
        let plan = RouterPlan {
            announce_refresh: None,
            ..RouterPlan::new(
                "wan4",
                "eth0",
                Vrid::new(1).unwrap(),
                Family::Ipv4,
                vec![VirtualAddress {
                    ip: "192.0.2.254".parse().unwrap(),
                    prefix_len: 24,
                }],
            )
        };
        let mut engine = Engine::new(
            &Plan {
                routers: vec![plan],
                ..Plan::default()
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
