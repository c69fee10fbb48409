//! A small service manager: the part of systemd's that keeps descriptors while a service is started again.
//!
//! It speaks the protocol of sd_notify(3), sd_pid_notify_with_fds(3) and sd_listen_fds(3): datagrams from the main process only,
//! which it knows by the kernel's credentials (`NotifyAccess=main`), and descriptors from number 3 on at the next start.

use crate::clock::wait_for;
use crate::scratch::Scratch;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The line of shell by which a service is started: it knows its own process only then.
pub const LINE: &str = r#"export LISTEN_PID=$$; exec "$@""#;

/// Numbers from here on are nobody else's.
const HIGH: RawFd = 400;

/// First descriptor that is passed.
const FIRST: RawFd = 3;

/// What a service has said.
#[derive(Debug, Default)]
pub struct Told {
    /// The process that may speak.
    main: Option<i32>,
    /// Whether it said that it is ready.
    pub ready: bool,
    /// Whether it said that it stops.
    pub stopping: bool,
    /// How things stand.
    pub status: String,
    /// Messages of others.
    pub strangers: usize,
    /// What is kept.
    kept: Vec<(String, OwnedFd)>,
}

/// The manager of one service.
pub struct Manager {
    scratch: Scratch,
    told: Arc<Mutex<Told>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Manager {
    /// One with room for `room` descriptors (`FileDescriptorStoreMax=`).
    ///
    /// # Panics
    /// If there is no socket to be had.
    #[must_use]
    pub fn new(room: usize) -> Self {
        let scratch = Scratch::new("manager");
        let socket = UnixDatagram::bind(scratch.path().join("notify")).expect("a fresh directory");
        setsockopt(&socket, sockopt::PassCred, &true).expect("a socket takes an option");
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::milliseconds(20))
            .expect("a socket takes a timeout");
        let (told, end) = (Arc::new(Mutex::default()), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (told, end) = (Arc::clone(&told), Arc::clone(&end));
            std::thread::spawn(move || {
                // One that waits for a processor measures itself.
                crate::priority::raise();
                while !end.load(Ordering::Relaxed) {
                    receive(&socket, &told, room);
                }
            })
        };
        Self {
            scratch,
            told,
            end,
            thread: Some(thread),
        }
    }

    /// What was said so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the descriptors that are kept.
    #[must_use]
    pub fn kept(&self) -> Vec<String> {
        let told = self.told();
        told.kept.iter().map(|(name, _)| name.clone()).collect()
    }

    /// As when a service has stopped for good: nothing is kept any more.
    pub fn forget(&self) {
        self.told().kept.clear();
    }

    /// The process that may speak from now on.
    pub fn expect(&self, main: i32) {
        self.told().main = Some(main);
    }

    /// Waits until the service says that it is ready.
    ///
    /// # Panics
    /// If it does not within `limit`.
    pub fn wait_ready(&self, limit: Duration) {
        let ready = wait_for(limit, || self.told().ready.then_some(()));
        assert!(
            ready.is_some(),
            "not ready within {limit:?}: {:?}",
            self.told()
        );
    }

    /// What a command needs to start the service, by [`LINE`].
    ///
    /// # Panics
    /// If a descriptor cannot be doubled.
    #[expect(
        unsafe_code,
        reason = "descriptors get their numbers, and a process its precedence, between fork and exec"
    )]
    pub fn prepare(&self, command: &mut Command) {
        let mut told = self.told();
        (told.ready, told.stopping, told.main) = (false, false, None);
        command.env("NOTIFY_SOCKET", self.scratch.path().join("notify"));
        if told.kept.is_empty() {
            return;
        }
        let names: Vec<&str> = told.kept.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDS", names.len().to_string());
        command.env("LISTEN_FDNAMES", names.join(":"));
        let doubles: Vec<OwnedFd> = told.kept.iter().map(|(_, fd)| double(fd)).collect();
        // SAFETY: dup2 may be called between fork and exec; the closure allocates nothing, and owns what it doubles.
        unsafe {
            command.pre_exec(move || {
                for (number, fd) in (FIRST..).zip(&doubles) {
                    if libc::dup2(fd.as_raw_fd(), number) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The same under a number that is not passed.
#[expect(unsafe_code, reason = "the kernel says its number only")]
fn double(fd: &OwnedFd) -> OwnedFd {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(HIGH)).expect("there are numbers left");
    // SAFETY: the kernel has just made this descriptor for us.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// One message.
#[expect(
    unsafe_code,
    reason = "the kernel says the numbers of received descriptors only"
)]
fn receive(socket: &UnixDatagram, told: &Mutex<Told>, room: usize) {
    let mut text = [0; 4096];
    let mut space = nix::cmsg_space!(UnixCredentials, [RawFd; 8]);
    let (mut fds, mut sender): (Vec<OwnedFd>, Option<i32>) = (Vec::new(), None);
    let length = {
        let mut parts = [IoSliceMut::new(&mut text)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let Ok(message) = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags)
        else {
            return;
        };
        for control in message.cmsgs().expect("there is room for all of it") {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                // SAFETY: the kernel has just made these descriptors for us.
                fds.extend(
                    numbers
                        .into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                );
            } else if let ControlMessageOwned::ScmCredentials(credentials) = control {
                sender = Some(credentials.pid());
            }
        }
        message.bytes
    };
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    // To close what came with it is the answer to a barrier, whoever sent it.
    if told.main.is_some_and(|main| sender != Some(main)) {
        told.strangers += 1;
        return;
    }
    let value = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map(|(_, value)| value)
    };
    told.ready |= value("READY") == Some("1");
    told.stopping |= value("STOPPING") == Some("1");
    if let Some(status) = value("STATUS") {
        told.status = status.to_owned();
    }
    let name = value("FDNAME").unwrap_or("stored").to_owned();
    let printable = |byte: u8| (b' '..127).contains(&byte) && byte != b':';
    assert!(name.len() <= 255 && name.bytes().all(printable), "{name:?}");
    if value("FDSTOREREMOVE") == Some("1") {
        told.kept.retain(|(other, _)| *other != name);
    } else if value("FDSTORE") == Some("1") {
        for fd in fds {
            if told.kept.len() < room {
                told.kept.push((name.clone(), fd));
            }
        }
    }
}
