//! CARP on real sockets: ours with ours in both families, and ours with UCarp, each side once the better one; with a macvlan, and
//! with a program in its place.
//!
//! That a digest of ours is right is for UCarp to say: it drops whatever it cannot verify.
#![expect(
    clippy::print_stdout,
    reason = "the measured times are half of the result"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::IpAddr;
use vrrp_lab::capture::{Capture, Frame, announces, answer_for};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
use vrrp_lab::tester::{Tester, question};
use vrrp_lab::topology::Lan;
use vrrp_lab::ucarp::{Orders, PASSPHRASE, Ucarp, VHID};
use vrrp_lab::wire::Mac;

const ADDRESS: &str = "192.0.2.254";
const VIRTUAL_MAC: Mac = Mac([0, 0, 0x5e, 0, 1, VHID]);
/// 3 × base and a skew of 100; UCarp looks at its timer once a second.
const DOWN: u64 = 3391;
const UCARP_LOOKS: u64 = 1000;

/// An advertisement as it is on the wire: when, base, skew, and the counter.
#[derive(Clone, Copy, Debug)]
struct Bid {
    at: Stamp,
    base: u8,
    skew: u8,
    counter: u64,
    ipv4: bool,
}

fn bid(frame: &Frame) -> Option<Bid> {
    let heard = frame.packet.advert()?;
    let message = &heard.message;
    assert_eq!(message.len(), 36, "{message:02x?}");
    assert_eq!((message[0], message[1], message[3]), (0x21, VHID, 7));
    assert!(heard.verifies_alone(), "{message:02x?}");
    Some(Bid {
        at: frame.at,
        base: message[5],
        skew: message[2],
        counter: u64::from_be_bytes(message[8..16].try_into().ok()?),
        ipv4: heard.source.is_ipv4(),
    })
}

fn ours(advskew: u8, addresses: &str, more: &str) -> String {
    format!(
        "[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = {VHID}\nadvbase = 1\nadvskew = {advskew}\n\
         passphrase = \"{PASSPHRASE}\"\naddresses = [{addresses}]\n{more}\n"
    )
}

const ONE: &str = "\"192.0.2.254/24\"";

/// One test with a macvlan, and one with a program in its place.
macro_rules! on_both_planes {
    ($($name:ident)+) => {
        $(
            mod $name {
                #[test]
                fn macvlan() {
                    super::$name("macvlan");
                }

                #[test]
                fn ebpf() {
                    super::$name("ebpf");
                }
            }
        )+
    };
}

on_both_planes! {
    ours_is_better_than_ucarp
    ucarp_is_better_than_ours
    ours_loses_its_link
    ours_with_ours_in_both_families
    killed_it_is_off_the_wire
    stopped_it_is_off_the_wire
    two_groups_and_vrrp_on_one_interface
}

/// Who takes the frames of the virtual MAC address in.
fn on(plane: &str) -> String {
    format!("data-plane = \"{plane}\"")
}

/// Ours is router 1, UCarp is router 2. Each port of the switch shows what its router says.
struct Mixed {
    lan: Lan,
    ports: [Capture; 2],
    plane: &'static str,
}

impl Mixed {
    fn new(plane: &'static str) -> Self {
        let lan = Lan::new(2);
        let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
        Self { lan, ports, plane }
    }

    fn ucarp(&self, advskew: u8, passphrase: &str) -> Ucarp {
        let orders = Orders {
            source: "192.0.2.12",
            address: ADDRESS,
            advskew,
            passphrase,
        };
        Ucarp::start(&self.lan.routers[1], orders)
    }

    fn daemon(&self, advskew: u8) -> Daemon {
        let config = ours(advskew, ONE, &on(self.plane));
        Daemon::start(&self.lan.routers[0], &config)
    }

    /// What router `n` itself has said since then, as its port of the switch received it.
    fn said(&self, n: usize, from: Stamp) -> Vec<Bid> {
        self.ports[n - 1].pick(from, |frame| {
            (!frame.outgoing).then(|| bid(frame)).flatten()
        })
    }

