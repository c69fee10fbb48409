//! CARP on real sockets, among those who change their lists and those who play back what they recorded: ours with ours, and
//! what the same attacks do to UCarp. The table in docs/carp.md is what this prints.
#![expect(clippy::print_stdout, reason = "what was measured")]

use std::net::IpAddr;
use std::time::Duration;

use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::tester::Tester;
use vrrp_lab::topology::Lan;
use vrrp_lab::ucarp::{Orders, PASSPHRASE, Ucarp, VHID};
use vrrp_lab::wire::{Ethernet, Ip, Mac, VRRP, fold, message_sum};

const ADDRESS: &str = "192.0.2.254";
/// 3 × base and a skew of 100; UCarp looks at its timer once a second.
const DOWN: u64 = 3391;
const UCARP_LOOKS: u64 = 1000;
/// So long an attack lasts.
const ATTACK: u64 = 8000;

fn ours(advskew: u8, addresses: &str, more: &str) -> String {
    format!(
        "[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = {VHID}\nadvbase = 1\nadvskew = {advskew}\n\
         passphrase = \"{PASSPHRASE}\"\naddresses = [{addresses}]\n{more}\n"
    )
}

const ONE: &str = "\"192.0.2.254/24\"";
const TWO: &str = "\"192.0.2.254/24\", \"192.0.2.253/24\", \"2001:db8::254/64\"";

/// Who is attacked.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Ucarp,
    Plain,
    Sealed,
}

enum Node {
    Ucarp(Ucarp),
    Ours(Daemon),
}

/// A pair of one kind; router 1 is the better one. The client's cable is the attacker's.
struct Pair {
    nodes: [Node; 2],
    attacker: Tester,
    ports: [Capture; 2],
    kind: Kind,
    /// Goes last.
    _lan: Lan,
}

impl Pair {
    fn new(kind: Kind) -> Self {
        let lan = Lan::new(2);
        let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
        let attacker = Tester::new(&lan.client, "eth0");
        let node = |n: usize| {
            let (router, advskew) = (&lan.routers[n], [0, 100][n]);
            match kind {
                Kind::Ucarp => Node::Ucarp(Ucarp::start(
                    router,
                    Orders {
                        source: ["192.0.2.11", "192.0.2.12"][n],
                        address: ADDRESS,
                        advskew,
                        passphrase: PASSPHRASE,
                    },
                )),
                Kind::Plain => Node::Ours(Daemon::start(router, &ours(advskew, ONE, ""))),
                Kind::Sealed => {
                    let seal = "carp-seal = \"require\"";
                    Node::Ours(Daemon::start(router, &ours(advskew, ONE, seal)))
                }
            }
        };
        let begun = Stamp::now();
        let first = node(0);
        let said = wait_for(ms(8000), || {
            heard(&ports[0], begun).first().map(|(at, _)| *at)
        });
        assert!(said.is_some(), "{kind:?}: router 1 is never Active");
        let second = node(1);
        // It takes part, and has heard the other one for some time.
        std::thread::sleep(ms(DOWN + UCARP_LOOKS + 1000));
        let pair = Self {
            nodes: [first, second],
            attacker,
            ports,
            kind,
            _lan: lan,
        };
        assert!(pair.said(2, begun).is_empty(), "{kind:?}");
        pair
    }

    fn said(&self, n: usize, from: Stamp) -> Vec<Stamp> {
        let all = heard(&self.ports[n - 1], from);
        all.into_iter().map(|(at, _)| at).collect()
    }

    /// The last advertisements of router 1, oldest first.
    fn captured(&self, count: usize, since: Stamp) -> Vec<Vec<u8>> {
        let mut all = heard(&self.ports[0], since);
        let rest = all.split_off(all.len() - count);
        rest.into_iter().map(|(_, message)| message).collect()
    }

    fn kill(&mut self, n: usize) -> Stamp {
        match &mut self.nodes[n - 1] {
            Node::Ucarp(ucarp) => ucarp.kill(),
            Node::Ours(daemon) => daemon.kill(),
        }
    }

    /// What router `n` refused, by the name of the counter.
    fn refused(&self, n: usize) -> String {
        let Node::Ours(daemon) = &self.nodes[n - 1] else {
            return String::new();
        };
        let kinds = [
            "replayed-pkts-rcvd",
            "forged-pkts-rcvd",
            "own-pkts-looped",
            "unsealed-pkts-rcvd",
            "clock-errors",
            "auth-failures",
        ];
        let counted = kinds.map(|kind| (kind, daemon.counter("fw", kind)));
        let some = counted.iter().filter(|(_, count)| *count > 0);
        let some: Vec<String> = some
            .map(|(kind, count)| format!("{kind} {count}"))
            .collect();
        some.join(", ")
    }
}

fn heard(port: &Capture, from: Stamp) -> Vec<(Stamp, Vec<u8>)> {
    port.pick(from, |frame| {
        let advert = frame.packet.advert().filter(|_| !frame.outgoing)?;
        Some((frame.at, advert.message.clone()))
    })
}

