//! The hooks of scripts/hooks, with stand-ins for what they talk to: what is asked of it, in which order, and what an operator
//! reads when it does not work.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use vrrp_lab::scratch::Scratch;

fn hook(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/hooks");
    path.join(name)
}

/// Runs a hook as the daemon would: with keepalived's arguments behind its own.
fn run(name: &str, own: &[&str], state: &str) -> Output {
    let mut command = Command::new(hook(name));
    command.args(own).args(["INSTANCE", "lan4", state, "150"]);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    command.env("VRRP_REASON", "the Active fell silent");
    command.env("VRRP_OLD_STATE", "backup");
    command.output().expect("the hook runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program that writes down how it was called, and what it read if it `reads`, and ends with `status` if called with `fails`.
fn stand_in(scratch: &Scratch, reads: bool, fails: &str) -> (String, PathBuf) {
    let log = scratch.path().join("calls");
    let reading = if reads { "cat >>\"$log\"" } else { ":" };
    let script = format!(
        "#!/bin/sh\nlog={}\necho \"$*\" >>\"$log\"\n{reading}\ncase \" $* \" in *\" {fails} \"*) exit 1;; esac\n",
        log.display()
    );
    scratch.write("stand-in", &script);
    let path = scratch.path().join("stand-in");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    (path.display().to_string(), log)
}

fn calls(log: &Path) -> Vec<String> {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_hook_is_a_program_that_says_how_it_is_used() {
    let all = fs::read_dir(hook("")).expect("the folder");
    let mut count = 0;
    for entry in all {
        let path = entry.expect("an entry").path();
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o022, 0, "{path:?} may be written by others");
        let output = Command::new(&path).output().expect("it runs");
        assert_eq!(output.status.code(), Some(64), "{path:?}");
        assert!(text(&output.stderr).starts_with("usage: "), "{path:?}");
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn connection_tracking_follows_in_the_order_of_its_documentation() {
    for (state, steps) in [
        ("MASTER", &["-c", "-f", "-R", "-B"][..]),
        ("BACKUP", &["-s", "-t", "-n"]),
        ("FAULT", &["-t"]),
        ("STOP", &["-t"]),
        ("PRE_MASTER", &["-c"]),
        ("MASTER_RX_LOWER_PRI", &[]),
    ] {
        let scratch = Scratch::new("hooks");
        let (program, log) = stand_in(&scratch, false, "nothing");
        let output = run("conntrackd", &["-p", &program, "-C", "/etc/c.conf"], state);
        assert!(output.status.success(), "{output:?}");
        let wanted: Vec<String> = steps
            .iter()
            .map(|it| format!("-C /etc/c.conf {it}"))
            .collect();
        assert_eq!(calls(&log), wanted, "{state}");
    }
    // What a silent machine had is there already; one that served on has made more since.
    for (old, reason, first) in [
        ("pre-active", "no-response", "-f"),
        ("pre-active", "released", "-c"),
        ("pre-active", "preempting", "-c"),
        ("backup", "no-response", "-c"),
    ] {
        let scratch = Scratch::new("hooks");
        let (program, log) = stand_in(&scratch, false, "nothing");
        let mut command = Command::new(hook("conntrackd"));
        command.args([
            "-p", &program, "-C", "/c", "INSTANCE", "lan4", "MASTER", "100",
        ]);
        command
            .env("VRRP_OLD_STATE", old)
            .env("VRRP_REASON", reason);
        assert!(command.status().expect("it runs").success());
        assert_eq!(calls(&log)[0], format!("-C /c {first}"), "{old} {reason}");
    }
    // A step that fails is told, and the others are done.
    let scratch = Scratch::new("hooks");
    let (program, log) = stand_in(&scratch, false, "-c");
    let output = run("conntrackd", &["-p", &program], "MASTER");
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("cannot put the other machine's connections"),
        "{said}"
    );
    assert_eq!(calls(&log).len(), 4);
    // Without the service, a Backup has nothing to ask.
    let scratch = Scratch::new("hooks");
    let (program, log) = stand_in(&scratch, false, "-s");
    let output = run("conntrackd", &["-p", &program], "BACKUP");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("start its service"));
    assert_eq!(calls(&log).len(), 1);
}

/// Answers requests with these codes, one after the other; what was asked.
fn cloud(codes: &[u16]) -> (u16, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let codes = codes.to_vec();
    let served = thread::spawn(move || {
        let serve = |code: u16| {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut asked = Vec::new();
            let mut byte = [0];
            let whole = |asked: &[u8]| {
                let text = String::from_utf8_lossy(asked).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("Content-Length: "))
                    .map_or(0, |length| length.parse().expect("a length"));
                (body.len() >= length).then_some(())
            };
            while whole(&asked).is_none() {
                stream.read_exact(&mut byte).expect("a byte");
                asked.push(byte[0]);
            }
            let answer =
                format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).expect("sent");
            String::from_utf8_lossy(&asked).into_owned()
        };
        codes.into_iter().map(serve).collect()
    });
    (port, served)
}

