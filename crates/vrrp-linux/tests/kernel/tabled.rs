//! Where no program may be loaded: leases that the kernel renews by a table of nftables.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use vrrp_linux::kernel::Notice;
use vrrp_linux::socket::FrameSocket;
use vrrp_linux::{Leases, Means, frame};
use vrrp_proto::desired::Desired;
use vrrp_proto::interval::Interval;
use vrrp_proto::types::{Family, MacAddress, Vrid};

use crate::rig::{Capture, Lan, Namespace, Rig, active, router4, router6, sh, wait_for};
use crate::{NONE, VIP4, VIP6, macvlans, soon};

const LEASE: Duration = Duration::from_millis(300);
/// The kernel counts time in ticks, of 10 ms at the most.
const TICKS: Duration = Duration::from_millis(20);
const VIRTUAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

fn brisk(router: Desired) -> Desired {
    Desired {
        interval: Interval::from_centis(10).unwrap(),
        ..router
    }
}

/// A kernel thread with this router, Active, and its lease, which has run out.
fn silent(lan: &Lan, owner: &str, router: &Desired) -> (Rig, Leases) {
    let mut rig = Rig::tabled(&lan.router, owner);
    rig.publish(1, &active(router));
    let leases = rig.ready(1);
    assert_eq!(leases.means(), Means::Nftables);
    let table = tables(&lan.router);
    wait_for(Duration::from_secs(5), || {
        !Client::new(lan).is_answered(VIRTUAL)
    });
    assert_eq!(tables(&lan.router), table);
    (rig, leases)
}

fn tables(namespace: &Namespace) -> Vec<String> {
    let tables = namespace.run("nft list tables");
    let mut tables: Vec<String> = tables.lines().map(str::to_owned).collect();
    tables.sort();
    tables
}

