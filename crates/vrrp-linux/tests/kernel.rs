//! The kernel side, in network namespaces. Needs root.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "a test")]

#[path = "kernel/following.rs"]
mod following;
#[path = "kernel/rig.rs"]
mod rig;
#[path = "kernel/served.rs"]
mod served;
#[path = "kernel/tabled.rs"]
mod tabled;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rig::{Capture, Lan, Namespace, Rig, active, router4, router6, wait_for};
use vrrp_linux::kernel::Notice;
use vrrp_proto::desired::{Desired, Upkeep};

const VIP4: &str = "192.0.2.254/24";
const VIP6: [&str; 2] = ["fe80::1:1/64", "2001:db8::1:1/64"];
const NONE: [String; 0] = [];

/// The name of the first macvlan.
fn macvlan(namespace: &Namespace) -> String {
    macvlans(namespace).first().expect("a macvlan").clone()
}

fn macvlans(namespace: &Namespace) -> Vec<String> {
    namespace
        .show("-o link show type macvlan")
        .lines()
        .map(|line| line.split([':', '@']).nth(1).unwrap().trim().to_owned())
        .collect()
}

fn has(namespace: &Namespace, address: &str) -> bool {
    namespace
        .show("-o addr show")
        .contains(&format!(" {address} "))
}

/// How soon a repair must be done: 20 ms, unless the machine has more to do than it can.
fn soon() -> Duration {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    Duration::from_millis(if load < 1.5 { 20 } else { 500 })
}

/// Processor time that threads of this name have used.
fn thread_time(name: &str) -> Duration {
    let nanos = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|task| std::fs::read_to_string(task.join("comm")).is_ok_and(|it| it.trim() == name))
        .filter_map(|task| std::fs::read_to_string(task.join("schedstat")).ok())
        .map(|text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    Duration::from_nanos(nanos)
}

/// The MAC address that the client has learnt for `ip` after asking.
fn resolved(client: &Namespace, ip: &str) -> Option<String> {
    client.succeeds(&format!("ip neigh flush dev eth0; ping -c 1 -W 1 {ip}"));
    let line = client.show(&format!("neigh show {ip} dev eth0"));
    let mut words = line.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

#[test]
fn an_active_answers_and_a_backup_does_not() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let (four, six) = (router4(51, &[VIP4]), router6(51, &VIP6));
    rig.apply(1, &four);
    rig.apply(2, &six);
    assert_eq!(resolved(&lan.client, "192.0.2.254"), None);
    assert_eq!(resolved(&lan.client, "2001:db8::1:1"), None);

    rig.apply(1, &active(&four));
    rig.apply(2, &active(&six));
    assert_eq!(
        resolved(&lan.client, "192.0.2.254").as_deref(),
        Some("00:00:5e:00:01:33")
    );
    assert_eq!(
        resolved(&lan.client, "2001:db8::1:1").as_deref(),
        Some("00:00:5e:00:02:33")
    );
    assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
    assert!(lan.client.succeeds("ping -c 1 -W 1 2001:db8::1:1"));
    assert!(lan.client.succeeds("ping -c 1 -W 1 fe80::1:1%eth0"));
    // Deprecated addresses serve all the same.
    let listener = lan
        .router
        .enter(|| std::net::TcpListener::bind("[::]:7777").unwrap());
    for ip in ["192.0.2.254", "2001:db8::1:1"] {
        let target = (ip.parse::<std::net::IpAddr>().unwrap(), 7777).into();
        lan.client.enter(|| {
            std::net::TcpStream::connect_timeout(&target, Duration::from_secs(2)).unwrap();
        });
    }
    drop(listener);
    // The client sees a router in the answers: the R flag.
    assert!(
        lan.client
            .show("-6 neigh show 2001:db8::1:1")
            .contains("router")
    );
    // Real addresses go on answering with the real MAC address.
    assert!(
        !resolved(&lan.client, "192.0.2.11")
            .unwrap()
            .starts_with("00:00:5e")
    );

    rig.apply(1, &four);
    rig.apply(2, &six);
    assert_eq!(resolved(&lan.client, "192.0.2.254"), None);
    assert_eq!(resolved(&lan.client, "2001:db8::1:1"), None);
    assert_eq!(rig.stop(), NONE);
    assert_eq!(macvlans(&lan.router), NONE);
}

