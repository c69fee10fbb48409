//! The words of the file, and what to say about words that are not among them.

use std::ops::Range;

use crate::code;
use crate::finding::{Finding, excerpt};

/// The table that has the virtual routers.
pub(crate) const VIRTUAL_ROUTER: &str = "virtual-router";

/// The table about the control sockets.
pub(crate) const CONTROL_TABLE: &str = "control";

/// The table that has the sync groups.
pub(crate) const GROUP_TABLE: &str = "group";

/// Keys of a group, in the order of the documentation.
pub(crate) const GROUP: [&str; 2] = ["members", "track"];

/// The table that has the hooks.
pub(crate) const HOOK_TABLE: &str = "hook";

/// The tables at the top of the file.
pub(crate) const TOP: [&str; 5] = [
    VIRTUAL_ROUTER,
    GROUP_TABLE,
    CONTROL_TABLE,
    HOOK_TABLE,
    TRACKER_TABLE,
];

/// Keys of a hook, in the order of the documentation.
pub(crate) const HOOK: [&str; 12] = [
    "type",
    "on",
    "routers",
    "command",
    "arguments",
    "user",
    "capabilities",
    "path",
    "url",
    "timeout",
    "pre-active-timeout",
    "coalesce",
];

/// The table that has the trackers.
pub(crate) const TRACKER_TABLE: &str = "tracker";

/// Keys of every tracker, in the order of the documentation.
pub(crate) const COMMON: [&str; 9] = [
    "type",
    "rise",
    "fall",
    "up-delay",
    "down-delay",
    "start-state",
    "start-timeout",
    "stale-after",
    "stale-state",
];

/// Keys of trackers, each of some types or all, in the order of the documentation.
pub(crate) const TRACKER: [&str; 39] = [
    "type",
    "interface",
    "carrier",
    "prefix",
    "table",
    "protocol",
    "next-hop",
    "address",
    "name",
    "command",
    "count",
    "path",
    "weighted",
    "user",
    "source",
    "loss",
    "port",
    "url",
    "host",
    "status",
    "body",
    "verify",
    "server",
    "record-type",
    "expect",
    "min-interval",
    "desired-min-tx-interval",
    "required-min-rx-interval",
    "local-multiplier",
    "interval",
    "timeout",
    "rise",
    "fall",
    "up-delay",
    "down-delay",
    "start-state",
    "start-timeout",
    "stale-after",
    "stale-state",
];

/// Keys of a reference to a tracker.
pub(crate) const TRACK: [&str; 2] = ["weight", "reverse"];

/// Keys of `control`, in the order of the documentation.
pub(crate) const CONTROL: [&str; 2] = ["group", "read-only-group"];

/// Keys of a virtual router, in the order of the documentation.
pub(crate) const ROUTER: [&str; 32] = [
    "interface",
    "vrid",
    "vhid",
    "protocol",
    "priority",
    "advskew",
    "advertise-interval",
    "advbase",
    "addresses",
    "preempt",
    "preempt-delay",
    "preempt-when",
    "preempt-when-timeout",
    "accept-mode",
    "virtual-mac",
    "data-plane",
    "checksum",
    "checksum-strict",
    "authentication",
    "passphrase",
    "passphrase-file",
    "carp-profile",
    "carp-link-local",
    "carp-grace",
    "carp-seal",
    "carp-seal-window",
    "unicast-peers",
    "announce-refresh",
    "track",
    "unadvertised-addresses",
    "routes",
    "rules",
];

/// Keys of a table in `unadvertised-addresses`.
pub(crate) const UNADVERTISED: [&str; 2] = ["address", "interface"];

/// Keys of a table in `routes`.
pub(crate) const ROUTE: [&str; 8] = [
    "to",
    "via",
    "interface",
    "table",
    "metric",
    "source",
    "type",
    "on-link",
];

/// Keys of a table in `rules`.
pub(crate) const RULE: [&str; 9] = [
    "priority",
    "from",
    "to",
    "iif",
    "oif",
    "fwmark",
    "table",
    "type",
    "suppress-prefix-length",
];

/// Keys of `authentication`.
pub(crate) const AUTHENTICATION: [&str; 2] = ["type", "key"];

/// Words of other programs and of RFC 8347, written with dashes in lower case.
struct Foreign {
    /// Our word for it, if there is one.
    ours: Option<&'static str>,
    words: &'static [&'static str],
    /// What to do; behind "it is called ..." if there is a word of ours.
    advice: &'static str,
}

const fn renamed(
    ours: &'static str,
    words: &'static [&'static str],
    advice: &'static str,
) -> Foreign {
    Foreign {
        ours: Some(ours),
        words,
        advice,
    }
}

const fn other(words: &'static [&'static str], advice: &'static str) -> Foreign {
    Foreign {
        ours: None,
        words,
        advice,
    }
}

