//! What passes, and what does not.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::thread;
use std::time::Duration;

use vrrp_gate::Counters;
use vrrp_proto::types::{Family, MacAddress};

use crate::stream::{Stream, TYPE, Way, header, virtual_mac};
use crate::world::{FOREVER, MILLISECOND, V4, V6, World, now, vrid};

const PACE: Duration = Duration::from_millis(1);
const WHILE: Duration = Duration::from_millis(100);

/// How many of these frames were sent, and how many arrived.
fn count(world: &World, way: Way, frame: Vec<u8>) -> (u64, u64) {
    let (client, router) = ((&world.client, "c0"), (&world.router, "r0"));
    let (from, to) = match way {
        Way::In => (client, router),
        Way::Out => (router, client),
    };
    let stream = Stream::start(from, to, move || frame.clone(), PACE);
    thread::sleep(WHILE);
    let (sent, arrived) = stream.stop();
    let sent = u64::try_from(sent.len()).unwrap();
    assert!(sent > 10, "{sent} frames sent");
    (sent, u64::try_from(arrived.len()).unwrap())
}

fn all_pass(world: &World, way: Way, frame: Vec<u8>) {
    let (sent, arrived) = count(world, way, frame);
    assert_eq!(arrived, sent);
}

fn none_pass(world: &World, way: Way, frame: Vec<u8>) {
    assert_eq!(count(world, way, frame).1, 0);
}

#[test]
fn closed_there_is_no_answer_and_nothing_is_forwarded() {
    let world = World::new();
    world.client.sh("ip route add 10.10.0.1 via 10.9.0.51");
    assert!(world.answers("10.9.0.51") && world.answers("10.10.0.1"));
    let (_gate, leases) = world.guarded();
    for address in ["10.9.0.51", "fd09::51"] {
        assert!(!world.answers(address));
        let neighbour = world.client.sh(&format!("ip neigh show {address} dev c0"));
        assert!(
            !neighbour.contains("lladdr"),
            "somebody answered: {neighbour}"
        );
    }
    world.client.sh(
        "ip neigh replace 10.9.0.51 lladdr 00:00:5e:00:01:33 dev c0 nud permanent
         ip neigh replace fd09::51 lladdr 00:00:5e:00:02:33 dev c0 nud permanent",
    );
    assert!(!world.pings("10.9.0.51"), "an echo");
    assert!(!world.pings("fd09::51"), "an echo");
    assert!(!world.pings("10.10.0.1"), "forwarded");
    // Of its own addresses the host goes on to answer.
    assert!(world.answers("10.9.0.1") && world.answers("fd09::1"));
    let counters = leases.counters(V4.0, V4.1).unwrap();
    assert!(counters.dropped_in > 0, "{counters:?}");
    assert_eq!(counters.passed_in + counters.passed_out, 0, "{counters:?}");
}

#[test]
fn extended_everything_passes() {
    let world = World::new();
    world.client.sh("ip route add 10.10.0.1 via 10.9.0.51");
    let (_gate, leases) = world.guarded();
    assert!(leases.extend(V4.0, V4.1, FOREVER));
    assert!(leases.extend(V6.0, V6.1, FOREVER));
    for address in ["10.9.0.51", "fd09::51", "10.10.0.1"] {
        assert!(world.answers(address), "{address}");
    }
    leases.close(V4.0, V4.1);
    assert!(!world.answers("10.9.0.51"));
    assert!(world.answers("fd09::51"), "the families are independent");
    leases.release(V4.0, V4.1);
    assert!(world.answers("10.9.0.51"), "not guarded any more");
}

#[test]
fn each_frame_is_counted() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    let frame = |way| header(way, virtual_mac(1, 51));
    let (dropped_in, _) = count(&world, Way::In, frame(Way::In));
    let (dropped_out, _) = count(&world, Way::Out, frame(Way::Out));
    leases.extend(V4.0, V4.1, FOREVER);
    let (passed_in, arrived_in) = count(&world, Way::In, frame(Way::In));
    let (passed_out, arrived_out) = count(&world, Way::Out, frame(Way::Out));
    assert_eq!((arrived_in, arrived_out), (passed_in, passed_out));
    assert_eq!(
        leases.counters(V4.0, V4.1).unwrap(),
        Counters {
            passed_in,
            dropped_in,
            passed_out,
            dropped_out
        }
    );
    assert_eq!(
        leases.counters(Family::Ipv4, vrid(52)).unwrap(),
        Counters::default()
    );
}

