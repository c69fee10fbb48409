//! What the doctor looks at, all of it gathered before anything is judged.

pub(crate) mod hooks;
pub(crate) mod host;
pub(crate) mod question;
pub(crate) mod wire;

use std::net::IpAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use vrrp_control::{RouterReport, StatusReport, TrackersReport};
use vrrp_proto::{Family, Plan, RouterPlan};

use crate::ports::Port;

pub(crate) use host::Host;
pub(crate) use wire::Wire;

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Why the daemon does not answer, if it does not.
    pub(crate) silence: Option<String>,
    /// What it said before the wire was listened to, and after.
    pub(crate) reports: Option<[StatusReport; 2]>,
    /// The directory of its socket, and who may write to it.
    pub(crate) directory: Option<(PathBuf, u32)>,
    /// Its configuration file.
    pub(crate) file: Option<File>,
    /// What it runs, as a file would say it.
    pub(crate) running: Option<String>,
    /// When it was last so late that it stood back, of the day before now.
    pub(crate) late: Option<String>,
    /// What the routers need beside their own interfaces.
    pub(crate) trackers: Option<TrackersReport>,
    /// Hooks that are not run.
    pub(crate) hooks: hooks::Hooks,
    /// The host.
    pub(crate) host: Host,
    /// Its interfaces.
    pub(crate) ports: Vec<Port>,
    /// What passed.
    pub(crate) wire: Wire,
}

/// A configuration file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    /// When it was changed for the last time.
    pub(crate) modified: Option<Timestamp>,
    /// What it says, or why it cannot be used.
    pub(crate) plan: Result<Plan, Unusable>,
}

/// Why a configuration file cannot be used.
#[derive(Clone, Debug)]
pub(crate) enum Unusable {
    /// It cannot be read from here.
    Unreadable(String),
    /// It has errors.
    Wrong(String),
}

/// A virtual router, as it was before and after, and as it is configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Router<'a> {
    pub(crate) before: &'a RouterReport,
    pub(crate) after: &'a RouterReport,
    /// `None` when the file cannot be read.
    pub(crate) plan: Option<&'a RouterPlan>,
    pub(crate) port: Option<&'a Port>,
}

impl Facts {
    /// The virtual routers.
    pub(crate) fn routers(&self) -> impl Iterator<Item = Router<'_>> {
        let reports = self.reports.iter();
        reports.flat_map(move |[before, after]| {
            after.routers.iter().filter_map(move |after| {
                let same = |router: &&RouterReport| router.name == after.name;
                let before = before.routers.iter().find(same)?;
                let plan = self.plan().and_then(|plan| {
                    let mut plans = plan.routers.iter();
                    plans.find(|plan| plan.name == after.name)
                });
                let port = self.port(&after.interface);
                Some(Router {
                    before,
                    after,
                    plan,
                    port,
                })
            })
        })
    }

    /// What the daemon said last.
    pub(crate) fn report(&self) -> Option<&StatusReport> {
        self.reports.as_ref().map(|[_, after]| after)
    }

    /// What the file says.
    pub(crate) fn plan(&self) -> Option<&Plan> {
        self.file.as_ref()?.plan.as_ref().ok()
    }

    /// The interface of that name.
    pub(crate) fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }
}

impl<'a> Router<'a> {
    /// Its name.
    pub(crate) fn name(&self) -> &'a str {
        &self.after.name
    }

    /// Its family.
    pub(crate) fn family(&self) -> Family {
        if self.after.family == "ipv6" {
            Family::Ipv6
        } else {
            Family::Ipv4
        }
    }

    /// Whether it was in that state all the time, as far as can be seen.
    pub(crate) fn stayed(&self, state: &str) -> bool {
        self.before.state == state
            && self.after.state == state
            && self.before.since == self.after.since
    }

    /// Its virtual addresses with prefix lengths.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (IpAddr, u8)> + 'a {
        self.after.addresses.iter().filter_map(|text| {
            let (ip, length) = text.split_once('/')?;
            Some((ip.parse().ok()?, length.parse().ok()?))
        })
    }

    /// Where its advertisements come from.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.after.source_address.as_ref()?.parse().ok()
    }

    /// Its virtual MAC address.
    pub(crate) fn mac(&self) -> Option<[u8; 6]> {
        let text = self.after.virtual_mac.as_ref()?;
        let mut mac = [0; 6];
        let mut bytes = text.split(':');
        for byte in &mut mac {
            *byte = u8::from_str_radix(bytes.next()?, 16).ok()?;
        }
        Some(mac)
    }

    /// Whether its addresses are on an interface of their own.
    pub(crate) fn has_macvlan(&self) -> bool {
        self.after.data_plane.as_deref() == Some("macvlan")
    }

    /// Whether it speaks to peers.
    pub(crate) fn is_unicast(&self) -> bool {
        self.plan.is_some_and(RouterPlan::is_unicast)
    }
}

/// As people write it.
pub(crate) fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}
