//! All virtual routers, one line each, and below them what is wrong.

use vrrp_control::{Answer, Request, RouterReport, StatusReport};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::table::{self, Cell, Column};

pub(crate) const COLUMNS: [Column; 8] = [
    Column {
        title: "NAME",
        right: false,
        least: Some(8),
    },
    Column {
        title: "IF",
        right: false,
        least: Some(6),
    },
    Column {
        title: "VRID",
        right: true,
        least: None,
    },
    Column {
        title: "STATE",
        right: false,
        least: None,
    },
    Column {
        title: "PRIO",
        right: true,
        least: None,
    },
    Column {
        title: "ACTIVE",
        right: false,
        least: Some(8),
    },
    Column {
        title: "SINCE",
        right: false,
        least: None,
    },
    Column {
        title: "ADDRESS",
        right: false,
        least: Some(18),
    },
];

/// `vrrpctl status`.
pub(crate) fn run(client: &Client, page: &mut Page, name: Option<&str>) -> Result<(), Failure> {
    let (mut report, reply) = fetch(client)?;
    let mut document = json::document(reply);
    if let Some(name) = name {
        find(&report, name)?;
        report.routers.retain(|router| router.name == name);
        if let Some(routers) = document
            .get_mut("routers")
            .and_then(|routers| routers.as_array_mut())
        {
            routers.retain(|router| router.get("name").is_some_and(|is| is == name));
        }
    }
    if page.look.json {
        return page.document(&document);
    }
    let text = if page.look.brief {
        report
            .routers
            .iter()
            .map(|router| brief(router, &page.look))
            .collect()
    } else {
        render(&report, &page.look)
    };
    page.text(&text)
}

/// Its name, state, priority and Active on a line.
pub(crate) fn brief(router: &RouterReport, look: &Look) -> String {
    let (word, tone) = state(router);
    let word = look.paint(tone, &word);
    let name = plain::text(&router.name);
    format!("{name} {word} {} {}\n", priority(router), active(router))
}

fn priority(router: &RouterReport) -> String {
    if router.state == "initialize" {
        "-".to_owned()
    } else {
        strength(router)
    }
}

/// By what it is elected: its priority, or with CARP advbase and advskew as it advertises them, and its demotion behind a minus.
pub(crate) fn strength(router: &RouterReport) -> String {
    match &router.carp {
        None => router.priority.effective.to_string(),
        Some(carp) => {
            let bid = format!("{}/{}", carp.advbase, carp.advertised_advskew);
            match carp.demotion {
                0 => bid,
                by => format!("{bid} -{by}"),
            }
        }
    }
}

fn active(router: &RouterReport) -> String {
    match &router.active {
        _ if router.state == "active" => "self".to_owned(),
        Some(active) => plain::text(&active.address),
        None => "-".to_owned(),
    }
}

/// The report, also as it came.
pub(crate) fn fetch(client: &Client) -> Result<(StatusReport, serde_json::Value), Failure> {
    match client.ask_one(&Request::Status)? {
        Reply {
            answer: Answer::Status(report),
            value,
        } => Ok((*report, value)),
        _ => Err(client.astray()),
    }
}

/// The router of that name.
pub(crate) fn find<'a>(report: &'a StatusReport, name: &str) -> Result<&'a RouterReport, Failure> {
    report
        .routers
        .iter()
        .find(|router| router.name == name)
        .ok_or_else(|| {
            let known = report
                .routers
                .iter()
                .map(|router| router.name.clone())
                .collect();
            Failure::NoSuchRouter(name.to_owned(), known)
        })
}

/// The page.
pub(crate) fn render(report: &StatusReport, look: &Look) -> String {
    let mut text = heading(report, look);
    text.push('\n');
    if report.routers.is_empty() {
        text.push_str("no virtual routers are configured\n");
    } else {
        let rows: Vec<_> = report
            .routers
            .iter()
            .map(|router| row(router, look))
            .collect();
        text.push_str(&table::render(look, &COLUMNS, &rows));
    }
    let mut complaints = complaints(report);
    complaints.extend(orders(report, look));
    if !complaints.is_empty() {
        text.push('\n');
    }
    for complaint in complaints {
        text.push_str(&look.paint(Tone::Bad, "!"));
        text.push(' ');
        text.push_str(&plain::text(&complaint));
        text.push('\n');
    }
    text
}

fn heading(report: &StatusReport, look: &Look) -> String {
    let daemon = &report.daemon;
    let config = plain::text(&daemon.config);
    let version = plain::text(&daemon.version);
    let (up, loaded) = (look.since(&daemon.since), look.since(&daemon.config_loaded));
    let (up, loaded) = (plain::text(&up), plain::text(&loaded));
    match look.width {
        Some(width) => {
            look.cut(
                &format!("vrrpd {version}   up {up}   {config}, loaded {loaded} ago"),
                width,
            ) + "\n"
        }
        None => format!("vrrpd {version}   since {up}   {config}, loaded {loaded}\n"),
    }
}

