//! How it stands on a link, beside what others put there.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use vrrp_gate::{Gate, GateError, Standing, Watch, remove};
use vrrp_proto::types::Family;

use crate::stream::{Stream, Way, header, virtual_mac};
use crate::world::{FOREVER, MILLISECOND, V4, V6, World, now, vrid};

impl World {
    fn disciplines(&self) -> String {
        self.router.sh("tc qdisc show dev r0")
    }
}

#[test]
fn a_successor_leaves_no_moment_unguarded() {
    let world = World::new();
    let (mut gate, leases) = world.guarded();
    for round in 0..20 {
        let streams = [
            Stream::start(
                (&world.router, "r0"),
                (&world.client, "c0"),
                || header(Way::Out, virtual_mac(1, 51)),
                Duration::from_micros(100),
            ),
            Stream::start(
                (&world.client, "c0"),
                (&world.router, "r0"),
                || header(Way::In, virtual_mac(1, 51)),
                Duration::from_micros(100),
            ),
        ];
        thread::sleep(Duration::from_millis(10));
        let old = world.filters("egress");
        // The predecessor died: nobody detached it.
        drop(gate);
        gate = world.gate("test");
        let next = gate.attach(world.r0, [V4]).unwrap();
        thread::sleep(Duration::from_millis(10));
        for stream in streams {
            let (sent, arrived) = stream.stop();
            assert!(sent.len() > 50, "{} frames sent", sent.len());
            assert_eq!(arrived.len(), 0, "round {round}: {arrived:?}");
        }
        let new = world.filters("egress");
        assert_eq!(new.matches("vrrp-gate/test").count(), 1, "{new}");
        assert_ne!(old, new);
        assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
        assert_eq!(next.deadline(V6.0, V6.1), None, "not asked for any more");
    }
    assert!(
        leases.deadline(V4.0, V4.1).is_some(),
        "the first table is still mapped"
    );
    // An open lease opens the successor's gate, so it was that which stopped the frames.
    gate.leases(world.r0).unwrap().extend(V4.0, V4.1, FOREVER);
    assert!(world.answers("10.9.0.51"));
}

#[test]
fn who_adopts_a_gate_goes_on_with_it() {
    let world = World::new();
    let (mut gate, leases) = world.guarded();
    leases.extend(V4.0, V4.1, FOREVER);
    let standing = world.filters("egress");
    let parts = gate.take_parts(world.r0).unwrap();
    assert!(gate.take_parts(world.r0).is_none(), "given once");
    // The process died.
    drop((gate, leases));
    let adopt = |parts| {
        let adopted = Gate::adopt("test", [(world.r0, parts)]);
        adopted.unwrap()
    };
    let mut gate = world.router.enter(|| adopt(parts));
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
    let leases = gate.leases(world.r0).unwrap();
    assert!(leases.guarded().eq([V4, V6]));
    assert!(leases.deadline(V4.0, V4.1).unwrap() > now());
    assert!(world.answers("10.9.0.51"));
    leases.close(V4.0, V4.1);
    assert!(!world.answers("10.9.0.51"));
    assert_eq!(world.filters("egress"), standing);
    // Also put back it is the one that was adopted.
    world.router.sh("tc qdisc del dev r0 clsact");
    gate.attach(world.r0, [V4]).unwrap();
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
    leases.extend(V4.0, V4.1, FOREVER);
    assert!(world.answers("10.9.0.51"));
}

