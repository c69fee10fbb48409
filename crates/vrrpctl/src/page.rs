//! Where answers are written, and how they should look there.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cli::{Arguments, Color};
use crate::failure::Failure;
use crate::json;
use crate::moment::Calendar;

/// How an answer should look.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// Only the essential words.
    pub(crate) brief: bool,
    /// Whether colour may be used; it is only ever a second signal beside a word.
    pub(crate) color: bool,
    /// Whether only ASCII may be used.
    pub(crate) ascii: bool,
    /// Columns of the terminal; `None` where there is no terminal, and nothing is cut, rounded or drawn.
    pub(crate) width: Option<usize>,
    /// What times are relative to.
    pub(crate) calendar: Calendar,
}

/// What a piece of text says about the state of things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tone {
    /// Nothing in particular.
    Plain,
    /// A heading.
    Heading,
    /// Serves.
    Good,
    /// Stands by.
    Quiet,
    /// Wrong.
    Bad,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Quiet => AnsiColor::Cyan.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
        }
    }
}

impl Look {
    fn of(arguments: &Arguments) -> Self {
        let terminal = io::stdout().is_terminal();
        // Variables that are set and empty count as not set: https://no-color.org
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let color = match arguments.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto if set("NO_COLOR") => false,
            Color::Auto => {
                let forced = std::env::var_os("CLICOLOR_FORCE")
                    .is_some_and(|value| !value.is_empty() && value != "0");
                forced || (terminal && std::env::var_os("TERM").is_some_and(|term| term != "dumb"))
            }
        };
        let columns =
            || terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        Self {
            json: arguments.json,
            brief: arguments.brief,
            color: color && !arguments.json,
            ascii: arguments.ascii,
            width: terminal.then(columns),
            calendar: Calendar::of_this_machine(arguments.utc),
        }
    }

    /// `text` in its colour.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        if self.color && tone != Tone::Plain && !text.is_empty() {
            let style = tone.style();
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Whether times are in UTC by wish or by nature.
    pub(crate) fn is_utc(&self) -> bool {
        self.calendar.zone == TimeZone::UTC
    }

    /// How long ago on a terminal, when exactly elsewhere.
    pub(crate) fn since(&self, time: &str) -> String {
        if self.width.is_some() {
            self.calendar.ago(time)
        } else {
            self.calendar.absolute(time)
        }
    }

    /// The time of day on a terminal, with the date if it is not today's; when exactly elsewhere.
    pub(crate) fn time(&self, time: &str) -> String {
        if self.width.is_some() {
            self.calendar.minute(time)
        } else {
            self.calendar.absolute(time)
        }
    }

    /// `text`, cut to `width` characters.
    pub(crate) fn cut(&self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return text.to_owned();
        }
        let mark = if self.ascii { "~" } else { "…" };
        text.chars()
            .take(width.saturating_sub(1))
            .chain(mark.chars())
            .collect()
    }
}

/// Standard output.
pub(crate) struct Page {
    out: Box<dyn Write>,
    /// How to write on it.
    pub(crate) look: Look,
}

impl Page {
    pub(crate) fn open(arguments: &Arguments) -> Self {
        Self {
            out: Box::new(io::stdout()),
            look: Look::of(arguments),
        }
    }

    /// Writes text, at once.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(text.as_bytes())
    }

    /// Writes a document over many lines.
    pub(crate) fn document(&mut self, value: &Value) -> Result<(), Failure> {
        self.text(&json::pretty(value))
    }

    /// Writes an answer that is a document of its own: as it came, or as `render` shows it to people.
    pub(crate) fn answer(
        &mut self,
        value: Value,
        render: impl FnOnce(&Look) -> String,
    ) -> Result<(), Failure> {
        if self.look.json {
            return self.document(&json::document(value));
        }
        let text = render(&self.look);
        self.text(&text)
    }

    /// Writes bytes, at once.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        Ok(self.out.flush()?)
    }
}
