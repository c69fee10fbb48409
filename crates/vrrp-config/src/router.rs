//! One virtual router: its keys, and what they must have to do with each other.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;
use vrrp_proto::{
    ChecksumForm, ChecksumPolicy, Dialect, Family, Interval, Priority, RouterPlan, VirtualAddress,
    Vrid,
};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::{Field, Given, Section};
use crate::{address, authentication, keys, peers, timing};

/// What is known of a router, even when some of it is refused: enough to compare it with the others.
pub(crate) struct Router {
    pub(crate) name: Given<String>,
    pub(crate) interface: Option<Given<String>>,
    pub(crate) vrid: Option<Given<Vrid>>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) addresses: Vec<Given<VirtualAddress>>,
    /// Complete, unless an error says why not.
    pub(crate) plan: Option<RouterPlan>,
}

impl Router {
    pub(crate) fn family(&self) -> Option<Family> {
        self.addresses
            .first()
            .map(|first| Family::of(first.value.ip))
    }
}

/// Reads `[virtual-router.NAME]`.
pub(crate) fn read(
    name: Given<String>,
    table: &DeTable<'_>,
    findings: &mut Vec<Finding>,
) -> Router {
    check_name(&name, findings);
    let section = Section {
        table,
        head: name.span.clone(),
    };
    check_keys(&section, findings);

    let interface = required(
        &section,
        "interface",
        "interface = \"eth0\"",
        findings,
        |section, findings| {
            section
                .string("interface", "eth0", findings)
                .and_then(|given| check_interface(given, findings))
        },
    );
    let vrid = required(
        &section,
        "vrid",
        "vrid = 51",
        findings,
        |section, findings| {
            section
                .integer("vrid", 51, findings)
                .and_then(|given| check_vrid(given, findings))
        },
    );
    let protocol = section
        .string("protocol", "vrrpv3", findings)
        .and_then(|given| check_protocol(given, findings));
    let dialect = protocol.or(Dialect::Vrrp3);
    let priority = section
        .integer("priority", 100, findings)
        .and_then(|given| check_priority(given, findings));
    let interval = timing::interval(&section, dialect, findings);
    let addresses = required(
        &section,
        "addresses",
        "addresses = [\"192.0.2.254/24\"]",
        findings,
        |section, findings| section.strings("addresses", "192.0.2.254/24", findings),
    );
    let addresses = check_addresses(
        addresses,
        vrid.as_ref().map(|vrid| vrid.value),
        dialect,
        findings,
    );
    let family = addresses.first().map(|first| Family::of(first.value.ip));
    let preempt = section.boolean("preempt", findings);
    let preempt_delay = timing::preempt_delay(&section, findings);
    let accept = section.boolean("accept-mode", findings);
    let virtual_mac = section.boolean("virtual-mac", findings);
    let checksum = read_checksum(&section, dialect, family, findings);
    let authentication = read_authentication(&section, &protocol, findings);
    let unicast = section.strings("unicast-peers", "192.0.2.2", findings);
    let unicast_peers = unicast.given().map_or_else(Vec::new, |list| {
        peers::read(&list.value, &addresses, findings)
    });
    let announce_refresh = timing::announce_refresh(&section, findings);

    if let Some(delay) = preempt_delay.given()
        && !delay.value.is_zero()
        && let Some(off) = preempt.given().filter(|preempt| !preempt.value)
    {
        findings.push(
            Finding::error(
                code::PREEMPT_DELAY,
                delay.span.clone(),
                "`preempt-delay` without preemption",
            )
            .label("delays nothing")
            .related(off.span.clone(), "preemption is off")
            .help("remove `preempt-delay`, or write `preempt = true`"),
        );
    }
    if let Some(owner) = priority
        .given()
        .filter(|priority| priority.value.is_owner())
    {
        warn_owner(
            &owner.span,
            &addresses,
            &preempt,
            &preempt_delay,
            &accept,
            findings,
        );
    }
    if let Some(list) = unicast.given()
        && !unicast_peers.is_empty()
        && virtual_mac.or(true) == Some(true)
    {
        findings.push(
            Finding::warning(code::UNICAST_MAC, list.span.clone(), "unicast advertisements are sent from the interface's own MAC address")
                .label("not from the virtual one")
                .help("if the network does not deliver frames for other MAC addresses, as in most clouds, write `virtual-mac = false`"),
        );
    }

    let plan = || {
        Some(RouterPlan {
            name: name.value.clone(),
            interface: interface.as_ref()?.value.clone(),
            vrid: vrid.as_ref()?.value,
            dialect: dialect?,
            family: family?,
            priority: priority.or(Priority::DEFAULT)?,
            interval: interval.or(Interval::DEFAULT)?,
            addresses: addresses.iter().map(|given| given.value).collect(),
            preempt: preempt.or(true)?,
            preempt_delay: preempt_delay.or(Duration::ZERO)?,
            accept: accept.or(true)?,
            virtual_mac: virtual_mac.or(true)?,
            checksum: checksum?,
            authentication: authentication.or(None)?,
            unicast_peers,
            announce_refresh: announce_refresh?,
        })
    };
    let plan = plan();
    Router {
        name,
        interface,
        vrid,
        dialect,
        addresses,
        plan,
    }
}

