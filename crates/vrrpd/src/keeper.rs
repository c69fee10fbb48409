//! The process that outlives a worker which dies, and replaces it.
//!
//! It holds the worker's lock, sockets, state and gates in its [`Keep`]; it decides nothing, and it is small: it reads neither
//! the command line nor the configuration, and does not log until it gives up.
//! A worker that dies by a signal or a panic is replaced at once, and its successor goes on where it was. One that dies
//! again and again is not: the keeper then gives up in its name.
//!
//! A worker is replaced on purpose in two ways: by a [`Trial`] of another program, which the keeper becomes as well in the
//! end, and by the service manager, which keeps everything while the whole daemon is started again.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime};

use clap::Parser;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use vrrp_control::{UpgradeReport, UpgradeStage};
use vrrp_linux::kernel::OwnerId;
use vrrp_linux::store::{Keep, Speaker, read_text, text_file};
use vrrp_proto::Gather;

use crate::cli::Arguments;
use crate::daemon::{LOCK, RunError};
use crate::notify::{self, Manager};
use crate::occasion::{self, Occasion};
use crate::office::timestamp;
use crate::passage::{self, Memory};
use crate::restarts::{self, Restarts};
use crate::runtime_dir::RuntimeDir;
use crate::signals::Signals;
use crate::state_dir;
use crate::trial::{Stage, Trial};
use crate::upgrade;
use crate::word::{self, ToKeeper, ToWorker};

/// A worker that dies this often within [`PERIOD`] has a fault that a new one will have as well.
const DEATHS: usize = 5;

/// See [`DEATHS`].
const PERIOD: Duration = Duration::from_secs(10);

/// What a panic ends a process with, if it is not stopped by a signal; and a worker that could not take another one's
/// place.
pub(crate) const DIED: u8 = 101;

/// A standby is at work sooner than this after the old worker has made way, in milliseconds,
const CHANGE_OF_WORKER_MS: u64 = 50;

/// and a daemon that is started again within this.
const CHANGE_OF_DAEMON_MS: u64 = 250;

/// A worker that was told to make way for a new daemon is not waited for any longer.
const DEPARTURE: Duration = Duration::from_secs(1);

/// A service manager that keeps descriptors is waited for this long, while the worker is at work,
const STORING: Duration = Duration::from_secs(5);

/// and this long when it is not.
const LAST_STORING: Duration = Duration::from_secs(1);

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
    let signals = Signals::catch().map_err(failed)?;
    let arrived = passage::arrive().map_err(failed)?;
    make_room();
    vrrp_linux::come_first();
    vrrp_linux::stay_in_memory();
    let mut keeper = match arrived {
        Some((keep, memory)) => Keeper::resume(signals, keep, memory),
        None => Keeper::begin(signals),
    }
    .map_err(failed)?;
    loop {
        if let Some(code) = keeper.turn().map_err(failed)? {
            return Ok(code);
        }
    }
}

struct Keeper {
    signals: Signals,
    keep: Keep,
    worker: Pid,
    /// Whether the worker has said that it is at work.
    runs: bool,
    deaths: VecDeque<Instant>,
    restarts: Restarts,
    /// What an upgrade looks at unless told otherwise.
    home: PathBuf,
    trial: Option<Trial>,
    upgrade: Option<UpgradeReport>,
    manager: Option<Manager>,
    /// What the manager keeps at present.
    stored: BTreeSet<String>,
    departure: Departure,
}

/// Whether the whole daemon is to be started again by the service manager.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Departure {
    None,
    /// As soon as there is a worker.
    Wanted,
    /// The worker makes way; it is not waited for any longer than this.
    Begun(Instant),
}

