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
    let carp = [&[0x21, 7, 100, 7, 0, 1][..], &[0; 30]].concat();
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
        "source-mac": "00:00:5e:00:01:33", "hop-limit": 255, "version": 3, "vrid": 51, "priority": 200,
        "interval-ms": 1000, "addresses": ["192.0.2.254"], "checksum": "rfc9568", "verdict": "good", "reason": null
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
