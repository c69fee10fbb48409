//! The Linux side of vrrpd: sockets and frames of protocol 112, the engine's thread, and the kernel state it wants.
//!
//! | module | noun |
//! |---|---|
//! | [`driver`] | the engine's thread: what it waits for and in which order it works |
//! | [`socket`], [`frame`] | packets in and out |
//! | `ears`, `claim` | sockets of each interface, opened and closed off the engine's thread; claims of our addresses |
//! | [`kernel`] | macvlans, addresses, sysctls and filters, reconciled with what the engine wants |
//! | `outbox` | frames that leave together |
//! | `fences`, `leases` | leases of virtual MAC addresses, which end when the engine falls silent |
//! | [`lateness`] | how late the engine's timers run |
//! | [`clock`] | time |

mod claim;
pub mod clock;
pub mod driver;
mod ears;
mod fences;
pub mod frame;
pub mod fuzz;
mod held;
pub mod kernel;
pub mod lateness;
mod leases;
mod outbox;
pub mod socket;
mod syscall;

pub use driver::{Driver, Handle, News, NewsSink, Protection, StartError};
pub use leases::{Leases, Means, TableLeases};
pub use syscall::{Batch, Scheduling};
