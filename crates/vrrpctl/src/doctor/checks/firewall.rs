//! What the rules of nftables do to an advertisement: followed as far as they can be, and where they cannot, nothing is found.

use serde_json::Value;

use super::super::facts::Facts;
use super::super::finding::{Finding, Kind};
use vrrp_proto::Family;

/// How deep rules may jump.
const DEPTH: usize = 16;

/// An advertisement on its way.
#[derive(Clone, Copy)]
struct Packet<'a> {
    interface: &'a str,
    family: Family,
    incoming: bool,
    unicast: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It goes on.
    Passes,
    /// It is dropped.
    Dropped,
    /// The rules ask for something that is not known here.
    Unknown,
}

/// Whether rules drop advertisements that arrive, or leave.
pub(crate) fn rules(facts: &Facts) -> Vec<Finding> {
    let Some(Ok(ruleset)) = &facts.host.rules else {
        return Vec::new();
    };
    let rules = Rules::new(ruleset);
    let mut found = Vec::new();
    for router in facts.routers() {
        for incoming in [true, false] {
            let packet = Packet {
                interface: &router.after.interface,
                family: router.family(),
                incoming,
                unicast: router.is_unicast(),
            };
            // With a virtual MAC address, frames go past the hook for output.
            let past = !incoming && router.mac().is_some() && !router.is_unicast();
            let Some(chain) = rules.dropped(packet).filter(|_| !past) else {
                continue;
            };
            let (kind, what) = if incoming {
                (
                    Kind::FirewallIn,
                    "the firewall drops advertisements that arrive: as soon as this router does not hear the other, both are Active",
                )
            } else {
                (
                    Kind::FirewallOut,
                    "the firewall drops the advertisements of this router: to the others it is dead",
                )
            };
            let hook = if incoming { "iifname" } else { "oifname" };
            let finding = Finding::new(
                kind,
                what,
                format!("nft list chain {chain}"),
                format!(
                    "nft insert rule {chain} {hook} {} meta l4proto 112 accept, and the same where the rules are kept",
                    packet.interface
                ),
            );
            found.push(finding.of(router.name()));
        }
    }
    found
}

struct Rules<'a> {
    chains: Vec<&'a Value>,
    rules: Vec<&'a Value>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl<'a> Rules<'a> {
    fn new(ruleset: &'a Value) -> Self {
        let all = ruleset.get("nftables").and_then(Value::as_array);
        let of = |key: &str| {
            let objects = all.into_iter().flatten();
            objects.filter_map(|object| object.get(key)).collect()
        };
        Self {
            chains: of("chain"),
            rules: of("rule"),
        }
    }

    /// The first chain that surely drops it.
    fn dropped(&self, packet: Packet<'_>) -> Option<String> {
        let hooks: &[&str] = if packet.incoming {
            &["prerouting", "input"]
        } else {
            &["output", "postrouting"]
        };
        let family = if packet.family == Family::Ipv4 {
            "ip"
        } else {
            "ip6"
        };
        let mut chains: Vec<&Value> = self
            .chains
            .iter()
            .copied()
            .filter(|chain| {
                hooks.contains(&text(chain, "hook"))
                    && [family, "inet"].contains(&text(chain, "family"))
            })
            .collect();
        chains.sort_by_key(|chain| {
            (
                hooks.iter().position(|hook| *hook == text(chain, "hook")),
                chain.get("prio").and_then(Value::as_i64),
            )
        });
        chains.into_iter().find_map(|chain| {
            let fate = match self.follow(chain, packet, 0) {
                Some(fate) => fate,
                None if text(chain, "policy") == "drop" => Fate::Dropped,
                None => Fate::Passes,
            };
            let name = ["family", "table", "name"]
                .map(|key| text(chain, key))
                .join(" ");
            (fate == Fate::Dropped).then_some(name)
        })
    }

    /// `None` when it comes out at the end of the chain.
    fn follow(&self, chain: &Value, packet: Packet<'_>, depth: usize) -> Option<Fate> {
        if depth > DEPTH {
            return Some(Fate::Unknown);
        }
        let same = |rule: &&&Value| {
            ["family", "table"]
                .iter()
                .all(|key| rule.get(key) == chain.get(key))
                && text(rule, "chain") == text(chain, "name")
        };
        for rule in self.rules.iter().filter(same) {
            let Some(parts) = rule.get("expr").and_then(Value::as_array) else {
                continue;
            };
            let mut sure = true;
            for part in parts {
                let Some((verb, what)) = part.as_object().and_then(|part| part.iter().next())
                else {
                    continue;
                };
                let fate = match verb.as_str() {
                    "match" => match holds(what, packet) {
                        Some(true) => continue,
                        Some(false) => break,
                        None => {
                            sure = false;
                            continue;
                        }
                    },
                    "counter" | "log" | "mangle" | "notrack" | "comment" => continue,
                    "accept" => Some(Fate::Passes),
                    "drop" | "reject" => Some(Fate::Dropped),
                    "return" => None,
                    "jump" | "goto" => {
                        let target = text(what, "target");
                        let mut chains = self.chains.iter();
                        let next = chains.find(|it| {
                            ["family", "table"]
                                .iter()
                                .all(|key| it.get(key) == chain.get(key))
                                && text(it, "name") == target
                        });
                        match next.and_then(|next| self.follow(next, packet, depth + 1)) {
                            None if verb == "jump" => break,
                            fate => fate,
                        }
                    }
                    // Maps, limits, extensions of iptables: perhaps it is accepted there.
                    _ => return Some(Fate::Unknown),
                };
                return match (sure, fate) {
                    (true, fate) => fate,
                    // Perhaps dropped, and then what follows does not matter; perhaps not.
                    (false, Some(Fate::Dropped)) => break,
                    (false, _) => Some(Fate::Unknown),
                };
            }
        }
        None
    }
}

