//! Explores every world of the model checker and prints how many there were.
#![expect(clippy::print_stdout, reason = "a command that prints")]

use std::fmt::{Debug, Display};
use std::process::ExitCode;
use std::time::Instant;

use vrrp_sim::search::{Counterexample, Findings};
use vrrp_sim::{carp, explore};

fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    let mut all = Findings::default();
    println!(
        "{:<52} {:>11} {:>12} {:>8}",
        "setting", "worlds", "steps", "seconds"
    );
    let sound = each(&only, &explore::settings(true), explore::explore, &mut all)
        && each(
            &only,
            &carp::explore::settings(true),
            carp::explore::explore,
            &mut all,
        );
    if !sound {
        return ExitCode::FAILURE;
    }
    for (what, times) in all.sometimes {
        println!("{times:>12}  {what}");
    }
    println!("{} worlds, no law was broken", all.worlds);
    ExitCode::SUCCESS
}

/// Explores those that are called like that; whether no law was broken.
fn each<S: Display, E: Debug>(
    only: &str,
    settings: &[S],
    explore: impl Fn(&S) -> Result<Findings, Box<Counterexample<E>>>,
    all: &mut Findings,
) -> bool {
    for setting in settings {
        let name = setting.to_string();
        if !name.contains(only) {
            continue;
        }
        let begin = Instant::now();
        let findings = match explore(setting) {
            Ok(findings) => findings,
            Err(broken) => {
                println!("{name}: BROKEN\n{broken}");
                return false;
            }
        };
        println!(
            "{name:<52} {:>11} {:>12} {:>8.1}",
            findings.worlds,
            findings.steps,
            begin.elapsed().as_secs_f64()
        );
        all.worlds += findings.worlds;
        for (what, times) in findings.sometimes {
            *all.sometimes.entry(what).or_default() += times;
        }
    }
    true
}
