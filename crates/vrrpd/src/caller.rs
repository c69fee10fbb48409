//! Who is at the other end of a control connection, as the kernel knows it (`SO_PEERCRED`, unix(7)).

use std::fmt;
use std::io;

use nix::unistd::{Uid, User};
use tokio::net::UnixStream;

/// A process that connected, and for whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// The user.
    pub(crate) uid: u32,
    /// The user's group.
    pub(crate) gid: u32,
    /// The process; absent when it is in a namespace that we do not see.
    pub(crate) pid: Option<i32>,
}

impl Caller {
    /// Who connected `stream`.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn of(stream: &UnixStream) -> io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self {
            uid: credentials.uid(),
            gid: credentials.gid(),
            pid: credentials.pid(),
        })
    }

    /// The user's name, or its number where the system knows none. A directory service may have to be asked, so this is
    /// done where waiting hurts nobody.
    pub(crate) async fn name(&self) -> String {
        let uid = self.uid;
        let name = tokio::task::spawn_blocking(move || {
            let user = User::from_uid(Uid::from_raw(uid));
            user.ok().flatten().map(|user| user.name)
        });
        let name = name.await.ok().flatten();
        name.unwrap_or_else(|| format!("user {uid}"))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, gid {}", self.uid, self.gid)?;
        match self.pid {
            Some(pid) => write!(f, ", process {pid}"),
            None => Ok(()),
        }
    }
}
