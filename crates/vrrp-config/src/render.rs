//! Findings as an operator reads them: file, line, column, the source line, what is wrong, what would be right.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::finding::{Finding, Severity, floor};
use crate::secret;

/// Renders `findings` about `text`, which was read from `file_name`, and a last line that counts them.
#[must_use]
pub fn render(findings: &[Finding], file_name: &str, text: &str, color: bool) -> String {
    let shown = secret::hide(text);
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for finding in findings {
        out.push_str(&renderer.render(&[group(finding, file_name, &shown)]));
        out.push_str("\n\n");
    }
    let count = |severity| {
        findings
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    };
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{file_name}: {}, {}",
        plural(count(Severity::Error), "error"),
        plural(count(Severity::Warning), "warning")
    );
    out
}

fn plural(count: usize, noun: &str) -> String {
    match count {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

fn group<'a>(finding: &'a Finding, file_name: &'a str, shown: &'a str) -> Group<'a> {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(finding.message.as_str())
        .id(finding.code);
    let mut group = if shown.trim().is_empty() {
        // There is no line to show.
        title.element(Origin::path(file_name).line(1).char_column(1))
    } else {
        let primary = annotation(
            AnnotationKind::Primary,
            &finding.span,
            &finding.label,
            shown,
        );
        let related = finding
            .related
            .iter()
            .map(|(span, label)| annotation(AnnotationKind::Context, span, label, shown));
        title.element(
            Snippet::source(shown)
                .path(file_name)
                .annotation(primary)
                .annotations(related),
        )
    };
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    group
}

fn annotation<'a>(
    kind: AnnotationKind,
    span: &Range<usize>,
    label: &'a str,
    shown: &str,
) -> Annotation<'a> {
    let start = floor(shown, span.start);
    let end = floor(shown, span.end).max(start);
    let annotation = kind.span(start..end);
    if label.is_empty() {
        annotation
    } else {
        annotation.label(label)
    }
}