#[test]
fn only_an_active_forwards() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let (four, six) = (router4(51, &[VIP4]), router6(51, &VIP6));
    lan.client.ip(
        "neigh replace 192.0.2.254 lladdr 00:00:5e:00:01:33 dev eth0 nud permanent
         neigh replace 2001:db8::1:1 lladdr 00:00:5e:00:02:33 dev eth0 nud permanent
         route add default via 192.0.2.254
         route add default via 2001:db8::1:1",
    );
    let reach4 = || lan.client.succeeds("ping -c 1 -W 1 198.51.100.2");
    let reach6 = || lan.client.succeeds("ping -c 1 -W 1 2001:db8:1::2");
    for _ in 0..2 {
        rig.apply(1, &four);
        rig.apply(2, &six);
        assert!(!reach4());
        assert!(!reach6());
        rig.apply(1, &active(&four));
        rig.apply(2, &active(&six));
        assert!(reach4());
        assert!(reach6());
    }
    // The MAC address of one family is no way in for the other.
    lan.client.ip(
        "neigh replace 192.0.2.254 lladdr 00:00:5e:00:02:33 dev eth0 nud permanent
         neigh replace 2001:db8::1:1 lladdr 00:00:5e:00:01:33 dev eth0 nud permanent",
    );
    assert!(!reach4());
    assert!(!reach6());
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn nothing_leaves_from_the_virtual_mac_address_in_backup() {
    let lan = Lan::new();
    // Everything that may make a new interface talk.
    for setting in ["arp_notify", "proxy_arp", "arp_filter"] {
        lan.router
            .set_sysctl(&format!("ipv4/conf/default/{setting}"), "1");
    }
    lan.router.set_sysctl("ipv6/conf/default/ndisc_notify", "1");
    lan.router.set_sysctl("ipv6/conf/default/forwarding", "0");
    lan.router.set_sysctl("ipv6/conf/default/accept_ra", "2");
    let capture = Capture::new(&lan.client);
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let routers = [router4(51, &[VIP4]), router6(51, &VIP6)];
    for cycle in 0..2 {
        for (id, router) in (1..).zip(&routers) {
            rig.apply(id, router);
        }
        // The end of a release may be followed by what was on its way.
        std::thread::sleep(Duration::from_millis(20));
        let before = Instant::now();
        let mut frames = Vec::new();
        for (_, router) in (1..).zip(&routers) {
            drop(capture.from(router.mac.unwrap()));
        }
        while before.elapsed() < Duration::from_secs(4) {
            lan.client.succeeds(
                "ip neigh flush dev eth0; ping -c 1 -W 1 192.0.2.254; ping -c 1 -W 1 2001:db8::1:1; ping -c 1 -W 1 ff02::1%eth0; ping -b -c 1 -W 1 192.0.2.255",
            );
            let both: BTreeSet<_> = routers.iter().map(|router| router.mac.unwrap().0).collect();
            for frame in capture.all() {
                if both.iter().any(|mac| frame[6..12] == *mac) {
                    frames.push(frame);
                }
            }
        }
        assert!(frames.is_empty(), "cycle {cycle}: {frames:02x?}");
        for (id, router) in (1..).zip(&routers) {
            rig.apply(id, &active(router));
        }
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(
            resolved(&lan.client, "192.0.2.254").as_deref(),
            Some("00:00:5e:00:01:33")
        );
    }
    assert_eq!(rig.stop(), NONE);
    std::thread::sleep(Duration::from_millis(20));
    drop(capture.all());
    std::thread::sleep(Duration::from_secs(2));
    assert!(capture.from(routers[0].mac.unwrap()).is_empty());
}

