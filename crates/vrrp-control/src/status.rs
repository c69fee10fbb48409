//! What the daemon says about itself and its routers.

use std::collections::BTreeMap;
use std::fmt;

use crate::configuration::ConfigurationStatus;
use crate::order::StandingOrder;
use crate::peer::PeerReport;
use crate::tracker::Tracking;
use crate::upgrade::UpgradeReport;
use serde::{Deserialize, Serialize};
use vrrp_proto::carp::Bid;
use vrrp_proto::{GlobalStatistics, RouterStatistics};

/// The whole answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct StatusReport {
    /// Version of this document.
    pub version: u32,
    /// The daemon.
    pub daemon: Daemon,
    /// Its routers, in the order of the configuration.
    pub routers: Vec<RouterReport>,
    /// Counters that belong to no router.
    pub statistics: GlobalCounters,
}

/// The daemon that answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Daemon {
    /// Its version.
    pub version: String,
    /// Its process: the one that takes signals, and keeps the other running.
    pub pid: u32,
    /// The process that does the work; 0 if this is not known.
    #[serde(default)]
    pub worker_pid: u32,
    /// How often that has died and was replaced.
    #[serde(default)]
    pub restarts: u64,
    /// When and why it died for the last time; absent if it did not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_restart: Option<Restart>,
    /// The last time another program was to take the place of the running one; absent if nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upgrade: Option<UpgradeReport>,
    /// Running since, whichever process does the work, as RFC 3339 in UTC.
    pub since: String,
    /// The configuration file.
    pub config: String,
    /// When the running configuration was loaded, as RFC 3339 in UTC.
    pub config_loaded: String,
    /// What was wrong with the configuration file at the last reload; absent when it was applied.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reload_error: Option<String>,
    /// Which configuration that is, whether it is on trial, and whether it is not what the file says.
    #[serde(default)]
    pub configuration: ConfigurationStatus,
    /// Where it keeps what is to outlive it.
    #[serde(default)]
    pub state_dir: String,
    /// Why nothing can be kept there; absent while it can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state_problem: Option<String>,
    /// How the engine's thread is scheduled: `deadline`, `fifo`, `nice` or `normal`.
    pub scheduling: String,
    /// Whether its memory is kept from being paged out.
    #[serde(default)]
    pub memory_locked: bool,
    /// Interfaces on which nothing takes the virtual MAC addresses off the wire if the daemon dies, and why.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub unprotected: BTreeMap<String, String>,
    /// How late its timers have run since it started.
    #[serde(default)]
    pub lateness: Lateness,
}

/// Hooks that are waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct AwaitedHooks {
    /// Their names.
    pub hooks: Vec<String>,
    /// For how long at most, in milliseconds.
    pub within_ms: u64,
}

/// A worker died, and another one took its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Restart {
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// What it died of, e.g. `killed by SIGSEGV` or `panic: …`.
    pub reason: String,
}

/// How late the timers of the engine have run: what a machine that is too busy does to advertisements.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Lateness {
    /// A histogram; its classes do not overlap.
    pub classes: Vec<LatenessClass>,
    /// The worst, in microseconds.
    pub worst_us: u64,
    /// Times it was more than the advertisement interval of the router that was due first.
    pub beyond_interval: u64,
}

/// One class of the histogram.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LatenessClass {
    /// Timers in it were no later than this, in microseconds, and later than the class before; null in the last class,
    /// which has no end.
    pub upto_us: Option<u64>,
    /// Timers.
    pub count: u64,
}

/// What a CARP router advertises, and what that is made of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CarpReport {
    /// Whole seconds between two advertisements.
    pub advbase: u8,
    /// The configured skew, in 256ths of a second.
    pub advskew: u8,
    /// The skew that is advertised: with demotion, if the profile says so.
    pub advertised_advskew: u8,
    /// The demotion that is advertised in a byte of its own.
    pub advertised_demotion: u8,
    /// By how much trackers and orders have demoted it.
    pub demotion: u8,
    /// `any`, `openbsd` or `freebsd`.
    pub profile: String,
    /// Whether advertisements are sealed: `off`, `prefer` or `require`.
    #[serde(default)]
    pub seal: String,
    /// Whether the clock of this machine was ever set; only seals have to do with it.
    #[serde(default)]
    pub clock_set: bool,
    /// For how long the digest that was configured before is sent and accepted, too, in milliseconds; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grace_ms: Option<u64>,
    /// Who was heard with the passphrase, or tried to be.
    #[serde(default)]
    pub members: Vec<CarpMember>,
    /// Sentences that say what is wrong between them and us; empty when nothing is.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// Who was heard in a CARP group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CarpMember {
    /// Source of its advertisements.
    pub address: String,
    /// `right`, `former`, if it was heard only with the one that was configured before, or `wrong`.
    pub digest: String,
    /// Why it is wrong: `beside`, `former`, `without`, `with`, `single`, `only`, `link-local`, `line-end`, `trimmed`,
    /// `no-passphrase` or `unknown`; absent while it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<String>,
    /// Whether its last advertisement was sealed.
    pub sealed: bool,
    /// How far its clock is ahead of ours, in milliseconds; null if that is not known.
    pub clock_ahead_ms: Option<i64>,
}