/// What is in the sets of leases.
fn leased(namespace: &Namespace) -> Vec<String> {
    let rules = namespace.run("nft -n list ruleset");
    let sets = rules.split("set leased").skip(1);
    sets.flat_map(|set| {
        let set = set.split('}').next().unwrap_or_default();
        let words = set.split([' ', ',', '\n']);
        words
            .filter(|word| word.starts_with("0x5e"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Says what a daemon would say.
struct Voice {
    socket: FrameSocket,
    index: u32,
}

impl Voice {
    fn new(lan: &Lan, interface: &str) -> Self {
        let socket = lan.router.enter(|| FrameSocket::open().unwrap());
        let path = format!("cat /sys/class/net/{interface}/ifindex");
        let index = lan.router.run(&path).trim().parse().unwrap();
        Self { socket, index }
    }

    fn advertise(&self, family: Family, vrid: u8, priority: u8) {
        let mac = MacAddress::of_router(family, Vrid::new(vrid).unwrap());
        self.advertise_from(mac, family, vrid, priority);
    }

    fn advertise_from(&self, mac: MacAddress, family: Family, vrid: u8, priority: u8) {
        let message = [0x31, vrid, priority, 1, 0, 10, 0, 0, 192, 0, 2, 254];
        let (source, group): (IpAddr, IpAddr) = match family {
            Family::Ipv4 => ([192, 0, 2, 11].into(), [224, 0, 0, 18].into()),
            Family::Ipv6 => ("fe80::11".parse().unwrap(), "ff02::12".parse().unwrap()),
        };
        let mut frame = Vec::new();
        frame::advertisement(&mut frame, mac, source, group, &message, 1).unwrap();
        self.send(&frame);
    }

    fn send(&self, frame: &[u8]) {
        assert_eq!(self.try_send(frame).unwrap(), 1);
    }

    fn try_send(&self, frame: &[u8]) -> std::io::Result<usize> {
        self.socket.send(std::iter::once((self.index, frame)))
    }
}

/// A host that asks by hand, and remembers nothing.
struct Client {
    socket: FrameSocket,
    index: u32,
    mac: [u8; 6],
    capture: Capture,
}

impl Client {
    fn new(lan: &Lan) -> Self {
        let run = |key: &str| lan.client.run(&format!("cat /sys/class/net/eth0/{key}"));
        let mac = run("address");
        let mut bytes = mac.trim().split(':').map(|it| u8::from_str_radix(it, 16));
        Self {
            socket: lan.client.enter(|| FrameSocket::open().unwrap()),
            index: run("ifindex").trim().parse().unwrap(),
            mac: std::array::from_fn(|_| bytes.next().unwrap().unwrap()),
            capture: Capture::new(&lan.client),
        }
    }

    /// Whether anybody answers for `ip` by ARP, or a ping of it to the virtual MAC address, within 20 ms.
    fn is_answered(&self, ip: Ipv4Addr) -> bool {
        self.capture.all();
        self.ask(ip);
        std::thread::sleep(Duration::from_millis(20));
        self.capture.all().iter().any(|it| is_answer(it))
    }

    fn ask(&self, ip: Ipv4Addr) {
        const CLIENT: [u8; 4] = [192, 0, 2, 100];
        let request = [
            &[0xff; 6][..],
            &self.mac,
            &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1],
            &self.mac,
            &CLIENT,
            &[0; 6],
            &ip.octets(),
        ]
        .concat();
        let mut echo = [
            &[0, 0, 0x5e, 0, 1, 51][..],
            &self.mac,
            &[8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0],
            &CLIENT,
            &ip.octets(),
            &[8, 0, 0xf7, 0xff, 0, 0, 0, 0],
        ]
        .concat();
        let sum = echo[14..34].chunks(2);
        let sum: u32 = sum.map(|it| u32::from(it[0]) << 8 | u32::from(it[1])).sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        echo[24..26].copy_from_slice(&sum.to_be_bytes());
        for frame in [request, echo] {
            let frames = std::iter::once((self.index, &frame[..]));
            assert_eq!(self.socket.send(frames).unwrap(), 1);
        }
    }

    /// When the last answer came, asking every two milliseconds until none comes for 200 ms.
    fn last_answer(&self, ip: Ipv4Addr) -> Instant {
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(200) {
            self.ask(ip);
            std::thread::sleep(Duration::from_millis(2));
            if self.capture.all().iter().any(|it| is_answer(it)) {
                last = Instant::now();
            }
        }
        last
    }
}

/// An answer to ARP, or to a ping.
fn is_answer(frame: &[u8]) -> bool {
    let at = |place: usize| frame.get(place).copied();
    let arp = frame.get(12..14) == Some(&[8, 6]) && at(21) == Some(2) && at(31) == Some(254);
    let echo = frame.get(12..14) == Some(&[8, 0]) && at(23) == Some(1) && at(34) == Some(0);
    arp || echo
}

/// RFC 9568 §6.1: a Backup waits for its skew time more.
#[test]
fn a_lease_lasts_for_three_intervals_after_an_advertisement() {
    let lan = Lan::new();
    let router = brisk(router4(51, &[VIP4]));
    let (rig, _) = silent(&lan, "/nonexistent/a", &router);
    let (voice, client) = (Voice::new(&lan, "eth0"), Client::new(&lan));
    for _ in 0..3 {
        voice.advertise(Family::Ipv4, 51, 0);
        voice.advertise(Family::Ipv4, 52, 100);
        voice.advertise(Family::Ipv6, 51, 100);
        assert!(!client.is_answered(VIRTUAL), "nothing that counts");
        assert_eq!(leased(&lan.router), NONE);
        voice.advertise(Family::Ipv4, 51, 100);
        let said = Instant::now();
        assert!(client.is_answered(VIRTUAL));
        let lasted = client.last_answer(VIRTUAL) - said;
        assert!(lasted + TICKS >= LEASE, "{lasted:?}");
        assert!(lasted <= LEASE + soon(), "{lasted:?}");
    }
    // As long as it goes on.
    let until = Instant::now() + 4 * LEASE;
    while Instant::now() < until {
        voice.advertise(Family::Ipv4, 51, 100);
        assert!(client.is_answered(VIRTUAL));
    }
    assert_eq!(rig.stop(), NONE);
    assert_eq!(tables(&lan.router), NONE);
}

#[test]
fn the_same_for_ipv6() {
    let lan = Lan::new();
    let router = brisk(router6(51, &VIP6));
    let mut rig = Rig::tabled(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router));
    let voice = Voice::new(&lan, "eth0");
    let is_answered = || {
        let line = "ip neigh flush dev eth0; ping -c 1 -W 0.2 2001:db8::1:1";
        lan.client.succeeds(line)
    };
    wait_for(Duration::from_secs(5), || !is_answered());
    voice.advertise(Family::Ipv4, 51, 100);
    assert!(!is_answered());
    voice.advertise(Family::Ipv6, 51, 100);
    assert!(is_answered());
    wait_for(Duration::from_secs(5), || !is_answered());
    let capture = Capture::new(&lan.client);
    assert!(!is_answered());
    assert!(capture.from(router.mac.unwrap()).is_empty());
}

/// Each router has the lease that its interval asks for, and one that speaks to its peers one by one, which it does from
/// the MAC address of the interface, is heard as well.
#[test]
fn each_router_has_its_own_terms() {
    let lan = Lan::new();
    let mut rig = Rig::tabled(&lan.router, "/nonexistent/a");
    let slow = router4(52, &["192.0.2.252/24"]);
    let unicast = brisk(router4(53, &["192.0.2.253/24"]));
    let routers = [brisk(router4(51, &[VIP4])), slow, unicast];
    for (id, router) in (1..).zip(&routers) {
        rig.publish(id, &active(router));
    }
    rig.applied([1, 2, 3]);
    wait_for(Duration::from_secs(5), || leased(&lan.router) == NONE);
    let voice = Voice::new(&lan, "eth0");
    let own = MacAddress([2, 0, 0, 0, 0, 11]);
    voice.advertise_from(own, Family::Ipv4, 54, 100);
    voice.advertise_from(own, Family::Ipv6, 53, 100);
    assert_eq!(leased(&lan.router), NONE);
    for vrid in [51, 52] {
        voice.advertise(Family::Ipv4, vrid, 100);
    }
    voice.advertise_from(own, Family::Ipv4, 53, 100);
    let rules = lan.router.run("nft list ruleset");
    // A fiftieth less than three intervals, rounded to the ticks of the kernel's clock.
    for (mac, lease) in [
        ("0x5e000133", "29"),
        ("0x5e000134", "2s9"),
        ("0x5e000135", "29"),
    ] {
        // Kernels before 6.12 show the time that the set gives, which is none.
        assert!(rules.contains(&format!("{mac} timeout {lease}")), "{rules}");
    }
    // Who saves it all can load it all.
    let saved =
        "nft list ruleset > /tmp/$$ && nft -c -f /tmp/$$; status=$?; rm /tmp/$$; exit $status";
    assert!(lan.router.succeeds(saved), "{rules}");
    wait_for(Duration::from_secs(2), || {
        leased(&lan.router) == ["0x5e000134"]
    });
}

/// A router that gives up is off the wire at once, and not when its lease ends.
#[test]
fn a_lease_is_closed_at_once() {
    let lan = Lan::new();
    let router = router4(51, &[VIP4]);
    let (mut rig, leases) = silent(&lan, "/nonexistent/a", &router);
    let voice = Voice::new(&lan, "eth0");
    for _ in 0..3 {
        voice.advertise(Family::Ipv4, 51, 100);
        // As the engine does it.
        leases.extend(Family::Ipv4, router.vrid, u64::MAX);
        assert_eq!(leased(&lan.router), ["0x5e000133"]);
        leases.close(Family::Ipv4, router.vrid);
        wait_for(soon(), || leased(&lan.router) == NONE);
        rig.apply(1, &router);
        rig.apply(1, &active(&router));
        assert_eq!(leased(&lan.router), NONE);
    }
}

/// Nemesis 24.
#[test]
fn a_table_that_is_flushed_is_back_with_its_leases() {
    let lan = Lan::new();
    let router = router4(51, &[VIP4]);
    let (rig, leases) = silent(&lan, "/nonexistent/a", &router);
    let voice = Voice::new(&lan, "eth0");
    voice.advertise(Family::Ipv4, 51, 100);
    let lease = Duration::from_secs(3);
    let until = vrrp_linux::clock::now() + lease;
    leases.extend(Family::Ipv4, router.vrid, until.as_nanos());
    let said = Instant::now();
    let table = tables(&lan.router).pop().unwrap();
    let egress =
        "nft flush chain $(nft list ruleset | grep -o \"table netdev [^ ]*\" | cut -c7-) egress_2";
    let harm = [
        "nft flush ruleset".to_owned(),
        format!("nft delete {table}"),
        "for set in guarded leased; do nft flush set netdev $(nft list tables | cut -d\" \" -f3) ${set}_$(cat /sys/class/net/eth0/ifindex); done".to_owned(),
        egress.replace("egress_2", "egress_$(cat /sys/class/net/eth0/ifindex)"),
    ];
    let whole =
        |rules: &str| rules.matches("drop").count() == 2 && rules.contains("0x5e000133 timeout");
    for harm in harm {
        lan.router.run(&harm);
        wait_for(soon() + Duration::from_millis(80), || {
            whole(&lan.router.run("nft -n list ruleset"))
        });
        assert_eq!(tables(&lan.router), std::slice::from_ref(&table));
    }
    // It ends when it would have ended.
    let client = Client::new(&lan);
    let lasted = client.last_answer(VIRTUAL) - said;
    assert!(
        lasted + TICKS >= lease && lasted <= lease + soon(),
        "{lasted:?}"
    );
    assert!(
        rig.said(Duration::ZERO)
            .iter()
            .all(|it| !matches!(it, Notice::Fence { .. }))
    );
}

/// What changes for one router is no interruption for another.
#[test]
fn leases_outlive_a_change_of_the_table() {
    let lan = Lan::new();
    let router = router4(51, &[VIP4]);
    let (mut rig, leases) = silent(&lan, "/nonexistent/a", &router);
    let (voice, client) = (Voice::new(&lan, "eth0"), Client::new(&lan));
    voice.advertise(Family::Ipv4, 51, 100);
    leases.extend(Family::Ipv4, router.vrid, u64::MAX / 2);
    for vrid in 60..70 {
        rig.apply(u32::from(vrid), &router4(vrid, &["192.0.2.253/24"]));
        assert!(client.is_answered(VIRTUAL));
    }
    assert_eq!(
        lan.router
            .run("nft list ruleset")
            .matches("chain egress")
            .count(),
        1
    );
    for vrid in 60..70 {
        rig.withdraw(vrid);
    }
    wait_for(Duration::from_secs(2), || {
        !lan.router.run("nft list ruleset").contains("0x5e00013c")
    });
    assert!(client.is_answered(VIRTUAL));
}

#[test]
fn a_dead_daemon_stays_off_the_wire_and_is_in_nobodys_way() {
    let lan = Lan::new();
    let router = brisk(router4(51, &[VIP4]));
    let (rig, _) = silent(&lan, "/nonexistent/a", &router);
    let mut other = Rig::tabled(&lan.router, "/nonexistent/b");
    let others = router4(61, &["192.0.2.253/24"]);
    other.apply(1, &active(&others));
    assert_eq!(tables(&lan.router).len(), 2);
    let (voice, client) = (Voice::new(&lan, "eth0"), Client::new(&lan));
    voice.advertise(Family::Ipv4, 51, 100);
    assert!(client.is_answered(VIRTUAL));
    rig.kill();
    std::thread::sleep(LEASE);
    assert!(!client.is_answered(VIRTUAL));

    let mut rig = Rig::tabled(&lan.router, "/nonexistent/a");
    rig.apply(1, &active(&router));
    voice.advertise(Family::Ipv4, 51, 100);
    assert!(client.is_answered(VIRTUAL));
    assert_eq!(rig.stop(), NONE);
    assert_eq!(tables(&lan.router).len(), 1);

    // One that may load programs needs none.
    other.kill();
    let mut other = Rig::fenced(&lan.router, "/nonexistent/b");
    other.publish(1, &others);
    assert_eq!(other.leases().means(), Means::Ebpf);
    wait_for(Duration::from_secs(2), || tables(&lan.router) == NONE);
}

/// A successor may want other routers. Those that it does not want are silent from the first moment.
#[test]
fn what_a_dead_daemon_left_is_silent_until_it_is_gone() {
    for start in [Rig::tabled, Rig::fenced] {
        let lan = Lan::new();
        let router = brisk(router4(51, &[VIP4]));
        let mut rig = start(&lan.router, "/nonexistent/a");
        rig.publish(1, &active(&router));
        rig.ready(1);
        rig.kill();
        let client = Client::new(&lan);
        wait_for(Duration::from_secs(2), || !client.is_answered(VIRTUAL));

        let mut rig = start(&lan.router, "/nonexistent/a");
        rig.publish(1, &brisk(router4(71, &[VIP4])));
        let until = Instant::now() + Duration::from_millis(500);
        while Instant::now() < until {
            assert!(!client.is_answered(VIRTUAL));
        }
        assert_eq!(macvlans(&lan.router).len(), 1);
        let rules = lan.router.run("nft list ruleset");
        assert!(!rules.contains("0x5e000133"), "{rules}");
    }
}

/// Frames of a VLAN belong to another interface, where the same identifier may be another router's. The VLAN 0 is none.
#[test]
fn frames_of_a_vlan_pass() {
    let lan = Lan::new();
    let router = brisk(router4(51, &[VIP4]));
    let (_rig, _) = silent(&lan, "/nonexistent/a", &router);
    let voice = Voice::new(&lan, "eth0");
    let mac = router.mac.unwrap();
    let capture = Capture::new(&lan.client);
    for (tag, passes) in [
        (&[][..], false),
        (&[0x81, 0, 0, 0], false),
        (&[0x81, 0, 0xe0, 0], false),
        (&[0x81, 0, 0, 7], true),
        (&[0x88, 0xa8, 0, 7], true),
    ] {
        let frame = [&[0xff; 6], &mac.0[..], tag, &[0x88, 0xb5], &[0; 60]].concat();
        // A frame that is dropped is an error.
        let _ = voice.try_send(&frame);
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(!capture.from(mac).is_empty(), passes, "{tag:x?}");
    }
}

/// An interface that comes back is guarded again, and the loss of it is no obstacle to the others.
#[test]
fn an_interface_goes_and_comes() {
    let lan = Lan::new();
    let router = brisk(router4(51, &[VIP4]));
    let (mut rig, _) = silent(&lan, "/nonexistent/a", &router);
    let elsewhere = Desired {
        interface: "eth1".into(),
        ..brisk(router4(52, &["198.51.100.254/24"]))
    };
    rig.apply(2, &active(&elsewhere));
    let egress = || {
        lan.router
            .run("nft list ruleset")
            .matches("hook egress")
            .count()
    };
    assert_eq!(egress(), 2);
    lan.router.ip("link del eth1");
    wait_for(Duration::from_secs(3), || egress() == 1);
    let client = Client::new(&lan);
    assert!(!client.is_answered(VIRTUAL));
    Voice::new(&lan, "eth0").advertise(Family::Ipv4, 51, 100);
    assert!(client.is_answered(VIRTUAL));
    sh(&format!(
        "ip -n {} link add eth1 type veth peer name eth9",
        lan.router.name()
    ));
    lan.router.ip("addr add 198.51.100.1/24 dev eth1
        link set eth9 up
        link set eth1 up");
    wait_for(Duration::from_secs(3), || egress() == 2);
}
