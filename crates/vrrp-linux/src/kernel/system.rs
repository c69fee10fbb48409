//! What the thread asks of the kernel, behind one door: the real one, and models of it.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

use vrrp_proto::types::{Family, Vrid};

use super::fence::{Duties, Fence, Outcome};
use super::following::Picture;
use super::netlink::{Drained, Filters, Monitor, Paths, Refusal, Requests, TableFamily};
use super::observed::{Event, Ipv6Key, Observed};
use super::op::Op;
use super::{Estate, Fencing, OwnerId, filter, sysctl};
use crate::heritage::Vault;
use crate::syscall::{self, KERNEL_PRIORITY};

/// A kernel.
pub(super) trait System {
    /// Makes `observed` all links, addresses and settings as they are.
    fn look(&mut self, observed: &mut Observed) -> io::Result<()>;

    /// Hands over what changed since the last call.
    fn drain(&mut self, each: impl FnMut(Event)) -> io::Result<Drained>;

    /// Does `ops` in order, none of which is [`Op::Ipv6`], and says which were refused.
    ///
    /// # Errors
    /// Nothing is known about the outcome.
    fn run(&mut self, ops: &[&Op]) -> io::Result<Vec<(usize, Refusal)>>;

    /// All routes and rules with this protocol number.
    fn look_following(&mut self, protocol: u8) -> io::Result<Picture>;

    /// Whether somebody else changed any of those since the last call, or may have.
    fn drain_following(&mut self, protocol: u8) -> bool;

    /// Sets `net.ipv6.conf.<link>.<key>`.
    fn set_ipv6(&mut self, link: &str, key: Ipv6Key, value: i32) -> io::Result<()>;

    /// Whether anything concerned the table of `owner` since the last call, or may have.
    fn drain_filters(&mut self, owner: OwnerId) -> bool;

    /// How many chains and sets the table of `owner` holds, `Some(Ok(None))` if it does not exist; `None` where the
    /// kernel has no nftables.
    fn filter_use(&mut self, owner: OwnerId) -> Option<io::Result<Option<u32>>>;

    /// Runs a script of [`filter`].
    fn run_filter(&mut self, script: &str) -> Result<(), String>;

    /// The script by which a process before this one made the table, and how many chains and sets that had then.
    fn inherited_filter(&mut self) -> Option<(String, u32)> {
        None
    }

    /// Leaves that to a process after this one.
    fn leave_filter(&mut self, _script: &str, _uses: u32) {}

    /// Guards and serves what is `wanted` and, if it is `all`, nothing else; what is new about which interface.
    fn fence(&mut self, _wanted: &Duties, _all: bool) -> Vec<(u32, Option<Outcome>)> {
        Vec::new()
    }

    /// Whether the gate on this interface does its work for a router without a macvlan.
    ///
    /// # Errors
    /// Why not.
    fn serves(&self, _index: u32, _router: (Family, Vrid)) -> Result<(), String> {
        Err("there is no gate".to_owned())
    }

    /// Whether the gate on this interface keeps a router that has no lease silent.
    fn guards(&self, _index: u32, _router: (Family, Vrid)) -> bool {
        false
    }

    /// The interfaces whose gate somebody removed, and which have one again, since the last call.
    fn take_mended(&mut self) -> BTreeSet<u32> {
        BTreeSet::new()
    }

    /// Whether a guard may have been taken away since the last call.
    fn drain_fence(&mut self) -> bool {
        false
    }

    /// All guards are to be looked at, also those that were refused.
    fn doubt_fence(&mut self) {}

