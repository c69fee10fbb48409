//! Elections on a LAN, told briefly.

use vrrp_proto::{ChecksumForm, ChecksumPolicy, Dialect, Family, Role, Vrid};
use vrrp_sim::kernel::{Habits, Temper};
use vrrp_sim::plan::{HostPlan, VRID, centis, millis, owner, priority, secs};
use vrrp_sim::{Action, Chance, Host, Lan, Weather};

const A: Host = Host(0);
const B: Host = Host(1);
const C: Host = Host(2);

/// The same world in every version and family.
fn each(world: impl Fn(fn(HostPlan) -> HostPlan)) {
    world(|host| host);
    world(|host| host.dialect(Dialect::Vrrp2));
    world(|host| host.family(Family::Ipv6));
}

#[test]
fn the_higher_priority_is_active() {
    // RFC 9568 §6.4.2, RFC 3768 §6.4.2
    each(|kind| {
        let mut lan = Lan::of([priority(100), priority(200), priority(150)].map(kind));
        lan.run_for(secs(10));
        assert_eq!(lan.actives(), [B]);
        assert_eq!(lan.holders(), [B]);
        assert_eq!(lan.ledger().duals, 0);
    });
}

#[test]
fn an_equal_priority_backup_does_not_preempt() {
    // RFC 9568 §6.4.2, §6.4.3: both start at once; the higher address wins, once.
    each(|kind| {
        // To the nanosecond: their kernels tell them of their interfaces at once.
        let prompt = Habits {
            jitter: millis(0),
            ..Habits::USUAL
        };
        let host = || kind(priority(100)).kernel(prompt);
        let mut lan = Lan::of([host(), host()]);
        lan.run_for(secs(10));
        assert_eq!(lan.actives(), [B]);
        lan.act(Action::Crash(B));
        lan.run_for(secs(10));
        lan.act(Action::Start(B));
        lan.run_for(secs(10));
        assert_eq!(
            lan.actives(),
            [A],
            "the higher address is no reason to preempt"
        );
    });
}

#[test]
fn a_stop_hands_over_within_the_skew_time() {
    // RFC 9568 §6.4.2: priority 0. Skew_Time of priority 100 is 609 ms.
    each(|kind| {
        let mut lan = Lan::of([priority(200), priority(100)].map(kind));
        lan.run_for(secs(10));
        lan.act(Action::Stop(A));
        lan.run_for(millis(609));
        assert_eq!(lan.actives(), []);
        lan.run_for(millis(2));
        assert_eq!(lan.actives(), [B]);
        lan.run_for(secs(60));
        lan.act(Action::Start(A));
        lan.run_for(secs(10));
        assert_eq!(lan.actives(), [A], "and back");
        assert_eq!(lan.settled(), Ok(()));
    });
}

#[test]
fn a_crash_is_noticed_within_the_down_interval() {
    // RFC 9568 §6.1: 3.609 s for priority 100 at 1 s.
    each(|kind| {
        let mut lan = Lan::of([priority(200), priority(100)].map(kind));
        lan.run_for(secs(10));
        lan.act(Action::Crash(A));
        let crash = lan.now();
        lan.run_for(secs(4));
        assert_eq!(lan.actives(), [B]);
        let took = lan
            .ledger()
            .first_holder_after(crash, A)
            .map(|at| at.saturating_since(crash));
        assert!(
            took > Some(millis(2_609)) && took < Some(millis(3_612)),
            "{took:?}"
        );
    });
}

#[test]
fn of_two_backups_the_better_one_takes_over_alone() {
    // RFC 9568 §6.1: that is what Skew_Time is for, also at 10 ms with timers up to 100 µs late.
    for interval in [centis(1), centis(10), centis(100)] {
        let hosts = [200, 150, 100]
            .map(|value| priority(value).interval(interval).lateness(millis(1) / 10));
        let mut lan = Lan::of(hosts);
        lan.run_for(interval.duration() * 10);
        lan.act(Action::Crash(A));
        lan.run_for(interval.duration() * 10);
        assert_eq!(lan.actives(), [B]);
        assert!(
            !lan.ledger().history.iter().any(|(_, host, _)| *host == C),
            "{interval}"
        );
    }
}

#[test]
fn an_owner_is_there_at_once() {
    // RFC 9568 §6.4.1
    for dialect in [Dialect::Vrrp2, Dialect::Vrrp3] {
        let mut lan = Lan::of([priority(254), owner()].map(|host| host.dialect(dialect)));
        lan.run_for(millis(2));
        assert_eq!(lan.holders(), [B]);
    }
}

#[test]
fn a_healed_partition_has_one_active_again() {
    // RFC 9568 §6.4.3: the loser is answered at once; RFC 3768: at the next advertisement.
    for (dialect, bound) in [
        (Dialect::Vrrp3, millis(1_002)),
        (Dialect::Vrrp2, millis(1_002)),
    ] {
        let mut lan = Lan::of([priority(200), priority(100)].map(|host| host.dialect(dialect)));
        lan.run_for(secs(10));
        lan.act(Action::Separate(vec![A]));
        lan.run_for(secs(10));
        assert_eq!(lan.actives(), [A, B], "one on each side");
        assert_eq!(lan.settled(), Ok(()));
        lan.act(Action::Heal);
        lan.run_for(bound);
        assert_eq!(lan.actives(), [A]);
    }
}

