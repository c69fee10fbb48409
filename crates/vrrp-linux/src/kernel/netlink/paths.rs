//! Routes and rules: messages for and of the kernel, and the socket that listens to them.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NetlinkBuffer};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_sys::Socket;
use netlink_sys::protocols::NETLINK_ROUTE;
use vrrp_proto::following::{Fate, Prefix, Rule};
use vrrp_proto::types::Family;

use super::decode::{attributes, ip_of, string_of, u32_of};
use super::encode::Request;
use super::message::Message;
use super::{MONITOR_BUFFER, Requests, messages, open, receive};
use crate::kernel::following::{KernelRoute, Picture};
use crate::syscall;

// `linux/rtnetlink.h`
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_TABLE: u16 = 15;
const RTN_UNICAST: u8 = 1;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;
const RTNH_F_ONLINK: u32 = 4;
const RTM_F_CLONED: u32 = 0x200;
// `linux/fib_rules.h`
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;

/// Where `rtm_protocol` stands in a message: behind the header of netlink, and five bytes.
const ROUTE_PROTOCOL: u32 = 16 + 5;

/// The socket that listens for changes of routes with one protocol number, and of rules; and another one that asks.
pub(in crate::kernel) struct Paths {
    socket: Socket,
    requests: Requests,
    buffer: Vec<u8>,
}

impl Paths {
    /// A router may have a million routes that come and go: what does not carry `protocol` is not even queued.
    pub(in crate::kernel) fn open(protocol: u8) -> io::Result<Self> {
        let socket = open(NETLINK_ROUTE, MONITOR_BUFFER)?;
        syscall::attach_filter(&socket, &filter(protocol))?;
        for group in [
            libc::RTNLGRP_IPV4_ROUTE,
            libc::RTNLGRP_IPV6_ROUTE,
            libc::RTNLGRP_IPV4_RULE,
            libc::RTNLGRP_IPV6_RULE,
        ] {
            socket.add_membership(group)?;
        }
        let requests = Requests::open()?;
        // Otherwise the kernel tells everything, whatever is asked for. Before Linux 4.20 it does.
        let _ = requests.socket.set_netlink_get_strict_chk(true);
        Ok(Self {
            socket,
            requests,
            buffer: Vec::new(),
        })
    }

    pub(in crate::kernel) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Reads what waits; whether anybody but the socket with the number `ours` changed something with this protocol
    /// number, or may have.
    pub(in crate::kernel) fn drain(&mut self, ours: u32, protocol: u8) -> io::Result<bool> {
        let mut concerned = false;
        loop {
            match receive(&self.socket, &mut self.buffer) {
                Ok(None) => return Ok(concerned),
                Ok(Some(())) => {
                    concerned |= messages(&self.buffer)
                        .filter(|message| message.port_number() != ours)
                        .any(|message| is_about(&message, protocol));
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => concerned = true,
                Err(error) => return Err(error),
            }
        }
    }

    /// All routes and rules with this protocol number.
    pub(in crate::kernel) fn look(&mut self, protocol: u8) -> io::Result<Picture> {
        let mut routes = BTreeSet::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            message.header.protocol = RouteProtocol::Other(protocol);
            let request = Request::new(Message::GetRoute(message), 0);
            let read = |message: &NetlinkBuffer<&[u8]>| route(message.payload(), protocol);
            routes.extend(self.requests.dump(&request, read)?);
        }
        let request = Request::new(Message::GetRule(RuleMessage::default()), 0);
        let read = |message: &NetlinkBuffer<&[u8]>| rule(message.payload(), protocol);
        let rules = self.requests.dump(&request, read)?.into_iter().collect();
        Ok(Picture { routes, rules })
    }
}

/// A classic BPF program that lets messages about rules pass, and those about routes with this protocol number.
fn filter(protocol: u8) -> Vec<libc::sock_filter> {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const MESSAGE_TYPE: u32 = 4;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    // Loaded as if it were in network byte order.
    let message_type = |kind: u16| u32::from(kind.to_be());
    vec![
        step(LOAD_HALF, 0, 0, MESSAGE_TYPE),
        step(JUMP_IF_EQUAL, 4, 0, message_type(libc::RTM_NEWRULE)),
        step(JUMP_IF_EQUAL, 3, 0, message_type(libc::RTM_DELRULE)),
        step(LOAD_BYTE, 0, 0, ROUTE_PROTOCOL),
        step(JUMP_IF_EQUAL, 1, 0, u32::from(protocol)),
        step(RETURN, 0, 0, 0),
        step(RETURN, 0, 0, u32::MAX),
    ]
}

fn is_about(message: &NetlinkBuffer<&[u8]>, protocol: u8) -> bool {
    match message.message_type() {
        libc::RTM_NEWRULE | libc::RTM_DELRULE => rule(message.payload(), protocol).is_some(),
        // The filter has seen to the rest.
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => true,
        _ => false,
    }
}

fn family_of(byte: u8) -> Option<Family> {
    match i32::from(byte) {
        libc::AF_INET => Some(Family::Ipv4),
        libc::AF_INET6 => Some(Family::Ipv6),
        _ => None,
    }
}

