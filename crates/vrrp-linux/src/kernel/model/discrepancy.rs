//! Where a model is not as it should be. Written apart from the reconciler: it says what must hold, not how to get there.

use std::net::IpAddr;

use vrrp_proto::desired::Desired;
use vrrp_proto::types::{Family, MacAddress, Vrid};

use super::truth::Truth;
use crate::kernel::OwnerId;
use crate::kernel::observed::{Address, Ipv4Key, Ipv6Key, Link};
use crate::kernel::reconcile::macvlan_name;

impl Truth {
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
                if parent.ipv4.get(key) != value && (arp || !self.originals_lost) {
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
