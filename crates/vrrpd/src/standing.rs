//! Orders that outlive the daemon: a file in the state directory, with ends by the clock on the wall.
//!
//! Written whenever the orders change, and read before the engine starts: a drained router does not take over at start.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use vrrp_linux::Handle;
use vrrp_proto::{Engine, Instant, Note, Order, OrderKind, Plan, Priority, RouterPlan, Standing};

use crate::state_dir::StateDir;

/// The file.
const FILE: &str = "orders.json";

/// Version of the file.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kept {
    version: u32,
    orders: Vec<KeptOrder>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct KeptOrder {
    router: String,
    interface: String,
    family: String,
    vrid: u8,
    protocol: String,
    kind: OrderKind,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    priority: Option<u8>,
    note: Note,
}

impl KeptOrder {
    /// What makes a router the same one, as for a reload.
    fn is_for(&self, plan: &RouterPlan) -> bool {
        self.interface == plan.interface
            && self.family == plan.family.to_string()
            && self.vrid == plan.vrid.get()
            && self.protocol == plan.dialect.name()
    }

    /// What is left of it; `None` when it is over.
    fn remaining(&self, now_ms: u64) -> Option<Option<Duration>> {
        let Some(until) = self.note.until_unix_ms else {
            return Some(None);
        };
        // A clock that was set back does not make it longer than it was asked for.
        let asked = until.saturating_sub(self.note.since_unix_ms);
        let left = until.saturating_sub(now_ms).min(asked);
        (left > 0).then_some(Some(Duration::from_millis(left)))
    }

    /// The same again.
    fn order(&self, now: Instant, left: Option<Duration>) -> Option<Order> {
        let terms = Standing {
            until: left.map(|left| now + left),
            note: self.note.clone(),
        };
        match (self.kind, self.priority) {
            (OrderKind::Drain, _) => Some(Order::Drain {
                force: false,
                terms,
            }),
            (OrderKind::Priority, Some(priority)) => Some(Order::SetPriority {
                priority: Priority::new(priority),
                terms,
            }),
            (OrderKind::Pin, _) => Some(Order::Pin(terms)),
            (OrderKind::Priority, None) | (OrderKind::Yield, _) => None,
        }
    }
}

/// The file, and what was last written there. Clones are the same one.
#[derive(Clone)]
pub(crate) struct StandingOrders {
    state_dir: StateDir,
    written: Arc<Mutex<Option<Kept>>>,
}

impl StandingOrders {
    pub(crate) fn new(state_dir: StateDir) -> Self {
        Self {
            state_dir,
            written: Arc::default(),
        }
    }

    /// What is to be asked of the routers of `plan` before anything else. Waits for the disk.
    pub(crate) fn recall(&self, plan: &Plan) -> vrrp_linux::Orders {
        let kept = self.read().unwrap_or_default();
        let now_ms = unix_ms(SystemTime::now());
        let mut due = Vec::new();
        for order in kept.orders {
            let router = plan.routers.iter().find(|plan| order.is_for(plan));
            let (what, by) = (order.kind.name(), &order.note.by);
            match (router, order.remaining(now_ms)) {
                (Some(plan), Some(left)) => {
                    tracing::info!(router = plan.name, "the {what} by {by} goes on");
                    due.push((plan.name.clone(), order, left));
                }
                (Some(plan), None) => {
                    tracing::info!(router = plan.name, "the {what} by {by} has ended");
                }
                (None, _) => {
                    tracing::warn!(
                        router = order.router,
                        "the {what} by {by} is forgotten: there is no such router any more"
                    );
                }
            }
        }
        Box::new(move |now| {
            due.into_iter()
                .filter_map(|(name, order, left)| Some((name, order.order(now, left)?)))
                .collect()
        })
    }

    fn read(&self) -> Option<Kept> {
        let text = self.state_dir.read(FILE).ok().flatten()?;
        match serde_json::from_str::<Kept>(&text) {
            Ok(kept) if kept.version == VERSION => Some(kept),
            Ok(_) | Err(_) => {
                tracing::warn!(
                    "{} cannot be understood: what was asked of routers before this start is forgotten",
                    self.state_dir.path().join(FILE).display()
                );
                None
            }
        }
    }

    /// Writes the file anew if the orders have changed. Waits for the engine and the disk.
    ///
    /// # Errors
    /// Why they are not kept, as a sentence.
    pub(crate) fn save(&self, engine: &Handle) -> Result<(), String> {
        // One after another, so that the last one wins.
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let orders = engine.inspect(|engine, _| (!engine.is_stopping()).then(|| kept(engine)));
        // An engine that stops has no orders any more, which says nothing about the next start.
        let Some(Some(orders)) = orders else {
            return Ok(());
        };
        let kept = Kept {
            version: VERSION,
            orders,
        };
        if written.as_ref() == Some(&kept) {
            return Ok(());
        }
        let outcome = if kept.orders.is_empty() {
            self.state_dir.remove(FILE)
        } else {
            serde_json::to_vec_pretty(&kept)
                .map_err(Into::into)
                .and_then(|text| self.state_dir.write(FILE, &text))
        };
        match outcome {
            Ok(()) => {
                *written = Some(kept);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Those that outlive the daemon: a priority without an end was asked for until it stops, and a router that yields has
/// forgotten its successor by then.
fn kept(engine: &Engine) -> Vec<KeptOrder> {
    let routers = engine.status();
    let orders = routers.flat_map(|status| {
        let plan = status.plan;
        status
            .orders
            .standing()
            .filter(|order| match order.kind {
                OrderKind::Drain | OrderKind::Pin => true,
                OrderKind::Priority => order.until.is_some(),
                OrderKind::Yield => false,
            })
            .map(|order| KeptOrder {
                router: plan.name.clone(),
                interface: plan.interface.clone(),
                family: plan.family.to_string(),
                vrid: plan.vrid.get(),
                protocol: plan.dialect.name().into(),
                kind: order.kind,
                priority: order.priority.map(Priority::get),
                note: order.note.clone(),
            })
    });
    orders.collect()
}

/// Milliseconds of Unix time.
pub(crate) fn unix_ms(at: SystemTime) -> u64 {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// And back.
pub(crate) fn wall(unix_ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(unix_ms))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(since: u64, until: Option<u64>) -> KeptOrder {
        KeptOrder {
            router: "wan4".into(),
            interface: "eth0".into(),
            family: "ipv4".into(),
            vrid: 51,
            protocol: "vrrpv3".into(),
            kind: OrderKind::Drain,
            priority: None,
            note: Note {
                by: "alice".into(),
                reason: Some("kernel update".into()),
                since_unix_ms: since,
                until_unix_ms: until,
            },
        }
    }

    #[test]
    fn an_order_ends_when_it_was_asked_to() {
        let left = |until, now| order(1_000_000, until).remaining(now);
        assert_eq!(left(None, 5_000_000), Some(None));
        let minute = Some(1_060_000);
        assert_eq!(left(minute, 1_020_000), Some(Some(Duration::from_secs(40))));
        assert_eq!(left(minute, 1_060_000), None);
        assert_eq!(left(minute, 9_000_000), None);
        // A machine that forgot the time.
        assert_eq!(left(minute, 0), Some(Some(Duration::from_secs(60))));
    }

    #[test]
    fn what_is_written_can_be_read() {
        let kept = Kept {
            version: VERSION,
            orders: vec![order(1, Some(2)), order(3, None)],
        };
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
    }
}
