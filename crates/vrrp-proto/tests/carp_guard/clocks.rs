//! Seals carry a time: clocks that differ, are set, or never were; restarts and hand-overs.

use std::time::Duration;

use crate::lan::{Lan, UNIX, carp, plan, secs};
use vrrp_proto::carp::{CarpPlan, Seal, Sealing};

const DUAL: &[&str] = &["192.0.2.254", "2001:db8::1"];

fn sealed(advskew: u8, sealing: Sealing) -> CarpPlan {
    CarpPlan {
        sealing,
        ..carp(advskew)
    }
}

fn pair(sealing: Sealing, clocks: [Option<Duration>; 2]) -> Lan {
    let made = |host: usize| plan(sealed([0, 100][host], sealing), DUAL);
    Lan::with_clocks([0, 1].map(|host| (made(host), clocks[host])))
}

/// The first dies and comes back: everybody is heard by everybody.
fn swap_roles(lan: &mut Lan) {
    lan.machines[0].alive = false;
    lan.run(secs(30));
    assert!(lan.machines[1].is_active());
    lan.machines[0].alive = true;
    lan.run(secs(30));
}

fn counters(lan: &Lan) -> Vec<u64> {
    let all = lan.tape.iter();
    all.filter(|(.., it)| it.destination.is_ipv4())
        .map(|(.., it)| u64::from_be_bytes(it.message[8..16].try_into().unwrap()))
        .collect()
}

/// Within the window nothing is noticed, and whoever speaks is later than all before.
#[test]
fn clocks_that_differ_a_little() {
    for apart in [-55_i64, -2, 0, 2, 55] {
        let other = Some(secs(UNIX.as_secs().saturating_add_signed(apart)));
        for sealing in [Sealing::Prefer, Sealing::Require] {
            let mut lan = pair(sealing, [Some(UNIX), other]);
            lan.run(secs(100));
            for _ in 0..3 {
                swap_roles(&mut lan);
                assert!(lan.machines[0].is_active(), "{apart}");
                assert_eq!(lan.actives(), 1, "{apart}");
            }
            for machine in &lan.machines {
                let found = machine.statistics();
                assert_eq!(
                    (
                        found.clock_errors,
                        found.forged_pkts_rcvd,
                        found.unsealed_pkts_rcvd
                    ),
                    (0, 0, 0),
                    "{apart}"
                );
            }
            let mut seen = counters(&lan);
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count, "no counter is said twice");
        }
    }
}

/// Beyond it: counted and shown, and a split where seals are required; where they are preferred, not.
#[test]
fn clocks_that_differ_a_lot() {
    for apart in [-90_i64, 90] {
        let other = Some(secs(UNIX.as_secs().saturating_add_signed(apart)));
        for sealing in [Sealing::Prefer, Sealing::Require] {
            let mut lan = pair(sealing, [Some(UNIX), other]);
            lan.run(secs(100));
            let required = sealing == Sealing::Require;
            assert_eq!(lan.splits > 0, required, "{apart} {sealing:?}");
            let machine = &lan.machines[1];
            assert_eq!(machine.statistics().clock_errors > 0, required);
            let other = machine.status().voice.unwrap().others[0];
            if required {
                let (by, ahead) = other.apart.unwrap();
                assert!(
                    by.as_secs().abs_diff(90) <= 1 && ahead == (apart < 0),
                    "{by:?}"
                );
            }
        }
    }
}

/// A machine that begins in 1970 goes by what it hears, and takes over with a time that others believe.
#[test]
fn a_clock_that_was_never_set() {
    for clock in [None, Some(secs(1000))] {
        let mut lan = pair(Sealing::Require, [Some(UNIX), clock]);
        lan.run(secs(200));
        swap_roles(&mut lan);
        assert!(lan.machines[0].is_active());
        assert_eq!(lan.actives(), 1);
        assert_eq!(lan.machines[0].statistics().clock_errors, 0);
        assert!(!lan.machines[1].status().voice.unwrap().clock);
        // Then it is set, by whatever sets clocks.
        lan.machines[1].unix = Some(UNIX);
        lan.run(secs(10));
        swap_roles(&mut lan);
        assert!(lan.machines[0].is_active() && lan.actives() == 1);
    }
}

/// Set by some seconds while it runs, in both directions: what is said only goes on.
#[test]
fn a_clock_that_is_set() {
    for step in [-40_i64, 40] {
        let mut lan = pair(Sealing::Require, [Some(UNIX); 2]);
        for host in [0, 1] {
            let to = UNIX.as_secs().saturating_add_signed(step);
            lan.machines[host].unix = Some(secs(to));
            lan.run(secs(10));
            assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{step} {host}");
        }
        let mine = counters(&lan);
        assert!(mine.windows(2).all(|two| two[0] < two[1]), "{step}");
    }
}

/// The process is replaced, or dies and is replaced: the same time is not said twice, and nobody notices.
#[test]
fn whoever_speaks_next() {
    for died in [false, true] {
        let mut lan = pair(Sealing::Require, [Some(UNIX); 2]);
        for _ in 0..5 {
            let now = lan.now;
            lan.machines[0].replace(now, died);
            lan.run(secs(7));
        }
        assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{died}");
        let mine = counters(&lan);
        assert!(mine.windows(2).all(|two| two[0] < two[1]), "{died}");
        for machine in &lan.machines {
            assert_eq!(machine.statistics().replayed_pkts_rcvd, 0);
        }
    }
}

/// The counter says what was bid, and about when.
#[test]
fn what_is_said() {
    let lan = pair(Sealing::Require, [Some(UNIX); 2]);
    let (_, at, last) = lan.tape.last().unwrap();
    let counter = u64::from_be_bytes(last.message[8..16].try_into().unwrap());
    let seal = Seal::read(counter);
    assert_eq!(
        (seal.bid.advbase, seal.bid.advskew, seal.bid.demotion),
        (1, 0, 0)
    );
    let unix = UNIX + at.saturating_since(crate::lan::START);
    assert!(counter >> 32 == unix.as_secs());
}
