//! Another router of the group, as far as it is known.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::{Envelope, Expectation, examine};
use vrrp_proto::router::{Active, Backup, State, Step, Terms, VirtualRouter};
use vrrp_proto::{
    ChecksumForm, Instant, Interval, Parting, Peer, Priority, Reason, RouterPlan, RouterStatus,
};

/// One of them.
#[derive(Clone, Debug)]
pub(crate) struct Other {
    pub(crate) address: IpAddr,
    pub(crate) machine: VirtualRouter,
    /// Ours, with what was heard of it.
    plan: RouterPlan,
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
            rules: None,
        }
    }

    pub(crate) const fn priority(&self) -> Priority {
        self.plan.priority
    }

    pub(crate) const fn interval(&self) -> Duration {
        self.plan.interval.duration()
    }

    pub(crate) fn down_interval(&self) -> Duration {
        let interval = match self.machine.state() {
            State::Backup(backup) => backup.active_interval,
            State::Initialize | State::Active(_) => self.plan.interval,
        };
        self.plan
            .dialect
            .active_down_interval(self.plan.priority, interval)
    }

    pub(crate) fn timeout(&mut self, now: Instant) -> Step {
        self.machine.timeout(now, &self.terms())
    }

    pub(crate) fn release(&mut self) -> Step {
        self.machine.shutdown(Reason::Shutdown)
    }

    /// What a packet does to it; nothing, if it is none that it accepts.
    pub(crate) fn hear(&mut self, now: Instant, packet: &Packet) -> Step {
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

    /// Its advertisement.
    pub(crate) fn packet(&self, priority: Priority) -> Packet {
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
    let present: Vec<&Peer> = router.peers.iter().filter(present).collect();
    let rank = |peer: &&&Peer| (peer.priority, peer.address);
    let lead = match router.state {
        State::Active(_) => None,
        State::Backup(_) => present
            .iter()
            .filter(|peer| peer.parting.is_none())
            .max_by_key(rank),
        // What happened since we hear nothing is not known; the best of them should be Active.
        State::Initialize => present.iter().max_by_key(rank),
    };
    let silence = Silence::of(router, lead.copied(), now);
    present
        .iter()
        .map(|peer| {
            let active = match router.state {
                State::Active(_) => false,
                State::Backup(_) => peer.parting.is_none(),
                State::Initialize => lead.is_some_and(|lead| lead.address == peer.address),
            };
            let (state, preempt) = if active {
                let sent = rhythm(peer, now);
                let active = Active {
                    adver: sent + peer.interval.duration(),
                    sent,
                    answered: None,
                };
                (State::Active(active), true)
            } else {
                let preempt = silence.holder.is_none_or(|(priority, address)| {
                    peer.loses_to(priority, address) || peer.priority == priority
                });
                (State::Backup(silence.waits(router, peer, now)), preempt)
            };
            Other {
                address: peer.address,
                machine: VirtualRouter::from(state),
                plan: plan(router, peer, preempt),
            }
        })
        .collect()
}

/// The last moment at which an Active that goes on in its rhythm must have advertised.
fn rhythm(peer: &Peer, now: Instant) -> Instant {
    let interval = peer.interval.duration();
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
    holder: Option<(Priority, IpAddr)>,
    /// It has given up: they wait for their skew time only.
    released: bool,
}

impl Silence {
    fn of(router: &RouterStatus<'_>, lead: Option<&Peer>, now: Instant) -> Self {
        match (router.state, lead) {
            (State::Active(active), _) => Self {
                since: active.sent,
                interval: router.plan.interval,
                holder: router
                    .primary
                    .map(|primary| (router.effective_priority, primary)),
                released: false,
            },
            (State::Backup(backup), _) if backup.because == Reason::Released => Self {
                since: backup.active_down - router.skew_time,
                interval: backup.active_interval,
                holder: None,
                released: true,
            },
            (State::Backup(_) | State::Initialize, Some(lead)) => Self {
                since: rhythm(lead, now),
                interval: lead.interval,
                holder: Some((lead.priority, lead.address)),
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
        let wait = if self.released {
            dialect.skew_time(peer.priority, active_interval)
        } else {
            dialect.active_down_interval(peer.priority, active_interval)
        };
        Backup {
            active_down: (self.since + wait).max(now),
            active_interval,
            because: if self.released {
                Reason::Released
            } else {
                Reason::NoResponse
            },
            hold: None,
            downs: None,
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
