//! What would happen if: asked of a copy of the engine, so that nothing changes.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;
use tokio::time::timeout;
use vrrp_control::{Answer, ForecastReport, Supposition};
use vrrp_forecast::Hypothesis;
use vrrp_proto::{Engine, Gather, Handover, Instant, Level, Priority};

use crate::answers::Answers;
use crate::foresight;
use crate::office::timestamp;
use crate::services::{STOPPED, Services};

/// Forecasts at a time. With thousands of routers one can take seconds; others wait.
static PLACES: Semaphore = Semaphore::const_new(1);

/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// How far anybody may look: with timers of milliseconds and one router more takes too long.
const FARTHEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The engine at one moment.
pub(crate) struct Moment {
    pub(crate) handover: Handover,
    pub(crate) now: Instant,
    pub(crate) wall: SystemTime,
}

impl Moment {
    /// What the engine's thread does for it: 0.2 to 0.4 µs for each router.
    pub(crate) fn of(engine: &Engine, now: Instant) -> Self {
        Self {
            handover: engine.save(),
            now,
            wall: SystemTime::now(),
        }
    }
}

/// Runs `work` when no other forecast is made; nothing if that takes too long, or it panicked.
pub(crate) async fn in_turn<T: Send + 'static>(
    services: &Services,
    work: impl FnOnce(Services) -> T + Send + 'static,
) -> Option<T> {
    let place = timeout(PATIENCE, PLACES.acquire()).await.ok()?.ok()?;
    let done = services.blocking(work).await;
    drop(place);
    done
}

/// What is said to who had to wait too long.
pub(crate) const BUSY: &str = "somebody else's forecast takes long; try again";

/// Answers the request.
pub(crate) async fn answer(
    services: &Services,
    answers: &mut Answers,
    supposition: Supposition,
) -> io::Result<()> {
    let forecast = in_turn(services, move |services| forecast(&services, &supposition)).await;
    match forecast {
        Some(Ok(report)) => answers.send(&Answer::Forecast(Box::new(report))).await,
        Some(Err(reason)) => answers.refuse(reason).await,
        None => answers.refuse(BUSY).await,
    }
}

fn forecast(services: &Services, supposition: &Supposition) -> Result<ForecastReport, String> {
    let plan = match &supposition.config {
        Some(text) => Some(parse(text)?),
        None => None,
    };
    let asked = supposition.clone();
    let prepared = services
        .engine
        .inspect(move |engine, now| {
            check(engine, &asked).map(|hypotheses| (hypotheses, Moment::of(engine, now)))
        })
        .ok_or(STOPPED)?;
    let (mut hypotheses, moment) = prepared?;
    // First what is configured, then what happens to it.
    hypotheses.splice(0..0, plan.map(Hypothesis::Plan));
    let horizon = supposition.horizon_us.map(Duration::from_micros);
    let forecast = vrrp_forecast::of(
        moment.handover,
        moment.now,
        &hypotheses,
        horizon.map(|horizon| horizon.min(FARTHEST)),
    );
    Ok(foresight::report(&forecast, timestamp(moment.wall)))
}

fn parse(text: &str) -> Result<vrrp_proto::Plan, String> {
    match vrrp_config::parse(text) {
        Ok(config) => Ok(config.plan),
        Err(findings) => {
            let wrong = vrrp_config::Wrong {
                file: "the configuration".to_owned(),
                text: text.to_owned(),
                findings,
            };
            Err(wrong.lines().join("; "))
        }
    }
}

/// What is supposed about things that exist.
fn check(engine: &Engine, asked: &Supposition) -> Result<Vec<Hypothesis>, String> {
    let mut hypotheses = Vec::new();
    for (name, priority) in &asked.priority {
        if !(1..=254).contains(priority) {
            return Err(format!("a priority is 1 to 254, not {priority}"));
        }
        let names = engine.status().map(|router| router.plan.name.clone());
        let what = format!("there is no virtual router {name:?}");
        exists(names, name, &what)?;
        hypotheses.push(Hypothesis::Priority(name.clone(), Priority::new(*priority)));
    }
    for (name, state) in &asked.trackers {
        let level = match state.as_str() {
            "up" => Level::Up,
            "down" => Level::Down,
            other => return Err(format!("a tracker is up or down, not {other:?}")),
        };
        let names = engine.trackers().iter().map(|it| it.plan().name.clone());
        exists(names, name, &format!("there is no tracker {name:?}"))?;
        hypotheses.push(Hypothesis::Tracker(name.clone(), level));
    }
    for interface in &asked.link_down {
        let names = engine.status().map(|router| router.plan.interface.clone());
        let what = format!("no virtual router speaks on {interface:?}");
        exists(names, interface, &what)?;
        hypotheses.push(Hypothesis::LinkDown(interface.clone()));
    }
    for peer in &asked.peer_down {
        let address: IpAddr = peer
            .parse()
            .map_err(|_| format!("{peer:?} is not an IP address"))?;
        let heard = engine
            .status()
            .flat_map(|router| router.peers.iter().map(|peer| peer.address.to_string()));
        let what = format!("{address} was not heard");
        exists(heard, &address.to_string(), &what)?;
        hypotheses.push(Hypothesis::PeerDown(Some(address)));
    }
    if asked.all_peers_down {
        hypotheses.push(Hypothesis::PeerDown(None));
    }
    Ok(hypotheses)
}

fn exists(known: impl Iterator<Item = String>, wanted: &str, what: &str) -> Result<(), String> {
    let known: BTreeSet<String> = known.gather();
    if known.contains(wanted) {
        return Ok(());
    }
    let known: Vec<String> = known.into_iter().collect();
    Err(match known.is_empty() {
        true => format!("{what}, nor any other"),
        false => format!("{what}; known are {}", known.join(", ")),
    })
}
