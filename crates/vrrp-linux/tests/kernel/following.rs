//! What follows a router: addresses elsewhere, routes and rules.

use std::time::Duration;

use vrrp_linux::kernel::Notice;
use vrrp_proto::desired::{Desired, Upkeep};
use vrrp_proto::following::{Fate, Following, FollowingAddress, MAIN_TABLE, Prefix, Route, Rule};
use vrrp_proto::types::Family;

use super::rig::{Lan, Namespace, Rig, active, router4, router6, virtual_address, wait_for};
use super::{NONE, VIP4, VIP6, has};

const PATIENCE: Duration = Duration::from_secs(5);

fn prefix(text: &str) -> Prefix {
    let (ip, len) = text.split_once('/').unwrap();
    Prefix::of(ip.parse().unwrap(), len.parse().unwrap()).unwrap()
}

fn route(to: &str, via: &str) -> Route {
    Route {
        to: prefix(to),
        via: Some(via.parse().unwrap()),
        interface: None,
        table: MAIN_TABLE,
        metric: None,
        source: None,
        fate: Fate::Unicast,
        on_link: false,
    }
}

fn drops(to: &str, fate: Fate) -> Route {
    Route {
        via: None,
        fate,
        ..route(to, "192.0.2.1")
    }
}

fn rule(family: Family, priority: u32) -> Rule {
    Rule {
        family,
        priority,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: 200,
        fate: Fate::Unicast,
        suppress_prefix_length: None,
    }
}

fn guest(address: &str, interface: &str) -> FollowingAddress {
    FollowingAddress {
        address: virtual_address(address),
        interface: Some(interface.into()),
    }
}

/// One of every kind.
fn everything() -> Following {
    Following {
        addresses: vec![
            guest("203.0.113.7/32", "eth1"),
            guest("2001:db8:7::7/128", "eth1"),
        ],
        routes: vec![
            route("198.18.0.0/15", "192.0.2.100"),
            Route {
                interface: Some("eth1".into()),
                table: 200,
                metric: Some(50),
                source: Some("203.0.113.7".parse().unwrap()),
                ..route("0.0.0.0/0", "198.51.100.2")
            },
            Route {
                interface: Some("eth1".into()),
                on_link: true,
                ..route("198.19.0.0/16", "10.9.9.9")
            },
            drops("203.0.113.0/28", Fate::Blackhole),
            drops("203.0.113.16/28", Fate::Unreachable),
            drops("203.0.113.32/28", Fate::Prohibit),
            route("2001:db8:2::/48", "2001:db8::100"),
            Route {
                table: 100_000,
                ..route("::/0", "2001:db8:1::2")
            },
            drops("2001:db8:3::/48", Fate::Blackhole),
        ],
        rules: vec![
            Rule {
                from: Some(prefix("203.0.113.0/24")),
                ..rule(Family::Ipv4, 1000)
            },
            Rule {
                iif: Some("eth1".into()),
                fwmark: Some((0x10, 0xff)),
                suppress_prefix_length: Some(0),
                ..rule(Family::Ipv4, 1001)
            },
            Rule {
                to: Some(prefix("2001:db8:4::/48")),
                table: 0,
                fate: Fate::Prohibit,
                ..rule(Family::Ipv6, 1002)
            },
        ],
    }
}

fn with(router: Desired, following: Following) -> Desired {
    Desired {
        following,
        ..router
    }
}

/// The routes and rules that carry a number of ours.
fn ours(namespace: &Namespace) -> Vec<String> {
    let mut lines = Vec::new();
    for family in ["-4", "-6"] {
        let routes = namespace.show(&format!("-N {family} route show table all"));
        let rules = namespace.show(&format!("-N {family} rule show"));
        let number = |line: &str| {
            let mut words = line.split_whitespace();
            words.find(|word| *word == "proto")?;
            words.next()?.parse::<u8>().ok()
        };
        let text = routes + &rules;
        let found = text
            .lines()
            .filter(|line| number(line).is_some_and(|number| (112..=185).contains(&number)));
        lines.extend(found.map(|line| line.trim().to_owned()));
    }
    lines
}

