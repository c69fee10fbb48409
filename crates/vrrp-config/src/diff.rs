//! What two plans have that differs, in the words of the file: not of two texts, but of what they mean.

use std::collections::BTreeMap;

use vrrp_proto::carp::{CarpPlan, Passphrase};
use vrrp_proto::{Dialect, Family, Gather, Plan, RouterPlan, TrackerPlan, Vrid};

use crate::control::Control;
use crate::hook::{HookPlan, hook_settings};
use crate::keys;
use crate::listing::{Setting, quoted, settings};
use crate::track_listing::tracker_settings;

/// What becomes of one table of the file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// `virtual-router`, `tracker`, `hook` or `control`.
    pub table: &'static str,
    /// The name of a virtual router, that of the new plan if it is in both; or of a tracker or a hook.
    pub router: Option<String>,
    /// What becomes of it.
    pub change: Change,
    /// The keys that differ, in the order of the documentation. Of a router that is new or gone, those that are required or
    /// have another value than they have by default.
    pub keys: Vec<KeyDifference>,
}

/// What becomes of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// It is new, to other routers on the network, too: one of another interface, family, VRID or version is another router.
    Added,
    /// It is gone.
    Removed,
    /// It goes on with other values.
    Changed,
}

/// A key whose value differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyDifference {
    /// Its word in the file; `name` for the name of the router, and `group` for that of the group which lists it.
    pub key: &'static str,
    /// What it was, as the file would say it; `None` if it was not.
    pub old: Option<String>,
    /// What it will be; `None` if it will not be.
    pub new: Option<String>,
}

impl Change {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// What makes a router the same one to the engine, and to other routers.
type Identity<'a> = (&'a str, Family, Vrid, Dialect);

fn identity(plan: &RouterPlan) -> Identity<'_> {
    (&plan.interface, plan.block(), plan.vrid, plan.dialect)
}

fn by_identity(plan: &Plan) -> BTreeMap<Identity<'_>, &RouterPlan> {
    let routers = plan.routers.iter();
    routers.map(|router| (identity(router), router)).gather()
}

/// What is to be done to get from `old` to `new`: what is gone in the order of `old`, then the rest in the order of `new`.
/// The order of routers means nothing. Authentication keys are never shown.
#[must_use]
pub fn diff(old: &Plan, new: &Plan) -> Vec<Difference> {
    let (before, after) = (by_identity(old), by_identity(new));
    let gone = old
        .routers
        .iter()
        .filter(|router| !after.contains_key(&identity(router)))
        .map(|router| alone(router, Change::Removed));
    let rest = new
        .routers
        .iter()
        .filter_map(|router| match before.get(&identity(router)) {
            None => Some(alone(router, Change::Added)),
            // Of a thousand routers, all but one: what they would say in the file is not made.
            Some(was) if *was == router => None,
            Some(was) => changed(was, router),
        });
    gone.chain(rest).chain(trackers(old, new)).collect()
}

/// The same for trackers, which are known by their names.
fn trackers(old: &Plan, new: &Plan) -> Vec<Difference> {
    let find = |plan: &Plan, name: &str| {
        let found = plan.trackers.iter().find(|tracker| tracker.name == name);
        found.map(tracker_settings)
    };
    let gone = old.trackers.iter();
    let gone = gone.filter(|tracker| find(new, &tracker.name).is_none());
    let all = gone.chain(&new.trackers);
    let of = |tracker: &TrackerPlan| {
        let (was, is) = (find(old, &tracker.name), find(new, &tracker.name));
        let change = match (&was, &is) {
            (None, _) => Change::Added,
            (_, None) => Change::Removed,
            (Some(_), Some(_)) => Change::Changed,
        };
        let value = |settings: &Option<Vec<Setting>>, key: &str| {
            let mut all = settings.iter().flatten();
            let found = all.find(|it| it.key == key)?;
            (change == Change::Changed || !found.is_default).then(|| found.value.clone())
        };
        let keys = keys::TRACKER.into_iter().map(|key| KeyDifference {
            key,
            old: value(&was, key),
            new: value(&is, key),
        });
        let keys: Vec<_> = keys.filter(|key| key.old != key.new).collect();
        (!keys.is_empty()).then(|| Difference {
            table: keys::TRACKER_TABLE,
            router: Some(tracker.name.clone()),
            change,
            keys,
        })
    };
    all.filter_map(of).collect()
}

