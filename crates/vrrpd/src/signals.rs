//! The signals that concern a daemon, as the keeper reads them.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// They are blocked, and come one by one.
pub(crate) struct Signals {
    fd: SignalFd,
    /// Whether it was asked to stop.
    pub(crate) stopping: bool,
}

impl Signals {
    pub(crate) fn catch() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
            Signal::SIGUSR2,
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
    pub(crate) fn read(&mut self) -> std::io::Result<Vec<Signal>> {
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

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
