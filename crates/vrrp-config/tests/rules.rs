//! What each key means when it is right, and where the limits of its values are.

use std::net::IpAddr;
use std::time::Duration;

use vrrp_config::{Config, Finding, code, listing, parse};
use vrrp_proto::{
    ChecksumForm, ChecksumPolicy, DataPlane, Dialect, Family, Interval, Priority, RouterPlan,
};

/// A router of VRRPv3/IPv4 with further lines.
fn v3(lines: &str) -> String {
    format!(
        "[virtual-router.lan]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.254/24\"]\n{lines}\n"
    )
}

fn v2(lines: &str) -> String {
    v3(&format!("protocol = \"vrrpv2\"\n{lines}"))
}

fn v6(addresses: &str, lines: &str) -> String {
    format!(
        "[virtual-router.lan]\ninterface = \"eth0\"\nvrid = 51\naddresses = [{addresses}]\n{lines}\n"
    )
}

fn config(text: &str) -> Config {
    parse(text).unwrap_or_else(|findings| {
        panic!(
            "{text}\n{}",
            vrrp_config::render(&findings, "test", text, false)
        )
    })
}

/// A CARP router with these lines more.
fn carp(more: &str) -> String {
    format!("[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = 7\n{more}\n")
}

#[test]
fn a_carp_router_has_both_families_in_any_order_and_counts_from_254() {
    let text = carp(
        "passphrase = \"tOp5ecre\"\nadvskew = 100\nadvbase = 2\naddresses = [\"2001:db8::1/64\", \"192.0.2.1/24\"]",
    );
    let plan = router(&text);
    assert_eq!(plan.family, Family::Ipv4);
    assert!(plan.is_dual());
    let addresses: Vec<String> = plan.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["192.0.2.1/24", "2001:db8::1/64"]);
    assert_eq!(
        (plan.priority.get(), plan.interval.as_secs()),
        (154, Some(2))
    );
    assert_eq!(plan.mac().unwrap().to_string(), "00:00:5e:00:01:07");
    let six = router(&carp(
        "passphrase = \"tOp5ecre\"\naddresses = [\"2001:db8::1/64\"]",
    ));
    assert_eq!(six.mac().unwrap().to_string(), "00:00:5e:00:01:07");
    assert!(!six.is_dual());
}

#[test]
fn what_carp_seals_and_for_how_long_it_remembers() {
    use std::time::Duration;
    use vrrp_proto::carp::{LinkLocal, Sealing};
    let all = |more: &str| {
        carp(&format!(
            "passphrase = \"tOp5ecre\"\naddresses = [\"192.0.2.1/24\"]\n{more}"
        ))
    };
    let plain = router(&all("")).carp.unwrap();
    assert_eq!(
        (plain.sealing, plain.link_local),
        (Sealing::Off, LinkLocal::LeftOut)
    );
    let seconds = Duration::from_secs;
    assert_eq!((plain.grace, plain.window), (seconds(600), seconds(60)));
    let given = router(&all(
        "carp-seal = \"require\"\ncarp-seal-window = \"90s\"\ncarp-grace = \"0s\"\ncarp-link-local = \"included\"",
    ));
    let given = given.carp.unwrap();
    assert_eq!(
        (given.sealing, given.link_local),
        (Sealing::Require, LinkLocal::Included)
    );
    assert_eq!((given.grace, given.window), (seconds(0), seconds(90)));
    for (wrong, code) in [
        ("carp-seal = \"on\"", code::CHOICE),
        ("carp-seal = true", code::TYPE),
        ("carp-link-local = \"yes\"", code::CHOICE),
        ("carp-grace = \"86401s\"", code::CARP_NUMBER),
        ("carp-grace = \"1.5s\"", code::CARP_NUMBER),
        ("carp-grace = 60", code::TYPE),
        (
            "carp-seal = \"require\"\ncarp-seal-window = \"0s\"",
            code::CARP_NUMBER,
        ),
        (
            "carp-seal = \"require\"\ncarp-seal-window = \"3601s\"",
            code::CARP_NUMBER,
        ),
        ("carp-seal-window = \"60s\"", code::CARP_SEAL),
    ] {
        assert_eq!(codes(&all(wrong)), [code], "{wrong}");
    }
    let vrrp = "[virtual-router.r]\ninterface = \"eth0\"\nvrid = 7\naddresses = [\"192.0.2.1/24\"]\ncarp-seal = \"prefer\"";
    assert_eq!(codes(vrrp), [code::CARP_KEY]);
}

