//! FRR's bfdd as a peer, with the zebra that tells it of interfaces.

use crate::clock::{ms, wait_for};
use crate::netns::{Namespace, succeed};
use crate::process::Process;
use crate::scratch::Scratch;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running bfdd.
pub struct Bfdd {
    bfdd: Process,
    _zebra: Process,
    scratch: Scratch,
}

impl Bfdd {
    /// Starts it with sessions to these addresses on `eth0`, at this interval and with a multiplier of 3.
    ///
    /// # Panics
    /// If zebra does not open its socket within 5 s.
    #[must_use]
    pub fn start(namespace: &Namespace, peers: &[&str], interval: Duration) -> Self {
        let scratch = Scratch::new("bfdd");
        let millis = interval.as_millis();
        let session = |peer: &&str| {
            format!(
                " peer {peer} interface eth0\n  detect-multiplier 3\n  receive-interval {millis}\n  \
                 transmit-interval {millis}\n  no shutdown\n exit\n"
            )
        };
        let sessions: String = peers.iter().map(session).collect();
        scratch.write("bfdd.conf", &format!("bfd\n{sessions}exit\n"));
        scratch.write("zebra.conf", "");
        std::fs::create_dir(scratch.path().join("vty")).expect("the scratch directory is fresh");
        // FRR gives up root for an account of its own, and refuses to stay root.
        succeed(
            Command::new("chown")
                .args(["-R", "frr:frr"])
                .arg(scratch.path()),
        );
        let zebra = launch(namespace, &scratch, "zebra");
        let socket = scratch.path().join("zserv.api");
        assert!(
            wait_for(ms(5000), || socket.exists().then_some(())).is_some(),
            "zebra opens its socket: {}",
            zebra.output()
        );
        Self {
            bfdd: launch(namespace, &scratch, "bfdd"),
            _zebra: zebra,
            scratch,
        }
    }

    /// Says something to it as an operator does; what it answers.
    #[must_use]
    pub fn say(&self, lines: &[&str]) -> String {
        let mut command = Command::new("timeout");
        command.args(["5", "vtysh", "--vty_socket"]);
        command.arg(self.scratch.path().join("vty"));
        command.args(["-d", "bfdd"]);
        command.args(lines.iter().flat_map(|line| ["-c", *line]));
        let output = command.output().expect("vtysh is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What it knows of its session with `peer`: `status`, `diagnostic`, `remote-diagnostic` and more.
    #[must_use]
    pub fn session(&self, peer: &str) -> Value {
        self.about(peer, "show bfd peers json")
    }

    /// What it has counted of it: `session-up`, `session-down` and more.
    #[must_use]
    pub fn counters(&self, peer: &str) -> Value {
        self.about(peer, "show bfd peers counters json")
    }

    fn about(&self, peer: &str, question: &str) -> Value {
        let all: Value = serde_json::from_str(&self.say(&[question])).unwrap_or_default();
        let found = all.as_array().into_iter().flatten();
        let mut found = found.filter(|session| session["peer"] == peer);
        found.next().cloned().unwrap_or_default()
    }

    /// Waits until its session with `peer` has this status.
    ///
    /// # Panics
    /// If it does not within 10 s.
    pub fn wait(&self, peer: &str, status: &str) {
        let reached = wait_for(ms(10_000), || {
            (self.session(peer)["status"] == status).then_some(())
        });
        assert!(
            reached.is_some(),
            "{peer} is not {status}: {:#}\n{}",
            self.session(peer),
            self.bfdd.output()
        );
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.bfdd.signal(signal);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.bfdd.kill();
    }

    /// Starts it again.
    pub fn revive(&mut self, namespace: &Namespace) {
        self.bfdd = launch(namespace, &self.scratch, "bfdd");
    }
}

fn launch(namespace: &Namespace, scratch: &Scratch, daemon: &str) -> Process {
    let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let (conf, pid) = (at(&format!("{daemon}.conf")), at(&format!("{daemon}.pid")));
    let (api, vty, control) = (at("zserv.api"), at("vty"), at("bfdd.sock"));
    let mut arguments = vec!["-f", &conf, "-i", &pid, "-z", &api, "--vty_socket", &vty];
    arguments.extend(["-P", "0", "--log", "stdout"]);
    if daemon == "bfdd" {
        arguments.extend(["--bfdctl", &control]);
    }
    Process::start(
        namespace,
        &Path::new("/usr/lib/frr").join(daemon),
        &arguments,
        &scratch.path().join(format!("{daemon}.log")),
    )
}
