//! Words for worlds: `priority(100).dialect(Vrrp2)` is a host with one virtual router.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::{
    ChecksumPolicy, Dialect, Effect, Family, Hysteresis, Interval, Level, LinkFacts, MacAddress,
    Plan, PreActive, Priority, RouterPlan, Track, TrackerKind, TrackerPlan, VirtualAddress, Vrid,
};

use crate::clock::{Rate, TRUE};
use crate::kernel::Habits;

/// The one interface every host has.
pub const INTERFACE: &str = "eth0";

/// The tracker of a world in which hosts have one.
pub const UPLINK: &str = "uplink";

/// A host to be: what it is configured with and how its machine behaves.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// Its virtual routers.
    pub routers: Vec<RouterPlan>,
    /// Its kernel.
    pub kernel: Habits,
    /// How late its timers fire at most.
    pub lateness: Duration,
    /// How fast its clock runs.
    pub rate: Rate,
}

/// A host with one VRRPv3/IPv4 router of this priority, 1 s, preempting, on a machine that is never late.
#[must_use]
pub fn priority(priority: u8) -> HostPlan {
    HostPlan {
        routers: vec![router(Priority::new(priority))],
        kernel: Habits::USUAL,
        lateness: Duration::ZERO,
        rate: TRUE,
    }
}

/// The host that has the virtual address for its own.
#[must_use]
pub fn owner() -> HostPlan {
    priority(255)
}

fn addresses(family: Family) -> Vec<VirtualAddress> {
    let addresses = match family {
        Family::Ipv4 => vec![(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)), 24)],
        Family::Ipv6 => vec![
            (
                IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0xfe)),
                64,
            ),
            (
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe)),
                64,
            ),
        ],
    };
    addresses
        .into_iter()
        .map(|(ip, prefix_len)| VirtualAddress { ip, prefix_len })
        .collect()
}

fn router(priority: Priority) -> RouterPlan {
    RouterPlan {
        priority,
        ..RouterPlan::new(
            "gateway",
            INTERFACE,
            VRID,
            Family::Ipv4,
            addresses(Family::Ipv4),
        )
    }
}

/// The virtual router of a world that has only one.
pub const VRID: Vrid = match Vrid::new(51) {
    Some(vrid) => vrid,
    None => unreachable!(),
};

impl HostPlan {
    fn each(mut self, change: impl Fn(&mut RouterPlan)) -> Self {
        self.routers.iter_mut().for_each(change);
        self
    }

    /// Another version.
    #[must_use]
    pub fn dialect(self, dialect: Dialect) -> Self {
        self.each(|router| router.dialect = dialect)
    }

    /// Another family, with addresses of that family.
    #[must_use]
    pub fn family(self, family: Family) -> Self {
        self.each(|plan| {
            plan.family = family;
            plan.addresses = addresses(family);
        })
    }

    /// Another interval.
    #[must_use]
    pub fn interval(self, interval: Interval) -> Self {
        self.each(|router| router.interval = interval)
    }

    /// Does not preempt.
    #[must_use]
    pub fn polite(self) -> Self {
        self.each(|router| router.preempt = false)
    }

    /// Preempts after this time only.
    #[must_use]
    pub fn preempt_delay(self, delay: Duration) -> Self {
        self.each(|router| router.preempt_delay = delay)
    }

    /// Its addresses wait for hooks, for so long at most.
    #[must_use]
    pub fn pre_active(self, timeout: Duration) -> Self {
        self.each(|router| {
            let hooks = vec!["table".to_owned()];
            router.pre_active = Some(PreActive { hooks, timeout });
        })
    }

    /// What [`UPLINK`] does to it while that is down. Nothing to an owner.
    #[must_use]
    pub fn tracking(self, effect: Effect) -> Self {
        self.each(|router| {
            router.track = vec![Track {
                tracker: UPLINK.to_owned(),
                effect,
                reverse: false,
                by_group: false,
            }];
        })
    }

    /// Checksum forms.
    #[must_use]
    pub fn checksum(self, checksum: ChecksumPolicy) -> Self {
        self.each(|router| router.checksum = checksum)
    }

    /// Another virtual router id.
    #[must_use]
    pub fn vrid(self, vrid: Vrid) -> Self {
        self.each(|router| router.vrid = vrid)
    }

    /// All routers of `other` as well: dual stack, or several VRIDs.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for mut router in other.routers {
            router.name = format!("gateway{}", self.routers.len());
            self.routers.push(router);
        }
        self
    }

    /// Timers fire up to this late.
    #[must_use]
    pub const fn lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Another clock.
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.rate = rate;
        self
    }

    /// Another kernel.
    #[must_use]
    pub const fn kernel(mut self, kernel: Habits) -> Self {
        self.kernel = kernel;
        self
    }

    /// What its engine is given.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let tracks = self.routers.iter().any(|router| !router.track.is_empty());
        Plan {
            routers: self.routers.clone(),
            trackers: tracks.then(uplink).into_iter().collect(),
        }
    }

    /// The interface of the host with this number, up and well; an owner has the addresses it owns.
    #[must_use]
    pub fn facts(&self, number: u8) -> LinkFacts {
        let mut ipv4 = vec![(Ipv4Addr::new(192, 0, 2, 11 + number), 24)];
        for owned in self
            .routers
            .iter()
            .filter(|router| router.priority.is_owner())
        {
            ipv4.extend(
                owned
                    .addresses
                    .iter()
                    .filter_map(|address| match address.ip {
                        IpAddr::V4(v4) => Some((v4, address.prefix_len)),
                        IpAddr::V6(_) => None,
                    }),
            );
        }
        LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 11 + number]),
            ipv4,
            link_local: vec![Ipv6Addr::new(
                0xfe80,
                0,
                0,
                0,
                0,
                0,
                0,
                11 + u16::from(number),
            )],
        }
    }
}

/// Up until something else is said: so it is for a process that begins anew.
fn uplink() -> TrackerPlan {
    TrackerPlan {
        name: UPLINK.to_owned(),
        kind: TrackerKind::Interface {
            interface: "eth1".to_owned(),
            carrier: true,
        },
        hysteresis: Hysteresis {
            start: Level::Up,
            ..Hysteresis::default()
        },
    }
}

/// `secs(10)`
#[must_use]
pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// `millis(10)`
#[must_use]
pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An interval in centiseconds; out of range it is the default.
#[must_use]
pub fn centis(centis: u16) -> Interval {
    Interval::from_centis(centis).unwrap_or(Interval::DEFAULT)
}
