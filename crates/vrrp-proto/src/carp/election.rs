//! Who wins: what a router bids itself, and what it makes of the bids of others.
//!
//! The states are those of VRRP, and so is everything that does not come of an advertisement: see [`crate::router`]. What
//! differs is below, with the names that each implementation has for it.
//!
//! | state | heard | OpenBSD | FreeBSD, NetBSD |
//! |---|---|---|---|
//! | Backup | slower than we, and we preempt | takes over, unless it is less demoted than we | takes over |
//! | Backup | more demoted than we | takes over | |
//! | Backup | slower than our own patience, so also a bow-out | takes over | takes over |
//! | Backup | anything else | waits anew | waits anew |
//! | Active | as fast as we or faster | Backup, unless it is more demoted than we | Backup |
//! | Active | less demoted than we | Backup | |
//! | Active | anything else | nothing | nothing |
//!
//! An equal one is followed, except by a router of the profile `any` that wins the tie as UCarp decides it: [`Rules::wins_tie`].
//!
//! A takeover is a timer that runs out now, so that what was heard in the same turn still counts, and a group has its say.

use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::bid::{Bid, ticks};
use super::digest::{LinkLocal, Passphrase};
use super::seal::{self, Sealing};
use crate::event::Reason;
use crate::router::{Backup, Terms};
use crate::time::Instant;
use crate::types::{Family, Priority};

/// A demoted router bids no more than this, so that one that is configured to be the last comes after it.
const MOST_DEMOTED: u8 = 240;

/// Whose ways a router has.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Profile {
    /// Says its demotion in both ways and understands both, so that all others understand it. Waits as FreeBSD does.
    #[default]
    Any,
    /// A byte for the demotion; waits for three of its own intervals.
    OpenBsd,
    /// Demotion adds to the skew. Waits for three times the base, and its skew.
    FreeBsd,
}

impl Profile {
    /// Its word in configuration and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::OpenBsd => "openbsd",
            Self::FreeBsd => "freebsd",
        }
    }
}

/// What a router of this protocol has in its configuration, and others have not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CarpPlan {
    /// What is added to the interval, in 256ths of a second: 0 to 254.
    pub advskew: u8,
    /// What the group shares.
    pub passphrase: Passphrase,
    /// Whose ways it has.
    pub profile: Profile,
    /// What its digest covers.
    #[serde(default)]
    pub link_local: LinkLocal,
    /// For how long the digest that it had is good beside the one that it has, after another list of addresses or another
    /// passphrase came with a reload.
    #[serde(default)]
    pub grace: Duration,
    /// Whether what it says is sealed.
    #[serde(default)]
    pub sealing: Sealing,
    /// How far the clocks of those that seal may be apart.
    #[serde(default)]
    pub window: Duration,
}

/// For how long two digests are good, unless it is configured: long enough to reload the others by hand.
pub const GRACE: Duration = Duration::from_secs(600);

impl CarpPlan {
    /// With everything else as it is when nobody sets it.
    #[must_use]
    pub const fn new(advskew: u8, passphrase: Passphrase) -> Self {
        Self {
            advskew,
            passphrase,
            profile: Profile::Any,
            link_local: LinkLocal::LeftOut,
            grace: GRACE,
            sealing: Sealing::Off,
            window: seal::WINDOW,
        }
    }
}

/// So many advertisements may still come from an equal one that has given way at the same time.
pub(crate) const LAST_WORDS: u8 = 3;

/// The priority that stands for this skew, from 254 to 1. What trackers and operators do to it is demotion.
#[must_use]
pub const fn priority(advskew: u8) -> Priority {
    // 0 is a release, and 253 and 254 are as bad as one can be.
    Priority::new(if advskew < 253 { 254 - advskew } else { 1 })
}

/// What the election needs to know of the configuration, at the moment of each input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rules {
    /// Whose ways.
    pub profile: Profile,
    /// What we advertise.
    pub own: Bid,
    /// The skew without demotion: patience does not depend on that.
    pub advskew: u8,
    /// There are addresses of both families, and each has a timer.
    pub dual: bool,
}

impl Rules {
    /// Of a router with `effective` instead of the priority of its skew.
    #[must_use]
    pub fn new(plan: &CarpPlan, advbase: u8, effective: Priority, dual: bool) -> Self {
        let (base, effective) = (priority(plan.advskew).get(), effective.get());
        let demotion = base.saturating_sub(effective);
        let advskew = plan.advskew.saturating_sub(effective.saturating_sub(base));
        let demoted = match demotion {
            0 => advskew,
            by => advskew.saturating_add(by).min(MOST_DEMOTED).max(advskew),
        };
        let (advskew_sent, demotion_sent) = match plan.profile {
            Profile::Any => (demoted, demotion),
            Profile::OpenBsd => (advskew, demotion),
            Profile::FreeBsd => (demoted, 0),
        };
        Self {
            profile: plan.profile,
            own: Bid {
                advbase,
                advskew: advskew_sent,
                demotion: demotion_sent,
            },
            advskew,
            dual,
        }
    }

    /// How long an Active may be silent.
    #[must_use]
    pub fn down_interval(&self) -> Duration {
        ticks(match self.profile {
            Profile::OpenBsd => 3 * (u32::from(self.own.advbase) * 256 + u32::from(self.advskew)),
            Profile::Any | Profile::FreeBsd => self.patience(self.advskew),
        })
    }

    /// After how long a silence of our own somebody has certainly replaced us, who bids less than we.
    #[must_use]
    pub fn replaced_after(&self) -> Duration {
        ticks(self.patience(self.advskew))
    }

