//! A world and a schedule of misfortunes from a seed.
//!
//! Everything is drawn: how many routers, their version, family, intervals, priorities, manners, machines and clocks, the
//! weather, and what goes wrong when. Then everything is put right again, and after a quiet there must be exactly one
//! Active, the right one, and every kernel must hold exactly what it should. Twice, so that the second round begins in a
//! world with a past.
//!
//! A seed that breaks a law is [shrunk](crate::shrink) to the few misfortunes that it takes.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeSet;
use std::thread;

use vrrp_proto::packet::Advertisement;
use vrrp_proto::{
    ChecksumForm, ChecksumPolicy, Dialect, Effect, Family, Interval, Level, Plan, Priority,
    VirtualAddress,
};

use crate::action::Action;
use crate::clock::{Rate, TRUE};
use crate::host::Host;
use crate::judge::Verdict;
use crate::kernel::{Habits, Meddling, Temper};
use crate::lan::{Lan, Sightings};
use crate::plan::{HostPlan, centis, priority};
use crate::random::{Chance, Random};
use crate::shrink::Shrunk;
use crate::wire::{Bursts, Frame, Weather};
use crate::wish::Wish;

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
    misfortunes: Vec<Misfortune>,
    /// What is left out of it.
    pub cuts: Cuts,
}

/// Something that goes wrong, and is or is not put right later.
#[derive(Clone, Debug)]
pub struct Misfortune {
    /// In which round, counted from 0.
    pub round: u32,
    /// When, after the begin of the round.
    pub at: Duration,
    /// What, each with its time after the first.
    pub deeds: Vec<(Duration, Action)>,
}

/// What is left out of a world, to see whether it matters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cuts {
    /// The misfortunes that happen, by number; `None`: all of them.
    pub keep: Option<BTreeSet<usize>>,
    /// Hosts that never start.
    pub without: BTreeSet<usize>,
    /// So many rounds.
    pub rounds: u32,
    /// Nothing is lost, late or repeated on the wire, but for misfortunes that say so.
    pub calm: bool,
    /// Seeing this is taken for a broken law.
    pub forbid: Option<String>,
}

