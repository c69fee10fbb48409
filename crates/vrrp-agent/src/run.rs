//! A run of a hook: who runs it, what it may do, and how it ends.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{geteuid, pipe2};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use vrrp_config::trusted;
use vrrp_control::agent::{HookAction, HookEvent, HookRun, HookSpec, Invocation};
use vrrp_linux::child::{Child, Program, start};

use crate::account::Account;
use crate::output::Lines;
use crate::probe::span;
use crate::{fifo, webhook};

/// Lines of one run that are shown.
const SHOWN: usize = 50;

/// Between the request to end and the end.
const GRACE: Duration = Duration::from_secs(2);

/// What was written and not read yet when a program ends.
const REST: Duration = Duration::from_millis(100);

/// Where programs are found by those that are run; nothing else is inherited.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) good: bool,
    /// It could not even begin.
    pub(crate) unable: bool,
    pub(crate) outcome: String,
    pub(crate) lines_lost: u64,
}

impl Ended {
    pub(crate) fn good() -> Self {
        Self {
            good: true,
            unable: false,
            outcome: "done".into(),
            lines_lost: 0,
        }
    }

    pub(crate) fn bad(outcome: impl Into<String>) -> Self {
        Self {
            good: false,
            unable: false,
            outcome: outcome.into(),
            lines_lost: 0,
        }
    }
}

/// RFC 3339 in UTC with microseconds.
pub(crate) fn now() -> String {
    timestamp(SystemTime::now())
}

/// RFC 3339 in UTC with microseconds.
pub(crate) fn timestamp(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at)
        .map_or_else(|_| String::new(), |timestamp| format!("{timestamp:.6}"))
}

/// Runs `hook` for `event`, and says each line it writes. What runs is ended when `hurry` says so.
pub(crate) async fn run(
    hook: &HookSpec,
    event: &HookEvent,
    mut hurry: watch::Receiver<bool>,
    say: impl FnMut(String),
) -> HookRun {
    let (time, begun) = (now(), Instant::now());
    let limit = begun + Duration::from_millis(hook.timeout_ms);
    let invocation = Invocation::of(hook, event);
    let late = format!(
        "gave up after {}",
        span(Duration::from_millis(hook.timeout_ms))
    );
    let ended = match &hook.action {
        HookAction::Exec {
            user, capabilities, ..
        } => {
            let order = Order {
                command: &invocation.command,
                user: user.as_deref(),
                capabilities,
                environment: &invocation.environment,
                input: &invocation.input,
                timeout: Duration::from_millis(hook.timeout_ms),
            };
            execute(&order, &mut hurry, say).await
        }
        HookAction::Fifo { path } => {
            let writing = fifo::write(Path::new(path), invocation.input.as_bytes());
            unless(&mut hurry, limit, &late, writing).await
        }
        HookAction::Webhook { url } => {
            unless(
                &mut hurry,
                limit,
                &late,
                webhook::post(url, &invocation.input),
            )
            .await
        }
    };
    HookRun {
        hook: hook.name.clone(),
        id: event.id,
        event: event.event.clone(),
        name: event.name.clone(),
        time,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        good: ended.good,
        outcome: ended.outcome,
        lines_lost: ended.lines_lost,
    }
}

/// What `work` comes to, unless it takes too long.
async fn unless(
    hurry: &mut watch::Receiver<bool>,
    limit: Instant,
    late: &str,
    work: impl Future<Output = Ended>,
) -> Ended {
    tokio::select! {
        ended = timeout_at(limit, work) => ended.unwrap_or_else(|_| Ended::bad(late)),
        _ = hurry.wait_for(|now| *now) => Ended::bad("broken off at the end"),
    }
}

/// Why it may not be run, or whom it is run as. May wait for a disk, or for whoever knows the users.
fn admit(program: &str, user: Option<&str>) -> Result<Account, String> {
    let account = Account::of(user)?;
    let whose = account
        .identity
        .as_ref()
        .map_or_else(|| geteuid().as_raw(), |identity| identity.user);
    match trusted(Path::new(program), whose) {
        Ok(_) => Ok(account),
        Err(why) => Err(format!("not run: {why}")),
    }
}

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) command: &'a [String],
    /// As somebody else.
    pub(crate) user: Option<&'a str>,
    pub(crate) capabilities: &'a [String],
    /// Beside what everybody has.
    pub(crate) environment: &'a BTreeMap<String, String>,
    /// What it reads.
    pub(crate) input: &'a str,
    pub(crate) timeout: Duration,
}