/// One virtual router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RouterReport {
    /// Its name in the configuration.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its identifier, which CARP calls vhid.
    pub vrid: u8,
    /// `ipv4` or `ipv6`; `ipv4` of a CARP group with addresses of both.
    pub family: String,
    /// `vrrpv2`, `vrrpv3` or `carp`.
    pub protocol: String,
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// The same in RFC 8347's words: `initialize`, `backup` or `master`.
    pub rfc8347_state: String,
    /// Sentences that say why it does not take part; empty when nothing is wrong.
    pub faults: Vec<String>,
    /// Priorities. With CARP, 254 less the skew: trackers and orders change that as they do a priority.
    pub priority: PriorityStatus,
    /// What only CARP has; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpReport>,
    /// The Active; null when none is known.
    pub active: Option<ActiveRouter>,
    /// Who else was heard, the latest last.
    #[serde(default)]
    pub peers: Vec<PeerReport>,
    /// Since when it has this state, as RFC 3339 in UTC with microseconds.
    pub since: String,
    /// Virtual addresses with prefix lengths, in the order in which they are advertised.
    pub addresses: Vec<String>,
    /// Addresses that are there while it is Active, too, and are not advertised.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unadvertised_addresses: Vec<UnadvertisedAddress>,
    /// Routes that are there while it is Active, in the words of iproute2.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub routes: Vec<String>,
    /// Rules of policy routing that are there while it is Active, in the words of iproute2.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rules: Vec<String>,
    /// Sentences that say which of those are not there although it is Active, and why; absent while none is missing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lacks: Vec<String>,
    /// The MAC address that answers for them; null while that is the interface's own.
    pub virtual_mac: Option<String>,
    /// Who takes the frames of that MAC address in: `macvlan` or `ebpf`; null without one.
    #[serde(default)]
    pub data_plane: Option<String>,
    /// What takes that MAC address off the wire if the daemon dies or stands still; absent while nothing answers for it, and
    /// without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protection: Option<Protection>,
    /// Where its advertisements come from; null while there is no such address.
    pub source_address: Option<String>,
    /// Its own advertisement interval in milliseconds.
    pub advertise_interval_ms: u64,
    /// The interval of the Active that it follows, in milliseconds.
    pub active_advertise_interval_ms: u64,
    /// RFC 8347 `skew-time`, in microseconds.
    pub skew_time: u64,
    /// RFC 8347 `master-down-interval` by RFC 9568's name, in microseconds.
    pub active_down_interval: u64,
    /// What it has to do with its sync group; absent if it is a member of none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<GroupMembership>,
    /// It does not preempt before it is ready, or this time is over, in milliseconds; absent if it does not wait. Ready is who was
    /// said to be by `vrrpctl ready`, where that is asked for, and whose trackers are up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for_ready_ms: Option<u64>,
    /// The trackers that are waited for in this way.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub waits_for_trackers: Vec<String>,
    /// Whether `vrrpctl ready` is waited for in this way.
    #[serde(default)]
    pub waits_for_word: bool,
    /// Hooks that run before its addresses go live; absent if none are waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for_hooks: Option<AwaitedHooks>,
    /// Preempt_Mode.
    pub preempt: bool,
    /// Accept_Mode.
    pub accept_mode: bool,
    /// VRRPv3 over IPv4: the checksum form that is sent, `rfc9568` or `rfc5798`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub checksum: Option<String>,
    /// Whether the kernel holds what this state needs.
    pub kernel_in_step: bool,
    /// What operators asked of it, the order that counts first.
    #[serde(default)]
    pub orders: Vec<StandingOrder>,
    /// What trackers do to it, in the order of its configuration.
    #[serde(default)]
    pub tracking: Vec<Tracking>,
    /// Counters.
    pub statistics: RouterCounters,
}

