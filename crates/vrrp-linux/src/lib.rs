//! The Linux side of vrrpd: sockets and frames of protocol 112, the engine's thread, and the kernel state it wants.
//!
//! | module | noun |
//! |---|---|
//! | [`driver`] | the engine's thread: what it waits for and in which order it works |
//! | [`socket`], [`frame`] | packets in and out |
//! | `ears`, `claim` | sockets of each interface, opened and closed off the engine's thread; claims of our addresses |
//! | [`bfd`] | the thread that has the BFD sessions of trackers |
//! | [`store`], `heritage` | what outlives a process, and how another one goes on with it |
//! | `journal`, `pulse` | its state, change by change; what moves with every packet |
//! | [`kernel`] | macvlans, addresses, sysctls and filters, reconciled with what the engine wants |
//! | `outbox` | frames that leave together |
//! | `fences`, `leases` | leases of virtual MAC addresses, which end when the engine falls silent |
//! | [`lateness`] | how late the engine's timers run |
//! | [`clock`] | time |

pub mod bfd;
pub mod child;
mod claim;
pub mod clock;
pub mod driver;
mod ears;
mod fences;
pub mod frame;
pub mod fuzz;
mod held;
mod heritage;
mod journal;
pub mod kernel;
pub mod lateness;
mod leases;
mod opener;
mod outbox;
mod partings;
mod pulse;
pub mod socket;
pub mod store;
mod syscall;

pub use driver::{Driver, Farewell, Handle, News, NewsSink, Orders, Protection, StartError};
pub use heritage::{Heritage, HeritageError, release};
pub use leases::{Leases, Means, TableLeases};
pub use syscall::{Batch, Scheduling};

/// Gives the calling thread, and the processes that it starts, the best scheduling that the engine's thread may have, and a
/// little more: what replaces a worker that died must not wait for it, nor for anybody else.
pub fn come_first() {
    let _ = syscall::schedule_family_first(syscall::ENGINE_PRIORITY + 1);
}

/// Returns memory to the system that was needed for a while only. Whoever allocates meanwhile waits, for some hundred
/// microseconds.
pub fn give_back() {
    syscall::give_back();
}

/// Keeps what this process uses in memory, where it is allowed to.
pub fn stay_in_memory() {
    let _ = syscall::lock_memory();
}

/// The calling thread has done what could not wait, and has no real-time priority from now on. It keeps some precedence: on
/// a busy machine, a process is not dead before the last of its threads had a processor to end on, and not replaced before it
/// is dead.
pub fn fall_back() {
    syscall::schedule_normally(-10);
}
