//! The BFD Control packet (RFC 5880 §4.1), and what is refused of those that arrive (§6.8.6, RFC 5881 §5).

use core::num::{NonZeroU8, NonZeroU32};
use core::ops::RangeInclusive;
use core::time::Duration;

use thiserror::Error;

use crate::diagnostic::Diagnostic;
use crate::state::State;

/// UDP port that control packets go to (RFC 5881 §4).
pub const PORT: u16 = 3784;

/// UDP ports that they come from: one for each session, for all of its life (RFC 5881 §4).
pub const SOURCE_PORTS: RangeInclusive<u16> = 49_152..=65_535;

/// TTL or Hop Limit of each, sent and received (RFC 5881 §5).
pub const HOP_LIMIT: u8 = 255;

/// Octets of a packet without authentication.
pub const LENGTH: usize = 24;

const VERSION: u8 = 1;
const WITH_AUTHENTICATION: usize = 26;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const INDEPENDENT: u8 = 0x08;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// A packet that passes every check that needs no session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlPacket {
    /// Why the sender's session changed last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// P: the sender wants an answer with F.
    pub poll: bool,
    /// F: this is that answer.
    pub is_final: bool,
    /// C: the sender's BFD does not share the fate of its control plane.
    pub independent: bool,
    /// D: the sender wants no periodic packets while both are up.
    pub demand: bool,
    /// Detect Mult: so many packets in a row may be missing.
    pub multiplier: NonZeroU8,
    /// The sender's number of the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's; `None` while the sender does not know it.
    pub your_discriminator: Option<NonZeroU32>,
    /// Desired Min TX Interval.
    pub desired_min_tx: Duration,
    /// Required Min RX Interval; zero if nothing is to be sent.
    pub required_min_rx: Duration,
    /// Required Min Echo RX Interval; zero without the echo function.
    pub required_min_echo_rx: Duration,
}

/// Why a packet is discarded, in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum Discard {
    /// It may have come from another link.
    #[error("its TTL or Hop Limit is {0}, and not 255")]
    HopLimit(u8),
    /// Shorter than a packet.
    #[error("it is cut short")]
    Short,
    /// Another version.
    #[error("its version is {0}, and not 1")]
    Version(u8),
    /// Its Length is too small, or larger than it is.
    #[error("its Length is {0}, which cannot be")]
    Length(u8),
    /// Detect Mult is zero.
    #[error("its Detect Mult is 0")]
    Multiplier,
    /// M is set.
    #[error("it is a packet of a multipoint session")]
    Multipoint,
    /// My Discriminator is zero.
    #[error("its My Discriminator is 0")]
    MyDiscriminator,
    /// Your Discriminator is zero although the sender must know it.
    #[error("its Your Discriminator is 0, and its state {0}")]
    YourDiscriminator(State),
    /// A is set, and we have no key.
    #[error("it is authenticated")]
    Authenticated,
    /// Your Discriminator is not ours.
    #[error("there is no session {0}")]
    UnknownSession(NonZeroU32),
    /// The session is switched off.
    #[error("the session is administratively down")]
    AdminDown,
}

impl ControlPacket {
    /// Reads the payload of a UDP datagram that arrived with this TTL or Hop Limit.
    ///
    /// # Errors
    /// The first check that it fails (RFC 5881 §5, RFC 5880 §6.8.6).
    pub fn parse(hop_limit: u8, payload: &[u8]) -> Result<Self, Discard> {
        if hop_limit != HOP_LIMIT {
            return Err(Discard::HopLimit(hop_limit));
        }
        let fixed: &[u8; LENGTH] = payload.first_chunk().ok_or(Discard::Short)?;
        let [first, flags, multiplier, length, ..] = *fixed;
        if first >> 5 != VERSION {
            return Err(Discard::Version(first >> 5));
        }
        let authenticated = flags & AUTHENTICATED != 0;
        let least = if authenticated {
            WITH_AUTHENTICATION
        } else {
            LENGTH
        };
        if !(least..=payload.len()).contains(&usize::from(length)) {
            return Err(Discard::Length(length));
        }
        let multiplier = NonZeroU8::new(multiplier).ok_or(Discard::Multiplier)?;
        if flags & MULTIPOINT != 0 {
            return Err(Discard::Multipoint);
        }
        let word = |at: usize| {
            let octets = [fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]];
            u32::from_be_bytes(octets)
        };
        let micros = |at| Duration::from_micros(u64::from(word(at)));
        let my_discriminator = NonZeroU32::new(word(4)).ok_or(Discard::MyDiscriminator)?;
        let your_discriminator = NonZeroU32::new(word(8));
        let state = State::of(flags >> 6);
        if your_discriminator.is_none() && !matches!(state, State::Down | State::AdminDown) {
            return Err(Discard::YourDiscriminator(state));
        }
        if authenticated {
            return Err(Discard::Authenticated);
        }
        Ok(Self {
            diagnostic: Diagnostic::of(first),
            state,
            poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            independent: flags & INDEPENDENT != 0,
            demand: flags & DEMAND != 0,
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: micros(12),
            required_min_rx: micros(16),
            required_min_echo_rx: micros(20),
        })
    }

    /// The octets of the packet. Intervals above 71 minutes are cut to that.
    #[must_use]
    pub fn emit(&self) -> [u8; LENGTH] {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = self.state.bits() << 6
            | flag(self.poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.independent, INDEPENDENT)
            | flag(self.demand, DEMAND);
        let micros = |interval: Duration| u32::try_from(interval.as_micros()).unwrap_or(u32::MAX);
        let words = [
            u32::from_be_bytes([
                VERSION << 5 | self.diagnostic.get(),
                flags,
                self.multiplier.get(),
                24,
            ]),
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            micros(self.desired_min_tx),
            micros(self.required_min_rx),
            micros(self.required_min_echo_rx),
        ];
        let mut octets = [0; LENGTH];
        for (place, word) in octets.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }
}
