//! One virtual router with everything around its election: its plan, the faults that keep it out, its announcements, the
//! kernel state it wants, its counters.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::announce::Announcer;
use crate::carp::bid::ticks;
use crate::carp::seal::Wall;
use crate::carp::voice::Voice;
use crate::carp::{Bid, CarpPlan, Rules};
use crate::complaint::{Allowance, Complaint, Complaints};
use crate::desired::{Desired, Generation, KernelReport};
use crate::dialect::PREEMPTING;
use crate::engine::{Announce, Output, Timer, Transmit};
use crate::event::{DigestNews, Event, Happening, Offer, Reason};
use crate::fault::{self, Fault};
use crate::gate::Gate;
use crate::group::{Bond, Common, TieBreak};
use crate::interval::Interval;
use crate::link::{LinkFacts, LinkId};
use crate::orders::Orders;
use crate::packet::Advertisement;
use crate::peers::Peers;
use crate::plan::{ChecksumForm, RouterPlan};
use crate::prepare::{Awakening, Preparation};
use crate::receive::{self, Envelope, Expectation, Heard, Oddity, Reject};
use crate::refusal::Refusal;
use crate::router::{Role, Send, State, Step, Terms, VirtualRouter};
use crate::statistics::RouterStatistics;
use crate::status::RouterStatus;
use crate::time::Instant;
use crate::tracker::{self, Contribution};
use crate::types::{Family, Priority, RouterId};

/// What routers leave behind for the engine, in order.
pub(crate) type Outputs = VecDeque<Output>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) name: String,
    /// Whether the backend has spoken about it yet.
    pub(crate) known: bool,
    pub(crate) facts: Option<LinkFacts>,
    /// Families of which nothing can be heard, and why.
    pub(crate) deaf: BTreeMap<Family, String>,
}

pub(crate) fn link_index(link: LinkId) -> usize {
    usize::try_from(link.0).unwrap_or(usize::MAX)
}

/// One virtual router with everything around its election.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(crate) plan: RouterPlan,
    pub(crate) link: LinkId,
    pub(crate) machine: VirtualRouter,
    pub(crate) since: Instant,
    pub(crate) primary: Option<IpAddr>,
    /// The same in the other family, if it speaks both.
    #[serde(default)]
    pub(crate) beside: Option<IpAddr>,
    /// With CARP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) voice: Option<Box<Voice>>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) refusal: Option<Refusal>,
    /// The Active last heard.
    pub(crate) followed: Option<(IpAddr, Priority)>,
    #[serde(default)]
    pub(crate) peers: Peers,
    #[serde(default)]
    pub(crate) orders: Orders,
    #[serde(default)]
    pub(crate) gate: Gate,
    /// What trackers do to it.
    #[serde(default)]
    pub(crate) contributions: Vec<Contribution>,
    pub(crate) form: ChecksumForm,
    /// Advertisements ready to be sent, one for each destination; empty when something they say has changed.
    #[serde(skip)]
    pub(crate) ready: Vec<(IpAddr, Arc<[u8]>)>,
    #[serde(skip)]
    pub(crate) addresses: Arc<[IpAddr]>,
    pub(crate) announcer: Announcer,
    /// Its entry in the heap of wake-ups.
    #[serde(skip)]
    pub(crate) scheduled: Option<Instant>,
    pub(crate) generation: Generation,
    pub(crate) applied: bool,
    /// It has given up, and keeps its addresses until then or until its successor is heard.
    pub(crate) leaving: Option<Instant>,
    /// The configuration has it no longer; it is there only for as long as it is leaving.
    #[serde(default)]
    pub(crate) retiring: bool,
    /// It is leaving because its group moved, and is there as before when it has left.
    #[serde(default)]
    pub(crate) stays: bool,
    /// What it has to do with its group, if it is a member of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bond: Option<Box<Bond>>,
    pub(crate) statistics: RouterStatistics,
    pub(crate) complaints: Complaints,
    pub(crate) changes: Allowance,
    /// What has to be done before its addresses go live.
    #[serde(default)]
    pub(crate) preparation: Preparation,
    /// What follows it and cannot be put in place, as sentences.
    #[serde(default)]
    pub(crate) lacks: Vec<String>,
}

