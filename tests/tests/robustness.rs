//! What must not shake the daemon: floods, strangers' hands, vanishing interfaces, broken files, sudden death.
//!
//! Floods disturb the machine and measure it, so they run alone whatever the number of test threads.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Capture, Sighting};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, assert_within, ms, slack, tolerance, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
use vrrp_lab::pair::{LOWER, Pair};
use vrrp_lab::presence::{Presence, carriers};
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::rival::Make::Ours;
use vrrp_lab::settings::{Router, file, left_out};
use vrrp_lab::stall;
use vrrp_lab::tester::Tester;
use vrrp_lab::topology::{Lan, cable, router_lan};
use vrrp_lab::wire::{
    Advert, Authentication, Checksum, Ethernet, Ip, Packet, VRRP, fold, message_sum,
};

static MACHINE: RwLock<()> = RwLock::new(());

/// The whole machine for one test. The failure of another is no reason not to run it.
fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// A place beside others, but not beside a flood.
fn in_company() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The longest time between two advertisements of a list, allowing for a late machine.
fn longest_gap(adverts: &[Sighting]) -> Duration {
    let gaps = adverts.windows(2).map(|pair| {
        let (before, after) = (pair[0].at, pair[1].at);
        after
            .since(before)
            .saturating_sub(stall::longest(before, after))
    });
    gaps.max().unwrap_or(Duration::MAX)
}

/// Fails if an advertisement was missed since `from`, at an interval of `interval`.
fn expect_no_missed_advert(tester: &Tester, from: Stamp, interval: Duration) {
    let adverts: Vec<Sighting> = tester.adverts(from);
    let longest = longest_gap(&adverts);
    assert!(
        longest <= interval + tolerance().late,
        "{longest:?} without an advertisement, {} in all",
        adverts.len()
    );
    assert!(
        adverts.iter().all(|advert| advert.heard.priority() != 0),
        "a resignation"
    );
}

/// R58: 10,000 broken packets in a second, of every kind that can be rejected.
fn flood(profile: Profile) {
    let _alone = alone();
    let bench = Bench::active(profile, |router| router);
    let kinds = defects(profile);
    let frames: Vec<Vec<u8>> = kinds.iter().map(|(_, frame)| frame.clone()).collect();
    let counters = |bench: &Bench| -> Vec<u64> {
        let (own, global) = (
            bench.daemon().router(NAME)["statistics"].clone(),
            bench.daemon().status()["statistics"].clone(),
        );
        kinds
            .iter()
            .map(|(leaf, _)| {
                own[*leaf]
                    .as_u64()
                    .or_else(|| global[*leaf].as_u64())
                    .unwrap_or_else(|| panic!("no counter {leaf}"))
            })
            .collect()
    };
    let blast = |count: usize| {
        let begun = Stamp::now();
        for number in 0..count {
            bench.lan.send_frame(&frames[number % frames.len()]);
            // Ten per millisecond.
            if number % 10 == 9 {
                (begun + ms(u64::try_from(number / 10).unwrap() + 1)).sleep_until();
            }
        }
        begun
    };
    // Warm: allocators and log buffers reach the size they keep.
    blast(1000);
    std::thread::sleep(ms(300));
    let (before, memory, lines) = (
        counters(&bench),
        bench.daemon().resident_kib(),
        bench.daemon().log().lines().count(),
    );
    let role = bench.daemon().role(NAME);
    let begun = blast(10_000);
    let took = Stamp::now().since(begun);
    std::thread::sleep(ms(1200));

    let after = counters(&bench);
    for (index, (leaf, _)) in kinds.iter().enumerate() {
        // Several kinds may share a counter.
        let sharing = kinds
            .iter()
            .enumerate()
            .filter(|(_, (other, _))| other == leaf);
        let expected: usize = sharing
            .map(|(kind, _)| (10_000 + kinds.len() - 1 - kind) / kinds.len())
            .sum();
        assert_eq!(after[index] - before[index], expected as u64, "{leaf}");
    }
    expect_no_missed_advert(&bench.lan, begun, ms(1000));
    assert_eq!(bench.daemon().role(NAME), role);
    let grown = bench.daemon().resident_kib().saturating_sub(memory);
    let logged = bench.daemon().log().lines().count() - lines;
    println!(
        "{profile:?}: 10,000 broken packets of {} kinds in {took:?}: {logged} log lines, {grown} KiB more",
        kinds.len()
    );
    assert!(grown <= 512, "{grown} KiB more");
    assert!(logged <= 100, "{logged} log lines");
}

