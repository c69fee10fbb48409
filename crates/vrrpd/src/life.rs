//! What the daemon remembers of itself, whichever process it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use vrrp_linux::store::Store;

use crate::office::timestamp;

/// Where it is in the store.
pub(crate) const NAME: &str = "life";

/// Since when it runs, and with what.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Life {
    /// Running since.
    pub(crate) since: String,
    /// When which configuration was loaded.
    pub(crate) loaded: String,
    /// What was wrong with it at the last reload.
    pub(crate) error: Option<String>,
}

impl Life {
    /// It begins now.
    pub(crate) fn new() -> Self {
        let now = timestamp(SystemTime::now());
        Self {
            since: now.clone(),
            loaded: now,
            error: None,
        }
    }

    /// Leaves it to a successor, which makes up its own if that fails.
    pub(crate) fn leave(&self, store: &Store) {
        if let Ok(text) = serde_json::to_string(self) {
            let _ = store.put_text(NAME, &text);
        }
    }
}

/// The same for all who read and write it.
#[derive(Clone, Debug)]
pub(crate) struct SharedLife(Arc<Mutex<Life>>);

impl SharedLife {
    pub(crate) fn new(life: Life) -> Self {
        Self(Arc::new(Mutex::new(life)))
    }

    /// Held for moments only.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Life> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