#[test]
fn what_others_delete_is_back_at_once() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let (four, six) = (router4(51, &[VIP4]), router6(51, &VIP6));
    rig.apply(1, &active(&four));
    rig.apply(2, &active(&six));
    let names = macvlans(&lan.router);
    let (name4, name6) = (&names[0], &names[1]);
    let cases = [
        (
            format!("addr del {VIP4} dev {name4}"),
            format!("the address {VIP4} on {name4}"),
        ),
        (
            format!("addr del {} dev {name6}", VIP6[1]),
            format!("the address {} on {name6}", VIP6[1]),
        ),
        (
            format!("link del {name4}"),
            format!("the interface {name4}"),
        ),
        (
            format!("link del {name6}"),
            format!("the interface {name6}"),
        ),
        (
            format!("link set {name4} down"),
            format!("the interface {name4}, which was down"),
        ),
        (
            format!("link set {name6} down"),
            format!("the interface {name6}, which was down"),
        ),
        (
            format!("addr add 192.0.2.77/24 dev {name4}"),
            format!("{name4} without the stray address 192.0.2.77/24"),
        ),
        (
            format!("link set {name4} address 02:00:00:00:00:01"),
            format!("the MAC address of {name4}"),
        ),
        (
            format!("link set {name4} group 0"),
            format!("the group of {name4}"),
        ),
        (
            format!("link set {name4} mtu 1400"),
            format!("the MTU of {name4}"),
        ),
        (
            format!("link set {name4} alias hello"),
            format!("the alias of {name4}"),
        ),
    ];
    for (deed, expected) in cases {
        // Quiet between incidents, as they would be in life.
        std::thread::sleep(Duration::from_millis(3100));
        lan.router.ip(&deed);
        let undone = Instant::now();
        let (at, what) = rig.repair();
        assert!(what.starts_with(&expected), "{deed}: {what}");
        let took = at.saturating_duration_since(undone);
        assert!(took < soon(), "{deed}: {took:?}");
        assert!(
            has(&lan.router, VIP4) && VIP6.iter().all(|vip| has(&lan.router, vip)),
            "{deed}"
        );
        println!("{deed}: back {took:?} after ip(8) had ended; {what}");
    }
    for (path, value, expected) in [
        (
            format!("ipv4/conf/{name4}/arp_ignore"),
            "0",
            format!("IPv4 arp_ignore on {name4}"),
        ),
        (
            format!("ipv4/conf/{name4}/forwarding"),
            "0",
            format!("IPv4 forwarding on {name4}"),
        ),
        (
            "ipv4/conf/eth0/arp_announce".into(),
            "0",
            "IPv4 arp_announce on eth0".into(),
        ),
        (
            format!("ipv6/conf/{name6}/disable_ipv6"),
            "1",
            format!("the address {} on {name6}", VIP6[0]),
        ),
        (
            format!("ipv6/conf/{name4}/disable_ipv6"),
            "0",
            format!("IPv6 disable_ipv6 on {name4}"),
        ),
    ] {
        let before = lan.router.sysctl(&path);
        lan.router.set_sysctl(&path, value);
        let (_, what) = rig.repair();
        assert!(what.starts_with(&expected), "{path}: {what}");
        assert_eq!(lan.router.sysctl(&path), before, "{path}");
    }
    let quiet = rig.said(Duration::from_millis(2500));
    assert!(quiet.is_empty(), "{quiet:?}");
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn a_stranger_who_insists_causes_no_flood() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router4(51, &[VIP4])));
    let name = macvlan(&lan.router);
    let start = Instant::now();
    lan.router.run(&format!(
        "for i in $(seq 300); do ip addr del {VIP4} dev {name} 2>/dev/null; sleep 0.01; done; true"
    ));
    let took = start.elapsed();
    let repairs = rig
        .said(Duration::from_millis(1500))
        .into_iter()
        .filter(|notice| {
            matches!(
                notice,
                Notice::Upkeep {
                    upkeep: Upkeep::Repaired(_),
                    ..
                }
            )
        })
        .count();
    println!("{took:?}: {repairs} reports");
    let limit = 8 + usize::try_from(took.as_secs()).unwrap();
    assert!((2..=limit).contains(&repairs), "{repairs}");
    assert!(has(&lan.router, VIP4));
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn a_successor_adopts_what_a_killed_daemon_left() {
    let lan = Lan::new();
    let before = lan.router.settings();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let (four, six, other) = (
        router4(51, &[VIP4]),
        router6(51, &VIP6),
        router4(52, &["192.0.2.253/24"]),
    );
    rig.apply(1, &active(&four));
    rig.apply(2, &active(&six));
    rig.apply(3, &active(&other));
    rig.kill();
    assert!(has(&lan.router, VIP4) && has(&lan.router, VIP6[0]));
    let links = lan.router.show("-o link show type macvlan | cut -d: -f1");

    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.publish(1, &four);
    rig.publish(2, &active(&six));
    rig.applied([1, 2]);
    assert!(!has(&lan.router, VIP4), "in Backup");
    assert!(
        has(&lan.router, VIP6[0]) && has(&lan.router, VIP6[1]),
        "still Active"
    );
    wait_for(Duration::from_secs(2), || macvlans(&lan.router).len() == 2);
    assert!(!has(&lan.router, "192.0.2.253/24"), "no longer configured");
    for index in lan
        .router
        .show("-o link show type macvlan | cut -d: -f1")
        .lines()
    {
        assert!(links.contains(index), "made anew");
    }
    assert_eq!(rig.stop(), NONE);
    assert_eq!(lan.router.settings(), before);
}