/// A key without which there is no router.
fn required<'t, T>(
    section: &Section<'t>,
    key: &str,
    example: &str,
    findings: &mut Vec<Finding>,
    read: impl FnOnce(&Section<'t>, &mut Vec<Finding>) -> Field<T>,
) -> Option<Given<T>> {
    match read(section, findings) {
        Field::Given(given) => Some(given),
        Field::Refused => None,
        Field::Absent => {
            findings.push(
                Finding::error(
                    code::MISSING_KEY,
                    section.head.clone(),
                    format!("`{key}` is missing"),
                )
                .label(format!("this virtual router has no `{key}`"))
                .help(format!("add for example `{example}`")),
            );
            None
        }
    }
}

fn check_name(name: &Given<String>, findings: &mut Vec<Finding>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let help = if name.value.chars().count() > 32 {
        "a name has at most 32 characters"
    } else if name.value.is_empty() {
        "give it a name, such as [virtual-router.lan4]"
    } else if !name.value.chars().all(plain) {
        "a name consists of letters, digits, `.`, `_` and `-`"
    } else {
        return;
    };
    let message = format!(
        "\"{}\" cannot be the name of a virtual router",
        excerpt(&name.value)
    );
    findings.push(
        Finding::error(code::NAME, name.span.clone(), message)
            .label("not a name")
            .help(help),
    );
}

fn check_keys(section: &Section<'_>, findings: &mut Vec<Finding>) {
    for (key, value) in section.table {
        let name = key.get_ref().as_ref();
        if keys::ROUTER.contains(&name) {
            continue;
        }
        let finding = keys::unknown(name, key.span(), &keys::ROUTER, "a virtual router");
        // [virtual-router.lan.4] is a table `4` in a router `lan`, which nobody wants.
        findings.push(
            if finding.code == code::UNKNOWN_KEY
                && value.get_ref().is_table()
                && keys::nearest(name, &keys::ROUTER).is_none()
            {
                Finding::error(
                    code::UNKNOWN_TABLE,
                    key.span(),
                    format!("unknown table `{}` in a virtual router", excerpt(name)),
                )
                .label("a table within a table")
                .help("a name that contains a dot stands in quotes: [virtual-router.\"lan.4\"]")
            } else {
                finding
            },
        );
    }
}

