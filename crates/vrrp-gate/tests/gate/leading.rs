//! Questions about the addresses of macvlans, which everybody on the link hears.

use vrrp_gate::{Gate, Leading, Leases};

use crate::stream::virtual_mac;
use crate::wire::{BROADCAST, Wire, arp, arp_reply};
use crate::world::{FOREVER, V4, World};

const CLIENT: [u8; 4] = [10, 9, 0, 100];
const VIP: [u8; 4] = [10, 9, 0, 51];

/// Who asks for 10.9.0.51 is led to its macvlan, and on r0 there is a stranger's macvlan as well.
fn led() -> (World, Gate, Leases) {
    let world = World::new();
    world
        .router
        .sh("ip link add other link r0 type macvlan mode bridge
         ip link set other up");
    let mut gate = world.gate("test");
    gate.lead(world.r0, &Leading::from([(VIP.into(), V4.1)]))
        .unwrap();
    let leases = gate.attach(world.r0, [V4]).unwrap();
    leases.extend(V4.0, V4.1, FOREVER);
    (world, gate, leases)
}

/// Copies of `question` on the other macvlan, and the answers that it got.
fn ask(world: &World, question: &[u8]) -> (usize, Vec<Vec<u8>>) {
    let (wire, beside) = (
        Wire::new(&world.client, "c0"),
        Wire::new(&world.router, "other"),
    );
    beside.empty();
    let answers = wire.ask(question);
    let copies = beside.hear(|frame| frame[12..14] == [8, 6]);
    (copies.len(), answers)
}

#[test]
fn a_question_goes_to_the_macvlan_that_answers() {
    let (world, mut gate, leases) = led();
    let question = arp(BROADCAST, CLIENT, VIP);
    let answer = arp_reply(virtual_mac(1, 51), VIP, CLIENT);
    assert_eq!(ask(&world, &question), (0, vec![answer.clone()]));
    // So does one of a host that has no address yet (RFC 5227 §2.1.1).
    let nobody = [0; 4];
    let probe = arp(BROADCAST, nobody, VIP);
    let answer_to_probe = arp_reply(virtual_mac(1, 51), VIP, nobody);
    assert_eq!(ask(&world, &probe), (0, vec![answer_to_probe]));
    // Without a lease nobody here answers, and nobody is kept from hearing it.
    leases.close(V4.0, V4.1);
    assert_eq!(ask(&world, &question), (1, vec![]));
    leases.extend(V4.0, V4.1, FOREVER);
    gate.lead(world.r0, &Leading::new()).unwrap();
    assert_eq!(ask(&world, &question), (1, vec![answer]));
}

#[test]
fn what_says_whose_an_address_is_and_what_concerns_others_is_heard_by_all() {
    let (world, mut gate, _leases) = led();
    let second = [10, 9, 0, 52];
    let both = Leading::from([(VIP.into(), V4.1), (second.into(), V4.1)]);
    gate.lead(world.r0, &both).unwrap();
    for (sender, target, what) in [
        (VIP, VIP, "a gratuitous ARP"),
        (second, VIP, "a question in the name of one of them"),
        (CLIENT, [10, 9, 0, 77], "a question about another address"),
    ] {
        let (copies, _) = ask(&world, &arp(BROADCAST, sender, target));
        assert_eq!(copies, 1, "{what}");
    }
}
