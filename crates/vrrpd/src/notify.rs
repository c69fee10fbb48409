//! The service manager, as sd_notify(3) and sd_pid_notify_with_fds(3) describe how one speaks to it: datagrams to the socket
//! in `NOTIFY_SOCKET`, with descriptors that it is to keep for the next process, which finds them as sd_listen_fds(3) says.
//!
//! These few lines are ours because the keeper sends descriptors anyway.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::unistd::{getpid, pipe};
use vrrp_linux::store::{Descriptors, passed_on};
use vrrp_proto::Gather;

/// Variables that are for this process only.
pub(crate) const VARIABLES: [&str; 4] = [
    "NOTIFY_SOCKET",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// What is in the store if there is a manager.
pub(crate) const NAME: &str = "manager";

/// Number of the first descriptor that is passed.
const FIRST: RawFd = 3;

/// A manager that is busy with itself is waited for this long, in seconds.
const PATIENCE: i64 = 2;

/// Who started this process and wants to hear from it.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: OwnedFd,
    address: UnixAddr,
}

impl Manager {
    /// The one in the environment, if there is any.
    pub(crate) fn find() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET")?;
        let address = match name.as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name),
            [b'/', ..] => UnixAddr::new(name.as_bytes()),
            _ => return None,
        };
        let socket = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC,
            None,
        )
        .ok()?;
        // Without it, a manager that stands still would keep us waiting as well.
        let _ = setsockopt(&socket, sockopt::SendTimeout, &TimeVal::seconds(PATIENCE));
        Some(Self {
            socket,
            address: address.ok()?,
        })
    }

    /// Says something, such as `READY=1`.
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn say(&self, text: &str) -> io::Result<()> {
        self.send(text, None)
    }

    /// Gives it a descriptor to keep, under a name that nothing else has there. It does not watch it: what is broken is for
    /// the next process to find out.
    ///
    /// # Errors
    /// When it does not listen. That it has no room is not said.
    pub(crate) fn store(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.send(&format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0"), Some(fd))
    }

    /// It need not keep this any more.
    ///
    /// # Errors
    /// When it does not listen.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={name}"), None)
    }

    /// Waits until it has read everything that was said.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub(crate) fn barrier(&self, limit: Duration) -> io::Result<()> {
        let (here, there) = pipe()?;
        self.send("BARRIER=1", Some(there.as_fd()))?;
        drop(there);
        let mut ends = [PollFd::new(here.as_fd(), PollFlags::empty())];
        let limit = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
        match poll(&mut ends, limit)? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    fn send(&self, text: &str, fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let fds = fd.map(|fd| [fd.as_raw_fd()]);
        let rights = fds.as_ref().map(|fds| ControlMessage::ScmRights(fds));
        sendmsg(
            self.socket.as_raw_fd(),
            &[IoSlice::new(text.as_bytes())],
            rights.as_slice(),
            MsgFlags::MSG_NOSIGNAL,
            Some(&self.address),
        )?;
        Ok(())
    }
}

/// What the manager kept for this process. To be called once, before anything else is opened.
pub(crate) fn kept() -> Descriptors {
    let variable = |name: &str| std::env::var_os(name).map(OsString::into_vec);
    let names = named(
        getpid().as_raw(),
        variable("LISTEN_PID"),
        variable("LISTEN_FDS"),
        variable("LISTEN_FDNAMES"),
    );
    let found = names
        .into_iter()
        .filter_map(|(number, name)| Some((name, passed_on(number).ok()?)));
    found.gather()
}

/// The names of the descriptors that are meant for the process `me`.
fn named(
    me: i32,
    pid: Option<Vec<u8>>,
    count: Option<Vec<u8>>,
    names: Option<Vec<u8>>,
) -> BTreeMap<RawFd, String> {
    let number = |text: Option<Vec<u8>>| String::from_utf8(text?).ok()?.parse::<i32>().ok();
    let Some(count) = number(count).filter(|_| number(pid) == Some(me)) else {
        return BTreeMap::new();
    };
    let names = String::from_utf8(names.unwrap_or_default()).unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    if usize::try_from(count) != Ok(names.len()) {
        return BTreeMap::new();
    }
    (FIRST..).zip(names.into_iter().map(str::to_owned)).gather()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_for_the_process_that_is_named() {
        let some = |text: &str| Some(text.as_bytes().to_vec());
        let names = named(7, some("7"), some("2"), some("state:gate 3 leases"));
        let expected = [(3, "state".to_owned()), (4, "gate 3 leases".to_owned())];
        assert!(names.into_iter().eq(expected));
        for (pid, count, names) in [
            (some("8"), some("1"), some("state")),
            (None, some("1"), some("state")),
            (some("7"), None, some("state")),
            (some("7"), some("2"), some("state")),
            (
                some("7"),
                some("1"),
                None::<Vec<u8>>.or_else(|| some("a:b")),
            ),
            (some("7"), some("-1"), some("state")),
        ] {
            assert!(named(7, pid, count, names).is_empty());
        }
    }
}
