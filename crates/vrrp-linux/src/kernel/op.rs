//! One change to the kernel, as a value.

use std::net::IpAddr;

use vrrp_proto::following::Rule;
use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::types::{MacAddress, RouterId};

use super::following::KernelRoute;
use super::observed::{Ipv4Key, Ipv6Key, Observed};

/// When a step is due within one pass, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stage {
    /// IPv6 off: takes the addresses along, and nothing is sent any more.
    Shut,
    /// Addresses out.
    Release,
    /// IPv6 on, where everything else is prepared.
    Open,
    /// Addresses in, where everything else is prepared.
    Take,
    /// A parent as it was before.
    Restore,
    /// Links out.
    Remove,
    /// Links in.
    Create,
    /// IPv6 settings of links and parents.
    Prepare,
    /// The other settings of links and parents.
    Configure,
    /// IPv6 on, for what was prepared in this pass.
    OpenLate,
    /// Addresses in, for what was prepared in this pass.
    TakeLate,
}

/// A change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Op {
    /// A macvlan in bridge mode, down, with its group, alias and IPv4 settings.
    Create {
        name: String,
        parent: u32,
        mac: MacAddress,
        mtu: u32,
        group: u32,
        alias: String,
        ipv4: Vec<(Ipv4Key, i32)>,
        /// Whether the kernel has IPv6 for it, whose address generation is to be off.
        ipv6: bool,
    },
    Delete {
        link: u32,
        /// The group that it enters when others leave at the same time.
        group: u32,
    },
    /// All links of a group.
    DeleteGroup {
        group: u32,
    },
    Set {
        link: u32,
        change: Change,
    },
    Ipv4 {
        link: u32,
        settings: Vec<(Ipv4Key, i32)>,
    },
    Ipv6 {
        link: u32,
        key: Ipv6Key,
        value: i32,
    },
    Add {
        link: u32,
        address: VirtualAddress,
        metric: u32,
        /// What is written down with it.
        label: Option<String>,
    },
    Remove {
        link: u32,
        address: VirtualAddress,
    },
    /// A route, unless there is one in its place.
    AddRoute {
        route: Box<KernelRoute>,
        protocol: u8,
    },
    RemoveRoute {
        route: Box<KernelRoute>,
        protocol: u8,
    },
    /// A rule, unless there is the same.
    AddRule {
        rule: Box<Rule>,
        protocol: u8,
    },
    RemoveRule {
        rule: Box<Rule>,
        protocol: u8,
    },
}

/// A change of a link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Up,
    Alias(String),
    Group(u32),
    Mac(MacAddress),
    Mtu(u32),
    /// Into a VRF, or out of one.
    Master(Option<u32>),
    NoAddressGeneration,
}

/// A change with its place in the pass, and for whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) stage: Stage,
    /// `None`: for nobody any more.
    pub(super) router: Option<RouterId>,
    pub(super) op: Op,
}

impl Op {
    /// What it does, after "cannot".
    pub(super) fn attempt(&self, observed: &Observed) -> String {
        let on = |link: &u32| observed.name(*link);
        match self {
            Self::Create { name, parent, .. } => {
                format!("create the interface {name} on {}", on(parent))
            }
            Self::Delete { link, .. } => format!("delete the interface {}", on(link)),
            Self::DeleteGroup { group } => format!("delete the interfaces of group {group}"),
            Self::Set { link, change } => match change {
                Change::Up => format!("set the interface {} up", on(link)),
                Change::Alias(_) => format!("set the alias of {}", on(link)),
                Change::Group(_) => format!("set the group of {}", on(link)),
                Change::Mac(mac) => format!("set the MAC address of {} to {mac}", on(link)),
                Change::Mtu(mtu) => format!("set the MTU of {} to {mtu}", on(link)),
                Change::Master(Some(vrf)) => format!("move {} into the VRF {}", on(link), on(vrf)),
                Change::Master(None) => format!("move {} out of its VRF", on(link)),
                Change::NoAddressGeneration => {
                    format!("switch IPv6 address generation off on {}", on(link))
                }
            },
            Self::Ipv4 { link, settings } => {
                let settings: Vec<String> = settings
                    .iter()
                    .map(|(key, value)| format!("{}={value}", key.name()))
                    .collect();
                format!("set IPv4 {} on {}", settings.join(" "), on(link))
            }
            Self::Ipv6 { link, key, value } => {
                format!("set IPv6 {}={value} on {}", key.name(), on(link))
            }
            Self::Add { link, address, .. } => {
                format!("add the address {address} to {}", on(link))
            }
            Self::Remove { link, address } => {
                format!("remove the address {address} from {}", on(link))
            }
            Self::AddRoute { route, .. } => format!("add the route {}", route.words(observed)),
            Self::RemoveRoute { route, .. } => {
                format!("remove the route {}", route.words(observed))
            }
            Self::AddRule { rule, .. } => format!("add the rule {rule}"),
            Self::RemoveRule { rule, .. } => format!("remove the rule {rule}"),
        }
    }

