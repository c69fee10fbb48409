//! Every word a script may match and every sentence an operator may read. A change here is one that users see.

use core::time::Duration;

use vrrp_proto::carp::Suspicion;
use vrrp_proto::receive::Oddity;
use vrrp_proto::*;

#[test]
fn happenings() {
    let address = "192.0.2.1".parse().unwrap();
    let offer = Offer {
        priority: Priority::new(200),
        bid: None,
    };
    let count = 3;
    let rows = [
        (
            Happening::Role {
                from: Role::Backup,
                to: Role::Active,
                reason: Reason::NoResponse,
            },
            "role",
            "backup -> active: the Active fell silent",
        ),
        (Happening::Faults(vec![]), "faults", "no fault any more"),
        (
            Happening::Tracker {
                tracker: "uplink".into(),
                from: Level::Up,
                to: Level::Down,
                detail: "eth1 has no carrier".into(),
            },
            "tracker",
            "tracker uplink: up -> down: eth1 has no carrier",
        ),
        (
            Happening::Adjusted {
                tracker: "uplink".into(),
                level: Level::Up,
                detail: "eth1 has a carrier".into(),
                base: Priority::new(100),
                sum: 20,
                priority: Priority::new(120),
                bid: None,
            },
            "adjusted",
            "uplink up: eth1 has a carrier: priority 100 + 20 = 120",
        ),
        (
            Happening::Adjusted {
                tracker: "uplink".into(),
                level: Level::Down,
                detail: "eth1 has no carrier".into(),
                base: Priority::new(254),
                sum: -40,
                priority: Priority::new(214),
                bid: of_carp(40).bid,
            },
            "adjusted",
            "uplink down: eth1 has no carrier: advertises advbase 1, advskew 100, demotion 40",
        ),
        (
            Happening::Faults(vec![
                Fault::NoCarrier("eth0".into()),
                Fault::Kernel("no".into()),
            ]),
            "faults",
            "interface eth0 has no carrier; the kernel refused: no",
        ),
        (
            Happening::FollowedActive { address, offer },
            "followed-active",
            "follows 192.0.2.1, priority 200",
        ),
        (
            Happening::FollowedActive {
                address,
                offer: of_carp(0),
            },
            "followed-active",
            "follows 192.0.2.1, advbase 1, advskew 100",
        ),
        (
            Happening::Conflict { address, offer },
            "conflict",
            "192.0.2.1 advertises as well, with priority 200; it loses, addresses are announced again",
        ),
        (
            Happening::Claimed {
                address,
                mac: MacAddress([2, 0, 0, 0, 0, 0x1f]),
            },
            "claimed",
            "02:00:00:00:00:1f claims 192.0.2.1; addresses are announced again",
        ),
        (
            Happening::Refused {
                address,
                reject: Reject::HopLimit,
                count,
            },
            "refused",
            "refused 3 from 192.0.2.1: TTL or hop limit is not 255",
        ),
        (
            Happening::Odd {
                address,
                oddity: Oddity::OtherInterval,
                count,
            },
            "odd",
            "accepted 3 from 192.0.2.1 with another advertisement interval than ours",
        ),
        (
            Happening::Odd {
                address,
                oddity: Oddity::OtherAddresses,
                count,
            },
            "odd",
            "accepted 3 from 192.0.2.1 with other addresses than ours",
        ),
        (
            Happening::Late(Duration::from_micros(4_500_900)),
            "late",
            "advertisement 4500 ms late, stood back as Backup",
        ),
        (
            Happening::Repaired("192.0.2.254/24".into()),
            "repaired",
            "put back what somebody else took away: 192.0.2.254/24",
        ),
        (
            Happening::Lacks(vec!["the route a: b".into(), "the rule c: d".into()]),
            "following",
            "goes on without the route a: b; without the rule c: d",
        ),
        (
            Happening::Lacks(vec![]),
            "following",
            "everything that follows it is in place",
        ),
        (
            Happening::KernelRefused("no buffer space".into()),
            "kernel-refused",
            "the kernel refused: no buffer space",
        ),
        (
            Happening::Left(Some((address, offer))),
            "left",
            "192.0.2.1 has taken over, priority 200",
        ),
        (
            Happening::Left(Some((address, of_carp(3)))),
            "left",
            "192.0.2.1 has taken over, advbase 1, advskew 100, demotion 3",
        ),
        (Happening::Left(None), "left", "nobody has taken over"),
        (
            Happening::Revised,
            "revised",
            "configuration changed, role kept",
        ),
        (
            Happening::Digest(DigestNews::Changed {
                lasts: Some(Duration::from_secs(600)),
            }),
            "digest",
            "another digest from now on: the former one is sent and accepted as well, for 600 s; reload the others meanwhile",
        ),
        (
            Happening::Digest(DigestNews::Changed { lasts: None }),
            "digest",
            "another digest from now on, and the former one is good no more: who was not reloaded does not understand it",
        ),
        (
            Happening::Digest(DigestNews::GraceEnded { lags: None }),
            "digest",
            "the former digest is good no more",
        ),
        (
            Happening::Digest(DigestNews::GraceEnded {
                lags: Some(address),
            }),
            "digest",
            "the former digest is good no more, and 192.0.2.1 was heard with no other: it has to be reloaded",
        ),
        (
            Happening::Digest(DigestNews::Suspected {
                address,
                cause: Suspicion::LineEnd,
            }),
            "digest",
            "the digest of 192.0.2.1 is wrong: its passphrase ends with a line break: a file was read there with the end of its line",
        ),
        (Happening::Added, "added", "added"),
        (Happening::Removed, "removed", "removed"),
        (
            ended(OrderKind::Drain, Ended::Time),
            "order-ended",
            "the drain by alice has ended",
        ),
        (
            ended(OrderKind::Drain, Ended::Unclaimed),
            "order-ended",
            "the drain by alice is taken back: nobody took over",
        ),
        (
            ended(OrderKind::Priority, Ended::Time),
            "order-ended",
            "the priority that was set by alice has ended",
        ),
        (
            ended(OrderKind::Pin, Ended::Time),
            "order-ended",
            "the pin by alice has ended",
        ),
        (
            ended(OrderKind::Yield, Ended::Owner),
            "order-ended",
            "the failover by alice has ended: the router owns its addresses now",
        ),
        (
            Happening::Preparing {
                hooks: vec!["a".into()],
                timeout: Duration::from_millis(200),
                number: 1,
            },
            "pre-active",
            "its addresses wait for hook a, for 200 ms at most",
        ),
        (
            prepared(Preparedness::Done, true),
            "prepared",
            "hooks a, b: done after 12 ms; its addresses go live",
        ),
        (
            prepared(Preparedness::TimedOut, false),
            "prepared",
            "hooks a, b: not done after 12 ms, and not waited for any more",
        ),
        (
            prepared(Preparedness::CalledOff, false),
            "prepared",
            "it need not take over, after hooks a, b began 12 ms ago",
        ),
        (
            prepared(Preparedness::CalledOff, true),
            "prepared",
            "there are no hooks any more to wait for; its addresses go live",
        ),
    ];
    for (happening, name, sentence) in rows {
        assert_eq!(happening.name(), name);
        assert_eq!(happening.to_string(), sentence);
    }
}

