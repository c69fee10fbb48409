//! Sentences on as many lines as they need.

use crate::page::Look;
use crate::plain;

/// `sentence` behind `lead`, under which its other lines are indented; newline included.
pub(crate) fn wrap(look: &Look, lead: &str, sentence: &str) -> String {
    let width = look.width.unwrap_or(usize::MAX);
    let indent = lead.chars().count();
    let mut text = plain::text(lead);
    let mut column = indent;
    for word in plain::text(sentence).split(' ') {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::look;

    #[test]
    fn only_a_terminal_has_an_edge() {
        assert_eq!(
            wrap(&look(Some(12)), "- ", "one two three"),
            "- one two\n  three\n"
        );
        assert_eq!(
            wrap(&look(None), "- ", "one two three"),
            "- one two three\n"
        );
        // What cannot be broken stands out.
        assert_eq!(
            wrap(&look(Some(4)), "- ", "a 2001:db8::1"),
            "- a\n  2001:db8::1\n"
        );
    }
}
