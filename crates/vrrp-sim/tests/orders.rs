//! Operators at work on a calm LAN: whatever they ask for and in whichever order, somebody has the addresses; and when all of it
//! has ended, the election is as if nobody had asked.

use core::time::Duration;
use std::collections::BTreeSet;

use vrrp_proto::{Dialect, Family, Instant};
use vrrp_sim::plan::{HostPlan, centis, millis, priority};
use vrrp_sim::wish::Wish;
use vrrp_sim::{Action, Chance, Host, Lan, Random};

/// The kernels of this laboratory need this long for addresses, and a packet for its way.
const MAKING: Duration = Duration::from_millis(5);

fn hosts(random: &mut Random) -> Vec<HostPlan> {
    let (dialect, family, interval) = random.one_of(&[
        (Dialect::Vrrp2, Family::Ipv4, centis(100)),
        (Dialect::Vrrp3, Family::Ipv4, centis(100)),
        (Dialect::Vrrp3, Family::Ipv4, centis(10)),
        (Dialect::Vrrp3, Family::Ipv6, centis(100)),
    ]);
    let host = |value: u8| {
        priority(value)
            .dialect(dialect)
            .family(family)
            .interval(interval)
    };
    let count = 2 + random.index(3);
    let mut hosts: Vec<HostPlan> = (0..count)
        .map(|_| host(random.one_of(&[10, 50, 100, 101, 150, 200, 254])))
        .collect();
    if random.happens(Chance::percent(25)) {
        let last = hosts.pop();
        hosts.extend(last.map(HostPlan::polite));
    }
    hosts
}

/// The longest time since `from` in which nobody had the addresses.
fn longest_vacancy(lan: &mut Lan, from: Instant) -> Duration {
    let now = lan.now();
    let mut holders = BTreeSet::new();
    let (mut since, mut longest) = (None, Duration::ZERO);
    for (at, host, holds) in &lan.ledger().history {
        if *holds {
            holders.insert(*host);
        } else {
            holders.remove(host);
        }
        match (holders.is_empty(), since) {
            (true, None) => since = Some(*at),
            (false, Some(begun)) => {
                longest = longest.max(at.saturating_since(from.max(begun)));
                since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
    since.map_or(longest, |begun| longest.max(now.saturating_since(begun)))
}

#[test]
fn nobody_is_ever_left_without() {
    let mut handed_over = 0;
    for seed in 0..1_000 {
        let mut random = Random::stream(seed, 0x0bdf);
        let hosts = hosts(&mut random);
        let (count, pace) = (hosts.len(), hosts[0].routers[0].interval.duration());
        let mut lan = Lan::of(hosts);
        let quiet = lan.quiet_time(false);
        lan.run_for(quiet);
        let from = lan.now();
        for _ in 0..12 {
            let at = from + random.up_to(pace * 40);
            let wish = match Wish::draw(&mut random, pace) {
                Wish::Failover(_) => Wish::Failover(false),
                Wish::Drain(time, _) => Wish::Drain(time, false),
                other @ (Wish::Undrain
                | Wish::Priority(..)
                | Wish::Reset
                | Wish::Pin(_)
                | Wish::Announce) => other,
            };
            lan.schedule(at, Action::Operate(Host(random.index(count)), wish));
        }
        lan.run_for(pace * 60);
        let vacancy = longest_vacancy(&mut lan, from);
        assert!(vacancy <= MAKING, "seed {seed}: nobody for {vacancy:?}");
        assert_eq!(lan.actives().len(), 1, "seed {seed}");

        for host in lan.hosts() {
            lan.act(Action::Operate(host, Wish::Undrain));
            lan.act(Action::Operate(host, Wish::Reset));
        }
        lan.run_for(quiet);
        lan.settled()
            .unwrap_or_else(|verdict| panic!("seed {seed}: {verdict}"));
        let vacancy = longest_vacancy(&mut lan, from);
        assert!(vacancy <= MAKING, "seed {seed}: nobody for {vacancy:?}");
        let seen = lan.sightings().get("left when the successor was heard");
        handed_over += seen.copied().unwrap_or_default();
    }
    assert!(handed_over > 1_000, "{handed_over} times");
}

/// Whoever is drained serves only where everybody is.
#[test]
fn the_drained_give_way_to_all_others() {
    for seed in 0..300 {
        let mut random = Random::stream(seed, 0xd3a1);
        let hosts = hosts(&mut random);
        let count = hosts.len();
        let mut lan = Lan::of(hosts);
        let quiet = lan.quiet_time(false);
        lan.run_for(quiet);
        let mut drained = BTreeSet::new();
        for _ in 1..count {
            let host = Host(random.index(count));
            lan.act(Action::Operate(host, Wish::Drain(None, false)));
            drained.insert(host);
            lan.run_for(quiet);
            let actives = lan.actives();
            assert!(
                actives.len() == 1 && !drained.contains(&actives[0]),
                "seed {seed}: {actives:?} of {drained:?}"
            );
        }
    }
}

/// By force, nobody has the addresses for a full silence and no longer.
#[test]
fn by_force_for_a_silence_and_no_longer() {
    let mut lan = Lan::of([priority(100).interval(centis(10))]);
    lan.run_for(millis(1_000));
    let from = lan.now();
    lan.act(Action::Operate(Host(0), Wish::Failover(true)));
    lan.run_for(millis(1_000));
    let vacancy = longest_vacancy(&mut lan, from);
    assert!(vacancy >= millis(200), "{vacancy:?}");
    assert!(vacancy <= millis(365), "{vacancy:?}");
    assert_eq!(lan.actives(), [Host(0)]);
}
