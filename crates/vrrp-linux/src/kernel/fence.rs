//! The gate of each interface, as the kernel thread keeps it: there before a router's first address, gone after its last.
//! For routers without a macvlan it answers itself; what the network card must let in for them is `reception`'s.
//!
//! The leases themselves are the engine's; see `fences`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tracing::{debug, info, warn};
use vrrp_gate::{Gate, GateError, Leading, Served, Serving, Standing, Watch};
use vrrp_proto::desired::Desired;
use vrrp_proto::types::{Family, Vrid};

use super::doorman::Doorman;
use super::reception::Reception;
use super::reconcile::is_served;
use super::table::Table;
use super::{Estate, Fencing, OwnerId};
use crate::heritage::Vault;
use crate::leases::Leases;

/// The gate of each of two daemons would stop what the other lets pass, and neither knows for whom the other is there.
const NOT_ALONE: &str = "another vrrpd has a gate on it";

/// What it means that nothing guards.
pub(super) const MOURNING: &str =
    "if this daemon dies, its kernel goes on answering until it is started again";

/// What the gates are there for, by the number of their interface.
pub(super) type Duties = BTreeMap<u32, Duty>;

/// What the gate of one interface is there for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Duty {
    /// Virtual MAC addresses that pass only while they are leased.
    guarded: BTreeSet<(Family, Vrid)>,
    /// Those of them that have no macvlan.
    served: Serving,
    /// The others, which a table can guard, and how often they advertise; never, if nobody wants them.
    with_macvlan: BTreeMap<(Family, Vrid), Duration>,
    /// Their addresses, but for those that the interface has as well.
    led: Leading,
    /// Name of the interface.
    interface: String,
}

impl Duty {
    pub(super) fn add(&mut self, desired: &Desired) {
        let router = (desired.family, desired.vrid);
        self.guarded.insert(router);
        desired.interface.clone_into(&mut self.interface);
        if is_served(desired) {
            let served = Served {
                addresses: desired.addresses.iter().map(|it| it.ip).collect(),
                accept: desired.accept,
                owner: desired.owner,
            };
            self.served.insert(router, served);
        } else {
            let interval = desired.interval.duration();
            self.with_macvlan.insert(router, interval);
            for address in desired.addresses.iter().filter(|_| !desired.owner) {
                if let IpAddr::V4(ip) = address.ip {
                    self.led.insert(ip, desired.vrid);
                }
            }
        }
    }

    /// A router that nobody wants, and whose macvlan is still there.
    pub(super) fn silence(&mut self, interface: &str, router: (Family, Vrid)) {
        self.guarded.insert(router);
        interface.clone_into(&mut self.interface);
        self.with_macvlan.entry(router).or_insert(Duration::ZERO);
    }

    /// Routers with a macvlan, and how often they advertise; never, if nobody wants them.
    pub(super) const fn with_macvlan(&self) -> &BTreeMap<(Family, Vrid), Duration> {
        &self.with_macvlan
    }

    /// Name of the interface.
    pub(super) fn interface(&self) -> &str {
        &self.interface
    }

    /// Whether `other` asks for nothing else than this.
    fn covers(&self, other: &Self) -> bool {
        let knows = |(router, asked): (&(Family, Vrid), &Served)| {
            self.served.get(router).is_some_and(|known| {
                let has = |ip| known.addresses.contains(ip);
                (known.accept, known.owner) == (asked.accept, asked.owner)
                    && asked.addresses.iter().all(has)
            })
        };
        let leads = |(ip, vrid)| self.led.get(ip) == Some(vrid);
        other.guarded.is_subset(&self.guarded)
            && other.served.iter().all(knows)
            && other.led.iter().all(leads)
    }

    /// Without routers that have no macvlan.
    fn without_served(mut self) -> Self {
        self.guarded
            .retain(|router| !self.served.contains_key(router));
        self.served.clear();
        self
    }

    /// What `known` asks for as well.
    fn extend(&mut self, known: &Self) {
        self.guarded.extend(&known.guarded);
        for (router, interval) in &known.with_macvlan {
            self.with_macvlan.entry(*router).or_insert(*interval);
        }
        for (ip, vrid) in &known.led {
            self.led.entry(*ip).or_insert(*vrid);
        }
        for (router, old) in &known.served {
            let served = self.served.entry(*router).or_insert_with(|| old.clone());
            for ip in &old.addresses {
                if !served.addresses.contains(ip) {
                    served.addresses.push(*ip);
                }
            }
        }
    }
}

/// What stands between an interface and the virtual MAC addresses on it: leases, or why there are none.
pub(super) type Outcome = Result<Leases, String>;

/// The gates of one daemon.
pub(super) struct Fence {
    owner: OwnerId,
    gate: Result<Gate, String>,
    /// Where there can be no gate: what guards instead, if anything can.
    doorman: Option<Doorman>,
    /// Tells of changes to traffic control; without it they are found by the audit.
    watch: Option<Watch>,
    posts: BTreeMap<u32, Post>,
    reception: Reception,
    /// Whether somebody may have removed a gate.
    disturbed: bool,
    /// Interfaces whose gate was put back, until somebody is told.
    mended: BTreeSet<u32>,
    /// Whether what an earlier life left on other interfaces is gone.
    swept: bool,
    /// Where gates are left to a process after this one.
    vault: Option<Vault>,
}

