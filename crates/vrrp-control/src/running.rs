//! The configuration that runs, which need not be what the file says by now.

use serde::{Deserialize, Serialize};

/// What runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RunningConfig {
    /// Version of this document.
    pub version: u32,
    /// The file it came from.
    pub file: String,
    /// When it was loaded, as RFC 3339 in UTC.
    pub loaded: String,
    /// As a file would say it, without secrets.
    pub text: String,
}
