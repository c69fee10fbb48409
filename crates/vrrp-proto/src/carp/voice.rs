//! What a router says and hears with the passphrase of its group: the counter, what the digest covers, and who was heard so.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::bid::Bid;
use super::inspect::open;
use super::key::{FORMER, Former, Key};
use super::packet::{Advertisement, LEN};
use super::past::{Past, Verdict};
use super::seal::{Broken, Clock, Seal, Sealing, Wall};
use super::suspicion::{self, Suspicion};
use super::{CarpPlan, priority};
use crate::complaint::Allowance;
use crate::interval::Interval;
use crate::plan::{ChecksumForm, RouterPlan};
use crate::receive::{Envelope, Heard, Reject};
use crate::time::Instant;
use crate::types::{Family, Priority};

/// Others that are remembered.
const OTHERS: usize = 8;

/// The voice of one router.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Voice {
    /// Of the last advertisement, ours or that of another member.
    counter: u64,
    #[serde(default)]
    clock: Clock,
    /// In each family.
    #[serde(default)]
    past: [Past; 2],
    #[serde(default)]
    former: Vec<Former>,
    #[serde(default)]
    others: Vec<Other>,
    /// How often a reason for a wrong digest may be looked for.
    #[serde(default)]
    searches: Allowance,
    /// That of the plan; not there until [`Self::tune`].
    #[serde(skip)]
    key: Option<Key>,
}

/// Somebody who speaks, or tries to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Other {
    /// Source of its advertisements.
    pub address: IpAddr,
    /// When one of them had a good digest for the last time; `None`: never.
    pub good: Option<Instant>,
    /// When that was for the last time the digest that is configured, and not a former one.
    pub current: Option<Instant>,
    /// Whether the last good one was sealed.
    pub sealed: bool,
    /// By how much its clock differs from ours, and whether it is ahead; `None` if one of the two is not known.
    pub apart: Option<(Duration, bool)>,
    /// When one of them had a wrong digest for the last time, as far as is known.
    pub wrong: Option<Instant>,
    /// Why its digests are wrong, since ours changed for the last time, or a good one was heard.
    pub suspicion: Option<Suspicion>,
}

impl Other {
    const fn new(address: IpAddr) -> Self {
        Self {
            address,
            good: None,
            current: None,
            sealed: false,
            apart: None,
            wrong: None,
            suspicion: None,
        }
    }
}

/// What is to be known of a voice.
#[derive(Clone, Copy, Debug)]
pub struct VoiceStatus<'a> {
    /// Until when a former digest is good.
    pub grace: Option<Instant>,
    /// Who was heard.
    pub others: &'a [Other],
    /// Whether the clock of the wall is set, as far as is known.
    pub clock: bool,
}

impl Voice {
    /// Of a router that has not spoken yet. Without a counter of its own, it begins with one that anybody can guess.
    pub(crate) fn new(plan: &RouterPlan, counter: u64) -> Self {
        let mut voice = Self {
            counter,
            clock: Clock::default(),
            past: [Past::default(), Past::default()],
            former: Vec::new(),
            others: Vec::new(),
            searches: Allowance::default(),
            key: None,
        };
        voice.tune(plan);
        voice
    }

    /// Makes what follows from `plan` and from what was saved.
    pub(crate) fn tune(&mut self, plan: &RouterPlan) {
        self.key = plan.carp.as_ref().map(|carp| Key::of(plan, carp));
        for former in &mut self.former {
            former.tune(plan.vrid);
        }
    }

    /// Says and hears what `new` says from now on, and for some time also what `old` said. Whether that is something else.
    pub(crate) fn revise(&mut self, now: Instant, old: &RouterPlan, new: &RouterPlan) -> bool {
        let was = self.key.take();
        self.tune(new);
        let (Some(key), Some(carp), Some(old_carp)) = (&self.key, &new.carp, &old.carp) else {
            return false;
        };
        if was.is_some_and(|was| was.agrees(key)) {
            return false;
        }
        // What is good again is not former any more.
        let agrees = |it: &Former| it.key.as_ref().is_some_and(|it| it.agrees(key));
        self.former.retain(|it| !agrees(it));
        if self.former.len() >= FORMER {
            self.former.remove(0);
        }
        let until = now + carp.grace;
        let mut former = Former::new(old, old_carp, until);
        former.tune(new.vrid);
        self.former.push(former);
        if carp.grace.is_zero() {
            self.former.iter_mut().for_each(|it| it.over = true);
        }
        for other in &mut self.others {
            other.suspicion = None;
            other.current = None;
        }
        true
    }

    /// Until when a former digest is good.
    pub(crate) fn grace(&self) -> Option<Instant> {
        let open = self.former.iter().filter(|it| !it.over);
        open.map(|it| it.until).max()
    }

