//! Tables: what is there, what is wanted, what is to be done.

use super::super::observed::{Event, Ipv6Conf, Lower};
use super::super::owner::ADDRESS_PROTOCOL;
use super::*;
use std::path::Path;
use vrrp_proto::desired::Generation;
use vrrp_proto::following::Following;
use vrrp_proto::interval::Interval;
use vrrp_proto::types::Vrid;

const ETH0: u32 = 2;
const MACVLAN4: u32 = 10;
const MACVLAN6: u32 = 11;

fn us() -> OwnerId {
    OwnerId::of(Path::new("/nonexistent/us"))
}

fn them() -> OwnerId {
    OwnerId::of(Path::new("/nonexistent/them"))
}

fn vip(text: &str) -> VirtualAddress {
    let (ip, prefix_len) = text.split_once('/').unwrap();
    address(ip.parse().unwrap(), prefix_len.parse().unwrap())
}

fn wanted(family: Family, active: bool) -> Desired {
    let vrid = Vrid::new(51).unwrap();
    Desired {
        generation: Generation(1),
        name: "r".into(),
        interface: "eth0".into(),
        family,
        vrid,
        mac: Some(MacAddress::of_router(family, vrid)),
        plane: DataPlane::Macvlan,
        addresses: match family {
            Family::Ipv4 => vec![vip("192.0.2.254/24")],
            Family::Ipv6 => vec![vip("fe80::1/64"), vip("2001:db8::1/64")],
        },
        active,
        accept: true,
        owner: false,
        interval: Interval::DEFAULT,
        following: Following::default(),
    }
}

fn there(text: &str, owner: OwnerId) -> Address {
    let VirtualAddress { ip, prefix_len } = vip(text);
    Address {
        ip,
        prefix_len,
        protocol: ADDRESS_PROTOCOL,
        metric: owner.metric(),
        flags: 0,
        lent: false,
    }
}

fn parent() -> Link {
    let mut link = Link {
        index: ETH0,
        name: "eth0".into(),
        up: true,
        mtu: 1500,
        ipv6: Some(Ipv6Conf::default()),
        ..Link::default()
    };
    link.ipv4.set(Ipv4Key::Forwarding, 1);
    link
}

/// A macvlan as it should be in Backup.
fn macvlan(family: Family, owner: OwnerId) -> Link {
    let vrid = Vrid::new(51).unwrap();
    let originals = ParentConf {
        arp_ignore: 0,
        arp_announce: 0,
        accept_local: 0,
    };
    let mut link = Link {
        index: match family {
            Family::Ipv4 => MACVLAN4,
            Family::Ipv6 => MACVLAN6,
        },
        name: macvlan_name(ETH0, family, 51),
        mac: Some(MacAddress::of_router(family, vrid)),
        group: owner.group(),
        mark: Some(Mark::new(
            owner,
            "r",
            ETH0,
            (family == Family::Ipv4).then_some(originals),
        )),
        kind: Kind::Macvlan { bridge: true },
        lower: Some(Lower {
            index: ETH0,
            elsewhere: false,
        }),
        ..parent()
    };
    for (key, value) in [
        (Ipv4Key::Forwarding, 0),
        (Ipv4Key::ArpIgnore, 1),
        (Ipv4Key::ArpAnnounce, 2),
        (Ipv4Key::AcceptLocal, 1),
        (Ipv4Key::PromoteSecondaries, 1),
    ] {
        link.ipv4.set(key, value);
    }
    let conf = link.ipv6.as_mut().unwrap();
    conf.address_generation = NO_ADDRESS_GENERATION;
    conf.set(Ipv6Key::DisableIpv6, 1);
    if family == Family::Ipv6 {
        conf.set(Ipv6Key::Forwarding, 1);
    }
    link
}

/// A parent as its macvlans need it.
fn used_parent() -> Link {
    let mut link = parent();
    for (key, value) in changed(ParentConf::of(&link.ipv4)).settings() {
        link.ipv4.set(key, value);
    }
    link
}

fn observed(links: impl IntoIterator<Item = Link>) -> Observed {
    let mut observed = Observed::default();
    for link in links {
        let addresses = link.addresses.clone();
        let index = link.index;
        observed.apply(Event::Link(link));
        for address in addresses {
            observed.apply(Event::Address(index, address));
        }
    }
    observed
}

