//! Which words may stand in which files.

use vrrp_guards::{Source, code, files};

/// Unbounded queues that are borne, and why.
const UNBOUNDED: [(&str, &str); 1] = [(
    "crates/vrrp-linux/src/driver.rs",
    "carries one message, once, when the engine's thread has started",
)];

fn rust(folder: &str) -> Vec<Source> {
    let mut files = files(folder);
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// Rust files of the product.
fn product() -> Vec<Source> {
    let mut files = rust("crates");
    files.retain(|file| {
        file.path.contains("/src/") && !file.path.starts_with("crates/vrrp-guards/")
    });
    files
}

fn the(path: &str) -> String {
    let found = rust("crates").into_iter().find(|file| file.path == path);
    code(&found.unwrap_or_else(|| panic!("no {path}")).text)
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|character: char| !character.is_alphanumeric() && character != '_')
        .any(|found| found == word)
}

/// The crates around netlink change their interfaces often; one folder has to follow.
#[test]
fn netlink_types_stay_in_one_folder() {
    for file in product() {
        if file
            .path
            .starts_with("crates/vrrp-linux/src/kernel/netlink")
        {
            continue;
        }
        for name in [
            "rtnetlink",
            "netlink_packet_route",
            "netlink_packet_core",
            "netlink_sys",
        ] {
            assert!(
                !has_word(&code(&file.text), name),
                "{} names {name}",
                file.path
            );
        }
    }
}

/// The election asks what a version does and not which one it is.
#[test]
fn the_election_names_no_dialect() {
    let code = the("crates/vrrp-proto/src/router.rs");
    for name in ["Vrrp2", "Vrrp3", "Carp"] {
        assert!(!has_word(&code, name), "router.rs names {name}");
    }
}

/// And a version answers without knowing who asks.
#[test]
fn a_dialect_names_no_role() {
    let code = the("crates/vrrp-proto/src/dialect.rs");
    for name in ["Role", "State", "Initialize", "Backup", "Active", "router"] {
        assert!(!has_word(&code, name), "dialect.rs names {name}");
    }
}

#[test]
fn unsafe_code_stays_at_the_system_calls() {
    for file in product() {
        let allowed = [
            "crates/vrrp-gate/src/bpf.rs",
            "crates/vrrp-gate/src/mapping.rs",
            "crates/vrrp-gate/src/table.rs",
            "crates/vrrp-linux/src/syscall.rs",
        ];
        assert!(
            allowed.contains(&file.path.as_str()) || !has_word(&code(&file.text), "unsafe"),
            "{} has unsafe code",
            file.path
        );
    }
}

/// A queue without a bound grows until the memory is gone, and nobody hears of it before.
#[test]
fn every_queue_is_bounded() {
    for file in product() {
        if UNBOUNDED.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        let code = code(&file.text);
        // tokio's bounded channel has the same name and takes a capacity.
        let unbounded = [
            "mpsc::channel()",
            "unbounded_channel",
            "flume::unbounded",
            "LinkedList::new",
        ];
        let found = unbounded.iter().find(|words| code.contains(**words));
        assert!(found.is_none(), "{} has {found:?}", file.path);
    }
}

/// Files that are opened later than they were written know only what is in the repository.
#[test]
fn no_path_of_a_build_machine() {
    // In pieces, so that this file does not find itself.
    let folders = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/tmp/tar", "get"],
    ]
    .map(|parts| parts.concat());
    for file in files("") {
        for folder in &folders {
            assert!(
                !file.text.contains(folder.as_str()),
                "{} has {folder}",
                file.path
            );
        }
    }
}