#[test]
fn a_passphrase_is_the_one_line_of_its_file_and_is_not_shown() {
    use std::os::unix::fs::PermissionsExt;
    let file = std::env::temp_dir().join(format!("vrrpd-carp-{}.key", std::process::id()));
    let text = carp(&format!(
        "passphrase-file = \"{}\"\naddresses = [\"192.0.2.1/24\"]",
        file.display()
    ));
    let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
    std::fs::write(&file, "tOp5ecre\n").unwrap();
    mode(0o600);
    let config = parse(&text).unwrap();
    assert_eq!(config.findings, []);
    let inline = carp("passphrase = \"tOp5ecre\"\naddresses = [\"192.0.2.1/24\"]");
    assert_eq!(config.plan, parse(&inline).unwrap().plan);
    assert!(!listing(&config.plan, true).contains("tOp5"));
    mode(0o644);
    let findings = parse(&text).unwrap().findings;
    assert_eq!(findings[0].code, code::PASSPHRASE_OPEN);
    std::fs::write(&file, "tOp5ecre tOp5ecre tOp5ecre\n").unwrap();
    let findings = parse(&text).unwrap_err();
    assert!(!format!("{findings:?}").contains("tOp5"), "{findings:?}");
    std::fs::remove_file(&file).unwrap();
}

fn router(text: &str) -> RouterPlan {
    let mut routers = config(text).plan.routers;
    assert_eq!(routers.len(), 1);
    routers.remove(0)
}

/// The codes of all findings, errors or not.
fn codes(text: &str) -> Vec<&'static str> {
    let findings: Vec<Finding> = match parse(text) {
        Ok(config) => config.findings,
        Err(findings) => findings,
    };
    findings.iter().map(|finding| finding.code).collect()
}

fn accepts(key: &str, values: &[&str], text: impl Fn(&str) -> String) {
    for value in values {
        assert!(
            parse(&text(&format!("{key} = {value}"))).is_ok(),
            "{key} = {value}"
        );
    }
}

fn refuses(key: &str, values: &[&str], expected: &str, text: impl Fn(&str) -> String) {
    for value in values {
        assert_eq!(
            codes(&text(&format!("{key} = {value}"))),
            [expected],
            "{key} = {value}"
        );
    }
}

#[test]
fn defaults() {
    let plan = router(&v3(""));
    assert_eq!(plan.name, "lan");
    assert_eq!(plan.interface, "eth0");
    assert_eq!(plan.vrid.get(), 51);
    assert_eq!(plan.dialect, Dialect::Vrrp3);
    assert_eq!(plan.family, Family::Ipv4);
    assert_eq!(plan.priority, Priority::DEFAULT);
    assert_eq!(plan.interval, Interval::DEFAULT);
    assert_eq!(
        plan.addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["192.0.2.254/24"]
    );
    assert!(plan.preempt && plan.accept && plan.virtual_mac);
    assert_eq!(plan.data_plane, DataPlane::Macvlan);
    assert_eq!(plan.preempt_delay, Duration::ZERO);
    assert_eq!(plan.checksum, ChecksumPolicy::default());
    assert_eq!(plan.authentication, None);
    assert_eq!(plan.unicast_peers, Vec::<IpAddr>::new());
    assert_eq!(plan.announce_refresh, Some(Duration::from_secs(60)));
    assert_eq!(config(&v3("")).findings, []);
}

