//! Every kind of probe at the edge of its counts, one result at a time: the probes are rare, and each is asked for.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Child;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use vrrp_lab::clock::wait_for;
use vrrp_lab::daemon::Daemon;
use vrrp_lab::misfortune::Impairment;
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::Profile;
use vrrp_lab::relay::Relay;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::{Lan, cable};

/// By itself it is made once, at the beginning.
const RARE: &str = "interval = \"3600s\"\nrise = 2\nfall = 3\n";
const PATIENT: &str = "timeout = \"150ms\"\n";

/// What is watched, and can be made good or bad.
struct World {
    daemon: Daemon,
    lan: Lan,
    scratch: Scratch,
    running: Mutex<Option<Child>>,
}

/// How the other host does not do what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Good,
    /// It says no.
    Refuses,
    /// It says nothing.
    Hangs,
}

impl World {
    fn new(trackers: &str) -> Self {
        let (lan, scratch) = (Lan::new(1), Scratch::new("edges"));
        serve(&lan.upstream);
        let script = format!(
            "#!/bin/sh\nexec test -e {}/good\n",
            scratch.path().display()
        );
        let script = scratch.write("check", &script);
        std::fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
        scratch.write("good", "");
        std::fs::copy("/bin/sleep", scratch.path().join("edgy")).unwrap();
        let trackers = trackers.replace("$D", scratch.path().to_str().unwrap());
        let router = Router::new("lan4", Profile::V3Ipv4).text("advertise-interval", "100ms");
        let daemon = Daemon::start(&lan.routers[0], &(file(&[router]) + &trackers));
        Self {
            daemon,
            lan,
            scratch,
            running: Mutex::default(),
        }
    }

    fn tracker(&self, name: &str) -> Value {
        let output = self.daemon.ctl(&["show", "trackers", "--json"]);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let all = report["trackers"].as_array().unwrap();
        all.iter().find(|it| it["name"] == name).unwrap().clone()
    }

    /// Makes a probe, which must go as it should, and says how the tracker stands after that.
    fn run(&self, name: &str, good: bool) -> String {
        let output = self.daemon.ctl(&["tracker", "run", name, "--json"]);
        let trial: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!(trial["run"]["good"], good, "{name}: {trial:#}");
        assert_eq!(output.status.code(), Some(i32::from(!good)), "{output:?}");
        trial["tracker"]["state"].as_str().unwrap().to_owned()
    }

    /// Two bad ones between good ones change nothing, three do; one good one changes nothing then, two do.
    fn edge(&self, name: &str, set: impl Fn(&Self, bool)) {
        set(self, true);
        let up = wait_for(Duration::from_secs(5), || {
            let it = self.tracker(name);
            let settled = it["state"] != "unknown" && it["probe"]["running-us"].is_null();
            settled.then_some(it)
        });
        assert!(up.is_some(), "{name}: {:#}", self.tracker(name));
        // Whatever the first ones found: a host is looked for on its link before it is asked.
        let up = wait_for(Duration::from_secs(5), || {
            let output = self.daemon.ctl(&["tracker", "run", name, "--json"]);
            let trial: Value = serde_json::from_slice(&output.stdout).ok()?;
            (trial["tracker"]["state"] == "up").then_some(())
        });
        assert!(up.is_some(), "{name}: {:#}", self.tracker(name));
        for (good, expected) in [
            (false, "up"),
            (false, "up"),
            (true, "up"),
            (false, "up"),
            (false, "up"),
            (false, "down"),
            (true, "down"),
            (false, "down"),
            (true, "down"),
            (true, "up"),
        ] {
            set(self, good);
            assert_eq!(
                self.run(name, good),
                expected,
                "{name}: {:#}",
                self.tracker(name)
            );
        }
    }

    fn upstream(&self, manner: Manner) {
        let rule = match manner {
            Manner::Good => String::new(),
            Manner::Refuses => "meta l4proto tcp tcp dport 1-65535 reject with tcp reset\n\
                 meta l4proto { icmp, udp } reject with icmp port-unreachable\n\
                 ip6 nexthdr udp reject with icmpv6 port-unreachable\n\
                 icmpv6 type echo-request reject with icmpv6 port-unreachable"
                .into(),
            Manner::Hangs => {
                "meta l4proto { icmp, udp, tcp } drop\nicmpv6 type echo-request drop".into()
            }
        };
        let table = format!(
            "table inet edges {{}}\ndelete table inet edges\ntable inet edges {{ chain in {{ type filter hook input priority 0;\n{rule}\n}}\n}}\n"
        );
        let path = self.scratch.write("rules", &table);
        self.lan.upstream.sh(&format!("nft -f {}", path.display()));
    }
}

/// A web server and a name server, over both families.
fn serve(host: &Namespace) {
    let (web, names) = host.enter(|| {
        let web = TcpListener::bind("[::]:80").unwrap();
        (web, UdpSocket::bind("[::]:53").unwrap())
    });
    thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 1024];
                if stream.read(&mut request).unwrap_or(0) > 0 {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                }
            });
        }
    });
    thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = names.recv_from(&mut message) {
            let mut answer = message[..length].to_vec();
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 80]);
            let _ = names.send_to(&answer, from);
        }
    });
}

/// A host at the end of a cable that can be as slow as it likes.
struct Distant {
    relay: Relay,
    _ends: [Namespace; 2],
}

