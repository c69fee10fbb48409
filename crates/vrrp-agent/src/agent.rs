//! The loop: what the daemon says goes to the desk, what is due there is run, and what has run is written down.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use vrrp_control::agent::{FromAgent, HookRun, HookSpec, ToAgent};

use crate::desk::{Desk, Job};
use crate::journal::Journal;
use crate::link::{self, Link};
use crate::probe::Probes;
use crate::run::{now, run};

/// Hooks that run at the same time, for different routers. More of them wait.
const AT_ONCE: usize = 32;

/// Hooks whose end waits to be noted. There are no more at a time.
const ENDS: usize = 64;

/// When the daemon is gone without a word, what is due is delivered within this.
const ALONE: Duration = Duration::from_secs(10);

/// After a hook was asked to end, with the daemon.
const LAST: Duration = Duration::from_millis(500);

struct Agent {
    desk: Desk,
    probes: Probes,
    journal: Journal,
    link: Link,
    places: Arc<Semaphore>,
    ends: mpsc::Sender<(Job, HookRun)>,
    hurry: watch::Sender<bool>,
    /// When nothing is waited for any more.
    end: Option<Instant>,
}

/// Works until the daemon has no need of it any more.
pub(crate) async fn work(journal: &Path) -> io::Result<()> {
    let (link, mut incoming) = link::open()?;
    let path = journal.to_owned();
    let opened = tokio::task::spawn_blocking(move || Journal::open(&path)).await;
    let (journal, past, problem) = opened.map_err(io::Error::other)?;
    if let Some(text) = problem {
        let text = format!("what hooks were told will not be known after a crash: {text}");
        link.say(FromAgent::Warn { text });
    }
    let (ends, mut ended) = mpsc::channel(ENDS);
    let mut agent = Agent {
        desk: Desk::new(past),
        probes: Probes::new(link.clone()),
        journal,
        link,
        places: Arc::new(Semaphore::new(AT_ONCE)),
        ends,
        hurry: watch::Sender::new(false),
        end: None,
    };
    let mut hears = true;
    loop {
        agent.go_on();
        if agent.end.is_some() && agent.desk.is_idle() {
            // What was said last is on its way.
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            return Ok(());
        }
        let end = agent.end;
        tokio::select! {
            // What has ended is noted before anything else happens.
            biased;
            Some((job, run)) = ended.recv() => agent.ended(&job, run),
            message = incoming.recv(), if hears => match message {
                Some(message) => agent.obey(message),
                None => {
                    hears = false;
                    agent.probes.configure(Vec::new());
                    if agent.end.is_none() {
                        // Nobody forwards any more, or is about to.
                        agent.desk.stop(&now(), "died", "the daemon is gone");
                        agent.end = Some(Instant::now() + ALONE);
                    }
                }
            },
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                if agent.hurry.send_replace(true) {
                    return Ok(());
                }
                agent.desk.retire();
                agent.end = Some(Instant::now() + LAST);
            }
        }
    }
}

impl Agent {
    fn obey(&mut self, message: ToAgent) {
        match message {
            ToAgent::Greet {
                worker,
                since,
                last,
            } => {
                let accepted = self.desk.greet(&since, last);
                self.link.say(FromAgent::Hello {
                    worker,
                    pid: std::process::id(),
                    program: program(),
                    accepted,
                    hooks: self.desk.counts(),
                });
                self.probes.begin_again();
            }
            ToAgent::Hooks {
                hooks,
                routers,
                groups,
            } => self.desk.configure(hooks, routers, groups),
            ToAgent::Probes { trackers } => self.probes.configure(trackers),
            ToAgent::Event(event) => self.desk.accept(event),
            ToAgent::Standing { id, time, all } => self.desk.compare(id, &time, &all),
            ToAgent::Try {
                number,
                hook,
                mut event,
            } => {
                if let Some(hook) = self.desk.find(&hook, &mut event) {
                    self.try_out(number, hook, event);
                }
            }
            ToAgent::Look { number } => {
                let probes = self.probes.report();
                self.link.say(FromAgent::Looked { number, probes });
            }
            ToAgent::Probe { number, tracker } => self.probes.ask(number, &tracker),
            ToAgent::Finish { within_ms } => {
                self.probes.configure(Vec::new());
                self.desk.stop(&now(), "shutdown", "the daemon stops");
                self.end = Some(Instant::now() + Duration::from_millis(within_ms));
            }
            ToAgent::Retire => {
                self.probes.configure(Vec::new());
                self.desk.retire();
                self.end = Some(Instant::now() + ALONE);
            }
        }
    }

    /// Begins what is due, and writes down what was.
    fn go_on(&mut self) {
        for (hook, job) in self.desk.begin() {
            let (link, ends) = (self.link.clone(), self.ends.clone());
            let (places, hurry) = (Arc::clone(&self.places), self.hurry.subscribe());
            tokio::spawn(async move {
                let _place = places.acquire().await;
                let say = |line| {
                    let (hook, name) = (hook.name.clone(), job.event.name.clone());
                    link.say(FromAgent::Said { hook, name, line });
                };
                let run = run(&hook, &job.event, hurry, say).await;
                let _ = ends.send((job, run)).await;
            });
        }
        for (name, id) in self.desk.take_prepared() {
            self.link.say(FromAgent::Prepared { name, id });
        }
        let lines = self.desk.take_lines();
        let desk = &self.desk;
        self.journal.add(lines, || desk.past());
        let lost = self.desk.take_lost();
        if lost > 0 {
            let text = format!("{lost} runs of hooks were left out, because too many waited");
            self.link.say(FromAgent::Warn { text });
        }
    }

    fn ended(&mut self, job: &Job, run: HookRun) {
        self.link.say(FromAgent::Ran(run.clone()));
        self.desk.end(job, run);
    }

    /// Runs a hook beside all queues, because somebody wants to see it.
    fn try_out(&self, number: u64, hook: HookSpec, event: vrrp_control::agent::HookEvent) {
        let (link, hurry) = (self.link.clone(), self.hurry.subscribe());
        tokio::spawn(async move {
            let mut output = Vec::new();
            let run = run(&hook, &event, hurry, |line| output.push(line)).await;
            link.say(FromAgent::Tried {
                number,
                run,
                output,
            });
        });
    }
}

/// Device and inode of this program.
fn program() -> (u64, u64) {
    let found = std::fs::metadata("/proc/self/exe");
    found.map_or((0, 0), |found| (found.dev(), found.ino()))
}
