//! The configuration that runs: how it is replaced, and how that is taken back.
//!
//! ```text
//!   file, or an earlier text --> parse --> diff with what the engine runs --> archive --> engine --> events, status
//! ```
//!
//! One change at a time, and all of them on threads that may wait for a disk. The archive is written first: a worker that dies
//! in between finds there what it was to run, and says it to the engine again, which does nothing with what it knows.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::Instant;
use vrrp_config::{
    Config, Control, Difference, HookPlan, LoadError, Loaded, Wrong, diff, diff_control,
    diff_hooks, load, parse, summary,
};
use vrrp_control::{
    Attempt, ChangeReport, ConfigurationEntry, ConfigurationStatus, ForecastReport, HistoryReport,
    Outcome, TextReport,
};
use vrrp_linux::Handle;
use vrrp_linux::store::Store;
use vrrp_proto::Plan;

use crate::access;
use crate::agent::Agent;
use crate::archive::{self, Archive};
use crate::change_report::{self, Judged};
use crate::foresight;
use crate::hooks;
use crate::ledger::{Applied, Ledger};
use crate::life::SharedLife;
use crate::office::{Office, timestamp};
use crate::running;
use crate::runtime_dir::RuntimeDir;
use crate::services::STOPPED;
use crate::standing::StandingOrders;
use crate::what_if::Moment;

/// Who ends a trial that nobody confirms.
const NOBODY: &str = "nobody";

/// Who asks by a signal.
pub(crate) const SIGNAL: &str = "SIGHUP";

/// Routers for which the future is told in time for a client that waits.
const FORESEEN: usize = 500;

/// Longest trial: more is no trial.
const LONGEST_TRIAL: Duration = Duration::from_secs(24 * 60 * 60);

/// The configuration of a running daemon. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Configuration(Arc<Inner>);

struct Inner {
    parts: Parts,
    desk: Mutex<Desk>,
    /// For whoever asks while a change waits for a disk.
    shown: Mutex<ConfigurationStatus>,
    /// When the trial ends.
    end: watch::Sender<Option<Instant>>,
}

/// What it works with.
pub(crate) struct Parts {
    pub(crate) engine: Handle,
    pub(crate) office: Office,
    pub(crate) life: SharedLife,
    pub(crate) store: Store,
    pub(crate) orders: StandingOrders,
    pub(crate) file: Arc<Path>,
    pub(crate) runtime_dir: Arc<Path>,
    pub(crate) agent: Agent,
}

struct Desk {
    archive: Archive,
    /// Who may use the control sockets; absent while that is not known.
    control: Option<Control>,
    /// The hooks; absent while that is not known.
    hooks: Option<Vec<HookPlan>>,
}

/// What is to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// The file.
    File,
    /// The earlier configuration of this number; without one, the one before.
    Earlier(Option<u64>),
}

/// What a text would change.
struct Proposal {
    loaded: Loaded,
    hash: String,
    difference: Vec<Difference>,
}

impl Configuration {
    pub(crate) fn new(
        parts: Parts,
        archive: Archive,
        control: Option<Control>,
        hooks: Option<Vec<HookPlan>>,
    ) -> Self {
        let this = Self(Arc::new(Inner {
            parts,
            desk: Mutex::new(Desk {
                archive,
                control,
                hooks,
            }),
            shown: Mutex::default(),
            end: watch::Sender::new(None),
        }));
        this.publish(&this.desk().archive.ledger);
        this
    }

