//! One session with its socket, and what it has to say to the engine.

use std::io;
use std::num::NonZeroU32;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use serde::{Deserialize, Serialize};
use vrrp_bfd::{Change, ControlPacket, Session, State};
use vrrp_proto::{Family, Instant, Level, Sample};

use super::socket::Mouth;
use super::speaker::Random;
use super::{News, SessionReport, Wanted};

/// A session that is not up for so long after it was made is down; until then nobody knows.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a successor must know of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) wanted: Wanted,
    pub(super) index: u32,
    session: Session,
    since: Instant,
    begun: Option<Instant>,
    counts: Counts,
}

#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
struct Counts {
    sent: u64,
    received: u64,
    discarded: u64,
    lost: u64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) wanted: Wanted,
    pub(super) session: Session,
    /// The number of its interface; 0 while there is none.
    pub(super) index: u32,
    pub(super) mouth: Option<Mouth>,
    /// Since when it has its state.
    since: Instant,
    /// Since when the engine waits for a first word; `None` when it has one.
    begun: Option<Instant>,
    counts: Counts,
    refused: Option<String>,
    failure: Option<String>,
    /// Whoever asks would be told something else than the last time.
    moved: bool,
}

impl Talk {
    pub(super) fn new(now: Instant, wanted: Wanted, discriminator: NonZeroU32) -> Self {
        Self {
            session: Session::new(now, wanted.config, discriminator),
            wanted,
            index: 0,
            mouth: None,
            since: now,
            begun: Some(now),
            counts: Counts::default(),
            refused: None,
            failure: None,
            moved: true,
        }
    }

    /// Goes on with what another process had.
    pub(super) fn revive(now: Instant, saved: Saved, wanted: Wanted, mouth: Mouth) -> Self {
        let mut session = saved.session;
        session.revive(now);
        session.reconfigure(wanted.config);
        Self {
            wanted,
            session,
            index: saved.index,
            mouth: Some(mouth),
            since: saved.since,
            begun: saved.begun,
            counts: saved.counts,
            refused: None,
            failure: None,
            moved: true,
        }
    }

    pub(super) fn save(&self) -> Saved {
        Saved {
            wanted: self.wanted.clone(),
            index: self.index,
            session: self.session.clone(),
            since: self.since,
            begun: self.begun,
            counts: self.counts,
        }
    }

    pub(super) const fn family(&self) -> Family {
        match self.wanted.peer {
            std::net::IpAddr::V4(_) => Family::Ipv4,
            std::net::IpAddr::V6(_) => Family::Ipv6,
        }
    }

    pub(super) const fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(super) fn fail(&mut self, why: String) {
        self.failure = Some(why);
        self.moved = true;
    }

    /// Looks whether its interface is still the one that the socket stands on, and opens another socket if it is not. Whether
    /// there is a new one.
    pub(super) fn settle(&mut self, random: &mut Random) -> bool {
        let name = self.wanted.interface.as_str();
        let index = if_nametoindex(name).unwrap_or(0);
        if index == 0 {
            self.mouth = None;
            self.index = 0;
            let why = format!("there is no interface {name}");
            self.fail(why);
            return false;
        }
        if self.index == index && self.mouth.is_some() {
            return false;
        }
        self.index = index;
        match Mouth::open(name, index, self.family(), self.wanted.source, random) {
            Ok(mouth) => {
                self.mouth = Some(mouth);
                self.failure = None;
                true
            }
            Err(error) => {
                let why = match self.wanted.source {
                    Some(source) => format!("cannot send from {source} on {name}: {error}"),
                    None => format!("cannot send on {name}: {error}"),
                };
                self.mouth = None;
                self.fail(why);
                false
            }
        }
    }

    /// Sends what is due.
    pub(super) fn speak(&mut self, now: Instant, random: &mut Random) {
        while let Some(packet) = self.session.poll_transmit(now, random.next()) {
            self.moved = true;
            let Some(mouth) = &self.mouth else {
                continue;
            };
            match mouth.send(self.wanted.peer, self.index, &packet.emit()) {
                Ok(()) => {
                    self.counts.sent += 1;
                    self.failure = None;
                }
                Err(error) => self.note_failure(&error),
            }
        }
    }

    /// Says once more what it says anyway.
    pub(super) fn repeat(&mut self, random: &mut Random) {
        self.session.revive(Instant::ZERO);
        self.speak(Instant::ZERO, random);
    }

    fn note_failure(&mut self, error: &io::Error) {
        let peer = self.wanted.peer;
        self.fail(format!("cannot send to {peer}: {error}"));
    }

