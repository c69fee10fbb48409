//! The states of a session.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The state of a session (RFC 5880 §6.2), with its number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    /// Switched off by an operator, which is no failure.
    AdminDown = 0,
    /// Nothing is heard, or the peer does not hear us.
    Down = 1,
    /// The peer is heard, and does not say yet that it hears us.
    Init = 2,
    /// Both hear each other.
    Up = 3,
}

impl State {
    pub(crate) const fn of(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }

    pub(crate) const fn bits(self) -> u8 {
        self as u8
    }

    /// Its word in RFC 9314.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "admin-down",
            Self::Down => "down",
            Self::Init => "init",
            Self::Up => "up",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