fn plan_for(desired: impl IntoIterator<Item = Desired>, observed: &Observed) -> Plan {
    let routers = (1..)
        .map(RouterId)
        .zip(desired.into_iter().map(Arc::new))
        .collect();
    plan(
        us(),
        &routers,
        Scope::Everything,
        observed,
        &Touched::default(),
        &Guarded::new(),
    )
}

/// The steps as sentences.
fn steps(plan: &Plan, observed: &Observed) -> Vec<String> {
    plan.steps
        .iter()
        .map(|step| step.op.attempt(observed))
        .collect()
}

fn check(desired: impl IntoIterator<Item = Desired>, observed: &Observed, expected: &[&str]) {
    let plan = plan_for(desired, observed);
    assert_eq!(steps(&plan, observed), expected);
}

#[test]
fn nothing_is_wanted_and_nothing_is_there() {
    check([], &observed([parent()]), &[]);
}

#[test]
fn a_router_without_its_interface_waits() {
    let observed = observed([]);
    let plan = plan_for([wanted(Family::Ipv4, true)], &observed);
    assert_eq!(plan.steps, []);
    let (_, sentence) = &plan.obstacles[0];
    assert_eq!(sentence, "the interface eth0 does not exist");
}

#[test]
fn a_new_router_gets_a_macvlan_and_the_parent_is_not_touched_before_its_settings_are_recorded() {
    check(
        [wanted(Family::Ipv4, true)],
        &observed([parent()]),
        &["create the interface vrrp4.2.51 on eth0"],
    );
    let down = Link {
        up: false,
        ..macvlan(Family::Ipv4, us())
    };
    check(
        [wanted(Family::Ipv4, true)],
        &observed([parent(), down.clone()]),
        &[
            "set the interface vrrp4.2.51 up",
            "set IPv4 arp_ignore=1 arp_announce=2 accept_local=1 on eth0",
        ],
    );
    let unmarked = Link { mark: None, ..down };
    check(
        [wanted(Family::Ipv4, true)],
        &observed([parent(), unmarked]),
        &[
            "set the alias of vrrp4.2.51",
            "set the interface vrrp4.2.51 up",
            "set IPv4 arp_ignore=1 arp_announce=2 accept_local=1 on eth0",
        ],
    );
}

/// Where a gate keeps a Backup silent, its way is open already, and roles differ by the addresses alone.
#[test]
fn behind_a_gate_only_addresses_change() {
    let guarded: Guarded = [Family::Ipv4, Family::Ipv6]
        .map(|family| (ETH0, MacAddress::of_router(family, Vrid::new(51).unwrap())))
        .into();
    let planned = |active, observed: &Observed| {
        let routers = [Family::Ipv4, Family::Ipv6].map(|family| Arc::new(wanted(family, active)));
        let routers = (1..).map(RouterId).zip(routers).collect();
        let touched = Touched::default();
        let all = Scope::Everything;
        steps(
            &plan(us(), &routers, all, observed, &touched, &guarded),
            observed,
        )
    };
    let mut picture = observed([
        used_parent(),
        macvlan(Family::Ipv4, us()),
        macvlan(Family::Ipv6, us()),
    ]);
    assert_eq!(
        planned(false, &picture),
        [
            "set IPv6 disable_ipv6=0 on vrrp6.2.51",
            "set IPv4 forwarding=1 on vrrp4.2.51",
        ]
    );
    picture.apply(Event::Ipv4(Some(MACVLAN4), Ipv4Key::Forwarding, 1));
    picture.apply(Event::Ipv6(Some(MACVLAN6), Ipv6Key::DisableIpv6, 0));
    assert_eq!(planned(false, &picture), [""; 0]);
    assert_eq!(
        planned(true, &picture),
        [
            "add the address 192.0.2.254/24 to vrrp4.2.51",
            "add the address fe80::1/64 to vrrp6.2.51",
            "add the address 2001:db8::1/64 to vrrp6.2.51",
        ]
    );
    for (link, text) in [
        (MACVLAN4, "192.0.2.254/24"),
        (MACVLAN6, "fe80::1/64"),
        (MACVLAN6, "2001:db8::1/64"),
    ] {
        picture.apply(Event::Address(link, there(text, us())));
    }
    assert_eq!(planned(true, &picture), [""; 0]);
    assert_eq!(
        planned(false, &picture),
        [
            "remove the address 192.0.2.254/24 from vrrp4.2.51",
            "remove the address fe80::1/64 from vrrp6.2.51",
            "remove the address 2001:db8::1/64 from vrrp6.2.51",
        ]
    );
    // Without it, the way is shut at once.
    picture = observed([used_parent(), macvlan(Family::Ipv4, us())]);
    picture.apply(Event::Ipv4(Some(MACVLAN4), Ipv4Key::Forwarding, 1));
    check(
        [wanted(Family::Ipv4, false)],
        &picture,
        &["set IPv4 forwarding=0 on vrrp4.2.51"],
    );
}

