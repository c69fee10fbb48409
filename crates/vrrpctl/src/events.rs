//! What happened, in order.

use jiff::Timestamp;
use serde_json::Value;
use vrrp_control::{Answer, EventRecord, Request};

use crate::client::{Answers, Client, Reply};
use crate::failure::{Failure, Silence};
use crate::json;
use crate::moment::{Calendar, Since};
use crate::page::{Look, Page, Tone};
use crate::plain;

/// Past events shown before those to come.
const BEFORE_FOLLOWING: usize = 10;

/// Which events are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// The last so many of those that happened so far.
    pub(crate) number: Option<usize>,
    /// None that are older.
    pub(crate) since: Option<Since>,
    /// Only those of this router.
    pub(crate) router: Option<&'a str>,
}

impl Wanted<'_> {
    fn has(&self, event: &EventRecord, calendar: &Calendar) -> bool {
        let is_of_it = |name| event.router.as_deref() == Some(name);
        let is_new = |from| event.time.parse::<Timestamp>().is_ok_and(|at| at >= from);
        let from = self.since.and_then(|since| calendar.moment(since));
        self.router.is_none_or(is_of_it) && from.is_none_or(is_new)
    }
}

/// `vrrpctl events`.
pub(crate) fn run(
    client: &Client,
    page: &mut Page,
    follow: bool,
    wanted: Wanted<'_>,
) -> Result<(), Failure> {
    if follow {
        return follow_events(client, page, wanted);
    }
    let mut answers = client.ask(&Request::Events { follow: false })?;
    let mut past = Vec::new();
    while let Some(reply) = answers.next()? {
        if reply.answer == Answer::End {
            return last(past, wanted.number)
                .into_iter()
                .try_for_each(|event| print(event, page));
        }
        past.extend(choose(reply, wanted, &page.look));
    }
    Err(answers.failure(Silence::HungUp))
}

/// The stream begins with the whole history and does not say where that ends. So a second question, asked after the
/// stream was opened, tells which event was the last one then; the stream brings every event exactly once.
fn follow_events(client: &Client, page: &mut Page, wanted: Wanted<'_>) -> Result<(), Failure> {
    let (mut stream, past) = stream(client)?;
    let past = past
        .into_iter()
        .filter_map(|reply| choose(reply, wanted, &page.look));
    // Who says since when wants all of it.
    let few = wanted.since.is_none().then_some(BEFORE_FOLLOWING);
    last(past.collect(), wanted.number.or(few))
        .into_iter()
        .try_for_each(|event| print(event, page))?;
    loop {
        if let Some(event) = choose(next(&mut stream)?, wanted, &page.look) {
            print(event, page)?;
        }
    }
}

/// What will happen, and what has happened before.
pub(crate) fn stream(client: &Client) -> Result<(Answers, Vec<Reply>), Failure> {
    let mut stream = client.ask(&Request::Events { follow: true })?;
    let last = last_sequence(&mut client.ask(&Request::Events { follow: false })?)?;
    let mut past = Vec::new();
    while past.last().and_then(sequence) < last {
        past.push(next(&mut stream)?);
    }
    stream.wait_for_ever();
    Ok((stream, past))
}

/// What is no event is shown in any case: it says that some are lost.
fn choose(reply: Reply, wanted: Wanted<'_>, look: &Look) -> Option<Reply> {
    let hidden =
        matches!(&reply.answer, Answer::Event(event) if !wanted.has(event, &look.calendar));
    (!hidden).then_some(reply)
}

fn last(mut past: Vec<Reply>, number: Option<usize>) -> Vec<Reply> {
    let skipped = number.map_or(0, |number| past.len().saturating_sub(number));
    past.split_off(skipped)
}

/// The next one.
pub(crate) fn next(stream: &mut Answers) -> Result<Reply, Failure> {
    match stream.next()? {
        Some(reply) if reply.answer != Answer::End => Ok(reply),
        _ => Err(stream.failure(Silence::Stopped)),
    }
}

