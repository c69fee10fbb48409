//! What follows a router: addresses that it does not advertise, routes and rules.

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;
use vrrp_proto::following::{Fate, Following, FollowingAddress, MAIN_TABLE, Prefix, Route, Rule};
use vrrp_proto::{Family, VirtualAddress};

use crate::address::{self, family_name};
use crate::finding::{Finding, excerpt};
use crate::section::{Field, Given, Section, kind, mismatch};
use crate::{code, keys, name};

const ADDRESS_EXAMPLE: &str = "write `unadvertised-addresses = [\"203.0.113.7/32\"]`, or `{ address = \"203.0.113.7/32\", interface = \"eth3\" }` in that list";
const ROUTE_EXAMPLE: &str = "write `routes = [{ to = \"198.51.100.0/24\", via = \"192.0.2.1\" }]`";
const RULE_EXAMPLE: &str =
    "write `rules = [{ from = \"192.0.2.0/24\", table = 200, priority = 1000 }]`";

/// Names of tables that the kernel itself gives.
const TABLES: [(&str, u32); 3] = [("main", MAIN_TABLE), ("local", 255), ("default", 253)];

/// Reads everything that follows a router of this family with these addresses on this interface.
pub(crate) fn read(
    section: &Section<'_>,
    interface: Option<&str>,
    family: Option<Family>,
    addresses: &[Given<VirtualAddress>],
    findings: &mut Vec<Finding>,
) -> Field<Following> {
    let before = errors(findings);
    let following = Following {
        addresses: read_addresses(section, interface, addresses, findings),
        routes: read_routes(section, family, findings),
        rules: read_rules(section, family, findings),
    };
    if errors(findings) > before {
        return Field::Refused;
    }
    Field::Given(Given {
        value: following,
        span: section.head.clone(),
    })
}

fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|it| it.is_error()).count()
}

/// The elements of the list under `key`.
fn elements<'t>(
    section: &Section<'t>,
    key: &str,
    help: &str,
    findings: &mut Vec<Finding>,
) -> &'t [Spanned<DeValue<'t>>] {
    let Some(value) = section.value(key) else {
        return &[];
    };
    match value.get_ref().as_array() {
        Some(array) => array,
        None => {
            findings.push(mismatch(key, value, "a list").help(help));
            &[]
        }
    }
}

/// The table that an element of the list under `key` is.
fn table<'t>(
    key: &str,
    value: &'t Spanned<DeValue<'t>>,
    words: &[&'static str],
    help: &str,
    findings: &mut Vec<Finding>,
) -> Option<Section<'t>> {
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("`{key}` lists {}", kind(value.get_ref()));
        findings.push(
            Finding::error(code::TYPE, value.span(), message)
                .label("expected a table")
                .help(help),
        );
        return None;
    };
    for word in table.keys() {
        if !words.contains(&word.get_ref().as_ref()) {
            let place = format!("`{key}`");
            findings.push(keys::unknown(word.get_ref(), word.span(), words, &place));
        }
    }
    Some(Section {
        table,
        head: value.span(),
    })
}

fn missing(section: &Section<'_>, key: &str, help: &str) -> Finding {
    Finding::error(
        code::MISSING_KEY,
        section.head.clone(),
        format!("`{key}` is missing"),
    )
    .label("incomplete")
    .help(help)
}

