//! The interface of a virtual router, and its addresses.

use crate::tools::{active, examine, plain, router, start};
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};

/// Runs a router that does not take part, and expects one finding.
fn faulty(prepare: impl FnOnce(&Bench), adjust: impl FnOnce(Router) -> Router, id: &str) {
    let mut bench = Bench::new(Profile::V3Ipv4);
    prepare(&bench);
    bench.start_file(&file(&[adjust(router(Profile::V3Ipv4))]));
    let faulty = wait_for(ms(3000), || {
        let router = bench.daemon().router(NAME);
        router["faults"].get(0).is_some().then_some(())
    });
    assert!(faulty.is_some(), "{:#}", bench.daemon().router(NAME));
    examine(&bench.dut, bench.daemon()).expect(&[id]);
}

#[test]
fn it_is_missing() {
    faulty(|_| {}, |router| router.text("interface", "eth7"), "VD0301");
}

#[test]
fn it_is_down() {
    faulty(
        |bench| bench.dut.ip("link set eth0 down"),
        |router| router,
        "VD0302",
    );
}

#[test]
fn it_has_no_carrier() {
    faulty(
        |bench| {
            bench.lab.ip("link set eth0 down");
            let gone = wait_for(ms(5000), || {
                bench
                    .dut
                    .try_sh("! ip -br link show eth0 | grep -q LOWER_UP")
                    .then_some(())
            });
            assert!(gone.is_some());
        },
        |router| router,
        "VD0303",
    );
}

#[test]
fn it_has_no_address() {
    faulty(
        |bench| bench.dut.ip("addr del 192.0.2.11/24 dev eth0"),
        |router| router,
        "VD0304",
    );
}

#[test]
fn a_virtual_address_has_another_prefix_length() {
    let bench = active(|router| router.list("addresses", &["192.0.2.254/25"]));
    examine(&bench.dut, bench.daemon()).expect(&["VD0305"]);
}

#[test]
fn a_virtual_address_is_of_no_network_of_the_interface() {
    let bench = active(|router| router.list("addresses", &["192.0.2.254/24", "203.0.113.1/24"]));
    examine(&bench.dut, bench.daemon()).expect(&["VD0305"]);
}

#[test]
fn it_is_a_port_of_a_bridge() {
    let bench = active(plain);
    bench
        .dut
        .ip("link add br0 type bridge\nlink set br0 up\nlink set eth0 master br0");
    examine(&bench.dut, bench.daemon()).expect_among("VD0306");
}

#[test]
fn it_carries_no_multicast() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.ip("link set eth0 multicast off");
    start(&mut bench, |router| router);
    examine(&bench.dut, bench.daemon()).expect(&["VD0307"]);
}

#[test]
fn its_mtu_is_too_small() {
    let many: Vec<String> = (1..=20)
        .map(|n| format!("192.0.2.{}/24", 100 + n))
        .collect();
    faulty(
        |bench| bench.dut.ip("link set eth0 mtu 100"),
        |router| router.list("addresses", &many),
        "VD0308",
    );
}

#[test]
fn it_does_not_have_what_an_owner_has() {
    faulty(|_| {}, |router| router.set("priority", 255), "VD0310");
}

#[test]
fn the_kernel_refuses_what_it_needs() {
    let bench = Bench::new(Profile::V3Ipv4);
    let line = "exec setpriv --bounding-set=-bpf,-sys_admin \"$@\"";
    let config = file(&[router(Profile::V3Ipv4).text("data-plane", "ebpf")]);
    let daemon = Daemon::launch_by(&bench.dut, &config, line);
    let faulty = wait_for(ms(5000), || {
        let report = daemon.try_status()?;
        report["routers"][0]["faults"]
            .get(0)
            .is_some()
            .then_some(())
    });
    assert!(faulty.is_some(), "{}", daemon.log());
    examine(&bench.dut, &daemon).expect_among("VD0112");
}

#[test]
fn a_virtual_address_is_a_real_one() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.ip("addr add 192.0.2.254/24 dev eth0");
    start(&mut bench, |router| router);
    examine(&bench.dut, bench.daemon()).expect(&["VD0309"]);
}
