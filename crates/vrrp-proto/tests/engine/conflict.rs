//! Two Actives: who answers, who yields, who announces again (RFC 9568 §6.4.3, RFC 3768 §6.4.3).

use crate::bench::*;
use vrrp_proto::*;

#[test]
fn a_loser_is_answered_at_once_by_version_3_and_not_by_version_2() {
    for (plan, answers) in [(plan(), 1), (plan_v6(), 1), (plan_v2(), 0)] {
        let mut bench = Bench::active(plan);
        bench.sleep(millis(300));
        let before = bench.status().deadline;
        let did = bench.hear_priority(50);
        assert_eq!(did.sent().len(), answers);
        assert_eq!(did.said(), ["conflict"]);
        assert_eq!(bench.role(), Role::Active);
        assert_eq!(
            bench.status().deadline,
            before,
            "Adver_Timer is not touched"
        );
        assert_eq!(bench.statistics().conflicts, 1);
    }
}

#[test]
fn a_conflict_is_announced_again() {
    let mut bench = Bench::active(plan());
    bench.run(millis(2_500));
    bench.hear_priority(50);
    assert_eq!(bench.tick().announced(), 1);
}

#[test]
fn a_flood_of_losers_does_not_make_us_flood() {
    let mut bench = Bench::active(plan());
    let (mut sent, mut announced) = (0, 0);
    for _ in 0..10_000 {
        bench.sleep(micros(100));
        sent += bench.hear_priority(50).sent().len();
        let due = bench.tick();
        sent += due.sent().len();
        announced += due.announced();
    }
    assert!((2..=21).contains(&sent), "{sent} in one interval");
    assert!(announced <= 2, "{announced} in one second");
}

#[test]
fn a_release_is_answered_and_starts_a_whole_interval() {
    // RFC 9568 §6.4.3, RFC 3768 §6.4.3: send an advertisement, reset Adver_Timer.
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::active(plan);
        bench.sleep(millis(700));
        assert_eq!(bench.hear_priority(0).sent(), [100]);
        assert_eq!(bench.timer(), Some(millis(1_000)));
        assert_eq!(bench.statistics().priority_zero_pkts_rcvd, 1);
    }
}

#[test]
fn a_release_right_after_an_answer_is_answered_soon() {
    // Other Backups run Skew_Time since they heard it: the next advertisement must not be a whole interval away.
    let mut bench = Bench::active(plan());
    bench.sleep(millis(300));
    assert_eq!(bench.hear_priority(50).sent(), [100]);
    bench.sleep(millis(1));
    assert_eq!(
        bench.hear_priority(0).sent(),
        [0; 0],
        "not twice in a moment"
    );
    let due = bench.timer().unwrap();
    assert!(due <= millis(50), "{due:?}");
    assert_eq!(bench.wake().sent(), [100]);
}

#[test]
fn our_own_advertisement_that_comes_back_is_nobody() {
    let mut bench = Bench::active(plan());
    let own = Packet::of(&plan(), 100).from("192.0.2.11");
    for _ in 0..1_000 {
        assert!(bench.hear(&own).sent().is_empty());
    }
    assert_eq!(bench.role(), Role::Active);
    assert_eq!(bench.statistics().own_pkts_looped, 1_000);
}

#[test]
fn the_one_who_yields_says_no_farewell() {
    // RFC 9568 §6.4.3: no priority 0 on the way to Backup.
    for (plan, priority, source) in [
        (plan(), 200, "192.0.2.10"),
        (plan(), 100, "192.0.2.200"),
        (plan_v2(), 101, "192.0.2.10"),
        (plan_v6(), 100, "fe80::200"),
    ] {
        let mut bench = Bench::active(plan.clone());
        let did = bench.hear(&Packet::of(&plan, priority).from(source));
        assert_eq!(did.kinds(), "Dee");
        assert_eq!(bench.role(), Role::Backup);
        assert!(!did.desired()[0].unwrap().active);
    }
}

#[test]
fn addresses_compare_unsigned() {
    // RFC 9568 §6.4.3: 192.0.2.200 is greater than 192.0.2.11, also as signed bytes would not have it.
    for (source, role) in [
        ("192.0.2.10", Role::Active),
        ("192.0.2.12", Role::Backup),
        ("192.0.2.200", Role::Backup),
        ("10.255.255.255", Role::Active),
        ("223.0.0.1", Role::Backup),
    ] {
        let mut bench = Bench::active(plan());
        bench.hear(&Packet::of(&plan(), 100).from(source));
        assert_eq!(bench.role(), role, "{source}");
    }
}

