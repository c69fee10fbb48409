//! The daemon's life: start, signals, reload, stop.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::prctl::{set_name, set_pdeathsig};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use vrrp_config::{Control, HookPlan, LoadError, load};
use vrrp_control::{Attempt, Daemon, GlobalCounters, Restart, StatusReport};
use vrrp_linux::kernel::OwnerId;
use vrrp_linux::store::{Store, read_text, text_file};
use vrrp_linux::{Driver, Handle, Heritage, HeritageError, StartError};
use vrrp_proto::{Gather, Happening, Plan};

use crate::access;
use crate::agent::{self, Agent};
use crate::annals::Annals;
use crate::archive::{self, Archive};
use crate::chronicle;
use crate::cli::Arguments;
use crate::configuration::{self, Configuration, Source};
use crate::control;
use crate::life::{self, Life, SharedLife};
use crate::mail::Mail;
use crate::notify;
use crate::occasion::{self, Occasion};
use crate::office::{Office, timestamp};
use crate::report::{self, Times};
use crate::restarts::{self, Restarts};
use crate::runtime_dir::{RuntimeDir, RuntimeDirError};
use crate::services::{Services, StatusSource};
use crate::standby;
use crate::standing::StandingOrders;
use crate::state_dir::{self, StateDir};
use crate::summary;
use crate::thrift::Thrift;
use crate::upgrade::{self, Upgrades};
use crate::word::ToKeeper;

/// Where the lock of the runtime directory is in the store.
pub(crate) const LOCK: &str = "lock";

/// Where [`origin`] is in the store.
const ORIGIN: &str = "origin";

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
    /// The keeper's signals and descriptors, or its worker.
    #[error("cannot keep a worker running")]
    Keep(#[source] std::io::Error),
    /// What the last process left.
    #[error(transparent)]
    Heritage(#[from] HeritageError),
    /// The control socket, signals, or the office's own thread.
    #[error("cannot serve {}", .0.display())]
    Serve(PathBuf, #[source] std::io::Error),
}

impl RunError {
    /// 2 for an error in the configuration, 1 for everything else.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Load(_) => 2,
            Self::RuntimeDir(_)
            | Self::Keep(_)
            | Self::Heritage(_)
            | Self::Start(_)
            | Self::Serve(..) => 1,
        }
    }
}

/// Runs as the worker of a keeper until a signal ends it. When the keeper dies, it is asked to stop as well: nobody would
/// replace it.
pub(crate) fn run(arguments: &Arguments, keeper: u32) -> Result<ExitCode, RunError> {
    let Some(heritage) = inherit(arguments, keeper)? else {
        // Another one goes on.
        return Ok(ExitCode::FAILURE);
    };
    let resumed = heritage.is_resumption();
    match work(arguments, keeper, heritage) {
        // Nothing was given up yet, and another attempt may have more luck.
        Err(error @ (RunError::Start(_) | RunError::RuntimeDir(_))) if resumed => {
            tracing::error!("{}", crate::log::chain(&error));
            Ok(ExitCode::from(crate::keeper::DIED))
        }
        outcome => outcome,
    }
}

/// Finds what a worker before this one left, before anything else. The keeper lent us its place ahead of everybody else, which
/// who comes first of all does not need.
fn inherit(arguments: &Arguments, keeper: u32) -> Result<Option<Heritage>, RunError> {
    set_pdeathsig(Signal::SIGTERM).map_err(|error| RunError::Keep(error.into()))?;
    // A dead process is not replaced before its core is written. One byte is the limit that also those who catch cores
    // understand as none (core(5)).
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_CORE) {
        let _ = setrlimit(Resource::RLIMIT_CORE, hard.min(1), hard);
    }
    if nix::unistd::getppid().as_raw().cast_unsigned() != keeper {
        // It died before we could ask to be told.
        return Err(RunError::Keep(std::io::ErrorKind::NotConnected.into()));
    }
    // Otherwise it is called by the name under which the keeper started it, which says nothing.
    let _ = set_name(c"vrrpd");
    let store = std::io::stdin().as_fd().try_clone_to_owned();
    let store = Store::new(store.map_err(RunError::Keep)?);
    if arguments.standby && !standby::wait(arguments, &store) {
        return Ok(None);
    }
    let mut heritage = Heritage::find(store)?;
    let (origin, left) = (origin(arguments), heritage.take(ORIGIN));
    if left.is_some_and(|left| read_text(left).ok().as_ref() != Some(&origin)) {
        tracing::warn!(
            "what was kept is of another boot, network namespace or runtime directory; starting cold"
        );
        heritage = heritage.renounce()?;
    }
    // Without it, what is kept counts as our own.
    let _ = heritage.store().put_text(ORIGIN, &origin);
    if !heritage.is_resumption() {
        vrrp_linux::fall_back();
    }
    Ok(Some(heritage))
}

