//! HMAC-SHA1 by the book (RFC 2104, FIPS 180-4), and the bytes of which CARP takes it.

use core::net::IpAddr;

/// Bytes of a digest.
pub const DIGEST: usize = 20;

/// Bytes of a block of SHA-1.
const BLOCK: usize = 64;

/// FIPS 180-4 §6.1.
#[must_use]
pub fn sha1(message: &[u8]) -> [u8; DIGEST] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % BLOCK != BLOCK - 8 {
        padded.push(0);
    }
    padded.extend((message.len() as u64 * 8).to_be_bytes());
    let mut h: [u32; 5] = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    for block in padded.chunks_exact(BLOCK) {
        let mut w = [0_u32; 80];
        for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
            *word = bytes
                .iter()
                .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        }
        for t in 16..80 {
            w[t] = (w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (t, word) in w.iter().enumerate() {
            let (f, k) = match t / 20 {
                0 => ((b & c) | (!b & d), 0x5a82_7999),
                1 => (b ^ c ^ d, 0x6ed9_eba1),
                2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(f)
                .wrapping_add(e)
                .wrapping_add(k)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in h.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; DIGEST];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(h) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// RFC 2104, for keys that are no longer than a block.
#[must_use]
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; DIGEST] {
    let mut inner = vec![0x36; BLOCK];
    let mut outer = vec![0x5c; BLOCK];
    for (place, byte) in key.iter().enumerate().take(BLOCK) {
        inner[place] ^= byte;
        outer[place] ^= byte;
    }
    inner.extend(message);
    outer.extend(sha1(&inner));
    sha1(&outer)
}

/// The digest of an advertisement: 2, 1, the vhid, each IPv4 address, each IPv6 address, the counter. Addresses ascend,
/// each once; those that are link-local count if the sender says so.
#[must_use]
pub fn digest(
    key: &[u8],
    vhid: u8,
    addresses: &[IpAddr],
    link_local: bool,
    counter: u64,
) -> [u8; DIGEST] {
    let mut v4: Vec<[u8; 4]> = Vec::new();
    let mut v6: Vec<[u8; 16]> = Vec::new();
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(address.octets()),
            IpAddr::V6(address) => {
                let octets = address.octets();
                let local = octets[0] == 0xfe && octets[1] & 0xc0 == 0x80;
                if link_local || !local {
                    v6.push(octets);
                }
            }
        }
    }
    v4.sort_unstable();
    v4.dedup();
    v6.sort_unstable();
    v6.dedup();
    let mut message = vec![2, 1, vhid];
    message.extend(v4.concat());
    message.extend(v6.concat());
    message.extend(counter.to_be_bytes());
    hmac_sha1(key, &message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// FIPS 180 and RFC 2202.
    #[test]
    fn published_vectors() {
        let a = [b'a'; 119];
        for (message, expected) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
            ),
            (&a, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56"),
        ] {
            assert_eq!(hex(&sha1(message)), expected);
        }
        assert_eq!(
            hex(&hmac_sha1(b"Jefe", b"what do ya want for nothing?")),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
    }

    /// Digests as they were captured from UCarp and from a NetBSD kernel.
    #[test]
    fn captured_vectors() {
        let ips = |list: &[&str]| -> Vec<IpAddr> {
            list.iter().filter_map(|text| text.parse().ok()).collect()
        };
        for (key, vhid, addresses, counter, expected) in [
            (
                "secret",
                1,
                &["10.99.0.100"][..],
                0x0123_4567_89ab_cdef,
                "5a67b92cd1f79847ddab460b830063a1feebb0aa",
            ),
            (
                "",
                255,
                &["192.0.2.1"],
                0,
                "837d094a9ea0800accd7279fd8bdd30d4264a950",
            ),
            (
                "love",
                42,
                &["10.1.1.253", "10.1.1.9", "9.255.0.1"],
                u64::MAX,
                "f382b47ddbb7ddb9ecab5ba050e42a1420dcaa5b",
            ),
            (
                "abcdefghijklmnopqrs",
                7,
                &["2001:db8::2", "192.0.2.10", "2001:db8::1", "192.0.2.9"],
                0x8000_0000_0000_0001,
                "fbd4d93bea66d33b882dbb800bb496aac399af45",
            ),
        ] {
            let found = digest(key.as_bytes(), vhid, &ips(addresses), false, counter);
            assert_eq!(hex(&found), expected);
        }
    }
}
