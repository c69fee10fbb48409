//! Two good files that do not fit together, and what is said about it.

use vrrp_config::{Finding, Loaded, Severity, code, compare, parse, render};

fn loaded(file: &str, text: &str) -> Loaded {
    Loaded {
        config: parse(text).unwrap_or_else(|findings| panic!("{text}\n{findings:?}")),
        file: file.into(),
        text: text.into(),
    }
}

fn differences(ours: &str, theirs: &str) -> Vec<Finding> {
    compare(&loaded("a.toml", ours), &loaded("b.toml", theirs))
}

const A: &str = r#"
[virtual-router.lan4]
interface = "eth0"
vrid = 51
priority = 200
addresses = ["192.0.2.254/24", "192.0.2.253/24"]

[virtual-router.lan6]
interface = "eth0"
vrid = 51
priority = 200
addresses = ["fe80::51/64", "2001:db8::51/64"]

[virtual-router.old]
interface = "eth1"
vrid = 52
protocol = "vrrpv2"
priority = 200
authentication = { type = "simple-text", key = "abc" }
addresses = ["198.51.100.254/24"]
"#;

/// The other router's file, with something in it changed.
fn b(from: &str, to: &str) -> String {
    let good = A
        .replace("priority = 200", "priority = 100")
        .replace("eth0", "enp1s0");
    assert!(good.contains(from), "{from}");
    good.replacen(from, to, 1)
}

#[test]
fn a_good_pair() {
    assert_eq!(differences(A, &b("", "")), []);
    // Names and interfaces are each side's own; what is one virtual router is found by VRID and address.
    assert_eq!(differences(A, &b("lan4", "inside")), []);
}

const CARP: &str = r#"
[virtual-router.fw]
interface = "eth0"
protocol = "carp"
vhid = 7
advskew = 0
passphrase = "tOp5ecre"
addresses = ["192.0.2.1/24", "2001:db8::1/64"]
"#;

/// The digest covers addresses and passphrase; equals give way to each other.
#[test]
fn each_difference_of_a_carp_group_is_found() {
    use Severity::{Error, Warning};
    let other = CARP.replace("advskew = 0", "advskew = 100");
    assert_eq!(differences(CARP, &other), []);
    let shuffled = other.replace(
        "\"192.0.2.1/24\", \"2001:db8::1/64\"",
        "\"2001:db8::1/64\", \"192.0.2.1/24\"",
    );
    assert_eq!(differences(CARP, &shuffled), []);
    for (from, to, expected) in [
        (
            "advskew = 100",
            "advskew = 0",
            (code::PAIR_PRIORITY, Warning),
        ),
        (
            "vhid = 7",
            "vhid = 7\nadvbase = 2",
            (code::PAIR_INTERVAL, Warning),
        ),
        ("tOp5ecre", "0ther", (code::PAIR_AUTHENTICATION, Error)),
        (", \"2001:db8::1/64\"", "", (code::PAIR_ADDRESSES, Error)),
        ("vhid = 7", "vhid = 8", (code::PAIR_VRID, Error)),
    ] {
        assert!(other.contains(from), "{from}");
        let found = differences(CARP, &other.replace(from, to));
        let found: Vec<_> = found.iter().map(|it| (it.code, it.severity)).collect();
        assert_eq!(found, [expected], "{to}");
    }
}

