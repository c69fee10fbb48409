//! CARP as operators have it: demotion in the style of each implementation, drains, unicast, upgrades and deaths of the worker,
//! hooks before the addresses go live, and what captures say of all that.
#![expect(
    clippy::print_stdout,
    reason = "the measured times are half of the result"
)]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use vrrp_lab::capture::{Capture, Frame};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::netns::Namespace;
use vrrp_lab::process::Process;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::topology::Lan;
use vrrp_lab::ucarp::{Orders, PASSPHRASE, Ucarp, VHID};

const ONE: &str = "\"192.0.2.254/24\"";
const BOTH: &str = "\"192.0.2.254/24\", \"2001:db8::254/64\"";
/// Three intervals and the skew of the worse one.
const DOWN: u64 = 3196;

/// An advertisement as it is on the wire.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Stamp,
    base: u8,
    skew: u8,
    demotion: u8,
    counter: u64,
    to: IpAddr,
}

impl Said {
    fn is_bow_out(self) -> bool {
        (self.base, self.skew) == (255, 255)
    }
}

fn said(frame: &Frame) -> Option<Said> {
    let heard = frame.packet.advert().filter(|_| !frame.outgoing)?;
    let message = &heard.message;
    assert_eq!(message.len(), 36, "{message:02x?}");
    Some(Said {
        at: frame.at,
        base: message[5],
        skew: message[2],
        demotion: message[4],
        counter: u64::from_be_bytes(message[8..16].try_into().ok()?),
        to: heard.destination,
    })
}

fn group(advskew: u8, addresses: &str, more: &str) -> String {
    format!(
        "[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = {VHID}\nadvskew = {advskew}\n\
         passphrase = \"{PASSPHRASE}\"\naddresses = [{addresses}]\n{more}\n"
    )
}

/// Two of ours on a switch, the first one the better.
struct Pair {
    lan: Lan,
    ports: [Capture; 2],
    better: Daemon,
    other: Daemon,
}

impl Pair {
    fn new(addresses: &str, more: [&str; 2]) -> Self {
        let lan = Lan::new(2);
        let ports = [1, 2].map(|n| Capture::start(&lan.switch, &format!("lan{n}")));
        let better = Daemon::start(&lan.routers[0], &group(0, addresses, more[0]));
        better.wait_state("fw", "active", ms(6000));
        let other = Daemon::start(&lan.routers[1], &group(50, addresses, more[1]));
        other.wait_state("fw", "backup", ms(3000));
        // It has heard the Active, and the Active's addresses are where hosts look for them.
        std::thread::sleep(ms(1500));
        Self {
            lan,
            ports,
            better,
            other,
        }
    }

    /// What router `n` has said since then.
    fn said(&self, n: usize, from: Stamp) -> Vec<Said> {
        self.ports[n - 1].pick(from, said)
    }

    fn first(&self, n: usize, from: Stamp, limit: u64) -> Said {
        let found = wait_for(ms(limit), || self.said(n, from).first().copied());
        found.unwrap_or_else(|| panic!("router {n} says nothing within {limit} ms"))
    }

    fn client(&self, ipv6: bool) -> Client {
        let upstream = if ipv6 {
            self.lan
                .client
                .ip("route replace ::/0 via 2001:db8::254 dev eth0");
            "2001:db8:f::1"
        } else {
            "198.51.100.1"
        };
        let upstream = upstream.parse().expect("an address");
        let client = Client::start(&self.lan.client, &self.lan.upstream, upstream);
        std::thread::sleep(ms(300));
        client
    }
}

