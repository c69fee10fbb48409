//! What the kernel should hold for a router, and what it says about that.
//!
//! This is *state*: it is true from the moment it is published until the next one, a backend may apply it late, twice
//! or from scratch, and only the latest counts. What must happen exactly once, in order, is an output of its own.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::following::Following;
use crate::interval::Interval;
use crate::plan::{DataPlane, VirtualAddress};
use crate::types::{Family, MacAddress, Vrid};

/// Counts the versions of one router's desired state. A report about an older one is stale.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Generation(pub u64);

/// The kernel state one router wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Desired {
    /// Version of this state.
    pub generation: Generation,
    /// The router's name.
    pub name: String,
    /// The interface it speaks on, by name; may not exist.
    pub interface: String,
    /// The family from whose block its virtual MAC address is; its addresses may be of both (see [`RouterPlan::block`]).
    ///
    /// [`RouterPlan::block`]: crate::plan::RouterPlan::block
    pub family: Family,
    /// Its identifier.
    pub vrid: Vrid,
    /// The virtual MAC address; `None` puts the addresses on the interface itself.
    pub mac: Option<MacAddress>,
    /// Who takes the frames of the virtual MAC address in.
    pub plane: DataPlane,
    /// The virtual addresses, whether they are advertised or not.
    pub addresses: Vec<VirtualAddress>,
    /// Whether the addresses are present, answered and forwarded for; otherwise nothing may betray them.
    pub active: bool,
    /// Whether packets to the addresses are accepted.
    pub accept: bool,
    /// Whether the addresses are real ones of the interface, which must not be taken from it.
    pub owner: bool,
    /// How often it advertises while it is Active: silent for three of these, it must be off the wire.
    pub interval: Interval,
    /// What else is there while it is active. Each address has an interface.
    pub following: Following,
}

impl Desired {
    /// Whether any of its addresses is of this family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        let mut addresses = self.addresses.iter();
        addresses.any(|address| Family::of(address.ip) == family)
    }
}

/// What became of a desired state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KernelReport {
    /// All of it is in place.
    Applied,
    /// It cannot be put in place, for this reason; it is tried again.
    Failed(String),
}

/// Something noticed and done while a desired state was kept up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Upkeep {
    /// Somebody else took this away, and it is back.
    Repaired(String),
    /// What follows the router is there but for this, and why; empty when all of it is. It is tried again.
    Lacks(Vec<String>),
}
