//! The history of events on disk: two files of JSON lines in the state directory, of which the newer one is written on.
//!
//! Events are gathered for a second and then written together, at most every ten seconds and within a bound for each day
//! ([`Wear`]); each such batch is on the disk before the next one. So a power failure takes the last seconds with it, and a disk
//! that is full or slow delays nobody: what could not be written waits, with a bound, and is written later.
//!
//! A line that is not whole was cut by a power failure. It is no error: it is left out, and what follows begins on a new line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vrrp_control::EventRecord;

use crate::office::Office;
use crate::state_dir::StateDir;
use crate::wear::Wear;

/// The file that is written.
const NEWER: &str = "events.jsonl";

/// The one before it.
const OLDER: &str = "events.1.jsonl";

/// Longest file, in bytes: about 5000 events. There are two.
const ROOM: u64 = 1 << 20;

/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// So long it is waited for more events before they are written.
const GATHER: Duration = Duration::from_secs(1);

/// And so long after that.
const PAUSE: Duration = Duration::from_secs(9);

/// Why the files cannot be used is a fact of the state directory.
const WHAT: &str = "cannot keep events";

/// What one boot of the machine is told from another by.
const BOOT: &str = "boot-id";
const THIS_BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The files, and what may be written to them.
#[derive(Clone, Debug)]
pub(crate) struct Annals {
    state: StateDir,
    wear: Arc<Mutex<Wear>>,
}

impl Annals {
    pub(crate) fn new(state: StateDir) -> Self {
        Self {
            state,
            wear: Arc::new(Mutex::new(Wear::new(Instant::now()))),
        }
    }

    /// The number of the last event; 0 without any. Waits for the disk.
    pub(crate) fn last(&self) -> u64 {
        let mut last = 0;
        let _ = self.each(|event| {
            last = event.sequence;
            true
        });
        last
    }

    /// Whether the machine was booted since it was last asked. Waits for the disk.
    pub(crate) fn is_new_boot(&self) -> bool {
        let Ok(this) = std::fs::read_to_string(THIS_BOOT) else {
            return false;
        };
        let before = self.state.read(BOOT).ok().flatten();
        if before.as_ref() == Some(&this) {
            return false;
        }
        let _ = self.state.write(BOOT, this.as_bytes());
        before.is_some()
    }

