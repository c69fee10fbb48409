//! What really is in the kernel of a model.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrp_proto::Instant;
use vrrp_proto::desired::Desired;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::{Family, MacAddress, Vrid};

use super::{Meddling, Temper};
use crate::kernel::OwnerId;
use crate::kernel::netlink::{Drained, Refusal};
use crate::kernel::observed::{
    Address, Event, Ipv4Conf, Ipv4Key, Ipv6Conf, Ipv6Key, Kind, Link, Lower, Observed, ParentConf,
    flag,
};
use crate::kernel::op::{Change, Op};
use crate::kernel::owner::Mark;
use crate::kernel::reconcile::macvlan_name;
use crate::kernel::system::System;

/// IPv6 addresses come into use this long after they were accepted.
const RIPENING: Duration = Duration::from_micros(500);

/// Address generation by hardware address, as the kernel begins.
const EUI64: u8 = 0;

/// `IN6_ADDR_GEN_MODE_NONE`
const NONE: u8 = 1;

pub(in crate::kernel) struct Truth {
    pub(super) now: Instant,
    pub(super) temper: Temper,
    /// So many notifications are still to be lost.
    pub(super) losing: u32,
    pub(super) overruns: u64,
    interface: String,
    links: BTreeMap<u32, Link>,
    next_index: u32,
    news: VecDeque<Event>,
    /// Notifications were lost, and the listener was not told yet.
    overrun: bool,
    /// Something changed that the listener cannot have heard of.
    unseen: bool,
    tentative: Vec<(Instant, u32, IpAddr)>,
    filter: Option<String>,
    filter_news: bool,
    strangers: Vec<Link>,
    /// The only record of how the interface was is gone, while no daemon was there that knew it.
    originals_lost: bool,
    random: u64,
}

fn blank(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        up: true,
        carrier: true,
        mtu: 1500,
        ipv4: Ipv4Conf(vec![0; 33]),
        ipv6: Some(Ipv6Conf {
            values: vec![0; 60],
            address_generation: EUI64,
        }),
        ..Link::default()
    }
}

const fn real(ip: IpAddr, prefix_len: u8) -> Address {
    Address {
        ip,
        prefix_len,
        protocol: 2,
        metric: 0,
        flags: 0,
    }
}

/// The address a stranger leaves on what is ours.
const STRAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));

