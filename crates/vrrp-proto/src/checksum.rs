//! The Internet checksum, with and without a pseudo-header.

use core::net::IpAddr;

/// Protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// Running one's complement sum.
#[derive(Clone, Copy, Default, Debug)]
pub struct Sum(u16);

impl Sum {
    /// Adds bytes that start at an even offset of the summed data.
    #[must_use]
    pub fn over(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self.add_word(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.add_word(u16::from_be_bytes([*last, 0]));
        }
        self
    }

    /// Adds the pseudo-header of RFC 8200 §8.1, or the IPv4 shape that RFC 5798 §5.2.8 is read to mean:
    /// addresses, protocol and length.
    #[must_use]
    pub fn add_pseudo_header(self, source: IpAddr, destination: IpAddr, length: usize) -> Self {
        let with = |sum: Self, address: IpAddr| match address {
            IpAddr::V4(v4) => sum.over(&v4.octets()),
            IpAddr::V6(v6) => sum.over(&v6.octets()),
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        with(with(self, source), destination)
            .over(&length.to_be_bytes())
            .over(&[0, PROTOCOL])
    }

    /// The value for the checksum field.
    #[must_use]
    pub const fn finish(self) -> u16 {
        !self.0
    }

    /// Whether a message summed with its checksum field is intact.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 == 0xffff
    }

    /// Ones' complement addition: the carry comes back in at the other end (RFC 1071 §1).
    const fn add_word(&mut self, word: u16) {
        let (sum, carry) = self.0.overflowing_add(word);
        self.0 = sum + carry as u16;
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
