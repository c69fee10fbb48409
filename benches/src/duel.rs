//! One pair on a switched LAN under a stream of datagrams, and the blows it is dealt.

use crate::fleet::REAL_TIME;
use crate::maker::Maker;
use crate::sniff::{Heard, Interest, Sniff, What};
use crate::stream::{Fate, STEP, Stream};
use crate::{usage, witness};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms, wait_for};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::frr::Frr;
use vrrp_lab::keepalived::Keepalived;
use vrrp_lab::pair::{HIGHER, LOWER};
use vrrp_lab::profile::{Profile, VRID};
use vrrp_lab::rival::{Orders, Rival, ours};
use vrrp_lab::settings::file;
use vrrp_lab::topology::Lan;

/// Priorities 200 and 100, VRRPv3 over IPv4, one virtual address, virtual MAC address. Router 1 is Active.
pub(crate) struct Duel {
    /// Stops before what it runs through goes.
    pub(crate) stream: Stream,
    /// The switch's ports of both routers: incoming is what the router says, outgoing is what it gets to hear.
    pub(crate) ports: [Sniff; 2],
    pub(crate) rivals: [Box<dyn Rival>; 2],
    pub(crate) lan: Lan,
    pub(crate) maker: Maker,
    pub(crate) interval: Duration,
    phase: u64,
}

/// A router fell silent, and the other came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    /// From the last advertisement the other heard to the first datagram that it forwarded and echo that it answered,
    /// whichever was later, less its Active_Down_Interval; in milliseconds.
    pub(crate) beyond: f64,
    /// The same for the first datagram alone: below zero it came too early.
    pub(crate) through: f64,
    /// How long a client was without either, in milliseconds.
    pub(crate) gap: f64,
    pub(crate) stalled: bool,
}

/// A planned change of the Active.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HandOver {
    pub(crate) fate: Fate,
    pub(crate) stalled: bool,
}

/// The process that does the work died, and its daemon went on or did not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Maimed {
    pub(crate) fate: Fate,
    /// How often router 2 took over.
    pub(crate) takeovers: usize,
    pub(crate) stalled: bool,
}

/// What a router without a daemon went on doing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Zombie {
    /// The last datagram it forwarded or question it answered, in milliseconds after the blow.
    pub(crate) last: f64,
    /// Whether it still did so at the end of the look.
    pub(crate) still: bool,
    pub(crate) stalled: bool,
}

impl Duel {
    /// Starts the lower, then the higher, and waits until the higher alone is Active.
    pub(crate) fn start(maker: Maker, interval: Duration) -> Self {
        let lan = Lan::new(2);
        let ports = ["lan1", "lan2"]
            .map(|port| Sniff::start(&lan.switch, port, Interest::AdvertsAndAnswers));
        let lower = start(maker, &lan, 1, interval);
        let higher = start(maker, &lan, 0, interval);
        let duel = Self {
            stream: Stream::start(&lan),
            ports,
            rivals: [higher, lower],
            lan,
            maker,
            interval,
            phase: 0x9e37_79b9_7f4a_7c15,
        };
        duel.expect_elected(0);
        // Announcements of the first seconds are over.
        std::thread::sleep(ms(1500));
        duel
    }

    /// Active_Down_Interval of router 2.
    pub(crate) fn down(&self) -> Duration {
        Profile::V3Ipv4.down(LOWER, self.interval)
    }

    /// Waits until this router alone has advertised for three intervals.
    pub(crate) fn expect_elected(&self, index: usize) {
        let calm = (self.interval * 3).max(ms(100));
        let elected = wait_for(self.interval * 15 + ms(15_000), || {
            let from = Stamp::now() - calm;
            let claims = [0, 1].map(|port: usize| self.ports[port].since(from, Heard::claim).len());
            (claims[index] >= 2 && claims[1 - index] == 0).then_some(())
        });
        assert!(
            elected.is_some(),
            "{}: router {} alone is not Active:\n{}\n---\n{}",
            self.maker.word(),
            index + 1,
            tail(&self.rivals[0].log()),
            tail(&self.rivals[1].log())
        );
    }

