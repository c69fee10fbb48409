//! What must hold after every single step, whatever happened before.

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use vrrp_proto::packet::Header;
use vrrp_proto::{Engine, Instant, Output, Priority, Role, RouterId, RouterStatus};

use crate::host::Host;

/// A law of the engine that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Violation {
    /// It advertised without being Active.
    AdvertisedUninvited(Role),
    /// It gave up without having been Active, or twice.
    ReleasedUninvited,
    /// One input made it do this many things.
    Flood(usize),
    /// An Active said nothing for this long.
    Silent(Duration),
    /// It was silent for longer than anybody waits for it, and went on as if nothing had happened.
    Zombie(Duration),
    /// What the kernel is asked to hold does not follow from the role.
    DesiredDisagrees(Role),
    /// It announced addresses that the kernel did not have yet.
    AnnouncedEarly,
    /// It has a role without a timer, or a timer without a role, or sleeps past its own deadline.
    Timer(Role),
    /// It has a fault and a role at once.
    FaultyAndElected(Role),
    /// After a long quiet, these are Active where exactly one ought to be.
    NotSettled {
        /// Hosts that hear each other.
        island: Vec<Host>,
        /// Those of them that are Active.
        actives: Vec<Host>,
    },
    /// After a long quiet, this Active should have been replaced.
    WrongActive {
        /// Who is.
        active: Host,
        /// Who ought to be.
        better: Host,
    },
    /// After a long quiet, the kernel of this host does not hold exactly what it should.
    KernelDisagrees(Vec<String>),
    /// A daemon that was asked to stop left something behind.
    NotCleaned(Vec<String>),
    /// A successor does not do what its predecessor would have done.
    Estranged(String),
    /// A router changed its role because of a hand-over.
    HandedOverAndFell,
    /// Something happened that is not to happen in this run.
    Forbidden(String),
    /// It gave up on request, nobody took over, and this long after the time for that it is not Active again.
    Unclaimed(Duration),
    /// It took over from a living Active after missing only so many of its advertisements in a row.
    FalseTakeover(u32),
}

/// A violation with its place and time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// When.
    pub at: Instant,
    /// Who; `None` when all of them together did it.
    pub host: Option<Host>,
    /// What.
    pub violation: Violation,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?}", self.at)?;
        if let Some(host) = self.host {
            write!(f, ", {host}")?;
        }
        write!(f, ": {:?}", self.violation)
    }
}

/// What the judge remembers of one router.
#[derive(Clone, Debug, Default)]
struct Record {
    role: Option<Role>,
    spoke: Option<Instant>,
    /// The shortest time after which a lesser Backup takes over.
    patience: Option<Duration>,
    /// The last desired state was an active one.
    desired: bool,
}

/// Watches the engine of one host.
#[derive(Clone, Debug)]
pub struct Judge {
    host: Host,
    records: BTreeMap<RouterId, Record>,
    /// When the next Active must have spoken, and when it last did.
    speaks_by: Option<(Instant, Instant)>,
    /// When the first of those that hand over must have been replaced, or be Active again.
    replaced_by: Option<Instant>,
}

/// Whether its sender gives up: priority 0, or a CARP bow-out.
fn gives_up(message: &[u8]) -> bool {
    let header = Header::new(message);
    match header.filter(|header| header.is_carp()) {
        Some(_) => message[2] == 255 && message[5] == 255,
        None => header.map(Header::priority) == Some(Priority::RELEASE),
    }
}

/// More than this for one router and one input is a flood: two transitions with all their news.
const OUTPUTS_PER_ROUTER: usize = 12;

impl Judge {
    /// Of an engine that has not done anything yet.
    #[must_use]
    pub const fn new(host: Host) -> Self {
        Self {
            host,
            records: BTreeMap::new(),
            speaks_by: None,
            replaced_by: None,
        }
    }

    /// A new process remembers nothing.
    pub fn forget(&mut self) {
        self.records.clear();
        self.speaks_by = None;
        self.replaced_by = None;
    }