fn ctl(daemon: &Daemon, words: &[&str]) -> Output {
    let output = daemon.ctl(words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    output
}

/// What an operator takes from the priority is demotion: said by this style in skew, in a byte of its own, or in both, at once.
/// The other one takes over when it hears that, and gives back what it took.
fn demoted(style: &str, skew: u8, demotion: u8) {
    let profile = format!("carp-profile = \"{style}\"");
    let pair = Pair::new(ONE, [&profile; 2]);
    let from = Stamp::now();
    ctl(
        &pair.better,
        &["priority", "set", "fw", "100", "--until-restart"],
    );
    // One that was due may leave before the command is there.
    let said = wait_for(ms(500), || {
        let said = pair.said(1, from);
        said.into_iter().find(|it| (it.skew, it.demotion) != (0, 0))
    });
    let last = said.expect("the demotion is said");
    assert_eq!((last.skew, last.demotion), (skew, demotion), "{last:?}");
    let first = pair.first(2, last.at, 500);
    let after = first.at.since(last.at);
    println!("{style}: taken over {after:?} after the demotion was said");
    assert!(after < ms(20) + slack(), "{after:?}");
    pair.better.wait_state("fw", "backup", ms(1000));
    std::thread::sleep(ms(1500));
    assert_eq!(pair.other.state("fw"), "active");
    assert_eq!(pair.better.state("fw"), "backup");
    let carp = &pair.better.router("fw")["carp"];
    assert_eq!(carp["demotion"], 154, "{carp}");
    // Whoever gave way has said nothing since.
    let more = pair.said(1, first.at + ms(5));
    assert!(more.is_empty(), "{more:?}");
    ctl(&pair.better, &["priority", "reset", "fw"]);
    pair.better.wait_state("fw", "active", ms(2500));
    pair.other.wait_state("fw", "backup", ms(500));
    let sentences = events(&pair.other);
    assert!(
        sentences.iter().any(|it| it.contains("advskew 0")),
        "{sentences:?}"
    );
    assert!(
        !sentences.iter().any(|it| it.contains("priority")),
        "{sentences:?}"
    );
}

/// What happened to the router, in sentences.
fn events(daemon: &Daemon) -> Vec<String> {
    let text = ctl(daemon, &["events", "--json"]).stdout;
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines = text.lines();
    let all = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let ours = all.filter(|event| event["router"] == "fw");
    ours.filter_map(|event| Some(event["text"].as_str()?.to_owned()))
        .collect()
}

#[test]
fn demotion_in_the_style_of_openbsd() {
    demoted("openbsd", 0, 154);
}

#[test]
fn demotion_in_the_style_of_freebsd() {
    demoted("freebsd", 154, 0);
}

#[test]
fn demotion_that_everybody_understands() {
    demoted("any", 154, 154);
}

/// A drain, and the way back: whoever is replaced keeps its addresses until somebody else has them.
fn drained(style: &str, ipv6: bool, plane: &str) {
    let profile = format!("carp-profile = \"{style}\"\ndata-plane = \"{plane}\"");
    let pair = Pair::new(BOTH, [&profile; 2]);
    let client = pair.client(ipv6);
    let from = Stamp::now();
    ctl(&pair.better, &["drain", "fw"]);
    let gives_up = wait_for(ms(500), || {
        let all = pair.said(1, from);
        all.iter().find(|said| said.is_bow_out()).copied()
    });
    let gives_up = gives_up.expect("a bow-out");
    let after = pair.first(2, gives_up.at, 500).at.since(gives_up.at);
    pair.other.wait_state("fw", "active", ms(500));
    std::thread::sleep(ms(500));
    let there = client.experience(from);
    println!("{style}: a drain, taken over after {after:?}: {there:?}");
    assert!(after < ms(20) + slack(), "{after:?} after the bow-out");
    assert!(there.lost <= 1, "{there:?}");

    let from = Stamp::now();
    ctl(&pair.better, &["undrain", "fw"]);
    pair.better.wait_state("fw", "active", ms(3000));
    std::thread::sleep(ms(500));
    let back = client.experience(from);
    println!("{style}: the way back: {back:?}");
    assert!(back.lost <= 1, "{back:?}");
    // Its successor gives up as fast, and loses as little.
    let from = Stamp::now();
    ctl(&pair.better, &["failover", "fw"]);
    pair.other.wait_state("fw", "active", ms(1000));
    std::thread::sleep(ms(500));
    let over = client.experience(from);
    println!("{style}: a failover: {over:?}");
    assert!(over.lost <= 1, "{over:?}");
}

#[test]
fn a_drain_in_the_style_of_openbsd() {
    drained("openbsd", false, "macvlan");
}

#[test]
fn a_drain_in_the_style_of_freebsd() {
    drained("freebsd", true, "macvlan");
}

#[test]
fn a_drain_that_everybody_understands() {
    drained("any", true, "macvlan");
}

#[test]
fn a_drain_without_a_macvlan_ipv4() {
    drained("any", false, "ebpf");
}

#[test]
fn a_drain_without_a_macvlan_ipv6() {
    drained("any", true, "ebpf");
}

/// Where the network carries no multicast: nothing goes to a group, and everything else is as ever.
fn unicast(addresses: &str, peers: [&str; 2]) {
    let more = peers.map(|peers| format!("unicast-peers = [{peers}]"));
    let mut pair = Pair::new(addresses, [&more[0], &more[1]]);
    let begun = Stamp::now();
    std::thread::sleep(ms(DOWN + 500));
    assert_eq!(pair.other.state("fw"), "backup");
    assert!(pair.said(2, begun).is_empty());
    let all = pair.said(1, begun);
    assert!(all.len() >= 3, "{all:?}");
    assert!(all.iter().all(|said| !said.to.is_multicast()), "{all:?}");
    let families = |ipv4: bool| all.iter().filter(|said| said.to.is_ipv4() == ipv4).count();
    assert_eq!(families(true) > 0, addresses.contains("192.0.2"));
    assert_eq!(families(false) > 0, addresses.contains("2001:db8"));

    let stopped = pair.better.terminate();
    let gives_up = wait_for(ms(1000), || {
        let all = pair.said(1, stopped);
        all.iter().find(|said| said.is_bow_out()).copied()
    });
    let gives_up = gives_up.expect("a bow-out");
    let after = pair.first(2, gives_up.at, 500).at.since(gives_up.at);
    println!("unicast: {after:?} after the bow-out");
    assert!(after < ms(20) + slack(), "{after:?}");
    assert!(pair.better.stop().success());
    pair.better.restart(&pair.lan.routers[0]);
    pair.better.wait_state("fw", "active", ms(3000));
    pair.other.wait_state("fw", "backup", ms(1000));

    let killed = pair.better.kill();
    let last = pair.said(1, begun).last().copied().expect("it spoke");
    let first = pair.first(2, killed, DOWN + 500);
    let after = first.at.since(last.at);
    println!("unicast: {after:?} after the last word of one that was killed");
    assert!(
        after > ms(DOWN - 5) && after < ms(DOWN) + slack(),
        "{after:?}"
    );
    assert!(!first.to.is_multicast(), "{first:?}");
}

#[test]
fn unicast_peers_ipv4() {
    unicast(ONE, ["\"192.0.2.12\"", "\"192.0.2.11\""]);
}

#[test]
fn unicast_peers_of_both_families() {
    let peers = [
        "\"192.0.2.12\", \"fe80::12\"",
        "\"192.0.2.11\", \"fe80::11\"",
    ];
    unicast(BOTH, peers);
}

/// One process goes and another comes: the role stays, no advertisement is missed, and no counter is said twice.
fn upgrades_and_deaths_of_the_worker_on(plane: &str) {
    let plane = format!("data-plane = \"{plane}\"");
    let pair = Pair::new(BOTH, [&plane; 2]);
    let begun = Stamp::now();
    let client = pair.client(false);
    for _ in 0..2 {
        ctl(&pair.better, &["upgrade", "--wait"]);
        std::thread::sleep(ms(700));
        pair.better.signal_worker(Signal::SIGKILL);
        std::thread::sleep(ms(1500));
        pair.better.wait_state("fw", "active", ms(1000));
    }
    // A Backup that was replaced knows whom it follows, and takes over as ever.
    ctl(&pair.other, &["upgrade", "--wait"]);
    pair.other.signal_worker(Signal::SIGKILL);
    std::thread::sleep(ms(1500));
    assert_eq!(pair.other.state("fw"), "backup");
    let became = pair.better.counter("fw", "master-transitions");
    assert_eq!(became, 1, "it was Active all the time");
    assert!(pair.said(2, begun).is_empty());
    let all = pair.said(1, begun);
    let ipv4: Vec<Said> = all.into_iter().filter(|said| said.to.is_ipv4()).collect();
    let gap = ipv4.windows(2).map(|two| two[1].at.since(two[0].at)).max();
    let gap = gap.expect("it spoke");
    println!("the longest time between two advertisements: {gap:?}");
    assert!(gap < ms(1100) + slack(), "{gap:?}");
    assert!(
        ipv4.windows(2).all(|two| two[0].counter < two[1].counter),
        "{ipv4:?}"
    );
    let experience = client.experience(begun);
    println!("a client: {experience:?}");
    assert_eq!(experience.lost, 0, "{experience:?}");

    let drained = Stamp::now();
    ctl(&pair.better, &["drain", "fw"]);
    let last = ipv4.last().expect("it spoke").counter;
    let first = pair.first(2, drained, 1000);
    assert!(first.counter > last, "{first:?}");
    pair.other.wait_state("fw", "active", ms(1000));
}

#[test]
fn upgrades_and_deaths_of_the_worker() {
    upgrades_and_deaths_of_the_worker_on("macvlan");
}

#[test]
fn upgrades_and_deaths_of_the_worker_without_a_macvlan() {
    upgrades_and_deaths_of_the_worker_on("ebpf");
}

/// Hooks of a Backup run before its addresses go live, and are told in CARP's words what it is.
#[test]
fn hooks_before_the_addresses_go_live() {
    let scratch = Scratch::new("carp-hooks");
    let seen = scratch.path().join("seen");
    let script = format!(
        "#!/bin/sh\nenv | grep ^VRRP_ | sort >{}\nsleep 0.3\n",
        seen.display()
    );
    let path = scratch.write("hook", &script);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&path, mode).expect("our own file");
    let hook = format!(
        "[hook.table]\non = [\"pre-active\"]\ncommand = [\"{}\"]\npre-active-timeout = \"2s\"\n",
        path.display()
    );
    let mut pair = Pair::new(ONE, ["", &hook]);
    let killed = pair.better.kill();
    let first = pair.first(2, killed, DOWN + 500);
    pair.other.wait_state("fw", "active", ms(1000));
    let live = wait_for(ms(2000), || {
        (pair.other.router("fw")["kernel-in-step"] == true).then(Stamp::now)
    });
    let after = live.expect("its addresses go live").since(first.at);
    println!("addresses live {after:?} after the first advertisement");
    assert!(
        after >= ms(250),
        "{after:?}: they did not wait for the hook"
    );
    let text = std::fs::read_to_string(&seen).expect("the hook ran");
    for line in [
        "VRRP_ADVBASE=1",
        "VRRP_ADVSKEW=50",
        "VRRP_DEMOTION=0",
        "VRRP_PRIORITY=204",
        "VRRP_VHID=51",
        "VRRP_VRID=51",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
}

fn vrrpctl(namespace: &Namespace, words: &[&str]) -> (Option<i32>, String) {
    let program = binary("vrrpctl");
    let program = program.to_str().expect("a plain path");
    let output = namespace.command(program).args(words).output();
    let output = output.expect("vrrpctl starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

/// What ours and UCarp really send, captured and decoded with their passphrase, with another one, and with other addresses.
#[test]
fn captures_of_ours_and_of_ucarp() {
    let lan = Lan::new(2);
    let scratch = Scratch::new("carp-capture");
    let written = scratch.path().join("carp.pcapng");
    let written = written.to_str().expect("a plain path");
    let log = scratch.path().join("capture.log");
    let words = [
        "--socket",
        "/nonexistent",
        "capture",
        "-i",
        "lan",
        "-w",
        written,
    ];
    let mut capture = Process::start(&lan.switch, &binary("vrrpctl"), &words, &log);
    std::thread::sleep(ms(500));
    let mut daemon = Daemon::start(&lan.routers[0], &group(100, ONE, ""));
    daemon.wait_state("fw", "active", ms(6000));
    let _ucarp = Ucarp::start(
        &lan.routers[1],
        Orders {
            source: "192.0.2.12",
            address: "192.0.2.254",
            advskew: 200,
            passphrase: PASSPHRASE,
        },
    );
    std::thread::sleep(ms(2500));
    assert!(daemon.stop().success());
    std::thread::sleep(ms(5000));
    capture.signal(Signal::SIGINT);
    assert!(capture.wait(ms(3000)).is_some(), "{}", capture.output());

    let judged = |text: &str| -> (Option<i32>, Vec<Value>) {
        let config = scratch.write("judge.toml", text);
        let config = config.to_str().expect("a plain path");
        let words = ["decode", written, "--config", config, "--json"];
        let (code, text) = vrrpctl(&lan.switch, &words);
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        (code, lines.collect())
    };
    let (code, packets) = judged(&group(100, ONE, ""));
    assert_eq!(code, Some(0), "{packets:#?}");
    let of = |source: &str| {
        packets
            .iter()
            .filter(move |it| it["source"] == source)
            .count()
    };
    println!(
        "{} of ours, {} of UCarp",
        of("192.0.2.11"),
        of("192.0.2.12")
    );
    assert!(
        of("192.0.2.11") >= 1 && of("192.0.2.12") >= 2,
        "{packets:#?}"
    );
    for packet in &packets {
        assert_eq!(
            (&packet["protocol"], &packet["verdict"]),
            (&"carp".into(), &"good".into()),
            "{packet}"
        );
        assert_eq!(packet["carp"]["vhid"], VHID, "{packet}");
    }
    let gives_up = |it: &&Value| it["carp"]["bow-out"] == true;
    assert_eq!(packets.iter().filter(gives_up).count(), 1, "{packets:#?}");
    let (code, refused) = judged(&group(100, "\"192.0.2.254/24\", \"192.0.2.253/24\"", ""));
    assert_eq!((code, refused.len()), (Some(1), packets.len()));
    for packet in &refused {
        let reason = "wrong digest: 192.0.2.253 is missing there, and all else agrees";
        assert_eq!(packet["reason"], reason, "{packet}");
    }
    let (_, refused) = judged(&group(100, ONE, "").replace(PASSPHRASE, "lab Secret"));
    for packet in &refused {
        let reason = packet["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("another passphrase"), "{packet}");
    }
    if let Some(folder) = std::env::var_os("CARP_CAPTURES") {
        let kept = std::path::Path::new(&folder).join("ours-and-ucarp.pcapng");
        std::fs::copy(written, kept).expect("a folder that is there");
    }
}
