//! A plan as a file would say it: what runs, in the words of who wrote it.

use std::fmt::{Display, Write};
use std::time::Duration;

use vrrp_proto::carp::{CarpPlan, Profile, Sealing};
use vrrp_proto::following::{Fate, Following, FollowingAddress, MAIN_TABLE, Prefix, Route, Rule};
use vrrp_proto::{ChecksumForm, DataPlane, Dialect, Family, Plan, RouterPlan};

use crate::duration::show;
use crate::gate;
use crate::keys;
use crate::track_listing::{references, tracker_settings};

/// Stands for a secret. It has more than eight bytes, so a file that was made of a listing is refused and not run with it.
pub const HIDDEN: &str = "<not shown>";

/// The same for a passphrase, which has nineteen bytes at most.
const HIDDEN_PASSPHRASE: &str = "<the passphrase is not shown>";

/// A key of a router or a tracker with its value in TOML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The word.
    pub key: &'static str,
    /// What stands behind `=`, without a secret.
    pub value: String,
    /// Whether the same holds when nobody says it.
    pub is_default: bool,
}

/// All keys that have a meaning for `router`, in the order of the reference.
#[must_use]
pub fn settings(router: &RouterPlan) -> Vec<Setting> {
    let plain = RouterPlan::new("", "", router.vrid, router.family, Vec::new());
    let mut all = Vec::new();
    let mut given = |key, value: String| {
        all.push(Setting {
            key,
            value,
            is_default: false,
        });
    };
    given("interface", quoted(&router.interface));
    let number = router.carp.map_or("vrid", |_| "vhid");
    given(number, router.vrid.get().to_string());
    given("addresses", list(&router.addresses));
    let mut or = |key, value: String, default: String| {
        all.push(Setting {
            key,
            is_default: value == default,
            value,
        });
    };
    let mut both = |key, of: &dyn Fn(&RouterPlan) -> String| or(key, of(router), of(&plain));
    both("protocol", &|it| quoted(it.dialect.name()));
    if let Some(carp) = &router.carp {
        let base = |it: &RouterPlan| it.interval.duration().as_secs().to_string();
        both("advbase", &base);
        both("advskew", &|it| {
            it.carp.map_or(0, |carp| carp.advskew).to_string()
        });
        both("carp-profile", &|it| {
            quoted(
                it.carp
                    .map_or_else(Profile::default, |carp| carp.profile)
                    .name(),
            )
        });
        let of = |it: &RouterPlan| it.carp.unwrap_or(CarpPlan::new(0, carp.passphrase));
        both("carp-link-local", &|it| quoted(of(it).link_local.name()));
        both("carp-grace", &|it| span(of(it).grace));
        both("carp-seal", &|it| quoted(of(it).sealing.name()));
        if carp.sealing != Sealing::Off {
            both("carp-seal-window", &|it| span(of(it).window));
        }
        let CarpPlan {
            advskew: _,
            passphrase: _,
            profile: _,
            link_local: _,
            grace: _,
            sealing: _,
            window: _,
        } = carp;
    } else {
        both("priority", &|it| it.priority.get().to_string());
        both("advertise-interval", &|it| span(it.interval.duration()));
    }
    both("preempt", &|it| it.preempt.to_string());
    if router.preempt {
        both("preempt-delay", &|it| span(it.preempt_delay));
        both("preempt-when", &|it| {
            list(&it.preempt_when.as_ref().map_or_else(Vec::new, gate::words))
        });
        if router.preempt_when.is_some() {
            let timeout = |it: &RouterPlan| it.preempt_when.as_ref().map(|when| when.timeout);
            both("preempt-when-timeout", &|it| {
                span(timeout(it).unwrap_or(gate::TIMEOUT))
            });
        }
    }
    both("accept-mode", &|it| it.accept.to_string());
    both("virtual-mac", &|it| it.virtual_mac.to_string());
    if router.virtual_mac {
        both("data-plane", &|it| match it.data_plane {
            DataPlane::Macvlan => quoted("auto"),
            DataPlane::Ebpf => quoted("ebpf"),
        });
    }
    both("announce-refresh", &|it| {
        span(it.announce_refresh.unwrap_or_default())
    });
    if router.dialect == Dialect::Vrrp3 && router.family == Family::Ipv4 {
        both("checksum", &|it| {
            quoted(match it.checksum.send {
                None => "auto",
                Some(ChecksumForm::Rfc9568) => "rfc9568",
                Some(ChecksumForm::Rfc5798) => "rfc5798",
            })
        });
        both("checksum-strict", &|it| it.checksum.strict.to_string());
    }
    both("unicast-peers", &|it| list(&it.unicast_peers));
    both("track", &|it| {
        references(it.track.iter().filter(|track| !track.by_group))
    });
    let Following {
        addresses,
        routes,
        rules,
    } = &router.following;
    let mut follows = |key, elements: Vec<String>| {
        all.push(Setting {
            key,
            is_default: elements.is_empty(),
            value: format!("[{}]", elements.join(", ")),
        });
    };
    follows(
        "unadvertised-addresses",
        addresses.iter().map(following_address).collect(),
    );
    follows("routes", routes.iter().map(route).collect());
    follows("rules", rules.iter().map(rule).collect());
    if router.carp.is_some() {
        all.push(Setting {
            key: "passphrase",
            value: quoted(HIDDEN_PASSPHRASE),
            is_default: false,
        });
    }
    if router.authentication.is_some() {
        all.push(Setting {
            key: "authentication",
            value: format!("{{ type = \"simple-text\", key = {} }}", quoted(HIDDEN)),
            is_default: false,
        });
    }
    all
}