/// A frame of the attacker with this message, seemingly from that address.
fn frame(message: &[u8], source: &str, ttl: u8) -> Vec<u8> {
    let source: IpAddr = source.parse().expect("an address");
    let (group, mac): (IpAddr, _) = if source.is_ipv4() {
        (
            "224.0.0.18".parse().expect("a group"),
            Mac([1, 0, 0x5e, 0, 0, 0x12]),
        )
    } else {
        (
            "ff02::12".parse().expect("a group"),
            Mac([0x33, 0x33, 0, 0, 0, 0x12]),
        )
    };
    let ip = Ip::new(source, group, ttl, VRRP);
    Ethernet {
        destination: mac,
        source: Mac::played(66),
        ethertype: ip.ethertype(),
    }
    .frame(&ip.packet(message))
}

/// The same counter and digest with another bid, and the checksum of that.
fn forge(message: &[u8], advbase: u8, advskew: u8) -> Vec<u8> {
    let mut forged = message.to_vec();
    (forged[5], forged[2]) = (advbase, advskew);
    forged[6..8].fill(0);
    let sum = fold(message_sum(&forged[..36])).to_be_bytes();
    forged[6..8].copy_from_slice(&sum);
    forged
}

const MASTER: &str = "192.0.2.11";
const STRANGER: &str = "192.0.2.100";

/// An attack on a Backup whose Active died: when it takes over, if it does.
fn after_death(
    kind: Kind,
    name: &str,
    make: impl Fn(&[Vec<u8>]) -> Vec<Vec<u8>>,
) -> Option<Duration> {
    let begun = Stamp::now();
    let mut pair = Pair::new(kind);
    let frames = make(&pair.captured(3, begun));
    let killed = pair.kill(1);
    let last = *pair.said(1, begun).last().expect("it was Active");
    let mut turn = frames.iter().cycle();
    while Stamp::now() < killed + ms(ATTACK) {
        pair.attacker.send_frame(turn.next().expect("there is one"));
        std::thread::sleep(ms(500));
    }
    let first = pair.said(2, killed).first().copied();
    let after = first.map(|first| first.since(last));
    println!(
        "{kind:?}: {name}: takes over after {after:?}; {}",
        pair.refused(2)
    );
    after
}

/// An attack while both live: how often each advertised in the time that it lasted.
fn while_alive(kind: Kind, name: &str, make: impl Fn(&[u8]) -> Vec<u8>) -> [usize; 2] {
    let begun = Stamp::now();
    let pair = Pair::new(kind);
    let captured = pair.captured(1, begun);
    let from = Stamp::now();
    let attack = pair.attacker.repeat_frame(make(&captured[0]), ms(500));
    std::thread::sleep(ms(ATTACK));
    drop(attack);
    let said = [1, 2].map(|n| pair.said(n, from).len());
    println!(
        "{kind:?}: {name}: advertised {said:?} times in {ATTACK} ms; refused: {} | {}",
        pair.refused(1),
        pair.refused(2)
    );
    if pair.kind != Kind::Ucarp {
        for node in &pair.nodes {
            let Node::Ours(daemon) = node else { continue };
            let events = daemon.ctl(&["events", "--json"]);
            let events = String::from_utf8_lossy(&events.stdout).into_owned();
            let refused = events.matches("\"refused\"").count();
            assert!(refused <= 3, "{events}");
        }
    }
    said
}

fn in_time(kind: Kind, after: Option<Duration>) -> bool {
    let looks = if kind == Kind::Ucarp { UCARP_LOOKS } else { 0 };
    after.is_some_and(|after| after <= ms(DOWN + looks) + slack())
}

fn verbatim(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![frame(&all[2], MASTER, 255)]
}

fn with_ttl_64(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![frame(&all[2], MASTER, 64)]
}

fn from_elsewhere(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![frame(&all[2], STRANGER, 255)]
}

fn in_the_other_family(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    vec![frame(&all[2], "fe80::100", 255)]
}

/// More than one captured, in the order in which they were said.
fn three_in_turn(all: &[Vec<u8>]) -> Vec<Vec<u8>> {
    all.iter().map(|it| frame(it, MASTER, 255)).collect()
}

fn never_takes_over(kind: Kind, name: &str, make: impl Fn(&[Vec<u8>]) -> Vec<Vec<u8>>) {
    let after = after_death(kind, name, make);
    assert_eq!(after, None, "{kind:?}: {name}");
}

fn takes_over(kind: Kind, name: &str, make: impl Fn(&[Vec<u8>]) -> Vec<Vec<u8>>) {
    let after = after_death(kind, name, make);
    assert!(in_time(kind, after), "{kind:?}: {name}: {after:?}");
}

#[test]
fn replays_against_ucarp() {
    never_takes_over(Kind::Ucarp, "replay", verbatim);
    takes_over(Kind::Ucarp, "replay, TTL 64", with_ttl_64);
    takes_over(Kind::Ucarp, "replay, IPv6", in_the_other_family);
}