    /// Takes the port of router 1 out of the switch at a random phase of its advertisements, and puts it back when router 2
    /// has served for a while. `None` if router 2 does not come within the Active_Down_Interval and five seconds.
    pub(crate) fn crash(&mut self) -> Option<Crash> {
        self.drift();
        let asked = Stamp::now();
        self.isolate(true);
        let claim = self.ports[1].wait(asked, self.down() + ms(5000), |heard| {
            heard.claim().map(|_| heard.at)
        });
        // Both may answer before the port is out, where takeovers are false; such a trial tells nothing about the gap.
        let claim = claim?;
        let served = wait_for(ms(3000), || {
            let forwarded = self.stream.first_by(1, claim - ms(50))?;
            // Before the claim it may have been the other's, whose last echo is long back.
            let echoed = self.stream.first_echo(claim - STEP * 5)?;
            Some((forwarded, forwarded.max(echoed)))
        });
        std::thread::sleep(ms(30));
        let over = Stamp::now();
        let last_heard = self.ports[1]
            .since(asked - self.interval * 4, |heard| {
                let advert = matches!(heard.what, What::Advert { priority, .. } if priority > 0);
                (heard.outgoing && advert && heard.at < claim).then_some(heard.at)
            })
            .into_iter()
            .max();
        let fate = self
            .stream
            .fate(asked, served.map_or(over, |(_, served)| served + ms(10)));
        self.isolate(false);
        self.expect_elected(0);
        let ((forwarded, served), last_heard) = (served?, last_heard?);
        let due = last_heard + self.down();
        Some(Crash {
            beyond: served.millis_since(due),
            through: forwarded.millis_since(due),
            gap: millis(fate.gap.max(fate.address_gap)),
            stalled: witness::stalled(last_heard, served),
        })
    }

    /// Ends router 1 in good order and sees what is lost until router 2 serves alone; then starts it again and sees what is
    /// lost while it takes the address back.
    pub(crate) fn hand_over(&mut self) -> [Option<HandOver>; 2] {
        self.drift();
        let asked = self.rivals[0].terminate();
        let left = self.look(asked, 1);
        // Gone as a process, too: what it takes down on its way out counts.
        let gone = wait_for(ms(9000), || {
            let pids = usage::pids(&self.lan.routers[0]);
            // FRR's other daemon stays, and an ended process that nobody has reaped is no process.
            (pids.is_empty() || self.maker == Maker::Frr).then_some(())
        });
        let until = Stamp::now();
        std::thread::sleep(ms(50));
        let left = left.filter(|_| gone.is_some()).map(|_| HandOver {
            fate: self.stream.fate(asked - ms(5), until),
            stalled: witness::stalled(asked, until),
        });
        let back = Stamp::now();
        self.rivals[0].revive(&self.lan.routers[0]);
        let returned = self.look(back, 0);
        let until = Stamp::now();
        std::thread::sleep(ms(50));
        let returned = returned.map(|()| HandOver {
            fate: self.stream.fate(back, until),
            stalled: witness::stalled(back, until),
        });
        [left, returned]
    }

    /// Asks router 1 to hand over and stay, and sees what is lost until router 2 serves alone; then lets it have its place
    /// again. Also how long after the request router 2 first advertised.
    pub(crate) fn fail_over(&mut self) -> ([Option<HandOver>; 2], Option<Duration>) {
        self.drift();
        let asked = Stamp::now();
        self.rivals[0].fail_over();
        let left = self.look(asked, 1);
        let first = self.ports[1].since(asked, |heard| heard.claim().map(|_| heard.at));
        let after = first.first().map(|first| first.since(asked));
        let away = left.map(|()| self.seen(asked - ms(5)));
        let back = Stamp::now();
        self.rivals[0].fall_back();
        let returned = self.look(back, 0);
        let back = returned.map(|()| self.seen(back));
        ([away, back], after)
    }

    /// What was lost from then until now.
    fn seen(&self, from: Stamp) -> HandOver {
        let until = Stamp::now();
        std::thread::sleep(ms(50));
        HandOver {
            fate: self.stream.fate(from, until),
            stalled: witness::stalled(from, until),
        }
    }

    /// Waits until a router advertises alone and forwards.
    fn look(&self, from: Stamp, index: usize) -> Option<()> {
        self.ports[index].wait(from, self.interval * 15 + ms(9000), |heard| {
            heard.claim().map(drop)
        })?;
        self.expect_elected(index);
        let router = u8::try_from(index).unwrap_or(u8::MAX);
        wait_for(ms(1000), || self.stream.first_by(router, from)).map(drop)
    }

