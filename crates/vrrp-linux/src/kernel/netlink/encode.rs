//! [`Op`]s to messages for the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    DefaultNla, Emitable, NLA_F_NESTED, NLM_F_CREATE, NLM_F_EXCL, NetlinkHeader,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, CacheInfo,
};
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute, LinkExtentMask,
    LinkMessage, MacVlanMode,
};
use rtnetlink::{AddressMessageBuilder, LinkMacVlan, LinkMessageBuilder, LinkUnspec};
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::is_link_local;

use super::message::Message;
use super::{TableFamily, paths};
use crate::kernel::observed::{Ipv4Key, flag};
use crate::kernel::op::{Change, Op};
use crate::kernel::owner::ADDRESS_PROTOCOL;

const IFLA_INET_CONF: u16 = 1;

/// A message that has no number yet.
#[derive(Debug)]
pub(super) struct Request {
    message: Message,
    flags: u16,
}

impl Request {
    pub(super) fn new(message: Message, flags: u16) -> Self {
        Self { message, flags }
    }

    /// Appends the message to `bytes`.
    pub(super) fn write(&self, bytes: &mut Vec<u8>, flags: u16, sequence: u32) {
        let (kind, body) = self.message.parts();
        let mut header = NetlinkHeader::default();
        let room = header.buffer_len();
        let length = room + body.buffer_len();
        header.length = u32::try_from(length).unwrap_or(u32::MAX);
        header.message_type = kind;
        header.flags = self.flags | flags;
        header.sequence_number = sequence;
        let start = bytes.len();
        bytes.resize((start + length).next_multiple_of(4), 0);
        header.emit(&mut bytes[start..start + room]);
        body.emit(&mut bytes[start + room..start + length]);
    }
}

pub(super) fn dump_links() -> Request {
    let mut message = LinkMessage::default();
    message.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
    Request::new(Message::GetLink(message), 0)
}

pub(super) fn dump_addresses() -> Request {
    Request::new(Message::GetAddress(AddressMessage::default()), 0)
}

/// Appends the requests for `ops`, each with the position of the op that it belongs to.
///
/// Several links that go become one group and one deletion: each deletion waits some 15 ms for the kernel's readers.
pub(super) fn requests(ops: &[&Op], requests: &mut Vec<(usize, Request)>) {
    let is_deletion = |op: &&&Op| matches!(op, Op::Delete { .. });
    let deletions = ops.iter().filter(is_deletion).count();
    let mut deleted = 0;
    for (position, op) in ops.iter().enumerate() {
        let mut push = |message, flags| requests.push((position, Request::new(message, flags)));
        match op {
            Op::Create {
                name,
                parent,
                mac,
                mtu,
                group,
                alias,
                ipv4,
                ipv6,
            } => {
                let link = LinkMacVlan::new(name, *parent, MacVlanMode::Bridge)
                    .address(mac.0.to_vec())
                    .mtu(*mtu)
                    .link_group(*group)
                    .build();
                push(Message::NewLink(link), NLM_F_CREATE | NLM_F_EXCL);
                // Neither an alias nor settings are taken at creation.
                let mut families = vec![ipv4_settings(ipv4)];
                if *ipv6 {
                    families.push(no_address_generation());
                }
                let set = LinkUnspec::new_with_name(name)
                    .alias(alias.as_str())
                    .append_extra_attribute(LinkAttribute::AfSpecUnspec(families))
                    .build();
                push(Message::SetLink(set), 0);
            }
            Op::Delete { link, group } => {
                if deletions == 1 {
                    let message = LinkUnspec::new_with_index(*link).build();
                    push(Message::DelLink(message), 0);
                    continue;
                }
                let message = LinkUnspec::new_with_index(*link).link_group(*group).build();
                push(Message::SetLink(message), 0);
                deleted += 1;
                if deleted == deletions {
                    push(Message::DelLink(of_group(*group)), 0);
                }
            }
            Op::DeleteGroup { group } => {
                push(Message::DelLink(of_group(*group)), 0);
            }
            Op::Set { link, change } => {
                let message = LinkUnspec::new_with_index(*link);
                let message = change_link(message, change).build();
                push(Message::SetLink(message), 0);
            }
            Op::Ipv4 { link, settings } => {
                let message = LinkUnspec::new_with_index(*link)
                    .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![ipv4_settings(
                        settings,
                    )]))
                    .build();
                push(Message::SetLink(message), 0);
            }
            Op::Add {
                link,
                address,
                metric,
                label,
            } => {
                let mut message = new_address(*link, *address, *metric);
                let label = label.clone().map(AddressAttribute::Label);
                message.attributes.extend(label);
                push(Message::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL);
            }
            Op::Remove { link, address } => {
                push(Message::DelAddress(plain_address(*link, *address)), 0);
            }
            Op::AddRoute { route, protocol } => {
                let (message, flags) = paths::add_route(route, *protocol);
                push(message, flags);
            }
            Op::RemoveRoute { route, protocol } => push(paths::remove_route(route, *protocol), 0),
            Op::AddRule { rule, protocol } => {
                let (message, flags) = paths::add_rule(rule, *protocol);
                push(message, flags);
            }
            Op::RemoveRule { rule, protocol } => push(paths::remove_rule(rule, *protocol), 0),
            // Netlink has no message for these: they are files.
            Op::Ipv6 { .. } => {}
        }
    }
}

