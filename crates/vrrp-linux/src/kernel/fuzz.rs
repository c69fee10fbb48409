//! What the kernel may say, and what follows from it, for a fuzzer.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vrrp_proto::desired::{Desired, Generation};
use vrrp_proto::following::Following;
use vrrp_proto::interval::Interval;
use vrrp_proto::plan::{DataPlane, VirtualAddress};
use vrrp_proto::types::{Family, MacAddress, RouterId, Vrid};

use super::netlink;
use super::observed::{Link, Observed};
use super::owner::OwnerId;
use super::reconcile::{Guarded, Scope, Touched, plan};

/// Datagrams of netlink to a picture, to steps: for an Active, for a Backup, and for nobody.
///
/// # Panics
/// When there are more steps than there is to do, or the picture contradicts itself.
pub(crate) fn fuzz(datagram: &[u8]) {
    let mut observed = Observed::new(vec![eth0()], Vec::new(), 0);
    for event in netlink::read_all(datagram) {
        observed.apply(event);
    }
    for link in observed.links() {
        assert_eq!(observed.link(link.index), Some(link));
        let _ = observed.facts(&link.name);
    }
    let owner = OwnerId::of(Path::new("/run/vrrpd"));
    let settings = 40 * (observed.links().count() + 2);
    let addresses: usize = observed.links().map(|link| link.addresses.len()).sum();
    for routers in [vec![], vec![desired(false)], vec![desired(true)]] {
        let routers: BTreeMap<RouterId, Arc<Desired>> = (0..).map(RouterId).zip(routers).collect();
        let plan = plan(
            owner,
            &routers,
            Scope::Everything,
            &observed,
            &Touched::default(),
            &Guarded::new(),
        );
        assert!(plan.steps.len() <= settings + addresses, "{:?}", plan.steps);
        for step in &plan.steps {
            assert!(!step.op.attempt(&observed).is_empty());
        }
    }
}

fn eth0() -> Link {
    Link {
        index: 2,
        name: "eth0".into(),
        up: true,
        mtu: 1500,
        ..Link::default()
    }
}

fn desired(active: bool) -> Arc<Desired> {
    let vrid = Vrid::new(51).unwrap_or_else(|| unreachable!("51 is a VRID"));
    Arc::new(Desired {
        generation: Generation(1),
        name: "r".into(),
        interface: "eth0".into(),
        family: Family::Ipv4,
        vrid,
        mac: Some(MacAddress::of_router(Family::Ipv4, vrid)),
        plane: DataPlane::Macvlan,
        addresses: vec![VirtualAddress {
            ip: [192, 0, 2, 254].into(),
            prefix_len: 24,
        }],
        active,
        accept: true,
        owner: false,
        interval: Interval::DEFAULT,
        following: Following::default(),
    })
}