#[test]
fn a_successor_without_routers_cleans_up() {
    let lan = Lan::new();
    let before = lan.router.settings();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router4(51, &[VIP4])));
    let plain = Desired {
        mac: None,
        ..router4(52, &["192.0.2.253/24"])
    };
    rig.apply(2, &active(&plain));
    rig.kill();
    let rig = Rig::new(&lan.router, "/nonexistent/a");
    assert_eq!(rig.stop(), NONE);
    assert_eq!(macvlans(&lan.router), NONE);
    assert!(!has(&lan.router, "192.0.2.253/24"));
    assert_eq!(lan.router.settings(), before);
}

#[test]
fn two_daemons_on_one_parent_leave_it_as_it_was() {
    for a_first in [true, false] {
        for crash in [false, true] {
            let lan = Lan::new();
            lan.router.set_sysctl("ipv4/conf/eth0/arp_announce", "1");
            let before = lan.router.parent_settings("eth0");
            let mut a = Rig::new(&lan.router, "/nonexistent/a");
            let mut b = Rig::new(&lan.router, "/nonexistent/b");
            a.apply(1, &active(&router4(51, &[VIP4])));
            assert_ne!(lan.router.parent_settings("eth0"), before);
            if crash {
                a.kill();
                a = Rig::new(&lan.router, "/nonexistent/a");
                a.apply(1, &active(&router4(51, &[VIP4])));
            }
            b.apply(1, &active(&router4(52, &["192.0.2.253/24"])));
            let (first, second) = if a_first { (a, b) } else { (b, a) };
            assert_eq!(first.stop(), NONE);
            assert_ne!(
                lan.router.parent_settings("eth0"),
                before,
                "the other still needs it"
            );
            assert_eq!(macvlans(&lan.router).len(), 1);
            std::thread::sleep(Duration::from_millis(50));
            assert!(has(
                &lan.router,
                if a_first { "192.0.2.253/24" } else { VIP4 }
            ));
            assert_eq!(second.stop(), NONE);
            assert_eq!(lan.router.parent_settings("eth0"), before);
        }
    }
}

#[test]
fn the_same_router_in_two_daemons_is_refused() {
    let lan = Lan::new();
    let mut a = Rig::new(&lan.router, "/nonexistent/a");
    let mut b = Rig::new(&lan.router, "/nonexistent/b");
    a.apply(1, &active(&router4(51, &[VIP4])));
    b.publish(1, &router4(51, &[VIP4]));
    let failure = b.failure();
    assert!(
        failure.contains("belongs to router test-ipv4-51 of another vrrpd"),
        "{failure}"
    );
    assert_eq!(b.stop(), NONE);
    assert!(has(&lan.router, VIP4));
    assert_eq!(a.stop(), NONE);
}

#[test]
fn addresses_do_not_take_routes_over() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let far = router4(52, &["203.0.113.1/24"]);
    rig.apply(1, &active(&router4(51, &[VIP4])));
    rig.apply(2, &active(&router6(51, &VIP6)));
    rig.apply(3, &active(&far));
    let to = |ip: &str| lan.router.show(&format!("-o route get {ip}"));
    assert!(
        to("192.0.2.100").contains("dev eth0 src 192.0.2.11"),
        "{}",
        to("192.0.2.100")
    );
    assert!(
        to("2001:db8::100").contains("dev eth0"),
        "{}",
        to("2001:db8::100")
    );
    assert!(
        to("2001:db8::100").contains("src 2001:db8::11"),
        "{}",
        to("2001:db8::100")
    );
    // Where the parent has no address of the subnet, ours makes it reachable.
    assert!(
        to("203.0.113.9").contains("dev vrrp4."),
        "{}",
        to("203.0.113.9")
    );
    assert_eq!(rig.stop(), NONE);
}

/// A thousand links take the time of an election. Orders that come behind the first must not wait for the links of the first
/// to hear of their own interface.
#[test]
fn every_interface_is_reported_before_links_are_made() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.publish(1, &router4(51, &[VIP4]));
    assert!(rig.facts("eth0").is_some());
    let other = Desired {
        interface: "eth1".into(),
        ..router4(52, &["198.51.100.254/24"])
    };
    rig.publish(2, &other);
    assert!(rig.facts("eth1").is_some());
    let links = lan
        .router
        .enter(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
    // Two lines of heading, lo, eth0 and eth1.
    assert_eq!(links.lines().count(), 5, "{links}");
    rig.applied([1, 2]);
    assert_eq!(macvlans(&lan.router).len(), 2);
}

