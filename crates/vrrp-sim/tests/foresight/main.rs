//! What explain says, beside what then happens: random situations, and in a copy of each the thing that was said to change a
//! role. It has to change at just that time.
//!
//! What is said holds under conditions: no router speaks that is not known, and those that are known are as they were heard.
//! Where a world does not keep to them, the statement says nothing, and is counted as void.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use vrrp_forecast::{Condition, Prospect, prospects};
use vrrp_proto::{Instant, Role};
use vrrp_sim::Random;

use crate::world::{NAME, World};

mod world;

/// Situations of a run, of which two thirds have something to say that means something in them; `SITUATIONS` in the environment asks for another number.
const SITUATIONS: u64 = 30_000;

/// What became of the statements of one kind.
#[derive(Clone, Debug, Default)]
struct Tally {
    exact: u64,
    void: u64,
    wrong: Vec<String>,
}

type Tallies = BTreeMap<&'static str, Tally>;

#[test]
fn what_would_change_a_role_does_so_at_just_that_time() {
    let situations = std::env::var("SITUATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SITUATIONS);
    let workers = 2;
    let all: Vec<Tallies> = thread::scope(|scope| {
        let run = |first: u64| {
            move || {
                let mut tallies = Tallies::new();
                for seed in (first..situations).step_by(workers) {
                    situation(seed, &mut tallies);
                }
                tallies
            }
        };
        let workers: Vec<_> = (0..2).map(|first| scope.spawn(run(first))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().expect("see above"))
            .collect()
    });
    let mut total = Tallies::new();
    for (kind, tally) in all.into_iter().flatten() {
        let sum = total.entry(kind).or_default();
        sum.exact += tally.exact;
        sum.void += tally.void;
        sum.wrong.extend(tally.wrong);
    }
    for (kind, Tally { exact, void, wrong }) in &total {
        println!(
            "{kind:10} exact {exact:6} void {void:6} wrong {:6}",
            wrong.len()
        );
    }
    let wrong: Vec<&String> = total.values().flat_map(|tally| &tally.wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} of {situations} situations; the first: {}",
        wrong.len(),
        wrong
            .iter()
            .take(3)
            .map(|it| it.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    );
    if situations >= SITUATIONS {
        // Each kind of statement was tried, and most of them meant something.
        for kind in KINDS {
            let tally = total.get(kind).cloned().unwrap_or_default();
            assert!(tally.exact >= 100, "{kind}: {tally:?}");
        }
        let exact: u64 = total.values().map(|tally| tally.exact).sum();
        let void: u64 = total.values().map(|tally| tally.void).sum();
        assert!(exact > void * 2, "{exact} exact, {void} void");
    }
}

const KINDS: [&str; 10] = [
    "nothing",
    "silence",
    "release",
    "raised",
    "lowered",
    "orders",
    "mended",
    "outranked",
    "link-down",
    "stays",
];

fn kind(condition: &Condition, role: Role) -> &'static str {
    match condition {
        Condition::Nothing => "nothing",
        Condition::Silence(_) => "silence",
        Condition::Release(_) => "release",
        Condition::Priority(_) if role == Role::Active => "lowered",
        Condition::Priority(_) => "raised",
        Condition::NoOrders => "orders",
        Condition::Mended => "mended",
        Condition::Outranked(..) => "outranked",
        Condition::LinkDown(_) => "link-down",
    }
}

/// One random world up to a random moment, and all that is said there.
fn situation(seed: u64, tallies: &mut Tallies) {
    let mut random = Random::stream(seed, 7);
    let world = World::random(&mut random);
    let us = world.somebody(&mut random);
    let now = world.now;
    let engine = world.engine(us);
    let role = World::role_of(engine);
    let said = prospects(&engine.save(), now, NAME);
    for prospect in &said {
        let found = check(&world, us, role, prospect);
        let tally = tallies.entry(kind(&prospect.condition, role)).or_default();
        match found {
            Found::Exact => tally.exact += 1,
            Found::Void => tally.void += 1,
            Found::Wrong(why) => tally.wrong.push(format!(
                "seed {seed}, at {now:?}, {role} of host {us}: {prospect:?} is wrong: {why}\n{said:?}\n{world}"
            )),
        }
    }
    // Nothing was said to happen by itself: then nothing does.
    if !said.iter().any(|it| it.condition == Condition::Nothing) {
        let tally = tallies.entry("stays").or_default();
        match stays(&world, us, role) {
            Found::Exact => tally.exact += 1,
            Found::Void => tally.void += 1,
            Found::Wrong(why) => tally.wrong.push(format!(
                "seed {seed}, at {now:?}, host {us} does not stay {role}: {why}\n{said:?}\n{world}"
            )),
        }
    }
}

