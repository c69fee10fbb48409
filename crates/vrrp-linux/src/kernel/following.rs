//! What follows the routers: addresses on other interfaces, routes and rules. From what is wanted and what is there to what is
//! to be done, as in `reconcile`, but nothing here makes a router succeed or fail.
//!
//! Routes and rules of ours carry a protocol number that no other program uses; what carries it and is wanted by nobody is
//! removed, whichever process added it. Addresses are known by their metric. A route that somebody else has in the place
//! of ours stays, and is reported.
//!
//! Additions come after the virtual addresses, in the order addresses, routes, rules; removals before they go, in the other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use vrrp_proto::desired::Desired;
use vrrp_proto::following::{Fate, Following, Prefix, Route, Rule};
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::{MacAddress, RouterId};

use super::observed::{Address, Link, Observed};
use super::op::{Op, address};
use super::owner::OwnerId;

/// A route in the kernel's terms.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct KernelRoute {
    pub(super) table: u32,
    pub(super) to: Prefix,
    pub(super) priority: u32,
    pub(super) fate: Fate,
    pub(super) via: Option<IpAddr>,
    pub(super) source: Option<IpAddr>,
    pub(super) on_link: bool,
    /// The number of the interface. Wanted: `None` leaves it to the kernel, which knows one afterwards. Last, so that
    /// routes which are alike but for it stand together.
    pub(super) oif: Option<u32>,
}

impl KernelRoute {
    /// `route` on the interface with this number.
    fn new(route: &Route, oif: Option<u32>) -> Self {
        Self {
            table: route.table,
            to: route.to,
            priority: route.priority(),
            fate: route.fate,
            via: route.via,
            source: route.source,
            on_link: route.on_link,
            oif,
        }
    }

    /// As iproute2 would say it.
    pub(super) fn words(&self, observed: &Observed) -> String {
        let interface = self.oif.map(|oif| observed.name(oif).to_owned());
        Route {
            to: self.to,
            via: self.via,
            interface,
            table: self.table,
            metric: (self.priority != self.default_priority()).then_some(self.priority),
            source: self.source,
            fate: self.fate,
            on_link: self.on_link,
        }
        .to_string()
    }

    const fn default_priority(&self) -> u32 {
        match self.to.network {
            IpAddr::V4(_) => 0,
            IpAddr::V6(_) => 1024,
        }
    }
}

/// One thing that follows a router.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Item {
    Address(u32, VirtualAddress),
    Route(KernelRoute),
    Rule(Rule),
}

impl Item {
    /// What adds it.
    pub(super) fn addition(&self, owner: OwnerId) -> Op {
        match self {
            Self::Address(link, address) => Op::Add {
                link: *link,
                address: *address,
                metric: owner.metric(),
                label: None,
            },
            Self::Route(route) => Op::AddRoute {
                route: Box::new(route.clone()),
                protocol: owner.route_protocol(),
            },
            Self::Rule(rule) => Op::AddRule {
                rule: Box::new(rule.clone()),
                protocol: owner.route_protocol(),
            },
        }
    }

    /// What removes it.
    pub(super) fn removal(&self, owner: OwnerId) -> Op {
        match self {
            Self::Address(link, address) => Op::Remove {
                link: *link,
                address: *address,
            },
            Self::Route(route) => Op::RemoveRoute {
                route: Box::new(route.clone()),
                protocol: owner.route_protocol(),
            },
            Self::Rule(rule) => Op::RemoveRule {
                rule: Box::new(rule.clone()),
                protocol: owner.route_protocol(),
            },
        }
    }

    /// What it is called in a sentence.
    pub(super) fn words(&self, observed: &Observed) -> String {
        match self {
            Self::Address(link, address) => {
                format!("the address {address} on {}", observed.name(*link))
            }
            Self::Route(route) => format!("the route {}", route.words(observed)),
            Self::Rule(rule) => format!("the rule {rule}"),
        }
    }

    const fn rank(&self) -> u64 {
        match self {
            Self::Address(..) => 0,
            Self::Route(_) => 1,
            Self::Rule(_) => 2,
        }
    }
}

/// The routes and rules of the kernel that carry our protocol number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Picture {
    pub(super) routes: BTreeSet<KernelRoute>,
    pub(super) rules: BTreeSet<Rule>,
}

