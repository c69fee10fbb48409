//! What does not fit together about BFD sessions and the routers that refer to them.

use std::net::IpAddr;

use vrrp_proto::{Dialect, Effect, Family, RouterPlan, TrackerKind, VirtualAddress};

use crate::code;
use crate::finding::Finding;
use crate::router::Router;
use crate::tracker::Tracker;

/// A session that the file wants.
struct Session<'t> {
    tracker: &'t Tracker,
    peer: IpAddr,
    source: Option<IpAddr>,
    interface: &'t str,
}

impl<'t> Session<'t> {
    fn of(tracker: &'t Tracker) -> Option<Self> {
        let TrackerKind::Bfd {
            peer,
            source,
            interface,
            ..
        } = &tracker.plan.as_ref()?.kind
        else {
            return None;
        };
        Some(Self {
            tracker,
            peer: *peer,
            source: *source,
            interface,
        })
    }
}

/// Reports sessions that cannot be, and references to them that lead nowhere.
pub(crate) fn check(routers: &[Router], trackers: &[Tracker], findings: &mut Vec<Finding>) {
    let sessions: Vec<Session<'_>> = trackers.iter().filter_map(Session::of).collect();
    let plans: Vec<&RouterPlan> = routers.iter().filter_map(|it| it.plan.as_ref()).collect();
    for (place, session) in sessions.iter().enumerate() {
        check_session(session, &sessions[..place], &plans, findings);
    }
    for router in routers {
        for reference in &router.track {
            let wanted = &reference.value;
            let named = trackers.iter().find(|it| it.name.value == wanted.tracker);
            let Some(tracker) = named.filter(|_| wanted.effect == Effect::Takeover) else {
                continue;
            };
            let Some(kind) = tracker.plan.as_ref().map(|plan| &plan.kind) else {
                continue;
            };
            let mut report = |finding: Finding, help: &str| {
                findings.push(finding.label("not a reason to take over").help(help));
            };
            let span = reference.span.clone();
            let Some(session) = Session::of(tracker) else {
                let message = format!(
                    "`{}` is a tracker of type \"{}\", and only one of type \"bfd\" can tell that the Active is gone",
                    wanted.tracker,
                    kind.name()
                );
                let finding = Finding::error(code::TAKEOVER, span, message);
                report(
                    finding,
                    "use a weight or \"fault\", or a BFD session with the other router",
                );
                continue;
            };
            let carp = |plan: &RouterPlan| plan.dialect == Dialect::Carp;
            if router.plan.as_ref().is_some_and(carp) {
                let message = "in a CARP group a takeover cannot follow from BFD yet";
                let finding = Finding::error(code::TAKEOVER, span, message);
                report(
                    finding,
                    "use a weight, and a shorter time between advertisements",
                );
            } else if wanted.reverse {
                let message = "a takeover cannot be reversed";
                let finding = Finding::error(code::TAKEOVER, span, message);
                report(finding, "remove `reverse`");
            } else if let Some(why) = router.plan.as_ref().and_then(|it| never(it, &session)) {
                let finding = Finding::warning(code::TAKEOVER_NEVER, span, why.0);
                report(finding, &why.1);
            }
        }
    }
}

fn check_session(
    session: &Session<'_>,
    before: &[Session<'_>],
    routers: &[&RouterPlan],
    findings: &mut Vec<Finding>,
) {
    let (peer, interface) = (session.peer, session.interface);
    let span = || session.tracker.name.span.clone();
    let mut refuse = |message: String, help: &str| {
        findings.push(
            Finding::error(code::BFD_PEER, span(), message)
                .label("no session like that")
                .help(help),
        );
    };
    if peer.is_multicast() || peer.is_unspecified() || peer.is_loopback() {
        let help = "write the other router's own address on the interface";
        refuse(format!("nobody has the address {peer}"), help);
        return;
    }
    if session
        .source
        .is_some_and(|it| it.is_ipv4() != peer.is_ipv4())
    {
        let help = "write both in one family; each has a session of its own";
        refuse(
            "`address` and `source` are of two families".to_owned(),
            help,
        );
    }
    if session.source == Some(peer) {
        refuse(
            "`address` and `source` are the same".to_owned(),
            "`address` is the other router's, `source` ours",
        );
    }
    if before
        .iter()
        .any(|it| (it.peer, it.interface) == (peer, interface))
    {
        refuse(
            format!("there is another session with {peer} on {interface}"),
            "one session is enough: several routers may refer to it",
        );
    }
    let virtual_one = |router: &&&RouterPlan| router.addresses.iter().any(|it| it.ip == peer);
    if let Some(router) = routers.iter().find(virtual_one) {
        refuse(
            format!("{peer} is a virtual address, of {}", router.name),
            "write the address that the other router has always: whoever is Active has this one",
        );
        return;
    }
    let known: Vec<&VirtualAddress> = routers
        .iter()
        .filter(|router| router.interface == interface && router.family == Family::of(peer))
        .flat_map(|router| &router.addresses)
        .filter(|address| address.prefix_len < if peer.is_ipv4() { 32 } else { 128 })
        .collect();
    let local = matches!(peer, IpAddr::V6(peer) if peer.is_unicast_link_local());
    if !local && !known.is_empty() && !known.iter().any(|network| contains(network, peer)) {
        findings.push(
            Finding::warning(
                code::BFD_NETWORK,
                span(),
                format!("{peer} is on no network that a virtual router has on {interface}"),
            )
            .label("not a neighbour?")
            .help("a session over a single hop is with a neighbour; that is right only if the interface has another network"),
        );
    }
}

fn contains(network: &VirtualAddress, address: IpAddr) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
        IpAddr::V6(v6) => u128::from(v6),
    };
    let differs = bits(network.ip) ^ bits(address);
    network.ip.is_ipv4() == address.is_ipv4()
        && differs.leading_zeros() >= u32::from(network.prefix_len)
}

/// Why the peer of the session is never the Active of this router, and what would be right.
fn never(router: &RouterPlan, session: &Session<'_>) -> Option<(String, String)> {
    let (peer, interface) = (session.peer, session.interface);
    if router.interface != interface {
        let message = format!(
            "the session is on {interface}, and the advertisements of {} are heard on {}",
            router.name, router.interface
        );
        let help = format!("use a session on {}", router.interface);
        return Some((message, help));
    }
    let local = matches!(peer, IpAddr::V6(peer) if peer.is_unicast_link_local());
    match (router.family, peer) {
        (Family::Ipv4, IpAddr::V6(_)) => Some((
            format!(
                "advertisements of {} come from an IPv4 address, and never from {peer}",
                router.name
            ),
            "use a session with the other router's IPv4 address".to_owned(),
        )),
        (Family::Ipv6, _) if !local => Some((
            format!(
                "advertisements of {} come from a link-local address, and never from {peer}",
                router.name
            ),
            "use a session with the other router's link-local address, which begins with fe80"
                .to_owned(),
        )),
        (Family::Ipv4 | Family::Ipv6, _) => None,
    }
}
