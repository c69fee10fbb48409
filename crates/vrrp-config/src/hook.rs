//! `[hook.NAME]`: what is run, written or posted when something happens.

use std::ops::Range;
use std::time::Duration;

use toml::de::DeTable;
use vrrp_proto::gather::sort_by_rank;

use crate::code;
use crate::finding::{Finding, Severity, excerpt};
use crate::keys;
use crate::listing::quoted;
use crate::pre_active;
use crate::section::{Field, Given, Section, kind};

/// What a hook may hear of, in the order of the documentation.
pub const HOOK_EVENTS: [&str; 8] = [
    "active",
    "backup",
    "fault",
    "stop",
    pre_active::EVENT,
    "start",
    "conflict",
    "tracker",
];

/// What it hears of unless told otherwise: how things stand.
const DEFAULT_EVENTS: [&str; 4] = ["active", "backup", "fault", "stop"];

/// Types of hooks.
const TYPES: [&str; 3] = ["exec", "fifo", "webhook"];

/// Capabilities that a hook may have.
const CAPABILITIES: [&str; 3] = ["net-admin", "net-raw", "net-bind-service"];

/// How long a run may take unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The limits of that.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// A hook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HookPlan {
    /// Its name.
    pub name: String,
    /// What it hears of: some of [`HOOK_EVENTS`].
    pub on: Vec<String>,
    /// The routers and groups it is for, by name; empty for all.
    pub routers: Vec<String>,
    /// What is done.
    pub action: HookDeed,
    /// How long one run may take.
    pub timeout: Duration,
    /// How long addresses wait for it, if it hears of `pre-active`.
    pub pre_active_timeout: Duration,
    /// Whether states that are over before it could hear of them are left out.
    pub coalesce: bool,
}

/// What a hook does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HookDeed {
    /// A program is run.
    Exec {
        /// Its path, which is absolute, and its arguments.
        command: Vec<String>,
        /// Whether keepalived's arguments follow.
        keepalived: bool,
        /// Who runs it; the daemon's own user if absent.
        user: Option<String>,
        /// Capabilities that it has, in the words of the file.
        capabilities: Vec<String>,
    },
    /// A line is written to a FIFO.
    Fifo {
        /// Its path, which is absolute.
        path: String,
    },
    /// The event is posted.
    Webhook {
        /// `http://host[:port][/path]`.
        url: String,
    },
}

/// A hook, and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// What it is.
    pub plan: HookPlan,
    /// The bytes of its name in its header.
    pub head: Range<usize>,
    /// The bytes of `command`, or of the header.
    pub command: Range<usize>,
}

/// Reads all hooks, in the order of the file. `known` are the names of routers and groups.
pub(crate) fn read(root: &DeTable<'_>, known: &[&str], findings: &mut Vec<Finding>) -> Vec<Hook> {
    let Some((key, value)) = root.get_key_value(keys::HOOK_TABLE) else {
        return Vec::new();
    };
    let header = "write for example [hook.notify], and its keys below";
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("`{}` is {}", keys::HOOK_TABLE, kind(value.get_ref()));
        findings.push(
            Finding::error(code::TYPE, key.span(), message)
                .label("expected a table with a name")
                .help(header),
        );
        return Vec::new();
    };
    let mut hooks = Vec::new();
    for (name, value) in table {
        let shown = excerpt(name.get_ref());
        let Some(content) = value.get_ref().as_table() else {
            let message = if keys::HOOK.contains(&name.get_ref().as_ref()) {
                "this hook has no name".to_owned()
            } else {
                format!("hook `{shown}` is {}", kind(value.get_ref()))
            };
            findings.push(
                Finding::error(code::HOOK, name.span(), message)
                    .label("expected a table with a name")
                    .help(header),
            );
            continue;
        };
        let section = Section {
            table: content,
            head: name.span(),
        };
        if !is_name(name.get_ref()) {
            let message = format!("\"{shown}\" cannot be the name of a hook");
            findings.push(
                Finding::error(code::HOOK, name.span(), message)
                    .label("not a name")
                    .help("1 to 32 letters, digits, `.`, `_` and `-`, not beginning with `-`"),
            );
        }
        hooks.extend(one(name.get_ref(), &section, known, findings));
    }
    // The tree is sorted by name.
    sort_by_rank(&mut hooks, |hook| hook.head.start as u64);
    hooks
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=32).contains(&name.len()) && !name.starts_with('-') && name.chars().all(plain)
}