    fn wait_said(&self, n: usize, from: Stamp, limit: u64) -> Bid {
        let found = wait_for(ms(limit), || self.said(n, from).first().copied());
        found.unwrap_or_else(|| panic!("router {n} says nothing within {limit} ms"))
    }

    fn ucarp_has_address(&self) -> bool {
        has_address(&self.lan.routers[1])
    }

    fn wait_ucarp(&self, has: bool, limit: u64, ucarp: &Ucarp) {
        let there = wait_for(ms(limit), || {
            (self.ucarp_has_address() == has).then_some(())
        });
        let log = || ucarp.log();
        assert!(
            there.is_some(),
            "UCarp has the address: {}: {}",
            !has,
            log()
        );
    }

    /// A client reaches the address, whoever has it.
    fn answers(&self) {
        let ping = format!("ping -c1 -W1 {ADDRESS} >/dev/null");
        let answers = wait_for(ms(2000), || self.lan.client.try_sh(&ping).then_some(()));
        assert!(answers.is_some(), "{ADDRESS} answers");
    }
}

fn has_address(router: &Namespace) -> bool {
    let listed = router.sh("ip -o -4 address show");
    listed.contains(&format!("inet {ADDRESS}/"))
}

/// Ours is the better one: it is elected, hands over by a bow-out, preempts when it comes back, and loses its address with
/// its life.
fn ours_is_better_than_ucarp(plane: &'static str) {
    let mixed = Mixed::new(plane);
    let mut daemon = mixed.daemon(0);
    daemon.wait_state("fw", "active", ms(5000));
    let begun = Stamp::now();
    let ucarp = mixed.ucarp(100, PASSPHRASE);
    std::thread::sleep(ms(DOWN + UCARP_LOOKS + 500));
    assert!(!mixed.ucarp_has_address(), "{}", ucarp.log());
    assert!(mixed.said(2, begun).is_empty(), "{}", ucarp.log());
    mixed.answers();
    // No advertisement is sent twice.
    let counters: Vec<u64> = mixed.said(1, begun).iter().map(|bid| bid.counter).collect();
    assert!(
        counters.windows(2).all(|two| two[0] < two[1]),
        "{counters:x?}"
    );

    // A bow-out, and UCarp takes over when it looks next.
    let stopped = daemon.terminate();
    let last = mixed.wait_said(1, stopped, 1000);
    assert_eq!((last.base, last.skew), (255, 255));
    let first = mixed.wait_said(2, stopped, UCARP_LOOKS + 500);
    assert!(first.at > last.at);
    println!("UCarp {:?} after our bow-out", first.at.since(last.at));
    mixed.wait_ucarp(true, 1000, &ucarp);
    assert!(daemon.stop().success());
    mixed.answers();

    // It comes back, and takes over at the first advertisement that it hears.
    let back = Stamp::now();
    daemon.restart(&mixed.lan.routers[0]);
    daemon.wait_state("fw", "active", ms(3000));
    let first = mixed.wait_said(1, back, 1000);
    let heard = mixed.said(2, back);
    let before = heard
        .iter()
        .rfind(|bid| bid.at < first.at)
        .expect("it was heard");
    let after = first.at.since(before.at);
    println!("ours back {after:?} after an advertisement of UCarp");
    assert!(after < ms(20) + slack(), "{after:?} after an advertisement");
    mixed.wait_ucarp(false, 2000, &ucarp);
    mixed.answers();

    // Killed, it answers no more when UCarp takes over, whatever is left of it.
    let killed = daemon.kill();
    let first = mixed.wait_said(2, killed, DOWN + UCARP_LOOKS + 500);
    println!("UCarp {:?} after our SIGKILL", first.at.since(killed));
    mixed.wait_ucarp(true, 1000, &ucarp);
    mixed.answers();
    let later = first.at;
    std::thread::sleep(ms(300));
    let still: Vec<Frame> = mixed.ports[0].pick(later, |frame| {
        let from_it = !frame.outgoing && frame.packet.ethernet.source == VIRTUAL_MAC;
        from_it.then(|| frame.clone())
    });
    assert!(still.is_empty(), "{still:?}");
}

