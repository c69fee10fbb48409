//! Who else speaks for a virtual router.

use serde::{Deserialize, Serialize};

use crate::status::CarpBid;

/// Another router of the group, as far as it was heard: Backups are silent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PeerReport {
    /// Source of its advertisements.
    pub address: String,
    /// The priority that it advertised last; with CARP, 254 less the skew.
    pub priority: u8,
    /// With CARP, what it bid last; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpBid>,
    /// `active` while it speaks; `yielded` when it heard somebody who beats it, `released` when it gave up with priority
    /// 0, `silent` when it fell silent and was replaced.
    pub state: String,
    /// Its advertisement interval in milliseconds.
    pub advertise_interval_ms: u64,
    /// When it was heard for the first time, in microseconds before this was said.
    pub first_heard_us: u64,
    /// When it was heard for the last time, in microseconds before this was said.
    pub last_heard_us: u64,
    /// Advertisements in a row: since it was first heard, or since its last release or silence of three intervals.
    pub in_a_row: u64,
    /// Those among them that came more than one and a half intervals after the one before.
    pub late: u64,
    /// The longest time between two of them, in microseconds.
    pub longest_gap_us: u64,
    /// Whether it has another advertisement interval than we.
    pub other_interval: bool,
    /// Whether it advertises other addresses than we.
    pub other_addresses: bool,
}
