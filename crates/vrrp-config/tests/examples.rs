//! The files in `conf/` are right, and the reference says the truth about defaults.

use std::fs;
use std::path::{Path, PathBuf};

use vrrp_config::{code, parse, render};
use vrrp_proto::Plan;

fn conf() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conf")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn plan(text: &str) -> Plan {
    parse(text)
        .unwrap_or_else(|findings| panic!("{}", render(&findings, "conf", text, false)))
        .plan
}

#[test]
fn every_example_is_right() {
    let mut seen = 0;
    for entry in fs::read_dir(conf().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let text = read(&path);
        let config = parse(&text).unwrap_or_else(|findings| {
            panic!(
                "{}",
                render(&findings, &path.to_string_lossy(), &text, false)
            )
        });
        // The owner is told what it means to be one; nothing else in an example deserves a warning.
        assert!(
            config
                .findings
                .iter()
                .all(|finding| finding.code == code::OWNER),
            "{}: {:?}",
            path.display(),
            config.findings
        );
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn the_pair_differs_in_priority_only() {
    let mut a = plan(&read(&conf().join("examples/router-a.toml")));
    let b = plan(&read(&conf().join("examples/router-b.toml")));
    for (a, b) in a.routers.iter_mut().zip(&b.routers) {
        assert_eq!((a.priority.get(), b.priority.get()), (200, 100));
        a.priority = b.priority;
    }
    assert_eq!(a, b);
}

#[test]
fn commented_lines_of_the_reference_are_the_defaults() {
    let text = read(&conf().join("vrrpd.toml"));
    let uncommented: String = text
        .lines()
        // A key of VRRPv2 has no default, and those of CARP are for another protocol.
        .filter(|line| {
            let others = ["authentication", "vhid", "adv", "passphrase", "carp-"];
            let key = line.strip_prefix("# ").filter(|rest| rest.contains(" = "));
            let interval = line.starts_with("# advertise-interval");
            interval || !key.is_some_and(|key| others.iter().any(|it| key.starts_with(it)))
        })
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                format!("{rest}\n")
            }
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert!(
        uncommented.contains("\nannounce-refresh = "),
        "{uncommented}"
    );
    assert_eq!(plan(&text), plan(&uncommented));
}
