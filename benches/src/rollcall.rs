//! Every virtual address is asked by ARP and by an echo to its virtual MAC address, and each answer has its time.

use crate::fleet::Orders;
use crate::ground::Ground;
use socket2::SockFilter;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::priority;
use vrrp_lab::socket::PacketSocket;
use vrrp_lab::wire::{Arp, ETHERTYPE_ARP, ETHERTYPE_IPV4, Ethernet, Ip, Mac, icmp_echo};

/// Who has not answered is asked again after this long, which is finer than what is to be measured.
const AGAIN: Duration = ms(5);

/// An address, and the frames that ask for it by ARP and by an echo.
type Question = (Ipv4Addr, [Vec<u8>; 2]);

/// First answers: by address, to ARP and to the echo.
type Answers = Arc<Mutex<BTreeMap<Ipv4Addr, [Option<Stamp>; 2]>>>;

/// Ready to call.
pub(crate) struct RollCall {
    /// The questions of each interface's network, and the socket they go by.
    networks: Vec<(PacketSocket, Vec<Question>)>,
    answers: Answers,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Called {
    /// How many answered both questions.
    pub(crate) present: usize,
    /// When the last of all answers came; `None` while some are missing.
    pub(crate) complete: Option<Stamp>,
}

impl RollCall {
    /// Writes the questions and begins to listen.
    pub(crate) fn prepare(ground: &Ground, orders: &Orders) -> Self {
        let (answers, stop) = (Answers::default(), Arc::new(AtomicBool::new(false)));
        let mut call = Self {
            networks: Vec::new(),
            answers,
            stop,
            threads: Vec::new(),
        };
        for parent in 0..ground.parents {
            let (client, interface, mac, host) = ground.host(parent).expect("a switched ground");
            let open = |program: &[SockFilter]| {
                client
                    .enter(|| PacketSocket::open_filtered(&interface, program))
                    .unwrap_or_else(|error| panic!("{interface}: {error}"))
            };
            call.listen(open(&arp_and_echo()));
            let questions = orders.all().filter(|(of, _)| *of == parent);
            let questions = questions.map(|(_, vrid)| {
                let ip = Ground::virtual_ip(parent, vrid);
                let way = Ip::new(IpAddr::V4(host), IpAddr::V4(ip), 64, 1);
                let echo = icmp_echo(IpAddr::V4(host), IpAddr::V4(ip), parent.into(), vrid.into());
                let to_router = Ethernet {
                    destination: Mac::virtual_v4(vrid),
                    source: mac,
                    ethertype: ETHERTYPE_IPV4,
                };
                let arp = Arp::request(mac, host, ip).frame_to(Mac::BROADCAST);
                (ip, [arp, to_router.frame(&way.packet(&echo))])
            });
            let questions = questions.collect();
            call.networks
                .push((open(&[SockFilter::new(0x06, 0, 0, 0)]), questions));
        }
        call
    }

    fn listen(&mut self, socket: PacketSocket) {
        let (answers, stop) = (Arc::clone(&self.answers), Arc::clone(&self.stop));
        self.threads.push(std::thread::spawn(move || {
            priority::raise();
            let mut buffer = [0; 128];
            while !stop.load(Ordering::Relaxed) {
                let Ok(Some(received)) = socket.receive(&mut buffer) else {
                    continue;
                };
                if let Some((ip, kind)) = read(&buffer[..received.length.min(128)]) {
                    lock(&answers).entry(ip).or_default()[kind].get_or_insert(received.at);
                }
            }
        }));
    }

    /// Asks each as soon as it is `ready`, until all have answered, for at most `limit`.
    pub(crate) fn call(&self, limit: Duration, ready: impl Fn() -> BTreeSet<Ipv4Addr>) -> Called {
        lock(&self.answers).clear();
        let begun = Stamp::now();
        let mut asked: BTreeMap<Ipv4Addr, Stamp> = BTreeMap::new();
        loop {
            let ready = ready();
            for (socket, questions) in &self.networks {
                let frames = self.due(questions, &ready, &mut asked);
                // A full queue is a lost question, and lost questions are asked again.
                let mut rest = &frames[..];
                while !rest.is_empty()
                    && let Ok(sent @ 1..) = socket.send_many(rest)
                {
                    rest = &rest[sent..];
                }
            }
            let called = self.state();
            if called.complete.is_some() || Stamp::now().since(begun) > limit {
                return called;
            }
            std::thread::sleep(ms(1));
        }
    }

    /// What is to be asked now: of those who are ready what was never asked, or long ago, and has no answer.
    fn due(
        &self,
        questions: &[Question],
        ready: &BTreeSet<Ipv4Addr>,
        asked: &mut BTreeMap<Ipv4Addr, Stamp>,
    ) -> Vec<Vec<u8>> {
        let now = Stamp::now();
        let answers = lock(&self.answers);
        let mut frames = Vec::new();
        for (ip, both) in questions.iter().filter(|(ip, _)| ready.contains(ip)) {
            if asked
                .get(ip)
                .is_some_and(|before| now.since(*before) < AGAIN)
            {
                continue;
            }
            asked.insert(*ip, now);
            let got = answers.get(ip).copied().unwrap_or_default();
            let open = both.iter().zip(got).filter(|(_, got)| got.is_none());
            frames.extend(open.map(|(frame, _)| frame.clone()));
        }
        frames
    }

    fn state(&self) -> Called {
        let wanted: usize = self
            .networks
            .iter()
            .map(|(_, questions)| questions.len())
            .sum();
        let answers = lock(&self.answers);
        let both: Vec<Stamp> = answers
            .values()
            .filter_map(|got| Some(got[0]?.max(got[1]?)))
            .collect();
        Called {
            present: both.len(),
            complete: both.iter().max().copied().filter(|_| both.len() >= wanted),
        }
    }
}

impl Drop for RollCall {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whose answer a frame is, and to which question.
fn read(frame: &[u8]) -> Option<(Ipv4Addr, usize)> {
    let body = frame.get(14..)?;
    if frame.get(12..14)? == ETHERTYPE_ARP.to_be_bytes() {
        let sender: [u8; 4] = *body.get(14..)?.first_chunk()?;
        let target: [u8; 4] = *body.get(24..)?.first_chunk()?;
        let reply = body.get(6..8)? == [0, 2] && sender != target;
        return reply.then(|| (sender.into(), 0));
    }
    let source: [u8; 4] = *body.get(12..)?.first_chunk()?;
    (*body.get(20)? == 0).then(|| (source.into(), 1))
}

/// ARP and ICMP.
fn arp_and_echo() -> [SockFilter; 7] {
    [
        SockFilter::new(0x28, 0, 0, 12),
        SockFilter::new(0x15, 3, 0, ETHERTYPE_ARP.into()),
        SockFilter::new(0x15, 0, 3, ETHERTYPE_IPV4.into()),
        SockFilter::new(0x30, 0, 0, 23),
        SockFilter::new(0x15, 0, 1, 1),
        SockFilter::new(0x06, 0, 0, 128),
        SockFilter::new(0x06, 0, 0, 0),
    ]
}
