//! What the kernel holds, as plain values: the links of the namespace, their settings and addresses.
//!
//! Filled from one dump and kept current by notifications; a sysctl that changes without one is found by the next dump.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use vrrp_proto::link::LinkFacts;
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::{MacAddress, is_link_local};

use super::owner::{ADDRESS_PROTOCOL, Mark, OWNER_BITS, OWNER_MASK, OwnerId};

/// One `net.ipv4.conf.<interface>` setting; the number is the kernel's `IPV4_DEVCONF_*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub(super) enum Ipv4Key {
    Forwarding = 1,
    ProxyArp = 3,
    RpFilter = 8,
    ArpFilter = 13,
    ArpAnnounce = 18,
    ArpIgnore = 19,
    PromoteSecondaries = 20,
    ArpNotify = 22,
    AcceptLocal = 23,
    ProxyArpPvlan = 25,
}

impl Ipv4Key {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::ProxyArp => "proxy_arp",
            Self::RpFilter => "rp_filter",
            Self::ArpFilter => "arp_filter",
            Self::ArpAnnounce => "arp_announce",
            Self::ArpIgnore => "arp_ignore",
            Self::PromoteSecondaries => "promote_secondaries",
            Self::ArpNotify => "arp_notify",
            Self::AcceptLocal => "accept_local",
            Self::ProxyArpPvlan => "proxy_arp_pvlan",
        }
    }
}

/// The kernel's array of `net.ipv4.conf.<interface>` settings. Its first number is `IPV4_DEVCONF_*` 1.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ipv4Conf(pub(super) Vec<i32>);

impl Ipv4Conf {
    pub(super) fn get(&self, key: Ipv4Key) -> i32 {
        self.0
            .get(usize::from(key as u16) - 1)
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn set(&mut self, key: Ipv4Key, value: i32) {
        if let Some(slot) = self.0.get_mut(usize::from(key as u16) - 1) {
            *slot = value;
        }
    }
}

/// One `net.ipv6.conf.<interface>` setting; the number is the kernel's `DEVCONF_*`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u16)]
pub(super) enum Ipv6Key {
    Forwarding = 0,
    AcceptRa = 3,
    RouterSolicitations = 7,
    ProxyNdp = 22,
    DisableIpv6 = 26,
    AcceptDad = 27,
    NdiscNotify = 29,
}

impl Ipv6Key {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Forwarding => "forwarding",
            Self::AcceptRa => "accept_ra",
            Self::RouterSolicitations => "router_solicitations",
            Self::ProxyNdp => "proxy_ndp",
            Self::DisableIpv6 => "disable_ipv6",
            Self::AcceptDad => "accept_dad",
            Self::NdiscNotify => "ndisc_notify",
        }
    }
}

/// IPv6 settings of a link: the kernel's array, from `DEVCONF_*` 0, and the address generation mode.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ipv6Conf {
    pub(super) values: Vec<i32>,
    pub(super) address_generation: u8,
}

impl Ipv6Conf {
    pub(super) fn get(&self, key: Ipv6Key) -> i32 {
        self.values
            .get(usize::from(key as u16))
            .copied()
            .unwrap_or(0)
    }

    pub(super) fn set(&mut self, key: Ipv6Key, value: i32) {
        if let Some(slot) = self.values.get_mut(usize::from(key as u16)) {
            *slot = value;
        }
    }
}

/// The settings of a parent that its macvlans need changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ParentConf {
    pub(super) arp_ignore: i32,
    pub(super) arp_announce: i32,
    pub(super) accept_local: i32,
}

impl ParentConf {
    pub(super) fn of(conf: &Ipv4Conf) -> Self {
        Self {
            arp_ignore: conf.get(Ipv4Key::ArpIgnore),
            arp_announce: conf.get(Ipv4Key::ArpAnnounce),
            accept_local: conf.get(Ipv4Key::AcceptLocal),
        }
    }

    pub(super) const fn settings(self) -> [(Ipv4Key, i32); 3] {
        [
            (Ipv4Key::ArpIgnore, self.arp_ignore),
            (Ipv4Key::ArpAnnounce, self.arp_announce),
            (Ipv4Key::AcceptLocal, self.accept_local),
        ]
    }
}

/// The sort of a link, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Kind {
    /// A macvlan; `bridge` tells whether it is in that mode.
    Macvlan { bridge: bool },
    /// A VRF device.
    Vrf,
    /// Anything else.
    #[default]
    Other,
}

/// The link on which another one stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lower {
    pub(super) index: u32,
    /// Whether that is an index of another namespace.
    pub(super) elsewhere: bool,
}

