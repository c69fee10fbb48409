//! Roles and timers: `carp.md` §4 and §5.

use core::net::IpAddr;

use super::terms::{Bid, TICK, Terms, Verdict};
use super::wire::Heard;
use crate::reference::machine::Role;
use crate::reference::terms::{Nanos, SECOND};

/// What it says. Who it says it to, and with which counter, is not the machine's business.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Said {
    /// An advertisement.
    Regular(Bid),
    /// A bow-out.
    Farewell(Bid),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Initialize,
    Backup(Backup),
    Active(Active),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Backup {
    /// md and md6: when each family has been silent for too long. One that it does not speak has none.
    down: [Option<Nanos>; 2],
    /// It runs out because of a bow-out.
    farewell: bool,
    /// It runs out because of what was heard.
    preempts: bool,
    /// Until when a slower one is put up with, once one was heard.
    put_up_until: Option<Nanos>,
    /// How many more words of an equal one may be its last.
    last_words: u8,
    /// Whose words were equal, last, in each family.
    equals: [Option<IpAddr>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Active {
    /// The ad timer.
    advert: Nanos,
    last_sent: Nanos,
    /// It has just taken over, and said one advertisement.
    fresh: bool,
}

/// So many words of one that gives way may come after that.
const LAST_WORDS: u8 = 3;

/// One router.
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Terms,
    state: State,
    /// Its addresses, IPv4 and IPv6.
    own: [Option<IpAddr>; 2],
    finished: bool,
    said: Vec<Said>,
    /// Times it became Active, and advertisements of slower ones that it heard as Active.
    pub counts: Counts,
}

/// What is counted of the election.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// It became Active.
    pub takeovers: u64,
    /// As Active it heard somebody who has to give way.
    pub conflicts: u64,
}

impl Machine {
    /// In INIT.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            state: State::Initialize,
            own: [None; 2],
            finished: false,
            said: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The configuration.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Its addresses.
    #[must_use]
    pub const fn own(&self) -> [Option<IpAddr>; 2] {
        self.own
    }

