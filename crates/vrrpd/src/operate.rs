//! Orders of operators: what they become for the engine, and what became of them.

use std::io;
use std::time::{Duration, SystemTime};

use vrrp_control::{
    Answer, CarpBid, OrderOutcome, OrderReport, OrderRequest, OrderResult, Successor,
};
use vrrp_linux::Handle;
use vrrp_proto::event::Offer;
use vrrp_proto::orders::Outcome;
use vrrp_proto::{Denial, Instant, Note, Order, Priority, RouterStatus, Standing};

use crate::answers::Answers;
use crate::caller::Caller;
use crate::services::{STOPPED, Services};
use crate::span::span;
use crate::standing::unix_ms;

/// Beyond what the protocol needs for a router to be replaced.
const MARGIN: Duration = Duration::from_millis(500);

/// How often the outcome of a handing over is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// Longest reason that is kept, in characters.
const LONGEST_REASON: usize = 200;

/// An order, who gives it, and when.
#[derive(Clone)]
struct Given {
    order: OrderRequest,
    by: String,
    at: SystemTime,
}

/// Answers [`vrrp_control::Request::Order`].
pub(crate) async fn answer(
    services: &Services,
    caller: &Caller,
    routers: Vec<String>,
    order: OrderRequest,
    answers: &mut Answers,
) -> io::Result<()> {
    let given = Given {
        order,
        by: caller.name().await,
        at: SystemTime::now(),
    };
    let known = services.blocking(|services| names(&services.engine)).await;
    let Some(Some(known)) = known else {
        return answers.refuse(STOPPED).await;
    };
    let is_known = |asked: &&String| known.iter().any(|named| named.is_called(asked));
    if let Some(stranger) = routers.iter().find(|name| !is_known(name)) {
        let router = stranger.clone();
        let known = known.into_iter().map(|named| named.router).collect();
        return answers.send(&Answer::NoSuchRouter { router, known }).await;
    }
    let asked = concerned(known, &routers, &given.order);
    let caller = *caller;
    let begun = {
        let given = given.clone();
        services
            .blocking(move |services| begin(&services, &caller, &asked, &given))
            .await
    };
    let Some(Some(mut begun)) = begun else {
        return answers.refuse(STOPPED).await;
    };
    // Before anybody is told that it is done, it is done for the next start as well.
    let kept = services
        .blocking(|services| services.orders.save(&services.engine))
        .await;
    if let Some(longest) = begun.iter().filter_map(|begun| begun.handing).max() {
        let patience = given.wait().unwrap_or(longest + MARGIN);
        let ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        answers.send(&Answer::Patience { ms }).await?;
        begun = wait(services, begun, patience).await;
    }
    let results = begun.iter().map(|begun| begun.result(&given)).collect();
    let report = OrderReport {
        version: vrrp_control::VERSION,
        results,
        not_kept: kept.and_then(Result::err).filter(|_| given.is_kept()),
    };
    answers.send(&Answer::Order(report)).await
}

/// A router and the group that it moves with.
#[derive(Clone)]
struct Named {
    router: String,
    group: Option<String>,
}

impl Named {
    fn is_called(&self, name: &str) -> bool {
        self.router == name || self.group.as_deref() == Some(name)
    }
}

fn names(engine: &Handle) -> Option<Vec<Named>> {
    engine.inspect(|engine, _| {
        let named = |status: RouterStatus<'_>| Named {
            router: status.plan.name.clone(),
            group: status.membership.map(|it| it.group.to_owned()),
        };
        engine.status().map(named).collect()
    })
}

/// Whom it concerns: what moves a member of a group moves all of them.
fn concerned(known: Vec<Named>, asked: &[String], order: &OrderRequest) -> Vec<Named> {
    let alone = matches!(order, OrderRequest::Announce);
    let named = |named: &Named| {
        asked.is_empty()
            || asked.iter().any(|name| {
                named.is_called(name)
                    || (!alone
                        && named.group.is_some()
                        && known
                            .iter()
                            .any(|other| other.router == *name && other.group == named.group))
            })
    };
    known.iter().filter(|it| named(it)).cloned().collect()
}