#[test]
fn each_difference_is_found() {
    use Severity::{Error, Warning};
    for (from, to, expected) in [
        ("vrid = 51", "vrid = 15", (code::PAIR_VRID, Error)),
        (
            "vrid = 51",
            "vrid = 51\nprotocol = \"vrrpv2\"",
            (code::PAIR_VERSION, Error),
        ),
        (
            "vrid = 51",
            "vrid = 51\nadvertise-interval = \"2s\"",
            (code::PAIR_INTERVAL, Warning),
        ),
        (
            "vrid = 52",
            "vrid = 52\nadvertise-interval = \"2s\"",
            (code::PAIR_INTERVAL, Error),
        ),
        (", \"192.0.2.253/24\"", "", (code::PAIR_ADDRESSES, Warning)),
        (
            "2001:db8::51",
            "2001:db8::52",
            (code::PAIR_ADDRESSES, Warning),
        ),
        (
            "\"198",
            "\"198.51.100.253/24\", \"198",
            (code::PAIR_ADDRESSES, Error),
        ),
        ("253/24", "253/32", (code::PAIR_PREFIX, Warning)),
        (
            "priority = 100",
            "priority = 200",
            (code::PAIR_PRIORITY, Warning),
        ),
        ("\"abc\"", "\"abd\"", (code::PAIR_AUTHENTICATION, Error)),
        ("authentication", "#", (code::PAIR_AUTHENTICATION, Error)),
        (
            "vrid = 51",
            "vrid = 51\nunicast-peers = [\"192.0.2.1\"]\nvirtual-mac = false",
            (code::PAIR_MODE, Error),
        ),
        (
            "vrid = 51",
            "vrid = 51\nvirtual-mac = false",
            (code::PAIR_MAC, Warning),
        ),
        (
            "vrid = 51",
            "vrid = 51\naccept-mode = false",
            (code::PAIR_ACCEPT, Warning),
        ),
        (
            "[virtual-router.lan4]",
            "[virtual-router.more]\ninterface = \"eth2\"\nvrid = 9\naddresses = [\"203.0.113.1/24\"]\n[virtual-router.lan4]",
            (code::PAIR_ALONE, Warning),
        ),
    ] {
        let theirs = b(from, to);
        for (one, other) in [(A, theirs.as_str()), (&theirs, A)] {
            let found: Vec<_> = differences(one, other)
                .iter()
                .map(|finding| (finding.code, finding.severity))
                .collect();
            assert!(found.contains(&expected), "{to}: {found:?}");
            assert!(
                found
                    .iter()
                    .all(|(code, _)| *code == expected.0 || *code == code::PAIR_MAC),
                "{to}: {found:?}"
            );
        }
    }
}

#[test]
fn both_own_the_addresses() {
    let owner = |text: &str| text.replacen("priority = 200", "priority = 255", 1);
    let findings = differences(&owner(A), &owner(A));
    let errors: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| finding.code)
        .collect();
    assert_eq!(errors, [code::PAIR_PRIORITY]);
}

#[test]
fn a_checksum_that_the_other_refuses() {
    let send = b("vrid = 51", "vrid = 51\nchecksum = \"rfc5798\"");
    let strict = A.replacen("vrid = 51", "vrid = 51\nchecksum-strict = true", 1);
    for (one, other) in [(&send, &strict), (&strict, &send)] {
        let found: Vec<_> = differences(one, other).iter().map(|it| it.code).collect();
        assert_eq!(found, [code::PAIR_CHECKSUM]);
    }
    assert_eq!(differences(A, &send), []);
}

/// A key must not be in what is printed, whichever of the files it is in.
#[test]
fn what_the_operator_reads() {
    let theirs = b("vrid = 51", "vrid = 51\nadvertise-interval = \"200ms\"")
        .replace("\"abc\"", "\"hush\"")
        .replace("priority = 100\nauth", "priority = 200\nauth");
    let findings = differences(A, &theirs);
    let text = render(&findings, "a.toml", A, false);
    assert!(!text.contains("abc") && !text.contains("hush"), "{text}");
    insta::assert_snapshot!(text);
    assert!(findings.iter().all(|finding| finding.help.is_some()));
    let first = findings.first().unwrap();
    assert_eq!(
        first.line_column(A).0,
        2,
        "the header, as the default holds"
    );
}

/// Who requires seals does not hear who makes none. By way of the word between them, two that run are changed one by one.
#[test]
fn seals_of_one_only() {
    use Severity::{Error, Warning};
    let with = |advskew: u8, seal: &str| {
        format!(
            "[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = 7\npassphrase = \"x\"\n\
             addresses = [\"192.0.2.254/24\"]\nadvskew = {advskew}\ncarp-seal = \"{seal}\"\n"
        )
    };
    for (one, other, expected) in [
        ("off", "require", Some(Error)),
        ("off", "prefer", Some(Warning)),
        ("prefer", "require", None),
        ("require", "require", None),
    ] {
        for (here, there) in [(one, other), (other, one)] {
            let findings = differences(&with(0, here), &with(100, there));
            let found: Vec<_> = findings.iter().map(|it| (it.code, it.severity)).collect();
            let expected: Vec<_> = expected
                .map(|it| (code::PAIR_SEAL, it))
                .into_iter()
                .collect();
            assert_eq!(found, expected, "{here} {there}");
        }
    }
}
