//! A successor goes on where its predecessor stopped. That it does the same as one that was never replaced is checked by
//! the bench after every input of every test here; these tests say what that means.

use vrrp_proto::*;

use crate::bench::{Bench, handed_over, micros, millis, plan};

fn outputs(engine: &mut Engine) -> Vec<Output> {
    core::iter::from_fn(|| engine.poll_output()).collect()
}

#[test]
fn an_active_misses_no_advertisement_and_says_nothing_else() {
    let mut bench = Bench::active(plan());
    bench.run(millis(10_500));
    let due = bench.engine.poll_timeout().unwrap();
    let mut successor = handed_over(&bench.engine);
    assert_eq!(successor.poll_timeout(), Some(due));
    successor.handle_timeout(due.at);
    let sent = outputs(&mut successor);
    assert!(matches!(&sent[..], [Output::Transmit(_)]), "{sent:?}");
}

#[test]
fn it_wants_the_same_of_the_kernel_again_and_announces_nothing_for_it() {
    let mut bench = Bench::active(plan());
    let mut successor = Engine::resume(bench.engine.save());
    let wanted = outputs(&mut successor);
    let [Output::Desired(router, Some(desired))] = &wanted[..] else {
        panic!("{wanted:?}");
    };
    assert!(desired.active);
    successor.handle(
        bench.now,
        Input::Kernel {
            router: *router,
            generation: desired.generation,
            report: &KernelReport::Applied,
        },
    );
    assert!(outputs(&mut successor).is_empty());
    // The four rounds that were left of the burst are still to come.
    let announced = |seen: Vec<(Instant, Output)>| {
        seen.iter()
            .filter(|(_, output)| matches!(output, Output::Announce(_)))
            .count()
    };
    assert_eq!(announced(bench.run(millis(10_000))), 4);
}

#[test]
fn a_backup_that_was_replaced_slowly_waits_for_a_full_silence_only() {
    let mut bench = Bench::backup(plan());
    bench.hear_priority(200);
    let due = bench.engine.poll_timeout().unwrap();
    assert_eq!(
        due.at.saturating_since(bench.now),
        millis(3000) + micros(609_375)
    );
    let mut successor = handed_over(&bench.engine);
    successor.handle_timeout(due.at + micros(0));
    assert_eq!(successor.status().next().unwrap().role, Role::Active);
}

#[test]
fn a_hand_over_that_took_too_long_is_a_stall() {
    let bench = Bench::active(plan());
    let mut successor = handed_over(&bench.engine);
    successor.handle_timeout(bench.now + millis(5000));
    assert_eq!(successor.status().next().unwrap().role, Role::Backup);
    assert!(
        !outputs(&mut successor)
            .iter()
            .any(|output| matches!(output, Output::Transmit(_))),
        "it may have been replaced, and is silent"
    );
}

#[test]
fn another_configuration_is_a_reload() {
    let bench = Bench::active(plan());
    let mut successor = handed_over(&bench.engine);
    let mut changed = plan();
    changed.name = "renamed".into();
    let reload = Plan {
        routers: vec![changed],
        ..Plan::default()
    };
    successor.handle(bench.now, Input::Reload(&reload));
    outputs(&mut successor);
    let status = successor.status().next().unwrap();
    assert_eq!((status.role, &*status.plan.name), (Role::Active, "renamed"));
}

#[test]
fn identifiers_are_never_used_twice() {
    let mut bench = Bench::active(plan());
    bench.reload([]);
    let mut successor = handed_over(&bench.engine);
    let reload = Plan {
        routers: vec![plan()],
        ..Plan::default()
    };
    successor.handle(bench.now, Input::Reload(&reload));
    assert_eq!(successor.status().next().unwrap().id, RouterId(1));
}

#[test]
fn what_was_stopped_stays_stopped() {
    let mut bench = Bench::active(plan());
    bench.shutdown();
    let mut successor = Engine::resume(bench.engine.save());
    let wanted = outputs(&mut successor);
    assert!(
        matches!(&wanted[..], [Output::Desired(_, Some(desired))] if desired.active),
        "it still waits for its successor"
    );
    bench.wake();
    let mut successor = Engine::resume(bench.engine.save());
    assert!(
        outputs(&mut successor)
            .iter()
            .all(|output| matches!(output, Output::Desired(_, None)))
    );
    assert_eq!(successor.poll_timeout(), None);
}

/// The successor of a process that died at `now`, having saved its state when it last changed its role.
fn revived(saved: &Handover, now: Instant, sent: Option<Instant>) -> Engine {
    let mut saved = saved.clone();
    saved.revive(now, |_| Trace {
        sent,
        ..Trace::default()
    });
    let mut successor = Engine::resume(saved);
    outputs(&mut successor);
    successor
}

#[test]
fn an_active_that_died_goes_on_from_its_last_advertisement() {
    let mut bench = Bench::active(plan());
    let saved = bench.engine.save();
    let sent = bench.now + millis(60_000);
    bench.sleep(millis(60_300));
    let mut successor = revived(&saved, bench.now, Some(sent));
    let mut advertises_at = |at: Instant| {
        successor.handle_timeout(at);
        outputs(&mut successor)
            .iter()
            .any(|output| matches!(output, Output::Transmit(_)))
    };
    assert!(!advertises_at(bench.now));
    assert!(!advertises_at(sent + micros(999_999)));
    assert!(advertises_at(sent + millis(1000)));
    assert_eq!(successor.status().next().unwrap().role, Role::Active);
}

