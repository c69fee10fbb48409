//! What operators ask for: each rule, in every version and family.

use core::time::Duration;

use crate::bench::*;
use vrrp_proto::engine::Timer;
use vrrp_proto::*;

fn all() -> [RouterPlan; 3] {
    [plan(), plan_v2(), plan_v6()]
}

fn note() -> Note {
    Note {
        by: "alice".into(),
        ..Note::default()
    }
}

fn forever() -> Standing {
    Standing {
        until: None,
        note: note(),
    }
}

fn until(bench: &Bench, time: Duration) -> Standing {
    Standing {
        until: Some(bench.now + time),
        note: note(),
    }
}

fn failover() -> Order {
    Order::Failover {
        force: false,
        note: note(),
    }
}

fn drain(terms: Standing) -> Order {
    Order::Drain {
        force: false,
        terms,
    }
}

fn set(priority: u8, terms: Standing) -> Order {
    Order::SetPriority {
        priority: Priority::new(priority),
        terms,
    }
}

fn effective(bench: &Bench) -> u8 {
    bench.status().effective_priority.get()
}

fn kinds(bench: &Bench) -> Vec<&'static str> {
    let orders = bench.status().orders.standing();
    orders.map(|order| order.kind.name()).collect()
}

/// What has left in `seen`, as priorities.
fn sent(seen: Vec<(Instant, Output)>) -> Vec<u8> {
    Did(seen.into_iter().map(|(_, output)| output).collect()).sent()
}

/// How long a successor may take to be heard.
fn leaving(bench: &Bench) -> Duration {
    let plan = bench.status().plan;
    plan.dialect.leaving_time(plan.interval)
}

#[test]
fn who_fails_over_keeps_its_addresses_until_its_successor_is_heard() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let begun = bench.now;
        let did = bench.operate(failover()).unwrap();
        assert_eq!((did.sent(), did.said()), (vec![0], vec!["role"]));
        assert_eq!(
            did.transitions(),
            [(Role::Active, Role::Backup, Reason::Ordered)]
        );
        assert!(did.desired().is_empty(), "{did:?}");
        assert!(bench.status().leaving);
        assert_eq!(bench.status().orders.handing_over_since(), Some(begun));

        bench.sleep(millis(600));
        let did = bench.hear_priority(50);
        assert_eq!(did.said(), ["left", "followed-active"]);
        assert!(matches!(did.desired()[..], [Some(desired)] if !desired.active));
        assert_eq!(bench.role(), Role::Backup);
        let outcome = bench.status().orders.outcome().unwrap();
        assert_eq!(outcome.successor.unwrap().1, Priority::new(50));
        assert_eq!((outcome.begun, outcome.after), (begun, millis(600)));
        assert_eq!(bench.status().orders.handing_over_since(), None);
    }
}

#[test]
fn and_yields_to_its_successor_until_that_is_gone() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        bench.operate(failover()).unwrap();
        for _ in 0..60 {
            let did = bench.hear_priority(50);
            assert!(did.sent().is_empty());
            assert!(bench.run(millis(1_000)).is_empty(), "it preempted");
        }
        assert_eq!(kinds(&bench), ["yield"]);
        // RFC 9568 §6.4.2: the other one gives up.
        bench.hear_priority(0);
        let did = bench.wake();
        assert_eq!(did.sent(), [100]);
        assert_eq!(kinds(&bench), [""; 0], "it has nobody to yield to any more");
        assert_eq!(bench.role(), Role::Active);
    }
}

#[test]
fn a_silence_ends_the_yield_as_well() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        bench.operate(failover()).unwrap();
        bench.hear_priority(50);
        let due = bench.timer().unwrap();
        assert_eq!(due, bench.status().active_down_interval);
        bench.wake();
        assert_eq!((bench.role(), kinds(&bench).len()), (Role::Active, 0));
    }
}

#[test]
fn and_so_does_a_reset() {
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    bench.hear_priority(50);
    bench.operate(Order::ResetPriority).unwrap();
    assert_eq!(kinds(&bench), [""; 0]);
    bench.sleep(millis(1_000));
    bench.hear_priority(50);
    bench.sleep(millis(1_000));
    bench.hear_priority(50);
    bench.sleep(millis(1_000));
    bench.hear_priority(50);
    let did = bench.wake();
    assert_eq!(did.sent(), [100], "it preempts by the usual rules");
}

