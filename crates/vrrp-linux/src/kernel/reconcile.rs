//! From what is wanted and what is there to what is to be done.
//!
//! [`plan`] is a pure function and knows no history: it answers the same for a start, a takeover, a restart after a crash
//! and an object that somebody deleted. It is called again after its steps were done; nothing left means that all is in
//! place. What only can be done once something else is visible (a link needs its index) is left to the next call.
//!
//! With a virtual MAC address, a router has a macvlan of its own on its interface, the *parent*. It is made once, stays
//! up, and is empty in Backup: no IPv4 address, so no ARP answer (`arp_ignore` 1 looks at this interface's addresses only)
//! and no source for anything, and no IPv6 address. What keeps it from passing on frames to the virtual MAC address then:
//!
//! - where a gate stands, the gate, with nothing set at a change of roles. A takeover forwards from the moment of its
//!   lease, not from the moment the kernel gets to it, and has less to ask for.
//! - otherwise `forwarding` 0 for IPv4. For IPv6 `disable_ipv6` 1: the kernel then drops whatever arrives or leaves,
//!   memberships included: addresses that are deleted one by one would be followed by MLD reports from the virtual MAC
//!   address, which move it in every switch. (A gate drops those reports.)
//!
//! On the parent, `arp_ignore` and `arp_announce` keep the physical MAC address out of ARP about the virtual addresses,
//! which are local to this host wherever they stand.
//!
//! Without a virtual MAC address, the addresses stand on the interface itself, and only they are ours.
//!
//! A router that is *served* has no macvlan either: the gate on its interface takes the frames in and answers for the
//! addresses, see `fence`. They stand on the interface while the host accepts packets to them, and otherwise nowhere. Then
//! `accept_local` must be on, or an owner that comes back is not heard: it speaks from the address that is local here. It
//! is put back with the last of the addresses, whose labels tell that it was off.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use vrrp_proto::Gather;
use vrrp_proto::desired::Desired;
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::plan::{DataPlane, VirtualAddress};
use vrrp_proto::types::{Family, MacAddress, RouterId};

use super::following::guests;
use super::observed::{Address, Ipv4Conf, Ipv4Key, Ipv6Key, Kind, Link, Observed, ParentConf};
use super::op::{Change, Op, Stage, Step, address};
use super::owner::{Mark, OwnerId, label};

/// `IN6_ADDR_GEN_MODE_NONE`
const NO_ADDRESS_GENERATION: u8 = 1;

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Plan {
    /// In the order in which they must happen.
    pub(super) steps: Vec<Step>,
    /// Why a router cannot have what it wants; nothing that we may do would help.
    pub(super) obstacles: Vec<(RouterId, String)>,
    /// Routers that need a step of another one, or the kernel's time.
    pub(super) waiting: Vec<RouterId>,
}

/// Virtual MAC addresses that a gate keeps off the wire while they are not leased, with the index of their parent.
pub(super) type Guarded = BTreeSet<(u32, MacAddress)>;

/// How far a plan reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    /// All routers are known: what is ours and none of them wants is to go.
    Everything,
    /// Only some routers, which have a virtual MAC address each; what belongs to others is not looked at.
    Some,
}

/// What a router's kernel state depends on besides itself. When this changed, steps are an adaptation; otherwise
/// somebody else made them necessary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Surroundings {
    index: u32,
    up: bool,
    mtu: u32,
    master: Option<u32>,
    forwarding: i32,
    rp_filter_all: i32,
    guarded: bool,
}

/// The surroundings of `desired`, if its interface exists and is up.
pub(super) fn surroundings(
    desired: &Desired,
    observed: &Observed,
    guarded: &Guarded,
) -> Option<Surroundings> {
    let parent = observed.named(&desired.interface)?;
    parent.up.then(|| Surroundings {
        index: parent.index,
        up: parent.up,
        mtu: parent.mtu,
        master: parent.master,
        forwarding: parent.ipv4.get(Ipv4Key::Forwarding),
        rp_filter_all: observed.rp_filter_all,
        guarded: is_guarded(desired, parent, guarded),
    })
}