impl Truth {
    pub(super) fn new(interface: &str, facts: &LinkFacts, seed: u64) -> Self {
        let mut elsewhere = blank(100, "dummy9");
        let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));
        elsewhere.addresses.push(real(address, 24));
        let beside = Link {
            kind: Kind::Macvlan { bridge: true },
            lower: Some(Lower {
                index: facts.index,
                elsewhere: false,
            }),
            mac: Some(MacAddress([2, 0, 0, 0, 9, 9])),
            ..blank(101, "mv0")
        };
        let mut truth = Self {
            now: Instant::ZERO,
            temper: Temper::Obeys,
            losing: 0,
            overruns: 0,
            interface: interface.to_owned(),
            links: BTreeMap::new(),
            next_index: 200,
            news: VecDeque::new(),
            overrun: false,
            unseen: false,
            tentative: Vec::new(),
            filter: None,
            filter_news: false,
            strangers: vec![elsewhere.clone(), beside.clone()],
            originals_lost: false,
            random: seed,
        };
        truth.links.insert(100, elsewhere);
        truth.links.insert(101, beside);
        truth.set_parent(Some(facts));
        truth.forget_news();
        truth
    }

    /// Everything made since the last boot is gone.
    pub(super) fn reboot(&mut self) {
        let facts = self.parent_facts();
        self.links.retain(|index, _| *index < 200 && *index >= 100);
        self.filter = None;
        self.tentative.clear();
        self.set_parent(facts.as_ref());
        self.forget_news();
    }

    /// A new listener hears only what comes.
    pub(super) fn forget_news(&mut self) {
        self.news.clear();
        self.overrun = false;
        self.unseen = false;
        self.filter_news = false;
        self.losing = 0;
    }

    /// A daemon begins to look.
    pub(super) fn begin(&mut self) {
        self.forget_news();
        let Some(parent) = self.parent_index().and_then(|index| self.links.get(&index)) else {
            return;
        };
        let conf = ParentConf::of(&parent.ipv4);
        let changed = conf.settings().iter().any(|(_, value)| *value != 0);
        let recorded = self.links.values().any(|link| link.originals().is_some());
        self.originals_lost |= changed && !recorded;
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty() || self.overrun || self.filter_news
    }

    pub(super) const fn is_unseen(&self) -> bool {
        self.unseen
    }

    pub(super) fn ripens_at(&self) -> Option<Instant> {
        self.tentative.iter().map(|(at, ..)| *at).min()
    }

    /// IPv6 addresses come into use.
    pub(super) fn ripen(&mut self) {
        let now = self.now;
        let (ripe, rest) = self.tentative.drain(..).partition(|(at, ..)| *at <= now);
        self.tentative = rest;
        let ripe: Vec<(Instant, u32, IpAddr)> = ripe;
        for (_, index, ip) in ripe {
            let there = self
                .links
                .get_mut(&index)
                .and_then(|link| link.addresses.iter_mut().find(|it| it.ip == ip));
            if let Some(address) = there {
                address.flags &= !flag::TENTATIVE;
                let event = Event::Address(index, address.clone());
                self.tell(event);
            }
        }
    }

    fn tell(&mut self, event: Event) {
        if self.losing > 0 {
            self.losing -= 1;
            self.overrun = true;
            return;
        }
        self.news.push_back(event);
    }

    fn tell_link(&mut self, index: u32) {
        if let Some(link) = self.links.get(&index) {
            let link = Link {
                addresses: Vec::new(),
                ..link.clone()
            };
            self.tell(Event::Link(link));
        }
    }

    fn parent_index(&self) -> Option<u32> {
        self.links
            .values()
            .find(|link| link.name == self.interface)
            .map(|link| link.index)
    }

    pub(super) fn parent_facts(&self) -> Option<LinkFacts> {
        Observed::new(self.links.values().cloned().collect(), self.addresses(), 0)
            .facts(&self.interface)
    }

    fn addresses(&self) -> Vec<(u32, Address)> {
        self.links
            .values()
            .flat_map(|link| link.addresses.iter().map(|it| (link.index, it.clone())))
            .collect()
    }

    pub(super) fn set_parent(&mut self, facts: Option<&LinkFacts>) {
        let Some(facts) = facts else {
            if let Some(index) = self.parent_index() {
                self.delete(index);
            }
            return;
        };
        let index = facts.index;
        let fresh = || {
            let mut link = blank(index, &self.interface);
            link.ipv4.set(Ipv4Key::Forwarding, 1);
            link
        };
        self.originals_lost &= self.links.contains_key(&index);
        let mut link = self.links.get(&index).cloned().unwrap_or_else(fresh);
        link.up = facts.up;
        link.carrier = facts.carrier;
        link.mtu = facts.mtu;
        link.mac = Some(facts.mac);
        let mut wanted: Vec<Address> = facts
            .ipv4
            .iter()
            .map(|(ip, len)| real(IpAddr::V4(*ip), *len))
            .collect();
        wanted.extend(facts.link_local.iter().map(|ip| real(IpAddr::V6(*ip), 64)));
        let gone: Vec<Address> = link
            .addresses
            .iter()
            .filter(|there| !there.is_virtual() && !wanted.contains(there))
            .cloned()
            .collect();
        let new: Vec<Address> = wanted
            .iter()
            .filter(|address| !link.addresses.contains(address))
            .cloned()
            .collect();
        wanted.extend(link.addresses.iter().filter(|it| it.is_virtual()).cloned());
        link.addresses = wanted;
        self.links.insert(index, link);
        self.tell_link(index);
        for address in gone {
            self.tell(Event::AddressGone(index, address));
        }
        for address in new {
            self.tell(Event::Address(index, address));
        }
        self.follow(index);
    }

    /// What stands on a link follows it.
    fn follow(&mut self, below: u32) {
        let Some((up, carrier)) = self
            .links
            .get(&below)
            .map(|link| (link.up, link.carrier && link.up))
        else {
            return;
        };
        let upper: Vec<u32> = self
            .links
            .values()
            .filter(|link| link.lower.is_some_and(|lower| lower.index == below))
            .filter(|link| link.carrier != (carrier && up))
            .map(|link| link.index)
            .collect();
        for index in upper {
            if index < 200 {
                continue;
            }
            if let Some(link) = self.links.get_mut(&index) {
                link.carrier = carrier;
            }
            self.tell_link(index);
        }
    }

    fn delete(&mut self, index: u32) {
        if self.links.remove(&index).is_none() {
            return;
        }
        self.tentative.retain(|(_, link, _)| *link != index);
        self.tell(Event::LinkGone(index));
        let upper: Vec<u32> = self
            .links
            .values()
            .filter(|link| {
                link.lower
                    .is_some_and(|lower| lower.index == index && !lower.elsewhere)
            })
            .map(|link| link.index)
            .filter(|upper| *upper >= 200)
            .collect();
        for index in upper {
            self.delete(index);
        }
    }

    fn chance(&mut self) -> u8 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.random >> 33) % 100).unwrap_or(0)
    }

    /// Whether the kernel is in no mood for it.
    fn declines(&mut self, more: bool) -> Option<i32> {
        match self.temper {
            Temper::Obeys | Temper::Mute => None,
            Temper::RefusesMore => more.then_some(libc::ENOBUFS),
            Temper::RefusesAll => Some(libc::EBUSY),
            Temper::Moody(percent) => (self.chance() < percent).then_some(libc::EAGAIN),
        }
    }

    fn execute(&mut self, op: &Op) -> Result<(), i32> {
        let more = matches!(op, Op::Create { .. } | Op::Add { .. });
        if let Some(errno) = self.declines(more) {
            return Err(errno);
        }
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
                if self.links.values().any(|link| link.name == *name) {
                    return Err(libc::EEXIST);
                }
                let below = self.links.get(parent).ok_or(libc::ENODEV)?;
                let mut link = Link {
                    mac: Some(*mac),
                    up: false,
                    carrier: false,
                    mtu: *mtu,
                    group: *group,
                    mark: Mark::parse(alias),
                    kind: Kind::Macvlan { bridge: true },
                    lower: below.lower_of_macvlans(),
                    ..blank(self.next_index, name)
                };
                for (key, value) in ipv4 {
                    link.ipv4.set(*key, *value);
                }
                if *ipv6 && let Some(conf) = link.ipv6.as_mut() {
                    conf.address_generation = NONE;
                }
                self.next_index += 1;
                let index = link.index;
                self.links.insert(index, link);
                self.tell_link(index);
                Ok(())
            }
            Op::Delete { link, .. } => {
                self.links.get(link).ok_or(libc::ENODEV)?;
                self.delete(*link);
                Ok(())
            }
            Op::DeleteGroup { group } => {
                let doomed: Vec<u32> = self
                    .links
                    .values()
                    .filter(|link| link.group == *group)
                    .map(|link| link.index)
                    .collect();
                if doomed.is_empty() {
                    return Err(libc::ENODEV);
                }
                doomed.into_iter().for_each(|index| self.delete(index));
                Ok(())
            }
            Op::Set {
                link: index,
                change,
            } => {
                let link = self.links.get_mut(index).ok_or(libc::ENODEV)?;
                let was_up = link.up;
                match change {
                    Change::Up => link.up = true,
                    Change::Alias(alias) => link.mark = Mark::parse(alias),
                    Change::Group(group) => link.group = *group,
                    Change::Mac(mac) => link.mac = Some(*mac),
                    Change::Mtu(mtu) => link.mtu = *mtu,
                    Change::Master(master) => link.master = *master,
                    Change::NoAddressGeneration => {
                        if let Some(conf) = link.ipv6.as_mut() {
                            conf.address_generation = NONE;
                        }
                    }
                }
                if link.up {
                    self.tell_link(*index);
                }
                if !was_up && let Some(below) = self.links[index].lower {
                    self.follow(below.index);
                }
                Ok(())
            }
            Op::Ipv4 { link, settings } => {
                let link = self.links.get_mut(link).ok_or(libc::ENODEV)?;
                let index = link.index;
                for (key, value) in settings {
                    link.ipv4.set(*key, *value);
                }
                for (key, value) in settings {
                    if matches!(key, Ipv4Key::Forwarding | Ipv4Key::RpFilter) {
                        self.tell(Event::Ipv4(Some(index), *key, *value));
                    }
                }
                Ok(())
            }
            // By a file and not by a message.
            Op::Ipv6 { .. } => Err(libc::EOPNOTSUPP),
            Op::Add {
                link,
                address,
                metric,
            } => self.add(*link, *address, *metric),
            Op::Remove { link, address } => {
                let index = *link;
                let link = self.links.get_mut(link).ok_or(libc::ENODEV)?;
                let same =
                    |it: &Address| it.ip == address.ip && it.prefix_len == address.prefix_len;
                let position = link.addresses.iter().position(same);
                let gone = link.addresses.remove(position.ok_or(libc::EADDRNOTAVAIL)?);
                self.tentative
                    .retain(|(_, link, ip)| *link != index || *ip != gone.ip);
                self.tell(Event::AddressGone(index, gone));
                Ok(())
            }
        }
    }

    fn add(&mut self, index: u32, address: VirtualAddress, metric: u32) -> Result<(), i32> {
        let link = self.links.get_mut(&index).ok_or(libc::ENODEV)?;
        if link
            .addresses
            .iter()
            .any(|it| it.ip == address.ip && it.prefix_len == address.prefix_len)
        {
            return Err(libc::EEXIST);
        }
        let mut added = Address::expected(address, metric);
        if address.ip.is_ipv6() {
            let off = |conf: &Ipv6Conf| conf.get(Ipv6Key::DisableIpv6) != 0;
            if link.ipv6.as_ref().is_none_or(off) {
                return Err(libc::EACCES);
            }
            link.addresses.push(added);
            self.tentative
                .push((self.now + RIPENING, index, address.ip));
        } else {
            added.flags &= !flag::TENTATIVE;
            link.addresses.push(added.clone());
            self.tell(Event::Address(index, added));
        }
        Ok(())
    }

    fn disable_ipv6(&mut self, index: u32) {
        let Some(link) = self.links.get_mut(&index) else {
            return;
        };
        let (gone, rest) = link.addresses.drain(..).partition(|it| it.ip.is_ipv6());
        link.addresses = rest;
        self.tentative.retain(|(_, link, _)| *link != index);
        let gone: Vec<Address> = gone;
        for address in gone {
            self.tell(Event::AddressGone(index, address));
        }
    }

    fn set_ipv6_of(&mut self, index: u32, key: Ipv6Key, value: i32) {
        let conf = self
            .links
            .get_mut(&index)
            .and_then(|link| link.ipv6.as_mut());
        if let Some(conf) = conf {
            conf.set(key, value);
        }
        if key == Ipv6Key::DisableIpv6 && value != 0 {
            self.disable_ipv6(index);
        }
    }

    /// The macvlans of `owner`.
    fn ours(&self, owner: OwnerId) -> Vec<u32> {
        self.links
            .values()
            .filter(|link| link.is_of(owner))
            .map(|link| link.index)
            .collect()
    }

    pub(super) fn meddle(&mut self, owner: OwnerId, meddling: Meddling) -> bool {
        let ours = self.ours(owner);
        let victim = ours
            .get(usize::from(self.chance()) % ours.len().max(1))
            .copied();
        match (meddling, victim) {
            (Meddling::DeletesAddress, _) => {
                let found = self.links.values().find_map(|link| {
                    let address = link.addresses.iter().find(|it| it.is_of(owner))?;
                    Some((link.index, address.clone()))
                });
                let Some((index, address)) = found else {
                    return false;
                };
                if let Some(link) = self.links.get_mut(&index) {
                    link.addresses.retain(|it| *it != address);
                }
                self.tentative
                    .retain(|(_, link, ip)| *link != index || *ip != address.ip);
                self.tell(Event::AddressGone(index, address));
                true
            }
            (Meddling::ResetsArpIgnore, _) => {
                let Some(index) = self.parent_index() else {
                    return false;
                };
                let link = self.links.get_mut(&index);
                if let Some(link) = link.filter(|link| link.ipv4.get(Ipv4Key::ArpIgnore) != 0) {
                    link.ipv4.set(Ipv4Key::ArpIgnore, 0);
                    self.unseen = true;
                    return true;
                }
                false
            }
            (Meddling::FlushesFilter, _) => {
                self.filter_news |= self.filter.is_some();
                self.filter.take().is_some()
            }
            (_, None) => false,
            (Meddling::DeletesMacvlan, Some(index)) => {
                self.delete(index);
                true
            }
            (Meddling::SetsMacvlanDown, Some(index)) => {
                if let Some(link) = self.links.get_mut(&index) {
                    link.up = false;
                    link.carrier = false;
                }
                self.disable_ipv6(index);
                self.tell_link(index);
                true
            }
            (Meddling::ChangesMac, Some(index)) => {
                if let Some(link) = self.links.get_mut(&index) {
                    link.mac = Some(MacAddress([2, 0, 0, 0, 7, 7]));
                }
                self.tell_link(index);
                true
            }
            (Meddling::AddsStray, Some(index)) => {
                let stray = real(STRAY, 24);
                let Some(link) = self.links.get_mut(&index) else {
                    return false;
                };
                if link.addresses.contains(&stray) {
                    return false;
                }
                link.addresses.push(stray.clone());
                self.tell(Event::Address(index, stray));
                true
            }
            (Meddling::FlipsForwarding, Some(index)) => {
                let Some(link) = self.links.get_mut(&index) else {
                    return false;
                };
                let value = 1 - link.ipv4.get(Ipv4Key::Forwarding).clamp(0, 1);
                link.ipv4.set(Ipv4Key::Forwarding, value);
                self.tell(Event::Ipv4(Some(index), Ipv4Key::Forwarding, value));
                true
            }
            (Meddling::FlipsIpv6, Some(index)) => {
                let conf = self.links.get(&index).and_then(|link| link.ipv6.as_ref());
                let Some(value) = conf.map(|conf| 1 - conf.get(Ipv6Key::DisableIpv6).clamp(0, 1))
                else {
                    return false;
                };
                self.set_ipv6_of(index, Ipv6Key::DisableIpv6, value);
                self.unseen = true;
                true
            }
        }
    }

    pub(super) fn holds(&self, family: Family, vrid: Vrid) -> bool {
        let mac = MacAddress::of_router(family, vrid);
        let of_family = |address: &Address| address.ip.is_ipv4() == (family == Family::Ipv4);
        self.links
            .values()
            .filter(|link| link.up && link.mac == Some(mac))
            .any(|link| {
                let mut addresses = link.addresses.iter();
                addresses.any(|it| of_family(it) && it.is_virtual() && !it.is_tentative())
            })
    }

    pub(super) fn discrepancies<'a>(
        &self,
        owner: OwnerId,
        wanted: impl Iterator<Item = &'a Desired>,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let mut known = Vec::new();
        let mut arp = false;
        let parent = self.parent_index().and_then(|index| self.links.get(&index));
        for desired in wanted {
            let (Some(parent), Some(mac)) = (parent, desired.mac) else {
                continue;
            };
            arp |= desired.family == Family::Ipv4;
            let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
            match self.links.values().find(|link| link.name == name) {
                None => found.push(format!("{name} is missing")),
                Some(link) => {
                    known.push(link.index);
                    let wrong = wrong(desired, link, parent, mac);
                    found.extend(wrong.map(|what| format!("{name}: {what}")));
                }
            }
        }
        for index in self.ours(owner) {
            if !known.contains(&index) {
                found.push(format!("{} is left over", self.links[&index].name));
            }
        }
        if let Some(parent) = parent {
            let settings = [
                (Ipv4Key::ArpIgnore, 1),
                (Ipv4Key::ArpAnnounce, 2),
                (Ipv4Key::AcceptLocal, 1),
            ];
            for (key, needed) in settings {
                let value = if arp { needed } else { 0 };
                if parent.ipv4.get(key) != value && !(self.originals_lost && !arp) {
                    found.push(format!("{} of the interface is not {value}", key.name()));
                }
            }
            if parent.addresses.iter().any(|it| it.is_of(owner)) {
                found.push("a virtual address is left on the interface".to_owned());
            }
        }
        for stranger in &self.strangers {
            if self.links.get(&stranger.index) != Some(stranger) {
                found.push(format!("{} of a stranger was touched", stranger.name));
            }
        }
        found
    }
}

