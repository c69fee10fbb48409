//! A place where descriptors outlive the process that uses them.
//!
//! A worker [`Store::put`]s what its successor is to find: sockets, whose queues and memberships stay as long as somebody
//! holds them, and its state as a file in memory. The keeper answers a new worker's [`Store::take`] with everything that
//! was put. One descriptor a message, over a pair of connected sockets that keeps the bounds of messages.
//!
//! ```text
//!   worker: "+NAME" and a descriptor    keep it, instead of another of that name
//!           "-NAME"                     forget it
//!           "?"                         what is there?
//!           "!" and a text              a word for the keeper
//!   keeper: "NAME" and a descriptor, for each; then ""
//!           "!" and a text              a word for the worker
//! ```
//!
//! A second process, a standby, may be admitted: it can ask and speak, and changes nothing before it is promoted. A keeper
//! that becomes another program passes on what it has by the numbers of the descriptors.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, setsockopt, socketpair, sockopt,
};

use crate::ears::bury;
use crate::syscall;

/// Longest name.
const NAME: usize = 128;

/// Room for what a worker puts in one go, as it does for each of its interfaces: the keeper reads it a moment later.
const ROOM: usize = 4 << 20;

/// Words that were said and not heard yet. Of more, the oldest are lost: nobody says that many.
const WORDS: usize = 64;

/// What a word's message is called.
const WORD: &str = "!";

/// Descriptors by name.
pub type Descriptors = BTreeMap<String, OwnedFd>;

/// The worker's end.
#[derive(Clone, Debug)]
pub struct Store(Arc<OwnedFd>);

/// The keeper's ends, and what it keeps.
#[derive(Debug)]
pub struct Keep {
    kept: Descriptors,
    /// Names under which something else is kept than at the last look.
    changed: BTreeSet<String>,
    /// `None`: closed at the other end.
    worker: Option<OwnedFd>,
    standby: Option<OwnedFd>,
    words: VecDeque<(Speaker, String)>,
}

/// Who said a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaker {
    /// The process that works.
    Worker,
    /// The one that is to replace it.
    Standby,
}

/// Two ends, of which the first is for a worker.
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (worker, keeper) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    // Without the right to it the limit of the system holds, which is enough for some fifty interfaces.
    let _ = setsockopt(&worker, sockopt::SndBufForce, &ROOM);
    Ok((worker, keeper))
}

impl Store {
    /// The store at the other end of `socket`.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(socket))
    }

    /// Leaves a descriptor, instead of what has that name already. Does not wait.
    ///
    /// # Errors
    /// When the keeper is gone, or has not read for long.
    pub fn put(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        send(
            &self.0,
            &format!("+{name}"),
            Some(fd),
            MsgFlags::MSG_DONTWAIT,
        )
    }

    /// Leaves a text, instead of what has that name already.
    ///
    /// # Errors
    /// As for [`Self::put`], or when there is no memory left.
    pub fn put_text(&self, name: &str, text: &str) -> io::Result<()> {
        self.put(name, text_file(text)?.as_fd())
    }

    /// Takes the descriptor of that name away.
    ///
    /// # Errors
    /// As for [`Self::put`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        send(&self.0, &format!("-{name}"), None, MsgFlags::MSG_DONTWAIT)
    }

    /// What earlier workers left. They stay there as well.
    ///
    /// # Errors
    /// When the keeper is gone.
    pub fn take(&self) -> io::Result<Descriptors> {
        send(&self.0, "?", None, MsgFlags::empty())?;
        let mut all = Descriptors::new();
        while let Some((name, Some(fd))) = receive(&self.0, MsgFlags::empty())? {
            // To whoever asks, nothing is said that it could not do without.
            if name != WORD {
                all.insert(name, fd);
            }
        }
        Ok(all)
    }

    /// Says a word to the keeper. Does not wait.
    ///
    /// # Errors
    /// As for [`Self::put_text`].
    pub fn tell(&self, word: &str) -> io::Result<()> {
        tell(&self.0, word)
    }

    /// The keeper's next word, for which it waits if it may; `None` when the keeper is gone.
    ///
    /// # Errors
    /// `WouldBlock`, if there is none and it may not wait.
    pub fn hear(&self, wait: bool) -> io::Result<Option<String>> {
        let flags = if wait {
            MsgFlags::empty()
        } else {
            MsgFlags::MSG_DONTWAIT
        };
        let message = receive(&self.0, flags)?;
        message.map_or(Ok(None), |(_, fd)| word(fd).map(Some))
    }
}

