//! The engine through its public door: inputs at chosen times, outputs in order.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod advertisements;
mod announcements;
mod bench;
mod bfd;
mod complaints;
mod conflict;
mod faults;
mod handover;
mod lateness;
mod orders;
mod pre_active;
mod preempt_delay;
mod preempt_when;
mod primary;
mod receive;
mod reload;
mod shutdown;
mod strangers;
mod timers;
mod trackers;
mod wakeups;
