//! The routers that can stand in a pair, and what a test does to them.

use crate::clock::Stamp;
use crate::daemon::Daemon;
use crate::frr::Frr;
use crate::keepalived::Keepalived;
use crate::netns::Namespace;
use crate::pair::HIGHER;
use crate::profile::Profile;
use crate::settings::{Router, file};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

/// Who made a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Ours, with the checksum form of its configuration (it matters for VRRPv3 over IPv4 only).
    Ours(&'static str),
    /// keepalived, with its default checksum form: the pseudo-header.
    Keepalived,
    /// FRR, with its default checksum form: the pseudo-header.
    Frr,
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(checksum) => write!(f, "ours({checksum})"),
            Self::Keepalived => f.write_str("keepalived"),
            Self::Frr => f.write_str("frr"),
        }
    }
}

/// What a router of a pair is told.
#[derive(Clone, Copy, Debug)]
pub struct Orders {
    /// Version and family.
    pub profile: Profile,
    /// Priority.
    pub priority: u8,
    /// Advertisement interval.
    pub interval: Duration,
    /// Whether it takes over from a lower priority.
    pub preempt: bool,
    /// Whether the Active answers at the virtual address itself.
    pub accept: bool,
    /// Version 2: the key of simple-text authentication (RFC 2338 §5.3.10). FRR knows none.
    pub key: Option<&'static str>,
    /// Ours: who takes the frames of the virtual MAC address in.
    pub plane: Option<&'static str>,
    /// Whether the routers 11 and 12 speak to each other by unicast. FRR does not.
    pub unicast: bool,
}

impl Orders {
    /// The other router of a pair, in which the higher priority is router 11.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        self.profile
            .own(if self.priority == HIGHER { 12 } else { 11 })
    }

    /// Orders with preemption and accept-mode on, as operators have them.
    #[must_use]
    pub fn new(profile: Profile, priority: u8, interval: Duration) -> Self {
        Self {
            profile,
            priority,
            interval,
            preempt: true,
            accept: true,
            key: None,
            plane: None,
            unicast: false,
        }
    }
}

/// A router of a pair, whoever made it.
pub trait Rival {
    /// Asks it to leave; returns when.
    fn terminate(&mut self) -> Stamp;
    /// Kills it without a last word; returns when.
    fn kill(&mut self) -> Stamp;
    /// Starts it again after it has ended.
    fn revive(&mut self, namespace: &Namespace);
    /// Has an Active hand over and stay where it is, by the best procedure of its make.
    ///
    /// # Panics
    /// If it has none.
    fn fail_over(&mut self) {
        panic!("no procedure is known");
    }
    /// Lets it have its place again, if it is the better one.
    fn fall_back(&mut self) {}
    /// Its log.
    fn log(&self) -> String;
}

/// Starts a router.
#[must_use]
pub fn start(make: Make, namespace: &Namespace, orders: Orders) -> Box<dyn Rival> {
    match make {
        Make::Ours(checksum) => {
            Box::new(Daemon::start(namespace, &file(&[ours(orders, checksum)])))
        }
        Make::Keepalived => Box::new(Keepalived::start(namespace, orders)),
        Make::Frr => Box::new(Frr::start(namespace, orders)),
    }
}

/// Our configuration for the same orders.
#[must_use]
pub fn ours(orders: Orders, checksum: &str) -> Router {
    let mut router = Router::new("lab", orders.profile)
        .set("priority", orders.priority)
        .text(
            "advertise-interval",
            &format!("{}ms", orders.interval.as_millis()),
        )
        .set("preempt", orders.preempt)
        .set("accept-mode", orders.accept);
    if orders.profile == Profile::V3Ipv4 {
        router = router.text("checksum", checksum);
    }
    if let Some(plane) = orders.plane {
        router = router.text("data-plane", plane);
    }
    if let Some(key) = orders.key {
        router = router.set(
            "authentication",
            format_args!("{{ type = \"simple-text\", key = \"{key}\" }}"),
        );
    }
    if orders.unicast {
        router = router.list("unicast-peers", &[orders.peer()]);
    }
    router
}

impl Rival for Daemon {
    fn terminate(&mut self) -> Stamp {
        Self::terminate(self)
    }

    fn kill(&mut self) -> Stamp {
        Self::kill(self)
    }

    fn revive(&mut self, namespace: &Namespace) {
        let _ = self.wait(Duration::from_secs(5));
        self.restart(namespace);
    }

    fn fail_over(&mut self) {
        let output = self.ctl(&["failover", "lab"]);
        assert!(output.status.success(), "{output:?}");
    }

    fn fall_back(&mut self) {
        let output = self.ctl(&["priority", "reset", "lab"]);
        assert!(output.status.success(), "{output:?}");
    }

    fn log(&self) -> String {
        Self::log(self)
    }
}
