//! The interfaces on which virtual routers speak.

use serde::{Deserialize, Serialize};

use crate::status::Protection;

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct InterfacesReport {
    /// Version of this document.
    pub version: u32,
    /// In the order in which the configuration names them.
    pub interfaces: Vec<InterfaceReport>,
}

/// One interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceReport {
    /// Its name in the configuration.
    pub name: String,
    /// `up`, `no-carrier`, `down`, or `missing` when there is none of that name.
    pub state: String,
    /// The kernel's number for it; null when it is missing, as all below that belongs to it.
    pub index: Option<u32>,
    /// Largest IP packet, in bytes.
    pub mtu: Option<u32>,
    /// Its own MAC address.
    pub mac: Option<String>,
    /// Its own addresses that advertisements may come from: IPv4 with prefix lengths, and IPv6 link-local ones.
    pub addresses: Vec<String>,
    /// Why advertisements cannot be heard on it; absent when they can.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deaf: Option<String>,
    /// What takes the virtual MAC addresses off the wire if the daemon dies or stands still; absent where no router has one, or
    /// none has been Active yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub protection: Option<Protection>,
    /// The virtual routers on it.
    pub routers: Vec<InterfaceRouter>,
}

/// A virtual router on an interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceRouter {
    /// Its name in the configuration.
    pub name: String,
    /// Its identifier.
    pub vrid: u8,
    /// `ipv4` or `ipv6`.
    pub family: String,
    /// `initialize`, `backup` or `active`.
    pub state: String,
    /// Where its advertisements come from; null while there is no such address.
    pub source_address: Option<String>,
    /// Who takes the frames of its virtual MAC address in: `macvlan` or `ebpf`; null without one.
    pub data_plane: Option<String>,
}
