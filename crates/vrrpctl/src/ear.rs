//! A packet socket on one interface: what passes there of protocol 112, and who claims which address.
//!
//! The kernel runs a filter, so that a router that forwards a million packets a second copies none of them for this. A frame
//! with a VLAN tag is left to the interface of its VLAN.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt::ReceiveTimestampns,
};
use pnet_datalink::{Channel, Config, DataLinkSender, NetworkInterface};
use socket2::{Domain, SockFilter, Socket, Type};

/// Longest frame that is taken whole, in bytes.
pub(crate) const LONGEST: usize = 9216;

/// A socket that hears, and may speak.
pub(crate) struct Ear {
    /// The interface.
    pub(crate) interface: String,
    /// Its own MAC address.
    pub(crate) mac: [u8; 6],
    socket: Socket,
    sender: Box<dyn DataLinkSender>,
    buffer: Vec<u8>,
}

/// A frame that passed.
#[derive(Debug)]
pub(crate) struct Passed<'a> {
    /// When the kernel saw it.
    pub(crate) time: Timestamp,
    /// Whether this machine sent it.
    pub(crate) outgoing: bool,
    /// From the Ethernet header on.
    pub(crate) bytes: &'a [u8],
    /// Its length in bytes, of which no more than [`LONGEST`] are there.
    pub(crate) length: usize,
}

impl Ear {
    /// Listens on `interface`. Promiscuous, it also takes what its hardware would leave aside: multicast that nobody here
    /// has joined and unicast to others; the kernel ends that with the socket.
    ///
    /// # Errors
    /// Mostly a lack of rights.
    pub(crate) fn open(interface: &NetworkInterface, promiscuous: bool) -> io::Result<Self> {
        // Without a protocol it hears nothing before it is bound, and by then it has its filter.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.attach_filter(&FILTER)?;
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        let config = Config {
            promiscuous,
            socket_fd: Some(socket.try_clone()?.into_raw_fd()),
            ..Config::default()
        };
        match pnet_datalink::channel(interface, config)? {
            Channel::Ethernet(sender, _) => Ok(Self {
                interface: interface.name.clone(),
                mac: interface.mac.map_or([0; 6], |mac| mac.octets()),
                socket,
                sender,
                buffer: vec![0; LONGEST],
            }),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The next frame; `None` when there is none yet.
    ///
    /// # Errors
    /// The interface went down, among others; the socket goes on when it is up again.
    pub(crate) fn hear(&mut self) -> io::Result<Option<Passed<'_>>> {
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        let (length, outgoing, time) = {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<LinkAddr>(fd, &mut slices, Some(&mut control), flags) {
                Ok(message) => message,
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let time = message.cmsgs()?.find_map(|control| {
                let ControlMessageOwned::ScmTimestampns(time) = control else {
                    return None;
                };
                let seconds = i128::from(time.tv_sec());
                let nanos = seconds * 1_000_000_000 + i128::from(time.tv_nsec());
                Timestamp::from_nanosecond(nanos).ok()
            });
            let outgoing = message
                .address
                .is_some_and(|from| i32::from(from.pkttype()) == OUTGOING);
            (message.bytes, outgoing, time)
        };
        Ok(Some(Passed {
            time: time.unwrap_or_else(Timestamp::now),
            outgoing,
            bytes: &self.buffer[..length.min(LONGEST)],
            length,
        }))
    }

    /// Sends a whole frame.
    ///
    /// # Errors
    /// The interface is down, among others.
    pub(crate) fn say(&mut self, frame: &[u8]) -> io::Result<()> {
        self.sender
            .send_to(frame, None)
            .unwrap_or_else(|| Err(io::ErrorKind::InvalidInput.into()))
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// `PACKET_OUTGOING` of linux/if_packet.h.
const OUTGOING: i32 = 4;

/// In words of linux/filter.h: no VLAN tag, and ARP, or IPv4 of protocol 112, or IPv6 of 112 or a Neighbor Advertisement.
const FILTER: [SockFilter; 15] = {
    const WORD: u16 = 0x20;
    const HALF: u16 = 0x28;
    const BYTE: u16 = 0x30;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    /// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`
    const TAGGED: u32 = 0xffff_f000 + 48;
    [
        SockFilter::new(WORD, 0, 0, TAGGED),
        SockFilter::new(EQUAL, 0, 12, 0),
        SockFilter::new(HALF, 0, 0, 12),
        SockFilter::new(EQUAL, 9, 0, 0x0806),
        SockFilter::new(EQUAL, 3, 0, 0x86dd),
        SockFilter::new(EQUAL, 0, 8, 0x0800),
        SockFilter::new(BYTE, 0, 0, 23),
        SockFilter::new(EQUAL, 5, 6, 112),
        SockFilter::new(BYTE, 0, 0, 20),
        SockFilter::new(EQUAL, 3, 0, 112),
        SockFilter::new(EQUAL, 0, 3, 58),
        SockFilter::new(BYTE, 0, 0, 54),
        SockFilter::new(EQUAL, 0, 1, 136),
        SockFilter::new(RETURN, 0, 0, 0x4_0000),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
};

/// Waits until one of the ears has heard something, or `other` is readable, or `limit` has passed; says whether it is `other`.
///
/// # Errors
/// Those of poll(2).
pub(crate) fn wait(
    ears: &[Ear],
    other: BorrowedFd<'_>,
    limit: Option<Duration>,
) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut fds: Vec<PollFd<'_>> = ears
        .iter()
        .map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN))
        .collect();
    fds.push(PollFd::new(other, PollFlags::POLLIN));
    let limit = limit.map_or(PollTimeout::NONE, |limit| {
        // Rounded up: a limit that is reached a little too late ends the waiting, one too early is a busy loop.
        let millis = limit.as_micros().div_ceil(1000);
        PollTimeout::from(u16::try_from(millis).unwrap_or(u16::MAX))
    });
    match poll(&mut fds, limit) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let other = fds.last().and_then(PollFd::any);
    Ok(other.unwrap_or(false))
}
