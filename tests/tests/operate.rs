//! Orders of operators: who gives up on request costs the hosts nothing, what is drained stays so, and what would leave nobody
//! Active is refused.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::net::IpAddr;
use std::process::{Command, Output};

use serde_json::Value;
use vrrp_lab::client::{Client, Experience};
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::pair::{HIGHER, LOWER, quick};
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::{Orders, ours};
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

const NAME: &str = "lab";

/// How often a test that costs time repeats itself.
fn rounds() -> usize {
    let set = std::env::var("LAB_FAILOVERS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn config(profile: Profile, priority: u8) -> String {
    file(&[ours(
        Orders::new(profile, priority, quick(profile)),
        "rfc5798",
    )])
}

fn start(lan: &Lan, index: usize, profile: Profile) -> Daemon {
    let priority = [HIGHER, LOWER][index];
    Daemon::start(&lan.routers[index], &config(profile, priority))
}

fn upstream(profile: Profile) -> IpAddr {
    let text = match profile {
        Profile::V3Ipv6 => "2001:db8:f::1",
        Profile::V2 | Profile::V3Ipv4 => "198.51.100.1",
    };
    text.parse().expect("an address")
}

/// The first is Active, the second is not, and the client gets through.
struct Scene {
    client: Client,
    daemons: [Daemon; 2],
    lan: Lan,
}

impl Scene {
    fn new(profile: Profile) -> Self {
        let lan = Lan::new(2);
        let daemons = [start(&lan, 0, profile), start(&lan, 1, profile)];
        daemons[0].wait_state(NAME, "active", ms(12_000));
        daemons[1].wait_state(NAME, "backup", ms(12_000));
        Self {
            client: served(&lan, profile),
            daemons,
            lan,
        }
    }
}

/// A client that gets through.
fn served(lan: &Lan, profile: Profile) -> Client {
    let client = Client::start(&lan.client, &lan.upstream, upstream(profile));
    let calm = wait_for(ms(15_000), || {
        let from = Stamp::now();
        std::thread::sleep(ms(300));
        (client.experience(from).lost == 0).then_some(())
    });
    assert!(calm.is_some(), "the client never gets through");
    client
}

/// At most one packet was lost. A client that was kept from the processor sends at once what it missed, more than queues hold:
/// such a loss is no time without a router.
fn unharmed(seen: &Experience) {
    assert!(seen.lost <= 1 || seen.gap <= ms(2), "{seen:?}");
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Runs `vrrpctl`, and expects this exit code.
fn ctl(daemon: &Daemon, words: &[&str], expected: i32) -> String {
    let output = daemon.ctl(words);
    let said = said(&output);
    assert_eq!(
        code(&output),
        expected,
        "{words:?}: {said}\n{}",
        daemon.log()
    );
    said
}

fn report(daemon: &Daemon, words: &[&str], expected: i32) -> Value {
    let words = [words, &["--json"]].concat();
    serde_json::from_str(&ctl(daemon, &words, expected)).expect("a document")
}

fn order(daemon: &Daemon) -> Value {
    daemon.router(NAME)["orders"][0].clone()
}

fn fail_over_and_back(profile: Profile) {
    let scene = Scene::new(profile);
    for round in 0..rounds() {
        let (from, to) = (&scene.daemons[round % 2], &scene.daemons[1 - round % 2]);
        let before = Stamp::now();
        let answer = report(from, &["failover", NAME], 0);
        let result = &answer["results"][0];
        assert_eq!(result["outcome"], "done", "{answer:#}");
        let own = profile.own(12 - u8::try_from(round % 2).expect("small"));
        assert_eq!(result["successor"]["address"], own.to_string());
        from.wait_state(NAME, "backup", ms(2_000));
        to.wait_state(NAME, "active", ms(2_000));
        // Whoever had the higher priority does not take it back.
        std::thread::sleep(quick(profile) * 5);
        let seen = scene.client.experience(before);
        println!(
            "{profile:?}: took over after {} us, {} of {} lost",
            result["successor"]["after-us"], seen.lost, seen.sent
        );
        unharmed(&seen);
        assert_eq!(from.state(NAME), "backup");
        assert_eq!(order(from)["kind"], "yield");
        assert_eq!(order(to), Value::Null);
    }
}

#[test]
fn a_failover_costs_nothing_v2() {
    fail_over_and_back(Profile::V2);
}

#[test]
fn a_failover_costs_nothing_v3() {
    fail_over_and_back(Profile::V3Ipv4);
}

#[test]
fn a_failover_costs_nothing_v3_ipv6() {
    fail_over_and_back(Profile::V3Ipv6);
}

#[test]
fn a_failover_to_keepalived_ends_there() {
    let profile = Profile::V3Ipv4;
    let lan = Lan::new(2);
    let daemon = start(&lan, 0, profile);
    let orders = Orders::new(profile, LOWER, quick(profile));
    let _keepalived = Keepalived::start(&lan.routers[1], orders);
    daemon.wait_state(NAME, "active", ms(12_000));
    std::thread::sleep(profile.down(LOWER, quick(profile)) * 3);
    daemon.wait_state(NAME, "active", ms(12_000));
    let client = served(&lan, profile);
    let before = Stamp::now();
    let said = ctl(&daemon, &["failover", NAME], 0);
    std::thread::sleep(ms(1_000));
    let seen = client.experience(before);
    println!("{said}: {} of {} lost", seen.lost, seen.sent);
    assert!(
        said.contains("192.0.2.12 (priority 100) took over"),
        "{said}"
    );
    unharmed(&seen);
    assert_eq!(daemon.state(NAME), "backup");
    // And back, by the rules.
    ctl(&daemon, &["priority", "reset", NAME], 0);
    daemon.wait_state(NAME, "active", ms(5_000));
}

#[test]
fn where_nobody_takes_over_nothing_is_lost_and_the_answer_says_so() {
    let profile = Profile::V3Ipv4;
    let lan = Lan::new(2);
    let daemon = start(&lan, 0, profile);
    daemon.wait_state(NAME, "active", ms(12_000));
    let client = served(&lan, profile);
    let before = Stamp::now();
    let said = ctl(&daemon, &["failover", NAME], 1);
    assert_eq!(said, "! nobody took over; lab is Active again");
    assert_eq!(daemon.state(NAME), "active");
    let said = ctl(&daemon, &["drain", NAME, "--reason", "test"], 1);
    assert_eq!(said, "! nobody took over; lab is Active again");
    assert_eq!(order(&daemon), Value::Null);
    let said = ctl(&daemon, &["drain", "--all", "--force"], 0);
    assert_eq!(
        said,
        "lab is drained; nobody took over, so it serves as a last resort until somebody does"
    );
    assert_eq!(daemon.router(NAME)["priority"]["effective"], 1);
    std::thread::sleep(ms(500));
    assert_eq!(daemon.state(NAME), "active");
    let seen = client.experience(before);
    unharmed(&seen);
    // Somebody comes.
    let other = start(&lan, 1, profile);
    other.wait_state(NAME, "active", ms(5_000));
    daemon.wait_state(NAME, "backup", ms(1_000));
}

#[test]
fn a_drain_outlives_the_daemon_however_it_ends() {
    let profile = Profile::V3Ipv4;
    let mut scene = Scene::new(profile);
    let text = ["drain", NAME, "--for", "1h", "--reason", "kernel update"];
    let said = ctl(&scene.daemons[0], &text, 0);
    assert!(
        said.starts_with("lab is drained for 1h; 192.0.2.12"),
        "{said}"
    );
    let given = order(&scene.daemons[0]);
    assert_eq!(
        (&given["kind"], &given["by"]),
        (&"drain".into(), &"root".into())
    );
    assert_eq!(given["reason"], "kernel update");
    let shown = ctl(&scene.daemons[0], &["status"], 0);
    assert!(shown.contains("! lab drained by root since "), "{shown}");
    let problems = ctl(&scene.daemons[0], &["status", "-x"], 0);
    assert_eq!(problems, "lab is well");

    let [drained, other] = &mut scene.daemons;
    let ends: [fn(&mut Daemon); 2] = [
        |daemon| {
            daemon.kill();
        },
        |daemon| assert!(daemon.stop().success()),
    ];
    for end in ends {
        let before = Stamp::now();
        end(drained);
        drained.restart(&scene.lan.routers[0]);
        std::thread::sleep(ms(1_500));
        assert_eq!(drained.state(NAME), "backup");
        assert_eq!(drained.router(NAME)["priority"]["effective"], 1);
        assert_eq!(order(drained), given);
        assert_eq!(other.state(NAME), "active");
        let seen = scene.client.experience(before);
        unharmed(&seen);
    }
    // A worker that dies is no restart, and forgets nothing either.
    drained.signal_worker(nix::sys::signal::Signal::SIGKILL);
    wait_for(ms(3_000), || (order(drained) == given).then_some(())).expect("the order stands");

    ctl(drained, &["undrain", NAME], 0);
    drained.wait_state(NAME, "active", ms(5_000));
    assert_eq!(ctl(drained, &["undrain", NAME], 1), "! lab is not drained");
    // Nothing is left for the next start.
    assert!(drained.stop().success());
    drained.restart(&scene.lan.routers[0]);
    drained.wait_state(NAME, "active", ms(5_000));
}

#[test]
fn a_priority_ends_by_itself_also_over_a_restart() {
    let mut scene = Scene::new(Profile::V3Ipv4);
    let lan = &scene.lan;
    let [first, second] = &mut scene.daemons;
    ctl(
        first,
        &["priority", "set", NAME, "50", "--for", "1500ms"],
        0,
    );
    second.wait_state(NAME, "active", ms(2_000));
    assert_eq!(first.router(NAME)["priority"]["effective"], 50);
    first.wait_state(NAME, "active", ms(5_000));
    assert_eq!(order(first), Value::Null);
    let log = first.log();
    assert!(
        log.contains("root set lab's priority to 50 for 1s500ms"),
        "{log}"
    );
    let history = ctl(first, &["events"], 0);
    for sentence in [
        "root set lab's priority to 50 for 1s500ms",
        "the priority that was set by root has ended",
    ] {
        assert!(history.contains(sentence), "{history}");
    }

    ctl(first, &["priority", "set", NAME, "50", "--for", "4s"], 0);
    second.wait_state(NAME, "active", ms(2_000));
    first.kill();
    first.restart(&lan.routers[0]);
    assert_eq!(order(first)["priority"], 50);
    first.wait_state(NAME, "active", ms(8_000));

    // Until the daemon stops, and not longer.
    ctl(
        first,
        &["priority", "set", NAME, "50", "--until-restart"],
        0,
    );
    second.wait_state(NAME, "active", ms(2_000));
    assert!(first.stop().success());
    first.restart(&lan.routers[0]);
    first.wait_state(NAME, "active", ms(5_000));
}

#[test]
fn a_pin_keeps_a_better_router_from_preempting() {
    let mut scene = Scene::new(Profile::V3Ipv4);
    let lan = &scene.lan;
    let [first, second] = &mut scene.daemons;
    first.kill();
    second.wait_state(NAME, "active", ms(2_000));
    ctl(second, &["pin", NAME, "--for", "4s"], 0);
    assert_eq!(second.router(NAME)["priority"]["effective"], 254);
    first.restart(&lan.routers[0]);
    std::thread::sleep(ms(1_500));
    assert_eq!(second.state(NAME), "active");
    first.wait_state(NAME, "active", ms(8_000));
}

#[test]
fn refusals_say_what_to_do() {
    let scene = Scene::new(Profile::V3Ipv4);
    let [_, backup] = &scene.daemons;
    let refused = "! lab is not Active; 192.0.2.11 is, with priority 200: give this order there";
    assert_eq!(ctl(backup, &["failover", NAME], 1), refused);
    assert_eq!(ctl(backup, &["announce", NAME], 1), refused);
    let unknown = ctl(backup, &["failover", "wan9"], 2);
    assert_eq!(unknown, "there is no virtual router \"wan9\"; there is lab");
    for words in [
        &["drain"][..],
        &["pin", NAME],
        &["priority", "set", NAME, "50"],
        &["priority", "set", NAME, "255", "--for", "1m"],
        &["priority", "set", NAME, "50", "--for", "10"],
    ] {
        ctl(backup, words, 64);
    }
}

#[test]
fn a_wait_that_is_over_does_not_end_the_failover() {
    let profile = Profile::V2;
    let scene = Scene::new(profile);
    let [first, second] = &scene.daemons;
    let said = ctl(first, &["failover", NAME, "--wait", "100ms"], 4);
    assert_eq!(said, "! lab has given up and still waits for a successor");
    assert!(first.router(NAME)["state"] == "backup");
    second.wait_state(NAME, "active", ms(2_000));
}

#[test]
fn the_read_only_socket_answers_and_changes_nothing() {
    let lan = Lan::new(2);
    let daemon = start(&lan, 0, Profile::V3Ipv4);
    daemon.wait_state(NAME, "active", ms(12_000));
    let socket = daemon.runtime_dir().join("vrrpd-ro.sock");
    let ask = |words: &[&str]| {
        Command::new("timeout")
            .arg("10")
            .arg(binary("vrrpctl"))
            .arg("--socket")
            .arg(&socket)
            .args(words)
            .output()
            .expect("vrrpctl starts")
    };
    let status = ask(&["status"]);
    assert!(status.status.success() && said(&status).contains("ACTIVE"));
    for words in [
        &["failover", NAME][..],
        &["drain", "--all"],
        &["undrain", NAME],
        &["priority", "set", NAME, "50", "--for", "1m"],
        &["priority", "reset", NAME],
        &["pin", NAME, "--for", "1m"],
        &["announce", NAME],
    ] {
        let output = ask(words);
        assert_eq!(code(&output), 1, "{words:?}");
        assert!(said(&output).contains("only for asking"), "{output:?}");
    }
    assert_eq!(daemon.state(NAME), "active");
    assert_eq!(order(&daemon), Value::Null);
}

/// Everybody may traverse the directory; who may connect is a matter of the group.
#[test]
fn each_socket_lets_its_group_in() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let lan = Lan::new(2);
    let control = "[control]\ngroup = \"daemon\"\nread-only-group = \"no-such-group\"\n";
    let text = format!("{control}\n{}", config(Profile::V3Ipv4, HIGHER));
    let daemon = Daemon::start(&lan.routers[0], &text);
    let of = |name: &str| {
        let path = daemon.runtime_dir().join(name);
        let data = std::fs::metadata(path).expect("the socket is there");
        (data.permissions().mode() & 0o777, data.gid())
    };
    let socket = |name: &str, gid: u32| {
        let found = wait_for(ms(2_000), || (of(name) == (0o660, gid)).then_some(()));
        assert!(found.is_some(), "{name}: {:?}", of(name));
    };
    // The group `daemon` has the number 1 everywhere.
    socket("vrrpd.sock", 1);
    socket("vrrpd-ro.sock", 0);
    assert!(daemon.log().contains("there is no group \"no-such-group\""));
    daemon.write_config(&config(Profile::V3Ipv4, HIGHER));
    daemon.reload();
    socket("vrrpd.sock", 0);
}
