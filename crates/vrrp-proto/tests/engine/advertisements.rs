//! What leaves: every field filled, from the right address, to the right place (RFC 9568 §5.1, §7.2; RFC 3768 §5, §7.2).

use crate::bench::*;
use vrrp_proto::*;

#[test]
fn r1_to_r7_an_advertisement_in_every_version() {
    let password = RouterPlan {
        authentication: AuthenticationKey::new(b"secret"),
        interval: centis(300),
        ..plan_v2()
    };
    let none: &[u8] = &[];
    #[rustfmt::skip]
    let rows = [
        (plan(),    "192.0.2.11", "224.0.0.18", "00:00:5e:00:01:33", &[0x31, 51, 100, 1, 0, 100][..], none),
        (plan_v2(), "192.0.2.11", "224.0.0.18", "00:00:5e:00:01:33", &[0x21, 51, 100, 1, 0, 1],       &[0; 8][..]),
        (password,  "192.0.2.11", "224.0.0.18", "00:00:5e:00:01:33", &[0x21, 51, 100, 1, 1, 3],       b"secret\0\0"),
        (plan_v6(), "fe80::11",   "ff02::12",   "00:00:5e:00:02:33", &[0x31, 51, 100, 2, 0, 100],     none),
    ];
    for (plan, source, group, mac, head, tail) in rows {
        let mut addresses = Vec::new();
        for address in &plan.addresses {
            match address.ip {
                core::net::IpAddr::V4(v4) => addresses.extend(v4.octets()),
                core::net::IpAddr::V6(v6) => addresses.extend(v6.octets()),
            }
        }
        let mut bench = Bench::backup(plan);
        let did = bench.wake();
        let sent = did.transmits()[0];
        assert_eq!((sent.source, sent.destination), (ip(source), ip(group)));
        assert_eq!(sent.mac.map(|mac| mac.to_string()).as_deref(), Some(mac));
        assert_eq!(&sent.message[..6], head);
        assert_eq!(sent.message[8..], [&addresses[..], tail].concat());
        let heard = packet::Header::new(&sent.message).unwrap();
        let dialect = bench.status().plan.dialect;
        assert!(
            heard
                .checksum_form(dialect, sent.source, sent.destination)
                .is_some()
        );
    }
}

#[test]
fn a_release_differs_in_its_priority_alone() {
    // RFC 9568 §6.4.3, RFC 3768 §6.4.3
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::backup(plan);
        let regular = bench.wake();
        let release = bench.shutdown();
        let (regular, release) = (regular.transmits()[0], release.transmits()[0]);
        assert_eq!(release.message[2], 0);
        assert_eq!(regular.message[..2], release.message[..2]);
        assert_eq!(regular.message[3..6], release.message[3..6]);
        assert_eq!(regular.message[8..], release.message[8..]);
        assert_eq!((regular.source, regular.mac), (release.source, release.mac));
        assert_ne!(
            regular.message[6..8],
            release.message[6..8],
            "its own checksum"
        );
    }
}

#[test]
fn the_bytes_are_made_once() {
    let mut bench = Bench::active(plan());
    let messages: Vec<_> = bench
        .run(millis(5_000))
        .into_iter()
        .filter_map(|(_, output)| {
            if let Output::Transmit(sent) = output {
                Some(sent.message)
            } else {
                None
            }
        })
        .collect();
    assert_eq!(messages.len(), 5);
    assert!(
        messages
            .windows(2)
            .all(|pair| std::sync::Arc::ptr_eq(&pair[0], &pair[1]))
    );
}

#[test]
fn r9_a_backup_sends_nothing() {
    // RFC 9568 §6.4.2, RFC 3768 §6.4.2
    for plan in [plan(), plan_v2(), plan_v6()] {
        let mut bench = Bench::backup(plan);
        for _ in 0..100 {
            let did = bench.hear_priority(200);
            assert!(did.sent().is_empty() && did.announced() == 0 && did.desired().is_empty());
            assert!(bench.run(millis(1_000)).is_empty());
        }
        assert_eq!(bench.statistics().advertisement_sent, 0);
        assert_eq!(bench.statistics().advertisement_rcvd, 100);
    }
}

#[test]
fn two_hundred_and_fifty_five_addresses() {
    // RFC 9568 §5.2.5: one byte counts them. 1048 bytes with the IP header fit an MTU of 1500.
    let many = RouterPlan {
        addresses: (1..=255_u8)
            .flat_map(|last| addresses(&[&format!("198.51.100.{last}")]))
            .collect(),
        ..plan()
    };
    let mut bench = Bench::backup(many.clone());
    let did = bench.wake();
    assert_eq!(did.transmits()[0].message.len(), 8 + 255 * 4);
    let mut other = Bench::active(many.clone());
    other.hear(&Packet::of(&many, 200));
    assert_eq!(other.role(), Role::Backup);
}
