//! `what-if` beside what then happens: every scenario is asked about and done a moment later, and all transitions of all
//! daemons are compared, times within 20 ms (more on build servers).
//!
//! A prediction counts from the moment of the question. Some of it depends on the rhythm of advertisements, and is compared with
//! what is seen since then; some on the deed, and may count from where that took effect, which is the first change that was
//! predicted to come at once. Question and deed both follow an advertisement, within one interval, and the question goes to the
//! socket without a process between.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};
use vrrp_lab::clock::{Stamp, ms, slack, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

const NAME: &str = "r51";

/// A change of role: after how many milliseconds, of which router, at which of the hosts, to what.
#[derive(Clone, PartialEq, Debug)]
struct Turn {
    after: f64,
    router: String,
    host: usize,
    to: String,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            after,
            router,
            host,
            to,
        } = self;
        write!(f, "{router}@{host} {to} +{after:.1} ms")
    }
}

/// Daemons on a LAN.
struct Scene {
    lan: Lan,
    profile: Profile,
    interval: Duration,
    daemons: Vec<Daemon>,
}

/// The laboratory's router with this priority and the shortest interval that leaves time for a question.
fn router(profile: Profile, priority: u8) -> Router {
    let interval = interval(profile);
    let text = format!("{}ms", interval.as_millis());
    let router = Router::new(NAME, profile).set("priority", priority);
    match profile {
        Profile::V2 => router,
        Profile::V3Ipv4 | Profile::V3Ipv6 => router.text("advertise-interval", &text),
    }
}

fn interval(profile: Profile) -> Duration {
    match profile {
        Profile::V2 => ms(1000),
        Profile::V3Ipv4 | Profile::V3Ipv6 => ms(200),
    }
}

fn pair(profile: Profile) -> Vec<String> {
    let of = |priority| file(&[router(profile, priority)]);
    [200, 100].map(of).to_vec()
}

/// Judges what happens to daemons with these files. On a machine where the deed takes longer than an interval, it is done again.
fn scenario(
    what: &str,
    profile: Profile,
    files: &[String],
    asked: usize,
    same: &Value,
    deed: impl Fn(&mut Scene) -> Vec<usize>,
) {
    let counts = (0..4).any(|_| Scene::start(profile, files).judge(what, asked, same, &deed));
    assert!(counts, "{what}: never done in time");
}

impl Scene {
    /// One daemon for each file, started from the last to the first, each when the one before is Active; in the end the first is,
    /// and those after it are Backups that have been heard.
    fn start(profile: Profile, files: &[String]) -> Self {
        let count = u8::try_from(files.len()).unwrap();
        let lan = Lan::new(count);
        let mut daemons = Vec::new();
        for (namespace, text) in lan.routers.iter().zip(files).rev() {
            let daemon = Daemon::start(namespace, text);
            let limit = interval(profile) * 4 + ms(3000);
            daemon.wait_state(NAME, "active", limit);
            daemons.insert(0, daemon);
        }
        let scene = Self {
            lan,
            profile,
            interval: interval(profile),
            daemons,
        };
        for daemon in &scene.daemons[1..] {
            daemon.wait_state(NAME, "backup", ms(3000));
        }
        // Whoever became Backup has heard a few since.
        std::thread::sleep(scene.interval * 2);
        scene
    }

