//! The benchmarks: `vrrpd` beside Debian's keepalived and FRR, in one run, on one kernel.
//!
//! `scripts/bench` runs the rows of [`rows()`] and writes `docs/benchmarks.md` and `docs/benchmarks.json`. How they
//! measure stands there. The rooms:
//!
//! * `sample`, `measure`, `report`, `machine`: figures, what they are held to, the table, and where it was made;
//! * `maker`: whose router; `ground`, `fleet`: hundreds of routers and the cables between them; `duel`: one pair under traffic;
//! * `sniff`, `stream`, `census`, `rollcall`: advertisements, datagrams, addresses and answers, each with its time;
//! * `usage`, `hogs`, `witness`: what a process costs, who takes the processor away, and whether the machine stood still;
//! * [`codec`]: what one advertisement costs without a kernel, for `cargo bench`, too;
//! * `rows`: one file for each row of the table.
//!
//! Everything but [`codec`] needs root and Linux, and stays inside namespaces of the laboratory.

mod census;
pub mod codec;
mod duel;
mod effort;
mod fleet;
mod ground;
mod hogs;
mod machine;
mod maker;
mod measure;
mod report;
mod rollcall;
mod rows;
mod sample;
mod sniff;
mod stream;
mod usage;
mod witness;

pub use effort::Effort;
pub use maker::Maker;
pub use measure::{Figure, Goal, Measure};
pub use report::Report;
pub use rows::{Row, rows, smoke};
pub use sample::{Sample, Series};
