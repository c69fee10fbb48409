//! Another program takes the place of the running one.

use serde::{Deserialize, Serialize};

/// How the last upgrade went, or goes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UpgradeReport {
    /// Its number since the daemon started, from 1.
    pub number: u64,
    /// When it was asked for, as RFC 3339 in UTC.
    pub time: String,
    /// The new program.
    pub program: String,
    /// The version that was at work before.
    pub from: String,
    /// The new one's version; absent before it has said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<String>,
    /// How far it has come.
    pub stage: UpgradeStage,
    /// Why it ended as it did; absent where nothing is to be said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// How far an upgrade has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeStage {
    /// The new program reads what it would go on from; the old one is at work.
    Preparing,
    /// The new program was found unfit, and the old one never stopped.
    Refused,
    /// The new program is fit, and about to take over.
    TakingOver,
    /// It is at work, and watched for a while.
    Running,
    /// It failed at work, and the old program has gone on in its place.
    Failed,
    /// It has proven itself.
    Settled,
}

impl UpgradeStage {
    /// Whether nothing more will come of it.
    #[must_use]
    pub const fn is_last(self) -> bool {
        match self {
            Self::Preparing | Self::TakingOver | Self::Running => false,
            Self::Refused | Self::Failed | Self::Settled => true,
        }
    }
}
