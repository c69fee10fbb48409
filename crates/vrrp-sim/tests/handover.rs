//! A process is replaced by its successor, again and again, and nobody on the LAN notices.

use core::time::Duration;

use vrrp_sim::plan::{HostPlan, centis, millis, priority, secs};
use vrrp_sim::{Action, Host, Lan, Random, Weather};

/// Three routers at 100 ms whose processes change hands about every 70 ms, with gaps of up to 5 ms.
fn restless(seed: u64, hosts: impl IntoIterator<Item = HostPlan>) -> Lan {
    let mut lan = Lan::new(hosts, Weather::CALM, seed);
    lan.run_for(secs(2));
    let mut random = Random::stream(seed, 0x4e11);
    let mut at = lan.now();
    for _ in 0..300 {
        at = at + random.up_to(millis(140)).max(millis(6));
        let host = Host(random.index(3));
        lan.schedule(at, Action::HandOver(host, random.up_to(millis(5))));
    }
    lan
}

fn three() -> [HostPlan; 3] {
    [200, 150, 100].map(|value| priority(value).interval(centis(10)))
}

#[test]
fn nobody_notices_three_hundred_hand_overs() {
    for seed in 0..50 {
        let mut lan = restless(seed, three());
        let changes = |lan: &mut Lan| (lan.ledger().history.len(), lan.takeovers().len());
        let before = changes(&mut lan);
        let sent = lan.sent_by(Host(0));
        lan.run_for(secs(30));
        assert_eq!(changes(&mut lan), before, "seed {seed}");
        assert_eq!(lan.holders(), [Host(0)]);
        assert_eq!((lan.sent_by(Host(1)), lan.sent_by(Host(2))), (0, 0));
        // Ten a second: the grid does not shift by a gap.
        assert!(lan.sent_by(Host(0)) - sent >= 299, "seed {seed}");
        assert!(lan.sightings()["a hand-over"] >= 280, "seed {seed}");
        lan.settled()
            .unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
    }
}

#[test]
fn a_crash_among_hand_overs_is_noticed_as_ever() {
    for seed in 0..50 {
        let mut lan = restless(seed, three());
        let crash = lan.now() + secs(10);
        lan.schedule(crash, Action::Crash(Host(0)));
        lan.run_for(secs(30));
        let failover = lan.ledger().first_holder_after(crash, Host(0));
        let failover = failover.map(|at| at.saturating_since(crash));
        // The down interval of priority 150 is 341 ms. A successor may be 5 ms late, and its kernel orders anew.
        assert!(
            failover.is_some_and(|time| time > Duration::ZERO && time < millis(350)),
            "seed {seed}: {failover:?}"
        );
    }
}
