//! The engine's own thread: sockets and timers in, packets out, and nothing that could make it wait.
//!
//! ```text
//!   protocol sockets --+                      +--> frames (now)
//!   mailbox (eventfd) -+--> Engine (pure) ----+--> desired state --> kernel thread (latest value counts)
//!   timerfd -----------+                      +--> events ---------> office (bounded; counted when it overflows)
//! ```
//!
//! One turn of the loop: wait; drain the sockets, a bounded number of datagrams each; drain the mailbox; then run the
//! timers. Sockets come before timers: after a stall, the advertisements already queued prove that the Active was
//! alive, or that somebody has replaced us. The kernel backend may wait for the kernel's locks for as long as it must;
//! this thread only leaves it notes.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use thiserror::Error;
use vrrp_gate::Gate;
use vrrp_proto::engine::Timer;
use vrrp_proto::{
    Announce, Datagram, Denial, Engine, Event, Family, Gather, Happening, Input, Instant,
    LinkFacts, LinkId, Output, Plan, RouterId, Sample, Tracker, Transmit, Wakeup,
};

use crate::bfd::{self, Bfd, SessionReport};
use crate::clock;
use crate::ears::{Ears, Source, bury};
use crate::fences::Fences;
use crate::frame;
use crate::held::Held;
use crate::heritage::{Heritage, Legacy, Vault};
use crate::kernel::watch::Watch;
use crate::kernel::{Estate, Fencing, Guest, Kernel, Notice, OwnerId};
use crate::lateness::{Lateness, LatenessReport};
use crate::leases::{Leases, Means};
use crate::opener::{Opened, Opener, Order};
use crate::outbox::{Outbox, Sign};
use crate::partings::Partings;
use crate::socket::{self, FrameSocket};
use crate::syscall::{self, Batch, Scheduling};

/// Batches of datagrams read from one socket in one turn. A flood on one interface then cannot keep the timers or the
/// other interfaces waiting; what is left stays in the socket's queue.
const BATCHES_A_TURN: usize = 4;

/// While packets keep coming, sockets are read at most this often: a flood then comes in batches instead of waking the
/// thread for each packet. Timers are not kept waiting. Timers are run at most this often as well: with hundreds of
/// routers, what is due together leaves together, and no later than this,
const BREATH: Duration = Duration::from_micros(250);

/// or than this share of the interval, if that is longer, for what is no less regular when each comes as late as the last:
const ADVERTISEMENTS_TOGETHER: u32 = 100;

/// but never later than this: another router's time to take over may come right behind.
const LONGEST_BREATH: Duration = Duration::from_millis(1);

/// Mail to the engine. When it is full the sender waits: the kernel thread and the office can, the engine never does.
const MAILBOX: usize = 1024;

/// That the engine runs late is logged at most this often; every time is counted.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// A socket that could not be opened is tried again this often.
const RETRY: Duration = Duration::from_secs(1);

/// The engine is told no more often what the clock of the wall says.
const WALL: Duration = Duration::from_secs(1);

/// What was sent no longer ago than this was sent just now.
const FRESH: Duration = Duration::from_millis(5);

/// For the moment after an advertisement, whoever is to take our place waits no longer than this.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Whoever made way should be dead long before.
const NEVER: Duration = Duration::from_secs(60);

const WAKE_MAILBOX: u64 = 0;
const WAKE_TIMER: u64 = 1;
const WAKE_SOCKETS: u64 = 2;

/// Why the engine's thread could not begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The packet socket for sending.
    #[error("cannot open a packet socket; vrrpd needs CAP_NET_RAW")]
    FrameSocket(#[source] io::Error),
    /// The netlink side.
    #[error("cannot talk to the kernel's routing tables; vrrpd needs CAP_NET_ADMIN")]
    Kernel(#[source] io::Error),
    /// Timer, event or thread.
    #[error("cannot set up the engine's thread")]
    Thread(#[source] io::Error),
}

/// News from the engine.
#[derive(Debug)]
pub struct News {
    /// When, by the wall clock.
    pub at: SystemTime,
    /// What.
    pub event: Event,
}

/// Where news goes. Called on the engine's thread: it must not wait. `false` means that the news was lost.
pub type NewsSink = Box<dyn FnMut(News) -> bool + Send>;

/// Says that everything is written down and nothing more will be done; whether somebody has heard it, and will end this
/// process.
pub type Farewell = Box<dyn FnOnce() -> bool + Send>;

/// Work on the engine's thread.
type Inspection = Box<dyn FnOnce(&mut Engine, Instant) + Send>;

/// What to ask of which router, at the moment when the engine hears of it.
pub type Orders = Box<dyn FnOnce(Instant) -> Vec<(String, vrrp_proto::Order)> + Send>;

/// What became of each.
type Outcomes = Vec<Result<Instant, Denial>>;

/// The mailbox has room for many of them from the beginning, so what is large is boxed.
enum Mail {
    Notice(Box<Notice>),
    Opened(Box<Opened>),
    Inspect(Inspection),
    Reload(Arc<Plan>),
    Samples(Vec<(String, Sample)>),
    Prepared(String, Option<u64>),
    Bfd(Vec<bfd::News>),
    Operate(Orders, SyncSender<Outcomes>),
    StepAside(Duration, Farewell),
    Shutdown,
}

/// A running engine. Must be stopped; dropping it leaves everything as it is.
#[derive(Debug)]
pub struct Driver {
    handle: Handle,
    thread: JoinHandle<Option<Kernel>>,
}

/// Talks to a running engine from any thread.
#[derive(Clone, Debug)]
pub struct Handle {
    mail: Post,
    scheduling: Scheduling,
    memory_locked: bool,
    lost: Arc<AtomicU64>,
    lateness: Arc<Lateness>,
    protection: Arc<Mutex<BTreeMap<String, Protection>>>,
    sessions: bfd::Board,
    /// However many want to look at the engine, it is shown to one of them in a turn.
    inspecting: Arc<Mutex<()>>,
}

/// What keeps the virtual MAC addresses of an interface off the wire when the daemon dies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// By what means; `None`: nothing does.
    pub means: Option<Means>,
    /// Why there is nothing better.
    pub why: Option<String>,
}

/// The sending side of the mailbox.
#[derive(Clone, Debug)]
struct Post {
    sender: SyncSender<Mail>,
    wake: Arc<EventFd>,
}

impl Post {
    /// Waits while the mailbox is full. Mail to an engine that has stopped is dropped.
    fn send(&self, mail: Mail) {
        if self.sender.send(mail).is_ok() {
            // Only fails when the counter is at its maximum, and then the engine is awake anyway.
            let _ = self.wake.write(1);
        }
    }
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Notice(_) => "Notice",
            Self::Opened(_) => "Opened",
            Self::Inspect(_) => "Inspect",
            Self::Reload(_) => "Reload",
            Self::Samples(_) => "Samples",
            Self::Prepared(..) => "Prepared",
            Self::Bfd(_) => "Bfd",
            Self::Operate(..) => "Operate",
            Self::StepAside(..) => "StepAside",
            Self::Shutdown => "Shutdown",
        })
    }
}