    /// One input has been taken and `outputs` came of it.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn outputs(
        &mut self,
        now: Instant,
        engine: &mut Engine,
        outputs: &[Output],
    ) -> Result<(), Verdict> {
        let host = self.host;
        let broken = |violation| {
            Err(Verdict {
                at: now,
                host: Some(host),
                violation,
            })
        };
        let wakeup = engine.poll_timeout().map(|wakeup| wakeup.at);
        let statuses: Vec<RouterStatus<'_>> = engine.status().collect();
        let role_of = |router: RouterId| {
            statuses
                .iter()
                .find(|status| status.id == router)
                .map_or(Role::Initialize, |status| status.role)
        };
        let routers = statuses.len().max(self.records.len());
        if outputs.len() > OUTPUTS_PER_ROUTER * routers.max(1) {
            return broken(Violation::Flood(outputs.len()));
        }
        for output in outputs {
            match output {
                Output::Transmit(transmit) => {
                    let record = self.records.entry(transmit.router).or_default();
                    let role = role_of(transmit.router);
                    if gives_up(&transmit.message) {
                        if record.role != Some(Role::Active) || role == Role::Active {
                            return broken(Violation::ReleasedUninvited);
                        }
                    } else if role != Role::Active {
                        return broken(Violation::AdvertisedUninvited(role));
                    } else if record.role == Some(Role::Active)
                        && let Some(silent) = record.spoke.map(|spoke| now.saturating_since(spoke))
                        && record.patience.is_some_and(|patience| silent > patience)
                    {
                        return broken(Violation::Zombie(silent));
                    }
                    record.spoke = Some(now);
                }
                Output::Announce(announce) => {
                    let applied = statuses.iter().any(|status| {
                        status.id == announce.router
                            && status.applied
                            && status.role == Role::Active
                    });
                    if !applied {
                        return broken(Violation::AnnouncedEarly);
                    }
                }
                Output::Desired(router, desired) => {
                    self.records.entry(*router).or_default().desired =
                        desired.as_ref().is_some_and(|desired| desired.active);
                }
                Output::Event(_) => {}
            }
        }
        self.speaks_by = None;
        let handing_over = statuses.iter();
        self.replaced_by = handing_over
            .filter_map(|status| status.orders.handing_over_until())
            .min();
        let kept: Vec<RouterId> = engine.retiring().collect();
        let mut gone = self.records.iter().filter(|(router, _)| {
            let known = |status: &RouterStatus<'_>| status.id == **router;
            !statuses.iter().any(known)
        });
        if gone.any(|(router, record)| record.desired != kept.contains(router)) {
            return broken(Violation::DesiredDisagrees(Role::Initialize));
        }
        for status in &statuses {
            let record = self.records.entry(status.id).or_default();
            let active = status.role == Role::Active;
            // Who waits for its hooks is Active, and serves nobody yet.
            let serves = active && status.preparing.is_none();
            if record.desired != (serves || status.leaving) {
                return broken(Violation::DesiredDisagrees(status.role));
            }
            let timed = status.role != Role::Initialize;
            // A Backup that is to preempt waits for its hooks first.
            let due = status.deadline.map(|due| match status.preparing {
                Some(until) if !active => due.max(until),
                Some(_) | None => due,
            });
            let overslept = due.is_some_and(|due| wakeup.is_none_or(|at| at > due));
            if status.deadline.is_some() != timed || overslept {
                return broken(Violation::Timer(status.role));
            }
            if timed && !status.faults.is_empty() {
                return broken(Violation::FaultyAndElected(status.role));
            }
            if active {
                let spoke = record.spoke.unwrap_or(status.since);
                let own = status.rules.map(|rules| rules.own.interval());
                let interval = own.unwrap_or_else(|| status.plan.interval.duration());
                let by = (spoke + interval, spoke);
                self.speaks_by = Some(self.speaks_by.map_or(by, |other| by.min(other)));
            }
            record.role = Some(status.role);
            record.patience = Some(status.active_down_interval);
        }
        Ok(())
    }

    /// Nothing is due: every Active of an awake host has spoken recently.
    ///
    /// # Errors
    /// The first law that was broken.
    pub fn quiet(&self, now: Instant, slack: Duration) -> Result<(), Verdict> {
        if let Some(by) = self.replaced_by.filter(|by| now > *by + slack) {
            return Err(Verdict {
                at: now,
                host: Some(self.host),
                violation: Violation::Unclaimed(now.saturating_since(by)),
            });
        }
        match self.speaks_by {
            Some((by, spoke)) if now > by + slack => Err(Verdict {
                at: now,
                host: Some(self.host),
                violation: Violation::Silent(now.saturating_since(spoke)),
            }),
            Some(_) | None => Ok(()),
        }
    }
}
