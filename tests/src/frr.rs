//! FRR as a peer: zebra and vrrpd, and the macvlans its manual tells the operator to make.

use crate::clock::{Stamp, ms, wait_for};
use crate::netns::{Namespace, succeed};
use crate::process::Process;
use crate::profile::VRID;
use crate::rival::{Orders, Rival};
use crate::scratch::Scratch;
use nix::sys::signal::Signal;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running FRR with one virtual router.
pub struct Frr {
    vrrpd: Process,
    _zebra: Process,
    scratch: Scratch,
}

impl Frr {
    /// Makes the macvlan and starts both daemons.
    ///
    /// # Panics
    /// If zebra does not open its socket within 5 s.
    #[must_use]
    pub fn start(namespace: &Namespace, orders: Orders) -> Self {
        let scratch = Scratch::new("frr");
        let profile = orders.profile;
        namespace.ip(&format!(
            "link add vrrp-lab link eth0 address {} type macvlan mode bridge",
            profile.virtual_mac()
        ));
        // A link-local address made from the virtual MAC would be the same on every router of the group. Without
        // detection it is usable when FRR first looks; otherwise FRR sends from the virtual address.
        namespace.ip("link set vrrp-lab addrgenmode random");
        namespace.sysctl("ipv6/conf/vrrp-lab/accept_dad=0");
        for prefix in profile.virtual_prefixes() {
            let nodad = if profile.is_ipv6() { "nodad" } else { "" };
            namespace.ip(&format!("addr add {prefix} dev vrrp-lab {nodad}"));
        }
        namespace.ip("link set vrrp-lab up");

        scratch.write("zebra.conf", "");
        scratch.write("vrrpd.conf", &config(orders));
        std::fs::create_dir(scratch.path().join("vty")).expect("the scratch directory is fresh");
        // FRR gives up root for an account of its own, and refuses to stay root.
        succeed(
            Command::new("chown")
                .args(["-R", "frr:frr"])
                .arg(scratch.path()),
        );
        let socket = scratch.path().join("zserv.api");
        let zebra = launch(namespace, &scratch, "zebra");
        assert!(
            wait_for(ms(5000), || socket.exists().then_some(())).is_some(),
            "zebra opens its socket: {}",
            zebra.output()
        );
        Self {
            vrrpd: launch(namespace, &scratch, "vrrpd"),
            _zebra: zebra,
            scratch,
        }
    }
}

fn launch(namespace: &Namespace, scratch: &Scratch, daemon: &str) -> Process {
    let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
    let (conf, pid, api, vty) = (
        at(&format!("{daemon}.conf")),
        at(&format!("{daemon}.pid")),
        at("zserv.api"),
        at("vty"),
    );
    let arguments = [
        "-f",
        &conf,
        "-i",
        &pid,
        "-z",
        &api,
        "--vty_socket",
        &vty,
        "-P",
        "0",
        "--log",
        "stdout",
    ];
    Process::start(
        namespace,
        &Path::new("/usr/lib/frr").join(daemon),
        &arguments,
        &scratch.path().join(format!("{daemon}.log")),
    )
}

fn config(orders: Orders) -> String {
    let Orders {
        profile,
        priority,
        interval,
        preempt,
        accept: _,
        key: _,
        unicast: _,
        plane: _,
    } = orders;
    let family = if profile.is_ipv6() { "ipv6" } else { "ip" };
    let addresses: String = profile
        .virtual_addresses()
        .iter()
        .map(|address| format!(" vrrp {VRID} {family} {address}\n"))
        .collect();
    format!(
        "debug vrrp protocol\n!\ninterface eth0\n vrrp {VRID} version {version}\n vrrp {VRID} priority {priority}\n \
         vrrp {VRID} advertisement-interval {millis}\n{preempt}{addresses}!\n",
        version = profile.version(),
        millis = interval.as_millis(),
        preempt = if preempt {
            String::new()
        } else {
            format!(" no vrrp {VRID} preempt\n")
        },
    )
}

impl Rival for Frr {
    fn terminate(&mut self) -> Stamp {
        self.vrrpd.signal(Signal::SIGTERM)
    }

    fn kill(&mut self) -> Stamp {
        self.vrrpd.kill()
    }

    fn revive(&mut self, namespace: &Namespace) {
        if self.vrrpd.wait(Duration::from_secs(5)).is_none() {
            self.vrrpd.kill();
        }
        self.vrrpd = launch(namespace, &self.scratch, "vrrpd");
    }

    fn log(&self) -> String {
        self.vrrpd.output()
    }
}