impl Default for Cuts {
    fn default() -> Self {
        Self {
            keep: None,
            without: BTreeSet::new(),
            rounds: ROUNDS,
            calm: false,
            forbid: None,
        }
    }
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
            Dialect::Vrrp2 | Dialect::Carp => Family::Ipv4,
            Dialect::Vrrp3 => random.one_of(&[Family::Ipv4, Family::Ipv6]),
        };
        let interval = match dialect {
            Dialect::Vrrp2 | Dialect::Carp => random.one_of(&[centis(100), centis(200)]),
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
        // Both versions on one virtual router id: each elects for itself.
        let babel = dialect == Dialect::Vrrp2 && random.happens(Chance::percent(25));
        let forms = random.one_of(&[Forms::Default, Forms::Default, Forms::Strict, Forms::Mixed]);
        let rates = random.one_of(&[0, 0, 0, 10_000, 10_000, 100_000]);
        let accept = random.happens(Chance::percent(85));
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
            let dialect = if babel && random.happens(Chance::percent(50)) {
                Dialect::Vrrp3
            } else {
                dialect
            };
            let mut host = Self::host(&mut random, value, own)
                .dialect(dialect)
                .family(family)
                .checksum(forms.policy(&mut random))
                .rate(rate(&mut random, rates));
            if dual_stack {
                // Often the other way round, so that each family has an Active of its own.
                let value = random.one_of(&[value, 90, 110]);
                host = host.and(Self::host(&mut random, value, own).family(Family::Ipv6));
            }
            host.routers
                .iter_mut()
                .for_each(|router| router.accept = accept);
            hosts.push(host);
        }
        let weather = weather(&mut random, interval.duration());
        let hosts = Self::surroundings(seed, interval.duration(), hosts);
        let refusing = random.happens(Chance::percent(10));
        let mut world = Self {
            seed,
            hosts,
            weather,
            pace: interval.duration(),
            refusing,
            misfortunes: Vec::new(),
            cuts: Cuts::default(),
        };
        world.misfortunes = world.draw();
        world
    }

    /// Hooks that addresses wait for, and an uplink that counts, in some worlds.
    fn surroundings(seed: u64, pace: Duration, hosts: Vec<HostPlan>) -> Vec<HostPlan> {
        // Drawn apart, so that the worlds of all other seeds are what they are.
        let mut random = Random::stream(seed, 0x5a770);
        let hooked = random.happens(Chance::percent(20));
        let tracked = random.happens(Chance::percent(20));
        let around = |mut host: HostPlan| {
            if hooked {
                host = host.pre_active(pace / 50 + random.up_to(pace * 2));
            }
            if tracked {
                let effects = [Effect::Fault, Effect::Weight(-20), Effect::Weight(-150)];
                host = host.tracking(random.one_of(&effects));
            }
            host
        };
        hosts.into_iter().map(around).collect()
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

    /// The command that shows this world.
    #[must_use]
    pub fn replay_command(&self) -> String {
        let list = |numbers: &BTreeSet<usize>| {
            let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
            numbers.join(",")
        };
        let mut command = format!(
            "cargo run -q -p vrrp-sim --bin replay -- chaos --seed {}",
            self.seed
        );
        let Cuts {
            keep,
            without,
            rounds,
            calm,
            forbid,
        } = &self.cuts;
        if let Some(keep) = keep {
            command += &format!(" --keep {}", list(keep));
        }
        if !without.is_empty() {
            command += &format!(" --without {}", list(without));
        }
        if *rounds != ROUNDS {
            command += &format!(" --rounds {rounds}");
        }
        if *calm {
            command += " --calm yes";
        }
        if let Some(forbid) = forbid {
            command += &format!(" --forbid \"{forbid}\"");
        }
        command
    }

    /// Everything that goes wrong, by number, but for what is cut.
    pub fn misfortunes(&self) -> impl Iterator<Item = (usize, &Misfortune)> {
        self.misfortunes
            .iter()
            .enumerate()
            .filter(|(number, misfortune)| {
                let keep = self.cuts.keep.as_ref();
                misfortune.round < self.cuts.rounds && keep.is_none_or(|keep| keep.contains(number))
            })
    }

    /// How many hosts there are, those that never start included.
    #[must_use]
    pub const fn hosts(&self) -> usize {
        self.hosts.len()
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
        let mut lan = Lan::new(self.hosts.iter().cloned(), self.weather(), self.seed);
        for host in &self.cuts.without {
            lan.leave_out(Host(*host));
        }
        if let Some(forbid) = &self.cuts.forbid {
            lan.forbid(forbid);
        }
        lan
    }

    const fn weather(&self) -> Weather {
        if self.cuts.calm {
            self.calm()
        } else {
            self.weather
        }
    }

    const fn calm(&self) -> Weather {
        Weather {
            delay: self.weather.delay,
            ..Weather::CALM
        }
    }

    /// Runs it on a LAN that [`Self::lan`] made.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn run_on(&self, lan: &mut Lan) -> Result<(), Verdict> {
        for round in 0..self.cuts.rounds {
            let begin = lan.now();
            for (_, misfortune) in self.misfortunes().filter(|(_, it)| it.round == round) {
                for (after, action) in &misfortune.deeds {
                    let left_out = |host: &Host| self.cuts.without.contains(&host.0);
                    if !action.hosts().iter().any(left_out) {
                        let at = begin + misfortune.at + *after;
                        lan.schedule(at, self.soften(action));
                    }
                }
            }
            lan.try_run_until(begin + self.length())?;
            self.mend(lan);
            let quiet = lan.quiet_time(self.refusing);
            lan.try_run_until(lan.now() + self.pace * 12 + quiet)?;
            lan.settled()?;
            lan.schedule(lan.now(), Action::Weather(self.weather()));
        }
        Ok(())
    }

    /// The end of a storm is the world's own weather, which may have been cut.
    fn soften(&self, action: &Action) -> Action {
        if *action == Action::Weather(self.weather) {
            Action::Weather(self.weather())
        } else {
            action.clone()
        }
    }

    fn length(&self) -> Duration {
        self.pace * 30
    }

    fn draw(&self) -> Vec<Misfortune> {
        let mut random = Random::stream(self.seed, 0x5c4ed);
        let mut misfortunes = Vec::new();
        for round in 0..ROUNDS {
            for _ in 0..2 + random.below(10) {
                misfortunes.push(Misfortune {
                    round,
                    at: random.up_to(self.length()),
                    deeds: self.misfortune(&mut random),
                });
            }
        }
        misfortunes.extend(self.orders());
        misfortunes.extend(self.samples());
        misfortunes
    }

    /// What operators do meanwhile, in some worlds.
    fn orders(&self) -> Vec<Misfortune> {
        // Drawn apart, so that the other misfortunes of a seed are what they are.
        let mut random = Random::stream(self.seed, 0x04de4);
        let mut orders = Vec::new();
        if !random.happens(Chance::percent(40)) {
            return orders;
        }
        for round in 0..ROUNDS {
            for _ in 0..1 + random.below(6) {
                let host = Host(random.index(self.hosts.len()));
                let wish = Wish::draw(&mut random, self.pace);
                let mut deeds = vec![(Duration::ZERO, Action::Operate(host, wish))];
                let more = random.one_of(&[
                    None,
                    Some(Wish::Undrain),
                    Some(Wish::Reset),
                    Some(Wish::Announce),
                ]);
                if let Some(more) = more {
                    deeds.push((random.up_to(self.pace * 5), Action::Operate(host, more)));
                }
                orders.push(Misfortune {
                    round,
                    at: random.up_to(self.length()),
                    deeds,
                });
            }
        }
        orders
    }

    /// What is found of uplinks, where there are any.
    fn samples(&self) -> Vec<Misfortune> {
        let mut random = Random::stream(self.seed, 0x5a4b1);
        let mut samples = Vec::new();
        let tracks = |host: &HostPlan| host.routers.iter().any(|it| !it.track.is_empty());
        if !self.hosts.iter().any(tracks) {
            return samples;
        }
        for round in 0..ROUNDS {
            for _ in 0..1 + random.below(8) {
                let host = Host(random.index(self.hosts.len()));
                let down = Action::Sample(host, Level::Down);
                let later = random.up_to(self.pace * 10);
                samples.push(Misfortune {
                    round,
                    at: random.up_to(self.length()),
                    deeds: vec![
                        (Duration::ZERO, down),
                        (later, Action::Sample(host, Level::Up)),
                    ],
                });
            }
        }
        samples
    }

    /// What goes wrong, each with its time after the first.
    fn misfortune(&self, random: &mut Random) -> Vec<(Duration, Action)> {
        let host = Host(random.index(self.hosts.len()));
        let other = Host(random.index(self.hosts.len()));
        let now = Duration::ZERO;
        let later = random.up_to(self.pace * 10);
        match random.below(if self.refusing { 30 } else { 26 }) {
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
            9 | 10 => vec![(now, Action::Reload(host, self.other_plan(random, host)))],
            11 => {
                let storm = Weather {
                    loss: Chance::percent(60),
                    ..self.weather
                };
                vec![
                    (now, Action::Weather(storm)),
                    (later, Action::Weather(self.weather)),
                ]
            }
            12 => vec![(now, Action::Inject(self.forgery(random)))],
            13 => {
                let mut moment = || {
                    (
                        random.up_to(self.pace),
                        Action::Inject(self.forgery(random)),
                    )
                };
                (0..20).map(|_| moment()).collect()
            }
            14 => {
                // Nobody else's: routers with the same address would take each other for an echo.
                let last = 101 + 20 * u8::try_from(host.0).unwrap_or(0) + random.one_of(&[0, 1, 2]);
                vec![(now, Action::Readdress(host, last))]
            }
            15 => vec![
                (now, Action::Deafen(host, true)),
                (later, Action::Deafen(host, false)),
            ],
            16 => vec![(now, Action::Kill(host)), (later, Action::Start(host))],
            17 | 18 => {
                let gap = random.up_to(Duration::from_millis(5).min(self.pace / 4));
                vec![(now, Action::HandOver(host, gap))]
            }
            19 => vec![(now, Action::Jump(host, random.up_to(self.pace * 8)))],
            20 => self.flapping(random, host),
            21..=23 => {
                let meddling = random.one_of(&Meddling::ALL);
                let times = 1 + random.below(4);
                (0..times)
                    .map(|_| (random.up_to(self.pace), Action::Meddle(host, meddling)))
                    .collect()
            }
            24 => {
                let lost = u32::try_from(1 + random.below(6)).unwrap_or(1);
                let meddling = random.one_of(&Meddling::ALL);
                vec![
                    (now, Action::LoseNews(host, lost)),
                    (random.up_to(self.pace), Action::Meddle(host, meddling)),
                ]
            }
            26.. => {
                let temper = random.one_of(&[
                    Temper::RefusesMore,
                    Temper::RefusesMore,
                    Temper::RefusesAll,
                    Temper::Moody(30),
                    Temper::Moody(80),
                    Temper::Mute,
                ]);
                vec![
                    (now, Action::Kernel(host, temper)),
                    (later, Action::Kernel(host, Temper::Obeys)),
                ]
            }
            _ => vec![(now, Action::Stop(host)), (later, Action::Start(host))],
        }
    }

    /// A bad cable: off and on again, many times in a row.
    fn flapping(&self, random: &mut Random, host: Host) -> Vec<(Duration, Action)> {
        let mut at = Duration::ZERO;
        let mut deeds = Vec::new();
        for _ in 0..3 + random.below(12) {
            deeds.push((at, Action::Unplug(host)));
            at += random.up_to(self.pace / 2);
            deeds.push((at, Action::Plug(host)));
            at += random.up_to(self.pace / 2);
        }
        deeds
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
                if random.happens(Chance::percent(25)) {
                    router.addresses.push(another_address(router.family));
                }
            }
            router.preempt = random.happens(Chance::percent(70));
            router.name = format!("{}{number}", random.one_of(&["gateway", "renamed"]));
            if random.happens(Chance::percent(25)) {
                router.interval = match router.dialect {
                    Dialect::Vrrp2 | Dialect::Carp => random.one_of(&[centis(100), centis(200)]),
                    Dialect::Vrrp3 => random.one_of(&[centis(5), centis(50), centis(100)]),
                };
            }
        }
        plan
    }

    /// What routers must agree on is as it was; priorities and manners remain as they are.
    fn agreed(&self, host: Host, current: &Plan) -> Plan {
        let mut plan = current.clone();
        for (router, original) in plan.routers.iter_mut().zip(&self.hosts[host.0].routers) {
            router.interval = original.interval;
            router.addresses.clone_from(&original.addresses);
        }
        plan
    }

    fn mend(&self, lan: &mut Lan) {
        // Whatever was still to come comes first.
        let at = lan.now() + self.pace * 12;
        lan.schedule(at, Action::Heal);
        lan.schedule(at, Action::Weather(self.calm()));
        for host in lan.hosts() {
            let agreed = self.agreed(host, lan.plan(host));
            let changed = agreed != *lan.plan(host);
            let reload = changed.then_some(Action::Reload(host, agreed));
            let mending = [
                Action::Kernel(host, Temper::Obeys),
                Action::Deafen(host, false),
                Action::Plug(host),
                Action::Resume(host),
            ];
            for action in mending
                .into_iter()
                .chain(reload)
                .chain([Action::Start(host), Action::Sample(host, Level::Up)])
            {
                lan.schedule(at, action);
            }
        }
        let asked = self.misfortunes().any(|(_, misfortune)| {
            let mut deeds = misfortune.deeds.iter();
            deeds.any(|(_, action)| matches!(action, Action::Operate(..)))
        });
        // Without orders the election is as if there had been none.
        for host in lan.hosts().filter(|_| asked) {
            lan.schedule(at, Action::Operate(host, Wish::Undrain));
            lan.schedule(at, Action::Operate(host, Wish::Reset));
        }
    }
}

