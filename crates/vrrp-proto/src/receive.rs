//! The receive checks of RFC 9568 §7.1 and RFC 3768 §7.1, in one order, the first failure deciding.
//!
//! A refused packet is a counter with a name and nothing else. What is kept although something about it is odd
//! comes back as [`Oddity`] beside the advertisement.

use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use thiserror::Error;

use crate::carp::Bid;
use crate::dialect::Dialect;
use crate::event::Offer;
use crate::interval::Interval;
use crate::packet::{ADVERTISEMENT, Header, auth_type};
use crate::plan::{ChecksumForm, RouterPlan};
use crate::statistics::{GlobalStatistics, RouterStatistics};
use crate::types::{Family, Priority, Vrid, is_link_local};

/// The IP header's part of a received packet.
#[derive(Clone, Copy, Debug)]
pub struct Envelope {
    /// IP source.
    pub source: IpAddr,
    /// IP destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
}

/// A virtual router as the checks need to see it.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Its configuration.
    pub plan: &'a RouterPlan,
    /// Its own source address, if it has one at present.
    pub primary: Option<IpAddr>,
}

/// An advertisement that passed every check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// IP source: "the primary address of the sender" (RFC 9568 §6.4.3).
    pub source: IpAddr,
    /// Sender's priority.
    pub priority: Priority,
    /// Sender's interval.
    pub interval: Interval,
    /// The checksum's form.
    pub form: ChecksumForm,
    /// Its interval is not ours (VRRPv3: kept, RFC 9568 §7.1).
    pub other_interval: bool,
    /// Its addresses are not ours (VRRPv3: kept, RFC 9568 §7.1; VRRPv2: kept from the owner only).
    pub other_addresses: bool,
    /// With CARP, what it bids; priority and interval are made of that.
    pub bid: Option<Bid>,
}

impl Heard {
    /// Time between two advertisements of its sender. One that gives up says nothing of it.
    pub(crate) fn period(&self) -> Duration {
        let bid = self.bid.filter(|bid| !bid.is_bow_out());
        bid.map_or_else(|| self.interval.duration(), Bid::interval)
    }

    /// What its sender offers.
    #[must_use]
    pub const fn offer(&self) -> Offer {
        Offer {
            priority: self.priority,
            bid: self.bid,
        }
    }
}

/// Why a packet was refused.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Error, Serialize, Deserialize,
)]
pub enum Reject {
    /// RX-2
    #[error("shorter than a VRRP header")]
    Short,
    /// Before RX-3: not ours at all.
    #[error("a CARP advertisement")]
    Carp,
    /// A router of VRRP hears CARP of its own number and of its block of MAC addresses.
    #[error("a CARP group here has the same number, and so the same virtual MAC address")]
    CarpHere,
    /// A router of CARP hears VRRP of its own number and of its block of MAC addresses.
    #[error("a VRRP router here has the same number, and so the same virtual MAC address")]
    VrrpHere,
    /// RX-3
    #[error("TTL or hop limit is not 255")]
    HopLimit,
    /// RX-4
    #[error("a VRRP version that is not spoken here")]
    Version,
    /// RX-5
    #[error("wrong checksum")]
    Checksum,
    /// RX-6
    #[error("no virtual router with this VRID on this interface")]
    Vrid,
    /// Our own packet came back.
    #[error("our own advertisement came back")]
    Looped,
    /// RX-7
    #[error("not an advertisement")]
    Type,
    /// RX-8
    #[error("length does not match the address count")]
    Length,
    /// RX-9
    #[error("an address count of zero")]
    CountZero,
    /// RX-10
    #[error("an advertisement interval of zero")]
    IntervalZero,
    /// RX-11
    #[error("the first IPv6 address is not link-local")]
    FirstNotLinkLocal,
    /// RX-12
    #[error("unknown authentication type")]
    AuthTypeInvalid,
    /// RX-12
    #[error("another authentication type than ours")]
    AuthTypeMismatch,
    /// RX-12
    #[error("wrong password")]
    AuthFailure,
    /// draft-abinabraham-vrrp-unicast §8
    #[error("the source is not a configured peer")]
    Source,
    /// draft-abinabraham-vrrp-unicast §8.6
    #[error("multicast to a unicast router, or unicast to a multicast one")]
    Mode,
    /// RX-13
    #[error("we own the addresses")]
    Owner,
    /// RX-14
    #[error("another advertisement interval than ours")]
    IntervalMismatch,
    /// RX-16
    #[error("other addresses than ours")]
    AddressMismatch,
    /// CARP alone, behind everything else.
    #[error(
        "wrong digest: another list of addresses, another passphrase, or another group with this vhid"
    )]
    Digest,
    /// CARP: the counter, or what it says, is not later than what was heard before.
    #[error("it was said before: a recording that is played back")]
    Replayed,
    /// CARP: another bid was sealed.
    #[error(
        "its advbase, advskew or demotion is not what was sealed: a recording that was changed"
    )]
    Forged,
    /// CARP, where a seal is required.
    #[error("not sealed, and carp-seal is \"require\" here")]
    Unsealed,
    /// CARP: sealed at another time than now.
    #[error(
        "sealed at another time: the clocks differ by more than carp-seal-window, or it is an old recording"
    )]
    Clock,
}

