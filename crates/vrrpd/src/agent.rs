//! The process that runs hooks and probes for this one: it is started when there are any, and again when it dies; and it outlives this
//! process. Its socket is in the store, so that a successor goes on with it.
//!
//! What a hook hears of is found out in two ways. Events are told as they happen, each with its number, and after a change of
//! either process again from the first that did not arrive. And after each change is said how all routers stand, as the engine
//! knows it: what got lost on the way, because somebody died, makes a difference there.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use vrrp_config::HookPlan;
use vrrp_control::agent::{
    FromAgent, HookCount, HookEvent, HookRun, HookSpec, Invocation, RouterFacts, Stand, Standing,
    SubjectKind, ToAgent,
};
use vrrp_control::{
    EventRecord, HookReport, HookTrial, HooksReport, ProbeReport, ProbeRun, decode, encode,
};
use vrrp_linux::store::Store;
use vrrp_proto::{Plan, TrackerPlan};

use crate::hooks;
use crate::mail::Mail;
use crate::office::{Office, timestamp};

/// Where the socket is in the store.
pub(crate) const NAME: &str = "agent";

/// In the state directory: what was delivered.
pub(crate) const JOURNAL: &str = "hooks";

/// The program.
const PROGRAM: &str = "vrrp-agent";

/// What is to be told and not written yet. An agent that does not read for so long is replaced, and told again.
const OUTGOING: usize = 4096;

/// So long an agent may take to say how its probes are doing.
const MOMENT: Duration = Duration::from_secs(1);

/// So long an agent may not read at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between the end of one agent and the start of the next one, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// Kinds of events after which another priority may count.
const PRIORITY: [&str; 3] = ["adjusted", "changed", "order-ended"];

/// When the daemon stops, hooks that are due are waited for this long.
const LAST: Duration = Duration::from_secs(8);

/// The agent, whether it runs or not. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Agent(Arc<Inner>);

struct Inner {
    parts: Parts,
    desk: Mutex<Desk>,
    /// There is something to write, or an agent is wanted.
    wake: Notify,
    /// Whether one is there.
    there: watch::Sender<bool>,
}

/// What it works with.
pub(crate) struct Parts {
    /// Its program, if that was said.
    pub(crate) program: Option<PathBuf>,
    /// Where it notes what it delivered.
    pub(crate) journal: PathBuf,
    pub(crate) store: Store,
    pub(crate) office: Office,
    pub(crate) engine: vrrp_linux::Handle,
    /// The way to the office on which news comes. It ends with the engine.
    pub(crate) mail: mpsc::WeakSender<Mail>,
    /// Since when the daemon runs.
    pub(crate) since: String,
    /// Whether this process goes on where another one was.
    pub(crate) resumed: bool,
}

#[derive(Default)]
struct Desk {
    hooks: Vec<HookSpec>,
    routers: BTreeMap<String, RouterFacts>,
    /// The members of groups.
    groups: BTreeMap<String, Vec<String>>,
    /// Those that the kernel does not tell of.
    probes: Vec<TrackerPlan>,
    /// Routers whose addresses wait for hooks.
    waiting: BTreeMap<String, Waiting>,
    /// The priority that counted last, by the name of the router.
    priorities: BTreeMap<String, u8>,
    /// Whether it is known which hooks there are.
    configured: bool,
    stage: Stage,
    outgoing: VecDeque<ToAgent>,
    /// It does not read.
    choked: bool,
    /// Events up to this one are nothing to an agent that does not know of any.
    floor: u64,
    pid: Option<u32>,
    problem: Option<String>,
    counts: BTreeMap<String, HookCount>,
    tries: BTreeMap<u64, oneshot::Sender<(HookRun, Vec<String>)>>,
    looks: BTreeMap<u64, oneshot::Sender<Vec<ProbeReport>>>,
    asks: BTreeMap<u64, oneshot::Sender<Option<ProbeRun>>>,
    /// The number of the last question, of all three kinds.
    tried: u64,
    /// The daemon stops.
    finishing: bool,
}

