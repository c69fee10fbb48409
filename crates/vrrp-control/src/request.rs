//! Requests and answers.

use serde::{Deserialize, Serialize};

use crate::configuration::{ConfigurationAnswer, ConfigurationRequest};
use crate::event::{EventRecord, EventsWanted};
use crate::explanation::Explanation;
use crate::forecast::{ForecastReport, Supposition};
use crate::hook::{HookRequest, HookTrial, HooksReport};
use crate::interfaces::InterfacesReport;
use crate::order::{OrderReport, OrderRequest};
use crate::running::RunningConfig;
use crate::status::StatusReport;
use crate::tracker::{ProbeTrial, TrackerRequest, TrackersReport};
use crate::upgrade::UpgradeReport;

/// What a client may ask. One request a connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// All routers.
    Status,
    /// What happened, the oldest first.
    Events(EventsWanted),
    /// The interfaces on which virtual routers speak.
    Interfaces,
    /// What routers need beside their own interfaces.
    Trackers,
    /// One of them.
    Tracker(TrackerRequest),
    /// The configuration that runs.
    RunningConfig {
        /// Also what nobody said, as comments.
        #[serde(default)]
        defaults: bool,
    },
    /// Why a router is in its state, and what would change that.
    Explain {
        /// Its name.
        name: String,
    },
    /// What would happen if.
    WhatIf(Box<Supposition>),
    /// A change of the election.
    Order {
        /// Which routers, by name; all if none is named.
        #[serde(default)]
        routers: Vec<String>,
        /// What to do with them.
        order: OrderRequest,
    },
    /// The configuration, and changes of it.
    Configuration(ConfigurationRequest),
    /// The hooks.
    Hook(HookRequest),
    /// Another program in place of the running one, which goes on where that is. How it went is in the status.
    Upgrade {
        /// Its path, which only root may say; without one, what is now where the running one was started from.
        #[serde(default)]
        program: Option<String>,
    },
}

impl Request {
    /// Whether it asks for a change, which is refused on the socket that is only for asking.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self {
            Self::Status
            | Self::Events(_)
            | Self::Interfaces
            | Self::Trackers
            | Self::RunningConfig { .. }
            | Self::Explain { .. }
            | Self::WhatIf(_) => false,
            Self::Order { .. } | Self::Tracker(TrackerRequest::Run { .. }) => true,
            Self::Configuration(request) => request.changes(),
            Self::Hook(request) => matches!(request, HookRequest::Run { dry_run: false, .. }),
            Self::Upgrade { .. } => true,
        }
    }
}

/// What the daemon answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Status`].
    Status(Box<StatusReport>),
    /// To [`Request::Events`], one for each event.
    Event(EventRecord),
    /// Events that this client was too slow to read.
    EventsLost {
        /// How many.
        count: u64,
    },
    /// When events are followed: those that happened so far have been sent, and the next ones are new.
    Present,
    /// The end of the events that were asked for.
    End,
    /// To [`Request::Interfaces`].
    Interfaces(InterfacesReport),
    /// To [`Request::Trackers`].
    Trackers(TrackersReport),
    /// To [`TrackerRequest::Run`].
    ProbeTrial(Box<ProbeTrial>),
    /// To [`Request::RunningConfig`].
    RunningConfig(RunningConfig),
    /// To [`Request::Explain`].
    Explanation(Box<Explanation>),
    /// To [`Request::WhatIf`].
    Forecast(Box<ForecastReport>),
    /// Before what comes next, if that takes a while.
    Patience {
        /// How long it may take, in milliseconds.
        ms: u64,
    },
    /// To [`Request::Order`].
    Order(OrderReport),
    /// To a request about a router that there is not.
    NoSuchRouter {
        /// The name that was asked for.
        router: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// To [`Request::Configuration`].
    Configuration(Box<ConfigurationAnswer>),
    /// To [`HookRequest::List`].
    Hooks(Box<HooksReport>),
    /// To [`HookRequest::Run`].
    HookTrial(Box<HookTrial>),
    /// To [`Request::Upgrade`], as soon as that is decided: refused, or about to take over.
    Upgrade(UpgradeReport),
    /// To anything that cannot be done.
    Refused(Refusal),
}

/// Why a request was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// A sentence.
    pub reason: String,
}
