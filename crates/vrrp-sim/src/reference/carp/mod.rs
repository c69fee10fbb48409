//! CARP a second time, to compare the engine with, and to stand for the peers of the simulator.
//!
//! There is no standard. This follows what was read in, and measured at, OpenBSD, FreeBSD, NetBSD and UCarp, column by
//! column; it shares no code with `vrrp-proto`, down to its own SHA-1. Where the product does more than any of them, or
//! something of its own, the model does so for a router that is [`Terms::ours`], and says "Decision".
//!
//! | module | noun |
//! |---|---|
//! | [`digest`] | HMAC-SHA1 and what it covers |
//! | [`wire`] | bytes and receive checks |
//! | [`terms`] | what a router is configured with, and what it bids |
//! | [`machine`] | roles and timers |
//! | [`script`] | what happens to engine and model, and the comparison |

pub mod digest;
pub mod machine;
pub mod script;
pub mod terms;
pub mod wire;

pub use super::machine::{Role, Sent};
pub use machine::{Machine, Said};
pub use script::Script;
pub use terms::{Bid, Manner, Terms};