/// A router whose addresses wait for hooks.
#[derive(Default)]
struct Waiting {
    /// The event in the history that said so, if it was this process's, and which time that is to the engine.
    asked: Option<(u64, u64)>,
    /// It is Active already, since this event. Hooks hear of that when its addresses go live.
    active: Option<HookEvent>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Stage {
    #[default]
    Absent,
    /// It was asked what it has.
    Greeting,
    /// It is told what happens.
    Up,
    /// It makes way for another one, or for none.
    Retiring,
}

impl Desk {
    fn say(&mut self, message: ToAgent) {
        if self.outgoing.len() < OUTGOING {
            self.outgoing.push_back(message);
        } else {
            self.choked = true;
        }
    }

    /// What hooks hear of a record, if it is for them.
    fn event(&mut self, record: &EventRecord) -> Option<HookEvent> {
        let mut event = hooks::event(record)?;
        event.priority = self.priorities.get(&event.name).copied();
        match event.state {
            Some(Standing::PreActive) => {
                let waiting = self.waiting.entry(event.name.clone()).or_default();
                waiting.active = None;
            }
            Some(Standing::Active) if *record.kind == *"role" => {
                if let Some(waiting) = self.waiting.get_mut(&event.name) {
                    waiting.active = Some(event);
                    return None;
                }
            }
            Some(_) => {
                let before = self.waiting.remove(&event.name);
                // Why it is Active, and when its addresses were live.
                if let Some(active) = before.and_then(|it| it.active)
                    && event.state == Some(Standing::Active)
                {
                    let HookEvent { reason, text, .. } = active;
                    event = HookEvent {
                        reason,
                        text,
                        ..event
                    };
                }
            }
            // Those before it preempts are done, and it does so next.
            None if *record.kind == *"prepared" => _ = self.waiting.remove(&event.name),
            None => {}
        }
        Some(event)
    }

    fn say_hooks(&mut self) {
        self.say(ToAgent::Hooks {
            hooks: self.hooks.clone(),
            routers: self.routers.clone(),
            groups: self.groups.clone(),
        });
        self.say(ToAgent::Probes {
            trackers: self.probes.clone(),
        });
    }

    /// That of a question which is asked now; why none can be asked.
    fn number(&mut self) -> Result<u64, String> {
        if self.stage != Stage::Up {
            let why = self.problem.as_deref().unwrap_or("it is being started");
            return Err(format!("the process that probes is not there: {why}"));
        }
        self.tried += 1;
        Ok(self.tried)
    }

    const fn has_nothing_to_do(&self) -> bool {
        self.hooks.is_empty() && self.probes.is_empty()
    }

    const fn is_wanted(&self) -> bool {
        !self.has_nothing_to_do() && !self.finishing
    }
}

impl Agent {
    pub(crate) fn new(parts: Parts) -> Self {
        let desk = Desk {
            // Who goes on where another process was has told of it, or does not know whether anybody was to be told.
            floor: if parts.resumed {
                parts.office.last()
            } else {
                0
            },
            ..Desk::default()
        };
        Self(Arc::new(Inner {
            parts,
            desk: Mutex::new(desk),
            wake: Notify::new(),
            there: watch::Sender::new(false),
        }))
    }

    /// Other hooks from now on, and another plan.
    pub(crate) fn configure(&self, hooks: &[HookPlan], plan: &Plan) {
        let mut desk = self.desk();
        if desk.configured && desk.hooks.is_empty() {
            desk.floor = self.0.parts.office.last();
        }
        desk.configured = true;
        desk.hooks = hooks.iter().map(hooks::spec).collect();
        let probes = plan.trackers.iter().filter(|it| it.kind.is_probed());
        desk.probes = probes.cloned().collect();
        // What only hooks are told.
        (desk.routers, desk.groups, desk.priorities) = if hooks.is_empty() {
            Default::default()
        } else {
            let (facts, groups) = (hooks::facts(plan), hooks::groups(plan));
            (facts, groups, hooks::priorities(plan))
        };
        if desk.stage == Stage::Up {
            if desk.has_nothing_to_do() {
                desk.stage = Stage::Retiring;
                desk.say(ToAgent::Retire);
            } else {
                desk.say_hooks();
                self.ask_standing();
            }
        }
        drop(desk);
        self.0.wake.notify_one();
    }

