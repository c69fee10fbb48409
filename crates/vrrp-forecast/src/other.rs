//! Another router of the group, as far as it is known.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::carp::inspect::Member;
use vrrp_proto::carp::{Bid, Rules};
use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::{Envelope, Expectation, examine};
use vrrp_proto::router::{Active, Backup, Send, State, Step, Terms, VirtualRouter};
use vrrp_proto::{
    ChecksumForm, Family, Instant, Interval, Offer, Parting, Peer, Priority, Reason, RouterPlan,
    RouterStatus,
};

/// Counters from here on have been heard of nobody: they begin near the time, or anywhere.
const UNHEARD: u64 = 7 << 61;

/// Where the counter of that one begins.
fn unheard(address: IpAddr) -> u64 {
    let last = match address {
        IpAddr::V4(address) => u32::from(address),
        IpAddr::V6(address) => u32::from_be_bytes([
            address.octets()[12],
            address.octets()[13],
            address.octets()[14],
            address.octets()[15],
        ]),
    };
    UNHEARD | (u64::from(last) << 24)
}

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) address: IpAddr,
    /// In the other family, where it speaks both.
    beside: Option<IpAddr>,
    pub(crate) machine: VirtualRouter,
    /// Ours, with what was heard of it.
    plan: RouterPlan,
    /// With CARP.
    member: Option<Member>,
    /// With CARP.
    rules: Option<Rules>,
}

/// A packet of its, or one of ours.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) envelope: Envelope,
    pub(crate) message: Vec<u8>,
}

impl Other {
    fn terms(&self) -> Terms {
        Terms {
            dialect: self.plan.dialect,
            priority: self.plan.priority,
            interval: self.plan.interval,
            preempt: self.plan.preempt,
            preempt_delay: self.plan.preempt_delay,
            primary: self.address,
            rules: self.rules,
        }
    }

    /// Whether this is one of its addresses.
    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        self.address == address || self.beside == Some(address)
    }

    pub(crate) const fn priority(&self) -> Priority {
        self.plan.priority
    }

    pub(crate) fn offer(&self) -> Offer {
        self.terms().offer()
    }

    pub(crate) fn interval(&self) -> Duration {
        self.terms().period()
    }

    pub(crate) fn down_interval(&self) -> Duration {
        let interval = match self.machine.state() {
            State::Backup(backup) => backup.active_interval,
            State::Initialize | State::Active(_) => self.plan.interval,
        };
        self.terms().down_interval(interval)
    }

    pub(crate) fn timeout(&mut self, now: Instant) -> Step {
        self.machine.timeout(now, &self.terms())
    }

    pub(crate) fn release(&mut self) -> Step {
        self.machine.shutdown(Reason::Shutdown)
    }

    /// What a packet does to it; nothing, if it is none that it accepts.
    pub(crate) fn hear(&mut self, now: Instant, packet: &Packet) -> Step {
        if let Some(member) = &mut self.member {
            let heard = member.hear(&packet.envelope, &packet.message, &self.plan);
            let heard = heard.map(|heard| self.machine.advertisement(now, &self.terms(), &heard));
            return heard.unwrap_or_default();
        }
        let expectation = Expectation {
            plan: &self.plan,
            primary: Some(self.address),
        };
        match examine(&packet.envelope, &packet.message, |vrid| {
            (vrid == self.plan.vrid).then_some(expectation)
        }) {
            Ok(heard) => self.machine.advertisement(now, &self.terms(), &heard),
            Err(_) => Step::default(),
        }
    }

    /// Its advertisement, in each family that it speaks.
    pub(crate) fn packets(&mut self, send: Send) -> Vec<Packet> {
        if let (Some(member), Some(rules)) = (&mut self.member, &self.rules) {
            let bid = match send {
                Send::Regular => rules.own,
                Send::Release => Bid::BOW_OUT,
            };
            let message = member.speak(&self.plan, bid);
            let peers = &self.plan.unicast_peers;
            let packet = |source: IpAddr| {
                let near = |peer: &&IpAddr| Family::of(**peer) == Family::of(source);
                let peer = peers.iter().find(near).copied();
                Packet {
                    envelope: Envelope {
                        source,
                        destination: peer.unwrap_or_else(|| Family::of(source).group()),
                        hop_limit: 255,
                    },
                    message: message.clone(),
                }
            };
            let sources = [Some(self.address), self.beside];
            return sources.into_iter().flatten().map(packet).collect();
        }
        let priority = match send {
            Send::Regular => self.plan.priority,
            Send::Release => Priority::RELEASE,
        };
        vec![self.packet(priority)]
    }

    fn packet(&self, priority: Priority) -> Packet {
        let addresses: Vec<IpAddr> = self.plan.addresses.iter().map(|it| it.ip).collect();
        let destination = match self.plan.unicast_peers.first() {
            Some(peer) => *peer,
            None => self.plan.family.group(),
        };
        let advertisement = Advertisement {
            dialect: self.plan.dialect,
            vrid: self.plan.vrid,
            priority,
            interval: self.plan.interval,
            addresses: &addresses,
            authentication: self.plan.authentication,
        };
        let form = self.plan.checksum.send.unwrap_or(ChecksumForm::Rfc9568);
        Packet {
            envelope: Envelope {
                source: self.address,
                destination,
                hop_limit: 255,
            },
            message: advertisement.emit(form, self.address, destination),
        }
    }
}

