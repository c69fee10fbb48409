//! What the program of one link answers for itself: routers without a macvlan, and their addresses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use vrrp_proto::Gather;
use vrrp_proto::types::{Family, Vrid};

use crate::GateError;
use crate::leases::index;
use crate::table::Table;

/// Packets to the address are for this host.
const ACCEPTED: u32 = 1 << 16;
/// The address is the interface's own as well.
const OWNED: u32 = 1 << 17;
/// The address is not served: its router has a macvlan.
const LED: u32 = 1 << 18;

/// A router that has no macvlan has IPv4 addresses; and any router has.
const SERVES_IPV4: u32 = 1;
/// There are addresses whose routers have a macvlan.
const IS_LED: u32 = 2;
/// The same as the first, for IPv6.
const SERVES_IPV6: u32 = 4;
/// Where the marks are that hold for any router: no identifier is 0.
const ANY: usize = 0;

/// A router that has no macvlan: the program takes its frames in, and answers ARP and ND for its addresses, while its lease
/// runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// The virtual addresses: all of the router's family, or with CARP of both.
    pub addresses: Vec<IpAddr>,
    /// Whether packets to the addresses are passed on, to be accepted by the host, which then has the addresses.
    pub accept: bool,
    /// Whether the addresses are real ones of the interface: packets to them pass, lease or not.
    pub owner: bool,
}

/// Routers of one link that have no macvlan, by the block of their MAC address.
pub type Serving = BTreeMap<(Family, Vrid), Served>;

/// IPv4 addresses of routers that have a macvlan: who asks for one by ARP is led to that macvlan alone while its lease runs.
pub type Leading = BTreeMap<Ipv4Addr, Vrid>;

/// The tables of the program.
pub(crate) struct Tables {
    addresses: Table<16, 4>,
    routers: Table<4, 4>,
    /// Entries of the latter.
    length: u32,
    /// What they hold.
    entries: BTreeMap<[u8; 16], u32>,
    marks: BTreeMap<usize, u32>,
    /// What they should hold of each kind.
    served: BTreeMap<[u8; 16], u32>,
    led: BTreeMap<[u8; 16], u32>,
    routers_served: BTreeMap<usize, u32>,
}

impl Tables {
    pub(crate) const fn new(addresses: Table<16, 4>, routers: Table<4, 4>, length: u32) -> Self {
        Self {
            addresses,
            routers,
            length,
            entries: BTreeMap::new(),
            marks: BTreeMap::new(),
            served: BTreeMap::new(),
            led: BTreeMap::new(),
            routers_served: BTreeMap::new(),
        }
    }

    /// Learns what they hold, as another process left it.
    pub(crate) fn read(&mut self) -> Result<(), GateError> {
        self.look().map_err(GateError::Adoption)
    }

    fn look(&mut self) -> io::Result<()> {
        let keys = self.addresses.keys().collect::<io::Result<Vec<_>>>()?;
        self.entries.clear();
        for key in keys {
            if let Some(value) = self.addresses.get(&key)? {
                self.entries.insert(key, u32::from_ne_bytes(value));
            }
        }
        let is_led = |(_, value): &(&[u8; 16], &u32)| **value & LED != 0;
        let (led, served): (BTreeMap<_, _>, BTreeMap<_, _>) = self.entries.iter().partition(is_led);
        (self.led, self.served) = (led, served);
        self.marks.clear();
        self.routers_served.clear();
        for router in 0..self.length {
            let marks = self.routers.get(&router.to_ne_bytes())?;
            let marks = marks.map_or(0, u32::from_ne_bytes);
            let index = usize::try_from(router).unwrap_or(usize::MAX);
            if marks != 0 {
                self.marks.insert(index, marks);
            }
            if marks != 0 && index != ANY {
                self.routers_served.insert(index, marks);
            }
        }
        Ok(())
    }

