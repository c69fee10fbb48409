//! Forecasts of CARP beside the arithmetic of its implementations.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_forecast::{Condition, Forecast, Holder, Hypothesis, Kind, Who, of, of_plan, prospects};
use vrrp_proto::carp::inspect::Member;
use vrrp_proto::carp::{self, Bid, CarpPlan, Passphrase};
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    Datagram, Dialect, Engine, Family, Input, Instant, KernelReport, LinkFacts, LinkId, MacAddress,
    Output, Plan, Priority, Reason, Role, RouterPlan, VirtualAddress, Vrid,
};

const NAME: &str = "fw";
const ONE: [&str; 1] = ["192.0.2.254/24"];
const BOTH: [&str; 2] = ["192.0.2.254/24", "2001:db8::254/64"];
/// The peer, in each family.
const PEER: [&str; 2] = ["192.0.2.2", "fe80::2"];

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// So many 256ths of a second.
fn ticks(count: u32) -> Duration {
    Duration::from_secs(1) * count / 256
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn router(advskew: u8, addresses: &[&str]) -> RouterPlan {
    let carp = CarpPlan::new(advskew, Passphrase::new(b"secret").expect("one"));
    let addresses = addresses.iter().map(|text| {
        let (address, length) = text.split_once('/').expect("a length");
        VirtualAddress {
            ip: ip(address),
            prefix_len: length.parse().expect("a length"),
        }
    });
    let vhid = Vrid::new(7).expect("one");
    RouterPlan {
        dialect: Dialect::Carp,
        priority: carp::priority(advskew),
        carp: Some(carp),
        ..RouterPlan::new(NAME, "eth0", vhid, Family::Ipv4, addresses.collect())
    }
}

fn plan(router: &RouterPlan) -> Plan {
    Plan {
        routers: vec![router.clone()],
        ..Plan::default()
    }
}

struct Us {
    engine: Engine,
    router: RouterPlan,
    peer: Member,
}

impl Us {
    /// Started at time zero on an interface that is up.
    fn start(router: RouterPlan) -> Self {
        let mut us = Self {
            engine: Engine::new(&plan(&router), at(0)),
            peer: Member::new(&router, 0),
            router,
        };
        let facts = LinkFacts {
            index: 2,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: vec![([192, 0, 2, 1].into(), 24)],
            link_local: vec!["fe80::1".parse().expect("an address")],
        };
        us.drain(at(0));
        let input = Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        };
        us.engine.handle(at(0), input);
        us.drain(at(0));
        us
    }

    fn drain(&mut self, now: Instant) {
        let mut wanted = Vec::new();
        while let Some(output) = self.engine.poll_output() {
            if let Output::Desired(router, Some(desired)) = output {
                wanted.push((router, desired.generation));
            }
        }
        for (router, generation) in wanted {
            let report = &KernelReport::Applied;
            let input = Input::Kernel {
                router,
                generation,
                report,
            };
            self.engine.handle(now, input);
            while self.engine.poll_output().is_some() {}
        }
    }

    /// Its peer advertises this, in each family of the group.
    fn hear(&mut self, now: Instant, advskew: u8) {
        while let Some(wakeup) = self.engine.poll_timeout().filter(|next| next.at <= now) {
            self.engine.handle_timeout(wakeup.at);
            self.drain(wakeup.at);
        }
        let bid = Bid {
            advbase: 1,
            advskew,
            demotion: 0,
        };
        let message = self.peer.speak(&self.router, bid);
        for family in self.router.families() {
            let source = PEER
                .map(ip)
                .into_iter()
                .find(|ip| Family::of(*ip) == family);
            let datagram = Datagram {
                link: LinkId(0),
                envelope: Envelope {
                    source: source.expect("one of each"),
                    destination: family.group(),
                    hop_limit: 255,
                },
                message: &message,
            };
            self.engine.handle(now, Input::Datagram(datagram));
            self.drain(now);
        }
    }

    fn asked(&self, now: Instant, hypotheses: &[Hypothesis]) -> Forecast {
        of(self.engine.save(), now, hypotheses, None)
    }
}

/// A Backup that has heard a skew of 0 each second from 1 s to 10 s.
fn backup(advskew: u8, addresses: &[&str]) -> Us {
    let mut us = Us::start(router(advskew, addresses));
    for second in 1..=10 {
        us.hear(at(second * 1000), 0);
    }
    let role = us.engine.status().next().expect("one").role;
    assert_eq!(role, Role::Backup);
    us
}

/// An Active with a skew of 0 to which a skew of 50 has yielded at 10 s.
fn active(addresses: &[&str]) -> Us {
    let mut us = Us::start(router(0, addresses));
    us.hear(at(1000), 50);
    us.hear(at(2000), 50);
    let role = us.engine.status().next().expect("one").role;
    assert_eq!(role, Role::Active);
    us
}