/// What is wrong with a macvlan.
fn wrong(
    desired: &Desired,
    link: &Link,
    parent: &Link,
    mac: MacAddress,
) -> impl Iterator<Item = &'static str> + use<> {
    let uses_ipv6 = desired.family == Family::Ipv6;
    let off = link
        .ipv6
        .as_ref()
        .is_some_and(|conf| conf.get(Ipv6Key::DisableIpv6) != 0);
    let mut have: Vec<IpAddr> = link.addresses.iter().map(|it| it.ip).collect();
    let mut want: Vec<IpAddr> = desired
        .addresses
        .iter()
        .filter(|_| desired.active)
        .map(|it| it.ip)
        .collect();
    have.sort();
    want.sort();
    let forwards = link.ipv4.get(Ipv4Key::Forwarding) != 0;
    let forwarding = desired.active && !uses_ipv6 && parent.ipv4.get(Ipv4Key::Forwarding) != 0;
    [
        (!link.up, "is down"),
        (link.mac != Some(mac), "has another MAC address"),
        (link.mtu != parent.mtu, "has another MTU"),
        (have != want, "does not have exactly the addresses wanted"),
        (
            link.addresses.iter().any(Address::is_tentative),
            "has an address that is not in use",
        ),
        (
            off == (desired.active && uses_ipv6),
            "IPv6 is the wrong way round",
        ),
        (forwards != forwarding, "forwarding is the wrong way round"),
        (
            link.ipv4.get(Ipv4Key::ArpIgnore) != 1,
            "answers for others' addresses",
        ),
    ]
    .into_iter()
    .filter_map(|(is_wrong, what)| is_wrong.then_some(what))
}

