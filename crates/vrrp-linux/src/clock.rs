//! The clock: monotonic, and it goes on while the machine is suspended, so that a router which slept knows that it did.

use std::time::{Duration, SystemTime};

use nix::time::{ClockId, clock_gettime};
use vrrp_proto::Instant;

/// Now.
///
/// # Panics
/// Never on a kernel since Linux 2.6.39, which have the clock.
#[must_use]
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME)
        .unwrap_or_else(|error| panic!("no boot-time clock: {error}"));
    let nanos = |value: i64| u64::try_from(value).unwrap_or(0);
    Instant::from_nanos(nanos(time.tv_sec()) * 1_000_000_000 + nanos(time.tv_nsec()))
}

/// What the clock of the wall says, since the beginning of 1970; nothing if it says less.
#[must_use]
pub fn wall() -> Duration {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default()
}