fn read_addresses(
    section: &Section<'_>,
    interface: Option<&str>,
    addresses: &[Given<VirtualAddress>],
    findings: &mut Vec<Finding>,
) -> Vec<FollowingAddress> {
    const KEY: &str = "unadvertised-addresses";
    let mut kept: Vec<Given<FollowingAddress>> = Vec::new();
    for value in elements(section, KEY, ADDRESS_EXAMPLE, findings) {
        let (text, on) = if let Some(text) = value.get_ref().as_str() {
            let given = Given {
                value: text,
                span: value.span(),
            };
            (given, Field::Absent)
        } else {
            let words = &keys::UNADVERTISED;
            let Some(inner) = table(KEY, value, words, ADDRESS_EXAMPLE, findings) else {
                continue;
            };
            if inner.value("address").is_none() {
                findings.push(missing(&inner, "address", ADDRESS_EXAMPLE));
            }
            let text = inner.string("address", "203.0.113.7/32", findings);
            let Some(text) = text.into_given() else {
                continue;
            };
            (text, interface_of(&inner, "interface", findings))
        };
        let Some(address) = address::read(&text, findings) else {
            continue;
        };
        let Some(on) = on.or(None) else { continue };
        let place = |on: &Option<String>| on.clone().or(interface.map(str::to_owned));
        let first = addresses
            .iter()
            .filter(|it| it.value.ip == address.ip && place(&on).as_deref() == interface)
            .map(|it| it.span.clone())
            .next()
            .or_else(|| {
                let same = |it: &&Given<FollowingAddress>| {
                    it.value.address.ip == address.ip && place(&it.value.interface) == place(&on)
                };
                kept.iter().find(same).map(|it| it.span.clone())
            });
        if let Some(first) = first {
            let message = format!("{} is listed twice", address.ip);
            findings.push(
                Finding::error(code::ADDRESS_TWICE, text.span.clone(), message)
                    .label("again")
                    .related(first, "first listed here")
                    .help("remove one of the two"),
            );
            continue;
        }
        kept.push(Given {
            value: FollowingAddress {
                address,
                interface: on,
            },
            span: text.span,
        });
    }
    kept.into_iter().map(|given| given.value).collect()
}

fn interface_of(
    section: &Section<'_>,
    key: &str,
    findings: &mut Vec<Finding>,
) -> Field<Option<String>> {
    section
        .string(key, "eth3", findings)
        .and_then(|given| name::check_interface(given, findings).map(Some))
}

fn read_routes(
    section: &Section<'_>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Vec<Route> {
    let mut kept: Vec<Given<Route>> = Vec::new();
    for value in elements(section, "routes", ROUTE_EXAMPLE, findings) {
        let words = &keys::ROUTE;
        let Some(inner) = table("routes", value, words, ROUTE_EXAMPLE, findings) else {
            continue;
        };
        let Some(route) = read_route(&inner, family, findings) else {
            continue;
        };
        let key = |route: &Route| (route.table, route.to, route.priority());
        if let Some(first) = kept.iter().find(|it| key(&it.value) == key(&route)) {
            let message = format!("a second route to {} in one table", route.to);
            findings.push(
                Finding::error(code::ROUTE, value.span(), message)
                    .label("again, with the same metric")
                    .related(first.span.clone(), "the first")
                    .help("give them different metrics, of which the lowest counts, or remove one"),
            );
            continue;
        }
        kept.push(Given {
            value: route,
            span: value.span(),
        });
    }
    kept.into_iter().map(|given| given.value).collect()
}

