//! What follows the role: addresses that are not advertised, routes and rules, from the file to the kernel.

use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use vrrp_lab::capture::{Capture, Frame, announces};
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

const NAME: &str = "lan";
const PATIENCE: Duration = ms(8000);

/// What follows the routers of these tests, as their files say it.
const ADDRESSES: &str = r#"["192.0.2.253/24", { address = "198.51.100.254/24", interface = "eth1" }, { address = "2001:db8:f::fe/64", interface = "eth1" }]"#;
const ROUTES: &str = r#"[{ to = "203.0.113.0/24", via = "198.51.100.1", source = "198.51.100.254" }, { to = "203.0.113.64/28", type = "blackhole" }, { to = "default", via = "198.51.100.1", table = 200 }]"#;
const RULES: &str = r#"[{ priority = 1000, from = "192.0.2.100", table = 200 }]"#;

fn router(priority: u8) -> Router {
    Router::new(NAME, Profile::V3Ipv4)
        .set("priority", priority)
        .text("advertise-interval", "100ms")
        .set("accept-mode", true)
}

fn with_following(priority: u8) -> Router {
    router(priority)
        .set("unadvertised-addresses", ADDRESSES)
        .set("routes", ROUTES)
        .set("rules", RULES)
}

/// Routes and rules with a number of ours.
fn ours(namespace: &Namespace) -> Vec<String> {
    let text = namespace
        .sh("ip -N route show table all; ip -N -6 route show table all; ip -N rule; ip -N -6 rule");
    let number = |line: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "proto");
        words.nth(1)?.parse::<u8>().ok()
    };
    let ours = |line: &&str| number(line).is_some_and(|number| (112..=185).contains(&number));
    text.lines().filter(ours).map(str::to_owned).collect()
}

fn holds(namespace: &Namespace, address: &str) -> bool {
    let text = namespace.sh("ip -o addr");
    text.contains(&format!(" {address} "))
}

const ALL: [&str; 3] = ["192.0.2.253/24", "198.51.100.254/24", "2001:db8:f::fe/64"];

fn has_all(namespace: &Namespace) -> bool {
    ours(namespace).len() == 4 && ALL.iter().all(|address| holds(namespace, address))
}

fn has_nothing(namespace: &Namespace) -> bool {
    ours(namespace).is_empty() && !ALL.iter().any(|address| holds(namespace, address))
}