fn is_guarded(desired: &Desired, parent: &Link, guarded: &Guarded) -> bool {
    desired
        .mac
        .is_some_and(|mac| guarded.contains(&(parent.index, mac)))
}

/// Settings of parents that this daemon changed: they are restored even when what carried the record was deleted by
/// somebody else.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// How they were, of parents with macvlans.
    pub(super) parents: BTreeMap<u32, ParentConf>,
    /// Those whose `accept_local` was 0, and is not because of addresses on them.
    pub(super) lent: BTreeSet<u32>,
}

/// Whether the gate does for `desired` what a macvlan would.
pub(super) const fn is_served(desired: &Desired) -> bool {
    desired.mac.is_some() && matches!(desired.plane, DataPlane::Ebpf)
}

/// Name of the macvlan of a virtual router: `vrrp4.<index of the parent>.<VRID>`, which fits 15 bytes up to index
/// 99,999; beyond that the index is in base 36: `v4-<index>.<VRID>`.
pub(super) fn macvlan_name(parent: u32, family: Family, vrid: u8) -> String {
    let family = match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 6,
    };
    if parent < 100_000 {
        return format!("vrrp{family}.{parent}.{vrid}");
    }
    let mut digits = Vec::new();
    let mut rest = parent;
    while rest > 0 {
        digits.push(char::from_digit(rest % 36, 36).unwrap_or('0'));
        rest /= 36;
    }
    let index: String = digits.iter().rev().collect();
    format!("v{family}-{index}.{vrid}")
}

/// What is to be done so that the kernel holds what `routers` want, and nothing else of `owner`.
pub(super) fn plan(
    owner: OwnerId,
    routers: &BTreeMap<RouterId, Arc<Desired>>,
    scope: Scope,
    observed: &Observed,
    touched: &Touched,
    guarded: &Guarded,
) -> Plan {
    let mut planner = Planner {
        owner,
        observed,
        touched,
        guarded,
        originals: originals(observed),
        plan: Plan::default(),
        links: BTreeMap::new(),
        guests: BTreeSet::new(),
        released: BTreeMap::new(),
        needed: BTreeSet::new(),
        parents: BTreeMap::new(),
        hosts: BTreeSet::new(),
    };
    for (id, desired) in routers {
        planner.router(*id, desired);
    }
    match scope {
        Scope::Everything => planner.clean(),
        Scope::Some => planner.release(),
    }
    sort_by_rank(&mut planner.plan.steps, |step| step.stage as u64);
    planner.plan
}

/// How parents were before any daemon like this one changed them, as the marks of their macvlans say.
fn originals(observed: &Observed) -> BTreeMap<u32, ParentConf> {
    observed.links().filter_map(Link::originals).gather()
}

struct Planner<'a> {
    owner: OwnerId,
    observed: &'a Observed,
    touched: &'a Touched,
    guarded: &'a Guarded,
    originals: BTreeMap<u32, ParentConf>,
    plan: Plan,
    /// Macvlans that are wanted, by name, and who wants them.
    links: BTreeMap<String, RouterId>,
    /// Addresses that are wanted on links that are not ours.
    guests: BTreeSet<(u32, IpAddr)>,
    /// Addresses that a router of ours would want there if it were Active.
    released: BTreeMap<(u32, IpAddr), RouterId>,
    /// Parents whose settings are wanted changed.
    needed: BTreeSet<u32>,
    /// Those that carry the record of their originals, and whether they are changed already.
    parents: BTreeMap<u32, bool>,
    /// Links that need `accept_local` for addresses on them.
    hosts: BTreeSet<u32>,
}

