//! The Internet checksum and the three ranges VRRP takes it over.

use std::net::IpAddr;

/// One's complement sum of `bytes` as 16-bit words, not yet folded; an odd byte counts as the high half.
fn words(bytes: &[u8]) -> u64 {
    bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

/// Folds a sum to 16 bits and complements it: the value a checksum field carries, or 0 when a whole message verifies.
#[must_use]
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).expect("folded")
}

/// The sum over a message alone: VRRPv2, and VRRPv3 over IPv4 as RFC 9568 §5.2.8 has it.
#[must_use]
pub fn message_sum(message: &[u8]) -> u64 {
    words(message)
}

/// The sum over a message and the pseudo-header of its addresses.
///
/// Over IPv6 that of RFC 8200 §8.1. Over IPv4 the shape RFC 5798 was read to mean: source, destination, zero,
/// protocol, length.
#[must_use]
pub fn pseudo_sum(source: IpAddr, destination: IpAddr, protocol: u8, message: &[u8]) -> u64 {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    };
    octets(source)
        + octets(destination)
        + u64::from(protocol)
        + message.len() as u64
        + words(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_carries_twice() {
        assert_eq!(fold(0x1_ffff), 0xfffe);
        assert_eq!(fold(0xffff), 0);
    }

    #[test]
    fn an_odd_byte_is_a_high_half() {
        assert_eq!(words(&[0x12, 0x34, 0x56]), 0x1234 + 0x5600);
    }
}
