//! `poll_timeout` never lies: never later than a deadline, and calls that come too early do nothing.

use crate::bench::*;
use core::time::Duration;
use vrrp_proto::*;

fn never_later(bench: &mut Bench) {
    let first = bench
        .engine
        .status()
        .filter_map(|status| status.deadline)
        .min();
    let wakeup = bench.engine.poll_timeout().map(|wakeup| wakeup.at);
    match (first, wakeup) {
        (Some(first), Some(wakeup)) => assert!(wakeup <= first),
        (None, _) => {}
        (Some(_), None) => panic!("a deadline nobody wakes up for"),
    }
}

#[test]
fn spurious_calls_are_harmless() {
    for mut bench in [
        Bench::cold([plan()]),
        Bench::backup(plan()),
        Bench::active(plan()),
    ] {
        let before = bench.engine.poll_timeout();
        for _ in 0..1_000 {
            assert!(bench.tick().nothing());
        }
        assert_eq!(bench.engine.poll_timeout(), before);
    }
}

#[test]
fn a_deadline_that_moves_is_followed() {
    let mut bench = Bench::backup(plan());
    for (priority, down) in [
        (200, 3_609_375),
        (0, 609_375),
        (200, 3_609_375),
        (0, 609_375),
        (150, 3_609_375),
    ] {
        bench.sleep(millis(100));
        bench.hear_priority(priority);
        let wakeup = bench.engine.poll_timeout().unwrap();
        assert_eq!(wakeup.at.saturating_since(bench.now), micros(down));
        assert_eq!(wakeup.timer, engine::Timer::ActiveDown);
        never_later(&mut bench);
    }
}

#[test]
fn the_names_of_the_timers() {
    use engine::Timer;
    let mut bench = Bench::backup(plan());
    assert_eq!(
        bench.engine.poll_timeout().unwrap().timer,
        Timer::ActiveDown
    );
    bench.wake();
    assert_eq!(
        bench.engine.poll_timeout().unwrap().timer,
        Timer::Advertisement
    );
    bench.applied();
    assert_eq!(
        bench.engine.poll_timeout().unwrap().timer,
        Timer::Announcement
    );
    bench.refused("no");
    // It hopes for a second before it gives up.
    bench.run(millis(1_000));
    assert_eq!(
        bench.engine.poll_timeout().unwrap().timer,
        Timer::KernelRetry
    );
}

#[test]
fn many_routers_all_get_their_turn() {
    let routers = (1..=200_u8).map(|vrid| RouterPlan {
        name: format!("r{vrid}"),
        vrid: Vrid::new(vrid).unwrap(),
        priority: Priority::new(vrid),
        interval: centis(u16::from(vrid)),
        ..plan()
    });
    let mut bench = Bench::of(routers);
    let begin = bench.now;
    let mut last = begin;
    for _ in 0..20_000 {
        never_later(&mut bench);
        let at = bench.engine.poll_timeout().unwrap().at;
        assert!(at >= last, "time goes forward");
        last = at;
        bench.wake();
    }
    for status in bench.engine.status() {
        let down = status
            .plan
            .dialect
            .active_down_interval(status.plan.priority, status.plan.interval);
        let active = last.saturating_since(begin + down);
        // One at the takeover, one after each interval; the last instant may be half done.
        let expected = active.as_nanos() / status.plan.interval.duration().as_nanos() + 1;
        let sent = u128::from(status.statistics.advertisement_sent);
        assert!(
            sent == expected || sent + 1 == expected,
            "{}: {sent} of {expected}",
            status.plan.name
        );
    }
}

#[test]
fn a_router_that_is_late_acts_once_a_call() {
    let mut bench = Bench::active(plan());
    bench.sleep(Duration::from_millis(2_500));
    assert_eq!(bench.tick().sent().len(), 1);
    assert_eq!(bench.tick().sent().len(), 0);
}
