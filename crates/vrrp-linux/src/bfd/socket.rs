//! UDP sockets of sessions: an ear for each interface and family, and a mouth for each session (RFC 5881 §4).

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::sockopt::{Ipv4RecvTtl, Ipv6RecvHopLimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_bfd::{HOP_LIMIT, LENGTH, PORT, SOURCE_PORTS};
use vrrp_proto::Family;

use super::speaker::Random;
use crate::frame::TRAFFIC_CLASS;
use crate::syscall::set_priority;

/// Ports that are tried before a session has none.
const ATTEMPTS: usize = 64;

/// Room for a packet with authentication, which is refused by name.
const ROOM: usize = 64;

fn open(interface: &str, family: Family) -> io::Result<Socket> {
    let domain = match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    };
    let kind = Type::DGRAM.nonblocking().cloexec();
    let socket = Socket::new(domain, kind, Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    if family == Family::Ipv6 {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// Hears all packets of a family on an interface.
#[derive(Debug)]
pub(super) struct Ear(OwnedFd);

/// A datagram.
pub(super) struct Datagram {
    pub(super) source: IpAddr,
    pub(super) hop_limit: u8,
    pub(super) payload: [u8; ROOM],
    pub(super) length: usize,
}

impl Ear {
    pub(super) fn open(interface: &str, family: Family) -> io::Result<Self> {
        let socket = open(interface, family)?;
        let any: IpAddr = match family {
            Family::Ipv4 => {
                setsockopt(&socket, Ipv4RecvTtl, &true)?;
                Ipv4Addr::UNSPECIFIED.into()
            }
            Family::Ipv6 => {
                setsockopt(&socket, Ipv6RecvHopLimit, &true)?;
                Ipv6Addr::UNSPECIFIED.into()
            }
        };
        socket.bind(&SocketAddr::new(any, PORT).into())?;
        Ok(Self(socket.into()))
    }

    pub(super) const fn inherited(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// What is queued; `None` when nothing is.
    pub(super) fn receive(&self) -> io::Result<Option<Datagram>> {
        let mut payload = [0; ROOM];
        let mut space = nix::cmsg_space!(libc::c_int);
        let (length, source, hop_limit) = {
            let mut parts = [IoSliceMut::new(&mut payload)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let received =
                recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags);
            let message = match received {
                Ok(message) => message,
                Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let hop_limit = message.cmsgs()?.find_map(|control| {
                let (ControlMessageOwned::Ipv4Ttl(limit)
                | ControlMessageOwned::Ipv6HopLimit(limit)) = control
                else {
                    return None;
                };
                u8::try_from(limit).ok()
            });
            (message.bytes, message.address, hop_limit)
        };
        let v4 = source.and_then(|it| it.as_sockaddr_in().map(|it| IpAddr::from(it.ip())));
        let v6 = source.and_then(|it| it.as_sockaddr_in6().map(|it| IpAddr::from(it.ip())));
        Ok(Some(Datagram {
            // The kernel always says both.
            source: v4.or(v6).unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            hop_limit: hop_limit.unwrap_or(0),
            payload,
            length,
        }))
    }
}

impl AsFd for Ear {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Speaks for one session, always from the same port.
#[derive(Debug)]
pub(super) struct Mouth(Socket);

impl Mouth {
    pub(super) fn open(
        interface: &str,
        index: u32,
        family: Family,
        source: Option<IpAddr>,
        random: &mut Random,
    ) -> io::Result<Self> {
        let socket = open(interface, family)?;
        match family {
            Family::Ipv4 => {
                socket.set_ttl_v4(u32::from(HOP_LIMIT))?;
                socket.set_tos_v4(u32::from(TRAFFIC_CLASS))?;
            }
            Family::Ipv6 => {
                socket.set_unicast_hops_v6(u32::from(HOP_LIMIT))?;
                socket.set_tclass_v6(u32::from(TRAFFIC_CLASS))?;
            }
        }
        set_priority(&socket)?;
        // Nothing is expected here.
        socket.set_recv_buffer_size(0)?;
        let ports = SOURCE_PORTS.end() - SOURCE_PORTS.start();
        let any = match family {
            Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        for attempt in 1.. {
            let step = u16::try_from(random.next() % (u32::from(ports) + 1)).unwrap_or(0);
            let port = SOURCE_PORTS.start() + step;
            let address = scoped(source.unwrap_or(any), port, index);
            match socket.bind(&address.into()) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < ATTEMPTS => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(socket))
    }

    pub(super) fn inherited(socket: OwnedFd) -> Self {
        Self(socket.into())
    }

    pub(super) fn send(&self, peer: IpAddr, index: u32, packet: &[u8; LENGTH]) -> io::Result<()> {
        let to = scoped(peer, PORT, index);
        self.0.send_to(packet, &to.into()).map(drop)
    }

    pub(super) fn port(&self) -> Option<u16> {
        self.0.local_addr().ok()?.as_socket().map(|it| it.port())
    }
}

impl AsFd for Mouth {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn scoped(address: IpAddr, port: u16, index: u32) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(address) => {
            let scope = if address.is_unicast_link_local() {
                index
            } else {
                0
            };
            SocketAddrV6::new(address, port, 0, scope).into()
        }
    }
}