/// Where and when what is in the store is worth something. A service manager does not know that.
fn origin(arguments: &Arguments) -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let network = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let directory = std::path::absolute(&arguments.runtime_dir).unwrap_or_default();
    let (network, directory) = (network.display(), directory.display());
    format!("{} {network} {directory}", boot.trim())
}

/// What a daemon begins with.
struct Begun {
    runtime_dir: RuntimeDir,
    plan: Plan,
    /// Who may use the sockets.
    control: Option<Control>,
    /// What is to hear of events; absent like that.
    hooks: Option<Vec<HookPlan>>,
    /// Absent until there is time for it.
    kept: Option<(StateDir, Archive)>,
}

/// What is to be run. For whoever goes on where another process died, the plan is part of what that left, and so are the
/// sockets with their groups.
fn begin(arguments: &Arguments, keeper: u32, heritage: &mut Heritage) -> Result<Begun, RunError> {
    let path = &arguments.runtime_dir;
    let runtime_dir = match heritage.take(LOCK) {
        Some(lock) => RuntimeDir::of_another_with(path, lock)?,
        None => RuntimeDir::lock(path, keeper)?,
    };
    if let Some(lock) = runtime_dir.lock_file() {
        heritage.store().put(LOCK, lock).map_err(RunError::Keep)?;
    }
    if heritage.is_resumption() {
        return Ok(Begun {
            runtime_dir,
            plan: Plan::default(),
            control: None,
            hooks: None,
            kept: None,
        });
    }
    let store = heritage.store();
    let state_dir = StateDir::open(&arguments.state_dir, None, store);
    let mut archive = Archive::open(&state_dir, store, None);
    let config = configuration::begin(arguments.config(), &mut archive)?;
    Ok(Begun {
        runtime_dir,
        plan: config.plan,
        control: Some(config.control),
        hooks: Some(config.hooks.into_iter().map(|hook| hook.plan).collect()),
        kept: Some((state_dir, archive)),
    })
}

/// What a file of the store says; nothing, if it is not there or says something else.
fn remembered<T: DeserializeOwned>(file: Option<OwnedFd>) -> Option<T> {
    serde_json::from_str(&read_text(file?).ok()?).ok()
}