fn check_interface(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<String> {
    let name = given.value;
    let help = if name.is_empty() {
        "write the name of the interface, such as \"eth0\""
    } else if name.len() > 15 {
        "Linux allows 15 bytes"
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "a name has no blanks; each virtual router has one interface"
    } else if name.contains(['/', ':', '%']) {
        "a name has no `/`, `:` or `%`"
    } else if matches!(name, "." | "..") {
        "write the name that `ip link` shows"
    } else {
        return Some(name.to_owned());
    };
    let message = format!("no interface can be called \"{}\"", excerpt(name));
    findings.push(
        Finding::error(code::INTERFACE, given.span.clone(), message)
            .label("not an interface name")
            .help(help),
    );
    None
}

fn check_vrid(given: &Given<i64>, findings: &mut Vec<Finding>) -> Option<Vrid> {
    let vrid = u8::try_from(given.value).ok().and_then(Vrid::new);
    if vrid.is_none() {
        findings.push(
            Finding::error(code::VRID, given.span.clone(), "`vrid` is out of range")
                .label("expected 1 to 255")
                .help("all routers that share the addresses use the same number, and no others on that network do"),
        );
    }
    vrid
}

fn check_priority(given: &Given<i64>, findings: &mut Vec<Finding>) -> Option<Priority> {
    match u8::try_from(given.value) {
        Ok(priority @ 1..) => Some(Priority::new(priority)),
        Ok(0) | Err(_) => {
            let help = if given.value == 0 {
                "0 is sent by an Active that gives up; the lowest priority of a router is 1"
            } else {
                "use 1 to 254; the highest priority becomes Active. 255 is for the owner of the addresses"
            };
            findings.push(
                Finding::error(
                    code::PRIORITY,
                    given.span.clone(),
                    "`priority` is out of range",
                )
                .label("expected 1 to 255")
                .help(help),
            );
            None
        }
    }
}

fn check_protocol(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<Dialect> {
    let span = given.span.clone();
    match given.value {
        "vrrpv3" => return Some(Dialect::Vrrp3),
        "vrrpv2" => return Some(Dialect::Vrrp2),
        "carp" => findings.push(
            Finding::error(
                code::UNSUPPORTED,
                span,
                "this version does not speak CARP yet",
            )
            .label("not yet")
            .help("use \"vrrpv3\" or \"vrrpv2\"; CARP packets of others on the network do no harm"),
        ),
        other => {
            let finding = Finding::error(
                code::CHOICE,
                span,
                format!("unknown protocol \"{}\"", excerpt(other)),
            )
            .label("not a protocol");
            let word = other.to_ascii_lowercase();
            findings.push(if word.contains('2') {
                finding.help("did you mean \"vrrpv2\"?")
            } else if word.contains('3') {
                finding.help("did you mean \"vrrpv3\"?")
            } else {
                finding.help("use \"vrrpv3\" (the default) or \"vrrpv2\"")
            });
        }
    }
    None
}

/// Reads the list and applies the rules of the whole list: count, family, order.
fn check_addresses(
    list: Option<Given<Vec<Given<&str>>>>,
    vrid: Option<Vrid>,
    dialect: Option<Dialect>,
    findings: &mut Vec<Finding>,
) -> Vec<Given<VirtualAddress>> {
    let Some(list) = list else { return Vec::new() };
    let error = |code, message: String| Finding::error(code, list.span.clone(), message);
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
    let mut kept = address::consistent(all, findings);
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
        link_local_first(&mut kept, &list.span, complete, vrid, findings);
    }
    let (most, why) = match family {
        Family::Ipv4 => (address::MOST_IPV4, "the count is one byte"),
        Family::Ipv6 => (
            address::MOST_IPV6,
            "more do not fit into a packet of 1500 bytes",
        ),
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
    list: &Range<usize>,
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
                .help(format!(
                    "write `addresses = [\"{}\", \"{}\", ...]`",
                    link_local.value, first.value
                )),
            );
        }
        // An address that could not be read may have been the link-local one.
        None if !complete => {}
        None => {
            let Some(vrid) = vrid else { return };
            let derived = address::derived(vrid);
            findings.push(
                Finding::warning(code::DERIVED, list.clone(), format!("no link-local address is listed; {derived} is used, derived from the VRID"))
                    .label("none in fe80::/10")
                    .help(format!("all routers of the pair must use the same one; to choose it, begin the list with it: [\"{derived}\", ...]")),
            );
            kept.insert(
                0,
                Given {
                    value: derived,
                    span: list.clone(),
                },
            );
        }
    }
}

