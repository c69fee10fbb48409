//! A control timer above everybody else: was it the machine that was late?
//!
//! One thread for each processor, at a real-time priority above that of every daemon, sleeps two milliseconds at a time.
//! What it oversleeps by more than a millisecond was taken by the hypervisor or by the kernel, and marks the trial.

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::priority;

const STEP: Duration = Duration::from_millis(2);
const NOTABLE: Duration = Duration::from_millis(1);

static NOTES: Mutex<Vec<(Stamp, Duration)>> = Mutex::new(Vec::new());

/// Starts the timers, once.
pub(crate) fn watch() {
    static START: Once = Once::new();
    START.call_once(|| {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for processor in 0..processors {
            std::thread::spawn(move || witness(processor));
        }
        std::thread::sleep(ms(20));
    });
}

/// Whether the machine stood still for more than a millisecond between two moments.
pub(crate) fn stalled(from: Stamp, to: Stamp) -> bool {
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    notes
        .iter()
        .rev()
        .take_while(|(at, late)| *at + *late >= from)
        .any(|(at, late)| *at >= from && *at - *late <= to)
}

fn witness(processor: usize) {
    let mut mask = CpuSet::new();
    // Where this is refused the witness wanders, and still tells most stalls.
    let _ = mask
        .set(processor)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &mask));
    priority::raise_above();
    loop {
        let due = Stamp::now() + STEP;
        due.sleep_until();
        let woke = Stamp::now();
        let late = woke.since(due);
        if late >= NOTABLE {
            NOTES
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((woke, late));
        }
    }
}
