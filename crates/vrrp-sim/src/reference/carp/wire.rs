//! The 36 bytes, and the receive checks of `carp.md` §3.

use core::net::IpAddr;

use super::digest::{DIGEST, digest};
use super::terms::{Bid, Terms};
use crate::reference::terms as vrrp;
use crate::reference::wire::{self as other, Packet, Refusal};

/// Bytes of an advertisement.
pub const LENGTH: usize = 36;

/// What an accepted advertisement says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Who.
    pub source: IpAddr,
    /// What it bids.
    pub bid: Bid,
    /// Its counter.
    pub counter: u64,
}

/// Why an advertisement is discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discarded {
    /// As VRRP's are, or as VRRP itself.
    As(Refusal),
    /// Another passphrase, list of addresses or vhid.
    Digest,
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// An advertisement of a router with these terms. Link-local addresses are not covered: all accept that.
#[must_use]
pub fn write(terms: &Terms, bid: Bid, counter: u64) -> [u8; LENGTH] {
    write_covering(terms, bid, counter, false)
}

/// The same, with link-local addresses covered or not.
#[must_use]
pub fn write_covering(terms: &Terms, bid: Bid, counter: u64, link_local: bool) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[0] = 0x21;
    bytes[1] = terms.vhid;
    bytes[2] = bid.advskew;
    bytes[3] = 7;
    bytes[4] = bid.demotion;
    bytes[5] = bid.advbase;
    bytes[8..16].copy_from_slice(&counter.to_be_bytes());
    let digest = digest(
        &terms.key,
        terms.vhid,
        &terms.addresses,
        link_local,
        counter,
    );
    bytes[16..16 + DIGEST].copy_from_slice(&digest);
    mend(&mut bytes);
    bytes
}

/// Computes the checksum of a spoilt message anew, as far as there is one.
pub fn mend(message: &mut [u8]) {
    if message.len() < LENGTH {
        return;
    }
    message[6..8].copy_from_slice(&[0, 0]);
    let checksum = !sum(&message[..LENGTH]);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
}

/// The counter of a message that is long enough to have one.
#[must_use]
pub fn counter(message: &[u8]) -> Option<u64> {
    let bytes = message.get(8..16)?;
    Some(
        bytes
            .iter()
            .fold(0, |counter, byte| counter << 8 | u64::from(*byte)),
    )
}

/// Whether one of ours accepts it, that has these addresses of its own.
///
/// # Errors
/// The first check that failed.
pub fn check(
    packet: &Packet<'_>,
    terms: &Terms,
    own: [Option<IpAddr>; 2],
) -> Result<Heard, Discarded> {
    let message = packet.message;
    let ours =
        message.len() > 1 && message[1] == terms.vhid && terms.speaks(packet.source.is_ipv6());
    if !ours {
        return Err(Discarded::As(stranger(packet)));
    }
    let refuse = |refusal| Err(Discarded::As(refusal));
    if message.len() < 8 {
        return refuse(Refusal::Short);
    }
    // Decision: a VRRPv2 message of just the length that it says is VRRPv2.
    let vrrp2 = message[3] != 0 && message.len() == 16 + 4 * usize::from(message[3]);
    if message[0] >> 4 != 2 || vrrp2 {
        return refuse(Refusal::Version);
    }
    if message.len() < LENGTH {
        return refuse(Refusal::Short);
    }
    if packet.ttl != 255 {
        return refuse(Refusal::Ttl);
    }
    // What comes behind is not summed; type and authentication length are nobody's business.
    if sum(&message[..LENGTH]) != 0xffff {
        return refuse(Refusal::Checksum);
    }
    // Decision: what comes from our own address is no peer's.
    if own.contains(&Some(packet.source)) {
        return refuse(Refusal::OwnPacket);
    }
    if packet.destination.is_multicast() != terms.peers.is_empty() {
        return refuse(Refusal::Mode);
    }
    if !terms.peers.is_empty() && !terms.peers.contains(&packet.source) {
        return refuse(Refusal::Source);
    }
    let counter = counter(message).unwrap_or_default();
    let agrees = |link_local| {
        let digest = digest(
            &terms.key,
            terms.vhid,
            &terms.addresses,
            link_local,
            counter,
        );
        digest[..] == message[16..LENGTH]
    };
    if !agrees(false) && !agrees(true) {
        return Err(Discarded::Digest);
    }
    Ok(Heard {
        source: packet.source,
        bid: Bid {
            advskew: message[2],
            demotion: message[4],
            advbase: message[5],
        },
        counter,
    })
}

/// Decision: what is for nobody here is looked at as VRRP is, by a router of another identifier.
fn stranger(packet: &Packet<'_>) -> Refusal {
    let vrid = packet.message.get(1).map_or(1, |vrid| vrid ^ 1);
    let terms = vrrp::Terms {
        version: vrrp::Version::Three,
        ipv6: packet.source.is_ipv6(),
        vrid,
        priority: 100,
        interval: vrrp::SECOND,
        preempt: true,
        hold_time: 0,
        addresses: Vec::new(),
        password: None,
        send_form: None,
        strict: false,
        peers: Vec::new(),
    };
    other::check(packet, &terms, None).map_or_else(|refusal| refusal, |_| Refusal::Vrid)
}
