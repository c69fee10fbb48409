//! A thousand addresses change hands at once.

use super::Row;
use crate::census::Census;
use crate::duel::millis;
use crate::effort::Effort;
use crate::fleet::{Fleet, Orders, addresses};
use crate::ground::Ground;
use crate::maker::Maker;
use crate::measure::{Figure, Goal, Measure};
use crate::rollcall::RollCall;
use crate::sniff::{Heard, Interest, Sniff, What};
use crate::witness;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use vrrp_lab::clock::{Stamp, ms, wait_for};

pub(crate) const ROW: Row = Row {
    name: "takeover-1000",
    about: "1,000 routers at 100 ms on four switched networks; all ports of the Active are taken out of the switches. From the \
            kernel's notices: the first to the last address present at the other. From a host on each network: every address \
            is asked by ARP and by an echo to its virtual MAC address within a millisecond of the new Active's first \
            advertisement for it, and again after 5 ms if an answer is missing, until all have answered. Then the ports come back, and the addresses go.",
    run,
};

fn run(effort: &Effort) -> Vec<Measure> {
    let mut span = Measure::new("first to last address present", "ms")
        .goal(Goal::most(Figure::P50, 15.0).ebpf(5.0));
    let mut phases = Measure::new("first to last advertisement heard of the old Active", "ms");
    let mut adverts = Measure::new("first to last advertisement of the new Active", "ms");
    let mut beyond = Measure::new(
        "the same, each from the last advertisement of its old Active",
        "ms",
    )
    .goal(Goal::most(Figure::P50, 15.0).ebpf(5.0));
    let mut answered = Measure::new("first advertisement to all answered ARP and echo", "ms")
        .goal(Goal::most(Figure::P50, 130.0).ebpf(15.0));
    let mut since_last = Measure::new("last first advertisement to all answered", "ms");
    let mut settled = Measure::new(
        "the same questions, asked at once of a settled Active",
        "ms",
    );
    let mut missing = Measure::new("addresses that had not answered after 5 s", "addresses")
        .goal(Goal::most(Figure::Max, 0.0));
    let mut release = Measure::new("first to last address gone when the port is back", "ms");
    let trials = effort.trials(5, 20);
    for maker in Maker::ours_and(&[Maker::Keepalived]) {
        let orders = Orders {
            maker,
            parents: 4,
            each: 250,
            priority: 254,
            interval: ms(100),
            changed: false,
        };
        let ground = Ground::switched(orders.parents);
        let _active = Fleet::active(&ground, 0, orders);
        let _backup = Fleet::backup(
            &ground,
            1,
            Orders {
                priority: 253,
                ..orders
            },
        );
        std::thread::sleep(ms(3500));
        let census = Census::start(&ground.routers[1]);
        let ears: Vec<Sniff> = (0..orders.parents)
            .map(|parent| {
                let (namespace, interface) = ground.ear(1, parent);
                Sniff::start(namespace, &interface, Interest::Adverts)
            })
            .collect();
        let call = RollCall::prepare(&ground, &orders);
        for trial in 0..trials {
            // Another phase each time.
            std::thread::sleep(ms(37 * (trial as u64 % 7)));
            ears.iter().for_each(Sniff::clear);
            // Each router is heard once more.
            std::thread::sleep(orders.interval * 2);
            let asked = Stamp::now();
            ground.isolate(0, true);
            let claim = |heard: &Heard| heard.claim().map(|_| heard.at);
            let first = wait_for(ms(5000), || {
                ears.iter().flat_map(|ear| ear.since(asked, claim)).min()
            });
            let Some(first) = first else {
                missing.add(maker, orders.count() as f64, false);
                ground.isolate(0, false);
                continue;
            };
            let firsts = || {
                let mut firsts: BTreeMap<Ipv4Addr, Stamp> = BTreeMap::new();
                for (parent, ear) in (0..).zip(&ears) {
                    let claims =
                        ear.since(asked, |heard| heard.claim().map(|vrid| (vrid, heard.at)));
                    for (vrid, at) in claims {
                        firsts.entry(Ground::virtual_ip(parent, vrid)).or_insert(at);
                    }
                }
                firsts
            };
            let called = call.call(ms(5000), || firsts().into_keys().collect());
            std::thread::sleep(ms(300));
            let over = Stamp::now();
            // What the questions and answers alone take, with nothing to be taken over.
            let everybody: BTreeSet<Ipv4Addr> = firsts().into_keys().collect();
            let asked_again = Stamp::now();
            let again = call.call(ms(5000), || everybody.clone());
            if let Some(complete) = again.complete {
                let stalled = witness::stalled(asked_again, complete);
                settled.add(maker, complete.millis_since(asked_again), stalled);
            }
            let stalled = witness::stalled(first, called.complete.unwrap_or(over));
            missing.add(maker, (orders.count() - called.present) as f64, stalled);
            if let Some(complete) = called.complete {
                answered.add(maker, complete.millis_since(first), stalled);
            }
            let came = census.changes(asked, true);
            let lasts = lasts(&ears, asked - orders.interval * 2);
            phases.add(
                maker,
                millis(between(lasts.values().min(), lasts.values().max())),
                stalled,
            );
            if came.len() == orders.count() {
                let (early, late) = (came.values().min(), came.values().max());
                span.add(maker, millis(between(early, late)), stalled);
                let waits = came
                    .iter()
                    .filter_map(|(ip, at)| Some(at.since(*lasts.get(ip)?)));
                let waits: Vec<_> = waits.collect();
                if let (Some(least), Some(most)) = (waits.iter().min(), waits.iter().max()) {
                    beyond.add(maker, millis(*most - *least), stalled);
                }
            }
            let last = firsts().into_values().max().unwrap_or(first);
            adverts.add(maker, millis(last.since(first)), stalled);
            if let Some(complete) = called.complete {
                since_last.add(maker, complete.millis_since(last), stalled);
            }
            let back = Stamp::now();
            ground.isolate(0, false);
            let empty = wait_for(ms(15_000), || {
                (addresses(&ground.routers[1]) == 0).then_some(())
            });
            let gone = census.changes(back, false);
            if empty.is_some() && gone.len() == orders.count() {
                let (early, late) = (gone.values().min(), gone.values().max());
                let stalled = witness::stalled(back, Stamp::now());
                release.add(maker, millis(between(early, late)), stalled);
            }
            // The one that stayed Active announces again after the conflict, for some seconds.
            std::thread::sleep(ms(2500));
        }
    }
    span.note("with `ebpf` an address is asked for at once; its presence in the kernel matters to the router itself only");
    phases.note("a router takes over its own Active_Down_Interval after the last advertisement that it heard: what is spread here is spread there, by the protocol");
    vec![
        span, phases, beyond, adverts, answered, since_last, settled, missing, release,
    ]
}

/// When each router of the old Active was last heard at the other's port.
fn lasts(ears: &[Sniff], from: Stamp) -> BTreeMap<Ipv4Addr, Stamp> {
    let mut lasts = BTreeMap::new();
    for (parent, ear) in (0..).zip(ears) {
        let heard = ear.since(from, |heard| match heard.what {
            What::Advert { vrid, .. } if heard.outgoing => Some((vrid, heard.at)),
            What::Advert { .. } | What::Answer(_) => None,
        });
        for (vrid, at) in heard {
            lasts.insert(Ground::virtual_ip(parent, vrid), at);
        }
    }
    lasts
}

fn between(early: Option<&Stamp>, late: Option<&Stamp>) -> std::time::Duration {
    early
        .zip(late)
        .map_or(std::time::Duration::ZERO, |(early, late)| {
            late.since(*early)
        })
}
