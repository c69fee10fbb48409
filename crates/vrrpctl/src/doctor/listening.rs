//! Listens to the wire for a while, and asks who has the virtual addresses.

use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use vrrp_control::StatusReport;
use vrrp_proto::{Plan, RouterPlan};

use super::facts::{Wire, question, wire};
use crate::ear::{self, Ear};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::ports::Port;

/// Interfaces beside those of the routers, of which a host may have thousands.
const OTHERS: usize = 16;

/// Addresses that are asked for, at most.
const QUESTIONS: usize = 64;

/// How long it listens unless it is told: so many intervals of the slowest router, within limits.
const INTERVALS: u32 = 3;
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(15);

/// What passed. An interrupt ends it early, and what passed by then counts.
///
/// # Errors
/// Those of signals and poll(2); an interface that cannot be listened on is noted.
pub(crate) fn listen(
    ports: &[Port],
    report: &StatusReport,
    plan: &Plan,
    span: Option<Duration>,
) -> Result<Wire, Failure> {
    let failed = |error: io::Error| Failure::System(format!("cannot listen: {error}"));
    let interrupt = Interrupt::catch().map_err(failed)?;
    let mut found = Wire::default();
    let mut ears = open(ports, report, &mut found);
    let questions = questions(report, plan);
    let intervals = report.routers.iter().map(|router| {
        Duration::from_millis(
            router
                .advertise_interval_ms
                .max(router.active_advertise_interval_ms),
        )
    });
    // A fifth of an interval more, for one that is a little late.
    let slowest = intervals.max().unwrap_or_default();
    let span = span.unwrap_or_else(|| (slowest * INTERVALS + slowest / 5).clamp(SHORTEST, LONGEST));
    let progress = Progress::begin(&ears, span);
    let begin = Instant::now();
    // Twice: a first frame may be lost to a switch that learns.
    let mut rounds = [Duration::ZERO, span / 2].into_iter().peekable();
    loop {
        let passed = begin.elapsed();
        if rounds.next_if(|due| *due <= passed).is_some() {
            ask(&mut ears, &questions, &mut found);
        }
        let Some(left) = span.checked_sub(passed).filter(|left| !left.is_zero()) else {
            break;
        };
        progress.show(left);
        let next = rounds
            .peek()
            .map_or(left, |due| due.saturating_sub(passed).min(left));
        if ear::wait(&ears, interrupt.as_fd(), Some(next.min(SHORTEST))).map_err(failed)? {
            break;
        }
        for ear in &mut ears {
            let (interface, own) = (ear.interface.clone(), ear.mac);
            // One that went down is heard again when it is up.
            while let Ok(Some(passed)) = ear.hear() {
                wire::enter(&mut found, &interface, own, &passed, plan);
            }
        }
    }
    found.span = begin.elapsed();
    Ok(found)
}

/// On the interfaces of the routers, and on some others: something may be plugged in where it does not belong.
fn open(ports: &[Port], report: &StatusReport, found: &mut Wire) -> Vec<Ear> {
    let ours = |port: &&Port| {
        report
            .routers
            .iter()
            .any(|router| router.interface == port.name)
    };
    let first = ports.iter().filter(ours);
    let others = ports
        .iter()
        .filter(|port| !ours(port) && port.is_ordinary());
    let mut ears = Vec::new();
    for port in first.chain(others.take(OTHERS)) {
        match Ear::open(&port.link, false) {
            Ok(ear) => {
                found.interfaces.push(port.name.clone());
                ears.push(ear);
            }
            Err(error) => found.deaf.push((port.name.clone(), error.to_string())),
        }
    }
    ears
}

/// Who is asked for: on which interface, from which address.
fn questions(report: &StatusReport, plan: &Plan) -> Vec<(String, IpAddr, IpAddr)> {
    let routers = report.routers.iter();
    let all = routers.flat_map(|router| {
        let from: Option<IpAddr> = router
            .source_address
            .as_ref()
            .and_then(|it| it.parse().ok());
        let plan = plan.routers.iter().find(|plan| plan.name == router.name);
        let peers = plan
            .into_iter()
            .flat_map(|plan| plan.unicast_peers.iter().copied());
        let addresses = router.addresses.iter();
        let addresses = addresses.filter_map(|it| it.split('/').next()?.parse().ok());
        // Where clouds want unicast, their network answers for every address.
        let cloud = router.virtual_mac.is_none() && plan.is_some_and(RouterPlan::is_unicast);
        let addresses = addresses.filter(move |_| !cloud);
        let wanted: Vec<IpAddr> = addresses.chain(peers).collect();
        let questions = from.into_iter().flat_map(move |from| {
            let interface = router.interface.clone();
            wanted
                .clone()
                .into_iter()
                .map(move |ip| (interface.clone(), from, ip))
        });
        questions.collect::<Vec<_>>()
    });
    all.take(QUESTIONS).collect()
}

fn ask(ears: &mut [Ear], questions: &[(String, IpAddr, IpAddr)], found: &mut Wire) {
    for (interface, from, wanted) in questions {
        let Some(ear) = ears.iter_mut().find(|ear| ear.interface == *interface) else {
            continue;
        };
        let frame = question::frame(ear.mac, *from, *wanted);
        // Only what was asked for can be missed.
        if frame.is_some_and(|frame| ear.say(&frame).is_ok()) {
            let asked = (interface.clone(), *wanted);
            if !found.questions.contains(&asked) {
                found.questions.push(asked);
            }
        }
    }
}

/// That something goes on, where somebody looks.
struct Progress(Option<String>);

impl Progress {
    fn begin(ears: &[Ear], span: Duration) -> Self {
        let names: Vec<&str> = ears.iter().map(|ear| ear.interface.as_str()).collect();
        let visible = io::stderr().is_terminal() && !span.is_zero();
        Self(visible.then(|| names.join(", ")))
    }

    fn show(&self, left: Duration) {
        if let Some(names) = &self.0 {
            let _ = write!(
                io::stderr(),
                "\r\x1b[Klistening on {names}, {} s",
                left.as_secs() + 1
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.0.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
