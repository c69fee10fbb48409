//! Which of the two checksum forms of VRRPv3/IPv4 is sent and accepted.

use vrrp_proto::{ChecksumForm, ChecksumPolicy, Dialect, Family};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::section::Section;

/// Reads `checksum` and `checksum-strict`; `dialect` and `family` are `None` when they are not known.
pub(crate) fn read(
    section: &Section<'_>,
    dialect: Option<Dialect>,
    family: Option<Family>,
    findings: &mut Vec<Finding>,
) -> Option<ChecksumPolicy> {
    let form = section
        .string("checksum", "auto", findings)
        .and_then(|given| match given.value {
            "auto" => Some(None),
            "rfc9568" => Some(Some(ChecksumForm::Rfc9568)),
            "rfc5798" => Some(Some(ChecksumForm::Rfc5798)),
            other => {
                findings.push(
                    Finding::error(
                        code::CHOICE,
                        given.span.clone(),
                        format!("unknown checksum form \"{}\"", excerpt(other)),
                    )
                    .label("not a form")
                    .help("use \"auto\" (the default), \"rfc9568\" or \"rfc5798\""),
                );
                None
            }
        });
    let strict = section.boolean("checksum-strict", findings);
    let why = match (dialect, family) {
        (Some(Dialect::Vrrp2), _) => Some("VRRPv2 has one checksum form"),
        (_, Some(Family::Ipv6)) => Some("IPv6 has one checksum form"),
        (Some(Dialect::Vrrp3 | Dialect::Carp) | None, Some(Family::Ipv4) | None) => None,
    };
    if let Some(why) = why {
        let chosen = [
            (
                "checksum",
                form.given()
                    .filter(|form| form.value.is_some())
                    .map(|form| &form.span),
            ),
            (
                "checksum-strict",
                strict
                    .given()
                    .filter(|strict| strict.value)
                    .map(|strict| &strict.span),
            ),
        ];
        for (key, span) in chosen {
            let Some(span) = span else { continue };
            findings.push(
                Finding::error(
                    code::CHECKSUM,
                    span.clone(),
                    format!("`{key}` has no meaning here"),
                )
                .label(why)
                .help("remove it: there is a choice only on VRRPv3 with IPv4"),
            );
        }
    } else if let Some(sent) = form
        .given()
        .filter(|form| form.value == Some(ChecksumForm::Rfc5798))
        && let Some(strict) = strict.given().filter(|strict| strict.value)
    {
        findings.push(
            Finding::error(
                code::CHECKSUM,
                strict.span.clone(),
                "`checksum-strict` refuses the form that `checksum` sends",
            )
            .label("accepts rfc9568 only")
            .related(sent.span.clone(), "sends the other form")
            .help("write `checksum-strict = false`, or `checksum = \"rfc9568\"`"),
        );
    }
    Some(ChecksumPolicy {
        send: form.or(None)?,
        strict: strict.or(false)?,
    })
}
