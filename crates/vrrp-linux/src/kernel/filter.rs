//! The packet filter that some routers need, as an nftables ruleset: computed here, kept in place by `guard`.
//!
//! It is static for a configuration: a Backup has no virtual address, so the rules match nothing.
//!
//! - `accept-mode = false`: traffic to the addresses is dropped. Neighbour discovery always passes (RFC 9568 §6.1
//!   exempts it), and ARP is not IP.
//! - The owner with a virtual MAC address has its addresses twice, on the interface and on the macvlan: the interface
//!   must not answer for them with its own MAC address.
//!
//! A router that is served by the gate needs no filter.

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
use super::reconcile::{is_served, macvlan_name};

/// `nft` answers in a few milliseconds; one that does not must not hold takeovers up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `desired` cannot do without a filter.
pub(super) const fn is_vital(desired: &Desired) -> bool {
    !desired.accept && !desired.owner && !is_served(desired)
}

/// Whether `desired` is better with a filter.
pub(super) const fn concerns(desired: &Desired) -> bool {
    is_vital(desired) || (desired.owner && desired.mac.is_some() && !is_served(desired))
}

/// Addresses by the rules they need.
#[derive(Default)]
struct Rules {
    /// Dropped wherever they arrive.
    ipv4: BTreeSet<Ipv4Addr>,
    ipv6: BTreeSet<Ipv6Addr>,
    /// Dropped on one interface: the same link-local address may be another router's on another link.
    link_local: BTreeSet<(String, Ipv6Addr)>,
    /// Answered for by a macvlan, not by this interface.
    owned4: BTreeSet<(String, Ipv4Addr)>,
    owned6: BTreeSet<(String, Ipv6Addr)>,
}

impl Rules {
    fn owner(&mut self, desired: &Desired) {
        for address in &desired.addresses {
            let interface = desired.interface.clone();
            match address.ip {
                IpAddr::V4(ip) => self.owned4.insert((interface, ip)),
                IpAddr::V6(ip) => self.owned6.insert((interface, ip)),
            };
        }
    }

    fn no_accept(&mut self, desired: &Desired, observed: &Observed) {
        for address in &desired.addresses {
            match address.ip {
                IpAddr::V4(ip) => {
                    self.ipv4.insert(ip);
                }
                IpAddr::V6(ip) if is_link_local(ip) => {
                    self.link_local.insert((desired.interface.clone(), ip));
                    if let Some(parent) = observed.named(&desired.interface)
                        && desired.mac.is_some()
                    {
                        let name = macvlan_name(parent.index, desired.family, desired.vrid.get());
                        self.link_local.insert((name, ip));
                    }
                }
                IpAddr::V6(ip) => {
                    self.ipv6.insert(ip);
                }
            }
        }
    }

    /// Rules for packets that this host would take.
    fn input(&self) -> String {
        let mut rules = String::new();
        for (interface, ip) in &self.owned6 {
            // The target of a solicitation follows eight bytes of its header.
            rules += &format!(
                "iifname \"{interface}\" icmpv6 type nd-neighbor-solicit @th,64,128 {:#034x} drop\n",
                ip.to_bits()
            );
        }
        if !self.ipv4.is_empty() {
            rules += &format!("ip daddr {{ {} }} drop\n", list(&self.ipv4));
        }
        if !(self.ipv6.is_empty() && self.link_local.is_empty()) {
            rules += "icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept\n";
        }
        if !self.ipv6.is_empty() {
            rules += &format!("ip6 daddr {{ {} }} drop\n", list(&self.ipv6));
        }
        if !self.link_local.is_empty() {
            rules += &format!(
                "iifname . ip6 daddr {{ {} }} drop\n",
                list(pairs(&self.link_local))
            );
        }
        rules
    }

    /// Rules for ARP in one direction.
    fn arp(&self, interface: &str, address: &str, verdict: &str) -> String {
        if self.owned4.is_empty() {
            return String::new();
        }
        format!(
            "arp operation request {interface} . arp {address} ip {{ {} }} {verdict}\n",
            list(pairs(&self.owned4))
        )
    }
}

fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|it| it.to_string()).collect();
    items.join(", ")
}

fn pairs<T: ToString>(pairs: &BTreeSet<(String, T)>) -> impl Iterator<Item = String> {
    pairs
        .iter()
        .map(|(interface, ip)| format!("\"{interface}\" . {}", ip.to_string()))
}

/// The ruleset for `routers`; `None` when none needs one.
pub(super) fn script(
    owner: OwnerId,
    routers: &BTreeMap<RouterId, Arc<Desired>>,
    observed: &Observed,
) -> Option<String> {
    let mut rules = Rules::default();
    let mut any = false;
    for desired in routers.values().filter(|desired| concerns(desired)) {
        any = true;
        if is_vital(desired) {
            rules.no_accept(desired, observed);
        } else {
            rules.owner(desired);
        }
    }
    any.then(|| {
        let table = owner.table();
        let chain = |hook: &str, rules: &str| {
            format!(
                "chain {hook} {{\ntype filter hook {hook} priority filter; policy accept;\n{rules}}}\n"
            )
        };
        let inet = chain("input", &format!("iifname \"lo\" accept\n{}", rules.input()));
        // What the interface asks for itself must not teach its MAC address either: it asks as if it had no address yet.
        let arp = chain("input", &rules.arp("iifname", "daddr", "drop"))
            + &chain("output", &rules.arp("oifname", "saddr", "arp saddr ip set 0.0.0.0"));
        format!(
            "{}table inet {table} {{\n{inet}}}\ntable arp {table} {{\n{arp}}}\n",
            removal(owner)
        )
    })
}

/// The script that takes the tables away, whether they are there or not.
pub(super) fn removal(owner: OwnerId) -> String {
    let table = owner.table();
    ["inet", "arp"]
        .map(|family| format!("add table {family} {table}\ndelete table {family} {table}\n"))
        .concat()
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
                "the filter of accept-mode = false needs nft, and there is no such program"
                    .to_owned()
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
