//! Why a virtual router must stay in Initialize.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::link::LinkFacts;
use crate::plan::RouterPlan;
use crate::tracker::Level;
use crate::types::Family;

/// One reason. A router with any fault does not take part in the election.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Fault {
    /// No interface has the configured name.
    InterfaceMissing(String),
    /// The interface is administratively down.
    InterfaceDown(String),
    /// The interface is up but cannot carry packets.
    NoCarrier(String),
    /// The interface has no IPv4 address to send from (RFC 9568 §5.1.1.1).
    NoPrimaryAddress(String),
    /// The interface has no usable IPv6 link-local address to send from (RFC 9568 §5.1.2.1).
    NoLinkLocalAddress(String),
    /// An advertisement with all addresses would be fragmented.
    MtuTooSmall {
        /// The interface.
        interface: String,
        /// Its MTU in bytes.
        mtu: u32,
        /// Bytes an advertisement needs, with the IP header.
        needed: usize,
    },
    /// The owner's address is not on the interface (RFC 9568 §6.1).
    OwnedAddressMissing {
        /// The interface.
        interface: String,
        /// The address that priority 255 promises.
        address: IpAddr,
    },
    /// Advertisements cannot be heard: a router that is deaf would believe that nobody else is there.
    Deaf {
        /// The interface.
        interface: String,
        /// What the system said.
        reason: String,
    },
    /// The kernel refused what this router needs.
    Kernel(String),
    /// A tracker is not as it must be.
    Tracker {
        /// Its name.
        tracker: String,
        /// Its level.
        level: Level,
        /// Why it is that.
        detail: String,
    },
    /// Another member of its sync group has a fault.
    Group {
        /// The group.
        group: String,
        /// The member that has it.
        member: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InterfaceMissing(interface) => {
                write!(f, "waiting for interface {interface} to appear")
            }
            Self::InterfaceDown(interface) => write!(f, "interface {interface} is down"),
            Self::NoCarrier(interface) => write!(f, "interface {interface} has no carrier"),
            Self::NoPrimaryAddress(interface) => {
                write!(f, "waiting for an IPv4 address on {interface}")
            }
            Self::NoLinkLocalAddress(interface) => {
                write!(f, "waiting for an IPv6 link-local address on {interface}")
            }
            Self::MtuTooSmall {
                interface,
                mtu,
                needed,
            } => {
                write!(
                    f,
                    "an advertisement of {needed} bytes does not fit the MTU of {interface}, {mtu} bytes"
                )
            }
            Self::OwnedAddressMissing { interface, address } => {
                write!(
                    f,
                    "priority 255 says that this router owns {address}, but {interface} does not have it"
                )
            }
            Self::Deaf { interface, reason } => {
                write!(f, "cannot hear advertisements on {interface}: {reason}")
            }
            Self::Kernel(reason) => write!(f, "the kernel refused: {reason}"),
            Self::Tracker {
                tracker,
                level,
                detail,
            } => write!(f, "tracker {tracker} is {level}: {detail}"),
            Self::Group { group, member } => write!(f, "group {group}: {member} has a fault"),
        }
    }
}

/// All faults of `plan` on a link in this state, recomputed from scratch: nothing is counted up and down.
///
/// `primary` is the address that would be the source of its advertisements.
#[must_use]
pub fn of_link(plan: &RouterPlan, link: Option<&LinkFacts>, primary: Option<IpAddr>) -> Vec<Fault> {
    let interface = || plan.interface.clone();
    let Some(link) = link else {
        return alloc::vec![Fault::InterfaceMissing(interface())];
    };
    let mut faults = Vec::new();
    if !link.up {
        faults.push(Fault::InterfaceDown(interface()));
    } else if !link.carrier {
        faults.push(Fault::NoCarrier(interface()));
    }
    if primary.is_none() {
        faults.push(match plan.family {
            Family::Ipv4 => Fault::NoPrimaryAddress(interface()),
            Family::Ipv6 => Fault::NoLinkLocalAddress(interface()),
        });
    }
    let second = link.link_local.iter().any(|ip| !plan.has(IpAddr::V6(*ip)));
    if plan.is_dual() && !second {
        faults.push(Fault::NoLinkLocalAddress(interface()));
    }
    let needed =
        plan.family.header_len() + plan.dialect.message_len(plan.family, plan.addresses.len());
    if usize::try_from(link.mtu).is_ok_and(|mtu| mtu < needed) {
        faults.push(Fault::MtuTooSmall {
            interface: interface(),
            mtu: link.mtu,
            needed,
        });
    }
    if plan.priority.is_owner() && plan.family == Family::Ipv4 {
        let missing = plan.addresses.iter().find(|owned| {
            !link
                .ipv4
                .iter()
                .any(|(have, _)| IpAddr::V4(*have) == owned.ip)
        });
        faults.extend(missing.map(|owned| Fault::OwnedAddressMissing {
            interface: interface(),
            address: owned.ip,
        }));
    }
    faults
}