fn prepared(how: Preparedness, live: bool) -> Happening {
    Happening::Prepared {
        hooks: vec!["a".into(), "b".into()],
        how,
        after: Duration::from_millis(12),
        live,
    }
}

fn of_carp(demotion: u8) -> Offer {
    let bid = carp::Bid {
        advbase: 1,
        advskew: 100,
        demotion,
    };
    Offer {
        priority: carp::priority(bid.advskew),
        bid: Some(bid),
    }
}

fn ended(kind: OrderKind, why: Ended) -> Happening {
    let by = "alice".into();
    Happening::OrderEnded { kind, by, why }
}

#[test]
fn reasons() {
    let rows = [
        (Reason::Startup, "startup", "it takes part in the election"),
        (Reason::Owner, "owner", "it owns the addresses"),
        (Reason::NoResponse, "no-response", "the Active fell silent"),
        (Reason::Released, "released", "the Active gave up"),
        (
            Reason::Preempting,
            "preempting",
            "it ranks above the Active",
        ),
        (
            Reason::HigherPriority,
            "higher-priority",
            "another router advertises a higher priority",
        ),
        (
            Reason::BetterBid,
            "better-bid",
            "another router is demoted less, or has a lower advbase and advskew",
        ),
        (
            Reason::HigherAddress,
            "higher-address",
            "another router has the same priority and a higher address",
        ),
        (
            Reason::EqualBid,
            "equal-bid",
            "another router has the same advbase and advskew, and equals give way to each other",
        ),
        (
            Reason::Late,
            "late",
            "it was silent for so long that another router must have taken over",
        ),
        (Reason::Fault, "fault", "it has a fault"),
        (Reason::Shutdown, "shutdown", "the daemon stops"),
        (
            Reason::Removed,
            "removed",
            "the configuration no longer has it",
        ),
        (Reason::Ordered, "ordered", "an operator asked for it"),
        (Reason::Unclaimed, "unclaimed", "nobody took over"),
        (
            Reason::BfdDown,
            "bfd-down",
            "the BFD session with the Active went down",
        ),
    ];
    for (reason, name, sentence) in rows {
        assert_eq!(reason.name(), name);
        assert_eq!(reason.to_string(), sentence);
    }
}

