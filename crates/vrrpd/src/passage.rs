//! What a keeper passes on to the program that it becomes: a text in memory that says what is under which number.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Pid, getpid};
use serde::{Deserialize, Serialize};
use vrrp_control::UpgradeReport;
use vrrp_linux::store::{Descriptors, Keep, pass_on, passed_on, read_text, text_file};

use vrrp_proto::Gather;

use crate::restarts::Restarts;

/// Changes whenever an older keeper could not go on from what a newer one passes on, or the reverse.
pub(crate) const VERSION: u32 = 1;

/// The variable that has the number of the text.
pub(crate) const VARIABLE: &str = "VRRPD_PASSAGE";

/// What a keeper knows, besides what it keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The process at work.
    pub(crate) worker: i32,
    /// How often the one before it died.
    pub(crate) restarts: Restarts,
    /// The last upgrade.
    pub(crate) upgrade: Option<UpgradeReport>,
    /// Where the daemon was started from.
    pub(crate) home: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Passage {
    version: u32,
    /// Whose it is: the variable may have strayed.
    pid: i32,
    memory: Memory,
    line: Option<RawFd>,
    kept: BTreeMap<String, RawFd>,
}

/// Becomes the program of the process `model`, with everything. Returns only if that cannot be.
pub(crate) fn become_program_of(model: Pid, keep: &Keep, memory: Memory) -> io::Error {
    let outcome = depart(model, keep, memory);
    // Nobody else is to have them now.
    for fd in keep.kept().values().map(AsFd::as_fd).chain(keep.worker()) {
        let _ = pass_on(fd, false);
    }
    outcome
}

fn depart(model: Pid, keep: &Keep, memory: Memory) -> io::Error {
    let prepare = || {
        let number = |(name, fd): (&String, _)| Ok((name.clone(), pass_on(fd, true)?));
        let kept = keep.kept().iter().map(|(name, fd)| (name, fd.as_fd()));
        let passage = Passage {
            version: VERSION,
            pid: getpid().as_raw(),
            memory,
            line: keep.worker().map(|line| pass_on(line, true)).transpose()?,
            kept: kept.map(number).try_gather::<_, _, io::Error>()?,
        };
        let file = text_file(&serde_json::to_string(&passage)?)?;
        pass_on(file.as_fd(), true)?;
        Ok(file)
    };
    let file = match prepare() {
        Ok(file) => file,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Command::new(format!("/proc/{model}/exe"))
        .arg0(name)
        .args(arguments)
        .env(VARIABLE, file.as_raw_fd().to_string())
        .exec()
}

/// What was passed on to this process; `None` if it is the first of its line.
///
/// # Errors
/// When it cannot be understood.
pub(crate) fn arrive() -> io::Result<Option<(Keep, Memory)>> {
    let Some(number) = std::env::var(VARIABLE).ok() else {
        return Ok(None);
    };
    let number = number.parse().map_err(io::Error::other)?;
    let passage: Passage = serde_json::from_str(&read_text(passed_on(number)?)?)?;
    if passage.pid != getpid().as_raw() {
        return Ok(None);
    }
    if passage.version != VERSION {
        return Err(io::Error::other("it was passed on by another version"));
    }
    let take = |(name, number)| Ok((name, passed_on(number)?));
    let kept = passage.kept.into_iter().map(take);
    let kept = kept.try_gather::<Descriptors, _, io::Error>()?;
    let line = passage.line.map(passed_on).transpose()?;
    Ok(Some((Keep::resume(kept, line), passage.memory)))
}

/// Where the daemon is started from: what an upgrade looks at unless told otherwise. A package replaces what is there, and
/// a link may lead elsewhere by then.
pub(crate) fn home() -> PathBuf {
    let name = std::env::args_os()
        .next()
        .map(PathBuf::from)
        .unwrap_or_default();
    if name.components().count() > 1
        && let Ok(path) = std::path::absolute(&name)
    {
        return path;
    }
    let running = std::fs::read_link("/proc/self/exe").unwrap_or(name);
    undeleted(&running)
}

/// The path of a program that may have been replaced since it was started (proc_pid_exe(5)).
fn undeleted(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(" (deleted)")
        .map_or_else(|| path.to_owned(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_replaced_is_where_it_was() {
        assert_eq!(
            undeleted(Path::new("/usr/sbin/vrrpd (deleted)")),
            Path::new("/usr/sbin/vrrpd")
        );
        assert_eq!(
            undeleted(Path::new("/usr/sbin/vrrpd")),
            Path::new("/usr/sbin/vrrpd")
        );
        assert!(home().is_absolute());
    }
}
