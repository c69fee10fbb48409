//! A world and a schedule of misfortunes from a seed.
//!
//! Everything is drawn: how many routers, their version, family, intervals, priorities, manners and machines, the
//! weather, and what goes wrong when. Then everything is put right again, and after a quiet there must be exactly one
//! Active, the right one. Twice, so that the second round begins in a world with a past.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use vrrp_proto::packet::Advertisement;
use vrrp_proto::{ChecksumForm, Dialect, Family, Interval, Plan, Priority};

use crate::action::Action;
use crate::host::Host;
use crate::judge::Verdict;
use crate::kernel::Habits;
use crate::lan::{Lan, Sightings};
use crate::plan::{HostPlan, centis, priority};
use crate::random::{Chance, Random};
use crate::wire::{Frame, Weather};

const ROUNDS: u32 = 2;

/// A seed's world before it begins.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    hosts: Vec<HostPlan>,
    weather: Weather,
    /// The interval on which misfortunes are timed.
    pace: Duration,
    /// Whether kernels refuse in this world.
    refusing: bool,
}

impl World {
    /// The world of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::stream(seed, 0xc4a05);
        let dialect = random.one_of(&[
            Dialect::Vrrp2,
            Dialect::Vrrp3,
            Dialect::Vrrp3,
            Dialect::Vrrp3,
        ]);
        let family = match dialect {
            Dialect::Vrrp2 => Family::Ipv4,
            Dialect::Vrrp3 => random.one_of(&[Family::Ipv4, Family::Ipv6]),
        };
        let interval = match dialect {
            Dialect::Vrrp2 => random.one_of(&[centis(100), centis(200)]),
            Dialect::Vrrp3 => random.one_of(&[centis(1), centis(10), centis(100), centis(300)]),
        };
        let count = 2 + random.index(4);
        let equals = random.happens(Chance::percent(30));
        let has_owner = random.happens(Chance::percent(10));
        let mixed = dialect == Dialect::Vrrp3 && random.happens(Chance::percent(20));
        let dual_stack = dialect == Dialect::Vrrp3
            && family == Family::Ipv4
            && !has_owner
            && random.happens(Chance::percent(40));
        let mut hosts = Vec::new();
        for number in 0..count {
            let value = match (number, has_owner, equals) {
                (0, true, _) => 255,
                (_, _, true) => 100,
                (_, _, false) => random.one_of(&[1, 50, 99, 100, 101, 150, 200, 254]),
            };
            let own = if mixed {
                random.one_of(&[centis(10), centis(50), centis(100)])
            } else {
                interval
            };
            let mut host = Self::host(&mut random, value, own)
                .dialect(dialect)
                .family(family);
            if dual_stack {
                // Often the other way round, so that each family has an Active of its own.
                let value = random.one_of(&[value, 90, 110]);
                host = host.and(Self::host(&mut random, value, own).family(Family::Ipv6));
            }
            hosts.push(host);
        }
        let weather = Weather {
            loss: random.one_of(&[
                Chance::NEVER,
                Chance::percent(1),
                Chance::percent(5),
                Chance::percent(20),
            ]),
            duplication: random.one_of(&[Chance::NEVER, Chance::NEVER, Chance::percent(5)]),
            delay: Duration::from_micros(20 + random.below(200)),
            jitter: random.one_of(&[
                Duration::ZERO,
                Duration::from_micros(200),
                interval.duration() / 4,
            ]),
        };
        Self {
            seed,
            hosts,
            weather,
            pace: interval.duration(),
            refusing: random.happens(Chance::percent(8)),
        }
    }

    fn host(random: &mut Random, value: u8, interval: Interval) -> HostPlan {
        let mut host = priority(value)
            .interval(interval)
            .lateness(random.one_of(&[
                Duration::ZERO,
                Duration::from_micros(50),
                interval.duration() / 20,
            ]))
            .kernel(Habits {
                jitter: random.one_of(&[Duration::from_micros(400), Duration::from_millis(30)]),
                ..Habits::USUAL
            });
        if random.happens(Chance::percent(25)) {
            host = host.polite();
        } else if random.happens(Chance::percent(15)) {
            host = host.preempt_delay(random.up_to(interval.duration() * 5));
        }
        host
    }

    /// The command that shows this seed.
    #[must_use]
    pub fn replay_command(seed: u64) -> String {
        format!("cargo run -p vrrp-sim --bin replay -- chaos --seed {seed}")
    }

    /// Runs it.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn run(&self) -> Result<Sightings, Verdict> {
        let mut lan = self.lan();
        self.run_on(&mut lan)?;
        Ok(lan.sightings().clone())
    }

    /// The LAN of this world at time zero.
    #[must_use]
    pub fn lan(&self) -> Lan {
        Lan::new(self.hosts.iter().cloned(), self.weather, self.seed)
    }

    /// Runs it on a LAN that [`Self::lan`] made.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn run_on(&self, lan: &mut Lan) -> Result<(), Verdict> {
        let mut random = Random::stream(self.seed, 0x5c4ed);
        for _ in 0..ROUNDS {
            let begin = lan.now();
            let length = self.pace * 30;
            let misfortunes = 2 + random.below(10);
            for _ in 0..misfortunes {
                let at = begin + random.up_to(length);
                for (after, action) in self.misfortune(&mut random) {
                    lan.schedule(at + after, action);
                }
            }
            lan.try_run_until(begin + length)?;
            self.mend(lan);
            let quiet = lan.quiet_time(self.refusing);
            lan.try_run_until(lan.now() + self.pace * 12 + quiet)?;
            lan.settled()?;
            lan.schedule(lan.now(), Action::Weather(self.weather));
        }
        Ok(())
    }

    /// What goes wrong, each with its time after the first.
    fn misfortune(&self, random: &mut Random) -> Vec<(Duration, Action)> {
        let host = Host(random.index(self.hosts.len()));
        let other = Host(random.index(self.hosts.len()));
        let now = Duration::ZERO;
        let later = random.up_to(self.pace * 10);
        match random.below(if self.refusing { 16 } else { 15 }) {
            0 => vec![(now, Action::Crash(host)), (later, Action::Start(host))],
            1 => vec![(now, Action::Stop(host)), (later, Action::Start(host))],
            2 | 3 => vec![(now, Action::Pause(host)), (later, Action::Resume(host))],
            4 => vec![(now, Action::Unplug(host)), (later, Action::Plug(host))],
            5 => vec![(now, Action::Vanish(host)), (later, Action::Plug(host))],
            6 if host != other => vec![(now, Action::Cut(host, other)), (later, Action::Heal)],
            7 => vec![(now, Action::Separate(vec![host])), (later, Action::Heal)],
            8 if host != other => vec![
                (now, Action::Separate(vec![host, other])),
                (later, Action::Heal),
            ],
            9 => vec![(now, Action::Reload(host, self.other_plan(random, host)))],
            10 => vec![
                (
                    now,
                    Action::Weather(Weather {
                        loss: Chance::percent(60),
                        ..self.weather
                    }),
                ),
                (later, Action::Weather(self.weather)),
            ],
            11 => vec![(now, Action::Inject(self.forgery(random)))],
            12 => {
                let mut moment = || {
                    (
                        random.up_to(self.pace),
                        Action::Inject(self.forgery(random)),
                    )
                };
                (0..20).map(|_| moment()).collect()
            }
            13 => {
                // Nobody else's: routers with the same address would take each other for an echo.
                let last = 101 + 20 * u8::try_from(host.0).unwrap_or(0) + random.one_of(&[0, 1, 2]);
                vec![(now, Action::Readdress(host, last))]
            }
            14 => vec![
                (now, Action::Deafen(host, true)),
                (later, Action::Deafen(host, false)),
            ],
            15 => vec![
                (now, Action::KernelFails(host, true)),
                (later, Action::KernelFails(host, false)),
            ],
            _ => vec![(now, Action::Stop(host)), (later, Action::Start(host))],
        }
    }

    /// What a stranger, hostile or only misconfigured, might send.
    fn forgery(&self, random: &mut Random) -> Frame {
        let router = &self.hosts[random.index(self.hosts.len())].routers[0];
        let last = random.one_of(&[1, 99, 12, 253]);
        let source = match router.family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last))),
        };
        let destination = router.family.group();
        let addresses: Vec<IpAddr> = router.addresses.iter().map(|address| address.ip).collect();
        let advertisement = Advertisement {
            dialect: router.dialect,
            vrid: router.vrid,
            priority: Priority::new(random.one_of(&[0, 0, 1, 100, 254, 255])),
            interval: router.interval,
            addresses: &addresses,
            authentication: None,
        };
        let mut message = advertisement.emit(ChecksumForm::Rfc9568, source, destination);
        if random.happens(Chance::percent(40)) {
            let at = random.index(message.len());
            message[at] = random.one_of(&[0, 1, 0x21, 0x31, 0xff]);
        }
        Frame {
            source,
            destination,
            hop_limit: random.one_of(&[255, 255, 255, 254]),
            message: message.into(),
        }
    }

    fn other_plan(&self, random: &mut Random, host: Host) -> Plan {
        let mut plan = self.hosts[host.0].plan();
        for (number, router) in plan.routers.iter_mut().enumerate() {
            if !router.priority.is_owner() {
                router.priority = Priority::new(random.one_of(&[10, 100, 220]));
            }
            router.preempt = random.happens(Chance::percent(70));
            router.name = format!("{}{number}", random.one_of(&["gateway", "renamed"]));
        }
        plan
    }

    fn mend(&self, lan: &mut Lan) {
        // Whatever was still to come comes first.
        let at = lan.now() + self.pace * 12;
        let calm = Weather {
            loss: Chance::NEVER,
            duplication: Chance::NEVER,
            jitter: Duration::ZERO,
            ..self.weather
        };
        lan.schedule(at, Action::Heal);
        lan.schedule(at, Action::Weather(calm));
        for host in lan.hosts() {
            for action in [
                Action::KernelFails(host, false),
                Action::Deafen(host, false),
                Action::Plug(host),
                Action::Resume(host),
                Action::Start(host),
            ] {
                lan.schedule(at, action);
            }
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        for (host, plan) in (0..).map(Host).zip(&self.hosts) {
            for router in &plan.routers {
                write!(
                    f,
                    "{host}: {} {}, priority {}, interval {}",
                    router.dialect.name(),
                    router.family,
                    router.priority,
                    router.interval
                )?;
                if !router.preempt {
                    write!(f, ", does not preempt")?;
                }
                if !router.preempt_delay.is_zero() {
                    write!(f, ", preempts after {:?}", router.preempt_delay)?;
                }
                writeln!(f, ", up to {:?} late", plan.lateness)?;
            }
        }
        writeln!(f, "{}", Action::Weather(self.weather))
    }
}

/// Runs these seeds; what was seen in all of them.
///
/// # Errors
/// The first law that was broken, with the command that shows it.
pub fn run(seeds: impl IntoIterator<Item = u64>) -> Result<Sightings, String> {
    let mut sightings = Sightings::default();
    for seed in seeds {
        let seen = World::of(seed)
            .run()
            .map_err(|verdict| format!("{verdict}\nreplay: {}", World::replay_command(seed)))?;
        for (what, times) in seen {
            *sightings.entry(what).or_default() += times;
        }
    }
    Ok(sightings)
}