/// Runs a program, and says each line that it writes. When this is dropped, it is killed with all that it has started.
pub(crate) async fn execute(
    order: &Order<'_>,
    hurry: &mut watch::Receiver<bool>,
    say: impl FnMut(String),
) -> Ended {
    let limit = Instant::now() + order.timeout;
    match spawn(order).await {
        Ok(running) => follow(running, order, limit, hurry, say).await,
        Err(why) => Ended {
            unable: true,
            ..Ended::bad(why)
        },
    }
}

/// A program that was started, and what it is told and says.
struct Running {
    child: Child,
    /// Absent if there is nothing to be told.
    input: Option<pipe::Sender>,
    output: pipe::Receiver,
}

async fn spawn(order: &Order<'_>) -> Result<Running, String> {
    let Some(program) = order.command.first() else {
        return Err("not run: there is no command".into());
    };
    let (path, name) = (program.clone(), order.user.map(str::to_owned));
    let account = tokio::task::spawn_blocking(move || admit(&path, name.as_deref()))
        .await
        .unwrap_or_else(|error| Err(error.to_string()))?;
    begin(order, &account).map_err(|error| format!("cannot run {program}: {error}"))
}

fn begin(order: &Order<'_>, account: &Account) -> std::io::Result<Running> {
    let words = order.command.iter().map(|word| CString::new(word.as_str()));
    let words = words.collect::<Result<Vec<_>, _>>()?;
    let mut environment = vec![CString::new(format!("PATH={PATH}"))?];
    for (name, value) in &account.environment {
        let bytes = [name.as_bytes(), b"=", value.as_bytes()].concat();
        environment.push(CString::new(bytes)?);
    }
    for (name, value) in order.environment {
        environment.push(CString::new(format!("{name}={value}"))?);
    }
    let (output, its_output) = pipe2(OFlag::O_CLOEXEC)?;
    let (its_input, input) = if order.input.is_empty() {
        (File::open("/dev/null")?.into(), None)
    } else {
        let (its_input, input) = pipe2(OFlag::O_CLOEXEC)?;
        (its_input, Some(input))
    };
    // Ours do not wait; a program expects that its own do.
    let output = pipe::Receiver::from_owned_fd(output)?;
    let input = input.map(pipe::Sender::from_owned_fd).transpose()?;
    let program = Program {
        words: &words,
        environment: &environment,
        identity: account.identity.as_ref(),
        capabilities: order.capabilities,
    };
    Ok(Running {
        child: start(&program, its_input.as_fd(), its_output.as_fd())?,
        input,
        output,
    })
}

