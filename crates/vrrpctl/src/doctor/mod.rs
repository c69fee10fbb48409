//! Looks for what is wrong, or will be: with the daemon, its host, the other routers and the LAN.
//!
//! ```text
//!   status, /proc, /sys, nft, packets of a few seconds --> Facts --> checks --> Findings --> Page
//! ```
//!
//! It changes nothing. What it sends are questions who has an address, as any host asks them.

mod checks;
mod facts;
mod finding;
mod listening;
mod report;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use vrrp_config::{LoadError, load};
use vrrp_control::{Answer, EventsWanted, Request, StatusReport};

use crate::client::Client;
use crate::events;
use crate::failure::Failure;
use crate::hook;
use crate::page::Page;
use crate::ports;
use crate::status;
use crate::trackers;

use facts::{Facts, File, Unusable, host};

/// What is older is history.
pub(crate) const DAY: SignedDuration = SignedDuration::from_hours(24);

/// All names of findings, and what they mean.
pub(crate) fn meanings() -> impl Iterator<Item = (&'static str, String)> {
    let kinds = finding::Kind::ALL.iter();
    kinds.map(|kind| {
        (
            kind.id(),
            format!("{}: {}", kind.severity().name(), kind.title()),
        )
    })
}

/// `vrrpctl doctor`.
pub(crate) fn run(
    client: &Client,
    socket: &Path,
    page: &mut Page,
    name: Option<&str>,
    span: Option<Duration>,
) -> Result<(), Failure> {
    let facts = gather(client, socket, name, span)?;
    let findings = checks::all(&facts);
    let text = report::render(&facts, &findings, &page.look);
    page.text(&text)?;
    if facts.silence.is_some() {
        Err(Failure::Wrong(3))
    } else if findings.is_empty() {
        Ok(())
    } else {
        Err(Failure::Wrong(1))
    }
}

fn gather(
    client: &Client,
    socket: &Path,
    name: Option<&str>,
    span: Option<Duration>,
) -> Result<Facts, Failure> {
    let (before, silence) = match ask(client, name) {
        Ok(before) => (Some(before), None),
        Err(failure @ Failure::Silent(..)) => (None, Some(failure.to_string())),
        Err(failure) => return Err(failure),
    };
    let file = before.as_ref().map(|report| read(&report.daemon.config));
    let ports = ports::all();
    let directory = socket.parent().filter(|_| before.is_some());
    let mode = directory.and_then(|directory| fs::metadata(directory).ok());
    let mut facts = Facts {
        silence,
        directory: directory
            .zip(mode)
            .map(|(path, data)| (path.to_owned(), data.mode())),
        file,
        host: host::look(&ports, before.as_ref().map(|report| report.daemon.pid)),
        ports,
        ..Facts::default()
    };
    let Some(before) = before else {
        return Ok(facts);
    };
    facts.running = running(client);
    facts.late = late(client);
    // An older daemon has none.
    facts.trackers = trackers::fetch(client).ok().map(|(report, _)| report);
    if let Ok((report, _)) = hook::list(client) {
        facts.hooks = facts::hooks::look(&report);
    }
    // What passes is judged by what is configured; without that, each packet by itself.
    let plan = facts.plan().cloned().unwrap_or_default();
    facts.wire = listening::listen(&facts.ports, &before, &plan, span)?;
    let after = ask(client, name)?;
    facts.reports = Some([before, after]);
    Ok(facts)
}

/// An older daemon does not say.
fn running(client: &Client) -> Option<String> {
    let request = Request::RunningConfig { defaults: false };
    let Answer::RunningConfig(running) = client.ask_one(&request).ok()?.answer else {
        return None;
    };
    Some(running.text)
}

/// The last event of the day before now that says so.
fn late(client: &Client) -> Option<String> {
    let since = Timestamp::now().checked_sub(DAY).ok()?;
    let wanted = EventsWanted {
        since: Some(since.to_string()),
        ..EventsWanted::default()
    };
    let (past, _) = events::ask(client, wanted).ok()?;
    let mut times = past.into_iter().filter_map(|reply| {
        let Answer::Event(event) = reply.answer else {
            return None;
        };
        (event.kind == "late").then_some(event.time)
    });
    times.next_back()
}

fn ask(client: &Client, name: Option<&str>) -> Result<StatusReport, Failure> {
    let (mut report, _) = status::fetch(client)?;
    if let Some(name) = name {
        status::find(&report, name)?;
        report.routers.retain(|router| router.name == name);
    }
    Ok(report)
}

fn read(path: &str) -> File {
    let plan = match load(Path::new(path)) {
        Ok(loaded) => Ok(loaded.config.plan),
        Err(LoadError::Wrong(wrong)) => Err(Unusable::Wrong(wrong.lines().join("; "))),
        Err(error @ (LoadError::Read(..) | LoadError::TooLong(_))) => {
            Err(Unusable::Unreadable(Failure::from(&error).to_string()))
        }
    };
    let modified = fs::metadata(path).and_then(|data| data.modified()).ok();
    File {
        path: path.to_owned(),
        modified: modified.and_then(|time| Timestamp::try_from(time).ok()),
        plan,
    }
}