#[test]
fn bids_against_ucarp() {
    let [one, _] = while_alive(Kind::Ucarp, "skew 0, base 0", |it| {
        frame(&forge(it, 0, 0), STRANGER, 255)
    });
    assert!(one <= 3, "UCarp yields: {one}");
    let [_, two] = while_alive(Kind::Ucarp, "bow-out", |it| {
        frame(&forge(it, 255, 255), STRANGER, 255)
    });
    assert!(two >= 2, "UCarp takes over from a living one: {two}");
}

fn replays(kind: Kind) {
    takes_over(kind, "replay", verbatim);
    takes_over(kind, "replay from elsewhere", from_elsewhere);
    takes_over(kind, "replay, TTL 64", with_ttl_64);
    takes_over(kind, "replay, IPv6", in_the_other_family);
    match kind {
        // What nobody can tell from a peer that went back and counts again.
        Kind::Plain => never_takes_over(kind, "three replays in turn", three_in_turn),
        Kind::Sealed | Kind::Ucarp => takes_over(kind, "three replays in turn", three_in_turn),
    }
}

fn bids(kind: Kind) {
    for (name, advbase) in [("skew 0, base 0", 0), ("bow-out", 255)] {
        for source in [MASTER, STRANGER] {
            let [one, two] = while_alive(kind, &format!("{name} from {source}"), |it| {
                frame(&forge(it, advbase, advbase), source, 255)
            });
            assert!(
                one >= 7 && two == 0,
                "{kind:?}: {name} from {source}: {one} {two}"
            );
        }
    }
}

#[test]
fn replays_against_ours() {
    replays(Kind::Plain);
}

#[test]
fn bids_against_ours() {
    bids(Kind::Plain);
}

#[test]
fn replays_against_sealed() {
    replays(Kind::Sealed);
}

#[test]
fn bids_against_sealed() {
    bids(Kind::Sealed);
}

/// Another list of addresses, with a family more, reloaded one after the other in both orders: nobody's role changes, and the
/// Backup says nothing.
#[test]
fn another_list_in_either_order() {
    let lan = Lan::new(2);
    let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
    let config = |n: usize, list: &str| ours([0, 100][n], list, "carp-grace = \"30s\"");
    let daemons = [0, 1].map(|n| {
        let daemon = Daemon::start(&lan.routers[n], &config(n, ONE));
        if n == 0 {
            daemon.wait_state("fw", "active", ms(6000));
        }
        daemon
    });
    std::thread::sleep(ms(2000));
    let begun = Stamp::now();
    let since = daemons[0].router("fw")["since"].clone();
    let reload = |n: usize, list: &str| {
        daemons[n].write_config(&config(n, list));
        daemons[n].reload();
        let digest = wait_for(ms(3000), || {
            let grace = &daemons[n].router("fw")["carp"]["grace-ms"];
            grace.is_u64().then_some(())
        });
        assert!(digest.is_some(), "{}", daemons[n].log());
    };
    for (order, list) in [([0, 1], TWO), ([1, 0], ONE)] {
        for n in order {
            reload(n, list);
            // Longer than a Backup waits.
            std::thread::sleep(ms(DOWN + 1500));
            assert_eq!(daemons[0].state("fw"), "active");
            assert_eq!(daemons[1].state("fw"), "backup");
        }
    }
    assert!(heard(&ports[1], begun).is_empty());
    assert_eq!(daemons[0].router("fw")["since"], since);
    let text = daemons[0].ctl(&["explain", "fw"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("former digest"), "{text}");
    // Both digests while it lasts, and then one.
    let both = heard(&ports[0], begun).len();
    assert!(both >= 30, "{both}");
    let over = wait_for(ms(40_000), || {
        daemons[0].router("fw")["carp"]["grace-ms"]
            .is_null()
            .then_some(())
    });
    assert!(over.is_some());
    let alone = Stamp::now();
    std::thread::sleep(ms(5000));
    let said = heard(&ports[0], alone).len();
    assert!((4..=6).contains(&said), "{said}");
    assert_eq!(daemons[1].state("fw"), "backup");
}

/// A list that differs in one address: the reason is found and shown, once.
#[test]
fn the_reason_of_a_wrong_digest() {
    let lan = Lan::new(2);
    let one = Daemon::start(&lan.routers[0], &ours(0, TWO, ""));
    one.wait_state("fw", "active", ms(6000));
    let two = Daemon::start(
        &lan.routers[1],
        &ours(100, "\"192.0.2.254/24\", \"2001:db8::254/64\"", ""),
    );
    let reason = wait_for(ms(6000), || {
        let problems = two.router("fw")["carp"]["problems"].to_string();
        problems
            .contains("list, passphrase or vhid differ")
            .then_some(problems)
    });
    let reason = reason.expect("it is looked for");
    println!("{reason}");
    // The one that has less cannot know what the other has more; the other one can.
    let named = wait_for(ms(6000), || {
        let problems = one.router("fw")["carp"]["problems"].to_string();
        problems
            .contains("192.0.2.253 is missing there")
            .then_some(())
    });
    assert!(named.is_some(), "{}", one.router("fw")["carp"]);
    for shown in [&["show", "fw"][..], &["status", "-x"], &["explain", "fw"]] {
        let output = one.ctl(shown);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("is missing there"), "{shown:?}: {text}");
    }
}
