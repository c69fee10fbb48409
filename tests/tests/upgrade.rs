//! Another program in place of the Active's, without a failover; and programs that are no good.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use vrrp_lab::capture::{Capture, announces, sighting};
use vrrp_lab::client::Client;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::crowd::Crowd;
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::manager::Manager;
use vrrp_lab::pair::{HIGHER, LOWER};
use vrrp_lab::process::Process;
use vrrp_lab::profile::Profile;
use vrrp_lab::rival::{Orders, Rival, ours};
use vrrp_lab::scratch::Scratch;
use vrrp_lab::settings::file;
use vrrp_lab::stall;
use vrrp_lab::topology::Lan;

/// What the laboratory calls its router.
const NAME: &str = "lab";

const INTERVAL: Duration = ms(100);

/// Ours, and keepalived as its Backup.
struct World {
    daemon: Daemon,
    peer: Keepalived,
    ports: [Capture; 2],
    lan: Lan,
    profile: Profile,
}

impl World {
    fn new(profile: Profile, plane: &'static str) -> Self {
        Self::with(profile, plane, HIGHER)
    }

    fn with(profile: Profile, plane: &'static str, priority: u8) -> Self {
        Self::start(profile, plane, priority, None)
    }

    fn managed(profile: Profile, plane: &'static str, manager: &Arc<Manager>) -> Self {
        Self::start(profile, plane, HIGHER, Some(manager))
    }

    fn start(
        profile: Profile,
        plane: &'static str,
        priority: u8,
        manager: Option<&Arc<Manager>>,
    ) -> Self {
        let lan = Lan::new(2);
        let ports = ["lan1", "lan2"].map(|port| Capture::start(&lan.switch, port));
        let orders = |priority| Orders {
            plane: Some(plane),
            ..Orders::new(profile, priority, INTERVAL)
        };
        let other = if priority == HIGHER { LOWER } else { HIGHER };
        let config = file(&[ours(orders(priority), "rfc5798")]);
        let daemon = match manager {
            Some(manager) => Daemon::start_managed(&lan.routers[0], &config, manager),
            None => Daemon::start(&lan.routers[0], &config),
        };
        daemon.wait_state(NAME, "active", ms(8000));
        let peer = Keepalived::start(&lan.routers[1], orders(other));
        let world = Self {
            daemon,
            peer,
            ports,
            lan,
            profile,
        };
        if priority == LOWER {
            world.daemon.wait_state(NAME, "backup", ms(8000));
        }
        // The peer has found its place, and our burst of announcements is over.
        std::thread::sleep(ms(6500));
        world
    }

    /// As `systemctl restart` does it: SIGUSR2, the end, and a start with what was kept meanwhile.
    fn restart(&mut self, manager: &Manager) {
        let asked = self.daemon.signal(Signal::SIGUSR2);
        let status = self.daemon.wait(ms(5000));
        let ended = Stamp::now();
        assert!(status.success(), "{status}: {}", self.daemon.log());
        let stopping = wait_for(ms(500), || manager.told().stopping.then_some(()));
        assert!(stopping.is_some(), "{:?}", manager.told());
        assert!(
            manager.kept().contains(&"state".to_owned()),
            "{:?}",
            manager.told()
        );
        self.daemon.relaunch(&self.lan.routers[0]);
        manager.wait_ready(ms(5000));
        let ready = Stamp::now();
        let adverts = self.ports[0].adverts(asked - INTERVAL * 2);
        let last = adverts.iter().rfind(|advert| advert.at < ended);
        let first = adverts.iter().find(|advert| advert.at > ended);
        let since = |from: Option<Stamp>| from.map(|from| ready.millis_since(from));
        println!(
            "ms before it was ready: asked {:.1}, last advertisement {:.1?}, ended {:.1}, first advertisement {:.1?}",
            ready.millis_since(asked),
            since(last.map(|advert| advert.at)),
            ready.millis_since(ended),
            since(first.map(|advert| advert.at)),
        );
    }

    fn upgrade(&self, more: &[&str]) -> Output {
        self.daemon.ctl(&[&["upgrade"], more].concat())
    }

