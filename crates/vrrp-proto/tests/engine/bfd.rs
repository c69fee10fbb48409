//! A BFD session that went down: the Active is gone, and a Backup that was asked to believe it waits for its skew time only.

use core::num::NonZeroU8;

use crate::bench::*;
use vrrp_proto::*;

/// Whose advertisements [`Packet::of`] makes.
const PEER: &str = "192.0.2.200";
const WHY: &str = "no packet from 192.0.2.200 for 150 ms";

fn session(name: &str, peer: &str) -> TrackerPlan {
    TrackerPlan {
        name: name.into(),
        hysteresis: Hysteresis::default(),
        kind: TrackerKind::Bfd {
            peer: ip(peer),
            source: None,
            interface: "eth0".into(),
            desired_min_tx: millis(50),
            required_min_rx: millis(50),
            multiplier: NonZeroU8::new(3).unwrap(),
        },
    }
}

fn plan_with(router: RouterPlan, peer: &str, effect: Effect) -> Plan {
    let track = vec![Track {
        tracker: "peer".into(),
        effect,
        reverse: false,
        by_group: false,
    }];
    Plan {
        routers: vec![RouterPlan { track, ..router }],
        trackers: vec![session("peer", peer)],
    }
}

/// A Backup of this plan that has just heard an Active of priority 200.
fn backup(plan: &Plan) -> Bench {
    let mut bench = Bench::cold_plan(plan);
    bench.link(Some(&facts()));
    bench.sample("peer", Level::Up, "192.0.2.200 answers");
    bench.hear_priority(200);
    assert_eq!(bench.role(), Role::Backup);
    bench
}

fn lost(bench: &mut Bench) -> Did {
    bench.input(Input::PeerLost {
        tracker: "peer",
        detail: WHY,
    })
}

fn takeover() -> Plan {
    plan_with(plan(), PEER, Effect::Takeover)
}

/// 256 - 100 of 256 parts of a second (RFC 9568 §6.1).
fn skew() -> core::time::Duration {
    micros(609_375)
}

#[test]
fn the_skew_time_is_what_is_left() {
    let mut bench = backup(&takeover());
    bench.sleep(millis(300));
    let did = lost(&mut bench);
    assert_eq!(bench.timer(), Some(skew()));
    assert_eq!(did.said(), ["peer-lost"]);
    assert_eq!(
        did.happenings()[0].to_string(),
        "the Active 192.0.2.200 is gone, says peer: no packet from 192.0.2.200 for 150 ms; takes over in 609 ms unless an Active is heard"
    );
    // Said again it is no later.
    bench.sleep(millis(100));
    assert!(lost(&mut bench).nothing());
    let did = bench.wake();
    assert_eq!(
        did.transitions(),
        [(Role::Backup, Role::Active, Reason::BfdDown)]
    );
    assert_eq!(did.sent(), [100]);
}

#[test]
fn the_order_of_the_priorities_is_kept() {
    for (priority, left) in [(1, 996_093), (100, 609_375), (199, 222_656)] {
        let router = with_priority(priority, plan());
        let mut bench = backup(&plan_with(router, PEER, Effect::Takeover));
        lost(&mut bench);
        assert_eq!(
            bench.timer().map(|it| it.as_micros()),
            Some(left),
            "{priority}"
        );
    }
}

#[test]
fn who_is_heard_again_is_followed() {
    let mut bench = backup(&takeover());
    lost(&mut bench);
    bench.sleep(millis(500));
    bench.hear_priority(200);
    assert_eq!(bench.timer(), Some(millis(3000) + skew()));
    assert_eq!(bench.run(millis(3000)).len(), 0);
    assert_eq!(bench.role(), Role::Backup);
    // And its silence is a silence as ever.
    assert_eq!(
        bench.wake().transitions(),
        [(Role::Backup, Role::Active, Reason::NoResponse)]
    );
}

