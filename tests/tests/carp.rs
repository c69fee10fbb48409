//! CARP on real sockets: ours with ours in both families, and ours with UCarp, each side once the better one.
//!
//! That a digest of ours is right is for UCarp to say: it drops whatever it cannot verify.

use vrrp_lab::capture::{Capture, Frame, announces};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
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

/// Ours is router 1, UCarp is router 2. Each port of the switch shows what its router says.
struct Mixed {
    lan: Lan,
    ports: [Capture; 2],
}

impl Mixed {
    fn new() -> Self {
        let lan = Lan::new(2);
        let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
        Self { lan, ports }
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
        Daemon::start(&self.lan.routers[0], &ours(advskew, ONE, ""))
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
#[test]
fn ours_is_better_than_ucarp() {
    let mixed = Mixed::new();
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
#[test]
fn ucarp_is_better_than_ours() {
    let mixed = Mixed::new();
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
#[test]
fn ours_loses_its_link() {
    let mixed = Mixed::new();
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
    let mixed = Mixed::new();
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
#[test]
fn ours_with_ours_in_both_families() {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
    let said = |n: usize, from: Stamp| -> Vec<Bid> {
        ports[n - 1].pick(from, |frame| {
            (!frame.outgoing).then(|| bid(frame)).flatten()
        })
    };
    let shuffled = "\"2001:db8::254/64\", \"192.0.2.253/24\", \"192.0.2.254/24\"";
    let mut better = Daemon::start(&lan.routers[0], &ours(0, BOTH, ""));
    better.wait_state("fw", "active", ms(5000));
    let begun = Stamp::now();
    let other = Daemon::start(&lan.routers[1], &ours(50, shuffled, ""));
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