    /// Something happened; `number` says which time it is, where addresses begin to wait.
    pub(crate) fn tell(&self, record: &EventRecord, number: Option<u64>) {
        let mut desk = self.desk();
        if let Some((number, router)) = number.zip(record.router.as_ref()) {
            let waiting = desk.waiting.entry(router.clone()).or_default();
            waiting.asked = Some((record.sequence, number));
        }
        // Otherwise it is told when one is there.
        if desk.stage == Stage::Up
            && let Some(event) = desk.event(record)
        {
            desk.say(ToAgent::Event(event));
            drop(desk);
            self.0.wake.notify_one();
        } else if desk.stage == Stage::Up
            && PRIORITY.contains(&&*record.kind)
            && Handle::try_current().is_ok()
        {
            drop(desk);
            self.ask_standing();
        }
    }

    /// This is how everybody stands, after all that was told.
    pub(crate) fn stand(&self, all: Vec<Stand>) {
        let mut desk = self.desk();
        let known = all
            .iter()
            .filter_map(|it| Some((it.name.clone(), it.priority?)));
        let waits = |name: &str| {
            let stand = all.iter().find(|it| it.name == name);
            stand.is_some_and(|it| it.state == Some(Standing::PreActive))
        };
        desk.waiting.retain(|name, _| waits(name));
        for stand in all.iter().filter(|it| waits(&it.name)) {
            desk.waiting.entry(stand.name.clone()).or_default();
        }
        if !desk.hooks.is_empty() {
            desk.priorities.extend(known);
        }
        if desk.stage == Stage::Up {
            desk.say(ToAgent::Standing {
                id: self.0.parts.office.last(),
                time: timestamp(SystemTime::now()),
                all,
            });
            drop(desk);
            self.0.wake.notify_one();
        }
    }

