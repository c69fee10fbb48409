//! The engine's state in the words of the control socket.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use vrrp_control::{
    ActiveRouter, AwaitedHooks, CarpMember, CarpReport, GroupMembership, Lateness, LatenessClass,
    PriorityStatus, Protection, RouterReport, StandingOrder, UnadvertisedAddress,
};
use vrrp_linux::lateness::{BOUNDS, LatenessReport};
use vrrp_linux::{Means, Protection as Stands};
use vrrp_proto::carp::{Bid, CarpPlan, Other, Sealing};
use vrrp_proto::orders::OrderView;
use vrrp_proto::router::Role;
use vrrp_proto::{
    ChecksumForm, Dialect, Engine, Family, Instant, Priority, RouterId, RouterStatus,
};

use crate::office::timestamp;
use crate::peers;
use crate::standing::wall;
use crate::trackers::tracking;

/// Wall-clock times of the last role changes: read off once, so that an answer does not depend on when it was asked.
#[derive(Debug, Default)]
pub(crate) struct Times(BTreeMap<RouterId, (Instant, SystemTime)>);

/// How late the engine's timers ran.
pub(crate) fn lateness(report: &LatenessReport) -> Lateness {
    let bounds = BOUNDS.iter().copied().map(Some).chain([None]);
    Lateness {
        classes: bounds
            .zip(report.classes)
            .map(|(upto_us, count)| LatenessClass { upto_us, count })
            .collect(),
        worst_us: u64::try_from(report.worst.as_micros()).unwrap_or(u64::MAX),
        beyond_interval: report.beyond_interval,
    }
}

/// All routers, in the order of the configuration.
pub(crate) fn routers(engine: &Engine, now: Instant, times: &mut Times) -> Vec<RouterReport> {
    let wall = SystemTime::now();
    let mut read = BTreeMap::new();
    let reports = engine
        .status()
        .map(|status| {
            let known = times
                .0
                .get(&status.id)
                .filter(|(since, _)| *since == status.since);
            let ago = now.saturating_since(status.since);
            let since = known.map_or_else(
                || wall.checked_sub(ago).unwrap_or(wall),
                |(_, since)| *since,
            );
            read.insert(status.id, (status.since, since));
            router(&status, since, now)
        })
        .collect();
    times.0 = read;
    reports
}

/// One of them.
pub(crate) fn router(status: &RouterStatus<'_>, since: SystemTime, now: Instant) -> RouterReport {
    let plan = status.plan;
    let checksum = (plan.dialect == Dialect::Vrrp3 && plan.family == Family::Ipv4).then(|| {
        match status.checksum_form {
            ChecksumForm::Rfc9568 => "rfc9568".to_owned(),
            ChecksumForm::Rfc5798 => "rfc5798".to_owned(),
        }
    });
    RouterReport {
        name: plan.name.clone(),
        interface: plan.interface.clone(),
        vrid: plan.vrid.get(),
        family: plan.family.to_string(),
        protocol: plan.dialect.name().into(),
        state: status.role.name().into(),
        rfc8347_state: match status.role {
            Role::Initialize => "initialize",
            Role::Backup => "backup",
            Role::Active => "master",
        }
        .into(),
        faults: status.faults.iter().map(ToString::to_string).collect(),
        priority: PriorityStatus {
            configured: plan.priority.get(),
            effective: status.effective_priority.get(),
        },
        carp: carp(status, now),
        active: status.active.map(|(address, priority)| ActiveRouter {
            address: address.to_string(),
            priority: priority.get(),
            carp: bid_of(status, address).map(Into::into),
        }),
        peers: peers::reports(status.peers, now),
        since: timestamp(since),
        addresses: plan.addresses.iter().map(ToString::to_string).collect(),
        unadvertised_addresses: plan
            .following
            .addresses
            .iter()
            .map(|it| UnadvertisedAddress {
                address: it.address.to_string(),
                interface: it
                    .interface
                    .clone()
                    .unwrap_or_else(|| plan.interface.clone()),
            })
            .collect(),
        routes: plan
            .following
            .routes
            .iter()
            .map(ToString::to_string)
            .collect(),
        rules: plan
            .following
            .rules
            .iter()
            .map(ToString::to_string)
            .collect(),
        lacks: status.lacks.to_vec(),
        virtual_mac: plan.mac().map(|mac| mac.to_string()),
        data_plane: plan.mac().map(|_| plan.data_plane.name().to_owned()),
        protection: None,
        source_address: status.primary.map(|primary| primary.to_string()),
        advertise_interval_ms: millis(plan.interval.duration()),
        active_advertise_interval_ms: millis(status.active_interval.duration()),
        skew_time: micros(status.skew_time),
        active_down_interval: micros(status.active_down_interval),
        group: status.membership.map(|membership| GroupMembership {
            name: membership.group.to_owned(),
            own_priority: membership.own_priority.get(),
            lowest: membership.lowest.to_owned(),
            waits_for: membership.waits_for.map(str::to_owned),
        }),
        waits_for_ready_ms: status.gate.map(|until| millis(until.saturating_since(now))),
        waits_for_trackers: status.awaits_trackers.to_vec(),
        waits_for_word: status.awaits_word,
        waits_for_hooks: waits_for_hooks(status, now),
        preempt: plan.preempt,
        accept_mode: plan.accept,
        checksum,
        kernel_in_step: status.applied,
        orders: status.orders.standing().map(order).collect(),
        tracking: tracking(status.contributions),
        statistics: status.statistics.into(),
    }
}

