//! Why a router is in its state, and what would change that.

use serde::{Deserialize, Serialize};

use crate::event::EventRecord;
use crate::status::RouterReport;

/// The whole answer. All of it is of one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// Version of this document.
    pub version: u32,
    /// That moment, as RFC 3339 in UTC with microseconds.
    pub time: String,
    /// The router.
    pub router: RouterReport,
    /// Why it is in its state: a sentence.
    pub why: String,
    /// What its priority is made of; the last part is the result.
    pub priority: Vec<PriorityPart>,
    /// Whether it preempts, when, and why not.
    pub preemption: String,
    /// What happened to it lately, the latest last.
    pub events: Vec<EventRecord>,
    /// What would make it Active, if it is not; otherwise what would make it lose that.
    pub prospects: Vec<ProspectReport>,
}

/// A part of a priority.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PriorityPart {
    /// The number; where something is added, what comes of it.
    pub value: u8,
    /// What is added; absent for what is not a sum.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub adds: Option<i16>,
    /// What it is.
    pub text: String,
    /// File and line that say so; absent for a default, and for what no file says.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<String>,
    /// When it ends by itself, as RFC 3339 in UTC; absent if it does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
}

/// A change of role, and what it takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ProspectReport {
    /// `peers-silent`, `peer-releases`, `priority-raised` or `fault-mended`, about becoming Active; `outranked`, `link-down` or
    /// `priority-lowered`, about losing that; `time-passes` or `orders-ended`, about either.
    pub condition: String,
    /// The peers that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub peers: Vec<String>,
    /// `priority-raised`: the least that is enough; `priority-lowered`: the most that is little enough; `outranked`: what
    /// another router has to exceed, or to equal from a higher address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u8>,
    /// How long after that, in microseconds.
    pub after_us: u64,
    /// How wrong that may be, in microseconds.
    pub give_or_take_us: u64,
    /// The peer that is Active then; absent if it is this machine, or none that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub then_active: Option<String>,
    /// A sentence.
    pub text: String,
}
