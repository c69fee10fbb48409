//! One tracker: its probe, made at once.

use std::time::Duration;

use clap::Subcommand;
use vrrp_control::{Answer, ProbeRun, ProbeTrial, Request, TrackerRequest};

use crate::client::{Client, Reply};
use crate::failure::Failure;
use crate::moment::span;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::trackers;

/// A probe may take as long as its timeout, of which ten minutes is the longest.
const PATIENCE: Duration = Duration::from_secs(660);

/// What to do about a tracker.
#[derive(Debug, Subcommand)]
pub(crate) enum Wanted {
    /// Make its probe at once, and show what it found; exit code 1 if that is not good
    ///
    /// What it finds counts as whatever it finds. If the probe is being made already, its end is waited for.
    #[command(after_help = "\
Examples:
  vrrpctl tracker run web          as the daemon does it: same user, same timeout
  vrrpctl show trackers            how all of them stand, and when they are probed next")]
    Run {
        /// The tracker
        name: String,
    },
}

/// `vrrpctl tracker`.
pub(crate) fn run(client: &Client, page: &mut Page, wanted: &Wanted) -> Result<(), Failure> {
    let Wanted::Run { name } = wanted;
    let known = trackers::names(client)?;
    if !known.contains(name) {
        let known = match &known[..] {
            [] => "the configuration that runs has none".to_owned(),
            known => format!("there is {}", known.join(", ")),
        };
        return Err(Failure::File(format!(
            "there is no tracker {name}; {known}"
        )));
    }
    let request = TrackerRequest::Run { name: name.clone() };
    let client = client.with_patience(PATIENCE);
    let Reply {
        answer: Answer::ProbeTrial(trial),
        value,
    } = client.ask_one(&Request::Tracker(request))?
    else {
        return Err(client.astray());
    };
    page.answer(value, |look| render(&trial, look))?;
    if trial.run.good {
        Ok(())
    } else {
        Err(Failure::Wrong(1))
    }
}

/// The page: how it went, and how the tracker stands after that.
fn render(trial: &ProbeTrial, look: &Look) -> String {
    let (word, tone) = verdict(&trial.run);
    let word = look.paint(tone, word);
    if look.brief {
        return format!("{word}\n");
    }
    let mut text = format!(
        "{word} in {}: {}\n",
        span(trial.run.took_us),
        plain::text(&trial.run.said)
    );
    let tracker = &trial.tracker;
    let state = plain::text(&tracker.state.to_uppercase());
    let name = plain::text(&tracker.name);
    text.push_str(&format!(
        "{name} is {state}: {}\n",
        plain::text(&tracker.detail)
    ));
    for line in trackers::doubts(tracker) {
        text.push_str(&format!("  {}\n", plain::text(&line)));
    }
    text
}

/// How a probe went, in a word.
pub(crate) const fn verdict(run: &ProbeRun) -> (&'static str, Tone) {
    match (run.good, run.unable) {
        (true, _) => ("good", Tone::Good),
        (false, false) => ("not good", Tone::Bad),
        (false, true) => ("not made", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;
    use vrrp_control::TrackerReport;

    #[test]
    fn one_that_contradicts() {
        let trial = ProbeTrial {
            version: 1,
            run: ProbeRun {
                time: "2026-11-20T13:02:11.204000Z".into(),
                took_us: 12_345,
                good: false,
                unable: false,
                said: "exit status 3: no\u{1b}[2J answer".into(),
                offset: None,
            },
            tracker: TrackerReport {
                session: None,
                name: "web".into(),
                kind: "script".into(),
                state: "up".into(),
                since: "2026-11-20T12:02:11.204000Z".into(),
                detail: "done".into(),
                offset: None,
                heard_us: Some(12),
                against: Some(1),
                objection: Some("exit status 3".into()),
                pending: None,
                pending_us: None,
                probe: None,
                routers: Vec::new(),
            },
        };
        let text = render(&trial, &look(None));
        assert_eq!(
            text,
            "not good in 12.345 ms: exit status 3: no\\u{1b}[2J answer\nweb is UP: done\n  contradicted once: exit status 3\n"
        );
    }
}
