//! The end of a cable that plays any number of routers and hosts.

use crate::capture::{Capture, Frame, Sighting, answer_for};
use crate::clock::{Stamp, tolerance};
use crate::netns::Namespace;
use crate::socket::PacketSocket;
use crate::wire::{
    Advert, Arp, Ethernet, Ip, Mac, Payload, icmp_echo, neighbour_advert, neighbour_solicit,
};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A host the tester plays: it answers ARP requests and neighbour solicitations for its address.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Its IP address.
    pub ip: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
}

/// Sends frames, keeps a [`Capture`] of what comes back, and answers for the hosts it plays.
pub struct Tester {
    socket: Arc<PacketSocket>,
    hosts: Arc<Mutex<Vec<Host>>>,
    /// The log of this end.
    pub log: Capture,
}

/// Sends one frame again and again until dropped.
pub struct Repeater {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tester {
    /// Takes over `interface` of `namespace`, whose kernel should have no address there.
    ///
    /// # Panics
    /// If the interface does not exist.
    #[must_use]
    pub fn new(namespace: &Namespace, interface: &str) -> Self {
        let open = || {
            namespace
                .enter(|| PacketSocket::open(interface))
                .unwrap_or_else(|error| panic!("{interface}: {error}"))
        };
        let hosts = Arc::new(Mutex::new(Vec::<Host>::new()));
        let (played, answers) = (Arc::clone(&hosts), open());
        let log = Capture::start_with(namespace, interface, move |frame| {
            if frame.outgoing {
                return;
            }
            let played = |ip: IpAddr| {
                played
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .iter()
                    .find(|host| host.ip == ip)
                    .copied()
            };
            let answer = match (&frame.packet.payload, &frame.packet.ip) {
                (Payload::Arp(arp), _) if arp.operation == 1 && !arp.is_gratuitous() => {
                    played(arp.target_ip.into()).map(|host| Arp::reply_to(arp, host.mac).frame())
                }
                (Payload::Solicit(solicit), Some(ip)) => {
                    played(solicit.target.into()).and_then(|host| {
                        let IpAddr::V6(asker) = ip.source else {
                            return None;
                        };
                        Some(neighbour_advert(
                            host.mac,
                            solicit.target,
                            frame.packet.ethernet.source,
                            asker,
                        ))
                    })
                }
                _ => None,
            };
            if let Some(answer) = answer {
                // An answer that cannot be sent shows as a host that does not answer.
                let _ = answers.send(&answer);
            }
        });
        Self {
            socket: Arc::new(open()),
            hosts,
            log,
        }
    }

    /// Plays a host from now on.
    pub fn play(&self, ip: IpAddr, mac: Mac) -> Host {
        let host = Host { ip, mac };
        self.hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host);
        host
    }

    /// Sends a frame; returns when.
    ///
    /// # Panics
    /// If the cable is down.
    pub fn send_frame(&self, frame: &[u8]) -> Stamp {
        let at = Stamp::now();
        self.socket.send(frame).expect("the cable is up");
        at
    }

    /// Sends an advertisement; returns when.
    pub fn send(&self, advert: &Advert) -> Stamp {
        self.send_frame(&advert.frame())
    }

    /// Sends an advertisement now and then every `interval`, until the [`Repeater`] is dropped.
    #[must_use]
    pub fn repeat(&self, advert: &Advert, interval: Duration) -> Repeater {
        self.repeat_frame(advert.frame(), interval)
    }

