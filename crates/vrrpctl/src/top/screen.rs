//! The screen: lines from top to bottom, cut to its width, as many as there is room for.

use std::time::Instant;

use jiff::{Timestamp, Unit};
use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use vrrp_control::{RouterReport, StatusReport};

use super::view::{Mode, Reading, View};
use crate::events;
use crate::moment::{age, span};
use crate::page::{Look, Tone};
use crate::peers;
use crate::plain;
use crate::status;
use crate::table::{self, Cell};

/// The last line.
const FOOT: &str =
    "? keys  Enter show  e explain  f failover  d drain  u undrain  / filter  q quit";

/// An answer that is older than this, in seconds, says nothing about the present.
const STALE: u64 = 3;

/// Draws everything.
pub(super) fn draw(view: &View, frame: &mut Frame<'_>, now: Instant) {
    let area = frame.area();
    let now_there = Timestamp::now();
    let mut look = view.look.clone();
    look.width = Some(usize::from(area.width).max(20));
    look.calendar.now = now_there.round(Unit::Microsecond).unwrap_or(now_there);
    frame.render_widget(text(view, &look, usize::from(area.height), now), area);
}

/// The screen as text.
fn text(view: &View, look: &Look, height: usize, now: Instant) -> Text<'static> {
    let painter = Painter { look };
    let room = height.saturating_sub(1);
    let mut lines = match &view.mode {
        Mode::Reading(reading) => painter.reading(reading, room),
        Mode::Routers | Mode::Filter | Mode::Confirm(..) => painter.overview(view, room, now),
    };
    lines.truncate(room);
    lines.resize(room, Line::default());
    lines.push(painter.foot(view));
    lines.into()
}

struct Painter<'a> {
    look: &'a Look,
}