fn is_all_there(namespace: &Namespace) -> bool {
    ours(namespace).len() == 12
        && has(namespace, "203.0.113.7/32")
        && has(namespace, "2001:db8:7::7/128")
}

fn is_all_gone(namespace: &Namespace) -> bool {
    ours(namespace).is_empty()
        && !has(namespace, "203.0.113.7/32")
        && !has(namespace, "2001:db8:7::7/128")
}

/// What is said to be missing next.
fn lacks(rig: &Rig) -> Vec<String> {
    loop {
        let (_, notice) = rig.next(PATIENCE).expect("a notice");
        if let Notice::Upkeep {
            upkeep: Upkeep::Lacks(what),
            ..
        } = notice
        {
            return what;
        }
    }
}

#[test]
fn it_is_there_while_the_router_is_active_and_not_otherwise() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let four = with(router4(51, &[VIP4]), everything());
    rig.apply(1, &four);
    assert!(is_all_gone(&lan.router));
    let before = lan.router.show("rule show") + &lan.router.show("route show table all");
    for _ in 0..3 {
        rig.apply(1, &active(&four));
        wait_for(PATIENCE, || is_all_there(&lan.router));
        rig.apply(1, &four);
        wait_for(PATIENCE, || is_all_gone(&lan.router));
    }
    let after = lan.router.show("rule show") + &lan.router.show("route show table all");
    assert_eq!(before, after, "nothing else was touched");
    let text = ours(&lan.router);
    assert!(text.is_empty(), "{text:?}");
    rig.apply(1, &active(&four));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    assert_eq!(rig.stop(), NONE);
    assert!(is_all_gone(&lan.router), "a stop leaves nothing");
}

#[test]
fn its_words_are_those_of_the_kernel() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/run/vrrpd");
    rig.apply(1, &active(&with(router4(51, &[VIP4]), everything())));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    let show = |line: &str| lan.router.show(line);
    let found = [
        show("-4 route show table all"),
        show("-6 route show table all"),
        show("-4 rule show"),
        show("-6 rule show"),
    ]
    .concat();
    for line in [
        "198.18.0.0/15 via 192.0.2.100 dev eth0 proto 112",
        "default via 198.51.100.2 dev eth1 table 200 proto 112 src 203.0.113.7 metric 50",
        "198.19.0.0/16 via 10.9.9.9 dev eth1 proto 112 onlink",
        "blackhole 203.0.113.0/28 proto 112",
        "unreachable 203.0.113.16/28 proto 112",
        "prohibit 203.0.113.32/28 proto 112",
        "2001:db8:2::/48 via 2001:db8::100 dev eth0 proto 112 metric 1024",
        "default via 2001:db8:1::2 dev eth1 table 100000 proto 112 metric 1024",
        "blackhole 2001:db8:3::/48 dev lo proto 112 metric 1024",
        "1000:\tfrom 203.0.113.0/24 lookup 200 proto 112",
        "1001:\tfrom all fwmark 0x10/0xff iif eth1 lookup 200 suppress_prefixlength 0 proto 112",
        "1002:\tfrom all to 2001:db8:4::/48 prohibit proto 112",
    ] {
        assert!(found.contains(line), "{line}\n{found}");
    }
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn what_a_killed_daemon_left_is_found_and_a_strangers_is_not_touched() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let router = with(router4(51, &[VIP4]), everything());
    rig.apply(1, &active(&router));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    rig.kill();
    assert!(is_all_there(&lan.router));
    lan.router.ip("route add 198.51.7.0/24 via 192.0.2.100
         route add blackhole 198.51.8.0/24 proto 18
         rule add priority 900 from 198.51.7.0/24 lookup main
         addr add 198.51.9.1/32 dev eth1");

    // A successor that wants a part of it.
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let some = Following {
        routes: vec![route("198.18.0.0/15", "192.0.2.100")],
        ..Following::default()
    };
    rig.apply(1, &active(&with(router4(51, &[VIP4]), some)));
    wait_for(PATIENCE, || ours(&lan.router).len() == 1);
    wait_for(PATIENCE, || !has(&lan.router, "203.0.113.7/32"));
    let said = rig.said(Duration::from_millis(300));
    assert!(
        !said.iter().any(|it| matches!(it, Notice::Upkeep { .. })),
        "{said:?}"
    );
    assert_eq!(rig.stop(), NONE);
    assert!(is_all_gone(&lan.router));
    let there = lan.router.show("route show table all") + &lan.router.show("rule show");
    for line in ["198.51.7.0/24 via", "blackhole 198.51.8.0/24", "900:"] {
        assert!(there.contains(line), "{line}");
    }
    assert!(has(&lan.router, "198.51.9.1/32"));
}

