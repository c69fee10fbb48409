//! The leases of one link.

use std::fmt;
use std::fs;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vrrp_proto::types::{Family, MacAddress, Vrid};

use crate::GateError;
use crate::mapping::Mapping;
use crate::table::Tally;

/// Nobody guards this address.
const UNGUARDED: u64 = 0;
/// A deadline that passed when the machine started.
const CLOSED: u64 = 1;
/// The lowest bit of a deadline: the router is muted. Some nanoseconds are nobody's.
const MUTED: u64 = 1;
/// The next one: it does not say either whose its addresses are. Only of one that is muted.
const HUSHED: u64 = 2;
/// Where the program finds the interface's own MAC address: no identifier is 0.
const OWN_MAC: usize = 0;

/// The leases of the virtual routers of one link, shared with the kernel.
///
/// Deadlines are nanoseconds of CLOCK_BOOTTIME, as `vrrp_linux::clock::now` tells them. A frame passes before the
/// deadline and not at it. Everything but [`counters`](Self::counters) is a load or a store in memory, without a system
/// call, from any thread; one thread should extend the leases of one router.
///
/// CARP uses the addresses of [`Family::Ipv4`] whatever it carries.
#[derive(Clone)]
pub struct Leases(Arc<Shared>);

struct Shared {
    mapping: Mapping,
    /// How far our CLOCK_BOOTTIME is ahead of the one that the program reads.
    ahead: i64,
    counters: Tally<4>,
}

/// Frames of one virtual MAC address that met the gate while it was guarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Frames to it that passed.
    pub passed_in: u64,
    /// Frames to it that were dropped.
    pub dropped_in: u64,
    /// Frames from it that passed.
    pub passed_out: u64,
    /// Frames from it that were dropped.
    pub dropped_out: u64,
}

impl Leases {
    /// `leases` is an array that this process may map.
    pub(crate) fn new(leases: BorrowedFd<'_>, counters: Tally<4>) -> Result<Self, GateError> {
        let mapping = Mapping::new(leases).map_err(GateError::Mapping)?;
        Ok(Self(Arc::new(Shared {
            mapping,
            ahead: clock_offset(),
            counters,
        })))
    }

    /// From now on the address is guarded, and closed until the lease is extended. What is guarded already stays as it
    /// is, so this may be said as often as one likes.
    pub fn guard(&self, family: Family, vrid: Vrid) {
        // That it was guarded before is no failure.
        let _ = self.entry(family, vrid).compare_exchange(
            UNGUARDED,
            CLOSED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Frames pass until `deadline`, in nanoseconds of CLOCK_BOOTTIME. A lease is never shortened by this, and an address
    /// that is not guarded stays so. Whether frames pass until `deadline` at least.
    pub fn extend(&self, family: Family, vrid: Vrid, deadline: u64) -> bool {
        let deadline =
            deadline.saturating_add_signed(self.0.ahead.saturating_neg()) & !(MUTED | HUSHED);
        let longer = |current| {
            let wanting = current < deadline || current & MUTED != 0;
            (current != UNGUARDED && wanting).then_some(deadline)
        };
        match self
            .entry(family, vrid)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, longer)
        {
            Ok(_) => true,
            Err(current) => current >= deadline,
        }
    }

    /// Nothing passes from now on, until the lease is extended again. What is not guarded stays so.
    pub fn close(&self, family: Family, vrid: Vrid) {
        let guarded = |current| (current > CLOSED).then_some(CLOSED);
        // That it was closed before, or not guarded, is no failure.
        let _ = self
            .entry(family, vrid)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, guarded);
    }

