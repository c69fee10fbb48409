//! `[group.NAME]`: virtual routers that are Active together or not at all.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;
use vrrp_proto::gather::sort_by_rank;
use vrrp_proto::{Dialect, Track};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::keys;
use crate::name;
use crate::router::Router;
use crate::section::{Given, Section, kind};
use crate::track;

const HEADER: &str =
    "write for example [group.edge], and below it `members = [\"lan4\", \"wan4\"]`";

/// Reads all groups, and tells the routers which one they are members of.
pub(crate) fn read(root: &DeTable<'_>, routers: &mut [Router], findings: &mut Vec<Finding>) {
    let Some((key, value)) = root.get_key_value(keys::GROUP_TABLE) else {
        return;
    };
    let wrong = |span: Range<usize>, what: String| {
        Finding::error(code::TYPE, span, what)
            .label("expected a table with a name")
            .help(HEADER)
    };
    let Some(table) = value.get_ref().as_table() else {
        let what = format!("`{}` is {}", keys::GROUP_TABLE, kind(value.get_ref()));
        findings.push(wrong(key.span(), what));
        return;
    };
    // The tree is sorted by name.
    let mut named: Vec<_> = table.iter().collect();
    sort_by_rank(&mut named, |(name, _)| name.span().start as u64);
    let mut taken = BTreeMap::new();
    for (name, value) in named {
        let Some(table) = value.get_ref().as_table() else {
            let what = format!("`{}` is {}", excerpt(name.get_ref()), kind(value.get_ref()));
            findings.push(wrong(name.span(), what));
            continue;
        };
        let name = Given {
            value: name.get_ref().to_string(),
            span: name.span(),
        };
        name::check_group(&name, routers, findings);
        let section = Section {
            table,
            head: name.span.clone(),
        };
        group(&name, &section, routers, &mut taken, findings);
    }
}

/// Which group a router is a member of, and where that is said.
type Taken = BTreeMap<String, (String, Range<usize>)>;

fn group(
    name: &Given<String>,
    section: &Section<'_>,
    routers: &mut [Router],
    taken: &mut Taken,
    findings: &mut Vec<Finding>,
) {
    for (key, _) in section.table {
        if !keys::GROUP.contains(&key.get_ref().as_ref()) {
            let finding = keys::unknown(key.get_ref(), key.span(), &keys::GROUP, "a group");
            findings.push(finding);
        }
    }
    if section.value("members").is_none() {
        let meant = |key: &str| keys::meant(key, &keys::GROUP) == Some("members");
        if !section.table.keys().any(|key| meant(key.get_ref())) {
            findings.push(
                Finding::error(code::MISSING_KEY, name.span.clone(), "`members` is missing")
                    .label("this group is incomplete")
                    .help("add for example `members = [\"lan4\", \"wan4\"]`"),
            );
        }
        return;
    }
    let Some(list) = section.strings("members", "lan4", findings).into_given() else {
        return;
    };
    let references = track::read(section, findings).into_given();
    let mut members = Vec::new();
    for given in &list.value {
        let first = members.first().copied();
        let index = member(name, given, routers, taken, findings);
        members.extend(index.filter(|index| comparable(first, *index, given, routers, findings)));
    }
    if let Some(references) = references {
        track_together(name, references.value, &members, routers, findings);
    }
    for index in &members {
        if let Some(plan) = &mut routers[*index].plan {
            plan.group = Some(name.value.clone());
        }
    }
    if list.value.len() < 2 {
        let few = if list.value.is_empty() {
            "no member"
        } else {
            "one member only"
        };
        findings.push(
            Finding::warning(
                code::GROUP_SMALL,
                list.span.clone(),
                format!("group `{}` has {few}", excerpt(&name.value)),
            )
            .label("nothing moves together")
            .help("list the routers that have to be Active together, or remove the group"),
        );
    }
    unequal(name, &list.span, &members, routers, findings);
}

/// What all members track because their group does.
fn track_together(
    name: &Given<String>,
    references: Vec<Given<Track>>,
    members: &[usize],
    routers: &mut [Router],
    findings: &mut Vec<Finding>,
) {
    for (position, index) in members.iter().enumerate() {
        let router = &mut routers[*index];
        let Some(plan) = &mut router.plan else {
            continue;
        };
        for reference in &references {
            let tracker = &reference.value.tracker;
            if plan.track.iter().any(|own| own.tracker == *tracker) {
                let (group, shown) = (excerpt(&name.value), excerpt(tracker));
                let member = excerpt(&router.name.value);
                let message =
                    format!("group `{group}` and its member `{member}` both track `{shown}`");
                findings.push(
                    Finding::error(code::GROUP_TRACK, reference.span.clone(), message)
                        .label("which of them counts?")
                        .related(router.place.value("track"), "tracked here, too")
                        .help(
                            "what a group tracks counts for all members; remove it from the member",
                        ),
                );
                continue;
            }
            plan.track.push(Track {
                by_group: true,
                ..reference.value.clone()
            });
        }
        // Whether they exist is asked once.
        if position == 0 {
            router.track.extend(references.iter().cloned());
        }
    }
}

