//! Network namespaces.

use crate::clock::wait_for;
use crate::scratch::unique;
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::process::{Command, Output};
use std::sync::Once;
use std::thread;
use std::time::Duration;

/// A named network namespace, removed on drop.
///
/// Named rather than anonymous so that a person can look into a test that hangs: `ip netns exec vl… ip addr`.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes a namespace with its loopback up; `role` shows in its name.
    ///
    /// # Panics
    /// If it cannot be made, which mostly means: not root.
    #[must_use]
    pub fn new(role: &str) -> Self {
        static SWEEP: Once = Once::new();
        SWEEP.call_once(sweep);
        crate::stall::watch();
        let name = unique(role);
        succeed(Command::new("timeout").args(["20", "ip", "netns", "add", &name]));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread of its own inside the namespace.
    ///
    /// Sockets opened there belong to the namespace for life and may be used from anywhere.
    ///
    /// # Panics
    /// If the namespace is gone, or if `work` panics.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let handle = self.handle();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                handle.enter();
                work()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A handle by which a thread may move inside for good.
    ///
    /// # Panics
    /// If the namespace is gone.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(File::open(format!("/run/netns/{}", self.name)).expect("the namespace exists"))
    }

    /// Waits until an interface is operational: the kernel may take a second to notice that a cable has two ends, and longer
    /// while it still clears a namespace with ten thousand links away.
    ///
    /// # Panics
    /// If it is not within a minute.
    pub fn wait_carrier(&self, interface: &str) {
        let up = wait_for(Duration::from_secs(60), || {
            self.sh(&format!("cat /sys/class/net/{interface}/operstate"))
                .trim()
                .eq("up")
                .then_some(())
        });
        assert!(up.is_some(), "{interface} of {} has no carrier", self.name);
    }

    /// The names of its interfaces, in order.
    #[must_use]
    pub fn interfaces(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .sh("ls /sys/class/net")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// A command that will run inside, with `/sys` showing the namespace's devices; killed after 30 s.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["30", "ip", "netns", "exec", &self.name, program]);
        command
    }

    /// Runs one shell line inside and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn sh(&self, line: &str) -> String {
        succeed(self.command("sh").args(["-c", line]))
    }

    /// Runs one shell line inside and says whether it succeeded.
    #[must_use]
    pub fn try_sh(&self, line: &str) -> bool {
        self.command("sh")
            .args(["-c", line])
            .output()
            .is_ok_and(|output| output.status.success())
    }

    /// Runs `ip` commands inside, one per line, in one process.
    ///
    /// # Panics
    /// If one of them fails.
    pub fn ip(&self, batch: &str) {
        use std::io::Write;
        let mut child = Command::new("timeout")
            .args(["30", "ip", "-n", &self.name, "-batch", "-"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("iproute2 is installed");
        let lines: String = batch
            .lines()
            .map(|line| format!("{}\n", line.trim()))
            .collect();
        child
            .stdin
            .take()
            .expect("piped above")
            .write_all(lines.as_bytes())
            .expect("ip reads its batch");
        let output = child.wait_with_output().expect("ip ends");
        assert!(
            output.status.success(),
            "ip -n {} -batch:\n{lines}\n{}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Sets sysctls below `/proc/sys/net`, written `path=value`, separated by white space.
    ///
    /// # Panics
    /// If one does not exist.
    pub fn sysctl(&self, settings: &str) {
        self.enter(|| {
            for setting in settings.split_whitespace() {
                let (path, value) = setting.split_once('=').expect("path=value");
                std::fs::write(format!("/proc/sys/net/{path}"), value)
                    .unwrap_or_else(|error| panic!("sysctl {path}: {error}"));
            }
        });
    }

    /// Reads a sysctl below `/proc/sys/net`.
    ///
    /// # Panics
    /// If it does not exist.
    #[must_use]
    pub fn read_sysctl(&self, path: &str) -> String {
        self.enter(|| {
            std::fs::read_to_string(format!("/proc/sys/net/{path}"))
                .unwrap_or_else(|error| panic!("sysctl {path}: {error}"))
        })
        .trim()
        .to_owned()
    }

    /// Every readable IPv4 and IPv6 interface sysctl, as `path=value` lines in order; for before-and-after comparisons.
    #[must_use]
    pub fn interface_sysctls(&self) -> Vec<String> {
        let text = self.sh("cd /proc/sys/net && grep -r -s '' ipv4/conf ipv6/conf ipv4/ip_forward ipv4/neigh ipv6/neigh || true");
        let mut lines: Vec<String> = text
            .lines()
            // Random per-boot secrets and counters that the kernel moves by itself are no setting.
            .filter(|line| !line.contains("stable_secret"))
            .map(|line| line.replacen(':', "=", 1))
            .collect();
        lines.sort();
        lines
    }
}

/// A way into a namespace for one thread.
pub struct Handle(File);

impl Handle {
    /// Moves the calling thread into the namespace, for the rest of its life.
    ///
    /// # Panics
    /// If this is not allowed, which mostly means: not root.
    pub fn enter(&self) {
        setns(&self.0, CloneFlags::CLONE_NEWNET).expect("entering a namespace needs root");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("timeout")
            .args(["20", "ip", "netns", "del", &self.name])
            .output();
    }
}

/// Runs a command and returns its standard output.
///
/// # Panics
/// If it cannot be started or fails; the message carries what it said.
pub fn succeed(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        status.success(),
        "{command:?}: {status}\n{}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    String::from_utf8_lossy(&stdout).into_owned()
}

/// Removes the namespaces of laboratory runs whose process is gone: a killed run cannot clean up after itself.
fn sweep() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for name in entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let owner = name
            .strip_prefix("vl")
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(pid, _)| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !std::path::Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = Command::new("timeout")
                .args(["20", "ip", "netns", "del", &name])
                .output();
        }
    }
}