    fn events(&self) -> Vec<Value> {
        let output = self.daemon.ctl(&["events", "--json"]);
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The process at work. One that made way may take a while to be gone, where the kernel's routing lock is held for long.
    fn worker(&self) -> Value {
        self.daemon.status()["daemon"]["worker-pid"].clone()
    }

    /// What is in the kernel of our router.
    fn links(&self) -> String {
        self.lan.routers[0].sh("ip -d -o link; ip -o addr; tc filter show dev eth0 egress")
    }
}

/// Everything that somebody else could notice, from now until it is judged.
struct Watch {
    client: Client,
    ping: Process,
    scratch: Scratch,
    from: Stamp,
    links: String,
    transitions: u64,
    sent: u64,
    masters: usize,
    events: usize,
}

impl Watch {
    fn begin(world: &World) -> Self {
        let v6 = world.profile.is_ipv6();
        let upstream: IpAddr = if v6 { "2001:db8:f::1" } else { "198.51.100.1" }
            .parse()
            .unwrap();
        let client = Client::start(&world.lan.client, &world.lan.upstream, upstream);
        let scratch = Scratch::new("ping");
        let gateway = world.profile.gateway().to_string();
        let ping = Process::start(
            &world.lan.client,
            &PathBuf::from("ping"),
            &["-q", "-i", "0.002", "-W", "1", &gateway],
            &scratch.path().join("ping.log"),
        );
        std::thread::sleep(ms(500));
        let daemon = &world.daemon;
        Self {
            client,
            ping,
            scratch,
            links: world.links(),
            transitions: daemon.counter(NAME, "master-transitions"),
            masters: masters(&world.peer),
            events: world.events().len(),
            // Last, together: what was before may have taken seconds.
            sent: daemon.counter(NAME, "advertisement-sent"),
            from: Stamp::now(),
        }
    }

    /// Nobody has noticed anything.
    fn judge(mut self, world: &World, what: &str) {
        std::thread::sleep(INTERVAL * 4);
        let (from, until) = (self.from, Stamp::now());
        let seen = self.client.experience(from);
        self.ping.signal(Signal::SIGINT);
        let _ = self.ping.wait(ms(3000));
        let echo = self.ping.output();
        let echo = echo.lines().find(|line| line.contains("packet loss"));
        let counted = world.daemon.counter(NAME, "advertisement-sent") - self.sent;
        let adverts = world.ports[0].adverts(from);
        let gaps = adverts.windows(2);
        let gaps = gaps.map(|pair| (pair[1].at.since(pair[0].at), pair[0].at, pair[1].at));
        let (gap, before, after) = gaps.max_by_key(|gap| gap.0).unwrap();
        let transitions = masters(&world.peer) - self.masters;
        let claims = world.ports[1].adverts(from).len();
        let announced = world.ports[0].pick(from, |frame| {
            announces(frame, world.profile.gateway()).then_some(frame.at)
        });
        println!(
            "{what}: {} of {} packets lost, echo: {}; longest gap {:.1} ms, {} transitions and {} advertisements of keepalived, {} announcements",
            seen.lost,
            seen.sent,
            echo.unwrap_or("?"),
            gap.as_secs_f64() * 1e3,
            transitions,
            claims,
            announced.len(),
        );
        let excuse = stall::longest(before, after);
        assert!(gap < INTERVAL.mul_f64(1.5) + excuse, "a gap of {gap:?}");
        // Whoever stood still for longer than its queues are deep has lost packets by itself, then and there.
        let (lost_from, lost_until) = (
            seen.gap_began - INTERVAL,
            seen.gap_began + seen.gap + INTERVAL,
        );
        assert!(
            seen.lost == 0 || stall::longest(lost_from, lost_until) > INTERVAL / 2,
            "{seen:?}, {:.1} s after the beginning: {}",
            seen.gap_began.since(from).as_secs_f64(),
            world.daemon.log()
        );
        let excused = self.is_excused();
        let echo = echo.unwrap();
        assert!(echo.contains(" 0% packet loss") || excused, "{echo}");
        assert!(transitions == 0 || excused, "{}", world.peer.log());
        assert!(claims == 0 || excused, "{claims} claims");
        // All that it announces is the refresh of its own accord, every 48 s at most.
        let refreshes = until.since(from).as_secs() / 48 + 1;
        let few = announced.len() as u64 <= refreshes;
        assert!(few || excused, "{announced:?}");
        assert!(adverts.iter().all(|advert| advert.heard.priority() > 0));
        assert_eq!(world.links(), self.links, "the kernel was changed");
        let daemon = &world.daemon;
        let role = daemon.counter(NAME, "master-transitions");
        assert!(role == self.transitions || excused, "it gave up");
        let missing = adverts.len().abs_diff(usize::try_from(counted).unwrap());
        assert!(missing <= 8, "{counted} counted, {} seen", adverts.len());
        let _ = &self.scratch;
    }

