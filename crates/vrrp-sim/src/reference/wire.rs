//! Bytes: which advertisements are accepted, and what ours look like.

use core::net::IpAddr;

use super::terms::{Form, Nanos, SECOND, Terms, Version};

const PROTOCOL: u8 = 112;
const CENTISECOND: Nanos = SECOND / 100;

/// A packet of protocol 112 without its IP header.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// The rest.
    pub message: &'a [u8],
}

/// What an accepted advertisement says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// Who.
    pub source: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Its interval.
    pub interval: Nanos,
    /// How it computes checksums.
    pub form: Form,
    /// Its interval is another than ours.
    pub other_interval: bool,
    /// Its addresses are others than ours.
    pub other_addresses: bool,
}

/// Why a packet is discarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// "The received packet contains the complete VRRP packet": not even a header.
    Short,
    /// Another protocol with our number.
    Carp,
    /// "The IPv4 TTL/IPv6 Hop Limit is 255."
    Ttl,
    /// "The VRRP version is" that of the router.
    Version,
    /// "The VRRP checksum."
    Checksum,
    /// "The VRID is configured on the receiving interface."
    Vrid,
    /// Decision: our own packet that came back is no peer.
    OwnPacket,
    /// "Unknown type MUST be discarded."
    Type,
    /// The length is not that of this many addresses; none is not allowed (erratum 8299).
    Length,
    /// An interval of zero (erratum 8301), or in VRRPv2 another one than ours.
    Interval,
    /// IPv6 without a link-local address first (erratum 8300); in VRRPv2 other addresses than ours.
    Addresses,
    /// RFC 3768 §5.3.6: an authentication type that does not exist.
    AuthenticationUnknown,
    /// RFC 3768 §7.1: another authentication type than ours.
    AuthenticationOther,
    /// RFC 2338 §5.3.10: another password.
    Password,
    /// Unicast from somebody who is not a peer.
    Source,
    /// Multicast where unicast was agreed, or the other way round.
    Mode,
    /// RFC 3768 §7.1: the owner listens to nobody.
    Owner,
}

/// RFC 1071 over an even number of bytes and perhaps one more.
fn ones_complement_sum(bytes: &[u8]) -> u64 {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u64::from(pair[0]) << 8;
        sum += u64::from(*pair.get(1).unwrap_or(&0));
    }
    sum
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// RFC 8200 §8.1 for IPv6; for IPv4 source, destination, zero, protocol, length.
fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut bytes = Vec::new();
    for address in [source, destination] {
        match address {
            IpAddr::V4(v4) => bytes.extend(v4.octets()),
            IpAddr::V6(v6) => bytes.extend(v6.octets()),
        }
    }
    if source.is_ipv6() {
        bytes.extend([0, 0, length[0], length[1], 0, 0, 0, PROTOCOL]);
    } else {
        bytes.extend([0, PROTOCOL, length[0], length[1]]);
    }
    bytes
}

/// What the checksum of a message with a zero in its field should be.
fn checksum_of(message: &[u8], source: IpAddr, destination: IpAddr, form: Form) -> u16 {
    let before = match form {
        Form::Message => Vec::new(),
        Form::PseudoHeader => pseudo_header(source, destination, message.len()),
    };
    !fold(ones_complement_sum(&before) + ones_complement_sum(message))
}

fn sums_up(packet: &Packet<'_>, form: Form) -> bool {
    let mut sum = ones_complement_sum(packet.message);
    if form == Form::PseudoHeader {
        sum += ones_complement_sum(&pseudo_header(
            packet.source,
            packet.destination,
            packet.message.len(),
        ));
    }
    fold(sum) == 0xffff
}

/// Which form the checksum has, if any that is acceptable.
fn form_of(packet: &Packet<'_>, version: Version, strict: bool) -> Option<Form> {
    if version == Version::Three && packet.source.is_ipv6() {
        // Undisputed, so it counts as RFC 9568's.
        return sums_up(packet, Form::PseudoHeader).then_some(Form::Message);
    }
    if sums_up(packet, Form::Message) {
        return Some(Form::Message);
    }
    let tolerated = version == Version::Three && !strict;
    (tolerated && sums_up(packet, Form::PseudoHeader)).then_some(Form::PseudoHeader)
}

