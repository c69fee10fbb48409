//! Facts that somebody made up, and what is found in them. What the laboratory plants is not repeated here but for those
//! that are hard to plant.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use pnet_datalink::NetworkInterface;
use serde_json::json;
use vrrp_control::{Restart, StatusReport};
use vrrp_proto::Interval;

use super::super::facts::wire::{Advert, Claim, OfCarp};
use super::super::facts::{Facts, File, Host, Unusable, Wire};
use super::super::finding::{Finding, Kind};
use super::all;
use crate::ports::Port;
use crate::testing::report;
use crate::verdict::Verdict;

const VIRTUAL: [u8; 6] = [0, 0, 0x5e, 0, 1, 20];
const REAL: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port(name: &str, index: u32, mac: [u8; 6], addresses: &[(&str, u8)]) -> Port {
    let link = NetworkInterface {
        name: name.into(),
        description: String::new(),
        index,
        mac: None,
        ips: Vec::new(),
        flags: 0,
    };
    Port {
        name: name.into(),
        index,
        mac: Some(mac),
        up: true,
        carrier: true,
        multicast: true,
        ethernet: true,
        master: None,
        addresses: addresses
            .iter()
            .map(|(text, length)| (ip(text), *length))
            .collect(),
        link,
    }
}

/// An Active, and nobody else.
fn healthy() -> Facts {
    let mut report: StatusReport = report();
    report.routers.truncate(1);
    report.daemon.scheduling = "fifo".into();
    report.daemon.reload_error = None;
    report.daemon.unprotected.clear();
    let mut later = report.clone();
    later.routers[0].statistics.advertisement_sent += 3;
    let own = later.routers[0].source_address.clone().unwrap();
    let mut facts = Facts {
        reports: Some([report, later]),
        ports: vec![
            port("eth1.20", 3, REAL, &[("10.20.0.2", 24), ("10.20.1.2", 24)]),
            port(
                "vrrp4.3.20",
                9,
                VIRTUAL,
                &[("10.20.0.1", 24), ("10.20.1.1", 24)],
            ),
        ],
        host: Host::default(),
        wire: Wire {
            span: Duration::from_secs(3),
            interfaces: vec!["eth1.20".into()],
            ..Wire::default()
        },
        ..Facts::default()
    };
    for second in 0..3 {
        facts.wire.adverts.push(Advert {
            outgoing: true,
            ..advert(&own, 200, second)
        });
    }
    facts
}

fn advert(source: &str, priority: u8, second: i64) -> Advert {
    let start: Timestamp = "2026-11-20T13:02:31Z".parse().unwrap();
    Advert {
        interface: "eth1.20".into(),
        time: start + SignedDuration::from_secs(second),
        outgoing: false,
        mac: Some(VIRTUAL),
        source: ip(source),
        destination: ip("224.0.0.18"),
        hops: 255,
        version: 3,
        vrid: 20,
        priority,
        interval: Some(Interval::DEFAULT),
        addresses: vec![ip("10.20.0.1"), ip("10.20.1.1")],
        verdict: Verdict::Cut,
        alone: Verdict::Cut,
        reason: None,
    }
}

fn kinds(facts: &Facts) -> Vec<Kind> {
    all(facts).iter().map(|finding| finding.kind).collect()
}

