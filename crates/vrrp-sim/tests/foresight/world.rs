//! A few hosts with one virtual router on one link, that can be copied.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vrrp_proto::orders::{Note, Standing};
use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::Envelope;
use vrrp_proto::router::State;
use vrrp_proto::{
    ChecksumForm, Datagram, Dialect, Engine, Event, Family, Generation, Happening, Input, Instant,
    Interval, KernelReport, LinkFacts, LinkId, MacAddress, Order, Output, Parting, Peer, Plan,
    Priority, Role, RouterId, RouterPlan, RouterStatus, VirtualAddress, Vrid,
};
use vrrp_sim::{Chance, Random};

pub(crate) const NAME: &str = "wan";

const INTERFACE: &str = "eth0";

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) latency: Duration,
    hosts: Vec<Machine>,
    frames: BTreeMap<(Instant, u64), Frame>,
    sent: u64,
    /// Ways on which everything is lost.
    cut: BTreeSet<(usize, usize)>,
    watched: Option<usize>,
    heard: Vec<(Instant, IpAddr, Priority)>,
    turns: Vec<(Instant, Role)>,
}

struct Machine {
    plan: RouterPlan,
    address: IpAddr,
    engine: Option<Engine>,
    up: bool,
    /// Whether its kernel refuses everything.
    refuses: bool,
    wanted: Option<(RouterId, Generation)>,
}

#[derive(Clone, Debug)]
struct Frame {
    to: usize,
    envelope: Envelope,
    message: Vec<u8>,
}

impl Machine {
    fn facts(&self) -> LinkFacts {
        LinkFacts {
            index: 2,
            up: self.up,
            carrier: self.up,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: match self.address {
                IpAddr::V4(address) => vec![(address, 24)],
                IpAddr::V6(_) => Vec::new(),
            },
            link_local: match self.address {
                IpAddr::V4(_) => Vec::new(),
                IpAddr::V6(address) => vec![address],
            },
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (host, it) in self.hosts.iter().enumerate() {
            let (address, up, refuses) = (it.address, it.up, it.refuses);
            write!(
                f,
                "host {host}, {address}, up {up}, kernel refuses {refuses}: "
            )?;
            match &it.engine {
                Some(engine) => {
                    let it = status(engine);
                    let orders: Vec<_> = it.orders.standing().collect();
                    let plan = it.plan;
                    writeln!(
                        f,
                        "{:?} priority {} preempt {} delay {:?} interval {:?} {orders:?}\n  peers {:?}",
                        it.state,
                        it.effective_priority,
                        plan.preempt,
                        plan.preempt_delay,
                        plan.interval,
                        it.peers
                    )?;
                }
                None => writeln!(f, "dead")?,
            }
        }
        Ok(())
    }
}

/// An address above all hosts, or below.
pub(crate) fn neighbour(address: IpAddr, above: bool) -> IpAddr {
    let last = if above { 200 } else { 1 };
    match address {
        IpAddr::V4(_) => own(Family::Ipv4, last),
        IpAddr::V6(_) => own(Family::Ipv6, last),
    }
}

fn own(family: Family, n: u8) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::new(10, 0, 0, n).into(),
        Family::Ipv6 => Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n.into()).into(),
    }
}

fn status(engine: &Engine) -> RouterStatus<'_> {
    engine.status().next().expect("each has one router")
}

fn present(peer: &&Peer) -> bool {
    peer.priority != Priority::RELEASE && matches!(peer.parting, None | Some(Parting::Yielded))
}

