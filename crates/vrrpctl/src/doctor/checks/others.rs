//! Who else speaks for a virtual router, and whether the two hear each other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp_proto::receive::Reject;

use super::super::facts::wire::Advert;
use super::super::facts::{Facts, Router, mac_text};
use super::super::finding::{Finding, Kind};
use super::count;
use super::interface::is_in;
use crate::moment::span;
use crate::verdict::Verdict;

/// In microseconds; what was heard before that is history.
const WEEK: u64 = 7 * 24 * 3600 * 1_000_000;

/// Advertisements of this VRID and family on the router's interface, of others.
pub(crate) fn heard<'a>(facts: &'a Facts, router: Router<'a>) -> impl Iterator<Item = &'a Advert> {
    of_it(facts, router).filter(|advert| !advert.outgoing)
}

fn of_it<'a>(facts: &'a Facts, router: Router<'a>) -> impl Iterator<Item = &'a Advert> {
    facts.wire.adverts.iter().filter(move |advert| {
        advert.interface == router.after.interface
            && advert.vrid == router.after.vrid
            && advert.source.is_ipv4() == (router.after.family == "ipv4")
    })
}

/// Whether it is for other addresses altogether, and so of another virtual router.
pub(crate) fn is_foreign(router: Router<'_>, advert: &Advert) -> bool {
    !advert.addresses.is_empty()
        && !router
            .addresses()
            .any(|(ip, _)| advert.addresses.contains(&ip))
}

/// Those that take part, by source.
fn speakers<'a>(facts: &'a Facts, router: Router<'a>) -> BTreeMap<IpAddr, Vec<&'a Advert>> {
    let mut speakers: BTreeMap<IpAddr, Vec<&Advert>> = BTreeMap::new();
    let own = router.source();
    let rivals = heard(facts, router).filter(|advert| {
        advert.priority > 0 && !is_foreign(router, advert) && Some(advert.source) != own
    });
    for advert in rivals {
        speakers.entry(advert.source).or_default().push(advert);
    }
    speakers
}

/// Two that go on speaking.
pub(crate) fn actives(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let speakers = speakers(facts, router);
    let evidence = |source: &IpAddr, adverts: &[&Advert]| {
        format!(
            "{} of {source} on {} in {}",
            count(adverts.len(), "advertisement"),
            router.after.interface,
            span(facts.wire.span.as_micros().try_into().unwrap_or(u64::MAX))
        )
    };
    let lasting: Vec<_> = speakers
        .iter()
        .filter(|(_, adverts)| adverts.len() >= 2)
        .collect();
    if router.stayed("active") {
        for (source, adverts) in &lasting {
            let priorities = priorities(adverts);
            found.push(Finding::new(
                Kind::TwoActives,
                format!(
                    "{source} is Active, too, with priority {priorities}; this router has {}",
                    router.after.priority.effective
                ),
                evidence(source, adverts),
                format!(
                    "the findings beside this one say why; vrrpctl capture -i {}",
                    router.after.interface
                ),
            ));
        }
    } else if let [first, second, ..] = lasting[..] {
        found.push(Finding::new(
            Kind::TwoActives,
            format!("{} and {} are both Active", first.0, second.0),
            format!(
                "{}; {}",
                evidence(first.0, first.1),
                evidence(second.0, second.1)
            ),
            "vrrpctl doctor on both of them",
        ));
    }
    found
}

fn priorities(adverts: &[&Advert]) -> String {
    let mut all: Vec<u8> = adverts.iter().map(|advert| advert.priority).collect();
    all.dedup();
    let texts: Vec<String> = all.iter().map(u8::to_string).collect();
    texts.join(", ")
}

