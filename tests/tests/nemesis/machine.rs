//! What happens to the machine: processors, memory, descriptors, disks, clocks, locks.

use crate::row::{DIRECT, DOWN, Limit, Row, Setup};
use crate::scene::{Scene, count, events};
use Limit::{Least, Most, Within};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::netns::Namespace;
use vrrp_lab::stall;

/// Log and runtime directory are a file system of 64 KiB of which nobody else knows.
const SMALL_DISK: &str = r#"mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@" 2> "$0/log""#;
/// The runtime directory alone, full before the daemon starts.
const FULL_DISK: &str = r#"mount -t tmpfs -o size=64k tmpfs "$0"; head -c 128k /dev/zero > "$0/full" 2> /dev/null; exec "$@""#;
/// The clocks of the daemon begin ten days later than everybody else's.
const LATER: &str = r#"exec unshare --time --boottime 864000 --monotonic 864000 "$@""#;

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "overload",
        injected: "8 busy processes on 2 processors for 8 s",
        expected: "no takeover, no gap",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let load = Load::start(8, 10);
            std::thread::sleep(ms(8000));
            drop(load);
            note_lateness(scene);
        },
        limits: &[
            Most("gap", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "overload-takeover",
        injected: "the same, and router 1 unplugged for 2 s in the midst",
        expected: "router 2 serves within 3 × Adv + Skew",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let load = Load::start(8, 10);
            std::thread::sleep(ms(1500));
            scene.unplug(0);
            std::thread::sleep(ms(2000));
            scene.plug(0);
            std::thread::sleep(ms(2000));
            drop(load);
        },
        limits: &[Within("gap", DOWN), Most("transitions 2", 2.0)],
    },
    Row {
        name: "kernel-lock",
        injected: "two loops in another namespace make and delete macvlans, which holds the kernel's lock for all configuration; router 1 unplugged for 2 s",
        expected: "router 2 serves within 3 × Adv + Skew",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let elsewhere = Namespace::new("hog");
            elsewhere.ip(
                "link add d0 type bridge\nlink set d0 up\nlink add d1 type bridge\nlink set d1 up",
            );
            let hogs: Vec<Guard> = (0..2)
                .map(|n| {
                    let line = format!("while :; do ip link add link d{n} m{n} type macvlan; ip link set m{n} up; ip link set m{n} down; ip link del m{n}; done");
                    let mut command = Command::new("timeout");
                    command.args(["10", "ip", "netns", "exec", elsewhere.name(), "sh", "-c", &line]);
                    Guard::start(command)
                })
                .collect();
            std::thread::sleep(ms(1000));
            scene.unplug(0);
            std::thread::sleep(ms(2000));
            scene.plug(0);
            std::thread::sleep(ms(2000));
            drop(hogs);
            let withheld = stall::kernel(scene.from, Stamp::now());
            scene.note_time("lock withheld", withheld);
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            // A witness asks for it a hundred times a second.
            Least("lock withheld", 100.0),
        ],
    },
    Row {
        name: "descriptors",
        injected: "router 1 may open no further descriptor (prlimit); two questions by vrrpctl; its cable unplugged for 1.5 s; the limit lifted 1 s later",
        expected: "the protocol needs none: takeover and return as ever, and vrrpctl is answered again when the limit is gone",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let pids = scene.daemons[0].pids();
            // All that is open stays open.
            pids.iter().for_each(|pid| limit_descriptors(*pid, 3));
            let refused = (0..2)
                .filter(|_| scene.daemons[0].ctl(&["status", "--json"]).status.code() != Some(0))
                .count();
            scene.note("questions refused", count(refused));
            scene.unplug(0);
            std::thread::sleep(ms(1500));
            scene.plug(0);
            std::thread::sleep(ms(1000));
            let from = scene.from;
            let back = scene
                .observer
                .adverts(0, from)
                .last()
                .is_some_and(|last| Stamp::now().since(last.at) < ms(300));
            scene.note(
                "Active again without descriptors",
                f64::from(u8::from(back)),
            );
            pids.iter().for_each(|pid| limit_descriptors(*pid, 1024));
            std::thread::sleep(ms(500));
            let answers = scene.daemons[0].try_status().is_some();
            scene.note("answers when lifted", f64::from(u8::from(answers)));
        },
        limits: &[
            Within("gap", DOWN),
            Least("answers when lifted", 1.0),
            Least("questions refused", 1.0),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "control-abuse",
        injected: "300 connections to the control socket of router 1 that say nothing, for 3 s, its cable unplugged for 1 s",
        expected: "no effect on the protocol; vrrpctl is answered afterwards",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let socket = scene.daemons[0].runtime_dir().join("vrrpd.sock");
            let idle: Vec<_> = (0..300)
                .filter_map(|_| std::os::unix::net::UnixStream::connect(&socket).ok())
                .collect();
            scene.note("connections", count(idle.len()));
            std::thread::sleep(ms(1000));
            scene.unplug(0);
            std::thread::sleep(ms(1000));
            scene.plug(0);
            std::thread::sleep(ms(1000));
            drop(idle);
            std::thread::sleep(ms(200));
            let answers = scene.daemons[0].try_status().is_some();
            scene.note("answers afterwards", f64::from(u8::from(answers)));
        },
        limits: &[
            Within("gap", DOWN),
            Least("answers afterwards", 1.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "full-disk",
        injected: "log and runtime directory of router 1 on a file system of 64 KiB (tmpfs in a mount namespace) that is filled; its cable unplugged for 1.5 s",
        expected: "what cannot be written is lost without effect; vrrpctl is answered",
        known: None,
        setup: Setup {
            launch: [SMALL_DISK, ""],
            ..DIRECT
        },
        inject: |scene| {
            let pid = scene.daemons[0].pid();
            let run = scene.daemons[0].runtime_dir();
            let log = format!("/proc/{pid}/root{}/log", run.display());
            let full = format!("/proc/{pid}/root{}/full", run.display());
            // The last write is the one that fails.
            let written = std::fs::write(&full, vec![0; 128 << 10]);
            scene.note("full", f64::from(u8::from(written.is_err())));
            let before = std::fs::metadata(&log).map_or(0, |file| file.len());
            scene.unplug(0);
            std::thread::sleep(ms(1500));
            scene.plug(0);
            std::thread::sleep(ms(1500));
            let after = std::fs::metadata(&log).map_or(0, |file| file.len());
            // What is left of its last page.
            scene.note("bytes logged since", count(after - before));
            let answers = scene.daemons[0].try_status().is_some();
            scene.note("answers", f64::from(u8::from(answers)));
        },
        limits: &[
            Least("full", 1.0),
            Least("answers", 1.0),
            Most("bytes logged since", 4096.0),
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "full-disk-start",
        injected: "the runtime directory of router 1 on a file system that is full before it starts",
        expected: "it starts all the same",
        known: None,
        setup: Setup {
            launch: [FULL_DISK, ""],
            ..DIRECT
        },
        inject: |_| std::thread::sleep(ms(500)),
        limits: &[Least("owner", 1.0), Most("owner", 1.0)],
    },
    Row {
        name: "other-boottime",
        injected: "CLOCK_BOOTTIME and CLOCK_MONOTONIC of router 1 ten days ahead (time namespace); it is unplugged for 1.5 s",
        expected: "no effect",
        known: None,
        setup: Setup {
            launch: [LATER, ""],
            ..DIRECT
        },
        inject: |scene| {
            let pid = scene.daemons[0].pid();
            let offsets = std::fs::read_to_string(format!("/proc/{pid}/timens_offsets"));
            let shifted = offsets.is_ok_and(|text| text.contains("864000"));
            scene.note("clocks shifted", f64::from(u8::from(shifted)));
            scene.unplug(0);
            std::thread::sleep(ms(1500));
            scene.plug(0);
            std::thread::sleep(ms(1500));
        },
        limits: &[
            Least("clocks shifted", 1.0),
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Least("owner", 1.0),
            Most("owner", 1.0),
        ],
    },
    Row {
        name: "clock-step",
        injected: "CLOCK_REALTIME of both daemons an hour forth, back two, and forth again, 1 s each (a preloaded clock_gettime; the other clocks are left alone)",
        expected: "no effect",
        known: None,
        setup: Setup {
            launch: [STEPPED, STEPPED],
            ..DIRECT
        },
        inject: |scene| {
            let mut seen = 0;
            for step in ["3600", "-3600", "3600"] {
                for index in [0, 1] {
                    let file = scene.daemons[index]
                        .config_path()
                        .with_file_name("run/step");
                    std::fs::write(file, format!("{step}\n"))
                        .expect("the runtime directory is writable");
                }
                std::thread::sleep(ms(1000));
                // The proof that the daemon's clock is where it was put: a reload is an event with a time.
                scene.daemons[0].reload();
                std::thread::sleep(ms(200));
                seen += usize::from(apart(scene) > Duration::from_secs(3000));
            }
            for index in [0, 1] {
                let file = scene.daemons[index]
                    .config_path()
                    .with_file_name("run/step");
                std::fs::write(file, "0\n").expect("the runtime directory is writable");
            }
            std::thread::sleep(ms(500));
            scene.note("steps seen in the daemon's events", count(seen));
        },
        limits: &[
            Least("steps seen in the daemon's events", 3.0),
            Most("gap", 20.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
];

/// A preloaded library adds the seconds in a file to the wall clock, whenever it is asked, and to no other.
const STEPPED: &str = concat!(
    r#"echo 0 > "$0/step" && cc -O2 -shared -fPIC -o "$0/step.so" '"#,
    env!("CARGO_MANIFEST_DIR"),
    r#"/tests/nemesis/step.c' && NEMESIS_STEP="$0/step" LD_PRELOAD="$0/step.so" exec "$@""#
);

/// How far the last event of router 1 is from the present.
fn apart(scene: &Scene) -> Duration {
    let last = events(&scene.daemons[0])
        .last()
        .and_then(|(_, event)| Stamp::from_rfc3339(event["time"].as_str()?));
    let now = Stamp::now();
    last.map_or(Duration::ZERO, |at| now.since(at).max(at.since(now)))
}

/// Notes how far apart the advertisements of router 1 were at most.
fn note_lateness(scene: &mut Scene) {
    let from = scene.from;
    let longest = scene
        .observer
        .adverts(0, from)
        .windows(2)
        .map(|pair| pair[1].at.millis_since(pair[0].at))
        .fold(0.0, f64::max);
    scene.note_millis("longest silence", longest);
}

fn limit_descriptors(pid: i32, limit: usize) {
    vrrp_lab::netns::succeed(Command::new("prlimit").args([
        "--pid",
        &pid.to_string(),
        &format!("--nofile={limit}:"),
    ]));
}

/// A child that ends with its owner, and by `timeout` in any case.
struct Guard(Child);

impl Guard {
    fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("coreutils are installed"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // `timeout` passes SIGTERM on to its child, which SIGKILL would orphan.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
        let _ = self.0.wait();
    }
}

/// Processes that want a processor each.
struct Load {
    _busy: Vec<Guard>,
}

impl Load {
    fn start(count: usize, seconds: u32) -> Self {
        let busy = (0..count).map(|_| {
            let mut command = Command::new("timeout");
            command.args([&seconds.to_string(), "sh", "-c", "while :; do :; done"]);
            Guard::start(command)
        });
        Self {
            _busy: busy.collect(),
        }
    }
}
