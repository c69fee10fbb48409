//! Packet sockets, and one netlink socket.
#![expect(
    unsafe_code,
    reason = "no safe wrapper fills a sockaddr_ll or a sockaddr_nl"
)]

use crate::clock::Stamp;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeValLike;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// `PACKET_OUTGOING`: the frame was sent by this end of the cable.
const OUTGOING: u8 = 4;

/// A packet socket that sees and sends whole frames of one interface.
pub(crate) struct PacketSocket(Socket);

/// What was received.
pub(crate) struct Received {
    pub(crate) at: Stamp,
    pub(crate) outgoing: bool,
    pub(crate) length: usize,
}

impl PacketSocket {
    /// Opens one on `interface` of the calling thread's namespace.
    pub(crate) fn open(interface: &str) -> io::Result<Self> {
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

    /// Sends one frame as it is.
    pub(crate) fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.0.send(frame) {
            // The socket remembers that the link was down and says so once, when it is up again too.
            Err(error) if error.kind() == io::ErrorKind::NetworkDown => {
                self.0.send(frame).map(|_| ())
            }
            sent => sent.map(|_| ()),
        }
    }

    /// Receives one frame, or `None` after 20 ms of silence.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut control = nix::cmsg_space!(libc::timespec);
        let mut slices = [IoSliceMut::new(buffer)];
        let message = match recvmsg::<LinkAddr>(
            self.0.as_raw_fd(),
            &mut slices,
            Some(&mut control),
            MsgFlags::empty(),
        ) {
            Ok(message) => message,
            Err(
                nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR | nix::errno::Errno::ENETDOWN,
            ) => return Ok(None),
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
pub(crate) struct LinkChanger {
    socket: Socket,
    mtu: u32,
}

impl LinkChanger {
    /// For the loopback of the calling thread's namespace.
    pub(crate) fn loopback() -> io::Result<Self> {
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
    pub(crate) fn change(&mut self) -> io::Result<()> {
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
