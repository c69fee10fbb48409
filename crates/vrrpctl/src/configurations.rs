//! The configurations that were applied: a line for each, or the text of one.

use clap::Subcommand;
use vrrp_control::{
    Answer, ConfigurationAnswer, ConfigurationRequest, HistoryReport, Request, TextReport,
};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::table::{self, Cell, Column};

/// What to see of them.
#[derive(Debug, Subcommand)]
pub(crate) enum Wanted {
    /// The last 20 that were applied: when, by whom, and what they changed
    History,
    /// The text of one, with authentication keys hidden
    Show {
        /// Its number in the history [default: the one that runs]
        number: Option<u64>,
    },
}

/// Digits of a hash that tell one configuration from another.
const HASH: usize = 8;

const COLUMNS: [Column; 5] = [
    Column {
        title: "NUMBER",
        right: true,
        least: None,
    },
    Column {
        title: "TIME",
        right: false,
        least: None,
    },
    Column {
        title: "BY",
        right: false,
        least: Some(8),
    },
    Column {
        title: "HASH",
        right: false,
        least: None,
    },
    Column {
        title: "CHANGE",
        right: false,
        least: Some(12),
    },
];

/// `vrrpctl config`.
pub(crate) fn run(client: &Client, page: &mut Page, wanted: &Wanted) -> Result<(), Failure> {
    let request = match wanted {
        Wanted::History => ConfigurationRequest::History,
        Wanted::Show { number } => ConfigurationRequest::Show { number: *number },
    };
    let Reply { answer, value } = client.ask_one(&Request::Configuration(request))?;
    let Answer::Configuration(answer) = answer else {
        return Err(client.astray());
    };
    if page.look.json {
        return page.document(&json::document(value));
    }
    match *answer {
        ConfigurationAnswer::History(report) => {
            let text = history(&report, &page.look);
            page.text(&text)
        }
        ConfigurationAnswer::Text(report) => {
            let text = text(&report, &page.look);
            page.text(&text)
        }
        ConfigurationAnswer::Change(_) | ConfigurationAnswer::Confirmed(_) => Err(client.astray()),
    }
}

fn history(report: &HistoryReport, look: &Look) -> String {
    if report.configurations.is_empty() {
        return "no configuration is remembered\n".to_owned();
    }
    let running = &report.running;
    let rows: Vec<(Cell, Vec<Cell>)> = report
        .configurations
        .iter()
        .map(|entry| {
            let runs = entry.number == running.number;
            let (mark, tone) = match (runs, look.ascii) {
                (false, _) => (" ", Tone::Plain),
                (true, false) => ("●", Tone::Good),
                (true, true) => ("*", Tone::Good),
            };
            let on_trial = runs && running.trial.is_some();
            let trial = if on_trial { "(on trial) " } else { "" };
            let hash: String = entry.hash.chars().take(HASH).collect();
            let time = match look.width {
                Some(_) => look.calendar.minute(&entry.time),
                None => look.calendar.absolute(&entry.time),
            };
            let cells = vec![
                entry.number.to_string().into(),
                plain::text(&time).into(),
                plain::text(&entry.by).into(),
                plain::text(&hash).into(),
                format!("{trial}{}", plain::text(&entry.summary)).into(),
            ];
            let mark = Cell {
                text: mark.into(),
                tone,
            };
            (mark, cells)
        })
        .collect();
    table::render(look, &COLUMNS, &rows)
}

/// A file that could be used, but for its keys.
fn text(report: &TextReport, look: &Look) -> String {
    let entry = &report.configuration;
    let mut text = String::new();
    if !look.brief {
        text = format!(
            "# Configuration {} of {}, applied by {}\n",
            entry.number,
            plain::text(&look.calendar.absolute(&entry.time)),
            plain::text(&entry.by)
        );
    }
    for line in report.text.lines() {
        // A tab is no harm in a text.
        let parts: Vec<String> = line.split('\t').map(plain::text).collect();
        text.push_str(&parts.join("\t"));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use vrrp_control::{ConfigurationEntry, ConfigurationStatus, Trial};

    use super::*;
    use crate::testing::look;

    fn entry(number: u64, by: &str, summary: &str) -> ConfigurationEntry {
        ConfigurationEntry {
            number,
            time: format!("2026-11-20T12:0{number}:00.204561Z"),
            by: by.into(),
            hash: format!("7f3c9e{number}").repeat(9),
            summary: summary.into(),
        }
    }

    fn report() -> HistoryReport {
        HistoryReport {
            version: 1,
            configurations: vec![
                entry(7, "start", "2 virtual routers"),
                entry(8, "alice", "changed wan4: priority 150 -> 90"),
                entry(9, "nobody", "back to 7: changed wan4: priority 90 -> 150"),
            ],
            running: ConfigurationStatus {
                number: 9,
                ..ConfigurationStatus::default()
            },
        }
    }

    #[test]
    fn on_a_terminal_of_80_columns() {
        let text = history(&report(), &look(Some(80)));
        assert!(text.lines().all(|line| line.chars().count() <= 80));
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_a_terminal() {
        let mut report = report();
        report.configurations.pop();
        report.running = ConfigurationStatus {
            number: 8,
            trial: Some(Trial {
                since: String::new(),
                until: String::new(),
                back_to: 7,
            }),
            ..ConfigurationStatus::default()
        };
        insta::assert_snapshot!(history(&report, &look(None)));
    }

    #[test]
    fn a_text_is_a_file_with_a_comment_on_where_it_comes_from() {
        let report = TextReport {
            version: 1,
            configuration: entry(8, "alice", ""),
            text: "[virtual-router.wan4]\n\tvrid = 5 # \x1b[2J\n".into(),
        };
        insta::assert_snapshot!(text(&report, &look(Some(80))), @r"
        # Configuration 8 of 2026-11-20T13:08:00+01:00, applied by alice
        [virtual-router.wan4]
        	vrid = 5 # \u{1b}[2J
        ");
    }
}