impl System for Truth {
    fn look(&mut self) -> io::Result<Observed> {
        self.unseen = false;
        let links = self.links.values().map(|link| Link {
            addresses: Vec::new(),
            ..link.clone()
        });
        Ok(Observed::new(links.collect(), self.addresses(), 0))
    }

    fn drain(&mut self, each: impl FnMut(Event)) -> io::Result<Drained> {
        self.news.drain(..).for_each(each);
        if std::mem::take(&mut self.overrun) {
            self.overruns += 1;
            return Ok(Drained::Lossy);
        }
        Ok(Drained::Whole)
    }

    fn run(&mut self, ops: &[&Op]) -> io::Result<Vec<(usize, Refusal)>> {
        let mut refused = Vec::new();
        for (position, op) in ops.iter().enumerate() {
            if let Err(errno) = self.execute(op) {
                refused.push((position, Refusal::new(errno)));
            }
        }
        match self.temper {
            Temper::Mute => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
            Temper::Obeys | Temper::RefusesMore | Temper::RefusesAll | Temper::Moody(_) => {
                Ok(refused)
            }
        }
    }

    fn set_ipv6(&mut self, link: &str, key: Ipv6Key, value: i32) -> io::Result<()> {
        let opens = key == Ipv6Key::DisableIpv6 && value == 0;
        if let Some(errno) = self.declines(opens) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let index = self
            .links
            .values()
            .find(|it| it.name == link)
            .map(|it| it.index);
        let index = index.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        self.set_ipv6_of(index, key, value);
        Ok(())
    }

    fn drain_filters(&mut self, _owner: OwnerId) -> bool {
        std::mem::take(&mut self.filter_news)
    }

    fn filter_use(&mut self, _owner: OwnerId) -> Option<io::Result<Option<u32>>> {
        Some(Ok(self.filter.as_ref().map(|_| 1)))
    }

    fn run_filter(&mut self, script: &str) -> Result<(), String> {
        if self.temper == Temper::RefusesAll {
            return Err("nft: no".to_owned());
        }
        self.filter_news = true;
        // A removal ends with the deletion of the table.
        let removal = script.trim_end().lines().last();
        let removal = removal.is_some_and(|line| line.starts_with("delete table"));
        self.filter = (!removal).then(|| script.to_owned());
        Ok(())
    }
}