    /// Keeps an agent running for as long as there are hooks. `left` is the socket to one that an earlier process started.
    pub(crate) async fn keep(self, mut left: Option<OwnedFd>) {
        let mut pause = PAUSES.0;
        while !self.desk().finishing {
            let connected = match left.take() {
                Some(socket) => Ok((socket, None)),
                None => {
                    self.wanted().await;
                    self.start().map(|(socket, child)| (socket, Some(child)))
                }
            };
            let begun = Instant::now();
            let ended = match connected {
                Ok((socket, child)) => self.serve(socket, child).await,
                Err(error) => Err(error),
            };
            let _ = self.0.parts.store.remove(NAME);
            self.gone(ended.err());
            if begun.elapsed() > PAUSES.1 {
                pause = PAUSES.0;
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Tells the agent that the daemon stops, and waits until everybody has heard it, for a limited time, and until `hurry`.
    pub(crate) async fn finish(&self, hurry: impl Future<Output = ()>) {
        {
            let mut desk = self.desk();
            desk.finishing = true;
            if desk.stage != Stage::Absent {
                let within_ms = u64::try_from(LAST.as_millis()).unwrap_or(u64::MAX);
                desk.say(ToAgent::Finish { within_ms });
            }
        }
        self.0.wake.notify_one();
        let mut there = self.0.there.subscribe();
        let gone = async {
            let _ = there.wait_for(|there| !there).await;
        };
        tokio::select! {
            () = gone => {}
            () = sleep(LAST + Duration::from_secs(1)) => {
                tracing::warn!("hooks were still running when the daemon ended");
            }
            () = hurry => {}
        }
    }

    /// The hooks, for those who ask.
    pub(crate) fn report(&self) -> HooksReport {
        let desk = self.desk();
        let report = |hook: &HookSpec| {
            let count = desk.counts.get(&hook.name).cloned().unwrap_or_default();
            HookReport {
                hook: hook.clone(),
                runs: count.runs,
                failures: count.failures,
                coalesced: count.coalesced,
                last: count.last,
            }
        };
        HooksReport {
            version: vrrp_control::VERSION,
            agent_pid: desk.pid,
            problem: desk.problem.clone(),
            hooks: desk.hooks.iter().map(report).collect(),
        }
    }

    /// What has this name; the names that there are if nothing has.
    pub(crate) fn subject(&self, name: &str) -> Result<SubjectKind, Vec<String>> {
        let desk = self.desk();
        if desk.routers.contains_key(name) {
            Ok(SubjectKind::Router)
        } else if desk.groups.contains_key(name) {
            Ok(SubjectKind::Group)
        } else {
            let all = desk.routers.keys().chain(desk.groups.keys());
            Err(all.cloned().collect())
        }
    }

    /// Runs a hook because somebody wants to see that, or only says how it would be.
    pub(crate) async fn try_out(
        &self,
        name: &str,
        mut event: HookEvent,
        dry_run: bool,
    ) -> Result<HookTrial, String> {
        let (trial, answer) = {
            let mut desk = self.desk();
            let hook = desk.hooks.iter().find(|hook| hook.name == name).cloned();
            let Some(hook) = hook else {
                let known: Vec<&str> = desk.hooks.iter().map(|hook| hook.name.as_str()).collect();
                return Err(format!(
                    "there is no hook {name}; there {}",
                    match &known[..] {
                        [] => "are none in the configuration that runs".to_owned(),
                        [only] => format!("is {only}"),
                        many => format!("are {}", many.join(", ")),
                    }
                ));
            };
            if event.name.is_empty() && event.event != "start" {
                let first = hook.routers.first().or_else(|| desk.routers.keys().next());
                event.name = first.cloned().unwrap_or_default();
                if desk.groups.contains_key(&event.name) {
                    event.subject = SubjectKind::Group;
                }
            }
            event.router = desk.routers.get(&event.name).cloned();
            let trial = HookTrial {
                version: vrrp_control::VERSION,
                hears: hook.hears(&event),
                invocation: Invocation::of(&hook, &event),
                event,
                hook,
                run: None,
                output: Vec::new(),
            };
            if dry_run {
                return Ok(trial);
            }
            if desk.stage != Stage::Up {
                let why = desk.problem.as_deref().unwrap_or("it is being started");
                return Err(format!("the process that runs hooks is not there: {why}"));
            }
            desk.tried += 1;
            let (sender, answer) = oneshot::channel();
            let (number, event) = (desk.tried, trial.event.clone());
            desk.tries.insert(number, sender);
            desk.say(ToAgent::Try {
                number,
                hook: name.to_owned(),
                event,
            });
            (trial, answer)
        };
        self.0.wake.notify_one();
        let limit = Duration::from_millis(trial.hook.timeout_ms) + PATIENCE;
        match timeout(limit, answer).await {
            Ok(Ok((run, output))) => Ok(HookTrial {
                run: Some(run),
                output,
                ..trial
            }),
            Ok(Err(_)) | Err(_) => Err("the process that runs hooks has died meanwhile".into()),
        }
    }

    /// How the probes are doing; a sentence instead, if nobody knows.
    pub(crate) async fn probes(&self) -> Result<Vec<ProbeReport>, String> {
        let (number, answer) = {
            let mut desk = self.desk();
            if desk.probes.is_empty() {
                return Ok(Vec::new());
            }
            let number = desk.number()?;
            let (sender, answer) = oneshot::channel();
            desk.looks.insert(number, sender);
            desk.say(ToAgent::Look { number });
            (number, answer)
        };
        self.0.wake.notify_one();
        let answer = timeout(MOMENT, answer).await;
        self.desk().looks.remove(&number);
        let silent = "the process that probes does not answer";
        answer.ok().and_then(Result::ok).ok_or(silent.to_owned())
    }

    /// Makes the probe of a tracker at once, and says how it went. The engine has been told of it by then.
    pub(crate) async fn probe(&self, tracker: &str) -> Result<ProbeRun, String> {
        let (number, answer, limit) = {
            let mut desk = self.desk();
            let Some(plan) = desk.probes.iter().find(|it| it.name == tracker) else {
                return Err(format!(
                    "{tracker} is not probed: the kernel tells of it at once; see `vrrpctl show trackers`"
                ));
            };
            let limit = plan.kind.pace().map_or(MOMENT, |pace| pace.timeout) + PATIENCE;
            let number = desk.number()?;
            let (sender, answer) = oneshot::channel();
            desk.asks.insert(number, sender);
            let tracker = tracker.to_owned();
            desk.say(ToAgent::Probe { number, tracker });
            (number, answer, limit)
        };
        self.0.wake.notify_one();
        let answer = timeout(limit, answer).await;
        self.desk().asks.remove(&number);
        match answer {
            Ok(Ok(Some(run))) => Ok(run),
            Ok(Ok(None)) => Err(format!("too many wait for {tracker} already")),
            Ok(Err(_)) => Err("the process that probes has died meanwhile".into()),
            Err(_) => Err("the process that probes does not answer".into()),
        }
    }

    async fn wanted(&self) {
        loop {
            if self.desk().is_wanted() {
                return;
            }
            self.0.wake.notified().await;
        }
    }

    /// Starts one. This process has its memory locked, so that it must not be copied for that: without anything to be done
    /// between fork and exec, it is not.
    fn start(&self) -> io::Result<(OwnedFd, Child)> {
        let parts = &self.0.parts;
        let program = find(parts.program.as_deref())?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let child = Command::new(&program)
            .arg("--journal")
            .arg(&parts.journal)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            // Dozens of its threads wait for disks, and each would have a heap of its own from the GNU library.
            .env("MALLOC_ARENA_MAX", "2")
            // What a terminal sends to all of us is for the keeper.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", program.display()))
            })?;
        // Without it, a successor starts another one, which this one is waited for by.
        let _ = parts.store.put(NAME, ours.as_fd());
        Ok((ours.into(), child))
    }

    /// Speaks with an agent until it is gone.
    async fn serve(&self, socket: OwnedFd, child: Option<Child>) -> io::Result<()> {
        let _child = child.map(Reaped);
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let (reader, mut writer) = UnixStream::from_std(socket)?.into_split();
        {
            let mut desk = self.desk();
            desk.stage = Stage::Greeting;
            desk.choked = false;
            desk.outgoing.clear();
            let greeting = ToAgent::Greet {
                worker: std::process::id(),
                since: self.0.parts.since.clone(),
                last: desk.floor,
            };
            desk.say(greeting);
        }
        self.0.there.send_replace(true);
        // The process before this one may have died in the middle of a line.
        writer.write_all(b"\n").await?;
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        loop {
            let due: Vec<ToAgent> = self.desk().outgoing.drain(..).collect();
            for message in due {
                let line = encode(&message)?;
                // It reads whatever else it does.
                timeout(PATIENCE, writer.write_all(&line)).await??;
            }
            if self.desk().choked {
                return Err(io::Error::other("it does not read what it is told"));
            }
            tokio::select! {
                read = reader.read_until(b'\n', &mut line) => {
                    if read? == 0 {
                        return Ok(());
                    }
                    if let Ok(message) = decode(&line) {
                        self.hear(message);
                    }
                    line.clear();
                }
                () = self.0.wake.notified() => {}
            }
        }
    }

    fn hear(&self, message: FromAgent) {
        match message {
            FromAgent::Hello {
                worker,
                pid,
                program,
                accepted,
                hooks,
            } => {
                if worker == std::process::id() {
                    self.is_there(pid, program, accepted, hooks);
                }
            }
            FromAgent::Said { hook, name, line } => {
                tracing::info!(hook, router = name, "{line}");
            }
            FromAgent::Sample { tracker, sample } => {
                self.0.parts.engine.samples(vec![(tracker, sample)]);
            }
            FromAgent::Ran(run) => self.has_run(run),
            FromAgent::Prepared { name, id } => self.is_prepared(name, id),
            FromAgent::Tried {
                number,
                run,
                output,
            } => {
                let waiting = self.desk().tries.remove(&number);
                if let Some(waiting) = waiting {
                    // Who asked may be gone.
                    let _ = waiting.send((run, output));
                }
            }
            FromAgent::Looked { number, probes } => {
                if let Some(waiting) = self.desk().looks.remove(&number) {
                    let _ = waiting.send(probes);
                }
            }
            FromAgent::Probed { number, run } => {
                if let Some(waiting) = self.desk().asks.remove(&number) {
                    let _ = waiting.send(run);
                }
            }
            FromAgent::Warn { text } => self.warn(text),
        }
    }

    fn is_there(&self, pid: u32, program: (u64, u64), accepted: u64, hooks: Vec<HookCount>) {
        let parts = &self.0.parts;
        let ours = find(parts.program.as_deref()).and_then(|path| path.metadata());
        let replaced = ours.is_ok_and(|ours| (ours.dev(), ours.ino()) != program);
        let mut desk = self.desk();
        if desk.stage != Stage::Greeting {
            return;
        }
        desk.pid = Some(pid);
        let counts = hooks.into_iter().map(|count| (count.hook.clone(), count));
        desk.counts = counts.collect();
        if (replaced || desk.configured && desk.has_nothing_to_do()) && !desk.finishing {
            desk.stage = Stage::Retiring;
            desk.say(ToAgent::Retire);
            return;
        }
        desk.stage = Stage::Up;
        desk.problem = None;
        if desk.configured {
            desk.say_hooks();
        }
        // Nothing is entered meanwhile that is not told as well: what comes from the engine is told by the thread we are on.
        let (history, _) = parts.office.subscribe();
        for record in &history {
            // Also of what it knows: who waits follows from what happened before.
            let event = desk.event(record);
            if let Some(event) = event.filter(|_| record.sequence > accepted) {
                desk.say(ToAgent::Event(event));
            }
        }
        drop(desk);
        self.ask_standing();
    }

    /// The answer comes with the news, so that it overtakes none.
    fn ask_standing(&self) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || {
            let mail = this.0.parts.mail.clone();
            this.0.parts.engine.inspect(move |engine, _| {
                if let Some(mail) = mail.upgrade() {
                    // When there is no room, much is on its way that will be told.
                    let _ = mail.try_send(Mail::Standing(hooks::standing(engine)));
                }
            })
        });
    }

