//! `vrrpd` and `vrrpctl` as a test sees them: processes, files and a status report.

use crate::clock::{Stamp, ms, wait_for};
use crate::manager::{self, Manager};
use crate::netns::Namespace;
use crate::process::Process;
use crate::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

/// A running daemon with its own configuration file and runtime directory.
pub struct Daemon {
    process: Process,
    scratch: Scratch,
    namespace: String,
    starts: u32,
    line: String,
    manager: Option<Arc<Manager>>,
}

impl Daemon {
    /// Starts the daemon as a service of `manager`, and waits until it is ready; later starts go the same way.
    ///
    /// # Panics
    /// If it is not ready within 5 s.
    #[must_use]
    pub fn start_managed(namespace: &Namespace, config: &str, manager: &Arc<Manager>) -> Self {
        let scratch = Scratch::new("vrrpd");
        scratch.write("vrrpd.toml", config);
        let line = manager::LINE.to_owned();
        let process = launch(namespace, scratch.path(), 0, &line, Some(manager.as_ref()));
        manager.wait_ready(ms(5000));
        Self {
            process,
            scratch,
            namespace: namespace.name().to_owned(),
            starts: 0,
            line,
            manager: Some(Arc::clone(manager)),
        }
    }

    /// Starts the daemon in `namespace` and waits until its control socket answers.
    ///
    /// # Panics
    /// If it does not answer within 5 s.
    #[must_use]
    pub fn start(namespace: &Namespace, config: &str) -> Self {
        let daemon = Self::launch(namespace, config);
        daemon.wait_answering();
        daemon
    }

    /// Starts the daemon without waiting for anything.
    #[must_use]
    pub fn launch(namespace: &Namespace, config: &str) -> Self {
        Self::launch_by(namespace, config, "")
    }

    /// As [`Daemon::launch`], by a line of shell that ends in `"$@"`, the daemon's command line, and in which `$0` is the
    /// runtime directory; later starts go the same way. The shell has a mount namespace of its own.
    #[must_use]
    pub fn launch_by(namespace: &Namespace, config: &str, line: &str) -> Self {
        let scratch = Scratch::new("vrrpd");
        scratch.write("vrrpd.toml", config);
        let process = launch(namespace, scratch.path(), 0, line, None);
        Self {
            process,
            scratch,
            namespace: namespace.name().to_owned(),
            starts: 0,
            line: line.to_owned(),
            manager: None,
        }
    }

    /// Starts it again in the same directory, after it has ended.
    ///
    /// # Panics
    /// If it does not answer within 5 s.
    pub fn restart(&mut self, namespace: &Namespace) {
        self.relaunch(namespace);
        self.wait_answering();
    }

    /// Starts it again in the same directory without waiting.
    pub fn relaunch(&mut self, namespace: &Namespace) {
        assert!(!self.process.runs(), "the daemon still runs");
        self.starts += 1;
        self.process = launch(
            namespace,
            self.scratch.path(),
            self.starts,
            &self.line,
            self.manager.as_deref(),
        );
    }

    fn wait_answering(&self) {
        let answers = wait_for(ms(5000), || self.try_status());
        assert!(
            answers.is_some(),
            "no answer on the control socket within 5 s; the daemon said:\n{}",
            self.process.output()
        );
    }

