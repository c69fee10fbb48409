//! Sync groups: two members on two links, one sentence a test. What happens between hosts is the simulator's.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use vrrp_proto::carp::{self, Bid, CarpPlan, Covered, LinkLocal, Passphrase, Profile};
use vrrp_proto::packet::{Advertisement, Header};
use vrrp_proto::receive::Envelope;
use vrrp_proto::*;

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A gateway: `lan` on eth0, `wan` on eth1, both of this priority.
struct Gateway {
    engine: Engine,
    now: Instant,
    plan: Plan,
}

/// What an input made it do.
struct Did(Vec<Output>);

impl Did {
    /// Link and priority of each advertisement.
    fn sent(&self) -> Vec<(u32, u8)> {
        let transmit = |output: &Output| {
            let Output::Transmit(transmit) = output else {
                return None;
            };
            let header = Header::new(&transmit.message)?;
            Some((transmit.link.0, header.priority().get()))
        };
        self.0.iter().filter_map(transmit).collect()
    }

    fn said(&self) -> Vec<String> {
        let event = |output: &Output| match output {
            Output::Event(event) => Some(format!("{}: {}", event.name, event.happening)),
            Output::Transmit(_) | Output::Announce(_) | Output::Desired(..) => None,
        };
        self.0.iter().filter_map(event).collect()
    }
}

fn router(number: u8, priority: u8) -> RouterPlan {
    let address = VirtualAddress {
        ip: Ipv4Addr::new(10, 0, number, 254).into(),
        prefix_len: 24,
    };
    RouterPlan {
        priority: Priority::new(priority),
        announce_refresh: None,
        group: Some("edge".into()),
        ..RouterPlan::new(
            ["lan", "wan"][usize::from(number)],
            format!("eth{number}"),
            Vrid::new(51).expect("1 to 255"),
            Family::Ipv4,
            vec![address],
        )
    }
}

fn peer(number: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, number, 200).into()
}

impl Gateway {
    fn of(routers: [RouterPlan; 2]) -> Self {
        let plan = Plan {
            routers: routers.into(),
            ..Plan::default()
        };
        let now = Instant::ZERO + Duration::from_secs(100);
        let mut gateway = Self {
            engine: Engine::new(&plan, now),
            now,
            plan,
        };
        gateway.drain();
        gateway
    }

    /// One that has just started to listen on both.
    fn backup(priority: u8) -> Self {
        let mut gateway = Self::of([router(0, priority), router(1, priority)]);
        gateway.link(0, true);
        gateway.link(1, true);
        assert_eq!(gateway.roles(), [Role::Backup; 2]);
        gateway
    }

    /// One that has taken over, with its addresses in the kernel.
    fn active(priority: u8) -> Self {
        let mut gateway = Self::backup(priority);
        gateway.wait(millis(3900));
        assert_eq!(gateway.roles(), [Role::Active; 2]);
        for router in [RouterId(0), RouterId(1)] {
            // Made at the start, and wanted anew when it took over.
            let (generation, report) = (Generation(2), KernelReport::Applied);
            gateway.input(Input::Kernel {
                router,
                generation,
                report: &report,
            });
        }
        gateway
    }

    fn drain(&mut self) -> Did {
        Did(core::iter::from_fn(|| self.engine.poll_output()).collect())
    }

    fn input(&mut self, input: Input<'_>) -> Did {
        self.engine.handle(self.now, input);
        self.drain()
    }

    fn link(&mut self, number: u8, carrier: bool) -> Did {
        let facts = LinkFacts {
            index: 2 + u32::from(number),
            up: true,
            carrier,
            mtu: 1500,
            mac: MacAddress([2, 0, 0, 0, 0, number]),
            ipv4: vec![(Ipv4Addr::new(10, 0, number, 11), 24)],
            link_local: vec![],
        };
        let interface = &format!("eth{number}");
        self.input(Input::Link {
            interface,
            facts: Some(&facts),
        })
    }

    /// The peer advertises this priority there.
    fn hear(&mut self, number: u8, priority: u8) -> Did {
        let (source, destination) = (peer(number), Family::Ipv4.group());
        let advertisement = Advertisement {
            dialect: Dialect::Vrrp3,
            vrid: Vrid::new(51).expect("1 to 255"),
            priority: Priority::new(priority),
            interval: Interval::DEFAULT,
            addresses: &[Ipv4Addr::new(10, 0, number, 254).into()],
            authentication: None,
        };
        let message = advertisement.emit(ChecksumForm::Rfc9568, source, destination);
        let envelope = Envelope {
            source,
            destination,
            hop_limit: 255,
        };
        self.input(Input::Datagram(Datagram {
            link: LinkId(u32::from(number)),
            envelope,
            message: &message,
        }))
    }

