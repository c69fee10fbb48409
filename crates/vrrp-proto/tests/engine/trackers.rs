//! Trackers: samples become levels, and levels become priorities and faults.

use core::time::Duration;

use crate::bench::*;
use vrrp_proto::*;

fn tracker(name: &str, hysteresis: Hysteresis) -> TrackerPlan {
    TrackerPlan {
        name: name.into(),
        hysteresis,
        kind: TrackerKind::Interface {
            interface: "eth1".into(),
            carrier: true,
        },
    }
}

fn quick() -> Hysteresis {
    Hysteresis::default()
}

fn track(tracker: &str, effect: Effect) -> Track {
    Track {
        tracker: tracker.into(),
        effect,
        reverse: false,
        by_group: false,
    }
}

/// One router of this priority with these references, and the trackers that they name.
fn plan_with(priority: u8, hysteresis: Hysteresis, track: &[Track]) -> Plan {
    let mut names: Vec<_> = track.iter().map(|it| it.tracker.clone()).collect();
    names.dedup();
    Plan {
        routers: vec![RouterPlan {
            track: track.to_vec(),
            ..with_priority(priority, plan())
        }],
        trackers: names.iter().map(|name| tracker(name, hysteresis)).collect(),
    }
}

fn backup(plan: &Plan) -> Bench {
    let mut bench = Bench::cold_plan(plan);
    bench.link(Some(&facts()));
    bench
}

/// An Active with its addresses in place, all of whose trackers are up.
fn active(plan: &Plan) -> Bench {
    let mut bench = backup(plan);
    for tracker in &plan.trackers {
        bench.sample(&tracker.name, Level::Up, "eth1 has a carrier");
    }
    while bench.role() != Role::Active {
        bench.wake();
    }
    bench.applied();
    bench.tick();
    bench
}

fn effective(bench: &Bench) -> u8 {
    bench.status().effective_priority.get()
}

fn level(bench: &Bench) -> Level {
    bench.engine.trackers()[0].level()
}

const UPLINK: &str = "uplink";

#[test]
fn an_active_advertises_what_a_tracker_adds_at_once() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-40))]);
    let mut bench = active(&plan);
    let did = bench.sample(UPLINK, Level::Down, "eth1 has no carrier");
    assert_eq!(did.sent(), [160]);
    assert_eq!(did.said(), ["tracker", "adjusted"]);
    assert_eq!(
        did.happenings()[1].to_string(),
        "uplink down: eth1 has no carrier: priority 200 - 40 = 160"
    );
    assert_eq!(did.transitions(), []);
    assert_eq!(
        bench.timer(),
        Some(millis(1000)),
        "the next one an interval later"
    );
    let did = bench.sample(UPLINK, Level::Up, "eth1 has a carrier");
    assert_eq!(did.sent(), [200]);
    assert_eq!(
        did.happenings()[1].to_string(),
        "uplink up: eth1 has a carrier: priority 200 + 0 = 200"
    );
}

#[test]
fn a_fault_releases_and_another_sample_begins_anew() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Fault)]);
    let mut bench = active(&plan);
    let did = bench.sample(UPLINK, Level::Down, "eth1 has no carrier");
    assert_eq!(did.sent(), [0], "Backups wait for their skew time only");
    assert_eq!(
        did.transitions(),
        [(Role::Active, Role::Initialize, Reason::Fault)]
    );
    assert_eq!(
        bench.faults(),
        ["tracker uplink is down: eth1 has no carrier"]
    );
    let did = bench.sample(UPLINK, Level::Up, "eth1 has a carrier");
    assert_eq!(
        did.transitions(),
        [(Role::Initialize, Role::Backup, Reason::Startup)]
    );
    assert!(bench.faults().is_empty());
}

#[test]
fn numbers_add_up_and_end_at_1_and_254() {
    let both = [
        track(UPLINK, Effect::Weight(-40)),
        track("bonus", Effect::Weight(100)),
    ];
    let mut bench = active(&plan_with(200, quick(), &both));
    assert_eq!(effective(&bench), 254, "200 + 100");
    bench.sample(UPLINK, Level::Down, "");
    assert_eq!(effective(&bench), 254, "200 - 40 + 100");
    bench.sample("bonus", Level::Down, "");
    assert_eq!(effective(&bench), 160);
    let deep = [track(UPLINK, Effect::Weight(-253))];
    let mut bench = active(&plan_with(100, quick(), &deep));
    bench.sample(UPLINK, Level::Down, "");
    assert_eq!(effective(&bench), 1);
}

