//! The directory of one daemon: its lock and its control socket.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

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

/// A runtime directory that this process has for itself.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
    held: Held,
}

/// The lock.
#[derive(Debug)]
enum Held {
    /// Ours.
    Own(Flock<File>),
    /// The keeper's, if it gave us a hand on it.
    Shared(#[expect(dead_code, reason = "it is held")] Option<OwnedFd>),
}

impl RuntimeDir {
    /// Makes the directory if need be, and locks it for as long as the process lives.
    pub(crate) fn lock(path: &Path) -> Result<Self, RuntimeDirError> {
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
        let mut lock =
            Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, errno)| {
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
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        if let Err(error) = noted {
            tracing::warn!(%error, "cannot write the process id into {}/vrrpd.lock", path.display());
        }
        Ok(Self {
            path: path.canonicalize().map_err(io_error)?,
            held: Held::Own(lock),
        })
    }

    /// The lock for one more process: it is there until both have let it go.
    pub(crate) fn lock_file(&self) -> io::Result<Option<OwnedFd>> {
        match &self.held {
            Held::Own(lock) => lock.as_fd().try_clone_to_owned().map(Some),
            Held::Shared(_) => Ok(None),
        }
    }

    /// The directory that our keeper has locked. With its `lock`, nobody else gets it before this process has ended, too.
    pub(crate) fn of_keeper(path: &Path, lock: Option<OwnedFd>) -> Result<Self, RuntimeDirError> {
        let io_error = |error| RuntimeDirError::Io(path.to_owned(), error);
        Ok(Self {
            path: path.canonicalize().map_err(io_error)?,
            held: Held::Shared(lock),
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
}