/// Something odd about an advertisement that was kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Oddity {
    /// The sender uses another interval; we follow the Active's (RFC 9568 §6.4.2).
    OtherInterval,
    /// The sender lists other addresses.
    OtherAddresses,
}

impl fmt::Display for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherInterval => "another advertisement interval than ours",
            Self::OtherAddresses => "other addresses than ours",
        })
    }
}

/// Checks `message`, which arrived on an interface and family where `lookup` finds the virtual routers.
///
/// # Errors
/// The first check that failed, in the order of this file.
pub fn examine<'a>(
    envelope: &Envelope,
    message: &[u8],
    lookup: impl FnOnce(Vrid) -> Option<Expectation<'a>>,
) -> Result<Heard, Reject> {
    let header = Header::new(message).ok_or(Reject::Short)?; // RX-2
    if header.is_carp() {
        return Err(Reject::Carp);
    }
    if envelope.hop_limit != 255 {
        return Err(Reject::HopLimit); // RX-3
    }
    let found = header.vrid().and_then(lookup);
    let dialect = spoken(header.version(), envelope, found).ok_or(Reject::Version)?; // RX-4
    let form = header
        .checksum_form(dialect, envelope.source, envelope.destination)
        .ok_or(Reject::Checksum)?; // RX-5
    let Expectation { plan, primary } = found.ok_or(Reject::Vrid)?; // RX-6
    if plan.checksum.strict && form == ChecksumForm::Rfc5798 {
        return Err(Reject::Checksum);
    }
    if primary == Some(envelope.source) {
        return Err(Reject::Looped);
    }
    if header.kind() != ADVERTISEMENT {
        return Err(Reject::Type); // RX-7
    }
    // RX-8: exact, as every other implementation demands; the RFCs only ask for completeness.
    if header.count() != 0
        && header.message_len() != dialect.message_len(plan.family, header.count())
    {
        return Err(Reject::Length);
    }
    if header.count() == 0 {
        return Err(Reject::CountZero); // RX-9
    }
    let interval = header.interval(dialect).ok_or(Reject::IntervalZero)?; // RX-10
    if plan.family == Family::Ipv6
        && !matches!(header.addresses(plan.family).next(), Some(IpAddr::V6(first)) if is_link_local(first))
    {
        return Err(Reject::FirstNotLinkLocal); // RX-11
    }
    if dialect == Dialect::Vrrp2 {
        authenticate(header, plan)?; // RX-12
    }
    let multicast = envelope.destination.is_multicast();
    if multicast == plan.is_unicast() {
        return Err(Reject::Mode);
    }
    if plan.is_unicast() && !plan.unicast_peers.contains(&envelope.source) {
        return Err(Reject::Source);
    }
    if plan.priority.is_owner() && dialect.owner_ignores_others() {
        return Err(Reject::Owner); // RX-13
    }
    let other_interval = interval != plan.interval;
    if other_interval && dialect.requires_equal_interval() {
        return Err(Reject::IntervalMismatch); // RX-14; RX-15 keeps it
    }
    let other_addresses = !header
        .addresses(plan.family)
        .eq(plan.addresses.iter().map(|address| address.ip));
    if other_addresses
        && dialect.requires_equal_addresses()
        && !header.priority().is_owner()
        && !same_set(header, plan)
    {
        return Err(Reject::AddressMismatch); // RX-16
    }
    Ok(Heard {
        source: envelope.source,
        priority: header.priority(),
        interval,
        form,
        other_interval,
        other_addresses,
        bid: None,
    })
}

