//! What a router is configured with.

use core::net::IpAddr;

/// Nanoseconds: of an interval, or since the origin of the clock.
pub type Nanos = u64;

/// One second.
pub const SECOND: Nanos = 1_000_000_000;

/// The protocol version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// RFC 3768.
    Two,
    /// RFC 9568.
    Three,
}

/// How the checksum of VRRPv3 over IPv4 is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The message alone: RFC 9568 §5.2.8.
    Message,
    /// The message behind a pseudo-header: RFC 5798 §5.2.8.
    PseudoHeader,
}

/// The configuration of the one router.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Version.
    pub version: Version,
    /// IPv6 instead of IPv4.
    pub ipv6: bool,
    /// VRID.
    pub vrid: u8,
    /// Priority; 255 for the owner.
    pub priority: u8,
    /// Advertisement_Interval.
    pub interval: Nanos,
    /// Preempt_Mode.
    pub preempt: bool,
    /// RFC 8347 `hold-time`.
    pub hold_time: Nanos,
    /// The virtual addresses in order.
    pub addresses: Vec<IpAddr>,
    /// RFC 2338 §5.3.10: eight bytes, zero-filled.
    pub password: Option<[u8; 8]>,
    /// The checksum form to send; `None` follows the peers.
    pub send_form: Option<Form>,
    /// Whether the pseudo-header form is refused.
    pub strict: bool,
    /// Peers instead of the group; empty for multicast.
    pub peers: Vec<IpAddr>,
}

impl Terms {
    /// Skew_Time: RFC 9568 §6.1 scales it with the Active's interval, RFC 3768 §6.1 does not.
    #[must_use]
    pub fn skew_time(&self, active_adver_interval: Nanos) -> Nanos {
        let steps = 256 - u64::from(self.priority);
        match self.version {
            Version::Two => steps * SECOND / 256,
            Version::Three => steps * active_adver_interval / 256,
        }
    }

    /// Active_Down_Interval: RFC 9568 §6.1; Master_Down_Interval: RFC 3768 §6.1.
    #[must_use]
    pub fn active_down_interval(&self, active_adver_interval: Nanos) -> Nanos {
        3 * active_adver_interval + self.skew_time(active_adver_interval)
    }

    /// Whether this router owns the addresses: RFC 9568 §5.2.4.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        self.priority == 255
    }
}
