//! Ten thousand datagrams a second through a virtual router, and which of its routers forwarded each.

use socket2::SockFilter;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vrrp_lab::clock::Stamp;
use vrrp_lab::observer::mac_of;
use vrrp_lab::priority;
use vrrp_lab::profile::Profile;
use vrrp_lab::socket::PacketSocket;
use vrrp_lab::topology::Lan;
use vrrp_lab::wire::{Arp, ETHERTYPE_IPV4, Ethernet, Ip, Mac, udp};

/// Time between two datagrams.
pub(crate) const STEP: Duration = Duration::from_micros(100);
/// One step in this many also asks everybody who has the virtual address.
const QUESTION: u32 = 10;
const PORT: u16 = 40_113;
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
/// Nobody's address: the upstream host sees what is sent there and says nothing about it.
const SINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
/// Where the number stands in a frame: behind Ethernet, IPv4 and UDP.
const NUMBER: usize = 14 + 20 + 8;

/// What the other end has seen.
#[derive(Default)]
struct Log {
    /// By number, when it left.
    sent: Mutex<Vec<Stamp>>,
    /// In order of arrival: the number, and the index of the router.
    arrived: Mutex<Vec<(u32, u8)>>,
}

/// A running stream.
pub(crate) struct Stream {
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of the datagrams that left between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) lost: usize,
    /// From the last that was served before the longest loss to the first that was served after it; zero without a loss.
    pub(crate) gap: Duration,
}

impl Stream {
    pub(crate) fn start(lan: &Lan) -> Self {
        let sink = mac_of(&lan.upstream, "eth0");
        for router in &lan.routers {
            router.ip(&format!(
                "neigh replace {SINK} lladdr {sink} dev eth1 nud permanent"
            ));
        }
        let mut stream = Self {
            log: Arc::default(),
            stop: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
        };
        stream.listen(lan);
        stream.send(lan);
        stream
    }

    fn listen(&mut self, lan: &Lan) {
        let socket = lan
            .upstream
            .enter(|| PacketSocket::open_filtered("eth0", &to_port()))
            .expect("the upstream host has its interface");
        let routers: Vec<Mac> = lan.routers.iter().map(|r| mac_of(r, "eth1")).collect();
        let (log, stop) = (Arc::clone(&self.log), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut buffer = [0; 128];
            while !stop.load(Ordering::Relaxed) {
                let Ok(Some(received)) = socket.receive(&mut buffer) else {
                    continue;
                };
                let frame = &buffer[..received.length.min(128)];
                let number = frame.get(NUMBER..).and_then(<[u8]>::first_chunk);
                let by = routers
                    .iter()
                    .position(|mac| frame.get(6..12) == Some(&mac.0));
                if let (Some(number), Some(by)) = (number, by) {
                    log.arrived
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((
                            u32::from_be_bytes(*number),
                            u8::try_from(by).unwrap_or(u8::MAX),
                        ));
                }
            }
        }));
    }

    fn send(&mut self, lan: &Lan) {
        let socket = lan
            .client
            .enter(|| PacketSocket::open_filtered("eth0", &[SockFilter::new(0x06, 0, 0, 0)]))
            .expect("the client has its interface");
        let mac = mac_of(&lan.client, "eth0");
        let ip = Ip::new(IpAddr::V4(CLIENT), IpAddr::V4(SINK), 64, 17);
        let mut frame = Ethernet {
            destination: Profile::V3Ipv4.virtual_mac(),
            source: mac,
            ethertype: ETHERTYPE_IPV4,
        }
        .frame(&ip.packet(&udp(&ip, PORT, PORT, &[0; 4])));
        // No checksum: the number changes from datagram to datagram.
        frame[NUMBER - 2..NUMBER].fill(0);
        let question = Arp::request(mac, CLIENT, GATEWAY).frame_to(Mac::BROADCAST);
        let (log, stop) = (Arc::clone(&self.log), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut due = Stamp::now();
            for number in 0_u32.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                frame[NUMBER..NUMBER + 4].copy_from_slice(&number.to_be_bytes());
                log.sent
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(Stamp::now());
                // What cannot leave is a loss like any other.
                let _ = socket.send(&frame);
                if number.is_multiple_of(QUESTION) {
                    let _ = socket.send(&question);
                }
                due = (due + STEP).max(Stamp::now() - STEP * 20);
                due.sleep_until();
            }
        }));
    }

    /// For each datagram that left between two moments: when, and the routers that forwarded it as bits.
    fn between(&self, from: Stamp, until: Stamp) -> Vec<(Stamp, u8)> {
        let sent = self.log.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let first = sent.partition_point(|at| *at < from);
        let last = sent.partition_point(|at| *at < until);
        let mut fates: Vec<(Stamp, u8)> = sent[first..last].iter().map(|at| (*at, 0)).collect();
        drop(sent);
        let arrived = self
            .log
            .arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Nothing overtakes more than a few hundred others.
        let near = |number: u32| number as usize + 5000 >= first;
        for (number, by) in arrived.iter().rev().take_while(|(number, _)| near(*number)) {
            let place = (*number as usize).checked_sub(first);
            if let Some(fate) = place.and_then(|place| fates.get_mut(place)) {
                fate.1 |= 1 << by;
            }
        }
        fates
    }

    /// What became of those that left between two moments; the last of them must have had time to arrive.
    pub(crate) fn fate(&self, from: Stamp, until: Stamp) -> Fate {
        let all = self.between(from, until);
        let (mut gap, mut served, mut broken) = (Duration::ZERO, from, false);
        for (at, by) in &all {
            if *by == 0 {
                broken = true;
                continue;
            }
            if broken {
                gap = gap.max(at.since(served));
            }
            (served, broken) = (*at, false);
        }
        if broken {
            gap = gap.max(until.since(served));
        }
        Fate {
            lost: all.iter().filter(|(_, by)| *by == 0).count(),
            gap,
        }
    }

    /// When the first datagram since `from` left that this router forwarded.
    pub(crate) fn first_by(&self, router: u8, from: Stamp) -> Option<Stamp> {
        let all = self.between(from, Stamp::now());
        all.into_iter()
            .find(|(_, by)| by & (1 << router) != 0)
            .map(|(at, _)| at)
    }

    /// When the last datagram of those between two moments left that this router forwarded.
    pub(crate) fn last_by(&self, router: u8, from: Stamp, until: Stamp) -> Option<Stamp> {
        let all = self.between(from, until);
        all.into_iter()
            .rfind(|(_, by)| by & (1 << router) != 0)
            .map(|(at, _)| at)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Datagrams to our port, from the wire only: the kernel sorts them out.
fn to_port() -> [SockFilter; 8] {
    [
        SockFilter::new(0x28, 0, 0, 12),
        SockFilter::new(0x15, 0, 5, ETHERTYPE_IPV4.into()),
        SockFilter::new(0x30, 0, 0, 23),
        SockFilter::new(0x15, 0, 3, 17),
        SockFilter::new(0x28, 0, 0, 36),
        SockFilter::new(0x15, 0, 1, PORT.into()),
        SockFilter::new(0x06, 0, 0, 128),
        SockFilter::new(0x06, 0, 0, 0),
    ]
}