    /// What the addresses of a router waited for is done. To hear that costs the engine a moment, and us none.
    fn is_prepared(&self, name: String, id: u64) {
        let asked = self.desk().waiting.get(&name).and_then(|it| it.asked);
        // Of an earlier time, or by way of a comparison, in which the number of the last event stands for all.
        let number = asked
            .filter(|(event, _)| *event <= id)
            .map(|(_, number)| number);
        if asked.is_some() && number.is_none() {
            return;
        }
        let engine = self.0.parts.engine.clone();
        tokio::task::spawn_blocking(move || engine.prepared(name, number));
    }

    fn has_run(&self, run: HookRun) {
        let mut desk = self.desk();
        let count = desk.counts.entry(run.hook.clone()).or_default();
        count.runs += 1;
        count.failures += u64::from(!run.good);
        count.last = Some(run.clone());
        drop(desk);
        let HookRun {
            hook,
            event,
            name,
            took_ms,
            good,
            outcome,
            lines_lost,
            ..
        } = run;
        if lines_lost > 0 {
            tracing::warn!(hook, router = name, "wrote {lines_lost} lines more");
        }
        if good {
            tracing::info!(hook, router = name, event, took_ms, "{outcome}");
        } else {
            let text = format!("hook {hook} for {event}: {outcome}");
            tracing::warn!(router = name, kind = "hook-failed", took_ms, "{text}");
            let router = Some(name).filter(|name| !name.is_empty());
            self.0.parts.office.enter(router, "hook-failed", text);
        }
    }

