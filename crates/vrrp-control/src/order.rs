//! What operators ask of routers while the daemon runs.

use serde::{Deserialize, Serialize};

use crate::status::CarpBid;

/// What to do with a router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum OrderRequest {
    /// Another priority.
    SetPriority {
        /// 1 to 254.
        priority: u8,
        /// For how long, in milliseconds; until the daemon stops if it is absent.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// Ends another priority, a pin and a yield.
    ResetPriority,
    /// Hand over, and do not preempt the successor.
    Failover {
        /// How long to wait for the outcome, in milliseconds; as long as the protocol needs if it is absent.
        #[serde(default)]
        wait_ms: Option<u64>,
        /// Whether to stay out for a full silence although nobody took over.
        #[serde(default)]
        force: bool,
    },
    /// Hand over, and stay out as well as possible.
    Drain {
        /// For how long, in milliseconds; until it is undrained if it is absent.
        #[serde(default)]
        for_ms: Option<u64>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
        /// Whether to stay drained although nobody took over.
        #[serde(default)]
        force: bool,
    },
    /// Ends a drain.
    Undrain,
    /// Nobody preempts.
    Pin {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// An Active announces its addresses again.
    Announce,
    /// A Backup that waited for that may preempt.
    Ready,
}

/// What became of an order, router by router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OrderReport {
    /// Version of this document.
    pub version: u32,
    /// In the order of the configuration.
    pub results: Vec<OrderResult>,
    /// Why it cannot be kept for the next start of the daemon; absent when it is, or need not be.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub not_kept: Option<String>,
}

/// What became of an order to one router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OrderResult {
    /// Its name.
    pub router: String,
    /// How it ended.
    pub outcome: OrderOutcome,
    /// A sentence.
    pub text: String,
    /// Who took over; null if nobody did, or nobody was asked to.
    #[serde(default)]
    pub successor: Option<Successor>,
}

/// How an order ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum OrderOutcome {
    /// It stands, or was carried out.
    Done,
    /// It was not followed.
    Refused,
    /// It was taken back, because nobody took over.
    Unclaimed,
    /// It was still going on when the time to wait for it was over.
    Pending,
}

/// Who took over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Successor {
    /// Source of its advertisements.
    pub address: String,
    /// Its priority; with CARP, 254 less its skew.
    pub priority: u8,
    /// With CARP, what it bids; absent with VRRP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub carp: Option<CarpBid>,
    /// After how long it was heard, in microseconds.
    pub after_us: u64,
}

/// An order that stands, in the status of its router.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct StandingOrder {
    /// `drain`, `priority`, `pin` or `yield`.
    pub kind: String,
    /// `priority` only: which.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub priority: Option<u8>,
    /// Who gave it.
    pub by: String,
    /// Why; null if that was not said.
    #[serde(default)]
    pub reason: Option<String>,
    /// Since when, as RFC 3339 in UTC.
    pub since: String,
    /// When it ends by itself, as RFC 3339 in UTC; null if it does not.
    #[serde(default)]
    pub until: Option<String>,
}