/// The whole plan; with `defaults`, what nobody said stands there as comments.
#[must_use]
pub fn listing(plan: &Plan, defaults: bool) -> String {
    let mut text = String::new();
    let routers = plan.routers.iter();
    let routers = routers.map(|it| (keys::VIRTUAL_ROUTER, &it.name, settings(it)));
    let trackers = plan.trackers.iter();
    let trackers = trackers.map(|it| (keys::TRACKER_TABLE, &it.name, tracker_settings(it)));
    for (table, name, settings) in routers.chain(trackers) {
        let gap = if text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{gap}[{table}.{}]", bare(name));
        for Setting {
            key,
            value,
            is_default,
        } in settings
        {
            match (is_default, defaults) {
                (false, _) => _ = writeln!(text, "{key} = {value}"),
                (true, true) => _ = writeln!(text, "# {key} = {value}"),
                (true, false) => {}
            }
        }
    }
    for (name, members) in groups(plan) {
        let gap = if text.is_empty() { "" } else { "\n" };
        let mut routers = plan.routers.iter();
        let member = routers.find(|router| router.group.as_deref() == Some(name));
        let track = member.into_iter().flat_map(|router| &router.track);
        let mut track = track.filter(|track| track.by_group).peekable();
        let name = bare(name);
        let _ = writeln!(
            text,
            "{gap}[{}.{name}]\nmembers = {}",
            keys::GROUP_TABLE,
            list(&members)
        );
        match (track.peek().is_some(), defaults) {
            (true, _) => _ = writeln!(text, "track = {}", references(track)),
            (false, true) => text.push_str("# track = {}\n"),
            (false, false) => {}
        }
    }
    text
}

/// The groups with their members, in the order of their first members.
fn groups(plan: &Plan) -> Vec<(&str, Vec<&str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for router in &plan.routers {
        let Some(name) = router.group.as_deref() else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(&router.name),
            None => groups.push((name, vec![&router.name])),
        }
    }
    groups
}

/// A key that may stand without quotes does.
pub(crate) fn bare(name: &str) -> String {
    if name.contains('.') {
        quoted(name)
    } else {
        name.to_owned()
    }
}

pub(crate) fn span(duration: Duration) -> String {
    quoted(&show(duration))
}

pub(crate) fn list<T: Display>(values: &[T]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|value| quoted(&value.to_string()))
        .collect();
    format!("[{}]", values.join(", "))
}

fn following_address(it: &FollowingAddress) -> String {
    let address = quoted(&it.address.to_string());
    match &it.interface {
        None => address,
        Some(interface) => {
            format!(
                "{{ address = {address}, interface = {} }}",
                quoted(interface)
            )
        }
    }
}

/// Keys and values of a table on one line.
fn table(pairs: Vec<(&str, Option<String>)>) -> String {
    let pairs: Vec<String> = pairs
        .into_iter()
        .filter_map(|(key, value)| Some(format!("{key} = {}", value?)))
        .collect();
    format!("{{ {} }}", pairs.join(", "))
}

fn text(value: Option<impl Display>) -> Option<String> {
    value.map(|value| quoted(&value.to_string()))
}

fn fate(fate: Fate) -> Option<String> {
    text(Some(fate.name()).filter(|_| fate != Fate::default()))
}

fn route(route: &Route) -> String {
    let Route {
        to,
        via,
        interface,
        table: number,
        metric,
        source,
        fate: becomes,
        on_link,
    } = route;
    table(vec![
        ("to", text(Some(to))),
        ("via", text(*via)),
        ("interface", text(interface.as_ref())),
        (
            "table",
            Some(number.to_string()).filter(|_| *number != MAIN_TABLE),
        ),
        ("metric", metric.map(|metric| metric.to_string())),
        ("source", text(*source)),
        ("type", fate(*becomes)),
        ("on-link", on_link.then(|| "true".to_owned())),
    ])
}

fn rule(rule: &Rule) -> String {
    let Rule {
        family,
        priority,
        from,
        to,
        iif,
        oif,
        fwmark,
        table: number,
        fate: becomes,
        suppress_prefix_length,
    } = rule;
    // Something must tell the family.
    let from = from.or_else(|| to.is_none().then(|| Prefix::all(*family)));
    table(vec![
        ("priority", Some(priority.to_string())),
        ("from", text(from)),
        ("to", text(*to)),
        ("iif", text(iif.as_ref())),
        ("oif", text(oif.as_ref())),
        (
            "fwmark",
            fwmark.map(|(mark, mask)| match mask {
                u32::MAX => mark.to_string(),
                _ => quoted(&format!("{mark:#x}/{mask:#x}")),
            }),
        ),
        (
            "table",
            Some(number.to_string()).filter(|_| *becomes == Fate::Unicast),
        ),
        ("type", fate(*becomes)),
        (
            "suppress-prefix-length",
            suppress_prefix_length.map(|length| length.to_string()),
        ),
    ])
}

/// A basic string of TOML. Names of interfaces may have quotes and backslashes in them.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
