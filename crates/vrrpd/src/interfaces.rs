//! The interfaces of the plan, as the engine sees them.

use std::collections::BTreeMap;
use std::io;

use vrrp_control::{Answer, InterfaceReport, InterfaceRouter, InterfacesReport};
use vrrp_linux::Protection as Stands;
use vrrp_proto::fault::Fault;
use vrrp_proto::{Engine, LinkFacts, RouterStatus};

use crate::answers::Answers;
use crate::report::protection;
use crate::services::{STOPPED, Services};

/// Says what is known of them.
pub(crate) async fn answer(services: &Services, answers: &mut Answers) -> io::Result<()> {
    let report = services.blocking(|services| {
        let interfaces = services.engine.inspect(|engine, _| interfaces(engine))?;
        Some(document(interfaces, &services.engine.protection()))
    });
    match report.await.flatten() {
        Some(report) => answers.send(&Answer::Interfaces(report)).await,
        None => answers.refuse(STOPPED).await,
    }
}

/// Each of them that has routers.
fn interfaces(engine: &Engine) -> Vec<InterfaceReport> {
    // Gathered once: this runs on the engine's thread.
    let mut routers: BTreeMap<&str, Vec<RouterStatus<'_>>> = BTreeMap::new();
    for router in engine.status() {
        let on_it = routers.entry(&router.plan.interface).or_default();
        on_it.push(router);
    }
    let interface = |(id, name)| Some(interface(name, engine.link(id), &routers.remove(name)?));
    engine.links().filter_map(interface).collect()
}

fn interface(
    name: &str,
    facts: Option<&LinkFacts>,
    routers: &[RouterStatus<'_>],
) -> InterfaceReport {
    let mut faults = routers.iter().flat_map(|router| router.faults);
    InterfaceReport {
        name: name.to_owned(),
        state: state(facts).to_owned(),
        index: facts.map(|facts| facts.index),
        mtu: facts.map(|facts| facts.mtu),
        mac: facts.map(|facts| facts.mac.to_string()),
        addresses: facts.map(addresses).unwrap_or_default(),
        deaf: faults.find_map(deafness),
        protection: None,
        routers: routers.iter().map(router).collect(),
    }
}

fn deafness(fault: &Fault) -> Option<String> {
    match fault {
        Fault::Deaf { reason, .. } => Some(reason.clone()),
        Fault::InterfaceMissing(_)
        | Fault::InterfaceDown(_)
        | Fault::NoCarrier(_)
        | Fault::NoPrimaryAddress(_)
        | Fault::NoLinkLocalAddress(_)
        | Fault::MtuTooSmall { .. }
        | Fault::OwnedAddressMissing { .. }
        | Fault::Kernel(_)
        | Fault::Tracker { .. }
        | Fault::Group { .. } => None,
    }
}

/// The document, with what guards each interface.
fn document(
    mut interfaces: Vec<InterfaceReport>,
    by_interface: &BTreeMap<String, Stands>,
) -> InterfacesReport {
    for interface in &mut interfaces {
        let guarded = interface
            .routers
            .iter()
            .any(|router| router.data_plane.is_some());
        let stands = by_interface.get(&interface.name).filter(|_| guarded);
        interface.protection = stands.map(protection);
    }
    InterfacesReport {
        version: vrrp_control::VERSION,
        interfaces,
    }
}

const fn state(facts: Option<&LinkFacts>) -> &'static str {
    match facts {
        None => "missing",
        Some(facts) if !facts.up => "down",
        Some(facts) if !facts.carrier => "no-carrier",
        Some(_) => "up",
    }
}

fn addresses(facts: &LinkFacts) -> Vec<String> {
    let ipv4 = facts
        .ipv4
        .iter()
        .map(|(address, prefix_len)| format!("{address}/{prefix_len}"));
    let ipv6 = facts.link_local.iter().map(ToString::to_string);
    ipv4.chain(ipv6).collect()
}

fn router(status: &RouterStatus<'_>) -> InterfaceRouter {
    let plan = status.plan;
    InterfaceRouter {
        name: plan.name.clone(),
        vrid: plan.vrid.get(),
        family: plan.family.to_string(),
        state: status.role.name().into(),
        source_address: status.primary.map(|primary| primary.to_string()),
        data_plane: plan.mac().map(|_| plan.data_plane.name().to_owned()),
    }
}
