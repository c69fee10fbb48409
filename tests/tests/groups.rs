//! Sync groups: both sides of a gateway move together, beside one of ours and beside keepalived with a sync group.

#![expect(
    clippy::print_stdout,
    reason = "the measured times are half of the result"
)]

use std::time::Duration;

use vrrp_lab::capture::{Capture, Sighting};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::rival::Rival;
use vrrp_lab::stall;
use vrrp_lab::topology::Lan;

const INTERVAL: Duration = Duration::from_millis(100);

/// How far apart the two sides of a group may move.
const TOGETHER: f64 = 20.0;

/// Both sides of a gateway, as `edge`.
fn edge(priority: u8) -> String {
    let router = |name: &str, interface: &str, vrid: u8, address: &str| {
        format!(
            "[virtual-router.{name}]\ninterface = \"{interface}\"\nvrid = {vrid}\npriority = {priority}\n\
             advertise-interval = \"100ms\"\naddresses = [\"{address}/24\"]\n"
        )
    };
    let lan = router("lan4", "eth0", 51, "192.0.2.254");
    let wan = router("wan4", "eth1", 52, "198.51.100.254");
    format!("{lan}{wan}[group.edge]\nmembers = [\"lan4\", \"wan4\"]\n")
}

/// The same with CARP.
fn carp_edge(advskews: [u8; 2], plane: &str) -> String {
    let router = |name: &str, interface: &str, vhid: u8, advskew: u8, address: &str| {
        format!(
            "[virtual-router.{name}]\ninterface = \"{interface}\"\nprotocol = \"carp\"\nvhid = {vhid}\nadvskew = {advskew}\n\
             passphrase = \"lab secret\"\naddresses = [\"{address}/24\"]\ndata-plane = \"{plane}\"\n"
        )
    };
    let [lan, wan] = advskews;
    let lan = router("lan4", "eth0", 51, lan, "192.0.2.254");
    let wan = router("wan4", "eth1", 52, wan, "198.51.100.254");
    format!("{lan}{wan}[group.edge]\nmembers = [\"lan4\", \"wan4\"]\n")
}

/// The same as keepalived says it.
fn sync_group(priority: u8) -> String {
    let instance = |name: &str, interface: &str, vrid: u8, address: &str| {
        format!(
            "vrrp_instance {name} {{\n state BACKUP\n interface {interface}\n use_vmac\n virtual_router_id {vrid}\n \
             priority {priority}\n advert_int 0.1\n accept\n virtual_ipaddress {{\n {address}/24\n }}\n}}\n"
        )
    };
    format!(
        "global_defs {{\n router_id lab\n vrrp_version 3\n}}\nvrrp_sync_group edge {{\n group {{\n lan4\n wan4\n }}\n}}\n{}{}",
        instance("lan4", "eth0", 51, "192.0.2.254"),
        instance("wan4", "eth1", 52, "198.51.100.254")
    )
}

fn wait_both(daemon: &Daemon, state: &str) {
    for name in ["lan4", "wan4"] {
        daemon.wait_state(name, state, ms(4000));
    }
}

/// What a router says on both sides, seen at the switch.
struct Sides([Capture; 2]);

impl Sides {
    fn of(lan: &Lan, number: u8) -> Self {
        let port = |side: &str| Capture::start(&lan.switch, &format!("{side}{number}"));
        Self([port("lan"), port("wan")])
    }

    /// Since then, the first advertisement on each side that says a priority other than 0, if one does so on both.
    fn begun(&self, from: Stamp) -> Option<[Stamp; 2]> {
        let speaks = |sighting: &Sighting| sighting.heard.priority() > 0;
        let first = |capture: &Capture| capture.adverts(from).into_iter().find(speaks);
        Some([first(&self.0[0])?.at, first(&self.0[1])?.at])
    }

    /// Waits until it is Active on both sides; how far the two were apart, and how long after `from` the later one was.
    fn wait(&self, from: Stamp, limit: Duration) -> (f64, f64) {
        let both = wait_for(limit, || self.begun(from));
        let [lan, wan] = both.expect("it is Active on both sides");
        let apart = lan.millis_since(wan).abs();
        (apart, lan.millis_since(from).max(wan.millis_since(from)))
    }
}

/// RFC 9568 §6.1: what a Backup of this priority waits after a release.
fn skew(priority: u8) -> f64 {
    INTERVAL.as_secs_f64() * 1e3 * f64::from(256 - u16::from(priority)) / 256.0
}