    /// Makes them hold `wanted` and no other routers without a macvlan. What stays is not touched, and what is new comes before
    /// what is old goes.
    pub(crate) fn hold(&mut self, wanted: &Serving) -> Result<(), GateError> {
        self.served.clear();
        for ((family, vrid), served) in wanted {
            let value = value(*family, *vrid, served);
            let addresses = served.addresses.iter();
            self.served.extend(addresses.map(|ip| (key(*ip), value)));
        }
        let marks = |((family, vrid), served): (&(Family, Vrid), &Served)| {
            let families = served.addresses.iter().map(|ip| match ip {
                IpAddr::V4(_) => SERVES_IPV4,
                IpAddr::V6(_) => SERVES_IPV6,
            });
            (
                index(*family, *vrid),
                families.fold(0, |marks, it| marks | it),
            )
        };
        self.routers_served = wanted.iter().map(marks).gather();
        self.write()
    }

    /// The same for those whose routers have a macvlan.
    pub(crate) fn lead(&mut self, wanted: &Leading) -> Result<(), GateError> {
        let entry = |(ip, vrid): (&Ipv4Addr, &Vrid)| {
            let router = u32::try_from(index(Family::Ipv4, *vrid)).unwrap_or(0);
            (key(IpAddr::V4(*ip)), LED | router)
        };
        self.led = wanted.iter().map(entry).gather();
        self.write()
    }

    fn write(&mut self) -> Result<(), GateError> {
        self.settle().map_err(GateError::Serving)
    }

    fn settle(&mut self) -> io::Result<()> {
        let mut entries = self.led.clone();
        entries.extend(&self.served);
        for (key, value) in &entries {
            if self.entries.get(key) != Some(value) {
                self.addresses.set(key, &value.to_ne_bytes())?;
                self.entries.insert(*key, *value);
            }
        }
        self.mark()?;
        let old: Vec<[u8; 16]> = self.entries.keys().copied().collect();
        for key in old.iter().filter(|key| !entries.contains_key(*key)) {
            self.addresses.remove(key)?;
            self.entries.remove(key);
        }
        Ok(())
    }

    /// What the routers without a macvlan serve, and what there is at all.
    fn mark(&mut self) -> io::Result<()> {
        let mut marks = self.routers_served.clone();
        let mut any = marks.values().fold(0, |any, it| any | it);
        if !self.led.is_empty() {
            any |= IS_LED;
        }
        if any != 0 {
            marks.insert(ANY, any);
        }
        let gone = self
            .marks
            .keys()
            .filter(|router| !marks.contains_key(*router));
        let changes: Vec<(usize, u32)> = marks
            .iter()
            .filter(|(router, mark)| self.marks.get(*router) != Some(*mark))
            .map(|(router, mark)| (*router, *mark))
            .chain(gone.map(|router| (*router, 0)))
            .collect();
        for (router, mark) in changes {
            let router = u32::try_from(router).unwrap_or(0);
            self.routers
                .set(&router.to_ne_bytes(), &mark.to_ne_bytes())?;
        }
        self.marks = marks;
        Ok(())
    }
}

impl fmt::Debug for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tables").finish_non_exhaustive()
    }
}

/// As the program finds it.
fn key(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn value(family: Family, vrid: Vrid, served: &Served) -> u32 {
    let mut value = u32::try_from(index(family, vrid)).unwrap_or(0);
    if served.accept {
        value |= ACCEPTED;
    }
    if served.owner {
        value |= OWNED;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_whose_an_address_is() {
        let vrid = Vrid::new(51).unwrap();
        let mut served = Served::default();
        assert_eq!(value(Family::Ipv4, vrid, &served), 51);
        served.accept = true;
        assert_eq!(value(Family::Ipv6, vrid, &served), 0x1_0000 | 256 | 51);
        served.owner = true;
        assert_eq!(value(Family::Ipv4, vrid, &served), 0x3_0000 | 51);
        let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 254];
        assert_eq!(key("192.0.2.254".parse().unwrap()), mapped);
    }
}