/// Whether what is said arrives, in both directions.
pub(crate) fn way(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let interface = &router.after.interface;
    let (before, after) = (&router.before.statistics, &router.after.statistics);
    let sent = after
        .advertisement_sent
        .saturating_sub(before.advertisement_sent);
    let seen = of_it(facts, router)
        .filter(|advert| advert.outgoing)
        .count();
    let listened = facts.wire.interfaces.contains(interface);
    let active = router.stayed("active");
    // To a peer whose MAC address is not known, nothing can leave, and that is another finding.
    let lost = !unreachable(facts, router).is_empty();
    // Those of CARP are not among what was looked at.
    let looked_at = router.after.carp.is_none();
    let mute = looked_at && active && listened && sent >= 2 && seen == 0 && !lost;
    if mute {
        found.push(Finding::new(
            Kind::NotSent,
            format!("what the daemon sends does not leave {interface}: to all others it is dead"),
            format!("it counted {} meanwhile, and none passed the interface", count(usize::try_from(sent).unwrap_or(0), "advertisement")),
            "a rule of nftables (output or egress) or of tc, or the program on the interface: nft list ruleset, tc filter show",
        ));
    }
    let taken = |it: &vrrp_control::RouterCounters| it.advertisement_rcvd + it.conflicts;
    let good = |advert: &&Advert| matches!(advert.verdict, Verdict::Good(_));
    let mut loser = None;
    let mut whole = 0;
    for (source, adverts) in speakers(facts, router) {
        let accepted = adverts.iter().copied().filter(good).count();
        whole += accepted;
        // Who heard us would be Backup, or we.
        let beaten = adverts.iter().all(|advert| {
            let own = router.after.priority.effective;
            advert.priority < own || (advert.priority == own && router.source() > Some(source))
        });
        if accepted >= 2 && beaten {
            loser = Some((source, accepted));
        }
    }
    let deaf = whole >= 2 && taken(after) == taken(before) && router.after.state != "initialize";
    if deaf {
        found.push(Finding::new(
            Kind::NotReceived,
            format!("advertisements arrive on {interface} and do not reach the daemon: it believes that it is alone"),
            format!("{} passed the interface, and advertisement-rcvd did not move", count(whole, "good advertisement")),
            "a rule of nftables (ingress, prerouting or input) that drops protocol 112: nft list ruleset",
        ));
    }
    if let Some((source, accepted)) = loser.filter(|_| active && !mute && !deaf) {
        found.push(Finding::new(
            Kind::NotHeard,
            format!("{source} stays Active against a better one: it does not hear this router, or refuses what it hears"),
            format!("{} with a lower priority or address, while this router sent {sent}", count(accepted, "advertisement")),
            format!("vrrpctl doctor, or what there is of its kind, on {source}: its firewall, its counters; the switch between (multicast to 224.0.0.18 or ff02::12)"),
        ));
    }
    found
}

/// Whether both are as they should be beside each other.
pub(crate) fn alike(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    let interface = &router.after.interface;
    if let Some(own) = router.source() {
        let same = heard(facts, router)
            .filter(|advert| advert.source == own)
            .count();
        if same > 0 {
            found.push(Finding::new(
                Kind::SameSource,
                format!("{own} is the address of this router, and somebody else advertises from it: the address is there twice, or the LAN has a loop"),
                format!("{} arrived on {interface}", count(same, "advertisement")),
                format!("an address of its own for each router: arping -D -I {interface} {own}"),
            ));
        }
    }
    for (source, adverts) in speakers(facts, router) {
        let good: Vec<&Advert> = adverts
            .into_iter()
            .filter(|advert| matches!(advert.verdict, Verdict::Good(_)))
            .collect();
        let Some(last) = good.last() else { continue };
        if last.priority == router.after.priority.configured && last.priority != 255 {
            found.push(Finding::new(
                Kind::SamePriority,
                format!("{source} has priority {}, too: the higher address decides who is Active, and nobody preempts", last.priority),
                format!("{} on {interface}", count(good.len(), "advertisement")),
                "a priority that differs by 50 or so",
            ));
        }
        let real = last.mac.filter(|mac| Some(*mac) != router.mac());
        if let Some(mac) = real.filter(|_| router.mac().is_some() && !router.is_unicast()) {
            found.push(Finding::new(
                Kind::RealMac,
                format!("{source} advertises from its own MAC address: at a takeover hosts have to learn another one"),
                format!("{} instead of {}", mac_text(mac), router.after.virtual_mac.as_deref().unwrap_or("-")),
                "virtual-mac = false here, or use_vmac in keepalived there",
            ));
        }
        found.extend(irregular(router, source, &good));
    }
    found.extend(elsewhere(facts, router));
    found.extend(unreachable(facts, router));
    found
}

