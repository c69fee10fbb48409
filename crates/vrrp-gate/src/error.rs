//! What can go wrong.

use std::io;

/// Why the gate cannot do what it was asked to.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum GateError {
    /// There was no compiler for the program when this was built.
    #[error("built without clang, and so without the program of the gate")]
    NotBuilt,
    /// The kernel refuses programs of this process.
    #[error("not permitted to load the gate: {missing}")]
    Permission {
        /// What is missing.
        missing: String,
    },
    /// The kernel knows no such programs, or not all that the gate needs: Linux 5.8 does.
    #[error("this kernel cannot run the gate")]
    Unsupported(#[source] io::Error),
    /// The kernel does not take the program.
    #[error("the gate cannot be loaded")]
    Load(#[source] io::Error),
    /// What another process left of its gate cannot be used.
    #[error("the gate that was left cannot be taken over")]
    Adoption(#[source] io::Error),
    /// The leases cannot be mapped into memory.
    #[error("the leases of the gate cannot be mapped")]
    Mapping(#[source] io::Error),
    /// The counters cannot be read.
    #[error("the counters of the gate cannot be read")]
    Counters(#[source] io::Error),
    /// What the gate answers for cannot be told to it: too many addresses, or no memory.
    #[error("the addresses cannot be told to the gate")]
    Serving(#[source] io::Error),
    /// The name of the owner cannot be written into the names of filters.
    #[error("{0:?} cannot be the owner of a gate: 1 to 200 printable ASCII characters, no slash")]
    Owner(String),
    /// Virtual MAC addresses are Ethernet's.
    #[error("interface {ifindex} has no Ethernet addresses")]
    NotEthernet {
        /// Number of the interface.
        ifindex: u32,
    },
    /// Another queueing discipline stands where clsact has to.
    #[error("interface {ifindex} has a queueing discipline {kind:?} where the gate needs clsact")]
    Obstructed {
        /// Number of the interface.
        ifindex: u32,
        /// What stands there.
        kind: String,
    },
    /// The kernel's traffic control refuses.
    #[error("interface {ifindex}: cannot {what}")]
    Kernel {
        /// What was to be done.
        what: &'static str,
        /// Number of the interface; 0 where it concerns all of them.
        ifindex: u32,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}
