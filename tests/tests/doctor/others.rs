//! Who else speaks, and whether the two hear each other.

use crate::tools::{
    INTERVAL, active, advert, answer, backup, backup_of, examine, examine_for, ip, plain, repeat,
    router,
};
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::ms;
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::Router;
use vrrp_lab::wire::Mac;

/// A lower one goes on speaking: it does not hear what we say.
#[test]
fn it_is_not_heard() {
    for profile in [Profile::V3Ipv4, Profile::V3Ipv6] {
        let mut bench = Bench::new(profile);
        crate::tools::start(&mut bench, |router| router);
        let _speaker = repeat(&bench, &advert(&bench, 50));
        examine(&bench.dut, bench.daemon()).expect(&["VD0401", "VD0410"]);
    }
}

/// Two others, of which this one obeys the better.
#[test]
fn two_others_are_active() {
    let (bench, _first) = backup(Profile::V3Ipv4, |router| router);
    let second = advert(&bench, 150).from("192.0.2.201");
    let _second = repeat(&bench, &second);
    examine(&bench.dut, bench.daemon()).expect(&["VD0401"]);
}

#[test]
fn both_have_the_same_priority() {
    let (bench, _speaker) = backup_of(
        Profile::V3Ipv4,
        |router| router,
        |advert| advert.priority(100),
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0413"]);
}

#[test]
fn both_have_the_same_address() {
    let (bench, _speaker) = backup(Profile::V3Ipv4, |router| router);
    let _twin = repeat(&bench, &advert(&bench, 90).from("192.0.2.11"));
    examine(&bench.dut, bench.daemon()).expect(&["VD0414"]);
}

#[test]
fn a_cable_is_in_the_wrong_switch() {
    let bench = active(|router| router);
    let stray = advert(&bench, 90).from("192.0.2.12");
    let _speaker = bench.far.repeat(&stray, INTERVAL);
    examine(&bench.dut, bench.daemon()).expect(&["VD0415"]);
}

/// VRRP for IPv4 and CARP with one number have one virtual MAC address, whichever of the two is ours.
#[test]
fn vrrp_and_carp_use_the_same_number() {
    let carp = |vhid: u8, advskew: u8, address: &str| {
        format!(
            "[virtual-router.{NAME}]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = {vhid}\nadvskew = {advskew}\n\
             passphrase = \"lab secret\"\naddresses = [\"{address}/24\"]\n"
        )
    };
    let said = |daemon: &Daemon, bench: &Bench| {
        let diagnosis = examine_for(&bench.dut, daemon, "exec \"$@\"", "2500ms");
        diagnosis.expect_among("VD0420");
        let finding = diagnosis.about("VD0420").to_string();
        assert!(finding.contains("00:00:5e:00:01:33"), "{finding}");
        finding
    };
    // Ours speaks CARP, and hears VRRP.
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&carp(51, 0, "192.0.2.254"));
    bench.daemon().wait_state(NAME, "active", ms(6000));
    let speaker = repeat(&bench, &advert(&bench, 50));
    println!("{}", said(bench.daemon(), &bench));
    drop(speaker);

    // Ours speaks VRRP, and hears CARP: of a daemon at the other end of the cable.
    let bench = active(|router| router);
    bench.lab.ip("address add 192.0.2.12/24 dev eth0");
    let other = carp(51, 0, "192.0.2.77");
    let other = Daemon::start(&bench.lab, &other);
    other.wait_state(NAME, "active", ms(6000));
    println!("{}", said(bench.daemon(), &bench));
}

fn unicast() -> Router {
    plain(router(Profile::V3Ipv4)).list("unicast-peers", &["192.0.2.12"])
}

#[test]
fn a_unicast_peer_is_not_there() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start(|_| unicast());
    bench.daemon().wait_state("dut", "active", ms(3000));
    examine(&bench.dut, bench.daemon()).expect(&["VD0416"]);
    bench.lan.play(ip("192.0.2.12"), Mac::played(12));
    examine(&bench.dut, bench.daemon()).expect(&[]);
}

/// Every third advertisement only.
#[test]
fn advertisements_are_lost() {
    let (bench, speaker) = backup(Profile::V3Ipv4, |router| router);
    drop(speaker);
    let _speaker = bench.lan.repeat(&advert(&bench, 200), INTERVAL * 5 / 2);
    examine_for(&bench.dut, bench.daemon(), "exec \"$@\"", "1600ms").expect(&["VD0417"]);
}

#[test]
fn the_other_uses_its_own_mac_address() {
    let bench = Bench::new(Profile::V3Ipv4);
    let own = Mac::played(200);
    bench.lan.play(bench.profile.gateway(), own);
    let mut bench = bench;
    let _speaker = repeat(&bench, &advert(&bench, 200).source_mac(own));
    bench.start(|_| router(Profile::V3Ipv4));
    std::thread::sleep(INTERVAL * 2);
    examine(&bench.dut, bench.daemon()).expect(&["VD0418"]);
}

#[test]
fn one_speaks_multicast_and_the_other_unicast() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.lan.play(ip("192.0.2.12"), Mac::played(12));
    bench.start(|_| unicast());
    bench.daemon().wait_state("dut", "active", ms(3000));
    let _speaker = repeat(&bench, &advert(&bench, 90).from("192.0.2.12"));
    examine(&bench.dut, bench.daemon()).expect(&["VD0401", "VD0419"]);
}

/// Priority 0 is a farewell, and a lower one that hears us falls silent: neither is a fault.
#[test]
fn one_that_leaves_is_no_fault() {
    let bench = active(|router| router);
    answer(&bench);
    let _speaker = repeat(&bench, &advert(&bench, 0));
    let diagnosis = examine(&bench.dut, bench.daemon());
    assert!(
        !diagnosis.ids().contains(&"VD0401"),
        "{:#}",
        diagnosis.report
    );
}
