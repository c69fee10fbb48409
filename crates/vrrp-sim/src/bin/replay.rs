//! Shows one seed as a readable trace, or runs many worlds of misfortune and counts what was seen in them.
#![expect(clippy::print_stdout, reason = "a command that prints")]

use core::time::Duration;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use vrrp_sim::carp;
use vrrp_sim::chaos::{Cuts, World};
use vrrp_sim::failover::{self, Cell};
use vrrp_sim::groups;
use vrrp_sim::lan::Sightings;
use vrrp_sim::sometimes;

const USAGE: &str = "\
usage: replay chaos --seed N [--keep N,N,...] [--without N,N,...] [--rounds N] [--calm yes] [--forbid NAME]
       replay soak [--from N] --seeds COUNT
       replay groups --seed N | --seeds COUNT [--from N]
       replay carp --seed N | --seeds COUNT [--from N]
       replay failover --profile NAME --routers 2|3 --loss PERCENT --seed N";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let seed = option("--seed").and_then(|seed| seed.parse().ok());
    let done = match (arguments.first().map(String::as_str), seed) {
        (Some("chaos"), Some(seed)) => Some(chaos(seed, cuts(option))),
        (Some("soak"), None) => {
            option("--seeds")
                .and_then(|seeds| seeds.parse().ok())
                .map(|seeds| {
                    let from = option("--from")
                        .and_then(|from| from.parse().ok())
                        .unwrap_or(0);
                    soak(from, seeds)
                })
        }
        (Some("groups"), Some(seed)) => Some(group_world(seed)),
        (Some("carp"), Some(seed)) => Some(carp_world(seed)),
        (Some(kind @ ("groups" | "carp")), None) => option("--seeds")
            .and_then(|seeds| seeds.parse().ok())
            .map(|seeds| {
                let from = option("--from")
                    .and_then(|from| from.parse().ok())
                    .unwrap_or(0);
                if kind == "carp" {
                    many_carp_worlds(from, seeds)
                } else {
                    many_group_worlds(from, seeds)
                }
            }),
        (Some("failover"), Some(seed)) => cell(option).map(|cell| watch(cell, seed)),
        _ => None,
    };
    done.unwrap_or_else(|| {
        println!("{USAGE}");
        ExitCode::from(2)
    })
}

/// What is left out of the world.
fn cuts<'a>(option: impl Fn(&str) -> Option<&'a str>) -> Cuts {
    let numbers = |name| -> Option<BTreeSet<usize>> {
        let numbers = option(name)?.split(',');
        Some(numbers.filter_map(|number| number.parse().ok()).collect())
    };
    let whole = Cuts::default();
    Cuts {
        keep: numbers("--keep"),
        without: numbers("--without").unwrap_or_default(),
        rounds: option("--rounds")
            .and_then(|rounds| rounds.parse().ok())
            .unwrap_or(whole.rounds),
        calm: option("--calm").is_some(),
        forbid: option("--forbid").map(str::to_owned),
    }
}

fn chaos(seed: u64, cuts: Cuts) -> ExitCode {
    let mut world = World::of(seed);
    world.cuts = cuts;
    let mut lan = world.lan();
    lan.record();
    let result = world.run_on(&mut lan);
    println!("{world}\n{}", lan.trace());
    verdict(result.err().map(|verdict| verdict.to_string()))
}

/// So many seeds between two lines of progress.
const CHUNK: u64 = 20_000;

fn soak(from: u64, seeds: u64) -> ExitCode {
    let begin = Instant::now();
    let mut seen = Sightings::new();
    let end = from + seeds;
    let mut next = from;
    while next < end {
        let chunk = next..end.min(next + CHUNK);
        next = chunk.end;
        match vrrp_sim::chaos::run(chunk) {
            Ok(more) => {
                for (what, times) in more {
                    *seen.entry(what).or_default() += times;
                }
            }
            Err(broken) => return verdict(Some(broken)),
        }
        let done = next - from;
        println!(
            "{done} of {seeds} seeds, {:.0} s",
            begin.elapsed().as_secs_f64()
        );
    }
    print!("{}", sometimes::table(&seen));
    let rare = sometimes::too_rare(&seen, seeds);
    rare.iter().for_each(|rare| println!("TOO RARE {rare}"));
    if rare.is_empty() {
        verdict(None)
    } else {
        ExitCode::FAILURE
    }
}

fn group_world(seed: u64) -> ExitCode {
    let world = groups::World::of(seed);
    println!("{world:#?}");
    let (trace, broken) = world.replay();
    println!("{trace}");
    verdict(broken)
}

fn many_group_worlds(from: u64, seeds: u64) -> ExitCode {
    let begin = Instant::now();
    match groups::run(from..from + seeds) {
        Ok(tally) => {
            println!("{tally}\n{:.1} s", begin.elapsed().as_secs_f64());
            verdict(None)
        }
        Err(broken) => verdict(Some(broken)),
    }
}

fn carp_world(seed: u64) -> ExitCode {
    let world = carp::World::of(seed);
    println!("{world:#?}");
    let (trace, broken) = world.replay();
    println!("{trace}");
    verdict(broken)
}

fn many_carp_worlds(from: u64, seeds: u64) -> ExitCode {
    let begin = Instant::now();
    match carp::run(from..from + seeds) {
        Ok(tally) => {
            println!("{tally}\n{:.1} s", begin.elapsed().as_secs_f64());
            verdict(None)
        }
        Err(broken) => verdict(Some(broken)),
    }
}

fn cell<'a>(option: impl Fn(&str) -> Option<&'a str>) -> Option<Cell> {
    let profile = option("--profile")?;
    let loss = format!("{} %", option("--loss")?);
    let routers = option("--routers")?.parse::<usize>().ok()?;
    failover::cells().find(|cell| {
        cell.profile.name == profile && cell.routers == routers && cell.loss.to_string() == loss
    })
}

fn watch(cell: Cell, seed: u64) -> ExitCode {
    let (mut lan, crash) = cell.lan(seed);
    lan.record();
    let rest = Duration::from_millis(u64::from(cell.profile.centis) * 10) * 20;
    let result = lan.try_run_until(crash + rest);
    println!("{}", lan.trace());
    verdict(result.err().map(|verdict| verdict.to_string()))
}

fn verdict(broken: Option<String>) -> ExitCode {
    match broken {
        Some(law) => {
            println!("BROKEN {law}");
            ExitCode::FAILURE
        }
        None => {
            println!("no law was broken");
            ExitCode::SUCCESS
        }
    }
}
