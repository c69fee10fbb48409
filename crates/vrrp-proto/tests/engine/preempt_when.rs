//! What a router that comes back waits for before it preempts: a word, trackers, or both.

use vrrp_proto::*;

use crate::bench::{Bench, Did, facts, millis, plan};

const BGP: &str = "bgp";

/// A Backup that waits for this, for a minute at most.
fn waiting(ready: bool, trackers: &[&str]) -> Bench {
    let when = PreemptWhen {
        ready,
        trackers: trackers.iter().map(|name| (*name).to_owned()).collect(),
        timeout: millis(60_000),
    };
    let router = RouterPlan {
        preempt_when: Some(when),
        ..plan()
    };
    let tracker = TrackerPlan {
        name: BGP.into(),
        hysteresis: Hysteresis::default(),
        kind: TrackerKind::Interface {
            interface: "eth1".into(),
            carrier: true,
        },
    };
    let mut bench = Bench::cold_plan(&Plan {
        routers: vec![router],
        trackers: vec![tracker],
    });
    bench.link(Some(&facts()));
    bench
}

/// So many seconds beside an Active of priority 50.
fn beside(bench: &mut Bench, seconds: u32) -> Role {
    for _ in 0..seconds {
        bench.hear_priority(50);
        bench.run(millis(1000));
    }
    bench.role()
}

fn is_ready(did: &Did) -> bool {
    did.said().contains(&"ready")
}

#[test]
fn it_waits_until_a_tracker_is_up() {
    let mut bench = waiting(false, &[BGP]);
    assert_eq!(beside(&mut bench, 20), Role::Backup);
    assert_eq!(bench.status().awaits_trackers, [BGP]);
    assert!(!bench.status().awaits_word);
    assert!(!is_ready(&bench.sample(BGP, Level::Down, "no route")));
    assert_eq!(beside(&mut bench, 5), Role::Backup);
    assert!(is_ready(&bench.sample(BGP, Level::Up, "a route")));
    assert_eq!(bench.status().gate, None);
    // What comes after that is the business of `track`.
    bench.sample(BGP, Level::Down, "no route");
    assert_eq!(beside(&mut bench, 5), Role::Active);
}

#[test]
fn who_lacks_nothing_does_not_wait() {
    let mut bench = waiting(false, &[BGP]);
    bench.link(None);
    bench.sample(BGP, Level::Up, "a route");
    bench.link(Some(&facts()));
    assert_eq!(bench.status().gate, None);
    assert_eq!(beside(&mut bench, 4), Role::Active);
}

#[test]
fn of_a_word_and_a_tracker_it_waits_for_both() {
    for word_first in [false, true] {
        let mut bench = waiting(true, &[BGP]);
        assert!(bench.status().awaits_word);
        for word in [word_first, !word_first] {
            assert_eq!(beside(&mut bench, 5), Role::Backup, "{word_first}");
            if word {
                bench.operate(Order::Ready).unwrap();
                assert!(!bench.status().awaits_word);
            } else {
                bench.sample(BGP, Level::Up, "a route");
                assert!(bench.status().awaits_trackers.is_empty());
            }
        }
        assert_eq!(beside(&mut bench, 5), Role::Active, "{word_first}");
    }
}

#[test]
fn a_word_ends_the_wait_for_trackers_where_none_was_asked_for() {
    let mut bench = waiting(false, &[BGP]);
    assert_eq!(beside(&mut bench, 5), Role::Backup);
    assert!(is_ready(&bench.operate(Order::Ready).unwrap()));
    assert_eq!(beside(&mut bench, 5), Role::Active);
}

#[test]
fn it_does_not_wait_for_ever() {
    let mut bench = waiting(true, &[BGP]);
    assert_eq!(beside(&mut bench, 59), Role::Backup);
    assert_eq!(beside(&mut bench, 6), Role::Active);
}

#[test]
fn a_reload_that_asks_for_nothing_ends_the_wait() {
    let mut bench = waiting(true, &[BGP]);
    assert_eq!(beside(&mut bench, 5), Role::Backup);
    assert!(is_ready(&bench.reload([plan()])));
    assert_eq!(beside(&mut bench, 5), Role::Active);
}
