//! The hooks, for those who ask.

use serde::{Deserialize, Serialize};

use crate::agent::{HookEvent, HookRun, HookSpec, Invocation};

/// What somebody wants to know of hooks, or to do with one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum HookRequest {
    /// All of them, and how they are doing.
    List,
    /// Runs one beside all queues, as if something had happened.
    Run {
        /// Which.
        name: String,
        /// What is to have happened, in the words of `on`.
        event: String,
        /// To whom; to the first router it is for if absent.
        #[serde(default)]
        router: Option<String>,
        /// Only say how it would be run.
        #[serde(default)]
        dry_run: bool,
    },
}

/// All hooks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HooksReport {
    /// Version of this document.
    pub version: u32,
    /// The process that runs them; null if there is none at present.
    pub agent_pid: Option<u32>,
    /// Why there is none, although there are hooks; null if nothing is wrong.
    pub problem: Option<String>,
    /// In the order of the configuration.
    pub hooks: Vec<HookReport>,
}

/// A hook.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HookReport {
    /// What it is.
    #[serde(flatten)]
    pub hook: HookSpec,
    /// Runs that ended, since the agent was started.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// States that were left out, because they were over before it could hear of them.
    pub coalesced: u64,
    /// The last run; null if there was none.
    pub last: Option<HookRun>,
}

/// A hook that was run because somebody asked for it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HookTrial {
    /// Version of this document.
    pub version: u32,
    /// What it is.
    pub hook: HookSpec,
    /// What it is told.
    pub event: HookEvent,
    /// Whether it hears of such an event by itself.
    pub hears: bool,
    /// How it is run.
    pub invocation: Invocation,
    /// How it went; null if it was not run.
    pub run: Option<HookRun>,
    /// What it wrote.
    pub output: Vec<String>,
}
