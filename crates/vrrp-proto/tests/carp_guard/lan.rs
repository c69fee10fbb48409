//! A link with engines that speak CARP: what one says is heard by all others, at once. No kernel, no loss.

use std::time::Duration;

use vrrp_proto::carp::{CarpPlan, Passphrase, priority};
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Dialect, DigestNews, Engine, Event, Family, Happening, Input, Instant, LinkFacts,
    LinkId, MacAddress, Output, Plan, RouterPlan, RouterStatistics, RouterStatus, Transmit,
    VirtualAddress, Vrid,
};

pub(crate) const START: Instant = Instant::from_nanos(1_000_000_000_000);
pub(crate) const UNIX: Duration = Duration::from_secs(1_795_000_000);

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.as_bytes()).unwrap()
}

/// A router of vhid 7 with these addresses.
pub(crate) fn plan(carp: CarpPlan, addresses: &[&str]) -> RouterPlan {
    let addresses: Vec<VirtualAddress> = addresses
        .iter()
        .map(|text| VirtualAddress {
            ip: text.parse().unwrap(),
            prefix_len: 24,
        })
        .collect();
    let v4 = addresses.iter().find(|it| it.ip.is_ipv4());
    RouterPlan {
        dialect: Dialect::Carp,
        priority: priority(carp.advskew),
        carp: Some(carp),
        ..RouterPlan::new(
            "fw",
            "eth0",
            Vrid::new(7).unwrap(),
            v4.map_or(Family::Ipv6, |_| Family::Ipv4),
            addresses,
        )
    }
}

pub(crate) fn carp(advskew: u8) -> CarpPlan {
    CarpPlan::new(advskew, passphrase("secret"))
}

fn whole(plan: RouterPlan) -> Plan {
    Plan {
        routers: vec![plan],
        ..Plan::default()
    }
}

/// One engine and what it says.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    pub(crate) said: Vec<Transmit>,
    pub(crate) happened: Vec<(Instant, Happening)>,
    pub(crate) alive: bool,
    /// What its clock of the wall says at [`START`], if it has one.
    pub(crate) unix: Option<Duration>,
}

impl Machine {
    pub(crate) fn new(now: Instant, host: u8, plan: RouterPlan, unix: Option<Duration>) -> Self {
        let mut machine = Self {
            engine: Engine::new(&whole(plan), now),
            said: Vec::new(),
            happened: Vec::new(),
            alive: true,
            unix,
        };
        machine.drain();
        machine
            .engine
            .count_from(1_795_000_000 << 32 | u64::from(host) << 16);
        machine.tick(now);
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, host]),
            ipv4: vec![([192, 0, 2, host].into(), 24)],
            link_local: vec![format!("fe80::{host}").parse().unwrap()],
        };
        let link = Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        };
        machine.engine.handle(now, link);
        machine.drain();
        machine
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        if let Some(unix) = self.unix {
            let unix = unix + now.saturating_since(START);
            self.engine.set_wall(now, unix);
        }
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit(transmit) => self.said.push(transmit),
                Output::Event(Event { at, happening, .. }) => self.happened.push((at, happening)),
                Output::Announce(_) | Output::Desired(..) => {}
            }
        }
    }

    pub(crate) fn status(&self) -> RouterStatus<'_> {
        self.engine.status().next().unwrap()
    }

    pub(crate) fn news(&self) -> Vec<DigestNews> {
        let news = |(_, happening): &(Instant, Happening)| {
            if let Happening::Digest(news) = happening {
                Some(*news)
            } else {
                None
            }
        };
        self.happened.iter().filter_map(news).collect()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.alive && self.status().role == vrrp_proto::Role::Active
    }

    pub(crate) fn statistics(&self) -> RouterStatistics {
        *self.status().statistics
    }

    pub(crate) fn hear(&mut self, now: Instant, transmit: &Transmit) {
        let envelope = Envelope {
            source: transmit.source,
            destination: transmit.destination,
            hop_limit: 255,
        };
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message: &transmit.message,
        };
        self.engine.handle(now, Input::Datagram(datagram));
        self.drain();
    }

    /// The process is replaced by another one, which knows what this one knew, or, if it died, what it had written down.
    pub(crate) fn replace(&mut self, now: Instant, died: bool) {
        let mut state = self.engine.save();
        if died {
            state.revive(now, |_| vrrp_proto::Trace {
                sent: Some(now),
                ..vrrp_proto::Trace::default()
            });
        }
        let text = serde_json::to_string(&state).unwrap();
        self.engine = Engine::resume(serde_json::from_str(&text).unwrap());
        self.drain();
        self.tick(now);
    }
}

