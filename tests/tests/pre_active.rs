//! Hooks that run before the addresses go live: nobody is served too early, the election waits for nothing, and nothing that
//! happens to a hook keeps a router from serving.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "the measured times are half of the result"
)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use vrrp_lab::capture::Capture;
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

const NAME: &str = "lan4";
const PATIENCE: Duration = ms(8000);

/// A router of this priority whose hook is this script; nobody but the hook's event `when` runs it.
fn configuration(scratch: &Scratch, priority: u8, plane: &str, script: &str, more: &str) -> String {
    let path = scratch.write("hook", &format!("#!/bin/sh\n{script}\n"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let router = Router::new(NAME, Profile::V3Ipv4)
        .set("priority", priority)
        .text("advertise-interval", "100ms")
        .text("data-plane", plane);
    let hook = format!(
        "[hook.table]\non = [\"pre-active\"]\ncommand = [\"{}\"]\n{more}\n",
        path.display()
    );
    file(&[router]) + &hook
}

fn plain(priority: u8, plane: &str) -> String {
    let router = Router::new(NAME, Profile::V3Ipv4)
        .set("priority", priority)
        .text("advertise-interval", "100ms")
        .text("data-plane", plane);
    file(&[router])
}

fn events(daemon: &Daemon) -> Vec<Value> {
    let output = daemon.ctl(&["events", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The sentences of events that say how long addresses waited.
fn waits(daemon: &Daemon) -> Vec<String> {
    let seen = events(daemon).into_iter();
    let waits = seen.filter(|event| event["kind"] == "pre-active" || event["kind"] == "prepared");
    waits
        .map(|event| event["text"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn wait_waits(daemon: &Daemon, what: &str) -> Vec<String> {
    let found = wait_for(PATIENCE, || {
        let all = waits(daemon);
        all.iter().any(|it| it.contains(what)).then_some(all)
    });
    found.unwrap_or_else(|| panic!("no {what:?} in {:?}:\n{}", waits(daemon), daemon.log()))
}

/// When a router first speaks, and when it first does so with the virtual MAC address.
fn first_words(port: &Capture, from: Stamp) -> Option<(Stamp, Stamp)> {
    let adverts = port.adverts(from);
    let mac = Profile::V3Ipv4.virtual_mac();
    let with_mac = adverts
        .iter()
        .find(|it| it.frame.packet.ethernet.source == mac)?;
    Some((adverts.first()?.at, with_mac.at))
}

/// The Active dies: somebody else is Active within the down interval, and serves when its hook has run.
fn addresses_wait_and_the_election_does_not(plane: &str) {
    let lan = Lan::new(2);
    let scratch = Scratch::new("pre-active");
    let port = Capture::start(&lan.switch, "lan2");
    let mut first = Daemon::start(&lan.routers[0], &plain(200, plane));
    first.wait_state(NAME, "active", PATIENCE);
    let begun = scratch.path().join("begun");
    let script = format!(
        "date +%s%N > {0}.new; mv {0}.new {0}; sleep 0.4",
        begun.display()
    );
    let text = configuration(&scratch, 100, plane, &script, "pre-active-timeout = \"2s\"");
    let second = Daemon::start(&lan.routers[1], &text);
    second.wait_state(NAME, "backup", PATIENCE);
    let client = Client::start(&lan.client, &lan.upstream, "198.51.100.1".parse().unwrap());
    std::thread::sleep(ms(700));

    let dead = first.kill();
    second.wait_state(NAME, "active", PATIENCE);
    let waiting = second.router(NAME);
    assert_eq!(waiting["waits-for-hooks"]["hooks"][0], "table", "{waiting}");
    assert_eq!(waiting["kernel-in-step"], false);
    let why = second.ctl(&["explain", NAME]);
    let why = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(why.contains("wait for hook table"), "{why}");
    let (spoke, served) = wait_for(PATIENCE, || first_words(&port, dead)).unwrap();
    let run: i64 = std::fs::read_to_string(&begun)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let run = Stamp::from_unix_nanos(run);
    assert!(
        spoke < run + ms(100),
        "it did not wait for the hook to speak"
    );
    assert!(served.since(run) >= ms(400), "{:?}", served.since(run));
    let mac = Profile::V3Ipv4.virtual_mac();
    assert_eq!(port.sent_by(mac, dead)[0].at, served, "nothing before it");
    let texts = wait_waits(&second, "done after");
    assert!(
        texts[0].contains("its addresses wait for hook table"),
        "{texts:?}"
    );
    assert!(texts[1].contains("its addresses go live"), "{texts:?}");
    std::thread::sleep(ms(300));
    let loss = client.experience(dead - ms(100));
    println!(
        "{plane}: Active {:.0} ms after the end of the other, serves {:.0} ms later, hook of 400 ms; the client lost {:.0} ms",
        spoke.millis_since(dead),
        served.millis_since(spoke),
        loss.gap.as_secs_f64() * 1e3
    );
    assert!(loss.gap >= ms(400), "served too early: {loss:?}");

    // The better one comes back: its hook runs while the other still serves, so that it costs nothing.
    let other = Scratch::new("pre-active");
    let text = configuration(
        &other,
        200,
        plane,
        "sleep 0.4",
        "pre-active-timeout = \"2s\"",
    );
    let back = Stamp::now();
    first.write_config(&text);
    first.restart(&lan.routers[0]);
    first.wait_state(NAME, "active", PATIENCE);
    let texts = wait_waits(&first, "done after");
    assert!(!texts[1].contains("go live"), "{texts:?}");
    std::thread::sleep(ms(300));
    let loss = client.experience(back);
    println!(
        "{plane}: preempted after a hook of 400 ms; the client lost {} of {} packets",
        loss.lost, loss.sent
    );
    assert!(loss.gap < ms(300), "the hook cost traffic: {loss:?}");
}

#[test]
fn addresses_wait_and_the_election_does_not_on_a_macvlan() {
    addresses_wait_and_the_election_does_not("macvlan");
}

#[test]
fn addresses_wait_and_the_election_does_not_without_a_macvlan() {
    addresses_wait_and_the_election_does_not("ebpf");
}

/// A router alone, whose hook this is.
fn alone(script: &str, more: &str) -> (Scratch, Lan, Daemon) {
    let scratch = Scratch::new("pre-active");
    let lan = Lan::new(1);
    let text = configuration(&scratch, 100, "macvlan", script, more);
    let daemon = Daemon::start(&lan.routers[0], &text);
    (scratch, lan, daemon)
}

fn serves(host: &Namespace) -> bool {
    host.sh("ip -brief addr").contains("192.0.2.254")
}

fn wait_served(host: &Namespace, daemon: &Daemon) {
    let served = wait_for(PATIENCE, || serves(host).then_some(()));
    assert!(served.is_some(), "{}", daemon.log());
}

#[test]
fn a_hook_that_does_not_end_or_fails_keeps_nobody_waiting() {
    let (_scratch, lan, daemon) = alone("sleep 5", "pre-active-timeout = \"100ms\"");
    let texts = wait_waits(&daemon, "not done after");
    assert!(texts[1].contains("not done after 100 ms"), "{texts:?}");
    wait_served(&lan.routers[0], &daemon);

    let (_scratch, lan, daemon) = alone("echo no such table >&2; exit 3", "");
    wait_waits(&daemon, "done after");
    wait_served(&lan.routers[0], &daemon);
    let failed = wait_for(PATIENCE, || {
        let seen = events(&daemon).into_iter();
        seen.map(|event| event["text"].as_str().unwrap_or_default().to_owned())
            .find(|text| text == "hook table for pre-active: exit status 3")
    });
    assert!(failed.is_some(), "{}", daemon.log());
    assert!(daemon.log().contains("no such table"));
}

#[test]
fn whoever_dies_meanwhile_keeps_nobody_waiting() {
    // The process that runs hooks: it is run again, and not waited for longer than it may take.
    let (scratch, lan, daemon) =
        alone("echo x >> $0.runs; sleep 30", "pre-active-timeout = \"2s\"");
    let runs = scratch.path().join("hook.runs");
    let count = || std::fs::read_to_string(&runs).unwrap_or_default().len() / 2;
    assert!(wait_for(PATIENCE, || (count() == 1).then_some(())).is_some());
    let list = daemon.ctl(&["hook", "list", "--json"]);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let agent = i32::try_from(list["agent-pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    assert!(!serves(&lan.routers[0]));
    wait_waits(&daemon, "not done after");
    wait_served(&lan.routers[0], &daemon);
    assert!(wait_for(PATIENCE, || (count() == 2).then_some(())).is_some());

    // The worker: the next one hears that it is done, and goes live.
    let (_scratch, lan, daemon) = alone("sleep 0.6", "pre-active-timeout = \"2s\"");
    wait_waits(&daemon, "its addresses wait");
    let begun = Stamp::now();
    daemon.signal_worker(Signal::SIGKILL);
    wait_served(&lan.routers[0], &daemon);
    let took = Stamp::now().since(begun);
    println!("worker killed while the hook of 600 ms ran: served after {took:?}");
    let done = wait_waits(&daemon, "done after");
    assert!(
        done.iter().all(|text| !text.contains("not done")),
        "{done:?}"
    );
}