#[test]
fn faults() {
    let interface = || String::from("eth0");
    let rows = [
        (
            Fault::InterfaceMissing(interface()),
            "waiting for interface eth0 to appear",
        ),
        (Fault::InterfaceDown(interface()), "interface eth0 is down"),
        (
            Fault::NoCarrier(interface()),
            "interface eth0 has no carrier",
        ),
        (
            Fault::NoPrimaryAddress(interface()),
            "waiting for an IPv4 address on eth0",
        ),
        (
            Fault::NoLinkLocalAddress(interface()),
            "waiting for an IPv6 link-local address on eth0",
        ),
        (
            Fault::MtuTooSmall {
                interface: interface(),
                mtu: 68,
                needed: 1048,
            },
            "an advertisement of 1048 bytes does not fit the MTU of eth0, 68 bytes",
        ),
        (
            Fault::OwnedAddressMissing {
                interface: interface(),
                address: "192.0.2.1".parse().unwrap(),
            },
            "priority 255 says that this router owns 192.0.2.1, but eth0 does not have it",
        ),
        (
            Fault::Deaf {
                interface: interface(),
                reason: "permission denied".into(),
            },
            "cannot hear advertisements on eth0: permission denied",
        ),
        (Fault::Kernel("no".into()), "the kernel refused: no"),
        (
            Fault::Tracker {
                tracker: "uplink".into(),
                level: Level::Down,
                detail: "eth1 has no carrier".into(),
            },
            "tracker uplink is down: eth1 has no carrier",
        ),
    ];
    for (fault, sentence) in rows {
        assert_eq!(fault.to_string(), sentence);
    }
}

#[test]
fn small_words() {
    let centis = |centis| Interval::from_centis(centis).unwrap().to_string();
    assert_eq!(centis(1), "10ms");
    assert_eq!(centis(150), "1500ms");
    assert_eq!(centis(4000), "40s");
    assert_eq!(Family::Ipv4.to_string(), "ipv4");
    assert_eq!(Family::Ipv6.to_string(), "ipv6");
    assert_eq!(Vrid::new(7).unwrap().to_string(), "7");
    assert_eq!(Priority::OWNER.to_string(), "255");
    for (role, name) in [
        (Role::Initialize, "initialize"),
        (Role::Backup, "backup"),
        (Role::Active, "active"),
    ] {
        assert_eq!(role.name(), name);
        assert_eq!(role.to_string(), name);
    }
    for (dialect, name) in [(Dialect::Vrrp2, "vrrpv2"), (Dialect::Vrrp3, "vrrpv3")] {
        assert_eq!(dialect.name(), name);
    }
    for (plane, name) in [(DataPlane::Macvlan, "macvlan"), (DataPlane::Ebpf, "ebpf")] {
        assert_eq!(plane.name(), name);
    }
    let mac = MacAddress([0, 0, 0x5e, 0, 1, 0xff]);
    assert_eq!(
        format!("{mac} {mac:?}"),
        "00:00:5e:00:01:ff 00:00:5e:00:01:ff"
    );
    assert_eq!(
        format!("{:?}", Instant::from_nanos(1_000_000_007)),
        "1.000000007s"
    );
    let address = VirtualAddress {
        ip: "2001:db8::1".parse().unwrap(),
        prefix_len: 64,
    };
    assert_eq!(address.to_string(), "2001:db8::1/64");
    let key = AuthenticationKey::new(b"secret").unwrap();
    assert_eq!(format!("{key:?}"), "AuthenticationKey(..)");
}

#[test]
fn passwords_have_one_to_eight_bytes() {
    assert_eq!(AuthenticationKey::new(b""), None);
    assert_eq!(AuthenticationKey::new(b"ninebytes"), None);
    let key = AuthenticationKey::new(b"12345678").unwrap();
    assert_eq!(key.bytes(), *b"12345678");
    assert!(key.matches(b"12345678"));
    for at in 0..8 {
        let mut other = *b"12345678";
        other[at] ^= 1;
        assert!(!key.matches(&other), "byte {at}");
        // Two differences do not make up for each other.
        other[(at + 1) % 8] ^= 1;
        assert!(!key.matches(&other), "byte {at} and the next");
    }
}
