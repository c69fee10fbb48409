//! One virtual router: its keys, and what they must have to do with each other.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;
use vrrp_proto::{
    ChecksumPolicy, Dialect, Family, Following, Interval, Priority, RouterPlan, Track,
    VirtualAddress, Vrid,
};

use crate::finding::{Finding, excerpt};
use crate::place::Place;
use crate::section::{Field, Given, Section};
use crate::{
    addresses, authentication, carp, checksum, code, following, gate, keys, name, peers, plane,
    timing, track,
};

/// What is known of a router, even when some of it is refused: enough to compare it with the others.
pub(crate) struct Router {
    pub(crate) name: Given<String>,
    pub(crate) interface: Option<Given<String>>,
    pub(crate) vrid: Option<Given<Vrid>>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) addresses: Vec<Given<VirtualAddress>>,
    /// Complete, unless an error says why not.
    pub(crate) plan: Option<RouterPlan>,
    /// The trackers it refers to.
    pub(crate) track: Vec<Given<Track>>,
    pub(crate) place: Place,
}

impl Router {
    /// The families for which it is the one with its identifier. CARP's virtual MAC address is from the block of IPv4.
    pub(crate) fn families(&self) -> Vec<Family> {
        let carp = self.dialect == Some(Dialect::Carp);
        let of = |family: &Family| {
            let mut addresses = self.addresses.iter();
            let there = addresses.any(|given| Family::of(given.value.ip) == *family);
            there || (carp && *family == Family::Ipv4 && !self.addresses.is_empty())
        };
        [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .filter(of)
            .collect()
    }
}

/// Reads `[virtual-router.NAME]`.
pub(crate) fn read(
    name: Given<String>,
    table: &DeTable<'_>,
    findings: &mut Vec<Finding>,
) -> Router {
    name::check_router(&name, findings);
    let section = Section {
        table,
        head: name.span.clone(),
    };
    check_keys(&section, findings);
    carp::check_keys(&section, findings);
    check_required(&section, findings);
    let speaks_carp = carp::is_spoken(&section);

    let interface = section
        .string("interface", "eth0", findings)
        .and_then(|given| name::check_interface(given, findings))
        .into_given();
    let number = if speaks_carp { "vhid" } else { "vrid" };
    let vrid = section
        .integer(number, 51, findings)
        .and_then(|given| check_vrid(number, given, findings))
        .into_given();
    let version_2 = section
        .value("protocol")
        .and_then(|value| value.get_ref().as_integer())
        .is_some_and(|n| n.as_str() == "2");
    let protocol = section
        .string(
            "protocol",
            if version_2 { "vrrpv2" } else { "vrrpv3" },
            findings,
        )
        .and_then(|given| check_protocol(given, findings));
    let dialect = protocol.or(Dialect::Vrrp3);
    let carp = speaks_carp
        .then(|| carp::read(&section, findings))
        .flatten();
    let (priority, interval) = if speaks_carp {
        (Field::Absent, carp::advbase(&section, findings))
    } else {
        let priority = section
            .integer("priority", 100, findings)
            .and_then(|given| check_priority(given, findings));
        (priority, timing::interval(&section, dialect, findings))
    };
    let addresses = section
        .strings("addresses", "192.0.2.254/24", findings)
        .into_given();
    let vrid_value = vrid.as_ref().map(|vrid| vrid.value);
    let addresses = addresses::read(&section, addresses, vrid_value, dialect, findings);
    let family = addresses.first().map(|first| Family::of(first.value.ip));
    let preempt = section.boolean("preempt", findings);
    let preempt_delay = timing::preempt_delay(&section, findings);
    let mut awaited = Vec::new();
    let preempt_when = gate::read(&section, &preempt, &mut awaited, findings);
    let accept = section.boolean("accept-mode", findings);
    let virtual_mac = section.boolean("virtual-mac", findings);
    let data_plane = plane::read(&section, &virtual_mac, findings);
    let (checksum, authentication) = if speaks_carp {
        (Some(ChecksumPolicy::default()), Field::Absent)
    } else {
        let checksum = checksum::read(&section, dialect, family, findings);
        let authentication = authentication::read(&section, &protocol, findings);
        (checksum, authentication)
    };
    let unicast = section.strings("unicast-peers", "192.0.2.2", findings);
    let unicast_peers = unicast.given().map_or_else(Vec::new, |list| {
        peers::read(&list.value, &addresses, findings)
    });
    let announce_refresh = timing::announce_refresh(&section, findings);
    let on = interface.as_ref().map(|given| given.value.as_str());
    let following = following::read(&section, on, family, &addresses, findings);
    let references = track::read(&section, findings);

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
            &references,
            findings,
        );
    }
    if !unicast_peers.is_empty() && virtual_mac.or(true) == Some(true) {
        findings.push(
            Finding::warning(code::UNICAST_MAC, section.place("unicast-peers"), "unicast advertisements are sent from the interface's own MAC address")
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
            priority: match carp {
                Some(carp) => vrrp_proto::carp::priority(carp.advskew),
                None => priority.or(Priority::DEFAULT)?,
            },
            interval: interval.or(Interval::DEFAULT)?,
            addresses: addresses.iter().map(|given| given.value).collect(),
            preempt: preempt.or(true)?,
            preempt_delay: preempt_delay.or(Duration::ZERO)?,
            preempt_when: preempt_when?,
            accept: accept.or(true)?,
            virtual_mac: virtual_mac.or(true)?,
            data_plane: data_plane?,
            checksum: checksum?,
            authentication: authentication.or(None)?,
            unicast_peers,
            announce_refresh: announce_refresh?,
            track: references
                .or(Vec::new())?
                .into_iter()
                .map(|it| it.value)
                .collect(),
            group: None,
            following: following.or(Following::default())?,
            // Said of hooks.
            pre_active: None,
            carp: if speaks_carp { Some(carp?) } else { None },
        })
    };
    let plan = plan();
    let mut track = references
        .into_given()
        .map_or_else(Vec::new, |list| list.value);
    track.append(&mut awaited);
    Router {
        name,
        interface,
        vrid,
        dialect,
        addresses,
        plan,
        track,
        place: Place::of(&section, &keys::ROUTER),
    }
}