/// An address that follows a router without being advertised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UnadvertisedAddress {
    /// The address with its prefix length.
    pub address: String,
    /// The interface on which it stands; if that is the router's, and they are of one family, with its virtual MAC address.
    pub interface: String,
}

/// What takes a virtual MAC address off the wire.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Protection {
    /// `ebpf`, `nftables` or `none`.
    pub means: String,
    /// Why it is nothing better; absent for the best.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<String>,
}

/// Priorities of a router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PriorityStatus {
    /// In the configuration.
    pub configured: u8,
    /// In advertisements.
    pub effective: u8,
}

/// A router as a member of a sync group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct GroupMembership {
    /// The name of the group.
    pub name: String,
    /// The priority that this router would have without the group; the lowest of all members counts.
    pub own_priority: u8,
    /// The member whose priority is the lowest.
    pub lowest: String,
    /// The member that keeps this one, which hears nobody any more, from taking over; null if there is none.
    #[serde(default)]
    pub waits_for: Option<String>,
}

/// The Active of a virtual router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ActiveRouter {
    /// Source of its advertisements.
    pub address: String,
    /// Its priority; with CARP, 254 less its skew.
    pub priority: u8,
    /// With CARP, what it bids; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpBid>,
}

/// What a router advertises with CARP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CarpBid {
    /// Whole seconds between two advertisements.
    pub advbase: u8,
    /// What is added to that, in 256ths of a second.
    pub advskew: u8,
    /// How much is wrong with it, of those that say so.
    pub demotion: u8,
}

/// In the daemon's own words.
impl fmt::Display for CarpBid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            advbase,
            advskew,
            demotion,
        } = *self;
        let bid = Bid {
            advbase,
            advskew,
            demotion,
        };
        write!(f, "{bid}")
    }
}

impl From<Bid> for CarpBid {
    fn from(bid: Bid) -> Self {
        Self {
            advbase: bid.advbase,
            advskew: bid.advskew,
            demotion: bid.demotion,
        }
    }
}

macro_rules! counters {
    ($(#[$doc:meta])* $name:ident from $source:ident { $($(#[$field_doc:meta])* $field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "kebab-case", default)]
        pub struct $name {
            $($(#[$field_doc])* #[doc = concat!("See [`", stringify!($source), "::", stringify!($field), "`].")] pub $field: u64,)*
        }

        impl From<&$source> for $name {
            fn from(source: &$source) -> Self {
                // Destructured, so that a new counter cannot be forgotten here.
                let $source { $($field),* } = *source;
                Self { $($field),* }
            }
        }

        impl $name {
            /// Names and values, in order.
            #[must_use]
            pub fn entries(&self) -> Vec<(String, u64)> {
                vec![$((stringify!($field).replace('_', "-"), self.$field)),*]
            }
        }
    };
}

counters! {
    /// Counters that belong to no router.
    GlobalCounters from GlobalStatistics {
        checksum_errors, version_errors, vrid_errors, ip_ttl_errors, short_packets, carp_pkts_rcvd,
    }
}

counters! {
    /// Counters of one router.
    RouterCounters from RouterStatistics {
        master_transitions, advertisement_rcvd, advertisement_sent, interval_errors, priority_zero_pkts_rcvd,
        priority_zero_pkts_sent, invalid_type_pkts_rcvd, address_list_errors, packet_length_errors, auth_type_invalid,
        auth_type_mismatch, auth_failures, owner_conflicts, own_pkts_looped, source_errors, mode_errors,
        checksum_rfc9568_rcvd, checksum_rfc5798_rcvd, conflicts, address_claims, announcements_sent, repairs, replayed_pkts_rcvd, forged_pkts_rcvd, unsealed_pkts_rcvd, clock_errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_have_the_leaf_names_of_rfc_8347() {
        let names: Vec<String> = RouterCounters::default()
            .entries()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        for leaf in [
            "master-transitions",
            "advertisement-rcvd",
            "advertisement-sent",
            "interval-errors",
            "priority-zero-pkts-rcvd",
            "priority-zero-pkts-sent",
            "invalid-type-pkts-rcvd",
            "address-list-errors",
            "packet-length-errors",
        ] {
            assert!(names.iter().any(|name| name == leaf), "{leaf}");
        }
        let json = serde_json::to_value(RouterCounters::default()).unwrap();
        assert!(names.iter().all(|name| json.get(name).is_some()));
    }
}
