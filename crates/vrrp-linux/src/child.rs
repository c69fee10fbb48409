//! What a program that is run for somebody else may do: next to nothing of what the daemon may.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::syscall;

/// A user that a program runs as.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its number.
    pub user: u32,
    /// The number of its own group.
    pub group: u32,
    /// All its groups.
    pub groups: Vec<u32>,
}

/// Capabilities that may be left to a program, in the words of the configuration, with their numbers (capabilities(7)).
pub const CAPABILITIES: [(&str, u32); 3] =
    [("net-bind-service", 10), ("net-admin", 12), ("net-raw", 13)];

/// Those that a process keeps which runs programs for others, beside the ones that it may leave to them: it signals them,
/// changes their user and takes the rest from them.
const OWN: [u32; 4] = [5, 6, 7, 8];

/// Lets `command` run in a process group of its own, as `identity` if there is one, with no other capabilities than these, also
/// if that is root, and no longer than the calling thread.
pub fn confine(command: &mut Command, identity: Option<Identity>, capabilities: &[String]) {
    command.process_group(0);
    let kept = CAPABILITIES
        .iter()
        .filter(|(name, _)| capabilities.iter().any(|kept| kept == name));
    let kept = kept.fold(0_u64, |mask, (_, number)| mask | 1 << number);
    syscall::confine(command, identity, kept);
}

/// The calling process gives up what it needs for nothing: its rank among the processes of this host, and all capabilities but
/// those to run programs for others. What cannot be given up was not there.
pub fn stand_back() {
    syscall::schedule_normally(0);
    // Who is never killed for want of memory is the daemon.
    let _ = std::fs::write("/proc/self/oom_score_adj", "0");
    let all = CAPABILITIES.iter().map(|(_, number)| *number).chain(OWN);
    let kept = all.fold(0, |mask, number| mask | 1 << number);
    // Those whom it starts need not give up one by one what it does not have: hundreds of them may be started in a second.
    let _ = syscall::bound_capabilities(kept);
    syscall::keep_capabilities(kept);
}
