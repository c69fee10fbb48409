//! Routers without a macvlan, for which the gate answers.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use vrrp_linux::Leases;
use vrrp_linux::kernel::Notice;
use vrrp_proto::desired::{Desired, KernelReport};
use vrrp_proto::plan::DataPlane;

use crate::rig::{Lan, Namespace, Rig, active, router4, router6, virtual_address, wait_for};
use crate::{NONE, VIP4, VIP6, has, macvlans};

const FOREVER: u64 = u64::MAX;
const MAC4: &str = "00:00:5e:00:01:33";
const MAC6: &str = "00:00:5e:00:02:33";

fn served(router: Desired) -> Desired {
    Desired {
        plane: DataPlane::Ebpf,
        ..router
    }
}

fn deaf(router: Desired) -> Desired {
    Desired {
        accept: false,
        ..router
    }
}

fn routers() -> [Desired; 2] {
    [router4(51, &[VIP4]), router6(51, &VIP6)].map(served)
}

/// As the engine does it: the lease first, then the rest.
fn take(rig: &mut Rig, leases: &Leases, routers: &[Desired; 2]) {
    for (id, router) in (1..).zip(routers) {
        leases.extend(router.family, router.vrid, FOREVER);
        rig.publish(id, &active(router));
    }
    rig.applied([1, 2]);
}

fn release(rig: &mut Rig, leases: &Leases, routers: &[Desired; 2]) {
    for (id, router) in (1..).zip(routers) {
        leases.close(router.family, router.vrid);
        rig.publish(id, router);
    }
    rig.applied([1, 2]);
}

/// A kernel thread with both routers in Backup.
fn backup(lan: &Lan, routers: &[Desired; 2]) -> (Rig, Leases) {
    let mut rig = Rig::fenced(&lan.router, "/nonexistent/a");
    for (id, router) in (1..).zip(routers) {
        rig.publish(id, router);
    }
    let leases = rig.leases();
    rig.applied([1, 2]);
    (rig, leases)
}

/// The MAC address that the client has learnt for `ip` after asking.
fn resolved(client: &Namespace, ip: &str) -> Option<String> {
    client.succeeds(&format!("ip neigh flush dev eth0; ping -c 1 -W 0.2 {ip}"));
    let line = client.show(&format!("neigh show {ip} dev eth0"));
    let mut words = line.split_whitespace();
    words.find(|word| *word == "lladdr")?;
    words.next().map(str::to_owned)
}

fn resolved_both(client: &Namespace) -> [Option<String>; 2] {
    ["192.0.2.254", "2001:db8::1:1"].map(|ip| resolved(client, ip))
}

fn forwards(lan: &Lan) -> [bool; 2] {
    ["198.51.100.2", "2001:db8:1::2"]
        .map(|ip| lan.client.succeeds(&format!("ping -c 1 -W 0.5 {ip}")))
}

fn accepts_local(lan: &Lan) -> bool {
    lan.router.sysctl("ipv4/conf/eth0/accept_local") == "1"
}

/// Whether an owner is heard that speaks from the virtual address, which this host has, too.
fn hears_the_owner(lan: &Lan) -> bool {
    let open = || Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(112))).unwrap();
    let group = Ipv4Addr::new(224, 0, 0, 18);
    let ear = lan.router.enter(|| {
        let ear = open();
        ear.join_multicast_v4(&group, &Ipv4Addr::new(192, 0, 2, 11))
            .unwrap();
        ear
    });
    ear.set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    lan.client.ip("addr add 192.0.2.254/32 dev lo");
    let mouth = lan.client.enter(open);
    let address = |ip: Ipv4Addr| SockAddr::from(SocketAddrV4::new(ip, 0));
    mouth.bind(&address(Ipv4Addr::new(192, 0, 2, 254))).unwrap();
    mouth
        .set_multicast_if_v4(&Ipv4Addr::new(192, 0, 2, 100))
        .unwrap();
    mouth.send_to(b"advertisement", &address(group)).unwrap();
    lan.client.ip("addr del 192.0.2.254/32 dev lo");
    (&ear).read(&mut [0; 100]).is_ok()
}

