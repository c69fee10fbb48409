//! The few of the kernel's messages that are sent.

use netlink_packet_core::Emitable;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::rule::RuleMessage;

/// What is asked of the kernel. The crate's own sum of all messages would bring into the program how each of them is
/// written: of disciplines, neighbours, statistics and whatever else is never sent here.
#[derive(Debug)]
pub(super) enum Message {
    GetLink(LinkMessage),
    NewLink(LinkMessage),
    SetLink(LinkMessage),
    DelLink(LinkMessage),
    GetAddress(AddressMessage),
    NewAddress(AddressMessage),
    DelAddress(AddressMessage),
    GetRoute(RouteMessage),
    NewRoute(RouteMessage),
    DelRoute(RouteMessage),
    GetRule(RuleMessage),
    NewRule(RuleMessage),
    DelRule(RuleMessage),
}

impl Message {
    /// The number of its kind, and what stands behind the header.
    pub(super) fn parts(&self) -> (u16, &dyn Emitable) {
        match self {
            Self::GetLink(body) => (libc::RTM_GETLINK, body),
            Self::NewLink(body) => (libc::RTM_NEWLINK, body),
            Self::SetLink(body) => (libc::RTM_SETLINK, body),
            Self::DelLink(body) => (libc::RTM_DELLINK, body),
            Self::GetAddress(body) => (libc::RTM_GETADDR, body),
            Self::NewAddress(body) => (libc::RTM_NEWADDR, body),
            Self::DelAddress(body) => (libc::RTM_DELADDR, body),
            Self::GetRoute(body) => (libc::RTM_GETROUTE, body),
            Self::NewRoute(body) => (libc::RTM_NEWROUTE, body),
            Self::DelRoute(body) => (libc::RTM_DELROUTE, body),
            Self::GetRule(body) => (libc::RTM_GETRULE, body),
            Self::NewRule(body) => (libc::RTM_NEWRULE, body),
            Self::DelRule(body) => (libc::RTM_DELRULE, body),
        }
    }
}