/// Those of a router that are known and not gone.
pub(crate) fn known(router: &RouterStatus<'_>, now: Instant) -> Vec<Other> {
    let present = |peer: &&Peer| {
        peer.priority != Priority::RELEASE
            && matches!(peer.parting, None | Some(Parting::Yielded))
            && Some(peer.address) != router.primary
    };
    let pairs = pairs(router.peers.iter().filter(present), router.rules);
    let present: Vec<&Peer> = pairs.iter().map(|(peer, _)| *peer).collect();
    let rank = |a: &&&Peer, b: &&&Peer| a.ranking(b);
    let lead = match router.state {
        State::Active(_) => None,
        State::Backup(_) => present
            .iter()
            .filter(|peer| peer.parting.is_none())
            .max_by(rank),
        // What happened since we hear nothing is not known; the best of them should be Active.
        State::Initialize => present.iter().max_by(rank),
    };
    let silence = Silence::of(router, lead.copied(), now);
    pairs
        .iter()
        .map(|(peer, beside)| {
            let active = match router.state {
                State::Active(_) => false,
                State::Backup(_) => peer.parting.is_none(),
                State::Initialize => lead.is_some_and(|lead| lead.address == peer.address),
            };
            let (state, preempt) = if active {
                let sent = rhythm(peer, now);
                let active = Active {
                    adver: sent + peer.period(),
                    sent,
                    answered: None,
                    fresh: false,
                };
                (State::Active(active), true)
            } else {
                let preempt = silence.holder.is_none_or(|(offer, address)| {
                    peer.loses_to(offer, address) || peer.priority == offer.priority
                });
                (State::Backup(silence.waits(router, peer, now)), preempt)
            };
            let plan = plan(router, peer, preempt);
            Other {
                address: peer.address,
                beside: *beside,
                machine: VirtualRouter::from(state),
                member: plan.carp.map(|_| Member::new(&plan, unheard(peer.address))),
                rules: rules(router, peer),
                plan,
            }
        })
        .collect()
}

/// Each of them once, with its address in the other family where the router speaks both: who speaks with CARP does so in both
/// families at the same moment.
fn pairs<'a>(
    peers: impl Iterator<Item = &'a Peer>,
    rules: Option<Rules>,
) -> Vec<(&'a Peer, Option<IpAddr>)> {
    let (first, mut second): (Vec<&Peer>, Vec<&Peer>) =
        peers.partition(|peer| peer.address.is_ipv4() || rules.is_none_or(|rules| !rules.dual));
    let mut pairs = Vec::new();
    for peer in first {
        let apart = |other: &Peer| {
            let both = [peer.last, other.last];
            let [early, late] = [both[0].min(both[1]), both[0].max(both[1])];
            late.saturating_since(early)
        };
        let same = second.iter().enumerate();
        let same = same.filter(|(_, other)| other.bid == peer.bid && other.parting == peer.parting);
        let nearest = same.min_by_key(|(_, other)| apart(other));
        let nearest = nearest.filter(|(_, other)| apart(other) < peer.period() / 2);
        let beside = nearest.map(|(index, _)| index);
        pairs.push((peer, beside.map(|index| second.remove(index).address)));
    }
    pairs.extend(second.into_iter().map(|peer| (peer, None)));
    pairs
}

