//! Packet sockets, and one netlink socket.
#![expect(
    unsafe_code,
    reason = "no safe wrapper fills a sockaddr_ll or a sockaddr_nl"
)]

use crate::clock::Stamp;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, MultiHeaders, recvmsg, sendmmsg, setsockopt, sockopt,
};
use nix::sys::time::{TimeSpec, TimeValLike};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// `PACKET_OUTGOING`: the frame was sent by this end of the cable.
const OUTGOING: u8 = 4;

/// A packet socket that sees and sends whole frames of one interface.
pub struct PacketSocket(Socket);

/// What was received.
pub struct Received {
    /// When the kernel saw it.
    pub at: Stamp,
    /// Whether this end of the cable sent it.
    pub outgoing: bool,
    /// Bytes of the frame.
    pub length: usize,
}

impl PacketSocket {
    /// Opens one on `interface` of the calling thread's namespace.
    pub fn open(interface: &str) -> io::Result<Self> {
        let index = nix::net::if_::if_nametoindex(interface)?;
        let every = u16::try_from(libc::ETH_P_ALL).expect("0x0003").to_be();
        // Protocol 0 until bound: otherwise frames of every interface queue up in between.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // SAFETY: the storage is zeroed, at least as large as sockaddr_ll and aligned for every address family;
        // the length written is that of the structure filled in.
        let ((), address) = unsafe {
            SockAddr::try_init(|storage, length| {
                let address = storage.cast::<libc::sockaddr_ll>();
                (*address).sll_family = libc::AF_PACKET.unsigned_abs().try_into().expect("small");
                (*address).sll_protocol = every;
                (*address).sll_ifindex = i32::try_from(index).expect("small");
                *length = u32::try_from(size_of::<libc::sockaddr_ll>()).expect("small");
                Ok(())
            })?
        };
        socket.bind(&address)?;
        Ok(Self(socket))
    }

    /// As [`PacketSocket::open`], for what only the wire brings and `program` lets through; the kernel looks, not we.
    pub fn open_filtered(interface: &str, program: &[SockFilter]) -> io::Result<Self> {
        let socket = Self::open(interface)?;
        socket.0.attach_filter(program)?;
        // What came before the filter must not count.
        let mut rest = [0; 64];
        while nix::sys::socket::recv(socket.0.as_raw_fd(), &mut rest, MsgFlags::MSG_DONTWAIT)
            .is_ok()
        {}
        Ok(socket)
    }

    /// Opens one for carrying frames on, never seeing its own: each is preceded by the kernel's notes about checksums
    /// and segments still to be made, which [`PacketSocket::send`] of a like socket gives back to the kernel.
    pub fn open_carrier(interface: &str) -> io::Result<Self> {
        let socket = Self::open(interface)?;
        for option in [libc::PACKET_VNET_HDR, libc::PACKET_IGNORE_OUTGOING] {
            let on: libc::c_int = 1;
            let length = u32::try_from(size_of::<libc::c_int>()).expect("small");
            // SAFETY: the value is a live int of the length given, and the descriptor is open.
            let set = unsafe {
                libc::setsockopt(
                    socket.0.as_raw_fd(),
                    libc::SOL_PACKET,
                    option,
                    (&raw const on).cast(),
                    length,
                )
            };
            if set != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // Frames that came before the options look different.
        let mut rest = [0; 64];
        while nix::sys::socket::recv(socket.0.as_raw_fd(), &mut rest, MsgFlags::MSG_DONTWAIT)
            .is_ok()
        {}
        Ok(socket)
    }

    /// One frame with its notes, if there is one now.
    pub fn take(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match nix::sys::socket::recv(self.0.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => Ok(Some(length)),
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until there is something to receive, at most `limit`.
    pub fn wait(&self, limit: Duration) {
        let mut one = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        // Whatever woke us, the caller looks for itself.
        let _ = ppoll(&mut one, Some(TimeSpec::from_duration(limit)), None);
    }

    /// Sends frames in one call; returns how many went.
    pub fn send_many(&self, frames: &[Vec<u8>]) -> io::Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> =
            frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(slices.len(), None);
        let nowhere = vec![None; slices.len()];
        let sent = sendmmsg(
            self.0.as_raw_fd(),
            &mut headers,
            &slices,
            nowhere,
            [],
            MsgFlags::empty(),
        )?;
        Ok(sent.count())
    }

    /// Sends one frame as it is.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.0.send(frame) {
            // The socket remembers that the link was down and says so once, when it is up again too.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => {
                self.0.send(frame).map(|_| ())
            }
            sent => sent.map(|_| ()),
        }
    }

    /// Receives one frame, or `None` after 20 ms of silence.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(libc::timespec);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<LinkAddr>(
            self.0.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        ) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stamp = message.cmsgs()?.find_map(|control| {
            if let ControlMessageOwned::ScmTimestampns(time) = control {
                Some(Stamp::from_unix_nanos(time.num_nanoseconds()))
            } else {
                None
            }
        });
        Ok(Some(Received {
            at: stamp.unwrap_or_else(Stamp::now),
            outgoing: message
                .address
                .is_some_and(|address| address.pkttype() == OUTGOING),
            length: message.bytes,
        }))
    }
}

/// Changes the MTU of the loopback back and forth: the smallest thing that needs the kernel's configuration lock.
pub struct LinkChanger {
    socket: Socket,
    mtu: u32,
}

impl LinkChanger {
    /// For the loopback of the calling thread's namespace.
    pub fn loopback() -> io::Result<Self> {
        let socket = Socket::new(
            Domain::from(libc::AF_NETLINK),
            Type::RAW,
            Some(Protocol::from(libc::NETLINK_ROUTE)),
        )?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        // SAFETY: as for the packet socket; a zeroed sockaddr_nl with its family set is the kernel.
        let ((), kernel) = unsafe {
            SockAddr::try_init(|storage, length| {
                let address = storage.cast::<libc::sockaddr_nl>();
                (*address).nl_family = libc::AF_NETLINK.unsigned_abs().try_into().expect("small");
                *length = u32::try_from(size_of::<libc::sockaddr_nl>()).expect("small");
                Ok(())
            })?
        };
        socket.connect(&kernel)?;
        Ok(Self {
            socket,
            mtu: 65_536,
        })
    }

    /// One change; returns when the kernel has answered.
    pub fn change(&mut self) -> io::Result<()> {
        self.mtu = if self.mtu == 65_536 { 65_535 } else { 65_536 };
        let mut message: Vec<u8> = Vec::new();
        message.extend(40_u32.to_ne_bytes());
        message.extend(libc::RTM_NEWLINK.to_ne_bytes());
        message.extend(5_u16.to_ne_bytes()); // NLM_F_REQUEST | NLM_F_ACK
        message.extend([0; 8]);
        message.extend([0; 4]);
        message.extend(1_i32.to_ne_bytes()); // The loopback is always the first.
        message.extend([0; 8]);
        message.extend(8_u16.to_ne_bytes());
        message.extend(libc::IFLA_MTU.to_ne_bytes());
        message.extend(self.mtu.to_ne_bytes());
        self.socket.send(&message)?;
        nix::sys::socket::recv(self.socket.as_raw_fd(), &mut [0; 4096], MsgFlags::empty())?;
        Ok(())
    }
}
