//! Names: of virtual routers, which we invent, and of interfaces, which Linux knows.

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::Given;

/// Words behind `vrrpctl show`: a router of that name is shown by `vrrpctl status NAME` only.
pub const SHOWN: [&str; 4] = ["interfaces", "peers", "config", "stats"];

/// Reports a name that no virtual router may have, or should not have.
pub(crate) fn check_router(name: &Given<String>, findings: &mut Vec<Finding>) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let help = if name.value.chars().count() > 32 {
        "a name has at most 32 characters"
    } else if name.value.is_empty() {
        "give it a name, such as [virtual-router.lan4]"
    } else if !name.value.chars().all(plain) {
        "a name consists of letters, digits, `.`, `_` and `-`"
    } else if name.value.starts_with('-') {
        "a name that begins with `-` would be an option on a command line"
    } else {
        if SHOWN.contains(&name.value.as_str()) {
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
        return;
    };
    let message = format!(
        "\"{}\" cannot be the name of a virtual router",
        excerpt(&name.value)
    );
    findings.push(
        Finding::error(code::NAME, name.span.clone(), message)
            .label("not a name")
            .help(help),
    );
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
