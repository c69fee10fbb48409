//! What happens to a world, from its seed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::collections::BTreeSet;

use vrrp_proto::carp::{CarpPlan, Passphrase, Profile};
use vrrp_proto::{
    Dialect, Family, Instant, Interval, Note, Order, Plan, Priority, RouterPlan, Standing,
    VirtualAddress, Vrid,
};

use super::judge::{self, Broken, Judge};
use super::net::{Deed, Due, Net, Number, interface};
use super::{Tally, millis};
use crate::random::{Chance, Random};

/// A world to be.
#[derive(Debug)]
pub struct World {
    seed: u64,
    plans: Vec<(Plan, Vec<u8>)>,
    links: usize,
    slowest: Duration,
    delay: Duration,
    deeds: Vec<(Instant, Deed)>,
    calm: Instant,
}

/// How long misfortunes come.
const STORM: u64 = 40_000;

fn random_priority(random: &mut Random) -> u8 {
    random.one_of(&[50, 100, 100, 100, 150, 200])
}

/// Of whatever protocol it is.
fn set_priority(router: &mut RouterPlan, priority: u8) {
    router.priority = Priority::new(priority);
    if let Some(carp) = &mut router.carp {
        carp.advskew = 254 - priority;
    }
}

/// The same router with CARP, which may have IPv6 beside its IPv4.
fn with_carp(router: RouterPlan, profile: Profile, dual: bool) -> RouterPlan {
    let mut addresses = router.addresses;
    if dual && router.family == Family::Ipv4 {
        addresses.push(VirtualAddress {
            ip: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 9, 1).into(),
            prefix_len: 64,
        });
    }
    RouterPlan {
        dialect: Dialect::Carp,
        addresses,
        carp: Some(CarpPlan {
            profile,
            ..CarpPlan::new(
                254 - router.priority.get(),
                Passphrase::new(b"edge").expect("a short one"),
            )
        }),
        ..router
    }
}

fn router(link: Number, family: Family, dialect: Dialect, interval: Interval) -> RouterPlan {
    let octet = u8::try_from(link).unwrap_or(0);
    let address = |ip: IpAddr, prefix_len| VirtualAddress { ip, prefix_len };
    let addresses = match family {
        Family::Ipv4 => vec![address(Ipv4Addr::new(10, 0, octet, 254).into(), 24)],
        Family::Ipv6 => vec![address(
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, u16::from(octet)).into(),
            64,
        )],
    };
    let vrid = Vrid::new(51).expect("1 to 255");
    RouterPlan {
        dialect,
        interval,
        announce_refresh: None,
        group: Some("edge".to_owned()),
        ..RouterPlan::new(format!("r{link}"), interface(link), vrid, family, addresses)
    }
}

