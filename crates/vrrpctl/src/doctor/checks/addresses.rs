//! Who else answers for the virtual addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use vrrp_proto::Gather;

use super::super::facts::{Facts, Router, mac_text};
use super::super::finding::{Finding, Kind};
use super::count;
use super::others::{heard, is_foreign};

/// Claims of others, and what is removed by others.
pub(crate) fn claims(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let interface = &router.after.interface;
    let virtuals: Vec<IpAddr> = router.addresses().map(|(ip, _)| ip).collect();
    // The virtual one, and those of Actives that use their own.
    let mut rightful: BTreeSet<[u8; 6]> = router.mac().into_iter().gather();
    let speakers = heard(facts, router).filter(|advert| !is_foreign(router, advert));
    rightful.extend(speakers.filter_map(|advert| advert.mac));
    // On another interface in the same LAN, it is still this host.
    let own = |mac| facts.ports.iter().any(|port| port.mac == Some(mac));
    let theirs = facts.wire.claims.iter().filter(|claim| {
        claim.interface == *interface && virtuals.contains(&claim.ip) && !own(claim.mac)
    });
    let mut seen = BTreeSet::new();
    for claim in theirs {
        if rightful.contains(&claim.mac) || !seen.insert((claim.ip, claim.mac, claim.answer)) {
            continue;
        }
        let (ip, mac) = (claim.ip, mac_text(claim.mac));
        let (kind, what, evidence) = if claim.answer {
            let what = format!("a host at {mac} has the virtual address {ip} as its own");
            (
                Kind::OtherHost,
                what,
                format!("it answered the question who has {ip} on {interface}"),
            )
        } else {
            let what = format!(
                "a host at {mac} tells the LAN that {ip} is there: hosts that believe it lose this gateway"
            );
            (
                Kind::Claimed,
                what,
                format!("ARP or a Neighbor Advertisement on {interface}"),
            )
        };
        let remedy = format!(
            "find it by its MAC address on the switch, and give it another address than {ip}"
        );
        found.push(Finding::new(kind, what, evidence, remedy));
    }
    let repairs = router
        .after
        .statistics
        .repairs
        .saturating_sub(router.before.statistics.repairs);
    if repairs > 0 {
        found.push(Finding::new(
            Kind::Removed,
            "another program removes or changes what the daemon put in place, and the daemon puts it back",
            format!("{} in this time, {} in all", count(usize::try_from(repairs).unwrap_or(0), "repair"), router.after.statistics.repairs),
            "ip monitor address link shows what happens; network managers must leave these interfaces alone",
        ));
    }
    found
}

/// Whether the right one answers.
pub(crate) fn answers(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let interface = &router.after.interface;
    let asked: Vec<IpAddr> = router
        .addresses()
        .map(|(ip, _)| ip)
        .filter(|ip| facts.wire.questions.contains(&(interface.clone(), *ip)))
        .collect();
    let answered = |ip: &IpAddr| {
        let mut claims = facts.wire.claims.iter();
        claims.find(|claim| claim.interface == *interface && claim.ip == *ip && claim.answer)
    };
    let speaks = heard(facts, router).any(|advert| advert.priority > 0);
    if router.stayed("active") && !speaks {
        let other = asked.iter().find_map(answered);
        let other = other.filter(|claim| Some(claim.mac) == router.mac());
        return other
            .map(|claim| {
                Finding::new(
                    Kind::UnheardActive,
                    "another router is Active, too, and nothing of it is heard: multicast is filtered between the two",
                    format!("{} answered from {} on {interface}, and no advertisement came", claim.ip, mac_text(claim.mac)),
                    "IGMP or MLD snooping of the switches must pass 224.0.0.18 and ff02::12; else unicast-peers",
                )
            })
            .into_iter()
            .collect();
    }
    if !router.stayed("backup") || !speaks {
        return Vec::new();
    }
    let silent: Vec<String> = asked
        .iter()
        .filter(|ip| answered(ip).is_none())
        .map(ToString::to_string)
        .collect();
    if silent.is_empty() {
        return Vec::new();
    }
    vec![Finding::new(
        Kind::NoAnswer,
        format!(
            "the Active does not answer for {}: hosts that ask for their gateway get nothing",
            silent.join(", ")
        ),
        format!("asked twice on {interface}, no answer"),
        "vrrpctl doctor on the Active: arp_ignore, arp_filter, its firewall",
    )]
}
