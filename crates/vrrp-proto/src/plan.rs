//! What the operator wants, checked and free of text: the input of the engine.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::carp::CarpPlan;
use crate::dialect::Dialect;
use crate::following::{Following, FollowingAddress};
use crate::gate::PreemptWhen;
use crate::interval::Interval;
use crate::prepare::PreActive;
use crate::tracker::{Track, TrackerPlan};
use crate::types::{Family, MacAddress, Priority, Vrid};

/// All virtual routers of one daemon.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Plan {
    /// In the order of the configuration. Names are unique, and so is (interface, family, VRID) for each family that is spoken.
    pub routers: Vec<RouterPlan>,
    /// What routers may refer to. Names are unique.
    #[serde(default)]
    pub trackers: Vec<TrackerPlan>,
}

/// One virtual router as configured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouterPlan {
    /// The name operators use, e.g. `wan4`.
    pub name: String,
    /// Name of the interface on which it speaks, e.g. `eth0`.
    pub interface: String,
    /// Virtual router identifier.
    pub vrid: Vrid,
    /// Protocol version.
    pub dialect: Dialect,
    /// Family of all its addresses; of the first of them, where CARP has both (see [`RouterPlan::speaks`]).
    pub family: Family,
    /// Configured priority; [`Priority::OWNER`] only for the owner.
    pub priority: Priority,
    /// Own advertisement interval, expressible in the dialect's unit.
    pub interval: Interval,
    /// Virtual addresses in the order in which they are advertised: 1 to 255, IPv6 with a link-local one first.
    pub addresses: Vec<VirtualAddress>,
    /// Preempt_Mode (RFC 9568 §6.1): take over from a lower-priority Active.
    pub preempt: bool,
    /// How long a lower-priority Active is tolerated before it is preempted (RFC 8347 `hold-time`).
    pub preempt_delay: Duration,
    /// What it waits for, after it began to take part, before it preempts; `None`: nothing.
    #[serde(default)]
    pub preempt_when: Option<PreemptWhen>,
    /// Accept_Mode (RFC 9568 §6.1): accept packets addressed to the virtual addresses while Active.
    pub accept: bool,
    /// Whether a virtual MAC address is used; otherwise the addresses live on the interface itself.
    pub virtual_mac: bool,
    /// Who takes the frames of the virtual MAC address in.
    #[serde(default)]
    pub data_plane: DataPlane,
    /// Checksum forms on VRRPv3/IPv4.
    pub checksum: ChecksumPolicy,
    /// VRRPv2 simple text authentication (RFC 2338 §5.3.10).
    pub authentication: Option<AuthenticationKey>,
    /// Peers to speak to instead of the multicast group; empty means multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// Mean time between two refreshing announcements of an Active; `None` switches the refresh off.
    pub announce_refresh: Option<Duration>,
    /// What moves its priority or is a fault, in the order of the configuration; one for each tracker.
    #[serde(default)]
    pub track: Vec<Track>,
    /// The sync group it is a member of: all of them are Active, or none. An owner is never a member.
    #[serde(default)]
    pub group: Option<String>,
    /// What is there only while it is Active.
    #[serde(default)]
    pub following: Following,
    /// What has to be done elsewhere before its addresses go live. Members of a group have the same.
    #[serde(default)]
    pub pre_active: Option<PreActive>,
    /// What only CARP has: there with [`Dialect::Carp`] and with no other.
    #[serde(default)]
    pub carp: Option<CarpPlan>,
}

