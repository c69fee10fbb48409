//! The places of control connections: a bounded number, shared so that nobody can keep all the others out.
//!
//! When there is none left for somebody who comes, the user with the most connections loses one: first such whose client
//! owes us something, which is the rest of a request or the reading of an answer, the oldest of them; then one that follows
//! events. Requests that are being answered are never cut, so only when all places are taken by those is the newcomer sent away.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Connections at a time. Beyond that somebody is cut off, and sees an error instead of silence.
const ROOM: usize = 64;

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Stage {
    /// It waits for its client to write, or to read.
    Owed,
    /// It waits for news.
    Following,
    /// Its request is being answered.
    Served,
}

/// All places.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// In the order in which they came.
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    uid: u32,
    stage: Stage,
    /// Absent until it begins.
    task: Option<AbortHandle>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    number: u64,
}

impl Places {
    /// One for this user; nothing when everybody is being served.
    pub(crate) fn take(&self, uid: u32) -> Option<Place> {
        let mut taken = self.lock();
        if taken.seats.len() >= ROOM {
            let victim = taken.victim()?;
            if let Some(task) = taken.seats.remove(&victim).and_then(|seat| seat.task) {
                task.abort();
            }
        }
        let number = taken.next;
        taken.next += 1;
        let seat = Seat {
            uid,
            stage: Stage::Owed,
            task: None,
        };
        taken.seats.insert(number, seat);
        Some(Place {
            places: self.clone(),
            number,
        })
    }

    /// Whoever needs that place ends this task.
    pub(crate) fn begun(&self, number: u64, task: AbortHandle) {
        match self.lock().seats.get_mut(&number) {
            Some(seat) => seat.task = Some(task),
            None => task.abort(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn victim(&self) -> Option<u64> {
        let mut by_user: BTreeMap<u32, usize> = BTreeMap::new();
        for seat in self.seats.values() {
            *by_user.entry(seat.uid).or_default() += 1;
        }
        let dispensable = self
            .seats
            .iter()
            .filter(|(_, seat)| seat.stage != Stage::Served);
        // The smallest: of the user with the most, what can best be spared, the oldest of that.
        let rank = |(number, seat): (&u64, &Seat)| {
            let many = by_user.get(&seat.uid).copied().unwrap_or_default();
            (usize::MAX - many, seat.stage, *number)
        };
        dispensable.map(rank).min().map(|(_, _, number)| number)
    }
}

impl Place {
    /// Which it is.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// What its connection is doing from now on; what it did before.
    pub(crate) fn stage(&self, stage: Stage) -> Stage {
        let mut taken = self.places.lock();
        let seat = taken.seats.get_mut(&self.number);
        seat.map_or(stage, |seat| std::mem::replace(&mut seat.stage, stage))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(places: &Places) -> Vec<u64> {
        places.lock().seats.keys().copied().collect()
    }

    fn full(uid: u32) -> (Places, Vec<Place>) {
        let places = Places::default();
        let all = (0..ROOM).map(|_| places.take(uid).unwrap()).collect();
        (places, all)
    }

    #[test]
    fn the_oldest_that_sits_idle_makes_room() {
        let (places, all) = full(1000);
        all[0].stage(Stage::Served);
        all[1].stage(Stage::Following);
        let newcomer = places.take(1000).unwrap();
        assert!(!numbers(&places).contains(&all[2].number()));
        assert!(numbers(&places).contains(&newcomer.number()));
        assert_eq!(numbers(&places).len(), ROOM);
    }

    #[test]
    fn who_has_the_most_makes_room_for_others() {
        let (places, mut all) = full(1000);
        all.pop();
        let root = places.take(0).unwrap();
        for _ in 0..ROOM * 3 {
            // Each is gone at once, as the hostile ones are.
            drop(places.take(1000).unwrap());
            assert!(numbers(&places).contains(&root.number()));
            std::mem::forget(places.take(1000).unwrap());
        }
        assert!(numbers(&places).contains(&root.number()));
    }

    #[test]
    fn who_follows_makes_room_when_nobody_idles_and_who_is_served_never_does() {
        let (places, all) = full(0);
        for place in &all {
            place.stage(Stage::Served);
        }
        assert!(places.take(0).is_none());
        all[7].stage(Stage::Following);
        let _newcomer = places.take(0).unwrap();
        assert!(!numbers(&places).contains(&all[7].number()));
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let (places, mut all) = full(0);
        all.truncate(3);
        assert_eq!(numbers(&places), [0, 1, 2]);
        // One that was cut leaves nobody else's place.
        let (places, all) = full(0);
        let newcomer = places.take(0).unwrap();
        drop(all.into_iter().next());
        assert!(numbers(&places).contains(&newcomer.number()));
    }
}
