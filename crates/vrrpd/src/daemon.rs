//! The daemon's life: start, signals, reload, stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use vrrp_control::{Daemon, GlobalCounters, StatusReport};
use vrrp_linux::kernel::OwnerId;
use vrrp_linux::{Driver, Handle, News, StartError};

use crate::check::{self, LoadError};
use crate::cli::Arguments;
use crate::control::{self, StatusSource};
use crate::office::{Office, timestamp};
use crate::report::{self, Times};
use crate::runtime_dir::{RuntimeDir, RuntimeDirError};

/// News on its way from the engine to the office. When it is full, news is lost and counted: the engine must not wait.
const NEWS: usize = 4096;

/// Why the daemon could not run.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    /// The configuration.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The runtime directory.
    #[error(transparent)]
    RuntimeDir(#[from] RuntimeDirError),
    /// The engine.
    #[error("cannot start")]
    Start(#[from] StartError),
    /// The control socket, signals, or the office's own thread.
    #[error("cannot serve {}", .0.display())]
    Serve(PathBuf, #[source] std::io::Error),
}

impl RunError {
    /// 2 for an error in the configuration, 1 for everything else.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Load(_) => 2,
            Self::RuntimeDir(_) | Self::Start(_) | Self::Serve(..) => 1,
        }
    }
}

/// When which configuration was loaded.
#[derive(Debug)]
struct Loaded {
    at: SystemTime,
    error: Option<String>,
}

