//! The fence where the kernel takes no program of ours: a table of nftables, which fails closed as well.
//!
//! ```text
//!   egress of the interface                                   ingress
//!   advertisement of a router, priority not 0
//!       --> put its virtual MAC address into the set          to a guarded address that is not in the set: dropped
//!           `leased`, for three intervals from now
//!   from a guarded address that is not in the set: dropped
//! ```
//!
//! The kernel renews a lease itself, as part of sending the advertisement that earns it. So the engine's thread has nothing
//! to do and nobody to wait for, and whatever ends the daemon ends the renewals. All that is left to do, for a thread of
//! its own (`doorman`), is to keep the table there, and to end a lease before its time when a router gives up.
//!
//! Which frames are judged is as in `vrrp_gate`, but for these:
//!
//! - Advertisements themselves always pass: nobody sends them but the daemon. They are known by their TTL of 255, which
//!   nothing has that was forwarded.
//! - An advertisement counts when it has passed this table. If the queue of the interface then drops it, the lease was
//!   renewed all the same.
//! - The kernel counts the time of a lease in ticks (4 ms, where it has 250 a second), rounded down: a lease may be two ticks
//!   shorter than it should be, never longer. It does not count while the machine is suspended.
//! - Routers without a macvlan are none of its business: it drops, and does not answer.
//!
//! Frames that go out meet nftables since Linux 5.16. Without that there is nothing to renew the leases, and no table.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use tracing::warn;
use vrrp_proto::Gather;
use vrrp_proto::checksum::PROTOCOL;
use vrrp_proto::types::{Family, MacAddress, Vrid};

use super::OwnerId;
use super::fence::{Duty, MOURNING, Outcome};
use super::netlink::{Filters, Hook, Refusal, TableFamily, Term, Transaction, Transactions};
use crate::clock;
use crate::fences::lease_time;
use crate::leases::{Leases, TableLeases};

/// Before the chains of everybody else, and before flow tables, which forward what they know.
const PRIORITY: i32 = -2_000_000_000;

/// That the table was put back is said at most this often.
const COMPLAINTS: Duration = Duration::from_secs(1);

type Router = (Family, Vrid);

/// Interfaces by number, with the routers that are guarded there.
pub(super) type Interfaces = BTreeMap<u32, Interface>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Interface {
    name: String,
    /// With the time for which an advertisement counts; zero for those whose do not.
    routers: BTreeMap<Router, Duration>,
}

/// The table of one daemon.
pub(super) struct Table {
    name: String,
    /// Why there is no gate.
    why: String,
    transactions: Transactions,
    /// Tells of changes of others, and whether the table is there.
    filters: Filters,
    standing: Standing,
    leases: BTreeMap<u32, TableLeases>,
    /// What was last said about each interface.
    outcomes: BTreeMap<u32, Outcome>,
    /// How often the table was put back since that was said last, and when that was.
    repairs: u32,
    said: Option<Instant>,
}

#[derive(PartialEq, Eq, Debug)]
enum Standing {
    /// An earlier life may have left one.
    Unknown,
    Absent,
    /// For these, with so many chains and sets.
    Installed(Interfaces, u32),
    /// It was for these, and somebody changed it.
    Damaged(Interfaces),
}

impl Table {
    /// # Errors
    /// There is no nftables here, as a sentence.
    pub(super) fn open(owner: OwnerId, why: &str) -> Result<Self, String> {
        let sentence = |error: std::io::Error| refusal(&Refusal::of(&error));
        Ok(Self {
            name: owner.fence_table(),
            why: why.to_owned(),
            transactions: Transactions::open().map_err(sentence)?,
            filters: Filters::open().map_err(sentence)?,
            standing: Standing::Unknown,
            leases: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            repairs: 0,
            said: None,
        })
    }

