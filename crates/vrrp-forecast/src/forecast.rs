//! What was found out.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_proto::carp::Bid;
use vrrp_proto::{Fault, Offer, Priority, Reason, Role};

use crate::world::World;

/// What would happen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forecast {
    /// What changes, in order.
    pub predictions: Vec<Prediction>,
    /// How each router stands before and at the end, in the order in which they were configured; new ones last.
    pub outcomes: Vec<Outcome>,
    /// How far it looked.
    pub horizon: Duration,
    /// Whether it looked as far as it was asked to: with very many routers that can be too much.
    pub complete: bool,
    /// Interfaces about which nothing is known, and which are assumed to be fit.
    pub assumed: Vec<String>,
}

/// Something that changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Prediction {
    /// After how long.
    pub after: Duration,
    /// The router's name.
    pub router: String,
    /// On whose side.
    pub who: Who,
    /// What.
    pub kind: Kind,
}

/// One side of a virtual router.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Who {
    /// This machine.
    We,
    /// The peer with this address.
    Peer(IpAddr),
}

/// What changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The role.
    Role {
        /// Before.
        from: Role,
        /// After.
        to: Role,
        /// Why.
        reason: Reason,
    },
    /// What keeps it out; empty when nothing does any more.
    Faults(Vec<Fault>),
    /// The configuration has it now.
    Added,
    /// The configuration has it no longer.
    Removed,
}

/// How a router stands before and at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Its name at the end, or before if it is gone.
    pub router: String,
    /// Before; `None` if it is new.
    pub before: Option<Standing>,
    /// At the end; `None` if it is gone.
    pub after: Option<Standing>,
}

/// How a router stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Its name.
    pub router: String,
    /// Our role.
    pub role: Role,
    /// The priority that we advertise.
    pub priority: Priority,
    /// With CARP, what we bid.
    pub bid: Option<Bid>,
    /// Who is Active: never empty, and more than one if they do not understand each other.
    pub holders: Vec<Holder>,
}

/// Who is Active.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holder {
    /// This machine.
    We,
    /// The peer with this address, and what it offers.
    Peer(IpAddr, Offer),
    /// Another router, if there is one that was never heard.
    Unknown,
}

impl Forecast {
    /// Changes of our own role, with the router's name.
    pub fn transitions(&self) -> impl Iterator<Item = (&Prediction, Role, Role)> {
        self.predictions.iter().filter_map(|prediction| {
            if prediction.who != Who::We {
                return None;
            }
            match prediction.kind {
                Kind::Role { from, to, .. } => Some((prediction, from, to)),
                Kind::Faults(_) | Kind::Added | Kind::Removed => None,
            }
        })
    }

    /// After how long the router of this name becomes Active here for the first time.
    #[must_use]
    pub fn active_after(&self, router: &str) -> Option<Duration> {
        self.transitions()
            .find(|(prediction, _, to)| prediction.router == router && *to == Role::Active)
            .map(|(prediction, ..)| prediction.after)
    }
}

pub(crate) fn conclude(
    mut world: World,
    before: Vec<(vrrp_proto::RouterId, Standing)>,
    complete: bool,
) -> Forecast {
    let after = world.standing();
    let horizon = world.passed();
    let mut outcomes: Vec<Outcome> = Vec::new();
    for (id, standing) in &before {
        let later = after.iter().find(|(other, _)| other == id);
        outcomes.push(Outcome {
            router: later.map_or(&standing.router, |(_, it)| &it.router).clone(),
            before: Some(standing.clone()),
            after: later.map(|(_, it)| it.clone()),
        });
    }
    let new = after
        .into_iter()
        .filter(|(id, _)| !before.iter().any(|(other, _)| other == id));
    outcomes.extend(new.map(|(_, standing)| Outcome {
        router: standing.router.clone(),
        before: None,
        after: Some(standing),
    }));
    Forecast {
        predictions: core::mem::take(&mut world.predictions),
        outcomes,
        horizon,
        complete,
        assumed: core::mem::take(&mut world.assumed).into_iter().collect(),
    }
}
