//! Another configuration for a running daemon: shown first, then applied, and for good only when it is confirmed.

use std::time::Duration;

use clap::Args;
use jiff::Span;
use vrrp_control::{
    Answer, Attempt, ChangeReport, ConfigurationAnswer, ConfigurationEntry, ConfigurationRequest,
    ForecastReport, Outcome, Request,
};

use crate::client::{Client, Reply};
use crate::difference;
use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page};
use crate::plain;

/// Predicted changes that are shown.
const FORESEEN: usize = 20;

/// How long a trial lasts unless told otherwise.
const TRIAL: &str = "60s";

/// How to change the configuration.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,

    /// Go back by itself after this time, from 1s to 24h, unless `vrrpctl confirm` comes before
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = TRIAL,
        value_parser = parse_trial, conflicts_with = "dry_run")]
    confirm: Option<Duration>,

    /// Show all of the difference, however long it is
    #[arg(long)]
    diff: bool,
}

/// What is asked for.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// `vrrpctl reload`.
    Reload,
    /// `vrrpctl rollback`.
    Rollback(Option<u64>),
}

impl What {
    fn request(self, attempt: Attempt) -> Request {
        Request::Configuration(match self {
            Self::Reload => ConfigurationRequest::Reload(attempt),
            Self::Rollback(number) => ConfigurationRequest::Rollback { number, attempt },
        })
    }
}

fn parse_trial(text: &str) -> Result<Duration, String> {
    let wrong = || "write for example 60s, 5m or 1h".to_owned();
    let span: Span = text.parse().map_err(|_| wrong())?;
    let seconds = span.total(jiff::Unit::Second).map_err(|_| wrong())?;
    if !(1.0..=86_400.0).contains(&seconds) {
        return Err("a trial takes 1s to 24h".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds.ceil()))
}

/// `vrrpctl reload` and `vrrpctl rollback`.
pub(crate) fn run(client: &Client, page: &mut Page, what: What, how: &How) -> Result<(), Failure> {
    let mut attempt = Attempt {
        dry_run: how.dry_run,
        confirm_seconds: how.confirm.map(|time| time.as_secs()),
        expect: None,
    };
    if page.look.json {
        let (report, value) = ask(client, what, attempt)?;
        page.document(&value)?;
        return verdict(&report);
    }
    // What is applied may take away the connection over which this is read.
    let preview = Attempt {
        dry_run: true,
        confirm_seconds: None,
        expect: None,
    };
    let (mut report, _) = ask(client, what, preview)?;
    let text = announcement(&report, &page.look, how.diff);
    page.text(&text)?;
    if !how.dry_run {
        // Also a file that cannot be used: the daemon notes that somebody tried.
        let seen = report.hash.clone();
        attempt.expect = Some(seen).filter(|hash| !hash.is_empty());
        (report, _) = ask(client, what, attempt)?;
    }
    let text = outcome(&report, &page.look);
    page.text(&text)?;
    verdict(&report)
}

/// `vrrpctl confirm`.
pub(crate) fn confirm(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let request = Request::Configuration(ConfigurationRequest::Confirm);
    let Reply { answer, value } = client.ask_one(&request)?;
    let Answer::Configuration(answer) = answer else {
        return Err(client.astray());
    };
    let ConfigurationAnswer::Confirmed(ConfigurationEntry { number, .. }) = *answer else {
        return Err(client.astray());
    };
    if page.look.json {
        return page.document(&json::document(value));
    }
    page.text(&format!("configuration {number} is confirmed, and stays\n"))
}

fn ask(
    client: &Client,
    what: What,
    attempt: Attempt,
) -> Result<(ChangeReport, serde_json::Value), Failure> {
    let Reply { answer, value } = client.ask_one(&what.request(attempt))?;
    let Answer::Configuration(answer) = answer else {
        return Err(client.astray());
    };
    let ConfigurationAnswer::Change(report) = *answer else {
        return Err(client.astray());
    };
    Ok((report, json::document(value)))
}

fn verdict(report: &ChangeReport) -> Result<(), Failure> {
    match report.outcome {
        Outcome::Applied | Outcome::Previewed => Ok(()),
        Outcome::Errors => Err(Failure::Wrong(2)),
    }
}

/// What is wrong, and what is about to change.
fn announcement(report: &ChangeReport, look: &Look, all: bool) -> String {
    // Lines of its own, each made safe by the daemon's renderer; what else may be in there is not trusted.
    let mut text: String = report
        .explanation
        .lines()
        .map(|line| plain::text(line) + "\n")
        .collect();
    text.push_str(&difference::render(&report.difference, look, all));
    if let Some(prediction) = &report.prediction {
        text.push_str(&forecast(prediction));
    }
    text
}

/// Who changes its role, and when.
fn forecast(prediction: &ForecastReport) -> String {
    let roles = prediction.changes.iter().filter(|it| it.kind == "role");
    let lines: Vec<String> = roles
        .map(|it| {
            let after = crate::moment::span(it.after_us);
            let (router, what) = (plain::text(&it.router), plain::text(&it.text));
            format!("predicted: after {after} {router}: {what}\n")
        })
        .collect();
    if lines.is_empty() {
        return "predicted: no virtual router changes its role, here or at a peer that was heard\n"
            .to_owned();
    }
    let (shown, left) = lines.split_at(lines.len().min(FORESEEN));
    let mut text = shown.concat();
    if !left.is_empty() {
        text.push_str(&format!(
            "predicted: and {} changes more: vrrpctl what-if\n",
            left.len()
        ));
    }
    text
}

