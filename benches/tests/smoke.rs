//! The harness runs: a row without a kernel and a row with one, each in one trial.

use std::path::Path;
use vrrp_bench::{Effort, Maker, Report, Row, rows, smoke};

/// Plays a row; what came of it is in the report.
fn play(row: &Row, report: &mut Report) {
    let effort = Effort {
        quick: true,
        trials: Some(1),
    };
    assert!(row.play(&effort, report), "{}: {report:?}", row.name);
}

#[test]
fn what_was_measured_is_written() {
    let folder = std::env::temp_dir().join(format!("vb{}-smoke", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::copy(docs.join("benchmarks.md"), folder.join("benchmarks.md")).unwrap();
    let all = rows();
    let codec = all.iter().find(|row| row.name == "codec").unwrap();
    let mut report = Report::default();
    play(codec, &mut report);
    let order: Vec<&str> = all.iter().map(|row| row.name).collect();
    report.write(&folder, &order).unwrap();
    let text = std::fs::read_to_string(folder.join("benchmarks.md")).unwrap();
    assert!(text.contains("| parse and validate, ns |"), "{text}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_fleet_and_a_pair_can_be_measured() {
    if !vrrp_lab::topology::have_root() {
        return;
    }
    let mut report = Report::default();
    play(&smoke(), &mut report);
    let figures: Vec<f64> = report
        .measures("smoke")
        .iter()
        .filter_map(|measure| measure.series[&Maker::Ours].quantile(0.5))
        .collect();
    let [memory, gap] = figures[..] else {
        panic!("{report:?}")
    };
    assert!(memory > 1.0 && memory < 100.0, "{memory} MiB");
    // 3 × Adv + Skew, less at most one interval: a host cannot have lost less.
    assert!(gap > 255.0, "{gap} ms");
}

#[test]
fn rows_have_names_of_their_own() {
    let all = rows();
    let mut names: Vec<&str> = all.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
}
