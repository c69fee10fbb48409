//! The host: its kernel, its firewall, its other programs.

use crate::tools::{active, backup, examine, examine_by, plain, start};
use std::path::Path;
use vrrp_lab::bench::Bench;
use vrrp_lab::clock::ms;
use vrrp_lab::netns::Namespace;
use vrrp_lab::process::Process;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;

#[test]
fn it_does_not_forward_ipv4() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.sysctl("ipv4/ip_forward=0");
    start(&mut bench, |router| router);
    examine(&bench.dut, bench.daemon()).expect(&["VD0201"]);
}

/// A server that has one interface is no router, and need not be one.
#[test]
fn it_has_nowhere_to_forward_to() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.sysctl("ipv4/ip_forward=0");
    bench.dut.ip("link set eth1 down");
    start(&mut bench, |router| router);
    examine(&bench.dut, bench.daemon()).expect(&[]);
}

#[test]
fn it_does_not_forward_ipv6() {
    let mut bench = Bench::new(Profile::V3Ipv6);
    bench.dut.sysctl("ipv6/conf/all/forwarding=0");
    start(&mut bench, |router| router);
    examine(&bench.dut, bench.daemon()).expect(&["VD0202"]);
}

#[test]
fn arp_ignore_for_all_silences_it() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.sysctl("ipv4/conf/all/arp_ignore=8");
    start(&mut bench, |router| router);
    // What it means: nobody finds the gateway.
    assert!(
        bench
            .lan
            .resolve(bench.host(), bench.profile.gateway())
            .is_empty()
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0203"]);
}

#[test]
fn arp_filter_for_all_silences_it() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.dut.sysctl("ipv4/conf/all/arp_filter=1");
    start(&mut bench, |router| router);
    assert!(
        bench
            .lan
            .resolve(bench.host(), bench.profile.gateway())
            .is_empty()
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0204"]);
}

/// A process of that name.
struct Program {
    _process: Process,
    _scratch: Scratch,
}

fn run(namespace: &Namespace, name: &str) -> Program {
    let scratch = Scratch::new("program");
    let program = scratch.path().join(name);
    std::fs::copy("/usr/bin/sleep", &program).expect("coreutils are installed");
    let log = scratch.path().join("log");
    let process = Process::start(namespace, &program, &["60"], &log);
    let comm = format!("/proc/{}/comm", process.pid());
    let runs = || {
        std::fs::read_to_string(Path::new(&comm))
            .is_ok_and(|comm| name.starts_with(comm.trim_end()))
    };
    assert!(vrrp_lab::clock::wait_for(ms(3000), || runs().then_some(())).is_some());
    Program {
        _process: process,
        _scratch: scratch,
    }
}

/// The number of the interface, by which network managers name what they know of it.
fn index(namespace: &Namespace) -> String {
    namespace
        .sh("cat /sys/class/net/eth0/ifindex")
        .trim()
        .to_owned()
}

#[test]
fn network_manager_manages_the_interface() {
    let bench = active(plain);
    let _manager = run(&bench.dut, "NetworkManager");
    let said = |managed: bool| {
        format!(
            "mount -t tmpfs none /run && mkdir -p /run/NetworkManager/devices && \
             printf '[device]\\nmanaged={managed}\\n' > /run/NetworkManager/devices/{} && exec \"$@\"",
            index(&bench.dut)
        )
    };
    examine_by(&bench.dut, bench.daemon(), &said(true)).expect(&["VD0205"]);
    examine_by(&bench.dut, bench.daemon(), &said(false)).expect(&[]);
}

#[test]
fn networkd_manages_the_interface() {
    let bench = active(plain);
    let _manager = run(&bench.dut, "systemd-networkd");
    let said = |keep: &str| {
        format!(
            "mount -t tmpfs none /run && mkdir -p /run/systemd/netif/links /run/systemd/network && \
             printf '[Match]\\nName=eth0\\n[Network]\\n{keep}\\n' > /run/systemd/network/10-lan.network && \
             printf 'ADMIN_STATE=configured\\nNETWORK_FILE=/run/systemd/network/10-lan.network\\n' \
             > /run/systemd/netif/links/{} && exec \"$@\"",
            index(&bench.dut)
        )
    };
    examine_by(&bench.dut, bench.daemon(), &said("DHCP=no")).expect(&["VD0206"]);
    examine_by(&bench.dut, bench.daemon(), &said("KeepConfiguration=yes")).expect(&[]);
}

#[test]
fn another_daemon_runs_beside_it() {
    let bench = active(|router| router);
    let other = run(&bench.dut, "keepalived");
    examine(&bench.dut, bench.daemon()).expect(&["VD0207"]);
    drop(other);
    // One in another namespace is no neighbour.
    let _other = run(&bench.lab, "keepalived");
    examine(&bench.dut, bench.daemon()).expect(&[]);
}

#[test]
fn its_firewall_takes_what_it_knows_and_drops_the_rest() {
    let bench = active(|router| router);
    bench.dut.sh("nft 'table inet filter {
            chain input {
                type filter hook input priority 0; policy drop;
                ct state established,related accept
                iifname \"lo\" accept
                meta l4proto icmp accept
                tcp dport 22 accept
            }
        }'");
    examine(&bench.dut, bench.daemon()).expect(&["VD0208"]);
    bench
        .dut
        .sh("nft insert rule inet filter input meta l4proto 112 accept");
    examine(&bench.dut, bench.daemon()).expect(&[]);
}

#[test]
fn its_firewall_drops_protocol_112_in_a_chain_of_its_own() {
    let bench = active(|router| router);
    bench.dut.sh(
        "nft 'table ip filter {
            chain strange { ip protocol { 89, 112 } counter drop; }
            chain input { type filter hook input priority 0; policy accept; iifname \"eth0\" jump strange; }
        }'",
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0208"]);
}

#[test]
fn its_firewall_drops_what_it_sends() {
    let bench = active(plain);
    bench.dut.sh(
        "nft 'table inet filter {
            chain output { type filter hook output priority 0; policy accept; meta l4proto vrrp drop; }
        }'",
    );
    // And so nothing leaves.
    examine(&bench.dut, bench.daemon()).expect_among("VD0209");
}

#[test]
fn something_drops_what_it_sends() {
    let bench = active(|router| router);
    bench.dut.sh(
        "nft 'table netdev filter {
            chain egress { type filter hook egress device \"eth0\" priority 0; policy accept; ip protocol 112 drop; }
        }'",
    );
    examine(&bench.dut, bench.daemon()).expect(&["VD0412"]);
}

/// Dropped before any rule of a firewall for hosts: the two of them are Active.
#[test]
fn something_drops_what_arrives() {
    let (bench, _speaker) = backup(Profile::V3Ipv4, |router| router);
    bench.dut.sh(
        "nft 'table netdev filter {
            chain ingress { type filter hook ingress device \"eth0\" priority 0; policy accept; ip protocol 112 drop; }
        }'",
    );
    bench.daemon().wait_state("dut", "active", ms(3000));
    examine(&bench.dut, bench.daemon()).expect(&["VD0401", "VD0411"]);
}
