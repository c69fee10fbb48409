//! Hooks: which there are, how they are doing, and how one is run.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;
use vrrp_control::agent::{HookAction, HookRun, HookSpec};
use vrrp_control::{Answer, HookReport, HookRequest, HookTrial, HooksReport, Request};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::table::{self, Cell, Column};

/// A hook that is tried may take as long as its timeout, of which an hour is the longest.
const PATIENCE: Duration = Duration::from_secs(3700);

/// What to do about hooks.
#[derive(Debug, Subcommand)]
pub(crate) enum Wanted {
    /// All hooks, and how they are doing
    List,
    /// Run one beside all others, as if something had happened; exit code 1 if it fails
    #[command(after_help = "\
Examples:
  vrrpctl hook run notify --event active --dry-run     command, environment and input; nothing is run
  vrrpctl hook run notify --event fault --router lan4")]
    Run(Try),
}

/// How one is tried.
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// The hook
    name: String,

    /// What is to have happened: active, backup, fault, stop, start, conflict or tracker
    #[arg(long, value_name = "EVENT", value_parser = clap::builder::PossibleValuesParser::new(vrrp_config::HOOK_EVENTS))]
    event: String,

    /// To this virtual router or group [default: the first one that it is for]
    #[arg(long, value_name = "NAME")]
    router: Option<String>,

    /// Only show how it would be run
    #[arg(long)]
    dry_run: bool,
}

const COLUMNS: [Column; 6] = [
    column("HOOK", false, Some(6)),
    column("ON", false, Some(12)),
    column("RUNS", true, None),
    column("FAILED", true, None),
    column("LAST", false, Some(8)),
    column("DOES", false, Some(10)),
];

const fn column(title: &'static str, right: bool, least: Option<usize>) -> Column {
    Column {
        title,
        right,
        least,
    }
}

/// `vrrpctl hook`.
pub(crate) fn run(client: &Client, page: &mut Page, wanted: &Wanted) -> Result<(), Failure> {
    match wanted {
        Wanted::List => {
            let (report, value) = list(client)?;
            page.answer(value, |look| render(&report, look))
        }
        Wanted::Run(wanted) => {
            let request = HookRequest::Run {
                name: wanted.name.clone(),
                event: wanted.event.clone(),
                router: wanted.router.clone(),
                dry_run: wanted.dry_run,
            };
            let known = list(client)?.0.hooks.into_iter().map(|it| it.hook.name);
            let known: Vec<String> = known.collect();
            if !known.contains(&wanted.name) {
                let name = &wanted.name;
                let known = match &known[..] {
                    [] => "the configuration that runs has none".to_owned(),
                    known => format!("there is {}", known.join(", ")),
                };
                return Err(Failure::File(format!("there is no hook {name}; {known}")));
            }
            let client = client.with_patience(PATIENCE);
            let Reply {
                answer: Answer::HookTrial(trial),
                value,
            } = client.ask_one(&Request::Hook(request))?
            else {
                return Err(client.astray());
            };
            page.answer(value, |look| describe(&trial, look))?;
            match &trial.run {
                Some(run) if !run.good => Err(Failure::Wrong(1)),
                Some(_) | None => Ok(()),
            }
        }
    }
}

pub(crate) fn list(client: &Client) -> Result<(Box<HooksReport>, Value), Failure> {
    match client.ask_one(&Request::Hook(HookRequest::List))? {
        Reply {
            answer: Answer::Hooks(report),
            value,
        } => Ok((report, value)),
        _ => Err(client.astray()),
    }
}

/// The page.
fn render(report: &HooksReport, look: &Look) -> String {
    if look.brief {
        let line = |it: &HookReport| {
            let name = plain::text(&it.hook.name);
            format!("{name} {} {}\n", it.runs, it.failures)
        };
        return report.hooks.iter().map(line).collect();
    }
    if report.hooks.is_empty() {
        return "the configuration that runs has no hooks\n".to_owned();
    }
    let rows: Vec<_> = report.hooks.iter().map(|it| row(it, look)).collect();
    let mut text = table::render(look, &COLUMNS, &rows);
    if let Some(problem) = &report.problem {
        let mark = look.paint(Tone::Bad, "!");
        text.push_str(&format!("\n{mark} {}\n", plain::text(problem)));
    }
    for it in &report.hooks {
        if let Some(run) = it.last.as_ref().filter(|run| !run.good) {
            let mark = look.paint(Tone::Bad, "!");
            text.push_str(&format!("{mark} {}\n", plain::text(&sentence(run))));
        }
    }
    text
}