#[test]
fn an_interface_may_come_late_go_and_return() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let late = Desired {
        interface: "eth9".into(),
        ..router4(51, &["10.0.0.254/24"])
    };
    rig.publish(1, &active(&late));
    assert_eq!(rig.facts("eth9"), None);
    assert_eq!(rig.failure(), "the interface eth9 does not exist");
    lan.router
        .ip("link add eth9 type veth peer name peer9\nlink set peer9 up");
    rig.applied([1]);
    lan.router
        .ip("addr add 10.0.0.1/24 dev eth9\nlink set eth9 up");
    let up = loop {
        let facts = rig.facts("eth9").expect("exists");
        if facts.up && facts.carrier && !facts.link_local.is_empty() {
            break facts;
        }
    };
    assert_eq!(up.ipv4, [("10.0.0.1".parse().unwrap(), 24)]);
    assert!(has(&lan.router, "10.0.0.254/24"));

    lan.router.ip("link del eth9");
    while rig.facts("eth9").is_some() {}
    assert_eq!(rig.failure(), "the interface eth9 does not exist");
    lan.router
        .ip("link add eth9 type veth peer name peer9\nlink set peer9 up\nlink set eth9 up");
    assert_ne!(rig.facts("eth9").expect("exists").index, up.index);
    rig.applied([1]);
    assert!(has(&lan.router, "10.0.0.254/24"));

    let before = "arp_ignore=1";
    assert!(
        lan.router
            .parent_settings("eth9")
            .contains(&before.to_owned())
    );
    lan.router
        .ip("link set eth9 down\nlink set eth9 name other0");
    wait_for(Duration::from_secs(2), || macvlans(&lan.router).is_empty());
    assert!(
        !lan.router
            .parent_settings("other0")
            .contains(&before.to_owned()),
        "restored"
    );
    assert_eq!(rig.failure(), "the interface eth9 does not exist");
    lan.router.ip("link set other0 name eth9\nlink set eth9 up");
    rig.applied([1]);
    assert!(has(&lan.router, "10.0.0.254/24"));

    // Into another namespace: the macvlan stays behind, on an interface that is not ours any more.
    lan.router
        .ip(&format!("link set eth9 netns {}", lan.server.name()));
    assert_eq!(rig.failure(), "the interface eth9 does not exist");
    wait_for(Duration::from_secs(2), || macvlans(&lan.router).is_empty());
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn a_macvlan_follows_its_parent() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router4(51, &[VIP4])));
    rig.apply(2, &active(&router6(51, &VIP6)));
    let name = macvlan(&lan.router);
    lan.router.ip("link set eth0 mtu 1400");
    assert_eq!(rig.facts("eth0").unwrap().mtu, 1400);
    lan.router.ip("link set eth0 mtu 1500");
    wait_for(Duration::from_secs(2), || {
        lan.router
            .show(&format!("link show {name}"))
            .contains("mtu 1500")
    });
    lan.router.ip("link set eth0 address 02:00:00:00:00:99");
    loop {
        if rig.facts("eth0").unwrap().mac.0[5] == 0x99 {
            break;
        }
    }
    lan.router.set_sysctl("ipv4/conf/eth0/forwarding", "0");
    wait_for(Duration::from_secs(2), || {
        lan.router.sysctl(&format!("ipv4/conf/{name}/forwarding")) == "0"
    });
    lan.router.set_sysctl("ipv4/conf/all/rp_filter", "1");
    wait_for(Duration::from_secs(2), || {
        lan.router.sysctl(&format!("ipv4/conf/{name}/rp_filter")) == "2"
    });
    // Not every kernel has VRFs.
    if lan.router.succeeds("ip link add red type vrf table 10") {
        lan.router.ip("link set red up\nlink set eth0 master red");
        wait_for(Duration::from_secs(2), || {
            lan.router
                .show("link show master red")
                .matches("vrrp")
                .count()
                >= 2
                && has(&lan.router, VIP4)
                && has(&lan.router, VIP6[1])
        });
        lan.router.ip("link set eth0 nomaster");
        wait_for(Duration::from_secs(2), || {
            !lan.router.show("link show master red").contains("vrrp")
                && has(&lan.router, VIP4)
                && has(&lan.router, VIP6[1])
        });
    }
    lan.router.ip("link set eth0 down\nlink set eth0 up");
    wait_for(Duration::from_secs(2), || {
        has(&lan.router, VIP4) && has(&lan.router, VIP6[1])
    });
    // Nothing of this was a repair.
    let repairs: Vec<_> = rig
        .said(Duration::from_millis(1500))
        .into_iter()
        .filter(|notice| matches!(notice, Notice::Upkeep { .. }))
        .collect();
    assert!(repairs.is_empty(), "{repairs:?}");
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn without_a_virtual_mac_address_only_our_addresses_are_ours() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let plain = |vrid, addresses: &[&str]| Desired {
        mac: None,
        ..router4(vrid, addresses)
    };
    let (one, two) = (plain(51, &[VIP4]), plain(52, &["192.0.2.11/24"]));
    let six = Desired {
        mac: None,
        ..router6(51, &VIP6)
    };
    rig.publish(1, &active(&one));
    let facts = rig.facts("eth0").unwrap();
    rig.applied([1]);
    rig.apply(
        2,
        &Desired {
            owner: true,
            ..active(&two)
        },
    );
    rig.apply(3, &active(&six));
    assert_eq!(
        resolved(&lan.client, "192.0.2.254").map(|mac| mac.starts_with("00:00:5e")),
        Some(false)
    );
    assert!(has(&lan.router, VIP6[0]) && has(&lan.router, VIP6[1]));
    assert_eq!(macvlans(&lan.router), NONE);
    // The facts are about real addresses.
    assert_eq!(facts.ipv4, [("192.0.2.11".parse().unwrap(), 24)]);
    assert_eq!(facts.link_local.len(), 1);
    let said = rig.said(Duration::from_millis(100));
    assert!(
        !said
            .iter()
            .any(|notice| matches!(notice, Notice::Link { .. })),
        "{said:?}"
    );

    lan.router.ip(&format!("addr del {VIP4} dev eth0"));
    let (_, what) = rig.repair();
    assert_eq!(what, format!("the address {VIP4} on eth0"));
    rig.apply(1, &one);
    rig.apply(2, &two);
    rig.apply(3, &six);
    assert!(!has(&lan.router, VIP4) && !has(&lan.router, VIP6[0]) && !has(&lan.router, VIP6[1]));
    assert!(has(&lan.router, "192.0.2.11/24"), "a real address stays");
    // A stranger's address of the same number stays, too.
    lan.router.ip(&format!("addr add {VIP4} dev eth0"));
    rig.apply(1, &active(&one));
    rig.apply(1, &one);
    assert!(has(&lan.router, VIP4));
    assert_eq!(rig.stop(), NONE);
    assert!(has(&lan.router, VIP4));
}

