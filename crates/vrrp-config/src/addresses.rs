//! The addresses of one virtual router: count, family and order.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Dialect, Family, VirtualAddress, Vrid};

use crate::address::{self, family_name};
use crate::code;
use crate::finding::Finding;
use crate::section::{Given, Section};

/// Most IPv4 addresses of one router: the count is a byte (RFC 9568 §5.2.5).
const MOST_IPV4: usize = 255;
/// Most IPv6 addresses of one router: 40 + 8 + 90 × 16 bytes are what 1500 hold (RFC 9568 §5.2.5 asks for no fragments).
const MOST_IPV6: usize = 90;

/// Reads the list and applies the rules of the whole list: count, family, order.
pub(crate) fn read(
    section: &Section<'_>,
    list: Option<Given<Vec<Given<&str>>>>,
    vrid: Option<Vrid>,
    dialect: Option<Dialect>,
    findings: &mut Vec<Finding>,
) -> Vec<Given<VirtualAddress>> {
    let Some(list) = list else { return Vec::new() };
    let error = |code, message: String| Finding::error(code, section.place("addresses"), message);
    if list.value.is_empty() {
        findings.push(
            error(code::ADDRESS_COUNT, "`addresses` is empty".to_owned())
                .label("expected at least one")
                .help("list the addresses that the routers share, such as [\"192.0.2.254/24\"]"),
        );
        return Vec::new();
    }
    let all: Vec<_> = list
        .value
        .iter()
        .filter_map(|given| {
            Some(Given {
                value: address::read(given, findings)?,
                span: given.span.clone(),
            })
        })
        .collect();
    let complete = all.len() == list.value.len();
    let mut kept = consistent(all, dialect, findings);
    if dialect == Some(Dialect::Carp) {
        // In any order: what is authenticated is the set. The first one says where advertisements come from.
        sort_by_rank(&mut kept, |given| given.value.ip.is_ipv6().into());
        if kept.len() > MOST_IPV4 {
            let message = format!("{} addresses in one CARP group", kept.len());
            findings.push(
                error(code::ADDRESS_COUNT, message)
                    .label(format!("at most {MOST_IPV4}"))
                    .help("spread them over several groups"),
            );
        }
        return kept;
    }
    let Some(first) = kept.first() else {
        return kept;
    };
    let family = Family::of(first.value.ip);
    if family == Family::Ipv6 {
        if dialect == Some(Dialect::Vrrp2) {
            findings.push(
                Finding::error(code::VRRP2_IPV6, first.span.clone(), "VRRPv2 has no IPv6")
                    .label("an IPv6 address")
                    .help("remove the line `protocol = \"vrrpv2\"`: IPv6 needs VRRPv3"),
            );
        }
        link_local_first(
            &mut kept,
            &section.place("addresses"),
            complete,
            vrid,
            findings,
        );
    }
    let (most, why) = match family {
        Family::Ipv4 => (MOST_IPV4, "the count is one byte"),
        Family::Ipv6 => (MOST_IPV6, "more do not fit into a packet of 1500 bytes"),
    };
    if kept.len() > most {
        findings.push(
            error(
                code::ADDRESS_COUNT,
                format!("{} addresses in one virtual router", kept.len()),
            )
            .label(format!("at most {most}"))
            .help(format!("{why}; spread them over several virtual routers")),
        );
    }
    kept
}

fn link_local_first(
    kept: &mut Vec<Given<VirtualAddress>>,
    place: &Range<usize>,
    complete: bool,
    vrid: Option<Vrid>,
    findings: &mut Vec<Finding>,
) {
    let Some(first) = kept.first() else { return };
    match kept
        .iter()
        .position(|given| address::is_link_local_ip(given.value.ip))
    {
        Some(0) => {}
        Some(position) => {
            let link_local = &kept[position];
            findings.push(
                Finding::error(
                    code::LINK_LOCAL_FIRST,
                    link_local.span.clone(),
                    "the link-local address is not the first",
                )
                .label("belongs at the front")
                .related(first.span.clone(), "stands before it")
                .help(format!("write `addresses = [{}]`", sorted(kept, position))),
            );
        }
        // An address that could not be read may have been the link-local one.
        None if !complete => {}
        None => {
            let Some(vrid) = vrid else { return };
            let derived = derived(vrid);
            findings.push(
                Finding::warning(code::DERIVED, place.clone(), format!("no link-local address is listed; {derived} is used, derived from the VRID"))
                    .label("none in fe80::/10")
                    .help(format!("all routers of the pair must use the same one; to choose it, begin the list with it: [\"{derived}\", ...]")),
            );
            kept.insert(
                0,
                Given {
                    value: derived,
                    span: place.clone(),
                },
            );
        }
    }
}

/// The list as it should be, with the one at `position` in front.
fn sorted(kept: &[Given<VirtualAddress>], position: usize) -> String {
    const SHOWN: usize = 4;
    let others = kept
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != position)
        .map(|(_, given)| given);
    let mut texts: Vec<String> = kept
        .get(position)
        .into_iter()
        .chain(others)
        .take(SHOWN)
        .map(|given| format!("\"{}\"", given.value))
        .collect();
    if kept.len() > SHOWN {
        texts.push("...".to_owned());
    }
    texts.join(", ")
}

/// The link-local address that stands for a router which lists none: the EUI-64 of its virtual MAC address, as Cisco forms it.
///
/// RFC 9568 §7.4 forbids this for a router's own addresses. As a virtual one it is moved with the virtual MAC address.
fn derived(vrid: Vrid) -> VirtualAddress {
    let ip = Ipv6Addr::new(
        0xfe80,
        0,
        0,
        0,
        0x0200,
        0x5eff,
        0xfe00,
        0x0200 | u16::from(vrid.get()),
    );
    VirtualAddress {
        ip: IpAddr::V6(ip),
        prefix_len: 64,
    }
}

/// A list whose addresses are all of one family and none twice: only the first offender of each kind is spared.
fn consistent(
    list: Vec<Given<VirtualAddress>>,
    dialect: Option<Dialect>,
    findings: &mut Vec<Finding>,
) -> Vec<Given<VirtualAddress>> {
    let mut kept: Vec<Given<VirtualAddress>> = Vec::with_capacity(list.len());
    let mut mixed: Option<Range<usize>> = None;
    for given in list {
        if dialect != Some(Dialect::Carp)
            && let Some(first) = kept.first()
            && let family = Family::of(first.value.ip)
            && family != Family::of(given.value.ip)
        {
            // One finding, at the first stranger, is enough for any number of them.
            if mixed.is_none() {
                findings.push(
                    Finding::error(
                        code::FAMILY,
                        given.span.clone(),
                        "IPv4 and IPv6 addresses in one virtual router",
                    )
                    .label(format!("{} here", family_name(Family::of(given.value.ip))))
                    .related(first.span.clone(), format!("{} here", family_name(family)))
                    .help("make two virtual routers, one per family; they may use the same VRID"),
                );
                mixed = Some(given.span);
            }
        } else if let Some(first) = kept.iter().find(|first| first.value.ip == given.value.ip) {
            findings.push(
                Finding::error(
                    code::ADDRESS_TWICE,
                    given.span.clone(),
                    format!("{} is listed twice", given.value.ip),
                )
                .label("again")
                .related(first.span.clone(), "first listed here")
                .help("remove one of the two"),
            );
        } else {
            kept.push(given);
        }
    }
    kept
}