#[test]
fn takeover_and_release() {
    let backup = || {
        observed([
            used_parent(),
            macvlan(Family::Ipv4, us()),
            macvlan(Family::Ipv6, us()),
        ])
    };
    let both = |active| [wanted(Family::Ipv4, active), wanted(Family::Ipv6, active)];
    check(both(false), &backup(), &[]);
    check(
        both(true),
        &backup(),
        &[
            "set IPv6 disable_ipv6=0 on vrrp6.2.51",
            "set IPv4 forwarding=1 on vrrp4.2.51",
            "add the address 192.0.2.254/24 to vrrp4.2.51",
            "add the address fe80::1/64 to vrrp6.2.51",
            "add the address 2001:db8::1/64 to vrrp6.2.51",
        ],
    );
    let mut active = backup();
    active.apply(Event::Ipv4(Some(MACVLAN4), Ipv4Key::Forwarding, 1));
    active.apply(Event::Ipv6(Some(MACVLAN6), Ipv6Key::DisableIpv6, 0));
    for (link, text) in [
        (MACVLAN4, "192.0.2.254/24"),
        (MACVLAN6, "fe80::1/64"),
        (MACVLAN6, "2001:db8::1/64"),
    ] {
        active.apply(Event::Address(link, there(text, us())));
    }
    check(both(true), &active, &[]);
    check(
        both(false),
        &active,
        &[
            // IPv6 addresses go with it, and nothing is sent about it.
            "set IPv6 disable_ipv6=1 on vrrp6.2.51",
            "remove the address 192.0.2.254/24 from vrrp4.2.51",
            "set IPv4 forwarding=0 on vrrp4.2.51",
        ],
    );
    check(
        [],
        &active,
        &[
            "set IPv6 disable_ipv6=1 on vrrp6.2.51",
            "remove the address 192.0.2.254/24 from vrrp4.2.51",
            "set IPv4 forwarding=0 on vrrp4.2.51",
            "set IPv4 arp_ignore=0 arp_announce=0 accept_local=0 on eth0",
            "delete the interface vrrp4.2.51",
            "delete the interface vrrp6.2.51",
        ],
    );
}

#[test]
fn an_ipv6_address_counts_when_it_is_in_use() {
    let mut link = macvlan(Family::Ipv6, us());
    link.ipv6.as_mut().unwrap().set(Ipv6Key::DisableIpv6, 0);
    link.addresses = vec![
        there("fe80::1/64", us()),
        Address::expected(vip("2001:db8::1/64"), us().metric()),
    ];
    let observed = observed([used_parent(), link]);
    let plan = plan_for([wanted(Family::Ipv6, true)], &observed);
    assert_eq!((plan.steps, plan.waiting), (vec![], vec![RouterId(1)]));
}

#[test]
fn what_is_on_our_macvlan_is_ours() {
    let mut link = macvlan(Family::Ipv4, us());
    let mut unmarked = there("192.0.2.254/24", us());
    unmarked.metric = 0;
    link.addresses = vec![unmarked, there("192.0.2.7/32", us())];
    link.ipv4.set(Ipv4Key::Forwarding, 1);
    check(
        [wanted(Family::Ipv4, true)],
        &observed([used_parent(), link]),
        &[
            "remove the address 192.0.2.254/24 from vrrp4.2.51",
            "remove the address 192.0.2.7/32 from vrrp4.2.51",
            "add the address 192.0.2.254/24 to vrrp4.2.51",
        ],
    );
}

