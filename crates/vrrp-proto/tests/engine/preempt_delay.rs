//! Preemption and its delay (RFC 9568 §6.4.2; RFC 8347 hold-time).

use crate::bench::*;
use vrrp_proto::*;

const DOWN: core::time::Duration = core::time::Duration::from_micros(3_609_375);

fn delayed(by: u64) -> RouterPlan {
    RouterPlan {
        preempt_delay: millis(by),
        ..plan()
    }
}

/// Hears `priority` every second until it is Active, for an hour at most; when that was and why.
fn preempts(bench: &mut Bench, priority: u8) -> Option<(core::time::Duration, Reason)> {
    let begin = bench.now;
    for _ in 0..3_600 {
        bench.hear_priority(priority);
        for (at, output) in bench.run(millis(1_000)) {
            if let Output::Event(Event {
                happening: Happening::Role { reason, .. },
                ..
            }) = output
            {
                return Some((at.saturating_since(begin), reason));
            }
        }
    }
    None
}

#[test]
fn without_delay_the_first_loser_is_already_ignored() {
    let mut bench = Bench::backup(plan());
    assert_eq!(preempts(&mut bench, 50), Some((DOWN, Reason::Preempting)));
}

#[test]
fn with_delay_losers_count_until_it_is_over() {
    // The delay ends at 10 s. The loser heard at 10 s is ignored, the one at 9 s started the timer.
    let mut bench = Bench::backup(delayed(10_000));
    let expected = millis(9_000) + DOWN;
    assert_eq!(
        preempts(&mut bench, 50),
        Some((expected, Reason::Preempting))
    );
}

#[test]
fn equal_and_higher_priorities_are_never_preempted() {
    for priority in [100, 101, 254] {
        assert_eq!(
            preempts(&mut Bench::backup(delayed(5_000)), priority),
            None,
            "{priority}"
        );
    }
}

#[test]
fn a_polite_router_never_preempts() {
    let polite = RouterPlan {
        preempt: false,
        ..plan()
    };
    assert_eq!(preempts(&mut Bench::backup(polite), 50), None);
}

#[test]
fn a_higher_active_in_between_starts_the_delay_anew() {
    let mut bench = Bench::backup(delayed(10_000));
    for _ in 0..8 {
        bench.hear_priority(50);
        bench.run(millis(1_000));
    }
    bench.hear_priority(200);
    let expected = millis(9_000) + DOWN;
    assert_eq!(
        preempts(&mut bench, 50),
        Some((expected, Reason::Preempting))
    );
}

#[test]
fn the_delay_does_not_hold_up_a_failover() {
    // Silence and priority 0 are no preemption.
    let mut bench = Bench::backup(delayed(600_000));
    bench.hear_priority(50);
    assert_eq!(bench.timer(), Some(DOWN));
    let did = bench.wake();
    assert_eq!(
        did.transitions(),
        [(Role::Backup, Role::Active, Reason::NoResponse)]
    );

    let mut bench = Bench::backup(delayed(600_000));
    bench.hear_priority(50);
    bench.hear_priority(0);
    assert_eq!(bench.timer(), Some(micros(609_375)));
    let did = bench.wake();
    assert_eq!(
        did.transitions(),
        [(Role::Backup, Role::Active, Reason::Released)]
    );
}

#[test]
fn an_active_yields_whatever_its_preemption() {
    // RFC 9568 §6.4.3 does not look at Preempt_Mode.
    for plan in [
        delayed(600_000),
        RouterPlan {
            preempt: false,
            ..plan()
        },
    ] {
        let mut bench = Bench::active(plan);
        bench.hear_priority(200);
        assert_eq!(bench.role(), Role::Backup);
    }
}

#[test]
fn an_owner_preempts_even_if_told_not_to() {
    // RFC 9568 §6.1: "the owner always preempts".
    let mut facts = facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    let mut bench = Bench::cold([RouterPlan {
        preempt: false,
        ..with_priority(255, plan())
    }]);
    bench.link(Some(&facts));
    bench.hear(&Packet::of(&plan(), 255).from("192.0.2.250"));
    assert_eq!(bench.role(), Role::Backup);
    let down = bench.timer().unwrap();
    bench.sleep(millis(500));
    bench.hear_priority(50);
    assert_eq!(
        bench.timer(),
        Some(down - millis(500)),
        "the loser does not restart its timer"
    );
}

/// Where somebody else still serves, the kernel may be made ready before the first advertisement; where nobody does, or
/// after it, nothing may wait.
#[test]
fn only_the_first_advertisement_in_place_of_a_living_active_can_wait() {
    let can_wait = |did: Vec<Output>| -> Vec<bool> {
        did.iter()
            .filter_map(|output| match output {
                Output::Transmit(transmit) => Some(!transmit.patience.is_zero()),
                Output::Announce(_) | Output::Desired(..) | Output::Event(_) => None,
            })
            .collect()
    };
    let run = |bench: &mut Bench, span| {
        let outputs = bench.run(span).into_iter();
        can_wait(outputs.map(|(_, output)| output).collect())
    };
    // Nobody is heard: it was waited long enough.
    let mut silence = Bench::backup(plan());
    assert_eq!(run(&mut silence, DOWN + millis(1_000)), [false, false]);
    // A priority of 50 every second.
    let mut preempting = Bench::backup(plan());
    let mut seen = Vec::new();
    for _ in 0..4 {
        preempting.hear_priority(50);
        seen.extend(run(&mut preempting, millis(1_000)));
    }
    assert_eq!(seen, [true]);
    // It gave up: its successor comes after the skew time.
    let mut released = Bench::backup(plan());
    released.hear_priority(200);
    released.hear_priority(0);
    assert_eq!(run(&mut released, millis(1_000)), [true]);
    assert_eq!(can_wait(released.shutdown().0), [false]);
}
