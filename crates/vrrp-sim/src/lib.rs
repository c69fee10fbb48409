//! The laboratory: the engine that ships, on a virtual clock and a seeded lossy LAN.
//!
//! ```text
//!    seed -> Random -+-> Wire (loss, bursts, delay, jitter, reordering, duplication, cuts, islands)
//!                    +-> Machine (late timers, wrong clocks), Kernel (late, refusing, meddled with)
//!
//!   Machine 0            Wire            Machine 1
//!   Engine <--> Kernel   ----            Engine <--> Kernel
//!      |           |                        |           |
//!      +--> Judge  +--------> Ledger <------+-----------+      after every step
//! ```
//!
//! | module | noun |
//! |---|---|
//! | [`lan`], [`action`], [`wish`] | the world, what is done to it, and what operators ask |
//! | [`host`], [`clock`], [`kernel`], [`wire`] | what it is made of |
//! | [`plan`] | words for worlds |
//! | [`judge`], [`ledger`] | what must hold after every step; who held the addresses |
//! | [`chaos`], [`shrink`], [`sometimes`] | worlds made from a seed; the least of one that fails; what must be met in them |
//! | [`failover`], [`falsehood`] | failover times by loss; takeovers from an Active that lives |
//! | [`explore`], [`search`] | everything that can happen to a small world |
//! | [`groups`] | sync groups between several links |
//! | [`mod@carp`] | CARP among its implementations |
//! | [`mod@reference`] | the protocol a second time, to compare the engine with |
//!
//! ```
//! use vrrp_sim::{Host, Lan, plan::{priority, secs}};
//!
//! let mut lan = Lan::of([priority(200), priority(100)]);
//! lan.run_for(secs(10));
//! assert_eq!(lan.actives(), [Host(0)]);
//! ```
#![forbid(unsafe_code)]

pub mod action;
pub mod carp;
pub mod chaos;
pub mod clock;
pub mod explore;
pub mod failover;
pub mod falsehood;
pub mod fuzz;
pub mod groups;
pub mod host;
pub mod judge;
pub mod kernel;
pub mod lan;
pub mod ledger;
pub mod plan;
pub mod random;
pub mod reference;
pub mod search;
pub mod shrink;
pub mod sometimes;
pub mod trace;
pub mod wire;
pub mod wish;

pub use action::Action;
pub use host::Host;
pub use judge::{Verdict, Violation};
pub use lan::Lan;
pub use random::{Chance, Random};
pub use wire::Weather;