#[test]
fn what_somebody_removed_is_noticed_and_put_back() {
    let world = World::new();
    let (mut gate, leases) = world.guarded();
    let watch = world.router.enter(|| Watch::open().unwrap());
    assert!(!watch.drain().unwrap());
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
    for line in [
        "tc qdisc del dev r0 clsact",
        "tc filter del dev r0 egress",
        "tc filter del dev r0 ingress",
    ] {
        let began = Instant::now();
        world.router.sh(line);
        while !watch.drain().unwrap() {
            assert!(began.elapsed() < Duration::from_secs(5), "{line}");
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(gate.observe(world.r0).unwrap(), Standing::Missing, "{line}");
        let same = gate.attach(world.r0, [V4]).unwrap();
        assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
        assert!(!world.answers("10.9.0.51"));
        // Both are the same leases.
        leases.extend(V4.0, V4.1, now() + 10_000 * MILLISECOND);
        assert_eq!(same.deadline(V4.0, V4.1), leases.deadline(V4.0, V4.1));
        assert!(world.answers("10.9.0.51"), "{line}");
        leases.close(V4.0, V4.1);
    }
}

#[test]
fn attaching_again_changes_nothing() {
    let world = World::new();
    let (mut gate, leases) = world.guarded();
    leases.extend(V4.0, V4.1, FOREVER);
    let before = (world.filters("ingress"), world.filters("egress"));
    gate.attach(world.r0, [V4, V6]).unwrap();
    assert_eq!(before, (world.filters("ingress"), world.filters("egress")));
    assert_eq!(
        leases.deadline(V4.0, V4.1),
        Some(FOREVER),
        "an Active that was interrupted"
    );
}

/// One that takes frames of our EtherType at the first priority, and one that copies them after the gate.
#[test]
fn filters_of_others_stay_and_work() {
    let world = World::new();
    world.router.sh("tc qdisc add dev r0 clsact
         ip link add i0 type ifb
         ip link set i0 up
         tc filter add dev r0 egress prio 1 protocol 0x88b5 u32 match u32 0 0 classid 1:1
         tc filter add dev r0 ingress prio 7 protocol 0x88b5 \\
            u32 match u32 0 0 action mirred egress mirror dev i0");
    let (mut gate, leases) = world.guarded();
    assert_eq!(
        gate.observe(world.r0).unwrap(),
        Standing::Behind,
        "a filter stands at the first priority"
    );
    let stream = || {
        Stream::start(
            (&world.client, "c0"),
            (&world.router, "r0"),
            || header(Way::In, virtual_mac(1, 51)),
            Duration::from_millis(1),
        )
    };
    let counted = || {
        let text = world
            .router
            .sh("tc -s filter show dev r0 ingress prio 7 protocol 0x88b5");
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "pkt").unwrap();
        words[at - 1].parse::<u64>().unwrap()
    };
    let closed = stream();
    thread::sleep(Duration::from_millis(50));
    assert!(closed.stop().1.is_empty());
    assert_eq!(
        counted(),
        0,
        "what the gate stops never comes to the next filter"
    );
    leases.extend(V4.0, V4.1, FOREVER);
    let open = stream();
    thread::sleep(Duration::from_millis(50));
    let (sent, arrived) = open.stop();
    let sent = u64::try_from(sent.len()).unwrap();
    assert_eq!(u64::try_from(arrived.len()).unwrap(), sent);
    assert_eq!(
        counted(),
        sent,
        "what the gate passes comes to the next filter"
    );
    world.router.sh("tc filter del dev r0 egress prio 1");
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);

    gate.detach(world.r0).unwrap();
    assert!(world.filters("ingress").contains("u32"));
    assert!(!world.filters("ingress").contains("vrrp-gate"));
    assert!(world.disciplines().contains("clsact"), "somebody else's");
    assert!(world.answers("10.9.0.51"));
}

#[test]
fn clsact_is_removed_by_who_made_it_and_only_if_it_is_empty() {
    let world = World::new();
    let (mut gate, _) = world.guarded();
    gate.detach(world.r0).unwrap();
    assert!(!world.disciplines().contains("clsact"));

    // Somebody else came later.
    let (mut gate, _) = world.guarded();
    world
        .router
        .sh("tc filter add dev r0 egress prio 9 protocol all u32 match u32 0 0 classid 1:1");
    gate.detach(world.r0).unwrap();
    assert!(world.filters("egress").contains("u32"));
    world.router.sh("tc qdisc del dev r0 clsact");

    // It was there before, and empty.
    world.router.sh("tc qdisc add dev r0 clsact");
    let (mut gate, _) = world.guarded();
    gate.detach(world.r0).unwrap();
    assert!(world.disciplines().contains("clsact"));
    world.router.sh("tc qdisc del dev r0 clsact");

    // A successor knows what its predecessor made.
    let (gate, _) = world.guarded();
    drop(gate);
    let (mut gate, _) = world.guarded();
    gate.detach(world.r0).unwrap();
    assert!(!world.disciplines().contains("clsact"));
    gate.detach(world.r0).unwrap();
}

#[test]
fn leftovers_are_those_of_this_owner_on_other_links() {
    let world = World::new();
    world
        .router
        .sh("ip link add d0 type bridge\nip link add d1 type bridge");
    let [d0, d1] = ["d0", "d1"].map(|name| world.router.index(name));
    let (mut old, mut other) = (world.gate("test"), world.gate("other"));
    for link in [world.r0, d0] {
        old.attach(link, [V4]).unwrap();
    }
    for link in [d0, d1] {
        other.attach(link, [V4]).unwrap();
    }
    drop(old);
    let mut new = world.gate("test");
    new.attach(world.r0, [V4]).unwrap();
    assert_eq!(new.remove_leftovers().unwrap(), 1);
    assert_eq!(new.observe(world.r0).unwrap(), Standing::First);
    assert_eq!(other.observe(d0).unwrap(), Standing::First);
    assert_eq!(other.observe(d1).unwrap(), Standing::First);
    let owners = world.router.sh("tc filter show dev d0 egress");
    assert!(!owners.contains("vrrp-gate/test"), "{owners}");
    assert_eq!(new.remove_leftovers().unwrap(), 0);

    let removed = |owner: &'static str| world.router.enter(|| remove(owner).unwrap());
    assert_eq!(removed("test"), 1);
    assert_eq!(new.observe(world.r0).unwrap(), Standing::Missing);
    assert_eq!(removed("nobody"), 0);
    assert_eq!(removed("other"), 2);
    assert_eq!(other.observe(d1).unwrap(), Standing::Missing);
}

