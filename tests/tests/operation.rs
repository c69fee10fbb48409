//! What operators rely on beyond the RFCs: repeated announcements, preempt-delay, a mode without virtual MAC, one daemon per
//! runtime directory, honest exit codes.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::IpAddr;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Frame, announces, speaks_for};
use vrrp_lab::clock::{Stamp, assert_within, ms, tolerance, wait_for};
use vrrp_lab::daemon::{Daemon, check};
use vrrp_lab::presence::carriers;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;
use vrrp_lab::wire::{Arp, Mac};

/// keepalived's pain 1: one lost gratuitous ARP, or a switch that was not ready, must not cost an outage.
fn announcements_are_repeated(profile: Profile) {
    let bench = Bench::backup(profile, |router| router);
    let first = bench.promote().at;
    (first + ms(8000)).sleep_until();
    for address in profile.virtual_addresses() {
        let times: Vec<Stamp> = bench
            .lan
            .log
            .pick(first, |frame| announces(frame, address).then_some(frame.at));
        let later = times
            .iter()
            .filter(|at| at.since(first) >= ms(1000))
            .count();
        assert!(
            !times.is_empty() && later >= 1,
            "{address}: {:?}",
            times.iter().map(|at| at.since(first)).collect::<Vec<_>>()
        );
        assert!(
            times.len() <= 20,
            "{} announcements of one address in 8 s",
            times.len()
        );
    }
}

#[test]
fn announcements_are_repeated_ipv4() {
    announcements_are_repeated(Profile::V3Ipv4);
}

#[test]
fn announcements_are_repeated_ipv6() {
    announcements_are_repeated(Profile::V3Ipv6);
}

/// A rival of the same virtual router was Active (a split healed): what hosts learned from it must be put right at once,
/// but not as often as it is provoked.
#[test]
fn a_rival_is_answered_by_an_announcement() {
    let bench = Bench::active(Profile::V3Ipv4, |router| router);
    let losing = bench.advert(50).frame();
    expect_one_round(&bench, &losing);
}

/// Somebody else claims the address by ARP.
#[test]
fn a_claim_by_arp_is_answered_by_an_announcement() {
    let bench = Bench::active(Profile::V3Ipv4, |router| router);
    let IpAddr::V4(address) = bench.profile.gateway() else {
        panic!("an IPv4 profile")
    };
    expect_one_round(
        &bench,
        &Arp::request(Mac::played(66), address, address).frame(),
    );
}

/// Provokes the Active once, then five hundred times.
fn expect_one_round(bench: &Bench, provocation: &[u8]) {
    let address = bench.profile.gateway();
    // Past the bursts of the takeover.
    std::thread::sleep(ms(7000));
    // The kernel answers an ARP claim by itself, to the claimant alone; an announcement is for everyone.
    let announced = |frame: &Frame| {
        let to_all = frame.packet.ethernet.destination == Mac::BROADCAST && !frame.outgoing;
        (to_all && announces(frame, address)).then_some(frame.at)
    };
    let sent = bench.lan.send_frame(provocation);
    let answered = bench.lan.log.wait(sent, ms(1000), announced);
    let answered = answered.expect("no announcement within a second of the provocation");
    assert_within(
        "provocation to announcement",
        sent,
        answered,
        tolerance().late,
    );

    let from = Stamp::now();
    for _ in 0..500 {
        bench.lan.send_frame(provocation);
    }
    std::thread::sleep(ms(1000));
    let storm = bench.lan.log.pick(from, announced).len();
    assert!(storm <= 20, "{storm} announcements for 500 provocations");
    assert_eq!(bench.state(), "active");
}