/// A route with this protocol number.
fn route(payload: &[u8], protocol: u8) -> Option<KernelRoute> {
    let [family, to_len, _, _, table, theirs, _, kind] = *payload.first_chunk()?;
    let family = family_of(family)?;
    let flags = u32_of(payload.get(8..)?)?;
    if theirs != protocol || flags & RTM_F_CLONED != 0 {
        return None;
    }
    let fate = match kind {
        RTN_UNICAST => Fate::Unicast,
        RTN_BLACKHOLE => Fate::Blackhole,
        RTN_UNREACHABLE => Fate::Unreachable,
        RTN_PROHIBIT => Fate::Prohibit,
        _ => return None,
    };
    let mut route = KernelRoute {
        table: u32::from(table),
        to: Prefix::all(family),
        priority: 0,
        fate,
        via: None,
        source: None,
        on_link: flags & RTNH_F_ONLINK != 0,
        oif: None,
    };
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            RTA_DST => route.to = Prefix::of(ip_of(value)?, to_len)?,
            // Without one, a route that drops stands on some interface, too.
            RTA_OIF => route.oif = u32_of(value).filter(|_| fate == Fate::Unicast),
            RTA_GATEWAY => route.via = ip_of(value),
            RTA_PRIORITY => route.priority = u32_of(value)?,
            RTA_PREFSRC => route.source = ip_of(value),
            RTA_TABLE => route.table = u32_of(value)?,
            _ => {}
        }
    }
    Some(route)
}

/// A rule with this protocol number.
fn rule(payload: &[u8], protocol: u8) -> Option<Rule> {
    let [family, to_len, from_len, _, table, _, _, action] = *payload.first_chunk()?;
    let mut rule = Rule {
        family: family_of(family)?,
        priority: 0,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: u32::from(table),
        fate: match action {
            FR_ACT_TO_TBL => Fate::Unicast,
            RTN_BLACKHOLE => Fate::Blackhole,
            RTN_UNREACHABLE => Fate::Unreachable,
            RTN_PROHIBIT => Fate::Prohibit,
            _ => return None,
        },
        suppress_prefix_length: None,
    };
    let (mut theirs, mut mark, mut mask) = (0, None, u32::MAX);
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            FRA_DST => rule.to = Prefix::of(ip_of(value)?, to_len),
            FRA_SRC => rule.from = Prefix::of(ip_of(value)?, from_len),
            FRA_IIFNAME => rule.iif = Some(string_of(value)),
            FRA_OIFNAME => rule.oif = Some(string_of(value)),
            FRA_PRIORITY => rule.priority = u32_of(value)?,
            FRA_FWMARK => mark = u32_of(value),
            FRA_FWMASK => mask = u32_of(value)?,
            FRA_TABLE => rule.table = u32_of(value)?,
            // All ones: none are suppressed.
            FRA_SUPPRESS_PREFIXLEN => {
                rule.suppress_prefix_length = u8::try_from(u32_of(value)?).ok();
            }
            FRA_PROTOCOL => theirs = *value.first()?,
            _ => {}
        }
    }
    rule.fwmark = mark.map(|mark| (mark, mask));
    if rule.fate != Fate::Unicast {
        rule.table = 0;
    }
    (theirs == protocol).then_some(rule)
}

pub(super) fn add_route(route: &KernelRoute, protocol: u8) -> (Message, u16) {
    // Of IPv6 routes to the same network, those that differ in their next hops alone would become one with several.
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut message = route_message(route, protocol);
    message.header.scope = match (route.fate, route.via) {
        (Fate::Unicast, None) => RouteScope::Link,
        (Fate::Unicast | Fate::Blackhole | Fate::Unreachable | Fate::Prohibit, _) => {
            RouteScope::Universe
        }
    };
    (Message::NewRoute(message), flags)
}

/// Names the protocol, so nothing of anybody else goes.
pub(super) fn remove_route(route: &KernelRoute, protocol: u8) -> Message {
    let mut message = route_message(route, protocol);
    message.header.scope = RouteScope::NoWhere;
    Message::DelRoute(message)
}

fn route_message(route: &KernelRoute, protocol: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: address_family(route.to.family()),
        destination_prefix_length: route.to.len,
        protocol: RouteProtocol::Other(protocol),
        kind: match route.fate {
            Fate::Unicast => RouteType::Unicast,
            Fate::Blackhole => RouteType::BlackHole,
            Fate::Unreachable => RouteType::Unreachable,
            Fate::Prohibit => RouteType::Prohibit,
        },
        flags: if route.on_link {
            RouteFlags::Onlink
        } else {
            RouteFlags::empty()
        },
        ..RouteHeader::default()
    };
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if route.to.len > 0 {
        attributes.push(RouteAttribute::Destination(address(route.to.network)));
    }
    if route.priority > 0 {
        attributes.push(RouteAttribute::Priority(route.priority));
    }
    attributes.extend(route.via.map(address).map(RouteAttribute::Gateway));
    attributes.extend(route.oif.map(RouteAttribute::Oif));
    attributes.extend(route.source.map(address).map(RouteAttribute::PrefSource));
    message
}

