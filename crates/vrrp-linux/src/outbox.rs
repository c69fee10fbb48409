//! Frames that were decided in one turn and leave together: one system call for many.

use std::io;

use vrrp_proto::{Instant, LinkId, RouterId};

use crate::fences::Lease;
use crate::pulse::Pulse;
use crate::socket::FrameSocket;

/// What waits to be sent. In steady state its memory is that of the longest turn.
#[derive(Debug)]
pub(crate) struct Outbox {
    socket: FrameSocket,
    /// All frames, one after the other.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    link: LinkId,
    index: u32,
    /// Where its frame ends in `bytes`.
    end: usize,
    /// Of an advertisement.
    sign: Option<Sign>,
}

/// A router's sign of life, which counts when it has left.
#[derive(Debug)]
pub(crate) struct Sign {
    pub(crate) router: RouterId,
    /// When it was decided.
    pub(crate) at: Instant,
    pub(crate) lease: Option<Lease>,
}

impl Sign {
    /// Whether it really left.
    pub(crate) fn sent(self, left: bool, pulse: Option<&Pulse>) {
        if left && let Some(pulse) = pulse {
            pulse.beat(self.router, self.at);
        }
        if let Some(lease) = self.lease {
            lease.sent(left);
        }
    }
}

impl Outbox {
    pub(crate) const fn new(socket: FrameSocket) -> Self {
        Self {
            socket,
            bytes: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// Takes the frame that `write` appends, for the interface with number `index`. Without one, nothing is sent.
    pub(crate) fn put(
        &mut self,
        link: LinkId,
        index: u32,
        sign: Option<Sign>,
        write: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) {
        let start = self.bytes.len();
        if write(&mut self.bytes).is_none() {
            self.bytes.truncate(start);
            return;
        }
        self.waiting.push(Waiting {
            link,
            index,
            end: self.bytes.len(),
            sign,
        });
    }

    /// Whether as much is waiting as one system call takes.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= FrameSocket::BATCH
    }

    /// Sends what waits, in order, and says of each frame how that went. One that cannot be sent is lost.
    pub(crate) fn send(
        &mut self,
        pulse: Option<&Pulse>,
        mut outcome: impl FnMut(LinkId, io::Result<()>),
    ) {
        let mut first = 0;
        while first < self.waiting.len() {
            let mut start = match first {
                0 => 0,
                _ => self.waiting[first - 1].end,
            };
            let frames = self.waiting[first..].iter().map(|frame| {
                let bytes = &self.bytes[start..frame.end];
                start = frame.end;
                (frame.index, bytes)
            });
            // An error is about the first frame. Only an empty batch is taken as none.
            let (tried, mut result) = match self.socket.send(frames) {
                Ok(sent) => (sent.max(1), Ok(())),
                Err(error) => (1, Err(error)),
            };
            for frame in &mut self.waiting[first..first + tried] {
                let result = std::mem::replace(&mut result, Ok(()));
                if let Some(sign) = frame.sign.take() {
                    sign.sent(result.is_ok(), pulse);
                }
                outcome(frame.link, result);
            }
            first += tried;
        }
        self.waiting.clear();
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn what_cannot_be_sent_stands_in_nobodys_way() {
        // A thread of its own, whose network ends with it: interface 1 is its loopback, and there is no other.
        let outcomes = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let mut up = Command::new("ip");
            up.args(["link", "set", "lo", "up"]);
            assert!(up.status().unwrap().success());
            let mut outbox = Outbox::new(FrameSocket::open().unwrap());
            for index in [1, 9, 9, 1, 1, 9] {
                outbox.put(LinkId(index), index, None, |frame| {
                    frame.resize(frame.len() + 60, 0);
                    Some(())
                });
            }
            outbox.put(LinkId(1), 1, None, |frame| {
                frame.push(0);
                None
            });
            let mut outcomes = Vec::new();
            outbox.send(None, |LinkId(link), result| {
                outcomes.push((link, result.is_ok()))
            });
            outbox.send(None, |LinkId(link), _| outcomes.push((link, false)));
            outcomes
        });
        assert_eq!(
            outcomes.join().unwrap(),
            [
                (1, true),
                (9, false),
                (9, false),
                (1, true),
                (1, true),
                (9, false)
            ]
        );
    }
}
