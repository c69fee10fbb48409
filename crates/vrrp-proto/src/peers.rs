//! Who else speaks for a virtual router, and how regularly.
//!
//! A Backup is silent, so only those are known that were Active in our hearing. What became of one that speaks no more
//! follows from what was heard instead: see [`Parting`].

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::Bid;
use crate::event::Offer;
use crate::interval::Interval;
use crate::plan::ChecksumForm;
use crate::receive::Heard;
use crate::time::Instant;
use crate::types::{Family, Priority};

/// How many are remembered for each router. When another one speaks, the one that has been silent longest is forgotten.
pub const PEERS: usize = 8;

/// Another router of the same group, as far as it was heard. What is counted begins anew when it speaks after a release, or
/// after a silence in which it could have been replaced: three of its intervals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Peer {
    /// Source of its advertisements.
    pub address: IpAddr,
    /// The last it advertised; 0 only if a release is all that was ever heard of it.
    pub priority: Priority,
    /// With CARP, what it bid last; [`Self::priority`] and [`Self::interval`] are made of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bid: Option<Bid>,
    /// Its advertisement interval.
    pub interval: Interval,
    /// The checksum's form (VRRPv3 over IPv4).
    pub form: ChecksumForm,
    /// Its interval is not ours (RFC 9568 §7.1).
    pub other_interval: bool,
    /// Its addresses are not ours (RFC 9568 §7.1).
    pub other_addresses: bool,
    /// When it was heard for the first time.
    pub first: Instant,
    /// When it was heard for the last time.
    pub last: Instant,
    /// Advertisements in a row.
    pub in_a_row: u64,
    /// Those among them that came more than one and a half intervals after the one before.
    pub late: u64,
    /// The longest time between two of them; zero while there is one only.
    pub longest_gap: Duration,
    /// Why it speaks no more; `None` as far as is known while it does.
    pub parting: Option<Parting>,
}

/// What became of a router that was Active.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Parting {
    /// It heard somebody who beats it, and is a Backup.
    Yielded,
    /// It gave up with priority 0.
    Released,
    /// It fell silent, and somebody took over.
    Silent,
}

impl Parting {
    /// A stable word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Yielded => "yielded",
            Self::Released => "released",
            Self::Silent => "silent",
        }
    }
}

impl Peer {
    fn new(now: Instant, heard: &Heard) -> Self {
        Self {
            address: heard.source,
            priority: heard.priority,
            bid: heard.bid,
            interval: heard.interval,
            form: heard.form,
            other_interval: heard.other_interval,
            other_addresses: heard.other_addresses,
            first: now,
            last: now,
            in_a_row: 0,
            late: 0,
            longest_gap: Duration::ZERO,
            parting: None,
        }
    }

    fn hear(&mut self, now: Instant, heard: &Heard) {
        let gap = now.saturating_since(self.last);
        let interval = heard.period();
        let released = self.parting == Some(Parting::Released);
        if self.in_a_row == 0 || released || gap > interval * 3 {
            self.in_a_row = 0;
            self.late = 0;
            self.longest_gap = Duration::ZERO;
        } else {
            self.late += u64::from(gap * 2 > interval * 3);
            self.longest_gap = self.longest_gap.max(gap);
        }
        self.in_a_row += 1;
        self.last = now;
        self.interval = heard.interval;
        self.form = heard.form;
        self.other_interval = heard.other_interval;
        self.other_addresses = heard.other_addresses;
        if heard.priority == Priority::RELEASE {
            self.parting = Some(Parting::Released);
        } else {
            self.priority = heard.priority;
            self.bid = heard.bid;
            self.parting = None;
        }
    }

    /// Time between two of its advertisements.
    #[must_use]
    pub fn period(&self) -> Duration {
        let interval = self.interval.duration();
        self.bid.map_or(interval, Bid::interval)
    }

    /// What it offers.
    #[must_use]
    pub const fn offer(&self) -> Offer {
        Offer {
            priority: self.priority,
            bid: self.bid,
        }
    }

    /// Which of the two should be Active: the greater one.
    #[must_use]
    pub fn ranking(&self, other: &Self) -> Ordering {
        let by_address = self.address.cmp(&other.address);
        match (self.bid, other.bid) {
            (Some(own), Some(theirs)) => theirs.rank().cmp(&own.rank()).then(by_address),
            _ => self.priority.cmp(&other.priority).then(by_address),
        }
    }

    /// Whether an Active that offers this from this address wins against it (RFC 9568 §6.4.3). With CARP equals give way.
    #[must_use]
    pub fn loses_to(&self, offer: Offer, address: IpAddr) -> bool {
        match (offer.bid, self.bid) {
            (Some(theirs), Some(own)) => theirs.rank() <= own.rank(),
            _ => (offer.priority, address) > (self.priority, self.address),
        }
    }
}

/// Those of one router.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Peers(Vec<Peer>);

impl Peers {
    pub(crate) fn all(&self) -> &[Peer] {
        &self.0
    }

    /// An advertisement that was accepted, from whomever.
    pub(crate) fn hear(&mut self, now: Instant, heard: &Heard) {
        let known = self.0.iter().position(|peer| peer.address == heard.source);
        let index = known.unwrap_or_else(|| self.add(now, heard));
        if let Some(peer) = self.0.get_mut(index) {
            peer.hear(now, heard);
        }
        if heard.priority != Priority::RELEASE {
            self.yield_to(now, heard.offer(), heard.source);
        }
    }