/// Runs until a signal ends it.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, RunError> {
    let config = arguments.config().to_owned();
    let (loaded, text) = match check::load(&config) {
        Ok(loaded) => loaded,
        Err(error) => {
            if let LoadError::Wrong(wrong) = &error {
                wrong
                    .lines()
                    .iter()
                    .for_each(|line| tracing::error!("{line}"));
            }
            return Err(error.into());
        }
    };
    warn(&loaded.findings, &config, &text);
    let runtime_dir = RuntimeDir::lock(&arguments.runtime_dir)?;
    let serve_error = |error| RunError::Serve(runtime_dir.socket(), error);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(serve_error)?;
    let office = Office::new();
    let (sender, news) = mpsc::channel::<News>(NEWS);
    let driver = {
        let sink = Box::new(move |news| sender.try_send(news).is_ok());
        Driver::start(&loaded.plan, OwnerId::of(runtime_dir.path()), sink)?
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %config.display(),
        routers = loaded.plan.routers.len(),
        scheduling = driver.handle().scheduling().name(),
        "started"
    );
    office.note_daemon(
        "start",
        format!(
            "vrrpd {} started with {}",
            env!("CARGO_PKG_VERSION"),
            config.display()
        ),
    );
    let outcome = runtime.block_on(live(&config, &runtime_dir, &office, &driver.handle(), news));
    // Also when serving has failed: whatever happens, nobody may keep answering for the addresses.
    office.note_daemon("stop", "stopping");
    let left = runtime.block_on(stop(driver));
    left.iter()
        .for_each(|what| tracing::error!("could not clean up: {what}"));
    let _ = std::fs::remove_file(runtime_dir.socket());
    let died = outcome.map_err(serve_error)?;
    tracing::info!("stopped");
    Ok(if left.is_empty() && !died {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Serves until a signal comes; `true` when the engine has died instead.
async fn live(
    config: &Path,
    runtime_dir: &RuntimeDir,
    office: &Office,
    engine: &Handle,
    mut news: mpsc::Receiver<News>,
) -> std::io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let loaded = Arc::new(Mutex::new(Loaded {
        at: SystemTime::now(),
        error: None,
    }));
    let status = status_source(config, engine.clone(), Arc::clone(&loaded));
    let server = tokio::spawn(control::serve(
        control::bind(&runtime_dir.socket())?,
        office.clone(),
        status,
    ));
    let died = loop {
        tokio::select! {
            // In this order: events that precede a signal are logged before what the signal does.
            biased;
            next = news.recv() => match next {
                Some(next) => office.note(next),
                None => break true,
            },
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = hangup.recv() => reload(config, office, engine, &loaded),
        }
    };
    server.abort();
    if died {
        tracing::error!("the engine has died; giving everything up");
    } else {
        tracing::info!("asked to stop; handing over");
    }
    // What is still said from here on goes to the log only.
    let office = office.clone();
    std::thread::spawn(move || {
        while let Some(next) = news.blocking_recv() {
            office.note(next);
        }
    });
    Ok(died)
}

/// Hands everything over. Whoever asks once more does not want to wait for successors.
async fn stop(driver: Driver) -> Vec<String> {
    let engine = driver.handle();
    let mut stopping = tokio::task::spawn_blocking(move || driver.stop());
    // Without handlers the default would end us on the spot, with everything in place.
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    let left = if let (Ok(mut terminate), Ok(mut interrupt)) = signals {
        loop {
            tokio::select! {
                left = &mut stopping => break left,
                _ = terminate.recv() => engine.hurry(),
                _ = interrupt.recv() => engine.hurry(),
            }
        }
    } else {
        stopping.await
    };
    left.unwrap_or_else(|error| vec![format!("the clean-up failed: {error}")])
}

/// Loads the file again. With any error in it nothing changes, and status and events say so.
fn reload(config: &Path, office: &Office, engine: &Handle, loaded: &Mutex<Loaded>) {
    let mut state = loaded.lock().unwrap_or_else(PoisonError::into_inner);
    match check::load(config) {
        Ok((new, text)) => {
            warn(&new.findings, config, &text);
            let text = format!(
                "loaded {}, {} virtual routers",
                config.display(),
                new.plan.routers.len()
            );
            tracing::info!("{text}");
            office.note_daemon("reload", text);
            engine.reload(Arc::new(new.plan));
            *state = Loaded {
                at: SystemTime::now(),
                error: None,
            };
        }
        Err(error) => {
            match &error {
                LoadError::Wrong(wrong) => wrong
                    .lines()
                    .iter()
                    .for_each(|line| tracing::error!("{line}")),
                LoadError::Read(..) | LoadError::TooLong(_) => {
                    tracing::error!("{}", crate::log::chain(&error))
                }
            }
            let text = crate::log::chain(&error);
            tracing::error!(
                "nothing changed: the configuration in {} cannot be used",
                config.display()
            );
            office.note_daemon("reload-refused", format!("nothing changed: {text}"));
            state.error = Some(text);
        }
    }
}

fn status_source(config: &Path, engine: Handle, loaded: Arc<Mutex<Loaded>>) -> StatusSource {
    let config = config
        .canonicalize()
        .unwrap_or_else(|_| config.to_owned())
        .display()
        .to_string();
    let since = timestamp(SystemTime::now());
    let times = Arc::new(Mutex::new(Times::default()));
    Arc::new(move || {
        let times = Arc::clone(&times);
        let (mut routers, statistics) = engine.inspect(move |engine, now| {
            let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
            (
                report::routers(engine, now, &mut times),
                GlobalCounters::from(engine.statistics()),
            )
        })?;
        let protection = engine.protection();
        report::protect(&mut routers, &protection);
        let loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let daemon = Daemon {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            since: since.clone(),
            config: config.clone(),
            config_loaded: timestamp(loaded.at),
            reload_error: loaded.error.clone(),
            scheduling: engine.scheduling().name().into(),
            memory_locked: engine.memory_locked(),
            unprotected: protection
                .into_iter()
                .filter(|(_, stands)| stands.means.is_none())
                .filter_map(|(interface, stands)| Some((interface, stands.why?)))
                .collect(),
            lateness: report::lateness(&engine.lateness()),
        };
        Some(StatusReport {
            version: vrrp_control::VERSION,
            daemon,
            routers,
            statistics,
        })
    })
}

fn warn(findings: &[vrrp_config::Finding], config: &Path, text: &str) {
    for finding in findings {
        let (line, column) = finding.line_column(text);
        tracing::warn!("{}:{line}:{column}: {}", config.display(), finding.message);
    }
}
