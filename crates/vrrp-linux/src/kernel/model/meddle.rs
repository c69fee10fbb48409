//! What a stranger does to a model.

use std::net::{IpAddr, Ipv4Addr};

use vrrp_proto::types::MacAddress;

use super::Meddling;
use super::truth::{Truth, real};
use crate::kernel::OwnerId;
use crate::kernel::observed::{Event, Ipv4Key, Ipv6Key};

/// The address a stranger leaves on what is ours.
const STRAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 77));

impl Truth {
    /// The macvlans of `owner`.
    pub(super) fn ours(&self, owner: OwnerId) -> Vec<u32> {
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
}
