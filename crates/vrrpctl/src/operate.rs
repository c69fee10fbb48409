//! The commands that change the election.

use std::time::Duration;

use clap::{ArgGroup, Subcommand};
use jiff::{Span, SpanRelativeTo, Unit};
use vrrp_control::{Answer, OrderOutcome, OrderReport, OrderRequest, Request};

use crate::client::Client;
use crate::failure::{Failure, Silence};
use crate::json;
use crate::page::{Page, Tone};
use crate::plain;

/// Exit code when the time to wait was over.
const TIMED_OUT: u8 = 4;

/// Longest time for which something can be asked for.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// What to do with which routers.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Another priority for a while, which always ends by itself
    #[command(subcommand, arg_required_else_help = true)]
    Priority(PriorityVerb),
    /// An Active hands over to a Backup, and stays Backup until that one is gone
    ///
    /// It keeps its addresses until its successor is heard, so that no packet is lost. If nobody takes over it is Active
    /// again at once, and the exit code is 1. `vrrpctl priority reset` lets it preempt again.
    #[command(after_help = "\
Examples:
  vrrpctl failover wan4                all of its group, if it is a member of one
  vrrpctl failover edge                the group `edge`
  vrrpctl failover wan4 --wait 200ms   exit code 4 if nobody was heard by then; it goes on all the same")]
    Failover {
        /// The virtual router or group
        name: String,

        /// Wait this long for the successor [default: as long as the protocol needs]
        #[arg(long, value_name = "TIME", value_parser = time)]
        wait: Option<Duration>,

        /// Stay Backup for a full silence although nobody took over: for so long, nobody has the addresses
        #[arg(long)]
        force: bool,
    },
    /// A router gives up and stays given up, also over restarts, until `undrain`
    ///
    /// An Active hands over as with `failover`. From then on it has priority 1 and does not preempt: a last resort, which
    /// serves only while nobody else is there. If nobody takes over it is not drained, and the exit code is 1.
    #[command(after_help = "\
Examples:
  vrrpctl drain wan4 --for 2h --reason 'kernel update'
  vrrpctl drain --all")]
    #[command(group = ArgGroup::new("which").required(true))]
    Drain {
        /// The virtual routers or groups
        #[arg(group = "which")]
        names: Vec<String>,

        /// All virtual routers
        #[arg(long, group = "which")]
        all: bool,

        /// Ends by itself after this time, such as 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        time: Option<Duration>,

        /// Why; shown in status and history
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,

        /// Also if nobody takes over: it then serves with priority 1 until somebody does
        #[arg(long)]
        force: bool,
    },
    /// A drained router is what its configuration says again, and preempts if that is its due
    #[command(after_help = "\
Examples:
  vrrpctl undrain wan4
  vrrpctl undrain --all")]
    #[command(group = ArgGroup::new("which").required(true))]
    Undrain {
        /// The virtual routers or groups
        #[arg(group = "which")]
        names: Vec<String>,

        /// All virtual routers
        #[arg(long, group = "which")]
        all: bool,
    },
    /// Who is Active stays so: an Active advertises priority 254, a Backup does not preempt
    #[command(after_help = "\
Examples:
  vrrpctl pin wan4 --for 1h")]
    Pin {
        /// The virtual router or group
        name: String,

        /// Ends by itself after this time, such as 30m or 2h
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        time: Duration,
    },
    /// Ends a pin; the same as `priority reset`
    #[command(after_help = "\
Examples:
  vrrpctl unpin wan4")]
    Unpin {
        /// The virtual router
        name: String,
    },
    /// A router that came back, and waits for that (`preempt-when`), may preempt
    ///
    /// For scripts: connections are synchronised, or the routes of the neighbours are there. To a router that does not
    /// wait it means nothing. Exit code 1 while it takes no part.
    #[command(after_help = "\
Examples:
  vrrpctl ready wan4
  vrrpctl ready edge                   the group `edge`")]
    Ready {
        /// The virtual router or group
        name: String,
    },
    /// An Active tells its neighbours once more where the addresses are
    #[command(after_help = "\
Examples:
  vrrpctl announce wan4")]
    Announce {
        /// The virtual router
        name: String,
    },
}

