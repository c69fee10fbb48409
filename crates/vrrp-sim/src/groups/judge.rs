//! The laws.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use vrrp_proto::{Engine, Instant, Role, RouterStatus};

use super::net::{Net, Number};
use crate::random::Chance;

/// A law that was broken.
#[derive(Clone, Debug)]
pub struct Broken {
    at: Instant,
    what: String,
}

impl Broken {
    pub(super) fn at(at: Instant, what: impl Into<String>) -> Self {
        Self {
            at,
            what: what.into(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.at, self.what)
    }
}

/// What the judge remembers between two steps.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Since when two hosts that hear each other are both Active, on this link.
    both: BTreeMap<(Number, Number), Instant>,
    pub(super) splits: u64,
    pub(super) longest: u64,
}

/// The group of an engine: the roles of its members, with their links, as far as they take part.
fn members(engine: &Engine) -> impl Iterator<Item = (&str, Role)> {
    let all = engine.status();
    all.filter(|status| status.plan.group.is_some())
        .map(|status| (status.plan.interface.as_str(), status.role))
}

pub(super) fn is_active(net: &Net, host: Number) -> bool {
    net.machines[host]
        .engine
        .as_ref()
        .is_some_and(|engine| members(engine).any(|(_, role)| role == Role::Active))
}

/// The link on which these two hear each other, both as members of a group, and what the better one advertises there is heard.
fn common_link(net: &Net, one: Number, other: Number) -> Option<Number> {
    let takes_part = |host: Number, link: Number| {
        let engine = net.machines[host].engine.as_ref();
        engine.is_some_and(|engine| {
            members(engine).any(|(interface, role)| {
                interface == super::net::interface(link) && role != Role::Initialize
            })
        })
    };
    (0..net.links).find(|link| {
        connected(net, *link, one, other) && takes_part(one, *link) && takes_part(other, *link)
    })
}

/// Whether frames of these two reach each other.
fn connected(net: &Net, link: Number, one: Number, other: Number) -> bool {
    net.loss[link] == Chance::NEVER
        && net.machines[one].carrier[link]
        && net.machines[other].carrier[link]
        && !net.cuts.contains(&(link, one, other))
        && !net.cuts.contains(&(link, other, one))
}

/// What decides an election: the higher one wins, whatever the protocol is.
fn strength(status: &RouterStatus<'_>) -> u64 {
    let bid = status.rules.map(|rules| rules.own.rank());
    bid.map_or(
        u64::from(status.effective_priority.get()),
        |(demotion, ticks)| u64::MAX - (u64::from(demotion) << 32) - u64::from(ticks),
    )
}

/// The strength of a router that is Active on this link, whether it is a member of a group or not.
fn active_on(net: &Net, host: Number, link: Number) -> Option<u64> {
    let engine = net.machines[host].engine.as_ref()?;
    let mut all = engine.status();
    let found = all.find(|status| status.plan.interface == super::net::interface(link))?;
    (found.role == Role::Active).then(|| strength(&found))
}

/// The strength of a group, and whether it preempts.
fn group(net: &Net, host: Number) -> Option<(u64, bool)> {
    let engine = net.machines[host].engine.as_ref()?;
    let mut all = engine.status().filter(|status| status.plan.group.is_some());
    let first = all.next()?;
    let preempts = engine
        .status()
        .filter(|status| status.plan.group.is_some())
        .all(|status| status.plan.preempt && status.orders.standing().next().is_none());
    Some((strength(&first), preempts))
}

