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
            // What was measured stays measured if the run is broken off.
            table::write(&all, &lines);
        }
    }
    assert!(failed.is_empty(), "these rows fail: {failed:?}");
}

/// Fails unless a row comes out as it should, or as is known.
fn guard(name: &str) {
    let all = rows();
    let row = all.iter().find(|row| row.name == name);
    let (verdict, line) = play(row.unwrap_or_else(|| panic!("no row {name}")));
    assert_ne!(verdict, Verdict::Fails, "{line}");
}

/// A test for each row that a build can wait for, in the name of the row.
macro_rules! guarded {
    ($($test:ident $name:literal)+) => {
        $(
            #[test]
            fn $test() {
                guard($name);
            }
        )+
    };
}

guarded! {
    partition "partition"
    mute "mute"
    sigterm "sigterm"
    sigstop "sigstop"
    sigkill "sigkill"
    sigstop_return "sigstop-return"
    flap_100 "flap-100"
    interface_deleted "interface-deleted"
    equal_priorities "equal-priorities"
}

#[test]
fn rows_have_names_of_their_own_and_limits() {
    let all = rows();
    for (index, row) in all.iter().enumerate() {
        assert!(!row.limits.is_empty(), "{} is held to nothing", row.name);
        assert!(
            all[..index].iter().all(|other| other.name != row.name),
            "two rows {}",
            row.name
        );
    }
}