fn work(arguments: &Arguments, keeper: u32, mut heritage: Heritage) -> Result<ExitCode, RunError> {
    let Begun {
        runtime_dir,
        plan,
        control,
        hooks,
        kept,
    } = begin(arguments, keeper, &mut heritage)?;
    let resumed = heritage.is_resumption();
    let store = heritage.store().clone();
    let life: Option<Life> = remembered(heritage.take(life::NAME));
    let restarts: Restarts = remembered(heritage.take(restarts::NAME)).unwrap_or_default();
    let history = heritage.take(chronicle::NAME);
    let agent_left = heritage.take(agent::NAME);
    let sockets = [control::NAME, control::READ_ONLY_NAME].map(|name| heritage.take(name));
    let state_lock = heritage.take(state_dir::LOCK);
    let ledger = heritage.take(archive::NAME);
    let occasion: Occasion = remembered(heritage.take(occasion::NAME)).unwrap_or_default();
    let upgrades = Upgrades::new(heritage.take(upgrade::NAME));
    let is_managed = heritage.take(notify::NAME).is_some();
    leave_last_words(&store);
    let (sender, mail) = mpsc::channel::<Mail>(NEWS);
    let weak = sender.downgrade();
    let (state_dir, archive) = kept.map_or_else(
        || {
            let state_dir = StateDir::open(&arguments.state_dir, state_lock, &store);
            (state_dir, None)
        },
        |(state_dir, archive)| (state_dir, Some(archive)),
    );
    let orders = StandingOrders::new(state_dir.clone());
    let driver = {
        // Who goes on where another process died has its orders.
        let recalled = if resumed {
            Box::new(|_| Vec::new())
        } else {
            orders.recall(&plan)
        };
        let sink = Box::new(move |news| sender.try_send(Mail::News(Box::new(news))).is_ok());
        let owner = OwnerId::of(runtime_dir.path());
        Driver::start(&plan, owner, sink, Some(heritage), recalled)?
    };
    // The engine runs; the rest can wait its turn.
    ToKeeper::Started.say(&store);
    if occasion == Occasion::Restart {
        runtime_dir.note(keeper);
    }
    vrrp_linux::fall_back();
    let mut archive = archive.unwrap_or_else(|| Archive::open(&state_dir, &store, ledger));
    // What could not be kept is in the log, and in the status.
    let _ = archive.keep();
    let annals = Annals::new(state_dir.clone());
    let config = arguments.config();
    let serve_error = |error| RunError::Serve(runtime_dir.socket(), error);
    let office = Office::new(
        history.map(chronicle::read).unwrap_or_default(),
        store.clone(),
        annals.last(),
    );
    if !resumed && annals.is_new_boot() {
        office.note_daemon("boot", "the machine was booted since");
    }
    let life = life.unwrap_or_else(|| {
        let life = Life::new();
        life.leave(&store);
        life
    });
    tell_start(
        &office,
        config,
        &driver.handle(),
        plan.routers.len(),
        resumed.then_some((&occasion, &restarts)),
    );
    let agent = Agent::new(agent::Parts {
        program: arguments.agent.clone(),
        journal: arguments.state_dir.join(agent::JOURNAL),
        store: store.clone(),
        office: office.clone(),
        engine: driver.handle(),
        mail: weak,
        since: life.since.clone(),
        resumed,
    });
    if let Some(hooks) = &hooks {
        agent.configure(hooks, &plan);
    }
    // The engine has its own.
    drop(plan);
    let life = SharedLife::new(life);
    let parts = configuration::Parts {
        engine: driver.handle(),
        office: office.clone(),
        life: life.clone(),
        store: store.clone(),
        orders: orders.clone(),
        file: Arc::from(config),
        runtime_dir: Arc::from(runtime_dir.path()),
        agent: agent.clone(),
    };
    let configuration = Configuration::new(parts, archive, control.clone(), hooks);
    if resumed {
        configuration.resume();
    }
    let services = Services {
        status: status_source(
            config,
            keeper,
            &restarts,
            &life,
            &configuration,
            &state_dir,
            &upgrades,
            driver.handle(),
        ),
        configuration,
        office: office.clone(),
        engine: driver.handle(),
        life,
        store,
        state_dir,
        annals: annals.clone(),
        orders,
        agent: agent.clone(),
        upgrades,
        config: Arc::from(config),
        runtime_dir: Arc::from(runtime_dir.path()),
        keeper,
    };
    let running = Running {
        services,
        agent_left,
        sockets,
        control,
        reload: resumed && occasion == Occasion::Restart,
        is_managed,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let (outcome, left) = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(live(running, &runtime_dir, mail));
            // Also when serving has failed: whatever happens, nobody may keep answering for the addresses.
            office.note_daemon("stop", "stopping");
            let left = runtime.block_on(stop(driver));
            runtime.block_on(agent.finish(asked_again()));
            (outcome, left)
        }
        Err(error) => (Err(error), driver.stop()),
    };
    left.iter()
        .for_each(|what| tracing::error!("could not clean up: {what}"));
    runtime_dir.remove_sockets();
    // When nobody waits for us any more.
    annals.flush(&office);
    let died = outcome.map_err(serve_error)?;
    tracing::info!("stopped");
    Ok(if left.is_empty() && !died {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A panic says why to the keeper, too.
fn leave_last_words(store: &Store) {
    let Ok(file) = text_file("") else {
        return;
    };
    let _ = store.put(restarts::LAST_WORDS, file.as_fd());
    let file = Mutex::new(File::from(file));
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let words = payload.downcast_ref::<&str>().copied();
        let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let words = words.unwrap_or("no message");
        // The last one counts.
        let _ = file.set_len(0).and_then(|()| file.rewind());
        let _ = write!(file, "panic: {words}, {}", place.unwrap_or_default());
    }));
}

