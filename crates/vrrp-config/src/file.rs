//! The file as a whole: its tables, and what its routers must not share.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Dialect, Family, Vrid};

use crate::address::{family_name, is_link_local_ip};
use crate::code;
use crate::finding::{Finding, excerpt};
use crate::keys;
use crate::router::{self, Router};
use crate::section::{Given, kind};

const HEADER: &str = "begin a virtual router with [virtual-router.NAME]";

/// Reads all routers, in the order of the file.
pub(crate) fn read(root: &DeTable<'_>, findings: &mut Vec<Finding>) -> Vec<Router> {
    for (key, value) in root {
        if !keys::TOP.contains(&key.get_ref().as_ref()) {
            findings.push(stranger(key.get_ref(), key.span(), value.get_ref()));
        }
    }
    let mut routers = match root.get_key_value(keys::VIRTUAL_ROUTER) {
        Some((key, value)) => named(key.span(), value, findings),
        None => {
            if root
                .keys()
                .all(|key| keys::TOP.contains(&key.get_ref().as_ref()))
            {
                findings.push(
                    Finding::error(
                        code::NO_ROUTER,
                        0..0,
                        "the file configures no virtual router",
                    )
                    .help(format!(
                        "{HEADER}; `interface`, `vrid` and `addresses` are required"
                    )),
                );
            }
            Vec::new()
        }
    };
    // The tree is sorted by name.
    sort_by_rank(&mut routers, |router| router.name.span.start as u64);
    same_vrid(&routers, findings);
    same_address(&routers, findings);
    routers
}

/// Something at the top of the file that is not `virtual-router`.
fn stranger(name: &str, span: Range<usize>, value: &DeValue<'_>) -> Finding {
    let shown = excerpt(name);
    if keys::ROUTER.contains(&name) {
        return Finding::error(
            code::UNKNOWN_KEY,
            span,
            format!("`{shown}` stands outside of any virtual router"),
        )
        .label("belongs to a virtual router")
        .help(format!("{HEADER}, above this line"));
    }
    let (code, noun) = match value {
        DeValue::Table(_) | DeValue::Array(_) => (code::UNKNOWN_TABLE, "table"),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => (code::UNKNOWN_KEY, "key"),
    };
    let help = match keys::meant(name, &keys::TOP) {
        Some(near) => format!("did you mean `{near}`?"),
        None => keys::advice(name).unwrap_or_else(|| {
            format!("the file has virtual routers, groups, trackers, hooks and `control`; {HEADER}")
        }),
    };
    Finding::error(code, span, format!("unknown {noun} `{shown}`"))
        .label(format!("not a {noun} of this file"))
        .help(help)
}

/// The tables within `virtual-router`.
fn named(
    key: Range<usize>,
    value: &Spanned<DeValue<'_>>,
    findings: &mut Vec<Finding>,
) -> Vec<Router> {
    let Some(table) = value.get_ref().as_table() else {
        findings.push(
            Finding::error(
                code::SHAPE,
                key,
                format!("`virtual-router` is {}", kind(value.get_ref())),
            )
            .label("expected a table with a name")
            .help(if value.get_ref().is_array() {
                "write [virtual-router.NAME] with single brackets and a name"
            } else {
                HEADER
            }),
        );
        return Vec::new();
    };
    let nameless = table.iter().find(|(key, value)| {
        !value.get_ref().is_table() && keys::ROUTER.contains(&key.get_ref().as_ref())
    });
    if nameless.is_some() {
        if table.values().all(|value| !value.get_ref().is_table()) {
            let name = Given {
                value: String::new(),
                span: key.clone(),
            };
            let mut others = Vec::new();
            router::read(name, table, &mut others);
            findings.extend(
                others
                    .into_iter()
                    .filter(|finding| finding.code != code::NAME),
            );
        }
        findings.push(
            Finding::error(code::SHAPE, key.clone(), "this virtual router has no name")
                .label("nameless")
                .help("write for example [virtual-router.lan4]"),
        );
    } else if table.is_empty() {
        findings.push(
            Finding::error(
                code::NO_ROUTER,
                key,
                "the file configures no virtual router",
            )
            .label("nothing in it")
            .help("write for example [virtual-router.lan4], and its keys below"),
        );
    }
    let mut routers = Vec::new();
    for (name, value) in table {
        if let Some(content) = value.get_ref().as_table() {
            if nameless.is_none() || !keys::ROUTER.contains(&name.get_ref().as_ref()) {
                let name = Given {
                    value: name.get_ref().clone().into_owned(),
                    span: name.span(),
                };
                routers.push(router::read(name, content, findings));
            }
        } else if nameless.is_none() {
            let message = format!(
                "virtual router `{}` is {}",
                excerpt(name.get_ref()),
                kind(value.get_ref())
            );
            findings.push(
                Finding::error(code::SHAPE, name.span(), message)
                    .label("expected a table")
                    .help(HEADER),
            );
        }
    }
    routers
}

