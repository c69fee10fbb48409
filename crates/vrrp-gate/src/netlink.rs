//! Questions to the kernel's traffic control, on a socket of the namespace in which it was opened.
//!
//! Filters with programs are beyond what the netlink libraries encode; the few messages are built here.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// The kernel's routing lock may be held by others for seconds.
const PATIENCE: TimeVal = TimeVal::new(20, 0);
/// Longer than any answer in one piece.
const ROOM: usize = 64 * 1024;
/// How often a listing is asked for again, when what it lists changes meanwhile.
const TRIES: usize = 20;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_DUMP: u16 = 0x300;
const RTMGRP_TC: u32 = 8;

/// What kind of question it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// One object, or: remove it.
    One,
    /// All of them.
    All,
    /// Make what must not be there yet.
    Create,
}

/// A message: a number, and what follows netlink's own header.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    kind: u16,
    body: Vec<u8>,
}

impl Message {
    pub(crate) fn new(kind: u16, header: &[u8]) -> Self {
        Self {
            kind,
            body: header.to_vec(),
        }
    }

    /// With this attribute behind what is there.
    #[must_use]
    pub(crate) fn with(mut self, attribute: u16, value: &[u8]) -> Self {
        push(&mut self.body, attribute, value);
        self
    }

    fn bytes(&self, flags: u16, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(16 + self.body.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(16 + self.body.len());
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&self.kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&0_u32.to_ne_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// Appends an attribute.
pub(crate) fn push(to: &mut Vec<u8>, attribute: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    to.extend_from_slice(&length.to_ne_bytes());
    to.extend_from_slice(&attribute.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// The attributes in `bytes`, as far as they are whole.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    /// Without the marks of nested attributes and of byte order.
    const TYPE: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(field(bytes, 0)?));
        let kind = u16::from_ne_bytes(field(bytes, 2)?) & TYPE;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The field at this place, if there are enough bytes.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// A socket that asks.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: Cell<u32>,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let socket = open(SockFlag::SOCK_CLOEXEC)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &PATIENCE)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
    }

    /// Asks, and answers with what came, without netlink's own headers.
    pub(crate) fn ask(&self, question: Question, message: &Message) -> io::Result<Vec<Vec<u8>>> {
        for _ in 0..TRIES {
            if let Some(answers) = self.try_ask(question, message)? {
                return Ok(answers);
            }
        }
        Err(io::ErrorKind::ResourceBusy.into())
    }

    /// `None` if the kernel says that the listing is not of one moment.
    fn try_ask(&self, question: Question, message: &Message) -> io::Result<Option<Vec<Vec<u8>>>> {
        let flags = match question {
            Question::One => NLM_F_ACK,
            Question::All => NLM_F_DUMP,
            Question::Create => NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        };
        let sequence = self.sequence.get().wrapping_add(1);
        self.sequence.set(sequence);
        let bytes = message.bytes(flags | NLM_F_REQUEST, sequence);
        sendmsg::<NetlinkAddr>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&bytes)],
            &[],
            MsgFlags::empty(),
            Some(&NetlinkAddr::new(0, 0)),
        )?;
        let mut answers = Vec::new();
        let mut whole = true;
        let mut buffer = vec![0; ROOM];
        loop {
            let length = match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
                Ok(length) => length,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut rest = buffer.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            while let Some(header) = Header::of(rest) {
                let (this, next) = rest.split_at(header.length.min(rest.len()));
                rest = next.get(header.padding()..).unwrap_or_default();
                // An answer that came after nobody waited for it any more.
                if header.sequence != sequence {
                    continue;
                }
                whole &= header.flags & NLM_F_DUMP_INTR == 0;
                let body = this.get(Header::LENGTH..).unwrap_or_default();
                match header.kind {
                    NLMSG_ERROR | NLMSG_DONE => {
                        return match i32::from_ne_bytes(field(body, 0).unwrap_or_default()) {
                            0 => Ok(whole.then_some(answers)),
                            error => Err(io::Error::from_raw_os_error(error.saturating_neg())),
                        };
                    }
                    _ => answers.push(body.to_vec()),
                }
            }
        }
    }
}

/// netlink's own header, as far as it is looked at.
struct Header {
    length: usize,
    kind: u16,
    flags: u16,
    sequence: u32,
}

impl Header {
    const LENGTH: usize = 16;

    fn of(bytes: &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::from_ne_bytes(field(bytes, 0)?)).ok()?;
        (length >= Self::LENGTH).then_some(())?;
        Some(Self {
            length,
            kind: u16::from_ne_bytes(field(bytes, 4)?),
            flags: u16::from_ne_bytes(field(bytes, 6)?),
            sequence: u32::from_ne_bytes(field(bytes, 8)?),
        })
    }

    fn padding(&self) -> usize {
        self.length.next_multiple_of(4) - self.length
    }
}

/// Tells when anything changed at the traffic control of this network namespace, by whomever.
///
/// Its descriptor becomes readable; then call [`drain`](Self::drain) and ask [`Gate::observe`](crate::Gate::observe).
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
}

impl Watch {
    /// Listens from now on, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// If the kernel gives no socket.
    pub fn open() -> io::Result<Self> {
        let socket = open(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_TC))?;
        Ok(Self { socket })
    }

    /// Takes what has come, without blocking; whether something may have changed since the last call.
    ///
    /// # Errors
    /// If the socket is broken.
    pub fn drain(&self) -> io::Result<bool> {
        let mut changed = false;
        let mut buffer = [0; 4096];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                // More came than there was room for: what, is lost, but not that.
                Ok(_) | Err(Errno::ENOBUFS) => changed = true,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(changed),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn open(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(
        AddressFamily::Netlink,
        SockType::Raw,
        flags,
        SockProtocol::NetlinkRoute,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let message = Message::new(1, &[])
            .with(7, b"abcde")
            .with(0x8002, &[])
            .with(3, &[1, 2, 3, 4]);
        let read: Vec<_> = attributes(&message.body).collect();
        assert_eq!(
            read,
            [(7, &b"abcde"[..]), (2, &b""[..]), (3, &[1, 2, 3, 4][..])]
        );
    }

    #[test]
    fn broken_attributes_end_the_list() {
        for bytes in [
            &[][..],
            &[4][..],
            &[0, 0, 1, 0][..],
            &[3, 0, 1, 0][..],
            &[9, 0, 1, 0, 1, 2, 3, 4][..],
        ] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }
}