fn tell_start(
    office: &Office,
    config: &Path,
    engine: &Handle,
    routers: usize,
    resumed: Option<(&Occasion, &Restarts)>,
) {
    let scheduling = engine.scheduling().name();
    if let Some((occasion, restarts)) = resumed {
        let why = restarts
            .last()
            .map_or("for no known reason", |last| &last.reason);
        let (kind, text) = occasion.tell(why);
        if occasion.is_bad_news() {
            tracing::warn!(scheduling, "{text}");
        } else {
            tracing::info!(scheduling, "{text}");
        }
        office.note_daemon(kind, text);
        return;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %config.display(),
        routers,
        scheduling,
        "started"
    );
    let version = env!("CARGO_PKG_VERSION");
    office.note_daemon(
        "start",
        format!("vrrpd {version} started with {}", config.display()),
    );
}

/// What is run.
struct Running {
    services: Services,
    /// The socket to the process that runs hooks, if another process started it.
    agent_left: Option<OwnedFd>,
    /// The control sockets, if another process had them.
    sockets: [Option<OwnedFd>; 2],
    /// Who may use them; absent when another process has seen to that.
    control: Option<Control>,
    /// Whether the file may have changed since it was loaded last.
    reload: bool,
    /// Whether a service manager wants to know how things stand.
    is_managed: bool,
}

impl Running {
    /// The control sockets: for everything, and for asking.
    fn listen(&mut self, runtime_dir: &RuntimeDir) -> std::io::Result<[UnixListener; 2]> {
        let store = &self.services.store;
        let mut anew = false;
        let mut open = |socket: Option<OwnedFd>, path: &Path, name: &str| {
            let inherited = socket.and_then(|socket| control::inherit(socket).ok());
            inherited.map_or_else(
                || {
                    anew = true;
                    control::bind(path, store, name)
                },
                Ok,
            )
        };
        let [full, read_only] = std::mem::take(&mut self.sockets);
        let listeners = [
            open(full, &runtime_dir.socket(), control::NAME)?,
            open(
                read_only,
                &runtime_dir.read_only_socket(),
                control::READ_ONLY_NAME,
            )?,
        ];
        if anew && self.control.is_none() {
            let loaded = load(&self.services.config).ok();
            self.control = loaded.map(|loaded| loaded.config.control);
        }
        if let Some(control) = &self.control {
            access::grant(runtime_dir, control);
        }
        Ok(listeners)
    }
}

