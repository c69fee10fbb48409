//! The kernel side: virtual routers as macvlans, addresses, settings and filters.
//!
//! ```text
//! engine --publish--> slot per router --+
//!                                       v
//! netlink ----------> Observed ----> plan() ----> steps ----> netlink, sysctl, nft
//!                                       ^                            |
//!                                       +------- Observed <----------+
//! ```
//!
//! Everything here is state, and reconciled: `reconcile::plan` compares what is wanted with what is there, and the
//! thread called `kernel` does the difference, until there is none. Start, takeover, reload, recovery from a crash and
//! repair of what somebody else deleted are the same path.
//!
//! Ownership is written into the kernel, so that a daemon that was killed finds its own again and leaves the rest alone:
//! see `owner`. Objects that are not ours are never changed, but for three settings of the parent interface, whose
//! originals are kept in the aliases of our macvlans.

mod doorman;
mod fence;
mod filter;
mod following;
mod fuzz;
mod guard;
#[cfg(feature = "model")]
pub mod model;
mod netlink;
mod observed;
mod op;
mod owner;
mod reception;
mod reconcile;
mod standing;
mod sysctl;
mod system;
mod table;
pub(crate) mod watch;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::sys::epoll::Epoll;
use nix::sys::eventfd::{EfdFlags, EventFd};
use vrrp_gate::Gate;
use vrrp_proto::desired::{Desired, Generation, KernelReport, Upkeep};
use vrrp_proto::link::LinkFacts;
use vrrp_proto::types::RouterId;

use crate::heritage::Vault;
use crate::leases::Leases;
use crate::syscall::{KERNEL_PRIORITY, schedule_first};

pub use following::Guest;
pub(crate) use fuzz::fuzz;
pub use owner::OwnerId;

/// What the kernel side says.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An interface that a desired state names is like this; `None`: it does not exist.
    Link {
        /// Its name.
        interface: String,
        /// How it is.
        facts: Option<LinkFacts>,
    },
    /// What became of a desired state.
    Report {
        /// Whose.
        router: RouterId,
        /// Which.
        generation: Generation,
        /// What.
        report: KernelReport,
    },
    /// What stands between an interface and the virtual MAC addresses on it.
    Fence {
        /// Number of the interface.
        index: u32,
        /// Its name.
        interface: String,
        /// Leases, or why there are none; `None` when nothing needs one there any more.
        outcome: Option<Result<Leases, String>>,
    },
    /// Addresses of a router stand on other interfaces than its own: all of them, from now on.
    Guests {
        /// Whose.
        router: RouterId,
        /// Where, and which.
        guests: Vec<Guest>,
    },
    /// Something was mended.
    Upkeep {
        /// Whose.
        router: RouterId,
        /// What.
        upkeep: Upkeep,
    },
}

/// What is to keep virtual MAC addresses off the wire that are not leased.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fencing {
    /// Nothing: nobody would move the leases on.
    Nothing,
    /// The best that there can be.
    Best,
    /// The best without programs of ours in the kernel.
    WithoutPrograms,
}

/// The thread that keeps the kernel as desired.
///
/// Dropping it without [`Kernel::stop`] ends the thread and leaves everything in place, for a successor to adopt.
#[derive(Debug)]
pub struct Kernel {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<Vec<String>>>,
}

/// What a thread begins with that is not the first of its owner, and where it leaves what is to outlive it.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) vault: Vault,
    /// The gates that stand.
    pub(crate) gate: Option<Gate>,
    /// The script of the packet filter that stands, and the chains and sets it made.
    pub(crate) filter: Option<(String, u32)>,
    /// Whether another process was here before this one: nobody waits then for this thread to begin.
    pub(crate) resumed: bool,
}

/// Starts the thread, in the network namespace of the caller.
///
/// Nothing is changed before the first [`Kernel::publish`]. What an earlier life of `owner` left behind and nobody
/// wants is removed shortly after it.
///
/// `notify` is called on that thread and must not block for long. Where there is `fencing`, virtual MAC addresses pass only
/// while the leases are moved on that it is given.
///
/// # Errors
/// Netlink is not available, or the thread cannot be started.
pub fn spawn(
    owner: OwnerId,
    fencing: Fencing,
    notify: Box<dyn Fn(Notice) + Send>,
) -> io::Result<Kernel> {
    begin(owner, fencing, notify, None)
}

/// As [`spawn`], fenced, for a process that is replaced when it dies: a panic of the thread ends it.
pub(crate) fn spawn_with(
    owner: OwnerId,
    notify: Box<dyn Fn(Notice) + Send>,
    estate: Estate,
) -> io::Result<Kernel> {
    begin(owner, Fencing::Best, notify, Some(estate))
}