impl Distant {
    fn from(router: &Namespace) -> Self {
        let ends = ["middle", "distant"].map(Namespace::new);
        cable((router, "far0"), (&ends[0], "cab1"));
        cable((&ends[0], "tap1"), (&ends[1], "eth0"));
        for (end, interface, number) in [(router, "far0", 1), (&ends[1], "eth0", 2)] {
            end.ip(&format!(
                "addr add 203.0.113.{number}/24 dev {interface}
                 addr add 2001:db8:e::{number}/64 dev {interface} nodad
                 link set {interface} up"
            ));
        }
        ends[0].sysctl("ipv6/conf/default/disable_ipv6=1 ipv6/conf/all/disable_ipv6=1");
        ends[0].ip("link set cab1 up\nlink set tap1 up");
        ends[1].wait_carrier("eth0");
        serve(&ends[1]);
        Self {
            relay: Relay::between(&ends[0], "cab1", "tap1", 1),
            _ends: ends,
        }
    }

    /// How long anything takes in either direction.
    fn takes(&self, milliseconds: u64) {
        self.relay.set_both(Impairment {
            delay: Duration::from_millis(milliseconds),
            ..Impairment::default()
        });
    }
}

/// Trackers of every kind that asks another host.
fn asking(hosts: [(&str, &str, &str); 2]) -> String {
    let each = |(n, ip, host): (&str, &str, &str)| {
        format!(
            "[tracker.ping{n}]\ntype = \"ping\"\naddress = \"{ip}\"\n{RARE}{PATIENT}
             [tracker.tcp{n}]\ntype = \"tcp\"\naddress = \"{ip}\"\nport = 80\n{RARE}{PATIENT}
             [tracker.http{n}]\ntype = \"http\"\nurl = \"http://{host}/\"\n{RARE}{PATIENT}
             [tracker.dns{n}]\ntype = \"dns\"\nserver = \"{ip}\"\nname = \"www.example\"\n{RARE}{PATIENT}\n"
        )
    };
    hosts.map(each).concat()
}

/// A slow answer is one, up to the timeout. What comes later is none, and no answer to the next question, either: that is still
/// on its way when the next one is asked.
#[test]
fn what_comes_late() {
    let world = World::new(&asking([
        ("4", "203.0.113.2", "203.0.113.2"),
        ("6", "2001:db8:e::2", "[2001:db8:e::2]"),
    ]));
    let distant = Distant::from(&world.lan.routers[0]);
    for kind in ["ping", "tcp", "http", "dns"] {
        for n in ["4", "6"] {
            let name = format!("{kind}{n}");
            world.edge(&name, |_, good| distant.takes(if good { 25 } else { 90 }));
            let probe = world.tracker(&name)["probe"].clone();
            let took = probe["last"]["took-us"].as_u64().unwrap();
            assert!((50_000..150_000).contains(&took), "{name}: {probe:#}");
        }
    }
}

#[test]
fn what_another_host_answers() {
    let hosts = [
        ("4", "198.51.100.1", "198.51.100.1"),
        ("6", "2001:db8:f::1", "[2001:db8:f::1]"),
    ];
    let world = World::new(&asking(hosts));
    for (n, ..) in hosts {
        for kind in ["ping", "tcp", "http", "dns"] {
            for bad in [Manner::Refuses, Manner::Hangs] {
                world.edge(&format!("{kind}{n}"), |world, good| {
                    world.upstream(if good { Manner::Good } else { bad });
                });
                let said = world.tracker(&format!("{kind}{n}"))["probe"].clone();
                assert!(said["failures"].as_u64().unwrap() >= 6, "{said:#}");
            }
        }
    }
}

#[test]
fn what_this_host_has() {
    let world = World::new(&format!(
        "[tracker.process]\ntype = \"process\"\nname = \"edgy\"\n{RARE}
         [tracker.script]\ntype = \"script\"\ncommand = [\"$D/check\"]\nuser = \"nobody\"\n{RARE}{PATIENT}"
    ));
    world.edge("process", |world, good| {
        let mut running = world.running.lock().unwrap();
        if good && running.is_none() {
            let mut command = std::process::Command::new(world.scratch.path().join("edgy"));
            *running = Some(command.arg("600").spawn().unwrap());
            // It is called so only after exec.
            thread::sleep(Duration::from_millis(50));
        } else if !good && let Some(mut child) = running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        drop(running);
        // A look at the processes is good for a moment.
        thread::sleep(Duration::from_millis(250));
    });
    world.edge("script", |world, good| {
        let file = world.scratch.path().join("good");
        if good {
            world.scratch.write("good", "");
        } else {
            let _ = std::fs::remove_file(file);
        }
    });
    if let Some(mut child) = world.running.lock().unwrap().take() {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_file_that_comes_and_goes() {
    let world = World::new(&format!(
        "[tracker.file]\ntype = \"file\"\npath = \"$D/flag\"\n{RARE}"
    ));
    let path = world.scratch.path().join("flag");
    let runs = || world.tracker("file")["probe"]["runs"].as_u64().unwrap();
    // The kernel tells of each change, which is one more result.
    let change = |there: bool| {
        let before = runs();
        if there {
            let other = world.scratch.write("other", "");
            std::fs::rename(other, &path).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        let seen = wait_for(Duration::from_secs(2), || (runs() > before).then_some(()));
        assert!(seen.is_some(), "{:#}", world.tracker("file"));
    };
    let first = wait_for(Duration::from_secs(3), || (runs() > 0).then_some(()));
    assert!(first.is_some());
    assert_eq!(world.tracker("file")["state"], "down");
    change(true);
    assert_eq!(world.tracker("file")["state"], "down");
    change(false);
    change(true);
    assert_eq!(world.run("file", true), "up");
    for _ in 0..2 {
        change(false);
        change(true);
        assert_eq!(world.tracker("file")["state"], "up");
    }
    change(false);
    assert_eq!(world.run("file", false), "up");
    assert_eq!(world.run("file", false), "down");
}
