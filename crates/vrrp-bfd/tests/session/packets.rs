//! The wire: RFC 5880 §4.1 and the checks of §6.8.6 and RFC 5881 §5, in their order.

use crate::bench::{THEIRS, ms, number, says};
use crate::line::Random;
use vrrp_bfd::{ControlPacket, Diagnostic, Discard, LENGTH, Session, State};
use vrrp_proto::Instant;

/// As FRR's bfdd sends it: up, with 50 ms and 3.
const UP: [u8; LENGTH] = [
    0x20, 0xc0, 3, 24, 0x0b, 0x0b, 0x0b, 0x0b, 0x0a, 0x0a, 0x0a, 0x0a, 0, 0, 0xc3, 0x50, 0, 0,
    0xc3, 0x50, 0, 0, 0, 0,
];

#[test]
fn a_packet_is_read_and_written() {
    let read = ControlPacket::parse(255, &UP).expect("it is good");
    assert_eq!(read, says(State::Up));
    assert_eq!(read.emit(), UP);
    let flags = ControlPacket {
        diagnostic: Diagnostic::CONTROL_DETECTION_TIME_EXPIRED,
        poll: true,
        independent: true,
        demand: true,
        your_discriminator: None,
        required_min_echo_rx: ms(1),
        ..says(State::Down)
    };
    let octets = flags.emit();
    assert_eq!(octets[..4], [0x21, 0x6a, 3, 24]);
    assert_eq!(octets[20..], [0, 0, 0x03, 0xe8]);
    assert_eq!(ControlPacket::parse(255, &octets), Ok(flags));
}

/// Each row has what is wrong with all rows below, too: the first check counts.
#[test]
fn what_is_wrong_has_a_name() {
    type Spoil = fn(&mut Vec<u8>);
    #[rustfmt::skip]
    let rows: [(Spoil, Discard); 8] = [
        (|it| it[1] |= 0x04, Discard::Authenticated),
        (|it| { it[1] |= 0x80; it[8..12].fill(0); }, Discard::YourDiscriminator(State::Up)),
        (|it| it[4..8].fill(0), Discard::MyDiscriminator),
        (|it| it[1] |= 0x01, Discard::Multipoint),
        (|it| it[2] = 0, Discard::Multiplier),
        (|it| it[3] = 27, Discard::Length(27)),
        (|it| it[0] = 0x40, Discard::Version(2)),
        (|it| it.truncate(23), Discard::Short),
    ];
    let mut packet = UP.to_vec();
    // Room for an authentication section.
    packet.extend([0, 0]);
    packet[3] = 26;
    for (spoil, why) in rows {
        spoil(&mut packet);
        assert_eq!(ControlPacket::parse(255, &packet), Err(why), "{packet:x?}");
        assert_eq!(
            ControlPacket::parse(254, &packet),
            Err(Discard::HopLimit(254))
        );
    }
}

#[test]
fn lengths_at_the_edge() {
    let mut long = UP.to_vec();
    long.extend([9; 10]);
    assert!(
        ControlPacket::parse(255, &long).is_ok(),
        "what follows is not ours"
    );
    long[3] = 30;
    assert!(ControlPacket::parse(255, &long).is_ok());
    for length in [0, 23, 35, 255] {
        long[3] = length;
        assert_eq!(
            ControlPacket::parse(255, &long),
            Err(Discard::Length(length))
        );
    }
    // With A, 26 is the least.
    long[3] = 25;
    long[1] |= 0x04;
    assert_eq!(ControlPacket::parse(255, &long), Err(Discard::Length(25)));
    // Who does not know us may only be down.
    let mut first = UP;
    first[8..12].fill(0);
    for (bits, good) in [(0x00, true), (0x40, true), (0x80, false), (0xc0, false)] {
        first[1] = bits;
        assert_eq!(ControlPacket::parse(255, &first).is_ok(), good, "{bits:x}");
    }
}

/// Whatever comes: it is refused or taken, and the session goes on.
#[test]
fn no_octets_make_it_panic() {
    let mut random = Random::new(7);
    let config = crate::bench::config(50, 3);
    let mut session = Session::new(Instant::ZERO, config, number(0x0a0a_0a0a));
    let (mut now, mut taken) = (Instant::ZERO, 0_u32);
    for _ in 0..300_000 {
        let mut octets = UP;
        for _ in 0..random.below(6) {
            octets[random.below(24)] = random.octet();
        }
        let octets = &octets[..24 - random.below(20) / 19];
        now = now + ms(random.below(100) as u64);
        if let Ok(packet) = ControlPacket::parse(255 - u8::from(random.octet() == 0), octets) {
            assert_eq!(ControlPacket::parse(255, &packet.emit()), Ok(packet));
            taken += u32::from(session.receive(now, &packet).is_ok());
        }
        session.handle_timeout(now);
        let mut said = 0;
        while let Some(packet) = session.poll_transmit(now, random.next()) {
            assert!(
                ControlPacket::parse(255, &packet.emit()).is_ok(),
                "{packet:?}"
            );
            said += 1;
        }
        assert!(said <= 2, "one packet, and one more with F");
        assert!(
            session.poll_timeout().is_none_or(|at| at > now),
            "it has nothing left to do now"
        );
    }
    assert!(taken > 50_000, "{taken}");
    assert!(
        session
            .remote()
            .discriminator
            .is_none_or(|it| it.get() != 0)
            && THEIRS != 0
    );
}