#[test]
fn two_daemons_do_not_take_each_others() {
    let lan = Lan::new();
    let mut one = Rig::new(&lan.router, "/nonexistent/a");
    one.apply(1, &active(&with(router4(51, &[VIP4]), everything())));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    let mut other = Rig::new(&lan.router, "/run/vrrpd");
    let few = Following {
        routes: vec![route("198.51.77.0/24", "192.0.2.100")],
        ..Following::default()
    };
    other.apply(1, &active(&with(router4(52, &["192.0.2.253/24"]), few)));
    wait_for(PATIENCE, || ours(&lan.router).len() == 13);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(ours(&lan.router).len(), 13);
    assert_eq!(other.stop(), NONE);
    assert!(is_all_there(&lan.router));
    assert_eq!(one.stop(), NONE);
}

#[test]
fn what_somebody_takes_away_is_put_back() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&with(router4(51, &[VIP4]), everything())));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    for (theft, what) in [
        (
            "route del 198.18.0.0/15",
            "the route 198.18.0.0/15 via 192.0.2.100",
        ),
        (
            "route del default table 200",
            "table 200 metric 50 src 203.0.113.7",
        ),
        (
            "-6 route del blackhole 2001:db8:3::/48",
            "the route blackhole 2001:db8:3::/48",
        ),
        (
            "rule del priority 1000",
            "the rule 1000: from 203.0.113.0/24 lookup 200",
        ),
        ("-6 rule del priority 1002", "the rule 1002:"),
        (
            "addr del 2001:db8:7::7/128 dev eth1",
            "the address 2001:db8:7::7/128 on eth1",
        ),
    ] {
        lan.router.ip(theft);
        let (_, repaired) = rig.repair();
        assert!(repaired.contains(what), "{theft}: {repaired}");
        wait_for(PATIENCE, || is_all_there(&lan.router));
        std::thread::sleep(Duration::from_millis(50));
    }
    // With the address, the kernel removes the route that has it as its source.
    lan.router.ip("addr del 203.0.113.7/32 dev eth1");
    wait_for(PATIENCE, || is_all_there(&lan.router));
    assert_eq!(rig.stop(), NONE);
    assert!(is_all_gone(&lan.router));
}