impl Keeper {
    fn begin(signals: Signals) -> io::Result<Self> {
        let kept = notify::kept();
        let stored: BTreeSet<String> = kept.keys().cloned().gather();
        let restarts = remembered(kept.get(restarts::NAME)).unwrap_or_default();
        let upgrade = remembered(kept.get(upgrade::NAME));
        let (mut keep, end) = Keep::with(kept)?;
        let manager = Manager::find();
        if manager.is_some() {
            leave_text(&mut keep, notify::NAME, "");
        }
        if !stored.is_empty() {
            leave(&mut keep, occasion::NAME, &Occasion::Restart);
        }
        let worker = spawn(Path::new(OURSELVES), end, &[])?;
        Ok(Self {
            signals,
            keep,
            worker,
            runs: false,
            deaths: VecDeque::new(),
            restarts,
            home: passage::home(),
            trial: None,
            upgrade,
            manager,
            stored,
            departure: Departure::None,
        })
    }

    /// Goes on where another keeper became this program, which has proven itself.
    fn resume(signals: Signals, keep: Keep, memory: Memory) -> io::Result<Self> {
        let mut keeper = Self {
            signals,
            keep,
            worker: Pid::from_raw(memory.worker),
            runs: true,
            deaths: VecDeque::new(),
            restarts: memory.restarts,
            home: memory.home,
            trial: None,
            upgrade: None,
            manager: Manager::find(),
            stored: BTreeSet::new(),
            departure: Departure::None,
        };
        if let Some(mut report) = memory.upgrade {
            report.stage = UpgradeStage::Settled;
            keeper.report(report);
        }
        Ok(keeper)
    }

    /// Waits for something to happen, and does what is to be done.
    fn turn(&mut self) -> io::Result<Option<ExitCode>> {
        self.wait()?;
        if let Some(code) = self.listen()? {
            return Ok(Some(code));
        }
        for signal in self.signals.read()? {
            if signal == Signal::SIGUSR2 {
                self.want_departure();
            } else if signal != Signal::SIGCHLD {
                self.pass_on(signal);
            }
        }
        while let Some((pid, status)) = reaped()? {
            // What it said before it died counts as well.
            if let Some(code) = self.listen()? {
                return Ok(Some(code));
            }
            if let Some(code) = self.died(pid, status)? {
                return Ok(Some(code));
            }
        }
        self.look_at_the_clock()
    }

    fn wait(&self) -> io::Result<()> {
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let lines = self.keep.ends();
        let lines = lines.map(|end| PollFd::new(end, PollFlags::POLLIN));
        let mut ready: Vec<PollFd<'_>> = [signals].into_iter().chain(lines).collect();
        let departure = match self.departure {
            Departure::Begun(limit) => Some(limit),
            Departure::None | Departure::Wanted => None,
        };
        let until = self.trial.as_ref().map(|trial| trial.until);
        let until = until.into_iter().chain(departure).min();
        // Rounded up: a moment too early would be a turn for nothing.
        let patience = until.map(|until| until.saturating_duration_since(Instant::now()) + MOMENT);
        let patience = patience.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut ready, patience) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Serves the worker and a standby, and does what they say.
    fn listen(&mut self) -> io::Result<Option<ExitCode>> {
        self.keep.serve();
        while let Some((speaker, text)) = self.keep.hear() {
            let Some(word) = word::read::<ToKeeper>(&text) else {
                continue;
            };
            match (speaker, word) {
                (Speaker::Standby, ToKeeper::Ready { version, passage }) => {
                    self.is_ready(version, passage);
                }
                (Speaker::Standby, ToKeeper::Unfit { reason }) => self.refuse(reason),
                (Speaker::Worker, ToKeeper::Started) => self.has_started(),
                (Speaker::Worker, ToKeeper::Running { .. }) => self.is_running(),
                (Speaker::Worker, ToKeeper::Left) => {
                    if self.departure != Departure::None {
                        return self.leave().map(Some);
                    }
                    self.promote();
                }
                (Speaker::Worker, ToKeeper::Upgrade { program, from }) => {
                    self.begin_trial(program, from);
                }
                (Speaker::Worker, ToKeeper::Standing { text }) => {
                    self.say(&format!("STATUS={text}"));
                }
                // Out of place.
                (
                    Speaker::Standby,
                    ToKeeper::Started
                    | ToKeeper::Running { .. }
                    | ToKeeper::Left
                    | ToKeeper::Upgrade { .. }
                    | ToKeeper::Standing { .. },
                )
                | (Speaker::Worker, ToKeeper::Ready { .. } | ToKeeper::Unfit { .. }) => {}
            }
        }
        Ok(None)
    }

