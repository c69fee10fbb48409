//! Forecasts beside the arithmetic of the RFCs.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_forecast::{Condition, Forecast, Holder, Hypothesis, Prospect, of, of_plan, prospects};
use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::Envelope;
use vrrp_proto::{
    ChecksumForm, Datagram, Dialect, Engine, Family, Input, Instant, Interval, KernelReport,
    LinkFacts, LinkId, MacAddress, Offer, Output, Plan, Priority, Role, RouterPlan, VirtualAddress,
    Vrid,
};

/// The peer, and another one with the higher address.
const PEER: [u8; 4] = [192, 0, 2, 2];
const THIRD: [u8; 4] = [192, 0, 2, 3];

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

fn address() -> IpAddr {
    [192, 0, 2, 254].into()
}

fn plan(priority: u8) -> RouterPlan {
    let first = VirtualAddress {
        ip: address(),
        prefix_len: 24,
    };
    RouterPlan {
        priority: Priority::new(priority),
        ..RouterPlan::new(
            "wan4",
            "eth0",
            Vrid::new(1).expect("one"),
            Family::Ipv4,
            vec![first],
        )
    }
}

struct Us(Engine);

impl Us {
    /// Started at time zero on an interface that is up.
    fn start(router: RouterPlan) -> Self {
        let plan = Plan {
            routers: vec![router],
            ..Plan::default()
        };
        let mut us = Self(Engine::new(&plan, at(0)));
        us.drain(at(0));
        us.link(at(0), true);
        us
    }

    fn link(&mut self, now: Instant, up: bool) {
        let facts = LinkFacts {
            index: 2,
            up,
            carrier: up,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, 1]),
            ipv4: vec![([192, 0, 2, 1].into(), 24)],
            link_local: vec![],
        };
        let input = Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        };
        self.0.handle(now, input);
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        let mut wanted = Vec::new();
        while let Some(output) = self.0.poll_output() {
            if let Output::Desired(router, Some(desired)) = output {
                wanted.push((router, desired.generation));
            }
        }
        for (router, generation) in wanted {
            let report = &KernelReport::Applied;
            self.0.handle(
                now,
                Input::Kernel {
                    router,
                    generation,
                    report,
                },
            );
            while self.0.poll_output().is_some() {}
        }
    }

    fn run(&mut self, end: Instant) {
        while let Some(wakeup) = self.0.poll_timeout().filter(|next| next.at <= end) {
            self.0.handle_timeout(wakeup.at);
            self.drain(wakeup.at);
        }
    }

    fn hear(&mut self, now: Instant, from: [u8; 4], priority: u8) {
        self.run(now);
        let router = self.0.status().next().expect("one").plan.clone();
        let (source, destination) = (IpAddr::from(from), Family::Ipv4.group());
        let advertisement = Advertisement {
            dialect: router.dialect,
            vrid: router.vrid,
            priority: Priority::new(priority),
            interval: Interval::DEFAULT,
            addresses: &[address()],
            authentication: None,
        };
        let message = advertisement.emit(ChecksumForm::Rfc9568, source, destination);
        let datagram = Datagram {
            link: LinkId(0),
            envelope: Envelope {
                source,
                destination,
                hop_limit: 255,
            },
            message: &message,
        };
        self.0.handle(now, Input::Datagram(datagram));
        self.drain(now);
    }

    fn asked(&self, now: Instant, hypotheses: &[Hypothesis]) -> Forecast {
        of(self.0.save(), now, hypotheses, None)
    }

    fn prospects(&self, now: Instant) -> Vec<Prospect> {
        prospects(&self.0.save(), now, "wan4")
    }
}

/// A Backup of priority 100 that has heard 192.0.2.2 with 200 each second from 1 s to 10 s.
fn backup(router: RouterPlan) -> Us {
    let mut us = Us::start(router);
    for second in 1..=10 {
        us.hear(at(second * 1000), PEER, 200);
    }
    us
}

fn silent(seconds: f64) -> Duration {
    // Down to the nanosecond, and no further.
    Duration::from_secs_f64(seconds)
}

fn after(prospects: &[Prospect], condition: &Condition) -> Option<Duration> {
    let found = prospects.iter().find(|it| it.condition == *condition);
    found.map(|it| it.after)
}

#[test]
fn nothing_happens_by_itself() {
    let forecast = backup(plan(100)).asked(at(10_400), &[]);
    assert_eq!(forecast.predictions, []);
    let after = forecast.outcomes[0].after.as_ref().expect("it stays");
    assert_eq!(after.holders, [served_by(PEER.into(), 200)]);
    assert!(forecast.complete && forecast.horizon > Duration::from_secs(30));
}

