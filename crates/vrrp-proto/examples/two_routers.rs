//! Two routers on a virtual wire: they elect one, it falls silent, the other takes over. No socket, no clock.
//!
//! `cargo run -p vrrp-proto --example two_routers`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use core::net::Ipv4Addr;
use core::time::Duration;

use vrrp_proto::receive::Envelope;
use vrrp_proto::*;

fn main() {
    let mut now = Instant::ZERO;
    let mut routers = [router(11, 200, now), router(12, 100, now)];
    let mut crashed = false;
    while now < Instant::ZERO + Duration::from_secs(10) {
        // The clock jumps to the next thing that happens by itself; after five seconds the first router says no more.
        if !crashed && now > Instant::ZERO + Duration::from_secs(5) {
            println!("{now:?}  the first router crashes");
            crashed = true;
        }
        let alive = usize::from(crashed)..2;
        now = routers[alive.clone()]
            .iter_mut()
            .filter_map(|router| Some(router.poll_timeout()?.at))
            .min()
            .unwrap();
        for sender in alive.clone() {
            routers[sender].handle_timeout(now);
            for output in drain(&mut routers[sender]) {
                tell(sender, &output);
                let Output::Transmit(packet) = output else {
                    continue;
                };
                for receiver in alive.clone().filter(|receiver| *receiver != sender) {
                    let outputs = hear(&mut routers[receiver], now, &packet);
                    outputs.iter().for_each(|output| tell(receiver, output));
                }
            }
        }
    }
}

fn hear(router: &mut Engine, now: Instant, packet: &Transmit) -> Vec<Output> {
    let envelope = Envelope {
        source: packet.source,
        destination: packet.destination,
        hop_limit: 255,
    };
    let datagram = Datagram {
        link: packet.link,
        envelope,
        message: &packet.message,
    };
    router.handle(now, Input::Datagram(datagram));
    drain(router)
}

fn drain(router: &mut Engine) -> Vec<Output> {
    std::iter::from_fn(|| router.poll_output()).collect()
}

fn tell(router: usize, output: &Output) {
    if let Output::Event(event) = output {
        println!("{:?}  router {router}: {}", event.at, event.happening);
    }
}

/// A router at 192.0.2.`last`, whose interface is up.
fn router(last: u8, priority: u8, now: Instant) -> Engine {
    let plan = RouterPlan {
        priority: Priority::new(priority),
        ..RouterPlan::new(
            format!("r{last}"),
            "eth0",
            Vrid::new(51).unwrap(),
            Family::Ipv4,
            vec![VirtualAddress {
                ip: "192.0.2.254".parse().unwrap(),
                prefix_len: 24,
            }],
        )
    };
    let mut engine = Engine::new(
        &Plan {
            routers: vec![plan],
            ..Plan::default()
        },
        now,
    );
    drain(&mut engine);
    let facts = LinkFacts {
        index: 2,
        up: true,
        carrier: true,
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, last]),
        ipv4: vec![(Ipv4Addr::new(192, 0, 2, last), 24)],
        link_local: vec![],
    };
    engine.handle(
        now,
        Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        },
    );
    drain(&mut engine)
        .iter()
        .for_each(|output| tell(usize::from(last - 11), output));
    engine
}