/// UCarp is the better one: it is left alone, replaced when it dies, and given way to without another word.
fn ucarp_is_better_than_ours(plane: &'static str) {
    let mixed = Mixed::new(plane);
    let mut ucarp = mixed.ucarp(0, PASSPHRASE);
    mixed.wait_ucarp(true, 6000, &ucarp);
    let begun = Stamp::now();
    let daemon = mixed.daemon(100);
    std::thread::sleep(ms(DOWN + 500));
    assert_eq!(daemon.state("fw"), "backup");
    assert!(mixed.said(1, begun).is_empty());
    assert!(daemon.counter("fw", "advertisement-rcvd") >= 3);

    let killed = ucarp.kill();
    let last = *mixed.said(2, begun).last().expect("it was Active");
    let first = mixed.wait_said(1, killed, DOWN + 500);
    let after = first.at.since(last.at);
    println!("ours {after:?} after the last word of UCarp, which was killed");
    assert!(
        after > ms(DOWN - 5) && after < ms(DOWN) + slack(),
        "{after:?}"
    );
    assert!(first.counter > last.counter);
    daemon.wait_state("fw", "active", ms(500));
    // What UCarp leaves behind for ever is its own; ours announces where the address is now.
    let told = wait_for(ms(1000), || {
        let address = ADDRESS.parse().expect("an address");
        mixed.ports[0]
            .pick(first.at, |frame| announces(frame, address).then_some(()))
            .pop()
    });
    assert!(told.is_some(), "the address is announced");

    mixed.lan.routers[1].ip(&format!("address del {ADDRESS}/24 dev eth0"));
    mixed.answers();
    ucarp.revive(&mixed.lan.routers[1]);
    mixed.wait_ucarp(true, DOWN + UCARP_LOOKS + 2000, &ucarp);
    daemon.wait_state("fw", "backup", ms(2000));
    // Nothing was said behind the advertisement to which it gave way.
    let better = mixed.said(2, killed);
    let yielded = better.first().expect("UCarp came back").at;
    std::thread::sleep(ms(1500));
    let said: Vec<Bid> = mixed.said(1, yielded + ms(5));
    assert!(said.is_empty(), "{said:?}");
    mixed.answers();
}

/// A cable that is pulled, and plugged in again.
fn ours_loses_its_link(plane: &'static str) {
    let mixed = Mixed::new(plane);
    let daemon = mixed.daemon(0);
    daemon.wait_state("fw", "active", ms(5000));
    let ucarp = mixed.ucarp(100, PASSPHRASE);
    std::thread::sleep(ms(1500));
    let pulled = Stamp::now();
    mixed.lan.unplug(0);
    daemon.wait_state("fw", "initialize", ms(1000));
    let first = mixed.wait_said(2, pulled, DOWN + UCARP_LOOKS + 500);
    println!(
        "UCarp {:?} after our cable was pulled",
        first.at.since(pulled)
    );
    mixed.wait_ucarp(true, 1000, &ucarp);
    mixed.answers();
    mixed.lan.plug(0);
    daemon.wait_state("fw", "active", ms(3000));
    mixed.wait_ucarp(false, 2000, &ucarp);
    mixed.answers();
}

/// Who has another passphrase is another group: refused, counted and said.
#[test]
fn a_wrong_passphrase_is_counted() {
    let mixed = Mixed::new("macvlan");
    let ucarp = mixed.ucarp(0, "another secret");
    mixed.wait_ucarp(true, 6000, &ucarp);
    let daemon = mixed.daemon(100);
    let counted = wait_for(ms(5000), || {
        (daemon.counter("fw", "auth-failures") >= 2).then_some(())
    });
    assert!(counted.is_some());
    assert_eq!(daemon.counter("fw", "advertisement-rcvd"), 0);
    let events = daemon.ctl(&["events", "--json"]);
    let events = String::from_utf8_lossy(&events.stdout).into_owned();
    let sentence = "wrong digest: another list of addresses, another passphrase";
    assert!(events.contains(sentence), "{events}");
    for shown in [
        &["show", "config"][..],
        &["status", "--json"],
        &["show", "fw"],
    ] {
        let output = daemon.ctl(shown);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!text.contains(PASSPHRASE), "{text}");
    }
}

const BOTH: &str = "\"192.0.2.254/24\", \"192.0.2.253/24\", \"2001:db8::254/64\"";

