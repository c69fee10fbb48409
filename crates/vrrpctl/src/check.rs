//! Configuration files, before any daemon reads them: one, or those of a pair beside each other.

use std::path::Path;

use nix::unistd::User;
use serde_json::Value;
use vrrp_config::{Finding, LoadError, Loaded, Severity, compare, distrusted, load, render};

use crate::failure::Failure;
use crate::json;
use crate::page::{Look, Page};
use crate::plain;

/// A file and what is to be said about it.
struct Judged<'a> {
    file: &'a str,
    text: &'a str,
    findings: Vec<Finding>,
}

/// `vrrpctl check`.
pub(crate) fn run(page: &mut Page, file: &Path, peer: Option<&Path>) -> Result<(), Failure> {
    let loaded: Vec<Result<Loaded, LoadError>> =
        [Some(file), peer].into_iter().flatten().map(load).collect();
    let mut judged = Vec::new();
    for loaded in &loaded {
        judged.push(match loaded {
            Ok(loaded) => Judged {
                file: &loaded.file,
                text: &loaded.text,
                findings: loaded.config.findings.clone(),
            },
            Err(LoadError::Wrong(wrong)) => Judged {
                file: &wrong.file,
                text: &wrong.text,
                findings: wrong.findings.clone(),
            },
            Err(error @ (LoadError::Read(..) | LoadError::TooLong(_))) => {
                return Err(error.into());
            }
        });
    }
    // That of the peer is for another host.
    if let (Some(Ok(ours)), Some(first)) = (loaded.first(), judged.first_mut()) {
        let user = |name: &str| Some(User::from_name(name).ok()??.uid.as_raw());
        first.findings.extend(distrusted(&ours.config, user));
    }
    let mut misfits = false;
    if let [Ok(ours), Ok(theirs)] = &loaded[..] {
        let findings = compare(ours, theirs);
        misfits = has_errors(&findings);
        if let Some(first) = judged.first_mut() {
            first.findings.extend(findings);
        }
    }
    let text = if page.look.json {
        json::pretty(&document(&judged))
    } else {
        prose(&judged, &loaded, &page.look)
    };
    page.text(&text)?;
    let wrong = loaded.iter().any(Result::is_err);
    match (wrong, misfits) {
        (false, false) => Ok(()),
        (true, _) => Err(Failure::Wrong(2)),
        (false, true) => Err(Failure::Wrong(1)),
    }
}

fn has_errors(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Error)
}

fn prose(judged: &[Judged<'_>], loaded: &[Result<Loaded, LoadError>], look: &Look) -> String {
    let mut text = String::new();
    for it in judged.iter().filter(|it| !it.findings.is_empty()) {
        // The text of a file is shown with what a terminal would obey made harmless.
        text.push_str(&render(&it.findings, it.file, it.text, look.color));
    }
    for loaded in loaded.iter().flatten() {
        let count = loaded.config.plan.routers.len();
        let noun = if count == 1 { "router" } else { "routers" };
        let file = plain::text(&loaded.file);
        text.push_str(&format!("{file}: good, {count} virtual {noun}\n"));
    }
    if let ([Ok(_), Ok(_)], [ours, theirs]) = (loaded, judged) {
        let verdict = if has_errors(&ours.findings) {
            "do not fit together"
        } else {
            "fit together"
        };
        let [ours, theirs] = [ours.file, theirs.file].map(plain::text);
        text.push_str(&format!("{ours} and {theirs} {verdict}\n"));
    }
    text
}

fn document(judged: &[Judged<'_>]) -> Value {
    let findings = judged.iter().flat_map(|it| {
        it.findings.iter().map(|finding| {
            let (line, column) = finding.line_column(it.text);
            json::object([
                ("file", it.file.into()),
                ("line", line.into()),
                ("column", column.into()),
                ("severity", word(finding.severity).into()),
                ("code", finding.code.into()),
                ("message", finding.message.as_str().into()),
                ("label", finding.label.as_str().into()),
                ("help", finding.help.as_deref().into()),
            ])
        })
    });
    json::object([
        ("version", 1.into()),
        (
            "good",
            (!judged.iter().any(|it| has_errors(&it.findings))).into(),
        ),
        ("findings", findings.collect()),
    ])
}

const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
