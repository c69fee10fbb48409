//! The failover table, under snapshot: a change of the protocol's behaviour is a readable difference.
//!
//! A debug build runs few seeds, a release build a thousand; each has its own snapshot. The big table is printed by
//! `cargo run -p vrrp-sim --release --bin failover-table` and kept in `docs/simulation.md`.

use core::time::Duration;

use vrrp_sim::failover::{HEAD, LOSSES, Row, cells};

const SEEDS: u64 = if cfg!(debug_assertions) { 40 } else { 1_000 };

#[test]
fn failover_by_loss() {
    let mut table = format!("{SEEDS} seeds\n\n{HEAD}\n");
    for cell in cells() {
        let row = Row::of(cell, SEEDS).unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(row.never(), 0, "somebody always takes over: {row}");
        if cell.loss == LOSSES[0] {
            // Without loss nobody waits longer than the down interval, the machine's lateness and its kernel.
            assert!(
                row.worst() <= row.bound() + Duration::from_millis(2),
                "{row}"
            );
        }
        table += &format!("{row}\n");
    }
    insta::assert_snapshot!(format!("failover_by_loss_{SEEDS}_seeds"), table);
}