#[test]
fn where_nobody_takes_over_it_is_active_again_and_its_addresses_never_left() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        bench.operate(failover()).unwrap();
        let wait = leaving(&bench);
        let begun = bench.now;
        let did = bench.wake();
        assert_eq!(bench.now, begun + wait);
        assert_eq!(
            did.transitions(),
            [(Role::Backup, Role::Active, Reason::Unclaimed)]
        );
        assert_eq!(did.sent(), [100]);
        assert!(did.desired().iter().all(|it| it.unwrap().active), "{did:?}");
        assert!(!bench.status().leaving);
        let outcome = bench.status().orders.outcome().unwrap();
        assert_eq!((outcome.successor, outcome.after), (None, wait));
        assert_eq!(kinds(&bench), [""; 0]);
        bench.applied();
        assert_eq!(bench.tick().announced(), 1, "neighbours are told again");
    }
}

#[test]
fn by_force_it_stays_out_for_a_full_silence() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let begun = bench.now;
        let order = Order::Failover {
            force: true,
            note: note(),
        };
        bench.operate(order).unwrap();
        let did = bench.wake();
        assert_eq!(did.said(), ["left"]);
        assert!(matches!(did.desired()[..], [Some(desired)] if !desired.active));
        let did = bench.wake();
        assert_eq!(bench.now, begun + bench.status().active_down_interval);
        assert_eq!(
            did.transitions(),
            [(Role::Backup, Role::Active, Reason::NoResponse)]
        );
    }
}

#[test]
fn a_successor_that_gives_up_at_once_is_followed_by_us() {
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    bench.hear_priority(0);
    assert_eq!(bench.wake().sent(), [100]);
    assert!(!bench.status().leaving);
    assert_eq!(bench.status().orders.handing_over_since(), None);
    // Nothing is left that would end later.
    bench.applied();
    bench.tick();
    assert_eq!(sent(bench.run(millis(10_500))), [100; 10]);
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn only_an_active_can_fail_over() {
    for plan in all() {
        let mut bench = Bench::backup(plan);
        assert_eq!(
            bench.operate(failover()).unwrap_err(),
            Denial::NotActive(None)
        );
        bench.hear_priority(200);
        let Denial::NotActive(Some((_, priority))) = bench.operate(failover()).unwrap_err() else {
            panic!("who is Active is known");
        };
        assert_eq!(priority, Priority::new(200));
        bench.link(None);
        let denial = bench.operate(failover()).unwrap_err();
        assert!(matches!(&denial, Denial::NoPart(faults) if faults.len() == 1));
        assert_eq!(
            denial.to_string(),
            "takes no part in the election: waiting for interface eth0 to appear"
        );
    }
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    assert_eq!(bench.operate(failover()).unwrap_err(), Denial::HandingOver);
}

/// It would let nobody have the addresses until the other one has them: but who is forced, or whose kernel refuses, may.
#[test]
fn who_has_no_addresses_yet_has_nothing_to_hand_over() {
    let fresh = || {
        let mut bench = Bench::of([plan()]);
        bench.wake();
        bench
    };
    let forced = Order::Failover {
        force: true,
        note: note(),
    };
    for order in [failover(), drain(forever())] {
        let mut bench = fresh();
        assert_eq!(
            bench.operate(order.clone()).unwrap_err(),
            Denial::NotInPlace
        );
        bench.applied();
        bench.operate(order.clone()).unwrap();
        let mut bench = fresh();
        bench.refused("no buffer space");
        bench.operate(order).unwrap();
    }
    let mut bench = fresh();
    let did = bench.operate(forced).unwrap();
    assert!(matches!(did.desired()[..], [Some(desired)] if !desired.active));
}

/// What changes is advertised at once, but not by somebody who has been replaced.
#[test]
fn an_order_that_ends_during_a_stall_is_no_reason_to_speak() {
    let mut bench = Bench::active(plan());
    let terms = until(&bench, millis(500));
    bench.operate(set(150, terms)).unwrap();
    bench.sleep(millis(9_000));
    let did = bench.tick();
    assert!(did.sent().is_empty(), "{did:?}");
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(effective(&bench), 100);
}

#[test]
fn an_owner_takes_no_orders() {
    for plan in all() {
        let facts = LinkFacts {
            ipv4: vec![("192.0.2.254".parse().unwrap(), 24)],
            link_local: vec!["fe80::fe".parse().unwrap()],
            ..facts()
        };
        let mut bench = Bench::cold([with_priority(255, plan)]);
        bench.link(Some(&facts));
        bench.applied();
        bench.tick();
        assert_eq!(bench.role(), Role::Active);
        for order in [
            failover(),
            drain(forever()),
            Order::Undrain,
            set(50, forever()),
            Order::ResetPriority,
            Order::Pin(forever()),
        ] {
            assert_eq!(bench.operate(order).unwrap_err(), Denial::Owner);
        }
        bench.operate(Order::Announce).unwrap();
    }
}

#[test]
fn a_priority_is_advertised_at_once_and_ends_by_itself() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let terms = until(&bench, millis(10_500));
        let did = bench.operate(set(50, terms)).unwrap();
        assert_eq!(did.sent(), [50]);
        assert_eq!(effective(&bench), 50);
        assert_eq!(bench.status().plan.priority.get(), 100);
        let mut seen = sent(bench.run(millis(10_499)));
        assert_eq!(seen, [50; 10]);
        let due = bench.engine.poll_timeout().unwrap();
        assert_eq!(due.timer, Timer::Order);
        let did = bench.wake();
        assert_eq!((did.sent(), did.said()), (vec![100], vec!["order-ended"]));
        seen = sent(bench.run(millis(2_500)));
        assert_eq!(seen, [100; 2]);
        assert_eq!(kinds(&bench), [""; 0]);
    }
}