    /// When the next former digest is good no more.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let open = self.former.iter().filter(|it| !it.over);
        open.map(|it| it.until).min()
    }

    /// Ends what is due. When nothing is left, who was heard with nothing else; nobody, if it all goes on.
    pub(crate) fn end_grace(&mut self, now: Instant) -> Option<Option<IpAddr>> {
        self.deadline().filter(|until| *until <= now)?;
        for former in &mut self.former {
            former.over |= former.until <= now;
        }
        if self.grace().is_some() {
            return None;
        }
        let lags = |it: &&Other| it.good.is_some() && it.current.is_none();
        let others = self.others.iter();
        Some(others.filter(lags).map(|it| it.address).next())
    }

    fn good_former(&self) -> impl Iterator<Item = &Former> {
        self.former.iter().filter(|it| !it.over)
    }

    /// Whether a former digest was also said in this family.
    pub(crate) fn also_speaks(&self, family: Family) -> bool {
        self.good_former().any(|it| it.speaks(family))
    }

    /// Whether everybody who is understood speaks this family, as far as it depends on former digests.
    pub(crate) fn all_speak(&self, family: Family) -> bool {
        self.good_former().all(|it| it.speaks(family))
    }

    /// Nothing that was said before is said again: neither by us, nor by a process that died and had not written down how far it
    /// was.
    pub(crate) fn skip(&mut self, counts: u64, window: Duration) {
        self.counter = self.counter.wrapping_add(counts);
        self.clock.skip(window);
    }

    /// What it says from now on has counters beyond those that anybody said in truth.
    pub(crate) fn hurry(&mut self) {
        self.counter = self.counter.max(3 << 61);
        self.clock.hurry();
    }

    /// What the clock of the wall says.
    pub(crate) const fn set_wall(&mut self, wall: Option<Wall>) {
        self.clock.wall = wall;
    }

    /// The next advertisement: with the digest that is configured, and with each former one that is still good.
    pub(crate) fn speak(
        &mut self,
        now: Instant,
        plan: &RouterPlan,
        carp: &CarpPlan,
        bid: Bid,
    ) -> Vec<[u8; LEN]> {
        let mut messages = Vec::with_capacity(1);
        let keys = self.good_former().filter(|it| it.until > now).count();
        for place in 0..=keys {
            self.count(now, carp, bid);
            let counter = self.counter;
            let former = self.good_former().filter(|it| it.until > now);
            let mut keys = self
                .key
                .iter()
                .chain(former.filter_map(|it| it.key.as_ref()));
            let Some(key) = keys.nth(place) else {
                continue;
            };
            let advertisement = Advertisement {
                vhid: plan.vrid,
                bid,
                counter,
                digest: key.digest(counter),
            };
            messages.push(advertisement.emit());
        }
        messages
    }

    /// A counter that was never said.
    fn count(&mut self, now: Instant, carp: &CarpPlan, bid: Bid) {
        let sealed = carp.sealing != Sealing::Off;
        self.counter = if sealed {
            let mark = self.clock.next(now, bid);
            Seal { mark, bid }.counter()
        } else {
            self.counter.wrapping_add(1)
        };
        for past in &mut self.past {
            past.say(now, self.counter);
        }
    }

    /// Checks a message for a router that has these sources.
    ///
    /// # Errors
    /// The first check that failed.
    pub(crate) fn hear(
        &mut self,
        now: Instant,
        envelope: &Envelope,
        message: &[u8],
        plan: &RouterPlan,
        carp: &CarpPlan,
        sources: [Option<IpAddr>; 2],
    ) -> Result<Heard, Reject> {
        let advertisement = open(envelope, message)?;
        let family = Family::of(envelope.source);
        // Found by an entry of an address list that is good no more.
        if !plan.speaks(family) && !self.also_speaks(family) {
            return Err(Reject::Vrid);
        }
        if sources.contains(&Some(envelope.source)) {
            return Err(Reject::Looped);
        }
        if envelope.destination.is_multicast() == plan.is_unicast() {
            return Err(Reject::Mode);
        }
        if plan.is_unicast() && !plan.unicast_peers.contains(&envelope.source) {
            return Err(Reject::Source);
        }
        let Advertisement {
            bid,
            counter,
            digest,
            vhid: _,
        } = advertisement;
        let verifies = |key: &Key| key.verifies(counter, &digest);
        let current = self.key.as_ref().is_some_and(verifies);
        let former = || {
            let mut open = self.good_former().filter(|it| it.until > now);
            open.any(|it| it.key.as_ref().is_some_and(verifies))
        };
        if !current && !former() {
            return Err(Reject::Digest);
        }
        let sealed = self.judge(now, envelope.source, counter, bid, carp)?;
        // Ours goes on from there, and none that was heard is sent again.
        if carp.sealing == Sealing::Off {
            self.counter = self.counter.max(counter);
        }
        let apart = self.clock.apart(now, Seal::read(counter).mark);
        let patience = plan.interval.duration() * 4;
        if let Some(other) = self.other(envelope.source) {
            other.good = Some(now);
            other.current = if current { Some(now) } else { other.current };
            other.sealed = sealed;
            other.apart = apart.filter(|_| sealed);
            // Who sends both kinds in turn is not suspected anew each time.
            let lately = other
                .wrong
                .is_some_and(|at| now.saturating_since(at) < patience);
            other.suspicion = other.suspicion.filter(|_| !current || lately);
        }
        let own_base = plan.interval;
        Ok(Heard {
            source: envelope.source,
            priority: if bid.is_bow_out() {
                Priority::RELEASE
            } else {
                priority(bid.advskew)
            },
            interval: Interval::from_secs(bid.advbase)
                .filter(|_| !bid.is_bow_out())
                .unwrap_or(own_base),
            form: ChecksumForm::Rfc9568,
            other_interval: false,
            other_addresses: false,
            bid: Some(bid),
        })
    }

    /// Whether it is sealed, if it was never said before, and is what was said.
    fn judge(
        &mut self,
        now: Instant,
        source: IpAddr,
        counter: u64,
        bid: Bid,
        carp: &CarpPlan,
    ) -> Result<bool, Reject> {
        let place = Family::of(source).place();
        let seal = Seal::read(counter);
        let patience = bid.interval() * 3;
        let Some(past) = self.past.get_mut(place) else {
            return Err(Reject::Vrid);
        };
        let verdict = past.hear(now, source, counter, patience);
        let unsealed = match verdict {
            Verdict::New | Verdict::GoesOn => Ok(false),
            Verdict::Heard => Err(Reject::Replayed),
            Verdict::Ours => Err(Reject::Looped),
        };
        if carp.sealing == Sealing::Off {
            return unsealed;
        }
        let required = carp.sealing == Sealing::Require;
        let judged = self.clock.judge(now, seal, bid, carp.window, place);
        match (judged, verdict) {
            (Ok(()), _) => Ok(true),
            (Err(Broken::Forged), Verdict::GoesOn) if !required => unsealed,
            (Err(Broken::Forged), _) => Err(Reject::Forged),
            (Err(Broken::Bid), _) if required => Err(Reject::Unsealed),
            (Err(Broken::Old), Verdict::Ours) => Err(Reject::Looped),
            (Err(Broken::Old), Verdict::GoesOn) if !required => unsealed,
            (Err(Broken::Old), _) => Err(Reject::Replayed),
            (Err(Broken::Clock), _) if required => {
                let apart = self.clock.apart(now, seal.mark);
                if let Some(other) = self.other(source) {
                    other.apart = apart;
                }
                Err(Reject::Clock)
            }
            (Err(Broken::Clock), _) => unsealed.map(|_| true),
            (Err(Broken::Bid), _) => unsealed,
        }
    }

    /// Why the digest of this message is wrong, if that is not known yet of its sender.
    pub(crate) fn suspect(
        &mut self,
        now: Instant,
        source: IpAddr,
        message: &[u8],
        plan: &RouterPlan,
        carp: &CarpPlan,
    ) -> Option<Suspicion> {
        let Ok(Advertisement {
            counter, digest, ..
        }) = Advertisement::parse(message)
        else {
            return None;
        };
        let mut others = self.others.iter_mut();
        let known = others.find(|it| it.address == source).map(|it| {
            it.wrong = Some(now);
            *it
        });
        if known.is_some_and(|it| it.suspicion.is_some()) || !self.searches.allow(now) {
            return None;
        }
        let recent = known.and_then(|it| it.current);
        let beside =
            recent.is_some_and(|at| now.saturating_since(at) < plan.interval.duration() * 3);
        let found = if beside {
            Suspicion::Beside
        } else {
            suspicion::of(plan, carp, &self.former, counter, &digest)
        };
        let other = self.other(source)?;
        other.suspicion = Some(found);
        other.wrong = Some(now);
        Some(found)
    }

    /// What is remembered of that sender; the one that was not heard for longest makes room.
    fn other(&mut self, address: IpAddr) -> Option<&mut Other> {
        let known = self.others.iter().position(|it| it.address == address);
        let index = match known {
            Some(index) => index,
            None if self.others.len() < OTHERS => {
                self.others.push(Other::new(address));
                self.others.len() - 1
            }
            None => {
                let all = 0..self.others.len();
                let oldest = all.min_by_key(|index| self.others[*index].good)?;
                self.others[oldest] = Other::new(address);
                oldest
            }
        };
        self.others.get_mut(index)
    }

    pub(crate) fn status(&self) -> VoiceStatus<'_> {
        VoiceStatus {
            grace: self.grace(),
            others: &self.others,
            clock: self.clock.wall.is_some(),
        }
    }
}
