//! Names: of virtual routers, which we invent, and of interfaces, which Linux knows.

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::router::Router;
use crate::section::Given;

/// Words behind `vrrpctl show`: a router of that name is shown by `vrrpctl status NAME` only.
pub const SHOWN: [&str; 6] = [
    "interfaces",
    "peers",
    "config",
    "stats",
    "groups",
    "trackers",
];

/// Reports a name that no virtual router may have, or should not have.
pub(crate) fn check_router(name: &Given<String>, findings: &mut Vec<Finding>) {
    if let Some(help) = unusable(&name.value, "[virtual-router.lan4]") {
        let message = format!(
            "\"{}\" cannot be the name of a virtual router",
            excerpt(&name.value)
        );
        findings.push(
            Finding::error(code::NAME, name.span.clone(), message)
                .label("not a name")
                .help(help),
        );
    } else if SHOWN.contains(&name.value.as_str()) {
        let message = format!(
            "`vrrpctl show {0}` does not show the router `{0}`",
            name.value
        );
        findings.push(
            Finding::warning(code::NAME_IS_WORD, name.span.clone(), message)
                .label("also a word of the command line")
                .help("give it another name"),
        );
    }
}

/// Reports a name that no group may have.
pub(crate) fn check_group(name: &Given<String>, routers: &[Router], findings: &mut Vec<Finding>) {
    let shown = excerpt(&name.value);
    let refused = |message| Finding::error(code::GROUP_NAME, name.span.clone(), message);
    if let Some(help) = unusable(&name.value, "[group.edge]") {
        let message = format!("\"{shown}\" cannot be the name of a group");
        findings.push(refused(message).label("not a name").help(help));
    } else if let Some(router) = routers.iter().find(|it| it.name.value == name.value) {
        let message = format!("a group and a virtual router are called `{shown}`");
        findings.push(
            refused(message)
                .label("the group")
                .related(router.name.span.clone(), "the virtual router")
                .help("commands take either name; give the group another one"),
        );
    }
}

/// What would be right instead, if nothing can have this name.
pub(crate) fn unusable(name: &str, example: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let help = if name.chars().count() > 32 {
        "a name has at most 32 characters"
    } else if name.is_empty() {
        return Some(format!("give it a name, such as {example}"));
    } else if !name.chars().all(plain) {
        "a name consists of letters, digits, `.`, `_` and `-`"
    } else if name.starts_with('-') {
        "a name that begins with `-` would be an option on a command line"
    } else {
        return None;
    };
    Some(help.to_owned())
}

/// The name of an interface, by the rules of Linux's `dev_valid_name`.
pub(crate) fn check_interface(given: &Given<&str>, findings: &mut Vec<Finding>) -> Option<String> {
    let name = given.value;
    let help = if name.is_empty() {
        "write the name of the interface, such as \"eth0\""
    } else if name.len() > 15 {
        "Linux allows 15 bytes"
    } else if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "a name has no blanks or control characters, and each virtual router has one interface"
    } else if name.contains(['/', ':', '%']) {
        "a name has no `/`, `:` or `%`"
    } else if matches!(name, "." | "..") {
        "write the name that `ip link` shows"
    } else {
        return Some(name.to_owned());
    };
    let message = format!("no interface can be called \"{}\"", excerpt(name));
    findings.push(
        Finding::error(code::INTERFACE, given.span.clone(), message)
            .label("not an interface name")
            .help(help),
    );
    None
}