impl Driver {
    /// Runs `plan` in the calling thread's network namespace. With a `heritage` that is a resumption, `plan` is not looked
    /// at: what the last process ran goes on where that died. Otherwise `orders` are given before anything else happens.
    ///
    /// # Errors
    /// When a privilege or resource is missing. Interfaces that do not exist are no error: they may come.
    pub fn start(
        plan: &Plan,
        owner: OwnerId,
        news: NewsSink,
        mut heritage: Option<Heritage>,
        orders: Orders,
    ) -> Result<Self, StartError> {
        let now = clock::now();
        let lateness = Arc::new(Lateness::default());
        let inherited = heritage.as_mut().and_then(|heritage| heritage.engine(now));
        let resumed = inherited.is_some();
        let frames = match &mut heritage {
            Some(heritage) => heritage.frames(),
            None => FrameSocket::open(),
        }
        .map_err(StartError::FrameSocket)?;
        let (sender, receiver) = sync_channel(MAILBOX);
        let thread_error = |error: nix::errno::Errno| StartError::Thread(error.into());
        let wake = Arc::new(
            EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
                .map_err(thread_error)?,
        );
        let mail = Post {
            sender,
            wake: Arc::clone(&wake),
        };
        let mut fences = Fences::default();
        let notify = mail.clone();
        let notify = Box::new(move |notice| notify.send(Mail::Notice(Box::new(notice))));
        let kernel = match &mut heritage {
            Some(heritage) => {
                let gate = heritage.gate(owner);
                for index in gate.iter().flat_map(Gate::links) {
                    let leases = gate.as_ref().and_then(|gate| gate.leases(index));
                    leases
                        .into_iter()
                        .for_each(|leases| fences.inherit(index, Leases::Gate(leases)));
                }
                lateness.recount(&heritage.lateness());
                let estate = Estate {
                    vault: Vault::new(heritage.store().clone()),
                    gate,
                    filter: heritage.filter(),
                    resumed,
                };
                crate::kernel::spawn_with(owner, notify, estate)
            }
            None => crate::kernel::spawn(owner, Fencing::Best, notify),
        }
        .map_err(StartError::Kernel)?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(thread_error)?;
        let timer = TimerFd::new(
            ClockId::CLOCK_BOOTTIME,
            TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC,
        )
        .map_err(thread_error)?;
        epoll
            .add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE_MAILBOX))
            .map_err(thread_error)?;
        epoll
            .add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, WAKE_TIMER))
            .map_err(thread_error)?;
        let lost = Arc::new(AtomicU64::new(0));
        let protection = Arc::new(Mutex::new(BTreeMap::new()));
        let estate = heritage.as_mut().map(Heritage::bfd);
        let (legacy, heirlooms) = heritage.map(Heritage::settle).unzip();
        let opener = {
            let post = mail.clone();
            Opener::start(move |opened| post.send(Mail::Opened(Box::new(opened))))
        }
        .map_err(StartError::Thread)?;
        let post = mail.clone();
        let watch = Watch::new(Arc::new(move |samples| post.send(Mail::Samples(samples))));
        let sessions = bfd::Board::default();
        let post = mail.clone();
        let deliver = Arc::new(move |news| post.send(Mail::Bfd(news)));
        let bfd = Bfd::new(deliver, Arc::clone(&sessions), estate);
        let mut turn = Turn {
            engine: inherited.unwrap_or_else(|| Engine::new(plan, now)),
            kernel: Some(kernel),
            leaving: None,
            sent: Instant::ZERO,
            outbox: Outbox::new(frames),
            held: Held::default(),
            partings: Partings::default(),
            hearing: false,
            ears: Ears::new(WAKE_SOCKETS, heirlooms),
            opener,
            watch,
            bfd,
            legacy,
            deaf: false,
            retry_at: Instant::ZERO,
            walled: Instant::ZERO,
            waiting: BTreeMap::new(),
            macs: BTreeMap::new(),
            guests: BTreeMap::new(),
            fences,
            protection: Arc::clone(&protection),
            failing: BTreeMap::new(),
            news,
            lost: Arc::clone(&lost),
            lateness: Arc::clone(&lateness),
            complained: None,
            epoll,
            timer,
            armed: None,
            ran: Instant::ZERO,
            wake,
            inbox: receiver,
            batch: Batch::default(),
            reads: [Instant::ZERO, Instant::from_nanos(u64::MAX / 2)],
            packet_id: 0,
        };
        turn.engine.count_from(beginning());
        turn.set_wall();
        if resumed {
            turn.inherit();
        }
        let (told, scheduling) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("engine".into())
            .spawn(move || {
                let _ = told.send(syscall::schedule_engine());
                let orders = (!resumed).then_some(orders);
                // A fault in here must not leave addresses behind: the news ends, the daemon sees that and cleans up.
                if catch_unwind(AssertUnwindSafe(|| turn.run(orders))).is_err() {
                    tracing::error!("the engine has panicked");
                    if turn.legacy.is_some() {
                        // The next process goes on where this one was; to clean up would only be in its way.
                        std::process::abort();
                    }
                }
                let kernel = turn.kernel.take();
                // Closing sockets waits for the kernel, and the clean-up that comes next need not wait for that.
                bury(turn);
                kernel
            })
            .map_err(StartError::Thread)?;
        let scheduling = scheduling.recv().unwrap_or(Scheduling::Normal);
        let memory_locked = syscall::lock_memory();
        Ok(Self {
            handle: Handle {
                mail,
                scheduling,
                memory_locked,
                lost,
                lateness,
                protection,
                sessions,
                inspecting: Arc::default(),
            },
            thread,
        })
    }

    /// To talk to it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Releases all routers, waits until their successors are heard or have had the time for it (little more than one
    /// interval, or until [`Handle::hurry`]), then removes everything they had in the kernel. Returns what could not be
    /// removed.
    pub fn stop(self) -> Vec<String> {
        self.handle.mail.send(Mail::Shutdown);
        match self.thread.join() {
            Ok(Some(kernel)) => kernel.stop(),
            Ok(None) | Err(_) => {
                vec!["the engine's thread is lost; its addresses may still be there".into()]
            }
        }
    }
}

