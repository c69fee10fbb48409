//! What may be supposed.

use std::net::IpAddr;

use vrrp_proto::{Plan, Priority};

/// Something that becomes true at the beginning of a forecast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hypothesis {
    /// This interface is set down.
    LinkDown(String),
    /// The peer with this address falls silent without a word; every peer, if it is `None`.
    PeerDown(Option<IpAddr>),
    /// The peer with this address gives up with priority 0 wherever it is Active, and is gone.
    PeerReleases(IpAddr),
    /// The router of this name has this priority. [`Priority::RELEASE`] is none, and changes nothing.
    Priority(String, Priority),
    /// This is the configuration.
    Plan(Plan),
    /// Whatever keeps the router of this name out is mended.
    Mended(String),
}