/// Every kind of broken packet, with the counter that must name it.
fn defects(profile: Profile) -> Vec<(&'static str, Vec<u8>)> {
    let sound = profile.advert(254);
    let claims = u8::try_from(profile.virtual_addresses().len() + 1).unwrap();
    let other_version = if profile == Profile::V2 { 3 } else { 2 };
    let mut all: Vec<(&'static str, Advert)> = vec![
        ("short-packets", sound.clone().cut_to(7)),
        ("ip-ttl-errors", sound.clone().ttl(254)),
        ("version-errors", sound.clone().version(other_version)),
        ("version-errors", sound.clone().version(15)),
        (
            "checksum-errors",
            sound.clone().checksum(Checksum::OffBy(1)),
        ),
        ("vrid-errors", sound.clone().vrid(VRID + 1)),
        ("invalid-type-pkts-rcvd", sound.clone().kind(2)),
        ("packet-length-errors", sound.clone().count(claims)),
        ("packet-length-errors", sound.clone().addresses(&[])),
        ("packet-length-errors", sound.clone().extra(&[0; 40])),
    ];
    match profile {
        Profile::V2 => {
            let with = |kind| Authentication { kind, data: [7; 8] };
            all.push(("auth-type-mismatch", sound.clone().authentication(with(1))));
            all.push(("auth-type-invalid", sound.clone().authentication(with(77))));
            all.push(("interval-errors", sound.clone().interval(9)));
            all.push((
                "address-list-errors",
                sound.addresses(&[IpAddr::from([192, 0, 2, 253])]),
            ));
        }
        Profile::V3Ipv4 => all.push(("interval-errors", sound.interval(0))),
        Profile::V3Ipv6 => {
            all.push(("interval-errors", sound.clone().interval(0)));
            all.push((
                "address-list-errors",
                sound.addresses(&[
                    "2001:db8::254".parse().unwrap(),
                    "fe80::254".parse().unwrap(),
                ]),
            ));
        }
    }
    let mut all: Vec<(&'static str, Vec<u8>)> = all
        .into_iter()
        .map(|(leaf, advert)| (leaf, advert.frame()))
        .collect();
    if !profile.is_ipv6() {
        let mut carp = vec![0x21, VRID, 0, 7, 0, 1, 0, 0];
        carp.extend([0x5a; 28]);
        let sum = fold(message_sum(&carp));
        carp[6..8].copy_from_slice(&sum.to_be_bytes());
        let template = Packet::read(&profile.advert(254).frame()).unwrap();
        let ip = Ip::new(
            profile.own(200),
            template.ip.unwrap().destination,
            255,
            VRRP,
        );
        all.push((
            "carp-pkts-rcvd",
            Ethernet {
                ..template.ethernet
            }
            .frame(&ip.packet(&carp)),
        ));
    }
    all
}

#[test]
fn r58_flood_v2() {
    flood(Profile::V2);
}

#[test]
fn r58_flood_v3_ipv4() {
    flood(Profile::V3Ipv4);
}

#[test]
fn r58_flood_v3_ipv6() {
    flood(Profile::V3Ipv6);
}

/// RFC 9568 §5.2.7 allows 10 ms: takeover in about 36 ms, and none without reason in a minute.
#[test]
fn ten_milliseconds() {
    let _alone = alone();
    let interval = ms(10);
    for profile in [Profile::V3Ipv4, Profile::V3Ipv6] {
        let mut pair = Pair::start_on(Lan::new(2), Ours("auto"), Ours("auto"), profile, interval);
        let calm = Stamp::now();
        let minute = if profile.is_ipv6() {
            ms(5_000)
        } else {
            ms(60_000)
        };
        (calm + minute).sleep_until();
        let spurious = pair.ports[1].adverts(calm);
        let longest = longest_gap(&pair.ports[0].adverts(calm));
        println!(
            "{profile:?}: {} advertisements of the Backup in {minute:?}; longest gap of the Active {longest:?}",
            spurious.len()
        );
        let excused = stall::longest(calm, Stamp::now()) > interval;
        assert!(
            spurious.is_empty() || excused,
            "the Backup took over {} times",
            spurious.len()
        );

        for round in 0..5 {
            let (last, first) = pair.kill();
            println!(
                "{profile:?}: SIGKILL {round}: {:.1} ms",
                first.millis_since(last)
            );
            assert_within(
                "takeover at 10 ms",
                last,
                first,
                profile.down(LOWER, interval),
            );
            pair.expect_elected(1);
            pair.take_back();
        }
    }
}

/// What a stranger removes is back within 20 ms, without a transition, and reported once.
fn removed_by_hand(profile: Profile, what: &str, remove: impl Fn(&Namespace, IpAddr)) {
    let _place = in_company();
    let interval = vrrp_lab::pair::quick(profile);
    let bench = Bench::active(profile, |router| {
        let interval = format!("{}ms", interval.as_millis());
        router.held().text("advertise-interval", &interval)
    });
    std::thread::sleep(ms(1000));
    let address = profile.gateway();
    let presence = Presence::watch(&bench.dut, address);
    let events = bench.daemon().events(&bench.dut);
    let role = bench.daemon().role(NAME);
    std::thread::sleep(ms(300));
    let from = Stamp::now();
    remove(&bench.dut, address);
    std::thread::sleep(ms(1500));

    let absences = presence.absences(from);
    println!("{profile:?}, {what}: {absences:?}");
    match absences.as_slice() {
        // Back before anybody looked; that it was gone is said by the event.
        [] => {}
        [(began, Some(lasted))] => assert!(
            *lasted <= ms(20) + stall::kernel(*began, *began + *lasted),
            "{what}: back after {lasted:?}"
        ),
        _ => panic!("{what}: one absence that ends, not {absences:?}"),
    }
    expect_no_missed_advert(&bench.lan, from - interval, interval);
    assert_eq!(bench.daemon().role(NAME), role, "{what}: no transition");
    let seen = events.seen();
    assert_eq!(seen.len(), 1, "{what}: one event: {seen:#?}");
    // And it works again as before.
    let host = bench.host();
    let mac = profile.virtual_mac();
    assert_eq!(bench.lan.resolve(host, address), [(mac, mac)], "{what}");
}

fn carrier(namespace: &Namespace, address: IpAddr) -> String {
    namespace
        .enter(|| carriers(address))
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("{address} is nowhere"))
}