enum Found {
    Exact,
    Void,
    Wrong(String),
}

/// What is changed about a role.
fn wanted(role: Role) -> impl Fn(Role) -> bool {
    move |to| (role == Role::Active) != (to == Role::Active)
}

fn check(world: &World, us: usize, role: Role, prospect: &Prospect) -> Found {
    // What ends while a packet is on its way is told apart from what is over by then, and a forecast's packets take no time.
    if world.is_about_to_end(us, world.latency * 2) {
        return Found::Void;
    }
    let mut real = world.copy();
    real.watch(us);
    let known = world.known(us);
    let keeps = |real: &World| world.keeps_to(real, us, role);
    let expected = match &prospect.condition {
        Condition::Nothing if !keeps(&real) => return Found::Void,
        Condition::Nothing => world.leads(us),
        Condition::Silence(peers) => {
            for peer in peers {
                real.crash(*peer);
            }
            Vec::new()
        }
        Condition::Release(peer) => {
            if !keeps(&real) {
                return Found::Void;
            }
            real.release(*peer);
            vec![*peer]
        }
        Condition::Priority(priority) => {
            if !keeps(&real) {
                return Found::Void;
            }
            real.set_priority(us, *priority);
            known
        }
        Condition::NoOrders => {
            if !keeps(&real) {
                return Found::Void;
            }
            real.end_orders(us);
            known
        }
        Condition::Mended => {
            if !keeps(&real) {
                return Found::Void;
            }
            real.mend(us);
            known
        }
        Condition::Outranked(priority, address) => {
            return outranked(world, us, *priority, *address);
        }
        Condition::LinkDown(_) => {
            real.set_link(us, false);
            Vec::new()
        }
    };
    let slack = world.latency * 2 + prospect.give_or_take;
    let due = world.now + prospect.after;
    real.run(due + slack + Duration::from_nanos(1));
    let stranger = real
        .heard_by_watched()
        .iter()
        .find(|(at, address, _)| *at <= due && !expected.contains(address))
        .copied();
    let changed = real
        .turns_of_watched()
        .iter()
        .find(|(_, to)| wanted(role)(*to))
        .copied();
    match changed {
        Some((at, _)) if distance(at, due) <= slack => Found::Exact,
        _ if stranger.is_some() => Found::Void,
        other => Found::Wrong(format!("due at {due:?}, and it was {other:?}")),
    }
}

fn distance(a: Instant, b: Instant) -> Duration {
    a.saturating_since(b).max(b.saturating_since(a))
}

/// Somebody who wins, and somebody who does not.
fn outranked(
    world: &World,
    us: usize,
    priority: vrrp_proto::Priority,
    address: std::net::IpAddr,
) -> Found {
    let above = world::neighbour(address, true);
    let below = world::neighbour(address, false);
    let more = vrrp_proto::Priority::new(priority.get() + 1);
    for (priority, from, loses) in [
        (more, below, true),
        (priority, above, true),
        (priority, below, false),
    ] {
        let mut real = world.copy();
        real.forge(us, priority, from);
        let lost = World::role_of(real.engine(us)) != Role::Active;
        if lost != loses {
            return Found::Wrong(format!("{priority} from {from}: lost {lost}"));
        }
    }
    Found::Exact
}

fn stays(world: &World, us: usize, role: Role) -> Found {
    if !world.keeps_to(world, us, role) {
        return Found::Void;
    }
    let mut real = world.copy();
    real.watch(us);
    real.run(world.now + Duration::from_secs(20));
    let leads = world.leads(us);
    let stranger = real
        .heard_by_watched()
        .iter()
        .any(|(_, address, _)| !leads.contains(address));
    let changed = real
        .turns_of_watched()
        .iter()
        .find(|(_, to)| wanted(role)(*to));
    match changed {
        None => Found::Exact,
        Some(_) if stranger => Found::Void,
        Some((at, to)) => Found::Wrong(format!("{to} at {at:?}")),
    }
}