/// Waits for it to end, and sees to it that it does.
async fn follow(
    running: Running,
    order: &Order<'_>,
    limit: Instant,
    hurry: &mut watch::Receiver<bool>,
    mut say: impl FnMut(String),
) -> Ended {
    let Running {
        mut child,
        input,
        output,
    } = running;
    if let Some(mut pipe) = input {
        let input = order.input.to_owned();
        // Whoever does not read it does without.
        tokio::spawn(async move { pipe.write_all(input.as_bytes()).await });
    }
    let mut output = Lines::new(output);
    let (mut shown, mut lines_lost) = (0, 0);
    let mut note = |line: Option<String>| {
        let Some(line) = line else {
            return;
        };
        if shown < SHOWN {
            shown += 1;
            say(line);
        } else {
            lines_lost += 1;
        }
    };
    // Why it was asked to end.
    let mut asked: Option<String> = None;
    let mut due = limit;
    let mut ended: Option<nix::Result<WaitStatus>> = None;
    loop {
        tokio::select! {
            // What it wrote comes before its end.
            biased;
            line = output.next(), if output.is_open() => note(line),
            status = child.wait(), if ended.is_none() => {
                if asked.is_some() {
                    // Nothing of it stays behind.
                    child.signal(Signal::SIGKILL);
                }
                // What it leaves behind on purpose may stay.
                ended = Some(status);
                due = Instant::now() + REST;
            }
            _ = hurry.wait_for(|now| *now), if asked.is_none() && ended.is_none() => {
                asked = Some("ended with the daemon".into());
                child.signal(Signal::SIGTERM);
                due = Instant::now() + REST;
            }
            () = sleep_until(due) => {
                if ended.is_some() {
                    // Somebody whom it started has its pipe.
                    break;
                } else if asked.is_none() {
                    asked = Some(format!("killed after {}", span(order.timeout)));
                    child.signal(Signal::SIGTERM);
                    due = Instant::now() + GRACE;
                } else {
                    child.signal(Signal::SIGKILL);
                    due = Instant::now() + GRACE;
                }
            }
        }
        if ended.is_some() && !output.is_open() {
            break;
        }
    }
    let (good, how) = match ended {
        Some(Ok(WaitStatus::Exited(_, 0))) => (true, "done".to_owned()),
        Some(Ok(status)) => (false, describe(status)),
        Some(Err(error)) => (false, error.to_string()),
        None => (false, "it does not end".to_owned()),
    };
    Ended {
        good: good && asked.is_none(),
        unable: false,
        outcome: asked.unwrap_or(how),
        lines_lost,
    }
}

fn describe(status: WaitStatus) -> String {
    if let WaitStatus::Exited(_, code) = status {
        format!("exit status {code}")
    } else if let WaitStatus::Signaled(_, signal, _) = status {
        format!("killed by {signal}")
    } else {
        format!("{status:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout_ms: u64) -> HookSpec {
        HookSpec {
            name: "a".into(),
            on: vec!["active".into()],
            routers: Vec::new(),
            coalesce: true,
            timeout_ms,
            action: HookAction::Exec {
                command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
                keepalived: false,
                user: None,
                capabilities: Vec::new(),
            },
        }
    }

    async fn outcome(script: &str, timeout_ms: u64) -> (HookRun, Vec<String>) {
        let event = HookEvent {
            name: "lan4".into(),
            event: "active".into(),
            ..HookEvent::default()
        };
        let (_sender, hurry) = watch::channel(false);
        let mut said = Vec::new();
        let run = run(&hook(script, timeout_ms), &event, hurry, |line| {
            said.push(line)
        })
        .await;
        (run, said)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn it_is_told_and_heard() {
        let (run, said) = outcome("cat; echo $VRRP_NAME >&2; pwd; env | wc -l; exit 3", 5000).await;
        assert_eq!((run.good, run.outcome.as_str()), (false, "exit status 3"));
        assert!(
            said.iter().any(|line| line.starts_with("{\"id\":0")),
            "{said:?}"
        );
        assert!(said.contains(&"lan4".to_owned()) && said.contains(&"/".to_owned()));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_it_started_ends_with_it() {
        let begun = Instant::now();
        let (run, said) = outcome("sleep 71.25 & echo $!; trap : TERM; wait; sleep 72", 300).await;
        assert_eq!(run.outcome, "killed after 300 ms");
        let pid: i32 = said[0].parse().unwrap();
        let alive = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
        // Killed already, and reaped by whoever became its parent, or about to be.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(alive.is_err() || state.contains(") Z"), "{state}");
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn one_that_leaves_somebody_behind_is_not_waited_for() {
        let begun = Instant::now();
        let (run, _) = outcome("sleep 5.5 & exit 0", 20_000).await;
        assert!(run.good && begun.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_flood_of_words_is_cut() {
        let (run, said) = outcome("yes | head -n 100000", 20_000).await;
        assert_eq!((said.len(), run.lines_lost, run.good), (50, 99_950, true));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn there_is_nothing_that_it_may_do() {
        let (run, said) = outcome("grep -E 'Cap(Eff|Prm|Inh|Amb)' /proc/self/status", 5000).await;
        assert!(run.good, "{run:?}");
        assert!(
            said.iter().all(|line| line.ends_with("0000000000000000")),
            "{said:?}"
        );
    }
}
