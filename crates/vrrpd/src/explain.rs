//! Why a router is in its state, and what would change that.

use std::io;
use std::path::Path;
use std::time::Duration;

use vrrp_control::{Answer, EventRecord, Explanation, PriorityPart, ProspectReport, RouterReport};
use vrrp_forecast::{Condition, Holder, Prospect, prospects};
use vrrp_proto::carp::Bid;
use vrrp_proto::orders::{DRAINED, OrderKind, OrderView, PINNED};
use vrrp_proto::router::State;
use vrrp_proto::tracker::adjusted;
use vrrp_proto::{
    Engine, Instant, Offer, Parting, Peer, PreActive, Priority, Reason, Role, RouterPlan,
    RouterStatus,
};

use crate::answers::Answers;
use crate::foresight::micros;
use crate::office::timestamp;
use crate::report;
use crate::services::{STOPPED, Services};
use crate::what_if::{BUSY, Moment, in_turn};

/// Events that are shown.
const EVENTS: usize = 6;

/// What the events that matter here are called: those about a role, and what leads to one.
const KINDS: [&str; 16] = [
    "pre-active",
    "prepared",
    "ready",
    "role",
    "faults",
    "late",
    "left",
    "conflict",
    "kernel-refused",
    "revised",
    "digest",
    "added",
    "changed",
    "adjusted",
    "peer-lost",
    "order-ended",
];

/// Answers the request.
pub(crate) async fn answer(
    services: &Services,
    answers: &mut Answers,
    name: String,
) -> io::Result<()> {
    match in_turn(services, move |services| explain(&services, &name)).await {
        Some(Ok(explanation)) => {
            answers
                .send(&Answer::Explanation(Box::new(explanation)))
                .await
        }
        Some(Err(reason)) => answers.refuse(reason).await,
        None => answers.refuse(BUSY).await,
    }
}

/// What the engine says, all at one moment.
struct Facts {
    moment: Moment,
    report: RouterReport,
    plan: RouterPlan,
    why: String,
    preemption: String,
    skew: Duration,
    ours: Offer,
}

fn explain(services: &Services, name: &str) -> Result<Explanation, String> {
    let wanted = name.to_owned();
    let facts = services
        .engine
        .inspect(move |engine, now| Facts::of(engine, now, &wanted))
        .ok_or(STOPPED)?
        .ok_or_else(|| format!("there is no virtual router {name:?}"))?;
    let Facts {
        moment,
        mut report,
        plan,
        why,
        preemption,
        skew,
        ours,
    } = facts;
    report::protect(
        std::slice::from_mut(&mut report),
        &services.engine.protection(),
    );
    let events = services.office.subscribe().0;
    let told = |record: &&std::sync::Arc<EventRecord>| {
        record.router.as_deref() == Some(name) && KINDS.contains(&record.kind.as_ref())
    };
    let mut events: Vec<EventRecord> = events
        .iter()
        .filter(told)
        .map(|record| EventRecord::clone(record))
        .collect();
    events.drain(..events.len().saturating_sub(EVENTS));
    let found = prospects(&moment.handover, moment.now, name);
    let words = Words {
        report: &report,
        skew,
        ours,
    };
    Ok(Explanation {
        version: vrrp_control::VERSION,
        time: timestamp(moment.wall),
        why,
        priority: arithmetic(&plan, &report, &services.config),
        preemption,
        events,
        prospects: found.iter().map(|it| words.prospect(it)).collect(),
        router: report,
    })
}

impl Facts {
    fn of(engine: &Engine, now: Instant, name: &str) -> Option<Self> {
        let status = engine.status().find(|router| router.plan.name == name)?;
        let moment = Moment::of(engine, now);
        let since = moment
            .wall
            .checked_sub(now.saturating_since(status.since))
            .unwrap_or(moment.wall);
        Some(Self {
            report: report::router(&status, since, now),
            plan: status.plan.clone(),
            why: why(&status, now),
            preemption: preemption(&status, now),
            skew: status.skew_time,
            ours: own_offer(&status),
            moment,
        })
    }
}

fn lead<'a>(status: &RouterStatus<'a>) -> Option<&'a Peer> {
    let speaking = status.peers.iter().filter(|peer| peer.parting.is_none());
    speaking.max_by(|a, b| a.ranking(b))
}

fn why(status: &RouterStatus<'_>, now: Instant) -> String {
    let why = of_role(status, now);
    match (status.preparing, &status.plan.pre_active) {
        (Some(until), Some(PreActive { hooks, .. })) => {
            let (hooks, left) = (hooks.join(", "), span(until.saturating_since(now)));
            let what = match status.role {
                Role::Active => "its addresses wait",
                Role::Initialize | Role::Backup => "before it takes over it waits",
            };
            format!("{why}; {what} for hook {hooks}, for another {left} at most")
        }
        (Some(_) | None, _) => why,
    }
}

