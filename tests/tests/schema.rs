//! What `vrrpctl --json` prints about real daemons is what `docs/schema.json` says, and exit codes are what they mean.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use vrrp_lab::clock::ms;
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::schema::Schema;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

struct Pair {
    daemons: [Daemon; 2],
    _lan: Lan,
}

/// One that is probed, and one that the kernel tells of.
const TRACKERS: &str = "[tracker.flag]\ntype = \"file\"\npath = \"/etc/passwd\"\n\
                        [tracker.link]\ntype = \"interface\"\ninterface = \"eth0\"\n";

/// The first is Active; it also has a router without interface, and one that speaks VRRPv2 with a password.
fn pair() -> Pair {
    let lan = Lan::new(2);
    let router = |priority| {
        Router::new("lan4", Profile::V3Ipv4)
            .set("priority", priority)
            .text("advertise-interval", "100ms")
    };
    let guest = Router::new("guest4", Profile::V2)
        .text("interface", "eth9")
        .set("vrid", 40)
        .list("addresses", &["203.0.113.1/24"])
        .set(
            "authentication",
            "{ type = \"simple-text\", key = \"secret\" }",
        );
    let daemons = [
        Daemon::start(&lan.routers[0], &(file(&[router(200), guest]) + TRACKERS)),
        Daemon::start(&lan.routers[1], &file(&[router(100)])),
    ];
    daemons[0].wait_state("lan4", "active", ms(6000));
    daemons[1].wait_state("lan4", "backup", ms(6000));
    Pair { daemons, _lan: lan }
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    if let Ok(one) = serde_json::from_str(&text) {
        return vec![one];
    }
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line} of {output:?}"));
    text.lines().map(parse).collect()
}

#[test]
fn documents_are_as_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema.json");
    let schema = Schema::new(&fs::read_to_string(path).expect("the schema is there"));
    let Pair { daemons, _lan } = pair();
    let [first, second] = &daemons;
    let config = first.config_path();
    let config = config.to_str().expect("a plain path");
    let other = second.config_path();
    let other = other.to_str().expect("a plain path");
    // Each with the document that it prints, and the exit code.
    let asked: &[(&Daemon, &str, &[&str], i32)] = &[
        (first, "status", &["status"], 0),
        (second, "status", &["status", "lan4"], 0),
        (first, "status-problems", &["status", "-x"], 1),
        (second, "status-problems", &["status", "-x"], 0),
        (first, "show-router", &["show", "lan4"], 0),
        (second, "show-router", &["show", "lan4"], 0),
        (first, "show-interfaces", &["show", "interfaces"], 0),
        (second, "show-peers", &["show", "peers"], 0),
        (first, "show-groups", &["show", "groups"], 0),
        (first, "show-config", &["show", "config", "--all"], 0),
        (first, "tracker-run", &["tracker", "run", "flag"], 0),
        (first, "show-trackers", &["show", "trackers"], 0),
        (first, "show-stats", &["show", "stats"], 0),
        (first, "show-stats", &["show", "stats", "--all"], 0),
        (first, "event", &["events"], 0),
        (first, "explain", &["explain", "lan4"], 0),
        (first, "explain", &["explain", "guest4"], 0),
        (second, "explain", &["explain", "lan4"], 0),
        (first, "explain-code", &["explain", "VR0012"], 0),
        (first, "what-if", &["what-if", "--link-down", "eth0"], 0),
        (second, "what-if", &["what-if", "--peer-down"], 0),
        (first, "order", &["announce", "lan4"], 0),
        (
            second,
            "order",
            &["priority", "set", "lan4", "120", "--for", "1m"],
            0,
        ),
        (second, "status", &["status"], 0),
        (second, "explain", &["explain", "lan4"], 0),
        (second, "order", &["priority", "reset", "lan4"], 0),
        (first, "order", &["failover", "lan4"], 0),
        (first, "order", &["failover", "lan4"], 1),
        (first, "order", &["drain", "lan4", "--reason", "kernel"], 0),
        (first, "status", &["status"], 0),
        (first, "order", &["undrain", "lan4"], 0),
        (first, "configuration", &["reload", "--dry-run"], 0),
        (first, "configuration", &["reload"], 0),
        (first, "configuration", &["config", "history"], 0),
        (first, "configuration", &["config", "show"], 0),
        (first, "check", &["check", config], 0),
        (first, "check", &["check", config, "--peer", other], 0),
        (first, "upgrade", &["upgrade"], 0),
        (first, "status", &["status"], 0),
        (first, "event", &["events", "--since", "1h", "-n", "500"], 0),
    ];
    let mut wrong = Vec::new();
    for (daemon, document, words, code) in asked {
        let output = daemon.ctl(&[words, &["--json"][..]].concat());
        if output.status.code() != Some(*code) {
            wrong.push(format!("{words:?} did not exit with {code}: {output:?}"));
        }
        let printed = lines(&output);
        if printed.is_empty() {
            wrong.push(format!("{words:?} printed nothing: {output:?}"));
        }
        for value in printed {
            let complaints = schema.complaints(document, &value);
            wrong.extend(complaints.iter().map(|it| format!("{words:?}: {it}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Text for people and exit codes for scripts: what they mean does not depend on the command.
#[test]
fn exit_codes_say_what_happened() {
    let Pair { mut daemons, _lan } = pair();
    let [first, second] = &mut daemons;
    let code = |daemon: &Daemon, words: &[&str]| daemon.ctl(words).status.code();
    for (words, expected) in [
        (&["status"][..], 0),
        (&["failover", "lan4"], 1),
        (&["status", "-x"], 0),
        (&["show", "lan5"], 2),
        (&["status", "lan5"], 2),
        (&["explain", "lan5"], 2),
        (&["failover", "lan5"], 2),
        (&["drain", "lan5"], 2),
        (&["what-if", "--priority", "lan5=3"], 2),
        (&["explain", "VR9999"], 2),
        (&["schema", "nothing"], 2),
        (&["schema"], 0),
        (&["check", "/nonexistent"], 2),
        (&["top"], 2),
        (&["show"], 64),
        (&["pin", "lan4"], 64),
        (&["priority", "set", "lan4", "300", "--for", "1m"], 64),
        (&["nonsense"], 64),
        (&["events", "--since", "soon"], 64),
    ] {
        assert_eq!(
            code(second, words),
            Some(expected),
            "{words:?}: {:?}",
            second.ctl(words)
        );
    }
    first.kill();
    for words in [
        &["status"][..],
        &["status", "-x"],
        &["show", "lan4"],
        &["show", "config"],
        &["events"],
        &["explain", "lan4"],
        &["what-if", "--peer-down"],
        &["failover", "lan4"],
        &["reload"],
    ] {
        let output = first.ctl(words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{words:?}: {output:?}");
    }
}