/// The same for who may use the control sockets.
#[must_use]
pub fn diff_control(old: &Control, new: &Control) -> Option<Difference> {
    let written = |control: &Control| {
        let Control {
            group,
            read_only_group,
        } = control;
        [group, read_only_group].map(|name| name.as_deref().map(quoted))
    };
    let pairs = written(old).into_iter().zip(written(new));
    let keys: Vec<KeyDifference> = keys::CONTROL
        .into_iter()
        .zip(pairs)
        .filter(|(_, (old, new))| old != new)
        .map(|(key, (old, new))| KeyDifference { key, old, new })
        .collect();
    (!keys.is_empty()).then_some(Difference {
        table: keys::CONTROL_TABLE,
        router: None,
        change: Change::Changed,
        keys,
    })
}

/// The same for hooks, which are the same ones if they have the same name.
#[must_use]
pub fn diff_hooks(old: &[HookPlan], new: &[HookPlan]) -> Vec<Difference> {
    let settings = |hooks: &[HookPlan], name: &str| {
        let found = hooks.iter().find(|hook| hook.name == name);
        found.map(hook_settings)
    };
    let of = |name: &str| {
        let (was, is) = (settings(old, name), settings(new, name));
        let change = match (&was, &is) {
            (Some(_), Some(_)) => Change::Changed,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        };
        let value = |settings: &Option<Vec<(&str, String, bool)>>, key: &str| {
            let found = settings.iter().flatten().find(|it| it.0 == key);
            let told = found.filter(|it| change == Change::Changed || !it.2);
            told.map(|it| it.1.clone())
        };
        let keys: Vec<KeyDifference> = keys::HOOK
            .into_iter()
            .map(|key| (key, value(&was, key), value(&is, key)))
            .filter(|(_, old, new)| old != new)
            .map(|(key, old, new)| KeyDifference { key, old, new })
            .collect();
        (!keys.is_empty()).then(|| Difference {
            table: keys::HOOK_TABLE,
            router: Some(name.to_owned()),
            change,
            keys,
        })
    };
    let gone = old
        .iter()
        .filter(|hook| new.iter().all(|other| other.name != hook.name));
    gone.chain(new).filter_map(|hook| of(&hook.name)).collect()
}

/// A sentence of a few words, for a list of configurations.
#[must_use]
pub fn summary(differences: &[Difference]) -> String {
    if let [only] = differences
        && only.change == Change::Changed
    {
        return format!("changed {}: {}", only.subject(), only.words());
    }
    let group = |change: Change| {
        let names: Vec<&str> = differences
            .iter()
            .filter(|difference| difference.change == change)
            .map(Difference::subject)
            .collect();
        let (word, count) = (change.name(), names.len());
        match &names[..] {
            [] => None,
            [_] | [_, _] => Some(format!("{word} {}", names.join(" and "))),
            [first, ..] => Some(format!("{word} {first} and {} more", count - 1)),
        }
    };
    let parts = [Change::Removed, Change::Changed, Change::Added].map(group);
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        return "nothing changed".to_owned();
    }
    parts.join(", ")
}

impl Difference {
    fn subject(&self) -> &str {
        self.router.as_deref().unwrap_or(self.table)
    }

    /// `priority 150 -> 90`, or only the keys if there are more.
    fn words(&self) -> String {
        if let [only] = &self.keys[..]
            && let (Some(old), Some(new)) = (&only.old, &only.new)
            && old.len() + new.len() < 40
        {
            return format!("{} {old} -> {new}", only.key);
        }
        let keys: Vec<&str> = self.keys.iter().map(|key| key.key).collect();
        keys.join(", ")
    }
}

fn alone(router: &RouterPlan, change: Change) -> Difference {
    let told = settings(router).into_iter().filter(|it| !it.is_default);
    let mut keys: Vec<KeyDifference> = told
        .map(|Setting { key, value, .. }| match change {
            Change::Removed => KeyDifference {
                key,
                old: Some(value),
                new: None,
            },
            Change::Added | Change::Changed => KeyDifference {
                key,
                old: None,
                new: Some(value),
            },
        })
        .collect();
    let nobody = None;
    keys.extend(match change {
        Change::Removed => moved(&router.group, &nobody),
        Change::Added | Change::Changed => moved(&nobody, &router.group),
    });
    Difference {
        table: keys::VIRTUAL_ROUTER,
        router: Some(router.name.clone()),
        change,
        keys,
    }
}

/// The group it moves with, if that is another one.
fn moved(old: &Option<String>, new: &Option<String>) -> Option<KeyDifference> {
    let written = |group: &Option<String>| group.as_deref().map(quoted);
    (old != new).then(|| KeyDifference {
        key: keys::GROUP_TABLE,
        old: written(old),
        new: written(new),
    })
}

