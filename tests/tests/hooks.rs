//! Hooks hear of everything once and in order, whoever dies meanwhile; and they may do next to nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::{Daemon, check};
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::topology::Lan;

const NAME: &str = "lan4";

/// Flaps in one run of the test that counts them; more on request.
fn flaps() -> u64 {
    let wish = std::env::var("VRRPD_FLAPS").ok();
    wish.and_then(|wish| wish.parse().ok()).unwrap_or(40)
}

fn router() -> Router {
    Router::new(NAME, Profile::V3Ipv4)
        .set("priority", 150)
        .text("advertise-interval", "10ms")
}

struct World {
    scratch: Scratch,
    daemon: Daemon,
    lan: Lan,
}

impl World {
    /// A daemon with these hooks; `$D` in them is a directory of the test's own.
    fn new(hooks: &str, scripts: &[(&str, &str)]) -> Self {
        let scratch = Scratch::new("hooks");
        for (name, text) in scripts {
            script(&scratch, name, text);
        }
        let lan = Lan::new(1);
        let config = format!("{}{}", file(&[router()]), of(hooks, &scratch));
        let daemon = Daemon::start(&lan.routers[0], &config);
        Self {
            scratch,
            daemon,
            lan,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn wait_text(&self, name: &str, what: &str) -> String {
        let found = wait_for(Duration::from_secs(8), || {
            let text = self.text(name);
            text.contains(what).then_some(text)
        });
        found.unwrap_or_else(|| {
            panic!(
                "{name} does not say {what:?} but {:?}; the daemon said:\n{}",
                self.text(name),
                self.daemon.log()
            )
        })
    }

    fn host(&self) -> &Namespace {
        &self.lan.routers[0]
    }

    fn report(&self) -> Value {
        let output = self.daemon.ctl(&["hook", "list", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }

    fn agent(&self) -> i32 {
        let pid = wait_for(Duration::from_secs(12), || {
            self.report()["agent-pid"].as_i64()
        });
        i32::try_from(pid.unwrap()).unwrap()
    }
}

fn of(hooks: &str, scratch: &Scratch) -> String {
    hooks.replace("$D", scratch.path().to_str().unwrap())
}

fn script(scratch: &Scratch, name: &str, text: &str) {
    let path = scratch.write(name, &format!("#!/bin/sh\n{}\n", of(text, scratch)));
    mode(&path, 0o755);
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Says when it begins and ends, with a while in between, in one line each that is written in one piece.
const DIARY: &str = "echo \"begin $VRRP_EVENT_ID $VRRP_STATE $VRRP_OLD_STATE\" >> $D/$1
sleep $(awk \"BEGIN { srand($$); print rand() * 0.06 }\")
echo \"end $VRRP_EVENT_ID $VRRP_STATE\" >> $D/$1";

/// The runs in a diary; each begins after the last one has ended. A run that was killed with its agent has no end, and is the
/// only one that may be there again.
fn runs(diary: &str, killed: &mut u64) -> Vec<(u64, String)> {
    let mut all: Vec<(u64, String)> = Vec::new();
    let mut open: Option<(u64, String)> = None;
    for line in diary.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let run = (words[1].parse().unwrap(), words[2].to_owned());
        if words[0] == "begin" {
            *killed += u64::from(open.is_some());
            open = Some(run);
        } else {
            assert_eq!(
                open.take(),
                Some(run.clone()),
                "ends without beginning: {diary}"
            );
            all.push(run);
        }
    }
    all
}

#[test]
fn flaps_are_told_once_and_in_order_whoever_dies() {
    let hooks = "[hook.each]\ncommand = [\"$D/diary\", \"each\"]\ncoalesce = false\n\
                 [hook.last]\ncommand = [\"$D/diary\", \"last\"]\n";
    let world = World::new(hooks, &[("diary", DIARY)]);
    world.daemon.wait_state(NAME, "active", ms(6000));
    let agent = world.agent();
    let (mut seed, mut workers) = (88_172_645_463_325_252_u64, 0);
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for flap in 0..flaps() {
        world.host().ip("link set eth0 down");
        std::thread::sleep(ms(random(30)));
        world.host().ip("link set eth0 up");
        std::thread::sleep(ms(random(150)));
        // No more than may die before the keeper gives up, which is five in ten seconds.
        if flap % if flaps() > 40 { 40 } else { 10 } == 4 {
            world.daemon.signal_worker(Signal::SIGKILL);
            workers += 1;
            std::thread::sleep(ms(random(100)));
        }
    }
    world.daemon.wait_state(NAME, "active", ms(6000));
    assert_eq!(world.agent(), agent, "the agent outlives workers");
    let states = |name: &str| runs(&world.text(name), &mut 0);
    let settled = wait_for(Duration::from_secs(60), || {
        let last = |name: &str| states(name).last().map(|run| run.1.clone());
        let both = [last("each"), last("last")];
        let real = both.iter().all(|state| state.as_deref() == Some("active"));
        let before = world.text("each").len();
        std::thread::sleep(ms(300));
        (real && world.text("each").len() == before).then_some(())
    });
    assert!(settled.is_some(), "{:?}", states("each").last());
    for name in ["each", "last"] {
        let all = states(name);
        let changes = all.windows(2).all(|pair| pair[0].1 != pair[1].1);
        let ascends = all.windows(2).all(|pair| pair[0].0 <= pair[1].0);
        assert!(changes && ascends, "{name}: {all:?}");
    }
    // What the history knows of, and nothing twice: what was found out later has the number of something else.
    let output = world.daemon.ctl(&["events", "--json"]);
    let mut before = String::new();
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let state = match (event["kind"].as_str().unwrap(), event["to"].as_str()) {
            ("role", Some("initialize")) => "fault",
            ("role", Some(role)) => role,
            ("faults", _) if event["text"] != "no fault any more" => "fault",
            _ => continue,
        };
        if state != before {
            known.insert(event["sequence"].as_u64().unwrap(), state.to_owned());
        }
        state.clone_into(&mut before);
    }
    let told = states("each");
    for (id, state) in &known {
        let times = told
            .iter()
            .filter(|run| run == &&(*id, state.clone()))
            .count();
        // What was lost with a worker may have been the state before, and then this was none.
        assert!(
            times == 1 || (times == 0 && workers > 0),
            "{id} {state}: {times} times"
        );
    }
    let missed = known
        .iter()
        .filter(|(id, state)| !told.contains(&(**id, (*state).clone())));
    let late = told
        .iter()
        .filter(|run| known.get(&run.0) != Some(&run.1))
        .count();
    let missed = missed.count();
    assert!(
        missed <= 2 * workers && late <= 2 * workers,
        "{missed} {late} {told:?} {known:?}"
    );
    let few = states("last").len();
    assert!(few <= told.len());
    println!(
        "{} flaps, {workers} workers killed: {} states in the history, {} told one by one ({late} found out later), {few} \
         of them to who hears of the last one only",
        flaps(),
        known.len(),
        told.len()
    );
}

#[test]
fn another_agent_goes_on_from_what_was_delivered() {
    let hooks = "[hook.each]\ncommand = [\"$D/diary\", \"each\"]\ncoalesce = false\n";
    let mut world = World::new(hooks, &[("diary", DIARY)]);
    world.wait_text("each", "end 3 active");
    // The agent alone.
    let agent = world.agent();
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    let another = wait_for(Duration::from_secs(12), || {
        Some(world.agent()).filter(|pid| *pid != agent)
    });
    assert!(another.is_some());
    std::thread::sleep(ms(500));
    let before = world.text("each");
    assert_eq!(
        before.matches("begin").count(),
        before.matches("end ").count()
    );
    assert_eq!(before.matches(" active").count(), 2, "told twice: {before}");
    // And everything at once: what nobody saw makes a difference.
    let agent = world.agent();
    world.daemon.signal(Signal::SIGSTOP);
    kill(Pid::from_raw(agent), Signal::SIGKILL).unwrap();
    world.daemon.kill();
    world.lan.routers[0].ip("link set eth0 down");
    world.daemon.restart(&world.lan.routers[0]);
    let text = world.wait_text("each", " fault");
    let last: Vec<&str> = text.lines().skip(before.lines().count()).collect();
    assert!(
        last[0].starts_with("begin ") && last[0].ends_with(" fault active"),
        "{last:?}"
    );
    // In the end, everybody has stopped before the daemon has.
    world.lan.routers[0].ip("link set eth0 up");
    world.daemon.wait_state(NAME, "active", ms(6000));
    world.daemon.stop();
    let text = world.text("each");
    assert!(text.lines().last().unwrap().ends_with(" stop"), "{text}");
    assert!(runs(&text, &mut 0).len() > 5);
}

#[test]
fn a_daemon_that_was_killed_is_said_to_have_stopped() {
    let hooks = "[hook.each]\ncommand = [\"$D/diary\", \"each\"]\n";
    let mut world = World::new(hooks, &[("diary", DIARY)]);
    world.wait_text("each", " active");
    world.daemon.kill();
    world.wait_text("each", "end 3 stop");
    world.daemon.restart(&world.lan.routers[0]);
    world.daemon.wait_state(NAME, "active", ms(6000));
    let text = world.wait_text("each", "active backup");
    let states: Vec<String> = runs(&text, &mut 0).into_iter().map(|run| run.1).collect();
    assert!(
        states.windows(2).all(|pair| pair[0] != pair[1]),
        "{states:?}"
    );
}

#[test]
fn a_hook_is_somebody_else_who_may_nothing() {
    let hooks = "[hook.who]\ncommand = [\"$D/who\", \"a b\"]\nuser = \"nobody\"\narguments = \"keepalived\"\non = [\"active\"]\n\
                 [hook.root]\ncommand = [\"$D/root\"]\non = [\"active\"]\ncapabilities = [\"net-admin\"]\n\
                 [hook.slow]\ncommand = [\"$D/slow\"]\non = [\"active\"]\ntimeout = \"300ms\"\n\
                 [hook.open]\ncommand = [\"$D/open\"]\non = [\"active\"]\n";
    let who = "{ id -un; id -Gn; for it in \"$@\"; do echo \"[$it]\"; done; env; grep ^Cap /proc/self/status; cat
echo \"nice $(awk '{ print $19, $41 }' /proc/self/stat)\"; } > $D/out/who 2>&1; echo done >> $D/out/who";
    let root = "{ grep -E '^Cap(Eff|Bnd)' /proc/self/status; ip link add br9 type bridge && echo made; chown nobody $0 || echo not
} > $D/out/root 2>&1; echo done >> $D/out/root";
    let slow = "trap '' TERM; sleep 61.75 & echo $! > $D/out/slow; wait; sleep 61.75";
    let scratch_ready: &[(&str, &str)] = &[
        ("who", who),
        ("root", root),
        ("slow", slow),
        ("open", "touch $D/out/open"),
    ];
    let scratch = Scratch::new("hooks");
    for (name, text) in scratch_ready {
        script(&scratch, name, text);
    }
    mode(&scratch.path().join("open"), 0o757);
    std::fs::create_dir(scratch.path().join("out")).unwrap();
    mode(&scratch.path().join("out"), 0o777);
    let lan = Lan::new(1);
    let config = format!("{}{}", file(&[router()]), of(hooks, &scratch));
    // Before it is run, somebody may ask.
    let judged = check(&config);
    let said = String::from_utf8_lossy(&judged.stderr).into_owned();
    assert_eq!(judged.status.code(), Some(0), "{said}");
    assert!(
        said.contains("VR0150") && said.contains("open can be written by others, its mode is 0757"),
        "{said}"
    );
    let daemon = Daemon::start(&lan.routers[0], &config);
    let world = World {
        scratch,
        daemon,
        lan,
    };
    let who = world.wait_text("out/who", "\ndone");
    for line in [
        "nobody\nnogroup\n[a b]\n[INSTANCE]\n[lan4]\n[MASTER]\n[150]\n",
        "\nVRRP_NAME=lan4\n",
        "\nVRRP_STATE=active\n",
        "\nVRRP_OLD_STATE=backup\n",
        "\nVRRP_REASON=no-response\n",
        "\nVRRP_INTERFACE=eth0\n",
        "\nVRRP_ADDRESSES=192.0.2.254/24\n",
        "\nUSER=nobody\n",
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n",
        "\"event\":\"active\"",
        "\nnice 0 0\n",
    ] {
        assert!(who.contains(line), "no {line:?} in {who}");
    }
    let ours = [
        "PATH=", "HOME=", "USER=", "LOGNAME=", "PWD=", "_=", "SHLVL=", "OLDPWD=", "VRRP_",
    ];
    let variables = who
        .lines()
        .filter(|line| line.contains('=') && !line.starts_with('{'));
    let strange: Vec<&str> = variables
        .filter(|line| !ours.iter().any(|ours| line.starts_with(ours)))
        .collect();
    assert!(strange.is_empty(), "inherited: {strange:?}");
    let root = world.wait_text("out/root", "\ndone");
    assert!(
        root.contains("CapEff:\t0000000000001000\nCapBnd:\t0000000000001000\n"),
        "{root}"
    );
    assert!(
        root.contains("\nmade\n") && root.contains("\nnot\n"),
        "{root}"
    );
    // What takes too long is ended with all that it started, and those behind it have their turn.
    let sleeper = world.wait_text("out/slow", "\n");
    let report = wait_for(Duration::from_secs(8), || {
        let report = world.report();
        let all = report["hooks"].as_array()?.iter();
        all.clone().all(|hook| hook["runs"] == 1).then_some(report)
    });
    let report = report.unwrap_or_else(|| panic!("{:#}\n{}", world.report(), world.daemon.log()));
    let outcome = |index: usize| {
        report["hooks"][index]["last"]["outcome"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(outcome(0), "done");
    assert_eq!(outcome(2), "killed after 300 ms");
    let gone = wait_for(ms(2000), || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", sleeper.trim()));
        stat.map_or(true, |stat| stat.contains(") Z "))
            .then_some(())
    });
    assert!(gone.is_some());
    assert!(
        outcome(3).starts_with("not run: ")
            && outcome(3).ends_with("open can be written by others, its mode is 0757")
    );
    assert!(!world.path("out/open").exists());
    let log = world.daemon.log();
    assert!(log.contains("hook open for active: not run"), "{log}");
    // A try says how it would be, and changes nothing.
    let dry = world
        .daemon
        .ctl(&["hook", "run", "who", "--event", "fault", "--dry-run"]);
    let said = String::from_utf8_lossy(&dry.stdout).into_owned();
    assert!(
        dry.status.success()
            && said.contains("INSTANCE lan4 FAULT")
            && said.contains("VRRP_STATE=fault"),
        "{dry:?}"
    );
    assert!(world.text("out/who").contains("active"));
    let run = world
        .daemon
        .ctl(&["hook", "run", "slow", "--event", "active"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let none = world
        .daemon
        .ctl(&["hook", "run", "none", "--event", "active"]);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    let stranger = ["hook", "run", "who", "--event", "active", "--router", "x"];
    assert_eq!(world.daemon.ctl(&stranger).status.code(), Some(2));
}

#[test]
fn a_group_is_told_of_as_one() {
    let scratch = Scratch::new("hooks");
    script(&scratch, "notify", "echo \"$@\" >> $D/told");
    let lan = Lan::new(1);
    let other = Router::new("wan4", Profile::V3Ipv4)
        .text("interface", "eth1")
        .set("priority", 120)
        .text("advertise-interval", "10ms")
        .list("addresses", &["198.51.100.254/24"]);
    let hooks = "[group.edge]\nmembers = [\"lan4\", \"wan4\"]\n\
                 [hook.notify]\ncommand = [\"$D/notify\"]\narguments = \"keepalived\"\nrouters = [\"edge\"]\ncoalesce = false\n";
    let config = format!("{}{}", file(&[router(), other]), of(hooks, &scratch));
    let daemon = Daemon::start(&lan.routers[0], &config);
    let mut world = World {
        scratch,
        daemon,
        lan,
    };
    world.wait_text("told", "GROUP edge MASTER 120\n");
    world.host().ip("link set eth1 down");
    world.wait_text("told", "GROUP edge FAULT 120\n");
    world.daemon.stop();
    let told = world.text("told");
    let last = told.lines().last();
    assert_eq!(last, Some("GROUP edge STOP 120"), "{told}");
    assert!(
        told.lines().all(|line| line.starts_with("GROUP edge ")),
        "{told}"
    );
}

#[test]
fn fifos_relays_and_reloads() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    drop(listener);
    let hooks = "[hook.fifo]\ntype = \"fifo\"\npath = \"$D/fifo\"\ntimeout = \"20s\"\n\
                 [hook.relay]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:8080/vrrp\"\n";
    let world = World::new(hooks, &[("diary", DIARY)]);
    let relay = world
        .host()
        .enter(|| std::net::TcpListener::bind("127.0.0.1:8080").unwrap());
    // Lines wait for a reader.
    let made = wait_for(Duration::from_secs(5), || {
        world.path("fifo").exists().then_some(())
    });
    assert!(made.is_some(), "{}", world.daemon.log());
    world.daemon.wait_state(NAME, "active", ms(6000));
    let mut fifo = std::fs::File::open(world.path("fifo")).unwrap();
    let mut said = String::new();
    let mut posted = Vec::new();
    relay.set_nonblocking(true).unwrap();
    let done = wait_for(Duration::from_secs(10), || {
        let mut piece = [0; 512];
        let length = fifo.read(&mut piece).unwrap();
        said.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        if let Ok((mut stream, _)) = relay.accept() {
            stream.set_nonblocking(false).unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 512];
            while !request.ends_with(b"}\n") {
                let length = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..length]);
            }
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .unwrap();
            posted.push(String::from_utf8(request).unwrap());
        }
        let told = said.ends_with("INSTANCE \"lan4\" MASTER 150\n");
        (told && posted.last()?.contains("\"state\":\"active\"")).then_some(())
    });
    assert!(done.is_some(), "{said} {posted:?} {}", world.daemon.log());
    // A hook that comes by a reload hears how things stand, and what is gone hears no more.
    let config = format!(
        "{}{}",
        file(&[router()]),
        of(
            "[hook.each]\ncommand = [\"$D/diary\", \"each\"]\n",
            &world.scratch
        )
    );
    world.daemon.write_config(&config);
    let output = world.daemon.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("each") && said.contains("fifo"),
        "{output:?}"
    );
    world.wait_text("each", " active");
    let shown = world.daemon.ctl(&["show", "config"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("[hook.each]\ncommand = ["), "{shown}");
    // Without hooks there is no process for them.
    let agent = world.agent();
    world.daemon.write_config(&file(&[router()]));
    assert!(world.daemon.ctl(&["reload"]).status.success());
    let gone = wait_for(Duration::from_secs(5), || {
        (!Path::new(&format!("/proc/{agent}")).exists()).then_some(())
    });
    assert!(gone.is_some());
}
