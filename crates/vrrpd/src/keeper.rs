//! The process that outlives a worker which dies, and replaces it.
//!
//! It holds the lock of the runtime directory and, in its [`Keep`], the worker's sockets and state; it decides nothing.
//! A worker that dies by a signal or a panic is replaced at once, and its successor goes on where it was. One that dies
//! again and again is not: the keeper then gives up in its name.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use vrrp_linux::store::Keep;

use crate::cli::Arguments;
use crate::daemon::RunError;
use crate::runtime_dir::RuntimeDir;

/// A worker that dies this often within [`PERIOD`] has a fault that a new one will have as well.
const DEATHS: usize = 5;

/// See [`DEATHS`].
const PERIOD: Duration = Duration::from_secs(10);

/// What a panic ends a process with, if it is not stopped by a signal.
const PANIC: i32 = 101;

/// Keeps a worker running until it ends by itself.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, RunError> {
    let runtime_dir = RuntimeDir::lock(&arguments.runtime_dir)?;
    let failed = |error| RunError::Keep(error);
    let mut signals = Signals::catch().map_err(failed)?;
    let (mut keep, mut end) = Keep::new().map_err(failed)?;
    vrrp_linux::come_first();
    let mut deaths = VecDeque::new();
    loop {
        let mut worker = spawn(end).map_err(failed)?;
        let status = watch(&mut worker, &mut signals, &mut keep).map_err(failed)?;
        // What it said before it died.
        let _ = keep.serve();
        if let Some(code) = status.code().filter(|code| *code != PANIC) {
            return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
        }
        let _ = std::fs::remove_file(runtime_dir.socket());
        let now = Instant::now();
        deaths.push_back(now);
        deaths.retain(|death| now.duration_since(*death) < PERIOD);
        if signals.stopping || deaths.len() >= DEATHS {
            give_up(&keep, status, deaths.len());
            return Ok(ExitCode::FAILURE);
        }
        tracing::error!("the worker has died: {status}; another one takes its place");
        end = keep.renew().map_err(failed)?;
    }
}

/// This program again, with its end of the store as its standard input.
fn spawn(end: OwnedFd) -> std::io::Result<Child> {
    Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .arg(format!("--worker={}", std::process::id()))
        .stdin(Stdio::from(end))
        .spawn()
}

/// Serves the worker and passes signals on to it, until it is dead.
fn watch(worker: &mut Child, signals: &mut Signals, keep: &mut Keep) -> std::io::Result<ExitStatus> {
    let pid = Pid::from_raw(i32::try_from(worker.id()).unwrap_or(0));
    let mut talks = true;
    loop {
        let mut ready = [
            PollFd::new(signals.fd.as_fd(), PollFlags::POLLIN),
            PollFd::new(keep.as_fd(), PollFlags::POLLIN),
        ];
        // A worker whose end is closed has nothing more to say, and its death comes as a signal.
        let watched = if talks { &mut ready[..] } else { &mut ready[..1] };
        match poll(watched, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let hung_up = |fd: &PollFd<'_>| {
            let events = fd.revents().unwrap_or(PollFlags::empty());
            events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR)
        };
        talks &= !hung_up(&ready[1]);
        keep.serve()?;
        for signal in signals.read()? {
            if signal == Signal::SIGCHLD {
                if let Some(status) = worker.try_wait()? {
                    return Ok(status);
                }
            } else {
                // A worker that has just died is replaced or not; either way the signal was for it.
                let _ = kill(pid, signal);
            }
        }
    }
}

/// Says in the worker's name that it is gone.
fn give_up(keep: &Keep, status: ExitStatus, deaths: usize) {
    let by = status
        .signal()
        .map_or_else(|| "a panic".to_owned(), |signal| format!("signal {signal}"));
    match std::panic::catch_unwind(|| vrrp_linux::release(keep.kept())) {
        Ok(Ok(count)) => tracing::error!(
            "the worker died of {by}, {deaths} times in a short while; {count} advertisements of priority 0 were sent for it"
        ),
        Ok(Err(error)) => tracing::error!(
            %error,
            "the worker died of {by}, {deaths} times in a short while, and nothing could be said for it"
        ),
        Err(_) => tracing::error!(
            "the worker died of {by}, {deaths} times in a short while, and what it left is broken"
        ),
    }
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