#[test]
fn the_last_daemon_restores_the_parent() {
    let ours = macvlan(Family::Ipv4, us());
    let theirs = Link {
        index: 20,
        name: macvlan_name(ETH0, Family::Ipv4, 52),
        ..macvlan(Family::Ipv4, them())
    };
    check(
        [],
        &observed([used_parent(), ours.clone(), theirs.clone()]),
        &["delete the interface vrrp4.2.51"],
    );
    check(
        [],
        &observed([used_parent(), ours]),
        &[
            "set IPv4 arp_ignore=0 arp_announce=0 accept_local=0 on eth0",
            "delete the interface vrrp4.2.51",
        ],
    );
    // Ours was deleted by somebody else: we still know what we changed.
    let touched = Touched {
        parents: BTreeMap::from([(
            ETH0,
            ParentConf {
                arp_ignore: 0,
                arp_announce: 1,
                accept_local: 0,
            },
        )]),
        ..Touched::default()
    };
    for (links, expected) in [
        (
            vec![used_parent()],
            vec!["set IPv4 arp_ignore=0 arp_announce=1 accept_local=0 on eth0"],
        ),
        (vec![used_parent(), theirs], vec![]),
    ] {
        let observed = observed(links);
        let plan = plan(
            us(),
            &BTreeMap::new(),
            Scope::Everything,
            &observed,
            &touched,
            &Guarded::new(),
        );
        assert_eq!(steps(&plan, &observed), expected);
    }
}

#[test]
fn originals_are_adopted_from_another_daemon() {
    let theirs = Link {
        index: 20,
        name: macvlan_name(ETH0, Family::Ipv4, 52),
        ..macvlan(Family::Ipv4, them())
    };
    let observed = observed([used_parent(), theirs]);
    let plan = plan_for([wanted(Family::Ipv4, false)], &observed);
    let Op::Create { alias, .. } = &plan.steps[0].op else {
        panic!("{plan:?}");
    };
    assert!(
        alias.ends_with("parent=2 arp_ignore=0 arp_announce=0 accept_local=0"),
        "{alias}"
    );
}

#[test]
fn strangers_and_other_daemons_are_left_alone() {
    let strange = Link {
        mark: None,
        group: 0,
        ..macvlan(Family::Ipv4, us())
    };
    let theirs = macvlan(Family::Ipv4, them());
    for (link, expected) in [
        (strange, "there is an interface vrrp4.2.51 that is not ours"),
        (
            theirs,
            "the interface vrrp4.2.51 belongs to router r of another vrrpd",
        ),
    ] {
        let observed = observed([used_parent(), link]);
        let plan = plan_for([wanted(Family::Ipv4, true)], &observed);
        assert_eq!(plan.steps, []);
        let (_, sentence) = &plan.obstacles[0];
        assert!(sentence.starts_with(expected), "{sentence}");
    }
}

#[test]
fn without_a_virtual_mac_address() {
    let plain = |active| Desired {
        mac: None,
        ..wanted(Family::Ipv4, active)
    };
    let with = |address: Option<&Address>| {
        observed([Link {
            addresses: address.into_iter().cloned().collect(),
            ..parent()
        }])
    };
    let ours = there("192.0.2.254/24", us());
    let theirs = there("192.0.2.254/24", them());
    let other = there("192.0.2.254/32", us());
    let add = "add the address 192.0.2.254/24 to eth0";
    let remove = "remove the address 192.0.2.254/24 from eth0";
    check([plain(true)], &with(None), &[add]);
    check([plain(true)], &with(Some(&ours)), &[]);
    check([plain(true)], &with(Some(&theirs)), &[]);
    check(
        [plain(true)],
        &with(Some(&other)),
        &["remove the address 192.0.2.254/32 from eth0", add],
    );
    check([plain(false)], &with(None), &[]);
    check([plain(false)], &with(Some(&ours)), &[remove]);
    check([plain(false)], &with(Some(&theirs)), &[]);
    check([], &with(Some(&ours)), &[remove]);
    // One of two routers with the same address still wants it.
    check([plain(false), plain(true)], &with(Some(&ours)), &[]);
}

