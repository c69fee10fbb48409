//! Two files of a pair of routers: what in them does not fit together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vrrp_proto::carp::Sealing;
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Dialect, Family, Gather, RouterPlan};

use crate::address::is_link_local_ip;
use crate::finding::{Finding, excerpt, line_column};
use crate::load::Loaded;
use crate::place::Place;
use crate::{Config, code};

/// What neither side can know alone, because each of the files is good: pointed at in `ours`, with the line of `theirs`.
///
/// Virtual routers belong together that have the VRID and an address, the interface or the name in common, or else an
/// address, or else nothing but the VRID.
#[must_use]
pub fn compare(ours: &Loaded, theirs: &Loaded) -> Vec<Finding> {
    let mut findings = Vec::new();
    let there = routers(&theirs.config);
    let (pairs, alone) = counterparts(&routers(&ours.config), &there);
    for (one, other) in &pairs {
        let judge = Judge {
            one: *one,
            other: *other,
            theirs,
        };
        judge.all(&mut findings);
    }
    findings.extend(groups(&pairs, theirs));
    findings.extend(alone.iter().map(|(plan, place)| {
        let message = format!("`{}` has no counterpart", excerpt(&plan.name));
        Finding::warning(code::PAIR_ALONE, place.head(), message)
            .label(format!("not in {}", theirs.file))
            .help("nobody takes over from it")
    }));
    for (plan, place) in &there {
        if !pairs.iter().any(|(_, other)| other.0.name == plan.name) {
            let (line, _) = line_column(&theirs.text, place.head().start);
            let message = format!("`{}` has no counterpart here", excerpt(&plan.name));
            findings.push(
                Finding::warning(code::PAIR_ALONE, 0..0, message).help(format!(
                    "it stands in {}:{line}; nobody takes over from it",
                    theirs.file
                )),
            );
        }
    }
    sort_by_rank(&mut findings, |finding| finding.span.start as u64);
    findings
}

/// Routers that are Active together here, and not there, or the reverse.
fn groups(pairs: &[(Router<'_>, Router<'_>)], theirs: &Loaded) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, (one, other)) in pairs.iter().enumerate() {
        let differs = |(first, second): &&(Router<'_>, Router<'_>)| {
            let together = |a: &RouterPlan, b: &RouterPlan| a.group.is_some() && a.group == b.group;
            together(one.0, first.0) != together(other.0, second.0)
        };
        let Some((partner, _)) = pairs[..index].iter().find(differs) else {
            continue;
        };
        let (here, there) = match &one.0.group {
            Some(group) if one.0.group == partner.0.group => {
                (format!("group `{}` here", excerpt(group)), "none there")
            }
            Some(_) | None => ("none here".to_owned(), "a group there"),
        };
        let (name, other_name) = (excerpt(&one.0.name), excerpt(&partner.0.name));
        let message = format!("`{name}` and `{other_name}` move together on one side only");
        findings.push(
            Finding::warning(code::PAIR_GROUP, one.1.head(), message)
                .label(format!("{here}, {there}"))
                .related(partner.1.head(), "the other one")
                .help(format!(
                    "a side without the group may be Active on one network only; write the same groups in {}",
                    theirs.file
                )),
        );
    }
    findings
}

type Router<'a> = (&'a RouterPlan, &'a Place);

/// Whether two routers belong together.
type Tie = fn(&RouterPlan, &RouterPlan) -> bool;

fn routers(config: &Config) -> Vec<Router<'_>> {
    config.plan.routers.iter().zip(&config.places).collect()
}

/// Who belongs to whom, and who of `ours` to nobody.
fn counterparts<'a>(
    ours: &[Router<'a>],
    theirs: &[Router<'a>],
) -> (Vec<(Router<'a>, Router<'a>)>, Vec<Router<'a>>) {
    let ties: [Tie; 5] = [
        |one, other| same_vrid(one, other) && share_address(one, other),
        |one, other| same_vrid(one, other) && one.interface == other.interface,
        |one, other| same_vrid(one, other) && one.name == other.name,
        share_address,
        same_vrid,
    ];
    let (mut pairs, mut ours, mut theirs) = (Vec::new(), ours.to_vec(), theirs.to_vec());
    for tie in ties {
        ours.retain(|one| {
            let other = theirs
                .iter()
                .position(|other| one.0.block() == other.0.block() && tie(one.0, other.0));
            if let Some(index) = other {
                pairs.push((*one, theirs.remove(index)));
            }
            other.is_none()
        });
    }
    (pairs, ours)
}

fn same_vrid(one: &RouterPlan, other: &RouterPlan) -> bool {
    one.vrid == other.vrid
}

/// A link-local address says little: each link may have it.
fn share_address(one: &RouterPlan, other: &RouterPlan) -> bool {
    let there = ips(other);
    ips(one)
        .iter()
        .any(|ip| !is_link_local_ip(*ip) && there.contains(ip))
}

fn ips(plan: &RouterPlan) -> BTreeSet<IpAddr> {
    plan.addresses.iter().map(|address| address.ip).gather()
}

/// Two routers that are meant to be one virtual router.
struct Judge<'a> {
    one: Router<'a>,
    other: Router<'a>,
    theirs: &'a Loaded,
}

