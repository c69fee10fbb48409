//! What one advertisement costs without a kernel: read, write, and through the engine.
//!
//! Used by `cargo bench -p vrrp-bench` and by the row `codec`.

use pnet_packet::ipv4::{Ipv4Packet, checksum};
use std::hint::black_box;
use std::net::IpAddr;
use vrrp_lab::wire;
use vrrp_proto::engine::{Datagram, Engine, Input, Output};
use vrrp_proto::link::{LinkFacts, LinkId};
use vrrp_proto::packet::Advertisement;
use vrrp_proto::receive::{Envelope, Expectation, examine};
use vrrp_proto::{
    ChecksumForm, Dialect, Instant, Interval, MacAddress, Plan, Priority, RouterPlan, Vrid,
};

/// An advertisement of VRRPv3 over IPv4 with one address, and who hears it.
pub struct Codec {
    /// The IPv4 packet.
    packet: Vec<u8>,
    envelope: Envelope,
    plan: RouterPlan,
    addresses: Vec<IpAddr>,
}

/// Bytes of an IPv4 header without options.
const HEADER: usize = 20;
const PEER: &str = "192.0.2.12";
const GROUP: &str = "224.0.0.18";

impl Codec {
    /// From a router of this priority, to one of priority 100.
    ///
    /// # Panics
    /// If the configuration of the benchmark itself is wrong.
    #[must_use]
    pub fn new(priority: u8) -> Self {
        let text = "[virtual-router.bench]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.254/24\"]\n\
                    advertise-interval = \"10ms\"\nannounce-refresh = \"0s\"\n";
        let config = vrrp_config::parse(text).expect("a good configuration");
        let plan = config.plan.routers[0].clone();
        let addresses: Vec<IpAddr> = plan.addresses.iter().map(|address| address.ip).collect();
        let source: IpAddr = PEER.parse().expect("an address");
        // Written by the laboratory's codec, not by the one that is measured.
        let frame = wire::Advert::new(3, 51, priority, 1, &addresses, source).frame();
        Self {
            packet: frame[14..].to_vec(),
            envelope: Envelope {
                source,
                destination: GROUP.parse().expect("an address"),
                hop_limit: 255,
            },
            plan,
            addresses,
        }
    }

    /// Reads and checks it as the daemon does; whether it is accepted.
    #[must_use]
    pub fn parse(&self) -> bool {
        let message = black_box(&self.packet[HEADER..]);
        let heard = examine(black_box(&self.envelope), message, |_| {
            Some(Expectation {
                plan: &self.plan,
                primary: None,
            })
        });
        black_box(heard).is_ok()
    }

    /// The same bytes with `pnet_packet`, which knows no VRRP: the IPv4 header with its checksum, the fields that the daemon
    /// looks at, and the checksum of the message. Whether both checksums hold.
    #[must_use]
    pub fn parse_by_pnet(&self) -> bool {
        let Some(packet) = Ipv4Packet::new(black_box(&self.packet)) else {
            return false;
        };
        let envelope = (
            packet.get_source(),
            packet.get_destination(),
            packet.get_ttl(),
            packet.get_next_level_protocol(),
        );
        let header = checksum(&packet) == packet.get_checksum();
        let message = &self.packet[HEADER..];
        let body =
            pnet_packet::util::checksum(message, 3) == u16::from_be_bytes([message[6], message[7]]);
        let fields = (message[0], message[1], message[2], message[3]);
        black_box((envelope, fields));
        header && body
    }

    /// Writes one into `message`, which is emptied before; its length.
    pub fn emit(&self, message: &mut Vec<u8>) -> usize {
        let advertisement = Advertisement {
            dialect: Dialect::Vrrp3,
            vrid: self.plan.vrid,
            priority: black_box(Priority::new(200)),
            interval: self.plan.interval,
            addresses: &self.addresses,
            authentication: None,
        };
        message.clear();
        advertisement.emit_to(
            ChecksumForm::Rfc9568,
            black_box(self.envelope.source),
            self.envelope.destination,
            message,
        );
        black_box(message).len()
    }

    /// An engine with one router, Backup or Active.
    ///
    /// # Panics
    /// If it does not become Active when it is due.
    #[must_use]
    pub fn engine(&self, active: bool) -> Running {
        let plan = Plan {
            routers: vec![self.plan.clone()],
            ..Plan::default()
        };
        let mut running = Running {
            now: Instant::from_nanos(1_000_000_000),
            engine: Engine::new(&plan, Instant::from_nanos(1_000_000_000)),
            interval: self.plan.interval,
        };
        let facts = LinkFacts {
            index: 1,
            up: true,
            carrier: true,
            mtu: 1500,
            mac: MacAddress::of_router(self.plan.family, Vrid::new(1).expect("not zero")),
            ipv4: vec![("192.0.2.11".parse().expect("an address"), 24)],
            link_local: Vec::new(),
        };
        running.drain();
        running.engine.handle(
            running.now,
            Input::Link {
                interface: "eth0",
                facts: Some(&facts),
            },
        );
        running.drain();
        if active {
            // The announcements of the first seconds are not what is measured.
            for _ in 0..4000 {
                running.send();
            }
            assert_eq!(running.send(), 1, "it advertises once an interval");
        }
        running
    }

    /// An advertisement of a higher router through the engine of a Backup: counted, and its timer moved on.
    pub fn receive(&self, backup: &mut Running) {
        backup.now = backup.now + std::time::Duration::from_millis(1);
        let datagram = Datagram {
            link: LinkId(0),
            envelope: self.envelope,
            message: black_box(&self.packet[HEADER..]),
        };
        backup.engine.handle(backup.now, Input::Datagram(datagram));
        backup.drain();
    }
}

/// An engine and its clock.
pub struct Running {
    engine: Engine,
    now: Instant,
    interval: Interval,
}

impl Running {
    /// One interval later: the advertisements that leave.
    pub fn send(&mut self) -> usize {
        let due = self.engine.poll_timeout().map(|wakeup| wakeup.at);
        self.now = due.unwrap_or(self.now + self.interval.duration());
        self.engine.handle_timeout(self.now);
        self.drain()
    }

    /// Whether its router still listens: a Backup that is kept busy never takes over.
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.engine
            .status()
            .all(|router| router.role == vrrp_proto::Role::Backup)
    }

    fn drain(&mut self) -> usize {
        let mut sent = 0;
        while let Some(output) = self.engine.poll_output() {
            sent += usize::from(matches!(black_box(output), Output::Transmit(_)));
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_is_what_happens() {
        let codec = Codec::new(200);
        assert!(codec.parse() && codec.parse_by_pnet());
        assert_eq!(codec.emit(&mut Vec::new()), 12);
        let mut backup = codec.engine(false);
        for _ in 0..1000 {
            codec.receive(&mut backup);
        }
        assert!(backup.is_backup());
        assert!(!codec.engine(true).is_backup());
    }
}
