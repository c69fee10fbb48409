//! `[control]`: which groups of users may use the daemon's control sockets.

use toml::de::DeTable;

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::keys;
use crate::section::{Field, Section, kind};

/// Groups by name. Whether they exist is not known here: a file is checked on other machines than its own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Control {
    /// May ask and change.
    pub group: Option<String>,
    /// May ask.
    pub read_only_group: Option<String>,
}

/// Longest name of a group, in bytes (groupadd(8)).
const LONGEST: usize = 32;

pub(crate) fn read(root: &DeTable<'_>, findings: &mut Vec<Finding>) -> Control {
    let Some((key, value)) = root.get_key_value(keys::CONTROL_TABLE) else {
        return Control::default();
    };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("`{}` is {}", keys::CONTROL_TABLE, kind(value.get_ref()));
        findings.push(
            Finding::error(code::TYPE, key.span(), message)
                .label("expected a table")
                .help("write [control], and below it for example `group = \"netops\"`"),
        );
        return Control::default();
    };
    for (name, _) in table {
        if !keys::CONTROL.contains(&name.get_ref().as_ref()) {
            let finding = keys::unknown(
                name.get_ref(),
                name.span(),
                &keys::CONTROL,
                "the table `control`",
            );
            findings.push(finding);
        }
    }
    let section = Section {
        table,
        head: key.span(),
    };
    let [group, read_only_group] = keys::CONTROL.map(|key| group(&section, key, findings));
    Control {
        group,
        read_only_group,
    }
}

fn group(section: &Section<'_>, key: &str, findings: &mut Vec<Finding>) -> Option<String> {
    let given = match section.string(key, "netops", findings) {
        Field::Given(given) => given,
        Field::Absent | Field::Refused => return None,
    };
    let usable = !given.value.is_empty()
        && given.value.len() <= LONGEST
        && !given.value.starts_with('-')
        && given
            .value
            .chars()
            .all(|character| character.is_alphanumeric() || "._-$@".contains(character));
    if !usable {
        let message = format!("`{key}` is no name of a group: {:?}", excerpt(given.value));
        findings.push(
            Finding::error(code::GROUP, given.span, message)
                .label("not a group")
                .help("write the name of one that `getent group` shows, for example \"netops\""),
        );
        return None;
    }
    Some(given.value.to_owned())
}
