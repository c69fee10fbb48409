//! What a LAN sees of its virtual router, millisecond by millisecond.
//!
//! A host asks the virtual address for an echo and sends a numbered datagram through it every millisecond, and asks
//! everyone for its hardware address every five. It writes raw frames to the virtual MAC address and listens to no
//! announcement: what it gets is what the switch and the routers make of them. Beside it, the ports of the first two
//! routers are watched, because answers of two routers with one MAC address look alike to a host.

use crate::clock::{Stamp, ms};
use crate::netns::Namespace;
use crate::priority;
use crate::profile::Profile;
use crate::socket::PacketSocket;
use crate::topology::Lan;
use crate::wire::{
    Arp, ETHERTYPE_ARP, ETHERTYPE_IPV4, Ethernet, Ip, Mac, Packet, Payload, VRRP, icmp_echo, udp,
};
use socket2::SockFilter;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often probes leave.
const STEP: Duration = Duration::from_millis(1);
/// One step in this many also asks for the hardware address.
const QUESTION: u32 = 5;
/// A router whose answers are no further apart than this owns the address in between: six questions.
const OWNING: Duration = Duration::from_millis(30);
/// An outage shorter than this is not counted, though it may be the longest.
const COUNTED: Duration = Duration::from_millis(10);
/// The port that probes go to.
const PORT: u16 = 40_112;
/// The virtual router's address and the way out.
const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// An advertisement seen at a port.
#[derive(Clone, Copy, Debug)]
pub struct Spoken {
    /// When.
    pub at: Stamp,
    /// Its priority.
    pub priority: u8,
}

/// Outages of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outages {
    /// The longest: from the last probe that was served to the next that was, by the time they left.
    pub longest: Duration,
    /// When that began.
    pub began: Stamp,
    /// How many lasted 10 ms or more.
    pub count: usize,
}

/// What was seen between two moments.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Datagrams sent, and of these how many never came out.
    pub sent: usize,
    /// See `sent`.
    pub lost: usize,
    /// Datagrams that both routers forwarded.
    pub doubled: usize,
    /// Outages of the way through.
    pub through: Outages,
    /// Outages of the virtual address itself.
    pub address: Outages,
    /// Answers for the virtual address with another hardware address than the virtual one.
    pub wrong_mac: usize,
    /// How long both routers answered for the virtual address.
    pub two_owners: Duration,
    /// How long both advertised.
    pub two_actives: Duration,
    /// Datagrams forwarded by each router.
    pub forwarded: [usize; 2],
}

type Shared<T> = Arc<Mutex<Vec<T>>>;

/// The log of one port.
#[derive(Clone, Default)]
struct Port {
    adverts: Shared<Spoken>,
    answers: Shared<Stamp>,
    announcements: Shared<Stamp>,
}

/// A running observer.
pub struct Observer {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    sent: Shared<Stamp>,
    /// Number, router.
    arrived: Shared<(u32, Option<usize>)>,
    echoed: Shared<u32>,
    /// Hardware addresses given out for the virtual address.
    given: Shared<(Stamp, Mac)>,
    ports: [Port; 2],
    interval: Duration,
}

impl Observer {
    /// Starts observing the virtual router of [`Profile::V3Ipv4`] on a LAN of two routers that advertise every `interval`.
    ///
    /// # Panics
    /// If an interface is missing.
    #[must_use]
    pub fn start(lan: &Lan, interval: Duration) -> Self {
        let mut observer = Self {
            stop: Arc::new(AtomicBool::new(false)),
            threads: Vec::new(),
            sent: Shared::default(),
            arrived: Shared::default(),
            echoed: Shared::default(),
            given: Shared::default(),
            ports: [Port::default(), Port::default()],
            interval,
        };
        observer.listen_upstream(lan);
        observer.listen_client(lan);
        for router in 0..2 {
            observer.listen_port(lan, router);
        }
        observer.ask(lan);
        observer
    }

