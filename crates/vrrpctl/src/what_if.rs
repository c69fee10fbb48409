//! What would happen if.

use std::fmt::Write;
use std::time::Duration;

use vrrp_control::{
    Answer, CarpBid, ForecastReport, MAX_REQUEST, PredictedChange, PredictedRouter,
    PredictedStanding, Request, Supposition, encode,
};

use vrrp_proto::Gather;

use crate::cli::WhatIf;
use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::prose::wrap;
use crate::status;

/// What `--peer-down` says without an address.
const ALL: &str = "all";

/// `vrrpctl what-if`.
pub(crate) fn run(client: &Client, page: &mut Page, supposed: &WhatIf) -> Result<(), Failure> {
    if !supposed.priority.is_empty() {
        let (report, _) = status::fetch(client)?;
        for (name, _) in &supposed.priority {
            status::find(&report, name)?;
        }
    }
    let request = Request::WhatIf(Box::new(supposition(supposed)?));
    if encode(&request)?.len() > MAX_REQUEST {
        let file = supposed.config.as_deref().unwrap_or("".as_ref());
        return Err(Failure::File(format!(
            "{} is too long to be sent: a request has at most {MAX_REQUEST} bytes",
            file.display()
        )));
    }
    let Reply {
        answer: Answer::Forecast(report),
        value,
    } = client.ask_one(&request)?
    else {
        return Err(client.astray());
    };
    page.answer(value, |look| render(&report, look))
}

fn supposition(supposed: &WhatIf) -> Result<Supposition, Failure> {
    let config = match &supposed.config {
        Some(file) => Some(
            vrrp_config::load(file)
                .map_err(|error| Failure::from(&error))?
                .text,
        ),
        None => None,
    };
    let all = |peer: &&String| *peer == ALL;
    Ok(Supposition {
        link_down: supposed.link_down.clone(),
        peer_down: supposed
            .peer_down
            .iter()
            .filter(|peer| !all(peer))
            .cloned()
            .collect(),
        all_peers_down: supposed.peer_down.iter().any(|peer| all(&peer)),
        priority: supposed.priority.iter().cloned().gather(),
        trackers: supposed.tracker.iter().cloned().gather(),
        config,
        horizon_us: supposed
            .horizon
            .map(|horizon| u64::try_from(horizon.as_micros()).unwrap_or(u64::MAX)),
    })
}

/// `lan4=50`.
///
/// # Errors
/// A sentence, if it is something else.
pub(crate) fn parse_priority(text: &str) -> Result<(String, u8), String> {
    let split = text.rsplit_once('=').filter(|(name, _)| !name.is_empty());
    let (name, priority) = split.ok_or("write for example lan4=50")?;
    match priority.parse() {
        Ok(priority @ 1..=254) => Ok((name.to_owned(), priority)),
        _ => Err("a priority is 1 to 254".to_owned()),
    }
}

/// `uplink=down`.
///
/// # Errors
/// A sentence, if it is something else.
pub(crate) fn parse_tracker(text: &str) -> Result<(String, String), String> {
    match text.rsplit_once('=') {
        Some((name, state @ ("up" | "down"))) if !name.is_empty() => {
            Ok((name.to_owned(), state.to_owned()))
        }
        _ => Err("write for example uplink=down".to_owned()),
    }
}

/// `500ms`, `90s`, `10m`.
///
/// # Errors
/// A sentence, if it is something else.
pub(crate) fn parse_horizon(text: &str) -> Result<Duration, String> {
    let span: Option<jiff::SignedDuration> = text.parse().ok();
    let horizon = span.and_then(|span| Duration::try_from(span).ok());
    horizon
        .filter(|horizon| !horizon.is_zero())
        .ok_or_else(|| "write for example 500ms, 90s or 10m".to_owned())
}

/// The page.
fn render(report: &ForecastReport, look: &Look) -> String {
    let mut text = String::new();
    if look.brief {
        for change in report.changes.iter().filter(|change| change.kind == "role") {
            let who = change.peer.as_deref().unwrap_or("self");
            let to = change.to.as_deref().unwrap_or_default().to_uppercase();
            line(
                &mut text,
                &format!("+{} {} {who} {to}", seconds(change.after_us), change.router),
            );
        }
        return text;
    }
    let horizon = span(report.horizon_us);
    if report.changes.is_empty() {
        line(&mut text, &format!("nothing would change within {horizon}"));
    } else {
        let name = |change: &PredictedChange| change.router.chars().count();
        let width = report.changes.iter().map(name).max().unwrap_or_default();
        for change in &report.changes {
            let padding = " ".repeat(width - name(change));
            let after = format!("+{} s", seconds(change.after_us));
            let lead = format!("{after:>12}  {}{padding}  ", change.router);
            text.push_str(&wrap(look, &lead, &change.text));
        }
        let _ = writeln!(text, "\n{}", look.paint(Tone::Heading, "In the end"));
        for router in &report.routers {
            text.push_str(&wrap(look, "  ", &outcome(router)));
        }
    }
    text.push('\n');
    if !report.changes.is_empty() {
        line(
            &mut text,
            &format!("nothing more would change within {horizon}"),
        );
    }
    if !report.complete {
        let mark = look.paint(Tone::Bad, "!");
        let _ = writeln!(
            text,
            "{mark} there is too much to look farther; say less with --for"
        );
    }
    if !report.assumed_interfaces.is_empty() {
        line(
            &mut text,
            &format!(
                "assumed to be up with an address: {}",
                report.assumed_interfaces.join(", ")
            ),
        );
    }
    line(
        &mut text,
        "known are the routers that were heard, as `vrrpctl show peers` has them",
    );
    text
}

