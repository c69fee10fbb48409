//! The advertisement interval, in the one unit in which everything compares.

use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An advertisement interval between 10 ms and 255 s.
///
/// VRRPv3 carries 12 bits of centiseconds (RFC 9568 §5.2.7, range by erratum 8301), VRRPv2 a byte of seconds
/// (RFC 3768 §5.3.7). Both are centiseconds here, so that no timer is ever computed in the wrong unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Interval {
    centis: u16,
}

impl Interval {
    /// One second: the default of both versions.
    pub const DEFAULT: Self = Self { centis: 100 };
    /// Longest interval of VRRPv3: 4095 centiseconds.
    pub const MAX_CENTIS: u16 = 4095;

    /// From VRRPv3's field; `None` outside 1 to 4095.
    #[must_use]
    pub const fn from_centis(centis: u16) -> Option<Self> {
        if centis == 0 || centis > Self::MAX_CENTIS {
            return None;
        }
        Some(Self { centis })
    }

    /// From VRRPv2's field; `None` for 0.
    #[must_use]
    pub const fn from_secs(secs: u8) -> Option<Self> {
        if secs == 0 {
            return None;
        }
        Some(Self {
            centis: secs as u16 * 100,
        })
    }

    /// Centiseconds for VRRPv3's field, if they fit.
    #[must_use]
    pub fn as_centis(self) -> Option<u16> {
        (self.centis <= Self::MAX_CENTIS).then_some(self.centis)
    }

    /// Seconds for VRRPv2's field, if it is a whole number of them and fits.
    #[must_use]
    pub fn as_secs(self) -> Option<u8> {
        if !self.centis.is_multiple_of(100) {
            return None;
        }
        u8::try_from(self.centis / 100).ok()
    }

    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.centis as u64 * 10)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.centis.is_multiple_of(100) {
            write!(f, "{}s", self.centis / 100)
        } else {
            write!(f, "{}ms", u32::from(self.centis) * 10)
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