fn of_role(status: &RouterStatus<'_>, now: Instant) -> String {
    let own = status.effective_priority;
    let ours = own_offer(status);
    // Of VRRP, the word is left out: there is only one number.
    let said = |offer: Offer| match offer.bid {
        Some(bid) => bid.to_string(),
        None => offer.priority.to_string(),
    };
    match status.state {
        State::Initialize => {
            let faults: Vec<String> = status.faults.iter().map(ToString::to_string).collect();
            match faults.is_empty() {
                true => "its interface is not known yet".to_owned(),
                false => faults.join("; "),
            }
        }
        State::Active(_) if own.is_owner() => "it owns the addresses".to_owned(),
        State::Active(_) => {
            let lost = status
                .peers
                .iter()
                .filter(|peer| peer.parting == Some(Parting::Yielded))
                .max_by(|a, b| a.ranking(b));
            match lost {
                Some(peer) => format!(
                    "we advertise {}, and {} stood back with {}",
                    said(ours),
                    peer.address,
                    said(peer.offer())
                ),
                None => format!("we advertise {}, and nobody else is heard", said(ours)),
            }
        }
        State::Backup(backup) => {
            let left = span(backup.active_down.saturating_since(now));
            let waits = status
                .membership
                .and_then(|it| Some((it.group, it.waits_for?)));
            if let Some((group, member)) = waits {
                let heard = "no Active is heard";
                return format!(
                    "{heard}, but group {group} waits for {member}, which hears one that it leaves alone"
                );
            }
            if let (Reason::BfdDown, Some((address, _))) = (backup.because, status.active) {
                return format!(
                    "the BFD session with the Active {address} went down; it takes over in {left} unless an Active is heard"
                );
            }
            let Some(peer) = lead(status) else {
                return format!("no Active is heard; it takes over in {left} if that stays so");
            };
            let they = format!(
                "{} advertises {}, we have {}",
                peer.address,
                said(peer.offer()),
                said(ours)
            );
            let ranks_above = match (status.rules, peer.bid) {
                (Some(rules), Some(bid)) => rules.yields_to(bid).is_some(),
                _ => peer.priority >= own,
            };
            if ranks_above {
                they
            } else if let Some(until) = status.gate {
                let left = span(until.saturating_since(now));
                format!(
                    "{they}, and it waits for {}, for another {left} at most",
                    awaited(status)
                )
            } else if let Some(order) = hindrance(status) {
                format!("{they}, and it {order}")
            } else if !status.plan.preempt {
                format!("{they}, and preemption is off")
            } else {
                match backup.hold.filter(|hold| *hold > now) {
                    Some(hold) => format!(
                        "{they}, and the preemption delay runs for another {}",
                        span(hold.saturating_since(now))
                    ),
                    None => format!("{they}; it takes over in {left}"),
                }
            }
        }
    }
}

fn own_offer(status: &RouterStatus<'_>) -> Offer {
    Offer {
        priority: status.effective_priority,
        bid: status.rules.map(|rules| rules.own),
    }
}

/// What it is not ready without.
fn awaited(status: &RouterStatus<'_>) -> String {
    let word = format!("`vrrpctl ready {}`", status.plan.name);
    let trackers = status.awaits_trackers.join(", ");
    match (status.awaits_word, trackers.is_empty()) {
        (_, true) => word,
        (true, false) => format!("{word} and tracker {trackers}"),
        (false, false) => format!("tracker {trackers}"),
    }
}

/// What somebody asked of a router that keeps it from preempting.
fn hindrance(status: &RouterStatus<'_>) -> Option<String> {
    let hinders = |order: &OrderView<'_>| order.kind != OrderKind::Priority;
    let order = status.orders.standing().find(hinders)?;
    let by = &order.note.by;
    Some(match order.kind {
        OrderKind::Drain => format!("is drained by {by}"),
        OrderKind::Pin => format!("is pinned by {by}"),
        OrderKind::Yield | OrderKind::Priority => {
            format!("yields to others, after a failover by {by}")
        }
    })
}