#[test]
fn a_priority_until_restart_stays_until_it_is_reset() {
    let mut bench = Bench::active(plan());
    bench.operate(set(200, forever())).unwrap();
    bench.run(millis(1_000_000));
    assert_eq!((effective(&bench), kinds(&bench)), (200, vec!["priority"]));
    assert_eq!(bench.operate(Order::ResetPriority).unwrap().sent(), [100]);
    assert!(bench.operate(Order::ResetPriority).unwrap().nothing());
}

#[test]
fn a_backup_waits_by_its_new_priority_from_the_last_advertisement() {
    for plan in all() {
        let mut bench = Bench::backup(plan);
        bench.hear_priority(150);
        bench.sleep(millis(500));
        assert!(bench.operate(set(120, forever())).unwrap().nothing());
        let status = bench.status();
        let down = status
            .plan
            .dialect
            .active_down_interval(Priority::new(120), status.plan.interval);
        assert_eq!(bench.timer().unwrap(), down - millis(500));
        // And preempts, if that is now its due.
        bench.operate(set(200, forever())).unwrap();
        for _ in 0..3 {
            bench.hear_priority(150);
            bench.run(millis(1_000));
        }
        bench.hear_priority(150);
        bench.run(millis(1_000));
        assert_eq!(bench.role(), Role::Active);
    }
}

#[test]
fn who_was_about_to_preempt_and_must_not_waits_anew() {
    for order in [set(50, forever()), drain(forever()), Order::Pin(forever())] {
        let mut bench = Bench::backup(plan());
        for _ in 0..3 {
            bench.hear_priority(80);
            bench.run(millis(1_000));
        }
        bench.hear_priority(80);
        assert!(bench.timer().unwrap() < millis(1_000), "it is about to");
        bench.operate(order.clone()).unwrap();
        for _ in 0..20 {
            assert!(bench.run(millis(1_000)).is_empty(), "{order:?}");
            bench.hear_priority(80);
        }
    }
}

#[test]
fn priorities_that_cannot_be_set() {
    for priority in [0, 255] {
        assert_eq!(
            Bench::active(plan())
                .operate(set(priority, forever()))
                .unwrap_err(),
            Denial::Priority
        );
    }
}

#[test]
fn a_drained_active_hands_over_and_stays_out() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let did = bench.operate(drain(forever())).unwrap();
        assert_eq!(did.sent(), [0]);
        assert!(did.desired().is_empty());
        bench.sleep(millis(600));
        let did = bench.hear_priority(2);
        assert!(matches!(did.desired()[..], [Some(desired)] if !desired.active));
        assert_eq!((effective(&bench), kinds(&bench)), (1, vec!["drain"]));
        for _ in 0..60 {
            bench.hear_priority(2);
            assert!(bench.run(millis(1_000)).is_empty());
        }
        // The last resort: it waits longer than anybody else, and then serves.
        bench.hear_priority(2);
        let status = bench.status();
        let down = status
            .plan
            .dialect
            .active_down_interval(Priority::new(1), status.plan.interval);
        assert_eq!(bench.timer(), Some(down));
        assert_eq!(bench.wake().sent(), [1]);
        assert_eq!(kinds(&bench), ["drain"]);
        // Whoever comes back preempts it.
        bench.applied();
        assert_eq!(
            bench.hear_priority(2).transitions(),
            [(Role::Active, Role::Backup, Reason::HigherPriority)]
        );
    }
}