pub(super) fn add_rule(rule: &Rule, protocol: u8) -> (Message, u16) {
    let message = rule_message(rule, protocol);
    (Message::NewRule(message), NLM_F_CREATE | NLM_F_EXCL)
}

/// Names the protocol, too.
pub(super) fn remove_rule(rule: &Rule, protocol: u8) -> Message {
    Message::DelRule(rule_message(rule, protocol))
}

fn rule_message(rule: &Rule, protocol: u8) -> RuleMessage {
    let mut message = RuleMessage::default();
    let length = |prefix: Option<Prefix>| prefix.map_or(0, |prefix| prefix.len);
    message.header.family = address_family(rule.family);
    message.header.dst_len = length(rule.to);
    message.header.src_len = length(rule.from);
    message.header.action = match rule.fate {
        Fate::Unicast => RuleAction::ToTable,
        Fate::Blackhole => RuleAction::Blackhole,
        Fate::Unreachable => RuleAction::Unreachable,
        Fate::Prohibit => RuleAction::Prohibit,
    };
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Protocol(RouteProtocol::Other(protocol)));
    attributes.push(RuleAttribute::Priority(rule.priority));
    let prefix = |prefix: Option<Prefix>| prefix.map(|prefix| prefix.network);
    attributes.extend(prefix(rule.from).map(RuleAttribute::Source));
    attributes.extend(prefix(rule.to).map(RuleAttribute::Destination));
    attributes.extend(rule.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.oif.clone().map(RuleAttribute::Oifname));
    if let Some((mark, mask)) = rule.fwmark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(mask));
    }
    if rule.fate == Fate::Unicast {
        attributes.push(RuleAttribute::Table(rule.table));
    }
    let suppressed = rule.suppress_prefix_length.map(u32::from);
    attributes.extend(suppressed.map(RuleAttribute::SuppressPrefixLen));
    message
}

const fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::Ipv4 => AddressFamily::Inet,
        Family::Ipv6 => AddressFamily::Inet6,
    }
}

const fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(ip) => RouteAddress::Inet(ip),
        IpAddr::V6(ip) => RouteAddress::Inet6(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vrrp_proto::following::MAIN_TABLE;

    /// What is written is read back: the kernel answers in the same form.
    fn payload(message: Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        Request::new(message, 0).write(&mut bytes, 0, 1);
        bytes.split_off(16)
    }

    fn prefix(text: &str, len: u8) -> Prefix {
        Prefix::of(text.parse().unwrap(), len).unwrap()
    }

    #[test]
    fn a_route_is_read_as_it_was_written() {
        let plain = KernelRoute {
            table: MAIN_TABLE,
            to: prefix("198.51.100.0", 24),
            priority: 0,
            fate: Fate::Unicast,
            via: Some("192.0.2.1".parse().unwrap()),
            source: None,
            on_link: false,
            oif: None,
        };
        let routes = [
            plain.clone(),
            KernelRoute {
                to: Prefix::all(Family::Ipv4),
                table: 100_000,
                priority: 77,
                source: Some("192.0.2.254".parse().unwrap()),
                on_link: true,
                oif: Some(7),
                ..plain.clone()
            },
            KernelRoute {
                to: prefix("2001:db8::", 32),
                priority: 1024,
                fate: Fate::Prohibit,
                via: None,
                ..plain
            },
        ];
        for written in routes {
            let (message, flags) = add_route(&written, 112);
            assert_eq!(flags, NLM_F_CREATE | NLM_F_EXCL);
            let bytes = payload(message);
            assert_eq!(route(&bytes, 112), Some(written.clone()));
            assert_eq!(route(&bytes, 113), None, "somebody else's");
            let bytes = payload(remove_route(&written, 112));
            assert_eq!(route(&bytes, 112), Some(written), "the same is removed");
        }
    }

    #[test]
    fn a_rule_is_read_as_it_was_written() {
        let plain = Rule {
            family: Family::Ipv4,
            priority: 100,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            table: 200,
            fate: Fate::Unicast,
            suppress_prefix_length: None,
        };
        let rules = [
            plain.clone(),
            Rule {
                from: Some(prefix("192.0.2.0", 24)),
                to: Some(prefix("198.51.100.7", 32)),
                iif: Some("eth0".into()),
                oif: Some("eth1".into()),
                fwmark: Some((0x10, 0xff)),
                table: 100_000,
                suppress_prefix_length: Some(0),
                ..plain.clone()
            },
            Rule {
                family: Family::Ipv6,
                fwmark: Some((1, u32::MAX)),
                table: 0,
                fate: Fate::Unreachable,
                ..plain
            },
        ];
        for written in rules {
            let bytes = payload(add_rule(&written, 112).0);
            assert_eq!(rule(&bytes, 112), Some(written.clone()));
            assert_eq!(rule(&bytes, 4), None, "somebody else's");
            let bytes = payload(remove_rule(&written, 112));
            assert_eq!(rule(&bytes, 112), Some(written), "the same is removed");
        }
    }
}