    /// Asks host `asked` what would happen if `same`, does the same, and compares. `deed` says which hosts are gone by it.
    fn judge(
        &mut self,
        what: &str,
        asked: usize,
        same: &Value,
        deed: impl Fn(&mut Self) -> Vec<usize>,
    ) -> bool {
        self.after_an_advertisement();
        let answer = self.ask(asked, same);
        let at = Stamp::from_rfc3339(answer["time"].as_str().unwrap()).unwrap();
        let done = Stamp::now();
        let gone = deed(self);
        let did = Stamp::now();
        let horizon = Duration::from_micros(answer["horizon-us"].as_u64().unwrap());
        let predicted = self.predicted(asked, &answer);
        let last = predicted.iter().map(|turn| turn.after).fold(0.0, f64::max);
        // Nothing follows either; and if nothing was to change, nothing does when a Backup would have taken over.
        let tail = if predicted.is_empty() {
            self.profile.down(100, self.interval)
        } else {
            self.interval * 2
        };
        let wait = Duration::from_secs_f64(last / 1e3) + tail + ms(300);
        (done + wait.min(horizon)).sleep_until();
        let mut seen = Vec::new();
        for (host, daemon) in self.daemons.iter().enumerate() {
            if gone.contains(&host) {
                continue;
            }
            seen.extend(turns(daemon, host, at));
        }
        let known = |turn: &&Turn| !gone.contains(&turn.host);
        let mut predicted: Vec<Turn> = predicted.iter().filter(known).cloned().collect();
        let key = |turn: &Turn| (turn.host, turn.router.clone());
        predicted.sort_by_key(key);
        seen.sort_by_key(key);
        let list = |turns: &[Turn]| turns.iter().map(ToString::to_string).collect::<Vec<_>>();
        println!(
            "{what}: predicted {:?}, seen {:?}; from question to deed {:.1} ms, the deed took {:.1} ms",
            list(&predicted),
            list(&seen),
            done.millis_since(at),
            did.millis_since(done)
        );
        let slack = slack().as_secs_f64() * 1e3;
        let at_once = predicted.iter().zip(&seen).find(|(a, _)| a.after == 0.0);
        let effect = at_once.map_or(0.0, |(_, b)| b.after);
        let timely = self.interval.as_secs_f64() * 500.0;
        if effect > timely || did.millis_since(at) > timely {
            println!("{what}: too long from question to deed, which is tried again");
            return false;
        }
        let same = |(a, b): (&Turn, &Turn)| {
            let late = b.after - a.after;
            let near = late.abs() <= slack || (late - effect).abs() <= slack;
            near && a.host == b.host && a.router == b.router && a.to == b.to
        };
        assert!(
            predicted.len() == seen.len() && predicted.iter().zip(&seen).all(same),
            "{what}: predicted {:#?}, seen {:#?}\n{answer:#}",
            list(&predicted),
            list(&seen)
        );
        true
    }

    /// Waits until the first has just advertised.
    fn after_an_advertisement(&self) {
        let heard = || {
            let status = self.daemons[0].router(NAME);
            status["statistics"]["advertisement-sent"].as_u64()
        };
        let before = heard();
        wait_for(self.interval * 2 + ms(1000), || {
            (heard() != before).then_some(())
        })
        .expect("the first advertises");
    }

    fn ask(&self, host: usize, same: &Value) -> Value {
        let daemon = &self.daemons[host];
        let mut request = same.clone();
        request["request"] = "what-if".into();
        let mut stream = UnixStream::connect(daemon.runtime_dir().join("vrrpd.sock")).unwrap();
        writeln!(stream, "{request}").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["answer"], "forecast", "{answer:#}");
        answer
    }

    /// What `host` predicts for itself and for those it knows.
    fn predicted(&self, host: usize, answer: &Value) -> Vec<Turn> {
        let changes = answer["changes"].as_array().unwrap();
        let roles = changes.iter().filter(|change| change["kind"] == "role");
        roles
            .map(|change| Turn {
                #[expect(clippy::cast_precision_loss, reason = "minutes at most")]
                after: change["after-us"].as_u64().unwrap() as f64 / 1e3,
                router: change["router"].as_str().unwrap().to_owned(),
                host: match change["peer"].as_str() {
                    None => host,
                    Some(peer) => self.host_of(peer),
                },
                to: change["to"].as_str().unwrap().to_owned(),
            })
            .collect()
    }

    fn host_of(&self, peer: &str) -> usize {
        let own = |host: &usize| {
            let n = Lan::FIRST + u8::try_from(*host).unwrap();
            self.profile.own(n).to_string() == peer
        };
        (0..self.daemons.len()).find(own).unwrap()
    }

    fn link_down(&self, host: usize) -> Vec<usize> {
        self.lan.routers[host].ip("link set eth0 down");
        Vec::new()
    }

    fn load(&self, host: usize, text: &str) -> Vec<usize> {
        self.daemons[host].write_config(text);
        self.daemons[host].reload();
        Vec::new()
    }
}