    /// In 256ths of a second: how long FreeBSD waits with this skew.
    fn patience(&self, advskew: u8) -> u32 {
        3 * u32::from(self.own.advbase) * 256 + u32::from(advskew)
    }

    /// In 256ths of a second: whoever advertises more rarely is as good as gone. FreeBSD counts its own demotion in.
    fn hopeless(&self) -> u32 {
        match self.profile {
            Profile::OpenBsd => self.patience(self.advskew),
            Profile::Any | Profile::FreeBsd => self.patience(self.own.advskew),
        }
    }

    /// What `theirs` says about demotion, and what we say, to those who understand it.
    const fn demotions(&self, theirs: Bid) -> (u8, u8) {
        match self.profile {
            Profile::Any | Profile::OpenBsd => (theirs.demotion, self.own.demotion),
            Profile::FreeBsd => (0, 0),
        }
    }

    /// Why an Active gives way to `theirs`, if it does.
    #[must_use]
    pub fn yields_to(&self, theirs: Bid) -> Option<Reason> {
        let (their_demotion, our_demotion) = self.demotions(theirs);
        let (c, s) = (theirs.ticks(), self.own.ticks());
        if their_demotion < our_demotion {
            Some(Reason::BetterBid)
        } else if their_demotion > our_demotion || c > s {
            None
        } else if c < s {
            Some(Reason::BetterBid)
        } else {
            Some(Reason::EqualBid)
        }
    }

    /// Whether a Backup takes over from somebody who bids that, if not at once then after its delay.
    pub(crate) fn replaces(&self, theirs: Bid, preempts: bool) -> bool {
        let (their_demotion, our_demotion) = self.demotions(theirs);
        let slower = theirs.ticks() > self.own.ticks() && their_demotion >= our_demotion;
        their_demotion > our_demotion || theirs.ticks() > self.hopeless() || (preempts && slower)
    }

    /// Whether a router with the address `own` stays Active although `other` bids the same.
    ///
    /// UCarp decides so: whose address is lower, read from its last octet on, stays. The others all give way, whatever the
    /// addresses are. So if we stay just when UCarp gives way, one stays in any company, and UCarp's last word, which may come
    /// as late as its script lets it, changes nothing. With both families there is no UCarp, and no one address.
    #[must_use]
    pub fn wins_tie(&self, own: IpAddr, other: IpAddr) -> bool {
        let lower = match (own, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                u32::from_le_bytes(own.octets()) < u32::from_le_bytes(other.octets())
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                u128::from_le_bytes(own.octets()) < u128::from_le_bytes(other.octets())
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        };
        self.profile == Profile::Any && !self.dual && lower
    }

    /// How much longer than usual a router with this address waits that has given way.
    ///
    /// Both give way, as all implementations do, and UCarp does after one more advertisement. If both waited equally long
    /// after that, they would meet again as equals, for ever. So it also waits longer after what an equal one says next, be it
    /// UCarp's last word, until that has said so much that it cannot have given way.
    #[must_use]
    pub fn courtesy(own_address: IpAddr) -> Duration {
        let last = match own_address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        ticks(1 + u32::from(last))
    }

    /// After a bow-out: with several Backups, the best one is the first to speak. A 64th of a second at most.
    fn turn(&self) -> Duration {
        ticks(u32::from(self.own.advskew)) / 64
    }
}

/// What a Backup does about the bid of `source`.
pub(crate) fn heard_by_backup(
    backup: Backup,
    now: Instant,
    terms: &Terms,
    rules: &Rules,
    bid: Bid,
    source: IpAddr,
) -> Backup {
    if bid.is_bow_out() {
        return Backup {
            because: Reason::Released,
            // Who comes next does not meet that one.
            equals: [None; 2],
            ..backup.at_the_latest(now + rules.turn())
        };
    }
    let (theirs, ours) = rules.demotions(bid);
    let slower = bid.ticks() > rules.own.ticks() && theirs >= ours;
    let hold = (slower && terms.preempt).then(|| backup.hold.unwrap_or(now + terms.preempt_delay));
    let hopeless = bid.ticks() > rules.hopeless();
    if theirs > ours || hopeless || hold.is_some_and(|hold| hold <= now) {
        // An equal one that has given way at the same time hears that, too.
        let then = match backup.last_words {
            0 => now,
            _ => now + Rules::courtesy(terms.primary),
        };
        return Backup {
            because: Reason::Preempting,
            hold,
            ..backup.at_the_latest(then)
        };
    }
    let equal = theirs == ours && bid.ticks() == rules.own.ticks();
    let place = Family::of(source).place();
    let mut equals = [None; 2];
    if equal {
        equals = backup.equals;
        equals[place] = Some(source);
    }
    let last_words = match backup.equals[place] {
        _ if !equal => 0,
        // Two equals have met, and one of them may have given way: it is to be the first to come back.
        Some(other) if other != source => LAST_WORDS,
        _ => backup.last_words,
    };
    let again = now + rules.down_interval();
    let again = match last_words {
        0 => again,
        _ => again + Rules::courtesy(terms.primary),
    };
    // A reason to take over sooner is gone in both families: somebody is there.
    let sooner = backup.because != Reason::NoResponse;
    let downs = rules.dual.then(|| {
        let mut downs = match backup.downs {
            _ if sooner => [again; 2],
            Some(downs) => downs,
            None => [backup.active_down; 2],
        };
        downs[place] = again;
        downs
    });
    Backup {
        active_down: downs.map_or(again, |[v4, v6]| v4.min(v6)),
        active_interval: terms.interval,
        because: Reason::NoResponse,
        hold,
        downs,
        last_words: last_words.saturating_sub(1),
        equals,
    }
}
