//! The advertisement interval, in the one unit in which everything compares.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An advertisement interval between 10 ms and 255 s.
///
/// VRRPv3 carries 12 bits of centiseconds (RFC 9568 §5.2.7, range by erratum 8301), VRRPv2 a byte of seconds
/// (RFC 3768 §5.3.7). Both become microseconds here, so that no timer is ever computed in the wrong unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Interval {
    micros: u32,
}

impl Interval {
    /// One second: the default of both versions.
    pub const DEFAULT: Self = Self { micros: 1_000_000 };
    /// Longest interval of VRRPv3: 4095 centiseconds.
    pub const MAX_CENTIS: u16 = 4095;

    /// From VRRPv3's field; `None` outside 1 to 4095.
    #[must_use]
    pub const fn from_centis(centis: u16) -> Option<Self> {
        if centis == 0 || centis > Self::MAX_CENTIS {
            return None;
        }
        Some(Self {
            micros: centis as u32 * 10_000,
        })
    }

    /// From VRRPv2's field; `None` for 0.
    #[must_use]
    pub const fn from_secs(secs: u8) -> Option<Self> {
        if secs == 0 {
            return None;
        }
        Some(Self {
            micros: secs as u32 * 1_000_000,
        })
    }

    /// Centiseconds for VRRPv3's field, if it is a whole number of them and fits.
    #[must_use]
    pub fn as_centis(self) -> Option<u16> {
        if !self.micros.is_multiple_of(10_000) {
            return None;
        }
        u16::try_from(self.micros / 10_000)
            .ok()
            .filter(|centis| *centis <= Self::MAX_CENTIS)
    }

    /// Seconds for VRRPv2's field, if it is a whole number of them and fits.
    #[must_use]
    pub fn as_secs(self) -> Option<u8> {
        if !self.micros.is_multiple_of(1_000_000) {
            return None;
        }
        u8::try_from(self.micros / 1_000_000).ok()
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.micros as u64)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.micros.is_multiple_of(1_000_000) {
            write!(f, "{}s", self.micros / 1_000_000)
        } else {
            write!(f, "{}ms", self.micros / 1_000)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_range() {
        assert_eq!(Interval::from_centis(0), None); // RFC 9568 erratum 8301
        assert_eq!(Interval::from_centis(4096), None);
        assert_eq!(
            Interval::from_centis(1).unwrap().duration(),
            Duration::from_millis(10)
        );
        assert_eq!(
            Interval::from_centis(4095).unwrap().duration(),
            Duration::from_millis(40_950)
        );
        assert_eq!(Interval::from_secs(0), None);
        assert_eq!(
            Interval::from_secs(255).unwrap().duration(),
            Duration::from_secs(255)
        );
    }

    #[test]
    fn what_one_version_cannot_carry_is_refused() {
        assert_eq!(Interval::from_centis(50).unwrap().as_secs(), None);
        assert_eq!(Interval::from_secs(41).unwrap().as_centis(), None);
        assert_eq!(Interval::from_secs(40).unwrap().as_centis(), Some(4000));
        assert_eq!(Interval::from_centis(300).unwrap().as_secs(), Some(3));
    }
}