fn remove_address(namespace: &Namespace, address: IpAddr) {
    let device = carrier(namespace, address);
    let length = namespace.sh(&format!("ip -o addr show dev {device} to {address}"));
    let prefix = length.split_whitespace().nth(3).unwrap().to_owned();
    namespace.sh(&format!("ip addr del {prefix} dev {device}"));
}

#[test]
fn a_deleted_address_is_back_ipv4() {
    removed_by_hand(Profile::V3Ipv4, "address deleted", remove_address);
}

#[test]
fn a_deleted_address_is_back_ipv6() {
    removed_by_hand(Profile::V3Ipv6, "address deleted", remove_address);
}

#[test]
fn a_deleted_address_is_back_v2() {
    removed_by_hand(Profile::V2, "address deleted", remove_address);
}

fn remove_device(namespace: &Namespace, address: IpAddr) {
    namespace.sh(&format!("ip link del {}", carrier(namespace, address)));
}

#[test]
fn a_deleted_macvlan_is_back_ipv4() {
    if left_out("there is no macvlan to delete") {
        return;
    }
    removed_by_hand(Profile::V3Ipv4, "macvlan deleted", remove_device);
}

#[test]
fn a_deleted_macvlan_is_back_ipv6() {
    if left_out("there is no macvlan to delete") {
        return;
    }
    removed_by_hand(Profile::V3Ipv6, "macvlan deleted", remove_device);
}

