//! C. Backup.

use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::speaks_for;
use vrrp_lab::clock::{Stamp, assert_span, ms};
use vrrp_lab::profile::Profile;

/// A Backup that is held down by nobody.
fn backup(profile: Profile) -> Bench {
    Bench::backup(profile, |router| router)
}

/// Sends one thing and judges how long after it the Backup takes over.
fn expect_takeover_after(bench: &Bench, sent: Stamp, formula: u64) {
    let first = bench.lan.expect_advert(sent, ms(formula + 500));
    assert_span("sent to takeover", sent, first.at, ms(formula));
}

statement!(r20_a_higher_active_is_obeyed: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2.
fn r20_a_higher_active_is_obeyed(profile: Profile) {
    let bench = backup(profile);
    let since = Stamp::now();
    let _active = bench.lan.repeat(&bench.advert(101), ms(1000));
    bench.lan.expect_silence(since, ms(30_000));
    assert_eq!(bench.state(), "backup");
}

statement!(r21_an_equal_active_is_obeyed: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2: a Backup compares priorities, never addresses.
fn r21_an_equal_active_is_obeyed(profile: Profile) {
    let bench = backup(profile);
    let since = Stamp::now();
    let lower = profile.own(10).to_string();
    let _active = bench.lan.repeat(&bench.advert(100).from(&lower), ms(1000));
    bench.lan.expect_silence(since, ms(12_000));
    assert_eq!(bench.state(), "backup");
}

statement!(r22_a_losing_advert_does_not_prolong_the_wait: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2: with preemption, the timer of the last accepted advertisement runs on.
fn r22_a_losing_advert_does_not_prolong_the_wait(profile: Profile) {
    let bench = backup(profile);
    let sent = bench.lan.send(&bench.advert(200));
    let _losing = bench.lan.repeat(&bench.advert(50), ms(500));
    expect_takeover_after(&bench, sent, 3609);
}

statement!(r23_without_preemption_a_losing_advert_counts: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2, Preempt_Mode false.
fn r23_without_preemption_a_losing_advert_counts(profile: Profile) {
    let bench = Bench::backup(profile, |router| router.set("preempt", false));
    let since = Stamp::now();
    let losing = bench.lan.repeat(&bench.advert(50), ms(1000));
    bench.lan.expect_silence(since, ms(8300));
    drop(losing);
    let last = bench.lan.log.pick(since, |frame| {
        (frame.outgoing && frame.packet.advert().is_some()).then_some(frame.at)
    });
    expect_takeover_after(&bench, *last.last().unwrap(), 3609);
}

statement!(r24_a_resignation_leaves_the_skew: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2.
fn r24_a_resignation_leaves_the_skew(profile: Profile) {
    let bench = backup(profile);
    bench.lan.send(&bench.advert(200));
    std::thread::sleep(ms(300));
    let sent = bench.lan.send(&bench.advert(0));
    expect_takeover_after(&bench, sent, 609);
    assert_eq!(bench.counter("priority-zero-pkts-rcvd"), 1);
}

statement!(r25_a_longer_interval_is_learned: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.1, §6.4.2: Active_Adver_Interval.
fn r25_a_longer_interval_is_learned(profile: Profile) {
    let bench = backup(profile);
    let sent = bench.lan.send(&bench.advert(200).interval(300));
    expect_takeover_after(&bench, sent, 10_828);
}

statement!(r26_a_shorter_interval_is_learned: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.1, §6.4.2.
fn r26_a_shorter_interval_is_learned(profile: Profile) {
    let bench = backup(profile);
    let sent = bench.lan.send(&bench.advert(200).interval(10));
    expect_takeover_after(&bench, sent, 361);
}

statement!(r27_the_skew_follows_the_learned_interval: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.1, §6.4.2: recomputed together with Active_Down_Interval.
fn r27_the_skew_follows_the_learned_interval(profile: Profile) {
    let bench = backup(profile);
    bench.lan.send(&bench.advert(200).interval(300));
    std::thread::sleep(ms(200));
    // What a resigning packet says about the interval is not learned.
    let sent = bench.lan.send(&bench.advert(0).interval(100));
    expect_takeover_after(&bench, sent, 1828);
}

statement!(r28_an_active_uses_its_own_interval: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2: Adver_Timer is set to the local Advertisement_Interval.
fn r28_an_active_uses_its_own_interval(profile: Profile) {
    let bench = backup(profile);
    let sent = bench.lan.send(&bench.advert(200).interval(10));
    let first = bench.lan.expect_advert(sent, ms(1000));
    let second = bench.lan.expect_advert(first.at + ms(2), ms(1500));
    assert_span("own interval", first.at, second.at, ms(1000));
    assert_eq!(
        (first.heard.interval(), second.heard.interval()),
        (100, 100)
    );
}

statement!(r29_version_2_drops_another_interval: v2);
/// RFC 3768 §7.1.
fn r29_version_2_drops_another_interval(profile: Profile) {
    let bench = backup(profile);
    let since = bench.daemon().since(NAME);
    let before = bench.counter("interval-errors");
    bench.lan.send(&bench.advert(200).interval(2));
    let first = bench.lan.expect_advert(since, ms(5000));
    assert_span("start of Backup to takeover", since, first.at, ms(3609));
    assert_eq!(bench.counter("interval-errors") - before, 1);
}

statement!(r30_a_backup_leaves_without_a_word: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.2: Shutdown.
fn r30_a_backup_leaves_without_a_word(profile: Profile) {
    let mut bench = backup(profile);
    bench.lan.send(&bench.advert(200));
    let stopped = Stamp::now();
    let status = bench.daemon_mut().stop();
    assert_eq!(status.code(), Some(0));
    std::thread::sleep(ms(1000));
    let virtual_addresses = profile.virtual_addresses();
    let spoken = bench.lan.log.pick(stopped, |frame| {
        (!frame.outgoing && speaks_for(frame, &virtual_addresses)).then(|| frame.clone())
    });
    assert!(spoken.is_empty(), "{spoken:#?}");
}