    /// For the status. Waits for nobody.
    pub(crate) fn status(&self) -> ConfigurationStatus {
        let shown = self.0.shown.lock();
        shown.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Loads a configuration and applies it, or says what is wrong with it, or why it is refused. May wait for a disk.
    pub(crate) fn change(
        &self,
        by: &str,
        source: Source,
        attempt: &Attempt,
    ) -> Result<ChangeReport, String> {
        let mut desk = self.desk();
        let trial = attempt.confirm_seconds.map(trial_of).transpose()?;
        let source = earlier(source, &desk.archive.ledger)?;
        let loaded = match self.fetch(source, &desk.archive)? {
            Ok(loaded) => loaded,
            Err(error) => {
                if !attempt.dry_run {
                    self.refuse(by, &error);
                }
                let judged = Judged::of_error(&error);
                return Ok(judged.report(Outcome::Errors, &[], None, self.status()));
            }
        };
        let proposal = self.propose(loaded, &desk)?;
        if attempt
            .expect
            .as_ref()
            .is_some_and(|seen| *seen != proposal.hash)
        {
            return Err(format!(
                "{} is not what it was a moment ago; look at it again",
                proposal.loaded.file
            ));
        }
        let prediction = self.foresee(by, attempt, &proposal);
        let outcome = if attempt.dry_run {
            Outcome::Previewed
        } else {
            self.apply(&mut desk, by, source, &proposal, trial)?;
            Outcome::Applied
        };
        drop(desk);
        let judged = Judged::of_loaded(&proposal.loaded, &proposal.hash);
        Ok(judged.report(outcome, &proposal.difference, prediction, self.status()))
    }

    /// Keeps what is on trial.
    pub(crate) fn confirm(&self, by: &str) -> Result<ConfigurationEntry, String> {
        let mut desk = self.desk();
        let mut ledger = desk.archive.ledger.clone();
        let Some(last) = ledger.last().cloned().filter(|_| ledger.confirm()) else {
            return Err("no configuration is on trial, so there is nothing to confirm".into());
        };
        // If it cannot be written, a daemon that is started again goes back; that must not be a surprise.
        desk.archive.note(ledger, None, Vec::new());
        let kept = desk.archive.keep();
        self.publish(&desk.archive.ledger);
        let text = format!("{by} confirmed configuration {}", last.number);
        tracing::info!(kind = "confirmed", "{text}");
        self.0.parts.office.note_daemon("confirmed", text);
        match kept {
            Ok(()) => Ok(last),
            Err(error) => Err(format!(
                "configuration {} is confirmed for as long as this daemon runs, but that could not be written down, and one \
                 that is started again would go back: {error}",
                last.number
            )),
        }
    }

    /// The configurations so far.
    pub(crate) fn history(&self) -> HistoryReport {
        HistoryReport {
            version: vrrp_control::VERSION,
            configurations: self.desk().archive.ledger.entries().to_vec(),
            running: self.status(),
        }
    }

    /// The text of one of them, keys hidden.
    pub(crate) fn show(&self, number: Option<u64>) -> Result<TextReport, String> {
        let desk = self.desk();
        let ledger = &desk.archive.ledger;
        let number = number
            .or(ledger.last().map(|last| last.number))
            .unwrap_or(0);
        let entry = ledger
            .entry(number)
            .ok_or_else(|| unknown(number, ledger))?;
        let text = desk.archive.text(number).ok_or_else(|| lost(number))?;
        Ok(TextReport {
            version: vrrp_control::VERSION,
            configuration: entry.clone(),
            text: vrrp_config::hide_secrets(&text),
        })
    }

    /// The hooks of the configuration that runs.
    pub(crate) fn hooks(&self) -> Vec<HookPlan> {
        self.desk().hooks.clone().unwrap_or_default()
    }

    /// For a worker that took the place of another one: makes sure that what was entered last is what runs.
    pub(crate) fn resume(&self) {
        let mut desk = self.desk();
        let ledger = &desk.archive.ledger;
        let last = ledger.last().map(|last| last.number);
        let text = last.and_then(|number| desk.archive.text(number));
        // Without the text, what the engine runs is all that is known.
        let Some(Ok(config)) = text.map(|text| parse(&text)) else {
            return;
        };
        desk.control = Some(config.control);
        let hooks: Vec<HookPlan> = config.hooks.into_iter().map(|hook| hook.plan).collect();
        self.0.parts.agent.configure(&hooks, &config.plan);
        desk.hooks = Some(hooks);
        let differs = self.running();
        if differs.is_some_and(|running| !diff(&running, &config.plan).is_empty()) {
            tracing::warn!("a change of the configuration was not finished, and is made now");
            self.0.parts.engine.reload(Arc::new(config.plan));
        }
    }

    /// For a daemon that was started again and went on where another one was: loads the file, if it says something that
    /// another start would begin with.
    pub(crate) fn catch_up(&self) {
        if let Ok(loaded) = load(&self.0.parts.file) {
            let hash = archive::hash(&loaded.text);
            let ledger = &self.desk().archive.ledger;
            let same = ledger.last().is_some_and(|last| last.hash == hash);
            if same || matches!(ledger.beginning(&hash), crate::ledger::Beginning::LastEntry) {
                return;
            }
        }
        // With what is wrong with a file, nothing changes, and that is said.
        if let Err(reason) = self.change("start", Source::File, &Attempt::default()) {
            tracing::error!("nothing changed: {reason}");
        }
    }

    /// Ends trials that nobody confirms, for as long as it is polled.
    pub(crate) async fn keep_trials(self) {
        let mut end = self.0.end.subscribe();
        loop {
            let due = *end.borrow_and_update();
            let changed = match due {
                None => end.changed().await.is_ok(),
                Some(at) => tokio::select! {
                    changed = end.changed() => changed.is_ok(),
                    () = tokio::time::sleep_until(at) => {
                        let this = self.clone();
                        // If it panicked, the worker after this one does it.
                        tokio::task::spawn_blocking(move || this.give_up()).await.is_ok()
                    }
                },
            };
            if !changed {
                return;
            }
        }
    }

    /// The trial is over.
    fn give_up(&self) {
        let mut desk = self.desk();
        let ledger = &desk.archive.ledger;
        let (Some(left), Some(back_to)) = (ledger.last(), ledger.back_to()) else {
            return;
        };
        // Confirmed or prolonged while this waited for its turn.
        if self.0.end.borrow().is_none_or(|at| at > Instant::now()) {
            return;
        }
        let left = left.number;
        let gone_back = self
            .fetch(Source::Earlier(Some(back_to)), &desk.archive)
            .and_then(|loaded| loaded.map_err(|error| crate::log::chain(&error)))
            .and_then(|loaded| self.propose(loaded, &desk))
            .and_then(|proposal| {
                let source = Source::Earlier(Some(back_to));
                self.apply(&mut desk, NOBODY, source, &proposal, None)
            });
        if let Err(error) = gone_back {
            let text = format!(
                "configuration {left} was not confirmed, but there is no way back to {back_to}: {error}"
            );
            tracing::error!("{text}");
            self.0
                .parts
                .office
                .note_daemon("reload-refused", text.clone());
            self.with_life(|error| *error = Some(text));
            let mut ledger = desk.archive.ledger.clone();
            ledger.confirm();
            desk.archive.note(ledger, None, Vec::new());
            let _ = desk.archive.keep();
            self.publish(&desk.archive.ledger);
        }
    }

    fn fetch(
        &self,
        source: Source,
        archive: &Archive,
    ) -> Result<Result<Loaded, LoadError>, String> {
        let number = match source {
            Source::File => return Ok(load(&self.0.parts.file)),
            Source::Earlier(number) => number.unwrap_or(0),
        };
        let text = archive.text(number).ok_or_else(|| lost(number))?;
        let file = format!("configuration {number}");
        Ok(match parse(&text) {
            Ok(config) => Ok(Loaded { config, file, text }),
            Err(findings) => Err(LoadError::Wrong(Wrong {
                file,
                text,
                findings,
            })),
        })
    }

    fn propose(&self, loaded: Loaded, desk: &Desk) -> Result<Proposal, String> {
        let running = self.running().ok_or(STOPPED)?;
        let control = desk.control.as_ref();
        let control = control.and_then(|old| diff_control(old, &loaded.config.control));
        let mut difference: Vec<Difference> = control.into_iter().collect();
        difference.extend(diff(&running, &loaded.config.plan));
        if let Some(old) = &desk.hooks {
            difference.extend(diff_hooks(old, &hooks_of(&loaded)));
        }
        Ok(Proposal {
            hash: archive::hash(&loaded.text),
            loaded,
            difference,
        })
    }

    /// What follows for the roles, if somebody is to read it.
    fn foresee(
        &self,
        by: &str,
        attempt: &Attempt,
        proposal: &Proposal,
    ) -> Option<Box<ForecastReport>> {
        let plan = &proposal.loaded.config.plan;
        let read = by != SIGNAL && attempt.expect.is_none() && !proposal.difference.is_empty();
        if !read || plan.routers.len() > FORESEEN {
            return None;
        }
        let engine = &self.0.parts.engine;
        let moment = engine.inspect(|engine, now| Moment::of(engine, now))?;
        let forecast = vrrp_forecast::of_plan(moment.handover, moment.now, plan);
        Some(Box::new(foresight::report(
            &forecast,
            timestamp(moment.wall),
        )))
    }

    /// What the engine runs.
    fn running(&self) -> Option<Plan> {
        let engine = &self.0.parts.engine;
        engine.inspect(|engine, _| running::plan(engine))
    }

    fn apply(
        &self,
        desk: &mut Desk,
        by: &str,
        source: Source,
        proposal: &Proposal,
        trial: Option<Duration>,
    ) -> Result<(), String> {
        let now = SystemTime::now();
        let Proposal {
            loaded,
            hash,
            difference,
        } = proposal;
        let before = desk.archive.ledger.clone();
        let mut ledger = before.clone();
        let known = before.last().is_some_and(|last| last.hash == *hash);
        match source {
            Source::File => ledger.forgive(),
            Source::Earlier(_) => ledger.give_up(now, hash),
        }
        let words = match source {
            Source::File => summary(difference),
            Source::Earlier(number) => {
                format!("back to {}: {}", number.unwrap_or(0), summary(difference))
            }
        };
        let forgotten = if known {
            Vec::new()
        } else {
            ledger.enter(Applied {
                at: now,
                by,
                hash,
                summary: &words,
            })
        };
        // What runs already is on trial only if it was before.
        let trial = trial.filter(|_| !known || before.back_to().is_some());
        if let Some(time) = trial {
            let back_to = before.last().map(|last| last.number);
            let back_to = before.back_to().or(back_to).unwrap_or(0);
            if desk.archive.text(back_to).is_none() {
                return Err(format!(
                    "there would be no way back: {}",
                    desk.archive.problem().unwrap_or_else(|| lost(back_to))
                ));
            }
            ledger.try_out(now, time, back_to);
        }
        let text = (!known).then_some(loaded.text.as_str());
        desk.archive.note(ledger, text, forgotten);
        if trial.is_some()
            && let Err(error) = desk.archive.keep()
        {
            // As if nothing had been asked; what is on the disk is at worst the old ledger.
            desk.archive.note(before, None, Vec::new());
            let _ = desk.archive.keep();
            return Err(format!("there would be no way back: {error}"));
        }
        let engine = &self.0.parts.engine;
        engine.reload(Arc::new(loaded.config.plan.clone()));
        // In order, so that whoever gets the answer finds the engine changed.
        engine.inspect(|_, _| ()).ok_or(STOPPED)?;
        // A trial is there already. Otherwise the disk, which takes longer than a reload, comes after it; what fails is in the
        // status.
        let _ = desk.archive.keep();
        // Of routers that are gone there are none any more. What fails is in the log, and in the status.
        let _ = self.0.parts.orders.save(engine);
        self.tell(desk, by, source, proposal, &words);
        Ok(())
    }

    /// After it was applied: sockets, status, log and events.
    fn tell(&self, desk: &mut Desk, by: &str, source: Source, proposal: &Proposal, words: &str) {
        let Parts {
            office,
            runtime_dir,
            ..
        } = &self.0.parts;
        let control = &proposal.loaded.config.control;
        if desk.control.as_ref() != Some(control)
            && let Ok(runtime_dir) = RuntimeDir::of_another(runtime_dir)
        {
            access::grant(&runtime_dir, control);
        }
        desk.control = Some(control.clone());
        let hooks = hooks_of(&proposal.loaded);
        let Parts { agent, .. } = &self.0.parts;
        agent.configure(&hooks, &proposal.loaded.config.plan);
        desk.hooks = Some(hooks);
        self.publish(&desk.archive.ledger);
        self.with_life(|error| *error = None);
        let status = self.status();
        let Loaded { config, file, text } = &proposal.loaded;
        change_report::warn(&config.findings, file, text);
        change_report::warn(&hooks::distrusted(config), file, text);
        let number = status.number;
        let trial = status.trial.map(|trial| {
            let back_to = trial.back_to;
            format!(
                "; goes back to {back_to} at {} unless it is confirmed",
                trial.until
            )
        });
        let trial = trial.unwrap_or_default();
        match source {
            Source::File => {
                let text = format!(
                    "{by} loaded {file}, {} virtual routers, as configuration {number}: {words}{trial}",
                    config.plan.routers.len()
                );
                tracing::info!(kind = "reload", "{text}");
                office.note_daemon("reload", text);
            }
            Source::Earlier(_) if by == NOBODY => {
                let text = format!(
                    "nobody confirmed in time; configuration {number} runs now: {words}; {} may say something else",
                    self.0.parts.file.display()
                );
                tracing::warn!(kind = "rolled-back", "{text}");
                office.note_daemon("rolled-back", text);
            }
            Source::Earlier(_) => {
                let text = format!(
                    "{by} went back, configuration {number} runs now: {words}{trial}; {} may say something else",
                    self.0.parts.file.display()
                );
                tracing::warn!(kind = "rolled-back", "{text}");
                office.note_daemon("rolled-back", text);
            }
        }
    }

    /// Nothing changed, and status and events say why.
    fn refuse(&self, by: &str, error: &LoadError) {
        match error {
            LoadError::Wrong(wrong) => wrong
                .lines()
                .iter()
                .for_each(|line| tracing::error!("{line}")),
            LoadError::Read(..) | LoadError::TooLong(_) => {
                tracing::error!("{}", crate::log::chain(error));
            }
        }
        let text = crate::log::chain(error);
        tracing::error!("nothing changed: the configuration that {by} asked for cannot be used");
        let office = &self.0.parts.office;
        office.note_daemon("reload-refused", format!("nothing changed: {text}"));
        self.with_life(|error| *error = Some(text));
    }

    fn with_life(&self, change: impl FnOnce(&mut Option<String>)) {
        let Parts { life, store, .. } = &self.0.parts;
        let mut life = life.lock();
        change(&mut life.error);
        if life.error.is_none() {
            life.loaded = timestamp(SystemTime::now());
        }
        life.leave(store);
    }

    fn publish(&self, ledger: &Ledger) {
        let mut shown = self.0.shown.lock().unwrap_or_else(PoisonError::into_inner);
        *shown = ledger.status();
        let left = ledger.remaining(SystemTime::now());
        self.0
            .end
            .send_replace(left.map(|left| Instant::now() + left));
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hooks_of(loaded: &Loaded) -> Vec<HookPlan> {
    let hooks = loaded.config.hooks.iter();
    hooks.map(|hook| hook.plan.clone()).collect()
}

fn trial_of(seconds: u64) -> Result<Duration, String> {
    let time = Duration::from_secs(seconds);
    if time.is_zero() || time > LONGEST_TRIAL {
        return Err(format!(
            "a trial takes 1 second to {} hours, not {seconds} s",
            LONGEST_TRIAL.as_secs() / 3600
        ));
    }
    Ok(time)
}

/// The configuration that is meant, by its number.
fn earlier(source: Source, ledger: &Ledger) -> Result<Source, String> {
    let Source::Earlier(number) = source else {
        return Ok(source);
    };
    // Before the trial, or else before the last change.
    let before = || {
        let previous = ledger.previous().map(|previous| previous.number);
        ledger.back_to().or(previous)
    };
    let number = number
        .or_else(before)
        .ok_or("there is no earlier configuration")?;
    let entry = ledger
        .entry(number)
        .ok_or_else(|| unknown(number, ledger))?;
    if ledger.last().is_some_and(|last| last.hash == entry.hash) {
        return Err(format!("configuration {number} is what runs"));
    }
    Ok(Source::Earlier(Some(number)))
}

fn unknown(number: u64, ledger: &Ledger) -> String {
    match ledger.entries() {
        [] => "no configuration is remembered".to_owned(),
        [first, .., last] => format!(
            "there is no configuration {number}; those from {} to {} are remembered",
            first.number, last.number
        ),
        [only] => format!(
            "there is no configuration {number}; only {} is remembered",
            only.number
        ),
    }
}

fn lost(number: u64) -> String {
    format!("the text of configuration {number} is not in the state directory")
}

/// What a daemon that is started begins with: what its file says, unless that was given up. What is new is noted, to be kept
/// when the engine runs.
///
/// # Errors
/// What is wrong with the file, whether it would be used or not.
pub(crate) fn begin(file: &Path, archive: &mut Archive) -> Result<Config, LoadError> {
    let now = SystemTime::now();
    let mut ledger = archive.ledger.clone();
    let over = ledger.remaining(now).is_some_and(|left| left.is_zero());
    if over && let Some(back_to) = ledger.back_to() {
        match archive.text(back_to) {
            Some(text) => {
                let hash = archive::hash(&text);
                ledger.give_up(now, &hash);
                let forgotten = ledger.enter(Applied {
                    at: now,
                    by: NOBODY,
                    hash: &hash,
                    summary: &format!("back to {back_to}, while no daemon ran"),
                });
                archive.note(ledger, Some(&text), forgotten);
            }
            None => tracing::error!("there is no way back: {}", lost(back_to)),
        }
    }
    let loaded = load(file)?;
    let hash = archive::hash(&loaded.text);
    let mut ledger = archive.ledger.clone();
    let last = ledger.last().cloned();
    if let (crate::ledger::Beginning::LastEntry, Some(last)) = (ledger.beginning(&hash), &last) {
        let kept = archive.text(last.number).map(|text| parse(&text));
        if let Some(Ok(config)) = kept {
            tracing::warn!(
                "{} says what was given up: configuration {} runs instead, until the file changes or is loaded by vrrpctl reload",
                loaded.file,
                last.number
            );
            return Ok(config);
        }
        tracing::error!(
            "{} says what was given up, but {}, so it is used",
            loaded.file,
            lost(last.number)
        );
    }
    change_report::warn(&loaded.config.findings, &loaded.file, &loaded.text);
    let distrusted = hooks::distrusted(&loaded.config);
    change_report::warn(&distrusted, &loaded.file, &loaded.text);
    if last.as_ref().is_none_or(|last| last.hash != hash) {
        let old = last.and_then(|last| parse(&archive.text(last.number)?).ok());
        let words = match old {
            Some(old) => summary(&diff(&old.plan, &loaded.config.plan)),
            None => format!("{} virtual routers", loaded.config.plan.routers.len()),
        };
        ledger.forgive();
        let forgotten = ledger.enter(Applied {
            at: now,
            by: "start",
            hash: &hash,
            summary: &words,
        });
        archive.note(ledger, Some(&loaded.text), forgotten);
    }
    Ok(loaded.config)
}
