//! An interface on which nothing keeps a router out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vrrp_proto::{Family, LinkFacts, MacAddress, RouterPlan};

/// Room for the longest advertisement.
const ENOUGH: u32 = 65_535;

/// What is known of the interface of `router`, with what it needs beside.
pub(crate) fn link(known: Option<&LinkFacts>, router: &RouterPlan) -> LinkFacts {
    let mut facts = known.cloned().unwrap_or(LinkFacts {
        index: 1,
        up: true,
        carrier: true,
        mtu: ENOUGH,
        mac: MacAddress([2, 0, 0, 0, 0, 1]),
        ipv4: Vec::new(),
        link_local: Vec::new(),
    });
    facts.up = true;
    facts.carrier = true;
    facts.mtu = facts.mtu.max(1500);
    let virtual_address =
        |address: IpAddr| router.addresses.iter().any(|entry| entry.ip == address);
    for family in router.families() {
        match family {
            Family::Ipv4 if router.priority.is_owner() => {
                for entry in &router.addresses {
                    if let IpAddr::V4(address) = entry.ip
                        && !facts.ipv4.iter().any(|(have, _)| *have == address)
                    {
                        facts.ipv4.push((address, entry.prefix_len));
                    }
                }
            }
            Family::Ipv4 => {
                let missing = facts
                    .ipv4
                    .iter()
                    .all(|(have, _)| virtual_address((*have).into()));
                if let Some((first, prefix_len)) = first_v4(router).filter(|_| missing) {
                    let neighbour = (1..=255)
                        .map(|bits| Ipv4Addr::from(u32::from(first) ^ bits))
                        .find(|address| !virtual_address((*address).into()));
                    facts
                        .ipv4
                        .extend(neighbour.map(|address| (address, prefix_len)));
                }
            }
            Family::Ipv6 => {
                let missing = facts
                    .link_local
                    .iter()
                    .all(|have| virtual_address((*have).into()));
                if missing {
                    let neighbour = (1..=256)
                        .map(|host| Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, host))
                        .find(|address| !virtual_address((*address).into()));
                    facts.link_local.extend(neighbour);
                }
            }
        }
    }
    facts
}

fn first_v4(router: &RouterPlan) -> Option<(Ipv4Addr, u8)> {
    router.addresses.iter().find_map(|entry| match entry.ip {
        IpAddr::V4(address) => Some((address, entry.prefix_len)),
        IpAddr::V6(_) => None,
    })
}