#[track_caller]
fn wait(what: &str, namespace: &Namespace, question: impl Fn(&Namespace) -> bool) {
    let reached = wait_for(PATIENCE, || question(namespace).then_some(()));
    let there = namespace.sh("ip -N route show table all; ip rule; ip -o addr");
    assert!(reached.is_some(), "{what}:\n{there}");
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Who announces an address on a port of the switch.
fn announcer(port: &Capture, from: Stamp, address: &str) -> Option<String> {
    let picked = |frame: &Frame| {
        announces(frame, ip(address)).then(|| frame.packet.ethernet.source.to_string())
    };
    port.wait(from, PATIENCE, picked)
}

fn own_mac(namespace: &Namespace, interface: &str) -> String {
    let path = format!("/sys/class/net/{interface}/address");
    namespace.sh(&format!("cat {path}")).trim().to_owned()
}

/// A host behind the upstream one, which knows the way back by an address that follows.
fn far_host(lan: &Lan) {
    lan.upstream.ip("addr add 203.0.113.1/32 dev lo
         route add 192.0.2.0/24 via 198.51.100.254");
}

fn reaches(lan: &Lan) -> bool {
    lan.client.try_sh("ping -c 1 -W 1 203.0.113.1")
}

#[test]
fn it_is_where_the_active_is() {
    let lan = Lan::new(2);
    far_host(&lan);
    let [one, two] = &lan.routers[..] else {
        unreachable!("two routers");
    };
    let (lan_port, wan_port) = (
        Capture::start(&lan.switch, "lan1"),
        Capture::start(&lan.switch, "wan1"),
    );
    let other_wan_port = Capture::start(&lan.switch, "wan2");
    let from = Stamp::now();
    let mut first = Daemon::start(one, &file(&[with_following(200)]));
    first.wait_state(NAME, "active", PATIENCE);
    wait("the Active has all", one, has_all);
    let second = Daemon::start(two, &file(&[with_following(100)]));
    second.wait_state(NAME, "backup", PATIENCE);
    assert!(has_nothing(two));

    // Beside the virtual address with its MAC address, elsewhere with that of the interface.
    let virtual_mac = "00:00:5e:00:01:33";
    assert_eq!(
        announcer(&lan_port, from, "192.0.2.253").as_deref(),
        Some(virtual_mac)
    );
    for address in ["198.51.100.254", "2001:db8:f::fe"] {
        let who = announcer(&wan_port, from, address);
        assert_eq!(who, Some(own_mac(one, "eth1")), "{address}");
    }
    assert!(reaches(&lan), "through routes, rules and the way back");
    assert!(lan.client.try_sh("ping -c 1 -W 1 192.0.2.253"));
    let adverts = lan_port.adverts(from);
    let advertised = adverts[0].heard.addresses();
    assert_eq!(advertised, [ip("192.0.2.254")], "only what is advertised");

    // It is shown.
    let report = first.router(NAME);
    assert_eq!(
        report["unadvertised-addresses"][1]["interface"], "eth1",
        "{report:#}"
    );
    assert_eq!(report["routes"].as_array().map(Vec::len), Some(3));
    assert_eq!(report["rules"][0], "1000: from 192.0.2.100/32 lookup 200");
    assert_eq!(report["lacks"], Value::Null);

    // Killed together with its keeper.
    let from = first.kill();
    second.wait_state(NAME, "active", PATIENCE);
    wait("the successor has all", two, has_all);
    let who = announcer(&other_wan_port, from, "198.51.100.254");
    assert_eq!(who, Some(own_mac(two, "eth1")));
    assert!(reaches(&lan));

    // Comes back, and puts its own house in order.
    first.restart(one);
    first.wait_state(NAME, "active", PATIENCE);
    wait("it is here again", one, has_all);
    wait("and gone there", two, has_nothing);
    assert!(reaches(&lan));

    // A stop leaves nothing.
    assert!(first.stop().success());
    assert!(has_nothing(one), "{:?}", ours(one));
    wait("the other one has it", two, has_all);
    assert!(reaches(&lan));
}

/// The times at which a route came and went, as the kernel tells them.
struct Watch {
    child: std::process::Child,
    path: std::path::PathBuf,
}

impl Watch {
    fn new(namespace: &Namespace, name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("{}-{name}", namespace.name()));
        let log = std::fs::File::create(&path).expect("a file");
        let mut command = std::process::Command::new("ip");
        command.args(["-n", namespace.name(), "-ts", "monitor", "route"]);
        command.env("TZ", "UTC");
        let child = command.stdout(log).spawn().expect("ip");
        std::thread::sleep(ms(200));
        Self { child, path }
    }

    fn lines(&self, needle: &str, deleted: bool) -> Vec<String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let wanted = |line: &&str| line.contains(needle) && line.contains("Deleted") == deleted;
        text.lines().filter(wanted).map(str::to_owned).collect()
    }
}

