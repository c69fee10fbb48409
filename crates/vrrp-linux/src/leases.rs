//! The leases of the virtual MAC addresses on one interface, by whatever means they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::eventfd::EventFd;
use vrrp_proto::time::Instant;
use vrrp_proto::types::{Family, MacAddress, Vrid};

/// What keeps the virtual MAC addresses of an interface off the wire when the daemon dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// A program in the data path.
    Ebpf,
    /// A table of nftables.
    Nftables,
}

impl Means {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Nftables => "nftables",
        }
    }
}

/// The leases of one interface. Everything here is a load or a store in memory, from any thread; to close one may ring a
/// bell, which waits for nobody.
///
/// Deadlines are nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug)]
pub enum Leases {
    /// Shared with a program in the kernel, which obeys them.
    Gate(vrrp_gate::Leases),
    /// A copy of what the kernel keeps for itself.
    Table(TableLeases),
}

impl Leases {
    /// By what they are kept.
    #[must_use]
    pub const fn means(&self) -> Means {
        match self {
            Self::Gate(_) => Means::Ebpf,
            Self::Table(_) => Means::Nftables,
        }
    }

    /// Why they are not kept by better means.
    #[must_use]
    pub fn shortcoming(&self) -> Option<&str> {
        match self {
            Self::Gate(_) => None,
            Self::Table(leases) => Some(&leases.0.why),
        }
    }

    /// From now on the address is guarded, and closed until the lease is extended. What is guarded already stays so.
    pub fn guard(&self, family: Family, vrid: Vrid) {
        match self {
            Self::Gate(leases) => leases.guard(family, vrid),
            Self::Table(leases) => leases.guard(family, vrid),
        }
    }

    /// Frames pass until `deadline`. A lease is never shortened by this, and an address that is not guarded stays so.
    /// Whether frames pass until `deadline` at least.
    pub fn extend(&self, family: Family, vrid: Vrid, deadline: u64) -> bool {
        match self {
            Self::Gate(leases) => leases.extend(family, vrid, deadline),
            Self::Table(leases) => leases.extend(family, vrid, deadline),
        }
    }

    /// Nothing is to pass from now on, until the lease is extended again. What is not guarded stays so.
    pub fn close(&self, family: Family, vrid: Vrid) {
        match self {
            Self::Gate(leases) => leases.close(family, vrid),
            Self::Table(leases) => leases.close(family, vrid),
        }
    }

    /// From now on frames leave with the interface's own MAC address, and what comes in passes as before, until the lease is
    /// extended again. A table of nftables cannot do it, and goes on as before.
    pub fn mute(&self, family: Family, vrid: Vrid) {
        if let Self::Gate(leases) = self {
            leases.mute(family, vrid);
        }
    }

    /// As [`Self::mute`], and nothing is said any more of whose the addresses are. Whether that was done: it cannot be by a table
    /// of nftables, and need not be where nothing passes.
    #[must_use]
    pub fn hush(&self, family: Family, vrid: Vrid) -> bool {
        match self {
            Self::Gate(leases) => leases.hush(family, vrid),
            Self::Table(_) => false,
        }
    }

    /// Whether it is muted, or closed.
    #[must_use]
    pub fn is_muted(&self, family: Family, vrid: Vrid) -> bool {
        match self {
            Self::Gate(leases) => leases.is_muted(family, vrid),
            Self::Table(_) => false,
        }
    }

    /// The MAC address of the interface, with which a router speaks that is muted.
    pub fn set_own_mac(&self, mac: MacAddress) {
        if let Self::Gate(leases) = self {
            leases.set_own_mac(mac);
        }
    }

    /// The address is no longer guarded.
    pub fn release(&self, family: Family, vrid: Vrid) {
        match self {
            Self::Gate(leases) => leases.release(family, vrid),
            Self::Table(leases) => leases.release(family, vrid),
        }
    }

    /// Until when frames pass; long past while it is closed, `None` if it is not guarded.
    #[must_use]
    pub fn deadline(&self, family: Family, vrid: Vrid) -> Option<u64> {
        match self {
            Self::Gate(leases) => leases.deadline(family, vrid),
            Self::Table(leases) => leases.deadline(family, vrid),
        }
    }
}

/// Nobody guards this address.
const UNGUARDED: u64 = 0;
/// Nothing passes.
const CLOSED: u64 = 1;
/// Nothing is to pass, and the kernel has not been told.
const CLOSING: u64 = 2;

/// What the engine knows about the leases that a table of nftables keeps.
///
/// The kernel renews them itself, when it sees an advertisement on its way out; so there is nothing to tell it when one is
/// extended. Told it must be of the lease that ends before its time, and when the table is made anew.
#[derive(Clone, Debug)]
pub struct TableLeases(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    entries: [AtomicU64; 512],
    /// Whether any was closed since somebody looked,
    closed: AtomicBool,
    /// and what tells him to.
    bell: Arc<EventFd>,
    /// Why there is no gate.
    why: String,
}