fn last_sequence(answers: &mut Answers) -> Result<Option<u64>, Failure> {
    let mut last = None;
    while let Some(reply) = answers.next()? {
        if reply.answer == Answer::End {
            return Ok(last);
        }
        last = sequence(&reply).or(last);
    }
    Err(answers.failure(Silence::HungUp))
}

fn sequence(reply: &Reply) -> Option<u64> {
    if let Answer::Event(event) = &reply.answer {
        Some(event.sequence)
    } else {
        None
    }
}

/// Writes it.
pub(crate) fn print(reply: Reply, page: &mut Page) -> Result<(), Failure> {
    let Reply { answer, value } = reply;
    if let Answer::EventsLost { count } = answer {
        let lost = json::object([
            ("kind", "events-lost".into()),
            ("count", Value::from(count)),
        ]);
        return page.text(&if page.look.json {
            json::line(&lost)
        } else {
            format!("{count} events were not read in time and are lost\n")
        });
    }
    let Answer::Event(event) = answer else {
        return Ok(());
    };
    let line = match (page.look.json, page.look.brief) {
        (true, _) => json::line(&json::document(value)),
        (false, true) => brief(&event, &page.look),
        (false, false) => render(&event, &page.look, true),
    };
    page.text(&line)
}

fn when(event: &EventRecord, look: &Look) -> String {
    match look.width {
        Some(_) => look.calendar.clock(&event.time),
        None => look.calendar.exact(&event.time),
    }
}

/// When, whom it concerns, and what in as few words as there are.
fn brief(event: &EventRecord, look: &Look) -> String {
    let name = event.router.as_deref().unwrap_or("vrrpd");
    let what = match (&event.from, &event.to, &event.reason) {
        (Some(from), Some(to), Some(reason)) => format!("{from}>{to} {reason}"),
        _ => event.kind.to_string(),
    };
    let words = format!("{} {name} {what}", when(event, look));
    format!("{}\n", look.paint(tone(event), &plain::text(&words)))
}

/// The event on a line: when, whom it concerns if `named`, what.
pub(crate) fn render(event: &EventRecord, look: &Look, named: bool) -> String {
    let time = when(event, look);
    let name = event.router.as_deref().unwrap_or("vrrpd");
    let name = if named {
        format!("{:<8}  ", plain::text(name))
    } else {
        String::new()
    };
    let indent = if named { "" } else { "  " };
    let kind = look.paint(tone(event), &plain::text(&event.kind));
    let padding = " ".repeat(16_usize.saturating_sub(event.kind.chars().count()));
    format!(
        "{indent}{}  {name}{kind}{padding}  {}\n",
        plain::text(&time),
        plain::text(&event.text)
    )
}

fn tone(event: &EventRecord) -> Tone {
    match (event.kind.as_ref(), event.to.as_deref()) {
        ("role", Some("active")) => Tone::Good,
        ("role", Some("backup")) => Tone::Quiet,
        (
            "conflict" | "refused" | "odd" | "late" | "repaired" | "kernel-refused"
            | "reload-refused" | "restart",
            _,
        ) => Tone::Bad,
        ("faults", _) if event.text != "no fault any more" => Tone::Bad,
        _ => Tone::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{history, look};

    fn all(look: &Look) -> String {
        history()
            .iter()
            .map(|event| render(event, look, true))
            .collect()
    }

    #[test]
    fn on_a_terminal() {
        insta::assert_snapshot!(all(&look(Some(80))));
    }

    #[test]
    fn without_a_terminal() {
        insta::assert_snapshot!(all(&look(None)));
    }

    #[test]
    fn in_brief() {
        let text: String = history()
            .iter()
            .map(|event| brief(event, &look(Some(80))))
            .collect();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn hostile_text_stays_on_its_line() {
        let mut event = history().remove(0);
        event.text = "a\nb\x1b[2J".into();
        event.kind = "role\r".into();
        event.time = "\x1b[1m".into();
        event.router = Some("\u{9b}5n".into());
        let line = render(&event, &look(Some(80)), true);
        assert!(
            line.trim_end_matches('\n')
                .chars()
                .all(|character| !plain::is_unsafe(character)),
            "{line:?}"
        );
    }
}
