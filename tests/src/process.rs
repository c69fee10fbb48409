//! A background process with a log file and a bounded end.

use crate::clock::{Stamp, wait_for};
use crate::netns::Namespace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A process started by a test. It dies with the thread that started it, whatever happens to that thread.
pub struct Process {
    child: Child,
    log: PathBuf,
    name: String,
}

impl Process {
    /// Starts `program` inside `namespace`; its output goes to `log`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(namespace: &Namespace, program: &Path, arguments: &[&str], log: &Path) -> Self {
        Self::start_with(namespace, program, arguments, log, |_| ())
    }

    /// As [`Process::start`], with a command that `prepare` has changed.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(
        namespace: &Namespace,
        program: &Path,
        arguments: &[&str],
        log: &Path,
        prepare: impl FnOnce(&mut Command),
    ) -> Self {
        let file = File::create(log).expect("the log's directory exists");
        let twin = file.try_clone().expect("a file can be cloned");
        // `setpriv` and `ip netns exec` replace themselves, so the child's pid is the program's.
        let mut command = Command::new("setpriv");
        command
            .args([
                "--pdeathsig",
                "KILL",
                "ip",
                "netns",
                "exec",
                namespace.name(),
            ])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(twin);
        prepare(&mut command);
        let child = command
            .spawn()
            .expect("util-linux and iproute2 are installed");
        let name = program
            .file_name()
            .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Self {
            child,
            log: log.to_owned(),
            name,
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pids are small"))
    }

    /// The processes that it started and that still run.
    #[must_use]
    pub fn children(&self) -> Vec<Pid> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let numbers = text.split_whitespace().filter_map(|pid| pid.parse().ok());
        numbers.map(Pid::from_raw).collect()
    }

    /// Sends a signal; returns when.
    pub fn signal(&self, signal: Signal) -> Stamp {
        let at = Stamp::now();
        // A process that is already gone needs no signal.
        let _ = kill(self.pid(), signal);
        at
    }

    /// Waits for the end.
    #[must_use]
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait_for(limit, || self.child.try_wait().ok().flatten())
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it at once.
    pub fn kill(&mut self) -> Stamp {
        let at = self.signal(Signal::SIGKILL);
        let _ = self.wait(Duration::from_secs(5));
        at
    }

    /// What it printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read(&self.log).map_or_else(
            |_| String::new(),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

/// Asks a process to end.
pub fn terminate(pid: i32) {
    // One that is already gone needs no signal.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "the log of a failed test is the evidence, and its file is about to go"
    )]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<&str> = output.lines().collect();
            let tail = &lines[lines.len().saturating_sub(60)..];
            eprintln!(
                "--- {} (last {} of {} lines) ---\n{}\n---",
                self.name,
                tail.len(),
                lines.len(),
                tail.join("\n")
            );
        }
    }
}