impl Picture {
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.rules.is_empty()
    }

    /// That which is as `wanted`.
    fn route(&self, wanted: &KernelRoute) -> Option<&KernelRoute> {
        if wanted.oif.is_some() || wanted.fate != Fate::Unicast {
            return self.routes.get(wanted);
        }
        let last = KernelRoute {
            oif: Some(u32::MAX),
            ..wanted.clone()
        };
        let alike = (Bound::Included(wanted), Bound::Included(&last));
        self.routes.range(alike).next()
    }

    /// `item` was added.
    pub(super) fn add(&mut self, item: &Item) {
        match item {
            Item::Address(..) => {}
            // Perhaps without the interface that the kernel has chosen for it, which the next look tells.
            Item::Route(route) => _ = self.routes.insert(route.clone()),
            Item::Rule(rule) => _ = self.rules.insert(rule.clone()),
        }
    }

    /// `item` was removed.
    pub(super) fn remove(&mut self, item: &Item) {
        match item {
            Item::Address(..) => {}
            Item::Route(route) => _ = self.routes.remove(route),
            Item::Rule(rule) => _ = self.rules.remove(rule),
        }
    }
}

/// An address that stands on an interface of which neither it nor the MAC address is the router's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Guest {
    /// Number of the interface.
    pub index: u32,
    /// Its MAC address.
    pub mac: MacAddress,
    /// The address.
    pub address: IpAddr,
}

/// What is to be done, and what is in place.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// In this order.
    pub(super) remove: Vec<Item>,
    /// In this order, with the first who wants it.
    pub(super) add: Vec<(RouterId, Item)>,
    /// What nobody tries, and why.
    pub(super) lacks: Vec<(RouterId, String)>,
    /// In place and wanted.
    pub(super) there: BTreeSet<(RouterId, Item)>,
    /// Addresses in use.
    pub(super) guests: BTreeMap<RouterId, Vec<Guest>>,
}

/// Compares what follows `routers` with what is there. With `all`, they are all that there are, and what is ours beyond is
/// to go.
pub(super) fn plan(
    owner: OwnerId,
    routers: &BTreeMap<RouterId, Arc<Desired>>,
    observed: &Observed,
    picture: &Picture,
    all: bool,
) -> Deeds {
    let mut planner = Planner {
        owner,
        observed,
        picture,
        deeds: Deeds::default(),
        wanted: BTreeSet::new(),
        known: BTreeSet::new(),
    };
    for (id, desired) in routers {
        if !desired.following.is_empty() {
            planner.router(*id, desired);
        }
    }
    planner.release(routers, all);
    sort_by_rank(&mut planner.deeds.remove, |item| 2 - item.rank());
    sort_by_rank(&mut planner.deeds.add, |(_, item)| item.rank());
    planner.deeds
}

struct Planner<'a> {
    owner: OwnerId,
    observed: &'a Observed,
    picture: &'a Picture,
    deeds: Deeds,
    /// As they are in the kernel, or will be.
    wanted: BTreeSet<Item>,
    /// Of routers that do not want them now.
    known: BTreeSet<Item>,
}

