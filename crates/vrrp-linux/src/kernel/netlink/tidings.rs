//! What trackers hear over netlink: links and addresses as everybody reads them, and routes and neighbours, of which there
//! may be a million. Of those the fixed header is read first, and nothing is kept that nobody asked for.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;

use super::decode::{self, attributes, ip_of, u32_of};
use super::{DATAGRAM, Drained, Requests, messages, open, receive};
use crate::kernel::observed::Event;

/// Room for what was not read yet.
const BUFFER: usize = 4 * 1024 * 1024;

// `linux/rtnetlink.h`
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RTA_VIA: u16 = 18;
const RTM_F_CLONED: u32 = 0x200;
const RTNH_F_DEAD: u8 = 1;
const NLM_F_REPLACE: u16 = 0x100;
// `linux/neighbour.h`
const NDA_DST: u16 = 1;

/// Where routes lead that are asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::kernel) struct Destination {
    pub(in crate::kernel) ip: IpAddr,
    pub(in crate::kernel) prefix_len: u8,
    pub(in crate::kernel) table: u32,
}

/// A route, as far as it matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::kernel) struct Route {
    pub(in crate::kernel) destination: Destination,
    pub(in crate::kernel) tos: u8,
    pub(in crate::kernel) metric: u32,
    pub(in crate::kernel) protocol: u8,
    pub(in crate::kernel) kind: u8,
    /// Interfaces and gateways that are not dead.
    pub(in crate::kernel) hops: Vec<(u32, Option<IpAddr>)>,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::kernel) enum Tiding {
    /// To a link or an address.
    Event(Event),
    /// A route is there; whether it stands in the place of the one of this type of service and metric.
    Route(Route, bool),
    /// It is not.
    RouteGone(Route),
    /// A neighbour on this link is in this state (`NUD_*`); `None`: it is not known any more.
    Neighbour(u32, IpAddr, Option<u16>),
}

/// What is asked for beside links and addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::kernel) struct Interest {
    pub(in crate::kernel) destinations: Vec<Destination>,
    pub(in crate::kernel) neighbours: Vec<IpAddr>,
}

impl Interest {
    /// What `message` says, if it is asked for.
    fn read(&self, message: &NetlinkBuffer<&[u8]>) -> Option<Tiding> {
        let payload = message.payload();
        match message.message_type() {
            libc::RTM_NEWROUTE => {
                let replaces = message.flags() & NLM_F_REPLACE != 0;
                Some(Tiding::Route(self.route(payload)?, replaces))
            }
            libc::RTM_DELROUTE => Some(Tiding::RouteGone(self.route(payload)?)),
            libc::RTM_NEWNEIGH => {
                let (link, ip, state) = self.neighbour(payload)?;
                Some(Tiding::Neighbour(link, ip, Some(state)))
            }
            libc::RTM_DELNEIGH => {
                let (link, ip, _) = self.neighbour(payload)?;
                Some(Tiding::Neighbour(link, ip, None))
            }
            _ => decode::event(message).map(Tiding::Event),
        }
    }

    fn route(&self, payload: &[u8]) -> Option<Route> {
        let [
            family,
            prefix_len,
            source_len,
            tos,
            table,
            protocol,
            _,
            kind,
        ] = *payload.first_chunk()?;
        let flags = u32_of(payload.get(8..)?)?;
        let near = |it: &&Destination| it.prefix_len == prefix_len && is_of(family, it.ip);
        // Most routes of a large table end here.
        self.destinations.iter().find(near)?;
        if source_len != 0 || flags & RTM_F_CLONED != 0 {
            return None;
        }
        let (mut ip, mut metric, mut table) = (None, 0, u32::from(table));
        let (mut link, mut gateway, mut hops) = (None, None, Vec::new());
        for (attribute, value) in attributes(payload.get(12..)?) {
            match attribute {
                RTA_DST => ip = ip_of(value),
                RTA_OIF => link = u32_of(value),
                RTA_GATEWAY => gateway = ip_of(value),
                RTA_VIA => gateway = value.get(2..).and_then(ip_of),
                RTA_PRIORITY => metric = u32_of(value)?,
                RTA_TABLE => table = u32_of(value)?,
                RTA_MULTIPATH => hops = multipath(value),
                _ => {}
            }
        }
        let wanted = |it: &&Destination| {
            near(it) && it.table == table && ip.map_or(prefix_len == 0, |ip| ip == it.ip)
        };
        let destination = *self.destinations.iter().find(wanted)?;
        if let Some(link) = link {
            let dead = u8::try_from(flags & 0xff).unwrap_or(0) & RTNH_F_DEAD != 0;
            hops.extend((!dead).then_some((link, gateway)));
        }
        Some(Route {
            destination,
            tos,
            metric,
            protocol,
            kind,
            hops,
        })
    }

    fn neighbour(&self, payload: &[u8]) -> Option<(u32, IpAddr, u16)> {
        let link = u32_of(payload.get(4..)?)?;
        let state = u16::from_ne_bytes(*payload.get(8..)?.first_chunk()?);
        let mut all = attributes(payload.get(12..)?);
        let ip = all.find_map(|(kind, value)| (kind == NDA_DST).then(|| ip_of(value))?)?;
        let wanted = self.neighbours.contains(&ip);
        wanted.then_some((link, ip, state))
    }
}

