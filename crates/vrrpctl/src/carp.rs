//! CARP in captures: what an advertisement says, and what the groups of a configuration make of it.

use serde_json::Value;
use vrrp_proto::carp::inspect::{examine, open};
use vrrp_proto::carp::packet::{self, Malformed};
use vrrp_proto::carp::suspicion::{Suspicion, suspect};
use vrrp_proto::carp::{Advertisement, CarpPlan, Covered, LinkLocal};
use vrrp_proto::receive::Reject;
use vrrp_proto::{Family, Plan, RouterPlan, VirtualAddress};

use crate::frame::Arrived;
use crate::json;
use crate::plain;
use crate::verdict::Verdict;

/// Whether it is an advertisement of CARP, or what is left of one. VRRPv2 has the same protocol number, group and first byte:
/// its fourth byte counts addresses, and its length follows from that. There is no VRRPv2 for IPv6.
pub(crate) fn is_meant(arrived: &Arrived<'_>) -> bool {
    let [first, _, _, fourth, ..] = arrived.message else {
        return false;
    };
    let vrrp2 = 16 + 4 * usize::from(*fourth);
    match arrived.envelope.source {
        source if source.is_ipv6() => first >> 4 == 2,
        _ => *first == 0x21 && *fourth == 7 && arrived.length != vrrp2,
    }
}

/// The routers of CARP whose number it has, where one might be meant.
fn groups<'a>(
    arrived: &Arrived<'_>,
    plan: &'a Plan,
    interface: Option<&str>,
) -> Vec<(&'a RouterPlan, CarpPlan)> {
    let vhid = arrived.message.get(1).copied();
    let family = Family::of(arrived.envelope.source);
    let vrrp = Advertisement::parse(arrived.message) == Err(Malformed::Version);
    let of_it = move |router: &&RouterPlan| {
        !vrrp && Some(router.vrid.get()) == vhid && router.speaks(family)
    };
    let routers = plan.routers.iter().filter(of_it);
    let here = routers
        .filter(move |router| interface.is_none_or(|interface| interface == router.interface));
    here.filter_map(|it| Some((it, it.carp?))).collect()
}

/// What the group of this number makes of it, on `interface` if that is known; `None` if there is none.
pub(crate) fn judge_by<'a>(
    arrived: &Arrived<'_>,
    plan: &'a Plan,
    interface: Option<&str>,
) -> Option<(&'a RouterPlan, Verdict)> {
    let mut refused = None;
    for (router, carp) in groups(arrived, plan, interface) {
        let judged = examine(&arrived.envelope, arrived.message, router);
        match judged {
            _ if !arrived.whole => return Some((router, Verdict::Cut)),
            Ok(heard) => return Some((router, Verdict::Good(heard))),
            Err(reject) => {
                let why = || {
                    if reject == Reject::Digest {
                        wrong_digest(arrived, plan, router, &carp)
                    } else {
                        reason(reject, arrived)
                    }
                };
                refused = refused.or_else(|| Some((router, Verdict::RefusedCarp(reject, why()))));
            }
        }
    }
    refused
}

/// As far as it can be judged by somebody who does not have the passphrase.
pub(crate) fn judge_alone(arrived: &Arrived<'_>) -> Verdict {
    if !arrived.whole {
        return Verdict::Cut;
    }
    match open(&arrived.envelope, arrived.message) {
        Ok(_) => Verdict::Carp,
        Err(reject) => Verdict::RefusedCarp(reject, reason(reject, arrived)),
    }
}

fn reason(reject: Reject, arrived: &Arrived<'_>) -> String {
    if reject == Reject::Short {
        let (length, whole) = (arrived.message.len(), packet::LEN);
        return format!("{length} bytes, and an advertisement of CARP has {whole}");
    }
    if reject == Reject::Vrid {
        return "vhid 0".to_owned();
    }
    crate::verdict::reason(reject, arrived)
}

/// What is likeliest behind it: what was tried and is right, or what cannot be tried.
fn wrong_digest(
    arrived: &Arrived<'_>,
    plan: &Plan,
    router: &RouterPlan,
    carp: &CarpPlan,
) -> String {
    let Some(advertisement) = fields(arrived.message) else {
        return Reject::Digest.to_string();
    };
    let found = suspect(&advertisement, router, carp);
    let elsewhere = (found == Suspicion::Unknown)
        .then(|| another_group(&advertisement, plan, router, carp))
        .flatten();
    let likeliest = elsewhere.unwrap_or_else(|| found.to_string());
    format!("wrong digest: {likeliest}")
}

/// Whether it is right with what another group of the configuration has.
fn another_group(
    advertisement: &Advertisement,
    plan: &Plan,
    router: &RouterPlan,
    carp: &CarpPlan,
) -> Option<String> {
    let right = |addresses: &[VirtualAddress], carp: &CarpPlan| {
        let ips: Vec<_> = addresses.iter().map(|address| address.ip).collect();
        let covered = Covered::new(advertisement.vhid, &ips, LinkLocal::LeftOut);
        covered.verify(
            &carp.passphrase,
            advertisement.counter,
            &advertisement.digest,
        )
    };
    let others = plan.routers.iter();
    let mut others = others.filter_map(|other| Some((other, other.carp.as_ref()?)));
    others.find_map(|(other, theirs)| {
        let what = if right(&router.addresses, theirs) {
            "the passphrase"
        } else if right(&other.addresses, carp) {
            "the addresses"
        } else if right(&other.addresses, theirs) {
            "passphrase and addresses"
        } else {
            return None;
        };
        Some(format!(
            "it is right with {what} of {}",
            plain::text(&other.name)
        ))
    })
}

fn fields(message: &[u8]) -> Option<Advertisement> {
    Advertisement::fields(message.first_chunk()?)
}

/// What it says, intact or not; `None` if that is too little.
pub(crate) fn content(message: &[u8]) -> Option<String> {
    let Advertisement {
        vhid,
        bid,
        counter,
        digest,
    } = fields(message)?;
    let gives_up = if bid.is_bow_out() { "bow-out  " } else { "" };
    Some(format!(
        "CARP {vhid}  {gives_up}advbase {} advskew {} demotion {}  counter {counter:016x} digest {}..",
        bid.advbase,
        bid.advskew,
        bid.demotion,
        hex(&digest[..4]),
    ))
}

/// The same for programs, with numbers of 64 bits and more as text.
pub(crate) fn document(message: &[u8]) -> Value {
    fields(message).map_or(Value::Null, |advertisement| {
        let Advertisement {
            vhid,
            bid,
            counter,
            digest,
        } = advertisement;
        json::object([
            ("vhid", vhid.get().into()),
            ("advbase", bid.advbase.into()),
            ("advskew", bid.advskew.into()),
            ("demotion", bid.demotion.into()),
            ("bow-out", bid.is_bow_out().into()),
            ("counter", format!("{counter:016x}").into()),
            ("digest", hex(&digest).into()),
        ])
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
