//! VRRPv2's simple text authentication.

use toml::Spanned;
use toml::de::DeValue;
use vrrp_proto::{AuthenticationKey, Dialect};

use crate::code;
use crate::finding::{Finding, excerpt};
use crate::keys;
use crate::section::{Field, Given, Section, mismatch};

const EXAMPLE: &str = "write `authentication = { type = \"simple-text\", key = \"...\" }`";

/// Reads `authentication`, of which only VRRPv2 knows.
pub(crate) fn read(
    section: &Section<'_>,
    protocol: &Field<Dialect>,
    findings: &mut Vec<Finding>,
) -> Field<Option<AuthenticationKey>> {
    let Some(value) = section.value("authentication") else {
        return Field::Absent;
    };
    if protocol.or(Dialect::Vrrp3) == Some(Dialect::Vrrp3) {
        let mut finding = Finding::error(code::AUTHENTICATION, value.span(), "VRRPv3 has no authentication")
            .label("never sent")
            .help("remove it, or write `protocol = \"vrrpv2\"` if all routers of the pair do; RFC 9568, section 9 says why it is gone");
        if let Some(protocol) = protocol.given() {
            finding = finding.related(protocol.span.clone(), "VRRPv3 here");
        }
        findings.push(finding);
    }
    match key(value, findings) {
        Some(key) => Field::Given(Given {
            value: Some(key),
            span: value.span(),
        }),
        None => Field::Refused,
    }
}

/// Reads `{ type = "simple-text", key = "..." }`. No finding repeats the key.
fn key(value: &Spanned<DeValue<'_>>, findings: &mut Vec<Finding>) -> Option<AuthenticationKey> {
    let Some(table) = value.get_ref().as_table() else {
        findings.push(mismatch("authentication", value, "a table").help(EXAMPLE));
        return None;
    };
    let section = Section {
        table,
        head: value.span(),
    };
    for key in table.keys() {
        if key.get_ref() == "key-file" {
            findings.push(
                Finding::error(
                    code::UNSUPPORTED,
                    key.span(),
                    "`key-file` is not in this version",
                )
                .label("not yet")
                .help("write the key itself as `key`, and let only root read the file"),
            );
        } else if !keys::AUTHENTICATION.contains(&key.get_ref().as_ref()) {
            findings.push(keys::unknown(
                key.get_ref(),
                key.span(),
                &keys::AUTHENTICATION,
                "`authentication`",
            ));
        }
    }
    for key in keys::AUTHENTICATION {
        let names = || table.keys().map(|key| key.get_ref().as_ref());
        let elsewhere = key == "key" && names().any(|name| name == "key-file");
        let misspelt = names().any(|name| keys::meant(name, &keys::AUTHENTICATION) == Some(key));
        if !elsewhere && !misspelt {
            findings.push(
                Finding::error(
                    code::MISSING_KEY,
                    section.head.clone(),
                    format!("`authentication` has no `{key}`"),
                )
                .label("incomplete")
                .help(EXAMPLE),
            );
        }
    }
    if let Field::Given(kind) = section.string("type", "simple-text", findings)
        && kind.value != "simple-text"
    {
        let finding = match kind.value.to_ascii_lowercase().replace('_', "-").as_str() {
            "ah" | "ip-ah" | "md5" | "hmac" | "hmac-md5" | "hmac-sha256" => Finding::error(
                code::UNSUPPORTED,
                kind.span,
                format!(
                    "authentication type \"{}\" is not spoken",
                    excerpt(kind.value)
                ),
            )
            .label("not in this version")
            .help("the one type is \"simple-text\"; VRRPv3 has no authentication"),
            _ => Finding::error(
                code::CHOICE,
                kind.span,
                format!("unknown authentication type \"{}\"", excerpt(kind.value)),
            )
            .label("not a type")
            .help("the one type is \"simple-text\", which keepalived calls PASS"),
        };
        findings.push(finding);
    }
    match section.string("key", "...", findings) {
        Field::Given(key) => {
            let refused = |message: String, help: &str| {
                Finding::error(code::AUTHENTICATION_KEY, key.span.clone(), message)
                    .label("1 to 8 bytes")
                    .help(help)
            };
            let bytes = key.value.as_bytes();
            if bytes.is_empty() {
                findings.push(refused(
                    "the authentication key is empty".to_owned(),
                    "write a key, or remove `authentication`",
                ));
            } else if bytes.len() > 8 {
                let message = format!(
                    "the authentication key has {} bytes, and VRRPv2 carries 8",
                    bytes.len()
                );
                findings.push(refused(message, "keepalived cuts a longer key silently: to agree with it, write the first 8 bytes"));
            } else if bytes.contains(&0) {
                // RFC 2338 §5.3.10 pads with zeros, so such a key would equal a shorter one.
                findings.push(refused(
                    "the authentication key contains a zero byte".to_owned(),
                    "write a key without \\u0000",
                ));
            }
            AuthenticationKey::new(bytes)
        }
        Field::Absent | Field::Refused => None,
    }
}
