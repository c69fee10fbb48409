//! A router that comes back waits until it is ready: until somebody says so, until a tracker is up, or for so long; and what trackers
//! of a group and hooks of trackers do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

const NAME: &str = "lan4";
const PATIENCE: Duration = ms(8000);

const UPLINK: &str = "[tracker.uplink]\ntype = \"interface\"\ninterface = \"eth1\"\n";

fn router(priority: u8) -> Router {
    Router::new(NAME, Profile::V3Ipv4)
        .set("priority", priority)
        .text("advertise-interval", "100ms")
}

/// A better router that comes back beside an Active, and waits for this.
fn comes_back(lan: &Lan, when: &str, timeout: &str) -> (Daemon, Daemon) {
    let active = Daemon::start(&lan.routers[1], &file(&[router(100)]));
    active.wait_state(NAME, "active", PATIENCE);
    let better = router(200)
        .set("preempt-when", when)
        .text("preempt-when-timeout", timeout);
    let better = Daemon::start(&lan.routers[0], &(file(&[better]) + UPLINK));
    better.wait_state(NAME, "backup", PATIENCE);
    (active, better)
}

/// It is Backup, and stays so for several down intervals.
fn waits(daemon: &Daemon) {
    std::thread::sleep(ms(1200));
    assert_eq!(daemon.state(NAME), "backup");
    assert!(daemon.router(NAME)["waits-for-ready-ms"].is_u64());
}

/// The sentence of the event.
fn ready(daemon: &Daemon) -> String {
    let output = daemon.ctl(&["events", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut events = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ready = events.find(|event| event["kind"] == "ready");
    ready.map_or_else(
        || panic!("{text}"),
        |event| event["text"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn somebody_says_that_it_is_ready() {
    let lan = Lan::new(2);
    let (active, better) = comes_back(&lan, "[\"ready\"]", "60s");
    waits(&better);
    let said = better.ctl(&["show", NAME]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("not before `vrrpctl ready lan4`"), "{said}");
    let code = |arguments: &[&str]| better.ctl(arguments).status.code();
    assert_ne!(code(&["ready", "lan5"]), Some(0), "there is none");
    assert_eq!(better.state(NAME), "backup");
    assert_eq!(code(&["ready"]), Some(64));
    assert_eq!(code(&["ready", NAME]), Some(0));
    better.wait_state(NAME, "active", PATIENCE);
    active.wait_state(NAME, "backup", PATIENCE);
    assert_eq!(ready(&better), "ready: it may preempt");
    assert!(better.router(NAME)["waits-for-ready-ms"].is_null());
    // Once more is no mistake of a script.
    assert_eq!(code(&["ready", NAME]), Some(0));
    // Who takes no part cannot be ready.
    lan.unplug(0);
    better.wait_state(NAME, "initialize", PATIENCE);
    assert_eq!(code(&["ready", NAME]), Some(1));
}

#[test]
fn nobody_says_it_and_the_time_is_over() {
    let lan = Lan::new(2);
    let (_active, better) = comes_back(&lan, "[\"ready\"]", "3s");
    waits(&better);
    better.wait_state(NAME, "active", PATIENCE);
    assert!(ready(&better).contains("preempt-when-timeout is over"));
}

#[test]
fn a_tracker_says_it() {
    let lan = Lan::new(2);
    lan.switch.ip("link set wan1 down");
    let (_active, better) = comes_back(&lan, "[\"tracker:uplink\"]", "60s");
    waits(&better);
    assert_eq!(better.router(NAME)["waits-for-trackers"][0], "uplink");
    let why = better.ctl(&["explain", NAME]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("waits for tracker uplink"), "{why}");
    lan.switch.ip("link set wan1 up");
    better.wait_state(NAME, "active", PATIENCE);
    assert!(ready(&better).contains("what it waited for is there"));
}

#[test]
fn what_a_group_tracks_counts_for_all_members_and_a_hook_hears_of_it() {
    let lan = Lan::new(1);
    let scratch = Scratch::new("readiness");
    let heard = scratch.path().join("heard");
    let script = scratch.write(
        "hook",
        &format!(
            "#!/bin/sh\necho \"$VRRP_EVENT $VRRP_TYPE $VRRP_TEXT\" >> {}\n",
            heard.display()
        ),
    );
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let other = Router::new("lan6", Profile::V3Ipv6)
        .set("priority", 200)
        .text("advertise-interval", "100ms");
    let text = format!(
        "{}{UPLINK}[tracker.spare]\ntype = \"interface\"\ninterface = \"eth9\"\n\
         [group.edge]\nmembers = [\"lan4\", \"lan6\"]\ntrack = {{ uplink = \"fault\", spare = -50 }}\n\
         [hook.heard]\non = [\"tracker\"]\ncommand = [\"{}\"]\n",
        file(&[router(200), other]),
        script.display()
    );
    let daemon = Daemon::start(&lan.routers[0], &text);
    let both = |state: &str| {
        for name in [NAME, "lan6"] {
            daemon.wait_state(name, state, PATIENCE);
        }
    };
    both("active");
    for name in [NAME, "lan6"] {
        assert_eq!(daemon.router(name)["priority"]["effective"], 150, "{name}");
    }
    lan.switch.ip("link set wan1 down");
    both("initialize");
    lan.switch.ip("link set wan1 up");
    both("active");
    let expected = "tracker daemon tracker uplink: up -> down";
    let text = wait_for(PATIENCE, || {
        let text = std::fs::read_to_string(&heard).unwrap_or_default();
        (text.contains(expected) && text.contains("uplink: down -> up")).then_some(text)
    });
    assert!(text.is_some(), "{:?}", std::fs::read_to_string(&heard));
    // What runs is what the file says.
    let listing = daemon.ctl(&["show", "config"]);
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    assert!(
        listing.contains("track = { spare = -50, uplink = \"fault\" }")
            || listing.contains("track = { uplink = \"fault\", spare = -50 }"),
        "{listing}"
    );
    assert_eq!(listing.matches("\ntrack = ").count(), 1, "{listing}");
}