#[test]
fn a_drain_that_would_leave_nobody_is_taken_back() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        bench.operate(drain(forever())).unwrap();
        let did = bench.wake();
        assert_eq!(did.said(), ["order-ended", "role"]);
        assert_eq!(did.sent(), [100]);
        assert!(did.desired().iter().all(|it| it.unwrap().active));
        assert_eq!((effective(&bench), kinds(&bench).len()), (100, 0));
        assert_eq!(bench.status().orders.outcome().unwrap().successor, None);
    }
}

#[test]
fn unless_by_force_when_it_serves_as_a_last_resort() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let order = Order::Drain {
            force: true,
            terms: forever(),
        };
        bench.operate(order).unwrap();
        let did = bench.wake();
        assert_eq!((did.sent(), did.said()), (vec![1], vec!["role"]));
        assert!(did.desired().iter().all(|it| it.unwrap().active));
        assert_eq!(kinds(&bench), ["drain"]);
    }
}

#[test]
fn a_drain_ends_by_itself_or_on_request() {
    for plan in all() {
        for undrained in [false, true] {
            let mut bench = Bench::backup(plan.clone());
            bench.hear_priority(50);
            let terms = until(&bench, millis(500));
            bench.operate(drain(terms)).unwrap();
            assert_eq!(effective(&bench), 1);
            if undrained {
                assert!(bench.operate(Order::Undrain).unwrap().nothing());
            } else {
                assert_eq!(bench.wake().said(), ["order-ended"]);
            }
            assert_eq!((effective(&bench), kinds(&bench).len()), (100, 0));
            bench.run(millis(5_000));
            assert_eq!(bench.role(), Role::Active);
            assert_eq!(
                bench.operate(Order::Undrain).unwrap_err(),
                Denial::NotDrained
            );
        }
    }
}

#[test]
fn a_router_drained_before_its_first_link_is_known_never_takes_over_from_anybody() {
    for plan in all() {
        let mut bench = Bench::cold([plan]);
        bench.operate(drain(forever())).unwrap();
        bench.link(Some(&facts()));
        for _ in 0..20 {
            bench.hear_priority(2);
            assert!(bench.run(millis(1_000)).is_empty());
        }
        assert_eq!(bench.role(), Role::Backup);
    }
}

#[test]
fn a_pinned_active_advertises_what_nobody_preempts() {
    for plan in all() {
        let mut bench = Bench::active(plan);
        let terms = until(&bench, millis(10_000));
        assert_eq!(bench.operate(Order::Pin(terms)).unwrap().sent(), [254]);
        let did = bench.hear_priority(200);
        assert!(did.transitions().is_empty(), "{did:?}");
        bench.run(millis(9_999));
        let did = bench.wake();
        assert!(did.said().contains(&"order-ended"));
        assert_eq!(did.sent().last(), Some(&100));
        assert_eq!(bench.hear_priority(200).transitions().len(), 1);
    }
}

#[test]
fn a_pinned_backup_does_not_preempt() {
    for plan in all() {
        let mut bench = Bench::backup(plan);
        bench.hear_priority(50);
        bench.operate(Order::Pin(forever())).unwrap();
        assert_eq!(effective(&bench), 100, "it is not Active");
        for _ in 0..20 {
            bench.hear_priority(50);
            assert!(bench.run(millis(1_000)).is_empty());
        }
        bench.run(millis(5_000));
        assert_eq!(bench.role(), Role::Active, "after a silence it takes over");
        assert_eq!(effective(&bench), 254, "and now it is who stays");
        assert_eq!(bench.wake().sent(), [254]);
    }
}

#[test]
fn a_drain_counts_before_a_priority_and_that_before_a_pin() {
    let mut bench = Bench::active(plan());
    bench.operate(Order::Pin(forever())).unwrap();
    assert_eq!(effective(&bench), 254);
    bench.operate(set(50, forever())).unwrap();
    assert_eq!(effective(&bench), 50);
    bench.operate(drain(forever())).unwrap();
    bench.hear_priority(20);
    assert_eq!(effective(&bench), 1);
    assert_eq!(kinds(&bench), ["drain", "priority", "pin"]);
    bench.operate(Order::Undrain).unwrap();
    assert_eq!(effective(&bench), 50);
}