/// Serves until a signal comes; `true` when the engine has died instead.
async fn live(
    mut running: Running,
    runtime_dir: &RuntimeDir,
    mut mail: mpsc::Receiver<Mail>,
) -> std::io::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // The keeper reads its signals, and its children begin with them blocked: what came since then comes now.
    let mut signals = SigSet::all();
    // That one is none of ours.
    signals.remove(Signal::SIGUSR2);
    signals.thread_unblock()?;
    let [full, read_only] = running.listen(runtime_dir)?;
    let services = running.services;
    let (office, agent) = (services.office.clone(), services.agent.clone());
    tokio::spawn(agent.clone().keep(running.agent_left));
    tokio::spawn(services.annals.clone().keep(services.office.clone()));
    let server = tokio::spawn(control::serve(full, read_only, services.clone()));
    // The process before this one may have died before it could.
    keep_orders(&services);
    let trials = tokio::spawn(services.configuration.clone().keep_trials());
    tokio::spawn(upgrade::heed(services.clone()));
    let version = env!("CARGO_PKG_VERSION").into();
    ToKeeper::Running { version }.say(&services.store);
    if running.is_managed {
        tokio::spawn(summary::tell(services.clone()));
    }
    if running.reload {
        let configuration = services.configuration.clone();
        tokio::task::spawn_blocking(move || configuration.catch_up());
    }
    let mut thrift = Thrift::new(Instant::now());
    let died = loop {
        let quiet = thrift.due();
        tokio::select! {
            // In this order: events that precede a signal are logged before what the signal does.
            biased;
            next = mail.recv() => match next {
                Some(Mail::Standing(all)) => agent.stand(all),
                Some(Mail::News(next)) => {
                    let ended = matches!(next.event.happening, Happening::OrderEnded { .. });
                    let number = next.event.happening.preparation();
                    agent.tell(&office.note(*next), number);
                    if ended {
                        keep_orders(&services);
                    }
                    thrift.event(Instant::now());
                }
                None => break true,
            },
            _ = terminate.recv() => break false,
            _ = interrupt.recv() => break false,
            _ = hangup.recv() => {
                reload(services.configuration.clone());
                thrift.reload(Instant::now());
            }
            () = sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => {
                vrrp_linux::give_back();
                thrift.done();
            }
        }
    };
    server.abort();
    trials.abort();
    if died {
        tracing::error!("the engine has died; giving everything up");
    } else {
        tracing::info!("asked to stop; handing over");
    }
    // What is still said from here on goes to the log and to hooks only.
    std::thread::spawn(move || {
        while let Some(next) = mail.blocking_recv() {
            if let Mail::News(next) = next {
                let number = next.event.happening.preparation();
                agent.tell(&office.note(*next), number);
            }
        }
    });
    Ok(died)
}

/// Notes for the next start what stands now. What fails is in the log, and in the status.
fn keep_orders(services: &Services) {
    let services = services.clone();
    tokio::task::spawn_blocking(move || {
        let _ = services.orders.save(&services.engine);
    });
}

/// Whoever asks once more does not want to wait for hooks, either.
async fn asked_again() {
    let signals = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    );
    if let (Ok(mut terminate), Ok(mut interrupt)) = signals {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    } else {
        std::future::pending().await
    }
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

/// Loads the file again, where that makes nobody wait. With any error in it nothing changes, and status and events say so.
fn reload(configuration: Configuration) {
    tokio::task::spawn_blocking(move || {
        let outcome =
            configuration.change(configuration::SIGNAL, Source::File, &Attempt::default());
        if let Err(reason) = outcome {
            tracing::error!("nothing changed: {reason}");
        }
    });
}

#[expect(clippy::too_many_arguments, reason = "each is a part of the report")]
fn status_source(
    config: &Path,
    pid: u32,
    restarts: &Restarts,
    life: &SharedLife,
    configuration: &Configuration,
    state_dir: &StateDir,
    upgrades: &Upgrades,
    engine: Handle,
) -> StatusSource {
    let config = config
        .canonicalize()
        .unwrap_or_else(|_| config.to_owned())
        .display()
        .to_string();
    let configuration = configuration.clone();
    let (life, state_dir, upgrades) = (life.clone(), state_dir.clone(), upgrades.clone());
    let last_restart = restarts.last().map(|last| Restart {
        time: timestamp(last.at),
        reason: last.reason.clone(),
    });
    let restarts = restarts.count();
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
        let life = life.lock().clone();
        let protection = engine.protection();
        report::protect(&mut routers, &protection);
        let daemon = Daemon {
            version: env!("CARGO_PKG_VERSION").into(),
            pid,
            worker_pid: std::process::id(),
            restarts,
            last_restart: last_restart.clone(),
            upgrade: upgrades.report(),
            since: life.since,
            config: config.clone(),
            config_loaded: life.loaded,
            reload_error: life.error,
            configuration: configuration.status(),
            state_dir: state_dir.path().display().to_string(),
            state_problem: state_dir.problem(),
            scheduling: engine.scheduling().name().into(),
            memory_locked: engine.memory_locked(),
            unprotected: protection
                .into_iter()
                .filter(|(_, stands)| stands.means.is_none())
                .filter_map(|(interface, stands)| Some((interface, stands.why?)))
                .gather(),
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
