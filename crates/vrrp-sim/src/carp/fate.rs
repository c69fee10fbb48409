//! What becomes of a world: drawn from its seed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::judge::{self, Broken, SLACK, bound};
use super::net::{Deed, Net, Number, START, Sloth};
use super::node::{Lie, Node};
use super::{MILLI, Tally};
use crate::random::{Chance, Random};
use crate::reference::carp::{Manner, Role, Terms};
use crate::reference::terms::{Nanos, SECOND};

/// For so long things go wrong.
const TROUBLE: Nanos = 40 * SECOND;

/// A 64th of a second: the worst of several Backups waits so long after a bow-out.
const TURN: Nanos = SECOND / 64;

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    seed: u64,
    hosts: Vec<(u8, Terms)>,
    /// Models stand for ours, with this lie or with none.
    impostor: Option<Option<Lie>>,
    deeds: Vec<(Nanos, Deed)>,
    sloth: Sloth,
    script: Nanos,
    delay: Nanos,
    twice: Chance,
    calm: Nanos,
}

fn addresses(random: &mut Random, ucarp: bool) -> Vec<IpAddr> {
    let v4 = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
    let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    match random.below(5) {
        // UCarp knows no other.
        _ if ucarp => vec![v4(254)],
        0 => vec![v4(254)],
        1 => vec![v4(254), v4(253)],
        2 => vec![v6],
        _ => vec![v4(254), v6],
    }
}

