//! What would make a router Active, or make it lose that, and after how long: each found out by a forecast.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::{Handover, Instant, Priority, Role};

use crate::forecast::{Forecast, Holder, Kind, Who};
use crate::hypothesis::Hypothesis;
use crate::world::{Acquaintance, World};

/// The highest priority of a router that does not own its addresses (RFC 9568 §5.2.4).
const HIGHEST: u8 = 254;

/// A change of role, and what it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prospect {
    /// What it takes, besides that no router speaks that is not known.
    pub condition: Condition,
    /// How long after that the role changes.
    pub after: Duration,
    /// How wrong that may be, because it depends on the rhythm of somebody who could not be heard lately.
    pub give_or_take: Duration,
    /// Who is Active then.
    pub holder: Holder,
}

/// What it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Nothing: a timer runs.
    Nothing,
    /// These fall silent.
    Silence(Vec<IpAddr>),
    /// This one gives up with priority 0.
    Release(IpAddr),
    /// Our priority is at least this, of a router that is to become Active; or at most, of one that loses it.
    Priority(Priority),
    /// What operators asked of it is ended.
    NoOrders,
    /// Everything that keeps it out is mended.
    Mended,
    /// Another router advertises more than this, or as much from an address above this one.
    Outranked(Priority, IpAddr),
    /// Its interface goes down.
    LinkDown(String),
}

/// What would make the router of this name change its role: become Active if it is not, and otherwise lose that. Empty if there
/// is no such router.
#[must_use]
pub fn prospects(handover: &Handover, now: Instant, name: &str) -> Vec<Prospect> {
    let Some(acquaintance) = World::new(handover.clone(), now).acquaintance(name) else {
        return Vec::new();
    };
    let inquiry = Inquiry {
        handover,
        now,
        name,
        acquaintance: &acquaintance,
    };
    if acquaintance.role == Role::Active {
        inquiry.of_losing()
    } else {
        inquiry.of_becoming()
    }
}

struct Inquiry<'a> {
    handover: &'a Handover,
    now: Instant,
    name: &'a str,
    acquaintance: &'a Acquaintance,
}

impl Inquiry<'_> {
    fn of_becoming(&self) -> Vec<Prospect> {
        let known = self.acquaintance;
        let mut found = Vec::new();
        found.extend(self.becomes(Condition::Nothing, &[]));
        if let Some((lead, _)) = known.lead() {
            let alone = Hypothesis::PeerDown(Some(lead));
            let silence = self.succeeds(Condition::Silence(vec![lead]), alone);
            found.extend(silence.or_else(|| {
                let all = known.others.iter().map(|(address, ..)| *address).collect();
                self.becomes(Condition::Silence(all), &[Hypothesis::PeerDown(None)])
            }));
            let release = Hypothesis::PeerReleases(lead);
            found.extend(self.succeeds(Condition::Release(lead), release));
        }
        let highest = known.others.iter().map(|(_, priority, _)| priority.get());
        if let Some(enough) = highest.max().and_then(|highest| highest.checked_add(1))
            && (known.priority.get() + 1..=HIGHEST).contains(&enough)
            && known.role == Role::Backup
        {
            let enough = Priority::new(enough);
            let raised = Hypothesis::Priority(self.name.to_owned(), enough);
            found.extend(self.becomes(Condition::Priority(enough), &[raised]));
        }
        if known.ordered && known.role == Role::Backup {
            let ended = Hypothesis::NoOrders(self.name.to_owned());
            found.extend(self.becomes(Condition::NoOrders, &[ended]));
        }
        if known.role == Role::Initialize {
            let mended = Hypothesis::Mended(self.name.to_owned());
            // Whether it is Active for a moment, before it hears a better one, is chance.
            let stays = |it: &Prospect| it.holder == Holder::We;
            found.extend(self.becomes(Condition::Mended, &[mended]).filter(stays));
            // The rhythm of an Active that is not heard matters only to what begins or ends when it is.
            let rhythm = known.ordered || !known.preempt_delay.is_zero();
            if let Some((_, interval)) = known.lead().filter(|_| rhythm) {
                for prospect in &mut found {
                    prospect.give_or_take = interval;
                }
            }
        }
        found
    }

    fn of_losing(&self) -> Vec<Prospect> {
        let known = self.acquaintance;
        let mut found = Vec::new();
        found.extend(self.loses(Condition::Nothing, &[]));
        if let Some(primary) = known.primary.filter(|_| !known.priority.is_owner()) {
            found.push(Prospect {
                condition: Condition::Outranked(known.priority, primary),
                after: Duration::ZERO,
                give_or_take: Duration::ZERO,
                holder: Holder::Unknown,
            });
        }
        let down = Hypothesis::LinkDown(known.interface.clone());
        found.extend(self.loses(Condition::LinkDown(known.interface.clone()), &[down]));
        let highest = known.others.iter().map(|(_, priority, _)| priority.get());
        if let Some(little) = highest.max().and_then(|highest| highest.checked_sub(1))
            && (1..known.priority.get()).contains(&little)
            && !known.priority.is_owner()
        {
            let little = Priority::new(little);
            let lowered = Hypothesis::Priority(self.name.to_owned(), little);
            found.extend(self.loses(Condition::Priority(little), &[lowered]));
        }
        if known.ordered {
            let ended = Hypothesis::NoOrders(self.name.to_owned());
            found.extend(self.loses(Condition::NoOrders, &[ended]));
        }
        found
    }

    fn becomes(&self, condition: Condition, hypotheses: &[Hypothesis]) -> Option<Prospect> {
        self.changes(condition, hypotheses, |to| to == Role::Active)
    }

    /// If it is the next, before all others that are known.
    fn succeeds(&self, condition: Condition, hypothesis: Hypothesis) -> Option<Prospect> {
        let hypotheses = [hypothesis];
        let forecast = crate::of(self.handover.clone(), self.now, &hypotheses, None);
        let next = forecast.predictions.iter().find(|prediction| {
            prediction.router == self.name
                && matches!(
                    prediction.kind,
                    Kind::Role {
                        to: Role::Active,
                        ..
                    }
                )
        });
        next.filter(|next| next.who == Who::We)?;
        self.becomes(condition, &hypotheses)
    }

    fn loses(&self, condition: Condition, hypotheses: &[Hypothesis]) -> Option<Prospect> {
        self.changes(condition, hypotheses, |to| to != Role::Active)
    }

    fn changes(
        &self,
        condition: Condition,
        hypotheses: &[Hypothesis],
        wanted: impl Fn(Role) -> bool,
    ) -> Option<Prospect> {
        let forecast = crate::of(self.handover.clone(), self.now, hypotheses, None);
        let after = forecast
            .transitions()
            .find(|(prediction, _, to)| {
                prediction.who == Who::We && prediction.router == self.name && wanted(*to)
            })
            .map(|(prediction, ..)| prediction.after)?;
        Some(Prospect {
            condition,
            after,
            give_or_take: Duration::ZERO,
            holder: holder(&forecast, self.name),
        })
    }
}

fn holder(forecast: &Forecast, name: &str) -> Holder {
    let outcome = forecast
        .outcomes
        .iter()
        .find(|outcome| outcome.router == name);
    outcome
        .and_then(|outcome| outcome.after.as_ref()?.holders.first().copied())
        .unwrap_or(Holder::Unknown)
}
