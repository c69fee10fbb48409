//! What a model does when it is asked to change something.

use std::time::Duration;

use vrrp_proto::following::Rule;
use vrrp_proto::plan::VirtualAddress;

use super::Temper;
use super::truth::{Truth, blank};
use crate::kernel::following::KernelRoute;
use crate::kernel::observed::{Address, Event, Ipv4Key, Ipv6Conf, Ipv6Key, Kind, Link, flag};
use crate::kernel::op::{Change, Op};
use crate::kernel::owner::Mark;

/// IPv6 addresses come into use this long after they were accepted.
const RIPENING: Duration = Duration::from_micros(500);

/// `IN6_ADDR_GEN_MODE_NONE`
const NONE: u8 = 1;

impl Truth {
    pub(super) fn chance(&mut self) -> u8 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.random >> 33) % 100).unwrap_or(0)
    }

    /// Whether the kernel is in no mood for it.
    pub(super) fn declines(&mut self, more: bool) -> Option<i32> {
        match self.temper {
            Temper::Obeys | Temper::Mute => None,
            Temper::RefusesMore => more.then_some(libc::ENOBUFS),
            Temper::RefusesAll => Some(libc::EBUSY),
            Temper::Moody(percent) => (self.chance() < percent).then_some(libc::EAGAIN),
        }
    }

    pub(super) fn execute(&mut self, op: &Op) -> Result<(), i32> {
        let more = matches!(
            op,
            Op::Create { .. } | Op::Add { .. } | Op::AddRoute { .. } | Op::AddRule { .. }
        );
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
                ..
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
            Op::AddRoute { route, .. } => {
                let added = self.following.routes.insert(KernelRoute::clone(route));
                added.then_some(()).ok_or(libc::EEXIST)
            }
            Op::RemoveRoute { route, .. } => {
                let removed = self.following.routes.remove(&**route);
                removed.then_some(()).ok_or(libc::ESRCH)
            }
            Op::AddRule { rule, .. } => {
                let added = self.following.rules.insert(Rule::clone(rule));
                added.then_some(()).ok_or(libc::EEXIST)
            }
            Op::RemoveRule { rule, .. } => {
                let removed = self.following.rules.remove(&**rule);
                removed.then_some(()).ok_or(libc::ENOENT)
            }
        }
    }

    pub(super) fn add(
        &mut self,
        index: u32,
        address: VirtualAddress,
        metric: u32,
    ) -> Result<(), i32> {
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

    pub(super) fn disable_ipv6(&mut self, index: u32) {
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

    pub(super) fn set_ipv6_of(&mut self, index: u32, key: Ipv6Key, value: i32) {
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
}
