//! What the other says does not fit.

use crate::tools::{active, advert, backup, backup_of, examine, ip, repeat, router};
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::Router;
use vrrp_lab::wire::{Advert, Authentication, Checksum};

/// An Active hears an advertisement that it refuses, and so does not give way: two Actives, and why.
fn refused(change: impl FnOnce(Advert) -> Advert, id: &str) {
    let bench = active(|router| router);
    let _speaker = repeat(&bench, &change(advert(&bench, 200)));
    examine(&bench.dut, bench.daemon()).expect(&["VD0401", id]);
}

/// The same with VRRPv2.
fn refused_v2(
    adjust: impl FnOnce(Router) -> Router,
    change: impl FnOnce(Advert) -> Advert,
    id: &str,
) {
    let mut bench = Bench::new(Profile::V2);
    crate::tools::start(&mut bench, adjust);
    let _speaker = repeat(&bench, &change(advert(&bench, 200)));
    examine(&bench.dut, bench.daemon()).expect(&["VD0401", id]);
}

#[test]
fn its_vrid_is_used_for_other_addresses() {
    let bench = active(|router| router);
    let foreign = advert(&bench, 50).addresses(&[ip("192.0.2.77")]);
    let _speaker = repeat(&bench, &foreign);
    examine(&bench.dut, bench.daemon()).expect(&["VD0402"]);
}

#[test]
fn another_version() {
    let bench = active(|router| router);
    let other = Profile::V2.advert(200);
    let _speaker = repeat(&bench, &other);
    let diagnosis = examine(&bench.dut, bench.daemon());
    diagnosis.expect(&["VD0401", "VD0403"]);
    let message = diagnosis.about("VD0403")["message"]
        .as_str()
        .unwrap_or_default();
    assert_eq!(message, "192.0.2.200 speaks VRRPv2, and this router vrrpv3");
}

#[test]
fn another_interval() {
    let (bench, _speaker) = backup_of(
        Profile::V3Ipv4,
        |router| router,
        |advert| advert.interval(25),
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0404"]);
}

/// It is remembered when the other has fallen silent: it will be there again at the next takeover.
#[test]
fn another_interval_some_time_ago() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    let speaker = repeat(&bench, &advert(&bench, 200).interval(25));
    bench.start(|_| router(Profile::V3Ipv4));
    let heard = wait_for(ms(3000), || {
        let router = bench.daemon().router(NAME);
        (!router["active"].is_null()).then_some(())
    });
    assert!(heard.is_some());
    drop(speaker);
    bench.daemon().wait_state(NAME, "active", ms(4000));
    examine(&bench.dut, bench.daemon()).expect(&["VD0404"]);
}

#[test]
fn another_interval_v2() {
    refused_v2(|router| router, |advert| advert.interval(2), "VD0404");
}

#[test]
fn other_addresses() {
    let ours = |router: Router| router.list("addresses", &["192.0.2.254/24", "192.0.2.253/24"]);
    let (bench, _speaker) = backup_of(Profile::V3Ipv4, ours, |advert| advert);
    bench
        .lan
        .play(ip("192.0.2.253"), bench.profile.virtual_mac());
    examine(&bench.dut, bench.daemon()).expect(&["VD0405"]);
}

fn keyed(router: Router) -> Router {
    router.set(
        "authentication",
        "{ type = \"simple-text\", key = \"secret\" }",
    )
}

#[test]
fn no_authentication() {
    refused_v2(keyed, |advert| advert, "VD0406");
}

#[test]
fn another_key() {
    refused_v2(
        keyed,
        |advert| advert.authentication(Authentication::simple_text("sesame")),
        "VD0406",
    );
}

#[test]
fn another_checksum_form() {
    let bench = active(|router| {
        router
            .set("checksum-strict", true)
            .text("checksum", "rfc9568")
    });
    let _speaker = repeat(&bench, &advert(&bench, 200).checksum(Checksum::Pseudo));
    let diagnosis = examine(&bench.dut, bench.daemon());
    diagnosis.expect(&["VD0401", "VD0407"]);
    let message = diagnosis.about("VD0407")["message"]
        .as_str()
        .unwrap_or_default();
    assert!(message.contains("RFC 5798"), "{message}");
}

#[test]
fn a_wrong_checksum() {
    refused(|advert| advert.checksum(Checksum::OffBy(1)), "VD0407");
}

#[test]
fn a_ttl_of_64() {
    refused(|advert| advert.ttl(64), "VD0408");
}

#[test]
fn a_count_that_is_not_true() {
    refused(|advert| advert.count(7), "VD0409");
}

/// Somebody else's virtual router on the same LAN is nobody's fault.
#[test]
fn another_vrid_is_no_fault() {
    let (bench, _speaker) = backup(Profile::V3Ipv4, |router| router);
    let other = advert(&bench, 200).vrid(52).addresses(&[ip("192.0.2.99")]);
    let _other = repeat(&bench, &other);
    examine(&bench.dut, bench.daemon()).expect(&[]);
}
