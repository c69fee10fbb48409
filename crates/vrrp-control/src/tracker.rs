//! What routers need beside their own interfaces.

use serde::{Deserialize, Serialize};

/// All trackers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TrackersReport {
    /// Version of this document.
    pub version: u32,
    /// Why nobody probes at present, although there is something to probe; absent if nothing is wrong.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
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
    /// How its probe is doing; absent for what the kernel tells of, and while nobody probes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub probe: Option<ProbeReport>,
    /// The routers that refer to it.
    pub routers: Vec<TrackerUse>,
    /// Its session, where it is of type `bfd`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<BfdReport>,
}

/// A BFD session, mostly in the words of RFC 9314.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct BfdReport {
    /// The peer's address.
    pub dest_addr: String,
    /// The interface.
    pub interface: String,
    /// The UDP port that we speak from; absent while there is no socket.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_port: Option<u16>,
    /// Our state: `admin-down`, `down`, `init` or `up`.
    pub local_state: String,
    /// Since when, as RFC 3339 in UTC with microseconds.
    pub since: String,
    /// Why: `none`, `control-expiry`, `neighbor-down`, `admin-down` and others of RFC 5880 §4.1.
    pub local_diagnostic: String,
    /// The peer's state, as it said last.
    pub remote_state: String,
    /// The peer's reason for it.
    pub remote_diagnostic: String,
    /// Our number of the session.
    pub local_discriminator: u32,
    /// The peer's; absent if it has not been heard for the detection time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remote_discriminator: Option<u32>,
    /// How many packets of the peer may be missing; 0 before it was heard.
    pub remote_multiplier: u8,
    /// Between two of our packets, in microseconds, before jitter; absent if the peer wants none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub negotiated_tx_interval_us: Option<u64>,
    /// How long the peer may be silent, in microseconds; 0 before it was heard.
    pub detection_time_us: u64,
    /// When the peer was heard last, in microseconds before this was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub heard_us: Option<u64>,
    /// Packets that left.
    pub send_packet_count: u64,
    /// Packets that were taken.
    pub receive_packet_count: u64,
    /// Packets that were refused,
    pub receive_invalid_packet_count: u64,
    /// and why the last one was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receive_invalid_reason: Option<String>,
    /// How often it was up and went down.
    pub session_down_count: u64,
    /// Why nothing can be sent or heard.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub failure: Option<String>,
}

/// How a probe is doing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ProbeReport {
    /// The name of the tracker.
    pub tracker: String,
    /// How often it was made, since the agent began with it.
    pub runs: u64,
    /// How often it was not good.
    pub failures: u64,
    /// The last one that has a result.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last: Option<ProbeRun>,
    /// Since when one goes on that has no result yet, in microseconds before this was said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub running_us: Option<u64>,
    /// When it is made next, in microseconds from when this was said. A file is also looked at when it changes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_us: Option<u64>,
}

/// One probe, as it went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ProbeRun {
    /// When it began, as RFC 3339 in UTC with microseconds.
    pub time: String,
    /// How long it took until there was a result, in microseconds.
    pub took_us: u64,
    /// Whether it found what it should.
    pub good: bool,
    /// Whether it could not be made at all, for a reason that lies on this host: a script that is not run, a user or a name that
    /// is not known.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub unable: bool,
    /// What it found, in up to 200 characters.
    pub said: String,
    /// What was measured, where something is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub offset: Option<i16>,
}

/// What somebody wants of a tracker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum TrackerRequest {
    /// Makes its probe at once. What it finds counts as whatever it finds; of one that goes on, the end is waited for.
    Run {
        /// Which.
        name: String,
    },
}

/// A probe that was made because somebody asked for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ProbeTrial {
    /// Version of this document.
    pub version: u32,
    /// How it went.
    pub run: ProbeRun,
    /// The tracker after that.
    pub tracker: TrackerReport,
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
    /// Whether the router takes over as soon as the session is lost, if the peer is its Active.
    #[serde(skip_serializing_if = "core::ops::Not::not", default)]
    pub takeover: bool,
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
    /// The configured weight; absent where it is a fault while it is down, and where it tells of a takeover.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub weight: Option<i16>,
    /// What is added to the priority now.
    pub adds: i16,
    /// Whether it is a fault now.
    pub fault: bool,
    /// Whether the router takes over as soon as the session is lost, if the peer is its Active.
    #[serde(skip_serializing_if = "core::ops::Not::not", default)]
    pub takeover: bool,
}