fn read_route(
    section: &Section<'_>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Option<Route> {
    let before = errors(findings);
    let via = host(section, "via", findings);
    let source = host(section, "source", findings);
    let near = via
        .given()
        .or(source.given())
        .map(|it| Family::of(it.value));
    let to = network(section, "to", near.or(family), findings);
    if matches!(to, Field::Absent) {
        findings.push(missing(section, "to", ROUTE_EXAMPLE));
    }
    let interface = interface_of(section, "interface", findings);
    let table = table_of(section, findings);
    let metric = number(section, "metric", u32::MAX, findings);
    let fate = fate(section, findings);
    let on_link = section.boolean("on-link", findings);
    let to_given = to.given()?;
    for (key, given) in [("via", via.given()), ("source", source.given())] {
        if let Some(given) = given
            && Family::of(given.value) != to_given.value.family()
        {
            let (one, other) = (Family::of(given.value), to_given.value.family());
            let message = format!("`{key}` is of another family than `to`");
            findings.push(
                Finding::error(code::ROUTE, given.span.clone(), message)
                    .label(format!("{} here", family_name(one)))
                    .related(
                        to_given.span.clone(),
                        format!("{} here", family_name(other)),
                    )
                    .help("a route is about one family"),
            );
        }
    }
    let error = |span, message: &str| Finding::error(code::ROUTE, span, message);
    let sends = fate.or(Fate::Unicast) == Some(Fate::Unicast);
    let absent = |key| section.value(key).is_none();
    if !sends && fate.given().is_some() {
        for key in ["via", "interface", "source", "on-link"] {
            if !absent(key) {
                findings.push(
                    error(
                        section.place(key),
                        "a route that drops packets leads nowhere",
                    )
                    .label(format!("`{key}` has no meaning here"))
                    .help("remove it, or write `type = \"unicast\"`"),
                );
            }
        }
    } else if absent("via") && absent("interface") && sends {
        findings.push(
            error(section.head.clone(), "a route that leads nowhere")
                .label("neither `via` nor `interface`")
                .help("add the next hop, such as `via = \"192.0.2.1\"`, or the `interface` on which everybody is reached; to drop packets, write `type = \"blackhole\"`"),
        );
    }
    if let Some(via) = via.given()
        && address::is_link_local_ip(via.value)
        && absent("interface")
    {
        findings.push(
            error(
                via.span.clone(),
                "a link-local next hop without an interface",
            )
            .label("on which link?")
            .help("add `interface = \"eth0\"`, the one that the next hop is on"),
        );
    }
    if on_link.or(false) == Some(true) && sends && (absent("via") || absent("interface")) {
        findings.push(
            error(
                section.place("on-link"),
                "`on-link` without `via` and `interface`",
            )
            .label("says that the one is on the other")
            .help("add what is missing, or remove `on-link`"),
        );
    }
    if errors(findings) > before {
        return None;
    }
    Some(Route {
        to: to_given.value,
        via: via.given().map(|it| it.value),
        interface: interface.or(None)?,
        table: table.or(MAIN_TABLE)?,
        metric: metric.given().map(|it| it.value),
        source: source.given().map(|it| it.value),
        fate: fate.or(Fate::Unicast)?,
        on_link: on_link.or(false)?,
    })
}

fn read_rules(
    section: &Section<'_>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Vec<Rule> {
    let mut kept: Vec<Given<Rule>> = Vec::new();
    for value in elements(section, "rules", RULE_EXAMPLE, findings) {
        let words = &keys::RULE;
        let Some(inner) = table("rules", value, words, RULE_EXAMPLE, findings) else {
            continue;
        };
        let Some(rule) = read_rule(&inner, family, findings) else {
            continue;
        };
        if let Some(first) = kept.iter().find(|it| it.value == rule) {
            findings.push(
                Finding::error(code::RULE, value.span(), "a rule is listed twice")
                    .label("again")
                    .related(first.span.clone(), "first listed here")
                    .help("remove one of the two"),
            );
            continue;
        }
        kept.push(Given {
            value: rule,
            span: value.span(),
        });
    }
    kept.into_iter().map(|given| given.value).collect()
}