/// The router that is meant, if it can be a member.
fn member(
    group: &Given<String>,
    given: &Given<&str>,
    routers: &[Router],
    taken: &mut Taken,
    findings: &mut Vec<Finding>,
) -> Option<usize> {
    let refused = |message: String| Finding::error(code::GROUP_MEMBER, given.span.clone(), message);
    let shown = excerpt(given.value);
    let Some(index) = routers
        .iter()
        .position(|router| router.name.value == given.value)
    else {
        let names: Vec<&str> = routers.iter().map(|it| it.name.value.as_str()).collect();
        let help = match keys::nearest(given.value, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "members are virtual routers of this file: {}",
                keys::enumerate(&names)
            ),
        };
        findings.push(
            refused(format!("there is no virtual router `{shown}`"))
                .label("not a router")
                .help(help),
        );
        return None;
    };
    if let Some((other, first)) = taken.get(given.value) {
        let (message, label) = if *other == group.value {
            (format!("`{shown}` is listed twice"), "listed first here")
        } else {
            (
                format!("`{shown}` is a member of two groups"),
                "a member already here",
            )
        };
        findings.push(
            refused(message)
                .label("a member already")
                .related(first.clone(), label)
                .help("a router moves with one group; put all that move together into one"),
        );
        return None;
    }
    taken.insert(
        given.value.to_owned(),
        (group.value.clone(), given.span.clone()),
    );
    let router = &routers[index];
    if router
        .plan
        .as_ref()
        .is_some_and(|plan| plan.priority.is_owner())
    {
        findings.push(
            refused(format!(
                "`{shown}` owns its addresses and cannot be a member"
            ))
            .label("priority 255")
            .related(router.place.value("priority"), "an owner is always Active")
            .help("give it a priority of at most 254, and addresses that no interface has"),
        );
        return None;
    }
    Some(index)
}

/// Whether this router elects as the `first` member does. A group has one priority, or with CARP one bid: were it another one on
/// each link, two groups might each be better than the other somewhere, and go round in circles.
fn comparable(
    first: Option<usize>,
    index: usize,
    given: &Given<&str>,
    routers: &[Router],
    findings: &mut Vec<Finding>,
) -> bool {
    let Some(first) = first.map(|first| &routers[first]) else {
        return true;
    };
    let this = &routers[index];
    let speaks_carp = |router: &Router| router.dialect == Some(Dialect::Carp);
    let refused = |message: String| Finding::error(code::GROUP_MEMBER, given.span.clone(), message);
    let [shown, other] = [this, first].map(|router| excerpt(&router.name.value));
    if speaks_carp(this) != speaks_carp(first) {
        let carp = if speaks_carp(this) { this } else { first };
        let message = format!("`{shown}` and `{other}` cannot be members of one group");
        findings.push(
            refused(message)
                .label("one speaks CARP, and the other VRRP")
                .related(carp.place.value("protocol"), "CARP")
                .help("a priority and an advskew have no order between them; make a group of each"),
        );
        return false;
    }
    let (Some(one), Some(two)) = (&first.plan, &this.plan) else {
        return true;
    };
    let (Some(ours), Some(theirs)) = (one.carp, two.carp) else {
        return true;
    };
    let differs = [
        ("advbase", one.interval != two.interval),
        ("carp-profile", ours.profile != theirs.profile),
    ];
    for (key, _) in differs.into_iter().filter(|(_, differs)| *differs) {
        findings.push(
            refused(format!("`{shown}` has another `{key}` than `{other}`"))
                .label("not comparable")
                .related(this.place.value(key), "of this one")
                .related(first.place.value(key), "of the other")
                .help(format!("members of a group with CARP bid the same everywhere; give all of them the same `{key}`")),
        );
    }
    true
}

/// What works, and is not what most people want.
fn unequal(
    name: &Given<String>,
    span: &Range<usize>,
    members: &[usize],
    routers: &[Router],
    findings: &mut Vec<Finding>,
) {
    let plans: Vec<_> = members
        .iter()
        .filter_map(|index| Some((routers[*index].plan.as_ref()?, &routers[*index].place)))
        .collect();
    let group = excerpt(&name.value);
    let lowest = plans.iter().min_by_key(|(plan, _)| plan.priority);
    if let Some((lowest, place)) = lowest
        && plans
            .iter()
            .any(|(plan, _)| plan.priority != lowest.priority)
    {
        findings.push(match lowest.carp {
            None => Finding::warning(
                code::GROUP_PRIORITY,
                span.clone(),
                format!("members of group `{group}` have different priorities"),
            )
            .label(format!("all of them advertise {}", lowest.priority))
            .related(place.value("priority"), "the lowest")
            .help("the lowest priority counts for the whole group; give all members the same"),
            Some(carp) => Finding::warning(
                code::GROUP_PRIORITY,
                span.clone(),
                format!("members of group `{group}` have different skews"),
            )
            .label(format!("all of them advertise {}", carp.advskew))
            .related(place.value("advskew"), "the highest")
            .help("the highest `advskew` counts for the whole group; give all members the same"),
        });
    }
    let slowest = plans.iter().max_by_key(|(plan, _)| plan.interval);
    if let Some((slowest, place)) = slowest
        && slowest.carp.is_none()
        && plans
            .iter()
            .any(|(plan, _)| plan.interval != slowest.interval)
    {
        findings.push(
            Finding::warning(
                code::GROUP_INTERVAL,
                span.clone(),
                format!("members of group `{group}` have different intervals"),
            )
            .label(format!(
                "it notices a silence as late as `{}` does",
                excerpt(&slowest.name)
            ))
            .related(place.value("advertise-interval"), "the longest")
            .help("give all members the same `advertise-interval`"),
        );
    }
    let (off, on): (Vec<_>, Vec<_>) = plans.iter().partition(|(plan, _)| !plan.preempt);
    if let ([(off, place), ..], [_, ..]) = (&off[..], &on[..]) {
        findings.push(
            Finding::warning(
                code::GROUP_PREEMPT,
                span.clone(),
                format!("not all members of group `{group}` preempt"),
            )
            .label("so none of them does")
            .related(
                place.value("preempt"),
                format!("`{}` does not", excerpt(&off.name)),
            )
            .help("give all members the same `preempt`"),
        );
    }
}
