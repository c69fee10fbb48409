//! The frame log: everything that crossed one end of a cable, with the kernel's stamps.

use crate::clock::{Stamp, wait_for};
use crate::netns::Namespace;
use crate::socket::PacketSocket;
use crate::wire::{Heard, Mac, Packet, Payload};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// One frame of the log.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When the kernel saw it.
    pub at: Stamp,
    /// Whether this end sent it.
    pub outgoing: bool,
    /// What it is.
    pub packet: Packet,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// An advertisement of the log.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When the kernel saw it.
    pub at: Stamp,
    /// The frame it came in.
    pub frame: Frame,
    /// The message.
    pub heard: Heard,
}

/// A running capture of one interface.
pub struct Capture {
    frames: Arc<Mutex<Vec<Frame>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts capturing `interface` of `namespace`.
    ///
    /// # Panics
    /// If the interface does not exist.
    #[must_use]
    pub fn start(namespace: &Namespace, interface: &str) -> Self {
        Self::start_with(namespace, interface, |_| {})
    }

    /// Starts capturing and shows each frame to `witness`, on the capturing thread, before it is logged.
    ///
    /// # Panics
    /// If the interface does not exist.
    #[must_use]
    pub fn start_with(
        namespace: &Namespace,
        interface: &str,
        mut witness: impl FnMut(&Frame) + Send + 'static,
    ) -> Self {
        let socket = namespace
            .enter(|| PacketSocket::open(interface))
            .unwrap_or_else(|error| panic!("{interface}: {error}"));
        let frames = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (log, end) = (Arc::clone(&frames), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !end.load(Ordering::Relaxed) {
                let Ok(received) = socket.receive(&mut buffer) else {
                    return;
                };
                let Some(received) = received else { continue };
                let bytes = &buffer[..received.length];
                if let Some(packet) = Packet::read(bytes) {
                    let frame = Frame {
                        at: received.at,
                        outgoing: received.outgoing,
                        packet,
                        bytes: bytes.to_vec(),
                    };
                    witness(&frame);
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(frame);
                }
            }
        });
        Self {
            frames,
            stop,
            thread: Some(thread),
        }
    }

    /// The frames since `from` that `wanted` picks.
    pub fn pick<T>(&self, from: Stamp, mut wanted: impl FnMut(&Frame) -> Option<T>) -> Vec<T> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        // Frames are logged in order of arrival, so the recent ones are at the end.
        let start = frames.partition_point(|frame| frame.at < from);
        frames[start..].iter().filter_map(&mut wanted).collect()
    }

    /// Waits for the first frame since `from` that `wanted` picks.
    pub fn wait<T>(
        &self,
        from: Stamp,
        limit: Duration,
        mut wanted: impl FnMut(&Frame) -> Option<T>,
    ) -> Option<T> {
        wait_for(limit, || self.pick(from, &mut wanted).into_iter().next())
    }

    /// The advertisements since `from`, sent by others unless the capture is a bystander's.
    #[must_use]
    pub fn adverts(&self, from: Stamp) -> Vec<Sighting> {
        self.pick(from, sighting)
    }

    /// Every hardware address that answered for `address` since `from`: ARP replies and solicited NAs,
    /// by the Ethernet source and by the address inside.
    #[must_use]
    pub fn answers_for(&self, address: IpAddr, from: Stamp) -> BTreeSet<Mac> {
        self.pick(from, |frame| {
            (!frame.outgoing).then_some(())?;
            answer_for(frame, address).map(|inside| [inside, frame.packet.ethernet.source])
        })
        .into_iter()
        .flatten()
        .collect()
    }

    /// The frames since `from` that came from elsewhere and carry `mac` as their source.
    #[must_use]
    pub fn sent_by(&self, mac: Mac, from: Stamp) -> Vec<Frame> {
        self.pick(from, |frame| {
            (frame.packet.ethernet.source == mac && !frame.outgoing).then(|| frame.clone())
        })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An advertisement that came from the other end.
#[must_use]
pub fn sighting(frame: &Frame) -> Option<Sighting> {
    let heard = frame.packet.advert()?;
    (!frame.outgoing).then(|| Sighting {
        at: frame.at,
        frame: frame.clone(),
        heard: heard.clone(),
    })
}

/// The hardware address a frame gives out for `address` in answer to a question.
#[must_use]
pub fn answer_for(frame: &Frame, address: IpAddr) -> Option<Mac> {
    let packet = &frame.packet;
    let by_arp = packet
        .arp()
        .filter(|arp| arp.operation == 2 && !arp.is_gratuitous() && arp.sender_ip == address)
        .map(|arp| arp.sender_mac);
    let by_nd = packet
        .neighbour_advert()
        .filter(|advert| advert.solicited && advert.target == address)
        .map(|advert| advert.target_mac.unwrap_or(packet.ethernet.source));
    by_arp.or(by_nd)
}

/// Whether a frame announces `address` unasked: gratuitous ARP or an unsolicited neighbour advertisement.
#[must_use]
pub fn announces(frame: &Frame, address: IpAddr) -> bool {
    frame
        .packet
        .arp()
        .is_some_and(|arp| arp.is_gratuitous() && arp.sender_ip == address)
        || frame
            .packet
            .neighbour_advert()
            .is_some_and(|advert| !advert.solicited && advert.target == address)
}

/// Whether a frame is an advertisement, a router advertisement, from a virtual MAC, or names one of `virtual_addresses`
/// as its own: what no Backup may send.
#[must_use]
pub fn speaks_for(frame: &Frame, virtual_addresses: &[IpAddr]) -> bool {
    let packet = &frame.packet;
    let own = |address: IpAddr| virtual_addresses.contains(&address);
    packet.advert().is_some()
        || matches!(packet.payload, Payload::RouterAdvert)
        || packet.ethernet.source.is_virtual()
        || packet.arp().is_some_and(|arp| own(arp.sender_ip.into()))
        || packet
            .neighbour_advert()
            .is_some_and(|advert| own(advert.target.into()))
        || packet.ip.as_ref().is_some_and(|ip| own(ip.source))
}
