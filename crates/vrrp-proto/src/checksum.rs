//! The Internet checksum, with and without a pseudo-header.

use core::net::IpAddr;

/// Protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// Running one's complement sum. The carries are folded in at the end (RFC 1071 §2 (C)): no packet is long enough to lose one.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum(u32);

impl Sum {
    /// Adds bytes that start at an even offset of the summed data.
    #[must_use]
    #[inline]
    pub fn over(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self.0 += u32::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u32::from(u16::from_be_bytes([*last, 0]));
        }
        self
    }

    /// Adds the pseudo-header of RFC 8200 §8.1, or the IPv4 shape that RFC 5798 §5.2.8 is read to mean:
    /// addresses, protocol and length.
    #[must_use]
    pub fn add_pseudo_header(self, source: IpAddr, destination: IpAddr, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.over_address(source)
            .over_address(destination)
            .over(&length.to_be_bytes())
            .over(&[0, PROTOCOL])
    }

    /// Adds the octets of an address.
    #[must_use]
    #[inline]
    pub fn over_address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.over(&v4.octets()),
            IpAddr::V6(v6) => self.over(&v6.octets()),
        }
    }

    /// The value for the checksum field.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.folded()
    }

    /// Whether a message summed with its checksum field is intact.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }

    /// Ones' complement addition: what is carried out comes back in at the other end (RFC 1071 §1).
    const fn folded(self) -> u16 {
        let [a, b, c, d] = self.0.to_be_bytes();
        let (sum, carry) = u16::from_be_bytes([a, b]).overflowing_add(u16::from_be_bytes([c, d]));
        sum + carry as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_byte_is_padded_with_zero() {
        assert_eq!(Sum::default().over(&[0x12]).finish(), !0x1200);
    }

    #[test]
    fn carries_are_folded() {
        assert_eq!(
            Sum::default()
                .over(&[0xff, 0xff, 0xff, 0xff, 0x00, 0x01])
                .finish(),
            !0x0001
        );
    }

    #[test]
    fn a_message_with_its_checksum_is_valid() {
        let mut message = [0x31, 0x01, 0x64, 0x01, 0x00, 0x64, 0, 0, 192, 0, 2, 254];
        let sum = Sum::default().over(&message).finish();
        message[6..8].copy_from_slice(&sum.to_be_bytes());
        assert!(Sum::default().over(&message).is_valid());
        message[2] ^= 1;
        assert!(!Sum::default().over(&message).is_valid());
    }
}
