//! What a change of the configuration changes, as lines that are taken away and added.

use vrrp_control::{KeyDifference, TableDifference};

use crate::page::{Look, Tone};
use crate::plain;

/// Lines that are shown unless all of them are wanted.
const SOME: usize = 40;

/// The page: a heading for each table, and below it its keys.
pub(crate) fn render(tables: &[TableDifference], look: &Look, all: bool) -> String {
    let lines: Vec<(Tone, String)> = tables.iter().flat_map(table).collect();
    let shown = if all || lines.len() <= SOME + 1 {
        lines.len()
    } else {
        SOME
    };
    let mut text: String = lines[..shown]
        .iter()
        .map(|(tone, line)| look.paint(*tone, &plain::text(line)) + "\n")
        .collect();
    if shown < lines.len() {
        let left = lines.len() - shown;
        text.push_str(&format!(" and {left} lines more; --diff shows all\n"));
    }
    text
}

fn table(table: &TableDifference) -> Vec<(Tone, String)> {
    let (sign, tone) = match table.change.as_str() {
        "added" => ('+', Tone::Good),
        "removed" => ('-', Tone::Bad),
        _ => (' ', Tone::Heading),
    };
    let mut lines = vec![(tone, format!("{sign}{}", header(table)))];
    for KeyDifference { key, old, new } in &table.keys {
        // The name of a router is no key of it, and stands in its header.
        let line = |value: &str| match key.as_str() {
            "name" => format!("  # its name was {value}"),
            _ => format!("  {key} = {value}"),
        };
        let old = old.as_ref();
        lines.extend(old.map(|old| (Tone::Bad, format!("-{}", line(old)))));
        let new = new.as_ref().filter(|_| key != "name");
        lines.extend(new.map(|new| (Tone::Good, format!("+{}", line(new)))));
    }
    lines
}

fn header(table: &TableDifference) -> String {
    match &table.router {
        None => format!("[{}]", table.table),
        // A dot would begin a table within a table.
        Some(name) if name.contains('.') => format!("[{}.\"{name}\"]", table.table),
        Some(name) => format!("[{}.{name}]", table.table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;

    fn key(key: &str, old: Option<&str>, new: Option<&str>) -> KeyDifference {
        KeyDifference {
            key: key.into(),
            old: old.map(Into::into),
            new: new.map(Into::into),
        }
    }

    fn of(change: &str, router: &str, keys: Vec<KeyDifference>) -> TableDifference {
        TableDifference {
            table: "virtual-router".into(),
            router: Some(router.into()),
            change: change.into(),
            keys,
        }
    }

    fn some() -> Vec<TableDifference> {
        vec![
            of(
                "removed",
                "old4",
                vec![key("interface", Some("\"eth0\""), None)],
            ),
            of(
                "changed",
                "wan4",
                vec![
                    key("name", Some("wan"), Some("wan4")),
                    key("priority", Some("150"), Some("90")),
                ],
            ),
            of(
                "added",
                "lan.4",
                vec![key("interface", None, Some("\"eth1\x1b[2J\""))],
            ),
            TableDifference {
                table: "control".into(),
                router: None,
                change: "changed".into(),
                keys: vec![key("group", None, Some("\"netops\""))],
            },
        ]
    }

    #[test]
    fn lines_are_taken_away_and_added() {
        insta::assert_snapshot!(render(&some(), &look(None), false));
    }

    #[test]
    fn in_colour() {
        let look = Look {
            color: true,
            ..look(Some(80))
        };
        insta::assert_snapshot!(render(&some()[1..2], &look, false).replace('\x1b', "␛"));
    }

    #[test]
    fn very_many_are_cut_unless_all_are_wanted() {
        let keys = |count: u32| {
            let keys = (0..count).map(|n| key("priority", None, Some(&n.to_string())));
            [of("added", "x", keys.collect())]
        };
        let lines = |count, all| render(&keys(count), &look(None), all).lines().count();
        assert_eq!(
            (lines(40, false), lines(41, false), lines(99, true)),
            (41, 41, 100)
        );
        let text = render(&keys(99), &look(None), false);
        assert!(
            text.ends_with(" and 60 lines more; --diff shows all\n"),
            "{text}"
        );
    }
}