/// RFC 8347's hold-time: while it runs a lower Active is obeyed; a silent one is replaced all the same.
fn preempt_delay(profile: Profile) {
    let delay = ms(6000);
    let bench = Bench::new(profile);
    let lower = bench.lan.repeat(&bench.advert(50), ms(1000));
    let daemon = Daemon::start(
        &bench.dut,
        &file(&[Router::new(NAME, profile).text("preempt-delay", "6s")]),
    );
    daemon.wait_state(NAME, "backup", ms(1000));
    let since = daemon.since(NAME);
    // The last advertisement that is obeyed may come at the very end of the delay, and the first only a second after the start.
    let first = bench
        .lan
        .expect_advert(since, delay + ms(1500) + profile.down(100, ms(1000)));
    assert!(
        first.at.since(since) + tolerance().early >= delay,
        "preempts {:?} after the start",
        first.at.since(since)
    );
    assert!(
        bench
            .lan
            .adverts(since)
            .iter()
            .all(|advert| advert.heard.priority() == 100)
    );
    drop(lower);
    drop(daemon);

    let bench = Bench::new(profile);
    let daemon = Daemon::start(
        &bench.dut,
        &file(&[Router::new(NAME, profile).text("preempt-delay", "60s")]),
    );
    daemon.wait_state(NAME, "backup", ms(1000));
    let since = daemon.since(NAME);
    let first = bench.lan.expect_advert(since, ms(5000));
    vrrp_lab::clock::assert_span(
        "nobody to wait for",
        since,
        first.at,
        profile.down(100, ms(1000)),
    );
}

#[test]
fn preempt_delay_v2() {
    preempt_delay(Profile::V2);
}

#[test]
fn preempt_delay_v3_ipv4() {
    preempt_delay(Profile::V3Ipv4);
}

#[test]
fn preempt_delay_v3_ipv6() {
    preempt_delay(Profile::V3Ipv6);
}

/// `virtual-mac = false`: the addresses stand on the interface itself, and only while Active.
fn without_virtual_mac(profile: Profile) {
    let mut bench = Bench::new(profile);
    let (interfaces, addresses) = (
        bench.dut.interfaces(),
        bench.dut.sh("ip -o addr show dev eth0"),
    );
    let mac: Mac = bench
        .dut
        .sh("cat /sys/class/net/eth0/address")
        .parse()
        .unwrap();
    let begun = Stamp::now();
    bench.start(|router| router.set("virtual-mac", false).set("accept-mode", true));
    let first = bench.promote();
    assert_eq!(first.frame.packet.ethernet.source, mac);
    let host = bench.host();
    for address in profile.virtual_addresses() {
        assert_eq!(bench.dut.enter(|| carriers(address)), ["eth0"], "{address}");
        assert_eq!(bench.lan.resolve(host, address), [(mac, mac)], "{address}");
        let announced = bench.lan.log.pick(first.at, |frame| {
            (announces(frame, address) && !frame.outgoing).then_some(frame.packet.ethernet.source)
        });
        assert!(
            !announced.is_empty() && announced.iter().all(|source| *source == mac),
            "{address}: {announced:?}"
        );
    }
    assert_eq!(bench.dut.interfaces(), interfaces, "no interface is made");
    let lost = bench.lan.send(&bench.advert(200));
    let winner = bench.lan.repeat(&bench.advert(200), ms(1000));
    bench.daemon().wait_state(NAME, "backup", ms(1000));
    let gone = wait_for(ms(2000), || {
        profile
            .virtual_addresses()
            .iter()
            .all(|address| bench.dut.enter(|| carriers(*address)).is_empty())
            .then(Stamp::now)
    });
    let gone = gone.expect("a Backup still carries the address");
    assert!(
        gone.since(lost) <= ms(200) + stall::kernel(lost, gone),
        "{:?} after it lost",
        gone.since(lost)
    );
    drop(winner);
    bench.promote();
    bench.daemon_mut().stop();
    assert_eq!(
        bench.dut.sh("ip -o addr show dev eth0"),
        addresses,
        "as before"
    );
    assert!(
        bench
            .lan
            .log
            .pick(begun, |frame| (!frame.outgoing
                && frame.packet.ethernet.source.is_virtual())
            .then_some(()))
            .is_empty()
    );
}

