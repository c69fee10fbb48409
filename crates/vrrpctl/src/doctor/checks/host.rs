//! The host: what its kernel is set to, and who else works there.

use vrrp_proto::Family;

use super::super::facts::{Facts, Router};
use super::super::finding::{Finding, Kind};
use crate::ports::Port;

/// Programs that speak for virtual addresses, too.
pub(crate) fn programs(facts: &Facts) -> Vec<Finding> {
    let others = facts.host.programs.iter();
    let others =
        others.filter(|(_, name)| !matches!(name.as_str(), "NetworkManager" | "systemd-network"));
    // keepalived is several processes.
    let mut names: Vec<(&str, Vec<String>)> = Vec::new();
    for (pid, name) in others {
        match names.iter_mut().find(|(known, _)| known == name) {
            Some((_, pids)) => pids.push(pid.to_string()),
            None => names.push((name, vec![pid.to_string()])),
        }
    }
    let finding = |(name, pids): (&str, Vec<String>)| {
        Finding::new(
            Kind::OtherDaemon,
            format!(
                "{name} runs on this host, too: with a VRID in common, the two fight each other"
            ),
            format!("process {} in this network namespace", pids.join(", ")),
            "stop it, or see that it has other VRIDs",
        )
    };
    names.into_iter().map(finding).collect()
}

/// Whether it is a router at all.
pub(crate) fn forwarding(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let interface = &router.after.interface;
    let (kind, setting, family) = match router.family() {
        Family::Ipv4 => (
            Kind::NoForwarding,
            format!("net/ipv4/conf/{interface}/forwarding"),
            "IPv4",
        ),
        Family::Ipv6 => (
            Kind::NoForwarding6,
            "net/ipv6/conf/all/forwarding".to_owned(),
            "IPv6",
        ),
    };
    // A host with one interface serves at its virtual addresses, and there is nowhere to pass anything on to.
    let has = |port: &&Port| {
        let mut addresses = port.addresses.iter();
        addresses.any(|(ip, _)| Family::of(*ip) == router.family())
    };
    let ways = facts.ports.iter().filter(|port| port.is_ordinary());
    if facts.host.settings.get(&setting) != Some(&0) || ways.filter(has).count() < 2 {
        return Vec::new();
    }
    let key = match router.family() {
        Family::Ipv4 => "net.ipv4.ip_forward",
        Family::Ipv6 => "net.ipv6.conf.all.forwarding",
    };
    vec![Finding::new(
        kind,
        format!(
            "{family} is not forwarded from {interface}: as Active it answers and passes nothing on"
        ),
        format!("/proc/sys/{setting} is 0"),
        format!("sysctl -w {key}=1, and the same in /etc/sysctl.d"),
    )]
}

/// Settings for all interfaces that the daemon cannot make good on its own one.
pub(crate) fn arp(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    if router.family() != Family::Ipv4 || !router.has_macvlan() {
        return Vec::new();
    }
    let setting = |key: &str| {
        facts
            .host
            .settings
            .get(&format!("net/ipv4/conf/all/{key}"))
            .copied()
    };
    let finding = |kind, key: &str, value: i64, why: &str| {
        Finding::new(
            kind,
            format!("as Active it answers no ARP request: {why}"),
            format!(
                "/proc/sys/net/ipv4/conf/all/{key} is {value}, and the kernel takes the larger of that and the interface's"
            ),
            format!("sysctl -w net.ipv4.conf.all.{key}=0, and set it on single interfaces instead"),
        )
    };
    let ignore = setting("arp_ignore").filter(|value| *value > 2);
    let filter = setting("arp_filter").filter(|value| *value != 0);
    let ignore = ignore.map(|value| {
        finding(
            Kind::ArpIgnore,
            "arp_ignore",
            value,
            "the kernel is told to give no answers",
        )
    });
    let filter = filter.map(|value| {
        let why = "the way back to who asks is not through the interface of the virtual addresses";
        finding(Kind::ArpFilter, "arp_filter", value, why)
    });
    ignore.into_iter().chain(filter).collect()
}

/// Managers of networks that take addresses which they have not set for faults.
pub(crate) fn managers(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let Some(port) = home(facts, router) else {
        return Vec::new();
    };
    let name = &port.name;
    let mut found = Vec::new();
    let process = |name: &str| {
        let mut programs = facts.host.programs.iter();
        programs
            .find(|(_, program)| program == name)
            .map(|(pid, _)| *pid)
    };
    if let Some(pid) = process("NetworkManager")
        && facts.host.network_manager.get(&port.index) == Some(&true)
    {
        found.push(Finding::new(
            Kind::NetworkManager,
            format!("NetworkManager manages {name} and removes addresses that it did not set"),
            format!(
                "process {pid}; managed=true in /run/NetworkManager/devices/{}",
                port.index
            ),
            format!(
                "nmcli device set {name} managed no, and unmanaged-devices in its configuration"
            ),
        ));
    }
    if let Some(pid) = process("systemd-network")
        && let Some(state) = facts.host.networkd.get(&port.index)
        && state.state != "unmanaged"
        && !state.keeps
    {
        let file = state.file.as_deref().unwrap_or("its .network file");
        found.push(Finding::new(
            Kind::Networkd,
            format!("systemd-networkd manages {name} and removes addresses that it did not set"),
            format!("process {pid}; {} in /run/systemd/netif/links/{}; no KeepConfiguration=yes in {file}", state.state, port.index),
            format!("KeepConfiguration=yes in the [Network] section of {file}, or Unmanaged=yes"),
        ));
    }
    found
}

/// The interface on which the virtual addresses are, while they are anywhere.
fn home<'a>(facts: &'a Facts, router: Router<'a>) -> Option<&'a Port> {
    if router.has_macvlan() {
        let mac = router.mac();
        return facts
            .ports
            .iter()
            .find(|port| port.mac == mac && port.name != router.after.interface);
    }
    router.port
}
