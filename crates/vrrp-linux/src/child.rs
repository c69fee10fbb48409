//! What a program that is run for somebody else may do: next to nothing of what the daemon may.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::unix::AsyncFd;

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

/// A program to be started.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its path, and what it is told.
    pub words: &'a [CString],
    /// `NAME=VALUE`, all that it has of it.
    pub environment: &'a [CString],
    /// As whom, if not as the calling process.
    pub identity: Option<&'a Identity>,
    /// Names of [`CAPABILITIES`]: it has no others, also if it is root.
    pub capabilities: &'a [String],
}

/// A program that was started here. When this is dropped before it has ended, it is killed with all that it has started.
#[derive(Debug)]
pub struct Child {
    group: Pid,
    /// Absent once it was waited for: the number may be somebody else's then.
    ended: Option<AsyncFd<OwnedFd>>,
}

impl Child {
    fn new(pid: i32, ended: OwnedFd) -> io::Result<Self> {
        let group = Pid::from_raw(pid);
        match syscall::watch(ended) {
            Ok(ended) => Ok(Self {
                group,
                ended: Some(ended),
            }),
            Err(error) => {
                // Without a way to hear of its end it does not run.
                let _ = killpg(group, Signal::SIGKILL);
                let _ = waitid(Id::Pid(group), WaitPidFlag::WEXITED);
                Err(error)
            }
        }
    }

    /// A signal to all of its process group.
    pub fn signal(&self, signal: Signal) {
        let _ = killpg(self.group, signal);
    }

    /// How it ended, once. May be dropped while it waits.
    ///
    /// # Errors
    ///
    /// What the kernel says; that there is none if it was waited for already.
    pub async fn wait(&mut self) -> nix::Result<WaitStatus> {
        let Some(ended) = &self.ended else {
            return Err(nix::Error::ECHILD);
        };
        let status = reap(ended).await;
        self.ended = None;
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            self.signal(Signal::SIGKILL);
            // Nobody else waits for it.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { reap(&ended).await });
            }
        }
    }
}

async fn reap(ended: &AsyncFd<OwnedFd>) -> nix::Result<WaitStatus> {
    loop {
        let guard = ended.readable().await;
        let mut guard = guard.map_err(|_| nix::Error::ECHILD)?;
        let id = Id::PIDFd(ended.get_ref().as_fd());
        let status = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG)?;
        if status != WaitStatus::StillAlive {
            return Ok(status);
        }
        guard.clear_ready();
    }
}

/// Starts a program in a process group of its own, in the root directory, with `input` as its standard input and `output` for both
/// of its outputs, and with no other descriptor that is not closed for it. It is killed when the calling thread ends, which is one
/// of a runtime.
///
/// # Errors
///
/// What the kernel says when it cannot be run.
pub fn start(
    program: &Program<'_>,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> io::Result<Child> {
    let kept = CAPABILITIES
        .iter()
        .filter(|(name, _)| program.capabilities.iter().any(|kept| kept == name));
    let kept = kept.fold(0_u64, |mask, (_, number)| mask | 1 << number);
    let (pid, ended) = syscall::start(
        program.words,
        program.environment,
        [input, output, output],
        program.identity,
        kept,
    )?;
    Child::new(pid, ended)
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use nix::fcntl::OFlag;
    use nix::sys::signal::SigSet;
    use nix::unistd::pipe2;

    use super::*;

    fn begin(words: &[&str], output: BorrowedFd<'_>) -> io::Result<Child> {
        let words: Vec<CString> = words
            .iter()
            .map(|word| CString::new(*word).unwrap())
            .collect();
        let program = Program {
            words: &words,
            environment: &[c"ONE=1".to_owned()],
            identity: None,
            capabilities: &[],
        };
        let nothing = File::open("/dev/null")?;
        start(&program, nothing.as_fd(), output)
    }

    async fn outcome(words: &[&str]) -> (nix::Result<WaitStatus>, String) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let mut child = begin(words, writer.as_fd()).unwrap();
        drop(writer);
        let status = child.wait().await;
        let mut said = String::new();
        File::from(reader).read_to_string(&mut said).unwrap();
        (status, said)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn both_outputs_come_in_the_order_in_which_they_were_written() {
        let script = "echo a; echo b >&2; echo c; env | grep -c ONE=1; pwd; exit 7";
        let (status, said) = outcome(&["/bin/sh", "-c", script]).await;
        assert!(matches!(status, Ok(WaitStatus::Exited(_, 7))), "{status:?}");
        assert_eq!(said, "a\nb\nc\n1\n/\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_cannot_be_run_says_why() {
        let nowhere = File::open("/dev/null").unwrap();
        for (path, why) in [
            ("/no/such/program", nix::Error::ENOENT),
            ("/", nix::Error::EACCES),
        ] {
            let error = begin(&[path], nowhere.as_fd()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(why as i32), "{path}");
        }
    }

    /// It begins with the signals as a shell expects them, whatever this thread blocks and the runtime of Rust ignores.
    #[tokio::test(flavor = "current_thread")]
    async fn signals_are_as_usual() {
        SigSet::all().thread_block().unwrap();
        let (_, said) = outcome(&["/bin/grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"]).await;
        let now = SigSet::thread_get_mask().unwrap();
        SigSet::all().thread_unblock().unwrap();
        assert!(now.contains(Signal::SIGTERM));
        let masks: Vec<u64> = said
            .split_whitespace()
            .filter_map(|word| u64::from_str_radix(word, 16).ok())
            .collect();
        // The two that are the C library's own (32 and 33) it lets nobody change.
        let ours = !(0b11 << 31);
        assert_eq!(masks.len(), 2, "{said}");
        assert_eq!([masks[0] & ours, masks[1] & ours], [0, 0], "{said}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn who_is_forgotten_is_killed() {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
        drop(begin(&["/bin/sleep", "70"], writer.as_fd()).unwrap());
        drop(writer);
        // Nobody has the other end any more.
        let mut rest = Vec::new();
        assert_eq!(File::from(reader).read_to_end(&mut rest).unwrap(), 0);
    }
}
