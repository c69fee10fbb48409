//! Addresses as they come and go: the kernel's own notices, with the time they were read.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use vrrp_lab::clock::Stamp;
use vrrp_lab::netns::Namespace;
use vrrp_lab::priority;

/// `RTMGRP_IPV4_IFADDR`, `RTM_NEWADDR`, `RTM_DELADDR`, `IFA_LOCAL`.
const GROUP: u32 = 0x10;
const NEW: u16 = 20;
const GONE: u16 = 21;
const LOCAL: u16 = 2;

type Log = Arc<Mutex<Vec<(Stamp, bool, Ipv4Addr)>>>;

/// A running census.
pub(crate) struct Census {
    log: Log,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Census {
    pub(crate) fn start(namespace: &Namespace) -> Self {
        let descriptor = namespace.enter(|| {
            let descriptor = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkRoute,
            )
            .expect("netlink is there");
            setsockopt(&descriptor, sockopt::RcvBufForce, &(8 << 20)).expect("root may");
            setsockopt(
                &descriptor,
                sockopt::ReceiveTimeout,
                &TimeVal::milliseconds(20),
            )
            .expect("a socket takes a timeout");
            bind(descriptor.as_raw_fd(), &NetlinkAddr::new(0, GROUP)).expect("a group to hear");
            descriptor
        });
        let (log, stop) = (Log::default(), Arc::new(AtomicBool::new(false)));
        let (kept, end) = (Arc::clone(&log), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            priority::raise();
            let mut buffer = [0; 65_536];
            while !end.load(Ordering::Relaxed) {
                match recv(descriptor.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(length) => {
                        let at = Stamp::now();
                        let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                        log.extend(notices(&buffer[..length]).map(|(new, ip)| (at, new, ip)));
                    }
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(error) => panic!("the kernel's notices: {error}"),
                }
            }
        });
        Self {
            log,
            stop,
            thread: Some(thread),
        }
    }

    /// When each virtual address that has come, or gone, since a moment did so first.
    pub(crate) fn changes(&self, from: Stamp, came: bool) -> BTreeMap<Ipv4Addr, Stamp> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = BTreeMap::new();
        for (at, new, ip) in log.iter().filter(|(at, ..)| *at >= from) {
            if *new == came && ip.octets()[3] >= 253 {
                first.entry(*ip).or_insert(*at);
            }
        }
        first
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The addresses that a datagram of netlink messages speaks of, and whether they are new.
fn notices(mut bytes: &[u8]) -> impl Iterator<Item = (bool, Ipv4Addr)> {
    std::iter::from_fn(move || {
        let (message, kind, rest) = message(bytes)?;
        bytes = rest;
        Some((kind, message))
    })
    .filter(|(kind, _)| matches!(*kind, NEW | GONE))
    .filter_map(|(kind, message)| {
        let mut attributes = message.get(16 + 8..)?;
        while let Some(([a, b, c, d], _)) = attributes.split_first_chunk() {
            let (length, name) = (
                usize::from(u16::from_ne_bytes([*a, *b])),
                u16::from_ne_bytes([*c, *d]),
            );
            let value = attributes.get(4..length)?;
            if name == LOCAL {
                let octets: [u8; 4] = value.try_into().ok()?;
                return Some((kind == NEW, octets.into()));
            }
            attributes = attributes.get(length.next_multiple_of(4)..)?;
        }
        None
    })
}

/// The first message, its kind, and what follows it.
fn message(bytes: &[u8]) -> Option<(&[u8], u16, &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let message = bytes.get(..length).filter(|_| length >= 16)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((message, kind, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_read() {
        let notice = |kind: u16, ip: [u8; 4]| {
            let mut bytes = Vec::new();
            bytes.extend(40_u32.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 10]);
            bytes.extend([0; 8]);
            for (name, value) in [(1_u16, [9, 9, 9, 9]), (LOCAL, ip)] {
                bytes.extend(8_u16.to_ne_bytes());
                bytes.extend(name.to_ne_bytes());
                bytes.extend(value);
            }
            bytes
        };
        let both = [notice(NEW, [10, 0, 1, 254]), notice(GONE, [10, 0, 2, 254])].concat();
        let seen: Vec<(bool, Ipv4Addr)> = notices(&both).collect();
        assert_eq!(
            seen,
            [
                (true, [10, 0, 1, 254].into()),
                (false, [10, 0, 2, 254].into())
            ]
        );
        assert_eq!(notices(&both[..30]).count(), 0);
    }
}
