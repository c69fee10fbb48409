//! A worker that dies is replaced, and nobody notices; and what happens when that cannot be done.
#![expect(
    clippy::print_stdout,
    reason = "the measured times are half of the result"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use vrrp_lab::capture::{Capture, announces, sighting};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, assert_within, ms, slack, wait_for};
use vrrp_lab::crowd::{self, Crowd};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::pair::{HIGHER, LOWER};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::{Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::stall;
use vrrp_lab::topology::Lan;

/// What the laboratory calls its router.
const NAME: &str = "lab";

/// An Active and its Backup, and the ports of both.
struct World {
    active: Daemon,
    backup: Daemon,
    ports: [Capture; 2],
    lan: Lan,
    profile: Profile,
    interval: Duration,
}

impl World {
    fn new(profile: Profile, interval: Duration, plane: &'static str) -> Self {
        let lan = Lan::new(2);
        let ports = ["lan1", "lan2"].map(|port| Capture::start(&lan.switch, port));
        let start = |index: usize, priority: u8| {
            let orders = Orders {
                plane: Some(plane),
                ..Orders::new(profile, priority, interval)
            };
            Daemon::start(&lan.routers[index], &file(&[ours(orders, "auto")]))
        };
        let active = start(0, HIGHER);
        active.wait_state(NAME, "active", ms(8000));
        let backup = start(1, LOWER);
        backup.wait_state(NAME, "backup", ms(3000));
        // Its announcements are over: the last round is six seconds after the first.
        std::thread::sleep(ms(6200));
        Self {
            active,
            backup,
            ports,
            lan,
            profile,
            interval,
        }
    }

    fn client(&self) -> Client {
        let upstream: IpAddr = if self.profile.is_ipv6() {
            "2001:db8:f::1"
        } else {
            "198.51.100.1"
        }
        .parse()
        .unwrap();
        let client = Client::start(&self.lan.client, &self.lan.upstream, upstream);
        std::thread::sleep(ms(500));
        client
    }

    /// The longest time without an advertisement of the Active.
    fn silence(&self, from: Stamp) -> Duration {
        let adverts = self.ports[0].adverts(from);
        adverts
            .windows(2)
            .map(|pair| pair[1].at.since(pair[0].at))
            .max()
            .unwrap_or(Duration::MAX)
    }

    fn events(&self) -> Vec<Value> {
        let output = self.active.ctl(&["events", "--json"]);
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// Waits for another worker than this one.
    fn await_successor(&self, worker: i32) {
        let another = wait_for(ms(2000), || {
            let status = self.active.try_status()?;
            (status["daemon"]["worker-pid"] != worker).then_some(())
        });
        assert!(another.is_some(), "no successor: {}", self.active.log());
    }
}

/// Whether the machine stood still for so long that what was lost says nothing.
fn excused(from: Stamp, interval: Duration) -> bool {
    stall::longest(from, Stamp::now()) > interval
}

fn nobody_notices(signal: Signal, profile: Profile, interval: Duration, plane: &'static str) {
    let world = World::new(profile, interval, plane);
    let client = world.client();
    let (active, backup) = (world.active.role(NAME), world.backup.role(NAME));
    let before = world.active.status()["daemon"].clone();
    let (events, keeper) = (world.events(), world.active.pid());
    let sent = world.active.counter(NAME, "advertisement-sent");
    let from = Stamp::now();
    for round in 0..3_u32 {
        let worker = world.active.worker();
        world.active.signal_worker(signal);
        if signal == Signal::SIGSEGV {
            // The first one, which no access to memory has caused, only takes a handler away.
            std::thread::sleep(ms(2));
            let _ = kill(Pid::from_raw(worker), signal);
        }
        world.await_successor(worker);
        std::thread::sleep(ms(300) + interval.mul_f64(f64::from(round) * 0.3));
    }
    std::thread::sleep(interval * 4);
    let (seen, silence) = (client.experience(from), world.silence(from));
    let span = u32::try_from(Stamp::now().since(from).as_millis()).unwrap();
    println!(
        "{signal}, {profile:?}, {plane}, {interval:?}: {} of {} lost, longest silence {silence:?}",
        seen.lost, seen.sent
    );
    let excuse = excused(from, interval);
    assert!(seen.lost == 0 || excuse, "{seen:?}: {}", world.active.log());
    assert!(
        world.backup.role(NAME) == backup || excuse,
        "the Backup took over"
    );
    assert!(
        world.active.role(NAME) == active || excuse,
        "the Active gave up"
    );
    let announced = world.ports[0].pick(from, |frame| {
        announces(frame, profile.gateway()).then_some(frame.at)
    });
    assert!(
        announced.is_empty() || excuse,
        "announced again: {announced:?}"
    );
    let claims = world.ports[1].adverts(from);
    assert!(
        claims.is_empty() || excuse,
        "{} claims of the Backup",
        claims.len()
    );

    // What was counted and remembered before is still known.
    let sent = world.active.counter(NAME, "advertisement-sent") - sent;
    let due = u64::from(span / u32::try_from(interval.as_millis()).unwrap());
    assert!(
        sent + 8 >= due || excuse,
        "{sent} advertisements counted in {span} ms"
    );
    let status = world.active.status();
    let daemon = &status["daemon"];
    for same in ["pid", "since", "config", "config-loaded"] {
        assert_eq!(daemon[same], before[same], "{same}");
    }
    assert_eq!(daemon["pid"], keeper);
    assert_eq!(daemon["restarts"], 3);
    assert_eq!(
        daemon["last-restart"]["reason"],
        format!("killed by {signal}")
    );
    assert_eq!(status["routers"][0]["kernel-in-step"], true);
    let now = world.events();
    assert_eq!(now[..events.len()], events[..], "the history has changed");
    let kinds: Vec<&Value> = now[events.len()..]
        .iter()
        .map(|event| &event["kind"])
        .collect();
    assert!(kinds == ["restart"; 3] || excuse, "{now:#?}");
}

#[test]
fn nobody_notices_sigkill() {
    nobody_notices(Signal::SIGKILL, Profile::V3Ipv4, ms(50), "macvlan");
}

#[test]
fn nobody_notices_a_segmentation_fault() {
    nobody_notices(Signal::SIGSEGV, Profile::V3Ipv6, ms(50), "macvlan");
}

/// What a panic ends with.
#[test]
fn nobody_notices_an_abort() {
    nobody_notices(Signal::SIGABRT, Profile::V3Ipv4, ms(100), "ebpf");
}

#[test]
fn nobody_notices_without_a_macvlan() {
    nobody_notices(Signal::SIGKILL, Profile::V3Ipv6, ms(50), "ebpf");
}

#[test]
fn nobody_notices_at_one_second() {
    nobody_notices(Signal::SIGKILL, Profile::V3Ipv4, ms(1000), "macvlan");
}

/// A Backup that was replaced takes over as ever.
#[test]
fn a_backup_goes_on_listening() {
    let world = World::new(Profile::V3Ipv4, ms(100), "macvlan");
    let received = world.backup.counter(NAME, "advertisement-rcvd");
    let worker = world.backup.worker();
    world.backup.signal_worker(Signal::SIGKILL);
    let back = wait_for(ms(2000), || {
        let status = world.backup.try_status()?;
        (status["daemon"]["worker-pid"] != worker).then_some(())
    });
    assert!(back.is_some(), "{}", world.backup.log());
    std::thread::sleep(ms(500));
    assert_eq!(world.backup.state(NAME), "backup");
    assert!(world.backup.counter(NAME, "advertisement-rcvd") > received);
    let mut world = world;
    let killed = world.active.kill();
    let last = world.ports[0].adverts(killed - ms(400)).last().unwrap().at;
    let limit = world.profile.down(LOWER, world.interval);
    let first = world.ports[1]
        .wait(killed, limit + ms(5000), |frame| {
            sighting(frame).map(|advert| advert.at)
        })
        .unwrap();
    assert_within("the Backup's first advertisement", last, first, limit);
}

/// Priority 0 in the name of a worker that dies again and again, nothing left behind, and exit status 1.
#[test]
fn who_cannot_be_replaced_is_released() {
    let mut world = World::new(Profile::V3Ipv4, ms(100), "macvlan");
    let from = Stamp::now();
    for _ in 0..4 {
        let worker = world.active.worker();
        world.active.signal_worker(Signal::SIGKILL);
        world.await_successor(worker);
        std::thread::sleep(ms(200));
    }
    assert!(
        world.ports[1].adverts(from).is_empty() || excused(from, world.interval),
        "the Backup took over too early"
    );
    let last = world.active.signal_worker(Signal::SIGKILL);
    let resigned = world.ports[0].wait(last, ms(1000), |frame| {
        sighting(frame).and_then(|advert| (advert.heard.priority() == 0).then_some(advert.at))
    });
    let resigned = resigned.unwrap_or_else(|| panic!("no priority 0: {}", world.active.log()));
    let skew = world.profile.skew(LOWER, world.interval);
    let first = world.ports[1]
        .wait(resigned, skew + ms(3000), |frame| {
            sighting(frame).map(|advert| advert.at)
        })
        .unwrap();
    assert_within(
        "priority 0 to the other's first advertisement",
        resigned,
        first,
        skew,
    );
    let status = world.active.wait(ms(3000));
    assert_eq!(status.code(), Some(1), "{}", world.active.log());
    let router = &world.lan.routers[0];
    assert_eq!(
        router.sh("ip -o link show type macvlan | wc -l").trim(),
        "0"
    );
    assert_eq!(
        router
            .sh("tc qdisc show dev eth0 | grep -c clsact || true")
            .trim(),
        "0"
    );
}

/// The worker does not outlive its keeper: nobody would replace it.
#[test]
fn without_a_keeper_the_worker_leaves_in_good_order() {
    let mut world = World::new(Profile::V3Ipv4, ms(100), "macvlan");
    let worker = world.active.worker();
    let killed = Stamp::now();
    kill(Pid::from_raw(world.active.pid()), Signal::SIGKILL).unwrap();
    let resigned = world.ports[0].wait(killed, ms(1000), |frame| {
        sighting(frame).and_then(|advert| (advert.heard.priority() == 0).then_some(advert.at))
    });
    assert!(resigned.is_some(), "no priority 0: {}", world.active.log());
    let gone = wait_for(ms(3000), || {
        (!std::fs::exists(format!("/proc/{worker}")).unwrap()).then_some(())
    });
    assert!(gone.is_some(), "the worker still runs");
    assert_eq!(world.active.wait(ms(1000)).signal(), Some(9));
    world.backup.wait_state(NAME, "active", ms(1000));
    let router = &world.lan.routers[0];
    assert_eq!(
        router.sh("ip -o link show type macvlan | wc -l").trim(),
        "0"
    );
    world.active.restart(&world.lan.routers[0]);
    world.active.wait_state(NAME, "active", ms(3000));
}

/// A worker that stands still is no dead one: its lease ends, and it finds itself replaced.
#[test]
fn a_worker_that_stands_still_is_fenced() {
    let world = World::new(Profile::V3Ipv4, ms(100), "macvlan");
    let worker = world.active.worker();
    world.active.signal_worker(Signal::SIGSTOP);
    world.backup.wait_state(NAME, "active", ms(3000));
    std::thread::sleep(ms(500));
    let continued = world.active.signal_worker(Signal::SIGCONT);
    let back = wait_for(ms(3000), || {
        (world.active.state(NAME) == "active").then_some(())
    });
    assert!(back.is_some(), "it does not come back");
    let daemon = world.active.status()["daemon"].clone();
    assert_eq!(daemon["restarts"], 0);
    assert_eq!(daemon["worker-pid"], worker);
    let first = world.ports[0].adverts(continued)[0].at;
    // It listened for its whole down interval before it spoke.
    assert!(
        first.since(continued) > ms(300),
        "{:?}",
        first.since(continued)
    );
}

/// Two hundred and fifty routers on one interface.
#[test]
fn no_router_of_250_is_silent_for_long() {
    let interval = crowd::INTERVAL;
    let crowd = Crowd::new();
    let (worker, struck) = (crowd.bench.daemon().worker(), Stamp::now());
    crowd.bench.daemon().signal_worker(Signal::SIGKILL);
    std::thread::sleep(ms(1500));
    let (status, longest) = crowd.as_before(struck - interval * 2);
    println!("longest gap of 250 routers: {longest:?}");
    assert_ne!(status["daemon"]["worker-pid"], worker);
    assert!(
        longest < interval * 3 + slack() || excused(struck, interval),
        "silent for {longest:?}"
    );
}