    /// Stops or kills everything of router 1 at a random phase and looks on for three Active_Down_Intervals; then brings it
    /// back.
    pub(crate) fn fell(&mut self, signal: Signal) -> Zombie {
        self.drift();
        let pids = usage::pids(&self.lan.routers[0]);
        let struck = Stamp::now();
        for pid in &pids {
            let _ = kill(Pid::from_raw(*pid), signal);
        }
        let until = struck + self.down() * 3;
        until.sleep_until();
        std::thread::sleep(ms(30));
        let answers = self.ports[0].since(struck, |heard| {
            (heard.at <= until && matches!(heard.what, What::Answer(_)) && !heard.outgoing)
                .then_some(heard.at)
        });
        let forwarded = self.stream.last_by(0, struck, until);
        let last = answers
            .last()
            .copied()
            .into_iter()
            .chain(forwarded)
            .max()
            .unwrap_or(struck);
        if signal == Signal::SIGSTOP {
            for pid in &pids {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGCONT);
            }
        } else {
            self.rivals[0].kill();
            self.rivals[0].revive(&self.lan.routers[0]);
        }
        self.expect_elected(0);
        Zombie {
            last: last.millis_since(struck),
            still: until.since(last) < ms(50),
            stalled: witness::stalled(struck, last),
        }
    }

    /// Kills the process that does the work on router 1, and no other, at a random phase, and looks on for two and a half seconds
    /// or two Active_Down_Intervals.
    pub(crate) fn maim(&mut self) -> Maimed {
        self.drift();
        let workers = usage::workers(&usage::pids(&self.lan.routers[0]));
        let struck = Stamp::now();
        for pid in &workers {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        assert_eq!(workers.len(), 1, "{}: workers", self.maker.word());
        // A daemon that dies too often is given up: not more than four times in ten seconds.
        let patience = (self.down() * 2).max(ms(2600));
        (struck + patience).sleep_until();
        let until = Stamp::now();
        std::thread::sleep(ms(50));
        Maimed {
            fate: self.stream.fate(struck - ms(5), until),
            takeovers: self.takeovers(struck, until),
            stalled: witness::stalled(struck, until),
        }
    }

    /// The advertisements of router 2 since `from`, as episodes: takeovers, of which none is due.
    pub(crate) fn takeovers(&self, from: Stamp, until: Stamp) -> usize {
        let claims = self.ports[1].since(from, |heard| heard.claim().map(|_| heard.at));
        let claims: Vec<Stamp> = claims.into_iter().filter(|at| *at <= until).collect();
        let apart = claims
            .windows(2)
            .filter(|pair| pair[1].since(pair[0]) > self.interval * 5);
        usize::from(!claims.is_empty()) + apart.count()
    }

    /// Waits for a part of an interval that nobody knows.
    fn drift(&mut self) {
        self.phase ^= self.phase << 13;
        self.phase ^= self.phase >> 7;
        self.phase ^= self.phase << 17;
        let share = f64::from(u32::try_from(self.phase >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        std::thread::sleep(self.interval.mul_f64(share) + STEP);
    }

    fn isolate(&self, isolated: bool) {
        let state = if isolated { 0 } else { 3 };
        self.lan
            .switch
            .sh(&format!("bridge link set dev lan1 state {state}"));
    }
}

fn start(maker: Maker, lan: &Lan, index: usize, interval: Duration) -> Box<dyn Rival> {
    let router = &lan.routers[index];
    let priority = [HIGHER, LOWER][index];
    let orders = Orders::new(Profile::V3Ipv4, priority, interval);
    let ours = ours(orders, "rfc9568");
    match maker {
        Maker::Ours => Box::new(Daemon::start(router, &file(&[ours]))),
        Maker::OursEbpf => Box::new(Daemon::start(
            router,
            &file(&[ours.text("data-plane", "ebpf")]),
        )),
        Maker::Keepalived | Maker::KeepalivedPlain => Box::new(Keepalived::start(router, orders)),
        Maker::KeepalivedRt => Box::new(Keepalived::start_with(router, orders, REAL_TIME)),
        Maker::Frr => Box::new(Frr::start(router, orders)),
        Maker::Pnet => panic!("no router"),
    }
}

/// The VRID of every duel.
pub(crate) const ROUTER: u8 = VRID;

pub(crate) fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
