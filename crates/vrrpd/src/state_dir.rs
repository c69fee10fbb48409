//! The directory for what is to outlive the daemon: small files, each replaced as a whole.
//!
//! A daemon that cannot use it runs all the same. It says so once in the log, and for as long as it is so in its status.
//! Files are read and written where waiting for a disk is allowed: never on the engine's thread, and in the office on
//! threads for what blocks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use vrrp_linux::store::Store;

use crate::runtime_dir::take;

/// Where the lock of the directory is in the store.
pub(crate) const LOCK: &str = "state-lock";

/// Longest file that is read, in bytes.
const MAX_FILE: u64 = 32 << 20;

/// A state directory. Clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct StateDir(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Whether another daemon has it, so that what is in it is none of our business.
    foreign: bool,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    /// It is ours for as long as anybody holds this.
    _lock: Option<OwnedFd>,
    /// Why the last attempt to use it failed, as a sentence about what was tried,
    problem: Option<String>,
    /// and apart from that: of many attempts that fail alike, one is logged.
    cause: Option<String>,
}

impl StateDir {
    /// Makes the directory if need be, and locks it, unless `lock` is what an earlier process locked it with. The lock is left
    /// in `store` for later ones.
    pub(crate) fn open(path: &Path, lock: Option<OwnedFd>, store: &Store) -> Self {
        let outcome = lock.map_or_else(|| claim(path), Ok);
        let (lock, problem, foreign) = match outcome {
            Ok(lock) => (Some(lock), None, false),
            Err(error) => {
                let foreign = error.kind() == io::ErrorKind::ResourceBusy;
                (None, Some(sentence(path, &error)), foreign)
            }
        };
        if let Some(lock) = &lock {
            // A successor without it locks the directory itself: by then, nobody else holds the lock.
            let _ = store.put(LOCK, lock.as_fd());
        }
        if let Some(problem) = &problem {
            tracing::warn!("{problem}");
        }
        Self(Arc::new(Inner {
            path: path.to_owned(),
            foreign,
            desk: Mutex::new(Desk {
                _lock: lock,
                problem,
                cause: None,
            }),
        }))
    }

    /// Its path, as it was given.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Why nothing can be kept in it, as a sentence.
    pub(crate) fn problem(&self) -> Option<String> {
        self.desk().problem.clone()
    }

    /// What the file of this name says; `None` if there is none. May wait for the disk.
    ///
    /// Without text that is UTF-8 and no longer than [`MAX_FILE`] it is an error.
    pub(crate) fn read(&self, name: &str) -> io::Result<Option<String>> {
        let desk = self.desk();
        let outcome = self.permitted().and_then(|()| {
            let file = match File::open(self.0.path.join(name)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let mut text = String::new();
            file.take(MAX_FILE + 1).read_to_string(&mut text)?;
            if text.len() as u64 > MAX_FILE {
                return Err(io::Error::other(format!("more than {MAX_FILE} bytes")));
            }
            Ok(Some(text))
        });
        match &outcome {
            // To have read something is no proof that something can be written.
            Ok(_) => {}
            Err(error) => self.failed(desk, &format!("cannot read {name}"), error),
        }
        outcome
    }

    /// Replaces the file of this name, so that a crash leaves either the old one or the new one. Only root can read it. Waits for
    /// the disk.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        // One at a time, and in the order of the calls.
        let mut desk = self.desk();
        let outcome = self.permitted().and_then(|()| {
            // It may have been removed in the meantime.
            make(&self.0.path)?;
            replace(&self.0.path, name, content)
        });
        match &outcome {
            Ok(()) => self.succeeded(&mut desk),
            Err(error) => self.failed(desk, &format!("cannot write {name}"), error),
        }
        outcome
    }