/// What makes a virtual router on the network, if all of it is known. CARP may be two of them.
fn identities(router: &Router) -> Vec<(&str, Family, Vrid)> {
    let (Some(interface), Some(vrid)) = (&router.interface, &router.vrid) else {
        return Vec::new();
    };
    let families = router.families().into_iter();
    families
        .map(|family| (interface.value.as_str(), family, vrid.value))
        .collect()
}

fn same_vrid(routers: &[Router], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<_, &Router> = BTreeMap::new();
    for later in routers {
        let all = identities(later);
        let known = all.iter().find(|identity| seen.contains_key(*identity));
        let Some((earlier, (interface, family, vrid))) = known.map(|it| (seen[it], *it)) else {
            seen.extend(all.into_iter().map(|identity| (identity, later)));
            continue;
        };
        let (Some(first), Some(second)) = (&earlier.vrid, &later.vrid) else {
            continue;
        };
        let of = |router: &Router| format!("`{}`", excerpt(&router.name.value));
        let finding = match (earlier.dialect, later.dialect) {
            (Some(one), Some(other)) if one != other => Finding::error(
                code::VERSIONS,
                second.span.clone(),
                if [one, other].contains(&Dialect::Carp) {
                    format!("the identifier {vrid} is used in VRRP and in CARP on {interface}")
                } else {
                    format!("VRID {vrid} is used in two versions of VRRP on {interface}")
                },
            )
            .label(format!("{} speaks {}", of(later), other.name()))
            .related(
                first.span.clone(),
                format!("{} speaks {}", of(earlier), one.name()),
            ),
            (Some(_) | None, Some(_) | None) => Finding::error(
                code::VRID_TWICE,
                second.span.clone(),
                format!(
                    "VRID {vrid} is used twice for {} on {interface}",
                    family_name(family)
                ),
            )
            .label(format!("used by {}", of(later)))
            .related(first.span.clone(), format!("and by {}", of(earlier))),
        };
        findings.push(
            finding.help(
                "both would have the same virtual MAC address; give one of them another VRID",
            ),
        );
    }
}

fn same_address(routers: &[Router], findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<_, (&Router, Range<usize>)> = BTreeMap::new();
    for later in routers {
        for address in &later.addresses {
            let ip = address.value.ip;
            // A link-local address is another one on another link.
            let link = later
                .interface
                .as_ref()
                .filter(|_| is_link_local_ip(ip))
                .map(|interface| &interface.value);
            if is_link_local_ip(ip) && link.is_none() {
                continue;
            }
            let Some((earlier, first)) = seen.get(&(link, ip)) else {
                seen.insert((link, ip), (later, address.span.clone()));
                continue;
            };
            // Two routers that are one have everything in common.
            let same = identities(earlier);
            if identities(later).iter().any(|one| same.contains(one)) {
                continue;
            }
            findings.push(
                Finding::error(
                    code::ADDRESS_SHARED,
                    address.span.clone(),
                    format!("{ip} is an address of two virtual routers"),
                )
                .label(format!("of `{}`", excerpt(&later.name.value)))
                .related(
                    first.clone(),
                    format!("and of `{}`", excerpt(&earlier.name.value)),
                )
                .help("an address belongs to one virtual router; remove it from the other"),
            );
        }
    }
}
