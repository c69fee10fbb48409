//! Who takes the frames of the virtual MAC address in.

use vrrp_proto::DataPlane;

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::{Field, Section};

/// Reads `data-plane`, which has a meaning only with a virtual MAC address.
pub(crate) fn read(
    section: &Section<'_>,
    virtual_mac: &Field<bool>,
    findings: &mut Vec<Finding>,
) -> Option<DataPlane> {
    let plane = section
        .string("data-plane", "auto", findings)
        .and_then(|given| match given.value {
            "auto" => Some(None),
            "macvlan" => Some(Some(DataPlane::Macvlan)),
            "ebpf" => Some(Some(DataPlane::Ebpf)),
            other => {
                findings.push(
                    Finding::error(
                        code::CHOICE,
                        given.span.clone(),
                        format!("unknown data plane \"{}\"", excerpt(other)),
                    )
                    .label("not a data plane")
                    .help("use \"auto\" (the default), \"macvlan\" or \"ebpf\""),
                );
                None
            }
        });
    if let Some(chosen) = plane.given().filter(|plane| plane.value.is_some())
        && let Some(off) = virtual_mac.given().filter(|virtual_mac| !virtual_mac.value)
    {
        findings.push(
            Finding::error(
                code::DATA_PLANE,
                chosen.span.clone(),
                "`data-plane` without a virtual MAC address",
            )
            .label("takes no frames in")
            .related(off.span.clone(), "the interface's own MAC address answers")
            .help("remove `data-plane`, or write `virtual-mac = true`"),
        );
    }
    Some(plane.or(None)?.unwrap_or_default())
}
