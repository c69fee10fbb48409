//! Those who measure run before those who are measured.

use nix::unistd::gettid;
use std::process::Command;

/// Gives the calling thread a real-time priority below the daemon's, where the kernel grants one.
///
/// A judge who waits for a processor measures himself.
pub(crate) fn raise() {
    let thread = gettid().to_string();
    // Without it the laboratory still works, and says more about the machine.
    let _ = Command::new("chrt")
        .args(["--fifo", "--pid", "5", &thread])
        .output();
}
