//! When it stops.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::net::if_::if_nametoindex;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use vrrp_gate::{Gate, Standing};
use vrrp_proto::types::Family;

use crate::stream::{Arrival, Stream, Way, header, virtual_mac};
use crate::world::{MILLISECOND, V4, World, now, vrid};

const PACE: Duration = Duration::from_micros(100);
const LEASE: u64 = 30 * MILLISECOND;
const PERIOD: Duration = Duration::from_millis(10);
const TRIALS: usize = 20;
/// A shared machine may stand still for so long between the stamp of a frame and the gate.
const STALL: u64 = 20 * MILLISECOND;

fn outgoing(world: &World) -> Stream {
    Stream::start(
        (&world.router, "r0"),
        (&world.client, "c0"),
        || header(Way::Out, virtual_mac(1, 51)),
        PACE,
    )
}

fn incoming(world: &World) -> Stream {
    Stream::start(
        (&world.client, "c0"),
        (&world.router, "r0"),
        || header(Way::In, virtual_mac(1, 51)),
        PACE,
    )
}

/// The last of them. Each was stamped before it met the gate, and what was sent after the deadline must not be among them.
fn last(arrivals: &[Arrival], deadline: u64) -> Arrival {
    let late: Vec<_> = arrivals
        .iter()
        .filter(|arrival| arrival.sent >= deadline)
        .collect();
    assert!(late.is_empty(), "sent after the deadline: {late:?}");
    *arrivals.last().unwrap()
}

#[test]
fn an_expired_lease_stops_at_its_deadline() {
    let world = World::new();
    let (_gate, leases) = world.guarded();
    for (way, start) in [
        ("out", outgoing as fn(&World) -> Stream),
        ("in", incoming as fn(&World) -> Stream),
    ] {
        let mut lateness = Vec::new();
        for _ in 0..TRIALS {
            let stream = start(&world);
            let deadline = now() + LEASE;
            assert!(leases.extend(V4.0, V4.1, deadline));
            let opened = now();
            thread::sleep(Duration::from_millis(60));
            let (sent, arrivals) = stream.stop();
            let last = last(&arrivals, deadline);
            let open = opened..deadline - STALL;
            assert_eq!(
                sent.iter().filter(|stamp| open.contains(stamp)).count(),
                arrivals
                    .iter()
                    .filter(|frame| open.contains(&frame.sent))
                    .count(),
                "all pass before"
            );
            let late = i64::try_from(last.received).unwrap() - i64::try_from(deadline).unwrap();
            lateness.push(late / 1000);
            leases.close(V4.0, V4.1);
        }
        lateness.sort_unstable();
        println!(
            "{way}: last frame received after the deadline, us: min {} median {} max {}",
            lateness[0],
            lateness[TRIALS / 2],
            lateness[TRIALS - 1]
        );
    }
}

#[test]
fn a_stopped_process_is_off_the_wire_within_its_lease() {
    fenced(Signal::SIGSTOP);
}

#[test]
fn a_killed_process_is_off_the_wire_within_its_lease() {
    fenced(Signal::SIGKILL);
}

fn fenced(signal: Signal) {
    let world = World::new();
    let mut after = Vec::new();
    let mut tries = 0;
    while after.len() < TRIALS {
        tries += 1;
        assert!(tries <= 3 * TRIALS, "it never got to extend its lease");
        let keeper = Keeper::start(&world);
        let stream = outgoing(&world);
        // At any phase of its period.
        thread::sleep(Duration::from_micros(25_000 + now() % 10_000));
        let began = now();
        keeper.send(signal);
        keeper.wait_until_it_does_nothing();
        let deadline = now() + LEASE;
        thread::sleep(Duration::from_millis(80));
        let (_, arrivals) = stream.stop();
        let last = last(&arrivals, deadline);
        assert!(
            !world.answers("10.9.0.51"),
            "what is left behind answers to ARP"
        );
        // On a machine that stands still it may have missed its time before the signal.
        if last.sent > began {
            after.push((last.sent - began) / 1000);
        }
    }
    after.sort_unstable();
    println!(
        "{signal}, lease {} ms each {} ms: the last frame that passed was sent after, us: min {} median {} max {} of {TRIALS} ({tries} tries)",
        LEASE / MILLISECOND,
        PERIOD.as_millis(),
        after[0],
        after[TRIALS / 2],
        after[TRIALS - 1]
    );
}

