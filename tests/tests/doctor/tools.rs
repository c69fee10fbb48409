//! A patient, and what the doctor says.

use serde_json::Value;
use std::net::IpAddr;
use std::process::Output;
use std::time::Duration;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::daemon::{Daemon, binary};
use vrrp_lab::netns::Namespace;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file};
use vrrp_lab::tester::Repeater;
use vrrp_lab::wire::Advert;

/// The advertisement interval of most patients, and in the centiseconds of VRRPv3.
pub(crate) const INTERVAL: Duration = ms(200);
pub(crate) const CENTIS: u16 = 20;

/// What the doctor said.
pub(crate) struct Diagnosis {
    pub(crate) code: Option<i32>,
    pub(crate) report: Value,
}

/// Runs `vrrpctl` in `namespace`, by a line of shell that ends in `"$@"`.
pub(crate) fn ctl_by(namespace: &Namespace, daemon: &Daemon, line: &str, words: &[&str]) -> Output {
    let socket = daemon.runtime_dir().join("vrrpd.sock");
    let mut command = namespace.command("sh");
    command.args(["-c", line, "sh"]).arg(binary("vrrpctl"));
    command.arg("--socket").arg(socket).args(words);
    command.output().expect("vrrpctl starts")
}

/// As [`examine`], by a line of shell that ends in `"$@"`.
pub(crate) fn examine_by(namespace: &Namespace, daemon: &Daemon, line: &str) -> Diagnosis {
    examine_for(namespace, daemon, line, "700ms")
}

/// As [`examine_by`], listening for as long as is said.
pub(crate) fn examine_for(
    namespace: &Namespace,
    daemon: &Daemon,
    line: &str,
    time: &str,
) -> Diagnosis {
    // Three and a half intervals of VRRPv3; with VRRPv2 the doctor knows better.
    let quick = daemon
        .try_status()
        .is_none_or(|status| status["routers"][0]["protocol"] == "vrrpv3");
    let span: &[&str] = if quick { &["--for", time] } else { &[] };
    let output = ctl_by(
        namespace,
        daemon,
        line,
        &[&["doctor", "--json"], span].concat(),
    );
    let report = serde_json::from_slice(&output.stdout);
    Diagnosis {
        code: output.status.code(),
        report: report.unwrap_or_else(|error| panic!("{error}: {output:?}")),
    }
}

/// Calls the doctor.
pub(crate) fn examine(namespace: &Namespace, daemon: &Daemon) -> Diagnosis {
    examine_by(namespace, daemon, "exec \"$@\"")
}

impl Diagnosis {
    /// The names of what was found, in order, each once.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let findings = self.report["findings"].as_array().into_iter().flatten();
        let mut ids: Vec<&str> = findings.filter_map(|it| it["id"].as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Fails unless these were found and nothing else, and the exit code says so.
    pub(crate) fn expect(&self, ids: &[&str]) {
        assert_eq!(self.ids(), ids, "{:#}", self.report);
        let code = i32::from(!ids.is_empty());
        assert_eq!(self.code, Some(code), "{:#}", self.report);
        assert_eq!(self.report["healthy"], ids.is_empty());
        let left_out = &self.report["not-looked-at"];
        assert_eq!(left_out.as_array().map(Vec::len), Some(0), "{left_out}");
    }

    /// Fails unless this was found, among others that follow from it.
    pub(crate) fn expect_among(&self, id: &str) {
        assert!(self.ids().contains(&id), "no {id} in {:#}", self.report);
        assert_eq!(self.code, Some(1));
    }

    /// What was said about one finding.
    pub(crate) fn about(&self, id: &str) -> &Value {
        let findings = self.report["findings"].as_array().into_iter().flatten();
        let mut found = findings.filter(|it| it["id"] == id);
        found
            .next()
            .unwrap_or_else(|| panic!("no {id} in {:#}", self.report))
    }
}

/// The default patient's configuration: VRRPv3 on a macvlan.
pub(crate) fn router(profile: Profile) -> Router {
    bare(profile).text("data-plane", "macvlan")
}

/// The same, with its addresses on the interface itself.
pub(crate) fn plain(_: Router) -> Router {
    bare(Profile::V3Ipv4).set("virtual-mac", false)
}

fn bare(profile: Profile) -> Router {
    let interval = if profile == Profile::V2 {
        "1s"
    } else {
        "200ms"
    };
    Router::new(NAME, profile).text("advertise-interval", interval)
}

/// An Active, alone.
pub(crate) fn active(adjust: impl FnOnce(Router) -> Router) -> Bench {
    let mut bench = Bench::new(Profile::V3Ipv4);
    start(&mut bench, adjust);
    bench
}

/// Starts the daemon of `bench`, and waits until it is Active.
pub(crate) fn start(bench: &mut Bench, adjust: impl FnOnce(Router) -> Router) {
    let profile = bench.profile;
    bench.start(|_| adjust(router(profile)));
    bench.promote();
}

/// The tester's advertisement with the interval of the patients.
pub(crate) fn advert(bench: &Bench, priority: u8) -> Advert {
    let advert = bench.advert(priority);
    if bench.profile == Profile::V2 {
        advert
    } else {
        advert.interval(CENTIS)
    }
}

/// A Backup beside an Active that the tester plays, and which answers for the addresses.
pub(crate) fn backup(profile: Profile, adjust: impl FnOnce(Router) -> Router) -> (Bench, Repeater) {
    backup_of(profile, adjust, |advert| advert)
}

/// As [`backup`], with another advertisement.
pub(crate) fn backup_of(
    profile: Profile,
    adjust: impl FnOnce(Router) -> Router,
    change: impl FnOnce(Advert) -> Advert,
) -> (Bench, Repeater) {
    let mut bench = Bench::new(profile);
    answer(&bench);
    let advert = change(advert(&bench, 200));
    let speaker = repeat(&bench, &advert);
    bench.start(|_| adjust(router(profile)));
    bench.daemon().wait_state(NAME, "backup", ms(2000));
    let heard = wait_for(ms(3000), || {
        let router = bench.daemon().router(NAME);
        (!router["active"].is_null()).then_some(())
    });
    assert!(heard.is_some(), "{:#}", bench.daemon().router(NAME));
    (bench, speaker)
}

/// The tester answers for the virtual addresses, from the virtual MAC address.
pub(crate) fn answer(bench: &Bench) {
    for ip in bench.profile.virtual_addresses() {
        bench.lan.play(ip, bench.profile.virtual_mac());
    }
}

/// Sends it at the interval of the patients.
pub(crate) fn repeat(bench: &Bench, advert: &Advert) -> Repeater {
    let interval = if bench.profile == Profile::V2 {
        ms(1000)
    } else {
        INTERVAL
    };
    bench.lan.repeat(advert, interval)
}

/// A daemon with the default patient, started by a line of shell, when it is Active.
pub(crate) fn launch_by(
    bench: &Bench,
    line: &str,
    adjust: impl FnOnce(Router) -> Router,
) -> Daemon {
    let config = file(&[adjust(router(bench.profile))]);
    let daemon = Daemon::launch_by(&bench.dut, &config, line);
    let answers = wait_for(ms(5000), || daemon.try_status());
    assert!(answers.is_some(), "{}", daemon.log());
    daemon.wait_state(NAME, "active", ms(5000));
    daemon
}

/// As text.
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