/// What the daemon needs stays as it needs it, and is as before when it has gone.
#[test]
fn a_sysctl_changed_by_a_stranger_is_restored() {
    let _place = in_company();
    let mut bench = Bench::new(Profile::V3Ipv4);
    let before = bench.dut.interface_sysctls();
    bench.start(Router::held);
    bench.promote();
    let during = bench.dut.interface_sysctls();
    let mine: Vec<(String, String)> = before
        .iter()
        .filter(|line| line.contains("/eth0/") && !during.contains(line))
        .map(|line| {
            line.split_once('=')
                .map(|(path, value)| (path.to_owned(), value.to_owned()))
                .unwrap()
        })
        .collect();
    println!("set by the daemon on eth0: {mine:?}");
    assert!(!mine.is_empty(), "the daemon sets nothing on eth0");
    for (path, original) in &mine {
        let wanted = bench.dut.read_sysctl(path);
        let from = Stamp::now();
        bench.dut.sysctl(&format!("{path}={original}"));
        let back = wait_for(ms(5000), || {
            (bench.dut.read_sysctl(path) == wanted).then(Stamp::now)
        });
        let back = back.unwrap_or_else(|| {
            panic!("{path} stays {original} for 5 s; the daemon had set {wanted}")
        });
        println!("{path}: back after {:.0} ms", back.millis_since(from));
    }
    assert_eq!(bench.state(), "active");
    bench.daemon_mut().stop();
    assert_same(
        "sysctls after the stop",
        &before,
        &bench.dut.interface_sysctls(),
    );
}

fn assert_same(what: &str, before: &[String], after: &[String]) {
    let missing: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let extra: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{what}: gone or changed {missing:?}, new or changed {extra:?}"
    );
}

/// What stands in a namespace: interfaces, addresses, rules, filter tables and sysctls.
fn inventory(namespace: &Namespace) -> Vec<String> {
    let mut lines = namespace.interface_sysctls();
    lines.extend(namespace.interfaces());
    let state = namespace.sh("ip -o addr | sed 's/valid_lft.*//'; ip rule; ip -6 rule; nft list ruleset; tc qdisc show | grep -v noqueue || true");
    lines.extend(state.lines().map(str::to_owned));
    lines
}

/// A stop leaves nothing; SIGKILL leaves what the next start adopts or cleans.
fn sudden_death(profile: Profile) {
    let _place = in_company();
    let mut bench = Bench::new(profile);
    let before = inventory(&bench.dut);
    bench.start(|router| router);
    bench.promote();
    bench.daemon_mut().kill();
    println!("{profile:?}: left by SIGKILL: {:?}", bench.dut.interfaces());

    // A winner is heard from the first moment, so the address must not be claimed again.
    let winner = bench.lan.repeat(&bench.advert(200), ms(300));
    let (address, host) = (profile.gateway(), bench.host());
    bench.restart();
    bench.daemon().wait_state(NAME, "backup", ms(3000));
    // What is left behind has a lease; it goes once the daemon has looked around.
    let gone = wait_for(ms(1000), || {
        let carriers = bench.dut.enter(|| carriers(address));
        (carriers.is_empty() && bench.lan.resolve(host, address).is_empty()).then_some(())
    });
    assert!(gone.is_some(), "a Backup still has {address}");
    drop(winner);
    bench.daemon().wait_state(NAME, "active", ms(6000));
    let mac = profile.virtual_mac();
    std::thread::sleep(ms(100));
    assert_eq!(
        bench.lan.resolve(host, address),
        [(mac, mac)],
        "exactly one answer"
    );
    bench.daemon_mut().stop();
    assert_same("after the stop", &before, &inventory(&bench.dut));
}

#[test]
fn sigkill_and_restart_v2() {
    sudden_death(Profile::V2);
}

#[test]
fn sigkill_and_restart_v3_ipv4() {
    sudden_death(Profile::V3Ipv4);
}

#[test]
fn sigkill_and_restart_v3_ipv6() {
    sudden_death(Profile::V3Ipv6);
}

