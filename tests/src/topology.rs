//! Cables and switches.

use crate::netns::Namespace;
use std::process::Command;

/// Moves the two ends of a new cable into place: `(namespace, interface)` and `(namespace, interface)`.
///
/// # Panics
/// If it cannot be made.
pub fn cable(left: (&Namespace, &str), right: (&Namespace, &str)) {
    left.0.ip(&format!(
        "link add {} type veth peer name {} netns {}",
        left.1,
        right.1,
        right.0.name()
    ));
}

/// Gives a router its LAN: own addresses as router `n`, forwarding on, no address made from a MAC.
///
/// Duplicate address detection is off for the router's own addresses, so that a test starts with a link that is
/// usable; the daemon must cope with the tentative kind too, and has a test of its own for that.
pub fn router_lan(router: &Namespace, interface: &str, n: u8) {
    router.ip(&format!(
        "link set {interface} addrgenmode none
         addr add 192.0.2.{n}/24 dev {interface}
         addr add fe80::{n}/64 dev {interface} nodad
         addr add 2001:db8::{n}/64 dev {interface} nodad
         link set {interface} up"
    ));
    router.sysctl("ipv4/ip_forward=1 ipv6/conf/all/forwarding=1");
}

/// Gives a router its uplink as router `n`.
pub fn router_uplink(router: &Namespace, interface: &str, n: u8) {
    router.ip(&format!(
        "link set {interface} addrgenmode none
         addr add 198.51.100.{n}/24 dev {interface}
         addr add fe80::f:{n}/64 dev {interface} nodad
         addr add 2001:db8:f::{n}/64 dev {interface} nodad
         link set {interface} up"
    ));
}

/// A switched LAN with routers, an uplink network, a client and an upstream host.
///
/// ```text
///   client ── [lan] ── r1 ── [wan] ── upstream
///                └──── r2 ─────┘
/// ```
pub struct Lan {
    /// The namespace of both switches: bridges `lan` and `wan`, ports `lan1`, `wan1`, …
    pub switch: Namespace,
    /// The routers; their ports are `eth0` (LAN) and `eth1` (uplink).
    pub routers: Vec<Namespace>,
    /// The client, 192.0.2.100 and 2001:db8::100 on `eth0`, port `lanc`.
    pub client: Namespace,
    /// The upstream host, 198.51.100.1 and 2001:db8:f::1 on `eth0`, port `wanu`.
    pub upstream: Namespace,
}

impl Lan {
    /// Number of the first router's addresses: r1 is 192.0.2.11, r2 is 192.0.2.12.
    pub const FIRST: u8 = 11;

    /// Builds it with `count` routers.
    #[must_use]
    pub fn new(count: u8) -> Self {
        let switch = Namespace::new("switch");
        switch.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
        switch.ip(
            "link add lan type bridge mcast_snooping 0 stp_state 0 forward_delay 0
             link add wan type bridge mcast_snooping 0 stp_state 0 forward_delay 0
             link set lan up
             link set wan up",
        );
        let plug = |namespace: &Namespace, interface: &str, bridge: &str, port: &str| {
            cable((namespace, interface), (&switch, port));
            switch.ip(&format!(
                "link set {port} master {bridge}\nlink set {port} up"
            ));
        };
        let routers: Vec<Namespace> = (1..=count)
            .map(|n| {
                let router = Namespace::new(&format!("r{n}"));
                plug(&router, "eth0", "lan", &format!("lan{n}"));
                plug(&router, "eth1", "wan", &format!("wan{n}"));
                router_lan(&router, "eth0", Self::FIRST + n - 1);
                router_uplink(&router, "eth1", Self::FIRST + n - 1);
                router
            })
            .collect();
        let client = Namespace::new("client");
        plug(&client, "eth0", "lan", "lanc");
        client.ip("link set eth0 addrgenmode none
             addr add 192.0.2.100/24 dev eth0
             addr add fe80::100/64 dev eth0 nodad
             addr add 2001:db8::100/64 dev eth0 nodad
             link set eth0 up
             route add default via 192.0.2.254
             route add ::/0 via fe80::254 dev eth0");
        let upstream = Namespace::new("up");
        plug(&upstream, "eth0", "wan", "wanu");
        upstream.ip("link set eth0 addrgenmode none
             addr add 198.51.100.1/24 dev eth0
             addr add fe80::f:1/64 dev eth0 nodad
             addr add 2001:db8:f::1/64 dev eth0 nodad
             link set eth0 up");
        Self {
            switch,
            routers,
            client,
            upstream,
        }
    }

    /// Turns the LAN switch into a hub: every frame goes to every port.
    pub fn flood(&self) {
        let mut ports: Vec<String> = (1..=self.routers.len())
            .map(|n| format!("lan{n}"))
            .collect();
        ports.push("lanc".to_owned());
        for port in ports {
            self.switch
                .sh(&format!("bridge link set dev {port} learning off flood on"));
        }
        self.switch.sh("ip link set lan type bridge ageing_time 0; bridge fdb flush dev lan 2>/dev/null || true");
    }

    /// Unplugs the LAN cable of router `index` at the switch: both ends lose carrier.
    pub fn unplug(&self, index: usize) {
        self.switch.ip(&format!("link set lan{} down", index + 1));
    }

    /// Plugs it in again.
    pub fn plug(&self, index: usize) {
        self.switch.ip(&format!("link set lan{} up", index + 1));
    }
}

/// Whether this process may build namespaces at all.
#[must_use]
pub fn have_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}
