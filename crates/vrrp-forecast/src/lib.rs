//! What would happen: a copy of the engine and the other routers as far as they are known, run in virtual time.
//!
//! ```text
//!   Engine::save --> World = Engine::resume + an Other for each peer known --> hypotheses --> time passes --> Forecast
//! ```
//!
//! Our side is the engine itself, so it does what the daemon would do. The others are the same election, with what was heard
//! of them. What that leaves open is assumed, and these are the assumptions:
//!
//! - Who was Active, and stood back for somebody who beats it, is a Backup and hears us. Who gave up with priority 0 or fell
//!   silent is gone.
//! - A router that was never heard is not known: a [`Forecast`] says [`Holder::Unknown`] where only such a one could be Active.
//! - An Active goes on in its rhythm. The others speak our version, preempt without delay unless they are seen not to, and
//!   packets are not lost and take no time.
//! - With CARP, the others have our profile, and bid what they bid last. Who was heard in both families at the same moments with
//!   the same bid is one. They have the passphrase and the addresses that we have before a configuration is supposed, so that
//!   it is found out who understands whom after it.
//! - The kernel does at once what is asked of it, but for a refusal that stands.
//! - An interface about which nothing is known yet is up and has an address.
#![forbid(unsafe_code)]

mod forecast;
mod hypothesis;
mod mend;
mod other;
pub mod prospect;
mod world;

pub use forecast::{Forecast, Holder, Kind, Outcome, Prediction, Standing, Who};
pub use hypothesis::Hypothesis;
pub use prospect::{Condition, Prospect, prospects};

use core::time::Duration;

use vrrp_proto::{Handover, Instant, Plan};

use crate::world::World;

/// What follows if all of these become true at once, at `now`. It looks ahead for `horizon`, or if that is `None` until
/// nothing more is to be expected: for ten of the longest down intervals, and beyond the end of whatever runs longer.
#[must_use]
pub fn of(
    handover: Handover,
    now: Instant,
    hypotheses: &[Hypothesis],
    horizon: Option<Duration>,
) -> Forecast {
    let mut world = World::new(handover, now);
    let before = world.standing();
    world.suppose(hypotheses);
    let complete = match horizon {
        Some(horizon) => world.run(horizon),
        None => world.settle(),
    };
    forecast::conclude(world, before, complete)
}

/// What follows if this plan is loaded at `now`.
#[must_use]
pub fn of_plan(handover: Handover, now: Instant, plan: &Plan) -> Forecast {
    of(handover, now, &[Hypothesis::Plan(plan.clone())], None)
}