/// Two gateways that answer from one MAC address each, and stand as they stood when they leave.
#[test]
fn an_active_answers_and_a_backup_does_not() {
    let lan = Lan::new();
    lan.client
        .ip("route add default via 192.0.2.254\nroute add default via 2001:db8::1:1");
    let before = lan.router.settings();
    let promiscuous = |times: u32| {
        let link = lan.router.show("-d link show eth0");
        link.contains(&format!("promiscuity {times} "))
    };
    assert!(promiscuous(0));
    let routers = routers();
    let (mut rig, leases) = backup(&lan, &routers);
    for _ in 0..3 {
        assert_eq!(resolved_both(&lan.client), [None, None]);
        take(&mut rig, &leases, &routers);
        let macs = [MAC4, MAC6].map(|mac| Some(mac.to_owned()));
        assert_eq!(resolved_both(&lan.client), macs);
        assert_eq!(forwards(&lan), [true, true]);
        for ip in ["192.0.2.254", "2001:db8::1:1", "fe80::1:1%eth0"] {
            assert!(lan.client.succeeds(&format!("ping -c 1 -W 1 {ip}")), "{ip}");
        }
        for vip in [VIP4, VIP6[0], VIP6[1]] {
            assert!(has(&lan.router, vip), "{vip}");
        }
        assert_eq!(macvlans(&lan.router), NONE);
        assert!(hears_the_owner(&lan));
        release(&mut rig, &leases, &routers);
        wait_for(Duration::from_secs(2), || !accepts_local(&lan));
        for vip in [VIP4, VIP6[0], VIP6[1]] {
            assert!(!has(&lan.router, vip), "{vip}");
        }
    }
    assert!(promiscuous(1), "a card that cannot filter lets all in");
    let groups = lan.router.show("-6 maddr show dev eth0");
    assert!(groups.contains("ff02::1:ff01:1"), "{groups}");
    assert_eq!(rig.stop(), NONE);
    assert_eq!(before, lan.router.settings());
    assert!(promiscuous(0));
    let groups = lan.router.show("-6 maddr show dev eth0");
    assert!(!groups.contains("ff02::1:ff01:1"), "{groups}");
    assert!(!lan.router.run("tc qdisc show dev eth0").contains("clsact"));
}

/// No address, no filter of packets, and nothing to wait for.
#[test]
fn without_accept_mode_there_is_no_address_anywhere() {
    let lan = Lan::new();
    lan.client
        .ip("route add default via 192.0.2.254\nroute add default via 2001:db8::1:1");
    let routers = routers().map(deaf);
    let (mut rig, leases) = backup(&lan, &routers);
    take(&mut rig, &leases, &routers);
    let macs = [MAC4, MAC6].map(|mac| Some(mac.to_owned()));
    assert_eq!(resolved_both(&lan.client), macs);
    assert_eq!(forwards(&lan), [true, true]);
    for ip in ["192.0.2.254", "2001:db8::1:1", "fe80::1:1%eth0"] {
        assert!(
            !lan.client.succeeds(&format!("ping -c 1 -W 0.3 {ip}")),
            "{ip}"
        );
    }
    for vip in [VIP4, VIP6[0], VIP6[1]] {
        assert!(!has(&lan.router, vip), "{vip}");
    }
    assert_eq!(lan.router.run("nft list ruleset"), "");

    // Somebody takes the gate away: nobody answers, it comes back as it was, and the engine hears of it.
    lan.router.run("tc qdisc del dev eth0 clsact");
    wait_for(Duration::from_secs(2), || {
        lan.router
            .run("tc filter show dev eth0 ingress")
            .contains("vrrp-gate/")
    });
    assert_eq!(rig.repair().1, "the gate on eth0");
    assert_eq!(resolved_both(&lan.client), macs);
    assert_eq!(forwards(&lan), [true, true]);

    // Another opinion about packets to the addresses, while it is Active.
    let accepting = self::routers();
    take(&mut rig, &leases, &accepting);
    assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
    assert!(lan.client.succeeds("ping -c 1 -W 1 2001:db8::1:1"));
    take(&mut rig, &leases, &routers);
    assert!(!lan.client.succeeds("ping -c 1 -W 0.3 192.0.2.254"));
    assert_eq!(forwards(&lan), [true, true]);
    assert_eq!(rig.stop(), NONE);
}

/// What nobody serves is a failure that says so, and is tried again.
#[test]
fn without_a_gate_it_says_so() {
    let lan = Lan::new();
    let mut rig = Rig::new(&lan.router, "/nonexistent/a");
    rig.publish(1, &served(router4(51, &[VIP4])));
    assert_eq!(
        rig.failure(),
        "cannot do without a macvlan on eth0: there is no gate"
    );
    assert_eq!(rig.stop(), NONE);

    // Another queueing discipline stands where the gate would.
    lan.router.run("tc qdisc add dev eth0 ingress");
    let mut rig = Rig::fenced(&lan.router, "/nonexistent/a");
    rig.publish(1, &served(router4(51, &[VIP4])));
    let failure = rig.failure();
    assert!(failure.contains("queueing discipline"), "{failure}");
    lan.router.run("tc qdisc del dev eth0 ingress");
    rig.applied([1]);
    assert_eq!(rig.stop(), NONE);
}