/// Programs of the kernel know no time namespaces.
#[test]
fn a_time_namespace_makes_no_lease_longer_or_shorter() {
    let world = World::new();
    for boottime in ["100000", "-10"] {
        let command = ["unshare", "--time", "--boottime", boottime];
        let keeper = Keeper::start_as(&world, &command);
        let stream = outgoing(&world);
        thread::sleep(Duration::from_millis(50));
        keeper.send(Signal::SIGSTOP);
        keeper.wait_until_it_does_nothing();
        let deadline = now() + LEASE;
        thread::sleep(Duration::from_millis(80));
        last(&stream.stop().1, deadline);
    }
}

/// A process that extends a lease for as long as it lives.
struct Keeper(Child);

impl Keeper {
    /// Waits until frames pass.
    fn start(world: &World) -> Self {
        Self::start_as(world, &[])
    }

    /// The same, started by this command.
    fn start_as(world: &World, command: &[&str]) -> Self {
        let this = std::env::current_exe().unwrap();
        let child = Command::new("timeout")
            .args(["60", "ip", "netns", "exec", world.router.name()])
            .args(command)
            .arg(this)
            .args(["--exact", "time::keeper", "--ignored", "--test-threads=1"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let keeper = Self(child);
        let began = Instant::now();
        while !world.filters("egress").contains("vrrp-gate/keeper") || !world.answers("10.9.0.51") {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        keeper
    }

    /// The process itself, below `timeout`, which `ip` becomes.
    fn pid(&self) -> i32 {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let text = std::fs::read_to_string(children).unwrap();
        text.trim().parse().unwrap()
    }

    fn send(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// All its threads are stopped, or it is gone.
    fn wait_until_it_does_nothing(&self) {
        loop {
            let children = format!("/proc/{0}/task/{0}/children", self.0.id());
            let text = std::fs::read_to_string(children).unwrap_or_default();
            let Ok(pid) = text.trim().parse::<i32>() else {
                return;
            };
            let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
                return;
            };
            let idle = |path: std::path::PathBuf| {
                let status = std::fs::read_to_string(path.join("status")).unwrap_or_default();
                ["State:\tT", "State:\tZ", "State:\tX"]
                    .iter()
                    .any(|state| status.contains(state))
            };
            if tasks.flatten().all(|task| idle(task.path())) {
                return;
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let text = std::fs::read_to_string(children).unwrap_or_default();
        if let Ok(pid) = text.trim().parse() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}

/// What such a process does. It is started by the tests above, and ends with a signal.
#[test]
#[ignore = "a process of other tests"]
fn keeper() {
    let Ok(r0) = if_nametoindex("r0") else {
        // Somebody runs all ignored tests.
        return;
    };
    let mut gate = Gate::load("keeper").unwrap();
    let leases = gate.attach(r0, [V4]).unwrap();
    loop {
        leases.extend(V4.0, V4.1, now() + LEASE);
        thread::sleep(PERIOD);
    }
}

#[test]
fn a_thousand_leases_are_extended_in_microseconds() {
    let world = World::new();
    let links = 4;
    let mut gate = world.gate("test");
    let routers: Vec<_> = (1..=250)
        .map(|number| (Family::Ipv4, vrid(number)))
        .collect();
    let mut tables = Vec::new();
    for link in 0..links {
        world.router.sh(&format!("ip link add d{link} type bridge"));
        let index = world.router.index(&format!("d{link}"));
        let began = Instant::now();
        tables.push(gate.attach(index, routers.iter().copied()).unwrap());
        let attached = began.elapsed();
        let began = Instant::now();
        assert_eq!(gate.observe(index).unwrap(), Standing::First);
        println!(
            "attached in {attached:?}, observed in {:?}",
            began.elapsed()
        );
    }
    let mut times: Vec<_> = (0..100)
        .map(|_| {
            let deadline = now() + LEASE;
            let began = Instant::now();
            for table in &tables {
                for (family, vrid) in &routers {
                    assert!(table.extend(*family, *vrid, deadline));
                }
            }
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!(
        "1000 leases extended in {:?} (median), {:?} (max of 100)",
        times[50], times[99]
    );
    assert!(times[50] < Duration::from_millis(1));
}
