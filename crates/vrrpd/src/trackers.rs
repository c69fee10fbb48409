//! Trackers in the words of the control socket.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, SystemTime};

use vrrp_control::{
    Answer, BfdReport, ProbeTrial, TrackerReport, TrackerRequest, TrackerUse, TrackersReport,
    Tracking,
};
use vrrp_linux::bfd::SessionReport;
use vrrp_proto::{Contribution, Effect, Engine, Instant, Tracker};

use crate::answers::Answers;
use crate::caller::Caller;
use crate::office::timestamp;
use crate::services::{STOPPED, Services};

/// Says how they stand.
pub(crate) async fn answer(services: &Services, answers: &mut Answers) -> io::Result<()> {
    let (probes, problem) = match services.agent.probes().await {
        Ok(probes) => (probes, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let Some(mut trackers) = look(services).await else {
        return answers.refuse(STOPPED).await;
    };
    for probe in probes {
        let tracker = trackers.iter_mut().find(|it| it.name == probe.tracker);
        if let Some(tracker) = tracker {
            tracker.probe = Some(probe);
        }
    }
    let report = TrackersReport {
        version: vrrp_control::VERSION,
        problem,
        trackers,
    };
    answers.send(&Answer::Trackers(report)).await
}

/// Makes a probe because somebody asks for it.
pub(crate) async fn request(
    services: &Services,
    caller: &Caller,
    request: TrackerRequest,
    answers: &mut Answers,
) -> io::Result<()> {
    let TrackerRequest::Run { name } = request;
    let Some(trackers) = look(services).await else {
        return answers.refuse(STOPPED).await;
    };
    if !trackers.iter().any(|it| it.name == name) {
        let known: Vec<String> = trackers.into_iter().map(|it| it.name).collect();
        let known = match &known[..] {
            [] => "the configuration that runs has none".to_owned(),
            known => format!("there is {}", known.join(", ")),
        };
        return answers
            .refuse(format!("there is no tracker {name}; {known}"))
            .await;
    }
    let whose = caller.name().await;
    services.note_change(caller, None, format!("{whose} ran the probe of {name}"));
    let run = match services.agent.probe(&name).await {
        Ok(run) => run,
        Err(why) => return answers.refuse(why).await,
    };
    let after = look(services).await.unwrap_or_default();
    let Some(tracker) = after.into_iter().find(|it| it.name == name) else {
        return answers.refuse(STOPPED).await;
    };
    let trial = ProbeTrial {
        version: vrrp_control::VERSION,
        run,
        tracker,
    };
    answers.send(&Answer::ProbeTrial(Box::new(trial))).await
}

async fn look(services: &Services) -> Option<Vec<TrackerReport>> {
    let trackers = services.blocking(|services| {
        let mut sessions = services.engine.sessions();
        let inspect = move |engine: &mut Engine, now| trackers(engine, now, &mut sessions);
        services.engine.inspect(inspect)
    });
    trackers.await.flatten()
}

/// BFD sessions, by the names of their trackers.
type Sessions = BTreeMap<String, SessionReport>;

fn trackers(engine: &mut Engine, now: Instant, sessions: &mut Sessions) -> Vec<TrackerReport> {
    let wall = SystemTime::now();
    let all = engine.trackers().iter();
    let one = |tracker| {
        let tracker = report(engine, tracker, now, wall);
        let session = sessions.remove(&tracker.name);
        TrackerReport {
            session: session.map(|session| bfd(session, now, wall)),
            ..tracker
        }
    };
    all.map(one).collect()
}

fn bfd(session: SessionReport, now: Instant, wall: SystemTime) -> BfdReport {
    let ago = now.saturating_since(session.since);
    let word = |(word, _): (&'static str, u8)| word.to_owned();
    let (receive_invalid_packet_count, receive_invalid_reason) = session.discarded;
    BfdReport {
        dest_addr: session.peer.to_string(),
        interface: session.interface,
        source_port: session.source_port,
        local_state: session.state.to_owned(),
        since: timestamp(wall.checked_sub(ago).unwrap_or(wall)),
        local_diagnostic: word(session.diagnostic),
        remote_state: session.remote_state.to_owned(),
        remote_diagnostic: word(session.remote_diagnostic),
        local_discriminator: session.discriminator,
        remote_discriminator: session.remote_discriminator,
        remote_multiplier: session.remote_multiplier,
        negotiated_tx_interval_us: session.transmit_interval.map(micros),
        detection_time_us: micros(session.detection_time),
        heard_us: session.heard.map(|at| micros(now.saturating_since(at))),
        send_packet_count: session.sent,
        receive_packet_count: session.received,
        receive_invalid_packet_count,
        receive_invalid_reason,
        session_down_count: session.lost,
        failure: session.failure,
    }
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
            takeover: it.effect == Effect::Takeover,
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
        probe: None,
        routers: uses.collect(),
        session: None,
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
            Effect::Fault | Effect::Takeover => None,
        },
        adds: it.adds,
        fault: it.fault,
        takeover: it.effect == Effect::Takeover,
    };
    contributions.iter().map(one).collect()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