    /// Removes the file of this name, if there is one. Waits for the disk.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let desk = self.desk();
        let outcome =
            self.permitted()
                .and_then(|()| match std::fs::remove_file(self.0.path.join(name)) {
                    Ok(()) => File::open(&self.0.path)?.sync_all(),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                    Err(error) => Err(error),
                });
        if let Err(error) = &outcome {
            self.failed(desk, &format!("cannot remove {name}"), error);
        }
        outcome
    }

    /// Does `work` in the directory, which is there. `what` says what failed, if it does. Waits for the disk.
    pub(crate) fn with<T>(
        &self,
        what: &str,
        work: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut desk = self.desk();
        let outcome = self
            .permitted()
            .and_then(|()| make(&self.0.path))
            .and_then(|()| work(&self.0.path));
        match &outcome {
            Ok(_) => self.succeeded(&mut desk),
            Err(error) => self.failed(desk, what, error),
        }
        outcome
    }

    /// Whether it is ours.
    pub(crate) fn permitted(&self) -> io::Result<()> {
        if self.0.foreign {
            return Err(taken());
        }
        Ok(())
    }

    fn succeeded(&self, desk: &mut Desk) {
        desk.cause = None;
        if desk.problem.take().is_some() {
            tracing::info!("{} can be used again", self.0.path.display());
        }
    }

    fn failed(&self, mut desk: MutexGuard<'_, Desk>, what: &str, error: &io::Error) {
        let problem = if self.0.foreign {
            sentence(&self.0.path, error)
        } else {
            sentence(&self.0.path, &io::Error::other(format!("{what}: {error}")))
        };
        let cause = Some(error.to_string());
        if desk.problem.as_ref() != Some(&problem) && desk.cause != cause {
            tracing::warn!("{problem}");
        }
        (desk.problem, desk.cause) = (Some(problem), cause);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn taken() -> io::Error {
    io::Error::new(
        io::ErrorKind::ResourceBusy,
        "another vrrpd uses it; give this one its own with --state-dir",
    )
}

fn sentence(path: &Path, error: &io::Error) -> String {
    format!(
        "what is to outlive a restart cannot be kept in the state directory {}: {error}",
        path.display()
    )
}

fn make(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn claim(path: &Path) -> io::Result<OwnedFd> {
    make(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path.join("vrrpd.lock"))?;
    let lock = take(file).map_err(|(_, errno)| {
        if errno == Errno::EWOULDBLOCK {
            taken()
        } else {
            errno.into()
        }
    })?;
    let held = lock.as_fd().try_clone_to_owned()?;
    // To drop it would unlock the directory for everybody who holds it.
    std::mem::forget(lock);
    Ok(held)
}

fn replace(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    // One that a crash left behind may have other permissions.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&new, directory.join(name)));
    if let Err(error) = written {
        // The disk may be full, and this part of it is of no use.
        let _ = std::fs::remove_file(&new);
        return Err(error);
    }
    // The name is on the disk when its directory is.
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vrrp_linux::store::Keep;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("vrrpd-state-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn open(path: &Path) -> (StateDir, Keep) {
        let (keep, end) = Keep::new().unwrap();
        (StateDir::open(path, None, &Store::new(end)), keep)
    }

    #[test]
    fn files_are_replaced_as_a_whole_and_nobody_else_reads_them() {
        let scratch = Scratch::new("whole");
        let path = scratch.0.join("deep/state");
        let (state, _keep) = open(&path);
        assert_eq!(state.read("a").unwrap(), None);
        // What a crash may have left.
        std::fs::write(path.join("a.new"), "half").unwrap();
        for content in ["first", "second"] {
            state.write("a", content.as_bytes()).unwrap();
            assert_eq!(state.read("a").unwrap().as_deref(), Some(content));
        }
        assert!(!path.join("a.new").exists());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("a")), 0o600);
        state.remove("a").unwrap();
        state.remove("a").unwrap();
        assert_eq!(state.read("a").unwrap(), None);
        assert_eq!(state.problem(), None);
    }

    #[test]
    fn a_directory_that_cannot_be_is_a_problem_until_it_can() {
        let scratch = Scratch::new("problem");
        std::fs::write(&scratch.0, "a file where a directory should be").unwrap();
        let (state, _keep) = open(&scratch.0.join("state"));
        assert!(state.problem().unwrap().contains("state directory"));
        state.write("a", b"x").unwrap_err();
        std::fs::remove_file(&scratch.0).unwrap();
        state.write("a", b"x").unwrap();
        assert_eq!(state.problem(), None);
        std::fs::create_dir(scratch.0.join("state/b")).unwrap();
        state.write("b", b"x").unwrap_err();
        assert!(state.problem().unwrap().contains("cannot write b"));
    }

    #[test]
    fn two_daemons_do_not_share_one() {
        let scratch = Scratch::new("two");
        let (first, mut keep) = open(&scratch.0);
        first.write("a", b"mine").unwrap();
        let (second, _second_keep) = open(&scratch.0);
        assert!(second.problem().unwrap().contains("--state-dir"));
        second.read("a").unwrap_err();
        second.write("a", b"theirs").unwrap_err();
        assert_eq!(first.read("a").unwrap().as_deref(), Some("mine"));
        // The keeper has the lock, so a worker that dies does not lose it.
        drop(first);
        keep.serve();
        assert!(open(&scratch.0).0.problem().is_some());
        let lock = keep.take(LOCK).unwrap();
        let (_other_keep, end) = Keep::new().unwrap();
        let successor = StateDir::open(&scratch.0, Some(lock), &Store::new(end));
        assert_eq!(successor.read("a").unwrap().as_deref(), Some("mine"));
    }
}