    /// Takes all guards away; what could not be, as sentences.
    fn unfence(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// The kernel of the calling thread's network namespace.
pub(super) struct Live {
    requests: Requests,
    monitor: Monitor,
    paths: Paths,
    /// `None` where the kernel has no nftables.
    filters: Option<Filters>,
    /// `None` where nobody would move the leases on.
    fence: Option<Fence>,
    vault: Option<Vault>,
    /// What is known of the table that stands.
    inherited: Option<(String, u32)>,
}

impl Live {
    pub(super) fn open(
        owner: OwnerId,
        fencing: Fencing,
        mut estate: Option<Estate>,
    ) -> io::Result<Self> {
        // Listening begins before the first look, so that nothing is missed between them.
        let monitor = Monitor::open()?;
        let paths = Paths::open(owner.route_protocol())?;
        Ok(Self {
            requests: Requests::open()?,
            monitor,
            paths,
            filters: Filters::open().ok(),
            vault: estate.as_ref().map(|estate| estate.vault.clone()),
            inherited: estate.as_mut().and_then(|estate| estate.filter.take()),
            fence: Fence::open(owner, fencing, estate),
        })
    }

    /// What becomes readable when there is something to drain.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let filters = self.filters.as_ref().map(Filters::fd);
        let fence = self.fence.iter().flat_map(Fence::fds);
        [self.monitor.fd(), self.paths.fd()]
            .into_iter()
            .chain(filters)
            .chain(fence)
    }
}

impl System for Live {
    fn look(&mut self, observed: &mut Observed) -> io::Result<()> {
        let links = self.requests.links()?;
        let addresses = self.requests.addresses()?;
        observed.renew(links, addresses, sysctl::rp_filter_all()?);
        Ok(())
    }

    fn drain(&mut self, each: impl FnMut(Event)) -> io::Result<Drained> {
        self.monitor.drain(each)
    }

    fn run(&mut self, ops: &[&Op]) -> io::Result<Vec<(usize, Refusal)>> {
        self.requests.run(ops)
    }

    fn look_following(&mut self, protocol: u8) -> io::Result<Picture> {
        self.paths.look(protocol)
    }

    fn drain_following(&mut self, protocol: u8) -> bool {
        let ours = self.requests.port();
        self.paths.drain(ours, protocol).unwrap_or(true)
    }

    fn set_ipv6(&mut self, link: &str, key: Ipv6Key, value: i32) -> io::Result<()> {
        // The kernel tries again and again while somebody else has its routing lock: with a real-time priority it would keep
        // the processor from that one.
        syscall::as_everybody(KERNEL_PRIORITY, || sysctl::set_ipv6(link, key, value))
    }

    fn drain_filters(&mut self, owner: OwnerId) -> bool {
        let table = owner.table();
        let filters = self.filters.as_mut();
        filters.is_some_and(|filters| filters.drain(&table).unwrap_or(true))
    }

    fn filter_use(&mut self, owner: OwnerId) -> Option<io::Result<Option<u32>>> {
        let table = owner.table();
        Some(self.filters.as_mut()?.table_use(TableFamily::Inet, &table))
    }

    fn run_filter(&mut self, script: &str) -> Result<(), String> {
        filter::run(script)
    }

    fn inherited_filter(&mut self) -> Option<(String, u32)> {
        self.inherited.take()
    }

    fn leave_filter(&mut self, script: &str, uses: u32) {
        if let Some(vault) = &self.vault {
            vault.leave_filter(script, uses);
        }
    }

    fn fence(&mut self, wanted: &Duties, all: bool) -> Vec<(u32, Option<Outcome>)> {
        self.fence
            .as_mut()
            .map(|fence| fence.settle(wanted, all))
            .unwrap_or_default()
    }

    fn serves(&self, index: u32, router: (Family, Vrid)) -> Result<(), String> {
        let fence = self.fence.as_ref().ok_or("there is no gate")?;
        fence.serves(index, router)
    }

    fn guards(&self, index: u32, router: (Family, Vrid)) -> bool {
        let fence = self.fence.as_ref();
        fence.is_some_and(|fence| fence.guards(index, router))
    }

    fn take_mended(&mut self) -> BTreeSet<u32> {
        let fence = self.fence.as_mut();
        fence.map(Fence::take_mended).unwrap_or_default()
    }

    fn drain_fence(&mut self) -> bool {
        self.fence.as_mut().is_some_and(Fence::listen)
    }

    fn doubt_fence(&mut self) {
        if let Some(fence) = &mut self.fence {
            fence.doubt();
        }
    }

    fn unfence(&mut self) -> Vec<String> {
        self.fence.as_mut().map(Fence::remove).unwrap_or_default()
    }
}