impl World {
    /// Some hosts to which something has happened, up to a moment at which all is calm.
    pub(crate) fn random(random: &mut Random) -> Self {
        let (dialect, family) = random.one_of(&[
            (Dialect::Vrrp3, Family::Ipv4),
            (Dialect::Vrrp3, Family::Ipv6),
            (Dialect::Vrrp2, Family::Ipv4),
        ]);
        let usual = match dialect {
            Dialect::Vrrp2 | Dialect::Carp => 100,
            Dialect::Vrrp3 => random.one_of(&[10, 30, 100]),
        };
        let mut world = Self {
            now: Instant::ZERO + Duration::from_secs(100),
            latency: random.one_of(&[Duration::ZERO, Duration::from_micros(500)]),
            hosts: Vec::new(),
            frames: BTreeMap::new(),
            sent: 0,
            cut: BTreeSet::new(),
            watched: None,
            heard: Vec::new(),
            turns: Vec::new(),
        };
        let count = random.one_of(&[2, 2, 3, 4]);
        for n in 0..count {
            let mut plan = RouterPlan {
                dialect,
                priority: Priority::new(random.one_of(&[2, 50, 100, 100, 150, 200, 201, 254])),
                preempt: !random.happens(Chance::percent(20)),
                ..RouterPlan::new(
                    NAME,
                    INTERFACE,
                    Vrid::new(1).expect("one"),
                    family,
                    vec![VirtualAddress {
                        ip: own(family, 254),
                        prefix_len: 24,
                    }],
                )
            };
            let another = dialect == Dialect::Vrrp3 && random.happens(Chance::percent(10));
            let centis = if another { 50 } else { usual };
            plan.interval = Interval::from_centis(centis).expect("in range");
            if random.happens(Chance::percent(20)) {
                plan.preempt_delay = random.up_to(Duration::from_secs(8));
            }
            world.hosts.push(Machine {
                address: own(family, 10 + n),
                plan,
                engine: None,
                up: true,
                refuses: false,
                wanted: None,
            });
        }
        let longest = plan_down(&world.hosts[0].plan);
        for host in 0..world.hosts.len() {
            world.start(host);
            world.pass(random.up_to(longest));
        }
        for _ in 0..random.below(8) {
            world.happen(random);
            let pause = random.one_of(&[1, 4]);
            world.pass(random.up_to(longest * pause));
        }
        world.cut.clear();
        let calm = random.one_of(&[0, 1, 3]);
        world.pass(random.up_to(longest * calm + Duration::from_millis(1)));
        if world.hosts.iter().all(|host| host.engine.is_none()) {
            world.start(0);
            world.pass(random.up_to(longest));
        }
        world
    }

    fn happen(&mut self, random: &mut Random) {
        let host = random.index(self.hosts.len());
        let lives = self.hosts[host].engine.is_some();
        if !lives {
            return self.start(host);
        }
        match random.below(14) {
            0..=2 => self.set_link(host, !self.hosts[host].up),
            3 => self.hosts[host].engine = None,
            4 => {
                self.shut_down(host);
                self.hosts[host].engine = None;
            }
            5 | 6 => {
                let priority = random.one_of(&[1, 60, 100, 180, 253]);
                self.hosts[host].plan.priority = Priority::new(priority);
                let plan = Plan {
                    routers: vec![self.hosts[host].plan.clone()],
                    ..Plan::default()
                };
                self.input(host, Input::Reload(&plan));
            }
            7 => {
                let refuses = !self.hosts[host].refuses;
                self.hosts[host].refuses = refuses;
                self.answer(host);
            }
            8 | 9 => {
                let other = random.index(self.hosts.len());
                if !self.cut.remove(&(other, host)) && other != host {
                    self.cut.insert((other, host));
                    if random.happens(Chance::percent(50)) {
                        self.cut.insert((host, other));
                    }
                }
            }
            _ => {
                let until = Some(self.now + random.up_to(Duration::from_secs(20)));
                let terms = Standing {
                    until: until.filter(|_| random.happens(Chance::percent(70))),
                    note: Note::default(),
                };
                let priority = Priority::new(random.one_of(&[30, 120, 240]));
                let order = match random.below(4) {
                    0 => Order::SetPriority { priority, terms },
                    1 => Order::Drain {
                        force: random.happens(Chance::percent(50)),
                        terms,
                    },
                    2 => Order::Pin(terms),
                    _ => Order::Failover {
                        force: false,
                        note: Note::default(),
                    },
                };
                self.operate(host, order);
            }
        }
    }

    /// Its future is the same as ours.
    pub(crate) fn copy(&self) -> Self {
        let hosts = self.hosts.iter().map(|host| Machine {
            plan: host.plan.clone(),
            engine: host.engine.as_ref().map(|engine| {
                let mut copy = Engine::resume(engine.save());
                while copy.poll_output().is_some() {}
                copy
            }),
            ..*host
        });
        Self {
            hosts: hosts.collect(),
            frames: self.frames.clone(),
            cut: self.cut.clone(),
            heard: Vec::new(),
            turns: Vec::new(),
            ..*self
        }
    }

    pub(crate) fn role_of(engine: &Engine) -> Role {
        status(engine).role
    }

    pub(crate) fn engine(&self, host: usize) -> &Engine {
        self.hosts[host].engine.as_ref().expect("it lives")
    }

    /// One that lives.
    pub(crate) fn somebody(&self, random: &mut Random) -> usize {
        let lives = |host: &usize| self.hosts[*host].engine.is_some();
        let alive: Vec<usize> = (0..self.hosts.len()).filter(lives).collect();
        random.one_of(&alive)
    }