impl World {
    /// The world of this seed.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        Self::peopled(seed, None)
    }

    /// The world of this seed, with impostors instead of ours.
    #[must_use]
    pub fn with(seed: u64, lie: Option<Lie>) -> Self {
        Self::peopled(seed, Some(lie))
    }

    fn peopled(seed: u64, impostor: Option<Option<Lie>>) -> Self {
        let mut random = Random::stream(seed, 1);
        let count = 2 + random.index(3);
        let mut kinds = vec![None];
        for _ in 1..count {
            kinds.push(random.one_of(&[
                None,
                Some(Manner::OpenBsd),
                Some(Manner::FreeBsd),
                Some(Manner::Ucarp),
            ]));
        }
        let addresses = addresses(&mut random, kinds.contains(&Some(Manner::Ucarp)));
        let advbase = random.one_of(&[1, 1, 1, 1, 1, 1, 2]);
        let mixed = random.happens(Chance::percent(5));
        let mut skews = vec![0, 50, 100, 150, 200];
        let all = skews.clone();
        let mut lasts: Vec<u8> = Vec::new();
        let mut hosts = Vec::new();
        for kind in kinds {
            let mut last = 1 + random.index(250);
            while lasts.iter().any(|other| usize::from(*other) == last) {
                last = 1 + random.index(250);
            }
            let last = u8::try_from(last).unwrap_or(1);
            lasts.push(last);
            // No two of the others are equal: among themselves they may go round in circles for ever, and that is not ours
            // to judge. One of ours may be the equal of anybody.
            let advskew = match kind {
                None => random.one_of(&all),
                Some(_) => skews.swap_remove(random.index(skews.len())),
            };
            let ours = [Manner::Any, Manner::OpenBsd, Manner::FreeBsd];
            let manner = match random.below(10) {
                0 => ours[1],
                1 => ours[2],
                _ => ours[0],
            };
            let terms = Terms {
                manner: kind.unwrap_or(manner),
                ours: kind.is_none(),
                vhid: 7,
                advbase: if mixed {
                    random.one_of(&[1, 2])
                } else {
                    advbase
                },
                advskew,
                demotion: 0,
                preempt: random.happens(Chance::percent(60)),
                hold_time: 0,
                addresses: addresses.clone(),
                key: b"secret".to_vec(),
                peers: Vec::new(),
            };
            hosts.push((last, terms));
        }
        tie_breakers(&mut hosts);
        let sloth = random.one_of(&[
            Sloth::None,
            Sloth::Polls,
            Sloth::Polls,
            Sloth::Constant(SECOND / 2),
        ]);
        let mut world = Self {
            seed,
            hosts,
            impostor,
            deeds: Vec::new(),
            sloth,
            script: random.one_of(&[0, 0, 20 * MILLI, 300 * MILLI]),
            delay: random.one_of(&[MILLI / 2, MILLI / 2, 3 * MILLI]),
            twice: random.one_of(&[Chance::NEVER, Chance::NEVER, Chance::percent(10)]),
            calm: START + TROUBLE + 8 * SECOND,
        };
        world.begin(&mut random);
        world.trouble(&mut random);
        world.repair(&mut random);
        world
    }

    fn put(&mut self, at: Nanos, deed: Deed) {
        self.deeds.push((at, deed));
    }

    fn begin(&mut self, random: &mut Random) {
        // In some worlds all begin at once.
        let together = random.happens(Chance::percent(20));
        for number in 0..self.hosts.len() {
            let after = if together {
                0
            } else {
                random.below(6 * SECOND)
            };
            self.put(START + after, Deed::Start(number));
        }
    }

    fn trouble(&mut self, random: &mut Random) {
        let hosts = self.hosts.len();
        let lossy = random.happens(Chance::percent(40));
        for _ in 0..4 + random.below(8) {
            let at = START + 2 * SECOND + random.below(TROUBLE);
            let later = at + random.below(9 * SECOND);
            let one = random.index(hosts);
            let other = (one + 1 + random.index(hosts - 1)) % hosts;
            match random.below(20) {
                0 | 1 => {
                    self.put(at, Deed::Crash(one));
                    self.put(later, Deed::Start(one));
                }
                2 | 3 => {
                    self.put(at, Deed::Stop(one));
                    self.put(later, Deed::Start(one));
                }
                4 => self.put(at, Deed::Restart(one)),
                5 => self.put(at, Deed::HandOver(one)),
                6 => {
                    let time = random.below(5 * SECOND);
                    self.put(at, Deed::Pause(one, time));
                }
                7 => {
                    self.put(at, Deed::Unplug(one));
                    self.put(later, Deed::Plug(one));
                }
                8 => {
                    self.put(at, Deed::Cut(one, other));
                    self.put(later, Deed::Mend(one, other));
                }
                9..=11 => {
                    for (from, to) in [(one, other), (other, one)] {
                        self.put(at, Deed::Cut(from, to));
                        self.put(later, Deed::Mend(from, to));
                    }
                }
                12 if lossy => {
                    let chance = random.one_of(&[5, 20, 60]);
                    self.put(at, Deed::Loss(Chance::percent(chance)));
                    self.put(later, Deed::Loss(Chance::NEVER));
                }
                12 => {
                    let ipv6 = random.happens(Chance::percent(50));
                    self.put(at, Deed::Deafen(ipv6));
                    self.put(later, Deed::Hearken(ipv6));
                }
                13 | 14 => {
                    let demotion = self.demotion(random, one);
                    self.put(at, Deed::Demote(one, demotion));
                    self.put(later, Deed::Demote(one, 0));
                }
                15 | 16 => {
                    self.put(at, Deed::Drain(one));
                    self.put(later, Deed::Undrain(one));
                }
                17 => self.put(at, Deed::Failover(one)),
                18 => {
                    for again in 0..10 {
                        self.put(at + again * SECOND / 3, Deed::Echo(one));
                    }
                }
                _ => {
                    for again in 0..10 {
                        self.put(at + again * SECOND / 3, Deed::Forge(one));
                    }
                }
            }
        }
    }

    /// By so much as that implementation uses to.
    fn demotion(&self, random: &mut Random, host: Number) -> i16 {
        let terms = &self.hosts[host].1;
        match (terms.ours, terms.manner) {
            (true, _) => random.one_of(&[1, 5, 30, 100]),
            (false, Manner::OpenBsd) => random.one_of(&[1, 3]),
            (false, Manner::FreeBsd) => 240,
            (false, Manner::Any | Manner::Ucarp) => 0,
        }
    }

    /// Everything is put right, but for what may stay: a LAN in two pieces, somebody demoted or drained.
    fn repair(&mut self, random: &mut Random) {
        let at = self.calm;
        let hosts = self.hosts.len();
        // What ends only then is ended with the rest.
        self.deeds.retain(|(due, _)| *due < at);
        self.put(at, Deed::Loss(Chance::NEVER));
        for ipv6 in [false, true] {
            self.put(at, Deed::Hearken(ipv6));
        }
        let island = random
            .happens(Chance::percent(15))
            .then(|| 1 + random.index(hosts - 1));
        for one in 0..hosts {
            self.put(at, Deed::Plug(one));
            self.put(at, Deed::Start(one));
            for other in (0..hosts).filter(|other| *other != one) {
                let apart = island.is_some_and(|first| (one < first) != (other < first));
                self.put(
                    at,
                    if apart {
                        Deed::Cut(one, other)
                    } else {
                        Deed::Mend(one, other)
                    },
                );
            }
            match random.below(10) {
                0 => {
                    let demotion = self.demotion(random, one);
                    self.put(at, Deed::Demote(one, demotion));
                }
                1 => self.put(at, Deed::Drain(one)),
                _ => {
                    self.put(at, Deed::Demote(one, 0));
                    self.put(at, Deed::Undrain(one));
                }
            }
        }
    }

    fn net(&self, record: bool) -> Net {
        let nodes = self.hosts.iter().map(|(last, terms)| {
            let impostor = self.impostor.filter(|_| terms.ours);
            Node::new(*last, terms.clone(), impostor)
        });
        let mut net = Net::new(nodes.collect(), self.seed, record);
        net.sloth = self.sloth;
        net.script = self.script;
        net.delay = self.delay;
        net.twice = self.twice;
        for (at, deed) in &self.deeds {
            net.put(*at, deed.clone());
        }
        net
    }

    /// Runs it.
    ///
    /// # Errors
    /// The law that was broken.
    pub fn run(&self) -> Result<Tally, Broken> {
        let mut net = self.net(false);
        self.judged(&mut net)?;
        Ok(net.tally)
    }

    /// Everything that happened in it, and the law that was broken if one was.
    #[must_use]
    pub fn replay(&self) -> (String, Option<String>) {
        let mut net = self.net(true);
        let broken = self.judged(&mut net).err().map(|broken| broken.to_string());
        (net.trace.unwrap_or_default(), broken)
    }

    fn judged(&self, net: &mut Net) -> Result<(), Broken> {
        net.tally.count("worlds");
        let manners = |manner: Manner| {
            let mut hosts = self.hosts.iter();
            hosts.any(|(_, terms)| !terms.ours && terms.manner == manner)
        };
        for (manner, what) in [
            (Manner::OpenBsd, "worlds with OpenBSD"),
            (Manner::FreeBsd, "worlds with FreeBSD"),
            (Manner::Ucarp, "worlds with UCarp"),
        ] {
            if manners(manner) {
                net.tally.count(what);
            }
        }
        net.run_until(self.calm)?;
        settle(net, "after the last misfortune")?;
        // Nothing moves any more: it does not go round in circles.
        let last = net.last_change;
        net.run_until(net.now + bound(net) / 2)?;
        if net.last_change != last {
            return Err(Broken::at(
                net.now,
                "something moved after everything had settled",
            ));
        }
        self.crash(net)?;
        stop(net)
    }

    /// The Active dies, and the first Backup to lose patience takes over.
    fn crash(&self, net: &mut Net) -> Result<(), Broken> {
        let Some(active) = net.actives().next() else {
            return Ok(());
        };
        let (at, backups) = (net.now, others(net, active));
        let patience = backups.iter().map(|number| {
            let terms = &net.nodes[*number].terms;
            let sloth = match net.sloth {
                _ if terms.manner != Manner::Ucarp => 0,
                Sloth::None => 0,
                Sloth::Constant(late) => late,
                Sloth::Polls => SECOND,
            };
            terms.down_interval() + sloth
        });
        let Some(allowed) = patience.min() else {
            return Ok(());
        };
        let allowed = allowed + net.delay + SLACK;
        net.put(at, Deed::Crash(active));
        let taken = |net: &Net| net.actives().any(|number| backups.contains(&number));
        net.run_while(at + allowed, |net| !taken(net))?;
        if !taken(net) {
            return Err(Broken::at(
                net.now,
                format!("host {active} is dead, and nobody has taken over"),
            ));
        }
        net.tally
            .measure("from a death to a takeover", net.now - at, allowed);
        settle(net, "after a death")?;
        net.put(net.now, Deed::Start(active));
        net.run_until(net.now + MILLI)?;
        settle(net, "after a return")
    }
}