/// One link.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) mac: Option<MacAddress>,
    pub(super) up: bool,
    pub(super) carrier: bool,
    pub(super) mtu: u32,
    pub(super) group: u32,
    /// What its alias says, if we or our like wrote it.
    pub(super) mark: Option<Mark>,
    pub(super) master: Option<u32>,
    pub(super) kind: Kind,
    /// The link below it.
    pub(super) lower: Option<Lower>,
    pub(super) ipv4: Ipv4Conf,
    /// `None` where the kernel has no IPv6 for it.
    pub(super) ipv6: Option<Ipv6Conf>,
    /// In the kernel's order.
    pub(super) addresses: Vec<Address>,
}

impl Link {
    /// The lower link of a macvlan made on this one: macvlans do not stand on each other, but side by side.
    pub(super) const fn lower_of_macvlans(&self) -> Option<Lower> {
        match self.kind {
            Kind::Macvlan { .. } => self.lower,
            Kind::Vrf | Kind::Other => Some(Lower {
                index: self.index,
                elsewhere: false,
            }),
        }
    }

    /// The parent for which it was made and that parent's original settings, as far as its mark tells.
    pub(super) fn originals(&self) -> Option<(u32, ParentConf)> {
        let mark = self.mark.as_ref()?;
        Some((mark.parent, mark.originals?))
    }

    /// Whether `owner` made it. A macvlan just created has no alias yet, but it is in the group.
    pub(super) fn is_of(&self, owner: OwnerId) -> bool {
        matches!(self.kind, Kind::Macvlan { .. })
            && (self.group == owner.group()
                || self.group == owner.leaving_group()
                || self.mark.as_ref().is_some_and(|mark| mark.owner == owner))
    }
}

/// One address of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) ip: IpAddr,
    pub(super) prefix_len: u8,
    pub(super) protocol: u8,
    pub(super) metric: u32,
    pub(super) flags: u32,
    /// Whether its label says that `accept_local` of the link was 0 before it came.
    pub(super) lent: bool,
}

/// `IFA_F_*`
pub(super) mod flag {
    pub(crate) const NODAD: u32 = 0x02;
    pub(crate) const DADFAILED: u32 = 0x08;
    pub(crate) const TENTATIVE: u32 = 0x40;
}

impl Address {
    /// Whether `owner` put it on a link that is not its own.
    pub(super) fn is_of(&self, owner: OwnerId) -> bool {
        self.metric == owner.metric()
    }

    /// Whether a daemon like this one put it there. Kernels before 5.18 know no protocol of an address.
    pub(super) const fn is_virtual(&self) -> bool {
        self.protocol == ADDRESS_PROTOCOL || self.metric & OWNER_MASK == OWNER_BITS
    }

    /// One of ours that the kernel has accepted and not yet in use.
    pub(super) const fn expected(address: VirtualAddress, metric: u32) -> Self {
        Self {
            ip: address.ip,
            prefix_len: address.prefix_len,
            protocol: ADDRESS_PROTOCOL,
            metric,
            flags: flag::TENTATIVE,
            lent: false,
        }
    }

    pub(super) const fn is_tentative(&self) -> bool {
        self.flags & flag::TENTATIVE != 0
    }

    fn is_same(&self, other: &Self) -> bool {
        self.ip == other.ip && self.prefix_len == other.prefix_len
    }
}

/// One thing a dump or a notification says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A link, with everything but its addresses.
    Link(Link),
    /// A link was said something about that only a dump tells in full.
    Partial,
    LinkGone(u32),
    Address(u32, Address),
    AddressGone(u32, Address),
    /// An address was accepted and will be notified when it is in use.
    Expected(u32, Address),
    /// All IPv6 settings of a link.
    Ipv6Conf(u32, Ipv6Conf),
    /// A setting for which the kernel notifies; `None`: of `conf.all`.
    Ipv4(Option<u32>, Ipv4Key, i32),
    Ipv6(Option<u32>, Ipv6Key, i32),
}

/// What an event did to the picture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Effect {
    Nothing,
    /// Something is different.
    Changed,
    /// Something is different, and only a dump tells how.
    Unclear,
}

/// The picture.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Observed {
    links: BTreeMap<u32, Link>,
    names: HashMap<String, u32>,
    /// `net.ipv4.conf.all.rp_filter`
    pub(super) rp_filter_all: i32,
}

impl Observed {
    /// From a dump.
    pub(super) fn new(
        links: Vec<Link>,
        addresses: Vec<(u32, Address)>,
        rp_filter_all: i32,
    ) -> Self {
        let mut observed = Self {
            rp_filter_all,
            ..Self::default()
        };
        for link in links {
            observed.apply(Event::Link(link));
        }
        observed.set_addresses(addresses);
        observed
    }

