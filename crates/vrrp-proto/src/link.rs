//! What the kernel says about an interface, as the engine sees it.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::types::{Family, MacAddress};

/// Names one interface of the plan within an engine. An interface that vanishes and returns keeps its identifier,
/// because the configuration knows it by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct LinkId(pub u32);

/// The state of an interface that exists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LinkFacts {
    /// The kernel's number for it: another one means that the interface was deleted and created again.
    pub index: u32,
    /// Administratively up.
    pub up: bool,
    /// The kernel's verdict that it can carry packets.
    pub carrier: bool,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// Its own hardware address.
    pub mac: MacAddress,
    /// IPv4 addresses with prefix lengths in the kernel's order, without those this daemon put there.
    pub ipv4: Vec<(Ipv4Addr, u8)>,
    /// Usable IPv6 link-local addresses (neither tentative nor duplicate), without those this daemon put there.
    pub link_local: Vec<Ipv6Addr>,
}

impl LinkFacts {
    /// The address advertisements come from (RFC 9568 §5.1.1.1, §5.1.2.1): a real address of this interface.
    ///
    /// One that is not virtual is preferred, and among those one in the subnet of the first virtual address. An owner
    /// with no other address speaks from the address it owns.
    #[must_use]
    pub fn primary(
        &self,
        family: Family,
        first: (IpAddr, u8),
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        match family {
            Family::Ipv4 => {
                let rank = |(address, prefix_len): &(Ipv4Addr, u8)| {
                    let near =
                        matches!(first.0, IpAddr::V4(v4) if same_subnet(v4, *address, *prefix_len));
                    (is_virtual(IpAddr::V4(*address)), !near)
                };
                self.ipv4
                    .iter()
                    .min_by_key(|entry| rank(entry))
                    .map(|(address, _)| IpAddr::V4(*address))
            }
            Family::Ipv6 => {
                let rank = |address: &&Ipv6Addr| is_virtual(IpAddr::V6(**address));
                self.link_local
                    .iter()
                    .min_by_key(rank)
                    .map(|address| IpAddr::V6(*address))
            }
        }
    }
}

fn same_subnet(a: Ipv4Addr, b: Ipv4Addr, prefix_len: u8) -> bool {
    let mask = u32::MAX
        .checked_shl(32 - u32::from(prefix_len.min(32)))
        .unwrap_or(0);
    u32::from(a) & mask == u32::from(b) & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn facts(ipv4: &[&str]) -> LinkFacts {
        LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: ipv4
                .iter()
                .map(|text| (text.parse().unwrap(), 24))
                .collect(),
            link_local: vec![],
        }
    }

    fn primary(ipv4: &[&str]) -> Option<IpAddr> {
        let virtual_address: IpAddr = "192.0.2.254".parse().unwrap();
        facts(ipv4).primary(Family::Ipv4, (virtual_address, 24), |address| {
            address == virtual_address
        })
    }

    #[test]
    fn the_source_is_a_real_address_near_the_virtual_one() {
        let ip = |text: &str| Some(text.parse().unwrap());
        assert_eq!(primary(&[]), None);
        assert_eq!(primary(&["10.0.0.1", "192.0.2.11"]), ip("192.0.2.11"));
        assert_eq!(primary(&["10.0.0.1"]), ip("10.0.0.1"));
        assert_eq!(
            primary(&["192.0.2.254", "192.0.2.11"]),
            ip("192.0.2.11"),
            "an owner with another address"
        );
        assert_eq!(
            primary(&["192.0.2.254"]),
            ip("192.0.2.254"),
            "an owner without"
        );
    }

    #[test]
    fn a_prefix_of_zero_is_every_subnet() {
        assert!(same_subnet(
            Ipv4Addr::new(1, 2, 3, 4),
            Ipv4Addr::new(200, 2, 3, 4),
            0
        ));
        assert!(!same_subnet(
            Ipv4Addr::new(1, 2, 3, 4),
            Ipv4Addr::new(1, 2, 3, 5),
            32
        ));
    }
}
