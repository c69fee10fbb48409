//! What happened, as data; and the one place where it becomes sentences.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::{Bid, Suspicion};
use crate::fault::Fault;
use crate::orders::OrderKind;
use crate::prepare::Preparedness;
use crate::receive::{Oddity, Reject};
use crate::router::Role;
use crate::time::Instant;
use crate::tracker::Level;
use crate::types::{MacAddress, Priority, RouterId};

/// Something that happened to a router, or to the daemon when `router` is `None`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// When.
    pub at: Instant,
    /// To whom.
    pub router: Option<RouterId>,
    /// The router's name at that time; empty without router.
    pub name: String,
    /// What.
    pub happening: Happening,
}

/// Why a role changed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// It began to take part.
    Startup,
    /// It owns the addresses.
    Owner,
    /// The Active fell silent.
    NoResponse,
    /// The Active gave up with priority 0.
    Released,
    /// The Active has a lower priority; with CARP, a worse bid.
    Preempting,
    /// Somebody advertises a higher priority.
    HigherPriority,
    /// With CARP: somebody is less demoted than we, or as much and advertises more often.
    BetterBid,
    /// Somebody with our priority has a higher address.
    HigherAddress,
    /// With CARP, where equals give way to each other: somebody advertises as often as we.
    EqualBid,
    /// We were silent for so long that somebody must have replaced us.
    Late,
    /// The router has a fault.
    Fault,
    /// The daemon stops.
    Shutdown,
    /// The configuration no longer has this router.
    Removed,
    /// An operator asked for it.
    Ordered,
    /// It gave up because an operator asked for it, and nobody took over.
    Unclaimed,
    /// The other members of its group did so.
    Group,
    /// The BFD session with the Active went down.
    BfdDown,
}

impl Reason {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Owner => "owner",
            Self::NoResponse => "no-response",
            Self::Released => "released",
            Self::Preempting => "preempting",
            Self::HigherPriority => "higher-priority",
            Self::BetterBid => "better-bid",
            Self::HigherAddress => "higher-address",
            Self::EqualBid => "equal-bid",
            Self::Late => "late",
            Self::Fault => "fault",
            Self::Shutdown => "shutdown",
            Self::Removed => "removed",
            Self::Ordered => "ordered",
            Self::Unclaimed => "unclaimed",
            Self::Group => "group",
            Self::BfdDown => "bfd-down",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Startup => "it takes part in the election",
            Self::Owner => "it owns the addresses",
            Self::NoResponse => "the Active fell silent",
            Self::Released => "the Active gave up",
            Self::Preempting => "it ranks above the Active",
            Self::HigherPriority => "another router advertises a higher priority",
            Self::BetterBid => "another router is demoted less, or has a lower advbase and advskew",
            Self::HigherAddress => "another router has the same priority and a higher address",
            Self::EqualBid => {
                "another router has the same advbase and advskew, and equals give way to each other"
            }
            Self::Late => "it was silent for so long that another router must have taken over",
            Self::Fault => "it has a fault",
            Self::Shutdown => "the daemon stops",
            Self::Removed => "the configuration no longer has it",
            Self::Ordered => "an operator asked for it",
            Self::Unclaimed => "nobody took over",
            Self::Group => "its group moves together",
            Self::BfdDown => "the BFD session with the Active went down",
        })
    }
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Happening {
    /// A new role.
    Role {
        /// Before.
        from: Role,
        /// After.
        to: Role,
        /// Why.
        reason: Reason,
    },
    /// Another set of faults; empty when all are gone.
    Faults(Vec<Fault>),
    /// Another router is, or stopped being, the Active that this Backup follows.
    FollowedActive {
        /// Its address.
        address: IpAddr,
        /// What it advertises.
        offer: Offer,
    },
    /// A router that loses to this Active advertises as well.
    Conflict {
        /// Its address.
        address: IpAddr,
        /// What it advertises.
        offer: Offer,
    },
    /// Somebody told the link that an address of this Active is elsewhere.
    Claimed {
        /// The address.
        address: IpAddr,
        /// Where it is said to be.
        mac: MacAddress,
    },
    /// Advertisements are refused. Said once a minute for each reason; the counters have the rest.
    Refused {
        /// Sender of the last one.
        address: IpAddr,
        /// Why.
        reject: Reject,
        /// How many since this was last said.
        count: u64,
    },
    /// An advertisement was kept although something about it is odd. Said like [`Self::Refused`].
    Odd {
        /// Sender.
        address: IpAddr,
        /// What.
        oddity: Oddity,
        /// How many since this was last said.
        count: u64,
    },
    /// This Active was late with an advertisement and stood back.
    Late(Duration),
    /// Somebody else removed or changed this, and it was put back.
    Repaired(String),
    /// Something that follows this router is not in place, or is again when nothing is missing any more. Its role does not
    /// depend on it.
    Lacks(Vec<String>),
    /// The kernel refused something; it is tried again.
    KernelRefused(String),
    /// This router gave up, kept its addresses until somebody else had them, and gives them up now: who has taken over,
    /// or that nobody has.
    Left(Option<(IpAddr, Offer)>),
    /// The configuration of a running router changed.
    Revised,
    /// What digests are made with changed, or somebody has another.
    Digest(DigestNews),
    /// The router was added by a reload.
    Added,
    /// The router was removed by a reload.
    Removed,
    /// This Backup waited before it preempts, and does so no more.
    Ready(Readiness),
    /// Hooks are to run before the addresses go live.
    Preparing {
        /// Their names.
        hooks: Vec<String>,
        /// How long they are waited for.
        timeout: Duration,
        /// Which time this is.
        number: u64,
    },
    /// They are waited for no more.
    Prepared {
        /// Their names.
        hooks: Vec<String>,
        /// Why.
        how: Preparedness,
        /// How long they were.
        after: Duration,
        /// Whether the addresses of this Active go live now.
        live: bool,
    },
    /// An order ended by itself.
    OrderEnded {
        /// Which.
        kind: OrderKind,
        /// Who gave it.
        by: String,
        /// Why.
        why: Ended,
    },
    /// A tracker has another level. It concerns no router as such.
    Tracker {
        /// Its name.
        tracker: String,
        /// Its level before.
        from: Level,
        /// Its level now.
        to: Level,
        /// Why.
        detail: String,
    },
    /// The Active that this Backup follows is gone, as a BFD session says.
    PeerLost {
        /// The name of the tracker.
        tracker: String,
        /// The Active.
        address: IpAddr,
        /// How it is known.
        detail: String,
        /// When this router takes over, if nobody is heard until then.
        takes_over_in: Duration,
    },
    /// A tracker adds something else to the priority.
    Adjusted {
        /// Its name.
        tracker: String,
        /// Its level.
        level: Level,
        /// Why it is that.
        detail: String,
        /// The priority without trackers.
        base: Priority,
        /// What all trackers add.
        sum: i16,
        /// Both together, from 1 to 254.
        priority: Priority,
        /// With CARP, what is advertised because of that.
        bid: Option<Bid>,
    },
}