    /// What becomes readable when nftables changed.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.filters.fd()
    }

    /// Whether somebody changed the table since the last call.
    pub(super) fn listen(&mut self) -> bool {
        let ours = self.transactions.number();
        let changed = self.filters.drain_but(ours, &self.name).unwrap_or(true);
        changed && self.doubt_it()
    }

    /// Looks whether the table is there.
    pub(super) fn check(&mut self) {
        if let Standing::Installed(_, uses) = &self.standing
            && let uses = *uses
            && let Ok(now) = self.uses()
            && now != Some(uses)
        {
            self.doubt_it();
        }
    }

    /// Chains and sets in the table, if it is there.
    fn uses(&mut self) -> std::io::Result<Option<u32>> {
        self.filters.table_use(TableFamily::Netdev, &self.name)
    }

    fn doubt_it(&mut self) -> bool {
        match std::mem::replace(&mut self.standing, Standing::Unknown) {
            Standing::Installed(interfaces, _) => {
                self.standing = Standing::Damaged(interfaces);
                true
            }
            other @ (Standing::Unknown | Standing::Absent | Standing::Damaged(_)) => {
                self.standing = other;
                false
            }
        }
    }

    pub(super) const fn is_damaged(&self) -> bool {
        matches!(self.standing, Standing::Damaged(_))
    }

    /// Guards what is in `goal`, and nothing else. What is new about which interface. Leases that are closed ring `bell`.
    pub(super) fn settle(
        &mut self,
        goal: &Interfaces,
        bell: &Arc<EventFd>,
    ) -> Vec<(u32, Option<Outcome>)> {
        if matches!(&self.standing, Standing::Installed(interfaces, _) if interfaces == goal) {
            return Vec::new();
        }
        self.admit(goal, bell);
        let damaged = self.is_damaged();
        let result = self.install(goal);
        if damaged && result.is_ok() {
            self.note_repair();
        }
        let news = self.news(goal, &result);
        if let (Err(why), false) = (&result, news.is_empty()) {
            warn!("{why}: {MOURNING}");
        }
        news
    }

    /// Says that it was put back, which somebody may make necessary all the time.
    fn note_repair(&mut self) {
        self.repairs += 1;
        if self.said.is_none_or(|said| said.elapsed() >= COMPLAINTS) {
            let times = std::mem::take(&mut self.repairs);
            warn!(
                times,
                "put back the table {} that somebody changed", self.name
            );
            self.said = Some(Instant::now());
        }
    }

    /// What is to be guarded has leases from now on, and what is not has none any more.
    fn admit(&mut self, goal: &Interfaces, bell: &Arc<EventFd>) {
        for (index, interface) in goal {
            let why = &self.why;
            let leases = self.leases.entry(*index);
            let leases = leases.or_insert_with(|| TableLeases::new(why, bell));
            leases.retain(|family, vrid| interface.routers.contains_key(&(family, vrid)));
            for ((family, vrid), lease) in &interface.routers {
                // It may be speaking already, and what it said counts although nobody was there to hear it.
                leases.admit(*family, *vrid, clock::now() + *lease);
            }
        }
    }

    fn news(
        &mut self,
        goal: &Interfaces,
        result: &Result<(), String>,
    ) -> Vec<(u32, Option<Outcome>)> {
        let mut news = Vec::new();
        let gone: Vec<u32> = self
            .outcomes
            .keys()
            .filter(|index| !goal.contains_key(index))
            .copied()
            .collect();
        for index in gone {
            self.outcomes.remove(&index);
            self.leases.remove(&index);
            news.push((index, None));
        }
        for index in goal.keys().copied() {
            let outcome = match (result, self.leases.get(&index)) {
                (Ok(()), Some(leases)) => Ok(Leases::Table(leases.clone())),
                (Err(why), _) => Err(format!("{}; {why}", self.why)),
                (Ok(()), None) => continue,
            };
            let known = match (self.outcomes.get(&index), &outcome) {
                (Some(Ok(_)), Ok(_)) => true,
                (Some(Err(before)), Err(now)) => before == now,
                (Some(_) | None, _) => false,
            };
            if !known {
                self.outcomes.insert(index, outcome.clone());
                news.push((index, Some(outcome)));
            }
        }
        news
    }

    /// Ends the leases that the engine has closed.
    pub(super) fn shut(&mut self) {
        let Standing::Installed(interfaces, _) = &self.standing else {
            return;
        };
        let mut closed = Vec::new();
        for (index, interface) in interfaces {
            if let Some(leases) = self.leases.get(index).filter(|leases| leases.look()) {
                let routers = interface.routers.keys();
                let closing = routers.filter(|(family, vrid)| leases.take_closing(*family, *vrid));
                closed.extend(closing.map(|router| (*index, *router)));
            }
        }
        if closed.is_empty() {
            return;
        }
        let mut transaction = Transaction::new(&self.name);
        for (index, (family, vrid)) in &closed {
            let mac = MacAddress::of_router(*family, *vrid);
            transaction.remove(&leased(*index), mac);
        }
        let refused = self.commit(transaction).is_err();
        // Who spoke again meanwhile has lost what that was worth.
        let again = closed.iter().any(|(index, (family, vrid))| {
            let leases = self.leases.get(index);
            leases.is_some_and(|leases| leases.running(*family, *vrid).is_some())
        });
        if refused || again {
            self.doubt_it();
        }
    }

    /// Makes the table anew, with the leases that run: no frame meets anything in between.
    fn install(&mut self, goal: &Interfaces) -> Result<(), String> {
        let mut transaction = Transaction::new(&self.name);
        transaction.add_table();
        transaction.delete_table();
        if goal.is_empty() {
            let there = self.standing != Standing::Absent && !matches!(self.uses(), Ok(None));
            if there {
                self.commit(transaction)?;
            }
            self.standing = Standing::Absent;
            return Ok(());
        }
        transaction.add_table();
        for (index, interface) in goal {
            let leases = self.leases.get(index);
            let now = clock::now().as_nanos();
            let running = interface.routers.keys().filter_map(|(family, vrid)| {
                let left = leases?.running(*family, *vrid)?.checked_sub(now)?;
                let mac = MacAddress::of_router(*family, *vrid);
                Some((mac, Some(Duration::from_nanos(left))))
            });
            interface.write(*index, running, &mut transaction);
        }
        self.commit(transaction)?;
        let uses = self.uses().ok().flatten().unwrap_or(0);
        self.standing = Standing::Installed(goal.clone(), uses);
        Ok(())
    }

    fn commit(&mut self, transaction: Transaction) -> Result<(), String> {
        self.transactions
            .commit(transaction)
            .map_err(|it| refusal(&it))
    }

    /// Takes the table away; why it could not be.
    pub(super) fn remove(&mut self) -> Result<(), String> {
        self.leases.clear();
        self.outcomes.clear();
        self.install(&Interfaces::new())
    }
}

