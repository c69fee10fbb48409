//! The protocol of vrrpd: packets, the election machine and the engine that runs many of them.
//!
//! Nothing in here opens a socket, reads a clock, draws a random number or writes a log line. Time is an
//! argument ([`Instant`]), inputs are values, outputs are drained from a queue. The same code therefore runs in
//! the daemon, in the simulator and in a fuzzer, and a test decides what time it is.
//!
//! | module | noun |
//! |---|---|
//! | [`packet`], [`checksum`] | bytes on the wire |
//! | [`carp`] | what only CARP has: its bytes, its digest, what its routers bid |
//! | [`receive`] | the receive checks in their order, and what they refuse ([`Reject`]) |
//! | [`router`], [`dialect`] | the election of one virtual router, and what the protocol versions do differently |
//! | [`engine`] | all routers of one daemon: datagrams, link changes and timeouts in; packets, desired kernel state and events out |
//! | [`gate`] | what a router that comes back waits for before it preempts |
//! | `group` | routers that are Active together or not at all |
//! | [`orders`] | what operators ask of a router for a while |
//! | [`handover`] | what one process leaves to its successor |
//! | [`tracker`] | what a router needs beside its own interface |
//! | `prepare` | what has to be done elsewhere before the addresses of a router go live |
//! | [`peers`] | who else speaks for a router, and how regularly |
//! | [`gather`] | maps and sets of what an iterator yields |
//! | [`plan`], [`desired`], [`event`], [`fault`], [`statistics`], [`status`] | the values that go in and come out |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod announce;
pub mod carp;
pub mod checksum;
mod complaint;
pub mod desired;
pub mod dialect;
pub mod engine;
pub mod event;
pub mod fault;
pub mod following;
pub mod gate;
pub mod gather;
mod group;
pub mod handover;
pub mod interval;
pub mod link;
mod operate;
pub mod orders;
pub mod packet;
pub mod peers;
pub mod plan;
mod prepare;
pub mod receive;
mod refusal;
pub mod router;
mod slot;
pub mod statistics;
pub mod status;
pub mod time;
pub mod tracker;
mod tracking;
pub mod types;

pub use desired::{Desired, Generation, KernelReport, Upkeep};
pub use dialect::Dialect;
pub use engine::{Announce, Datagram, Engine, Input, Output, Transmit, Wakeup};
pub use event::{DigestNews, Ended, Event, Happening, Offer, Readiness, Reason};
pub use fault::Fault;
pub use following::Following;
pub use gate::PreemptWhen;
pub use gather::Gather;
pub use handover::{Change, Handover, Trace};
pub use interval::Interval;
pub use link::{LinkFacts, LinkId};
pub use orders::{Denial, Note, Order, OrderKind, Orders, Standing};
pub use peers::{Parting, Peer};
pub use plan::{
    AuthenticationKey, ChecksumForm, ChecksumPolicy, DataPlane, Plan, RouterPlan, VirtualAddress,
};
pub use prepare::{PreActive, Preparedness};
pub use receive::Reject;
pub use router::Role;
pub use statistics::{GlobalStatistics, RouterStatistics};
pub use status::{Membership, RouterStatus};
pub use time::Instant;
pub use tracker::{
    Contribution, Effect, Hysteresis, Level, Sample, Track, Tracker, TrackerKind, TrackerPlan,
};
pub use types::{Family, MacAddress, Priority, RouterId, Vrid};
