//! Unicast peers: whom to speak to where the network carries no multicast.

use std::net::IpAddr;

use vrrp_proto::{Family, VirtualAddress};

use crate::address::{self, family_name};
use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::Given;

/// Reads the peers of a router with `addresses`, by which they are judged.
pub(crate) fn read(
    list: &[Given<&str>],
    addresses: &[Given<VirtualAddress>],
    findings: &mut Vec<Finding>,
) -> Vec<IpAddr> {
    let mut kept: Vec<Given<IpAddr>> = Vec::with_capacity(list.len());
    for given in list {
        let Some(ip) = parse(given, findings) else {
            continue;
        };
        if let Some(finding) = refuse(
            &Given {
                value: ip,
                span: given.span.clone(),
            },
            addresses,
            &kept,
        ) {
            findings.push(finding);
        } else {
            kept.push(Given {
                value: ip,
                span: given.span.clone(),
            });
        }
    }
    in_each_family(addresses, &kept, findings);
    kept.into_iter().map(|given| given.value).collect()
}

/// With CARP, a group with addresses of both families advertises in both: who is not heard in one of them is replaced there.
fn in_each_family(
    addresses: &[Given<VirtualAddress>],
    peers: &[Given<IpAddr>],
    findings: &mut Vec<Finding>,
) {
    let Some(first) = peers.first() else { return };
    let silent = addresses.iter().find(|address| {
        let family = Family::of(address.value.ip);
        !peers.iter().any(|peer| Family::of(peer.value) == family)
    });
    if let Some(address) = silent {
        let name = family_name(Family::of(address.value.ip));
        findings.push(
            Finding::error(
                code::PEER,
                first.span.clone(),
                format!("no peer is listed with its address of {name}"),
            )
            .label("of the other family")
            .related(address.span.clone(), format!("{name} here"))
            .help("list each peer with its addresses of both families: CARP advertises in both"),
        );
    }
}

fn parse(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<IpAddr> {
    if let Ok(ip) = given.value.parse() {
        return Some(ip);
    }
    let finding = Finding::error(
        code::PEER,
        given.span.clone(),
        format!("\"{}\" is not the address of a peer", excerpt(given.value)),
    );
    let bare = given
        .value
        .split('/')
        .next()
        .and_then(|bare| bare.parse::<IpAddr>().ok());
    findings.push(match bare {
        Some(bare) => finding
            .label("with a prefix length")
            .help(format!("write \"{bare}\": a peer is one host")),
        None => {
            let (label, _) = address::explain(given.value);
            finding
                .label(label)
                .help("write the peer's own address, such as \"192.0.2.2\" or \"fe80::2\"")
        }
    });
    None
}

fn refuse(
    peer: &Given<IpAddr>,
    addresses: &[Given<VirtualAddress>],
    kept: &[Given<IpAddr>],
) -> Option<Finding> {
    let ip = peer.value;
    let error = |message: String| Finding::error(code::PEER, peer.span.clone(), message);
    if let Some(first) = kept.iter().find(|first| first.value == ip) {
        return Some(
            error(format!("peer {ip} is listed twice"))
                .label("again")
                .related(first.span.clone(), "first listed here")
                .help("remove one of the two"),
        );
    }
    let one_host = match ip {
        IpAddr::V4(v4) => !v4.is_broadcast(),
        IpAddr::V6(_) => true,
    };
    if ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || !one_host {
        return Some(error(format!("{ip} is not the address of one other router")).label("not a peer").help("write the peer's own address on this network; without `unicast-peers`, multicast is used"));
    }
    let first = addresses.first()?;
    let family = Family::of(ip);
    if !addresses
        .iter()
        .any(|own| Family::of(own.value.ip) == family)
    {
        return Some(
            error(format!("peer {ip} is of another family than the addresses"))
                .label("another family")
                .related(first.span.clone(), "the family follows from here")
                .help(
                    "a virtual router speaks one family; write the peer's address of that family",
                ),
        );
    }
    if family == Family::Ipv6 && !address::is_link_local_ip(ip) {
        return Some(
            error(format!("peer {ip} is not a link-local address"))
                .label("outside fe80::/10")
                .help("IPv6 advertisements are sent between link-local addresses: write the peer's, such as \"fe80::2\""),
        );
    }
    if let Some(own) = addresses.iter().find(|own| own.value.ip == ip) {
        return Some(
            error(format!("peer {ip} is a virtual address of this router"))
                .label("a virtual address")
                .related(own.span.clone(), "listed here")
                .help("write the address that the peer always has, not the one it shares"),
        );
    }
    None
}