/// Ours with ours, several addresses of both families: one group, one virtual MAC address, two advertisements an interval.
fn ours_with_ours_in_both_families(plane: &'static str) {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
    let said = |n: usize, from: Stamp| -> Vec<Bid> {
        ports[n - 1].pick(from, |frame| {
            (!frame.outgoing).then(|| bid(frame)).flatten()
        })
    };
    let shuffled = "\"2001:db8::254/64\", \"192.0.2.253/24\", \"192.0.2.254/24\"";
    let mut better = Daemon::start(&lan.routers[0], &ours(0, BOTH, &on(plane)));
    better.wait_state("fw", "active", ms(5000));
    let begun = Stamp::now();
    let other = Daemon::start(&lan.routers[1], &ours(50, shuffled, &on(plane)));
    let reaches = |address: &str| {
        let ping = format!("ping -c1 -W1 {address} >/dev/null");
        let answers = wait_for(ms(3000), || lan.client.try_sh(&ping).then_some(()));
        assert!(answers.is_some(), "{address} answers");
    };
    for address in ["192.0.2.254", "192.0.2.253", "2001:db8::254"] {
        reaches(address);
    }
    std::thread::sleep(ms(3700));
    assert_eq!(other.state("fw"), "backup");
    assert!(said(2, begun).is_empty());
    let mine = said(1, begun);
    let of = |ipv4: bool| mine.iter().filter(|bid| bid.ipv4 == ipv4).count();
    assert!(
        of(true) >= 3 && of(true).abs_diff(of(false)) <= 1,
        "{mine:?}"
    );
    let sources = ports[0].pick(begun, |frame| {
        let advert = !frame.outgoing && frame.packet.advert().is_some();
        advert.then_some(frame.packet.ethernet.source)
    });
    assert!(sources.iter().all(|mac| *mac == VIRTUAL_MAC), "{sources:?}");

    // A datagram every millisecond, through whoever has the address.
    let upstream = "198.51.100.1".parse().expect("an address");
    let client = Client::start(&lan.client, &lan.upstream, upstream);
    std::thread::sleep(ms(300));
    let drained = Stamp::now();
    let output = better.ctl(&["drain", "fw"]);
    assert!(output.status.success(), "{output:?}");
    let gives_up = wait_for(ms(500), || {
        said(1, drained).iter().find(|bid| bid.base == 255).copied()
    });
    let gives_up = gives_up.expect("a bow-out");
    let first = wait_for(ms(500), || said(2, drained).first().copied()).expect("a successor");
    let after = first.at.since(gives_up.at);
    println!("ours {after:?} after a bow-out of ours");
    assert!(after < ms(20) + slack(), "{after:?} after the bow-out");
    other.wait_state("fw", "active", ms(500));
    better.wait_state("fw", "backup", ms(500));
    std::thread::sleep(ms(500));
    let experience = client.experience(drained);
    println!("a drain, for a client: {experience:?}");
    assert!(experience.gap < ms(20) + slack(), "{experience:?}");
    for address in ["192.0.2.254", "2001:db8::254"] {
        reaches(address);
    }
    let carp = &better.router("fw")["carp"];
    assert_eq!(
        (&carp["advskew"], &carp["advertised-advskew"]),
        (&0.into(), &240.into())
    );
    let output = better.ctl(&["undrain", "fw"]);
    assert!(output.status.success(), "{output:?}");
    better.wait_state("fw", "active", ms(2000));
    other.wait_state("fw", "backup", ms(2000));
    assert!(better.stop().success());
    other.wait_state("fw", "active", ms(1000));
    reaches("2001:db8::254");
}