#[test]
fn one_that_may_have_been_replaced_stands_back_in_silence() {
    let mut bench = Bench::active(plan());
    let saved = bench.engine.save();
    let begin = bench.now;
    bench.sleep(millis(60_300));
    let down = millis(3000) + micros(609_375);
    let long_ago =
        Instant::from_nanos((bench.now.as_nanos() - u64::try_from(down.as_nanos()).unwrap()) - 1);
    let impossible = bench.now + micros(1);
    for sent in [None, Some(long_ago), Some(impossible), Some(begin)] {
        let mut successor = revived(&saved, bench.now, sent);
        successor.handle_timeout(bench.now);
        let did = outputs(&mut successor);
        assert!(
            !did.iter()
                .any(|output| matches!(output, Output::Transmit(_))),
            "{sent:?}: {did:?}"
        );
        assert_eq!(successor.status().next().unwrap().role, Role::Backup);
    }
    let just = long_ago + core::time::Duration::from_nanos(1);
    let mut successor = revived(&saved, bench.now, Some(just));
    successor.handle_timeout(bench.now);
    assert_eq!(successor.status().next().unwrap().role, Role::Active);
}

#[test]
fn a_backup_that_died_waits_for_a_full_silence_whatever_it_waited_for() {
    let mut bench = Bench::backup(plan());
    bench.hear_priority(0);
    let saved = bench.engine.save();
    let later = bench.now + millis(60_000);
    let mut successor = revived(&saved, later, None);
    let due = successor.poll_timeout().unwrap();
    assert_eq!(due.at, later + millis(3000) + micros(609_375));
    successor.handle_timeout(due.at);
    let did = outputs(&mut successor);
    assert!(
        did.iter().any(|output| matches!(
            output,
            Output::Event(event) if matches!(
                event.happening,
                Happening::Role { reason: Reason::NoResponse, .. }
            )
        )),
        "{did:?}"
    );
}

#[test]
fn a_backup_that_died_waits_by_the_interval_it_had_learned() {
    let bench = Bench::backup(plan());
    let mut saved = bench.engine.save();
    let trace = Trace {
        learned: Interval::from_centis(500),
        ..Trace::default()
    };
    saved.revive(bench.now, |_| trace);
    let mut successor = Engine::resume(saved);
    outputs(&mut successor);
    let due = successor.poll_timeout().unwrap();
    // 3 × 5 s, and 156/256 of 5 s.
    assert_eq!(due.at, bench.now + millis(15_000) + micros(3_046_875));
}

#[test]
fn counters_go_on_from_the_latest_that_is_known() {
    let mut bench = Bench::active(plan());
    let saved = bench.engine.save();
    bench.run(millis(10_500));
    let last = *bench.engine.status().next().unwrap().statistics;
    let mut revived = saved.clone();
    revived.revive(bench.now, |_| Trace {
        statistics: last,
        ..Trace::default()
    });
    let successor = Engine::resume(revived);
    assert_eq!(*successor.status().next().unwrap().statistics, last);
    let mut revived = saved;
    let global = GlobalStatistics {
        vrid_errors: 7,
        ..GlobalStatistics::default()
    };
    revived.recount(global);
    let successor = Engine::resume(revived);
    assert_eq!(successor.statistics().vrid_errors, 7);
    assert!(
        successor
            .status()
            .next()
            .unwrap()
            .statistics
            .advertisement_sent
            > 0
    );
}

/// What is written down part by part is what would have been saved as a whole.
#[test]
fn changes_make_up_the_state() {
    let other = RouterPlan {
        vrid: Vrid::new(9).unwrap(),
        name: "other".into(),
        ..plan()
    };
    let text = |state: &Handover| serde_json::to_string(state).unwrap();
    let mut bench = Bench::active(plan());
    let mut kept = Handover::default();
    kept.change(bench.engine.save_surroundings());
    for reload in [vec![plan(), other.clone()], vec![other]] {
        bench.reload(reload);
        bench.run(millis(5_000));
        // In whatever order, and also what is gone.
        for id in (0..4).rev() {
            let change = serde_json::to_string(&bench.engine.save_router(RouterId(id))).unwrap();
            kept.change(serde_json::from_str(&change).unwrap());
        }
        kept.change(bench.engine.save_surroundings());
        assert_eq!(text(&kept), text(&bench.engine.save()));
    }
}

#[test]
fn what_took_no_part_takes_none_after_that() {
    let idle = Bench::cold([plan()]);
    let saved = idle.engine.save();
    let mut successor = revived(&saved, idle.now + millis(60_000), None);
    assert_eq!(successor.status().next().unwrap().role, Role::Initialize);
    assert_eq!(successor.poll_timeout(), None);
}

/// A program that knew one data plane saved nothing about it.
#[test]
fn without_a_data_plane_it_is_a_macvlan() {
    let bench = Bench::active(plan());
    let text = serde_json::to_string(&bench.engine.save()).unwrap();
    let older = text.replace("\"data_plane\":\"Macvlan\",", "");
    assert_ne!(text, older);
    let mut successor = Engine::resume(serde_json::from_str(&older).unwrap());
    let wanted = outputs(&mut successor);
    let [Output::Desired(_, Some(desired))] = &wanted[..] else {
        panic!("{wanted:?}");
    };
    assert!(desired.active && desired.plane == DataPlane::Macvlan);
}
