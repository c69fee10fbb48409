//! What is on the screen, and what keys make of it.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "keys that do nothing need no names"
)]

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use jiff::Timestamp;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use vrrp_control::{EventRecord, RouterReport, StatusReport};

use super::feed::{PAST, Update};
use super::job;
use crate::client::Client;
use crate::page::Look;

/// Lines that a page moves by.
const PAGE: usize = 10;

/// Longest text of a filter, in characters.
const MAX_FILTER: usize = 40;

/// What the one who looks wants of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// No more.
    Quit,
}

/// What keys are for at present.
#[derive(Debug)]
pub(super) enum Mode {
    /// To choose a router.
    Routers,
    /// To write a filter.
    Filter,
    /// To say yes or no to a command: its words, and the question.
    Confirm(Vec<String>, String),
    /// To read.
    Reading(Reading),
}

/// A text before everything else.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) title: String,
    pub(super) text: String,
    /// Lines above the screen.
    pub(super) above: usize,
}

/// The last answer, and since when there is none.
#[derive(Debug)]
pub(super) struct Silence {
    pub(super) since: Instant,
    pub(super) why: String,
}

pub(super) struct View {
    pub(super) look: Look,
    pub(super) report: Option<StatusReport>,
    /// When that came.
    pub(super) answered: Option<Instant>,
    pub(super) silence: Option<Silence>,
    pub(super) events: VecDeque<EventRecord>,
    pub(super) filter: String,
    /// The router that is chosen, by name: others may come and go above it.
    pub(super) chosen: Option<String>,
    pub(super) mode: Mode,
    socket: PathBuf,
    sender: SyncSender<Update>,
}

pub(super) const KEYS: &str = "\
up, down      choose a router
Enter         everything about it
e             explain why it is what it is, and what would change that
f             hand it over to another router
d, u          drain it: give it up and leave it, also after a restart; undrain
p             peers
i             interfaces
s             counters
c             the configuration that runs
/             show only what has this text in its name, interface or state
Esc           back, or show all again
q             quit

The same commands without a screen: vrrpctl help";

impl View {
    pub(super) fn new(look: Look, client: &Client, sender: SyncSender<Update>) -> Self {
        Self {
            look,
            report: None,
            answered: None,
            silence: None,
            events: VecDeque::new(),
            filter: String::new(),
            chosen: None,
            mode: Mode::Routers,
            socket: client.socket().to_owned(),
            sender,
        }
    }

    /// Something new, at this moment.
    pub(super) fn take(&mut self, update: Update, now: Instant) {
        match update {
            Update::Report(report) => {
                self.report = Some(*report);
                self.answered = Some(now);
                self.silence = None;
                self.choose(0);
            }
            Update::Silent(why) => {
                let since = self.silence.as_ref().map(|silence| silence.since);
                self.silence = Some(Silence {
                    since: since.or(self.answered).unwrap_or(now),
                    why,
                });
                // What stood is nothing that stands.
                self.report = None;
            }
            Update::Past(events) => self.events = events.into(),
            Update::Event(event) => {
                self.events.push_back(*event);
                if self.events.len() as u64 > PAST {
                    self.events.pop_front();
                }
            }
            Update::Done(title, text, done) => {
                let text = match (done, text.trim().is_empty()) {
                    (true, true) => "done\n".to_owned(),
                    (false, true) => "failed\n".to_owned(),
                    (_, false) => text,
                };
                self.read(title, text);
            }
        }
    }

    /// The routers that the filter lets through.
    pub(super) fn routers(&self) -> Vec<&RouterReport> {
        let all = self.report.iter().flat_map(|report| &report.routers);
        all.filter(|router| self.shows(router)).collect()
    }

