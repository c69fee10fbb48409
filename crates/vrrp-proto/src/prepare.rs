//! What has to be done elsewhere before the addresses of a router go live: hooks that hear of `pre-active`.
//!
//! A connection table is put into the kernel, a line is dialled; until then whoever gets the traffic does harm with it. Nothing
//! of it may hold up the election, and there is an end to every wait ([`PreActive::timeout`]).
//!
//! - **Nobody serves** (the Active fell silent): it is Active at once and advertises, so that nobody else takes over. Its addresses
//!   wait: it is *dormant*. It speaks with the interface's own MAC address meanwhile, which no switch takes for the virtual one,
//!   and its lease stays closed. When it goes live it advertises once more, with the virtual MAC address.
//! - **The Active has released** (priority 0): it goes on serving until somebody else is heard, and until Skew_Time is over that
//!   is nobody (RFC 9568 §6.4.2). So the hooks begin with the release; what they need longer is as above.
//! - **A lower priority serves**: nothing is urgent. They run while the router is Backup, and then it preempts.
//!
//! A Backup that has begun may find that it need not take over; that is said, too. Who takes back what it has not given up yet
//! has nothing to prepare. Members of a group go live together.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, schedule};
use crate::event::{Happening, Reason};
use crate::plan::RouterPlan;
use crate::router::{Role, Send, State};
use crate::slot::{Link, Outputs, Slot};
use crate::time::Instant;
use crate::types::RouterId;

/// Hooks of a router, or of a group for its members, that run before its addresses go live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PreActive {
    /// Their names.
    pub hooks: Vec<String>,
    /// How long they are waited for.
    pub timeout: Duration,
}

/// Why hooks are waited for no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Preparedness {
    /// They are done.
    Done,
    /// That took too long.
    TimedOut,
    /// The router does not take over after all, or has no such hooks any more.
    CalledOff,
}

impl Preparedness {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::TimedOut => "timed-out",
            Self::CalledOff => "called-off",
        }
    }
}

/// How far a router is with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Preparation {
    /// Counts them, so that an answer to an earlier one is not taken for one to this.
    number: u64,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
enum Stage {
    /// Nothing was asked for.
    #[default]
    Idle,
    /// The hooks run.
    Running { since: Instant, until: Instant },
    /// They have run, and it has not taken over or its group is not ready yet.
    Ready {
        how: Preparedness,
        since: Instant,
        at: Instant,
    },
}

impl Preparation {
    pub(crate) const fn is_idle(self) -> bool {
        matches!(self.stage, Stage::Idle)
    }

    const fn is_running(self) -> bool {
        matches!(self.stage, Stage::Running { .. })
    }

    /// Until when the hooks are waited for, if they run.
    pub(crate) const fn until(self) -> Option<Instant> {
        match self.stage {
            Stage::Running { until, .. } => Some(until),
            Stage::Idle | Stage::Ready { .. } => None,
        }
    }

    /// Until when it is not live at the latest, whoever else is waited for.
    fn ends(self) -> Option<Instant> {
        match self.stage {
            Stage::Idle => None,
            Stage::Running { until, .. } => Some(until),
            Stage::Ready { at, .. } => Some(at),
        }
    }

    fn begin(&mut self, now: Instant, timeout: Duration) {
        self.number += 1;
        self.stage = Stage::Running {
            since: now,
            until: now + timeout,
        };
    }

    fn finish(&mut self, now: Instant, how: Preparedness) {
        if let Stage::Running { since, until } = self.stage {
            // Nobody may have looked at the clock meanwhile, which must make no difference.
            self.stage = Stage::Ready {
                how,
                since,
                at: now.min(until),
            };
        }
    }

    /// If it has ended: how, and after which time. It is over then.
    fn take(&mut self) -> Option<(Preparedness, Duration)> {
        let Stage::Ready { how, since, at } = self.stage else {
            return None;
        };
        self.stage = Stage::Idle;
        Some((how, at.saturating_since(since)))
    }
}

impl Slot {
    /// Whether it is Active, and its addresses are not live yet.
    pub(crate) const fn is_dormant(&self) -> bool {
        matches!(self.machine.role(), Role::Active) && !self.preparation.is_idle()
    }

    /// Until when it waits for its hooks at the latest, if it does.
    pub(crate) fn prepares_until(&self) -> Option<Instant> {
        self.preparation.ends()
    }

    fn may_prepare(&self) -> bool {
        self.plan.pre_active.is_some() && self.preparation.is_idle() && self.leaving.is_none()
    }

