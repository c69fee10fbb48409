//! A hundred thousand broken advertisements a second.

use super::Row;
use crate::duel::{Duel, ROUTER, millis};
use crate::effort::Effort;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::sniff::Heard;
use crate::{usage, witness};
use std::net::IpAddr;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, ms};
use vrrp_lab::flood::flood;
use vrrp_lab::netns::Namespace;
use vrrp_lab::topology::cable;
use vrrp_lab::wire::{Advert, Checksum, Mac};

pub(crate) const ROW: Row = Row {
    name: "flood",
    about: "A stranger sends 100,000 broken advertisements a second of fourteen kinds to the Active of a pair at 100 ms; ports are \
            isolated so that nobody else hears them. By the scheduler's account, without the softirqs that ran elsewhere.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let span = effort.span(5, 20);
    let mut rate = Measure::new("packets that were sent", "per second");
    let mut used =
        Measure::new("the daemon", "% of a processor").goal(Goal::most(Figure::P50, 25.0));
    let mut silence = Measure::new("longest time between two advertisements", "ms")
        .bound("100 ms")
        .goal(Goal::most(Figure::Max, 150.0));
    let mut takeovers = Measure::new("takeovers", "takeovers")
        .goal(Goal::most(Figure::Max, 0.0))
        .bound("0");
    for maker in Maker::order(&Maker::ours_and(&[Maker::Keepalived]), effort.trials(1, 3)) {
        let duel = Duel::start(maker, ms(100));
        let stranger = intrude(&duel);
        isolate(&duel, "on");
        let pids = usage::pids(&duel.lan.routers[0]);
        let (from, before) = (Stamp::now(), usage::run_time(&pids));
        let flooded = flood(&stranger, "eth0", &broken(), 100_000, span);
        let (until, after) = (Stamp::now(), usage::run_time(&pids));
        isolate(&duel, "off");
        std::thread::sleep(ms(300));
        let stalled = witness::stalled(from, until);
        rate.add(maker, flooded.rate(), stalled);
        let share = after.saturating_sub(before).as_secs_f64() / until.since(from).as_secs_f64();
        used.add(maker, share * 100.0, stalled);
        let claim = |heard: &Heard| heard.claim().map(|_| heard.at);
        let adverts: Vec<Stamp> = duel.ports[0].since(from - duel.interval, claim);
        let longest = adverts.windows(2).map(|pair| pair[1].since(pair[0])).max();
        silence.add(maker, millis(longest.unwrap_or(Duration::MAX)), stalled);
        takeovers.add(maker, duel.takeovers(from, Stamp::now()) as f64, stalled);
    }
    vec![rate, used, silence, takeovers]
}

/// A third host on the LAN.
fn intrude(duel: &Duel) -> Namespace {
    let stranger = Namespace::new("stranger");
    let switch = &duel.lan.switch;
    stranger.sysctl("ipv6/conf/all/disable_ipv6=1 ipv6/conf/default/disable_ipv6=1");
    cable((&stranger, "eth0"), (switch, "lans"));
    switch.ip("link set lans master lan\nlink set lans up");
    stranger.ip("link set eth0 arp off\nlink set eth0 up");
    stranger.wait_carrier("eth0");
    switch.sh("bridge link set dev lans isolated on");
    stranger
}

/// Isolated ports reach the others only: the Active's.
fn isolate(duel: &Duel, word: &str) {
    for port in ["lan2", "lanc"] {
        duel.lan
            .switch
            .sh(&format!("bridge link set dev {port} isolated {word}"));
    }
}

/// Advertisements with one defect each.
fn broken() -> Vec<Vec<u8>> {
    let sound = || {
        let addresses = [IpAddr::from([192, 0, 2, 254])];
        Advert::new(
            3,
            ROUTER,
            254,
            10,
            &addresses,
            IpAddr::from([192, 0, 2, 66]),
        )
        // From the virtual MAC address it would be an attack on the switch.
        .source_mac(Mac::played(66))
    };
    let all = [
        sound().cut_to(0),
        sound().cut_to(7),
        sound().ttl(1),
        sound().ttl(254),
        sound().version(2),
        sound().version(15),
        sound().kind(2),
        sound().vrid(0),
        sound().vrid(ROUTER + 1),
        sound().checksum(Checksum::OffBy(1)),
        sound().count(200),
        sound().addresses(&[]),
        sound().extra(&[0; 1000]),
        sound().interval(0),
    ];
    all.iter().map(Advert::frame).collect()
}
