//! `[tracker.NAME]`: something beside a router's interface that it needs, and how sure one must be of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeTable;
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Hysteresis, Level, TrackerKind, TrackerPlan};

use crate::finding::{Finding, excerpt};
use crate::place::Place;
use crate::section::{Given, Section, kind};
use crate::tracked::{self, Reader};
use crate::{code, keys, name};

const HEADER: &str = "begin a tracker with [tracker.NAME]";

/// How long a delay may be.
const DELAY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1000);
/// How long a first result may take.
const START: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(1000);
/// For how long a result may be good.
const STALE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);
/// How many samples in a row may be asked for.
const COUNT: RangeInclusive<u32> = 1..=100;

/// What is known of a tracker, even when some of it is refused.
pub(crate) struct Tracker {
    pub(crate) name: Given<String>,
    /// Complete, unless an error says why not.
    pub(crate) plan: Option<TrackerPlan>,
    pub(crate) place: Place,
}

/// What holds for a tracker of this kind unless the file says something else. What the kernel says is certain; of an answer
/// that went through a network, one may be lost.
pub(crate) fn defaults(kind: &TrackerKind) -> Hysteresis {
    let (rise, fall) = match kind {
        TrackerKind::Interface { .. }
        | TrackerKind::Route { .. }
        | TrackerKind::Address { .. }
        | TrackerKind::Neighbour { .. }
        | TrackerKind::Process { .. }
        | TrackerKind::File { .. }
        | TrackerKind::Bfd { .. } => (1, 1),
        TrackerKind::Script { .. }
        | TrackerKind::Ping { .. }
        | TrackerKind::Tcp { .. }
        | TrackerKind::Http { .. }
        | TrackerKind::Dns { .. } => (2, 3),
    };
    Hysteresis {
        rise,
        fall,
        ..Hysteresis::default()
    }
}

/// Reads all trackers, in the order of the file.
pub(crate) fn read(root: &DeTable<'_>, findings: &mut Vec<Finding>) -> Vec<Tracker> {
    let Some((key, value)) = root.get_key_value(keys::TRACKER_TABLE) else {
        return Vec::new();
    };
    let shape = |span, what: String| {
        Finding::error(code::SHAPE, span, what)
            .label("expected a table with a name")
            .help(format!("{HEADER}, and write its `type` below"))
    };
    let Some(table) = value.get_ref().as_table() else {
        let what = format!("`tracker` is {}", kind(value.get_ref()));
        findings.push(shape(key.span(), what));
        return Vec::new();
    };
    let mut trackers = Vec::new();
    for (name, value) in table {
        match value.get_ref().as_table() {
            Some(content) => {
                let name = Given {
                    value: name.get_ref().clone().into_owned(),
                    span: name.span(),
                };
                trackers.push(one(name, content, findings));
            }
            None if keys::COMMON.contains(&name.get_ref().as_ref()) => {
                let what = "this tracker has no name".to_owned();
                findings.push(shape(key.span(), what));
                return Vec::new();
            }
            None => {
                let (name_text, what) = (excerpt(name.get_ref()), kind(value.get_ref()));
                let what = format!("tracker `{name_text}` is {what}");
                findings.push(shape(name.span(), what));
            }
        }
    }
    sort_by_rank(&mut trackers, |tracker| tracker.name.span.start as u64);
    trackers
}

fn one(name: Given<String>, table: &DeTable<'_>, findings: &mut Vec<Finding>) -> Tracker {
    if let Some(help) = name::unusable(&name.value, "[tracker.uplink]") {
        let message = format!(
            "\"{}\" cannot be the name of a tracker",
            excerpt(&name.value)
        );
        findings.push(
            Finding::error(code::NAME, name.span.clone(), message)
                .label("not a name")
                .help(help),
        );
    }
    let section = Section {
        table,
        head: name.span.clone(),
    };
    let place = Place::of(&section, &keys::TRACKER);
    let mut reader = Reader::new(&section, findings);
    let kind = tracked::read(&mut reader);
    let plain = kind.as_ref().map(defaults).unwrap_or_default();
    let rise = reader.count("rise", &COUNT, plain.rise);
    let fall = reader.count("fall", &COUNT, plain.fall);
    let up_delay = reader.duration("up-delay", &DELAY, Duration::ZERO);
    let down_delay = reader.duration("down-delay", &DELAY, Duration::ZERO);
    let start = reader.level("start-state", Level::Unknown);
    let start_timeout = reader.duration("start-timeout", &START, plain.start_timeout);
    // Zero is not in the range: it stands for its absence.
    let stale_after = reader.duration("stale-after", &STALE, Duration::ZERO);
    let stale = reader.level("stale-state", Level::Down);
    let hysteresis = || {
        Some(Hysteresis {
            rise: rise?,
            fall: fall?,
            up_delay: up_delay?,
            down_delay: down_delay?,
            start: start?,
            start_timeout: start_timeout?,
            stale_after: Some(stale_after?).filter(|after| !after.is_zero()),
            stale: stale?,
        })
    };
    let plan = hysteresis()
        .zip(kind)
        .map(|(hysteresis, kind)| TrackerPlan {
            name: name.value.clone(),
            hysteresis,
            kind,
        });
    Tracker { name, plan, place }
}
