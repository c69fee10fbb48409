//! Refusals are counted exactly and said rarely (RFC 9568 §7.1: logging is rate-limited).

use crate::bench::*;
use vrrp_proto::*;

fn counts(did: &Did) -> Vec<u64> {
    did.happenings()
        .into_iter()
        .filter_map(|happening| {
            if let Happening::Refused { count, .. } | Happening::Odd { count, .. } = happening {
                Some(*count)
            } else {
                None
            }
        })
        .collect()
}

#[test]
fn a_million_refusals_are_a_handful_of_events() {
    let mut bench = Bench::active(plan());
    let bad = Packet::of(&plan(), 254).damaged(6, 0);
    let mut events = 0;
    for _ in 0..1_000_000 {
        events += bench.hear(&bad).0.len();
        bench.sleep(micros(10));
    }
    assert!(events <= 2, "{events}");
    assert_eq!(bench.engine.statistics().checksum_errors, 1_000_000);
}

#[test]
fn what_goes_on_is_said_after_a_minute_then_ever_more_rarely() {
    let mut bench = Bench::backup(plan());
    let bad = Packet::of(&plan(), 254).hop_limit(254);
    let mut said = Vec::new();
    for second in 0..4 * 3600_u64 {
        for count in counts(&bench.hear(&bad)) {
            said.push((second, count));
        }
        bench.sleep(millis(1_000));
    }
    let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
    assert_eq!(seconds, [0, 60, 180, 420, 900, 1_860, 3_780, 7_380, 10_980]);
    assert_eq!(
        said.iter().map(|(_, count)| count).sum::<u64>(),
        10_981,
        "none is forgotten"
    );
}

#[test]
fn after_long_peace_a_refusal_is_news_again() {
    let mut bench = Bench::backup(plan());
    let bad = Packet::of(&plan(), 254).hop_limit(1);
    for _ in 0..600 {
        bench.hear(&bad);
        bench.sleep(millis(1_000));
    }
    bench.sleep(millis(3 * 3_600_000));
    assert_eq!(bench.hear(&bad).said(), ["refused"]);
    bench.sleep(millis(60_000));
    assert_eq!(
        bench.hear(&bad).said(),
        ["refused"],
        "after a minute, as the first time"
    );
}

#[test]
fn each_reason_is_said_for_itself() {
    let mut bench = Bench::backup(plan());
    let good = Packet::of(&plan(), 254);
    for bad in [
        good.clone().hop_limit(254),
        good.clone().byte(0, 0x21),
        good.clone().damaged(6, 1),
        good.clone().byte(0, 0x32),
        good.clone().byte(3, 2),
        good.centis(0),
    ] {
        assert_eq!(bench.hear(&bad).said(), ["refused"], "{bad:?}");
        assert!(bench.hear(&bad).nothing(), "{bad:?}");
    }
}

#[test]
fn foreign_routers_and_carp_are_counted_and_not_worth_a_word() {
    let mut bench = Bench::backup(plan());
    assert!(bench.hear(&Packet::of(&plan(), 254).byte(1, 99)).nothing());
    let carp = Packet::of(&plan(), 254).byte(0, 0x21).byte(3, 7).len(36);
    assert!(bench.hear(&carp.clone().byte(1, 99)).nothing());
    assert_eq!(bench.engine.statistics().vrid_errors, 1);
    assert_eq!(bench.engine.statistics().carp_pkts_rcvd, 1);
    // One with our number has our MAC address: said the first time, and counted like the others.
    assert_eq!(bench.hear(&carp).said(), ["refused"]);
    assert!(bench.hear(&carp).nothing());
    assert_eq!(bench.engine.statistics().carp_pkts_rcvd, 3);
}

#[test]
fn oddities_are_kept_counted_and_said_once() {
    // RFC 9568 §7.1: interval and address mismatch are logged and the advertisement is processed.
    let mut bench = Bench::backup(plan());
    let odd = Packet::of(&plan(), 200).centis(300).byte(11, 253);
    assert_eq!(bench.hear(&odd).said(), ["odd", "odd", "followed-active"]);
    assert!(bench.hear(&odd).nothing());
    let statistics = bench.statistics();
    assert_eq!(
        (statistics.interval_errors, statistics.address_list_errors),
        (2, 2)
    );
    assert_eq!(statistics.advertisement_rcvd, 2);
}

#[test]
fn a_message_without_router_is_nobodys_complaint() {
    let mut bench = Bench::backup(plan());
    let did = bench.hear(&Packet::of(&plan(), 100).len(7));
    let [Output::Event(event)] = &did.0[..] else {
        panic!("{did:?}");
    };
    // The VRID byte is there, but nothing says that it is one.
    assert!(matches!(
        event.happening,
        Happening::Refused {
            reject: Reject::Short,
            count: 1,
            ..
        }
    ));
    assert_eq!(bench.engine.statistics().short_packets, 1);
}

#[test]
fn two_actives_heard_in_turn_are_not_an_event_each() {
    let mut bench = Bench::backup(plan());
    let mut said = 0;
    for turn in 0..100_000_u32 {
        bench.sleep(millis(10));
        let from = if turn % 2 == 0 {
            "192.0.2.201"
        } else {
            "192.0.2.202"
        };
        said += bench
            .hear(&Packet::of(&plan(), 200).from(from))
            .said()
            .len();
    }
    // Ten a minute, for a thousand seconds.
    assert!(said <= 170, "{said}");
    let last = Some((ip("192.0.2.202"), Priority::new(200)));
    assert_eq!(
        bench.status().active,
        last,
        "the status is exact all the same"
    );
}

#[test]
fn an_hour_of_peace_is_not_yet_long() {
    let refused = |peace: u64| {
        let mut bench = Bench::backup(plan());
        let bad = Packet::of(&plan(), 254).hop_limit(1);
        // Said at 0 and 60 s, and next at 180 s at the earliest.
        for _ in 0..61 {
            bench.hear(&bad);
            bench.sleep(millis(1_000));
        }
        // The last pause, two minutes, is over by 180 s; peace is counted from there.
        bench.sleep(millis(119_000) + millis(peace));
        assert_eq!(counts(&bench.hear(&bad)).len(), 1);
        let mut pause = 0;
        loop {
            bench.sleep(millis(1_000));
            pause += 1;
            if !counts(&bench.hear(&bad)).is_empty() {
                return pause;
            }
        }
    };
    assert_eq!(refused(3_600_000), 240, "goes on as before");
    assert_eq!(refused(3_600_001), 60, "begins anew");
}

#[test]
fn who_is_followed_is_said_ten_times_a_minute() {
    let mut bench = Bench::backup(with_priority(50, plan()));
    let followed = |bench: &mut Bench, sources: usize| {
        let mut said = 0;
        for number in 0..sources {
            let from = if number % 2 == 0 {
                "192.0.2.200"
            } else {
                "192.0.2.201"
            };
            let did = bench.hear(&Packet::of(&plan(), 200).from(from));
            said += did
                .said()
                .iter()
                .filter(|word| **word == "followed-active")
                .count();
        }
        said
    };
    assert_eq!(followed(&mut bench, 100), 10);
    bench.sleep(millis(59_999));
    assert_eq!(followed(&mut bench, 100), 0);
    bench.sleep(millis(1));
    assert_eq!(followed(&mut bench, 100), 10);
}