/// The receive checks of RFC 9568 §7.1 and RFC 3768 §7.1; the first that fails decides.
///
/// # Errors
/// That check.
pub fn check(
    packet: &Packet<'_>,
    terms: &Terms,
    own_address: Option<IpAddr>,
) -> Result<Said, Refusal> {
    let message = packet.message;
    if message.len() < 8 {
        return Err(Refusal::Short);
    }
    let [first, vrid, priority, count, byte4, byte5] = [0, 1, 2, 3, 4, 5].map(|at| message[at]);
    // Decision: CARP is CARP over IPv6 as well, where it cannot be taken for VRRPv2.
    if first == 0x21 && count == 7 && message.len() == 36 {
        return Err(Refusal::Carp);
    }
    if packet.ttl != 255 {
        return Err(Refusal::Ttl);
    }
    // Decision: a VRID that nobody has here may speak any version; its packet is told by its VRID.
    let ours = vrid == terms.vrid;
    let version = match first >> 4 {
        // There is no VRRPv2 over IPv6.
        2 if !terms.ipv6 && (!ours || terms.version == Version::Two) => Version::Two,
        3 if !ours || terms.version == Version::Three => Version::Three,
        _ => return Err(Refusal::Version),
    };
    let form = form_of(packet, version, ours && terms.strict).ok_or(Refusal::Checksum)?;
    if !ours {
        return Err(Refusal::Vrid);
    }
    if own_address == Some(packet.source) {
        return Err(Refusal::OwnPacket);
    }
    if first & 0x0f != 1 {
        return Err(Refusal::Type);
    }
    let size = if terms.ipv6 { 16 } else { 4 };
    let trailer = match version {
        Version::Two => 8,
        Version::Three => 0,
    };
    // Decision: "complete" means neither shorter nor longer.
    if count == 0 || message.len() != 8 + usize::from(count) * size + trailer {
        return Err(Refusal::Length);
    }
    let interval = match version {
        Version::Two => u64::from(byte5) * SECOND,
        // The reserved bits are ignored: RFC 9568 §5.2.6.
        Version::Three => (u64::from(byte4 & 0x0f) * 256 + u64::from(byte5)) * CENTISECOND,
    };
    if interval == 0 {
        return Err(Refusal::Interval);
    }
    let addresses: Vec<&[u8]> = message[8..message.len() - trailer].chunks(size).collect();
    let link_local = addresses[0][0] == 0xfe && addresses[0][1] & 0xc0 == 0x80;
    if terms.ipv6 && !link_local {
        return Err(Refusal::Addresses);
    }
    if version == Version::Two {
        let data = &message[message.len() - 8..];
        match (byte4, terms.password) {
            (0, None) => {}
            (1, Some(password)) if data == password => {}
            (1, Some(_)) => return Err(Refusal::Password),
            (0..=2, _) => return Err(Refusal::AuthenticationOther),
            _ => return Err(Refusal::AuthenticationUnknown),
        }
    }
    if packet.destination.is_multicast() != terms.peers.is_empty() {
        return Err(Refusal::Mode);
    }
    if !terms.peers.is_empty() && !terms.peers.contains(&packet.source) {
        return Err(Refusal::Source);
    }
    if version == Version::Two && terms.is_owner() {
        return Err(Refusal::Owner);
    }
    let other_interval = interval != terms.interval;
    if version == Version::Two && other_interval {
        return Err(Refusal::Interval);
    }
    // Decision: one order for all is recommended (RFC 9568 §5.2.9), so another one is worth a count. Where a difference is
    // a refusal only the set matters.
    let other_set = !same(&addresses, &terms.addresses, false);
    if version == Version::Two && other_set && priority != 255 {
        return Err(Refusal::Addresses);
    }
    let other_addresses = !same(&addresses, &terms.addresses, true);
    Ok(Said {
        source: packet.source,
        priority,
        interval,
        form,
        other_interval,
        other_addresses,
    })
}

fn same(theirs: &[&[u8]], ours: &[IpAddr], in_order: bool) -> bool {
    let mut theirs: Vec<Vec<u8>> = theirs.iter().map(|bytes| bytes.to_vec()).collect();
    let mut ours: Vec<Vec<u8>> = ours.iter().map(octets).collect();
    if !in_order {
        theirs.sort();
        ours.sort();
    }
    theirs == ours
}

fn octets(address: &IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// An advertisement of a router with these terms: RFC 9568 §7.2, RFC 3768 §7.2.
#[must_use]
pub fn write(
    terms: &Terms,
    priority: u8,
    form: Form,
    source: IpAddr,
    destination: IpAddr,
) -> Vec<u8> {
    let count = u8::try_from(terms.addresses.len()).unwrap_or(u8::MAX);
    let low = |value: u64| u8::try_from(value & 0xff).unwrap_or_default();
    let mut message = match terms.version {
        Version::Two => vec![
            0x21,
            terms.vrid,
            priority,
            count,
            u8::from(terms.password.is_some()),
            low(terms.interval / SECOND),
            0,
            0,
        ],
        Version::Three => {
            let centis = terms.interval / CENTISECOND;
            vec![
                0x31,
                terms.vrid,
                priority,
                count,
                low(centis >> 8),
                low(centis),
                0,
                0,
            ]
        }
    };
    for address in &terms.addresses {
        message.extend(octets(address));
    }
    if terms.version == Version::Two {
        message.extend(terms.password.unwrap_or_default());
    }
    let form = match (terms.version, terms.ipv6) {
        (Version::Two, _) => Form::Message,
        (Version::Three, true) => Form::PseudoHeader,
        (Version::Three, false) => form,
    };
    let checksum = checksum_of(&message, source, destination, form);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// Computes the checksum of a spoilt message anew, so that something else is found to be wrong with it.
pub(super) fn mend_checksum(
    message: &mut [u8],
    terms: &Terms,
    form: Form,
    source: IpAddr,
    destination: IpAddr,
) {
    if message.len() < 8 {
        return;
    }
    let other_version = message[0] >> 4 == 3;
    let form = match (other_version && terms.ipv6, form) {
        (true, Form::Message) if terms.version == Version::Two => Form::PseudoHeader,
        (_, form) => form,
    };
    message[6..8].copy_from_slice(&[0, 0]);
    let checksum = checksum_of(message, source, destination, form);
    message[6..8].copy_from_slice(&checksum.to_be_bytes());
}

/// Gives raw bytes the checksum that their version asks for, or the pseudo-header form of it.
pub fn mend(
    message: &mut [u8],
    terms: &Terms,
    source: IpAddr,
    destination: IpAddr,
    pseudo_header: bool,
) {
    let form = if pseudo_header {
        Form::PseudoHeader
    } else {
        Form::Message
    };
    mend_checksum(message, terms, form, source, destination);
}
