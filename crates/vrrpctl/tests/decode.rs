//! The built program and captures: good ones, of several sorts, and damaged ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use vrrp_proto::packet::Advertisement;
use vrrp_proto::{ChecksumForm, Dialect, Interval, Priority, Vrid};

const ETHERNET: u32 = 1;
const RAW: u32 = 101;

/// An IP packet with an advertisement of VRID 51.
fn advertisement(dialect: Dialect, source: &str, form: ChecksumForm) -> Vec<u8> {
    let source: IpAddr = source.parse().unwrap();
    let (group, addresses): (IpAddr, &[IpAddr]) = if source.is_ipv4() {
        (
            "224.0.0.18".parse().unwrap(),
            &["192.0.2.254".parse().unwrap()],
        )
    } else {
        ("ff02::12".parse().unwrap(), &["fe80::51".parse().unwrap()])
    };
    let message = Advertisement {
        dialect,
        vrid: Vrid::new(51).unwrap(),
        priority: Priority::new(200),
        interval: Interval::DEFAULT,
        addresses,
        authentication: None,
    }
    .emit(form, source, group);
    ip(source, group, 255, &message)
}

fn ip(source: IpAddr, destination: IpAddr, hops: u8, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let [high, low] = (length + 20).to_be_bytes();
            let header = [0x45, 0xc0, high, low, 0, 0, 0, 0, hops, 112, 0, 0];
            [
                &header[..],
                &source.octets(),
                &destination.octets(),
                message,
            ]
            .concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = length.to_be_bytes();
            let header = [0x6c, 0, 0, 0, high, low, 112, hops];
            [
                &header[..],
                &source.octets(),
                &destination.octets(),
                message,
            ]
            .concat()
        }
        _ => panic!("two families"),
    }
}

fn framed(ip: &[u8], tags: &[u8]) -> Vec<u8> {
    let ethertype: &[u8] = if ip[0] >> 4 == 4 {
        &[8, 0]
    } else {
        &[0x86, 0xdd]
    };
    let (to, from) = ([1, 0, 0x5e, 0, 0, 0x12], [0, 0, 0x5e, 0, 1, 51]);
    [&to[..], &from, tags, ethertype, ip].concat()
}