    /// A packet for it; whether something has changed that a successor must know.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        packet: &ControlPacket,
        news: &mut Vec<News>,
    ) -> bool {
        self.moved = true;
        let before = (*self.session.remote(), self.session.is_polling());
        match self.session.receive(now, packet) {
            Ok(change) => {
                self.counts.received += 1;
                if let Some(change) = change {
                    self.changed(now, &change, news);
                }
                before != (*self.session.remote(), self.session.is_polling()) || change.is_some()
            }
            Err(why) => {
                self.refuse(why.to_string());
                false
            }
        }
    }

    pub(super) fn refuse(&mut self, why: String) {
        self.moved = true;
        self.counts.discarded += 1;
        self.refused = Some(why);
    }

    /// What is due; whether something has changed that a successor must know.
    pub(super) fn timeout(&mut self, now: Instant, news: &mut Vec<News>) -> bool {
        let change = self.session.handle_timeout(now);
        if let Some(change) = &change {
            self.changed(now, change, news);
        }
        if self.begun.is_some_and(|begun| begun + PATIENCE <= now) {
            self.begun = None;
            if let Some(why) = self.shortcoming() {
                news.push(self.sample(Level::Down, why));
            }
            return true;
        }
        change.is_some()
    }

    /// Why it never came up, where that is a failure.
    fn shortcoming(&self) -> Option<String> {
        let (peer, remote) = (self.wanted.peer, self.session.remote());
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        if let (0, Some(why)) = (self.counts.received, &self.refused) {
            return Some(format!("what comes from {peer} is refused: {why}"));
        }
        match (remote.discriminator, remote.state) {
            (None, _) => Some(format!("no BFD packet from {peer}")),
            // It is not a failure that somebody has switched it off (RFC 5882 §4.2).
            (Some(_), State::AdminDown) => None,
            (Some(_), _) => Some(format!("{peer} is heard, but does not hear us")),
        }
    }

    fn changed(&mut self, now: Instant, change: &Change, news: &mut Vec<News>) {
        let (name, peer) = (self.wanted.name.as_str(), self.wanted.peer);
        let (from, to, why) = (change.from, change.to, change.diagnostic);
        tracing::info!(tracker = name, %peer, "BFD session {from} -> {to}, {why}");
        self.since = now;
        self.moved = true;
        if to == State::Up {
            self.begun = None;
            news.push(self.sample(Level::Up, format!("{peer} answers")));
        }
        if from != State::Up {
            return;
        }
        self.counts.lost += 1;
        if change.is_loss() {
            let why = format!("no packet from {peer} for {}", span(change.detection_time));
            news.push(News::Lost(name.to_owned(), why.clone()));
            news.push(self.sample(Level::Down, why));
        } else if to == State::Down && change.remote.state != State::AdminDown {
            let its = change.remote.diagnostic;
            let why = format!("{peer} says that its session is down, {its}");
            news.push(self.sample(Level::Down, why));
        }
    }

    fn sample(&self, level: Level, detail: String) -> News {
        let sample = Sample {
            level,
            offset: None,
            detail,
        };
        News::Sample(self.wanted.name.clone(), sample)
    }

    /// When it wants to be looked at next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let patience = self.begun.map(|begun| begun + PATIENCE);
        [self.session.poll_timeout(), patience]
            .into_iter()
            .flatten()
            .min()
    }

    /// How it stands, if that is something else than the last time.
    pub(super) fn news(&mut self) -> Option<SessionReport> {
        std::mem::take(&mut self.moved).then(|| self.report())
    }

    fn report(&self) -> SessionReport {
        let (session, remote) = (&self.session, self.session.remote());
        let words = |it: vrrp_bfd::Diagnostic| (it.name(), it.get());
        SessionReport {
            peer: self.wanted.peer,
            interface: self.wanted.interface.clone(),
            state: session.state().name(),
            since: self.since,
            diagnostic: words(session.diagnostic()),
            discriminator: session.discriminator().get(),
            source_port: self.mouth.as_ref().and_then(Mouth::port),
            remote_state: remote.state.name(),
            remote_diagnostic: words(remote.diagnostic),
            remote_discriminator: remote.discriminator.map(NonZeroU32::get),
            remote_multiplier: remote.multiplier,
            transmit_interval: session.transmit_interval(),
            detection_time: session.detection_time(),
            heard: session.heard(),
            sent: self.counts.sent,
            received: self.counts.received,
            discarded: (self.counts.discarded, self.refused.clone()),
            lost: self.counts.lost,
            failure: self.failure.clone(),
        }
    }
}

/// `150 ms`, `3 s`.
fn span(time: Duration) -> String {
    match time.as_millis() {
        millis if millis >= 1000 && millis % 1000 == 0 => format!("{} s", time.as_secs()),
        millis => format!("{millis} ms"),
    }
}