fn read_checksum(
    section: &Section<'_>,
    dialect: Option<Dialect>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Option<ChecksumPolicy> {
    let form = section
        .string("checksum", "auto", findings)
        .and_then(|given| match given.value {
            "auto" => Some(None),
            "rfc9568" => Some(Some(ChecksumForm::Rfc9568)),
            "rfc5798" => Some(Some(ChecksumForm::Rfc5798)),
            other => {
                findings.push(
                    Finding::error(
                        code::CHOICE,
                        given.span.clone(),
                        format!("unknown checksum form \"{}\"", excerpt(other)),
                    )
                    .label("not a form")
                    .help("use \"auto\" (the default), \"rfc9568\" or \"rfc5798\""),
                );
                None
            }
        });
    let strict = section.boolean("checksum-strict", findings);
    let why = match (dialect, family) {
        (Some(Dialect::Vrrp2), _) => Some("VRRPv2 has one checksum form"),
        (_, Some(Family::Ipv6)) => Some("IPv6 has one checksum form"),
        (Some(Dialect::Vrrp3) | None, Some(Family::Ipv4) | None) => None,
    };
    if let Some(why) = why {
        let chosen = [
            (
                "checksum",
                form.given()
                    .filter(|form| form.value.is_some())
                    .map(|form| &form.span),
            ),
            (
                "checksum-strict",
                strict
                    .given()
                    .filter(|strict| strict.value)
                    .map(|strict| &strict.span),
            ),
        ];
        for (key, span) in chosen {
            let Some(span) = span else { continue };
            findings.push(
                Finding::error(
                    code::CHECKSUM,
                    span.clone(),
                    format!("`{key}` has no meaning here"),
                )
                .label(why)
                .help("remove it: there is a choice only on VRRPv3 with IPv4"),
            );
        }
    } else if let Some(sent) = form
        .given()
        .filter(|form| form.value == Some(ChecksumForm::Rfc5798))
        && let Some(strict) = strict.given().filter(|strict| strict.value)
    {
        findings.push(
            Finding::error(
                code::CHECKSUM,
                strict.span.clone(),
                "`checksum-strict` refuses the form that `checksum` sends",
            )
            .label("accepts rfc9568 only")
            .related(sent.span.clone(), "sends the other form")
            .help("write `checksum-strict = false`, or `checksum = \"rfc9568\"`"),
        );
    }
    Some(ChecksumPolicy {
        send: form.or(None)?,
        strict: strict.or(false)?,
    })
}

fn read_authentication(
    section: &Section<'_>,
    protocol: &Field<Dialect>,
    findings: &mut Vec<Finding>,
) -> Field<Option<vrrp_proto::AuthenticationKey>> {
    let Some(value) = section.value("authentication") else {
        return Field::Absent;
    };
    if protocol.or(Dialect::Vrrp3) == Some(Dialect::Vrrp3) {
        let mut finding = Finding::error(code::AUTHENTICATION, value.span(), "VRRPv3 has no authentication")
            .label("never sent")
            .help("remove it, or write `protocol = \"vrrpv2\"` if all routers of the pair do; RFC 9568, section 9 says why it is gone");
        if let Some(protocol) = protocol.given() {
            finding = finding.related(protocol.span.clone(), "VRRPv3 here");
        }
        findings.push(finding);
    }
    match authentication::read(value, findings) {
        Some(key) => Field::Given(Given {
            value: Some(key),
            span: value.span(),
        }),
        None => Field::Refused,
    }
}

fn warn_owner(
    span: &Range<usize>,
    addresses: &[Given<VirtualAddress>],
    preempt: &Field<bool>,
    preempt_delay: &Field<Duration>,
    accept: &Field<bool>,
    findings: &mut Vec<Finding>,
) {
    let example = addresses.last().map_or_else(
        || "each of them".to_owned(),
        |given| given.value.to_string(),
    );
    findings.push(
        Finding::warning(
            code::OWNER,
            span.clone(),
            "priority 255 makes this router the owner of the addresses",
        )
        .label("the owner")
        .help(format!(
            "the interface itself must have {example}; otherwise use a priority of at most 254"
        )),
    );
    let ignored = [
        (
            "preempt",
            preempt
                .given()
                .filter(|preempt| !preempt.value)
                .map(|given| &given.span),
            "an owner always preempts",
        ),
        (
            "preempt-delay",
            preempt_delay
                .given()
                .filter(|delay| !delay.value.is_zero())
                .map(|given| &given.span),
            "an owner preempts at once",
        ),
        (
            "accept-mode",
            accept
                .given()
                .filter(|accept| !accept.value)
                .map(|given| &given.span),
            "an owner always accepts",
        ),
    ];
    for (key, given, label) in ignored {
        let Some(given) = given else { continue };
        findings.push(
            Finding::warning(
                code::OWNER_IGNORES,
                given.clone(),
                format!("`{key}` has no effect on the owner"),
            )
            .label(label)
            .related(span.clone(), "the owner")
            .help("remove it, or use a priority of at most 254"),
        );
    }
}