/// Its line in the table.
pub(crate) fn row(router: &RouterReport, look: &Look) -> (Cell, Vec<Cell>) {
    let (word, tone) = state(router);
    let mark = match (tone, look.ascii) {
        (Tone::Good, false) => "●",
        (Tone::Good, true) => "*",
        (Tone::Bad, false) => "✕",
        (Tone::Bad, true) => "x",
        (Tone::Quiet | Tone::Plain | Tone::Heading, false) => "○",
        (Tone::Quiet | Tone::Plain | Tone::Heading, true) => "o",
    };
    let addresses = match (&router.addresses[..], look.width) {
        ([first, rest @ ..], Some(_)) if !rest.is_empty() => format!("{first} +{}", rest.len()),
        (all, _) => all.join(","),
    };
    let cells = vec![
        plain::text(&router.name).into(),
        plain::text(&router.interface).into(),
        router.vrid.to_string().into(),
        Cell { text: word, tone },
        priority(router).into(),
        active(router).into(),
        plain::text(&look.since(&router.since)).into(),
        plain::text(&addresses).into(),
    ];
    (
        Cell {
            text: mark.into(),
            tone,
        },
        cells,
    )
}

/// The state in capitals. A router that has a fault is called by that.
pub(crate) fn state(router: &RouterReport) -> (String, Tone) {
    match router.state.as_str() {
        _ if !router.faults.is_empty() => ("FAULT".into(), Tone::Bad),
        "active" => ("ACTIVE".into(), Tone::Good),
        "backup" => ("BACKUP".into(), Tone::Quiet),
        "initialize" => ("INIT".into(), Tone::Plain),
        other => (plain::text(&other.to_uppercase()), Tone::Plain),
    }
}

/// Sentences about what operators asked for. Nothing is wrong with that, but it should not be forgotten.
fn orders(report: &StatusReport, look: &Look) -> Vec<String> {
    let routers = report.routers.iter();
    let orders = routers.flat_map(|router| router.orders.iter().map(move |it| (router, it)));
    orders
        .map(|(router, order)| {
            let what = match (order.kind.as_str(), order.priority) {
                ("drain", _) => "drained".to_owned(),
                ("priority", Some(priority)) => format!("given priority {priority}"),
                ("pin", _) => "pinned".to_owned(),
                ("yield", _) => "made to yield".to_owned(),
                (other, _) => other.to_owned(),
            };
            let since = look.time(&order.since);
            let reason = order.reason.as_ref().map(|why| format!(" ({why})"));
            let reason = reason.unwrap_or_default();
            let end = match (&order.until, order.kind.as_str()) {
                (Some(until), _) => format!(", ends {}", look.time(until)),
                (None, "priority") => ", ends when the daemon stops".to_owned(),
                (None, "yield") => ", until it is Active again".to_owned(),
                (None, _) => String::new(),
            };
            let (name, by) = (&router.name, &order.by);
            format!("{name} {what} by {by} since {since}{reason}{end}")
        })
        .collect()
}

/// Sentences about what is wrong.
pub(crate) fn complaints(report: &StatusReport) -> Vec<String> {
    let reload = report.daemon.reload_error.iter().map(|error| {
        format!("the configuration file was refused, the one before it still runs: {error}")
    });
    let unprotected = report.daemon.unprotected.iter().map(|(interface, why)| {
        format!("if the daemon dies, its kernel goes on answering on {interface}: {why}")
    });
    let restarts = report.daemon.last_restart.iter().map(|last| {
        let count = report.daemon.restarts;
        let times = if count == 1 { "time" } else { "times" };
        format!(
            "the worker process died {count} {times} and was replaced, at last at {}: {}",
            last.time, last.reason
        )
    });
    let configuration = &report.daemon.configuration;
    let trial = configuration.trial.iter().map(|trial| {
        format!(
            "configuration {} is on trial and goes back to {} at {}, unless: vrrpctl confirm",
            configuration.number, trial.back_to, trial.until
        )
    });
    let rolled_back = configuration.rolled_back.iter().map(|it| {
        format!(
            "configuration {} was given up at {}, and {} runs: correct {}, then vrrpctl reload",
            it.number, it.time, configuration.number, report.daemon.config
        )
    });
    reload
        .chain(trial)
        .chain(rolled_back)
        .chain(report.daemon.state_problem.clone())
        .chain(restarts)
        .chain(unprotected)
        .chain(report.routers.iter().flat_map(of_router))
        .collect()
}

