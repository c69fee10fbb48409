//! The thread: what it waits for, and in which order it works.
//!
//! As for the engine, sockets come before timers: after a stall, the packets already queued prove that the peer was alive.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::num::NonZeroU32;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use vrrp_bfd::{ControlPacket, State};
use vrrp_proto::{Family, Instant};

use super::socket::{Datagram, Ear};
use super::talk::Talk;
use super::{Board, Deliver, Estate, News, Shared, Wanted};
use crate::clock;

/// Datagrams read from one ear in one turn. What is left stays in the queue while timers run.
const A_TURN: usize = 64;

/// Where so many come at once they are a flood, and are looked at this often only.
const FLOOD: usize = 16;
const BREATH: Duration = Duration::from_millis(1);

/// What is not there is looked for this often.
const RETRY: Duration = Duration::from_secs(1);

/// Whatever is due, it may be so late: the thread has a real-time priority, and never spins.
const LEAST: Duration = Duration::from_micros(50);

/// How long the peer of a session that we give up is told so, if this thread lives that long.
const FAREWELL: Duration = Duration::from_secs(3);

/// Packets in a row that say it when it does not.
const LAST_WORDS: usize = 3;

/// Numbers that nobody can foresee from outside. Discriminators and ports need no more (RFC 5880 §9).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    pub(super) const fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }
}

/// What the thread works with.
pub(super) struct Speaker {
    shared: Arc<Shared>,
    deliver: Deliver,
    board: Board,
    estate: Option<Estate>,
    random: Random,
    ears: BTreeMap<(u32, Family), Ear>,
    talks: Vec<Talk>,
    /// Sessions that are given up, and until when their peers are told.
    leaving: Vec<(Talk, Instant)>,
    /// When to look for what is not there.
    look_at: Instant,
    /// A successor would have to know something else.
    changed: bool,
    /// Many packets came in the last turn.
    flooded: bool,
}

impl Speaker {
    pub(super) fn new(
        shared: Arc<Shared>,
        deliver: Deliver,
        board: Board,
        estate: Option<Estate>,
    ) -> Self {
        Self {
            shared,
            deliver,
            board,
            estate,
            random: Random::new(),
            ears: BTreeMap::new(),
            talks: Vec::new(),
            leaving: Vec::new(),
            look_at: Instant::ZERO,
            changed: false,
            flooded: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let wishes = self.shared.wishes();
            if wishes.end {
                return self.take_leave();
            }
            let mut news = Vec::new();
            self.listen(&mut news);
            let now = clock::now();
            if let Some(wanted) = wishes.wanted {
                self.want(now, wanted);
            }
            if self.look_at <= now {
                self.look(now);
            }
            self.run_timers(now, &mut news);
            if !news.is_empty() {
                (self.deliver)(news);
            }
            self.keep();
            self.wait();
        }
    }

    fn want(&mut self, now: Instant, wanted: Vec<Wanted>) {
        let mut known = std::mem::take(&mut self.talks);
        let mut saved = match &mut self.estate {
            Some(estate) => estate.sessions(),
            None => Vec::new(),
        };
        for wanted in wanted {
            let same = |talk: &Talk| talk.wanted.is_same(&wanted);
            if let Some(place) = known.iter().position(same) {
                let mut talk = known.swap_remove(place);
                talk.session.reconfigure(wanted.config);
                talk.wanted = wanted;
                self.talks.push(talk);
                continue;
            }
            let same = saved.iter().position(|saved| saved.wanted.is_same(&wanted));
            let mouth = same.and_then(|_| self.estate.as_mut()?.mouth(&wanted.name));
            let talk = match (same, mouth) {
                (Some(place), Some(mouth)) => {
                    Talk::revive(now, saved.swap_remove(place), wanted, mouth)
                }
                (None, _) | (_, None) => Talk::new(now, wanted, self.discriminator()),
            };
            // A peer is not told of the end of a session and of a new one at once.
            let (peer, interface) = (talk.wanted.peer, talk.wanted.interface.clone());
            let another = |it: &Talk| it.wanted.peer != peer || it.wanted.interface != interface;
            self.leaving.retain(|(it, _)| another(it));
            self.talks.push(talk);
        }
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        for mut talk in known {
            board.remove(&talk.wanted.name);
            talk.session.administer(true);
            if let Some(estate) = &self.estate {
                estate.withdraw_mouth(&talk.wanted.name);
            }
            self.leaving.push((talk, now + FAREWELL));
        }
        drop(board);
        self.changed = true;
        // What a process before us had is heard before anything new is opened.
        self.look(now);
        if let Some(estate) = &mut self.estate {
            estate.settle();
        }
    }

    fn discriminator(&mut self) -> NonZeroU32 {
        loop {
            let random = self.random.next();
            let used = |number| {
                let mut talks = self.talks.iter().chain(self.leaving.iter().map(|it| &it.0));
                talks.any(|talk| talk.session.discriminator() == number)
            };
            let number = NonZeroU32::new(random).filter(|it| !used(*it));
            if let Some(number) = number {
                return number;
            }
        }
    }