    /// It is about to become Active: with addresses that go live at once, or not.
    pub(crate) fn awaken(&mut self, now: Instant) -> Awakening {
        self.note_time(now);
        if let Some(outcome) = self.preparation.take() {
            return Awakening::Prepared(outcome);
        }
        if let Some(wanted) = self.plan.pre_active.as_ref().filter(|_| self.may_prepare()) {
            self.preparation.begin(now, wanted.timeout);
            return Awakening::Begins;
        }
        Awakening::AsItIs
    }

    /// Asks for its hooks, if it has any that do not run.
    pub(crate) fn begin_preparing(&mut self, now: Instant, id: RouterId, outputs: &mut Outputs) {
        if let Some(wanted) = self.plan.pre_active.as_ref().filter(|_| self.may_prepare()) {
            self.preparation.begin(now, wanted.timeout);
            self.say_preparing(now, id, outputs);
        }
    }

    pub(crate) fn say_preparing(&self, now: Instant, id: RouterId, outputs: &mut Outputs) {
        if let Some(PreActive { hooks, timeout }) = self.plan.pre_active.clone() {
            let happening = Happening::Preparing {
                hooks,
                timeout,
                number: self.preparation.number,
            };
            self.say(now, id, happening, outputs);
        }
    }

    pub(crate) fn say_prepared(
        &self,
        now: Instant,
        id: RouterId,
        (how, after): (Preparedness, Duration),
        live: bool,
        outputs: &mut Outputs,
    ) {
        let pre_active = self.plan.pre_active.as_ref();
        let happening = Happening::Prepared {
            hooks: pre_active.map(|it| it.hooks.clone()).unwrap_or_default(),
            how,
            after,
            live,
        };
        self.say(now, id, happening, outputs);
    }

    /// Whether it is to preempt, and waits for its hooks before that.
    pub(crate) fn prepares_first(
        &mut self,
        now: Instant,
        id: RouterId,
        outputs: &mut Outputs,
    ) -> bool {
        if self.preempts(now) {
            self.begin_preparing(now, id, outputs);
            return self.preparation.is_running();
        }
        false
    }

    /// Whether its time has come to preempt.
    fn preempts(&self, now: Instant) -> bool {
        match self.machine.state() {
            State::Backup(backup) => {
                backup.because == Reason::Preempting && backup.active_down <= now
            }
            State::Initialize | State::Active(_) => false,
        }
    }

    /// Somebody was heard: a Backup that hears a release begins, and one that need not take over calls it off.
    pub(crate) fn review_preparation(&mut self, now: Instant, id: RouterId, outputs: &mut Outputs) {
        let State::Backup(backup) = self.machine.state() else {
            return;
        };
        match backup.because {
            Reason::Released | Reason::BfdDown => self.begin_preparing(now, id, outputs),
            Reason::Preempting => {}
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
            | Reason::Group => self.call_off(now, id, outputs),
        }
    }

    /// A Backup does not take over after all.
    pub(crate) fn call_off(&mut self, now: Instant, id: RouterId, outputs: &mut Outputs) {
        if self.machine.role() == Role::Backup
            && let Some(after) = self.stop_preparing(now)
        {
            self.say_prepared(now, id, (Preparedness::CalledOff, after), false, outputs);
        }
    }

    /// Whether only other members of its group keep its addresses from going live.
    pub(crate) const fn awaits_group(&self) -> bool {
        self.is_dormant() && !self.preparation.is_running()
    }

    /// Waits for nothing any more; how long it did.
    fn stop_preparing(&mut self, now: Instant) -> Option<Duration> {
        self.note_time(now);
        self.preparation.finish(now, Preparedness::CalledOff);
        self.preparation.take().map(|(_, after)| after)
    }

    /// It waits no longer than it may.
    pub(crate) fn note_time(&mut self, now: Instant) {
        if self.preparation.until().is_some_and(|until| until <= now) {
            self.preparation.finish(now, Preparedness::TimedOut);
        }
    }

    /// Its hooks, or those of another preparation of the same router, are done. Whether it waits no longer since this moment.
    fn note_done(&mut self, now: Instant, number: Option<u64>) -> bool {
        let before = self.preparation.is_running();
        self.note_time(now);
        if number.is_none_or(|number| number == self.preparation.number) {
            self.preparation.finish(now, Preparedness::Done);
        }
        before && !self.preparation.is_running()
    }

