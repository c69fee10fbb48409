//! How often is spoken, and how changes of that are agreed on.

use crate::bench::{Bench, config, ms, says};
use std::time::Duration;
use vrrp_bfd::{Config, ControlPacket, State};

/// §6.8.3: no faster than once a second while the session is not up; §6.8.7: as slow as the peer wants it.
#[test]
fn the_interval_is_the_larger_of_both_and_a_second_while_not_up() {
    let mut bench = Bench::in_state(State::Down);
    assert_eq!(bench.session.transmit_interval(), Some(ms(1000)));
    bench.hear(says(State::Down));
    assert_eq!(bench.session.transmit_interval(), Some(ms(1000)));
    bench.hear(says(State::Init));
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)));
    let slow = ControlPacket {
        required_min_rx: ms(300),
        ..says(State::Up)
    };
    bench.hear(slow);
    assert_eq!(bench.session.transmit_interval(), Some(ms(300)));
    bench.hear(says(State::Down));
    assert_eq!(bench.session.transmit_interval(), Some(ms(1000)));
}

/// §6.8.4: Detect Mult is the peer's, and so is the interval if it is the larger one.
#[test]
fn the_detection_time_is_the_peers_multiplier_times_the_larger_interval() {
    let mut bench = Bench::in_state(State::Up);
    let slow = ControlPacket {
        desired_min_tx: ms(200),
        multiplier: config(50, 5).multiplier,
        ..says(State::Up)
    };
    bench.hear(slow);
    assert_eq!(bench.session.detection_time(), ms(1000));
    let fast = ControlPacket {
        desired_min_tx: ms(10),
        ..slow
    };
    bench.hear(fast);
    assert_eq!(
        bench.session.detection_time(),
        ms(250),
        "we do not ask for more"
    );
}

/// §6.8.7: 75 to 100 per cent of the interval, and no more than 90 where a single packet may be missing only.
#[test]
fn packets_come_a_little_early_and_never_late() {
    for (multiplier, most) in [(3, 50_000), (1, 45_000)] {
        let mut bench = Bench::new(config(50, multiplier));
        bench.hear(says(State::Init));
        bench.sent();
        let mut seen = (Duration::MAX, Duration::ZERO);
        for random in 0..2000_u32 {
            let at = bench.session.poll_timeout().expect("it speaks");
            let gap = at.saturating_since(bench.now);
            bench.now = at;
            bench.hear(ControlPacket {
                is_final: true,
                ..says(State::Up)
            });
            let packet = bench
                .session
                .poll_transmit(at, random.wrapping_mul(2_654_435_761));
            assert!(packet.is_some());
            if random > 0 {
                seen = (seen.0.min(gap), seen.1.max(gap));
            }
        }
        assert!(seen.0 >= Duration::from_micros(37_500), "{seen:?}");
        assert!(
            seen.0 <= Duration::from_micros(37_800),
            "all of it is used: {seen:?}"
        );
        assert!(seen.1 <= Duration::from_micros(most), "{seen:?}");
        assert!(seen.1 >= Duration::from_micros(most - 300), "{seen:?}");
    }
}

/// §6.5: P in every packet until F comes, and F at once for P.
#[test]
fn a_new_rate_is_asked_for_until_it_is_confirmed() {
    let mut bench = Bench::in_state(State::Down);
    bench.hear(says(State::Init));
    for _ in 0..3 {
        let said = bench.sent();
        assert_eq!(said.iter().map(|it| it.poll).collect::<Vec<_>>(), [true]);
        assert_eq!(said[0].desired_min_tx, ms(50));
        bench.wait(ms(50));
    }
    bench.hear(ControlPacket {
        is_final: true,
        poll: true,
        ..says(State::Up)
    });
    let said = bench.sent();
    assert_eq!(
        (said[0].is_final, said[0].poll),
        (true, false),
        "never both"
    );
    assert!(said[1..].iter().all(|it| !it.poll && !it.is_final));
    bench.wait(ms(50));
    assert!(!bench.sent()[0].poll);
}

/// §6.8.3: slower, and with a shorter detection time, only when the peer knows; the reverse at once.
#[test]
fn rates_that_the_peer_must_know_of_wait_for_it() {
    let mut bench = Bench::in_state(State::Up);
    let other = |tx, rx| Config {
        desired_min_tx: ms(tx),
        required_min_rx: ms(rx),
        ..config(50, 3)
    };
    bench.session.reconfigure(other(100, 50));
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)), "as before");
    let said = bench.sent();
    assert_eq!((said[0].poll, said[0].desired_min_tx), (true, ms(100)));
    // It changes again before that is confirmed: the first F is not about it.
    bench.session.reconfigure(other(200, 50));
    bench.hear(ControlPacket {
        is_final: true,
        ..says(State::Up)
    });
    assert_eq!(bench.session.transmit_interval(), Some(ms(50)));
    assert!(bench.sent()[0].poll);
    bench.hear(ControlPacket {
        is_final: true,
        ..says(State::Up)
    });
    assert_eq!(bench.session.transmit_interval(), Some(ms(200)));

    bench.session.reconfigure(other(20, 300));
    assert_eq!(
        bench.session.transmit_interval(),
        Some(ms(50)),
        "the peer takes no more"
    );
    assert_eq!(bench.session.detection_time(), ms(900), "at once");
    bench.hear(ControlPacket {
        is_final: true,
        ..says(State::Up)
    });
    bench.session.reconfigure(other(20, 100));
    assert_eq!(
        bench.session.detection_time(),
        ms(900),
        "not before the peer knows"
    );
    bench.hear(ControlPacket {
        is_final: true,
        ..says(State::Up)
    });
    assert_eq!(bench.session.detection_time(), ms(300));
}

/// §6.8.7: nothing is sent to a peer that wants nothing, or that is in demand mode, but for what it asks for.
#[test]
fn a_peer_that_wants_silence_has_it() {
    let deaf = ControlPacket {
        required_min_rx: Duration::ZERO,
        ..says(State::Up)
    };
    let demanding = ControlPacket {
        demand: true,
        ..says(State::Up)
    };
    for packet in [deaf, demanding] {
        let mut bench = Bench::in_state(State::Up);
        bench.hear(packet);
        assert_eq!(bench.session.transmit_interval(), None);
        bench.wait(ms(140));
        assert_eq!(bench.sent(), []);
        bench.hear(ControlPacket {
            poll: true,
            ..packet
        });
        assert!(bench.sent()[0].is_final);
        // What it asked for ends with it.
        bench.wait(ms(150));
        assert!(bench.timeout().is_some());
        assert_eq!(bench.sent().len(), 1);
        assert_eq!(bench.session.transmit_interval(), Some(ms(1000)));
    }
}
