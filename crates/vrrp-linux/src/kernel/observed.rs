//! What the kernel holds, as plain values: the links of the namespace, their settings and addresses.
//!
//! Filled from one dump and kept current by notifications; a sysctl that changes without one is found by the next dump.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};

use vrrp_proto::Gather;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::{MacAddress, is_link_local};

use super::owner::{ADDRESS_PROTOCOL, Mark, OWNER_BITS, OWNER_MASK, OwnerId};

/// One `net.ipv4.conf.<interface>` setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Ipv4Key {
    Forwarding,
    ProxyArp,
    RpFilter,
    ArpFilter,
    ArpAnnounce,
    ArpIgnore,
    PromoteSecondaries,
    ArpNotify,
    AcceptLocal,
    ProxyArpPvlan,
}

impl Ipv4Key {
    /// In the order of their declaration.
    const ALL: [Self; 10] = [
        Self::Forwarding,
        Self::ProxyArp,
        Self::RpFilter,
        Self::ArpFilter,
        Self::ArpAnnounce,
        Self::ArpIgnore,
        Self::PromoteSecondaries,
        Self::ArpNotify,
        Self::AcceptLocal,
        Self::ProxyArpPvlan,
    ];

    /// The kernel's `IPV4_DEVCONF_*`.
    pub(super) const fn number(self) -> u16 {
        match self {
            Self::Forwarding => 1,
            Self::ProxyArp => 3,
            Self::RpFilter => 8,
            Self::ArpFilter => 13,
            Self::ArpAnnounce => 18,
            Self::ArpIgnore => 19,
            Self::PromoteSecondaries => 20,
            Self::ArpNotify => 22,
            Self::AcceptLocal => 23,
            Self::ProxyArpPvlan => 25,
        }
    }

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

/// The `net.ipv4.conf.<interface>` settings that matter here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Ipv4Conf([i32; Ipv4Key::ALL.len()]);

impl Ipv4Conf {
    /// Of the kernel's array, which begins with `IPV4_DEVCONF_*` 1. What `at` does not know is 0.
    pub(super) fn read(at: impl Fn(usize) -> Option<i32>) -> Self {
        Self(Ipv4Key::ALL.map(|key| at(usize::from(key.number()) - 1).unwrap_or(0)))
    }

    pub(super) const fn get(&self, key: Ipv4Key) -> i32 {
        self.0[key as usize]
    }

    pub(super) const fn set(&mut self, key: Ipv4Key, value: i32) {
        self.0[key as usize] = value;
    }
}

/// One `net.ipv6.conf.<interface>` setting.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Ipv6Key {
    Forwarding,
    AcceptRa,
    RouterSolicitations,
    ProxyNdp,
    DisableIpv6,
    AcceptDad,
    NdiscNotify,
}

impl Ipv6Key {
    /// In the order of their declaration.
    const ALL: [Self; 7] = [
        Self::Forwarding,
        Self::AcceptRa,
        Self::RouterSolicitations,
        Self::ProxyNdp,
        Self::DisableIpv6,
        Self::AcceptDad,
        Self::NdiscNotify,
    ];

    /// The kernel's `DEVCONF_*`.
    const fn number(self) -> u16 {
        match self {
            Self::Forwarding => 0,
            Self::AcceptRa => 3,
            Self::RouterSolicitations => 7,
            Self::ProxyNdp => 22,
            Self::DisableIpv6 => 26,
            Self::AcceptDad => 27,
            Self::NdiscNotify => 29,
        }
    }

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

/// The `net.ipv6.conf.<interface>` settings that matter here, and the address generation mode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Ipv6Conf {
    values: [i32; Ipv6Key::ALL.len()],
    pub(super) address_generation: u8,
}

impl Ipv6Conf {
    /// Everything off, with this mode.
    #[cfg(feature = "model")]
    pub(super) fn blank(address_generation: u8) -> Self {
        Self {
            address_generation,
            ..Self::default()
        }
    }

    /// Takes over the kernel's array, which begins with `DEVCONF_*` 0. What `at` does not know is 0.
    pub(super) fn read(&mut self, at: impl Fn(usize) -> Option<i32>) {
        self.values = Ipv6Key::ALL.map(|key| at(usize::from(key.number())).unwrap_or(0));
    }

    pub(super) const fn get(&self, key: Ipv6Key) -> i32 {
        self.values[key as usize]
    }

    pub(super) const fn set(&mut self, key: Ipv6Key, value: i32) {
        self.values[key as usize] = value;
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

    /// Most links have one address, for which a vector would make room for four.
    fn add(&mut self, address: Address) {
        if self.addresses.is_empty() {
            self.addresses.reserve_exact(1);
        }
        self.addresses.push(address);
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
    /// The link with this index has a carrier or has none any more, and nothing else is different.
    Carrier(u32),
    /// Something is different.
    Changed,
    /// Something is different, and only a dump tells how.
    Unclear,
}

/// The picture.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Observed {
    links: BTreeMap<u32, Box<Link>>,
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
        let mut observed = Self::default();
        observed.renew(links, addresses, rp_filter_all);
        observed
    }

    /// Becomes what a dump says. What stayed the same stays where it is: a second picture beside this one would leave as
    /// much memory unused as both need.
    pub(super) fn renew(
        &mut self,
        links: Vec<Link>,
        addresses: Vec<(u32, Address)>,
        rp_filter_all: i32,
    ) {
        self.rp_filter_all = rp_filter_all;
        let there: BTreeSet<u32> = links.iter().map(|link| link.index).gather();
        for link in links {
            self.apply(Event::Link(link));
        }
        let gone = self.links.keys().filter(|index| !there.contains(index));
        for index in gone.copied().collect::<Vec<u32>>() {
            self.apply(Event::LinkGone(index));
        }
        for link in self.links.values_mut() {
            link.addresses.clear();
        }
        for (index, address) in addresses {
            if let Some(link) = self.links.get_mut(&index) {
                link.add(address);
            }
        }
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values().map(Box::as_ref)
    }