/// Several daemons on one host, on one interface, do not disturb each other; the last one out restores the sysctls.
#[test]
fn two_daemons_on_one_host() {
    if left_out("without macvlans one daemon serves an interface; the next test has two") {
        return;
    }
    let _place = in_company();
    let bench = Bench::new(Profile::V3Ipv4);
    let before = inventory(&bench.dut);
    let router = |name: &str, vrid: u8, last: u8| {
        file(&[Router::new(name, Profile::V3Ipv4)
            .set("vrid", vrid)
            .list("addresses", &[format!("192.0.2.{last}/24")])
            .text("advertise-interval", "100ms")])
    };
    let mut first = Daemon::start(&bench.dut, &router("first", 51, 254));
    let mut second = Daemon::start(&bench.dut, &router("second", 52, 253));
    first.wait_state("first", "active", ms(3000));
    second.wait_state("second", "active", ms(3000));
    let host = bench.host();
    let serves = |vrid: u8, last: u8| {
        let mac = vrrp_lab::wire::Mac::virtual_v4(vrid);
        assert_eq!(
            bench.lan.resolve(host, IpAddr::from([192, 0, 2, last])),
            [(mac, mac)],
            "VRID {vrid}"
        );
    };
    serves(51, 254);
    serves(52, 253);

    let from = Stamp::now();
    second.stop();
    std::thread::sleep(ms(500));
    let adverts: Vec<Sighting> = bench
        .lan
        .adverts(from)
        .into_iter()
        .filter(|advert| advert.heard.vrid() == 51)
        .collect();
    assert!(
        longest_gap(&adverts) <= ms(100) + tolerance().late,
        "the first misses a beat when the second stops"
    );
    serves(51, 254);
    assert_eq!(
        bench.lan.resolve(host, IpAddr::from([192, 0, 2, 253])),
        [],
        "the second is gone"
    );

    second.restart(&bench.dut);
    second.wait_state("second", "active", ms(3000));
    first.stop();
    std::thread::sleep(ms(300));
    serves(52, 253);
    second.stop();
    assert_same("after both have gone", &before, &inventory(&bench.dut));
}

/// Without macvlans two daemons would be in each other's way: the second stays out, says why, and comes when the first goes.
#[test]
fn one_daemon_serves_an_interface_without_macvlans() {
    let _place = in_company();
    let bench = Bench::new(Profile::V3Ipv4);
    let before = inventory(&bench.dut);
    let router = |vrid: u8, last: u8| {
        file(&[Router::new(NAME, Profile::V3Ipv4)
            .set("vrid", vrid)
            .list("addresses", &[format!("192.0.2.{last}/24")])
            .text("advertise-interval", "100ms")
            .text("data-plane", "ebpf")])
    };
    let mut first = Daemon::start(&bench.dut, &router(51, 254));
    first.wait_state(NAME, "active", ms(3000));
    let role = first.role(NAME);
    let from = Stamp::now();
    let mut second = Daemon::start(&bench.dut, &router(52, 253));
    expect_fault(&second, "the second");
    let faults = second.router(NAME)["faults"].to_string();
    assert!(
        faults.contains("another vrrpd has a gate on it"),
        "{faults}"
    );
    // The second may have said so before the first advertises again.
    std::thread::sleep(ms(500));
    assert_eq!(first.role(NAME), role);
    expect_no_missed_advert(&bench.lan, from, ms(100));

    first.stop();
    let left = Stamp::now();
    second.wait_state(NAME, "active", ms(40_000));
    println!("it comes after {:.0} ms", Stamp::now().millis_since(left));
    let mac = vrrp_lab::wire::Mac::virtual_v4(52);
    let address = IpAddr::from([192, 0, 2, 253]);
    assert_eq!(bench.lan.resolve(bench.host(), address), [(mac, mac)]);
    second.stop();
    assert_same("after both have gone", &before, &inventory(&bench.dut));
}

/// Waits for a state, and for a fault beside Initialize.
fn expect_fault(daemon: &Daemon, what: &str) {
    let named = wait_for(ms(3000), || {
        let router = daemon.router(NAME);
        (router["state"] == "initialize"
            && router["faults"]
                .as_array()
                .is_some_and(|faults| !faults.is_empty()))
        .then(|| router["faults"].clone())
    });
    let named = named.unwrap_or_else(|| {
        panic!(
            "{what}: no Initialize with a fault: {:#}",
            daemon.router(NAME)
        )
    });
    println!("{what}: {named}");
}