impl Interface {
    /// What the table is to do for this, if anything.
    pub(super) fn of(duty: &Duty) -> Option<Self> {
        let lease = |(router, interval): (&Router, &Duration)| (*router, lease_time(*interval));
        let routers: BTreeMap<Router, Duration> = duty.with_macvlan().iter().map(lease).gather();
        (!routers.is_empty()).then(|| Self {
            name: duty.interface().to_owned(),
            routers,
        })
    }

    /// Whether `other` is all in it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let known = |(router, lease)| self.routers.get(router) == Some(lease);
        self.name == other.name && other.routers.iter().all(known)
    }

    /// All of `other` as well.
    pub(super) fn extend(&mut self, other: Self) {
        self.name = other.name;
        self.routers.extend(other.routers);
    }

    /// Sets, chains and rules, with the leases that are `running`.
    fn write(
        &self,
        index: u32,
        running: impl IntoIterator<Item = (MacAddress, Option<Duration>)>,
        to: &mut Transaction,
    ) {
        let sets = Sets {
            guarded: format!("guarded_{index}"),
            leased: leased(index),
        };
        to.add_set(&sets.guarded, false);
        to.add_set(&sets.leased, true);
        let all = self.routers.keys();
        to.add(&sets.guarded, all.map(|it| (mac_of(*it), None)));
        to.add(&sets.leased, running);

        let (egress, ingress) = (format!("egress_{index}"), format!("ingress_{index}"));
        to.add_hooked(&egress, Hook::Egress, PRIORITY, &self.name);
        to.add_hooked(&ingress, Hook::Ingress, PRIORITY, &self.name);
        pass_tagged(&egress, to);
        for at in [&IPV4, &IPV6] {
            let chain = format!("{}_{index}", at.chain);
            to.add_chain(&chain);
            self.renewals(at, &sets, &chain, to);
            let advertisement = [
                Term::Bytes(ETHERTYPE, 2),
                Term::Are(&at.ethertype),
                Term::Bytes(at.protocol, 2),
                Term::Are(&at.vrrp),
                Term::Goto(&chain),
            ];
            to.add_rule(&egress, &advertisement);
        }
        sets.drop_unleased(&egress, SOURCE, to);
        pass_tagged(&ingress, to);
        sets.drop_unleased(&ingress, DESTINATION, to);
    }

    /// What an advertisement is worth. All of them pass.
    fn renewals(&self, at: &Places, sets: &Sets, chain: &str, to: &mut Transaction) {
        self.carp_renewals(at, sets, chain, to);
        let release = [Term::Bytes(at.priority, 1), Term::Are(&[0]), Term::Accept];
        to.add_rule(chain, &release);
        // The virtual MAC address that belongs to it, whatever address it was sent from: with the identifier at its end.
        let end_with = [0, 0, 0, 0, 0, 0xff];
        let whose = [
            Term::Bytes(at.vrid - (MAC - 1), MAC),
            Term::Masked(&end_with, &at.prefix),
        ];
        let usual = self.usual();
        for (router, lease) in &self.routers {
            if router.0 == at.family && *lease != usual && !lease.is_zero() {
                let mac = mac_of(*router);
                let renewed = [
                    Term::Are(&mac.0),
                    Term::Renew(&sets.leased, *lease),
                    Term::Accept,
                ];
                to.add_rule(chain, &[&whose[..], &renewed].concat());
            }
        }
        let renewed = [Term::In(&sets.guarded), Term::Renew(&sets.leased, usual)];
        to.add_rule(chain, &[&whose[..], &renewed].concat());
        to.add_rule(chain, &[Term::Accept]);
    }

    /// The same for CARP, where 255 in the place of the priority gives up, and 0 is the best there is. Its virtual MAC address is
    /// from the block of IPv4 in both families. No VRRPv2 message has that length with seven addresses, and VRRPv3 begins
    /// otherwise.
    fn carp_renewals(&self, at: &Places, sets: &Sets, chain: &str, to: &mut Transaction) {
        let carp = [
            Term::Bytes(at.vrid - 1, 1),
            Term::Are(&[0x21]),
            Term::Bytes(at.length, 2),
            Term::Are(&at.carp),
        ];
        let gives_up = [Term::Bytes(at.priority, 1), Term::Are(&[255]), Term::Accept];
        to.add_rule(chain, &[&carp[..], &gives_up].concat());
        let end_with = [0, 0, 0, 0, 0, 0xff];
        let whose = [
            Term::Bytes(at.vrid - (MAC - 1), MAC),
            Term::Masked(&end_with, &IPV4.prefix),
        ];
        let usual = self.usual();
        for (router, lease) in &self.routers {
            if router.0 == Family::Ipv4 && *lease != usual && !lease.is_zero() {
                let mac = mac_of(*router);
                let renewed = [
                    Term::Are(&mac.0),
                    Term::Renew(&sets.leased, *lease),
                    Term::Accept,
                ];
                to.add_rule(chain, &[&carp[..], &whose, &renewed].concat());
            }
        }
        let renewed = [Term::In(&sets.guarded), Term::Renew(&sets.leased, usual)];
        to.add_rule(chain, &[&carp[..], &whose, &renewed].concat());
        to.add_rule(chain, &[&carp[..], &[Term::Accept]].concat());
    }

    /// The lease that most have: theirs is one rule for all.
    fn usual(&self) -> Duration {
        let mut counts: BTreeMap<Duration, usize> = BTreeMap::new();
        for lease in self.routers.values().filter(|lease| !lease.is_zero()) {
            *counts.entry(*lease).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or(Duration::ZERO, |(lease, _)| lease)
    }
}

