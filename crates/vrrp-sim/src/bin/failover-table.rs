//! Prints failover times and dual-Active times by loss as Markdown: `failover-table [SEEDS]`, 1,000 by default.
#![expect(clippy::print_stdout, reason = "a command that prints")]

use std::process::ExitCode;

use vrrp_sim::failover::{HEAD, Row, cells};

fn main() -> ExitCode {
    let seeds = std::env::args()
        .nth(1)
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(1_000);
    println!("Seeds 0 to {} for each line.\n\n{HEAD}", seeds - 1);
    for cell in cells() {
        match Row::of(cell, seeds) {
            Ok(row) => println!("{row}"),
            Err(broken) => {
                println!("\nBROKEN {broken}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
