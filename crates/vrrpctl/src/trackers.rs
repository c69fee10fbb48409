//! What routers need beside their own interfaces, and how it stands.

use serde_json::Value;
use vrrp_control::{
    Answer, ProbeReport, Request, TrackerReport, TrackerUse, TrackersReport, Tracking,
};

use crate::bfd;
use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::prose::wrap;
use crate::table::{self, Cell, Column};
use crate::tracker;

const COLUMNS: [Column; 5] = [
    column("NAME", Some(8)),
    column("TYPE", None),
    column("STATE", None),
    column("FOR", None),
    column("WHY", Some(20)),
];

const fn column(title: &'static str, least: Option<usize>) -> Column {
    Column {
        title,
        right: false,
        least,
    }
}

/// `vrrpctl show trackers`.
pub(crate) fn run(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let (report, value) = fetch(client)?;
    page.answer(value, |look| render(&report, look))
}

/// All of them.
pub(crate) fn fetch(client: &Client) -> Result<(TrackersReport, Value), Failure> {
    match client.ask_one(&Request::Trackers)? {
        Reply {
            answer: Answer::Trackers(report),
            value,
        } => Ok((report, value)),
        _ => Err(client.astray()),
    }
}

/// Their names.
pub(crate) fn names(client: &Client) -> Result<Vec<String>, Failure> {
    let (report, _) = fetch(client)?;
    Ok(report.trackers.into_iter().map(|it| it.name).collect())
}

/// The page: a table, and below it what each does to whom.
fn render(report: &TrackersReport, look: &Look) -> String {
    if look.brief {
        let line = |tracker: &TrackerReport| {
            let (word, tone) = state(tracker);
            let name = plain::text(&tracker.name);
            format!("{name} {}\n", look.paint(tone, &word))
        };
        return report.trackers.iter().map(line).collect();
    }
    if report.trackers.is_empty() {
        return "no trackers are configured\n".to_owned();
    }
    let rows: Vec<_> = report.trackers.iter().map(|it| row(it, look)).collect();
    let mut text = table::render(look, &COLUMNS, &rows);
    if let Some(problem) = &report.problem {
        let mark = look.paint(Tone::Bad, "!");
        text.push_str(&format!("\n{mark} {}\n", plain::text(problem)));
    }
    for tracker in &report.trackers {
        let name = look.paint(Tone::Heading, &plain::text(&tracker.name));
        text.push_str(&format!("\n{name}\n"));
        for line in details(tracker, look) {
            text.push_str(&wrap(look, "  ", &line));
        }
    }
    text
}

fn state(tracker: &TrackerReport) -> (String, Tone) {
    let tone = match tracker.state.as_str() {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Quiet,
    };
    (plain::text(&tracker.state.to_uppercase()), tone)
}

fn row(tracker: &TrackerReport, look: &Look) -> (Cell, Vec<Cell>) {
    let (word, tone) = state(tracker);
    let mark = match (tone, look.ascii) {
        (Tone::Good, false) => "●",
        (Tone::Good, true) => "*",
        (Tone::Bad, false) => "✕",
        (Tone::Bad, true) => "x",
        (_, false) => "○",
        (_, true) => "o",
    };
    let since = match look.width {
        Some(_) => look.calendar.ago(&tracker.since),
        None => look.calendar.exact(&tracker.since),
    };
    let cells = vec![
        plain::text(&tracker.name).into(),
        plain::text(&tracker.kind).into(),
        Cell { text: word, tone },
        plain::text(&since).into(),
        plain::text(&tracker.detail).into(),
    ];
    let mark = Cell {
        text: mark.to_owned(),
        tone,
    };
    (mark, cells)
}

/// What speaks against its state.
pub(crate) fn doubts(tracker: &TrackerReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let (Some(count), Some(objection)) = (tracker.against, &tracker.objection) {
        let times = match count {
            1 => "once".to_owned(),
            many => format!("{many} times in a row"),
        };
        lines.push(format!("contradicted {times}: {objection}"));
    }
    if let (Some(pending), Some(left)) = (&tracker.pending, tracker.pending_us) {
        lines.push(format!("{pending} in {}, if that stays so", span(left)));
    }
    lines
}

fn details(tracker: &TrackerReport, look: &Look) -> Vec<String> {
    // The table may have no room for it.
    let mut lines = vec![tracker.detail.clone()];
    lines.extend(doubts(tracker));
    lines.extend(tracker.offset.map(|offset| format!("measured: {offset}")));
    match &tracker.probe {
        Some(probe) => lines.extend(probing(probe, look)),
        None => lines.extend(
            tracker
                .heard_us
                .map(|ago| format!("last result {} ago", span(ago))),
        ),
    }
    lines.extend(tracker.session.iter().flat_map(bfd::lines));
    lines.extend(tracker.routers.iter().map(effect));
    if tracker.routers.is_empty() {
        lines.push("no virtual router refers to it".to_owned());
    }
    lines
}