/// The link.
pub(crate) struct Lan {
    pub(crate) now: Instant,
    pub(crate) machines: Vec<Machine>,
    /// All that was said.
    pub(crate) tape: Vec<(usize, Instant, Transmit)>,
    /// How often there was more than one Active after something happened.
    pub(crate) splits: u32,
    /// How long there was none.
    pub(crate) gap: Duration,
}

impl Lan {
    /// Runs until the first one is Active. The hosts are 1, 2 and so on.
    pub(crate) fn new(plans: impl IntoIterator<Item = RouterPlan>) -> Self {
        Self::with_clocks(plans.into_iter().map(|plan| (plan, Some(UNIX))))
    }

    pub(crate) fn with_clocks(
        plans: impl IntoIterator<Item = (RouterPlan, Option<Duration>)>,
    ) -> Self {
        let machines = plans.into_iter().zip(1..);
        let machines = machines
            .map(|((plan, unix), host)| Machine::new(START, host, plan, unix))
            .collect();
        let mut lan = Self {
            now: START,
            machines,
            tape: Vec::new(),
            splits: 0,
            gap: Duration::ZERO,
        };
        lan.run(secs(10));
        assert!(lan.machines[0].is_active());
        lan.splits = 0;
        lan.gap = Duration::ZERO;
        lan
    }

    pub(crate) fn actives(&self) -> usize {
        self.machines.iter().filter(|it| it.is_active()).count()
    }

    /// Delivers what was said until nobody says anything.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut said = Vec::new();
            for (host, machine) in self.machines.iter_mut().enumerate() {
                let all = machine.said.drain(..);
                said.extend(all.map(|it| (host, it)).filter(|_| machine.alive));
            }
            if said.is_empty() {
                break;
            }
            for (host, transmit) in said {
                for (other, machine) in self.machines.iter_mut().enumerate() {
                    if other != host && machine.alive {
                        machine.hear(self.now, &transmit);
                    }
                }
                self.tape.push((host, self.now, transmit));
            }
        }
        self.splits += u32::from(self.actives() > 1);
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.machines.iter_mut().filter(|it| it.alive);
            let due = due
                .filter_map(|it| it.engine.poll_timeout())
                .map(|it| it.at);
            let next = due.min().unwrap_or(end).max(self.now);
            if self.actives() == 0 {
                self.gap += next.min(end).saturating_since(self.now);
            }
            if next > end || self.machines.iter().all(|it| !it.alive) {
                break;
            }
            self.now = next;
            for machine in self.machines.iter_mut().filter(|it| it.alive) {
                machine.tick(next);
                machine.engine.handle_timeout(next);
                machine.drain();
            }
            self.settle();
        }
        self.now = end;
    }

    pub(crate) fn reload(&mut self, host: usize, plan: RouterPlan) {
        let machine = &mut self.machines[host];
        machine.engine.handle(self.now, Input::Reload(&whole(plan)));
        machine.drain();
        self.settle();
    }

    /// What `host` said since then.
    pub(crate) fn said(&self, host: usize, since: Instant) -> Vec<Transmit> {
        let from = self.tape.iter();
        from.filter(|(who, at, _)| *who == host && *at >= since)
            .map(|(.., it)| it.clone())
            .collect()
    }
}