    /// Those that `us` knows and takes to be there.
    pub(crate) fn known(&self, us: usize) -> Vec<IpAddr> {
        let peers = status(self.engine(us)).peers.iter().filter(present);
        peers.map(|peer| peer.address).collect()
    }

    /// Those that it takes to be Active.
    pub(crate) fn leads(&self, us: usize) -> Vec<IpAddr> {
        let router = status(self.engine(us));
        let present: Vec<&Peer> = router.peers.iter().filter(present).collect();
        let lead = match router.state {
            State::Active(_) => Vec::new(),
            State::Backup(_) => present
                .iter()
                .filter(|peer| peer.parting.is_none())
                .copied()
                .collect(),
            State::Initialize => {
                let best = present
                    .iter()
                    .max_by_key(|peer| (peer.priority, peer.address));
                best.into_iter().copied().collect()
            }
        };
        lead.iter().map(|peer| peer.address).collect()
    }

    /// Whether those that `us` knows are in `real` as they were heard, and as it is assumed of them.
    pub(crate) fn keeps_to(&self, real: &Self, us: usize, role: Role) -> bool {
        let leads = self.leads(us);
        let router = status(self.engine(us));
        router.peers.iter().filter(present).all(|peer| {
            let found = real.hosts.iter().find(|it| it.address == peer.address);
            let Some(engine) = found.and_then(|it| it.engine.as_ref()) else {
                return false;
            };
            let theirs = status(engine);
            let expected = if leads.contains(&peer.address) {
                Role::Active
            } else {
                Role::Backup
            };
            // A Backup waits for the one that we take for the Active.
            let follows = match (expected, theirs.state) {
                (Role::Backup, State::Backup(_)) => {
                    let active = theirs.active.map(|(address, _)| address);
                    let lead = match role {
                        Role::Active => router.primary,
                        Role::Backup | Role::Initialize => leads.first().copied(),
                    };
                    active == lead
                }
                _ => true,
            };
            theirs.role == expected
                && follows
                && theirs.effective_priority == peer.priority
                && theirs.plan.interval == peer.interval
                && theirs.plan.preempt
                && theirs.plan.preempt_delay.is_zero()
                && theirs.orders.standing().next().is_none()
                && theirs.orders.handing_over_since().is_none()
                && theirs.retry.is_none()
                && !found.is_some_and(|it| it.refuses)
        })
    }

    /// Whether something that was asked of the host ends in this time.
    pub(crate) fn is_about_to_end(&self, host: usize, time: Duration) -> bool {
        let mut ends = status(self.engine(host)).orders.standing();
        ends.any(|order| order.until.is_some_and(|until| until <= self.now + time))
    }

    /// Notes what the host hears, and which roles it takes.
    pub(crate) fn watch(&mut self, host: usize) {
        self.watched = Some(host);
    }

    pub(crate) fn heard_by_watched(&self) -> &[(Instant, IpAddr, Priority)] {
        &self.heard
    }

    pub(crate) fn turns_of_watched(&self) -> &[(Instant, Role)] {
        &self.turns
    }

    fn host_of(&self, address: IpAddr) -> Option<usize> {
        self.hosts.iter().position(|host| host.address == address)
    }

    pub(crate) fn crash(&mut self, peer: IpAddr) {
        if let Some(host) = self.host_of(peer) {
            self.hosts[host].engine = None;
        }
    }

    pub(crate) fn release(&mut self, peer: IpAddr) {
        if let Some(host) = self.host_of(peer) {
            self.shut_down(host);
        }
    }

    fn shut_down(&mut self, host: usize) {
        self.input(host, Input::Shutdown);
    }

    pub(crate) fn set_priority(&mut self, host: usize, priority: Priority) {
        let terms = Standing {
            until: None,
            note: Note::default(),
        };
        self.operate(host, Order::SetPriority { priority, terms });
    }

    pub(crate) fn end_orders(&mut self, host: usize) {
        self.operate(host, Order::Undrain);
        self.operate(host, Order::ResetPriority);
    }

    pub(crate) fn mend(&mut self, host: usize) {
        self.hosts[host].refuses = false;
        self.answer(host);
        self.set_link(host, true);
    }

    pub(crate) fn set_link(&mut self, host: usize, up: bool) {
        self.hosts[host].up = up;
        let facts = self.hosts[host].facts();
        let input = Input::Link {
            interface: INTERFACE,
            facts: Some(&facts),
        };
        self.input(host, input);
    }

    fn operate(&mut self, host: usize, order: Order) {
        let now = self.now;
        if let Some(engine) = &mut self.hosts[host].engine {
            // What is refused changes nothing.
            let _ = engine.operate(now, NAME, order);
        }
        self.drain(host);
    }

