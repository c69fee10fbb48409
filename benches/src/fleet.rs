//! Hundreds of virtual routers in one daemon, whoever made it.

use crate::ground::Ground;
use crate::maker::Maker;
use crate::usage;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::PathBuf;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::binary;
use vrrp_lab::keepalived;
use vrrp_lab::netns::Namespace;
use vrrp_lab::process::Process;
use vrrp_lab::scratch::Scratch;

/// What a fleet is told: on each of `parents` interfaces the VRIDs 1 to `each`, one address each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Orders {
    pub(crate) maker: Maker,
    pub(crate) parents: u8,
    pub(crate) each: u8,
    pub(crate) priority: u8,
    pub(crate) interval: Duration,
    /// One router, the last, has a second address.
    pub(crate) changed: bool,
}

impl Orders {
    /// How many routers.
    pub(crate) fn count(&self) -> usize {
        usize::from(self.parents) * usize::from(self.each)
    }

    /// Every (interface, VRID).
    pub(crate) fn all(&self) -> impl Iterator<Item = (u8, u8)> + use<> {
        let (parents, each) = (self.parents, self.each);
        (0..parents).flat_map(move |parent| (1..=each).map(move |vrid| (parent, vrid)))
    }

    /// The second address that the last router has when changed.
    pub(crate) fn second(&self) -> std::net::Ipv4Addr {
        [10, self.parents - 1, self.each, 253].into()
    }

    fn text(&self) -> String {
        let mut text = match self.maker {
            Maker::Ours | Maker::OursEbpf => String::new(),
            Maker::Keepalived | Maker::KeepalivedPlain | Maker::Frr | Maker::Pnet => {
                GLOBALS.replace("RT", "")
            }
            Maker::KeepalivedRt => GLOBALS.replace("RT", REAL_TIME),
        };
        for (parent, vrid) in self.all() {
            let mut addresses = vec![Ground::virtual_ip(parent, vrid)];
            if self.changed && (parent, vrid) == (self.parents - 1, self.each) {
                addresses.push(self.second());
            }
            text += &self.router(parent, vrid, &addresses);
        }
        text
    }

    fn router(&self, parent: u8, vrid: u8, addresses: &[std::net::Ipv4Addr]) -> String {
        let Self {
            maker,
            priority,
            interval,
            ..
        } = self;
        if maker.is_ours() {
            let listed: Vec<String> = addresses.iter().map(|ip| format!("\"{ip}/24\"")).collect();
            let plane = if *maker == Maker::OursEbpf {
                "data-plane = \"ebpf\"\n"
            } else {
                ""
            };
            return format!(
                "[virtual-router.r{parent}-{vrid}]\ninterface = \"eth{parent}\"\nvrid = {vrid}\npriority = {priority}\n\
                 advertise-interval = \"{}ms\"\nannounce-refresh = \"0s\"\n{plane}addresses = [{}]\n\n",
                interval.as_millis(),
                listed.join(", ")
            );
        }
        let virtual_mac = if *maker == Maker::KeepalivedPlain {
            String::new()
        } else {
            format!("use_vmac v{parent}.{vrid}\n ")
        };
        let listed: Vec<String> = addresses.iter().map(|ip| format!("{ip}/24")).collect();
        format!(
            "vrrp_instance r{parent}-{vrid} {{\n state BACKUP\n interface eth{parent}\n {virtual_mac}virtual_router_id {vrid}\n \
             priority {priority}\n advert_int {}\n virtual_ipaddress {{\n {}\n }}\n}}\n",
            interval.as_secs_f64(),
            listed.join("\n ")
        )
    }
}

/// The second burst of announcements comes after one second instead of five, so that a settled state comes sooner.
const GLOBALS: &str =
    "global_defs {\n router_id bench\n vrrp_version 3\n vrrp_garp_master_delay 1\n RT\n}\n";

/// What makes keepalived a real-time process, and keeps the kernel from killing it for that.
pub(crate) const REAL_TIME: &str =
    "vrrp_rt_priority 50\n vrrp_rlimit_rttime 1000000\n vrrp_no_swap";

/// A running daemon.
pub(crate) struct Fleet {
    process: Process,
    scratch: Scratch,
    namespace: String,
    orders: Orders,
    /// When it was started.
    pub(crate) started: Stamp,
}

