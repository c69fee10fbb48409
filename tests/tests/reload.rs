//! Another configuration for a running daemon: shown, tried out, taken back.

use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;
use vrrp_lab::bench::Bench;
use vrrp_lab::capture::Sighting;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;

const NAME: &str = "r1";

/// A daemon with one router of priority 100.
fn bench() -> Bench {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&with_priority(100));
    bench
}

fn with_priority(priority: u8) -> String {
    let router = Router::new(NAME, Profile::V3Ipv4).set("priority", priority);
    file(&[router])
}

fn priority(daemon: &Daemon) -> u64 {
    let router = daemon.router(NAME);
    router["priority"]["configured"].as_u64().expect("a number")
}

fn ok(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let output = daemon.ctl(&[arguments, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn configuration(daemon: &Daemon) -> Value {
    daemon.status()["daemon"]["configuration"].clone()
}

fn kinds(daemon: &Daemon) -> Vec<String> {
    let output = daemon.ctl(&["events", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| {
        let event: Value = serde_json::from_str(line).expect("JSON");
        event["kind"].as_str().expect("a word").to_owned()
    });
    events.collect()
}

/// Waits until the trial is over.
fn wait_back(daemon: &Daemon, limit: Duration) {
    let back = wait_for(limit, || (priority(daemon) == 100).then_some(()));
    assert!(back.is_some(), "not back: {:#}", configuration(daemon));
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_would_change() {
    let bench = bench();
    let daemon = bench.daemon();
    daemon.wait_state(NAME, "active", ms(6000));
    let (role, before) = (daemon.role(NAME), configuration(daemon));
    assert_eq!(
        ok(&daemon.ctl(&["reload", "--dry-run"])),
        format!(
            "nothing would change: {} says what runs\n",
            daemon.config_path().display()
        )
    );
    daemon.write_config(&with_priority(90));
    let said = ok(&daemon.ctl(&["reload", "--dry-run"]));
    assert_eq!(
        said,
        " [virtual-router.r1]\n-  priority = 100\n+  priority = 90\npredicted: no virtual router changes its role, here or at a peer that was heard\nnothing was changed: this was a dry run\n"
    );
    let report = json(daemon, &["reload", "--dry-run"]);
    assert_eq!(report["outcome"], "previewed");
    assert_eq!(report["difference"][0]["keys"][0]["new"], "90");
    assert_eq!(priority(daemon), 100);
    assert_eq!(daemon.role(NAME), role);
    assert_eq!(configuration(daemon), before);
    assert!(!kinds(daemon).contains(&"reload".to_owned()));
}

#[test]
fn a_file_with_errors_changes_nothing() {
    let bench = bench();
    let daemon = bench.daemon();
    let (role, before) = (daemon.role(NAME), configuration(daemon));
    daemon.write_config(&with_priority(90).replace("vrid = 51", "vrid = 300"));
    for arguments in [&["reload"][..], &["reload", "--dry-run"]] {
        let output = daemon.ctl(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said.contains("`vrid` cannot be 300"), "{said}");
        assert!(said.contains("nothing changed"), "{said}");
    }
    let report = json(daemon, &["reload"]);
    assert_eq!(report["outcome"], "errors");
    assert_eq!(report["findings"][0]["message"], "`vrid` cannot be 300");
    assert_eq!(priority(daemon), 100);
    assert_eq!(daemon.role(NAME), role);
    assert_eq!(configuration(daemon), before);
    assert!(kinds(daemon).contains(&"reload-refused".to_owned()));
    assert_eq!(daemon.ctl(&["status", "-x"]).status.code(), Some(1));
}

#[test]
fn what_is_confirmed_stays_also_for_the_next_daemon() {
    let mut bench = bench();
    let daemon = bench.daemon();
    assert_eq!(daemon.ctl(&["confirm"]).status.code(), Some(1));
    daemon.write_config(&with_priority(90));
    let begun = Stamp::now();
    let said = ok(&daemon.ctl(&["reload", "--confirm", "2s"]));
    assert!(said.contains("goes back to configuration 1 at"), "{said}");
    assert_eq!(priority(daemon), 90);
    assert_eq!(configuration(daemon)["trial"]["back-to"], 1);
    let problems = daemon.ctl(&["status", "-x"]);
    let said = String::from_utf8_lossy(&problems.stdout).into_owned();
    assert!(said.contains("is on trial and goes back to 1"), "{said}");
    assert!(ok(&daemon.ctl(&["confirm"])).contains("configuration 2 is confirmed"));
    (begun + ms(2500)).sleep_until();
    assert_eq!(priority(daemon), 90);
    bench.daemon_mut().kill();
    bench.restart();
    let daemon = bench.daemon();
    assert_eq!(priority(daemon), 90);
    assert_eq!(configuration(daemon)["trial"], Value::Null);
    let history = json(daemon, &["config", "history"]);
    let all = history["configurations"].as_array().unwrap();
    assert_eq!(all.len(), 2, "{history:#}");
    assert_eq!(all[0]["by"], "start");
    assert_eq!(all[1]["by"], "root");
    assert_eq!(all[1]["summary"], "changed r1: priority 100 -> 90");
}

#[test]
fn what_nobody_confirms_goes_back_by_itself() {
    let mut bench = bench();
    let daemon = bench.daemon();
    daemon.write_config(&with_priority(90));
    ok(&daemon.ctl(&["reload", "--confirm", "1s"]));
    assert_eq!(priority(daemon), 90);
    wait_back(daemon, ms(3000));
    let configuration = configuration(daemon);
    assert_eq!(configuration["number"], 3);
    assert_eq!(configuration["rolled-back"]["number"], 2);
    assert!(kinds(daemon).contains(&"rolled-back".to_owned()));
    let problems = daemon.ctl(&["status", "-x"]);
    let said = String::from_utf8_lossy(&problems.stdout).into_owned();
    assert!(said.contains("configuration 2 was given up"), "{said}");

    // The file still says it, and the next daemon does not begin with it,
    bench.daemon_mut().kill();
    bench.restart();
    let daemon = bench.daemon();
    assert_eq!(priority(daemon), 100);
    assert!(daemon.log().contains("says what was given up"));
    assert_eq!(daemon.ctl(&["status", "-x"]).status.code(), Some(1));
    // until somebody asks for it, or it says something else.
    ok(&daemon.ctl(&["reload"]));
    assert_eq!(priority(daemon), 90);
    assert_eq!(daemon.ctl(&["status", "-x"]).status.code(), Some(0));
}

#[test]
fn also_when_the_daemon_was_killed_and_started_again_before() {
    let mut bench = bench();
    bench.daemon().write_config(&with_priority(90));
    ok(&bench.daemon().ctl(&["reload", "--confirm", "4s"]));
    bench.daemon_mut().kill();
    bench.restart();
    let daemon = bench.daemon();
    assert_eq!(priority(daemon), 90, "the trial is not over yet");
    assert_eq!(configuration(daemon)["trial"]["back-to"], 1);
    wait_back(daemon, ms(6000));
    assert_eq!(configuration(daemon)["rolled-back"]["number"], 2);
}

#[test]
fn also_when_no_daemon_ran_at_the_end() {
    let mut bench = bench();
    bench.daemon().write_config(&with_priority(90));
    ok(&bench.daemon().ctl(&["reload", "--confirm", "1s"]));
    let begun = Stamp::now();
    bench.daemon_mut().kill();
    (begun + ms(1500)).sleep_until();
    bench.restart();
    let daemon = bench.daemon();
    assert_eq!(priority(daemon), 100, "it begins with the old one");
    assert_eq!(configuration(daemon)["rolled-back"]["number"], 2);
    assert_eq!(configuration(daemon)["trial"], Value::Null);
    daemon.write_config(&with_priority(80));
    bench.daemon_mut().kill();
    bench.restart();
    assert_eq!(priority(bench.daemon()), 80, "the file says something else");
}

#[test]
fn also_when_the_worker_died_before() {
    let bench = bench();
    let daemon = bench.daemon();
    daemon.write_config(&with_priority(90));
    ok(&daemon.ctl(&["reload", "--confirm", "3s"]));
    let worker = daemon.worker();
    daemon.signal_worker(nix::sys::signal::Signal::SIGKILL);
    let replaced = wait_for(ms(2000), || {
        let status = daemon.try_status()?;
        (status["daemon"]["worker-pid"] != worker).then_some(status)
    });
    let status = replaced.expect("another worker");
    assert_eq!(status["daemon"]["configuration"]["trial"]["back-to"], 1);
    assert_eq!(priority(daemon), 90);
    wait_back(daemon, ms(5000));
}

#[test]
fn earlier_configurations_can_be_gone_back_to() {
    let bench = bench();
    let daemon = bench.daemon();
    for (priority, number) in [(90, 2), (80, 3)] {
        daemon.write_config(&with_priority(priority));
        let said = ok(&daemon.ctl(&["reload"]));
        assert!(
            said.contains(&format!("as configuration {number}")),
            "{said}"
        );
    }
    let said = ok(&daemon.ctl(&["rollback", "--dry-run"]));
    assert!(said.contains("+  priority = 90"), "{said}");
    assert_eq!(priority(daemon), 80);
    ok(&daemon.ctl(&["rollback", "1"]));
    assert_eq!(priority(daemon), 100);
    ok(&daemon.ctl(&["rollback"]));
    assert_eq!(priority(daemon), 80, "the one before");
    assert_eq!(configuration(daemon)["rolled-back"]["number"], 4);
    for (arguments, code) in [
        (&["rollback", "99"][..], 1),
        (&["rollback", "3"], 1),
        (&["reload", "--confirm", "2d"], 64),
        (&["reload", "--confirm", "--dry-run"], 64),
        (&["config", "show", "99"], 1),
    ] {
        assert_eq!(
            daemon.ctl(arguments).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
    let text = ok(&daemon.ctl(&["config", "show", "2", "--brief"]));
    assert_eq!(text, with_priority(90));
}

#[test]
fn without_a_state_directory_there_is_no_way_back() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&with_priority(100));
    let state = bench.daemon().state_dir();
    bench.daemon_mut().kill();
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::write(&state, "in the way").unwrap();
    bench.restart();
    let daemon = bench.daemon();
    assert!(daemon.status()["daemon"]["state-problem"].is_string());
    daemon.write_config(&with_priority(90));
    let refused = daemon.ctl(&["reload", "--confirm"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no way back"), "{said}");
    assert_eq!(priority(daemon), 100);
    ok(&daemon.ctl(&["reload"]));
    assert_eq!(priority(daemon), 90);
}

/// Routers of the fleet, their interval, and for how long each of its spans is watched.
const FLEET: u8 = 100;
const INTERVAL: Duration = ms(100);
const WATCHED: Duration = ms(3000);

fn fleet(changed: &[(u8, u8)]) -> String {
    let routers: Vec<Router> = (1..=FLEET)
        .map(|vrid| {
            let priority = changed.iter().find(|(other, _)| *other == vrid);
            Router::new(&format!("r{vrid}"), Profile::V3Ipv4)
                .set("vrid", vrid)
                .set("priority", priority.map_or(100, |(_, priority)| *priority))
                .text("advertise-interval", "100ms")
                .list("addresses", &[format!("10.7.{vrid}.254/24")])
        })
        .collect();
    file(&routers)
}

/// The gaps between two advertisements of each router, from the last one before `from` to the first one after `until`, in order
/// of their lengths and without those of `changed`.
fn gaps(bench: &Bench, from: Stamp, until: Stamp, changed: &[u8]) -> Vec<Duration> {
    let early = from - INTERVAL * 2;
    let late = until + INTERVAL * 2;
    // On a busy machine frames wait for who reads them.
    let read = wait_for(ms(10_000), || {
        (!bench.lan.adverts(late).is_empty()).then_some(())
    });
    assert!(read.is_some(), "nothing is heard any more");
    let mut last: BTreeMap<u8, Stamp> = BTreeMap::new();
    let mut gaps = Vec::new();
    for advert in bench.lan.adverts(early) {
        let vrid = advert.heard.vrid();
        if changed.contains(&vrid) || advert.at > late {
            continue;
        }
        if let Some(before) = last.insert(vrid, advert.at)
            && advert.at >= from
            && before <= until
        {
            gaps.push(advert.at.since(before));
        }
    }
    let heard = usize::from(FLEET) - changed.len();
    assert_eq!(last.len(), heard, "routers that advertise");
    assert!(
        gaps.len() >= heard * 29,
        "{} gaps of {heard} routers",
        gaps.len()
    );
    gaps.sort();
    gaps
}

fn summary(gaps: &[Duration]) -> String {
    let at = |share: usize| gaps[(gaps.len() - 1) * share / 1000].as_secs_f64() * 1e3;
    format!(
        "{} gaps, p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, longest {:.2} ms",
        gaps.len(),
        at(500),
        at(990),
        at(999),
        at(1000)
    )
}

/// Of a hundred routers one changes its priority: the others have no event, and no advertisement out of rhythm. Nor have they by
/// a file with an error in it, or by a dry run.
#[test]
fn one_of_a_hundred_changes_and_the_others_do_not_notice() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&fleet(&[]));
    let all_active = wait_for(ms(20_000), || {
        let status = bench.daemon().try_status()?;
        let mut routers = status["routers"].as_array()?.iter();
        routers.all(|it| it["state"] == "active").then_some(())
    });
    assert!(all_active.is_some(), "{}", bench.daemon().log());
    // Announcements are over, and the kernel holds everything.
    std::thread::sleep(ms(7000));
    let daemon = bench.daemon();
    let since: Vec<Value> = states(daemon);
    let events = daemon.events(&bench.dut);

    let quiet = Stamp::now();
    (quiet + WATCHED).sleep_until();
    let before = gaps(&bench, quiet, quiet + WATCHED, &[]);

    let bad = fleet(&[(50, 90)]).replace("vrid = 99", "vrid = 300");
    daemon.write_config(&bad);
    let refused = Stamp::now();
    assert_eq!(daemon.ctl(&["reload"]).status.code(), Some(2));
    daemon.write_config(&fleet(&[(50, 90)]));
    ok(&daemon.ctl(&["reload", "--dry-run"]));
    (refused + WATCHED).sleep_until();
    let during = gaps(&bench, refused, refused + WATCHED, &[]);

    let changed = Stamp::now();
    let said = ok(&daemon.ctl(&["reload"]));
    (changed + WATCHED).sleep_until();
    let after = gaps(&bench, changed, changed + WATCHED, &[50]);
    println!("without a reload:       {}", summary(&before));
    println!("refused and dry:        {}", summary(&during));
    println!("one of {FLEET} changed:     {}", summary(&after));
    assert!(
        said.starts_with(
            " [virtual-router.r50]\n-  priority = 100\n+  priority = 90\npredicted: no"
        ),
        "{said}"
    );
    for (from, gaps) in [(refused, &during), (changed, &after)] {
        let longest = *gaps.last().expect("gaps");
        let excuse = stall::longest(from, from + WATCHED);
        assert!(
            longest <= INTERVAL * 3 / 2 + excuse,
            "{longest:?} without an advertisement, and the machine stalled {excuse:?}"
        );
    }
    let mut told: Vec<(String, Value)> = events
        .seen()
        .iter()
        .map(|event| {
            let kind = event["kind"].as_str().expect("a word");
            (kind.to_owned(), event["router"].clone())
        })
        .collect();
    // What the engine says and what the daemon says come by ways of their own.
    told.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        told,
        [
            ("reload".to_owned(), Value::Null),
            ("reload-refused".to_owned(), Value::Null),
            ("revised".to_owned(), Value::from("r50")),
        ]
    );
    assert_eq!(states(daemon), since, "since when each of them is Active");
    let lower = |advert: &Sighting| advert.heard.vrid() == 50 && advert.heard.priority() == 90;
    assert!(bench.lan.adverts(changed).iter().any(lower));
}

fn states(daemon: &Daemon) -> Vec<Value> {
    let status = daemon.status();
    let routers = status["routers"].as_array().expect("routers").iter();
    let state = |it: &Value| Value::from(vec![it["name"].clone(), it["state"].clone()]);
    routers.map(state).collect()
}

/// A router that is taken out of the file while it is Active serves until its successor does.
#[test]
fn who_is_removed_serves_until_its_successor_does() {
    let mut bench = Bench::new(Profile::V3Ipv4);
    let stays = Router::new("stays", Profile::V3Ipv4)
        .set("vrid", 7)
        .list("addresses", &["10.7.7.254/24".to_owned()]);
    let goes = Router::new(NAME, Profile::V3Ipv4).held();
    bench.start_file(&file(&[stays.clone(), goes]));
    bench.daemon().wait_state(NAME, "active", ms(6000));
    std::thread::sleep(ms(500));
    let daemon = bench.daemon();
    let holds = |bench: &Bench| bench.dut.sh("ip -o addr").contains("192.0.2.254/");
    assert!(holds(&bench));
    daemon.write_config(&file(&[stays]));
    let asked = Stamp::now();
    ok(&daemon.ctl(&["reload"]));
    let routers = daemon.status()["routers"].as_array().map(Vec::len);
    assert_eq!(routers, Some(1), "it is not in the configuration any more");
    let released = bench.lan.log.wait(asked, ms(1000), |frame| {
        vrrp_lab::capture::sighting(frame)
            .filter(|advert| advert.heard.vrid() == 51 && advert.heard.priority() == 0)
    });
    assert!(released.is_some(), "it gives up");
    assert!(holds(&bench), "nobody has taken over yet");
    // Nobody does: little more than the longest skew time after it gave up, its time is over.
    let gone = wait_for(ms(3000), || (!holds(&bench)).then_some(()));
    assert!(gone.is_some(), "{}", bench.dut.sh("ip -o addr"));
    assert!(kinds(daemon).contains(&"left".to_owned()));
}