/// The hooks for which it waits before its addresses go live.
fn waits_for_hooks(status: &RouterStatus<'_>, now: Instant) -> Option<AwaitedHooks> {
    let until = status.preparing?;
    let wanted = status.plan.pre_active.as_ref()?;
    Some(AwaitedHooks {
        hooks: wanted.hooks.clone(),
        within_ms: millis(until.saturating_since(now)),
    })
}

/// With CARP, what the router with this address bids: this one, or one that was heard.
fn bid_of(status: &RouterStatus<'_>, address: IpAddr) -> Option<Bid> {
    let rules = status.rules?;
    let peer = status.peers.iter().find(|peer| peer.address == address);
    match status.role {
        Role::Active => Some(rules.own),
        Role::Initialize | Role::Backup => peer?.bid,
    }
}

fn carp(status: &RouterStatus<'_>, now: Instant) -> Option<CarpReport> {
    let (plan, rules) = (status.plan.carp.as_ref()?, status.rules?);
    // A group has one skew.
    let base = vrrp_proto::carp::priority(rules.advskew).get();
    Some(CarpReport {
        advbase: rules.own.advbase,
        advskew: plan.advskew,
        advertised_advskew: rules.own.advskew,
        advertised_demotion: rules.own.demotion,
        demotion: base.saturating_sub(status.effective_priority.get()),
        profile: plan.profile.name().to_owned(),
        seal: plan.sealing.name().to_owned(),
        clock_set: status.voice.is_some_and(|voice| voice.clock),
        grace_ms: status
            .voice
            .and_then(|voice| voice.grace)
            .map(|until| millis(until.saturating_since(now))),
        members: members(status).iter().map(carp_member).collect(),
        problems: carp_problems(status, plan),
    })
}

fn members<'a>(status: &RouterStatus<'a>) -> &'a [Other] {
    status.voice.map_or(&[], |voice| voice.others)
}

fn carp_member(other: &Other) -> CarpMember {
    let digest = match (other.suspicion, other.current) {
        (Some(_), _) => "wrong",
        (None, None) => "former",
        (None, Some(_)) => "right",
    };
    CarpMember {
        address: other.address.to_string(),
        digest: digest.to_owned(),
        cause: other.suspicion.map(|cause| cause.name().to_owned()),
        sealed: other.sealed,
        clock_ahead_ms: other.apart.map(|(apart, ahead)| {
            let apart = i64::try_from(apart.as_millis()).unwrap_or(i64::MAX);
            if ahead { apart } else { -apart }
        }),
    }
}

/// What is wrong between the members of a group, as sentences.
fn carp_problems(status: &RouterStatus<'_>, plan: &CarpPlan) -> Vec<String> {
    let mut all = Vec::new();
    if plan.sealing != Sealing::Off && status.voice.is_some_and(|voice| !voice.clock) {
        all.push(
            "the clock of this machine was never set, so old recordings are not known as such"
                .to_owned(),
        );
    }
    for other in members(status) {
        let address = other.address;
        if let Some(cause) = other.suspicion {
            all.push(format!(
                "bad digest of {address}: address list, passphrase or vhid differ; {cause}"
            ));
        } else if other.current.is_none() && other.good.is_some() {
            all.push(format!(
                "{address} has the former addresses or the former passphrase, and has to be reloaded"
            ));
        }
        if let Some((apart, ahead)) = other.apart.filter(|(apart, _)| *apart > plan.window / 2) {
            let direction = if ahead { "ahead of" } else { "behind" };
            all.push(format!(
                "the clock of {address} is {} s {direction} ours, where carp-seal-window allows {} s: synchronize both",
                apart.as_secs(),
                plan.window.as_secs()
            ));
        }
        let heard = other.good.is_some();
        if plan.sealing == Sealing::Prefer && heard && !other.sealed {
            all.push(format!(
                "{address} does not seal what it says: who hears it can repeat and change it"
            ));
        }
    }
    all
}

fn order(order: OrderView<'_>) -> StandingOrder {
    StandingOrder {
        kind: order.kind.name().into(),
        priority: order.priority.map(Priority::get),
        by: order.note.by.clone(),
        reason: order.note.reason.clone(),
        since: timestamp(wall(order.note.since_unix_ms)),
        until: order.note.until_unix_ms.map(|ms| timestamp(wall(ms))),
    }
}

/// Enters what guards the virtual MAC addresses of each interface.
pub(crate) fn protect(routers: &mut [RouterReport], by_interface: &BTreeMap<String, Stands>) {
    let with_mac = |router: &&mut RouterReport| router.virtual_mac.is_some();
    for router in routers.iter_mut().filter(with_mac) {
        router.protection = by_interface.get(&router.interface).map(protection);
    }
}

/// What guards an interface.
pub(crate) fn protection(stands: &Stands) -> Protection {
    Protection {
        means: stands.means.map_or("none", Means::name).to_owned(),
        why: stands.why.clone(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