impl RouterPlan {
    /// A VRRPv3 router of priority 100 with every other parameter as it is when nobody sets it (RFC 9568 §6.1).
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        interface: impl Into<String>,
        vrid: Vrid,
        family: Family,
        addresses: Vec<VirtualAddress>,
    ) -> Self {
        Self {
            name: name.into(),
            interface: interface.into(),
            vrid,
            dialect: Dialect::Vrrp3,
            family,
            priority: Priority::DEFAULT,
            interval: Interval::DEFAULT,
            addresses,
            preempt: true,
            preempt_delay: Duration::ZERO,
            preempt_when: None,
            accept: true,
            virtual_mac: true,
            data_plane: DataPlane::default(),
            checksum: ChecksumPolicy::default(),
            authentication: None,
            unicast_peers: Vec::new(),
            announce_refresh: Some(Duration::from_secs(60)),
            track: Vec::new(),
            group: None,
            following: Following::default(),
            pre_active: None,
            carp: None,
        }
    }

    /// The MAC address that answers for the virtual addresses; `None` means the interface's own.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddress> {
        self.virtual_mac
            .then(|| MacAddress::of_router(self.block(), self.vrid))
    }

    /// Whose block its virtual MAC address is from. The IPv4 and IPv6 routers of one VRID are two; CARP has one for both
    /// families, and takes VRRP's of IPv4 whatever its addresses are.
    #[must_use]
    pub const fn block(&self) -> Family {
        match self.dialect {
            Dialect::Vrrp2 | Dialect::Vrrp3 => self.family,
            Dialect::Carp => Family::Ipv4,
        }
    }

    /// Whether it advertises in this family, and hears others in it. With CARP that may be both.
    #[must_use]
    pub fn speaks(&self, family: Family) -> bool {
        let also = |address: &VirtualAddress| Family::of(address.ip) == family;
        self.family == family || (self.carp.is_some() && self.addresses.iter().any(also))
    }

    /// Those that it [speaks](Self::speaks).
    pub fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let families = [Family::Ipv4, Family::Ipv6].map(|it| self.speaks(it).then_some(it));
        families.into_iter().flatten()
    }

    /// Whether this is one of the addresses that are advertised.
    #[must_use]
    pub fn has(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.ip == ip)
    }

    /// Whether it has addresses of both families.
    #[must_use]
    pub fn is_dual(&self) -> bool {
        self.families().count() == 2
    }

    /// The virtual addresses as they are advertised, and behind them those that stand beside them and are not.
    pub fn standing(&self) -> impl Iterator<Item = VirtualAddress> {
        let others = self.following.addresses.iter();
        let beside = others.filter(|it| self.stands_beside(it));
        let all = self.addresses.iter().chain(beside.map(|it| &it.address));
        all.copied()
    }

    /// What follows it, without the addresses that stand beside those that are advertised. Each address has its interface.
    #[must_use]
    pub fn following_elsewhere(&self) -> Following {
        let others = self.following.addresses.iter();
        let elsewhere = others.filter(|it| !self.stands_beside(it));
        Following {
            addresses: elsewhere
                .map(|it| FollowingAddress {
                    address: it.address,
                    interface: Some(self.interface_of(it).into()),
                })
                .collect(),
            ..self.following.clone()
        }
    }

    fn interface_of<'a>(&'a self, address: &'a FollowingAddress) -> &'a str {
        address.interface.as_deref().unwrap_or(&self.interface)
    }

    /// Whether this is an address like those that are advertised, with their MAC address. The owner's are its own, and it has
    /// no others of that kind.
    fn stands_beside(&self, address: &FollowingAddress) -> bool {
        self.interface_of(address) == self.interface
            && self.speaks(Family::of(address.address.ip))
            && !self.priority.is_owner()
    }

    /// The addresses of [`Self::standing`] without their prefix lengths.
    pub(crate) fn ips(&self) -> Arc<[IpAddr]> {
        self.standing().map(|address| address.ip).collect()
    }

    /// Whether advertisements go to listed peers instead of the group.
    #[must_use]
    pub const fn is_unicast(&self) -> bool {
        !self.unicast_peers.is_empty()
    }
}

/// Who takes the frames of a virtual MAC address in, and answers for the virtual addresses. To the engine it is all one.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum DataPlane {
    /// An interface of the router's own, beside the one on which it speaks.
    #[default]
    Macvlan,
    /// A program on the interface on which it speaks.
    Ebpf,
}

impl DataPlane {
    /// Its word in configuration and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ebpf => "ebpf",
        }
    }
}

/// A virtual address with the prefix length of its subnet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length, up to 32 or 128.
    pub prefix_len: u8,
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

/// The two ways in which VRRPv3/IPv4 checksums are computed in the field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ChecksumForm {
    /// Over the message alone (RFC 9568 §5.2.8).
    Rfc9568,
    /// With a pseudo-header before it (the common reading of RFC 5798 §5.2.8).
    Rfc5798,
}

/// What checksum is sent and accepted on VRRPv3/IPv4.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChecksumPolicy {
    /// The form to send; `None` begins with RFC 9568's and follows the form last heard from a valid peer.
    pub send: Option<ChecksumForm>,
    /// Accept RFC 9568's form only.
    pub strict: bool,
}

/// VRRPv2's simple text password: up to eight bytes, padded with zeros (RFC 2338 §5.3.10).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticationKey([u8; 8]);

impl AuthenticationKey {
    /// `None` for an empty password or one of more than eight bytes.
    #[must_use]
    pub fn new(password: &[u8]) -> Option<Self> {
        if password.is_empty() || password.len() > 8 {
            return None;
        }
        let mut bytes = [0; 8];
        bytes[..password.len()].copy_from_slice(password);
        Some(Self(bytes))
    }

    /// As sent.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Whether `received` is the same, in a time that does not depend on where it differs.
    #[must_use]
    pub fn matches(self, received: &[u8; 8]) -> bool {
        self.0
            .iter()
            .zip(received)
            .fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs))
            == 0
    }
}

/// Never shows the password.
impl fmt::Debug for AuthenticationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthenticationKey(..)")
    }
}
