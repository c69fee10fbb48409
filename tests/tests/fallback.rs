//! A daemon that may load no program into the kernel: its leases are kept by nftables, and it is off the wire all the same
//! when it dies or stands still.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use nix::sys::signal::Signal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Capture, Frame, answer_for};
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;
use vrrp_lab::tester::{Host, Repeater, question};
use vrrp_lab::wire::{Ethernet, Ip, icmp_echo};

const INTERVAL: Duration = ms(100);
const FORBIDDEN: &str = "exec setpriv --bounding-set=-bpf,-sys_admin \"$@\"";
/// How often the router is asked for each kind of answer.
const STEP: Duration = ms(2);

/// One at a time: they measure.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // The failure of another test is no reason not to run this one.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A router that answers pings, alone on its LAN, with hosts on both sides.
struct Scene {
    bench: Bench,
    daemon: Daemon,
    profile: Profile,
    host: Host,
    far: Host,
}

impl Scene {
    fn new(profile: Profile) -> Self {
        let bench = Bench::new(profile);
        let router = Router::new(NAME, profile)
            .text("advertise-interval", "100ms")
            .text("data-plane", "macvlan")
            .set("accept-mode", true);
        let daemon = Daemon::launch_by(&bench.dut, &file(&[router]), FORBIDDEN);
        let (host, far) = (bench.host(), bench.far_host());
        let scene = Self {
            bench,
            daemon,
            profile,
            host,
            far,
        };
        scene.wait_serving(Stamp::now());
        scene
    }

    /// Asks for everything that an Active does, all the time.
    fn questions(&self) -> [Repeater; 3] {
        let (host, gateway) = (self.host, self.profile.gateway());
        let through = |ip: &Ip, payload: &[u8]| {
            Ethernet {
                destination: self.profile.virtual_mac(),
                source: host.mac,
                ethertype: ip.ethertype(),
            }
            .frame(&ip.packet(payload))
        };
        let icmp = if gateway.is_ipv4() { 1 } else { 58 };
        let frames = [
            question(host, gateway, None),
            through(
                &Ip::new(host.ip, gateway, 64, icmp),
                &icmp_echo(host.ip, gateway, 1, 1),
            ),
            // To be forwarded; of a protocol that nobody knows.
            through(&Ip::new(host.ip, self.far.ip, 64, 253), &[0; 8]),
        ];
        frames.map(|frame| self.bench.lan.repeat_frame(frame, STEP))
    }

    /// How often it was asked for each.
    fn asked(&self, from: Stamp) -> [usize; 3] {
        let (host, mac) = (self.host.mac, self.profile.virtual_mac());
        let outgoing = |wanted: &dyn Fn(&Frame) -> bool| {
            let lan = &self.bench.lan.log;
            lan.pick(from, |frame| {
                let asks = frame.outgoing && frame.packet.ethernet.source == host;
                (asks && wanted(frame)).then_some(())
            })
            .len()
        };
        let to_all = |frame: &Frame| frame.packet.ethernet.destination.0[0] & 1 == 1;
        let to_router = |frame: &Frame| frame.packet.ethernet.destination == mac;
        let is_echo = |frame: &Frame| frame.packet.echo().is_some();
        [
            outgoing(&to_all),
            outgoing(&|frame| to_router(frame) && is_echo(frame)),
            outgoing(&|frame| to_router(frame) && !is_echo(frame)),
        ]
    }

    /// When the router did what, as far as it shows: answers about addresses, to pings, and what it forwarded.
    fn served(&self, from: Stamp) -> [Vec<Stamp>; 3] {
        let gateway = self.profile.gateway();
        let incoming = |log: &Capture, wanted: &dyn Fn(&Frame) -> bool| {
            log.pick(from, |frame| {
                (!frame.outgoing && wanted(frame)).then_some(frame.at)
            })
        };
        let lan = &self.bench.lan.log;
        [
            incoming(lan, &|frame| answer_for(frame, gateway).is_some()),
            incoming(lan, &|frame| {
                frame.packet.echo().is_some_and(|echo| echo.reply)
            }),
            incoming(&self.bench.far.log, &|frame| {
                let ip = frame.packet.ip.as_ref();
                ip.is_some_and(|ip| ip.source == self.host.ip && ip.destination == self.far.ip)
            }),
        ]
    }

    /// Waits until it does all of it.
    fn wait_serving(&self, from: Stamp) {
        let questions = self.questions();
        let all = wait_for(ms(5000), || {
            let served = self.served(from);
            served.iter().all(|times| !times.is_empty()).then_some(())
        });
        assert!(
            all.is_some(),
            "{:?} {}",
            self.served(from).map(|times| times.len()),
            self.daemon.log()
        );
        drop(questions);
    }
}

