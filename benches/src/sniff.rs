//! Advertisements and answers at one end of a cable, with the kernel's stamps, at any rate.

use socket2::SockFilter;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use vrrp_lab::clock::{Stamp, wait_for};
use vrrp_lab::netns::Namespace;
use vrrp_lab::priority;
use vrrp_lab::socket::PacketSocket;
use vrrp_lab::wire::{ETHERTYPE_ARP, ETHERTYPE_IPV4, VRRP};

/// What to listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// All advertisements.
    Adverts,
    /// Those of one VRID: the kernel leaves out the others, so that a hundred thousand a second cost little.
    AdvertsOf(u8),
    /// Advertisements, and answers to ARP.
    AdvertsAndAnswers,
}

/// Something that was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Stamp,
    /// Whether it left by this end instead of coming in.
    pub(crate) outgoing: bool,
    pub(crate) what: What,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Advert {
        vrid: u8,
        priority: u8,
    },
    /// An ARP reply that gives out this address.
    Answer(Ipv4Addr),
}

impl Heard {
    /// The VRID of an advertisement that came in, of somebody who does not resign.
    pub(crate) fn claim(&self) -> Option<u8> {
        match self.what {
            What::Advert { vrid, priority } if !self.outgoing && priority > 0 => Some(vrid),
            What::Advert { .. } | What::Answer(_) => None,
        }
    }

    /// The VRID of a resignation that came in.
    pub(crate) fn resignation(&self) -> Option<u8> {
        match self.what {
            What::Advert { vrid, priority: 0 } if !self.outgoing => Some(vrid),
            What::Advert { .. } | What::Answer(_) => None,
        }
    }
}

/// A running listener.
pub(crate) struct Sniff {
    heard: Arc<Mutex<Vec<Heard>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sniff {
    pub(crate) fn start(namespace: &Namespace, interface: &str, interest: Interest) -> Self {
        let program = program(interest);
        let socket = namespace
            .enter(|| PacketSocket::open_filtered(interface, &program))
            .unwrap_or_else(|error| panic!("{interface}: {error}"));
        let (heard, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (log, end): (Arc<Mutex<Vec<Heard>>>, _) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            priority::raise();
            let mut buffer = [0; 256];
            while !end.load(Ordering::Relaxed) {
                if let Ok(Some(received)) = socket.receive(&mut buffer)
                    && let Some(what) = read(&buffer[..received.length.min(256)])
                {
                    let entry = Heard {
                        at: received.at,
                        outgoing: received.outgoing,
                        what,
                    };
                    log.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(entry);
                }
            }
        });
        Self {
            heard,
            stop,
            thread: Some(thread),
        }
    }

    /// What was heard from one moment on that `wanted` picks.
    pub(crate) fn since<T>(&self, from: Stamp, wanted: impl FnMut(&Heard) -> Option<T>) -> Vec<T> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let start = heard.partition_point(|entry| entry.at < from);
        heard[start..].iter().filter_map(wanted).collect()
    }

    /// Waits for the first that `wanted` picks.
    pub(crate) fn wait<T>(
        &self,
        from: Stamp,
        limit: Duration,
        wanted: impl Fn(&Heard) -> Option<T>,
    ) -> Option<T> {
        wait_for(limit, || {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let start = heard.partition_point(|entry| entry.at < from);
            heard[start..].iter().find_map(&wanted)
        })
    }

    /// Forgets what was heard.
    pub(crate) fn clear(&self) {
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

impl Drop for Sniff {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(frame: &[u8]) -> Option<What> {
    let ethertype = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
    let body = frame.get(14..)?;
    if ethertype == ETHERTYPE_ARP {
        let sender: [u8; 4] = *body.get(14..)?.first_chunk()?;
        let target: [u8; 4] = *body.get(24..)?.first_chunk()?;
        let reply = body.get(6..8)? == [0, 2];
        return (reply && sender != target).then(|| What::Answer(sender.into()));
    }
    let header = usize::from(*body.first()? & 0x0f) * 4;
    let message = body.get(header..)?;
    Some(What::Advert {
        vrid: *message.get(1)?,
        priority: *message.get(2)?,
    })
}

fn program(interest: Interest) -> Vec<SockFilter> {
    /// `BPF_LD | BPF_H | BPF_ABS`, `BPF_LD | BPF_B | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K`.
    const HALF: u16 = 0x28;
    const BYTE: u16 = 0x30;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let arp = u8::from(interest == Interest::AdvertsAndAnswers);
    // Without options in the IP header, which nobody here sends.
    let vrid = match interest {
        Interest::AdvertsOf(vrid) => u32::from(vrid),
        Interest::Adverts | Interest::AdvertsAndAnswers => 0,
    };
    let accept = || SockFilter::new(RETURN, 0, 0, 256);
    let drop = || SockFilter::new(RETURN, 0, 0, 0);
    let mut program = vec![
        SockFilter::new(HALF, 0, 0, 12),
        SockFilter::new(EQUAL, 0, 1, ETHERTYPE_ARP.into()),
        if arp == 1 { accept() } else { drop() },
        SockFilter::new(EQUAL, 1, 0, ETHERTYPE_IPV4.into()),
        drop(),
        SockFilter::new(BYTE, 0, 0, 23),
        SockFilter::new(EQUAL, 1, 0, VRRP.into()),
        drop(),
    ];
    if vrid > 0 {
        program.extend([
            SockFilter::new(BYTE, 0, 0, 35),
            SockFilter::new(EQUAL, 1, 0, vrid),
            drop(),
        ]);
    }
    program.push(accept());
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use vrrp_lab::wire::{Advert, Arp, Mac};

    #[test]
    fn frames_are_read() {
        let address = Ipv4Addr::new(192, 0, 2, 254);
        let frame = Advert::new(
            3,
            51,
            0,
            10,
            &[address.into()],
            IpAddr::from([192, 0, 2, 11]),
        )
        .frame();
        let resigned = What::Advert {
            vrid: 51,
            priority: 0,
        };
        assert_eq!(read(&frame), Some(resigned));
        let question = Arp::request(Mac::played(1), Ipv4Addr::new(192, 0, 2, 1), address);
        assert_eq!(read(&question.frame_to(Mac::BROADCAST)), None);
        let answer = Arp::reply_to(&question, Mac::virtual_v4(51)).frame();
        assert_eq!(read(&answer), Some(What::Answer(address)));
    }
}
