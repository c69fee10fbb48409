//! What a router is configured with, what it bids, and what it makes of the bids of others: `carp.md` §4 and §5, column by
//! column.

use core::net::IpAddr;

use crate::reference::terms::{Nanos, SECOND};

/// A 256th of a second, the unit of skew.
pub const TICK: Nanos = SECOND / 256;

/// The cap for the skew of a demoted router.
const MOST_DEMOTED: u32 = 240;

/// The three fields of an advertisement that decide between two routers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bid {
    /// Seconds.
    pub advbase: u8,
    /// 256ths of a second.
    pub advskew: u8,
    /// OpenBSD's demote count.
    pub demotion: u8,
}

impl Bid {
    /// Base and skew in 256ths of a second: the "adv value".
    #[must_use]
    pub const fn ticks(self) -> u32 {
        self.advbase as u32 * 256 + self.advskew as u32
    }

    /// 255/255: the sender gives up.
    #[must_use]
    pub const fn gives_up(self) -> bool {
        self.advbase == 255 && self.advskew == 255
    }
}

/// Whose column of the table it follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Manner {
    /// Decision: ours, unless told otherwise. It says and reads demotion in both ways; for the rest it is FreeBSD's.
    Any,
    /// OpenBSD's: a byte for the demotion.
    OpenBsd,
    /// FreeBSD's and NetBSD's: demotion is added to the skew.
    FreeBsd,
    /// UCarp's: the last octet of the address decides between equals, after one more advertisement.
    Ucarp,
}

/// The configuration of one router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whose ways it has.
    pub manner: Manner,
    /// It is one of ours, and does what the product does beyond that.
    pub ours: bool,
    /// Identifier of the group.
    pub vhid: u8,
    /// Seconds between two advertisements.
    pub advbase: u8,
    /// And 256ths more, as configured.
    pub advskew: u8,
    /// How much is wrong with it; negative where an operator lifted it above its configuration.
    pub demotion: i16,
    /// Takes over from a slower one.
    pub preempt: bool,
    /// Decision: how long a slower one is put up with before that.
    pub hold_time: Nanos,
    /// The virtual addresses.
    pub addresses: Vec<IpAddr>,
    /// The passphrase.
    pub key: Vec<u8>,
    /// Peers instead of the group; empty for multicast.
    pub peers: Vec<IpAddr>,
}

/// What a MASTER does about an advertisement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Nothing.
    Stays,
    /// It gives way to a better one.
    Yields,
    /// It gives way to an equal one.
    YieldsToEqual,
    /// The same after one more advertisement: UCarp only.
    YieldsWithAWord,
}

impl Terms {
    /// Whether it has addresses of this family: first IPv4, then IPv6.
    #[must_use]
    pub fn speaks(&self, ipv6: bool) -> bool {
        self.addresses
            .iter()
            .any(|address| address.is_ipv6() == ipv6)
    }

    /// The skew without demotion.
    #[must_use]
    pub fn skew(&self) -> u8 {
        let lifted = self.demotion.min(0).unsigned_abs();
        self.advskew
            .saturating_sub(u8::try_from(lifted).unwrap_or(u8::MAX))
    }

    fn lost(&self) -> u32 {
        u32::from(self.demotion.max(0).unsigned_abs())
    }

    /// "demotedskew": who is worse than the cap by configuration stays so.
    fn demoted_skew(&self) -> u8 {
        let skew = u32::from(self.skew());
        let sum = match self.lost() {
            0 => skew,
            lost => (skew + lost).min(MOST_DEMOTED).max(skew),
        };
        u8::try_from(sum).unwrap_or(u8::MAX)
    }