    /// Opens what is missing, and closes what nobody needs.
    fn look(&mut self, now: Instant) {
        self.look_at = now + RETRY;
        for talk in &mut self.talks {
            // While it is up, its interface is there.
            if (talk.session.state() != State::Up || talk.has_failed())
                && talk.settle(&mut self.random)
            {
                self.changed = true;
                if let (Some(estate), Some(mouth)) = (&self.estate, &talk.mouth) {
                    estate.leave_mouth(&talk.wanted.name, mouth);
                }
            }
            let place = (talk.index, talk.family());
            if talk.index == 0 || self.ears.contains_key(&place) {
                continue;
            }
            let (index, family) = place;
            let found = self.estate.as_mut().and_then(|it| it.ear(index, family));
            let opened = match found {
                Some(ear) => Ok(ear),
                None => Ear::open(&talk.wanted.interface, family),
            };
            match opened {
                Ok(ear) => {
                    if let Some(estate) = &self.estate {
                        estate.leave_ear(index, family, &ear);
                    }
                    self.ears.insert(place, ear);
                }
                Err(error) => {
                    let why = deaf(&talk.wanted.interface, &error);
                    talk.fail(why);
                }
            }
        }
        let all = self.talks.iter().chain(self.leaving.iter().map(|it| &it.0));
        let needed: Vec<_> = all.map(|talk| (talk.index, talk.family())).collect();
        let estate = &self.estate;
        self.ears.retain(|place, _| {
            let stays = needed.contains(place);
            if let (false, Some(estate)) = (stays, estate) {
                estate.withdraw_ear(place.0, place.1);
            }
            stays
        });
    }

    fn listen(&mut self, news: &mut Vec<News>) {
        let places: Vec<_> = self.ears.keys().copied().collect();
        self.flooded = false;
        for place in places {
            for count in 0..A_TURN {
                let Some(ear) = self.ears.get(&place) else {
                    break;
                };
                match ear.receive() {
                    Ok(Some(datagram)) => self.hear(place, &datagram, news),
                    Ok(None) => break,
                    Err(error) => {
                        // Its interface is gone, which is looked at in a moment.
                        tracing::debug!(%error, "receiving BFD packets failed");
                        self.ears.remove(&place);
                        break;
                    }
                }
                self.flooded |= count >= FLOOD;
            }
        }
    }

    /// Finds the session of a packet (RFC 5880 §6.8.6, RFC 5881 §3).
    fn hear(&mut self, (index, family): (u32, Family), datagram: &Datagram, news: &mut Vec<News>) {
        let here = |talk: &Talk| talk.index == index && talk.family() == family;
        let from = |talk: &Talk| here(talk) && talk.wanted.peer == datagram.source;
        let parsed = ControlPacket::parse(datagram.hop_limit, &datagram.payload[..datagram.length]);
        let talks = &mut self.talks;
        let talk = match &parsed {
            Ok(packet) => match packet.your_discriminator {
                Some(number) => talks
                    .iter_mut()
                    .find(|talk| here(talk) && talk.session.discriminator() == number),
                None => talks.iter_mut().find(|talk| from(talk)),
            },
            Err(_) => None,
        };
        match (parsed, talk) {
            (Ok(packet), Some(talk)) => self.changed |= talk.hear(clock::now(), &packet, news),
            (Ok(packet), None) => {
                let number = packet.your_discriminator.map_or(0, NonZeroU32::get);
                if let Some(talk) = self.talks.iter_mut().find(|talk| from(talk)) {
                    talk.refuse(format!("there is no session {number}"));
                }
            }
            (Err(why), _) => {
                if let Some(talk) = self.talks.iter_mut().find(|talk| from(talk)) {
                    talk.refuse(why.to_string());
                }
            }
        }
    }

    fn run_timers(&mut self, now: Instant, news: &mut Vec<News>) {
        let Self {
            talks,
            random,
            board,
            changed,
            ..
        } = self;
        let mut board = board.lock().unwrap_or_else(PoisonError::into_inner);
        for talk in talks {
            *changed |= talk.timeout(now, news);
            talk.speak(now, random);
            if let Some(report) = talk.news() {
                board.insert(talk.wanted.name.clone(), report);
            }
        }
        drop(board);
        for (talk, _) in &mut self.leaving {
            talk.speak(now, &mut self.random);
        }
        self.leaving.retain(|(_, until)| *until > now);
    }

    fn keep(&mut self) {
        if let Some(estate) = self.estate.as_ref().filter(|_| self.changed) {
            let sessions: Vec<_> = self.talks.iter().map(Talk::save).collect();
            estate.leave_sessions(&sessions);
        }
        self.changed = false;
    }

    /// Peers are told that this is no failure.
    fn take_leave(&mut self) {
        for talk in &mut self.talks {
            talk.session.administer(true);
        }
        let leaving = self.leaving.iter_mut().map(|(talk, _)| talk);
        for talk in self.talks.iter_mut().chain(leaving) {
            for _ in 0..LAST_WORDS {
                talk.repeat(&mut self.random);
            }
        }
    }

    fn wait(&self) {
        if self.flooded {
            std::thread::sleep(BREATH);
        }
        let now = clock::now();
        let leaving = self.leaving.iter();
        let leaving = leaving.flat_map(|(talk, until)| [talk.session.poll_timeout(), Some(*until)]);
        let due = self.talks.iter().map(Talk::deadline).chain(leaving);
        let due = due.flatten().chain([self.look_at]).min();
        let left = due.map_or(RETRY, |at| at.saturating_since(now)).max(LEAST);
        let mut fds = vec![PollFd::new(self.shared.wake.as_fd(), PollFlags::POLLIN)];
        let ears = self.ears.values();
        fds.extend(ears.map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)));
        if let Err(error) = ppoll(&mut fds, Some(TimeSpec::from_duration(left)), None)
            && error != nix::errno::Errno::EINTR
        {
            // Nothing that waiting again could mend, and spinning would starve the machine.
            std::thread::sleep(RETRY);
        }
    }
}

fn deaf(interface: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AddrInUse {
        format!(
            "another program has the BFD port 3784 on {interface}, such as FRR's bfdd; one of both must leave it"
        )
    } else {
        format!("cannot hear BFD on {interface}: {error}")
    }
}
