//! What is said by others and does not fit what is expected here.

use std::collections::BTreeMap;
use std::net::IpAddr;

use vrrp_proto::receive::Reject;

use super::super::facts::wire::Advert;
use super::super::facts::{Facts, Router};
use super::super::finding::{Finding, Kind};
use super::count;
use super::others::{heard, is_foreign, rejected};
use crate::verdict::Verdict;

/// How an advertisement does not fit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Misfit {
    Foreign,
    Version,
    Interval,
    Addresses,
    Authentication,
    Checksum,
    Hops,
    Malformed,
    Mode,
}

impl Misfit {
    const fn kind(self) -> Kind {
        match self {
            Self::Foreign => Kind::ForeignSpeaker,
            Self::Version => Kind::OtherVersion,
            Self::Interval => Kind::OtherInterval,
            Self::Addresses => Kind::OtherAddresses,
            Self::Authentication => Kind::OtherAuthentication,
            Self::Checksum => Kind::WrongChecksum,
            Self::Hops => Kind::WrongHops,
            Self::Malformed => Kind::Malformed,
            Self::Mode => Kind::OtherMode,
        }
    }
}

/// One finding for each speaker and thing that is wrong with what it says.
pub(crate) fn adverts(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let mut misfits: BTreeMap<_, (usize, &Advert)> = BTreeMap::new();
    if router.after.carp.is_some() {
        // What it hears of VRRP is none of its own.
        return Vec::new();
    }
    for advert in heard(facts, router) {
        for misfit in judge(router, advert) {
            let entry = misfits
                .entry((advert.source, misfit))
                .or_insert((0, advert));
            entry.0 += 1;
        }
    }
    let findings = misfits.into_iter();
    findings
        .map(|((_, misfit), (number, advert))| finding(router, misfit, number, advert))
        .collect()
}

/// What is wrong with it, if the file could be read by which that is known.
fn judge(router: Router<'_>, advert: &Advert) -> Vec<Misfit> {
    let mut misfits = Vec::new();
    if is_foreign(router, advert) {
        return vec![Misfit::Foreign];
    }
    if let Verdict::Good(heard) = &advert.verdict {
        if heard.other_interval {
            misfits.push(Misfit::Interval);
        }
        if heard.other_addresses {
            misfits.push(Misfit::Addresses);
        }
    }
    misfits.extend(rejected(advert).map(|reject| match reject {
        Reject::Version => Misfit::Version,
        Reject::Checksum => Misfit::Checksum,
        Reject::HopLimit => Misfit::Hops,
        Reject::IntervalMismatch => Misfit::Interval,
        Reject::AddressMismatch => Misfit::Addresses,
        Reject::AuthTypeInvalid
        | Reject::AuthTypeMismatch
        | Reject::AuthFailure
        | Reject::Digest
        | Reject::Replayed
        | Reject::Forged
        | Reject::Unsealed
        | Reject::Clock => Misfit::Authentication,
        Reject::Source | Reject::Mode => Misfit::Mode,
        Reject::Short
        | Reject::Carp
        | Reject::CarpHere
        | Reject::VrrpHere
        | Reject::Vrid
        | Reject::Looped
        | Reject::Type
        | Reject::Length
        | Reject::CountZero
        | Reject::IntervalZero
        | Reject::FirstNotLinkLocal
        | Reject::Owner => Misfit::Malformed,
    }));
    misfits
}

/// VRRP for IPv4 and CARP with the same number have the same virtual MAC address.
pub(crate) fn same_number(facts: &Facts, router: Router<'_>) -> Vec<Finding> {
    let (interface, number) = (&router.after.interface, router.after.vrid);
    let (protocol, key): (_, &str) = match router.after.carp {
        Some(_) => ("VRRP", "vrid there, or vhid here"),
        None => ("CARP", "vhid there, or vrid here"),
    };
    let sources: Vec<IpAddr> = if router.after.carp.is_some() {
        let adverts = facts.wire.adverts.iter();
        let others = adverts.filter(|it| {
            (&it.interface, it.vrid) == (interface, number) && it.source.is_ipv4() && !it.outgoing
        });
        others.map(|it| it.source).collect()
    } else if router.after.family == "ipv4" {
        let groups = facts.wire.carp.iter();
        let others = groups.filter(|it| (&it.interface, it.vhid) == (interface, number));
        others.map(|it| it.source).collect()
    } else {
        Vec::new()
    };
    let Some(source) = sources.first() else {
        return Vec::new();
    };
    vec![Finding::new(
        Kind::SameNumber,
        format!(
            "{source} speaks {protocol} with the number {number}, too: both have the virtual MAC address 00:00:5e:00:01:{number:02x}"
        ),
        format!("{} on {interface}", count(sources.len(), "advertisement")),
        format!("another {key}"),
    )]
}