    /// Writes what `office` has for it, as long as it has something.
    pub(crate) async fn keep(self, office: Office) {
        loop {
            office.something_pending().await;
            tokio::time::sleep(GATHER).await;
            let (annals, desk) = (self.clone(), office.clone());
            // It says itself what went wrong.
            let _ = tokio::task::spawn_blocking(move || annals.flush(&desk)).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes what `office` has for it now. Waits for the disk.
    pub(crate) fn flush(&self, office: &Office) {
        let events = office.take_pending();
        if events.is_empty() {
            return;
        }
        let lines = events.iter().filter_map(|event| line(event).ok());
        let text = lines.flatten().collect::<Vec<u8>>();
        let mut wear = self.wear.lock().unwrap_or_else(PoisonError::into_inner);
        let written = wear.allows(text.len(), Instant::now())
            && self.state.with(WHAT, |path| append(path, &text)).is_ok();
        if !written {
            office.put_back(events);
        }
    }

    /// Shows each event to `look` from the oldest on, until that has seen enough. Waits for the disk.
    pub(crate) fn each(&self, mut look: impl FnMut(EventRecord) -> bool) -> io::Result<()> {
        let mut last = 0;
        for file in self.files()? {
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            loop {
                line.clear();
                if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                let Ok(event) = serde_json::from_slice::<EventRecord>(&line) else {
                    continue;
                };
                // What was written again after a failure, or found again because a file was renamed just now.
                if event.sequence > last {
                    last = event.sequence;
                    if !look(event) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The older one first, opened last: one that is renamed in between is there twice, and not missing.
    fn files(&self) -> io::Result<Vec<File>> {
        let open = |name: &str| match File::open(self.state.path().join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            outcome => outcome.map(Some),
        };
        self.state.permitted()?;
        let newer = open(NEWER)?;
        let older = open(OLDER)?;
        Ok(older.into_iter().chain(newer).collect())
    }
}

fn line(record: &EventRecord) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// Adds lines to the newer file, which becomes the older one when there is no room in it.
fn append(directory: &Path, lines: &[u8]) -> io::Result<()> {
    let name = directory.join(NEWER);
    let mut file = open(&name)?;
    let mut length = file.seek(SeekFrom::End(0))?;
    let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if length > 0 && length.saturating_add(more) > ROOM {
        std::fs::rename(&name, directory.join(OLDER))?;
        file = open(&name)?;
        length = 0;
    }
    let outcome = end_line(&mut file, length)
        .and_then(|()| file.write_all(lines))
        .and_then(|()| file.sync_data());
    if outcome.is_err() {
        // It will be tried again, and half of it is of no use.
        let _ = file.set_len(length);
    }
    outcome?;
    if length == 0 {
        // The name is on the disk when its directory is.
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn open(name: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(name)
}

/// What a power failure cut ends here.
fn end_line(file: &mut File, length: u64) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(length - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        Ok(())
    } else {
        file.write_all(b"\n")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::path::PathBuf;

    use vrrp_linux::store::{Keep, Store};

    use super::*;

    struct Scratch(PathBuf, StateDir);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("vrrpd-annals-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&path);
            let (_, end) = Keep::new().unwrap();
            let state = StateDir::open(&path, None, &Store::new(end));
            Self(path, state)
        }

        /// A daemon's office, as after a cold start.
        fn office(&self) -> (Annals, Office) {
            let (_, end) = Keep::new().unwrap();
            let annals = Annals::new(self.1.clone());
            let office = Office::new(VecDeque::new(), Store::new(end), annals.last());
            (annals, office)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn sequences(annals: &Annals) -> Vec<u64> {
        let mut found = Vec::new();
        annals
            .each(|event| {
                found.push(event.sequence);
                true
            })
            .unwrap();
        found
    }

    #[test]
    fn numbers_go_on_after_a_restart() {
        let scratch = Scratch::new("restart");
        for round in 0..3_u64 {
            let (annals, office) = scratch.office();
            office.note_daemon("start", "started");
            office.note_daemon("stop", "stopped");
            annals.flush(&office);
            assert_eq!(sequences(&annals), (1..=2 * round + 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_line_that_was_cut_is_left_out_and_the_next_one_is_whole() {
        let scratch = Scratch::new("cut");
        let (annals, office) = scratch.office();
        (0..3).for_each(|_| office.note_daemon("start", "started"));
        annals.flush(&office);
        let file = scratch.0.join(NEWER);
        let text = std::fs::read(&file).unwrap();
        std::fs::write(&file, &text[..text.len() - 20]).unwrap();
        assert_eq!(sequences(&annals), [1, 2]);
        office.note_daemon("stop", "stopped");
        annals.flush(&office);
        assert_eq!(sequences(&annals), [1, 2, 4]);
    }

    #[test]
    fn two_files_of_a_bounded_length_have_the_last_events() {
        let scratch = Scratch::new("bounded");
        let (annals, office) = scratch.office();
        let text = "x".repeat(1000);
        for _ in 0..40 {
            (0..100).for_each(|_| office.note_daemon("odd", text.clone()));
            annals.flush(&office);
            *annals.wear.lock().unwrap() = Wear::new(Instant::now());
            for name in [NEWER, OLDER] {
                let length = std::fs::metadata(scratch.0.join(name)).map_or(0, |it| it.len());
                assert!(length <= ROOM, "{name} has {length} bytes");
            }
        }
        let found = sequences(&annals);
        assert_eq!(found.last(), Some(&4000));
        assert!(found.len() > 900, "{}", found.len());
        assert!(found.is_sorted_by(|a, b| a + 1 == *b), "{found:?}");
    }

    #[test]
    fn what_cannot_be_written_waits_and_is_written_later() {
        let scratch = Scratch::new("later");
        let (annals, office) = scratch.office();
        std::fs::create_dir(scratch.0.join(NEWER)).unwrap();
        office.note_daemon("start", "started");
        annals.flush(&office);
        assert!(annals.state.problem().unwrap().contains(WHAT));
        std::fs::remove_dir(scratch.0.join(NEWER)).unwrap();
        office.note_daemon("stop", "stopped");
        annals.flush(&office);
        assert_eq!(sequences(&annals), [1, 2]);
        assert_eq!(annals.state.problem(), None);
    }

    #[test]
    fn a_boot_is_seen_once() {
        let scratch = Scratch::new("boot");
        let (annals, _) = scratch.office();
        assert!(!annals.is_new_boot(), "the first one is no news");
        assert!(!annals.is_new_boot());
        annals.state.write(BOOT, b"another").unwrap();
        assert!(annals.is_new_boot());
        assert!(!annals.is_new_boot());
    }
}
