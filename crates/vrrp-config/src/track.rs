//! `track`: the trackers that a router refers to.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Effect, Track};

use crate::finding::{Finding, excerpt};
use crate::router::Router;
use crate::section::{Field, Given, Section, mismatch};
use crate::tracker::Tracker;
use crate::{code, keys};

const EXAMPLE: &str = "write for example `track = { uplink = -40, bgp = \"fault\" }`";

/// Farther than from the lowest priority to the highest nothing can lead.
const FARTHEST: i64 = 253;

/// Reads the references of a router or a group, in the order of the file.
pub(crate) fn read(section: &Section<'_>, findings: &mut Vec<Finding>) -> Field<Vec<Given<Track>>> {
    let Some(value) = section.value("track") else {
        return Field::Absent;
    };
    let Some(table) = value.get_ref().as_table() else {
        findings.push(mismatch("track", value, "a table").help(EXAMPLE));
        return Field::Refused;
    };
    let mut references: Vec<Given<Track>> = Vec::new();
    let mut refused = false;
    for (name, effect) in table {
        match reference(effect, findings) {
            Some((effect, reverse)) => references.push(Given {
                value: Track {
                    tracker: name.get_ref().clone().into_owned(),
                    effect,
                    reverse,
                    by_group: false,
                },
                span: name.span(),
            }),
            None => refused = true,
        }
    }
    if refused {
        return Field::Refused;
    }
    sort_by_rank(&mut references, |reference| reference.span.start as u64);
    Field::Given(Given {
        value: references,
        span: value.span(),
    })
}

fn reference(value: &Spanned<DeValue<'_>>, findings: &mut Vec<Finding>) -> Option<(Effect, bool)> {
    match value.get_ref().as_table() {
        Some(table) => long(value, table, findings),
        None => Some((effect(value, findings)?, false)),
    }
}

/// `{ weight = -40, reverse = true }`
fn long(
    value: &Spanned<DeValue<'_>>,
    table: &DeTable<'_>,
    findings: &mut Vec<Finding>,
) -> Option<(Effect, bool)> {
    let section = Section {
        table,
        head: value.span(),
    };
    let before = findings.len();
    for key in table.keys() {
        if !keys::TRACK.contains(&key.get_ref().as_ref()) {
            let place = "a reference to a tracker";
            let message = format!("unknown key `{}` in {place}", excerpt(key.get_ref()));
            findings.push(
                Finding::error(code::UNKNOWN_KEY, key.span(), message)
                    .label("not a key")
                    .help(format!(
                        "{place} has the keys {}",
                        keys::enumerate(&keys::TRACK)
                    )),
            );
        }
    }
    let reverse = section.boolean("reverse", findings).or(false);
    let effect = match section.value("weight") {
        Some(weight) => effect(weight, findings),
        None => {
            findings.push(
                Finding::error(code::MISSING_KEY, value.span(), "`weight` is missing")
                    .label("does nothing")
                    .help("write for example `{ weight = -40, reverse = true }` or `{ weight = \"fault\" }`"),
            );
            None
        }
    };
    Some((effect?, reverse?)).filter(|_| findings.len() == before)
}

fn effect(value: &Spanned<DeValue<'_>>, findings: &mut Vec<Finding>) -> Option<Effect> {
    if value.get_ref().as_str() == Some("fault") {
        return Some(Effect::Fault);
    }
    if value.get_ref().as_str() == Some("takeover") {
        return Some(Effect::Takeover);
    }
    let number = value.get_ref().as_integer().map(|digits| {
        let number = i64::from_str_radix(digits.as_str(), digits.radix());
        number.unwrap_or(i64::MAX)
    });
    let help = "a negative number is added to the priority while the tracker is down, a positive one while it is up; \"fault\" keeps the router out while it is down; \"takeover\", of a BFD session with the other router, lets a Backup take over as soon as that is lost";
    let finding = match number {
        Some(0) => Finding::error(code::WEIGHT, value.span(), "a weight of 0 changes nothing"),
        Some(number) if (-FARTHEST..=FARTHEST).contains(&number) => {
            return i16::try_from(number).ok().map(Effect::Weight);
        }
        Some(_) => Finding::error(code::WEIGHT, value.span(), "this weight is out of range"),
        None => Finding::error(
            code::TYPE,
            value.span(),
            "a tracker adds to the priority, is a fault, or tells of a takeover",
        ),
    };
    findings.push(
        finding
            .label("expected -253 to 253, \"fault\" or \"takeover\"")
            .help(help),
    );
    None
}

/// Reports references to trackers that are not there.
pub(crate) fn check(routers: &[Router], trackers: &[Tracker], findings: &mut Vec<Finding>) {
    let names: Vec<&str> = trackers.iter().map(|it| it.name.value.as_str()).collect();
    for reference in routers.iter().flat_map(|router| &router.track) {
        let wanted = reference.value.tracker.as_str();
        if names.contains(&wanted) {
            continue;
        }
        let shown = excerpt(wanted);
        let help = match keys::nearest(wanted, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => {
                format!("define it: [tracker.{shown}], and below it its `type`")
            }
            None => format!("the file has the trackers {}", keys::enumerate(&names)),
        };
        findings.push(
            Finding::error(
                code::UNKNOWN_TRACKER,
                reference.span.clone(),
                format!("there is no tracker `{shown}`"),
            )
            .label("not a tracker")
            .help(help),
        );
    }
}
