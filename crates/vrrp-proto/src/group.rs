//! Sync groups: routers that are Active together or not at all.
//!
//! The members of a group speak on different links, and on each the election is the RFC's. What binds them:
//!
//! - **One priority**, the lowest of its members. It is advertised for all of them, so two groups that hear each other on several
//!   links are in the same order on each: whatever was configured, they cannot go round in circles.
//! - **One way down.** Who loses on one link gives way on all of them, and says so with priority 0. A fault of one member is one of
//!   all: the others are in Initialize, too.
//! - **One way up.** A member takes over with all others or not at all, and the others have a say. One that hears an Active it
//!   does not preempt is against it. One that should have heard its Active twice by now, and did not, is for it: it need not
//!   wait for its own timer. One whose Active was heard after the first timer ran out is against it until its own has run
//!   out: a link that is cut is not the end of who is heard on another one.
//! - **A release speaks for the whole group.** Who gives way on one link gives way on all. So it is enough that it is heard on
//!   one link, if on all of them one and the same was heard until then, as far as that can be told: its priority is the
//!   same everywhere, and since anybody's address changed it was heard on every link.
//! - **One tie-break.** Of two groups with the same priority the higher address wins on one link and the other one's may be higher
//!   on another. The first member decides on whose link both are heard; both know which that is, because the members
//!   are in the order of what both have in common: family, identifier, first virtual address.
//!
//! So where one link is cut in two, while all are heard on another one, the better group is Active on every link, and on the
//! other side of the cut nobody is. Where all links are cut, there is one on either side.
//!
//! An owner (priority 255) is always Active and never a member.
//!
//! With CARP it is the same, of bids: all members bid by the worst skew and the lowest priority of them (see [`crate::carp`]), so a
//! group's bid is one, with one base and one profile. A release is a bow-out. A tie is decided by each member as it is decided
//! without a group, where equals all give way but for one at most; what keeps them from meeting again is that all members of a
//! group wait by the address of the first one for a while more.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::Bid;
use crate::engine::{Engine, schedule};
use crate::event::Reason;
use crate::fault::Fault;
use crate::receive::Heard;
use crate::router::{Backup, Role, State, Terms};
use crate::slot::{Link, Outputs, Slot, link_index};
use crate::status::Membership;
use crate::time::Instant;
use crate::types::{Family, Priority, RouterId, Vrid};

/// The members that are configured now.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// The one that breaks ties first comes first.
    pub(crate) members: Vec<RouterId>,
}

/// What the election of a member takes from its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Common {
    pub(crate) priority: Priority,
    pub(crate) preempt: bool,
    pub(crate) preempt_delay: Duration,
    /// With CARP, the skew without demotion.
    #[serde(default)]
    pub(crate) advskew: Option<u8>,
}

impl Common {
    /// What two members agree on.
    fn with(self, other: Self) -> Self {
        Self {
            priority: self.priority.min(other.priority),
            preempt: self.preempt && other.preempt,
            preempt_delay: self.preempt_delay.max(other.preempt_delay),
            advskew: self.advskew.max(other.advskew),
        }
    }
}

/// What a member knows of its group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bond {
    /// Where in the engine's list its group is.
    #[serde(skip)]
    group: usize,
    /// What all have agreed on.
    pub(crate) common: Common,
    /// What this member brought into it.
    brought: Common,
    /// The fault of another member.
    pub(crate) fault: Option<Fault>,
    /// Its own timer has run out, and another member is against taking over: who, and when that is to be asked again.
    pub(crate) held: Option<(RouterId, Instant)>,
    /// Its Active was heard since that of any member became another one.
    voice: bool,
    /// The priority of its Active, which has released.
    surrendered: Option<Priority>,
    /// With CARP, what its Active bids.
    #[serde(default)]
    bid: Option<Bid>,
    tie: Option<Tie>,
    patience: Option<Patience>,
    /// It was Active until now, and the others have to follow.
    pub(crate) yielded: bool,
    /// While it hands over: another member has a successor.
    pub(crate) claimed: bool,
}

