//! The texts of the configurations that were applied, and the ledger about them: in the state directory for the next daemon, and
//! the ledger in the store for the next worker, which must not depend on a disk.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use sha2::{Digest, Sha256};
use vrrp_linux::store::{Store, read_text};

use crate::ledger::Ledger;
use crate::state_dir::StateDir;

/// Where the ledger is in the store.
pub(crate) const NAME: &str = "configurations";

/// Where the ledger is in the state directory.
const FILE: &str = "configurations.json";

/// The ledger with its texts.
#[derive(Debug)]
pub(crate) struct Archive {
    pub(crate) ledger: Ledger,
    /// What is not on the disk yet.
    unsaved: Unsaved,
    state_dir: StateDir,
    store: Store,
}

/// What was noted since the disk was written last.
#[derive(Debug, Default)]
struct Unsaved {
    ledger: bool,
    /// Texts by their numbers.
    texts: BTreeMap<u64, String>,
    forgotten: Vec<u64>,
}

/// SHA-256 of a text in hexadecimal digits, as `sha256sum` says it.
pub(crate) fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The file of a text.
fn file_of(number: u64) -> String {
    format!("configuration-{number}.toml")
}

impl Archive {
    /// What was entered before: by a worker that has just died, if it left the ledger in the store, or by an earlier daemon.
    pub(crate) fn open(state_dir: &StateDir, store: &Store, inherited: Option<OwnedFd>) -> Self {
        let inherited = inherited.and_then(|file| read_text(file).ok());
        // What cannot be read has been said, and is in the status.
        let text = inherited.or_else(|| state_dir.read(FILE).ok().flatten());
        let ledger = text.and_then(|text| {
            let ledger = serde_json::from_str(&text);
            ledger
                .inspect_err(
                    |error| tracing::warn!(%error, "the list of earlier configurations is lost"),
                )
                .ok()
        });
        Self {
            ledger: ledger.unwrap_or_default(),
            unsaved: Unsaved::default(),
            state_dir: state_dir.clone(),
            store: store.clone(),
        }
    }

    /// The text of this number.
    pub(crate) fn text(&self, number: u64) -> Option<String> {
        if let Some(text) = self.unsaved.texts.get(&number) {
            return Some(text.clone());
        }
        let text = self.state_dir.read(&file_of(number)).ok().flatten()?;
        let known = self.ledger.entry(number)?;
        // Somebody may have edited it, which is not how a configuration is changed.
        (hash(&text) == known.hash).then_some(text)
    }

    /// Whether anything can be kept.
    pub(crate) fn problem(&self) -> Option<String> {
        self.state_dir.problem()
    }

    /// Replaces the ledger, with the text of its last entry if that is new, and without those that nobody needs any more. The
    /// next worker finds the ledger; the next daemon does after [`Self::keep`].
    pub(crate) fn note(&mut self, ledger: Ledger, text: Option<&str>, forgotten: Vec<u64>) {
        if let (Some(text), Some(last)) = (text, ledger.last()) {
            self.unsaved.texts.insert(last.number, text.to_owned());
        }
        self.unsaved.forgotten.extend(forgotten);
        self.unsaved.ledger = true;
        self.ledger = ledger;
        if let Ok(ledger) = serde_json::to_string(&self.ledger) {
            // Without it, a successor reads the file.
            let _ = self.store.put_text(NAME, &ledger);
        }
    }

    /// Puts on the disk what was noted, which takes its time: texts first, then the ledger that speaks of them. What could not
    /// be kept is said by the state directory, and not tried again.
    pub(crate) fn keep(&mut self) -> io::Result<()> {
        let unsaved = std::mem::take(&mut self.unsaved);
        for (number, text) in &unsaved.texts {
            self.state_dir.write(&file_of(*number), text.as_bytes())?;
        }
        if unsaved.ledger {
            let ledger = serde_json::to_string(&self.ledger)?;
            self.state_dir.write(FILE, ledger.as_bytes())?;
        }
        for number in unsaved.forgotten {
            // What stays is a file too many.
            let _ = self.state_dir.remove(&file_of(number));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use vrrp_linux::store::Keep;

    use super::*;
    use crate::ledger::Applied;

    fn enter(archive: &mut Archive, text: &str) {
        let mut ledger = archive.ledger.clone();
        let forgotten = ledger.enter(Applied {
            at: SystemTime::UNIX_EPOCH,
            by: "alice",
            hash: &hash(text),
            summary: "",
        });
        archive.note(ledger, Some(text), forgotten);
        archive.keep().unwrap();
    }

    #[test]
    fn a_later_daemon_finds_the_texts_and_a_later_worker_the_ledger() {
        let path = std::env::temp_dir().join(format!("vrrpd-archive-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let (mut keep, end) = Keep::new().unwrap();
        let store = Store::new(end);
        let state_dir = StateDir::open(&path, None, &store);
        let mut archive = Archive::open(&state_dir, &store, None);
        for round in 0..25 {
            enter(&mut archive, &format!("text {round}"));
        }
        let files = std::fs::read_dir(&path).unwrap().count();
        assert_eq!(files, 22, "twenty texts, the ledger and the lock");
        assert_eq!(archive.text(25).as_deref(), Some("text 24"));
        assert_eq!(archive.text(5), None);

        let next_daemon = Archive::open(&state_dir, &store, None);
        assert_eq!(next_daemon.ledger, archive.ledger);
        std::fs::write(path.join("configuration-24.toml"), "edited").unwrap();
        assert_eq!(next_daemon.text(24), None);

        keep.serve();
        std::fs::write(path.join(FILE), "no ledger").unwrap();
        let next_worker = Archive::open(&state_dir, &store, keep.take(NAME));
        assert_eq!(next_worker.ledger, archive.ledger);
        let lost = Archive::open(&state_dir, &store, None);
        assert_eq!(lost.ledger, Ledger::default());
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn hashes_are_those_of_sha256sum() {
        assert_eq!(
            hash("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
