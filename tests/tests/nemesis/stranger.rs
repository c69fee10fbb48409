//! What others on the same LAN do.

use crate::row::{DIRECT, DOWN, Limit, Row};
use crate::scene::{Scene, count, events, millis};
use Limit::{Least, Most, Within};
use std::net::IpAddr;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::flood::{Flooded, flood};
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::topology::cable;
use vrrp_lab::wire::{Advert, Arp, Checksum, Ethernet, Mac};

const NO_AUTHENTICATION: &str =
    "VRRPv3 has no authentication: whoever can send on the link can be Active (RFC 9568 §9)";

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "hostile-100k",
        injected: "third namespace: 100,000 broken packets a second of fourteen kinds to router 1, the Active, 5 s (sendmmsg; port isolation keeps them from the others)",
        expected: "no transition, no advertisement missed, no gap; at most a quarter of a processor; log and memory bounded",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            // Isolated ports reach the others only: router 1.
            for port in ["lan2", "lanc"] {
                isolate(scene, port, true);
            }
            let flooded = assault(scene, &broken(), 100_000, ms(5000));
            for port in ["lan2", "lanc"] {
                isolate(scene, port, false);
            }
            note_flood(scene, flooded);
            note_processor(scene, 0, flooded);
        },
        limits: &[
            Least("frames a second", 80_000.0),
            Within("longest silence", 100.0),
            Most("processor %", 25.0),
            Most("gap", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "hostile-both",
        injected: "the same to everyone, as fast as it goes, 5 s; two daemons, the switch and the sender share two processors",
        expected: "no transition, no advertisement missed, no gap; log and memory bounded",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let flooded = assault(scene, &broken(), 1_000_000, ms(5000));
            note_flood(scene, flooded);
            note_processor(scene, 1, flooded);
        },
        limits: &[
            Least("frames a second", 30_000.0),
            Within("longest silence", 100.0),
            Most("gap", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "forged-255",
        injected: "third namespace: 1,000 sound advertisements a second of priority 255, 3 s",
        expected: "served all the time",
        known: Some(NO_AUTHENTICATION),
        setup: DIRECT,
        inject: |scene| {
            let forged = [advert(255, 200).frame()];
            let flooded = assault(scene, &forged, 1000, ms(3000));
            note_flood(scene, flooded);
        },
        limits: &[Within("gap", DOWN)],
    },
    Row {
        name: "forged-255-after",
        injected: "as above; judged is what comes after",
        expected: "no crash, log bounded; served again within 3 × Adv + Skew of the last forged one, by one of the two, and in the end by router 1",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let forged = [advert(255, 200).frame()];
            let flooded = assault(scene, &forged, 1000, ms(1500));
            note_flood(scene, flooded);
            let last = Stamp::now();
            std::thread::sleep(ms(1500));
            let first = (0..2)
                .filter_map(|index| scene.observer.adverts(index, last).first().map(|s| s.at))
                .min();
            scene.note_millis(
                "active again after",
                first.map_or(f64::INFINITY, |at| at.millis_since(last)),
            );
            let facts = scene.observer.facts(last + ms(600), Stamp::now());
            scene.note_millis("gap later", millis(facts.through.longest));
        },
        limits: &[
            Within("active again after", DOWN),
            Most("gap later", 20.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "forged-0",
        injected: "third namespace: 1,000 sound advertisements a second of priority 0 in the name of router 1, 3 s",
        expected: "router 1 goes on; no second owner, no gap",
        known: Some(NO_AUTHENTICATION),
        setup: DIRECT,
        inject: |scene| {
            let forged = [advert(0, 11).frame()];
            let flooded = assault(scene, &forged, 1000, ms(3000));
            note_flood(scene, flooded);
        },
        limits: &[
            Most("gap", 20.0),
            Most("two owners", 0.0),
            Most("two Active", 0.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "forged-0-slow",
        injected: "third namespace: 12 such advertisements a second, 3 s",
        expected: "router 1 goes on; no second owner, no gap",
        known: Some(NO_AUTHENTICATION),
        setup: DIRECT,
        inject: |scene| {
            let forged = [advert(0, 11).frame()];
            let flooded = assault(scene, &forged, 12, ms(3000));
            note_flood(scene, flooded);
        },
        limits: &[
            Most("gap", 20.0),
            Most("two owners", 0.0),
            Most("two Active", 0.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "stranger-lower",
        injected: "third namespace: a router of another group with the same VRID, priority 50 and another address, every 100 ms, 3 s",
        expected: "no transition; the conflict is reported",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let other = foreign(50);
            let flooded = assault(scene, &[other], 10, ms(3000));
            note_flood(scene, flooded);
            note_reports(scene);
        },
        limits: &[
            Most("gap", 20.0),
            Least("reports", 1.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "stranger-equal",
        injected: "as above, of the priority of router 1 and a lower address",
        expected: "no transition: the higher address wins, one time for all; reported",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let other = other_group(200, "192.0.2.5").frame();
            let flooded = assault(scene, &[other], 10, ms(3000));
            note_flood(scene, flooded);
            note_reports(scene);
        },
        limits: &[
            Most("gap", 20.0),
            Least("reports", 1.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "stranger-higher",
        injected: "as above, of priority 250",
        expected: "served all the time; reported",
        known: Some(
            "RFC 9568 §6.4.3 has a router give way to any higher priority of its VRID, whatever addresses that one has (§7.1: it may only be reported)",
        ),
        setup: DIRECT,
        inject: |scene| {
            let flooded = assault(scene, &[foreign(250)], 10, ms(3000));
            note_flood(scene, flooded);
            note_reports(scene);
        },
        limits: &[Within("gap", DOWN), Least("reports", 1.0)],
    },
    Row {
        name: "claimed",
        injected: "third namespace: a host claims the virtual address by gratuitous ARP, ten times in 2 s",
        expected: "router 1 claims it back within a second (RFC 5227 §2.4 would allow ten), at a bounded rate; reported; no transition",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let address = std::net::Ipv4Addr::new(192, 0, 2, 254);
            let mac = Mac::played(66);
            let claim = Arp {
                operation: 1,
                sender_mac: mac,
                sender_ip: address,
                target_mac: Mac([0; 6]),
                target_ip: address,
            };
            let flooded = assault(scene, &[claim.frame_to(Mac::BROADCAST)], 5, ms(2000));
            let from = Stamp::now() - flooded.took;
            note_flood(scene, flooded);
            let back = scene.observer.announcements(0, from);
            scene.note("announcements", count(back.len()));
            scene.note_millis(
                "first after",
                back.first()
                    .map_or(f64::INFINITY, |at| at.millis_since(from)),
            );
            note_reports(scene);
        },
        limits: &[
            Within("first after", 1000.0),
            Least("announcements", 2.0),
            Most("announcements", 30.0),
            Least("reports", 1.0),
            Most("gap", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "mac-stolen",
        injected: "third namespace: frames from the virtual MAC address, five a second for 2 s; the switch sends the host's packets there",
        expected: "the next frame of router 1 from there, an advertisement at the latest, teaches the switch again: no outage longer than an interval; no transition",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let frame = Ethernet {
                destination: Mac::BROADCAST,
                source: Profile::V3Ipv4.virtual_mac(),
                ethertype: 0x88b5,
            };
            let flooded = assault(scene, &[frame.frame(&[0; 46])], 5, ms(2000));
            note_flood(scene, flooded);
        },
        limits: &[
            Within("gap", 100.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
];

/// Plugs a third namespace into the switch and floods from it.
fn assault(scene: &Scene, frames: &[Vec<u8>], rate: u32, span: Duration) -> Flooded {
    let stranger = Namespace::new("stranger");
    let switch = &scene.lan.switch;
    stranger.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
    cable((&stranger, "eth0"), (switch, "lans"));
    switch.ip("link set lans master lan\nlink set lans up");
    isolate(scene, "lans", true);
    stranger.ip("link set eth0 arp off\nlink set eth0 up");
    stranger.wait_carrier("eth0");
    // A namespace more is noise that the row should not have in it.
    std::thread::sleep(ms(300));
    flood(&stranger, "eth0", frames, rate, span)
}

/// Notes the rate, and how long the routers' own advertisements were apart.
fn note_flood(scene: &mut Scene, flooded: Flooded) {
    scene.note("frames a second", flooded.rate());
    let from = scene.from;
    let adverts = scene.observer.adverts(0, from);
    let longest = adverts
        .windows(2)
        .map(|pair| pair[1].at.millis_since(pair[0].at))
        .fold(0.0, f64::max);
    scene.note_millis("longest silence", longest);
}

/// Notes the share of a processor that the daemon of a router had.
fn note_processor(scene: &mut Scene, index: usize, flooded: Flooded) {
    let used = scene.processor(index);
    scene.note(
        "processor %",
        used.as_secs_f64() / flooded.took.as_secs_f64() * 100.0,
    );
}

/// Whether a port of the LAN's switch speaks to ports that are not isolated only.
fn isolate(scene: &Scene, port: &str, isolated: bool) {
    let word = if isolated { "on" } else { "off" };
    scene
        .lan
        .switch
        .sh(&format!("bridge link set dev {port} isolated {word}"));
}

/// Notes how many events of the routers tell of a stranger.
fn note_reports(scene: &mut Scene) {
    let reports: usize = scene
        .daemons
        .iter()
        .map(|daemon| {
            events(daemon)
                .iter()
                .filter(|(_, event)| {
                    ["conflict", "claimed", "refused", "odd"]
                        .iter()
                        .any(|kind| event["kind"] == **kind)
                })
                .count()
        })
        .sum();
    scene.note("reports", count(reports));
}

/// A sound advertisement for the virtual router from the address that ends in `last`, at 100 ms.
fn advert(priority: u8, last: u8) -> Advert {
    Advert::new(
        3,
        VRID,
        priority,
        10,
        &Profile::V3Ipv4.virtual_addresses(),
        IpAddr::from([192, 0, 2, last]),
    )
    // From the virtual MAC address it would be an attack on the switch, not on the protocol.
    .source_mac(Mac::played(66))
}

/// One of another group with the same VRID.
fn other_group(priority: u8, source: &str) -> Advert {
    Advert::new(
        3,
        VRID,
        priority,
        10,
        &[IpAddr::from([192, 0, 2, 77])],
        source.parse().expect("an address"),
    )
    .source_mac(Mac::played(66))
}

fn foreign(priority: u8) -> Vec<u8> {
    other_group(priority, "192.0.2.66").frame()
}

/// Broken packets of every kind.
fn broken() -> Vec<Vec<u8>> {
    let sound = || advert(254, 66);
    [
        sound().cut_to(7),
        sound().cut_to(0),
        sound().ttl(254),
        sound().ttl(1),
        sound().version(2),
        sound().version(15),
        sound().checksum(Checksum::OffBy(1)),
        sound().vrid(VRID + 1),
        sound().vrid(0),
        sound().kind(2),
        sound().count(200),
        sound().addresses(&[]),
        sound().extra(&[0; 1000]),
        sound().interval(0),
    ]
    .iter()
    .map(Advert::frame)
    .collect()
}