/// The dialect of this version nibble, if this VRID speaks it here; any that exists, if nobody has this VRID.
fn spoken(version: u8, envelope: &Envelope, found: Option<Expectation<'_>>) -> Option<Dialect> {
    let dialect = match (version, Family::of(envelope.source)) {
        (2, Family::Ipv4) => Dialect::Vrrp2,
        (3, _) => Dialect::Vrrp3,
        _ => return None,
    };
    found
        .is_none_or(|found| found.plan.dialect == dialect)
        .then_some(dialect)
}

fn authenticate(header: Header<'_>, plan: &RouterPlan) -> Result<(), Reject> {
    match (header.auth_type(), plan.authentication) {
        // Authentication data means nothing here (RFC 3768 §5.3.10).
        (auth_type::NONE, None) => Ok(()),
        (auth_type::SIMPLE_TEXT, Some(key)) => {
            let intact = header
                .auth_data()
                .is_some_and(|received| key.matches(received));
            if intact {
                Ok(())
            } else {
                Err(Reject::AuthFailure)
            }
        }
        (auth_type::NONE | auth_type::SIMPLE_TEXT | auth_type::IP_AH, _) => {
            Err(Reject::AuthTypeMismatch)
        }
        _ => Err(Reject::AuthTypeInvalid),
    }
}

/// Equal apart from order: VRRPv2 peers that list the same addresses differently are no threat to each other.
fn same_set(header: Header<'_>, plan: &RouterPlan) -> bool {
    header.count() == plan.addresses.len()
        && header
            .addresses(plan.family)
            .all(|address| plan.addresses.iter().any(|ours| ours.ip == address))
        && plan.addresses.iter().all(|ours| {
            header
                .addresses(plan.family)
                .any(|address| ours.ip == address)
        })
}

impl Reject {
    /// Counts this refusal where RFC 8347 wants it; `router` is the router of the packet's VRID, if there is one.
    pub fn count(self, global: &mut GlobalStatistics, router: Option<&mut RouterStatistics>) {
        let counter = match (self, router) {
            (Self::Short, _) => &mut global.short_packets,
            (Self::Carp | Self::CarpHere, _) => &mut global.carp_pkts_rcvd,
            (Self::HopLimit, _) => &mut global.ip_ttl_errors,
            (Self::Version | Self::VrrpHere, _) => &mut global.version_errors,
            (Self::Checksum, _) => &mut global.checksum_errors,
            (Self::Vrid, _) | (_, None) => &mut global.vrid_errors,
            (Self::Looped, Some(own)) => &mut own.own_pkts_looped,
            (Self::Type, Some(own)) => &mut own.invalid_type_pkts_rcvd,
            (Self::Length | Self::CountZero, Some(own)) => &mut own.packet_length_errors,
            (Self::IntervalZero | Self::IntervalMismatch, Some(own)) => &mut own.interval_errors,
            (Self::FirstNotLinkLocal | Self::AddressMismatch, Some(own)) => {
                &mut own.address_list_errors
            }
            (Self::AuthTypeInvalid, Some(own)) => &mut own.auth_type_invalid,
            (Self::AuthTypeMismatch, Some(own)) => &mut own.auth_type_mismatch,
            (Self::AuthFailure | Self::Digest, Some(own)) => &mut own.auth_failures,
            (Self::Source, Some(own)) => &mut own.source_errors,
            (Self::Mode, Some(own)) => &mut own.mode_errors,
            (Self::Owner, Some(own)) => &mut own.owner_conflicts,
            (Self::Replayed, Some(own)) => &mut own.replayed_pkts_rcvd,
            (Self::Forged, Some(own)) => &mut own.forged_pkts_rcvd,
            (Self::Unsealed, Some(own)) => &mut own.unsealed_pkts_rcvd,
            (Self::Clock, Some(own)) => &mut own.clock_errors,
        };
        *counter += 1;
    }
}