/// How its probe is doing.
fn probing(probe: &ProbeReport, look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(last) = &probe.last {
        let (word, _) = tracker::verdict(last);
        let said = format!("{word} in {}: {}", span(last.took_us), last.said);
        lines.push(format!(
            "probed at {}: {said}",
            look.calendar.clock(&last.time)
        ));
    }
    let next = probe.next_us.map(|left| format!("next in {}", span(left)));
    let now = probe.running_us;
    let now = now.map(|ago| format!("one goes on since {}", span(ago)));
    let count = match (probe.runs, probe.failures) {
        (0, _) => "not probed yet".to_owned(),
        (runs, 0) => format!("{runs} in all, all good"),
        (runs, failures) => format!("{runs} in all, {failures} not good"),
    };
    let parts: Vec<String> = [Some(count), now, next].into_iter().flatten().collect();
    lines.push(parts.join("; "));
    lines
}

fn effect(one: &TrackerUse) -> String {
    let router = &one.router;
    match (one.fault, one.adds) {
        _ if one.takeover => format!(
            "{router}: if the peer is its Active and is lost, it takes over after the skew time"
        ),
        (true, _) => format!("{router}: is a fault"),
        (false, 0) => format!("{router}: changes nothing now"),
        (false, adds) => format!("{router}: priority {adds:+}"),
    }
}

/// A line about one of a router's trackers.
pub(crate) fn sentence(tracking: &Tracking) -> String {
    let Tracking {
        tracker,
        state,
        detail,
        ..
    } = tracking;
    let does = match (tracking.fault, tracking.adds, tracking.weight) {
        _ if tracking.takeover => "takes over when the peer is lost".to_owned(),
        (true, ..) => "a fault".to_owned(),
        (false, 0, Some(weight)) => format!("weight {weight}"),
        (false, 0, None) => "a fault while it is not as it must be".to_owned(),
        (false, adds, _) => format!("priority {adds:+}"),
    };
    format!("{tracker} {state}: {detail}; {does}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;
    use vrrp_control::ProbeRun;

    fn report() -> TrackersReport {
        let up = TrackerReport {
            name: "uplink".into(),
            kind: "interface".into(),
            state: "up".into(),
            since: "2026-11-20T12:02:11.204000Z".into(),
            detail: "eth1 has a carrier".into(),
            offset: None,
            heard_us: Some(3_600_000_000),
            against: Some(1),
            objection: Some("eth1 has no carrier".into()),
            pending: Some("down".into()),
            pending_us: Some(150_000),
            probe: None,
            routers: vec![TrackerUse {
                router: "lan4".into(),
                adds: 0,
                fault: false,
                takeover: false,
            }],
            session: None,
        };
        let down = TrackerReport {
            name: "default-route".into(),
            kind: "route".into(),
            state: "down".into(),
            detail: "no route to 0.0.0.0/0 in table 254 by protocol 186".into(),
            against: None,
            objection: None,
            pending: None,
            pending_us: None,
            routers: vec![
                TrackerUse {
                    router: "lan4".into(),
                    adds: -40,
                    fault: false,
                    takeover: false,
                },
                TrackerUse {
                    router: "lan6".into(),
                    adds: 0,
                    fault: true,
                    takeover: false,
                },
            ],
            ..up.clone()
        };
        let web = TrackerReport {
            name: "web".into(),
            kind: "http".into(),
            detail: "http://192.0.2.80/health: the status is 503".into(),
            probe: Some(ProbeReport {
                tracker: "web".into(),
                runs: 812,
                failures: 4,
                last: Some(ProbeRun {
                    time: "2026-11-20T13:02:10.904000Z".into(),
                    took_us: 3_250,
                    good: false,
                    unable: false,
                    said: "http://192.0.2.80/health: the status is 503".into(),
                    offset: None,
                }),
                running_us: Some(12_000),
                next_us: Some(988_000),
            }),
            ..down.clone()
        };
        let unused = TrackerReport {
            name: "next".into(),
            kind: "neighbour".into(),
            state: "unknown".into(),
            detail: "no result yet".into(),
            heard_us: None,
            routers: Vec::new(),
            ..down.clone()
        };
        TrackersReport {
            version: 1,
            problem: Some("the process that probes is not there: it is being started".into()),
            trackers: vec![up, down, web, unused],
        }
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = render(&report(), &look(Some(80)));
        let wide = text.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(render(&report(), &look(None)));
    }

    #[test]
    fn none() {
        let none = TrackersReport {
            version: 1,
            problem: None,
            trackers: Vec::new(),
        };
        assert_eq!(render(&none, &look(None)), "no trackers are configured\n");
    }

    #[test]
    fn what_a_router_is_told() {
        let of = |weight, adds, fault| {
            sentence(&Tracking {
                takeover: false,
                tracker: "uplink".into(),
                state: "down".into(),
                detail: "eth1 is down".into(),
                weight,
                adds,
                fault,
            })
        };
        assert_eq!(
            of(Some(-40), -40, false),
            "uplink down: eth1 is down; priority -40"
        );
        assert_eq!(
            of(Some(20), 0, false),
            "uplink down: eth1 is down; weight 20"
        );
        assert_eq!(of(None, 0, true), "uplink down: eth1 is down; a fault");
    }
}