/// Somebody advertises as we do, with our priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Tie {
    heard: Instant,
    /// Until when it counts, unless they are heard again.
    until: Instant,
    /// Whether our address is the higher one.
    ours: bool,
}

/// It has met somebody to whom it would lose here, and does not give way yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Patience {
    since: Instant,
    until: Instant,
}

/// What an Active does about an equal priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TieBreak {
    /// The higher address wins here.
    Here,
    /// It stays Active: another member has won.
    Won,
    /// It stays Active until it is known whether a member before this one hears them, too.
    Open,
}

impl Bond {
    fn new(brought: Common) -> Self {
        Self {
            group: 0,
            common: brought,
            brought,
            fault: None,
            held: None,
            voice: false,
            surrendered: None,
            bid: None,
            tie: None,
            patience: None,
            yielded: false,
            claimed: false,
        }
    }

    pub(crate) const fn forget(&mut self) {
        self.held = None;
        self.voice = false;
        self.surrendered = None;
        self.bid = None;
        self.tie = None;
        self.patience = None;
    }

    /// When it is to be decided about somebody to whom it would lose.
    pub(crate) fn patience_ends(&self) -> Option<Instant> {
        self.patience.map(|patience| patience.until)
    }

    /// Its Active spoke, or somebody released.
    pub(crate) fn heard(&mut self, heard: &Heard, followed: Option<(IpAddr, Priority)>) {
        self.held = None;
        self.bid = heard.bid.filter(|bid| !bid.is_bow_out()).or(self.bid);
        self.surrendered = if heard.priority == Priority::RELEASE {
            followed
                .filter(|(address, _)| *address == heard.source)
                .map(|(_, priority)| priority)
                .or(self.surrendered)
        } else {
            None
        };
    }
}

/// When a member is for taking over, and who holds it up.
struct Ballot<'a> {
    now: Instant,
    /// When the first timer of a member ran out.
    first_due: Instant,
    /// The priority of an Active that has released, and was heard everywhere.
    surrendered: Option<Priority>,
    links: &'a [Link],
}

impl Ballot<'_> {
    /// When this member is for it.
    fn agrees_at(&self, slot: &Slot) -> Instant {
        let (State::Backup(backup), Some(terms)) = (slot.machine.state(), slot.ready(self.links))
        else {
            // Something is not known yet that will be told.
            return self.now + slot.plan.interval.duration();
        };
        let surrenders = || {
            self.surrendered.is_some()
                && slot.followed.map(|(_, priority)| priority) == self.surrendered
        };
        match backup.because {
            Reason::Released | Reason::Preempting | Reason::BfdDown => self.now,
            Reason::NoResponse if surrenders() => self.now,
            Reason::NoResponse if backup.accepted(&terms) <= self.first_due => {
                slot.silent_at(&backup, &terms)
            }
            Reason::NoResponse
            | Reason::Unclaimed
            | Reason::Startup
            | Reason::Owner
            | Reason::HigherPriority
            | Reason::BetterBid
            | Reason::HigherAddress
            | Reason::EqualBid
            | Reason::Late
            | Reason::Fault
            | Reason::Shutdown
            | Reason::Removed
            | Reason::Ordered
            | Reason::Group => backup.active_down,
        }
    }
}

impl Slot {
    /// What it would bring into a group.
    pub(crate) fn own(&self) -> Common {
        Common {
            priority: self.own_priority(),
            preempt: self.plan.preempt
                && self.orders.let_preempt()
                && self.gate.closed_until().is_none(),
            preempt_delay: self.plan.preempt_delay,
            advskew: self.plan.carp.map(|carp| carp.advskew),
        }
    }

    /// When two advertisements in a row are certainly missing.
    fn silent_at(&self, backup: &Backup, terms: &Terms) -> Instant {
        let bid = self.bond.as_ref().and_then(|bond| bond.bid);
        let period = bid.map_or_else(|| backup.active_interval.duration(), Bid::interval);
        (backup.accepted(terms) + period * 2).min(backup.active_down)
    }

    /// Where in the engine's list its group is.
    pub(crate) fn group(&self) -> Option<usize> {
        self.bond.as_ref().map(|bond| bond.group)
    }

