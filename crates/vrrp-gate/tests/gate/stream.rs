//! Frames at a steady pace, each with the time at which it was sent, and which of them arrived.

use std::io::Read;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::bind;
use socket2::{Domain, Protocol, Socket, Type};

use crate::world::{Namespace, now};

/// An EtherType for experiments (IEEE 802 local).
pub const TYPE: u16 = 0x88b5;
pub const PHYSICAL: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// Which way, seen from the router.
#[derive(Clone, Copy)]
pub enum Way {
    In,
    Out,
}

/// A frame that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub sent: u64,
    pub received: u64,
    /// The MAC address it came from.
    pub source: [u8; 6],
}

/// Frames on their way from one interface to another, until it is stopped.
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Vec<u64>>,
    receiver: JoinHandle<Vec<Arrival>>,
}

impl Stream {
    /// From `from` to `to`, a frame each `pace`.
    pub fn start(
        from: (&Namespace, &str),
        to: (&Namespace, &str),
        frame: impl Fn() -> Vec<u8> + Send + 'static,
        pace: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let receiver = packet_socket(to.0, to.1);
        receiver
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        receiver.set_recv_buffer_size(8 << 20).unwrap();
        let sender = packet_socket(from.0, from.1);
        let stopped = Arc::clone(&stop);
        let sender = thread::spawn(move || {
            let mut stamps = Vec::new();
            let mut next = now();
            while !stopped.load(Ordering::Relaxed) {
                let mut bytes = frame();
                let stamp = now();
                bytes.extend_from_slice(&stamp.to_be_bytes());
                bytes.resize(bytes.len().max(64), 0);
                match sender.send(&bytes) {
                    // That is how the sender hears of a frame that was dropped on its way out.
                    Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                    sent => drop(sent.unwrap()),
                }
                stamps.push(stamp);
                next += u64::try_from(pace.as_nanos()).unwrap();
                let left = next.saturating_sub(now());
                thread::sleep(Duration::from_nanos(left));
            }
            stamps
        });
        let stopped = Arc::clone(&stop);
        let receiver = thread::spawn(move || {
            let mut arrivals = Vec::new();
            let mut buffer = [0; 2048];
            loop {
                // Whatever is queued when it is stopped is read to the end.
                let last = stopped.load(Ordering::Relaxed);
                match (&receiver).read(&mut buffer) {
                    Ok(length) => arrivals.extend(arrival(&buffer[..length])),
                    Err(_) if last => return arrivals,
                    Err(_) => {}
                }
            }
        });
        Self {
            stop,
            sender,
            receiver,
        }
    }

    /// When they were sent, and those that arrived.
    pub fn stop(self) -> (Vec<u64>, Vec<Arrival>) {
        self.stop.store(true, Ordering::Relaxed);
        (self.sender.join().unwrap(), self.receiver.join().unwrap())
    }
}

/// The beginning of a frame of the virtual MAC address, that the router would get (`In`) or send (`Out`).
pub fn header(way: Way, address: [u8; 6]) -> Vec<u8> {
    let (to, from) = match way {
        Way::In => (address, PHYSICAL),
        Way::Out => (PHYSICAL, address),
    };
    [&to[..], &from[..], &TYPE.to_be_bytes()[..]].concat()
}

/// A virtual MAC address.
pub const fn virtual_mac(block: u8, vrid: u8) -> [u8; 6] {
    [0, 0, 0x5e, 0, block, vrid]
}

fn arrival(frame: &[u8]) -> Option<Arrival> {
    let received = now();
    let at = frame.windows(2).position(|two| two == TYPE.to_be_bytes())?;
    let sent = frame.get(at + 2..at + 10)?.try_into().ok()?;
    Some(Arrival {
        sent: u64::from_be_bytes(sent),
        received,
        source: *frame.get(6..)?.first_chunk()?,
    })
}

/// A socket for frames of our EtherType at this interface. Those that come in have passed the filters there: sockets for
/// one EtherType stand behind them.
pub fn packet_socket(namespace: &Namespace, interface: &str) -> Socket {
    namespace.enter(|| {
        let socket = Socket::new(
            Domain::PACKET,
            Type::RAW,
            Some(Protocol::from(i32::from(TYPE.to_be()))),
        )
        .unwrap();
        let address = getifaddrs()
            .unwrap()
            .filter(|found| found.interface_name == interface)
            .find_map(|found| found.address?.as_link_addr().copied())
            .unwrap();
        // No EtherType in there: that of the socket stays.
        bind(socket.as_raw_fd(), &address).unwrap();
        socket
    })
}
