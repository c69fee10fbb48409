//! What happens to the daemon itself.

use crate::row::{DIRECT, DOWN, Limit, PLAIN, Row, Setup};
use crate::scene::{INTERVAL, Scene, count, millis};
use Limit::{Least, Most, Within};
use nix::sys::signal::Signal;
use std::process::Command;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};

/// The fence that is wanted: a router whose daemon says nothing may serve for three intervals more.
const LEASE: f64 = 300.0;
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "sigterm",
        injected: "SIGTERM to router 1, started again after 2 s",
        expected: "nothing lost: a planned absence is handed over",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.close_life(0);
            let status = scene.daemons[0].stop();
            scene.note("exit status", f64::from(status.code().unwrap_or(-1)));
            std::thread::sleep(ms(2000));
            scene.restart(0);
        },
        limits: &[
            Most("gap", 5.0),
            Most("exit status", 0.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "sigstop",
        injected: "SIGSTOP to router 1 for 3 s, then SIGCONT",
        expected: "silent within 3 × Adv (fence); router 2 serves within 3 × Adv + Skew; back, router 1 stops answering within 20 ms and says nothing before it has been Backup",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let stopped = scene.daemons[0].signal(Signal::SIGSTOP);
            std::thread::sleep(ms(3000));
            let back = scene.daemons[0].signal(Signal::SIGCONT);
            std::thread::sleep(ms(1500));
            note_zombie(scene, stopped, back);
            note_return(scene, back);
        },
        limits: &[
            Within("gap", DOWN),
            Within("served as a zombie", LEASE),
            Most("forwarded as a zombie", 0.0),
            Within("two owners", 0.0),
            Most("answered after SIGCONT", 20.0),
            Least("silent after SIGCONT", 150.0),
            Most("transitions 1", 2.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "sigstop-return",
        injected: "as sigstop; judged is the return only",
        expected: "router 1 stops answering within 20 ms of SIGCONT, and says nothing before it has been Backup for its down interval",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.daemons[0].signal(Signal::SIGSTOP);
            std::thread::sleep(ms(1500));
            let back = scene.daemons[0].signal(Signal::SIGCONT);
            std::thread::sleep(ms(1500));
            note_return(scene, back);
        },
        limits: &[
            Most("two owners", 1400.0),
            Most("answered after SIGCONT", 20.0),
            Least("silent after SIGCONT", 150.0),
            Most("transitions 1", 2.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "sigstop-short",
        injected: "SIGSTOP to router 1 for 150 ms, ten times",
        expected: "shorter than the down interval: no takeover, no gap",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            for _ in 0..10 {
                scene.daemons[0].signal(Signal::SIGSTOP);
                std::thread::sleep(ms(150));
                scene.daemons[0].signal(Signal::SIGCONT);
                std::thread::sleep(ms(350));
            }
        },
        limits: &[
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "sigkill",
        injected: "SIGKILL to router 1, started again after 2 s",
        expected: "silent within 3 × Adv (fence); router 2 serves within 3 × Adv + Skew; started again, router 1 finds and removes what it left",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.close_life(0);
            let killed = scene.daemons[0].kill();
            std::thread::sleep(ms(2000));
            let back = Stamp::now();
            scene.restart(0);
            std::thread::sleep(ms(1500));
            note_zombie(scene, killed, back);
        },
        limits: &[
            Within("gap", DOWN),
            Within("served as a zombie", LEASE),
            Most("forwarded as a zombie", 0.0),
            Within("two owners", 0.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "oom",
        injected: "router 1 in a memory cgroup with a glutton; the kernel's killer is told to prefer the daemon; started again after 2 s",
        expected: "as sigkill",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.close_life(0);
            let killed = starve(scene);
            std::thread::sleep(ms(2000));
            let back = Stamp::now();
            if !scene.daemons[0].runs() {
                scene.restart(0);
                std::thread::sleep(ms(1500));
                note_zombie(scene, killed, back);
            }
        },
        limits: &[
            Least("killed", 1.0),
            Within("gap", DOWN),
            Within("served as a zombie", LEASE),
            Most("forwarded as a zombie", 0.0),
            Within("two owners", 0.0),
            Most("transitions 2", 2.0),
        ],
    },
    Row {
        name: "restart-at-once",
        injected: "SIGKILL to router 1, started again at once, as a service manager does",
        expected: "no more than the takeover of router 2 and the return; one owner again within 3 × Adv + Skew",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            scene.close_life(0);
            scene.daemons[0].kill();
            scene.restart(0);
            std::thread::sleep(ms(1000));
        },
        limits: &[
            Within("gap", DOWN),
            Most("transitions 2", 2.0),
            Within("two owners", 100.0),
        ],
    },
    Row {
        name: "together",
        injected: "both stopped, then started at the same moment, five times",
        expected: "router 1 becomes Active, router 2 never, the address is not held by both",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let mut wrong = 0;
            for _ in 0..5 {
                // The second leaves first: it must not take over.
                for index in [1, 0] {
                    scene.close_life(index);
                    scene.daemons[index].stop();
                }
                let begun = Stamp::now();
                for index in [1, 0] {
                    scene.relaunch(index);
                }
                std::thread::sleep(ms(1300));
                wrong += scene.observer.adverts(1, begun).len();
            }
            scene.note("advertisements of router 2", count(wrong));
        },
        limits: &[
            Most("advertisements of router 2", 0.0),
            Most("two owners", 0.0),
        ],
    },
    Row {
        name: "twin",
        injected: "a second daemon with the same files is started on router 1, ten times",
        expected: "it refuses with exit status 1; the first notices nothing",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let refused = (0..10)
                .filter(|_| {
                    let output = scene.daemons[0].twin(&scene.lan.routers[0]);
                    output.status.code() == Some(1)
                })
                .count();
            scene.note("refused", count(refused));
        },
        limits: &[
            Least("refused", 10.0),
            Most("gap", 10.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "double",
        injected: "a second daemon with the same virtual router but a runtime directory of its own is started on router 1 for 2 s",
        expected: "it does not get in the way of the first: no gap; one of the two has a fault that says why",
        known: None,
        setup: DIRECT,
        inject: |scene| {
            let config = scene.config(0);
            let mut other = vrrp_lab::daemon::Daemon::launch(&scene.lan.routers[0], &config);
            std::thread::sleep(ms(2000));
            let faults = other.try_status().map_or(0, |status| {
                status["routers"][0]["faults"]
                    .as_array()
                    .map_or(0, Vec::len)
            });
            scene.note("faults of the second", count(faults));
            other.stop();
        },
        limits: &[
            Most("gap", 10.0),
            Least("faults of the second", 1.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
    Row {
        name: "reload-storm",
        injected: "SIGHUP to both every 5 ms for 2 s",
        expected: "no effect",
        known: None,
        setup: Setup { ..PLAIN },
        inject: |scene| {
            for _ in 0..400 {
                scene.daemons[0].reload();
                scene.daemons[1].reload();
                std::thread::sleep(ms(5));
            }
        },
        limits: &[
            Most("gap", 10.0),
            // Each reload is asked for by an operator, and answered in one or two lines.
            Most("log lines", 900.0),
            Most("transitions 1", 0.0),
            Most("transitions 2", 0.0),
        ],
    },
];

/// How long router 1 went on answering after `gone`, and how much it forwarded after router 2 had taken over, until `back`.
fn note_zombie(scene: &mut Scene, gone: Stamp, back: Stamp) {
    let last = scene
        .observer
        .answers(0, gone)
        .into_iter()
        .rfind(|at| *at < back);
    scene.note_millis(
        "served as a zombie",
        last.map_or(0.0, |last| millis(last.since(gone))),
    );
    let successor = scene
        .observer
        .adverts(1, gone)
        .first()
        .map(|spoken| spoken.at);
    let Some(successor) = successor.filter(|at| *at < back) else {
        scene.remark("router 2 did not take over");
        return;
    };
    let forwarded = scene.observer.facts(successor + ms(5), back).forwarded[0];
    scene.note("forwarded as a zombie", count(forwarded));
}

/// How soon router 1 fell silent after `back`, and how long it stayed so.
fn note_return(scene: &mut Scene, back: Stamp) {
    let spoke = scene
        .observer
        .adverts(0, back)
        .iter()
        .map(|spoken| spoken.at)
        .chain(scene.observer.announcements(0, back))
        .min();
    let spoke_at = spoke.unwrap_or(back + INTERVAL * 100);
    let answered = scene
        .observer
        .answers(0, back)
        .into_iter()
        .rfind(|at| *at < spoke_at && at.since(back) < ms(250));
    scene.note_millis(
        "answered after SIGCONT",
        answered.map_or(0.0, |at| at.millis_since(back)),
    );
    scene.note_millis("silent after SIGCONT", spoke_at.millis_since(back));
}

/// Has the kernel kill router 1 for want of memory, which it does with one process after the other; returns when it was gone,
/// or when there was memory again.
fn starve(scene: &mut Scene) -> Stamp {
    let group = MemoryGroup::new(24 << 20);
    for pid in scene.daemons[0].pids() {
        group.take(pid);
        std::fs::write(format!("/proc/{pid}/oom_score_adj"), "1000").expect("root may");
    }
    let worker = scene.daemons[0].worker();
    // `tail` keeps its input until it ends; it joins before it eats.
    let mut glutton = Command::new("timeout")
        .args(["10", "sh", "-c"])
        .arg(format!(
            "echo $$ > {}/cgroup.procs && head -c 200m /dev/zero | tail -c 200m > /dev/null",
            group.0
        ))
        .spawn()
        .expect("coreutils are installed");
    let begun = Stamp::now();
    let runs = |pid: i32| std::fs::exists(format!("/proc/{pid}")).unwrap_or(false);
    while runs(worker) && Stamp::now().since(begun) < Duration::from_secs(8) {
        std::thread::sleep(ms(1));
    }
    let killed = Stamp::now();
    scene.note("killed", f64::from(u8::from(!runs(worker))));
    let _ = glutton.wait();
    killed
}

/// A memory cgroup that lasts as long as its row.
struct MemoryGroup(String);

impl MemoryGroup {
    fn new(limit: u64) -> Self {
        let name = format!("/sys/fs/cgroup/memory/vl{}-oom", std::process::id());
        std::fs::create_dir(&name).expect("cgroups of version 1 with memory, and root");
        std::fs::write(format!("{name}/memory.limit_in_bytes"), limit.to_string())
            .expect("a limit");
        Self(name)
    }

    fn take(&self, pid: i32) {
        std::fs::write(format!("{}/cgroup.procs", self.0), pid.to_string()).expect("root may");
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The last of its processes may still be on its way out.
        for _ in 0..50 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(ms(20));
        }
    }
}
