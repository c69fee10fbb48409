//! JSON as it came from the daemon.

use std::fmt::Write;

use serde_json::{Map, Value};

use crate::plain;

/// An answer without the tag that names its kind: the document itself.
pub(crate) fn document(answer: Value) -> Value {
    match answer {
        Value::Object(mut fields) => {
            fields.shift_remove("answer");
            Value::Object(fields)
        }
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => other,
    }
}

/// An object of these fields, in this order.
pub(crate) fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

/// Over many lines, for people; newline included.
pub(crate) fn pretty(value: &Value) -> String {
    safe(&format!("{value:#}"))
}

/// On one line, for programs; newline included.
pub(crate) fn line(value: &Value) -> String {
    safe(&value.to_string())
}

/// JSON may hold DEL, C1 and direction marks as they are; the same document with escapes is safe on a terminal.
/// Such characters stand in strings only, and all of them fit four digits.
fn safe(document: &str) -> String {
    let mut text = String::with_capacity(document.len() + 1);
    for character in document.chars() {
        if character != '\n' && plain::is_unsafe(character) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_the_same_document() {
        let value = Value::String("a\x1b[2J\u{9b}\u{7f}\u{202e}\nb".into());
        let line = line(&value);
        assert!(
            line.trim_end()
                .chars()
                .all(|character| !plain::is_unsafe(character))
        );
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn fields_keep_their_order() {
        let value: Value =
            serde_json::from_str(r#"{"version":1,"answer":"status","daemon":{},"a":2}"#).unwrap();
        assert_eq!(
            line(&document(value)),
            "{\"version\":1,\"daemon\":{},\"a\":2}\n"
        );
    }
}
