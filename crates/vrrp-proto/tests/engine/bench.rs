//! An engine on a workbench: one input, all outputs, and words for both.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use vrrp_proto::packet::{Advertisement, Header};
use vrrp_proto::receive::Envelope;
use vrrp_proto::*;

pub(crate) const ETH0: LinkId = LinkId(0);
pub(crate) const ID: RouterId = RouterId(0);

/// What an input made the engine do.
#[derive(Debug)]
pub(crate) struct Did(pub(crate) Vec<Output>);

/// An engine, and the time.
///
/// Beside it runs a second one that is handed over from process to process all the time and must do the same, so that
/// every test here is one of the hand-over, too.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) now: Instant,
    successor: Engine,
    inputs: u64,
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

pub(crate) fn centis(centis: u16) -> Interval {
    Interval::from_centis(centis).unwrap()
}

/// VRRPv3/IPv4, VRID 51, priority 100, 1 s, 192.0.2.254/24 on eth0.
pub(crate) fn plan() -> RouterPlan {
    RouterPlan {
        announce_refresh: None,
        ..RouterPlan::new(
            "wan4",
            "eth0",
            Vrid::new(51).unwrap(),
            Family::Ipv4,
            addresses(&["192.0.2.254"]),
        )
    }
}

pub(crate) fn plan_v2() -> RouterPlan {
    RouterPlan {
        dialect: Dialect::Vrrp2,
        ..plan()
    }
}

/// VRRPv3/IPv6 with fe80::fe and 2001:db8::fe.
pub(crate) fn plan_v6() -> RouterPlan {
    RouterPlan {
        family: Family::Ipv6,
        addresses: addresses(&["fe80::fe", "2001:db8::fe"]),
        ..plan()
    }
}

pub(crate) fn with_priority(priority: u8, plan: RouterPlan) -> RouterPlan {
    RouterPlan {
        priority: Priority::new(priority),
        ..plan
    }
}

pub(crate) fn addresses(list: &[&str]) -> Vec<VirtualAddress> {
    list.iter()
        .map(|text| VirtualAddress {
            ip: ip(text),
            prefix_len: if ip(text).is_ipv4() { 24 } else { 64 },
        })
        .collect()
}

/// eth0 up, with 192.0.2.11/24 and fe80::11.
pub(crate) fn facts() -> LinkFacts {
    LinkFacts {
        index: 2,
        up: true,
        carrier: true,
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, 0x11]),
        ipv4: vec![(Ipv4Addr::new(192, 0, 2, 11), 24)],
        link_local: vec!["fe80::11".parse().unwrap()],
    }
}

/// A packet on its way to the engine. [`Packet::of`] makes a perfect one for a plan, the rest spoils it.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    pub(crate) bytes: Vec<u8>,
    form: ChecksumForm,
}

impl Packet {
    /// What a peer at .200 (or fe80::200) with the same configuration and this priority sends.
    pub(crate) fn of(plan: &RouterPlan, priority: u8) -> Self {
        let source = match plan.family {
            Family::Ipv4 => ip("192.0.2.200"),
            Family::Ipv6 => ip("fe80::200"),
        };
        let destination = plan.family.group();
        let list: Vec<IpAddr> = plan.addresses.iter().map(|address| address.ip).collect();
        let advertisement = Advertisement {
            dialect: plan.dialect,
            vrid: plan.vrid,
            priority: Priority::new(priority),
            interval: plan.interval,
            addresses: &list,
            authentication: plan.authentication,
        };
        let form = ChecksumForm::Rfc9568;
        Self {
            source,
            destination,
            hop_limit: 255,
            bytes: advertisement.emit(form, source, destination),
            form,
        }
    }

    pub(crate) fn from(mut self, source: &str) -> Self {
        self.source = ip(source);
        self.sealed()
    }

    pub(crate) fn to(mut self, destination: &str) -> Self {
        self.destination = ip(destination);
        self.sealed()
    }

    pub(crate) fn form(mut self, form: ChecksumForm) -> Self {
        self.form = form;
        self.sealed()
    }

