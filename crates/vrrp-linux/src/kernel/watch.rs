//! The thread that watches for trackers: what the kernel tells of links, addresses, routes and neighbours becomes samples.
//!
//! It has sockets of its own, so that a full table of routes keeps neither the thread called `kernel` nor the engine from
//! anything, and is there only where a tracker needs it.

mod picture;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use tracing::{debug, warn};
use vrrp_proto::{Sample, TrackerKind};

use super::netlink::{Drained, Interest, Listener, Requests, Tiding};
use super::observed::Event;
use crate::syscall::{KERNEL_PRIORITY, schedule_first};
use picture::{Picture, interest};

/// The loss of a carrier is more urgent than the making of links.
const PRIORITY: i32 = KERNEL_PRIORITY + 1;

/// After a failure everything is opened anew, no sooner than this.
const RETRY: Duration = Duration::from_secs(1);

/// Looking at everything again takes no more than this share of the time.
const SHARE: u32 = 10;

/// Trackers by name.
pub(crate) type Watched = Vec<(String, TrackerKind)>;

/// Where samples go. It may wait.
pub(crate) type Deliver = Arc<dyn Fn(Vec<(String, Sample)>) + Send + Sync>;

/// Starts the thread when it is needed first, and ends it when it is dropped.
pub(crate) struct Watch {
    deliver: Deliver,
    thread: Option<Arc<Shared>>,
}

struct Shared {
    wake: EventFd,
    orders: Mutex<Orders>,
}

#[derive(Default)]
struct Orders {
    watched: Option<Watched>,
    end: bool,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Watch({})", self.thread.is_some())
    }
}

impl Watch {
    pub(crate) fn new(deliver: Deliver) -> Self {
        Self {
            deliver,
            thread: None,
        }
    }

    /// Watches these from now on, and says how each of them stands. Does not wait.
    pub(crate) fn want(&mut self, watched: Watched) {
        if self.thread.is_none() && watched.is_empty() {
            return;
        }
        let shared = match &self.thread {
            Some(shared) => Arc::clone(shared),
            None => match start(Arc::clone(&self.deliver)) {
                Ok(shared) => Arc::clone(self.thread.insert(shared)),
                Err(error) => {
                    tracing::error!(%error, "cannot watch for trackers");
                    return;
                }
            },
        };
        shared.tell(|orders| orders.watched = Some(watched));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(shared) = &self.thread {
            shared.tell(|orders| orders.end = true);
        }
    }
}

impl Shared {
    fn tell(&self, change: impl FnOnce(&mut Orders)) {
        change(&mut self.orders.lock().unwrap_or_else(PoisonError::into_inner));
        // Only fails when the counter is at its maximum, and then the thread is awake anyway.
        let _ = self.wake.write(1);
    }
}

fn start(deliver: Deliver) -> io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared {
        wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
        orders: Mutex::default(),
    });
    let own = Arc::clone(&shared);
    let work = move || {
        let _ = schedule_first(PRIORITY);
        Watcher::new(own, deliver).run();
    };
    std::thread::Builder::new()
        .name("trackers".into())
        .spawn(work)?;
    Ok(shared)
}

/// What the thread works with.
struct Watcher {
    shared: Arc<Shared>,
    deliver: Deliver,
    watched: Watched,
    interest: Interest,
    picture: Picture,
    sockets: Option<(Listener, Requests)>,
    /// What was said of each tracker last.
    said: BTreeMap<String, Sample>,
    /// When to look at all routes again, and how long that took the last time.
    look_at: Option<Instant>,
    looked: Duration,
    /// When to open everything anew.
    open_at: Option<Instant>,
}

impl Watcher {
    fn new(shared: Arc<Shared>, deliver: Deliver) -> Self {
        Self {
            shared,
            deliver,
            watched: Watched::new(),
            interest: Interest::default(),
            picture: Picture::default(),
            sockets: None,
            said: BTreeMap::new(),
            look_at: None,
            looked: Duration::ZERO,
            open_at: None,
        }
    }