/// How it compares bids, as far as it is known: it has our ways, and what it bids is what it has.
fn rules(router: &RouterStatus<'_>, peer: &Peer) -> Option<Rules> {
    Some(Rules {
        own: peer.bid?,
        advskew: peer.bid?.advskew,
        ..router.rules?
    })
}

/// The last moment at which an Active that goes on in its rhythm must have advertised.
fn rhythm(peer: &Peer, now: Instant) -> Instant {
    let interval = peer.period();
    let passed = now.saturating_since(peer.last).as_nanos();
    let times = passed / interval.as_nanos().max(1);
    peer.last + Duration::from_nanos(u64::try_from(times * interval.as_nanos()).unwrap_or(u64::MAX))
}

/// What the Backups are waiting for.
struct Silence {
    /// Since when.
    since: Instant,
    /// In intervals of the Active's.
    interval: Interval,
    /// The Active.
    holder: Option<(Offer, IpAddr)>,
    /// It has given up: they wait for their skew time only.
    released: bool,
}

impl Silence {
    fn of(router: &RouterStatus<'_>, lead: Option<&Peer>, now: Instant) -> Self {
        match (router.state, lead) {
            (State::Active(active), _) => Self {
                since: active.sent,
                interval: router.plan.interval,
                holder: router.primary.map(|primary| {
                    let offer = Offer {
                        priority: router.effective_priority,
                        bid: router.rules.map(|rules| rules.own),
                    };
                    (offer, primary)
                }),
                released: false,
            },
            (State::Backup(backup), _) if backup.because == Reason::Released => Self {
                // After a bow-out, whoever hears it takes over.
                since: match router.rules {
                    Some(_) => now,
                    None => backup.active_down - router.skew_time,
                },
                interval: backup.active_interval,
                holder: None,
                released: true,
            },
            (State::Backup(_) | State::Initialize, Some(lead)) => Self {
                since: rhythm(lead, now),
                interval: lead.interval,
                holder: Some((lead.offer(), lead.address)),
                released: false,
            },
            (State::Backup(_) | State::Initialize, None) => Self {
                since: router.since,
                interval: router.plan.interval,
                holder: None,
                released: false,
            },
        }
    }

    fn waits(&self, router: &RouterStatus<'_>, peer: &Peer, now: Instant) -> Backup {
        let dialect = router.plan.dialect;
        let active_interval = if dialect.learns_interval() {
            self.interval
        } else {
            peer.interval
        };
        let wait = match (rules(router, peer), self.released) {
            (Some(_), true) => Duration::ZERO,
            (Some(rules), false) => rules.down_interval(),
            (None, true) => dialect.skew_time(peer.priority, active_interval),
            (None, false) => dialect.active_down_interval(peer.priority, active_interval),
        };
        let active_down = (self.since + wait).max(now);
        Backup {
            active_down,
            active_interval,
            because: if self.released {
                Reason::Released
            } else {
                Reason::NoResponse
            },
            hold: None,
            downs: rules(router, peer)
                .filter(|rules| rules.dual)
                .map(|_| [active_down; 2]),
            last_words: 0,
            equals: [None; 2],
        }
    }
}

fn plan(router: &RouterStatus<'_>, peer: &Peer, preempt: bool) -> RouterPlan {
    let mut plan = RouterPlan {
        priority: peer.priority,
        interval: peer.interval,
        preempt,
        preempt_delay: Duration::ZERO,
        ..router.plan.clone()
    };
    if let (Some(carp), Some(bid)) = (&mut plan.carp, peer.bid) {
        carp.advskew = bid.advskew;
    }
    plan.checksum.send = Some(peer.form);
    plan.checksum.strict = false;
    if router.plan.is_unicast() {
        plan.unicast_peers = router
            .primary
            .into_iter()
            .chain(router.plan.unicast_peers.iter().copied())
            .filter(|address| *address != peer.address)
            .collect();
    }
    plan
}
