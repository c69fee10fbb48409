//! Hooks that run before the addresses go live: what waits for them, and what does not.

use vrrp_proto::engine::Timer;
use vrrp_proto::*;

use crate::bench::{Bench, Did, Packet, addresses, centis, millis, plan, with_priority};

/// What a Backup of priority 100 waits for: three intervals and its skew time.
const DOWN: u64 = 3610;

/// Its skew time.
const SKEW: u64 = 610;

fn hooked(plan: RouterPlan) -> RouterPlan {
    RouterPlan {
        pre_active: Some(PreActive {
            hooks: vec!["conntrackd".into()],
            timeout: millis(200),
        }),
        ..plan
    }
}

/// All that happened in this time.
fn pass(bench: &mut Bench, span: u64) -> Did {
    let outputs = bench.run(millis(span)).into_iter();
    Did(outputs.map(|(_, output)| output).collect())
}

/// The hooks say that they are done, `number` times so far.
fn done(bench: &mut Bench, number: u64) -> Did {
    let router = "wan4";
    let number = Some(number);
    bench.input(Input::Prepared { router, number })
}

/// In order: `V` an advertisement with the virtual MAC address, `v` one without, `+` addresses, `-` none, and the words for what
/// happened.
fn story(did: &Did) -> String {
    let word = |output: &Output| match output {
        Output::Transmit(it) => Some(if it.dormant { "v" } else { "V" }),
        Output::Announce(_) => Some("!"),
        Output::Desired(_, desired) => {
            let active = desired.as_ref().is_some_and(|it| it.active);
            Some(if active { "+" } else { "-" })
        }
        Output::Event(event) => match &event.happening {
            Happening::Preparing { .. } => Some("asks"),
            Happening::Prepared { how, .. } => Some(how.name()),
            Happening::Role { to, .. } => Some(to.name()),
            Happening::Left(_) => Some("left"),
            Happening::Faults(_)
            | Happening::FollowedActive { .. }
            | Happening::Conflict { .. }
            | Happening::Claimed { .. }
            | Happening::Refused { .. }
            | Happening::Odd { .. }
            | Happening::Late(_)
            | Happening::Repaired(_)
            | Happening::Lacks(_)
            | Happening::KernelRefused(_)
            | Happening::Revised
            | Happening::Digest(_)
            | Happening::Added
            | Happening::Removed
            | Happening::Ready(_)
            | Happening::OrderEnded { .. }
            | Happening::Tracker { .. }
            | Happening::PeerLost { .. }
            | Happening::Adjusted { .. } => None,
        },
    };
    did.0.iter().filter_map(word).collect::<Vec<_>>().join(" ")
}

/// Time passes, and an Active of priority 50 is heard every second.
fn beside_a_lower_one(bench: &mut Bench, seconds: u64) -> Did {
    let mut all = Vec::new();
    for _ in 0..seconds {
        all.extend(bench.hear_priority(50).0);
        all.extend(pass(bench, 1000).0);
    }
    Did(all)
}

#[test]
fn after_a_silence_it_advertises_at_once_and_the_addresses_wait() {
    let mut bench = Bench::backup(hooked(plan()));
    let did = pass(&mut bench, DOWN);
    assert_eq!(story(&did), "v asks active");
    let [transmit] = did.transmits()[..] else {
        panic!("{did:?}");
    };
    assert_eq!(transmit.mac, None, "no switch learns the virtual one");
    assert_eq!(bench.role(), Role::Active);
    assert!(bench.status().preparing.is_some());
    // What the kernel held as Backup is no reason to announce anything.
    assert_eq!(story(&bench.applied()), "");
    assert!(!bench.status().applied);
    let due = bench.engine.poll_timeout().unwrap();
    assert_eq!(due.timer, Timer::Preparation);

    bench.sleep(millis(12));
    let did = done(&mut bench, 1);
    assert_eq!(story(&did), "V + done");
    let transmit = did.transmits()[0];
    assert!(
        transmit.mac.is_some() && !transmit.patience.is_zero(),
        "{transmit:?}"
    );
    assert_eq!(bench.status().preparing, None);
    let did = bench.applied();
    assert!(bench.status().applied);
    assert_eq!(did.announced() + bench.tick().announced(), 1);
    // The time of the next advertisement is what it was.
    let next = bench.timer().unwrap();
    assert!((millis(987)..=millis(988)).contains(&next), "{next:?}");
    assert_eq!(story(&done(&mut bench, 1)), "", "that is known");
}

