//! Watching an address come and go.

use crate::clock::Stamp;
use crate::netns::Namespace;
use nix::ifaddrs::getifaddrs;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the kernel is asked.
const STEP: Duration = Duration::from_micros(500);

/// The interfaces of the calling thread's namespace that carry `address`.
#[must_use]
pub fn carriers(address: IpAddr) -> Vec<String> {
    let Ok(all) = getifaddrs() else {
        return Vec::new();
    };
    all.filter(|entry| {
        let Some(found) = &entry.address else {
            return false;
        };
        let v4 = found.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
        let v6 = found.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip()));
        v4.or(v6) == Some(address)
    })
    // What follows a colon is a label.
    .filter_map(|entry| Some(entry.interface_name.split(':').next()?.to_owned()))
    .collect()
}

/// Samples whether an address is configured in a namespace, every half millisecond, and keeps the changes.
pub struct Presence {
    changes: Arc<Mutex<Vec<(Stamp, bool)>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Presence {
    /// Starts watching.
    #[must_use]
    pub fn watch(namespace: &Namespace, address: IpAddr) -> Self {
        let changes = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, end) = (Arc::clone(&changes), Arc::clone(&stop));
        let inside = namespace.handle();
        let thread = std::thread::spawn(move || {
            inside.enter();
            let mut present = None;
            while !end.load(Ordering::Relaxed) {
                let now = !carriers(address).is_empty();
                if present != Some(now) {
                    present = Some(now);
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((Stamp::now(), now));
                }
                std::thread::sleep(STEP);
            }
        });
        Self {
            changes,
            stop,
            thread: Some(thread),
        }
    }

    /// The times the address was absent since `from`: when each began and, once it is back, how long it lasted.
    #[must_use]
    pub fn absences(&self, from: Stamp) -> Vec<(Stamp, Option<Duration>)> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let recent: Vec<&(Stamp, bool)> = changes.iter().filter(|(at, _)| *at >= from).collect();
        recent
            .iter()
            .enumerate()
            .filter(|(_, (_, present))| !present)
            .map(|(index, (at, _))| (*at, recent.get(index + 1).map(|(back, _)| back.since(*at))))
            .collect()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
