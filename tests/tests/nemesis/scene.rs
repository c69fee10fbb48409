//! Two routers, a host, and what happens to them.

use crate::row::{Measured, Row, Setup};
use nix::sys::signal::Signal;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::misfortune::Impairment;
use vrrp_lab::netns::Namespace;
use vrrp_lab::observer::Observer;
use vrrp_lab::profile::Profile;
use vrrp_lab::relay::{Relay, Tally, Way};
use vrrp_lab::settings::{Router, file};
use vrrp_lab::stall;
use vrrp_lab::topology::{Lan, cable, router_lan};

/// The virtual router's name in both configurations.
pub(crate) const NAME: &str = "lab";
/// The advertisement interval of every row that does not say otherwise.
pub(crate) const INTERVAL: Duration = Duration::from_millis(100);

/// A row being played.
pub(crate) struct Scene {
    /// Dropped first: it watches the others.
    pub(crate) observer: Observer,
    pub(crate) daemons: [Daemon; 2],
    pub(crate) relays: [Option<Relay>; 2],
    pub(crate) lan: Lan,
    /// When the misfortune began.
    pub(crate) from: Stamp,
    pub(crate) measured: Measured,
    setup: Setup,
    /// What stood in the routers' namespaces before.
    before: [Vec<String>; 2],
    lives: [Life; 2],
}

/// What is known of a router's daemons that have ended, and of the one that runs.
#[derive(Clone, Debug, Default)]
struct Life {
    /// Events up to this number belong to the time before.
    known: Option<u64>,
    transitions: usize,
    log: String,
    peak: u64,
    /// Hundredths of a second on a processor: when the present life, or the row, began, and in all.
    ticks: u64,
    used: u64,
}

impl Scene {
    /// Plays a row from the first cable to the last.
    pub(crate) fn play(row: &Row) -> Measured {
        let mut scene = Self::set(row.setup);
        (row.inject)(&mut scene);
        scene.finish()
    }

    fn set(setup: Setup) -> Self {
        let lan = Lan::new(2);
        let relays = [0, 1].map(|index| setup.relays.then(|| tap(&lan, index)));
        for router in &lan.routers {
            router.wait_carrier("eth0");
            router.wait_carrier("eth1");
        }
        let before = [0, 1].map(|index| inventory(&lan.routers[index]));
        // The Active first: the other hears it from the beginning.
        let start = |index: usize| {
            let daemon = Daemon::launch_by(
                &lan.routers[index],
                &config(setup, index),
                setup.launch[index],
            );
            let answers = wait_for(ms(5000), || try_state(&daemon));
            assert!(
                answers.is_some(),
                "router {} does not start: {}",
                index + 1,
                daemon.log()
            );
            daemon
        };
        let active = start(setup.active);
        active.wait_state(NAME, "active", ms(6000));
        let other = start(1 - setup.active);
        let daemons = if setup.active == 0 {
            [active, other]
        } else {
            [other, active]
        };
        let scene = Self {
            observer: Observer::start(&lan, INTERVAL),
            daemons,
            relays,
            lan,
            from: Stamp::now(),
            measured: Measured::default(),
            setup,
            before,
            lives: [Life::default(), Life::default()],
        };
        let elected = scene.one_owner(ms(8000));
        assert_eq!(
            elected,
            Some(setup.active),
            "before the misfortune: {}",
            scene.logs()
        );
        let mut scene = scene;
        for index in [0, 1] {
            let life = &mut scene.lives[index];
            life.ticks = ticks(&scene.daemons[index]);
            life.known = events(&scene.daemons[index])
                .last()
                .map(|(number, _)| *number);
        }
        scene.from = Stamp::now();
        scene
    }

    /// Waits until for eight intervals one router alone advertised and answered; says which.
    fn one_owner(&self, limit: Duration) -> Option<usize> {
        let calm = INTERVAL * 8;
        let begun = Stamp::now();
        wait_for(limit + calm, || {
            let from = Stamp::now() - calm;
            if from < begun {
                return None;
            }
            let signs = [0, 1].map(|index| {
                self.observer.adverts(index, from).len() + self.observer.answers(index, from).len()
            });
            (0..2).find(|index| {
                signs[1 - index] == 0 && self.observer.answers(*index, from).len() > 20
            })
        })
    }

