//! A pair whose addresses or passphrase change is reloaded one after the other, in both orders: nobody changes its role, and
//! there are never two Actives.

use std::time::Duration;

use crate::lan::{Lan, carp, passphrase, plan, secs};
use vrrp_proto::carp::{CarpPlan, Suspicion};
use vrrp_proto::{DigestNews, Happening, RouterPlan};

type Made = fn(CarpPlan) -> RouterPlan;

const V4: &[&str] = &["192.0.2.254"];
const TWO: &[&str] = &["192.0.2.254", "192.0.2.253"];
const DUAL: &[&str] = &["192.0.2.254", "2001:db8::1", "fe80::5eff:fe00:107"];
const V6: &[&str] = &["2001:db8::1"];

/// What there is, and what there is to be.
const CHANGES: [(&str, Made, Made); 8] = [
    ("one more", |it| plan(it, V4), |it| plan(it, TWO)),
    ("one less", |it| plan(it, TWO), |it| plan(it, V4)),
    ("a family more", |it| plan(it, V4), |it| plan(it, DUAL)),
    ("a family less", |it| plan(it, DUAL), |it| plan(it, V4)),
    (
        "the first family less",
        |it| plan(it, DUAL),
        |it| plan(it, V6),
    ),
    (
        "the first family more",
        |it| plan(it, V6),
        |it| plan(it, DUAL),
    ),
    ("another family", |it| plan(it, V4), |it| plan(it, V6)),
    (
        "another passphrase",
        |it| plan(it, V4),
        |it| {
            plan(
                CarpPlan {
                    passphrase: passphrase("other"),
                    ..it
                },
                V4,
            )
        },
    ),
];

fn with_grace(advskew: u8, grace: Duration) -> CarpPlan {
    CarpPlan {
        grace,
        ..carp(advskew)
    }
}

/// Reloads `first`, and the other one after `pause`.
fn reload(grace: Duration, old: Made, new: Made, first: usize, pause: Duration) -> Lan {
    let made = |make: Made, host: usize| make(with_grace([0, 100][host], grace));
    let mut lan = Lan::new([made(old, 0), made(old, 1)]);
    lan.reload(first, made(new, first));
    lan.run(pause);
    lan.reload(1 - first, made(new, 1 - first));
    lan.run(secs(1500));
    lan
}

#[test]
fn in_either_order_nothing_happens() {
    for (change, old, new) in CHANGES {
        for first in [0, 1] {
            for pause in [0, 1, 7, 590] {
                let lan = reload(secs(600), old, new, first, secs(pause));
                let name = format!("{change}, {first} first, the other {pause} s later");
                assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{name}");
                assert!(lan.machines[0].is_active(), "{name}");
                let roles = |host: usize| {
                    let all = lan.machines[host].happened.iter();
                    all.filter(|(_, it)| matches!(it, Happening::Role { .. }))
                        .count()
                };
                // Initialize, Backup, and the first one Active.
                assert_eq!((roles(0), roles(1)), (2, 1), "{name}");
            }
        }
    }
}

/// Without the former digest, each of these is a split. So the test above can fail.
#[test]
fn without_a_grace_there_are_two() {
    for (change, old, new) in CHANGES {
        for first in [0, 1] {
            let lan = reload(Duration::ZERO, old, new, first, secs(7));
            assert!(lan.splits > 0, "{change}, {first} first");
        }
    }
}

