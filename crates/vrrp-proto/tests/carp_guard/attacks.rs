//! What comes of one captured advertisement, without the passphrase.

use std::time::Duration;

use crate::lan::{Lan, carp, plan, secs};
use vrrp_proto::carp::{Advertisement, Bid, CarpPlan, Sealing};
use vrrp_proto::{RouterStatistics, Transmit};

const V4: &[&str] = &["192.0.2.254"];

fn pair(sealing: [Sealing; 2]) -> Lan {
    let made = |host: usize| CarpPlan {
        sealing: sealing[host],
        ..carp([0, 100][host])
    };
    Lan::new([0, 1].map(|host| plan(made(host), V4)))
}

const FORGED: [Bid; 3] = [
    Bid {
        advbase: 0,
        advskew: 0,
        demotion: 0,
    },
    Bid::BOW_OUT,
    Bid {
        advbase: 1,
        advskew: 0,
        demotion: 200,
    },
];

/// The same counter and digest with another bid and the checksum of that.
fn forge(captured: &Transmit, bid: Bid) -> Transmit {
    let advertisement = Advertisement {
        bid,
        ..Advertisement::parse(&captured.message).unwrap()
    };
    Transmit {
        message: advertisement.emit().as_slice().into(),
        ..captured.clone()
    }
}

fn from(captured: &Transmit, source: &str) -> Transmit {
    Transmit {
        source: source.parse().unwrap(),
        ..captured.clone()
    }
}

impl Lan {
    /// Twice a second, to everybody who lives.
    fn attack(&mut self, packet: &Transmit, time: Duration) {
        for _ in 0..time.as_secs() * 2 {
            let now = self.now;
            for machine in self.machines.iter_mut().filter(|it| it.alive) {
                machine.hear(now, packet);
            }
            self.settle();
            self.run(Duration::from_millis(500));
        }
    }

    fn captured(&self) -> Transmit {
        self.tape.last().unwrap().2.clone()
    }
}

fn refused(of: RouterStatistics) -> u64 {
    of.replayed_pkts_rcvd + of.forged_pkts_rcvd + of.own_pkts_looped + of.unsealed_pkts_rcvd
}

const ALL: [[Sealing; 2]; 4] = [
    [Sealing::Off; 2],
    [Sealing::Prefer; 2],
    [Sealing::Require; 2],
    [Sealing::Require, Sealing::Prefer],
];

/// Played back after the death of its sender, from that address or from another one, as it was or with another bid: the Backup
/// takes over when it would have.
#[test]
fn a_recording_does_not_keep_a_backup_from_taking_over() {
    for sealing in ALL {
        for source in ["192.0.2.1", "192.0.2.66"] {
            let mut lan = pair(sealing);
            let captured = from(&lan.captured(), source);
            let packets = FORGED.map(|bid| forge(&captured, bid));
            for packet in [&captured].into_iter().chain(&packets) {
                lan.machines[0].alive = false;
                let died = lan.now;
                let name = format!("{sealing:?} from {source}: {:02x?}", &packet.message[..8]);
                lan.attack(packet, secs(12));
                assert!(lan.machines[1].is_active(), "{name}");
                let taken = lan.said(1, died)[0].clone();
                let (_, at, _) = lan
                    .tape
                    .iter()
                    .find(|(.., it)| it.message == taken.message)
                    .unwrap();
                let after = at.saturating_since(died);
                assert!(after <= Duration::from_millis(3400), "{name}: {after:?}");
                let statistics = lan.machines[1].statistics();
                assert!(refused(statistics) >= 20, "{name}: {statistics:?}");
                lan.machines[0].alive = true;
                lan.run(secs(10));
                assert!(lan.machines[0].is_active() && lan.actives() == 1, "{name}");
            }
        }
    }
}