fn begin(
    owner: OwnerId,
    fencing: Fencing,
    notify: Box<dyn Fn(Notice) + Send>,
    estate: Option<Estate>,
) -> io::Result<Kernel> {
    let mailbox = Arc::new(Mailbox::new()?);
    let orders = Arc::clone(&mailbox);
    let replaceable = estate.is_some();
    let later = estate.as_ref().is_some_and(|estate| estate.resumed);
    let look = move || -> io::Result<Ready> {
        let live = system::Live::open(owner, fencing, estate)?;
        let worker = worker::Worker::new(owner, notify, live, Instant::now())?;
        let bells = worker.bells(&orders)?;
        Ok((worker, bells, orders))
    };
    let work = |looked: io::Result<Ready>| match looked {
        Ok((worker, bells, orders)) => worker.run(&orders, &bells),
        // Nobody waits to hear it.
        Err(error) => panic!("cannot talk to the kernel's routing tables: {error}"),
    };
    let thread = thread::Builder::new().name("kernel".to_owned());
    let thread = if later {
        thread.spawn(move || begin_thread(replaceable, move || work(look())))
    } else {
        let looked = look()?;
        thread.spawn(move || begin_thread(replaceable, move || work(Ok(looked))))
    };
    Ok(Kernel {
        mailbox,
        thread: Some(thread?),
    })
}

/// Who works, what wakes it, and where its orders are.
type Ready = (worker::Worker<system::Live>, Epoll, Arc<Mailbox>);

fn begin_thread(replaceable: bool, work: impl FnOnce() -> Vec<String>) -> Vec<String> {
    let scheduling = schedule_first(KERNEL_PRIORITY);
    tracing::debug!(scheduling = scheduling.name(), "the kernel thread runs");
    if !replaceable {
        return work();
    }
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| std::process::abort())
}

/// Takes the leases of `owner` away that nftables keeps, if any.
///
/// # Errors
/// They are still there, as a sentence.
pub(crate) fn remove_leases(owner: OwnerId) -> Result<(), String> {
    // Without nftables there are none.
    table::Table::open(owner, "").map_or(Ok(()), |mut table| table.remove())
}

impl Kernel {
    /// From now on, `router` wants this; `None`: it is gone and nothing of it may stay.
    ///
    /// Never waits for the kernel. Only the latest state of a router counts; all that were published by the time the
    /// thread wakes are applied together.
    pub fn publish(&self, router: RouterId, desired: Option<Desired>) {
        let first = {
            let mut orders = self.mailbox.orders();
            let first = orders.desired.is_empty();
            orders.desired.insert(router, desired);
            first
        };
        // The thread was called for what is there already, and has not come yet.
        if first {
            self.mailbox.ring();
        }
    }

    /// Removes everything that this daemon made, restores what it changed, and ends the thread.
    ///
    /// Returns what could not be cleaned, as sentences.
    #[must_use]
    pub fn stop(mut self) -> Vec<String> {
        self.end(End::Clean)
    }

    fn end(&mut self, end: End) -> Vec<String> {
        let Some(thread) = self.thread.take() else {
            return Vec::new();
        };
        self.mailbox.orders().end = Some(end);
        self.mailbox.ring();
        thread
            .join()
            .unwrap_or_else(|_| vec!["the kernel thread panicked".to_owned()])
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.end(End::Leave);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// Remove everything.
    Clean,
    /// Leave everything in place.
    Leave,
}

/// What the thread is asked for.
#[derive(Debug, Default)]
struct Orders {
    /// One slot for each router, holding the latest: bounded by the number of routers, whatever the thread waits for.
    desired: BTreeMap<RouterId, Option<Desired>>,
    end: Option<End>,
}

/// Where orders wait.
#[derive(Debug)]
struct Mailbox {
    orders: Mutex<Orders>,
    /// A counter: many rings before the thread wakes are one.
    bell: EventFd,
}

impl Mailbox {
    fn new() -> io::Result<Self> {
        Ok(Self {
            orders: Mutex::new(Orders::default()),
            bell: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
        })
    }

    /// Held for an insertion or an exchange only.
    fn orders(&self) -> MutexGuard<'_, Orders> {
        // A panic while it was held leaves a map that is whole.
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // Fails when the counter is about to overflow: then it was rung already.
        let _ = self.bell.write(1);
    }

    fn take(&self) -> Orders {
        // Empties the counter; it is empty when something else woke the thread.
        let _ = self.bell.read();
        std::mem::take(&mut *self.orders())
    }
}