    /// Replaces all addresses by those of a dump.
    pub(super) fn set_addresses(&mut self, addresses: Vec<(u32, Address)>) {
        for link in self.links.values_mut() {
            link.addresses.clear();
        }
        for (index, address) in addresses {
            if let Some(link) = self.links.get_mut(&index) {
                link.addresses.push(address);
            }
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Link> {
        self.links.get(self.names.get(name)?)
    }

    /// The name of a link for a sentence.
    pub(super) fn name(&self, index: u32) -> &str {
        self.link(index).map_or("an interface", |link| &link.name)
    }

    /// Takes over what the kernel said.
    pub(super) fn apply(&mut self, event: Event) -> Effect {
        match event {
            Event::Link(mut link) => {
                if let Some(old) = self.links.get_mut(&link.index) {
                    link.addresses = std::mem::take(&mut old.addresses);
                    if *old == link {
                        old.addresses = link.addresses;
                        return Effect::Nothing;
                    }
                    if old.name != link.name {
                        let name = std::mem::take(&mut old.name);
                        self.forget_name(&name, link.index);
                    }
                }
                self.names.insert(link.name.clone(), link.index);
                self.links.insert(link.index, link);
                Effect::Changed
            }
            Event::Partial => Effect::Unclear,
            Event::LinkGone(index) => {
                let Some(link) = self.links.remove(&index) else {
                    return Effect::Nothing;
                };
                self.forget_name(&link.name, index);
                Effect::Changed
            }
            Event::Address(index, address) => {
                let Some(link) = self.links.get_mut(&index) else {
                    return Effect::Nothing;
                };
                match link.addresses.iter_mut().find(|old| old.is_same(&address)) {
                    Some(old) if *old == address => Effect::Nothing,
                    Some(old) => {
                        *old = address;
                        Effect::Changed
                    }
                    None => {
                        // Where a real address stands among others is the kernel's choice, and the first one matters.
                        let ours = address.is_virtual();
                        link.addresses.push(address);
                        if ours {
                            Effect::Changed
                        } else {
                            Effect::Unclear
                        }
                    }
                }
            }
            Event::Expected(index, address) => {
                let known = self
                    .link(index)
                    .is_none_or(|link| link.addresses.iter().any(|old| old.is_same(&address)));
                if known {
                    return Effect::Nothing;
                }
                self.apply(Event::Address(index, address))
            }
            Event::AddressGone(index, address) => {
                let Some(link) = self.links.get_mut(&index) else {
                    return Effect::Nothing;
                };
                let before = link.addresses.len();
                link.addresses.retain(|old| !old.is_same(&address));
                if link.addresses.len() == before {
                    Effect::Nothing
                } else {
                    Effect::Changed
                }
            }
            Event::Ipv6Conf(index, conf) => match self.links.get_mut(&index) {
                Some(link) if link.ipv6.as_ref() != Some(&conf) => {
                    link.ipv6 = Some(conf);
                    Effect::Changed
                }
                Some(_) | None => Effect::Nothing,
            },
            Event::Ipv4(None, Ipv4Key::RpFilter, value) => {
                let changed = std::mem::replace(&mut self.rp_filter_all, value) != value;
                if changed {
                    Effect::Changed
                } else {
                    Effect::Nothing
                }
            }
            Event::Ipv4(None, ..) | Event::Ipv6(None, ..) => Effect::Nothing,
            Event::Ipv4(Some(index), key, value) => {
                let Some(link) = self.links.get_mut(&index) else {
                    return Effect::Nothing;
                };
                if link.ipv4.get(key) == value {
                    return Effect::Nothing;
                }
                link.ipv4.set(key, value);
                Effect::Changed
            }
            Event::Ipv6(Some(index), key, value) => {
                let Some(conf) = self
                    .links
                    .get_mut(&index)
                    .and_then(|link| link.ipv6.as_mut())
                else {
                    return Effect::Nothing;
                };
                if conf.get(key) == value {
                    return Effect::Nothing;
                }
                conf.set(key, value);
                Effect::Changed
            }
        }
    }

    fn forget_name(&mut self, name: &str, index: u32) {
        // The name may belong to another link by now.
        if self.names.get(name) == Some(&index) {
            self.names.remove(name);
        }
    }

    /// What the engine wants to know about the interface called `name`; `None` when there is none.
    pub(super) fn facts(&self, name: &str) -> Option<LinkFacts> {
        let link = self.named(name)?;
        let real = || {
            link.addresses
                .iter()
                .filter(|address| !address.is_virtual())
        };
        let usable = |address: &&Address| address.flags & (flag::TENTATIVE | flag::DADFAILED) == 0;
        Some(LinkFacts {
            index: link.index,
            up: link.up,
            carrier: link.carrier,
            mtu: link.mtu,
            mac: link.mac.unwrap_or(MacAddress([0; 6])),
            ipv4: real()
                .filter_map(|address| match address.ip {
                    IpAddr::V4(ip) => Some((ip, address.prefix_len)),
                    IpAddr::V6(_) => None,
                })
                .collect(),
            link_local: real()
                .filter(usable)
                .filter_map(|address| match address.ip {
                    IpAddr::V6(ip) if is_link_local(ip) => Some(ip),
                    IpAddr::V4(_) | IpAddr::V6(_) => None,
                })
                .collect::<Vec<Ipv6Addr>>(),
        })
    }
}