    /// The configuration file.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.scratch.path().join("vrrpd.toml")
    }

    /// Replaces the configuration file; the daemon does not know until [`Daemon::reload`].
    pub fn write_config(&self, config: &str) {
        self.scratch.write("vrrpd.toml", config);
    }

    /// Sends SIGHUP; returns when.
    pub fn reload(&self) -> Stamp {
        self.process.signal(Signal::SIGHUP)
    }

    /// Sends SIGTERM; returns when. The daemon is still leaving.
    pub fn terminate(&self) -> Stamp {
        self.process.signal(Signal::SIGTERM)
    }

    /// Sends SIGTERM and waits at most 5 s for the end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        self.terminate();
        self.wait(Duration::from_secs(5))
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        self.process
            .wait(limit)
            .unwrap_or_else(|| panic!("the daemon still runs after {limit:?}"))
    }

    /// Sends SIGKILL to all its processes; returns when.
    pub fn kill(&mut self) -> Stamp {
        // The one that was started would replace the other.
        self.process.signal(Signal::SIGSTOP);
        let at = Stamp::now();
        for worker in self.process.children() {
            // One that is already gone needs no signal.
            let _ = kill(worker, Signal::SIGKILL);
        }
        self.process.kill();
        at
    }

    /// Sends any signal; returns when. Those that end or stop a process at once go to all of them, and others to the one that
    /// was started, whose business they are.
    pub fn signal(&self, signal: Signal) -> Stamp {
        if !matches!(signal, Signal::SIGSTOP | Signal::SIGCONT | Signal::SIGKILL) {
            return self.process.signal(signal);
        }
        if signal == Signal::SIGKILL {
            // A worker whose keeper dies first stops in good order.
            self.process.signal(Signal::SIGSTOP);
        }
        let at = Stamp::now();
        for worker in self.process.children() {
            // As above.
            let _ = kill(worker, signal);
        }
        self.process.signal(signal);
        at
    }

    /// The id of the process that was started.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.process.pid().as_raw()
    }

    /// The id of the process that does the work.
    ///
    /// # Panics
    /// If there is none within 1 s.
    #[must_use]
    pub fn worker(&self) -> i32 {
        let worker = wait_for(ms(1000), || self.process.children().first().copied());
        worker.expect("the daemon has a worker").as_raw()
    }

    /// All its processes.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        let workers = self.process.children();
        let all = [self.process.pid()].into_iter().chain(workers);
        all.map(Pid::as_raw).collect()
    }

    /// Sends a signal to the process that does the work; returns when.
    pub fn signal_worker(&self, signal: Signal) -> Stamp {
        let worker = Pid::from_raw(self.worker());
        let at = Stamp::now();
        let _ = kill(worker, signal);
        at
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }

    /// What it wrote to its standard error since its last start.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Resident memory of all its processes in KiB.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let of = |pid: i32| -> Option<u64> {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix(" kB")?.trim().parse().ok()
        };
        self.pids().into_iter().filter_map(of).sum()
    }

    /// Where in the kernel each of its threads waits: the evidence when it is stuck.
    #[must_use]
    pub fn waits_in(&self) -> String {
        let of = |path: PathBuf| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .replace('\n', " < ")
        };
        let tasks = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
        let tasks = self.pids().into_iter().flat_map(tasks).flatten().flatten();
        let threads = tasks.map(|task| {
            format!(
                "{}: {}",
                of(task.path().join("comm")),
                of(task.path().join("stack"))
            )
        });
        threads.collect::<Vec<_>>().join("; ")
    }

    /// Starts a second daemon on the same files and waits at most 10 s for its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn twin(&self, namespace: &Namespace) -> Output {
        let program = binary("vrrpd");
        let mut command = Command::new("timeout");
        command
            .args(["10", "ip", "netns", "exec", namespace.name()])
            .arg(program);
        command
            .arg("--config")
            .arg(self.config_path())
            .arg("--runtime-dir")
            .arg(self.runtime_dir())
            .arg("--state-dir")
            .arg(self.state_dir());
        command.output().expect("vrrpd starts")
    }

    /// Runs `vrrpctl` against this daemon.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        Command::new("timeout")
            .arg("10")
            .arg(binary("vrrpctl"))
            .arg("--socket")
            .arg(self.socket())
            .args(arguments)
            .output()
            .expect("vrrpctl starts")
    }

    fn socket(&self) -> PathBuf {
        let inside = self.scratch.path().join("run/vrrpd.sock");
        if self.line.is_empty() {
            return inside;
        }
        // Its mounts may be other than ours.
        let root = format!("/proc/{}/root", self.pid());
        Path::new(&root).join(inside.strip_prefix("/").unwrap_or(&inside))
    }

    /// The runtime directory.
    #[must_use]
    pub fn runtime_dir(&self) -> PathBuf {
        self.scratch.path().join("run")
    }

    /// The state directory; the daemon makes it.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// The status report, if the daemon answers.
    #[must_use]
    pub fn try_status(&self) -> Option<Value> {
        let output = self.ctl(&["status", "--json"]);
        output
            .status
            .success()
            .then(|| serde_json::from_slice(&output.stdout).ok())?
    }

    /// The status report.
    ///
    /// # Panics
    /// If the daemon does not answer.
    #[must_use]
    pub fn status(&self) -> Value {
        self.try_status().unwrap_or_else(|| {
            panic!(
                "vrrpctl status --json: {:?}",
                self.ctl(&["status", "--json"])
            )
        })
    }

    /// The report of one router.
    ///
    /// # Panics
    /// If there is none of that name.
    #[must_use]
    pub fn router(&self, name: &str) -> Value {
        let status = self.status();
        let found = status["routers"]
            .as_array()
            .and_then(|all| all.iter().find(|router| router["name"] == name));
        found
            .unwrap_or_else(|| panic!("no router {name:?} in {status:#}"))
            .clone()
    }

    /// The state of one router: `initialize`, `backup` or `active`.
    #[must_use]
    pub fn state(&self, name: &str) -> String {
        self.router(name)["state"]
            .as_str()
            .unwrap_or("no state")
            .to_owned()
    }

    /// When a router's state began.
    ///
    /// # Panics
    /// If the report has no readable `since`.
    #[must_use]
    pub fn since(&self, name: &str) -> Stamp {
        let since = &self.router(name)["since"];
        since
            .as_str()
            .and_then(Stamp::from_rfc3339)
            .unwrap_or_else(|| panic!("since = {since}"))
    }

    /// Waits until a router reaches `state`.
    ///
    /// # Panics
    /// If it does not within `limit`.
    pub fn wait_state(&self, name: &str, state: &str, limit: Duration) {
        let reached = wait_for(limit, || (self.state(name) == state).then_some(()));
        assert!(
            reached.is_some(),
            "{name} is not {state} within {limit:?}: {:#}",
            self.router(name)
        );
    }

    /// A counter of one router.
    ///
    /// # Panics
    /// If it is not in the report.
    #[must_use]
    pub fn counter(&self, name: &str, leaf: &str) -> u64 {
        let statistics = self.router(name)["statistics"].clone();
        statistics[leaf]
            .as_u64()
            .unwrap_or_else(|| panic!("no counter {leaf} in {statistics:#}"))
    }

    /// A counter of the whole daemon.
    ///
    /// # Panics
    /// If it is not in the report.
    #[must_use]
    pub fn global_counter(&self, leaf: &str) -> u64 {
        let statistics = self.status()["statistics"].clone();
        statistics[leaf]
            .as_u64()
            .unwrap_or_else(|| panic!("no global counter {leaf} in {statistics:#}"))
    }

    /// Starts following the events; the lines so far are in [`Events`].
    #[must_use]
    pub fn events(&self, namespace: &Namespace) -> Events {
        assert_eq!(namespace.name(), self.namespace);
        let log = self
            .scratch
            .path()
            .join(format!("events-{}.jsonl", crate::scratch::unique("")));
        let socket = self.socket();
        let socket = socket.to_str().expect("a plain path");
        let process = Process::start(
            namespace,
            &binary("vrrpctl"),
            &["--socket", socket, "events", "-f", "--json"],
            &log,
        );
        // The subscription is made when the tool runs; its own start is not observable from here.
        std::thread::sleep(ms(200));
        let history = process.output().lines().count();
        Events { process, history }
    }
}