impl AsFd for Store {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Keep {
    /// An empty keep, and the end that belongs to its first worker.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        Self::with(Descriptors::new())
    }

    /// The same with what an earlier one kept.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with(kept: Descriptors) -> io::Result<(Self, OwnedFd)> {
        let (end, worker) = pair()?;
        Ok((Self::resume(kept, Some(worker)), end))
    }

    /// A keep that goes on as another one was, with the line to its worker.
    #[must_use]
    pub fn resume(kept: Descriptors, worker: Option<OwnedFd>) -> Self {
        Self {
            kept,
            changed: BTreeSet::new(),
            worker,
            standby: None,
            words: VecDeque::new(),
        }
    }

    /// The end for another worker, after the one before is dead and [`Self::serve`] has read its last words.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn renew(&mut self) -> io::Result<OwnedFd> {
        let (end, worker) = pair()?;
        self.worker = Some(worker);
        Ok(end)
    }

    /// The end for a standby.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn admit(&mut self) -> io::Result<OwnedFd> {
        let (end, standby) = pair()?;
        self.standby = Some(standby);
        Ok(end)
    }

    /// The standby is the worker from now on. What the one before has said was read by [`Self::serve`], or is lost.
    pub fn promote(&mut self) {
        self.worker = self.standby.take();
    }

    /// There is no standby any more.
    pub fn dismiss(&mut self) {
        self.standby = None;
    }

    /// Says a word to the worker, or to the standby. Does not wait.
    ///
    /// # Errors
    /// When it is not there, does not listen, or there is no memory left.
    pub fn tell(&self, whom: Speaker, word: &str) -> io::Result<()> {
        let line = self.line(whom).ok_or(io::ErrorKind::NotConnected)?;
        tell(line, word)
    }

    /// What was said and not heard yet, by those who still speak.
    pub fn hear(&mut self) -> Option<(Speaker, String)> {
        self.words.pop_front()
    }

    /// The ends to be waited for, and read by [`Self::serve`].
    pub fn ends(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [&self.worker, &self.standby]
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
    }

    /// The end of the worker.
    #[must_use]
    pub fn worker(&self) -> Option<BorrowedFd<'_>> {
        self.worker.as_ref().map(AsFd::as_fd)
    }

    /// Names under which something else is kept since this was asked last, or nothing.
    pub fn take_changed(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.changed)
    }

    /// Keeps nothing but what has one of these names.
    pub fn keep_only(&mut self, names: &[&str]) {
        let (kept, rest): (Descriptors, Descriptors) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|(name, _)| names.contains(&name.as_str()));
        self.kept = kept;
        bury(rest);
    }

    /// Keeps a descriptor for the workers to come, as if one of them had left it.
    pub fn leave(&mut self, name: &str, fd: OwnedFd) {
        self.kept.insert(name.to_owned(), fd);
    }

    /// Gives away what is kept under this name.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.kept.remove(name)
    }

    /// Reads what was said, and answers. Does not wait. A line that is broken is closed.
    pub fn serve(&mut self) {
        for speaker in [Speaker::Worker, Speaker::Standby] {
            while let Some(line) = self.line(speaker) {
                let served = match receive(line, MsgFlags::MSG_DONTWAIT) {
                    Ok(Some((text, fd))) => self.obey(speaker, &text, fd),
                    Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Err(error) => Err(error),
                };
                match served {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => self.hang_up(speaker),
                }
            }
        }
    }

    const fn line(&self, speaker: Speaker) -> Option<&OwnedFd> {
        match speaker {
            Speaker::Worker => self.worker.as_ref(),
            Speaker::Standby => self.standby.as_ref(),
        }
    }

    fn hang_up(&mut self, speaker: Speaker) {
        match speaker {
            Speaker::Worker => self.worker = None,
            Speaker::Standby => self.standby = None,
        }
    }

    fn obey(&mut self, speaker: Speaker, text: &str, fd: Option<OwnedFd>) -> io::Result<()> {
        let works = speaker == Speaker::Worker;
        let mut old = None;
        match (text.split_at_checked(1), fd) {
            (Some(("+", name)), Some(fd)) if works => {
                self.changed.insert(name.to_owned());
                old = self.kept.insert(name.to_owned(), fd);
            }
            (Some(("-", name)), None) if works => {
                self.changed.insert(name.to_owned());
                old = self.kept.remove(name);
            }
            (Some(("?", "")), None) => {
                let Some(line) = self.line(speaker) else {
                    return Ok(());
                };
                for (name, fd) in &self.kept {
                    send(line, name, Some(fd.as_fd()), MsgFlags::empty())?;
                }
                send(line, "", None, MsgFlags::empty())?;
            }
            (Some((WORD, "")), Some(fd)) => {
                if self.words.len() == WORDS {
                    self.words.pop_front();
                }
                self.words.push_back((speaker, word(Some(fd))?));
            }
            // A worker of another version: what it wants kept is lost, and a cold start makes up for that.
            _ => {}
        }
        if let Some(old) = old {
            // Closing sockets waits for the kernel, and a worker may die meanwhile.
            bury(old);
        }
        Ok(())
    }

    /// What is kept.
    #[must_use]
    pub const fn kept(&self) -> &Descriptors {
        &self.kept
    }
}

