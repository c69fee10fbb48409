//! A control timer: was the machine itself late?
//!
//! One thread per CPU sleeps 2 ms at a time and writes down when it overslept. A verdict about a span may then tell a
//! late daemon from a late machine. A stall excuses lateness only, never earliness, and never more than [`MOST`].
//!
//! A further thread asks the kernel for a small change of a link every 10 ms and writes down how long that took. The
//! kernel has one lock for all network configuration of all namespaces, and a namespace that is being removed holds it
//! for long. This excuses what a daemon can only do through the kernel (addresses, forwarding), never an advertisement.

use crate::clock::Stamp;
use crate::socket::LinkChanger;
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

/// What one witness wrote down: when it was late, and by how much.
struct Notes(Mutex<VecDeque<(Stamp, Duration)>>);

static PROCESSOR: Notes = Notes(Mutex::new(VecDeque::new()));
static KERNEL: Notes = Notes(Mutex::new(VecDeque::new()));

impl Notes {
    fn add(&self, at: Stamp, late: Duration) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == KEPT {
            notes.pop_front();
        }
        notes.push_back((at, late));
    }

    /// The lateness of every note that touches the time between two moments.
    fn between(&self, from: Stamp, to: Stamp) -> Vec<Duration> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes
            .iter()
            .filter(|(at, late)| *at >= from && *at - *late <= to)
            .map(|(_, late)| *late)
            .collect()
    }
}

/// Starts the witnesses, once per process.
pub(crate) fn watch() {
    static START: Once = Once::new();
    START.call_once(|| {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for cpu in 0..cpus {
            std::thread::spawn(move || witness(cpu));
        }
        std::thread::spawn(kernel_witness);
    });
}

/// The longest oversleeping between two moments.
#[must_use]
pub fn longest(from: Stamp, to: Stamp) -> Duration {
    PROCESSOR
        .between(from, to)
        .into_iter()
        .max()
        .unwrap_or_default()
        .min(MOST)
}

/// How long the kernel's configuration lock was withheld between two moments, all in all: a daemon takes it several times.
#[must_use]
pub fn kernel(from: Stamp, to: Stamp) -> Duration {
    KERNEL.between(from, to).into_iter().sum::<Duration>() + longest(from, to)
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
            PROCESSOR.add(woke, late);
        }
    }
}

fn kernel_witness() {
    // A namespace without a name, which goes with the process: only its loopback is touched.
    if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
        return;
    }
    let Ok(mut link) = LinkChanger::loopback() else {
        return;
    };
    loop {
        let asked = Stamp::now();
        if link.change().is_err() {
            return;
        }
        let answered = Stamp::now();
        if answered.since(asked) >= NOTABLE {
            KERNEL.add(answered, answered.since(asked));
        }
        std::thread::sleep(STEP * 5);
    }
}
