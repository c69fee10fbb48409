//! Whether somebody answers echo requests, or how many of them are lost.

use std::collections::VecDeque;
use std::io;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use vrrp_proto::tracker::Pace;

use super::icmp::{self, PAYLOAD, Target};
use super::{Found, Turns, Voice, span};

/// How many requests a loss is measured over.
const WINDOW: usize = 20;

/// Asks at each interval.
pub(crate) async fn watch(
    name: &str,
    target: &Target,
    pace: Pace,
    loss: Option<u8>,
    voice: &Voice,
) {
    let mut turns = Turns::new(name, pace.interval, voice);
    let mut asker: Option<Asker> = None;
    let mut answered: VecDeque<bool> = VecDeque::new();
    loop {
        turns.next().await;
        let found = ask(&mut asker, target, pace).await;
        if found.is_err() {
            // The address or the interface that it was bound to may be another one by now.
            asker = None;
        }
        let Some(limit) = loss else {
            voice.found(found);
            continue;
        };
        if answered.len() == WINDOW {
            answered.pop_front();
        }
        answered.push_back(found.is_ok());
        let lost = answered.iter().filter(|answered| !**answered).count();
        let percent = lost * 100 / answered.len();
        let said = format!(
            "{lost} of {} requests to {} lost",
            answered.len(),
            target.address
        );
        voice.found(if percent > usize::from(limit) {
            let why = found.err().map(|bad| format!("{said}: {}", bad.why));
            Err(why.unwrap_or(said).into())
        } else {
            Ok(said)
        });
    }
}

async fn ask(asker: &mut Option<Asker>, target: &Target, pace: Pace) -> Found {
    let address = target.address;
    let failed = |error: io::Error| format!("{address}: {error}");
    let asker = match asker {
        Some(asker) => asker,
        None => asker.insert(Asker::new(target).map_err(failed)?),
    };
    match timeout(pace.timeout, asker.ask()).await {
        Ok(Ok(())) => Ok(format!("{address} answers")),
        Ok(Err(error)) => Err(failed(error).into()),
        Err(_) => Err(format!("no answer of {address} within {}", span(pace.timeout)).into()),
    }
}

/// A socket, and the next request on it.
#[derive(Debug)]
struct Asker {
    socket: UdpSocket,
    raw: bool,
    is_ipv6: bool,
    id: u16,
    sequence: u16,
    payload: [u8; PAYLOAD],
}

impl Asker {
    fn new(target: &Target) -> io::Result<Self> {
        let (socket, raw) = icmp::open(target)?;
        let mut payload = [0; PAYLOAD];
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        payload[..8].copy_from_slice(&seed.to_be_bytes());
        payload[8..12].copy_from_slice(b"vrrp");
        Ok(Self {
            // It is none of UDP; to tokio, all that are connected are the same.
            socket: UdpSocket::from_std(socket.into())?,
            raw,
            is_ipv6: target.address.is_ipv6(),
            id: u16::from_be_bytes([payload[0], payload[1]]),
            sequence: 0,
            payload,
        })
    }

    /// Asks, and waits for the answer.
    async fn ask(&mut self) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let request = icmp::request(self.is_ipv6, self.id, self.sequence, &self.payload);
        // What an earlier request met with is no news.
        let _ = self.socket.take_error();
        self.socket.send(&request).await?;
        loop {
            let mut buffer = [0; 512];
            let length = self.socket.recv(&mut buffer).await?;
            if icmp::is_reply(
                &buffer[..length],
                self.is_ipv6,
                self.raw,
                self.sequence,
                &self.payload,
            ) {
                return Ok(());
            }
        }
    }
}