impl Judge {
    /// After every step.
    pub(super) fn look(&mut self, net: &Net, slowest: Duration) -> Result<(), Broken> {
        let broken = |what: String| Broken { at: net.now, what };
        for (host, machine) in net.machines.iter().enumerate() {
            let Some(engine) = &machine.engine else {
                continue;
            };
            let count = |role| members(engine).filter(|(_, it)| *it == role).count();
            let (active, backup) = (count(Role::Active), count(Role::Backup));
            if active > 0 && backup > 0 {
                let roles: Vec<_> = members(engine).collect();
                return Err(broken(format!("host {host} is Active in part: {roles:?}")));
            }
            for status in engine.status() {
                if !status.faults.is_empty() && status.role != Role::Initialize {
                    return Err(broken(format!("host {host} has a fault and a role")));
                }
            }
        }
        for one in 0..net.machines.len() {
            for other in 0..one {
                let both = is_active(net, one) && is_active(net, other);
                if !both || common_link(net, one, other).is_none() {
                    if self.both.remove(&(one, other)).is_some() {
                        self.splits += 1;
                    }
                    continue;
                }
                let since = *self.both.entry((one, other)).or_insert(net.now);
                let split = net.now.saturating_since(since);
                // One advertisement, what a tie on one link takes, and the time of the way: frames and timers are late.
                // Where a link passes frames one way only, somebody has to find out that he is not heard.
                let lopsided = net.cuts.iter().any(|(link, from, to)| {
                    let pair = [*from, *to] == [one, other] || [*to, *from] == [one, other];
                    pair && !net.cuts.contains(&(*link, *to, *from))
                });
                if !lopsided {
                    let share = split.as_nanos() * 1000 / slowest.as_nanos();
                    self.longest = self.longest.max(u64::try_from(share).unwrap_or(u64::MAX));
                }
                // With CARP both go on from the same number while they do not hear each other, and the first advertisement of one
                // may be taken for what the other one said itself: the second one is needed then.
                let counts = |host: Number| {
                    let engine = net.machines[host].engine.as_ref();
                    engine.is_some_and(|engine| engine.status().any(|it| it.rules.is_some()))
                };
                let tenths = match (lopsided, counts(one)) {
                    (true, _) => 23,
                    (false, true) => 21,
                    (false, false) => 11,
                };
                let limit = slowest * tenths / 10;
                if split > limit + super::millis(5) {
                    return Err(broken(format!(
                        "hosts {one} and {other} hear each other and are both Active for {split:?}"
                    )));
                }
            }
        }
        Ok(())
    }
}

/// How the world stands when nothing moves any more.
pub(super) fn settled(net: &Net) -> Result<(), Broken> {
    let broken = |what: String| Err(Broken { at: net.now, what });
    let hosts = || 0..net.machines.len();
    for host in hosts() {
        let Some(engine) = &net.machines[host].engine else {
            continue;
        };
        let faulty = members(engine).any(|(_, role)| role == Role::Initialize);
        if faulty {
            let idle = members(engine).all(|(_, role)| role == Role::Initialize);
            if !idle {
                return broken(format!("host {host} has a fault, and takes part"));
            }
            let down = engine.status().any(|status| {
                let fault = |it: &vrrp_proto::Fault| !matches!(it, vrrp_proto::Fault::Group { .. });
                status.plan.group.is_some() && status.faults.iter().any(fault)
            });
            if !down && members(engine).next().is_some() {
                return broken(format!("host {host} takes no part, and has no fault"));
            }
            continue;
        }
        if members(engine).next().is_none() {
            continue;
        }
        let near = || {
            hosts().filter(move |other| *other != host && common_link(net, host, *other).is_some())
        };
        if is_active(net, host) {
            if let Some(other) = near().find(|other| is_active(net, *other)) {
                return broken(format!("hosts {host} and {other} are both Active"));
            }
            continue;
        }
        let Some((ours, preempts)) = group(net, host) else {
            continue;
        };
        // Also of one that is no member of a group there.
        let content = hosts().filter(|other| *other != host).any(|other| {
            (0..net.links).any(|link| {
                connected(net, link, host, other)
                    && active_on(net, other, link).is_some_and(|theirs| !preempts || theirs >= ours)
            })
        });
        if !content {
            return broken(format!("host {host} is Backup and hears no better Active"));
        }
    }
    Ok(())
}

impl Net {
    /// Whether some host is Active that is the strongest of all that run.
    pub(super) fn best(&self) -> bool {
        let all = || (0..self.machines.len()).filter_map(|host| Some((host, group(self, host)?.0)));
        let highest = all().map(|(_, strength)| strength).max();
        all().any(|(host, strength)| Some(strength) == highest && is_active(self, host))
    }
}