/// `data-plane = "ebpf"`: no interface is made, the virtual MAC address answers all the same, and nothing stays.
fn without_macvlan(profile: Profile) {
    let mut bench = Bench::new(profile);
    let interfaces = bench.dut.interfaces();
    let standing = |bench: &Bench| {
        let settings = "cat /proc/sys/net/ipv4/conf/eth0/{arp_*,accept_local,rp_filter,forwarding}";
        let lines = format!(
            "ip -o addr show dev eth0; tc qdisc show dev eth0; ip maddr show dev eth0; {settings}"
        );
        bench.dut.sh(&format!("bash -c '{lines}'"))
    };
    let before = standing(&bench);
    let mac = profile.virtual_mac();
    bench.start(|router| {
        let router = router.text("data-plane", "ebpf");
        router.set("accept-mode", true)
    });
    assert_eq!(bench.daemon().router(NAME)["data-plane"], "ebpf");
    let host = bench.host();
    for _ in 0..2 {
        for address in profile.virtual_addresses() {
            assert_eq!(bench.dut.enter(|| carriers(address)), [""; 0], "{address}");
            assert_eq!(bench.lan.resolve(host, address), [], "{address}");
        }
        let first = bench.promote();
        assert_eq!(first.frame.packet.ethernet.source, mac);
        for address in profile.virtual_addresses() {
            assert_eq!(bench.dut.enter(|| carriers(address)), ["eth0"], "{address}");
            assert_eq!(bench.lan.resolve(host, address), [(mac, mac)], "{address}");
            let announced = bench.lan.log.wait(first.at, ms(500), |frame| {
                let source = frame.packet.ethernet.source;
                (announces(frame, address) && !frame.outgoing).then_some(source)
            });
            assert_eq!(announced, Some(mac), "{address}");
        }
        assert_eq!(bench.dut.interfaces(), interfaces, "no interface is made");
        let _winner = bench.lan.repeat(&bench.advert(200), ms(1000));
        bench.daemon().wait_state(NAME, "backup", ms(1000));
        bench.wait_in_step();
    }
    bench.promote();
    bench.daemon_mut().stop();
    assert_eq!(before, standing(&bench), "as before");
}

#[test]
fn without_macvlan_v3_ipv4() {
    without_macvlan(Profile::V3Ipv4);
}

#[test]
fn without_macvlan_v3_ipv6() {
    without_macvlan(Profile::V3Ipv6);
}

/// A program that may not be loaded is a fault of the router that needs it, and of no other.
#[test]
fn without_permission_a_router_without_macvlan_says_why() {
    let bench = Bench::new(Profile::V3Ipv4);
    let routers = [
        Router::new(NAME, Profile::V3Ipv4).text("data-plane", "ebpf"),
        Router::new("other", Profile::V3Ipv4)
            .set("vrid", 52)
            .list("addresses", &["192.0.2.253/24"])
            .text("data-plane", "macvlan"),
    ];
    let forbidden = "exec setpriv --bounding-set=-bpf,-sys_admin \"$@\"";
    let daemon = Daemon::launch_by(&bench.dut, &file(&routers), forbidden);
    let faulty = wait_for(ms(5000), || {
        let report = daemon.try_status()?;
        let mut routers = report["routers"].as_array()?.iter();
        let router = routers.find(|router| router["name"] == NAME)?;
        let fault = router["faults"].get(0)?.as_str()?.to_owned();
        fault
            .contains("macvlan")
            .then_some((router["state"].clone(), fault))
    });
    let (state, fault) = faulty.expect("a fault");
    assert_eq!(state, "initialize");
    assert!(
        fault.contains(
            "cannot do without a macvlan on eth0: not permitted to load the gate: no CAP_BPF"
        ),
        "{fault}"
    );
    daemon.wait_state("other", "active", ms(6000));
    assert_eq!(daemon.state(NAME), "initialize");
}

#[test]
fn without_virtual_mac_v2() {
    without_virtual_mac(Profile::V2);
}

#[test]
fn without_virtual_mac_v3_ipv4() {
    without_virtual_mac(Profile::V3Ipv4);
}

#[test]
fn without_virtual_mac_v3_ipv6() {
    without_virtual_mac(Profile::V3Ipv6);
}

/// Nemesis 39: a second daemon on the same runtime directory refuses, and the first does not notice.
#[test]
fn one_daemon_per_runtime_directory() {
    let bench = Bench::active(Profile::V3Ipv4, |router| router);
    let (role, from) = (bench.daemon().role(NAME), Stamp::now());
    let second = bench.daemon().twin(&bench.dut);
    assert!(!second.status.success(), "{second:?}");
    assert!(!second.stderr.is_empty(), "it says why");
    (from + ms(2500)).sleep_until();
    assert_eq!(bench.daemon().role(NAME), role);
    let resigned = bench
        .lan
        .adverts(from)
        .iter()
        .any(|advert| advert.heard.priority() == 0);
    assert!(!resigned && bench.lan.adverts(from).len() >= 2);
}

