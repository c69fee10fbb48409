//! Whatever comes, in whatever order: no panic, and the judge finds no law broken.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use proptest::prelude::*;
use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    ChecksumForm, Datagram, Dialect, Engine, Family, Generation, Input, Instant, KernelReport,
    LinkFacts, LinkId, Output, Plan, Priority, Role, RouterId, Upkeep, Vrid,
};
use vrrp_sim::Host;
use vrrp_sim::judge::Judge;
use vrrp_sim::plan::{HostPlan, INTERFACE, VRID, centis, priority, secs};

/// One thing that can happen to an engine.
#[derive(Clone, Debug)]
enum Op {
    Raw {
        source: IpAddr,
        destination: IpAddr,
        hop_limit: u8,
        bytes: Vec<u8>,
    },
    Advert {
        router: usize,
        source: u8,
        priority: u8,
        centis: u16,
        form: ChecksumForm,
        spoil: Option<(usize, u8)>,
    },
    Pass(Duration),
    /// Until the next deadline, and this much longer.
    Wake(Duration),
    Tick,
    Link(u8),
    Hearing(Family, bool),
    Kernel {
        router: u32,
        back: u64,
        fine: bool,
    },
    Upkeep(u32),
    Reload(usize),
    Shutdown,
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from(bits))),
        (1..30_u8).prop_map(|last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))),
        Just(Family::Ipv4.group()),
        Just(Family::Ipv6.group()),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let form = prop_oneof![Just(ChecksumForm::Rfc9568), Just(ChecksumForm::Rfc5798)];
    let level = prop_oneof![Just(0), Just(255), Just(100), any::<u8>()];
    let interval = prop_oneof![Just(100), Just(10), 1..=4095_u16];
    prop_oneof![
        1 => (address(), address(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(
            |(source, destination, hop_limit, bytes)| Op::Raw { source, destination, hop_limit, bytes }
        ),
        8 => (0..3_usize, 9..14_u8, level, interval, form, prop::option::weighted(0.1, (0..60_usize, any::<u8>()))).prop_map(
            |(router, source, priority, centis, form, spoil)| Op::Advert { router, source, priority, centis, form, spoil }
        ),
        4 => (0..2_000_000_u64).prop_map(|micros| Op::Pass(Duration::from_micros(micros))),
        6 => (0..200_u64).prop_map(|micros| Op::Wake(Duration::from_micros(micros))),
        2 => (0..8_000_u64).prop_map(|millis| Op::Wake(Duration::from_millis(millis))),
        3 => Just(Op::Tick),
        2 => any::<u8>().prop_map(Op::Link),
        1 => (prop_oneof![Just(Family::Ipv4), Just(Family::Ipv6)], any::<bool>()).prop_map(|(family, deaf)| Op::Hearing(family, deaf)),
        4 => (0..5_u32, 0..2_u64, prop::bool::weighted(0.8)).prop_map(|(router, back, fine)| Op::Kernel { router, back, fine }),
        1 => (0..5_u32).prop_map(Op::Upkeep),
        1 => (0..6_usize).prop_map(Op::Reload),
        1 => prop::bool::weighted(0.05).prop_map(|stop| if stop { Op::Shutdown } else { Op::Tick }),
    ]
}

/// VRRPv3/IPv4, VRRPv3/IPv6 and VRRPv2 on one interface.
fn host() -> HostPlan {
    let other = Vrid::new(52).expect("not zero");
    priority(100)
        .and(priority(100).family(Family::Ipv6).preempt_delay(secs(2)))
        .and(priority(100).vrid(other).dialect(Dialect::Vrrp2))
}

fn plans() -> [Plan; 6] {
    let plan = host().plan();
    let mut renamed = plan.clone();
    renamed
        .routers
        .iter_mut()
        .for_each(|router| router.name += "-new");
    let mut fast = plan.clone();
    fast.routers[0].interval = centis(10);
    fast.routers[1].preempt = false;
    let mut fewer = plan.clone();
    fewer.routers.truncate(1);
    let mut better = plan.clone();
    better
        .routers
        .iter_mut()
        .for_each(|router| router.priority = Priority::new(200));
    better.routers[2].addresses.truncate(1);
    [plan, renamed, fast, fewer, better, Plan::default()]
}

/// Bit by bit what can be wrong with an interface.
fn facts(flaws: u8) -> Option<LinkFacts> {
    let mut facts = host().facts(0);
    facts.up = flaws & 1 == 0;
    facts.carrier = flaws & 2 == 0;
    if flaws & 4 != 0 {
        facts.ipv4.clear();
    }
    if flaws & 8 != 0 {
        facts.link_local.clear();
    }
    facts.mtu = if flaws & 16 != 0 { 60 } else { 1500 };
    facts.index = u32::from(flaws & 32);
    (flaws & 0xc0 != 0xc0).then_some(facts)
}

struct Bench {
    engine: Engine,
    judge: Judge,
    now: Instant,
    stopped: bool,
    generations: Vec<Generation>,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::ZERO + secs(1_000);
        let mut bench = Self {
            engine: Engine::new(&plans()[0], now),
            judge: Judge::new(Host(0)),
            now,
            stopped: false,
            generations: vec![Generation(0); 64],
        };
        bench.look();
        bench.feed(&Op::Link(0));
        bench
    }

    fn look(&mut self) {
        let outputs: Vec<Output> = core::iter::from_fn(|| self.engine.poll_output()).collect();
        for output in &outputs {
            if let Output::Desired(RouterId(id), Some(desired)) = output {
                assert!(!self.stopped || !desired.active);
                let slot = self
                    .generations
                    .get_mut(usize::try_from(*id).expect("small"));
                if let Some(generation) = slot {
                    assert!(desired.generation > *generation, "generations grow");
                    *generation = desired.generation;
                }
            }
        }
        if let Err(verdict) = self.judge.outputs(self.now, &mut self.engine, &outputs) {
            panic!("{verdict}\n{outputs:#?}");
        }
        let mut routers = self.engine.status();
        assert!(!self.stopped || routers.all(|status| status.role == Role::Initialize));
    }

    fn feed(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Raw {
                source,
                destination,
                hop_limit,
                bytes,
            } => {
                let envelope = Envelope {
                    source: *source,
                    destination: *destination,
                    hop_limit: *hop_limit,
                };
                self.hear(envelope, bytes);
            }
            Op::Advert {
                router,
                source,
                priority,
                centis,
                form,
                spoil,
            } => self.advert(*router, *source, *priority, *centis, *form, *spoil),
            Op::Pass(time) => self.now = now + *time,
            Op::Wake(late) => {
                if let Some(wakeup) = self.engine.poll_timeout() {
                    self.now = now.max(wakeup.at) + *late;
                    self.engine.handle_timeout(self.now);
                }
            }
            Op::Tick => self.engine.handle_timeout(now),
            Op::Link(flaws) => self.engine.handle(
                now,
                Input::Link {
                    interface: INTERFACE,
                    facts: facts(*flaws).as_ref(),
                },
            ),
            Op::Hearing(family, deaf) => self.engine.handle(
                now,
                Input::Hearing {
                    link: LinkId(0),
                    family: *family,
                    failure: deaf.then_some("permission denied"),
                },
            ),
            Op::Kernel { router, back, fine } => {
                let latest = self.generations[usize::try_from(*router).expect("small")].0;
                let report = if *fine {
                    KernelReport::Applied
                } else {
                    KernelReport::Failed(String::from("no"))
                };
                let input = Input::Kernel {
                    router: RouterId(*router),
                    generation: Generation(latest.saturating_sub(*back)),
                    report: &report,
                };
                self.engine.handle(now, input);
            }
            Op::Upkeep(router) => {
                let upkeep = Upkeep::Repaired(String::from("an address"));
                let input = Input::Upkeep {
                    router: RouterId(*router),
                    upkeep: &upkeep,
                };
                self.engine.handle(now, input);
            }
            Op::Reload(which) => self.engine.handle(now, Input::Reload(&plans()[*which])),
            Op::Shutdown => {
                self.stopped = true;
                self.engine.handle(now, Input::Shutdown);
            }
        }
        self.look();
    }

    fn advert(
        &mut self,
        router: usize,
        last: u8,
        priority: u8,
        every: u16,
        form: ChecksumForm,
        spoil: Option<(usize, u8)>,
    ) {
        let plan = &plans()[0].routers[router];
        let source = match plan.family {
            Family::Ipv4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            Family::Ipv6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, u16::from(last))),
        };
        let destination = plan.family.group();
        let addresses: Vec<IpAddr> = plan.addresses.iter().map(|address| address.ip).collect();
        let interval = match plan.dialect {
            Dialect::Vrrp2 | Dialect::Carp => plan.interval,
            Dialect::Vrrp3 => centis(every),
        };
        let advertisement = Advertisement {
            dialect: plan.dialect,
            vrid: plan.vrid,
            priority: Priority::new(priority),
            interval,
            addresses: &addresses,
            authentication: None,
        };
        let mut bytes = advertisement.emit(form, source, destination);
        if let Some((at, value)) = spoil
            && let Some(byte) = bytes.get_mut(at)
        {
            *byte = value;
        }
        let envelope = Envelope {
            source,
            destination,
            hop_limit: 255,
        };
        self.hear(envelope, &bytes);
    }

    fn hear(&mut self, envelope: Envelope, message: &[u8]) {
        let datagram = Datagram {
            link: LinkId(0),
            envelope,
            message,
        };
        self.engine.handle(self.now, Input::Datagram(datagram));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1_000 } else { 50_000 }))]

    /// RFC 9568 §7.1: what is not a perfect advertisement is discarded, and that is all.
    #[test]
    fn arbitrary_bytes_never_panic(
        source in address(),
        destination in address(),
        hop_limit in prop_oneof![Just(255_u8), any::<u8>()],
        first in prop_oneof![Just(0x21_u8), Just(0x31_u8), any::<u8>()],
        vrid in prop_oneof![Just(VRID.get()), any::<u8>()],
        rest in prop::collection::vec(any::<u8>(), 0..1500),
    ) {
        let mut bench = Bench::new();
        let mut bytes = vec![first, vrid];
        bytes.extend(rest);
        bench.feed(&Op::Raw { source, destination, hop_limit, bytes });
    }

    /// Also without any structure, and shorter than a header.
    #[test]
    fn arbitrary_short_bytes_never_panic(source in address(), bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        let destination = Family::of(source).group();
        Bench::new().feed(&Op::Raw { source, destination, hop_limit: 255, bytes });
    }

    /// The laws of [`Judge`] hold after each of any operations.
    #[test]
    fn no_sequence_breaks_a_law(ops in prop::collection::vec(op(), 1..120)) {
        let mut bench = Bench::new();
        for op in &ops {
            bench.feed(op);
        }
    }

    /// The engine is a function: the same inputs at the same times give the same outputs.
    #[test]
    fn it_is_deterministic(ops in prop::collection::vec(op(), 1..60)) {
        let run = || {
            let mut bench = Bench::new();
            ops.iter().for_each(|op| bench.feed(op));
            format!("{:?}", bench.engine)
        };
        prop_assert_eq!(run(), run());
    }
}