    /// Lets time go by, and does what is due when it is.
    fn wait(&mut self, time: Duration) -> Did {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(wakeup) = self.engine.poll_timeout().filter(|next| next.at <= end) {
            self.now = self.now.max(wakeup.at);
            self.engine.handle_timeout(self.now);
            all.extend(self.drain().0);
        }
        self.now = end;
        Did(all)
    }

    fn roles(&self) -> [Role; 2] {
        let roles: Vec<Role> = self.engine.status().map(|status| status.role).collect();
        roles.try_into().expect("two members")
    }

    fn operate(&mut self, name: &str, order: Order) -> Result<Did, Denial> {
        self.engine.operate(self.now, name, order)?;
        Ok(self.drain())
    }
}

const ACTIVE: [Role; 2] = [Role::Active; 2];
const BACKUP: [Role; 2] = [Role::Backup; 2];
const INITIALIZE: [Role; 2] = [Role::Initialize; 2];

#[test]
fn nobody_takes_part_before_all_interfaces_are_known() {
    let mut gateway = Gateway::of([router(0, 100), router(1, 100)]);
    gateway.link(0, true);
    gateway.wait(millis(10_000));
    assert_eq!(gateway.roles(), INITIALIZE);
    gateway.link(1, true);
    assert_eq!(gateway.roles(), BACKUP);
}

#[test]
fn the_lowest_priority_is_advertised_for_all() {
    let mut gateway = Gateway::of([router(0, 200), router(1, 150)]);
    gateway.link(0, true);
    gateway.link(1, true);
    let did = gateway.wait(millis(4000));
    assert_eq!(did.sent()[..2], [(0, 150), (1, 150)]);
    let lowest: Vec<_> = gateway
        .engine
        .status()
        .map(|it| it.membership.map(|it| it.lowest))
        .collect();
    assert_eq!(lowest, [Some("wan"); 2]);
}

#[test]
fn a_fault_of_one_is_a_release_on_the_other_link() {
    let mut gateway = Gateway::active(200);
    let did = gateway.link(1, false);
    assert_eq!(gateway.roles(), INITIALIZE);
    // Nothing can be said where there is no carrier.
    assert_eq!(did.sent(), [(0, 0)]);
    assert!(
        did.said()
            .contains(&"lan: group edge: wan has a fault".to_owned())
    );
    // The other link's addresses stay until a successor is heard, or would have been.
    let leaving = |gateway: &Gateway| gateway.engine.status().next().is_some_and(|it| it.leaving);
    assert!(leaving(&gateway));
    gateway.wait(millis(1200));
    assert!(!leaving(&gateway));
    gateway.link(1, true);
    assert_eq!(gateway.roles(), BACKUP);
}

#[test]
fn a_release_on_one_link_is_one_on_all() {
    let mut gateway = Gateway::backup(100);
    // Since it was first heard on the second link it must be heard on the first again.
    for number in [0, 1, 0] {
        gateway.hear(number, 200);
    }
    gateway.wait(millis(300));
    gateway.hear(0, 0);
    let did = gateway.wait(millis(608));
    assert_eq!(gateway.roles(), BACKUP, "{:?}", did.said());
    // Skew_Time of priority 100: 609.4 ms.
    gateway.wait(millis(2));
    assert_eq!(gateway.roles(), ACTIVE);
}

#[test]
fn a_release_of_another_one_is_not() {
    let mut gateway = Gateway::backup(100);
    gateway.hear(0, 150);
    gateway.hear(1, 200);
    gateway.hear(0, 0);
    gateway.wait(millis(700));
    assert_eq!(gateway.roles(), BACKUP, "it hears 200 on the other link");
    gateway.hear(1, 200);
    gateway.wait(millis(1900));
    assert_eq!(gateway.roles(), BACKUP);
}

#[test]
fn a_silence_on_one_link_is_not_one_on_the_other() {
    let mut gateway = Gateway::backup(100);
    for second in 0..20 {
        if second < 3 {
            gateway.hear(0, 200);
        }
        gateway.hear(1, 200);
        gateway.wait(millis(1000));
        assert_eq!(gateway.roles(), BACKUP, "{second}");
    }
    let waits: Vec<_> = gateway
        .engine
        .status()
        .map(|it| it.membership.and_then(|it| it.waits_for))
        .collect();
    assert_eq!(waits, [Some("wan"), None]);
    // Now it is silent there, too, until its own timer has run out.
    gateway.wait(millis(2700));
    assert_eq!(gateway.roles(), ACTIVE);
}