/// Whatever happens to all of its processes at once, it answers for no address of either family, and forwards nothing, when three
/// intervals have passed since it was heard: the other one takes over later than that.
fn is_off_the_wire(plane: &'static str, signal: Signal) {
    let lan = Lan::new(2);
    let port = Capture::start(&lan.switch, "lan1");
    let better = Daemon::start(&lan.routers[0], &ours(0, BOTH, &on(plane)));
    better.wait_state("fw", "active", ms(6000));
    let other = Daemon::start(&lan.routers[1], &ours(50, BOTH, &on(plane)));
    other.wait_state("fw", "backup", ms(3000));
    let asker = Tester::new(&lan.client, "eth0");
    let [ipv4, ipv6]: [IpAddr; 2] = ["192.0.2.101", "2001:db8::101"].map(|ip| ip.parse().unwrap());
    let addresses: [IpAddr; 2] = ["192.0.2.254", "2001:db8::254"].map(|ip| ip.parse().unwrap());
    let hosts = [ipv4, ipv6].map(|ip| asker.play(ip, Mac::played(101)));
    let asking: Vec<_> = hosts
        .into_iter()
        .zip(addresses)
        .map(|(host, address)| asker.repeat_frame(question(host, address, None), ms(20)))
        .collect();
    let upstream = "198.51.100.1".parse().expect("an address");
    let _client = Client::start(&lan.client, &lan.upstream, upstream);
    std::thread::sleep(ms(1500));
    let begun = Stamp::now() - ms(1500);
    let struck = better.signal(signal);
    let first = wait_for(ms(5000), || {
        (other.state("fw") == "active").then(Stamp::now)
    });
    assert!(first.is_some(), "nobody takes over");
    let said = port.pick(begun, |frame| {
        (!frame.outgoing).then(|| bid(frame)).flatten()
    });
    let last = said
        .iter()
        .rfind(|bid| bid.at <= struck + ms(20))
        .expect("it was heard");
    std::thread::sleep(ms(500));
    for (address, ipv4) in addresses.into_iter().zip([true, false]) {
        let answers = port.pick(begun, |frame| {
            let own = !frame.outgoing && answer_for(frame, address) == Some(VIRTUAL_MAC);
            own.then_some(frame.at)
        });
        let after = answers.last().expect("it answered").since(last.at);
        println!("{plane}, {signal}, {address}: its last answer {after:?} after its last word");
        assert!(after <= ms(3000) + slack(), "{address}: {after:?}");
        // It serves for as long as it may: what it is gone by is the lease.
        assert!(after >= ms(2700), "{address}: {after:?}");
        assert!(said.iter().any(|bid| bid.ipv4 == ipv4));
    }
    let still = port.sent_by(VIRTUAL_MAC, last.at + ms(3000) + slack());
    assert!(still.is_empty(), "{still:?}");
    drop(asking);
    for address in addresses {
        let reached = wait_for(ms(2000), || {
            let ping = format!("ping -c1 -W1 {address} >/dev/null");
            lan.client.try_sh(&ping).then_some(())
        });
        assert!(reached.is_some(), "{address} at the other");
    }
    if signal == Signal::SIGSTOP {
        better.signal(Signal::SIGCONT);
        better.wait_state("fw", "active", ms(6000));
        other.wait_state("fw", "backup", ms(1000));
    }
}

fn killed_it_is_off_the_wire(plane: &'static str) {
    is_off_the_wire(plane, Signal::SIGKILL);
}

fn stopped_it_is_off_the_wire(plane: &'static str) {
    is_off_the_wire(plane, Signal::SIGSTOP);
}