#[test]
fn two_owners_elect_one_in_version_3() {
    // RFC 9568 erratum 8298, §8.3.2. In version 2 both go on (RFC 3768 §7.1).
    let owner = |plan: RouterPlan| with_priority(255, plan);
    let mut facts = facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    for (plan, source, role, conflicts) in [
        (owner(plan()), "192.0.2.200", Role::Backup, 1),
        (owner(plan()), "192.0.2.10", Role::Active, 1),
        (owner(plan_v2()), "192.0.2.200", Role::Active, 1),
    ] {
        let mut bench = Bench::cold([plan.clone()]);
        let did = bench.link(Some(&facts));
        assert_eq!(did.sent(), [255], "the owner begins at once");
        bench.hear(&Packet::of(&plan, 255).from(source));
        assert_eq!(bench.role(), role, "{plan:?} {source}");
        assert_eq!(bench.statistics().owner_conflicts, conflicts);
    }
}

#[test]
fn a_foreign_claim_of_an_address_is_answered_by_an_announcement() {
    let mut bench = Bench::active(plan());
    bench.run(millis(7_000));
    let claim = |address: &str, mac| Input::Claim {
        link: LinkId(0),
        address: address.parse().unwrap(),
        mac: MacAddress(mac),
    };
    let foreign = [2, 0, 0, 0, 0, 0x66];
    let did = bench.input(claim("192.0.2.254", foreign));
    assert_eq!(did.said(), ["claimed"]);
    assert_eq!(bench.tick().announced(), 1);
    assert_eq!(bench.statistics().address_claims, 1);

    // What we say ourselves, and what others say about themselves, is no claim.
    bench.input(claim("192.0.2.254", [0, 0, 0x5e, 0, 1, 0x33]));
    bench.input(claim("192.0.2.77", foreign));
    assert_eq!(bench.statistics().address_claims, 1);

    // A Backup has nothing to defend.
    bench.hear_priority(200);
    bench.input(claim("192.0.2.254", foreign));
    assert_eq!(bench.statistics().address_claims, 1);
    assert_eq!(bench.tick().announced(), 0);
}

#[test]
fn why_an_active_yields() {
    // RFC 9568 §6.4.3 (730): by priority first, then by address.
    let rows = [
        (101, "192.0.2.5", Some(Reason::HigherPriority)),
        (101, "192.0.2.200", Some(Reason::HigherPriority)),
        (100, "192.0.2.200", Some(Reason::HigherAddress)),
        (100, "192.0.2.5", None),
        (99, "192.0.2.200", None),
    ];
    for (priority, source, reason) in rows {
        let mut bench = Bench::active(plan());
        let did = bench.hear(&Packet::of(&plan(), priority).from(source));
        let seen = did.transitions().first().map(|(_, _, reason)| *reason);
        assert_eq!(seen, reason, "{priority} from {source}");
    }
}

#[test]
fn a_release_right_after_an_answer_waits_for_the_pause_and_no_longer() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(300));
    assert_eq!(bench.hear_priority(50).sent(), [100]);
    bench.sleep(millis(10));
    assert!(bench.hear_priority(0).sent().is_empty());
    // A twentieth of the interval after the release.
    assert_eq!(bench.timer(), Some(millis(50)));
}

#[test]
fn the_pause_between_answers_is_a_twentieth_of_the_interval() {
    let mut bench = Bench::active(plan());
    bench.sleep(millis(100));
    assert_eq!(bench.hear_priority(50).sent(), [100]);
    bench.sleep(millis(50) - micros(1));
    assert_eq!(bench.hear_priority(50).sent(), [0; 0]);
    bench.sleep(micros(1));
    assert_eq!(bench.hear_priority(50).sent(), [100]);
}

#[test]
fn two_owners_are_counted_and_one_is_not() {
    let mut bench = Bench::backup(plan());
    bench.hear_priority(255);
    assert_eq!(bench.statistics().owner_conflicts, 0);
    let mut facts = facts();
    facts.ipv4.push(("192.0.2.254".parse().unwrap(), 24));
    let mut bench = Bench::cold([with_priority(255, plan())]);
    bench.link(Some(&facts));
    bench.hear_priority(100);
    assert_eq!(bench.statistics().owner_conflicts, 0);
    bench.hear_priority(255);
    assert_eq!(bench.statistics().owner_conflicts, 1);
}

#[test]
fn who_is_active_is_known_as_long_as_it_is_true() {
    let mut bench = Bench::backup(plan());
    let heard = Some((ip("192.0.2.200"), Priority::new(200)));
    bench.hear_priority(200);
    assert_eq!(bench.status().active, heard);
    bench.wake();
    assert_eq!(bench.role(), Role::Active);
    assert_eq!(
        bench.status().active,
        Some((ip("192.0.2.11"), Priority::new(100)))
    );
    assert_eq!(bench.statistics().master_transitions, 1);
    // Whoever made us yield has not been heard as our Active yet, and who was before is forgotten.
    bench.hear(&Packet::of(&plan(), 150).from("192.0.2.150"));
    assert_eq!(bench.role(), Role::Backup);
    let yielded_to = Some((ip("192.0.2.150"), Priority::new(150)));
    assert_eq!(bench.status().active, yielded_to);
    bench.link(None);
    bench.link(Some(&facts()));
    assert_eq!(bench.role(), Role::Backup);
    assert_eq!(bench.status().active, None);
    assert_eq!(bench.statistics().master_transitions, 1);
}