    /// Sends a frame now and then every `interval`, until the [`Repeater`] is dropped.
    #[must_use]
    pub fn repeat_frame(&self, frame: Vec<u8>, interval: Duration) -> Repeater {
        let socket = Arc::clone(&self.socket);
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut due = Stamp::now();
            while !end.load(Ordering::Relaxed) {
                // The cable may be down on purpose.
                let _ = socket.send(&frame);
                due = due + interval;
                while Stamp::now() < due && !end.load(Ordering::Relaxed) {
                    std::thread::sleep(due.since(Stamp::now()).min(Duration::from_millis(20)));
                }
            }
        });
        Repeater {
            stop,
            thread: Some(thread),
        }
    }

    /// The advertisements that came from the other end since `from`.
    #[must_use]
    pub fn adverts(&self, from: Stamp) -> Vec<Sighting> {
        self.log.adverts(from)
    }

    /// The first advertisement since `from`, or `None` when `limit` and the tolerance have passed.
    #[must_use]
    pub fn try_advert(&self, from: Stamp, limit: Duration) -> Option<Sighting> {
        let left = (from + limit + tolerance().late).since(Stamp::now());
        self.log.wait(from, left, crate::capture::sighting)
    }

    /// The first advertisement since `from`.
    ///
    /// # Panics
    /// If none came within `limit` and the tolerance.
    pub fn expect_advert(&self, from: Stamp, limit: Duration) -> Sighting {
        self.try_advert(from, limit)
            .unwrap_or_else(|| panic!("no advertisement within {limit:?}"))
    }

    /// Fails if an advertisement comes from the other end between `from` and `from + span`.
    ///
    /// # Panics
    /// If one does.
    pub fn expect_silence(&self, from: Stamp, span: Duration) {
        (from + span).sleep_until();
        let heard: Vec<String> = self
            .adverts(from)
            .iter()
            .map(|s| {
                format!(
                    "+{:.1} ms priority {}",
                    s.at.millis_since(from),
                    s.heard.priority()
                )
            })
            .collect();
        assert!(
            heard.is_empty(),
            "advertisements in what should be silence: {heard:?}"
        );
    }

    /// Asks for `wanted` as `host` and collects, for 100 ms, every answer: the hardware address given out and the Ethernet source.
    #[must_use]
    pub fn resolve(&self, host: Host, wanted: IpAddr) -> Vec<(Mac, Mac)> {
        self.resolve_to(host, wanted, None)
    }

    /// As [`Tester::resolve`], with the question sent to one hardware address instead of to everyone concerned.
    ///
    /// # Panics
    /// If the families differ.
    #[must_use]
    pub fn resolve_to(&self, host: Host, wanted: IpAddr, to: Option<Mac>) -> Vec<(Mac, Mac)> {
        let from = self.send_frame(&question(host, wanted, to));
        (from + Duration::from_millis(100)).sleep_until();
        self.log.pick(from, |frame| {
            let to_host = frame.packet.ethernet.destination == host.mac && !frame.outgoing;
            to_host
                .then(|| answer_for(frame, wanted).map(|mac| (mac, frame.packet.ethernet.source)))
                .flatten()
        })
    }

    /// Sends one echo request as `host` to `wanted` behind `mac`; says within 200 ms whether a reply came.
    #[must_use]
    pub fn ping(&self, host: Host, wanted: IpAddr, mac: Mac) -> bool {
        static NEXT: AtomicU16 = AtomicU16::new(1);
        let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
        let protocol = if wanted.is_ipv4() { 1 } else { 58 };
        let echo = icmp_echo(host.ip, wanted, 0x4c41, sequence);
        let from = self.send_ip(host, mac, &Ip::new(host.ip, wanted, 64, protocol), &echo);
        let answered = |frame: &Frame| {
            let echo = frame.packet.echo()?;
            (echo.reply && echo.sequence == sequence && !frame.outgoing).then_some(())
        };
        self.log
            .wait(from, Duration::from_millis(200), answered)
            .is_some()
    }

    /// Sends an IP packet as `host` to the router behind `mac`; returns when.
    pub fn send_ip(&self, host: Host, mac: Mac, ip: &Ip, payload: &[u8]) -> Stamp {
        self.send_frame(
            &Ethernet {
                destination: mac,
                source: host.mac,
                ethertype: ip.ethertype(),
            }
            .frame(&ip.packet(payload)),
        )
    }
}

/// The frame in which `host` asks who has `wanted`, sent to `to` or to everyone concerned.
///
/// # Panics
/// If the families differ.
#[must_use]
pub fn question(host: Host, wanted: IpAddr, to: Option<Mac>) -> Vec<u8> {
    match (host.ip, wanted) {
        (IpAddr::V4(ip), IpAddr::V4(wanted)) => {
            Arp::request(host.mac, ip, wanted).frame_to(to.unwrap_or(Mac::BROADCAST))
        }
        (IpAddr::V6(ip), IpAddr::V6(wanted)) => neighbour_solicit(host.mac, ip, wanted, to),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            panic!("one family per question")
        }
    }
}

impl Drop for Repeater {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
