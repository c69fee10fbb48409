//! What is wrong with a configuration, and where.

use std::ops::Range;

/// How much a finding weighs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// The configuration is refused as a whole.
    Error,
    /// The configuration is used; the operator may want to know.
    Warning,
}

/// One thing to tell the operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// Stable name of the rule, one of [`crate::code::ALL`].
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The bytes of the text it is about.
    pub span: Range<usize>,
    /// A few words that stand beneath those bytes; may be empty.
    pub label: String,
    /// What would be right.
    pub help: Option<String>,
    /// Other places that belong to it, each with a few words.
    pub related: Vec<(Range<usize>, String)>,
}

impl Finding {
    pub(crate) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    pub(crate) fn error(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            label: String::new(),
            help: None,
            related: Vec::new(),
        }
    }

    pub(crate) fn warning(
        code: &'static str,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, span, message)
        }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// Line and column of its first byte in `text`, both counted from 1, the column in characters.
    #[must_use]
    pub fn line_column(&self, text: &str) -> (usize, usize) {
        line_column(text, self.span.start)
    }
}

/// Line and column of the byte at `index`.
pub(crate) fn line_column(text: &str, index: usize) -> (usize, usize) {
    let before = &text[..floor(text, index)];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The nearest place at or before `index` where `text` may be cut.
pub(crate) fn floor(text: &str, index: usize) -> usize {
    let mut index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

/// A piece of the operator's text, fit to stand inside a sentence: on one line, short, nothing a terminal would obey.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 48;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    // Quotes need no escape here, and an operator would not find the escaped form in the file.
    short = short.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(LONGEST).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "a = 1\r\nnäme = 2\n";
        let at = |start| Finding::error("VR0001", start..start + 1, "").line_column(text);
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(4), (1, 5));
        assert_eq!(at(7), (2, 1));
        assert_eq!(at(10), (2, 3)); // behind the two bytes of ä
        assert_eq!(at(9), (2, 2)); // between them
        assert_eq!(at(1000), (3, 1));
    }

    #[test]
    fn excerpts_are_tame() {
        assert_eq!(excerpt("eth0"), "eth0");
        assert_eq!(excerpt("a\x1b[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(excerpt(&"x".repeat(100)).len(), 51);
    }
}