/// What a router offers for the role of the Active, in the words of its protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The priority; with CARP, what stands for the skew.
    pub priority: Priority,
    /// With CARP, what was said.
    pub bid: Option<Bid>,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bid {
            Some(bid) => write!(f, "{bid}"),
            None => write!(f, "priority {}", self.priority),
        }
    }
}

/// News about the digests of CARP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DigestNews {
    /// Addresses or passphrase changed; for how long the former digest is good, too.
    Changed {
        /// `None`: no longer.
        lasts: Option<Duration>,
    },
    /// The former digest is good no more.
    GraceEnded {
        /// Somebody who was heard with that one only.
        lags: Option<IpAddr>,
    },
    /// Why somebody's digest is wrong.
    Suspected {
        /// Whose.
        address: IpAddr,
        /// Why.
        cause: Suspicion,
    },
}

impl fmt::Display for DigestNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { lasts: Some(lasts) } => write!(
                f,
                "another digest from now on: the former one is sent and accepted as well, for {} s; reload the others meanwhile",
                lasts.as_secs()
            ),
            Self::Changed { lasts: None } => f.write_str(
                "another digest from now on, and the former one is good no more: who was not reloaded does not understand it",
            ),
            Self::GraceEnded { lags: None } => f.write_str("the former digest is good no more"),
            Self::GraceEnded {
                lags: Some(address),
            } => write!(
                f,
                "the former digest is good no more, and {address} was heard with no other: it has to be reloaded"
            ),
            Self::Suspected { address, cause } => {
                write!(f, "the digest of {address} is wrong: {cause}")
            }
        }
    }
}

/// Why a Backup waits no more before it preempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// Somebody said that it is ready.
    Said,
    /// The trackers that it waited for are up.
    Tracked,
    /// That took too long.
    TimedOut,
}

/// Why an order ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Its time is over.
    Time,
    /// Nobody took over.
    Unclaimed,
    /// The router owns its addresses now.
    Owner,
}

impl Happening {
    /// A stable word for scripts.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Role { .. } => "role",
            Self::Faults(_) => "faults",
            Self::FollowedActive { .. } => "followed-active",
            Self::Conflict { .. } => "conflict",
            Self::Claimed { .. } => "claimed",
            Self::Refused { .. } => "refused",
            Self::Odd { .. } => "odd",
            Self::Late(_) => "late",
            Self::Repaired(_) => "repaired",
            Self::Lacks(_) => "following",
            Self::KernelRefused(_) => "kernel-refused",
            Self::Left(_) => "left",
            Self::Revised => "revised",
            Self::Digest(_) => "digest",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Ready(_) => "ready",
            Self::Preparing { .. } => "pre-active",
            Self::Prepared { .. } => "prepared",
            Self::OrderEnded { .. } => "order-ended",
            Self::Tracker { .. } => "tracker",
            Self::PeerLost { .. } => "peer-lost",
            Self::Adjusted { .. } => "adjusted",
        }
    }
}

