//! The directory of one daemon: its lock and its control socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub(crate) enum RuntimeDirError {
    /// It cannot be made or written.
    #[error("cannot use the runtime directory {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// Another daemon has it.
    #[error("another vrrpd ({holder}) uses the runtime directory {}; give this one its own with --runtime-dir", .path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// Which process.
        holder: String,
    },
}

/// A process that was killed has its locks until it has let go of its sockets, which may take the kernel a moment: so long
/// it is waited for.
const DYING: Duration = Duration::from_secs(1);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Locks a file, or gives it back with the reason why not: `EWOULDBLOCK` if others hold the lock and live on.
pub(crate) fn take(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    let end = Instant::now() + DYING;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < end => file = back,
            outcome => return outcome,
        }
        std::thread::sleep(PAUSE);
    }
}

/// A runtime directory that this process has for itself.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
    /// It is ours for as long as anybody holds this.
    lock: Option<OwnedFd>,
}

impl RuntimeDir {
    /// Makes the directory if need be, and locks it for the daemon with this process identifier.
    pub(crate) fn lock(path: &Path, pid: u32) -> Result<Self, RuntimeDirError> {
        let io_error = |error| RuntimeDirError::Io(path.to_owned(), error);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map_err(io_error)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path.join("vrrpd.lock"))
            .map_err(io_error)?;
        let mut lock = take(file).map_err(|(mut file, errno)| {
            if errno != Errno::EWOULDBLOCK {
                return io_error(errno.into());
            }
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            RuntimeDirError::Taken {
                path: path.to_owned(),
                holder: format!("process {}", pid.trim()),
            }
        })?;
        // For people and for the message above; the lock itself is what counts, and a full disk is no reason not to start.
        let noted = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{pid}"));
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write the process id into {}/vrrpd.lock", path.display());
        }
        let held = lock.as_fd().try_clone_to_owned().map_err(io_error)?;
        // To drop it would unlock the directory for everybody who holds it.
        std::mem::forget(lock);
        Ok(Self {
            path: path.canonicalize().map_err(io_error)?,
            lock: Some(held),
        })
    }

    /// The lock, for whoever is to hold it as well: nobody else gets the directory before all of them have let it go.
    pub(crate) fn lock_file(&self) -> Option<BorrowedFd<'_>> {
        self.lock.as_ref().map(AsFd::as_fd)
    }

    /// The directory that another process has locked, with a hand on the lock if we were given one.
    pub(crate) fn of_another_with(path: &Path, lock: OwnedFd) -> Result<Self, RuntimeDirError> {
        Ok(Self {
            lock: Some(lock),
            ..Self::of_another(path)?
        })
    }

    /// Notes in the lock which process the daemon is now, for people.
    pub(crate) fn note(&self, pid: u32) {
        let text = format!("{pid}\n");
        let Some(Ok(lock)) = self.lock.as_ref().map(OwnedFd::try_clone) else {
            return;
        };
        let lock = File::from(lock);
        let noted = lock
            .set_len(0)
            .and_then(|()| lock.write_all_at(text.as_bytes(), 0));
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write the process id into {}/vrrpd.lock", self.path.display());
        }
    }

    /// The same without.
    pub(crate) fn of_another(path: &Path) -> Result<Self, RuntimeDirError> {
        let io_error = |error| RuntimeDirError::Io(path.to_owned(), error);
        Ok(Self {
            path: path.canonicalize().map_err(io_error)?,
            lock: None,
        })
    }

    /// The directory, without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join(vrrp_control::SOCKET_NAME)
    }

    /// The socket on which only questions are answered.
    pub(crate) fn read_only_socket(&self) -> PathBuf {
        self.path.join(vrrp_control::READ_ONLY_SOCKET_NAME)
    }

    /// Removes both sockets: nobody listens any more.
    pub(crate) fn remove_sockets(&self) {
        let _ = std::fs::remove_file(self.socket());
        let _ = std::fs::remove_file(self.read_only_socket());
    }
}