/// Who is with this one.
fn others(net: &Net, number: Number) -> Vec<Number> {
    (0..net.nodes.len())
        .filter(|other| {
            *other != number && net.connected(number, *other) && net.nodes[*other].is_up()
        })
        .collect()
}

/// Until it must have settled, and whether it has.
fn settle(net: &mut Net, what: &'static str) -> Result<(), Broken> {
    let begin = net.now;
    let allowed = bound(net);
    net.run_until(begin + allowed)?;
    judge::settled(net)?;
    let took = net.last_change.saturating_sub(begin);
    net.tally.measure(what, took, allowed);
    Ok(())
}

/// The Active says that it goes, and somebody else is there at once.
fn stop(net: &mut Net) -> Result<(), Broken> {
    let speaks = |number: &Number| {
        let terms = &net.nodes[*number].terms;
        terms.ours || terms.manner == Manner::OpenBsd
    };
    let Some(active) = net.actives().find(speaks) else {
        return Ok(());
    };
    let backups = others(net, active);
    if backups.is_empty() {
        return Ok(());
    }
    let at = net.now;
    let allowed = TURN + net.delay + MILLI + SLACK;
    net.put(at, Deed::Stop(active));
    let taken = |net: &Net| {
        net.actives()
            .any(|number| backups.contains(&number) && net.nodes[number].role() == Role::Active)
    };
    net.run_while(at + allowed, |net| !taken(net))?;
    if !taken(net) {
        return Err(Broken::at(
            net.now,
            format!("host {active} bowed out, and nobody has taken over"),
        ));
    }
    net.tally
        .measure("from a bow-out to a takeover", net.now - at, allowed);
    settle(net, "after a bow-out")
}

/// Where one of ours is the equal of a UCarp, it has the profile that decides ties: as an OpenBSD or a FreeBSD it might go round
/// in circles with it as those do, of which the configuration's checks warn.
fn tie_breakers(hosts: &mut [(u8, Terms)]) {
    let of_ucarp = hosts
        .iter()
        .filter(|(_, terms)| terms.manner == Manner::Ucarp);
    let bids: Vec<_> = of_ucarp.map(|(_, terms)| terms.bid()).collect();
    for (_, terms) in hosts {
        if terms.ours && bids.contains(&terms.bid()) {
            terms.manner = Manner::Any;
        }
    }
}
