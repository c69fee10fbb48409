//! Keeps in place what follows the routers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;
use vrrp_proto::Gather;
use vrrp_proto::desired::{Desired, Upkeep};
use vrrp_proto::types::RouterId;

use super::Worker;
use crate::kernel::Notice;
use crate::kernel::following::{self, Deeds, Guest, Item, Picture};
use crate::kernel::netlink::Refusal;
use crate::kernel::op::{Op, Stage, Step};
use crate::kernel::standing::Patience;
use crate::kernel::system::System;

/// After a change of links or addresses, what was refused is tried again no later than this.
const SECOND_THOUGHT: Duration = Duration::from_millis(100);

/// What is known about what follows the routers.
#[derive(Default)]
pub(super) struct Follower {
    picture: Picture,
    /// Whether the picture was ever taken, and is true as far as is known.
    current: bool,
    /// Whether the kernel had, or was to have, anything of it.
    concerned: bool,
    /// What was refused, and how.
    troubles: BTreeMap<(RouterId, Item), Trouble>,
    /// What was in place.
    there: BTreeSet<(RouterId, Item)>,
    /// What was last said about each router.
    told: BTreeMap<RouterId, (Vec<String>, Vec<Guest>)>,
    /// What could not be removed when that was last tried.
    complaints: Vec<String>,
}

struct Trouble {
    sentence: String,
    patience: Patience,
}

impl Follower {
    /// The picture may be wrong.
    pub(super) fn doubt(&mut self) {
        self.current = false;
    }

    /// It is time to look at everything that matters.
    pub(super) fn audit(&mut self) {
        self.current &= !self.concerned;
    }

    /// Links or addresses have changed: the kernel removes routes without a word, and may take now what it refused.
    pub(super) fn surroundings_changed(&mut self, now: Instant) {
        if !self.concerned {
            return;
        }
        self.current = false;
        for trouble in self.troubles.values_mut() {
            let until = &mut trouble.patience.until;
            *until = until.map(|until| until.min(now + SECOND_THOUGHT));
        }
    }

    /// When something that was refused is tried again.
    pub(super) fn dues(&self) -> impl Iterator<Item = Instant> {
        self.troubles.values().filter_map(|it| it.patience.until)
    }

    /// What is past is done with.
    pub(super) fn forget(&mut self, now: Instant) {
        for trouble in self.troubles.values_mut() {
            trouble.patience.forget(now);
        }
    }
}

impl<S: System> Worker<S> {
    /// Removes what follows routers that are not Active any more. To be done before their addresses go.
    pub(super) fn unfollow(&mut self, all: &BTreeMap<RouterId, Arc<Desired>>, leftovers: bool) {
        let complaints = self.let_go(all, leftovers);
        if complaints != self.follower.complaints {
            for complaint in &complaints {
                warn!("{complaint}");
            }
            self.follower.complaints = complaints;
        }
    }

    /// The same; what could not be removed, as sentences.
    pub(super) fn let_go(
        &mut self,
        all: &BTreeMap<RouterId, Arc<Desired>>,
        leftovers: bool,
    ) -> Vec<String> {
        if !self.follows(all, leftovers) {
            return Vec::new();
        }
        self.look_after(false);
        let remove = self.deeds(all, leftovers).remove;
        let owner = self.owner;
        let refused = self.carry_out(&remove, |item| item.removal(owner));
        let mut complaints = Vec::new();
        for (position, item) in remove.iter().enumerate() {
            match refused.get(&position) {
                None => self.follower.picture.remove(item),
                Some(refusal) => {
                    self.follower.doubt();
                    let what = item.words(&self.observed);
                    complaints.push(format!("cannot remove {what}: {refusal}"));
                }
            }
        }
        complaints
    }

    /// Adds what follows routers that are Active, and says what became of it. To be done when their addresses are there, and
    /// before that is reported: a successor that is heard has everything. Those that are `lacking` addresses wait.
    pub(super) fn follow(
        &mut self,
        now: Instant,
        all: &BTreeMap<RouterId, Arc<Desired>>,
        leftovers: bool,
        lacking: &BTreeSet<RouterId>,
    ) {
        if !self.follows(all, leftovers) {
            return;
        }
        self.look_after(false);
        let mut deeds = self.deeds(all, leftovers);
        let due: Vec<(RouterId, Item)> = deeds
            .add
            .iter()
            .filter(|(router, _)| !lacking.contains(router))
            .filter(|wanted| self.may_add(now, wanted))
            .cloned()
            .collect();
        if !due.is_empty() {
            let items: Vec<Item> = due.iter().map(|(_, item)| item.clone()).collect();
            let owner = self.owner;
            let refused = self.carry_out(&items, |item| item.addition(owner));
            for (position, item) in items.iter().enumerate() {
                if !refused.contains_key(&position) {
                    self.follower.picture.add(item);
                }
            }
            // A refusal may come of a picture that was old. Otherwise nothing is asked for that could take its time: a look
            // at the routes of a router in the middle of the Internet does.
            self.look_after(!refused.is_empty());
            deeds = self.deeds(all, leftovers);
            let mut done = Vec::new();
            for (position, wanted) in due.into_iter().enumerate() {
                match refused.get(&position) {
                    None => done.push(wanted),
                    Some(refusal) => self.note_trouble(now, &deeds, wanted, refusal),
                }
            }
            self.note_undone(now, &done);
        }
        self.conclude(deeds);
    }