fn request(scratch: &Scratch, port: u16) -> String {
    let text = format!(
        "url = \"http://127.0.0.1:{port}/v1/assign?name=@NAME@\"\nrequest = \"POST\"\nheader = \"Authorization: Bearer s3cret\"\ndata = \"server=@HOST@\"\n"
    );
    scratch.write("request", &text);
    scratch.path().join("request").display().to_string()
}

#[test]
fn a_cloud_is_asked_until_it_agrees() {
    let scratch = Scratch::new("hooks");
    let (port, served) = cloud(&[503, 204]);
    let file = request(&scratch, port);
    let output = run("floating-address", &["-K", &file], "MASTER");
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).contains("lan4: the address is ours (204)"));
    let said = text(&output.stderr);
    assert!(
        said.contains("try 1 of 5") && said.contains("503"),
        "{said}"
    );
    assert!(!said.contains("s3cret"));
    let asked = served.join().expect("the cloud");
    let host = nix::unistd::gethostname().expect("a name");
    for request in &asked {
        assert!(
            request.starts_with("POST /v1/assign?name=lan4 "),
            "{request}"
        );
        assert!(
            request.contains("Authorization: Bearer s3cret"),
            "{request}"
        );
        assert!(
            request.ends_with(&format!("server={}", host.display())),
            "{request}"
        );
    }
    // Only an Active asks.
    let output = run("floating-address", &["-K", &file], "BACKUP");
    assert!(output.status.success() && output.stdout.is_empty());
    // One that never agrees is a failure.
    let (port, served) = cloud(&[403, 403]);
    let file = request(&scratch, port);
    let output = run("floating-address", &["-K", &file, "-n", "2"], "MASTER");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(served.join().expect("the cloud").len(), 2);
}

#[test]
fn a_mail_says_what_happened_and_why() {
    let scratch = Scratch::new("hooks");
    let (program, log) = stand_in(&scratch, true, "nothing");
    let own = [
        "-t",
        "noc@example.net",
        "-f",
        "vrrpd@example.net",
        "-s",
        &program,
    ];
    let output = run("mail", &own, "MASTER");
    assert!(output.status.success(), "{output:?}");
    let mail = calls(&log);
    assert_eq!(mail[0], "-t -oi");
    for line in [
        "From: vrrpd@example.net",
        "To: noc@example.net",
        "Auto-Submitted: auto-generated",
        "before:   backup",
        "why:      the Active fell silent",
        "priority: 150",
        "More: vrrpctl explain lan4",
    ] {
        assert!(mail.iter().any(|it| it == line), "{line}: {mail:?}");
    }
    assert!(
        mail.iter()
            .any(|it| it.starts_with("Subject: ") && it.ends_with(": lan4 is Active"))
    );
    // What does not take the mail is a failure.
    let output = run(
        "mail",
        &["-t", "x@example.net", "-s", "/nonexistent/sendmail"],
        "FAULT",
    );
    assert!(!output.status.success());
}

#[test]
fn a_file_has_the_state_that_holds() {
    let scratch = Scratch::new("hooks");
    let folder = scratch.path().display().to_string();
    for (state, active, backup) in [("MASTER", 1, 0), ("BACKUP", 0, 1), ("BACKUP_X", 0, 1)] {
        let output = run("textfile", &["-d", &folder], state);
        assert!(output.status.success(), "{output:?}");
        let file = fs::read_to_string(scratch.path().join("vrrpd_lan4.prom")).expect("a file");
        for line in [
            format!("vrrp_state{{router=\"lan4\",state=\"active\"}} {active}"),
            format!("vrrp_state{{router=\"lan4\",state=\"backup\"}} {backup}"),
            "vrrp_priority{router=\"lan4\"} 150".to_owned(),
        ] {
            assert!(file.lines().any(|it| it == line), "{line}: {file}");
        }
    }
    let output = run("textfile", &["-d", &folder, "-f", "influx"], "FAULT");
    assert!(output.status.success(), "{output:?}");
    let file = fs::read_to_string(scratch.path().join("vrrpd_lan4.influx")).expect("a file");
    assert!(
        file.starts_with("vrrp,router=lan4 state=\"fault\",active=0i,priority=150i "),
        "{file}"
    );
    let names = fs::read_dir(scratch.path()).expect("the folder").count();
    assert_eq!(names, 2, "nothing else is left there");
    let output = run("textfile", &["-d", "/nonexistent"], "MASTER");
    assert!(!output.status.success());
}
