//! The thread that keeps the table of leases: whoever lists or changes tables of nftables, in whatever network, may keep its
//! lock for seconds, and neither addresses nor other routers are to wait for that.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::fence::{Duties, Outcome};
use super::table::{Interface, Interfaces, Table};
use super::{End, OwnerId};
use crate::syscall::{KERNEL_PRIORITY, schedule_first};

/// A table of which changes were not told is looked at this often, and what was refused is tried again.
const AUDIT: Duration = Duration::from_secs(1);

/// What is new about which interface.
type News = Vec<(u32, Option<Outcome>)>;

pub(super) struct Doorman {
    shared: Arc<Shared>,
    /// What was ordered last.
    goal: Option<Interfaces>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

struct Shared {
    orders: Mutex<Orders>,
    /// Wakes the thread.
    bell: Arc<EventFd>,
    /// What was not fetched yet: bounded by the number of interfaces that come and go while nobody looks.
    news: Mutex<News>,
    /// Readable while there is news.
    told: EventFd,
}

/// The latest counts.
#[derive(Default)]
struct Orders {
    goal: Option<Interfaces>,
    end: Option<End>,
}

impl Doorman {
    /// In the network namespace of the caller.
    ///
    /// # Errors
    /// There is no nftables here, or no thread, as a sentence.
    pub(super) fn start(owner: OwnerId, why: &str) -> Result<Self, String> {
        let table = Table::open(owner, why)?;
        Self::employ(table).map_err(|error| format!("no thread for nftables: {error}"))
    }

    fn employ(table: Table) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let shared = Arc::new(Shared {
            orders: Mutex::default(),
            bell: Arc::new(EventFd::from_flags(flags)?),
            news: Mutex::default(),
            told: EventFd::from_flags(flags)?,
        });
        let bells = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        bells.add(&*shared.bell, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        bells.add(table.fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("nftables".to_owned())
            .spawn(move || {
                let scheduling = schedule_first(KERNEL_PRIORITY);
                tracing::debug!(scheduling = scheduling.name(), "the nftables thread runs");
                theirs.run(table, &bells)
            })?;
        Ok(Self {
            shared,
            goal: None,
            thread: Some(thread),
        })
    }

    /// What becomes readable when there is news.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.told.as_fd()
    }

    /// Whether there is news.
    pub(super) fn has_news(&self) -> bool {
        let _ = self.shared.told.read();
        !lock(&self.shared.news).is_empty()
    }

    /// From now on, this is to be guarded and, if it is `all` that is wanted, nothing else. What is new about what was
    /// ordered before.
    pub(super) fn order(&mut self, wanted: &Duties, all: bool) -> News {
        if all || !self.covers(wanted) {
            let mut goal = self.goal.take().filter(|_| !all).unwrap_or_default();
            for (index, duty) in wanted {
                if let Some(interface) = Interface::of(duty) {
                    match goal.get_mut(index) {
                        Some(known) => known.extend(interface),
                        None => _ = goal.insert(*index, interface),
                    }
                }
            }
            self.goal = Some(goal.clone());
            lock(&self.shared.orders).goal = Some(goal);
            self.shared.ring();
        }
        mem::take(&mut *lock(&self.shared.news))
    }

    /// Whether all of this was ordered already.
    fn covers(&self, wanted: &Duties) -> bool {
        let known = |index| self.goal.as_ref()?.get(index);
        wanted.iter().all(|(index, duty)| {
            Interface::of(duty)
                .is_none_or(|wanted| known(index).is_some_and(|known| known.covers(&wanted)))
        })
    }

    /// Takes the table away; why it could not be.
    pub(super) fn dismiss(&mut self) -> Result<(), String> {
        self.end(End::Clean)
    }

    fn end(&mut self, end: End) -> Result<(), String> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        lock(&self.shared.orders).end = Some(end);
        self.shared.ring();
        thread
            .join()
            .unwrap_or_else(|_| Err("the nftables thread panicked".to_owned()))
    }
}

impl Drop for Doorman {
    fn drop(&mut self) {
        let _ = self.end(End::Leave);
    }
}

impl Shared {
    fn ring(&self) {
        // Fails when the counter is about to overflow: then it was rung already.
        let _ = self.bell.write(1);
    }

    /// Works until it is told to end; why the table could not be removed, if it was to be.
    fn run(&self, mut table: Table, bells: &Epoll) -> Result<(), String> {
        let mut goal = None;
        let mut audit_at = Instant::now() + AUDIT;
        loop {
            let timeout = audit_at.saturating_duration_since(Instant::now());
            wait(bells, timeout);
            // Empties the counter; it is empty when something else woke the thread.
            let _ = self.bell.read();
            let orders = mem::take(&mut *lock(&self.orders));
            match orders.end {
                Some(End::Clean) => return table.remove(),
                Some(End::Leave) => return Ok(()),
                None => {}
            }
            let ordered = orders.goal.is_some();
            goal = orders.goal.or(goal);
            let audit = Instant::now() >= audit_at;
            if audit {
                audit_at = Instant::now() + AUDIT;
                table.check();
            }
            table.shut();
            let changed = table.listen();
            if let Some(goal) = &goal
                && (changed || ordered || audit || table.is_damaged())
            {
                self.tell(table.settle(goal, &self.bell));
            }
        }
    }

    fn tell(&self, news: News) {
        if !news.is_empty() {
            lock(&self.news).extend(news);
            let _ = self.told.write(1);
        }
    }
}

fn wait(bells: &Epoll, timeout: Duration) {
    // Rounded up: waking too early would spin.
    let millis = u16::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    let mut events = [EpollEvent::empty(); 2];
    if let Err(error) = bells.wait(&mut events, EpollTimeout::from(millis))
        && error != nix::errno::Errno::EINTR
    {
        tracing::warn!(%error, "the nftables thread cannot wait");
        thread::sleep(AUDIT);
    }
}

/// Held for an exchange only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held leaves what is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