/// An order to one router on its way.
#[derive(Clone)]
struct Begun {
    router: String,
    /// When the engine heard of it, or why it was refused.
    outcome: Result<Instant, Denial>,
    /// How long a successor may need to be heard, while the router waits for one.
    handing: Option<Duration>,
    /// What became of that.
    handed_over: Option<Outcome>,
}

/// Gives the order to each, after saying so.
fn begin(
    services: &Services,
    caller: &Caller,
    routers: &[Named],
    given: &Given,
) -> Option<Vec<Begun>> {
    // The engine takes an order to one member for one to all: the first of them.
    let alone = matches!(given.order, OrderRequest::Announce);
    let leader = |index: usize| {
        let group = routers[index].group.as_ref().filter(|_| !alone);
        let same = |other: &Named| group.is_some() && other.group.as_ref() == group;
        routers[..index].iter().position(same).unwrap_or(index)
    };
    let leads: Vec<usize> = (0..routers.len()).map(leader).collect();
    let routers: Vec<String> = routers.iter().map(|it| it.router.clone()).collect();
    let asked = routers.clone();
    let order = given.clone();
    let permits = services.engine.inspect(move |engine, now| {
        let ask = |name: &String| engine.permits(name, &order.for_engine(now));
        asked.iter().map(ask).collect::<Vec<_>>()
    })?;
    for (router, permit) in routers.iter().zip(&permits) {
        let sentence = given.sentence(router);
        match permit {
            // What follows from it is logged behind it.
            Ok(()) => services.note_change(caller, Some(router), sentence),
            Err(denial) => {
                tracing::info!(router, %caller, "refused, because {router} {denial}: {sentence}");
            }
        }
    }
    let is_given = |index: usize| leads[index] == index && permits[index].is_ok();
    let permitted: Vec<String> = (0..routers.len())
        .filter(|index| is_given(*index))
        .map(|index| routers[index].clone())
        .collect();
    let order = given.clone();
    let outcomes = services.engine.operate(move |now| {
        let give = |name| (name, order.for_engine(now));
        permitted.into_iter().map(give).collect()
    })?;
    let mut outcomes = outcomes.into_iter();
    let mut begun: Vec<Begun> = Vec::with_capacity(routers.len());
    for (index, permit) in permits.iter().enumerate() {
        let outcome = match permit {
            Err(denial) => Err(denial.clone()),
            Ok(()) if is_given(index) => outcomes.next().unwrap_or(Err(Denial::NoSuchRouter)),
            Ok(()) => begun[leads[index]].outcome.clone(),
        };
        begun.push(Begun {
            router: routers[index].clone(),
            outcome,
            handing: None,
            handed_over: None,
        });
    }
    look(&services.engine, &mut begun)?;
    Some(begun)
}

/// Notes how far each has come.
fn look(engine: &Handle, begun: &mut Vec<Begun>) -> Option<()> {
    let mut seen = begun.clone();
    *begun = engine.inspect(move |engine, _| {
        for begun in &mut seen {
            let Ok(at) = begun.outcome else {
                continue;
            };
            let status = engine
                .status()
                .find(|status| status.plan.name == begun.router);
            let plan = status.map(|status| status.plan);
            begun.handing = status
                .filter(|status| status.orders.handing_over_since() == Some(at))
                .and(plan)
                .map(|plan| plan.dialect.leaving_time(plan.interval));
            let outcome = status.and_then(|status| status.orders.outcome());
            begun.handed_over = outcome.filter(|outcome| outcome.begun == at);
        }
        seen
    })?;
    Some(())
}

