//! What a tracker watches. The engine only passes it on: kernel kinds are watched by netlink, the others are probed by a
//! process of their own.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::num::NonZeroU8;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::plan::VirtualAddress;

/// What is watched, and when it is up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum TrackerKind {
    /// An interface that exists and is administratively up.
    Interface {
        /// Its name.
        interface: String,
        /// Whether it must be able to carry packets as well.
        carrier: bool,
    },
    /// A route to exactly this prefix.
    Route {
        /// Where to; the default route has a length of 0.
        prefix: VirtualAddress,
        /// The number of its table; 254 is the main one.
        table: u32,
        /// Who must have made it: the number that `/etc/iproute2/rt_protos` gives a name to.
        protocol: Option<u8>,
        /// A gateway that it must have, among others or alone.
        next_hop: Option<IpAddr>,
    },
    /// An address of this host that can be used: neither tentative nor found twice.
    Address {
        /// Which.
        address: IpAddr,
        /// On which interface; any if it is not said.
        interface: Option<String>,
    },
    /// A neighbour that the kernel has not found unreachable.
    Neighbour {
        /// Its address.
        address: IpAddr,
        /// Where.
        interface: String,
    },
    /// Running processes.
    Process {
        /// Which.
        pattern: ProcessPattern,
        /// How many there must be at least.
        count: u32,
        /// Time between two looks.
        interval: Duration,
    },
    /// A file.
    File {
        /// Its path.
        path: String,
        /// Whether the number in it is the offset of the samples (a file without a number is down). Otherwise the file is up
        /// while it exists.
        weighted: bool,
        /// Time between two looks, where the kernel does not say that it changed.
        interval: Duration,
    },
    /// A program that ends with status 0.
    Script {
        /// Path and arguments.
        command: Vec<String>,
        /// The name of the user it runs as; nobody special if it is not said.
        user: Option<String>,
        /// When.
        pace: Pace,
    },
    /// An answer to ICMP or ICMPv6 echo requests.
    Ping {
        /// Of whom.
        address: IpAddr,
        /// Through which interface; as the routes say if it is not said.
        interface: Option<String>,
        /// From which address.
        source: Option<IpAddr>,
        /// When.
        pace: Pace,
        /// How many of the last twenty may be lost, in per cent. If it is not said, each request is a sample of its own.
        loss: Option<u8>,
    },
    /// A TCP connection that is accepted.
    Tcp {
        /// By whom.
        address: IpAddr,
        /// The port.
        port: u16,
        /// Through which interface; as the routes say if it is not said.
        interface: Option<String>,
        /// From which address.
        source: Option<IpAddr>,
        /// When.
        pace: Pace,
    },
    /// A good answer to a GET request.
    Http {
        /// Of what: begins with `http://` or `https://`.
        url: String,
        /// The `Host` to ask for, and the name in the certificate, if it is not that of the URL.
        host: Option<String>,
        /// What status is good: ranges, with both ends.
        status: Vec<(u16, u16)>,
        /// What must be in the body.
        body: Option<String>,
        /// Whether the certificate must be trusted by this host.
        verify: bool,
        /// When.
        pace: Pace,
    },
    /// An answer with records.
    Dns {
        /// Of which server.
        server: IpAddr,
        /// At which port.
        port: u16,
        /// To a question for this name,
        name: String,
        /// and this type.
        record: RecordType,
        /// What one of the records must be, as `dig` shows it.
        expect: Option<String>,
        /// When.
        pace: Pace,
    },
    /// A BFD session over a single hop (RFC 5880, RFC 5881) that is up.
    Bfd {
        /// With whom.
        peer: IpAddr,
        /// From which address; as the routes say if it is not said.
        source: Option<IpAddr>,
        /// On which interface.
        interface: String,
        /// Desired Min TX Interval.
        desired_min_tx: Duration,
        /// Required Min RX Interval.
        required_min_rx: Duration,
        /// Detect Mult.
        multiplier: NonZeroU8,
    },
}

/// What a process is known by.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessPattern {
    /// The name of its program, as in `/proc/PID/comm`.
    Name(String),
    /// What must be in its command line, whose arguments are separated by blanks.
    Command(String),
}

/// When a probe is made, and when it has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Pace {
    /// From the beginning of one to the beginning of the next, which waits for the end of the former.
    pub interval: Duration,
    /// Without a result by then it has failed.
    pub timeout: Duration,
}

/// Types of records in DNS.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they are called so")]
pub enum RecordType {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

impl TrackerKind {
    /// Its word in configuration and status.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Interface { .. } => "interface",
            Self::Route { .. } => "route",
            Self::Address { .. } => "address",
            Self::Neighbour { .. } => "neighbour",
            Self::Process { .. } => "process",
            Self::File { .. } => "file",
            Self::Script { .. } => "script",
            Self::Ping { .. } => "ping",
            Self::Tcp { .. } => "tcp",
            Self::Http { .. } => "http",
            Self::Dns { .. } => "dns",
            Self::Bfd { .. } => "bfd",
        }
    }

    /// When it is probed, where that may take a while.
    #[must_use]
    pub const fn pace(&self) -> Option<&Pace> {
        match self {
            Self::Script { pace, .. }
            | Self::Ping { pace, .. }
            | Self::Tcp { pace, .. }
            | Self::Http { pace, .. }
            | Self::Dns { pace, .. } => Some(pace),
            Self::Interface { .. }
            | Self::Route { .. }
            | Self::Address { .. }
            | Self::Neighbour { .. }
            | Self::Process { .. }
            | Self::File { .. }
            | Self::Bfd { .. } => None,
        }
    }

    /// Whether it has to be looked at again and again.
    #[must_use]
    pub const fn is_probed(&self) -> bool {
        !self.is_kernel() && !matches!(self, Self::Bfd { .. })
    }

    /// Whether the kernel tells of changes by itself.
    #[must_use]
    pub const fn is_kernel(&self) -> bool {
        matches!(
            self,
            Self::Interface { .. }
                | Self::Route { .. }
                | Self::Address { .. }
                | Self::Neighbour { .. }
        )
    }
}