fn finding(router: Router<'_>, misfit: Misfit, number: usize, advert: &Advert) -> Finding {
    let (source, plan) = (advert.source, router.plan);
    let listed: Vec<String> = advert.addresses.iter().map(ToString::to_string).collect();
    let listed = listed.join(", ");
    let own = || router.after.addresses.join(", ");
    let reason = advert.reason.as_deref().unwrap_or("taken all the same");
    let what = match misfit {
        Misfit::Foreign => format!(
            "{source} uses VRID {} for {listed}, and this router for {}: hosts of both see one MAC address",
            advert.vrid,
            own()
        ),
        Misfit::Version => format!(
            "{source} speaks VRRPv{}, and this router {}",
            advert.version, router.after.protocol
        ),
        Misfit::Interval => format!(
            "{source} advertises every {}, and this router every {}",
            advert
                .interval
                .map_or_else(|| "0s".to_owned(), |interval| interval.to_string()),
            plan.map_or_else(
                || format!("{} ms", router.after.advertise_interval_ms),
                |plan| plan.interval.to_string()
            ),
        ),
        Misfit::Addresses => format!("{source} advertises {listed}, and this router {}", own()),
        Misfit::Authentication => {
            format!("{source} authenticates otherwise than this router: {reason}")
        }
        Misfit::Checksum => match advert.alone {
            Verdict::Good(_) => {
                format!("{source} sends the checksum of RFC 5798, which checksum-strict refuses")
            }
            Verdict::Refused(_) | Verdict::RefusedCarp(..) | Verdict::Carp | Verdict::Cut => {
                format!(
                    "{source} sends a wrong checksum: something on the way changes packets, or it is broken"
                )
            }
        },
        Misfit::Hops => format!(
            "{source} sends with a TTL or hop limit of {}: it was forwarded, or is forged",
            advert.hops
        ),
        Misfit::Mode => format!(
            "{source} sends to {}, and this router expects {}",
            advert.destination,
            expected(router)
        ),
        Misfit::Malformed => {
            format!("{source} sends what is no advertisement of this virtual router: {reason}")
        }
    };
    let remedy = match misfit {
        Misfit::Foreign => format!("vrid: one of the two virtual routers needs another one than {}", advert.vrid),
        Misfit::Version => "protocol = \"vrrpv2\" or \"vrrpv3\", the same on both".to_owned(),
        Misfit::Interval => "advertise-interval, the same on both".to_owned(),
        Misfit::Addresses => "addresses, the same in the same order on both; vrrpctl check --peer compares their files".to_owned(),
        Misfit::Authentication => "authentication, the same on both".to_owned(),
        Misfit::Checksum => "checksum-strict = false, or checksum = \"rfc9568\" there; else a capture on both sides".to_owned(),
        Misfit::Hops => "no router or tunnel between the two".to_owned(),
        Misfit::Mode => "unicast-peers on both, each with the other's address, or on neither".to_owned(),
        Misfit::Malformed => format!("vrrpctl capture -i {}", advert.interface),
    };
    let evidence = format!(
        "{} of {source} on {}: {reason}",
        count(number, "advertisement"),
        advert.interface
    );
    Finding::new(misfit.kind(), what, evidence, remedy)
}

fn expected(router: Router<'_>) -> String {
    let peers = router
        .plan
        .map(|plan| plan.unicast_peers.as_slice())
        .unwrap_or_default();
    if peers.is_empty() {
        return "multicast".to_owned();
    }
    let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
    format!("unicast of {}", peers.join(", "))
}