fn holders(forecast: &Forecast) -> Vec<String> {
    let after = forecast.outcomes[0].after.as_ref().expect("it stays");
    let name = |holder: &Holder| match holder {
        Holder::We => "we".to_owned(),
        Holder::Peer(address, _) => address.to_string(),
        Holder::Unknown => "nobody".to_owned(),
    };
    after.holders.iter().map(name).collect()
}

#[test]
fn nothing_happens_by_itself() {
    for addresses in [&ONE[..], &BOTH] {
        let forecast = backup(100, addresses).asked(at(10_400), &[]);
        assert_eq!(forecast.predictions, []);
        assert_eq!(holders(&forecast), [PEER[0]]);
        let forecast = active(addresses).asked(at(2100), &[]);
        assert_eq!(forecast.predictions, []);
        assert_eq!(holders(&forecast), ["we"]);
    }
}

/// Three times the base and the own skew after the last advertisement. Who speaks in both families is one.
#[test]
fn silence_and_a_bow_out() {
    for addresses in [&ONE[..], &BOTH] {
        let us = backup(100, addresses);
        let silent = us.asked(at(10_400), &[Hypothesis::PeerDown(Some(ip(PEER[0])))]);
        let expected = Duration::from_millis(2600) + ticks(100);
        assert_eq!(silent.active_after(NAME), Some(expected), "{silent:?}");
        assert_eq!(holders(&silent), ["we"]);
        let gives_up = us.asked(at(10_400), &[Hypothesis::PeerReleases(ip(PEER[0]))]);
        let after = gives_up.active_after(NAME).expect("it takes over");
        // The best of several Backups is to be the first.
        assert!(after <= ticks(100) / 64, "{after:?}");
    }
}

/// Trackers and operators demote: whoever hears it takes over at once.
#[test]
fn demotion_is_heard_at_once() {
    for addresses in [&ONE[..], &BOTH] {
        let us = active(addresses);
        let demoted = Hypothesis::Priority(NAME.into(), Priority::new(100));
        let forecast = us.asked(at(2100), &[demoted]);
        let (first, _, to) = forecast.transitions().next().expect("it gives way");
        assert_eq!((first.after, to), (Duration::ZERO, Role::Backup));
        let reason = match first.kind {
            Kind::Role { reason, .. } => Some(reason),
            Kind::Faults(_) | Kind::Added | Kind::Removed => None,
        };
        assert_eq!(reason, Some(Reason::BetterBid));
        assert_eq!(holders(&forecast), [PEER[0]]);
    }
}

#[test]
fn a_lost_link_is_the_peers_gain() {
    let us = active(&BOTH);
    let forecast = us.asked(at(2100), &[Hypothesis::LinkDown("eth0".into())]);
    let peer = forecast.predictions.iter().find(|it| it.who != Who::We);
    let peer = peer.expect("it takes over");
    assert!(matches!(
        peer.kind,
        Kind::Role {
            to: Role::Active,
            ..
        }
    ));
    // After our last advertisement, which is not a second old.
    let down = Duration::from_secs(3) + ticks(50);
    assert!(
        peer.after <= down && peer.after > down - Duration::from_secs(1),
        "{peer:?}"
    );
}

/// Who has another list of addresses has another digest: after a reload neither hears the other, unless the former one is said
/// for some time, too.
#[test]
fn another_list_of_addresses_splits_the_group() {
    let us = active(&ONE);
    let mut more = router(0, &["192.0.2.254/24", "192.0.2.253/24"]);
    let forecast = of_plan(us.engine.save(), at(2100), &plan(&more));
    assert_eq!(holders(&forecast), ["we"], "{forecast:?}");
    let carp = more.carp.as_mut().expect("it speaks that");
    carp.grace = Duration::ZERO;
    let forecast = of_plan(us.engine.save(), at(2100), &plan(&more));
    assert_eq!(holders(&forecast), ["we", PEER[0]], "{forecast:?}");
    let same = router(0, &["192.0.2.254/25"]);
    let forecast = of_plan(us.engine.save(), at(2100), &plan(&same));
    assert_eq!(holders(&forecast), ["we"], "{forecast:?}");
}

#[test]
fn what_would_change_a_role() {
    let us = backup(100, &BOTH);
    let all = prospects(&us.engine.save(), at(10_400), NAME);
    let after = |condition: &Condition| {
        let found = all.iter().find(|it| it.condition == *condition);
        found.map(|it| it.after)
    };
    let silence = Condition::Silence(vec![ip(PEER[0])]);
    let expected = Duration::from_millis(2600) + ticks(100);
    assert_eq!(after(&silence), Some(expected), "{all:?}");
    assert!(after(&Condition::Release(ip(PEER[0]))).is_some(), "{all:?}");
    // A skew of 0 is the best there is: nothing that we could have is better.
    let better = |it: &vrrp_forecast::Prospect| matches!(it.condition, Condition::Priority(_));
    assert!(!all.iter().any(better), "{all:?}");
}
