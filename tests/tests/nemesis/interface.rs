//! What happens to interfaces, addresses and settings.

use crate::row::{DIRECT, DOWN, Limit, PLAIN, Row, Setup};
use crate::scene::{NAME, Scene, count, events, millis};
use Limit::{Least, Most, Within};
use nix::sys::signal::Signal;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::netns::Namespace;
use vrrp_lab::presence::{Presence, carriers};
use vrrp_lab::profile::Profile;

/// For what is done to a macvlan.
const MACVLAN: Setup = Setup {
    subject: Some("macvlan"),
    ..DIRECT
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "unplug",
        injected: "cable of router 1 unplugged at the switch for 2 s; the host keeps the hardware address it has and hears no gratuitous ARP",
        expected: "router 2 serves within 3 × Adv + Skew, router 1 takes back without a gap",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.unplug(0);
            std::thread::sleep(ms(2000));
            let back = Stamp::now();
            scene.plug(0);
            std::thread::sleep(ms(2000));
            let facts = scene.observer.facts(back, Stamp::now());
            scene.note_millis("gap at the return", millis(facts.through.longest));
        },
        limits: &[
            Within("gap", DOWN),
            Most("gap at the return", 20.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "flap-100",
        injected: "cable of router 1 down and up again at the switch, 20 ms each, 100 times",
        expected: "one takeover and one return, not a hundred; no storm of announcements",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            let end = scene.cable(0);
            let from = scene.from;
            for _ in 0..100 {
                scene.lan.switch.ip(&format!("link set {end} down"));
                std::thread::sleep(ms(15));
                scene.lan.switch.ip(&format!("link set {end} up"));
                std::thread::sleep(ms(15));
            }
            std::thread::sleep(ms(1500));
            let announced: usize = (0..2)
                .map(|index| scene.observer.announcements(index, from).len())
                .sum();
            scene.note("announcements", count(announced));
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            // Initialize, Backup and Active with each flap that lasts.
            Most("transitions 1", 202.0),
            Most("announcements", 30.0),
            // A line for each fault that comes and goes.
            Most("log lines", 450.0),
            Within("settled", 1500.0),
        ],
    },
    Row {
        name: "interface-deleted",
        injected: "eth0 of router 1 deleted, after 2 s made again with another hardware address",
        expected: "router 2 serves within 3 × Adv + Skew; router 1 comes back by itself and takes back without a gap",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.lan.routers[0].ip("link del eth0");
            std::thread::sleep(ms(2000));
            let back = Stamp::now();
            scene.renew_interface(0);
            std::thread::sleep(ms(3000));
            let facts = scene.observer.facts(back, Stamp::now());
            scene.note_millis("gap at the return", millis(facts.through.longest));
        },
        limits: &[
            Within("gap", DOWN),
            Most("gap at the return", 20.0),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "mac-changed",
        injected: "hardware address of eth0 of router 1 changed, five times",
        expected: "no takeover, no gap: the virtual address has its own",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            for n in 0..5 {
                scene.lan.routers[0].ip(&format!("link set eth0 address 02:00:00:00:77:0{n}"));
                std::thread::sleep(ms(400));
            }
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "renamed",
        injected: "eth0 of router 1 renamed for 2 s and renamed back",
        expected: "an interface that is configured by name is gone: router 2 serves within 3 × Adv + Skew, router 1 takes back",
        known: None,
        setup: PLAIN,
        inject: |scene| {
            scene.lan.routers[0].sh("ip link set eth0 name eth9 || { ip link set eth0 down && ip link set eth0 name eth9 && ip link set eth9 up; }");
            std::thread::sleep(ms(2000));
            scene.lan.routers[0].sh("ip link set eth9 name eth0 || { ip link set eth9 down && ip link set eth9 name eth0 && ip link set eth0 up; }");
            std::thread::sleep(ms(1500));
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "own-address-deleted",
        injected: "192.0.2.11 deleted from eth0 of router 1, back after 2 s",
        expected: "router 1 has nothing to send from: it hands over at once (Skew of router 2), and comes back",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.lan.routers[0].ip("addr del 192.0.2.11/24 dev eth0");
            std::thread::sleep(ms(2000));
            scene.lan.routers[0].ip("addr add 192.0.2.11/24 dev eth0");
            std::thread::sleep(ms(1500));
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "address-deleted",
        injected: "the virtual address deleted on router 1 by a stranger, ten times",
        expected: "back within 100 ms each time, no transition, reported",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let address = Profile::V3Ipv4.gateway();
            let presence = Presence::watch(&scene.lan.routers[0], address);
            std::thread::sleep(ms(50));
            let from = Stamp::now();
            for _ in 0..10 {
                let router = &scene.lan.routers[0];
                let device = router.enter(|| carriers(address));
                let device = device.first().expect("router 1 is Active");
                router.ip(&format!("addr del {address}/24 dev {device}"));
                std::thread::sleep(ms(250));
            }
            note_absences(scene, &presence, from);
        },
        limits: &[
            Within("longest absence", 100.0),
            Least("repairs reported", 1.0),
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "macvlan-deleted",
        injected: "the macvlan of router 1 deleted by a stranger, ten times",
        expected: "address back within 100 ms each time, no transition",
        known: None,
        setup: MACVLAN,
        inject: |scene| {
            let address = Profile::V3Ipv4.gateway();
            let presence = Presence::watch(&scene.lan.routers[0], address);
            std::thread::sleep(ms(50));
            let from = Stamp::now();
            for _ in 0..10 {
                let router = &scene.lan.routers[0];
                let device = router.enter(|| carriers(address));
                let device = device.first().expect("router 1 is Active");
                router.ip(&format!("link del {device}"));
                std::thread::sleep(ms(300));
            }
            note_absences(scene, &presence, from);
        },
        limits: &[
            Within("longest absence", 100.0),
            Least("repairs reported", 1.0),
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "macvlan-down",
        injected: "the macvlan of router 1 set down by a stranger, ten times",
        expected: "up again within 100 ms each time, no transition",
        known: None,
        setup: MACVLAN,
        inject: |scene| {
            let address = Profile::V3Ipv4.gateway();
            for _ in 0..10 {
                let router = &scene.lan.routers[0];
                let device = router.enter(|| carriers(address));
                let device = device.first().expect("router 1 is Active");
                router.ip(&format!("link set {device} down"));
                std::thread::sleep(ms(300));
            }
        },
        limits: &[
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "nft-flushed",
        injected: "accept-mode off; a stranger flushes all nft tables of router 1, five times",
        expected: "the filter is back within 100 ms, no transition, packets through the router are not lost",
        known: None,
        setup: Setup {
            adjust: |_, router| router.set("accept-mode", false),
            subject: Some("filter"),
            ..DIRECT
        },
        inject: |scene| {
            let router = &scene.lan.routers[0];
            let mut longest = Duration::ZERO;
            let mut missing = 0;
            for _ in 0..5 {
                let wanted = router.sh("nft list tables");
                assert!(!wanted.trim().is_empty(), "accept-mode off needs a table");
                router.sh("nft flush ruleset");
                let flushed = Stamp::now();
                let back = wait_for(ms(2000), || {
                    (router.sh("nft list tables") == wanted).then(Stamp::now)
                });
                match back {
                    Some(back) => longest = longest.max(back.since(flushed)),
                    None => missing += 1,
                }
                std::thread::sleep(ms(200));
            }
            scene.note_time("longest absence", longest);
            scene.note("never back", count(missing));
            let from = scene.from;
            let facts = scene.observer.facts(from, Stamp::now());
            // With accept-mode off the address itself answers no echo, but for the time without filter.
            scene.note_millis("gap", millis(facts.through.longest));
        },
        limits: &[
            Within("longest absence", 100.0),
            Most("never back", 0.0),
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "gate-removed",
        injected: "a stranger removes the gate's queueing discipline, with all its filters, from eth0 of router 1 and of router 2, five times each",
        expected: "back within 100 ms each time, no transition, no wrong hardware address; router 2 never answers",
        known: None,
        setup: Setup {
            bare: Some(
                "the host has the address, to accept packets to it, and until the gate is back its kernel gives out the physical address; it is announced again at once",
            ),
            ..DIRECT
        },
        inject: |scene| {
            let mut longest = Duration::ZERO;
            let mut missing = 0;
            for index in [0, 1].repeat(5) {
                let router = &scene.lan.routers[index];
                router.sh("tc qdisc del dev eth0 clsact");
                let removed = Stamp::now();
                let stands = || {
                    let sides = ["ingress", "egress"];
                    sides.iter().all(|side| {
                        let filters = router.sh(&format!("tc filter show dev eth0 {side}"));
                        filters.contains("vrrp-gate")
                    })
                };
                match wait_for(ms(2000), || stands().then(Stamp::now)) {
                    Some(back) => longest = longest.max(back.since(removed)),
                    None => missing += 1,
                }
                std::thread::sleep(ms(200));
            }
            scene.note_time("longest absence", longest);
            scene.note("never back", count(missing));
            let answered = scene.observer.answers(1, scene.from).len();
            scene.note("answers of the Backup", count(answered));
        },
        limits: &[
            Within("longest absence", 100.0),
            Most("never back", 0.0),
            Most("answers of the Backup", 0.0),
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "sysctl-flips",
        injected: "a stranger sets arp_ignore, arp_announce and accept_local of eth0, and arp_ignore and forwarding of the macvlan, of router 1 to 0, one after the other",
        expected: "each is back within 100 ms; no wrong hardware address, no transition, no gap",
        known: Some(
            "the kernel tells nobody when arp_ignore and its like change, and the daemon looks for itself once a second; until then the physical address answers, too",
        ),
        setup: DIRECT,
        inject: flip_sysctls,
        limits: &[
            Within("longest absence", 100.0),
            Most("never back", 0.0),
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "backup-sysctl-flips",
        injected: "a stranger sets arp_ignore of everything on router 2, the Backup, to 0 and forwarding to 1, ten times",
        expected: "router 2 never answers",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            for _ in 0..10 {
                scene.lan.routers[1].sh("for s in /proc/sys/net/ipv4/conf/*/arp_ignore; do echo 0 > $s; done; for s in /proc/sys/net/ipv4/conf/*/forwarding; do echo 1 > $s; done");
                std::thread::sleep(ms(250));
            }
            let from = scene.from;
            let answered = scene.observer.answers(1, from).len();
            scene.note("answers of the Backup", count(answered));
            let facts = scene.observer.facts(from, Stamp::now());
            scene.note("forwarded by the Backup", count(facts.forwarded[1]));
            scene.lan.routers[1].sysctl("ipv4/conf/all/arp_ignore=0");
        },
        limits: &[
            Most("answers of the Backup", 0.0),
            Most("forwarded by the Backup", 0.0),
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
            // The stranger's own changes to interfaces that are not the daemon's stay.
            Most("left behind", 20.0),
        ],
    },
    Row {
        name: "netlink-overrun",
        injected: "interval 1 s; router 1 stopped for half a second, in which a stranger changes a link 14,000 times and deletes the virtual address: more news than 32 MiB of socket hold",
        expected: "the daemon learns that it missed something and looks for itself: address back within 100 ms of SIGCONT, no transition",
        known: None,
        setup: Setup {
            adjust: |_, router| router.text("advertise-interval", "1s"),
            ..DIRECT
        },
        inject: overrun,
        limits: &[
            Least("messages dropped", 1.0),
            Within("address back after SIGCONT", 100.0),
            // The address is gone from when the stranger took it to when the daemon may run again.
            Within("gap", 1000.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "netlink-storm",
        injected: "600 bridges made and deleted on router 1, and the virtual address deleted in the middle",
        expected: "back within 100 ms of what the kernel's lock allows, no takeover",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let address = Profile::V3Ipv4.gateway();
            let presence = Presence::watch(&scene.lan.routers[0], address);
            std::thread::sleep(ms(50));
            let from = Stamp::now();
            let router = &scene.lan.routers[0];
            let device = router.enter(|| carriers(address));
            let device = device.first().expect("router 1 is Active").clone();
            let batch = |verb: &str, n: u32| format!("link {verb} nem{n} type bridge\n");
            let mut lines: String = (0..500).map(|n| batch("add", n)).collect();
            lines.push_str(&format!("addr del {address}/24 dev {device}\n"));
            lines.extend((500..600).map(|n| batch("add", n)));
            lines.extend((0..600).map(|n| format!("link set nem{n} group 77\n")));
            lines.push_str("link del group 77\n");
            router.ip(&lines);
            std::thread::sleep(ms(1000));
            note_absences(scene, &presence, from);
        },
        limits: &[
            Within("longest absence", 100.0),
            Least("repairs reported", 1.0),
            Most("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
];

/// Notes how long the address was away, as far as a look each half millisecond can tell, and what router 1 says of it.
fn note_absences(scene: &mut Scene, presence: &Presence, from: Stamp) {
    let absences = presence.absences(from);
    let longest = absences
        .iter()
        .map(|(_, lasted)| lasted.unwrap_or(Duration::from_secs(60)))
        .max()
        .unwrap_or_default();
    scene.note("absences seen", count(absences.len()));
    scene.note_time("longest absence", longest);
    let repairs = events(&scene.daemons[0])
        .iter()
        .filter(|(_, event)| event["kind"] == "repaired")
        .count();
    scene.note("repairs reported", count(repairs));
}

/// What the daemon has set, set otherwise.
fn flip_sysctls(scene: &mut Scene) {
    let router = &scene.lan.routers[0];
    let device = router.enter(|| carriers(Profile::V3Ipv4.gateway()));
    let device = device.first().expect("router 1 is Active").clone();
    let settings = [
        ("eth0 arp_ignore", "eth0", "arp_ignore"),
        ("eth0 arp_announce", "eth0", "arp_announce"),
        ("eth0 accept_local", "eth0", "accept_local"),
        ("macvlan arp_ignore", &device, "arp_ignore"),
        ("macvlan forwarding", &device, "forwarding"),
    ];
    // Without a macvlan the other two are the host's own.
    let settings = &settings[..if device == "eth0" { 3 } else { 5 }];
    let mut notes = Vec::new();
    let mut missing = 0;
    for &(name, interface, setting) in settings {
        let path = format!("ipv4/conf/{interface}/{setting}");
        let wanted = router.read_sysctl(&path);
        if wanted == "0" {
            continue;
        }
        router.sysctl(&format!("{path}=0"));
        let flipped = Stamp::now();
        let back = wait_for(ms(1500), || {
            (router.read_sysctl(&path) == wanted).then(Stamp::now)
        });
        if let Some(back) = back {
            notes.push((name, back.since(flipped)));
        } else {
            missing += 1;
            router.sysctl(&format!("{path}={wanted}"));
        }
        std::thread::sleep(ms(150));
    }
    let longest = notes.iter().map(|(_, longest)| *longest).max();
    for (name, longest) in &notes {
        scene.note_time(name, *longest);
    }
    scene.note_time("longest absence", longest.unwrap_or_default());
    scene.note("never back", count(missing));
}

/// More news from the kernel than the daemon's socket holds, and among what is lost the news that counts.
fn overrun(scene: &mut Scene) {
    let address = Profile::V3Ipv4.gateway();
    let router = &scene.lan.routers[0];
    let device = router.enter(|| carriers(address));
    let device = device.first().expect("router 1 is Active").clone();
    router.ip("link add nem type bridge\nlink set nem up");
    let mut lines: String = (0..12_000)
        .map(|n| format!("link set nem mtu {}\n", 1400 + n % 2))
        .collect();
    lines.push_str(&format!("addr del {address}/24 dev {device}\n"));
    lines.extend((0..2_000).map(|n| format!("link set nem mtu {}\n", 1400 + n % 2)));
    let before = drops(router);
    scene.daemons[0].signal(Signal::SIGSTOP);
    let stopped = Stamp::now();
    router.ip(&lines);
    let took = Stamp::now().since(stopped);
    let back = scene.daemons[0].signal(Signal::SIGCONT);
    let there = wait_for(ms(3000), || {
        (!router.enter(|| carriers(address)).is_empty()).then(Stamp::now)
    });
    let dropped = drops(router) - before;
    router.ip("link del nem");
    scene.note_time("stopped for", took);
    scene.note("messages dropped", dropped);
    scene.note_millis(
        "address back after SIGCONT",
        there.map_or(f64::INFINITY, |at| at.millis_since(back)),
    );
    let role = scene.daemons[0].state(NAME);
    scene.remark(format!("router 1 is {role}"));
}

/// Messages that netlink sockets of a namespace have lost for want of room.
fn drops(namespace: &Namespace) -> f64 {
    namespace
        .sh("cat /proc/net/netlink")
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(8)?.parse::<f64>().ok())
        .sum()
}
