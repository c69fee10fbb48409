//! Ten thousand datagrams a second through a virtual router, and which of its routers forwarded each; and five thousand
//! echoes a second from its address.

use socket2::SockFilter;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vrrp_lab::clock::Stamp;
use vrrp_lab::observer::mac_of;
use vrrp_lab::priority;
use vrrp_lab::profile::Profile;
use vrrp_lab::socket::PacketSocket;
use vrrp_lab::topology::Lan;
use vrrp_lab::wire::{Arp, ETHERTYPE_IPV4, Ethernet, Ip, Mac, icmp_echo, udp};

/// Time between two datagrams.
pub(crate) const STEP: Duration = Duration::from_micros(100);
/// One step in this many also asks the virtual address for an echo.
const ECHO: u32 = 2;
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
    /// In order of arrival, the numbers of the echoes that came back.
    echoed: Mutex<Vec<u32>>,
}

/// A running stream.
pub(crate) struct Stream {
    log: Arc<Log>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// What became of what left between two moments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    /// Datagrams that nobody forwarded.
    pub(crate) lost: usize,
    /// From the last that was served before the longest loss to the first that was served after it; zero without a loss.
    pub(crate) gap: Duration,
    /// The same for echoes.
    pub(crate) unanswered: usize,
    /// The same for echoes.
    pub(crate) address_gap: Duration,
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
        stream.listen_echoes(lan);
        stream.send(lan);
        stream
    }

    fn listen(&mut self, lan: &Lan) {
        let socket = lan
            .upstream
            .enter(|| PacketSocket::open_filtered("eth0", &to_port()))
            .expect("the upstream host has its interface");
        let routers: Vec<Mac> = lan.routers.iter().map(|r| mac_of(r, "eth1")).collect();
        let log = Arc::clone(&self.log);
        self.hear(socket, move |frame, _| {
            let number = frame.get(NUMBER..).and_then(<[u8]>::first_chunk);
            let by = routers
                .iter()
                .position(|mac| frame.get(6..12) == Some(&mac.0));
            if let (Some(number), Some(by)) = (number, by) {
                let by = u8::try_from(by).unwrap_or(u8::MAX);
                lock(&log.arrived).push((u32::from_be_bytes(*number), by));
            }
        });
    }

    fn listen_echoes(&mut self, lan: &Lan) {
        let socket = lan
            .client
            .enter(|| PacketSocket::open_filtered("eth0", &echoes()))
            .expect("the client has its interface");
        let log = Arc::clone(&self.log);
        self.hear(socket, move |frame, outgoing| {
            // An echo carries the number in the place of its identifier and sequence.
            let number = frame.get(14 + 20 + 4..).and_then(<[u8]>::first_chunk);
            if let Some(number) = number
                && !outgoing
            {
                lock(&log.echoed).push(u32::from_be_bytes(*number));
            }
        });
    }

    /// Gives each frame to `take`, with whether it is one that leaves.
    fn hear(&mut self, socket: PacketSocket, take: impl Fn(&[u8], bool) + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut buffer = [0; 128];
            while !stop.load(Ordering::Relaxed) {
                if let Ok(Some(received)) = socket.receive(&mut buffer) {
                    let length = received.length.min(buffer.len());
                    take(&buffer[..length], received.outgoing);
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
        let to_gateway = Ethernet {
            destination: Profile::V3Ipv4.virtual_mac(),
            source: mac,
            ethertype: ETHERTYPE_IPV4,
        };
        let echo = move |number: u32| {
            let [a, b, c, d] = number.to_be_bytes();
            let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let (from, to) = (IpAddr::V4(CLIENT), IpAddr::V4(GATEWAY));
            let echo = icmp_echo(from, to, id, sequence);
            to_gateway.frame(&Ip::new(from, to, 64, 1).packet(&echo))
        };
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
                lock(&log.sent).push(Stamp::now());
                // What cannot leave is a loss like any other.
                let _ = socket.send(&frame);
                if number.is_multiple_of(ECHO) {
                    let _ = socket.send(&echo(number));
                }
                if number.is_multiple_of(QUESTION) {
                    let _ = socket.send(&question);
                }
                due = (due + STEP).max(Stamp::now() - STEP * 20);
                due.sleep_until();
            }
        }));
    }

    /// For each step between two moments: when, the routers that forwarded its datagram as bits, and whether its echo came
    /// back, if it asked for one.
    fn between(&self, from: Stamp, until: Stamp) -> Vec<Step> {
        let sent = lock(&self.log.sent);
        let first = sent.partition_point(|at| *at < from);
        let last = sent.partition_point(|at| *at < until);
        let step = |(number, at): (usize, &Stamp)| Step {
            at: *at,
            by: 0,
            echo: (first + number)
                .is_multiple_of(ECHO as usize)
                .then_some(false),
        };
        let mut steps: Vec<Step> = sent[first..last].iter().enumerate().map(step).collect();
        drop(sent);
        let arrived = lock(&self.log.arrived);
        for ((_, by), place) in since(&arrived, |(number, _)| *number, first) {
            if let Some(step) = steps.get_mut(place) {
                step.by |= 1 << by;
            }
        }
        drop(arrived);
        let echoed = lock(&self.log.echoed);
        for (_, place) in since(&echoed, |number| *number, first) {
            if let Some(step) = steps.get_mut(place) {
                step.echo = Some(true);
            }
        }
        steps
    }

    /// What became of all between two moments; the last of them must have had time to arrive.
    pub(crate) fn fate(&self, from: Stamp, until: Stamp) -> Fate {
        let steps = self.between(from, until);
        let datagrams: Vec<(Stamp, bool)> =
            steps.iter().map(|step| (step.at, step.by != 0)).collect();
        let echoes: Vec<(Stamp, bool)> = steps
            .iter()
            .filter_map(|step| Some((step.at, step.echo?)))
            .collect();
        let lost = |probes: &[(Stamp, bool)]| probes.iter().filter(|(_, served)| !served).count();
        Fate {
            lost: lost(&datagrams),
            gap: gap(&datagrams, from, until),
            unanswered: lost(&echoes),
            address_gap: gap(&echoes, from, until),
        }
    }

    /// When the first echo since `from` was asked for that came back.
    pub(crate) fn first_echo(&self, from: Stamp) -> Option<Stamp> {
        let steps = self.between(from, Stamp::now());
        let step = steps.into_iter().find(|step| step.echo == Some(true));
        step.map(|step| step.at)
    }

    /// When the first datagram since `from` left that this router forwarded.
    pub(crate) fn first_by(&self, router: u8, from: Stamp) -> Option<Stamp> {
        let all = self.between(from, Stamp::now());
        all.into_iter()
            .find(|step| step.by & (1 << router) != 0)
            .map(|step| step.at)
    }

    /// When the last datagram of those between two moments left that this router forwarded.
    pub(crate) fn last_by(&self, router: u8, from: Stamp, until: Stamp) -> Option<Stamp> {
        let all = self.between(from, until);
        all.into_iter()
            .rfind(|step| step.by & (1 << router) != 0)
            .map(|step| step.at)
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

/// One step of the sender.
#[derive(Clone, Copy)]
struct Step {
    at: Stamp,
    by: u8,
    echo: Option<bool>,
}

/// What a log in order of arrival has of the numbers from `first` on, and how far each is behind that. Hardly anything
/// overtakes more than a few thousand others; but what a router kept back for seconds, until it knew its neighbour, may
/// come at any time.
fn since<T: Copy>(
    log: &[T],
    number: impl Fn(&T) -> u32,
    first: usize,
) -> impl Iterator<Item = (T, usize)> {
    let mut strays = 0;
    let near = move |(_, number): &(T, usize)| {
        strays += usize::from(number + 5000 < first);
        strays < 1000
    };
    let newest = log.iter().rev();
    newest
        .map(move |entry| (*entry, number(entry) as usize))
        .take_while(near)
        .filter_map(move |(entry, number)| Some((entry, number.checked_sub(first)?)))
}

/// From the last probe that was served before the longest loss to the first that was served after it, by the time they left.
fn gap(probes: &[(Stamp, bool)], from: Stamp, until: Stamp) -> Duration {
    let (mut longest, mut served, mut broken) = (Duration::ZERO, from, false);
    for (at, ok) in probes {
        if !ok {
            broken = true;
            continue;
        }
        if broken {
            longest = longest.max(at.since(served));
        }
        (served, broken) = (*at, false);
    }
    if broken {
        longest = longest.max(until.since(served));
    }
    longest
}

fn lock<T>(log: &Mutex<T>) -> MutexGuard<'_, T> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Echo replies: the kernel sorts them out.
fn echoes() -> [SockFilter; 8] {
    [
        SockFilter::new(0x28, 0, 0, 12),
        SockFilter::new(0x15, 0, 5, ETHERTYPE_IPV4.into()),
        SockFilter::new(0x30, 0, 0, 23),
        SockFilter::new(0x15, 0, 3, 1),
        SockFilter::new(0x30, 0, 0, 34),
        SockFilter::new(0x15, 0, 1, 0),
        SockFilter::new(0x06, 0, 0, 128),
        SockFilter::new(0x06, 0, 0, 0),
    ]
}

/// Datagrams to our port: the kernel sorts them out.
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

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_lab::clock::ms;

    #[test]
    fn what_comes_late_hides_nothing() {
        let mut log: Vec<u32> = (0..100_000).collect();
        log.splice(99_990..99_990, [3, 80_000]);
        let found: Vec<usize> = since(&log, |number| *number, 99_000)
            .map(|(_, place)| place)
            .collect();
        assert_eq!(found, (0..1000).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_gap_is_from_served_to_served() {
        let zero = Stamp::now();
        let probes: Vec<(Stamp, bool)> = (0..100)
            .map(|n| (zero + ms(n), !(10..30).contains(&n) && n != 50))
            .collect();
        assert_eq!(gap(&probes, zero, zero + ms(100)), ms(21));
        assert_eq!(gap(&probes[..25], zero, zero + ms(25)), ms(16));
        assert_eq!(gap(&probes[60..], zero + ms(60), zero + ms(100)), ms(0));
    }
}
