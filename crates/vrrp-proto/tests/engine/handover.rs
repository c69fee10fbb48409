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
