//! What routers need beside their own interfaces.

use serde::{Deserialize, Serialize};

/// All trackers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TrackersReport {
    /// Version of this document.
    pub version: u32,
    /// In the order of the configuration.
    pub trackers: Vec<TrackerReport>,
}

/// One tracker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TrackerReport {
    /// Its name in the configuration.
    pub name: String,
    /// What it watches: `interface`, `route`, `address`, `neighbour`, `process`, `file`, `script`, `ping`, `tcp`, `http`,
    /// `dns` or `bfd`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `up`, `down`, or `unknown` before the first result.
    pub state: String,
    /// Since when, as RFC 3339 in UTC with microseconds.
    pub since: String,
    /// Why, in a few words.
    pub detail: String,
    /// What was measured last, where something is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<i16>,
    /// When there was a result last, in microseconds before this was said; absent if there was none. The kernel speaks only
    /// of changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heard_us: Option<u64>,
    /// Results in a row that contradict the state.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub against: Option<u32>,
    /// What the last of them said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub objection: Option<String>,
    /// What the state will be if nothing contradicts,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending: Option<String>,
    /// and after how long, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pending_us: Option<u64>,
    /// The routers that refer to it.
    pub routers: Vec<TrackerUse>,
}

/// A router that refers to a tracker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TrackerUse {
    /// The router's name.
    pub router: String,
    /// What is added to its priority now.
    pub adds: i16,
    /// Whether it is a fault now.
    pub fault: bool,
}

/// What a tracker does to a router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Tracking {
    /// The tracker's name.
    pub tracker: String,
    /// Its state: `up`, `down` or `unknown`.
    pub state: String,
    /// Why it is that.
    pub detail: String,
    /// The configured weight; absent where it is a fault while it is down.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<i16>,
    /// What is added to the priority now.
    pub adds: i16,
    /// Whether it is a fault now.
    pub fault: bool,
}
