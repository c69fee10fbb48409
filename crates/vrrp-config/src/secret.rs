//! Hides authentication keys wherever a piece of the file is shown.
//!
//! Findings end up in logs and in bug reports, with the source line beneath them. What is shown is therefore
//! taken from a copy of the text in which every character that may belong to a key is replaced by one of the same
//! length, so that all spans and columns stay valid. Too much is hidden rather than too little: the copy is also
//! made of texts that are not TOML.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Words whose value may be a key, in lower case with dashes.
const WORDS: &[&str] = &[
    "key",
    "auth-pass",
    "auth-data",
    "authentication",
    "auth",
    "password",
    "passwd",
    "pass",
    "passphrase",
    "secret",
];

/// Those of them whose value may be a table with the key in it.
const TABLES: &[&str] = &["authentication", "auth"];

/// `text` with all authentication keys hidden; every other character stays where it is.
#[must_use]
pub fn hide(text: &str) -> String {
    let mut ranges = Vec::new();
    let (root, _) = DeTable::parse_recoverable(text);
    in_table(root.get_ref(), false, &mut ranges);
    in_lines(text, &mut ranges);
    masked(text, &ranges)
}

fn in_table(table: &DeTable<'_>, secret: bool, ranges: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let word = key.get_ref().to_ascii_lowercase().replace('_', "-");
        // Everything else in `authentication` may be a misspelt `key`.
        in_value(
            value,
            (secret || WORDS.contains(&word.as_str())) && word != "type",
            ranges,
        );
    }
}

fn in_value(value: &Spanned<DeValue<'_>>, secret: bool, ranges: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, secret, ranges),
        DeValue::Array(array) => array
            .iter()
            .for_each(|element| in_value(element, secret, ranges)),
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {
            if secret {
                ranges.push(value.span());
            }
        }
    }
}

/// The values behind such words as a reader sees them, line by line, in a text that may be no TOML.
fn in_lines(text: &str, ranges: &mut Vec<Range<usize>>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let mut at = 0;
        while let Some(start) = line[at..].find(is_word).map(|found| at + found) {
            let end = line[start..]
                .find(|c| !is_word(c))
                .map_or(line.len(), |length| start + length);
            at = end;
            let word = line[start..end].to_ascii_lowercase().replace('_', "-");
            if !WORDS.contains(&word.as_str()) {
                continue;
            }
            // The closing quote of a quoted key; then a blank or `=`, or this is no key.
            let behind = line[end..]
                .strip_prefix(['"', '\''])
                .unwrap_or(&line[end..]);
            let value = behind.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
            if value.len() == behind.len() {
                continue;
            }
            // Whatever brackets there are before it, right or wrong.
            let value = value.trim_start_matches(|c: char| c.is_whitespace() || "[]},".contains(c));
            // A table: the words inside it follow.
            if !(value.starts_with('{') && TABLES.contains(&word.as_str())) {
                let from = line.len() - value.len();
                at = from + value_len(value);
                ranges.push(offset + from..offset + at);
            }
        }
        offset += line.len();
    }
}

/// Bytes of the value at the start of `rest`: a string that is properly closed, or all that follows.
fn value_len(rest: &str) -> usize {
    closed_len(rest).unwrap_or(rest.trim_end().len())
}

fn closed_len(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| {
        let closes = *c == quote && !escaped;
        escaped = quote == '"' && *c == '\\' && !escaped;
        closes
    });
    let (before, behind) = rest.split_at(end?.0 + 1);
    // Anything else behind the quote means that it was part of the key.
    let proper = behind.trim().is_empty() || behind.trim_start().starts_with([',', '}', '#']);
    let even = behind.matches(['"', '\'']).count().is_multiple_of(2);
    (proper && even).then_some(before.len())
}

fn masked(text: &str, ranges: &[Range<usize>]) -> String {
    let mut hidden = vec![false; text.len()];
    for range in ranges {
        hidden[range.clone()].fill(true);
    }
    text.char_indices()
        .map(|(at, c)| {
            if c.is_control() || matches!(c, '"' | '\'') || !hidden[at] {
                return c;
            }
            match c.len_utf8() {
                1 => '*',
                2 => '\u{b7}',
                3 => '\u{2022}',
                _ => '\u{1f784}',
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_nothing_moves() {
        for (text, hidden) in [
            ("key = \"tOp5ecre\"\n", "key = \"********\"\n"),
            (
                "authentication = { type = \"simple-text\", key = \"tOp5\" }",
                "authentication = { type = \"simple-text\", key = \"****\" }",
            ),
            (
                "[a.authentication]\nkye = 'tOp5'\n[b]\nvrid = 5",
                "[a.authentication]\nkye = '****'\n[b]\nvrid = 5",
            ),
            (
                "authentication = { kye = \"tOp5\" }",
                "authentication = { kye = \"****\" }",
            ),
            ("authentication = \"tOp5\"", "authentication = \"****\""),
            ("{ key = ]\"tOp5\" }", "{ key = ]\"****\" }"),
            ("key = [\"tOp5\"\n", "key = [\"****\"\n"),
            ("key = {\"tOp5\"\n", "key = *\"****\"\n"),
            ("auth_pass tOp5 5\nvrid = 5", "auth_pass ******\nvrid = 5"),
            ("key = tOp5\nvrid = 5", "key = ****\nvrid = 5"),
            ("key = \"tOp5\nvrid = 5", "key = \"****\nvrid = 5"),
            ("key = \"tO\"p5\"", "key = \"**\"**\""),
            (
                "key = \"tO\\\"p5\", type = \"x\" }",
                "key = \"***\"**\", type = \"x\" }",
            ),
            ("key = \"é€\u{10348}\"", "key = \"·•\u{1f784}\""),
            (
                "interface = \"eth0\" # no secret",
                "interface = \"eth0\" # no secret",
            ),
            ("key-file = \"/etc/x\"", "key-file = \"/etc/x\""),
        ] {
            let shown = hide(text);
            assert_eq!(shown, hidden);
            assert_eq!(shown.len(), text.len());
        }
    }
}