/// A router for which the gate answers has no macvlan, and addresses only while packets to them are accepted.
#[test]
fn a_router_that_is_served() {
    let served = |family, active| Desired {
        plane: DataPlane::Ebpf,
        ..wanted(family, active)
    };
    let deaf = |active| Desired {
        accept: false,
        ..served(Family::Ipv4, active)
    };
    let owner = Desired {
        owner: true,
        ..served(Family::Ipv4, true)
    };
    let with = |addresses: &[&Address]| {
        observed([Link {
            addresses: addresses.iter().copied().cloned().collect(),
            ..parent()
        }])
    };
    let ours = there("192.0.2.254/24", us());
    let theirs = there("192.0.2.254/24", them());
    let add = "add the address 192.0.2.254/24 to eth0";
    let remove = "remove the address 192.0.2.254/24 from eth0";
    check([served(Family::Ipv4, false)], &with(&[]), &[]);
    let lend = "set IPv4 accept_local=1 on eth0";
    check([served(Family::Ipv4, true)], &with(&[]), &[add, lend]);
    check([served(Family::Ipv4, true)], &with(&[&ours]), &[lend]);
    check(
        [served(Family::Ipv6, true)],
        &with(&[]),
        &[
            "add the address fe80::1/64 to eth0",
            "add the address 2001:db8::1/64 to eth0",
        ],
    );
    for silent in [served(Family::Ipv4, false), deaf(true), deaf(false), owner] {
        check([silent.clone()], &with(&[]), &[]);
        check([silent.clone()], &with(&[&theirs]), &[]);
        check([silent.clone()], &with(&[&ours]), &[remove]);
        // The same without a look at the others.
        let one = [(RouterId(1), Arc::new(silent))].into();
        let alone = |observed: &Observed| {
            let plan = plan(
                us(),
                &one,
                Scope::Some,
                observed,
                &Touched::default(),
                &Guarded::new(),
            );
            steps(&plan, observed)
        };
        assert_eq!(alone(&with(&[&ours])), [remove]);
        assert_eq!(alone(&with(&[&theirs])), [""; 0]);
    }
    // What a macvlan had done is taken away, and one of somebody else is respected.
    check(
        [served(Family::Ipv4, false)],
        &observed([parent(), macvlan(Family::Ipv4, us())]),
        &["delete the interface vrrp4.2.51"],
    );
    let both = observed([parent(), macvlan(Family::Ipv4, them())]);
    let plan = plan_for([served(Family::Ipv4, true)], &both);
    assert_eq!((plan.steps.len(), plan.obstacles.len()), (0, 1));
    let deprived = observed([Link {
        ipv6: None,
        ..parent()
    }]);
    let plan = plan_for([served(Family::Ipv6, true)], &deprived);
    assert_eq!(plan.obstacles[0].1, "the kernel has no IPv6 on eth0");
}

/// CARP has addresses of both families, by the block of IPv4. Only those of IPv4 can say what was changed for them.
#[test]
fn a_router_of_both_families_that_is_served() {
    let both = |active| Desired {
        plane: DataPlane::Ebpf,
        addresses: vec![vip("192.0.2.254/24"), vip("2001:db8::1/64")],
        ..wanted(Family::Ipv4, active)
    };
    let before = observed([parent()]);
    let add = [
        "add the address 192.0.2.254/24 to eth0",
        "add the address 2001:db8::1/64 to eth0",
        "set IPv4 accept_local=1 on eth0",
    ];
    check([both(true)], &before, &add);
    check([both(false)], &before, &[]);
    let routers = [(RouterId(1), Arc::new(both(true)))].into();
    let (scope, touched) = (Scope::Everything, Touched::default());
    let steps = plan(us(), &routers, scope, &before, &touched, &Guarded::new()).steps;
    let mut labelled = Vec::new();
    for step in &steps {
        if let Op::Add { address, label, .. } = &step.op {
            labelled.push((address.ip.is_ipv4(), label.is_some()));
        }
    }
    assert_eq!(labelled, [(true, true), (false, false)]);

    let deaf = observed([Link {
        ipv6: None,
        ..parent()
    }]);
    let plan = plan(us(), &routers, scope, &deaf, &touched, &Guarded::new());
    assert_eq!(plan.obstacles.len(), 1);
    let alone = Desired {
        addresses: vec![vip("2001:db8::1/64")],
        ..both(true)
    };
    check([alone], &before, &[add[1]]);
}