    /// Whether it has a fault, or its group has because of it.
    fn is_faulty(&self) -> bool {
        let own = |fault: &Fault| !matches!(fault, Fault::Group { .. });
        self.faults.iter().any(own)
    }

    /// Its terms, if it can take part in the election.
    fn ready(&self, links: &[Link]) -> Option<Terms> {
        let known = links
            .get(link_index(self.link))
            .is_some_and(|link| link.known);
        self.terms().filter(|_| known && self.faults.is_empty())
    }

    /// When the timer of a Backup ran out, if it did.
    fn due_since(&self, now: Instant) -> Option<Instant> {
        let deadline = self.machine.deadline().filter(|at| *at <= now)?;
        (self.machine.role() == Role::Backup).then_some(deadline)
    }

    /// Whether something happened to it that concerns the other members.
    pub(crate) fn concerns_group(&self, now: Instant) -> bool {
        self.bond.as_ref().is_some_and(|bond| {
            let asked = bond.held.is_some_and(|(_, until)| until > now);
            bond.yielded
                || bond.brought != self.own()
                || (self.due_since(now).is_some() && !asked)
                || self.orders.is_over(now)
                || self.awaits_group()
                || bond.patience_ends().is_some_and(|until| until <= now)
        })
    }

    /// Whether it hears an Active that it leaves alone.
    fn defers(&self, now: Instant, links: &[Link]) -> bool {
        let (State::Backup(backup), Some(terms)) = (self.machine.state(), self.ready(links)) else {
            return false;
        };
        let bid = self.bond.as_ref().and_then(|bond| bond.bid);
        let loses = |priority| match (&terms.rules, bid) {
            (Some(rules), Some(bid)) => !rules.replaces(bid, terms.preempt),
            (Some(_), None) | (None, _) => !terms.preempt || priority >= terms.priority,
        };
        let loses = self.followed.is_some_and(|(_, priority)| loses(priority));
        loses && now < self.silent_at(&backup, &terms)
    }

    /// Whether somebody serves its addresses still, and will do so until this router takes over.
    fn takes_from_the_living(&self) -> bool {
        match self.machine.state() {
            State::Backup(backup) => {
                matches!(backup.because, Reason::Released | Reason::Preempting)
            }
            State::Initialize | State::Active(_) => false,
        }
    }

    /// Does not take over yet, if it would.
    pub(crate) fn hold(&mut self, now: Instant, who: RouterId, until: Instant) {
        let due = self.due_since(now).is_some();
        if let Some(bond) = self.bond.as_mut().filter(|_| due) {
            bond.held = Some((who, until));
        }
    }

    /// What it knew of the others on its link holds no longer.
    fn forget_group(&mut self) {
        if let Some(bond) = &mut self.bond {
            bond.forget();
            bond.yielded = false;
        }
    }

    /// Begins to take part, if it does not.
    fn start(&mut self, now: Instant, id: RouterId, links: &[Link], outputs: &mut Outputs) {
        if let Some(terms) = self.terms() {
            let step = self.machine.startup(now, &terms);
            self.apply(now, id, Some(&terms), step, links, outputs);
        }
    }

    /// What both of a pair have in common, to put members in the same order on either.
    fn rank(&self) -> (Family, Vrid, Option<IpAddr>) {
        (
            self.plan.family,
            self.plan.vrid,
            self.addresses.first().copied(),
        )
    }

    /// Is Active because its group is.
    fn follow_up(
        &mut self,
        now: Instant,
        id: RouterId,
        reason: Reason,
        unhurried: bool,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let Some(terms) = self.ready(links) else {
            return;
        };
        let step = self.machine.follow_up(now, &terms, reason);
        let patience = match unhurried {
            true => terms.patience(),
            false => Duration::ZERO,
        };
        self.carry_out(now, id, Some(&terms), step, patience, links, outputs);
        self.forget_group();
    }

