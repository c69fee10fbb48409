//! While nothing changes, an engine asks for no memory: neither who advertises nor who listens.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use vrrp_proto::plan::VirtualAddress;
use vrrp_proto::receive::Envelope;
use vrrp_proto::*;

const ROUTERS: u8 = 100;

fn plan(priority: u8, dialect: Dialect, family: Family) -> Plan {
    let routers = (1..=ROUTERS).map(|vrid| {
        let (ip, prefix_len): (IpAddr, u8) = match family {
            Family::Ipv4 => (Ipv4Addr::new(10, 0, vrid, 254).into(), 16),
            Family::Ipv6 => (format!("fe80::{vrid}:254").parse().expect("an address"), 64),
        };
        RouterPlan {
            dialect,
            priority: Priority::new(priority),
            announce_refresh: None,
            ..RouterPlan::new(
                format!("r{vrid}"),
                "eth0",
                Vrid::new(vrid).expect("1 to 255"),
                family,
                vec![VirtualAddress { ip, prefix_len }],
            )
        }
    });
    Plan {
        routers: routers.collect(),
        ..Plan::default()
    }
}

fn engine(plan: &Plan, now: Instant, host: u8) -> Engine {
    let mut engine = Engine::new(plan, now);
    while engine.poll_output().is_some() {}
    let facts = LinkFacts {
        index: 2,
        up: true,
        carrier: true,
        mtu: 1500,
        mac: MacAddress([2, 0, 0, 0, 0, host]),
        ipv4: vec![(Ipv4Addr::new(10, 0, 0, host), 16)],
        link_local: vec![format!("fe80::{host}").parse().expect("an address")],
    };
    engine.handle(
        now,
        Input::Link {
            interface: "eth0",
            facts: Some(&facts),
        },
    );
    while engine.poll_output().is_some() {}
    engine
}

/// Everything up to `end`; how many advertisements went from one to the other.
fn run(active: &mut Engine, backup: &mut Engine, end: Instant) -> u64 {
    let mut sent = 0;
    while let Some(wakeup) = active.poll_timeout().filter(|wakeup| wakeup.at <= end) {
        let now = wakeup.at;
        backup.handle_timeout(now);
        assert!(backup.poll_output().is_none(), "a Backup is silent");
        active.handle_timeout(now);
        while let Some(output) = active.poll_output() {
            let Output::Transmit(transmit) = output else {
                continue;
            };
            sent += 1;
            let envelope = Envelope {
                source: transmit.source,
                destination: transmit.destination,
                hop_limit: 255,
            };
            let datagram = Datagram {
                link: LinkId(0),
                envelope,
                message: &transmit.message,
            };
            backup.handle(now, Input::Datagram(datagram));
            while backup.poll_output().is_some() {}
        }
    }
    sent
}

#[test]
fn in_steady_state_no_memory_is_asked_for() {
    for (dialect, family) in [
        (Dialect::Vrrp3, Family::Ipv4),
        (Dialect::Vrrp3, Family::Ipv6),
        (Dialect::Vrrp2, Family::Ipv4),
    ] {
        let start = Instant::ZERO + Duration::from_secs(1_000);
        let mut active = engine(&plan(200, dialect, family), start, 1);
        let mut backup = engine(&plan(100, dialect, family), start, 2);
        let settled = start + Duration::from_secs(20);
        let beginning = allocation_counter::measure(|| _ = run(&mut active, &mut backup, settled));
        assert_ne!(beginning.count_total, 0, "a takeover does");
        let mut sent = 0;
        let memory = allocation_counter::measure(|| {
            sent = run(&mut active, &mut backup, settled + Duration::from_secs(30));
        });
        assert_eq!(sent, 30 * u64::from(ROUTERS), "{dialect:?} {family:?}");
        assert_eq!(memory.count_total, 0, "{dialect:?} {family:?}");
    }
}