/// The changes of role of a daemon since then.
fn turns(daemon: &Daemon, host: usize, since: Stamp) -> Vec<Turn> {
    let output = daemon.ctl(&["events", "--json"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| event["kind"] == "role")
        .filter_map(|event| {
            let at = Stamp::from_rfc3339(event["time"].as_str()?)?;
            let after = at.millis_since(since);
            (after > 0.0).then(|| Turn {
                after,
                router: event["router"].as_str().unwrap().to_owned(),
                host,
                to: event["to"].as_str().unwrap().to_owned(),
            })
        })
        .collect()
}

#[test]
fn the_active_loses_its_link() {
    let files = pair(Profile::V3Ipv4);
    let same = json!({"link-down": ["eth0"]});
    scenario(
        "link of the Active",
        Profile::V3Ipv4,
        &files,
        0,
        &same,
        |scene| scene.link_down(0),
    );
}

#[test]
fn the_active_loses_its_link_ipv6() {
    let files = pair(Profile::V3Ipv6);
    let same = json!({"link-down": ["eth0"]});
    scenario(
        "link of the Active, IPv6",
        Profile::V3Ipv6,
        &files,
        0,
        &same,
        |scene| scene.link_down(0),
    );
}

#[test]
fn a_backup_loses_its_link() {
    let files = pair(Profile::V3Ipv4);
    let same = json!({"link-down": ["eth0"]});
    scenario(
        "link of the Backup",
        Profile::V3Ipv4,
        &files,
        1,
        &same,
        |scene| scene.link_down(1),
    );
}

#[test]
fn the_peer_is_killed() {
    for profile in [Profile::V3Ipv4, Profile::V2] {
        let files = pair(profile);
        let same = json!({"all-peers-down": true});
        let what = format!("peer killed, {profile:?}");
        scenario(&what, profile, &files, 1, &same, |scene| {
            scene.daemons[0].kill();
            vec![0]
        });
    }
}

#[test]
fn the_priority_of_the_active_falls() {
    let files = pair(Profile::V3Ipv4);
    let same = json!({"priority": {NAME: 50}});
    scenario(
        "priority of the Active falls",
        Profile::V3Ipv4,
        &files,
        0,
        &same,
        |scene| scene.load(0, &file(&[router(Profile::V3Ipv4, 50)])),
    );
}

#[test]
fn the_priority_of_a_backup_rises() {
    let files = pair(Profile::V3Ipv4);
    let same = json!({"priority": {NAME: 250}});
    scenario(
        "priority of the Backup rises",
        Profile::V3Ipv4,
        &files,
        1,
        &same,
        |scene| scene.load(1, &file(&[router(Profile::V3Ipv4, 250)])),
    );
}

#[test]
fn the_priority_of_a_backup_that_does_not_preempt_rises() {
    let modest = |priority| file(&[router(Profile::V3Ipv4, priority).set("preempt", false)]);
    let files = [file(&[router(Profile::V3Ipv4, 200)]), modest(100)];
    let same = json!({"priority": {NAME: 250}});
    scenario(
        "priority rises, no preemption",
        Profile::V3Ipv4,
        &files,
        1,
        &same,
        |scene| scene.load(1, &modest(250)),
    );
}

#[test]
fn preemption_is_delayed() {
    let patient = |priority| {
        let router = router(Profile::V3Ipv4, priority);
        file(&[router.text("preempt-delay", "1500ms")])
    };
    let files = [file(&[router(Profile::V3Ipv4, 200)]), patient(100)];
    let same = json!({"priority": {NAME: 250}});
    scenario(
        "priority rises, delayed",
        Profile::V3Ipv4,
        &files,
        1,
        &same,
        |scene| scene.load(1, &patient(250)),
    );
}

#[test]
fn a_slower_interval_is_learned() {
    let files = pair(Profile::V3Ipv4);
    let slower = router(Profile::V3Ipv4, 200).text("advertise-interval", "500ms");
    let text = file(&[slower]);
    let same = json!({ "config": text });
    scenario(
        "interval of the Active",
        Profile::V3Ipv4,
        &files,
        0,
        &same,
        |scene| scene.load(0, &text),
    );
}

/// VRRPv2 refuses what has another interval: both are Active.
#[test]
fn another_interval_splits_version_two() {
    let files = pair(Profile::V2);
    let text = file(&[router(Profile::V2, 200).text("advertise-interval", "2s")]);
    let same = json!({ "config": text });
    scenario(
        "interval of the Active, V2",
        Profile::V2,
        &files,
        0,
        &same,
        |scene| scene.load(0, &text),
    );
}

/// A second virtual router on the same interface.
fn second(priority: u8) -> Router {
    router(Profile::V3Ipv4, priority)
        .set("vrid", 52)
        .list("addresses", &["192.0.2.253/24"])
}

fn named(name: &str, router: &Router) -> String {
    router.to_string().replacen(NAME, name, 1)
}

#[test]
fn a_router_is_removed_and_another_one_added() {
    let files = pair(Profile::V3Ipv4);
    let text = named("r52", &second(100));
    let same = json!({ "config": text });
    scenario(
        "removed and added",
        Profile::V3Ipv4,
        &files,
        0,
        &same,
        |scene| scene.load(0, &text),
    );
}

#[test]
fn two_routers_share_the_interface_that_fails() {
    let both = |first, other| {
        let first = file(&[router(Profile::V3Ipv4, first)]);
        first + &named("r52", &second(other))
    };
    let files = [both(200, 100), both(100, 200)];
    let same = json!({"link-down": ["eth0"]});
    scenario(
        "two on one interface",
        Profile::V3Ipv4,
        &files,
        0,
        &same,
        |scene| scene.link_down(0),
    );
}

#[test]
fn of_three_the_next_takes_over() {
    let files = [200, 150, 100].map(|priority| file(&[router(Profile::V3Ipv4, priority)]));
    let peer = Profile::V3Ipv4.own(Lan::FIRST).to_string();
    let same = json!({ "peer-down": [peer] });
    scenario(
        "three, the first killed",
        Profile::V3Ipv4,
        &files,
        1,
        &same,
        |scene| {
            scene.daemons[0].kill();
            vec![0]
        },
    );
}

#[test]
fn of_three_the_last_sees_the_next_take_over() {
    let files = [200, 150, 100].map(|priority| file(&[router(Profile::V3Ipv4, priority)]));
    let peer = Profile::V3Ipv4.own(Lan::FIRST).to_string();
    let same = json!({ "peer-down": [peer] });
    scenario(
        "three, the first killed, seen by the last",
        Profile::V3Ipv4,
        &files,
        2,
        &same,
        |scene| {
            scene.daemons[0].kill();
            vec![0]
        },
    );
}

/// Nothing but the question: nothing happens.
#[test]
fn a_question_changes_nothing() {
    let scene = Scene::start(Profile::V3Ipv4, &pair(Profile::V3Ipv4));
    let state = |host: usize| {
        let mut router = scene.daemons[host].router(NAME);
        // What moves by itself.
        for field in ["peers", "statistics"] {
            router.as_object_mut().unwrap().remove(field);
        }
        router
    };
    let before = [state(0), state(1)];
    let since = Stamp::now();
    let address = Profile::V3Ipv4.own(Lan::FIRST).to_string();
    let questions: [&[&str]; 5] = [
        &["--link-down", "eth0"],
        &["--peer-down"],
        &["--peer-down", &address, "--priority", "r51=77"],
        &["--priority", "r51=250", "--for", "10m"],
        &["--link-down", "eth0", "--json"],
    ];
    for question in questions {
        let words = [&["what-if"], question].concat();
        let output = scene.daemons[1].ctl(&words);
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
    let explained = scene.daemons[1].ctl(&["explain", NAME]);
    let text = String::from_utf8(explained.stdout).unwrap();
    println!("{text}");
    assert!(text.starts_with("r51 is BACKUP: 192.0.2.11 advertises 200, we have 100."));
    assert!(text.contains("vrrpd.toml:"), "{text}");
    std::thread::sleep(scene.interval * 5);
    assert_eq!([state(0), state(1)], before);
    let turns: Vec<Turn> = (0..2)
        .flat_map(|host| turns(&scene.daemons[host], host, since))
        .collect();
    assert_eq!(turns, []);
    // What does not exist cannot be supposed.
    let refused = scene.daemons[1].ctl(&["what-if", "--link-down", "eth9"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let unknown = scene.daemons[1].ctl(&["what-if", "--priority", "r9=1"]);
    assert_eq!(unknown.status.code(), Some(2), "{unknown:?}");
    let empty = scene.daemons[1].ctl(&["what-if"]);
    assert_eq!(empty.status.code(), Some(64), "{empty:?}");
}