/// What became of it.
fn outcome(report: &ChangeReport, look: &Look) -> String {
    let source = plain::text(&report.source);
    let running = &report.running;
    let number = running.number;
    match report.outcome {
        Outcome::Errors => format!("nothing changed: {source} has errors\n"),
        Outcome::Previewed if report.difference.is_empty() => {
            format!("nothing would change: {source} says what runs\n")
        }
        Outcome::Previewed => "nothing was changed: this was a dry run\n".to_owned(),
        Outcome::Applied => {
            let what = if report.difference.is_empty() {
                format!("nothing to change: {source} says what runs, configuration {number}\n")
            } else {
                format!("applied {source} as configuration {number}\n")
            };
            let trial = running.trial.as_ref().map(|trial| {
                let until = plain::text(&look.calendar.clock(&trial.until));
                format!(
                    "goes back to configuration {} at {until} unless: vrrpctl confirm\n",
                    trial.back_to
                )
            });
            what + &trial.unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use vrrp_control::{
        ConfigurationStatus, KeyDifference, PredictedChange, TableDifference, Trial,
    };

    use super::*;
    use crate::testing::look;

    fn report(result: Outcome) -> ChangeReport {
        ChangeReport {
            version: 1,
            source: "/etc/vrrpd/vrrpd.toml".into(),
            outcome: result,
            hash: "7f3c9e".into(),
            routers: 1,
            findings: Vec::new(),
            explanation: String::new(),
            difference: vec![TableDifference {
                table: "virtual-router".into(),
                router: Some("wan4".into()),
                change: "changed".into(),
                keys: vec![KeyDifference {
                    key: "priority".into(),
                    old: Some("150".into()),
                    new: Some("90".into()),
                }],
            }],
            prediction: None,
            running: ConfigurationStatus {
                number: 8,
                hash: "7f3c9e".into(),
                trial: None,
                rolled_back: None,
            },
        }
    }

    fn page(report: &ChangeReport) -> String {
        let look = look(Some(80));
        announcement(report, &look, false) + &outcome(report, &look)
    }

    #[test]
    fn on_trial() {
        let mut report = report(Outcome::Applied);
        report.running.trial = Some(Trial {
            since: "2026-11-20T13:31:02Z".into(),
            until: "2026-11-20T13:32:02Z".into(),
            back_to: 7,
        });
        insta::assert_snapshot!(page(&report), @r"
         [virtual-router.wan4]
        -  priority = 150
        +  priority = 90
        applied /etc/vrrpd/vrrpd.toml as configuration 8
        goes back to configuration 7 at 14:32:02.000 unless: vrrpctl confirm
        ");
        let same = ChangeReport {
            difference: Vec::new(),
            ..report
        };
        insta::assert_snapshot!(page(&same), @r"
        nothing to change: /etc/vrrpd/vrrpd.toml says what runs, configuration 8
        goes back to configuration 7 at 14:32:02.000 unless: vrrpctl confirm
        ");
    }

    #[test]
    fn what_would_change() {
        insta::assert_snapshot!(page(&report(Outcome::Previewed)), @r"
         [virtual-router.wan4]
        -  priority = 150
        +  priority = 90
        nothing was changed: this was a dry run
        ");
        let same = ChangeReport {
            difference: Vec::new(),
            ..report(Outcome::Previewed)
        };
        insta::assert_snapshot!(page(&same), @"nothing would change: /etc/vrrpd/vrrpd.toml says what runs");
    }

    #[test]
    fn what_follows_for_the_roles() {
        let change = |kind: &str, text: &str| PredictedChange {
            after_us: 609_375,
            router: "wan4".into(),
            peer: None,
            kind: kind.into(),
            from: None,
            to: None,
            reason: None,
            text: text.into(),
        };
        let prediction = |changes| ForecastReport {
            version: 1,
            time: String::new(),
            changes,
            routers: Vec::new(),
            horizon_us: 0,
            complete: true,
            assumed_interfaces: Vec::new(),
        };
        let role = change("role", "192.0.2.12: backup -> active: preempts");
        insta::assert_snapshot!(
            forecast(&prediction(vec![change("added", "added"), role.clone()])),
            @"predicted: after 609.375 ms wan4: 192.0.2.12: backup -> active: preempts"
        );
        insta::assert_snapshot!(
            forecast(&prediction(vec![change("added", "added")])),
            @"predicted: no virtual router changes its role, here or at a peer that was heard"
        );
        let text = forecast(&prediction(vec![role; 25]));
        assert_eq!(text.lines().count(), FORESEEN + 1);
        assert!(text.ends_with("and 5 changes more: vrrpctl what-if\n"));
    }

    #[test]
    fn a_file_with_errors() {
        let report = ChangeReport {
            explanation: "error[priority]: \x1b[2J\n --> a.toml:1:1\n".into(),
            difference: Vec::new(),
            ..report(Outcome::Errors)
        };
        insta::assert_snapshot!(page(&report), @r"
        error[priority]: \u{1b}[2J
         --> a.toml:1:1
        nothing changed: /etc/vrrpd/vrrpd.toml has errors
        ");
        assert!(matches!(verdict(&report), Err(Failure::Wrong(2))));
    }

    #[test]
    fn how_long_a_trial_may_last() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("1h30m", 5400), ("1500ms", 2)] {
            assert_eq!(
                parse_trial(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["", "60", "0s", "-5s", "25h", "soon", "1y"] {
            assert!(parse_trial(text).is_err(), "{text}");
        }
    }
}