/// While both live: no bid but the one that was sealed makes an Active give way, or a Backup take over.
#[test]
fn a_changed_bid_moves_nobody() {
    for sealing in ALL {
        for source in ["192.0.2.1", "192.0.2.66"] {
            for bid in FORGED {
                let mut lan = pair(sealing);
                let packet = from(&forge(&lan.captured(), bid), source);
                let name = format!("{sealing:?} from {source}: {bid:?}");
                lan.attack(&packet, secs(20));
                assert_eq!((lan.splits, lan.gap), (0, Duration::ZERO), "{name}");
                assert!(lan.machines[0].is_active(), "{name}");
                let [active, backup] = [0, 1].map(|host| lan.machines[host].statistics());
                assert!(
                    refused(active) >= 39 && refused(backup) >= 39,
                    "{name}: {active:?} {backup:?}"
                );
                if sealing[1] != Sealing::Off && source != "192.0.2.1" {
                    assert!(backup.forged_pkts_rcvd >= 39, "{name}: {backup:?}");
                }
            }
        }
    }
}

/// Who has listened for a minute and comes later plays back all of it, in order. Without seals that is believed, to the last
/// one: nobody can tell it from a peer that goes back and counts again.
#[test]
fn many_recordings_in_order() {
    for (sealing, believed) in [
        (Sealing::Off, true),
        (Sealing::Require, false),
        (Sealing::Prefer, false),
    ] {
        let mut lan = pair([sealing; 2]);
        let begun = lan.now;
        lan.run(secs(60));
        let recorded = lan.said(0, begun);
        lan.machines[0].alive = false;
        for packet in &recorded {
            let now = lan.now;
            lan.machines[1].hear(now, packet);
            lan.run(secs(1));
        }
        assert_eq!(!lan.machines[1].is_active(), believed, "{sealing:?}");
    }
}

/// Who has just been started has no memory. What was recorded lately is believed once, and nothing that is older than the window.
#[test]
fn who_was_just_started() {
    for (age, believed) in [(50, true), (70, false)] {
        let mut lan = pair([Sealing::Require; 2]);
        let captured = lan.captured();
        lan.machines[0].alive = false;
        lan.machines[1].alive = false;
        lan.run(secs(age));
        let made = plan(
            CarpPlan {
                sealing: Sealing::Require,
                ..carp(100)
            },
            V4,
        );
        let now = lan.now;
        lan.machines[1] = crate::lan::Machine::new(now, 2, made, Some(crate::lan::UNIX));
        let due = |lan: &mut Lan| lan.machines[1].engine.poll_timeout().unwrap().at;
        lan.run(secs(1));
        let before = due(&mut lan);
        for _ in 0..5 {
            let now = lan.now;
            lan.machines[1].hear(now, &captured);
        }
        let moved = due(&mut lan) > before;
        assert_eq!(moved, believed, "{age}");
        let statistics = lan.machines[1].statistics();
        assert_eq!(statistics.advertisement_rcvd, u64::from(believed));
        assert_eq!(statistics.replayed_pkts_rcvd, if believed { 4 } else { 0 });
        assert_eq!(statistics.clock_errors, if believed { 0 } else { 5 });
    }
}

/// A group in which one seals and the others do not: believed, unless seals are required; and never a split by it where they are
/// preferred.
#[test]
fn one_that_does_not_seal() {
    for (sealing, believed) in [
        ([Sealing::Off, Sealing::Prefer], true),
        ([Sealing::Prefer, Sealing::Off], true),
        ([Sealing::Prefer, Sealing::Require], true),
        ([Sealing::Off, Sealing::Require], false),
    ] {
        let mut lan = pair(sealing);
        lan.run(secs(60));
        assert_eq!(lan.splits == 0, believed, "{sealing:?}");
        let statistics = lan.machines[1].statistics();
        assert_eq!(statistics.unsealed_pkts_rcvd > 0, !believed, "{sealing:?}");
        assert_eq!(refused(statistics), statistics.unsealed_pkts_rcvd);
    }
}

/// A handful of advertisements a second for an hour, each refused: what is said of it is a dozen sentences.
#[test]
fn no_flood_of_events() {
    let mut lan = pair([Sealing::Require; 2]);
    let packet = from(&forge(&lan.captured(), Bid::BOW_OUT), "192.0.2.66");
    let before = lan.machines[1].happened.len();
    lan.attack(&packet, secs(3600));
    let said = lan.machines[1].happened.len() - before;
    assert!(said <= 12, "{said}");
    assert!(lan.machines[1].statistics().forged_pkts_rcvd >= 7000);
}