/// What to do with a priority.
#[derive(Debug, Subcommand)]
pub(crate) enum PriorityVerb {
    /// Advertise this priority instead of the configured one
    #[command(after_help = "\
Examples:
  vrrpctl priority set wan4 50 --for 10m
  vrrpctl priority set wan4 200 --until-restart")]
    #[command(group = ArgGroup::new("end").required(true))]
    Set {
        /// The virtual router
        name: String,

        /// 1 to 254
        #[arg(value_parser = clap::value_parser!(u8).range(1..=254))]
        priority: u8,

        /// Ends by itself after this time, such as 10m or 2h, also over restarts
        #[arg(long = "for", value_name = "TIME", value_parser = time, group = "end")]
        time: Option<Duration>,

        /// Ends when the daemon stops
        #[arg(long, group = "end")]
        until_restart: bool,
    },
    /// Ends another priority, a pin, and what a failover left behind
    #[command(after_help = "\
Examples:
  vrrpctl priority reset wan4")]
    Reset {
        /// The virtual router
        name: String,
    },
}

/// Carries it out.
pub(crate) fn run(client: &Client, page: &mut Page, verb: &Verb) -> Result<(), Failure> {
    let mut answers = client.ask(&request(verb))?;
    while let Some(reply) = answers.next()? {
        if let Answer::Patience { ms } = reply.answer {
            answers.be_patient(Duration::from_millis(ms));
            continue;
        }
        let Answer::Order(report) = reply.answer else {
            return Err(client.astray());
        };
        if page.look.json {
            page.document(&json::document(reply.value))?;
        } else {
            let text = render(&report, page);
            page.text(&text)?;
        }
        return verdict(&report);
    }
    Err(answers.failure(Silence::HungUp))
}

fn request(verb: &Verb) -> Request {
    let (routers, order) = match verb {
        Verb::Priority(PriorityVerb::Set {
            name,
            priority,
            time,
            until_restart: _,
        }) => {
            let order = OrderRequest::SetPriority {
                priority: *priority,
                for_ms: time.map(ms),
            };
            (vec![name.clone()], order)
        }
        Verb::Priority(PriorityVerb::Reset { name }) | Verb::Unpin { name } => {
            (vec![name.clone()], OrderRequest::ResetPriority)
        }
        Verb::Failover { name, wait, force } => {
            let order = OrderRequest::Failover {
                wait_ms: wait.map(ms),
                force: *force,
            };
            (vec![name.clone()], order)
        }
        Verb::Drain {
            names,
            all: _,
            time,
            reason,
            force,
        } => {
            let order = OrderRequest::Drain {
                for_ms: time.map(ms),
                reason: reason.clone(),
                force: *force,
            };
            (names.clone(), order)
        }
        Verb::Undrain { names, all: _ } => (names.clone(), OrderRequest::Undrain),
        Verb::Pin { name, time } => (vec![name.clone()], OrderRequest::Pin { for_ms: ms(*time) }),
        Verb::Ready { name } => (vec![name.clone()], OrderRequest::Ready),
        Verb::Announce { name } => (vec![name.clone()], OrderRequest::Announce),
    };
    Request::Order { routers, order }
}

fn render(report: &OrderReport, page: &Page) -> String {
    let bad = page.look.paint(Tone::Bad, "!");
    let mut text = String::new();
    for result in &report.results {
        if result.outcome != OrderOutcome::Done {
            text.push_str(&bad);
            text.push(' ');
        }
        text.push_str(&plain::text(&result.text));
        text.push('\n');
    }
    if let Some(why) = &report.not_kept {
        let why = plain::text(why);
        text.push_str(&format!(
            "{bad} the next start will not know of it: {why}\n"
        ));
    }
    text
}

/// The worst of what became of it.
fn verdict(report: &OrderReport) -> Result<(), Failure> {
    let is = |outcome| {
        report
            .results
            .iter()
            .any(|result| result.outcome == outcome)
    };
    if is(OrderOutcome::Refused) || is(OrderOutcome::Unclaimed) {
        Err(Failure::Wrong(1))
    } else if is(OrderOutcome::Pending) {
        Err(Failure::Wrong(TIMED_OUT))
    } else {
        Ok(())
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time from the command line, such as `10m`.
fn time(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().ok().filter(|span| span.is_positive());
    let days = SpanRelativeTo::days_are_24_hours();
    let nanos = span.and_then(|span| span.total((Unit::Nanosecond, days)).ok());
    let time = nanos.map(|nanos| Duration::from_secs_f64(nanos / 1e9));
    time.filter(|time| *time <= LONGEST && time.as_millis() > 0)
        .ok_or_else(|| "write for example 30s, 10m, 2h or 1d; no more than 366d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "-5m", "0s", "1y", "400d", "soon"] {
            time(text).unwrap_err();
        }
    }
}
