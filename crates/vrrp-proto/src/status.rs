//! What a router says about itself.

use alloc::string::String;
use core::net::IpAddr;
use core::time::Duration;

use crate::carp::{Rules, VoiceStatus};
use crate::fault::Fault;
use crate::interval::Interval;
use crate::orders::Orders;
use crate::peers::Peer;
use crate::plan::{ChecksumForm, RouterPlan};
use crate::router::{Role, State};
use crate::statistics::RouterStatistics;
use crate::time::Instant;
use crate::tracker::Contribution;
use crate::types::{Priority, RouterId};

/// A snapshot of one virtual router.
#[derive(Clone, Copy, Debug)]
pub struct RouterStatus<'a> {
    /// Identifier within the engine.
    pub id: RouterId,
    /// Configuration.
    pub plan: &'a RouterPlan,
    /// Role.
    pub role: Role,
    /// Since when it has this role.
    pub since: Instant,
    /// Why it is in Initialize.
    pub faults: &'a [Fault],
    /// Priority it advertises.
    pub effective_priority: Priority,
    /// The Active, when one is known: ourselves, or the last one heard.
    pub active: Option<(IpAddr, Priority)>,
    /// Who else was heard.
    pub peers: &'a [Peer],
    /// What operators asked of it.
    pub orders: &'a Orders,
    /// Until when it does not preempt unless it is ready before.
    pub gate: Option<Instant>,
    /// Whether it waits for somebody to say that,
    pub awaits_word: bool,
    /// and the trackers that it waits for.
    pub awaits_trackers: &'a [String],
    /// What trackers do to it, in the order of its configuration.
    pub contributions: &'a [Contribution],
    /// Source of our advertisements.
    pub primary: Option<IpAddr>,
    /// Active_Adver_Interval.
    pub active_interval: Interval,
    /// Skew_Time.
    pub skew_time: Duration,
    /// Active_Down_Interval.
    pub active_down_interval: Duration,
    /// With CARP: what it bids, and how it compares that.
    pub rules: Option<Rules>,
    /// State of the election, with its timer.
    pub state: State,
    /// When its own timer runs out.
    pub deadline: Option<Instant>,
    /// What its group has to do with that, if it is a member of one.
    pub membership: Option<Membership<'a>>,
    /// The checksum form it sends on VRRPv3/IPv4.
    pub checksum_form: ChecksumForm,
    /// Whether it has given up and keeps its addresses until somebody else has them.
    pub leaving: bool,
    /// When it stands for election again after the kernel refused it, or gives up because the kernel refuses it.
    pub retry: Option<Instant>,
    /// Whether the kernel has confirmed its desired state.
    pub applied: bool,
    /// What follows it and is not in place, as sentences.
    pub lacks: &'a [String],
    /// With CARP: who was heard with the passphrase, and what else it is good for.
    pub voice: Option<VoiceStatus<'a>>,
    /// It waits for its hooks, until then at the latest: in Backup before it preempts, or as Active before its addresses go live.
    pub preparing: Option<Instant>,
    /// Counters.
    pub statistics: &'a RouterStatistics,
}

/// What a group has to do with the election of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Membership<'a> {
    /// Its name.
    pub group: &'a str,
    /// The priority that this member would have alone.
    pub own_priority: Priority,
    /// The member whose priority is the lowest, and that of all.
    pub lowest: &'a str,
    /// Its own timer has run out, but this member is against taking over.
    pub waits_for: Option<&'a str>,
    /// When that is asked again.
    pub waits_until: Option<Instant>,
}