fn is_of(family: u8, ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => i32::from(family) == libc::AF_INET,
        IpAddr::V6(_) => i32::from(family) == libc::AF_INET6,
    }
}

/// Each `rtnexthop` with its attributes.
fn multipath(mut rest: &[u8]) -> Vec<(u32, Option<IpAddr>)> {
    let mut hops = Vec::new();
    while let Some([a, b, flags, _, link @ ..]) = rest.first_chunk::<8>().copied() {
        let length = usize::from(u16::from_ne_bytes([a, b]));
        let Some(own) = rest.get(8..length) else {
            break;
        };
        let gateway = attributes(own).find_map(|(kind, value)| match kind {
            RTA_GATEWAY => ip_of(value),
            RTA_VIA => value.get(2..).and_then(ip_of),
            _ => None,
        });
        if flags & RTNH_F_DEAD == 0 {
            hops.push((u32::from_ne_bytes(link), gateway));
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// The socket that listens.
pub(in crate::kernel) struct Listener {
    socket: Socket,
    buffer: Vec<u8>,
    interest: Interest,
}

impl Listener {
    /// Hears of links and addresses, and of routes and neighbours where any are of interest.
    pub(in crate::kernel) fn open(interest: Interest) -> io::Result<Self> {
        let socket = open(NETLINK_ROUTE, BUFFER)?;
        let mut groups = vec![
            libc::RTNLGRP_LINK,
            libc::RTNLGRP_IPV4_IFADDR,
            libc::RTNLGRP_IPV6_IFADDR,
        ];
        let v4 = |it: &Destination| it.ip.is_ipv4();
        let routes = &interest.destinations;
        groups.extend(routes.iter().any(v4).then_some(libc::RTNLGRP_IPV4_ROUTE));
        let v6 = routes.iter().any(|it| !v4(it));
        groups.extend(v6.then_some(libc::RTNLGRP_IPV6_ROUTE));
        groups.extend((!interest.neighbours.is_empty()).then_some(libc::RTNLGRP_NEIGH));
        for group in groups {
            socket.add_membership(group)?;
        }
        Ok(Self {
            socket,
            buffer: Vec::with_capacity(DATAGRAM),
            interest,
        })
    }

    pub(in crate::kernel) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Hands over all that waits and is of interest.
    pub(in crate::kernel) fn drain(&mut self, mut each: impl FnMut(Tiding)) -> io::Result<Drained> {
        let mut drained = Drained::Whole;
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Ok(None) => return Ok(drained),
                Ok(Some(())) => {
                    messages(&self.buffer)
                        .filter_map(|message| self.interest.read(&message))
                        .for_each(&mut each);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    drained = Drained::Lossy;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Requests {
    /// The kernel looks at what it is asked for more closely, and tells of one table only.
    pub(in crate::kernel) fn be_strict(&self) {
        // A kernel before 4.20 tells of all of them, and ours are picked out of these.
        let _ = self.socket.set_netlink_get_strict_chk(true);
    }

    /// All routes of interest.
    pub(in crate::kernel) fn routes(&mut self, interest: &Interest) -> io::Result<Vec<Tiding>> {
        let mut tables: Vec<(u8, u32)> = interest
            .destinations
            .iter()
            .map(|it| (family_of(it.ip), it.table))
            .collect();
        tables.sort_unstable();
        tables.dedup();
        let mut all = Vec::new();
        for (family, table) in tables {
            let small = u8::try_from(table).unwrap_or(0);
            let mut payload = vec![family, 0, 0, 0, small, 0, 0, 0, 0, 0, 0, 0];
            payload.extend(8_u16.to_ne_bytes());
            payload.extend(RTA_TABLE.to_ne_bytes());
            payload.extend(table.to_ne_bytes());
            match self.ask(libc::RTM_GETROUTE, &payload, |message| {
                interest.read(message)
            }) {
                Ok(found) => all.extend(found),
                // A table is there when the first route is in it.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// All neighbours of interest.
    pub(in crate::kernel) fn neighbours(&mut self, interest: &Interest) -> io::Result<Vec<Tiding>> {
        if interest.neighbours.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(libc::RTM_GETNEIGH, &[0; 12], |message| {
            interest.read(message)
        })
    }

    fn ask(
        &mut self,
        kind: u16,
        payload: &[u8],
        read: impl Fn(&NetlinkBuffer<&[u8]>) -> Option<Tiding>,
    ) -> io::Result<Vec<Tiding>> {
        const ATTEMPTS: usize = 3;
        let mut found = Vec::new();
        for _ in 0..ATTEMPTS {
            found.clear();
            let sequence = self.next_sequence();
            let length = u32::try_from(16 + payload.len()).unwrap_or(u32::MAX);
            let mut bytes = Vec::with_capacity(16 + payload.len());
            bytes.extend(length.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
            bytes.extend(sequence.to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(payload);
            self.socket.send(&bytes, 0)?;
            if self.read_dump(sequence, &read, &mut found)? {
                break;
            }
        }
        Ok(found)
    }
}

fn family_of(ip: IpAddr) -> u8 {
    let family = match ip {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    u8::try_from(family).unwrap_or(0)
}
