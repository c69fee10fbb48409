//! Changing the configuration of a running daemon, and looking back on the earlier ones.

use serde::{Deserialize, Serialize};

use crate::forecast::ForecastReport;

/// What can be asked about the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    tag = "do",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum ConfigurationRequest {
    /// Load the daemon's file again. Answered by [`ConfigurationAnswer::Change`], also where nothing changes.
    Reload(Attempt),
    /// Go back to an earlier configuration. Answered as [`ConfigurationRequest::Reload`].
    Rollback {
        /// Which; without it, the one before.
        #[serde(default)]
        number: Option<u64>,
        /// How.
        #[serde(default)]
        attempt: Attempt,
    },
    /// Keep the configuration that is on trial. Answered by [`ConfigurationAnswer::Confirmed`].
    Confirm,
    /// The configurations so far.
    History,
    /// The text of one of them, authentication keys hidden.
    Show {
        /// Which; without it, the one that runs.
        #[serde(default)]
        number: Option<u64>,
    },
}

impl ConfigurationRequest {
    /// Whether it asks for a change, or what one would do.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self {
            Self::Reload(_) | Self::Rollback { .. } | Self::Confirm => true,
            Self::History | Self::Show { .. } => false,
        }
    }
}

/// How to change the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Attempt {
    /// Only say what would happen.
    pub dry_run: bool,
    /// Go back by itself after so many seconds, unless somebody confirms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<u64>,
    /// Refuse a text of another hash than this one, which the caller has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
}

/// What is answered to a [`ConfigurationRequest`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum ConfigurationAnswer {
    /// What a change did or would do.
    Change(ChangeReport),
    /// The configuration is kept.
    Confirmed(ConfigurationEntry),
    /// The configurations so far.
    History(HistoryReport),
    /// One of them.
    Text(TextReport),
}

/// What a change of the configuration did or would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ChangeReport {
    /// Version of this document.
    pub version: u32,
    /// What was loaded: the file, or the number of an earlier configuration.
    pub source: String,
    /// What became of it.
    pub outcome: Outcome,
    /// SHA-256 of its text in hexadecimal digits.
    pub hash: String,
    /// Virtual routers in it; 0 if it has errors.
    pub routers: usize,
    /// What is wrong with it.
    pub findings: Vec<FindingReport>,
    /// The same for people, with the lines of the text underlined; empty if there is nothing to say.
    pub explanation: String,
    /// What differs from the configuration that ran when it was asked.
    pub difference: Vec<TableDifference>,
    /// What follows for the roles of the routers, here and at the peers that were heard; absent where nothing differs, where it
    /// was not asked for because the caller has seen it, and where there are too many routers to tell in time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prediction: Option<Box<ForecastReport>>,
    /// The configuration that runs now.
    pub running: ConfigurationStatus,
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was applied.
    Applied,
    /// It would be: nothing was to be changed.
    Previewed,
    /// It has errors, and nothing changed.
    Errors,
}

/// One thing to say about the text of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct FindingReport {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// `error` or `warning`.
    pub severity: String,
    /// Stable name of the rule.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
}

/// What becomes of one table of the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TableDifference {
    /// `virtual-router`, `tracker`, `hook` or `control`.
    pub table: String,
    /// The name of a virtual router, a tracker or a hook.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub router: Option<String>,
    /// `added`, `removed` or `changed`.
    pub change: String,
    /// The keys that differ; of a router that was added or removed, those that say which and what it is.
    pub keys: Vec<KeyDifference>,
}

/// A key whose value differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct KeyDifference {
    /// Its word in the file, or `name`.
    pub key: String,
    /// What it was, as the file would say it; null if it was not.
    pub old: Option<String>,
    /// What it becomes; null if it will not be.
    pub new: Option<String>,
}

/// The configuration that runs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationStatus {
    /// Its number; 0 if this is not known.
    pub number: u64,
    /// SHA-256 of its text in hexadecimal digits.
    pub hash: String,
    /// It is on trial; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trial: Option<Trial>,
    /// What the file holds, or held when it was looked at last, was given up; absent if it was not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rolled_back: Option<RolledBack>,
}

/// A configuration that is given up by itself unless it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// When it began, as RFC 3339 in UTC.
    pub since: String,
    /// When it ends, as RFC 3339 in UTC.
    pub until: String,
    /// The number of the configuration that runs then.
    pub back_to: u64,
}

/// The configuration file is not what runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RolledBack {
    /// When, as RFC 3339 in UTC.
    pub time: String,
    /// The number of the configuration that was given up.
    pub number: u64,
}

/// A configuration that was applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ConfigurationEntry {
    /// Its number.
    pub number: u64,
    /// When it was applied, as RFC 3339 in UTC.
    pub time: String,
    /// By whom.
    pub by: String,
    /// SHA-256 of its text in hexadecimal digits.
    pub hash: String,
    /// What it changed, in a few words.
    pub summary: String,
}

/// The configurations so far.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct HistoryReport {
    /// Version of this document.
    pub version: u32,
    /// The latest ones; the last of them runs.
    pub configurations: Vec<ConfigurationEntry>,
    /// The one that runs.
    pub running: ConfigurationStatus,
}

/// The text of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TextReport {
    /// Version of this document.
    pub version: u32,
    /// Which.
    pub configuration: ConfigurationEntry,
    /// Its text, authentication keys hidden.
    pub text: String,
}
