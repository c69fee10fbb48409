//! Misfortunes of every kind, the built daemon, a real kernel, and what a client saw of it.
//!
//! Each row says what is done and which result would be safe, before it is measured. `scripts/nemesis` runs all of them
//! and writes `docs/nemesis.md`; the tests here run those that need little time.
#![expect(
    clippy::print_stdout,
    reason = "the measured figures are half of the result"
)]

mod interface;
mod machine;
mod process;
mod row;
mod scene;
mod stranger;
mod table;
mod terms;
mod wire;

use row::{Row, Verdict};
use std::sync::{Mutex, PoisonError};

/// All rows, in the order of the table.
fn rows() -> Vec<&'static Row> {
    [
        wire::ROWS,
        process::ROWS,
        interface::ROWS,
        stranger::ROWS,
        machine::ROWS,
        terms::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs a row, prints its line, and says whether it came out as it should or as is known.
fn play(row: &Row) -> (Verdict, String) {
    static ALONE: Mutex<()> = Mutex::new(());
    // The failure of another row is no reason not to run this one.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let outcome = row.run();
    let verdict = row.verdict(&outcome);
    println!("{}: {verdict:?} {:?}", row.name, outcome.complaints);
    println!("    {:?}", outcome.measured);
    (verdict, table::line(row, &outcome))
}

/// The whole table, or the rows that `NEMESIS` names.
#[test]
#[ignore = "takes minutes; scripts/nemesis runs it"]
fn table() {
    let wanted = std::env::var("NEMESIS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split_whitespace().collect();
    let all = rows();
    let unknown: Vec<&&str> = wanted
        .iter()
        .filter(|name| all.iter().all(|row| row.name != **name))
        .collect();
    assert!(unknown.is_empty(), "no rows {unknown:?}");
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for row in &all {
        if wanted.is_empty() || wanted.contains(&row.name) {
            let (verdict, line) = play(row);
            if verdict == Verdict::Fails {
                failed.push(row.name);
            }
            lines.push((row.name, line));
        }
    }
    table::write(&all, &lines);
    assert!(failed.is_empty(), "these rows fail: {failed:?}");
}