fn one(
    name: &str,
    section: &Section<'_>,
    known: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Hook> {
    for key in section.table.keys() {
        if !keys::HOOK.contains(&key.get_ref().as_ref()) {
            let place = "a hook";
            findings.push(keys::unknown(key.get_ref(), key.span(), &keys::HOOK, place));
        }
    }
    let before = findings.len();
    let kind = choice(section, "type", &TYPES, "exec", findings);
    let on = words(section, "on", &HOOK_EVENTS, &DEFAULT_EVENTS, findings);
    let routers = routers(section, known, findings);
    let timeout = timeout(section, findings);
    let pre_active_timeout = pre_active::timeout(section, on.as_deref(), findings);
    let coalesce = section.boolean("coalesce", findings).or(true);
    let kind = kind?;
    foreign_to(section, kind, findings);
    let action = match kind {
        "fifo" => path(section, findings).map(|path| HookDeed::Fifo { path }),
        "webhook" => url(section, findings).map(|url| HookDeed::Webhook { url }),
        _ => exec(section, findings),
    };
    let wrong = |finding: &Finding| finding.severity == Severity::Error;
    if findings[before..].iter().any(wrong) {
        return None;
    }
    Some(Hook {
        plan: HookPlan {
            name: name.to_owned(),
            on: on?,
            routers: routers?,
            action: action?,
            timeout: timeout?,
            pre_active_timeout: pre_active_timeout?,
            coalesce: coalesce?,
        },
        head: section.head.clone(),
        command: section
            .value("command")
            .map_or_else(|| section.head.clone(), |value| value.span()),
    })
}

/// Keys that have no meaning for a hook of this type.
fn foreign_to(section: &Section<'_>, kind: &str, findings: &mut Vec<Finding>) {
    let of: &[(&str, &str)] = &[
        ("command", "exec"),
        ("arguments", "exec"),
        ("user", "exec"),
        ("capabilities", "exec"),
        ("path", "fifo"),
        ("url", "webhook"),
    ];
    for (key, whose) in of {
        if *whose != kind && section.value(key).is_some() {
            let message = format!("`{key}` has no meaning for a hook of type \"{kind}\"");
            findings.push(
                Finding::error(code::HOOK, section.place(key), message)
                    .label(format!("of hooks of type \"{whose}\""))
                    .help(format!("remove it, or write `type = \"{whose}\"`")),
            );
        }
    }
}

fn choice<'w>(
    section: &Section<'_>,
    key: &str,
    words: &[&'w str],
    default: &'w str,
    findings: &mut Vec<Finding>,
) -> Option<&'w str> {
    let given = match section.string(key, default, findings) {
        Field::Given(given) => given,
        Field::Absent => return Some(default),
        Field::Refused => return None,
    };
    let found = words.iter().find(|word| **word == given.value);
    if found.is_none() {
        let message = format!("unknown {key} \"{}\" of a hook", excerpt(given.value));
        let help = match keys::nearest(given.value, words) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write one of {}", keys::enumerate(words)),
        };
        findings.push(
            Finding::error(code::CHOICE, given.span, message)
                .label("not one of them")
                .help(help),
        );
    }
    found.copied()
}