impl Handle {
    /// Calls `inspect` on the engine's thread and returns what it returns; `None` when the engine has stopped.
    pub fn inspect<T: Send + 'static>(
        &self,
        inspect: impl FnOnce(&mut Engine, Instant) -> T + Send + 'static,
    ) -> Option<T> {
        let _turn = self.inspecting.lock();
        let (answer, answered) = sync_channel(1);
        self.mail.send(Mail::Inspect(Box::new(move |engine, now| {
            let _ = answer.send(inspect(engine, now));
        })));
        answered.recv().ok()
    }

    /// Changes to another plan.
    pub fn reload(&self, plan: Arc<Plan>) {
        self.mail.send(Mail::Reload(plan));
    }

    /// Tells what was found of trackers, by name. Samples of the kernel's own come by themselves.
    pub fn samples(&self, samples: Vec<(String, Sample)>) {
        self.mail.send(Mail::Samples(samples));
    }

    /// The hooks that `router` waits for before its addresses go live are done; `number` says which time that is.
    pub fn prepared(&self, router: String, number: Option<u64>) {
        self.mail.send(Mail::Prepared(router, number));
    }

    /// Gives orders, all at one moment: when each began, or why it was refused, in their order. `None` when the engine has
    /// stopped.
    pub fn operate(
        &self,
        orders: impl FnOnce(Instant) -> Vec<(String, vrrp_proto::Order)> + Send + 'static,
    ) -> Option<Vec<Result<Instant, Denial>>> {
        let (answer, answered) = sync_channel(1);
        self.mail.send(Mail::Operate(Box::new(orders), answer));
        answered.recv().ok()
    }

    /// Makes way for another process, which goes on where this one is, and takes as long as `change` for that: at the next
    /// moment when nothing is due for so long, or when everything has just been sent, everything is written down,
    /// `farewell` is called on the engine's thread, and if that says so, nothing is done there any more, by a process whose
    /// end is near. Without a heritage, nothing happens.
    pub fn step_aside(&self, change: Duration, farewell: Farewell) {
        self.mail.send(Mail::StepAside(change, farewell));
    }

    /// A [`Driver::stop`] that waits for successors waits no longer.
    pub fn hurry(&self) {
        self.mail.send(Mail::Shutdown);
    }

    /// How the BFD sessions of trackers stand, by the names of those.
    #[must_use]
    pub fn sessions(&self) -> BTreeMap<String, SessionReport> {
        let sessions = self.sessions.lock();
        sessions.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the engine's thread is scheduled.
    #[must_use]
    pub const fn scheduling(&self) -> Scheduling {
        self.scheduling
    }

    /// Whether the process's memory is kept from being paged out.
    #[must_use]
    pub const fn memory_locked(&self) -> bool {
        self.memory_locked
    }

    /// How late the engine's timers have run.
    #[must_use]
    pub fn lateness(&self) -> LatenessReport {
        self.lateness.report()
    }

    /// What keeps the virtual MAC addresses of each interface off the wire when this daemon dies, by the interface's name.
    #[must_use]
    pub fn protection(&self) -> BTreeMap<String, Protection> {
        let protection = self.protection.lock();
        protection.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// News that the sink could not take.
    #[must_use]
    pub fn news_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Everything the loop works with.
struct Turn {
    engine: Engine,
    /// Taken at the end.
    kernel: Option<Kernel>,
    /// Whether another process is to go on: since when, and how long that takes.
    leaving: Option<(Instant, Duration, Farewell)>,
    /// When something was sent last.
    sent: Instant,
    outbox: Outbox,
    held: Held,
    partings: Partings,
    /// What the engine wants is because of what was heard.
    hearing: bool,
    ears: Ears,
    opener: Opener,
    watch: Watch,
    bfd: Bfd,
    /// What is left to a successor, if there will be one.
    legacy: Option<Legacy>,
    /// Whether something that a router needs to hear cannot be heard, and when to try again.
    deaf: bool,
    retry_at: Instant,
    /// When the engine was told what the clock of the wall says.
    walled: Instant,
    /// Interfaces the engine has not been told about yet, because their sockets are being opened.
    waiting: BTreeMap<LinkId, LinkFacts>,
    macs: BTreeMap<LinkId, (u32, vrrp_proto::MacAddress)>,
    /// Addresses of routers that stand on other interfaces now.
    guests: BTreeMap<RouterId, Vec<Guest>>,
    fences: Fences,
    protection: Arc<Mutex<BTreeMap<String, Protection>>>,
    /// Interfaces on which sending fails at present, so that it is said once.
    failing: BTreeMap<LinkId, io::ErrorKind>,
    news: NewsSink,
    lost: Arc<AtomicU64>,
    lateness: Arc<Lateness>,
    /// When it was last said that the engine is late.
    complained: Option<Instant>,
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Instant>,
    /// When timers were last due.
    ran: Instant,
    wake: Arc<EventFd>,
    inbox: Receiver<Mail>,
    batch: Batch,
    /// When sockets were read last, and the time before that.
    reads: [Instant; 2],
    packet_id: u16,
}

impl Turn {
    /// Takes the place of the process that had this engine: with its sockets, on the interfaces it knew.
    fn inherit(&mut self) {
        let links = self.links();
        for &link in &links {
            if let Some(facts) = self.engine.link(link) {
                self.macs.insert(link, (facts.index, facts.mac));
                self.fences.set_own_mac(facts.index, facts.mac);
                self.ears.inherit(link, facts.index, &self.epoll);
            }
        }
        self.ears.disclaim();
        self.heed(&links);
    }

    /// Runs until told to stop. The kernel backend has then not been told anything about the end yet.
    fn run(&mut self, orders: Option<Orders>) {
        self.drain();
        match orders {
            // Before it knows of the first interface.
            Some(orders) => {
                self.operate(orders);
            }
            // Before anything else happens, it must be known who is too late, and what is due must leave.
            None => {
                self.run_timers();
                self.drain();
            }
        }
        self.watch_for_trackers();
        let mut events = [EpollEvent::empty(); 64];
        loop {
            self.breathe();
            self.arm();
            let patience = self.patience();
            let count = match self.epoll.wait(&mut events, patience) {
                Ok(count) => count,
                Err(nix::errno::Errno::EINTR) => 0,
                Err(error) => {
                    // Nothing that waiting again could mend, and spinning would starve the machine.
                    tracing::error!(%error, "the engine cannot wait for events");
                    std::thread::sleep(Duration::from_millis(10));
                    0
                }
            };
            if self.deaf && self.retry_at <= clock::now() {
                self.retry_at = clock::now() + RETRY;
                self.open_again();
            }
            let ready = &events[..count];
            let sockets = || ready.iter().filter(|event| event.data() >= WAKE_SOCKETS);
            if sockets().next().is_some() {
                self.reads = [self.reads[1], clock::now()];
            }
            for event in sockets() {
                self.read_socket(event.data());
            }
            if ready.iter().any(|event| event.data() == WAKE_MAILBOX) && self.read_mail() {
                return;
            }
            if ready.iter().any(|event| event.data() == WAKE_TIMER) {
                // Setting it again makes it unreadable; to read it as well would be one system call more.
                self.armed = None;
            }
            if self.walled + WALL <= clock::now() {
                self.set_wall();
            }
            self.run_timers();
            if self.engine.is_stopped() && self.partings.due().is_none() {
                return;
            }
            if let Some(legacy) = &mut self.legacy {
                legacy.keep(clock::now(), &self.engine, &self.lateness);
            }
            self.step_aside();
        }
    }

    /// Tells what the clock of the wall says: it may have been set meanwhile.
    fn set_wall(&mut self) {
        self.walled = clock::now();
        self.engine.set_wall(self.walled, clock::wall());
    }

    /// Makes way for another process, if that was asked for and the moment is good.
    fn step_aside(&mut self) {
        let Some((asked, change, _)) = self.leaving else {
            return;
        };
        let now = clock::now();
        let next = self.engine.poll_timeout().map(|wakeup| wakeup.at);
        let good = next.is_none_or(|next| next >= now + change)
            || self.sent + FRESH >= now
            || now >= asked + LONGEST_WAIT;
        if !good || self.held.due().is_some() || self.partings.due().is_some() {
            return;
        }
        let (Some((.., farewell)), Some(legacy)) = (self.leaving.take(), &mut self.legacy) else {
            return;
        };
        if !legacy.finish(now, &self.engine, &self.lateness) {
            tracing::error!(
                "this process stays: there is no memory for what another one would go on from"
            );
            return;
        }
        if farewell() {
            // Whoever has heard it ends us; if not, what others do for a process that hangs is right for this one.
            std::thread::sleep(NEVER);
            std::process::abort();
        }
    }

    /// How long to wait when neither sockets nor mail nor timers have anything to do.
    fn patience(&self) -> EpollTimeout {
        if self.legacy.as_ref().is_some_and(Legacy::is_behind) {
            return EpollTimeout::ZERO;
        }
        let retry = self.deaf.then_some(RETRY);
        retry.map_or(EpollTimeout::NONE, |retry| {
            retry.try_into().unwrap_or(EpollTimeout::NONE)
        })
    }

    /// Waits a little where packets come faster than they should be looked at.
    fn breathe(&mut self) {
        let [before, last] = self.reads;
        if last.saturating_since(before) >= BREATH {
            return;
        }
        let timer = self.engine.poll_timeout().map(|wakeup| wakeup.at);
        let until = (last + BREATH).min(timer.unwrap_or(last + BREATH));
        let pause = until.saturating_since(clock::now());
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }

    fn read_socket(&mut self, token: u64) {
        match self.ears.source(token) {
            Some(Source::Protocol(link, family)) => self.read_advertisements(link, family),
            Some(Source::Claims(link, family)) => self.read_claims(link, family),
            None => {}
        }
    }

    fn read_advertisements(&mut self, link: LinkId, family: Family) {
        for _ in 0..BATCHES_A_TURN {
            let Some(ear) = self.ears.get(link, family) else {
                return;
            };
            let count = match ear.protocol.receive(&mut self.batch) {
                Ok(count) => count,
                Err(error) => {
                    // Its interface is going away, and netlink will say so. A socket's error is cleared by reporting it.
                    tracing::debug!(%error, "receiving failed");
                    return;
                }
            };
            let now = clock::now();
            for slot in 0..count {
                if let Some((envelope, message)) = socket::datagram(&self.batch, slot, family) {
                    let datagram = Datagram {
                        link,
                        envelope,
                        message,
                    };
                    self.engine.handle(now, Input::Datagram(datagram));
                    self.hearing = true;
                    self.drain();
                    self.hearing = false;
                }
            }
            self.send();
            if count < Batch::SIZE {
                return;
            }
        }
    }

    /// One batch a turn: a flood of claims says nothing that one does not.
    fn read_claims(&mut self, link: LinkId, family: Family) {
        let claims = self
            .ears
            .get(link, family)
            .and_then(|ear| ear.claims.as_ref());
        let Some(count) = claims.and_then(|claims| claims.receive(&mut self.batch).ok()) else {
            return;
        };
        let now = clock::now();
        for slot in 0..count {
            let claims = self
                .ears
                .get(link, family)
                .and_then(|ear| ear.claims.as_ref());
            if let Some((address, mac)) = claims.and_then(|claims| claims.claim(&self.batch, slot))
            {
                self.engine.handle(now, Input::Claim { link, address, mac });
                self.drain();
            }
        }
        self.send();
    }

    /// What the kernel side says.
    fn notice(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Link { interface, facts } => self.link_notice(&interface, facts),
            Notice::Report {
                router,
                generation,
                report,
            } => {
                self.note_change(Some(router));
                if self.held.is_answered(router, generation) {
                    self.send_held(router);
                }
                self.engine.handle(
                    now,
                    Input::Kernel {
                        router,
                        generation,
                        report: &report,
                    },
                );
                self.drain();
            }
            Notice::Fence {
                index,
                interface,
                outcome,
            } => self.fence_notice(now, index, interface, outcome),
            Notice::Guests { router, guests } => self.guests_notice(router, guests),
            Notice::Upkeep { router, upkeep } => {
                self.note_change(Some(router));
                self.engine.handle(
                    now,
                    Input::Upkeep {
                        router,
                        upkeep: &upkeep,
                    },
                );
                self.drain();
            }
        }
    }

    /// Handles all mail; whether it was the last.
    fn read_mail(&mut self) -> bool {
        let _ = self.wake.read();
        // Bounded: more mail than fits the box at once waits for the next turn.
        for _ in 0..MAILBOX {
            let Ok(mail) = self.inbox.try_recv() else {
                self.send();
                return false;
            };
            let now = clock::now();
            match mail {
                Mail::Notice(notice) => self.notice(now, *notice),
                Mail::Opened(opened) => self.opened(*opened),
                Mail::Inspect(inspect) => inspect(&mut self.engine, now),
                Mail::Reload(plan) => {
                    self.note_change(None);
                    self.engine.handle(now, Input::Reload(&plan));
                    self.drain();
                    self.watch_for_trackers();
                    self.heed(&self.links());
                }
                Mail::Samples(samples) => self.take_samples(now, &samples),
                Mail::Prepared(router, number) => {
                    let router = &router;
                    self.engine.handle(now, Input::Prepared { router, number });
                    self.drain();
                }
                Mail::Bfd(news) => self.take_news(now, &news),
                Mail::Operate(orders, answer) => {
                    let _ = answer.send(self.operate(orders));
                }
                Mail::StepAside(change, farewell) => {
                    self.leaving = Some((now, change, farewell));
                }
                Mail::Shutdown => {
                    self.note_changes();
                    // While routers wait for their successors, peers are told that it is no failure.
                    self.bfd.want(Vec::new());
                    self.engine.handle(now, Input::Shutdown);
                    if self.engine.is_stopped() {
                        // The kernel is told once, by the stop that follows, and removes everything in one go.
                        while let Some((router, desired)) = self.partings.next() {
                            self.fences.desired(router, desired.as_ref());
                        }
                        self.drain_with(|_, _, _| {});
                        self.send();
                        return true;
                    }
                    self.drain();
                }
            }
        }
        self.send();
        let _ = self.wake.write(1);
        false
    }

    fn take_samples(&mut self, now: Instant, samples: &[(String, Sample)]) {
        for (tracker, sample) in samples {
            self.engine.handle(now, Input::Sample { tracker, sample });
            self.drain();
        }
    }

    /// What happened to BFD sessions.
    fn take_news(&mut self, now: Instant, news: &[bfd::News]) {
        for news in news {
            let input = match news {
                bfd::News::Sample(tracker, sample) => Input::Sample { tracker, sample },
                bfd::News::Lost(tracker, detail) => Input::PeerLost { tracker, detail },
            };
            self.engine.handle(now, input);
            self.drain();
        }
    }

    /// What the kernel can tell of trackers is asked of it, and BFD is spoken with peers.
    fn watch_for_trackers(&mut self) {
        let trackers = self.engine.trackers().iter().map(Tracker::plan);
        let sessions = trackers.filter_map(bfd::Wanted::of);
        self.bfd.want(sessions.collect());
        let trackers = self.engine.trackers().iter().map(Tracker::plan);
        let kernel = trackers.filter(|plan| plan.kind.is_kernel());
        let watched = kernel.map(|plan| (plan.name.clone(), plan.kind.clone()));
        self.watch.want(watched.collect());
    }

    fn operate(&mut self, orders: Orders) -> Outcomes {
        let now = clock::now();
        let mut outcomes = Outcomes::new();
        for (router, order) in orders(now) {
            let outcome = self.engine.operate(now, &router, order);
            if let Ok(id) = outcome {
                self.note_change(Some(id));
            }
            self.drain();
            outcomes.push(outcome.map(|_| now));
        }
        outcomes
    }

    fn run_timers(&mut self) {
        let now = clock::now();
        while let Some(transmit) = self.held.overdue(now) {
            self.transmit(&transmit);
            self.held.sent(now, transmit);
        }
        while let Some((router, desired)) = self.partings.overdue(now) {
            self.fences.desired(router, desired.as_ref());
            if let Some(kernel) = &self.kernel {
                kernel.publish(router, desired);
            }
        }
        let mut first = true;
        while let Some(wakeup) = self.engine.poll_timeout()
            && wakeup.at <= now
        {
            let late = now.saturating_since(wakeup.at);
            // The first one is the latest of this turn, and counts for all of them.
            let beyond = std::mem::take(&mut first) && late > wakeup.interval;
            self.lateness.note(late, beyond);
            if beyond {
                self.complain(now, late);
            }
            self.ran = now;
            self.engine.handle_timeout(now);
            self.drain();
        }
        self.send();
    }

    fn complain(&mut self, now: Instant, late: Duration) {
        if self.complained.is_none_or(|at| now >= at + COMPLAINTS) {
            self.complained = Some(now);
            tracing::warn!(
                "the engine ran {} ms late, more than an advertisement interval: this machine is too busy, or stood still",
                late.as_millis()
            );
        }
    }

    fn arm(&mut self) {
        let due = self.engine.poll_timeout();
        let at = due.map(|wakeup| wakeup.at.max(self.ran + breath(&wakeup)));
        let at = [at, self.held.due(), self.partings.due()];
        let at = at.into_iter().flatten().min();
        if at.is_some() && at == self.armed {
            return;
        }
        let result = match at {
            // Zero would disarm the timer.
            Some(at) => {
                let spec = TimeSpec::from_duration(Duration::from_nanos(at.as_nanos().max(1)));
                self.timer.set(
                    Expiration::OneShot(spec),
                    TimerSetTimeFlags::TFD_TIMER_ABSTIME,
                )
            }
            None => self.timer.unset(),
        };
        match result {
            Ok(()) => self.armed = at,
            Err(error) => tracing::error!(%error, "cannot set the engine's timer"),
        }
    }

    fn drain(&mut self) {
        self.drain_with(|kernel, router, desired| kernel.publish(router, desired));
    }

    fn drain_with(&mut self, publish: impl Fn(&Kernel, RouterId, Option<vrrp_proto::Desired>)) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) if self.can_wait(&transmit) => {
                    self.held.put(clock::now(), transmit);
                }
                Output::Transmit(transmit) => {
                    self.send_held(transmit.router);
                    self.transmit(&transmit);
                }
                Output::Announce(announce) => {
                    self.note_change(Some(announce.router));
                    self.announce(&announce);
                }
                Output::Desired(router, desired) => {
                    self.note_change(Some(router));
                    self.partings.forget(router);
                    if !desired.as_ref().is_some_and(|desired| desired.active) {
                        // What a router said before it gave up must still pass; what it did not say yet is void.
                        self.send();
                        self.held.forget(router);
                        if self.hearing && self.fences.hush(router) {
                            self.partings.put(clock::now(), router, desired);
                            continue;
                        }
                    }
                    if let Some(desired) = &desired {
                        self.held.expect(router, desired.generation);
                    }
                    self.fences.desired(router, desired.as_ref());
                    if let Some(kernel) = &self.kernel {
                        publish(kernel, router, desired);
                    }
                }
                Output::Event(event) => {
                    self.note_change(event.router);
                    if matches!(event.happening, Happening::Adjusted { .. }) {
                        // The tracker has measured something else.
                        self.note_change(None);
                    }
                    if !(self.news)(News {
                        at: SystemTime::now(),
                        event,
                    }) {
                        self.lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// A successor would have to know of this router; or of something else.
    fn note_change(&mut self, router: Option<RouterId>) {
        if let Some(legacy) = &mut self.legacy {
            legacy.note(router);
        }
    }

    /// A successor would have to know of this interface, and of the routers on it.
    fn note_link(&mut self, link: LinkId) {
        let Self { engine, legacy, .. } = self;
        let name = engine.links().find(|(id, _)| *id == link);
        if let (Some(legacy), Some((_, name))) = (legacy, name) {
            legacy.note(None);
            let here = engine
                .status()
                .filter(|router| router.plan.interface == name);
            here.for_each(|router| legacy.note(Some(router.id)));
        }
    }

    /// A successor would have to know of everything anew.
    const fn note_changes(&mut self) {
        if let Some(legacy) = &mut self.legacy {
            legacy.note_all();
        }
    }

    /// Whether nothing is lost if `transmit` waits for the kernel. Without a gate, the addresses would be heard of before it.
    fn can_wait(&self, transmit: &Transmit) -> bool {
        !transmit.patience.is_zero()
            && transmit.mac.is_some()
            && self
                .macs
                .get(&transmit.link)
                .is_some_and(|(index, _)| self.fences.has(*index))
    }

    fn send_held(&mut self, router: RouterId) {
        while let Some(transmit) = self.held.take(router) {
            self.transmit(&transmit);
            self.held.sent(clock::now(), transmit);
        }
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let Some(&(index, own_mac)) = self.macs.get(&transmit.link) else {
            return;
        };
        let now = clock::now();
        self.sent = now;
        let lease = if transmit.dormant {
            None
        } else {
            let message = &transmit.message;
            self.fences.sending(now, transmit.router, index, message)
        };
        let sign = Sign {
            router: transmit.router,
            at: now,
            lease,
        };
        if transmit.destination.is_multicast() {
            self.packet_id = self.packet_id.wrapping_add(1);
            let id = self.packet_id;
            let mac = transmit.mac.unwrap_or(own_mac);
            let (source, destination) = (transmit.source, transmit.destination);
            self.outbox.put(transmit.link, index, Some(sign), |frame| {
                frame::advertisement(frame, mac, source, destination, &transmit.message, id)
            });
            self.send_full();
            return;
        }
        let family = Family::of(transmit.destination);
        let result = self.ears.get(transmit.link, family).map_or(Ok(()), |ear| {
            ear.protocol
                .send_to(transmit.source, transmit.destination, &transmit.message)
        });
        let pulse = self.legacy.as_ref().map(|legacy| &legacy.pulse);
        sign.sent(result.is_ok(), pulse);
        note_sending(&self.engine, &mut self.failing, transmit.link, result);
    }

    /// Sends what was decided in this turn.
    fn send(&mut self) {
        let Self {
            outbox,
            engine,
            failing,
            legacy,
            ..
        } = self;
        let pulse = legacy.as_ref().map(|legacy| &legacy.pulse);
        outbox.send(pulse, |link, result| {
            note_sending(engine, failing, link, result);
        });
    }

    /// No more waits than one system call takes.
    fn send_full(&mut self) {
        if self.outbox.is_full() {
            self.send();
        }
    }

    fn fence_notice(
        &mut self,
        now: Instant,
        index: u32,
        interface: String,
        outcome: Option<Result<Leases, String>>,
    ) {
        let mut protection = self
            .protection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let leases = match outcome {
            None => {
                protection.remove(&interface);
                None
            }
            Some(Ok(leases)) => {
                let stands = Protection {
                    means: Some(leases.means()),
                    why: leases.shortcoming().map(str::to_owned),
                };
                protection.insert(interface, stands);
                Some(leases)
            }
            Some(Err(why)) => {
                let nothing = Protection {
                    means: None,
                    why: Some(why),
                };
                protection.insert(interface, nothing);
                None
            }
        };
        drop(protection);
        self.fences.changed(now, index, leases, &self.engine);
        if let Some((_, mac)) = self.macs.values().find(|(known, _)| *known == index) {
            self.fences.set_own_mac(index, *mac);
        }
    }

    fn announce(&mut self, announce: &Announce) {
        let Some(&(index, own_mac)) = self.macs.get(&announce.link) else {
            return;
        };
        let mac = announce.mac.unwrap_or(own_mac);
        for address in &*announce.addresses {
            self.outbox.put(announce.link, index, None, |frame| {
                frame::announcement(frame, mac, *address)
            });
            self.send_full();
        }
        let count = self.guests.get(&announce.router).map_or(0, Vec::len);
        for position in 0..count {
            let guest = &self.guests[&announce.router][position];
            put_guest(&mut self.outbox, announce.link, guest);
            self.send_full();
        }
    }

    /// Addresses stand where they did not, or do not any more: who is new is announced at once, and all of them in each round
    /// of the router's announcements.
    fn guests_notice(&mut self, router: RouterId, guests: Vec<Guest>) {
        let before = self.guests.remove(&router).unwrap_or_default();
        let link = LinkId(u32::MAX);
        for guest in guests.iter().filter(|guest| !before.contains(guest)) {
            put_guest(&mut self.outbox, link, guest);
            self.send_full();
        }
        self.send();
        if !guests.is_empty() {
            self.guests.insert(router, guests);
        }
    }

    /// An interface has changed. The engine hears of a new one when its sockets are there.
    fn link_notice(&mut self, interface: &str, facts: Option<LinkFacts>) {
        let Some(link) = self
            .engine
            .links()
            .find(|(_, name)| *name == interface)
            .map(|(id, _)| id)
        else {
            return;
        };
        let Some(facts) = facts else {
            self.waiting.remove(&link);
            self.ears.close(link, &self.epoll);
            self.macs.remove(&link);
            self.tell_link(link, None);
            self.heed(&[]);
            return;
        };
        if self.ears.is_open(link, facts.index) {
            self.tell_link(link, Some(facts));
            return;
        }
        let index = facts.index;
        let asked = self
            .waiting
            .insert(link, facts)
            .is_some_and(|before| before.index == index);
        if !asked {
            self.open(link, interface, index, vec![Family::Ipv4, Family::Ipv6]);
        }
    }

    fn open(&mut self, link: LinkId, interface: &str, index: u32, families: Vec<Family>) {
        let asked = self.opener.ask(Order {
            link,
            interface: interface.to_owned(),
            index,
            families,
        });
        if let Err(failed) = asked {
            self.opened(failed);
        }
    }

    fn opened(&mut self, opened: Opened) {
        let (link, index) = (opened.link, opened.index);
        let waited = self
            .waiting
            .get(&link)
            .is_some_and(|facts| facts.index == index);
        if !waited && !self.ears.is_open(link, index) {
            // The interface changed again while they were being opened.
            bury(opened);
            return;
        }
        self.note_link(link);
        for (family, failure) in self.ears.install(opened, &self.epoll) {
            let failure = failure.as_deref();
            self.engine.handle(
                clock::now(),
                Input::Hearing {
                    link,
                    family,
                    failure,
                },
            );
            self.drain();
        }
        if waited && let Some(facts) = self.waiting.remove(&link) {
            self.tell_link(link, Some(facts));
        }
        self.heed(&[link]);
    }

    fn tell_link(&mut self, link: LinkId, facts: Option<LinkFacts>) {
        self.note_link(link);
        if let Some(facts) = &facts {
            self.macs.insert(link, (facts.index, facts.mac));
            self.fences.set_own_mac(facts.index, facts.mac);
        }
        let name = self
            .engine
            .links()
            .find(|(id, _)| *id == link)
            .map(|(_, name)| name.to_owned());
        if let Some(name) = name {
            let input = Input::Link {
                interface: &name,
                facts: facts.as_ref(),
            };
            self.engine.handle(clock::now(), input);
            self.drain();
        }
    }

    fn links(&self) -> Vec<LinkId> {
        self.engine.links().map(|(id, _)| id).collect()
    }

    /// After routers or sockets of these links changed: which addresses' claims to hear, and whether something is not heard
    /// at all.
    fn heed(&mut self, links: &[LinkId]) {
        for &link in links {
            for family in [Family::Ipv4, Family::Ipv6] {
                let addresses = self.engine.virtual_addresses(link, family);
                self.ears.watch(link, family, &addresses);
            }
        }
        self.deaf = self
            .ears
            .deaf()
            .any(|(link, family, _)| self.engine.wants(link, family));
    }

    fn open_again(&mut self) {
        let names: BTreeMap<LinkId, String> = self
            .engine
            .links()
            .map(|(id, name)| (id, name.to_owned()))
            .gather();
        let wanted: Vec<_> = self
            .ears
            .deaf()
            .filter(|(link, family, _)| self.engine.wants(*link, *family))
            .collect();
        for (link, family, index) in wanted {
            if let Some(name) = names.get(&link) {
                self.open(link, name, index, vec![family]);
            }
        }
    }
}

/// How long after the last time timers were run they are run for `wakeup` at the earliest.
fn breath(wakeup: &Wakeup) -> Duration {
    match wakeup.timer {
        Timer::Advertisement => {
            (wakeup.interval / ADVERTISEMENTS_TOGETHER).clamp(BREATH, LONGEST_BREATH)
        }
        Timer::ActiveDown
        | Timer::Announcement
        | Timer::KernelRetry
        | Timer::Leaving
        | Timer::Preparation
        | Timer::Order
        | Timer::Tracker => BREATH,
    }
}

/// Says that sending fails when it begins to, not each time.
/// An announcement from the interface's own MAC address.
fn put_guest(outbox: &mut Outbox, link: LinkId, guest: &Guest) {
    outbox.put(link, guest.index, None, |frame| {
        frame::announcement(frame, guest.mac, guest.address)
    });
}

fn note_sending(
    engine: &Engine,
    failing: &mut BTreeMap<LinkId, io::ErrorKind>,
    link: LinkId,
    result: io::Result<()>,
) {
    match result {
        Ok(()) => {
            failing.remove(&link);
        }
        Err(error) => {
            if failing.insert(link, error.kind()) != Some(error.kind()) {
                let mut links = engine.links();
                let name = links.find(|(id, _)| *id == link).map(|(_, name)| name);
                tracing::warn!(interface = name, %error, "cannot send");
            }
        }
    }
}

/// Where counters begin that are to be new each time, and not to be guessed: the seconds of Unix time, and 32 random bits, which
/// the keys of hash tables are made of.
fn beginning() -> u64 {
    let random = RandomState::new().build_hasher().finish();
    clock::wall().as_secs() << 32 | random >> 32
}
