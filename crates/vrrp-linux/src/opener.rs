//! Opens the sockets of interfaces on a thread of its own, because joining a group waits for the kernel's routing lock.
//!
//! The thread stands from the beginning, with a priority: one that was made when it is needed would first have to wait for
//! the processor, behind the thread that makes a thousand links and holds that same lock most of the time.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use vrrp_proto::{Family, LinkId};

use crate::ears::Ear;
use crate::syscall::{KERNEL_PRIORITY, schedule_first};

/// Interfaces that wait for their sockets. One more is told that it has none, and tries again.
const WAITING: usize = 1024;

/// Ahead of the thread that makes links: without sockets they are of no use.
const PRIORITY: i32 = KERNEL_PRIORITY + 1;

/// Sockets that are wanted.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) link: LinkId,
    pub(crate) interface: String,
    /// The interface's number.
    pub(crate) index: u32,
    pub(crate) families: Vec<Family>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) link: LinkId,
    pub(crate) index: u32,
    pub(crate) results: Vec<(Family, io::Result<Ear>)>,
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Opener {
    orders: SyncSender<Order>,
}

impl Opener {
    /// What it has opened goes to `deliver`, on that thread.
    pub(crate) fn start(deliver: impl Fn(Opened) + Send + 'static) -> io::Result<Self> {
        let (orders, inbox) = sync_channel::<Order>(WAITING);
        let work = move || {
            let _ = schedule_first(PRIORITY);
            while let Ok(order) = inbox.recv() {
                deliver(order.carry_out());
            }
        };
        std::thread::Builder::new()
            .name("opener".into())
            .spawn(work)?;
        Ok(Self { orders })
    }

    /// Does not wait. Without room or thread, none could be opened: that is what comes back.
    pub(crate) fn ask(&self, order: Order) -> Result<(), Opened> {
        let (order, why) = match self.orders.try_send(order) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(order)) => (order, "too many interfaces wait for their sockets"),
            Err(TrySendError::Disconnected(order)) => (order, "nobody opens sockets any more"),
        };
        Err(order.answered(|_, _| Err(io::Error::other(why))))
    }
}

impl Order {
    fn carry_out(self) -> Opened {
        let interface = self.interface.clone();
        self.answered(|index, family| Ear::open(&interface, index, family))
    }

    fn answered(self, answer: impl Fn(u32, Family) -> io::Result<Ear>) -> Opened {
        let results = self
            .families
            .into_iter()
            .map(|family| (family, answer(self.index, family)))
            .collect();
        Opened {
            link: self.link,
            index: self.index,
            results,
        }
    }
}
