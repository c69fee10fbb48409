//! A forecast in the words of the control socket.

use std::fmt::Write;
use std::time::Duration;

use vrrp_control::{
    ActiveRouter, ForecastReport, PredictedChange, PredictedRouter, PredictedStanding,
};
use vrrp_forecast::{Forecast, Holder, Kind, Prediction, Standing, Who};
use vrrp_proto::Happening;

/// All of it; `time` is the moment at which it begins.
pub(crate) fn report(forecast: &Forecast, time: String) -> ForecastReport {
    ForecastReport {
        version: vrrp_control::VERSION,
        time,
        changes: forecast.predictions.iter().map(change).collect(),
        routers: forecast
            .outcomes
            .iter()
            .map(|outcome| PredictedRouter {
                name: outcome.router.clone(),
                before: outcome.before.as_ref().map(standing),
                after: outcome.after.as_ref().map(standing),
            })
            .collect(),
        horizon_us: micros(forecast.horizon),
        complete: forecast.complete,
        assumed_interfaces: forecast.assumed.clone(),
    }
}

fn change(prediction: &Prediction) -> PredictedChange {
    let (kind, happening) = match &prediction.kind {
        Kind::Role { from, to, reason } => {
            let (from, to, reason) = (*from, *to, *reason);
            ("role", Happening::Role { from, to, reason })
        }
        Kind::Faults(faults) => ("faults", Happening::Faults(faults.clone())),
        Kind::Added => ("added", Happening::Added),
        Kind::Removed => ("removed", Happening::Removed),
    };
    let mut text = String::new();
    if let Who::Peer(address) = prediction.who {
        // Writing to a String cannot fail.
        let _ = write!(text, "{address}: ");
    }
    let _ = write!(text, "{happening}");
    let role = |pick: fn(&Kind) -> Option<&'static str>| pick(&prediction.kind).map(str::to_owned);
    PredictedChange {
        after_us: micros(prediction.after),
        router: prediction.router.clone(),
        peer: match prediction.who {
            Who::We => None,
            Who::Peer(address) => Some(address.to_string()),
        },
        kind: kind.to_owned(),
        from: role(|kind| match kind {
            Kind::Role { from, .. } => Some(from.name()),
            Kind::Faults(_) | Kind::Added | Kind::Removed => None,
        }),
        to: role(|kind| match kind {
            Kind::Role { to, .. } => Some(to.name()),
            Kind::Faults(_) | Kind::Added | Kind::Removed => None,
        }),
        reason: role(|kind| match kind {
            Kind::Role { reason, .. } => Some(reason.name()),
            Kind::Faults(_) | Kind::Added | Kind::Removed => None,
        }),
        text,
    }
}

fn standing(standing: &Standing) -> PredictedStanding {
    let peer = |holder: &Holder| match holder {
        Holder::Peer(address, offer) => Some(ActiveRouter {
            address: address.to_string(),
            priority: offer.priority.get(),
            carp: offer.bid.map(Into::into),
        }),
        Holder::We | Holder::Unknown => None,
    };
    PredictedStanding {
        state: standing.role.name().to_owned(),
        priority: standing.priority.get(),
        carp: standing.bid.map(Into::into),
        active_peers: standing.holders.iter().filter_map(peer).collect(),
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