impl Happening {
    /// Where addresses begin to wait for hooks: which time this is.
    #[must_use]
    pub const fn preparation(&self) -> Option<u64> {
        if let Self::Preparing { number, .. } = self {
            Some(*number)
        } else {
            None
        }
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Role { from, to, reason } => write!(f, "{from} -> {to}: {reason}"),
            Self::Faults(faults) if faults.is_empty() => f.write_str("no fault any more"),
            Self::Faults(faults) => {
                for (index, fault) in faults.iter().enumerate() {
                    write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
                }
                Ok(())
            }
            Self::FollowedActive { address, offer } => {
                write!(f, "follows {address}, {offer}")
            }
            Self::Conflict { address, offer } => {
                write!(
                    f,
                    "{address} advertises as well, with {offer}; it loses, addresses are announced again"
                )
            }
            Self::Claimed { address, mac } => {
                write!(f, "{mac} claims {address}; addresses are announced again")
            }
            Self::Refused {
                address,
                reject,
                count,
            } => write!(f, "refused {count} from {address}: {reject}"),
            Self::Odd {
                address,
                oddity,
                count,
            } => write!(f, "accepted {count} from {address} with {oddity}"),
            Self::Late(by) => write!(
                f,
                "advertisement {} ms late, stood back as Backup",
                by.as_millis()
            ),
            Self::Repaired(what) => write!(f, "put back what somebody else took away: {what}"),
            Self::Lacks(what) if what.is_empty() => {
                f.write_str("everything that follows it is in place")
            }
            Self::Lacks(what) => write!(f, "goes on without {}", what.join("; without ")),
            Self::KernelRefused(why) => write!(f, "the kernel refused: {why}"),
            Self::Left(Some((address, offer))) => {
                write!(f, "{address} has taken over, {offer}")
            }
            Self::Left(None) => f.write_str("nobody has taken over"),
            Self::Revised => f.write_str("configuration changed, role kept"),
            Self::Digest(news) => news.fmt(f),
            Self::Added => f.write_str("added"),
            Self::Removed => f.write_str("removed"),
            Self::Tracker {
                tracker,
                from,
                to,
                detail,
            } => write!(f, "tracker {tracker}: {from} -> {to}: {detail}"),
            Self::Adjusted {
                tracker,
                level,
                detail,
                base,
                sum,
                priority,
                bid,
            } => {
                write!(f, "{tracker} {level}: {detail}: ")?;
                match bid {
                    None => write!(f, "priority {} = {priority}", Sum(*base, *sum)),
                    Some(bid) => write!(f, "advertises {bid}"),
                }
            }
            Self::Ready(Readiness::Tracked) => {
                f.write_str("ready: what it waited for is there; it may preempt")
            }
            Self::PeerLost {
                tracker,
                address,
                detail,
                takes_over_in,
            } => write!(
                f,
                "the Active {address} is gone, says {tracker}: {detail}; takes over in {} ms unless an Active is heard",
                takes_over_in.as_millis()
            ),
            Self::Ready(Readiness::Said) => f.write_str("ready: it may preempt"),
            Self::Ready(Readiness::TimedOut) => f.write_str(
                "it is not ready; it may preempt all the same, because preempt-when-timeout is over",
            ),
            Self::Preparing { hooks, timeout, .. } => write!(
                f,
                "its addresses wait for {}, for {} ms at most",
                Hooks(hooks),
                timeout.as_millis()
            ),
            Self::Prepared {
                hooks,
                how,
                after,
                live,
            } => {
                let (hooks, after) = (Hooks(hooks), after.as_millis());
                match how {
                    Preparedness::Done => write!(f, "{hooks}: done after {after} ms")?,
                    Preparedness::TimedOut => write!(f, "{hooks}: not done after {after} ms, and not waited for any more")?,
                    Preparedness::CalledOff if *live => f.write_str("there are no hooks any more to wait for")?,
                    Preparedness::CalledOff => write!(f, "it need not take over, after {hooks} began {after} ms ago")?,
                }
                f.write_str(if *live { "; its addresses go live" } else { "" })
            }
            Self::OrderEnded { kind, by, why } => {
                let what = match kind {
                    OrderKind::Drain => "the drain",
                    OrderKind::Priority => "the priority that was set",
                    OrderKind::Pin => "the pin",
                    OrderKind::Yield => "the failover",
                };
                match why {
                    Ended::Time => write!(f, "{what} by {by} has ended"),
                    Ended::Unclaimed => write!(f, "{what} by {by} is taken back: nobody took over"),
                    Ended::Owner => write!(
                        f,
                        "{what} by {by} has ended: the router owns its addresses now"
                    ),
                }
            }
        }
    }
}

/// `hook a` or `hooks a, b`.
struct Hooks<'a>(&'a [String]);

impl fmt::Display for Hooks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "hook{many} {}", self.0.join(", "))
    }
}

/// A priority and what is added to it: `200 - 40`.
struct Sum(Priority, i16);

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(base, sum) = self;
        let sign = if *sum < 0 { '-' } else { '+' };
        write!(f, "{base} {sign} {}", sum.unsigned_abs())
    }
}
