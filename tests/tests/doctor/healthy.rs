//! Pairs that nothing is wrong with.

use crate::tools::{ctl_by, examine};
use std::time::Duration;
use vrrp_lab::clock::ms;
use vrrp_lab::daemon::Daemon;
use vrrp_lab::pair::{HIGHER, LOWER};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::Make::Keepalived;
use vrrp_lab::rival::{Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

/// Both of ours, on a LAN of their own.
fn well(profile: Profile, interval: Duration, planes: [&'static str; 2]) {
    let lan = Lan::new(2);
    let daemons: Vec<Daemon> = [HIGHER, LOWER]
        .into_iter()
        .zip(planes)
        .zip(&lan.routers)
        .map(|((priority, plane), router)| {
            let orders = Orders {
                plane: Some(plane),
                ..Orders::new(profile, priority, interval)
            };
            let daemon = Daemon::start(router, &file(&[ours(orders, "auto")]));
            let state = if priority == HIGHER {
                "active"
            } else {
                "backup"
            };
            daemon.wait_state("lab", state, profile.down(LOWER, interval) + ms(3000));
            daemon
        })
        .collect();
    std::thread::sleep(interval * 2);
    for (daemon, router) in daemons.iter().zip(&lan.routers) {
        examine(router, daemon).expect(&[]);
    }
}

#[test]
fn v2() {
    well(Profile::V2, ms(1000), ["macvlan", "macvlan"]);
}

#[test]
fn v3_ipv4() {
    well(Profile::V3Ipv4, ms(300), ["macvlan", "macvlan"]);
}

#[test]
fn v3_ipv6() {
    well(Profile::V3Ipv6, ms(300), ["macvlan", "macvlan"]);
}

#[test]
fn v3_ipv4_without_macvlans() {
    well(Profile::V3Ipv4, ms(300), ["ebpf", "ebpf"]);
}

#[test]
fn v3_ipv6_without_macvlans() {
    well(Profile::V3Ipv6, ms(300), ["ebpf", "ebpf"]);
}

/// keepalived stands by while ours is Active, and the other way round.
fn beside_keepalived(profile: Profile, priority: u8) {
    let lan = Lan::new(2);
    let interval = if profile == Profile::V2 {
        ms(1000)
    } else {
        ms(300)
    };
    let theirs = if priority == HIGHER { LOWER } else { HIGHER };
    let daemon = Daemon::start(
        &lan.routers[0],
        &file(&[ours(Orders::new(profile, priority, interval), "auto")]),
    );
    let _peer = vrrp_lab::rival::start(
        Keepalived,
        &lan.routers[1],
        Orders::new(profile, theirs, interval),
    );
    // Both have started, each may have been Active for a moment, and keepalived's form of checksum is come round to.
    std::thread::sleep(profile.down(LOWER, interval) * 3);
    let state = if priority == HIGHER {
        "active"
    } else {
        "backup"
    };
    daemon.wait_state("lab", state, ms(5000));
    std::thread::sleep(interval * 4);
    examine(&lan.routers[0], &daemon).expect(&[]);
}

#[test]
fn beside_keepalived_v2() {
    beside_keepalived(Profile::V2, HIGHER);
}

#[test]
fn beside_keepalived_v3_ipv4() {
    beside_keepalived(Profile::V3Ipv4, LOWER);
}

#[test]
fn beside_keepalived_v3_ipv6() {
    beside_keepalived(Profile::V3Ipv6, LOWER);
}

/// What it says then, and how it says it.
#[test]
fn in_words() {
    let lan = Lan::new(1);
    let orders = Orders::new(Profile::V3Ipv4, HIGHER, ms(300));
    let daemon = Daemon::start(&lan.routers[0], &file(&[ours(orders, "auto")]));
    daemon.wait_state("lab", "active", ms(4000));
    let words = ["doctor", "lab", "--for", "300ms"];
    let output = ctl_by(&lan.routers[0], &daemon, "exec \"$@\"", &words);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with("nothing is wrong with 1 virtual router; listened for 3"),
        "{text}"
    );
    assert!(text.ends_with(" ms on eth0, eth1\n"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    let output = ctl_by(&lan.routers[0], &daemon, "exec \"$@\"", &["doctor", "wan"]);
    assert_eq!(output.status.code(), Some(2));
}