    fn pass_on(&mut self, signal: Signal) {
        if self.signals.stopping {
            self.refuse("the daemon was asked to stop".into());
            self.departure = Departure::None;
            self.say("STOPPING=1");
        }
        // A worker that has just died is replaced or not; either way the signal was for it.
        let _ = kill(self.worker, signal);
    }

    fn died(&mut self, pid: Pid, status: WaitStatus) -> io::Result<Option<ExitCode>> {
        let standby = self.trial.as_ref().is_some_and(|trial| trial.pid == pid);
        if pid != self.worker {
            // Others made way before.
            if standby {
                let reason = self.reason(status);
                self.refuse(format!("it ended before it was ready: {reason}"));
            }
            return Ok(None);
        }
        if let Departure::Begun(_) = self.departure
            && !self.signals.stopping
        {
            return self.leave().map(Some);
        }
        let code = orderly_end(status);
        if standby && !self.signals.stopping {
            return self.fail(status, code.is_some());
        }
        if let Some(code) = code {
            self.release_stored();
            return Ok(Some(ExitCode::from(u8::try_from(code).unwrap_or(1))));
        }
        if self
            .trial
            .as_ref()
            .is_some_and(|trial| trial.stage == Stage::Waits)
        {
            // As good as an old one that made way.
            self.promote();
            return Ok(None);
        }
        self.refuse("the running worker has died meanwhile".into());
        let reason = self.reason(status);
        self.replace(reason, &Occasion::Death)
    }

    /// Starts a worker in the place of one that died, unless too many have.
    fn replace(&mut self, reason: String, occasion: &Occasion) -> io::Result<Option<ExitCode>> {
        let now = Instant::now();
        self.deaths.push_back(now);
        self.deaths
            .retain(|death| now.duration_since(*death) < PERIOD);
        self.restarts.note(SystemTime::now(), reason);
        if self.signals.stopping || self.deaths.len() >= DEATHS {
            self.release_stored();
            give_up(&self.keep, &self.restarts, self.deaths.len());
            return Ok(Some(ExitCode::FAILURE));
        }
        let end = self.keep.renew()?;
        self.worker = spawn(Path::new(OURSELVES), end, &[])?;
        self.runs = false;
        // The successor says what happened, and does without if there is no memory for it. It is not that fast.
        leave(&mut self.keep, restarts::NAME, &self.restarts);
        leave(&mut self.keep, occasion::NAME, occasion);
        Ok(None)
    }

    fn look_at_the_clock(&mut self) -> io::Result<Option<ExitCode>> {
        let now = Instant::now();
        if let Departure::Begun(limit) = self.departure
            && now >= limit
        {
            return self.leave().map(Some);
        }
        let over = self.trial.as_ref().filter(|trial| now >= trial.until);
        let Some(stage) = over.map(|trial| trial.stage) else {
            return Ok(None);
        };
        match stage {
            Stage::Rehearses => {
                let limit = Stage::Rehearses.limit();
                self.refuse(format!("it was not ready within {} s", limit.as_secs()));
            }
            Stage::Waits => self.refuse("the running worker did not make way for it".into()),
            // Its death is what comes next.
            Stage::Starts => self.end_what_hangs(),
            Stage::Proves if !self.runs => self.end_what_hangs(),
            Stage::Proves => self.settle(),
        }
        Ok(None)
    }

    fn end_what_hangs(&mut self) {
        let _ = kill(self.worker, Signal::SIGKILL);
        if let Some(trial) = &mut self.trial {
            trial.hung = true;
            trial.until = Instant::now() + Stage::Starts.limit();
        }
    }