#[test]
fn a_paused_active_comes_back_as_a_backup() {
    // The zombie's kernel holds the addresses while it sleeps; awake, it must let go before it says a word.
    each(|kind| {
        let mut lan = Lan::of([priority(200), priority(100)].map(kind));
        lan.run_for(secs(10));
        lan.act(Action::Pause(A));
        lan.run_for(secs(10));
        assert_eq!(lan.holders(), [A, B]);
        lan.act(Action::Resume(A));
        assert_eq!(lan.role(A, key_of(&lan)), Role::Backup);
        lan.run_for(millis(2));
        assert_eq!(lan.holders(), [B]);
        lan.run_for(secs(10));
        assert_eq!(lan.actives(), [A], "and preempts in the ordinary way");
    });
}

fn key_of(lan: &Lan) -> (Family, Vrid) {
    let router = &lan.plan(A).routers[0];
    (router.family, router.vrid)
}

#[test]
fn a_short_pause_changes_nothing() {
    let mut lan = Lan::of([priority(200), priority(100)]);
    lan.run_for(secs(10));
    lan.act(Action::Pause(A));
    lan.run_for(secs(2));
    lan.act(Action::Resume(A));
    lan.run_for(secs(10));
    assert_eq!(lan.actives(), [A]);
    assert_eq!(lan.ledger().duals, 0);
}

#[test]
fn a_pulled_cable() {
    let mut lan = Lan::of([priority(200), priority(100)]);
    lan.run_for(secs(10));
    lan.act(Action::Unplug(A));
    lan.run_for(secs(4));
    assert_eq!(lan.holders(), [B], "the one without a cable let go");
    lan.act(Action::Plug(A));
    lan.run_for(secs(10));
    assert_eq!(lan.actives(), [A]);
    // When A preempts, both kernels work at the same time: one takes, the other lets go.
    assert!(lan.ledger().dual_longest < millis(1));
}

#[test]
fn a_kernel_that_refuses_lets_the_other_serve() {
    let mut lan = Lan::of([priority(200), priority(100)]);
    lan.act(Action::Kernel(A, Temper::RefusesMore));
    lan.run_for(secs(20));
    assert_eq!(lan.holders(), [B]);
    lan.act(Action::Kernel(A, Temper::Obeys));
    lan.run_for(secs(60));
    assert_eq!(lan.holders(), [A]);
}

#[test]
fn one_way_loss_makes_two_and_heals() {
    let mut lan = Lan::of([priority(200), priority(100)]);
    lan.run_for(secs(10));
    lan.act(Action::Cut(A, B));
    lan.run_for(secs(10));
    assert_eq!(
        lan.actives(),
        [A, B],
        "nothing can help a router that is deaf"
    );
    lan.act(Action::Heal);
    lan.run_for(secs(2));
    assert_eq!(lan.actives(), [A]);
}

#[test]
fn the_families_and_ids_of_one_host_are_independent() {
    // RFC 9568 §5.2.9
    let other = Vrid::new(52).expect("not zero");
    let both = |first: u8, second: u8, third: u8| {
        priority(first)
            .and(priority(second).family(Family::Ipv6))
            .and(priority(third).vrid(other))
    };
    let mut lan = Lan::of([both(200, 100, 150), both(100, 200, 90)]);
    lan.run_for(secs(10));
    let actives = |lan: &Lan, key| {
        lan.hosts()
            .filter(|host| lan.role(*host, key) == Role::Active)
            .collect::<Vec<_>>()
    };
    assert_eq!(actives(&lan, (Family::Ipv4, VRID)), [A]);
    assert_eq!(actives(&lan, (Family::Ipv6, VRID)), [B]);
    assert_eq!(actives(&lan, (Family::Ipv4, other)), [A]);
    assert_eq!(lan.settled(), Ok(()));
}

#[test]
fn a_pair_with_different_checksum_forms_heals_itself() {
    // standards.md §2: ours accepts both and answers in the form it hears.
    let other_camp = ChecksumPolicy {
        send: Some(ChecksumForm::Rfc5798),
        strict: false,
    };
    let mut lan = Lan::of([priority(200).checksum(other_camp), priority(100)]);
    lan.run_for(secs(10));
    assert_eq!(lan.actives(), [A]);
    let form = lan
        .engine(B)
        .and_then(|engine| engine.status().next().map(|status| status.checksum_form));
    assert_eq!(form, Some(ChecksumForm::Rfc5798));
}

#[test]
fn a_slow_active_is_learned_by_fast_backups() {
    // RFC 9568 §5.2.7, §6.4.2
    let mut lan = Lan::of([
        priority(200).interval(centis(300)),
        priority(100).interval(centis(10)),
    ]);
    lan.run_for(secs(60));
    assert_eq!(lan.actives(), [A]);
    let before = lan.ledger().history.len();
    lan.run_for(secs(600));
    assert_eq!(lan.ledger().history.len(), before, "no flapping");
}

#[test]
fn a_rolling_change_of_the_interval_disturbs_nobody() {
    // The Backup first, then the Active, from 1 s to 100 ms: the learned interval outlives the reload.
    let mut lan = Lan::of([priority(200), priority(100)]);
    lan.run_for(secs(10));
    for host in [B, A] {
        let mut plan = lan.plan(host).clone();
        plan.routers[0].interval = centis(10);
        lan.act(Action::Reload(host, plan));
        lan.run_for(secs(5));
    }
    assert_eq!(lan.actives(), [A]);
    assert_eq!(lan.ledger().history.len(), 1);
}

#[test]
fn a_seed_is_replayed_to_the_letter() {
    let weather = Weather {
        loss: Chance::percent(30),
        jitter: millis(300),
        duplication: Chance::percent(10),
        ..Weather::CALM
    };
    let tell = |seed| {
        let mut lan = Lan::new([priority(200), priority(150), priority(100)], weather, seed);
        lan.record();
        lan.run_for(secs(60));
        lan.trace().to_string()
    };
    assert_eq!(tell(7), tell(7));
    assert_ne!(tell(7), tell(8));
}
