//! A digest is wrong: what is most likely the reason, and that it is looked for once.

use crate::lan::{Lan, Machine, START, UNIX, carp, passphrase, plan, secs};
use vrrp_proto::carp::digest::Covered;
use vrrp_proto::carp::{Bid, CarpPlan, LinkLocal, Suspicion};
use vrrp_proto::{
    DigestNews, Family, Role, RouterPlan, Transmit, VirtualAddress, Vrid, carp as wire,
};

const LIST: &[&str] = &["192.0.2.254", "192.0.2.253", "2001:db8::1"];

/// What a peer with this passphrase and list says; a passphrase may have a line break at its end.
fn said(key: &str, list: &[&str], source: &str) -> Transmit {
    let addresses: Vec<std::net::IpAddr> = list.iter().map(|it| it.parse().unwrap()).collect();
    let vhid = Vrid::new(7).unwrap();
    let covered = Covered::new(vhid, &addresses, LinkLocal::Included);
    let advertisement = wire::Advertisement {
        vhid,
        bid: Bid {
            advbase: 1,
            advskew: 0,
            demotion: 0,
        },
        counter: 12345,
        digest: covered.digest(&passphrase(key), 12345),
    };
    Transmit {
        router: vrrp_proto::RouterId(0),
        link: vrrp_proto::LinkId(0),
        mac: None,
        source: source.parse().unwrap(),
        destination: Family::Ipv4.group(),
        message: advertisement.emit().as_slice().into(),
        patience: core::time::Duration::ZERO,
        dormant: false,
    }
}

fn ours() -> RouterPlan {
    let mut plan = plan(carp(100), LIST);
    let beside = vrrp_proto::following::FollowingAddress {
        address: VirtualAddress {
            ip: "192.0.2.77".parse().unwrap(),
            prefix_len: 24,
        },
        interface: None,
    };
    plan.following.addresses.push(beside);
    plan
}

fn suspicions(machine: &Machine) -> Vec<Suspicion> {
    let cause = |news: DigestNews| {
        if let DigestNews::Suspected { cause, .. } = news {
            Some(cause)
        } else {
            None
        }
    };
    machine.news().into_iter().filter_map(cause).collect()
}

#[test]
fn what_is_likely() {
    let ip = |text: &str| text.parse().unwrap();
    let with = |more: &'static str| [LIST, &[more]].concat();
    let automatic = "fe80::200:5eff:fe00:107";
    #[rustfmt::skip]
    let rows: Vec<(&str, Vec<&str>, Suspicion)> = vec![
        ("secret", vec!["192.0.2.254", "2001:db8::1"], Suspicion::Without(ip("192.0.2.253"))),
        ("secret", with("192.0.2.77"),                 Suspicion::With(ip("192.0.2.77"))),
        ("secret", vec!["192.0.2.253"],                Suspicion::Single(ip("192.0.2.253"))),
        ("secret", vec!["192.0.2.253", "192.0.2.254"], Suspicion::Only(Family::Ipv4)),
        ("secret", vec!["2001:db8::1"],                Suspicion::Only(Family::Ipv6)),
        ("secret", with(automatic),                    Suspicion::LinkLocal(automatic.parse().unwrap())),
        ("secret\n", LIST.to_vec(),                    Suspicion::LineEnd),
        ("secret\r\n", LIST.to_vec(),                  Suspicion::LineEnd),
        ("\"secret\"", LIST.to_vec(),                  Suspicion::Trimmed),
        ("secret ", LIST.to_vec(),                     Suspicion::Trimmed),
        ("Secret", LIST.to_vec(),                      Suspicion::Unknown),
        ("secret", vec!["192.0.2.1", "192.0.2.254"],   Suspicion::Unknown),
    ];
    for (key, list, cause) in rows {
        let mut machine = Machine::new(START, 2, ours(), Some(UNIX));
        for _ in 0..100 {
            machine.hear(START, &said(key, &list, "192.0.2.9"));
        }
        assert_eq!(suspicions(&machine), [cause], "{key:?} {list:?}");
        assert_eq!(machine.statistics().auth_failures, 100);
        let others = machine.status().voice.unwrap().others;
        assert_eq!((others.len(), others[0].suspicion), (1, Some(cause)));
    }
}

/// It has what was configured here before; and it sends both, because it was reloaded and we were started anew.
#[test]
fn between_two_lists() {
    let now = |grace: u64| CarpPlan {
        grace: secs(grace),
        ..carp(100)
    };
    let mut lan = Lan::new([plan(carp(0), LIST), plan(now(0), LIST)]);
    lan.reload(1, plan(now(0), &LIST[..2]));
    lan.run(secs(2));
    assert_eq!(suspicions(&lan.machines[1]), [Suspicion::Former]);

    let mut lan = Lan::new([plan(carp(0), LIST), plan(now(600), LIST)]);
    lan.reload(0, plan(carp(0), &LIST[..2]));
    let at = lan.now;
    lan.machines[1] = Machine::new(at, 2, plan(now(600), &LIST[..2]), Some(UNIX));
    lan.run(secs(100));
    assert_eq!(suspicions(&lan.machines[1]), [Suspicion::Beside]);
    assert_eq!(lan.machines[1].status().role, Role::Backup);
}

/// A flood with a digest each from another address: at most ten searches a minute, and no more is remembered.
#[test]
fn a_flood_is_not_answered() {
    let mut machine = Machine::new(START, 2, ours(), Some(UNIX));
    for round in 0..60 {
        let now = START + secs(round);
        for host in 0..200 {
            let source = format!("198.51.100.{host}");
            machine.hear(now, &said("Secret", LIST, &source));
        }
    }
    let found = suspicions(&machine).len();
    assert!(found <= 10, "{found} searches");
    assert_eq!(machine.statistics().auth_failures, 12_000);
    assert!(machine.status().voice.unwrap().others.len() <= 8);
    let said = machine.happened.len();
    assert!(said < 20, "{said} events");
}
