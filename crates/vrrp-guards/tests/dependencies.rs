//! What is built into the product, and who may use whom.

use std::collections::BTreeSet;

use vrrp_guards::Metadata;

/// Licences under which a dependency may be used in a program that is MIT or Apache-2.0.
const LICENCES: [&str; 11] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "CC0-1.0",
];

/// Packages that are there in two incompatible versions, and why that is borne.
const DUPLICATES: [(&str, &str); 2] = [
    (
        "getrandom",
        "ring, which does the arithmetic of TLS for the agent, is at 0.2; the tests are at 0.4",
    ),
    (
        "syn",
        "a compile-time dependency of derive macros, of which some have moved to 3 and some have not",
    ),
];

/// Which of our crates each may use. Arrows point from the daemon to the protocol and never back.
const ARROWS: [(&str, &[&str]); 14] = [
    ("vrrp-proto", &[]),
    ("vrrp-bfd", &["vrrp-proto"]),
    ("vrrp-config", &["vrrp-proto"]),
    ("vrrp-control", &["vrrp-proto"]),
    ("vrrp-forecast", &["vrrp-proto"]),
    ("vrrp-gate", &["vrrp-proto"]),
    ("vrrp-linux", &["vrrp-proto", "vrrp-gate", "vrrp-bfd"]),
    // Who may run a program, and what that may then do, is decided where the daemon and vrrpctl decide it.
    (
        "vrrp-agent",
        &["vrrp-config", "vrrp-control", "vrrp-linux", "vrrp-proto"],
    ),
    (
        "vrrpd",
        &[
            "vrrp-proto",
            "vrrp-config",
            "vrrp-control",
            "vrrp-forecast",
            "vrrp-linux",
        ],
    ),
    ("vrrpctl", &["vrrp-config", "vrrp-control", "vrrp-proto"]),
    (
        "vrrp-sim",
        &[
            "vrrp-proto",
            "vrrp-config",
            "vrrp-control",
            "vrrp-forecast",
            "vrrp-linux",
        ],
    ),
    // The judge shares no line with the defendant.
    ("vrrp-lab", &[]),
    ("vrrp-bench", &["vrrp-lab", "vrrp-config", "vrrp-proto"]),
    ("vrrp-guards", &[]),
];

#[test]
fn licences_are_permissive() {
    let metadata = Metadata::read();
    let refused: Vec<String> = metadata
        .all()
        .filter(|package| !permits(&package.license))
        .map(|package| {
            format!(
                "{} {}: {:?}",
                package.name, package.version, package.license
            )
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn everything_comes_from_the_default_registry() {
    let metadata = Metadata::read();
    let sources: BTreeSet<&str> = metadata
        .all()
        .filter_map(|package| package.source.as_deref())
        .collect();
    assert_eq!(sources.len(), 1, "more than one source: {sources:?}");
    assert!(
        sources.iter().all(|source| source.starts_with("registry+")),
        "{sources:?}"
    );
}

#[test]
fn no_package_is_there_twice_without_a_reason() {
    let metadata = Metadata::read();
    let twice: Vec<&String> = metadata
        .packages
        .iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, _)| name)
        .collect();
    let known: Vec<&str> = DUPLICATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        twice, known,
        "in two versions; what is no longer there twice needs no reason any more"
    );
}

#[test]
fn arrows_point_one_way() {
    let metadata = Metadata::read();
    let names: BTreeSet<&str> = metadata
        .ours()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(
        names,
        ARROWS.iter().map(|(name, _)| *name).collect(),
        "a crate without arrows, or arrows without crate"
    );
    for package in metadata.ours() {
        let allowed = ARROWS
            .iter()
            .find(|(name, _)| *name == package.name)
            .map_or(&[][..], |(_, allowed)| allowed);
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| names.contains(dependency.as_str()))
        {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{} must not use {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn the_oldest_rust_that_builds_it_is_stated() {
    for package in Metadata::read().ours() {
        assert_eq!(
            package.rust_version.as_deref(),
            Some("1.88"),
            "{}",
            package.name
        );
    }
}

/// Whether one of the alternatives of an SPDX expression is on the list.
fn permits(expression: &str) -> bool {
    // Older packages write a slash for OR.
    let expression = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = expression.split_whitespace().collect();
    let mut rest = &words[..];
    any(&mut rest) && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut permitted = every(words);
    while take(words, "OR") {
        permitted |= every(words);
    }
    permitted
}

fn every(words: &mut &[&str]) -> bool {
    let mut permitted = single(words);
    while take(words, "AND") {
        permitted &= single(words);
    }
    permitted
}

fn single(words: &mut &[&str]) -> bool {
    if take(words, "(") {
        return any(words) & take(words, ")");
    }
    let Some((name, rest)) = words.split_first() else {
        return false;
    };
    *words = rest;
    let mut licence = (*name).to_owned();
    if take(words, "WITH")
        && let Some((exception, rest)) = words.split_first()
    {
        licence = format!("{licence} WITH {exception}");
        *words = rest;
    }
    LICENCES.contains(&licence.as_str())
}

fn take(words: &mut &[&str], word: &str) -> bool {
    match words.split_first() {
        Some((first, rest)) if *first == word => {
            *words = rest;
            true
        }
        _ => false,
    }
}

#[test]
fn licence_expressions_are_read_right() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "MIT OR GPL-3.0-only",
        "GPL-2.0-only OR (MIT AND Apache-2.0)",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR MIT",
    ] {
        assert!(permits(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0-only",
        "MIT AND GPL-3.0-only",
        "MIT AND",
        "(MIT",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ] {
        assert!(!permits(bad), "{bad}");
    }
}