fn of_group(group: u32) -> LinkMessage {
    LinkMessageBuilder::<LinkUnspec>::new()
        .link_group(group)
        .build()
}

fn change_link(
    message: LinkMessageBuilder<LinkUnspec>,
    change: &Change,
) -> LinkMessageBuilder<LinkUnspec> {
    match change {
        Change::Up => message.up(),
        Change::Alias(alias) => message.alias(alias.as_str()),
        Change::Group(group) => message.link_group(*group),
        Change::Mac(mac) => message.address(mac.0.to_vec()),
        Change::Mtu(mtu) => message.mtu(*mtu),
        Change::Master(Some(vrf)) => message.controller(*vrf),
        Change::Master(None) => message.nocontroller(),
        Change::NoAddressGeneration => message
            .append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![no_address_generation()])),
    }
}

fn no_address_generation() -> AfSpecUnspec {
    AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)])
}

/// Built by hand: the crate's own form leaves zeros out.
fn ipv4_settings(settings: &[(Ipv4Key, i32)]) -> AfSpecUnspec {
    let mut bytes = Vec::with_capacity(settings.len() * 8);
    for (key, value) in settings {
        bytes.extend_from_slice(&8_u16.to_ne_bytes());
        bytes.extend_from_slice(&key.number().to_ne_bytes());
        bytes.extend_from_slice(&value.to_ne_bytes());
    }
    AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(
        IFLA_INET_CONF | NLA_F_NESTED,
        bytes,
    ))])
}

fn plain_address(link: u32, address: VirtualAddress) -> AddressMessage {
    match address.ip {
        IpAddr::V4(ip) => AddressMessageBuilder::<Ipv4Addr>::new()
            .index(link)
            .address(ip, address.prefix_len)
            .build(),
        IpAddr::V6(ip) => AddressMessageBuilder::<Ipv6Addr>::new()
            .index(link)
            .address(ip, address.prefix_len)
            .build(),
    }
}

fn new_address(link: u32, address: VirtualAddress, metric: u32) -> AddressMessage {
    let mut message = plain_address(link, address);
    message.attributes.extend([
        AddressAttribute::Protocol(AddressProtocol::Other(ADDRESS_PROTOCOL)),
        AddressAttribute::RoutePriority(metric),
    ]);
    if let IpAddr::V6(ip) = address.ip {
        // Nobody else answers for it when we add it, and waiting for an answer costs a second.
        let flags = AddressFlags::from_bits_retain(flag::NODAD);
        message.attributes.push(AddressAttribute::Flags(flags));
        if !is_link_local(ip) {
            // Deprecated from the start: the host accepts traffic to it and never prefers it as a source of its own.
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            message
                .attributes
                .push(AddressAttribute::CacheInfo(lifetimes));
        }
    }
    message
}

/// `get table <family> <name>`, for nftables.
pub(super) fn get_table(family: TableFamily, name: &str, sequence: u32) -> Vec<u8> {
    const NFTA_TABLE_NAME: u16 = 1;
    const GET_TABLE: u16 = (10 << 8) | 1;
    let attribute = 4 + name.len() + 1;
    let length = (16 + 4 + attribute).next_multiple_of(4);
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(&GET_TABLE.to_ne_bytes());
    bytes.extend_from_slice(&netlink_packet_core::NLM_F_REQUEST.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&[family as u8, 0, 0, 0]);
    bytes.extend_from_slice(&u16::try_from(attribute).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(&NFTA_TABLE_NAME.to_ne_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.resize(length, 0);
    bytes
}