impl World {
    /// The world of a seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut random = Random::stream(seed, 1);
        let hosts = random.one_of(&[2, 2, 3]);
        let links = random.one_of(&[2, 2, 2, 3]);
        let centis = random.one_of(&[10, 50, 100, 100]);
        let interval = |centis| Interval::from_centis(centis).unwrap_or(Interval::DEFAULT);
        let mixed = random.happens(Chance::percent(10));
        // Drawn apart, so that the other worlds are what they are.
        let mut draws = Random::stream(seed, 3);
        let carp = draws.happens(Chance::percent(30));
        let profile = draws.one_of(&[
            Profile::Any,
            Profile::Any,
            Profile::OpenBsd,
            Profile::FreeBsd,
        ]);
        let templates: Vec<RouterPlan> = (0..links)
            .map(|link| {
                let (family, dialect) = random.one_of(&[
                    (Family::Ipv4, Dialect::Vrrp3),
                    (Family::Ipv4, Dialect::Vrrp3),
                    (Family::Ipv6, Dialect::Vrrp3),
                    (Family::Ipv4, Dialect::Vrrp2),
                ]);
                let own = if mixed {
                    random.one_of(&[20, 100])
                } else {
                    centis
                };
                // VRRPv2 has whole seconds.
                let own = if dialect == Dialect::Vrrp2 { 100 } else { own };
                let own = if carp { 100 } else { own };
                let router = router(link, family, dialect, interval(own));
                if carp {
                    with_carp(router, profile, draws.happens(Chance::percent(30)))
                } else {
                    router
                }
            })
            .collect();
        let preempt_everywhere = random.happens(Chance::percent(75));
        let delay = random.one_of(&[0, 0, 0, 2000]);
        let mut plans = Vec::new();
        for _ in 0..hosts {
            let priority = random_priority(&mut random);
            let preempt = preempt_everywhere || random.happens(Chance::percent(50));
            let mut routers = templates.clone();
            for router in &mut routers {
                let unequal = random.happens(Chance::percent(10));
                let own = if unequal {
                    random_priority(&mut random)
                } else {
                    priority
                };
                set_priority(router, own);
                router.preempt = preempt;
                router.preempt_delay = millis(delay);
            }
            let plan = Plan {
                routers,
                ..Plan::default()
            };
            plans.push((plan, Vec::new()));
        }
        // Who has the higher address differs from link to link.
        for _ in 0..links {
            let turn = random.index(hosts);
            for (host, (_, addresses)) in plans.iter_mut().enumerate() {
                addresses.push(u8::try_from((host + turn) % hosts).unwrap_or(0) + 11);
            }
        }
        // A skew is 240 of 256ths at most where it counts.
        let period = |it: &RouterPlan| it.interval.duration() * if carp { 2 } else { 1 };
        let slowest = templates.iter().map(period).max();
        let mut world = Self {
            seed,
            plans,
            links,
            slowest: slowest.unwrap_or_default(),
            delay: millis(delay),
            deeds: Vec::new(),
            calm: Instant::ZERO + millis(STORM),
        };
        world.fill(&mut random);
        world
    }

    fn fill(&mut self, random: &mut Random) {
        let begin = Instant::ZERO + millis(1000);
        let hosts = self.plans.len();
        let mut unplugged = BTreeSet::new();
        let mut crashed = BTreeSet::new();
        for _ in 0..random.below(12) {
            let at = begin + random.up_to(millis(STORM - 2000));
            let (host, link) = (random.index(hosts), random.index(self.links));
            let other = (host + 1 + random.index(hosts - 1)) % hosts;
            let later = (at + random.up_to(millis(8000))).min(self.calm - millis(1));
            let many = |deed: fn(Number, Number, Number) -> Deed| {
                [deed(link, host, other), deed(link, other, host)]
            };
            let mut put = |at, deed| self.deeds.push((at, deed));
            match random.below(11) {
                0 | 1 => {
                    put(at, Deed::Unplug(host, link));
                    put(later, Deed::Plug(host, link));
                }
                2 => {
                    put(at, Deed::Unplug(host, link));
                    unplugged.insert((host, link));
                }
                3 => {
                    put(at, Deed::Cut(link, host, other));
                    put(later, Deed::Mend(link, host, other));
                }
                4 | 5 => {
                    many(Deed::Cut).into_iter().for_each(|deed| put(at, deed));
                    many(Deed::Mend)
                        .into_iter()
                        .for_each(|deed| put(later, deed));
                }
                6 => {
                    put(
                        at,
                        Deed::Loss(
                            link,
                            Chance::percent(u32::try_from(random.below(60)).unwrap_or(0)),
                        ),
                    );
                    put(later, Deed::Loss(link, Chance::NEVER));
                }
                7 => {
                    put(at, Deed::Crash(host));
                    if random.happens(Chance::percent(25)) {
                        crashed.insert(host);
                    } else {
                        put(later, Deed::Start(host));
                    }
                }
                8 => put(at, Deed::Restart(host, random.up_to(millis(50)))),
                9 => {
                    let deed = self.other_plan(random, host);
                    self.deeds.push((at, deed));
                }
                _ => {
                    let deed = ask(random, host, link, at);
                    put(at, deed);
                    put(at + millis(1), Deed::HandOver(host));
                }
            }
        }
        self.end(random, &unplugged, &crashed);
    }

    /// Some cables stay out, some links stay cut in two, some hosts stay away; the rest is well.
    fn end(
        &mut self,
        random: &mut Random,
        unplugged: &BTreeSet<(Number, Number)>,
        crashed: &BTreeSet<Number>,
    ) {
        let hosts = self.plans.len();
        let calm = self.calm;
        let mut put = |deed| self.deeds.push((calm, deed));
        for link in 0..self.links {
            put(Deed::Loss(link, Chance::NEVER));
            let apart = random
                .happens(Chance::percent(15))
                .then(|| random.index(hosts));
            for one in 0..hosts {
                for other in (0..hosts).filter(|other| *other != one) {
                    let cut = apart.is_some_and(|alone| (one == alone) != (other == alone));
                    put(if cut {
                        Deed::Cut(link, one, other)
                    } else {
                        Deed::Mend(link, one, other)
                    });
                }
            }
        }
        for host in 0..hosts {
            for link in 0..self.links {
                put(if unplugged.contains(&(host, link)) {
                    Deed::Unplug(host, link)
                } else {
                    Deed::Plug(host, link)
                });
            }
        }
        for host in 0..hosts {
            put(if crashed.contains(&host) {
                Deed::Crash(host)
            } else {
                Deed::Start(host)
            });
        }
    }

    /// Another priority, a member less, or the plan as it was.
    fn other_plan(&self, random: &mut Random, host: Number) -> Deed {
        let mut plan = self.plans[host].0.clone();
        match random.below(4) {
            0 => {
                let priority = random_priority(random);
                let all = plan.routers.iter_mut();
                all.for_each(|it| set_priority(it, priority));
            }
            1 => {
                plan.routers.pop();
            }
            2 => {
                let index = random.index(plan.routers.len());
                plan.routers[index].group = None;
            }
            _ => {}
        }
        Deed::Reload(host, plan)
    }

    /// Runs it.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run(&self) -> Result<Tally, Broken> {
        self.judged(&mut self.net(false))
    }

    /// Everything that happened in it, and the law that was broken if one was.
    #[must_use]
    pub fn replay(&self) -> (String, Option<String>) {
        let mut net = self.net(true);
        let broken = self.judged(&mut net).err().map(|broken| broken.to_string());
        (net.trace.unwrap_or_default(), broken)
    }

    fn net(&self, record: bool) -> Net {
        let mut net = Net::new(self.plans.clone(), self.links, self.seed, record);
        for (at, deed) in &self.deeds {
            net.put(*at, Due::Deed(deed.clone()));
        }
        net
    }

    /// How long everything may take to settle: a down interval, the delay, another election, and what orders take.
    fn bound(&self) -> Duration {
        self.slowest * 12 + self.delay * 2 + millis(3100)
    }

    fn judged(&self, net: &mut Net) -> Result<Tally, Broken> {
        let mut judge = Judge::default();
        let mut look = |net: &mut Net| judge.look(net, self.slowest);
        net.run_until(self.calm, &mut look)?;
        net.machines
            .iter_mut()
            .for_each(|machine| machine.changes = 0);
        net.last_change = self.calm;
        net.run_until(self.calm + self.bound(), &mut look)?;
        judge::settled(net)?;
        let last = net.last_change;
        // Nothing moves any more: it does not go round in circles.
        net.run_until(self.calm + self.bound() * 2, &mut look)?;
        let took = net.last_change.saturating_since(self.calm);
        if net.last_change != last {
            return Err(Broken::at(
                net.now,
                "something moved after everything had settled",
            ));
        }
        judge::settled(net)?;
        let share = took.as_nanos() * 1000 / self.bound().as_nanos();
        let best = net.best();
        let speaks_carp = |plan: &Plan| plan.routers.iter().any(|it| it.carp.is_some());
        Ok(Tally {
            worlds: 1,
            carp: u64::from(self.plans.iter().any(|(plan, _)| speaks_carp(plan))),
            takeovers: net.takeovers,
            splits: judge.splits,
            longest_split: judge.longest,
            slowest: u64::try_from(share).unwrap_or(u64::MAX),
            most_changes: net.machines.iter().map(|it| it.changes).max().unwrap_or(0),
            cut: u64::from(!net.cuts.is_empty()),
            unable: u64::from(
                net.machines
                    .iter()
                    .any(|it| it.engine.is_none() || it.carrier.contains(&false)),
            ),
            modest: u64::from(!best),
        })
    }
}

/// An operator wants something of one member, or of the whole group.
fn ask(random: &mut Random, host: Number, link: Number, at: Instant) -> Deed {
    let note = Note {
        by: "admin".to_owned(),
        ..Note::default()
    };
    let name = if random.happens(Chance::percent(50)) {
        "edge".to_owned()
    } else {
        format!("r{link}")
    };
    // Nothing stands when all is to settle: what is asked ends by itself.
    let terms = Standing {
        until: Some(at + millis(3000)),
        note: note.clone(),
    };
    let order = match random.below(4) {
        0 => Order::Failover { force: false, note },
        1 => Order::Drain {
            force: false,
            terms,
        },
        2 => Order::SetPriority {
            priority: Priority::new(random_priority(random)),
            terms,
        },
        _ => Order::Pin(terms),
    };
    Deed::Ask(host, name, order)
}
