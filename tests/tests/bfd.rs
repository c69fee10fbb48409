//! BFD: sessions with FRR's bfdd and with ourselves, and what is made of their end.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use vrrp_lab::bfdd::Bfdd;
use vrrp_lab::capture::Capture;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::topology::Lan;

/// The addresses of the second router.
const PEERS: [(&str, &str); 3] = [
    ("four", "192.0.2.12"),
    ("local", "fe80::12"),
    ("six", "2001:db8::12"),
];

/// How often a takeover is measured.
const ROUNDS: &str = "VRRPD_BFD_ROUNDS";

fn session(name: &str, peer: &str) -> String {
    format!(
        "[tracker.{name}]\ntype = \"bfd\"\naddress = \"{peer}\"\ninterface = \"eth0\"\nmin-interval = \"50ms\"\n"
    )
}

fn router(priority: u8, track: &str) -> String {
    format!(
        "[virtual-router.lan4]\ninterface = \"eth0\"\nvrid = 51\npriority = {priority}\n\
         addresses = [\"192.0.2.254/24\"]\ntrack = {{ {track} }}\n"
    )
}

fn trackers(daemon: &Daemon) -> Vec<Value> {
    let output = daemon.ctl(&["show", "trackers", "--json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    shown["trackers"].as_array().cloned().unwrap_or_default()
}

fn tracker(daemon: &Daemon, name: &str) -> Value {
    let all = trackers(daemon).into_iter();
    let mut found = all.filter(|tracker| tracker["name"] == name);
    found.next().unwrap_or_default()
}

fn wait_tracker(daemon: &Daemon, name: &str, state: &str) {
    let reached = wait_for(ms(10_000), || {
        (tracker(daemon, name)["state"] == state).then_some(())
    });
    assert!(
        reached.is_some(),
        "{name} is not {state}: {:#}\n{}",
        tracker(daemon, name),
        daemon.log()
    );
}

/// Waits until both say that they are up, at the rates they were told.
fn wait_up(daemon: &Daemon, name: &str) {
    let up = || {
        let session = tracker(daemon, name)["session"].clone();
        let fast = session["detection-time-us"] == 150_000
            && session["negotiated-tx-interval-us"] == 50_000;
        (session["local-state"] == "up" && session["remote-state"] == "up" && fast).then_some(())
    };
    let reached = wait_for(ms(10_000), up);
    assert!(reached.is_some(), "{:#}", tracker(daemon, name));
}

/// Who speaks BFD on the host of the Active.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    Nobody,
    Ours,
    Frr,
}

/// When a router that lives on its own takes over from one whose cable is cut: the cut to its first advertisement.
fn takeover(priorities: [u8; 2], speaker: Speaker, rounds: u32) -> Vec<Duration> {
    let lan = Lan::new(2);
    let port = Capture::start(&lan.switch, "lan2");
    let bfd = speaker != Speaker::Nobody;
    let text = |priority, peer, bfd| match bfd {
        true => router(priority, "peer = \"takeover\"") + &session("peer", peer),
        false => router(priority, ""),
    };
    let frr =
        (speaker == Speaker::Frr).then(|| Bfdd::start(&lan.routers[0], &["192.0.2.12"], ms(50)));
    let own = speaker == Speaker::Ours;
    let higher = Daemon::start(&lan.routers[0], &text(priorities[0], "192.0.2.12", own));
    higher.wait_state("lan4", "active", ms(8000));
    let lower = Daemon::start(&lan.routers[1], &text(priorities[1], "192.0.2.11", bfd));
    let mut times = Vec::new();
    for _ in 0..rounds {
        lower.wait_state("lan4", "backup", ms(8000));
        higher.wait_state("lan4", "active", ms(8000));
        if bfd {
            wait_up(&lower, "peer");
            match &frr {
                Some(frr) => frr.wait("192.0.2.12", "up"),
                None => wait_up(&higher, "peer"),
            }
        }
        // It has heard the Active.
        std::thread::sleep(ms(1200));
        let cut = Stamp::now();
        lan.unplug(0);
        let first = wait_for(ms(5000), || port.adverts(cut).first().map(|it| it.at));
        let first = first.unwrap_or_else(|| panic!("nobody took over: {}", lower.log()));
        times.push(first.since(cut));
        lan.plug(0);
    }
    if bfd {
        let log = lower.log();
        assert!(
            log.contains(
                "the Active 192.0.2.11 is gone, says peer: no packet from 192.0.2.11 for 150 ms"
            ),
            "{log}"
        );
        assert!(
            log.contains("backup -> active: the BFD session with the Active went down"),
            "{log}"
        );
    }
    times
}

/// Twice as many as there are processors compute for this long, as everybody may.
fn hog(span: Duration) {
    let until = Stamp::now() + span;
    let count = std::thread::available_parallelism().map_or(2, usize::from) * 2;
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut number = 1_u64;
                while Stamp::now() < until {
                    number = std::hint::black_box(number.wrapping_mul(3));
                }
            });
        }
    });
}

