//! Documents lead somewhere and leave nothing out.

use std::fs;

use clap::CommandFactory;
use vrrp_guards::{files, root};

/// The daemon's command line, by its source: a program has no library to ask.
#[path = "../../vrrpd/src/cli.rs"]
#[expect(dead_code, reason = "only the options are asked for")]
mod daemon;

#[test]
fn links_lead_to_files() {
    for document in files("")
        .into_iter()
        .filter(|file| file.path.ends_with(".md"))
    {
        let folder = root().join(&document.path).parent().unwrap().to_owned();
        for link in document
            .text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                assert!(
                    folder.join(target).exists(),
                    "{} links to {link}",
                    document.path
                );
            }
        }
    }
}

#[test]
fn the_daemons_manual_page_has_every_option() {
    let text = fs::read_to_string(root().join("docs/man/vrrpd.8"))
        .unwrap()
        .replace('\\', "");
    let mut command = daemon::Arguments::command();
    command.build();
    for option in command.get_arguments().filter_map(clap::Arg::get_long) {
        assert!(
            text.contains(&format!("--{option}")),
            "docs/man/vrrpd.8 has no --{option}"
        );
    }
}

#[test]
fn every_crate_is_explained() {
    let text = fs::read_to_string(root().join("crates/README.md")).unwrap();
    for entry in fs::read_dir(root().join("crates"))
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().is_dir())
    {
        let name = entry.file_name().into_string().unwrap();
        assert!(
            text.contains(&format!("`{name}`")),
            "crates/README.md does not speak of {name}"
        );
    }
}

/// `file::test` in the list of failures names a test that exists, or with a star a family of them.
#[test]
fn tests_that_are_named_exist() {
    let text = fs::read_to_string(root().join("docs/failures.md")).unwrap();
    let mut code = files("tests");
    code.extend(files("crates"));
    let names = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|name| name.split_once("::"));
    for (_, test) in names {
        let start = format!("fn {}", test.trim_end_matches('*'));
        let end = if test.ends_with('*') { "" } else { "(" };
        let start = start + end;
        assert!(
            code.iter().any(|file| file.text.contains(&start)),
            "docs/failures.md names {test}"
        );
    }
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    for script in ["scripts/demo", "scripts/test", ".ci/run"] {
        let path = root().join(script);
        assert!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o111 == 0o111,
            "{script} is not executable"
        );
        assert!(
            fs::read_to_string(&path)
                .unwrap()
                .contains("\nset -euo pipefail\n"),
            "{script} goes on after an error"
        );
    }
}
