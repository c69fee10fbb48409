//! Messages of the kernel to [`Event`]s. Attributes that are missing, unknown or of another size are passed over.

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{NetlinkBuffer, NlasIterator};
use vrrp_proto::types::MacAddress;

use super::Refusal;
use crate::kernel::observed::{
    Address, Event, Ipv4Conf, Ipv4Key, Ipv6Conf, Ipv6Key, Kind, Link, Lower,
};
use crate::kernel::owner::{Mark, is_lent};

/// The multicast group for changes of nftables.
pub(super) const NFNLGRP_NFTABLES: u32 = 7;

// Attribute numbers, from the kernel's uapi headers: `linux/if_link.h`
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_PROTINFO: u16 = 12;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_LINK_NETNSID: u16 = 37;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_MACVLAN_MODE: u16 = 1;
const MACVLAN_MODE_BRIDGE: u32 = 4;
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
// `linux/if.h`
const IF_OPER_UNKNOWN: u8 = 0;
const IF_OPER_UP: u8 = 6;
const IFF_UP: u32 = 0x1;
const IFF_LOWER_UP: u32 = 0x1_0000;
// `linux/if_addr.h`
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_LABEL: u16 = 3;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
const IFA_PROTO: u16 = 11;
// `linux/netconf.h`
const NETCONFA_IFINDEX: u16 = 1;
const NETCONFA_FORWARDING: u16 = 2;
const NETCONFA_RP_FILTER: u16 = 3;
const NETCONFA_IFINDEX_ALL: i32 = -1;
// `linux/netlink.h`
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
// `linux/netfilter/nf_tables.h`: every message about something in a table names the table first.
const NFTA_TABLE: u16 = 1;
const NFTA_TABLE_USE: u16 = 3;

/// What `message` says, if it concerns us.
pub(super) fn event(message: &NetlinkBuffer<&[u8]>) -> Option<Event> {
    let payload = message.payload();
    match message.message_type() {
        libc::RTM_NEWLINK => link(payload),
        libc::RTM_DELLINK => link_gone(payload),
        libc::RTM_NEWADDR => address(payload).map(|(link, address)| Event::Address(link, address)),
        libc::RTM_DELADDR => {
            address(payload).map(|(link, address)| Event::AddressGone(link, address))
        }
        libc::RTM_NEWNETCONF => netconf(payload),
        _ => None,
    }
}

pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|it| {
        let (kind, length) = (it.kind(), it.value_length());
        (kind, &it.into_inner()[4..4 + length])
    })
}

pub(super) fn u32_of(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk()?))
}

fn i32_of(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.first_chunk()?))
}

pub(super) fn string_of(bytes: &[u8]) -> String {
    CStr::from_bytes_until_nul(bytes)
        .map_or_else(
            |_| String::from_utf8_lossy(bytes),
            |text| text.to_string_lossy(),
        )
        .into_owned()
}

/// The family and the index of an `ifinfomsg`. Other families than "unspecified" tell of bridge ports and the like.
fn link_header(payload: &[u8]) -> Option<(u8, u32)> {
    Some((*payload.first()?, u32_of(payload.get(4..)?)?))
}

fn link_gone(payload: &[u8]) -> Option<Event> {
    let (family, index) = link_header(payload)?;
    (family == 0).then_some(Event::LinkGone(index))
}

