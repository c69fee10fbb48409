//! The three profiles every statement is judged in.

use crate::wire::{Advert, Authentication, Mac};
use std::net::IpAddr;
use std::time::Duration;

/// The virtual router identifier of the laboratory: 0x33.
pub const VRID: u8 = 51;

/// A version and a family, with the addresses the laboratory uses for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// VRRPv2 (RFC 3768), intervals of 1 s.
    V2,
    /// VRRPv3 over IPv4 (RFC 9568).
    V3Ipv4,
    /// VRRPv3 over IPv6 (RFC 9568).
    V3Ipv6,
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V2, Self::V3Ipv4, Self::V3Ipv6];

    /// The profile a test is named after: `v2`, `v3_ipv4` or `v3_ipv6`.
    ///
    /// # Panics
    /// If there is no such profile.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "v2" => Self::V2,
            "v3_ipv4" => Self::V3Ipv4,
            "v3_ipv6" => Self::V3Ipv6,
            _ => panic!("no profile {name:?}"),
        }
    }

    /// The version nibble.
    #[must_use]
    pub fn version(self) -> u8 {
        if self == Self::V2 { 2 } else { 3 }
    }

    /// Whether it runs over IPv6.
    #[must_use]
    pub fn is_ipv6(self) -> bool {
        self == Self::V3Ipv6
    }

    /// The configuration's word for the protocol.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        if self == Self::V2 { "vrrpv2" } else { "vrrpv3" }
    }

    /// The status report's word for the family.
    #[must_use]
    pub fn family(self) -> &'static str {
        if self.is_ipv6() { "ipv6" } else { "ipv4" }
    }

    /// The own address of router `n` on the LAN that adverts are sent from.
    #[must_use]
    pub fn own(self, n: u8) -> IpAddr {
        if self.is_ipv6() {
            format!("fe80::{n}").parse().expect("fe80::<n>")
        } else {
            IpAddr::from([192, 0, 2, n])
        }
    }

    /// The virtual addresses, in configured order.
    #[must_use]
    pub fn virtual_addresses(self) -> Vec<IpAddr> {
        let texts: &[&str] = if self.is_ipv6() {
            &["fe80::254", "2001:db8::254"]
        } else {
            &["192.0.2.254"]
        };
        texts
            .iter()
            .map(|text| text.parse().expect("an address"))
            .collect()
    }

    /// The virtual address that hosts use as their gateway and ping.
    #[must_use]
    pub fn gateway(self) -> IpAddr {
        *self.virtual_addresses().last().expect("at least one")
    }

    /// The virtual addresses with their prefix lengths, as the configuration wants them.
    #[must_use]
    pub fn virtual_prefixes(self) -> Vec<String> {
        let length = if self.is_ipv6() { 64 } else { 24 };
        self.virtual_addresses()
            .iter()
            .map(|address| format!("{address}/{length}"))
            .collect()
    }

    /// The virtual router's MAC (RFC 9568 §7.3).
    #[must_use]
    pub fn virtual_mac(self) -> Mac {
        if self.is_ipv6() {
            Mac::virtual_v6(VRID)
        } else {
            Mac::virtual_v4(VRID)
        }
    }

    /// The interval of one second in the version's own unit.
    #[must_use]
    pub fn second(self) -> u16 {
        if self == Self::V2 { 1 } else { 100 }
    }

    /// A sound advertisement from router 200, interval one second.
    #[must_use]
    pub fn advert(self, priority: u8) -> Advert {
        Advert::new(
            self.version(),
            VRID,
            priority,
            self.second(),
            &self.virtual_addresses(),
            self.own(200),
        )
        .authentication(Authentication::NONE)
    }

    /// Skew_Time (RFC 9568 §6.1; RFC 3768 §6.1, where the interval has no part in it).
    #[must_use]
    pub fn skew(self, priority: u8, interval: Duration) -> Duration {
        let of = if self == Self::V2 {
            Duration::from_secs(1)
        } else {
            interval
        };
        of * (256 - u32::from(priority)) / 256
    }

    /// Active_Down_Interval (RFC 9568 §6.1; RFC 3768 §6.1).
    #[must_use]
    pub fn down(self, priority: u8, interval: Duration) -> Duration {
        interval * 3 + self.skew(priority, interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of the statements R11–R14 and R24, worked by hand from RFC 9568 §6.1 and RFC 3768 §6.1.
    #[test]
    fn formulas_give_the_worked_figures() {
        let (secs, micros) = (Duration::from_secs, |us| Duration::from_micros(us));
        assert_eq!(Profile::V3Ipv4.down(100, secs(1)), micros(3_609_375));
        assert_eq!(
            Profile::V3Ipv4.down(254, secs(1)),
            micros(3_007_812) + Duration::from_nanos(500)
        );
        assert_eq!(
            Profile::V3Ipv4
                .down(100, Duration::from_millis(100))
                .as_micros(),
            360_937
        );
        assert_eq!(Profile::V3Ipv6.down(100, secs(3)), micros(10_828_125));
        assert_eq!(Profile::V2.down(100, secs(3)), micros(9_609_375));
        assert_eq!(Profile::V2.skew(100, secs(1)), micros(609_375));
    }
}