#[test]
fn who_falls_silent_everywhere_is_replaced_everywhere_at_the_first_timer() {
    let mut gateway = Gateway::backup(100);
    gateway.hear(0, 200);
    gateway.wait(millis(900));
    gateway.hear(1, 200);
    // Active_Down_Interval of priority 100: 3609.4 ms, since the first of the two.
    gateway.wait(millis(2708));
    assert_eq!(gateway.roles(), BACKUP);
    let did = gateway.wait(millis(2));
    assert_eq!(gateway.roles(), ACTIVE);
    assert_eq!(did.sent(), [(0, 100), (1, 100)]);
}

#[test]
fn who_loses_on_one_link_gives_way_on_all() {
    let mut gateway = Gateway::active(100);
    let did = gateway.hear(0, 200);
    assert_eq!(gateway.roles(), BACKUP);
    assert_eq!(did.sent(), [(1, 0)]);
}

#[test]
fn the_first_member_breaks_the_tie_for_all() {
    // Our address is the lower one on both links: on the first it decides at once.
    let mut gateway = Gateway::active(100);
    gateway.hear(0, 100);
    assert_eq!(gateway.roles(), BACKUP);
    // On the second one it is asked on the first whether they are there, too.
    let mut gateway = Gateway::active(100);
    let did = gateway.hear(1, 100);
    assert_eq!(gateway.roles(), ACTIVE);
    assert_eq!(did.sent(), [(1, 100), (0, 100)]);
    gateway.wait(millis(110));
    assert_eq!(gateway.roles(), BACKUP, "nobody answered there");
}

#[test]
fn all_members_preempt_or_none() {
    let mut gateway = Gateway::backup(200);
    for _ in 0..10 {
        gateway.hear(0, 100);
        gateway.hear(1, 250);
        gateway.wait(millis(1000));
        assert_eq!(gateway.roles(), BACKUP);
    }
    for _ in 0..4 {
        gateway.hear(0, 100);
        gateway.hear(1, 100);
        gateway.wait(millis(1000));
    }
    assert_eq!(gateway.roles(), ACTIVE);
}

#[test]
fn what_is_asked_of_one_is_asked_of_all() {
    let mut gateway = Gateway::active(200);
    let note = Note::default();
    let order = Order::Failover { force: false, note };
    let did = gateway.operate("wan", order.clone()).expect("it is Active");
    assert_eq!(did.sent(), [(0, 0), (1, 0)]);
    assert_eq!(gateway.roles(), BACKUP);
    assert!(
        gateway.operate("edge", order.clone()).is_err(),
        "it hands over already"
    );
    // A successor on one link is enough for all to stay out.
    gateway.hear(0, 100);
    gateway.wait(millis(1500));
    assert_eq!(gateway.roles(), BACKUP);

    let mut gateway = Gateway::active(200);
    gateway.operate("edge", order).expect("it is Active");
    gateway.wait(millis(1500));
    assert_eq!(gateway.roles(), ACTIVE, "nobody took over");
}

#[test]
fn a_member_that_is_added_or_taken_away_does_not_disturb_the_other() {
    let mut gateway = Gateway::active(200);
    let both = gateway.plan.clone();
    let one = Plan {
        routers: vec![router(0, 200)],
        ..Plan::default()
    };
    let did = gateway.input(Input::Reload(&one));
    assert_eq!(did.sent(), [(1, 0)], "who is gone says so");
    assert_eq!(
        gateway.engine.status().next().map(|it| it.role),
        Some(Role::Active)
    );
    gateway.wait(millis(1200));
    gateway.input(Input::Reload(&both));
    // It serves as soon as its interface is looked at: who is Active need not listen.
    gateway.link(1, true);
    assert_eq!(gateway.roles(), ACTIVE);
}

#[test]
fn a_group_that_is_dissolved_goes_on_as_two() {
    let mut gateway = Gateway::active(200);
    let mut plan = gateway.plan.clone();
    plan.routers.iter_mut().for_each(|it| it.group = None);
    gateway.input(Input::Reload(&plan));
    gateway.link(1, false);
    assert_eq!(gateway.roles(), [Role::Active, Role::Initialize]);
}