fn preemption(status: &RouterStatus<'_>, now: Instant) -> String {
    let plan = status.plan;
    if status.effective_priority.is_owner() {
        return "an owner always preempts".to_owned();
    }
    if !plan.preempt {
        return "off".to_owned();
    }
    if let Some(until) = status.gate {
        let left = span(until.saturating_since(now));
        return format!("off until {}, for another {left} at most", awaited(status));
    }
    if let Some(order) = hindrance(status) {
        return format!("off while it {order}");
    }
    if plan.preempt_delay.is_zero() {
        return "on, without delay".to_owned();
    }
    let delay = span(plan.preempt_delay);
    let hold = match status.state {
        State::Backup(backup) => backup.hold,
        State::Initialize | State::Active(_) => None,
    };
    match hold {
        Some(hold) if hold > now => format!(
            "on, delay {delay}, ends in {}",
            span(hold.saturating_since(now))
        ),
        Some(_) => format!("on, delay {delay}, over"),
        None => format!("on, delay {delay}, not running"),
    }
}

/// What the priority is made of.
fn arithmetic(plan: &RouterPlan, report: &RouterReport, config: &Path) -> Vec<PriorityPart> {
    let configured = match plan.carp {
        Some(_) => "254 less the configured advskew",
        None => "configured priority",
    };
    let (text, place) = match said(plan, config) {
        Said::Here(line) => {
            let name = config.file_name().unwrap_or(config.as_os_str());
            let place = format!("{}:{line}", name.display());
            (configured, Some(place))
        }
        Said::Default if plan.carp.is_some() => ("254 less the default advskew", None),
        Said::Default => ("default priority", None),
        Said::Otherwise => (
            "configured priority; the file says something else by now",
            None,
        ),
    };
    let part = |value: u8, text: String| PriorityPart {
        value,
        adds: None,
        text,
        place: None,
        until: None,
    };
    let mut parts = vec![PriorityPart {
        place,
        ..part(plan.priority.get(), text.to_owned())
    }];
    // The one that counts is the first of them, and stands last, next to the result. Trackers add to what was set, but not to a
    // drain or a pin.
    let (set, exact): (Vec<_>, Vec<_>) = report
        .orders
        .iter()
        .rev()
        .partition(|order| order.priority.is_some());
    let mut trackers = report.tracking.iter().filter(|it| it.adds != 0).peekable();
    let mut base = plan.priority;
    let line = trackers.peek().and_then(|_| track_line(plan, config));
    for order in set
        .into_iter()
        .map(Some)
        .chain([None])
        .chain(exact.into_iter().map(Some))
    {
        let Some(order) = order else {
            let mut sum = 0_i16;
            for tracking in trackers.by_ref() {
                sum = sum.saturating_add(tracking.adds);
                let value = adjusted(base, sum).get();
                let text = format!(
                    "{} {}: {}",
                    tracking.tracker, tracking.state, tracking.detail
                );
                parts.push(PriorityPart {
                    adds: Some(tracking.adds),
                    place: line.clone(),
                    ..part(value, text)
                });
            }
            continue;
        };
        let (value, what) = match (order.kind.as_str(), order.priority) {
            (_, Some(priority)) => {
                base = Priority::new(priority);
                (priority, "set")
            }
            ("drain", None) => (DRAINED.get(), "drained"),
            ("pin", None) if report.state == Role::Active.name() => (PINNED.get(), "pinned"),
            _ => continue,
        };
        let reason = order.reason.as_deref().unwrap_or_default();
        let reason = match reason {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        parts.push(PriorityPart {
            until: order.until.clone(),
            ..part(value, format!("{what} by {}{reason}", order.by))
        });
    }
    if let Some(group) = &report.group
        && group.own_priority != report.priority.effective
    {
        let what = match &report.carp {
            Some(_) => "the worst bid",
            None => "the lowest priority",
        };
        let text = format!("group {}: {} has {what}", group.name, group.lowest);
        parts.push(part(report.priority.effective, text));
    }
    let said = match &report.carp {
        Some(carp) => {
            let bid = Bid {
                advbase: carp.advbase,
                advskew: carp.advertised_advskew,
                demotion: carp.advertised_demotion,
            };
            format!("effective: it advertises {bid}")
        }
        None => "effective".to_owned(),
    };
    parts.push(part(report.priority.effective, said));
    parts
}

/// Where the file refers to the trackers of a router.
fn track_line(plan: &RouterPlan, config: &Path) -> Option<String> {
    let loaded = vrrp_config::load(config).ok()?;
    let mut routers = loaded.config.plan.routers.iter().zip(&loaded.config.places);
    let (_, place) = routers.find(|(it, _)| it.name == plan.name && it.track == plan.track)?;
    let line = place.line("track", &loaded.text)?;
    let name = config.file_name().unwrap_or(config.as_os_str());
    Some(format!("{}:{line}", name.display()))
}

/// Where a running priority comes from.
enum Said {
    Here(usize),
    Default,
    /// The file was changed, and not loaded.
    Otherwise,
}

fn said(plan: &RouterPlan, config: &Path) -> Said {
    let Ok(loaded) = vrrp_config::load(config) else {
        return Said::Otherwise;
    };
    let routers = loaded.config.plan.routers.iter().zip(&loaded.config.places);
    let found = routers
        .filter(|(router, _)| router.name == plan.name && router.priority == plan.priority)
        .map(|(_, place)| {
            let key = plan.carp.map_or("priority", |_| "advskew");
            place.line(key, &loaded.text)
        })
        .next();
    match found {
        Some(Some(line)) => Said::Here(line),
        Some(None) => Said::Default,
        None => Said::Otherwise,
    }
}

/// Sentences about prospects.
struct Words<'a> {
    report: &'a RouterReport,
    skew: Duration,
    ours: Offer,
}

