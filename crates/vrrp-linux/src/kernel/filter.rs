//! `accept-mode = false`: the nftables table that drops traffic to virtual addresses.
//!
//! The table is static for a configuration: a Backup has no such address, so its rules match nothing. Neighbour discovery
//! always passes (RFC 9568 §6.1 exempts it), and ARP is not IP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use vrrp_proto::desired::Desired;
use vrrp_proto::types::{RouterId, is_link_local};

use super::observed::Observed;
use super::owner::OwnerId;
use super::reconcile::macvlan_name;

/// `nft` answers in a few milliseconds; one that does not must not hold takeovers up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `desired` needs the table.
pub(super) const fn concerns(desired: &Desired) -> bool {
    !desired.accept && !desired.owner
}

/// The ruleset for `routers`; `None` when none needs one.
pub(super) fn script(
    owner: OwnerId,
    routers: &BTreeMap<RouterId, Arc<Desired>>,
    observed: &Observed,
) -> Option<String> {
    let mut ipv4: BTreeSet<Ipv4Addr> = BTreeSet::new();
    let mut ipv6: BTreeSet<Ipv6Addr> = BTreeSet::new();
    let mut local: BTreeSet<(String, Ipv6Addr)> = BTreeSet::new();
    for desired in routers.values().filter(|desired| concerns(desired)) {
        for address in &desired.addresses {
            match address.ip {
                IpAddr::V4(ip) => {
                    ipv4.insert(ip);
                }
                // The same link-local address may be another router's on another link.
                IpAddr::V6(ip) if is_link_local(ip) => {
                    local.insert((desired.interface.clone(), ip));
                    if let Some(parent) = observed.named(&desired.interface)
                        && desired.mac.is_some()
                    {
                        let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
                        local.insert((name, ip));
                    }
                }
                IpAddr::V6(ip) => {
                    ipv6.insert(ip);
                }
            }
        }
    }
    if ipv4.is_empty() && ipv6.is_empty() && local.is_empty() {
        return None;
    }
    let list = |items: Vec<String>| items.join(", ");
    let mut rules = String::new();
    if !ipv4.is_empty() {
        let elements = list(ipv4.iter().map(Ipv4Addr::to_string).collect());
        rules += &format!("\t\tip daddr {{ {elements} }} drop\n");
    }
    if !(ipv6.is_empty() && local.is_empty()) {
        rules += "\t\ticmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept\n";
    }
    if !ipv6.is_empty() {
        let elements = list(ipv6.iter().map(Ipv6Addr::to_string).collect());
        rules += &format!("\t\tip6 daddr {{ {elements} }} drop\n");
    }
    if !local.is_empty() {
        let elements = list(
            local
                .iter()
                .map(|(name, ip)| format!("\"{name}\" . {ip}"))
                .collect(),
        );
        rules += &format!("\t\tiifname . ip6 daddr {{ {elements} }} drop\n");
    }
    let table = owner.table();
    Some(format!(
        "add table inet {table}\n\
         delete table inet {table}\n\
         table inet {table} {{\n\
         \tchain input {{\n\
         \t\ttype filter hook input priority filter; policy accept;\n\
         \t\tiifname \"lo\" accept\n\
         {rules}\
         \t}}\n\
         }}\n"
    ))
}

/// The script that takes the table away, whether it is there or not.
pub(super) fn removal(owner: OwnerId) -> String {
    let table = owner.table();
    format!("add table inet {table}\ndelete table inet {table}\n")
}

/// Hands `script` to `nft`, as one transaction.
///
/// # Errors
/// A sentence.
pub(super) fn run(script: &str) -> Result<(), String> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                "accept-mode = false needs nftables, and there is no program nft".to_owned()
            } else {
                format!("cannot run nft: {error}")
            }
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        // A failure to write shows as a failure of the program.
        let _ = stdin.write_all(script.as_bytes());
    }
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err("nft did not finish in time".to_owned());
            }
            Err(error) => return Err(format!("cannot wait for nft: {error}")),
        }
    };
    if status.success() {
        return Ok(());
    }
    let mut complaint = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(2000).read_to_string(&mut complaint);
    }
    let first = complaint.lines().next().unwrap_or("no reason given");
    Err(format!(
        "nft refused the filter of accept-mode = false: {first}"
    ))
}