/// What happens when neither takes the other's advertisements.
const BOTH_ACTIVE: &str = "each refuses the other's advertisements, and both become Active";

impl Judge<'_> {
    fn all(&self, findings: &mut Vec<Finding>) {
        let (one, other) = (self.one.0, self.other.0);
        if one.vrid != other.vrid {
            let difference = format!("VRID {} here and {} there", one.vrid, other.vrid);
            findings.push(self.error(code::PAIR_VRID, "vrid", &difference).help(
                "they share an address, and would both be Active for it; give both the same VRID",
            ));
            return;
        }
        if one.dialect != other.dialect {
            let difference = format!(
                "{} here and {} there",
                one.dialect.name(),
                other.dialect.name()
            );
            findings.push(
                self.error(code::PAIR_VERSION, "protocol", &difference)
                    .help(format!("{BOTH_ACTIVE}; choose one version")),
            );
            return;
        }
        findings.extend(self.interval());
        self.addresses(findings);
        findings.extend(self.priority());
        findings.extend(self.authentication());
        findings.extend(self.seal());
        findings.extend(self.checksum());
        if one.is_unicast() != other.is_unicast() {
            let difference = if one.is_unicast() {
                "unicast here and multicast there"
            } else {
                "multicast here and unicast there"
            };
            findings.push(
                self.error(code::PAIR_MODE, "unicast-peers", difference)
                    .help(format!(
                        "{BOTH_ACTIVE}; give both `unicast-peers`, or neither"
                    )),
            );
        }
        if one.virtual_mac != other.virtual_mac {
            let difference = self.either(one.virtual_mac, "the virtual MAC address");
            findings.push(
                self.warning(code::PAIR_MAC, "virtual-mac", &difference).help(
                    "hosts keep the MAC address of the other router after a takeover until they hear an announcement; use the same",
                ),
            );
        }
        if one.accept != other.accept && !one.priority.is_owner() && !other.priority.is_owner() {
            let difference = self.either(one.accept, "packets to the addresses are accepted");
            findings.push(
                self.warning(code::PAIR_ACCEPT, "accept-mode", &difference)
                    .help("whether the addresses answer depends on who is Active; use the same"),
            );
        }
    }

    fn interval(&self) -> Option<Finding> {
        let (one, other) = (self.one.0.interval, self.other.0.interval);
        let difference = format!("{one} here and {other} there");
        let (code, key) = (code::PAIR_INTERVAL, "advertise-interval");
        (one != other).then(|| match self.one.0.dialect {
            Dialect::Vrrp2 => self
                .error(code, key, &difference)
                .help(format!("in VRRPv2 {BOTH_ACTIVE}; use one interval")),
            Dialect::Carp => self.warning(code, "advbase", &difference).help(
                "who advertises less often loses, whatever its `advskew`; use the same",
            ),
            Dialect::Vrrp3 => self.warning(code, key, &difference).help(
                "a Backup follows the interval of the Active, so how fast it takes over depends on who that is; use the same",
            ),
        })
    }

    fn addresses(&self, findings: &mut Vec<Finding>) {
        let (one, other) = (self.one.0, self.other.0);
        let (here, there) = (ips(one), ips(other));
        if here != there {
            let list = |ips: Vec<String>| ips.join(", ");
            let only = |some: &BTreeSet<IpAddr>, not: &BTreeSet<IpAddr>, place: &str| {
                let left: Vec<String> = some.difference(not).map(IpAddr::to_string).collect();
                (!left.is_empty()).then(|| format!("{} only {place}", list(left)))
            };
            let parts = [only(&here, &there, "here"), only(&there, &here, "there")];
            let difference = list(parts.into_iter().flatten().collect());
            let owner = one.priority.is_owner() || other.priority.is_owner();
            let finding = if one.dialect == Dialect::Carp {
                self.error(code::PAIR_ADDRESSES, "addresses", &difference)
                    .help(format!(
                        "the digest covers them, so {BOTH_ACTIVE}; list the same addresses"
                    ))
            } else if one.dialect == Dialect::Vrrp2 && !owner {
                self.error(code::PAIR_ADDRESSES, "addresses", &difference)
                    .help(format!("in VRRPv2 {BOTH_ACTIVE}; list the same addresses"))
            } else {
                self.warning(code::PAIR_ADDRESSES, "addresses", &difference)
                    .help("an address that only one has is gone when the other one is Active; list the same")
            };
            findings.push(finding);
        }
        for address in &one.addresses {
            let elsewhere = other.addresses.iter().find(|it| it.ip == address.ip);
            if let Some(elsewhere) = elsewhere.filter(|it| it.prefix_len != address.prefix_len) {
                let difference = format!("{address} here and {elsewhere} there");
                findings.push(
                    self.warning(code::PAIR_PREFIX, "addresses", &difference)
                        .help("routes and ARP follow the prefix length; use the same"),
                );
            }
        }
    }

    fn priority(&self) -> Option<Finding> {
        if let (Some(one), Some(other)) = (self.one.0.carp, self.other.0.carp) {
            let difference = format!("{} on both", one.advskew);
            return (one.advskew == other.advskew).then(|| {
                self.warning(code::PAIR_PRIORITY, "advskew", &difference)
                    .help("when both are Active, equals give way to each other, and for seconds nobody is; raise one of them")
            });
        }
        let (one, other) = (self.one.0.priority, self.other.0.priority);
        let difference = format!("{one} on both");
        let (code, key) = (code::PAIR_PRIORITY, "priority");
        (one == other).then(|| {
            if one.is_owner() {
                return self.error(code, key, &difference).help(
                    "both claim to own the addresses, and neither gives way; lower one of them",
                );
            }
            self.warning(code, key, &difference)
                .help("the higher source address decides who becomes Active; lower one of them")
        })
    }

    fn authentication(&self) -> Option<Finding> {
        let of = |plan: &RouterPlan| plan.carp.map(|carp| carp.passphrase);
        if of(self.one.0) != of(self.other.0) {
            let key = ["passphrase", "passphrase-file"]
                .into_iter()
                .find(|key| self.one.1.value(key) != self.one.1.head());
            let difference = "another passphrase here than there";
            return Some(
                self.error(
                    code::PAIR_AUTHENTICATION,
                    key.unwrap_or("passphrase"),
                    difference,
                )
                .help(format!("{BOTH_ACTIVE}; use the same passphrase")),
            );
        }
        let (one, other) = (self.one.0.authentication, self.other.0.authentication);
        let difference = match (one, other) {
            (Some(_), None) => "a key here and none there",
            (None, Some(_)) => "no key here and one there",
            (Some(_), Some(_)) | (None, None) => "another key here than there",
        };
        (one != other).then(|| {
            self.error(code::PAIR_AUTHENTICATION, "authentication", difference)
                .help(format!("{BOTH_ACTIVE}; use the same key"))
        })
    }

    fn seal(&self) -> Option<Finding> {
        let of = |plan: &RouterPlan| plan.carp.map(|carp| carp.sealing);
        let (one, other) = (of(self.one.0)?, of(self.other.0)?);
        let difference = format!("\"{}\" here and \"{}\" there", one.name(), other.name());
        let (code, key) = (code::PAIR_SEAL, "carp-seal");
        match (one, other) {
            (Sealing::Require, Sealing::Off) | (Sealing::Off, Sealing::Require) => {
                let finding = self.error(code, key, &difference);
                Some(finding.help(format!(
                    "who requires seals does not believe the other one, and {BOTH_ACTIVE}; use the same, by way of \"prefer\" while they run"
                )))
            }
            (Sealing::Prefer, Sealing::Off) | (Sealing::Off, Sealing::Prefer) => {
                let finding = self.warning(code, key, &difference);
                Some(finding.help(
                    "what one of them says can be repeated and changed; use the same, and \"require\" at last",
                ))
            }
            (Sealing::Off | Sealing::Prefer | Sealing::Require, _) => None,
        }
    }

    fn checksum(&self) -> Option<Finding> {
        use vrrp_proto::ChecksumForm::Rfc5798;
        let (one, other) = (self.one.0.checksum, self.other.0.checksum);
        let concerns = self.one.0.family == Family::Ipv4 && self.one.0.dialect == Dialect::Vrrp3;
        let (key, difference) = if one.strict && other.send == Some(Rfc5798) {
            (
                "checksum-strict",
                "only the form of RFC 9568 is accepted here, and that of RFC 5798 sent there",
            )
        } else if other.strict && one.send == Some(Rfc5798) {
            (
                "checksum",
                "the form of RFC 5798 is sent here, and only that of RFC 9568 accepted there",
            )
        } else {
            return None;
        };
        concerns.then(|| {
            self.error(code::PAIR_CHECKSUM, key, difference).help(
                "advertisements in one direction are refused, and both become Active; use the form of RFC 9568 on both",
            )
        })
    }

    fn either(&self, here: bool, what: &str) -> String {
        format!("{what} {} only", if here { "here" } else { "there" })
    }

    fn error(&self, code: &'static str, key: &str, difference: &str) -> Finding {
        let (plan, place) = self.one;
        let span = place.value(key);
        let (line, column) = line_column(&self.theirs.text, self.other.1.value(key).start);
        let message = format!(
            "the two routers of `{}` differ: {difference}",
            excerpt(&plan.name)
        );
        Finding::error(code, span, message).label(format!("{}:{line}:{column}", self.theirs.file))
    }

    fn warning(&self, code: &'static str, key: &str, difference: &str) -> Finding {
        Finding {
            severity: crate::Severity::Warning,
            ..self.error(code, key, difference)
        }
    }
}