#[test]
fn an_interface_that_goes_takes_routes_along_and_brings_them_back() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let following = Following {
        addresses: vec![guest("203.0.113.7/32", "eth1")],
        routes: vec![Route {
            interface: Some("eth1".into()),
            ..route("198.18.0.0/15", "198.51.100.2")
        }],
        ..Following::default()
    };
    rig.apply(1, &active(&with(router4(51, &[VIP4]), following)));
    wait_for(PATIENCE, || ours(&lan.router).len() == 1);
    lan.router.ip("link set eth1 down");
    let missing = lacks(&rig);
    assert_eq!(
        missing,
        ["the route 198.18.0.0/15 via 198.51.100.2 dev eth1: eth1 is down"]
    );
    assert_eq!(ours(&lan.router), NONE);
    lan.router.ip("link set eth1 up");
    assert_eq!(lacks(&rig), NONE);
    assert_eq!(ours(&lan.router).len(), 1);
    let said = rig.said(Duration::from_millis(1200));
    assert!(
        !said.iter().any(|it| matches!(it, Notice::Upkeep { .. })),
        "the kernel is no thief: {said:?}"
    );
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn a_route_in_the_place_of_ours_stays_and_the_router_goes_on() {
    let lan = Lan::new();
    lan.router.ip("route add 198.18.0.0/15 via 192.0.2.77
         -6 route add 2001:db8:2::/48 via 2001:db8::77");
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let following = Following {
        routes: vec![
            route("198.18.0.0/15", "192.0.2.100"),
            route("2001:db8:2::/48", "2001:db8::100"),
            route("198.51.77.0/24", "192.0.2.100"),
        ],
        ..Following::default()
    };
    // The addresses are applied all the same.
    rig.publish(1, &active(&with(router6(51, &VIP6), following)));
    let missing = lacks(&rig).join("\n");
    rig.applied([1]);
    assert!(
        missing.contains("198.18.0.0/15 via 192.0.2.100: somebody else has a route"),
        "{missing}"
    );
    assert!(
        missing.contains("2001:db8:2::/48 via 2001:db8::100: somebody"),
        "{missing}"
    );
    let theirs = lan.router.show("route show 198.18.0.0/15");
    assert!(theirs.contains("192.0.2.77"), "{theirs}");
    let theirs = lan.router.show("-6 route show 2001:db8:2::/48");
    assert!(
        theirs.contains("2001:db8::77") && !theirs.contains("nexthop"),
        "{theirs}"
    );
    assert_eq!(ours(&lan.router).len(), 1, "what has no rival is there");
    // They give way one by one.
    lan.router.ip("route del 198.18.0.0/15 via 192.0.2.77");
    let missing = lacks(&rig);
    assert_eq!(missing.len(), 1, "{missing:?}");
    lan.router
        .ip("-6 route del 2001:db8:2::/48 via 2001:db8::77");
    wait_for(Duration::from_secs(8), || ours(&lan.router).len() == 3);
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn what_is_new_is_added_and_what_is_gone_removed_while_active() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let router = router4(51, &[VIP4]);
    rig.apply(1, &active(&with(router.clone(), everything())));
    wait_for(PATIENCE, || is_all_there(&lan.router));
    let other = Following {
        addresses: vec![guest("203.0.113.8/32", "eth1")],
        routes: vec![route("198.18.0.0/15", "192.0.2.101")],
        ..Following::default()
    };
    rig.apply(1, &active(&with(router.clone(), other)));
    wait_for(PATIENCE, || {
        let found = ours(&lan.router);
        found.len() == 1 && found[0].contains("192.0.2.101")
    });
    wait_for(PATIENCE, || {
        has(&lan.router, "203.0.113.8/32") && !has(&lan.router, "203.0.113.7/32")
    });
    // A router that is withdrawn takes everything along.
    rig.withdraw(1);
    wait_for(PATIENCE, || {
        ours(&lan.router).is_empty() && !has(&lan.router, "203.0.113.8/32")
    });
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn addresses_elsewhere_are_reported_with_the_mac_address_of_their_interface() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    let following = Following {
        addresses: vec![
            guest("203.0.113.7/32", "eth1"),
            guest("203.0.113.9/32", "lo"),
        ],
        ..Following::default()
    };
    rig.publish(1, &active(&with(router4(51, &[VIP4]), following.clone())));
    let guests = |rig: &Rig| loop {
        let (_, notice) = rig.next(PATIENCE).expect("a notice");
        if let Notice::Guests { guests, .. } = notice {
            break guests;
        }
    };
    let found = guests(&rig);
    assert_eq!(found.len(), 1, "nobody is told of one on lo: {found:?}");
    let own = lan.router.show("-o link show eth1");
    assert!(own.contains(&found[0].mac.to_string()), "{own} {found:?}");
    assert_eq!(found[0].address.to_string(), "203.0.113.7");
    assert!(has(&lan.router, "203.0.113.9/32"));
    rig.publish(1, &with(router4(51, &[VIP4]), following));
    assert!(guests(&rig).is_empty());
    rig.applied([1]);
    assert!(!has(&lan.router, "203.0.113.9/32"));
    assert_eq!(rig.stop(), NONE);
}