impl Painter<'_> {
    fn overview(&self, view: &View, room: usize, now: Instant) -> Vec<Line<'static>> {
        let stale = view
            .answered
            .map(|at| now.saturating_duration_since(at).as_secs());
        let report = view
            .report
            .as_ref()
            .filter(|_| stale.is_none_or(|age| age < STALE));
        let mut lines = match report {
            Some(report) => self.heading(report),
            None => self.silence(view, now),
        };
        if let Some(report) = report {
            let left = room.saturating_sub(lines.len());
            lines.extend(self.routers(view, report, left));
        }
        let left = room.saturating_sub(lines.len() + 2);
        if left > 0 {
            lines.push(Line::default());
            lines.push(self.plain(Tone::Heading, "Last events"));
            lines.extend(self.happenings(view, left));
        }
        lines
    }

    /// Two lines about the daemon.
    fn heading(&self, report: &StatusReport) -> Vec<Line<'static>> {
        let daemon = &report.daemon;
        let clock = self
            .look
            .calendar
            .clock(&self.look.calendar.now.to_string());
        let clock = clock.split('.').next().unwrap_or_default();
        let up = self.look.calendar.ago(&daemon.since);
        let first = format!(
            "vrrpd {}   up {up}   {}   {clock}",
            daemon.version, daemon.config
        );
        let count = |word: &str| {
            let has = |router: &&RouterReport| status::state(router).0 == word;
            report.routers.iter().filter(has).count()
        };
        let lateness = &daemon.lateness;
        let missed = match lateness.beyond_interval {
            0 => String::new(),
            times => format!(", {times} times more than an interval"),
        };
        let second = format!(
            "{} routers: {} active, {} backup, {} fault   timers at most {} late{missed}   {}",
            report.routers.len(),
            count("ACTIVE"),
            count("BACKUP"),
            count("FAULT"),
            span(lateness.worst_us),
            daemon.scheduling,
        );
        vec![
            self.plain(Tone::Heading, &first),
            self.plain(Tone::Plain, &second),
        ]
    }

    /// What there is to say when nothing is known.
    fn silence(&self, view: &View, now: Instant) -> Vec<Line<'static>> {
        let Some(silence) = &view.silence else {
            let waiting = view.answered.map_or_else(
                || "asking vrrpd".to_owned(),
                |at| {
                    let seconds = now.saturating_duration_since(at).as_secs();
                    format!("vrrpd has not answered for {}", age(seconds))
                },
            );
            return vec![self.plain(Tone::Bad, &waiting)];
        };
        let seconds = now.saturating_duration_since(silence.since).as_secs();
        let mut lines = self.wrapped(Tone::Bad, &silence.why);
        let since = format!("no answer for {}; asking again", age(seconds));
        lines.push(self.plain(Tone::Plain, &since));
        lines
    }

    /// The table, what is wrong, and the peers.
    fn routers(&self, view: &View, report: &StatusReport, room: usize) -> Vec<Line<'static>> {
        let routers = view.routers();
        let wrong = self.complaints(view, report);
        let peers = self.peers(view, &routers);
        // What is wrong has its place; routers and peers share half of the rest when there are many.
        let wrong = &wrong[..wrong.len().min((room / 5).max(2))];
        let blank = |lines: usize| lines + usize::from(lines > 0);
        let left = room.saturating_sub(blank(wrong.len()) + 1);
        let most = (left / 2).max(4);
        let table = (routers.len() + 1).min(most.max(left.saturating_sub(blank(peers.len()) + 8)));
        let mut lines = vec![Line::default()];
        lines.extend(self.table(view, &routers, table));
        if !wrong.is_empty() {
            lines.push(Line::default());
            lines.extend_from_slice(wrong);
        }
        let left = room.saturating_sub(lines.len());
        let some = (peers.len()).min((left / 2).max(3));
        if peers.len() > 1 && left > 5 {
            lines.push(Line::default());
            lines.extend_from_slice(&peers[..some]);
        }
        lines
    }

    fn table(&self, view: &View, routers: &[&RouterReport], room: usize) -> Vec<Line<'static>> {
        if routers.is_empty() {
            let why = if view.filter.is_empty() {
                "no virtual routers are configured".to_owned()
            } else {
                format!(
                    "no virtual router has \"{}\" in its name, interface or state",
                    view.filter
                )
            };
            return vec![self.plain(Tone::Plain, &why)];
        }
        let rows: Vec<_> = routers
            .iter()
            .map(|router| status::row(router, self.look))
            .collect();
        let lines = table::lines(self.look, &status::COLUMNS, &rows);
        let mut lines = lines.into_iter().map(|pieces| self.line(pieces));
        let mut shown: Vec<Line<'static>> = lines.by_ref().take(1).collect();
        let place = view.place(routers).unwrap_or(0);
        let room = room.saturating_sub(1).max(1);
        let above = place.saturating_sub(room.saturating_sub(1));
        for (index, line) in lines.enumerate().skip(above).take(room) {
            shown.push(if index == place {
                self.chosen(line)
            } else {
                line
            });
        }
        shown
    }

    /// The whole line, to the edge.
    fn chosen(&self, mut line: Line<'static>) -> Line<'static> {
        let width = line.width();
        let rest = self.look.width.unwrap_or(width).saturating_sub(width);
        line.push_span(" ".repeat(rest));
        line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
    }

    fn complaints(&self, view: &View, report: &StatusReport) -> Vec<Line<'static>> {
        let hidden = |sentence: &String| {
            let of = |router: &&RouterReport| sentence.starts_with(&format!("{}: ", router.name));
            report
                .routers
                .iter()
                .find(of)
                .is_some_and(|router| !view.shows(router))
        };
        let complaint = |sentence: String| {
            self.line(vec![
                Cell {
                    text: "! ".into(),
                    tone: Tone::Bad,
                },
                plain::text(&sentence).into(),
            ])
        };
        let all = status::complaints(report).into_iter();
        all.filter(|sentence| !hidden(sentence))
            .map(complaint)
            .collect()
    }

    fn peers(&self, view: &View, routers: &[&RouterReport]) -> Vec<Line<'static>> {
        let chosen = view
            .place(routers)
            .and_then(|place| routers.get(place).copied());
        // Those of the chosen one first: there may be more than there is room for.
        let others = routers
            .iter()
            .copied()
            .filter(|router| chosen.is_none_or(|it| it.name != router.name));
        let rows: Vec<_> = chosen
            .into_iter()
            .chain(others)
            .flat_map(|router| router.peers.iter().map(move |peer| (router, peer)))
            .map(|(router, peer)| peers::row(&router.name, peer, self.look))
            .collect();
        let lines = table::lines(self.look, &peers::COLUMNS, &rows);
        lines.into_iter().map(|pieces| self.line(pieces)).collect()
    }

    /// The last ones, the newest last.
    fn happenings(&self, view: &View, room: usize) -> Vec<Line<'static>> {
        let names: Vec<&str> = view
            .routers()
            .iter()
            .map(|router| router.name.as_str())
            .collect();
        let shown = |name: &Option<String>| match name {
            Some(name) => view.filter.is_empty() || names.contains(&name.as_str()),
            None => view.filter.is_empty(),
        };
        let events: Vec<_> = view
            .events
            .iter()
            .filter(|event| shown(&event.router))
            .collect();
        let newest = &events[events.len().saturating_sub(room)..];
        if newest.is_empty() {
            return vec![self.plain(Tone::Plain, "nothing has happened")];
        }
        newest
            .iter()
            .map(|event| self.line(events::pieces(event, self.look, true)))
            .collect()
    }

    fn reading(&self, reading: &Reading, room: usize) -> Vec<Line<'static>> {
        let mut lines = vec![self.plain(Tone::Heading, &reading.title), Line::default()];
        let all: Vec<Line<'static>> = reading
            .text
            .lines()
            .flat_map(|line| self.wrapped(Tone::Plain, line))
            .collect();
        let room = room.saturating_sub(2);
        let above = reading.above.min(all.len().saturating_sub(room));
        let below = all.len().saturating_sub(above + room);
        lines.extend(all.into_iter().skip(above).take(room));
        if below > 0 && room > 0 {
            let more = format!("({} more lines below)", below + 1);
            lines.truncate(room + 1);
            lines.push(self.plain(Tone::Quiet, &more));
        }
        lines
    }

    fn foot(&self, view: &View) -> Line<'static> {
        match &view.mode {
            Mode::Filter => self.plain(Tone::Heading, &format!("/{}_", view.filter)),
            Mode::Confirm(_, question) => self.plain(
                Tone::Bad,
                &format!("{question}  y, or any other key for no"),
            ),
            Mode::Reading(_) => self.plain(Tone::Quiet, "up and down to read on, Esc back"),
            Mode::Routers if view.filter.is_empty() => self.plain(Tone::Quiet, FOOT),
            Mode::Routers => self.plain(
                Tone::Quiet,
                &format!("/{}  Esc shows all again   {FOOT}", view.filter),
            ),
        }
    }

    fn plain(&self, tone: Tone, text: &str) -> Line<'static> {
        self.line(vec![Cell {
            text: plain::text(text),
            tone,
        }])
    }

    /// Text that may be longer than the screen is wide, broken at blanks where it has some.
    fn wrapped(&self, tone: Tone, text: &str) -> Vec<Line<'static>> {
        let width = self.look.width.unwrap_or(80).max(1);
        let text = plain::text(text);
        let mut rest: &str = text.trim_end();
        let mut lines = Vec::new();
        while rest.chars().count() > width {
            let end = rest
                .char_indices()
                .nth(width)
                .map_or(rest.len(), |(at, _)| at);
            // A blank near the end, or in the middle of the word.
            let cut = rest[..end]
                .rfind(' ')
                .filter(|at| *at > end / 2)
                .unwrap_or(end);
            lines.push(self.plain(tone, &rest[..cut]));
            rest = rest[cut..].trim_start();
        }
        lines.push(self.plain(tone, rest));
        lines
    }

    /// Pieces on a line, cut at the edge.
    fn line(&self, pieces: Vec<Cell>) -> Line<'static> {
        let mut left = self.look.width.unwrap_or(usize::MAX);
        let mut spans = Vec::new();
        for Cell { text, tone } in pieces {
            let text = self.look.cut(&text, left);
            left -= text.chars().count().min(left);
            spans.push(Span::styled(text, self.style(tone)));
            if left == 0 {
                break;
            }
        }
        spans.into()
    }

    fn style(&self, tone: Tone) -> Style {
        let color = |color| {
            if self.look.color {
                Style::new().fg(color)
            } else {
                Style::new()
            }
        };
        match tone {
            Tone::Plain => Style::new(),
            Tone::Heading => Style::new().add_modifier(Modifier::BOLD),
            Tone::Good => color(Color::Green).add_modifier(Modifier::BOLD),
            Tone::Quiet => color(Color::Cyan),
            Tone::Bad => color(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::crossterm::event::KeyCode;

    use super::super::feed::Update;
    use super::super::view::tests::{press, told};
    use super::*;
    use crate::testing::{look, report};

    /// What stands on a screen of that size.
    fn shown(view: &View, width: usize, height: usize) -> String {
        let text = text(view, &look(Some(width)), height, Instant::now());
        assert_eq!(text.lines.len(), height);
        assert!(text.width() <= width, "{text}");
        let lines = text
            .lines
            .iter()
            .map(|line| line.to_string().trim_end().to_owned() + "\n");
        lines.collect()
    }

    fn with_peers() -> View {
        let (mut view, _) = told();
        let mut report = report();
        report.routers[2].peers = peers::tests::heard().routers[2].peers.clone();
        view.take(Update::Report(Box::new(report)), Instant::now());
        view
    }

    #[test]
    fn on_a_screen_of_80_by_24() {
        insta::assert_snapshot!(shown(&with_peers(), 80, 24));
    }

    #[test]
    fn on_a_screen_of_200_by_50() {
        insta::assert_snapshot!(shown(&with_peers(), 200, 50));
    }

    #[test]
    fn every_size_has_its_lines() {
        let mut view = with_peers();
        for keys in ["", "?", "q/lan", "f"] {
            press(
                &mut view,
                &keys.chars().map(KeyCode::Char).collect::<Vec<_>>(),
            );
            for width in [20, 40, 79, 80, 300] {
                for height in [1, 2, 3, 5, 10, 23, 100] {
                    shown(&view, width, height);
                }
            }
        }
    }

    #[test]
    fn the_chosen_one_of_many_is_on_the_screen() {
        let (mut view, _updates) = told();
        let mut report = report();
        let one = report.routers[0].clone();
        report.routers = (0..200)
            .map(|number| RouterReport {
                name: format!("r{number:03}"),
                ..one.clone()
            })
            .collect();
        view.take(Update::Report(Box::new(report)), Instant::now());
        for _ in 0..12 {
            press(&mut view, &[KeyCode::PageDown]);
            let screen = shown(&view, 80, 24);
            assert!(screen.contains(view.chosen.as_ref().unwrap()), "{screen}");
            assert!(screen.contains("Last events"), "{screen}");
        }
    }

    #[test]
    fn an_old_answer_is_none() {
        let (view, _updates) = told();
        let painter = Painter {
            look: &look(Some(80)),
        };
        let later = Instant::now() + Duration::from_secs(STALE + 1);
        let lines = painter.overview(&view, 20, later);
        assert_eq!(lines[0].to_string(), "vrrpd has not answered for 4s");
        assert!(
            lines
                .iter()
                .all(|line| !line.to_string().contains("ACTIVE"))
        );
    }

    #[test]
    fn a_daemon_that_is_gone_is_said_to_be() {
        let (mut view, _updates) = told();
        let why = "vrrpd is not answering on /run/vrrpd/vrrpd.sock (nobody listens there: it does not run any more)";
        view.take(Update::Silent(why.into()), Instant::now());
        insta::assert_snapshot!(shown(&view, 80, 12));
    }

    #[test]
    fn long_texts_are_broken_and_scrolled() {
        let (mut view, _updates) = told();
        let long: String = (0..40)
            .map(|line| format!("line {line} {}\n", "word ".repeat(30)))
            .collect();
        view.take(
            Update::Done("vrrpctl show lan4".into(), long, true),
            Instant::now(),
        );
        let first = shown(&view, 80, 24);
        assert!(
            first.contains("line 0 ") && first.contains("more lines below"),
            "{first}"
        );
        press(&mut view, &[KeyCode::PageDown; 20]);
        let last = shown(&view, 80, 24);
        assert!(
            last.contains("line 39") && !last.contains("more lines below"),
            "{last}"
        );
    }

    #[test]
    fn hostile_text_commands_no_terminal() {
        let (mut view, _updates) = told();
        let mut report = report();
        report.daemon.config = "\x1b[2J".into();
        report.routers[0].name = "\u{9b}31m\r".into();
        view.take(Update::Report(Box::new(report)), Instant::now());
        view.take(
            Update::Done("t".into(), "a\x1b]0;x\x07".into(), true),
            Instant::now(),
        );
        let mut screen = shown(&view, 80, 24);
        press(&mut view, &[KeyCode::Esc]);
        screen += &shown(&view, 80, 24);
        assert!(
            screen.chars().all(|it| it == '\n' || !plain::is_unsafe(it)),
            "{screen:?}"
        );
    }
}
