//! The daemon itself.

use crate::tools::{active, ctl_by, examine, examine_by, launch_by, router};
use nix::sys::signal::Signal;
use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::clock::{ms, wait_for};
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::file;

#[test]
fn it_does_not_run() {
    let mut bench = active(|router| router);
    bench.daemon_mut().stop();
    let diagnosis = examine(&bench.dut, bench.daemon());
    assert_eq!(diagnosis.ids(), ["VD0101"], "{:#}", diagnosis.report);
    assert_eq!(diagnosis.code, Some(3));
}

#[test]
fn it_is_in_another_network_namespace() {
    let bench = active(|router| router);
    examine(&bench.lab, bench.daemon()).expect_among("VD0102");
}

#[test]
fn its_file_was_refused_at_the_last_reload() {
    let bench = active(|router| router);
    bench
        .daemon()
        .write_config("[virtual-router.dut]\nvrid = 300\n");
    bench.daemon().reload();
    let refused = wait_for(ms(3000), || {
        bench.daemon().status()["daemon"]["reload-error"]
            .as_str()
            .map(str::to_owned)
    });
    assert!(refused.is_some());
    // And so it would not start with it.
    examine(&bench.dut, bench.daemon()).expect(&["VD0103", "VD0104"]);
}

#[test]
fn its_file_has_errors_and_nobody_has_noticed() {
    let bench = active(|router| router);
    bench
        .daemon()
        .write_config("[virtual-router.dut]\nvrid = 300\n");
    examine(&bench.dut, bench.daemon()).expect(&["VD0104"]);
}

#[test]
fn its_file_was_changed_and_not_loaded() {
    let bench = active(|router| router);
    std::thread::sleep(ms(1200));
    // Written again, and the same but for a comment: whoever manages files does that every night.
    let same = format!("# by hand\n{}", file(&[router(Profile::V3Ipv4)]));
    bench.daemon().write_config(&same);
    examine(&bench.dut, bench.daemon()).expect(&[]);
    let changed = router(Profile::V3Ipv4).set("priority", 120);
    bench.daemon().write_config(&file(&[changed]));
    examine(&bench.dut, bench.daemon()).expect(&["VD0105"]);
}

#[test]
fn its_worker_died() {
    let bench = active(|router| router);
    bench.daemon().signal_worker(Signal::SIGKILL);
    let replaced = wait_for(ms(5000), || {
        (bench.daemon().try_status()?["daemon"]["restarts"] == 1).then_some(())
    });
    assert!(replaced.is_some());
    examine(&bench.dut, bench.daemon()).expect_among("VD0106");
}

#[test]
fn it_stood_still_for_longer_than_an_interval() {
    let bench = active(|router| router);
    bench.daemon().signal_worker(Signal::SIGSTOP);
    std::thread::sleep(ms(500));
    bench.daemon().signal_worker(Signal::SIGCONT);
    bench.daemon().wait_state(NAME, "active", ms(3000));
    examine(&bench.dut, bench.daemon()).expect(&["VD0107"]);
}

#[test]
fn it_may_have_no_real_time_priority() {
    let bench = Bench::new(Profile::V3Ipv4);
    let daemon = launch_by(
        &bench,
        "exec setpriv --bounding-set=-sys_nice \"$@\"",
        |router| router,
    );
    examine(&bench.dut, &daemon).expect(&["VD0108"]);
}

#[test]
fn it_cannot_keep_its_state() {
    let bench = Bench::new(Profile::V3Ipv4);
    let line =
        "mkdir -p \"$0/../state\" && mount -t tmpfs -o ro none \"$0/../state\" && exec \"$@\"";
    let daemon = launch_by(&bench, line, |router| router);
    examine(&bench.dut, &daemon).expect(&["VD0110"]);
}

#[test]
fn anybody_may_write_to_its_directory() {
    let bench = active(|router| router);
    let directory = bench.daemon().runtime_dir();
    set_permissions(&directory, Permissions::from_mode(0o777)).expect("it is ours");
    examine(&bench.dut, bench.daemon()).expect(&["VD0111"]);
}

/// Who may not listen is told what was not looked at.
#[test]
fn without_the_right_to_listen() {
    let bench = active(|router| router);
    let line = "exec setpriv --bounding-set=-net_raw \"$@\"";
    let diagnosis = examine_by(&bench.dut, bench.daemon(), line);
    assert_eq!(diagnosis.code, Some(0), "{:#}", diagnosis.report);
    let left_out = diagnosis.report["not-looked-at"][0]
        .as_str()
        .unwrap_or_default();
    assert!(
        left_out.starts_with("packets on eth0: Operation not permitted"),
        "{left_out}"
    );
}

/// Without JSON: for people, with the same names and the same exit code.
#[test]
fn in_words() {
    let bench = active(|router| router);
    bench
        .daemon()
        .write_config("[virtual-router.dut]\nvrid = 300\n");
    let output = ctl_by(&bench.dut, bench.daemon(), "exec \"$@\"", &["doctor", NAME]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("VD0104 error "), "{text}");
    assert!(
        text.contains("\n  seen: ") && text.contains("\n  do:   vrrpctl check "),
        "{text}"
    );
    assert!(
        text.contains("\n1 error, 0 warnings; listened for 1"),
        "{text}"
    );
}

#[test]
fn probes_that_cannot_be_made() {
    let scratch = vrrp_lab::scratch::Scratch::new("unable");
    let open = scratch.write("open", "#!/bin/sh\n");
    set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let script = scratch.write("check", "#!/bin/sh\n");
    set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let plain = scratch.write("plain", "#!/bin/sh\n");
    set_permissions(&plain, Permissions::from_mode(0o644)).unwrap();
    let tracker = |name: &str, body: &str| format!("[tracker.{name}]\n{body}\n");
    let run = |path: &std::path::Path, user: &str| {
        format!(
            "type = \"script\"\ncommand = [\"{}\"]\nuser = \"{user}\"",
            path.display()
        )
    };
    let good = tracker("good", &run(&script, "nobody"));
    let bad = [
        tracker("open", &run(&open, "nobody")),
        tracker("plain", &run(&plain, "nobody")),
        tracker("stranger", &run(&script, "no-such-user")),
        tracker(
            "nowhere",
            "type = \"http\"\nurl = \"http://no-such-host.invalid/\"",
        ),
    ]
    .concat();
    let mut bench = Bench::new(Profile::V3Ipv4);
    bench.start_file(&format!("{}{good}", file(&[router(Profile::V3Ipv4)])));
    bench.promote();
    std::thread::sleep(ms(1500));
    examine(&bench.dut, bench.daemon()).expect(&[]);
    let text = format!("{}{good}{bad}", file(&[router(Profile::V3Ipv4)]));
    bench.daemon().write_config(&text);
    bench.daemon().reload();
    let all_failed = wait_for(ms(10_000), || {
        let output = bench.daemon().ctl(&["show", "trackers", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let all = report["trackers"].as_array()?;
        let unable = all
            .iter()
            .filter(|it| it["probe"]["last"]["unable"] == true);
        (unable.count() == 4).then_some(())
    });
    assert!(all_failed.is_some(), "{}", bench.daemon().log());
    let diagnosis = examine(&bench.dut, bench.daemon());
    diagnosis.expect(&["VD0116"]);
    let report = format!("{:#}", diagnosis.report);
    for said in [
        "can be written by others",
        "is not executable",
        "there is no user no-such-user",
        "cannot resolve no-such-host.invalid",
    ] {
        assert!(report.contains(said), "{said}: {report}");
    }
}