fn read_rule(
    section: &Section<'_>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Option<Rule> {
    let before = errors(findings);
    let from = network(section, "from", family, findings);
    let to = network(section, "to", family, findings);
    let iif = interface_of(section, "iif", findings);
    let oif = interface_of(section, "oif", findings);
    let fwmark = mark(section, findings);
    let table = table_of(section, findings);
    let priority = number(section, "priority", u32::MAX, findings);
    let fate = fate(section, findings);
    let suppress = number(section, "suppress-prefix-length", 128, findings);
    if section.value("priority").is_none() {
        findings.push(missing(section, "priority", "write `priority = 1000`: rules are asked in the order of this number, and the main table is asked at 32766"));
    }
    let error = |span, message: &str| Finding::error(code::RULE, span, message);
    let looks = fate.or(Fate::Unicast) == Some(Fate::Unicast);
    if looks && section.value("table").is_none() {
        findings.push(missing(section, "table", "write `table = 200`, where a route is looked for; to drop packets, write `type = \"blackhole\"`"));
    }
    for key in ["table", "suppress-prefix-length"] {
        if fate.given().is_some() && !looks && section.value(key).is_some() {
            findings.push(
                error(
                    section.place(key),
                    "a rule that drops packets looks for no route",
                )
                .label(format!("`{key}` has no meaning here"))
                .help("remove it, or remove `type`"),
            );
        }
    }
    if let (Some(from), Some(to)) = (from.given(), to.given())
        && from.value.family() != to.value.family()
    {
        findings.push(
            error(to.span.clone(), "`to` is of another family than `from`")
                .label(format!("{} here", family_name(to.value.family())))
                .related(
                    from.span.clone(),
                    format!("{} here", family_name(from.value.family())),
                )
                .help("make two rules, one for each family"),
        );
    }
    if errors(findings) > before {
        return None;
    }
    let near = from.given().or(to.given()).map(|it| it.value.family());
    let some = |prefix: &Field<Prefix>| {
        let given = prefix.given().map(|it| it.value);
        given.filter(|prefix| prefix.len > 0)
    };
    Some(Rule {
        family: near.or(family)?,
        priority: priority.given()?.value,
        from: some(&from),
        to: some(&to),
        iif: iif.or(None)?,
        oif: oif.or(None)?,
        fwmark: fwmark.given().map(|it| it.value),
        table: if looks { table.given()?.value } else { 0 },
        fate: fate.or(Fate::Unicast)?,
        suppress_prefix_length: suppress.given().and_then(|it| u8::try_from(it.value).ok()),
    })
}

/// An address without a prefix length.
fn host(section: &Section<'_>, key: &str, findings: &mut Vec<Finding>) -> Field<IpAddr> {
    section
        .string(key, "192.0.2.1", findings)
        .and_then(|given| {
            if let Ok(ip) = given.value.parse::<IpAddr>()
                && !ip.is_multicast()
                && !ip.is_unspecified()
            {
                return Some(ip);
            }
            let message = format!("\"{}\" is not the address of a host", excerpt(given.value));
            let finding = Finding::error(code::ADDRESS, given.span.clone(), message);
            let bare = given.value.split_once('/').map(|(bare, _)| bare);
            findings.push(match bare.and_then(|bare| bare.parse::<IpAddr>().ok()) {
                Some(bare) => finding
                    .label("with a prefix length")
                    .help(format!("write `{key} = \"{bare}\"`")),
                None => finding
                    .label("expected one address")
                    .help(format!("write for example `{key} = \"192.0.2.1\"`")),
            });
            None
        })
}

