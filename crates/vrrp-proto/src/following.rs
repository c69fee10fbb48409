//! What is there only while a router is Active, beside the addresses that it advertises: addresses that it does not, routes
//! and rules.
//!
//! None of it takes part in the election. What the kernel refuses of it is reported and tried again; a router that cannot have
//! a route is still better than no router.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::plan::VirtualAddress;
use crate::types::Family;

/// All that follows a router.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Following {
    /// Addresses that are not advertised.
    pub addresses: Vec<FollowingAddress>,
    /// Routes, in the order in which they are installed.
    pub routes: Vec<Route>,
    /// Rules of policy routing.
    pub rules: Vec<Rule>,
}

impl Following {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}

/// An address that follows a router and is not advertised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct FollowingAddress {
    /// The address.
    pub address: VirtualAddress,
    /// The interface on which it stands, by name; `None`: that of the router.
    pub interface: Option<String>,
}

/// The part of an address that a network has in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Prefix {
    /// An address of which all other bits are 0.
    pub network: IpAddr,
    /// Number of bits, up to 32 or 128.
    pub len: u8,
}

impl Prefix {
    /// Everything of a family: `default` in the words of iproute2.
    #[must_use]
    pub const fn all(family: Family) -> Self {
        Self {
            network: match family {
                Family::Ipv4 => IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED),
                Family::Ipv6 => IpAddr::V6(core::net::Ipv6Addr::UNSPECIFIED),
            },
            len: 0,
        }
    }

    /// The network of `ip`; `None` if `len` is more than its family has bits.
    #[must_use]
    pub fn of(ip: IpAddr, len: u8) -> Option<Self> {
        let network = match ip {
            IpAddr::V4(ip) if len <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                IpAddr::V4((ip.to_bits() & mask).into())
            }
            IpAddr::V6(ip) if len <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                IpAddr::V6((ip.to_bits() & mask).into())
            }
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { network, len })
    }

    /// Its family.
    #[must_use]
    pub const fn family(&self) -> Family {
        Family::of(self.network)
    }

    /// Whether `ip` is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        Family::of(ip) == self.family() && Self::of(ip, self.len) == Some(*self)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.len)
    }
}

/// What becomes of a packet that a route or a rule is about.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Fate {
    /// A route sends it on; a rule looks for a route in its table.
    #[default]
    Unicast,
    /// It is dropped, and nobody hears of it.
    Blackhole,
    /// It is dropped, and its sender hears that the host is unreachable.
    Unreachable,
    /// It is dropped, and its sender hears that this is forbidden.
    Prohibit,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Unicast,
        Self::Blackhole,
        Self::Unreachable,
        Self::Prohibit,
    ];

    /// Its word in configuration, which is also that of iproute2.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        }
    }
}

/// The table in which a host looks for routes if nothing says otherwise.
pub const MAIN_TABLE: u32 = 254;

/// A route.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Route {
    /// Where packets go.
    pub to: Prefix,
    /// The next hop, of the same family; `None`: everybody is reached directly.
    pub via: Option<IpAddr>,
    /// The interface on which they leave, by name; `None`: that which leads to the next hop.
    pub interface: Option<String>,
    /// The table in which it stands.
    pub table: u32,
    /// Of routes to the same network in a table, that with the lowest counts; `None`: what the kernel takes, which is 0 for
    /// IPv4 and 1024 for IPv6.
    pub metric: Option<u32>,
    /// The source address of what this host sends itself.
    pub source: Option<IpAddr>,
    /// What becomes of packets.
    pub fate: Fate,
    /// Whether the next hop is on the interface although no address there says so.
    pub on_link: bool,
}

impl Route {
    /// Its metric as the kernel counts it.
    #[must_use]
    pub fn priority(&self) -> u32 {
        match (self.metric, self.to.family()) {
            (Some(0) | None, Family::Ipv6) => 1024,
            (None, Family::Ipv4) => 0,
            (Some(metric), Family::Ipv4 | Family::Ipv6) => metric,
        }
    }
}

