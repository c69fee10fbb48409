//! What the program of one link answers for itself: routers without a macvlan, and their addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use aya::maps::{Array, HashMap, MapData, MapError};
use vrrp_proto::types::{Family, Vrid};

use crate::GateError;
use crate::leases::index;

/// Packets to the address are for this host.
const ACCEPTED: u32 = 1 << 16;
/// The address is the interface's own as well.
const OWNED: u32 = 1 << 17;

/// A router that has no macvlan: the program takes its frames in, and answers ARP and ND for its addresses, while its lease
/// runs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// The virtual addresses, all of the router's family.
    pub addresses: Vec<IpAddr>,
    /// Whether packets to the addresses are passed on, to be accepted by the host, which then has the addresses.
    pub accept: bool,
    /// Whether the addresses are real ones of the interface: packets to them pass, lease or not.
    pub owner: bool,
}

/// Routers of one link that have no macvlan.
pub type Serving = BTreeMap<(Family, Vrid), Served>;

/// The tables of the program.
pub(crate) struct Tables {
    addresses: HashMap<MapData, [u8; 16], u32>,
    routers: Array<MapData, u32>,
    /// What they hold.
    entries: BTreeMap<[u8; 16], u32>,
    marked: BTreeSet<usize>,
}

impl Tables {
    pub(crate) const fn new(
        addresses: HashMap<MapData, [u8; 16], u32>,
        routers: Array<MapData, u32>,
    ) -> Self {
        Self {
            addresses,
            routers,
            entries: BTreeMap::new(),
            marked: BTreeSet::new(),
        }
    }

    /// Learns what they hold, as another process left it.
    pub(crate) fn read(&mut self) -> Result<(), GateError> {
        self.look()
            .map_err(|error| GateError::Adoption(error.into()))
    }

    fn look(&mut self) -> Result<(), MapError> {
        self.entries = self.addresses.iter().collect::<Result<_, _>>()?;
        self.marked.clear();
        for router in 0..self.routers.len() {
            if self.routers.get(&router, 0)? != 0 {
                self.marked.extend(usize::try_from(router));
            }
        }
        Ok(())
    }

    /// Makes them hold `wanted` and nothing else. What is in both is not touched, and what is new comes before what is old
    /// goes.
    pub(crate) fn hold(&mut self, wanted: &Serving) -> Result<(), GateError> {
        self.write(wanted)
            .map_err(|error| GateError::Serving(Box::new(error)))
    }

    fn write(&mut self, wanted: &Serving) -> Result<(), MapError> {
        let mut entries = BTreeMap::new();
        for ((family, vrid), served) in wanted {
            let value = value(*family, *vrid, served);
            entries.extend(served.addresses.iter().map(|ip| (key(*ip), value)));
        }
        for (key, value) in &entries {
            if self.entries.get(key) != Some(value) {
                self.addresses.insert(key, value, 0)?;
                self.entries.insert(*key, *value);
            }
        }
        self.mark(wanted)?;
        let old: Vec<[u8; 16]> = self.entries.keys().copied().collect();
        for key in old.iter().filter(|key| !entries.contains_key(*key)) {
            self.addresses.remove(key)?;
            self.entries.remove(key);
        }
        Ok(())
    }

    /// Which routers have no macvlan, and whether any of a family has none.
    fn mark(&mut self, wanted: &Serving) -> Result<(), MapError> {
        let mut marks = BTreeSet::new();
        for (family, vrid) in wanted.keys() {
            let router = index(*family, *vrid);
            // The second is where the identifier would be 0.
            marks.extend([router, router & !0xff]);
        }
        for (routers, mark) in [
            (marks.difference(&self.marked), 1),
            (self.marked.difference(&marks), 0),
        ] {
            for router in routers {
                let router = u32::try_from(*router).unwrap_or(0);
                self.routers.set(router, mark, 0)?;
            }
        }
        self.marked = marks;
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
