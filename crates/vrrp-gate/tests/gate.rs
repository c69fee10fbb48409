//! The gate on real links: namespaces, macvlans with virtual MAC addresses, and frames that are counted.
#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test, and it prints what it measured"
)]

#[path = "gate/stream.rs"]
mod stream;
#[path = "gate/wire.rs"]
mod wire;
#[path = "gate/world.rs"]
mod world;

#[path = "gate/leading.rs"]
mod leading;
#[path = "gate/passing.rs"]
mod passing;
#[path = "gate/peers.rs"]
mod peers;
#[path = "gate/serving.rs"]
mod serving;
#[path = "gate/standing.rs"]
mod standing;
#[path = "gate/time.rs"]
mod time;