#[test]
fn without_accept_mode_traffic_to_the_address_is_dropped() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let deaf = |router: Desired| Desired {
        accept: false,
        ..router
    };
    let (four, six) = (deaf(router4(51, &[VIP4])), deaf(router6(51, &VIP6)));
    rig.publish(1, &active(&four));
    rig.publish(2, &active(&six));
    rig.applied([1, 2]);
    let check = || {
        assert_eq!(
            resolved(&lan.client, "192.0.2.254").as_deref(),
            Some("00:00:5e:00:01:33")
        );
        assert_eq!(
            resolved(&lan.client, "2001:db8::1:1").as_deref(),
            Some("00:00:5e:00:02:33")
        );
        assert!(!lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
        assert!(!lan.client.succeeds("ping -c 1 -W 1 2001:db8::1:1"));
        assert!(!lan.client.succeeds("ping -c 1 -W 1 fe80::1:1%eth0"));
        assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.11"));
    };
    check();
    // It forwards all the same.
    lan.client
        .ip("route add default via 192.0.2.254\nroute add default via 2001:db8::1:1");
    assert!(lan.client.succeeds("ping -c 1 -W 1 198.51.100.2"));
    assert!(lan.client.succeeds("ping -c 1 -W 1 2001:db8:1::2"));
    lan.router.run("nft flush ruleset");
    let (_, what) = rig.repair();
    assert!(what.starts_with("the nftables table vrrpd_"), "{what}");
    check();
    let tables = lan.router.run("nft list tables");
    let table = tables.lines().find(|line| line.contains("inet"));
    lan.router.run(&format!("nft flush {}", table.unwrap()));
    let (_, what) = rig.repair();
    assert!(what.starts_with("the nftables table vrrpd_"), "{what}");
    check();
    let said = rig.said(Duration::from_millis(1500));
    assert!(said.is_empty(), "{said:?}");
    rig.apply(1, &active(&router4(51, &[VIP4])));
    assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
    assert_eq!(rig.stop(), NONE);
    assert_eq!(lan.router.run("nft list ruleset"), "");
}

