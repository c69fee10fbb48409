//! What happened, in order.

use serde_json::Value;
use vrrp_control::{Answer, EventRecord, EventsWanted, Request};

use crate::client::{Answers, Client, Reply};
use crate::failure::{Failure, Silence};
use crate::json;
use crate::moment::Since;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::status;
use crate::table::Cell;

/// Past events shown before those to come.
const BEFORE_FOLLOWING: u64 = 10;

/// `vrrpctl events`.
pub(crate) fn run(
    client: &Client,
    page: &mut Page,
    follow: bool,
    wanted: Wanted<'_>,
) -> Result<(), Failure> {
    // Who says since when wants all of it.
    let few = (follow && wanted.since.is_none()).then_some(BEFORE_FOLLOWING);
    let request = EventsWanted {
        number: wanted.number.or(few),
        follow,
        ..wanted.request(&page.look)
    };
    let (past, mut stream) = ask(client, request)?;
    // One that is gone has a history; of one that has none the name may be wrong.
    if let (Some(name), true) = (wanted.router, past.is_empty()) {
        status::find(&status::fetch(client)?.0, name)?;
    }
    past.into_iter().try_for_each(|event| print(event, page))?;
    if !follow {
        return Ok(());
    }
    loop {
        print(next(&mut stream)?, page)?;
    }
}

/// What has happened, the oldest first, and for those who follow, what will. That is open when this returns: nothing is missed.
pub(crate) fn ask(client: &Client, wanted: EventsWanted) -> Result<(Vec<Reply>, Answers), Failure> {
    let mut stream = client.ask(&Request::Events(wanted))?;
    let mut past = Vec::new();
    while let Some(reply) = stream.next()? {
        if matches!(reply.answer, Answer::End | Answer::Present) {
            stream.wait_for_ever();
            return Ok((past, stream));
        }
        past.push(reply);
    }
    Err(stream.failure(Silence::HungUp))
}

/// Which events are shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// The last so many of those that happened so far.
    pub(crate) number: Option<u64>,
    /// None that are older.
    pub(crate) since: Option<Since>,
    /// Only those of this router.
    pub(crate) router: Option<&'a str>,
}

impl Wanted<'_> {
    fn request(&self, look: &Look) -> EventsWanted {
        let since = self.since.and_then(|since| look.calendar.moment(since));
        EventsWanted {
            follow: false,
            number: self.number,
            since: since.map(|since| since.to_string()),
            router: self.router.map(str::to_owned),
        }
    }
}

/// The last events of a router, the oldest first.
pub(crate) fn last(client: &Client, router: &str, number: u64) -> Result<Vec<Reply>, Failure> {
    let wanted = EventsWanted {
        number: Some(number),
        router: Some(router.to_owned()),
        ..EventsWanted::default()
    };
    Ok(ask(client, wanted)?.0)
}

/// What will happen, and nothing of what has.
pub(crate) fn stream(client: &Client) -> Result<Answers, Failure> {
    let wanted = EventsWanted {
        follow: true,
        number: Some(0),
        ..EventsWanted::default()
    };
    Ok(ask(client, wanted)?.1)
}

/// The next one.
pub(crate) fn next(stream: &mut Answers) -> Result<Reply, Failure> {
    match stream.next()? {
        Some(reply) if reply.answer != Answer::End => Ok(reply),
        _ => Err(stream.failure(Silence::Stopped)),
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
    let pieces = pieces(event, look, named).into_iter();
    let line: String = pieces
        .map(|piece| look.paint(piece.tone, &piece.text))
        .collect();
    line + "\n"
}

/// The same in pieces.
pub(crate) fn pieces(event: &EventRecord, look: &Look, named: bool) -> Vec<Cell> {
    let time = when(event, look);
    let name = event.router.as_deref().unwrap_or("vrrpd");
    let name = if named {
        format!("{:<8}  ", plain::text(name))
    } else {
        String::new()
    };
    let indent = if named { "" } else { "  " };
    let padding = " ".repeat(16_usize.saturating_sub(event.kind.chars().count()));
    vec![
        format!("{indent}{}  {name}", plain::text(&time)).into(),
        Cell {
            text: plain::text(&event.kind),
            tone: tone(event),
        },
        format!("{padding}  {}", plain::text(&event.text)).into(),
    ]
}

fn tone(event: &EventRecord) -> Tone {
    match (event.kind.as_ref(), event.to.as_deref()) {
        ("role", Some("active")) => Tone::Good,
        ("role", Some("backup")) => Tone::Quiet,
        (
            "conflict" | "refused" | "odd" | "late" | "repaired" | "kernel-refused"
            | "reload-refused" | "restart" | "upgrade-failed",
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
