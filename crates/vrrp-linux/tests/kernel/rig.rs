//! Namespaces, a kernel thread inside one, and what it said.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use socket2::{Domain, Protocol, Socket, Type};
use vrrp_linux::Leases;
use vrrp_linux::kernel::{Fencing, Kernel, Notice, OwnerId, spawn};
use vrrp_proto::desired::{Desired, Generation, KernelReport, Upkeep};
use vrrp_proto::following::Following;
use vrrp_proto::interval::Interval;
use vrrp_proto::link::LinkFacts;
use vrrp_proto::plan::{DataPlane, VirtualAddress};
use vrrp_proto::types::{Family, MacAddress, RouterId, Vrid};

/// A network namespace, removed on drop.
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vk{}n{number}", std::process::id());
        sh(&format!("ip netns add {name}"));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let handle = File::open(format!("/run/netns/{}", self.name)).unwrap();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                setns(handle, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// `ip` inside, one command per line, in one process.
    pub fn ip(&self, lines: &str) {
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            sh(&format!("ip -n {} {line}", self.name));
        }
    }

    pub fn show(&self, line: &str) -> String {
        sh(&format!("ip -n {} {line}", self.name))
    }

    /// Whether a shell line inside succeeds.
    pub fn succeeds(&self, line: &str) -> bool {
        Command::new("timeout")
            .args(["20", "ip", "netns", "exec", &self.name, "sh", "-c", line])
            .output()
            .unwrap()
            .status
            .success()
    }

    pub fn run(&self, line: &str) -> String {
        sh(&format!("ip netns exec {} sh -c '{line}'", self.name))
    }

    pub fn sysctl(&self, path: &str) -> String {
        self.enter(|| std::fs::read_to_string(format!("/proc/sys/net/{path}")).unwrap())
            .trim()
            .to_owned()
    }

    pub fn set_sysctl(&self, path: &str, value: &str) {
        self.enter(|| std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap());
    }

    /// The settings of one interface that a macvlan on it may have changed.
    pub fn parent_settings(&self, name: &str) -> Vec<String> {
        [
            "arp_ignore",
            "arp_announce",
            "accept_local",
            "arp_filter",
            "rp_filter",
        ]
        .map(|key| format!("{key}={}", self.sysctl(&format!("ipv4/conf/{name}/{key}"))))
        .to_vec()
    }

    /// Every interface setting, except those that the kernel moves by itself.
    pub fn settings(&self) -> String {
        self.run("cd /proc/sys/net && grep -r -s . ipv4/conf ipv6/conf ipv4/ip_forward | grep -v stable_secret | sort")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("timeout")
            .args(["20", "ip", "netns", "del", &self.name])
            .output();
    }
}