#[rustfmt::skip]
const FOREIGN: &[Foreign] = &[
    renamed("vrid", &["virtual-router-id", "router-id", "vrrp-id", "id", "group"], ""),
    renamed("interface", &["dev", "device", "ifname", "iface", "vif", "nic"], ""),
    renamed("priority", &["prio", "base-priority"], ""),
    renamed(
        "advertise-interval",
        &["advert-int", "advertisement-interval", "interval", "adv-interval", "advertise-interval-sec"],
        " and has a unit: `advertise-interval = \"1s\"`",
    ),
    renamed(
        "advertise-interval",
        &["advertise-interval-centi-sec"],
        " and has a unit: 100 centiseconds are `advertise-interval = \"1s\"`",
    ),
    renamed(
        "addresses",
        &[
            "virtual-ipaddress", "virtual-ip", "virtual-ips", "virtual-address", "virtual-addresses", "vip", "vips",
            "ip", "ips", "address", "addr", "virtual-ipv4-address", "virtual-ipv4-addresses",
            "virtual-ipv6-address", "virtual-ipv6-addresses",
        ],
        ": `addresses = [\"192.0.2.254/24\"]`",
    ),
    renamed(
        "unadvertised-addresses",
        &["virtual-ipaddress-excluded", "excluded-addresses", "excluded"],
        ": `unadvertised-addresses = [\"203.0.113.7/32\"]`",
    ),
    renamed("routes", &["virtual-routes"], ": `routes = [{ to = \"198.51.100.0/24\", via = \"192.0.2.1\" }]`"),
    renamed("rules", &["virtual-rules"], ": `rules = [{ from = \"192.0.2.0/24\", table = 200, priority = 1000 }]`"),
    renamed("preempt", &["preemption", "preempt-mode"], ""),
    renamed(
        "preempt-delay",
        &["hold-time", "preempt-hold-time", "preemption-delay"],
        " and has a unit: `preempt-delay = \"30s\"`",
    ),
    renamed(
        "virtual-mac",
        &["use-vmac", "vmac", "use-virtual-mac", "rfc3768-compatibility", "rfc-compatibility", "rfc-compatible"],
        " and is on by default",
    ),
    renamed("accept-mode", &["accept", "accept-data"], " and is on by default"),
    renamed(
        "unicast-peers",
        &["unicast-peer", "peer", "peers", "peer-address", "neighbor"],
        ": `unicast-peers = [\"192.0.2.2\"]`",
    ),
    renamed(
        "announce-refresh",
        &["garp-master-refresh", "garp-refresh", "garp-interval"],
        " and has a unit: `announce-refresh = \"60s\"`",
    ),
    other(
        &["state", "initial-state", "role"],
        "there is no state key: a router starts as Backup, and `priority` decides which one becomes Active",
    ),
    other(&["nopreempt", "no-preempt"], "write `preempt = false`"),
    other(&["no-accept"], "write `accept-mode = false`"),
    other(&["version", "vrrp-version"], "write `protocol = \"vrrpv3\"` or `protocol = \"vrrpv2\"`"),
    other(
        &["auth-type", "auth-pass", "auth", "auth-data", "password", "pass", "secret"],
        "VRRPv2 has `authentication = { type = \"simple-text\", key = \"...\" }`, CARP has `passphrase-file`; VRRPv3 has none",
    ),
    other(
        &["unicast-src-ip", "mcast-src-ip", "hello-source-address", "source-address", "srcip"],
        "the source is always the interface's own address; there is no key for it",
    ),
    other(&["family", "address-family", "afi"], "the family follows from `addresses`"),
    other(&["name", "instance"], "the name stands in the header: [virtual-router.NAME]"),
    other(
        &["enabled", "enable", "disabled", "disable", "shutdown"],
        "there is no such key: a router that is in the file runs",
    ),
    other(
        &["notify", "notify-master", "notify-backup", "notify-fault", "notify-stop", "notify-fifo", "vrrp-notify-fifo"],
        "a program that is to hear of it is a hook: [hook.NAME] with `command` and `arguments = \"keepalived\"`",
    ),
    other(&["include", "includes"], "there is one file; nothing is included"),
    other(
        &["vrrp-instance", "vrrp", "router", "routers", "virtual-routers", "instances"],
        "a virtual router begins with [virtual-router.NAME]",
    ),
    other(
        &["sync-group", "sync-groups", "vrrp-sync-group", "vrrp-sync-groups", "groups"],
        "routers that move together are listed in a table of their own: [group.NAME] with `members = [\"lan4\", \"wan4\"]`",
    ),
    renamed("members", &["member", "instances-of", "router-names"], ": `members = [\"lan4\", \"wan4\"]`"),
    other(
        &[
            "track-interface", "track-script", "track-file", "track-process", "track-bfd", "track-route", "weight",
            "vrrp-script", "vrrp-track-process", "vrrp-track-file", "trackers",
        ],
        "define what to watch with [tracker.NAME], and refer to it in the router: `track = { NAME = -40 }`",
    ),
    other(
        &[
            "smtp-alert", "global-defs",
            "static-routes", "static-ipaddress",
        ],
        "this version has nothing that corresponds to it",
    ),
];