    /// Whether the machine stood still for so long that others must have noticed.
    fn is_excused(&self) -> bool {
        stall::longest(self.from, Stamp::now()) > INTERVAL / 2
    }

    /// The kinds of events since the beginning.
    fn kinds(&self, world: &World) -> Vec<String> {
        let events = world.events();
        let new = events[self.events..].iter();
        new.map(|event| event["kind"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// How often keepalived has become what it calls a master.
fn masters(peer: &Keepalived) -> usize {
    peer.log().matches("Entering MASTER STATE").count()
}

/// How often things are done: 4 times, or as `VRRPD_UPGRADES` says.
fn rounds() -> usize {
    let wish = std::env::var("VRRPD_UPGRADES").ok();
    wish.and_then(|wish| wish.parse().ok()).unwrap_or(4)
}

fn nobody_notices_upgrades(profile: Profile, plane: &'static str) {
    let world = World::new(profile, plane);
    let keeper = world.daemon.pid();
    let watch = Watch::begin(&world);
    for round in 0..rounds() {
        let worker = world.worker();
        let output = world.upgrade(&["--wait", "--json"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(
            output.status.success() && report["stage"] == "settled",
            "{output:?}, {}: {}",
            world.daemon.status()["daemon"]["upgrade"],
            world.daemon.log()
        );
        assert_eq!(report["reason"], Value::Null, "{report}");
        assert_ne!(world.worker(), worker);
        std::thread::sleep(ms(round as u64 * 37 % 100));
    }
    assert_eq!(world.daemon.pid(), keeper);
    let daemon = world.daemon.status()["daemon"].clone();
    assert_eq!(daemon["restarts"], 0);
    assert_eq!(daemon["upgrade"]["number"], rounds());
    let kinds = watch.kinds(&world);
    let upgrades = kinds.iter().filter(|kind| *kind == "upgrade").count();
    assert_eq!(upgrades, rounds(), "{kinds:?}");
    assert!(
        kinds
            .iter()
            .all(|kind| kind == "upgrade" || kind == "changed"),
        "{kinds:?}"
    );
    watch.judge(
        &world,
        &format!("{} upgrades, {profile:?}, {plane}", rounds()),
    );
    // It is as well guarded as ever.
    let worker = world.worker();
    let pid = i32::try_from(worker.as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    let back = wait_for(ms(2000), || {
        (world.daemon.try_status()?["daemon"]["worker-pid"] != worker).then_some(())
    });
    assert!(back.is_some(), "{}", world.daemon.log());
}

#[test]
fn nobody_notices_an_upgrade() {
    nobody_notices_upgrades(Profile::V3Ipv4, "macvlan");
}

#[test]
fn nobody_notices_an_upgrade_without_a_macvlan() {
    nobody_notices_upgrades(Profile::V3Ipv6, "ebpf");
}

fn nobody_notices_restarts(profile: Profile, plane: &'static str) {
    // The manager is this thread, and one that waits for a processor measures itself.
    vrrp_lab::priority::raise();
    let manager = Arc::new(Manager::new(512));
    let mut world = World::managed(profile, plane, &manager);
    let standing = wait_for(ms(2000), || {
        (manager.told().status == "1 Active").then_some(())
    });
    assert!(standing.is_some(), "{:?}", manager.told());
    let since = world.daemon.status()["daemon"]["since"].clone();
    let watch = Watch::begin(&world);
    for round in 0..rounds() {
        let before = world.daemon.pids();
        world.restart(&manager);
        let now = world.daemon.pids();
        assert!(now.iter().all(|pid| !before.contains(pid)));
        // What is out of date must not be found by a later start.
        let released = wait_for(ms(2000), || manager.kept().is_empty().then_some(()));
        assert!(released.is_some(), "{:?}", manager.told());
        std::thread::sleep(ms(500 + round as u64 * 37 % 100));
    }
    assert_eq!(manager.told().strangers, 0);
    let daemon = world.daemon.status()["daemon"].clone();
    assert_eq!(daemon["restarts"], 0);
    assert_eq!(daemon["pid"], world.daemon.pid());
    assert_eq!(daemon["since"], since);
    let kinds = watch.kinds(&world);
    let same = kinds.len() == rounds() && kinds.iter().all(|kind| kind == "resume");
    assert!(same || watch.is_excused(), "{kinds:?}");
    watch.judge(
        &world,
        &format!("{} restarts, {profile:?}, {plane}", rounds()),
    );
    let lock = std::fs::read_to_string(world.daemon.runtime_dir().join("vrrpd.lock")).unwrap();
    assert_eq!(lock.trim(), world.daemon.pid().to_string());

    // SIGTERM still hands over, and leaves nothing with the manager.
    let told = world.daemon.terminate();
    let resigned = world.ports[0].wait(told, ms(1000), |frame| {
        sighting(frame).and_then(|advert| (advert.heard.priority() == 0).then_some(advert.at))
    });
    assert!(resigned.is_some(), "no priority 0: {}", world.daemon.log());
    assert!(world.daemon.wait(ms(5000)).success());
    assert!(manager.kept().is_empty(), "{:?}", manager.told());
}

#[test]
fn nobody_notices_a_restart() {
    nobody_notices_restarts(Profile::V3Ipv4, "macvlan");
}

#[test]
fn nobody_notices_a_restart_without_a_macvlan() {
    nobody_notices_restarts(Profile::V3Ipv6, "ebpf");
}

/// Whoever comes back too late has been replaced, and stands back before it says anything.
#[test]
fn a_daemon_that_comes_back_too_late_stands_back() {
    let manager = Arc::new(Manager::new(512));
    let mut world = World::managed(Profile::V3Ipv4, "macvlan", &manager);
    let from = world.daemon.signal(Signal::SIGUSR2);
    assert!(world.daemon.wait(ms(5000)).success());
    let down = world.profile.down(LOWER, INTERVAL);
    let first = world.ports[1].wait(from, down + ms(3000), |frame| {
        sighting(frame).map(|advert| advert.at)
    });
    assert!(first.is_some(), "keepalived has not taken over");
    std::thread::sleep(INTERVAL * 5);
    let back = Stamp::now();
    world.daemon.relaunch(&world.lan.routers[0]);
    manager.wait_ready(ms(5000));
    let ours = world.ports[0].wait(back, ms(5000), |frame| {
        sighting(frame).map(|advert| advert.at)
    });
    let waited = ours.expect("it takes over again").since(back);
    // It has listened for its whole down interval: three intervals and 56/256 of one.
    assert!(waited > INTERVAL * 3, "{waited:?}");
    world.daemon.wait_state(NAME, "active", ms(3000));
    assert_eq!(masters(&world.peer), 1, "{}", world.peer.log());
}

/// A file that has changed is loaded by the daemon that comes back; one with errors changes nothing.
#[test]
fn a_daemon_that_comes_back_loads_its_file() {
    let manager = Arc::new(Manager::new(512));
    let mut world = World::managed(Profile::V3Ipv4, "macvlan", &manager);
    let config = std::fs::read_to_string(world.daemon.config_path()).unwrap();
    let watch = Watch::begin(&world);
    world.daemon.write_config("nonsense");
    world.restart(&manager);
    let refused = wait_for(ms(2000), || {
        let error = &world.daemon.status()["daemon"]["reload-error"];
        error.is_string().then_some(())
    });
    assert!(refused.is_some(), "{}", world.daemon.log());
    world
        .daemon
        .write_config(&config.replace("priority = 200", "priority = 190"));
    world.restart(&manager);
    let loaded = wait_for(ms(2000), || {
        let priority = world.daemon.router(NAME)["priority"]["configured"].clone();
        (priority == 190).then_some(())
    });
    assert!(loaded.is_some(), "{:#}", world.daemon.router(NAME));
    watch.judge(&world, "two restarts with another file");
}

/// Without a service manager the signal is none, and without room it is a start like any other.
#[test]
fn without_anybody_who_keeps_descriptors() {
    let mut world = World::new(Profile::V3Ipv4, "macvlan");
    let watch = Watch::begin(&world);
    world.daemon.signal(Signal::SIGUSR2);
    std::thread::sleep(ms(500));
    assert!(world.daemon.runs());
    assert!(watch.kinds(&world).contains(&"refused".to_owned()));
    watch.judge(&world, "SIGUSR2 without a manager");
    drop(world);

    let manager = Arc::new(Manager::new(2));
    let mut world = World::managed(Profile::V3Ipv4, "macvlan", &manager);
    world.daemon.signal(Signal::SIGUSR2);
    assert!(world.daemon.wait(ms(5000)).success());
    assert_eq!(manager.kept().len(), 2);
    world.daemon.relaunch(&world.lan.routers[0]);
    manager.wait_ready(ms(5000));
    world.daemon.wait_state(NAME, "active", ms(8000));
    assert!(manager.kept().is_empty());
}

/// Two hundred and fifty routers on one interface.
#[test]
fn no_router_of_250_is_silent_for_long() {
    let crowd = Crowd::new();
    let from = Stamp::now();
    for _ in 0..2 {
        let output = crowd.bench.daemon().ctl(&["upgrade", "--wait"]);
        assert!(output.status.success(), "{output:?}");
    }
    std::thread::sleep(ms(500));
    let until = Stamp::now();
    let (_, longest) = crowd.as_before(from);
    println!("longest gap of 250 routers: {longest:?}");
    assert!(
        longest < INTERVAL * 3 || stall::longest(from, until) > INTERVAL,
        "silent for {longest:?}"
    );
}

/// A Backup that was upgraded takes over as ever.
#[test]
fn a_backup_is_upgraded() {
    let mut world = World::with(Profile::V3Ipv4, "macvlan", LOWER);
    let output = world.upgrade(&["--wait"]);
    assert!(
        output.status.success(),
        "{output:?}: {}",
        world.daemon.log()
    );
    assert_eq!(world.daemon.state(NAME), "backup");
    let killed = world.peer.kill();
    let last = world.ports[1].adverts(killed - ms(400)).last().unwrap().at;
    let limit = world.profile.down(LOWER, INTERVAL);
    let first = world.ports[0].wait(killed, limit + ms(5000), |frame| {
        sighting(frame).map(|advert| advert.at)
    });
    vrrp_lab::clock::assert_within("its first advertisement", last, first.unwrap(), limit);
}

/// Programs that cannot take over leave the running one as it is, and say why.
#[test]
fn a_program_that_is_no_good_changes_nothing() {
    let world = World::new(Profile::V3Ipv4, "macvlan");
    let scratch = Scratch::new("programs");
    let program = |name: &str, text: &[u8]| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let mut other = std::fs::read(binary("vrrpd")).unwrap();
    let title = b"vrrpd state ";
    let places: Vec<usize> = (0..other.len() - title.len())
        .filter(|at| other[*at..].starts_with(title))
        .collect();
    assert!(!places.is_empty());
    for place in places {
        other[place..place + 5].copy_from_slice(b"other");
    }
    let watch = Watch::begin(&world);
    let worker = world.worker();
    for (program, why) in [
        (PathBuf::from("/bin/false"), "exit status 1"),
        (program("text", b"rm -rf nothing\n"), "no program"),
        (
            program("broken", b"\x7fELF and no more"),
            "cannot be started",
        ),
        (scratch.path().join("missing"), "No such file"),
        (
            program("hangs", b"#!/bin/sh\nexec sleep 60\n"),
            "not ready within",
        ),
        (
            program("other", &other),
            "cannot go on where this daemon is",
        ),
    ] {
        let path = program.to_str().unwrap();
        let output = world.upgrade(&["--program", path]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        println!("{text}");
        assert_eq!(output.status.code(), Some(1), "{path}: {output:?}");
        assert!(text.contains(why), "{path}: {output:?}");
    }
    let config = std::fs::read_to_string(world.daemon.config_path()).unwrap();
    world.daemon.write_config("nonsense");
    let output = world.upgrade(&[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("cannot use the configuration"));
    world.daemon.write_config(&config);
    assert_eq!(world.worker(), worker);
    let kinds = watch.kinds(&world);
    let failed = kinds
        .iter()
        .filter(|kind| *kind == "upgrade-failed")
        .count();
    assert_eq!(failed, 7, "{kinds:?}");
    watch.judge(&world, "unfit programs");
}

/// A program that fails when it has taken over is replaced by the old one.
#[test]
fn a_program_that_crashes_is_replaced_by_the_old_one() {
    let world = World::new(Profile::V3Ipv4, "macvlan");
    let scratch = Scratch::new("programs");
    let good = binary("vrrpd");
    let line = format!(
        "#!/bin/sh\n(sleep 1; kill -SEGV $$; sleep 0.01; kill -SEGV $$) &\nexec {} \"$@\"\n",
        good.display()
    );
    let path = scratch.write("crashes", &line);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    let watch = Watch::begin(&world);
    let output = world.upgrade(&["--wait", "--json", "--program", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["stage"], "failed", "{report}");
    assert_eq!(report["reason"], "killed by SIGSEGV", "{report}");
    let kinds = watch.kinds(&world);
    assert!(kinds.contains(&"upgrade-failed".to_owned()), "{kinds:?}");
    assert_eq!(world.daemon.status()["daemon"]["restarts"], 1);
    // And another attempt is no worse off.
    assert!(world.upgrade(&["--wait"]).status.success());
    watch.judge(&world, "a program that crashes");
}