/// Frames with a tag belong to the interface of that VLAN, which has chains of its own. The identifier 0 is none.
fn pass_tagged(chain: &str, to: &mut Transaction) {
    let tagged = [
        Term::Bytes(ETHERTYPE, 2),
        Term::Are(&[0x81, 0x00]),
        Term::Bytes(TAG, 2),
        Term::Masked(&[0x0f, 0xff], &[0, 0]),
        Term::AreNot(&[0, 0]),
        Term::Accept,
    ];
    to.add_rule(chain, &tagged);
    let outer = [
        Term::Bytes(ETHERTYPE, 2),
        Term::Are(&[0x88, 0xa8]),
        Term::Accept,
    ];
    to.add_rule(chain, &outer);
}

/// Names of the sets of one interface.
struct Sets {
    guarded: String,
    leased: String,
}

impl Sets {
    fn drop_unleased(&self, chain: &str, address: u32, to: &mut Transaction) {
        let terms = [
            Term::Bytes(address, MAC),
            Term::In(&self.guarded),
            Term::NotIn(&self.leased),
            Term::Drop,
        ];
        to.add_rule(chain, &terms);
    }
}

fn leased(index: u32) -> String {
    format!("leased_{index}")
}

fn mac_of((family, vrid): Router) -> MacAddress {
    MacAddress::of_router(family, vrid)
}