/// Session and tracker say nothing about an Active that speaks from elsewhere, or about none.
#[test]
fn only_the_peer_of_the_session_is_lost_with_it() {
    let mut bench = backup(&takeover());
    let other = Packet::of(&plan(), 210).from("192.0.2.201");
    bench.hear(&other);
    assert!(lost(&mut bench).nothing());
    assert_eq!(bench.timer(), Some(millis(3000) + skew()));

    let mut nobody = Bench::cold_plan(&takeover());
    nobody.link(Some(&facts()));
    let left = nobody.timer();
    assert!(lost(&mut nobody).nothing());
    assert_eq!(nobody.timer(), left);

    let mut unknown = backup(&takeover());
    let input = Input::PeerLost {
        tracker: "another",
        detail: WHY,
    };
    assert!(unknown.input(input).nothing());
}

#[test]
fn who_did_not_ask_is_not_told() {
    for effect in [Effect::Weight(-40), Effect::Fault] {
        let mut bench = backup(&plan_with(plan(), PEER, effect));
        assert!(lost(&mut bench).nothing());
        assert_eq!(bench.timer(), Some(millis(3000) + skew()));
    }
}

#[test]
fn an_active_and_an_owner_do_not_care() {
    let mut bench = Bench::cold_plan(&takeover());
    bench.link(Some(&facts()));
    while bench.role() != Role::Active {
        bench.wake();
    }
    let left = bench.timer();
    assert!(lost(&mut bench).nothing());
    assert_eq!(bench.timer(), left);
}

/// It adds nothing to the priority, and is no fault: whatever the level is.
#[test]
fn a_session_that_is_down_changes_no_priority() {
    let mut bench = backup(&takeover());
    for level in [Level::Down, Level::Up, Level::Down] {
        let did = bench.sample("peer", level, WHY);
        assert_eq!(did.said(), ["tracker"]);
        assert_eq!(bench.status().effective_priority.get(), 100);
        assert_eq!(bench.faults(), Vec::<String>::new());
        // A session that was switched off is down, too, and nobody is lost.
        assert_eq!(bench.timer(), Some(millis(3000) + skew()));
    }
}

#[test]
fn a_session_that_is_up_keeps_no_silent_active_alive() {
    let mut bench = backup(&takeover());
    bench.run(millis(2000));
    bench.sample("peer", Level::Up, "192.0.2.200 answers");
    assert_eq!(bench.timer(), Some(millis(1000) + skew()));
    assert_eq!(
        bench.wake().transitions(),
        [(Role::Backup, Role::Active, Reason::NoResponse)]
    );
}

/// A release says more than a session, and said it earlier.
#[test]
fn a_release_stays_one() {
    let mut bench = backup(&takeover());
    bench.hear_priority(0);
    bench.sleep(millis(200));
    assert!(lost(&mut bench).nothing());
    assert_eq!(
        bench.wake().transitions(),
        [(Role::Backup, Role::Active, Reason::Released)]
    );
}

/// Another priority does not give the Active time that it does not need.
#[test]
fn a_reload_does_not_bring_it_back_to_life() {
    let mut bench = backup(&takeover());
    lost(&mut bench);
    bench.sleep(millis(100));
    bench.reload_plan(&plan_with(
        with_priority(120, plan()),
        PEER,
        Effect::Takeover,
    ));
    assert_eq!(bench.timer(), Some(skew() - millis(100)));
}

#[test]
fn over_ipv6_the_peer_is_known_by_its_link_local_address() {
    let plan = plan_with(plan_v6(), "fe80::200", Effect::Takeover);
    let mut bench = Bench::cold_plan(&plan);
    bench.link(Some(&facts()));
    bench.hear(&Packet::of(&plan_v6(), 200));
    lost(&mut bench);
    assert_eq!(bench.timer(), Some(skew()));
    assert_eq!(
        bench.wake().transitions(),
        [(Role::Backup, Role::Active, Reason::BfdDown)]
    );
}