struct Post {
    duty: Duty,
    outcome: Outcome,
    /// Why routers are not served, other than that there is no gate.
    failure: Option<String>,
    /// Whether nobody else had a gate here when routers without a macvlan came.
    admitted: bool,
}

impl Fence {
    pub(super) fn open(owner: OwnerId, fencing: Fencing, estate: Option<Estate>) -> Option<Self> {
        let (vault, standing) = estate.map(|estate| (estate.vault, estate.gate)).unzip();
        let gate = match (fencing, standing.flatten()) {
            (Fencing::Nothing, _) => return None,
            (Fencing::Best, Some(gate)) => Ok(gate),
            (Fencing::Best, None) => {
                Gate::load(&owner.to_string()).map_err(|error| sentence(&error))
            }
            (Fencing::WithoutPrograms, _) => Err("programs are not wanted".to_owned()),
        };
        let mut doorman = None;
        let gate = gate.map_err(|why| match Doorman::start(owner, &why) {
            Ok(instead) => {
                info!("{why}: nftables keeps the leases instead");
                doorman = Some(instead);
                why
            }
            Err(neither) => {
                remove_gates(owner);
                let why = format!("{why}; {neither}");
                warn!("{why}: {MOURNING}");
                why
            }
        });
        Some(Self {
            owner,
            gate,
            doorman,
            watch: Watch::open().ok(),
            posts: BTreeMap::new(),
            reception: Reception::new(vault.clone()),
            disturbed: false,
            mended: BTreeSet::new(),
            swept: false,
            vault,
        })
    }

