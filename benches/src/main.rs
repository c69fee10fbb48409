//! Runs rows of the benchmark and writes what they measured; see `scripts/bench`.
#![expect(clippy::print_stdout, reason = "somebody waits for the figures")]
#![expect(clippy::print_stderr, reason = "and for what went wrong")]

use std::path::PathBuf;
use std::process::ExitCode;
use vrrp_bench::{Effort, Report, Row, rows};

const USAGE: &str = "usage: vrrp-bench [--quick] [--trials N] [--list] [--into FOLDER] [ROW...]";

fn main() -> ExitCode {
    let mut effort = Effort::default();
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut wanted = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => effort.quick = true,
            "--list" => {
                for row in rows() {
                    println!("{:<20} {}", row.name, row.about);
                }
                return ExitCode::SUCCESS;
            }
            "--trials" => match arguments.next().and_then(|text| text.parse().ok()) {
                Some(trials) => effort.trials = Some(trials),
                None => return misused("--trials needs a number"),
            },
            "--into" => match arguments.next() {
                Some(path) => folder = path.into(),
                None => return misused("--into needs a folder"),
            },
            name if rows().iter().any(|row| row.name == name) => wanted.push(name.to_owned()),
            other => return misused(&format!("no row {other:?}; --list names them")),
        }
    }
    let mut report = match Report::read(&folder) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("{}: {error}", folder.join("benchmarks.json").display());
            return ExitCode::FAILURE;
        }
    };
    let all = rows();
    let order: Vec<&str> = all.iter().map(|row| row.name).collect();
    let chosen = |row: &&Row| wanted.is_empty() || wanted.iter().any(|name| name == row.name);
    let mut sound = true;
    for row in all.iter().filter(chosen) {
        println!("== {}", row.name);
        let begun = std::time::Instant::now();
        sound &= row.play(&effort, &mut report);
        for measure in report.measures(row.name) {
            println!("   {measure}");
        }
        println!("   {} s", begun.elapsed().as_secs());
        // What was measured stays measured if the run is broken off.
        if let Err(error) = report.write(&folder, &order) {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    if sound {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn misused(why: &str) -> ExitCode {
    eprintln!("{why}\n{USAGE}");
    ExitCode::from(64)
}