impl Words<'_> {
    fn prospect(&self, prospect: &Prospect) -> ProspectReport {
        let active = self.report.state == Role::Active.name();
        let after = match prospect.after {
            Duration::ZERO => "at once".to_owned(),
            after => format!("after {}", span(after)),
        };
        let mut peers = Vec::new();
        let mut priority = None;
        let (condition, mut text) = match &prospect.condition {
            Condition::Nothing => ("time-passes", format!("nothing more: {after}")),
            Condition::Silence(silent) => {
                peers = silent.iter().map(ToString::to_string).collect();
                let down = Duration::from_micros(self.report.active_down_interval);
                let interval = Duration::from_millis(self.report.active_advertise_interval_ms);
                let usual = interval * 3 + self.skew;
                // OpenBSD's way with CARP is three times the whole interval.
                let sum = if usual.abs_diff(down) <= Duration::from_micros(1) {
                    format!("3 x {} + skew {}", span(interval), span(self.skew))
                } else {
                    format!("3 x {}", span(down / 3))
                };
                let (peers, down) = (peers.join(" and "), span(down));
                (
                    "peers-silent",
                    format!("{peers} silent for {down} ({sum}): {after}"),
                )
            }
            Condition::Release(peer) => {
                peers = vec![peer.to_string()];
                ("peer-releases", format!("{peer} gives up: {after}"))
            }
            Condition::Priority(limit) => {
                priority = Some(limit.get());
                // `vrrpctl priority` speaks of priorities with CARP, too.
                let skew = match self.ours.bid {
                    Some(_) => format!(", which is an advskew of {}", 254 - limit.get()),
                    None => String::new(),
                };
                if active {
                    (
                        "priority-lowered",
                        format!("a priority of {limit} or less{skew}: {after}"),
                    )
                } else {
                    (
                        "priority-raised",
                        format!("a priority of {limit} or more{skew}: {after}"),
                    )
                }
            }
            Condition::NoOrders => (
                "orders-ended",
                format!("what operators asked of it ended: {after}"),
            ),
            Condition::Mended => ("fault-mended", format!("the fault mended: {after}")),
            Condition::Outranked(limit, address) => {
                priority = Some(limit.get());
                let better = match self.ours.bid {
                    Some(bid) => format!("a router that advertises {bid}, or a better bid"),
                    None => format!(
                        "a router that advertises more than {limit}, or {limit} from an address above {address}"
                    ),
                };
                ("outranked", format!("{better}: {after}"))
            }
            Condition::LinkDown(interface) => {
                ("link-down", format!("interface {interface} down: {after}"))
            }
        };
        if !prospect.give_or_take.is_zero() {
            text.push_str(&format!(", give or take {}", span(prospect.give_or_take)));
        }
        let then_active = match prospect.holder {
            Holder::Peer(address, _) => Some(address.to_string()),
            Holder::We | Holder::Unknown => None,
        };
        match (&then_active, prospect.condition == Condition::Nothing) {
            (Some(peer), _) => text.push_str(&format!("; then {peer} is Active")),
            (None, false) if active && !matches!(prospect.condition, Condition::Outranked(..)) => {
                text.push_str("; who is Active then is not known: no other router was heard");
            }
            (None, _) => {}
        }
        ProspectReport {
            condition: condition.to_owned(),
            peers,
            priority,
            after_us: micros(prospect.after),
            give_or_take_us: micros(prospect.give_or_take),
            then_active,
            text,
        }
    }
}

/// `3.609 s`, `60.938 ms`.
fn span(duration: Duration) -> String {
    let (value, unit) = if duration >= Duration::from_secs(1) {
        (duration.as_secs_f64(), "s")
    } else {
        (duration.as_secs_f64() * 1e3, "ms")
    };
    let digits = format!("{value:.3}");
    let digits = digits.trim_end_matches('0').trim_end_matches('.');
    format!("{digits} {unit}")
}
