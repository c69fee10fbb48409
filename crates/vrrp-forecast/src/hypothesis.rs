//! What may be supposed.

use std::net::IpAddr;

use vrrp_proto::{Level, Plan, Priority};

/// Something that becomes true at the beginning of a forecast.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hypothesis {
    /// This interface is set down.
    LinkDown(String),
    /// The peer with this address falls silent without a word; every peer, if it is `None`.
    PeerDown(Option<IpAddr>),
    /// The peer with this address gives up with priority 0 wherever it is Active, and is gone.
    PeerReleases(IpAddr),
    /// The router of this name is given this priority by an operator. What would be refused changes nothing.
    Priority(String, Priority),
    /// The tracker of this name finds this from now on.
    Tracker(String, Level),
    /// Everything that operators asked of the router of this name is ended.
    NoOrders(String),
    /// This is the configuration.
    Plan(Plan),
    /// Whatever keeps the router of this name out is mended.
    Mended(String),
}