impl Slot {
    pub(crate) fn new(now: Instant, plan: RouterPlan, link: LinkId) -> Self {
        Self {
            link,
            machine: VirtualRouter::default(),
            since: now,
            primary: None,
            beside: None,
            voice: None,
            faults: Vec::new(),
            refusal: None,
            followed: None,
            peers: Peers::default(),
            orders: Orders::default(),
            gate: Gate::default(),
            contributions: Vec::new(),
            form: plan.checksum.send.unwrap_or(ChecksumForm::Rfc9568),
            ready: Vec::new(),
            addresses: plan.ips(),
            announcer: Announcer::default(),
            scheduled: None,
            generation: Generation::default(),
            applied: false,
            leaving: None,
            retiring: false,
            stays: false,
            bond: None,
            statistics: RouterStatistics::default(),
            complaints: Complaints::default(),
            changes: Allowance::default(),
            preparation: Preparation::default(),
            lacks: Vec::new(),
            plan,
        }
    }

    /// Makes what is not handed over, because it follows from the rest.
    pub(crate) fn restore(&mut self) {
        self.ready.clear();
        self.addresses = self.plan.ips();
        self.scheduled = None;
        self.tune();
    }

    /// Gives it the voice that its plan asks for.
    fn tune(&mut self) {
        match (&mut self.voice, &self.plan.carp) {
            (Some(voice), Some(_)) => voice.tune(&self.plan),
            (voice, carp) => *voice = carp.map(|_| Box::new(Voice::new(&self.plan, 0))),
        }
    }

    /// Where its counter begins, if it has one.
    pub(crate) fn seed(&mut self, counter: u64) {
        if self.plan.carp.is_some() {
            self.voice = Some(Box::new(Voice::new(&self.plan, counter)));
        }
    }

    /// Checks what was received for its identifier.
    ///
    /// # Errors
    /// The first check that failed.
    pub(crate) fn examine(
        &mut self,
        now: Instant,
        envelope: &Envelope,
        message: &[u8],
    ) -> Result<Heard, Reject> {
        if let (Some(carp), Some(voice)) = (&self.plan.carp, &mut self.voice) {
            let sources = [self.primary, self.beside];
            let heard = voice.hear(now, envelope, message, &self.plan, carp, sources);
            let vrrp = message
                .first()
                .is_some_and(|first| matches!(first >> 4, 2 | 3));
            return match heard {
                Err(Reject::Version) if vrrp && envelope.source.is_ipv4() => Err(Reject::VrrpHere),
                Ok(_) | Err(_) => heard,
            };
        }
        let heard = receive::examine(envelope, message, |_| {
            Some(Expectation {
                plan: &self.plan,
                primary: self.primary,
            })
        });
        match heard {
            // CARP has the MAC addresses of VRRP for IPv4, whatever its addresses are.
            Err(Reject::Carp) if self.plan.block() == Family::Ipv4 => Err(Reject::CarpHere),
            Ok(_) | Err(_) => heard,
        }
    }

    /// Looks for the reason why the digest of this message is wrong, and says it.
    pub(crate) fn suspect(
        &mut self,
        now: Instant,
        id: RouterId,
        envelope: &Envelope,
        message: &[u8],
        outputs: &mut Outputs,
    ) {
        let (Some(carp), Some(voice)) = (&self.plan.carp, &mut self.voice) else {
            return;
        };
        let address = envelope.source;
        if let Some(cause) = voice.suspect(now, address, message, &self.plan, carp) {
            let news = DigestNews::Suspected { address, cause };
            self.say(now, id, Happening::Digest(news), outputs);
        }
    }

