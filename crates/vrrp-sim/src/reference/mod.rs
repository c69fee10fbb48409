//! The protocol a second time: small, slow, and worded like the RFCs, to compare the engine with.
//!
//! It knows one virtual router, keeps every time in nanoseconds and shares no code with `vrrp-proto`: it reads and writes
//! bytes by itself, and its two halves follow the tables of the standards line by line.
//!
//! | module | noun |
//! |---|---|
//! | [`terms`] | what a router is configured with |
//! | [`wire`] | bytes: RFC 9568 §5.2, §7.1; RFC 3768 §5.3, §7.1 |
//! | [`machine`] | roles and timers: RFC 9568 §6.4; RFC 3768 §6.4 |
//! | [`script`] | what happens to both, and the comparison |
//! | `subject` | the engine in it, whatever protocol it speaks |
//! | [`carp`] | the same for CARP |
//!
//! Where the product decides what the RFCs leave open, or goes beyond them, the model says so where it does the same:
//! look for "Decision". Orders of operators are not in it: no standard speaks of them, and a model of them would be a copy of
//! ours; they are judged by what must come of them (`judge`, `tests/orders.rs`).

pub mod carp;
pub mod machine;
pub mod script;
mod subject;
pub mod terms;
pub mod wire;

pub use machine::{Machine, Role, Sent};
pub use script::Script;
pub use terms::{Terms, Version};
