//! What the screen is told, by threads that wait for the daemon.

use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use vrrp_control::{Answer, EventRecord, EventsWanted, StatusReport};

use crate::client::Client;
use crate::events;
use crate::failure::Failure;
use crate::status;

/// Between two questions about the status.
const REFRESH: Duration = Duration::from_millis(500);

/// Before the next attempt to reach a daemon that does not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Past events that are asked for.
pub(super) const PAST: u64 = 200;

/// Something new.
#[derive(Debug)]
pub(super) enum Update {
    /// What stands.
    Report(Box<StatusReport>),
    /// The daemon does not answer, and why.
    Silent(String),
    /// What has happened, the oldest first, in place of what was known of it.
    Past(Vec<EventRecord>),
    /// What happened just now.
    Event(Box<EventRecord>),
    /// A command has ended: its title, what it said, and whether it did what it was asked.
    Done(String, String, bool),
}

/// Starts to tell. The threads end when nobody listens any more, or with the process.
pub(super) fn start(client: &Client, sender: &SyncSender<Update>) {
    let (here, there) = (
        (client.clone(), sender.clone()),
        (client.clone(), sender.clone()),
    );
    thread::spawn(move || while report(&here.0, &here.1) {});
    thread::spawn(move || while happenings(&there.0, &there.1) {});
}

/// One answer; whether somebody listens.
fn report(client: &Client, sender: &SyncSender<Update>) -> bool {
    let update = match status::fetch(client) {
        Ok((report, _)) => Update::Report(Box::new(report)),
        Err(failure) => Update::Silent(failure.to_string()),
    };
    let heard = sender.send(update).is_ok();
    thread::sleep(REFRESH);
    heard
}

/// One stream of events, until it breaks; whether somebody listens.
fn happenings(client: &Client, sender: &SyncSender<Update>) -> bool {
    let heard = follow(client, sender).unwrap_or(true);
    thread::sleep(AGAIN);
    heard
}

fn follow(client: &Client, sender: &SyncSender<Update>) -> Result<bool, Failure> {
    let wanted = EventsWanted {
        follow: true,
        number: Some(PAST),
        ..EventsWanted::default()
    };
    let (past, mut stream) = events::ask(client, wanted)?;
    let past = past.into_iter().filter_map(|reply| event(reply.answer));
    if sender.send(Update::Past(past.collect())).is_err() {
        return Ok(false);
    }
    loop {
        let reply = events::next(&mut stream)?;
        if let Some(event) = event(reply.answer)
            && sender.send(Update::Event(Box::new(event))).is_err()
        {
            return Ok(false);
        }
    }
}

fn event(answer: Answer) -> Option<EventRecord> {
    if let Answer::Event(event) = answer {
        Some(event)
    } else {
        None
    }
}