#[test]
fn both_sides_move_when_one_loses_its_carrier_and_come_back_together() {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|number| Sides::of(&lan, number));
    let lower = Daemon::start(&lan.routers[1], &edge(100));
    let higher = Daemon::start(&lan.routers[0], &edge(200));
    wait_both(&higher, "active");
    wait_both(&lower, "backup");
    // Who was heard once only on each side is not known to be the same on both.
    std::thread::sleep(INTERVAL * 2);

    // It is foreseen that the loss of one side moves both.
    let foreseen = higher.ctl(&["what-if", "--link-down", "eth0"]);
    let foreseen = String::from_utf8_lossy(&foreseen.stdout).into_owned();
    for sentence in ["lan4", "wan4", "group edge: lan4 has a fault"] {
        assert!(foreseen.contains(sentence), "{foreseen}");
    }

    for round in 0..3 {
        let begin = Stamp::now();
        lan.unplug(0);
        let (apart, after) = ports[1].wait(begin, ms(2000));
        println!("round {round}: over after {after:.1} ms, {apart:.1} ms apart");
        assert!(apart < TOGETHER, "{apart} ms apart");
        // The other side says that it gives up, so nobody waits for a silence. What `ip` needs is in it.
        let bound = INTERVAL.as_secs_f64() * 1e3 + skew(100);
        assert!(after < bound, "{after} ms, and {bound} ms are enough");
        wait_both(&lower, "active");
        wait_both(&higher, "initialize");
        let fault = &higher.router("wan4")["faults"][0];
        assert_eq!(fault, "group edge: lan4 has a fault");

        let begin = Stamp::now();
        lan.plug(0);
        let (apart, after) = ports[0].wait(begin, ms(4000));
        println!("round {round}: back after {after:.1} ms, {apart:.1} ms apart");
        assert!(apart < TOGETHER, "{apart} ms apart");
        wait_both(&higher, "active");
        wait_both(&lower, "backup");
    }
    for daemon in [&higher, &lower] {
        // Once at the start of the higher one, if it was late, and three times there and back.
        assert!(daemon.counter("lan4", "master-transitions") <= 4);
        assert_eq!(
            daemon.counter("lan4", "master-transitions"),
            daemon.counter("wan4", "master-transitions")
        );
    }
}

#[test]
fn a_group_fails_over_as_a_whole_and_loses_no_packet() {
    let lan = Lan::new(2);
    let lower = Daemon::start(&lan.routers[1], &edge(100));
    let higher = Daemon::start(&lan.routers[0], &edge(200));
    wait_both(&higher, "active");
    wait_both(&lower, "backup");
    let upstream = "198.51.100.1".parse().expect("an address");
    let client = Client::start(&lan.client, &lan.upstream, upstream);
    std::thread::sleep(ms(300));

    let begin = Stamp::now();
    let answer = higher.ctl(&["failover", "edge"]);
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(answer.status.code(), Some(0), "{said}");
    for name in ["lan4", "wan4"] {
        assert!(said.contains(&format!("{name}: ")), "{said}");
    }
    wait_both(&lower, "active");
    wait_both(&higher, "backup");
    let experience = client.experience(begin);
    println!("{said}{experience:?}");
    assert_eq!(experience.lost, 0, "{experience:?}");

    // A second one finds nothing to hand over, and says where.
    let again = higher.ctl(&["failover", "wan4"]);
    assert_eq!(again.status.code(), Some(1));
    let groups = higher.ctl(&["--json", "show", "groups"]);
    let groups: serde_json::Value = serde_json::from_slice(&groups.stdout).expect("JSON");
    assert_eq!(groups["groups"][0]["state"], "backup");
    assert_eq!(groups["groups"][0]["priority"], 200);
    assert_eq!(groups["groups"][0]["members"][1]["name"], "wan4");
}

#[test]
fn one_network_in_two_parts_leaves_the_better_group_active_on_both() {
    let lan = Lan::new(2);
    let lower = Daemon::start(&lan.routers[1], &edge(100));
    let higher = Daemon::start(&lan.routers[0], &edge(200));
    wait_both(&higher, "active");
    wait_both(&lower, "backup");
    let before = lower.counter("wan4", "master-transitions");
    // The switch passes nothing between the two on the WAN any more, and both keep their carriers.
    lan.switch
        .sh("bridge link set dev wan1 isolated on; bridge link set dev wan2 isolated on");
    std::thread::sleep(ms(1500));
    assert_eq!(lower.state("wan4"), "backup");
    assert_eq!(lower.counter("wan4", "master-transitions"), before);
    assert_eq!(higher.state("wan4"), "active");
    let said = lower.ctl(&["explain", "wan4"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("group edge waits for lan4"), "{said}");
}

#[test]
fn beside_keepalived_with_a_sync_group() {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|number| Sides::of(&lan, number));
    let mut lower = Keepalived::start_file(&lan.routers[1], sync_group(100), 100);
    let higher = Daemon::start(&lan.routers[0], &edge(200));
    wait_both(&higher, "active");
    std::thread::sleep(ms(1000));

    // keepalived waits until every member would take over: here one hears a release, the other one nothing.
    let begin = Stamp::now();
    lan.unplug(0);
    let (apart, after) = ports[1].wait(begin, ms(3000));
    println!("keepalived is over after {after:.1} ms, {apart:.1} ms apart");
    wait_both(&higher, "initialize");

    let begin = Stamp::now();
    lan.plug(0);
    let (apart, after) = ports[0].wait(begin, ms(5000));
    println!("ours is back after {after:.1} ms, {apart:.1} ms apart");
    assert!(apart < TOGETHER, "{apart} ms apart");
    wait_both(&higher, "active");

    // Now it is keepalived's turn to lose an interface while it is Active.
    // Who has just become Active has no addresses to hand over yet, and says so.
    let drained = wait_for(ms(2000), || {
        let answer = higher.ctl(&["drain", "edge"]);
        (answer.status.code() == Some(0)).then_some(())
    });
    assert!(drained.is_some(), "it can be drained");
    wait_both(&higher, "backup");
    let begin = Stamp::now();
    lan.unplug(1);
    let (apart, after) = ports[0].wait(begin, ms(3000));
    println!("ours is over after {after:.1} ms, {apart:.1} ms apart");
    assert!(apart < TOGETHER, "{apart} ms apart");
    wait_both(&higher, "active");
    lower.kill();
}