#[test]
fn an_active_announces_again_on_request() {
    let mut bench = Bench::of([plan()]);
    assert_eq!(
        bench.operate(Order::Announce).unwrap_err(),
        Denial::NotActive(None)
    );
    bench.wake();
    assert_eq!(
        bench.operate(Order::Announce).unwrap_err(),
        Denial::NotInPlace
    );
    bench.refused("no buffer space");
    assert_eq!(
        bench.operate(Order::Announce).unwrap_err(),
        Denial::NotInPlace
    );
    bench.applied();
    bench.run(millis(100_000));
    bench.operate(Order::Announce).unwrap();
    assert_eq!(bench.tick().announced(), 1);
}

#[test]
fn orders_outlive_a_reload_of_the_same_router() {
    let mut bench = Bench::active(plan());
    bench.operate(set(50, forever())).unwrap();
    let changed = RouterPlan {
        interval: centis(50),
        ..with_priority(120, plan())
    };
    assert_eq!(bench.reload([changed]).sent(), [50]);
    assert_eq!(bench.operate(Order::ResetPriority).unwrap().sent(), [120]);
    bench.operate(Order::Pin(forever())).unwrap();
    let did = bench.reload([with_priority(255, plan())]);
    assert_eq!(did.said()[..2], ["revised", "order-ended"]);
    assert_eq!(kinds(&bench), [""; 0]);
}

#[test]
fn a_shutdown_in_the_middle_of_a_failover_gives_everything_up() {
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    let did = bench.shutdown();
    assert_eq!(did.said(), ["left", "role"]);
    assert_eq!(did.desired(), [None]);
    assert!(bench.engine.is_stopped());
    assert_eq!(bench.engine.poll_timeout(), None);
    assert_eq!(bench.operate(failover()).unwrap_err(), Denial::Stopping);
}

#[test]
fn a_fault_in_the_middle_of_a_failover_ends_it() {
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    bench.link(None);
    let seen = bench.run(millis(10_000));
    let last = seen.into_iter().map(|(_, output)| output);
    let did = Did(last.collect());
    assert_eq!((did.sent(), did.said()), (vec![], vec!["left"]));
    assert!(matches!(did.desired()[..], [Some(desired)] if !desired.active));
    bench.link(Some(&facts()));
    bench.run(millis(10_000));
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn who_has_been_replaced_has_nothing_to_hand_over() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(5_000));
    assert_eq!(
        bench.operate(failover()).unwrap_err(),
        Denial::NotActive(None)
    );
    assert_eq!(bench.role(), Role::Backup);
}

#[test]
fn a_worker_that_dies_in_the_middle_leaves_a_successor_time_to_be_heard() {
    let mut bench = Bench::active(plan());
    bench.operate(failover()).unwrap();
    bench.sleep(millis(2_000));
    let mut saved = bench.engine.save();
    saved.revive(bench.now, |_| Trace::default());
    let mut engine = Engine::resume(saved);
    while engine.poll_output().is_some() {}
    engine.handle_timeout(bench.now);
    assert!(engine.poll_output().is_none(), "it decides nothing yet");
    let wait = leaving(&bench);
    engine.handle_timeout(bench.now + wait);
    assert_eq!(engine.status().next().unwrap().role, Role::Active);
}

#[test]
fn what_an_older_program_left_has_no_orders() {
    let bench = Bench::active(plan());
    let text = serde_json::to_string(&bench.engine.save()).unwrap();
    let orders = serde_json::to_string(&Orders::default()).unwrap();
    let older = text.replace(&format!("\"orders\":{orders},"), "");
    assert_ne!(older, text);
    let engine = Engine::resume(serde_json::from_str(&older).unwrap());
    assert_eq!(engine.status().next().unwrap().orders, &Orders::default());
}

#[test]
fn nobody_else_is_spoken_to() {
    let mut bench = Bench::active(plan());
    let now = bench.now;
    let outcome = bench.engine.operate(now, "lan4", failover());
    assert_eq!(outcome, Err(Denial::NoSuchRouter));
    assert!(bench.engine.poll_output().is_none());
}
