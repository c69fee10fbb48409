//! A directory that lasts as long as its test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A private directory below the system's temporary directory, removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes one; `what` shows in its name.
    ///
    /// # Panics
    /// If the directory cannot be made.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let path = std::env::temp_dir().join(unique(what));
        std::fs::create_dir(&path).expect("a fresh name in the temporary directory");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file inside and says where.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the scratch directory is writable");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that failed has already printed the logs; what is left is litter.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A name no other test of this machine has: `vl<pid>-<n>-<what>`.
#[must_use]
pub(crate) fn unique(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!(
        "vl{}-{}-{what}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