/// A list of which each element is one of `words`; not empty.
fn words(
    section: &Section<'_>,
    key: &str,
    words: &[&str],
    default: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Vec<String>> {
    let given = match section.strings(key, words[0], findings) {
        Field::Given(given) => given,
        Field::Absent => return Some(default.iter().map(|word| (*word).to_owned()).collect()),
        Field::Refused => return None,
    };
    if given.value.is_empty() && !default.is_empty() {
        let message = format!("`{key}` lists nothing");
        findings.push(
            Finding::error(code::HOOK, given.span, message)
                .label("empty")
                .help(format!(
                    "list some of {}, or remove the key",
                    keys::enumerate(words)
                )),
        );
    }
    let mut all: Vec<String> = Vec::new();
    for Given { value, span } in given.value {
        if !words.contains(&value) {
            let help = match (value, keys::nearest(value, words)) {
                ("master" | "MASTER", _) => "it is called \"active\"".to_owned(),
                (_, Some(near)) => format!("did you mean \"{near}\"?"),
                (_, None) => format!("write some of {}", keys::enumerate(words)),
            };
            let message = format!("\"{}\" is nothing that `{key}` can list", excerpt(value));
            findings.push(
                Finding::error(code::CHOICE, span, message)
                    .label("not one of them")
                    .help(help),
            );
        } else if !all.iter().any(|word| word == value) {
            all.push(value.to_owned());
        }
    }
    Some(all)
}

fn routers(
    section: &Section<'_>,
    known: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Vec<String>> {
    let given = match section.strings("routers", "lan4", findings) {
        Field::Given(given) => given,
        Field::Absent => return Some(Vec::new()),
        Field::Refused => return None,
    };
    if given.value.is_empty() {
        findings.push(
            Finding::error(code::HOOK, given.span, "`routers` lists nobody")
                .label("empty")
                .help("remove the key for all of them"),
        );
        return None;
    }
    for Given { value, span } in &given.value {
        if !known.contains(value) {
            let help = match keys::nearest(value, known) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "write the name of a virtual router or a group of this file".to_owned(),
            };
            let message = format!("there is no virtual router or group \"{}\"", excerpt(value));
            findings.push(
                Finding::error(code::HOOK, span.clone(), message)
                    .label("not in this file")
                    .help(help),
            );
        }
    }
    Some(
        given
            .value
            .into_iter()
            .map(|it| it.value.to_owned())
            .collect(),
    )
}

fn timeout(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<Duration> {
    let given = match section.string("timeout", "30s", findings) {
        Field::Given(given) => given,
        Field::Absent => return Some(TIMEOUT),
        Field::Refused => return None,
    };
    let refused = |code, message: String, help: String| {
        Finding::error(code, given.span.clone(), message)
            .label("not usable")
            .help(help)
    };
    match crate::duration::parse(given.value) {
        Ok(timeout) if (TIMEOUTS.0..=TIMEOUTS.1).contains(&timeout) => Some(timeout),
        Ok(_) => {
            findings.push(refused(
                code::DURATION_RANGE,
                "the timeout of a hook is out of range".to_owned(),
                "\"100ms\" to \"3600s\"".to_owned(),
            ));
            None
        }
        Err(help) => {
            let message = format!("\"{}\" is not a duration", excerpt(given.value));
            findings.push(refused(code::DURATION, message, help));
            None
        }
    }
}

fn exec(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<HookDeed> {
    let example = "/usr/local/lib/vrrpd/notify";
    let command = match section.strings("command", example, findings) {
        Field::Given(given) => given,
        Field::Absent => {
            findings.push(missing(section, "command", &format!("[\"{example}\"]")));
            return None;
        }
        Field::Refused => return None,
    };
    match command.value.first() {
        Some(program) if is_path(program.value) => {}
        first => {
            let span = first.map_or_else(|| command.span.clone(), |it| it.span.clone());
            let help = match first {
                Some(given) if given.value.contains(' ') => {
                    "write the path of the program, and each of its arguments in quotes of its own; no shell reads it"
                        .to_owned()
                }
                Some(_) | None => format!("write its absolute path, such as \"{example}\""),
            };
            findings.push(
                Finding::error(
                    code::HOOK,
                    span,
                    "`command` does not begin with the path of a program",
                )
                .label("not an absolute path")
                .help(help),
            );
        }
    }
    for argument in &command.value {
        if argument.value.contains('\0') {
            findings.push(
                Finding::error(
                    code::HOOK,
                    argument.span.clone(),
                    "an argument has a zero byte",
                )
                .label("no program can be told that")
                .help("remove it"),
            );
        }
    }
    let arguments = choice(
        section,
        "arguments",
        &["none", "keepalived"],
        "none",
        findings,
    );
    let capabilities = words(section, "capabilities", &CAPABILITIES, &[], findings);
    let user = match section.string("user", "nobody", findings) {
        Field::Given(given) if is_user(given.value) => Some(given.value.to_owned()),
        Field::Given(given) => {
            let message = format!("no user can be called \"{}\"", excerpt(given.value));
            findings.push(
                Finding::error(code::HOOK, given.span, message)
                    .label("not a user")
                    .help("write the name of one that `getent passwd` shows"),
            );
            None
        }
        Field::Absent | Field::Refused => None,
    };
    Some(HookDeed::Exec {
        command: command
            .value
            .into_iter()
            .map(|it| it.value.to_owned())
            .collect(),
        keepalived: arguments? == "keepalived",
        user,
        capabilities: capabilities?,
    })
}

fn is_user(name: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "._-$@".contains(c);
    (1..=32).contains(&name.len()) && !name.starts_with('-') && name.chars().all(plain)
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.ends_with('/') && !text.contains(char::is_control)
}

fn path(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<String> {
    match section.string("path", "/run/vrrpd/notify.fifo", findings) {
        Field::Given(given) if is_path(given.value) => Some(given.value.to_owned()),
        Field::Given(given) => {
            findings.push(
                Finding::error(code::HOOK, given.span, "`path` is not the path of a FIFO")
                    .label("not an absolute path")
                    .help("write for example \"/run/vrrpd/notify.fifo\", which mkfifo(1) makes"),
            );
            None
        }
        Field::Absent => {
            findings.push(missing(section, "path", "\"/run/vrrpd/notify.fifo\""));
            None
        }
        Field::Refused => None,
    }
}

fn url(section: &Section<'_>, findings: &mut Vec<Finding>) -> Option<String> {
    let example = "http://127.0.0.1:8080/vrrp";
    let given = match section.string("url", example, findings) {
        Field::Given(given) => given,
        Field::Absent => {
            findings.push(missing(section, "url", &format!("\"{example}\"")));
            return None;
        }
        Field::Refused => return None,
    };
    let rest = given.value.strip_prefix("http://");
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let plain = !given
        .value
        .contains(|c: char| c.is_whitespace() || c.is_control());
    if plain && host.is_some_and(|host| !host.is_empty() && !host.contains('@')) {
        return Some(given.value.to_owned());
    }
    let help = if given.value.starts_with("https://") {
        "a webhook is posted in the clear to a relay on this host or its network, which speaks TLS to others"
    } else {
        "write for example \"http://127.0.0.1:8080/vrrp\""
    };
    findings.push(
        Finding::error(
            code::HOOK,
            given.span,
            "`url` is nothing that can be posted to",
        )
        .label("not a URL of a relay")
        .help(help),
    );
    None
}

fn missing(section: &Section<'_>, key: &str, example: &str) -> Finding {
    Finding::error(
        code::MISSING_KEY,
        section.head.clone(),
        format!("this hook has no `{key}`"),
    )
    .label("incomplete")
    .help(format!("write `{key} = {example}`"))
}

/// The keys of a hook with their values in TOML, and whether each is what holds when nobody says it.
#[must_use]
pub fn hook_settings(hook: &HookPlan) -> Vec<(&'static str, String, bool)> {
    let list = |words: &[String]| {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("[{}]", words.join(", "))
    };
    let mut all = Vec::new();
    let kind = match &hook.action {
        HookDeed::Exec { .. } => "exec",
        HookDeed::Fifo { .. } => "fifo",
        HookDeed::Webhook { .. } => "webhook",
    };
    all.push(("type", quoted(kind), kind == "exec"));
    all.push(("on", list(&hook.on), hook.on == DEFAULT_EVENTS));
    all.push(("routers", list(&hook.routers), hook.routers.is_empty()));
    match &hook.action {
        HookDeed::Exec {
            command,
            keepalived,
            user,
            capabilities,
        } => {
            all.push(("command", list(command), false));
            let arguments = if *keepalived { "keepalived" } else { "none" };
            all.push(("arguments", quoted(arguments), !keepalived));
            if let Some(user) = user {
                all.push(("user", quoted(user), false));
            }
            all.push(("capabilities", list(capabilities), capabilities.is_empty()));
        }
        HookDeed::Fifo { path } => all.push(("path", quoted(path), false)),
        HookDeed::Webhook { url } => all.push(("url", quoted(url), false)),
    }
    let timeout = quoted(&crate::duration::show(hook.timeout));
    all.push(("timeout", timeout, hook.timeout == TIMEOUT));
    let waits = hook.pre_active_timeout;
    all.push((
        "pre-active-timeout",
        quoted(&crate::duration::show(waits)),
        waits == pre_active::TIMEOUT,
    ));
    all.push(("coalesce", hook.coalesce.to_string(), hook.coalesce));
    all
}

/// The hooks as a file would say it; with `defaults`, what nobody said stands there as comments.
#[must_use]
pub fn hook_listing(hooks: &[HookPlan], defaults: bool) -> String {
    let mut text = String::new();
    for hook in hooks {
        let name = if hook.name.contains('.') {
            quoted(&hook.name)
        } else {
            hook.name.clone()
        };
        text.push_str(&format!("\n[{}.{name}]\n", keys::HOOK_TABLE));
        for (key, value, is_default) in hook_settings(hook) {
            match (is_default, defaults) {
                (false, _) => text.push_str(&format!("{key} = {value}\n")),
                (true, true) => text.push_str(&format!("# {key} = {value}\n")),
                (true, false) => {}
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::parse;

    const ROUTER: &str = "[virtual-router.wan4]\ninterface = \"eth0\"\nvrid = 10\naddresses = [\"192.0.2.254/24\"]\n";

    fn hooks(text: &str) -> Vec<super::HookPlan> {
        let config = parse(&format!("{ROUTER}{text}")).unwrap();
        config.hooks.into_iter().map(|hook| hook.plan).collect()
    }

    #[test]
    fn what_is_listed_can_be_read_again() {
        let text = "[hook.a]\ncommand = [\"/bin/true\", \"-v\"]\non = [\"active\"]\nrouters = [\"wan4\"]\nuser = \"nobody\"\ncapabilities = [\"net-admin\"]\narguments = \"keepalived\"\ntimeout = \"5s\"\ncoalesce = false\n\
                    [hook.b]\ntype = \"fifo\"\npath = \"/run/x\"\non = [\"pre-active\"]\npre-active-timeout = \"1500ms\"\n[hook.\"c.d\"]\ntype = \"webhook\"\nurl = \"http://[::1]:80/x\"\n";
        let found = hooks(text);
        assert_eq!(found.len(), 3);
        for defaults in [false, true] {
            assert_eq!(hooks(&super::hook_listing(&found, defaults)), found);
        }
    }

    #[test]
    fn no_key_of_a_hook_is_forgotten() {
        let all = "[hook.a]\ncommand = [\"/bin/true\"]\nuser = \"x\"\n[hook.b]\ntype = \"fifo\"\npath = \"/x\"\n[hook.c]\ntype = \"webhook\"\nurl = \"http://x\"\n";
        let found = hooks(all);
        let keys: std::collections::BTreeSet<&str> = found
            .iter()
            .flat_map(super::hook_settings)
            .map(|(key, ..)| key)
            .collect();
        assert_eq!(keys, crate::keys::HOOK.into_iter().collect());
    }
}
