//! Control-C as something to wait for, so that what was found is still said.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Readable when the user wants an end: SIGINT or SIGTERM.
pub(crate) struct Interrupt(SignalFd);

impl Interrupt {
    /// From now on these signals end nothing by themselves.
    ///
    /// # Errors
    /// Those of signalfd(2).
    pub(crate) fn catch() -> io::Result<Self> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block()?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)?))
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