impl TableLeases {
    pub(crate) fn new(why: &str, bell: &Arc<EventFd>) -> Self {
        Self(Arc::new(Shared {
            entries: [const { AtomicU64::new(UNGUARDED) }; 512],
            closed: AtomicBool::new(false),
            bell: Arc::clone(bell),
            why: why.to_owned(),
        }))
    }

    /// Until when frames pass, if they do.
    pub(crate) fn running(&self, family: Family, vrid: Vrid) -> Option<u64> {
        let deadline = self.entry(family, vrid).load(Ordering::Acquire);
        (deadline > CLOSING).then_some(deadline)
    }

    /// Whether any was closed since the last call: those that were are to be taken.
    pub(crate) fn look(&self) -> bool {
        // A load alone for most, which are many.
        self.0.closed.load(Ordering::Acquire) && self.0.closed.swap(false, Ordering::AcqRel)
    }

    /// Whether it was closed since the last call.
    pub(crate) fn take_closing(&self, family: Family, vrid: Vrid) -> bool {
        self.entry(family, vrid)
            .compare_exchange(CLOSING, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// An address that was not guarded is from now on, and leased until `deadline`.
    pub(crate) fn admit(&self, family: Family, vrid: Vrid, deadline: Instant) {
        // One that was has a lease, or none.
        let _ = self.entry(family, vrid).compare_exchange(
            UNGUARDED,
            deadline.as_nanos(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    /// Only what `stays` is guarded from now on.
    pub(crate) fn retain(&self, stays: impl Fn(Family, Vrid) -> bool) {
        for family in [Family::Ipv4, Family::Ipv6] {
            for vrid in (1..=u8::MAX).filter_map(Vrid::new) {
                if !stays(family, vrid) {
                    self.release(family, vrid);
                }
            }
        }
    }

    fn guard(&self, family: Family, vrid: Vrid) {
        // That it was guarded before is no failure.
        let _ = self.entry(family, vrid).compare_exchange(
            UNGUARDED,
            CLOSED,
            Ordering::AcqRel,
            Ordering::Acquire,
        );
    }

    fn extend(&self, family: Family, vrid: Vrid, deadline: u64) -> bool {
        let longer = |current| (current != UNGUARDED && current < deadline).then_some(deadline);
        match self
            .entry(family, vrid)
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, longer)
        {
            Ok(_) => true,
            Err(current) => current >= deadline,
        }
    }

    fn close(&self, family: Family, vrid: Vrid) {
        let guarded = |current| (current > CLOSING).then_some(CLOSING);
        // That it was closed before, or not guarded, is no failure.
        let closed =
            self.entry(family, vrid)
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, guarded);
        if closed.is_ok() {
            self.0.closed.store(true, Ordering::Release);
            // Fails when the counter is about to overflow: then it was rung already.
            let _ = self.0.bell.write(1);
        }
    }

    fn release(&self, family: Family, vrid: Vrid) {
        self.entry(family, vrid).store(UNGUARDED, Ordering::Release);
    }

    fn deadline(&self, family: Family, vrid: Vrid) -> Option<u64> {
        match self.entry(family, vrid).load(Ordering::Acquire) {
            UNGUARDED => None,
            deadline => Some(deadline),
        }
    }

    fn entry(&self, family: Family, vrid: Vrid) -> &AtomicU64 {
        let block = match family {
            Family::Ipv4 => 0,
            Family::Ipv6 => 256,
        };
        &self.0.entries[block + usize::from(vrid.get())]
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::eventfd::EfdFlags;

    use super::*;

    #[test]
    fn a_lease_that_is_closed_is_told_once() {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK).unwrap());
        let leases = TableLeases::new("", &bell);
        let table = Leases::Table(leases.clone());
        let router = (Family::Ipv6, Vrid::new(255).unwrap());
        let extend = |deadline| table.extend(router.0, router.1, deadline);
        let take = || leases.take_closing(router.0, router.1);

        assert!(!extend(100), "it is not guarded");
        assert!(!leases.look());
        assert_eq!(table.deadline(router.0, router.1), None);
        table.close(router.0, router.1);
        assert!(!take());

        table.guard(router.0, router.1);
        assert_eq!(leases.running(router.0, router.1), None);
        table.close(router.0, router.1);
        assert!(!take(), "it was closed already");

        assert!(extend(100) && extend(100) && extend(50));
        table.guard(router.0, router.1);
        assert_eq!(leases.running(router.0, router.1), Some(100));
        assert!(!take());
        table.close(router.0, router.1);
        assert_eq!(leases.running(router.0, router.1), None);
        assert_eq!(bell.read(), Ok(1));
        assert!(leases.look() && !leases.look());
        assert!(take() && !take());

        assert!(extend(200));
        table.close(router.0, router.1);
        assert!(extend(300), "somebody goes on");
        assert!(!take());
        table.release(router.0, router.1);
        assert_eq!(table.deadline(router.0, router.1), None);
        assert_eq!(leases.running(Family::Ipv4, router.1), None);
    }
}