#[test]
fn who_waits_until_it_is_ready_does_not_preempt_before() {
    let waiting = |number| RouterPlan {
        preempt_when: Some(PreemptWhen {
            ready: true,
            trackers: Vec::new(),
            timeout: Duration::from_secs(60),
        }),
        ..router(number, 200)
    };
    let plans = || Gateway::of([waiting(0), router(1, 200)]);
    let listen = |gateway: &mut Gateway, seconds: u32| {
        for _ in 0..seconds {
            gateway.hear(0, 100);
            gateway.hear(1, 100);
            gateway.wait(millis(1000));
        }
    };
    let mut gateway = plans();
    gateway.link(0, true);
    gateway.link(1, true);
    listen(&mut gateway, 20);
    assert_eq!(gateway.roles(), BACKUP);
    // The group has one gate: it is said to any member, or to the group.
    let did = gateway.operate("wan", Order::Ready).expect("it takes part");
    assert!(
        did.said()
            .contains(&"lan: ready: it may preempt".to_owned()),
        "{:?}",
        did.said()
    );
    listen(&mut gateway, 5);
    assert_eq!(gateway.roles(), ACTIVE);

    let mut gateway = plans();
    assert!(matches!(
        gateway.operate("lan", Order::Ready),
        Err(Denial::NoPart(_))
    ));
    gateway.link(0, true);
    gateway.link(1, true);
    listen(&mut gateway, 59);
    assert_eq!(gateway.roles(), BACKUP);
    listen(&mut gateway, 6);
    assert_eq!(gateway.roles(), ACTIVE, "after preempt-when-timeout");

    // Nobody else is there: it does not wait.
    let mut gateway = plans();
    gateway.link(0, true);
    gateway.link(1, true);
    gateway.wait(millis(4000));
    assert_eq!(gateway.roles(), ACTIVE);
}

/// What an Active needs before its addresses go live, for both members.
fn hooked(priority: u8) -> Gateway {
    let hooks = |router: RouterPlan| RouterPlan {
        pre_active: Some(PreActive {
            hooks: vec!["table".into()],
            timeout: millis(200),
        }),
        ..router
    };
    let mut gateway = Gateway::of([router(0, priority), router(1, priority)].map(hooks));
    gateway.link(0, true);
    gateway.link(1, true);
    gateway
}

impl Gateway {
    fn prepared(&mut self, router: &str) -> Did {
        let number = Some(1);
        self.input(Input::Prepared { router, number })
    }
}

impl Did {
    /// Whose addresses are to be there.
    fn live(&self) -> Vec<u32> {
        let desired = |output: &Output| match output {
            Output::Desired(id, Some(desired)) if desired.active => Some(id.0),
            Output::Desired(..) | Output::Transmit(_) | Output::Announce(_) | Output::Event(_) => {
                None
            }
        };
        self.0.iter().filter_map(desired).collect()
    }
}

#[test]
fn members_go_live_when_the_hooks_of_all_have_run() {
    let mut gateway = hooked(100);
    let did = gateway.wait(millis(3610));
    assert_eq!(gateway.roles(), ACTIVE);
    assert_eq!(did.sent(), [(0, 100), (1, 100)]);
    assert_eq!(did.live(), []);
    assert_eq!(gateway.prepared("lan").live(), []);
    let did = gateway.prepared("wan");
    assert_eq!(did.live(), [0, 1]);
    assert_eq!(
        did.sent(),
        [(0, 100), (1, 100)],
        "with the virtual MAC address"
    );
    // Or when it was waited for them long enough.
    let mut gateway = hooked(100);
    gateway.wait(millis(3610));
    gateway.prepared("lan");
    assert_eq!(gateway.wait(millis(198)).live(), []);
    assert_eq!(gateway.wait(millis(2)).live(), [0, 1]);
}

