//! Explores every world of the model checker and prints how many there were.
#![expect(clippy::print_stdout, reason = "a command that prints")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use vrrp_sim::carp::explore as carp;
use vrrp_sim::explore::{explore, settings};

fn main() -> ExitCode {
    let only = std::env::args().nth(1);
    let mut worlds = 0;
    let mut sometimes = BTreeMap::new();
    println!(
        "{:<52} {:>11} {:>12} {:>8}",
        "setting", "worlds", "steps", "seconds"
    );
    for setting in settings(true) {
        if only
            .as_ref()
            .is_some_and(|only| !setting.to_string().contains(only))
        {
            continue;
        }
        let begin = Instant::now();
        match explore(&setting) {
            Ok(findings) => {
                worlds += findings.worlds;
                println!(
                    "{:<52} {:>11} {:>12} {:>8.1}",
                    setting.to_string(),
                    findings.worlds,
                    findings.steps,
                    begin.elapsed().as_secs_f64()
                );
                for (what, times) in findings.sometimes {
                    *sometimes.entry(what).or_insert(0) += times;
                }
            }
            Err(broken) => {
                println!("{setting}: BROKEN\n{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    for setting in carp::settings(true) {
        if only
            .as_ref()
            .is_some_and(|only| !setting.to_string().contains(only))
        {
            continue;
        }
        let begin = Instant::now();
        match carp::explore(&setting) {
            Ok(findings) => {
                worlds += findings.worlds;
                println!(
                    "{:<52} {:>11} {:>12} {:>8.1}",
                    setting.to_string(),
                    findings.worlds,
                    findings.steps,
                    begin.elapsed().as_secs_f64()
                );
                for (what, times) in findings.sometimes {
                    *sometimes.entry(what).or_insert(0) += times;
                }
            }
            Err(broken) => {
                println!("{setting}: BROKEN\n{broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    for (what, times) in sometimes {
        println!("{times:>12}  {what}");
    }
    println!("{worlds} worlds, no law was broken");
    ExitCode::SUCCESS
}