#[test]
fn on_a_machine_that_is_busy_no_session_is_lost() {
    let lan = Lan::new(2);
    let fast = |peer| session("peer", peer).replace("50ms", "20ms");
    let daemons = [(0, "192.0.2.12"), (1, "192.0.2.11")]
        .map(|(index, peer)| Daemon::start(&lan.routers[index], &(router(100, "") + &fast(peer))));
    for daemon in &daemons {
        wait_tracker(daemon, "peer", "up");
    }
    std::thread::sleep(ms(1000));
    let before = daemons
        .each_ref()
        .map(|it| tracker(it, "peer")["session"].clone());
    hog(ms(2500));
    for (daemon, before) in daemons.iter().zip(before) {
        let after = tracker(daemon, "peer")["session"].clone();
        assert_eq!(after["detection-time-us"], 60_000, "{after:#}");
        assert_eq!(after["session-down-count"], 0, "{after:#}");
        let count = |it: &Value| it["receive-packet-count"].as_u64().unwrap_or_default();
        let heard = count(&after) - count(&before);
        println!("20 ms x 3 for 2.5 s on a busy machine: {heard} packets, none too late");
        assert!(heard > 120, "{heard}");
    }
}

fn rounds() -> u32 {
    let rounds = std::env::var(ROUNDS)
        .ok()
        .and_then(|text| text.parse().ok());
    rounds.unwrap_or(2)
}

#[test]
fn a_lost_active_is_replaced_after_the_detection_and_the_skew_time() {
    let with = takeover([254, 250], Speaker::Ours, rounds());
    let with_frr = takeover([254, 250], Speaker::Frr, rounds());
    let without = takeover([200, 100], Speaker::Nobody, 1);
    println!("from the cut to the first advertisement, 1 s between advertisements:");
    println!("  BFD of 50 ms x 3, priority 250 (skew 23 ms): {with:?}");
    println!("  the same, and FRR's bfdd beside the Active: {with_frr:?}");
    println!("  no BFD, priority 100 (skew 609 ms): {without:?}");
    // 150 ms of detection, of which a packet may have used some already, and 23 ms of skew.
    assert!(with.iter().all(|time| *time < ms(200)), "{with:?}");
    assert!(with_frr.iter().all(|time| *time < ms(200)), "{with_frr:?}");
    assert!(without.iter().all(|time| *time > ms(2600)), "{without:?}");
}