/// As iproute2 would say it.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.fate != Fate::Unicast {
            write!(f, "{} ", self.fate.name())?;
        }
        write!(f, "{}", self.to)?;
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if let Some(interface) = &self.interface {
            write!(f, " dev {interface}")?;
        }
        if self.table != MAIN_TABLE {
            write!(f, " table {}", self.table)?;
        }
        if let Some(metric) = self.metric {
            write!(f, " metric {metric}")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.on_link {
            f.write_str(" onlink")?;
        }
        Ok(())
    }
}

/// A rule of policy routing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Rule {
    /// For packets of which family.
    pub family: Family,
    /// Rules are asked in the order of this number.
    pub priority: u32,
    /// For packets from here.
    pub from: Option<Prefix>,
    /// For packets to here.
    pub to: Option<Prefix>,
    /// For packets that arrive on this interface, by name.
    pub iif: Option<String>,
    /// For packets whose sender has bound them to this interface, by name.
    pub oif: Option<String>,
    /// For packets whose mark is this, in the bits of the mask.
    pub fwmark: Option<(u32, u32)>,
    /// The table in which a route is looked for.
    pub table: u32,
    /// What becomes of packets.
    pub fate: Fate,
    /// Routes of that table do not count whose prefixes are this long or shorter.
    pub suppress_prefix_length: Option<u8>,
}

/// As iproute2 would say it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        match self.from {
            Some(from) => write!(f, " from {from}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some((mark, mask)) = self.fwmark {
            write!(f, " fwmark {mark:#x}")?;
            if mask != u32::MAX {
                write!(f, "/{mask:#x}")?;
            }
        }
        if let Some(interface) = &self.iif {
            write!(f, " iif {interface}")?;
        }
        if let Some(interface) = &self.oif {
            write!(f, " oif {interface}")?;
        }
        match self.fate {
            Fate::Unicast => write!(f, " lookup {}", self.table)?,
            Fate::Blackhole | Fate::Unreachable | Fate::Prohibit => {
                write!(f, " {}", self.fate.name())?;
            }
        }
        if let Some(length) = self.suppress_prefix_length {
            write!(f, " suppress_prefixlength {length}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_has_no_bits_beyond_its_length() {
        for (text, len, network) in [
            ("192.0.2.77", 24, "192.0.2.0/24"),
            ("192.0.2.77", 32, "192.0.2.77/32"),
            ("192.0.2.77", 0, "0.0.0.0/0"),
            ("2001:db8::77", 64, "2001:db8::/64"),
            ("2001:db8::77", 128, "2001:db8::77/128"),
            ("2001:db8::77", 0, "::/0"),
        ] {
            let prefix = Prefix::of(ip(text), len).unwrap();
            assert_eq!(prefix.to_string(), network);
            assert!(prefix.contains(ip(text)), "{network}");
        }
        assert_eq!(Prefix::of(ip("192.0.2.77"), 33), None);
        assert_eq!(Prefix::of(ip("::"), 129), None);
        let net = Prefix::of(ip("192.0.2.0"), 24).unwrap();
        assert!(!net.contains(ip("192.0.3.1")) && !net.contains(ip("2001:db8::1")));
    }

    #[test]
    fn the_kernel_counts_no_metric_as_one() {
        let route = |to: &str, metric| Route {
            to: Prefix::of(ip(to), 0).unwrap(),
            via: None,
            interface: None,
            table: MAIN_TABLE,
            metric,
            source: None,
            fate: Fate::Unicast,
            on_link: false,
        };
        assert_eq!(route("0.0.0.0", None).priority(), 0);
        assert_eq!(route("::", None).priority(), 1024);
        assert_eq!(route("::", Some(0)).priority(), 1024);
        assert_eq!(route("::", Some(7)).priority(), 7);
    }
}
