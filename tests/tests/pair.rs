//! Ours with ours: election, hand-over on priority 0, takeover after SIGKILL and link loss, preemption.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::pair::{HIGHER, Pair, quick};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::Make::{self, Ours};
use vrrp_lab::rival::{Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

fn judge(higher: Make, lower: Make, profile: Profile) {
    let measured = Pair::start(higher, lower, profile).judge(ms(0));
    println!("{profile:?}, {higher} over {lower}: {measured}");
}

#[test]
fn v2() {
    judge(Ours("auto"), Ours("auto"), Profile::V2);
}

#[test]
fn v3_ipv4() {
    judge(Ours("auto"), Ours("auto"), Profile::V3Ipv4);
}

#[test]
fn v3_ipv6() {
    judge(Ours("auto"), Ours("auto"), Profile::V3Ipv6);
}

/// Without a macvlan, and beside a router that has one.
mod ebpf {
    use super::*;

    fn judge(planes: [&'static str; 2], profile: Profile) {
        let (lan, interval) = (Lan::new(2), quick(profile));
        let plane = |orders: Orders| Orders {
            plane: Some(planes[usize::from(orders.priority != HIGHER)]),
            ..orders
        };
        let ours = Ours("auto");
        let measured = Pair::start_with(lan, ours, ours, profile, interval, plane).judge(ms(0));
        println!("{profile:?}, {planes:?}: {measured}");
    }

    #[test]
    fn v3_ipv4() {
        judge(["ebpf", "ebpf"], Profile::V3Ipv4);
    }

    #[test]
    fn v3_ipv6() {
        judge(["ebpf", "macvlan"], Profile::V3Ipv6);
    }
}

/// RFC 9568 §5.2.8: the two forms on one wire.
#[test]
fn v3_ipv4_each_with_another_checksum_form() {
    judge(Ours("rfc9568"), Ours("rfc5798"), Profile::V3Ipv4);
}

/// RFC 9568 §6.1: the skew puts the Backups in line, so that one of them takes over and the others only hear of it.
#[test]
fn the_next_in_line_takes_over() {
    let (profile, interval) = (Profile::V3Ipv4, ms(100));
    let lan = Lan::new(3);
    let ports: Vec<Capture> = (1..=3)
        .map(|n| Capture::start(&lan.switch, &format!("lan{n}")))
        .collect();
    let mut routers: Vec<Daemon> = [200, 150, 100]
        .into_iter()
        .zip(&lan.routers)
        .map(|(priority, router)| {
            let daemon = Daemon::start(
                router,
                &file(&[ours(Orders::new(profile, priority, interval), "auto")]),
            );
            daemon.wait_state(
                "lab",
                if priority == 200 { "active" } else { "backup" },
                ms(3000),
            );
            daemon
        })
        .collect();
    let begun = Stamp::now();
    std::thread::sleep(ms(1000));
    routers[0].kill();
    std::thread::sleep(ms(1500));
    assert!(
        !ports[1].adverts(begun).is_empty(),
        "the second of three takes over"
    );
    let third: Vec<u8> = ports[2]
        .adverts(begun)
        .iter()
        .map(|advert| advert.heard.priority())
        .collect();
    assert_eq!(third, [0u8; 0], "the third never speaks");
    assert_eq!(routers[2].counter("lab", "master-transitions"), 0);
}