    pub(crate) fn hop_limit(mut self, hop_limit: u8) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// Sets a byte; the checksum is made good.
    pub(crate) fn byte(mut self, at: usize, value: u8) -> Self {
        self.bytes[at] = value;
        self.sealed()
    }

    /// Sets a byte and leaves the checksum as it was.
    pub(crate) fn damaged(mut self, at: usize, value: u8) -> Self {
        self.bytes[at] = value;
        self
    }

    /// Cuts or pads to this length; the checksum is made good.
    pub(crate) fn len(mut self, len: usize) -> Self {
        self.bytes.resize(len, 0);
        self.sealed()
    }

    /// Sets the interval field in centiseconds; the checksum is made good.
    pub(crate) fn centis(self, centis: u16) -> Self {
        let [high, low] = centis.to_be_bytes();
        self.byte(4, high).byte(5, low)
    }

    /// Computes the checksum anew, by an implementation of its own.
    fn sealed(mut self) -> Self {
        let Some(version) = self
            .bytes
            .first()
            .map(|byte| byte >> 4)
            .filter(|_| self.bytes.len() >= 8)
        else {
            return self;
        };
        self.bytes[6..8].fill(0);
        let mut data = Vec::new();
        let pseudo = version == 3 && (self.source.is_ipv6() || self.form == ChecksumForm::Rfc5798);
        if pseudo {
            for address in [self.source, self.destination] {
                match address {
                    IpAddr::V4(v4) => data.extend(v4.octets()),
                    IpAddr::V6(v6) => data.extend(v6.octets()),
                }
            }
            data.extend([0, 112]);
            data.extend(u16::try_from(self.bytes.len()).unwrap().to_be_bytes());
        }
        data.extend(&self.bytes);
        let mut sum: u64 = data
            .chunks(2)
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let sum = !u16::try_from(sum).unwrap();
        self.bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        self
    }
}

/// The engine as another process goes on with it, with nothing but text between them.
pub(crate) fn handed_over(engine: &Engine) -> Engine {
    let text = serde_json::to_string(&engine.save()).expect("it can be written");
    let mut successor = Engine::resume(serde_json::from_str(&text).expect("it can be read"));
    // What it stands for is said again: nobody in the new process knows it yet.
    let said = core::iter::from_fn(|| successor.poll_output()).filter(|output| {
        let Output::Desired(..) = output else {
            panic!("a hand-over makes {output:?}");
        };
        true
    });
    let routers = engine.status().count() + engine.retiring().count();
    assert_eq!(said.count(), routers);
    successor
}

impl Bench {
    /// An engine whose eth0 is still unknown.
    pub(crate) fn cold(routers: impl IntoIterator<Item = RouterPlan>) -> Self {
        Self::cold_plan(&Plan {
            routers: routers.into_iter().collect(),
            ..Plan::default()
        })
    }

