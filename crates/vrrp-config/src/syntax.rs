//! Text to a TOML tree. A text with errors still gives a tree, of which as much is judged as can be trusted.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use crate::code;
use crate::finding::{Finding, excerpt, floor};
use crate::secret;
use crate::section::bool_word;
use vrrp_proto::gather::sort_by_rank;

/// What was understood of a text.
pub(crate) struct Document<'t> {
    pub(crate) root: Spanned<DeTable<'t>>,
    pub(crate) findings: Vec<Finding>,
    /// Where the tree does not resemble what the operator meant.
    lost: Vec<Range<usize>>,
}

impl Document<'_> {
    /// Whether a finding about content would still stand once the syntax errors are mended.
    pub(crate) fn stands(&self, text: &str, finding: &Finding) -> bool {
        // A key may seem to be missing because its line could not be read.
        let absent = matches!(finding.code, code::MISSING_KEY | code::NO_ROUTER);
        self.findings.is_empty()
            || !absent
                && !self
                    .lost
                    .iter()
                    .any(|lost| lost.contains(&finding.span.start))
                && self
                    .findings
                    .iter()
                    .all(|error| !same_line(text, error.span.start, finding.span.start))
    }
}

/// A text in which lines that end the parser's attention are blanked, and what is wrong with those lines.
pub(crate) struct Repaired {
    pub(crate) text: String,
    errors: Vec<Error>,
}

/// Blanks lines that have a key and no value, behind which the parser would see nothing of the table.
pub(crate) fn repair(text: &str) -> Repaired {
    const ROUNDS: usize = 100;
    let mut repaired = Repaired {
        text: text.to_owned(),
        errors: Vec::new(),
    };
    for _ in 0..ROUNDS {
        let (_, mut errors) = DeTable::parse_recoverable(&repaired.text);
        errors.retain(|error| error.message().starts_with(VALUELESS));
        if errors.is_empty() {
            break;
        }
        for error in errors {
            let line = line_of(text, start(&error, text));
            if !repaired.text[line.clone()].trim().is_empty() {
                repaired
                    .text
                    .replace_range(line.clone(), &" ".repeat(line.len()));
                repaired.errors.push(error);
            }
        }
    }
    repaired
}

/// Reads `text`, which is also given repaired.
pub(crate) fn read<'t>(text: &str, repaired: &'t Repaired) -> Document<'t> {
    let (root, mut errors) = DeTable::parse_recoverable(&repaired.text);
    errors.extend(repaired.errors.iter().cloned());
    let mut document = Document {
        root,
        findings: Vec::new(),
        lost: Vec::new(),
    };
    if errors.is_empty() {
        return document;
    }
    if let Some(finding) = other_program(text) {
        document.findings.push(finding);
        document.lost.push(0..usize::MAX);
        return document;
    }
    let shown = &secret::hide(text);
    sort_by_rank(&mut errors, |error| start(error, text) as u64);
    // Behind a bracket that is never closed everything is read as its content, so the bracket alone is reported;
    // unless it is a quote on its line that swallowed the closing bracket.
    let open = errors
        .iter()
        .find_map(|error| unclosed(text, document.root.get_ref(), error));
    if let Some(bracket) = &open {
        document.lost.push(bracket.start..usize::MAX);
    }
    let quote = errors.iter().find(|error| {
        let at = start(error, text);
        is_open_string(error)
            && open
                .as_ref()
                .is_some_and(|open| open.start < at && same_line(text, open.start, at))
    });
    for error in &errors {
        let at = start(error, text);
        if open.as_ref().is_some_and(|bracket| at > bracket.start) {
            break;
        }
        // A second error on one line is an echo of the first, and so are the keys of a table that is there twice.
        let echo = document.findings.last().is_some_and(|last| {
            same_line(text, last.span.start, at)
                || last.code == code::TWICE
                    && is_header(text, last.span.start)
                    && error.message() == DUPLICATE
                    && !is_header(text, at)
        });
        if echo {
            continue;
        }
        if is_header(text, at) && error.message() != DUPLICATE {
            document
                .lost
                .push(line_of(text, at).start..next_header(text, at));
        }
        document.findings.push(finding(text, shown, error, at));
    }
    if let Some(error) = quote {
        document
            .findings
            .push(finding(text, shown, error, start(error, text)));
    } else if let Some(bracket) = open {
        let (kind, close) = match &text[bracket.clone()] {
            "[" => ("list", ']'),
            "{" => ("table", '}'),
            _ => ("string", '"'),
        };
        document.findings.push(
            Finding::error(
                code::SYNTAX,
                bracket,
                format!("this {kind} is never closed"),
            )
            .label("opened here")
            .help(format!("close it with `{close}`")),
        );
    }
    document
}