    /// What it advertises.
    #[must_use]
    pub fn bid(&self) -> Bid {
        let lost = u8::try_from(self.lost()).unwrap_or(u8::MAX);
        let (advskew, demotion) = match self.manner {
            Manner::Any => (self.demoted_skew(), lost),
            Manner::OpenBsd => (self.skew(), lost),
            Manner::FreeBsd | Manner::Ucarp => (self.demoted_skew(), 0),
        };
        Bid {
            advbase: self.advbase,
            advskew,
            demotion,
        }
    }

    /// Time between two advertisements; if base and skew are 0, a 256th of a second.
    #[must_use]
    pub fn interval(&self) -> Nanos {
        Nanos::from(self.bid().ticks().max(1)) * TICK
    }

    /// Master down: how long it waits for one.
    #[must_use]
    pub fn down_interval(&self) -> Nanos {
        let (base, skew) = (Nanos::from(self.advbase), Nanos::from(self.skew()));
        match self.manner {
            Manner::OpenBsd => 3 * (base * SECOND + skew * TICK),
            Manner::Any | Manner::FreeBsd | Manner::Ucarp => 3 * base * SECOND + skew * TICK,
        }
    }

    /// Who advertises more rarely than that, in ticks, is taken for gone. FreeBSD's skew is the demoted one here.
    #[must_use]
    pub fn patience(&self) -> u32 {
        let skew = match self.manner {
            Manner::OpenBsd => self.skew(),
            Manner::Any | Manner::FreeBsd | Manner::Ucarp => self.demoted_skew(),
        };
        3 * u32::from(self.advbase) * 256 + u32::from(skew)
    }

    /// Theirs and ours, as far as it reads byte 4.
    const fn demotions(&self, theirs: Bid, ours: Bid) -> (u8, u8) {
        match self.manner {
            Manner::Any | Manner::OpenBsd => (theirs.demotion, ours.demotion),
            Manner::FreeBsd | Manner::Ucarp => (0, 0),
        }
    }

    /// As BACKUP: the other one is slower, and it may say so.
    #[must_use]
    pub fn is_faster_than(&self, theirs: Bid) -> bool {
        let ours = self.bid();
        let (dp, d) = self.demotions(theirs, ours);
        ours.ticks() < theirs.ticks() && dp >= d
    }

    /// As BACKUP: the other one bids the same.
    #[must_use]
    pub fn is_equal_to(&self, theirs: Bid) -> bool {
        let ours = self.bid();
        let (dp, d) = self.demotions(theirs, ours);
        ours.ticks() == theirs.ticks() && dp == d
    }

    /// As BACKUP: takes over whatever `preempt` says.
    #[must_use]
    pub fn finds_unfit(&self, theirs: Bid) -> bool {
        let (dp, d) = self.demotions(theirs, self.bid());
        dp > d || (self.advbase > 0 && self.patience() < theirs.ticks())
    }

    /// As MASTER, which has `own` address.
    #[must_use]
    pub fn verdict(&self, theirs: Bid, source: IpAddr, own: IpAddr) -> Verdict {
        let ours = self.bid();
        let (c, s) = (theirs.ticks(), ours.ticks());
        if self.manner == Manner::Ucarp {
            return match () {
                () if c < s => Verdict::Yields,
                () if c == s && backwards(source) < backwards(own) => Verdict::YieldsWithAWord,
                () => Verdict::Stays,
            };
        }
        let (dp, d) = self.demotions(theirs, ours);
        // Decision: as UCarp decides, where there may be one.
        let tie =
            self.ours && self.manner == Manner::Any && self.speaks(false) != self.speaks(true);
        match () {
            () if dp < d => Verdict::Yields,
            () if tie && dp == d && c == s && backwards(own) < backwards(source) => Verdict::Stays,
            () if dp > d || c > s => Verdict::Stays,
            () if c == s => Verdict::YieldsToEqual,
            () => Verdict::Yields,
        }
    }
}

/// UCarp compares words in network order as if they were numbers of a little-endian machine: the last octet decides.
fn backwards(address: IpAddr) -> Vec<u8> {
    let mut octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.reverse();
    octets
}
