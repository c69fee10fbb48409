//! The interface of a virtual router, and its addresses.

use std::net::IpAddr;

use super::super::facts::{Facts, Router};
use super::super::finding::{Finding, Kind};

/// What the daemon says keeps the router from taking part, sorted by what is wrong with the interface.
pub(crate) fn faults(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let interface = &router.after.interface;
    let finding = |fault: &String| {
        let starts = |start: &str| fault.starts_with(start);
        let (kind, remedy) = match router.port {
            None if starts("waiting for interface") => (
                Kind::InterfaceMissing,
                format!("the interface key: there is {}", names(facts)),
            ),
            Some(port) if !port.up => (Kind::InterfaceDown, format!("ip link set {interface} up")),
            Some(port) if !port.carrier => (
                Kind::NoCarrier,
                format!("cable, switch, or the other end of {interface}; ethtool {interface}"),
            ),
            _ if starts("waiting for an IP") => (
                Kind::NoAddress,
                format!("an address on {interface} beside the virtual ones: ip addr add"),
            ),
            _ if starts("an advertisement of") => (
                Kind::MtuTooSmall,
                format!("ip link set {interface} mtu 1500, or fewer addresses"),
            ),
            _ if starts("the kernel refused") => (
                Kind::KernelRefused,
                "the capabilities of the daemon, as the unit file has them".to_owned(),
            ),
            _ => (Kind::OtherFault, format!("vrrpctl show {}", router.name())),
        };
        let state = router.port.map_or_else(
            || "no interface of that name".to_owned(),
            |port| {
                let word =
                    |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
                format!(
                    "{}, {}",
                    word(port.up, "up", "down"),
                    word(port.carrier, "carrier", "no carrier")
                )
            },
        );
        Finding::new(
            kind,
            fault.as_str(),
            format!("fault of the daemon; {interface}: {state}"),
            remedy,
        )
    };
    router.after.faults.iter().map(finding).collect()
}

fn names(facts: &Facts) -> String {
    let names: Vec<&str> = facts.ports.iter().map(|port| port.name.as_str()).collect();
    names.join(", ")
}

/// Whether it is one that a router can be on.
pub(crate) fn sort(_: &Facts, router: Router<'_>) -> Vec<Finding> {
    let Some(port) = router.port else {
        return Vec::new();
    };
    let name = &port.name;
    let mut found = Vec::new();
    if let Some(master) = &port.master {
        found.push(Finding::new(
            Kind::PortOf,
            format!("{name} is a port of {master}, which takes its frames: nothing is heard on it"),
            format!("/sys/class/net/{name}/master"),
            format!("interface = \"{master}\""),
        ));
    }
    if !port.multicast && !router.is_unicast() {
        found.push(Finding::new(
            Kind::NoMulticast,
            format!("{name} is set to carry no multicast, as which advertisements travel"),
            format!("{name} lacks the flag MULTICAST"),
            format!("ip link set {name} multicast on, or unicast-peers"),
        ));
    }
    found
}

/// Whether the virtual addresses are of the interface's networks, and nobody's real ones.
pub(crate) fn prefixes(_: &Facts, router: Router<'_>) -> Vec<Finding> {
    let Some(port) = router.port else {
        return Vec::new();
    };
    let name = &port.name;
    let virtuals: Vec<(IpAddr, u8)> = router.addresses().collect();
    let real: Vec<(IpAddr, u8)> = port.addresses.clone();
    let family = |ip: &IpAddr| ip.is_ipv4() == virtuals.first().is_some_and(|(ip, _)| ip.is_ipv4());
    let list = || {
        let own = real.iter().filter(|(ip, _)| family(ip));
        let texts: Vec<String> = own.map(|(ip, length)| format!("{ip}/{length}")).collect();
        format!("{name} has {}", texts.join(", "))
    };
    let mut found = Vec::new();
    let owner = router.after.priority.configured == 255;
    for (ip, length) in &virtuals {
        let taken = real.iter().any(|(own, _)| own == ip);
        // Without a macvlan, it is the daemon that puts them there.
        if taken && router.has_macvlan() && !owner {
            found.push(Finding::new(
                Kind::RealAddress,
                format!(
                    "{ip} is an address of {name} itself: this host answers for it also as Backup"
                ),
                list(),
                format!("ip addr del {ip}/{length} dev {name}, or priority = 255 if it owns it"),
            ));
            continue;
        }
        // Beside link-local addresses: a router needs no other one to speak from.
        let others = || {
            real.iter().filter(|(own, _)| {
                own != ip
                    && own.is_ipv4() == ip.is_ipv4()
                    && is_link_local(own) == is_link_local(ip)
            })
        };
        if others().next().is_none() || taken {
            continue;
        }
        let Some((_, theirs)) = others().find(|(own, theirs)| is_in(*ip, *own, *theirs)) else {
            // A host route or a network of its own is a choice; one that looks like a network and is not there is none.
            if *length < host_length(ip) && !is_link_local(ip) {
                found.push(Finding::new(
                    Kind::OtherPrefix,
                    format!("{ip}/{length} is in no network of {name}: hosts of that network are not reached while this is Backup"),
                    list(),
                    format!("an address of that network on {name}, or another virtual address"),
                ));
            }
            continue;
        };
        if theirs != length && *length < host_length(ip) {
            found.push(Finding::new(
                Kind::OtherPrefix,
                format!("{ip}/{length} has another prefix length than its network on {name}, which is {theirs}"),
                list(),
                format!("addresses = [\"{ip}/{theirs}\"], on both routers"),
            ));
        }
    }
    found
}

const fn host_length(ip: &IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

const fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether `ip` is in the network of `own`.
pub(crate) fn is_in(ip: IpAddr, own: IpAddr, length: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let same_family = ip.is_ipv4() == own.is_ipv4();
    let differ = bits(ip) ^ bits(own);
    same_family && (length == 0 || differ >> (128 - u32::from(length.min(128))) == 0)
}
