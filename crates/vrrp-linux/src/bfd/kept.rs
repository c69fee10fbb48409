//! What a successor finds: sessions as a text, and their sockets.

use std::os::fd::{AsFd, OwnedFd};

use vrrp_proto::Family;

use super::socket::{Ear, Mouth};
use super::talk::Saved;
use crate::store::{Descriptors, Store, read_text};

const SESSIONS: &str = "bfd";

/// What of the store is ours.
pub(crate) fn is_ours(name: &str) -> bool {
    name == SESSIONS || name.starts_with("bfd ")
}

fn ear_name(index: u32, family: Family) -> String {
    format!("bfd ear {index} {family}")
}

fn mouth_name(tracker: &str) -> String {
    format!("bfd mouth {tracker}")
}

/// What a process before this one left, and where to leave one's own.
#[derive(Debug)]
pub(crate) struct Estate {
    store: Store,
    found: Descriptors,
}

impl Estate {
    pub(crate) const fn new(store: Store, found: Descriptors) -> Self {
        Self { store, found }
    }

    /// Its sessions. What cannot be read is nothing: peers then see a session that begins anew.
    pub(super) fn sessions(&mut self) -> Vec<Saved> {
        let text = self.found.remove(SESSIONS).map(read_text);
        let Some(Ok(text)) = text else {
            return Vec::new();
        };
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(super) fn mouth(&mut self, tracker: &str) -> Option<Mouth> {
        let found: OwnedFd = self.found.remove(&mouth_name(tracker))?;
        Some(Mouth::inherited(found))
    }

    pub(super) fn ear(&mut self, index: u32, family: Family) -> Option<Ear> {
        self.found
            .remove(&ear_name(index, family))
            .map(Ear::inherited)
    }

    /// What nobody has asked for is closed everywhere: ports are free only then.
    pub(super) fn settle(&mut self) {
        for name in std::mem::take(&mut self.found).into_keys() {
            if name != SESSIONS {
                let _ = self.store.remove(&name);
            }
        }
    }

    // Whatever cannot be left is opened anew by a successor.

    pub(super) fn leave_sessions(&self, sessions: &[Saved]) {
        if let Ok(text) = serde_json::to_string(sessions) {
            let _ = self.store.put_text(SESSIONS, &text);
        }
    }

    pub(super) fn leave_mouth(&self, tracker: &str, mouth: &Mouth) {
        let _ = self.store.put(&mouth_name(tracker), mouth.as_fd());
    }

    pub(super) fn leave_ear(&self, index: u32, family: Family, ear: &Ear) {
        let _ = self.store.put(&ear_name(index, family), ear.as_fd());
    }

    pub(super) fn withdraw_mouth(&self, tracker: &str) {
        let _ = self.store.remove(&mouth_name(tracker));
    }

    pub(super) fn withdraw_ear(&self, index: u32, family: Family) {
        let _ = self.store.remove(&ear_name(index, family));
    }
}
