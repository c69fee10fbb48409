//! A router and a client, each in a namespace of its own, with a wire between them.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns};
use nix::time::{ClockId, clock_gettime};
use vrrp_gate::{Gate, Leases};
use vrrp_proto::types::{Family, Vrid};

/// The router that is guarded in most tests.
pub const V4: (Family, Vrid) = (Family::Ipv4, vrid(51));
pub const V6: (Family, Vrid) = (Family::Ipv6, vrid(51));
/// What a closed lease waits for in tests that open it.
pub const FOREVER: u64 = u64::MAX - 3;

pub const fn vrid(number: u8) -> Vrid {
    Vrid::new(number).unwrap()
}

/// Now, in nanoseconds of CLOCK_BOOTTIME.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap();
    let [seconds, nanos] = [time.tv_sec(), time.tv_nsec()].map(|part| u64::try_from(part).unwrap());
    seconds * 1_000_000_000 + nanos
}

pub const MILLISECOND: u64 = 1_000_000;

/// A network namespace, removed on drop.
pub struct Namespace(String);

impl Namespace {
    pub fn new(role: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("vg{}-{number}{role}", std::process::id());
        sh(&format!("ip netns add {name}"));
        let namespace = Self(name);
        namespace.sh("ip link set lo up");
        namespace
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// Runs `work` on a thread inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = self.handle();
        thread::scope(|scope| {
            let thread = scope.spawn(move || {
                setns(inside, CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    pub fn handle(&self) -> File {
        File::open(format!("/run/netns/{}", self.0)).unwrap()
    }

    pub fn index(&self, interface: &str) -> u32 {
        self.enter(|| if_nametoindex(interface).unwrap())
    }

    /// Lines for a shell inside; all must succeed.
    pub fn sh(&self, lines: &str) -> String {
        sh(&format!(
            "ip netns exec {} sh -e <<'END'\n{lines}\nEND",
            self.0
        ))
    }

    /// Whether lines for a shell inside succeed.
    pub fn succeeds(&self, lines: &str) -> bool {
        shell(&format!(
            "ip netns exec {} sh -e <<'END'\n{lines}\nEND",
            self.0
        ))
        .status
        .success()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = shell(&format!("ip netns del {}", self.0));
    }
}

fn shell(lines: &str) -> std::process::Output {
    Command::new("timeout")
        .args(["30", "sh", "-c", lines])
        .output()
        .unwrap()
}

pub fn sh(lines: &str) -> String {
    let output = shell(lines);
    assert!(
        output.status.success(),
        "{lines}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// `client` c0 <-> r0 `router`. On r0 there are macvlans for VRID 51 of both families, with 10.9.0.51 and fd09::51, and behind the
/// router 10.10.0.1.
pub struct World {
    pub client: Namespace,
    pub router: Namespace,
    pub r0: u32,
}

impl World {
    pub fn new() -> Self {
        let world = Self::bare();
        world.router.sh(
            "ip link add v4 link r0 address 00:00:5e:00:01:33 type macvlan mode bridge
             ip link add v6 link r0 address 00:00:5e:00:02:33 type macvlan mode bridge
             sysctl -qw net.ipv6.conf.v4.disable_ipv6=1
             ip link set v4 up
             ip link set v6 up
             ip addr add 10.9.0.51/32 dev v4
             ip -6 addr add fd09::51/128 dev v6 nodad",
        );
        world.wait_for(&["10.9.0.51", "fd09::51"]);
        world
    }

    /// Without macvlans; behind the router there is fd10::1, too.
    pub fn bare() -> Self {
        let (client, router) = (Namespace::new("c"), Namespace::new("r"));
        router.sh(&format!(
            "ip link add r0 type veth peer name c0 netns {}",
            client.name()
        ));
        client.sh(
            "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.c0.accept_dad=0
             ip link set c0 up
             ip addr add 10.9.0.2/24 dev c0
             ip -6 addr add fd09::2/64 dev c0 nodad",
        );
        router.sh(
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.rp_filter=0
             sysctl -qw net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.all.accept_dad=0
             sysctl -qw net.ipv6.conf.all.forwarding=1
             ip link set r0 up
             ip addr add 10.9.0.1/24 dev r0
             ip -6 addr add fd09::1/64 dev r0 nodad
             ip addr add 10.10.0.1/32 dev lo
             ip -6 addr add fd10::1/128 dev lo",
        );
        let r0 = router.index("r0");
        let world = Self { client, router, r0 };
        world.wait_for(&["10.9.0.1", "fd09::1"]);
        world
    }

    /// IPv6 on a new interface takes a while.
    fn wait_for(&self, addresses: &[&str]) {
        let began = Instant::now();
        while !addresses.iter().all(|address| self.answers(address)) {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
    }

    /// A gate in the router's namespace.
    pub fn gate(&self, owner: &str) -> Gate {
        self.router.enter(|| Gate::load(owner).unwrap())
    }

    /// A gate that stands, with both routers guarded.
    pub fn guarded(&self) -> (Gate, Leases) {
        let mut gate = self.gate("test");
        let leases = gate.attach(self.r0, [V4, V6]).unwrap();
        (gate, leases)
    }

    /// The router's own MAC address.
    pub fn physical(&self) -> [u8; 6] {
        let text = self.router.sh("cat /sys/class/net/r0/address");
        let bytes = text.trim().split(':');
        let bytes: Vec<u8> = bytes
            .map(|it| u8::from_str_radix(it, 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    /// Whether the client gets an answer from this address, with nothing remembered from before.
    pub fn answers(&self, address: &str) -> bool {
        self.client.sh("ip neigh flush dev c0");
        self.pings(address)
    }

    /// Whether the client gets an answer from this address.
    pub fn pings(&self, address: &str) -> bool {
        self.client
            .succeeds(&format!("ping -c 2 -i 0.02 -W 0.4 {address}"))
    }

    /// Filters of one side as `tc` shows them.
    pub fn filters(&self, side: &str) -> String {
        self.router.sh(&format!("tc filter show dev r0 {side}"))
    }
}
