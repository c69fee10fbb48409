//! Each kind of probe against the real thing: up, down, slow, hanging, refusing, and flapping at the edge of its counts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::process::Process;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

/// As quick as it goes, and one result decides.
const QUICK: &str = "interval = \"100ms\"\ntimeout = \"100ms\"\nrise = 1\nfall = 1\n";

struct World {
    daemon: Daemon,
    scratch: Scratch,
    lan: Lan,
}

impl World {
    /// A daemon with these trackers, `$D` being a directory of the test's own.
    fn new(trackers: &str, prepare: impl FnOnce(&Scratch, &Lan)) -> Self {
        let scratch = Scratch::new("probes");
        let lan = Lan::new(1);
        prepare(&scratch, &lan);
        let router = Router::new("lan4", Profile::V3Ipv4).text("advertise-interval", "100ms");
        let trackers = trackers.replace("$D", scratch.path().to_str().unwrap());
        let daemon = Daemon::start(&lan.routers[0], &format!("{}{trackers}", file(&[router])));
        Self {
            daemon,
            scratch,
            lan,
        }
    }

    fn tracker(&self, name: &str) -> Value {
        let output = self.daemon.ctl(&["show", "trackers", "--json"]);
        let report: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let all = report["trackers"].as_array().unwrap();
        all.iter().find(|it| it["name"] == name).unwrap().clone()
    }

    /// Waits until a tracker has this state, for a reason that says this.
    fn wait(&self, name: &str, state: &str, detail: &str) {
        let reached = wait_for(Duration::from_secs(8), || {
            let it = self.tracker(name);
            let says = it["detail"].as_str().unwrap().contains(detail);
            (it["state"] == state && says).then_some(())
        });
        assert!(
            reached.is_some(),
            "not {state} for {detail:?} but {:#}\n{}",
            self.tracker(name),
            self.daemon.log()
        );
    }
}

/// A server with another manner on request: `good`, `bad`, `other`, `hang`, `slow`.
#[derive(Clone)]
struct Manner(Arc<Mutex<&'static str>>);

impl Manner {
    fn new() -> Self {
        Self(Arc::new(Mutex::new("good")))
    }

    fn set(&self, manner: &'static str) {
        *self.0.lock().unwrap() = manner;
    }

    fn get(&self) -> &'static str {
        *self.0.lock().unwrap()
    }
}

/// Answers GET requests for as long as the test lasts.
fn web(lan: &Lan, manner: &Manner) {
    let listener = lan
        .upstream
        .enter(|| TcpListener::bind("198.51.100.1:80").unwrap());
    let manner = manner.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, manner) = (stream.unwrap(), manner.get());
            thread::spawn(move || {
                let mut request = [0; 1024];
                let length = stream.read(&mut request).unwrap_or(0);
                assert!(
                    length == 0 || request.starts_with(b"GET /health?x HTTP/1.1\r\nHost: shop\r\n")
                );
                let answer = match manner {
                    "good" => {
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nall i\r\n4\r\ns ok\r\n0\r\n\r\n"
                    }
                    "bad" => "HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nall is ok",
                    "other" => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nnothing",
                    "slow" => {
                        // A byte now and then is no answer in time.
                        for byte in b"HTTP/1.1 200 OK\r\n\r\n" {
                            thread::sleep(ms(40));
                            if stream.write_all(&[*byte]).is_err() {
                                break;
                            }
                        }
                        return;
                    }
                    _ => {
                        thread::sleep(Duration::from_secs(3));
                        return;
                    }
                };
                let _ = stream.write_all(answer.as_bytes());
            });
        }
    });
}