impl Fleet {
    /// Starts it on router `index` and waits for nothing.
    pub(crate) fn launch(ground: &Ground, index: usize, orders: Orders) -> Self {
        let namespace = &ground.routers[index];
        let scratch = Scratch::new("fleet");
        scratch.write(FILE, &orders.text());
        let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
        let (config, log) = (at(FILE), scratch.path().join("log"));
        let (program, arguments): (PathBuf, Vec<String>) = if orders.maker.is_ours() {
            std::fs::create_dir(scratch.path().join("run"))
                .expect("the scratch directory is fresh");
            (
                binary("vrrpd"),
                vec![
                    "--config".into(),
                    config,
                    "--runtime-dir".into(),
                    at("run"),
                    "--state-dir".into(),
                    at("state"),
                ],
            )
        } else {
            let words = [
                "-n",
                "-l",
                "-P",
                "-f",
                &config,
                "-p",
                &at("parent"),
                "-r",
                &at("child"),
            ];
            (keepalived::program(), words.map(str::to_owned).to_vec())
        };
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let started = Stamp::now();
        Self {
            process: Process::start(namespace, &program, &arguments, &log),
            scratch,
            namespace: namespace.name().to_owned(),
            orders,
            started,
        }
    }

    /// Starts it and waits until all its addresses are there.
    pub(crate) fn active(ground: &Ground, index: usize, orders: Orders) -> Self {
        let fleet = Self::launch(ground, index, orders);
        fleet.wait_addresses(&ground.routers[index], orders.count());
        fleet
    }

    /// Starts it beside an Active and waits until its macvlans are there and it has had the time to listen.
    pub(crate) fn backup(ground: &Ground, index: usize, orders: Orders) -> Self {
        let fleet = Self::launch(ground, index, orders);
        let wanted = match orders.maker {
            Maker::Ours | Maker::Keepalived | Maker::KeepalivedRt => orders.count(),
            Maker::OursEbpf | Maker::KeepalivedPlain | Maker::Frr | Maker::Pnet => 0,
        };
        let up = wait_for(LIMIT, || {
            (macvlans(&ground.routers[index]) >= wanted).then_some(())
        });
        assert!(up.is_some(), "no macvlans: {}", fleet.tail());
        std::thread::sleep(orders.interval * 4 + ms(500));
        fleet
    }

    /// Waits until so many virtual addresses are configured.
    pub(crate) fn wait_addresses(&self, namespace: &Namespace, count: usize) {
        let there = wait_for(LIMIT, || (addresses(namespace) == count).then_some(()));
        assert!(
            there.is_some(),
            "{} of {count} addresses: {}",
            addresses(namespace),
            self.tail()
        );
    }

    /// Gives it another file and tells it; returns when.
    pub(crate) fn reload(&mut self, orders: Orders) -> Stamp {
        self.orders = orders;
        self.scratch.write(FILE, &orders.text());
        self.process.signal(Signal::SIGHUP)
    }

    /// Asks it to leave; returns when.
    pub(crate) fn terminate(&self) -> Stamp {
        self.process.signal(Signal::SIGTERM)
    }

    /// Waits for its end; returns when it was seen.
    pub(crate) fn ended(&mut self, limit: Duration) -> Option<Stamp> {
        self.process.wait(limit).map(|_| Stamp::now())
    }

    /// The last lines it wrote.
    pub(crate) fn tail(&self) -> String {
        let output = self.process.output();
        let lines: Vec<&str> = output.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // All of them at once: nobody cleans up after the other.
        for pid in usage::pids_of(&self.namespace) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.process.kill();
    }
}

const FILE: &str = "config";
const LIMIT: Duration = Duration::from_secs(60);

/// Virtual addresses in a namespace.
pub(crate) fn addresses(namespace: &Namespace) -> usize {
    let text =
        namespace.sh("ip -o -4 addr | grep -c -E 'inet 10\\.[0-9]+\\.[0-9]+\\.25[34]/' || true");
    text.trim().parse().unwrap_or(0)
}

/// Macvlans in a namespace.
pub(crate) fn macvlans(namespace: &Namespace) -> usize {
    let text = namespace.sh("ip -o link show type macvlan | wc -l");
    text.trim().parse().unwrap_or(0)
}
