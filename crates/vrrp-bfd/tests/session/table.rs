//! States: each of ours with each that a peer says, and what ends them.

use crate::bench::{Bench, ms, number, says};
use vrrp_bfd::{ControlPacket, Diagnostic, Discard, State};

use State::{AdminDown, Down, Init, Up};

const NEIGHBOUR: Diagnostic = Diagnostic::NEIGHBOR_SIGNALED_SESSION_DOWN;

/// §6.8.6, the part about states.
#[test]
fn what_a_peer_says_in_each_state() {
    #[rustfmt::skip]
    let table = [
        // Ours, theirs, ours then, and why if that is worse.
        (Down, AdminDown, Down, None),
        (Down, Down, Init, None),
        (Down, Init, Up, None),
        (Down, Up, Down, None),
        (Init, AdminDown, Down, Some(NEIGHBOUR)),
        (Init, Down, Init, None),
        (Init, Init, Up, None),
        (Init, Up, Up, None),
        (Up, AdminDown, Down, Some(NEIGHBOUR)),
        (Up, Down, Down, Some(NEIGHBOUR)),
        (Up, Init, Up, None),
        (Up, Up, Up, None),
    ];
    for (ours, theirs, then, why) in table {
        let mut bench = Bench::in_state(ours);
        let change = bench.hear(says(theirs));
        let row = format!("{ours} hears {theirs}");
        assert_eq!(bench.session.state(), then, "{row}");
        assert_eq!(
            change.map(|change| (change.from, change.to)),
            (ours != then).then_some((ours, then)),
            "{row}"
        );
        assert!(!change.is_some_and(|change| change.is_loss()), "{row}");
        if let Some(why) = why {
            assert_eq!(bench.session.diagnostic(), why, "{row}");
        }
        // §6.8.7: what has changed is said at once.
        assert_eq!(bench.sent().len(), usize::from(ours != then), "{row}");
    }
}

/// §6.8.6: "If bfd.SessionState is AdminDown, discard the packet".
#[test]
fn who_is_switched_off_does_not_listen() {
    for theirs in [AdminDown, Down, Init, Up] {
        let mut bench = Bench::in_state(AdminDown);
        let heard = bench.session.receive(bench.now, &says(theirs));
        assert_eq!(heard, Err(Discard::AdminDown));
        assert_eq!(bench.session.state(), AdminDown);
    }
}

/// §6.8.4.
#[test]
fn silence_for_the_detection_time_is_the_end_and_not_before() {
    for state in [Init, Up] {
        let mut bench = Bench::in_state(state);
        let time = bench.session.detection_time();
        assert_eq!(time, ms(150), "3 x max(50 ms, 50 ms)");
        bench.wait(time - ms(1));
        assert_eq!(bench.timeout(), None);
        assert_eq!(
            bench
                .session
                .poll_timeout()
                .map(|at| at <= bench.now + ms(1)),
            Some(true)
        );
        bench.wait(ms(1));
        let change = bench.timeout().expect("it is due");
        assert_eq!((change.from, change.to), (state, Down));
        assert_eq!(
            change.diagnostic,
            Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
        );
        assert_eq!(change.detection_time, ms(150));
        assert_eq!(
            change.is_loss(),
            state == Up,
            "who was never there is not lost"
        );
        // §6.8.1: nobody is known any more.
        let said = bench.sent();
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].your_discriminator, said[0].state), (None, Down));
        assert_eq!(
            said[0].diagnostic,
            Diagnostic::CONTROL_DETECTION_TIME_EXPIRED
        );
    }
}

/// §6.8.1: bfd.RemoteDiscr, in every state.
#[test]
fn a_peer_that_is_down_and_silent_is_forgotten_too() {
    let mut bench = Bench::in_state(Down);
    bench.hear(says(AdminDown));
    assert!(bench.session.remote().discriminator.is_some());
    bench.wait(ms(150));
    assert_eq!(bench.timeout(), None);
    assert_eq!(bench.session.remote().discriminator, None);
    assert_eq!(bench.session.heard(), None);
}

/// §6.8.6: the session is found by Your Discriminator, which a peer that begins anew does not know.
#[test]
fn a_peer_that_begins_anew_is_followed_and_a_packet_for_another_session_is_not() {
    let mut bench = Bench::in_state(Up);
    let other = ControlPacket {
        your_discriminator: Some(number(99)),
        ..says(Down)
    };
    let heard = bench.session.receive(bench.now, &other);
    assert_eq!(heard, Err(Discard::UnknownSession(number(99))));
    assert_eq!(bench.session.state(), Up);
    let anew = |state| ControlPacket {
        my_discriminator: number(7),
        your_discriminator: None,
        ..says(state)
    };
    bench.hear(anew(Down));
    assert_eq!(bench.session.state(), Down);
    bench.hear(anew(Down));
    assert_eq!(bench.session.state(), Init);
    let said = bench.sent();
    assert_eq!(said[0].your_discriminator, Some(number(7)));
}

/// §6.8.16.
#[test]
fn who_is_switched_off_says_so_until_it_is_switched_on() {
    let mut bench = Bench::in_state(Up);
    let change = bench.session.administer(true).expect("it was up");
    assert_eq!((change.to, change.is_loss()), (AdminDown, false));
    assert_eq!(bench.session.administer(true), None);
    let said = bench.sent();
    assert_eq!((said[0].state, said[0].diagnostic.get()), (AdminDown, 7));
    bench.wait(ms(1000));
    assert_eq!(bench.sent()[0].state, AdminDown);
    assert_eq!(bench.session.administer(false).map(|it| it.to), Some(Down));
    assert_eq!(bench.sent()[0].state, Down);
    bench.hear(says(Init));
    assert_eq!(bench.session.state(), Up);
}

#[test]
fn what_is_saved_goes_on_where_it_was() {
    let mut bench = Bench::in_state(Up);
    bench.wait(ms(100));
    let text = serde_json::to_string(&bench.session).expect("it can be saved");
    bench.wait(ms(10_000));
    bench.session = serde_json::from_str(&text).expect("it can be read");
    bench.session.revive(bench.now);
    assert_eq!(bench.timeout(), None, "what came meanwhile is not known");
    assert_eq!(bench.session.state(), Up);
    let said = bench.sent();
    assert_eq!(
        (said[0].state, said[0].your_discriminator.is_some()),
        (Up, true),
        "at once"
    );
    assert!(
        bench
            .wait(ms(150))
            .timeout()
            .is_some_and(|change| change.is_loss())
    );
}
