//! D. Active.

use vrrp_lab::bench::{Bench, NAME};
use vrrp_lab::capture::{Capture, Sighting};
use vrrp_lab::clock::{Stamp, assert_span, assert_within, ms, tolerance};
use vrrp_lab::daemon::Daemon;
use vrrp_lab::profile::Profile;
use vrrp_lab::settings::{Router, file, without_macvlan};
use vrrp_lab::stall;
use vrrp_lab::topology::Lan;

fn active(profile: Profile) -> Bench {
    Bench::active(profile, |router| router)
}

/// Waits for the next advertisement of the device: what is sent now has a whole interval before the next timer.
fn just_after_an_advert(bench: &Bench) -> Sighting {
    bench.lan.expect_advert(Stamp::now(), ms(1000))
}

statement!(r31_a_winner_silences_it: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: no priority 0, and nobody answers for the address.
fn r31_a_winner_silences_it(profile: Profile) {
    let bench = active(profile);
    let host = bench.host();
    just_after_an_advert(&bench);
    let won = bench.lan.send(&bench.advert(200));
    (won + ms(100)).sleep_until();
    let mut asked = Stamp::now();
    while !bench.lan.resolve(host, profile.gateway()).is_empty() {
        let excuse = stall::kernel(won, Stamp::now());
        assert!(
            asked.since(won) <= ms(110) + excuse,
            "answers for the address {:?} after it lost",
            asked.since(won)
        );
        asked = Stamp::now();
    }
    bench.lan.expect_silence(won, ms(2500));
    assert_eq!(bench.state(), "backup");
    assert_eq!(bench.counter("priority-zero-pkts-sent"), 0);
}

statement!(r32_a_tie_is_lost_to_the_greater_address: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: compared unsigned, in network byte order.
fn r32_a_tie_is_lost_to_the_greater_address(profile: Profile) {
    let bench = active(profile);
    just_after_an_advert(&bench);
    let sent = bench
        .lan
        .send(&bench.advert(100).from(&profile.own(200).to_string()));
    bench.expect_demoted("equal priority, greater address", sent);
}

statement!(r33_a_tie_is_won_by_the_greater_address: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3.
fn r33_a_tie_is_won_by_the_greater_address(profile: Profile) {
    let bench = active(profile);
    for _ in 0..3 {
        let sent = bench
            .lan
            .send(&bench.advert(100).from(&profile.own(10).to_string()));
        bench.expect_still_active("equal priority, smaller address", sent);
        std::thread::sleep(ms(300));
    }
}

statement!(r34_a_losing_advert_is_answered_at_once: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3; version 2 (RFC 3768 §6.4.3) discards it without a word.
fn r34_a_losing_advert_is_answered_at_once(profile: Profile) {
    let bench = active(profile);
    let last = just_after_an_advert(&bench);
    std::thread::sleep(ms(300));
    let sent = bench.lan.send(&bench.advert(50));
    if profile == Profile::V2 {
        bench.lan.expect_silence(sent, ms(500));
    } else {
        let answer = bench.lan.expect_advert(sent, ms(50));
        assert_within("losing advertisement to answer", sent, answer.at, ms(30));
    }
    // Adver_Timer is not touched by it.
    let next = bench.lan.expect_advert(sent + ms(400), ms(1000));
    assert_span("the timer's own rhythm", last.at, next.at, ms(1000));
    assert_eq!(bench.state(), "active");
}

statement!(r35_a_resignation_is_answered_at_once: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: and Adver_Timer starts anew.
fn r35_a_resignation_is_answered_at_once(profile: Profile) {
    let bench = active(profile);
    just_after_an_advert(&bench);
    std::thread::sleep(ms(400));
    let sent = bench.lan.send(&bench.advert(0));
    let answer = bench.lan.expect_advert(sent, ms(50));
    assert_within("resignation to answer", sent, answer.at, ms(30));
    let next = bench.lan.expect_advert(answer.at + ms(2), ms(1500));
    assert_span("a full interval later", answer.at, next.at, ms(1000));
}

statement!(r36_preemption_off_protects_no_active: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: Preempt_Mode is not looked at.
fn r36_preemption_off_protects_no_active(profile: Profile) {
    let bench = Bench::active(profile, |router| router.set("preempt", false));
    just_after_an_advert(&bench);
    let sent = bench.lan.send(&bench.advert(200));
    bench.expect_demoted("priority 200 against preempt = false", sent);
}

statement!(r37_a_demoted_active_learns_the_interval: v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3.
fn r37_a_demoted_active_learns_the_interval(profile: Profile) {
    let bench = active(profile);
    just_after_an_advert(&bench);
    let sent = bench.lan.send(&bench.advert(200).interval(50));
    let back = bench.lan.expect_advert(sent, ms(2500));
    assert_span("winner with 50 cs to return", sent, back.at, ms(1805));
}

statement!(r38_its_own_voice_is_no_rival: v2 v3_ipv4 v3_ipv6);
/// Robustness: a reflecting switch must not start a storm.
fn r38_its_own_voice_is_no_rival(profile: Profile) {
    let bench = active(profile);
    let own = just_after_an_advert(&bench).frame.bytes;
    let before = bench.counter("own-pkts-looped");
    let since = Stamp::now();
    for _ in 0..1000 {
        bench.lan.send_frame(&own);
    }
    (since + ms(3100)).sleep_until();
    let sent = bench.lan.adverts(since).len();
    assert!(
        (3..=4).contains(&sent),
        "{sent} advertisements in three intervals"
    );
    assert_eq!(bench.state(), "active");
    // Where the addresses are nowhere, nothing is changed at the interface, and the kernel shows nobody what comes from its
    // own IPv4 address.
    let unseen = without_macvlan() && !profile.is_ipv6();
    let counted = bench.counter("own-pkts-looped") - before;
    assert_eq!(counted, if unseen { 0 } else { 1000 });
}

statement!(r39_an_active_resigns: v2 v3_ipv4 v3_ipv6);
/// RFC 9568 §6.4.3: Shutdown.
fn r39_an_active_resigns(profile: Profile) {
    let mut bench = active(profile);
    let host = bench.host();
    let last = just_after_an_advert(&bench).heard;
    let stopped = bench.daemon().terminate();
    let status = bench.daemon_mut().wait(ms(5000));
    assert_eq!(status.code(), Some(0));
    (stopped + ms(1500)).sleep_until();
    let sent = bench.lan.adverts(stopped);
    let [resignation] = sent.as_slice() else {
        panic!("{} advertisements after SIGTERM: {sent:#?}", sent.len())
    };
    assert_within("SIGTERM to resignation", stopped, resignation.at, ms(100));
    assert_eq!(
        resignation.frame.packet.ethernet.source,
        profile.virtual_mac()
    );
    let mut expected = last.message;
    expected[2] = 0;
    let (mut expected_body, mut body) = (expected, resignation.heard.message.clone());
    expected_body.drain(6..8);
    body.drain(6..8);
    assert_eq!(body, expected_body, "as the others, but priority 0");
    let sound = if profile.is_ipv6() {
        resignation.heard.verifies_with_pseudo_header()
    } else {
        resignation.heard.verifies_alone()
    };
    assert!(sound, "with a checksum of its own");
    assert_eq!(
        bench.lan.resolve(host, profile.gateway()),
        [],
        "the address is gone"
    );
}

statement!(r40_a_healed_split_has_one_active: v2 v3_ipv4 v3_ipv6);
/// Robustness: two Actives meet; by priority, and by address where priorities tie.
fn r40_a_healed_split_has_one_active(profile: Profile) {
    for (priorities, winner) in [([200, 100], 11), ([100, 200], 12), ([100, 100], 12)] {
        let lan = Lan::new(2);
        // A second switch: both keep their carrier while they cannot hear each other.
        lan.switch.ip("link add apart type bridge mcast_snooping 0\nlink set apart up\nlink set lan2 master apart");
        let _daemons: Vec<Daemon> = lan
            .routers
            .iter()
            .zip(priorities)
            .map(|(router, priority)| {
                Daemon::start(
                    router,
                    &file(&[Router::new(NAME, profile).set("priority", priority)]),
                )
            })
            .collect();
        for daemon in &_daemons {
            daemon.wait_state(NAME, "active", ms(6000));
        }
        let bystander = Capture::start(&lan.client, "eth0");
        lan.switch.ip("link set lan2 master lan");
        let healed = Stamp::now();
        (healed + ms(4000)).sleep_until();
        let loser_spoke = bystander
            .adverts(healed)
            .iter()
            .filter(|advert| advert.heard.source != profile.own(winner))
            .map(|advert| advert.at)
            .max();
        // One exchange: the winner's next advertisement, at most an interval away, silences the other.
        let bound = ms(1000) + tolerance().late;
        assert!(
            loser_spoke.is_none_or(|at| at.since(healed) <= bound),
            "{priorities:?}: the loser spoke {:?} after the heal",
            loser_spoke.map(|at| at.since(healed))
        );
        let states: Vec<String> = _daemons.iter().map(|daemon| daemon.state(NAME)).collect();
        let expected = if winner == 11 {
            ["active", "backup"]
        } else {
            ["backup", "active"]
        };
        assert_eq!(states, expected, "{priorities:?}");
    }
}
