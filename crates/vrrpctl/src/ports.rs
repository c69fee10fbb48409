//! The interfaces of this network namespace.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use pnet_datalink::NetworkInterface;
use vrrp_proto::gather::sort_by_rank;

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    /// Its name.
    pub(crate) name: String,
    /// Its number in the kernel.
    pub(crate) index: u32,
    /// Its MAC address.
    pub(crate) mac: Option<[u8; 6]>,
    /// Whether it is administratively up.
    pub(crate) up: bool,
    /// Whether it has a carrier.
    pub(crate) carrier: bool,
    /// Whether it may send and receive multicast.
    pub(crate) multicast: bool,
    /// Whether its frames begin as Ethernet's.
    pub(crate) ethernet: bool,
    /// The bridge or bond of which it is a port.
    pub(crate) master: Option<String>,
    /// Its addresses with prefix lengths.
    pub(crate) addresses: Vec<(IpAddr, u8)>,
    /// What sockets are bound by.
    pub(crate) link: NetworkInterface,
}

impl Port {
    /// Whether something may be heard there that is not heard elsewhere: the macvlan of a virtual router hears what its parent
    /// hears, and a bridge what its ports hear.
    pub(crate) fn is_ordinary(&self) -> bool {
        let is_virtual = matches!(self.mac, Some([0, 0, 0x5e, 0, 1 | 2, _]));
        let apart = self.master.is_none() && !self.link.is_loopback() && !is_virtual;
        self.up && self.ethernet && apart
    }
}

/// All of them, by number.
pub(crate) fn all() -> Vec<Port> {
    let mut ports: Vec<Port> = pnet_datalink::interfaces().into_iter().map(port).collect();
    sort_by_rank(&mut ports, |port| port.index.into());
    ports
}

fn port(link: NetworkInterface) -> Port {
    let name = link.name.clone();
    let file = |entry: &str| -> Option<String> {
        // /sys may belong to another namespace: what it says counts only where it speaks of the same interface.
        let text = |entry: &str| fs::read_to_string(format!("/sys/class/net/{name}/{entry}")).ok();
        let index: u32 = text("ifindex")?.trim().parse().ok()?;
        (index == link.index).then(|| text(entry))?
    };
    let sort: Option<u32> = file("type").and_then(|sort| sort.trim().parse().ok());
    let master = fs::read_link(format!("/sys/class/net/{name}/master")).ok();
    let master = master.filter(|_| sort.is_some());
    Port {
        index: link.index,
        mac: link.mac.map(|mac| mac.octets()),
        up: link.is_up(),
        carrier: link.is_lower_up(),
        multicast: link.is_multicast(),
        // ARPHRD_ETHER and ARPHRD_LOOPBACK; where /sys is silent, a MAC address will do.
        ethernet: sort.map_or(link.mac.is_some(), |sort| matches!(sort, 1 | 772)),
        master: master
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().into_owned()),
        addresses: link
            .ips
            .iter()
            .map(|net| (net.ip(), net.prefix()))
            .collect(),
        name,
        link,
    }
}