/// A CARP router of both families, one of IPv4, and one of VRRP for IPv6 with the number of the latter: each has a MAC address of its
/// own, and what becomes of one does not touch the others.
fn two_groups_and_vrrp_on_one_interface(plane: &'static str) {
    let lan = Lan::new(1);
    let plane = on(plane);
    let both = ours(0, "\"192.0.2.253/24\", \"2001:db8::253/64\"", &plane)
        .replace("router.fw", "router.both")
        .replace(&format!("vhid = {VHID}"), "vhid = 77");
    let vrrp = format!(
        "[virtual-router.vrrp]\ninterface = \"eth0\"\nvrid = {VHID}\naddresses = [\"fe80::252/64\", \"2001:db8::252/64\"]\n{plane}\n"
    );
    let first = ours(0, ONE, &plane);
    let texts = [("fw", first), ("both", both), ("vrrp", vrrp)];
    let without = |gone: Option<&str>| -> String {
        let there = texts.iter().filter(|(name, _)| gone != Some(name));
        there.map(|(_, text)| text.as_str()).collect()
    };
    let daemon = Daemon::start(&lan.routers[0], &without(None));
    for name in ["fw", "both", "vrrp"] {
        daemon.wait_state(name, "active", ms(6000));
    }
    let asker = Tester::new(&lan.client, "eth0");
    let mac = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        let own = if address.is_ipv4() {
            "192.0.2.101"
        } else {
            "2001:db8::101"
        };
        let host = asker.play(own.parse().unwrap(), Mac::played(101));
        let answers = asker.resolve(host, address);
        assert!(
            answers.iter().all(|(inside, source)| inside == source),
            "{answers:?}"
        );
        let mut all: Vec<Mac> = answers.into_iter().map(|(inside, _)| inside).collect();
        all.dedup();
        all
    };
    let of_both = Mac([0, 0, 0x5e, 0, 1, 77]);
    let all = [
        ("192.0.2.254", "fw", VIRTUAL_MAC),
        ("192.0.2.253", "both", of_both),
        ("2001:db8::253", "both", of_both),
        ("2001:db8::252", "vrrp", Mac([0, 0, 0x5e, 0, 2, VHID])),
    ];
    let check = |gone: Option<&str>| {
        for (address, name, expected) in all {
            if gone == Some(name) {
                // It serves for a while, for nobody takes over.
                let silent = wait_for(ms(5000), || mac(address).is_empty().then_some(()));
                assert!(silent.is_some(), "{address}: somebody has it");
                continue;
            }
            assert_eq!(mac(address), [expected], "{address} without {gone:?}");
            let ping = format!("ping -c1 -W1 {address} >/dev/null");
            let reached = wait_for(ms(2000), || lan.client.try_sh(&ping).then_some(()));
            assert!(reached.is_some(), "{address} without {gone:?}");
        }
    };
    check(None);
    for (name, _) in &texts {
        daemon.write_config(&without(Some(name)));
        daemon.reload();
        let gone = wait_for(ms(2000), || {
            let routers = daemon.status()["routers"].clone();
            let routers = routers.as_array().expect("a list");
            (routers.iter().all(|it| it["name"] != *name)).then_some(())
        });
        assert!(gone.is_some(), "{name} stays");
        check(Some(name));
        daemon.write_config(&without(None));
        daemon.reload();
        let back = wait_for(ms(6000), || {
            let status = daemon.status();
            let routers = status["routers"].as_array().expect("a list").iter();
            let serves = |it: &&Value| it["state"] == "active" && it["kernel-in-step"] == true;
            (routers.filter(serves).count() == texts.len()).then_some(())
        });
        assert!(back.is_some(), "{name} does not come back");
    }
    check(None);
}

/// Where no program may be loaded, a table of nftables keeps the lease: a skew of 0 renews it as any other, and so does a group
/// that speaks IPv6 only, with the MAC address of IPv4's block. Killed, it is off the wire before a Backup would take over.
fn behind_nftables(address: &str) {
    const FORBIDDEN: &str = "exec setpriv --bounding-set=-bpf,-sys_admin \"$@\"";
    let lan = Lan::new(1);
    let config = ours(0, &format!("\"{address}\""), "");
    let mut daemon = Daemon::launch_by(&lan.routers[0], &config, FORBIDDEN);
    let (ip, _) = address.split_once('/').expect("a prefix length");
    let ping = format!("ping -c1 -W1 {ip} >/dev/null");
    let answers = || lan.client.try_sh(&ping);
    let begun = wait_for(ms(9000), || answers().then_some(()));
    assert!(begun.is_some(), "{}", daemon.log());
    assert_eq!(daemon.router("fw")["protection"]["means"], "nftables");
    // Longer than a lease, and every second of it.
    for _ in 0..4 {
        std::thread::sleep(ms(1000));
        assert!(answers(), "{ip} answers while it is advertised");
    }
    daemon.kill();
    std::thread::sleep(ms(3000));
    assert!(!answers(), "{ip} still answers");
}

#[test]
fn behind_nftables_ipv4() {
    behind_nftables("192.0.2.254/24");
}

#[test]
fn behind_nftables_ipv6() {
    behind_nftables("2001:db8::254/64");
}