impl Planner<'_> {
    fn router(&mut self, id: RouterId, desired: &Desired) {
        for item in items(&desired.following, self.observed) {
            match item {
                Ok(item) if desired.active => self.want(id, item),
                Ok(item) => {
                    let item = self.seen(&item).unwrap_or(item);
                    self.known.insert(item);
                }
                Err(lack) if desired.active => self.deeds.lacks.push((id, lack)),
                Err(_) => {}
            }
        }
    }

    fn want(&mut self, id: RouterId, item: Item) {
        let owner = self.owner;
        if let Item::Address(index, address) = &item
            && let Some(link) = self.observed.link(*index)
        {
            if link.is_of(owner) {
                let lack = format!(
                    "{}: that interface is vrrpd's own",
                    item.words(self.observed)
                );
                return self.deeds.lacks.push((id, lack));
            }
            match on(link, address.ip) {
                None => {}
                // As with virtual addresses: one that is there anyway serves as well.
                Some(there) if !there.is_of(owner) => return,
                Some(there) if there.prefix_len != address.prefix_len => {
                    let stray = super::op::address(there.ip, there.prefix_len);
                    self.deeds.remove.push(Item::Address(*index, stray));
                }
                Some(there) => {
                    if let Some(mac) = link.mac.filter(|mac| mac.0 != [0; 6])
                        && !there.is_tentative()
                    {
                        let guest = Guest {
                            index: *index,
                            mac,
                            address: there.ip,
                        };
                        self.deeds.guests.entry(id).or_default().push(guest);
                    }
                    self.wanted.insert(item.clone());
                    self.deeds.there.insert((id, item));
                    return;
                }
            }
        } else if let Some(seen) = self.seen(&item) {
            self.wanted.insert(seen);
            self.deeds.there.insert((id, item));
            return;
        }
        if self.wanted.insert(item.clone()) {
            self.deeds.add.push((id, item));
        }
    }

    /// The same as it is in the kernel.
    fn seen(&self, item: &Item) -> Option<Item> {
        match item {
            Item::Address(..) => None,
            Item::Route(route) => self.picture.route(route).cloned().map(Item::Route),
            Item::Rule(rule) => {
                let there = self.picture.rules.contains(rule);
                there.then(|| item.clone())
            }
        }
    }

    fn release(&mut self, routers: &BTreeMap<RouterId, Arc<Desired>>, all: bool) {
        let routes = self.picture.routes.iter().cloned().map(Item::Route);
        let rules = self.picture.rules.iter().cloned().map(Item::Rule);
        for item in routes.chain(rules) {
            if !self.wanted.contains(&item) && (all || self.known.contains(&item)) {
                self.deeds.remove.push(item);
            }
        }
        for item in std::mem::take(&mut self.known) {
            let Item::Address(index, wanted) = item else {
                continue;
            };
            let there = self
                .observed
                .link(index)
                .and_then(|link| on(link, wanted.ip));
            let Some(there) = there.filter(|there| there.is_of(self.owner)) else {
                continue;
            };
            let item = Item::Address(index, address(there.ip, there.prefix_len));
            // It may be a virtual address of a router without a MAC address of its own.
            if !self.wanted.contains(&item) && !self.is_virtual(routers, index, there.ip) {
                self.deeds.remove.push(item);
            }
        }
    }

    fn is_virtual(
        &self,
        routers: &BTreeMap<RouterId, Arc<Desired>>,
        index: u32,
        ip: IpAddr,
    ) -> bool {
        let name = self.observed.name(index);
        routers.values().any(|desired| {
            desired.active
                && desired.interface == name
                && desired.addresses.iter().any(|it| it.ip == ip)
        })
    }
}

fn on(link: &Link, ip: IpAddr) -> Option<&Address> {
    link.addresses.iter().find(|there| there.ip == ip)
}

/// The links and addresses of what follows a router, as far as they exist.
pub(super) fn guests<'a>(
    following: &'a Following,
    observed: &'a Observed,
) -> impl Iterator<Item = (u32, IpAddr)> + 'a {
    following.addresses.iter().filter_map(|it| {
        let link = observed.named(it.interface.as_deref()?)?;
        Some((link.index, it.address.ip))
    })
}

/// Everything that follows a router, in the kernel's terms; or why it cannot be.
fn items(following: &Following, observed: &Observed) -> impl Iterator<Item = Result<Item, String>> {
    let missing = |what: String, name: &str| format!("{what}: there is no interface {name}");
    let addresses = following.addresses.iter().map(move |it| {
        let name = it.interface.as_deref().unwrap_or_default();
        match observed.named(name) {
            Some(link) => Ok(Item::Address(link.index, it.address)),
            None => Err(missing(format!("the address {}", it.address), name)),
        }
    });
    let routes = following.routes.iter().map(move |route| {
        let oif = match &route.interface {
            None => None,
            Some(name) => match observed.named(name) {
                // The kernel takes none there, and removes those that are there.
                Some(link) if !link.up => return Err(format!("the route {route}: {name} is down")),
                Some(link) => Some(link.index),
                None => return Err(missing(format!("the route {route}"), name)),
            },
        };
        Ok(Item::Route(KernelRoute::new(route, oif)))
    });
    let rules = following
        .rules
        .iter()
        .map(|rule| Ok(Item::Rule(rule.clone())));
    addresses.chain(routes).chain(rules)
}

#[cfg(test)]
mod tests;