fn line(text: &mut String, sentence: &str) {
    text.push_str(&plain::text(sentence));
    text.push('\n');
}

/// Seconds with all digits that were predicted.
fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

/// Before and at the end.
fn outcome(router: &PredictedRouter) -> String {
    let name = &router.name;
    match (&router.before, &router.after) {
        (Some(before), Some(after)) if before.state == after.state => {
            format!("{name} is {} as before; {}", word(after), holder(after))
        }
        (Some(before), Some(after)) => format!(
            "{name} is {}, not {}; {}",
            word(after),
            word(before),
            holder(after)
        ),
        (None, Some(after)) => format!("{name} is new and {}; {}", word(after), holder(after)),
        (_, None) => format!("{name} is gone from here"),
    }
}

fn word(standing: &PredictedStanding) -> String {
    standing.state.to_uppercase()
}

fn holder(standing: &PredictedStanding) -> String {
    let peers: Vec<String> = standing
        .active_peers
        .iter()
        .map(|peer| {
            let offer = offer(peer.carp, peer.priority);
            format!("{} with {offer}", peer.address)
        })
        .collect();
    let peers = peers.join(" and ");
    match (standing.state == "active", peers.is_empty()) {
        (true, true) => format!(
            "it serves, with {}",
            offer(standing.carp, standing.priority)
        ),
        (true, false) => format!("TWO ARE ACTIVE: this router, and {peers}"),
        (false, false) => format!("Active is {peers}"),
        (false, true) => {
            "nobody is known to be Active: another router if there is one that was never heard"
                .to_owned()
        }
    }
}

fn offer(carp: Option<CarpBid>, priority: u8) -> String {
    carp.map_or_else(|| priority.to_string(), |bid| bid.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;
    use vrrp_control::ActiveRouter;

    fn standing(state: &str, peer: Option<(&str, u8)>) -> PredictedStanding {
        PredictedStanding {
            state: state.into(),
            priority: 200,
            carp: None,
            active_peers: peer
                .into_iter()
                .map(|(address, priority)| ActiveRouter {
                    address: address.into(),
                    priority,
                    carp: None,
                })
                .collect(),
        }
    }

    fn change(after_us: u64, router: &str, peer: Option<&str>, text: &str) -> PredictedChange {
        PredictedChange {
            after_us,
            router: router.into(),
            peer: peer.map(Into::into),
            kind: "role".into(),
            from: None,
            to: Some("active".into()),
            reason: None,
            text: text.into(),
        }
    }

    fn report() -> ForecastReport {
        ForecastReport {
            version: 1,
            time: "2026-11-20T13:02:31.000000Z".into(),
            changes: vec![
                change(0, "lan4", None, "active -> initialize: it has a fault"),
                change(
                    3_214_062,
                    "lan4",
                    Some("10.20.0.3"),
                    "10.20.0.3: backup -> active: the Active fell silent",
                ),
            ],
            routers: vec![
                PredictedRouter {
                    name: "lan4".into(),
                    before: Some(standing("active", None)),
                    after: Some(standing("initialize", Some(("10.20.0.3", 150)))),
                },
                PredictedRouter {
                    name: "voice6".into(),
                    before: Some(standing("active", None)),
                    after: Some(standing("active", Some(("fe80::3", 150)))),
                },
                PredictedRouter {
                    name: "guest4".into(),
                    before: Some(standing("backup", Some(("10.40.0.3", 150)))),
                    after: Some(standing("backup", None)),
                },
                PredictedRouter {
                    name: "old4".into(),
                    before: Some(standing("backup", None)),
                    after: None,
                },
            ],
            horizon_us: 36_093_750,
            complete: true,
            assumed_interfaces: vec!["eth7".into()],
        }
    }

    #[test]
    fn on_a_terminal() {
        let text = render(&report(), &look(Some(80)));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing() {
        let mut report = report();
        report.changes.clear();
        report.assumed_interfaces.clear();
        insta::assert_snapshot!(render(&report, &look(None)));
    }

    #[test]
    fn in_brief() {
        let brief = Look {
            brief: true,
            ..look(None)
        };
        insta::assert_snapshot!(render(&report(), &brief));
    }

    #[test]
    fn priorities_and_horizons() {
        assert_eq!(parse_priority("a=b=50"), Ok(("a=b".to_owned(), 50)));
        for text in ["lan4", "=5", "lan4=", "lan4=0", "lan4=255", "lan4=-1"] {
            assert!(parse_priority(text).is_err(), "{text}");
        }
        assert_eq!(parse_horizon("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_horizon("500ms"), Ok(Duration::from_millis(500)));
        for text in ["", "0s", "-3s", "soon"] {
            assert!(parse_horizon(text).is_err(), "{text}");
        }
    }
}