const DUPLICATE: &str = "duplicate key";
const VALUELESS: &str = "key with no value";

fn finding(text: &str, shown: &str, error: &Error, at: usize) -> Finding {
    let end = error.span().map_or(at, |span| span.end).max(at);
    let span = at..floor(text, end).max(at);
    let line = line_of(text, at);
    let written = shown.get(span.clone()).unwrap_or_default().trim();
    let message = error.message();
    if message == DUPLICATE {
        return twice(text, span, written);
    }
    let syntax = |message: String| Finding::error(code::SYNTAX, span.clone(), message);
    if is_header(text, at) {
        let header = shown[line].trim();
        return syntax(format!("this table header cannot be read: {message}"))
            .label(if header.ends_with(']') { "here" } else { "the header ends here" })
            .help("a virtual router begins with [virtual-router.NAME]; a name with other characters than letters, digits, `-` and `_` stands in quotes");
    }
    if message.starts_with("string values must be quoted") {
        return unquoted(&syntax, written);
    }
    if message.starts_with(VALUELESS) {
        let key = shown[line].trim().to_owned();
        let help = match key.split_once(char::is_whitespace) {
            Some((key, value)) if !value.trim().is_empty() && !value.contains(['"', '\'']) => {
                format!("write `{} = {}`", excerpt(key), literal(value.trim()))
            }
            Some(_) | None => format!(
                "write `{} = ...`",
                excerpt(key.split_whitespace().next().unwrap_or("key"))
            ),
        };
        return syntax("this key has no value".to_owned())
            .label("expected `=` and a value")
            .help(help);
    }
    if message.starts_with("unexpected key or value") {
        return syntax("something follows the value".to_owned())
            .label("expected the end of the line")
            .help("write one key per line");
    }
    if is_open_string(error) {
        return syntax("this string is never closed".to_owned())
            .label("expected the closing quote")
            .help("a string begins and ends with the same quote, on one line");
    }
    if message.starts_with("invalid boolean") {
        return unquoted(&syntax, written);
    }
    if message.starts_with("unexpected leading zero") {
        return syntax("a number begins with 0".to_owned())
            .label("remove the zero")
            .help("write the number without leading zeros");
    }
    syntax(message.to_owned())
        .label("not TOML")
        .help("see https://toml.io for the notation, and vrrpd.toml(5) for examples")
}

fn is_open_string(error: &Error) -> bool {
    ["invalid basic string", "invalid literal string"]
        .iter()
        .any(|known| error.message().starts_with(known))
}

fn unquoted(syntax: &dyn Fn(String) -> Finding, written: &str) -> Finding {
    if written.is_empty() {
        return syntax("a value is missing".to_owned())
            .label("expected a value")
            .help("write a value behind `=`, or remove the line");
    }
    let finding = syntax(format!("`{}` is not a value", excerpt(written)));
    let first = written.split_whitespace().next().unwrap_or(written);
    if first != written && (first.parse::<i64>().is_ok() || bool_word(first).is_some()) {
        return syntax(format!("something follows the value `{first}`"))
            .label("expected one value")
            .help("write one key per line");
    }
    if let Some(value) = bool_word(written) {
        return finding
            .label("neither `true` nor `false`")
            .help(format!("write `{value}`"));
    }
    if let Some(before) = written.strip_suffix([';', ',']) {
        return finding
            .label("a line ends without punctuation")
            .help(format!("write `{}`", literal(before)));
    }
    finding
        .label("text without quotes")
        .help(format!("write `{}`", literal(written)))
}

/// `word` as a TOML value.
fn literal(word: &str) -> String {
    if word.parse::<i64>().is_ok() || matches!(word, "true" | "false") {
        return word.to_owned();
    }
    match bool_word(word) {
        Some(value) => value.to_string(),
        None => format!("\"{}\"", excerpt(word)),
    }
}