    /// What the clock of the wall says, for those that seal.
    pub(crate) fn set_wall(&mut self, wall: Option<Wall>) {
        if let Some(voice) = &mut self.voice {
            voice.set_wall(wall);
        }
    }

    /// Whether it advertises in this family, and hears others in it: also because it did before its list of addresses changed,
    /// and others still may.
    pub(crate) fn speaks(&self, family: Family) -> bool {
        let also = |voice: &Voice| voice.also_speaks(family);
        self.plan.speaks(family) || self.voice.as_deref().is_some_and(also)
    }

    /// Whether an Active has to be heard in both families: others that are not reloaded yet may speak one only.
    fn waits_for_both(&self) -> bool {
        let both = |voice: &Voice| {
            let mut families = [Family::Ipv4, Family::Ipv6].into_iter();
            families.all(|family| voice.all_speak(family))
        };
        self.plan.is_dual() && self.voice.as_deref().is_none_or(both)
    }

    /// The address from which it speaks in the family that is not its first.
    fn find_beside(&self, facts: &LinkFacts) -> Option<IpAddr> {
        let other = match self.plan.family {
            Family::Ipv4 => Family::Ipv6,
            Family::Ipv6 => Family::Ipv4,
        };
        let link_local = facts.link_local.iter().map(|ip| IpAddr::V6(*ip));
        let ipv4 = facts.ipv4.iter().map(|(ip, _)| IpAddr::V4(*ip));
        let mut all = link_local.chain(ipv4).filter(|ip| Family::of(*ip) == other);
        all.find(|ip| self.speaks(other) && !self.addresses.contains(ip))
    }

    /// Former digests are good for a limited time.
    fn end_grace(&mut self, now: Instant, id: RouterId, links: &[Link], outputs: &mut Outputs) {
        let ended = self.voice.as_mut().and_then(|voice| voice.end_grace(now));
        if let Some(lags) = ended {
            let facts = links.get(link_index(self.link));
            let facts = facts.and_then(|link| link.facts.as_ref());
            self.beside = facts.and_then(|facts| self.find_beside(facts));
            let news = DigestNews::GraceEnded { lags };
            self.say(now, id, Happening::Digest(news), outputs);
        }
    }

    /// How its bids are compared, with CARP.
    pub(crate) fn rules(&self) -> Option<Rules> {
        let plan = self.plan.carp.as_ref()?;
        let advbase = self.plan.interval.as_secs().unwrap_or(u8::MAX);
        let common = self.common();
        // A group bids by the worst skew of its members.
        let plan = CarpPlan {
            advskew: common.advskew.unwrap_or(plan.advskew),
            ..*plan
        };
        let dual = self.waits_for_both();
        Some(Rules::new(&plan, advbase, common.priority, dual))
    }

    /// The priority it has by itself.
    pub(crate) fn own_priority(&self) -> Priority {
        self.orders.effective(
            self.plan.priority,
            self.machine.role(),
            tracker::sum(&self.contributions),
        )
    }

    /// What it takes from its group, or has by itself.
    fn common(&self) -> Common {
        self.bond
            .as_ref()
            .map_or_else(|| self.own(), |bond| bond.common)
    }

    /// `None` without a source address: such a router is in Initialize.
    pub(crate) fn terms(&self) -> Option<Terms> {
        let Common {
            priority,
            preempt,
            preempt_delay,
            advskew: _,
        } = self.common();
        Some(Terms {
            dialect: self.plan.dialect,
            priority,
            interval: self.plan.interval,
            preempt,
            preempt_delay,
            primary: self.primary?,
            rules: self.rules(),
        })
    }

