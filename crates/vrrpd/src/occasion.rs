//! Why a worker goes on where another one was: what the keeper leaves for it, as JSON.

use serde::{Deserialize, Serialize};

/// Where it is in the store.
pub(crate) const NAME: &str = "occasion";

/// What happened to the one before.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Occasion {
    /// It died.
    #[default]
    Death,
    /// It made way for this program.
    Upgrade {
        /// The version it had.
        from: String,
    },
    /// It was a newer program that failed, so that this one is back.
    Return {
        /// Which.
        program: String,
        /// Why, as a clause.
        reason: String,
    },
    /// The service manager starts the daemon again, and has kept everything.
    Restart,
}

impl Occasion {
    /// The kind of event it is, and a sentence. `death` is what the last worker died of.
    pub(crate) fn tell(&self, death: &str) -> (&'static str, String) {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Death => (
                "restart",
                format!("the worker died ({death}), and another one went on in its place"),
            ),
            Self::Upgrade { from } => (
                "upgrade",
                format!("vrrpd {version} went on where vrrpd {from} made way for it"),
            ),
            Self::Return { program, reason } => (
                "upgrade-failed",
                format!("{program} was no good ({reason}); vrrpd {version} went on in its place"),
            ),
            Self::Restart => (
                "resume",
                format!(
                    "vrrpd {version} was started again, and went on where the one before made way"
                ),
            ),
        }
    }

    /// Whether somebody should look at it.
    pub(crate) const fn is_bad_news(&self) -> bool {
        match self {
            Self::Death | Self::Return { .. } => true,
            Self::Upgrade { .. } | Self::Restart => false,
        }
    }
}
