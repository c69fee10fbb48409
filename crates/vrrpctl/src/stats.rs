//! What was counted, by the daemon and by each virtual router.

use serde_json::Value;
use vrrp_control::StatusReport;

use crate::client::Client;
use crate::counter;
use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::prose::wrap;
use crate::status;

/// Whose counters those are that belong to no virtual router.
const DAEMON: &str = "vrrpd";

/// `vrrpctl show stats`.
pub(crate) fn run(client: &Client, page: &mut Page, all: bool) -> Result<(), Failure> {
    let (report, reply) = status::fetch(client)?;
    if page.look.json {
        return page.document(&document(&reply, all));
    }
    let text = render(&report, all, &page.look);
    page.text(&text)
}

fn document(reply: &Value, all: bool) -> Value {
    let counted = |owner: &Value| {
        let mut statistics = owner.get("statistics").cloned().unwrap_or_default();
        if let Some(counters) = statistics.as_object_mut().filter(|_| !all) {
            counters.retain(|_, value| value.as_u64() != Some(0));
        }
        statistics
    };
    let of = |router: &Value| {
        json::object([
            ("name", router.get("name").cloned().unwrap_or_default()),
            ("statistics", counted(router)),
        ])
    };
    let routers = reply.get("routers").and_then(Value::as_array);
    json::object([
        ("version", reply.get("version").cloned().unwrap_or_default()),
        ("statistics", counted(reply)),
        ("routers", routers.into_iter().flatten().map(of).collect()),
    ])
}

/// The page.
fn render(report: &StatusReport, all: bool, look: &Look) -> String {
    let mut text = String::new();
    let entries = report.statistics.entries();
    section(&mut text, DAEMON, entries, counter::of_daemon, all, look);
    for router in &report.routers {
        let meaning = |name: &str| counter::find(name).meaning;
        let entries = router.statistics.entries();
        section(&mut text, &router.name, entries, meaning, all, look);
    }
    if text.is_empty() && !look.brief {
        text.push_str("nothing was counted yet\n");
    }
    text
}

fn section(
    text: &mut String,
    owner: &str,
    mut counters: Vec<(String, u64)>,
    meaning: impl Fn(&str) -> &'static str,
    all: bool,
    look: &Look,
) {
    counters.retain(|(_, value)| all || *value > 0);
    let owner = plain::text(owner);
    if look.brief {
        text.extend(
            counters
                .iter()
                .map(|(name, value)| format!("{owner} {name} {value}\n")),
        );
        return;
    }
    if counters.is_empty() {
        return;
    }
    let gap = if text.is_empty() { "" } else { "\n" };
    text.push_str(&format!("{gap}{}\n", look.paint(Tone::Heading, &owner)));
    for (name, value) in counters {
        let lead = format!("  {name:<26}{value:>10}  ");
        text.push_str(&wrap(look, &lead, meaning(&name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{look, report};

    fn counted() -> StatusReport {
        let mut report = report();
        report.statistics.checksum_errors = 12;
        report.routers.truncate(3);
        report
    }

    #[test]
    fn what_stands_at_zero_is_left_out() {
        let text = render(&counted(), false, &look(Some(80)));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn unless_all_is_wanted() {
        insta::assert_snapshot!(render(&counted(), true, &look(None)));
    }

    #[test]
    fn in_brief() {
        let brief = Look {
            brief: true,
            ..look(None)
        };
        insta::assert_snapshot!(render(&counted(), false, &brief));
    }

    #[test]
    fn documents_leave_zeros_out_too() {
        let reply = serde_json::to_value(counted()).unwrap();
        let some = document(&reply, false);
        assert_eq!(
            some["statistics"],
            serde_json::json!({ "checksum-errors": 12 })
        );
        assert_eq!(some["routers"][0]["name"], "lan4");
        let counters = |document: &Value| {
            document["routers"][0]["statistics"]
                .as_object()
                .unwrap()
                .len()
        };
        assert!(counters(&document(&reply, true)) > counters(&some));
    }
}
