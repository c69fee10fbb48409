use std::path::Path;

use vrrp_proto::desired::Generation;
use vrrp_proto::following::{FollowingAddress, MAIN_TABLE};
use vrrp_proto::interval::Interval;
use vrrp_proto::plan::DataPlane;
use vrrp_proto::types::{Family, Vrid};

use super::*;

fn us() -> OwnerId {
    OwnerId::of(Path::new("/nonexistent/us"))
}

fn observed() -> Observed {
    let link = |index, name: &str| Link {
        index,
        name: name.into(),
        up: true,
        mac: Some(MacAddress([2, 0, 0, 0, 0, 1])),
        ..Link::default()
    };
    Observed::new(vec![link(2, "eth0"), link(3, "eth1")], Vec::new(), 0)
}

fn vip(text: &str) -> VirtualAddress {
    let (ip, len) = text.split_once('/').unwrap();
    address(ip.parse().unwrap(), len.parse().unwrap())
}

fn route(to: &str) -> Route {
    let VirtualAddress { ip, prefix_len } = vip(to);
    Route {
        to: Prefix::of(ip, prefix_len).unwrap(),
        via: Some("192.0.2.1".parse().unwrap()),
        interface: None,
        table: MAIN_TABLE,
        metric: None,
        source: None,
        fate: Fate::Unicast,
        on_link: false,
    }
}

fn rule(priority: u32) -> Rule {
    Rule {
        family: Family::Ipv4,
        priority,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: 7,
        fate: Fate::Unicast,
        suppress_prefix_length: None,
    }
}

fn following() -> Following {
    Following {
        addresses: vec![FollowingAddress {
            address: vip("203.0.113.7/32"),
            interface: Some("eth1".into()),
        }],
        routes: vec![route("198.51.100.0/24"), route("0.0.0.0/0")],
        rules: vec![rule(100)],
    }
}

fn wanted(active: bool, following: Following) -> Arc<Desired> {
    Arc::new(Desired {
        generation: Generation(1),
        name: "r".into(),
        interface: "eth0".into(),
        family: Family::Ipv4,
        vrid: Vrid::new(51).unwrap(),
        mac: None,
        plane: DataPlane::Macvlan,
        addresses: vec![vip("192.0.2.254/24")],
        active,
        accept: true,
        owner: false,
        interval: Interval::DEFAULT,
        following,
    })
}

fn routers(all: &[Arc<Desired>]) -> BTreeMap<RouterId, Arc<Desired>> {
    (1..).map(RouterId).zip(all.iter().cloned()).collect()
}

fn words(items: impl IntoIterator<Item = Item>) -> Vec<String> {
    let observed = observed();
    items.into_iter().map(|it| it.words(&observed)).collect()
}

fn added(deeds: &Deeds) -> Vec<String> {
    words(deeds.add.iter().map(|(_, item)| item.clone()))
}

/// As the kernel tells them: with interfaces.
fn picture() -> Picture {
    let mut picture = Picture::default();
    for route in following().routes {
        let route = KernelRoute::new(&route, Some(2));
        picture.add(&Item::Route(route));
    }
    picture.add(&Item::Rule(rule(100)));
    picture
}

#[test]
fn what_follows_comes_in_one_order_and_goes_in_the_other() {
    let (us, empty) = (us(), Picture::default());
    let deeds = plan(
        us,
        &routers(&[wanted(true, following())]),
        &observed(),
        &empty,
        true,
    );
    assert_eq!(
        added(&deeds),
        [
            "the address 203.0.113.7/32 on eth1",
            "the route 198.51.100.0/24 via 192.0.2.1",
            "the route 0.0.0.0/0 via 192.0.2.1",
            "the rule 100: from all lookup 7",
        ]
    );
    assert!(deeds.remove.is_empty() && deeds.there.is_empty());

    let mut observed = observed();
    let guest = Address::expected(vip("203.0.113.7/32"), us.metric());
    observed.apply(super::super::observed::Event::Address(3, guest));
    let active = routers(&[wanted(true, following())]);
    let deeds = plan(us, &active, &observed, &picture(), true);
    assert!(deeds.add.is_empty() && deeds.remove.is_empty(), "{deeds:?}");
    assert_eq!(deeds.there.len(), 4);

    let backup = routers(&[wanted(false, following())]);
    let deeds = plan(us, &backup, &observed, &picture(), false);
    assert_eq!(
        words(deeds.remove),
        [
            "the rule 100: from all lookup 7",
            "the route 0.0.0.0/0 via 192.0.2.1 dev eth0",
            "the route 198.51.100.0/24 via 192.0.2.1 dev eth0",
            "the address 203.0.113.7/32 on eth1",
        ]
    );
}