    /// Whether there is anything to look at.
    fn follows(&mut self, all: &BTreeMap<RouterId, Arc<Desired>>, leftovers: bool) -> bool {
        let wants = || {
            let mut routers = all.values();
            routers.any(|desired| desired.active && !desired.following.is_empty())
        };
        if leftovers && !self.follower.current && !self.follower.concerned {
            self.look_after(true);
        }
        self.follower.concerned = !self.follower.told.is_empty()
            || !self.follower.there.is_empty()
            || !self.follower.picture.is_empty()
            || wants();
        self.follower.concerned
    }

    fn look_after(&mut self, again: bool) {
        self.listen();
        if self.follower.current && !again {
            return;
        }
        // What is told until now is in the picture.
        self.system.drain_following(self.owner.route_protocol());
        match self.system.look_following(self.owner.route_protocol()) {
            Ok(picture) => {
                self.follower.picture = picture;
                self.follower.current = true;
            }
            Err(error) => warn!(%error, "cannot look at the kernel's routes and rules"),
        }
    }

    fn deeds(&self, all: &BTreeMap<RouterId, Arc<Desired>>, leftovers: bool) -> Deeds {
        let picture = &self.follower.picture;
        following::plan(self.owner, all, &self.observed, picture, leftovers)
    }

    /// Does it, and says which were refused.
    fn carry_out(&mut self, items: &[Item], op: impl Fn(&Item) -> Op) -> BTreeMap<usize, Refusal> {
        let steps: Vec<Step> = items
            .iter()
            .map(|item| Step {
                stage: Stage::Take,
                router: None,
                op: op(item),
            })
            .collect();
        let refused = self.execute(&steps).into_iter().collect();
        self.listen();
        refused
    }

    /// Whether it is time to try.
    fn may_add(&self, now: Instant, wanted: &(RouterId, Item)) -> bool {
        let later = |at: Option<Instant>| at.is_some_and(|at| at > now);
        let trouble = self.follower.troubles.get(wanted);
        let standing = self.routers.get(&wanted.0);
        standing.is_some_and(|standing| !later(standing.free_at()))
            && !trouble.is_some_and(|trouble| later(trouble.patience.until))
    }

    /// What was in place and is not was taken away by somebody.
    fn note_undone(&mut self, now: Instant, done: &[(RouterId, Item)]) {
        let mut undone: BTreeMap<RouterId, Vec<&Item>> = BTreeMap::new();
        for (router, item) in done {
            if self.follower.there.contains(&(*router, item.clone())) {
                undone.entry(*router).or_default().push(item);
            }
        }
        for (router, items) in undone {
            let what = match items.as_slice() {
                [] => continue,
                [one] => one.words(&self.observed),
                [one, more @ ..] => {
                    format!("{} and {} more", one.words(&self.observed), more.len())
                }
            };
            if let Some(standing) = self.routers.get_mut(&router) {
                standing.repairs.note(now, what);
            }
        }
    }

    fn note_trouble(
        &mut self,
        now: Instant,
        deeds: &Deeds,
        wanted: (RouterId, Item),
        refusal: &Refusal,
    ) {
        if deeds.there.contains(&wanted) {
            return;
        }
        let what = wanted.1.words(&self.observed);
        let why = match (&wanted.1, refusal.errno) {
            (Item::Route(_), libc::EEXIST) => {
                "somebody else has a route to the same network in the same table with the same metric; give ours another metric, or remove that one".to_owned()
            }
            (Item::Rule(_), libc::EEXIST) => {
                "somebody else has the same rule; give ours another priority, or remove that one"
                    .to_owned()
            }
            (Item::Route(_), libc::ENETUNREACH | libc::EHOSTUNREACH) => {
                "nothing leads to the next hop".to_owned()
            }
            (Item::Address(..) | Item::Route(_) | Item::Rule(_), _) => refusal.to_string(),
        };
        let trouble = self.follower.troubles.entry(wanted).or_insert(Trouble {
            sentence: String::new(),
            patience: Patience::default(),
        });
        trouble.sentence = format!("{what}: {why}");
        trouble.patience.fail(now);
    }

    /// Says what is new about each router.
    fn conclude(&mut self, mut deeds: Deeds) {
        let missing: BTreeSet<&(RouterId, Item)> = deeds.add.iter().gather();
        self.follower
            .troubles
            .retain(|wanted, _| missing.contains(wanted));
        let mut now: BTreeMap<RouterId, (Vec<String>, Vec<Guest>)> = BTreeMap::new();
        for (router, lack) in deeds.lacks {
            now.entry(router).or_default().0.push(lack);
        }
        for ((router, _), trouble) in &self.follower.troubles {
            let lacks = &mut now.entry(*router).or_default().0;
            lacks.push(trouble.sentence.clone());
        }
        for (router, guests) in std::mem::take(&mut deeds.guests) {
            now.entry(router).or_default().1 = guests;
        }
        self.follower.there = deeds.there;
        let told = std::mem::take(&mut self.follower.told);
        let nothing = (Vec::new(), Vec::new());
        let routers: BTreeSet<RouterId> = told.keys().chain(now.keys()).copied().gather();
        for router in routers {
            let before = told.get(&router).unwrap_or(&nothing);
            let after = now.get(&router).unwrap_or(&nothing);
            if before.1 != after.1 {
                (self.notify)(Notice::Guests {
                    router,
                    guests: after.1.clone(),
                });
            }
            if before.0 != after.0 {
                (self.notify)(Notice::Upkeep {
                    router,
                    upkeep: Upkeep::Lacks(after.0.clone()),
                });
            }
        }
        self.follower.told = now;
    }
}