    /// After the misfortune: measures, stops everything and looks at what is left.
    fn finish(mut self) -> Measured {
        let over = Stamp::now();
        let owner = self.one_owner(ms(6000));
        let until = Stamp::now();
        let settled = owner.map_or(until.since(over), |owner| {
            let loser = 1 - owner;
            let adverts = self.observer.adverts(loser, over);
            let last = adverts
                .iter()
                .map(|spoken| spoken.at)
                .chain(self.observer.answers(loser, over))
                .max();
            last.map_or(Duration::ZERO, |last| last.since(over))
        });
        if owner.is_none() {
            self.remark(format!("nobody alone 6 s later: {}", self.logs()));
        }
        let facts = self.observer.facts(self.from, until);
        for index in [0, 1] {
            self.close_life(index);
        }
        let [first, second] = self.lives.clone();
        let took = until.since(self.from).as_secs_f64();
        let panics = [&first.log, &second.log]
            .iter()
            .map(|log| log.matches("panicked at").count())
            .sum::<usize>();
        let percent = |life: &Life| count(life.used) / took;
        let standing = vec![
            (
                "gap",
                millis(facts.through.longest.max(facts.address.longest)),
            ),
            ("gap through", millis(facts.through.longest)),
            ("gap of the address", millis(facts.address.longest)),
            ("gaps", count(facts.through.count.max(facts.address.count))),
            ("lost", count(facts.lost)),
            ("doubled", count(facts.doubled)),
            ("wrong MAC", count(facts.wrong_mac)),
            ("two owners", millis(facts.two_owners)),
            ("two Active", millis(facts.two_actives)),
            ("transitions 1", count(first.transitions)),
            ("transitions 2", count(second.transitions)),
            ("settled", millis(settled)),
            ("owner", owner.map_or(0.0, |owner| count(owner + 1))),
            ("peak KiB", count(first.peak.max(second.peak))),
            (
                "log lines",
                count(first.log.lines().count().max(second.log.lines().count())),
            ),
            ("CPU 1 %", percent(&first)),
            ("CPU 2 %", percent(&second)),
            ("panics", count(panics)),
        ];
        self.measured.standing.extend(standing);
        self.measured.stalled = stall::longest(self.from, until);
        let left = self.leave();
        self.measured
            .standing
            .push(("left behind", count(left.len())));
        if !left.is_empty() {
            let some: Vec<&str> = left.iter().take(4).map(String::as_str).collect();
            self.remark(format!("left behind or changed: {}", some.join("; ")));
        }
        self.measured.clone()
    }

    /// Stops the daemons and says what is different from before.
    fn leave(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        for index in [0, 1] {
            if self.daemons[index].runs() {
                self.daemons[index].signal(Signal::SIGCONT);
                self.daemons[index].stop();
            } else {
                left.push(format!("router {} runs no more", index + 1));
            }
            let (before, after) = (&self.before[index], inventory(&self.lan.routers[index]));
            let differs = |one: &[String], other: &[String], sign: &str| -> Vec<String> {
                one.iter()
                    .filter(|line| !other.contains(line))
                    .map(|line| format!("router {} {sign}{line}", index + 1))
                    .collect()
            };
            left.extend(differs(before, &after, "-"));
            left.extend(differs(&after, before, "+"));
        }
        left
    }

    /// Notes what is known of the daemon of a router before it ends.
    pub(crate) fn close_life(&mut self, index: usize) {
        let daemon = &self.daemons[index];
        let known = self.lives[index].known;
        let roles = events(daemon)
            .iter()
            .filter(|(number, event)| event["kind"] == "role" && Some(*number) > known)
            .count();
        let (log, peak, ticks) = (daemon.log(), peak_kib(daemon), ticks(daemon));
        let life = &mut self.lives[index];
        life.transitions += roles;
        life.log.push_str(&log);
        life.peak = life.peak.max(peak);
        life.used += ticks.saturating_sub(life.ticks);
    }

    /// The time the daemon of a router has had the processor since the misfortune began.
    pub(crate) fn processor(&self, index: usize) -> Duration {
        let now = ticks(&self.daemons[index]);
        ms(now.saturating_sub(self.lives[index].ticks) * 10)
    }

    /// Notes a measure of this row.
    pub(crate) fn note(&mut self, name: &'static str, value: f64) {
        self.measured.own.push((name, value));
    }

    /// Notes a time of this row, in milliseconds.
    pub(crate) fn note_time(&mut self, name: &'static str, span: Duration) {
        self.note_millis(name, millis(span));
    }

    /// The same; infinite if what was waited for did not come.
    pub(crate) fn note_millis(&mut self, name: &'static str, millis: f64) {
        self.note(name, millis);
        self.measured.times.push(name);
    }

    /// Notes a sentence.
    pub(crate) fn remark(&mut self, sentence: impl Into<String>) {
        self.measured.remarks.push(sentence.into());
    }