    fn gone(&self, error: Option<io::Error>) {
        let mut desk = self.desk();
        let retired = desk.stage == Stage::Retiring || desk.finishing;
        desk.stage = Stage::Absent;
        desk.pid = None;
        desk.tries.clear();
        desk.looks.clear();
        desk.asks.clear();
        let why = match error {
            Some(error) => format!("the process that runs hooks and probes: {error}"),
            None => "the process that runs hooks and probes has ended; another one is started"
                .to_owned(),
        };
        let said = desk.problem.as_ref() == Some(&why);
        if !retired {
            desk.problem = Some(why.clone());
        }
        drop(desk);
        if !retired && !said {
            self.warn(why);
        }
        self.0.there.send_replace(false);
    }

    fn warn(&self, text: String) {
        tracing::warn!(kind = "agent", "{text}");
        self.0.parts.office.note_daemon("agent", text);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A child of which nothing stays behind.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        // It has closed its socket, or does not do what it is there for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program: where it was said to be, or where this one was installed.
pub(crate) fn find(said: Option<&Path>) -> io::Result<PathBuf> {
    let candidates = match said {
        Some(path) => vec![path.to_owned()],
        None => {
            let ours = std::env::current_exe()?;
            let folder = ours.parent().unwrap_or(Path::new("/"));
            vec![
                folder.join(PROGRAM),
                folder.join("../libexec/vrrpd").join(PROGRAM),
            ]
        }
    };
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| {
        let paths: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        let text = format!(
            "{PROGRAM}, which runs hooks and probes, is not there: {} does not exist; install it, or say where it is with --agent",
            paths.join(" nor ")
        );
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}