impl Planner<'_> {
    fn step(&mut self, stage: Stage, router: Option<RouterId>, op: Op) {
        self.plan.steps.push(Step { stage, router, op });
    }

    fn delete(&self, link: &Link) -> Op {
        Op::Delete {
            link: link.index,
            group: self.owner.leaving_group(),
        }
    }

    fn obstacle(&mut self, router: RouterId, sentence: String) {
        self.plan.obstacles.push((router, sentence));
    }

    fn router(&mut self, id: RouterId, desired: &Desired) {
        let observed = self.observed;
        let Some(parent) = observed.named(&desired.interface) else {
            return self.obstacle(
                id,
                format!("the interface {} does not exist", desired.interface),
            );
        };
        // Those are kept by `following`, which comes later; they are not to be taken for leftovers.
        if desired.active {
            self.guests.extend(guests(&desired.following, observed));
        }
        match desired.mac {
            None => self.guest(id, desired, parent, desired.active, None),
            Some(_) if is_served(desired) => self.served(id, desired, parent),
            Some(mac) => self.macvlan(id, desired, parent, mac),
        }
    }

    /// A router for which the gate answers.
    fn served(&mut self, id: RouterId, desired: &Desired, parent: &Link) {
        if desired.has(Family::Ipv6) && parent.ipv6.is_none() {
            let sentence = format!("the kernel has no IPv6 on {}", parent.name);
            return self.obstacle(id, sentence);
        }
        let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
        let theirs = self.observed.named(&name);
        if let Some(link) = theirs.filter(|link| !link.is_of(self.owner)) {
            return self.obstacle(id, in_use(&name, link));
        }
        let holds = desired.active && desired.accept && !desired.owner;
        let lent = holds && desired.has(Family::Ipv4) && self.lend(id, parent);
        let label = if lent { label(&parent.name) } else { None };
        self.guest(id, desired, parent, holds, label.as_ref());
    }

    /// Addresses on this link need `accept_local`; whether it is off without them.
    fn lend(&mut self, id: RouterId, parent: &Link) -> bool {
        let off = parent.ipv4.get(Ipv4Key::AcceptLocal) == 0;
        if self.hosts.insert(parent.index) && off {
            let op = Op::Ipv4 {
                link: parent.index,
                settings: vec![(Ipv4Key::AcceptLocal, 1)],
            };
            self.step(Stage::Configure, Some(id), op);
        }
        let known = self.originals.get(&parent.index);
        off || self.touched.lent.contains(&parent.index)
            || parent.addresses.iter().any(|there| there.lent)
            || known.is_some_and(|originals| originals.accept_local == 0)
    }

    /// Addresses on the interface itself, if it `holds` them. IPv6 has no labels.
    fn guest(
        &mut self,
        id: RouterId,
        desired: &Desired,
        parent: &Link,
        holds: bool,
        label: Option<&String>,
    ) {
        for wanted in &desired.addresses {
            if !holds {
                self.released.insert((parent.index, wanted.ip), id);
                continue;
            }
            self.guests.insert((parent.index, wanted.ip));
            let label = label.filter(|_| wanted.ip.is_ipv4()).cloned();
            match find(parent, wanted.ip) {
                None => self.add(Stage::Take, id, parent.index, *wanted, label),
                // A real address with another prefix length serves as well, and is not ours to change.
                Some(there) if !there.is_of(self.owner) => {}
                Some(there) if there.prefix_len == wanted.prefix_len => {
                    if there.is_tentative() {
                        self.plan.waiting.push(id);
                    }
                }
                Some(there) => {
                    let op = Op::Remove {
                        link: parent.index,
                        address: address(there.ip, there.prefix_len),
                    };
                    self.step(Stage::Release, Some(id), op);
                    self.add(Stage::Take, id, parent.index, *wanted, label);
                }
            }
        }
    }

    fn macvlan(&mut self, id: RouterId, desired: &Desired, parent: &Link, mac: MacAddress) {
        let observed = self.observed;
        let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
        if let Some(first) = self.links.get(&name) {
            let sentence = format!("the interface {name} is in use by router {}", first.0);
            return self.obstacle(id, sentence);
        }
        if desired.has(Family::Ipv6) && parent.ipv6.is_none() {
            let sentence = format!("the kernel has no IPv6 on {}", parent.name);
            return self.obstacle(id, sentence);
        }
        self.links.insert(name.clone(), id);
        let uses_arp = desired.has(Family::Ipv4);
        if uses_arp {
            self.needed.insert(parent.index);
        }
        let originals = uses_arp.then(|| self.originals(parent));
        let mark = Mark::new(self.owner, &desired.name, parent.index, originals);
        let Some(link) = observed.named(&name) else {
            let op = Op::Create {
                name,
                parent: parent.index,
                mac,
                mtu: parent.mtu,
                group: self.owner.group(),
                alias: mark.to_string(),
                ipv4: self.ipv4(desired, parent, false).to_vec(),
                ipv6: parent.ipv6.is_some(),
            };
            return self.step(Stage::Create, Some(id), op);
        };
        if !link.is_of(self.owner) {
            return self.obstacle(id, in_use(&name, link));
        }
        if link.kind != (Kind::Macvlan { bridge: true }) || link.lower != parent.lower_of_macvlans()
        {
            let op = self.delete(link);
            return self.step(Stage::Remove, Some(id), op);
        }

        let before = self.plan.steps.len();
        self.properties(id, desired, link, parent, &mark, mac);
        let properties_done = self.plan.steps.len() == before;
        if uses_arp {
            // After the alias, which keeps the originals.
            self.parent(id, parent);
        }
        let open = desired.active || is_guarded(desired, parent, self.guarded);
        self.strays(id, desired, link, open);
        if !link.up {
            // It comes up deaf and empty; what its role needs follows.
            self.plan.waiting.push(id);
            return;
        }
        let parent_done = !uses_arp || self.parents.get(&parent.index).is_none_or(|done| *done);
        if !parent_done {
            self.plan.waiting.push(id);
        }
        let (opening, take) = if properties_done && parent_done {
            (Stage::Open, Stage::Take)
        } else {
            (Stage::OpenLate, Stage::TakeLate)
        };
        self.gate(id, desired, link, parent, open, (opening, take));
        self.addresses(id, desired, link, take);
    }

    fn originals(&self, parent: &Link) -> ParentConf {
        let known = self.originals.get(&parent.index);
        let known = known.or_else(|| self.touched.parents.get(&parent.index));
        known.map_or_else(|| ParentConf::of(&parent.ipv4), |it| *it)
    }

    fn parent(&mut self, id: RouterId, parent: &Link) {
        if self.parents.contains_key(&parent.index) {
            return;
        }
        let settings = differing(
            &parent.ipv4,
            &changed(ParentConf::of(&parent.ipv4)).settings(),
        );
        self.parents.insert(parent.index, settings.is_empty());
        if !settings.is_empty() {
            let op = Op::Ipv4 {
                link: parent.index,
                settings,
            };
            self.step(Stage::Configure, Some(id), op);
        }
    }

    /// Everything that does not depend on the router's role.
    fn properties(
        &mut self,
        id: RouterId,
        desired: &Desired,
        link: &Link,
        parent: &Link,
        mark: &Mark,
        mac: MacAddress,
    ) {
        let vrf = parent.master.filter(|master| {
            self.observed
                .link(*master)
                .is_some_and(|it| it.kind == Kind::Vrf)
        });
        let no_generation =
            |conf: &super::observed::Ipv6Conf| conf.address_generation == NO_ADDRESS_GENERATION;
        let changes = [
            (link.group != self.owner.group()).then(|| Change::Group(self.owner.group())),
            (link.mark.as_ref() != Some(mark)).then(|| Change::Alias(mark.to_string())),
            (link.mac != Some(mac)).then_some(Change::Mac(mac)),
            (link.mtu != parent.mtu).then_some(Change::Mtu(parent.mtu)),
            (link.master != vrf).then_some(Change::Master(vrf)),
            link.ipv6
                .as_ref()
                .is_some_and(|conf| !no_generation(conf))
                .then_some(Change::NoAddressGeneration),
        ];
        for change in changes.into_iter().flatten() {
            let op = Op::Set {
                link: link.index,
                change,
            };
            self.step(Stage::Configure, Some(id), op);
        }
        let settings = differing(&link.ipv4, &self.ipv4(desired, parent, false)[1..]);
        if !settings.is_empty() {
            let op = Op::Ipv4 {
                link: link.index,
                settings,
            };
            self.step(Stage::Configure, Some(id), op);
        }
        if let Some(conf) = link.ipv6.as_ref() {
            // Nothing but `disable_ipv6` matters where that is always set.
            let wanted: &[(Ipv6Key, i32)] = if desired.has(Family::Ipv6) {
                &[
                    (Ipv6Key::AcceptRa, 0),
                    (Ipv6Key::RouterSolicitations, 0),
                    (Ipv6Key::AcceptDad, 0),
                    (Ipv6Key::ProxyNdp, 0),
                    (Ipv6Key::NdiscNotify, 0),
                    // Makes neighbour advertisements say that this is a router; whether it forwards is the host's setting.
                    (Ipv6Key::Forwarding, 1),
                ]
            } else {
                &[]
            };
            for (key, value) in wanted
                .iter()
                .filter(|(key, value)| conf.get(*key) != *value)
            {
                let op = Op::Ipv6 {
                    link: link.index,
                    key: *key,
                    value: *value,
                };
                self.step(Stage::Prepare, Some(id), op);
            }
        }
        if !link.up {
            // It must be deaf to IPv6 before it comes up.
            self.ipv6_switch(id, link, Stage::Prepare, false);
            let op = Op::Set {
                link: link.index,
                change: Change::Up,
            };
            self.step(Stage::Configure, Some(id), op);
        }
    }

    /// IPv4 settings of a macvlan; `forwarding`, which depends on the role and the gate, comes first.
    fn ipv4(&self, desired: &Desired, parent: &Link, open: bool) -> [(Ipv4Key, i32); 10] {
        let forwarding = if open && desired.has(Family::Ipv4) {
            parent.ipv4.get(Ipv4Key::Forwarding)
        } else {
            0
        };
        // The kernel takes the larger of this and `conf.all`: 2, loose, since the way back is through the parent.
        let rp_filter = if self.observed.rp_filter_all == 0 {
            0
        } else {
            2
        };
        [
            (Ipv4Key::Forwarding, forwarding),
            (Ipv4Key::RpFilter, rp_filter),
            (Ipv4Key::ArpIgnore, 1),
            (Ipv4Key::ArpAnnounce, 2),
            (Ipv4Key::ArpFilter, 0),
            (Ipv4Key::ArpNotify, 0),
            (Ipv4Key::ProxyArp, 0),
            (Ipv4Key::ProxyArpPvlan, 0),
            (Ipv4Key::AcceptLocal, 1),
            (Ipv4Key::PromoteSecondaries, 1),
        ]
    }

    /// Opens or shuts the way for frames to the virtual MAC address.
    fn gate(
        &mut self,
        id: RouterId,
        desired: &Desired,
        link: &Link,
        parent: &Link,
        open: bool,
        (opening, take): (Stage, Stage),
    ) {
        let forwarding = self.ipv4(desired, parent, open)[0];
        if link.ipv4.get(forwarding.0) != forwarding.1 {
            let stage = if forwarding.1 == 0 {
                Stage::Release
            } else {
                take
            };
            let op = Op::Ipv4 {
                link: link.index,
                settings: vec![forwarding],
            };
            self.step(stage, Some(id), op);
        }
        if desired.has(Family::Ipv6) && open {
            self.ipv6_switch(id, link, opening, true);
        } else {
            self.ipv6_switch(id, link, Stage::Shut, false);
        }
    }

    fn ipv6_switch(&mut self, id: RouterId, link: &Link, stage: Stage, on: bool) {
        let value = i32::from(!on);
        if link
            .ipv6
            .as_ref()
            .is_some_and(|conf| conf.get(Ipv6Key::DisableIpv6) != value)
        {
            let op = Op::Ipv6 {
                link: link.index,
                key: Ipv6Key::DisableIpv6,
                value,
            };
            self.step(stage, Some(id), op);
        }
    }

    /// Addresses of a macvlan that are not wanted: it is ours, and so is everything on it.
    fn strays(&mut self, id: RouterId, desired: &Desired, link: &Link, open: bool) {
        for there in &link.addresses {
            let wanted = desired.active
                && desired
                    .addresses
                    .contains(&address(there.ip, there.prefix_len))
                && there.is_of(self.owner);
            // Those of IPv6 go with `disable_ipv6`, when that is due.
            let alone = there.ip.is_ipv4() || (open && desired.has(Family::Ipv6));
            if alone && !wanted {
                let op = Op::Remove {
                    link: link.index,
                    address: address(there.ip, there.prefix_len),
                };
                self.step(Stage::Release, Some(id), op);
            }
        }
    }

    /// Addresses of a macvlan that are missing.
    fn addresses(&mut self, id: RouterId, desired: &Desired, link: &Link, take: Stage) {
        for wanted in desired.addresses.iter().filter(|_| desired.active) {
            let there = link.addresses.iter().find(|it| {
                it.ip == wanted.ip && it.prefix_len == wanted.prefix_len && it.is_of(self.owner)
            });
            match there {
                None => self.add(take, id, link.index, *wanted, None),
                Some(there) if there.is_tentative() => self.plan.waiting.push(id),
                Some(_) => {}
            }
        }
    }

    fn add(
        &mut self,
        stage: Stage,
        id: RouterId,
        link: u32,
        address: VirtualAddress,
        label: Option<String>,
    ) {
        let op = Op::Add {
            link,
            address,
            metric: self.owner.metric(),
            label,
        };
        self.step(stage, Some(id), op);
    }

    /// Addresses on links that are not ours, of routers that do not hold them.
    fn release(&mut self) {
        for ((index, ip), router) in std::mem::take(&mut self.released) {
            let there = self.observed.link(index).and_then(|link| find(link, ip));
            if let Some(there) = there.filter(|there| there.is_of(self.owner))
                && !self.guests.contains(&(index, ip))
            {
                let op = Op::Remove {
                    link: index,
                    address: address(ip, there.prefix_len),
                };
                self.step(Stage::Release, Some(router), op);
            }
        }
    }

    /// What is ours and wanted by nobody.
    fn clean(&mut self) {
        let observed = self.observed;
        let owner = self.owner;
        let mut leaving: BTreeMap<u32, ParentConf> = self.touched.parents.clone();
        for link in observed.links() {
            if !link.is_of(owner) {
                for stray in link.addresses.iter().filter(|it| it.is_of(owner)) {
                    let key = (link.index, stray.ip);
                    if !self.guests.contains(&key) {
                        let router = self.released.get(&key).copied();
                        let op = Op::Remove {
                            link: link.index,
                            address: address(stray.ip, stray.prefix_len),
                        };
                        self.step(Stage::Release, router, op);
                    }
                }
                continue;
            }
            if let Some((parent, originals)) = link.originals() {
                leaving.entry(parent).or_insert(originals);
            }
            if !self.links.contains_key(&link.name) {
                self.empty(link);
                let op = self.delete(link);
                self.step(Stage::Remove, None, op);
            }
        }
        for (index, originals) in leaving {
            self.leave(index, originals);
        }
        for index in &self.touched.lent {
            self.take_back(*index);
        }
    }

    /// Switches `accept_local` off again, unless somebody still needs it.
    fn take_back(&mut self, index: u32) {
        let observed = self.observed;
        let Some(link) = observed.link(index) else {
            return;
        };
        let marked = |other: &Link| {
            let mark = other.mark.as_ref();
            mark.is_some_and(|mark| mark.parent == index && mark.originals.is_some())
        };
        // Macvlans put it back when they leave.
        let needed = self.is_host(link) || observed.links().any(marked);
        if !needed && link.ipv4.get(Ipv4Key::AcceptLocal) != 0 {
            let op = Op::Ipv4 {
                link: index,
                settings: vec![(Ipv4Key::AcceptLocal, 0)],
            };
            self.step(Stage::Restore, None, op);
        }
    }

    /// Whether addresses on it, of ours or of another daemon, need `accept_local`.
    fn is_host(&self, link: &Link) -> bool {
        let theirs = |there: &Address| there.lent && !there.is_of(self.owner);
        self.hosts.contains(&link.index) || link.addresses.iter().any(theirs)
    }

    fn empty(&mut self, link: &Link) {
        if link
            .ipv6
            .as_ref()
            .is_some_and(|conf| conf.get(Ipv6Key::DisableIpv6) == 0)
        {
            let op = Op::Ipv6 {
                link: link.index,
                key: Ipv6Key::DisableIpv6,
                value: 1,
            };
            self.step(Stage::Shut, None, op);
        }
        for there in link.addresses.iter().filter(|it| it.ip.is_ipv4()) {
            let op = Op::Remove {
                link: link.index,
                address: address(there.ip, there.prefix_len),
            };
            self.step(Stage::Release, None, op);
        }
        if link.ipv4.get(Ipv4Key::Forwarding) != 0 {
            let op = Op::Ipv4 {
                link: link.index,
                settings: vec![(Ipv4Key::Forwarding, 0)],
            };
            self.step(Stage::Release, None, op);
        }
    }

    /// Restores a parent, unless somebody still needs it as it is.
    fn leave(&mut self, index: u32, originals: ParentConf) {
        let needed = self.needed.contains(&index)
            || self.observed.links().any(|link| {
                let other = link.mark.as_ref().filter(|mark| mark.owner != self.owner);
                other.is_some_and(|mark| mark.parent == index && mark.originals.is_some())
            });
        let Some(parent) = self.observed.link(index).filter(|_| !needed) else {
            return;
        };
        let mut settings = differing(&parent.ipv4, &originals.settings());
        if self.is_host(parent) {
            settings.retain(|(key, _)| *key != Ipv4Key::AcceptLocal);
        }
        if !settings.is_empty() {
            let op = Op::Ipv4 {
                link: index,
                settings,
            };
            self.step(Stage::Restore, None, op);
        }
    }
}

/// A parent's settings as its macvlans need them. Values that are stricter still are left alone: `arp_ignore` 2 asks for
/// the same subnet in addition, 8 never answers.
const fn changed(now: ParentConf) -> ParentConf {
    ParentConf {
        arp_ignore: match now.arp_ignore {
            2 | 8 => now.arp_ignore,
            _ => 1,
        },
        arp_announce: 2,
        accept_local: 1,
    }
}

/// Why a macvlan of this name cannot be ours.
fn in_use(name: &str, link: &Link) -> String {
    match &link.mark {
        Some(other) => format!(
            "the interface {name} belongs to router {} of another vrrpd ({})",
            other.router, other.owner
        ),
        None => format!("there is an interface {name} that is not ours"),
    }
}

fn differing(conf: &Ipv4Conf, wanted: &[(Ipv4Key, i32)]) -> Vec<(Ipv4Key, i32)> {
    wanted
        .iter()
        .filter(|(key, value)| conf.get(*key) != *value)
        .copied()
        .collect()
}

fn find(link: &Link, ip: IpAddr) -> Option<&Address> {
    link.addresses.iter().find(|there| there.ip == ip)
}

#[cfg(test)]
mod tests;
