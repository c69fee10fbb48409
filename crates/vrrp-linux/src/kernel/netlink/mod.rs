//! Conversation with the kernel over netlink. Types of the netlink crates stay in here.
//!
//! Two sockets: one asks and is answered, the other listens. The kernel queues the notification of a change before it
//! acknowledges the change, so after a batch was acknowledged the listener holds all of its consequences.
//!
//! Messages are built with `rtnetlink`'s builders and read attribute by attribute: of a few dozen attributes of a link
//! nine matter, and one that a future kernel sends in another shape must not hide the link.

mod decode;
mod encode;
mod message;
mod nftables;
mod paths;
mod tidings;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};
use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};

pub(super) use tidings::{Destination, Interest, Listener, Route, Tiding};

pub(super) use nftables::{Hook, Term, Transaction, Transactions};
pub(super) use paths::Paths;

use super::observed::{Address, Event, Link};
use super::op::Op;

/// Room for one datagram; the kernel fills at most half of it.
const DATAGRAM: usize = 64 * 1024;

/// Room for what was not read yet. A thousand links need about 2 MiB. When it is full the kernel drops notifications,
/// says so once (`ENOBUFS`), and the picture is taken anew.
const MONITOR_BUFFER: usize = 16 * 1024 * 1024;

/// Room for acknowledgements of one batch, and for the batch.
const REQUEST_BUFFER: usize = 4 * 1024 * 1024;

/// Messages in one batch; each may be answered by an error of about 1 KiB of buffer.
const BATCH: usize = 1024;

/// `linux/netlink.h`: what is dumped changed meanwhile.
const NLM_F_DUMP_INTR: u16 = 0x10;

/// The kernel's "no".
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) errno: i32,
    /// What the kernel adds in words.
    pub(super) detail: Option<String>,
}

impl Refusal {
    pub(super) const fn new(errno: i32) -> Self {
        Self {
            errno,
            detail: None,
        }
    }