/// Until it is known of each who took over, but no longer than `patience`.
async fn wait(services: &Services, mut begun: Vec<Begun>, patience: Duration) -> Vec<Begun> {
    let end = tokio::time::Instant::now() + patience;
    while begun.iter().any(|begun| begun.handing.is_some()) && tokio::time::Instant::now() < end {
        tokio::time::sleep(LOOK).await;
        let mut latest = begun.clone();
        let looked = services
            .blocking(move |services| look(&services.engine, &mut latest).map(|()| latest))
            .await;
        let Some(Some(latest)) = looked else {
            break;
        };
        begun = latest;
    }
    begun
}

impl Begun {
    fn result(&self, given: &Given) -> OrderResult {
        let name = &self.router;
        let successor = self.handed_over.and_then(|outcome| {
            let (address, priority) = outcome.successor?;
            Some(Successor {
                address: address.to_string(),
                priority: priority.get(),
                carp: outcome.bid.map(CarpBid::from),
                after_us: u64::try_from(outcome.after.as_micros()).unwrap_or(u64::MAX),
            })
        });
        let (outcome, text) = match (&self.outcome, self.handed_over) {
            (Err(denial), _) => (OrderOutcome::Refused, format!("{name} {denial}")),
            (Ok(_), Some(outcome)) => given.handed_over(name, &outcome),
            (Ok(_), None) if self.handing.is_some() => (
                OrderOutcome::Pending,
                format!("{name} has given up and still waits for a successor"),
            ),
            (Ok(_), None) => (OrderOutcome::Done, given.done(name)),
        };
        OrderResult {
            router: name.clone(),
            outcome,
            text,
            successor,
        }
    }
}

impl Given {
    /// Whether it is to outlive the daemon.
    const fn is_kept(&self) -> bool {
        match self.order {
            OrderRequest::Drain { .. }
            | OrderRequest::Undrain
            | OrderRequest::Pin { .. }
            | OrderRequest::ResetPriority
            | OrderRequest::SetPriority {
                for_ms: Some(_), ..
            } => true,
            OrderRequest::SetPriority { for_ms: None, .. }
            | OrderRequest::Failover { .. }
            | OrderRequest::Ready
            | OrderRequest::Announce => false,
        }
    }

    /// How long the client wants to wait.
    fn wait(&self) -> Option<Duration> {
        match self.order {
            OrderRequest::Failover { wait_ms, .. } => wait_ms.map(Duration::from_millis),
            OrderRequest::SetPriority { .. }
            | OrderRequest::ResetPriority
            | OrderRequest::Drain { .. }
            | OrderRequest::Undrain
            | OrderRequest::Pin { .. }
            | OrderRequest::Ready
            | OrderRequest::Announce => None,
        }
    }

    /// In the engine's words.
    fn for_engine(&self, now: Instant) -> Order {
        let terms = |for_ms: Option<u64>, reason: Option<&String>| {
            let since = unix_ms(self.at);
            Standing {
                until: for_ms.map(|ms| now + Duration::from_millis(ms)),
                note: Note {
                    by: self.by.clone(),
                    reason: reason.map(|text| text.chars().take(LONGEST_REASON).collect()),
                    since_unix_ms: since,
                    until_unix_ms: for_ms.map(|ms| since.saturating_add(ms)),
                },
            }
        };
        match &self.order {
            OrderRequest::SetPriority { priority, for_ms } => Order::SetPriority {
                priority: Priority::new(*priority),
                terms: terms(*for_ms, None),
            },
            OrderRequest::ResetPriority => Order::ResetPriority,
            OrderRequest::Failover { force, .. } => Order::Failover {
                force: *force,
                note: terms(None, None).note,
            },
            OrderRequest::Drain {
                for_ms,
                reason,
                force,
            } => Order::Drain {
                force: *force,
                terms: terms(*for_ms, reason.as_ref()),
            },
            OrderRequest::Undrain => Order::Undrain,
            OrderRequest::Pin { for_ms } => Order::Pin(terms(Some(*for_ms), None)),
            OrderRequest::Announce => Order::Announce,
            OrderRequest::Ready => Order::Ready,
        }
    }