    /// Why a process died, as a clause.
    fn reason(&mut self, status: WaitStatus) -> String {
        let words = self.keep.take(restarts::LAST_WORDS);
        let words = words.and_then(|file| read_text(file).ok());
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            return words;
        }
        if let WaitStatus::Signaled(_, signal, _) = status {
            format!("killed by {signal}")
        } else if let WaitStatus::Exited(_, code) = status {
            format!("exit status {code}")
        } else {
            format!("{status:?}")
        }
    }

    fn has_started(&mut self) {
        if let Some(trial) = &mut self.trial
            && trial.stage == Stage::Starts
        {
            trial.enter(Stage::Proves);
        }
    }

    fn is_running(&mut self) {
        self.runs = true;
        self.has_started();
        if let Some(trial) = &self.trial
            && trial.stage == Stage::Proves
        {
            let report = trial.report.clone();
            self.report(report);
        }
        self.say("READY=1");
        self.release_stored();
        if self.departure == Departure::Wanted {
            self.want_departure();
        }
        // From here on it waits; what it needs for another worker is what this one needed, too.
        vrrp_linux::give_back();
    }

    // Upgrades.

    fn begin_trial(&mut self, program: Option<String>, from: String) {
        let program = program.map_or_else(|| self.home.clone(), PathBuf::from);
        let report = UpgradeReport {
            number: self.upgrade.as_ref().map_or(0, |last| last.number) + 1,
            time: timestamp(SystemTime::now()),
            program: program.display().to_string(),
            from,
            to: None,
            stage: UpgradeStage::Preparing,
            reason: None,
        };
        let refused = |reason: &str| UpgradeReport {
            stage: UpgradeStage::Refused,
            reason: Some(reason.to_owned()),
            ..report.clone()
        };
        if self.trial.is_some() {
            self.report(refused("another upgrade is under way"));
            return;
        }
        if self.departure != Departure::None || self.signals.stopping {
            self.report(refused("the daemon is about to stop"));
            return;
        }
        let standby = Trial::check(&program).and_then(|()| {
            let end = self.keep.admit()?;
            spawn(&program, end, &["--standby"])
        });
        match standby {
            Ok(pid) => {
                self.trial = Some(Trial::begin(pid, report.clone()));
                self.report(report);
            }
            Err(error) => {
                self.keep.dismiss();
                self.report(refused(&format!("it cannot be started: {error}")));
            }
        }
    }

    fn is_ready(&mut self, version: String, passage: u32) {
        let Some(trial) = self
            .trial
            .as_mut()
            .filter(|trial| trial.stage == Stage::Rehearses)
        else {
            return;
        };
        trial.passage = passage;
        trial.report.to = Some(version);
        trial.enter(Stage::Waits);
        let report = trial.report.clone();
        let whom = format!("vrrpd {}", report.to.as_deref().unwrap_or_default());
        self.report(report);
        self.tell(&ToWorker::StepAside {
            whom,
            change_ms: CHANGE_OF_WORKER_MS,
        });
    }

    /// The standby is the worker from now on.
    fn promote(&mut self) {
        let Some(trial) = self
            .trial
            .as_mut()
            .filter(|trial| trial.stage == Stage::Waits)
        else {
            return;
        };
        trial.enter(Stage::Starts);
        let (standby, from) = (trial.pid, trial.report.from.clone());
        let _ = kill(self.worker, Signal::SIGKILL);
        self.keep.serve();
        leave(&mut self.keep, occasion::NAME, &Occasion::Upgrade { from });
        self.keep.promote();
        self.tell(&ToWorker::Go);
        self.worker = standby;
        self.runs = false;
    }

    /// The new program was at work, and has failed: this one is back.
    fn fail(&mut self, status: WaitStatus, orderly: bool) -> io::Result<Option<ExitCode>> {
        let Some(mut trial) = self.trial.take() else {
            return Ok(None);
        };
        let reason = match self.reason(status) {
            _ if trial.hung => "it did not come to work".to_owned(),
            reason => reason,
        };
        trial.report.stage = UpgradeStage::Failed;
        trial.report.reason = Some(reason.clone());
        if orderly {
            // It gave everything up, and there is nothing to go on from.
            self.keep.keep_only(&[LOCK, state_dir::LOCK, notify::NAME]);
        }
        let program = trial.report.program.clone();
        self.report(trial.report);
        self.replace(
            format!("{program}: {reason}"),
            &Occasion::Return { program, reason },
        )
    }

    /// There is nothing to be had from the new program, and nothing was changed for it.
    fn refuse(&mut self, reason: String) {
        let early = |trial: &Trial| matches!(trial.stage, Stage::Rehearses | Stage::Waits);
        let Some(mut trial) = self.trial.take_if(|trial| early(trial)) else {
            return;
        };
        let _ = kill(trial.pid, Signal::SIGKILL);
        self.keep.dismiss();
        trial.report.stage = UpgradeStage::Refused;
        trial.report.reason = Some(reason);
        self.report(trial.report);
    }

    /// The new program has proven itself: this process becomes it as well.
    fn settle(&mut self) {
        if is_closing()
            && let Some(trial) = &mut self.trial
        {
            trial.until = Instant::now() + AGAIN;
            return;
        }
        let Some(trial) = self.trial.take() else {
            return;
        };
        let mut report = trial.report;
        report.stage = UpgradeStage::Settled;
        let memory = Memory {
            worker: self.worker.as_raw(),
            restarts: self.restarts.clone(),
            upgrade: Some(report.clone()),
            home: self.home.clone(),
        };
        let error = if trial.passage == passage::VERSION {
            passage::become_program_of(self.worker, &self.keep, memory)
        } else {
            io::Error::other("it takes nothing over from this version")
        };
        let version = env!("CARGO_PKG_VERSION");
        report.reason = Some(format!(
            "the process that keeps it running is still vrrpd {version}, and would replace it by that: {error}"
        ));
        self.report(report);
    }

    /// The worker, its successors, and whoever asks are to know of it.
    fn report(&mut self, report: UpgradeReport) {
        leave(&mut self.keep, upgrade::NAME, &report);
        self.tell(&ToWorker::Upgrade(report.clone()));
        self.upgrade = Some(report);
    }

    fn tell(&self, word: &ToWorker) {
        // Whoever is not there finds out otherwise.
        let _ = self.keep.tell(Speaker::Worker, &word::text(word));
    }

    // The service manager.

    fn say(&self, text: &str) {
        if let Some(manager) = &self.manager {
            // It is told again, or finds out by itself.
            let _ = manager.say(text);
        }
    }

    /// What the manager keeps is out of date from now on.
    fn release_stored(&mut self) {
        for name in std::mem::take(&mut self.stored) {
            if let Some(manager) = &self.manager {
                let _ = manager.remove(&name);
            }
        }
    }

    /// Everything is to be kept by the service manager while the daemon is started again.
    fn want_departure(&mut self) {
        if self.signals.stopping || matches!(self.departure, Departure::Begun(_)) {
            return;
        }
        if self.manager.is_none() {
            let text = "SIGUSR2 is for a service manager that keeps descriptors (NOTIFY_SOCKET), which is not there: nothing was done";
            self.warn("refused", text.into());
            return;
        }
        self.departure = Departure::Wanted;
        if !self.runs {
            return;
        }
        self.refuse("the daemon is being restarted".into());
        let names: BTreeSet<String> = self.keep.kept().keys().cloned().gather();
        self.keep.take_changed();
        if let Err(error) = self.store(&names, STORING) {
            self.warn(
                "refused",
                format!("the service manager keeps no descriptors ({error}): handing over instead"),
            );
            self.departure = Departure::None;
            self.release_stored();
            self.signals.stopping = true;
            let _ = kill(self.worker, Signal::SIGTERM);
            return;
        }
        self.departure = Departure::Begun(Instant::now() + DEPARTURE);
        self.tell(&ToWorker::StepAside {
            whom: "a new daemon".into(),
            change_ms: CHANGE_OF_DAEMON_MS,
        });
    }

    /// The worker has made way, or is gone.
    fn leave(&mut self) -> io::Result<ExitCode> {
        let _ = kill(self.worker, Signal::SIGKILL);
        // Those that are left over would hold up the next one.
        let _ = waitpid(self.worker, None);
        self.keep.serve();
        // Before the barrier: what is said after it may be overheard.
        self.say("STOPPING=1");
        // Hardly ever anything: what is written on is the same file. Nobody advertises now, and a manager may be slow.
        let changed = self.keep.take_changed();
        let outcome = if changed.is_empty() {
            Ok(())
        } else {
            self.store(&changed, LAST_STORING)
        };
        Ok(if outcome.is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    /// Gives the manager what is kept under these names, if anything is.
    fn store(&mut self, names: &BTreeSet<String>, limit: Duration) -> io::Result<()> {
        let Some(manager) = &self.manager else {
            return Ok(());
        };
        for name in names {
            // Under one name it would keep several.
            if self.stored.remove(name) {
                manager.remove(name)?;
            }
            if let Some(fd) = self.keep.kept().get(name) {
                manager.store(name, fd.as_fd())?;
                self.stored.insert(name.clone());
            }
        }
        manager.barrier(limit)
    }

    fn warn(&self, kind: &str, text: String) {
        let kind = kind.to_owned();
        self.tell(&ToWorker::Warn { kind, text });
    }
}

/// More than a timer is early.
const MOMENT: Duration = Duration::from_millis(1);

/// What cannot be done yet is tried again after this.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether sockets are being closed on threads of their own. To become another program, the kernel would wait for these, and
/// they for its routing lock; nobody would replace a worker meanwhile.
fn is_closing() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() > 1)
}