/// Interfaces come late, vanish, come back, are renamed, flap, lose and change their addresses (FRR #16995, keepalived #2272).
fn interface_life(profile: Profile) {
    let _place = in_company();
    let mut bench = Bench::new(profile);
    // The own addresses live on the interface of this story alone.
    bench.dut.ip("addr flush dev eth0");
    let interval = if profile == Profile::V2 {
        "1s"
    } else {
        "100ms"
    };
    let quick = vrrp_lab::pair::quick(profile);
    bench.start_file(&file(&[Router::new(NAME, profile)
        .text("interface", "lan9")
        .text("advertise-interval", interval)]));
    let Bench { dut, lab, .. } = &bench;
    let daemon = bench.daemon();
    expect_fault(daemon, "not there yet");

    let appear = || {
        cable((dut, "lan9"), (lab, "lan9"));
        lab.ip("link set lan9 arp off\nlink set lan9 up");
        router_lan(dut, "lan9", 21);
        Tester::new(lab, "lan9")
    };
    let serves = |tester: &Tester, what: &str, source: IpAddr| {
        let from = Stamp::now();
        let heard = tester
            .log
            .wait(from, profile.down(100, quick) + ms(3000), |frame| {
                vrrp_lab::capture::sighting(frame).filter(|advert| advert.heard.priority() > 0)
            });
        let heard = heard.unwrap_or_else(|| {
            panic!(
                "{what}: no advertisement; {:#}\n{}",
                daemon.router(NAME),
                daemon.log()
            )
        });
        assert_eq!(heard.heard.source, source, "{what}");
        std::thread::sleep(ms(150));
        let host = tester.play(
            if profile.is_ipv6() {
                "2001:db8::100"
            } else {
                "192.0.2.100"
            }
            .parse()
            .unwrap(),
            vrrp_lab::wire::Mac::played(100),
        );
        let mac = profile.virtual_mac();
        assert_eq!(
            tester.resolve(host, profile.gateway()),
            [(mac, mac)],
            "{what}"
        );
    };
    let tester = appear();
    serves(&tester, "appeared", profile.own(21));

    drop(tester);
    dut.ip("link del lan9");
    expect_fault(daemon, "vanished");
    let tester = appear();
    serves(&tester, "made again", profile.own(21));

    dut.ip("link set lan9 down");
    expect_fault(daemon, "down");
    dut.ip("link set lan9 up");
    if profile.is_ipv6() {
        // The kernel drops IPv6 addresses with the link; whoever configured them puts them back.
        dut.ip(
            "addr replace fe80::21/64 dev lan9 nodad\naddr replace 2001:db8::21/64 dev lan9 nodad",
        );
    }
    serves(&tester, "up again", profile.own(21));

    for _ in 0..5 {
        lab.ip("link set lan9 down");
        std::thread::sleep(ms(20));
        lab.ip("link set lan9 up");
        std::thread::sleep(ms(20));
    }
    serves(&tester, "after five flaps of the carrier", profile.own(21));

    let (lost, gained) = if profile.is_ipv6() {
        ("fe80::21/64", "fe80::22/64")
    } else {
        ("192.0.2.21/24", "192.0.2.22/24")
    };
    dut.ip(&format!("addr del {lost} dev lan9"));
    expect_fault(daemon, "no address of its own");
    dut.ip(&format!(
        "addr add {gained} dev lan9{}",
        if profile.is_ipv6() { " nodad" } else { "" }
    ));
    serves(&tester, "another address", profile.own(22));

    dut.sh("ip link set lan9 name lan10 || { ip link set lan9 down && ip link set lan9 name lan10 && ip link set lan10 up; }");
    std::thread::sleep(ms(300));
    println!(
        "renamed away: {} {}",
        daemon.router(NAME)["state"],
        daemon.router(NAME)["faults"]
    );
    dut.sh("ip link set lan10 name lan9 || { ip link set lan10 down && ip link set lan10 name lan9 && ip link set lan9 up; }");
    if profile.is_ipv6() {
        dut.ip("addr replace fe80::22/64 dev lan9 nodad");
    }
    serves(&tester, "renamed and renamed back", profile.own(22));
    let status = bench.daemon_mut().stop();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn an_interface_lives_v2() {
    interface_life(Profile::V2);
}

#[test]
fn an_interface_lives_v3_ipv4() {
    interface_life(Profile::V3Ipv4);
}

#[test]
fn an_interface_lives_v3_ipv6() {
    interface_life(Profile::V3Ipv6);
}

/// An IPv6 link-local address that is still tentative when the daemon starts is waited for.
#[test]
fn a_tentative_address_is_waited_for() {
    let _place = in_company();
    let bench = Bench::new(Profile::V3Ipv6);
    bench
        .dut
        .ip("addr del fe80::11/64 dev eth0\naddr add fe80::11/64 dev eth0");
    let daemon = Daemon::start(
        &bench.dut,
        &file(&[Router::new(NAME, Profile::V3Ipv6).text("advertise-interval", "100ms")]),
    );
    daemon.wait_state(NAME, "active", ms(6000));
    let heard = bench.lan.expect_advert(Stamp::now(), ms(200)).heard;
    assert_eq!(heard.source, Profile::V3Ipv6.own(11));
}

/// A moment in a report is a fact, not an estimate: scripts compare it to see whether anything has happened.
#[test]
fn since_does_not_drift() {
    let _place = in_company();
    let bench = Bench::active(Profile::V3Ipv4, |router| router);
    let read = || bench.daemon().router(NAME)["since"].clone();
    let first = read();
    for _ in 0..20 {
        std::thread::sleep(ms(50));
        assert_eq!(read(), first);
    }
}

/// A file with any error changes nothing and says so.
#[test]
fn ten_broken_files_change_nothing() {
    let _place = in_company();
    let good = Router::new(NAME, Profile::V3Ipv4).text("advertise-interval", "100ms");
    let broken: [(&str, String); 10] = [
        (
            "a bracket is missing",
            file(std::slice::from_ref(&good)).replacen(']', "", 1),
        ),
        ("an unknown key", file(&[good.clone().set("prority", 150)])),
        ("VRID 300", file(&[good.clone().set("vrid", 300)])),
        ("priority 0", file(&[good.clone().set("priority", 0)])),
        (
            "an address that is none",
            file(&[good.clone().list("addresses", &["192.0.2.354/24"])]),
        ),
        (
            "no interface",
            file(std::slice::from_ref(&good)).replace("interface = \"eth0\"\n", ""),
        ),
        (
            "one VRID twice",
            file(&[
                good.clone(),
                Router::new("twin", Profile::V3Ipv4).list("addresses", &["192.0.2.253/24"]),
            ]),
        ),
        (
            "a duration without a unit",
            file(&[good.clone().text("advertise-interval", "100")]),
        ),
        (
            "half a second in version 2",
            file(&[good
                .clone()
                .text("protocol", "vrrpv2")
                .text("advertise-interval", "500ms")]),
        ),
        (
            "both families in one router",
            file(&[good
                .clone()
                .list("addresses", &["192.0.2.254/24", "2001:db8::254/64"])]),
        ),
    ];
    let lan = Lan::new(1);
    let port = Capture::start(&lan.switch, "lan1");
    let daemon = Daemon::start(&lan.routers[0], &file(&[good]));
    daemon.wait_state(NAME, "active", ms(3000));
    let client = Client::start(&lan.client, &lan.upstream, "198.51.100.1".parse().unwrap());
    std::thread::sleep(ms(500));
    let (from, role, shown) = (Stamp::now(), daemon.role(NAME), configured(&daemon));
    for (what, text) in &broken {
        let logged = daemon.log().len();
        daemon.write_config(text);
        daemon.reload();
        let said = wait_for(ms(1000), || {
            (daemon.log().len() > logged).then(|| daemon.log()[logged..].to_owned())
        });
        let said = said.unwrap_or_else(|| panic!("{what}: not a word in the log"));
        assert!(
            said.to_lowercase().contains("error") && said.contains("vrrpd.toml"),
            "{what}: {said}"
        );
        std::thread::sleep(ms(150));
        assert_eq!(
            (daemon.role(NAME), configured(&daemon)),
            (role.clone(), shown.clone()),
            "{what}"
        );
    }
    let seen = client.experience(from);
    assert_eq!((seen.lost, seen.doubled), (0, 0), "{seen:?}");
    let longest = longest_gap(&port.adverts(from));
    assert!(
        longest <= ms(100) + tolerance().late,
        "{longest:?} without an advertisement"
    );
}

/// What the report says a router is, without what passes by.
fn configured(daemon: &Daemon) -> Vec<serde_json::Value> {
    let router = daemon.router(NAME);
    [
        "interface",
        "vrid",
        "family",
        "protocol",
        "priority",
        "addresses",
        "faults",
    ]
    .map(|key| router[key].clone())
    .to_vec()
}

/// SIGHUP: unchanged routers see nothing; changed ones change, without a transition where the change needs none.
#[test]
fn reload_touches_what_changed() {
    let _alone = alone();
    let router = |name: &str, vrid: u8, last: u8| {
        Router::new(name, Profile::V3Ipv4)
            .set("vrid", vrid)
            .list("addresses", &[format!("192.0.2.{last}/24")])
            .text("advertise-interval", "100ms")
    };
    let (same, changed) = (router("same", 51, 254), router("changed", 52, 253));
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&file(&[same.clone(), changed.clone()]));
    for name in ["same", "changed"] {
        bench.daemon().wait_state(name, "active", ms(3000));
    }
    let daemon = bench.daemon();
    std::thread::sleep(ms(1000));
    let host = bench.host();
    let spacing = |from: Stamp, vrid: u8| {
        let adverts: Vec<Sighting> = bench
            .lan
            .adverts(from)
            .into_iter()
            .filter(|advert| advert.heard.vrid() == vrid)
            .collect();
        longest_gap(&adverts)
    };

    let (from, roles) = (Stamp::now(), [daemon.role("same"), daemon.role("changed")]);
    for _ in 0..10 {
        daemon.reload();
        std::thread::sleep(ms(50));
    }
    std::thread::sleep(ms(200));
    assert_eq!(
        [daemon.role("same"), daemon.role("changed")],
        roles,
        "ten reloads of an unchanged file"
    );
    for vrid in [51, 52] {
        assert!(
            spacing(from, vrid) <= ms(100) + tolerance().late,
            "VRID {vrid} misses a beat"
        );
    }

    let from = Stamp::now();
    daemon.write_config(&file(&[
        same.clone(),
        changed
            .clone()
            .set("priority", 150)
            .list("addresses", &["192.0.2.252/24"]),
    ]));
    daemon.reload();
    let told = bench.lan.log.wait(from, ms(1000), |frame| {
        vrrp_lab::capture::sighting(frame)
            .filter(|advert| advert.heard.vrid() == 52 && advert.heard.priority() == 150)
            .map(|advert| advert.heard)
    });
    assert_eq!(told.unwrap().addresses(), [IpAddr::from([192, 0, 2, 252])]);
    std::thread::sleep(ms(300));
    assert_eq!(daemon.role("same"), roles[0], "the unchanged router");
    assert!(
        spacing(from, 51) <= ms(100) + tolerance().late,
        "the unchanged router misses a beat"
    );
    let (old, new) = (
        bench.lan.resolve(host, IpAddr::from([192, 0, 2, 253])),
        bench.lan.resolve(host, IpAddr::from([192, 0, 2, 252])),
    );
    assert_eq!(
        (old.len(), new.len()),
        (0, 1),
        "the old address is gone, the new one serves"
    );

    let from = Stamp::now();
    daemon.write_config(&file(&[same]));
    daemon.reload();
    let resigned = bench.lan.log.wait(from, ms(1000), |frame| {
        vrrp_lab::capture::sighting(frame)
            .filter(|advert| advert.heard.vrid() == 52 && advert.heard.priority() == 0)
            .map(|advert| advert.at)
    });
    assert!(resigned.is_some(), "a removed router resigns");
    std::thread::sleep(ms(300));
    assert_eq!(daemon.role("same"), roles[0], "the router that stays");
    assert!(
        spacing(from, 51) <= ms(100) + tolerance().late,
        "the router that stays misses a beat"
    );
    assert_eq!(
        bench.lan.resolve(host, IpAddr::from([192, 0, 2, 252])),
        [],
        "the removed router's address"
    );
    println!("slack of this run: {:?}", slack());
}