    /// Its addresses go live, if they only waited for hooks that have run.
    pub(crate) fn go_live(
        &mut self,
        now: Instant,
        id: RouterId,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        if !self.is_dormant() || self.preparation.is_running() {
            return;
        }
        // Whoever has been replaced says nothing more.
        if let Some(terms) = self.terms()
            && self.stand_back_if_late(now, id, &terms, links, outputs)
        {
            return;
        }
        if let Some(outcome) = self.preparation.take() {
            self.wake_up(now, id, outcome, links, outputs);
        }
    }

    fn wake_up(
        &mut self,
        now: Instant,
        id: RouterId,
        outcome: (Preparedness, Duration),
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        // It moves the traffic here: switches learn from it where the virtual MAC address is.
        if let Some(terms) = self.terms() {
            self.machine.speak(now);
            let patience = terms.patience();
            self.transmit(now, id, Send::Regular, patience, &terms, links, outputs);
        }
        self.publish(id, outputs);
        self.say_prepared(now, id, outcome, true, outputs);
    }

    /// The configuration is about to change: what it does not ask for is not waited for.
    pub(crate) fn revise_preparation(
        &mut self,
        now: Instant,
        id: RouterId,
        new: &RouterPlan,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        if new.pre_active.is_some() {
            return;
        }
        let dormant = self.is_dormant();
        match self.stop_preparing(now) {
            Some(after) if dormant => {
                let outcome = (Preparedness::CalledOff, after);
                self.wake_up(now, id, outcome, links, outputs);
            }
            Some(after) => {
                let outcome = (Preparedness::CalledOff, after);
                self.say_prepared(now, id, outcome, false, outputs);
            }
            None => {}
        }
    }

    /// It takes part no more, or somebody else is Active.
    pub(crate) fn forget_preparation(&mut self) {
        self.preparation.stage = Stage::Idle;
    }
}

/// What becoming Active means for the addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Awakening {
    /// The hooks begin now.
    Begins,
    /// They have run: how that ended, and after which time.
    Prepared((Preparedness, Duration)),
    /// They run already, or there are none.
    AsItIs,
}

impl Engine {
    /// The hooks that were asked for before the addresses of a router go live are done.
    pub(crate) fn prepared(&mut self, now: Instant, router: &str, number: Option<u64>) {
        let mut here = self.slots.iter_mut().filter(|(_, slot)| !slot.retiring);
        let Some((&id, slot)) = here.find(|(_, slot)| slot.plan.name == router) else {
            return;
        };
        if self.stopped || !slot.note_done(now, number) {
            return;
        }
        match slot.group() {
            Some(group) => self.attend(now, group),
            None => {
                slot.timeout(now, id, &self.links, &mut self.outputs);
                schedule(&mut self.wakeups, id, slot);
            }
        }
    }

    /// Whether members that are to preempt wait for their hooks before that.
    pub(crate) fn group_prepares_first(&mut self, now: Instant, ids: &[RouterId]) -> bool {
        let slots = || ids.iter().filter_map(|id| Some((*id, self.slots.get(id)?)));
        if !slots().all(|(_, slot)| slot.preempts(now)) {
            return false;
        }
        self.each(ids, |slot, id, _, outputs| {
            // Also of those whose turn comes after this one's at the same moment.
            slot.note_time(now);
            slot.begin_preparing(now, id, outputs);
        });
        let slots = || ids.iter().filter_map(|id| Some((*id, self.slots.get(id)?)));
        let waits = slots().filter_map(|(id, slot)| Some((slot.preparation.until()?, id)));
        let Some((until, who)) = waits.max() else {
            return false;
        };
        self.each(ids, |slot, _, _, _| slot.hold(now, who, until));
        true
    }

    /// What a member hears concerns the hooks of all.
    pub(crate) fn prepare_together(&mut self, now: Instant, id: RouterId, group: usize) {
        let ids: Vec<RouterId> = self.members(group).collect();
        let Some(slot) = self.slots.get(&id) else {
            return;
        };
        if slot.machine.role() != Role::Backup {
            return;
        }
        let idle = slot.preparation.is_idle();
        self.each(&ids, |slot, id, _, outputs| {
            if idle {
                slot.call_off(now, id, outputs);
            } else if slot.machine.role() == Role::Backup {
                slot.begin_preparing(now, id, outputs);
            }
        });
    }

    /// The members go live as soon as the hooks of all have run.
    pub(crate) fn wake_together(&mut self, now: Instant, ids: &[RouterId]) {
        self.each(ids, |slot, _, _, _| slot.note_time(now));
        let mut slots = ids.iter().filter_map(|id| self.slots.get(id));
        if slots.any(|slot| slot.preparation.is_running()) {
            return;
        }
        self.each(ids, |slot, id, links, outputs| {
            slot.go_live(now, id, links, outputs);
        });
    }
}