// Where things are in a frame.
const DESTINATION: u32 = 0;
const SOURCE: u32 = 6;
const MAC: u32 = 6;
const ETHERTYPE: u32 = 12;
const TAG: u32 = 14;

/// Where things are in an advertisement of one family, and what they are.
struct Places {
    family: Family,
    /// Beginning of the name of its chain.
    chain: &'static str,
    ethertype: [u8; 2],
    /// TTL and protocol, which are neighbours in both, in one order or the other.
    protocol: u32,
    vrrp: [u8; 2],
    /// Of the packet, or of what is in it; and what that is for CARP.
    length: u32,
    carp: [u8; 2],
    vrid: u32,
    priority: u32,
    /// The virtual MAC address without the identifier (RFC 9568 §7.3).
    prefix: [u8; 6],
}

/// RFC 9568 §5.1.1, without IP options, as this daemon sends them.
const IPV4: Places = Places {
    family: Family::Ipv4,
    chain: "adverts4",
    ethertype: [0x08, 0x00],
    protocol: 14 + 8,
    vrrp: [255, PROTOCOL],
    length: 14 + 2,
    carp: [0, 20 + 36],
    vrid: 14 + 20 + 1,
    priority: 14 + 20 + 2,
    prefix: [0x00, 0x00, 0x5e, 0x00, 0x01, 0x00],
};

/// RFC 9568 §5.1.2, without extension headers.
const IPV6: Places = Places {
    family: Family::Ipv6,
    chain: "adverts6",
    ethertype: [0x86, 0xdd],
    protocol: 14 + 6,
    vrrp: [PROTOCOL, 255],
    length: 14 + 4,
    carp: [0, 36],
    vrid: 14 + 40 + 1,
    priority: 14 + 40 + 2,
    prefix: [0x00, 0x00, 0x5e, 0x00, 0x02, 0x00],
};

/// What a refusal means.
fn refusal(refusal: &Refusal) -> String {
    match refusal.errno {
        libc::EOPNOTSUPP => {
            "nftables of this kernel does not see what leaves an interface: Linux 5.16 does"
                .to_owned()
        }
        libc::EPROTONOSUPPORT => "this kernel has no nftables".to_owned(),
        _ => format!("nftables refuses the leases: {refusal}"),
    }
}
