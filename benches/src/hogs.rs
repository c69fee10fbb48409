//! Who takes the processor, or the kernel's lock, away from everybody else.

use std::process::{Child, Command, Stdio};
use std::time::Duration;
use vrrp_lab::clock::ms;
use vrrp_lab::netns::Namespace;

/// Busy processes; they end with the thread that started them.
pub(crate) struct Hogs(Vec<Child>);

impl Hogs {
    /// So many that compute and do nothing else.
    pub(crate) fn busy(count: usize) -> Self {
        Self::start(count, &["chrt", "-o", "0"], "while :; do :; done")
    }

    /// So many with a real-time priority of 10, taking turns.
    pub(crate) fn real_time(count: usize) -> Self {
        Self::start(count, &["chrt", "-r", "10"], "while :; do :; done")
    }

    /// Two that make and delete links in a namespace of their own, under the lock that all network configuration needs.
    pub(crate) fn links(elsewhere: &Namespace) -> Self {
        let mut hogs = Self(Vec::new());
        for n in 0..2 {
            elsewhere.ip(&format!("link add d{n} type bridge\nlink set d{n} up"));
            let line = format!(
                "while :; do ip link add link d{n} m{n} type macvlan; ip link set m{n} up; ip link set m{n} down; ip link del m{n}; done"
            );
            hogs.0
                .push(spawn(&["ip", "netns", "exec", elsewhere.name()], &line));
        }
        std::thread::sleep(SETTLE);
        hogs
    }

    fn start(count: usize, before: &[&str], line: &str) -> Self {
        let hogs = Self((0..count).map(|_| spawn(before, line)).collect());
        // Until all of them run.
        std::thread::sleep(SETTLE);
        hogs
    }
}

const SETTLE: Duration = ms(300);

fn spawn(before: &[&str], line: &str) -> Child {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .args(before)
        .args(["sh", "-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("util-linux is installed")
}

impl Drop for Hogs {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}
