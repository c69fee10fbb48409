//! The leases of the virtual MAC addresses, which the engine's thread moves on with each advertisement that is sent.
//!
//! A lease ends three advertisement intervals after the sending of the last advertisement. A Backup that heard it waits
//! for its skew time more (RFC 9568 §6.1), so a router whose daemon died, stands still or was stopped is off the wire
//! before anybody takes over.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::leases::Leases;
use vrrp_proto::carp;
use vrrp_proto::packet::Header;
use vrrp_proto::{
    Desired, Dialect, Engine, Family, Instant, MacAddress, Priority, Role, RouterId, Vrid,
};

/// How long the lease of an advertisement is that leaves now: three intervals, less a little for what passes at the last moment,
/// so that it has arrived when they are over.
pub(crate) fn lease_time(interval: Duration) -> Duration {
    interval * 3 - interval / 50
}

/// The leases of all interfaces, and whose they are.
#[derive(Debug, Default)]
pub(crate) struct Fences {
    /// By the number of the interface.
    links: BTreeMap<u32, Leases>,
    /// Routers with a virtual MAC address, and the interface on which they last spoke.
    routers: BTreeMap<RouterId, (Family, Vrid, Option<u32>)>,
}

/// The lease of one advertisement.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    family: Family,
    vrid: Vrid,
    /// `None` for a release: nothing more is said with the virtual MAC address.
    until: Option<Instant>,
    was_closed: bool,
}

impl Fences {
    /// The leases of this interface were a process's before us, and are as that left them.
    pub(crate) fn inherit(&mut self, index: u32, leases: Leases) {
        self.links.insert(index, leases);
    }

    /// This interface has leases now, or has none any more. Whoever is Active goes on.
    pub(crate) fn changed(
        &mut self,
        now: Instant,
        index: u32,
        leases: Option<Leases>,
        engine: &Engine,
    ) {
        let Some(leases) = leases else {
            self.links.remove(&index);
            return;
        };
        if self.links.insert(index, leases.clone()).is_some() {
            // They run on.
            return;
        }
        for status in engine.status() {
            let here = engine
                .links()
                .find(|(_, name)| *name == status.plan.interface)
                .and_then(|(link, _)| engine.link(link))
                .is_some_and(|facts| facts.index == index);
            let serves = status.role == Role::Active && status.preparing.is_none();
            let holds = serves || status.leaving;
            if here && holds && self.routers.contains_key(&status.id) {
                let (family, vrid) = (status.plan.block(), status.plan.vrid);
                let until = now + lease_time(status.plan.interval.duration());
                leases.guard(family, vrid);
                leases.extend(family, vrid, until.as_nanos());
            }
        }
    }

    /// The MAC address of interface `index`.
    pub(crate) fn set_own_mac(&self, index: u32, mac: MacAddress) {
        if let Some(leases) = self.links.get(&index) {
            leases.set_own_mac(mac);
        }
    }

    /// Whether interface `index` has leases.
    pub(crate) fn has(&self, index: u32) -> bool {
        self.links.contains_key(&index)
    }

    /// The engine wants this for a router from now on. Without addresses nothing may pass.
    pub(crate) fn desired(&mut self, router: RouterId, desired: Option<&Desired>) {
        if !desired.is_some_and(|desired| desired.active)
            && let Some((family, vrid, Some(index))) = self.routers.get(&router)
            && let Some(leases) = self.links.get(index)
        {
            leases.close(*family, *vrid);
        }
        match desired.filter(|desired| desired.mac.is_some()) {
            Some(desired) => {
                self.routers
                    .entry(router)
                    .or_insert((desired.family, desired.vrid, None));
            }
            None => {
                self.routers.remove(&router);
            }
        }
    }

    /// Somebody else speaks for `router` now: it says nothing more with its virtual MAC address, and serves whoever still comes,
    /// if that is possible here. Whether it is.
    pub(crate) fn hush(&self, router: RouterId) -> bool {
        let Some((family, vrid, Some(index))) = self.routers.get(&router) else {
            return false;
        };
        self.links
            .get(index)
            .is_some_and(|leases| leases.hush(*family, *vrid))
    }

    /// An advertisement of `router` is about to leave interface `index`. The first one finds a closed gate, which is
    /// opened for it.
    pub(crate) fn sending(
        &mut self,
        now: Instant,
        router: RouterId,
        index: u32,
        message: &[u8],
    ) -> Option<Lease> {
        let (family, vrid, spoke_on) = self.routers.get_mut(&router)?;
        let (family, vrid) = (*family, *vrid);
        *spoke_on = Some(index);
        let leases = self.links.get(&index)?.clone();
        let header = Header::new(message)?;
        let gives_up = if header.is_carp() {
            carp::Advertisement::parse(message)
                .is_ok_and(|advertisement| advertisement.bid.is_bow_out())
        } else {
            header.priority() == Priority::RELEASE
        };
        if gives_up {
            return Some(Lease {
                leases,
                family,
                vrid,
                until: None,
                was_closed: false,
            });
        }
        let dialect = match header.version() {
            2 => Dialect::Vrrp2,
            _ => Dialect::Vrrp3,
        };
        let until = now + lease_time(header.interval(dialect)?.duration());
        leases.guard(family, vrid);
        let was_closed = leases
            .deadline(family, vrid)
            .is_none_or(|deadline| deadline <= now.as_nanos());
        if was_closed || leases.is_muted(family, vrid) {
            leases.extend(family, vrid, until.as_nanos());
        }
        Some(Lease {
            leases,
            family,
            vrid,
            until: Some(until),
            was_closed,
        })
    }
}

impl Lease {
    /// Whether the advertisement really left. If it did not, nothing was gained by it.
    pub(crate) fn sent(self, left: bool) {
        let Self {
            leases,
            family,
            vrid,
            ..
        } = self;
        match self.until {
            Some(until) if left => {
                leases.extend(family, vrid, until.as_nanos());
            }
            Some(_) if self.was_closed => leases.close(family, vrid),
            Some(_) => {}
            // It serves on until the successor is heard, or has come into its own.
            None => leases.mute(family, vrid),
        }
    }
}