    /// Gives way because its group does, and keeps its addresses until somebody else is heard.
    fn follow_down(&mut self, now: Instant, id: RouterId, links: &[Link], outputs: &mut Outputs) {
        let Some(terms) = self.terms() else {
            return;
        };
        if !self.stand_back_if_late(now, id, &terms, links, outputs) {
            let step = self.machine.follow_down(now, &terms, Reason::Group);
            self.linger(now, &step);
            self.stays = self.leaving.is_some();
            self.apply(now, id, Some(&terms), step, links, outputs);
        }
        self.forget_group();
    }
}

impl Engine {
    /// What its group has to do with the election of this router.
    pub(crate) fn membership<'a>(&'a self, slot: &'a Slot) -> Option<Membership<'a>> {
        let bond = slot.bond.as_ref()?;
        let group = self.groups.get(bond.group)?;
        let members = || group.members.iter().filter_map(|id| self.slots.get(id));
        let lowest = members().min_by_key(|slot| slot.own_priority())?;
        let waits = bond.held.filter(|_| slot.machine.role() == Role::Backup);
        let holder = waits.and_then(|(id, _)| self.slots.get(&id));
        Some(Membership {
            group: &group.name,
            own_priority: slot.own_priority(),
            lowest: &lowest.plan.name,
            waits_for: holder.map(|slot| slot.plan.name.as_str()),
            waits_until: waits.map(|(_, until)| until),
        })
    }

