//! Sync groups: who moves together, and what holds them up.

use serde_json::Value;
use vrrp_control::{GroupMembership, RouterReport, StatusReport};

use crate::client::Client;
use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page, Tone};
use crate::plain;
use crate::status::{self, state};
use crate::table::{self, Cell, Column};

const COLUMNS: [Column; 6] = [
    column("GROUP", false, Some(8)),
    column("STATE", false, None),
    column("PRIO", true, None),
    column("MEMBER", false, Some(8)),
    column("INTERFACE", false, Some(8)),
    column("OWN PRIO", true, None),
];

const fn column(title: &'static str, right: bool, least: Option<usize>) -> Column {
    Column {
        title,
        right,
        least,
    }
}

/// `vrrpctl show groups`.
pub(crate) fn run(client: &Client, page: &mut Page) -> Result<(), Failure> {
    let (report, _) = status::fetch(client)?;
    if page.look.json {
        return page.document(&document(&report));
    }
    let text = render(&report, &page.look);
    page.text(&text)
}

/// A member and what it says about its group.
type Member<'a> = (&'a RouterReport, &'a GroupMembership);

/// The groups, in the order of their first members.
fn groups(report: &StatusReport) -> Vec<Vec<Member<'_>>> {
    let mut groups: Vec<Vec<Member<'_>>> = Vec::new();
    let members = report
        .routers
        .iter()
        .filter_map(|router| Some((router, router.group.as_ref()?)));
    for member in members {
        let same = |group: &&mut Vec<Member<'_>>| group[0].1.name == member.1.name;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(member),
            None => groups.push(vec![member]),
        }
    }
    groups
}

fn document(report: &StatusReport) -> Value {
    let member = |(router, group): &Member<'_>| {
        json::object([
            ("name", router.name.clone().into()),
            ("interface", router.interface.clone().into()),
            ("state", router.state.clone().into()),
            ("own-priority", group.own_priority.into()),
            ("faults", router.faults.clone().into()),
            ("waits-for", group.waits_for.clone().into()),
        ])
    };
    let group = |members: &Vec<Member<'_>>| {
        let (router, group) = members[0];
        json::object([
            ("name", group.name.clone().into()),
            ("state", router.state.clone().into()),
            ("priority", router.priority.effective.into()),
            ("members", members.iter().map(member).collect()),
        ])
    };
    json::object([
        ("version", report.version.into()),
        ("groups", groups(report).iter().map(group).collect()),
    ])
}

/// The page.
fn render(report: &StatusReport, look: &Look) -> String {
    let groups = groups(report);
    if look.brief {
        let line = |members: &Vec<Member<'_>>| {
            let (router, group) = members[0];
            let state = plain::text(&router.state.to_uppercase());
            format!(
                "{} {state} {}\n",
                plain::text(&group.name),
                status::strength(router)
            )
        };
        return groups.iter().map(line).collect();
    }
    if groups.is_empty() {
        return "no router is a member of a group; [group.NAME] in the configuration makes one\n"
            .to_owned();
    }
    let mut rows = Vec::new();
    let mut remarks = Vec::new();
    for members in &groups {
        for (index, (router, group)) in members.iter().enumerate() {
            rows.push(row(index == 0, router, group));
            remarks.extend(remark(router, group));
        }
    }
    let mut text = table::render(look, &COLUMNS, &rows);
    if !remarks.is_empty() {
        text.push('\n');
    }
    for remark in remarks {
        let mark = look.paint(Tone::Bad, "!");
        text.push_str(&format!("{mark} {}\n", plain::text(&remark)));
    }
    text
}

fn row(first: bool, router: &RouterReport, group: &GroupMembership) -> (Cell, Vec<Cell>) {
    let (word, tone) = state(router);
    let once = |text: String| if first { text } else { String::new() };
    let cells = vec![
        once(plain::text(&group.name)).into(),
        Cell {
            text: once(word),
            tone,
        },
        once(status::strength(router)).into(),
        plain::text(&router.name).into(),
        plain::text(&router.interface).into(),
        own(router, group).into(),
    ];
    (String::new().into(), cells)
}

/// Its priority without the group, or with CARP the skew that is configured.
fn own(router: &RouterReport, group: &GroupMembership) -> String {
    let skew = router
        .carp
        .as_ref()
        .map(|carp| format!("skew {}", carp.advskew));
    skew.unwrap_or_else(|| group.own_priority.to_string())
}

/// What keeps a group from taking part, or from taking over, said once.
fn remark(router: &RouterReport, group: &GroupMembership) -> Option<String> {
    let (name, other) = (&group.name, group.waits_for.as_deref());
    let derived = format!("group {name}: ");
    let own = router
        .faults
        .iter()
        .find(|fault| !fault.starts_with(&derived));
    if let Some(fault) = own {
        return Some(format!("{name}: {}: {fault}", router.name));
    }
    other.map(|other| {
        format!(
            "{name}: {} hears nobody, but {other} hears an Active that it leaves alone",
            router.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{look, report};

    /// lan4 and lan6 are one group, and guest4, which has no carrier, another one with voice6.
    fn grouped() -> StatusReport {
        let mut report = report();
        let membership = |name: &str, own_priority, lowest: &str| {
            Some(GroupMembership {
                name: name.into(),
                own_priority,
                lowest: lowest.into(),
                waits_for: None,
            })
        };
        report.routers[0].group = membership("lan", 200, "lan4");
        report.routers[1].group = membership("lan", 210, "lan4");
        report.routers[2].group = membership("guests", 110, "voice6");
        report.routers[3].group = membership("guests", 110, "voice6");
        report
    }

    #[test]
    fn groups_on_a_terminal() {
        insta::assert_snapshot!(render(&grouped(), &look(Some(80))));
    }

    #[test]
    fn a_member_that_holds_the_other_up() {
        let mut report = grouped();
        report.routers[3].faults.clear();
        if let Some(group) = &mut report.routers[3].group {
            group.waits_for = Some("voice6".into());
        }
        insta::assert_snapshot!(render(&report, &look(None)));
    }

    #[test]
    fn groups_for_programs() {
        insta::assert_snapshot!(json::pretty(&document(&grouped())));
    }

    #[test]
    fn no_group_says_how_to_make_one() {
        assert!(render(&report(), &look(Some(80))).contains("[group.NAME]"));
    }
}
