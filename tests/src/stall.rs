//! A control timer: was the machine itself late?
//!
//! One thread per CPU sleeps 2 ms at a time and writes down when it overslept. A verdict about a span may then tell a
//! late daemon from a late machine. A stall excuses lateness only, never earliness, and never more than [`MOST`].

use crate::clock::Stamp;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

/// How long the witness sleeps at a time.
const STEP: Duration = Duration::from_millis(2);
/// Oversleeping less than this is not worth a note.
const NOTABLE: Duration = Duration::from_millis(5);
/// No stall excuses more than this.
pub const MOST: Duration = Duration::from_millis(250);
/// Notes kept; the oldest fall out.
const KEPT: usize = 65_536;

static NOTES: Mutex<VecDeque<(Stamp, Duration)>> = Mutex::new(VecDeque::new());

/// Starts the witnesses, once per process.
pub(crate) fn watch() {
    static START: Once = Once::new();
    START.call_once(|| {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for cpu in 0..cpus {
            std::thread::spawn(move || witness(cpu));
        }
    });
}

/// The longest oversleeping between two moments.
#[must_use]
pub fn longest(from: Stamp, to: Stamp) -> Duration {
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    let within = notes
        .iter()
        .filter(|(woke, late)| *woke >= from && *woke - *late <= to);
    within
        .map(|(_, late)| *late)
        .max()
        .unwrap_or_default()
        .min(MOST)
}

fn witness(cpu: usize) {
    let mut mask = CpuSet::new();
    // Where pinning is refused the witness wanders, and still tells most stalls.
    let _ = mask
        .set(cpu)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &mask));
    loop {
        let due = Stamp::now() + STEP;
        std::thread::sleep(STEP);
        let woke = Stamp::now();
        let late = woke.since(due);
        if late >= NOTABLE {
            let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
            if notes.len() == KEPT {
                notes.pop_front();
            }
            notes.push_back((woke, late));
        }
    }
}
