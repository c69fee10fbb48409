//! What samples do to an engine: trackers change, and with them the priorities and faults of the routers that refer to them.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::engine::{Engine, Output, schedule};
use crate::event::{Event, Happening, Readiness};
use crate::plan::{Plan, RouterPlan};
use crate::slot::{Link, Outputs, Slot, link_index};
use crate::time::Instant;
use crate::tracker::{
    Contribution, Effect, Level, Sample, Tracker, TrackerKind, adjusted, contributions, sum,
};
use crate::types::RouterId;

impl Engine {
    /// All trackers, in the order of the configuration.
    #[must_use]
    pub fn trackers(&self) -> &[Tracker] {
        &self.trackers
    }

    /// For an engine in which nothing but time will happen: that no samples come is not news in there.
    pub fn expect_no_samples(&mut self) {
        self.trackers.iter_mut().for_each(Tracker::expect_nothing);
        self.count_down();
    }

    /// A sample for the tracker of this name. There may be none any more.
    pub(crate) fn sample(&mut self, now: Instant, name: &str, sample: &Sample) {
        let mut all = self.trackers.iter_mut();
        let Some(index) = all.position(|tracker| tracker.plan().name == name) else {
            return;
        };
        let tracker = &mut self.trackers[index];
        let before = tracker.level();
        let changed = tracker.take(now, sample);
        if let Some(at) = tracker.deadline()
            && self.next_tracker.is_none_or(|(next, _)| at < next)
        {
            self.next_tracker = Some((at, index));
        }
        if changed {
            self.tracker_changed(now, index, before);
        }
    }

    /// The peer of this tracker is gone. Backups that follow it, and were asked to believe that, do not wait for its silence.
    pub(crate) fn peer_lost(&mut self, now: Instant, name: &str, detail: &str) {
        let mut all = self.trackers.iter().map(Tracker::plan);
        let kind = all.find(|plan| plan.name == name).map(|plan| &plan.kind);
        let Some(&TrackerKind::Bfd { peer, .. }) = kind else {
            return;
        };
        for (id, slot) in &mut self.slots {
            let asked = slot
                .plan
                .track
                .iter()
                .any(|track| track.tracker == name && track.effect == Effect::Takeover);
            let follows = slot.followed.is_some_and(|(address, _)| address == peer);
            let Some(terms) = slot.terms().filter(|_| asked && follows && !slot.retiring) else {
                continue;
            };
            if let Some(takes_over_in) = slot.machine.bereave(now, &terms) {
                let happening = Happening::PeerLost {
                    tracker: name.into(),
                    address: peer,
                    detail: detail.into(),
                    takes_over_in,
                };
                slot.say(now, *id, happening, &mut self.outputs);
                slot.review_preparation(now, *id, &mut self.outputs);
                schedule(&mut self.wakeups, *id, slot);
            }
        }
    }

    /// What is due of the trackers.
    pub(crate) fn track_time(&mut self, now: Instant) {
        if self.next_tracker.is_none_or(|(at, _)| at > now) {
            return;
        }
        for index in 0..self.trackers.len() {
            let tracker = &mut self.trackers[index];
            let before = tracker.level();
            if !self.stopped && tracker.timeout(now) {
                self.tracker_changed(now, index, before);
            }
        }
        self.count_down();
    }

    /// When a tracker wants to be woken next.
    pub(crate) fn count_down(&mut self) {
        let all = (0..).zip(&self.trackers);
        let deadlines = all.filter_map(|(index, tracker)| Some((tracker.deadline()?, index)));
        self.next_tracker = deadlines.min().filter(|_| !self.stopped);
    }

    /// When the first tracker wants to be woken. One that was to be the first may have moved its deadline later meanwhile.
    pub(crate) fn next_of_trackers(&mut self) -> Option<Instant> {
        let (at, index) = self.next_tracker?;
        let first = self.trackers.get(index);
        if first.and_then(Tracker::deadline) != Some(at) {
            self.count_down();
        }
        self.next_tracker.map(|(at, _)| at)
    }

    fn tracker_changed(&mut self, now: Instant, index: usize, before: Level) {
        let tracker = &self.trackers[index];
        if tracker.level() != before {
            self.outputs.push_back(Output::Event(Event {
                at: now,
                router: None,
                name: String::new(),
                happening: Happening::Tracker {
                    tracker: tracker.plan().name.clone(),
                    from: before,
                    to: tracker.level(),
                    detail: tracker.detail().into(),
                },
            }));
        }
        let name = tracker.plan().name.clone();
        let concerned = |slot: &Slot| {
            let plan = &slot.plan;
            let mut awaited = plan.preempt_when.iter().flat_map(|when| &when.trackers);
            plan.track.iter().any(|track| track.tracker == name)
                || awaited.any(|awaited| *awaited == name)
        };
        self.retrack(now, concerned);
    }