    /// From now on frames leave with the interface's own MAC address, and what comes in passes as before, until the lease ends
    /// or is extended again: switches do not learn the virtual one from here any more. What is not open stays as it is.
    pub fn mute(&self, family: Family, vrid: Vrid) {
        let muted = |current| (current > CLOSED).then_some(current | MUTED);
        // That it was closed, or not guarded, is no failure.
        let _ = self
            .entry(family, vrid)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, muted);
    }

    /// As [`Self::mute`]; ARP and Neighbor Discovery are not answered any more either: somebody else does it. Whether it was open.
    #[must_use]
    pub fn hush(&self, family: Family, vrid: Vrid) -> bool {
        let hushed = |current| (current > CLOSED).then_some(current | MUTED | HUSHED);
        self.entry(family, vrid)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, hushed)
            .is_ok()
    }

    /// Whether it is muted, or closed.
    #[must_use]
    pub fn is_muted(&self, family: Family, vrid: Vrid) -> bool {
        self.entry(family, vrid).load(Ordering::Acquire) & MUTED != 0
    }

    /// The MAC address of the interface, with which a router speaks that is muted.
    pub fn set_own_mac(&self, mac: MacAddress) {
        let [a, b, c, d, e, f] = mac.0;
        let entry = u64::from_ne_bytes([a, b, c, d, e, f, 0, 0]);
        self.0.mapping.entries()[OWN_MAC].store(entry, Ordering::Release);
    }

    /// The address is no longer guarded: everything passes.
    pub fn release(&self, family: Family, vrid: Vrid) {
        self.entry(family, vrid).store(UNGUARDED, Ordering::Release);
    }

    /// Until when frames pass, in nanoseconds of CLOCK_BOOTTIME; long past while it is closed, `None` if it is not guarded.
    #[must_use]
    pub fn deadline(&self, family: Family, vrid: Vrid) -> Option<u64> {
        match self.entry(family, vrid).load(Ordering::Acquire) {
            UNGUARDED => None,
            deadline => Some(deadline.saturating_add_signed(self.0.ahead)),
        }
    }

    /// All that are guarded.
    pub fn guarded(&self) -> impl Iterator<Item = (Family, Vrid)> {
        [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .flat_map(|family| {
                (1..=u8::MAX)
                    .filter_map(Vrid::new)
                    .map(move |vrid| (family, vrid))
            })
            .filter(|(family, vrid)| self.deadline(*family, *vrid).is_some())
    }

    /// What the gate counted for this address since the link was first attached. A system call.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub fn counters(&self, family: Family, vrid: Vrid) -> Result<Counters, GateError> {
        let index = u32::try_from(index(family, vrid)).unwrap_or(0);
        let sum = self.0.counters.sum(index);
        let [passed_in, dropped_in, passed_out, dropped_out] = sum.map_err(GateError::Counters)?;
        Ok(Counters {
            passed_in,
            dropped_in,
            passed_out,
            dropped_out,
        })
    }

    fn entry(&self, family: Family, vrid: Vrid) -> &AtomicU64 {
        &self.0.mapping.entries()[index(family, vrid)]
    }
}

impl fmt::Debug for Leases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases").finish_non_exhaustive()
    }
}

/// How far CLOCK_BOOTTIME is ahead in the time namespace of this process, in nanoseconds: programs of the kernel read the
/// machine's.
fn clock_offset() -> i64 {
    // Kernels without time namespaces have no such file.
    parse_offset(&fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default()).unwrap_or(0)
}

fn parse_offset(text: &str) -> Option<i64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("boottime"))?;
    let mut numbers = line.split_whitespace().map(str::parse::<i64>);
    let (seconds, nanos) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// As the program finds it: the last but one byte of the address, then the last.
pub(crate) fn index(family: Family, vrid: Vrid) -> usize {
    let block = match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 256,
    };
    block + usize::from(vrid.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_the_clock_is_read_as_the_kernel_writes_it() {
        let text = "monotonic           0         0\nboottime       100000         5\n";
        assert_eq!(parse_offset(text), Some(100_000_000_000_005));
        assert_eq!(parse_offset("boottime -1 999999999"), Some(-1));
        assert_eq!(parse_offset(""), None);
        assert_eq!(parse_offset("boottime x"), None);
    }
}