#[test]
fn everything_is_said_twice_for_as_long_as_it_lasts_and_then_once() {
    let mut lan = Lan::new([plan(carp(0), V4), plan(carp(100), V4)]);
    let begun = lan.now;
    lan.reload(0, plan(carp(0), TWO));
    lan.run(secs(100));
    let twice = lan.said(0, begun);
    assert!((200..=204).contains(&twice.len()), "{}", twice.len());
    let counter = |it: &vrrp_proto::Transmit| it.message[8..16].to_vec();
    let mut counters: Vec<Vec<u8>> = twice.iter().map(counter).collect();
    counters.dedup();
    assert_eq!(counters.len(), twice.len(), "none is said twice");
    let grace = lan.machines[0].status().voice.unwrap().grace.unwrap();
    assert_eq!(grace, begun + secs(600));

    lan.reload(1, plan(carp(100), TWO));
    lan.run(secs(600));
    let over = lan.now;
    lan.run(secs(100));
    assert!((99..=101).contains(&lan.said(0, over).len()));
    assert_eq!(lan.machines[0].status().voice.unwrap().grace, None);
    let news = |host: usize| lan.machines[host].news();
    let lasts = Some(secs(600));
    let own = [
        DigestNews::Changed { lasts },
        DigestNews::GraceEnded { lags: None },
    ];
    assert_eq!(news(0), own);
    // It hears both kinds for a while, and one of them is right.
    let suspected = DigestNews::Suspected {
        address: "192.0.2.1".parse().unwrap(),
        cause: Suspicion::Beside,
    };
    assert_eq!(news(1), [&[suspected], &own[..]].concat());
    let others = lan.machines[1].status().voice.unwrap().others;
    assert!(others.iter().all(|it| it.suspicion.is_none()));
}

/// The other one is forgotten: that is a split at the end, which was announced, and is named.
#[test]
fn who_is_not_reloaded_is_named() {
    let mut lan = Lan::new([plan(carp(0), V4), plan(carp(100), V4)]);
    lan.reload(1, plan(carp(100), TWO));
    lan.run(secs(599));
    assert_eq!(lan.splits, 0);
    let lags = lan.machines[1].status().voice.unwrap().others[0];
    assert!(lags.good.is_some() && lags.current.is_none());
    lan.run(secs(10));
    let lags = "192.0.2.1".parse().ok();
    let ended = DigestNews::GraceEnded { lags };
    assert!(lan.machines[1].news().contains(&ended));
}

/// Rolled back in the middle, reloaded again, the process replaced, or the Active dead: all of it is good.
#[test]
fn whatever_happens_meanwhile() {
    for died in [false, true] {
        let mut lan = Lan::new([plan(carp(0), V4), plan(carp(100), V4)]);
        lan.reload(0, plan(carp(0), TWO));
        lan.run(secs(3));
        lan.reload(0, plan(carp(0), V4));
        lan.run(secs(3));
        lan.reload(0, plan(carp(0), DUAL));
        lan.run(secs(3));
        for host in [0, 1] {
            let now = lan.now;
            lan.machines[host].replace(now, died);
            lan.run(secs(20));
        }
        assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{died}");
        // The one that was not reloaded takes over, and is heard by the one that was.
        lan.machines[0].alive = false;
        lan.run(secs(10));
        assert!(lan.machines[1].is_active());
        lan.machines[0].alive = true;
        lan.run(secs(10));
        assert!(lan.machines[0].is_active() && lan.actives() == 1);
        lan.reload(1, plan(carp(100), DUAL));
        lan.run(secs(1500));
        assert!(lan.machines[0].is_active() && lan.actives() == 1);
    }
}

/// A stock peer understands its own list only. Whoever of the two is changed first, it hears or says one that is good.
#[test]
fn beside_a_stock_peer() {
    let stock = |advskew| with_grace(advskew, Duration::ZERO);
    for (ours, theirs) in [(0, 1), (1, 0)] {
        for first in [ours, theirs] {
            let skew = |host: usize| [0, 100][host];
            let mut plans = [V4, V4].map(|list| plan(carp(0), list));
            plans[ours] = plan(carp(skew(ours)), V4);
            plans[theirs] = plan(stock(skew(theirs)), V4);
            let mut lan = Lan::new(plans);
            let change = |lan: &mut Lan, host: usize| {
                let made = if host == ours {
                    carp(skew(host))
                } else {
                    stock(skew(host))
                };
                lan.reload(host, plan(made, TWO));
            };
            change(&mut lan, first);
            lan.run(secs(if first == ours { 60 } else { 0 }));
            change(&mut lan, 1 - first);
            lan.run(secs(1500));
            let name = format!("ours is {ours}, {first} first");
            assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{name}");
        }
    }
}
