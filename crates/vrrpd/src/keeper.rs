//! The process that outlives a worker which dies, and replaces it.
//!
//! It holds the worker's lock, sockets, state and gates in its [`Keep`]; it decides nothing, and it is small: it reads neither
//! the command line nor the configuration, and does not log until it gives up.
//! A worker that dies by a signal or a panic is replaced at once, and its successor goes on where it was. One that dies
//! again and again is not: the keeper then gives up in its name.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use vrrp_linux::kernel::OwnerId;
use vrrp_linux::store::{Keep, read_text, text_file};

use crate::cli::Arguments;
use crate::daemon::RunError;
use crate::restarts::{self, Restarts};
use crate::runtime_dir::RuntimeDir;

/// A worker that dies this often within [`PERIOD`] has a fault that a new one will have as well.
const DEATHS: usize = 5;

/// See [`DEATHS`].
const PERIOD: Duration = Duration::from_secs(10);

/// What a panic ends a process with, if it is not stopped by a signal; and a worker that could not take another one's
/// place.
pub(crate) const DIED: u8 = 101;

/// Options with which nothing is to be kept.
const OTHERS: [&str; 6] = ["--worker", "--check", "--help", "--version", "-h", "-V"];

/// Whether the command line, as far as one can see without understanding it, asks for a keeper.
pub(crate) fn is_asked_for(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let other = |argument: OsString| {
        let argument = argument.to_string_lossy().into_owned();
        let option = argument.split('=').next();
        option.is_some_and(|option| OTHERS.contains(&option))
    };
    !arguments.into_iter().any(other)
}

/// Keeps a worker running until it ends by itself.
pub(crate) fn run() -> Result<ExitCode, RunError> {
    let failed = |error| RunError::Keep(error);
    let mut signals = Signals::catch().map_err(failed)?;
    let (mut keep, mut end) = Keep::new().map_err(failed)?;
    make_room();
    vrrp_linux::come_first();
    vrrp_linux::stay_in_memory();
    let mut deaths = VecDeque::new();
    let mut restarts = Restarts::default();
    loop {
        let mut worker = spawn(end).map_err(failed)?;
        let status = watch(&mut worker, &mut signals, &mut keep).map_err(failed)?;
        if let Some(code) = status.code().filter(|code| *code != i32::from(DIED)) {
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        let now = Instant::now();
        deaths.push_back(now);
        deaths.retain(|death| now.duration_since(*death) < PERIOD);
        restarts.note(SystemTime::now(), reason(status, &mut keep));
        if signals.stopping || deaths.len() >= DEATHS {
            give_up(&keep, &restarts, deaths.len());
            return Ok(ExitCode::FAILURE);
        }
        end = keep.renew().map_err(failed)?;
        // The successor says what happened, and does without if there is no memory for it.
        let text = serde_json::to_string(&restarts).map_err(std::io::Error::from);
        if let Ok(file) = text.and_then(|text| text_file(&text)) {
            keep.leave(restarts::NAME, file);
        }
    }
}

/// This program again, with its end of the store as its standard input.
fn spawn(end: OwnedFd) -> std::io::Result<Child> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    Command::new("/proc/self/exe")
        .arg0(name)
        .args(arguments)
        .arg(format!("--worker={}", std::process::id()))
        .stdin(Stdio::from(end))
        // What a terminal sends to all of us is to come once.
        .process_group(0)
        .spawn()
}

/// Some descriptors for each interface.
fn make_room() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // Within the old limit there is room for a hundred interfaces.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Serves the worker and passes signals on to it, until it is dead.
fn watch(
    worker: &mut Child,
    signals: &mut Signals,
    keep: &mut Keep,
) -> std::io::Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(worker.id()).unwrap_or(0));
    let mut talks = true;
    loop {
        let mut ready = [
            PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(keep.as_fd(), PollFlags::POLLIN),
        ];
        // A worker whose end is closed has nothing more to say, and its death comes as a signal.
        let watched = if talks {
            &mut ready[..]
        } else {
            &mut ready[..1]
        };
        match poll(watched, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let hung_up = |fd: &PollFd<'_>| {
            let events = fd.revents().unwrap_or(PollFlags::empty());
            events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
        };
        talks &= !hung_up(&ready[1]);
        // What it said before it died counts as well.
        talks &= keep.serve().is_ok();
        for signal in signals.read()? {
            if signal == Signal::SIGCHLD {
                if let Some(status) = worker.try_wait()? {
                    let _ = keep.serve();
                    return Ok(status);
                }
            } else {
                // A worker that has just died is replaced or not; either way the signal was for it.
                let _ = kill(pid, signal);
            }
        }
    }
}

/// Why it died, as the end of a sentence.
fn reason(status: ExitStatus, keep: &mut Keep) -> String {
    let words = keep.take(restarts::LAST_WORDS);
    let words = words.and_then(|file| read_text(file).ok());
    if let Some(words) = words.filter(|words| !words.is_empty()) {
        return words;
    }
    match status.signal().map(Signal::try_from) {
        Some(Ok(signal)) => format!("killed by {signal}"),
        Some(Err(_)) | None => status.to_string(),
    }
}

/// Says in the worker's name that it is gone, and takes away what it made.
fn give_up(keep: &Keep, restarts: &Restarts, deaths: usize) {
    let arguments = Arguments::parse();
    crate::log::start(arguments.log_format);
    let why = restarts.last().map_or("", |last| last.reason.as_str());
    let runtime_dir = match RuntimeDir::of_another(&arguments.runtime_dir) {
        Ok(runtime_dir) => runtime_dir,
        // It did not come as far as that.
        Err(error) => {
            tracing::error!("the worker has died ({why}): {error}");
            return;
        }
    };
    let owner = OwnerId::of(runtime_dir.path());
    let outcome = std::panic::catch_unwind(|| vrrp_linux::release(keep.kept(), owner));
    runtime_dir.remove_sockets();
    let Ok((released, left)) = outcome else {
        tracing::error!("the worker has died ({why}), and what it left is broken");
        return;
    };
    match released {
        Ok(count) => tracing::error!(
            "the worker has died {deaths} times in a short while ({why}); {count} advertisements of priority 0 were sent for it"
        ),
        Err(error) => tracing::error!(
            %error,
            "the worker has died {deaths} times in a short while ({why}), and nothing could be said for it"
        ),
    }
    left.iter()
        .for_each(|what| tracing::error!("could not clean up: {what}"));
}

/// The signals that concern a daemon.
struct Signals {
    fd: SignalFd,
    /// Whether it was asked to stop.
    stopping: bool,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
        ] {
            set.add(signal);
        }
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self {
            fd,
            stopping: false,
        })
    }

    /// Those that came.
    fn read(&mut self) -> std::io::Result<Vec<Signal>> {
        let mut came = Vec::new();
        while let Some(info) = self.fd.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            if let Ok(signal) = Signal::try_from(number) {
                self.stopping |= matches!(signal, Signal::SIGTERM | Signal::SIGINT);
                came.push(signal);
            }
        }
        Ok(came)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_options_ask_for_something_else() {
        let asked = |words: &str| is_asked_for(words.split(' ').map(OsString::from));
        for words in ["vrrpd", "vrrpd -c a.toml", "vrrpd --config=--check"] {
            assert!(asked(words), "{words}");
        }
        for words in [
            "vrrpd --check",
            "vrrpd --check=a",
            "vrrpd -V",
            "vrrpd --worker=7",
        ] {
            assert!(!asked(words), "{words}");
        }
    }
}