#[test]
fn sessions_with_frr_in_both_families_through_all_that_may_happen() {
    let lan = Lan::new(2);
    let mut frr = Bfdd::start(
        &lan.routers[1],
        &["192.0.2.11", "fe80::11", "2001:db8::11"],
        ms(50),
    );
    let ours: String = PEERS
        .iter()
        .map(|(name, peer)| session(name, peer))
        .collect();
    let text = router(200, "four = -40") + &ours;
    let mut daemon = Daemon::start(&lan.routers[0], &text);
    for ((name, _), peer) in PEERS.iter().zip(["192.0.2.11", "fe80::11", "2001:db8::11"]) {
        wait_tracker(&daemon, name, "up");
        wait_up(&daemon, name);
        frr.wait(peer, "up");
    }
    let theirs = frr.session("192.0.2.11");
    let session = tracker(&daemon, "four")["session"].clone();
    assert_eq!(
        session["local-discriminator"], theirs["remote-id"],
        "{theirs:#}"
    );
    assert_eq!(session["remote-discriminator"], theirs["id"]);
    assert_eq!(theirs["remote-transmit-interval"], 50, "{theirs:#}");
    let port = session["source-port"].as_u64().unwrap_or_default();
    assert!((49_152..=65_535).contains(&port), "{port}");

    // A worker that dies, and one that is replaced: FRR sees nothing of it.
    let downs = |frr: &Bfdd| frr.counters("192.0.2.11")["session-down"].clone();
    let before = downs(&frr);
    let worker = daemon.worker();
    daemon.signal_worker(Signal::SIGKILL);
    let replaced = wait_for(ms(5000), || {
        let now = daemon.try_status()?["daemon"]["worker-pid"].as_i64()?;
        (now != 0 && now != i64::from(worker)).then_some(())
    });
    assert!(replaced.is_some(), "{}", daemon.log());
    wait_up(&daemon, "four");
    assert_eq!(daemon.ctl(&["upgrade"]).status.code(), Some(0));
    std::thread::sleep(ms(500));
    wait_up(&daemon, "four");
    let again = tracker(&daemon, "four")["session"].clone();
    for key in ["local-discriminator", "remote-discriminator", "source-port"] {
        assert_eq!(again[key], session[key], "{key}");
    }
    println!(
        "sessions that went down for FRR while the worker was killed and upgraded: {before} -> {}",
        downs(&frr)
    );
    assert_eq!(downs(&frr), before);
    assert_eq!(again["session-down-count"], 0);

    // FRR's operator switches it off, which is no failure, and on again.
    let _ = frr.say(&[
        "configure",
        "bfd",
        "peer 192.0.2.11 interface eth0",
        "shutdown",
    ]);
    let off = wait_for(ms(3000), || {
        let session = tracker(&daemon, "four")["session"].clone();
        (session["local-state"] == "down" && session["remote-state"] == "admin-down").then_some(())
    });
    assert!(off.is_some(), "{:#}", tracker(&daemon, "four"));
    assert_eq!(tracker(&daemon, "four")["state"], "up");
    let _ = frr.say(&[
        "configure",
        "bfd",
        "peer 192.0.2.11 interface eth0",
        "no shutdown",
    ]);
    wait_up(&daemon, "four");

    // It hangs, and goes on.
    let began = Stamp::now();
    frr.signal(Signal::SIGSTOP);
    let reached = wait_for(ms(2000), || {
        (tracker(&daemon, "four")["state"] == "down").then(Stamp::now)
    });
    let took = reached.map(|at| at.since(began));
    println!("a hanging bfdd was noticed, and shown, after {took:?}");
    assert_eq!(
        tracker(&daemon, "four")["detail"],
        "no packet from 192.0.2.12 for 150 ms"
    );
    assert_eq!(daemon.router("lan4")["priority"]["effective"], 160);
    frr.signal(Signal::SIGCONT);
    wait_tracker(&daemon, "four", "up");
    wait_up(&daemon, "four");

    // It dies, stays away, and comes back as another one.
    frr.kill();
    wait_tracker(&daemon, "four", "down");
    frr.revive(&lan.routers[1]);
    wait_tracker(&daemon, "four", "up");
    wait_up(&daemon, "four");
    frr.wait("192.0.2.11", "up");

    // The line flaps.
    for _ in 0..2 {
        lan.unplug(1);
        wait_tracker(&daemon, "four", "down");
        lan.plug(1);
        wait_tracker(&daemon, "four", "up");
    }
    wait_up(&daemon, "four");
    frr.wait("192.0.2.11", "up");

    // Ours is switched off, by a reload and at the end, which is no failure for FRR either.
    let without = session_without(&text, "six");
    daemon.write_config(&without);
    daemon.reload();
    frr.wait("2001:db8::11", "down");
    assert_eq!(
        frr.session("2001:db8::11")["remote-diagnostic"],
        "administratively down"
    );
    assert!(daemon.stop().success());
    frr.wait("192.0.2.11", "down");
    assert_eq!(
        frr.session("192.0.2.11")["remote-diagnostic"],
        "administratively down"
    );
}

/// The text without a tracker.
fn session_without(text: &str, name: &str) -> String {
    let peer = PEERS
        .iter()
        .find(|(it, _)| *it == name)
        .expect("one of ours")
        .1;
    text.replace(&session(name, peer), "")
}

#[test]
fn where_nobody_answers_the_tracker_says_so() {
    let lan = Lan::new(2);
    let text = router(200, "four = -40")
        + &session("four", "192.0.2.12")
        + &session("other", "192.0.2.77");
    let daemon = Daemon::start(&lan.routers[0], &text);
    assert_eq!(tracker(&daemon, "four")["state"], "unknown");
    wait_tracker(&daemon, "four", "down");
    assert_eq!(
        tracker(&daemon, "four")["detail"],
        "no BFD packet from 192.0.2.12"
    );
    let session = tracker(&daemon, "four")["session"].clone();
    assert_eq!(session["local-state"], "down");
    assert_eq!(session["negotiated-tx-interval-us"], 1_000_000);
    wait_tracker(&daemon, "other", "down");
}