    fn start(&mut self, host: usize) {
        let plan = Plan {
            routers: vec![self.hosts[host].plan.clone()],
            ..Plan::default()
        };
        self.hosts[host].engine = Some(Engine::new(&plan, self.now));
        self.drain(host);
        self.set_link(host, self.hosts[host].up);
    }

    fn input(&mut self, host: usize, input: Input<'_>) {
        let now = self.now;
        if let Some(engine) = &mut self.hosts[host].engine {
            engine.handle(now, input);
        }
        self.drain(host);
    }

    /// What its kernel says about what it wants.
    fn answer(&mut self, host: usize) {
        let report = if self.hosts[host].refuses {
            KernelReport::Failed("no".to_owned())
        } else {
            KernelReport::Applied
        };
        if let Some((router, generation)) = self.hosts[host].wanted {
            let input = Input::Kernel {
                router,
                generation,
                report: &report,
            };
            self.input(host, input);
        }
    }

    fn drain(&mut self, host: usize) {
        let Some(engine) = &mut self.hosts[host].engine else {
            return;
        };
        let mut outputs = Vec::new();
        while let Some(output) = engine.poll_output() {
            outputs.push(output);
        }
        let mut asked = false;
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    let envelope = Envelope {
                        source: transmit.source,
                        destination: transmit.destination,
                        hop_limit: 255,
                    };
                    self.send(host, envelope, &transmit.message);
                }
                Output::Desired(router, Some(desired)) => {
                    self.hosts[host].wanted = Some((router, desired.generation));
                    asked = true;
                }
                Output::Event(event) => self.note(host, &event),
                Output::Desired(_, None) | Output::Announce(_) => {}
            }
        }
        if asked {
            self.answer(host);
        }
    }

    fn note(&mut self, host: usize, event: &Event) {
        if let Happening::Role { to, .. } = event.happening
            && self.watched == Some(host)
        {
            self.turns.push((event.at, to));
        }
    }

    fn send(&mut self, from: usize, envelope: Envelope, message: &[u8]) {
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            if self.cut.contains(&(from, to)) {
                continue;
            }
            self.sent += 1;
            let frame = Frame {
                to,
                envelope,
                message: message.to_vec(),
            };
            self.frames
                .insert((self.now + self.latency, self.sent), frame);
        }
    }

    /// An advertisement that somebody else made up reaches the host.
    pub(crate) fn forge(&mut self, to: usize, priority: Priority, source: IpAddr) {
        let plan = &self.hosts[to].plan;
        let destination = plan.family.group();
        let advertisement = Advertisement {
            dialect: plan.dialect,
            vrid: plan.vrid,
            priority,
            interval: plan.interval,
            addresses: &[own(plan.family, 254)],
            authentication: None,
        };
        let frame = Frame {
            to,
            envelope: Envelope {
                source,
                destination,
                hop_limit: 255,
            },
            message: advertisement.emit(ChecksumForm::Rfc9568, source, destination),
        };
        self.deliver(&frame);
    }

    fn deliver(&mut self, frame: &Frame) {
        if !self.hosts[frame.to].up || self.hosts[frame.to].engine.is_none() {
            return;
        }
        if self.watched == Some(frame.to) {
            let priority = Priority::new(frame.message[2]);
            self.heard.push((self.now, frame.envelope.source, priority));
        }
        let datagram = Datagram {
            link: LinkId(0),
            envelope: frame.envelope,
            message: &frame.message,
        };
        self.input(frame.to, Input::Datagram(datagram));
    }

    fn pass(&mut self, time: Duration) {
        self.run(self.now + time);
    }

    /// Up to and with this moment.
    pub(crate) fn run(&mut self, end: Instant) {
        loop {
            let frame = self.frames.first_key_value().map(|((at, _), _)| *at);
            let timers = self.hosts.iter_mut().enumerate().filter_map(|(host, it)| {
                let wakeup = it.engine.as_mut()?.poll_timeout()?;
                Some((wakeup.at, host))
            });
            let timer = timers.min();
            let next = frame.into_iter().chain(timer.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            // Sockets are read before timers are run.
            if frame == Some(next)
                && let Some((_, frame)) = self.frames.pop_first()
            {
                self.deliver(&frame);
            } else if let Some((_, host)) = timer {
                let now = self.now;
                if let Some(engine) = &mut self.hosts[host].engine {
                    engine.handle_timeout(now);
                }
                self.drain(host);
            }
        }
    }
}

fn plan_down(plan: &RouterPlan) -> Duration {
    plan.dialect
        .active_down_interval(plan.priority, plan.interval)
}