    /// Whether the filter lets it through.
    pub(super) fn shows(&self, router: &RouterReport) -> bool {
        let (word, _) = crate::status::state(router);
        let has = |text: &str| text.to_lowercase().contains(&self.filter.to_lowercase());
        has(&router.name) || has(&router.interface) || has(&word)
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Option<Order> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            // The terminal does not make a signal of it while there is a screen.
            return (key.code == KeyCode::Char('c')).then_some(Order::Quit);
        }
        let now = Timestamp::now();
        self.look.calendar.now = now;
        match &mut self.mode {
            Mode::Routers => return self.press_routers(key.code),
            Mode::Filter => self.press_filter(key.code),
            Mode::Confirm(words, _) => {
                let words = std::mem::take(words);
                self.mode = Mode::Routers;
                if key.code == KeyCode::Char('y') {
                    self.run(words);
                }
            }
            Mode::Reading(reading) => match key.code {
                KeyCode::Up | KeyCode::Char('k') => reading.above = reading.above.saturating_sub(1),
                KeyCode::Down | KeyCode::Char('j') => reading.above += 1,
                KeyCode::PageUp => reading.above = reading.above.saturating_sub(PAGE),
                KeyCode::PageDown | KeyCode::Char(' ') => reading.above += PAGE,
                KeyCode::Home => reading.above = 0,
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q' | '?') => {
                    self.mode = Mode::Routers;
                }
                _ => {}
            },
        }
        None
    }

    fn press_routers(&mut self, key: KeyCode) -> Option<Order> {
        match key {
            KeyCode::Char('q') => return Some(Order::Quit),
            KeyCode::Char('?' | 'h') => self.read("Keys".to_owned(), KEYS.to_owned()),
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up | KeyCode::Char('k') => self.choose(-1),
            KeyCode::Down | KeyCode::Char('j') => self.choose(1),
            KeyCode::PageUp => self.choose(-10),
            KeyCode::PageDown => self.choose(10),
            KeyCode::Home => self.choose(isize::MIN),
            KeyCode::End => self.choose(isize::MAX),
            KeyCode::Enter => self.run_on(&["show"]),
            KeyCode::Char('e') => self.run_on(&["explain"]),
            KeyCode::Char('p') => self.run(vec!["show".into(), "peers".into()]),
            KeyCode::Char('i') => self.run(vec!["show".into(), "interfaces".into()]),
            KeyCode::Char('s') => self.run(vec!["show".into(), "stats".into()]),
            KeyCode::Char('c') => self.run(vec!["show".into(), "config".into()]),
            KeyCode::Char('f') => self.confirm("failover", "hand NAME over to another router?"),
            KeyCode::Char('d') => {
                let question = "drain NAME: give it up and leave it, also after a restart?";
                self.confirm("drain", question);
            }
            KeyCode::Char('u') => self.confirm("undrain", "let NAME take part as usual again?"),
            _ => {}
        }
        None
    }

    fn press_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.mode = Mode::Routers,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Routers;
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(character) if self.filter.chars().count() < MAX_FILTER => {
                self.filter.push(character);
            }
            _ => {}
        }
        self.choose(0);
    }

    /// Moves by so many routers, and stays within them. The first one is chosen when the chosen one is gone.
    fn choose(&mut self, by: isize) {
        let routers = self.routers();
        let at = self.place(&routers).unwrap_or(0);
        let to = at
            .saturating_add_signed(by)
            .min(routers.len().saturating_sub(1));
        self.chosen = routers.get(to).map(|router| router.name.clone());
    }

    /// Which of them is chosen.
    pub(super) fn place(&self, routers: &[&RouterReport]) -> Option<usize> {
        let chosen = self.chosen.as_ref()?;
        routers.iter().position(|router| router.name == *chosen)
    }

    fn confirm(&mut self, command: &str, question: &str) {
        let Some(name) = &self.chosen else { return };
        let question = question.replace("NAME", name);
        self.mode = Mode::Confirm(vec![command.to_owned(), name.clone()], question);
    }

    fn run_on(&mut self, words: &[&str]) {
        let Some(name) = self.chosen.clone() else {
            return;
        };
        let words = words.iter().map(|&word| word.to_owned());
        self.run(words.chain([name]).collect());
    }

    fn run(&mut self, words: Vec<String>) {
        self.read(format!("vrrpctl {}", words.join(" ")), "...".to_owned());
        let options = [(self.look.ascii, "--ascii"), (self.look.is_utc(), "--utc")];
        let options: Vec<&str> = options
            .into_iter()
            .filter(|it| it.0)
            .map(|it| it.1)
            .collect();
        job::start(&self.socket, words, &options, self.sender.clone());
    }

    fn read(&mut self, title: String, text: String) {
        self.mode = Mode::Reading(Reading {
            title,
            text,
            above: 0,
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::sync::mpsc::{Receiver, sync_channel};
    use std::time::Duration;

    use super::*;
    use crate::testing::{history, look, report};

    /// A screen that has been told everything, and where its commands report.
    pub(in crate::top) fn told() -> (View, Receiver<Update>) {
        let (sender, receiver) = sync_channel(8);
        let client = Client::new(Path::new("/nonexistent/vrrpd.sock"));
        let mut view = View::new(look(Some(80)), &client, sender);
        view.take(Update::Report(Box::new(report())), Instant::now());
        view.take(Update::Past(history()), Instant::now());
        (view, receiver)
    }

    pub(in crate::top) fn press(view: &mut View, keys: &[KeyCode]) -> Option<Order> {
        let mut order = None;
        for key in keys {
            order = view.press(KeyEvent::new(*key, KeyModifiers::NONE));
        }
        order
    }

    fn letters(text: &str) -> Vec<KeyCode> {
        text.chars().map(KeyCode::Char).collect()
    }

    #[test]
    fn the_choice_stays_within_the_routers_and_with_its_name() {
        let (mut view, _updates) = told();
        let chosen = |view: &View| view.chosen.clone().unwrap();
        assert_eq!(chosen(&view), "lan4");
        press(&mut view, &[KeyCode::Up]);
        assert_eq!(chosen(&view), "lan4");
        press(&mut view, &[KeyCode::Down, KeyCode::Char('j')]);
        assert_eq!(chosen(&view), "voice6");
        press(&mut view, &[KeyCode::PageDown]);
        assert_eq!(chosen(&view), "guest4");
        let mut fewer = report();
        fewer.routers.remove(0);
        view.take(Update::Report(Box::new(fewer.clone())), Instant::now());
        assert_eq!(chosen(&view), "guest4");
        fewer.routers.truncate(1);
        view.take(Update::Report(Box::new(fewer)), Instant::now());
        assert_eq!(chosen(&view), "lan6");
    }

    #[test]
    fn a_filter_has_what_is_in_names_interfaces_and_states() {
        let (mut view, _updates) = told();
        for (text, names) in [
            ("lan", vec!["lan4", "lan6"]),
            ("eth1.3", vec!["voice6"]),
            ("FAULT", vec!["guest4"]),
            ("q", vec![]),
        ] {
            press(&mut view, &[KeyCode::Char('/')]);
            assert_eq!(press(&mut view, &letters(text)), None);
            let shown: Vec<&str> = view.routers().iter().map(|it| it.name.as_str()).collect();
            assert_eq!(shown, names, "{text}");
            press(&mut view, &[KeyCode::Esc]);
            assert_eq!(view.routers().len(), 4);
        }
    }

    #[test]
    fn a_command_that_changes_something_waits_for_a_yes() {
        let (mut view, updates) = told();
        for key in ['f', 'd', 'u'] {
            press(&mut view, &[KeyCode::Char(key)]);
            assert!(matches!(&view.mode, Mode::Confirm(_, question) if question.contains("lan4")));
            press(&mut view, &[KeyCode::Char('n')]);
            assert!(matches!(view.mode, Mode::Routers));
        }
        assert!(updates.recv_timeout(Duration::from_millis(50)).is_err());
        press(&mut view, &letters("fy"));
        assert!(
            matches!(&view.mode, Mode::Reading(reading) if reading.title == "vrrpctl failover lan4")
        );
    }

    #[test]
    fn q_leaves_what_is_read_and_then_the_program() {
        let (mut view, _updates) = told();
        assert_eq!(press(&mut view, &letters("?q")), None);
        assert_eq!(press(&mut view, &letters("q")), Some(Order::Quit));
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(interrupt), Some(Order::Quit));
    }

    #[test]
    fn nothing_stands_when_nobody_answers() {
        let (mut view, _updates) = told();
        view.take(Update::Silent("it is gone".into()), Instant::now());
        assert!(view.routers().is_empty());
        let since = view.silence.as_ref().unwrap().since;
        view.take(Update::Silent("it is still gone".into()), Instant::now());
        assert_eq!(view.silence.as_ref().unwrap().since, since);
        view.take(Update::Report(Box::new(report())), Instant::now());
        assert_eq!(view.routers().len(), 4);
    }
}