/// A network, an address, or `default`, which is everything of the family that is known from elsewhere.
fn network(
    section: &Section<'_>,
    key: &str,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Field<Prefix> {
    section
        .string(key, "198.51.100.0/24", findings)
        .and_then(|given| {
            let text = given.value;
            if matches!(text, "default" | "all" | "any") {
                return family.map(Prefix::all);
            }
            let (address, length) = match text.split_once('/') {
                Some((address, length)) => (address, Some(length)),
                None => (text, None),
            };
            let refuse = |code, message: String| Finding::error(code, given.span.clone(), message);
            let Ok(ip) = address.parse::<IpAddr>() else {
                let message = format!("\"{}\" is not a network", excerpt(text));
                findings.push(
                    refuse(code::ADDRESS, message)
                        .label("expected address/length")
                        .help(format!(
                            "write for example `{key} = \"198.51.100.0/24\"`, or \"default\" for everything"
                        )),
                );
                return None;
            };
            let bits = u8::try_from(Family::of(ip).address_len() * 8).unwrap_or(u8::MAX);
            let digits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
            let length = match length {
                None => Some(bits),
                Some(length) => Some(length)
                    .filter(digits)
                    .and_then(|length| length.parse::<u8>().ok()),
            };
            let Some(prefix) = length.and_then(|length| Prefix::of(ip, length)) else {
                let message = format!("\"{}\" has no valid prefix length", excerpt(text));
                findings.push(
                    refuse(code::PREFIX, message)
                        .label(format!("expected a length from 0 to {bits}"))
                        .help(format!("write for example `{key} = \"198.51.100.0/24\"`")),
                );
                return None;
            };
            if prefix.network != ip {
                let message = format!("{text} is an address in a network, not a network");
                findings.push(
                    refuse(code::PREFIX, message)
                        .label(format!("bits are set behind the first {}", prefix.len))
                        .help(format!("did you mean \"{prefix}\", or \"{ip}/{bits}\"?")),
                );
                return None;
            }
            Some(prefix)
        })
}

fn number(section: &Section<'_>, key: &str, most: u32, findings: &mut Vec<Finding>) -> Field<u32> {
    section.integer(key, 100, findings).and_then(|given| {
        let number = u32::try_from(given.value).ok();
        let number = number.filter(|number| *number <= most);
        if number.is_none() {
            let message = format!("`{key}` is out of range");
            findings.push(
                Finding::error(code::CHOICE, given.span.clone(), message)
                    .label(format!("expected 0 to {most}"))
                    .help(format!("write for example `{key} = 100`")),
            );
        }
        number
    })
}

/// A number, or one of the names that the kernel itself gives.
fn table_of(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<u32> {
    let Some(value) = section.value("table") else {
        return Field::Absent;
    };
    let Some(text) = value.get_ref().as_str() else {
        return number(section, "table", u32::MAX, findings).and_then(|given| {
            if given.value == 0 {
                findings.push(
                    Finding::error(code::CHOICE, given.span.clone(), "there is no table 0")
                        .label("expected a number from 1")
                        .help("the main table is 254, and what holds without `table`"),
                );
            }
            Some(given.value).filter(|table| *table > 0)
        });
    };
    let known = TABLES.into_iter().find(|(name, _)| *name == text);
    match known {
        Some((_, number)) => Field::Given(Given {
            value: number,
            span: value.span(),
        }),
        None => {
            let message = format!("\"{}\" is not a table of the kernel", excerpt(text));
            findings.push(
                Finding::error(code::CHOICE, value.span(), message)
                    .label("names of tables are not looked up")
                    .help("write its number, which `/etc/iproute2/rt_tables` tells; \"main\" is known"),
            );
            Field::Refused
        }
    }
}

fn fate(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<Fate> {
    section.string("type", "blackhole", findings).and_then(|given| {
        let fate = Fate::ALL.into_iter().find(|it| it.name() == given.value);
        if fate.is_none() {
            let message = format!("unknown type \"{}\"", excerpt(given.value));
            findings.push(
                Finding::error(code::CHOICE, given.span.clone(), message)
                    .label("not one of them")
                    .help("use \"unicast\" (the default), \"blackhole\", \"unreachable\" or \"prohibit\""),
            );
        }
        fate
    })
}

/// A mark, as a number or as `"0x10/0xff"`.
fn mark(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<(u32, u32)> {
    const HELP: &str = "write `fwmark = 16`, or `fwmark = \"0x10/0xff\"` for some of its bits";
    let Some(value) = section.value("fwmark") else {
        return Field::Absent;
    };
    let Some(text) = value.get_ref().as_str() else {
        return number(section, "fwmark", u32::MAX, findings)
            .and_then(|it| Some((it.value, u32::MAX)));
    };
    let read = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse::<u32>().ok(),
    };
    let both = match text.split_once('/') {
        Some((mark, mask)) => read(mark).zip(read(mask)),
        None => read(text).map(|mark| (mark, u32::MAX)),
    };
    if let Some((mark, mask)) = both.filter(|(mark, mask)| mark & mask == *mark && *mask > 0) {
        return Field::Given(Given {
            value: (mark, mask),
            span: value.span(),
        });
    }
    let message = format!("\"{}\" is not a mark", excerpt(text));
    findings.push(
        Finding::error(code::CHOICE, value.span(), message)
            .label("expected a mark, or a mark and a mask that holds it")
            .help(HELP),
    );
    Field::Refused
}
