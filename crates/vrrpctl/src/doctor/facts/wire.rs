//! The wire: advertisements that pass, and who claims the virtual addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use jiff::Timestamp;
use pcap_parser::Linktype;
use pnet_packet::Packet;
use pnet_packet::arp::ArpPacket;
use pnet_packet::icmpv6::ndp::{NdpOptionTypes, NeighborAdvertPacket};
use vrrp_proto::packet::Header;
use vrrp_proto::{Family, Interval, Plan};

use crate::carp;
use crate::ear::Passed;
use crate::frame::{self, Arrived};
use crate::verdict::{self, Verdict, judge_alone, judge_at};

/// What passed while it was listened to.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// How long.
    pub(crate) span: Duration,
    /// Where.
    pub(crate) interfaces: Vec<String>,
    /// Where not, and why.
    pub(crate) deaf: Vec<(String, String)>,
    /// Advertisements.
    pub(crate) adverts: Vec<Advert>,
    /// Groups of CARP that advertise here, once for each time they did.
    pub(crate) carp: Vec<OfCarp>,
    /// Claims of addresses.
    pub(crate) claims: Vec<Claim>,
    /// What was asked for: interface and address.
    pub(crate) questions: Vec<(String, IpAddr)>,
}

/// An advertisement.
#[derive(Clone, Debug)]
pub(crate) struct Advert {
    pub(crate) interface: String,
    pub(crate) time: Timestamp,
    /// Whether this machine sent it.
    pub(crate) outgoing: bool,
    pub(crate) mac: Option<[u8; 6]>,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hops: u8,
    pub(crate) version: u8,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) interval: Option<Interval>,
    pub(crate) addresses: Vec<IpAddr>,
    /// What the router of this interface and VRID makes of it, or any if there is none.
    pub(crate) verdict: Verdict,
    /// What one makes of it that expects just this.
    pub(crate) alone: Verdict,
    /// Why it is refused.
    pub(crate) reason: Option<String>,
}

/// An advertisement of CARP, of another machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct OfCarp {
    pub(crate) interface: String,
    pub(crate) vhid: u8,
    pub(crate) source: IpAddr,
}

/// Somebody says that an address is his: in ARP, or in a Neighbor Advertisement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Claim {
    pub(crate) interface: String,
    pub(crate) ip: IpAddr,
    pub(crate) mac: [u8; 6],
    /// Whether it was the answer to a question of ours.
    pub(crate) answer: bool,
}

/// Enters a frame.
pub(crate) fn enter(
    wire: &mut Wire,
    interface: &str,
    own: [u8; 6],
    passed: &Passed<'_>,
    plan: &Plan,
) {
    if let Some(arrived) = frame::open(Linktype::ETHERNET, passed.bytes) {
        if let [_, vhid, ..] = arrived.message
            && carp::is_meant(&arrived)
            && !passed.outgoing
        {
            wire.carp.push(OfCarp {
                interface: interface.to_owned(),
                vhid: *vhid,
                source: arrived.envelope.source,
            });
        }
        wire.adverts
            .extend(advert(interface, passed, &arrived, plan));
    } else if !passed.outgoing {
        wire.claims.extend(claim(interface, own, passed.bytes));
    }
}

fn advert(
    interface: &str,
    passed: &Passed<'_>,
    arrived: &Arrived<'_>,
    plan: &Plan,
) -> Option<Advert> {
    let header = Header::new(arrived.message).filter(|header| !header.is_carp())?;
    let family = Family::of(arrived.envelope.source);
    let alone = judge_alone(arrived);
    let verdict =
        judge_at(arrived, plan, interface).map_or_else(|| alone.clone(), |(_, verdict)| verdict);
    let reason = match &verdict {
        Verdict::Refused(reject) => Some(verdict::reason(*reject, arrived)),
        Verdict::RefusedCarp(_, why) => Some(why.clone()),
        Verdict::Good(_) | Verdict::Carp | Verdict::Cut => None,
    };
    Some(Advert {
        interface: interface.to_owned(),
        time: passed.time,
        outgoing: passed.outgoing,
        mac: arrived.source_mac,
        source: arrived.envelope.source,
        destination: arrived.envelope.destination,
        hops: arrived.envelope.hop_limit,
        version: header.version(),
        vrid: header.vrid()?.get(),
        priority: header.priority().get(),
        interval: header.interval(verdict::dialect(header, family)),
        addresses: header.addresses(family).collect(),
        verdict,
        alone,
        reason,
    })
}

const ETHERNET: usize = 14;
const IPV6: usize = 40;

fn claim(interface: &str, own: [u8; 6], bytes: &[u8]) -> Option<Claim> {
    let to_us = bytes.get(..6)? == own;
    let (ip, mac) = match bytes.get(12..14)? {
        [0x08, 0x06] => {
            let arp = ArpPacket::new(bytes.get(ETHERNET..)?)?;
            (
                arp.get_sender_proto_addr().into(),
                arp.get_sender_hw_addr().octets(),
            )
        }
        [0x86, 0xdd] => {
            let advert = NeighborAdvertPacket::new(bytes.get(ETHERNET + IPV6..)?)?;
            let mut options = advert.get_options_iter();
            let link =
                options.find(|option| option.get_option_type() == NdpOptionTypes::TargetLLAddr);
            let mac = link.and_then(|link| link.payload().get(..6)?.try_into().ok());
            let source = bytes.get(6..12)?.try_into().ok()?;
            (IpAddr::V6(advert.get_target_addr()), mac.unwrap_or(source))
        }
        _ => return None,
    };
    // A probe claims nothing.
    let claims = ip != IpAddr::V4(Ipv4Addr::UNSPECIFIED) && ip != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    claims.then(|| Claim {
        interface: interface.to_owned(),
        ip,
        mac,
        answer: to_us,
    })
}