    /// What becomes readable when traffic control or nftables changed.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let watch = self.watch.as_ref().map(AsFd::as_fd);
        watch
            .into_iter()
            .chain(self.doorman.as_ref().map(Doorman::fd))
    }

    /// Whether anything changed since the last call that may concern what stands.
    pub(super) fn listen(&mut self) -> bool {
        let news = self.doorman.as_ref().is_some_and(Doorman::has_news);
        let changed = self
            .watch
            .as_ref()
            .is_some_and(|watch| watch.drain().unwrap_or(false));
        self.disturbed |= changed;
        news || (changed && !self.posts.is_empty())
    }

    /// Everything is to be looked at again, also what was refused.
    pub(super) const fn doubt(&mut self) {
        self.disturbed = true;
    }

    /// Does what is `wanted` and, if it is `all` that is wanted, nothing else. What is new about which interface.
    pub(super) fn settle(&mut self, wanted: &Duties, all: bool) -> Vec<(u32, Option<Outcome>)> {
        if let Some(doorman) = &mut self.doorman {
            let news = doorman.order(wanted, all);
            // Now that it stands, or there is nothing that does.
            let settled = !news.is_empty() || (all && wanted.is_empty());
            if settled && !std::mem::replace(&mut self.swept, true) {
                remove_gates(self.owner);
            }
            return news;
        }
        let mut news = Vec::new();
        for (index, duty) in wanted {
            let known = self.posts.get(index);
            let same = known.is_some_and(|post| {
                if all {
                    post.duty == *duty
                } else {
                    post.duty.covers(duty)
                }
            });
            if same && !self.disturbed {
                continue;
            }
            let mut duty = duty.clone();
            if let Some(post) = known.filter(|_| !all) {
                duty.extend(&post.duty);
            }
            let mut failure = None;
            let mut admitted = false;
            let (outcome, repaired) = match &mut self.gate {
                Err(why) => (Err(why.clone()), false),
                Ok(gate) => {
                    let mut may = duty.clone();
                    if !duty.served.is_empty() {
                        admitted = known.is_some_and(|post| post.admitted)
                            || !gate.has_others(*index).unwrap_or(false);
                        if !admitted {
                            failure = Some(NOT_ALONE.to_owned());
                            may = may.without_served();
                        }
                    }
                    // Before the gate stands, which then knows for whom.
                    let told = gate.serve(*index, &may.served).err();
                    if let Err(error) = gate.lead(*index, &may.led) {
                        // Nothing is wrong without it, only slower.
                        debug!(%error, interface = *index, "questions go to every macvlan");
                    }
                    let let_in = self.reception.settle(*index, &may.served).err();
                    failure = failure.or(told.as_ref().map(sentence)).or(let_in);
                    if may.guarded.is_empty() {
                        (Err(NOT_ALONE.to_owned()), false)
                    } else {
                        attach(gate, *index, &may.guarded, same)
                    }
                }
            };
            if let Ok(Leases::Gate(leases)) = &outcome
                && all
            {
                // Also what a process before this one guarded.
                let gone = leases.guarded().filter(|it| !duty.guarded.contains(it));
                gone.for_each(|(family, vrid)| leases.release(family, vrid));
            }
            if let (Some(vault), Ok(gate)) = (&self.vault, &mut self.gate)
                && outcome.is_ok()
                && let Some(parts) = gate.take_parts(*index)
            {
                vault.leave_gate(*index, &parts);
            }
            if repaired {
                self.mended.insert(*index);
                warn!(
                    interface = *index,
                    "put back the gate that somebody removed"
                );
            }
            let news_worthy = match (known.map(|post| &post.outcome), &outcome) {
                (Some(Ok(_)), Ok(_)) => false,
                (Some(Err(before)), Err(now)) => before != now,
                _ => true,
            };
            if news_worthy {
                news.push((*index, Some(outcome.clone())));
            }
            let post = Post {
                duty,
                outcome,
                failure,
                admitted,
            };
            self.posts.insert(*index, post);
        }
        if all {
            self.disturbed = false;
            let unwanted: Vec<u32> = self
                .posts
                .keys()
                .filter(|index| !wanted.contains_key(index))
                .copied()
                .collect();
            for index in unwanted {
                self.posts.remove(&index);
                self.reception.leave(index);
                news.push((index, None));
                self.detach(index);
            }
            if !wanted.is_empty() && !std::mem::replace(&mut self.swept, true) {
                self.sweep(wanted);
            }
        }
        news
    }

    /// The interfaces whose gate was put back since the last call.
    pub(super) fn take_mended(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.mended)
    }

    /// Whether this router is off the wire on this interface while it has no lease.
    pub(super) fn guards(&self, index: u32, router: (Family, Vrid)) -> bool {
        let post = self.posts.get(&index);
        post.is_some_and(|post| post.outcome.is_ok() && post.duty.guarded.contains(&router))
    }

    /// Whether a router without a macvlan has all that it needs on this interface, and otherwise why not.
    pub(super) fn serves(&self, index: u32, router: (Family, Vrid)) -> Result<(), String> {
        if let Err(why) = &self.gate {
            return Err(why.clone());
        }
        let post = self.posts.get(&index).ok_or("there is no gate")?;
        if let Err(why) = &post.outcome {
            return Err(why.clone());
        }
        match &post.failure {
            Some(why) => Err(why.clone()),
            None if post.duty.served.contains_key(&router) => Ok(()),
            None => Err("the gate does not know it yet".to_owned()),
        }
    }

    fn detach(&mut self, index: u32) {
        if let Ok(gate) = &mut self.gate
            && let Err(errors) = gate.detach(index)
        {
            errors.iter().for_each(|error| warn!("{}", sentence(error)));
        }
        if let Some(vault) = &self.vault {
            vault.withdraw_gate(index);
        }
    }

    fn sweep(&mut self, wanted: &Duties) {
        let Ok(gate) = &self.gate else {
            return;
        };
        // Taken over, and not wanted any more.
        let unwanted = gate.links().filter(|index| !wanted.contains_key(index));
        for index in unwanted.collect::<Vec<u32>>() {
            self.detach(index);
        }
        if let Ok(gate) = &self.gate
            && let Err(errors) = gate.remove_leftovers()
        {
            errors.iter().for_each(|error| warn!("{}", sentence(error)));
        }
        // An earlier life may have been without programs.
        if let Ok(mut table) = Table::open(self.owner, "")
            && let Err(why) = table.remove()
        {
            warn!("{why}");
        }
    }

    /// Takes all gates away; what could not be, as sentences.
    pub(super) fn remove(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        if let Some(doorman) = &mut self.doorman {
            left.extend(doorman.dismiss().err());
        }
        if let Ok(gate) = &mut self.gate {
            for index in std::mem::take(&mut self.posts).into_keys() {
                let errors = gate.detach(index).err().unwrap_or_default();
                left.extend(errors.iter().map(sentence));
            }
            let errors = gate.remove_leftovers().err().unwrap_or_default();
            left.extend(errors.iter().map(sentence));
        }
        left
    }
}

/// A gate on this interface with all of these guarded; whether it had to be put back.
fn attach(
    gate: &mut Gate,
    index: u32,
    guarded: &BTreeSet<(Family, Vrid)>,
    same: bool,
) -> (Outcome, bool) {
    if let Some(leases) = gate.leases(index).map(Leases::Gate) {
        for (family, vrid) in guarded {
            leases.guard(*family, *vrid);
        }
        // What cannot be seen is there until the opposite is known.
        let missing = matches!(gate.observe(index), Ok(Standing::Missing));
        if !missing {
            return (Ok(leases), false);
        }
    }
    let attached = gate
        .attach(index, guarded.iter().copied())
        .map(Leases::Gate)
        .map_err(|error| sentence(&error));
    let repaired = same && attached.is_ok();
    (attached, repaired)
}

/// What an earlier life that had programs put there would never open again.
fn remove_gates(owner: OwnerId) {
    // That it cannot be removed shows as frames that do not pass.
    let _ = vrrp_gate::remove(&owner.to_string());
}

/// An error with its causes.
fn sentence(error: &GateError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