fn one(facts: &Facts) -> Finding {
    let mut found = all(facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn nothing_is_found_in_a_healthy_one() {
    assert_eq!(all(&healthy()), []);
}

#[test]
fn what_the_daemon_knows_of_itself() {
    let mut facts = healthy();
    let daemon = &mut facts.reports.as_mut().unwrap()[1].daemon;
    daemon.last_restart = Some(Restart {
        time: "2026-11-20T13:01:50Z".into(),
        reason: "killed by SIGSEGV".into(),
    });
    daemon.restarts = 1;
    daemon.state_problem = Some("read-only".into());
    daemon
        .unprotected
        .insert("eth1.20".into(), "no CAP_BPF".into());
    daemon.lateness.beyond_interval = 2;
    daemon.scheduling = "nice".into();
    // Long ago, it may have been late.
    assert!(!kinds(&facts).contains(&Kind::Late));
    facts.late = Some("2026-11-20T12:00:00Z".into());
    let found = [
        Kind::WorkerDied,
        Kind::Late,
        Kind::NoRealTime,
        Kind::NoLease,
        Kind::StateLost,
    ];
    assert_eq!(kinds(&facts), found);
}

#[test]
fn a_kernel_that_is_behind_for_a_moment_is_none() {
    let mut facts = healthy();
    let [before, after] = facts.reports.as_mut().unwrap();
    before.routers[0].kernel_in_step = false;
    assert_eq!(
        kinds(&Facts {
            reports: Some([before.clone(), after.clone()]),
            ..healthy()
        }),
        []
    );
    after.routers[0].kernel_in_step = false;
    assert_eq!(one(&facts).kind, Kind::KernelBehind);
    assert_eq!(one(&facts).router.as_deref(), Some("lan4"));
}

#[test]
fn what_is_missing_for_a_moment_is_not_told() {
    let mut facts = healthy();
    let [before, _] = facts.reports.as_mut().unwrap();
    let lack = "the route 0.0.0.0/0 via 10.20.9.1: nothing leads to the next hop";
    before.routers[0].lacks = vec![lack.to_owned(), "the rule 7".to_owned()];
    assert_eq!(all(&facts), []);
    let [_, after] = facts.reports.as_mut().unwrap();
    after.routers[0].lacks = vec![lack.to_owned()];
    let found = one(&facts);
    assert_eq!((found.kind, found.evidence.as_str()), (Kind::Lacking, lack));
}

#[test]
fn a_file_that_cannot_be_read_from_here_is_no_fault() {
    let mut facts = healthy();
    let file = |plan| File {
        path: "/etc/vrrpd/vrrpd.toml".into(),
        modified: None,
        plan: Err(plan),
    };
    facts.file = Some(file(Unusable::Unreadable("permission denied".into())));
    assert_eq!(kinds(&facts), []);
    facts.file = Some(file(Unusable::Wrong("line 3".into())));
    assert_eq!(kinds(&facts), [Kind::FileWrong]);
}

#[test]
fn a_short_overlap_is_no_conflict() {
    let mut facts = healthy();
    facts.wire.adverts.push(advert("10.20.0.3", 150, 1));
    assert_eq!(kinds(&facts), []);
    facts.wire.adverts.push(advert("10.20.0.3", 150, 2));
    assert_eq!(kinds(&facts), [Kind::TwoActives]);
    // A change of role in the middle is a takeover.
    facts.reports.as_mut().unwrap()[0].routers[0].since = "2026-11-20T13:02:30Z".into();
    assert_eq!(kinds(&facts), []);
}

#[test]
fn who_has_the_same_priority_and_loses_does_not_hear() {
    let mut facts = healthy();
    let heard = Verdict::Good(vrrp_proto::receive::Heard {
        source: ip("10.20.0.1"),
        priority: vrrp_proto::Priority::new(200),
        interval: Interval::DEFAULT,
        form: vrrp_proto::ChecksumForm::Rfc9568,
        other_interval: false,
        other_addresses: false,
        bid: None,
    });
    for second in 0..3 {
        let advert = advert("10.20.0.1", 200, second);
        facts.wire.adverts.push(Advert {
            verdict: heard.clone(),
            ..advert
        });
    }
    // Its counter stood still: the daemon has not got them.
    assert_eq!(
        kinds(&facts),
        [Kind::TwoActives, Kind::NotReceived, Kind::SamePriority]
    );
    facts.reports.as_mut().unwrap()[1].routers[0]
        .statistics
        .conflicts += 3;
    assert_eq!(
        kinds(&facts),
        [Kind::TwoActives, Kind::NotHeard, Kind::SamePriority]
    );
}

/// CARP has the MAC addresses of VRRP for IPv4.
#[test]
fn vrrp_and_carp_with_one_number() {
    let mut facts = healthy();
    let group = |vhid, interface: &str| OfCarp {
        interface: interface.into(),
        vhid,
        source: ip("10.20.0.9"),
    };
    facts.wire.carp = vec![group(21, "eth1.20"), group(20, "eth2")];
    assert_eq!(kinds(&facts), []);
    facts
        .wire
        .carp
        .extend([group(20, "eth1.20"), group(20, "eth1.20")]);
    let found = one(&facts);
    assert_eq!(found.kind, Kind::SameNumber);
    assert!(found.what.contains("00:00:5e:00:01:14"), "{found:?}");
    // And the reverse.
    let mut facts = healthy();
    facts.wire.adverts.clear();
    for report in facts.reports.as_mut().unwrap() {
        let router = &mut report.routers[0];
        router.protocol = "carp".into();
        router.carp = Some(vrrp_control::CarpReport {
            advbase: 1,
            advskew: 0,
            advertised_advskew: 0,
            advertised_demotion: 0,
            demotion: 0,
            profile: "any".into(),
            seal: "off".into(),
            clock_set: true,
            grace_ms: None,
            members: Vec::new(),
            problems: Vec::new(),
        });
    }
    facts.wire.adverts.push(advert("10.20.0.9", 150, 1));
    assert_eq!(kinds(&facts), [Kind::SameNumber]);
}

#[test]
fn our_own_mac_address_and_the_virtual_one_claim_rightly() {
    let mut facts = healthy();
    let claim = |mac, answer| Claim {
        interface: "eth1.20".into(),
        ip: ip("10.20.0.1"),
        mac,
        answer,
    };
    facts.wire.claims = vec![claim(REAL, false), claim(VIRTUAL, false)];
    assert_eq!(kinds(&facts), []);
    facts.wire.claims = vec![claim([2; 6], false), claim([2; 6], false)];
    assert_eq!(one(&facts).kind, Kind::Claimed);
}

#[test]
fn on_a_macvlan_it_is_that_which_must_be_left_alone() {
    let mut facts = healthy();
    facts.host.programs = vec![(77, "NetworkManager".into())];
    facts.host.network_manager.insert(3, true);
    assert_eq!(kinds(&facts), []);
    facts.host.network_manager.insert(9, true);
    assert_eq!(one(&facts).kind, Kind::NetworkManager);
}

/// A rule that is not understood is no ground for an alarm.
#[test]
fn rules_are_followed_as_far_as_they_are_understood() {
    let chain = |policy: &str| json!({"chain": {"family": "inet", "table": "f", "name": "in", "hook": "input", "prio": 0, "policy": policy}});
    let rule = |parts: serde_json::Value| json!({"rule": {"family": "inet", "table": "f", "chain": "in", "expr": parts}});
    let interface = |op: &str, name: &str| json!({"match": {"op": op, "left": {"meta": {"key": "iifname"}}, "right": name}});
    let protocol = |right: serde_json::Value| json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "protocol"}}, "right": right}});
    let accept = || json!({"accept": null});
    let drop = || json!({"drop": null});
    for (policy, rules, dropped) in [
        ("drop", vec![], true),
        ("accept", vec![], false),
        ("drop", vec![rule(json!([accept()]))], false),
        (
            "drop",
            vec![rule(json!([interface("==", "eth1.20"), accept()]))],
            false,
        ),
        (
            "drop",
            vec![rule(json!([interface("==", "eth0"), accept()]))],
            true,
        ),
        (
            "drop",
            vec![rule(json!([interface("!=", "eth0"), accept()]))],
            false,
        ),
        (
            "drop",
            vec![rule(json!([interface("==", "eth*"), accept()]))],
            false,
        ),
        (
            "accept",
            vec![rule(json!([interface("==", "eth*"), drop()]))],
            false,
        ),
        (
            "accept",
            vec![rule(
                json!([protocol(json!(112)), {"counter": {"packets": 0, "bytes": 0}}, drop()]),
            )],
            true,
        ),
        (
            "accept",
            vec![rule(
                json!([protocol(json!({"set": ["ospf", "vrrp"]})), {"reject": null}]),
            )],
            true,
        ),
        (
            "accept",
            vec![rule(json!([protocol(json!("@mine")), drop()]))],
            false,
        ),
        (
            "drop",
            vec![rule(
                json!([{"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": []}}}]),
            )],
            false,
        ),
        (
            "drop",
            vec![rule(
                json!([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, accept()]),
            )],
            true,
        ),
        (
            "drop",
            vec![rule(
                json!([{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, accept()]),
            )],
            true,
        ),
        (
            "drop",
            vec![rule(
                json!([{"limit": {"rate": 5, "per": "second"}}, accept()]),
            )],
            false,
        ),
    ] {
        let mut facts = healthy();
        let objects = [vec![chain(policy)], rules].concat();
        let ruleset = json!({ "nftables": objects });
        facts.host.rules = Some(Ok(ruleset.clone()));
        let found = kinds(&facts);
        assert_eq!(found.contains(&Kind::FirewallIn), dropped, "{ruleset:#}");
    }
}

#[test]
fn nobody_probes() {
    let mut facts = healthy();
    facts.trackers = Some(vrrp_control::TrackersReport {
        version: 1,
        problem: Some("the process that probes is not there: it is not installed".into()),
        trackers: Vec::new(),
    });
    let finding = one(&facts);
    assert_eq!(finding.kind, Kind::NoProbes);
    assert!(
        finding.evidence.ends_with("it is not installed"),
        "{finding:?}"
    );
}

#[test]
fn a_hook_that_is_not_run() {
    use super::super::facts::hooks::{Hooks, Unfit};
    let mut facts = healthy();
    facts.hooks = Hooks {
        problem: None,
        unfit: vec![Unfit {
            name: "notify".into(),
            on: vec!["active".into(), "backup".into()],
            why: "/srv/notify can be written by others, its mode is 0777".into(),
            advice: "chmod go-w /srv/notify".into(),
        }],
    };
    let finding = one(&facts);
    assert_eq!(finding.kind, Kind::HookUnable);
    assert!(finding.evidence.contains("its mode is 0777"), "{finding:?}");
    facts.hooks.unfit.clear();
    facts.hooks.problem = Some("it is not installed".into());
    assert_eq!(kinds(&facts), [Kind::NoHooks]);
}