    pub(super) fn of(error: &io::Error) -> Self {
        Self::new(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errno = nix::errno::Errno::from_raw(self.errno);
        write!(f, "{} ({errno:?})", errno.desc())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

fn open(protocol: isize, receive: usize) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    // Beyond `net.core.rmem_max` with CAP_NET_ADMIN only; otherwise as far as allowed.
    if setsockopt(&socket.as_fd(), sockopt::RcvBufForce, &receive).is_err() {
        let _ = setsockopt(&socket.as_fd(), sockopt::RcvBuf, &receive);
    }
    Ok(socket)
}

/// Receives one datagram into `buffer`; `None` when nothing waits.
fn receive(socket: &Socket, buffer: &mut Vec<u8>) -> io::Result<Option<()>> {
    loop {
        buffer.clear();
        buffer.reserve(DATAGRAM);
        match socket.recv(buffer, libc::MSG_DONTWAIT) {
            Ok(_) => return Ok(Some(())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The messages of one datagram.
fn messages(datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let message = NetlinkBuffer::new_checked(rest).ok()?;
        let length = usize::try_from(message.length()).ok()?;
        let whole = &rest[..length];
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(NetlinkBuffer::new(whole))
    })
}

/// All that can be read in a datagram of either family, for a fuzzer.
pub(super) fn read_all(datagram: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    for message in messages(datagram) {
        events.extend(decode::event(&message));
        let _ = decode::acknowledgement(&message);
        let _ = decode::is_about_table(&message, "vrrpd");
        let _ = decode::table_use(&message);
    }
    events
}

/// The socket that asks.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Requests {
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(NETLINK_ROUTE, REQUEST_BUFFER)?;
        if setsockopt(&socket.as_fd(), sockopt::SndBufForce, &REQUEST_BUFFER).is_err() {
            let _ = setsockopt(&socket.as_fd(), sockopt::SndBuf, &REQUEST_BUFFER);
        }
        socket.connect(&SocketAddr::new(0, 0))?;
        // Errors carry a sentence, and not the message they are about.
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        Ok(Self {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// The kernel's number for this socket: its notifications say whose change they are about.
    pub(super) fn port(&self) -> u32 {
        let mut address = SocketAddr::new(0, 0);
        // Nobody has 0, so every change would be a stranger's.
        let known = self.socket.get_address(&mut address).is_ok();
        if known { address.port_number() } else { 0 }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.sequence
    }

    /// All links of the namespace, without addresses.
    pub(super) fn links(&mut self) -> io::Result<Vec<Link>> {
        self.dump(&encode::dump_links(), |message| {
            match decode::event(message) {
                Some(Event::Link(link)) => Some(link),
                _ => None,
            }
        })
    }

    /// All addresses of the namespace with the indexes of their links.
    pub(super) fn addresses(&mut self) -> io::Result<Vec<(u32, Address)>> {
        self.dump(&encode::dump_addresses(), |message| {
            match decode::event(message) {
                Some(Event::Address(link, address)) => Some((link, address)),
                _ => None,
            }
        })
    }

    fn dump<T>(
        &mut self,
        request: &encode::Request,
        read: impl Fn(&NetlinkBuffer<&[u8]>) -> Option<T>,
    ) -> io::Result<Vec<T>> {
        const ATTEMPTS: usize = 5;
        let mut items = Vec::new();
        for _ in 0..ATTEMPTS {
            items.clear();
            let sequence = self.next_sequence();
            let mut bytes = Vec::new();
            request.write(&mut bytes, NLM_F_REQUEST | NLM_F_DUMP, sequence);
            self.socket.send(&bytes, 0)?;
            if self.read_dump(sequence, &read, &mut items)? {
                return Ok(items);
            }
        }
        // Something changes all the time; what changed during the dump is also notified.
        Ok(items)
    }

    /// Reads the answers to a dump; whether nothing changed meanwhile.
    fn read_dump<T>(
        &mut self,
        sequence: u32,
        read: impl Fn(&NetlinkBuffer<&[u8]>) -> Option<T>,
        items: &mut Vec<T>,
    ) -> io::Result<bool> {
        let mut consistent = true;
        while receive(&self.socket, &mut self.buffer)?.is_some() {
            for message in messages(&self.buffer) {
                if message.sequence_number() != sequence {
                    continue;
                }
                consistent &= message.flags() & NLM_F_DUMP_INTR == 0;
                match i32::from(message.message_type()) {
                    libc::NLMSG_DONE => return Ok(consistent),
                    libc::NLMSG_ERROR => {
                        let errno =
                            decode::acknowledgement(&message).map_or(libc::EPROTO, |it| it.errno);
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    _ => items.extend(read(&message)),
                }
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENOBUFS))
    }

    /// Does `ops` in order, one batch after the other, and says which were refused.
    ///
    /// # Errors
    /// The kernel could not be asked, or its answer was lost: then nothing is known about the outcome.
    pub(super) fn run(&mut self, ops: &[&Op]) -> io::Result<Vec<(usize, Refusal)>> {
        let mut requests = Vec::with_capacity(ops.len());
        encode::requests(ops, &mut requests);
        let mut refused = Vec::new();
        for batch in requests.chunks(BATCH) {
            self.batch(batch, &mut refused)?;
        }
        Ok(refused)
    }

    /// Sends `batch` with one call. Only the last message asks for an acknowledgement: errors are always answered, and
    /// the kernel works in order.
    fn batch(
        &mut self,
        batch: &[(usize, encode::Request)],
        refused: &mut Vec<(usize, Refusal)>,
    ) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::with_capacity(batch.len() * 160);
        let mut last = 0;
        for (number, (_, request)) in batch.iter().enumerate() {
            last = self.next_sequence();
            let ack = if number + 1 == batch.len() {
                NLM_F_ACK
            } else {
                0
            };
            request.write(&mut bytes, NLM_F_REQUEST | ack, last);
        }
        self.socket.send(&bytes, 0)?;
        while receive(&self.socket, &mut self.buffer)?.is_some() {
            for message in messages(&self.buffer) {
                let sequence = message.sequence_number();
                let position = sequence.wrapping_sub(first) as usize;
                let Some((op, _)) = batch.get(position) else {
                    continue;
                };
                if let Some(refusal) = decode::acknowledgement(&message)
                    && refusal.errno != 0
                {
                    refused.push((*op, refusal));
                }
                if sequence == last {
                    return Ok(());
                }
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENOBUFS))
    }
}

/// How a drain of a listener ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Drained {
    /// All was read.
    Whole,
    /// The kernel had to drop some.
    Lossy,
}

/// The socket that listens.
pub(super) struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Monitor {
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(NETLINK_ROUTE, MONITOR_BUFFER)?;
        for group in [
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
            libc::RTNLGRP_IPV6_IFINFO,
            libc::RTNLGRP_IPV4_NETCONF,
            libc::RTNLGRP_IPV6_NETCONF,
        ] {
            socket.add_membership(group)?;
        }
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Hands over all notifications that wait.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Event)) -> io::Result<Drained> {
        let mut drained = Drained::Whole;
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Ok(None) => return Ok(drained),
                Ok(Some(())) => {
                    for event in
                        messages(&self.buffer).filter_map(|message| decode::event(&message))
                    {
                        each(event);
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    drained = Drained::Lossy;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Which frames or packets a table of nftables sees, by the kernel's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TableFamily {
    /// IPv4 and IPv6.
    Inet = 1,
    /// Everything on an interface.
    Netdev = 5,
}

/// The socket that listens for changes of nftables, and asks after one table.
pub(super) struct Filters {
    socket: Socket,
    requests: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Filters {
    /// # Errors
    /// Among others, the kernel may be without nftables.
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(NETLINK_NETFILTER, REQUEST_BUFFER)?;
        socket.add_membership(decode::NFNLGRP_NFTABLES)?;
        let requests = open(NETLINK_NETFILTER, DATAGRAM)?;
        requests.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            requests,
            buffer: Vec::with_capacity(DATAGRAM),
            sequence: 0,
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what waits; whether anything concerned `table`, or may have.
    pub(super) fn drain(&mut self, table: &str) -> io::Result<bool> {
        self.drain_but(None, table)
    }

    /// As [`Self::drain`], without what the socket with this number did.
    pub(super) fn drain_but(&mut self, ours: Option<u32>, table: &str) -> io::Result<bool> {
        let mut concerned = false;
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Ok(None) => return Ok(concerned),
                Ok(Some(())) => {
                    concerned |= messages(&self.buffer)
                        .filter(|message| ours != Some(message.port_number()))
                        .any(|message| decode::is_about_table(&message, table));
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => concerned = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// How many chains and sets `table` holds; `None` when it does not exist.
    pub(super) fn table_use(
        &mut self,
        family: TableFamily,
        table: &str,
    ) -> io::Result<Option<u32>> {
        self.sequence += 1;
        let request = encode::get_table(family, table, self.sequence);
        self.requests.send(&request, 0)?;
        while receive(&self.requests, &mut self.buffer)?.is_some() {
            for message in messages(&self.buffer) {
                if message.sequence_number() != self.sequence {
                    continue;
                }
                if i32::from(message.message_type()) == libc::NLMSG_ERROR {
                    return match decode::acknowledgement(&message)
                        .map_or(libc::EPROTO, |it| it.errno)
                    {
                        libc::ENOENT => Ok(None),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    };
                }
                return Ok(Some(decode::table_use(&message)));
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENOBUFS))
    }
}

impl std::fmt::Debug for Requests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Requests({})", self.socket.as_raw_fd())
    }
}
