//! A stranger who sends as fast as he is told.

use crate::clock::{Stamp, ms};
use crate::netns::Namespace;
use crate::priority;
use crate::socket::PacketSocket;
use socket2::SockFilter;
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
/// does not make up for more than ten milliseconds. It runs before everybody else: a real one would have a processor
/// of its own, and its victims could not hold it up by waking for each packet.
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
        .enter(|| PacketSocket::open_filtered(interface, &[SockFilter::new(0x06, 0, 0, 0)]))
        .unwrap_or_else(|error| panic!("{interface}: {error}"));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            priority::raise_above();
            send(&socket, frames, rate, span)
        });
        sender
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn send(socket: &PacketSocket, frames: &[Vec<u8>], rate: u32, span: Duration) -> Flooded {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::cable;
    use crate::wire::{Ethernet, Mac};

    #[test]
    fn a_flood_has_its_rate() {
        let ends = ["from", "to"].map(Namespace::new);
        cable((&ends[0], "eth0"), (&ends[1], "eth0"));
        for end in &ends {
            end.sysctl("ipv6/conf/default/disable_ipv6=1 ipv6/conf/all/disable_ipv6=1");
            end.ip("link set eth0 arp off\nlink set eth0 up");
        }
        ends[1].wait_carrier("eth0");
        let frame = Ethernet {
            destination: Mac::BROADCAST,
            source: Mac::played(1),
            ethertype: 0x88b5,
        }
        .frame(&[0; 46]);
        for (rate, least) in [(50, 45.0), (20_000, 15_000.0)] {
            let flooded = flood(
                &ends[0],
                "eth0",
                std::slice::from_ref(&frame),
                rate,
                ms(500),
            );
            assert!(
                flooded.rate() >= least && flooded.rate() <= f64::from(rate) * 1.2,
                "{flooded:?} at {rate} a second"
            );
        }
        let arrived: u64 = ends[1]
            .sh("cat /sys/class/net/eth0/statistics/rx_packets")
            .trim()
            .parse()
            .unwrap();
        assert!(arrived >= 7_500, "{arrived} frames");
        let most = flood(&ends[0], "eth0", &[frame], 1_000_000, ms(500));
        println!("at most {:.0} frames a second over one cable", most.rate());
    }
}