#[test]
fn a_backup_waits_three_intervals_and_its_skew() {
    // RFC 9568 §6.1: 3 s + 156/256 s after the last advertisement, which was 400 ms ago.
    let (us, now) = (backup(plan(100)), at(10_400));
    let silence = silent(3.0 + 156.0 / 256.0 - 0.4);
    let peer = IpAddr::from(PEER);
    let found = us.prospects(now);
    assert_eq!(
        after(&found, &Condition::Silence(vec![peer])),
        Some(silence)
    );
    let release = Some(silent(156.0 / 256.0));
    assert_eq!(after(&found, &Condition::Release(peer)), release);
    // 201 waits 55/256 s beside the three intervals.
    let raised = Some(silent(3.0 + 55.0 / 256.0 - 0.4));
    let enough = Condition::Priority(Priority::new(201));
    assert_eq!(after(&found, &enough), raised);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn who_does_not_preempt_gains_nothing_by_priority() {
    let modest = RouterPlan {
        preempt: false,
        ..plan(100)
    };
    let found = backup(modest).prospects(at(10_400));
    let by_priority = |it: &&Prospect| matches!(it.condition, Condition::Priority(_));
    assert_eq!(found.iter().find(by_priority), None);
}

#[test]
fn a_delay_of_preemption_ends_by_itself() {
    let patient = RouterPlan {
        preempt_delay: Duration::from_secs(20),
        ..plan(100)
    };
    let mut us = Us::start(patient);
    for second in 1..=10 {
        us.hear(at(second * 1000), PEER, 50);
    }
    // It began at 1 s and ends at 21 s, at an advertisement that is not accepted any more; the last one was at 20 s.
    let expected = silent(20.0 + 3.0 + 156.0 / 256.0 - 10.4);
    let found = us.prospects(at(10_400));
    assert_eq!(after(&found, &Condition::Nothing), Some(expected));
}

#[test]
fn two_that_wait_take_over_in_the_order_of_their_skew() {
    let mut us = backup(plan(100));
    us.hear(at(10_500), THIRD, 150);
    us.hear(at(10_600), PEER, 200);
    let peer = IpAddr::from(PEER);
    let forecast = us.asked(at(10_700), &[Hypothesis::PeerDown(Some(peer))]);
    let holders = &forecast.outcomes[0]
        .after
        .as_ref()
        .expect("it stays")
        .holders;
    assert_eq!(holders, &[served_by(THIRD.into(), 150)]);
    assert_eq!(forecast.transitions().count(), 0);
    let both = Condition::Silence(vec![peer, THIRD.into()]);
    let found = us.prospects(at(10_700));
    let expected = silent(3.0 + 156.0 / 256.0 - 0.1);
    assert_eq!(after(&found, &both), Some(expected));
}

/// Active since it preempted 192.0.2.2.
fn active() -> (Us, Instant) {
    let mut us = Us::start(plan(100));
    for millis in [1000, 2000, 3000] {
        us.hear(at(millis), PEER, 50);
    }
    us.run(at(6_400));
    assert_eq!(us.0.status().next().expect("one").role, Role::Active);
    (us, at(6_400))
}

#[test]
fn an_active_that_loses_its_link_is_followed_by_who_yielded() {
    let (us, now) = active();
    let forecast = us.asked(now, &[Hypothesis::LinkDown("eth0".to_owned())]);
    let ours = forecast.transitions().next().expect("a fault");
    assert_eq!((ours.0.after, ours.2), (Duration::ZERO, Role::Initialize));
    // It took over at 3609.375 ms, and advertised for the last time at 5609.375 ms; the skew of 50 is 206/256.
    let theirs = forecast.predictions.last().expect("a takeover");
    let expected = silent(5.609_375 + 3.0 + 206.0 / 256.0 - 6.4);
    assert_eq!(theirs.after, expected, "{forecast:#?}");
    let holders = &forecast.outcomes[0]
        .after
        .as_ref()
        .expect("it stays")
        .holders;
    assert_eq!(holders, &[served_by(PEER.into(), 50)]);
}

#[test]
fn who_was_never_heard_is_not_known() {
    let mut us = Us::start(plan(100));
    us.run(at(5_000));
    let forecast = us.asked(at(5_000), &[Hypothesis::LinkDown("eth0".to_owned())]);
    let holders = &forecast.outcomes[0]
        .after
        .as_ref()
        .expect("it stays")
        .holders;
    assert_eq!(holders, &[Holder::Unknown]);
}

#[test]
fn a_lower_priority_is_lost_to_who_has_more() {
    let (us, now) = active();
    let found = us.prospects(now);
    let little = Condition::Priority(Priority::new(49));
    let expected = silent(5.609_375 + 3.0 + 206.0 / 256.0 - 6.4);
    assert_eq!(after(&found, &little), Some(expected));
    let down = Condition::LinkDown("eth0".to_owned());
    assert_eq!(after(&found, &down), Some(Duration::ZERO));
}

#[test]
fn an_interface_that_comes_back_makes_a_router_listen_first() {
    let mut us = Us::start(plan(100));
    us.run(at(5_000));
    us.link(at(5_000), false);
    let found = us.prospects(at(6_000));
    let expected = silent(3.0 + 156.0 / 256.0);
    assert_eq!(after(&found, &Condition::Mended), Some(expected));
}

#[test]
fn a_plan_that_removes_a_router_releases_it() {
    let (us, now) = active();
    let forecast = of_plan(us.0.save(), now, &Plan::default());
    let theirs = forecast.predictions.last().expect("a takeover");
    assert_eq!(theirs.after, silent(206.0 / 256.0));
    assert_eq!(forecast.outcomes[0].after, None);
}

#[test]
fn versions_two_that_disagree_about_the_interval_do_not_hear_each_other() {
    let old = RouterPlan {
        dialect: Dialect::Vrrp2,
        ..plan(100)
    };
    let us = backup(old.clone());
    let slower = RouterPlan {
        interval: Interval::from_secs(2).expect("two"),
        ..old
    };
    let plan = Plan {
        routers: vec![slower],
        ..Plan::default()
    };
    let forecast = of_plan(us.0.save(), at(10_400), &plan);
    let holders = &forecast.outcomes[0]
        .after
        .as_ref()
        .expect("it stays")
        .holders;
    let both = [Holder::We, served_by(PEER.into(), 200)];
    assert_eq!(holders, &both, "{forecast:#?}");
}

#[test]
fn a_question_changes_nothing() {
    let us = backup(plan(100));
    let before = format!("{:?}", us.0);
    us.asked(at(10_400), &[Hypothesis::PeerDown(None)]);
    assert_eq!(format!("{:?}", us.0), before);
}

fn served_by(address: IpAddr, priority: u8) -> Holder {
    let offer = Offer {
        priority: Priority::new(priority),
        bid: None,
    };
    Holder::Peer(address, offer)
}
