//! What a network card lets in for routers without a macvlan: frames to their virtual MAC addresses, and the groups at
//! which hosts ask for their IPv6 addresses.
//!
//! Both are memberships of sockets that receive nothing: they end with the last process that holds them, whatever ends it, and
//! they are there in Backup, too, so that a takeover needs none. A card that cannot filter by several addresses lets everything in. The groups are
//! joined, and so reported to switches that ask, by the interface itself, from its own MAC address.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, Socket, Type};
use vrrp_gate::Serving;
use vrrp_proto::types::MacAddress;

use crate::heritage::Vault;
use crate::syscall;

/// The kernel limits the memory, and so the memberships, of one socket.
const GROUPS_A_SOCKET: usize = 64;

/// What the first socket is called in the vault; the others are numbered.
const CARD: &str = "card";

/// What is let in on each interface, by its number.
#[derive(Debug)]
pub(super) struct Reception {
    interfaces: BTreeMap<u32, Interface>,
    /// Where the sockets are left, so that nothing is let out between two processes.
    vault: Option<Vault>,
}

/// What is let in on one interface.
#[derive(Debug, Default)]
struct Interface {
    /// Whose memberships are MAC addresses.
    card: Option<Socket>,
    macs: BTreeSet<MacAddress>,
    /// Whose memberships are groups.
    ears: Vec<(Socket, BTreeSet<Ipv6Addr>)>,
}

impl Reception {
    pub(super) const fn new(vault: Option<Vault>) -> Self {
        Self {
            interfaces: BTreeMap::new(),
            vault,
        }
    }

    /// Lets in what these routers need, and nothing else.
    ///
    /// # Errors
    /// A sentence. What could be done was done.
    pub(super) fn settle(&mut self, index: u32, routers: &Serving) -> Result<(), String> {
        if routers.is_empty() && !self.interfaces.contains_key(&index) {
            return Ok(());
        }
        let vault = self.vault.as_ref();
        let interface = self.interfaces.entry(index).or_default();
        let of_router = |(family, vrid): &_| MacAddress::of_router(*family, *vrid);
        interface
            .take_macs(index, routers.keys().map(of_router).collect(), vault)
            .map_err(|error| format!("the virtual MAC addresses are not let in: {error}"))?;
        let addresses = routers.values().flat_map(|served| &served.addresses);
        interface
            .take_groups(index, addresses.filter_map(solicited_node).collect(), vault)
            .map_err(|error| format!("the groups of the addresses cannot be joined: {error}"))
    }

    /// Lets nothing in any more.
    pub(super) fn leave(&mut self, index: u32) {
        let interface = self.interfaces.remove(&index);
        if let (Some(interface), Some(vault)) = (interface, &self.vault) {
            vault.withdraw_entrance(index, CARD);
            for place in 0..interface.ears.len() {
                vault.withdraw_entrance(index, &place.to_string());
            }
        }
    }
}

impl Interface {
    fn take_macs(
        &mut self,
        index: u32,
        wanted: BTreeSet<MacAddress>,
        vault: Option<&Vault>,
    ) -> io::Result<()> {
        if self.macs == wanted {
            return Ok(());
        }
        let before = self.card.take();
        let is_new = before.is_none();
        let card = match before {
            Some(card) => card,
            // Without a protocol it receives nothing.
            None => Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?,
        };
        // What has failed half-way begins anew with another socket.
        let had = std::mem::take(&mut self.macs);
        for mac in wanted.difference(&had) {
            syscall::let_in(&card, index, mac.0, true)?;
        }
        for mac in had.difference(&wanted) {
            // The interface may be gone, and what it let in with it.
            let _ = syscall::let_in(&card, index, mac.0, false);
        }
        if let Some(vault) = vault.filter(|_| is_new) {
            vault.leave_entrance(index, CARD, card.as_fd());
        }
        self.card = Some(card);
        self.macs = wanted;
        Ok(())
    }

    fn take_groups(
        &mut self,
        index: u32,
        mut wanted: BTreeSet<Ipv6Addr>,
        vault: Option<&Vault>,
    ) -> io::Result<()> {
        for (socket, groups) in &mut self.ears {
            groups.retain(|group| {
                let stays = wanted.remove(group);
                if !stays {
                    // As above.
                    let _ = socket.leave_multicast_v6(group, index);
                }
                stays
            });
        }
        let had = self.ears.len();
        for group in wanted {
            let roomy = |ear: &&mut (Socket, BTreeSet<_>)| ear.1.len() < GROUPS_A_SOCKET;
            if let Some((socket, groups)) = self.ears.iter_mut().find(roomy) {
                socket.join_multicast_v6(&group, index)?;
                groups.insert(group);
                continue;
            }
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
            socket.join_multicast_v6(&group, index)?;
            self.ears.push((socket, BTreeSet::from([group])));
        }
        // Once all groups are joined: those of a process before this one go with its sockets.
        if let Some(vault) = vault {
            for (place, (socket, _)) in self.ears.iter().enumerate().skip(had) {
                vault.leave_entrance(index, &place.to_string(), socket.as_fd());
            }
        }
        Ok(())
    }
}

/// The group at which an IPv6 address is asked for (RFC 4291 §2.7.1).
fn solicited_node(address: &IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    let [.., high, low] = address.segments();
    Some(Ipv6Addr::new(
        0xff02,
        0,
        0,
        0,
        0,
        1,
        0xff00 | high & 0xff,
        low,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_end_alike_share_a_group() {
        for text in ["fe80::1:2345:6789", "2001:db8::45:6789"] {
            let group = solicited_node(&text.parse().unwrap()).unwrap();
            assert_eq!(group, "ff02::1:ff45:6789".parse::<Ipv6Addr>().unwrap());
        }
        assert_eq!(solicited_node(&"192.0.2.1".parse().unwrap()), None);
    }
}