fn row(it: &HookReport, look: &Look) -> (Cell, Vec<Cell>) {
    let (word, tone) = match &it.last {
        None => ("-", Tone::Quiet),
        Some(run) if run.good => ("good", Tone::Good),
        Some(_) => ("failed", Tone::Bad),
    };
    let mark = match (tone, look.ascii) {
        (Tone::Good, false) => "●",
        (Tone::Good, true) => "*",
        (Tone::Bad, false) => "✕",
        (Tone::Bad, true) => "x",
        (_, false) => "○",
        (_, true) => "o",
    };
    let cells = vec![
        plain::text(&it.hook.name).into(),
        plain::text(&it.hook.on.join(",")).into(),
        it.runs.to_string().into(),
        it.failures.to_string().into(),
        Cell {
            text: word.into(),
            tone,
        },
        plain::text(&deed(&it.hook)).into(),
    ];
    let mark = Cell {
        text: mark.into(),
        tone,
    };
    (mark, cells)
}

fn deed(hook: &HookSpec) -> String {
    match &hook.action {
        HookAction::Exec { command, .. } => command.join(" "),
        HookAction::Fifo { path } => format!("fifo {path}"),
        HookAction::Webhook { url } => format!("post {url}"),
    }
}

fn sentence(run: &HookRun) -> String {
    let whom = match run.name.as_str() {
        "" => String::new(),
        name => format!(" of {name}"),
    };
    format!(
        "{}, {}{whom}: {} ({} ms)",
        run.hook, run.event, run.outcome, run.took_ms
    )
}

/// The page about one that was tried.
fn describe(trial: &HookTrial, look: &Look) -> String {
    let mut text = String::new();
    let mut line = |title: &str, body: &str| {
        let title = look.paint(Tone::Heading, &format!("{title:<8}"));
        text.push_str(&format!("{title} {}\n", plain::text(body)));
    };
    match &trial.hook.action {
        HookAction::Exec {
            user, capabilities, ..
        } => {
            line("command", &trial.invocation.command.join(" "));
            line("user", user.as_deref().unwrap_or("that of the daemon"));
            if !capabilities.is_empty() {
                line("may", &capabilities.join(" "));
            }
            for (name, value) in &trial.invocation.environment {
                line("", &format!("{name}={value}"));
            }
        }
        HookAction::Fifo { path } => line("writes", path),
        HookAction::Webhook { url } => line("posts", url),
    }
    line("input", trial.invocation.input.trim_end());
    if !trial.hears {
        line("but", "by itself, it does not hear of this");
    }
    for said in &trial.output {
        line("said", said);
    }
    match &trial.run {
        Some(run) => line("ended", &format!("{} ({} ms)", run.outcome, run.took_ms)),
        None => line("ended", "nothing was run"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;
    use vrrp_control::agent::{HookEvent, Invocation, RouterFacts, Standing};

    fn spec() -> HookSpec {
        HookSpec {
            name: "notify".into(),
            on: ["active", "backup"].map(str::to_owned).to_vec(),
            routers: vec!["lan4".into()],
            coalesce: true,
            timeout_ms: 30_000,
            action: HookAction::Exec {
                command: vec!["/usr/local/lib/vrrpd/notify".into(), "a\u{1b}b".into()],
                keepalived: true,
                user: Some("nobody".into()),
                capabilities: vec!["net-admin".into()],
            },
        }
    }

    fn last(good: bool) -> HookRun {
        HookRun {
            hook: "notify".into(),
            id: 7,
            event: "active".into(),
            name: "lan4".into(),
            time: "2026-11-20T13:02:11.204561Z".into(),
            took_ms: 12,
            good,
            outcome: if good { "done" } else { "exit status 1" }.into(),
            lines_lost: 0,
        }
    }

    #[test]
    fn pages() {
        let report = |hook: HookSpec, last: Option<HookRun>| HookReport {
            hook,
            runs: 3,
            failures: u64::from(last.as_ref().is_some_and(|run| !run.good)),
            coalesced: 1,
            last,
        };
        let fifo = HookSpec {
            name: "pipe".into(),
            action: HookAction::Fifo {
                path: "/run/vrrpd/notify.fifo".into(),
            },
            ..spec()
        };
        let all = HooksReport {
            version: 1,
            agent_pid: None,
            problem: Some("vrrp-agent, which runs hooks, is not there".into()),
            hooks: vec![
                report(spec(), Some(last(false))),
                report(fifo.clone(), Some(last(true))),
                report(fifo, None),
            ],
        };
        insta::assert_snapshot!("list", render(&all, &look(Some(80))));
        insta::assert_snapshot!("list_plain", render(&all, &look(None)));
        let event = HookEvent {
            id: 7,
            time: "2026-11-20T13:02:11.204561Z".into(),
            event: "active".into(),
            name: "lan4".into(),
            state: Some(Standing::Active),
            priority: Some(100),
            text: "somebody tries the hook".into(),
            router: Some(RouterFacts {
                interface: "eth0".into(),
                vrid: 51,
                addresses: vec!["192.0.2.254/24".into()],
                carp: None,
            }),
            ..HookEvent::default()
        };
        let trial = HookTrial {
            version: 1,
            hears: false,
            invocation: Invocation::of(&spec(), &event),
            hook: spec(),
            event,
            run: Some(last(false)),
            output: vec!["no such host".into()],
        };
        insta::assert_snapshot!("trial", describe(&trial, &look(Some(80))));
    }
}
