//! What the protocol versions do differently, in one table of small functions.
//!
//! The election in [`crate::router`] asks these questions and never which version it speaks.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::interval::Interval;
use crate::types::{Family, Priority};

/// The protocol a virtual router speaks. Exactly one; versions do not interoperate (RFC 9568 §8.4 makes mixing optional).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Dialect {
    /// VRRPv2, RFC 3768; IPv4 only, whole seconds.
    Vrrp2,
    /// VRRPv3, RFC 9568; IPv4 and IPv6, centiseconds.
    Vrrp3,
    /// The protocol of the BSDs; IPv4 and IPv6, whole seconds and 256ths of them. Its messages are not those of
    /// [`crate::packet`], and its bids are compared in [`crate::carp`].
    Carp,
}

/// How long the first advertisement of a router may wait for its kernel while somebody serves who knows of nothing. Who has no
/// addresses by then is waiting for something else.
pub const PREEMPTING: Duration = Duration::from_millis(20);

impl Dialect {
    /// The version nibble on the wire.
    #[must_use]
    pub const fn version(self) -> u8 {
        match self {
            Self::Vrrp2 | Self::Carp => 2,
            Self::Vrrp3 => 3,
        }
    }

    /// The name used in configuration and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vrrp2 => "vrrpv2",
            Self::Vrrp3 => "vrrpv3",
            Self::Carp => "carp",
        }
    }

    /// Skew_Time: how much longer than three intervals a Backup of this priority waits.
    ///
    /// RFC 9568 §6.1 scales it by the Active's interval; RFC 3768 §6.1 does not.
    #[must_use]
    pub fn skew_time(self, priority: Priority, active_interval: Interval) -> Duration {
        let base = match self {
            Self::Vrrp2 | Self::Carp => Duration::from_secs(1),
            Self::Vrrp3 => active_interval.duration(),
        };
        base * (256 - u32::from(priority.get())) / 256
    }

    /// Active_Down_Interval (RFC 9568 §6.1), Master_Down_Interval (RFC 3768 §6.1).
    #[must_use]
    pub fn active_down_interval(self, priority: Priority, active_interval: Interval) -> Duration {
        active_interval.duration() * 3 + self.skew_time(priority, active_interval)
    }

    /// How long after a release somebody has certainly taken over, if there is anybody: the longest Skew_Time, that of
    /// priority 1, and a tenth of it for the way.
    ///
    /// After CARP's bow-out somebody does at once, or within the second in which UCarp looks around.
    #[must_use]
    pub fn leaving_time(self, interval: Interval) -> Duration {
        self.skew_time(Priority::new(1), interval) * 11 / 10
    }

    /// How long the first advertisement of a successor of this priority may wait for its kernel, while the Active that gives up
    /// goes on: half of what is left of [`Self::leaving_time`] after the successor's own Skew_Time, which is half a millisecond at
    /// least, and at most [`PREEMPTING`].
    #[must_use]
    pub fn patience(self, priority: Priority, interval: Interval) -> Duration {
        let left = self
            .leaving_time(interval)
            .saturating_sub(self.skew_time(priority, interval));
        (left / 2).min(PREEMPTING)
    }

    /// Whether a Backup adopts the interval of the Active it accepts (RFC 9568 §6.4.2).
    #[must_use]
    pub const fn learns_interval(self) -> bool {
        match self {
            Self::Vrrp2 | Self::Carp => false,
            Self::Vrrp3 => true,
        }
    }

    /// Whether an advertisement with another interval than ours is refused (RFC 3768 §7.1) or kept and counted (RFC 9568 §7.1).
    #[must_use]
    pub const fn requires_equal_interval(self) -> bool {
        match self {
            Self::Vrrp2 => true,
            Self::Vrrp3 | Self::Carp => false,
        }
    }

    /// Whether an advertisement with other addresses than ours is refused, unless the owner sent it (RFC 3768 §7.1).
    #[must_use]
    pub const fn requires_equal_addresses(self) -> bool {
        match self {
            Self::Vrrp2 => true,
            Self::Vrrp3 | Self::Carp => false,
        }
    }

    /// Whether an owner refuses every advertisement (RFC 3768 §7.1) or lets two owners elect one (RFC 9568 erratum 8298).
    #[must_use]
    pub const fn owner_ignores_others(self) -> bool {
        match self {
            Self::Vrrp2 => true,
            Self::Vrrp3 | Self::Carp => false,
        }
    }

    /// Whether an Active answers a losing advertisement at once (RFC 9568 §6.4.3) or stays silent until its timer (RFC 3768 §6.4.3).
    #[must_use]
    pub const fn answers_losers(self) -> bool {
        match self {
            Self::Vrrp2 | Self::Carp => false,
            Self::Vrrp3 => true,
        }
    }

    /// Bytes of an advertisement with `count` addresses (RFC 9568 §5.2, RFC 3768 §5.3).
    #[must_use]
    pub const fn message_len(self, family: Family, count: usize) -> usize {
        let trailer = match self {
            Self::Vrrp2 => 8,
            Self::Vrrp3 => 0,
            Self::Carp => return crate::carp::packet::LEN,
        };
        8 + count * family.address_len() + trailer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn centis(value: u16) -> Interval {
        Interval::from_centis(value).expect("in range")
    }

    /// Rows: priority; interval in centiseconds; how long a successor of that priority may wait, in µs.
    #[test]
    fn a_successor_waits_for_its_kernel_no_longer_than_the_other_one_goes_on() {
        for (priority, interval, wait) in [
            (1, 1, 498),
            (100, 1, 2_431),
            (254, 1, 5_439),
            (1, 10, 4_980),
            (100, 10, 20_000),
            (254, 100, 20_000),
        ] {
            let (priority, interval) = (Priority::new(priority), centis(interval));
            let patience = Dialect::Vrrp3.patience(priority, interval);
            assert_eq!(patience.as_micros(), wait, "{priority} {interval:?}");
            let taken = Dialect::Vrrp3.skew_time(priority, interval) + patience;
            assert!(taken < Dialect::Vrrp3.leaving_time(interval));
        }
    }

    /// Rows: priority; VRRPv2 at 1 s (skew, down) in µs; VRRPv3 at 100 cs (skew, down) in µs; VRRPv3 down at 10 cs;
    /// down at 3 s in VRRPv2 and VRRPv3. RFC 3768 §6.1, RFC 9568 §6.1.
    #[test]
    fn skew_and_down_interval() {
        let rows: [(u8, u64, u64, u64, u64, u64); 5] = [
            (1, 996_093, 3_996_093, 399_609, 9_996_093, 11_988_281),
            (100, 609_375, 3_609_375, 360_937, 9_609_375, 10_828_125),
            (150, 414_062, 3_414_062, 341_406, 9_414_062, 10_242_187),
            (200, 218_750, 3_218_750, 321_875, 9_218_750, 9_656_250),
            (254, 7_812, 3_007_812, 300_781, 9_007_812, 9_023_437),
        ];
        for (priority, skew, down, fast_down, v2_slow, v3_slow) in rows {
            let p = Priority::new(priority);
            for dialect in [Dialect::Vrrp2, Dialect::Vrrp3] {
                let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap();
                assert_eq!(
                    micros(dialect.skew_time(p, centis(100))),
                    skew,
                    "{dialect:?} {priority}"
                );
                assert_eq!(
                    micros(dialect.active_down_interval(p, centis(100))),
                    down,
                    "{dialect:?} {priority}"
                );
            }
            assert_eq!(
                Dialect::Vrrp3
                    .active_down_interval(p, centis(10))
                    .as_micros(),
                u128::from(fast_down)
            );
            assert_eq!(
                Dialect::Vrrp2
                    .active_down_interval(p, centis(300))
                    .as_micros(),
                u128::from(v2_slow)
            );
            assert_eq!(
                Dialect::Vrrp3
                    .active_down_interval(p, centis(300))
                    .as_micros(),
                u128::from(v3_slow)
            );
        }
    }

    #[test]
    fn one_step_of_priority_is_never_rounded_away() {
        // At 1 cs a step is 39 µs: integer centiseconds would make all Backups equal.
        let step = Dialect::Vrrp3.skew_time(Priority::new(99), centis(1))
            - Dialect::Vrrp3.skew_time(Priority::new(100), centis(1));
        assert!((39_062..=39_063).contains(&step.as_nanos()), "{step:?}");
    }
}