    /// Computes what trackers do to the routers that are `concerned`.
    fn retrack(&mut self, now: Instant, concerned: impl Fn(&Slot) -> bool) {
        let mut groups = BTreeSet::new();
        for (id, slot) in &mut self.slots {
            if slot.retiring || self.stopped || !concerned(slot) {
                continue;
            }
            let (links, outputs) = (&self.links, &mut self.outputs);
            slot.gate.lack(missing(&slot.plan, &self.trackers));
            if slot.gate.closed_until().is_some() {
                slot.try_gate(now, *id, Readiness::Tracked, links, outputs);
                schedule(&mut self.wakeups, *id, slot);
                groups.extend(slot.group());
            }
            let contributions = contributions(&slot.plan, &self.trackers);
            if slot.contributions != contributions {
                slot.retrack(now, *id, contributions, &self.links, &mut self.outputs);
                schedule(&mut self.wakeups, *id, slot);
                groups.extend(slot.group());
            }
        }
        for group in groups {
            self.settle(now, group);
        }
    }

    /// Before the routers hear of another plan: its trackers. Those that watch what they watched keep their level.
    pub(crate) fn reload_trackers(&mut self, now: Instant, plan: &Plan) {
        let mut known = core::mem::take(&mut self.trackers);
        for new in &plan.trackers {
            let same = |tracker: &Tracker| tracker.plan().name == new.name;
            let tracker = match known.iter().position(same) {
                Some(index) => {
                    let mut tracker = known.swap_remove(index);
                    tracker.revise(now, new);
                    tracker
                }
                None => Tracker::new(now, new.clone()),
            };
            self.trackers.push(tracker);
        }
        self.count_down();
    }

    /// After the routers have heard of it: what another tracker of the same name does to those that did not change.
    pub(crate) fn retrack_all(&mut self, now: Instant) {
        self.retrack(now, |_| true);
    }
}

/// Of the trackers that must be up before a router of this plan preempts, those that are not.
pub(crate) fn missing(plan: &RouterPlan, trackers: &[Tracker]) -> Vec<String> {
    let up = |name: &&String| {
        let mut all = trackers.iter();
        all.any(|tracker| tracker.plan().name == **name && tracker.level() == Level::Up)
    };
    let awaited = plan.preempt_when.iter().flat_map(|when| &when.trackers);
    awaited.filter(|name| !up(name)).cloned().collect()
}

impl Slot {
    /// Trackers do something else now: the priority changes at once, without a transition; a fault is one.
    fn retrack(
        &mut self,
        now: Instant,
        id: RouterId,
        contributions: Vec<Contribution>,
        links: &[Link],
        outputs: &mut Outputs,
    ) {
        if let Some(terms) = self.terms() {
            // What changes is advertised at once, and nobody who has been replaced may advertise.
            self.stand_back_if_late(now, id, &terms, links, outputs);
        }
        let old = self.terms();
        let before = core::mem::replace(&mut self.contributions, contributions);
        self.say_adjusted(now, id, &before, outputs);
        let faults = |all: &[Contribution]| all.iter().filter_map(Contribution::fault).collect();
        let (had, has): (Vec<_>, Vec<_>) = (faults(&before), faults(&self.contributions));
        if had != has && links.get(link_index(self.link)).is_some_and(|it| it.known) {
            // It gives up, or begins anew, which is more than another priority.
            self.refresh(now, id, self.primary, links, false, outputs);
        } else if let (Some(old), Some(new)) = (old, self.terms())
            && old.priority != new.priority
        {
            self.ready.clear();
            let step = self.machine.revise(now, &old, &new);
            if new.priority < old.priority {
                self.machine.restrain(now, &new);
            }
            self.apply(now, id, Some(&new), step, links, outputs);
        }
    }

    fn say_adjusted(
        &self,
        now: Instant,
        id: RouterId,
        before: &[Contribution],
        outputs: &mut Outputs,
    ) {
        let base = self.orders.base(self.plan.priority);
        for contribution in &self.contributions {
            let old = before
                .iter()
                .find(|old| old.tracker == contribution.tracker);
            if old.map_or(0, |old| old.adds) == contribution.adds {
                continue;
            }
            let sum = sum(&self.contributions);
            let happening = Happening::Adjusted {
                tracker: contribution.tracker.clone(),
                level: contribution.level,
                detail: contribution.detail.clone(),
                base,
                sum,
                priority: adjusted(base, sum),
                bid: self.rules().map(|rules| rules.own),
            };
            self.say(now, id, happening, outputs);
        }
    }
}