#[test]
fn a_group_preempts_when_the_hooks_of_all_have_run() {
    let beside = |gateway: &mut Gateway, rounds: u64| {
        let mut all = Vec::new();
        for _ in 0..rounds {
            for number in [0, 1] {
                all.extend(gateway.hear(number, 50).0);
            }
            all.extend(gateway.wait(millis(1000)).0);
        }
        Did(all)
    };
    let mut gateway = hooked(100);
    beside(&mut gateway, 3);
    gateway.hear(0, 50);
    gateway.hear(1, 50);
    let did = gateway.wait(millis(650));
    let waits = ["lan", "wan"]
        .map(|name| format!("{name}: its addresses wait for hook table, for 200 ms at most"));
    assert_eq!(did.said(), waits);
    assert_eq!(gateway.roles(), BACKUP);
    assert_eq!(gateway.prepared("wan").sent(), []);
    let did = gateway.prepared("lan");
    assert_eq!(gateway.roles(), ACTIVE);
    assert_eq!(
        (did.sent(), did.live()),
        (vec![(0, 100), (1, 100)], vec![0, 1])
    );
    // Never done.
    let mut gateway = hooked(100);
    let did = beside(&mut gateway, 4);
    assert_eq!(did.live(), [0, 1]);
    assert_eq!(gateway.roles(), ACTIVE);
    // Somebody better comes on one link.
    let mut gateway = hooked(100);
    beside(&mut gateway, 3);
    gateway.hear(0, 50);
    gateway.hear(1, 50);
    gateway.wait(millis(650));
    let did = gateway.hear(1, 200);
    assert_eq!(did.said().len(), 2, "both called off: {:?}", did.said());
    let did = gateway.wait(millis(1000));
    assert_eq!((did.live(), gateway.roles()), (vec![], BACKUP));
}

#[test]
fn hooks_of_all_begin_with_the_release_of_one() {
    let mut gateway = hooked(100);
    for number in [0, 1, 0] {
        gateway.hear(number, 200);
    }
    let did = gateway.hear(1, 0);
    assert_eq!(did.said().len(), 2, "{:?}", did.said());
    gateway.hear(0, 0);
    gateway.prepared("lan");
    gateway.prepared("wan");
    assert_eq!(gateway.roles(), BACKUP);
    let did = gateway.wait(millis(611));
    assert_eq!(did.live(), [0, 1]);
}

// ---- With CARP ----

const PROFILES: [Profile; 3] = [Profile::Any, Profile::OpenBsd, Profile::FreeBsd];

fn with_carp(number: u8, advskew: u8, profile: Profile) -> RouterPlan {
    RouterPlan {
        dialect: Dialect::Carp,
        carp: Some(CarpPlan {
            profile,
            ..CarpPlan::new(advskew, Passphrase::new(b"secret").expect("a short one"))
        }),
        ..router(number, carp::priority(advskew).get())
    }
}

impl Gateway {
    /// One that has taken over with these skews, as soon as it may.
    fn of_carp(advskews: [u8; 2], profile: Profile) -> Self {
        let [lan, wan] = advskews;
        let mut gateway = Self::of([with_carp(0, lan, profile), with_carp(1, wan, profile)]);
        gateway.link(0, true);
        gateway.link(1, true);
        assert_eq!(gateway.roles(), BACKUP);
        gateway.wait(Duration::from_secs(6));
        assert_eq!(gateway.roles(), ACTIVE);
        gateway
    }

    /// The peer bids that there.
    fn hear_bid(&mut self, number: u8, bid: Bid) -> Did {
        let passphrase = Passphrase::new(b"secret").expect("a short one");
        let vhid = Vrid::new(51).expect("1 to 255");
        let addresses = [Ipv4Addr::new(10, 0, number, 254).into()];
        let covered = Covered::new(vhid, &addresses, LinkLocal::LeftOut);
        let advertisement = carp::Advertisement {
            vhid,
            bid,
            counter: 7,
            digest: covered.digest(&passphrase, 7),
        };
        let envelope = Envelope {
            source: peer(number),
            destination: Family::Ipv4.group(),
            hop_limit: 255,
        };
        self.input(Input::Datagram(Datagram {
            link: LinkId(u32::from(number)),
            envelope,
            message: &advertisement.emit(),
        }))
    }

    fn bids(&self) -> Vec<Bid> {
        let rules = self.engine.status().filter_map(|status| status.rules);
        rules.map(|rules| rules.own).collect()
    }
}

impl Did {
    /// Link and bid of each advertisement.
    fn bid(&self) -> Vec<(u32, Bid)> {
        let transmit = |output: &Output| match output {
            Output::Transmit(transmit) => {
                let read = carp::Advertisement::parse(&transmit.message).expect("ours");
                Some((transmit.link.0, read.bid))
            }
            Output::Event(_) | Output::Announce(_) | Output::Desired(..) => None,
        };
        self.0.iter().filter_map(transmit).collect()
    }
}

const fn of_skew(advskew: u8) -> Bid {
    Bid {
        advbase: 1,
        advskew,
        demotion: 0,
    }
}