/// The time of the last advertisement.
fn last_advert(scene: &Scene, from: Stamp) -> Stamp {
    let adverts = scene.bench.lan.adverts(from);
    adverts.last().expect("an Active advertises").at
}

fn silenced(profile: Profile, rounds: usize, signal: Signal) {
    let _alone = alone();
    // A build has no time for all of them.
    let rounds = std::env::var_os("CI").map_or(rounds, |_| rounds.min(6));
    let mut scene = Scene::new(profile);
    let mut worst = [Duration::ZERO; 3];
    let mut least = Duration::MAX;
    for round in 0..rounds {
        let from = Stamp::now();
        let questions = scene.questions();
        // At another place of the interval each time.
        std::thread::sleep(3 * INTERVAL / 2 + ms(7) * u32::try_from(round).unwrap_or(0));
        let struck = scene.daemon.signal(signal);
        (struck + 6 * INTERVAL).sleep_until();
        let last = last_advert(&scene, from);
        let served = scene.served(from);
        let machine = stall::longest(last, Stamp::now());
        drop(questions);
        for (worst, times) in worst.iter_mut().zip(&served) {
            let after = times.last().expect("it served").since(last);
            least = least.min(after + machine);
            assert!(
                after <= 3 * INTERVAL + ms(5) + machine,
                "{profile:?}: served {after:?} after its last advertisement"
            );
            *worst = (*worst).max(after);
        }
        if signal == Signal::SIGKILL {
            scene.daemon.wait(ms(1000));
            scene.daemon.relaunch(&scene.bench.dut);
        } else {
            scene.daemon.signal(Signal::SIGCONT);
        }
        scene.wait_serving(Stamp::now());
    }
    println!(
        "{profile:?} {signal}, {rounds} times: last answers about the address, to a ping, and frames forwarded {:.1?} after the last advertisement at the latest, {least:.1?} at the earliest",
        worst
    );
    // Two ticks of the kernel, and it serves for as long as it may.
    assert!(least + ms(20) + STEP + slack() >= 3 * INTERVAL, "{least:?}");
    scene.daemon.stop();
    assert_eq!(scene.bench.dut.sh("nft list ruleset"), "");
}

#[test]
fn stopped_v3_ipv4() {
    silenced(Profile::V3Ipv4, 20, Signal::SIGSTOP);
}

#[test]
fn stopped_v3_ipv6() {
    silenced(Profile::V3Ipv6, 5, Signal::SIGSTOP);
}

#[test]
fn killed_v3_ipv4() {
    silenced(Profile::V3Ipv4, 20, Signal::SIGKILL);
}

#[test]
fn killed_v3_ipv6() {
    silenced(Profile::V3Ipv6, 5, Signal::SIGKILL);
}

/// While it lives, nobody notices; nor when a stranger flushes all tables. And it says what protects it.
fn unnoticed(profile: Profile) {
    let _alone = alone();
    let mut scene = Scene::new(profile);
    let protection = scene.daemon.router(NAME)["protection"].clone();
    assert_eq!(protection["means"], "nftables");
    let why = protection["why"].as_str().unwrap_or_default();
    assert!(why.contains("no CAP_BPF"), "{protection}");
    assert_eq!(scene.daemon.status()["daemon"].get("unprotected"), None);
    let shown = scene.daemon.ctl(&["show", NAME]).stdout;
    assert!(String::from_utf8_lossy(&shown).contains("nftables"));

    let from = Stamp::now();
    let questions = scene.questions();
    for _ in 0..5 {
        std::thread::sleep(ms(1000));
        scene.bench.dut.sh("nft flush ruleset");
        let back = wait_for(ms(1000), || {
            let rules = scene.bench.dut.sh("nft list ruleset");
            rules.contains("hook egress").then_some(Stamp::now())
        });
        assert!(back.is_some(), "the table is not put back");
    }
    (from + ms(10_000)).sleep_until();
    drop(questions);
    std::thread::sleep(ms(50));
    let asked = scene.asked(from);
    let served = scene.served(from).map(|times| times.len());
    println!("{profile:?}: asked {asked:?} times for each, served {served:?}");
    // A frame may be missing in a capture; a lease that has ended would be a matter of dozens.
    let missing = asked
        .iter()
        .zip(served)
        .map(|(asked, served)| asked.saturating_sub(served));
    assert!(missing.max() <= Some(2), "{asked:?} {served:?}");
    let log = scene.daemon.log();
    assert_eq!(log.matches("put back the table").count(), 5, "{log}");
    scene.daemon.stop();
    assert_eq!(scene.bench.dut.sh("nft list ruleset"), "");
}

#[test]
fn unnoticed_v3_ipv4() {
    unnoticed(Profile::V3Ipv4);
}

#[test]
fn unnoticed_v3_ipv6() {
    unnoticed(Profile::V3Ipv6);
}