/// Sentences about what is wrong with one router.
pub(crate) fn of_router(router: &RouterReport) -> impl Iterator<Item = String> {
    let faults = router
        .faults
        .iter()
        .map(|fault| format!("{}: {fault}", router.name));
    let behind = (!router.kernel_in_step && router.faults.is_empty()).then(|| {
        match &router.waits_for_hooks {
            Some(waits) => format!(
                "{}: its addresses wait for hook {}, for {} ms at most",
                router.name,
                waits.hooks.join(", "),
                waits.within_ms
            ),
            None => format!(
                "{}: the kernel does not hold yet what this state needs",
                router.name
            ),
        }
    });
    let carp = router.carp.iter().flat_map(|carp| &carp.problems);
    let carp = carp.map(|problem| format!("{}: {problem}", router.name));
    faults.chain(behind).chain(carp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{look, report};
    use vrrp_control::CarpReport;

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&report(), &look(Some(80)));
        let table = text.lines().take_while(|line| !line.starts_with('!'));
        assert!(
            table.clone().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn carp_has_a_bid_where_vrrp_has_a_priority() {
        let mut report = report();
        let carp = |advertised_advskew, demotion| {
            Some(CarpReport {
                advbase: 1,
                advskew: 100,
                advertised_advskew,
                advertised_demotion: demotion,
                demotion,
                profile: "any".into(),
                seal: "off".into(),
                clock_set: true,
                grace_ms: None,
                members: Vec::new(),
                problems: Vec::new(),
            })
        };
        report.routers[0].carp = carp(100, 0);
        report.routers[1].carp = carp(240, 140);
        let text = render(&report, &look(Some(160)));
        let line = |name: &str| text.lines().find(|line| line.contains(name)).unwrap();
        let words = |name: &str| line(name).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words("lan4").contains("ACTIVE 1/100 self"), "{text}");
        assert!(words("lan6").contains("ACTIVE 1/240 -140 self"), "{text}");
        assert_eq!(
            brief(&report.routers[0], &look(None)),
            "lan4 ACTIVE 1/100 self\n"
        );
    }

    #[test]
    fn a_worker_that_died_is_mentioned() {
        let mut report = report();
        report.daemon.restarts = 2;
        report.daemon.last_restart = Some(vrrp_control::Restart {
            time: "2026-11-20T13:01:50Z".into(),
            reason: "killed by SIGSEGV".into(),
        });
        let sentence = "the worker process died 2 times and was replaced, at last at 2026-11-20T13:01:50Z: killed by SIGSEGV";
        assert!(complaints(&report).contains(&sentence.to_owned()));
    }

    #[test]
    fn a_state_directory_that_cannot_be_used_is_mentioned() {
        let mut report = report();
        let sentence =
            "what is to outlive a restart cannot be kept in the state directory /x: read-only";
        report.daemon.state_problem = Some(sentence.into());
        assert!(complaints(&report).contains(&sentence.to_owned()));
    }

    #[test]
    fn what_operators_asked_for_is_not_forgotten_and_not_wrong() {
        let mut report = report();
        let order = |kind: &str, priority, reason: Option<&str>, until: Option<&str>| {
            vrrp_control::StandingOrder {
                kind: kind.into(),
                priority,
                by: "alice".into(),
                reason: reason.map(Into::into),
                since: "2026-11-20T12:02:11.204Z".into(),
                until: until.map(Into::into),
            }
        };
        report.routers[0].orders = vec![
            order(
                "drain",
                None,
                Some("kernel update"),
                Some("2026-11-20T14:02:11.204Z"),
            ),
            order("priority", Some(50), None, None),
            order("pin", None, None, Some("2026-11-21T14:02:11.204Z")),
        ];
        report.routers[2].orders = vec![order("yield", None, None, None)];
        for (width, name) in [(Some(80), "orders"), (None, "orders_without_a_terminal")] {
            let lines: String = orders(&report, &look(width)).join("\n");
            assert!(render(&report, &look(width)).contains("drained by alice"));
            insta::assert_snapshot!(name, lines);
        }
        let wrong = complaints(&report);
        assert!(!wrong.iter().any(|sentence| sentence.contains("alice")));
    }

    #[test]
    fn on_a_wide_terminal() {
        insta::assert_snapshot!(render(&report(), &look(Some(160))));
    }

    #[test]
    fn in_ascii() {
        let text = render(
            &report(),
            &Look {
                ascii: true,
                ..look(Some(80))
            },
        );
        assert!(text.is_ascii());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn in_colour() {
        let text = render(
            &report(),
            &Look {
                color: true,
                ..look(Some(80))
            },
        );
        insta::assert_snapshot!(text.replace('\x1b', "␛"));
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&report(), &look(None)));
    }

    #[test]
    fn what_came_over_the_socket_cannot_command_the_terminal() {
        let mut report = report();
        report.daemon.config = "/etc/\x1b]0;owned\x07.toml".into();
        report.daemon.reload_error = Some("line\nbreak \x1b[2J".into());
        for router in &mut report.routers {
            router.name = format!("{}\r\x1b[31m", router.name);
            router.since = "\x1b[5m".into();
            router.state = "\x1b[7mactive".into();
            router.addresses = vec!["\u{9b}2J".into()];
            router.faults.push("\u{202e}tluaf".into());
        }
        for width in [Some(300), None] {
            let text = render(&report, &look(width));
            assert!(
                text.chars()
                    .all(|character| character == '\n' || !plain::is_unsafe(character)),
                "{text:?}"
            );
        }
    }

    #[test]
    fn in_brief() {
        let text: String = report()
            .routers
            .iter()
            .map(|router| brief(router, &look(None)))
            .collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn no_routers() {
        let mut report = report();
        report.routers.clear();
        assert!(render(&report, &look(Some(80))).contains("no virtual routers"));
    }
}