/// Reports the keys without which there is no router, unless another one was meant to be it.
fn check_required(section: &Section<'_>, findings: &mut Vec<Finding>) {
    let names = || section.table.keys().map(|key| key.get_ref().as_ref());
    // [virtual-router.lan.4]: the keys are in the inner table.
    let only_tables = !section.table.is_empty()
        && section
            .table
            .values()
            .all(|value| value.get_ref().is_table());
    let speaks_carp = carp::is_spoken(section);
    let secret = speaks_carp && section.value("passphrase").is_none();
    let secret = secret.then_some((
        "passphrase-file",
        "passphrase-file = \"/etc/vrrpd/carp.key\"",
    ));
    let missing: Vec<(&str, &str)> = [
        ("interface", "interface = \"eth0\""),
        if speaks_carp {
            ("vhid", "vhid = 51")
        } else {
            ("vrid", "vrid = 51")
        },
        ("addresses", "addresses = [\"192.0.2.254/24\"]"),
    ]
    .into_iter()
    .chain(secret)
    .filter(|(key, _)| section.value(key).is_none())
    // What it is called has been said.
    .filter(|(key, _)| *key != "vhid" || section.value("vrid").is_none())
    .filter(|(key, _)| names().all(|name| keys::meant(name, &keys::ROUTER) != Some(key)))
    .collect();
    if missing.is_empty() || only_tables {
        return;
    }
    let (absent, examples): (Vec<&str>, Vec<&str>) = missing.into_iter().unzip();
    let verb = if absent.len() == 1 { "is" } else { "are" };
    findings.push(
        Finding::error(
            code::MISSING_KEY,
            section.head.clone(),
            format!("{} {verb} missing", keys::enumerate(&absent)),
        )
        .label("this virtual router is incomplete")
        .help(format!("add for example {}", keys::enumerate(&examples))),
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

fn cannot_be(key: &str, number: i64) -> String {
    if matches!(number, i64::MIN | i64::MAX) {
        return format!("`{key}` is far out of range");
    }
    format!("`{key}` cannot be {number}")
}

fn check_vrid(key: &str, given: &Given<i64>, findings: &mut Vec<Finding>) -> Option<Vrid> {
    let vrid = u8::try_from(given.value).ok().and_then(Vrid::new);
    if vrid.is_none() {
        findings.push(
            Finding::error(code::VRID, given.span.clone(), cannot_be(key, given.value))
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
                    cannot_be("priority", given.value),
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
        "carp" => return Some(Dialect::Carp),
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
                finding.help("use \"vrrpv3\" (the default), \"vrrpv2\" or \"carp\"")
            });
        }
    }
    None
}

fn warn_owner(
    span: &Range<usize>,
    addresses: &[Given<VirtualAddress>],
    preempt: &Field<bool>,
    preempt_delay: &Field<Duration>,
    accept: &Field<bool>,
    references: &Field<Vec<Given<Track>>>,
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
        (
            "track",
            references
                .given()
                .filter(|references| !references.value.is_empty())
                .map(|given| &given.span),
            "an owner is always Active, and says so",
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
