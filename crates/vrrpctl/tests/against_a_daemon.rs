//! The built program against daemons that are well, ill, hostile and dead.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A socket in a directory of its own, and whoever answers there.
struct Fake {
    directory: PathBuf,
}

impl Fake {
    /// Answers each connection with what `reply` makes of the request line.
    fn serving(name: &str, reply: impl Fn(&str, UnixStream) + Send + Clone + 'static) -> Self {
        let fake = Self::nobody(name);
        let listener = UnixListener::bind(fake.socket()).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, reply) = (stream.unwrap(), reply.clone());
                thread::spawn(move || {
                    let mut line = String::new();
                    BufReader::new(&stream).read_line(&mut line).unwrap();
                    reply(&line, stream);
                });
            }
        });
        fake
    }

    /// Says `text` to whatever it is asked, and hangs up.
    fn saying(name: &str, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self::serving(name, move |_, mut stream| {
            let _ = stream.write_all(&text);
        })
    }

    /// No socket at all.
    fn nobody(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("vrrpctl-{}-{name}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("vrrpd.sock")
    }

    fn ask(&self, words: &[&str]) -> Output {
        vrrpctl(&self.socket()).args(words).output().unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn vrrpctl(socket: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpctl"));
    command
        .env_remove("CLICOLOR_FORCE")
        .arg("--socket")
        .arg(socket);
    command
}

fn status() -> Value {
    // A field that this version does not know, first, and a number that a float would spoil.
    json!({
        "answer": "status",
        "version": 1,
        "daemon": {
            "zeal": 18_446_744_073_709_551_615_u64, "version": "0.1.0", "pid": 7, "since": "2026-11-20T13:00:00Z",
            "config": "/etc/vrrpd/vrrpd.toml", "config-loaded": "2026-11-20T13:00:00Z", "scheduling": "fifo"
        },
        "routers": [router("lan4", "active"), router("lan6", "backup")],
        "statistics": { "checksum-errors": 2 }
    })
}

fn router(name: &str, state: &str) -> Value {
    json!({
        "name": name, "interface": "eth0", "vrid": 51, "family": "ipv4", "protocol": "vrrpv3", "state": state,
        "rfc8347-state": "master", "faults": [], "priority": { "configured": 200, "effective": 200 },
        "active": { "address": "192.0.2.11", "priority": 200 }, "since": "2026-11-20T13:00:00.000001Z",
        "addresses": ["192.0.2.254/24"], "virtual-mac": "00:00:5e:00:01:33", "source-address": "192.0.2.11",
        "advertise-interval-ms": 100, "active-advertise-interval-ms": 100, "skew-time": 60937,
        "active-down-interval": 360_937, "preempt": true, "accept-mode": true, "checksum": "rfc9568",
        "kernel-in-step": true, "statistics": { "advertisement-sent": 12, "aurora": 3 }
    })
}

fn event(sequence: u64, router: &str) -> String {
    let event = json!({
        "answer": "event", "time": "2026-11-20T13:00:00.000001Z", "sequence": sequence, "router": router,
        "kind": "role", "text": format!("event {sequence}"), "from": "backup", "to": "active", "reason": "no-response"
    });
    format!("{event}\n")
}

/// A daemon that is well: two routers, twenty events, and one more for those who follow.
fn well(name: &str) -> Fake {
    Fake::serving(name, |line, mut stream| {
        let request: Value = serde_json::from_str(line).unwrap();
        if request["request"] == "status" {
            writeln!(stream, "{}", status()).unwrap();
            return;
        }
        if request["request"] == "running-config" {
            let text = if request["defaults"] == true {
                "# all\n"
            } else {
                "# some\n"
            };
            let running = json!({
                "answer": "running-config", "version": 1, "file": "/etc/vrrpd/vrrpd.toml", "loaded": "2026-11-20T13:00:00Z",
                "text": text
            });
            writeln!(stream, "{running}").unwrap();
            return;
        }
        if request["request"] == "interfaces" {
            writeln!(
                stream,
                "{}",
                json!({ "answer": "interfaces", "version": 1, "interfaces": [] })
            )
            .unwrap();
            return;
        }
        let name = |sequence: u64| {
            if sequence.is_multiple_of(2) {
                "lan4"
            } else {
                "lan6"
            }
        };
        let mut past: Vec<u64> = (1..=20).collect();
        past.retain(|sequence| request.get("router").is_none_or(|it| it == name(*sequence)));
        // All of them happened at the same time.
        if request
            .get("since")
            .is_some_and(|it| it == "2026-11-20T13:00:01Z")
        {
            past.clear();
        }
        let number = request.get("number").map_or(20, |it| it.as_u64().unwrap());
        let skipped = past.len().saturating_sub(usize::try_from(number).unwrap());
        for &sequence in &past[skipped..] {
            stream
                .write_all(event(sequence, name(sequence)).as_bytes())
                .unwrap();
        }
        if request["follow"] == true {
            stream.write_all(b"{\"answer\":\"present\"}\n").unwrap();
            thread::sleep(Duration::from_millis(200));
            let _ = stream.write_all(event(21, "lan4").as_bytes());
            let _ = stream.write_all(b"{\"answer\":\"events-lost\",\"count\":5}\n");
        }
        let _ = stream.write_all(b"{\"answer\":\"end\"}\n");
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Nothing on standard output, one line on standard error, exit code 3.
fn assert_silent(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "",
        "no state from a daemon that does not answer"
    );
    let said = text(&output.stderr);
    assert!(
        said.starts_with("vrrpd is not answering on ") && said.contains(why),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn no_command_is_status() {
    let fake = well("default");
    let output = fake.ask(&["--utc"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(output, fake.ask(&["--utc", "status"]));
    insta::assert_snapshot!(text(&output.stdout));
}

#[test]
fn json_is_the_report_as_it_came() {
    let output = well("json").ask(&["status", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut sent = status();
    sent.as_object_mut().unwrap().remove("answer");
    assert_eq!(printed, sent);
    assert!(
        text(&output.stdout).starts_with(
            "{\n  \"version\": 1,\n  \"daemon\": {\n    \"zeal\": 18446744073709551615,"
        )
    );
}

#[test]
fn one_router_by_name() {
    let fake = well("one");
    let printed: Value =
        serde_json::from_slice(&fake.ask(&["status", "lan6", "--json"]).stdout).unwrap();
    assert_eq!(printed["routers"], json!([router("lan6", "backup")]));
    assert!(!text(&fake.ask(&["status", "lan6"]).stdout).contains("lan4"));
}

#[test]
fn no_such_router_is_bad_input() {
    let fake = well("unknown");
    for words in [["status", "lan5"], ["show", "lan5"]] {
        let output = fake.ask(&words);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(
            text(&output.stderr),
            "there is no virtual router \"lan5\"; there is lan4, lan6\n"
        );
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn show_has_the_routers_own_events() {
    let fake = well("show");
    let output = fake.ask(&["--utc", "show", "lan4"]);
    insta::assert_snapshot!(text(&output.stdout));
    let printed: Value =
        serde_json::from_slice(&fake.ask(&["show", "lan4", "--json"]).stdout).unwrap();
    assert_eq!(printed["router"], router("lan4", "active"));
    assert_eq!(printed["events"].as_array().unwrap().len(), 10);
}

#[test]
fn what_is_beside_a_router() {
    let fake = well("beside");
    let said = |words: &[&str]| {
        let output = fake.ask(words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stdout)
    };
    assert_eq!(said(&["show", "config", "--brief"]), "# some\n");
    assert_eq!(said(&["show", "config", "--brief", "--all"]), "# all\n");
    let running: Value = serde_json::from_str(&said(&["show", "config", "--json"])).unwrap();
    assert_eq!(running["file"], "/etc/vrrpd/vrrpd.toml");
    assert_eq!(running.get("answer"), None);
    assert_eq!(
        said(&["show", "stats", "-b"]),
        "vrrpd checksum-errors 2\nlan4 advertisement-sent 12\nlan6 advertisement-sent 12\n"
    );
    assert_eq!(
        said(&["-b"]),
        "lan4 ACTIVE 200 self\nlan6 BACKUP 200 192.0.2.11\n"
    );
    assert!(said(&["show", "peers"]).starts_with("nobody else was heard"));
    assert!(said(&["show", "interfaces"]).starts_with("no virtual routers"));
    let interfaces: Value = serde_json::from_str(&said(&["show", "interfaces", "--json"])).unwrap();
    assert_eq!(interfaces, json!({ "version": 1, "interfaces": [] }));
}

#[test]
fn completions_are_scripts() {
    let nobody = Fake::nobody("completions");
    for shell in ["bash", "zsh", "fish"] {
        let output = nobody.ask(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        let script = text(&output.stdout);
        for word in ["status", "interfaces", "failover", "explain", "--brief"] {
            // fish writes options without their dashes.
            let word = if shell == "fish" {
                word.trim_start_matches('-')
            } else {
                word
            };
            assert!(script.contains(word), "{shell}: {word}");
        }
        if shell == "bash" {
            let mut bash = Command::new("bash")
                .arg("-n")
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            bash.stdin
                .take()
                .unwrap()
                .write_all(&output.stdout)
                .unwrap();
            assert!(bash.wait().unwrap().success());
        }
    }
}

#[test]
fn the_schema_is_printed_whole_or_for_a_document() {
    let nobody = Fake::nobody("schema");
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.json");
    let whole = nobody.ask(&["schema"]);
    assert_eq!(text(&whole.stdout), fs::read_to_string(published).unwrap());
    let one: Value = serde_json::from_slice(&nobody.ask(&["schema", "status"]).stdout).unwrap();
    assert_eq!(one["$ref"], "#/$defs/status");
    assert!(one["$defs"]["StatusReport"].is_object());
    let output = nobody.ask(&["schema", "StatusReport"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("there is no document \"StatusReport\"; there is check, ")
    );
}

#[test]
fn events_are_one_object_a_line() {
    let fake = well("events");
    let sequences = |words: &[&str]| -> Vec<u64> {
        let output = fake.ask(words);
        assert_eq!(output.status.code(), Some(0));
        let lines = text(&output.stdout);
        lines
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["sequence"]
                    .as_u64()
                    .unwrap()
            })
            .collect()
    };
    assert_eq!(
        sequences(&["events", "--json"]),
        (1..=20).collect::<Vec<_>>()
    );
    assert_eq!(sequences(&["events", "--json", "-n", "3"]), [18, 19, 20]);
    assert_eq!(sequences(&["events", "--json", "-n", "0"]), [] as [u64; 0]);
    insta::assert_snapshot!(text(&fake.ask(&["--utc", "events", "-n2"]).stdout));
}

#[test]
fn events_of_one_router_or_of_late() {
    let fake = well("some-events");
    let sequences = |words: &[&str]| -> Vec<Value> {
        let output = fake.ask(&[&["events", "--json"], words].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let lines = text(&output.stdout);
        let documents = lines.lines().map(serde_json::from_str::<Value>);
        documents
            .map(|line| line.unwrap()["sequence"].clone())
            .collect()
    };
    assert_eq!(sequences(&["--router", "lan4", "-n2"]), [18, 20]);
    let nobody = fake.ask(&["events", "--router", "lan5"]);
    assert_eq!(nobody.status.code(), Some(2), "{nobody:?}");
    assert_eq!(sequences(&["--since", "2026-11-20T13:00:00Z"]).len(), 20);
    assert!(sequences(&["--since", "2026-11-20T13:00:01Z"]).is_empty());
    let output = fake.ask(&["events", "--since", "soon"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("write for example 90s"));
}

#[test]
fn watching_is_what_stands_and_then_what_changes() {
    let fake = well("watch");
    let output = fake.ask(&["status", "-w", "--utc", "lan4"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].contains("lan4") && lines[0].ends_with("is active"),
        "{said}"
    );
    assert!(lines[1].ends_with("event 21"), "{said}");
    assert_eq!(lines[2], "5 events were not read in time and are lost");
    assert_eq!(fake.ask(&["status", "-w", "lan5"]).status.code(), Some(2));
    assert_eq!(fake.ask(&["status", "-wx"]).status.code(), Some(64));
}

#[test]
fn only_what_is_wrong() {
    let fake = well("problems");
    let output = fake.ask(&["status", "-x"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stdout), "all 2 virtual routers are well\n");
    let mut ill = status();
    ill["routers"][1]["faults"] = json!(["eth0 has no carrier"]);
    let fake = Fake::saying("ill", format!("{ill}\n"));
    let output = fake.ask(&["status", "-x"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "! lan6: eth0 has no carrier\n");
    assert_eq!(text(&output.stderr), "");
    assert_eq!(fake.ask(&["status", "-x", "lan4"]).status.code(), Some(0));
    let output = fake.ask(&["status", "-x", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({ "version": 1, "routers": 2, "problems": ["lan6: eth0 has no carrier"] });
    assert_eq!(printed, expected);
}

#[test]
fn files_are_checked_without_a_daemon() {
    let nobody = Fake::nobody("check");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf/examples");
    let [a, b] = ["router-a.toml", "router-b.toml"].map(|name| examples.join(name));
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let output = nobody.ask(&["check", a, "--peer", b]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).ends_with(&format!("{a} and {b} fit together\n")));

    let other = nobody.directory.join("other.toml");
    let changed = fs::read_to_string(b)
        .unwrap()
        .replacen("vrid = ", "vrid = 1", 1);
    fs::write(&other, changed).unwrap();
    let other = other.to_str().unwrap();
    let output = nobody.ask(&["check", a, "--peer", other]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("error[VR0201]"));
    assert!(text(&output.stdout).ends_with("do not fit together\n"));
    let output = nobody.ask(&["check", a, "--peer", other, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["good"], false);
    assert_eq!(printed["findings"][0]["code"], "VR0201");
    assert_eq!(printed["findings"][0]["file"], a);

    fs::write(other, "[virtual-router.lan4]\nvrid = 0\n").unwrap();
    for words in [vec!["check", other], vec!["check", a, "--peer", other]] {
        let output = nobody.ask(&words);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stdout).contains("VR0012"), "{output:?}");
    }
    let output = nobody.ask(&["check", "/nonexistent.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("/nonexistent.toml: No such file"), "{said}");
}

#[test]
fn following_ends_when_the_daemon_stops() {
    let fake = well("follow");
    let output = fake.ask(&["events", "-f", "-n", "2", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let lines: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sequences: Vec<&Value> = lines.iter().map(|line| &line["sequence"]).collect();
    assert_eq!(
        sequences,
        [&json!(19), &json!(20), &json!(21), &Value::Null]
    );
    assert_eq!(lines[3], json!({ "kind": "events-lost", "count": 5 }));
    assert!(text(&output.stderr).contains("it stopped"));
}

#[test]
fn a_daemon_that_is_not_there() {
    assert_silent(
        &Fake::nobody("nobody").ask(&["status"]),
        "there is no socket",
    );
    let dead = Fake::nobody("dead");
    drop(UnixListener::bind(dead.socket()).unwrap());
    for words in [
        &["status", "--json"][..],
        &["show", "lan4"],
        &["events"],
        &["events", "-f"],
    ] {
        assert_silent(&dead.ask(words), "nobody listens there");
    }
    let not_a_socket = Fake::nobody("file");
    fs::write(not_a_socket.socket(), "").unwrap();
    assert_silent(&not_a_socket.ask(&["status"]), "nobody listens there");
}

#[test]
fn a_daemon_that_hangs() {
    let fakes = [
        Fake::serving("hangs", |_, _stream| thread::sleep(Duration::from_secs(60))),
        // One byte now and then: each read succeeds, and the answer never ends.
        Fake::serving("trickles", |_, mut stream| {
            while stream.write_all(b" ").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        }),
        // Nobody accepts, and the queue is full: connecting itself waits.
        {
            let fake = Fake::nobody("full");
            let socket =
                socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            socket
                .bind(&socket2::SockAddr::unix(fake.socket()).unwrap())
                .unwrap();
            socket.listen(0).unwrap();
            std::mem::forget((socket, UnixStream::connect(fake.socket()).unwrap()));
            fake
        },
    ];
    let began = Instant::now();
    thread::scope(|scope| {
        for fake in &fakes {
            scope.spawn(move || assert_silent(&fake.ask(&["status"]), "no answer came in 5 s"));
        }
    });
    assert!(began.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_daemon_that_hangs_up() {
    assert_silent(&Fake::saying("mute", "").ask(&["status"]), "hung up");
    assert_silent(
        &Fake::saying("half", &b"{\"answer\":\"status\",\"ver"[..]).ask(&["status", "--json"]),
        "hung up",
    );
    assert_silent(
        &Fake::saying("short", event(1, "lan4")).ask(&["events"]),
        "hung up",
    );
}

#[test]
fn a_daemon_that_speaks_something_else() {
    for (name, said) in [
        ("html", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        ("bytes", b"\xff\xfe\x00\n"),
        ("list", b"[1,2]\n"),
        ("other", b"{\"answer\":\"no-such-answer\"}\n"),
        ("end", b"{\"answer\":\"end\"}\n"),
        ("deep", &[b"[".repeat(100_000), b"\n".to_vec()].concat()),
    ] {
        assert_silent(
            &Fake::saying(name, said).ask(&["status"]),
            "does not speak the control protocol",
        );
    }
    let newer = Fake::saying("newer", &b"{\"answer\":\"status\",\"version\":9}\n"[..]);
    assert_silent(&newer.ask(&["status"]), "it speaks version 9 of it");
}

#[test]
fn a_refusal_is_passed_on_without_its_control_characters() {
    let fake = Fake::saying(
        "refuses",
        "{\"answer\":\"refused\",\"reason\":\"no \\u001b[2J\"}\n",
    );
    let output = fake.ask(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "vrrpd refused: no \\u{1b}[2J\n");
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    let fake = Fake::nobody("usage");
    assert_eq!(fake.ask(&["statsu"]).status.code(), Some(64));
    assert_eq!(fake.ask(&["show"]).status.code(), Some(64));
    assert_eq!(fake.ask(&["--color", "red"]).status.code(), Some(64));
    assert_eq!(fake.ask(&["--help"]).status.code(), Some(0));
    assert_eq!(fake.ask(&["--version"]).status.code(), Some(0));
}

#[test]
fn completions_need_no_daemon() {
    let fake = Fake::nobody("completions");
    for shell in ["bash", "zsh", "fish"] {
        let output = fake.ask(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("events"));
    }
}

#[test]
fn a_reader_that_goes_away_hears_nothing_more() {
    let fake = well("pipe");
    let mut child = vrrpctl(&fake.socket())
        .args(["events", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn colour_only_where_it_is_wanted() {
    let fake = well("colour");
    let colourful = |command: &mut Command| command.output().unwrap().stdout.contains(&0x1b);
    assert!(!colourful(&mut vrrpctl(&fake.socket())));
    assert!(colourful(
        vrrpctl(&fake.socket()).args(["--color", "always"])
    ));
    assert!(colourful(
        vrrpctl(&fake.socket())
            .env("CLICOLOR_FORCE", "1")
            .env_remove("NO_COLOR")
    ));
    assert!(!colourful(
        vrrpctl(&fake.socket())
            .env("CLICOLOR_FORCE", "1")
            .env("NO_COLOR", "1")
    ));
    assert!(!colourful(
        vrrpctl(&fake.socket()).args(["--color", "always", "--json"])
    ));
}

#[test]
fn the_socket_can_come_from_the_environment() {
    let fake = well("environment");
    let mut command = Command::new(env!("CARGO_BIN_EXE_vrrpctl"));
    let output = command
        .env("VRRPCTL_SOCKET", fake.socket())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}