    /// An engine of this plan, whose eth0 is still unknown.
    pub(crate) fn cold_plan(plan: &Plan) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        let mut bench = Self {
            engine: Engine::new(plan, now),
            now,
            successor: Engine::new(plan, now),
            inputs: 0,
        };
        let _ = bench.drain();
        bench
    }

    /// An engine that has just learned that eth0 is up.
    pub(crate) fn of(routers: impl IntoIterator<Item = RouterPlan>) -> Self {
        let mut bench = Self::cold(routers);
        bench.link(Some(&facts()));
        bench
    }

    /// A Backup that has just started.
    pub(crate) fn backup(plan: RouterPlan) -> Self {
        let bench = Self::of([plan]);
        assert_eq!(bench.role(), Role::Backup);
        bench
    }

    /// An Active that has just taken over, with its addresses in the kernel and its announcements made.
    pub(crate) fn active(plan: RouterPlan) -> Self {
        let mut bench = Self::of([plan]);
        if bench.role() == Role::Backup {
            bench.wake();
        }
        assert_eq!(bench.role(), Role::Active);
        bench.applied();
        bench.tick();
        bench
    }

    fn drain(&mut self) -> Did {
        let did = Did(core::iter::from_fn(|| self.engine.poll_output()).collect());
        // The first inputs one by one; of a million of the same kind, or for thousands of routers, some.
        self.inputs += 1;
        let routers = u64::try_from(self.engine.status().count()).unwrap_or(u64::MAX);
        let same = self.inputs * routers < 500 || self.inputs.is_multiple_of(1009);
        let successor = core::iter::from_fn(|| self.successor.poll_output());
        if !same {
            successor.for_each(drop);
            return did;
        }
        assert_eq!(
            format!("{:?}", did.0),
            format!("{:?}", successor.collect::<Vec<_>>()),
            "after a hand-over"
        );
        self.successor = handed_over(&self.successor);
        assert_eq!(self.engine.poll_timeout(), self.successor.poll_timeout());
        assert_eq!(self.engine.statistics(), self.successor.statistics());
        let all = |engine: &Engine| format!("{:?}", engine.status().collect::<Vec<_>>());
        assert_eq!(all(&self.engine), all(&self.successor));
        assert_eq!(self.engine.trackers(), self.successor.trackers());
        did
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> Did {
        self.engine.handle(self.now, input);
        self.successor.handle(self.now, input);
        self.drain()
    }

    /// An operator asks this of the first router.
    pub(crate) fn operate(&mut self, order: Order) -> Result<Did, Denial> {
        let name = self.status().plan.name.clone();
        let permitted = self.engine.permits(&name, &order);
        let outcome = self.engine.operate(self.now, &name, order.clone());
        assert_eq!(outcome, self.successor.operate(self.now, &name, order));
        let did = self.drain();
        if did.nothing() {
            assert_eq!(permitted.err(), outcome.clone().err());
        }
        outcome.map(|_| did)
    }

    pub(crate) fn link(&mut self, facts: Option<&LinkFacts>) -> Did {
        self.input(Input::Link {
            interface: "eth0",
            facts,
        })
    }

    pub(crate) fn hear(&mut self, packet: &Packet) -> Did {
        self.input(Input::Datagram(Datagram {
            link: ETH0,
            envelope: Envelope {
                source: packet.source,
                destination: packet.destination,
                hop_limit: packet.hop_limit,
            },
            message: &packet.bytes,
        }))
    }

    /// A perfect advertisement of a peer of this priority.
    pub(crate) fn hear_priority(&mut self, priority: u8) -> Did {
        let packet = Packet::of(self.status().plan, priority);
        self.hear(&packet)
    }

    pub(crate) fn kernel(&mut self, generation: u64, report: &KernelReport) -> Did {
        self.input(Input::Kernel {
            router: ID,
            generation: Generation(generation),
            report,
        })
    }

    /// The kernel has put the latest desired state of the first router in place.
    pub(crate) fn applied(&mut self) -> Did {
        // Reports about other generations are ignored, so all of them may be tried.
        let mut all = Vec::new();
        for generation in 0..64 {
            all.extend(self.kernel(generation, &KernelReport::Applied).0);
        }
        Did(all)
    }

    /// The kernel refuses the latest desired state of the first router.
    pub(crate) fn refused(&mut self, why: &str) -> Did {
        let mut all = Vec::new();
        for generation in (0..64).rev() {
            all.extend(self.kernel(generation, &KernelReport::Failed(why.into())).0);
        }
        Did(all)
    }

    pub(crate) fn reload(&mut self, routers: impl IntoIterator<Item = RouterPlan>) -> Did {
        let plan = Plan {
            routers: routers.into_iter().collect(),
            ..Plan::default()
        };
        self.input(Input::Reload(&plan))
    }

    pub(crate) fn reload_plan(&mut self, plan: &Plan) -> Did {
        self.input(Input::Reload(plan))
    }

    /// A sample without an offset.
    pub(crate) fn sample(&mut self, tracker: &str, level: Level, detail: &str) -> Did {
        let sample = Sample {
            level,
            offset: None,
            detail: detail.into(),
        };
        let sample = &sample;
        self.input(Input::Sample { tracker, sample })
    }

    pub(crate) fn shutdown(&mut self) -> Did {
        self.input(Input::Shutdown)
    }

    /// The timers are run without time having passed.
    pub(crate) fn tick(&mut self) -> Did {
        self.engine.handle_timeout(self.now);
        self.successor.handle_timeout(self.now);
        self.drain()
    }

    /// Time passes and nobody looks at the timers.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// Time passes; whatever is due on the way is done on time.
    pub(crate) fn run(&mut self, time: Duration) -> Vec<(Instant, Output)> {
        let end = self.now + time;
        let mut seen = Vec::new();
        while let Some(wakeup) = self.engine.poll_timeout().filter(|wakeup| wakeup.at <= end) {
            self.now = self.now.max(wakeup.at);
            let at = self.now;
            seen.extend(self.tick().0.into_iter().map(|output| (at, output)));
        }
        self.now = end;
        seen
    }

    /// Jumps to the next deadline and does what is due.
    pub(crate) fn wake(&mut self) -> Did {
        let wakeup = self
            .engine
            .poll_timeout()
            .expect("something is due some time");
        self.now = self.now.max(wakeup.at);
        self.tick()
    }

    pub(crate) fn status(&self) -> RouterStatus<'_> {
        self.engine.status().next().expect("a router")
    }

    pub(crate) fn status_of(&self, name: &str) -> RouterStatus<'_> {
        self.engine
            .status()
            .find(|status| status.plan.name == name)
            .expect("a router of this name")
    }

    pub(crate) fn role(&self) -> Role {
        self.status().role
    }

    pub(crate) fn statistics(&self) -> RouterStatistics {
        *self.status().statistics
    }

    pub(crate) fn faults(&self) -> Vec<String> {
        self.status()
            .faults
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// From now until the router's own timer runs out.
    pub(crate) fn timer(&self) -> Option<Duration> {
        self.status()
            .deadline
            .map(|due| due.saturating_since(self.now))
    }
}