fn link(payload: &[u8]) -> Option<Event> {
    let (family, index) = link_header(payload)?;
    match i32::from(family) {
        libc::AF_UNSPEC => {}
        libc::AF_INET6 => {
            let conf = attributes(payload.get(16..)?).find(|(kind, _)| *kind == IFLA_PROTINFO);
            return conf.map(|(_, conf)| Event::Ipv6Conf(index, ipv6_conf(conf)));
        }
        _ => return None,
    }
    let flags = u32_of(payload.get(8..)?)?;
    let mut link = Link {
        index,
        up: flags & IFF_UP != 0,
        ..Link::default()
    };
    let mut operstate = IF_OPER_UNKNOWN;
    let (mut lower, mut elsewhere) = (None, false);
    let mut whole = false;
    for (kind, value) in attributes(payload.get(16..)?) {
        match kind {
            IFLA_ADDRESS => link.mac = value.try_into().ok().map(MacAddress),
            IFLA_IFNAME => link.name = string_of(value),
            IFLA_MTU => {
                link.mtu = u32_of(value)?;
                whole = true;
            }
            IFLA_LINK => lower = u32_of(value).filter(|index| *index != 0),
            IFLA_LINK_NETNSID => elsewhere = true,
            IFLA_MASTER => link.master = u32_of(value).filter(|master| *master != 0),
            IFLA_OPERSTATE => operstate = value.first().copied()?,
            IFLA_LINKINFO => link.kind = link_kind(value),
            IFLA_IFALIAS => link.mark = Mark::parse(&string_of(value)),
            IFLA_GROUP => link.group = u32_of(value)?,
            IFLA_AF_SPEC => {
                for (family, conf) in attributes(value) {
                    match i32::from(family) {
                        libc::AF_INET => link.ipv4 = ipv4_conf(conf),
                        libc::AF_INET6 => link.ipv6 = Some(ipv6_conf(conf)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link.lower = lower.map(|index| Lower { index, elsewhere });
    link.carrier = flags & IFF_LOWER_UP != 0 && matches!(operstate, IF_OPER_UNKNOWN | IF_OPER_UP);
    // Wireless drivers send a few attributes only.
    Some(if whole {
        Event::Link(link)
    } else {
        Event::Partial
    })
}

fn link_kind(info: &[u8]) -> Kind {
    let mut name = String::new();
    let mut bridge = false;
    for (kind, value) in attributes(info) {
        match kind {
            IFLA_INFO_KIND => name = string_of(value),
            // Means something else for another kind, which is then not looked at.
            IFLA_INFO_DATA => {
                bridge = attributes(value).any(|(kind, mode)| {
                    kind == IFLA_MACVLAN_MODE && u32_of(mode) == Some(MACVLAN_MODE_BRIDGE)
                });
            }
            _ => {}
        }
    }
    match name.as_str() {
        "macvlan" => Kind::Macvlan { bridge },
        "vrf" => Kind::Vrf,
        _ => Kind::Other,
    }
}

/// The numbers of an array by their positions.
fn numbers(bytes: &[u8]) -> impl Fn(usize) -> Option<i32> {
    |position| i32_of(bytes.get(4 * position..)?)
}

fn ipv4_conf(bytes: &[u8]) -> Ipv4Conf {
    attributes(bytes)
        .find(|(kind, _)| *kind == IFLA_INET_CONF)
        .map(|(_, values)| Ipv4Conf::read(numbers(values)))
        .unwrap_or_default()
}

fn ipv6_conf(bytes: &[u8]) -> Ipv6Conf {
    let mut conf = Ipv6Conf::default();
    for (kind, value) in attributes(bytes) {
        match kind {
            IFLA_INET6_CONF => conf.read(numbers(value)),
            IFLA_INET6_ADDR_GEN_MODE => {
                conf.address_generation = value.first().copied().unwrap_or(0);
            }
            _ => {}
        }
    }
    conf
}

pub(super) fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
}

fn address(payload: &[u8]) -> Option<(u32, Address)> {
    let [_, prefix_len, flags, _] = *payload.first_chunk()?;
    let link = u32_of(payload.get(4..)?)?;
    let mut flags = u32::from(flags);
    let (mut local, mut peer) = (None, None);
    let (mut protocol, mut metric, mut lent) = (0, 0, false);
    for (kind, value) in attributes(payload.get(8..)?) {
        match kind {
            IFA_LOCAL => local = ip_of(value),
            IFA_ADDRESS => peer = ip_of(value),
            IFA_LABEL => lent = is_lent(value),
            IFA_FLAGS => flags = u32_of(value)?,
            IFA_RT_PRIORITY => metric = u32_of(value)?,
            IFA_PROTO => protocol = value.first().copied()?,
            _ => {}
        }
    }
    // IPv6 has a local address of its own on point-to-point links only.
    let mut address = Address {
        ip: local.or(peer)?,
        prefix_len,
        protocol,
        metric,
        flags,
        lent,
    };
    // Strangers may have the same idea.
    address.lent &= address.is_virtual();
    Some((link, address))
}

fn netconf(payload: &[u8]) -> Option<Event> {
    let family = i32::from(*payload.first()?);
    let (mut index, mut forwarding, mut rp_filter) = (None, None, None);
    for (kind, value) in attributes(payload.get(4..)?) {
        match kind {
            NETCONFA_IFINDEX => index = i32_of(value),
            NETCONFA_FORWARDING => forwarding = i32_of(value),
            NETCONFA_RP_FILTER => rp_filter = i32_of(value),
            _ => {}
        }
    }
    // Beside links there is "default", which concerns none.
    let link = match index? {
        NETCONFA_IFINDEX_ALL => None,
        index => Some(u32::try_from(index).ok()?),
    };
    // One message tells of one setting, except where a link is new, and that is notified in full.
    match (family, forwarding, rp_filter) {
        (libc::AF_INET, Some(value), _) => Some(Event::Ipv4(link, Ipv4Key::Forwarding, value)),
        (libc::AF_INET, None, Some(value)) => Some(Event::Ipv4(link, Ipv4Key::RpFilter, value)),
        (libc::AF_INET6, Some(value), _) => Some(Event::Ipv6(link, Ipv6Key::Forwarding, value)),
        _ => None,
    }
}

/// The outcome that an `NLMSG_ERROR` tells; 0 is success.
pub(super) fn acknowledgement(message: &NetlinkBuffer<&[u8]>) -> Option<Refusal> {
    if i32::from(message.message_type()) != libc::NLMSG_ERROR {
        return None;
    }
    let payload = message.payload();
    let errno = i32_of(payload)?.saturating_neg();
    let mut refusal = Refusal::new(errno);
    if message.flags() & NLM_F_ACK_TLVS != 0 {
        // The error is followed by the message it is about, or its header only.
        let about = if message.flags() & NLM_F_CAPPED != 0 {
            16
        } else {
            usize::try_from(u32_of(payload.get(4..)?)?)
                .ok()?
                .next_multiple_of(4)
        };
        refusal.detail = payload
            .get(4 + about..)
            .and_then(|rest| attributes(rest).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG))
            .map(|(_, text)| string_of(text));
    }
    Some(refusal)
}

/// Whether a message of nftables is about something in `table`.
pub(super) fn is_about_table(message: &NetlinkBuffer<&[u8]>, table: &str) -> bool {
    message
        .payload()
        .get(4..)
        .and_then(|rest| attributes(rest).find(|(kind, _)| *kind == NFTA_TABLE))
        .is_some_and(|(_, name)| string_of(name) == table)
}

/// How many chains and sets the table holds that `message` describes.
pub(super) fn table_use(message: &NetlinkBuffer<&[u8]>) -> u32 {
    message
        .payload()
        .get(4..)
        .and_then(|rest| attributes(rest).find(|(kind, _)| *kind == NFTA_TABLE_USE))
        .and_then(|(_, value)| Some(u32::from_be_bytes(*value.first_chunk()?)))
        .unwrap_or(0)
}