    /// For how long, in words.
    fn time(for_ms: Option<u64>, otherwise: &str) -> String {
        for_ms.map_or_else(
            || otherwise.to_owned(),
            |ms| format!(" for {}", span(Duration::from_millis(ms))),
        )
    }

    /// Who did what.
    fn sentence(&self, router: &str) -> String {
        let by = &self.by;
        match &self.order {
            OrderRequest::SetPriority { priority, for_ms } => {
                let time = Self::time(*for_ms, " until the daemon stops");
                format!("{by} set {router}'s priority to {priority}{time}")
            }
            OrderRequest::ResetPriority => format!("{by} reset {router}'s priority"),
            OrderRequest::Failover { force, .. } => {
                let how = if *force { " by force" } else { "" };
                format!("{by} asked {router} to fail over{how}")
            }
            OrderRequest::Drain {
                for_ms,
                reason,
                force,
            } => {
                let how = if *force { " by force" } else { "" };
                let time = Self::time(*for_ms, "");
                let why = reason.as_ref().map(|reason| format!(" ({reason})"));
                format!(
                    "{by} drained {router}{how}{time}{}",
                    why.unwrap_or_default()
                )
            }
            OrderRequest::Undrain => format!("{by} undrained {router}"),
            OrderRequest::Pin { for_ms } => {
                format!("{by} pinned {router}{}", Self::time(Some(*for_ms), ""))
            }
            OrderRequest::Announce => format!("{by} had {router} announce its addresses"),
            OrderRequest::Ready => format!("{by} said that {router} is ready"),
        }
    }

    /// What is so now.
    fn done(&self, router: &str) -> String {
        match &self.order {
            OrderRequest::SetPriority { priority, for_ms } => {
                let time = Self::time(*for_ms, " until the daemon stops");
                format!("{router} has priority {priority}{time}")
            }
            OrderRequest::ResetPriority => {
                format!("{router} has the priority of its configuration, and preempts by it")
            }
            OrderRequest::Failover { .. } => format!("{router} has given up"),
            OrderRequest::Drain { for_ms, .. } => {
                format!("{router} is drained{}", Self::time(*for_ms, ""))
            }
            OrderRequest::Undrain => format!("{router} is not drained any more"),
            OrderRequest::Pin { for_ms } => format!(
                "{router} is pinned{}: who is Active stays so",
                Self::time(Some(*for_ms), "")
            ),
            OrderRequest::Announce => format!("{router} announces its addresses"),
            OrderRequest::Ready => {
                format!("{router} is ready, and waits for nothing before it preempts")
            }
        }
    }

    /// What became of the handing over.
    fn handed_over(&self, router: &str, outcome: &Outcome) -> (OrderOutcome, String) {
        let drain = matches!(self.order, OrderRequest::Drain { .. });
        let force = matches!(
            self.order,
            OrderRequest::Drain { force: true, .. } | OrderRequest::Failover { force: true, .. }
        );
        match outcome.successor {
            Some((address, priority)) => {
                let after = outcome.after.as_millis();
                let offer = Offer {
                    priority,
                    bid: outcome.bid,
                };
                let took_over = format!("{address} ({offer}) took over after {after} ms");
                let text = if drain {
                    format!("{}; {took_over}", self.done(router))
                } else {
                    format!("{router}: {took_over}")
                };
                (OrderOutcome::Done, text)
            }
            None if drain && force => (
                OrderOutcome::Done,
                format!(
                    "{}; nobody took over, so it serves as a last resort until somebody does",
                    self.done(router)
                ),
            ),
            None if force => (
                OrderOutcome::Unclaimed,
                format!(
                    "nobody took over; {router} stays Backup until it has heard nobody for long enough"
                ),
            ),
            None => (
                OrderOutcome::Unclaimed,
                format!("nobody took over; {router} is Active again"),
            ),
        }
    }
}
