//! Counters, by the names of RFC 8347 where it has one.

use serde::{Deserialize, Serialize};
/// Counters that belong to no virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GlobalStatistics {
    /// `checksum-errors`
    pub checksum_errors: u64,
    /// `version-errors`: also a version that its VRID does not speak here.
    pub version_errors: u64,
    /// `vrid-errors`
    pub vrid_errors: u64,
    /// `ip-ttl-errors`: TTL or hop limit was not 255.
    pub ip_ttl_errors: u64,
    /// Fewer than eight bytes behind the IP header.
    pub short_packets: u64,
    /// CARP advertisements on our protocol number.
    pub carp_pkts_rcvd: u64,
}

/// Counters of one virtual router.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterStatistics {
    /// `master-transitions`: times it became Active.
    pub master_transitions: u64,
    /// `advertisement-rcvd`: accepted ones.
    pub advertisement_rcvd: u64,
    /// `advertisement-sent`
    pub advertisement_sent: u64,
    /// `interval-errors`: another interval than ours, or zero.
    pub interval_errors: u64,
    /// `priority-zero-pkts-rcvd`
    pub priority_zero_pkts_rcvd: u64,
    /// `priority-zero-pkts-sent`
    pub priority_zero_pkts_sent: u64,
    /// `invalid-type-pkts-rcvd`
    pub invalid_type_pkts_rcvd: u64,
    /// `address-list-errors`: other addresses than ours, or IPv6 without link-local first.
    pub address_list_errors: u64,
    /// `packet-length-errors`: shorter or longer than its address count says, or a count of zero.
    pub packet_length_errors: u64,
    /// VRRPv2: authentication type nobody knows (VRRP-MIB `InvalidAuthType`).
    pub auth_type_invalid: u64,
    /// VRRPv2: a known authentication type, not ours (VRRP-MIB `AuthTypeMismatch`).
    pub auth_type_mismatch: u64,
    /// VRRPv2: wrong password (VRRP-MIB `AuthFailures`).
    pub auth_failures: u64,
    /// Priority 255 heard while we own the addresses ourselves.
    pub owner_conflicts: u64,
    /// Our own advertisements that came back.
    pub own_pkts_looped: u64,
    /// Unicast: the source is not a listed peer.
    pub source_errors: u64,
    /// Multicast to a unicast router, or unicast to a multicast one.
    pub mode_errors: u64,
    /// VRRPv3/IPv4 advertisements with RFC 9568's checksum.
    pub checksum_rfc9568_rcvd: u64,
    /// VRRPv3/IPv4 advertisements with RFC 5798's pseudo-header.
    pub checksum_rfc5798_rcvd: u64,
    /// Advertisements of a loser, heard while Active.
    pub conflicts: u64,
    /// Gratuitous ARP or Neighbor Advertisements of others that claimed an address of ours while Active.
    pub address_claims: u64,
    /// Rounds of gratuitous ARP or unsolicited Neighbor Advertisements.
    pub announcements_sent: u64,
    /// Things that somebody else removed and we put back.
    pub repairs: u64,
    /// CARP: advertisements that had been said before.
    pub replayed_pkts_rcvd: u64,
    /// CARP: advertisements with another bid than the one that was sealed.
    pub forged_pkts_rcvd: u64,
    /// CARP: advertisements without a seal where one is required.
    pub unsealed_pkts_rcvd: u64,
    /// CARP: advertisements that were sealed at another time than ours.
    pub clock_errors: u64,
}

macro_rules! as_numbers {
    ($name:ident, $count:literal: $($field:ident),* $(,)?) => {
        impl $name {
            /// How many counters there are.
            pub const COUNT: usize = $count;

            /// Each counter, in a fixed order.
            #[must_use]
            pub const fn numbers(&self) -> [u64; Self::COUNT] {
                // Destructured, so that a new counter cannot be forgotten here.
                let Self { $($field),* } = *self;
                [$($field),*]
            }

            /// From [`Self::numbers`].
            #[must_use]
            pub const fn of_numbers(numbers: [u64; Self::COUNT]) -> Self {
                let [$($field),*] = numbers;
                Self { $($field),* }
            }

            /// Counters only grow: the greater of each two is the later one.
            pub(crate) fn latest(&self, other: Self) -> Self {
                let (one, other) = (self.numbers(), other.numbers());
                Self::of_numbers(core::array::from_fn(|place| one[place].max(other[place])))
            }
        }
    };
}

as_numbers!(GlobalStatistics, 6: checksum_errors, version_errors, vrid_errors, ip_ttl_errors, short_packets, carp_pkts_rcvd);

as_numbers!(
    RouterStatistics, 26: master_transitions, advertisement_rcvd, advertisement_sent, interval_errors,
    priority_zero_pkts_rcvd, priority_zero_pkts_sent, invalid_type_pkts_rcvd, address_list_errors,
    packet_length_errors, auth_type_invalid, auth_type_mismatch, auth_failures, owner_conflicts, own_pkts_looped,
    source_errors, mode_errors, checksum_rfc9568_rcvd, checksum_rfc5798_rcvd, conflicts, address_claims,
    announcements_sent, repairs, replayed_pkts_rcvd, forged_pkts_rcvd, unsealed_pkts_rcvd, clock_errors,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_counter_goes_back() {
        let saved = RouterStatistics {
            master_transitions: 3,
            advertisement_sent: 5,
            ..RouterStatistics::default()
        };
        let seen = RouterStatistics {
            master_transitions: 2,
            advertisement_sent: 9,
            repairs: 1,
            ..RouterStatistics::default()
        };
        let latest = saved.latest(seen);
        assert_eq!(latest, seen.latest(saved));
        assert_eq!(latest.numbers().iter().sum::<u64>(), 13);
        assert_eq!(latest.repairs, 1);
        assert_eq!(RouterStatistics::of_numbers(latest.numbers()), latest);
    }
}
