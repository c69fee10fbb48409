//! The host: settings of its kernel, programs beside the daemon, the firewall.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vrrp_proto::Gather;

use crate::ports::Port;

/// The rules of a firewall are read up to this many bytes.
const LONGEST: u64 = 16 << 20;

/// How long nft may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of it.
#[derive(Debug, Default)]
pub(crate) struct Host {
    /// Settings below /proc/sys, by their path there.
    pub(crate) settings: BTreeMap<String, i64>,
    /// Programs in this network namespace that matter, with their processes.
    pub(crate) programs: Vec<(u32, String)>,
    /// Whether the daemon is in this network namespace; `None` when that cannot be seen.
    pub(crate) same_namespace: Option<bool>,
    /// Whether NetworkManager says that it manages an interface, by the number of that.
    pub(crate) network_manager: BTreeMap<u32, bool>,
    /// What systemd-networkd says about an interface, by the number of that.
    pub(crate) networkd: BTreeMap<u32, Networkd>,
    /// The rules of nftables, or why they are not known.
    pub(crate) rules: Option<Result<Value, String>>,
}

/// What systemd-networkd does with an interface.
#[derive(Clone, Debug)]
pub(crate) struct Networkd {
    /// `configured`, `unmanaged` and so on.
    pub(crate) state: String,
    /// The file that says so.
    pub(crate) file: Option<String>,
    /// Whether that file lets it keep what others add.
    pub(crate) keeps: bool,
}

/// Programs that are looked for: the kernel keeps fifteen characters of a name.
const PROGRAMS: [&str; 7] = [
    "NetworkManager",
    "systemd-network",
    "keepalived",
    "ucarp",
    "uvrrpd",
    "carpd",
    "vrrpd",
];

/// Reads all of it.
pub(crate) fn look(ports: &[Port], daemon: Option<u32>) -> Host {
    let index = |port: &Port| port.index;
    Host {
        settings: settings(ports),
        programs: programs(),
        same_namespace: daemon.and_then(same_namespace),
        network_manager: ports
            .iter()
            .map(index)
            .filter_map(|index| Some((index, managed(index)?)))
            .gather(),
        networkd: ports
            .iter()
            .map(index)
            .filter_map(|index| Some((index, networkd(index)?)))
            .gather(),
        rules: Some(rules()),
    }
}

fn settings(ports: &[Port]) -> BTreeMap<String, i64> {
    let mut names: Vec<String> = [
        "net/ipv4/conf/all/arp_ignore",
        "net/ipv4/conf/all/arp_filter",
        "net/ipv6/conf/all/forwarding",
    ]
    .map(str::to_owned)
    .into();
    for port in ports {
        names.push(format!("net/ipv4/conf/{}/forwarding", port.name));
    }
    let read = |name: String| {
        let text = fs::read_to_string(Path::new("/proc/sys").join(&name)).ok()?;
        Some((name, text.trim().parse().ok()?))
    };
    names.into_iter().filter_map(read).gather()
}

fn programs() -> Vec<(u32, String)> {
    let Ok(here) = fs::read_link("/proc/self/ns/net") else {
        return Vec::new();
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<(u32, String)> = processes
        .filter_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            let name = name.trim_end();
            let there = fs::read_link(process.path().join("ns/net")).ok()?;
            let wanted = PROGRAMS.contains(&name) && there == here;
            // FRR's has our name; several of ours may run on one host.
            let theirs = |exe: PathBuf| exe.components().any(|part| part.as_os_str() == "frr");
            let ours =
                name == "vrrpd" && !fs::read_link(process.path().join("exe")).is_ok_and(theirs);
            (wanted && !ours).then(|| (pid, name.to_owned()))
        })
        .collect();
    found.sort_unstable();
    found
}

fn same_namespace(daemon: u32) -> Option<bool> {
    let there = fs::read_link(format!("/proc/{daemon}/ns/net")).ok()?;
    Some(there == fs::read_link("/proc/self/ns/net").ok()?)
}

fn managed(index: u32) -> Option<bool> {
    let text = fs::read_to_string(format!("/run/NetworkManager/devices/{index}")).ok()?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("managed="))
        .and_then(|value| value.trim().parse().ok())
}

fn networkd(index: u32) -> Option<Networkd> {
    let text = fs::read_to_string(format!("/run/systemd/netif/links/{index}")).ok()?;
    let value = |key: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
    };
    let file = value("NETWORK_FILE").map(str::to_owned);
    let kept = |file: &String| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines().map(str::trim);
        lines.any(|line| matches!(line, "KeepConfiguration=yes" | "KeepConfiguration=static"))
    };
    Some(Networkd {
        state: value("ADMIN_STATE")?.to_owned(),
        keeps: file.as_ref().is_some_and(kept),
        file,
    })
}

/// The rules as nft prints them, without the elements of sets, of which there may be very many.
fn rules() -> Result<Value, String> {
    let mut child = Command::new("nft")
        .args(["--json", "--terse", "list", "ruleset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("nft cannot be run: {error}"))?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        out.map(|out| out.take(LONGEST).read_to_end(&mut text));
        text
    });
    let end = Instant::now() + PATIENCE;
    let done = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                // It is ours, and nobody waits for it any more.
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let text = reader.join().unwrap_or_default();
    if !done {
        return Err("nft list ruleset failed".to_owned());
    }
    serde_json::from_slice(&text).map_err(|error| format!("nft list ruleset: {error}"))
}
