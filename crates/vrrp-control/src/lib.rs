//! What is said over the control socket: one JSON object a line, a request from the client, then answers.
//!
//! The types are the contract of `vrrpctl --json`, too. Field names are kebab-case, and RFC 8347's where it has one.
//! Fields are only ever added; a reader must ignore those it does not know. This crate opens no socket.
#![forbid(unsafe_code)]

pub mod agent;
pub mod configuration;
pub mod event;
pub mod explanation;
pub mod forecast;
pub mod frame;
pub mod hook;
pub mod interfaces;
pub mod order;
pub mod peer;
pub mod request;
pub mod running;
pub mod status;
pub mod tracker;
pub mod upgrade;

pub use configuration::{
    Attempt, ChangeReport, ConfigurationAnswer, ConfigurationEntry, ConfigurationRequest,
    ConfigurationStatus, FindingReport, HistoryReport, KeyDifference, Outcome, RolledBack,
    TableDifference, TextReport, Trial,
};
pub use event::{EventRecord, EventsWanted};
pub use explanation::{Explanation, PriorityPart, ProspectReport};
pub use forecast::{
    ForecastReport, PredictedChange, PredictedRouter, PredictedStanding, Supposition,
};
pub use frame::{FrameError, MAX_REQUEST, decode, encode};
pub use hook::{HookReport, HookRequest, HookTrial, HooksReport};
pub use interfaces::{InterfaceReport, InterfaceRouter, InterfacesReport};
pub use order::{OrderOutcome, OrderReport, OrderRequest, OrderResult, StandingOrder, Successor};
pub use peer::PeerReport;
pub use request::{Answer, Refusal, Request};
pub use running::RunningConfig;
pub use status::{
    ActiveRouter, AwaitedHooks, CarpBid, CarpMember, CarpReport, Daemon, GlobalCounters,
    GroupMembership, Lateness, LatenessClass, PriorityStatus, Protection, Restart, RouterCounters,
    RouterReport, StatusReport, UnadvertisedAddress,
};

pub use tracker::{
    BfdReport, ProbeReport, ProbeRun, ProbeTrial, TrackerReport, TrackerRequest, TrackerUse,
    TrackersReport, Tracking,
};
pub use upgrade::{UpgradeReport, UpgradeStage};

/// File name of the control socket in the daemon's runtime directory.
pub const SOCKET_NAME: &str = "vrrpd.sock";

/// File name of the socket beside it on which only questions are answered.
pub const READ_ONLY_SOCKET_NAME: &str = "vrrpd-ro.sock";

/// Where the daemon keeps its socket and lock unless told otherwise.
pub const DEFAULT_RUNTIME_DIR: &str = "/run/vrrpd";

/// Version of the protocol and of the JSON documents.
pub const VERSION: u32 = 1;