#[test]
fn leftovers_go_when_all_routers_are_known_and_not_before() {
    let nobody = BTreeMap::new();
    let deeds = plan(us(), &nobody, &observed(), &picture(), false);
    assert!(deeds.remove.is_empty());
    let deeds = plan(us(), &nobody, &observed(), &picture(), true);
    assert_eq!(deeds.remove.len(), 3);
}

#[test]
fn what_two_routers_want_stays_while_one_of_them_is_active() {
    let both = routers(&[wanted(false, following()), wanted(true, following())]);
    let deeds = plan(us(), &both, &observed(), &picture(), true);
    assert!(deeds.remove.is_empty(), "{deeds:?}");
    assert_eq!(added(&deeds), ["the address 203.0.113.7/32 on eth1"]);
    let deeds = plan(us(), &both, &observed(), &Picture::default(), true);
    assert_eq!(deeds.add.len(), 4, "nothing is added twice");
}

#[test]
fn another_interface_is_another_route() {
    let on = |interface: &str| Following {
        routes: vec![Route {
            interface: Some(interface.into()),
            ..route("198.51.100.0/24")
        }],
        ..Following::default()
    };
    let mut picture = Picture::default();
    let there = KernelRoute::new(&route("198.51.100.0/24"), Some(2));
    picture.add(&Item::Route(there));
    let deeds = |name| {
        let routers = routers(&[wanted(true, on(name))]);
        plan(us(), &routers, &observed(), &picture, true)
    };
    assert!(deeds("eth0").add.is_empty() && deeds("eth0").remove.is_empty());
    assert_eq!(
        (deeds("eth1").add.len(), deeds("eth1").remove.len()),
        (1, 1)
    );
    let nowhere = deeds("eth9");
    assert_eq!(
        nowhere.lacks[0].1,
        "the route 198.51.100.0/24 via 192.0.2.1 dev eth9: there is no interface eth9"
    );
}

#[test]
fn a_strangers_address_serves_and_is_not_touched() {
    let mut observed = observed();
    let theirs = Address {
        protocol: 0,
        ..Address::expected(vip("203.0.113.7/24"), 0)
    };
    let event = super::super::observed::Event::Address(3, theirs);
    observed.apply(event);
    for active in [true, false] {
        let only = Following {
            addresses: following().addresses,
            ..Following::default()
        };
        let routers = routers(&[wanted(active, only)]);
        let deeds = plan(us(), &routers, &observed, &Picture::default(), true);
        assert!(deeds.add.is_empty() && deeds.remove.is_empty(), "{deeds:?}");
        assert!(deeds.guests.is_empty());
    }
}

#[test]
fn a_virtual_address_of_another_router_is_no_leftover() {
    let mut observed = observed();
    let ours = Address::expected(vip("192.0.2.254/24"), us().metric());
    observed.apply(super::super::observed::Event::Address(2, ours));
    let follows = Following {
        addresses: vec![FollowingAddress {
            address: vip("192.0.2.254/24"),
            interface: Some("eth0".into()),
        }],
        ..Following::default()
    };
    let both = routers(&[wanted(false, follows), wanted(true, Following::default())]);
    let deeds = plan(us(), &both, &observed, &Picture::default(), true);
    assert!(deeds.remove.is_empty(), "{deeds:?}");
}
