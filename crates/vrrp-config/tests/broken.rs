//! Broken configurations and what the operator reads about each of them.
//!
//! The texts are reviewed as snapshots: `INSTA_UPDATE=always cargo test -p vrrp-config` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};

use vrrp_config::{Severity, code, parse, render};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_broken_file_gets_pointed_errors() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    for path in files("tests/broken") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let findings = parse(&text).expect_err(name);
        assert!(
            findings
                .iter()
                .any(|finding| finding.severity == Severity::Error),
            "{name}"
        );
        insta::assert_snapshot!(name, render(&findings, "vrrpd.toml", &text, false));
    }
}

#[test]
fn every_finding_is_complete() {
    for path in files("tests/broken") {
        let text = fs::read_to_string(&path).unwrap();
        let findings = parse(&text).unwrap_err();
        assert!(
            findings.is_sorted_by_key(|finding| finding.span.start),
            "{}",
            path.display()
        );
        for finding in findings {
            assert!(
                code::ALL.iter().any(|(code, _)| *code == finding.code),
                "{}",
                finding.code
            );
            assert!(
                finding.help.is_some(),
                "{}: {} says nothing about what would be right",
                path.display(),
                finding.message
            );
            assert!(
                !finding.message.ends_with('.') && !finding.message.contains('\n'),
                "{}",
                finding.message
            );
            assert!(
                finding.span.start <= finding.span.end && text.get(finding.span.clone()).is_some(),
                "{}",
                finding.message
            );
        }
    }
}

#[test]
fn places_are_those_that_are_shown() {
    for path in files("tests/broken") {
        let text = fs::read_to_string(&path).unwrap();
        for finding in parse(&text).unwrap_err() {
            let (line, column) = finding.line_column(&text);
            let shown = render(std::slice::from_ref(&finding), "vrrpd.toml", &text, false);
            assert!(
                shown.contains(&format!("--> vrrpd.toml:{line}:{column}\n")),
                "{line}:{column}\n{shown}"
            );
        }
    }
}

#[test]
fn every_error_has_a_broken_file() {
    let mut missing: Vec<&str> = code::ALL
        .iter()
        .map(|(code, _)| *code)
        .filter(|code| *code < "VR0100")
        .collect();
    for path in files("tests/broken") {
        let findings = parse(&fs::read_to_string(&path).unwrap()).unwrap_err();
        missing.retain(|code| findings.iter().all(|finding| finding.code != *code));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn authentication_keys_are_never_shown() {
    for path in files("tests/broken") {
        let text = fs::read_to_string(&path).unwrap();
        let findings = parse(&text).unwrap_err();
        for color in [false, true] {
            let shown = render(&findings, "vrrpd.toml", &text, color) + &format!("{findings:?}");
            assert!(!shown.contains("tOp5"), "{}:\n{shown}", path.display());
        }
    }
}
