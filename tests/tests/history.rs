//! What happened can be asked for after a restart, a crash and a full disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};

/// A start, a stop, a crash: their events are there afterwards, each once, and their numbers go on.
#[test]
fn events_outlive_restarts_and_crashes() {
    let mut bench = Bench::active(Profile::V3Ipv4, |router| router);
    assert!(bench.daemon_mut().stop().success());
    bench.restart();
    bench.promote();
    let kept = bench.daemon().state_dir().join("events.jsonl");
    let last = |events: &[Value]| events.last().unwrap()["sequence"].clone();
    let before = last(&events(bench.daemon(), &[]));
    let on_disk = || {
        let text = fs::read_to_string(&kept).unwrap_or_default();
        text.contains(&format!("\"sequence\":{before},"))
            .then_some(())
    };
    wait_for(ms(15_000), on_disk).expect("the last event is on the disk");
    bench.daemon_mut().kill();
    bench.restart();

    let daemon = bench.daemon();
    let all = events(daemon, &[]);
    assert!(sequences(&all).is_sorted_by(|a, b| a + 1 == *b), "{all:#?}");
    assert_eq!(all[0]["sequence"], 1);
    let count = |kind: &str| all.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((count("start"), count("stop")), (3, 1), "{all:#?}");
    assert_eq!(count("boot"), 0, "nobody booted");
    let became = |role: &str| all.iter().filter(|event| event["to"] == role).count();
    assert_eq!(became("active"), 2, "{all:#?}");

    assert_eq!(
        sequences(&events(daemon, &["-n", "3"])),
        sequences(&all[all.len() - 3..])
    );
    let of_router = events(daemon, &["--router", NAME]);
    assert!(of_router.iter().all(|event| event["router"] == NAME));
    assert_eq!(
        of_router
            .iter()
            .filter(|event| event["to"] == "active")
            .count(),
        2
    );
    let nobody = daemon.ctl(&["events", "--router", "nobody"]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
    assert_eq!(events(daemon, &["--since", "1h"]), all);
    let second_start = all
        .iter()
        .filter(|event| event["kind"] == "start")
        .nth(1)
        .unwrap();
    let since = events(daemon, &["--since", second_start["time"].as_str().unwrap()]);
    assert_eq!(since.first(), Some(second_start));
}

/// Far more events than the daemon holds in memory, a line that a power failure cut, and another machine's boot.
#[test]
fn older_events_are_read_from_the_disk() {
    const OLD: u32 = 4000;
    let mut bench = Bench::backup(Profile::V3Ipv4, |router| router);
    assert!(bench.daemon_mut().stop().success());
    let state = bench.daemon().state_dir();
    let line = |sequence: u32| {
        let event = json!({
            "time": "2026-01-01T00:00:00.000000Z", "sequence": sequence, "router": NAME, "kind": "odd", "text": "old"
        });
        format!("{event}\n")
    };
    let (older, newer) = (1..=OLD / 2, OLD / 2 + 1..=OLD);
    fs::write(
        state.join("events.1.jsonl"),
        older.map(line).collect::<String>(),
    )
    .unwrap();
    let newer: String = newer.map(line).collect();
    fs::write(state.join("events.jsonl"), newer + "{\"time\":\"2026").unwrap();
    fs::write(state.join("boot-id"), "another boot").unwrap();
    bench.restart();

    let daemon = bench.daemon();
    let all = events(daemon, &[]);
    let found = sequences(&all);
    let boot = all
        .iter()
        .position(|event| event["kind"] == "boot")
        .unwrap();
    assert_eq!(found[boot], u64::from(OLD) + 1);
    assert_eq!(all[boot + 1]["kind"], "start");
    assert!(found.is_sorted_by(|a, b| a + 1 == *b), "{found:?}");
    let some = events(daemon, &["-n", "3500"]);
    assert_eq!(sequences(&some), found[found.len() - 3500..]);
    assert!(events(daemon, &["--since", "1d", "--router", NAME]).len() < 20);
    let shown = daemon.ctl(&["show", NAME, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["events"].as_array().unwrap().len(), 10);
}

/// A disk without room is said once and is a fact in status; what happened meanwhile is written when there is room again.
#[test]
fn a_full_disk_is_no_outage() {
    const FULL: &str = "mkdir -p $0/../state; mount -t tmpfs -o size=64k tmpfs $0/../state || exit 9; \
        cat /dev/zero > $0/../state/filler 2>/dev/null; exec \"$@\"";
    let bench = Bench::new(Profile::V3Ipv4);
    let router = Router::new(NAME, bench.profile);
    let mut daemon = Daemon::launch_by(&bench.dut, &file(&[router]), FULL);
    let problem = || daemon.try_status()?["daemon"].get("state-problem").cloned();
    let problem = wait_for(ms(8000), problem).expect("the full disk is a fact in status");
    assert!(
        problem.as_str().unwrap().contains("state directory"),
        "{problem}"
    );
    daemon.wait_state(NAME, "active", ms(8000));
    assert_eq!(daemon.ctl(&["status", "-x"]).status.code(), Some(1));
    let sequences_now = sequences(&events(&daemon, &[]));
    assert_eq!(sequences_now[0], 1);
    // It is tried again and again by now.
    std::thread::sleep(ms(12_000));
    let warnings = |daemon: &Daemon| daemon.log().matches("WARN").count();
    assert_eq!(warnings(&daemon), 1, "{}", daemon.log());

    let root = format!("/proc/{}/root", daemon.pid());
    let state = daemon.state_dir();
    let inside = Path::new(&root).join(state.strip_prefix("/").unwrap());
    fs::remove_file(inside.join("filler")).unwrap();
    let written = || {
        let text = fs::read_to_string(inside.join("events.jsonl")).ok()?;
        let lines = text.lines().count();
        (lines >= sequences_now.len()).then_some(text)
    };
    let text = wait_for(ms(15_000), written).expect("events are written when there is room");
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["sequence"], 1);
    assert_eq!(daemon.ctl(&["status", "-x"]).status.code(), Some(0));
    assert_eq!(daemon.state(NAME), "active");
    assert!(daemon.stop().success());
}

fn events(daemon: &Daemon, words: &[&str]) -> Vec<Value> {
    let output = daemon.ctl(&[&["events", "--json"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn sequences(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["sequence"].as_u64().unwrap())
        .collect()
}
