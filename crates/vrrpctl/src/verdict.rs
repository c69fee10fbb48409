//! What a router makes of a packet: the checks that the daemon makes, with its own words.

use std::net::IpAddr;

use vrrp_proto::packet::{Header, auth_type};
use vrrp_proto::receive::{Expectation, Heard, Reject, examine};
use vrrp_proto::{
    AuthenticationKey, Dialect, Family, Interval, Plan, RouterPlan, VirtualAddress, Vrid,
};

use crate::carp;
use crate::frame::Arrived;

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is taken.
    Good(Heard),
    /// It is refused.
    Refused(Reject),
    /// It is CARP's and is refused, with the likeliest reason.
    RefusedCarp(Reject, String),
    /// It is CARP's, and nothing is wrong with it that can be told without the passphrase.
    Carp,
    /// Too little of it was captured.
    Cut,
}

/// As a router would that expects just this packet, or one of `plan`, if there is one.
pub(crate) fn judge(arrived: &Arrived<'_>, plan: Option<&Plan>) -> Verdict {
    let by_group = plan.and_then(|plan| carp::judge_by(arrived, plan, None));
    match (by_group, plan) {
        (Some((_, verdict)), _) => verdict,
        (None, Some(plan)) if !carp::is_meant(arrived) => {
            verdict(arrived, |vrid| expected(plan, None, arrived, vrid))
        }
        (None, _) => judge_alone(arrived),
    }
}

/// The router of `plan` on `interface` whose VRID it has, and what that makes of it.
pub(crate) fn judge_at<'a>(
    arrived: &Arrived<'_>,
    plan: &'a Plan,
    interface: &str,
) -> Option<(&'a RouterPlan, Verdict)> {
    let by_group = carp::judge_by(arrived, plan, Some(interface));
    if by_group.is_some() || carp::is_meant(arrived) {
        return by_group;
    }
    let vrid = Header::new(arrived.message)?.vrid()?;
    let plan = expected(plan, Some(interface), arrived, vrid)?;
    Some((plan, verdict(arrived, |_| Some(plan))))
}

/// As a router would that expects just this packet.
pub(crate) fn judge_alone(arrived: &Arrived<'_>) -> Verdict {
    if carp::is_meant(arrived) {
        return carp::judge_alone(arrived);
    }
    let guessed = Header::new(arrived.message).and_then(|header| guess(arrived, header));
    verdict(arrived, |_| guessed.as_ref())
}

fn verdict<'a>(
    arrived: &Arrived<'_>,
    router: impl FnOnce(Vrid) -> Option<&'a RouterPlan>,
) -> Verdict {
    if !arrived.whole {
        return Verdict::Cut;
    }
    let judged = examine(&arrived.envelope, arrived.message, |vrid| {
        let plan = router(vrid)?;
        Some(Expectation {
            plan,
            primary: None,
        })
    });
    match judged {
        Ok(heard) => Verdict::Good(heard),
        Err(reject) => Verdict::Refused(reject),
    }
}

/// Of the routers with this VRID, on `interface` if that is known, the one that has one of the addresses: a capture does not
/// say on which interface it was made.
fn expected<'a>(
    plan: &'a Plan,
    interface: Option<&str>,
    arrived: &Arrived<'_>,
    vrid: Vrid,
) -> Option<&'a RouterPlan> {
    let family = Family::of(arrived.envelope.source);
    let of_it = |router: &&RouterPlan| {
        (router.vrid, router.family) == (vrid, family)
            && router.carp.is_none()
            && interface.is_none_or(|interface| interface == router.interface)
    };
    let listed = |router: &&RouterPlan| {
        let header = Header::new(arrived.message);
        header.is_some_and(|header| {
            let mut there = header.addresses(family);
            there.any(|ip| router.addresses.iter().any(|ours| ours.ip == ip))
        })
    };
    let routers = || plan.routers.iter().filter(of_it);
    routers().find(listed).or_else(|| routers().next())
}

/// The router that would send this.
fn guess(arrived: &Arrived<'_>, header: Header<'_>) -> Option<RouterPlan> {
    let family = Family::of(arrived.envelope.source);
    let dialect = dialect(header, family);
    let addresses = header.addresses(family).map(|ip| VirtualAddress {
        ip,
        prefix_len: if ip.is_ipv4() { 32 } else { 128 },
    });
    let key = header.auth_data().and_then(|data| {
        let end = data.iter().rposition(|byte| *byte != 0)? + 1;
        AuthenticationKey::new(&data[..end])
    });
    let multicast = arrived.envelope.destination.is_multicast();
    Some(RouterPlan {
        dialect,
        interval: header.interval(dialect).unwrap_or(Interval::DEFAULT),
        authentication: key
            .filter(|_| dialect == Dialect::Vrrp2 && header.auth_type() == auth_type::SIMPLE_TEXT),
        unicast_peers: Vec::from_iter((!multicast).then_some(arrived.envelope.source)),
        ..RouterPlan::new("", "", header.vrid()?, family, addresses.collect())
    })
}

/// As its version says; VRRPv3 if that is none.
pub(crate) const fn dialect(header: Header<'_>, family: Family) -> Dialect {
    match (header.version(), family) {
        (2, Family::Ipv4) => Dialect::Vrrp2,
        _ => Dialect::Vrrp3,
    }
}

/// Why, with the value that is wrong where there is one.
pub(crate) fn reason(reject: Reject, arrived: &Arrived<'_>) -> String {
    let header = Header::new(arrived.message);
    match (reject, header) {
        (Reject::HopLimit, _) => {
            let noun = match arrived.envelope.source {
                IpAddr::V4(_) => "TTL",
                IpAddr::V6(_) => "hop limit",
            };
            format!("{noun} {}, must be 255", arrived.envelope.hop_limit)
        }
        (Reject::Version, Some(header)) => format!("version {}", header.version()),
        (Reject::Type, Some(header)) => format!("type {}, must be 1", header.kind()),
        (Reject::Vrid, Some(header)) if header.vrid().is_none() => "VRID 0".to_owned(),
        (Reject::Length, Some(header)) => format!(
            "{} bytes, which {} addresses are not",
            header.message_len(),
            header.count()
        ),
        _ => reject.to_string(),
    }
}
