//! A host that counts what it loses.

use crate::clock::{Stamp, ms};
use crate::netns::Namespace;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a probe leaves.
const STEP: Duration = Duration::from_millis(1);

/// What a client experienced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Experience {
    /// Probes sent.
    pub sent: usize,
    /// Probes that never arrived.
    pub lost: usize,
    /// Probes that arrived more than once.
    pub doubled: usize,
    /// The longest outage: from the last probe sent that arrived to the next sent that arrived, with a lost one between.
    ///
    /// Derived from losses, so that a client that was itself kept from the processor has not lost its gateway.
    pub gap: Duration,
    /// When that gap began.
    pub gap_began: Stamp,
    /// The longest time between two arrivals, whatever the reason.
    pub silence: Duration,
}

/// Sends a numbered datagram every millisecond from one namespace to another, through whatever routes lie between.
///
/// One direction only: the way back would need a second virtual router. Both ends are sockets of this process, so
/// one clock stamps both.
pub struct Client {
    stop: Arc<AtomicBool>,
    sent: Arc<Mutex<Vec<Stamp>>>,
    arrived: Arc<Mutex<Vec<(u32, Stamp)>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Client {
    /// Starts probing from `source` to `destination`, which is an address of its namespace.
    ///
    /// # Panics
    /// If the sockets cannot be opened.
    #[must_use]
    pub fn start(source: &Namespace, destination: &Namespace, address: IpAddr) -> Self {
        let any: SocketAddr = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        }
        .parse()
        .expect("an address");
        let receiver = destination
            .enter(|| UdpSocket::bind((address, 0)))
            .expect("the address is configured");
        let target = receiver.local_addr().expect("bound");
        let sender = source.enter(|| UdpSocket::bind(any)).expect("a free port");
        receiver
            .set_read_timeout(Some(ms(20)))
            .expect("a socket takes a timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, arrived) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(Mutex::new(Vec::new())),
        );

        let (end, log) = (Arc::clone(&stop), Arc::clone(&sent));
        let sending = std::thread::spawn(move || {
            let mut due = Stamp::now();
            let mut number: u32 = 0;
            while !end.load(Ordering::Relaxed) {
                // While nobody is the gateway the kernel may refuse: that probe counts as lost.
                log.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Stamp::now());
                let _ = sender.send_to(&number.to_be_bytes(), target);
                number += 1;
                due = due + STEP;
                due.sleep_until();
            }
        });
        let (end, log) = (Arc::clone(&stop), Arc::clone(&arrived));
        let receiving = std::thread::spawn(move || {
            let mut buffer = [0; 4];
            while !end.load(Ordering::Relaxed) {
                if let Ok(4) = receiver.recv(&mut buffer) {
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((u32::from_be_bytes(buffer), Stamp::now()));
                }
            }
        });
        Self {
            stop,
            sent,
            arrived,
            threads: vec![sending, receiving],
        }
    }

    /// What happened since `from`, leaving out the probes of the last 50 ms, which may still be on their way.
    ///
    /// # Panics
    /// If nothing was sent since then.
    #[must_use]
    pub fn experience(&self, from: Stamp) -> Experience {
        let until = Stamp::now();
        std::thread::sleep(ms(50));
        let sent = self
            .sent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let arrived = self
            .arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let first = sent.partition_point(|at| *at < from);
        let last = sent.partition_point(|at| *at < until);
        assert!(first < last, "the client sent nothing");

        let mut times = vec![0_u32; last];
        for (number, _) in &arrived {
            if let Some(times) = times.get_mut(*number as usize) {
                *times += 1;
            }
        }
        let (mut gap, mut gap_began, mut served, mut broken) = (Duration::ZERO, from, from, false);
        for (number, at) in sent.iter().enumerate().take(last).skip(first) {
            if times[number] == 0 {
                broken = true;
                continue;
            }
            if broken && at.since(served) > gap {
                (gap, gap_began) = (at.since(served), served);
            }
            (served, broken) = (*at, false);
        }
        if broken && until.since(served) > gap {
            (gap, gap_began) = (until.since(served), served);
        }
        let (mut silence, mut before) = (Duration::ZERO, from);
        for at in arrived
            .iter()
            .map(|(_, at)| *at)
            .filter(|at| *at >= from && *at < until)
            .chain([until])
        {
            silence = silence.max(at.since(before));
            before = at;
        }
        Experience {
            sent: last - first,
            lost: times[first..].iter().filter(|times| **times == 0).count(),
            doubled: times[first..].iter().filter(|times| **times > 1).count(),
            gap,
            gap_began,
            silence,
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