/// Answers questions for www.example.
fn names(lan: &Lan, manner: &Manner) {
    let socket = lan
        .upstream
        .enter(|| UdpSocket::bind("198.51.100.1:53").unwrap());
    let manner = manner.clone();
    thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut message) {
            let mut answer = message[..length].to_vec();
            answer[2] |= 0x80;
            match manner.get() {
                "good" => {
                    answer[7] = 1;
                    answer.extend_from_slice(&[
                        0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 80,
                    ]);
                }
                "other" => {
                    answer[7] = 1;
                    answer.extend_from_slice(&[
                        0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 99,
                    ]);
                }
                "bad" => answer[3] = 3,
                "late" => {
                    thread::sleep(ms(150));
                    answer[7] = 1;
                    answer.extend_from_slice(&[
                        0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 80,
                    ]);
                }
                // Somebody else's answer is none.
                "slow" => answer[0] ^= 0xff,
                _ => continue,
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

#[test]
fn answers_over_the_network() {
    let (web_manner, dns_manner) = (Manner::new(), Manner::new());
    let trackers = format!(
        "[tracker.ping4]\ntype = \"ping\"\naddress = \"198.51.100.1\"\n{QUICK}
         [tracker.ping6]\ntype = \"ping\"\naddress = \"fe80::f:1\"\ninterface = \"eth1\"\nsource = \"fe80::f:11\"\n{QUICK}
         [tracker.tcp]\ntype = \"tcp\"\naddress = \"198.51.100.1\"\nport = 80\n{QUICK}
         [tracker.refused]\ntype = \"tcp\"\naddress = \"198.51.100.1\"\nport = 81\n{QUICK}
         [tracker.http]\ntype = \"http\"\nurl = \"http://198.51.100.1/health?x\"\nhost = \"shop\"\nbody = \"is ok\"\n{QUICK}
         [tracker.dns]\ntype = \"dns\"\nserver = \"198.51.100.1\"\nname = \"www.example\"\nexpect = \"192.0.2.80\"\n{QUICK}"
    );
    let world = World::new(&trackers, |_, lan| {
        web(lan, &web_manner);
        names(lan, &dns_manner);
    });
    for name in ["ping4", "ping6", "tcp", "http", "dns"] {
        world.wait(name, "up", "");
    }
    world.wait("refused", "down", "refused");
    for (manner, why) in [
        ("bad", "the status is 503"),
        ("good", ""),
        ("other", "does not say \"is ok\""),
        ("good", ""),
        ("slow", "no answer within 100 ms"),
        ("good", ""),
        ("hang", "no answer within 100 ms"),
        ("good", ""),
    ] {
        web_manner.set(manner);
        world.wait("http", if why.is_empty() { "up" } else { "down" }, why);
    }
    for (manner, why) in [
        ("bad", "NXDOMAIN"),
        ("good", ""),
        ("other", "is 192.0.2.99 and not 192.0.2.80"),
        ("good", ""),
        ("slow", "no answer within 100 ms"),
        ("good", ""),
        ("late", "no answer within 100 ms"),
        ("good", ""),
        ("hang", "no answer within 100 ms"),
        ("good", ""),
    ] {
        dns_manner.set(manner);
        world.wait("dns", if why.is_empty() { "up" } else { "down" }, why);
    }
    // Nobody is there any more, and then again; also when the worker has died meanwhile.
    world.lan.switch.ip("link set wanu down");
    for name in ["ping4", "ping6", "tcp", "http", "dns"] {
        world.wait(name, "down", "");
    }
    world.daemon.signal_worker(Signal::SIGKILL);
    world.lan.switch.ip("link set wanu up");
    for name in ["ping4", "ping6", "tcp", "http", "dns"] {
        world.wait(name, "up", "");
    }
}

#[test]
fn certificates_are_looked_at() {
    let trackers = format!(
        "[tracker.anybody]\ntype = \"http\"\nurl = \"https://198.51.100.1:8443/\"\nverify = false\n{QUICK}
         [tracker.trusted]\ntype = \"http\"\nurl = \"https://198.51.100.1:8443/\"\n{QUICK}
         [tracker.plain]\ntype = \"http\"\nurl = \"http://198.51.100.1:8443/\"\n{QUICK}"
    )
    .replace("timeout = \"100ms\"", "timeout = \"2s\"");
    let mut server: Option<Process> = None;
    let world = World::new(&trackers, |scratch, lan| {
        let folder = scratch.path().to_str().unwrap();
        let made = lan.upstream.sh(&format!(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {folder}/key -out {folder}/cert \
             -days 2 -subj /CN=shop -addext subjectAltName=IP:198.51.100.1 2>&1"
        ));
        assert!(scratch.path().join("cert").exists(), "{made}");
        let arguments = [
            "s_server",
            "-quiet",
            "-www",
            "-accept",
            "8443",
            "-cert",
            &format!("{folder}/cert"),
            "-key",
            &format!("{folder}/key"),
        ];
        let program = Path::new("/usr/bin/openssl");
        let log = scratch.path().join("server.log");
        server = Some(Process::start(&lan.upstream, program, &arguments, &log));
        let listens = wait_for(Duration::from_secs(5), || {
            let table = lan.upstream.sh("cat /proc/net/tcp /proc/net/tcp6");
            table.contains(":20FB ").then_some(())
        });
        assert!(listens.is_some());
    });
    world.wait("anybody", "up", "the status is 200");
    world.wait("trusted", "down", "certificate");
    world.wait("plain", "down", "");
    server.unwrap().kill();
}

#[test]
fn what_this_host_has() {
    let trackers = format!(
        "[tracker.name]\ntype = \"process\"\nname = \"probed\"\ninterval = \"100ms\"\nrise = 1\nfall = 1
         [tracker.two]\ntype = \"process\"\ncommand = \"probed 77.5\"\ncount = 2\ninterval = \"100ms\"\nrise = 1\nfall = 1
         [tracker.file]\ntype = \"file\"\npath = \"$D/flag\"\ninterval = \"60s\"
         [tracker.number]\ntype = \"file\"\npath = \"$D/number\"\nweighted = true\ninterval = \"60s\"
         [tracker.script]\ntype = \"script\"\ncommand = [\"$D/check\"]\nuser = \"nobody\"\n{QUICK}
         [tracker.open]\ntype = \"script\"\ncommand = [\"$D/open\"]\n{QUICK}"
    );
    let world = World::new(&trackers, |scratch, _| {
        let program = scratch.path().join("probed");
        std::fs::copy("/bin/sleep", &program).unwrap();
        for (name, mode) in [("check", 0o755), ("open", 0o777)] {
            let folder = scratch.path().display();
            let text = format!(
                "#!/bin/sh\n[ \"$(id -un)\" = nobody ] || exit 9\ncase $(cat {folder}/manner) in\nhang) sleep 66.5 & sleep 66.5 ;;\n\
                 bad) echo it is broken; exit 3 ;;\nesac\n"
            );
            let path = scratch.write(name, &text);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        scratch.write("manner", "good");
    });
    let start = || {
        let mut command = std::process::Command::new(world.scratch.path().join("probed"));
        command.arg("77.5").spawn().unwrap()
    };
    world.wait("name", "down", "no process probed");
    let mut first = start();
    world.wait("name", "up", "1 process probed");
    world.wait("two", "down", "");
    let mut second = start();
    world.wait("two", "up", "2 processes");
    first.kill().unwrap();
    world.wait("two", "down", "1 process");
    first.wait().unwrap();
    second.kill().unwrap();
    second.wait().unwrap();
    world.wait("name", "down", "no process");
    // The kernel says when a file has changed.
    world.wait("file", "down", "No such file");
    world.scratch.write("flag", "");
    world.wait("file", "up", "is there");
    std::fs::remove_file(world.scratch.path().join("flag")).unwrap();
    world.wait("file", "down", "No such file");
    for (text, state, detail) in [
        ("7\n", "up", "says 7"),
        ("-3", "down", "says -3"),
        ("8", "up", "says 8"),
        ("x", "down", "does not say a number"),
    ] {
        world.scratch.write("number", text);
        world.wait("number", state, detail);
    }
    // A script that hangs is ended with what it started, and none is run beside another one.
    world.wait("script", "up", "done");
    world.wait("open", "down", "can be written by others");
    world.scratch.write("manner", "bad");
    world.wait("script", "down", "exit status 3: it is broken");
    world.scratch.write("manner", "good");
    world.wait("script", "up", "done");
    world.scratch.write("manner", "hang");
    world.wait("script", "down", "no end within 100 ms");
    thread::sleep(ms(1000));
    let table = world.lan.routers[0].sh("ps -eo args");
    let hanging = table.lines().filter(|line| *line == "sleep 66.5").count();
    assert!(hanging <= 2, "{hanging} of them: {table}");
    world.scratch.write("manner", "good");
    world.wait("script", "up", "done");
}

#[test]
fn the_edge_of_the_counts() {
    // One of three is good: who needs three in a row to fall never does, and who needs two to rise never does.
    let script =
        "#!/bin/sh\ncd $D/$1 || exit 2\nn=$(($(cat n) + 1))\necho $n > n\n[ $((n % 3)) = 0 ]\n";
    let trackers = "[tracker.stays]\ntype = \"script\"\ncommand = [\"$D/check\", \"a\"]\ninterval = \"100ms\"\ntimeout = \"90ms\"\nrise = 1\nfall = 3
         [tracker.never]\ntype = \"script\"\ncommand = [\"$D/check\", \"b\"]\ninterval = \"100ms\"\ntimeout = \"90ms\"\nrise = 2\nfall = 1\n";
    let world = World::new(trackers, |scratch, _| {
        let folder = scratch.path().to_str().unwrap();
        let path = scratch.write("check", &script.replace("$D", folder));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["a", "b"] {
            std::fs::create_dir(scratch.path().join(name)).unwrap();
            scratch.write(&format!("{name}/n"), "0");
        }
    });
    world.wait("stays", "up", "done");
    let since = || Stamp::from_rfc3339(world.tracker("stays")["since"].as_str().unwrap()).unwrap();
    let before = since();
    thread::sleep(Duration::from_secs(3));
    let runs: u32 = std::fs::read_to_string(world.scratch.path().join("a/n"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(runs > 20, "{runs}");
    assert_eq!(world.tracker("stays")["state"], "up");
    // Two readings of one moment differ by microseconds.
    let moved = since().millis_since(before).abs();
    assert!(moved < 50.0, "it was down in between: {moved} ms");
    assert_eq!(world.tracker("never")["state"], "down");
}