impl Watch {
    /// When it was told for the first time.
    fn first(&self, needle: &str, deleted: bool) -> Stamp {
        let lines = self.lines(needle, deleted);
        let line = lines.first().expect("a line of ip monitor");
        let (time, _) = line[1..].split_once(']').expect("a time");
        Stamp::from_rfc3339(&format!("{time}Z")).expect("a time in UTC")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}

#[test]
fn a_planned_hand_over_makes_before_it_breaks() {
    let lan = Lan::new(2);
    let [one, two] = &lan.routers[..] else {
        unreachable!("two routers");
    };
    let first = Daemon::start(one, &file(&[with_following(200)]));
    first.wait_state(NAME, "active", PATIENCE);
    let second = Daemon::start(two, &file(&[with_following(100)]));
    second.wait_state(NAME, "backup", PATIENCE);
    wait("the Active has all", one, has_all);
    let (before, after) = (Watch::new(one, "one"), Watch::new(two, "two"));
    let output = first.ctl(&["failover", NAME]);
    assert!(output.status.success(), "{output:?}");
    wait("it is there", two, has_all);
    wait("it is gone here", one, has_nothing);
    let heard = wait_for(PATIENCE, || {
        (!before.lines("203.0.113.0/24", true).is_empty()).then_some(())
    });
    assert!(heard.is_some());
    let came = after.first("203.0.113.0/24", false);
    let went = before.first("203.0.113.0/24", true);
    let overlap = went.millis_since(came);
    println!("both had the route for {overlap:.3} ms");
    // The successor takes a skew time, 61 ms, before it is there: nothing was given up before that.
    assert!(overlap > -30.0, "a gap of {} ms", -overlap);
}

#[test]
fn a_cold_start_finds_what_a_killed_daemon_left() {
    let lan = Lan::new(1);
    let router_space = &lan.routers[0];
    let mut daemon = Daemon::start(router_space, &file(&[with_following(100)]));
    daemon.wait_state(NAME, "active", PATIENCE);
    wait("the Active has all", router_space, has_all);
    daemon.kill();
    assert!(has_all(router_space), "nobody is left to remove it");
    router_space.ip("route add 203.0.114.0/24 via 198.51.100.1
         route add blackhole 203.0.115.0/24 proto 18
         rule add priority 2000 from 192.0.2.0/24 lookup main");
    let left = r#"[{ to = "203.0.113.64/28", type = "blackhole" }]"#;
    daemon.write_config(&file(&[router(100).set("routes", left)]));
    daemon.restart(router_space);
    wait("what is not wanted is gone", router_space, |space| {
        ours(space).len() <= 1 && !ALL.iter().any(|address| holds(space, address))
    });
    daemon.wait_state(NAME, "active", PATIENCE);
    wait("what is wanted is there", router_space, |space| {
        ours(space).len() == 1
    });
    let all = router_space.sh("ip route; ip rule");
    for theirs in ["203.0.114.0/24 via", "blackhole 203.0.115.0/24", "2000:"] {
        assert!(all.contains(theirs), "{theirs}: {all}");
    }
    assert!(daemon.stop().success());
    assert!(has_nothing(router_space));
}

#[test]
fn a_reload_adds_and_removes_without_a_transition() {
    let lan = Lan::new(1);
    let space = &lan.routers[0];
    let daemon = Daemon::start(space, &file(&[router(100)]));
    daemon.wait_state(NAME, "active", PATIENCE);
    let since = daemon.since(NAME);
    assert!(ours(space).is_empty());
    daemon.write_config(&file(&[with_following(100)]));
    daemon.reload();
    wait("all of it came", space, has_all);
    let other = r#"[{ to = "203.0.113.0/24", via = "198.51.100.2" }]"#;
    daemon.write_config(&file(&[router(100).set("routes", other)]));
    daemon.reload();
    wait("most of it went", space, |space| {
        let there = ours(space);
        there.len() == 1 && there[0].contains("198.51.100.2")
    });
    wait("with the addresses", space, |space| {
        !ALL.iter().any(|address| holds(space, address))
    });
    let moved = daemon.since(NAME).millis_since(since);
    assert!(moved.abs() < 1.0, "a transition {moved} ms later");
    assert_eq!(daemon.state(NAME), "active");
}

#[test]
fn what_a_stranger_does_is_mended_or_told() {
    let lan = Lan::new(1);
    let space = &lan.routers[0];
    space.ip("route add 203.0.113.0/24 via 198.51.100.77");
    let daemon = Daemon::start(space, &file(&[with_following(100)]));
    daemon.wait_state(NAME, "active", PATIENCE);
    let lacks = || daemon.router(NAME)["lacks"].clone();
    let told = wait_for(PATIENCE, || lacks()[0].as_str().map(str::to_owned));
    let told = told.expect("what is missing is told");
    assert!(
        told.contains("203.0.113.0/24") && told.contains("somebody else has a route"),
        "{told}"
    );
    let shown = daemon.ctl(&["show", NAME]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("goes on without"), "{shown}");
    let theirs = space.sh("ip route show 203.0.113.0/24");
    assert!(theirs.contains("198.51.100.77"), "{theirs}");
    assert_eq!(ours(space).len(), 3, "all but one: {:?}", ours(space));

    // The other one gives way.
    space.ip("route del 203.0.113.0/24");
    wait("it has all", space, has_all);
    let events = daemon.ctl(&["events", "--json"]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    let words = |needle: &str| events.contains(needle);
    assert!(
        words("\"following\"") && words("goes on without"),
        "{events}"
    );
    assert_eq!(lacks(), Value::Null);

    // And somebody takes what is ours.
    space.ip("route del 203.0.113.0/24
         rule del priority 1000
         addr del 2001:db8:f::fe/64 dev eth1");
    wait("it is mended", space, has_all);
    let repairs = wait_for(PATIENCE, || {
        let repairs = daemon.counter(NAME, "repairs");
        (repairs > 0).then_some(repairs)
    });
    assert!(repairs.is_some(), "{:#}", daemon.router(NAME));
    assert_eq!(daemon.state(NAME), "active");
}
