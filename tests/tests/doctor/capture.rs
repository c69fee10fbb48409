//! `vrrpctl capture`: what passes, and whose verdict it is.

use crate::tools::{advert, backup, ctl_by, ip, repeat};
use nix::sys::signal::Signal;
use serde_json::Value;
use vrrp_lab::clock::ms;
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::netns::Namespace;
use vrrp_lab::process::Process;
use vrrp_lab::profile::Profile;
use vrrp_lab::scratch::Scratch;

fn capture(namespace: &Namespace, daemon: &Daemon, words: &[&str]) -> (Option<i32>, Vec<Value>) {
    let all = [&["capture", "--json"], words].concat();
    let output = ctl_by(namespace, daemon, "exec \"$@\"", &all);
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    (output.status.code(), lines.collect())
}

#[test]
fn each_packet_has_the_verdict_of_the_router_it_concerns() {
    let (bench, _speaker) = backup(Profile::V3Ipv4, |router| router);
    let _low = repeat(&bench, &advert(&bench, 90).ttl(64));
    let _foreign = repeat(
        &bench,
        &advert(&bench, 90).vrid(7).addresses(&[ip("192.0.2.7")]),
    );
    let scratch = Scratch::new("capture");
    let written = scratch.path().join("vrrp.pcapng");
    let written = written.to_str().expect("a plain path");
    let (code, packets) = capture(&bench.dut, bench.daemon(), &["-w", written, "--for", "1s"]);
    assert_eq!(code, Some(1), "one is refused");
    let about = |vrid: u64, verdict: &str| {
        let found = packets
            .iter()
            .find(|it| it["vrid"] == vrid && it["verdict"] == verdict);
        found
            .unwrap_or_else(|| panic!("no {verdict} of {vrid} in {packets:#?}"))
            .clone()
    };
    let good = about(51, "good");
    assert_eq!(good["router"], "dut");
    assert_eq!(good["interface"], "eth0");
    assert_eq!(good["direction"], "in");
    assert_eq!(about(51, "refused")["reason"], "TTL 64, must be 255");
    assert_eq!(about(7, "good")["router"], Value::Null);

    // What was written is what was seen.
    let output = ctl_by(
        &bench.dut,
        bench.daemon(),
        "exec \"$@\"",
        &["decode", written, "--json"],
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let decoded: Vec<Value> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(decoded.len(), packets.len());
    assert_eq!(decoded[0]["time"], packets[0]["time"]);
}

#[test]
fn it_ends_after_a_number_of_packets() {
    let bench = crate::tools::active(|router| router);
    let (code, packets) = capture(&bench.dut, bench.daemon(), &["-i", "eth0", "-c", "2"]);
    assert_eq!((code, packets.len()), (Some(0), 2));
    assert_eq!(packets[0]["direction"], "out");
}

/// Control-C ends it in good order, with a summary; and it sends nothing, also where no daemon is.
#[test]
fn an_interrupt_ends_it() {
    let (bench, _speaker) = backup(Profile::V3Ipv6, |router| router);
    let scratch = Scratch::new("capture");
    let log = scratch.path().join("log");
    let words = ["--socket", "/nonexistent", "capture", "-i", "eth0"];
    let mut process = Process::start(&bench.dut, &binary("vrrpctl"), &words, &log);
    let heard = vrrp_lab::clock::wait_for(ms(5000), || {
        process
            .output()
            .contains("VRRPv3 51  priority 200")
            .then_some(())
    });
    assert!(heard.is_some(), "{}", process.output());
    process.signal(Signal::SIGINT);
    let status = process.wait(ms(3000)).expect("it ends");
    let text = process.output();
    assert_eq!(status.code(), Some(0), "{text}");
    assert!(
        text.starts_with("listening on eth0, promiscuous\n"),
        "{text}"
    );
    assert!(text.trim_end().ends_with(" good, 0 refused"), "{text}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let (bench, _speaker) = backup(Profile::V3Ipv4, |router| router);
    let run = |line: &str, words: &[&str]| {
        let output = ctl_by(&bench.dut, bench.daemon(), line, words);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text) = run("exec \"$@\"", &["capture", "-i", "eth7"]);
    assert_eq!(code, Some(2));
    assert!(
        text.starts_with("there is no interface \"eth7\"; there is lo, eth0, eth1"),
        "{text}"
    );
    let (code, text) = run(
        "exec setpriv --bounding-set=-net_raw \"$@\"",
        &["capture", "-i", "eth0"],
    );
    assert_eq!(code, Some(1));
    assert!(text.contains("it takes root, or CAP_NET_RAW"), "{text}");
}
