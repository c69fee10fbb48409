//! A dead-man's handle for virtual MAC addresses, in the data path.
//!
//! When a daemon is stopped, killed or hangs, its kernel goes on: it answers ARP and ND for the virtual addresses, and
//! forwards frames to the virtual MAC address, while a peer has taken over. The gate ends that. It is an eBPF program on
//! the physical link, which passes frames of a virtual MAC address only until a deadline; the daemon moves the deadline
//! on for as long as it lives.
//!
//! ```text
//!            wire                    host
//!                    +-----------------------------------+
//!   to 00:00:5e:..   |  ingress: by destination          |
//!  ------------------+->[ now < lease[family][VRID] ? ]--+--> macvlan of the router
//!  <-----------------+--[ now < lease[family][VRID] ? ]<-+--- macvlan, advertisements
//!   from 00:00:5e:.. |  egress: by source     ^          |
//!                    +------------------------|----------+
//!                                   a page of memory, shared
//!                                             |
//!                         the daemon: Leases::extend, one atomic store
//! ```
//!
//! # Which frames
//!
//! - Virtual MAC addresses are 00:00:5e:00:01:VRID (IPv4, and CARP) and 00:00:5e:00:02:VRID (IPv6). Of these, only those that were
//!   said to be [guarded](Leases::guard) are judged. Every other frame passes.
//! - Requests for an address are broadcast or multicast and come in; the answer has the virtual MAC address as its source
//!   and is stopped. That no answer leaves from the physical MAC address is what `arp_ignore` and `arp_announce` are for.
//! - Advertisements leave from the virtual MAC address, so **the lease is extended before the first advertisement, and
//!   closed after the last one**, the one with priority 0.
//! - A packet socket hears of a frame that is dropped on its way out: sending fails with ENOBUFS.
//! - Frames tagged for a VLAN belong to the interface of that VLAN, which has a gate of its own and may well have a router
//!   of the same VRID; the gate of the interface below passes them on. A tag with the identifier 0 is none.
//! - Frames between macvlans of the same parent never reach the parent, and are not judged: they do not leave the host.
//! - Packet sockets for all protocols see frames before the gate when they come in, those for one protocol see what the gate
//!   passes; all of them see what goes out after it.
//!
//! A program that redirects frames before traffic control (XDP, a switch chip, TCX programs, which come before all
//! filters), and a filter that another program has put before the gate ([`Standing::Behind`]), may let frames pass.
//!
//! # Routers without a macvlan
//!
//! Routers that are [served](Gate::serve) have no macvlan: the programs do its work, while the lease runs.
//!
//! - Frames to the virtual MAC address are taken for the host's own, to be delivered or forwarded as if they had come to its
//!   physical address. The network card must let them in, which is the caller's business.
//! - ARP requests and Neighbor Solicitations for the addresses are answered with the virtual MAC address and go no further,
//!   wherever they were sent. Solicitations are checked as RFC 4861 §7.1.1 asks, checksum included, but for their options;
//!   those with extension headers or of more than 256 bytes are not answered. What announces an address goes on to
//!   whoever listens; the kernel's own ARP leaves it alone.
//! - Packets to the addresses pass if they are to be accepted, and end here otherwise.
//! - When the lease has ended, all of these are dropped: also where the host still has the address.
//! - What the host itself says in the name of an address, in ARP or ND, leaves with the virtual MAC address in it, or not
//!   at all. Its redirections on that interface are dropped: they would come from an address that no host used.
//!
//! Where the gate is taken away, nobody takes the frames, and nobody answers, unless the host has the addresses: so it
//! is to have them only if it must, and not before the lease.
//!
//! # Time
//!
//! Deadlines are nanoseconds of CLOCK_BOOTTIME, which goes on while the machine is suspended. With a lease of
//! the sending of an advertisement + 3 × Adver_Int, a router that is gone is off the wire before a peer's
//! Active_Down_Timer expires (RFC 9568 §6.1: it has Skew_Time more, and began later).
//!
//! In a time namespace the deadlines are those of its clock; [`Leases`] translates.
//!
//! # Filters that outlive the process
//!
//! The program is attached as a filter of the clsact queueing discipline. A BPF link goes when its last descriptor is
//! closed, which is when the daemon dies; it would have to be pinned in a file system that not every machine mounts. A
//! filter stays until it is deleted, works wherever the program does (Linux 5.8), and is seen by `tc filter show`. Its name
//! is `vrrp-gate/OWNER`, which is how a successor finds it: the new filter is added before the old one is removed, so no frame
//! passes in between. Filters of others stay, and get every frame that the gate passes. clsact itself is removed only if the
//! owner made it, which the name says too, and nothing else is on it.
//!
//! What the leases say is in memory that belongs to nobody: a successor that is given the [`Parts`] of a gate goes on with the
//! programs that stand, and not one frame sees another one.
//!
//! # Example
//!
//! ```no_run
//! # fn boottime() -> u64 { 0 }
//! # fn example(ifindex: u32) -> Result<(), Box<dyn std::error::Error>> {
//! use vrrp_gate::Gate;
//! use vrrp_proto::types::{Family, Vrid};
//!
//! let router = (Family::Ipv4, Vrid::new(51).ok_or("no VRID")?);
//! let mut gate = Gate::load("vrrpd")?;
//! let leases = gate.attach(ifindex, [router])?;
//! // with each advertisement
//! leases.extend(router.0, router.1, boottime() + 3_000_000_000);
//! # Ok(())
//! # }
//! ```

mod bpf;
mod error;
mod gate;
mod leases;
mod mapping;
mod netlink;
mod parts;
mod program;
mod serving;
mod table;
mod tc;

pub use error::GateError;
pub use gate::{Gate, Standing, remove};
pub use leases::{Counters, Leases};
pub use netlink::Watch;
pub use parts::Parts;
pub use serving::{Leading, Served, Serving};