/// Without a daemon there is no state to report: 3, one sentence, nothing on standard output.
#[test]
fn no_daemon_is_exit_code_3() {
    let mut bench = Bench::active(Profile::V3Ipv4, |router| router);
    bench.daemon_mut().kill();
    for arguments in [&["status"][..], &["status", "--json"], &["show", NAME]] {
        let output = bench.daemon().ctl(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}: {output:?}"
        );
    }
}

/// `vrrpd --check` needs no interface; 0 for a good file and 2 for a bad one, with file, line and column.
#[test]
fn check_points_at_the_error() {
    let good = file(&[Router::new("wan4", Profile::V3Ipv4)]);
    assert_eq!(check(&good).status.code(), Some(0));
    let bad = check(&good.replace("vrid = 51", "vrid = 300"));
    let said =
        String::from_utf8_lossy(&bad.stderr).into_owned() + &String::from_utf8_lossy(&bad.stdout);
    assert_eq!(bad.status.code(), Some(2), "{said}");
    let line = good
        .lines()
        .position(|line| line.starts_with("vrid"))
        .unwrap()
        + 1;
    assert!(
        said.contains(&format!("vrrpd.toml:{line}:")) && said.contains("300"),
        "{said}"
    );
}

/// The report is a contract.
#[test]
fn status_has_the_promised_shape() {
    let bench = Bench::backup(Profile::V3Ipv4, |router| router.set("priority", 120));
    let _winner = bench.lan.repeat(&bench.advert(200), ms(500));
    let followed = wait_for(ms(2000), || {
        Some(bench.daemon().router(NAME)).filter(|router| !router["active"].is_null())
    });
    let router = followed.expect("the Active is known");
    assert!(!bench.daemon().status()["version"].is_null());
    for (key, value) in [
        ("name", serde_json::json!(NAME)),
        ("interface", "eth0".into()),
        ("vrid", 51.into()),
        ("family", "ipv4".into()),
        ("protocol", "vrrpv3".into()),
        ("state", "backup".into()),
        ("faults", serde_json::json!([])),
        (
            "priority",
            serde_json::json!({ "configured": 120, "effective": 120 }),
        ),
        (
            "active",
            serde_json::json!({ "address": "192.0.2.200", "priority": 200 }),
        ),
        ("addresses", serde_json::json!(["192.0.2.254/24"])),
    ] {
        assert_eq!(router[key], value, "{key}");
    }
    assert!(Stamp::from_rfc3339(router["since"].as_str().unwrap()).is_some());
    for leaf in [
        "advertisement-rcvd",
        "advertisement-sent",
        "interval-errors",
        "priority-zero-pkts-rcvd",
        "priority-zero-pkts-sent",
        "invalid-type-pkts-rcvd",
        "address-list-errors",
        "packet-length-errors",
        "master-transitions",
    ] {
        assert!(router["statistics"][leaf].is_u64(), "{leaf}: RFC 8347");
    }
    let seen = bench.lan.log.pick(Stamp::now() - ms(3000), |frame| {
        (!frame.outgoing && speaks_for(frame, &bench.profile.virtual_addresses())).then_some(())
    });
    assert!(seen.is_empty(), "a report costs no frame");
}

/// A router that cannot open its sockets would believe that nobody else is there: it has a fault, and mends it itself.
#[test]
fn without_file_descriptors_a_router_stays_out() {
    let profile = Profile::V3Ipv4;
    let mut bench = Bench::new(profile);
    let router = Router::new(NAME, profile).set("interface", "\"eth9\"");
    bench.start_file(&file(&[router]));
    let pid = bench.daemon().worker();
    // Those that are open stay open; the sockets of a new interface are too many.
    bench
        .dut
        .sh(&format!("prlimit --pid {pid} --nofile=4:1024"));
    bench.dut.ip(
        "link add eth9 type veth peer name eth8\nlink set eth8 up\naddress add 192.0.2.77/24 dev eth9\nlink set eth9 up",
    );
    let said = "cannot hear advertisements on eth9";
    let fault = wait_for(ms(5000), || {
        bench.daemon().log().contains(said).then_some(())
    });
    assert!(fault.is_some(), "{}", bench.daemon().log());
    assert!(!bench.daemon().log().contains("initialize -> backup"));

    bench
        .dut
        .sh(&format!("prlimit --pid {pid} --nofile=1024:1024"));
    bench.daemon().wait_state(NAME, "backup", ms(10_000));
}