/// With CARP: what one side loses, the other one gives up by a bow-out, and both are at the other router at once; what is
/// asked of the group is asked of both sides, and loses nothing.
fn with_carp(plane: &str) {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|number| Sides::of(&lan, number));
    let worse = Daemon::start(&lan.routers[1], &carp_edge([60, 40], plane));
    let better = Daemon::start(&lan.routers[0], &carp_edge([20, 20], plane));
    for name in ["lan4", "wan4"] {
        better.wait_state(name, "active", ms(8000));
        worse.wait_state(name, "backup", ms(2000));
    }
    // Who was heard once only on each side is not known to be the same on both.
    std::thread::sleep(ms(2500));

    // The worst bid is that of all.
    let carp = &worse.router("wan4")["carp"];
    let said = ["advskew", "advertised-advskew", "demotion"].map(|key| carp[key].clone());
    assert_eq!(said, [40, 60, 0]);
    for (words, sentences) in [
        (
            &["show", "wan4"][..],
            &["advskew", "whose lan4 has the worst bid"][..],
        ),
        (
            &["explain", "wan4"],
            &["advskew 60", "group edge: lan4 has the worst bid"],
        ),
        (&["show", "groups"], &["edge", "lan4", "wan4"]),
        (&["what-if", "--link-down", "eth0"], &["lan4", "wan4"]),
    ] {
        let said = worse.ctl(words).stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        for sentence in sentences {
            assert!(said.contains(sentence), "{words:?}: {said}");
        }
        // What an operator may set is a priority, also with CARP.
        let own_words = words[0] == "explain" || !said.contains("priority");
        assert!(own_words, "{words:?}: {said}");
    }

    for round in 0..3 {
        let begin = Stamp::now();
        lan.unplug(0);
        let (apart, after) = ports[1].wait(begin, ms(6000));
        println!("{plane}, round {round}: over after {after:.1} ms, {apart:.1} ms apart");
        assert!(apart < TOGETHER, "{apart} ms apart");
        // What `ip` needs is in it; and the kernel says nothing of a carrier while somebody else has its lock.
        let late = stall::kernel(begin, Stamp::now()).as_secs_f64() * 1e3;
        assert!(after < 100.0 + late, "{after} ms, {late} ms of them late");
        wait_both(&worse, "active");
        wait_both(&better, "initialize");
        assert_eq!(
            better.router("wan4")["faults"][0],
            "group edge: lan4 has a fault"
        );
        let begin = Stamp::now();
        lan.plug(0);
        let (apart, after) = ports[0].wait(begin, ms(4000));
        println!("{plane}, round {round}: back after {after:.1} ms, {apart:.1} ms apart");
        assert!(apart < TOGETHER, "{apart} ms apart");
        wait_both(&better, "active");
        wait_both(&worse, "backup");
        std::thread::sleep(ms(2500));
    }
    for daemon in [&better, &worse] {
        assert_eq!(
            daemon.counter("lan4", "master-transitions"),
            daemon.counter("wan4", "master-transitions")
        );
    }

    let upstream = "198.51.100.1".parse().expect("an address");
    let client = Client::start(&lan.client, &lan.upstream, upstream);
    std::thread::sleep(ms(300));
    let begin = Stamp::now();
    let answer = better.ctl(&["drain", "edge"]);
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(answer.status.code(), Some(0), "{said}");
    let (apart, after) = ports[1].wait(begin, ms(1000));
    println!("{plane}: drained after {after:.1} ms, {apart:.1} ms apart");
    assert!(apart < TOGETHER, "{apart} ms apart");
    wait_both(&worse, "active");
    wait_both(&better, "backup");
    std::thread::sleep(ms(1500));
    let answer = better.ctl(&["undrain", "edge"]);
    assert_eq!(answer.status.code(), Some(0), "{answer:?}");
    wait_both(&better, "active");
    wait_both(&worse, "backup");
    std::thread::sleep(ms(2500));
    let answer = better.ctl(&["failover", "edge"]);
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    assert_eq!(answer.status.code(), Some(0), "{said}");
    wait_both(&worse, "active");
    let experience = client.experience(begin);
    println!("{said}{experience:?}");
    assert_eq!(experience.lost, 0, "{experience:?}");
}

#[test]
fn with_carp_macvlan() {
    with_carp("macvlan");
}

#[test]
fn with_carp_ebpf() {
    with_carp("ebpf");
}