    /// The address that stands for it: that of IPv4, if it speaks that.
    #[must_use]
    pub fn primary(&self) -> Option<IpAddr> {
        self.own[usize::from(!self.terms.speaks(false))]
    }

    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self.state {
            State::Initialize => Role::Initialize,
            State::Backup(_) => Role::Backup,
            State::Active(_) => Role::Active,
        }
    }

    /// When the first of its timers fires.
    #[must_use]
    pub fn deadline(&self) -> Option<Nanos> {
        match &self.state {
            State::Initialize => None,
            State::Backup(backup) => backup.down.into_iter().flatten().min(),
            State::Active(active) => Some(active.advert),
        }
    }

    /// What was said since this was last asked.
    pub fn take_said(&mut self) -> Vec<Said> {
        core::mem::take(&mut self.said)
    }

    /// Its state with times as they are from `now` on: two machines that agree in it have the same future.
    #[must_use]
    pub fn relative(&self, now: Nanos) -> (Role, [Option<Nanos>; 4], [Option<IpAddr>; 2]) {
        let from_now = |at: Nanos| at.saturating_sub(now);
        let times = match &self.state {
            State::Initialize => [None; 4],
            State::Backup(backup) => [
                backup.down[0].map(from_now),
                backup.down[1].map(from_now),
                backup.put_up_until.map(from_now),
                Some(
                    Nanos::from(backup.farewell)
                        + 2 * Nanos::from(backup.preempts)
                        + 4 * Nanos::from(backup.last_words),
                ),
            ],
            State::Active(active) => [
                Some(from_now(active.advert)),
                Some(now.saturating_sub(active.last_sent).min(60 * SECOND)),
                (active.fresh && self.terms.ours).then_some(0),
                None,
            ],
        };
        let equals = match &self.state {
            State::Backup(backup) if self.terms.ours => backup.equals,
            State::Backup(_) | State::Initialize | State::Active(_) => [None; 2],
        };
        (self.role(), times, equals)
    }

    /// The interface has these addresses, and carries packets or not.
    pub fn link(&mut self, now: Nanos, own: [Option<IpAddr>; 2], carries: bool) {
        let complete = [false, true]
            .into_iter()
            .all(|ipv6| !self.terms.speaks(ipv6) || own[usize::from(ipv6)].is_some());
        match (carries && complete, &self.state) {
            (true, State::Initialize) if !self.finished => {
                self.own = own;
                self.become_backup(now);
            }
            (true, _) => self.own = own,
            // Decision: a bow-out is sent if the link still carries it, from the address that was there a moment ago.
            (false, _) if carries => {
                self.give_up();
                self.own = own;
            }
            (false, _) => {
                self.state = State::Initialize;
                self.own = own;
            }
        }
    }

    /// It is stopped: OpenBSD and NetBSD say so, and ours do.
    pub fn stop(&mut self, now: Nanos) {
        self.stand_back_if_late(now);
        self.finished = true;
        self.give_up();
    }

    fn give_up(&mut self) {
        if self.role() == Role::Active {
            self.said.push(Said::Farewell(Bid {
                advbase: 255,
                advskew: 255,
                demotion: self.terms.bid().demotion,
            }));
        }
        self.state = State::Initialize;
    }

    fn become_backup(&mut self, now: Nanos) {
        let down = now + self.terms.down_interval();
        self.state = State::Backup(Backup {
            down: [false, true].map(|ipv6| self.terms.speaks(ipv6).then_some(down)),
            farewell: false,
            preempts: false,
            put_up_until: None,
            last_words: 0,
            equals: [None; 2],
        });
    }

    /// Actions T.
    fn become_active(&mut self, now: Nanos) {
        self.counts.takeovers += 1;
        self.advertise(now);
        if let State::Active(active) = &mut self.state {
            active.fresh = true;
        }
    }

    fn advertise(&mut self, now: Nanos) {
        self.said.push(Said::Regular(self.terms.bid()));
        self.state = State::Active(Active {
            advert: now + self.terms.interval(),
            last_sent: now,
            fresh: false,
        });
    }

    /// Whatever timer is due.
    pub fn timer(&mut self, now: Nanos) {
        self.stand_back_if_late(now);
        if self.deadline().is_none_or(|due| due > now) {
            return;
        }
        match self.state {
            State::Initialize => {}
            State::Backup(_) => self.become_active(now),
            State::Active(Active { advert, .. }) => {
                self.advertise(now);
                // Decision: due on a grid, so that lateness does not add up, unless that is past already.
                let next = advert + self.terms.interval();
                if let State::Active(active) = &mut self.state
                    && self.terms.ours
                    && next > now
                {
                    active.advert = next;
                }
            }
        }
    }

    /// Decision: one of ours that was silent for longer than anybody waits has been replaced, and listens.
    pub(crate) fn stand_back_if_late(&mut self, now: Nanos) {
        let terms = &self.terms;
        let longest = 3 * Nanos::from(terms.advbase) * SECOND + Nanos::from(terms.skew()) * TICK;
        if let State::Active(active) = &self.state
            && terms.ours
            && now - active.last_sent > longest
        {
            self.become_backup(now);
        }
    }

    /// An advertisement that passed every check.
    pub fn hear(&mut self, now: Nanos, heard: &Heard) {
        self.stand_back_if_late(now);
        match self.state {
            State::Initialize => {}
            State::Backup(backup) => self.backup_hears(now, backup, heard),
            State::Active(_) => self.active_hears(now, heard),
        }
    }

    fn backup_hears(&mut self, now: Nanos, mut backup: Backup, heard: &Heard) {
        let terms = &self.terms;
        let theirs = heard.bid;
        if terms.ours && theirs.gives_up() {
            // Decision: at once, but the best of several first, within a 64th of a second.
            let turn = now + Nanos::from(terms.bid().advskew) * TICK / 64;
            for down in backup.down.iter_mut().flatten() {
                *down = turn.min(*down);
            }
            backup.farewell = true;
            backup.preempts = false;
            backup.equals = [None; 2];
            self.state = State::Backup(backup);
            return;
        }
        let mut preempts = terms.preempt && terms.is_faster_than(theirs);
        // Decision: a slower one is put up with for a while.
        backup.put_up_until =
            preempts.then(|| backup.put_up_until.unwrap_or(now + terms.hold_time));
        preempts &= backup.put_up_until.is_some_and(|until| until <= now);
        if preempts || terms.finds_unfit(theirs) {
            if !terms.ours {
                self.become_active(now);
                return;
            }
            // Decision: what was heard at the same time counts as well, so that its timer runs out now.
            // An equal one that has given way at the same time hears that, too.
            let wait = match self.primary() {
                Some(own) if backup.last_words > 0 => courtesy(own),
                Some(_) | None => 0,
            };
            for down in backup.down.iter_mut().flatten() {
                *down = (now + wait).min(*down);
            }
            backup.farewell = false;
            backup.preempts = true;
        } else {
            // Only the timer of that family. Decision: a reason to be quicker is gone in both.
            let mut again = now + terms.down_interval();
            // Decision: where two equals are heard, all who are their equal wait longer, as if they had met themselves.
            let place = usize::from(heard.source.is_ipv6());
            match (terms.is_equal_to(theirs), backup.equals[place]) {
                (false, _) => {
                    backup.last_words = 0;
                    backup.equals = [None; 2];
                }
                (true, before) => {
                    if terms.ours && before.is_some_and(|before| before != heard.source) {
                        backup.last_words = LAST_WORDS;
                    }
                    backup.equals[place] = Some(heard.source);
                }
            }
            if backup.last_words > 0
                && let Some(own) = self.primary()
            {
                again += courtesy(own);
                backup.last_words -= 1;
            }
            if backup.farewell || backup.preempts {
                backup.down = backup.down.map(|down| down.map(|_| again));
            }
            backup.down[usize::from(heard.source.is_ipv6())] = Some(again);
            backup.farewell = false;
            backup.preempts = false;
        }
        self.state = State::Backup(backup);
    }

    fn active_hears(&mut self, now: Nanos, heard: &Heard) {
        let Some(own) = self.primary() else { return };
        match self.terms.verdict(heard.bid, heard.source, own) {
            Verdict::Stays => self.counts.conflicts += u64::from(!heard.bid.gives_up()),
            Verdict::Yields => {
                let fresh = matches!(self.state, State::Active(Active { fresh: true, .. }));
                self.become_backup(now);
                if fresh {
                    self.be_courteous(own, 0);
                }
            }
            Verdict::YieldsToEqual => {
                self.become_backup(now);
                self.be_courteous(own, LAST_WORDS);
            }
            Verdict::YieldsWithAWord => {
                self.advertise(now);
                self.become_backup(now);
            }
        }
    }

    /// Decision: two that gave way to each other must not meet again at the same moment, so that each of ours waits longer. What
    /// an equal one says next may still be its last word, as UCarp's is.
    fn be_courteous(&mut self, own: IpAddr, last_words: u8) {
        if let State::Backup(backup) = &mut self.state
            && self.terms.ours
        {
            for down in backup.down.iter_mut().flatten() {
                *down += courtesy(own);
            }
            backup.last_words = last_words;
        }
    }

    /// Other terms, by configuration or because something is wrong: a MASTER says so at once, and goes on from there.
    pub fn revise(&mut self, now: Nanos, terms: Terms) {
        if self.finished {
            return;
        }
        self.stand_back_if_late(now);
        let before = self.terms.down_interval();
        self.terms = terms;
        let after = self.terms.down_interval();
        match &mut self.state {
            State::Initialize => {}
            State::Backup(backup) => {
                // Decision: what follows a bow-out is short, and not changed.
                if !backup.farewell {
                    for down in backup.down.iter_mut().flatten() {
                        *down = *down - before + after;
                    }
                }
            }
            State::Active(Active { fresh, .. }) => {
                let fresh = *fresh;
                self.advertise(now);
                if let State::Active(active) = &mut self.state {
                    active.fresh = fresh;
                }
            }
        }
    }

    /// Only whether it preempts has changed, which is no news to anybody.
    pub fn prefer(&mut self, now: Nanos, preempt: bool) {
        if !self.finished {
            self.stand_back_if_late(now);
            self.terms.preempt = preempt;
        }
    }

    /// Decision: it is not to preempt after all. Then it waits anew.
    pub fn restrain(&mut self, now: Nanos) {
        if let State::Backup(Backup {
            preempts: true,
            last_words,
            ..
        }) = self.state
        {
            self.become_backup(now);
            if let State::Backup(backup) = &mut self.state {
                backup.last_words = last_words;
            }
        }
    }
}

/// Decision: by the last octet.
const fn courtesy(own: IpAddr) -> Nanos {
    let last = match own {
        IpAddr::V4(address) => address.octets()[3],
        IpAddr::V6(address) => address.octets()[15],
    };
    (1 + last as Nanos) * TICK
}