    /// What it restores, after "repaired".
    pub(super) fn restores(&self, observed: &Observed) -> String {
        let on = |link: &u32| observed.name(*link);
        match self {
            Self::Create { name, .. } => format!("the interface {name}"),
            Self::Delete { link, .. } => {
                format!("the interface {}, which was not as made", on(link))
            }
            Self::DeleteGroup { group } => format!("the group {group}"),
            Self::Set { link, change } => match change {
                Change::Up => format!("the interface {}, which was down", on(link)),
                Change::Alias(_) => format!("the alias of {}", on(link)),
                Change::Group(_) => format!("the group of {}", on(link)),
                Change::Mac(_) => format!("the MAC address of {}", on(link)),
                Change::Mtu(_) => format!("the MTU of {}", on(link)),
                Change::Master(_) => format!("the master of {}", on(link)),
                Change::NoAddressGeneration => {
                    format!("the IPv6 address generation mode of {}", on(link))
                }
            },
            Self::Ipv4 { link, settings } => {
                let names: Vec<&str> = settings.iter().map(|(key, _)| key.name()).collect();
                format!("IPv4 {} on {}", names.join(", "), on(link))
            }
            Self::Ipv6 { link, key, .. } => format!("IPv6 {} on {}", key.name(), on(link)),
            Self::Add { link, address, .. } => format!("the address {address} on {}", on(link)),
            Self::Remove { link, address } => {
                format!("{} without the stray address {address}", on(link))
            }
            Self::AddRoute { route, .. } => format!("the route {}", route.words(observed)),
            Self::RemoveRoute { route, .. } => {
                format!("the routes without {}", route.words(observed))
            }
            Self::AddRule { rule, .. } => format!("the rule {rule}"),
            Self::RemoveRule { rule, .. } => format!("the rules without {rule}"),
        }
    }

    /// How much was lost when this restores it; 0 is most.
    pub(super) const fn gravity(&self) -> u8 {
        match self {
            Self::Create { .. } | Self::DeleteGroup { .. } => 0,
            Self::Delete { .. } => 1,
            Self::Set { .. } => 2,
            Self::Add { .. } => 3,
            Self::Remove { .. } => 4,
            Self::Ipv4 { .. } | Self::Ipv6 { .. } => 5,
            Self::AddRoute { .. }
            | Self::RemoveRoute { .. }
            | Self::AddRule { .. }
            | Self::RemoveRule { .. } => 6,
        }
    }

    /// The link that it deletes.
    pub(super) const fn deleted(&self) -> Option<u32> {
        if let Self::Delete { link, .. } = self {
            Some(*link)
        } else {
            None
        }
    }

    /// Whether failing with `errno` means that it was done already.
    pub(super) fn is_done_by(&self, errno: i32) -> bool {
        match self {
            Self::Remove { .. } => errno == libc::EADDRNOTAVAIL || errno == libc::ENODEV,
            Self::Delete { .. } => errno == libc::ENODEV,
            Self::RemoveRoute { .. } => errno == libc::ESRCH || errno == libc::ENODEV,
            Self::RemoveRule { .. } => errno == libc::ENOENT,
            Self::Create { .. }
            | Self::DeleteGroup { .. }
            | Self::Set { .. }
            | Self::Ipv4 { .. }
            | Self::Ipv6 { .. }
            | Self::AddRoute { .. }
            | Self::AddRule { .. }
            | Self::Add { .. } => false,
        }
    }
}

/// `ip` with its longest prefix length when none is known.
pub(super) const fn address(ip: IpAddr, prefix_len: u8) -> VirtualAddress {
    VirtualAddress { ip, prefix_len }
}