/// The event stream of a daemon.
pub struct Events {
    process: Process,
    history: usize,
}

impl Events {
    /// The events since this stream was opened.
    #[must_use]
    pub fn seen(&self) -> Vec<Value> {
        self.process
            .output()
            .lines()
            .skip(self.history)
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

/// Runs `vrrpd --check` on a text, with no namespace and no rights needed.
///
/// # Panics
/// If the daemon cannot be started.
#[must_use]
pub fn check(config: &str) -> Output {
    let scratch = Scratch::new("check");
    let file = scratch.write("vrrpd.toml", config);
    Command::new("timeout")
        .arg("10")
        .arg(binary("vrrpd"))
        .arg("--check")
        .arg(file)
        .output()
        .expect("vrrpd starts")
}

fn launch(
    namespace: &Namespace,
    directory: &Path,
    attempt: u32,
    line: &str,
    manager: Option<&Manager>,
) -> Process {
    let runtime = directory.join("run");
    std::fs::create_dir_all(&runtime).expect("the scratch directory is writable");
    let (config, program) = (directory.join("vrrpd.toml"), binary("vrrpd"));
    let plain = |path: &Path| path.to_str().expect("a plain path").to_owned();
    let log = directory.join(format!("vrrpd-{attempt}.log"));
    let (runtime, state) = (plain(&runtime), plain(&directory.join("state")));
    let options = [
        "--config",
        &plain(&config),
        "--runtime-dir",
        &runtime,
        "--state-dir",
        &state,
    ];
    if line.is_empty() {
        return Process::start(namespace, &program, &options, &log);
    }
    let program = plain(&program);
    let mut arguments = vec!["-c", line, &runtime, &program];
    arguments.extend(options);
    let shell = Path::new("/bin/sh");
    let prepare = |command: &mut Command| {
        if let Some(manager) = manager {
            manager.prepare(command);
        }
    };
    let process = Process::start_with(namespace, shell, &arguments, &log, prepare);
    if let Some(manager) = manager {
        manager.expect(process.pid().as_raw());
    }
    process
}

/// A router's role and how often it has changed: equal before and after means that nothing happened.
#[derive(Clone, Debug)]
pub struct Role {
    state: String,
    since: Stamp,
    transitions: u64,
}

impl PartialEq for Role {
    fn eq(&self, other: &Self) -> bool {
        // Two readings of one moment on the wall clock may differ by what the clocks drifted in between.
        let apart = self
            .since
            .since(other.since)
            .max(other.since.since(self.since));
        self.state == other.state && self.transitions == other.transitions && apart < ms(5)
    }
}

impl Daemon {
    /// The role of a router.
    #[must_use]
    pub fn role(&self, name: &str) -> Role {
        Role {
            state: self.state(name),
            since: self.since(name),
            transitions: self.counter(name, "master-transitions"),
        }
    }
}

/// Finds one of the product's programs: by its environment variable, else in the target directory this test was built into.
///
/// # Panics
/// If it has not been built; the message says how to.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let variable = format!("{}_BIN", name.to_uppercase());
    if let Some(path) = std::env::var_os(&variable).filter(|path| !path.is_empty()) {
        return path.into();
    }
    let me = std::env::current_exe().expect("Linux knows");
    let candidates = me.ancestors().skip(1).flat_map(|directory| {
        [
            directory.join(name),
            directory.join("release").join(name),
            directory.join("debug").join(name),
        ]
    });
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo build -p vrrpd -p vrrpctl -p vrrp-agent` (same CARGO_TARGET_DIR), or set {variable}")
    })
}
