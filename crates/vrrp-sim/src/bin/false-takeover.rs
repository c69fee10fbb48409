//! Counts takeovers from a living Active under random loss, by how many advertisements were lost in a row before each.
#![expect(clippy::print_stdout, reason = "a command that prints")]

use core::time::Duration;
use std::process::ExitCode;

use vrrp_sim::Chance;
use vrrp_sim::falsehood::{Report, Setting};

const USAGE: &str = "\
usage: false-takeover [--seeds N] [--hours N] [--loss PERCENT] [--interval MILLISECONDS] [--drift PERCENT]
       1,000 seeds of one hour at 1 % and 100 ms with clocks wrong by up to 1 % unless told otherwise";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let names = ["--seeds", "--hours", "--loss", "--interval", "--drift"];
    let known = |pair: &[String]| {
        names.contains(&pair[0].as_str()) && pair.get(1).is_some_and(|it| it.parse::<u32>().is_ok())
    };
    if !arguments.chunks(2).all(known) {
        println!("{USAGE}");
        return ExitCode::from(2);
    }
    let option = |name: &str, usual: u32| -> u32 {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok())
            .unwrap_or(usual)
    };
    let setting = Setting {
        loss: Chance::percent(option("--loss", 1).min(100)),
        interval: u16::try_from(option("--interval", 100) / 10).unwrap_or(10),
        time: Duration::from_secs(3600) * option("--hours", 1),
        drift: option("--drift", 1).min(10) * 10_000,
    };
    match setting.run_all(u64::from(option("--seeds", 1_000))) {
        Ok(count) => {
            let unfounded = count.unfounded();
            print!("{}", Report(setting, count));
            if unfounded == 0 {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(broken) => {
            println!("BROKEN {broken}");
            ExitCode::FAILURE
        }
    }
}