impl Did {
    pub(crate) fn nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// Priorities of the advertisements that left, in order.
    pub(crate) fn sent(&self) -> Vec<u8> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Transmit(transmit) => {
                    Some(Header::new(&transmit.message).unwrap().priority().get())
                }
                Output::Announce(_) | Output::Desired(..) | Output::Event(_) => None,
            })
            .collect()
    }

    pub(crate) fn transmits(&self) -> Vec<&Transmit> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Transmit(transmit) => Some(transmit),
                Output::Announce(_) | Output::Desired(..) | Output::Event(_) => None,
            })
            .collect()
    }

    pub(crate) fn announced(&self) -> usize {
        self.0
            .iter()
            .filter(|output| matches!(output, Output::Announce(_)))
            .count()
    }

    pub(crate) fn desired(&self) -> Vec<Option<&Desired>> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Desired(_, desired) => Some(desired.as_ref()),
                Output::Transmit(_) | Output::Announce(_) | Output::Event(_) => None,
            })
            .collect()
    }

    pub(crate) fn happenings(&self) -> Vec<&Happening> {
        self.0
            .iter()
            .filter_map(|output| match output {
                Output::Event(event) => Some(&event.happening),
                Output::Transmit(_) | Output::Announce(_) | Output::Desired(..) => None,
            })
            .collect()
    }

    /// The words of the events, in order.
    pub(crate) fn said(&self) -> Vec<&'static str> {
        self.happenings().into_iter().map(Happening::name).collect()
    }

    /// The transitions, in order.
    pub(crate) fn transitions(&self) -> Vec<(Role, Role, Reason)> {
        self.happenings()
            .into_iter()
            .filter_map(|happening| {
                if let Happening::Role { from, to, reason } = happening {
                    Some((*from, *to, *reason))
                } else {
                    None
                }
            })
            .collect()
    }

    /// The kinds of outputs, in order.
    pub(crate) fn kinds(&self) -> String {
        self.0
            .iter()
            .map(|output| match output {
                Output::Transmit(_) => 'T',
                Output::Announce(_) => 'A',
                Output::Desired(..) => 'D',
                Output::Event(_) => 'e',
            })
            .collect()
    }
}