#[test]
fn a_hook_that_is_late_or_never_done_is_not_waited_for() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    assert_eq!(story(&pass(&mut bench, 198)), "");
    let did = pass(&mut bench, 2);
    assert_eq!(story(&did), "V + timed-out");
    assert_eq!(story(&done(&mut bench, 1)), "", "too late to count");
    assert!(bench.status().preparing.is_none());
}

#[test]
fn an_active_that_fell_asleep_meanwhile_does_not_wait_longer() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    bench.sleep(millis(900));
    assert_eq!(story(&bench.tick()), "V + timed-out");
}

#[test]
fn an_active_that_slept_for_too_long_does_not_go_live() {
    for answered in [false, true] {
        let mut bench = Bench::backup(hooked(plan()));
        pass(&mut bench, DOWN);
        bench.sleep(millis(5000));
        let did = if answered {
            done(&mut bench, 1)
        } else {
            bench.tick()
        };
        assert_eq!(story(&did), "backup", "somebody else has taken over");
        assert_eq!(bench.status().preparing, None);
    }
}

#[test]
fn before_it_preempts_hooks_run_while_it_is_backup() {
    let mut bench = Bench::backup(hooked(plan()));
    assert_eq!(story(&beside_a_lower_one(&mut bench, 3)), "");
    bench.hear_priority(50);
    assert_eq!(story(&pass(&mut bench, DOWN - 3000)), "asks");
    assert_eq!(bench.role(), Role::Backup);
    assert!(bench.status().preparing.is_some());
    bench.sleep(millis(40));
    let did = done(&mut bench, 1);
    assert_eq!(story(&did), "V + done active");
    assert!(!did.transmits()[0].patience.is_zero() && did.transmits()[0].mac.is_some());
    assert_eq!(bench.status().preparing, None);
}

#[test]
fn it_preempts_all_the_same_when_hooks_are_not_done() {
    let mut bench = Bench::backup(hooked(plan()));
    let did = beside_a_lower_one(&mut bench, 4);
    assert_eq!(story(&did), "asks V + timed-out active");
}

#[test]
fn who_need_not_preempt_after_all_says_so() {
    for end in 0..4 {
        let mut bench = Bench::backup(hooked(plan()));
        beside_a_lower_one(&mut bench, 3);
        bench.hear_priority(50);
        assert_eq!(story(&pass(&mut bench, DOWN - 3000)), "asks");
        if end == 1 {
            // Ready, with the timer still running: nothing is left of that either.
            bench.hear_priority(0);
            done(&mut bench, 1);
            assert_eq!(bench.role(), Role::Backup);
        }
        let did = match end {
            0 | 1 => bench.hear_priority(200),
            2 => bench.link(None),
            _ => bench.shutdown(),
        };
        let story = story(&did);
        let expected = ["called-off", "called-off", "initialize", "- initialize"];
        assert!(
            story.contains(expected[end].trim_start_matches("- ")),
            "{end}: {story}"
        );
        assert_eq!(bench.status().preparing, None, "{end}");
        if end < 2 {
            // Another time is another time.
            assert_eq!(self::story(&done(&mut bench, 1)), "");
            assert_eq!(self::story(&pass(&mut bench, DOWN)), "v asks active");
            assert_eq!(self::story(&done(&mut bench, 1)), "", "of the first time");
            assert_eq!(self::story(&done(&mut bench, 2)), "V + done");
        }
    }
}

#[test]
fn after_a_release_hooks_have_the_skew_time() {
    // Done before it is over: as if there were none.
    let mut bench = Bench::backup(hooked(plan()));
    bench.hear_priority(200);
    assert_eq!(story(&bench.hear_priority(0)), "asks");
    bench.sleep(millis(100));
    assert_eq!(story(&done(&mut bench, 1)), "");
    let did = pass(&mut bench, SKEW);
    assert_eq!(story(&did), "V + done active");
    assert!(!did.transmits()[0].patience.is_zero());
    // Not done: their time is over before the skew time is.
    let mut bench = Bench::backup(hooked(plan()));
    bench.hear_priority(200);
    bench.hear_priority(0);
    assert_eq!(story(&pass(&mut bench, SKEW)), "V + timed-out active");
    // A long wait goes on behind it.
    let mut slow = hooked(plan());
    slow.pre_active.as_mut().unwrap().timeout = millis(1000);
    let mut bench = Bench::backup(slow);
    bench.hear_priority(200);
    bench.hear_priority(0);
    let did = pass(&mut bench, SKEW);
    assert_eq!(story(&did), "v active");
    assert!(
        did.transmits()[0].patience.is_zero(),
        "nobody serves while it waits"
    );
    assert_eq!(story(&pass(&mut bench, 1000 - SKEW)), "V + timed-out");
}