/// 2026-11-20T13:00:00Z and a millisecond for each packet.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link] {
        file.extend(word.to_le_bytes());
    }
    for (number, packet) in (1_u32..).zip(packets) {
        let length = u32::try_from(packet.len()).unwrap();
        for word in [1_795_179_600, number * 1000, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// The same as pcapng, in nanoseconds.
fn pcapng(link: u16, packets: &[Vec<u8>]) -> Vec<u8> {
    fn block(kind: u32, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    }
    let section = [&[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0][..], &[0xff; 8]].concat();
    let [low, high] = link.to_le_bytes();
    let interface = [
        low, high, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0,
    ];
    let mut file = [block(0x0a0d_0d0a, &section), block(1, &interface)].concat();
    for (number, packet) in (1_u64..).zip(packets) {
        let time: u64 = 1_795_179_600_000_000_000 + number * 1_000_000;
        let length = u32::try_from(packet.len()).unwrap();
        let mut body = Vec::new();
        let [low, high] = [time & 0xffff_ffff, time >> 32].map(|half| u32::try_from(half).unwrap());
        for word in [0, high, low, length, length] {
            body.extend(word.to_le_bytes());
        }
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}

fn decode(capture: &[u8], words: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vrrpctl"))
        .args(["--utc", "decode", "-"])
        .args(words)
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A reader that has seen enough has hung up.
    let _ = child.stdin.take().unwrap().write_all(capture);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const FORM: ChecksumForm = ChecksumForm::Rfc9568;

fn all_sorts() -> Vec<Vec<u8>> {
    let good = || advertisement(Dialect::Vrrp3, "192.0.2.11", FORM);
    let changed = |at: usize, to: u8| {
        let mut packet = good();
        packet[at] = to;
        packet
    };
    let group = "224.0.0.18".parse().unwrap();
    let carp = bytes(CARP);
    vec![
        good(),
        advertisement(Dialect::Vrrp3, "192.0.2.11", ChecksumForm::Rfc5798),
        advertisement(Dialect::Vrrp2, "192.0.2.11", FORM),
        advertisement(Dialect::Vrrp3, "fe80::11", FORM),
        changed(8, 64),
        changed(20, 0x41),
        changed(22, 99),
        ip("192.0.2.12".parse().unwrap(), group, 255, &carp),
        ip("192.0.2.12".parse().unwrap(), group, 255, &[0x31]),
        // Not of this protocol.
        changed(9, 17),
    ]
}

#[test]
fn each_packet_has_a_verdict() {
    let output = decode(&pcap(RAW, &all_sorts()), &[]);
    insta::assert_snapshot!(text(&output.stdout));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_capture_of_any_sort_says_the_same() {
    let raw = decode(&pcap(RAW, &all_sorts()), &[]);
    let frames =
        |tags: &[u8]| -> Vec<Vec<u8>> { all_sorts().iter().map(|ip| framed(ip, tags)).collect() };
    for capture in [
        pcap(ETHERNET, &frames(&[])),
        pcap(ETHERNET, &frames(&[0x81, 0, 0, 10])),
        pcapng(1, &frames(&[])),
        pcapng(101, &all_sorts()),
    ] {
        assert_eq!(text(&decode(&capture, &[]).stdout), text(&raw.stdout));
    }
}

#[test]
fn for_programs() {
    let packets = [framed(&all_sorts()[0], &[]), framed(&all_sorts()[4], &[])];
    let output = decode(&pcap(ETHERNET, &packets), &["--json"]);
    let said = text(&output.stdout);
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{said}");
    let expected = serde_json::json!({
        "time": "2026-11-20T13:00:00.001Z", "source": "192.0.2.11", "destination": "224.0.0.18",
        "source-mac": "00:00:5e:00:01:33", "hop-limit": 255, "protocol": "vrrpv3", "version": 3, "vrid": 51,
        "priority": 200, "interval-ms": 1000, "addresses": ["192.0.2.254"], "checksum": "rfc9568", "carp": null,
        "verdict": "good", "reason": null
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["verdict"], "refused");
    assert_eq!(lines[1]["reason"], "TTL 64, must be 255");
}

#[test]
fn as_the_routers_of_a_file_would() {
    let folder = std::env::temp_dir().join(format!("vrrpctl-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vrrpd.toml");
    let judged = |router: &str| {
        let text_of = format!("[virtual-router.lan4]\ninterface = \"eth0\"\n{router}");
        std::fs::write(&file, text_of).unwrap();
        let capture = pcap(RAW, &all_sorts()[..1]);
        let output = decode(&capture, &["--config", file.to_str().unwrap()]);
        (text(&output.stdout), output.status.code())
    };
    for (router, verdict, code) in [
        ("vrid = 51\naddresses = [\"192.0.2.254/24\"]", "good", 0),
        (
            "vrid = 51\naddresses = [\"192.0.2.253/24\"]",
            "good, with other addresses than ours",
            0,
        ),
        (
            "vrid = 51\naddresses = [\"192.0.2.254/24\"]\nadvertise-interval = \"2s\"",
            "good, with another interval than ours",
            0,
        ),
        (
            "vrid = 51\naddresses = [\"192.0.2.254/24\"]\nprotocol = \"vrrpv2\"",
            "refused: version 3",
            1,
        ),
        (
            "vrid = 52\naddresses = [\"192.0.2.254/24\"]",
            "refused: no virtual router with this VRID on this interface",
            1,
        ),
    ] {
        let (said, status) = judged(router);
        assert!(
            said.lines()
                .next()
                .unwrap()
                .ends_with(&format!("  {verdict}")),
            "{router}: {said}"
        );
        assert_eq!(status, Some(code), "{router}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Group 1 with 10.99.0.100 and the passphrase "secret", and its bow-out: as an implementation that shares nothing with this
/// one makes them.
const CARP: &str = "210100070001090e0123456789abcdef5a67b92cd1f79847ddab460b830063a1feebb0aa";
const BOW_OUT: &str = "2101ff0700ff9beb0123456789abcdf03dc8ec5e7000548e952d3ad2e5ce0237cbf73232";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn carp(message: &[u8], hops: u8) -> Vec<u8> {
    let group = "224.0.0.18".parse().unwrap();
    ip("10.99.0.1".parse().unwrap(), group, hops, message)
}

/// What is said of these packets by a file with these groups, and how it ends.
fn judged(name: &str, routers: &str, packets: &[Vec<u8>], words: &[&str]) -> (String, Option<i32>) {
    let folder = std::env::temp_dir().join(format!("vrrpctl-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vrrpd.toml");
    std::fs::write(&file, routers).unwrap();
    let words = [&["--config", file.to_str().unwrap()], words].concat();
    let output = decode(&pcap(RAW, packets), &words);
    std::fs::remove_dir_all(&folder).unwrap();
    (text(&output.stdout), output.status.code())
}

fn group(passphrase: &str, addresses: &str) -> String {
    format!(
        "[virtual-router.fw]\ninterface = \"eth0\"\nprotocol = \"carp\"\nvhid = 1\n\
         passphrase = \"{passphrase}\"\naddresses = [{addresses}]\n"
    )
}

#[test]
fn a_digest_of_carp_is_judged_by_a_file() {
    let packets = [carp(&bytes(CARP), 255)];
    let other = "[virtual-router.dmz]\ninterface = \"eth1\"\nprotocol = \"carp\"\nvhid = 2\n\
                 passphrase = \"secret\"\naddresses = [\"10.98.0.1/24\"]\n";
    for (routers, verdict, code) in [
        (group("secret", "\"10.99.0.100/24\""), "good", 0),
        (
            group("Secret", "\"10.99.0.100/24\""),
            "refused: wrong digest: another passphrase, more than one address that differs, or another group with this vhid",
            1,
        ),
        (
            group("secret", "\"10.99.0.100/24\", \"10.99.0.101/24\""),
            "refused: wrong digest: 10.99.0.101 is missing there, and all else agrees",
            1,
        ),
        (
            group(
                "secret",
                "\"10.99.0.100/24\", \"fd00::100/64\", \"fd00::101/64\"",
            ),
            "refused: wrong digest: it has the IPv4 addresses only",
            1,
        ),
        (
            group(
                "secret",
                "\"10.99.0.98/24\", \"10.99.0.99/24\", \"10.99.0.100/24\"",
            ),
            "refused: wrong digest: it has 10.99.0.100 only; UCarp can have one address",
            1,
        ),
        (
            format!("{}{other}", group("another", "\"10.99.0.100/24\"")),
            "refused: wrong digest: it is right with the passphrase of dmz",
            1,
        ),
        (other.to_owned(), "digest not checked", 0),
    ] {
        let (said, status) = judged("carp", &routers, &packets, &[]);
        let line = said.lines().next().unwrap();
        assert!(line.ends_with(&format!("  {verdict}")), "{routers}: {said}");
        assert_eq!(status, Some(code), "{routers}");
        assert!(!said.contains("secret"), "{said}");
    }
}

#[test]
fn carp_is_checked_as_the_daemon_does() {
    let right = bytes(CARP);
    let with = |at: usize, to: u8| {
        let mut message = right.clone();
        message[at] = to;
        message
    };
    let longer = [&right[..], &[0; 10]].concat();
    // VRRPv2 with seven addresses has the same first bytes, and eight bytes more.
    let vrrp = [&[0x21, 1, 100, 7, 0, 1, 0, 0][..], &[0; 36]].concat();
    let routers = group("secret", "\"10.99.0.100/24\"");
    for (message, hops, verdict) in [
        (right.clone(), 255, "good"),
        (bytes(BOW_OUT), 255, "good"),
        (longer, 255, "good"),
        (right.clone(), 254, "refused: TTL 254, must be 255"),
        (with(2, 50), 255, "refused: wrong checksum"),
        (
            right[..35].to_vec(),
            255,
            "refused: 35 bytes, and an advertisement of CARP has 36",
        ),
        (vrrp, 255, "refused: wrong checksum"),
        (with(0, 0x31), 255, "refused: wrong checksum"),
    ] {
        let (said, _) = judged("checks", &routers, &[carp(&message, hops)], &[]);
        let line = said.lines().next().unwrap();
        assert!(line.ends_with(&format!("  {verdict}")), "{verdict}: {said}");
        let (version, length) = (message[0] >> 4, message.len());
        let what = match (version, length) {
            (2, 44) => "VRRPv2 1  priority 100",
            (2, 35) => "35 bytes",
            (2, _) => "CARP 1  ",
            _ => "VRRPv3 1  ",
        };
        assert!(line.contains(what), "{what}: {said}");
    }
}

#[test]
fn carp_for_programs() {
    let packets = [carp(&bytes(BOW_OUT), 255), carp(&bytes(CARP), 64)];
    let routers = group("secret", "\"10.99.0.100/24\"");
    let (said, _) = judged("programs", &routers, &packets, &["--json"]);
    let lines: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected = serde_json::json!({
        "time": "2026-11-20T13:00:00.001Z", "source": "10.99.0.1", "destination": "224.0.0.18",
        "source-mac": null, "hop-limit": 255, "protocol": "carp", "version": null, "vrid": null, "priority": null,
        "interval-ms": null, "addresses": null, "checksum": null,
        "carp": {
            "vhid": 1, "advbase": 255, "advskew": 255, "demotion": 0, "bow-out": true, "counter": "0123456789abcdf0",
            "digest": "3dc8ec5e7000548e952d3ad2e5ce0237cbf73232"
        },
        "verdict": "good", "reason": null
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[1]["carp"]["bow-out"], false);
    assert_eq!(lines[1]["verdict"], "refused");
    assert_eq!(lines[1]["reason"], "TTL 64, must be 255");
    // Without the passphrase, the rest can be told.
    let alone = decode(&pcap(RAW, &packets), &["--json"]);
    let said = text(&alone.stdout);
    let first: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["verdict"], &first["protocol"]),
        (&"carp".into(), &"carp".into())
    );
}

/// Captured in the laboratory: two advertisements and the bow-out of vrrpd, and then three of UCarp 1.5.2.
#[test]
fn what_ours_and_ucarp_say() {
    let capture = include_bytes!("captures/carp.pcapng");
    let config = std::env::temp_dir().join(format!("vrrpctl-ucarp-{}.toml", std::process::id()));
    let text_of = group("lab secret", "\"192.0.2.254/24\"").replace("vhid = 1", "vhid = 51");
    std::fs::write(&config, text_of).unwrap();
    let output = decode(capture, &["--config", config.to_str().unwrap()]);
    std::fs::remove_file(&config).unwrap();
    insta::assert_snapshot!(text(&output.stdout));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn what_is_no_capture() {
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (
            b"GET / HTTP/1.1\r\n\r\n and so on, for a while",
            "it is neither pcap nor pcapng",
        ),
    ] {
        let output = decode(bytes, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stderr), format!("cannot decode -: {why}\n"));
        assert_eq!(text(&output.stdout), "");
    }
    let mut cut = pcap(RAW, &all_sorts());
    cut.pop();
    let output = decode(&cut, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stdout).contains("advertisements: 4 good"));
    assert!(text(&output.stderr).contains("in the middle of a packet"));
}

/// Whatever a capture says, there is an answer and no panic.
#[test]
fn damage_anywhere() {
    let frames: Vec<Vec<u8>> = all_sorts()
        .iter()
        .take(3)
        .map(|ip| framed(ip, &[]))
        .collect();
    for whole in [pcap(ETHERNET, &frames), pcapng(1, &frames)] {
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            let code = decode(&damaged, &[]).status.code();
            assert!(matches!(code, Some(0..=2)), "{at}: {code:?}");
        }
    }
}
