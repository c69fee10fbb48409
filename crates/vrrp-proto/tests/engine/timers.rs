//! Timers, exact to the nanosecond (RFC 9568 §6.1, §6.4; RFC 3768 §6.1, §6.4). Numbers R11 to R37 are standards.md §10's.

use crate::bench::*;
use core::time::Duration;
use vrrp_proto::*;

fn nanos(nanos: u64) -> Duration {
    Duration::from_nanos(nanos)
}

fn with_interval(centis: u16, plan: RouterPlan) -> RouterPlan {
    RouterPlan {
        interval: Interval::from_centis(centis).unwrap(),
        ..plan
    }
}

/// Silence from the start: when it takes over.
#[test]
fn r11_to_r14_silence() {
    #[rustfmt::skip]
    let rows: [(&str, RouterPlan, u64); 9] = [
        ("R11 v3",        plan(),                                      3_609_375_000),
        ("R11 v2",        plan_v2(),                                   3_609_375_000),
        ("R11 v6",        plan_v6(),                                   3_609_375_000),
        ("R12 v3 254",    with_priority(254, plan()),                  3_007_812_500),
        ("R12 v3 1",      with_priority(1, plan()),                    3_996_093_750),
        ("R13 10 cs",     with_interval(10, plan()),                     360_937_500),
        ("R13 300 cs",    with_interval(300, plan()),                 10_828_125_000),
        ("R14 v2 3 s",    with_interval(300, plan_v2()),               9_609_375_000),
        ("1 cs, 254",     with_priority(254, with_interval(1, plan())),   30_078_125),
    ];
    for (name, plan, down) in rows {
        let mut bench = Bench::backup(plan);
        bench.sleep(nanos(down - 1));
        assert!(bench.tick().nothing(), "{name}: not before");
        bench.sleep(nanos(1));
        assert_eq!(bench.tick().sent().len(), 1, "{name}: not after");
        assert_eq!(bench.role(), Role::Active, "{name}");
    }
}

#[test]
fn r8_an_active_keeps_its_interval() {
    // RFC 9568 §6.4.3; late wake-ups do not add up.
    for plan in [
        plan(),
        plan_v2(),
        with_interval(1, plan()),
        with_interval(4095, plan_v6()),
    ] {
        let interval = plan.interval.duration();
        let mut bench = Bench::active(plan);
        let mut due = bench.status().deadline.unwrap();
        for late in 0..20 {
            bench.now = due + interval / 100 * late;
            assert_eq!(bench.tick().sent().len(), 1);
            due = due + interval;
            assert_eq!(bench.status().deadline, Some(due));
        }
    }
}

/// What a Backup of priority 100 heard, and when it takes over after the last of it.
#[test]
fn r22_to_r27_after_an_advertisement() {
    type Heard = fn(&mut Bench);
    #[rustfmt::skip]
    let rows: [(&str, RouterPlan, Heard, u64); 12] = [
        ("R20 higher",            plan(),    |b| { b.hear_priority(101); },  3_609_375_000),
        ("R21 equal",             plan(),    |b| { b.hear(&Packet::of(&plan(), 100).from("192.0.2.1")); }, 3_609_375_000),
        ("R24 priority 0, v3",    plan(),    |b| { b.hear_priority(0); },      609_375_000),
        ("R24 priority 0, v2",    plan_v2(), |b| { b.hear_priority(0); },      609_375_000),
        ("R24 priority 0, v6",    plan_v6(), |b| { b.hear_priority(0); },      609_375_000),
        ("R25 slower",            plan(),    |b| { b.hear(&Packet::of(&plan(), 200).centis(300)); }, 10_828_125_000),
        ("R26 faster",            plan(),    |b| { b.hear(&Packet::of(&plan(), 200).centis(10)); },  360_937_500),
        ("R27 skew learned",      plan(),    |b| { b.hear(&Packet::of(&plan(), 200).centis(300)); b.hear_priority(0); }, 1_828_125_000),
        ("priority 0 teaches no interval", plan(), |b| { b.hear(&Packet::of(&plan(), 0).centis(300)); }, 609_375_000),
        ("R29 v2 other interval", plan_v2(), |b| { b.hear(&Packet::of(&plan_v2(), 200).byte(5, 2)); }, 3_609_375_000),
        ("v2 skew at 3 s",        with_interval(300, plan_v2()), |b| { b.hear_priority(0); }, 609_375_000),
        ("v3 skew at 3 s",        with_interval(300, plan()), |b| { b.hear_priority(0); }, 1_828_125_000),
    ];
    for (name, plan, heard, down) in rows {
        let mut bench = Bench::backup(plan);
        if !name.starts_with("R29") {
            bench.sleep(millis(200));
        }
        heard(&mut bench);
        assert_eq!(bench.timer(), Some(nanos(down)), "{name}");
        bench.wake();
        assert_eq!(bench.role(), Role::Active, "{name}");
    }
}

#[test]
fn r22_losers_do_not_restart_the_timer() {
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::backup(plan);
        bench.hear_priority(200);
        for _ in 0..7 {
            bench.sleep(millis(500));
            assert!(bench.tick().nothing());
            bench.hear_priority(50);
        }
        assert_eq!(bench.timer(), Some(micros(109_375)));
    }
}

#[test]
fn r23_a_polite_backup_follows_losers() {
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::backup(RouterPlan {
            preempt: false,
            ..plan
        });
        for _ in 0..30 {
            bench.hear_priority(50);
            bench.sleep(millis(1_000));
            assert!(bench.tick().nothing());
        }
        bench.hear_priority(50);
        assert_eq!(bench.timer(), Some(micros(3_609_375)));
    }
}

#[test]
fn r28_an_active_uses_its_own_interval_whatever_it_learned() {
    for learned in [300, 10] {
        let mut bench = Bench::backup(plan());
        bench.hear(&Packet::of(&plan(), 200).centis(learned));
        let did = bench.wake();
        assert_eq!(did.transmits()[0].message[4..6], [0, 100]);
        assert_eq!(bench.timer(), Some(millis(1_000)));
    }
}

#[test]
fn r29_another_interval_is_counted_in_version_2() {
    let mut bench = Bench::backup(plan_v2());
    bench.hear(&Packet::of(&plan_v2(), 200).byte(5, 2));
    assert_eq!(bench.statistics().interval_errors, 1);
    assert_eq!(bench.statistics().advertisement_rcvd, 0);
}

#[test]
fn r37_an_active_that_yields_learns() {
    let mut bench = Bench::active(plan());
    bench.hear(&Packet::of(&plan(), 200).centis(50));
    assert_eq!(bench.timer(), Some(nanos(1_804_687_500)));
    // Version 2 has nothing to learn.
    let mut bench = Bench::active(plan_v2());
    bench.hear_priority(200);
    assert_eq!(bench.timer(), Some(micros(3_609_375)));
}

#[test]
fn r15_an_owner_waits_for_nobody() {
    let mut facts = facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    for plan in [plan(), plan_v2()] {
        let mut bench = Bench::cold([with_priority(255, plan)]);
        assert_eq!(bench.link(Some(&facts)).sent(), [255]);
        assert_eq!(bench.timer(), Some(millis(1_000)));
    }
}
