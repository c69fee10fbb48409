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
//!   keeper: "NAME" and a descriptor, for each; then ""
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

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

/// Descriptors by name.
pub type Descriptors = BTreeMap<String, OwnedFd>;

/// The worker's end.
#[derive(Clone, Debug)]
pub struct Store(Arc<OwnedFd>);

/// The keeper's end, and what it keeps.
#[derive(Debug)]
pub struct Keep {
    kept: Descriptors,
    socket: OwnedFd,
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
            all.insert(name, fd);
        }
        Ok(all)
    }
}

impl Keep {
    /// An empty keep, and the end that belongs to its first worker.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn new() -> io::Result<(Self, OwnedFd)> {
        let (worker, socket) = pair()?;
        let kept = Descriptors::new();
        Ok((Self { kept, socket }, worker))
    }

    /// The end for another worker, after the one before is dead and [`Self::serve`] has read its last words.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn renew(&mut self) -> io::Result<OwnedFd> {
        let (worker, socket) = pair()?;
        self.socket = socket;
        Ok(worker)
    }

    /// Keeps a descriptor for the workers to come, as if one of them had left it.
    pub fn leave(&mut self, name: &str, fd: OwnedFd) {
        self.kept.insert(name.to_owned(), fd);
    }

    /// Gives away what is kept under this name.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.kept.remove(name)
    }

    /// Reads what was said, and answers. Does not wait.
    ///
    /// # Errors
    /// When the worker's end is broken; not when it is closed.
    pub fn serve(&mut self) -> io::Result<()> {
        loop {
            match receive(&self.socket, MsgFlags::MSG_DONTWAIT) {
                Ok(Some((text, fd))) => self.obey(&text, fd)?,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn obey(&mut self, text: &str, fd: Option<OwnedFd>) -> io::Result<()> {
        let mut old = None;
        match (text.split_at_checked(1), fd) {
            (Some(("+", name)), Some(fd)) => old = self.kept.insert(name.to_owned(), fd),
            (Some(("-", name)), None) => old = self.kept.remove(name),
            (Some(("?", "")), None) => {
                for (name, fd) in &self.kept {
                    send(&self.socket, name, Some(fd.as_fd()), MsgFlags::empty())?;
                }
                send(&self.socket, "", None, MsgFlags::empty())?;
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

/// The text in a file.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub fn read_text(file: OwnedFd) -> io::Result<String> {
    let (mut file, mut text) = (File::from(file), String::new());
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

impl AsFd for Keep {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
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
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
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
            keep.serve().unwrap();
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
        keep.serve().unwrap();
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
