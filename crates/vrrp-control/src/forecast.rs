//! What would happen.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::status::{ActiveRouter, CarpBid};

/// What is supposed to become true, all of it at once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Supposition {
    /// Interfaces that go down.
    pub link_down: Vec<String>,
    /// Peers that fall silent, by the address of their advertisements.
    pub peer_down: Vec<String>,
    /// Whether all peers fall silent.
    pub all_peers_down: bool,
    /// Priorities of routers, by name: 1 to 254.
    pub priority: BTreeMap<String, u8>,
    /// States of trackers, by name: `up` or `down`.
    pub trackers: BTreeMap<String, String>,
    /// The text of a configuration file that is loaded.
    pub config: Option<String>,
    /// How far to look, in microseconds; until nothing more is to be expected, if this is not said.
    pub horizon_us: Option<u64>,
}

/// What would happen then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ForecastReport {
    /// Version of this document.
    pub version: u32,
    /// The moment at which it begins, as RFC 3339 in UTC with microseconds.
    pub time: String,
    /// What changes, in order.
    pub changes: Vec<PredictedChange>,
    /// How each router stands before and at the end.
    pub routers: Vec<PredictedRouter>,
    /// How far it looked, in microseconds.
    pub horizon_us: u64,
    /// Whether that is as far as it was to look.
    pub complete: bool,
    /// Interfaces about which nothing is known yet, and which are assumed to be up and to have an address.
    pub assumed_interfaces: Vec<String>,
}

/// Something that changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PredictedChange {
    /// After how long, in microseconds.
    pub after_us: u64,
    /// The router's name.
    pub router: String,
    /// The peer that changes, by the address of its advertisements; absent when it is this machine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub peer: Option<String>,
    /// `role`, `faults`, `added` or `removed`.
    pub kind: String,
    /// `role` only: the role before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
    /// `role` only: the role after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// `role` only: a stable word for the reason.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// A sentence.
    pub text: String,
}

/// A router before and at the end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PredictedRouter {
    /// Its name at the end, or before if it is gone.
    pub name: String,
    /// Before; null if it is new.
    pub before: Option<PredictedStanding>,
    /// At the end; null if it is gone.
    pub after: Option<PredictedStanding>,
}

/// How a router stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PredictedStanding {
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// The priority that this machine advertises.
    pub priority: u8,
    /// With CARP, what it bids; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpBid>,
    /// Peers that are Active. With this machine as well, or with more than one, they do not understand each other; without
    /// any, only a router that was never heard could be: Backups are silent.
    pub active_peers: Vec<ActiveRouter>,
}