    /// The groups by name, each with its members.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[RouterId])> {
        let groups = self.groups.iter();
        groups.map(|group| (group.name.as_str(), &group.members[..]))
    }

    /// Finds out who is a member of which group. Who is of none any more goes on alone.
    pub(crate) fn regroup(&mut self, now: Instant) {
        let mut groups: Vec<Group> = Vec::new();
        for (id, slot) in &mut self.slots {
            let member = !slot.retiring && !slot.plan.priority.is_owner();
            let Some(name) = slot.plan.group.as_ref().filter(|_| member) else {
                if slot.bond.is_some() {
                    slot.retune(now, *id, &self.links, &mut self.outputs, |slot| {
                        slot.bond = None;
                    });
                    schedule(&mut self.wakeups, *id, slot);
                }
                continue;
            };
            let own = slot.own();
            slot.bond.get_or_insert_with(|| Box::new(Bond::new(own)));
            match groups.iter_mut().find(|group| group.name == *name) {
                Some(group) => group.members.push(*id),
                None => groups.push(Group {
                    name: name.clone(),
                    members: alloc::vec![*id],
                }),
            }
        }
        for (index, group) in groups.iter_mut().enumerate() {
            let rank = |id: &RouterId| self.slots.get(id).map(|slot| slot.rank());
            group.members.sort_by_key(rank);
            for id in &group.members {
                if let Some(bond) = self.slots.get_mut(id).and_then(|slot| slot.bond.as_mut()) {
                    bond.group = index;
                }
            }
        }
        self.groups = groups;
    }

    /// Brings all groups into a state in which their members agree.
    pub(crate) fn settle_all(&mut self, now: Instant) {
        (0..self.groups.len()).for_each(|group| self.settle(now, group));
    }

    /// Brings a group into a state in which its members agree, after something happened to one of them.
    pub(crate) fn settle(&mut self, now: Instant, group: usize) {
        if self.stopped {
            return;
        }
        self.agree(now, group);
        self.share_faults(now, group);
        self.move_together(now, group);
        // A pin counts for an Active only.
        self.agree(now, group);
        let ids: Vec<RouterId> = self.members(group).collect();
        self.wake_together(now, &ids);
        for id in ids {
            if let Some(slot) = self.slots.get_mut(&id) {
                schedule(&mut self.wakeups, id, slot);
            }
        }
    }

    /// Members by their place: the list is not changed while they are.
    pub(crate) fn members(&self, group: usize) -> impl Iterator<Item = RouterId> + use<> {
        let members = self.groups.get(group).map(|group| group.members.clone());
        members.unwrap_or_default().into_iter()
    }

    fn agree(&mut self, now: Instant, group: usize) {
        let Self {
            slots,
            groups,
            links,
            outputs,
            ..
        } = self;
        let members = groups.get(group).map_or(&[][..], |group| &group.members);
        let brought = members.iter().filter_map(|id| Some(slots.get(id)?.own()));
        let Some(common) = brought.reduce(Common::with) else {
            return;
        };
        for id in members {
            let Some(slot) = slots.get_mut(id) else {
                continue;
            };
            let own = slot.own();
            let Some(bond) = &mut slot.bond else {
                continue;
            };
            bond.brought = own;
            if bond.common == common {
                continue;
            }
            if let Some(terms) = slot.terms() {
                // What changes is advertised at once, and nobody who has been replaced may advertise.
                slot.stand_back_if_late(now, *id, &terms, links, outputs);
            }
            slot.retune(now, *id, links, outputs, |slot| {
                if let Some(bond) = &mut slot.bond {
                    bond.common = common;
                }
            });
        }
    }

    fn share_faults(&mut self, now: Instant, group: usize) {
        let Self {
            slots,
            groups,
            links,
            outputs,
            ..
        } = self;
        let Some(Group { name, members }) = groups.get(group) else {
            return;
        };
        let faulty = |id: &RouterId| slots.get(id).filter(|slot| slot.is_faulty());
        let fault = members.iter().find_map(faulty).map(|slot| Fault::Group {
            group: name.clone(),
            member: slot.plan.name.clone(),
        });
        for id in members {
            let Some(slot) = slots.get_mut(id) else {
                continue;
            };
            let theirs = fault.clone().filter(|_| !slot.is_faulty());
            let known = links
                .get(link_index(slot.link))
                .is_some_and(|link| link.known);
            let Some(bond) = slot.bond.as_mut().filter(|bond| bond.fault != theirs) else {
                continue;
            };
            bond.fault = theirs;
            if known {
                slot.refresh(now, *id, slot.primary, links, false, outputs);
            }
        }
    }

    fn move_together(&mut self, now: Instant, group: usize) {
        let ids: Vec<RouterId> = self.members(group).collect();
        let slots = || ids.iter().filter_map(|id| self.slots.get(id));
        if slots().any(|slot| !slot.faults.is_empty()) {
            // They all have one, or hear of it as soon as their interface is known.
            self.each(&ids, |slot, _, _, _| slot.forget_group());
            return;
        }
        let links = &self.links;
        let yielded = slots().any(|slot| slot.bond.as_ref().is_some_and(|bond| bond.yielded));
        let opposed = slots().any(|slot| slot.defers(now, links));
        let ready = slots().all(|slot| slot.ready(links).is_some());
        if slots().any(|slot| slot.machine.role() == Role::Active) {
            if yielded || opposed {
                self.each(&ids, |slot, id, links, outputs| {
                    slot.follow_down(now, id, links, outputs);
                });
                self.be_courteous(now, &ids);
            } else {
                // A member that is new. Who is Active for the others need not listen first.
                self.each(&ids, |slot, id, links, outputs| {
                    slot.follow_up(now, id, Reason::Group, false, links, outputs);
                });
            }
        } else if ready {
            self.each(&ids, |slot, id, links, outputs| {
                slot.start(now, id, links, outputs)
            });
            self.vote(now, &ids);
        } else {
            self.each(&ids, |slot, id, _, _| {
                slot.hold(now, id, now + slot.plan.interval.duration());
            });
        }
        self.each(&ids, |slot, _, _, _| {
            if let Some(bond) = &mut slot.bond {
                bond.yielded = false;
            }
        });
    }

    /// Who gave way to an equal one with CARP does not come back at the same time as that one, if it has given way, too: all members
    /// wait by the address of the first.
    fn be_courteous(&mut self, now: Instant, ids: &[RouterId]) {
        let slots = || ids.iter().filter_map(|id| self.slots.get(id));
        let met_an_equal = slots().any(|slot| slot.machine.has_met_an_equal());
        let first = slots().next().and_then(|slot| slot.primary);
        if let Some(first) = first.filter(|_| met_an_equal) {
            self.each(ids, |slot, _, _, _| {
                if let Some(terms) = slot.terms() {
                    slot.machine.give_way_to_an_equal(now, &terms, first);
                }
            });
        }
    }

    /// Backups take over if none of them is against it.
    fn vote(&mut self, now: Instant, ids: &[RouterId]) {
        let slots = || ids.iter().filter_map(|id| Some((*id, self.slots.get(id)?)));
        let Some(first_due) = slots().filter_map(|(_, slot)| slot.due_since(now)).min() else {
            return;
        };
        let bonds = || slots().filter_map(|(_, slot)| Some((slot, slot.bond.as_ref()?)));
        let united = bonds().all(|(_, bond)| bond.voice);
        let ballot = Ballot {
            now,
            first_due,
            surrendered: bonds()
                .filter(|(slot, _)| united && slot.due_since(now).is_some())
                .find_map(|(_, bond)| bond.surrendered),
            links: &self.links,
        };
        let waiting = slots().filter(|(_, slot)| slot.due_since(now).is_none());
        let last = waiting.map(|(id, slot)| (ballot.agrees_at(slot), id)).max();
        if let Some((until, who)) = last.filter(|(until, _)| *until > now) {
            self.each(ids, |slot, id, _, outputs| {
                slot.hold(now, who, until);
                slot.call_off(now, id, outputs);
            });
            return;
        }
        let unhurried = slots().any(|(_, slot)| slot.takes_from_the_living());
        if self.group_prepares_first(now, ids) {
            return;
        }
        self.each(ids, |slot, id, links, outputs| {
            let own = slot.due_since(now).is_some() || slot.takes_from_the_living();
            let reason = match slot.machine.state() {
                State::Backup(backup) if own => backup.because,
                State::Backup(_) | State::Initialize | State::Active(_) => Reason::Group,
            };
            slot.follow_up(now, id, reason, unhurried, links, outputs);
        });
    }

    pub(crate) fn each(
        &mut self,
        ids: &[RouterId],
        mut act: impl FnMut(&mut Slot, RouterId, &[Link], &mut Outputs),
    ) {
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id) {
                act(slot, *id, &self.links, &mut self.outputs);
            }
        }
    }

    /// A member hears an advertisement.
    pub(crate) fn heard_in_group(
        &mut self,
        now: Instant,
        id: RouterId,
        group: usize,
        heard: &Heard,
    ) {
        let tie = self.break_tie(now, id, group, heard);
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let followed = slot.followed.map(|(address, _)| address);
        let before = (followed, slot.orders.handing.is_some());
        let idle = slot.preparation.is_idle();
        slot.heard(now, id, heard, tie, &self.links, &mut self.outputs);
        schedule(&mut self.wakeups, id, slot);
        let concerns = slot.concerns_group(now);
        let prepares = slot.preparation.is_idle() != idle;
        self.tell(id, group, heard, before);
        if prepares {
            self.prepare_together(now, id, group);
        }
        if tie == TieBreak::Open {
            self.speak_up(now, group);
        }
        if concerns {
            self.attend(now, group);
        }
    }

    /// A member accepted an advertisement while it followed somebody, or nobody, and was handing over or not.
    fn tell(&mut self, id: RouterId, group: usize, heard: &Heard, before: (Option<IpAddr>, bool)) {
        if heard.priority == Priority::RELEASE {
            return;
        }
        let (followed, handing) = before;
        // CARP says it in two families, and names who says it by the address of one of them.
        let other_family = followed.is_some_and(|it| it.is_ipv4() != heard.source.is_ipv4());
        if other_family && !handing {
            return;
        }
        let ids: Vec<RouterId> = if followed == Some(heard.source) && !handing {
            // As nearly always: nothing is new to the others.
            Vec::new()
        } else {
            self.members(group).collect()
        };
        self.each(&ids, |slot, _, _, _| {
            if let Some(bond) = &mut slot.bond {
                bond.voice &= followed == Some(heard.source);
                bond.claimed |= handing;
            }
        });
        if let Some(bond) = self.slots.get_mut(&id).and_then(|slot| slot.bond.as_mut()) {
            bond.voice = true;
        }
    }

    /// What a member that is Active does about an advertisement, if it has its own priority.
    fn break_tie(&mut self, now: Instant, id: RouterId, group: usize, heard: &Heard) -> TieBreak {
        let (before, decided) = self.tie_before(now, id, group);
        let Some(slot) = self.slots.get_mut(&id) else {
            return TieBreak::Here;
        };
        let active = slot.machine.role() == Role::Active;
        // With CARP, each member decides for itself.
        let terms = slot.terms().filter(|_| active && heard.bid.is_none());
        let Some(terms) = terms.filter(|terms| terms.priority == heard.priority) else {
            return TieBreak::Here;
        };
        let Some(bond) = &mut slot.bond else {
            return TieBreak::Here;
        };
        let ours = terms.primary > heard.source;
        let interval = terms.interval.duration();
        bond.tie = Some(Tie {
            heard: now,
            until: now + interval * 3,
            ours,
        });
        // Enough for an answer on the other links, or for another advertisement of somebody who should have given way.
        let (outcome, wait) = match decided {
            None if ours || !before => return TieBreak::Here,
            Some(tie) if tie.ours => (TieBreak::Won, interval * 11 / 10),
            Some(_) | None => (TieBreak::Open, interval / 10),
        };
        if !ours {
            bond.patience.get_or_insert(Patience {
                since: now,
                until: now + wait,
            });
        }
        outcome
    }

    /// Whether there are members before this one, and what the first of them knows of somebody with the same priority.
    fn tie_before(&self, now: Instant, id: RouterId, group: usize) -> (bool, Option<Tie>) {
        let members = self
            .groups
            .get(group)
            .map_or(&[][..], |group| &group.members);
        let mut before = members.iter().take_while(|other| **other != id).peekable();
        let any = before.peek().is_some();
        let known = before.find_map(|id| {
            let tie = self.slots.get(id)?.bond.as_ref()?.tie?;
            (now < tie.until).then_some(tie)
        });
        (any, known)
    }

    /// Gives way to those of the same priority who were met on the link of a member, and not on those of the ones before it;
    /// or who go on although they have lost there: they do not hear it.
    fn lose_patience(&mut self, now: Instant, group: usize) {
        for id in self.members(group) {
            let (_, decided) = self.tie_before(now, id, group);
            let Some(slot) = self.slots.get_mut(&id) else {
                continue;
            };
            let Some(bond) = &mut slot.bond else {
                continue;
            };
            let Some(patience) = bond.patience.filter(|it| it.until <= now) else {
                continue;
            };
            bond.patience = None;
            let half = slot.plan.interval.duration() / 2;
            let goes_on = bond
                .tie
                .is_some_and(|tie| tie.heard > patience.since + half);
            let won = decided.is_some_and(|tie| tie.ours) && !goes_on;
            if let Some(terms) = slot.terms().filter(|_| !won) {
                let step = slot.machine.concede(now, &terms);
                slot.apply(now, id, Some(&terms), step, &self.links, &mut self.outputs);
            }
        }
    }

    /// All members advertise out of turn, so that who else does finds out where it stands.
    fn speak_up(&mut self, now: Instant, group: usize) {
        let ids: Vec<RouterId> = self.members(group).collect();
        self.each(&ids, |slot, id, links, outputs| {
            if let Some(terms) = slot.ready(links) {
                let step = slot.machine.prevail(now, &terms);
                slot.apply(now, id, Some(&terms), step, links, outputs);
            }
        });
    }

    /// Does what concerns all members after a timer of this one.
    pub(crate) fn attend(&mut self, now: Instant, group: usize) {
        let ids: Vec<RouterId> = self.members(group).collect();
        let over = |id: &RouterId| {
            self.slots
                .get(id)
                .is_some_and(|slot| slot.orders.is_over(now))
        };
        if ids.iter().any(over) {
            self.each(&ids, |slot, id, links, outputs| {
                let claimed = slot.bond.as_ref().is_some_and(|bond| bond.claimed);
                slot.unclaimed(now, id, !claimed, links, outputs);
            });
        }
        self.lose_patience(now, group);
        self.settle(now, group);
    }
}