fn secret(carp: CarpPlan) -> Passphrase {
    carp.passphrase
}

fn changed(old: &RouterPlan, new: &RouterPlan) -> Option<Difference> {
    let mut keys = Vec::new();
    if old.name != new.name {
        keys.push(KeyDifference {
            key: "name",
            old: Some(old.name.clone()),
            new: Some(new.name.clone()),
        });
    }
    let (before, after) = (settings(old), settings(new));
    let value = |settings: &[Setting], key: &str| {
        let found = settings.iter().find(|setting| setting.key == key);
        found.map(|setting| setting.value.clone())
    };
    for key in keys::ROUTER {
        let (was, mut is) = (value(&before, key), value(&after, key));
        if key == "authentication" && was == is && old.authentication != new.authentication {
            // The two look alike, because neither is shown.
            is = is.map(|value| value + "  # another key");
        }
        if key == "passphrase" && was == is && old.carp.map(secret) != new.carp.map(secret) {
            is = is.map(|value| value + "  # another passphrase");
        }
        if was != is {
            keys.push(KeyDifference {
                key,
                old: was,
                new: is,
            });
        }
    }
    keys.extend(moved(&old.group, &new.group));
    (!keys.is_empty()).then(|| Difference {
        table: keys::VIRTUAL_ROUTER,
        router: Some(new.name.clone()),
        change: Change::Changed,
        keys,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    const WAN: &str = "[virtual-router.wan4]\ninterface = \"eth0\"\nvrid = 10\naddresses = [\"192.0.2.254/24\"]\n";
    const TRACKER: &str = "[tracker.uplink]\ntype = \"interface\"\ninterface = \"eth1\"\n";
    const LAN: &str =
        "[virtual-router.lan6]\ninterface = \"eth1\"\nvrid = 20\naddresses = [\"fe80::1/64\"]\n";

    fn plan(text: &str) -> Plan {
        parse(text).unwrap().plan
    }

    fn difference(old: &str, new: &str) -> Vec<Difference> {
        diff(&plan(old), &plan(new))
    }

    /// As `-key = value` and `+key = value`.
    fn lines(differences: &[Difference]) -> Vec<String> {
        let keys = |difference: &Difference| {
            let line = |sign: &str, key: &str, value: &Option<String>| {
                value.as_ref().map(|value| format!("{sign}{key} = {value}"))
            };
            let keys = difference.keys.iter();
            let keys =
                keys.flat_map(|key| [line("-", key.key, &key.old), line("+", key.key, &key.new)]);
            let keys: Vec<String> = keys.flatten().collect();
            let head = format!("{} {}", difference.change.name(), difference.subject());
            [vec![head], keys].concat()
        };
        differences.iter().flat_map(keys).collect()
    }

    #[test]
    fn what_means_the_same_is_no_difference() {
        for same in [
            format!("# a comment\n{WAN}"),
            format!(
                "{WAN}priority = 100\nadvertise-interval = \"1000ms\"\ndata-plane = \"auto\"\n"
            ),
            WAN.replace("192.0.2.254/24\"", "192.0.2.254/24\",\n"),
        ] {
            assert_eq!(difference(WAN, &same), []);
        }
        assert_eq!(
            difference(&format!("{WAN}{LAN}"), &format!("{LAN}{WAN}")),
            []
        );
        assert_eq!(summary(&[]), "nothing changed");
    }

    #[test]
    fn keys_have_the_words_of_the_file() {
        let all = "priority = 90\nadvertise-interval = \"200ms\"\naccept-mode = false\npreempt-delay = \"30s\"\nvirtual-mac = false\nchecksum = \"rfc5798\"\nunicast-peers = [\"192.0.2.2\"]\nannounce-refresh = \"0s\"\n";
        let new = WAN.replace("/24\"", "/24\", \"192.0.2.253/24\"") + all;
        let found = difference(WAN, &new);
        assert_eq!(
            lines(&found),
            [
                "changed wan4",
                "-priority = 100",
                "+priority = 90",
                "-advertise-interval = \"1s\"",
                "+advertise-interval = \"200ms\"",
                "-addresses = [\"192.0.2.254/24\"]",
                "+addresses = [\"192.0.2.254/24\", \"192.0.2.253/24\"]",
                "-preempt-delay = \"0s\"",
                "+preempt-delay = \"30s\"",
                "-accept-mode = true",
                "+accept-mode = false",
                "-virtual-mac = true",
                "+virtual-mac = false",
                "-data-plane = \"auto\"",
                "-checksum = \"auto\"",
                "+checksum = \"rfc5798\"",
                "-unicast-peers = []",
                "+unicast-peers = [\"192.0.2.2\"]",
                "-announce-refresh = \"60s\"",
                "+announce-refresh = \"0s\"",
            ]
        );
        let few = difference(WAN, &format!("{WAN}priority = 90\n"));
        assert_eq!(summary(&few), "changed wan4: priority 100 -> 90");
        // What is shown can be read again.
        for key in found[0].keys.iter().filter(|key| key.new.is_some()) {
            let text = format!("{} = {}", key.key, key.new.as_ref().unwrap());
            assert!(new.contains(&text), "{text}");
        }
    }

    #[test]
    fn another_identity_is_another_router() {
        for (from, to) in [
            ("vrid = 10", "vrid = 11"),
            ("eth0", "eth7"),
            ("vrid = 10", "vrid = 10\nprotocol = \"vrrpv2\""),
            ("192.0.2.254/24", "fe80::9/64"),
        ] {
            let found = difference(WAN, &WAN.replace(from, to));
            let changes: Vec<Change> = found.iter().map(|one| one.change).collect();
            assert_eq!(changes, [Change::Removed, Change::Added], "{to}");
            assert_eq!(summary(&found), "removed wan4, added wan4");
        }
        let found = difference(&format!("{WAN}priority = 7\n"), LAN);
        assert_eq!(
            lines(&found),
            [
                "removed wan4",
                "-interface = \"eth0\"",
                "-vrid = 10",
                "-addresses = [\"192.0.2.254/24\"]",
                "-priority = 7",
                "added lan6",
                "+interface = \"eth1\"",
                "+vrid = 20",
                "+addresses = [\"fe80::1/64\"]",
            ]
        );
    }

    #[test]
    fn another_name_is_the_same_router() {
        let found = difference(WAN, &WAN.replace("wan4", "uplink"));
        assert_eq!(
            lines(&found),
            ["changed uplink", "-name = wan4", "+name = uplink"]
        );
    }

    #[test]
    fn who_may_use_the_sockets_is_a_table_of_its_own() {
        let with = |text: &str| parse(&format!("{text}\n{WAN}")).unwrap().control;
        let (old, new) = (with(""), with("[control]\ngroup = \"netops\""));
        let found = diff_control(&old, &new).unwrap();
        assert_eq!(
            lines(std::slice::from_ref(&found)),
            ["changed control", "+group = \"netops\""]
        );
        assert_eq!(summary(&[found]), "changed control: group");
        assert_eq!(diff_control(&new, &new), None);
    }

    #[test]
    fn hooks_are_told_apart_by_name() {
        let with = |text: &str| {
            let hooks = parse(&format!("{text}{WAN}")).unwrap().hooks.into_iter();
            hooks.map(|hook| hook.plan).collect::<Vec<_>>()
        };
        let old = with("[hook.a]\ncommand = [\"/bin/a\"]\n[hook.b]\ncommand = [\"/bin/b\"]\n");
        let new = with(
            "[hook.b]\ncommand = [\"/bin/b\"]\ntimeout = \"5s\"\n[hook.c]\ncommand = [\"/bin/c\"]\n",
        );
        assert_eq!(
            lines(&diff_hooks(&old, &new)),
            [
                "removed a",
                "-command = [\"/bin/a\"]",
                "changed b",
                "-timeout = \"30s\"",
                "+timeout = \"5s\"",
                "added c",
                "+command = [\"/bin/c\"]",
            ]
        );
        assert_eq!(diff_hooks(&new, &new), []);
    }

    #[test]
    fn a_secret_is_never_shown() {
        let with = |key: &str| {
            format!(
                "{WAN}protocol = \"vrrpv2\"\nauthentication = {{ type = \"simple-text\", key = \"{key}\" }}\n"
            )
        };
        let found = difference(&with("tOp5ecre"), &with("0ther"));
        let shown = lines(&found).join("\n");
        assert!(shown.contains("# another key"), "{shown}");
        assert!(
            !shown.contains("tOp5ecre") && !shown.contains("0ther"),
            "{shown}"
        );
        let carp = |passphrase: &str| {
            let plain = WAN.replace("vrid", "vhid");
            format!("{plain}protocol = \"carp\"\npassphrase = \"{passphrase}\"\n")
        };
        let shown = lines(&difference(&carp("tOp5ecre"), &carp("0ther"))).join("\n");
        assert!(shown.contains("# another passphrase"), "{shown}");
        assert!(
            !shown.contains("tOp5ecre") && !shown.contains("0ther"),
            "{shown}"
        );
        let plain = format!("{WAN}protocol = \"vrrpv2\"\n");
        let shown = lines(&difference(&plain, &with("tOp5ecre"))).join("\n");
        assert!(
            shown.contains("+authentication = {") && !shown.contains("tOp5"),
            "{shown}"
        );
    }

    #[test]
    fn no_field_of_a_plan_is_forgotten() {
        let tracked = format!("{TRACKER}{WAN}");
        let v2 = format!("{WAN}protocol = \"vrrpv2\"\n");
        let carp = WAN.replace("vrid", "vhid");
        let carp = format!("{carp}protocol = \"carp\"\npassphrase = \"tOp5ecre\"\n");
        let sealed = format!("{carp}carp-seal = \"require\"\n");
        for (base, key) in [
            (WAN, "priority = 90"),
            (WAN, "advertise-interval = \"2s\""),
            (WAN, "preempt = false"),
            (WAN, "preempt-delay = \"2s\""),
            (WAN, "accept-mode = false"),
            (WAN, "virtual-mac = false"),
            (WAN, "data-plane = \"ebpf\""),
            (WAN, "checksum = \"rfc5798\""),
            (WAN, "checksum-strict = true"),
            (WAN, "unicast-peers = [\"192.0.2.2\"]"),
            (WAN, "announce-refresh = \"2s\""),
            (WAN, "unadvertised-addresses = [\"203.0.113.7/32\"]"),
            (WAN, "routes = [{ to = \"default\", via = \"192.0.2.1\" }]"),
            (WAN, "rules = [{ priority = 7, table = 7 }]"),
            (WAN, "preempt-when = [\"ready\"]"),
            (&tracked, "track = { uplink = -40 }"),
            (
                &v2,
                "authentication = { type = \"simple-text\", key = \"x\" }",
            ),
            (&carp, "advbase = 2"),
            (&carp, "advskew = 2"),
            (&carp, "carp-profile = \"freebsd\""),
            (&carp, "carp-link-local = \"included\""),
            (&carp, "carp-grace = \"30s\""),
            (&carp, "carp-seal = \"prefer\""),
            (&sealed, "carp-seal-window = \"30s\""),
        ] {
            let new = format!("{base}{key}\n");
            let found = difference(base, &new);
            let (word, _) = key.split_once(' ').unwrap();
            assert!(found[0].keys.iter().any(|it| it.key == word), "{key}");
            let back = difference(&new, base);
            assert_eq!(back[0].keys.len(), found[0].keys.len(), "{key}");
        }
        // Beside the identity and these there is nothing: a field that is new must be added above.
        let RouterPlan {
            name: _,
            interface: _,
            vrid: _,
            dialect: _,
            family: _,
            priority: _,
            interval: _,
            addresses: _,
            preempt: _,
            preempt_delay: _,
            preempt_when: _,
            accept: _,
            virtual_mac: _,
            data_plane: _,
            checksum: _,
            authentication: _,
            unicast_peers: _,
            announce_refresh: _,
            track: _,
            // Said in a table of its own.
            group: _,
            following: _,
            // Said of the hooks.
            pre_active: _,
            carp: _,
        } = &plan(WAN).routers[0];
    }

    #[test]
    fn a_tracker_is_known_by_its_name() {
        let with = |tracker: &str| format!("{WAN}{tracker}");
        let (one, other) = (with(TRACKER), with(&TRACKER.replace("eth1", "eth2")));
        let all = [
            ("added uplink", difference(WAN, &one)),
            ("removed uplink", difference(&one, WAN)),
            (
                "changed uplink: interface \"eth1\" -> \"eth2\"",
                difference(&one, &other),
            ),
            (
                "nothing changed",
                difference(&one, &with(&format!("{TRACKER}fall = 1\n"))),
            ),
        ];
        for (sentence, found) in all {
            assert_eq!(summary(&found), sentence);
            assert!(found.iter().all(|it| it.table == "tracker"));
        }
    }

    #[test]
    fn many_are_summed_up() {
        let many: String = (1..=9)
            .map(|n| {
                LAN.replace("lan6", &format!("r{n}"))
                    .replace("20", &n.to_string())
                    .replace("fe80::1", &format!("fe80::{n}"))
            })
            .collect();
        assert_eq!(
            summary(&difference(WAN, &many)),
            "removed wan4, added r1 and 8 more"
        );
    }
}