    fn add(&mut self, now: Instant, heard: &Heard) -> usize {
        let peer = Peer::new(now, heard);
        if self.0.len() < PEERS {
            // Most routers have one.
            self.0.reserve_exact(1);
            self.0.push(peer);
            return self.0.len() - 1;
        }
        let oldest = (0..self.0.len())
            .min_by_key(|index| self.0[*index].last)
            .unwrap_or_default();
        self.0[oldest] = peer;
        oldest
    }

    /// Somebody, perhaps we, advertises this from this address: who loses to it stands back, and another one
    /// that has not been heard meanwhile is gone. With CARP one router speaks in both families, and says so in each.
    pub(crate) fn yield_to(&mut self, now: Instant, offer: Offer, address: IpAddr) {
        for peer in &mut self.0 {
            let other_family = Family::of(peer.address) != Family::of(address);
            if peer.address == address || other_family || peer.parting.is_some() {
                continue;
            }
            let silence = now.saturating_since(peer.last);
            if silence > peer.period() * 3 {
                peer.parting = Some(Parting::Silent);
            } else if peer.loses_to(offer, address) {
                peer.parting = Some(Parting::Yielded);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn heard(host: u8, priority: u8) -> Heard {
        Heard {
            source: [10, 0, 0, host].into(),
            priority: Priority::new(priority),
            interval: Interval::DEFAULT,
            form: ChecksumForm::Rfc9568,
            other_interval: false,
            other_addresses: false,
            bid: None,
        }
    }

    fn peer(peers: &Peers, host: u8) -> Peer {
        let address = IpAddr::from([10, 0, 0, host]);
        let found = peers.all().iter().find(|peer| peer.address == address);
        *found.expect("it was heard")
    }

    #[test]
    fn what_comes_late_is_counted() {
        let mut peers = Peers::default();
        for millis in [0, 1000, 2000, 3501, 4501] {
            peers.hear(at(millis), &heard(2, 200));
        }
        let peer = peer(&peers, 2);
        assert_eq!((peer.in_a_row, peer.late), (5, 1));
        assert_eq!(peer.longest_gap, Duration::from_millis(1501));
        assert_eq!((peer.first, peer.last), (at(0), at(4501)));
    }

    #[test]
    fn the_row_begins_anew_after_a_silence_or_a_release() {
        let mut peers = Peers::default();
        for millis in [0, 1000, 4001] {
            peers.hear(at(millis), &heard(2, 200));
        }
        assert_eq!((peer(&peers, 2).in_a_row, peer(&peers, 2).late), (1, 0));
        peers.hear(at(4500), &heard(2, 0));
        let released = peer(&peers, 2);
        assert_eq!(released.parting, Some(Parting::Released));
        assert_eq!(released.priority, Priority::new(200), "what it had");
        peers.hear(at(5000), &heard(2, 150));
        let back = peer(&peers, 2);
        assert_eq!((back.in_a_row, back.parting), (1, None));
    }

    #[test]
    fn who_is_beaten_yields_and_who_is_beaten_by_nobody_was_silent() {
        let mut peers = Peers::default();
        peers.hear(at(0), &heard(2, 100));
        peers.hear(at(100), &heard(3, 150));
        assert_eq!(peer(&peers, 2).parting, Some(Parting::Yielded));
        peers.hear(at(3700), &heard(2, 100));
        assert_eq!(peer(&peers, 3).parting, Some(Parting::Silent));
        assert_eq!(peer(&peers, 2).parting, None);
        // An equal priority from a higher address.
        peers.yield_to(at(3800), heard(9, 100).offer(), [10, 0, 0, 9].into());
        assert_eq!(peer(&peers, 2).parting, Some(Parting::Yielded));
    }

    #[test]
    fn with_carp_the_bids_decide_and_equals_yield() {
        let bid = |advskew, demotion| Bid {
            advbase: 1,
            advskew,
            demotion,
        };
        let says = |host, bid| Heard {
            bid: Some(bid),
            ..heard(host, 100)
        };
        for (theirs, yields) in [
            (bid(100, 1), true),
            (bid(0, 2), false),
            (bid(200, 0), true),
            (bid(50, 1), true),
            (bid(101, 1), false),
        ] {
            let mut peers = Peers::default();
            peers.hear(at(0), &says(9, bid(100, 1)));
            peers.hear(at(100), &says(2, theirs));
            let parting = peer(&peers, 9).parting;
            assert_eq!(parting.is_some(), yields, "{theirs}");
        }
    }

    #[test]
    fn who_speaks_in_both_families_does_not_yield_to_itself() {
        let mut peers = Peers::default();
        let bid = Bid {
            advbase: 1,
            advskew: 100,
            demotion: 0,
        };
        let v4 = Heard {
            bid: Some(bid),
            ..heard(2, 154)
        };
        let v6 = Heard {
            source: "fe80::2".parse().expect("an address"),
            ..v4
        };
        for second in 0..3 {
            peers.hear(at(second * 1000), &v4);
            peers.hear(at(second * 1000), &v6);
        }
        assert!(peers.all().iter().all(|peer| peer.parting.is_none()));
    }

    #[test]
    fn the_one_that_was_silent_longest_is_forgotten() {
        let mut peers = Peers::default();
        for host in 1..=u8::try_from(PEERS).expect("a few") + 1 {
            peers.hear(at(u64::from(host)), &heard(host, host));
        }
        assert_eq!(peers.all().len(), PEERS);
        let first = IpAddr::from([10, 0, 0, 1]);
        assert!(peers.all().iter().all(|peer| peer.address != first));
    }
}
