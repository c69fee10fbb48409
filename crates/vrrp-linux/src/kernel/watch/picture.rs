//! What trackers of the kernel look at, and what they find there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp_proto::{Level, Sample, TrackerKind, VirtualAddress};

use crate::kernel::netlink::{Destination, Interest, Route, Tiding};
use crate::kernel::observed::{Address, Event, flag};

/// `NUD_INCOMPLETE` and `NUD_FAILED`: asked for, and no answer.
const UNREACHABLE: u16 = 0x01 | 0x20;

/// As far as anybody asks for it.
#[derive(Debug, Default)]
pub(super) struct Picture {
    links: BTreeMap<u32, (String, Facts)>,
    by_name: BTreeMap<String, u32>,
    /// Of each address that is asked for: the links that have it, and its flags there.
    addresses: BTreeMap<(IpAddr, u32), u32>,
    asked: Vec<IpAddr>,
    routes: Vec<Route>,
    neighbours: BTreeMap<(IpAddr, u32), u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Facts {
    up: bool,
    carrier: bool,
}

/// What trackers of these kinds have to hear of.
pub(super) fn interest<'a>(kinds: impl Iterator<Item = &'a TrackerKind>) -> Interest {
    let mut interest = Interest::default();
    for kind in kinds {
        match kind {
            TrackerKind::Route { prefix, table, .. } => {
                interest.destinations.push(destination(prefix, *table));
            }
            TrackerKind::Neighbour { address, .. } => interest.neighbours.push(*address),
            TrackerKind::Interface { .. }
            | TrackerKind::Address { .. }
            | TrackerKind::Process { .. }
            | TrackerKind::File { .. }
            | TrackerKind::Script { .. }
            | TrackerKind::Ping { .. }
            | TrackerKind::Tcp { .. }
            | TrackerKind::Http { .. }
            | TrackerKind::Dns { .. }
            | TrackerKind::Bfd { .. } => {}
        }
    }
    interest.destinations.sort_unstable();
    interest.destinations.dedup();
    interest
}

const fn destination(prefix: &VirtualAddress, table: u32) -> Destination {
    Destination {
        ip: prefix.ip,
        prefix_len: prefix.prefix_len,
        table,
    }
}