/// Whether a condition holds for an advertisement; `None` if that is not known.
fn holds(condition: &Value, packet: Packet<'_>) -> Option<bool> {
    let (left, right) = (condition.get("left")?, condition.get("right")?);
    let is = match text(condition, "op") {
        "==" | "in" => true,
        "!=" => false,
        _ => return None,
    };
    let any = |of: &dyn Fn(&Value) -> Option<bool>| -> Option<bool> {
        let list = right
            .as_array()
            .or_else(|| right.get("set").and_then(Value::as_array));
        let Some(list) = list else { return of(right) };
        let all: Vec<Option<bool>> = list.iter().map(of).collect();
        if all.contains(&Some(true)) {
            return Some(true);
        }
        all.iter().all(Option::is_some).then_some(false)
    };
    let named = |value: &Value, wanted: &str| {
        let name = value.as_str()?;
        // A set of another place, or a pattern.
        let known = !name.starts_with('@') && !name.ends_with('*');
        known.then(|| name == wanted)
    };
    let protocol = |value: &Value| match value {
        Value::Number(number) => Some(number.as_u64() == Some(112)),
        Value::String(name) => Some(matches!(name.as_str(), "vrrp" | "carp" | "112")),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let group = if packet.family == Family::Ipv4 {
        "224.0.0.18"
    } else {
        "ff02::12"
    };
    let found = if let Some(meta) = left.get("meta") {
        match text(meta, "key") {
            "l4proto" => any(&protocol)?,
            "iifname" | "iif" if packet.incoming => any(&|value| named(value, packet.interface))?,
            "oifname" | "oif" if !packet.incoming => any(&|value| named(value, packet.interface))?,
            "nfproto" => {
                let name = if packet.family == Family::Ipv4 {
                    "ipv4"
                } else {
                    "ipv6"
                };
                any(&|value| named(value, name))?
            }
            "pkttype" if packet.incoming && !packet.unicast => {
                any(&|value| named(value, "multicast"))?
            }
            _ => return None,
        }
    } else if let Some(payload) = left.get("payload") {
        match (text(payload, "protocol"), text(payload, "field")) {
            ("ip", "protocol") | ("ip6", "nexthdr") => any(&protocol)?,
            ("ip" | "ip6", "daddr") if !packet.unicast => any(&|value| named(value, group))?,
            // These belong to other protocols.
            ("tcp" | "udp" | "icmp" | "icmpv6" | "th" | "sctp" | "dccp" | "esp" | "ah", _) => {
                return Some(false);
            }
            _ => return None,
        }
    } else if left.get("ct").is_some_and(|ct| text(ct, "key") == "state") && !packet.unicast {
        // Nobody answers multicast, so connection tracking calls all of it new.
        any(&|value| named(value, "new"))?
    } else {
        return None;
    };
    Some(found == is)
}
