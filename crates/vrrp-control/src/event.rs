//! An event on its way to the log, the history and subscribers.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Which events are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EventsWanted {
    /// Whether to go on with each event as it happens, until the client hangs up.
    pub follow: bool,
    /// The last so many of those that happened so far; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// None that are older, as RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Only those of this router.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
}

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct EventRecord {
    /// When, as RFC 3339 in UTC with microseconds.
    pub time: String,
    /// Number of the event, which goes on after a restart and a reboot; a gap means that some were lost.
    pub sequence: u64,
    /// The router's name; absent when it concerns the daemon.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub router: Option<String>,
    /// A stable word: `role`, `faults`, `followed-active`, `conflict`, `claimed`, `refused`, `odd`, `late`, `repaired`,
    /// `following`, `kernel-refused`, `revised`, `added`, `removed`, `changed`, `order-ended`, `ready`, `pre-active`, `prepared`, `tracker`, `adjusted`, `peer-lost`, `reload`, `reload-refused`, `confirmed`,
    /// `rolled-back`, `start`, `restart`, `resume`, `upgrade`, `upgrade-failed`, `stop`, `boot`, `hook-failed`, `agent`.
    pub kind: Cow<'static, str>,
    /// A sentence.
    pub text: String,
    /// `role` only: the role before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Cow<'static, str>>,
    /// `role`: the role after. `prepared`: what it is for its addresses, `active` when they go live, `backup` when they do not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Cow<'static, str>>,
    /// `role`: a stable word for the reason. `prepared`: `done`, `timed-out` or `called-off`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<Cow<'static, str>>,
}
