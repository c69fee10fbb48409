//! Probes and those who make them: who is killed or replaced is followed, levels do not flap, and nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

/// One at a time, each with a number: of three in a row the first is bad.
const SCRIPT: &str = "#!/bin/sh
cd $D/$1 || exit 9
exec 9>lock
flock -n 9 || echo overlap >> ../overlaps
n=$(($(cat n) + 1))
echo $n > next && mv next n
sleep 0.03
[ $((n % 3)) != 1 ]
";

struct World {
    daemon: Daemon,
    scratch: Scratch,
    lan: Lan,
    router: Router,
}

impl World {
    fn new(trackers: &str, track: &str, prepare: impl FnOnce(&Scratch)) -> Self {
        let (lan, scratch) = (Lan::new(1), Scratch::new("lives"));
        prepare(&scratch);
        let trackers = trackers.replace("$D", scratch.path().to_str().unwrap());
        let mut router = Router::new("lan4", Profile::V3Ipv4).text("advertise-interval", "100ms");
        if !track.is_empty() {
            router = router.set("track", track);
        }
        let text = file(std::slice::from_ref(&router)) + &trackers;
        let daemon = Daemon::start(&lan.routers[0], &text);
        Self {
            daemon,
            scratch,
            lan,
            router,
        }
    }

