//! A stranger who sends as fast as he is told.

use crate::clock::{Stamp, ms};
use crate::netns::Namespace;
use crate::socket::PacketSocket;
use std::time::Duration;

/// What a flood came to.
#[derive(Clone, Copy, Debug)]
pub struct Flooded {
    /// Frames that left.
    pub sent: u64,
    /// In how long.
    pub took: Duration,
}

impl Flooded {
    /// Frames a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a test sends no 2^52 frames")]
    pub fn rate(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }
}

/// Sends `frames` in turn from `interface` of `namespace`, `rate` a second, for `span`.
///
/// One `sendmmsg` each millisecond, or one frame at a time where the rate is lower than that. A sender that is late
/// does not make up for more than ten milliseconds.
///
/// # Panics
/// If the interface does not exist, or refuses a frame.
#[must_use]
pub fn flood(
    namespace: &Namespace,
    interface: &str,
    frames: &[Vec<u8>],
    rate: u32,
    span: Duration,
) -> Flooded {
    let socket = namespace
        .enter(|| PacketSocket::open(interface))
        .unwrap_or_else(|error| panic!("{interface}: {error}"));
    let batch = (rate / 1000).max(1) as usize;
    let step = Duration::from_secs(1) * u32::try_from(batch).expect("small") / rate;
    let mut wheel = frames.iter().cycle().cloned();
    let bundles: Vec<Vec<Vec<u8>>> = (0..frames.len())
        .map(|_| wheel.by_ref().take(batch).collect())
        .collect();
    let begun = Stamp::now();
    let (mut due, mut sent) = (begun, 0);
    for bundle in bundles.iter().cycle() {
        if Stamp::now() >= begun + span {
            break;
        }
        sent += socket.send_many(bundle).expect("the cable is up") as u64;
        due = (due + step).max(Stamp::now() - ms(10));
        due.sleep_until();
    }
    Flooded {
        sent,
        took: Stamp::now().since(begun),
    }
}
