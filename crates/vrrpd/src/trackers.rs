//! Trackers in the words of the control socket.

use std::io;
use std::time::{Duration, SystemTime};

use vrrp_control::{Answer, TrackerReport, TrackerUse, TrackersReport, Tracking};
use vrrp_proto::{Contribution, Effect, Engine, Instant, Tracker};

use crate::answers::Answers;
use crate::office::timestamp;
use crate::services::{STOPPED, Services};

/// Says how they stand.
pub(crate) async fn answer(services: &Services, answers: &mut Answers) -> io::Result<()> {
    let trackers = services.blocking(|services| services.engine.inspect(trackers));
    match trackers.await.flatten() {
        Some(trackers) => {
            let version = vrrp_control::VERSION;
            let report = TrackersReport { version, trackers };
            answers.send(&Answer::Trackers(report)).await
        }
        None => answers.refuse(STOPPED).await,
    }
}

fn trackers(engine: &mut Engine, now: Instant) -> Vec<TrackerReport> {
    let wall = SystemTime::now();
    let all = engine.trackers().iter();
    all.map(|tracker| report(engine, tracker, now, wall))
        .collect()
}

fn report(engine: &Engine, tracker: &Tracker, now: Instant, wall: SystemTime) -> TrackerReport {
    let plan = tracker.plan();
    let ago = now.saturating_since(tracker.since());
    let (against, objection) = tracker.objection().unzip();
    let uses = engine.status().flat_map(|router| {
        let mine = router.contributions.iter();
        let mine = mine.filter(|it| it.tracker == plan.name);
        mine.map(move |it| TrackerUse {
            router: router.plan.name.clone(),
            adds: it.adds,
            fault: it.fault,
        })
    });
    TrackerReport {
        name: plan.name.clone(),
        kind: plan.kind.name().to_owned(),
        state: tracker.level().name().to_owned(),
        since: timestamp(wall.checked_sub(ago).unwrap_or(wall)),
        detail: tracker.detail().to_owned(),
        offset: tracker.offset(),
        heard_us: tracker.heard().map(|at| micros(now.saturating_since(at))),
        against,
        objection: objection.map(str::to_owned),
        pending: tracker.pending().map(|(level, _)| level.name().to_owned()),
        pending_us: tracker
            .pending()
            .map(|(_, at)| micros(at.saturating_since(now))),
        routers: uses.collect(),
    }
}

/// What trackers do to a router.
pub(crate) fn tracking(contributions: &[Contribution]) -> Vec<Tracking> {
    let one = |it: &Contribution| Tracking {
        tracker: it.tracker.clone(),
        state: it.level.name().to_owned(),
        detail: it.detail.clone(),
        weight: match it.effect {
            Effect::Weight(weight) => Some(weight),
            Effect::Fault => None,
        },
        adds: it.adds,
        fault: it.fault,
    };
    contributions.iter().map(one).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