    fn ask(&self, words: &[&str]) -> Value {
        let output = self.daemon.ctl(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    fn trackers(&self) -> Vec<Value> {
        let report = self.ask(&["show", "trackers"]);
        report["trackers"].as_array().unwrap().clone()
    }

    fn agent(&self) -> i32 {
        let pid = wait_for(ms(5000), || {
            self.ask(&["hook", "list"])["agent-pid"].as_i64()
        });
        i32::try_from(pid.unwrap()).unwrap()
    }

    /// Name, state, and since when.
    fn levels(&self) -> Vec<(String, String, Stamp)> {
        let level = |it: &Value| {
            let since = Stamp::from_rfc3339(it["since"].as_str().unwrap()).unwrap();
            let text = |key: &str| it[key].as_str().unwrap().to_owned();
            (text("name"), text("state"), since)
        };
        self.trackers().iter().map(level).collect()
    }

    /// Waits until each was probed so often by whoever probes now.
    fn wait_probed(&self, runs: u64) {
        let all = wait_for(ms(15_000), || {
            let all = self.trackers();
            let often = |it: &Value| it["probe"]["runs"].as_u64().is_some_and(|it| it >= runs);
            all.iter().all(often).then_some(())
        });
        assert!(
            all.is_some(),
            "{:#?}\n{}",
            self.trackers(),
            self.daemon.log()
        );
    }

    fn script(scratch: &Scratch, name: &str, text: &str) {
        let text = text.replace("$D", scratch.path().to_str().unwrap());
        let path = scratch.write(name, &text);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

#[test]
fn levels_outlive_those_who_probe() {
    let mut trackers = String::new();
    let mut track = Vec::new();
    for number in 0..4 {
        trackers += &format!(
            "[tracker.script{number}]\ntype = \"script\"\ncommand = [\"$D/check\", \"{number}\"]\ninterval = \"200ms\"\nrise = 1\nfall = 2\n"
        );
        track.push(format!("script{number} = -9"));
    }
    trackers += "[tracker.flag]\ntype = \"file\"\npath = \"$D/check\"\n\
                 [tracker.bad]\ntype = \"tcp\"\naddress = \"192.0.2.11\"\nport = 9\ninterval = \"200ms\"\n";
    track.push("flag = -9".to_owned());
    track.push("bad = -9".to_owned());
    let mut world = World::new(
        &trackers,
        &format!("{{ {} }}", track.join(", ")),
        |scratch| {
            World::script(scratch, "check", SCRIPT);
            for number in 0..4 {
                std::fs::create_dir(scratch.path().join(number.to_string())).unwrap();
                // The first result of all is a good one.
                scratch.write(&format!("{number}/n"), "1");
            }
        },
    );
    world.daemon.wait_state("lan4", "active", ms(8000));
    world.wait_probed(3);
    let levels = world.levels();
    let down: Vec<&str> = levels
        .iter()
        .filter(|it| it.1 != "up")
        .map(|it| it.0.as_str())
        .collect();
    assert_eq!(down, ["bad"], "{levels:?}");
    let same = |world: &World, what: &str| {
        let now = world.levels();
        for (before, after) in levels.iter().zip(&now) {
            let moved = after.2.millis_since(before.2).abs();
            assert!(
                before.1 == after.1 && moved < 50.0,
                "{what}: {before:?} {after:?}\n{}",
                world.daemon.log()
            );
        }
        assert_eq!(
            world.daemon.router("lan4")["priority"]["effective"],
            91,
            "{what}"
        );
    };
    let role = world.daemon.role("lan4");
    for round in 0..3 {
        // The one who probes.
        let agent = world.agent();
        kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
        let next = wait_for(ms(5000), || {
            let pid = world.ask(&["hook", "list"])["agent-pid"].as_i64()?;
            (pid != i64::from(agent)).then_some(())
        });
        assert!(next.is_some(), "{}", world.daemon.log());
        world.wait_probed(3);
        same(&world, &format!("agent killed, {round}"));
        // The one who counts, at some point between two results.
        thread::sleep(ms(70 * round));
        world.daemon.signal_worker(Signal::SIGKILL);
        let back = wait_for(ms(5000), || world.daemon.try_status());
        assert!(back.is_some());
        thread::sleep(ms(1500));
        same(&world, &format!("worker killed, {round}"));
        world.wait_probed(3);
    }
    // All of the program.
    let output = world.daemon.ctl(&["upgrade", "--wait"]);
    assert!(output.status.success(), "{output:?}");
    thread::sleep(ms(1500));
    world.wait_probed(3);
    same(&world, "upgraded");
    assert_eq!(world.daemon.role("lan4"), role);
    // And of the daemon: whoever begins knows nothing, and is not down before the first result.
    world.daemon.stop();
    let Lan { routers, .. } = &world.lan;
    world.daemon.restart(&routers[0]);
    world.daemon.wait_state("lan4", "active", ms(8000));
    world.wait_probed(3);
    assert_eq!(world.daemon.router("lan4")["priority"]["effective"], 91);
    let overlaps = world.scratch.path().join("overlaps");
    assert!(!overlaps.exists(), "two at the same time");
}

#[test]
fn two_hundred_scripts_are_spread_and_leave_nothing_behind() {
    let one = |number: usize| {
        format!(
            "[tracker.script{number}]\ntype = \"script\"\ncommand = [\"$D/check\"]\nuser = \"nobody\"\n"
        )
    };
    let hanging = "[tracker.hangs]\ntype = \"script\"\ncommand = [\"$D/hang\"]\ninterval = \"60s\"\ntimeout = \"60s\"\n";
    let trackers: String = (0..200).map(one).collect();
    let world = World::new(&(trackers + hanging), "", |scratch| {
        World::script(scratch, "check", "#!/bin/sh\nexit 0\n");
        World::script(scratch, "hang", "#!/bin/sh\nsleep 66.25 & sleep 66.25\n");
    });
    let settled = wait_for(ms(15_000), || {
        let all = world.trackers();
        let up = all.iter().filter(|it| it["state"] == "up").count();
        (up == 200).then_some(())
    });
    assert!(settled.is_some(), "{}", world.daemon.log());
    let agent = world.agent();
    let kib = |agent: i32| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{agent}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = line.unwrap().split_whitespace().next().unwrap();
        size.parse().unwrap()
    };
    let (before, runs) = (kib(agent), made(&world));
    thread::sleep(Duration::from_secs(5));
    let (after, more) = (kib(agent), made(&world) - runs);
    println!("{more} runs in 5 s; the agent has {before} KiB, then {after} KiB");
    assert!(more >= 800, "{more} runs of 1000");
    assert!(after < 32 * 1024, "{after} KiB");
    assert!(after < before + 4096, "{before} KiB, then {after} KiB");
    // By the time of the last one, where in its second each is: nowhere are many at the same time.
    let mut tenths = [0_u32; 10];
    for it in world.trackers() {
        if let Some(time) = it["probe"]["last"]["time"].as_str() {
            let digit = time.split('.').nth(1).unwrap().chars().next().unwrap();
            tenths[usize::try_from(digit.to_digit(10).unwrap()).unwrap()] += 1;
        }
    }
    println!("in each tenth of a second: {tenths:?}");
    assert!(tenths.iter().all(|count| *count <= 60), "{tenths:?}");
    // What hangs is ended with all that it has started when nobody needs it any more.
    let hang = || {
        let table = world.lan.routers[0].sh("ps -eo args");
        table.lines().filter(|line| *line == "sleep 66.25").count()
    };
    assert_eq!(hang(), 2);
    world
        .daemon
        .write_config(&file(std::slice::from_ref(&world.router)));
    world.daemon.reload();
    let gone = wait_for(ms(5000), || {
        let alive = Path::new(&format!("/proc/{agent}")).exists();
        (hang() == 0 && !alive).then_some(())
    });
    assert!(gone.is_some(), "{} hang", hang());
}

fn made(world: &World) -> u64 {
    let all = world.trackers();
    let runs = all.iter().filter_map(|it| it["probe"]["runs"].as_u64());
    runs.sum()
}
