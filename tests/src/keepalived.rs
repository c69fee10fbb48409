//! keepalived as a peer.

use crate::clock::Stamp;
use crate::netns::Namespace;
use crate::process::Process;
use crate::profile::VRID;
use crate::rival::{Orders, Rival};
use crate::scratch::Scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;

/// A running keepalived with one instance and its own configuration and pid files.
pub struct Keepalived {
    process: Process,
    scratch: Scratch,
    config: String,
    priority: u8,
}

impl Keepalived {
    /// Starts it.
    #[must_use]
    pub fn start(namespace: &Namespace, orders: Orders) -> Self {
        Self::start_with(namespace, orders, "")
    }

    /// Starts it with further lines in its `global_defs`.
    #[must_use]
    pub fn start_with(namespace: &Namespace, orders: Orders, globals: &str) -> Self {
        Self::start_file(namespace, config(orders, globals), orders.priority)
    }

    /// Starts it with a file of the caller's, in which the instances have this priority.
    #[must_use]
    pub fn start_file(namespace: &Namespace, config: String, priority: u8) -> Self {
        let scratch = Scratch::new("keepalived");
        scratch.write("keepalived.conf", &config);
        Self {
            process: launch(namespace, &scratch),
            scratch,
            config,
            priority,
        }
    }
}

/// The program: `KEEPALIVED_BIN`, or Debian's.
#[must_use]
pub fn program() -> PathBuf {
    std::env::var_os("KEEPALIVED_BIN").map_or_else(|| "/usr/sbin/keepalived".into(), PathBuf::from)
}

fn launch(namespace: &Namespace, scratch: &Scratch) -> Process {
    let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let arguments = [
        "-n",
        "-l",
        "-D",
        "-P",
        "-f",
        &at("keepalived.conf"),
        "-p",
        &at("parent.pid"),
        "-r",
        &at("vrrp.pid"),
    ];
    Process::start(
        namespace,
        &program(),
        &arguments,
        &scratch.path().join("keepalived.log"),
    )
}

fn config(orders: Orders, globals: &str) -> String {
    let Orders {
        profile,
        priority,
        interval,
        preempt,
        accept,
        key,
        unicast,
        plane: _,
    } = orders;
    let mut lines = vec!["state BACKUP".to_owned(), "interface eth0".to_owned()];
    // `strict` would refuse accept. Unicast does without the virtual MAC, as clouds do.
    lines.push(if unicast {
        format!("unicast_peer {{\n {}\n }}", orders.peer())
    } else {
        "use_vmac".to_owned()
    });
    lines.push(format!("virtual_router_id {VRID}"));
    lines.push(format!("priority {priority}"));
    lines.push(format!("advert_int {}", interval.as_secs_f64()));
    if !preempt {
        lines.push("nopreempt".to_owned());
    }
    lines.push(if accept { "accept" } else { "no_accept" }.to_owned());
    if let Some(key) = key {
        lines.push(format!(
            "authentication {{\n auth_type PASS\n auth_pass {key}\n }}"
        ));
    }
    lines.push(format!(
        "virtual_ipaddress {{\n {}\n }}",
        profile.virtual_prefixes().join("\n ")
    ));
    format!(
        "global_defs {{\n router_id lab\n vrrp_version {}\n {globals}\n}}\nvrrp_instance lab {{\n {}\n}}\n",
        profile.version(),
        lines.join("\n ")
    )
}

impl Rival for Keepalived {
    fn terminate(&mut self) -> Stamp {
        self.process.signal(Signal::SIGTERM)
    }

    fn kill(&mut self) -> Stamp {
        // Both processes: the parent alone would let its child resign in good order.
        let child = std::fs::read_to_string(self.scratch.path().join("vrrp.pid"))
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        self.process.signal(Signal::SIGSTOP);
        let at = Stamp::now();
        if let Some(child) = child {
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        self.process.kill();
        at
    }

    fn revive(&mut self, namespace: &Namespace) {
        // A clean stop takes keepalived at least one second.
        if self.process.wait(Duration::from_secs(8)).is_none() {
            self.process.kill();
        }
        // An orphan that nobody has reaped yet still has a pid, and keepalived takes that for itself running.
        for file in ["parent.pid", "vrrp.pid"] {
            let _ = std::fs::remove_file(self.scratch.path().join(file));
        }
        self.process = launch(namespace, &self.scratch);
    }

    /// It has no order for that: the nearest is a lower priority in its file.
    fn fail_over(&mut self) {
        let higher = format!("priority {}\n", self.priority);
        let lower = self.config.replace(&higher, "priority 50\n");
        assert_ne!(lower, self.config);
        self.scratch.write("keepalived.conf", &lower);
        self.process.signal(Signal::SIGHUP);
    }

    fn fall_back(&mut self) {
        self.scratch.write("keepalived.conf", &self.config);
        self.process.signal(Signal::SIGHUP);
    }

    fn log(&self) -> String {
        self.process.output()
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if self.process.runs() {
            Rival::kill(self);
        }
    }
}