#[test]
fn a_measured_offset_is_multiplied_and_needs_no_hysteresis() {
    let slow = Hysteresis {
        rise: 3,
        fall: 3,
        ..quick()
    };
    let mut bench = backup(&plan_with(100, slow, &[track("load", Effect::Weight(2))]));
    let measure = |bench: &mut Bench, level, offset| {
        let sample = Sample {
            level,
            offset,
            detail: String::new(),
        };
        let (tracker, sample) = ("load", &sample);
        bench.input(Input::Sample { tracker, sample });
        effective(bench)
    };
    assert_eq!(measure(&mut bench, Level::Up, Some(-10)), 80);
    assert_eq!(measure(&mut bench, Level::Up, Some(7)), 114);
    assert_eq!(measure(&mut bench, Level::Up, Some(i16::MAX)), 254);
    assert_eq!(measure(&mut bench, Level::Up, Some(i16::MIN)), 1);
    // Without a measurement the rule is the ordinary one.
    assert_eq!(measure(&mut bench, Level::Up, None), 102);
}

#[test]
fn an_owner_stays_one() {
    let all = [
        track(UPLINK, Effect::Weight(-40)),
        track("bgp", Effect::Fault),
    ];
    let mut bench = Bench::cold_plan(&plan_with(255, quick(), &all));
    let mut owner = facts();
    owner.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    bench.link(Some(&owner));
    assert_eq!(bench.role(), Role::Active);
    for name in [UPLINK, "bgp"] {
        let did = bench.sample(name, Level::Down, "gone");
        assert_eq!((did.sent(), did.said()), (vec![], vec!["tracker"]));
    }
    assert_eq!((bench.role(), effective(&bench)), (Role::Active, 255));
}

#[test]
fn reversed_down_is_up() {
    let reversed = |effect| Track {
        reverse: true,
        by_group: false,
        ..track(UPLINK, effect)
    };
    let mut bench = backup(&plan_with(100, quick(), &[reversed(Effect::Fault)]));
    assert!(bench.faults().is_empty(), "unknown is neither");
    bench.sample(UPLINK, Level::Up, "there is a route");
    assert_eq!(bench.faults(), ["tracker uplink is up: there is a route"]);
    let mut bench = backup(&plan_with(100, quick(), &[reversed(Effect::Weight(-40))]));
    bench.sample(UPLINK, Level::Up, "");
    assert_eq!(effective(&bench), 60);
    bench.sample(UPLINK, Level::Down, "");
    assert_eq!(effective(&bench), 100);
}

#[test]
fn a_backup_with_a_lower_priority_no_longer_preempts() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-150))]);
    let mut bench = backup(&plan);
    bench.sample(UPLINK, Level::Up, "");
    bench.hear_priority(100);
    bench.run(millis(3_000));
    bench.hear_priority(100);
    bench.sample(UPLINK, Level::Down, "");
    let seen = bench.run(millis(1_000));
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn one_that_is_up_again_preempts_a_full_silence_later() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-150))]);
    let mut bench = backup(&plan);
    bench.sample(UPLINK, Level::Down, "");
    bench.hear_priority(100);
    bench.run(millis(500));
    bench.sample(UPLINK, Level::Up, "");
    // 3 s and the skew time of priority 200, from the last advertisement that counted.
    assert_eq!(bench.timer(), Some(micros(2_500_000 + 218_750)));
}

#[test]
fn who_was_silent_for_too_long_says_nothing_new() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-40))]);
    let mut bench = active(&plan);
    bench.sleep(millis(10_000));
    let did = bench.sample(UPLINK, Level::Down, "");
    assert!(did.sent().is_empty());
    assert_eq!(
        did.transitions(),
        [(Role::Active, Role::Backup, Reason::Late)]
    );
}

#[test]
fn rise_and_fall_count_samples_in_a_row() {
    let slow = Hysteresis {
        rise: 2,
        fall: 3,
        ..quick()
    };
    let mut bench = backup(&plan_with(100, slow, &[track(UPLINK, Effect::Fault)]));
    let mut levels = |samples: &str| -> String {
        let each = samples.chars().map(|sample| {
            let what = if sample == 'u' {
                Level::Up
            } else {
                Level::Down
            };
            bench.sample(UPLINK, what, "");
            if level(&bench) == Level::Up { 'u' } else { 'd' }
        });
        each.collect()
    };
    assert_eq!(levels("uddudddduduu"), "uuuuuudddddu");
}

#[test]
fn delays_are_cancelled_by_a_contradiction() {
    let damped = Hysteresis {
        up_delay: millis(5_000),
        down_delay: millis(200),
        ..quick()
    };
    let mut bench = backup(&plan_with(100, damped, &[track(UPLINK, Effect::Fault)]));
    bench.sample(UPLINK, Level::Up, "");
    for _ in 0..10 {
        bench.sample(UPLINK, Level::Down, "eth1 has no carrier");
        bench.run(millis(199));
        assert_eq!(level(&bench), Level::Up);
        bench.sample(UPLINK, Level::Up, "");
        bench.run(millis(100));
    }
    bench.sample(UPLINK, Level::Down, "eth1 has no carrier");
    bench.run(millis(200));
    assert_eq!(
        bench.faults(),
        ["tracker uplink is down: eth1 has no carrier"]
    );
    // Repeated samples do not make it later.
    bench.sample(UPLINK, Level::Up, "");
    for _ in 0..4 {
        bench.run(millis(1_000));
        bench.sample(UPLINK, Level::Up, "");
    }
    assert_eq!(level(&bench), Level::Down);
    bench.run(millis(1_000));
    assert_eq!(level(&bench), Level::Up);
}