#[test]
fn carp_the_worst_skew_is_advertised_for_all_and_is_no_demotion() {
    for profile in PROFILES {
        let mut gateway = Gateway::of_carp([10, 60], profile);
        let bids = gateway.wait(millis(1300)).bid();
        assert_eq!(
            bids[..2],
            [(0, of_skew(60)), (1, of_skew(60))],
            "{profile:?}"
        );
    }
}

#[test]
fn carp_what_is_taken_from_all_is_the_same_on_every_link() {
    for profile in PROFILES {
        let mut gateway = Gateway::of_carp([10, 60], profile);
        let order = Order::SetPriority {
            priority: Priority::new(94),
            terms: Standing {
                until: None,
                note: Note::default(),
            },
        };
        let did = gateway.operate("edge", order).expect("it may");
        let demoted = Bid {
            advskew: if profile == Profile::OpenBsd { 60 } else { 160 },
            demotion: if profile == Profile::FreeBsd { 0 } else { 100 },
            ..of_skew(60)
        };
        assert_eq!(gateway.bids(), [demoted; 2], "{profile:?}");
        assert_eq!(did.bid(), [(0, demoted), (1, demoted)], "{profile:?}");
    }
}

#[test]
fn carp_who_loses_on_one_link_bows_out_on_the_other_one() {
    for profile in PROFILES {
        let mut gateway = Gateway::of_carp([60, 60], profile);
        let did = gateway.hear_bid(1, of_skew(59));
        assert_eq!(gateway.roles(), BACKUP, "{profile:?}");
        // Nothing where it was heard.
        assert_eq!(did.bid(), [(0, Bid::BOW_OUT)], "{profile:?}");
        // Nobody takes over there, while somebody better is heard on the other side.
        for _ in 0..10 {
            gateway.wait(millis(1200));
            assert!(gateway.hear_bid(1, of_skew(59)).bid().is_empty());
            assert_eq!(gateway.roles(), BACKUP, "{profile:?}");
        }
    }
}

#[test]
fn carp_a_bow_out_on_one_link_is_one_of_the_whole_group() {
    for profile in PROFILES {
        let mut gateway = Gateway::of_carp([60, 60], profile);
        for _ in 0..3 {
            gateway.hear_bid(0, of_skew(20));
            gateway.hear_bid(1, of_skew(20));
            assert_eq!(gateway.roles(), BACKUP, "{profile:?}");
            gateway.wait(millis(1078));
        }
        gateway.hear_bid(1, Bid::BOW_OUT);
        let did = gateway.wait(millis(16));
        assert_eq!(gateway.roles(), ACTIVE, "{profile:?}");
        let mut bids = did.bid();
        bids.sort_by_key(|(link, _)| *link);
        assert_eq!(bids, [(0, of_skew(60)), (1, of_skew(60))], "{profile:?}");
    }
}

#[test]
fn carp_a_slower_one_is_replaced_when_it_was_heard_on_all_links() {
    for profile in PROFILES {
        let mut gateway = Gateway::of_carp([60, 60], profile);
        gateway.hear_bid(0, of_skew(20));
        gateway.hear_bid(1, of_skew(20));
        gateway.wait(millis(1000));
        // It was demoted meanwhile, so we are better.
        gateway.hear_bid(0, of_skew(200));
        gateway.wait(Duration::ZERO);
        assert_eq!(
            gateway.roles(),
            BACKUP,
            "{profile:?}: not known on the other link"
        );
        gateway.hear_bid(1, of_skew(200));
        gateway.wait(Duration::ZERO);
        assert_eq!(gateway.roles(), ACTIVE, "{profile:?}");
    }
}

/// Equals that have given way at the same moment come back one after the other, with all of their members.
#[test]
fn carp_who_gave_way_to_an_equal_one_waits_by_the_address_of_the_first_member() {
    for profile in [Profile::OpenBsd, Profile::FreeBsd] {
        let mut gateway = Gateway::of_carp([60, 60], profile);
        let down = match profile {
            Profile::OpenBsd => 3 * (256 + 60),
            Profile::Any | Profile::FreeBsd => 3 * 256 + 60,
        };
        gateway.hear_bid(1, of_skew(60));
        assert_eq!(gateway.roles(), BACKUP, "{profile:?}");
        // 10.0.0.11
        let wait = carp::bid::ticks(down + 1 + 11);
        gateway.wait(wait - millis(1));
        assert_eq!(gateway.roles(), BACKUP, "{profile:?}");
        gateway.wait(millis(2));
        assert_eq!(gateway.roles(), ACTIVE, "{profile:?}");
    }
}