#[test]
fn an_owner_answers_with_the_virtual_mac_address_alone() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let local = {
        rig.publish(9, &router4(9, &["192.0.2.9/24"]));
        rig.facts("eth0").unwrap().link_local[0]
    };
    let owner = |router: Desired| Desired {
        owner: true,
        ..router
    };
    let four = owner(router4(51, &["192.0.2.11/24"]));
    let six = owner(router6(51, &[&format!("{local}/64"), "2001:db8::11/64"]));
    rig.apply(1, &active(&four));
    rig.apply(2, &active(&six));
    let capture = Capture::new(&lan.client);
    for _ in 0..3 {
        lan.router.run("ip neigh flush dev eth0");
        assert_eq!(
            resolved(&lan.client, "192.0.2.11").as_deref(),
            Some("00:00:5e:00:01:33")
        );
        assert!(resolved(&lan.client, "2001:db8::11").is_some());
        assert!(resolved(&lan.client, &local.to_string()).is_some());
    }
    // Neighbour advertisements of the owned addresses come from the virtual MAC address. (Solicitations that the host
    // itself sends from them do not.)
    let advertisements: Vec<_> = capture
        .all()
        .into_iter()
        .filter(|frame| frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(54) == Some(&136))
        .filter(|frame| {
            [local, "2001:db8::11".parse().unwrap()]
                .iter()
                .any(|ip| frame.get(62..78) == Some(&ip.octets()[..]))
        })
        .collect();
    assert!(advertisements.len() >= 6, "{}", advertisements.len());
    for frame in advertisements {
        assert_eq!(frame[6..12], [0, 0, 0x5e, 0, 2, 0x33], "{frame:02x?}");
    }
    assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.11"));
    assert!(lan.client.succeeds("ping -c 1 -W 1 2001:db8::11"));
    // The host itself still finds its neighbours.
    lan.router.run("ip neigh flush dev eth0");
    assert!(lan.router.succeeds("ping -c 1 -W 1 192.0.2.100"));
    assert!(lan.router.succeeds("ping -c 1 -W 1 2001:db8::100"));
    rig.apply(1, &four);
    rig.apply(2, &six);
    assert!(has(&lan.router, "192.0.2.11/24") && has(&lan.router, "2001:db8::11/64"));
    assert_eq!(rig.stop(), NONE);
    assert!(has(&lan.router, "192.0.2.11/24") && has(&lan.router, "2001:db8::11/64"));
    assert_eq!(lan.router.run("nft list ruleset"), "");
    assert!(
        !resolved(&lan.client, "192.0.2.11")
            .unwrap()
            .starts_with("00:00:5e")
    );
}

#[test]
fn a_parent_may_be_a_macvlan_from_another_namespace() {
    let lan = Lan::new();
    let container = Namespace::new();
    lan.router.ip(&format!(
        "link add mv0 link eth0 netns {} type macvlan mode bridge",
        container.name()
    ));
    container.ip("addr add 192.0.2.12/24 dev mv0\nlink set mv0 up");
    let before = container.parent_settings("mv0");
    let mut rig = Rig::new(&container, "/nonexistent/a");
    let four = Desired {
        interface: "mv0".into(),
        ..router4(51, &[VIP4])
    };
    rig.apply(1, &active(&four));
    assert_ne!(container.parent_settings("mv0"), before);
    assert_eq!(
        resolved(&lan.client, "192.0.2.254").as_deref(),
        Some("00:00:5e:00:01:33")
    );
    assert_eq!(rig.stop(), NONE);
    assert_eq!(container.parent_settings("mv0"), before);
}