/// A key or table that is there a second time, and where the first one stands.
fn twice(text: &str, span: Range<usize>, written: &str) -> Finding {
    let line = line_of(text, span.start);
    let header = is_header(text, span.start);
    let finding = if header {
        Finding::error(
            code::TWICE,
            span.clone(),
            format!("table `{}` is there twice", excerpt(written)),
        )
        .label("again")
        .help("names of virtual routers are unique; rename or remove one of the two")
    } else {
        Finding::error(
            code::TWICE,
            span.clone(),
            format!("key `{}` is given twice", excerpt(written)),
        )
        .label("again")
        .help("remove one of the two")
    };
    let key = &text[span.clone()];
    let mut first = None;
    for earlier in lines(&text[..line.start]) {
        let content = &text[earlier.clone()];
        if header && content.trim() == text[line.clone()].trim() {
            first = Some(earlier.start..earlier.start + content.trim_end().len());
        } else if !header && content.trim_start().starts_with('[') {
            first = None;
        } else if !header
            && content
                .trim_start()
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        {
            let start = earlier.start + content.len() - content.trim_start().len();
            first = first.or(Some(start..start + key.len()));
        }
    }
    match first {
        Some(first) => finding.related(first, "first given here"),
        None => finding,
    }
}

/// The opening bracket that `error` complains about at the end of the text.
fn unclosed(text: &str, root: &DeTable<'_>, error: &Error) -> Option<Range<usize>> {
    let message = error.message();
    if ![
        "unclosed array",
        "unclosed inline table",
        "invalid multi-line",
    ]
    .iter()
    .any(|known| message.starts_with(known))
    {
        return None;
    }
    let end = start(error, text);
    let mut found = None;
    innermost(root, end, &mut found);
    let open: usize = found?;
    let length = if message.starts_with("invalid multi-line") {
        3
    } else {
        1
    };
    text.get(open..open + length).map(|_| open..open + length)
}

/// The last value that ends at `end`.
fn innermost(table: &DeTable<'_>, end: usize, found: &mut Option<usize>) {
    let mut values: Vec<&Spanned<DeValue<'_>>> = table.values().collect();
    while let Some(value) = values.pop() {
        match value.get_ref() {
            DeValue::Table(inner) => values.extend(inner.values()),
            DeValue::Array(inner) => values.extend(inner.iter()),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
        if value.span().end == end && !value.span().is_empty() {
            *found = Some(found.map_or(value.span().start, |other| other.min(value.span().start)));
        }
    }
}

/// A file of keepalived is recognised rather than picked to pieces.
fn other_program(text: &str) -> Option<Finding> {
    const BLOCKS: [&str; 6] = [
        "vrrp_instance",
        "vrrp_sync_group",
        "vrrp_script",
        "global_defs",
        "virtual_server",
        "virtual_ipaddress",
    ];
    let line = lines(text).into_iter().find(|line| {
        let content = text[line.clone()].trim();
        !content.contains('=')
            && content
                .split(|c: char| c.is_whitespace() || c == '{')
                .next()
                .is_some_and(|word| BLOCKS.contains(&word))
    })?;
    let content = &text[line.clone()];
    let start = line.start + content.len() - content.trim_start().len();
    Some(
        Finding::error(code::SYNTAX, start..line.start + content.trim_end().len(), "this is a configuration of keepalived")
            .label("not TOML")
            .help("a virtual router begins with [virtual-router.NAME]; vrrpd.toml(5) lists the keys that correspond"),
    )
}

fn start(error: &Error, text: &str) -> usize {
    floor(text, error.span().map_or(text.len(), |span| span.start))
}

/// The bytes of the line around `at`, without its end.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..]
        .find('\n')
        .map_or(text.len(), |newline| at + newline);
    start..end
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.trim_end_matches('\n').len();
            start += line.len();
            range
        })
        .collect()
}

fn same_line(text: &str, a: usize, b: usize) -> bool {
    let (from, to) = (floor(text, a.min(b)), floor(text, a.max(b)));
    !text[from..to].contains('\n')
}

fn next_header(text: &str, at: usize) -> usize {
    let end = line_of(text, at).end;
    lines(&text[end..])
        .into_iter()
        .map(|line| end + line.start)
        .find(|start| *start > end && is_header(text, *start))
        .unwrap_or(usize::MAX)
}

fn is_header(text: &str, at: usize) -> bool {
    text[line_of(text, at)].trim_start().starts_with('[')
}