/// Where frames come from that the router sends with its virtual MAC address.
fn sources(world: &World) -> BTreeSet<[u8; 6]> {
    let frame = || header(Way::Out, virtual_mac(1, 51));
    let stream = Stream::start((&world.router, "r0"), (&world.client, "c0"), frame, PACE);
    thread::sleep(WHILE);
    let (sent, arrived) = stream.stop();
    assert_eq!(arrived.len(), sent.len());
    arrived.iter().map(|frame| frame.source).collect()
}

#[test]
fn muted_it_serves_and_speaks_with_the_interfaces_own_address() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    let (own, virtual_mac) = (world.physical(), virtual_mac(1, 51));
    leases.mute(V4.0, V4.1);
    assert!(!world.answers("10.9.0.51"), "what is closed stays closed");
    leases.extend(V4.0, V4.1, FOREVER);
    leases.mute(V4.0, V4.1);
    assert_eq!(
        sources(&world),
        [virtual_mac].into(),
        "its own is not known yet"
    );
    leases.set_own_mac(MacAddress(own));
    assert!(leases.is_muted(V4.0, V4.1));
    assert_eq!(sources(&world), [own].into());
    assert!(world.answers("10.9.0.51"));
    all_pass(&world, Way::In, header(Way::In, virtual_mac));
    // Active again: also if the new lease ends before the old one would have.
    assert!(leases.extend(V4.0, V4.1, now() + 10_000 * MILLISECOND));
    assert!(!leases.is_muted(V4.0, V4.1));
    assert_eq!(sources(&world), [virtual_mac].into());
}

/// A switch learns from whoever spoke last: an answer that comes after the successor's first word leads its traffic back.
#[test]
fn hushed_it_serves_and_says_nothing_of_its_addresses() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    let (own, virtual_mac) = (world.physical(), virtual_mac(1, 51));
    leases.set_own_mac(MacAddress(own));
    assert!(!leases.hush(V4.0, V4.1));
    assert!(!world.answers("10.9.0.51"), "what is closed stays closed");
    leases.extend(V4.0, V4.1, FOREVER);
    assert!(leases.hush(V4.0, V4.1));
    all_pass(&world, Way::In, header(Way::In, virtual_mac));
    assert_eq!(sources(&world), [own].into());
    let asks_anew = || {
        world.client.sh("ip neigh flush dev c0");
        world.answers("10.9.0.51")
    };
    assert!(!asks_anew());
    leases.mute(V4.0, V4.1);
    assert!(!asks_anew(), "it stays so");
    // Active again.
    assert!(leases.extend(V4.0, V4.1, now() + 10_000 * MILLISECOND));
    assert!(asks_anew());
    assert_eq!(sources(&world), [virtual_mac].into());
}

#[test]
fn what_is_not_guarded_passes() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    for address in [
        // routers of others: another VRID, and the other family of one that is guarded nowhere
        virtual_mac(1, 52),
        virtual_mac(2, 50),
        virtual_mac(1, 0),
        // no virtual addresses, each different in one byte
        virtual_mac(0, 51),
        virtual_mac(3, 51),
        [2, 0, 0x5e, 0, 1, 51],
        [0, 2, 0x5e, 0, 1, 51],
        [0, 0, 0x5f, 0, 1, 51],
        [0, 0, 0x5e, 1, 1, 51],
    ] {
        all_pass(&world, Way::In, header(Way::In, address));
        all_pass(&world, Way::Out, header(Way::Out, address));
    }
    // To and from the physical address; from a virtual one coming in, to a virtual one going out: those are of a peer.
    all_pass(&world, Way::In, header(Way::Out, virtual_mac(1, 51)));
    all_pass(&world, Way::Out, header(Way::In, virtual_mac(1, 51)));
    assert_eq!(
        leases.counters(V4.0, V4.1).unwrap(),
        Counters::default(),
        "a frame that is not of this router"
    );
}