#[test]
fn settings_that_are_notified_are_followed_at_once() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &router4(51, &[VIP4]));
    rig.apply(2, &router6(51, &VIP6));
    let names = macvlans(&lan.router);
    // Late in the second between two audits.
    std::thread::sleep(Duration::from_millis(200));
    let six = format!("ipv6/conf/{}/disable_ipv6", names[1]);
    lan.router.set_sysctl(&six, "0");
    let took = wait_for(Duration::from_secs(2), || lan.router.sysctl(&six) == "1");
    println!("disable_ipv6: {took:?}");
    assert!(took < soon());
    // Switching forwarding on for all switches it on for ours, too.
    lan.router.set_sysctl("ipv4/ip_forward", "0");
    lan.router.set_sysctl("ipv4/ip_forward", "1");
    let four = format!("ipv4/conf/{}/forwarding", names[0]);
    let took = wait_for(Duration::from_secs(2), || lan.router.sysctl(&four) == "0");
    println!("forwarding: {took:?}");
    assert!(took < soon());
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn notifications_that_are_lost_do_no_harm() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router4(51, &[VIP4])));
    rig.apply(2, &active(&router6(51, &VIP6)));
    let name = macvlan(&lan.router);
    // Some ten thousand notifications in one go, each of which is more than a kilobyte.
    let batch: String = (0..4000)
        .map(|i| format!("link set eth1 alias {i}\n"))
        .collect();
    std::fs::write(format!("/tmp/{name}.{}", std::process::id()), batch).unwrap();
    lan.router.run(&format!(
        "for i in 1 2 3 4 5 6; do ip -batch /tmp/{name}.{0} & done; wait; ip addr del {VIP4} dev {name}; rm /tmp/{name}.{0}",
        std::process::id()
    ));
    wait_for(Duration::from_secs(2), || has(&lan.router, VIP4));
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn two_hundred_and_fifty_routers_move_together() {
    let lan = Lan::new();
    let before = lan.router.settings();
    for family in [4, 6] {
        let mut rig = Rig::new(&lan.router, "/nonexistent/a");
        let routers: Vec<Desired> = (1..=250_u8)
            .map(|vrid| match family {
                4 => router4(vrid, &[&format!("192.0.2.{vrid}/24")]),
                _ => router6(
                    vrid,
                    &[
                        &format!("fe80::1:{vrid:x}/64"),
                        &format!("2001:db8::1:{vrid:x}/64"),
                    ],
                ),
            })
            .map(|router| Desired {
                addresses: router
                    .addresses
                    .into_iter()
                    .filter(|it| it.ip.to_string() != "192.0.2.11")
                    .collect(),
                ..router
            })
            .collect();
        let timed = |rig: &mut Rig, count: usize, on: bool| {
            let start = Instant::now();
            for (id, router) in (1..).zip(&routers[..count]) {
                rig.publish(id, &if on { active(router) } else { router.clone() });
            }
            rig.applied(1..=u32::try_from(count).unwrap()) - start
        };
        let created = timed(&mut rig, 250, false);
        println!("IPv{family}: 250 created in {created:?}");
        for count in [1, 100, 250] {
            let mut takeovers = Vec::new();
            let mut releases = Vec::new();
            for _ in 0..15 {
                takeovers.push(timed(&mut rig, count, true));
                releases.push(timed(&mut rig, count, false));
                std::thread::sleep(Duration::from_millis(30));
            }
            takeovers.sort();
            releases.sort();
            println!(
                "IPv{family}: {count} routers: takeover {:?} (max {:?}), release {:?} (max {:?})",
                takeovers[7], takeovers[14], releases[7], releases[14]
            );
        }
        timed(&mut rig, 250, true);
        let before_rest = thread_time("kernel");
        std::thread::sleep(Duration::from_secs(3));
        let rest = (thread_time("kernel") - before_rest) / 3;
        println!("IPv{family}: 250 Active at rest: {rest:?} of processor time a second");
        let start = Instant::now();
        assert_eq!(rig.stop(), NONE);
        let took = start.elapsed();
        println!("IPv{family}: 250 gone in {took:?}");
        assert!(took < soon().max(Duration::from_millis(500)), "{took:?}");
        assert_eq!(macvlans(&lan.router), NONE);
        assert_eq!(lan.router.settings(), before);
    }
}

#[test]
fn a_reload_moves_a_router_to_another_number_in_place() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let four = active(&router4(51, &[VIP4]));
    rig.apply(1, &four);
    let index = lan.router.show("-o link show type macvlan | cut -d: -f1");
    rig.withdraw(1);
    std::thread::sleep(Duration::from_millis(5));
    rig.apply(2, &four);
    assert_eq!(
        lan.router.show("-o link show type macvlan | cut -d: -f1"),
        index
    );
    rig.withdraw(2);
    wait_for(Duration::from_millis(200), || !has(&lan.router, VIP4));
    wait_for(Duration::from_secs(1), || macvlans(&lan.router).is_empty());
    assert_eq!(rig.stop(), NONE);
}