/// Where another daemon has a gate, nothing is served, and nothing of that daemon's is stopped.
#[test]
fn one_daemon_serves_on_an_interface() {
    let lan = Lan::new();
    let routers = routers();
    let (mut first, leases) = backup(&lan, &routers);
    take(&mut first, &leases, &routers);
    let mut second = Rig::fenced(&lan.router, "/nonexistent/b");
    second.publish(1, &routers[0]);
    assert_eq!(
        second.failure(),
        "cannot do without a macvlan on eth0: another vrrpd has a gate on it"
    );
    second.publish(1, &active(&routers[0]));
    second.failure();
    let macs = [MAC4, MAC6].map(|mac| Some(mac.to_owned()));
    assert_eq!(resolved_both(&lan.client), macs);
    assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
    let filters = lan.router.run("tc filter show dev eth0 ingress");
    assert_eq!(filters.matches("vrrp-gate/").count(), 1, "{filters}");
    second.publish(1, &routers[0]);
    assert_eq!(first.stop(), NONE);
    wait_for(Duration::from_secs(5), || {
        let said = second.said(Duration::from_millis(50));
        said.iter().any(|notice| {
            let Notice::Report { report, .. } = notice else {
                return false;
            };
            *report == KernelReport::Applied
        })
    });
    assert_eq!(second.stop(), NONE);
}

/// A plan that changes the data plane changes it, under an Active, too.
#[test]
fn from_one_data_plane_to_the_other() {
    let lan = Lan::new();
    lan.client
        .ip("route add default via 192.0.2.254\nroute add default via 2001:db8::1:1");
    let without = routers();
    let with = [router4(51, &[VIP4]), router6(51, &VIP6)];
    let (mut rig, leases) = backup(&lan, &without);
    for routers in [&without, &with, &without] {
        take(&mut rig, &leases, routers);
        let macs = [MAC4, MAC6].map(|mac| Some(mac.to_owned()));
        wait_for(Duration::from_secs(2), || {
            resolved_both(&lan.client) == macs
        });
        assert_eq!(forwards(&lan), [true, true]);
        assert!(lan.client.succeeds("ping -c 1 -W 1 192.0.2.254"));
        let count = if routers[0].plane == DataPlane::Ebpf {
            0
        } else {
            2
        };
        wait_for(Duration::from_secs(2), || {
            macvlans(&lan.router).len() == count
        });
    }
    assert_eq!(rig.stop(), NONE);
}

/// A daemon that was killed leaves a closed gate, addresses that nobody is told of, and a successor that finds them.
#[test]
fn a_successor_takes_over_what_was_left() {
    let lan = Lan::new();
    let routers = routers();
    let (mut rig, leases) = backup(&lan, &routers);
    take(&mut rig, &leases, &routers);
    rig.kill();
    for router in &routers {
        leases.close(router.family, router.vrid);
    }
    assert!(has(&lan.router, VIP4) && accepts_local(&lan));
    assert_eq!(resolved_both(&lan.client), [None, None]);
    let (mut rig, leases) = backup(&lan, &routers);
    assert!(!has(&lan.router, VIP4) && !has(&lan.router, VIP6[0]));
    // The label of an address told that this was lent.
    wait_for(Duration::from_secs(2), || !accepts_local(&lan));
    assert_eq!(resolved_both(&lan.client), [None, None]);
    take(&mut rig, &leases, &routers);
    assert_eq!(resolved(&lan.client, "192.0.2.254").as_deref(), Some(MAC4));
    // Addresses that a plan no longer has.
    let mut fewer = routers.clone();
    fewer[1].addresses = vec![virtual_address(VIP6[0])];
    fewer[0].addresses = vec![virtual_address("192.0.2.253/24")];
    take(&mut rig, &leases, &fewer);
    wait_for(Duration::from_secs(2), || {
        !has(&lan.router, VIP4) && !has(&lan.router, VIP6[1])
    });
    assert_eq!(resolved_both(&lan.client), [None, None]);
    assert_eq!(resolved(&lan.client, "192.0.2.253").as_deref(), Some(MAC4));
    rig.withdraw(1);
    rig.withdraw(2);
    wait_for(Duration::from_secs(2), || {
        !lan.router.run("tc qdisc show dev eth0").contains("clsact")
    });
    assert!(!has(&lan.router, "192.0.2.253/24"));
    assert_eq!(rig.stop(), NONE);
}

#[test]
fn what_a_takeover_of_many_costs() {
    let lan = Lan::new();
    for accept in [false, true] {
        let mut rig = Rig::fenced(&lan.router, "/nonexistent/a");
        let routers: Vec<Desired> = (1..=250)
            .map(|vrid| Desired {
                accept,
                ..served(router4(vrid, &[&format!("192.0.3.{vrid}/24")]))
            })
            .collect();
        for (id, router) in (1..).zip(&routers) {
            rig.publish(id, router);
        }
        let leases = rig.leases();
        rig.applied(1..=250);
        let begin = Instant::now();
        for (id, router) in (1..).zip(&routers) {
            leases.extend(router.family, router.vrid, FOREVER);
            rig.publish(id, &active(router));
        }
        let took = rig.applied(1..=250) - begin;
        println!("250 routers, accept-mode {accept}: in place after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert_eq!(rig.stop(), NONE);
    }
}
