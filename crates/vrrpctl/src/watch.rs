//! A line for each change of state, for scripts and for those who wait for something.

use vrrp_control::{Answer, EventRecord, RouterReport};

use crate::client::{Client, Reply};
use crate::events::{next, print, stream};
use crate::failure::Failure;
use crate::page::Page;
use crate::status::{self, state};

/// `vrrpctl status --watch`: what stands, and then what changes.
pub(crate) fn run(client: &Client, page: &mut Page, name: Option<&str>) -> Result<(), Failure> {
    // Opened before it is asked what stands, so that no change is missed between them.
    let mut changes = stream(client)?;
    let (report, _) = status::fetch(client)?;
    if let Some(name) = name {
        status::find(&report, name)?;
    }
    let wanted = |router: &str| name.is_none_or(|name| name == router);
    if !page.look.json {
        for router in report.routers.iter().filter(|it| wanted(&it.name)) {
            let line = crate::events::render(&present(router), &page.look, true);
            page.text(&line)?;
        }
    }
    loop {
        let reply = next(&mut changes)?;
        if shows(&reply, wanted) {
            print(reply, page)?;
        }
    }
}

/// Its state as if it had just come about.
fn present(router: &RouterReport) -> EventRecord {
    let faults = router.faults.join("; ");
    let (word, _) = state(router);
    EventRecord {
        sequence: 0,
        time: router.since.clone(),
        router: Some(router.name.clone()),
        kind: if faults.is_empty() { "role" } else { "faults" }.into(),
        text: if faults.is_empty() {
            format!("is {}", word.to_lowercase())
        } else {
            faults
        },
        from: None,
        to: Some(router.state.clone().into()),
        reason: None,
    }
}

fn shows(reply: &Reply, wanted: impl Fn(&str) -> bool) -> bool {
    let Answer::Event(event) = &reply.answer else {
        return matches!(reply.answer, Answer::EventsLost { .. });
    };
    let changes = [
        "role",
        "faults",
        "left",
        "restart",
        "reload",
        "reload-refused",
    ];
    changes.contains(&event.kind.as_ref()) && event.router.as_deref().is_none_or(wanted)
}