/// A shell line that must succeed; what it printed.
pub fn sh(line: &str) -> String {
    let output = Command::new("timeout")
        .args(["20", "sh", "-c", line])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A client and a router on one cable, and a server behind the router.
pub struct Lan {
    pub client: Namespace,
    pub router: Namespace,
    pub server: Namespace,
}

impl Lan {
    pub fn new() -> Self {
        let lan = Self {
            client: Namespace::new(),
            router: Namespace::new(),
            server: Namespace::new(),
        };
        let (client, server) = (&lan.client.name, &lan.server.name);
        lan.router.ip(&format!(
            "link add eth0 type veth peer name eth0 netns {client}
             link add eth1 type veth peer name eth0 netns {server}
             addr add 192.0.2.11/24 dev eth0
             addr add 198.51.100.1/24 dev eth1
             addr add 2001:db8::11/64 dev eth0 nodad
             addr add 2001:db8:1::1/64 dev eth1 nodad
             link set eth0 up
             link set eth1 up"
        ));
        lan.client.ip("addr add 192.0.2.100/24 dev eth0
             addr add 2001:db8::100/64 dev eth0 nodad
             link set eth0 up");
        lan.server.ip("addr add 198.51.100.2/24 dev eth0
             addr add 2001:db8:1::2/64 dev eth0 nodad
             link set eth0 up
             route add default via 198.51.100.1
             route add default via 2001:db8:1::1");
        lan.router.set_sysctl("ipv4/ip_forward", "1");
        lan.router.set_sysctl("ipv6/conf/all/forwarding", "1");
        // Link-local addresses leave their tentative state.
        wait_for(Duration::from_secs(5), || {
            !lan.router.show("-6 addr show").contains("tentative")
                && !lan.client.show("-6 addr show").contains("tentative")
        });
        lan
    }
}

/// Polls `condition` every millisecond; how long it took.
pub fn wait_for(limit: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "not within {limit:?}");
        thread::sleep(Duration::from_millis(1));
    }
    start.elapsed()
}

/// A kernel thread and what it says.
pub struct Rig {
    kernel: Option<Kernel>,
    notices: Receiver<(Instant, Notice)>,
    generations: BTreeMap<RouterId, u64>,
}

impl Rig {
    pub fn new(namespace: &Namespace, owner: &str) -> Self {
        Self::spawn(namespace, owner, Fencing::Nothing)
    }

    /// With gates, whose leases the test holds.
    pub fn fenced(namespace: &Namespace, owner: &str) -> Self {
        Self::spawn(namespace, owner, Fencing::Best)
    }

    /// With a table of nftables instead.
    pub fn tabled(namespace: &Namespace, owner: &str) -> Self {
        Self::spawn(namespace, owner, Fencing::WithoutPrograms)
    }

    fn spawn(namespace: &Namespace, owner: &str, fencing: Fencing) -> Self {
        let (sender, notices): (SyncSender<_>, _) = sync_channel(100_000);
        let owner = OwnerId::of(Path::new(owner));
        let kernel = namespace.enter(move || {
            spawn(
                owner,
                fencing,
                Box::new(move |notice| {
                    let _ = sender.try_send((Instant::now(), notice));
                }),
            )
            .unwrap()
        });
        Self {
            kernel: Some(kernel),
            notices,
            generations: BTreeMap::new(),
        }
    }

    /// Publishes `desired` under the next generation of its router.
    pub fn publish(&mut self, router: u32, desired: &Desired) {
        let id = RouterId(router);
        let generation = self.generations.entry(id).or_insert(0);
        *generation += 1;
        let desired = Desired {
            generation: Generation(*generation),
            ..desired.clone()
        };
        self.kernel.as_ref().unwrap().publish(id, Some(desired));
    }

    pub fn withdraw(&self, router: u32) {
        self.kernel
            .as_ref()
            .unwrap()
            .publish(RouterId(router), None);
    }

    /// The next notice, if one comes in time.
    pub fn next(&self, limit: Duration) -> Option<(Instant, Notice)> {
        self.notices.recv_timeout(limit).ok()
    }

    /// Waits until the latest generation of each of `routers` is applied; when the last one was.
    pub fn applied(&self, routers: impl IntoIterator<Item = u32>) -> Instant {
        let mut waiting: BTreeMap<RouterId, u64> = routers
            .into_iter()
            .map(|id| (RouterId(id), self.generations[&RouterId(id)]))
            .collect();
        let mut at = Instant::now();
        while !waiting.is_empty() {
            let (when, notice) = self
                .next(Duration::from_secs(5))
                .unwrap_or_else(|| panic!("not applied: {waiting:?}"));
            if let Notice::Report {
                router,
                generation,
                report,
            } = notice
                && waiting.get(&router) == Some(&generation.0)
            {
                assert_eq!(report, KernelReport::Applied);
                waiting.remove(&router);
                at = when;
            }
        }
        at
    }

    /// Publishes and waits.
    pub fn apply(&mut self, router: u32, desired: &Desired) {
        self.publish(router, desired);
        self.applied([router]);
    }

    /// The next notice from which `pick` takes something.
    fn pick<T>(&self, pick: impl Fn(Instant, Notice) -> Option<T>) -> T {
        loop {
            let (at, notice) = self.next(Duration::from_secs(5)).expect("a notice");
            if let Some(picked) = pick(at, notice) {
                return picked;
            }
        }
    }

    /// The next failure.
    pub fn failure(&self) -> String {
        self.pick(|_, notice| match notice {
            Notice::Report {
                report: KernelReport::Failed(sentence),
                ..
            } => Some(sentence),
            Notice::Report { .. }
            | Notice::Link { .. }
            | Notice::Upkeep { .. }
            | Notice::Guests { .. }
            | Notice::Fence { .. } => None,
        })
    }

    /// The next repair, and when.
    pub fn repair(&self) -> (Instant, String) {
        self.pick(|at, notice| match notice {
            Notice::Upkeep {
                upkeep: Upkeep::Repaired(what),
                ..
            } => Some((at, what)),
            Notice::Upkeep { .. }
            | Notice::Report { .. }
            | Notice::Link { .. }
            | Notice::Guests { .. }
            | Notice::Fence { .. } => None,
        })
    }

    /// The next facts about `name`.
    pub fn facts(&self, name: &str) -> Option<LinkFacts> {
        self.pick(|_, notice| match notice {
            Notice::Link { interface, facts } if interface == name => Some(facts),
            Notice::Report { .. }
            | Notice::Link { .. }
            | Notice::Upkeep { .. }
            | Notice::Guests { .. }
            | Notice::Fence { .. } => None,
        })
    }

    /// The leases of the next interface that has some.
    pub fn leases(&self) -> Leases {
        self.pick(|_, notice| match notice {
            Notice::Fence { outcome, .. } => outcome?.ok(),
            Notice::Report { .. }
            | Notice::Link { .. }
            | Notice::Guests { .. }
            | Notice::Upkeep { .. } => None,
        })
    }

    /// The leases of the first interface, when that and the latest generation of these routers, from 1, are there.
    pub fn ready(&self, routers: u32) -> Leases {
        let mut waiting: BTreeMap<RouterId, u64> = (1..=routers)
            .map(|id| (RouterId(id), self.generations[&RouterId(id)]))
            .collect();
        let mut leases = None;
        while leases.is_none() || !waiting.is_empty() {
            let (_, notice) = self.next(Duration::from_secs(5)).expect("a notice");
            match notice {
                Notice::Fence { outcome, .. } => leases = outcome.and_then(Result::ok),
                Notice::Report {
                    router,
                    generation,
                    report,
                } => {
                    if waiting.get(&router) == Some(&generation.0) {
                        assert_eq!(report, KernelReport::Applied);
                        waiting.remove(&router);
                    }
                }
                Notice::Link { .. } | Notice::Guests { .. } | Notice::Upkeep { .. } => {}
            }
        }
        leases.expect("some")
    }

    /// What is said within `time`.
    pub fn said(&self, time: Duration) -> Vec<Notice> {
        let until = Instant::now() + time;
        let mut said = Vec::new();
        while let Some((_, notice)) = self.next(until.saturating_duration_since(Instant::now())) {
            said.push(notice);
        }
        said
    }

    pub fn stop(mut self) -> Vec<String> {
        self.kernel.take().unwrap().stop()
    }

    /// Ends it as a SIGKILL would: nothing is cleaned.
    pub fn kill(mut self) {
        drop(self.kernel.take());
    }
}

/// An IPv4 router in Backup.
pub fn router4(vrid: u8, addresses: &[&str]) -> Desired {
    router(Family::Ipv4, vrid, addresses)
}

/// An IPv6 router in Backup.
pub fn router6(vrid: u8, addresses: &[&str]) -> Desired {
    router(Family::Ipv6, vrid, addresses)
}

fn router(family: Family, vrid: u8, addresses: &[&str]) -> Desired {
    let vrid = Vrid::new(vrid).unwrap();
    Desired {
        generation: Generation(0),
        name: format!("test-{family}-{vrid}"),
        interface: "eth0".into(),
        family,
        vrid,
        mac: Some(MacAddress::of_router(family, vrid)),
        plane: DataPlane::Macvlan,
        addresses: addresses.iter().map(|text| virtual_address(text)).collect(),
        active: false,
        accept: true,
        owner: false,
        interval: Interval::DEFAULT,
        following: Following::default(),
    }
}

pub fn virtual_address(text: &str) -> VirtualAddress {
    let (ip, prefix_len) = text.split_once('/').unwrap();
    VirtualAddress {
        ip: ip.parse::<IpAddr>().unwrap(),
        prefix_len: prefix_len.parse().unwrap(),
    }
}

pub fn active(desired: &Desired) -> Desired {
    Desired {
        active: true,
        ..desired.clone()
    }
}

/// Frames that arrive in, or leave, a namespace.
pub struct Capture {
    socket: Socket,
}

impl Capture {
    pub fn new(namespace: &Namespace) -> Self {
        let all = i32::from(u16::try_from(libc::ETH_P_ALL).unwrap().to_be());
        let socket = namespace
            .enter(|| Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(all))).unwrap());
        socket.set_nonblocking(true).unwrap();
        socket.set_recv_buffer_size(4 << 20).unwrap();
        Self { socket }
    }

    /// The frames that were not read yet.
    pub fn all(&self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut frame = vec![0; 2048];
        while let Ok(length) = (&self.socket).read(&mut frame) {
            frames.push(frame[..length].to_vec());
        }
        frames
    }

    /// Those of them that come from `source`.
    pub fn from(&self, source: MacAddress) -> Vec<Vec<u8>> {
        let mut frames = self.all();
        frames.retain(|frame| frame.get(6..12) == Some(&source.0[..]));
        frames
    }
}
