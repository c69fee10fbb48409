//! What really is in the kernel of a model.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use vrrp_proto::Instant;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::types::MacAddress;

use super::Temper;
use crate::kernel::OwnerId;
use crate::kernel::following::Picture;
use crate::kernel::netlink::{Drained, Refusal};
use crate::kernel::observed::{
    Address, Event, Ipv4Key, Ipv6Conf, Ipv6Key, Kind, Link, Lower, Observed, ParentConf, flag,
};
use crate::kernel::op::Op;
use crate::kernel::system::System;

/// Address generation by hardware address, as the kernel begins.
const EUI64: u8 = 0;

pub(in crate::kernel) struct Truth {
    pub(super) now: Instant,
    pub(super) temper: Temper,
    /// So many notifications are still to be lost.
    pub(super) losing: u32,
    pub(super) overruns: u64,
    pub(super) interface: String,
    pub(super) links: BTreeMap<u32, Link>,
    pub(super) next_index: u32,
    pub(super) news: VecDeque<Event>,
    /// Notifications were lost, and the listener was not told yet.
    pub(super) overrun: bool,
    /// Something changed that the listener cannot have heard of.
    pub(super) unseen: bool,
    pub(super) tentative: Vec<(Instant, u32, IpAddr)>,
    pub(super) filter: Option<String>,
    pub(super) filter_news: bool,
    pub(super) following: Picture,
    pub(super) strangers: Vec<Link>,
    /// The only record of how the interface was is gone, while no daemon was there that knew it.
    pub(super) originals_lost: bool,
    pub(super) random: u64,
}

pub(super) fn blank(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        up: true,
        carrier: true,
        mtu: 1500,
        ipv6: Some(Ipv6Conf::blank(EUI64)),
        ..Link::default()
    }
}

pub(super) const fn real(ip: IpAddr, prefix_len: u8) -> Address {
    Address {
        ip,
        prefix_len,
        protocol: 2,
        metric: 0,
        flags: 0,
        lent: false,
    }
}

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
            following: Picture::default(),
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
        self.following = Picture::default();
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
        self.look_for_records();
    }

    /// Whether anything still says how the interface was.
    pub(super) fn look_for_records(&mut self) {
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

    pub(super) fn tell(&mut self, event: Event) {
        if self.losing > 0 {
            self.losing -= 1;
            self.overrun = true;
            return;
        }
        self.news.push_back(event);
    }

    pub(super) fn tell_link(&mut self, index: u32) {
        if let Some(link) = self.links.get(&index) {
            let link = Link {
                addresses: Vec::new(),
                ..link.clone()
            };
            self.tell(Event::Link(link));
        }
    }

    pub(super) fn parent_index(&self) -> Option<u32> {
        self.links
            .values()
            .find(|link| link.name == self.interface)
            .map(|link| link.index)
    }

    pub(super) fn parent_facts(&self) -> Option<LinkFacts> {
        Observed::new(self.links.values().cloned().collect(), self.addresses(), 0)
            .facts(&self.interface)
    }

    pub(super) fn addresses(&self) -> Vec<(u32, Address)> {
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
    pub(super) fn follow(&mut self, below: u32) {
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

    pub(super) fn delete(&mut self, index: u32) {
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
}

impl System for Truth {
    fn look(&mut self, observed: &mut Observed) -> io::Result<()> {
        self.unseen = false;
        let links = self.links.values().map(|link| Link {
            addresses: Vec::new(),
            ..link.clone()
        });
        observed.renew(links.collect(), self.addresses(), 0);
        Ok(())
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

    fn look_following(&mut self, _protocol: u8) -> io::Result<Picture> {
        Ok(self.following.clone())
    }

    fn drain_following(&mut self, _protocol: u8) -> bool {
        false
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
