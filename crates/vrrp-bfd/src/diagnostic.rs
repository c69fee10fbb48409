//! Why a session is no longer up.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The reason for the last change of state (RFC 5880 §4.1), with its number on the wire: 0 to 31, of which those above 8 have
/// no meaning yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// 0: none.
    pub const NONE: Self = Self(0);
    /// 1: the peer was not heard for the detection time.
    pub const CONTROL_DETECTION_TIME_EXPIRED: Self = Self(1);
    /// 3: the peer said that its session is down.
    pub const NEIGHBOR_SIGNALED_SESSION_DOWN: Self = Self(3);
    /// 7: an operator switched it off.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    pub(crate) const fn of(bits: u8) -> Self {
        Self(bits & 0x1f)
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Its word in RFC 9314.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "none",
            1 => "control-expiry",
            2 => "echo-failed",
            3 => "neighbor-down",
            4 => "forwarding-reset",
            5 => "path-down",
            6 => "concatenated-path-down",
            7 => "admin-down",
            8 => "reverse-concatenated-path-down",
            _ => "reserved",
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}