/// Which checksum forms the routers of a world speak and understand (RFC 9568 §5.2.8, RFC 5798 §5.2.8).
#[derive(Clone, Copy, Debug)]
enum Forms {
    Default,
    /// Some insist on RFC 9568's, and nobody sends another.
    Strict,
    /// Each has its own, and understands both.
    Mixed,
}

impl Forms {
    fn policy(self, random: &mut Random) -> ChecksumPolicy {
        match self {
            Self::Default => ChecksumPolicy::default(),
            Self::Strict => ChecksumPolicy {
                send: Some(ChecksumForm::Rfc9568),
                strict: random.happens(Chance::percent(50)),
            },
            Self::Mixed => ChecksumPolicy {
                send: random.one_of(&[
                    None,
                    Some(ChecksumForm::Rfc9568),
                    Some(ChecksumForm::Rfc5798),
                ]),
                strict: false,
            },
        }
    }
}

/// A clock that is wrong by up to so many millionths.
fn rate(random: &mut Random, wrong: u32) -> Rate {
    let spread = random.below(u64::from(2 * wrong) + 1);
    TRUE - wrong + u32::try_from(spread).unwrap_or(0)
}

fn weather(random: &mut Random, interval: Duration) -> Weather {
    let bursts = Bursts {
        begin: random.one_of(&[Chance::permille(5), Chance::percent(3)]),
        end: random.one_of(&[Chance::percent(20), Chance::percent(50)]),
        loss: random.one_of(&[Chance::percent(70), Chance::percent(100)]),
    };
    Weather {
        loss: random.one_of(&[
            Chance::NEVER,
            Chance::percent(1),
            Chance::percent(5),
            Chance::percent(20),
        ]),
        bursts: random.happens(Chance::percent(30)).then_some(bursts),
        duplication: random.one_of(&[Chance::NEVER, Chance::NEVER, Chance::percent(5)]),
        delay: Duration::from_micros(20 + random.below(200)),
        jitter: random.one_of(&[Duration::ZERO, Duration::from_micros(200), interval / 4]),
        reordering: random.one_of(&[
            Chance::NEVER,
            Chance::NEVER,
            Chance::percent(2),
            Chance::percent(15),
        ]),
        hold: interval * 2,
    }
}