    pub(crate) fn deadline(&self) -> Option<(Instant, Timer)> {
        let machine = self
            .machine
            .deadline()
            .map(|at| match self.machine.state() {
                State::Active(_) => {
                    let patience = self.bond.as_ref().and_then(|bond| bond.patience_ends());
                    let at = patience.map_or(at, |until| at.min(until));
                    (at, Timer::Advertisement)
                }
                State::Backup(backup) => {
                    let held = self.bond.as_ref().and_then(|bond| bond.held);
                    let at = held.map_or(at, |(_, until)| at.max(until));
                    let prepares = self.preparation.until();
                    let first = prepares.filter(|_| backup.because == Reason::Preempting);
                    let at = first.map_or(at, |until| at.max(until));
                    (at, Timer::ActiveDown)
                }
                State::Initialize => (at, Timer::ActiveDown),
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
        let leaving = self.leaving.map(|at| (at, Timer::Leaving));
        let prepares = self.preparation.until().filter(|_| self.is_dormant());
        let prepares = prepares.map(|at| (at, Timer::Preparation));
        let order = self.orders.deadline().map(|at| (at, Timer::Order));
        let gate = self.gate.closed_until().map(|at| (at, Timer::Order));
        let grace = self.voice.as_ref().and_then(|voice| voice.deadline());
        let grace = grace.map(|at| (at, Timer::Order));
        [
            machine,
            announcement,
            retry,
            leaving,
            prepares,
            order,
            gate,
            grace,
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    pub(crate) fn timeout(
        &mut self,
        now: Instant,
        id: RouterId,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        self.end_orders(now, id, links, outputs);
        self.end_grace(now, id, links, outputs);
        self.note_time(now);
        if self.bond.is_none() {
            self.go_live(now, id, links, outputs);
        }
        if self.orders.handing.is_none() && self.leaving.is_some_and(|until| until <= now) {
            self.leave(now, id, None, self.stays, outputs);
        }
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
                && active.adver + terms.period() < now
            {
                self.announcer.begin_again(now);
            }
            // A member of a group takes over with all of them.
            let alone = self.bond.is_none() && !self.prepares_first(now, id, outputs);
            if alone || self.machine.role() == Role::Active {
                let step = self.machine.timeout(now, &terms);
                self.apply(now, id, Some(&terms), step, links, outputs);
            }
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
    pub(crate) fn stand_back_if_late(
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

    pub(crate) fn heard(
        &mut self,
        now: Instant,
        id: RouterId,
        heard: &Heard,
        tie: TieBreak,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        self.peers.hear(now, heard);
        let Some(terms) = self.terms() else {
            return;
        };
        self.statistics.advertisement_rcvd += 1;
        if heard.priority == Priority::RELEASE {
            self.statistics.priority_zero_pkts_rcvd += 1;
        }
        self.note_form(heard.form);
        self.note_oddities(now, id, heard, outputs);
        if heard.priority != Priority::RELEASE {
            self.succeeded(now, id, (heard.source, heard.offer()), outputs);
        }
        self.stand_back_if_late(now, id, &terms, links, outputs);
        let step = match tie {
            TieBreak::Here => self.machine.advertisement(now, &terms, heard),
            TieBreak::Won | TieBreak::Open => Step {
                conflict: true,
                ..self.machine.prevail(now, &terms)
            },
        };
        if let Some(bond) = &mut self.bond {
            bond.heard(heard, self.followed);
        }
        self.apply(now, id, Some(&terms), step, links, outputs);
        self.review_preparation(now, id, outputs);
        if step.conflict {
            self.statistics.conflicts += 1;
            self.outrank_peers(now, &terms);
            self.announcer.begin_again(now);
            if self.complaints.add(now, Complaint::Conflict).is_some() {
                self.say(
                    now,
                    id,
                    Happening::Conflict {
                        address: heard.source,
                        offer: heard.offer(),
                    },
                    outputs,
                );
            }
        }
        // Who speaks with CARP in both families is one, and named by its address of the first.
        let named = Family::of(heard.source) == self.plan.family;
        if self.machine.role() == Role::Backup && heard.priority != Priority::RELEASE && named {
            let followed = Some((heard.source, heard.priority));
            let another = self.followed.map(|(address, _)| address) != Some(heard.source);
            self.followed = followed;
            if another && self.changes.allow(now) {
                self.say(
                    now,
                    id,
                    Happening::FollowedActive {
                        address: heard.source,
                        offer: heard.offer(),
                    },
                    outputs,
                );
            }
        }
    }

    /// Who hears us in any family stands back.
    fn outrank_peers(&mut self, now: Instant, terms: &Terms) {
        for address in [Some(terms.primary), self.beside].into_iter().flatten() {
            self.peers.yield_to(now, terms.offer(), address);
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
    pub(crate) fn apply(
        &mut self,
        now: Instant,
        id: RouterId,
        terms: Option<&Terms>,
        step: Step,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let patience = match (&step.transition, terms) {
            (Some((_, Role::Active, Reason::Preempting)), _) => PREEMPTING,
            (Some((_, Role::Active, Reason::Released)), Some(terms)) => terms.patience(),
            _ => Duration::ZERO,
        };
        self.carry_out(now, id, terms, step, patience, links, outputs);
    }

    /// As [`Self::apply`], for a takeover whose first advertisement may wait for so long.
    #[expect(clippy::too_many_arguments, reason = "one more than the others")]
    pub(crate) fn carry_out(
        &mut self,
        now: Instant,
        id: RouterId,
        terms: Option<&Terms>,
        step: Step,
        patience: Duration,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let awakening = match step.transition {
            Some((_, Role::Active, _)) => self.awaken(now),
            Some((_, Role::Backup | Role::Initialize, _)) | None => Awakening::AsItIs,
        };
        if let (Some(send), Some(terms)) = (step.send, terms) {
            self.transmit(now, id, send, patience, terms, links, outputs);
        }
        if let Some(late) = step.late {
            self.say(now, id, Happening::Late(late), outputs);
        }
        let Some((from, to, reason)) = step.transition else {
            return;
        };
        self.since = now;
        self.followed = None;
        match (from, to) {
            (Role::Initialize, Role::Backup) => {
                self.gate.close(now, self.plan.preempt_when.as_ref());
            }
            (_, Role::Active | Role::Initialize) => _ = self.gate.open(),
            (Role::Backup | Role::Active, Role::Backup) => {}
        }
        if let Some(bond) = self.bond.as_mut().filter(|_| from == Role::Active) {
            bond.yielded = true;
        }
        // Its role may count for what it advertises.
        self.ready.clear();
        if to == Role::Active {
            // Also without having been asked to hand over any more.
            self.leaving = None;
            let _ = self.orders.handed_over(now, None);
            self.orders.became_active();
            self.statistics.master_transitions += 1;
            if let Some(terms) = terms {
                self.outrank_peers(now, terms);
            }
        }
        // Whoever was dormant, or is now, wants of the kernel what it wanted.
        let dormant = !self.preparation.is_idle();
        if to != Role::Active {
            self.forget_preparation();
        }
        if (from == Role::Active) != (to == Role::Active) && self.leaving.is_none() && !dormant {
            self.publish(id, outputs);
        }
        match awakening {
            Awakening::Begins => self.say_preparing(now, id, outputs),
            Awakening::Prepared(outcome) => self.say_prepared(now, id, outcome, false, outputs),
            Awakening::AsItIs => {}
        }
        self.say(now, id, Happening::Role { from, to, reason }, outputs);
    }

    /// An Active that gives up on purpose goes on forwarding until somebody else does: frames that are on their way, and
    /// those that still come until the successor is heard, are not lost.
    pub(crate) fn linger(&mut self, now: Instant, step: &Step) {
        let gives_up =
            step.send == Some(Send::Release) && self.applied && self.preparation.is_idle();
        if let Some(terms) = self.terms().filter(|_| gives_up) {
            self.leaving = Some(now + terms.dialect.leaving_time(terms.interval));
            self.stays = false;
            self.announcer.stop();
        }
    }

    /// Whether nothing is left of it.
    pub(crate) const fn has_retired(&self) -> bool {
        self.retiring && self.leaving.is_none()
    }

    /// Gives the addresses up at last. The router `stays` unless the daemon stops.
    pub(crate) fn leave(
        &mut self,
        now: Instant,
        id: RouterId,
        successor: Option<(IpAddr, Offer)>,
        stays: bool,
        outputs: &mut Outputs,
    ) {
        self.leaving = None;
        self.say(now, id, Happening::Left(successor), outputs);
        if stays {
            self.publish(id, outputs);
        } else {
            outputs.push_back(Output::Desired(id, None));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one more than the others")]
    pub(crate) fn transmit(
        &mut self,
        now: Instant,
        id: RouterId,
        send: Send,
        patience: Duration,
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
        // Also of a release: who is dormant, or was until now, has not spoken with the virtual MAC address.
        let dormant = !self.preparation.is_idle();
        let mac = if self.plan.is_unicast() || dormant {
            None
        } else {
            self.plan.mac()
        };
        let link = self.link;
        let beside = self.beside;
        // Nothing is made ready for who is dormant.
        let patience = if dormant { Duration::ZERO } else { patience };
        let mut push = |destination: IpAddr, message: Arc<[u8]>| {
            let near = Family::of(destination) == Family::of(terms.primary);
            let transmit = Transmit {
                router: id,
                link,
                mac,
                source: beside.filter(|_| !near).unwrap_or(terms.primary),
                destination,
                message,
                patience,
                dormant,
            };
            outputs.push_back(Output::Transmit(transmit));
        };
        if let Some(rules) = &terms.rules {
            let bid = match send {
                Send::Regular => rules.own,
                Send::Release => Bid {
                    demotion: rules.own.demotion,
                    ..Bid::BOW_OUT
                },
            };
            for (destination, message) in self.speak(now, bid) {
                push(destination, message);
            }
            self.statistics.advertisement_sent += 1;
            self.statistics.priority_zero_pkts_sent += u64::from(send == Send::Release);
            return;
        }
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

    /// The same advertisement, never said before, to all destinations. There are several while others may want another digest.
    fn speak(&mut self, now: Instant, bid: Bid) -> Vec<(IpAddr, Arc<[u8]>)> {
        let sources = [self.primary, self.beside].map(|source| source.map(Family::of));
        let has_source = |family: Family| sources.contains(&Some(family));
        let destinations: Vec<IpAddr> = if self.plan.is_unicast() {
            self.plan.unicast_peers.clone()
        } else {
            let families = [Family::Ipv4, Family::Ipv6].into_iter();
            let spoken = families.filter(|it| self.speaks(*it) && has_source(*it));
            spoken.map(Family::group).collect()
        };
        let (Some(carp), Some(voice)) = (&self.plan.carp, &mut self.voice) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for message in voice.speak(now, &self.plan, carp, bid) {
            let message: Arc<[u8]> = Arc::from(message.as_slice());
            all.extend(destinations.iter().map(|to| (*to, Arc::clone(&message))));
        }
        all
    }

    /// Those of its addresses that it advertises.
    fn advertised(&self) -> &[IpAddr] {
        let count = self.plan.addresses.len().min(self.addresses.len());
        &self.addresses[..count]
    }

    fn emit(&self, terms: &Terms, priority: Priority) -> Vec<(IpAddr, Arc<[u8]>)> {
        let advertisement = Advertisement {
            dialect: terms.dialect,
            vrid: self.plan.vrid,
            priority,
            interval: terms.interval,
            addresses: self.advertised(),
            authentication: self.plan.authentication,
        };
        let group = [self.plan.family.group()];
        let destinations: &[IpAddr] = if self.plan.is_unicast() {
            &self.plan.unicast_peers
        } else {
            &group
        };
        let mut message = Vec::new();
        let emit = |to: &IpAddr| {
            message.clear();
            advertisement.emit_to(self.form, terms.primary, *to, &mut message);
            (*to, Arc::from(message.as_slice()))
        };
        destinations.iter().map(emit).collect()
    }

    /// Recomputes source address and faults from the whole state, and takes part in the election or not accordingly.
    pub(crate) fn refresh(
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
        let deaf = link.and_then(|link| {
            let mut families = self.plan.families();
            families.find_map(|family| link.deaf.get(&family))
        });
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
        faults.extend(self.contributions.iter().filter_map(Contribution::fault));
        let others = self.bond.as_ref().and_then(|bond| bond.fault.clone());
        let by_group = faults.is_empty();
        faults.extend(others);
        if faults != self.faults {
            self.faults = faults;
            self.say(now, id, Happening::Faults(self.faults.clone()), outputs);
        }
        if !self.faults.is_empty() {
            // With the terms it had: the address it spoke from may be what is missing.
            let terms = self.terms();
            let reason = if by_group {
                Reason::Group
            } else {
                Reason::Fault
            };
            let step = self.machine.shutdown(reason);
            if by_group && step.transition.is_some() {
                self.linger(now, &step);
                self.stays = self.leaving.is_some();
            }
            self.apply(now, id, terms.as_ref(), step, links, outputs);
        }
        if self.primary != primary {
            self.primary = primary;
            self.ready.clear();
        }
        self.beside = facts.and_then(|facts| self.find_beside(facts));
        if let Some(terms) = self.terms()
            && self.faults.is_empty()
            && self.bond.is_none()
            && !stopped
        {
            let step = self.machine.startup(now, &terms);
            self.apply(now, id, Some(&terms), step, links, outputs);
        }
    }

    pub(crate) fn kernel_report(
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
                if first && self.machine.role() == Role::Active && !self.is_dormant() {
                    self.announcer.begin(now);
                }
            }
            KernelReport::Failed(reason) => {
                self.applied = false;
                // Begins again when the kernel agrees.
                self.announcer.stop();
                let before = self.refusal.as_ref();
                let known = before.is_some_and(|before| before.reason == *reason);
                let active = self.machine.role() == Role::Active && !self.is_dormant();
                self.refusal = Some(Refusal::new(now, reason, active, before));
                if !known {
                    self.say(now, id, Happening::KernelRefused(reason.clone()), outputs);
                }
            }
        }
    }

    pub(crate) fn revise(
        &mut self,
        now: Instant,
        id: RouterId,
        new: &RouterPlan,
        contributions: Vec<Contribution>,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        let old_terms = self.terms();
        if let Some(terms) = &old_terms {
            self.stand_back_if_late(now, id, terms, links, outputs);
        }
        self.revise_preparation(now, id, new, links, outputs);
        let old = core::mem::replace(&mut self.plan, new.clone());
        self.contributions = contributions;
        self.ready.clear();
        self.addresses = new.ips();
        self.revoice(now, id, &old, outputs);
        if old.checksum != new.checksum {
            self.form = new.checksum.send.unwrap_or(self.form);
        }
        let kernel = |plan: &RouterPlan| {
            (
                plan.name.clone(),
                plan.addresses.clone(),
                plan.following.clone(),
                plan.accept,
                plan.virtual_mac,
                plan.data_plane,
                plan.priority.is_owner(),
                plan.interval,
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
                plan.carp,
            )
        };
        if let (Some(old_terms), Some(new_terms)) = (old_terms, self.terms())
            && (advertised(&old) != advertised(new) || old_terms.priority != new_terms.priority)
        {
            let step = self.machine.revise(now, &old_terms, &new_terms);
            self.apply(now, id, Some(&new_terms), step, links, outputs);
        }
        if kernel(&old) != kernel(new) {
            self.publish(id, outputs);
        }
        if self.machine.role() == Role::Active
            && self.announcer.deadline().is_none()
            && self.in_place()
        {
            self.announcer.begin(now);
        }
        self.say(now, id, Happening::Revised, outputs);
        if new.priority.is_owner() {
            self.dismiss_orders(now, id, outputs);
        }
    }

    /// Says and hears by another plan than `old`.
    fn revoice(&mut self, now: Instant, id: RouterId, old: &RouterPlan, outputs: &mut Outputs) {
        let Some(voice) = self.voice.as_mut().filter(|_| self.plan.carp.is_some()) else {
            self.tune();
            return;
        };
        if voice.revise(now, old, &self.plan) {
            let lasts = voice.grace().map(|until| until.saturating_since(now));
            let news = DigestNews::Changed { lasts };
            self.say(now, id, Happening::Digest(news), outputs);
        }
    }

    /// Whether the kernel holds what an Active with live addresses wants of it.
    pub(crate) const fn in_place(&self) -> bool {
        self.applied && !self.is_dormant()
    }

    /// Tells the kernel backend what it should hold from now on.
    ///
    /// Nothing is announced until it says that it does (RFC 9568 §8.1.2, §8.2.2).
    pub(crate) fn publish(&mut self, id: RouterId, outputs: &mut Outputs) {
        self.generation.0 += 1;
        self.applied = false;
        // What was refused to an Active is not wanted any more, or asked for anew.
        self.refusal = self.refusal.take().filter(|refusal| !refusal.is_hoping());
        self.announcer.stop();
        outputs.push_back(Output::Desired(id, Some(self.desired())));
    }

    /// What the kernel should hold now.
    pub(crate) fn desired(&self) -> Desired {
        Desired {
            generation: self.generation,
            name: self.plan.name.clone(),
            interface: self.plan.interface.clone(),
            family: self.plan.block(),
            vrid: self.plan.vrid,
            mac: self.plan.mac(),
            plane: self.plan.data_plane,
            addresses: self.plan.standing().collect(),
            active: (self.machine.role() == Role::Active && !self.is_dormant())
                || self.leaving.is_some(),
            accept: self.plan.accept,
            owner: self.plan.priority.is_owner(),
            interval: self.plan.interval,
            following: self.plan.following_elsewhere(),
        }
    }

    pub(crate) fn say(
        &self,
        now: Instant,
        id: RouterId,
        happening: Happening,
        outputs: &mut Outputs,
    ) {
        outputs.push_back(Output::Event(Event {
            at: now,
            router: Some(id),
            name: self.plan.name.clone(),
            happening,
        }));
    }

    /// The interval of the Active: as it was learned, or its own.
    pub(crate) const fn active_interval(&self) -> Interval {
        match self.machine.state() {
            State::Backup(backup) => backup.active_interval,
            State::Initialize | State::Active(_) => self.plan.interval,
        }
    }

    pub(crate) fn status(&self, id: RouterId) -> RouterStatus<'_> {
        let active_interval = self.active_interval();
        let priority = self.common().priority;
        let rules = self.rules();
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
            peers: self.peers.all(),
            orders: &self.orders,
            gate: self.gate.closed_until(),
            awaits_word: self.gate.awaits_word(self.plan.preempt_when.as_ref()),
            awaits_trackers: self.gate.awaits_trackers(),
            contributions: &self.contributions,
            active_interval,
            skew_time: rules.map_or_else(
                || self.plan.dialect.skew_time(priority, active_interval),
                |rules| ticks(u32::from(rules.advskew)),
            ),
            active_down_interval: rules.map_or_else(
                || {
                    let dialect = self.plan.dialect;
                    dialect.active_down_interval(priority, active_interval)
                },
                |rules| rules.down_interval(),
            ),
            rules,
            state: self.machine.state(),
            deadline: self.machine.deadline(),
            membership: None,
            retry: self.refusal.as_ref().and_then(Refusal::deadline),
            checksum_form: self.form,
            leaving: self.leaving.is_some(),
            applied: self.in_place(),
            preparing: self.prepares_until(),
            lacks: &self.lacks,
            voice: self.voice.as_deref().map(Voice::status),
            statistics: &self.statistics,
        }
    }
}