#[test]
fn everything_set() {
    let plan = router(&v3(
        "priority = 200\nadvertise-interval = \"1.5s\"\npreempt-delay = \"1000s\"\naccept-mode = false\n\
        virtual-mac = false\nchecksum = \"rfc5798\"\nunicast-peers = [\"192.0.2.2\"]\nannounce-refresh = \"0s\"",
    ));
    assert_eq!(plan.priority.get(), 200);
    assert_eq!(plan.interval.as_centis(), Some(150));
    assert_eq!(plan.preempt_delay, Duration::from_secs(1000));
    assert!(!plan.accept && !plan.virtual_mac);
    assert_eq!(
        plan.checksum,
        ChecksumPolicy {
            send: Some(ChecksumForm::Rfc5798),
            strict: false
        }
    );
    assert_eq!(plan.unicast_peers, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
    assert_eq!(plan.announce_refresh, None);
    assert!(!router(&v3("preempt = false")).preempt);
    for (word, plane) in [
        ("auto", DataPlane::Macvlan),
        ("macvlan", DataPlane::Macvlan),
        ("ebpf", DataPlane::Ebpf),
    ] {
        let text = v3(&format!("data-plane = \"{word}\""));
        assert_eq!(router(&text).data_plane, plane, "{word}");
    }
    assert!(router(&v3("checksum-strict = true")).checksum.strict);
    let key = router(&v2(
        "authentication = { type = \"simple-text\", key = \"1111\" }",
    ))
    .authentication;
    assert_eq!(key.unwrap().bytes(), *b"1111\0\0\0\0");
}

#[test]
fn numbers_have_limits() {
    let with = |vrid: &str| v3("").replace("vrid = 51", vrid);
    accepts("vrid", &["1", "255", "0x33"], with);
    refuses(
        "vrid",
        &["0", "256", "-1", "99999999999999999999"],
        code::VRID,
        with,
    );
    refuses(
        "vrid",
        &["1.5", "\"51\"", "true", "[51]", "1979-05-27"],
        code::TYPE,
        with,
    );
    accepts("priority", &["1", "254", "255"], v3);
    refuses("priority", &["0", "256", "-100"], code::PRIORITY, v3);
}

#[test]
fn intervals_have_the_unit_of_the_protocol() {
    accepts(
        "advertise-interval",
        &["\"10ms\"", "\"0.01s\"", "\"40950ms\"", "\"40.95s\""],
        v3,
    );
    refuses(
        "advertise-interval",
        &[
            "\"0s\"",
            "\"5ms\"",
            "\"15ms\"",
            "\"40951ms\"",
            "\"40.96s\"",
            "\"999999s\"",
        ],
        code::DURATION_RANGE,
        v3,
    );
    accepts(
        "advertise-interval",
        &["\"1s\"", "\"255s\"", "\"3000ms\""],
        v2,
    );
    refuses(
        "advertise-interval",
        &["\"0s\"", "\"100ms\"", "\"1.5s\"", "\"256s\""],
        code::DURATION_RANGE,
        v2,
    );
    refuses(
        "advertise-interval",
        &["\"1\"", "\"\"", "\"fast\""],
        code::DURATION,
        v3,
    );
    refuses("advertise-interval", &["1", "0.1", "true"], code::TYPE, v3);
    assert_eq!(
        router(&v2("advertise-interval = \"255s\""))
            .interval
            .as_secs(),
        Some(255)
    );
}

#[test]
fn other_durations_have_limits() {
    accepts("preempt-delay", &["\"0s\"", "\"500ms\"", "\"1000s\""], v3);
    refuses("preempt-delay", &["\"1000.1s\""], code::DURATION_RANGE, v3);
    accepts("announce-refresh", &["\"0s\"", "\"1s\"", "\"86400s\""], v3);
    refuses(
        "announce-refresh",
        &["\"999ms\"", "\"86401s\""],
        code::DURATION_RANGE,
        v3,
    );
    refuses(
        "preempt = false\npreempt-delay",
        &["\"1s\""],
        code::PREEMPT_DELAY,
        v3,
    );
    accepts("preempt = false\npreempt-delay", &["\"0s\""], v3);
}

#[test]
fn interface_names_are_those_of_linux() {
    let with = |interface: &str| v3("").replace("interface = \"eth0\"", interface);
    accepts(
        "interface",
        &[
            "\"eth1.20\"",
            "\"br-lan\"",
            "\"fifteen-bytes-x\"",
            "\"wän0\"",
        ],
        with,
    );
    refuses(
        "interface",
        &[
            "\"\"",
            "\"sixteen-bytes-xy\"",
            "\"a b\"",
            "\"a/b\"",
            "\"eth0:1\"",
            "\"..\"",
            "\"eth%d\"",
            "\"a\\u0000\"",
        ],
        code::INTERFACE,
        with,
    );
}

#[test]
fn router_names() {
    let with = |name: &str| v3("").replace("lan", name);
    for name in [
        "lan4",
        "\"lan.4\"",
        "A_b-c",
        "\"x123456789x123456789x123456789xy\"",
    ] {
        assert_eq!(codes(&with(name)), [""; 0], "{name}");
    }
    for name in [
        "\"\"",
        "\"a b\"",
        "\"ä\"",
        "\"a/b\"",
        "\"x123456789x123456789x123456789xyz\"",
    ] {
        assert_eq!(codes(&with(name)), [code::NAME], "{name}");
    }
}

#[test]
fn addresses_are_hosts() {
    let with = |addresses: &str| v3("").replace("addresses = [\"192.0.2.254/24\"]", addresses);
    accepts(
        "addresses",
        &[
            "[\"192.0.2.0/31\"]",
            "[\"192.0.2.0/32\"]",
            "[\"11.0.0.0/7\", \"10.0.0.1/8\"]",
            "[\"169.254.1.1/16\"]",
        ],
        with,
    );
    refuses(
        "addresses",
        &[
            "[\"192.0.2.0/24\"]",
            "[\"192.0.2.255/24\"]",
            "[\"127.0.0.1/8\"]",
            "[\"0.0.0.0/1\"]",
            "[\"0.1.2.3/8\"]",
            "[\"239.1.1.1/24\"]",
            "[\"255.255.255.255/32\"]",
        ],
        code::ADDRESS_KIND,
        with,
    );
    refuses(
        "addresses",
        &[
            "[\"192.0.2.1\"]",
            "[\"192.0.2.1/\"]",
            "[\"192.0.2.1/33\"]",
            "[\"192.0.2.1/+24\"]",
            "[\"192.0.2.1/-1\"]",
            "[\"fe80::1/129\"]",
        ],
        code::PREFIX,
        with,
    );
    refuses(
        "addresses",
        &[
            "[\"localhost/24\"]",
            "[\"192.0.2/24\"]",
            "[\"/24\"]",
            "[\" 192.0.2.1/24\"]",
        ],
        code::ADDRESS,
        with,
    );
    refuses(
        "addresses",
        &[
            "[\"192.0.2.1/24\", \"192.0.2.1/24\"]",
            "[\"192.0.2.1/24\", \"192.0.2.1/32\"]",
        ],
        code::ADDRESS_TWICE,
        with,
    );
    refuses("addresses", &["[]"], code::ADDRESS_COUNT, with);
    refuses(
        "addresses",
        &[
            "[\"192.0.2.1/24\", \"fe80::1/64\"]",
            "[\"fe80::1/64\", \"192.0.2.1/24\"]",
        ],
        code::FAMILY,
        with,
    );
}

#[test]
fn addresses_are_counted() {
    let v4 = |count: u8| {
        v3("").replace(
            "\"192.0.2.254/24\"",
            &(0..=count)
                .map(|n| format!("\"10.0.1.{n}/16\", "))
                .collect::<String>(),
        )
    };
    assert_eq!(router(&v4(254)).addresses.len(), 255);
    assert_eq!(codes(&v4(255)), [code::ADDRESS_COUNT]);
    let six = |count: u8| {
        v6(
            &(1..=count)
                .map(|n| format!("\"fe80::{n:x}/64\", "))
                .collect::<String>(),
            "",
        )
    };
    assert_eq!(router(&six(90)).addresses.len(), 90);
    assert_eq!(codes(&six(91)), [code::ADDRESS_COUNT]);
    // 89 listed and one derived.
    let derived = |count: u8| {
        v6(
            &(1..=count)
                .map(|n| format!("\"2001:db8::{n:x}/64\", "))
                .collect::<String>(),
            "",
        )
    };
    assert_eq!(router(&derived(89)).addresses.len(), 90);
    assert_eq!(codes(&derived(90)), [code::DERIVED, code::ADDRESS_COUNT]);
}

#[test]
fn ipv6_begins_with_a_link_local_address() {
    assert_eq!(codes(&v6("\"fe80::1/64\"", "")), [""; 0]);
    assert_eq!(
        codes(&v6(
            "\"febf::1/64\", \"2001:db8::1/64\", \"fe80::2/64\"",
            ""
        )),
        [""; 0]
    );
    assert_eq!(
        codes(&v6("\"2001:db8::1/64\", \"fe80::1/64\"", "")),
        [code::LINK_LOCAL_FIRST]
    );
    refuses("protocol", &["\"vrrpv2\""], code::VRRP2_IPV6, |line| {
        v6("\"fe80::1/64\"", line)
    });
    for unfit in [
        "::/64",
        "::1/128",
        "ff02::1/64",
        "2001:db8::/64",
        "2001:db8:1::/126",
        "::ffff:192.0.2.1/96",
    ] {
        assert_eq!(
            codes(&v6(&format!("\"fe80::1/64\", \"{unfit}\""), "")),
            [code::ADDRESS_KIND],
            "{unfit}"
        );
    }
    assert_eq!(
        codes(&v6(
            "\"fe80::1/64\", \"2001:db8::/127\", \"2001:db8:1::/128\"",
            ""
        )),
        [""; 0]
    );
}

#[test]
fn a_link_local_address_is_derived_from_the_vrid() {
    for (vrid, expected) in [
        ("1", "fe80::200:5eff:fe00:201/64"),
        ("45", "fe80::200:5eff:fe00:22d/64"),
        ("255", "fe80::200:5eff:fe00:2ff/64"),
    ] {
        let text = v6("\"2001:db8::1/64\"", "").replace("51", vrid);
        let config = config(&text);
        assert_eq!(config.plan.routers[0].addresses[0].to_string(), expected);
        assert_eq!(config.plan.routers[0].addresses.len(), 2);
        assert_eq!(config.findings[0].code, code::DERIVED);
        assert!(
            config.findings[0].message.contains(expected),
            "{}",
            config.findings[0].message
        );
    }
}

#[test]
fn checksum_keys_belong_to_vrrpv3_on_ipv4() {
    accepts("checksum", &["\"auto\"", "\"rfc9568\"", "\"rfc5798\""], v3);
    refuses(
        "checksum",
        &["\"rfc3768\"", "\"AUTO\"", "\"\""],
        code::CHOICE,
        v3,
    );
    for base in [v2 as fn(&str) -> String, |line: &str| {
        v6("\"fe80::1/64\"", line)
    }] {
        accepts("checksum", &["\"auto\""], base);
        accepts("checksum-strict", &["false"], base);
        refuses(
            "checksum",
            &["\"rfc9568\"", "\"rfc5798\""],
            code::CHECKSUM,
            base,
        );
        refuses("checksum-strict", &["true"], code::CHECKSUM, base);
    }
    accepts("checksum = \"rfc9568\"\nchecksum-strict", &["true"], v3);
    refuses(
        "checksum = \"rfc5798\"\nchecksum-strict",
        &["true"],
        code::CHECKSUM,
        v3,
    );
}

#[test]
fn authentication_belongs_to_vrrpv2() {
    accepts(
        "authentication",
        &[
            "{ type = \"simple-text\", key = \"x\" }",
            "{ type = \"simple-text\", key = \"12345678\" }",
        ],
        v2,
    );
    refuses(
        "authentication",
        &["{ type = \"simple-text\", key = \"x\" }"],
        code::AUTHENTICATION,
        v3,
    );
    let key = |key: &str| format!("{{ type = \"simple-text\", key = {key} }}");
    refuses(
        "authentication",
        &[
            &key("\"\""),
            &key("\"123456789\""),
            &key("\"äöüäö\""),
            &key("\"a\\u0000\""),
        ],
        code::AUTHENTICATION_KEY,
        v2,
    );
    refuses(
        "authentication",
        &["{ type = \"simple-text\" }", "{ key = \"x\" }"],
        code::MISSING_KEY,
        v2,
    );
    refuses("authentication", &["\"x\"", "1", &key("1")], code::TYPE, v2);
    refuses(
        "authentication",
        &["{ type = \"none\", key = \"x\" }"],
        code::CHOICE,
        v2,
    );
    refuses(
        "authentication",
        &[
            "{ type = \"ah\", key = \"x\" }",
            "{ type = \"simple-text\", key-file = \"/x\" }",
        ],
        code::UNSUPPORTED,
        v2,
    );
}

#[test]
fn authentication_keys_are_not_debugged() {
    let plan = router(&v2(
        "authentication = { type = \"simple-text\", key = \"tOp5ecre\" }",
    ));
    assert!(!format!("{plan:?}").contains("tOp5"));
}

#[test]
fn unicast_peers_are_hosts_of_the_family() {
    let own = |line: &str| v3(&format!("virtual-mac = false\n{line}"));
    accepts(
        "unicast-peers",
        &["[]", "[\"192.0.2.2\", \"198.51.100.7\"]"],
        own,
    );
    refuses(
        "unicast-peers",
        &[
            "[\"192.0.2.2/24\"]",
            "[\"peer\"]",
            "[\"192.0.2.254\"]",
            "[\"fe80::2\"]",
            "[\"224.0.0.18\"]",
            "[\"127.0.0.1\"]",
            "[\"0.0.0.0\"]",
            "[\"255.255.255.255\"]",
            "[\"192.0.2.2\", \"192.0.2.2\"]",
        ],
        code::PEER,
        own,
    );
    let six = |line: &str| v6("\"fe80::1/64\"", &format!("virtual-mac = false\n{line}"));
    accepts("unicast-peers", &["[\"fe80::2\"]"], six);
    refuses(
        "unicast-peers",
        &[
            "[\"2001:db8::2\"]",
            "[\"fe80::1\"]",
            "[\"fe80::2%eth0\"]",
            "[\"192.0.2.2\"]",
        ],
        code::PEER,
        six,
    );
    assert_eq!(
        codes(&v3("unicast-peers = [\"192.0.2.2\"]")),
        [code::UNICAST_MAC]
    );
    assert_eq!(codes(&v3("unicast-peers = []")), [""; 0]);
}

#[test]
fn owners_are_told_what_it_means() {
    assert_eq!(codes(&v3("priority = 255")), [code::OWNER]);
    assert_eq!(
        codes(&v3("priority = 255\npreempt = false\naccept-mode = false")),
        [code::OWNER, code::OWNER_IGNORES, code::OWNER_IGNORES]
    );
    assert_eq!(
        codes(&v3("priority = 255\npreempt-delay = \"1s\"")),
        [code::OWNER, code::OWNER_IGNORES]
    );
    assert!(parse(&v3("priority = 255")).is_ok());
}

/// Two routers, of which the second differs by `lines`.
fn pair(interface: &str, vrid: u8, address: &str, lines: &str) -> String {
    format!(
        "{}\n[virtual-router.other]\ninterface = \"{interface}\"\nvrid = {vrid}\naddresses = [\"{address}\"]\n{lines}\n",
        v3("")
    )
}

#[test]
fn routers_share_neither_vrid_nor_address() {
    assert_eq!(codes(&pair("eth0", 52, "192.0.2.253/24", "")), [""; 0]);
    assert_eq!(codes(&pair("eth1", 51, "192.0.2.253/24", "")), [""; 0]);
    assert_eq!(codes(&pair("eth0", 51, "fe80::1/64", "")), [""; 0]);
    assert_eq!(
        codes(&pair("eth0", 51, "192.0.2.253/24", "")),
        [code::VRID_TWICE]
    );
    assert_eq!(
        codes(&pair("eth0", 51, "192.0.2.253/24", "protocol = \"vrrpv2\"")),
        [code::VERSIONS]
    );
    assert_eq!(
        codes(&pair("eth1", 52, "192.0.2.254/32", "")),
        [code::ADDRESS_SHARED]
    );
}

#[test]
fn a_link_local_address_may_be_used_on_every_link() {
    let six = |interface: &str| {
        v6("\"fe80::1/64\"", "")
            + &v6("\"fe80::1/64\"", "")
                .replace("lan", "other")
                .replace("51", "52")
                .replace("eth0", interface)
    };
    assert_eq!(codes(&six("eth1")), [""; 0]);
    assert_eq!(codes(&six("eth0")), [code::ADDRESS_SHARED]);
}

#[test]
fn routers_keep_the_order_of_the_file() {
    let text = v3("").replace("lan", "z")
        + &v3("")
            .replace("lan", "a")
            .replace("51", "7")
            .replace("254", "1");
    let names: Vec<String> = config(&text)
        .plan
        .routers
        .into_iter()
        .map(|router| router.name)
        .collect();
    assert_eq!(names, ["z", "a"]);
}

#[test]
fn other_notations_of_toml_mean_the_same() {
    let expected = config(&v3(
        "authentication = { type = \"simple-text\", key = \"x\" }\nprotocol = \"vrrpv2\"",
    ))
    .plan;
    for text in [
        "virtual-router.lan = { interface = 'eth0', vrid = 51, addresses = ['192.0.2.254/24'], protocol = 'vrrpv2', authentication = { type = 'simple-text', key = 'x' } }",
        "\u{feff}[virtual-router.lan]\r\ninterface = \"eth0\"\r\nvrid = 51\r\naddresses = [\r\n  \"192.0.2.254/24\", # gateway\r\n]\r\nprotocol = \"vrrpv2\"\r\n\
         [virtual-router.lan.authentication]\r\ntype = \"simple-text\"\r\nkey = \"x\"\r\n",
        "[virtual-router]\nlan.interface = \"eth0\"\nlan.vrid = 5_1\nlan.addresses = [\"192.0.2.254/24\"]\nlan.protocol = \"vrrpv2\"\n\
         lan.authentication.type = \"simple-text\"\nlan.authentication.key = \"x\"\n",
    ] {
        assert_eq!(config(text).plan, expected, "{text}");
    }
}

#[test]
fn a_suggestion_is_not_followed_by_its_consequences() {
    assert_eq!(codes(&v3("").replace("vrid", "vird")), [code::UNKNOWN_KEY]);
    assert_eq!(
        codes(&v3("").replace("vrid", "virtual_router_id")),
        [code::FOREIGN_KEY]
    );
    assert_eq!(codes(&v3("").replace("vrid = 51", "")), [code::MISSING_KEY]);
}