    fn run(mut self) {
        loop {
            let mut orders = self
                .shared
                .orders
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let (watched, end) = (orders.watched.take(), orders.end);
            drop(orders);
            if end {
                return;
            }
            if let Some(watched) = watched.filter(|watched| *watched != self.watched) {
                self.watched = watched;
                self.said.clear();
                self.open_at = Some(Instant::now());
            }
            if let Err(error) = self.turn() {
                warn!(%error, "trackers cannot hear the kernel; trying again");
                self.open_at = Some(Instant::now() + RETRY);
            }
            self.wait();
        }
    }

    /// Does what is due, and says what has changed.
    fn turn(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.open_at.is_some_and(|at| at <= now) {
            self.open_at = None;
            self.open()?;
        } else {
            self.listen()?;
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at_routes()?;
        }
        self.say();
        Ok(())
    }

    /// Takes everything in anew: first it is listened, then looked.
    fn open(&mut self) -> io::Result<()> {
        self.sockets = None;
        self.picture = Picture::new(self.watched.iter().map(|(_, kind)| kind));
        self.interest = interest(self.watched.iter().map(|(_, kind)| kind));
        if self.watched.is_empty() {
            return Ok(());
        }
        let (listener, mut requests) = (Listener::open(self.interest.clone())?, Requests::open()?);
        requests.be_strict();
        for link in requests.links()? {
            self.picture.hear(Tiding::Event(Event::Link(link)));
        }
        for (link, address) in requests.addresses()? {
            self.picture
                .hear(Tiding::Event(Event::Address(link, address)));
        }
        for neighbour in requests.neighbours(&self.interest)? {
            self.picture.hear(neighbour);
        }
        self.sockets = Some((listener, requests));
        self.look_at_routes()
    }

    fn look_at_routes(&mut self) -> io::Result<()> {
        let Some((_, requests)) = &mut self.sockets else {
            return Ok(());
        };
        let begin = Instant::now();
        self.look_at = None;
        let routes = requests.routes(&self.interest)?;
        self.picture.forget_routes();
        for route in routes {
            self.picture.hear(route);
        }
        self.looked = begin.elapsed();
        debug!(took = ?self.looked, "looked at all routes");
        // What was notified during the look is in both, and harmless to hear of twice.
        Ok(())
    }

    fn listen(&mut self) -> io::Result<()> {
        let Some((listener, _)) = &mut self.sockets else {
            return Ok(());
        };
        let (picture, mut silent) = (&mut self.picture, false);
        let drained = listener.drain(|tiding| silent |= picture.hear(tiding))?;
        if drained == Drained::Lossy {
            debug!("the kernel dropped notifications for trackers; looking at everything");
            self.open_at = Some(Instant::now() + self.looked * SHARE);
        }
        if silent && !self.interest.destinations.is_empty() {
            self.picture.drop_routes_of_downed();
            self.look_at
                .get_or_insert(Instant::now() + self.looked * SHARE);
        }
        Ok(())
    }

    fn say(&mut self) {
        if self.sockets.is_none() {
            return;
        }
        let mut news = Vec::new();
        for (name, kind) in &self.watched {
            let Some(sample) = self.picture.judge(kind) else {
                continue;
            };
            if self.said.get(name) != Some(&sample) {
                self.said.insert(name.clone(), sample.clone());
                news.push((name.clone(), sample));
            }
        }
        if !news.is_empty() {
            (self.deliver)(news);
        }
    }

    fn wait(&self) {
        let now = Instant::now();
        let next = [self.look_at, self.open_at].into_iter().flatten().min();
        let patience = next.map_or(PollTimeout::NONE, |at| {
            // A millisecond too late rather than a round that finds nothing to do.
            let left = at.saturating_duration_since(now).as_millis() + 1;
            let left = if at <= now { 0 } else { left };
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        let listener = self.sockets.as_ref().map(|(listener, _)| listener.fd());
        let fds = [Some(std::os::fd::AsFd::as_fd(&self.shared.wake)), listener];
        let mut fds: Vec<_> = fds
            .into_iter()
            .flatten()
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        if let Err(error) = poll(&mut fds, patience)
            && error != nix::errno::Errno::EINTR
        {
            // Nothing that waiting again could mend, and spinning would starve the machine.
            std::thread::sleep(RETRY);
        }
        let _ = self.shared.wake.read();
    }
}
