//! Who else answers for the virtual addresses.

use crate::tools::{INTERVAL, active, advert, answer, backup, examine, repeat, router};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use vrrp_lab::bench::Bench;
use vrrp_lab::clock::ms;
use vrrp_lab::profile::Profile;
use vrrp_lab::wire::{Arp, Mac};

#[test]
fn another_host_has_the_virtual_address() {
    for profile in [Profile::V3Ipv4, Profile::V3Ipv6] {
        let mut bench = Bench::new(profile);
        crate::tools::start(&mut bench, |router| router);
        bench.lan.play(bench.profile.gateway(), Mac::played(66));
        examine(&bench.dut, bench.daemon()).expect(&["VD0501"]);
    }
}

#[test]
fn another_host_claims_the_virtual_address() {
    let bench = active(|router| router);
    let IpAddr::V4(address) = bench.profile.gateway() else {
        panic!("an IPv4 profile")
    };
    let claim = Arp::request(Mac::played(66), address, address).frame();
    let _speaker = bench.lan.repeat_frame(claim, INTERVAL);
    examine(&bench.dut, bench.daemon()).expect(&["VD0502"]);
}

/// As a network manager does that knows only what it has set itself.
#[test]
fn something_removes_the_virtual_address() {
    let bench = active(|router| router);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let line = "for dev in $(ls /sys/class/net); do ip addr del 192.0.2.254/24 dev $dev 2>/dev/null; done; true";
                let _ = bench.dut.try_sh(line);
                std::thread::sleep(ms(100));
            }
        });
        let diagnosis = examine(&bench.dut, bench.daemon());
        stop.store(true, Ordering::Relaxed);
        diagnosis.expect_among("VD0503");
    });
}

#[test]
fn the_active_does_not_answer() {
    for profile in [Profile::V3Ipv4, Profile::V3Ipv6] {
        let mut bench = Bench::new(profile);
        let _speaker = repeat(&bench, &advert(&bench, 200));
        bench.start(|_| router(profile));
        std::thread::sleep(INTERVAL * 2);
        examine(&bench.dut, bench.daemon()).expect(&["VD0504"]);
        answer(&bench);
        examine(&bench.dut, bench.daemon()).expect(&[]);
    }
}

/// A switch that passes no multicast: the other is Active as well, and all that shows it is that it answers.
#[test]
fn another_active_is_not_heard() {
    for profile in [Profile::V3Ipv4, Profile::V3Ipv6] {
        let mut bench = Bench::new(profile);
        crate::tools::start(&mut bench, |router| router);
        answer(&bench);
        examine(&bench.dut, bench.daemon()).expect(&["VD0505"]);
    }
}

#[test]
fn a_backup_and_its_active_are_well() {
    for profile in Profile::ALL {
        let (bench, _speaker) = backup(profile, |router| router);
        examine(&bench.dut, bench.daemon()).expect(&[]);
    }
}