/// The program of this process, also when its file was replaced.
const OURSELVES: &str = "/proc/self/exe";

/// A program as a worker, with its end of the store as its standard input.
fn spawn(program: &Path, end: OwnedFd, more: &[&str]) -> io::Result<Pid> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut command = Command::new(program);
    command
        .arg0(name)
        .args(arguments)
        .arg(format!("--worker={}", std::process::id()))
        .args(more)
        .stdin(Stdio::from(end))
        // What a terminal sends to all of us is to come once.
        .process_group(0);
    for variable in notify::VARIABLES.into_iter().chain([passage::VARIABLE]) {
        command.env_remove(variable);
    }
    let child = command.spawn()?;
    Ok(Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)))
}

/// The exit code of a process that ended by itself, in good order or for a reason that holds for the next one as well.
fn orderly_end(status: WaitStatus) -> Option<i32> {
    if let WaitStatus::Exited(_, code) = status {
        Some(code).filter(|code| *code != i32::from(DIED))
    } else {
        None
    }
}

/// A child that has died.
fn reaped() -> io::Result<Option<(Pid, WaitStatus)>> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => Ok(None),
        Ok(status) => Ok(status.pid().map(|pid| (pid, status))),
        Err(error) => Err(error.into()),
    }
}

fn leave<T: serde::Serialize>(keep: &mut Keep, name: &str, what: &T) {
    if let Ok(text) = serde_json::to_string(what) {
        leave_text(keep, name, &text);
    }
}

fn leave_text(keep: &mut Keep, name: &str, text: &str) {
    if let Ok(file) = text_file(text) {
        keep.leave(name, file);
    }
}

fn remembered<T: serde::de::DeserializeOwned>(file: Option<&OwnedFd>) -> Option<T> {
    let text = read_text(file?.try_clone().ok()?).ok()?;
    serde_json::from_str(&text).ok()
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