fn another_address(family: Family) -> VirtualAddress {
    match family {
        Family::Ipv4 => VirtualAddress {
            ip: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 252)),
            prefix_len: 24,
        },
        Family::Ipv6 => VirtualAddress {
            ip: IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfc)),
            prefix_len: 64,
        },
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
                write!(f, ", up to {:?} late", plan.lateness)?;
                if plan.rate != TRUE {
                    write!(f, ", clock at {} millionths", plan.rate)?;
                }
                if self.cuts.without.contains(&host.0) {
                    write!(f, ", never starts")?;
                }
                writeln!(f)?;
            }
        }
        writeln!(f, "{}", Action::Weather(self.weather()))?;
        for (number, Misfortune { round, at, deeds }) in self.misfortunes() {
            writeln!(f, "misfortune {number}, round {round}, after {at:?}:")?;
            for (after, action) in deeds {
                writeln!(f, "    {after:>12?}  {action}")?;
            }
        }
        Ok(())
    }
}

/// Seeds that one thread takes at a time.
const HANDFUL: u64 = 64;

/// Runs these seeds on all processors; what was seen in all of them.
///
/// # Errors
/// The first law that was broken, shrunk, with the command that shows it.
pub fn run(seeds: Range<u64>) -> Result<Sightings, String> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut sightings = Sightings::default();
        loop {
            let first = next.fetch_add(HANDFUL, Ordering::Relaxed);
            if first >= seeds.end {
                return Ok(sightings);
            }
            for seed in first..seeds.end.min(first + HANDFUL) {
                let world = World::of(seed);
                let seen = world.run().map_err(|verdict| {
                    next.store(seeds.end, Ordering::Relaxed);
                    Shrunk::from(&world, &verdict).to_string()
                })?;
                for (what, times) in seen {
                    *sightings.entry(what).or_default() += times;
                }
            }
        }
    };
    let results: Vec<Result<Sightings, String>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<Sightings, String>>| {
            let panicked = |_| Err(String::from("a world panicked"));
            thread.join().unwrap_or_else(panicked)
        };
        threads.into_iter().map(join).collect()
    });
    let mut sightings = Sightings::default();
    for result in results {
        for (what, times) in result? {
            *sightings.entry(what).or_default() += times;
        }
    }
    Ok(sightings)
}