#[test]
fn a_release_that_somebody_else_answers_is_called_off() {
    let mut bench = Bench::backup(hooked(plan()));
    bench.hear_priority(200);
    bench.hear_priority(0);
    let other = Packet::of(&plan(), 150).from("192.0.2.150");
    assert_eq!(story(&bench.hear(&other)), "called-off");
    assert_eq!(story(&pass(&mut bench, 200)), "");
}

#[test]
fn the_old_active_that_comes_back_takes_over_without_a_trace() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    let did = bench.hear_priority(200);
    assert_eq!(story(&did), "backup", "the kernel has heard nothing of it");
    assert_eq!(story(&pass(&mut bench, 2000)), "");
    assert_eq!(story(&done(&mut bench, 1)), "");
    // A lower one is told, and waits no less.
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    assert_eq!(story(&bench.hear_priority(50)), "v");
    assert_eq!(story(&pass(&mut bench, 200)), "V + timed-out");
}

#[test]
fn who_gives_up_before_its_addresses_were_live_keeps_none() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    bench.applied();
    let force = false;
    let note = Note::default();
    let refused = bench.operate(Order::Failover { force, note });
    assert_eq!(refused.unwrap_err(), Denial::NotInPlace);
    let did = bench.shutdown();
    assert_eq!(did.sent(), [0]);
    assert_eq!(story(&did), "v initialize -");
    assert_eq!(did.transmits()[0].mac, None, "its gate is closed");
    assert!(bench.engine.is_stopped(), "there is nothing to wait for");
}

#[test]
fn who_takes_back_what_it_still_has_prepares_nothing() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    done(&mut bench, 1);
    bench.applied();
    let force = false;
    let note = Note::default();
    let did = bench.operate(Order::Failover { force, note }).unwrap();
    assert_eq!(story(&did), "V backup");
    let did = pass(&mut bench, 2000);
    assert!(story(&did).starts_with("V"), "{}", story(&did));
    assert!(!story(&did).contains("asks"), "{}", story(&did));
    assert_eq!(bench.role(), Role::Active);
}

#[test]
fn a_claim_of_somebody_else_is_no_matter_of_who_is_not_live() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    let address = "192.0.2.254".parse().unwrap();
    let mac = MacAddress([2, 0, 0, 0, 0, 9]);
    let link = LinkId(0);
    let did = bench.input(Input::Claim { link, address, mac });
    assert!(did.nothing(), "{did:?}");
}

#[test]
fn a_reload_without_hooks_waits_for_none() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    assert_eq!(story(&bench.reload([plan()])), "V + called-off");
    assert_eq!(bench.status().preparing, None);

    let mut bench = Bench::backup(hooked(plan()));
    beside_a_lower_one(&mut bench, 3);
    bench.hear_priority(50);
    pass(&mut bench, DOWN - 3000);
    assert_eq!(story(&bench.reload([plan()])), "called-off");
    assert_eq!(story(&bench.wake()), "V + active");
}

#[test]
fn a_reload_of_something_else_does_not_shorten_the_wait() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    let other = RouterPlan {
        addresses: addresses(&["192.0.2.254", "192.0.2.253"]),
        interval: centis(50),
        ..hooked(plan())
    };
    let did = bench.reload([other]);
    assert_eq!(story(&did), "v -");
    assert_eq!(story(&bench.applied()), "");
    assert_eq!(story(&pass(&mut bench, 200)), "V + timed-out");
}

#[test]
fn a_router_that_is_removed_meanwhile_is_gone() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    let other = RouterPlan {
        name: "other".into(),
        vrid: Vrid::new(52).unwrap(),
        addresses: addresses(&["192.0.2.252"]),
        ..plan()
    };
    let did = bench.reload([other]);
    assert_eq!(did.sent(), [0]);
    assert!(story(&did).starts_with("v initialize -"), "{}", story(&did));
    assert_eq!(story(&done(&mut bench, 1)), "");
}

#[test]
fn an_owner_waits_as_well() {
    let mut facts = crate::bench::facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    let mut bench = Bench::cold([hooked(with_priority(255, plan()))]);
    let did = bench.link(Some(&facts));
    assert_eq!(story(&did), "v asks active");
    assert_eq!(story(&done(&mut bench, 1)), "V + done");
}

#[test]
fn who_does_not_know_which_time_it_was_is_believed() {
    let mut bench = Bench::backup(hooked(plan()));
    pass(&mut bench, DOWN);
    let (router, number) = ("wan4", None);
    let did = bench.input(Input::Prepared { router, number });
    assert_eq!(story(&did), "V + done");
    let router = "nobody";
    assert!(bench.input(Input::Prepared { router, number }).nothing());
}
