//! The engine's state as a file in memory, written down change by change.
//!
//! ```text
//!   vrrpd state 1        title, with the version of the format
//!   {"Surroundings":…}   one change a line; of two about the same, the later one holds
//!   {"Router":[0,…]}
//! ```
//!
//! Programs of different versions that have the same format go on from each other's state: see [`Handover::VERSION`].
//!
//! A line that is not whole is the last one of a process that died, and is not there. When most of a file is out of date, what
//! holds is copied to another one, which replaces it as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};
use vrrp_proto::{Change, Handover, RouterId};

use crate::store::read_text;

/// A file shorter than this is not worth copying.
const SHORT: usize = 64 << 10;

/// So much is written by one system call, or little more: a buffer for the state of a thousand routers would be kept by the
/// allocator.
const PIECE: usize = 16 << 10;

/// Begins every state.
const TITLE: &str = "vrrpd state ";

/// First line of a state that this program understands.
fn title() -> String {
    format!("{TITLE}{}\n", Handover::VERSION)
}

/// What a change is about: a router, or everything else.
type Subject = Option<RouterId>;

/// The file.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    length: usize,
    /// Where in it what holds is.
    holds: BTreeMap<Subject, Range<usize>>,
    /// Of all in `holds`.
    held: usize,
}

impl Journal {
    /// An empty one.
    pub(crate) fn new() -> io::Result<Self> {
        let mut file = File::from(memfd_create("vrrpd-state", MFdFlags::MFD_CLOEXEC)?);
        let title = title();
        file.write_all(title.as_bytes())?;
        Ok(Self {
            file,
            length: title.len(),
            holds: BTreeMap::new(),
            held: 0,
        })
    }

    /// Enters changes, each about its subject. Whether all of it is in another file from now on.
    ///
    /// # Errors
    /// When there is no memory left. What was entered is then unclear, and another journal should be begun.
    pub(crate) fn enter(
        &mut self,
        changes: impl IntoIterator<Item = (Subject, Change)>,
    ) -> io::Result<bool> {
        let mut text = Vec::new();
        for (subject, change) in changes {
            let start = self.length + text.len();
            serde_json::to_writer(&mut text, &change)?;
            text.push(b'\n');
            let place = start..self.length + text.len();
            self.held += place.len();
            if let Some(old) = self.holds.insert(subject, place) {
                self.held -= old.len();
            }
            if text.len() >= PIECE {
                self.append(&mut text)?;
            }
        }
        self.append(&mut text)?;
        if self.length < SHORT.max(2 * self.held) {
            return Ok(false);
        }
        self.copy().map(|()| true)
    }

    fn append(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(text)?;
        self.length += text.len();
        text.clear();
        Ok(())
    }

    fn copy(&mut self) -> io::Result<()> {
        let mut new = Self::new()?;
        let (mut text, mut line) = (Vec::new(), Vec::new());
        for (subject, place) in &self.holds {
            line.resize(place.len(), 0);
            self.file.read_exact_at(&mut line, place.start as u64)?;
            let start = new.length + text.len();
            text.extend_from_slice(&line);
            new.holds.insert(*subject, start..new.length + text.len());
            new.held += line.len();
            if text.len() >= PIECE {
                new.append(&mut text)?;
            }
        }
        new.append(&mut text)?;
        *self = new;
        Ok(())
    }
}

impl AsFd for Journal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The state that a process wrote down.
///
/// # Errors
/// When it is not one of this program's.
pub(crate) fn read(file: OwnedFd) -> io::Result<Handover> {
    let text = read_text(file)?;
    let Some(body) = text.strip_prefix(&title()) else {
        let other = text
            .strip_prefix(TITLE)
            .and_then(|text| text.lines().next());
        return Err(io::Error::other(format!(
            "its state has format {}, and this program understands {}",
            other.unwrap_or("(unknown)"),
            Handover::VERSION
        )));
    };
    let mut state = Handover::default();
    for line in body
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        state.change(serde_json::from_str(line)?);
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use vrrp_proto::{Engine, Instant, Plan};

    use super::*;

    fn engine() -> Engine {
        let mut engine = Engine::new(&Plan::default(), Instant::ZERO);
        while engine.poll_output().is_some() {}
        engine
    }

    fn written(journal: &Journal) -> String {
        read_text(journal.as_fd().try_clone_to_owned().unwrap()).unwrap()
    }

    #[test]
    fn what_is_out_of_date_goes_in_time() {
        let engine = engine();
        let mut journal = Journal::new().unwrap();
        let (mut copies, mut longest) = (0, 0);
        for round in 0..10_000 {
            let id = RouterId(round % 50);
            let changes = [
                (None, engine.save_surroundings()),
                (Some(id), engine.save_router(id)),
            ];
            copies += u32::from(journal.enter(changes).unwrap());
            longest = longest.max(journal.length);
            assert_eq!(
                journal.held,
                journal.holds.values().map(Range::len).sum::<usize>()
            );
        }
        assert!((2..100).contains(&copies), "{copies} copies");
        assert!(longest < 2 * SHORT, "{longest} bytes");
        assert_eq!(written(&journal).len(), journal.length);
        let state = read(journal.as_fd().try_clone_to_owned().unwrap()).unwrap();
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            serde_json::to_string(&engine.save()).unwrap()
        );
    }

    #[test]
    fn the_last_line_may_be_cut_anywhere() {
        let engine = engine();
        let mut journal = Journal::new().unwrap();
        let change = |id| (Some(RouterId(id)), engine.save_router(RouterId(id)));
        journal.enter([change(1), change(2)]).unwrap();
        let text = written(&journal);
        let last = text[..text.len() - 1].rfind('\n').unwrap() + 1;
        for end in last..text.len() {
            let mut cut = File::from(memfd_create("cut", MFdFlags::MFD_CLOEXEC).unwrap());
            cut.write_all(&text.as_bytes()[..end]).unwrap();
            assert!(read(cut.into()).is_ok(), "{end}");
        }
        let mut broken = File::from(memfd_create("broken", MFdFlags::MFD_CLOEXEC).unwrap());
        broken.write_all(&text.as_bytes()[..last - 3]).unwrap();
        broken.write_all(b"\n").unwrap();
        assert!(read(broken.into()).is_err());
        let mut other = File::from(memfd_create("other", MFdFlags::MFD_CLOEXEC).unwrap());
        other.write_all(b"vrrpd state 0\n").unwrap();
        let error = read(other.into()).unwrap_err().to_string();
        assert!(error.contains("format 0"), "{error}");
    }
}