/// With addresses on it, a parent hears what another router says from them; without, it is as it was.
#[test]
fn accept_local_is_lent_to_addresses_on_the_parent() {
    let lent = |owner| Address {
        lent: true,
        ..there("192.0.2.254/24", owner)
    };
    let with = |accept_local, addresses: &[Address]| {
        let mut link = Link {
            addresses: addresses.to_vec(),
            ..parent()
        };
        link.ipv4.set(Ipv4Key::AcceptLocal, accept_local);
        link
    };
    let served = |active| Desired {
        plane: DataPlane::Ebpf,
        ..wanted(Family::Ipv4, active)
    };
    let touched = |index: Option<u32>| Touched {
        lent: index.into_iter().collect(),
        ..Touched::default()
    };
    let added = |desired: Desired, observed: &Observed, touched: &Touched| {
        let routers = [(RouterId(1), Arc::new(desired))].into();
        plan(
            us(),
            &routers,
            Scope::Everything,
            observed,
            touched,
            &Guarded::new(),
        )
        .steps
    };
    // The address itself says that it was off; what was on before stays on.
    let record = |steps: &[Step]| matches!(steps[0].op, Op::Add { label: Some(_), .. });
    let off = observed([with(0, &[])]);
    assert!(record(&added(served(true), &off, &touched(None))));
    let on = observed([with(1, &[])]);
    let kept = added(served(true), &on, &touched(None));
    assert!(matches!(
        kept[..],
        [Step {
            op: Op::Add { label: None, .. },
            ..
        }]
    ));
    assert!(record(&added(served(true), &on, &touched(Some(ETH0)))));
    let theirs = observed([with(
        1,
        &[Address {
            ip: "192.0.2.253".parse().unwrap(),
            ..lent(them())
        }],
    )]);
    assert!(record(&added(served(true), &theirs, &touched(None))));

    let give_back = "set IPv4 accept_local=0 on eth0";
    let after = |links: Vec<Link>, index| {
        let observed = observed(links);
        let steps = added(served(false), &observed, &touched(index));
        let sentences = steps.iter().map(|step| step.op.attempt(&observed));
        sentences.collect::<Vec<_>>()
    };
    let remove = "remove the address 192.0.2.254/24 from eth0";
    let ours = with(1, &[lent(us())]);
    assert_eq!(after(vec![ours.clone()], Some(ETH0)), [remove, give_back]);
    assert_eq!(after(vec![with(1, &[])], Some(ETH0)), [give_back]);
    assert_eq!(after(vec![with(1, &[])], None), [""; 0]);
    assert_eq!(after(vec![with(0, &[])], Some(ETH0)), [""; 0]);
    assert_eq!(after(vec![with(1, &[lent(them())])], Some(ETH0)), [""; 0]);
    let macvlan = macvlan(Family::Ipv4, them());
    assert_eq!(after(vec![with(1, &[]), macvlan], Some(ETH0)), [""; 0]);
}

#[test]
fn a_macvlan_that_is_not_as_made_is_made_anew() {
    for link in [
        Link {
            kind: Kind::Macvlan { bridge: false },
            ..macvlan(Family::Ipv4, us())
        },
        Link {
            lower: None,
            ..macvlan(Family::Ipv4, us())
        },
    ] {
        check(
            [wanted(Family::Ipv4, false)],
            &observed([used_parent(), link]),
            &["delete the interface vrrp4.2.51"],
        );
    }
}

#[test]
fn a_stricter_parent_stays_as_it_is() {
    for (arp_ignore, expected) in [(0, 1), (1, 1), (2, 2), (3, 1), (8, 8)] {
        let conf = changed(ParentConf {
            arp_ignore,
            arp_announce: 1,
            accept_local: 0,
        });
        assert_eq!((conf.arp_ignore, conf.arp_announce), (expected, 2));
    }
}

#[test]
fn names_fit() {
    for (parent, vrid, expected) in [
        (2, 51, "vrrp4.2.51"),
        (99_999, 255, "vrrp4.99999.255"),
        (100_000, 255, "v4-255s.255"),
        (u32::MAX, 255, "v4-1z141z3.255"),
    ] {
        let name = macvlan_name(parent, Family::Ipv4, vrid);
        assert_eq!(name, expected);
        assert!(name.len() <= 15);
    }
}
