//! What a keeper and its worker say to each other, as JSON. They may be of different versions: words are only ever added,
//! and one that is not understood is not there.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vrrp_control::UpgradeReport;
use vrrp_linux::store::Store;

/// To the keeper.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub(crate) enum ToKeeper {
    /// A standby could take over at once.
    Ready {
        /// Its version.
        version: String,
        /// What it could take over from a keeper: see [`crate::passage::VERSION`].
        passage: u32,
    },
    /// A standby could not.
    Unfit {
        /// Why, as a clause.
        reason: String,
    },
    /// A worker's engine runs.
    Started,
    /// And it can be asked.
    Running {
        /// Its version.
        version: String,
    },
    /// It has made way: everything is written down, and it does nothing more.
    Left,
    /// Somebody wants another program at work.
    Upgrade {
        /// Which; without one, what is now where the running one was started from.
        program: Option<String>,
        /// The version at work.
        from: String,
    },
    /// How things stand, in a few words.
    Standing {
        /// These.
        text: String,
    },
}

/// To a worker.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "kebab-case")]
pub(crate) enum ToWorker {
    /// To a standby: take over.
    Go,
    /// Make way.
    StepAside {
        /// For whom, as the end of a sentence.
        whom: String,
        /// How long nobody will be at work, in milliseconds: the moment should be good for that.
        #[serde(default)]
        change_ms: u64,
    },
    /// How the last upgrade goes.
    Upgrade(UpgradeReport),
    /// To be logged, and remembered.
    Warn {
        /// Of which kind.
        kind: String,
        /// A sentence.
        text: String,
    },
}

/// The word as text.
pub(crate) fn text<T: Serialize>(word: &T) -> String {
    // Nothing in a word could keep it from being JSON; nothing at all is a word that is not understood.
    serde_json::to_string(word).unwrap_or_default()
}

/// The word in a text.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

impl ToKeeper {
    /// Says it; whether there is somebody to hear it.
    pub(crate) fn say(&self, store: &Store) -> bool {
        store.tell(&text(self)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_other_versions_do_no_harm() {
        assert_eq!(read(r#"{"word":"left","more":1}"#), Some(ToKeeper::Left));
        assert_eq!(read::<ToKeeper>(r#"{"word":"sing"}"#), None);
        assert_eq!(read::<ToWorker>("go"), None);
    }
}