    pub(super) fn link(&self, index: u32) -> Option<&Link> {
        self.links.get(&index).map(Box::as_ref)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Link> {
        self.link(*self.names.get(name)?)
    }

    /// The name of a link for a sentence.
    pub(super) fn name(&self, index: u32) -> &str {
        self.link(index).map_or("an interface", |link| &link.name)
    }

    /// Takes over what the kernel said, for `owner`. Whether its macvlans have a carrier is nobody's business but their
    /// parent's: the kernel says it of a hundred each second after they were made, and of each when the parent comes or goes.
    pub(super) fn hear(&mut self, owner: OwnerId, event: Event) -> Effect {
        let effect = self.apply(event);
        let moot = |index| self.link(index).is_some_and(|link| link.is_of(owner));
        match effect {
            Effect::Carrier(index) if moot(index) => Effect::Nothing,
            Effect::Nothing | Effect::Carrier(_) | Effect::Changed | Effect::Unclear => effect,
        }
    }

    /// Takes over what the kernel said.
    pub(super) fn apply(&mut self, event: Event) -> Effect {
        match event {
            Event::Link(mut link) => {
                if let Some(old) = self.links.get_mut(&link.index) {
                    // No message about a link speaks of its addresses.
                    link.addresses.clone_from(&old.addresses);
                    if **old == link {
                        return Effect::Nothing;
                    }
                    old.carrier = link.carrier;
                    if **old == link {
                        return Effect::Carrier(link.index);
                    }
                    if old.name != link.name {
                        let name = std::mem::take(&mut old.name);
                        self.forget_name(&name, link.index);
                    }
                }
                self.names.insert(link.name.clone(), link.index);
                self.links.insert(link.index, Box::new(link));
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
                        link.add(address);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn link(index: u32, name: &str) -> Link {
        Link {
            index,
            name: name.to_owned(),
            ..Link::default()
        }
    }

    fn address(last: u8) -> Address {
        let ip = IpAddr::from([192, 0, 2, last]);
        Address::expected(VirtualAddress { ip, prefix_len: 24 }, 0)
    }

    #[test]
    fn keys_stand_in_their_own_places() {
        let mut ipv4 = Ipv4Conf::read(|position| i32::try_from(position + 1).ok());
        for key in Ipv4Key::ALL {
            assert_eq!(ipv4.get(key), i32::from(key.number()), "{key:?}");
            ipv4.set(key, -1);
        }
        assert_eq!(ipv4, Ipv4Conf::read(|_| Some(-1)));
        assert_eq!(Ipv4Conf::read(|_| None), Ipv4Conf::default());
        let mut ipv6 = Ipv6Conf::default();
        ipv6.read(|position| i32::try_from(position).ok());
        for key in Ipv6Key::ALL {
            assert_eq!(ipv6.get(key), i32::from(key.number()), "{key:?}");
        }
    }

    #[test]
    fn neither_a_link_said_again_nor_the_carrier_of_an_own_macvlan_is_news() {
        let [owner, other] = ["/run/a", "/run/b"].map(|path| OwnerId::of(Path::new(path)));
        let own = Link {
            kind: Kind::Macvlan { bridge: true },
            group: owner.group(),
            ..link(3, "own")
        };
        let carrying = |link: &Link| Link {
            carrier: true,
            ..link.clone()
        };
        let foreign = Link {
            group: other.group(),
            ..link(4, "foreign")
        };
        let links = vec![link(2, "parent"), own.clone(), foreign.clone()];
        let mut observed = Observed::new(links, vec![(3, address(1)), (4, address(2))], 0);
        let mut hear = |link: Link| observed.hear(owner, Event::Link(link));
        assert_eq!(hear(carrying(&link(2, "parent"))), Effect::Carrier(2));
        assert_eq!(hear(carrying(&foreign)), Effect::Carrier(4));
        assert_eq!(hear(carrying(&own)), Effect::Nothing);
        assert_eq!(hear(own.clone()), Effect::Nothing);
        assert_eq!(hear(carrying(&foreign)), Effect::Nothing, "said again");
        // Whatever else changes with it is news.
        let up = Link {
            up: true,
            ..carrying(&own)
        };
        assert_eq!(hear(up), Effect::Changed);
        let known = observed.link(3).unwrap();
        assert!(known.carrier && known.up);
        assert_eq!(known.addresses, [address(1)]);
    }

    #[test]
    fn a_picture_renewed_is_the_picture_taken() {
        let before = vec![link(1, "lo"), link(2, "a"), link(3, "b"), link(4, "gone")];
        let mut observed = Observed::new(before, vec![(2, address(1)), (4, address(2))], 0);
        // Two swap their names, and a new one has that of one that is gone.
        let links = || vec![link(1, "lo"), link(2, "b"), link(3, "a"), link(5, "gone")];
        let addresses = || vec![(2, address(3)), (2, address(1)), (9, address(4))];
        observed.renew(links(), addresses(), 1);
        assert_eq!(observed, Observed::new(links(), addresses(), 1));
        let indices = ["lo", "a", "b", "gone"].map(|name| observed.named(name).unwrap().index);
        assert_eq!(indices, [1, 3, 2, 5]);
        observed.renew(Vec::new(), Vec::new(), 0);
        assert_eq!(observed, Observed::default());
    }
}