/// A text as a file in memory.
///
/// # Errors
/// When there is no memory left.
pub fn text_file(text: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("vrrpd-text", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    Ok(file.into())
}

/// The text in a file, which another process may be writing on: its place in the file is theirs as well.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read_text(file: OwnedFd) -> io::Result<String> {
    let file = File::from(file);
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let (mut text, mut read) = (vec![0; length], 0);
    while let count @ 1.. = file.read_at(&mut text[read..], read as u64)? {
        read += count;
    }
    text.truncate(read);
    String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Lets the program that this process becomes have a descriptor under the number it has, or no longer.
///
/// # Errors
/// None, for a descriptor that is open.
pub fn pass_on(fd: BorrowedFd<'_>, on: bool) -> io::Result<RawFd> {
    let flags = if on {
        FdFlag::empty()
    } else {
        FdFlag::FD_CLOEXEC
    };
    fcntl(fd, FcntlArg::F_SETFD(flags))?;
    Ok(fd.as_raw_fd())
}

/// The descriptor that the program before this one, or whoever started this process, left under a number. To be called
/// once for each number.
///
/// # Errors
/// When nothing is there.
pub fn passed_on(number: RawFd) -> io::Result<OwnedFd> {
    syscall::left_open(number)
}

fn word(file: Option<OwnedFd>) -> io::Result<String> {
    read_text(file.ok_or(io::ErrorKind::InvalidData)?)
}

fn tell(line: &OwnedFd, word: &str) -> io::Result<()> {
    let file = text_file(word)?;
    send(line, WORD, Some(file.as_fd()), MsgFlags::MSG_DONTWAIT)
}

fn send(
    socket: &OwnedFd,
    text: &str,
    fd: Option<BorrowedFd<'_>>,
    flags: MsgFlags,
) -> io::Result<()> {
    // A message of no bytes would be taken for the end of the connection.
    let text = format!("{text}\n");
    let fds = fd.map(|fd| [fd.as_raw_fd()]);
    let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(text.as_bytes())],
        rights.as_slice(),
        flags | MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// One message; `None` when the other end is closed.
fn receive(socket: &OwnedFd, flags: MsgFlags) -> io::Result<Option<(String, Option<OwnedFd>)>> {
    let mut text = [0; NAME + 2];
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let (length, fd) = {
        let mut parts = [IoSliceMut::new(&mut text)];
        let message = recvmsg::<()>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            flags | MsgFlags::MSG_CMSG_CLOEXEC,
        )?;
        let fd = message.cmsgs()?.find_map(|control| {
            if let ControlMessageOwned::ScmRights(fds) = control {
                fds.first().copied()
            } else {
                None
            }
        });
        (message.bytes, fd)
    };
    let fd = fd.map(syscall::received);
    let Some((b'\n', text)) = text[..length].split_last() else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(text).into_owned();
    Ok(Some((text, fd)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> OwnedFd {
        text_file(text).unwrap()
    }

    fn texts(all: Descriptors) -> Vec<(String, String)> {
        all.into_iter()
            .map(|(name, fd)| (name, read_text(fd).unwrap()))
            .collect()
    }

    /// Takes while the keeper serves.
    fn taken(keep: &mut Keep, store: &Store) -> Vec<(String, String)> {
        let store = store.clone();
        let taker = std::thread::spawn(move || store.take().unwrap());
        while !taker.is_finished() {
            keep.serve();
            std::thread::yield_now();
        }
        texts(taker.join().unwrap())
    }

    #[test]
    fn a_worker_finds_what_the_one_before_it_left() {
        let (mut keep, worker) = Keep::new().unwrap();
        let store = Store::new(worker);
        assert!(taken(&mut keep, &store).is_empty());
        store.put("state", file("old").as_fd()).unwrap();
        store.put("socket a", file("a").as_fd()).unwrap();
        store.put("socket b", file("b").as_fd()).unwrap();
        store.put("state", file("new").as_fd()).unwrap();
        store.remove("socket a").unwrap();
        store.put_text("text", "t").unwrap();
        drop(store);
        keep.serve();
        keep.leave("text", file("from the keeper"));
        let store = Store::new(keep.renew().unwrap());
        let found = taken(&mut keep, &store);
        let expected = [
            ("socket b", "b"),
            ("state", "new"),
            ("text", "from the keeper"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
        );
        assert_eq!(taken(&mut keep, &store), found, "it is still there");
    }

    #[test]
    fn a_standby_looks_and_changes_nothing_before_it_is_promoted() {
        let (mut keep, worker) = Keep::new().unwrap();
        let (worker, standby) = (Store::new(worker), Store::new(keep.admit().unwrap()));
        worker.put_text("state", "old").unwrap();
        keep.serve();
        standby.put_text("state", "new").unwrap();
        standby.remove("state").unwrap();
        let found = taken(&mut keep, &standby);
        assert_eq!(found, [("state".to_owned(), "old".to_owned())]);
        let long = "long ".repeat(1000);
        standby.tell(&long).unwrap();
        worker.tell("short").unwrap();
        keep.serve();
        assert_eq!(keep.hear(), Some((Speaker::Worker, "short".to_owned())));
        assert_eq!(keep.hear(), Some((Speaker::Standby, long)));
        assert_eq!(keep.hear(), None);
        keep.tell(Speaker::Standby, "go").unwrap();
        assert_eq!(standby.hear(true).unwrap().as_deref(), Some("go"));
        let nothing = standby.hear(false).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);

        assert!(keep.take_changed().contains("state"));
        keep.promote();
        standby.put_text("other", "new").unwrap();
        assert_eq!(taken(&mut keep, &standby).len(), 2);
        assert!(keep.take_changed().into_iter().eq(["other".to_owned()]));
        assert_eq!(worker.hear(true).unwrap(), None, "its line is closed");
        keep.keep_only(&["other"]);
        assert!(keep.kept().keys().eq(["other"]));
    }

    #[test]
    fn a_text_is_read_while_it_is_written() {
        let mut writer = File::from(text_file("one\n").unwrap());
        let reader = || writer.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(read_text(reader()).unwrap(), "one\n");
        writer.write_all(b"two\n").unwrap();
        let reader = writer.as_fd().try_clone_to_owned().unwrap();
        assert_eq!(read_text(reader).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_descriptor_is_passed_on_by_its_number() {
        let file = file("text");
        let number = pass_on(file.as_fd(), true).unwrap();
        assert_eq!(pass_on(file.as_fd(), false).unwrap(), number);
        std::mem::forget(file);
        assert_eq!(read_text(passed_on(number).unwrap()).unwrap(), "text");
        assert!(passed_on(9999).is_err());
    }

    #[test]
    fn without_a_keeper_there_is_an_error() {
        let (keep, worker) = Keep::new().unwrap();
        drop(keep);
        let store = Store::new(worker);
        assert!(store.put("state", file("").as_fd()).is_err());
        assert!(store.take().is_err());
    }

    #[test]
    fn a_keeper_that_does_not_read_keeps_nobody_waiting() {
        let (_keep, worker) = Keep::new().unwrap();
        let store = Store::new(worker);
        let file = file("");
        assert!((0..100_000).any(|_| store.put("state", file.as_fd()).is_err()));
    }
}