/// The same VRID may stand on the VLAN, which is another link with a gate of its own. A tag with the identifier 0 says
/// priority only. On the way out the tag is in the frame; on the way in, the kernel has taken it off and keeps it beside.
#[test]
fn frames_of_a_vlan_are_left_to_its_gate() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    let tagged = |way, identifier: u16| {
        let mut frame = header(way, virtual_mac(1, 51));
        frame.truncate(12);
        frame.extend_from_slice(&0x8100_u16.to_be_bytes());
        frame.extend_from_slice(&identifier.to_be_bytes());
        frame.extend_from_slice(&TYPE.to_be_bytes());
        frame
    };
    const PRIORITY: u16 = 7 << 13;
    for way in [Way::In, Way::Out] {
        none_pass(&world, way, tagged(way, PRIORITY));
        all_pass(&world, way, tagged(way, PRIORITY | 10));
    }
    leases.extend(V4.0, V4.1, FOREVER);
    all_pass(&world, Way::In, tagged(Way::In, PRIORITY));
}

/// 64 kB at once, which the interface would cut into packets.
#[test]
fn large_segments_pass_and_stop() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    leases.extend(V4.0, V4.1, FOREVER);
    let listener = world
        .router
        .enter(|| TcpListener::bind("10.9.0.51:7000").unwrap());
    let reader = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(1)))
            .unwrap();
        let (mut total, mut buffer) = (0, vec![0; 1 << 20]);
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            total += length;
        }
        total
    });
    let mut stream = world
        .client
        .enter(|| TcpStream::connect("10.9.0.51:7000").unwrap());
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..50 {
        stream.write_all(&block).unwrap();
    }
    let large = leases.counters(V4.0, V4.1).unwrap();
    let frames = (50 << 20) / 1500;
    assert!(
        large.passed_in < frames,
        "{large:?}: nothing larger than a packet was tried"
    );
    thread::sleep(Duration::from_millis(100));
    leases.close(V4.0, V4.1);
    // Until the buffers are full.
    while stream.write_all(&block).is_ok() {}
    assert!(leases.counters(V4.0, V4.1).unwrap().dropped_in > 0);
    assert_eq!(reader.join().unwrap(), 50 << 20);
}

/// The price of the gate in the time of its programs, as the kernel measures it.
#[test]
fn the_price_of_a_frame() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    leases.extend(V4.0, V4.1, now() + 60_000 * MILLISECOND);
    let _measured = Statistics::on();
    for (what, address) in [
        ("guarded", virtual_mac(1, 51)),
        ("not guarded", virtual_mac(1, 52)),
        ("no virtual address", [2, 0, 0, 0, 0, 7]),
    ] {
        for way in [Way::In, Way::Out] {
            price(&world, what, way, header(way, address));
        }
    }
}

/// Prints what a program spends on such a frame.
pub fn price(world: &World, what: &str, way: Way, frame: Vec<u8>) {
    let (client, router) = ((&world.client, "c0"), (&world.router, "r0"));
    let (side, from, to) = match way {
        Way::In => ("ingress", client, router),
        Way::Out => ("egress", router, client),
    };
    let before = run_time(world, side);
    let stream = Stream::start(from, to, move || frame.clone(), Duration::ZERO);
    thread::sleep(Duration::from_millis(300));
    stream.stop();
    match (before, run_time(world, side)) {
        (Some(before), Some(after)) if after.1 > before.1 => println!(
            "{side}, {what}: {} ns a frame, {} frames",
            (after.0 - before.0) / (after.1 - before.1),
            after.1 - before.1
        ),
        _ => println!("{side}, {what}: the kernel does not measure programs"),
    }
}

/// The kernel measures programs while this lives.
pub struct Statistics(Option<String>);

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl Statistics {
    pub fn on() -> Self {
        let before = std::fs::read_to_string(SWITCH).ok();
        // Without it there is nothing to print, which is said.
        let _ = std::fs::write(SWITCH, "1");
        Self(before)
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = std::fs::write(SWITCH, before);
        }
    }
}

/// Nanoseconds and runs of the program of this side so far.
fn run_time(world: &World, side: &str) -> Option<(u64, u64)> {
    let filters = world.filters(side);
    let id = filters
        .split_whitespace()
        .skip_while(|word| *word != "id")
        .nth(1)?;
    let id: u32 = id.parse().ok()?;
    let program = aya::programs::loaded_programs()
        .flatten()
        .find(|program| program.id() == id)?;
    let open = program.fd().ok()?;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", open.as_fd().as_raw_fd()));
    let text = text.ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    Some((field("run_time_ns:")?, field("run_cnt:")?))
}