/// Two daemons on one link, with a router each.
#[test]
fn two_owners_share_a_link() {
    let world = World::new();
    let (gate, leases) = world.guarded();
    let mut second = world.gate("second");
    let others = second.attach(world.r0, [(Family::Ipv4, vrid(52))]).unwrap();
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
    assert_eq!(second.observe(world.r0).unwrap(), Standing::First);
    assert!(!world.answers("10.9.0.51"));
    leases.extend(V4.0, V4.1, FOREVER);
    assert!(world.answers("10.9.0.51"));
    assert_eq!(others.deadline(V4.0, V4.1), None);
    second.detach(world.r0).unwrap();
    assert_eq!(gate.observe(world.r0).unwrap(), Standing::First);
}

#[test]
fn the_last_of_two_owners_takes_clsact_along() {
    let world = World::new();
    let (mut gate, _leases) = world.guarded();
    let mut second = world.gate("second");
    second.attach(world.r0, [(Family::Ipv4, vrid(52))]).unwrap();
    let there = || world.router.sh("tc qdisc show").contains("clsact");
    gate.detach(world.r0).unwrap();
    assert!(there());
    second.detach(world.r0).unwrap();
    assert!(!there());
}

#[test]
fn an_interface_that_cannot_have_a_gate_is_refused() {
    let world = World::new();
    let mut gate = world.gate("test");
    world.router.sh("ip link add d0 type bridge
         tc qdisc add dev d0 ingress
         ip tuntap add tun0 mode tun");
    let [d0, tun0] = ["d0", "tun0"].map(|name| world.router.index(name));
    let refused = gate.attach(d0, [V4]).unwrap_err();
    assert!(
        matches!(&refused, GateError::Obstructed { kind, .. } if kind == "ingress"),
        "{refused:?}"
    );
    assert!(matches!(
        gate.attach(tun0, [V4]).unwrap_err(),
        GateError::NotEthernet { .. }
    ));
    assert!(matches!(
        gate.attach(4_000_000, [V4]).unwrap_err(),
        GateError::Kernel { .. }
    ));
    assert_eq!(gate.observe(d0).unwrap(), Standing::Missing);
    gate.detach(4_000_000).unwrap();
    assert!(world.router.sh("tc qdisc show dev d0").contains("ingress"));
}

#[test]
fn the_owner_is_a_word() {
    for owner in ["", "a/b", "a b", "ä", "a\n", &"x".repeat(201)] {
        assert!(
            matches!(Gate::load(owner), Err(GateError::Owner(_))),
            "{owner:?}"
        );
    }
}

#[test]
fn leases_are_extended_and_never_shortened() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    let (family, other) = (V4.0, vrid(52));
    assert!(!leases.extend(family, other, 100), "not guarded");
    leases.close(family, other);
    assert_eq!(leases.deadline(family, other), None);
    leases.guard(family, other);
    assert!(leases.deadline(family, other).unwrap() < now());
    assert!(leases.extend(family, other, 100));
    assert!(leases.extend(family, other, 100));
    assert!(leases.extend(family, other, 99), "longer already");
    assert_eq!(leases.deadline(family, other), Some(100));
    leases.guard(family, other);
    assert_eq!(leases.deadline(family, other), Some(100));
    leases.close(family, other);
    assert!(leases.deadline(family, other).unwrap() < 100);
    leases.release(family, other);
    assert_eq!(leases.deadline(family, other), None);
}

/// Run by the test below, as nobody.
#[test]
#[ignore = "a process of another test"]
fn without_permission() {
    match Gate::load("test") {
        Err(GateError::Permission { missing }) => panic!("refused: {missing}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_is_missing_is_said() {
    // A copy, because nobody may not look into the build's folder.
    let copy = std::env::temp_dir().join(format!("vrrp-gate-{}", std::process::id()));
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let nobody = ["--reuid=65534", "--clear-groups", "--bounding-set=-all"];
    let text = load_as(&copy, &nobody);
    std::fs::remove_file(&copy).unwrap();
    assert!(
        text.contains("refused: no CAP_BPF, no CAP_NET_ADMIN"),
        "{text}"
    );
    assert!(if_nametoindex("lo").is_ok());
}

/// The kernel is stricter with programs of those who have no CAP_PERFMON.
#[test]
fn two_capabilities_are_enough() {
    let program = std::env::current_exe().unwrap();
    let text = load_as(&program, &["--bounding-set=-all,+bpf,+net_admin"]);
    assert!(text.contains("not refused: Ok(Gate"), "{text}");
}

/// What a process says that tries to load the gate with these privileges.
fn load_as(program: &Path, privileges: &[&str]) -> String {
    let output = Command::new("timeout")
        .args(["20", "setpriv", "--inh-caps=-all"])
        .args(privileges)
        .arg(program)
        .args(["--exact", "standing::without_permission", "--ignored"])
        .output();
    String::from_utf8_lossy(&output.unwrap().stdout).into_owned()
}
