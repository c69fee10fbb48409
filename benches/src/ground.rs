//! Two routers with many interfaces, and the cables between them.
//!
//! ```text
//!   direct:    router 1 eth0 ══ eth0 router 2         switched:   router 1 eth0 ── a0 [lan0] b0 ── eth0 router 2
//!                       eth1 ══ eth1                                                   └─ c0 ── c0 client
//!                       …                                         …
//! ```

use vrrp_lab::netns::Namespace;
use vrrp_lab::observer::mac_of;
use vrrp_lab::topology::cable;
use vrrp_lab::wire::Mac;

/// The ground that fleets stand on.
pub(crate) struct Ground {
    pub(crate) routers: [Namespace; 2],
    /// The switch and a host on each of its networks, if there is one.
    pub(crate) middle: Option<(Namespace, Namespace)>,
    pub(crate) parents: u8,
}

impl Ground {
    /// With a cable for each interface: nothing in between that could cost something.
    pub(crate) fn direct(parents: u8) -> Self {
        let routers = ["r1", "r2"].map(bare);
        for parent in 0..parents {
            let name = format!("eth{parent}");
            cable((&routers[0], &name), (&routers[1], &name));
        }
        let ground = Self {
            routers,
            middle: None,
            parents,
        };
        ground.address();
        ground
    }

    /// With a switch for each interface, and a host on it.
    pub(crate) fn switched(parents: u8) -> Self {
        let routers = ["r1", "r2"].map(bare);
        let (switch, client) = (bare("switch"), bare("client"));
        for parent in 0..parents {
            switch.ip(&format!(
                "link add lan{parent} type bridge mcast_snooping 0 stp_state 0 forward_delay 0\nlink set lan{parent} up"
            ));
            let own = format!("eth{parent}");
            let ends = [
                (&routers[0], own.as_str(), 'a'),
                (&routers[1], own.as_str(), 'b'),
                (&client, &format!("c{parent}"), 'c'),
            ];
            for (namespace, interface, port) in ends {
                let port = format!("{port}{parent}");
                cable((namespace, interface), (&switch, &port));
                switch.ip(&format!(
                    "link set {port} master lan{parent}\nlink set {port} up"
                ));
            }
            client.ip(&format!(
                "link set c{parent} arp off\nlink set c{parent} up"
            ));
        }
        let ground = Self {
            routers,
            middle: Some((switch, client)),
            parents,
        };
        ground.address();
        ground
    }

    /// Own addresses, and the hosts' hardware addresses as known: nobody has to ask before he answers.
    fn address(&self) {
        for (index, router) in self.routers.iter().enumerate() {
            router.sysctl("ipv4/ip_forward=1");
            let lines: Vec<String> = (0..self.parents)
                .map(|parent| {
                    let mut line = format!(
                        "addr add 10.{parent}.0.{}/16 dev eth{parent}\nlink set eth{parent} up\n",
                        11 + index
                    );
                    if let Some((_, client)) = &self.middle {
                        line += &format!(
                            "neigh replace 10.{parent}.0.100 lladdr {} dev eth{parent} nud permanent\n",
                            mac_of(client, &format!("c{parent}"))
                        );
                    }
                    line
                })
                .collect();
            router.ip(lines.concat().trim());
        }
        for router in &self.routers {
            for parent in 0..self.parents {
                router.wait_carrier(&format!("eth{parent}"));
            }
        }
    }

    /// Where everything that a router says on an interface comes in first: a namespace and an interface of it.
    pub(crate) fn ear(&self, router: usize, parent: u8) -> (&Namespace, String) {
        match &self.middle {
            Some((switch, _)) => (switch, format!("{}{parent}", ['a', 'b'][router])),
            None => (&self.routers[1 - router], format!("eth{parent}")),
        }
    }

    /// Takes a router off all its networks, or puts it back, without its noticing: no carrier is lost.
    pub(crate) fn isolate(&self, router: usize, isolated: bool) {
        let Some((switch, _)) = &self.middle else {
            return;
        };
        let (port, state) = (['a', 'b'][router], if isolated { 0 } else { 3 });
        let last = self.parents - 1;
        switch.sh(&format!(
            "for p in $(seq 0 {last}); do bridge link set dev {port}$p state {state}; done"
        ));
    }

    /// A virtual address: of VRID `vrid` on interface `parent`.
    pub(crate) fn virtual_ip(parent: u8, vrid: u8) -> std::net::Ipv4Addr {
        [10, parent, vrid, 254].into()
    }

    /// The host on the network of an interface: where, its hardware address and its address.
    pub(crate) fn host(&self, parent: u8) -> Option<(&Namespace, String, Mac, std::net::Ipv4Addr)> {
        let (_, client) = self.middle.as_ref()?;
        let interface = format!("c{parent}");
        let mac = mac_of(client, &interface);
        Some((client, interface, mac, [10, parent, 0, 100].into()))
    }
}

/// A namespace in which IPv6 does not speak up.
fn bare(role: &str) -> Namespace {
    let namespace = Namespace::new(role);
    namespace.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
    namespace
}