fn dashed(key: &str) -> String {
    key.trim().to_ascii_lowercase().replace('_', "-")
}

fn foreign(dashed: &str) -> Option<&'static Foreign> {
    FOREIGN
        .iter()
        .find(|foreign| foreign.words.contains(&dashed))
}

/// Which of `known` somebody meant who wrote `key`.
pub(crate) fn meant<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let dashed = dashed(key);
    let ours = match foreign(&dashed) {
        Some(foreign) => foreign.ours?,
        None => dashed.as_str(),
    };
    nearest(ours, known)
}

/// What to do instead of `key`, if it is a word of another program.
pub(crate) fn advice(key: &str) -> Option<String> {
    let foreign = foreign(&dashed(key))?;
    Some(match foreign.ours {
        Some(ours) => format!("it is called `{ours}`{}", foreign.advice),
        None => foreign.advice.to_owned(),
    })
}

/// The finding for a key that is not in `known`; `place` is the table it stands in, as a sentence would name it.
pub(crate) fn unknown(key: &str, span: Range<usize>, known: &[&str], place: &str) -> Finding {
    let dashed = dashed(key);
    let message = format!("unknown key `{}` in {place}", excerpt(key));
    if let Some(advice) = advice(key) {
        return Finding::error(code::FOREIGN_KEY, span, message)
            .label("not a word of this file")
            .help(advice);
    }
    let help = match nearest(&dashed, known) {
        Some(same) if same == dashed => {
            format!("did you mean `{same}`? Keys are written in lower case with dashes")
        }
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("{place} has the keys {}", enumerate(known)),
    };
    Finding::error(code::UNKNOWN_KEY, span, message)
        .label("not a key")
        .help(help)
}

/// `a`, `b` and `c`
pub(crate) fn enumerate(words: &[&str]) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        text.push_str(match index {
            0 => "",
            _ if index + 1 == words.len() => " and ",
            _ => ", ",
        });
        text.push('`');
        text.push_str(word);
        text.push('`');
    }
    text
}

/// The word of `known` that somebody who typed `word` probably meant.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Long texts are no typing errors, and need not be compared.
    if word.len() > 40 {
        return None;
    }
    let tolerance = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from `a` to `b` (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replace.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("vrid", "vrid", 0),
            ("prority", "priority", 1),
            ("vird", "vrid", 1),
            ("", "vrid", 4),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn typing_errors_find_their_word() {
        for (word, meant) in [
            ("prority", Some("priority")),
            ("adresses", Some("addresses")),
            ("advertise-intervall", Some("advertise-interval")),
            ("prempt", Some("preempt")),
            ("vird", Some("vrid")),
            ("interfase", Some("interface")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, &ROUTER), meant, "{word}");
        }
    }

    #[test]
    fn every_key_and_code_is_documented() {
        const KERNEL: [&str; 7] = [
            "interface",
            "carrier",
            "prefix",
            "table",
            "protocol",
            "next-hop",
            "address",
        ];
        let manual = include_str!("../../../docs/man/vrrpd.toml.5");
        let reference = include_str!("../../../conf/vrrpd.toml");
        let inner = UNADVERTISED.into_iter().chain(ROUTE).chain(RULE);
        for key in inner {
            assert!(manual.contains(&format!("Ic {key}")), "{key}");
        }
        let kernel = |key: &&str| COMMON.contains(key) || KERNEL.contains(key);
        for key in TRACKER {
            assert!(manual.contains(&format!("\n.It Ic {key} No =")), "{key}");
        }
        let trackers = TRACKER.into_iter().filter(kernel);
        for key in ROUTER
            .into_iter()
            .chain(GROUP)
            .chain(CONTROL)
            .chain(HOOK)
            .chain(trackers)
        {
            assert!(manual.contains(&format!("\n.It Ic {key} No =")), "{key}");
            let line = format!("{key} = ");
            let stands = |text: &str| {
                text.lines()
                    .any(|l| l.trim_start_matches("# ").starts_with(&line))
            };
            assert!(stands(reference), "{key}");
        }
        for (code, meaning) in code::ALL {
            assert!(
                manual.contains(&format!("\n.It Li {code}\n{meaning}\n")),
                "{code}"
            );
        }
    }

    #[test]
    fn foreign_words_are_not_ours_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for word in FOREIGN.iter().flat_map(|foreign| foreign.words) {
            assert!(seen.insert(*word), "{word} twice");
            assert!(
                !ROUTER.contains(word) && !AUTHENTICATION.contains(word),
                "{word}"
            );
            assert_eq!(*word, word.to_ascii_lowercase().replace('_', "-"));
        }
    }
}
