//! A session beside what its peer would say.

use std::num::{NonZeroU8, NonZeroU32};
use std::time::Duration;

use vrrp_bfd::{Change, Config, ControlPacket, Diagnostic, Session, State};
use vrrp_proto::Instant;

pub(crate) const OURS: u32 = 0x0a0a_0a0a;
pub(crate) const THEIRS: u32 = 0x0b0b_0b0b;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("discriminators are not zero")
}

pub(crate) fn config(millis: u64, multiplier: u8) -> Config {
    Config {
        desired_min_tx: ms(millis),
        required_min_rx: ms(millis),
        multiplier: NonZeroU8::new(multiplier).expect("multipliers are not zero"),
    }
}

/// What a peer says that knows us, with 50 ms and 3.
pub(crate) fn says(state: State) -> ControlPacket {
    ControlPacket {
        diagnostic: Diagnostic::NONE,
        state,
        poll: false,
        is_final: false,
        independent: false,
        demand: false,
        multiplier: config(50, 3).multiplier,
        my_discriminator: number(THEIRS),
        your_discriminator: Some(number(OURS)),
        desired_min_tx: ms(50),
        required_min_rx: ms(50),
        required_min_echo_rx: Duration::ZERO,
    }
}

pub(crate) struct Bench {
    pub(crate) session: Session,
    pub(crate) now: Instant,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            session: Session::new(Instant::ZERO, config, number(OURS)),
            now: Instant::ZERO,
        }
    }

    /// One that is in this state; what it had to say is said.
    pub(crate) fn in_state(state: State) -> Self {
        let mut bench = Self::new(config(50, 3));
        match state {
            State::Down => {}
            State::Init => _ = bench.hear(says(State::Down)),
            State::Up => {
                bench.hear(says(State::Init));
                // The new rate is confirmed.
                bench.sent();
                bench.hear(ControlPacket {
                    is_final: true,
                    ..says(State::Up)
                });
            }
            State::AdminDown => _ = bench.session.administer(true),
        }
        assert_eq!(bench.session.state(), state);
        bench.sent();
        bench
    }

    pub(crate) fn hear(&mut self, packet: ControlPacket) -> Option<Change> {
        self.session.receive(self.now, &packet).ok().flatten()
    }

    /// Time passes; nothing happens in it.
    pub(crate) fn wait(&mut self, span: Duration) -> &mut Self {
        self.now = self.now + span;
        self
    }

    /// Everything it has to say now.
    pub(crate) fn sent(&mut self) -> Vec<ControlPacket> {
        let (session, now) = (&mut self.session, self.now);
        std::iter::from_fn(|| session.poll_transmit(now, 0)).collect()
    }

    pub(crate) fn timeout(&mut self) -> Option<Change> {
        self.session.handle_timeout(self.now)
    }
}
