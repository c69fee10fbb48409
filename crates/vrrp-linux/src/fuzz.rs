//! Doors for a fuzzer: bytes from the network or the kernel, given to what reads them in the daemon.
//!
//! A function panics when something is wrong. `fuzz/` throws new bytes at them, a test the kept ones.

use crate::{claim, kernel, socket};

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// What takes the bytes.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 2] = [
    Target {
        name: "packets",
        run: packets,
    },
    Target {
        name: "netlink",
        run: netlink,
    },
];

/// What sockets deliver beside advertisements, and around them: ARP, Neighbor Advertisements, IPv4 headers.
///
/// # Panics
/// When what was read is not in the bytes.
pub fn packets(bytes: &[u8]) {
    if let Some((_, mac)) = claim::arp_claim(bytes) {
        assert_eq!(bytes[8..14], mac.0);
    }
    if let Some((_, mac)) = claim::neighbor_claim(bytes) {
        assert!(bytes[24..].windows(6).any(|six| six == mac.0));
    }
    if let Some((_, message)) = socket::split_ipv4(bytes) {
        assert!(bytes.ends_with(message));
    }
}

/// What netlink delivers: the picture that it gives, and what would be done about it.
///
/// # Panics
/// When there is no end to what is to be done.
pub fn netlink(bytes: &[u8]) {
    kernel::fuzz(bytes);
}