#[test]
fn unknown_is_neither_but_not_for_ever() {
    let both = [
        track(UPLINK, Effect::Weight(-40)),
        track("bonus", Effect::Weight(20)),
    ];
    let mut bench = backup(&plan_with(100, quick(), &both));
    assert_eq!(effective(&bench), 100);
    bench.sample(UPLINK, Level::Unknown, "the agent has just begun");
    bench.run(millis(9_999));
    assert_eq!((level(&bench), effective(&bench)), (Level::Unknown, 100));
    bench.run(millis(1));
    assert_eq!((level(&bench), effective(&bench)), (Level::Down, 60));
    assert_eq!(bench.engine.trackers()[0].detail(), "no result for 10 s");
}

#[test]
fn a_start_state_is_a_level_from_the_beginning() {
    let down = Hysteresis {
        start: Level::Down,
        rise: 2,
        ..quick()
    };
    let mut bench = backup(&plan_with(100, down, &[track(UPLINK, Effect::Fault)]));
    assert_eq!(bench.faults(), ["tracker uplink is down: no result yet"]);
    bench.sample(UPLINK, Level::Up, "");
    assert_eq!(level(&bench), Level::Down);
    bench.sample(UPLINK, Level::Up, "");
    assert_eq!((level(&bench), bench.role()), (Level::Up, Role::Backup));
}

#[test]
fn results_go_stale() {
    let fresh = Hysteresis {
        stale_after: Some(Duration::from_secs(30)),
        ..quick()
    };
    let mut bench = backup(&plan_with(
        100,
        fresh,
        &[track(UPLINK, Effect::Weight(-40))],
    ));
    bench.sample(UPLINK, Level::Up, "");
    bench.run(millis(29_000));
    bench.sample(UPLINK, Level::Up, "");
    bench.run(millis(29_999));
    assert_eq!(level(&bench), Level::Up);
    bench.run(millis(1));
    assert_eq!((level(&bench), effective(&bench)), (Level::Down, 60));
    let later = bench.engine.poll_timeout().unwrap();
    assert_ne!(later.timer, engine::Timer::Tracker, "once is enough");
}

#[test]
fn a_reload_keeps_what_is_known_of_what_is_still_watched() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-40))]);
    let mut bench = active(&plan);
    bench.sample(UPLINK, Level::Down, "eth1 has no carrier");

    // Another weight, another hysteresis: the same thing is watched.
    let mut other = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-50))]);
    other.trackers[0].hysteresis.rise = 2;
    let did = bench.reload_plan(&other);
    assert_eq!((did.sent(), did.transitions()), (vec![150], vec![]));
    bench.sample(UPLINK, Level::Up, "");
    assert_eq!(effective(&bench), 150);

    // Something else is watched: nothing is known of it.
    other.trackers[0].kind = TrackerKind::Interface {
        interface: "eth2".into(),
        carrier: true,
    };
    let did = bench.reload_plan(&other);
    assert_eq!(did.sent(), [200]);
    assert_eq!(level(&bench), Level::Unknown);

    // It may go, and its samples may still come.
    let none = plan_with(200, quick(), &[]);
    bench.reload_plan(&none);
    let did = bench.sample(UPLINK, Level::Down, "");
    assert!(did.nothing());
    assert_eq!(effective(&bench), 200);
}

#[test]
fn what_an_operator_sets_is_what_trackers_add_to() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-40))]);
    let mut bench = active(&plan);
    let terms = Standing {
        until: None,
        note: Note::default(),
    };
    let priority = Priority::new(100);
    bench
        .operate(Order::SetPriority {
            priority,
            terms: terms.clone(),
        })
        .unwrap();
    bench.sample(UPLINK, Level::Down, "");
    assert_eq!(effective(&bench), 60);
    bench.operate(Order::ResetPriority).unwrap();
    assert_eq!(effective(&bench), 160);
    bench.operate(Order::Pin(terms)).unwrap();
    assert_eq!(effective(&bench), 254, "a pin says exactly what it is");
}

#[test]
fn a_fault_that_ends_before_the_interface_is_known_starts_nothing() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Fault)]);
    let mut bench = Bench::cold_plan(&plan);
    bench.sample(UPLINK, Level::Down, "");
    bench.sample(UPLINK, Level::Up, "");
    assert_eq!(bench.role(), Role::Initialize);
    bench.sample(UPLINK, Level::Down, "eth1 is down");
    bench.link(Some(&facts()));
    assert_eq!(bench.faults(), ["tracker uplink is down: eth1 is down"]);
}

#[test]
fn nothing_is_adjusted_by_an_engine_that_stops() {
    let plan = plan_with(200, quick(), &[track(UPLINK, Effect::Weight(-40))]);
    let mut bench = active(&plan);
    bench.shutdown();
    assert!(bench.sample(UPLINK, Level::Down, "").nothing());
}