    fn listen(
        &mut self,
        namespace: &Namespace,
        interface: &str,
        protocol: u8,
        mut hear: impl FnMut(Stamp, Packet) + Send + 'static,
    ) {
        let program = incoming(protocol);
        let socket = namespace
            .enter(|| PacketSocket::open_filtered(interface, &program))
            .unwrap_or_else(|error| panic!("{interface}: {error}"));
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut buffer = vec![0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok(Some(received)) = socket.receive(&mut buffer)
                    && let Some(packet) = Packet::read(&buffer[..received.length])
                {
                    hear(received.at, packet);
                }
            }
        }));
    }

    fn listen_upstream(&mut self, lan: &Lan) {
        let routers: Vec<Mac> = lan.routers.iter().map(|r| mac_of(r, "eth1")).collect();
        let log = Arc::clone(&self.arrived);
        self.listen(&lan.upstream, "eth0", 17, move |_, packet| {
            let Payload::Udp(PORT, data) = &packet.payload else {
                return;
            };
            if let Some(number) = data.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) {
                let by = routers
                    .iter()
                    .position(|mac| *mac == packet.ethernet.source);
                push(&log, (number, by));
            }
        });
    }

    fn listen_client(&mut self, lan: &Lan) {
        let (echoed, given) = (Arc::clone(&self.echoed), Arc::clone(&self.given));
        self.listen(&lan.client, "eth0", 1, move |at, packet| {
            if let Payload::Echo(echo) = &packet.payload
                && echo.reply
            {
                let number = (u32::from(echo.id) << 16) | u32::from(echo.sequence);
                push(&echoed, number);
            } else if let Payload::Arp(arp) = &packet.payload
                && arp.operation == 2
                && !arp.is_gratuitous()
                && arp.sender_ip == GATEWAY
            {
                for mac in [arp.sender_mac, packet.ethernet.source] {
                    push(&given, (at, mac));
                }
            }
        });
    }

    fn listen_port(&mut self, lan: &Lan, router: usize) {
        let port = self.ports[router].clone();
        self.listen(
            &lan.switch,
            &format!("lan{}", router + 1),
            VRRP,
            move |at, packet| {
                if let Payload::Vrrp(heard) = &packet.payload {
                    let priority = heard.priority();
                    push(&port.adverts, Spoken { at, priority });
                } else if let Payload::Arp(arp) = &packet.payload
                    && arp.sender_ip == GATEWAY
                {
                    if arp.is_gratuitous() {
                        push(&port.announcements, at);
                    } else if arp.operation == 2 {
                        push(&port.answers, at);
                    }
                }
            },
        );
    }

    fn ask(&mut self, lan: &Lan) {
        let socket = lan
            .client
            .enter(|| PacketSocket::open_filtered("eth0", &[SockFilter::new(RETURN, 0, 0, 0)]))
            .expect("the client has its interface");
        let mac = mac_of(&lan.client, "eth0");
        let to_gateway = Ethernet {
            destination: Profile::V3Ipv4.virtual_mac(),
            source: mac,
            ethertype: ETHERTYPE_IPV4,
        };
        let question = Arp::request(mac, CLIENT, GATEWAY).frame_to(Mac::BROADCAST);
        let (stop, sent) = (Arc::clone(&self.stop), Arc::clone(&self.sent));
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut due = Stamp::now();
            for number in 0_u32.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let [a, b, c, d] = number.to_be_bytes();
                let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                let outer = |to: Ipv4Addr, protocol| {
                    Ip::new(IpAddr::V4(CLIENT), IpAddr::V4(to), 64, protocol)
                };
                let way = outer(UPSTREAM, 17);
                let echo = icmp_echo(IpAddr::V4(CLIENT), IpAddr::V4(GATEWAY), id, sequence);
                push(&sent, Stamp::now());
                // What cannot leave is a loss like any other.
                let _ = socket.send(&to_gateway.frame(&way.packet(&udp(
                    &way,
                    PORT,
                    PORT,
                    &number.to_be_bytes(),
                ))));
                let _ = socket.send(&to_gateway.frame(&outer(GATEWAY, 1).packet(&echo)));
                if number.is_multiple_of(QUESTION) {
                    let _ = socket.send(&question);
                }
                due = (due + STEP).max(Stamp::now() - STEP * 5);
                due.sleep_until();
            }
        }));
    }

    /// The advertisements that came in at the port of router `index` since `from`.
    #[must_use]
    pub fn adverts(&self, index: usize, from: Stamp) -> Vec<Spoken> {
        since(&self.ports[index].adverts, |spoken| spoken.at >= from)
    }

    /// The answers for the virtual address at the port of router `index` since `from`.
    #[must_use]
    pub fn answers(&self, index: usize, from: Stamp) -> Vec<Stamp> {
        since(&self.ports[index].answers, |at| *at >= from)
    }

    /// The unasked announcements of the virtual address at the port of router `index` since `from`.
    #[must_use]
    pub fn announcements(&self, index: usize, from: Stamp) -> Vec<Stamp> {
        since(&self.ports[index].announcements, |at| *at >= from)
    }

    /// What was seen between two moments; waits for what is still on its way.
    #[must_use]
    pub fn facts(&self, from: Stamp, until: Stamp) -> Facts {
        (until + ms(100)).sleep_until();
        let sent = read(&self.sent);
        let range = sent.partition_point(|at| *at < from)..sent.partition_point(|at| *at < until);
        let mut by = vec![[0_usize; 3]; sent.len()];
        for (number, router) in read(&self.arrived) {
            if let Some(times) = by.get_mut(number as usize) {
                times[router.unwrap_or(2)] += 1;
            }
        }
        let mut echoed = vec![false; sent.len()];
        for number in read(&self.echoed) {
            if let Some(served) = echoed.get_mut(number as usize) {
                *served = true;
            }
        }
        let through: Vec<bool> = by
            .iter()
            .map(|times| times.iter().sum::<usize>() > 0)
            .collect();
        let spoken = |index: usize| -> Vec<Stamp> {
            self.adverts(index, from)
                .iter()
                .filter(|spoken| spoken.at <= until && spoken.priority > 0)
                .map(|spoken| spoken.at)
                .collect()
        };
        let answers = |index: usize| -> Vec<Stamp> {
            let mut answers = self.answers(index, from);
            answers.retain(|at| *at <= until);
            answers
        };
        Facts {
            sent: range.len(),
            lost: range.clone().filter(|number| !through[*number]).count(),
            doubled: by[range.clone()]
                .iter()
                .filter(|times| times[0] > 0 && times[1] > 0)
                .count(),
            through: outages(&sent, &through, range.clone()),
            address: outages(&sent, &echoed, range.clone()),
            wrong_mac: read(&self.given)
                .iter()
                .filter(|(at, mac)| {
                    *at >= from && *at <= until && *mac != Profile::V3Ipv4.virtual_mac()
                })
                .count(),
            two_owners: overlap(&answers(0), &answers(1), OWNING),
            two_actives: overlap(&spoken(0), &spoken(1), self.interval * 3 / 2),
            forwarded: [0, 1].map(|router| {
                by[range.clone()]
                    .iter()
                    .filter(|times| times[router] > 0)
                    .count()
            }),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn push<T>(log: &Shared<T>, entry: T) {
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(entry);
}

fn read<T: Clone>(log: &Shared<T>) -> Vec<T> {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn since<T: Clone>(log: &Shared<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.iter().filter(|entry| wanted(entry)).cloned().collect()
}

/// The hardware address of an interface.
///
/// # Panics
/// If there is no such interface.
#[must_use]
pub fn mac_of(namespace: &Namespace, interface: &str) -> Mac {
    namespace
        .sh(&format!("cat /sys/class/net/{interface}/address"))
        .trim()
        .parse()
        .expect("the kernel writes addresses well")
}

/// Outages among the probes of `range`, by the time they left.
fn outages(sent: &[Stamp], served: &[bool], range: std::ops::Range<usize>) -> Outages {
    let Some(first) = sent.get(range.start) else {
        panic!("no probe was sent")
    };
    let mut found = Outages {
        longest: Duration::ZERO,
        began: *first,
        count: 0,
    };
    let (mut before, mut broken) = (*first, false);
    let last = range.end;
    for number in range {
        // An outage that lasts to the end ends there.
        if !served[number] && number + 1 < last {
            broken = true;
            continue;
        }
        if broken || !served[number] {
            let lasted = sent[number].since(before);
            found.count += usize::from(lasted >= COUNTED);
            if lasted > found.longest {
                (found.longest, found.began) = (lasted, before);
            }
        }
        (before, broken) = (sent[number], false);
    }
    found
}

/// How long two series of signs of life run beside each other; signs further apart than `joined` are of separate lives.
fn overlap(one: &[Stamp], other: &[Stamp], joined: Duration) -> Duration {
    let mut total = Duration::ZERO;
    for (from, to) in lives(one, joined) {
        for (begin, end) in lives(other, joined) {
            total += to.min(end).since(from.max(begin));
        }
    }
    total
}

fn lives(signs: &[Stamp], joined: Duration) -> Vec<(Stamp, Stamp)> {
    let mut lives: Vec<(Stamp, Stamp)> = Vec::new();
    for sign in signs {
        match lives.last_mut() {
            Some((_, end)) if sign.since(*end) <= joined => *end = *sign,
            _ => lives.push((*sign, *sign)),
        }
    }
    lives
}

/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

/// A filter for ARP and one IPv4 protocol, from the wire only.
fn incoming(protocol: u8) -> [SockFilter; 9] {
    /// `BPF_LD | BPF_W | BPF_ABS`, `BPF_LD | BPF_H | BPF_ABS`, `BPF_LD | BPF_B | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`.
    const WORD: u16 = 0x20;
    const HALF: u16 = 0x28;
    const BYTE: u16 = 0x30;
    const EQUAL: u16 = 0x15;
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE`, and `PACKET_OUTGOING`.
    const KIND: u32 = 0xffff_f004;
    const OUTGOING: u32 = 4;
    [
        SockFilter::new(WORD, 0, 0, KIND),
        SockFilter::new(EQUAL, 6, 0, OUTGOING),
        SockFilter::new(HALF, 0, 0, 12),
        SockFilter::new(EQUAL, 3, 0, ETHERTYPE_ARP.into()),
        SockFilter::new(EQUAL, 0, 3, ETHERTYPE_IPV4.into()),
        SockFilter::new(BYTE, 0, 0, 23),
        SockFilter::new(EQUAL, 0, 1, protocol.into()),
        SockFilter::new(RETURN, 0, 0, 2048),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(zero: Stamp, millis: &[u64]) -> Vec<Stamp> {
        millis.iter().map(|n| zero + ms(*n)).collect()
    }

    #[test]
    fn an_outage_is_from_served_to_served() {
        let sent = stamps(Stamp::now(), &(0..100).collect::<Vec<u64>>());
        let served: Vec<bool> = (0..100)
            .map(|n| !(10..30).contains(&n) && n != 50 && n < 90)
            .collect();
        let found = outages(&sent, &served, 0..100);
        assert_eq!(found.longest, ms(21));
        assert_eq!(found.began, sent[9]);
        assert_eq!(
            found.count, 2,
            "the single loss is too short to count, and the end counts"
        );
        let calm = outages(&sent, &served, 31..50);
        assert_eq!((calm.longest, calm.count), (Duration::ZERO, 0));
    }

    #[test]
    fn owners_overlap_only_while_both_answer() {
        let zero = Stamp::now();
        let one = stamps(zero, &[0, 10, 20, 30, 200, 210, 220]);
        let other = stamps(zero, &[25, 35, 45, 205, 215, 225, 235]);
        // 25 to 30, and 205 to 220.
        assert_eq!(overlap(&one, &other, OWNING), ms(20));
        assert_eq!(overlap(&one, &[], OWNING), Duration::ZERO);
    }
}