/// What is known of those that are silent now: a Backup does not speak, and what does not fit shows at the next takeover.
pub(crate) fn remembered(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for peer in &router.after.peers {
        let of_it = |advert: &Advert| peer.address.parse() == Ok(advert.source);
        let spoke = heard(facts, router).any(of_it);
        // One that took its leave may come back with another configuration.
        if spoke || peer.state == "released" || peer.last_heard_us > WEEK {
            continue;
        }
        let source = &peer.address;
        let evidence = format!("last heard {} ago", span(peer.last_heard_us));
        if peer.other_interval {
            found.push(Finding::new(
                Kind::OtherInterval,
                format!(
                    "{source} advertised every {}, and this router every {}",
                    span(peer.advertise_interval_ms * 1000),
                    span(router.after.advertise_interval_ms * 1000)
                ),
                evidence.as_str(),
                "advertise-interval, the same on both",
            ));
        }
        if peer.other_addresses {
            found.push(Finding::new(
                Kind::OtherAddresses,
                format!("{source} advertised other addresses than this router, {}", router.after.addresses.join(", ")),
                evidence.as_str(),
                "addresses, the same in the same order on both; vrrpctl check --peer compares their files",
            ));
        }
        if peer.priority == router.after.priority.configured && peer.priority != 255 {
            found.push(Finding::new(
                Kind::SamePriority,
                format!("{source} has priority {}, too: the higher address decides who is Active, and nobody preempts", peer.priority),
                evidence.as_str(),
                "a priority that differs by 50 or so",
            ));
        }
    }
    found
}

/// More than twice the interval between two of them.
fn irregular(router: Router<'_>, source: IpAddr, good: &[&Advert]) -> Option<Finding> {
    let interval = good.last()?.interval?.duration();
    let gaps = good
        .windows(2)
        .map(|pair| pair[1].time.duration_since(pair[0].time));
    let longest = gaps
        .max()
        .and_then(|gap| std::time::Duration::try_from(gap).ok())?;
    let micros =
        |duration: std::time::Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    (router.stayed("backup") && longest > interval * 2).then(|| {
        Finding::new(
            Kind::Irregular,
            format!("advertisements of {source} are lost, or it is late: three in a row, and there is another Active"),
            format!("{} between two of them, instead of {}", span(micros(longest)), span(micros(interval))),
            format!("load of {source} and of the switches between; a longer advertise-interval"),
        )
    })
}

/// Advertisements for these addresses, with this VRID, where it is not spoken.
fn elsewhere(facts: &Facts, router: Router<'_>) -> Option<Finding> {
    let spoken = |interface: &str| {
        facts.routers().any(|other| {
            other.after.interface == interface
                && (other.after.vrid, &other.after.family)
                    == (router.after.vrid, &router.after.family)
        })
    };
    let stray = facts.wire.adverts.iter().find(|advert| {
        let ours = router
            .addresses()
            .any(|(ip, _)| advert.addresses.contains(&ip));
        !advert.outgoing && advert.vrid == router.after.vrid && ours && !spoken(&advert.interface)
    })?;
    Some(Finding::new(
        Kind::OtherLan,
        format!(
            "advertisements of this virtual router arrive on {}, and it is on {}",
            stray.interface, router.after.interface
        ),
        format!(
            "VRID {} of {} with {}",
            stray.vrid,
            stray.source,
            stray
                .addresses
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
        "cables, VLANs of the switch ports, or the interface key of one of the two",
    ))
}

/// Peers on the LAN that nobody answers for.
fn unreachable(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let interface = &router.after.interface;
    let peers = router
        .plan
        .iter()
        .flat_map(|plan| plan.unicast_peers.iter());
    peers
        .filter(|peer| facts.wire.questions.contains(&(interface.clone(), **peer)))
        .filter(|peer| !facts.wire.claims.iter().any(|claim| claim.ip == **peer))
        .filter(|peer| {
            router.port.is_some_and(|port| {
                port.addresses
                    .iter()
                    .any(|(own, length)| is_in(**peer, *own, *length))
            })
        })
        .map(|peer| {
            Finding::new(
                Kind::PeerUnreachable,
                format!("the peer {peer} is not there: nobody answers for its address"),
                format!("asked twice on {interface}, no answer"),
                "the unicast-peers key, the cable, or the peer itself",
            )
        })
        .collect()
}

/// Why one that is refused is.
pub(crate) fn rejected(advert: &Advert) -> Option<Reject> {
    match advert.verdict {
        Verdict::Refused(reject) | Verdict::RefusedCarp(reject, _) => Some(reject),
        Verdict::Good(_) | Verdict::Carp | Verdict::Cut => None,
    }
}