    /// The ends of both logs.
    pub(crate) fn logs(&self) -> String {
        let tail = |log: String| {
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(8)..].join(" | ")
        };
        format!(
            "1: {} 2: {}",
            tail(self.daemons[0].log()),
            tail(self.daemons[1].log())
        )
    }

    /// Impairs both directions of router 1's cable for `span`, then heals it.
    pub(crate) fn impair(&mut self, impairment: Impairment, span: Duration) {
        self.relay(0).set_both(impairment);
        std::thread::sleep(span);
        self.relay(0).heal();
    }

    pub(crate) fn relay(&self, index: usize) -> &Relay {
        self.relays[index].as_ref().expect("this row has relays")
    }

    /// What both directions of router 1's relay did.
    pub(crate) fn tally(&self) -> Tally {
        let (out, back) = (self.relay(0).tally(Way::Out), self.relay(0).tally(Way::In));
        Tally {
            seen: out.seen + back.seen,
            lost: out.lost + back.lost,
            doubled: out.doubled + back.doubled,
            held: out.held + back.held,
            refused: out.refused + back.refused,
        }
    }

    /// The switch's end of a router's cable.
    pub(crate) fn cable(&self, index: usize) -> String {
        let kind = if self.setup.relays { "cab" } else { "lan" };
        format!("{kind}{}", index + 1)
    }

    pub(crate) fn unplug(&self, index: usize) {
        self.lan
            .switch
            .ip(&format!("link set {} down", self.cable(index)));
    }

    pub(crate) fn plug(&self, index: usize) {
        self.lan
            .switch
            .ip(&format!("link set {} up", self.cable(index)));
    }

    /// Puts a router's LAN interface back after it was deleted, with its addresses.
    pub(crate) fn renew_interface(&mut self, index: usize) {
        self.relays[index] = None;
        let end = self.cable(index);
        cable((&self.lan.routers[index], "eth0"), (&self.lan.switch, &end));
        self.lan.switch.ip(&format!("link set {end} up"));
        router_lan(
            &self.lan.routers[index],
            "eth0",
            Lan::FIRST + u8::from(index == 1),
        );
        self.relays[index] = Some(carry(&self.lan, index));
    }

    /// As [`Self::restart`], without waiting for an answer.
    pub(crate) fn relaunch(&mut self, index: usize) {
        let Self { daemons, lan, .. } = self;
        daemons[index].relaunch(&lan.routers[index]);
        // Its time on the processors and its events are counted from nothing.
        (self.lives[index].ticks, self.lives[index].known) = (0, None);
    }

    /// Starts a router's daemon again in the directory it had.
    pub(crate) fn restart(&mut self, index: usize) {
        self.relaunch(index);
        let answers = wait_for(ms(5000), || try_state(&self.daemons[index]));
        assert!(
            answers.is_some(),
            "no answer: {}",
            self.daemons[index].log()
        );
    }

    /// The configuration of a router.
    pub(crate) fn config(&self, index: usize) -> String {
        config(self.setup, index)
    }
}

fn config(setup: Setup, index: usize) -> String {
    let router = Router::new(NAME, Profile::V3Ipv4)
        .set("priority", [200, 100][index])
        .text("advertise-interval", "100ms")
        .set("accept-mode", true);
    file(&[(setup.adjust)(index, router)])
}

/// The history of a daemon: numbers and events. They are ordered by number; the clock may jump.
pub(crate) fn events(daemon: &Daemon) -> Vec<(u64, serde_json::Value)> {
    let output = daemon.ctl(&["events", "--json"]);
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|event| Some((event["sequence"].as_u64()?, event)))
        .collect()
}

/// The state of the router, if the daemon answers.
fn try_state(daemon: &Daemon) -> Option<()> {
    daemon.try_status().map(|_| ())
}

/// Puts a relay into the cable of a router that is plugged in: its port becomes the far end of the relay.
fn tap(lan: &Lan, index: usize) -> Relay {
    let n = index + 1;
    lan.switch.ip(&format!(
        "link set lan{n} nomaster
         link set lan{n} down
         link set lan{n} name cab{n}
         link set cab{n} up
         link add tap{n} type veth peer name lan{n}
         link set lan{n} master lan
         link set lan{n} up
         link set tap{n} up"
    ));
    carry(lan, index)
}

fn carry(lan: &Lan, index: usize) -> Relay {
    let n = index + 1;
    Relay::between(
        &lan.switch,
        &format!("cab{n}"),
        &format!("tap{n}"),
        n as u64,
    )
}

/// What stands in a namespace: interfaces, addresses, rules, filters and sysctls.
fn inventory(namespace: &Namespace) -> Vec<String> {
    let mut lines = namespace.interface_sysctls();
    lines.extend(namespace.interfaces());
    let state = namespace.sh(
        "ip -o addr | sed 's/valid_lft.*//; s/^[0-9]*: //'; ip rule; nft list ruleset; tc qdisc show | grep -v noqueue || true",
    );
    lines.extend(state.lines().map(str::to_owned));
    lines
}

/// The most memory the processes of a daemon had of their own, in KiB: without the program's file, which a daemon locks
/// whole and which is several times larger in a debug build.
fn peak_kib(daemon: &Daemon) -> u64 {
    let of = |pid: i32| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| -> u64 {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
                .unwrap_or(0)
        };
        field("VmHWM:").saturating_sub(field("RssFile:"))
    };
    daemon.pids().into_iter().map(of).sum()
}

/// The time the processes of a daemon had the processor, in hundredths of a second.
fn ticks(daemon: &Daemon) -> u64 {
    daemon.pids().into_iter().map(ticks_of).sum()
}

fn ticks_of(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may have anything in it; what follows the last parenthesis has not.
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return 0;
    };
    let field = |n: usize| -> u64 {
        rest.split_whitespace()
            .nth(n)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    field(11) + field(12)
}

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

pub(crate) fn count(n: impl TryInto<u32>) -> f64 {
    n.try_into().map_or(f64::INFINITY, f64::from)
}
