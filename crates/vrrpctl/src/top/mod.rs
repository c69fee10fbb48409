//! A full screen that follows what stands, with keys for what one does about it.
//!
//! ```text
//!   feed (threads): status, twice a second ──┐
//!                   events, as they happen ──┼──> View ──> screen ──> terminal
//!   job (thread): a command of this program ─┘      ^
//!                                     keys ─────────┘
//! ```
//!
//! What is done is done by the very commands that an operator would type, run as such: their words and refusals are the same.

mod feed;
mod job;
mod screen;
mod view;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::{DefaultTerminal, Frame};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::client::Client;
use crate::failure::Failure;
use crate::page::Page;
use crate::watch;
use feed::Update;
use view::{Order, View};

/// Updates on their way to the screen. When it is full, those who bring them wait: the next answer is newer.
const UPDATES: usize = 256;

/// How long a key may wait for the screen, and the screen for a signal.
const TICK: Duration = Duration::from_millis(100);

/// How long a signal may take to end it in good order.
const GRACE: Duration = Duration::from_millis(500);

/// Ages on the screen go on even when nothing happens.
const REDRAW: Duration = Duration::from_secs(1);

/// What a process says that a signal ended, more than its number.
const SIGNALLED: u8 = 128;

/// `vrrpctl top`. Elsewhere than on a terminal, and with `plain`, a line for each change.
pub(crate) fn run(client: &Client, page: &mut Page, plain: bool) -> Result<(), Failure> {
    if plain || page.look.json {
        return watch::run(client, page, None);
    }
    if page.look.width.is_none() {
        let why = "top draws on a terminal, and this is none; `vrrpctl top --plain` prints a line for each change";
        return Err(Failure::File(why.to_owned()));
    }
    let mut signals = Vec::new();
    for signal in [SIGTERM, SIGHUP, SIGINT] {
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal, Arc::clone(&came))?;
        signals.push((signal, came));
    }
    end_by_force(signals.clone());
    let (sender, updates) = sync_channel(UPDATES);
    feed::start(client, &sender);
    let mut view = View::new(page.look.clone(), client, sender);
    let screen = Screen::open()?;
    let outcome = follow(screen, &mut view, &updates, &signals);
    let signal = outcome?;
    match signal.and_then(|signal| u8::try_from(signal).ok()) {
        None => Ok(()),
        Some(signal) => Err(Failure::Wrong(SIGNALLED + signal)),
    }
}

/// A signal ends this, even if nobody looks for one any more: whoever reads from a terminal that has hung up gets nothing, and
/// the library that does so tries again for ever.
fn end_by_force(signals: Vec<(i32, Arc<AtomicBool>)>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(TICK);
            if let Some((signal, _)) = signals
                .iter()
                .find(|(_, came)| came.load(Ordering::Relaxed))
            {
                std::thread::sleep(GRACE);
                ratatui::restore();
                std::process::exit(i32::from(SIGNALLED) + signal);
            }
        }
    });
}

/// Until somebody wants no more; the signal, if it was one.
fn follow(
    mut screen: Screen,
    view: &mut View,
    updates: &Receiver<Update>,
    signals: &[(i32, Arc<AtomicBool>)],
) -> io::Result<Option<i32>> {
    let mut drawn: Option<Instant> = None;
    loop {
        let came = |(_, came): &&(i32, Arc<AtomicBool>)| came.load(Ordering::Relaxed);
        if let Some((signal, _)) = signals.iter().find(came) {
            return Ok(Some(*signal));
        }
        let mut changed = drawn.is_none_or(|at| at.elapsed() >= REDRAW);
        while let Ok(update) = updates.try_recv() {
            view.take(update, Instant::now());
            changed = true;
        }
        if changed {
            screen.draw(|frame| screen::draw(view, frame, Instant::now()))?;
            drawn = Some(Instant::now());
        }
        // A signal interrupts it, too.
        let happened = match event::poll(TICK) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            outcome => outcome?,
        };
        if !happened {
            continue;
        }
        // Drawn at once: it is an answer to somebody's hand, or to a terminal of another size.
        drawn = None;
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
            && view.press(key) == Some(Order::Quit)
        {
            return Ok(None);
        }
    }
}

/// The terminal, which becomes what it was whatever ends this: also a panic, for which ratatui sets a hook.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }

    fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.0.draw(draw)?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