impl Picture {
    pub(super) fn new<'a>(kinds: impl Iterator<Item = &'a TrackerKind>) -> Self {
        let address = |kind: &TrackerKind| match kind {
            TrackerKind::Address { address, .. } => Some(*address),
            TrackerKind::Interface { .. }
            | TrackerKind::Route { .. }
            | TrackerKind::Neighbour { .. }
            | TrackerKind::Process { .. }
            | TrackerKind::File { .. }
            | TrackerKind::Script { .. }
            | TrackerKind::Ping { .. }
            | TrackerKind::Tcp { .. }
            | TrackerKind::Http { .. }
            | TrackerKind::Dns { .. }
            | TrackerKind::Bfd { .. } => None,
        };
        Self {
            asked: kinds.filter_map(address).collect(),
            ..Self::default()
        }
    }

    /// Nothing is known of routes any more.
    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
    }

    /// Takes note of `tiding`. Whether routes may have gone without a word: the kernel says nothing of IPv4 routes that go
    /// with their interface or with an address.
    pub(super) fn hear(&mut self, tiding: Tiding) -> bool {
        match tiding {
            Tiding::Event(event) => return self.event(event),
            Tiding::Route(route, replaces) => {
                let place = |it: &Route| {
                    let same = (it.destination, it.tos, it.metric);
                    same == (route.destination, route.tos, route.metric)
                };
                self.routes
                    .retain(|it| *it != route && !(replaces && place(it)));
                self.routes.push(route);
            }
            Tiding::RouteGone(route) => {
                let same = |it: &Route| {
                    (it.destination, it.tos, it.metric, it.protocol, it.kind)
                        == (
                            route.destination,
                            route.tos,
                            route.metric,
                            route.protocol,
                            route.kind,
                        )
                };
                let exact = self.routes.iter().position(|it| *it == route);
                // Of one that goes with its interface, its gateways are dead.
                let near = || self.routes.iter().position(same);
                if let Some(index) = exact.or_else(near) {
                    self.routes.remove(index);
                }
            }
            Tiding::Neighbour(link, ip, Some(state)) => {
                self.neighbours.insert((ip, link), state);
            }
            Tiding::Neighbour(link, ip, None) => {
                self.neighbours.remove(&(ip, link));
            }
        }
        false
    }

    fn event(&mut self, event: Event) -> bool {
        match event {
            Event::Link(link) => {
                let facts = Facts {
                    up: link.up,
                    carrier: link.carrier,
                };
                let before = self.links.insert(link.index, (link.name.clone(), facts));
                if let Some((name, _)) = before.as_ref().filter(|(name, _)| *name != link.name) {
                    self.by_name.remove(name);
                }
                self.by_name.insert(link.name, link.index);
                before.is_some_and(|(_, was)| was.up && !facts.up)
            }
            Event::LinkGone(index) => {
                if let Some((name, _)) = self.links.remove(&index)
                    && self.by_name.get(&name) == Some(&index)
                {
                    self.by_name.remove(&name);
                }
                true
            }
            Event::Address(link, address) => {
                self.address(link, &address, true);
                false
            }
            Event::AddressGone(link, address) => {
                self.address(link, &address, false);
                true
            }
            Event::Ipv6Conf(..)
            | Event::Ipv4(..)
            | Event::Ipv6(..)
            | Event::Expected(..)
            | Event::Partial => false,
        }
    }

    fn address(&mut self, link: u32, address: &Address, there: bool) {
        if !self.asked.contains(&address.ip) {
            return;
        }
        if there {
            self.addresses.insert((address.ip, link), address.flags);
        } else {
            self.addresses.remove(&(address.ip, link));
        }
    }

    /// Whether any route that is known of leads through an interface that is down.
    pub(super) fn drop_routes_of_downed(&mut self) {
        let links = &self.links;
        let down = |link: &u32| links.get(link).is_none_or(|(_, facts)| !facts.up);
        self.routes.retain_mut(|route| {
            let led = !route.hops.is_empty();
            route.hops.retain(|(link, _)| !down(link));
            !(led && route.hops.is_empty())
        });
    }

    /// What a tracker of this kind finds; `None` if it finds nothing here.
    pub(super) fn judge(&self, kind: &TrackerKind) -> Option<Sample> {
        let sample = |up: bool, detail: String| Sample {
            level: if up { Level::Up } else { Level::Down },
            offset: None,
            detail,
        };
        Some(match kind {
            TrackerKind::Interface { interface, carrier } => {
                let (up, detail) = self.interface(interface, *carrier);
                sample(up, format!("{interface} {detail}"))
            }
            TrackerKind::Route {
                prefix,
                table,
                protocol,
                next_hop,
            } => {
                let found = self.route(&destination(prefix, *table), *protocol, *next_hop);
                let by = protocol.map_or_else(String::new, |by| format!(" by protocol {by}"));
                let via = next_hop.map_or_else(String::new, |via| format!(" via {via}"));
                let some = if found { "there is a" } else { "no" };
                sample(
                    found,
                    format!("{some} route to {prefix} in table {table}{by}{via}"),
                )
            }
            TrackerKind::Address { address, interface } => {
                let (up, detail) = self.host(*address, interface.as_deref());
                sample(up, detail)
            }
            TrackerKind::Neighbour { address, interface } => {
                return self.neighbour(*address, interface);
            }
            TrackerKind::Process { .. }
            | TrackerKind::File { .. }
            | TrackerKind::Script { .. }
            | TrackerKind::Ping { .. }
            | TrackerKind::Tcp { .. }
            | TrackerKind::Http { .. }
            | TrackerKind::Dns { .. }
            | TrackerKind::Bfd { .. } => return None,
        })
    }

    fn facts(&self, interface: &str) -> Option<(u32, Facts)> {
        let index = self.by_name.get(interface)?;
        self.links.get(index).map(|(_, facts)| (*index, *facts))
    }

    fn interface(&self, interface: &str, carrier: bool) -> (bool, &'static str) {
        match self.facts(interface) {
            None => (false, "does not exist"),
            Some((_, Facts { up: false, .. })) => (false, "is down"),
            Some((_, Facts { carrier: false, .. })) if carrier => (false, "has no carrier"),
            Some((_, Facts { carrier: true, .. })) => (true, "has a carrier"),
            Some(_) => (true, "is up"),
        }
    }

    fn route(&self, to: &Destination, protocol: Option<u8>, next_hop: Option<IpAddr>) -> bool {
        let hop = |route: &Route| {
            next_hop.is_none_or(|wanted| route.hops.iter().any(|(_, via)| *via == Some(wanted)))
        };
        self.routes.iter().any(|route| {
            route.destination == *to
                && protocol.is_none_or(|protocol| route.protocol == protocol)
                && hop(route)
        })
    }

    fn host(&self, address: IpAddr, interface: Option<&str>) -> (bool, String) {
        let wanted = interface.map(|name| self.by_name.get(name).copied());
        let mut here = self.addresses.range((address, 0)..=(address, u32::MAX));
        let found = here.find(|((_, link), _)| wanted.is_none_or(|it| it == Some(*link)));
        let where_wanted = || interface.unwrap_or("any interface").to_owned();
        let Some(((_, link), flags)) = found else {
            return (false, format!("{address} is not on {}", where_wanted()));
        };
        let name = self.links.get(link).map_or("?", |(name, _)| name.as_str());
        if flags & flag::DADFAILED != 0 {
            return (
                false,
                format!("{address} is in use by somebody else on {name}"),
            );
        }
        if flags & flag::TENTATIVE != 0 {
            return (
                false,
                format!("{address} on {name} is not yet known to be unique"),
            );
        }
        (true, format!("{address} is on {name}"))
    }

    /// An interface that cannot carry packets reaches nobody. Of a neighbour that nobody spoke to, nothing is known.
    fn neighbour(&self, address: IpAddr, interface: &str) -> Option<Sample> {
        let (able, why) = self.interface(interface, true);
        let (level, detail) = if able {
            let (index, _) = self.facts(interface)?;
            match self.neighbours.get(&(address, index)) {
                None | Some(0) => (Level::Unknown, format!("{address} was not asked for")),
                Some(state) if state & UNREACHABLE != 0 => (
                    Level::Down,
                    format!("{address} does not answer on {interface}"),
                ),
                Some(_) => (Level::Up, format!("{address} answers on {interface}")),
            }
        } else {
            (Level::Down, format!("{interface} {why}"))
        };
        Some(Sample {
            level,
            offset: None,
            detail,
        })
    }
}
