//! Trackers of what the kernel tells: an uplink that is lost hands the LAN over, and priorities are seen on the wire.

use std::time::Duration;

use nix::sys::signal::Signal;
use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, assert_within, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::topology::Lan;

const UPLINK: &str = "[tracker.uplink]\ntype = \"interface\"\ninterface = \"eth1\"\n";

fn router(priority: u8, interval: &str, track: &str) -> String {
    format!(
        "[virtual-router.lan4]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         advertise-interval = \"{interval}\"\naddresses = [\"192.0.2.254/24\"]\ntrack = {{ {track} }}\n"
    )
}

/// The priorities that leave a port of the switch, from a moment on.
fn priorities(port: &Capture, from: Stamp) -> Vec<u8> {
    let adverts = port.adverts(from).into_iter();
    adverts.map(|advert| advert.heard.priority()).collect()
}

/// Waits until `priority` is advertised.
fn wait_priority(port: &Capture, from: Stamp, priority: u8) {
    let seen = wait_for(ms(3000), || {
        priorities(port, from).contains(&priority).then_some(())
    });
    assert!(
        seen.is_some(),
        "{priority} is advertised; seen were {:?}",
        priorities(port, from)
    );
}

fn said(daemon: &Daemon, arguments: &[&str]) -> String {
    let output = daemon.ctl(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_lost_uplink_hands_over_within_an_advertisement_and_the_skew_time() {
    let lan = Lan::new(2);
    let ports = ["lan1", "lan2"].map(|port| Capture::start(&lan.switch, port));
    let text = |priority| router(priority, "1s", "uplink = \"fault\"") + UPLINK;
    let lower = Daemon::start(&lan.routers[1], &text(100));
    let higher = Daemon::start(&lan.routers[0], &text(200));
    higher.wait_state("lan4", "active", ms(8000));
    lower.wait_state("lan4", "backup", ms(1000));

    let begin = Stamp::now();
    lan.switch.ip("link set wan1 down");
    lower.wait_state("lan4", "active", ms(3000));
    let release = ports[0].adverts(begin).into_iter();
    let mut release = release.map(|it| (it.at, it.heard.priority()));
    let (released, _) = release.find(|(_, it)| *it == 0).expect("a release");
    let taken = ports[1].adverts(begin)[0].at;
    println!(
        "the release left after {:.1} ms, the other one advertised after {:.1} ms",
        released.millis_since(begin),
        taken.millis_since(begin)
    );
    // RFC 9568 §6.1: 256 - 100 of 256 parts of a second.
    let skew = Duration::from_micros(609_375);
    assert_within("the takeover", begin, taken, ms(1000) + skew);
    assert_eq!(
        higher.router("lan4")["faults"][0],
        "tracker uplink is down: eth1 has no carrier"
    );

    lan.switch.ip("link set wan1 up");
    higher.wait_state("lan4", "active", ms(8000));
    lower.wait_state("lan4", "backup", ms(1000));
}

#[test]
fn each_kind_moves_the_priority_on_the_wire() {
    let lan = Lan::new(1);
    let (r1, port) = (&lan.routers[0], Capture::start(&lan.switch, "lan1"));
    r1.ip("route add default via 198.51.100.1 proto static
         addr add 203.0.113.1/32 dev eth1
         neigh replace 198.51.100.1 dev eth1 lladdr 02:00:00:00:00:01 nud permanent");
    let text = router(
        200,
        "100ms",
        "route = -8, own = -4, next = -2, uplink = -1, table = { weight = -64, reverse = true }",
    ) + UPLINK
        + "down-delay = \"600ms\"\n\
           [tracker.route]\ntype = \"route\"\nprefix = \"0.0.0.0/0\"\nprotocol = \"static\"\nnext-hop = \"198.51.100.1\"\n\
           [tracker.table]\ntype = \"route\"\nprefix = \"2001:db8:9::/48\"\ntable = 99\n\
           [tracker.own]\ntype = \"address\"\naddress = \"203.0.113.1\"\n\
           [tracker.next]\ntype = \"neighbour\"\naddress = \"198.51.100.1\"\ninterface = \"eth1\"\n";
    let daemon = Daemon::start(r1, &text);
    daemon.wait_state("lan4", "active", ms(3000));
    wait_priority(&port, Stamp::now(), 200);

    // What is done, and what is advertised then.
    let steps: [(&str, u8); 10] = [
        ("route del default", 192),
        ("addr del 203.0.113.1/32 dev eth1", 188),
        ("neigh replace 198.51.100.1 dev eth1 nud failed", 186),
        (
            "route add 2001:db8:9::/48 via fe80::f:1 dev eth1 table 99",
            122,
        ),
        ("route del 2001:db8:9::/48 table 99", 186),
        // Another gateway, and then another protocol, is another route.
        ("route add default via 198.51.100.2 proto static", 186),
        ("route replace default via 198.51.100.1 proto bgp", 186),
        ("route replace default via 198.51.100.1 proto static", 194),
        (
            "neigh replace 198.51.100.1 dev eth1 lladdr 02:00:00:00:00:01 nud permanent",
            196,
        ),
        ("addr add 203.0.113.1/32 dev eth1", 200),
    ];
    for (command, priority) in steps {
        let begin = Stamp::now();
        r1.ip(command);
        wait_priority(&port, begin, priority);
        // It stays so.
        std::thread::sleep(ms(250));
        let last = priorities(&port, begin).pop();
        assert_eq!(last, Some(priority), "{command}");
    }

    // A carrier that flaps is not lost.
    let begin = Stamp::now();
    for _ in 0..5 {
        lan.switch.ip("link set wan1 down");
        std::thread::sleep(ms(50));
        lan.switch.ip("link set wan1 up");
        std::thread::sleep(ms(50));
    }
    std::thread::sleep(ms(1500));
    assert!(
        priorities(&port, begin)
            .iter()
            .all(|it| *it == 200 || *it == 198),
        "only the neighbour may be lost with it: {:?}",
        priorities(&port, begin)
    );
    let begin = Stamp::now();
    lan.switch.ip("link set wan1 down");
    let lost = |all: Vec<u8>| all.into_iter().any(|it| it & 1 == 1);
    let seen = wait_for(ms(4000), || lost(priorities(&port, begin)).then_some(()));
    assert!(seen.is_some(), "{:?}", priorities(&port, begin));

    // The kernel takes routes of an interface that is set down away without a word.
    let begin = Stamp::now();
    r1.ip("link set eth1 down");
    wait_priority(&port, begin, 200 - 8 - 2 - 1);
    let explained = said(&daemon, &["explain", "lan4"]);
    for part in [
        "-8  route down: no route to 0.0.0.0/0",
        "-1  uplink down: eth1 is down",
    ] {
        assert!(explained.contains(part), "{part} is in:\n{explained}");
    }
    let shown = said(&daemon, &["show", "trackers", "--brief"]);
    assert_eq!(
        shown,
        "uplink DOWN\nroute DOWN\ntable DOWN\nown UP\nnext DOWN\n"
    );
}

#[test]
fn a_level_outlives_the_worker_and_an_upgrade() {
    let lan = Lan::new(1);
    let port = Capture::start(&lan.switch, "lan1");
    let text = router(200, "100ms", "uplink = -40") + UPLINK;
    let mut daemon = Daemon::start(&lan.routers[0], &text);
    daemon.wait_state("lan4", "active", ms(3000));
    lan.switch.ip("link set wan1 down");
    wait_priority(&port, Stamp::now(), 160);

    let begin = Stamp::now();
    let worker = daemon.worker();
    daemon.signal_worker(Signal::SIGKILL);
    let replaced = wait_for(ms(5000), || {
        let now = daemon.try_status()?["daemon"]["worker-pid"].as_i64()?;
        (now != 0 && now != i64::from(worker)).then_some(())
    });
    assert!(replaced.is_some(), "{}", daemon.log());
    std::thread::sleep(ms(500));
    said(&daemon, &["upgrade"]);
    std::thread::sleep(ms(500));
    let seen = priorities(&port, begin);
    assert!(seen.len() > 8, "{seen:?}");
    assert!(seen.iter().all(|it| *it == 160), "{seen:?}");

    // It is watched as before.
    lan.switch.ip("link set wan1 up");
    wait_priority(&port, Stamp::now(), 200);
    // A reload without it leaves the role alone.
    let before = daemon.counter("lan4", "master-transitions");
    lan.switch.ip("link set wan1 down");
    wait_priority(&port, Stamp::now(), 160);
    daemon.write_config(&router(200, "100ms", ""));
    daemon.reload();
    wait_priority(&port, Stamp::now(), 200);
    assert_eq!(daemon.counter("lan4", "master-transitions"), before);
    assert!(daemon.stop().success());
}

#[test]
fn an_owner_is_not_touched() {
    let lan = Lan::new(1);
    let port = Capture::start(&lan.switch, "lan1");
    lan.routers[0].ip("addr add 192.0.2.254/24 dev eth0");
    let text = router(255, "100ms", "uplink = -40, again = \"fault\"")
        + UPLINK
        + &UPLINK.replace("uplink", "again");
    let daemon = Daemon::start(&lan.routers[0], &text);
    daemon.wait_state("lan4", "active", ms(3000));
    let begin = Stamp::now();
    lan.switch.ip("link set wan1 down");
    let told = wait_for(ms(3000), || {
        let shown = said(&daemon, &["show", "trackers", "--brief"]);
        (shown == "uplink DOWN\nagain DOWN\n").then_some(())
    });
    assert!(told.is_some());
    std::thread::sleep(ms(300));
    assert!(priorities(&port, begin).iter().all(|it| *it == 255));
    assert_eq!(daemon.state("lan4"), "active");
}
